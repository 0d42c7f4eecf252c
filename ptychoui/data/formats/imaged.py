"""Folders of the program imaged: ``info.json`` and ``captures/*.npy``, raw Bayer images; SI units.

``info.json``: ``magnification``, ``numerical_aperture``, ``sensor_pixel_size`` [m], ``bayer_format``,
``capture_dimensions``, ``captures`` [{``filename``, ``wavelength`` [m], ``channel``, ``exposure`` [s], ``captured_at``,
``led_positions`` [{x, y, z} in m]}]. A capture without LEDs is a dark frame, of its channel and exposure.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack
from ptychoui.data.files import sha256_file
from ptychoui.data.formats.bayer import PATTERNS, bayer_channel
from ptychoui.data.formats.dark_scale import in_scale_of_images
from ptychoui.data.formats.draft import Draft, check_images
from ptychoui.data.formats.geometry_file import GivenGeometry
from ptychoui.data.formats.led_table import Leds, is_number, load_json
from ptychoui.data.formats.npy import read_npy
from ptychoui.data.formats.ptylab import choose
from ptychoui.errors import DataError

MEMBERS = {
    "magnification",
    "numerical_aperture",
    "sensor_pixel_size",
    "bayer_format",
    "capture_dimensions",
    "captures",
}
CAPTURE_MEMBERS = {"filename", "wavelength", "channel", "exposure", "captured_at", "led_positions"}


def is_imaged(folder: Path) -> bool:
    """Whether a folder has the files of this layout."""
    return (folder / "info.json").is_file() and (folder / "captures").is_dir()


def read_imaged(folder: Path, given: GivenGeometry, part: str | None) -> ImageStack:
    """Read the captures of one colour channel.

    Parameters
    ----------
    part
        The channel; may be None where there is only one.

    Raises
    ------
    DataError
        If a member is unknown, missing or of the wrong kind, or a capture has more than one LED.
    """
    info = _info(folder)
    captures = [_capture(values, number) for number, values in enumerate(info["captures"])]
    lit = [capture for capture in captures if capture["led_positions"]]
    if not lit:
        raise DataError(f"{folder.name}: none of {len(captures)} captures has an LED", "all are dark frames")
    channel = choose(folder, sorted({str(capture["channel"]) for capture in lit}), part, "channel")
    lit = [capture for capture in lit if str(capture["channel"]) == channel]
    dark = [c for c in captures if not c["led_positions"] and str(c["channel"]) == channel]
    draft = Draft(path=folder, layout="imaged folder")
    draft.tell("channel", channel, "", "`channel` of the captures")
    _microscope(info, lit, draft)
    _leds(lit, draft)
    pattern = _pattern(info, folder)
    pick = channel if pattern else None
    if pattern:
        draft.tell(
            "Bayer pattern",
            pattern,
            "",
            f"`bayer_format`; the {channel} sites were picked"
            + (", the two green ones averaged" if channel == "green" else "")
            + ", so the camera's pixel doubles",
        )
    digest = hashlib.sha256(sha256_file(folder / "info.json").encode())
    first = _image(folder, lit[0]["filename"], pattern, pick)
    draft.tell_images(len(lit), first.shape[0], first.shape[1], "`captures`")
    draft.tell("pixel values", "intensity", "", "raw camera values")
    geometry = draft.complete(given)
    check_images(draft, geometry)
    raw = np.empty((len(lit), *first.shape), dtype=first.dtype)
    for place, capture in enumerate(lit):
        image = _image(folder, capture["filename"], pattern, pick)
        if image.shape != first.shape or image.dtype != first.dtype:
            raise DataError(
                f"{capture['filename']} is {image.shape} {image.dtype}, the first is {first.shape} {first.dtype}"
            )
        raw[place] = image
        digest.update(f"{capture['filename']}\0{sha256_file(folder / 'captures' / capture['filename'])}\n".encode())
    exposures = np.array([capture["exposure"] for capture in lit], dtype=np.float64)
    frames = _dark_frames(folder, dark, pattern, pick, raw, draft)
    missing = sorted({float(e) for e in exposures} - set(frames)) if frames else []
    if missing:
        raise DataError(
            f"{folder.name} has dark frames, but none of the exposure {missing[0]:g} s in the channel {channel}",
            "take a dark frame for each exposure, or remove all of them",
        )
    return draft.finish(
        raw,
        geometry,
        sha256=digest.hexdigest(),
        dark=[frames[float(exposure)] for exposure in exposures] if frames else None,
        exposure=exposures,
    )


def _info(folder: Path) -> dict[str, Any]:
    path = folder / "info.json"
    try:
        info = load_json(path.read_bytes(), path)
    except OSError as error:
        raise DataError(f"cannot read {path.name}: {error.strerror}", "check its permissions") from None
    if not isinstance(info, dict) or not isinstance(info.get("captures"), list) or not info["captures"]:
        raise DataError(f"{folder.name}/info.json lists no captures", "expected the members of the program imaged")
    unknown = sorted(set(info) - MEMBERS)
    if unknown:
        raise DataError(
            f"info.json has unknown members: {', '.join(unknown)[:120]}", f"known: {', '.join(sorted(MEMBERS))}"
        )
    return info


def _capture(values: Any, number: int) -> dict[str, Any]:
    """One capture after its members were checked."""
    what = f"info.json: capture {number}"
    if not isinstance(values, dict):
        raise DataError(f"{what} is not an object")
    unknown = sorted(set(values) - CAPTURE_MEMBERS)
    lacking = sorted(CAPTURE_MEMBERS - {"captured_at", "wavelength"} - set(values))
    if unknown or lacking:
        raise DataError(f"{what} has unknown or lacks members: {', '.join(unknown + lacking)[:120]}")
    name, leds = values["filename"], values["led_positions"]
    if not isinstance(name, str) or not name or Path(name).name != name or "\0" in name or name in (".", ".."):
        raise DataError(f"{what}: filename is not the plain name of a file in captures/")
    if not is_number(values["exposure"]) or not values["exposure"] > 0:
        raise DataError(f"{what}: the exposure is not a time above 0 s", "correct it in info.json")
    if not isinstance(leds, list) or len(leds) > 1:
        raise DataError(f"{what} has several LEDs", "only captures with one LED each are read")
    if leds and not (isinstance(leds[0], dict) and all(is_number(leds[0].get(axis)) for axis in "xyz")):
        raise DataError(f"{what}: its LED has no numbers x, y and z")
    return values


def _microscope(info: dict[str, Any], lit: list[dict[str, Any]], draft: Draft) -> None:
    factor = 2 if _pattern(info, draft.path) else 1
    for setting, name, scale in (
        ("microscope.magnification", "magnification", 1.0),
        ("microscope.objective_na", "numerical_aperture", 1.0),
        ("microscope.camera_pixel_um", "sensor_pixel_size", 1e6 * factor),
    ):
        value = info.get(name)
        if value is None:
            continue
        if not is_number(value):
            raise DataError(f"info.json: {name} is not a number", "correct it in info.json")
        draft.state(setting, value * scale, f"`{name}`" + ("" if scale == 1 else f" [m]{' times 2' * (factor > 1)}"))
    wavelengths = {capture.get("wavelength") for capture in lit}
    if len(wavelengths) != 1:
        raise DataError(f"{draft.path.name}: the captures of one channel have {len(wavelengths)} wavelengths")
    wavelength = wavelengths.pop()
    if wavelength is not None:
        if not is_number(wavelength):
            raise DataError("info.json: a wavelength is not a number", "correct it in info.json")
        draft.state("microscope.wavelength_um", wavelength * 1e6, "`wavelength` [m]")


def _leds(lit: list[dict[str, Any]], draft: Draft) -> None:
    table = np.array([[float(capture["led_positions"][0][axis]) for axis in "xyz"] for capture in lit]) * 1e3
    distance = np.abs(table[:, 2])
    farthest = float(distance.max())
    height = None
    if farthest > 0:
        height = farthest
        table[:, 2] = farthest - distance
        if np.any(distance == 0):
            raise DataError(
                f"{draft.path.name}: some LEDs have z = 0 m and others not", "z is the distance to the sample"
            )
    draft.tell_leds(
        Leds(positions_mm=table, height_mm=height),
        "`led_positions` [m]",
        "x right, y up, |z| the distance from the sample",
    )
    if height is not None:
        draft.tell("height of the LEDs", height, "mm", "the largest |z| of `led_positions`")


def _pattern(info: dict[str, Any], folder: Path) -> str | None:
    pattern = info.get("bayer_format")
    if pattern is None or (isinstance(pattern, str) and pattern.lower() in ("", "mono", "none")):
        return None
    if not isinstance(pattern, str) or pattern.upper() not in PATTERNS:
        raise DataError(
            f"{folder.name}: unknown bayer_format {str(pattern)[:20]!r}", f"known: {', '.join(PATTERNS)}, mono"
        )
    return pattern.upper()


def _image(folder: Path, name: str, pattern: str | None, colour: str | None) -> NDArray[Any]:
    image = read_npy(folder / "captures" / name)
    if image.ndim != 2 or 0 in image.shape or (pattern and min(image.shape) < 2):
        raise DataError(f"{name} has the shape {image.shape}, expected a raw image of rows and columns")
    return bayer_channel(image, pattern, colour) if pattern and colour else image


def _dark_frames(
    folder: Path,
    dark: list[dict[str, Any]],
    pattern: str | None,
    colour: str | None,
    raw: NDArray[Any],
    draft: Draft,
) -> dict[float, NDArray[np.float64]]:
    """Mean dark frame of each exposure, in the unit of the images ``raw`` (LED, row, column)."""
    if not dark:
        return {}
    frames = []
    for capture in dark:
        image = _image(folder, capture["filename"], pattern, colour)
        if image.shape != raw.shape[1:] or image.dtype != raw.dtype:
            raise DataError(
                f"the dark frame {capture['filename']} is {image.shape} {image.dtype}, the images are {raw.shape[1:]} "
                f"{raw.dtype}",
                "take the dark frames as the images were taken, or remove all of them",
            )
        frames.append(image)
    scaled = in_scale_of_images(np.stack(frames), raw, draft)
    times = np.array([float(capture["exposure"]) for capture in dark])
    draft.tell("dark frames", len(dark), "", "captures without LEDs; matched by channel and exposure, subtracted")
    draft.notes.append(f"{len(dark)} dark frames of {len(set(times.tolist()))} exposures were subtracted")
    return {time: scaled[times == time].mean(axis=0, dtype=np.float64) for time in set(times.tolist())}
