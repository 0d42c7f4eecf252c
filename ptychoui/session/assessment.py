"""What can be said of geometry, stack and design before a run. SciPy is imported inside, so this belongs in a job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack
from ptychoui.errors import PtychouiError
from ptychoui.settings import DataSource, Geometry, Measurement

if TYPE_CHECKING:
    from ptychoui.design.feasibility import Feasibility
    from ptychoui.optics.geometry.derived import Derived


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """Derived numbers of a geometry and the feasibility of a design, or the sentence why there are none."""

    geometry: Geometry
    derived: Derived | None = None
    feasibility: Feasibility | None = None
    problem: str = ""
    hint: str = ""


def assess(
    geometry: Geometry,
    levels: NDArray[np.float64] | None,
    exposures: NDArray[np.float64] | None,
    measurement: Measurement,
    data: DataSource | None = None,
    guard_na: float = 0.0,
) -> Assessment:
    """Work out derived numbers, and the feasibility of levels (row, LED) where they are given.

    Tiles of ``data`` and LEDs within ``guard_na`` of the objective NA are assessed too, see `derived_numbers`.
    """
    from ptychoui.design.feasibility import feasibility
    from ptychoui.optics.geometry.derived import derived_numbers
    from ptychoui.optics.geometry.led_array import led_array
    from ptychoui.optics.geometry.microscope import good_padding

    try:
        if data is None:
            derived = derived_numbers(geometry, guard_na=guard_na)
        else:
            derived = derived_numbers(geometry, data.tile_px, guard_na, good_padding(data.tile_px, data.pad_px))
        assessed = None
        if levels is not None and exposures is not None:
            assessed = feasibility(levels, exposures, led_array(geometry.array), geometry, measurement)
    except PtychouiError as error:
        return Assessment(geometry=geometry, problem=error.message, hint=error.hint)
    return Assessment(geometry=geometry, derived=derived, feasibility=assessed)


class Brightness:
    """What the brightness of the open stack's images says of geometries; its images are read once. For a job."""

    def __init__(self) -> None:
        self._of: tuple[ImageStack, NDArray[np.float64]] | None = None

    def warnings(self, stack: ImageStack, geometry: Geometry) -> tuple[str, ...]:
        """Sentences; none where geometry and brightness agree, or where the geometry is impossible."""
        from ptychoui.optics.quality.bright_field import image_means, stack_findings

        if self._of is None or self._of[0] is not stack:
            self._of = None  # the old images are not kept while the new ones are read
            self._of = stack, image_means(stack)
        try:
            return tuple(one.sentence for one in stack_findings(stack, geometry, self._of[1]))
        except PtychouiError:
            return ()
