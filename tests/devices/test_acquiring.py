"""Frames of patterns become a stack: exposures, dark counts, brightness, heartbeats, stops, and the command."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tqdm

from ptychoui import cli
from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.native import save_hdf5
from ptychoui.data.formats.open import open_dataset
from ptychoui.design.patterns import PatternSet
from ptychoui.devices.acquired_stack import Dark, of_patterns, of_single_leds
from ptychoui.devices.acquiring import Acquisition, Ways, snap
from ptychoui.devices.camera import Camera
from ptychoui.devices.camera_opening import bench
from ptychoui.devices.device import Device, DeviceOptions
from ptychoui.devices.emulators.optical_bench import BenchCamera
from ptychoui.devices.exposing import Exposing, better, whole_periods
from ptychoui.devices.opening import open_device
from ptychoui.devices.playing import plan, profile_gain
from ptychoui.devices.timeline import Timing
from ptychoui.errors import DataError, DeviceError, SettingsError, StopRequested
from ptychoui.export.formats import export_patterns
from ptychoui.settings import Geometry, Reconstruct, to_toml
from ptychoui.workflows.coded_stack import CodedReconstruction, open_coded_images
from ptychoui.workflows.reconstruct_stack import open_stack

Make = Callable[..., PatternSet]
QUERY = "image_px=32&led_points=1&stray_share=0&read_noise_e=2"
FAST = Timing(settle_ms=0.0)


@contextmanager
def at_bench(geometry: Geometry, query: str = "", kind: str = "illuminate2", brightness: float = 1.0) -> Iterator[Any]:
    with open_device(f"simulate:{kind}?leds=16", DeviceOptions(brightness=brightness)) as device:
        yield device, BenchCamera(bench(device, geometry, "&".join(part for part in (QUERY, query) if part)))


def taken(device: Device, camera: Camera, patterns: PatternSet, ways: Ways | None = None, **planned: Any) -> ImageStack:
    wanted = plan(patterns, **planned)
    subject = of_patterns(patterns, planned.get("gain"), wanted.notes)
    work = Acquisition(device, camera, subject, wanted.frames, wanted.exposures_ms, ways or Ways(timing=FAST))
    for _ in work.run():
        pass
    return work.stack()


@pytest.fixture
def patterns(make_design: Make) -> PatternSet:
    levels = np.zeros((3, 16))
    levels[0, [5, 6]] = 1, 0.43
    levels[1, [9, 10, 5]] = 0.5, 1, 0.2
    levels[2, [0, 3, 12]] = 1, 0.67, 1
    return make_design(levels, exposures=np.array([0.5, 0.8, 2.0]))


def test_a_stack_is_light_over_exposure_and_knows_what_shone(patterns: PatternSet) -> None:
    with at_bench(patterns.geometry, "noise=0&ambient_e_per_ms=30&offset=70&electrons_per_ms=300") as (device, camera):
        stack = taken(device, camera, patterns)
        lights = []
        for levels in patterns.levels:
            values = np.rint(levels * 255).astype(np.uint8)
            lights.append(camera.bench.light(values, 1.0))
        assert (device.emulator.light == 0).all()
    acquired = stack.provenance.acquired
    assert acquired is not None and acquired.exposures_ms == (50.0, 80.0, 200.0)
    assert acquired.dark_counts == pytest.approx(70, abs=0.7) and acquired.design == "test design"
    np.testing.assert_array_equal(acquired.values, np.rint(patterns.levels * 255))
    np.testing.assert_allclose(stack.exposure, [0.25, 0.4, 1.0])
    per_count = 1e5 / (4095 - 70)
    for image, light in zip(stack.images, lights, strict=True):
        counts = image * stack.unit_counts / 200.0
        np.testing.assert_allclose(counts, light * 300 / per_count, atol=0.05)
    np.testing.assert_array_equal(stack.led_numbers, [0, 1, 2])
    assert np.percentile(stack.images[np.argmax(stack.images.mean((1, 2)))], 99) == pytest.approx(1)


@pytest.mark.parametrize("kind", ["illuminate2", "illuminate1", "uc2", "ptychoui"])
def test_all_kinds_of_arrays_give_the_same_stack(patterns: PatternSet, kind: str) -> None:
    with at_bench(patterns.geometry, kind=kind) as (device, camera):
        found = taken(device, camera, patterns)
    with at_bench(patterns.geometry) as (device, camera):
        other = taken(device, camera, patterns)
    np.testing.assert_array_equal(found.images, other.images)


def test_the_reconstruction_is_told_the_light_that_was_shown(patterns: PatternSet, tmp_path: Path) -> None:
    """At 4 % brightness only ten values are left: what was shown is not the design, and is known."""
    with at_bench(patterns.geometry, brightness=0.04) as (device, camera):
        path = save_hdf5(tmp_path / "s.h5", taken(device, camera, patterns))
    stack = open_coded_images(str(path), patterns.geometry, 3)
    given = (patterns.levels, patterns.exposures, patterns.led_numbers, Reconstruct(pad_px=0))
    work = CodedReconstruction(stack, *given)
    shown = np.rint(patterns.levels * 10) * patterns.exposures[:, None]
    np.testing.assert_allclose(work.weights, shown / shown.max())
    assert np.abs(shown / shown.max() - patterns.levels * patterns.exposures[:, None] / 2).max() > 0.005
    # Light and images have one scale: counts as they were taken.
    assert stack.exposure is not None
    counts = stack.images * stack.exposure[:, None, None].astype(np.float32)
    np.testing.assert_allclose(work._work._recorded[0].numpy(), np.clip(counts, 0, None), rtol=1e-5)
    order = np.argsort(-patterns.led_numbers)
    turned = CodedReconstruction(
        replace(
            stack, provenance=replace(stack.provenance, acquired=replace(stack.provenance.acquired, design_sha256=""))
        ),  # type: ignore[type-var, arg-type]
        patterns.levels[:, order],
        patterns.exposures,
        patterns.led_numbers[order],
        Reconstruct(pad_px=0),
    )
    np.testing.assert_allclose(turned.weights, work.weights[:, order])
    with pytest.raises(DataError, match="taken with other patterns, test design"):
        CodedReconstruction(stack, patterns.levels * 0.5, *given[1:])
    with pytest.raises(DataError, match="shows patterns of test design, not LEDs one by one"):
        open_stack(str(path), None)


def test_measured_brightness_is_divided_out_once(patterns: PatternSet) -> None:
    gain = np.linspace(0.7, 1.3, 16)
    gains = ",".join(f"{number}:{factor}" for number, factor in enumerate(gain))
    with at_bench(patterns.geometry, f"noise=0&gain_rms=0&lambertian=0&gains={gains}") as (device, camera):
        stack = taken(device, camera, patterns, gain=gain / np.median(gain))
        raw = taken(device, camera, patterns, gain=gain / np.median(gain), divide_gain=False)
    for one, wanted in ((stack, patterns.levels), (raw, patterns.levels * gain)):
        work = CodedReconstruction(
            replace(one, geometry=patterns.geometry),
            patterns.levels,
            patterns.exposures,
            patterns.led_numbers,
            Reconstruct(pad_px=0),
        )
        light = wanted * patterns.exposures[:, None]
        np.testing.assert_allclose(work.weights, light / light.max(), atol=0.004)


def test_falloff_counts_where_nothing_was_measured(patterns: PatternSet) -> None:
    falling = patterns.geometry.replace(array=patterns.geometry.array.replace(falloff="cos4"))
    with at_bench(patterns.geometry) as (device, camera):
        stack, known = taken(device, camera, patterns), taken(device, camera, patterns, gain=np.ones(16))
    given = (patterns.levels, patterns.exposures, patterns.led_numbers, Reconstruct(pad_px=0))
    by_model = CodedReconstruction(replace(stack, geometry=falling), *given)
    measured = CodedReconstruction(replace(known, geometry=falling), *given)
    light = measured.weights * by_model.leds.gain
    np.testing.assert_allclose(by_model.weights, light / light.max())


# Exposures ---------------------------------------------------------------------------------------------------


def test_automatic_exposures_fill_the_well_or_take_the_longest(patterns: PatternSet) -> None:
    with at_bench(patterns.geometry) as (device, camera):
        work = Acquisition(
            device,
            camera,
            of_patterns(patterns),
            plan(patterns).frames,
            plan(patterns).exposures_ms,
            Ways(timing=FAST, automatic=True, longest_ms=130.0),
        )
        found = list(work.run())
        for shot in found[1:2]:
            assert 0.7 < (np.quantile(shot.counts, 0.999) - 100) / 3995 < 0.9 and shot.saturated == 0
        assert found[2].exposing.exposure_ms == 130.0 and found[2].exposing.dimming == 1
        stack = work.stack()
    assert stack.provenance.acquired is not None and stack.provenance.acquired.exposures_ms[2] == 130.0


def test_a_pattern_too_bright_for_the_shortest_exposure_is_dimmed(patterns: PatternSet) -> None:
    with at_bench(patterns.geometry, "electrons_per_ms=40000") as (device, camera):
        camera.shortest_ms = 10.0
        work = Acquisition(
            device,
            camera,
            of_patterns(patterns),
            plan(patterns).frames[:2],
            plan(patterns).exposures_ms[:2],
            Ways(timing=FAST, automatic=True),
        )
        shots = list(work.run())
        assert all(shot.exposing.exposure_ms == 10.0 and shot.exposing.dimming < 0.5 for shot in shots)
        assert all(0.6 < (np.quantile(shot.counts, 0.999) - 100) / 3995 < 0.95 for shot in shots)
        stack = work.stack()
        light = np.array([camera.bench.light(shot.values, 10.0).mean() for shot in shots])
    images = stack.images.mean((1, 2)) * stack.exposure
    assert images[0] / images[1] == pytest.approx(light[0] / light[1], rel=0.02)


def test_exposures_are_whole_periods_inside_the_camera_s_range() -> None:
    eye = BenchCamera.__new__(BenchCamera)
    eye.shortest_ms, eye.longest_ms = 3.0, 500.0
    timing = Timing(pwm_period_ms=2.0)
    for wanted, found in ((50.9, 50.0), (51.1, 52.0), (1.0, 4.0), (999.0, 300.0)):
        assert whole_periods(wanted, timing, eye, 301.0) == found
    assert whole_periods(0.5, Timing(pwm_period_ms=0.0), eye, 1e9) == 3.0
    with pytest.raises(SettingsError, match="no exposure fits"):
        whole_periods(10.0, timing, eye, 3.5)


def test_what_is_better_is_found_from_any_frame() -> None:
    eye = BenchCamera.__new__(BenchCamera)
    eye.shortest_ms, eye.longest_ms, eye.full_well = 1.0, 1e4, 4095
    timing = Timing(pwm_period_ms=0.0)

    def after(count: int, exposure: float = 100.0, dimming: float = 1.0) -> Exposing:
        now = Exposing(exposure_ms=exposure, dimming=dimming)
        return better(now, np.full((20, 20), count, np.uint16), eye, 95.0, timing, 1000.0)

    assert after(95 + 3200) == Exposing(exposure_ms=100.0)
    assert after(95 + 1600).exposure_ms == pytest.approx(200)
    assert after(4095).exposure_ms == pytest.approx(12.5)
    assert after(96).exposure_ms == 1000.0
    assert after(4095, exposure=1.0) == Exposing(exposure_ms=1.0, dimming=0.125)
    assert after(95 + 1600, exposure=1.0, dimming=0.25) == Exposing(exposure_ms=1.0, dimming=0.5)
    assert after(95 + 400, exposure=1.0, dimming=0.5) == Exposing(exposure_ms=4.0)
    one_hot = np.full((20, 20), 2000, np.uint16)
    one_hot[3, 4] = 4095
    assert better(Exposing(exposure_ms=10.0), one_hot, eye, 95.0, timing, 1e3).exposure_ms == pytest.approx(7)


def test_saturated_pixels_and_lost_leds_are_said(patterns: PatternSet) -> None:
    with at_bench(patterns.geometry) as (device, camera):
        stack = taken(device, camera, patterns, frame_ms=2000.0)
    notes = " ".join(stack.provenance.notes)
    assert "row 1: " in notes and "of the pixels are saturated" in notes
    assert dict(stack.provenance.clipped)[0] > 0.5 and stack.provenance.clipped[0][1] >= stack.provenance.clipped[-1][1]
    with at_bench(patterns.geometry, brightness=0.006) as (device, camera):
        stack = taken(device, camera, patterns)
    assert "row 2: 1 LED of 3 are too dim to shine" in " ".join(stack.provenance.notes)


def test_a_lit_room_is_refused_and_dark_counts_grow_with_time(patterns: PatternSet) -> None:
    with (
        at_bench(patterns.geometry, "ambient_e_per_ms=1e6") as (device, camera),
        pytest.raises(DeviceError, match="all LEDs are off"),
    ):
        taken(device, camera, patterns)
    assert Dark(counts=100.0, per_ms=0.5).at(10) == 105


# Heartbeats and stops -----------------------------------------------------------------------------------------


def test_long_exposures_do_not_end_in_the_dark(patterns: PatternSet) -> None:
    """The own sketch goes dark without heartbeats: a camera that looks for long must not see that."""
    with at_bench(patterns.geometry, "real_time=1", kind="ptychoui") as (device, camera):
        device.emulator.board.heartbeat_s = getattr(device.emulator.board, "heartbeat_s", 3.0)
        device.beat_every_s = 0.05
        beats: list[int] = []
        beat = device.beat
        device.beat = lambda: (beats.append(1), beat())[1]
        device.show(plan(patterns).frames[0])
        counts = snap(device, camera, 400.0)
        assert len(beats) >= 5 and counts.mean() > 200
        snap(device, camera, 5.0)

        def fails(exposure_ms: float) -> Any:
            raise DeviceError("the camera is gone")

        camera._snap = fails
        with pytest.raises(DeviceError, match="the camera is gone"):
            snap(device, camera, 400.0)
    assert threading.active_count() == 1 or all(thread.name != "exposure" for thread in threading.enumerate())


def test_a_stop_leaves_the_array_dark_and_what_was_taken(patterns: PatternSet) -> None:
    with at_bench(patterns.geometry) as (device, camera):
        work = Acquisition(
            device, camera, of_patterns(patterns), plan(patterns).frames, plan(patterns).exposures_ms, Ways(timing=FAST)
        )
        run = work.run()
        next(run)
        device.abort.set()
        with pytest.raises(StopRequested):
            next(run)
        stack = work.stack()
        board = device.emulator
    assert (board.light == 0).all() and len(stack.images) == 1
    assert stack.provenance.acquired is not None and stack.provenance.acquired.wanted == 3
    with pytest.raises(DataError, match="no frame was taken"):
        Acquisition(device, camera, of_patterns(patterns), [], np.ones(0), Ways()).stack()


# The command -------------------------------------------------------------------------------------------------


@pytest.fixture
def files(patterns: PatternSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)
    export_patterns(patterns, "json", tmp_path / "p.json")
    (tmp_path / "g.toml").write_text(to_toml(patterns.geometry))
    return tmp_path


WAY = ["--device", "simulate:?leds=16", "--camera", f"simulate:?{QUERY}", "--brightness", "1", "--settle-ms", "0"]


def test_acquire_then_reconstruct(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["acquire", "p.json", *WAY, "--out", "s.h5", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [image["exposure_ms"] for image in said["images"]] == [50, 80, 200] and said["dark"]["counts"] > 99
    assert cli.main(["reconstruct", "s.h5", "--patterns", "p.json", "--passes", "3", "-o", "r.h5"]) == 0
    assert cli.main(["acquire", "p.json", *WAY, "-o", "s.h5", "--auto-exposure", "--longest-ms", "130"]) == 0
    out = capsys.readouterr()
    assert "s.h5: 3 frames, the array is dark" in out.out and "row 3: 3 LEDs, 130 ms" in out.err


def test_single_leds_make_a_stack_that_calibrates(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["acquire", "--single-leds", "g.toml", *WAY, "-o", "one.h5", "--auto-exposure"]) == 0
    stack = open_dataset("one.h5", None)
    assert isinstance(stack, ImageStack) and stack.led_numbers.tolist() == list(range(16))
    assert stack.geometry is not None and stack.geometry.array.rows == 4
    acquired = stack.provenance.acquired
    assert acquired is not None and np.array_equal(acquired.values, 255 * np.eye(16)) and not acquired.design_sha256
    assert open_stack("one.h5", None).images.shape == (16, 32, 32)
    # Dimmed LEDs are told apart from faint ones by their drive values.
    subject, frames = of_single_leds(stack.geometry)
    with at_bench(stack.geometry, "noise=0&electrons_per_ms=30000") as (device, camera):
        camera.shortest_ms = 10.0
        work = Acquisition(device, camera, subject, frames, np.full(16, 10.0), Ways(timing=FAST, automatic=True))
        assert min(shot.exposing.dimming for shot in work.run()) < 0.5
        found = work.stack().images.mean((1, 2))
        gain = camera.bench.gain(16)
        light = np.array([gain[led] * camera.bench.images.image(led).mean() for led in range(16)])
    bright = light > 0.1 * light.max()
    np.testing.assert_allclose(found[bright] / found[bright].max(), light[bright] / light[bright].max(), rtol=0.03)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["p.json", "--single-leds", "g.toml"], "either patterns or --single-leds"),
        ([], "either patterns or --single-leds"),
        (["--single-leds", "g.toml", "--bits", "3"], "belong to patterns"),
        (["p.json", "--gains", "g.toml"], "states no brightness of LEDs"),
        (["missing.json"], "missing.json"),
    ],
)
def test_words_that_do_not_fit(
    files: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert cli.main(["acquire", *words, *WAY, "-o", "s.h5"]) == 2
    assert sentence in capsys.readouterr().err and not Path("s.h5").exists()


def test_the_output_is_never_what_is_read(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = Path("p.json").read_bytes()
    assert cli.main(["acquire", "p.json", *WAY, "-o", "p.json"]) == 2
    assert Path("p.json").read_bytes() == before and "would be overwritten" in capsys.readouterr().err


@pytest.mark.parametrize("at", [0, 2])
def test_ctrl_c_keeps_whole_frames_and_the_old_file(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    Path("s.h5").write_bytes(b"old")
    seen = []
    real = BenchCamera._snap

    def stops(self: BenchCamera, exposure_ms: float) -> Any:
        seen.append(self.bench.board)
        if len(seen) == 3 + at:  # two frames without light come first
            os.kill(os.getpid(), signal.SIGINT)
        return real(self, exposure_ms)

    monkeypatch.setattr(BenchCamera, "_snap", stops)
    assert cli.main(["acquire", "p.json", *WAY, "-o", "s.h5", "--settle-ms", "1"]) == 2 or at == 2
    assert (seen[-1].light == 0).all()
    err = capsys.readouterr().err
    if at == 0:
        assert (
            Path("s.h5").read_bytes() == b"old"
            and "stopped, the array is dark; 1 frame of 3 are in s.partial.h5" in err
        )
        partial = open_dataset("s.partial.h5", None)
        assert isinstance(partial, ImageStack) and len(partial.images) == 1
    assert not list(files.glob(".*.tmp"))


def test_a_profile_tells_the_brightness(patterns: PatternSet, tmp_path: Path) -> None:
    path = tmp_path / "profile.toml"
    gains = [float(number + 1) for number in range(16)]
    path.write_text(to_toml(patterns.geometry) + f"\n[images]\ngains = {gains}\n")
    np.testing.assert_allclose(profile_gain(path, patterns), np.array(gains) / 8.5)
    with pytest.raises(DataError, match="does not know LED 99"):
        numbers = patterns.led_numbers.copy()
        numbers[3] = 99
        profile_gain(path, replace(patterns, led_numbers=numbers))


def test_images_carry_the_numbers_of_their_leds(patterns: PatternSet) -> None:
    some = patterns.geometry.replace(array=patterns.geometry.array.replace(led_numbers=(9, 2, 6)))
    subject, frames = of_single_leds(some)
    with at_bench(some) as (device, camera):
        work = Acquisition(device, camera, subject, frames, np.full(3, 50.0), Ways(timing=FAST))
        shown = [int(np.argmax(shot.values)) for shot in work.run()]
        stack = work.stack()
    assert shown == stack.led_numbers.tolist() == [9, 2, 6]
    assert stack.provenance.acquired is not None and stack.provenance.acquired.led_numbers == (9, 2, 6)


def test_an_array_that_does_not_tell_what_it_shows_is_said(patterns: PatternSet) -> None:
    for kind, said in (("illuminate2", False), ("ptychoui", False), ("uc2", True), ("adalight", True)):
        with at_bench(patterns.geometry, kind=kind) as (device, camera):
            stack = taken(device, camera, patterns)
        assert any("what was sent, not what shone" in note for note in stack.provenance.notes) == said, kind
