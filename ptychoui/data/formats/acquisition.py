"""What headers say of the acquisition: exposures, which are divided out, and all that is named but not used."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.formats.tiff_planes import tag_of
from ptychoui.errors import DataError

MS_PER_UNIT = {"s": 1e3, "ms": 1.0, "µs": 1e-3, "μs": 1e-3, "us": 1e-3, "ns": 1e-6, "min": 6e4}
EXPOSURES = ("Exposure-ms", "ExposureMs", "Exposure")
"""Names under which Micro-Manager keeps the exposure of a frame in ms."""
BLACK, BINNING, BITS = "black level", "binning", "bit depth"
NAMES = {
    "gain": re.compile(r"(?:^|[-_ ])(?:em|multiplier)?[ _-]?gain$", re.IGNORECASE),
    BINNING: re.compile(r"(?:^|[-_ ])binning$", re.IGNORECASE),
    BLACK: re.compile(r"(?:^|[-_ ])(?:black[ _-]?level|(?:pixel|camera|digital)?[ _-]?offset)$", re.IGNORECASE),
    BITS: re.compile(r"(?:^|[-_ ])(?:bit[ _-]?depth|significant[ _-]?bits)$", re.IGNORECASE),
    "gamma": re.compile(r"(?:^|[-_ ])gamma(?:[ _-]?correction)?$", re.IGNORECASE),
}
"""What a camera may state -> the names it has in headers, after the device's own name."""
CAMEL = re.compile(r"(?<=[a-z])(?=(?:Gain|Binning|BlackLevel|BitDepth|Gamma)$)")
OF_CAMERA = re.compile(r"(.+)[-_]Exposure(?:[-_ ]?(ms|us|s))?")
"""The exposure among the settings of a device of Micro-Manager, in ms if it does not say otherwise."""
REMEDY = {
    BLACK: "state dark_level in [images] of a geometry if it is still in the values",
    BINNING: "camera_pixel_um must be the pitch of the binned pixels",
    "gain": "if it differs between the images, state it with their exposures in [images]",
    "gamma": "save the images with linear values if it was applied",
}
SEVERAL = re.compile(r"names$|headers$|descriptions|^the (?:names|texts)|settings")
"""Sources that are many."""
NONE = {"", "1", "1x1", "1.0", "off", "none", "0"}
"""Values of a binning, gain or offset that change nothing."""


@dataclass(slots=True, kw_only=True)
class Acquisition:
    """What the headers of the images say, in the order of the images.

    Attributes
    ----------
    exposures_ms
        One for each image; None where it is not stated.
    source
        Which header states the exposures.
    stated
        What a camera may state -> its values, in the order in which they are found.
    pixel_um
        Pixel at the sample that Micro-Manager states.
    """

    exposures_ms: list[float | None] = field(default_factory=list)
    source: str = ""
    stated: dict[str, list[str]] = field(default_factory=dict)
    pixel_um: float | None = None

    @property
    def states(self) -> str:
        """The verb for ``source``."""
        return states(self.source)

    def state(self, name: str, value: object) -> None:
        """Keep a value under what it is, if its name is known."""
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            return
        what = what_is(name)
        text = str(value).strip()[:24]
        if what and text and text not in self.stated.setdefault(what, []):
            self.stated[what].append(text)

    def bits(self) -> int | None:
        """Bits of the camera, where one number is stated."""
        values = self.stated.get(BITS, [])
        return int(values[0]) if len(values) == 1 and values[0].isdigit() and 0 < int(values[0]) <= 32 else None

    def notes(self, where: str) -> list[str]:
        """One sentence for each thing that is stated and not used."""
        found = []
        for what, values in self.stated.items():
            alike = len(values) == 1 or what == BINNING
            if what == BITS or (alike and all(value.lower() in NONE for value in values)):
                continue
            listed = ", ".join(values[:4]) + (", ..." if len(values) > 4 else "")
            differs = " (not the same in all images)" if len(values) > 1 else ""
            found.append(f"{where} {states(where)} a {what} of {listed}{differs}, which was not used: {REMEDY[what]}")
        return found

    def relative(self, name: str, given: bool, notes: list[str]) -> NDArray[np.float64] | None:
        """Exposures to divide out, where all are stated.

        Raises
        ------
        DataError
            If only some images have one, these differ, and the user does not state them (``given``).
        """
        known = [value for value in self.exposures_ms if value is not None]
        if not known:
            return None
        if len(known) == len(self.exposures_ms):
            return np.array(known)
        if given:
            return None
        some = f"{len(known)} of {len(self.exposures_ms)} images"
        if not math.isclose(min(known), max(known), rel_tol=1e-6):
            raise DataError(
                f"{name}: {self.source} {self.states} the exposures of {some}, and "
                f"they differ ({min(known):g} to {max(known):g} ms)",
                "state the exposures of all images in a geometry: [images] exposures = [...]",
            )
        notes.append(f"{self.source} {self.states} an exposure of {known[0]:g} ms for {some} only, which was not used")
        return None


def states(source: str) -> str:
    """The verb for a source."""
    return "state" if SEVERAL.search(source) else "states"


def with_all_stated(found: Acquisition, every: Sequence[Acquisition]) -> Acquisition:
    """One of several sources with what the others state beside exposures, and their pixel."""
    stated: dict[str, list[str]] = {}
    for one in (found, *every):
        for what, values in one.stated.items():
            stated[what] = list(dict.fromkeys([*stated.get(what, []), *values]))
    pixel = next((one.pixel_um for one in (found, *every) if one.pixel_um), None)
    return replace(found, stated=stated, pixel_um=pixel)


def what_is(name: str) -> str | None:
    """What a camera may state under a name: a gain, binning, black level, ...; None for anything else."""
    name = CAMEL.sub(" ", name)
    return next((what for what, pattern in NAMES.items() if pattern.search(name)), None)


def exposure_words(exposures_ms: Sequence[float] | NDArray[np.float64]) -> str:
    """The exposures of a stack in words: one, or their range."""
    low, high = float(min(exposures_ms)), float(max(exposures_ms))
    if math.isclose(low, high, rel_tol=1e-6):
        return f"{low:g} ms, the same for all"
    return f"{low:g} to {high:g} ms, divided out"


def frame_exposure(frame: Mapping[str, Any]) -> float | None:
    """Exposure in ms of one frame of Micro-Manager."""
    for name in EXPOSURES:
        value = frame.get(name)
        value = value.get("PropVal", value.get("scalar")) if isinstance(value, dict) else value
        number = positive(value)
        if number is not None:
            return number
    return None


def of_frames(frames: Iterable[Mapping[str, Any] | None], source: str) -> Acquisition:
    """What the metadata of Micro-Manager say of some frames, in their order."""
    found = Acquisition(source=source)
    for frame in frames:
        found.exposures_ms.append(None if frame is None else frame_exposure(frame))
        for name, value in (frame or {}).items():
            value = value.get("PropVal", value.get("scalar")) if isinstance(value, dict) else value
            found.state(str(name), value)
        found.pixel_um = found.pixel_um or positive((frame or {}).get("PixelSizeUm", (frame or {}).get("PixelSize_um")))
        scope = (frame or {}).get("ScopeData")
        for name, value in scope.items() if isinstance(scope, dict) else ():
            found.state(str(name), value.get("PropVal") if isinstance(value, dict) else value)
    return found


def of_cameras(frames: Sequence[Mapping[str, Any] | None], source: str) -> list[Acquisition]:
    """Exposures among the settings of the cameras of Micro-Manager, which are no others than those of the frames."""
    times = [None if frame is None else _camera_exposure(frame) for frame in frames]
    return [Acquisition(exposures_ms=times, source=f"the camera's settings in {source}")] if any(times) else []


def _camera_exposure(frame: Mapping[str, Any]) -> float | None:
    """Exposure in ms that the camera of a frame states; of several cameras the one that the frame names."""
    scope = frame.get("ScopeData")
    stated = {**(scope if isinstance(scope, dict) else {}), **frame}
    found = {}
    for name, value in stated.items():
        match = OF_CAMERA.fullmatch(str(name))
        value = value.get("PropVal", value.get("scalar")) if isinstance(value, dict) else value
        if match and name not in EXPOSURES and (number := positive(value)) is not None:
            found[match[1]] = number * MS_PER_UNIT[match[2] or "ms"]
    own = found.get(str(frame.get("Camera", frame.get("Core-Camera", ""))))
    return own if own is not None else next(iter(found.values())) if len(set(found.values())) == 1 else None


def of_ome(root: ElementTree.Element, places: list[dict[str, int]]) -> Acquisition:
    """What an OME header says of the planes at some places."""
    found = Acquisition(source="the OME header")
    images = [element for element in root if tag_of(element) == "Image"]
    planes: dict[tuple[int, int, int, int], ElementTree.Element] = {}
    for position, image in enumerate(images):
        for element in image.iter():
            if tag_of(element) == "Plane":
                key = tuple(int(element.get(f"The{axis}", "0")) for axis in "TCZ")
                planes[(position, key[0], key[1], key[2])] = element
    for place in places:
        at = (place.get("P", 0), place.get("T", 0), place.get("C", 0), place.get("Z", 0))
        plane = planes.get(at) if set(place) <= set("PTCZ") else None
        found.exposures_ms.append(None if plane is None else _plane_exposure(plane))
    for element in root.iter():
        if tag_of(element) in ("Detector", "DetectorSettings", "Pixels"):
            for name, value in element.attrib.items():
                found.state(name, value)
    return found


def _plane_exposure(plane: ElementTree.Element) -> float | None:
    value = positive(plane.get("ExposureTime"))
    unit = plane.get("ExposureTimeUnit", "s")
    if value is None:
        return None
    if unit not in MS_PER_UNIT:
        raise DataError(
            f"the OME header states exposures in an unknown unit ({unit[:20]!r})",
            "state the exposures in a geometry: [images] exposures = [...]",
        )
    return value * MS_PER_UNIT[unit]


def positive(value: object) -> float | None:
    """A number above 0, or text that is one."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None
