"""Whether a stack and its geometry belong together: what the images themselves say of it, before and beside a fit.

1. *Bright field*: the images that are bright must be those of LEDs inside the objective's NA.
2. *Circles*: in bright-field spectra (`circles`) they stand where the LEDs' directions put them, and are as large as
   NA, wavelength and pixel make them.
3. *Order*: images of neighbouring LEDs are more alike than those of any two, and no two rows the other way round.
4. *Layout*: short reconstructions, with brightness and stray light fitted, explain the images no worse than with the
   array mirrored or its axes exchanged. Half a turn is not tested: it changes the sign of phase alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui.errors import DataError
from ptychoui.optics.calibration.circles import Circles, near_circles
from ptychoui.optics.geometry.led_array import LedArray, led_array
from ptychoui.optics.geometry.pose import VARIANTS, Variant, changes, directions, laid_out
from ptychoui.optics.geometry.pupil_series import radial_order
from ptychoui.optics.quality.bright_field import Finding, bright_field_finding
from ptychoui.optics.quality.led_neighbours import order_finding
from ptychoui.optics.reconstruction.stack import StackReconstruction
from ptychoui.settings import Array, Geometry, Microscope, Reconstruct

MOVED = 0.075
"""Change of the LEDs' directions (RMS), over the objective's NA, from which circles contradict the geometry.

Right geometries have up to .066 (measured and simulated stacks), half a pitch .17 to .3, a height off by a quarter
.08 to .15.
"""

SIZE = 0.07
"""The same for the size of the circles, as a share of it: right ones have up to .03, wrong wavelengths .14 and more."""

LAYOUT_PX = 64
LAYOUT_PASSES = 5
LAYOUT_NA = 1.6
"""Square, passes and largest illumination NA (over the objective's) of the reconstructions that tell layouts apart."""

CLEARLY = 1.1
"""Residual over that of the best layout from which a layout is wrong: beside right ones the next has 1.12 to 4."""


def circle_findings(
    geometry: Geometry, images: NDArray[np.float32], field_point_um: tuple[float, float] = (0.0, 0.0)
) -> tuple[tuple[Finding, ...], bool]:
    """Compare circles in bright-field spectra with the geometry; True if they are seen where it puts them.

    Nothing is found where the images show no circles: too few bright-field images, a small window, no structure.

    Parameters
    ----------
    images
        (LED, row, column) square images in the order of the array's numbers.
    """
    scope, array = geometry.microscope, geometry.array.replace(max_illumination_na=None)
    try:
        circles = Circles(scope, array, images, field_point_um, coarse=True)
    except DataError:
        return (), False
    fit = circles.fit()
    if not fit.seen:
        return (), False
    found: list[Finding] = []
    moves = directions(array, fit.change, field_point_um) - directions(array, np.zeros(6), field_point_um)
    bright = np.isin(np.array(array.numbers()), fit.led_numbers)
    moved = float(np.sqrt((moves[bright] ** 2).sum(1).mean())) / scope.objective_na
    scale = max((circles.scale(fit.change, whole) for whole in (True, False)), key=lambda one: abs(np.log(one)))
    if abs(scale - 1) > SIZE:
        found.append(
            Finding(
                kind="circles",
                sentence=f"the circles in the spectra of bright-field images are {abs(scale - 1):.0%} "
                f"{'smaller' if scale < 1 else 'larger'} than NA, wavelength, magnification and camera pixel make "
                "them: check these four",
            )
        )
    if fit.at_limit or moved > MOVED:
        by = "by more than a calibration may move it" if fit.at_limit else f"elsewhere: {changes(fit.change)}"
        found.append(
            Finding(
                kind="pose",
                sentence=f"the images say that the array stands {by}; check its centre, height and rotation, or let "
                "ptychoui calibrate find them",
                led_numbers=fit.led_numbers,
                array=None if fit.at_limit else fit.array,
            )
        )
    return tuple(found), not found


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutTest:
    """Short reconstructions of the same images with other layouts of the array.

    Attributes
    ----------
    names, variants, arrays, residuals
        The layouts, the one given first: in words, as changes of the axes (None for another numbering), posed, and what
        each leaves unexplained with brightness and stray light fitted.
    """

    names: tuple[str, ...]
    variants: tuple[Variant | None, ...]
    arrays: tuple[Array, ...]
    residuals: tuple[float, ...]

    @property
    def best(self) -> int:
        """Place of the layout that explains the images best."""
        return int(np.argmin(self.residuals))

    @property
    def margin(self) -> float:
        """By what share the best residual of another layout is larger than the best one's; its twin is no other."""
        best = self.variants[self.best]
        same = (best,) if best is None else (best, best.twin)
        others = [r for r, variant in zip(self.residuals, self.variants, strict=True) if variant not in same]
        return min(others) / max(min(self.residuals), 1e-12) - 1

    def finding(self) -> Finding | None:
        """What is to be said of the layout given; nothing where none is clearly better.

        Its twin does not count: short reconstructions tell the sign of phase too weakly.
        """
        best, given = self.best, self.variants[0]
        own = min(
            residual
            for residual, variant in zip(self.residuals, self.variants, strict=True)
            if variant is not None and given is not None and variant in (given, given.twin)
        )
        ratio = own / max(min(self.residuals), 1e-12)
        if ratio < CLEARLY:
            return None
        return Finding(
            kind="layout",
            sentence=f"another layout of the array explains the images {ratio:.2g} times better: {self.names[best]}; "
            f"not applied; to try it: {settings_of(self.arrays[best])}",
            array=self.arrays[best],
        )


LEAST_WAVES = 0.01
"""Coefficient of an aberration, waves RMS, below which it says nothing of the sign of phase."""


def known_sign(microscope: Microscope) -> str:
    """What even aberrations a geometry states, in words: they alone tell an object from its twin."""
    known = []
    if microscope.defocus_um:
        known.append(f"the defocus of {microscope.defocus_um:g} um")
    even = [waves for noll, waves in microscope.zernike_waves.items() if radial_order(noll) % 2 == 0]
    if any(abs(waves) >= LEAST_WAVES for waves in even):
        known.append("the aberrations")
    return " and ".join(known)


def settings_of(array: Array) -> str:
    """How a layout is written in ``[array]`` and ``[array.pose]``."""
    pose = array.pose
    flags = {"flip_x": pose.flip_x, "flip_y": pose.flip_y, "swap_xy": pose.swap_xy}
    if array.kind == "lattice":
        flags["serpentine"] = array.serpentine
    return ", ".join(f"{name} = {str(on).lower()}" for name, on in flags.items())


def poses(
    geometry: Geometry,
    array: Array,
    images: NDArray[np.float32],
    field_point_um: tuple[float, float],
    coarse: bool = False,
) -> list[Array]:
    """The array as it is and, where circles in the images show it elsewhere, as they have it.

    Neither is the better one beforehand: circles find a pose that is far off, and move a right one a little.

    ``images`` are (LED, row, column), square, in the order of the array's numbers; ``field_point_um`` is their centre
    at the sample.
    """
    near = near_circles(geometry.microscope, array, images, field_point_um, coarse)
    return [array] if near == array else [array, near]


def try_other_layouts(
    geometry: Geometry,
    images: NDArray[np.float32],
    field_point_um: tuple[float, float] = (0.0, 0.0),
    device: torch.device | str = "cpu",
    callback: Callable[[], None] | None = None,
    numbering: bool = True,
    posed: bool = False,
) -> LayoutTest:
    """Reconstruct the middle of the images with the array as it is, mirrored, and with its axes exchanged.

    Half a turn explains the images as well, with the sign of phase changed, unless the geometry states what tells the
    two apart: then it is tried, too. With ``numbering`` a
    lattice is tried with every second row numbered the other way round, too.

    Parameters
    ----------
    images
        (LED, row, column) square images in the order of the array's numbers.
    posed
        The pose is right already; otherwise circles bring every layout near it.
    """
    array = geometry.array.replace(max_illumination_na=None)
    # What tells twins apart would make the wrong one of the right pair look wrong.
    twins = bool(known_sign(geometry.microscope))
    candidates: list[tuple[str, Variant | None, Array]] = [
        (str(variant), variant, laid_out(array, variant))
        for place, variant in enumerate(VARIANTS)
        if twins or variant.twin not in VARIANTS[:place]
    ]
    if numbering and array.kind == "lattice" and array.order in ("rows", "columns") and not array.disc:
        name = "rows all in one direction" if array.serpentine else "every second row backwards (serpentine)"
        candidates.append((name, None, array.replace(serpentine=not array.serpentine)))
    size = min(LAYOUT_PX, images.shape[-1])
    first = (images.shape[-1] - size) // 2
    inner = slice(first, first + size)
    settings = Reconstruct(passes=LAYOUT_PASSES, zernike_terms=6)

    def left(there: Array) -> float:
        leds = led_array(there, field_point_um)
        used = np.flatnonzero(leds.radius_na < LAYOUT_NA * geometry.microscope.objective_na)
        cut = np.ascontiguousarray(images[used][:, inner, inner])
        here = geometry.replace(array=there)
        work = StackReconstruction(here, cut, settings, leds.select(used), device, callback=callback)
        for _done in work.run():
            pass
        return work.history[-1]

    arrays, residuals = [], []
    for _name, _variant, candidate in candidates:
        possible = [candidate] if posed else poses(geometry, candidate, images, field_point_um, coarse=True)
        residual, there = min(((left(one), one) for one in possible), key=lambda pair: pair[0])
        arrays.append(there)
        residuals.append(residual)
    names, variants, _arrays = zip(*candidates, strict=True)
    return LayoutTest(names=names, variants=variants, arrays=tuple(arrays), residuals=tuple(residuals))


CHECK_PX = 128
"""Edge of the square that is checked: circles are seen well from some 100 pixels on."""


def of_leds(array: Array, numbers: NDArray[np.int64]) -> Array:
    """The array with these of its LEDs alone, in this order, whatever ``max_illumination_na`` says.

    ``numbers`` are (LED,).
    """
    chosen = tuple(int(number) for number in numbers)
    if array.kind != "table":
        return array.replace(led_numbers=chosen, max_illumination_na=None)
    places = dict(zip(array.numbers(), array.positions_mm or (), strict=True))
    return array.replace(
        led_numbers=chosen, positions_mm=tuple(places[number] for number in chosen), max_illumination_na=None
    )


def laid_out_as(array: Array, found: Array) -> Array:
    """An array with the layout and the place that were found for some of its LEDs (`Finding.array`)."""
    changed = array.replace(pose=found.pose, height_mm=found.height_mm)
    return changed.replace(serpentine=found.serpentine) if array.kind == "lattice" else changed


def suggested_array(array: Array, found: Iterable[Finding]) -> Array | None:
    """The array in the layout and the place that findings ask for, if one does."""
    asked = next((one.array for one in found if one.kind == "layout" and one.array is not None), None)
    return None if asked is None else laid_out_as(array, asked)


def findings(
    geometry: Geometry,
    leds: LedArray,
    images: NDArray[np.float32],
    field_point_um: tuple[float, float] = (0.0, 0.0),
    device: torch.device | str = "cpu",
    callback: Callable[[], None] | None = None,
) -> tuple[Finding, ...]:
    """`check_geometry` of the middle of some images, (LED, row, column), 1 = open field.

    ``leds`` are those of the images, in their order; ``field_point_um`` is the centre of the images at the sample.
    """
    size = min(CHECK_PX, images.shape[-1])
    first = (images.shape[-1] - size) // 2
    middle = np.ascontiguousarray(images[:, first : first + size, first : first + size])
    own = geometry.replace(array=of_leds(geometry.array, leds.numbers))
    return check_geometry(own, middle, field_point_um, device, callback)


def check_geometry(
    geometry: Geometry,
    images: NDArray[np.float32],
    field_point_um: tuple[float, float] = (0.0, 0.0),
    device: torch.device | str = "cpu",
    callback: Callable[[], None] | None = None,
) -> tuple[Finding, ...]:
    """Everything in which a square of a stack contradicts its geometry, the surest first; a few seconds.

    Parameters
    ----------
    images
        (LED, row, column) square images in the order of the array's numbers, 1 = open field.
    field_point_um
        Their centre at the sample.
    """
    leds = led_array(geometry.array.replace(max_illumination_na=None, falloff="none"), field_point_um)
    means = images.mean((1, 2), dtype=np.float64)
    found = [bright_field_finding(means, leds, geometry.microscope.objective_na)]
    by_circles, posed = circle_findings(geometry, images, field_point_um)
    found += by_circles
    found.append(order_finding(images, leds, geometry.array, geometry.microscope.objective_na))
    if leds.bright_field(geometry.microscope.objective_na).any():
        found.append(try_other_layouts(geometry, images, field_point_um, device, callback, posed=posed).finding())
    return tuple(one for one in found if one is not None)
