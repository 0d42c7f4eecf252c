"""From the settings of an array to single-LED images, all of it against `ray_oracle` and `oracle`.

Run with ``-s`` to see the largest deviation of each layout. The last test proves that the comparison can fail.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from optics import oracle, ray_oracle
from optics.setups import SCOPE, figure, objects

from ptychoui.optics.forward.model import FourierPtychography
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.microscope import sampling
from ptychoui.settings import Array, Microscope

HEIGHT_MM, SPHERE_MM, INDEX = 40.0, 45.0, 1.52
TILE_PX, PAD_PX = 12, 2
RINGS: dict[str, Any] = {"ring_radii_mm": (0.0, 7.0, 16.0), "ring_counts": (1, 5, 6)}
LAYOUTS: dict[str, dict[str, Any]] = {
    "flat": {"kind": "lattice", "rows": 3, "columns": 4, "pitch_mm": 8.0},
    "ring": {"kind": "rings", **RINGS},
    "dome": {"kind": "dome", **RINGS, "dome_radius_mm": SPHERE_MM},
}
# Multiples (m, n) of the frequency step; those of the ring all have m^2 + n^2 = 25.
ON_GRID = {
    "flat": [(m, n) for m in (-3, 0, 4) for n in (-4, 0, 3)],
    "ring": [(5, 0), (4, 3), (3, 4), (0, 5), (-3, 4), (-5, 0), (-4, -3), (0, -5), (3, -4)],
    "dome": [(0, 0), (2, 1), (-1, 3), (-6, 2), (5, -4), (0, 7), (-3, -3)],
}
POSES: dict[str, dict[str, Any]] = {
    "straight": {},
    "rotated": {"rotation_deg": 23.0},
    "tilted": {"tilt_x_deg": 7.0, "tilt_y_deg": -11.0},
    "all": {
        "flip_x": True,
        "swap_xy": True,
        "rotation_deg": -31.0,
        "tilt_x_deg": -5.0,
        "tilt_y_deg": 8.0,
        "shift_x_mm": 1.7,
        "shift_y_mm": -0.9,
    },
}
POINTS = {"centre": (0.0, 0.0), "corner": (2300.0, -1400.0)}
CASES = list(itertools.product(LAYOUTS, POSES, (0.0, 1.5), ("off grid", "on grid"), POINTS))


def settings_and_directions(
    layout: str, pose: str, slide_mm: float, grid: str, point: str, **order: Any
) -> tuple[Array, np.ndarray]:
    """An array of the program, and where the light of its LEDs comes from by the independent geometry."""
    common: dict[str, Any] = {"height_mm": HEIGHT_MM, "slide_thickness_mm": slide_mm, "slide_index": INDEX}
    sphere = SPHERE_MM if layout == "dome" else None
    if grid == "on grid":
        # One step of the grid of the tile, as a direction: lambda / span.
        step = SCOPE["wavelength_um"] / ((TILE_PX + 2 * PAD_PX) * SCOPE["camera_pixel_um"] / SCOPE["magnification"])
        wanted = np.array(ON_GRID[layout]) * step
        places = [
            ray_oracle.place_for(na, POSES[pose], HEIGHT_MM, slide_mm, INDEX, POINTS[point], sphere) for na in wanted
        ]
        return Array(kind="table", positions_mm=tuple(places), pose=POSES[pose], **common), wanted
    if layout == "flat":
        led_places = ray_oracle.lattice(3, 4, 8.0)
    elif layout == "ring":
        led_places = ray_oracle.rings(RINGS["ring_radii_mm"], RINGS["ring_counts"])
    else:
        led_places = ray_oracle.dome(RINGS["ring_radii_mm"], RINGS["ring_counts"], SPHERE_MM)
    directions = ray_oracle.directions(led_places, POSES[pose], HEIGHT_MM, slide_mm, INDEX, POINTS[point], **order)
    return Array(**LAYOUTS[layout], pose=POSES[pose], **common), directions


def deviation(array: Array, directions: np.ndarray, point: str) -> float:
    """Largest difference of an image of the program from that of the simple model, relative to the image's maximum."""
    microscope = Microscope(**SCOPE, defocus_um=3.0, zernike_waves={5: 0.07, 7: -0.05})
    leds = led_array(array, POINTS[point])
    grids = sampling(microscope, leds, TILE_PX, PAD_PX)
    x = objects(grids)
    found = FourierPtychography(microscope, leds, grids, torch.float64).intensities(torch.from_numpy(x))[0].numpy()
    expected = oracle.single_led_images(x[0], microscope, directions, grids)
    return float((np.abs(found - expected).max(axis=(1, 2)) / np.abs(expected).max(axis=(1, 2))).max())


@pytest.mark.parametrize(("layout", "pose", "slide_mm", "grid", "point"), CASES)
def test_images_of_an_array_agree_with_an_independent_model(
    layout: str, pose: str, slide_mm: float, grid: str, point: str
) -> None:
    array, directions = settings_and_directions(layout, pose, slide_mm, grid, point)
    assert np.hypot(*directions.T).max() > 0.25  # bright and dark field
    found = deviation(array, directions, point)
    print(f"{layout}, {pose}, slide {slide_mm} mm, {grid}, {point}: {found:.1e}")
    assert figure(f"images of a {layout} array, {grid}, against an independent model", found) <= 1e-6


@pytest.mark.parametrize("layout", LAYOUTS)
def test_leds_on_the_grid_are_on_the_grid(layout: str) -> None:
    array, wanted = settings_and_directions(layout, "all", 1.5, "on grid", "corner")
    assert np.abs(led_array(array, POINTS["corner"]).illumination_na - wanted).max() < 1e-12


WRONG: dict[str, dict[str, Any]] = {
    "tilt about x backwards": {"pose": {"tilt_x_deg": 5.0}},
    "tilt about y backwards": {"pose": {"tilt_y_deg": -8.0}},
    "rotation backwards": {"pose": {"rotation_deg": 31.0}},
    "not flipped": {"pose": {"flip_x": False}},
    "not swapped": {"pose": {"swap_xy": False}},
    "shift backwards": {"pose": {"shift_x_mm": -1.7}},
    "no slide": {"slide_thickness_mm": 0.0},
    "slide of air": {"slide_index": 1.0},
    "height": {"height_mm": 40.001},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_is_seen(name: str) -> None:
    """A twist of one setting on the program's side, the rest as it is, leaves the bound by far."""
    array, directions = settings_and_directions("dome", "all", 1.5, "off grid", "corner")
    changes = WRONG[name]
    changes = changes | {"pose": array.pose.replace(**changes["pose"])} if "pose" in changes else changes
    assert deviation(array.replace(**changes), directions, "corner") > 1e-4


@pytest.mark.parametrize(
    "order",
    [
        ("flip", "swap", "tilt_x", "tilt_y", "rotation", "shift"),
        ("flip", "swap", "rotation", "tilt_y", "tilt_x", "shift"),
        ("flip", "rotation", "swap", "tilt_x", "tilt_y", "shift"),
        ("swap", "flip", "rotation", "tilt_x", "tilt_y", "shift"),
        ("shift", "flip", "swap", "rotation", "tilt_x", "tilt_y"),
    ],
    ids=" ".join,
)
def test_another_order_of_the_pose_is_seen(order: tuple[str, ...]) -> None:
    array, directions = settings_and_directions("flat", "all", 1.5, "off grid", "centre", order=order)
    assert deviation(array, directions, "centre") > 1e-3


def test_another_point_of_the_field_is_seen() -> None:
    array, directions = settings_and_directions("flat", "all", 1.5, "off grid", "centre")
    assert deviation(array, directions, "corner") > 1e-2
