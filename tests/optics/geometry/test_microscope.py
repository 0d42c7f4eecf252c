"""Sampling, pupil, Zernike polynomials and derived numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from optics.oracle import ZERNIKE
from optics.setups import LATTICE, SCOPE, make

from ptychoui.errors import GeometryError
from ptychoui.optics.geometry.derived import derived_numbers, field_of_leds, usaf_element
from ptychoui.optics.geometry.microscope import (
    Sampling,
    good_padding,
    pupil_function,
    pupil_overlap,
    sampling,
    tile_limits,
    zernike,
)
from ptychoui.settings import Array, Geometry, Microscope


def geometry(scope: dict[str, Any] | None = None, **array: Any) -> Geometry:
    return Geometry(microscope=Microscope(**(SCOPE | (scope or {}))), array=Array(**(LATTICE | array)))


@pytest.mark.parametrize("noll", range(1, 12))
def test_zernike_closed_forms(noll: int) -> None:
    rng = np.random.default_rng(noll)
    r, t = np.sqrt(rng.random(50)), rng.uniform(-np.pi, np.pi, 50)
    assert np.abs(zernike(noll, r * np.cos(t), r * np.sin(t)) - ZERNIKE[noll](r, t)).max() < 1e-13


def test_zernikes_are_orthonormal_on_the_disc() -> None:
    """Gauss-Legendre in r^2 and equal angles integrate products of polynomials exactly."""
    node, weight = np.polynomial.legendre.leggauss(20)
    u, t = (node + 1) / 2, 2 * np.pi * np.arange(48) / 48
    r, angle = np.meshgrid(np.sqrt(u), t, indexing="ij")
    area = np.repeat(weight[:, None] / 2, 48, axis=1) / 48
    terms = np.array([zernike(j, r * np.cos(angle), r * np.sin(angle)) for j in range(1, 67)])
    gram = np.einsum("irt,jrt,rt->ij", terms, terms, area)
    assert np.abs(gram - np.eye(66)).max() < 1e-10


@pytest.mark.parametrize("noll", [0, -1, 67])
def test_zernike_indices_outside_the_range_are_refused(noll: int) -> None:
    with pytest.raises(GeometryError, match="outside 1 to 66"):
        zernike(noll, np.zeros(1), np.zeros(1))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0, 1.7, 2.0, 3.0])
def test_pupil_overlap_agrees_with_counting_points(share: float) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (400_000, 2))
    disc = points[np.hypot(*points.T) <= 1]
    inside = np.hypot(disc[:, 0] - share, disc[:, 1]) <= 1
    assert pupil_overlap(share * 0.2, 0.2) == pytest.approx(inside.mean(), abs=4e-3)


def test_pupil_is_one_inside_zero_outside_and_soft_over_one_step() -> None:
    scope, step = Microscope(**SCOPE), 0.05
    cutoff = scope.objective_na / scope.wavelength_um
    f = cutoff + step * np.array([-3.0, -0.5, -0.25, 0.0, 0.25, 0.5, 3.0])
    assert pupil_function(scope, f, 0 * f, step).tolist() == pytest.approx([1, 1, 0.75, 0.5, 0.25, 0, 0], abs=1e-12)


def test_defocus_is_the_angular_spectrum() -> None:
    """Propagation over z in a medium: exp(2 pi i z sqrt((n/lambda)^2 - f^2))."""
    scope = Microscope(**(SCOPE | {"defocus_um": 7.0, "medium_index": 1.33}))
    f = np.array([0.0, 0.1, 0.2, 0.3])
    cosine = np.sqrt(1 - (f * 0.5 / 1.33) ** 2)
    expected = np.exp(2j * np.pi * 7.0 * 1.33 / 0.5 * cosine)
    assert np.abs(pupil_function(scope, f, 0 * f, 0.01) - expected).max() < 1e-11


@pytest.mark.parametrize(("pixel", "limit_um"), [("integrating", 0.625), ("point", 1.25)])
def test_the_field_grid_keeps_its_limit(pixel: str, limit_um: float) -> None:
    for size in np.linspace(0.4, 4.0, 37):
        microscope, _, grids = make(scope={"camera_pixel_um": 10 * size, "pixel": pixel}, tile_px=32, pad_px=4)
        assert grids.pixel_size_um / grids.oversampling <= limit_um * (1 + 1e-9)
        assert grids.field_px == grids.span_px * grids.oversampling
        assert microscope.pixel_size_um == pytest.approx(size)


def test_the_object_grid_holds_the_synthetic_aperture() -> None:
    for size in np.linspace(0.4, 4.0, 37):
        microscope, leds, grids = make(scope={"camera_pixel_um": 10 * size}, tile_px=32, pad_px=4)
        highest = (microscope.objective_na + leds.radius_na.max()) / microscope.wavelength_um
        assert 1 / (2 * grids.object_pixel_um) > highest
        assert grids.object_px * grids.object_pixel_um == pytest.approx(grids.span_px * grids.pixel_size_um)
        assert 1 / grids.step_per_um == pytest.approx(grids.object_px * grids.object_pixel_um)


def test_object_window_is_the_tile_less_its_margin() -> None:
    grids = Sampling(tile_px=20, pad_px=6, pixel_size_um=1.0, oversampling=1, upsampling=3)
    assert grids.object_window() == slice(18, 78)
    assert grids.object_window(4) == slice(30, 66)


def test_a_tile_too_small_for_the_pupil_says_how_large() -> None:
    with pytest.raises(GeometryError, match="resolves only") as error:
        make(tile_px=8, pad_px=0)
    needed = int(error.value.hint.split("at least ")[1].split()[0])
    make(tile_px=needed, pad_px=0)
    with pytest.raises(GeometryError):
        make(tile_px=needed - 1, pad_px=0)


@pytest.mark.parametrize("tile", [31, 37, 64, 67])
def test_good_padding_is_the_first_span_of_small_factors(tile: int) -> None:
    def largest_factor(n: int) -> int:
        factor = 2
        while n > 1:
            if n % factor == 0:
                n //= factor
            else:
                factor += 1
        return factor

    pad = good_padding(tile, 5)
    assert pad >= 5 and largest_factor(tile + 2 * pad) <= 11
    assert all(largest_factor(tile + 2 * p) > 5 for p in range(5, pad))


def test_derived_numbers_by_hand() -> None:
    found = derived_numbers(geometry())
    corner = np.sqrt(50) / np.sqrt(50 + 1600)
    assert found.led_count == 9 and found.bright_field_leds + found.dark_field_leds == 9
    assert found.bright_field_leds == 9  # the corner's illumination NA is 0.174, below 0.2
    assert found.illumination_na == pytest.approx(corner)
    assert found.synthetic_na == pytest.approx(0.2 + corner)
    assert found.resolution_um == pytest.approx(0.5 / (0.2 + corner))
    assert found.cutoff_lp_per_mm == pytest.approx(1000 * (0.2 + corner) / 0.5)
    assert found.intensity_nyquist_um == pytest.approx(0.625)
    assert found.pixel_size_um == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("scope", "array", "part"),
    [
        ({"camera_pixel_um": 7.0}, {}, r"coarser than lambda/\(4 NA\) = 0.625 um: intensities are aliased"),
        ({"camera_pixel_um": 13.0}, {}, r"coarser than lambda/\(2 NA\) = 1.25 um: the field itself is undersampled"),
        ({}, {"pitch_mm": 14.0}, "neighbouring LEDs share"),
        ({}, {"pose": {"shift_x_mm": 60.0}}, "no LED is in the bright field"),
        ({}, {"pose": {"shift_x_mm": 180.0}}, "times the objective's: .* positions and pitch are in mm"),
        ({}, {"pitch_mm": 60.0}, "share 0% of the pupil.*check that positions and pitch are in mm"),
        ({}, {"pitch_mm": 8.165}, r"4 LEDs lie within 2 % of the objective NA \(1, 3, 5, 7\)"),
    ],
)
def test_each_warning_appears_when_it_should(scope: dict[str, Any], array: dict[str, Any], part: str) -> None:
    import re

    warnings = derived_numbers(geometry(scope, **array)).warnings
    assert any(re.search(part, w) for w in warnings), warnings


def test_a_sound_geometry_has_no_warning() -> None:
    assert derived_numbers(geometry(pitch_mm=3.0)).warnings == ()


def test_the_published_system_has_no_undersampled_field() -> None:
    from ptychoui.optics.geometry.led_array import led_array
    from ptychoui.paths import resources
    from ptychoui.settings import load_geometry

    published = load_geometry(resources() / "geometries" / "published_learned_design.toml")
    grids = sampling(published.microscope, led_array(published.array), 64, 0)
    assert grids.oversampling == 1
    assert derived_numbers(published).synthetic_na == pytest.approx(0.2 + np.sqrt(26) * 4 / np.sqrt(26 * 16 + 46**2))


def test_na_at_or_above_the_index_is_refused_in_a_sentence() -> None:
    with pytest.raises(GeometryError, match=r"objective NA 1\.2 is not below the medium's refractive index 1"):
        Microscope(**(SCOPE | {"objective_na": 1.2}))
    assert Microscope(**(SCOPE | {"objective_na": 1.2, "medium_index": 1.33})).objective_na == 1.2


USAF = {  # MIL-STD-150A, lp/mm as printed on the targets' tables
    (0, 1): 1.00,
    (2, 6): 7.13,
    (4, 3): 20.16,
    (5, 2): 35.92,
    (7, 4): 181.02,
    (7, 6): 228.07,
    (8, 6): 456.14,
    (9, 1): 512.0,
    (9, 2): 574.70,
    (9, 6): 912.28,
}


@pytest.mark.parametrize(("pattern", "lp_per_mm"), USAF.items(), ids=str)
def test_usaf_elements_by_the_printed_table(pattern: tuple[int, int], lp_per_mm: float) -> None:
    assert usaf_element(lp_per_mm + 0.01) == pattern
    assert usaf_element(lp_per_mm - 0.01) < pattern
    assert usaf_element(2.0 ** (pattern[0] + (pattern[1] - 1) / 6)) == pattern


@pytest.mark.parametrize(
    ("objective_na", "illumination_na", "wavelength_um", "pattern"),
    [(0.1, 0.40, 0.63, (9, 4)), (0.1, 0.215, 0.532, (9, 2)), (0.067, 0.546, 0.625, (9, 6)), (0.1, 0.0, 0.532, (7, 4))],
)
def test_finest_usaf_pattern_of_the_measured_systems(
    objective_na: float, illumination_na: float, wavelength_um: float, pattern: tuple[int, int]
) -> None:
    """(NA + NA_illumination) / lambda: 793, 592, 981 and, on axis, 188 lp/mm."""
    tangent = illumination_na / np.sqrt(1 - illumination_na**2)
    table = Array(kind="table", positions_mm=((0, 0, 0), (100 * tangent, 0, 0)), height_mm=100.0)
    scope = Microscope(objective_na=objective_na, wavelength_um=wavelength_um, magnification=3.0, camera_pixel_um=3.45)
    found = derived_numbers(Geometry(microscope=scope, array=table))
    assert (found.usaf_group, found.usaf_element) == pattern
    assert 2 ** (pattern[0] + (pattern[1] - 1) / 6) <= found.cutoff_lp_per_mm < 2 ** (pattern[0] + pattern[1] / 6)


def test_largest_tiles_by_hand() -> None:
    """lambda = 0.5 um, LEDs 40 mm away up to NA 0.174: sqrt(lambda h), lambda h / s and lambda^2 / (NA d lambda)."""
    found = derived_numbers(geometry({"bandwidth_nm": 20.0}, led_size_um=200.0))
    corner = np.sqrt(50) / np.sqrt(50 + 1600)
    assert found.tile_angle_um == pytest.approx(np.sqrt(0.5 * 40_000), rel=1e-4)
    assert found.tile_led_size_um == pytest.approx(0.5 * 40_000 / 200, rel=1e-4)
    assert found.tile_bandwidth_um == pytest.approx(0.25 / (corner * 0.02))
    assert found.tile_limit_um == found.tile_bandwidth_um and found.tile_limit_px == int(found.tile_limit_um / 0.5)
    plain = derived_numbers(geometry())
    assert plain.tile_led_size_um is None and plain.tile_bandwidth_um is None
    assert plain.tile_limit_um == plain.tile_angle_um


def test_a_slide_shortens_the_path_that_turns_angles() -> None:
    """On axis the direction changes by 1 / (air + glass / n) per length."""
    limits = tile_limits(geometry(slide_thickness_mm=3.04, slide_index=1.52))
    assert limits.angle_um == pytest.approx(np.sqrt(0.5 * 42_000), rel=1e-4)


def test_every_led_of_a_dome_about_the_sample_turns_alike() -> None:
    """All LEDs are 40 mm away: across its plane of incidence each turns by 1 / 40 mm."""
    dome = {"kind": "dome", "ring_radii_mm": (10.0, 20.0), "ring_counts": (4, 4), "dome_radius_mm": 40.0}
    found = tile_limits(Geometry(microscope=Microscope(**SCOPE), array=Array(height_mm=40.0, **dome)))
    assert found.angle_um == pytest.approx(np.sqrt(0.5 * 40_000), rel=1e-3)


def test_leds_that_are_not_used_do_not_limit_a_tile() -> None:
    all_but_the_axis = geometry({"bandwidth_nm": 20.0}, max_illumination_na=0.13)
    side = 5 / np.sqrt(25 + 1600)
    assert tile_limits(all_but_the_axis).bandwidth_um == pytest.approx(0.25 / (side * 0.02))


@pytest.mark.parametrize(
    ("scope", "array", "tile", "part"),
    [
        ({}, {}, 300, r"150 um wide, 141 um is the limit: the direction .* at most 282 pixels .*raise the array"),
        ({}, {"led_size_um": 500.0}, 128, r"64 um wide, 40 um .*LED of 500 um is no point .* at most 80 pixels"),
        (
            {"bandwidth_nm": 30.0},
            {},
            128,
            r"47\.9 um .* 30 nm smears .* NA 0\.174 .* at most 95 pixels .*narrower filter",
        ),
        (
            {"bandwidth_nm": 400.0},
            {},
            None,
            r"even the smallest tile is 5 um wide, 3\.59 um .*frequency step; use a narro",
        ),
    ],
)
def test_a_tile_that_is_too_large_is_warned_of(
    scope: dict[str, Any], array: dict[str, Any], tile: int | None, part: str
) -> None:
    import re

    warnings = derived_numbers(geometry(scope, **array), tile).warnings
    assert any(re.search(part, w) for w in warnings), warnings
    if tile is not None:
        assert derived_numbers(geometry(scope, **array), 40).warnings == ()


def test_guard_band_by_hand() -> None:
    """NA of the lattice: 0, 0.124 (sides) and 0.174 (corners); an objective of 0.125 has the sides in its band."""
    leds = make()[1]
    assert field_of_leds(leds, 0.125) == ("dark", "edge", "dark", "edge", "bright", "edge", "dark", "edge", "dark")
    assert field_of_leds(leds, 0.15).count("edge") == 0
    assert field_of_leds(leds, 0.15, guard_na=0.027) == ("edge",) * 4 + ("bright",) + ("edge",) * 4
    near = geometry({"objective_na": 0.125, "camera_pixel_um": 5.0})
    found = derived_numbers(near)
    assert (found.edge_leds, found.bright_field_leds, found.dark_field_leds) == (4, 5, 4)
    assert found.guard_na == pytest.approx(0.0025)
    assert "4 LEDs lie within 2 %" in found.warnings[-1]
    guarded = derived_numbers(near, guard_na=0.003)
    assert guarded.edge_leds == 4 and guarded.guard_na == 0.003 and guarded.warnings == ()


def test_sampling_of_intensity_field_and_object_by_hand() -> None:
    found = derived_numbers(geometry())
    corner = np.sqrt(50) / np.sqrt(50 + 1600)
    assert found.field_nyquist_um == pytest.approx(1.25)
    assert found.object_nyquist_um == pytest.approx(0.25 / (0.2 + corner))
    assert found.object_pixel_um <= found.object_nyquist_um
