"""Pictures of images that were made of k-space, for a machine without a screen."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.files import make_folder, write_atomic
from ptychoui.data.kspace_results import KSpaceReconstruction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_EXAMPLES = 16
"""Pictures of so many examples are written."""

MOST_COILS = 8
PLANES = (0.25, 0.5, 0.75)
"""Planes of a volume that are shown, as shares of its first axis."""

FAINT = 0.05
"""The phase of pixels below this share of the brightest is noise, and left dark."""


def write_kspace_figures(folder: str | Path, result: KSpaceReconstruction) -> tuple[Path, ...]:
    """Write magnitude and phase of every image (at most 16) and ``maps.png`` into a folder.

    Raises
    ------
    DataError
        If the folder cannot be made or written.
    """
    folder = make_folder(folder)
    names = result.record.get("names") or [f"example {place}" for place in range(len(result.images))]
    paths = []
    for place, (image, name) in enumerate(zip(result.images[:MOST_EXAMPLES], names, strict=False)):
        slug = re.sub(r"[^a-z0-9]+", "_", str(name).lower()).strip("_")[:60] or "image"
        paths.append(_write(folder / f"{place:02d}_{slug}.png", image_figure(image, str(name))))
    if result.maps is not None:
        paths.append(_write(folder / "maps.png", maps_figure(result.maps[0])))
    return tuple(paths)


def image_figure(image: NDArray[np.complex64], title: str) -> Figure:
    """Magnitude and phase of an image of shape (row, column), or of three planes of one with another axis before."""
    planes = [image] if image.ndim == 2 else [image[int(share * (len(image) - 1))] for share in PLANES]
    rows, columns = planes[0].shape
    figure = _figure(9, 0.3 + len(planes) * (0.4 + 3.3 * rows / columns))
    largest = float(np.quantile(np.abs(image), 0.999)) or 1.0
    for axes, plane in zip(figure.subplots(len(planes), 2, squeeze=False), planes, strict=True):
        magnitude = np.abs(plane)
        phase = np.where(magnitude > FAINT * largest, np.angle(plane), np.nan)
        shown = axes[0].imshow(magnitude, cmap="gray", vmin=0, vmax=largest)
        figure.colorbar(shown, ax=axes[0], shrink=0.8)
        axes[0].set_title("magnitude")
        axes[1].set_facecolor("0.1")
        shown = axes[1].imshow(phase, cmap="twilight", vmin=-np.pi, vmax=np.pi, interpolation="nearest")
        figure.colorbar(shown, ax=axes[1], shrink=0.8)
        axes[1].set_title("phase (rad)")
    figure.suptitle(title)
    return figure


def maps_figure(maps: NDArray[np.complex64]) -> Figure:
    """Magnitude of the first coil maps of shape (coil, *space), of a volume in its middle plane."""
    shown = maps if maps.ndim == 3 else maps[:, maps.shape[1] // 2]
    shown = shown[:MOST_COILS]
    columns = min(len(shown), 4)
    rows = -(-len(shown) // columns)
    figure = _figure(2.6 * columns + 0.8, rows * (0.4 + 2.6 * shown.shape[1] / shown.shape[2]))
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for place, (axes, one) in enumerate(zip(grid.flat, shown, strict=False)):
        picture = axes.imshow(np.abs(one), cmap="gray", vmin=0, vmax=1)
        axes.set_title(f"coil {place}", fontsize=9)
    figure.colorbar(picture, ax=grid, shrink=0.8)
    figure.suptitle("magnitude of the coil maps")
    return figure


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, min(height, 24)), layout="constrained")


def _write(path: Path, figure: Figure) -> Path:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return write_atomic(path, buffer.getvalue())
