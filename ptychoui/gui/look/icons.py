"""Icons from resources/icons, drawn in the text colour of the theme."""

from __future__ import annotations

from functools import cache

from PyQt6.QtCore import QByteArray, QRectF, Qt
from PyQt6.QtGui import QColor, QIcon, QPainter, QPixmap
from PyQt6.QtSvg import QSvgRenderer

from ptychoui.gui.look.theme import blend, colours
from ptychoui.paths import resources

SIZES = (16, 20, 24, 32, 48, 64)


def icon(name: str, colour: str | None = None) -> QIcon:
    """Icon of that name; an empty one where the file is missing, so that a broken install still starts."""
    c = colours()
    ink = colour or c.text
    return _drawn(name, ink, blend(ink, c.window, 0.65))


@cache
def _drawn(name: str, ink: str, faded: str) -> QIcon:
    """The icon in two colours, drawn once for all windows."""
    try:
        svg = (resources() / "icons" / f"{name}.svg").read_text(encoding="utf-8")
    except OSError:
        return QIcon()
    result = QIcon()
    for mode, tone in ((QIcon.Mode.Normal, ink), (QIcon.Mode.Disabled, faded)):
        renderer = QSvgRenderer(QByteArray(svg.replace("#000", tone).encode()))
        for size in SIZES:
            result.addPixmap(_draw(renderer, size), mode)
    return result


def _draw(renderer: QSvgRenderer, size: int) -> QPixmap:
    pixmap = QPixmap(size, size)
    pixmap.fill(QColor(Qt.GlobalColor.transparent))
    painter = QPainter(pixmap)
    renderer.render(painter, QRectF(0, 0, size, size))
    painter.end()
    return pixmap
