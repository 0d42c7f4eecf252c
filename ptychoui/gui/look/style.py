"""Fusion with check boxes and radio buttons that can be seen on a dark ground."""

from __future__ import annotations

from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QPainter, QPen, QPolygonF
from PyQt6.QtWidgets import QApplication, QMainWindow, QProxyStyle, QStyle, QStyleOption, QWidget

from ptychoui.gui.look.theme import blend, colours, text_scale

CHECK, RADIO = QStyle.PrimitiveElement.PE_IndicatorCheckBox, QStyle.PrimitiveElement.PE_IndicatorRadioButton

_M = QStyle.PixelMetric
GROWING = frozenset(
    {
        _M.PM_SmallIconSize,
        _M.PM_ButtonIconSize,
        _M.PM_ToolBarIconSize,
        _M.PM_TabBarIconSize,
        _M.PM_TitleBarButtonIconSize,
        _M.PM_IndicatorWidth,
        _M.PM_IndicatorHeight,
        _M.PM_ExclusiveIndicatorWidth,
        _M.PM_ExclusiveIndicatorHeight,
        _M.PM_ScrollBarExtent,
        _M.PM_SliderThickness,
        _M.PM_SliderLength,
        _M.PM_SliderControlThickness,
    }
)
"""What Fusion draws at one size however large the text is."""

NARROW = "narrow"
"""Property of a bar of tabs that has to fit a narrow panel."""


class InstrumentStyle(QProxyStyle):
    """Fusion derives outlines by darkening the window's colour, which leaves none on a dark window."""

    def __init__(self) -> None:
        super().__init__("Fusion")

    def pixelMetric(
        self, metric: QStyle.PixelMetric, option: QStyleOption | None = None, widget: QWidget | None = None
    ) -> int:
        """Icons, boxes and bars grow with the text."""
        size = super().pixelMetric(metric, option, widget)
        # The tabs of panels that lie over each other share the width of one.
        narrow = widget is not None and (widget.property(NARROW) or isinstance(widget.parent(), QMainWindow))
        if metric == _M.PM_TabBarTabHSpace and narrow:
            return size // 2
        return round(size * text_scale()) if metric in GROWING else size

    def drawControl(
        self,
        element: QStyle.ControlElement,
        option: QStyleOption | None,
        painter: QPainter | None,
        widget: QWidget | None = None,
    ) -> None:
        """Draw the titles of docks in the size of all other text."""
        if element == QStyle.ControlElement.CE_DockWidgetTitle and painter is not None:
            painter.setFont(QApplication.font())
        super().drawControl(element, option, painter, widget)

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
