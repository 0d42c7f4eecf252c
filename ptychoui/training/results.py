"""What a run ends with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Result(Protocol):
    """What was learned, complete for export; which exporters there are goes by its type: see `export.results`."""

    @property
    def name(self) -> str:
        """What to call it."""

    @property
    def record(self) -> Mapping[str, Any]:
        """Settings, seed, steps, versions and data hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedArrays:
    """Learned numbers that need no more than their names: weights, kernels, masks.

    Attributes
    ----------
    arrays
        Name -> array of any shape.
    """

    name: str
    arrays: Mapping[str, NDArray[np.generic]]
    record: Mapping[str, Any]
