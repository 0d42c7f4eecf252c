"""What can be said of a geometry and a design before a run. SciPy is imported inside, so this belongs in a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import PtychouiError
from ptychoui.experiment import DataSource, Geometry, Measurement

if TYPE_CHECKING:
    from ptychoui.design.feasibility import Feasibility
    from ptychoui.optics.microscope import Derived


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Derived numbers of a geometry and the feasibility of a design, or the sentence why there are none."""

    geometry: Geometry
    derived: Derived | None = None
    feasibility: Feasibility | None = None
    problem: str = ""
    hint: str = ""


def judge(
    geometry: Geometry,
    levels: NDArray[np.float64] | None,
    exposures: NDArray[np.float64] | None,
    measurement: Measurement,
    data: DataSource | None = None,
    guard_na: float = 0.0,
) -> Judgement:
    """Work out derived numbers, and the feasibility of levels (row, LED) where they are given.

    Tiles of ``data`` and LEDs within ``guard_na`` of the objective NA are judged too, see `derived_numbers`.
    """
    from ptychoui.design.feasibility import feasibility
    from ptychoui.optics.led_array import led_array
    from ptychoui.optics.microscope import derived_numbers, good_padding

    try:
        if data is None:
            derived = derived_numbers(geometry, guard_na=guard_na)
        else:
            derived = derived_numbers(geometry, data.tile_px, guard_na, good_padding(data.tile_px, data.pad_px))
        judged = None
        if levels is not None and exposures is not None:
            judged = feasibility(levels, exposures, led_array(geometry.array), geometry, measurement)
    except PtychouiError as error:
        return Judgement(geometry=geometry, problem=error.message, hint=error.hint)
    return Judgement(geometry=geometry, derived=derived, feasibility=judged)
