"""TIFF stacks of the EPFL with ``NAME_metadata.txt`` of Micro-Manager beside them.

Each ``FrameKey-N-...`` has ``UserData`` with ``LEDCoordX``, ``LEDCoordY`` (place in the LED matrix) and
``centerLEDCoordX``, ``centerLEDCoordY`` (the LED on the axis). Pitch, height, rotation and the microscope are not in
the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.draft import Draft
from ptychoui.data.formats.geometry_file import GivenGeometry
from ptychoui.data.formats.led_matrix import state_matrix
from ptychoui.data.formats.led_table import load_json
from ptychoui.data.formats.tiff import read_tiff_stack
from ptychoui.errors import DataError

LARGEST_TEXT = 2**26


def metadata_beside(path: Path) -> Path | None:
    """The metadata that belongs to a TIFF, if it is there."""
    found = path.with_name(f"{path.name.split('.')[0]}_metadata.txt")
    return found if found.is_file() else None


def read_leb_stack(path: Path, metadata: Path, given: GivenGeometry) -> ImageStack:
    """Read a TIFF whose metadata say which LED lit each page.

    Raises
    ------
    DataError
        If a frame is missing, listed twice or without its LED.
    """
    if metadata.stat().st_size > LARGEST_TEXT:
        raise DataError(f"{metadata.name} is larger than 64 MiB", "it should hold one entry for each frame")
    values = load_json(metadata.read_bytes(), metadata)
    frames = {} if not isinstance(values, dict) else {k: v for k, v in values.items() if k.startswith("FrameKey")}
    if not frames:
        raise DataError(f"{metadata.name} has no FrameKey entries", "move it away to read the TIFF without it")
    places: dict[int, tuple[int, int]] = {}
    center: tuple[int, int] | None = None
    for key, frame in frames.items():
        number = key.split("-")[1] if "-" in key else ""
        if not (number.isascii() and number.isdigit() and len(number) < 8) or int(number) in places:
            raise DataError(f"{metadata.name}: {key[:40]!r} has no frame number of its own", "copy the file again")
        data = frame.get("UserData") if isinstance(frame, dict) else None
        places[int(number)] = (_integer(data, "LEDCoordX", metadata, key), _integer(data, "LEDCoordY", metadata, key))
        if center is None and isinstance(data, dict) and "centerLEDCoordX" in data:
            center = (
                _integer(data, "centerLEDCoordX", metadata, key),
                _integer(data, "centerLEDCoordY", metadata, key),
            )
    if sorted(places) != list(range(len(places))):
        raise DataError(
            f"{metadata.name}: frames are not numbered 0 to {len(places) - 1}, some are missing", "copy the file again"
        )
    draft = Draft(path=path, layout="OME-TIFF with Micro-Manager metadata (EPFL)")
    listed = [places[number] for number in range(len(places))]
    state_matrix(draft, listed, center, "`LEDCoordX`, `LEDCoordY`, `centerLEDCoordX`, `centerLEDCoordY`")
    return read_tiff_stack(path, given, draft)


def _integer(data: Any, name: str, path: Path, key: str) -> int:
    """A number of the user data: {"scalar": "12"} or the like."""
    value = data.get(name) if isinstance(data, dict) else None
    value = value.get("scalar") if isinstance(value, dict) else value
    text = str(value).strip()
    if isinstance(value, bool) or not text.lstrip("+-").isdigit() or not text.isascii() or len(text) > 6:
        raise DataError(f"{path.name}: {key[:40]} has no whole number {name}", "copy the file again")
    try:
        return int(text)
    except ValueError:
        raise DataError(f"{path.name}: {key[:40]} has no whole number {name}", "copy the file again") from None
