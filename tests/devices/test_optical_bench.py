"""The emulated bench: its optics against what is known on paper, and its camera against arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ptychoui.devices.camera import Camera
from ptychoui.devices.camera_opening import bench, drawing, open_camera, said
from ptychoui.devices.device import Device, DeviceOptions
from ptychoui.devices.emulators.bench_optics import BenchImages, Optics
from ptychoui.devices.emulators.optical_bench import BenchCamera, Sensor
from ptychoui.devices.frames import Frame
from ptychoui.devices.opening import open_device
from ptychoui.errors import DeviceError, SettingsError
from ptychoui.optics.geometry.led_array import layout
from ptychoui.settings import Array, Geometry

MICROSCOPE = {"wavelength_um": 0.53, "objective_na": 0.1, "magnification": 4.0, "camera_pixel_um": 4.8}
LATTICE = {"kind": "lattice", "rows": 3, "columns": 3, "pitch_mm": 4.0, "height_mm": 72.0}
GEOMETRY = Geometry(microscope=MICROSCOPE, array=LATTICE)  # type: ignore[arg-type]
EXACT: dict[str, Any] = {
    "rotation_deg": 0.0,
    "shift_x_mm": 0.0,
    "shift_y_mm": 0.0,
    "height_percent": 0.0,
    "defocus_um": 0.0,
    "aberrations": {},
    "led_points": 1,
    "image_px": 32,
    "lambertian": False,
}


def optics(**changes: Any) -> Optics:
    numbers, positions = drawing(GEOMETRY.array)
    values = {**MICROSCOPE, "led_numbers": numbers, "positions_mm": positions, "height_mm": 72.0, **EXACT}
    return Optics(**{**values, **changes})


@contextmanager
def camera(query: str = "", kind: str = "illuminate2", brightness: float = 1.0) -> Iterator[tuple[Device, BenchCamera]]:
    with open_device(f"simulate:{kind}?leds=9", DeviceOptions(brightness=brightness)) as device:
        usual = (
            "image_px=32&led_points=1&sample_seed=-1&lambertian=0&gain_rms=0&stray_share=0&ambient_e_per_ms=0&noise=0"
        )
        place = bench(device, GEOMETRY, "&".join([usual, query] if query else [usual]))
        with BenchCamera(place) as found:
            yield device, found


def lit(**levels: float) -> Frame:
    numbers = np.array([int(name[1:]) for name in levels])
    return Frame(numbers=numbers, levels=np.array(list(levels.values())))


# Optics ------------------------------------------------------------------------------------------------------


def test_an_empty_slide_is_bright_inside_the_pupil_and_dark_outside() -> None:
    far = np.array([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0], [12.0, 0.0, 0.0], [0.0, -12.0, 0.0]])
    made = BenchImages(optics(led_numbers=np.arange(4), positions_mm=far, sample_seed=-1))
    means = [float(made.image(led).mean()) for led in range(4)]
    assert means[0] == pytest.approx(1, abs=2e-3) and means[1] == pytest.approx(1, abs=0.01)
    assert means[2] < 1e-4 and means[3] < 1e-4  # NA 0.164, outside 0.1


def grating(made: BenchImages, cycles_per_um: float, along: int) -> None:
    """A weak phase grating along x (1) or y (0) instead of the slide."""
    place = (made._y, made._x)[along]
    made.sample = np.exp(0.1j * np.cos(2 * np.pi * cycles_per_um * place))
    made._sample = (made.sample * made._fade).astype(np.complex64)


@pytest.mark.parametrize(("x", "y", "along"), [(10.0, 0.0, 1), (-10.0, 0.0, 1), (0.0, 10.0, 0), (0.0, -10.0, 0)])
def test_a_grating_seen_from_aside_has_fringes_along_its_own_axis(x: float, y: float, along: int) -> None:
    # NA 0.138: the direct light misses the pupil. Of the two orders only the one that the tilt brings in passes.
    made = BenchImages(optics(led_numbers=np.arange(1), positions_mm=np.array([[x, y, 0.0]]), sample_seed=-1))
    grating(made, 0.15, along)  # 0.0795 of NA
    dark_field = float(made.image(0).mean())
    assert dark_field == pytest.approx(0.05**2, rel=0.1)  # |J1(0.1)|^2 of one order


def test_light_comes_along_minus_x_from_an_led_at_plus_x() -> None:
    # A phase step that is a prism: light through it leaves the pupil or stays in it by the side that it comes from.
    sides = []
    for x in (6.0, -6.0):
        made = BenchImages(optics(led_numbers=np.arange(1), positions_mm=np.array([[x, 0.0, 0.0]]), sample_seed=-1))
        made.sample = np.exp(2j * np.pi * 0.08 * made._x)  # bends towards +x by NA 0.042
        made._sample = (made.sample * made._fade).astype(np.complex64)
        sides.append(float(made.image(0)[8:-8, 8:-8].mean()))
    # From +6 mm (NA 0.083) light travels towards -x at -0.083: the prism brings it nearer to the axis. From -6 mm it
    # leaves at 0.125, outside the pupil.
    assert sides[0] > 0.95 and sides[1] < 0.05


def test_intensities_agree_with_the_programs_own_model_where_both_hold() -> None:
    """The two are written apart; on the axis of a point source without aberrations they must be one physics."""
    from ptychoui.optics.forward.simulate import single_led_images
    from ptychoui.optics.geometry.curvature import curvature, curved_light
    from ptychoui.optics.geometry.led_array import led_array
    from ptychoui.optics.geometry.microscope import sampling

    made = BenchImages(optics())
    leds = led_array(GEOMETRY.array)
    grids = sampling(GEOMETRY.microscope, leds, made.span_px, 0)
    slide = made.truth(int(grids.upsampling), made.span_px)
    slide = slide * curved_light(GEOMETRY.microscope, grids, curvature(GEOMETRY))
    own = single_led_images(GEOMETRY, leds, slide[None].astype(np.complex64), grids)[0]
    inner = slice(made.border_px, -made.border_px)
    for led, wrong in ((4, 8), (5, 3), (1, 7)):
        there = made.image(led)
        apart = np.sqrt(np.mean((own[led][inner, inner] - there) ** 2)) / there.std()
        other = np.sqrt(np.mean((own[wrong][inner, inner] - there) ** 2)) / there.std()
        assert apart < 0.25 and other > 2 * apart, (led, apart, other)


def test_the_grid_is_at_least_twice_as_fine_as_a_reconstruction_s() -> None:
    from ptychoui.optics.geometry.led_array import led_array
    from ptychoui.optics.geometry.microscope import sampling

    made = BenchImages(optics())
    assert made.finer >= 2 * sampling(GEOMETRY.microscope, led_array(GEOMETRY.array), 64, 0).upsampling


def test_focus_size_width_and_pose_change_images() -> None:
    plain = BenchImages(optics()).image(5)
    changes: tuple[dict[str, Any], ...] = (
        {"defocus_um": 15.0},
        {"led_size_um": 1500.0, "led_points": 4},
        {"bandwidth_nm": 40.0},
        {"aberrations": {"coma x": 0.1}},
        {"rotation_deg": 5.0},
        {"shift_y_mm": 0.5},
        {"height_percent": 5.0},
        {"slide_x_um": 2.4},
    )
    for change in changes:
        assert np.abs(BenchImages(optics(**change)).image(5) - plain).max() > 0.01, change
    moved = BenchImages(optics(led_points=1, slide_x_um=1.2)).image(4)
    np.testing.assert_allclose(moved[:, 1:], BenchImages(optics()).image(4)[:, :-1], atol=0.02)


def test_a_lambertian_led_is_fainter_aside() -> None:
    even, falling = (BenchImages(optics(sample_seed=-1, lambertian=on)).image(5).mean() for on in (False, True))
    cosine = 72 / np.hypot(72, 4)
    assert falling / even == pytest.approx(cosine**4, rel=1e-4)


def test_truth_is_the_slide_at_the_pixels_asked_for() -> None:
    made = BenchImages(optics())
    truth = made.truth(2, 32)
    assert truth.shape == (64, 64)
    first = made.border_px * made.finer
    exact = made.sample[first :: made.finer // 2, first :: made.finer // 2][:64, :64]
    assert np.abs(truth - exact).mean() < 0.02
    with pytest.raises(SettingsError, match="points per camera pixel"):
        made.truth(made.finer + 2, 32)


def test_settings_of_the_bench_are_held_to_their_ranges() -> None:
    for wrong in (
        {"image_px": 8},
        {"led_points": 0},
        {"aberrations": {"trefoil": 0.1}},
        {"positions_mm": np.zeros((2, 3))},
    ):
        with pytest.raises(SettingsError):
            optics(**wrong)
    for sensor in ({"bits": 4}, {"electrons_per_ms": 0.0}, {"colour": "violet"}, {"offset": 5000.0}):
        with pytest.raises(SettingsError):
            Sensor(**sensor)  # type: ignore[arg-type]


@pytest.mark.parametrize("more", [{}, {"serpentine": True}, {"rows": 4, "columns": 2}, {"order": "columns"}])
def test_the_drawing_is_that_of_the_program(more: dict[str, Any]) -> None:
    array = Array(**{**LATTICE, **more, "pose": {"shift_x_mm": 3.0}})  # type: ignore[arg-type]
    numbers, positions = drawing(array)
    known, places = layout(array)
    np.testing.assert_array_equal(numbers, known)
    np.testing.assert_allclose(positions, places)


# Camera ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["illuminate2", "illuminate1", "ptychoui", "uc2", "uc2-can", "adalight"])
def test_every_array_is_seen_with_the_light_that_it_was_sent(kind: str) -> None:
    with camera("electrons_per_ms=100&full_well_e=80000&offset=50", kind) as (device, eye):
        values = device.show(lit(n4=1.0, n5=0.5))
        assert values[[4, 5]].tolist() == [255, 128]
        per_count = 80000 / (4095 - 50)
        want = sum(v / 255 * eye.bench.images.image(n).mean() for n, v in ((4, 255), (5, 128)))
        assert eye.snap(100).mean() == pytest.approx(50 + want * 100 * 100 / per_count, abs=0.5)
        assert eye.snap(200).mean() == pytest.approx(50 + want * 200 * 100 / per_count, abs=0.5)
        device.clear()
        assert (eye.snap(100) == 50).all()


def test_dim_arrays_and_wrong_colours_are_seen_as_they_are() -> None:
    with camera("offset=0", brightness=0.1) as (device, eye):
        device.show(lit(n4=1.0))
        dim = eye.snap(100).mean()
        device.show(lit(n4=0.5))
        assert eye.snap(100).mean() == pytest.approx(dim * 13 / 26, rel=0.02)  # 8 bits: 0.5 * 26 rounds to 13
    with camera("offset=0&colour=red") as (device, eye):
        device.show(lit(n4=1.0))  # green
        assert eye.snap(100).max() == 0


def test_gains_dead_leds_stray_light_and_the_room() -> None:
    with camera("offset=0") as (device, eye):
        device.show(lit(n4=1.0, n5=1.0))
        plain = eye.snap(50).mean()
        one = eye.bench.images.image(4).mean(), eye.bench.images.image(5).mean()
        eye.bench.sensor = replace(eye.bench.sensor, gains={4: 0.5})
        assert eye.snap(50).mean() == pytest.approx(plain * (0.5 * one[0] + one[1]) / sum(one), rel=1e-3)
        eye.bench.sensor = replace(eye.bench.sensor, gains={}, dead=(5,))
        assert eye.snap(50).mean() == pytest.approx(plain * one[0] / sum(one), rel=1e-3)
        eye.bench.sensor = replace(eye.bench.sensor, dead=(), stray_share=0.1)
        assert eye.snap(50).mean() == pytest.approx(plain * (sum(one) + 0.2) / sum(one), rel=1e-3)
        eye.bench.sensor = replace(eye.bench.sensor, stray_share=0.0, ambient_e_per_ms=40.0)
        assert eye.snap(50).mean() == pytest.approx(plain + 40 * 50 / eye.bench.sensor.electrons_per_count, rel=1e-3)
        spread = replace(eye.bench.sensor, gain_rms=0.1)
        eye.bench.sensor = spread
        gain = eye.bench.gain(2000)
        assert np.log(gain).std() == pytest.approx(0.1, rel=0.1) and (eye.bench.gain(2000) == gain).all()


def test_noise_is_that_of_photons_and_of_the_read_out() -> None:
    with camera("noise=1&read_noise_e=60&electrons_per_ms=100&full_well_e=80000&offset=200") as (device, eye):
        per_count = eye.bench.sensor.electrons_per_count
        dark = eye.snap(1).astype(float)
        assert dark.std() == pytest.approx(np.hypot(60 / per_count, np.sqrt(1 / 12)), rel=0.08)
        assert dark.mean() == pytest.approx(200, abs=0.5)
        device.show(lit(n4=1.0))
        frames = np.stack([eye.snap(100) for _ in range(8)]).astype(float)
        shot = 100 * 100 * eye.bench.images.image(4).mean()
        assert frames.std(0, ddof=1).mean() == pytest.approx(np.sqrt(shot + 3600) / per_count, rel=0.08)


def test_a_full_pixel_is_said_to_be_full() -> None:
    with camera() as (device, eye):
        device.show(lit(n4=1.0))
        good, full = eye.snap(100), eye.snap(1000)
        assert eye.saturated(good) == 0 and good.max() < 4095
        assert eye.saturated(full) == 1 and full.max() == 4095 == eye.full_well


def test_exposures_of_part_of_a_period_are_not_the_level() -> None:
    with camera("pwm_period_ms=10&offset=0") as (device, eye):
        device.show(lit(n4=0.5))
        whole = {int(eye.snap(20).mean()) for _ in range(20)}
        parts = {int(eye.snap(15).mean()) for _ in range(20)}
        assert max(whole) - min(whole) <= 1 and max(parts) - min(parts) > 50


def test_a_camera_refuses_what_it_cannot_do() -> None:
    with camera() as (_, eye):
        for wrong in (0.001, 100_000.0):
            with pytest.raises(DeviceError, match=r"the emulated camera exposes 0\.01 to 60000 ms"):
                eye.snap(wrong)


class _Odd(Camera):
    shape = (4, 4)

    def __init__(self, frame: np.ndarray) -> None:
        self.frame, self.closed = frame, 0

    def _snap(self, exposure_ms: float) -> np.ndarray:
        return self.frame

    def close(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("frame", [np.zeros((4, 5), np.uint16), np.zeros((4, 4))])
def test_a_frame_of_another_shape_or_kind_is_refused(frame: np.ndarray) -> None:
    with _Odd(frame) as odd, pytest.raises(DeviceError, match="region or binning"):
        odd.snap(1)
    assert odd.closed == 1


def test_urls_of_cameras() -> None:
    with open_device("simulate:?leds=9", DeviceOptions()) as device:
        with open_camera(
            "simulate:?image_px=40&dead=1,2&gains=3:0.5,4:2&aberrations=coma_x:0.1&seed=4", device, GEOMETRY
        ) as eye:
            assert isinstance(eye, BenchCamera) and eye.shape == (40, 40)
            assert eye.bench.sensor.dead == (1, 2) and eye.bench.sensor.gains == {3: 0.5, 4: 2.0}
            assert eye.bench.optics.aberrations == {"coma x": 0.1} and eye.bench.sensor.seed == 4
            assert eye.bench.sensor.colour == "green"
        red = GEOMETRY.replace(microscope=GEOMETRY.microscope.replace(wavelength_um=0.63))
        with open_camera("simulate:", device, red) as eye:
            assert isinstance(eye, BenchCamera) and eye.bench.sensor.colour == "red"
        for wrong in ("basler:", "simulate", "simulate:other"):
            with pytest.raises(DeviceError, match="there is no camera"):
                open_camera(wrong, device, GEOMETRY)
        device.emulator = None
        with pytest.raises(DeviceError, match="emulated arrays alone"):
            open_camera("simulate:", device, GEOMETRY)
    for query in ("height_mm=3", "dead=a", "image_px=1.5", "lambertian=perhaps", "nothing=1"):
        with pytest.raises(SettingsError):
            said(query)
