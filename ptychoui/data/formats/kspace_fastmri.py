"""HDF5 files of fastMRI: slices of one volume, ``kspace`` (slice, coil, row, column), zero frequency in the middle."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from ptychoui.data.dataset import Fact
from ptychoui.data.files import sha256_file
from ptychoui.data.formats.common import parsing
from ptychoui.data.formats.hdf5 import read_array
from ptychoui.data.formats.kspace_common import KSpaceDraft, axes_of, compact, not_zero, zero_frequency_first
from ptychoui.data.kspace import KSpaceSet
from ptychoui.errors import DataError

RECONSTRUCTIONS = ("reconstruction_rss", "reconstruction_esc")


def read_fastmri(path: Path) -> KSpaceSet:
    """Read ``kspace`` of shape (slice, coil, row, column), or (slice, row, column) of a single coil.

    ``mask`` (column,) says what was measured; without it columns that are zero everywhere were not. Reconstructions in
    the file are magnitudes of a part of the field and no truth here. The text ``ismrmrd_header`` is not read.

    Raises
    ------
    DataError
        If the file is damaged, k-space is real or not finite, the mask does not fit, or a coil measured only zeros.
    """
    draft = KSpaceDraft(path=path, layout="fastMRI HDF5", acquisition="2d")
    with parsing(path, "HDF5 file"), h5py.File(path, "r") as file:
        if {"maps", "target"} <= set(file):
            raise DataError(
                f"{path.name} holds k-space with maps and a target in an order of axes that differs between programs: "
                "not read",
                "write it with ptychoui.data.formats.kspace_native.write_kspace, which names them",
            )
        array = read_array(file, "kspace", path)
        mask = read_array(file, "mask", path) if "mask" in file else None
        shown = {name: file[name].shape for name in RECONSTRUCTIONS if name in file}
        contrast = file.attrs.get("acquisition")
    if isinstance(contrast, str):
        draft.facts.append(Fact(name="contrast", value=contrast, source="attribute acquisition"))
    if array.ndim == 3:
        array = array[:, None]
        draft.assume("coils", "1", "k-space has three axes")
    found = draft.complex(array, "kspace", axes_of("2d"))
    k_space = zero_frequency_first(draft, found)
    measured = compact(not_zero(k_space))
    if mask is not None:
        given = draft.mask(mask, (k_space.shape[-1],), "mask")
        sampled = np.repeat(np.fft.ifftshift(given)[None, None], len(k_space), axis=0)
        if (outside := measured & ~sampled).any():
            draft.notes.append(
                f"the mask leaves out {100 * outside.mean():.0f} % of k-space that is not zero: set to zero"
            )
            k_space *= sampled[:, None]
        sampled = compact(sampled & measured)
        draft.facts.append(Fact(name="sampled", value="columns", source="mask"))
    else:
        sampled = measured
        draft.assume("sampled", "where any coil is not zero", "the values; the file has no mask")
    for name, shape in shown.items():
        draft.notes.append(f"{name} is the magnitude of a part of the field: it is not used as a truth")
        if len(shape) == 3 and shape[1] < k_space.shape[-2]:
            draft.notes.append(
                f"k-space has {k_space.shape[-2]} rows, {name} {shape[1]}: the readout is oversampled, and can be cut "
                f"(--cut row={shape[1]})"
            )
    return draft.made(
        k_space,
        sampled,
        sha256_file(path),
        names=tuple(f"{path.stem} slice {place}" for place in range(len(k_space))),
        source_of=(0,) * len(k_space),
    )
