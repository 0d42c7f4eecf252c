"""The microscope and its LED array: what a geometry file holds."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from ptychoui.errors import GeometryError
from ptychoui.settings import led_order
from ptychoui.settings.base import QUIET, Settings


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
