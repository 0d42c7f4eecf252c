"""A reconstruction of k-space on disk: self-describing HDF5, checked against its own hash.

Attributes of the root: ``format``, ``format_version``, ``content_sha256``. Arrays with the attributes ``axes`` and
``units``: ``images`` and, where they were used, ``maps``. Text as UTF-8 bytes: ``record_json`` (method and settings,
scores with their definitions, source and hash of the data, versions, notes, seconds).
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from ptychoui import __version__
from ptychoui.data.dataset import array_sha256
from ptychoui.data.files import json_text, sha256_file, write_atomic
from ptychoui.data.formats.common import parsing
from ptychoui.data.formats.hdf5 import PatientFile, read_array
from ptychoui.data.kspace import SPACE_AXES, Acquisition
from ptychoui.errors import DataError

FORMAT = "ptychoui k-space reconstruction"
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class KSpaceReconstruction:
    """Images that were made of k-space, and how.

    Attributes
    ----------
    acquisition
        Kind of acquisition, which names the axes of an image.
    images
        Of shape (example, *space), complex64, in units of the data.
    maps
        Of shape (example, coil, *space), complex64, the coil maps that were used; a frame axis may have length 1.
    record
        Plain values: method, title, parameter, strength, settings, names, scores, definitions, source, data_sha256,
        seconds, notes, versions.

    Raises
    ------
    DataError
        If an image has other axes than its acquisition, or is not finite.
    """

    acquisition: Acquisition
    images: NDArray[np.complex64]
    maps: NDArray[np.complex64] | None = None
    record: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        axes = SPACE_AXES.get(self.acquisition, ())
        images = np.ascontiguousarray(self.images, dtype=np.complex64)
        if images.ndim != 1 + len(axes) or 0 in images.shape:
            raise DataError(
                f"images of shape {images.shape} are not those of a {self.acquisition} acquisition",
                f"their axes are example, {', '.join(axes)}",
            )
        if not np.isfinite(images).all():
            raise DataError("a reconstructed image holds NaN or infinity", "reconstruct it again")
        object.__setattr__(self, "images", images)
        if self.maps is not None:
            object.__setattr__(self, "maps", np.ascontiguousarray(self.maps, dtype=np.complex64))


def kspace_versions() -> dict[str, str]:
    """Versions that a reconstruction of k-space depends on, without loading the libraries."""
    names = {name: importlib.metadata.version(name) for name in ("numpy", "sigpy")}
    return {"ptychoui": __version__, "python": platform.python_version(), **names}


def save_kspace_reconstruction(path: str | Path, result: KSpaceReconstruction) -> Path:
    """Write images of shape (example, *space) and how they were made as HDF5, atomically.

    Raises
    ------
    DataError
        If the disk is full or the folder cannot be written.
    """
    space = ", ".join(SPACE_AXES[result.acquisition])
    arrays: dict[str, NDArray[Any]] = {"images": result.images}
    if result.maps is not None:
        arrays["maps"] = result.maps
    record = {"acquisition": result.acquisition, **result.record}
    arrays["record_json"] = np.frombuffer(json_text(record).encode(), dtype=np.uint8)
    said = {
        "images": (f"example, {space}", "in units of the data"),
        "maps": (f"example, coil, {space}", "coil sensitivities; a frame axis may have length 1"),
        "record_json": ("byte", "UTF-8 text, JSON"),
    }

    def write(file: BinaryIO) -> None:
        patient = PatientFile(file)
        with h5py.File(patient, "w", libver=("v110", "v110")) as target:
            target.attrs["format"] = np.bytes_(FORMAT)
            target.attrs["format_version"] = VERSION
            target.attrs["content_sha256"] = np.bytes_(array_sha256(*arrays.values()))
            for name, array in arrays.items():
                chunks = (1, *array.shape[1:]) if array.ndim > 1 else array.shape
                stored = target.create_dataset(name, data=array, chunks=chunks, fletcher32=True)
                stored.attrs["axes"], stored.attrs["units"] = (np.bytes_(text) for text in said[name])
        if patient.error is not None:
            raise patient.error

    return write_atomic(path, write)


def is_kspace_reconstruction(path: str | Path) -> bool:
    """Whether a file is a reconstruction of k-space; anything that cannot be read is not."""
    try:
        if not (Path(path).is_file() and h5py.is_hdf5(path)):
            return False
        with h5py.File(path, "r") as file:
            return bytes(file.attrs.get("format", b"")) == FORMAT.encode()
    except (OSError, ValueError, RuntimeError, KeyError, TypeError):
        return False


def load_kspace_reconstruction(path: str | Path) -> KSpaceReconstruction:
    """Read a file that `save_kspace_reconstruction` wrote, images of shape (example, *space).

    Raises
    ------
    DataError
        If the file is missing, damaged (its content does not match its hash), of another kind or of a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"there is no file {str(path)!r}", "check the path")
    if not is_kspace_reconstruction(path):
        raise DataError(f"{path.name} is not a reconstruction of k-space", "make one with ptychoui reconstruct")
    with parsing(path, "HDF5 file"), h5py.File(path, "r") as file:
        version = int(file.attrs.get("format_version", -1))
        if version != VERSION:
            raise DataError(
                f"{path.name} has format version {version}; this program knows version {VERSION}", "update ptychoui"
            )
        names = ["images", *(["maps"] if "maps" in file else []), "record_json"]
        arrays = {name: read_array(file, name, path) for name in names}
        if array_sha256(*arrays.values()).encode() != bytes(file.attrs.get("content_sha256", b"")):
            raise DataError(
                f"{path.name} is damaged: its content does not match the hash stored in it", "copy the file again"
            )
        record = json.loads(arrays["record_json"].tobytes())
        return KSpaceReconstruction(
            acquisition=record.pop("acquisition"), images=arrays["images"], maps=arrays.get("maps"), record=record
        )


def describe_kspace_reconstruction(path: str | Path) -> dict[str, Any]:
    """What ``ptychoui info`` says of a reconstruction of k-space, in plain values."""
    result = load_kspace_reconstruction(path)
    magnitude = np.abs(result.images)
    return {
        "file": str(path),
        "kind": "k-space reconstruction",
        "layout": FORMAT,
        "sha256": sha256_file(path),
        "acquisition": result.acquisition,
        "examples": len(result.images),
        "space": dict(zip(SPACE_AXES[result.acquisition], result.images.shape[1:], strict=True)),
        "coils": None if result.maps is None else result.maps.shape[1],
        "largest_magnitude": float(magnitude.max()),
        **result.record,
    }
