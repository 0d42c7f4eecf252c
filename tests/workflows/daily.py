"""Coded images of a known object, made by the slow reference model: for tests of daily work."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import tifffile
from optics import oracle, spherical

from ptychoui.design.patterns import PatternSet
from ptychoui.export.formats import export_patterns
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.microscope import sampling
from ptychoui.settings import Array, Geometry, Microscope

# Far away, so that the light of every LED is plane, as the simple model has it.
GEOMETRY = Geometry(
    microscope=Microscope(wavelength_um=0.5, objective_na=0.2, magnification=10.0, camera_pixel_um=5.0),
    array=Array(kind="lattice", rows=5, columns=5, pitch_mm=150.0, height_mm=1900.0),
)
LEDS = led_array(GEOMETRY.array)
COUNT = 4
PIXELS = 28
SCALE = 4000.0
"""Camera counts of an image of one LED."""


@cache
def patterns() -> PatternSet:
    """Two halves and two random patterns."""
    rng = np.random.default_rng(1)
    levels = np.zeros((COUNT, len(LEDS)))
    bright = LEDS.bright_field(0.2)
    levels[0] = bright & (LEDS.illumination_na[:, 0] > 1e-6)
    levels[1] = bright & (LEDS.illumination_na[:, 1] > 1e-6)
    levels[2:] = rng.uniform(0.2, 1, (2, len(LEDS)))
    return PatternSet(
        levels=levels,
        exposures=np.array([1.0, 1.0, 0.5, 0.5]),
        led_numbers=LEDS.numbers,
        positions_mm=LEDS.positions_mm,
        illumination_na=LEDS.illumination_na,
        row_names=tuple(f"row {row}" for row in range(COUNT)),
        geometry=GEOMETRY,
        name="four",
    )


@cache
def truth() -> np.ndarray:
    """(row, column) of the object."""
    grids = sampling(GEOMETRY.microscope, LEDS, PIXELS, 0)
    return np.asarray(spherical.smooth_field((grids.object_px,) * 2, grids.object_pixel_um, 0.6))


@cache
def images() -> np.ndarray:
    """(pattern, row, column) in camera counts."""
    grids = sampling(GEOMETRY.microscope, LEDS, PIXELS, 0)
    single = oracle.single_led_images(truth(), GEOMETRY.microscope, LEDS.illumination_na, grids)
    design = patterns()
    weights = design.exposures[:, None] * design.levels * LEDS.gain
    return np.asarray(SCALE * np.tensordot(weights, single, 1), np.float32)


def write_images(path: Path, *frames: np.ndarray) -> Path:
    """A TIFF of uint16 images, one page each."""
    tifffile.imwrite(path, np.round(np.array(frames)).astype(np.uint16), photometric="minisblack")
    return path


def write_design(path: Path) -> Path:
    """The patterns as export writes them."""
    export_patterns(patterns(), "json", path)
    return path
