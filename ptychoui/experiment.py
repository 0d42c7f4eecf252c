"""Every setting of a run, as frozen values with units and ranges, and the TOML they are kept in.

A value outside its range is refused where it is made: ``Microscope(objective_na=2.0)`` raises
`SettingsError` with the number, the unit and the range.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from ptychoui import led_order
from ptychoui.errors import GeometryError, PtychouiError, SettingsError
from ptychoui.paths import resources, shipped
from ptychoui.text import text_of

SCHEMA_VERSION = 2
UNITS = ("um", "mm", "nm", "deg")
"""Units that end the names of settings."""
QUIET: dict[str, Any] = {"quiet": True}
"""Marks settings that files leave out while they have their default, so that the files of simple arrays stay short."""


class Settings(BaseModel):
    """Frozen settings whose errors are sentences."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingsError(*_sentence(type(self), error)) from None

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where numbers are expected; pydantic would take them for 1 and 0."""
        if _holds_truth(value) and _is_numeric(cls.model_fields[info.field_name or ""].annotation):
            raise ValueError("true and false are no numbers")
        return value

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some settings changed, validated again."""
        return type(self)(**{**{name: getattr(self, name) for name in type(self).model_fields}, **changes})


def _holds_truth(value: Any, depth: int = 3) -> bool:
    """Whether a value is true or false, or lists one, as deep as settings are."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return depth > 0 and any(_holds_truth(part, depth - 1) for part in value)
    return isinstance(value, bool)


def _is_numeric(annotation: Any) -> bool:
    """Whether a field holds numbers, or lists of them, and nothing that may be true or false."""
    kinds: list[Any] = [annotation]
    for kind in kinds:
        if isinstance(kind, type) and (kind is bool or issubclass(kind, BaseModel)):
            return False
        kinds.extend(get_args(kind))
    return int in kinds or float in kinds


def _sentence(owner: type[BaseModel], error: ValidationError) -> tuple[str, str]:
    """Turn the first problem that pydantic found into a message and a hint."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    called = owner.model_config.get("title") or owner.__name__.lower()
    name = f"{called}.{where}" if where else called
    if first["type"] == "extra_forbidden":
        known = ", ".join(owner.model_fields)
        return f"unknown setting {name}", f"known settings: {known}"
    if first["type"] == "missing":
        field = owner.model_fields.get(where)
        hint = (field.description or "") if field else ""
        return f"the setting {name} is missing", hint or f"add a table [{where}], as the example files show"
    field = owner.model_fields.get(str(first["loc"][0])) if first["loc"] else None
    value = "" if first["type"] == "value_error" else f" (got {first['input']!r}{_unit_and_range(owner, first)})"
    text = first["msg"].removeprefix("Value error, ")
    text = text[0].lower() + text[1:]
    hint = (field.description or "") if field else ""
    return f"{name}: {text}{value}", hint or "the example experiments show how it is meant"


def _unit_and_range(owner: type[BaseModel], problem: Any) -> str:
    """Unit and range of a number that is out of its range, to stand behind it; empty for other problems."""
    name = str(problem["loc"][-1]) if problem["loc"] else ""
    field = owner.model_fields.get(name)
    if field is None or problem["type"] not in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        return ""
    unit = next((f" {unit}" for unit in UNITS if name.endswith(f"_{unit}")), "")
    bounds = {key: getattr(m, key) for m in field.metadata for key in ("ge", "gt", "le", "lt") if hasattr(m, key)}
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    whole = f"; {low:g} to {high:g}{unit} are possible" if low is not None and high is not None else ""
    return unit + whole


class Microscope(Settings):
    """The imaging side of the microscope; lengths in micrometre, at the sample unless said otherwise."""

    wavelength_um: float = Field(gt=0.1, lt=5, description="vacuum wavelength in um, 0.1 to 5")
    bandwidth_nm: float | None = Field(
        None, gt=0, le=500, description="full width at half maximum of the light's spectrum in nm, above 0 to 500"
    )
    objective_na: float = Field(gt=0.005, lt=1.7, description="numerical aperture of the objective")
    magnification: float = Field(gt=0.05, lt=500, description="total magnification from sample to camera")
    camera_pixel_um: float = Field(gt=0.05, lt=200, description="pitch of the camera's pixels in um")
    medium_index: float = Field(1.0, ge=1.0, lt=2.5, description="refractive index before the objective")
    defocus_um: float = Field(0.0, ge=-2000, le=2000, description="distance of the sample from focus in um")
    zernike_waves: dict[int, float] = Field(
        default_factory=dict, description="aberration of the pupil: Noll index -> coefficient in waves RMS"
    )
    pixel: Literal["integrating", "point"] = Field(
        "integrating", description="a camera pixel integrates over its area, or samples a point"
    )

    @model_validator(mode="after")
    def _na_below_index(self) -> Self:
        if self.objective_na >= self.medium_index:
            raise GeometryError(
                f"objective NA {self.objective_na:g} is not below the medium's refractive index {self.medium_index:g}",
                "NA = n sin(angle): use the NA printed on the objective, and its immersion medium's index",
            )
        return self

    @field_validator("zernike_waves", mode="before")
    @classmethod
    def _integer_keys(cls, value: Any) -> Any:
        return {int(k): v for k, v in value.items()} if isinstance(value, dict) else value

    @field_validator("zernike_waves")
    @classmethod
    def _known_indices(cls, value: dict[int, float]) -> dict[int, float]:
        for noll, waves in value.items():
            if not 1 <= noll <= 66:
                raise ValueError(f"Zernike index {noll} is outside 1 to 66 (Noll's order: 4 is defocus)")
            if abs(waves) > 10:
                raise ValueError(f"Zernike coefficient {noll} of {waves:g} waves is outside -10 to 10 waves")
        return value

    @property
    def pixel_size_um(self) -> float:
        """Camera pixel referred to the sample, um."""
        return self.camera_pixel_um / self.magnification


class Pose(Settings):
    """Where the LED array sits relative to the optical axis; applied as flip, swap, rotate, tilt, shift."""

    shift_x_mm: float = Field(0.0, ge=-200, le=200, description="shift of the array along +x in mm")
    shift_y_mm: float = Field(0.0, ge=-200, le=200, description="shift of the array along +y in mm")
    rotation_deg: float = Field(0.0, ge=-360, le=360, description="rotation about the axis, from +x to +y")
    tilt_x_deg: float = Field(0.0, ge=-60, le=60, description="tilt about the x axis in degrees")
    tilt_y_deg: float = Field(0.0, ge=-60, le=60, description="tilt about the y axis in degrees")
    flip_x: bool = Field(False, description="mirror the array: x -> -x")
    flip_y: bool = Field(False, description="mirror the array: y -> -y")
    swap_xy: bool = Field(False, description="exchange x and y")


class Array(Settings):
    """An LED array: how its LEDs are laid out and where it stands.

    ``height_mm`` is the air path from the LED plane to the sample, or to the lower face of the slide
    where ``slide_thickness_mm`` is not zero (the convention of the published UConn geometry).
    """

    kind: Literal["lattice", "spiral", "rings", "dome", "table"] = "lattice"
    height_mm: float = Field(gt=0, lt=2000, description="air path from LED plane to sample (or slide) in mm")
    pitch_mm: float | None = Field(None, description="distance of neighbouring LEDs in mm, above 0")
    rows: int | None = Field(None, ge=1, le=512, description="number of rows of a lattice, or of a spiral's board")
    columns: int | None = Field(
        None, ge=1, le=512, description="number of columns of a lattice, or of a spiral's board"
    )
    order: Literal["rows", "columns", "tiles", "radial"] = Field(
        "rows",
        description="how a lattice is numbered: row by row or column by column from the top left, tile by tile, or "
        "radially from the middle outwards",
        json_schema_extra=QUIET,
    )
    serpentine: bool = Field(False, description="every second row (column, row of a tile) is numbered backwards")
    tile_rows: int | None = Field(None, ge=1, le=512, description="rows of one tile of a lattice in the order tiles")
    tile_columns: int | None = Field(
        None, ge=1, le=512, description="columns of one tile of a lattice in the order tiles"
    )
    serpentine_tiles: bool = Field(
        False, description="every second row of tiles is numbered backwards", json_schema_extra=QUIET
    )
    disc: bool = Field(False, description="keep only LEDs of a lattice inside its inscribed circle")
    count: int | None = Field(None, ge=1, le=65536, description="number of LEDs of a spiral")
    spiral_steps: str = Field("+x+y-x-y", description="directions of a square spiral, in order")
    spiral_start: tuple[int, int] | None = Field(
        None,
        description="row and column, from 0 at the top left, of the LED of a larger board where a spiral starts; "
        "LEDs then have the board's numbers",
    )
    center_row: float | None = Field(
        None, description="row of a lattice that lies on the axis (default: middle; of a spiral its start)"
    )
    center_column: float | None = Field(
        None, description="column of a lattice on the axis (default: middle; of a spiral its start)"
    )
    ring_radii_mm: tuple[float, ...] | None = Field(None, description="radii of the rings in mm")
    ring_counts: tuple[int, ...] | None = Field(None, description="LEDs on each ring")
    ring_start_deg: float = Field(
        0.0,
        ge=-360,
        le=360,
        description="angle of each ring's first LED, from +x towards +y in degrees",
        json_schema_extra=QUIET,
    )
    ring_clockwise: bool = Field(False, description="rings are numbered clockwise, +y up", json_schema_extra=QUIET)
    ring_offsets_deg: tuple[float, ...] | None = Field(
        None, description="turn of each ring against ring_start_deg, from +x towards +y in degrees"
    )
    dome_radius_mm: float | None = Field(None, gt=0, description="radius of curvature of a dome in mm")
    positions_mm: tuple[tuple[float, float, float], ...] | None = Field(
        None, description="table of x, y, z in mm; z is the height above the array's plane towards the sample"
    )
    led_numbers: tuple[int, ...] | None = Field(
        None,
        description="numbers of the LEDs that are used, in the order of the images (default: all); of a table the "
        "firmware number of each LED",
    )
    slide_thickness_mm: float = Field(0.0, ge=0, le=20, description="glass between LEDs and sample in mm")
    slide_index: float = Field(1.52, ge=1.0, le=2.5, description="refractive index of the slide")
    max_illumination_na: float | None = Field(
        None, gt=0, lt=1.5, description="use only LEDs up to this illumination NA"
    )
    falloff: Literal["none", "cos4", "lambertian", "table"] = Field(
        "none",
        description="brightness of an LED against its angle: cos4 for flat boards, lambertian follows tilt, dome and "
        "distance, table is a measured one (falloff_table)",
    )
    falloff_table: tuple[tuple[float, float], ...] | None = Field(
        None,
        description="measured brightness: pairs of the light's angle at the sample in degrees, from 0 on and rising, "
        "and brightness relative to an LED on the axis",
    )
    led_size_um: float | None = Field(
        None, gt=0, le=20_000, description="edge or diameter of the emitting area of an LED in um, above 0 to 20000"
    )
    die_offsets_mm: dict[str, tuple[float, float]] = Field(
        default_factory=dict,
        description="x, y in mm of each colour's die from the position of its LED, before the pose; within 5 mm",
        json_schema_extra=QUIET,
    )
    colour: str = Field(
        "",
        max_length=40,
        description="colour that is lit: one of die_offsets_mm, or empty",
        json_schema_extra=QUIET,
    )
    pose: Pose = Pose()

    @field_validator("pitch_mm")
    @classmethod
    def _pitch_positive(cls, value: float | None) -> float | None:
        if value is not None and not 0 < value < 200:
            raise GeometryError(
                f"LED pitch of {value:g} mm is outside 0 to 200 mm (0 excluded)",
                "measure the distance between two neighbouring LEDs, in mm",
            )
        return value

    @field_validator("falloff_table")
    @classmethod
    def _brightness_against_rising_angles(
        cls, value: tuple[tuple[float, float], ...] | None
    ) -> tuple[tuple[float, float], ...] | None:
        if value is None:
            return None
        angles = [angle for angle, _ in value]
        if len(value) < 2 or angles[0] != 0 or angles[-1] > 90 or any(a >= b for a, b in pairwise(angles)):
            raise ValueError("needs two or more angles that start at 0 and rise, up to 90 degrees")
        if any(not 0 < brightness <= 10 for _, brightness in value):
            raise ValueError("a relative brightness must be above 0 and at most 10")
        return value

    @field_validator("die_offsets_mm")
    @classmethod
    def _die_inside_its_led(cls, value: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        for colour, offset in value.items():
            if max(map(abs, offset)) > 5:
                raise ValueError(f"the {colour} die lies {max(map(abs, offset)):g} mm off, more than 5 mm")
        return value

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        needs = {
            "lattice": ("pitch_mm", "rows", "columns"),
            "spiral": ("pitch_mm", "count"),
            "rings": ("ring_radii_mm", "ring_counts"),
            "dome": ("ring_radii_mm", "ring_counts", "dome_radius_mm"),
            "table": ("positions_mm",),
        }[self.kind]
        if self.kind == "lattice" and self.order == "tiles":
            needs += ("tile_rows", "tile_columns")
        if self.kind == "spiral" and self.spiral_start is not None:
            needs += ("rows", "columns")
        missing = [name for name in needs if getattr(self, name) is None]
        if missing:
            raise ValueError(f"an array of kind {self.kind!r} also needs {', '.join(missing)}")
        if self.falloff == "table" and self.falloff_table is None:
            raise ValueError("falloff 'table' also needs falloff_table: pairs of angle in degrees and brightness")
        if self.colour and self.colour not in self.die_offsets_mm:
            known = ", ".join(self.die_offsets_mm) or "none"
            raise ValueError(f"die_offsets_mm has no colour {self.colour!r} (it has: {known})")
        if self.kind in ("rings", "dome"):
            rings = len(self.ring_counts or ())
            if len(self.ring_radii_mm or ()) != rings:
                raise ValueError("ring_radii_mm and ring_counts must have the same length")
            if self.ring_offsets_deg is not None and len(self.ring_offsets_deg) != rings:
                raise ValueError("ring_offsets_deg and ring_counts must have the same length")
        if any(count < 0 for count in self.ring_counts or ()) or any(radius < 0 for radius in self.ring_radii_mm or ()):
            raise ValueError("ring_counts and ring_radii_mm must not be negative")
        if not self._layout_numbers():
            raise ValueError("the array has no LED: check its rows, columns, count, rings or table")
        if self.led_numbers is not None:
            self._check_led_numbers(self.led_numbers)
        return self

    def _check_led_numbers(self, chosen: tuple[int, ...]) -> None:
        """Refuse numbers that are twice, too many or too few for a table, or not in the array."""
        if not chosen:
            raise ValueError("led_numbers is empty: leave it out to use all LEDs")
        if len(set(chosen)) != len(chosen):
            twice = next(number for place, number in enumerate(chosen) if number in chosen[:place])
            raise ValueError(f"led_numbers holds a number twice: {twice}")
        if self.kind == "table":
            if len(chosen) != len(self.positions_mm or ()):
                raise ValueError("led_numbers and positions_mm must have the same length")
            return
        known = self._layout_numbers()
        unknown = sorted(set(chosen) - set(known))
        if unknown:
            raise ValueError(
                f"led_numbers names LED {unknown[0]}, which this {self.kind} does not have: its LEDs are "
                f"{min(known)} to {max(known)}"
            )

    def numbers(self) -> tuple[int, ...]:
        """Firmware numbers of all LEDs that are used, in the order of the images.

        LEDs beyond ``max_illumination_na`` are listed too: what a microscope uses is decided by the optics.
        """
        return self.led_numbers or self._layout_numbers()

    def _layout_numbers(self) -> tuple[int, ...]:
        """Numbers of all LEDs that the layout has, in the order of their list, not always that of the numbers."""
        if self.kind == "table":
            return self.led_numbers or tuple(range(len(self.positions_mm or ())))
        if self.kind == "spiral":
            return self._spiral_numbers()
        if self.kind in ("rings", "dome"):
            return tuple(range(sum(self.ring_counts or ())))
        sites = self.board()
        if not self.disc:
            return tuple(range(len(sites)))
        row0, column0 = self.center
        reach = min(self.rows or 0, self.columns or 0) / 2
        return tuple(
            number
            for number, (row, column) in enumerate(sites)
            if (row - row0) ** 2 + (column - column0) ** 2 <= reach**2
        )

    @property
    def center(self) -> tuple[float, float]:
        """Row and column on the axis, of a lattice or of the board of a spiral."""
        row, column = self.center_row, self.center_column
        if self.kind == "spiral" and self.spiral_start is not None:
            middle: tuple[float, float] = self.spiral_start
        else:
            middle = ((self.rows or 1) - 1) / 2, ((self.columns or 1) - 1) / 2
        return middle[0] if row is None else row, middle[1] if column is None else column

    def board(self) -> led_order.Sites:
        """Site (row, column) of every number of a lattice, or of the board that a spiral starts on."""
        rows, columns = self.rows or 0, self.columns or 0
        if self.order == "tiles":
            tile = (self.tile_rows or rows, self.tile_columns or columns)
            return led_order.by_tiles(rows, columns, tile, self.serpentine, self.serpentine_tiles)
        if self.order == "radial":
            return led_order.by_radius(rows, columns, self.center, self.ring_start_deg, self.ring_clockwise)
        return led_order.by_lines(rows, columns, self.order, self.serpentine)

    def _spiral_numbers(self) -> tuple[int, ...]:
        count = self.count or 0
        if self.spiral_start is None:
            return tuple(range(count))
        row0, column0 = self.spiral_start
        number_of = {site: number for number, site in enumerate(self.board())}
        sites = [(row0 - y, column0 + x) for x, y in led_order.spiral(count, self.spiral_steps)]
        outside = next((site for site in sites if site not in number_of), None)
        if outside is not None:
            raise ValueError(
                f"the spiral leaves its board of {self.rows} x {self.columns} LEDs at row {outside[0]}, "
                f"column {outside[1]}"
            )
        return tuple(number_of[site] for site in sites)


class Geometry(Settings):
    """A microscope and its LED array: what a geometry file holds."""

    microscope: Microscope
    array: Array


class Measurement(Settings):
    """What the camera records of one multiplexed exposure (units: photoelectrons, frames, levels)."""

    photons_per_led: float = Field(
        4e4, ge=1e-3, le=1e9, description="photoelectrons per pixel from one LED on axis at full level, unit exposure"
    )
    read_noise: float = Field(2.0, ge=0, le=1e4, description="read noise in electrons RMS per frame")
    background: float = Field(0.0, ge=0, le=10, description="stray light per unit exposure, in units of one LED")
    full_well: float = Field(1e5, gt=0, le=1e12, description="electrons at which a pixel saturates")
    adc_bits: int = Field(12, ge=0, le=24, description="bits of the camera's converter; 0 for none")
    noise: Literal["physical", "published", "none"] = Field(
        "physical",
        description="physical: shot and read noise of the multiplexed exposure; "
        "published: noisy single-LED images are summed (understates the variance); none",
    )


class Design(Settings):
    """What is being learned: drive levels of ``rows`` patterns and, where asked, their exposures."""

    bright_field_rows: int = Field(1, ge=0, le=256, description="patterns of bright-field LEDs")
    dark_field_rows: int = Field(3, ge=0, le=256, description="patterns of dark-field LEDs")
    start: Literal["dense_random", "random_partition", "hybrid", "singles"] = "dense_random"
    total_exposure: float | None = Field(
        None, gt=0, description="sum of the frame times of all rows, in units of one frame (default: one each)"
    )
    learn_exposure: bool = Field(False, description="learn how the total exposure is divided")
    minimum_exposure: float = Field(0.05, gt=0, le=1, description="shortest frame time, in units of one frame")
    guard_na: float = Field(0.0, ge=0, le=0.5, description="LEDs this close to the objective NA stay dark")

    @model_validator(mode="after")
    def _some_rows(self) -> Self:
        if self.bright_field_rows < 1:
            raise ValueError("at least one bright-field row is needed: the first estimate comes from it")
        return self

    @property
    def rows(self) -> int:
        """Number of measurements."""
        return self.bright_field_rows + self.dark_field_rows


class Network(Settings):
    """The unrolled reconstruction."""

    update: Literal["heavy_ball", "nesterov", "gradient", "learned_momentum"] = Field(
        "heavy_ball",
        description="how gradients move the object; learned_momentum: heavy ball with one learned momentum per unroll",
    )
    unrolls: int = Field(30, ge=1, le=100_000, description="number of unrolled iterations")
    step: float | None = Field(
        None,
        gt=0,
        le=1e4,
        description="step size of every unroll (left out: 0.4 of the largest stable one)",
    )
    momentum: str = Field(
        "7/8", description="momentum (of learned_momentum the start) as a ratio n/d of integers below 128, 0 < n/d < 1"
    )
    learn_step: bool = Field(False, description="learn one step size per unroll")

    @field_validator("momentum")
    @classmethod
    def _ratio(cls, value: str) -> str:
        try:
            ratio = Fraction(value)
        except (ValueError, ZeroDivisionError):
            raise ValueError("momentum must be a ratio of integers such as '7/8'") from None
        if not 0 < ratio < 1 or ratio.denominator > 127:
            raise ValueError("momentum must lie between 0 and 1 (both excluded), denominator at most 127")
        return value

    @property
    def learns_momentum(self) -> bool:
        """True if every unroll has a momentum of its own, which training changes."""
        return self.update == "learned_momentum"


class Segment(Settings):
    """A stretch of unrolls whose gradient is obtained in its own way."""

    unrolls: int = Field(ge=1, le=100_000, description="number of unrolls of the segment, 1 to 100000")
    strategy: Literal["store_all", "checkpoint", "offload", "binomial", "reversible", "inverse"] = Field(
        description="store_all, checkpoint, offload, binomial, reversible or inverse"
    )


class Engine(Settings):
    """How the gradient is obtained, and where."""

    strategy: Literal[
        "auto", "store_all", "checkpoint", "offload", "binomial", "reversible", "inverse", "greedy", "segments"
    ] = "reversible"
    segments: tuple[Segment, ...] = Field(
        (),
        description="what the strategy segments runs, first to last: [{unrolls = 20, strategy = 'checkpoint'}, ...]",
        json_schema_extra=QUIET,
    )
    memory_mb: float | None = Field(
        None,
        gt=0,
        le=1e7,
        description="memory in MB that a pass may take, by which auto plans (default: 0.7 of what is free)",
    )
    objects_at_once: int | None = Field(
        None, ge=1, le=1024, description="objects of a batch that are differentiated together (default: as many as fit)"
    )
    drift_tolerance: float = Field(
        1e-4, gt=0, lt=1, description="largest relative drift of a state that inverse may reconstruct"
    )
    modules: int = Field(4, ge=1, le=100_000, description="modules that greedy trains by losses of their own")
    module_optimisers: Literal["one", "each"] = Field(
        "one",
        description="one: a single optimiser gets the mean of the derivatives of all greedy modules' losses; each: "
        "every module has an optimiser for what only its own unrolls use",
        json_schema_extra=QUIET,
    )
    check_every: int = Field(
        50,
        ge=0,
        description="steps between two checks of the products against differences in double precision; 0: none",
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")
    precision: Literal["float32", "float64"] = "float32"

    @model_validator(mode="after")
    def _some_segments(self) -> Self:
        if self.strategy == "segments" and not self.segments:
            raise SettingsError(
                "the strategy segments was asked for, but engine.segments is empty",
                "list them first to last, for example segments = [{unrolls = 20, strategy = 'checkpoint'}, "
                "{unrolls = 40, strategy = 'reversible'}]",
            )
        return self

    @property
    def strategies(self) -> tuple[str, ...]:
        """Names of the strategies that run, one for every segment."""
        return tuple(part.strategy for part in self.segments) if self.strategy == "segments" else (self.strategy,)


class Training(Settings):
    """The optimisation, of whatever is learned."""

    steps: int = Field(100, ge=0, le=1_000_000, description="number of optimiser steps")
    batch: int = Field(2, ge=1, le=1024, description="objects per step")
    learning_rate: float = Field(0.03, gt=0, le=10, description="Adam's step on drive levels in [0, 1]")
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="the learning rate stays, or falls to a tenth over the run"
    )
    validate_every: int = Field(10, ge=1, description="steps between two scores on the held-out objects")
    save_every_s: float = Field(60.0, gt=0, description="longest time between two saves in seconds")
    holdout: float = Field(0.25, gt=0, lt=1, description="share of the sources held out")


class FpmTraining(Training):
    """The optimisation of a design of patterns."""

    model_config = ConfigDict(title="training")

    loss: Literal["complex", "amplitude", "phase"] = "complex"
    margin_px: int = Field(4, ge=0, description="border of an object, in camera pixels, left out of loss and score")


class Images(Settings):
    """What a user says of the images of a data file; left out: what the file says, or the custom of its layout."""

    led_axis: str | None = Field(
        None,
        pattern=r"^(first|last|pages|[A-Z0-9]{1,4})$",
        description="axis of the LEDs: first or last of a .mat file; of a TIFF the letter that its header gives it "
        "(T, Z, C, ...), several where rows and columns of LEDs are axes of their own, the slowest first, or pages to "
        "take the pages as they are stored",
    )
    indices: dict[str, Annotated[int, Field(ge=0)]] | None = Field(
        None, description="place, from 0, on every other axis of a TIFF whose images are meant: indices = {C = 0}"
    )
    bit_depth: int | None = Field(
        None, ge=1, le=32, description="bits that the camera used, where a TIFF stores white as 0"
    )
    values: Literal["intensity", "amplitude"] | None = Field(
        None, description="what a pixel holds: intensity or amplitude (squared when it is read)"
    )
    dark_level: float | None = Field(
        None, gt=-1e9, lt=1e9, description="value of a dark pixel in the file's unit, subtracted"
    )
    exposures: tuple[float, ...] | None = Field(
        None, description="exposure of each image in any unit, in the order of the images; divided out"
    )
    gains: tuple[float, ...] | None = Field(
        None, description="measured brightness of the LED of each image, in the order of the images; divided out"
    )
    stray: tuple[float, ...] | None = Field(
        None, description="measured stray light of each image in units of the open field, subtracted"
    )
    bayer: Literal["RGGB", "BGGR", "GRBG", "GBRG"] | None = Field(
        None, description="colours of the first two pixels of the first row and of the second: RGGB, BGGR, GRBG, GBRG"
    )
    colour: Literal["red", "green", "blue"] | None = Field(
        None, description="colour whose pixels are picked from a Bayer pattern: red, green or blue"
    )

    @model_validator(mode="after")
    def _colour_of_a_pattern(self) -> Self:
        if (self.bayer is None) != (self.colour is None):
            raise ValueError("bayer and colour belong together: state both")
        return self


class DataSource(Settings):
    """Where the objects come from."""

    path: str = Field("sample:objects", description="a file or folder, or sample:objects / sample:stack")
    geometry: str | None = Field(None, description="TOML file with [microscope] and [array], whole or in part")
    images: Images | None = Field(
        None,
        description="what is said of the images; camera_pixel_um of the experiment's geometry is that of picked pixels",
    )
    tile_px: int = Field(32, ge=8, le=4096, description="edge of a training tile in camera pixels")
    pad_px: int = Field(8, ge=0, le=512, description="simulated border around a tile, in camera pixels")
    tiles: int = Field(24, ge=1, le=100_000, description="tiles cut from a measured stack")


class Reconstruct(Settings):
    """How a stack of single-LED images becomes an object."""

    passes: int = Field(20, ge=1, le=10_000, description="passes over all images")
    sequential_passes: int = Field(1, ge=0, le=1000, description="of these, first passes that go LED by LED")
    pupil: Literal["fixed", "zernike", "free"] = Field(
        "zernike", description="the geometry's pupil, Zernike terms beside it, or any pupil inside the aperture"
    )
    zernike_terms: int = Field(15, ge=4, le=66, description="last of the fitted Zernike terms, by Noll's index from 4")
    gain: bool = Field(True, description="fit the brightness of every LED")
    background: bool = Field(True, description="fit the stray light of every image")
    stop_below: float = Field(0.0, ge=0, lt=1, description="stop when a pass lowers the residual by a smaller share")
    pad_px: int | None = Field(
        None, ge=0, le=256, description="free border around the images, in camera pixels (default: the blur's reach)"
    )
    upsampling: int | None = Field(
        None, ge=1, le=64, description="object pixels per camera pixel (default: what the synthetic aperture needs)"
    )
    variance_floor: float = Field(
        1e-5, gt=0, le=1, description="constant under the square roots, in units of the open field"
    )


class Experiment(Settings):
    """What the settings of a run hold whatever it learns; every kind of experiment adds tables of its own."""

    schema_version: int = SCHEMA_VERSION
    kind: str
    name: str = Field("untitled", min_length=1, max_length=120)
    seed: int = Field(0, ge=0, lt=2**31)
    engine: Engine = Engine()
    training: Training = Training()

    may_change: ClassVar[frozenset[str]] = frozenset()
    """Settings of this kind, or whole tables, with which a run may go on when they are changed."""

    @field_validator("schema_version")
    @classmethod
    def _known_version(cls, value: int) -> int:
        if value > SCHEMA_VERSION:
            raise ValueError(
                f"this file has schema version {value}, this program knows up to {SCHEMA_VERSION}; update ptychoui"
            )
        return value

    def of_same_data(self, other: Experiment) -> bool:
        """Whether another experiment is of the same kind and learns from the same data."""
        return self.kind == other.kind

    def located(self, base: Path) -> Self:
        """The experiment with the paths in it taken from the folder ``base``."""
        return self


class FpmExperiment(Experiment):
    """Every setting of a run that learns patterns for a Fourier ptychographic microscope."""

    model_config = ConfigDict(title="experiment")

    kind: Literal["fpm"] = "fpm"
    data: DataSource = DataSource()
    geometry: Geometry | None = None
    measurement: Measurement = Measurement()
    design: Design = Design()
    network: Network = Network()
    training: FpmTraining = FpmTraining()

    # Data may move: their content is compared by its hash. A geometry file is read once, when the run starts.
    may_change: ClassVar[frozenset[str]] = frozenset({"data.path", "data.geometry"})

    def of_same_data(self, other: Experiment) -> bool:
        """Whether another experiment is of the same kind and learns from the same data."""
        return isinstance(other, FpmExperiment) and self.data == other.data

    def located(self, base: Path) -> Self:
        """The experiment with the paths of its data taken from the folder ``base``."""

        def absolute(text: str) -> str:
            return text if text.startswith("sample:") or Path(text).is_absolute() else str(base / text)

        data = self.data
        geometry = absolute(data.geometry) if data.geometry else None
        return self.replace(data=data.replace(path=absolute(data.path), geometry=geometry))

    @model_validator(mode="after")
    def _strategy_fits(self) -> Self:
        network, engine = self.network, self.engine
        exact = network.update == "heavy_ball"
        if "reversible" in engine.strategies and network.learns_momentum:
            raise SettingsError(
                "the reversible strategy needs a fixed momentum, that of the update learned_momentum changes",
                "set network.update = 'heavy_ball', or engine.strategy to checkpoint, binomial, offload, inverse, "
                "store_all or greedy",
            )
        if "reversible" in engine.strategies and not exact:
            raise SettingsError(
                "the reversible strategy needs the heavy-ball update: a plain gradient step has no exact inverse",
                "set network.update = 'heavy_ball', or engine.strategy = 'checkpoint'",
            )
        if "inverse" in engine.strategies and exact:
            raise SettingsError(
                "the strategy inverse solves for states that the heavy-ball update undoes exactly",
                "set engine.strategy = 'reversible', or network.update to gradient or nesterov",
            )
        if engine.strategy == "greedy" and engine.modules > network.unrolls:
            raise SettingsError(
                f"{network.unrolls} unrolls cannot be cut into {engine.modules} greedy modules",
                f"set engine.modules to {network.unrolls} or less",
            )
        total = sum(part.unrolls for part in engine.segments)
        if engine.strategy == "segments" and total != network.unrolls:
            raise SettingsError(
                f"the segments of the engine add up to {total} unrolls, the network has {network.unrolls}",
                f"let the unrolls of engine.segments add up to network.unrolls = {network.unrolls}",
            )
        return self


@dataclass(frozen=True, slots=True)
class Metric:
    """What a result is scored by.

    Attributes
    ----------
    name, label, unit
        As files, people and axes call it.
    worthless
        Value of a result that shows nothing; larger ones are worse. None where there is no such value.
    """

    name: str
    label: str
    unit: str = ""
    worthless: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """An imaging system that something can be learned for.

    Attributes
    ----------
    name, title
        As files and people call it.
    settings
        Its experiment.
    metrics
        What its results are scored by, the one that decides first.
    module
        Where ``build_task`` of the kind is: see `training.task`. It is imported when a run begins.
    """

    name: str
    title: str
    settings: type[Experiment]
    metrics: tuple[Metric, ...]
    module: str


KINDS: dict[str, Kind] = {}
"""Every kind that is known, by its name."""


def register(kind: Kind) -> Kind:
    """Make a kind known."""
    KINDS[kind.name] = kind
    return kind


def kind_of(name: Any) -> Kind:
    """The kind of a name.

    Raises
    ------
    SettingsError
        If there is none.
    """
    if name not in KINDS:
        raise SettingsError(f"unknown kind of experiment {name!r}", f"known kinds: {', '.join(KINDS)}")
    return KINDS[name]


register(
    Kind(
        name="fpm",
        title="Fourier ptychography",
        settings=FpmExperiment,
        metrics=(
            Metric("complex_error", "complex error", worthless=1.0),
            Metric("amplitude_error", "amplitude error", worthless=1.0),
            Metric("phase_error_rad", "phase error", "rad"),
        ),
        module="ptychoui.tasks.fpm.task",
    )
)


def blank_experiment() -> FpmExperiment:
    """Every setting at its default."""
    nothing: dict[str, Any] = {}
    return FpmExperiment(**nothing)


PathLike = Annotated[str | Path, "a file path"]


def read_toml(path: PathLike) -> dict[str, Any]:
    """Read a TOML file in UTF-8, or in UTF-16 or Latin-1; a missing or broken one raises `SettingsError`."""
    try:
        found = text_of(Path(path).read_bytes())
        if found is None:
            hint = "give a text file with settings here; data go with --data"
            raise SettingsError(f"{Path(path).name} is not a valid TOML file: it is no text", hint)
        return tomllib.loads(found[0].replace("\r\n", "\n").replace("\r", "\n"))
    except FileNotFoundError:
        raise SettingsError(f"there is no file {str(path)!r}", "check the path") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{Path(path).name} is not a valid TOML file: {error}", "fix that line") from None
    except OSError as error:
        raise SettingsError(f"cannot read {str(path)!r}: {error.strerror}", "give the path of a TOML file") from None
    except ValueError as error:
        raise SettingsError(f"{str(path)!r} is not a file name: {error}", "check the path") from None


def load_experiment(path: PathLike) -> Experiment:
    """Read an experiment from TOML, or the example of that name; paths in it are relative to the file.

    Paths in an example that came with the program are relative to where it is used: its data do not come with it.
    """
    path = shipped(path, "experiments")
    table = read_toml(path)
    if not table:
        raise SettingsError(f"{path.name} is empty", "say at least where the data are: [data] path = ...")
    if "microscope" in table:
        raise SettingsError(f"{path.name} is a geometry, not an experiment", "give it with --geometry")
    base = path.resolve().parent
    if base == (resources() / "experiments").resolve():
        base = Path.cwd()
    return experiment_of(table).located(base)


def for_microscopes(experiment: Experiment) -> FpmExperiment:
    """The experiment, where it learns patterns for a Fourier ptychographic microscope.

    Raises
    ------
    SettingsError
        If it is of another kind.
    """
    if not isinstance(experiment, FpmExperiment):
        raise SettingsError(
            f"{experiment.name!r} is an experiment of kind {experiment.kind!r}, which has no microscope",
            "give one of kind 'fpm'",
        )
    return experiment


def load_geometry(path: PathLike) -> Geometry:
    """Read a geometry file with the tables ``[microscope]`` and ``[array]``, or the example of that name."""
    path = shipped(path, "geometries")
    try:
        return Geometry(**read_toml(path))
    except PtychouiError as error:
        message = error.message if path.name in error.message else f"{path.name}: {error.message}"
        raise type(error)(message, error.hint) from None


def experiment_of(table: dict[str, Any]) -> Experiment:
    """The experiment that a table of settings describes, of this schema or an older one.

    Raises
    ------
    SettingsError
        If its kind is unknown, or a setting is.
    """
    table = migrate(table)
    return kind_of(table["kind"]).settings(**table)


def migrate(table: dict[str, Any]) -> dict[str, Any]:
    """Bring the table of an older file to the present schema.

    Files of version 1, and those that people write without a version, name no kind: they learn patterns for a Fourier
    ptychographic microscope.
    """
    if table.get("schema_version", 1) in (1, SCHEMA_VERSION):
        return {"kind": "fpm"} | table | {"schema_version": SCHEMA_VERSION}
    return {"kind": "fpm"} | table


def to_toml(settings: Settings) -> str:
    """Write settings as TOML that `load_experiment` or `load_geometry` reads back to an equal value."""
    table = _plain(_without_quiet(settings, settings.model_dump(mode="json", exclude_none=True)))
    # What every kind has comes after what is learned from what.
    return tomli_w.dumps(table | {last: table.pop(last) for last in ("engine", "training") if last in table})


def _without_quiet(settings: Settings, table: dict[str, Any]) -> dict[str, Any]:
    """The table of some settings without those that are `QUIET` and have their default."""
    kept = {}
    for name, value in table.items():
        field, inner = type(settings).model_fields[name], getattr(settings, name)
        if field.json_schema_extra == QUIET and inner == field.get_default(call_default_factory=True):
            continue
        kept[name] = _without_quiet(inner, value) if isinstance(inner, Settings) else value
    return kept


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
