"""Emulated arrays and designs for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ptychoui.design.patterns import PatternSet
from ptychoui.settings import Geometry

MICROSCOPE = {"wavelength_um": 0.53, "objective_na": 0.1, "magnification": 4.0, "camera_pixel_um": 5.0}


@pytest.fixture
def make_design() -> Callable[..., PatternSet]:
    """``make(levels, **changes)``: a design on a lattice of LEDs numbered from 0."""

    def make(levels: Any, **changes: Any) -> PatternSet:
        levels = np.asarray(levels, dtype=float)
        count = levels.shape[1]
        side = int(np.ceil(np.sqrt(count)))
        place = np.stack(np.divmod(np.arange(count), side)[::-1], axis=1) - (side - 1) / 2
        array = {"kind": "lattice", "rows": side, "columns": side, "pitch_mm": 4.0, "height_mm": 80.0}
        values: dict[str, Any] = {
            "levels": levels,
            "exposures": np.linspace(0.5, 1.5, len(levels)),
            "led_numbers": np.arange(count),
            "positions_mm": np.column_stack([place * 4, np.zeros(count)]),
            "illumination_na": place * 0.05,
            "row_names": tuple(f"row {i + 1}" for i in range(len(levels))),
            "geometry": Geometry(microscope=MICROSCOPE, array=array),  # type: ignore[arg-type]
            "name": "test design",
            "record": {},
        }
        return PatternSet(**values | changes)

    return make
