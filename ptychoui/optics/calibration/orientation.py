"""Which way round the array stands before the camera: the eight ways to lay out two axes, tried one by one.

A crop is reconstructed with each, its pose corrected first by the circles in bright-field spectra where that helps:
with an array that is a millimetre off, wrong orientations explain the images as well as the right one. The one that
explains them best is suggested, with its margin. In focus and with an even pupil, an orientation and its twin, turned
by half a turn, explain the images equally well, with the sign of the phase changed: only a known defocus or aberration,
or a sample whose sign is known, tells them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui.optics.calibration.geometry_check import CLEARLY, known_sign, poses, settings_of, try_other_layouts
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.pose import VARIANTS, Variant, half_turn, laid_out
from ptychoui.optics.reconstruction.stack import reconstruct
from ptychoui.settings import Array, Geometry, Reconstruct

CROP_PX = 128
PASSES = 8

SURE = 0.05
"""Margin from which a pair of twins is taken for granted: right ones of measured stacks have 0.2 and more."""

TIED = 0.005
"""Margin below which twins count as equal; then the orientation that is given, if it is one of them, comes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orientation:
    """What the test found, best first.

    Attributes
    ----------
    variants, residuals
        The eight orientations, as changes of the one given, and their amplitude residuals, in ascending order but for
        twins that are tied, and behind a pair that was ``fitted``.
    array
        The array laid out the best way.
    pair_margin
        By what share the best residual of any other pair of twins is larger than the best one's.
    twin_margin
        By what share the twin's residual is larger: near zero the images do not tell the sign of the phase.
    fitted
        True if the pair was decided by short reconstructions with brightness and stray light fitted, whose margin
        ``pair_margin`` then is: without them several orientations were about as good.
    known
        What the geometry states that tells twins apart, in words; empty where it states nothing.
    """

    variants: tuple[Variant, ...]
    residuals: tuple[float, ...]
    array: Array
    pair_margin: float
    twin_margin: float
    fitted: bool = False
    known: str = ""

    @property
    def sure(self) -> bool:
        """True if the margin of the best pair is beyond doubt."""
        return self.pair_margin >= SURE

    @property
    def sign_rests_on(self) -> str:
        """What the half turn, and with it the sign of the phase, was decided by, and how far to trust it."""
        if self.known:
            return f"{self.known} of the geometry: with another sign of it the twin is the right one"
        return (
            "nothing that the geometry states: a sample out of focus, or another error of the model, may decide for "
            "the wrong twin as well, so check the sign of the phase with a sample that you know"
        )

    @property
    def sentence(self) -> str:
        """The result for people."""
        best = f"{'best' if self.sure else 'perhaps the best'} orientation: {self.variants[0]}"
        pair = f"the next pair is {worse(self.pair_margin)}"
        if self.fitted:
            pair += " with brightness and stray light fitted"
        if not self.sure:
            pair += " - too little to be sure: check the orientation with a sample that you know"
            if self.variants[0] != VARIANTS[0]:
                pair += f"; not applied; to try it: {settings_of(self.array)}"
        if self.twin_margin >= SURE:
            twin = f"its twin, turned by half a turn, is {worse(self.twin_margin)}, which rests on {self.sign_rests_on}"
        else:
            almost = "as good" if self.twin_margin < TIED else f"only {worse(self.twin_margin)}"
            twin = (
                f"its twin, turned by half a turn, is {almost}: the sign of the phase needs a known defocus or sample"
            )
        return f"{best}; amplitude residual {self.residuals[0]:.4f}, {pair}; {twin}"


def worse(margin: float) -> str:
    """How much larger a residual is, for people."""
    return f"{margin:.1%} worse" if margin < 1 else f"{1 + margin:.2g} times as bad"


def orientation(
    geometry: Geometry,
    images: NDArray[np.float32],
    field_point_um: tuple[float, float] = (0.0, 0.0),
    passes: int = PASSES,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
    device: torch.device | str = "cpu",
) -> Orientation:
    """Try the eight orientations in one go: see `try_orientations`.

    ``images`` are (LED, row, column), square, in the order of the array's LEDs; ``field_point_um`` is their centre at
    the sample; ``progress`` gets how many orientations of how many are done.

    Raises
    ------
    GeometryError
        If the array is tilted about both axes.
    """
    for found in try_orientations(geometry, images, field_point_um, passes, device):
        if isinstance(found, Orientation):
            return found
        progress(found, len(VARIANTS))
    raise AssertionError("the test has no end")


def try_orientations(
    geometry: Geometry,
    images: NDArray[np.float32],
    field_point_um: tuple[float, float] = (0.0, 0.0),
    passes: int = PASSES,
    device: torch.device | str = "cpu",
    callback: Callable[[], None] | None = None,
) -> Iterator[int | Orientation]:
    """Try the eight orientations on the middle of the images: yields how many are done, at the end what was found.

    Parameters
    ----------
    images
        (LED, row, column) square images in the order of the array's LEDs.
    field_point_um
        Their centre at the sample.
    callback
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

    def left(there: Array) -> float:
        leds = led_array(there, field_point_um)
        return reconstruct(geometry.replace(array=there), crop, settings, leds, device, callback).amplitude_residual

    for variant in [variant for variant in VARIANTS if variant.twin not in VARIANTS[: VARIANTS.index(variant)]]:
        # Circles bring a pose near that is off; one that is right they may move away, by a few percent of the height.
        residual, array = min(
            (
                (left(there), there)
                for there in poses(geometry, laid_out(geometry.array, variant), crop, field_point_um)
            ),
            key=lambda pair: pair[0],
        )
        found.append((residual, variant))
        yield len(found)
        # One pose for both twins: then they differ by the sign alone.
        found.append((left(half_turn(array, field_point_um)), variant.twin))
        yield len(found)
    found.sort(key=lambda pair: pair[0])
    if found[1][1] == VARIANTS[0] == found[0][1].twin and found[1][0] < (1 + TIED) * found[0][0]:
        found[:2] = found[1], found[0]
    margin, fitted = _pair_margin(found), False
    if margin < SURE:
        test = try_other_layouts(geometry, images, field_point_um, device, callback, numbering=False)
        if test.margin >= CLEARLY - 1:
            chosen = test.variants[test.best]
            assert chosen is not None
            found.sort(key=lambda one: (one[1] not in (chosen, chosen.twin), one[0]))
            margin, fitted = test.margin, True
    residuals, variants = tuple(value for value, _ in found), tuple(variant for _, variant in found)
    best, twin = variants[0], variants[0].twin
    yield Orientation(
        variants=variants,
        residuals=residuals,
        array=laid_out(geometry.array, best),
        pair_margin=margin,
        twin_margin=max(0.0, residuals[variants.index(twin)] / residuals[0] - 1),
        fitted=fitted,
        known=known_sign(geometry.microscope),
    )


def _pair_margin(found: list[tuple[float, Variant]]) -> float:
    """By what share the best residual of any other pair is larger than that of the best one."""
    best = found[0][1]
    other = next(value for value, variant in found if variant not in (best, best.twin))
    return other / min(value for value, variant in found if variant in (best, best.twin)) - 1
