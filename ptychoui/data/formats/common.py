"""What all readers share: damaged files, geometry files, conflicts, normalisation."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import Fact, ImageStack, Provenance, one_by_one, release
from ptychoui.data.formats.pixels import below_zero_note, clipped_images, clipped_note, even_note
from ptychoui.data.scratch import room, sealed
from ptychoui.errors import DataError, PtychouiError
from ptychoui.settings import Geometry
from ptychoui.words import counted

DEFLATE_LIMIT = 1032
"""Deflate cannot shrink data by more than this factor: a file that claims more is lying."""

TRUNCATED = re.compile(r"truncated file: eof = (\d+), .*stored_eof = (\d+)")
"""What HDF5 says of a file that ends early."""

SUFFIXES = (".ome.tiff", ".ome.tif", ".tiff", ".tif", ".mat", ".hdf5", ".h5", ".json")


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
        if cut := TRUNCATED.search(reason):
            raise DataError(
                f"{path.name} is incomplete: {cut[1]} of {cut[2]} bytes are there",
                "copy it again; if the program that wrote it was stopped, the rest was never written",
            ) from error
        raise DataError(
            f"{path.name} is not a readable {what}: {reason}",
            "the file is damaged or cut short: copy it again and compare its size",
        ) from error


def check_claim(path: Path, name: str, claimed_bytes: int, stored_bytes: int, packed: bool = True) -> None:
    """Refuse an array whose header claims more than the stored bytes can hold, before memory is taken."""
    limit = DEFLATE_LIMIT * (stored_bytes + 64) if packed else stored_bytes
    if claimed_bytes < 0 or claimed_bytes > limit:
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


def beside(path: Path) -> Path | None:
    """The geometry file that lies beside the data (in a folder: inside it), if there is one."""
    names = [path / "geometry.toml"] if path.is_dir() else [sidecar_path(path), path.with_name("geometry.toml")]
    return next((candidate for candidate in names if candidate.is_file()), None)


def geometry_conflicts(used: Geometry, other: Geometry, name: str) -> list[str]:
    """One sentence for each setting that ``name`` states otherwise than the geometry in use."""
    mine, theirs = _flat(used.model_dump()), _flat(other.model_dump(exclude_unset=True))
    return [
        f"{key}: {_short(mine.get(key))} in the geometry used, {_short(value)} in {name} (not used)"
        for key, value in theirs.items()
        if mine.get(key) != value
    ]


def conflict(what: str, used: float, stated: float, unit: str, notes: list[str], where: str = "the data file") -> None:
    """Note a number of the data file that differs from the geometry's (which wins)."""
    if not math.isclose(used, stated, rel_tol=1e-3, abs_tol=1e-9):
        unit = f" {unit}" if unit else ""
        notes.append(
            f"{what} is {used:g}{unit} in the geometry and {stated:g}{unit} in {where}; the geometry's value was used"
        )


def finish_stack(
    raw: NDArray[Any],
    geometry: Geometry,
    *,
    path: Path,
    layout: str,
    sha256: str,
    notes: list[str],
    facts: Sequence[Fact] = (),
    amplitude: bool = False,
    dark: Sequence[NDArray[np.float64]] | None = None,
    exposure: NDArray[np.float64] | None = None,
    gain: NDArray[np.float64] | None = None,
    stray: NDArray[np.float64] | None = None,
) -> ImageStack:
    """Check the image count, normalise, and build the stack.

    An image becomes ((raw - dark)^p / exposure) / unit with p = 2 for amplitudes and 1 for intensities, where the
    unit is the 99th percentile of the image with the highest mean (usually the LED on the axis), kept as
    ``unit_counts``.

    Parameters
    ----------
    raw
        (LED, row, column) values in the file's own unit, any real type.
    geometry
        Microscope and array, whose LED count must be the number of images.
    path, layout, sha256, notes, facts
        Provenance; ``notes`` grows by what is found here.
    amplitude
        The values are amplitudes.
    dark
        One dark frame (row, column) for each image.
    exposure
        (LED,) exposure times in any unit; relative to the longest they are kept in the stack.
    gain, stray
        (LED,) measured brightness of the LEDs, divided out, and stray light in units of the open field, subtracted.
    """
    check_count(len(raw), geometry, path.name)
    if exposure is not None:
        if len(exposure) != len(raw):
            raise DataError(
                f"{path.name} holds {counted(len(raw), 'image')}, but "
                f"{counted(len(exposure), 'exposure is', 'exposures are')} stated",
                "state one exposure for each image, in their order",
            )
        if not (np.isfinite(exposure).all() and (exposure > 0).all()):
            raise DataError(
                f"{path.name}: the exposures of the images are not all numbers above 0",
                "correct the exposure times of the data",
            )
        exposure = exposure / exposure.max()
    for what, values in (("brightnesses", gain), ("stray lights", stray)):
        if values is not None and (len(values) != len(raw) or not np.isfinite(values).all()):
            raise DataError(
                f"{path.name} holds {counted(len(raw), 'image')}, the profile {len(values)} {what}",
                "use the profile of the microscope and the LEDs that took these images",
            )
    if gain is not None and not (gain > 0).all():
        raise DataError(f"{path.name}: a brightness of {gain.min():g} is not above 0", "make the profile again")

    def prepared(place: int) -> NDArray[np.float64]:
        image: NDArray[np.float64] = raw[place].astype(np.float64)
        if dark is not None:
            image -= dark[place]
        if amplitude:
            image *= image
        if exposure is not None:
            image /= exposure[place]
        if gain is not None:
            image /= gain[place]
        return image

    images, unit = normalised(raw, path.name, prepared)
    if stray is not None:
        for image, value in zip(one_by_one(images), stray / (1.0 if gain is None else gain), strict=True):
            image -= np.float32(value)
    stack = ImageStack(
        images=sealed(images), led_numbers=np.array(geometry.array.numbers(), dtype=np.int64), geometry=geometry
    )
    if negative := stack.negative_pixels:
        notes.append(below_zero_note(stack.images, negative, raw.dtype.kind == "i"))
    clipped = clipped_images(raw, geometry.array.numbers())
    if clipped:
        notes.append(clipped_note(clipped, len(raw)))
    if even := even_note(raw, geometry.array.numbers(), clipped):
        notes.append(even)
    if exposure is not None and exposure.min() < 1:
        notes.append(f"the images were divided by their exposures, which are {exposure.min():.4g} to 1 of the longest")
    return ImageStack(
        images=stack.images,
        led_numbers=stack.led_numbers,
        geometry=geometry,
        unit_counts=unit,
        exposure=exposure,
        provenance=Provenance(
            source=str(path), layout=layout, sha256=sha256, notes=tuple(notes), facts=tuple(facts), clipped=clipped
        ),
    )


def check_count(images: int, geometry: Geometry, name: str, aside: str = "") -> None:
    """Refuse a stack whose number of images is not the array's number of LEDs; ``aside`` is not counted."""
    expected = len(geometry.array.numbers())
    if images != expected:
        held = counted(images, "image") + (f" ({aside})" if aside else "")
        raise DataError(
            f"{name} holds {held} but the array in the geometry has {counted(expected, 'LED')}",
            "correct rows and columns, count or the table in the geometry, remove dark frames, "
            "or copy the file again if it was cut short",
        )


def normalised(
    raw: NDArray[Any], name: str, prepared: Callable[[int], NDArray[np.float64]]
) -> tuple[NDArray[np.float32], float]:
    """Float32 images divided by the bright level of the brightest image, and that divisor.

    ``prepared`` gives one image of ``raw`` as float64 with dark frames, squares and exposures applied.
    """
    check_images(raw, name)
    with np.errstate(over="ignore", invalid="ignore"):  # absurd values of a damaged file are refused below
        brightest = int(np.argmax([prepared(place).mean() for place in _each_place(raw)]))
        unit = float(np.percentile(prepared(brightest), 99))
        if not (math.isfinite(unit) and unit > 0):
            raise DataError(
                f"{name}: the brightest image ({brightest}) has a 99th percentile of {unit:g}, not above 0",
                "the stack is dark: check the exposure, or the dark frame that was subtracted",
            )
        images = room(raw.shape, np.float32)
        for place in _each_place(raw):
            images[place] = prepared(place) / unit
            release(images)
    return images, unit


def _each_place(raw: NDArray[Any]) -> Iterator[int]:
    for place in range(len(raw)):
        yield place
        release(raw)


def check_images(raw: NDArray[Any], name: str) -> None:
    """Refuse what is not a stack of grey images of finite numbers."""
    if raw.dtype.kind == "c":
        raise DataError(f"{name} holds complex numbers, not intensities", "save |field|^2 instead")
    if raw.dtype.kind not in "fiub" or raw.ndim != 3 or 0 in raw.shape:
        raise DataError(
            f"{name} holds {raw.dtype} of shape {raw.shape}, not a stack of grey images",
            "an LED stack has the axes LED, row, column",
        )
    if raw.dtype.kind == "f":
        counts = [int(np.count_nonzero(~np.isfinite(image))) for image in one_by_one(raw)]
        if any(counts):
            first = next(place for place, count in enumerate(counts) if count)
            raise DataError(
                f"{name}: {counted(sum(counts), 'pixel is', 'pixels are')} NaN or infinite, the first in image {first}",
                "replace dead pixels before loading; negative pixels are fine, NaN is not",
            )


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
