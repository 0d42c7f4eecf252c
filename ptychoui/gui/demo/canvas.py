"""Drawing in parts of the screen's height: text that is never cut, pictures, LED arrays. For a screen in a room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPaintDevice, QPainter, QPen, QPixmap, QPolygonF

from ptychoui.gui.look.luts import lut
from ptychoui.gui.look.scale_bar import bar_length_um, length_text
from ptychoui.gui.look.theme import Colours, ramp

KEPT_PICTURES = 160
LEFT, CENTRE, RIGHT = (
    Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter,
    Qt.AlignmentFlag.AlignCenter,
    Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
)
TOP = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop
LEAST_SIZE = 1.2
"""Text is made smaller where it does not fit, down to this share of a hundredth of the height."""


class Kept:
    """Pictures and text sizes that were worked out already, the oldest forgotten first."""

    def __init__(self) -> None:
        self.pixmaps: OrderedDict[tuple[object, ...], tuple[object, QPixmap]] = OrderedDict()
        self.sizes: OrderedDict[tuple[object, ...], float] = OrderedDict()

    def remember(self, key: tuple[object, ...], source: object, pixmap: QPixmap) -> QPixmap:
        """Keep a picture, and what it was made of: its identity is part of the key."""
        self.pixmaps[key] = source, pixmap
        while len(self.pixmaps) > KEPT_PICTURES:
            self.pixmaps.popitem(last=False)
        return pixmap

    def remember_size(self, key: tuple[object, ...], size: float) -> float:
        """Keep the size of a text that fits."""
        self.sizes[key] = size
        while len(self.sizes) > 4 * KEPT_PICTURES:
            self.sizes.popitem(last=False)
        return size


class Canvas:
    """One painting of the screen.

    Parameters
    ----------
    unit
        A hundredth of the height, in device-independent pixels: sizes of text are in it.
    text_scale
        How much larger a person wants text.
    """

    def __init__(
        self, painter: QPainter, size: tuple[float, float], colours: Colours, font: QFont, kept: Kept, text_scale: float
    ) -> None:
        self.painter, self.colours, self.kept = painter, colours, kept
        self.width, self.height = size
        self.unit = min(self.height / 100, self.width / 150)
        self._font, self._text_scale = font, text_scale
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)

    # Text ------------------------------------------------------------------------------------------------

    def font(self, size: float, bold: bool = False) -> QFont:
        """A font whose letters are ``size`` units high, line spacing included."""
        return font_of(self._font, size * self.unit, bold, self.painter.device())

    def text(
        self,
        box: QRectF,
        text: str,
        size: float,
        colour: str = "",
        bold: bool = False,
        align: Qt.AlignmentFlag = LEFT,
    ) -> None:
        """Write text into a box, wrapped between words and smaller where it would not fit."""
        if not text or box.width() < 1 or box.height() < 1:
            return
        self.painter.setFont(self.font(self.fitting(box, text, size, bold), bold))
        self.painter.setPen(QColor(colour or self.colours.text))
        self.painter.drawText(box, int(align | Qt.TextFlag.TextWordWrap), text)

    def fitting(self, box: QRectF, text: str, size: float, bold: bool = False) -> float:
        """The size at which all of a text fits a box; ``size`` where there is room, larger for those who want it."""
        key = text, size, bold, round(box.width()), round(box.height()), self.unit, self._font.family()
        if key in self.kept.sizes:
            return self.kept.sizes[key]
        fits = size * self._text_scale
        while fits > LEAST_SIZE and not self._fits(box, text, fits, bold):
            fits *= 0.95
        return self.kept.remember_size(key, fits)

    def _fits(self, box: QRectF, text: str, size: float, bold: bool) -> bool:
        metrics = QFontMetricsF(self.font(size, bold), self.painter.device())
        flags = int(LEFT | Qt.TextFlag.TextWordWrap)
        needed = metrics.boundingRect(QRectF(0, 0, box.width(), 1e6), flags, text)
        widest = max(metrics.horizontalAdvance(word) for word in text.split() or [""])
        return needed.height() <= box.height() and max(needed.width(), widest) <= box.width() + 0.5

    # Shapes ----------------------------------------------------------------------------------------------

    def plate(self, box: QRectF, colour: str, radius: float = 0.8) -> None:
        """A filled box with round corners."""
        self.painter.setPen(Qt.PenStyle.NoPen)
        self.painter.setBrush(QColor(colour))
        self.painter.drawRoundedRect(box, radius * self.unit, radius * self.unit)

    def line(self, points: Sequence[QPointF], colour: str, width: float) -> None:
        """A line through points; ``width`` in units."""
        pen = QPen(QColor(colour), width * self.unit)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        self.painter.setPen(pen)
        self.painter.setBrush(Qt.BrushStyle.NoBrush)
        self.painter.drawPolyline(QPolygonF(list(points)))

    def dash(self, first: QPointF, last: QPointF, colour: str, width: float) -> None:
        """A dashed line."""
        self.painter.setPen(QPen(QColor(colour), width * self.unit, Qt.PenStyle.DashLine))
        self.painter.drawLine(first, last)

    # Pictures --------------------------------------------------------------------------------------------

    def picture(
        self, box: QRectF, values: NDArray[np.generic], limits: tuple[float, float], colours: str = "gray"
    ) -> QRectF:
        """Draw an array (row, column) as large as fits, its values between two limits; returns where it lies."""
        rows, columns = values.shape
        scale = min(box.width() / columns, box.height() / rows)
        place = QRectF(0, 0, columns * scale, rows * scale)
        place.moveCenter(box.center())
        device = self.painter.device()
        ratio = 1.0 if device is None else device.devicePixelRatioF()
        size = max(1, round(place.width() * ratio)), max(1, round(place.height() * ratio))
        key = (id(values), limits, colours, size)
        found = self.kept.pixmaps.get(key)
        pixmap = found[1] if found else self.kept.remember(key, values, _pixmap(values, limits, colours, size))
        self.painter.drawPixmap(place, pixmap, QRectF(pixmap.rect()))
        return place

    def scale_bar(self, place: QRectF, columns: int, pixel_um: float) -> None:
        """A bar of a round length in the lower right corner of a picture."""
        length_um = bar_length_um(columns * pixel_um)
        length = length_um / (columns * pixel_um) * place.width()
        u = self.unit
        text = length_text(length_um)
        plate = QRectF(0, 0, max(length, 9 * u) + 2 * u, 4.6 * u)
        plate.moveBottomRight(place.bottomRight() - QPointF(u, u))
        self.painter.setPen(Qt.PenStyle.NoPen)
        self.painter.setBrush(QColor(0, 0, 0, 150))
        self.painter.drawRoundedRect(plate, 0.5 * u, 0.5 * u)
        self.painter.setBrush(QColor(255, 255, 255))
        self.painter.drawRect(QRectF(plate.center().x() - length / 2, plate.bottom() - 1.2 * u, length, 0.5 * u))
        self.text(plate.adjusted(0, 0.2 * u, 0, -1.5 * u), text, 2.4, "#ffffff", align=CENTRE)

    def leds(
        self,
        box: QRectF,
        na: NDArray[np.floating],
        levels: NDArray[np.floating],
        objective_na: float = 0.0,
        marked: int = -1,
    ) -> None:
        """Draw an array of LEDs at places (LED, 2) with levels (LED,) from 0 to 1; a circle shows the bright field."""
        side = min(box.width(), box.height())
        device = self.painter.device()
        ratio = 1.0 if device is None else device.devicePixelRatioF()
        pixels = max(1, round(side * ratio))
        shown = np.asarray(levels, np.float32)
        key = ("leds", id(na), shown.tobytes(), objective_na, marked, self.colours, pixels)
        found = self.kept.pixmaps.get(key)
        if found:
            pixmap = found[1]
        else:
            pixmap = self.kept.remember(key, na, self._led_pixmap(na, shown, objective_na, marked, pixels))
        place = QRectF(0, 0, side, side)
        place.moveCenter(box.center())
        self.painter.drawPixmap(place, pixmap, QRectF(pixmap.rect()))

    def _led_pixmap(
        self, na: NDArray[np.floating], levels: NDArray[np.float32], objective_na: float, marked: int, pixels: int
    ) -> QPixmap:
        """The LEDs on a transparent ground; dozens of circles take longer to draw than to copy."""
        pixmap = QPixmap(pixels, pixels)
        pixmap.fill(QColor(0, 0, 0, 0))
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        reach = float(np.abs(na).max(initial=1e-9)) * 1.1
        scale, middle = pixels / 2 / reach, QPointF(pixels / 2, pixels / 2)
        spot = _spot(na) * scale
        table = ramp(self.colours.levels)
        outline = QPen(QColor(self.colours.line), max(0.5, pixels / 900))
        for place, ((x, y), level) in enumerate(zip(na, levels, strict=True)):
            red, green, blue = (int(v) for v in table[int(min(max(float(level), 0.0), 1.0) * 255)])
            painter.setPen(QPen(QColor(self.colours.text), pixels / 150) if place == marked else outline)
            painter.setBrush(QColor(red, green, blue))
            painter.drawEllipse(QPointF(middle.x() + x * scale, middle.y() - y * scale), spot, spot)
        if objective_na:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(self.colours.accent), max(1.5, pixels / 180)))
            painter.drawEllipse(middle, objective_na * scale, objective_na * scale)
        painter.end()
        return pixmap


def font_of(font: QFont, height: float, bold: bool, device: QPaintDevice | None) -> QFont:
    """A font whose lines are ``height`` device-independent pixels high."""
    found = QFont(font)
    dots = 96 if device is None else device.logicalDpiY()
    # Lines of common fonts are about 1.2 times as high as the font's size.
    found.setPointSizeF(max(1.0, height / 1.2 * 72 / dots))
    found.setBold(bold)
    return found


def _spot(na: NDArray[np.floating]) -> float:
    """Two fifths of the distance of neighbours."""
    distance = np.hypot(*(na[:, None, :] - na[None, :, :]).transpose(2, 0, 1))
    distance[distance < 1e-9] = np.inf
    return float(0.4 * np.median(distance.min(1)))


def _pixmap(values: NDArray[np.generic], limits: tuple[float, float], colours: str, size: tuple[int, int]) -> QPixmap:
    low, high = limits
    shares = (np.asarray(values, np.float32) - low) / max(high - low, 1e-12)
    places = np.clip(np.nan_to_num(shares) * 255, 0, 255).astype(np.uint8)
    rgb = np.ascontiguousarray(lut(colours)[places])
    rows, columns, _ = rgb.shape
    image = QImage(rgb.tobytes(), columns, rows, 3 * columns, QImage.Format.Format_RGB888)
    mode = Qt.TransformationMode.SmoothTransformation
    return QPixmap.fromImage(image.scaled(*size, Qt.AspectRatioMode.IgnoreAspectRatio, mode))
