"""A rectangle in an image and what is in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Region:
    """Rows and columns of an image, as far as it has them: first and number of each."""

    row: int
    column: int
    rows: int
    columns: int

    @classmethod
    def inside(cls, top: float, left: float, height: float, width: float, shape: tuple[int, int]) -> Region:
        """The pixels that a rectangle in pixel coordinates covers by more than half, of an image of (row, column)."""
        first = [max(0, round(value)) for value in (top, left)]
        last = [
            min(size, round(value + length))
            for value, length, size in zip((top, left), (height, width), shape, strict=True)
        ]
        return cls(first[0], first[1], max(0, last[0] - first[0]), max(0, last[1] - first[1]))

    def of(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The part of an image (row, column)."""
        return image[self.row : self.row + self.rows, self.column : self.column + self.columns]

    def text(self, image: NDArray[np.float32], pixel_um: float | None) -> str:
        """Its size and the statistics of its pixels of an image (row, column), in one line."""
        size = f"{self.columns} × {self.rows} px"
        if pixel_um:
            size += f", {self.columns * pixel_um:.3g} × {self.rows * pixel_um:.3g} µm"
        values = self.of(image)
        values = values[np.isfinite(values)]
        if not values.size:
            return f"{size}: no values"
        mean, deviation = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
        return f"{size}: mean {mean:.4g} ± {deviation:.2g}, {values.min():.4g} to {values.max():.4g}"
