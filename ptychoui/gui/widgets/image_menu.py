"""The menu of an image: copy and save what is shown, save its values, mark a region."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PyQt6.QtCore import QBuffer, QIODevice, QPoint
from PyQt6.QtGui import QGuiApplication, QPixmap
from PyQt6.QtWidgets import QMenu

from ptychoui.data.files import check_parent, write_atomic
from ptychoui.data.tiff_values import tiff_of
from ptychoui.errors import DataError, PtychouiError
from ptychoui.gui.widgets.files import Files
from ptychoui.gui.widgets.notices import notices

if TYPE_CHECKING:
    from ptychoui.gui.widgets.image_panel import ImagePanel

VALUES = "TIFF, values as they are (*.tif);;NumPy (*.npy);;CSV (*.csv)"


def open_menu(panel: ImagePanel, at: QPoint) -> QMenu:
    """Show the menu of an image panel at a point of the screen."""
    menu = QMenu(panel)
    there = panel.image is not None
    for text, do, possible in (
        ("&Copy picture", lambda: copy_picture(panel), there),
        ("Save &picture…", lambda: save_picture(panel), there),
        ("Save &values…", lambda: save_values(panel), there),
        ("", None, True),
        ("Remove &region" if panel.has_region else "Mark a &region", panel.toggle_region, there),
        ("", None, True),
        ("&Fit", panel.fit, there),
        ("&One to one", panel.actual_size, there),
    ):
        if do is None:
            menu.addSeparator()
            continue
        action = menu.addAction(text)
        if action is not None:
            action.setEnabled(possible)
            action.triggered.connect(lambda _=False, do=do: do())
    menu.aboutToHide.connect(menu.deleteLater)
    menu.popup(at)
    return menu


def copy_picture(panel: ImagePanel) -> None:
    """Put the picture as it is shown, with title and scale bar, on the clipboard."""
    clipboard = QGuiApplication.clipboard()
    if clipboard is not None:
        clipboard.setPixmap(panel.grab())
        notices().told.emit("info", "The picture is on the clipboard", "")


def save_picture(panel: ImagePanel) -> None:
    """Write the picture as it is shown to a PNG file."""
    name = Files.to_save(panel, "Save picture", f"{_name(panel)}.png", "PNG (*.png)")
    if name:
        _write(Path(name).with_suffix(".png"), png_of(panel.grab()))


def save_values(panel: ImagePanel) -> None:
    """Write the values, those of the region if there is one, to a TIFF, NumPy or CSV file."""
    if panel.image is None:
        return
    name = Files.to_save(panel, "Save values", f"{_name(panel)}.tif", VALUES)
    if not name:
        return
    values = panel.image if panel.region is None else panel.region.of(panel.image)
    path = Path(name)
    try:
        content = values_as(values, path.suffix.lower().removeprefix("."), panel.pixel_um)
    except PtychouiError as error:
        notices().told.emit("error", error.message, error.hint)
        return
    _write(path, content)


def png_of(pixmap: QPixmap) -> bytes:
    """A pixmap as a PNG file."""
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    pixmap.save(buffer, "PNG")
    return bytes(buffer.data().data())


def values_as(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]], kind: str, pixel_um: float | None) -> bytes:
    """Values of shape (row, column) as a file of a kind: tif with the size of a pixel, npy or csv.

    Raises
    ------
    DataError
        If the kind is none of these.
    """
    if kind in ("tif", "tiff"):
        return tiff_of(values, pixel_um)
    if kind == "npy":
        file = io.BytesIO()
        np.save(file, values, allow_pickle=False)
        return file.getvalue()
    if kind == "csv":
        return "".join(",".join(f"{value:.9g}" for value in row) + "\n" for row in values).encode()
    raise DataError(f"values cannot be written as {kind or 'a file without an ending'}", "use .tif, .npy or .csv")


def _name(panel: ImagePanel) -> str:
    words = "".join(letter if letter.isalnum() else " " for letter in panel.title.lower()).split()
    return "-".join(words) or "image"


def _write(path: Path, content: bytes) -> None:
    try:
        check_parent(path)
        write_atomic(path, content)
    except PtychouiError as error:
        notices().told.emit("error", error.message, error.hint)
    else:
        notices().told.emit("info", f"Written to {path}", "")
