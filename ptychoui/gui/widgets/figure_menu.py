"""The menu of every plot and drawing: copy and save what is shown, and the numbers behind it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PyQt6.QtCore import QBuffer, QEvent, QIODevice, QObject, QPoint, QRectF, Qt
from PyQt6.QtGui import QContextMenuEvent, QGuiApplication, QMouseEvent, QPainter, QPixmap
from PyQt6.QtSvg import QSvgGenerator
from PyQt6.QtWidgets import QApplication, QMenu, QWidget

from ptychoui.data.files import check_parent, write_atomic
from ptychoui.data.tiff_values import tiff_of
from ptychoui.errors import DataError, PtychouiError
from ptychoui.gui.widgets.files import Files
from ptychoui.gui.widgets.notices import notices

PICTURES = "PNG (*.png);;SVG, sharp at any size (*.svg)"
TABLES = "CSV (*.csv)"
MAPS = "TIFF, values as they are (*.tif);;CSV (*.csv)"
SHARPER = 2
"""Pixels of a saved picture for each one of the screen."""
COUNTS = ("step", "pass", "unrolls", "frames", "pattern", "number of images")
"""Axes that count something: they have no unit."""


@dataclass(frozen=True, slots=True)
class Table:
    """Columns under names with their units, row by row."""

    header: tuple[str, ...]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Map:
    """Values (row, column) with the edge of a pixel in a unit, and what they are."""

    values: NDArray[np.floating]
    pixel: float
    unit: str
    meaning: str


Numbers = Callable[[], Table | Map | None]
"""What is drawn at this moment; None while there is nothing."""


class FigureMenu(QObject):
    """The menu of one plot or drawing, at a right click or the menu key.

    Parameters
    ----------
    figure
        What is copied and saved.
    title
        Names the files, and the figure to screen readers where nothing else does.
    numbers
        What is drawn; of a plot its curves, where nothing is given.
    fit
        Shows all of it again.
    more
        Adds what else the menu is to offer.
    """

    def __init__(
        self,
        figure: QWidget,
        title: str,
        numbers: Numbers | None = None,
        fit: Callable[[], object] | None = None,
        more: Callable[[QMenu], object] | None = None,
    ) -> None:
        super().__init__(figure)
        self.figure, self.title, self._fit, self._more = figure, title, fit, more
        self._pressed_at = QPoint()
        self.numbers: Numbers = numbers if numbers is not None else lambda: curves_of(figure)
        if not figure.accessibleName():
            figure.setAccessibleName(title)
        for watched in {figure, getattr(figure, "viewport", lambda: figure)()}:
            watched.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """A menu at the menu key, and at a right click that drags nothing: such a drag zooms."""
        if isinstance(event, QContextMenuEvent):
            if event.reason() == QContextMenuEvent.Reason.Keyboard:
                self.open(self.figure.mapToGlobal(self.figure.rect().center()))
            return True
        if isinstance(event, QMouseEvent) and event.button() == Qt.MouseButton.RightButton:
            at = event.globalPosition().toPoint()
            if event.type() == QEvent.Type.MouseButtonPress:
                self._pressed_at = at
            elif event.type() == QEvent.Type.MouseButtonRelease:
                if (at - self._pressed_at).manhattanLength() < QApplication.startDragDistance():
                    self.open(at)
        return super().eventFilter(watched, event)

    def open(self, at: QPoint) -> QMenu:
        """Show the menu at a point of the screen."""
        menu, there = QMenu(self.figure), self.numbers() is not None
        entries: list[tuple[str, Callable[[], object], bool]] = [
            ("&Copy picture", self.copy_picture, True),
            ("Save &picture…", self.save_picture, True),
            ("Save &values…", self.save_values, there),
        ]
        if self._fit is not None:
            entries.append(("&Fit", self._fit, True))
        for text, do, possible in entries:
            action = menu.addAction(text)
            if action is not None:
                action.setEnabled(possible)
                action.triggered.connect(lambda _=False, do=do: do())
        if self._more is not None:
            menu.addSeparator()
            self._more(menu)
        menu.aboutToHide.connect(menu.deleteLater)
        menu.popup(at)
        return menu

    def copy_picture(self) -> None:
        """Put the figure as it is shown on the clipboard."""
        copy(self.figure)

    def save_picture(self) -> None:
        """Write the figure as it is shown to a PNG or SVG file."""
        save_picture(self.figure, self.title)

    def save_values(self) -> None:
        """Write the numbers to a CSV file; those of a map to a TIFF file, too."""
        numbers = self.numbers()
        if numbers is None:
            return
        start, kinds = (".tif", MAPS) if isinstance(numbers, Map) else (".csv", TABLES)
        name = Files.to_save(self.figure, "Save values", file_name(self.title) + start, kinds)
        if name:
            save(Path(name), lambda path: numbers_as(numbers, path.suffix.lower().removeprefix(".")))


def curves_of(figure: Any) -> Table | None:
    """Every point of every curve that a plot shows, under the labels of its axes."""
    if not _plotted(figure):
        return None
    item = figure.getPlotItem()
    rows: list[tuple[Any, ...]] = []
    for place, curve in enumerate(c for c in item.listDataItems() if isinstance(c, pg.PlotDataItem)):
        x, y = curve.getOriginalDataset()
        if x is None or not curve.isVisible():
            continue
        name = curve.name() or f"curve {place + 1}"
        rows += [(name, float(a), float(b)) for a, b in zip(x, y, strict=True)]
    labels = (with_unit(item.getAxis(side).labelText or usual) for side, usual in (("bottom", "x"), ("left", "y")))
    return Table(("curve", *labels), rows) if rows else None


def _plotted(figure: Any) -> bool:
    return isinstance(figure, pg.PlotWidget)


def with_unit(label: str) -> str:
    """The name of an axis as that of a column: what has no unit says so."""
    return label if "(" in label or label in COUNTS else f"{label} (no unit)"


def numbers_as(numbers: Table | Map, kind: str) -> bytes:
    """A table as csv; a map as csv or tif, with the edge of its pixels.

    Raises
    ------
    DataError
        If they cannot be written as that kind.
    """
    if kind == "csv":
        return _csv_of(numbers)
    if isinstance(numbers, Map) and kind in ("tif", "tiff"):
        return tiff_of(np.asarray(numbers.values, np.float32), numbers.pixel, unit=numbers.unit)
    possible = ".tif or .csv" if isinstance(numbers, Map) else ".csv"
    raise DataError(f"values cannot be written as {kind or 'a file without an ending'}", f"use {possible}")


def _csv_of(numbers: Table | Map) -> bytes:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    if isinstance(numbers, Map):
        text.write(f"# {numbers.meaning}; rows run down; edge of a pixel {numbers.pixel:.6g} {numbers.unit}\n")
        rows: Iterable[Sequence[Any]] = numbers.values
    else:
        table.writerow(numbers.header)
        rows = numbers.rows
    for row in rows:
        table.writerow([f"{value:.9g}" if isinstance(value, float | np.floating) else value for value in row])
    return text.getvalue().encode()


def file_name(title: str) -> str:
    """A title as the name of a file, without its ending."""
    words = "".join(letter if letter.isalnum() else " " for letter in title.lower()).split()
    return "-".join(words) or "figure"


def copy(figure: QWidget) -> None:
    """Put a figure as it is shown on the clipboard."""
    clipboard = QGuiApplication.clipboard()
    if clipboard is not None:
        clipboard.setPixmap(sharp(figure))
        notices().told.emit("info", "The picture is on the clipboard", "")


def save_picture(figure: QWidget, title: str) -> None:
    """Write a figure as it is shown to a PNG or SVG file that somebody names."""
    name = Files.to_save(figure, "Save picture", f"{file_name(title)}.png", PICTURES)
    if name:
        path = Path(name)
        path = path if path.suffix.lower() in (".png", ".svg") else path.with_name(path.name + ".png")
        save(path, lambda path: svg_of(figure, title) if path.suffix.lower() == ".svg" else png_of(sharp(figure)))


def sharp(figure: QWidget) -> QPixmap:
    """A figure with more pixels than the screen has for it."""
    if SHARPER <= figure.devicePixelRatioF():
        return figure.grab()
    pixmap = QPixmap(figure.size() * SHARPER)
    pixmap.setDevicePixelRatio(SHARPER)
    pixmap.fill(figure.palette().color(figure.backgroundRole()))
    QWidget.render(figure, pixmap)
    return pixmap


def png_of(pixmap: QPixmap) -> bytes:
    """A pixmap as a PNG file."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    pixmap.save(buffer, "PNG")
    return bytes(buffer.data().data())


def svg_of(figure: Any, title: str) -> bytes:
    """A figure as an SVG file: lines and letters, where it is not itself an image."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    drawing = QSvgGenerator()
    drawing.setOutputDevice(buffer)
    drawing.setResolution(figure.logicalDpiX())
    drawing.setSize(figure.size())
    drawing.setViewBox(figure.rect())
    drawing.setTitle(title)
    items = [item for item in figure.scene().items() if hasattr(item, "setExportMode")] if _plotted(figure) else []
    for item in items:  # marks are copied from one picture of all of them otherwise, which an SVG file cannot do
        item.setExportMode(True, {"antialias": True})
    painter = QPainter(drawing)
    if items:  # the widget itself would lay a picture of its ground over all
        painter.fillRect(figure.rect(), figure.backgroundBrush())
        figure.render(painter, QRectF(figure.rect()), figure.viewport().rect())
    else:
        painter.fillRect(figure.rect(), figure.palette().color(figure.backgroundRole()))
        figure.render(painter, QPoint(0, 0))
    painter.end()
    for item in items:
        item.setExportMode(False)
    return bytes(buffer.data().data())


def save(path: Path, content: Callable[[Path], bytes]) -> None:
    """Write a file, and say that it is written or why it is not."""
    try:
        check_parent(path)
        write_atomic(path, content(path))
    except PtychouiError as error:
        notices().told.emit("error", error.message, error.hint)
    else:
        notices().told.emit("info", f"Written to {path}", "")
