"""A slider that is seen and hit from afar."""

from __future__ import annotations

from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent
from PyQt6.QtWidgets import QSlider, QWidget

from ptychoui.gui.look.theme import DARK, Colours


class BigSlider(QSlider):
    """A groove with a large knob; a click anywhere moves the knob there."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self.colours: Colours = DARK

    def use_colours(self, colours: Colours) -> None:
        """Take the colours of a theme."""
        self.colours = colours
        self.update()

    @property
    def _room(self) -> QRectF:
        """Where the knob's middle can be."""
        half = self.height() / 2
        return QRectF(self.rect()).adjusted(half, 0, -half, 0)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw groove, what is behind the knob, and the knob."""
        c, room = self.colours, self._room
        share = (self.value() - self.minimum()) / max(1, self.maximum() - self.minimum())
        knob = QPointF(room.x() + share * room.width(), room.center().y())
        high = self.height() / 5
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        groove = QRectF(room.x(), room.center().y() - high / 2, room.width(), high)
        painter.setBrush(QColor(c.line))
        painter.drawRoundedRect(groove, high / 2, high / 2)
        painter.setBrush(QColor(c.accent))
        painter.drawRoundedRect(QRectF(groove.x(), groove.y(), knob.x() - groove.x(), high), high / 2, high / 2)
        painter.setBrush(QColor(c.text))
        painter.drawEllipse(knob, 0.42 * self.height(), 0.42 * self.height())
        painter.end()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Move the knob to the cursor."""
        self._follow(event)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Move the knob with the cursor."""
        if event is not None and event.buttons() & Qt.MouseButton.LeftButton:
            self._follow(event)

    def _follow(self, event: QMouseEvent | None) -> None:
        if event is None:
            return
        room = self._room
        share = (event.position().x() - room.x()) / max(1.0, room.width())
        self.setValue(round(self.minimum() + share * (self.maximum() - self.minimum())))
