"""Fusion with check boxes and radio buttons that can be seen on a dark ground."""

from __future__ import annotations

from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QPainter, QPen, QPolygonF
from PyQt6.QtWidgets import QProxyStyle, QStyle, QStyleOption, QWidget

from ptychoui.gui.theme import blend, colours

CHECK, RADIO = QStyle.PrimitiveElement.PE_IndicatorCheckBox, QStyle.PrimitiveElement.PE_IndicatorRadioButton


class InstrumentStyle(QProxyStyle):
    """Fusion derives outlines by darkening the window's colour, which leaves none on a dark window."""

    def __init__(self) -> None:
        super().__init__("Fusion")

    def drawPrimitive(
        self,
        element: QStyle.PrimitiveElement,
        option: QStyleOption | None,
        painter: QPainter | None,
        widget: QWidget | None = None,
    ) -> None:
        """Draw check boxes and radio buttons here, everything else as Fusion does."""
        if element not in (CHECK, RADIO) or option is None or painter is None:
            super().drawPrimitive(element, option, painter, widget)
            return
        c = colours()
        on = bool(option.state & QStyle.StateFlag.State_On)
        enabled = bool(option.state & QStyle.StateFlag.State_Enabled)
        focused = bool(option.state & QStyle.StateFlag.State_HasFocus)
        box = QRectF(option.rect).adjusted(1, 1, -1, -1)
        fill = c.accent if on else c.base
        edge = c.accent if on or focused else c.muted
        if not enabled:
            fill, edge = (blend(c.accent, c.window, 0.6) if on else c.window), c.line
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(edge), 1))
        painter.setBrush(QColor(fill))
        if element == RADIO:
            painter.drawEllipse(box)
            if on:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(QColor(c.on_accent))
                painter.drawEllipse(box.center(), box.width() / 5, box.height() / 5)
            painter.restore()
            return
        painter.drawRoundedRect(box, 2, 2)
        if on:
            painter.setPen(QPen(QColor(c.on_accent), max(1.5, box.width() / 8), Qt.PenStyle.SolidLine))
            x, y, w, h = box.x(), box.y(), box.width(), box.height()
            painter.drawPolyline(
                QPolygonF(
                    [
                        QPointF(x + 0.22 * w, y + 0.52 * h),
                        QPointF(x + 0.42 * w, y + 0.72 * h),
                        QPointF(x + 0.78 * w, y + 0.28 * h),
                    ]
                )
            )
        painter.restore()
