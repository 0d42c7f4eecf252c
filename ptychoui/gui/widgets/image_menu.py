"""The menu of an image: copy and save what is shown, save its values, mark a region."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PyQt6.QtCore import QPoint
from PyQt6.QtWidgets import QMenu

from ptychoui.data.tiff_values import tiff_of
from ptychoui.errors import DataError
from ptychoui.gui.widgets import figure_menu
from ptychoui.gui.widgets.files import Files

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
    figure_menu.copy(panel)


def save_picture(panel: ImagePanel) -> None:
    """Write the picture as it is shown to a PNG or SVG file."""
    figure_menu.save_picture(panel, panel.title or "image")


def save_values(panel: ImagePanel) -> None:
    """Write the values, those of the region if there is one, to a TIFF, NumPy or CSV file."""
    if panel.image is None:
        return
    name = Files.to_save(panel, "Save values", f"{figure_menu.file_name(panel.title or 'image')}.tif", VALUES)
    if not name:
        return
    values = panel.image if panel.region is None else panel.region.of(panel.image)
    pixel, title = panel.pixel_um, panel.title
    figure_menu.save(Path(name), lambda path: values_as(values, path.suffix.lower().removeprefix("."), pixel, title))


def values_as(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float32]], kind: str, pixel_um: float | None, title: str = ""
) -> bytes:
    """Values of shape (row, column) as a file of a kind: tif with the size of a pixel in um, npy or csv.

    The first line of a csv says what the values are, under the title of the image, and how large a pixel is.

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
        edge = f"edge of a pixel {pixel_um:.6g} um" if pixel_um else "size of a pixel not known"
        head = f"# {with_unit(title)}; rows run down; {edge}\n"
        return (head + "".join(",".join(f"{value:.9g}" for value in row) + "\n" for row in values)).encode()
    raise DataError(f"values cannot be written as {kind or 'a file without an ending'}", "use .tif, .npy or .csv")


def with_unit(title: str) -> str:
    """The title of an image with the unit of its values: phases are in rad, all others have none."""
    if "(" in title or "rad" in title.split():
        return title
    return f"{title or 'values'} ({'rad' if 'phase' in title.lower() else 'no unit'})"
