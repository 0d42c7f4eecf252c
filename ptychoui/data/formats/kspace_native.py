"""The project's own HDF5 file of k-space: self-describing, checked against its own hash.

Layout, version 1. Attributes of the root: ``format``, ``format_version``, ``content_sha256``. Arrays with the
attributes ``axes`` and ``units``: ``k_space`` and ``sampled``, and where they are known ``maps``, ``truth`` and
``support``. Text as UTF-8 bytes: ``record_json`` (kind of acquisition, noise, names, sources, provenance).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import Fact, Provenance, array_sha256
from ptychoui.data.files import json_text, sha256_file, write_atomic
from ptychoui.data.formats.common import parsing
from ptychoui.data.formats.hdf5 import PatientFile, read_array
from ptychoui.data.formats.kspace_common import refuse_dead_coils
from ptychoui.data.kspace import SPACE_AXES, KSpaceSet
from ptychoui.errors import DataError

FORMAT = "ptychoui k-space"
VERSION = 1
UNITS = {
    "k_space": "unitary transform of the image times each map, zero frequency first; zero where not measured",
    "sampled": "1 where measured; axes that nothing depends on have length 1",
    "maps": "coil sensitivities; a frame axis may have length 1",
    "truth": "complex images that are known",
    "support": "1 where the object is",
    "record_json": "UTF-8 text, JSON",
}
OPTIONAL = ("maps", "truth", "support")


def write_kspace(path: str | Path, data: KSpaceSet) -> Path:
    """Write examples of k-space, (example, coil, *space), as HDF5, atomically.

    Raises
    ------
    DataError
        If the disk is full or the folder cannot be written.
    """
    arrays = _arrays(data)
    space = ", ".join(SPACE_AXES[data.acquisition])
    axes = {"k_space": f"example, coil, {space}", "maps": f"example, coil, {space}", "record_json": "byte"}

    def write(file: BinaryIO) -> None:
        patient = PatientFile(file)
        with h5py.File(patient, "w", libver=("v110", "v110")) as target:
            target.attrs["format"] = np.bytes_(FORMAT)
            target.attrs["format_version"] = VERSION
            target.attrs["content_sha256"] = np.bytes_(array_sha256(*arrays.values()))
            for name, array in arrays.items():
                chunks = (1, *array.shape[1:]) if array.ndim > 1 else array.shape
                stored = target.create_dataset(name, data=array, chunks=chunks, fletcher32=True)
                stored.attrs["axes"] = np.bytes_(axes.get(name, f"example, {space}"))
                stored.attrs["units"] = np.bytes_(UNITS[name])
        if patient.error is not None:
            raise patient.error

    return write_atomic(path, write)


def is_native_kspace(file: h5py.File) -> bool:
    """Whether an open HDF5 file carries this format's name."""
    value = file.attrs.get("format")
    return isinstance(value, bytes) and value.decode(errors="replace") == FORMAT


def read_native_kspace(path: Path) -> KSpaceSet:
    """Read a file that `write_kspace` wrote, k-space of shape (example, coil, *space).

    Raises
    ------
    DataError
        If the file is damaged (its content does not match its hash), of a newer version, or its arrays do not fit.
    """
    with parsing(path, "HDF5 file"), h5py.File(path, "r") as file:
        version = int(file.attrs.get("format_version", -1))
        if version != VERSION:
            raise DataError(
                f"{path.name} has format version {version}; this program knows version {VERSION}", "update ptychoui"
            )
        names = ["k_space", "sampled", *(name for name in OPTIONAL if name in file), "record_json"]
        arrays = {name: read_array(file, name, path) for name in names}
        if array_sha256(*arrays.values()).encode() != bytes(file.attrs.get("content_sha256", b"")):
            raise DataError(
                f"{path.name} is damaged: its content does not match the hash stored in it", "copy the file again"
            )
        record = json.loads(arrays["record_json"].tobytes())
        source = Provenance(
            source=str(path),
            layout=f"{FORMAT} of {record['source']}",
            sha256=sha256_file(path),
            notes=tuple(str(note) for note in record["notes"]),
            facts=tuple(Fact(**fact) for fact in record["facts"]),
        )
        refuse_dead_coils(arrays["k_space"], path.name)
        support = arrays.get("support")
        return KSpaceSet(
            acquisition=record["acquisition"],
            k_space=arrays["k_space"],
            sampled=arrays["sampled"].astype(bool),
            maps=arrays.get("maps"),
            truth=arrays.get("truth"),
            support=None if support is None else support.astype(bool),
            noise_std=record["noise_std"],
            names=tuple(record["names"]),
            source_of=tuple(record["source_of"]),
            provenance=source,
        )


def _arrays(data: KSpaceSet) -> dict[str, NDArray[Any]]:
    """Everything that is stored, as arrays, in the order of the hash."""
    source = data.provenance
    record = {
        "acquisition": data.acquisition,
        "noise_std": data.noise_std,
        "names": list(data.names),
        "source_of": list(data.source_of),
        "source": source.layout if source.layout.startswith(FORMAT) else source.source,
        "source_sha256": source.sha256,
        "notes": list(source.notes),
        "facts": [asdict(fact) for fact in source.facts],
    }
    arrays: dict[str, NDArray[Any]] = {
        "k_space": np.ascontiguousarray(data.k_space, np.complex64),
        "sampled": data.sampled.astype(np.uint8),
    }
    for name, kind in (("maps", np.complex64), ("truth", np.complex64), ("support", np.uint8)):
        if (array := getattr(data, name)) is not None:
            arrays[name] = np.ascontiguousarray(array, kind)
    return arrays | {"record_json": np.frombuffer(json_text(record).encode(), dtype=np.uint8)}
