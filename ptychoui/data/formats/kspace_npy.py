"""K-space in one .npy file: (coil, row, column) or (example, coil, row, column), zero where nothing was measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ptychoui.data.files import sha256_file
from ptychoui.data.formats.kspace_common import KSpaceDraft, axes_of, compact, not_zero, zero_frequency_first
from ptychoui.data.formats.npy import read_npy
from ptychoui.data.kspace import KSpaceSet
from ptychoui.errors import DataError


def read_npy_kspace(path: Path) -> KSpaceSet:
    """Read k-space of shape (coil, row, column) or (example, coil, row, column), complex, zero frequency in the middle.

    Raises
    ------
    DataError
        If the file is damaged, holds pickled objects, real numbers or another number of axes, or is not finite.
    """
    array = read_npy(path, "uifbc")
    draft = KSpaceDraft(path=path, layout="NumPy array of k-space", acquisition="2d")
    if array.ndim not in (3, 4):
        raise DataError(
            f"{path.name} has the shape {array.shape}",
            "k-space has the axes coil, row, column or example, coil, row, column; volumes and cine go into "
            "ptychoui's own HDF5 (ptychoui.data.formats.kspace_native.write_kspace)",
        )
    if array.ndim == 3:
        array = array[None]
    found = draft.complex(array, "k-space", axes_of("2d"))
    draft.assume("axes", "example, coil, row, column", "the order of the axes; the file names none")
    draft.assume("sampled", "where any coil is not zero", "the values; the file has no mask")
    k_space = zero_frequency_first(draft, found)
    return draft.made(
        k_space,
        compact(not_zero(k_space)),
        sha256_file(path),
        names=tuple(f"{path.stem} {place}" for place in range(len(k_space))) if len(k_space) > 1 else (path.stem,),
        source_of=tuple(np.zeros(len(k_space), dtype=int).tolist()),
    )
