"""Patterns as pictures: LEDs at their illumination NA, coloured by level, and a sheet of all of them."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ptychoui.data.files import write_atomic
from ptychoui.design.patterns import PatternSet
from ptychoui.errors import DataError
from ptychoui.export.options import Exported, Options

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHEET_COLUMNS = 4


def write_png(patterns: PatternSet, folder: Path, options: Options) -> Exported:
    """Write one picture per pattern and ``contact_sheet.png`` into a folder, which is made if need be."""
    from matplotlib.figure import Figure

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make the folder {str(folder)!r}: {error.strerror}", "choose another folder") from None
    paths = []
    for row, name in enumerate(patterns.row_names):
        figure = Figure(figsize=(6.4, 5.4), dpi=120, layout="constrained")
        axes = figure.add_subplot()
        dots = _draw(axes, patterns, row)
        axes.set_xlabel("illumination NA, x")
        axes.set_ylabel("illumination NA, y")
        figure.colorbar(dots, ax=axes, label="drive level")
        slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:60] or "pattern"
        paths.append(_save(figure, folder / f"{row + 1:02d}_{slug}.png"))
    return Exported(paths=(*paths, _contact_sheet(patterns, folder)))


def _contact_sheet(patterns: PatternSet, folder: Path) -> Path:
    """All patterns on one sheet with a common colour scale."""
    count = len(patterns.levels)
    columns = min(count, SHEET_COLUMNS)
    rows = math.ceil(count / columns)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.9 * columns + 1.0, 3.1 * rows + 0.5), dpi=100, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    dots: Any = None
    for place, axes in enumerate(grid.flat):
        if place < count:
            dots = _draw(axes, patterns, place)
            axes.tick_params(labelsize=7)
        else:
            axes.set_axis_off()
    figure.colorbar(dots, ax=grid, label="drive level")
    figure.suptitle(f"{patterns.name}: {count} patterns, axes in illumination NA")
    return _save(figure, folder / "contact_sheet.png")


def _draw(axes: Any, patterns: PatternSet, row: int) -> Any:
    """Draw one pattern: a dot per LED, the circle of the objective's NA, and a title with the numbers."""
    x, y = patterns.illumination_na.T
    na = patterns.geometry.microscope.objective_na
    reach = 1.08 * max(na, float(np.hypot(x, y).max()))
    level = patterns.levels[row]
    size = max(4.0, min(60.0, 6000 / len(x)))
    axes.set_facecolor("0.08")
    axes.scatter(x, y, s=size, facecolors="none", edgecolors="0.35", linewidths=0.5)
    lit = level > 0
    dots = axes.scatter(
        x[lit], y[lit], s=size, c=level[lit], cmap="inferno", vmin=0, vmax=1, edgecolors="0.6", linewidths=0.5
    )
    from matplotlib.patches import Circle

    axes.add_patch(Circle((0, 0), na, fill=False, edgecolor="tab:cyan", linewidth=1.2))
    axes.annotate(f"NA {na:g}", (0, na), color="tab:cyan", fontsize=7, ha="center", va="bottom")
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    exposure = float(patterns.exposures[row])
    axes.set_title(f"{patterns.row_names[row]}\n{int(lit.sum())} LEDs, exposure {exposure:.3g} frames", fontsize=9)
    return dots


def _save(figure: Figure, path: Path) -> Path:
    """Render without pyplot, which would keep every figure alive."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    def write(file: BinaryIO) -> None:
        FigureCanvasAgg(figure).print_png(file)

    return write_atomic(path, write)
