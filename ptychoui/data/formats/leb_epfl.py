"""TIFF stacks with metadata of Micro-Manager beside them; in those of the EPFL they say which LED lit each page.

There each ``FrameKey-N-...`` has ``UserData`` with ``LEDCoordX``, ``LEDCoordY`` (place in the LED matrix) and
``centerLEDCoordX``, ``centerLEDCoordY`` (the LED on the axis). Pitch, height, rotation and the microscope are not in
the file. Of other metadata the exposures are used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.draft import Draft
from ptychoui.data.formats.geometry_file import GivenGeometry
from ptychoui.data.formats.led_matrix import state_matrix
from ptychoui.data.formats.micro_manager import frames_of, load_metadata, named_leds
from ptychoui.data.formats.tiff import read_tiff_stack
from ptychoui.errors import DataError


def read_tiff_with_metadata(path: Path, metadata: Path, given: GivenGeometry) -> ImageStack:
    """Read a TIFF with the text beside it, of which the content says what it is."""
    draft = Draft(path=path, layout="")
    values = load_metadata(metadata, draft.notes)
    keyed = {k: v for k, v in values.items() if k.startswith("FrameKey")}
    if any("LEDCoordX" in _user_data(frame) for frame in keyed.values()):
        return _read_leb_stack(path, metadata, keyed, given)
    frames = list(frames_of(values))
    if frames:
        draft.layout = "TIFF with Micro-Manager metadata"
        if fields := named_leds(frames):
            draft.notes.append(
                f"{metadata.name} holds {', '.join(fields[:6])}, which were not used: list the LEDs as "
                "array.led_numbers of a geometry if the images are not in the array's order"
            )
    return read_tiff_stack(path, given, draft, frames)


def _user_data(frame: Any) -> dict[str, Any]:
    data = frame.get("UserData") if isinstance(frame, dict) else None
    return data if isinstance(data, dict) else {}


def _read_leb_stack(path: Path, metadata: Path, frames: dict[str, Any], given: GivenGeometry) -> ImageStack:
    """Read a TIFF whose metadata say which LED lit each page.

    Raises
    ------
    DataError
        If a frame is missing, listed twice or without its LED.
    """
    places: dict[int, tuple[int, int]] = {}
    center: tuple[int, int] | None = None
    for key, frame in frames.items():
        number = key.split("-")[1] if "-" in key else ""
        if not (number.isascii() and number.isdigit() and len(number) < 8) or int(number) in places:
            raise DataError(f"{metadata.name}: {key[:40]!r} has no frame number of its own", "copy the file again")
        data = _user_data(frame)
        places[int(number)] = (_integer(data, "LEDCoordX", metadata, key), _integer(data, "LEDCoordY", metadata, key))
        if center is None and "centerLEDCoordX" in data:
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
    return read_tiff_stack(path, given, draft, list(frames_of(frames)))


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
