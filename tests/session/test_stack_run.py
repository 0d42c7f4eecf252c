from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optics.calibration.test_geometry_check import RIGHT, WRONG, simulated

from ptychoui.data.dataset import ImageStack
from ptychoui.data.results import save_reconstruction
from ptychoui.errors import DataError, GeometryError, NoGeometryError, SettingsError
from ptychoui.optics.calibration import geometry_check, refine
from ptychoui.paths import data_file
from ptychoui.session import opening
from ptychoui.session.mailbox import Mailbox
from ptychoui.session.stack_plan import StackPlan, forecast, stack_task
from ptychoui.session.stack_run import (
    ObjectPicture,
    PassEnded,
    StackBegun,
    StackHistory,
    StackReconstructed,
    save_report,
    stack_run,
)
from ptychoui.session.stored_report import open_report
from ptychoui.session.worker import RunState, Worker
from ptychoui.settings import Array, Geometry, Microscope, Reconstruct
from ptychoui.training.control import RunControl
from ptychoui.training.events import Finished, Stopped
from ptychoui.workflows import calibrate_stack
from ptychoui.workflows.crop import CropRegion
from ptychoui.workflows.reconstruct_stack import WindowReconstruction


@pytest.fixture(scope="module")
def sample() -> ImageStack:
    opened = opening.open_anything(data_file("sample:stack"), None)
    assert isinstance(opened, opening.OpenedData) and isinstance(opened.dataset, ImageStack)
    return opened.dataset


def short(passes: int = 4, **plan: Any) -> StackPlan:
    return StackPlan(settings=Reconstruct(passes=passes), **plan)


def events(stack: ImageStack, plan: StackPlan, control: RunControl | None = None, want: Any = None) -> Iterator[Any]:
    return stack_run(stack, stack.geometry, plan, "cpu")(control or RunControl(), want or (lambda: False))


def test_the_square_stays_inside_the_images() -> None:
    shape = (9, 300, 500)
    assert StackPlan().square(shape) == (22, 122, 256)
    assert StackPlan(size_px=64, center_column_px=10, center_row_px=295).square(shape) == (236, 0, 64)
    assert StackPlan(size_px=2048).square(shape) == (0, 100, 300)
    with pytest.raises(SettingsError, match="size_px"):
        StackPlan(size_px=2)


def test_a_square_beside_the_axis_sees_other_angles(sample: ImageStack) -> None:
    middle = stack_task(sample, sample.geometry, short(size_px=32))
    corner = stack_task(sample, sample.geometry, short(size_px=32, center_column_px=80, center_row_px=16))
    assert corner.square == (0, 64, 32)
    assert np.array_equal(corner.images, sample.images[:, :32, 64:])
    assert sample.geometry is not None
    moved = corner.leds.illumination_na[40] - middle.leds.illumination_na[40]
    distance_um = 32 * sample.geometry.microscope.pixel_size_um
    assert moved == pytest.approx(np.array([-1, 1]) * distance_um / 72_000, rel=1e-3)


def test_images_are_brought_into_the_order_of_the_leds_and_missing_ones_are_left_out(sample: ImageStack) -> None:
    order = np.random.default_rng(0).permutation(81)[:70]
    mixed = ImageStack(images=sample.images[order], led_numbers=sample.led_numbers[order], geometry=sample.geometry)
    task = stack_task(mixed, sample.geometry, short())
    assert len(task.leds) == 70 and "11 LEDs" in task.notes[0]
    for place in (0, 33, 69):
        assert np.array_equal(task.images[place], sample.images[task.leds.numbers[place]])


def test_stacks_that_cannot_be_reconstructed_are_refused(sample: ImageStack) -> None:
    with pytest.raises(NoGeometryError):
        stack_task(sample, None, short())
    strange = ImageStack(images=sample.images, led_numbers=sample.led_numbers + 1000, geometry=sample.geometry)
    with pytest.raises(DataError, match="no image belongs"):
        stack_task(strange, sample.geometry, short())
    with pytest.raises(GeometryError, match="object pixels per camera pixel"):
        forecast(sample, sample.geometry, StackPlan(settings=Reconstruct(upsampling=1)))


def test_the_forecast_is_what_the_reconstruction_says(sample: ImageStack) -> None:
    known = forecast(sample, sample.geometry, short(2))
    told = list(events(sample, short(2)))
    begun, report = told[0], told[-2].report
    assert isinstance(begun, StackBegun) and begun.memory_bytes == known.memory_bytes
    assert report.amplitude.shape == (known.object_px, known.object_px)
    assert "81 LEDs, 96 × 96 px" in known.line and not known.warnings


def test_a_square_that_is_too_large_for_one_direction_is_warned_of() -> None:
    geometry = Geometry(
        microscope=Microscope(wavelength_um=0.5, objective_na=0.1, magnification=2.0, camera_pixel_um=4.0),
        array=Array(kind="lattice", rows=3, columns=3, pitch_mm=4.0, height_mm=60.0),
    )
    stack = ImageStack(images=np.ones((9, 200, 200), np.float32), led_numbers=np.arange(9), geometry=geometry)
    assert "not one direction" in forecast(stack, geometry, StackPlan()).warnings[0]


def test_events_of_a_whole_run(sample: ImageStack) -> None:
    history = StackHistory()
    told = []
    for event in events(sample, short(4), want=lambda: True):
        history.take(event)
        told.append(type(event))
    assert told[0] is StackBegun and told[-2:] == [StackReconstructed, Finished]
    assert told.count(PassEnded) == told.count(ObjectPicture) >= 3
    assert np.all(np.diff(history.residual.y) < 0)
    report = history.report
    assert report is not None and report.complete
    assert report.measured.shape == report.predicted.shape == (81, 96, 96)
    assert report.phase_rad.dtype == np.float32 and not report.phase_rad.flags.writeable
    assert np.abs(report.phase_rad).max() <= np.pi and report.coverage.hole_share < 0.01
    assert "residual" in report.summary and "stopped" not in report.summary


def test_a_square_beside_the_axis_is_reconstructed_as_by_the_command_line(sample: ImageStack) -> None:
    plan = short(3, size_px=32, center_row_px=20.0, center_column_px=70.0)
    (found,) = [event.report.found for event in events(sample, plan) if isinstance(event, StackReconstructed)]
    row, column, size = plan.square(sample.images.shape)
    work = WindowReconstruction(sample, plan.settings, CropRegion(row=row, column=column, size_px=size))
    for _ in work.run():
        pass
    assert np.array_equal(found.object, work.stored().object)
    assert np.array_equal(found.illumination_na, work.stored().illumination_na[0])


def test_a_stop_in_the_middle_of_a_pass_keeps_the_passes_before(sample: ImageStack) -> None:
    control = RunControl()
    told = []
    for event in events(sample, short(1000), control):
        told.append(event)
        if isinstance(event, PassEnded) and event.step == 3:
            control.stop()
    assert isinstance(told[-1], Stopped) and isinstance(told[-2], StackReconstructed)
    report = told[-2].report
    assert not report.complete and len(report.found.history) == 3 and "stopped" in report.summary


def test_a_stop_before_the_first_pass_has_no_result(sample: ImageStack) -> None:
    control = RunControl()
    told = []
    for event in events(sample, short(), control):
        told.append(event)
        control.stop()
    assert [type(event) for event in told] == [StackBegun, Stopped]


def test_a_stop_is_heard_between_a_few_leds(sample: ImageStack) -> None:
    """The first pass goes LED by LED: a stop does not wait for its end."""
    from ptychoui.errors import StopRequested
    from ptychoui.optics.reconstruction.stack import StackReconstruction

    seen = 0

    def callback() -> None:
        nonlocal seen
        seen += 1
        if seen == 10:
            raise StopRequested

    assert sample.geometry is not None
    work = StackReconstruction(sample.geometry, np.array(sample.images), Reconstruct(), callback=callback)
    with pytest.raises(StopRequested):
        list(work.run())
    assert seen == 10 and not work.history


def test_the_worker_pauses_goes_on_and_ends(sample: ImageStack) -> None:
    mailbox = Mailbox()
    worker = Worker(mailbox)
    worker.start(stack_run(sample, sample.geometry, short(6), "cpu"))
    worker.pause()
    while worker.state in (RunState.STARTING, RunState.PAUSING):
        pass
    assert worker.state is RunState.PAUSED
    worker.resume()
    assert worker.join(60)
    assert worker.state is RunState.FINISHED
    assert isinstance(mailbox.drain().scalars[-1].value, Finished)


def test_memory_that_runs_out_has_a_remedy_of_its_own() -> None:
    from ptychoui.session.failures import describe

    assert describe(MemoryError(), 0, remedy="use a smaller square").hint == "use a smaller square"


def test_a_new_run_keeps_the_last_report(sample: ImageStack) -> None:
    history = StackHistory()
    for event in events(sample, short(1)):
        history.take(event)
    kept = history.report
    history.begin()
    assert history.report is kept and history.end is None and len(history.residual) == 0


def test_one_led_is_not_many(sample: ImageStack) -> None:
    fewer = replace(sample, images=sample.images[1:], led_numbers=sample.led_numbers[1:])
    assert stack_task(fewer, sample.geometry, short()).notes == ("1 LED of the array has no image and is left out",)
    two = replace(sample, images=sample.images[2:], led_numbers=sample.led_numbers[2:])
    assert stack_task(two, sample.geometry, short()).notes == ("2 LEDs of the array have no image and are left out",)
    renamed = replace(sample, led_numbers=np.append(sample.led_numbers[:-1], 500))
    assert "1 image belongs to no LED in use and is left out" in stack_task(renamed, sample.geometry, short()).notes
    alone = replace(sample, images=sample.images[40:41], led_numbers=sample.led_numbers[40:41])
    assert forecast(alone, sample.geometry, short()).line.startswith("1 LED, ")


def test_a_calibration_is_given_up_in_the_middle_of_a_step(sample: ImageStack) -> None:
    from ptychoui.session.stack_calibration import CalibrationBegun, CalibrationStep, calibration_run

    class Impatient(RunControl):
        """Stops at the hundredth look: far from the end of the refinement."""

        looks = 0

        def checkpoint(self, before_wait: Any = None) -> None:
            self.looks += 1
            if self.looks == 100:
                self.stop()
            super().checkpoint(before_wait)

    control = Impatient()
    told = list(calibration_run(sample, sample.geometry, StackPlan(), "cpu")(control, lambda: False))
    assert [type(event) for event in told] == [CalibrationBegun, CalibrationStep, Stopped]
    assert control.looks == 100


def test_a_calibration_does_what_the_plan_asks_for(sample: ImageStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tilt and single LEDs are chosen in the plan, and as many steps come as were announced."""
    from ptychoui.session.stack_calibration import (
        Calibrated,
        CalibrationBegun,
        CalibrationHistory,
        CalibrationStep,
        calibration_run,
    )

    whole = calibrate_stack.calibrate
    monkeypatch.setattr(refine, "JUDGED_PASSES", 2)
    monkeypatch.setattr(
        calibrate_stack, "calibrate", lambda *words, **settings: whole(*words, **settings, rounds=(2,), final_passes=1)
    )
    asked = StackPlan(size_px=32, tilt=True, single_leds=True)
    told = list(calibration_run(sample, sample.geometry, asked, "cpu")(RunControl(), lambda: False))
    begun, *steps, found, finished = told
    assert isinstance(begun, CalibrationBegun) and isinstance(finished, Finished)
    assert begun.steps == len(steps) + 1 == 5
    assert begun.asked == tuple(step.name for step in steps)
    assert all(isinstance(step, CalibrationStep) for step in steps)
    assert [step.sentence.partition(":")[0] for step in steps] == ["circles", "refinement", "tilt", "single LEDs"]
    assert isinstance(found, Calibrated)
    assert all(step.short.startswith("taken" if step.accepted else "left out, ") for step in steps)
    assert steps[0].gain is None and all(step.gain is not None for step in steps[1:])
    history = CalibrationHistory()
    for event in told:
        history.take(event)
    assert [o.text for o in history.outcomes] == [step.short for step in steps]
    assert bool(found.change) and (found.geometry.array.kind == "table") is steps[3].accepted


def test_a_mirrored_layout_brings_the_one_to_take_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geometry_check, "LAYOUT_PASSES", 3)
    stack = replace(simulated("brick"), geometry=WRONG["mirrored"](RIGHT))
    (report,) = [one.report for one in events(stack, short(2, size_px=64)) if isinstance(one, StackReconstructed)]
    assert any("another layout" in warning for warning in report.found.warnings)
    assert report.suggested is not None
    pose = report.suggested.geometry.array.pose
    assert (pose.flip_x, pose.flip_y, pose.swap_xy) in ((False, False, False), (True, True, False))
    assert any(report.suggested.settings in warning for warning in report.found.warnings)
    assert report.suggested.geometry.microscope == report.geometry.microscope
    assert report.suggested.geometry.array.numbers() == report.geometry.array.numbers()


@pytest.mark.parametrize("by", ["window", "command"])
def test_a_suggested_layout_is_kept_with_the_result(by: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(geometry_check, "LAYOUT_PASSES", 3)
    stack = replace(simulated("brick"), geometry=WRONG["mirrored"](RIGHT))
    path, kept = tmp_path / "result.h5", tmp_path / "kept.h5"
    if by == "window":
        (report,) = [
            one.report
            for one in stack_run(stack, stack.geometry, short(2, size_px=64), "cpu", kept)(RunControl(), lambda: False)
            if isinstance(one, StackReconstructed)
        ]
        save_report(path, report, stack)
        warnings, suggested = report.found.warnings, report.suggested
        assert suggested is not None and open_report(kept).suggested == suggested
        settings, array = suggested.settings, suggested.geometry.array
    else:
        work = WindowReconstruction(stack, Reconstruct(passes=2), CropRegion(row=0, column=0, size_px=64))
        list(work.run())
        work.check()
        save_reconstruction(path, work.stored())
        assert work.suggested is not None
        warnings, array, settings = work.warnings, work.suggested, geometry_check.settings_of(work.suggested)
    back = open_report(path)
    assert back.suggested is not None and back.suggested.settings == settings
    assert back.suggested.geometry == back.geometry.replace(array=array)
    assert sorted(back.found.warnings) == sorted(warnings) and any(
        settings in warning for warning in back.found.warnings
    )


def test_a_right_layout_brings_no_other(sample: ImageStack) -> None:
    (report,) = [one.report for one in events(sample, short(2, size_px=64)) if isinstance(one, StackReconstructed)]
    assert report.suggested is None
