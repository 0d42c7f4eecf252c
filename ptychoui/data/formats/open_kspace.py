"""Open k-space of any known layout; the content decides which reader is used, not the file's name."""

from __future__ import annotations

import re
from pathlib import Path

import h5py

from ptychoui.data.formats.common import parsing
from ptychoui.data.formats.kspace_fastmri import read_fastmri
from ptychoui.data.formats.kspace_ismrmrd import is_ismrmrd, read_ismrmrd
from ptychoui.data.formats.kspace_mel import read_mel, splits
from ptychoui.data.formats.kspace_meld import NAMES, read_meld
from ptychoui.data.formats.kspace_native import is_native_kspace, read_native_kspace
from ptychoui.data.formats.kspace_npy import read_npy_kspace
from ptychoui.data.formats.npy import LONGEST_HEADER, MAGIC
from ptychoui.data.kspace import KSpaceSet
from ptychoui.data.kspace_results import is_kspace_reconstruction
from ptychoui.errors import DataError

COMPLEX = re.compile(rb"'descr':\s*'[<>|=]c(?:8|16)'")
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
LAYOUTS = (
    "ptychoui's own HDF5 of k-space, fastMRI HDF5, HDF5 of imgs, maps and masks (MELD), folders of slices (MEL), "
    "ISMRMRD, and complex .npy arrays"
)


def open_kspace(path: str | Path, seed: int = 0, noise_std: float = 0.0) -> KSpaceSet:
    """Read multi-channel k-space from a file or a folder.

    Parameters
    ----------
    path
        A file or folder of one of the layouts in the readers' docstrings; of a folder with several splits
        PATH::SPLIT chooses one.
    seed, noise_std
        Of the noise, in units of k-space, where a layout holds images from which k-space is simulated.

    Returns
    -------
    KSpaceSet
        k-space of shape (example, coil, *space), zero frequency first. What was read from where, and what was assumed,
        is in ``provenance.facts``; conflicts and warnings are sentences in ``provenance.notes``.

    Raises
    ------
    DataError
        If the file is missing, damaged or of an unknown layout, or arrays do not fit each other; the hint says what to
        do.
    """
    path = Path(path)
    name, mark, split = path.name.rpartition("::")
    chosen = None
    if mark and name and split and not _there(path):
        path, chosen = path.with_name(name), split
    if not _there(path):
        raise DataError(f"there is no file or folder {str(path)[:200]!r}", "check the path")
    if path.is_dir():
        if not splits(path):
            raise DataError(f"{path.name} is not a folder of k-space", f"ptychoui reads {LAYOUTS}")
        with parsing(path, "folder of slices"):
            return read_mel(path, chosen)
    if chosen is not None:
        raise DataError(f"{path.name} has no parts, so there is no {chosen!r} in it", f"open {path.name} itself")
    try:
        with path.open("rb") as file:
            start = file.read(len(HDF5_MAGIC))
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror}", "check its permissions") from None
    if start.startswith(MAGIC):
        with parsing(path, "NumPy file"):
            return read_npy_kspace(path)
    if start != HDF5_MAGIC:
        raise DataError(f"{path.name} is not k-space of a known kind", f"ptychoui reads {LAYOUTS}")
    kind, names = _kind(path)
    if kind == "own":
        return read_native_kspace(path)
    if kind == "ismrmrd":
        with parsing(path, "ISMRMRD file"):
            return read_ismrmrd(path)
    if kind == "fastmri":
        return read_fastmri(path)
    if kind == "meld":
        return read_meld(path, seed, noise_std)
    if is_kspace_reconstruction(path):
        raise DataError(
            f"{path.name} holds images that were made of k-space already", "give the k-space that they were made of"
        )
    raise DataError(
        f"{path.name} is an HDF5 file of an unknown layout: it holds {', '.join(names) or 'nothing'}",
        "k-space lies in 'kspace' (slice, coil, row, column), or in imgs, maps and masks",
    )


def is_kspace(path: str | Path, any_array: bool = False) -> bool:
    """Whether a file or folder is of a layout of k-space; anything that cannot be read is not.

    Parameters
    ----------
    path
        A file, a folder or FOLDER::SPLIT.
    any_array
        Count every .npy file, not only those of complex numbers: no other layout of this program is one, and the reader
        says best what is wrong with it.
    """
    path = Path(path)
    if not _there(path):
        name, mark, _ = path.name.rpartition("::")
        return bool(mark and name) and bool(splits(path.with_name(name)))
    if path.is_dir():
        return bool(splits(path))
    try:
        with path.open("rb") as file:
            start = file.read(len(HDF5_MAGIC))
            if start.startswith(MAGIC):
                return any_array or COMPLEX.search(file.read(LONGEST_HEADER)) is not None
        return start == HDF5_MAGIC and _kind(path)[0] != ""
    except (OSError, DataError):
        return False


def _kind(path: Path) -> tuple[str, list[str]]:
    """What an HDF5 file is, empty where it is something else, and the names in it."""
    with parsing(path, "HDF5 file"), h5py.File(path, "r") as file:
        names = sorted(file)
        if is_native_kspace(file):
            return "own", names
        if is_ismrmrd(file):
            return "ismrmrd", names
        if "kspace" in names:
            return "fastmri", names
        if len(set(names) & set(NAMES)) > 1:
            return "meld", names
    return "", names


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # not a file name
        return False
