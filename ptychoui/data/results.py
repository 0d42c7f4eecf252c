"""A reconstruction on disk: self-describing HDF5, checked against its own hash.

Attributes of the root: ``format``, ``format_version``, ``content_sha256`` and the numbers of `NUMBERS`. Arrays with the
attributes ``axes`` and ``units``, see `DESCRIPTION`. Texts as UTF-8 bytes: ``geometry_toml``, ``settings_toml`` and
``record_json`` (source, hash of the data, versions, notes, seconds).
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import tomllib
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
from ptychoui.errors import DataError
from ptychoui.settings import Geometry, Reconstruct, to_toml

FORMAT = "ptychoui reconstruction"
VERSION = 2
DESCRIPTION = {
    "object": ("row, column", "complex transmission; pixels of object_pixel_um at the sample"),
    "pupil": ("tile, frequency y, frequency x", "complex transmission; samples of frequency_step_per_um, centred"),
    "zernike_noll": ("term", "Noll's index"),
    "zernike_waves": ("tile, term", "waves RMS"),
    "led_numbers": ("LED", "number of the LED in its array"),
    "illumination_na": ("tile, LED, (x, y)", "direction cosine"),
    "gain": ("tile, LED", "brightness relative to the median of the bright field"),
    "background": ("tile, image", "stray light, in units of the images"),
    "light": ("tile, image", "mean of the image as it was measured, 1 = open field"),
    "residual": ("tile, image", "sum (sqrt(y) - A)^2 / sum A^2 with brightness and stray light"),
    "history": ("tile, pass", "residual after each pass; NaN where a tile had fewer"),
    "corners_px": ("tile, (row, column)", "first camera pixel of each tile in the images"),
    "weights": ("image, LED", "light of each LED in each image"),
    "geometry_toml": ("byte", "UTF-8 text, TOML; lengths in the unit that each name carries"),
    "settings_toml": ("byte", "UTF-8 text, TOML"),
    "record_json": ("byte", "UTF-8 text, JSON"),
}
NUMBERS = (
    "object_pixel_um",
    "frequency_step_per_um",
    "tile_px",
    "amplitude_residual",
    "fitted_residual",
)
_TEXTS = ("geometry_toml", "settings_toml", "record_json")
_COMPLEX, _WHOLE = ("object", "pupil"), ("zernike_noll", "led_numbers", "corners_px")
_AXES = {
    "object": 2,
    "pupil": 3,
    "zernike_noll": 1,
    "zernike_waves": 2,
    "led_numbers": 1,
    "illumination_na": 3,
    "gain": 2,
    "background": 2,
    "light": 2,
    "residual": 2,
    "history": 2,
    "corners_px": 2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReconstruction:
    """A reconstructed field of one or more tiles, and how it was made.

    A stack with one image per LED has as many images as LEDs; a multiplexed one has fewer and says which light was on
    in ``weights``.

    Attributes
    ----------
    object
        (row, column) complex64 transmission under the tiles, in pixels of ``object_pixel_um``.
    pupil
        (tile, w, w) complex64 around the optical axis, samples of ``frequency_step_per_um``.
    zernike_noll, zernike_waves
        (J,) Noll's index and (tile, J) waves RMS.
    led_numbers, illumination_na
        (LED,) and (tile, LED, 2) direction cosines that were used.
    gain, background, light, residual
        (tile, LED), (tile, image), (tile, image), (tile, image).
    history
        (tile, pass) residual after each pass; NaN after a tile's last.
    corners_px, tile_px
        (tile, 2) row and column of each tile in the images, and its edge, in camera pixels.
    amplitude_residual, fitted_residual
        Means over the tiles, without and with the fitted brightness and stray light.
    weights
        (image, LED), or None where every LED has an image.
    record
        Plain values: source, data_sha256, seconds, interrupted, notes, versions.
    """

    object: NDArray[np.complex64]
    object_pixel_um: float
    pupil: NDArray[np.complex64]
    frequency_step_per_um: float
    zernike_noll: NDArray[np.int64]
    zernike_waves: NDArray[np.float64]
    led_numbers: NDArray[np.int64]
    illumination_na: NDArray[np.float64]
    gain: NDArray[np.float64]
    background: NDArray[np.float64]
    light: NDArray[np.float64]
    residual: NDArray[np.float64]
    history: NDArray[np.float64]
    corners_px: NDArray[np.int64]
    tile_px: int
    amplitude_residual: float
    fitted_residual: float
    geometry: Geometry
    settings: Reconstruct
    weights: NDArray[np.float64] | None = None
    record: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, axes in _AXES.items():
            kind = np.complex64 if name in _COMPLEX else np.int64 if name in _WHOLE else np.float64
            array = np.ascontiguousarray(getattr(self, name), dtype=kind)
            if array.ndim != axes:
                raise DataError(f"a reconstruction's {name} has the axes {DESCRIPTION[name][0]}; got {array.shape}")
            object.__setattr__(self, name, array)
        tiles, leds = len(self.corners_px), len(self.led_numbers)
        images = leds if self.weights is None else len(self.weights)
        expected = {
            "pupil": (tiles, *self.pupil.shape[1:]),
            "zernike_waves": (tiles, len(self.zernike_noll)),
            "illumination_na": (tiles, leds, 2),
            "gain": (tiles, leds),
            "background": (tiles, images),
            "light": (tiles, images),
            "residual": (tiles, images),
            "history": (tiles, self.history.shape[1]),
            "corners_px": (tiles, 2),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise DataError(f"a reconstruction's {name} has the shape {getattr(self, name).shape}, not {shape}")
        if not tiles or 0 in self.object.shape:
            raise DataError("a reconstruction without a pixel", "reconstruct the stack again")
        if not (self.object_pixel_um > 0 and self.frequency_step_per_um > 0):
            raise DataError("a reconstruction's pixel must be above 0 um", "reconstruct the stack again")
        if not np.isfinite(self.object).all():
            raise DataError("a reconstructed object holds NaN or infinity", "reconstruct the stack again")

    @property
    def passes(self) -> int:
        """Passes of the tile that had most."""
        return int(np.isfinite(self.history).sum(1).max(initial=0))


def versions() -> dict[str, str]:
    """Versions that a reconstruction depends on, without loading the libraries."""
    names = {name: importlib.metadata.version(name) for name in ("numpy", "torch")}
    return {"ptychoui": __version__, "python": platform.python_version(), **names}


def save_reconstruction(path: str | Path, result: StoredReconstruction) -> Path:
    """Write a reconstruction as HDF5, atomically.

    Raises
    ------
    DataError
        If the disk is full or the folder cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {name: getattr(result, name) for name in _AXES}
    if result.weights is not None:
        arrays["weights"] = np.ascontiguousarray(result.weights, np.float64)
    arrays["geometry_toml"] = _bytes(to_toml(result.geometry))
    arrays["settings_toml"] = _bytes(to_toml(result.settings))
    arrays["record_json"] = _bytes(json_text(result.record))
    numbers = np.array([float(getattr(result, name)) for name in NUMBERS])

    def write(file: BinaryIO) -> None:
        patient = PatientFile(file)
        with h5py.File(patient, "w", libver=("v110", "v110")) as target:
            target.attrs["format"] = np.bytes_(FORMAT)
            target.attrs["format_version"] = VERSION
            target.attrs["content_sha256"] = np.bytes_(array_sha256(numbers, *arrays.values()))
            for name, number in zip(NUMBERS, numbers, strict=True):
                target.attrs[name] = number
            for name, array in arrays.items():
                stored = (
                    target.create_dataset(name, data=array, chunks=True, fletcher32=True)
                    if array.size
                    else target.create_dataset(name, data=array)
                )
                axes, units = DESCRIPTION[name]
                stored.attrs["axes"], stored.attrs["units"] = np.bytes_(axes), np.bytes_(units)
        if patient.error is not None:
            raise patient.error

    return write_atomic(path, write)


def is_reconstruction(path: str | Path) -> bool:
    """Whether a file is a reconstruction of this program's; anything that cannot be read is not."""
    try:
        if not (Path(path).is_file() and h5py.is_hdf5(path)):
            return False
        with h5py.File(path, "r") as file:
            return _text(file.attrs.get("format")) == FORMAT
    except (OSError, ValueError, RuntimeError, KeyError):
        return False


def load_reconstruction(path: str | Path) -> StoredReconstruction:
    """Read a file written by `save_reconstruction`.

    Raises
    ------
    DataError
        If the file is missing, damaged (its content does not match its hash), of another kind or of a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"there is no file {str(path)!r}", "check the path")
    with parsing(path, "HDF5 file"), h5py.File(path, "r") as file:
        if _text(file.attrs.get("format")) != FORMAT:
            raise DataError(f"{path.name} is not a reconstruction", "make one with ptychoui reconstruct")
        version = int(file.attrs.get("format_version", -1))
        if version > VERSION:
            raise DataError(
                f"{path.name} has format version {version}; this program knows up to {VERSION}", "update ptychoui"
            )
        if version < VERSION:
            raise DataError(
                f"{path.name} was written by an earlier version of this program (format {version}, now {VERSION})",
                "reconstruct the stack again",
            )
        numbers = np.array([float(file.attrs[name]) for name in NUMBERS])
        names = [*_AXES, *(["weights"] if "weights" in file else []), *_TEXTS]  # the order of the hash
        arrays = {name: read_array(file, name, path) for name in names}
        if array_sha256(numbers, *arrays.values()) != _text(file.attrs.get("content_sha256")):
            raise DataError(
                f"{path.name} is damaged: its content does not match the hash stored in it", "copy the file again"
            )
        texts = {name: arrays.pop(name).tobytes().decode() for name in _TEXTS}
        values = dict(zip(NUMBERS, numbers.tolist(), strict=True))
        return StoredReconstruction(
            **{**arrays, **values, "tile_px": int(values["tile_px"])},
            geometry=Geometry(**tomllib.loads(texts["geometry_toml"])),
            settings=Reconstruct(**tomllib.loads(texts["settings_toml"])),
            record=json.loads(texts["record_json"]),
        )


def describe_reconstruction(path: str | Path) -> dict[str, Any]:
    """What ``ptychoui info`` says of a reconstruction, in plain values."""
    result = load_reconstruction(path)
    rows, columns = result.object.shape
    centre = len(result.corners_px) // 2
    terms = zip(result.zernike_noll.tolist(), result.zernike_waves[centre].tolist(), strict=True)
    return {
        "file": str(path),
        "kind": "reconstruction",
        "layout": FORMAT,
        "sha256": sha256_file(path),
        "rows_px": rows,
        "columns_px": columns,
        "object_pixel_um": result.object_pixel_um,
        "tiles": len(result.corners_px),
        "tile_px": result.tile_px,
        "images": result.residual.shape[1],
        "leds": len(result.led_numbers),
        "passes": result.passes,
        "amplitude_residual": result.amplitude_residual,
        "fitted_residual": result.fitted_residual,
        "zernike_waves": {str(noll): waves for noll, waves in terms},
        "gain": {"min": float(result.gain.min()), "max": float(result.gain.max())},
        "background": {"min": float(result.background.min()), "max": float(result.background.max())},
        "settings": result.settings.model_dump(mode="json", exclude_none=True),
        "geometry": result.geometry.model_dump(mode="json", exclude_none=True),
        **result.record,
    }


def _bytes(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode(), dtype=np.uint8)


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
