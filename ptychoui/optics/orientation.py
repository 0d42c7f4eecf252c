"""Which way round the array stands before the camera: the eight ways to lay out two axes, tried one by one.

A crop is reconstructed with each; the one that explains the images best is suggested, with its margin. In focus and
with an even pupil, a layout and its twin, turned by half a turn, explain the images equally well, with the sign of the
phase changed: only a known defocus or aberration, or a sample whose sign is known, tells them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui.experiment import Array, Geometry, Reconstruct
from ptychoui.optics.led_array import led_array
from ptychoui.optics.pose import VARIANTS, Variant, laid_out
from ptychoui.optics.reconstruct import reconstruct

CROP_PX = 128
PASSES = 8

SURE = 0.05
"""Margin from which a pair of twins is taken for granted: measured stacks have had right ones below a hundredth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orientation:
    """What the test found, best first.

    Attributes
    ----------
    variants, residuals
        The eight layouts, as changes of the one given, and their amplitude residuals, in ascending order.
    array
        The array laid out the best way.
    pair_margin
        By what share the best residual of any other pair of twins is larger than the best one's.
    twin_margin
        By what share the twin's residual is larger: near zero the images do not tell the sign of the phase.
    """

    variants: tuple[Variant, ...]
    residuals: tuple[float, ...]
    array: Array
    pair_margin: float
    twin_margin: float

    @property
    def sure(self) -> bool:
        """True if the margin of the best pair is beyond doubt."""
        return self.pair_margin >= SURE

    @property
    def sentence(self) -> str:
        """The result for people."""
        sure = "" if self.sure else " - too little to be sure: check it with a sample that you know"
        sign = (
            f"its twin, turned by half a turn, is {self.twin_margin:.1%} worse"
            if self.twin_margin >= SURE
            else f"its twin, turned by half a turn, is only {self.twin_margin:.1%} worse: "
            "the sign of the phase needs a known defocus or sample"
        )
        return (
            f"best layout: {self.variants[0]}; amplitude residual {self.residuals[0]:.4f}, the next pair is "
            f"{self.pair_margin:.1%} worse{sure}; {sign}"
        )


def orientation(
    geometry: Geometry,
    images: NDArray[np.float32],
    field_point_um: tuple[float, float] = (0.0, 0.0),
    passes: int = PASSES,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
    device: torch.device | str = "cpu",
) -> Orientation:
    """Try the eight layouts in one go: see `try_layouts`."""
    for found in try_layouts(geometry, images, field_point_um, passes, device):
        if isinstance(found, Orientation):
            return found
        progress(found, len(VARIANTS))
    raise AssertionError("the test has no end")


def try_layouts(
    geometry: Geometry,
    images: NDArray[np.float32],
    field_point_um: tuple[float, float] = (0.0, 0.0),
    passes: int = PASSES,
    device: torch.device | str = "cpu",
    between: Callable[[], None] | None = None,
) -> Iterator[int | Orientation]:
    """Try the eight layouts on the middle of the images: yields how many are done, at the end what was found.

    Parameters
    ----------
    images
        (LED, row, column) square images in the order of the array's LEDs.
    field_point_um
        Their centre at the sample.
    between
        Called every few LEDs: where the work can wait, or be given up by an exception.

    Raises
    ------
    GeometryError
        If the array is tilted about both axes.
    """
    size = min(CROP_PX, images.shape[-1])
    first = (images.shape[-1] - size) // 2
    crop = np.ascontiguousarray(images[:, first : first + size, first : first + size])
    settings = Reconstruct(passes=passes, pupil="fixed", gain=False, background=False)
    found: list[tuple[float, Variant]] = []
    for number, variant in enumerate(VARIANTS):
        array = laid_out(geometry.array, variant)
        leds = led_array(array, field_point_um)
        result = reconstruct(geometry.replace(array=array), crop, settings, leds, device, between)
        found.append((result.amplitude_residual, variant))
        yield number + 1
    found.sort(key=lambda pair: pair[0])
    residuals, variants = tuple(value for value, _ in found), tuple(variant for _, variant in found)
    best, twin = variants[0], variants[0].twin
    other = next(value for value, variant in found if variant not in (best, twin))
    yield Orientation(
        variants=variants,
        residuals=residuals,
        array=laid_out(geometry.array, best),
        pair_margin=other / min(residuals[0], residuals[variants.index(twin)]) - 1,
        twin_margin=residuals[variants.index(twin)] / residuals[0] - 1,
    )
