"""Small microscopes and arrays for tests, and random objects on their grids."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ptychoui.optics.forward.data_term import DataTerm
from ptychoui.optics.forward.model import FourierPtychography
from ptychoui.optics.geometry.led_array import LedArray, led_array
from ptychoui.optics.geometry.microscope import Sampling, sampling
from ptychoui.settings import Array, Microscope

SCOPE: dict[str, Any] = {"wavelength_um": 0.5, "objective_na": 0.2, "magnification": 10.0, "camera_pixel_um": 5.0}
LATTICE: dict[str, Any] = {"kind": "lattice", "rows": 3, "columns": 3, "pitch_mm": 5.0, "height_mm": 40.0}
ABERRATED: dict[str, Any] = {"defocus_um": 3.0, "zernike_waves": {5: 0.07, 7: -0.05, 11: 0.04, 2: 0.1}}


def make(
    scope: dict[str, Any] | None = None, tile_px: int = 12, pad_px: int = 2, **array: Any
) -> tuple[Microscope, LedArray, Sampling]:
    """Microscope, LEDs and grids; keywords change the array."""
    microscope = Microscope(**(SCOPE | (scope or {})))
    kind = array.get("kind", "lattice")
    leds = led_array(Array(**((LATTICE if kind == "lattice" else {"height_mm": 40.0}) | array)))
    return microscope, leds, sampling(microscope, leds, tile_px, pad_px)


def objects(grids: Sampling, batch: int = 1, seed: int = 0) -> np.ndarray:
    """(B, N, N) complex noise about one: every frequency is present."""
    rng = np.random.default_rng(seed)
    shape = (batch, grids.object_px, grids.object_px)
    return 1 + 0.3 * rng.normal(size=shape) + 0.3j * rng.normal(size=shape)


def physics(setup: tuple[Microscope, LedArray, Sampling], dtype: torch.dtype = torch.float64) -> FourierPtychography:
    return FourierPtychography(*setup, dtype=dtype)


def data_term(grids: Sampling, leds: int, rows: int = 3, batch: int = 2, seed: int = 1) -> DataTerm:
    """Random weights, offsets and amplitudes that fit no object."""
    rng = np.random.default_rng(seed)
    tile = grids.tile_px
    return DataTerm(
        weights=torch.from_numpy(rng.random((rows, leds))),
        offset=torch.from_numpy(0.1 * rng.random(rows)),
        amplitude=torch.from_numpy(0.5 + rng.random((batch, rows, tile, tile))),
        variance_floor=0.02,
    )


def relative(found: Any, expected: Any) -> float:
    """Largest deviation relative to the largest expected value."""
    found, expected = np.asarray(found), np.asarray(expected)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


FIGURES: dict[str, float] = {}
"""What tests measured, printed at the end of a run: the largest of each kind."""


def figure(name: str, value: float) -> float:
    """Note a deviation under a name and hand it back."""
    FIGURES[name] = max(FIGURES.get(name, 0.0), float(value))  # plain: workers hand figures on
    return value


def inner(a: torch.Tensor, b: torch.Tensor) -> float:
    """Re sum conj(a) b."""
    return float((a.conj() * b).sum().real)
