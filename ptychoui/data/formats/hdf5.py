"""Reading numeric arrays from an HDF5 file that may be damaged or hostile."""

from __future__ import annotations

import importlib
import importlib.util
import io
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from ptychoui.data.formats.common import check_claim
from ptychoui.errors import DataError

FILTERS = {
    4: "SZIP",
    307: "bzip2",
    32000: "LZF",
    32001: "Blosc",
    32004: "LZ4",
    32008: "bitshuffle",
    32013: "ZFP",
    32015: "Zstandard",
    32017: "SZ",
    32024: "SZ3",
    32026: "Blosc2",
    32028: "SPERR",
}
"""Registered numbers of compressions that HDF5 itself cannot undo, and names for people."""


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
    claimed, stored = math.prod(dataset.shape) * dataset.dtype.itemsize, dataset.id.get_storage_size()
    check_claim(path, name, claimed, stored, packed=dataset.id.get_create_plist().get_nfilters() > 0)
    if dataset.chunks and claimed:
        check_claim(
            path,
            name,
            claimed,
            dataset.id.get_num_chunks() * math.prod(dataset.chunks) * dataset.dtype.itemsize,
            packed=False,
        )
    return dataset


def read_array(file: h5py.File, name: str, path: Path) -> NDArray[Any]:
    """Read a dataset of numbers after `numeric_dataset` found it sound.

    Raises
    ------
    DataError
        Also if it is compressed in a way for which a library is missing.
    """
    dataset = numeric_dataset(file, name, path)
    plist = dataset.id.get_create_plist()
    for place in range(plist.get_nfilters()):
        number = plist.get_filter(place)[0]
        if not (h5py.h5z.filter_avail(number) or (_load_plugins() and h5py.h5z.filter_avail(number))):
            known = f"{FILTERS[number]}, " if number in FILTERS else ""
            raise DataError(
                f"{path.name}: {name} is compressed with {known}HDF5 filter {number}, whose plug-in is not installed",
                "install the Python package hdf5plugin, or save the file again without compression or with gzip",
            )
    return np.asarray(dataset[()])


def _load_plugins() -> bool:
    """Load the package of filter plug-ins, which registers them; False where it is not installed."""
    if importlib.util.find_spec("hdf5plugin") is None:
        return False
    importlib.import_module("hdf5plugin")
    return True


def natural_names(names: Iterable[str]) -> list[str]:
    """Names sorted so that section2 comes before section10."""
    return sorted(names, key=lambda name: [int(p) if n % 2 else p for n, p in enumerate(re.split(r"([0-9]+)", name))])


def scalar_or_none(file: h5py.File, name: str, path: Path) -> float | None:
    """A dataset that holds one finite real number; None where there is none of that name."""
    if name not in file:
        return None
    value = read_array(file, name, path)
    if value.size != 1 or value.dtype.kind == "c":
        raise DataError(f"{path.name}: {name} has the shape {value.shape}, expected one real number")
    number = float(value.reshape(()))
    if not math.isfinite(number):
        raise DataError(f"{path.name}: {name} is {number}, expected a number")
    return number


class PatientFile(io.RawIOBase):
    """A file for h5py to write to, which keeps the first error instead of raising it.

    HDF5 cannot unwind from a write that fails: it tries again while objects are collected and prints what
    it cannot raise. So writing goes on into the void, and whoever made this file raises ``error`` at the end.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:  # noqa: D102
        if self.error is None:
            try:
                return self.file.write(data)
            except OSError as error:
                self.error = error
        return len(data)

    def flush(self) -> None:  # noqa: D102
        if self.error is None:
            try:
                self.file.flush()
            except OSError as error:
                self.error = error

    def truncate(self, size: int | None = None) -> int:  # noqa: D102
        if self.error is None:
            try:
                return self.file.truncate(size)
            except OSError as error:
                self.error = error
        return size or 0

    def readinto(self, buffer: Any) -> int:  # noqa: D102
        if self.error is None:
            try:
                data = self.file.read(len(buffer))
                buffer[: len(data)] = data
                return len(data)
            except OSError as error:
                self.error = error
        buffer[:] = bytes(len(buffer))
        return len(buffer)

    def seek(self, offset: int, whence: int = 0) -> int:  # noqa: D102
        if self.error is None:
            try:
                return self.file.seek(offset, whence)
            except OSError as error:
                self.error = error
        return offset

    def tell(self) -> int:  # noqa: D102
        return self.file.tell() if self.error is None else 0
