"""Metadata that Micro-Manager 1.4 and 2.0 write: in ``NAME_metadata.txt`` or ``metadata.txt``, and in the pages.

1.4 has ``FrameKey-time-channel-slice`` for every frame; 2.0 also ``Metadata-FOLDER/FILE`` with the place in
``Coords-FOLDER/FILE``. What the file holds decides what it is, not its name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptychoui.data.formats.led_table import load_json
from ptychoui.errors import DataError

LARGEST_TEXT = 2**26
AXES = {
    "T": ("FrameIndex", "Frame", "time", "Time"),
    "C": ("ChannelIndex", "channel", "Channel"),
    "Z": ("SliceIndex", "Slice", "z", "Z"),
    "P": ("PositionIndex", "position", "Position", "StagePosition"),
}
IN_NAME = {"T": r"time(\d{1,9})", "C": r"channel(\d{1,9})", "Z": r"_z(\d{1,9})", "P": r"position(\d{1,9})"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What is said of one frame: its place (T, C, Z, P), the file it lies in, and everything else."""

    place: dict[str, int]
    file: str
    values: dict[str, Any]


def metadata_beside(path: Path) -> Path | None:
    """The text that may hold the metadata of a TIFF, or of the images in a folder, by its name."""
    if path.is_dir():
        names = ["metadata.txt"]
    else:
        stem = re.sub(r"\.ome$", "", path.stem, flags=re.IGNORECASE)
        names = [f"{stem}_metadata.txt", f"{path.name.split('.')[0]}_metadata.txt"]
    return next((path.with_name(n) if not path.is_dir() else path / n for n in names if _there(path, n)), None)


def _there(path: Path, name: str) -> bool:
    return (path / name if path.is_dir() else path.with_name(name)).is_file()


def load_metadata(path: Path, notes: list[str]) -> dict[str, Any]:
    """The metadata, or nothing (with a note) for another text of that name.

    A file that ends in the middle of an aborted acquisition lacks its last bracket, which is added.

    Raises
    ------
    DataError
        If it does say which LED lit the frames but cannot be read.
    """
    if path.stat().st_size > LARGEST_TEXT:
        raise DataError(f"{path.name} is larger than 64 MiB", "it should hold one entry for each frame")
    raw = path.read_bytes()
    try:
        values = load_json(raw, path)
    except DataError as error:
        try:
            values = json.loads(raw.decode("utf-8").rstrip().rstrip(",") + "}")
        except (ValueError, RecursionError):
            if b"LEDCoordX" in raw or b"FrameKey" in raw:
                raise error from None
            notes.append(f"{path.name} is not metadata of Micro-Manager: not used")
            return {}
    if isinstance(values, dict) and any(k == "Summary" or k.startswith(("FrameKey", "Metadata-")) for k in values):
        return values
    notes.append(f"{path.name} is not metadata of Micro-Manager: not used")
    return {}


def frames_of(values: dict[str, Any]) -> Iterator[Frame]:
    """Every frame that the metadata name."""
    for key, value in values.items():
        if not isinstance(value, dict):
            continue
        if key.startswith("FrameKey"):
            numbers = key.split("-")[1:]
            place = {axis: int(n) for axis, n in zip("TCZ", numbers, strict=False) if n.isascii() and n.isdigit()}
            place |= {axis: n for axis, n in _stated(value).items() if axis == "P"}
            yield Frame(place=place, file=_file_name(value, ""), values=value)
        elif key.startswith("Metadata-"):
            name = key.removeprefix("Metadata-")
            coords = values.get(f"Coords-{name}")
            named = {axis: int(m[1]) for axis, pattern in IN_NAME.items() if (m := re.search(pattern, name))}
            place = named | _stated(value) | (_stated(coords) if isinstance(coords, dict) else {})
            yield Frame(place=place, file=_file_name(value, name), values=value)


def match_frames(frames: Sequence[Frame], places: list[dict[str, int]], planes: int) -> list[Frame] | None:
    """The frame of each plane by its place, or by its number where the planes are merely counted; None if some lack.

    Axes on which all frames have one place say nothing: a file of the third position has that place alone.
    """
    moving = [axis for axis in AXES if len({frame.place.get(axis, 0) for frame in frames}) > 1]
    by_place = {tuple(frame.place.get(axis, 0) for axis in moving): frame for frame in frames}
    if len(by_place) != len(frames):
        return None
    known = all(set(place) <= set(AXES) for place in places)
    if known and all(set(moving) <= set(place) for place in places):
        found = [by_place.get(tuple(place[axis] for axis in moving)) for place in places]
    elif len(moving) <= 1 and len(frames) == planes:
        ordered = [by_place[key] for key in sorted(by_place)]
        found = [ordered[next(iter(place.values()), 0)] if len(place) <= 1 else None for place in places]
    else:
        return None
    return None if any(frame is None for frame in found) else [frame for frame in found if frame is not None]


def frame_name(values: Mapping[str, Any]) -> str:
    """What a frame, its position and its channel are called."""
    names = ("PositionName", "Channel", "ChannelName", "Label", "FrameLabel", "Name")
    texts = [value for name in names if isinstance(value := values.get(name), str) and value.strip()]
    return " ".join(dict.fromkeys(text.strip() for text in texts))


def named_leds(frames: list[Frame]) -> list[str]:
    """Fields in which users seem to keep the LED of a frame."""
    found = set()
    for frame in frames[:4]:
        user = frame.values.get("UserData")
        for table in (frame.values, user if isinstance(user, dict) else {}):
            found |= {str(name) for name in table if re.search(r"(?<![a-z])leds?(?![a-z])|LED", str(name))}
    return sorted(found)


def _stated(values: dict[str, Any]) -> dict[str, int]:
    """Place on each axis that a table states as a whole number."""
    found = {}
    for axis, names in AXES.items():
        number = next((values[n] for n in names if isinstance(values.get(n), int)), None)
        if number is not None and not isinstance(number, bool):
            found[axis] = int(number)
    return found


def _file_name(values: dict[str, Any], name: str) -> str:
    text = values.get("FileName", name)
    return str(text).replace("\\", "/").rpartition("/")[2]
