"""ISMRMRD files, by the package of that name where it is installed: Cartesian acquisitions of one encoding."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ptychoui.data.files import sha256_file
from ptychoui.data.formats.kspace_common import KSpaceDraft, compact, zero_frequency_first
from ptychoui.data.kspace import KSpaceSet
from ptychoui.errors import DataError

PACKAGE = "ismrmrd"
NO_IMAGE = (19, 20, 23, 24, 26, 27, 28)
"""Flags of acquisitions that belong to no image: noise, calibration alone, navigation, phase correction, feedback."""
REVERSE = 22
"""Flag of lines that were read backwards."""


def is_ismrmrd(file: h5py.File) -> bool:
    """Whether an open HDF5 file has the header and the acquisitions of ISMRMRD."""
    group = file.get("dataset")
    return isinstance(group, h5py.Group) and {"xml", "data"} <= set(group)


def read_ismrmrd(path: Path) -> KSpaceSet:
    """Read the Cartesian acquisitions of a file, one example of shape (coil, row, column) for each slice.

    The readout is the row. Lines that were measured several times are averaged; contrasts, phases and sets other than
    the first are left out, which is said.

    Raises
    ------
    DataError
        If the package is not installed, the trajectory is not Cartesian, phase is encoded along slices, lines were read
        backwards, or nothing fits.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        raise DataError(
            f"{path.name} is an ISMRMRD file, for which the package {PACKAGE} is not installed",
            f"install it with pip install {PACKAGE}, or export k-space as HDF5 (kspace: slice, coil, row, column)",
        )
    package: Any = importlib.import_module(PACKAGE)
    draft = KSpaceDraft(path=path, layout="ISMRMRD", acquisition="2d")
    file = package.Dataset(str(path), "dataset", create_if_needed=False)
    try:
        header = package.xsd.CreateFromDocument(file.read_xml_header())
        encoding = header.encoding[0]
        trajectory = str(getattr(encoding.trajectory, "value", encoding.trajectory))
        if trajectory.lower() != "cartesian":
            raise DataError(f"{path.name} is sampled along a {trajectory} trajectory", "only Cartesian files are read")
        size = encoding.encodedSpace.matrixSize
        if int(size.z) > 1:
            raise DataError(
                f"{path.name} encodes phase along slices too",
                "transform it along slices, and write ptychoui's own HDF5",
            )
        lines: dict[int, dict[int, list[Any]]] = {}
        left_out = 0
        for number in range(file.number_of_acquisitions()):
            one = file.read_acquisition(number)
            index = one.idx
            if any(one.is_flag_set(flag) for flag in NO_IMAGE) or index.contrast or index.phase or index.set:
                left_out += 1
                continue
            if one.is_flag_set(REVERSE):
                raise DataError(
                    f"{path.name} has lines that were read backwards (echo-planar imaging)",
                    "correct their phases first, and write ptychoui's own HDF5",
                )
            lines.setdefault(int(index.slice), {}).setdefault(int(index.kspace_encode_step_1), []).append(
                np.asarray(one.data)
            )
    finally:
        file.close()
    if not lines:
        raise DataError(f"{path.name} holds no line of an image", "check that the acquisition was finished")
    coils, samples = next(iter(next(iter(lines.values())).values()))[0].shape
    centre = encoding.encodingLimits.kspace_encoding_step_1.center
    shift = int(size.y) // 2 - int(centre)
    k_space = np.zeros((len(lines), coils, samples, int(size.y)), dtype=np.complex64)
    sampled = np.zeros((len(lines), 1, int(size.y)), dtype=bool)
    for place, slice_number in enumerate(sorted(lines)):
        for step, several in lines[slice_number].items():
            column = step + shift
            if not 0 <= column < int(size.y) or any(line.shape != (coils, samples) for line in several):
                raise DataError(
                    f"{path.name}: line {step} of slice {slice_number} does not fit an encoded space of {size.y} lines "
                    f"of {samples} samples of {coils} coils",
                    "the file is damaged, or of a kind of acquisition that is not read",
                )
            k_space[place, :, :, column] = np.mean(several, axis=0)
            sampled[place, 0, column] = True
    if left_out:
        draft.notes.append(f"{left_out} acquisitions of other kinds, contrasts, phases or sets are left out")
    draft.assume("rows", "along the readout, as it was sampled (oversampled as a rule)")
    found = zero_frequency_first(draft, draft.complex(k_space, "k-space", ("slice", "coil", "row", "column")))
    return draft.made(
        found,
        compact(np.fft.ifftshift(sampled, axes=-1)),
        sha256_file(path),
        names=tuple(f"{path.stem} slice {number}" for number in sorted(lines)),
        source_of=(0,) * len(lines),
    )
