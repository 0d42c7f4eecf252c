"""Sums over LEDs: the four passes that take nearly all the time of an unroll.

A window of w x w frequencies is placed in the corner of the field's n x n grid, not around its zero frequency: the
field then carries a phase ramp that is the same for every field of an LED and drops out of |u|^2, of conj(u) b, and
of the way back.

Spectra are those of the object's grid, scaled to the field's: (n / N)^2 times the transform. The adjoint is then the
plain inverse transform.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.engine.scratch import Scratch
from ptychoui.optics.geometry.microscope import pupil_function
from ptychoui.settings import Microscope

ALL = slice(None)

TABLE_LEDS = 16
"""LEDs whose pupils are made at a time."""


@dataclass(frozen=True, slots=True)
class PupilWindows:
    """Where each LED's pupil lies on the object's spectrum, and how to make it: nothing here grows as L w w.

    Attributes
    ----------
    microscope
        The objective.
    row, column
        (L,) places of a window's first row and column on the object's spectrum; they go on at 0 after its end.
    fraction
        (L, 2) column and row by which the LED lies beside the window's central sample, in samples.
    half
        A window has w = 2 half + 1 rows and columns, frequencies in ascending order.
    step_per_um
        Distance of two samples in 1/um.
    object_px, field_px
        N and n.
    dtype
        Complex type of the fields.
    """

    microscope: Microscope
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    fraction: NDArray[np.float64]
    half: int
    step_per_um: float
    object_px: int
    field_px: int
    dtype: np.dtype[np.complexfloating]

    def __len__(self) -> int:
        return len(self.row)

    @property
    def width(self) -> int:
        """Edge of a window: w."""
        return 2 * self.half + 1

    def rows_and_columns(self, leds: slice = ALL) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(l, w) rows and (l, w) columns of some LEDs' windows."""
        order = np.arange(self.width)
        return (self.row[leds, None] + order) % self.object_px, (self.column[leds, None] + order) % self.object_px

    def places(self, leds: slice = ALL) -> NDArray[np.int64]:
        """(l, w, w) places on the flat spectrum."""
        row, column = self.rows_and_columns(leds)
        return row[:, :, None] * self.object_px + column[:, None, :]

    def pupils(self, leds: slice = ALL) -> NDArray[np.complexfloating]:
        """(l, w, w) complex transmission of the objective, by `pupil_function`."""
        fraction = self.fraction[leds]
        found = np.empty((len(fraction), self.width, self.width), self.dtype)
        order = np.arange(-self.half, self.half + 1)
        for first in range(0, len(found), TABLE_LEDS):  # the function's own arrays are much larger than its result
            part = slice(first, first + TABLE_LEDS)
            fx = (order[None, :] - fraction[part, 0, None]) * self.step_per_um
            fy = (order[None, :] - fraction[part, 1, None]) * self.step_per_um
            fx, fy = np.broadcast_arrays(fx[:, None, :], fy[:, :, None])
            found[part] = pupil_function(self.microscope, fx, fy, self.step_per_um)
        return found

    def some(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.complexfloating], slice]]:
        """Places (l, w, w), pupils (l, w, w) and LEDs, a few at a time: sums over windows without tables of all."""
        for first in range(0, len(self), TABLE_LEDS):
            leds = slice(first, min(first + TABLE_LEDS, len(self)))
            yield self.places(leds), self.pupils(leds), leds


@dataclass(frozen=True, slots=True)
class Light:
    """What the LEDs show of objects.

    Attributes
    ----------
    spectrum
        (B, N, N) complex.
    fields
        (B, L, n, n) complex, or None where they were not kept: a pass makes them again from the spectrum.
    """

    spectrum: Tensor
    fields: Tensor | None = None


class LedSums(ABC):
    """Fields of all LEDs, mixed into measurements, and the way back: the contract of every implementation.

    Shapes: spectra (B, N, N) complex, fields (B, L, n, n) complex, images (B, M, n, n) real, weights (M, L). Fields
    of ``light`` are u_l, those of ``along`` and of the spectrum ``direction`` are b_l.
    """

    @abstractmethod
    def fields(self, spectrum: Tensor, work: Scratch) -> Tensor:
        """Every field u_l, in a new tensor: (B, N, N) -> (B, L, n, n)."""

    @abstractmethod
    def adjoint(self, fields: Tensor, work: Scratch) -> Tensor:
        """Spectrum of the adjoint of `fields`, (B, L, n, n) -> (B, N, N): overlaps add in LED order."""

    @abstractmethod
    def mixed_intensities(self, spectrum: Tensor, weights: Tensor, keep: Tensor | None, work: Scratch) -> Tensor:
        """Images (B, M, n, n) of sum_l C_ml |u_l|^2; the fields (B, L, n, n) are left in ``keep`` where given."""

    @abstractmethod
    def weighted_adjoint(self, light: Light, weights: Tensor, images: Tensor, work: Scratch) -> Tensor:
        """Spectrum (B, N, N) of sum_l B_l^H [w_l u_l] with w_l = sum_m C_ml image_m, images (B, M, n, n)."""

    @abstractmethod
    def mixed_cross(
        self, light: Light, direction: Tensor, weights: Tensor, keep: Tensor | None, work: Scratch
    ) -> Tensor:
        """Images (B, M, n, n) of sum_l C_ml 2 Re(conj(u_l) b_l); the fields b_l are left in ``keep`` where given."""

    @abstractmethod
    def product_adjoint(
        self, light: Light, along: Light, weights: Tensor, images: Tensor, changes: Tensor, work: Scratch
    ) -> tuple[Tensor, Tensor]:
        """Spectrum (B, N, N) of sum_l B_l^H [w_l b_l + dw_l u_l], where images and changes give w_l and dw_l.

        Beside it <image_m, 2 Re(conj(u_l) b_l)> + <change_m, |u_l|^2>, summed over the batch: (M, L).
        """

    # Passes for fields that are not kept, where two in one save transforms --------------------------------

    def mixed_both(self, spectrum: Tensor, direction: Tensor, weights: Tensor, work: Scratch) -> tuple[Tensor, Tensor]:
        """`mixed_intensities` and `mixed_cross` without kept fields: the same bits in 2 L transforms instead of 3 L.

        Spectra (B, N, N) -> images (B, M, n, n), twice.
        """
        mixed = self.mixed_intensities(spectrum, weights, None, work).clone()
        return mixed, self.mixed_cross(Light(spectrum), direction, weights, None, work)

    def adjoint_both(
        self, spectrum: Tensor, direction: Tensor, weights: Tensor, images: Tensor, changes: Tensor, work: Scratch
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`weighted_adjoint` and `product_adjoint` without kept fields: the same bits in 4 L transforms, not 5 L.

        Images (B, M, n, n) -> spectra (B, N, N), twice, and the sums of `product_adjoint`, (M, L).
        """
        gradient = self.weighted_adjoint(Light(spectrum), weights, images, work).clone()
        return gradient, *self.product_adjoint(Light(spectrum), Light(direction), weights, images, changes, work)
