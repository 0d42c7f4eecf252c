"""One image with title, scale bar and hover; knows nothing of contrast controls, which set its limits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PyQt6.QtCore import QEvent, QObject, QPoint, QPointF, QRectF, QSize, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen
from PyQt6.QtWidgets import QApplication, QFrame, QSizePolicy, QVBoxLayout, QWidget

from ptychoui.gui.look.region import Region
from ptychoui.gui.look.scale_bar import bar_length_um, length_text
from ptychoui.gui.look.theme import colours
from ptychoui.gui.widgets.image_menu import open_menu


class ImagePanel(QFrame):
    """An image that can be zoomed about the cursor and dragged.

    Attributes
    ----------
    hovered
        (row, column), or (-1, -1) when the cursor leaves the image.
    moved
        The person changed the view; other panels may follow with `follow`.
    """

    hovered = pyqtSignal(int, int)
    moved = pyqtSignal(object)

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = title
        self.note = ""
        self.pixel_um: float | None = None
        self.length_text: Callable[[float], str] = length_text
        self._following = False
        self._fitted = True
        self._seen_shape: tuple[int, int] | None = None
        self.image: NDArray[np.float32] | None = None
        self._graphics = pg.GraphicsView(self)
        self._graphics.setFrameShape(QFrame.Shape.NoFrame)
        self.view = pg.ViewBox(lockAspect=True, invertY=True, enableMenu=False)
        self.item = pg.ImageItem(axisOrder="row-major")
        self.view.addItem(self.item)
        self.line: pg.InfiniteLine | None = None
        self._region: pg.RectROI | None = None
        self._pressed_at = QPoint()
        self._graphics.setCentralItem(self.view)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._graphics)
        self._overlay = _Overlay(self)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.view.sigRangeChanged.connect(self._range_changed)
        self.view.sigRangeChangedManually.connect(self._zoomed)
        self._hover = pg.SignalProxy(self._graphics.scene().sigMouseMoved, rateLimit=20, slot=self._mouse_moved)
        self._graphics.viewport().installEventFilter(self)
        self.use_colours()

    def minimumSizeHint(self) -> QSize:
        """Small enough for four of them in a small window."""
        side = 12 * self.fontMetrics().averageCharWidth()
        return QSize(side, side)

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        self._graphics.setBackground(colours().plot)
        for drawn in (self.line, self._region):
            if drawn is not None:
                drawn.setPen(pg.mkPen(colours().second, width=2))
        self._overlay.update()

    def set_image(self, image: NDArray[np.float32] | None, pixel_um: float | None) -> None:
        """Show an image; the view is kept unless the image's shape is new."""
        self.image, self.pixel_um = image, pixel_um
        if image is None:
            self.item.clear()
            self._seen_shape = None
        else:
            self.item.setImage(image, autoLevels=False)
            if image.shape != self._seen_shape:
                if self._region is not None:
                    self.toggle_region()
                self._seen_shape = (image.shape[0], image.shape[1])
                self.fit()
        self._overlay.update()

    def set_line(self, column: float | None) -> None:
        """Draw an upright line where a column begins, or none."""
        if self.line is None and column is not None:  # few panels ever need one
            self.line = pg.InfiniteLine(angle=90, pen=pg.mkPen(colours().second, width=2))
            self.view.addItem(self.line, ignoreBounds=True)
        if self.line is not None:
            self.line.setVisible(column is not None)
            if column is not None:
                self.line.setValue(column)

    @property
    def has_region(self) -> bool:
        """Whether a region is marked."""
        return self._region is not None

    @property
    def region(self) -> Region | None:
        """The pixels that are marked."""
        if self._region is None or self.image is None:
            return None
        corner, size = self._region.pos(), self._region.size()
        shape = (self.image.shape[0], self.image.shape[1])
        return Region.inside(corner.y(), corner.x(), size.y(), size.x(), shape)

    def toggle_region(self) -> None:
        """Mark a region in the middle of what is seen, to be moved and resized; or remove it."""
        if self._region is not None:
            self.view.removeItem(self._region)
            self._region = None
        elif self.image is not None:
            seen = self.view.viewRect().intersected(self._whole)
            width, height = max(2.0, seen.width() / 3), max(2.0, seen.height() / 3)
            corner = seen.center() - QPointF(width / 2, height / 2)
            pen = pg.mkPen(colours().second, width=2)
            self._region = pg.RectROI((corner.x(), corner.y()), (width, height), pen=pen, maxBounds=self._whole)
            self.view.addItem(self._region, ignoreBounds=True)
            self._region.sigRegionChanged.connect(self._overlay.update)
        self._overlay.update()

    def set_limits(self, low: float, high: float) -> None:
        """Set the values shown as first and last colour."""
        self.item.setLevels((low, high))

    def set_lut(self, table: NDArray[np.uint8]) -> None:
        """Set the colours."""
        self.item.setLookupTable(table)

    def fit(self) -> None:
        """Show the whole image."""
        if self.image is not None:
            self._fitted = True
            self.view.setRange(self._whole, padding=0.01)
            self.moved.emit(self)

    @property
    def _whole(self) -> QRectF:
        """All of the image, in pixels."""
        rows, columns = (0, 0) if self.image is None else self.image.shape
        return QRectF(0, 0, columns, rows)

    def actual_size(self) -> None:
        """One image pixel on one screen pixel, about the middle of the image."""
        if self.image is not None:
            rows, columns = self.image.shape
            width, height = self.view.width(), self.view.height()
            self._fitted = False
            self.view.setRange(QRectF((columns - width) / 2, (rows - height) / 2, width, height), padding=0)
            self.moved.emit(self)

    def follow(self, other: ImagePanel) -> None:
        """Show the same part of the image as another panel; all of it where that one does, whatever its size."""
        if other is not self:
            self._following = True
            self._fitted = other._fitted
            seen = other.view.viewRect()
            if self.image is not None and other._fitted and seen.contains(self._whole):
                self.view.setRange(self._whole, padding=0.01)
            else:
                self.view.setRange(seen, padding=0)
            self._following = False

    def resizeEvent(self, event: object) -> None:
        """Keep the overlay over the whole image."""
        super().resizeEvent(event)  # type: ignore[arg-type]
        self._overlay.setGeometry(self.rect())
        if self._fitted:
            self.fit()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Fit on a double-click; a menu on a right click that drags nothing; tell when the cursor leaves."""
        if isinstance(event, QMouseEvent) and event.button() == Qt.MouseButton.RightButton:
            if event.type() == QEvent.Type.MouseButtonPress:
                self._pressed_at = event.position().toPoint()
            elif event.type() == QEvent.Type.MouseButtonRelease:
                moved = (event.position().toPoint() - self._pressed_at).manhattanLength()
                if moved < QApplication.startDragDistance():
                    open_menu(self, event.globalPosition().toPoint())
        if event is not None and event.type() == QEvent.Type.MouseButtonDblClick:
            if isinstance(event, QMouseEvent) and event.button() == Qt.MouseButton.LeftButton:
                self.fit()
                return True
        if event is not None and event.type() == QEvent.Type.Leave:
            self.hovered.emit(-1, -1)
        return super().eventFilter(watched, event)

    def _mouse_moved(self, arguments: tuple[QPointF]) -> None:
        if self.image is None:
            return
        point = self.view.mapSceneToView(arguments[0])
        row, column = int(np.floor(point.y())), int(np.floor(point.x()))
        inside = 0 <= row < self.image.shape[0] and 0 <= column < self.image.shape[1]
        self.hovered.emit(*((row, column) if inside else (-1, -1)))

    def _zoomed(self) -> None:
        self._fitted = False
        self.moved.emit(self)

    def _range_changed(self) -> None:
        self._overlay.update()
        if not self._following:
            self.moved.emit(self)


class _Overlay(QWidget):
    """Title at the top left, scale bar at the bottom right; lets the mouse through."""

    def __init__(self, panel: ImagePanel) -> None:
        super().__init__(panel)
        self._panel = panel
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw title and scale bar on translucent plates, readable on any image."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        metrics = self.fontMetrics()
        gap = max(4, metrics.height() // 3)
        self._plate(painter, QPoint(gap, gap), self._panel.title)
        if self._panel.image is None:
            painter.setPen(QColor(colours().muted))
            painter.drawText(self.rect(), int(Qt.AlignmentFlag.AlignCenter), self._panel.note)
        else:
            self._scale_bar(painter, gap)
            region = self._panel.region
            if region is not None:
                below = QPoint(gap, gap + round(1.6 * metrics.height()))
                self._plate(painter, below, region.text(self._panel.image, self._panel.pixel_um))
        painter.end()

    def _plate(self, painter: QPainter, corner: QPoint, text: str) -> None:
        metrics = painter.fontMetrics()
        pad = max(3, metrics.height() // 4)
        box = QRectF(corner.x(), corner.y(), metrics.horizontalAdvance(text) + 2 * pad, metrics.height() + pad)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, 150))
        painter.drawRoundedRect(box, 3, 3)
        painter.setPen(QColor(255, 255, 255, 235))
        painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), text)

    def _scale_bar(self, painter: QPainter, gap: int) -> None:
        pixel = self._panel.pixel_um
        if not pixel:
            return
        screen = float(self._panel.view.viewPixelSize()[0])
        width = float(self._panel.view.width())
        if not (screen > 0 and np.isfinite(screen) and width > 40):
            return
        length_um = bar_length_um(screen * width * pixel)
        length = length_um / (pixel * screen)
        text = self._panel.length_text(length_um)
        metrics = painter.fontMetrics()
        pad = max(3, metrics.height() // 4)
        plate_width = max(length, metrics.horizontalAdvance(text)) + 2 * pad
        plate_height = metrics.height() + 2 * pad + 3
        plate = QRectF(self.width() - plate_width - gap, self.height() - plate_height - gap, plate_width, plate_height)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, 150))
        painter.drawRoundedRect(plate, 3, 3)
        painter.setPen(QPen(QColor(255, 255, 255, 235)))
        painter.drawText(plate.adjusted(0, pad / 2, 0, -pad - 3), int(Qt.AlignmentFlag.AlignCenter), text)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(255, 255, 255, 235))
        painter.drawRect(QRectF(plate.center().x() - length / 2, plate.bottom() - pad - 2, length, 3))
