"""Whether a design tells the sign of phase: held against images that are worked out LED by LED."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ptychoui.design.phase_transfer import (
    BLIND,
    SAMPLES,
    SignOfPhase,
    asymmetry,
    in_focus,
    phase_transfer,
    sign_of_phase,
    strength,
)
from ptychoui.design.starts import STARTS, start_design
from ptychoui.optics.geometry.led_array import LedArray, led_array
from ptychoui.settings import Array, Design, Measurement, Microscope, load_experiment

NA = 0.2
SCOPE = Microscope(wavelength_um=0.5, objective_na=NA, magnification=10, camera_pixel_um=5.0)
ABERRATED = SCOPE.replace(defocus_um=4.0, zernike_waves={6: 0.1, 8: 0.1})


def lattice(side: int = 7, **pose: float) -> LedArray:
    return led_array(Array(kind="lattice", rows=side, columns=side, pitch_mm=3.0, height_mm=46.0, pose=pose))  # type: ignore[arg-type]


LEDS = lattice()
BRIGHT = LEDS.bright_field(NA)
DISC = BRIGHT.astype(float)
ANNULUS = (BRIGHT & (LEDS.radius_na > 0.5 * NA)).astype(float)
HALF = (BRIGHT & (LEDS.illumination_na[:, 0] > 1e-9)).astype(float)
DARK_DISC = (~BRIGHT).astype(float)
DARK_HALF = (~BRIGHT & (LEDS.illumination_na[:, 0] > 1e-9)).astype(float)


def seen(rows: list[np.ndarray], scope: Microscope = SCOPE, leds: LedArray = LEDS) -> SignOfPhase:
    return sign_of_phase(np.array(rows), np.linspace(1, 0.5, len(rows)), leds, scope)


def naive_pupil(scope: Microscope, f: np.ndarray) -> np.ndarray:
    """(...,) at frequencies (..., 2) in 1/um: a disc, defocus, and two Zernike terms."""
    radius, cutoff = np.hypot(f[..., 0], f[..., 1]), scope.objective_na / scope.wavelength_um
    waves = scope.defocus_um * np.sqrt(1 / scope.wavelength_um**2 - radius**2)
    r, t = radius / cutoff, np.arctan2(f[..., 1], f[..., 0])
    waves = waves + scope.zernike_waves.get(6, 0) * np.sqrt(6) * r**2 * np.cos(2 * t)
    waves = waves + scope.zernike_waves.get(8, 0) * np.sqrt(8) * (3 * r**3 - 2 * r) * np.cos(t)
    return (radius < cutoff) * np.exp(2j * np.pi * waves)


def naive_image(scope: Microscope, led_na: np.ndarray, orders: dict[tuple[int, int], complex], unit: np.ndarray) -> Any:
    """Image, (16, 16), of an object that is a sum of plane waves of whole multiples of a frequency in 1/um."""
    place = np.arange(16) / 16
    y, x = np.meshgrid(place, place, indexing="ij")
    field = np.zeros((16, 16), complex)
    for (n, m), amplitude in orders.items():
        frequency = np.array([n, m]) * unit - led_na / scope.wavelength_um
        field += amplitude * naive_pupil(scope, frequency) * np.exp(2j * np.pi * (n * x + m * y))
    return np.abs(field) ** 2


@pytest.mark.parametrize("scope", [SCOPE, ABERRATED], ids=["in focus", "aberrated"])
def test_the_transfer_function_is_the_slope_of_images_of_a_weak_phase(scope: Microscope) -> None:
    """1 + i e cos(2 pi q r): the Fourier coefficient at q of the image over e / 2."""
    rng = np.random.default_rng(0)
    weights = rng.random((2, len(LEDS)))
    found = phase_transfer(weights, LEDS, scope)
    axis = np.linspace(-2 * NA, 2 * NA, SAMPLES) / scope.wavelength_um
    e = 1e-5
    for row, column in ((20, 19), (16, 25), (5, 12)):
        unit = np.array([axis[column], axis[row]])
        weak = {(0, 0): 1.0, (1, 1): 0.5j * e, (-1, -1): 0.5j * e}
        glass = {(0, 0): 1.0}
        images, open_field = (
            np.array([naive_image(scope, na, orders, unit) for na in LEDS.illumination_na]) for orders in (weak, glass)
        )
        slope = np.fft.fft2(images)[:, 1, 1] / 256 / (e / 2)
        expected = np.abs(weights @ slope) / (weights @ open_field[:, 0, 0])
        assert found[:, row, column] == pytest.approx(expected, abs=1e-4)


def test_symmetric_patterns_show_an_object_and_its_conjugate_alike_in_the_dark_field_too() -> None:
    """What the docstring claims, for an object that is anything but weak."""
    rng = np.random.default_rng(1)
    unit = np.array([0.13, 0.09])
    orders = {(n, m): complex(*rng.normal(size=2)) for n in (-2, -1, 0, 1, 2) for m in (-1, 0, 1)}
    turned = {(-n, -m): value.conjugate() for (n, m), value in orders.items()}
    one, other = (
        np.array([naive_image(SCOPE, na, each, unit) for na in LEDS.illumination_na]) for each in (orders, turned)
    )
    for symmetric in (DISC, ANNULUS, (~BRIGHT).astype(float)):
        images = [np.tensordot(symmetric, each, 1) for each in (one, other)]
        assert np.allclose(*images, rtol=1e-9)
    for lopsided in (HALF, DARK_HALF):
        images = [np.tensordot(lopsided, each, 1) for each in (one, other)]
        assert np.abs(images[0] - images[1]).max() > 0.1 * images[0].mean()


@pytest.mark.parametrize("rows", [[DISC], [ANNULUS], [DISC, ANNULUS], [DISC, DARK_DISC]])
def test_full_discs_and_annuli_are_blind(rows: list[np.ndarray]) -> None:
    found = seen(rows)
    assert found.peak == pytest.approx(0, abs=1e-12) and found.dark_field == pytest.approx(0, abs=1e-12)
    assert found.warning.startswith("every pattern is symmetric") and "conjugate" in found.warning


@pytest.mark.parametrize("seed", range(5))
def test_uneven_leds_do_not_make_a_disc_see(seed: int) -> None:
    """Nor does a disc that is made even see, where levels make up for the brightness."""
    gain = np.exp(0.3 * np.random.default_rng(seed).normal(size=len(LEDS)))
    uneven = replace(LEDS, gain=gain)
    assert seen([DISC], leds=uneven).warning and seen([DISC / gain], leds=uneven).warning
    assert not seen([HALF], leds=uneven).warning


def test_one_row_that_lights_one_side_is_enough() -> None:
    found = seen([DISC, HALF])
    assert not found.warning and found.bright_field > 0.3
    assert found.bright_field == pytest.approx(strength(phase_transfer(HALF[None], LEDS, SCOPE))[0])


def test_a_lopsided_dark_field_is_the_weaker_sign() -> None:
    found = seen([DISC, DARK_HALF])
    assert found.dark_field == pytest.approx(1) and "dark-field patterns tell it weakly" in found.warning


def test_with_a_defocus_the_sign_rests_on_it() -> None:
    defocused = SCOPE.replace(defocus_um=5.0)
    found = seen([DISC], defocused)
    assert found.aberrated > 4 * BLIND and "rests on the pupil's defocus" in found.warning
    assert not seen([HALF], defocused).warning


def test_odd_aberrations_leave_a_disc_blind() -> None:
    """Coma moves and smears images of an object and of its conjugate alike."""
    found = seen([DISC], SCOPE.replace(zernike_waves={7: 0.2, 8: -0.1}))
    assert found.aberrated == pytest.approx(0, abs=1e-12) and "conjugate" in found.warning
    assert in_focus(ABERRATED) == SCOPE


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize("bright_rows", [1, 3])
def test_designs_to_begin_with(name: str, bright_rows: int) -> None:
    """Of hand-made designs only a partition with a single bright-field row lights both sides alike."""
    geometry = load_experiment("first_light").geometry  # type: ignore[attr-defined]
    experiment_leds, na = led_array(geometry.array), geometry.microscope.objective_na
    for seed in range(5):
        design = Design(bright_field_rows=bright_rows, dark_field_rows=3)
        levels = STARTS[name](design, experiment_leds, na, np.random.default_rng(seed))
        said = seen(list(levels), geometry.microscope, experiment_leds).warning
        aside = (experiment_leds.radius_na > 1e-6) & experiment_leds.bright_field(na)
        both_sides = (name == "random_partition" and bright_rows == 1) or not levels[:, aside].any()
        assert bool(said) == both_sides, (seed, said)


def test_asymmetry_pairs_leds_across_the_axis() -> None:
    assert asymmetry(np.array([DISC, HALF, np.zeros(49)]), LEDS) == pytest.approx([0, 1, 0], abs=1e-12)
    quarter = DISC * (1 + 0.5 * np.sign(LEDS.illumination_na[:, 0]))
    on_axis = DISC[np.abs(LEDS.illumination_na[:, 0]) < 1e-9].sum()
    sides = DISC.sum() - on_axis
    assert asymmetry(quarter[None], LEDS) == pytest.approx([0.5 * sides / DISC.sum()])


@pytest.mark.parametrize("shift_mm", [0.3, 1.0, 1.5])
def test_a_disc_on_an_array_that_stands_aside_is_symmetric_all_the_same(shift_mm: float) -> None:
    """Calibrated arrays never stand exactly on the axis: some LEDs at the edge have no opposite then."""
    aside = lattice(15, shift_x_mm=shift_mm, shift_y_mm=-0.3)
    assert seen([aside.bright_field(NA).astype(float)], leds=aside).warning
    half = aside.bright_field(NA) & (aside.illumination_na[:, 0] > 1e-9)
    assert not seen([half.astype(float)], leds=aside).warning


def test_rows_without_light_see_nothing() -> None:
    found = seen([np.zeros(49), np.zeros(49)])
    assert found.peak == 0 and found.warning
    alone = LEDS.select(np.array([0]))
    assert seen([np.ones(1)], leds=alone).dark_field == pytest.approx(1)


def test_a_start_as_an_experiment_makes_it() -> None:
    levels, exposures = start_design(Design(), Measurement(), LEDS, NA, 3)
    assert not sign_of_phase(levels, exposures, LEDS, SCOPE).warning
