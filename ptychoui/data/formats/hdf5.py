"""Reading numeric arrays from an HDF5 file that may be damaged or hostile."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ptychoui.data.formats.common import check_claim
from ptychoui.errors import DataError


def numeric_dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """Return a dataset that holds plain numbers inside this very file.

    Links and storage outside the file are refused (a data file has no business pointing at others), and so
    is a shape that the stored bytes cannot fill.
    """
    link = file.get(name, getlink=True)
    if link is None:
        raise DataError(f"{path.name} lacks {name!r}", f"it holds: {', '.join(sorted(file)) or 'nothing'}")
    dataset = file[name] if isinstance(link, h5py.HardLink) else None
    if not isinstance(dataset, h5py.Dataset) or dataset.is_virtual or dataset.external:
        raise DataError(
            f"{path.name}: {name!r} is not an array stored in this file",
            "copy the data into one file (links to other files are not followed)",
        )
    if dataset.dtype.kind not in "fiubc" or dataset.shape is None:
        raise DataError(f"{path.name}: {name!r} holds {dataset.dtype}, not numbers")
    check_claim(path, name, math.prod(dataset.shape) * dataset.dtype.itemsize, dataset.id.get_storage_size())
    return dataset


def read_array(file: h5py.File, name: str, path: Path) -> NDArray[Any]:
    """Read a dataset of numbers after `numeric_dataset` found it sound."""
    return np.asarray(numeric_dataset(file, name, path)[()])
