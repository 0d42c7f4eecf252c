"""The closed loop: how errors are measured, a small one on every kind of array, and a whole one."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ptychoui import cli
from ptychoui.bench.devices import loop
from ptychoui.bench.devices.truth import error, low_passed
from ptychoui.design.patterns import PatternSet
from ptychoui.devices.camera_opening import bench
from ptychoui.devices.device import DeviceOptions
from ptychoui.devices.opening import open_device
from ptychoui.errors import DataError
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.settings import Geometry

GEOMETRY = Geometry(
    microscope={"wavelength_um": 0.53, "objective_na": 0.1, "magnification": 4.0, "camera_pixel_um": 4.8},  # type: ignore[arg-type]
    array={"kind": "lattice", "rows": 5, "columns": 5, "pitch_mm": 4.0, "height_mm": 72.0},  # type: ignore[arg-type]
)


def field(seed: int, size: int = 64) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rough = rng.normal(size=(size, size))
    smooth = low_passed(rough.astype(complex), 1.0, 0.12).real
    return np.exp(1j * smooth / smooth.std() * 0.4)


def moved(x: np.ndarray, down: float, across: float) -> np.ndarray:
    fy, fx = (np.fft.fftfreq(n) for n in x.shape)
    return np.fft.ifft2(np.fft.fft2(x) * np.exp(-2j * np.pi * (fy[:, None] * down + fx[None, :] * across)))


def ramp(x: np.ndarray, down: float, across: float) -> np.ndarray:
    y, n = np.arange(x.shape[0]) / x.shape[0], np.arange(x.shape[1]) / x.shape[1]
    return x * np.exp(2j * np.pi * (down * y[:, None] + across * n[None, :]))


def test_what_no_image_can_tell_is_no_error() -> None:
    truth = field(1)
    for found in (
        3 * np.exp(0.7j) * truth,
        ramp(truth, 0.3, -0.8),
        moved(truth, 0.4, -1.3),
        ramp(moved(2j * truth, 2.3, 0.6), 0.5, 0.2),
    ):
        assert error(found, truth, 6) < 0.02
    assert error(truth, truth, 6) < 1e-6


def test_what_is_wrong_is_an_error_of_its_size() -> None:
    truth = field(1)
    noise = np.random.default_rng(3).normal(size=(64, 64)) + 1j * np.random.default_rng(4).normal(size=(64, 64))
    spread = np.linalg.norm(truth - truth.mean()) / 64
    for share in (0.1, 0.3):
        noisy = truth + noise * share * spread / np.sqrt(2)
        assert error(noisy, truth, 6) == pytest.approx(share, rel=0.1)
    assert error(field(2), truth, 6) > 0.7
    assert error(np.ones((64, 64)), truth, 6) == pytest.approx(1, abs=0.05)
    assert error(truth.conj(), truth, 6) > 0.7  # the phase's sign counts
    edge = truth.copy()
    edge[:4] = 0
    assert error(edge, truth, 8) < 0.05 < error(edge, truth, 0)


def test_the_bench_stands_as_the_program_is_told() -> None:
    with open_device("simulate:?leds=25", DeviceOptions()) as device:
        place = bench(
            device, GEOMETRY, "shift_x_mm=0.3&rotation_deg=2&height_percent=3&aberrations=coma_x:0.1&defocus_um=4"
        )
    told = loop.standing(place, GEOMETRY)
    leds = led_array(told.array)
    real = place.optics.places_mm()
    direction = real / np.linalg.norm(real, axis=1)[:, None]
    np.testing.assert_allclose(leds.illumination_na, direction[:, :2], atol=1e-12)
    assert told.microscope.zernike_waves == {8: 0.1} and told.microscope.defocus_um == 4
    camera = loop.measurement(place.sensor, 50.0)
    assert (camera.photons_per_led, camera.full_well, camera.adc_bits) == (20000, 1e5, 12)


def small(size: int = 40) -> loop.Loop:
    leds = led_array(GEOMETRY.array)
    x, y = leds.illumination_na.T
    bright = leds.bright_field(0.1)
    rows = [bright & (y > 1e-9), bright & (x < -1e-9), bright & (y < -1e-9), bright & (x > 1e-9), ~bright & (x > 0)]
    patterns = PatternSet(
        levels=np.array(rows, float),
        exposures=np.ones(5),
        led_numbers=leds.numbers,
        positions_mm=leds.positions_mm,
        illumination_na=leds.illumination_na,
        row_names=tuple("abcde"),
        geometry=GEOMETRY,
        name="half circles",
    )
    other = replace(patterns, levels=patterns.levels[:, ::-1].copy(), name="others")
    query = "led_points=1&full_well_e=300000"
    return loop.Loop(learned=patterns, hybrid=other, image_px=size, margin_px=6, passes=60, query=query)


def test_a_small_loop_on_every_kind_of_array() -> None:
    result = loop.run(small(), say=lambda text: None)
    assert [row["device"] for row in result["rows"]] == list(loop.DEVICES)
    for row in result["rows"]:
        assert row["acquired"]["learned"] < 0.85 and row["ratio"]["learned"] < 1.6, row
        assert abs(row["calibration"]["shift_x_mm"]) < 0.2 and abs(row["calibration"]["rotation_deg"]) < 2
    text = loop.table(result)
    assert "ptychoui" in text and "goal: at most 1.25" in text


def test_the_loop_sees_a_design_that_was_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """An array that lights other LEDs than it was told is far from its simulation: the loop would say so."""
    what = small()
    good = loop.run(what, ["illuminate2"], say=lambda text: None)["rows"][0]["acquired"]["learned"]
    light = loop.BenchCamera.electrons

    def mirrored(self: loop.BenchCamera, exposure_ms: float) -> np.ndarray:
        drive, self.bench.drive = self.bench.drive, lambda: drive()[::-1]  # type: ignore[method-assign]
        try:
            return light(self, exposure_ms)
        finally:
            self.bench.drive = drive  # type: ignore[method-assign]

    with open_device("simulate:?leds=25", DeviceOptions(brightness=1.0)) as device:
        camera = loop.BenchCamera(bench(device, GEOMETRY, what.bench_query(0)))
        profile = loop.calibrated(device, camera, what)
        monkeypatch.setattr(loop.BenchCamera, "electrons", mirrored)
        bad = loop.acquired_error(device, camera, what.learned, profile, what)
    assert bad > 2 * good


def test_a_run_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        task = None

        def result(self) -> str:
            return "lines"

    monkeypatch.setattr(loop, "load_run", lambda path: Other())
    with pytest.raises(DataError, match="learned no patterns"):
        loop.designs_of("runs/x", 1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_whole_loop_keeps_its_goals(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "loop", "--devices", "illuminate2", "ptychoui", "--threads", "1", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    for row in result["rows"]:
        assert row["ratio"]["learned"] <= loop.GOAL and row["learned_over_hybrid"] < 1
