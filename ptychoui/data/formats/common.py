"""What all readers share: damaged files, geometry files, conflicts, normalisation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack, Provenance
from ptychoui.errors import DataError, NoGeometryError, PtychouiError
from ptychoui.experiment import Geometry, load_geometry
from ptychoui.paths import resources

DEFLATE_LIMIT = 1032
"""Deflate cannot shrink data by more than this factor: a file that claims more is lying."""

SUFFIXES = (".ome.tiff", ".ome.tif", ".tiff", ".tif", ".mat", ".hdf5", ".h5")


@contextmanager
def parsing(path: Path, what: str) -> Iterator[None]:
    """Turn whatever a format library raises on a damaged file into one `DataError`.

    The libraries raise nearly every built-in exception on damaged input (ValueError, KeyError, struct.error,
    zlib.error, OSError, RuntimeError, ...), so this is the one place that catches them all.
    """
    try:
        yield
    except PtychouiError:
        raise
    except MemoryError:
        raise DataError(
            f"{path.name} claims more data than this computer's memory can hold",
            "the file is damaged, or must be cropped before loading",
        ) from None
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise DataError(
            f"{path.name} is not a readable {what}: {reason}",
            "the file is damaged or cut short: copy it again and compare its size",
        ) from error


def check_claim(path: Path, name: str, claimed_bytes: int, stored_bytes: int) -> None:
    """Refuse an array whose header claims more than the stored bytes can hold, before memory is taken."""
    if claimed_bytes < 0 or claimed_bytes > DEFLATE_LIMIT * (stored_bytes + 64):
        raise DataError(
            f"{path.name}: the header of {name} claims {claimed_bytes / 2**20:.4g} MiB, "
            f"the file stores {stored_bytes / 2**20:.4g} MiB for it",
            "the file is damaged or cut short: copy it again and compare its size",
        )


def sidecar_path(path: Path) -> Path:
    """The geometry file that belongs to a data file: ``NAME.geometry.toml`` beside it."""
    name = path.name
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
            break
    return path.with_name(f"{name}.geometry.toml")


def geometry_for(path: Path, given: Geometry | None, notes: list[str]) -> Geometry | None:
    """The geometry given, else that of the file beside the data; conflicts between the two are noted."""
    beside = [path / "geometry.toml"] if path.is_dir() else [sidecar_path(path), path.with_name("geometry.toml")]
    found = next((candidate for candidate in beside if candidate.is_file()), None)
    if found is None:
        return given
    if given is None:
        notes.append(f"geometry read from {found.name}")
        return load_geometry(found)
    try:
        other = load_geometry(found)
    except PtychouiError as error:
        notes.append(f"{found.name} was not used: {error.message}")
    else:
        notes.extend(geometry_conflicts(given, other, found.name))
    return given


def need_geometry(path: Path, geometry: Geometry | None, known: str = "", example: str = "") -> Geometry:
    """Return the geometry, or say by name what is missing and where to put it."""
    if geometry is not None:
        return geometry
    where = f"{path.name}/geometry.toml" if path.is_dir() else sidecar_path(path).name
    raise NoGeometryError(
        f"{path.name} does not say the objective's NA, the magnification, the camera's pixel, "
        f"the LED pitch, height and order{known}",
        f"pass --geometry FILE, or save one as {where}; examples: {resources() / 'geometries' / example}",
    )


def geometry_conflicts(used: Geometry, other: Geometry, name: str) -> list[str]:
    """One sentence for each setting that ``name`` states otherwise than the geometry in use."""
    mine, theirs = _flat(used.model_dump()), _flat(other.model_dump(exclude_unset=True))
    return [
        f"{key}: {_short(mine.get(key))} in the geometry used, {_short(value)} in {name} (not used)"
        for key, value in theirs.items()
        if mine.get(key) != value
    ]


def conflict(what: str, used: float, stated: float, unit: str, notes: list[str]) -> None:
    """Note a number of the data file that differs from the geometry's (which wins)."""
    if not math.isclose(used, stated, rel_tol=1e-3, abs_tol=1e-9):
        unit = f" {unit}" if unit else ""
        notes.append(
            f"{what} is {used:g}{unit} in the geometry and {stated:g}{unit} in the data file; "
            "the geometry's value was used"
        )


def finish_stack(
    raw: NDArray[Any], geometry: Geometry, *, path: Path, layout: str, sha256: str, notes: list[str]
) -> ImageStack:
    """Check the image count, normalise, and build the stack.

    Images are divided by the 99th percentile of the image with the highest mean (usually the LED on the
    axis); the divisor is kept as ``unit_counts``.

    Parameters
    ----------
    raw
        (LED, row, column) intensities in the file's own unit, any real type.
    geometry
        Microscope and array, whose LED count must be the number of images.
    path, layout, sha256, notes
        Provenance; ``notes`` grows by what is found here.
    """
    check_count(len(raw), geometry, path.name)
    images, unit = normalised(raw, path.name)
    stack = ImageStack(
        images=images,
        led_numbers=np.array(geometry.array.numbers(), dtype=np.int64),
        geometry=geometry,
        unit_counts=unit,
        provenance=Provenance(source=str(path), layout=layout, sha256=sha256),
    )
    if stack.negative_pixels:
        notes.append(f"{stack.negative_pixels} pixels are below zero (legal after dark subtraction)")
    return ImageStack(
        images=stack.images,
        led_numbers=stack.led_numbers,
        geometry=geometry,
        unit_counts=unit,
        provenance=Provenance(source=str(path), layout=layout, sha256=sha256, notes=tuple(notes)),
    )


def check_count(images: int, geometry: Geometry, name: str) -> None:
    """Refuse a stack whose number of images is not the array's number of LEDs."""
    expected = len(geometry.array.numbers())
    if images != expected:
        raise DataError(
            f"{name} holds {images} images but the array in the geometry has {expected} LEDs",
            "correct rows and columns, count or the table in the geometry, remove dark frames, "
            "or copy the file again if it was cut short",
        )


def normalised(raw: NDArray[Any], name: str) -> tuple[NDArray[np.float32], float]:
    """Float32 images divided by the bright level of the brightest image, and that divisor."""
    if raw.dtype.kind == "c":
        raise DataError(f"{name} holds complex numbers, not intensities", "save |field|^2 instead")
    if raw.dtype.kind not in "fiub" or raw.ndim != 3 or 0 in raw.shape:
        raise DataError(
            f"{name} holds {raw.dtype} of shape {raw.shape}, not a stack of grey images",
            "an LED stack has the axes LED, row, column",
        )
    if raw.dtype.kind == "f":
        bad = ~np.isfinite(raw).all(axis=(1, 2))
        if bad.any():
            first = int(np.argmax(bad))
            count = int(np.count_nonzero(~np.isfinite(raw)))
            raise DataError(
                f"{name}: {count} pixels are NaN or infinite, the first in image {first}",
                "replace dead pixels before loading; negative pixels are fine, NaN is not",
            )
    with np.errstate(over="ignore"):  # absurd values of a damaged file end as infinity and are refused below
        brightest = int(np.argmax([image.mean(dtype=np.float64) for image in raw]))
        unit = float(np.percentile(raw[brightest].astype(np.float64), 99))
        if not (math.isfinite(unit) and unit > 0):
            raise DataError(
                f"{name}: the brightest image ({brightest}) has a 99th percentile of {unit:g}, not above 0",
                "the stack is dark: check the exposure, or the dark frame that was subtracted",
            )
        images = np.empty(raw.shape, dtype=np.float32)
        for out, image in zip(images, raw, strict=True):
            out[...] = image.astype(np.float64) / unit
    return images, unit


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict) and value:
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _short(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
