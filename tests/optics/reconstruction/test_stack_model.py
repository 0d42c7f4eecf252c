"""The stack's model against the simple model of `oracle`, and its derivatives against differences."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from optics import oracle

from ptychoui.errors import DataError, GeometryError
from ptychoui.optics.geometry.led_array import LedArray, led_array
from ptychoui.optics.geometry.microscope import Sampling
from ptychoui.optics.reconstruction.lbfgs import limited_memory_bfgs
from ptychoui.optics.reconstruction.stack import StackReconstruction
from ptychoui.optics.reconstruction.stack_fit import (
    BACKGROUND,
    FACTOR,
    GAIN,
    OBJECT,
    POSE,
    SHIFT,
    ZERNIKE,
    StackFit,
    in_sequence,
)
from ptychoui.optics.reconstruction.stack_grids import free_border_px, object_upsampling, stack_sampling
from ptychoui.optics.reconstruction.stack_model import StackModel
from ptychoui.settings import Array, Geometry, Microscope, Pose, Reconstruct

EVERYTHING = (OBJECT, FACTOR, ZERNIKE, GAIN, BACKGROUND, POSE, SHIFT)


def scope(**changes: object) -> Microscope:
    values = {"wavelength_um": 0.5, "objective_na": 0.1, "magnification": 1, "camera_pixel_um": 1.5} | changes
    return Microscope(**values)


def leds() -> LedArray:
    pose = Pose(rotation_deg=5, shift_x_mm=0.7)
    return led_array(Array(kind="lattice", rows=3, columns=3, pitch_mm=5, height_mm=60, pose=pose))


def model(microscope: Microscope, nolls: tuple[int, ...] = (), tile: int = 20, pad: int = 2) -> StackModel:
    images = np.random.default_rng(0).uniform(0.3, 1, (9, tile, tile)).astype(np.float32)
    grids = stack_sampling(microscope, leds(), tile, pad)
    return StackModel(microscope, leds(), grids, images, nolls, 1e-3, torch.float64)


@pytest.mark.parametrize(
    "changes",
    [{}, {"pixel": "point"}, {"defocus_um": 30.0}, {"zernike_waves": {5: 0.1, 8: -0.07}, "defocus_um": -10.0}],
    ids=["in focus", "point pixels", "defocus", "aberrations"],
)
def test_images_of_a_stack_are_those_of_the_simple_model(changes: dict[str, object]) -> None:
    microscope = scope(**changes)
    it = model(microscope)
    # The simple model works on whole multiples of the camera's pixels: the same object on its finer grid.
    times = 4
    size = it.grids.span_px * times
    rng = np.random.default_rng(1)
    spectrum = np.zeros((it.grids.object_px,) * 2, complex)
    middle = it.grids.object_px // 2
    k = np.arange(it.grids.object_px) - middle
    inside = np.hypot(*np.meshgrid(k, k)) < middle - 2
    spectrum[inside] = rng.normal(size=inside.sum()) + 1j * rng.normal(size=inside.sum())
    whole = np.zeros((size, size), complex)
    first = size // 2 - middle
    whole[first : first + len(k), first : first + len(k)] = spectrum
    x = np.fft.ifft2(np.fft.ifftshift(whole)) * (size / it.grids.field_px) ** 2
    coarse = Sampling(
        tile_px=20, pad_px=2, pixel_size_um=microscope.pixel_size_um, oversampling=1, upsampling=Fraction(times)
    )
    expected = oracle.single_led_images(x, microscope, leds().illumination_na, coarse)
    with torch.no_grad():
        found = it.images(torch.from_numpy(spectrum), it.pupils(it.optics()), range(9)).numpy()
    assert np.abs(found - expected).max() < 1e-10 * expected.max()
    tile = slice(2 * times, 22 * times)
    shown = it.object(torch.from_numpy(spectrum), times).numpy()
    assert np.abs(shown - x[tile, tile]).max() < 1e-12 * np.abs(x).max()


@pytest.mark.parametrize("name", EVERYTHING)
@pytest.mark.parametrize("all_at_once", [True, False])
def test_derivatives_against_differences(name: str, all_at_once: bool) -> None:
    it = model(scope(zernike_waves={5: 0.1, 7: 0.05}, defocus_um=20.0), (4, 5, 6, 7))
    torch.manual_seed(0)
    spectrum = it.start()
    spectrum = spectrum + 0.01 * spectrum.abs().max() * torch.randn(spectrum.shape, dtype=spectrum.dtype)
    slopes = np.random.default_rng(2).normal(size=(9, 2, 3))
    unknown = frozenset(EVERYTHING if all_at_once else (name,))
    single = np.random.default_rng(3).normal(size=(9, 2, 2))
    fit = StackFit(it, spectrum, it.optics(), unknown, slopes, None if all_at_once else [0, 2, 3, 7], single)
    x = fit.start() + 1e-2 * torch.randn(fit.size, dtype=torch.float64)
    along = torch.zeros_like(x)
    (part,) = [block.part for block in fit._blocks if block.name == name]
    along[part] = torch.randn(along[part].shape, dtype=torch.float64)
    step = 1e-5
    there, back = (fit.evaluate(x + sign * step * along)[0] for sign in (1, -1))
    slope = float(fit.evaluate(x)[1] @ along)
    assert slope == pytest.approx((there - back) / (2 * step), rel=3e-6)


def test_descent_finds_the_minimum_of_a_quadratic_in_few_evaluations() -> None:
    rng = np.random.default_rng(0)
    scale = torch.from_numpy(np.exp(rng.uniform(-1, 1, 30)))
    target = torch.from_numpy(rng.normal(size=30))
    calls = [0]

    def evaluate(x: torch.Tensor) -> tuple[float, torch.Tensor]:
        calls[0] += 1
        return float(0.5 * (scale * (x - target).square()).sum()), scale * (x - target)

    values = [value for _x, value in limited_memory_bfgs(torch.zeros(30, dtype=torch.float64), evaluate, 30)]
    assert calls[0] <= 30
    assert values == sorted(values, reverse=True)
    assert values[-1] < 1e-6 * values[0]


def test_descent_ends_by_itself_at_a_minimum() -> None:
    found = list(limited_memory_bfgs(torch.zeros(3), lambda x: (0.0, torch.zeros(3)), 100))
    assert len(found) == 1


def test_a_pass_in_sequence_brings_every_image_nearer() -> None:
    it = model(scope(pixel="point"), pad=0)
    optics, spectrum = it.optics(), it.start()
    with torch.no_grad():
        pupils = it.pupils(optics)

        def misfit() -> float:
            return float(it.sweep(spectrum, pupils, optics, range(9)).loss.sum())

        before = misfit()
        in_sequence(it, spectrum, pupils, optics)
        assert misfit() < 0.8 * before


def test_the_border_reaches_as_far_as_the_blur() -> None:
    sharp = free_border_px(scope())
    assert sharp == 10  # 3 * 0.5 / 0.1 um at 1.5 um a pixel
    assert free_border_px(scope(defocus_um=-150.0)) == sharp + 10


def test_what_does_not_fit_is_refused() -> None:
    it = model(scope())
    with pytest.raises(DataError, match="do not match 9 LEDs"):
        StackModel(scope(), leds(), it.grids, np.ones((8, 20, 20), np.float32))
    with pytest.raises(GeometryError, match="cannot hold the synthetic aperture"):
        object_upsampling(it.grids, 1)
    with pytest.raises(GeometryError, match="resolves only"):
        stack_sampling(scope(), leds(), 4, 0)
    with pytest.raises(GeometryError, match="a camera pixel of 12 um at the sample is 8 times what samples"):
        stack_sampling(scope(magnification=0.125), leds(), 20, 2)
    far = replace(leds(), illumination_na=leds().illumination_na * 3)
    with pytest.raises(GeometryError, match="outside the object's frequency grid"):
        it.place(far.illumination_na)
    dark = led_array(Array(kind="lattice", rows=3, columns=3, pitch_mm=5, height_mm=60, pose=Pose(shift_x_mm=40)))
    with pytest.raises(DataError, match="no LED lies in the bright field"):
        StackReconstruction(
            Geometry(microscope=scope(), array=Array(kind="lattice", rows=3, columns=3, pitch_mm=5, height_mm=60)),
            np.ones((9, 20, 20), np.float32),
            Reconstruct(),
            dark,
        )
