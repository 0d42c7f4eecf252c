"""Disjoint samples of one measurement to learn from, to stop by and to test with: learning without a truth.

Of the measured samples a share is never looked at (test) and another only scores (stop). The rest is divided again and
again: the network is given one part and its image is judged by the other. The calibration region, which the coil maps
were made from, is always given to the network: no sample that judges has had a say in the maps.
Source: Yaman et al., "Zero-shot self-supervised learning for MRI reconstruction", ICLR 2022, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import DataError
from ptychoui.mri.held_out import outside_calibration
from ptychoui.settings import MriTraining
from ptychoui.words import counted

Mask = NDArray[np.bool_]

FEWEST = 4
"""So many samples, or lines, are in each part at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSplit:
    """Masks of one example, each (*space) or with axes of length 1.

    Attributes
    ----------
    given, judged
        What the network gets and what its image is judged by, for each division of the samples to learn from.
    all_given
        Everything to learn from: what the network gets when it is scored.
    stop, test
        What scores are made of, and what is left out of everything.
    """

    given: tuple[Mask, ...]
    judged: tuple[Mask, ...]
    all_given: Mask
    stop: Mask
    test: Mask


def divided(sampled: Mask, transformed: int, settings: MriTraining, generator: np.random.Generator) -> SampleSplit:
    """Divide the measured samples of one example.

    Parameters
    ----------
    sampled
        (*space) or with axes of length 1, zero frequency first.
    transformed
        How many of the last axes are Fourier transformed; planes along another axis are divided each for itself.
    settings
        Shares and number of divisions.
    generator
        Source of every choice.

    Returns
    -------
    Masks of the shape of ``sampled``, those along which samples are alike shortened to 1.

    Raises
    ------
    DataError
        If there are too few samples outside the calibration region.
    """
    planes = sampled[None] if sampled.ndim == transformed else sampled
    made = [_divided_plane(plane, settings, generator) for plane in planes]

    def together(parts: list[Mask]) -> Mask:
        stacked = np.stack([np.broadcast_to(part, planes[0].shape) for part in parts])
        return stacked[0] if sampled.ndim == transformed else stacked

    return SampleSplit(
        given=tuple(together([plane.given[k] for plane in made]) for k in range(settings.splits)),
        judged=tuple(together([plane.judged[k] for plane in made]) for k in range(settings.splits)),
        all_given=together([plane.all_given for plane in made]),
        stop=together([plane.stop for plane in made]),
        test=together([plane.test for plane in made]),
    )


def judging_nothing(sampled: Mask, transformed: int) -> Mask:
    """The calibration regions of one example, each plane's own: what coil maps and the scale may be made of.

    A cine's frames are averaged for its maps, but what one frame measures beside its own region may judge, wherever the
    regions of others reach.

    Parameters
    ----------
    sampled, transformed
        As in `divided`; the masks that come back have the shape of ``sampled``.

    Raises
    ------
    DataError
        If there is no calibration region.
    """
    planes = sampled[None] if sampled.ndim == transformed else sampled
    outer = [np.broadcast_to(outside_calibration(plane, plane.shape)[1], plane.shape) for plane in planes]
    found = planes & ~np.stack(outer)
    return found[0] if sampled.ndim == transformed else found


def _divided_plane(sampled: Mask, settings: MriTraining, generator: np.random.Generator) -> SampleSplit:
    mask, outer = outside_calibration(sampled, sampled.shape)
    places = generator.permutation(np.flatnonzero(outer))
    testing = max(round(settings.test_share * len(places)), 1) if settings.test_share else 0
    stopping = max(round(settings.stop_share * len(places)), FEWEST)
    left = places[testing + stopping :]
    judging = max(round(settings.split_share * len(left)), FEWEST)
    if len(left) < 2 * judging:
        raise DataError(
            f"{counted(len(places), 'sample or line', 'samples or lines')} outside the calibration region are too few "
            "to be divided for self-supervision",
            "measure more, or take smaller shares in [training]",
        )

    def at(chosen: NDArray[np.int64]) -> Mask:
        found = np.zeros(mask.shape, dtype=bool)
        found.flat[chosen] = True
        return found

    judged = tuple(at(generator.permutation(left)[:judging]) for _ in range(settings.splits))
    stop, test = at(places[testing : testing + stopping]), at(places[:testing])
    all_given = mask & ~stop & ~test
    return SampleSplit(
        given=tuple(all_given & ~part for part in judged), judged=judged, all_given=all_given, stop=stop, test=test
    )
