"""Designs that nobody learned: starting points and baselines. NumPy only.

Rows come in two bands: the first ``bright_field_rows`` light bright-field LEDs only, the others dark-field LEDs only.
Within a row the brightest LED runs at full level, because a camera needs light and an LED cannot give more; `dimmed`
then lowers the rows that would saturate the camera. Where the array cannot show every level, `drive_levels` says what
it shows of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ptychoui.design.drive_levels import longest_frames, shown_levels
from ptychoui.errors import SettingsError
from ptychoui.optics.geometry.led_array import LedArray
from ptychoui.settings import Design, Measurement

FloatArray = NDArray[np.float64]


def band_masks(design: Design, leds: LedArray, objective_na: float) -> NDArray[np.bool_]:
    """Which LEDs each row may light: (M, L) bool.

    LEDs within ``guard_na`` of the objective NA stay dark: a small misalignment would move them between bands.

    Raises
    ------
    SettingsError
        If a band that has rows has no LED.
    """
    radius = leds.radius_na
    bright = radius < objective_na - design.guard_na
    dark = radius >= objective_na + design.guard_na
    for rows, band, name in (
        (design.bright_field_rows, bright, "bright"),
        (design.dark_field_rows, dark, "dark"),
    ):
        if rows and not band.any():
            raise SettingsError(
                f"{rows} {name}-field rows are asked for, but no LED lies in the {name} field",
                "check the array's height, pitch and shift"
                + (", or set design.dark_field_rows = 0" if name == "dark" else " and the objective's NA"),
            )
    return np.concatenate([np.tile(bright, (design.bright_field_rows, 1)), np.tile(dark, (design.dark_field_rows, 1))])


def normalised(levels: FloatArray) -> FloatArray:
    """Scale every row so that its brightest LED is at level 1."""
    largest = levels.max(1, keepdims=True)
    return np.asarray(np.divide(levels, largest, out=np.zeros_like(levels), where=largest > 0))


def brightest_open_field(measurement: Measurement) -> float:
    """Largest open field of a row, in units of one LED at unit exposure: four fifths of the full well."""
    return 0.8 * measurement.full_well / measurement.photons_per_led


def dimmed(
    levels: FloatArray,
    exposures: FloatArray,
    leds: LedArray,
    objective_na: float,
    measurement: Measurement,
    design: Design | None = None,
) -> FloatArray:
    """Dim the rows that would saturate the camera where there is no object.

    Only bright-field LEDs count: dark-field LEDs send no direct light. (M, L) levels in and out. Of a ``design`` that
    limits what is shown nothing is dimmed, for its frames are shortened instead: see `drive_levels`.
    """
    if design is not None and design.limits_levels:
        return levels
    open_field = exposures * (levels * leds.gain * leds.bright_field(objective_na)).sum(1)
    limit = brightest_open_field(measurement)
    return np.asarray(levels * np.minimum(1, limit / np.maximum(open_field, 1e-12))[:, None])


def shown_design(
    levels: FloatArray,
    exposures: FloatArray,
    design: Design,
    measurement: Measurement,
    leds: LedArray,
    objective_na: float,
) -> tuple[FloatArray, FloatArray]:
    """Levels (M, L) that an experiment's LED array shows, and frame times (M,), of any: see `drive_levels`.

    Rows without light get an LED of their band; levels beyond their band, as other designs have them, are shown, too.
    """
    if not design.limits_levels:
        return levels, exposures
    mask = band_masks(design, leds, objective_na) | (levels > 0)
    light, brightest = leds.gain * leds.bright_field(objective_na), brightest_open_field(measurement)
    shown = shown_levels(levels, mask, design, light, brightest)
    longest = longest_frames(shown, light, brightest, design.minimum_exposure)
    return shown, np.minimum(exposures, longest)


def dense_random(design: Design, leds: LedArray, objective_na: float, rng: np.random.Generator) -> FloatArray:
    """Uniform random levels on every LED of the row's band, normalised (Kellman et al. 2019)."""
    mask = band_masks(design, leds, objective_na)
    return normalised(rng.uniform(size=mask.shape) * mask)


def random_partition(design: Design, leds: LedArray, objective_na: float, rng: np.random.Generator) -> FloatArray:
    """Each band's LEDs dealt at random to its rows, every LED once (Tian et al. 2014)."""
    mask = band_masks(design, leds, objective_na)
    levels = np.zeros(mask.shape)
    for rows in _band_rows(design):
        _deal(levels, rows, np.flatnonzero(mask[rows[0]]), rng)
    return levels


def hybrid(design: Design, leds: LedArray, objective_na: float, rng: np.random.Generator) -> FloatArray:
    """Half circles in the bright field as in DPC, a random partition of the dark field (Tian et al. 2015).

    With fewer than four bright-field rows the halves are taken in the order top, left, bottom, right; more rows turn
    the half circle in equal steps.
    """
    mask = band_masks(design, leds, objective_na)
    levels = np.zeros(mask.shape)
    x, y = leds.illumination_na.T
    rows = design.bright_field_rows
    for row in range(rows):
        turn = 2 * np.pi * row / 4 if rows <= 4 else 2 * np.pi * row / rows
        side = -np.sin(turn) * x + np.cos(turn) * y
        levels[row] = mask[row] & (side > 1e-9)
    for band in _band_rows(design):
        if band[0] >= rows:
            _deal(levels, band, np.flatnonzero(mask[band[0]]), rng)
    return levels


def half_circles(design: Design, leds: LedArray, objective_na: float, rng: np.random.Generator) -> FloatArray:
    """DPC alone: every row a bright-field half circle, turned in equal steps; no dark field is measured."""
    only = design.replace(bright_field_rows=design.rows, dark_field_rows=0)
    return hybrid(only, leds, objective_na, rng)


def singles(design: Design, leds: LedArray, objective_na: float, rng: np.random.Generator) -> FloatArray:
    """One random LED per row, all different while the band lasts."""
    mask = band_masks(design, leds, objective_na)
    levels = np.zeros(mask.shape)
    for rows in _band_rows(design):
        places = np.flatnonzero(mask[rows[0]])
        chosen = rng.permutation(places)
        for position, row in enumerate(rows):
            levels[row, chosen[position % len(chosen)]] = 1
    return levels


STARTS: dict[str, Callable[[Design, LedArray, float, np.random.Generator], FloatArray]] = {
    "dense_random": dense_random,
    "random_partition": random_partition,
    "hybrid": hybrid,
    "half_circles": half_circles,
    "singles": singles,
}


def divided(design: Design, rows: int, leds: LedArray, objective_na: float) -> Design:
    """The design with so many rows, half of them in the bright field, but at most four; all without dark-field LEDs.

    The total exposure is one frame for each row.
    """
    dark = bool((leds.radius_na >= objective_na + design.guard_na).any())
    bright = min(4, max(1, rows // 2)) if dark else rows
    return design.replace(bright_field_rows=bright, dark_field_rows=rows - bright, total_exposure=None)


UNTIL_CHOSEN = "hybrid"
"""What an experiment that leaves its start to the program shows until the best is found."""


def sequential(leds: LedArray) -> FloatArray:
    """One LED after the other: the full stack, the ceiling of every design. (L, L)."""
    return np.eye(len(leds))


def row_names(design: Design) -> tuple[str, ...]:
    """Names of the rows."""
    return tuple(f"bright field {i + 1}" for i in range(design.bright_field_rows)) + tuple(
        f"dark field {i + 1}" for i in range(design.dark_field_rows)
    )


def start_exposures(design: Design) -> FloatArray:
    """(M,) equal frame times that add up to the total exposure."""
    total = design.total_exposure if design.total_exposure is not None else float(design.rows)
    share = total / design.rows
    if share < design.minimum_exposure:
        raise SettingsError(
            f"a total exposure of {total:g} frames leaves {share:g} for each of {design.rows} rows, below the minimum "
            f"of {design.minimum_exposure:g}",
            "raise design.total_exposure or lower design.minimum_exposure",
        )
    return np.full(design.rows, share)


def start_design(
    design: Design, measurement: Measurement, leds: LedArray, objective_na: float, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Levels (M, L) and exposures (M,) of an experiment's start: drawn from its seed, no row saturated.

    Where the design limits what the array can show they are what is learned, not yet `shown_design`.
    """
    levels = STARTS[UNTIL_CHOSEN if design.start == "best" else design.start](
        design, leds, objective_na, np.random.default_rng(seed)
    )
    exposures = start_exposures(design)
    return dimmed(levels, exposures, leds, objective_na, measurement, design), exposures


def _band_rows(design: Design) -> list[list[int]]:
    bands = [list(range(design.bright_field_rows)), list(range(design.bright_field_rows, design.rows))]
    return [band for band in bands if band]


def _deal(levels: FloatArray, rows: list[int], places: NDArray[np.int64], rng: np.random.Generator) -> None:
    """Give every LED of a band to one row; a band with fewer LEDs than rows deals again."""
    dealt = rng.permutation(places)
    while len(dealt) < len(rows):
        dealt = np.concatenate([dealt, rng.permutation(places)])
    for position, place in enumerate(dealt):
        levels[rows[position % len(rows)], place] = 1
