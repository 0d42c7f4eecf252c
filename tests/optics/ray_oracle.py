"""Where LEDs are and from where their light comes, worked out a second time without the program's geometry.

LEDs are placed one by one. The pose is a chain of 4 x 4 matrices whose turns come from SciPy's rotation vectors. Light
is traced from the sample down, Snell's law at the face of the slide, and its angle found by a scalar root finder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.spatial.transform import Rotation

Vector = Sequence[float]


def lattice(rows: int, columns: int, pitch_mm: float) -> list[Vector]:
    """Row by row from the top left, +y up, the middle on the axis."""
    return [
        (pitch_mm * (column - (columns - 1) / 2), -pitch_mm * (row - (rows - 1) / 2), 0.0)
        for row in range(rows)
        for column in range(columns)
    ]


def rings(radii_mm: Vector, counts: Sequence[int]) -> list[Vector]:
    """Ring by ring from +x towards +y."""
    found = []
    for radius, count in zip(radii_mm, counts, strict=True):
        for i in range(count):
            turn = complex(math.cos(2 * math.pi * i / count), math.sin(2 * math.pi * i / count))
            found.append((radius * turn.real, radius * turn.imag, 0.0))
    return found


def dome(radii_mm: Vector, counts: Sequence[int], sphere_mm: float) -> list[Vector]:
    """Rings lifted on to a sphere that touches the plane of the array in the middle."""
    return [
        (x, y, sphere_mm * (1 - math.cos(math.asin(math.hypot(x, y) / sphere_mm))))
        for x, y, _ in rings(radii_mm, counts)
    ]


def turn(axis: int, degrees: float) -> np.ndarray:
    """4 x 4 right-handed turn about a coordinate axis."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(np.radians(degrees) * np.eye(3)[axis]).as_matrix()
    return matrix


def steps_of(pose: dict[str, Any]) -> dict[str, np.ndarray]:
    """The matrices of a pose in the order in which they are applied."""
    flip, swap, shift = np.eye(4), np.eye(4), np.eye(4)
    flip[0, 0] = -1 if pose.get("flip_x") else 1
    flip[1, 1] = -1 if pose.get("flip_y") else 1
    if pose.get("swap_xy"):
        swap[:2, :2] = [[0, 1], [1, 0]]
    shift[:2, 3] = pose.get("shift_x_mm", 0.0), pose.get("shift_y_mm", 0.0)
    return {
        "flip": flip,
        "swap": swap,
        "rotation": turn(2, pose.get("rotation_deg", 0.0)),
        "tilt_x": turn(0, pose.get("tilt_x_deg", 0.0)),
        "tilt_y": turn(1, pose.get("tilt_y_deg", 0.0)),
        "shift": shift,
    }


def matrix_of(
    pose: dict[str, Any], order: Sequence[str] = ("flip", "swap", "rotation", "tilt_x", "tilt_y", "shift")
) -> Any:
    """All steps of a pose as one matrix."""
    whole, steps = np.eye(4), steps_of(pose)
    for name in order:
        whole = steps[name] @ whole
    return whole


def reach(angle: float, air_mm: float, slide_mm: float, index: float) -> float:
    """How far to the side light gets that leaves the sample at an angle in air: slide first, then air."""
    return slide_mm * math.tan(math.asin(math.sin(angle) / index)) + air_mm * math.tan(angle)


def direction(
    place: np.ndarray, height_mm: float, slide_mm: float, index: float, point_um: Vector = (0.0, 0.0)
) -> tuple[float, float]:
    """Direction cosines x, y at the sample of the light of an LED at a place of the laboratory."""
    dx, dy = place[0] - point_um[0] / 1000, place[1] - point_um[1] / 1000
    lateral, air = math.sqrt(dx * dx + dy * dy), height_mm - place[2]
    if lateral == 0:
        return 0.0, 0.0
    angle = brentq(
        lambda a: reach(a, air, slide_mm, index) - lateral, 0.0, math.radians(89.999), xtol=1e-15, rtol=1e-14
    )
    return math.sin(angle) * dx / lateral, math.sin(angle) * dy / lateral


def directions(
    places: Sequence[Vector],
    pose: dict[str, Any],
    height_mm: float,
    slide_mm: float = 0.0,
    index: float = 1.52,
    point_um: Vector = (0.0, 0.0),
    **order: Any,
) -> np.ndarray:
    """(LED, 2) direction cosines of an array."""
    whole = matrix_of(pose, **order)
    return np.array([direction((whole @ [*place, 1.0])[:3], height_mm, slide_mm, index, point_um) for place in places])


def place_for(
    na: Vector,
    pose: dict[str, Any],
    height_mm: float,
    slide_mm: float,
    index: float,
    point_um: Vector,
    sphere_mm: float | None,
) -> tuple[float, float, float]:
    """Place on a plane or dome, before the pose, of the LED whose light has a wanted direction at the sample."""
    sine, back = math.hypot(*na), np.linalg.inv(matrix_of(pose))
    unit = (na[0] / sine, na[1] / sine) if sine else (0.0, 0.0)

    def on_board(air_mm: float) -> np.ndarray:
        side = reach(math.asin(sine), air_mm, slide_mm, index)
        x, y = unit[0] * side + point_um[0] / 1000, unit[1] * side + point_um[1] / 1000
        return (back @ [x, y, height_mm - air_mm, 1.0])[:3]

    def outside(air_mm: float) -> float:
        place = on_board(air_mm)
        if sphere_mm is None:
            return -float(place[2])
        return float(np.linalg.norm(place - [0, 0, sphere_mm])) - sphere_mm

    x, y, z = on_board(brentq(outside, 1e-3, 4 * height_mm, xtol=1e-13, rtol=1e-14))
    return float(x), float(y), float(z)
