"""What all readers of k-space share: what is refused, what is guessed and said, and the making of a set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import Fact, Provenance
from ptychoui.data.kspace import SPACE_AXES, TRANSFORMED, Acquisition, KSpaceSet, from_centred
from ptychoui.errors import DataError
from ptychoui.words import counted, joined

ORDER_ONE = (0.05, 20.0)
"""Images whose brightest pixels lie in between are said to be of order 1."""

NOT_CENTRED = 4.0
"""The corner of k-space must hold so many times the energy of its middle to be taken for the zero frequency."""

DENSER = 1.5
"""The same of the density of a mask."""


@dataclass(slots=True, kw_only=True)
class KSpaceDraft:
    """What a reader gathers before a set is made of it."""

    path: Path
    layout: str
    acquisition: Acquisition
    notes: list[str] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    @property
    def axes(self) -> int:
        """How many of the last axes are transformed."""
        return TRANSFORMED[self.acquisition]

    def assume(self, name: str, value: str, source: str = "the layout's custom") -> None:
        """Note what the file does not state."""
        self.facts.append(Fact(name=name, value=value, source=source, assumed=True))

    def complex(self, array: NDArray[Any], what: str, axes: Sequence[str]) -> NDArray[np.complexfloating]:
        """The array, of shape (axes), where it is of complex finite numbers and has these axes.

        Raises
        ------
        DataError
            If it is real, has other axes or is empty, or a value is not finite.
        """
        if array.ndim != len(axes) or 0 in array.shape:
            raise DataError(
                f"{self.path.name}: {what} has the shape {array.shape}",
                f"its axes are {', '.join(axes)}, none of them empty",
            )
        if array.dtype.kind != "c":
            raise DataError(
                f"{self.path.name}: {what} holds real numbers ({array.dtype}), not complex ones",
                "magnitudes cannot be transformed back: export real and imaginary part",
            )
        for place, part in enumerate(array):
            if not np.isfinite(part).all():
                raise DataError(
                    f"{self.path.name}: {what} holds NaN or infinity, the first in {axes[0]} {place}",
                    "export the data again, or leave this one out",
                )
        return array

    def mask(self, array: NDArray[Any], shape: tuple[int, ...], what: str = "the mask") -> NDArray[np.bool_]:
        """A mask of the given shape as bool: True where it is not zero.

        Raises
        ------
        DataError
            If it has another shape, or is not of finite real numbers.
        """
        if array.shape != shape:
            rank = f"{counted(array.ndim, 'axis', 'axes')} instead of {len(shape)}"
            raise DataError(
                f"{self.path.name}: {what} has the shape {array.shape}"
                + (f", {rank}" if array.ndim != len(shape) else ""),
                f"it must be {shape} to fit k-space",
            )
        if array.dtype.kind not in "fiub" or (array.dtype.kind == "f" and not np.isfinite(array).all()):
            raise DataError(
                f"{self.path.name}: {what} holds {array.dtype} that are no truth values", "save it as 0 and 1"
            )
        if array.dtype.kind != "b" and not np.isin(array, (0, 1)).all():
            self.notes.append(f"{what} holds other values than 0 and 1: every value but 0 was taken for measured")
        return np.asarray(array != 0, dtype=np.bool_)

    def made(
        self,
        k_space: NDArray[np.complex64],
        sampled: NDArray[np.bool_],
        sha256: str,
        **more: Any,
    ) -> KSpaceSet:
        """The set of these arrays, k-space of shape (example, coil, *space), with everything that was gathered.

        Raises
        ------
        DataError
            If a coil measured only zeros, or arrays do not fit each other.
        """
        refuse_dead_coils(k_space, self.path.name)
        low, high = ORDER_ONE
        if not low <= (brightest := brightness(k_space[len(k_space) // 2], self.axes)) <= high:
            self.notes.append(
                f"the brightest pixels have values near {brightest:.2g}: methods and networks want data of order 1, "
                "and scale them first (normalised)"
            )
        source = Provenance(
            source=str(self.path),
            layout=self.layout,
            sha256=sha256,
            notes=tuple(self.notes),
            facts=tuple(self.facts),
        )
        try:
            return KSpaceSet(acquisition=self.acquisition, k_space=k_space, sampled=sampled, provenance=source, **more)
        except DataError as error:
            raise DataError(f"{self.path.name}: {error.message}", error.hint) from None


def refuse_dead_coils(k_space: NDArray[np.complex64], name: str) -> None:
    """Refuse k-space of shape (example, coil, *space) in which a coil of an example measured only zeros.

    Raises
    ------
    DataError
        With the coil's number, counted from 0.
    """
    alive = np.stack([example.reshape(len(example), -1).any(axis=1) for example in k_space])
    if not alive.any():
        raise DataError(f"{name} holds nothing but zeros", "export the data again")
    for place, coils in enumerate(alive):
        if coils.any() and not coils.all():
            dead = [str(coil) for coil in np.flatnonzero(~coils)]
            raise DataError(
                f"{name}: {'coil' if len(dead) == 1 else 'coils'} {joined(dead)} of example {place} measured only "
                "zeros (coils are counted from 0)",
                "leave it out of the file" if len(dead) == 1 else "leave them out of the file",
            )


def brightness(k_space: NDArray[np.complex64], axes: int) -> float:
    """The 99 % quantile of the zero-filled root sum of squares of k-space of shape (coil, *space)."""
    images = np.fft.ifftn(k_space, axes=tuple(range(-axes, 0)), norm="ortho")
    return float(np.quantile(np.linalg.norm(images, axis=0), 0.99))


def compact(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask of shape (example, *space) whose axes have length 1 where nothing depends on them, the first excepted."""
    for axis in range(1, mask.ndim):
        first = np.take(mask, [0], axis=axis)
        mask = first if (mask == first).all() else mask
    return mask


def not_zero(k_space: NDArray[np.complexfloating]) -> NDArray[np.bool_]:
    """(example, *space) where any coil of k-space of shape (example, coil, *space) measured something."""
    return np.stack([(example != 0).any(axis=0) for example in k_space])


def corner_first(energy: NDArray[np.floating], axes: int, factor: float = NOT_CENTRED) -> bool:
    """Whether more energy lies at the first samples than in the middle, of an array of shape (..., *transformed)."""
    total = energy.reshape(-1, *energy.shape[-axes:]).sum(axis=0)

    def near(shifted: NDArray[np.floating]) -> float:
        block = tuple(slice(n // 2 - max(1, n // 16), n // 2 + max(1, n // 16) + 1) for n in shifted.shape)
        return float(shifted[block].sum())

    return near(np.fft.fftshift(total)) > factor * near(total)


def zero_frequency_first(draft: KSpaceDraft, k_space: NDArray[np.complexfloating]) -> NDArray[np.complex64]:
    """K-space of shape (example, coil, *space) of a layout that has its zero frequency in the middle, as ours.

    Data whose energy lies at the corner are taken as they are, which is said.
    """
    axes = draft.axes
    middle = np.abs(k_space[len(k_space) // 2]) ** 2
    if corner_first(middle, axes):
        draft.assume("zero frequency", "first", "where the energy of k-space lies; the layout's custom is the middle")
        return np.ascontiguousarray(k_space, dtype=np.complex64)
    draft.assume("zero frequency", "in the middle, as is the origin of the image")
    new = np.empty(k_space.shape, dtype=np.complex64)
    for place, example in enumerate(k_space):
        new[place] = from_centred(example, axes)
    return new


def axes_of(acquisition: Acquisition) -> tuple[str, ...]:
    """Names of the axes of k-space, for messages."""
    return ("example", "coil", *SPACE_AXES[acquisition])
