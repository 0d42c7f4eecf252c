"""The daily check names what was planted on the bench, alone and together, with the right amounts; and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptychoui import cli
from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.native import save_hdf5
from ptychoui.design.patterns import PatternSet
from ptychoui.devices.acquired_stack import of_patterns, of_single_leds
from ptychoui.devices.acquiring import Acquisition, Ways
from ptychoui.devices.array_check import ArrayCheck, Limits, Report
from ptychoui.devices.camera_opening import bench
from ptychoui.devices.device import DeviceOptions
from ptychoui.devices.emulators.bench_optics import BenchImages
from ptychoui.devices.emulators.optical_bench import BenchCamera
from ptychoui.devices.opening import open_device
from ptychoui.devices.playing import plan
from ptychoui.devices.timeline import Timing
from ptychoui.errors import DataError
from ptychoui.export.formats import export_patterns
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.settings import Geometry, to_toml

GEOMETRY = Geometry(
    microscope={"wavelength_um": 0.53, "objective_na": 0.1, "magnification": 4.0, "camera_pixel_um": 4.8},  # type: ignore[arg-type]
    array={"kind": "lattice", "rows": 7, "columns": 7, "pitch_mm": 4.0, "height_mm": 72.0},  # type: ignore[arg-type]
)
QUERY = "image_px=64&led_points=1&seed=5&sample_seed=2"
KEPT: dict[str, BenchImages] = {}
WAYS = Ways(timing=Timing(settle_ms=0.0))
SHIFT, ROTATION, HEIGHT, FOCUS, GAIN, LEDS, DEAD = "shift", "rotation", "height", "focus", "gain", "LEDs", "dead LEDs"


@contextmanager
def at_bench(query: str = QUERY) -> Iterator[tuple[Any, BenchCamera]]:
    with open_device("simulate:?leds=49", DeviceOptions(brightness=1.0)) as device:
        yield device, BenchCamera(bench(device, GEOMETRY, query))


@pytest.fixture(scope="module")
def reference() -> ImageStack:
    with at_bench() as (device, camera):
        subject, frames = of_single_leds(GEOMETRY)
        ways = replace(WAYS, automatic=True)
        work = Acquisition(device, camera, subject, frames, np.full(len(frames), 100.0), ways)
        for _ in work.run():
            pass
        return work.stack()


@pytest.fixture(scope="module")
def check(reference: ImageStack) -> ArrayCheck:
    return ArrayCheck(reference, None, led_array(GEOMETRY.array).numbers.tolist())


def found(check: ArrayCheck, optics: dict[str, Any] | None = None, sensor: dict[str, Any] | None = None) -> Report:
    """What the check says of the bench with other optics and sensor, today's noise being another."""
    with at_bench() as (device, camera):
        place = camera.bench
        camera._random = np.random.default_rng(99)
        if optics:
            place.optics = replace(place.optics, **optics)
        else:
            place._images = KEPT.setdefault("images", place.images)  # what did not change need not be made again
        place.sensor = replace(place.sensor, **(sensor or {}))
        return check.compare(check.acquire(device, camera, WAYS))


def off(report: Report) -> set[str]:
    return {finding.name for finding in report.findings if finding.off}


def amount(report: Report, name: str) -> float:
    return next(finding.amount for finding in report.findings if finding.name == name)


def test_nothing_is_off_where_nothing_changed(check: ArrayCheck) -> None:
    report = found(check)
    assert off(report) == set() and not report.off
    drift = report.change
    assert abs(drift["shift_x_mm"]) < 0.02 and abs(drift["rotation_deg"]) < 0.05 and abs(drift["focus_um"]) < 0.5
    assert np.abs(np.array(list(report.gain.values())) - 1).max() < 0.05 and len(report.gain) > 40


def test_a_moved_slide_and_more_stray_light_are_no_alarm(check: ArrayCheck) -> None:
    report = found(check, {"slide_x_um": 2.0, "slide_y_um": -3.1}, {"ambient_e_per_ms": 3.0})
    assert off(report) == set()
    assert report.change["slide_x_um"] == pytest.approx(2.0, abs=0.1)
    assert report.change["slide_y_um"] == pytest.approx(-3.1, abs=0.1)


def test_small_drifts_below_the_limits_are_no_alarm(check: ArrayCheck) -> None:
    report = found(
        check,
        {"shift_x_mm": 0.6, "rotation_deg": 1.0, "defocus_um": 4.0},
        {"electrons_per_ms": 400 * 0.97, "gains": {24: 0.93, 3: 1.08}},
    )
    assert off(report) == set()


def test_a_shift_alone(check: ArrayCheck) -> None:
    report = found(check, {"shift_x_mm": 0.9, "shift_y_mm": -0.75})
    assert off(report) == {SHIFT}
    assert report.change["shift_x_mm"] == pytest.approx(0.4, abs=0.04)
    assert report.change["shift_y_mm"] == pytest.approx(-0.4, abs=0.04)
    assert amount(report, SHIFT) == pytest.approx(0.566, abs=0.05)
    assert report.findings[0].sentence.startswith("the array is shifted by 0.5")


@pytest.mark.parametrize("turn", [1.2, -1.2])
def test_a_rotation_alone(check: ArrayCheck, turn: float) -> None:
    report = found(check, {"rotation_deg": 0.8 + turn})
    assert off(report) == {ROTATION} and amount(report, ROTATION) == pytest.approx(turn, abs=0.15)


def test_a_height_alone(check: ArrayCheck) -> None:
    report = found(check, {"height_percent": 3.0})
    assert HEIGHT in off(report) <= {HEIGHT, GAIN}  # farther LEDs are fainter, too
    assert amount(report, HEIGHT) == pytest.approx(100 * (1.03 / 1.008 - 1), abs=0.25)


@pytest.mark.parametrize("focus", [12.0, -12.0])
def test_a_focus_alone(check: ArrayCheck, focus: float) -> None:
    report = found(check, {"defocus_um": 2.0 + focus})
    assert off(report) == {FOCUS} and amount(report, FOCUS) == pytest.approx(focus, rel=0.1)


@pytest.mark.parametrize("factor", [0.88, 1.12])
def test_all_leds_dimmer_or_brighter(check: ArrayCheck, factor: float) -> None:
    report = found(check, None, {"electrons_per_ms": 400 * factor})
    assert off(report) == {GAIN} and amount(report, GAIN) == pytest.approx(100 * (factor - 1), abs=0.5)


def test_single_leds_that_changed(check: ArrayCheck) -> None:
    report = found(check, None, {"gains": {24: 0.7, 8: 1.3}})
    finding = next(f for f in report.findings if f.name == LEDS)
    assert off(report) == {LEDS} and set(finding.leds) == {24, 8}
    assert report.gain[24] == pytest.approx(0.7, abs=0.03) and report.gain[8] == pytest.approx(1.3, abs=0.05)


def test_dead_leds_of_bright_and_dark_field(check: ArrayCheck) -> None:
    report = found(check, None, {"dead": (24, 10, 40)})
    finding = next(f for f in report.findings if f.name == DEAD)
    assert off(report) == {DEAD} and finding.leds == (10, 24, 40) and finding.amount == 3
    assert "3 dead LEDs: 10, 24, 40" in finding.sentence


def test_everything_at_once(check: ArrayCheck) -> None:
    report = found(
        check,
        {"shift_x_mm": 0.9, "rotation_deg": 2.0, "defocus_um": 14.0},
        {"electrons_per_ms": 360.0, "gains": {8: 0.6}, "dead": (24, 40)},
    )
    assert off(report) == {SHIFT, ROTATION, FOCUS, GAIN, LEDS, DEAD}
    assert report.change["shift_x_mm"] == pytest.approx(0.4, abs=0.06)
    assert amount(report, ROTATION) == pytest.approx(1.2, abs=0.2)
    assert amount(report, FOCUS) == pytest.approx(12, rel=0.12)
    assert amount(report, GAIN) == pytest.approx(-10, abs=1.5)
    named = {f.name: f.leds for f in report.findings}
    assert named[LEDS] == (8,) and named[DEAD] == (24, 40)


def test_limits_are_those_that_are_asked_for(check: ArrayCheck) -> None:
    with at_bench() as (device, camera):
        camera.bench.sensor = replace(camera.bench.sensor, electrons_per_ms=388.0)
        today = check.acquire(device, camera, WAYS)
    assert not check.compare(today).off
    assert off(check.compare(today, Limits(gain_percent=2.0))) == {GAIN}


def test_another_slide_or_none_is_refused_and_not_measured(check: ArrayCheck) -> None:
    for optics in ({"sample_seed": 9}, {"sample_seed": -1}):
        with pytest.raises(DataError, match="do not show the slide of the reference"):
            found(check, optics)
    with pytest.raises(DataError, match=r"are dark|sends light through"):
        found(check, None, {"dead": tuple(range(49))})


def test_what_is_no_reference_is_refused(check: ArrayCheck, reference: ImageStack) -> None:
    with pytest.raises(DataError, match="no stack of single LEDs that acquire took"):
        ArrayCheck(replace(reference, provenance=replace(reference.provenance, acquired=None)), None, [24])
    with pytest.raises(DataError, match="has no image of LED 77"):
        ArrayCheck(reference, GEOMETRY, [24, 77])


def test_the_command_says_it_and_its_status_too(
    reference: ImageStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    leds = led_array(GEOMETRY.array)
    patterns = PatternSet(
        levels=np.ones((2, len(leds))),
        exposures=np.ones(2),
        led_numbers=leds.numbers,
        positions_mm=leds.positions_mm,
        illumination_na=leds.illumination_na,
        row_names=("a", "b"),
        geometry=GEOMETRY,
    )
    export_patterns(patterns, "json", "p.json")
    save_hdf5("ref.h5", reference)
    save_hdf5("cal.h5", reference)
    Path("g.toml").write_text(to_toml(check_geometry(reference)))
    words = ["check-array", "p.json", "--device", "simulate:?leds=49", "--reference", "ref.h5", "--settle-ms", "0"]
    words += ["--geometry", "g.toml"]
    assert cli.main([*words, "--camera", f"simulate:?{QUERY}", "--leds", "30"]) == 0
    assert "the array is as it was" in capsys.readouterr().out
    assert (
        cli.main([*words, "--camera", f"simulate:?{QUERY}&dead=24&electrons_per_ms=340", "--leds", "20", "--json"]) == 1
    )
    said = json.loads(capsys.readouterr().out)
    assert said["off"] and [f["name"] for f in said["findings"] if f["off"]] == [GAIN, DEAD] and len(said["gain"]) == 20
    with at_bench() as (device, camera):
        work = Acquisition(device, camera, of_patterns(patterns), plan(patterns).frames, np.full(2, 10.0), WAYS)
        for _ in work.run():
            pass
        save_hdf5("coded.h5", work.stack())
    words[words.index("ref.h5")] = "coded.h5"
    assert cli.main([*words, "--camera", f"simulate:?{QUERY}"]) == 2
    assert "shows patterns of design" in capsys.readouterr().err


def check_geometry(reference: ImageStack) -> Geometry:
    """The pose that a calibration would find, to a little."""
    optics = at_drawing()
    pose = GEOMETRY.array.pose.replace(shift_x_mm=optics.shift_x_mm, shift_y_mm=optics.shift_y_mm, rotation_deg=0.85)
    return GEOMETRY.replace(array=GEOMETRY.array.replace(pose=pose, height_mm=72.5))


def at_drawing() -> Any:
    with at_bench() as (_, camera):
        images: BenchImages = camera.bench.images
        return images.optics


def test_a_large_shift_is_found_too(check: ArrayCheck) -> None:
    report = found(check, {"shift_x_mm": 2.0})
    assert SHIFT in off(report) and report.change["shift_x_mm"] == pytest.approx(1.5, abs=0.15)
