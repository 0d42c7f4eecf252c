"""LED ids, positions and illumination directions. NumPy only.

Frame: +x to the right and +y up on the LED array, z towards the sample, origin on the optical axis in
the LED plane. Positions are in mm, because every vendor's table is; directions are direction cosines in
air times one, that is illumination NA.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.formats.led_units import LARGEST_NA, UNIT_HINT
from ptychoui.errors import GeometryError
from ptychoui.settings import Array, Pose, led_order
from ptychoui.words import counted

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LedArray:
    """The LEDs of an array after its pose.

    Attributes
    ----------
    numbers
        (LED,) firmware number of each LED.
    positions_mm
        (LED, 3) x, y, z in mm in the laboratory frame; the sample is at z = height.
    illumination_na
        (LED, 2) direction cosines (x, y) of the light at the sample, for the field point asked for.
    gain
        (LED,) brightness relative to an LED on axis.
    """

    numbers: NDArray[np.int64]
    positions_mm: FloatArray
    illumination_na: FloatArray
    gain: FloatArray

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def radius_na(self) -> FloatArray:
        """(LED,) illumination NA of each LED."""
        return np.hypot(self.illumination_na[:, 0], self.illumination_na[:, 1])

    def bright_field(self, objective_na: float) -> NDArray[np.bool_]:
        """(LED,) True where the direct light passes the objective."""
        return self.radius_na < objective_na

    def select(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> LedArray:
        """Return the LEDs that a mask (LED,) or a list of places (chosen,) picks."""
        return LedArray(
            numbers=self.numbers[keep],
            positions_mm=self.positions_mm[keep],
            illumination_na=self.illumination_na[keep],
            gain=self.gain[keep],
        )


def led_array(array: Array, field_point_um: tuple[float, float] = (0.0, 0.0)) -> LedArray:
    """Build the LEDs of an array as seen from a point of the field.

    Parameters
    ----------
    array
        Layout, pose, height and slide.
    field_point_um
        x, y of the point at the sample in um, the tile's centre: off-axis tiles see other angles.

    Raises
    ------
    GeometryError
        If an LED lies at or above the sample, or so far aside that its light comes along the sample; if, where its
        brightness follows its direction, one faces away from it; if a table of brightness ends before an LED's angle;
        if no LED is left below ``max_illumination_na``.
    """
    numbers, flat = layout(array)
    positions = apply_pose(flat, array.pose)
    direction, sine, air_mm = rays(array, array.height_mm, numbers, positions, field_point_um)
    keep = np.ones(len(sine), bool) if array.max_illumination_na is None else sine <= array.max_illumination_na
    if not keep.any():
        raise GeometryError(
            f"no LED lies below the illumination NA of {array.max_illumination_na:g}",
            f"the smallest is {sine.min():.3g}: raise max_illumination_na or check the array's shift",
        )
    na = direction[keep] * sine[keep, None]
    gain = _brightness(array, numbers[keep], flat[keep], na, air_mm[keep])
    return LedArray(numbers=numbers[keep], positions_mm=positions[keep], illumination_na=na, gain=gain)


def rays(
    array: Array,
    height_mm: float,
    numbers: NDArray[np.int64],
    positions_mm: FloatArray,
    field_point_um: tuple[float, float] = (0.0, 0.0),
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Rays from LEDs to a point of the field, through the array's slide.

    Parameters
    ----------
    array
        Whose slide it is.
    height_mm
        Height of the sample, instead of the array's own.
    numbers, positions_mm
        (LED,) the LEDs' numbers and (LED, 3) where they are after the array's pose.
    field_point_um
        x, y of the point at the sample in um.

    Returns
    -------
    direction, sine, air_mm
        (LED, 2) unit vectors from the point towards the LEDs in x and y, (LED,) sine of the angle in air, and (LED,)
        how far below the sample the LEDs are.

    Raises
    ------
    GeometryError
        If an LED lies at or above the sample, or so far aside that its light comes along the sample.
    """
    offset = positions_mm[:, :2] - np.asarray(field_point_um) * 1e-3
    air_mm = height_mm - positions_mm[:, 2]
    if np.any(air_mm <= 0):
        bad = int(numbers[np.argmin(air_mm)])
        raise GeometryError(
            f"LED {bad} lies {-air_mm.min():.3g} mm above the sample",
            "the array's height must exceed the largest z of its LEDs; check height_mm and the tilt",
        )
    lateral = np.hypot(offset[:, 0], offset[:, 1])
    sine = _sine_in_air(lateral, air_mm, array.slide_thickness_mm, array.slide_index)
    direction = np.divide(offset, lateral[:, None], out=np.zeros_like(offset), where=lateral[:, None] > 0)
    worst = int(np.argmax(sine))
    if sine[worst] >= LARGEST_NA:
        raise GeometryError(
            f"LED {numbers[worst]} has an illumination NA of {sine[worst]:.4g}: it lies {lateral[worst]:.4g} mm beside "
            f"the axis, {air_mm[worst]:.4g} mm below the sample",
            UNIT_HINT,
        )
    return direction, sine, air_mm


def limit_notes(array: Array) -> list[str]:
    """One sentence if ``max_illumination_na`` leaves LEDs out, that says how many."""
    every, used = len(array.numbers()), len(led_array(array))
    if array.max_illumination_na is None or used == every:
        return []
    return [
        f"max_illumination_na = {array.max_illumination_na:g} of the geometry leaves {every - used} of "
        f"{counted(every, 'image')} out; {used} {'is' if used == 1 else 'are'} used"
    ]


def layout(array: Array) -> tuple[NDArray[np.int64], FloatArray]:
    """Numbers and positions before the pose of the LEDs used, in the order of their list: (LED,), (LED, 3) in mm.

    The die of the colour that is lit counts, where its offset is known.

    Raises
    ------
    GeometryError
        If a ring is wider than the dome it lies on.
    """
    numbers = np.array(array.numbers(), dtype=np.int64)  # of rings and spirals also their places in the list
    die = np.array([*array.die_offsets_mm.get(array.colour, (0.0, 0.0)), 0.0])
    if array.kind == "table":
        return numbers, np.asarray(array.positions_mm, dtype=float).reshape(-1, 3) + die
    if array.kind == "lattice":
        xy = _sites(array, numbers)
    elif array.kind == "spiral":
        xy = _spiral(array, numbers)
    else:
        xy = _rings(array)[numbers]
    z = np.zeros(len(xy))
    if array.kind == "dome":
        radius = float(array.dome_radius_mm or 0)
        lateral = np.hypot(xy[:, 0], xy[:, 1])
        if lateral.max() > radius:
            raise GeometryError(
                f"a ring of {lateral.max():g} mm does not fit a dome of radius {radius:g} mm",
                "dome_radius_mm must be at least the largest ring radius",
            )
        z = radius - np.sqrt(radius**2 - lateral**2)
    return numbers, np.column_stack([xy, z]) + die


def apply_pose(positions_mm: FloatArray, pose: Pose) -> FloatArray:
    """Flip, swap, rotate, tilt and shift (LED, 3) positions in mm."""
    x, y, z = positions_mm.T
    if pose.flip_x:
        x = -x
    if pose.flip_y:
        y = -y
    if pose.swap_xy:
        x, y = y, x
    angle, tilt_x, tilt_y = np.deg2rad([pose.rotation_deg, pose.tilt_x_deg, pose.tilt_y_deg])
    x, y = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    y, z = y * np.cos(tilt_x) - z * np.sin(tilt_x), y * np.sin(tilt_x) + z * np.cos(tilt_x)
    x, z = x * np.cos(tilt_y) + z * np.sin(tilt_y), -x * np.sin(tilt_y) + z * np.cos(tilt_y)
    return np.column_stack([x + pose.shift_x_mm, y + pose.shift_y_mm, z])


def _sites(array: Array, numbers: NDArray[np.int64]) -> FloatArray:
    """Places of numbered LEDs of a board, (LED, 2) in mm: rows run down, +y is up."""
    center_row, center_column = array.center
    row, column = np.array(array.board())[numbers].T
    return np.column_stack([column - center_column, center_row - row]) * float(array.pitch_mm or 0)


def _spiral(array: Array, numbers: NDArray[np.int64]) -> FloatArray:
    """Square spiral from the axis, or on its board."""
    if array.spiral_start is not None:
        return _sites(array, numbers)
    places = np.array(led_order.spiral(array.count or 0, array.spiral_steps), dtype=float)
    return places[numbers] * float(array.pitch_mm or 0)


def _rings(array: Array) -> FloatArray:
    """Concentric rings; without other settings each starts on +x and runs towards +y."""
    turn = -2 * np.pi if array.ring_clockwise else 2 * np.pi
    offsets = array.ring_offsets_deg or (0.0,) * len(array.ring_counts or ())
    rings = []
    for radius, count, offset in zip(array.ring_radii_mm or (), array.ring_counts or (), offsets, strict=True):
        angle = np.deg2rad(array.ring_start_deg + offset) + turn * np.arange(count) / max(count, 1)
        rings.append(radius * np.column_stack([np.cos(angle), np.sin(angle)]))
    return np.concatenate(rings)


def _brightness(
    array: Array,
    numbers: NDArray[np.int64],
    flat: FloatArray,
    illumination_na: FloatArray,
    air_mm: FloatArray,
) -> FloatArray:
    """(LED,) brightness at the sample relative to an LED on the axis.

    ``cos4`` is cos(t)^4 of the angle t at the sample: a Lambertian LED on a flat board. ``lambertian`` is
    cos(e) cos(t) (h / d)^2 with the angle e between the ray and the LED's normal, which turns with the array's
    tilt and on a dome points to the centre of curvature, and the length d of the ray; h is the height. Both leave
    out what a slide reflects.
    """
    sine = np.hypot(illumination_na[:, 0], illumination_na[:, 1])
    cosine = np.sqrt(1 - sine**2)
    if array.falloff == "cos4":
        return np.asarray((1 - sine**2) ** 2)
    if array.falloff == "lambertian":
        normal = np.tile([0.0, 0.0, 1.0], (len(flat), 1))
        if array.kind == "dome":
            normal = np.array([0.0, 0.0, float(array.dome_radius_mm or 0)]) - flat
            normal /= np.linalg.norm(normal, axis=1)[:, None]
        turned = apply_pose(normal, array.pose.replace(shift_x_mm=0.0, shift_y_mm=0.0))
        ray = np.column_stack([-illumination_na, cosine])
        emission = np.sum(turned * ray, axis=1)
        if emission.min() < 1e-3:
            raise GeometryError(
                f"LED {numbers[np.argmin(emission)]} faces away from the sample: a Lambertian LED is dark there",
                "check the array's tilt and shift, or the dome's radius",
            )
        return np.asarray(emission * cosine * (array.height_mm / (air_mm / cosine)) ** 2)
    if array.falloff == "table":
        angle, brightness = np.array(array.falloff_table).T
        seen = np.rad2deg(np.arcsin(sine))
        if seen.max() > angle[-1]:
            worst = int(np.argmax(seen))
            raise GeometryError(
                f"the brightness table ends at {angle[-1]:g} degrees, LED {numbers[worst]} is seen at "
                f"{seen[worst]:.3g} degrees",
                "measure falloff_table up to the steepest LED, or lower max_illumination_na",
            )
        return np.asarray(np.interp(seen, angle, brightness))
    return np.ones_like(sine)


def _sine_in_air(lateral_mm: FloatArray, air_mm: FloatArray, slide_mm: float, slide_index: float) -> FloatArray:
    """Sine of the angle in air of the ray from an LED to the field point, refracted in the slide.

    Solves lateral = air tan(t) + slide tan(asin(sin(t)/n)) for sin(t) by bisection: sin(t) survives the
    refraction at a plane slide, and the right-hand side grows with it.
    """
    if slide_mm == 0:
        return lateral_mm / np.hypot(lateral_mm, air_mm)
    low, high = np.zeros_like(lateral_mm), np.ones_like(lateral_mm)
    for _ in range(60):
        sine = (low + high) / 2
        inside = sine / slide_index
        reach = air_mm * sine / np.sqrt(1 - sine**2) + slide_mm * inside / np.sqrt(1 - inside**2)
        low, high = np.where(reach < lateral_mm, sine, low), np.where(reach < lateral_mm, high, sine)
    return np.where(lateral_mm > 0, (low + high) / 2, 0.0)
