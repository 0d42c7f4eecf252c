"""What a comparison of designs shows, as files: tables, pictures, curves."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.files import json_text, write_atomic
from ptychoui.errors import DataError
from ptychoui.session.comparison_told import ComparisonHistory, TableRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """(point,) x and y of a design, under its title."""

    title: str
    x: tuple[float, ...]
    y: tuple[float, ...]


def write_result(path: Path, history: ComparisonHistory) -> Path:
    """Write the JSON that `ptychoui bench design` writes.

    Raises
    ------
    DataError
        If nothing is compared yet, or the file cannot be written.
    """
    result = history.result
    if result is None:
        raise DataError("there is no result yet", "wait until all designs are judged once")
    return write_atomic(path, json_text(result) + "\n")


def write_table(path: Path, rows: Sequence[TableRow]) -> Path:
    """Write the table that is shown, with all digits, as CSV.

    Raises
    ------
    DataError
        If nothing is compared yet, or the file cannot be written.
    """
    if not rows:
        raise DataError("there is no table yet", "compare designs first")
    names = list(rows[0].values)
    return _write_csv(path, names, ([row.values[name] for name in names] for row in rows))


def write_curves(path: Path, curves: Sequence[Curve], bottom: str, left: str) -> Path:
    """Write curves as CSV, or as the figure that the name of the file asks for, such as PNG or SVG.

    Raises
    ------
    DataError
        If there are none, or the file cannot be written.
    """
    if not curves:
        raise DataError("there are no curves yet", "compare designs first")
    if path.suffix.lower() == ".csv":
        lines = ([curve.title, x, y] for curve in curves for x, y in zip(curve.x, curve.y, strict=True))
        return _write_csv(path, ["design", bottom, left], lines)
    figure = _figure(8.0, 5.2)
    axes = figure.subplots()
    styles = ("-", "--", ":", "-.")
    marks = "osvDP*Xph"
    for place, curve in enumerate(curves):
        style, mark = styles[place % len(styles)], marks[place % len(marks)]
        axes.plot(curve.x, curve.y, linestyle=style, marker=mark, markersize=5, label=curve.title)
    axes.set_xlabel(bottom)
    axes.set_ylabel(left)
    axes.grid(True, color="#e5e7eb", linewidth=0.8)
    axes.legend(frameon=False)
    return _save(figure, path)


def write_pictures(
    path: Path, images: Mapping[str, NDArray[np.float32]], limits: tuple[float, float], table: NDArray[np.uint8]
) -> Path:
    """Write (row, column) images side by side as they are shown: with these limits and a (256, 3) table of colours.

    Raises
    ------
    DataError
        If there are none, or the file cannot be written.
    """
    if not images:
        raise DataError("there are no pictures yet", "compare designs first")
    from matplotlib.colors import ListedColormap

    columns = math.ceil(math.sqrt(len(images)))
    lines = math.ceil(len(images) / columns)
    figure = _figure(3.2 * columns, 3.5 * lines)
    colours = ListedColormap(table / 255.0)
    axes = np.atleast_1d(figure.subplots(lines, columns)).ravel()
    for place in axes:
        place.set_axis_off()
    for place, (title, image) in zip(axes, images.items(), strict=False):
        shown = place.imshow(image, cmap=colours, vmin=limits[0], vmax=limits[1], interpolation="nearest")
        place.set_title(title.strip(), fontsize=9, wrap=True)
    figure.colorbar(shown, ax=list(axes), fraction=0.03)
    return _save(figure, path)


def _figure(width: float, height: float) -> Any:
    """A figure of so many inches that no window knows of."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Any, path: Path) -> Path:
    kind = path.suffix.lower().lstrip(".") or "png"
    if kind not in ("png", "svg", "pdf"):
        raise DataError(f"figures are not written as {path.suffix}", "give a file name that ends in .png or .svg")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=150)
    return write_atomic(path, buffer.getvalue())


def _write_csv(path: Path, header: Sequence[str], lines: Iterable[Sequence[Any]]) -> Path:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(header)
    table.writerows(lines)
    return write_atomic(path, text.getvalue())
