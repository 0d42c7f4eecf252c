"""How what a reader found in a file and a geometry given by the user become a whole geometry."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.bayer import bayer_channel
from ptychoui.data.formats.common import (
    beside,
    check_count,
    conflict,
    finish_stack,
    geometry_conflicts,
    sidecar_path,
)
from ptychoui.data.formats.found import Found
from ptychoui.data.formats.geometry_file import (
    LAYOUT,
    REPLACES_LAYOUT,
    GivenGeometry,
    PartialGeometry,
    build,
    flat_settings,
    missing_of,
    read_geometry,
)
from ptychoui.data.formats.led_table import TABLE_HEIGHT_MM, Leds
from ptychoui.data.formats.missing_settings import WORDS, likely_kind, lines_for
from ptychoui.errors import DataError, NoGeometryError, PtychouiError
from ptychoui.settings import Geometry, Images


@dataclass(slots=True, kw_only=True)
class Draft(Found):
    """What a reader found, before the geometry is whole.

    Attributes
    ----------
    aside
        Which files beside the images were not counted among them, in words.
    said, said_in
        What the user says of the images, and in which file; known once the geometry is whole.
    """

    aside: str = ""
    said: Images = field(default_factory=Images)
    said_in: str = ""
    filled: frozenset[str] = frozenset()
    own: Geometry | PartialGeometry | None = None
    listed: bool = False  # the user lists which LEDs of a table the images are of, in their order
    looked_beside: bool = False
    example: str = ""  # name of a shipped geometry whose data look like these

    def said_of(self, given: GivenGeometry) -> Images:
        """What the geometry beside the data and the one given say of the images."""
        self._own(given)
        return self.said

    def check_mosaic(self, mosaic: bool) -> None:
        """Refuse the pixels of a colour filter array whose colours are not stated."""
        if mosaic and self.said.bayer is None:
            raise DataError(
                f"{self.path.name} holds raw pixels of a colour camera, whose pattern is not stated",
                'state it in a geometry: [images] bayer = "RGGB" colour = "green"',
            )

    def complete(self, given: GivenGeometry) -> Geometry:
        """Whole geometry: what is given wins over the geometry file beside the data, which wins over the data.

        Raises
        ------
        NoGeometryError
            If settings are still missing; it carries their names and what was read.
        """
        own = self._own(given)
        preset = given if isinstance(given, PartialGeometry) and given.is_preset else None
        given, own = None if preset else self._whole(given), self._whole(own)
        if preset and isinstance(own, Geometry):
            self.notes.append(f"the preset {preset.source} was not used: the geometry beside the data is whole")
            preset = None
        if isinstance(given, Geometry) or (given is None and isinstance(own, Geometry)):
            whole = given if isinstance(given, Geometry) else own
            assert isinstance(whole, Geometry)
            self._compare(flat_settings(whole))
            if self.leds is not None:
                self.notes.append("the geometry describes the LEDs: the positions in the data file were not used")
            return whole
        layers = [layer for layer in (own, given) if layer is not None]
        return self._merge(layers, preset)

    def overlay(self, stored: Geometry | None, given: GivenGeometry) -> Geometry | None:
        """Geometry of a file that stores one (or none), completed by a partial or replaced by a whole one."""
        if given is None:
            return stored
        preset = given if isinstance(given, PartialGeometry) and given.is_preset else None
        if preset and stored is not None:
            self.notes.append(f"the preset {preset.source} was not used: the file states a whole geometry")
            return stored
        layer = preset.whole if preset else self._whole(given)
        assert layer is not None
        if isinstance(layer, PartialGeometry) and layer.images is not None:
            self.notes.append(f"[images] of {layer.source} was not used: the file holds finished intensities")
        if isinstance(layer, Geometry):
            if stored is not None:
                self.notes.extend(geometry_conflicts(layer, stored, self.path.name))
            return layer
        self.values = flat_settings(stored) if stored is not None else {}
        return self._merge([layer])

    def finish(
        self,
        raw: NDArray[Any],
        geometry: Geometry,
        *,
        sha256: str,
        amplitude: bool = False,
        dark: Sequence[NDArray[np.float64]] | None = None,
        exposure: NDArray[np.float64] | None = None,
    ) -> ImageStack:
        """Check the image count, make intensities of (LED, row, column) ``raw``, and build the stack."""
        if self.leds is None:
            array, count = geometry.array, len(geometry.array.numbers())
            if array.led_numbers is None or array.kind == "table":
                order = f"{array.kind} of {count} LEDs, from its first to its last"
            else:
                order = f"{count} LEDs of the {array.kind}, {array.led_numbers[0]} to {array.led_numbers[-1]} as listed"
            self.tell("LED order", order, "", "the geometry")
        elif self.leds.numbers is None and geometry.array.led_numbers is not None:
            numbers = geometry.array.led_numbers
            self.facts = [fact for fact in self.facts if fact.name != "LED numbers"]
            self.tell(
                "LED numbers", f"{min(numbers)} to {max(numbers)}", "", "the geometry, in the order of the images"
            )
        said, source = self.said, f"[images] of {self.said_in}"
        if said.values is not None:
            amplitude = said.values == "amplitude"
            self.facts = [fact for fact in self.facts if fact.name != "pixel values"]
        kind = "amplitude, squared here" if amplitude else "intensity"
        if not any(fact.name == "pixel values" for fact in self.facts):
            self.tell("pixel values", kind, "", source if said.values else "the custom of the layout", not said.values)
        if said.exposures is not None:
            self.tell("exposures", f"{len(said.exposures)}, divided out", "", source)
            stated, exposure = exposure, np.array(said.exposures, dtype=np.float64)
            self._compare_exposures(exposure, stated, source)
        for name, values in (("brightness of LEDs", said.gains), ("stray light", said.stray)):
            if values is not None:
                self.tell(name, f"{len(values)} values, removed", "", source)
        if said.bayer is not None and said.colour is not None:
            raw, geometry = self._pick_colour(raw, geometry, said.bayer, said.colour, source)
        if said.dark_level is not None:
            self.tell("dark level", said.dark_level, "", f"{source}; subtracted")
            level = np.full(raw.shape[1:], said.dark_level)
            dark = [frame + level for frame in dark] if dark is not None else [level] * len(raw)
        return finish_stack(
            raw,
            geometry,
            path=self.path,
            layout=self.layout,
            sha256=sha256,
            notes=self.notes,
            facts=self.facts,
            amplitude=amplitude,
            dark=dark,
            exposure=exposure,
            gain=None if said.gains is None else np.array(said.gains, dtype=np.float64),
            stray=None if said.stray is None else np.array(said.stray, dtype=np.float64),
        )

    def _compare_exposures(self, used: NDArray[np.float64], stated: NDArray[np.float64] | None, source: str) -> None:
        """Note exposures of the file that are in other proportions than those used; their unit does not matter."""
        if stated is None or len(stated) != len(used) or not (used > 0).all():
            return
        if not np.allclose(used / used.max(), stated / stated.max(), rtol=1e-3):
            self.notes.append(
                f"the exposures of {source} differ from those in the file ({stated.min():g} to {stated.max():g}): "
                f"{source} was used"
            )

    def _pick_colour(
        self, raw: NDArray[Any], geometry: Geometry, bayer: str, colour: str, source: str
    ) -> tuple[NDArray[Any], Geometry]:
        """Images of one colour of a Bayer pattern, and the geometry of their pixels."""
        if any(fact.name == "Bayer pattern" for fact in self.facts):
            raise DataError(
                f"{self.path.name} states its Bayer pattern, and {source} states another",
                "leave bayer and colour out of [images]",
            )
        if raw.ndim != 3 or min(raw.shape[1:]) < 2:
            raise DataError(f"{self.path.name}: images of the shape {raw.shape[1:]} hold no Bayer pattern")
        scope = geometry.microscope
        self.tell(
            "Bayer pattern",
            bayer,
            "",
            f"{source}; the {colour} sites were picked{', the two green ones averaged' * (colour == 'green')}, "
            f"so the camera's pixel of {scope.camera_pixel_um:g} um doubles",
        )
        picked = np.stack([bayer_channel(image, bayer, colour) for image in raw])
        return picked, geometry.replace(microscope=scope.replace(camera_pixel_um=2 * scope.camera_pixel_um))

    def _own(self, given: GivenGeometry) -> Geometry | PartialGeometry | None:
        """The geometry file beside the data, read once, after taking over what it and ``given`` say of the images."""
        if not self.looked_beside:
            self.looked_beside = True
            self.own = self._beside(given)
            for layer in (self.own, given):
                self.listed |= isinstance(layer, PartialGeometry) and layer.leds is not None and layer.leds.listed
                if isinstance(layer, PartialGeometry) and layer.images is not None:
                    stated = layer.images.model_dump(exclude_none=True)
                    self.said, self.said_in = Images(**(self.said.model_dump() | stated)), layer.source
        return self.own

    def _beside(self, given: GivenGeometry) -> Geometry | PartialGeometry | None:
        """The geometry file beside the data."""
        found = beside(self.path)
        if found is None:
            return None
        if given is None:
            self.notes.append(f"geometry read from {found.name}")
            return read_geometry(found, for_data=True)
        try:
            other = read_geometry(found)
        except PtychouiError as error:
            self.notes.append(f"{found.name} was not used: {error.message}")
            return None
        if isinstance(given, Geometry) and isinstance(other, Geometry):
            self.notes.extend(geometry_conflicts(given, other, found.name))
        elif isinstance(given, Geometry):
            self.notes.append(f"the settings of {found.name} were not used: the geometry given is whole")
        elif isinstance(given, PartialGeometry):
            self.notes.append(f"geometry completed from {found.name}")
        return other

    def _merge(self, layers: list[Geometry | PartialGeometry], preset: PartialGeometry | None = None) -> Geometry:
        """Settings of the file under those of the layers, the last on top, and over those of a preset."""
        values, leds, file_values = dict(self.values), self.leds, dict(self.values)
        if preset is not None:
            values = self._filled(preset)
        for layer in layers:
            stated = flat_settings(layer) if isinstance(layer, Geometry) else dict(layer.values)
            own_leds = layer.leds if isinstance(layer, PartialGeometry) else None
            if own_leds is not None or REPLACES_LAYOUT & set(stated):
                if leds is not None:
                    self.notes.append("the geometry describes the LEDs: the positions in the data file were not used")
                kept = {"array.pitch_mm"} if own_leds is None else set()
                values = {name: value for name, value in values.items() if name not in LAYOUT - kept}
                leds = own_leds
            self.notes.extend(() if own_leds is None else own_leds.notes)
            values |= stated
        source = layers[-1] if layers else None
        name = source.source if isinstance(source, PartialGeometry) else "the geometry"
        self._compare(values, file_values)
        if leds is not None:
            self._compare_height(leds, values.get("array.height_mm"))
            if leds.places_are_made and "array.height_mm" not in values:
                self.notes.append(
                    f"the directions of the LEDs were made into positions on a flat array {TABLE_HEIGHT_MM:g} mm below "
                    "the sample; array.height_mm in a geometry sets another height, the directions stay"
                )
            values = leds.settings(values) | values
        missing = self._missing(values, leds)
        if missing:
            raise self._no_geometry(missing, values)
        if leds is not None and leds.steps is not None:
            values.pop("array.pitch_mm", None)  # it went into the positions
        try:
            return build(values)
        except PtychouiError as error:
            where = self.path.name if not layers else f"{self.path.name} with {name}"
            raise DataError(f"{where}: {error.message}", error.hint) from None

    def _missing(self, values: dict[str, Any], leds: Leds | None) -> tuple[str, ...]:
        if leds is None:
            return missing_of(values)
        # The LEDs have places as soon as what they need is there; those known by directions need no height.
        there = {"array.kind": "table", "array.positions_mm": True}
        found = missing_of(values | there | ({"array.height_mm": True} if leds.places_are_made else {}))
        return found + tuple(name for name in leds.needs() if values.get(name) is None and name not in found)

    def _filled(self, preset: PartialGeometry) -> dict[str, Any]:
        """Settings of the file, and those of a preset that it does not state."""
        offered = dict(preset.values)
        if REPLACES_LAYOUT & set(self.values):
            offered = {name: value for name, value in offered.items() if name not in LAYOUT - {"array.pitch_mm"}}
        if self.leds is not None:  # those of another array: of the preset's only what they need
            needed = set(self.leds.needs())
            if self.leds.height_mm is None and not self.leds.places_are_made:
                needed.add("array.height_mm")
            offered = {name: v for name, v in offered.items() if not name.startswith("array.") or name in needed}
        filled = {name: value for name, value in offered.items() if name not in self.values}
        self.filled = frozenset(filled)
        for name, value in self.values.items():
            other = offered.get(name)
            if name in WORDS and isinstance(other, int | float) and not math.isclose(other, value, rel_tol=1e-3):
                words, unit, _ = WORDS[name]
                self.notes.append(
                    f"the {words} is {value:g} {unit}".rstrip()
                    + f" in the data file and {other:g} {unit}".rstrip()
                    + f" in the preset {preset.source}; the data file's value was used"
                )
        self.tell_filled(preset.source)
        return filled | self.values

    def tell_filled(self, source: str = "", without: Iterable[str] = ()) -> None:
        """Record what the preset ``source`` filled in, or anew without what the file turned out to state."""
        name = "filled in from the preset"
        old = next((fact for fact in self.facts if fact.name == name), None)
        self.facts = [fact for fact in self.facts if fact.name != name]
        self.filled -= set(without)
        if self.filled:
            names = ", ".join(sorted(setting.split(".", 1)[1] for setting in self.filled))
            self.tell(name, names, "", source or (old.source if old else ""), assumed=True)

    def _whole(self, layer: GivenGeometry) -> GivenGeometry:
        """A geometry that is whole without what its table of LEDs says, which is noted."""
        if not isinstance(layer, PartialGeometry) or layer.whole is None or layer.leds is None or layer.images:
            return layer
        self.notes.extend(layer.leds.notes)
        self._compare_height(layer.leds, layer.whole.array.height_mm)
        return layer.whole

    def _compare_height(self, leds: Leds, used_mm: float | None) -> None:
        """Note a height that LEDs state and the geometry does otherwise."""
        if used_mm is not None and leds.height_mm is not None and leds.other_height(used_mm):
            where = "the data file" if leds is self.leds else "the table of LEDs"
            words, unit, _ = WORDS["array.height_mm"]
            conflict(f"the {words}", used_mm, leds.height_mm, unit, self.notes, where)

    def _compare(self, used: dict[str, Any], stated: dict[str, Any] | None = None) -> None:
        """Note numbers that the geometry and the file state differently."""
        for setting, value in (stated or self.values).items():
            other = used.get(setting)
            if setting in WORDS and isinstance(other, int | float) and isinstance(value, int | float):
                conflict(f"the {WORDS[setting][0]}", float(other), float(value), WORDS[setting][1], self.notes)

    def _no_geometry(self, missing: tuple[str, ...], stated_values: dict[str, Any]) -> NoGeometryError:
        """The error that says by name what is missing, and the lines that would say it."""
        words = [WORDS[name][0] if name in WORDS else name for name in missing]
        stated = [f"{f.name} {f.value:g} {f.unit}".rstrip() for f in self.facts if isinstance(f.value, float)]
        said = f"; it does say {', '.join(stated)}" if stated else ""
        where = f"{self.path.name}/geometry.toml" if self.path.is_dir() else sidecar_path(self.path).name
        known = f"--geometry {self.example}" if self.example else "ptychoui presets"
        lines = lines_for(missing, likely_kind(stated_values, self.example), stated_values)
        return NoGeometryError(
            f"{self.path.name} does not say the {', the '.join(words)}{said}; missing: {', '.join(missing)}",
            f"pass --geometry FILE, or save {where}, with the lines {' '.join(lines)} "
            f"and your own values; examples: {known}",
            missing,
            self.report() | {"stated": stated_values, "lines": lines},
        )


def check_images(draft: Draft, geometry: Geometry) -> None:
    """Refuse a wrong number of images before they are read."""
    if draft.images is not None:
        check_count(draft.images, geometry, draft.path.name, draft.aside)
