"""What is not read, and the sentence that says why and what to convert it to."""

from __future__ import annotations

import re
import struct
import zipfile
from pathlib import Path

import h5py

RAW_SUFFIXES = {
    ".dng": "DNG",
    ".cr2": "Canon CR2",
    ".cr3": "Canon CR3",
    ".nef": "Nikon NEF",
    ".nrw": "Nikon NRW",
    ".arw": "Sony ARW",
    ".orf": "Olympus ORF",
    ".raf": "Fuji RAF",
    ".rw2": "Panasonic RW2",
    ".pef": "Pentax PEF",
    ".exr": "OpenEXR",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
}
CONVERT = "convert the images to a multi-page TIFF with a geometry.toml beside it, or to ptychoui's HDF5"
LINEAR = "convert it to 16-bit grey TIFF with linear values, one colour channel, one file for each LED"


def refused_image(path: Path, start: bytes) -> tuple[str, str] | None:
    """Raw camera files, OpenEXR and JPEG, by content and, where that is a TIFF's, by name."""
    kind = RAW_SUFFIXES.get(path.suffix.lower())
    if start and kind in ("JPEG", "OpenEXR"):
        kind = None  # these are known by their content; raw formats may be TIFF files inside
    if start.startswith(b"\x76\x2f\x31\x01"):
        kind = "OpenEXR"
    elif start.startswith(b"\xff\xd8\xff"):
        kind = "JPEG"
    elif start.startswith(b"FUJIFILMCCD-RAW"):
        kind = "Fuji RAF"
    elif start[:4] in (b"IIRO", b"IIRS", b"MMOR"):
        kind = "Olympus ORF"
    elif start[:4] == b"IIU\0":
        kind = "Panasonic RW2"
    elif start[4:12] == b"ftypcrx ":
        kind = "Canon CR3"
    elif start[:4] == b"II*\0" and start[8:10] == b"CR":
        kind = "Canon CR2"
    if kind is None:
        return None
    if kind == "JPEG":
        return f"{path.name} is a JPEG, whose values are not proportional to light: not read", LINEAR
    if kind == "OpenEXR":
        return f"{path.name} is an OpenEXR file: not read", LINEAR
    return f"{path.name} is a {kind} file, a raw camera format: not read", LINEAR


def refused_hdf5(file: h5py.File) -> str | None:
    """What an HDF5 file is, if it is of a layout without LEDs."""
    names = set(file)
    if names & {"entry_1", "cxi_version"}:
        return "a CXI file: it has no concept of LEDs"
    if "chunks" in names or ("content" in names and "info" in names and "meta" not in names) or "ptyr" in names:
        return "a ptypy file: it has no concept of LEDs"
    if any(name.startswith("probe_position") for name in names) or "loss_values" in names:
        return "a ptychodus product: it has no concept of LEDs"
    if "entry" in names:
        return "a NeXus file: it has no concept of LEDs"
    return None


def refused_file(path: Path, start: bytes) -> tuple[str, str] | None:
    """Files that can hold programs, and single images; None for what is merely unknown."""
    suffix = path.suffix.lower()
    if _is_matlab_4(start):
        return (
            f"{path.name} is a MATLAB file of version 4, which holds tables of two axes and no stack: not read",
            "save it in MATLAB with -v7: images as row, column, LED",
        )
    if start.startswith(b"PK\x03\x04"):
        names = _names(path)
        if any(name.startswith("probe_position") for name in names):
            return f"{path.name} is a ptychodus product: it has no concept of LEDs, not read", CONVERT
        if suffix in (".pt", ".pth") or any(name.endswith("data.pkl") for name in names):
            return (
                f"{path.name} is a PyTorch file, which holds a pickle and can run programs when it is read: not read",
                f"load it where it was made (fpm-py: weights_only), then {CONVERT}",
            )
        if suffix != ".npz":
            return f"{path.name} is a ZIP archive, which may hold pickles: not read", f"unpack it, then {CONVERT}"
    if start.startswith(b"\x93NUMPY") or suffix in (".npy", ".npz"):
        return f"{path.name} is a NumPy file, which can hold pickled programs and no geometry: not read", CONVERT
    if suffix in (".pt", ".pth", ".pkl", ".pickle") or (start[0] == 0x80 and start[1:2] in b"\x02\x03\x04\x05"):
        return f"{path.name} is a pickle, which can run programs when it is read: not read", CONVERT
    if start.startswith(b"\x89PNG"):
        return f"{path.name} is a single PNG image", "open the folder that holds one image per LED"
    return None


def _is_matlab_4(start: bytes) -> bool:
    """Whether the first bytes are the header of a variable of MATLAB 4: five whole numbers and a name."""
    if len(start) < 21:
        return False
    for order in "<>":
        kind, rows, columns, imaginary, length = struct.unpack_from(f"{order}5i", start)
        if not (0 <= kind < 5000 and kind // 100 % 10 == 0 and kind // 10 % 10 <= 5 and kind % 10 <= 2):
            continue
        if not (rows >= 0 and columns >= 0 and imaginary in (0, 1) and 2 <= length <= 64):
            continue
        name = start[20 : 20 + length]
        if name.endswith(b"\0") and re.fullmatch(rb"[A-Za-z]\w*", name[:-1]):
            return True
    return False


def _names(path: Path) -> list[str]:
    """Names in an archive; none where its directory is damaged or long."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()[:1000]
    except Exception:  # a damaged archive is refused all the same; zipfile raises nearly anything
        return []
