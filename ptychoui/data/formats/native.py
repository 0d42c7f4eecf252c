"""The project's own HDF5 file: self-describing, checked against its own hash, for stacks and training sets.

Layout, version 2. Attributes of the root: ``format``, ``format_version``, ``kind``, ``content_sha256``.
Arrays with the attributes ``axes`` and ``units``: ``images`` and ``led_numbers`` (a stack), ``objects`` and
``sources`` (a training set). Texts as UTF-8 bytes: ``geometry_toml`` (may be absent) and ``record_json``. Version 2
adds ``exposure`` (may be absent), the relative exposure of each image; without it a file is of version 1.

Images of a large stack lie in one plain block, without HDF5's checksums, so that they can be used where they are
instead of being read into memory. The content's hash covers them, and every reading checks it.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from ptychoui.data.acquired import Acquired
from ptychoui.data.dataset import Fact, ImageStack, Provenance, TrainingSet, array_sha256, release
from ptychoui.data.files import sha256_file, write_atomic
from ptychoui.data.formats.common import parsing
from ptychoui.data.formats.draft import Draft
from ptychoui.data.formats.geometry_file import GivenGeometry
from ptychoui.data.formats.hdf5 import PatientFile, numeric_dataset, read_array
from ptychoui.errors import DataError
from ptychoui.settings import Geometry, to_toml

FORMAT = "ptychoui dataset"
VERSION = 2
"""Files without exposures are still written as version 1, which older programs read."""
MAPPED_BYTES = 2**26
"""Images of at least so many bytes are stored in one block and used from the file."""
PAGE_BYTES = 4096
DESCRIPTION = {
    "images": ("LED, row, column", "intensity in units of unit_counts of the original file"),
    "led_numbers": ("LED", "number of the LED in its array"),
    "exposure": ("LED", "relative exposure, divided out of the images already"),
    "objects": ("object, row, column", "complex transmission; pixels of pixel_size_um at the sample"),
    "sources": ("object", "index into source_names of the record"),
    "geometry_toml": ("byte", "UTF-8 text, TOML; lengths in the unit that each name carries"),
    "record_json": ("byte", "UTF-8 text, JSON"),
}


def save_hdf5(path: str | Path, dataset: ImageStack | TrainingSet, packed: bool = False) -> Path:
    """Write a stack or a training set as HDF5, atomically; ``packed`` arrays take less room and more time to read.

    Raises
    ------
    DataError
        If the disk is full or the folder cannot be written.
    """
    arrays = _arrays(dataset)
    kind = "led_stack" if isinstance(dataset, ImageStack) else "training_objects"

    def write(file: BinaryIO) -> None:
        # Format 1.10 protects all structure by checksums; fletcher32 protects the arrays.
        patient = PatientFile(file)
        # Large arrays start at a page, as a memory map wants.
        settings = {"libver": ("v110", "v110"), "alignment_threshold": MAPPED_BYTES, "alignment_interval": PAGE_BYTES}
        with h5py.File(patient, "w", **settings) as target:
            target.attrs["format"] = np.bytes_(FORMAT)
            target.attrs["format_version"] = VERSION if "exposure" in arrays else 1
            target.attrs["kind"] = np.bytes_(kind)
            target.attrs["content_sha256"] = np.bytes_(array_sha256(*arrays.values()))
            for name, array in arrays.items():
                if name == "images" and array.nbytes >= MAPPED_BYTES:
                    stored = target.create_dataset(name, array.shape, array.dtype)
                    for place, image in enumerate(array):
                        stored[place] = image
                    release(array)
                else:
                    chunks = (1, *array.shape[1:]) if array.ndim == 3 else array.shape
                    how = {"compression": "gzip", "compression_opts": 9, "shuffle": True} if packed else {}
                    stored = target.create_dataset(name, data=array, chunks=chunks, fletcher32=True, **how)
                axes, units = DESCRIPTION[name]
                stored.attrs["axes"], stored.attrs["units"] = np.bytes_(axes), np.bytes_(units)
        if patient.error is not None:
            raise patient.error

    return write_atomic(path, write)


def is_native(path: Path) -> bool:
    """Whether an HDF5 file carries this format's name."""
    with parsing(path, "HDF5 file"), h5py.File(path, "r") as file:
        return _text(file.attrs.get("format")) == FORMAT


def read_native(path: Path, given: GivenGeometry) -> ImageStack | TrainingSet:
    """Read a file written by `save_hdf5`; a geometry that is given wins over the file's.

    Raises
    ------
    DataError
        If the file is damaged (its content does not match its hash) or of a newer version.
    """
    with parsing(path, "HDF5 file"), h5py.File(path, "r") as file:
        version = int(file.attrs.get("format_version", -1))
        if version > VERSION:
            raise DataError(
                f"{path.name} has format version {version}; this program knows up to {VERSION}",
                "update ptychoui",
            )
        kind = _text(file.attrs.get("kind"))
        names = {"led_stack": ("images", "led_numbers"), "training_objects": ("objects", "sources")}.get(kind)
        if names is None or version < 1:
            raise DataError(f"{path.name}: unknown kind of dataset {kind!r} (version {version})", "save it again")
        wanted = [*names, *(["exposure"] if version > 1 and "exposure" in file else []), "record_json"]
        wanted += ["geometry_toml"] if "geometry_toml" in file else []
        arrays = {name: _array(file, name, path) for name in wanted}
        if array_sha256(*arrays.values()) != _text(file.attrs.get("content_sha256")):
            raise DataError(
                f"{path.name} is damaged: its content does not match the hash stored in it",
                "copy the file again",
            )
        record = json.loads(arrays["record_json"].tobytes())
        toml = arrays["geometry_toml"].tobytes().decode() if "geometry_toml" in arrays else ""
        stored = Geometry(**tomllib.loads(toml)) if toml else None
        notes = tuple(str(note) for note in record["notes"])
        if isinstance(arrays[names[0]], np.memmap):
            notes += ("the images are used from the file: it must stay where it is while the stack is open",)
        facts = tuple(Fact(**fact) for fact in record.get("facts", []))
        clipped = tuple((int(number), float(share)) for number, share in record.get("clipped", []))
        acquired = Acquired.of_plain(record["acquired"]) if "acquired" in record else None
    draft = Draft(path=path, layout="ptychoui HDF5", notes=list(notes), facts=list(facts))
    geometry = draft.overlay(stored, given)
    provenance = Provenance(
        source=str(path),
        layout=f"ptychoui HDF5 of {record['source']}",
        sha256=sha256_file(path),
        notes=tuple(draft.notes),
        facts=facts,
        clipped=clipped,
        acquired=acquired,
    )
    return _dataset(kind, arrays, record, geometry, provenance)


def _array(file: h5py.File, name: str, path: Path) -> NDArray[Any]:
    """A dataset as an array; large images in one block as a read-only map of the file."""
    found = numeric_dataset(file, name, path)
    offset, size = found.id.get_offset(), found.size * found.dtype.itemsize
    if name != "images" or offset is None or size < MAPPED_BYTES or found.dtype != np.float32 or found.ndim != 3:
        return read_array(file, name, path)
    if offset % found.dtype.itemsize or found.id.get_create_plist().get_nfilters():
        return read_array(file, name, path)
    return np.memmap(path, np.float32, "r", offset, found.shape)


def _arrays(dataset: ImageStack | TrainingSet) -> dict[str, NDArray[Any]]:
    """Everything that is stored, as arrays, in the order of the hash."""
    source = dataset.provenance
    record: dict[str, Any] = {
        "source": source.source,
        "source_sha256": source.sha256,
        "notes": list(source.notes),
    }
    if source.clipped:
        record["clipped"] = [list(image) for image in source.clipped]
    if source.acquired is not None:
        record["acquired"] = source.acquired.plain()
    if source.facts:
        record["facts"] = [asdict(fact) for fact in source.facts]
    if isinstance(dataset, ImageStack):
        arrays: dict[str, NDArray[Any]] = {"images": dataset.images, "led_numbers": dataset.led_numbers}
        if dataset.exposure is not None and np.any(dataset.exposure != 1):
            arrays["exposure"] = dataset.exposure
        record["unit_counts"] = dataset.unit_counts
    else:
        arrays = {"objects": dataset.objects, "sources": dataset.sources}
        record |= {"pixel_size_um": dataset.pixel_size_um, "source_names": list(dataset.source_names)}
    arrays["record_json"] = _bytes(json.dumps(record))
    if dataset.geometry is not None:
        arrays["geometry_toml"] = _bytes(to_toml(dataset.geometry))
    return arrays


def _dataset(
    kind: str,
    arrays: dict[str, NDArray[Any]],
    record: dict[str, Any],
    geometry: Geometry | None,
    source: Provenance,
) -> ImageStack | TrainingSet:
    if kind == "led_stack":
        return ImageStack(
            images=arrays["images"],
            led_numbers=arrays["led_numbers"],
            geometry=geometry,
            unit_counts=float(record["unit_counts"]),
            provenance=source,
            exposure=arrays.get("exposure"),
        )
    return TrainingSet(
        objects=arrays["objects"],
        sources=arrays["sources"],
        pixel_size_um=float(record["pixel_size_um"]),
        source_names=tuple(record["source_names"]),
        geometry=geometry,
        provenance=source,
    )


def _bytes(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode(), dtype=np.uint8)


def _text(value: Any) -> str:
    """Text of an attribute; anything else reads as its representation, which matches nothing."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
