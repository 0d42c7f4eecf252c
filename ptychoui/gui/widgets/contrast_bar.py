"""Contrast: a histogram with two handles between two number boxes, Auto, Full, and a menu of look-up tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QPointF, QRectF, QSignalBlocker, QSize, Qt, pyqtSignal
from PyQt6.QtGui import (
    QColor,
    QContextMenuEvent,
    QIcon,
    QImage,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QPolygonF,
    QResizeEvent,
)
from PyQt6.QtWidgets import QComboBox, QHBoxLayout, QMenu, QSizePolicy, QToolButton, QWidget

from ptychoui.gui.look import luts
from ptychoui.gui.look.limits import auto_limits, decimals_for, finite_values, full_limits, widened
from ptychoui.gui.look.theme import colours
from ptychoui.gui.widgets.figure_menu import FigureMenu, Table
from ptychoui.gui.widgets.number_boxes import NumberBox
from ptychoui.gui.widgets.parts import by_font, gap_of

BINS = 128
GAMMAS = (0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)
"""Exponents of the share of the range, from the brightest to the darkest picture."""

ROOM_LINES = 5
"""Lines of text by which the histogram is wider than at its least before all buttons are shown."""


class ContrastBar(QWidget):
    """Limits and colours of one quantity.

    Attributes
    ----------
    changed
        (low, high) of the limits.
    lut_changed
        (256, 3) colours.
    touched
        A person set the limits by hand.
    """

    changed = pyqtSignal(float, float)
    lut_changed = pyqtSignal(object)
    touched = pyqtSignal()

    def __init__(
        self, quantity: str, lut: str, fixed: tuple[float, float] | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.fixed = fixed
        self._values = np.empty(0)
        self._untouched = True
        self.low, self.high = fixed or (0.0, 1.0)
        self.low_box, self.high_box = LimitBox(f"Lower limit of {quantity}"), LimitBox(f"Upper limit of {quantity}")
        self.histogram = Histogram(self, quantity)
        self.histogram.setToolTip(f"Histogram of {quantity}: drag the handles, or between them to move both")
        self.auto_button = _button("Auto", "Limits at 0.1 and 99.9 % of the pixels shown, once")
        self.full_button = _button(
            "Reset", f"Back to {fixed[0]:.3g} to {fixed[1]:.3g}" if fixed else "Smallest to largest pixel shown"
        )
        self._gamma, self._always = 1.0, False
        self.gamma_button = _button("γ 1", f"Gamma of {quantity}: below 1 the dark end is stretched; limits stay")
        self.gamma_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.gamma_button.setMenu(self._gammas(QMenu(self)))
        self.luts = QComboBox()
        self.luts.addItems(luts.NAMES)
        self.luts.setCurrentText(lut)
        self.luts.setAccessibleName(f"Colours of {quantity}")
        self.luts.setToolTip(f"Colours of {quantity}")
        self.luts.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.luts.setMinimumContentsLength(9)
        self.more = QToolButton()
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.more.setAccessibleName(f"Auto, reset and colours of {quantity}")
        self.more.setToolTip(f"Auto, reset and colours of {quantity}")
        self.more.setMenu(self.fill_menu(QMenu(self)))
        self.more.hide()
        self._wide = (self.auto_button, self.full_button, self.gamma_button, self.luts)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(gap_of(self))
        for widget in (self.low_box, self.histogram, self.high_box, *self._wide, self.more):
            layout.addWidget(widget, 1 if widget is self.histogram else 0)
        by_font(self, lambda _: self._measure())
        self.low_box.valueChanged.connect(self._typed)
        self.high_box.valueChanged.connect(self._typed)
        self.histogram.dragged.connect(self._dragged)
        self.auto_button.clicked.connect(self.auto)
        self.full_button.clicked.connect(self.reset)
        self.luts.currentTextChanged.connect(self._lut_chosen)
        self._show()

    @property
    def table(self) -> NDArray[np.uint8]:
        """(256, 3) colours in use."""
        return luts.with_gamma(luts.lut(self.luts.currentText()), self._gamma)

    @property
    def gamma(self) -> float:
        """Exponent of the share of the range."""
        return self._gamma

    def set_gamma(self, gamma: float) -> None:
        """Stretch the dark end (below 1) or the bright end of the range."""
        self._gamma = gamma
        self.gamma_button.setText(f"γ {gamma:g}")
        self._lut_chosen()

    def auto_always(self, always: bool) -> None:
        """Choose percentile limits for every picture from now on, or once only."""
        self._always = always
        self.auto_button.setText("Auto ∞" if always else "Auto")
        if always:
            self.auto()

    @property
    def folded(self) -> bool:
        """True where the buttons and the colours are in a menu, for want of room."""
        return not self.more.isHidden()

    def minimumSizeHint(self) -> QSize:
        """Folded."""
        return QSize(self._least(self.more), self.histogram.sizeHint().height())

    def sizeHint(self) -> QSize:
        """Unfolded."""
        return QSize(
            self._least(*self._wide) + ROOM_LINES * self.fontMetrics().height(), self.histogram.sizeHint().height()
        )

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Fold or unfold."""
        super().resizeEvent(event)
        self._fold()

    def _least(self, *parts: QWidget) -> int:
        """Width that limits, histogram and some parts take."""
        inner = (*parts, self.histogram, self.low_box, self.high_box)
        widths = [part.minimumWidth() or part.minimumSizeHint().width() for part in inner]
        return sum(widths) + (len(widths) - 1) * gap_of(self)

    def _fold(self) -> None:
        folded = self.width() < self._least(*self._wide) + ROOM_LINES * self.fontMetrics().height()
        if folded != self.folded:
            self.more.setVisible(folded)
            for part in self._wide:
                part.setVisible(not folded)

    def _measure(self) -> None:
        """Sizes that follow from the text's."""
        for box in (self.low_box, self.high_box):
            box.setFixedWidth(self.fontMetrics().horizontalAdvance("−0.0000") + self.fontMetrics().height())
        line = self.fontMetrics().height()
        self.more.setIconSize(QSize(2 * line, line))
        self._swatch()
        self._fold()
        self.updateGeometry()

    def _swatch(self) -> None:
        """The colours in use, as an icon."""
        table = np.ascontiguousarray(self.table)
        image = QImage(table.tobytes(), 256, 1, 768, QImage.Format.Format_RGB888)
        self.more.setIcon(QIcon(QPixmap.fromImage(image.scaled(self.more.iconSize()))))

    def fill_menu(self, menu: QMenu) -> QMenu:
        """Add everything that the buttons do, and more."""
        for button in (self.auto_button, self.full_button):
            action = menu.addAction(button.text())
            if action is not None:
                action.triggered.connect(button.click)
        every = menu.addAction("Auto for every picture")
        if every is not None:
            every.setCheckable(True)
            every.setChecked(self._always)
            every.toggled.connect(self.auto_always)
        self._gammas(menu.addMenu("Gamma") or menu)
        menu.addSeparator()
        for name in luts.NAMES:
            action = menu.addAction(name)
            if action is not None:
                action.triggered.connect(lambda _=False, name=name: self.luts.setCurrentText(name))
        return menu

    def _gammas(self, menu: QMenu) -> QMenu:
        for gamma in GAMMAS:
            action = menu.addAction(f"{gamma:g}")
            if action is not None:
                action.triggered.connect(lambda _=False, gamma=gamma: self.set_gamma(gamma))
        return menu

    def contextMenuEvent(self, event: QContextMenuEvent | None) -> None:
        """Everything that the buttons do, and more."""
        menu = self.more.menu()
        if event is not None and menu is not None:
            menu.popup(event.globalPos())

    def start_over(self) -> None:
        """A new quantity or run: limits are chosen again with the next images."""
        self._untouched = True

    def set_images(
        self, images: Sequence[NDArray[np.float32]], first: Sequence[NDArray[np.float32]] | None = None
    ) -> None:
        """Take the images shown; limits stay unless these are the first ones, and then ``first`` decides."""
        self._values = finite_values(images)
        self.histogram.set_values(self._values)
        if self._always and len(self._values):
            self._untouched = False
            self.auto()
        elif self._untouched and len(self._values):
            self._untouched = False
            if self.fixed is None:
                self.set_limits(*auto_limits(finite_values(first or images)))
            else:
                self.set_limits(*self.fixed)
        else:
            self.histogram.update()

    def auto(self) -> None:
        """Percentile limits."""
        self.set_limits(*auto_limits(self._values))

    def reset(self) -> None:
        """The quantity's fixed limits, else the full range."""
        self.set_limits(*(self.fixed or full_limits(self._values)))

    def set_limits(self, low: float, high: float) -> None:
        """Set limits and tell who shows images."""
        low, high = widened(min(low, high), max(low, high))
        if (low, high) != (self.low, self.high):
            self.low, self.high = low, high
            self._show()
        self.changed.emit(self.low, self.high)

    def _show(self) -> None:
        decimals = decimals_for(self.low, self.high)
        for box, value in ((self.low_box, self.low), (self.high_box, self.high)):
            with QSignalBlocker(box):
                box.decimals_shown = decimals
                box.setValue(value)
                box.show_number()
        self.histogram.update()

    def _dragged(self, low: float, high: float) -> None:
        self.touched.emit()
        self.set_limits(low, high)

    def _typed(self) -> None:
        low, high = self.low_box.value(), self.high_box.value()
        if high > low:
            self.touched.emit()
            self.low, self.high = low, high
            self.histogram.update()
            self.changed.emit(low, high)
            return
        box = self.low_box if low != self.low else self.high_box
        self._show()
        box.refuse("The lower limit must be below the upper one. Both stay as they are.")

    def _lut_chosen(self) -> None:
        self._swatch()
        self.histogram.update()
        self.lut_changed.emit(self.table)


class LimitBox(NumberBox):
    """A limit with as many digits as there is room for; the tooltip has all of them."""

    def __init__(self, tip: str) -> None:
        self.decimals_shown = 2
        super().__init__("")
        self._tip = tip
        self.setAccessibleName(tip)
        self.setToolTip(tip)

    def textFromValue(self, value: float) -> str:
        """Fewer decimals, then a power of ten, rather than a number that is cut."""
        texts = [f"{value:.{self.decimals_shown}f}", *(f"{value:.{digits}g}" for digits in (6, 5, 4, 3, 2, 1))]
        room = self.width() - self.fontMetrics().height()
        return next((text for text in texts if self.fontMetrics().horizontalAdvance(text) <= room), texts[-1])

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Write the number anew."""
        super().resizeEvent(event)
        self.show_number()

    def show_number(self) -> None:
        """Write the value into the box and the tooltip."""
        self.setToolTip(f"{self._tip}: {self.value():.6g}")
        line = self.lineEdit()
        if line is not None and not line.isModified():
            line.setText(self.textFromValue(self.value()))


def _button(text: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tip)
    button.setAutoRaise(True)
    return button


class Histogram(QWidget):
    """Log counts over a strip of the look-up table, with two handles."""

    dragged = pyqtSignal(float, float)

    def __init__(self, bar: ContrastBar, quantity: str) -> None:
        super().__init__(bar)
        self._quantity = quantity
        self.figure = FigureMenu(self, f"Histogram of {quantity}", self._table, more=bar.fill_menu)
        self._bar = bar
        self._counts = np.zeros(BINS)
        self._span = (0.0, 1.0)
        self._numbers = np.zeros(BINS, np.int64)
        self._grip: str | None = None
        self._from = 0.0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)

    def sizeHint(self) -> QSize:
        """Two lines of text high."""
        return QSize(160, round(1.9 * self.fontMetrics().height()))

    def minimumSizeHint(self) -> QSize:
        """Narrow in small windows."""
        return QSize(4 * self.fontMetrics().height(), self.sizeHint().height())

    def set_values(self, values: NDArray[np.float64]) -> None:
        """Count pixels."""
        low, high = full_limits(values)
        if self._bar.fixed is not None:
            low, high = min(low, self._bar.fixed[0]), max(high, self._bar.fixed[1])
        self._span = (low, high)
        counts = np.histogram(values, bins=BINS, range=self._span)[0] if len(values) else np.zeros(BINS)
        self._numbers = counts.astype(np.int64)
        self._counts = np.log1p(counts) / max(1e-12, float(np.log1p(counts).max(initial=0)))

    def _table(self) -> Table | None:
        edges = np.linspace(*self._span, BINS + 1)
        rows = [(float(a), float(b), int(n)) for a, b, n in zip(edges, edges[1:], self._numbers, strict=False)]
        header = (f"{self._quantity} from (as shown)", f"{self._quantity} to (as shown)", "pixels")
        return Table(header, rows) if self._numbers.any() else None

    def _axis(self) -> tuple[float, float]:
        """Values at the left and the right end: data and limits both fit."""
        low, high = min(self._span[0], self._bar.low), max(self._span[1], self._bar.high)
        return widened(low, high)

    def _x(self, value: float) -> float:
        low, high = self._axis()
        return 5 + (value - low) / (high - low) * (self.width() - 10)

    def _value(self, x: float) -> float:
        low, high = self._axis()
        return low + (x - 5) / max(1, self.width() - 10) * (high - low)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the histogram, the colours between the limits, and the handles."""
        c = colours()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        strip = max(5, self.height() // 5)
        top, floor = 1.0, self.height() - strip - 1.0
        painter.fillRect(QRectF(0, 0, self.width(), self.height()), QColor(c.base))
        first, last = (self._x(value) for value in self._span)
        # Vectors, not a loop of calls: this is drawn beside a training thread that wants the interpreter too.
        x = np.repeat(np.linspace(first, last, BINS + 1), 2)
        y = np.full(len(x), floor)
        y[1:-1] = np.repeat(floor - self._counts * (floor - top - 1), 2)
        outline = [QPointF(*point) for point in zip(x.tolist(), y.tolist(), strict=True)]
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(c.muted))
        painter.setOpacity(0.55)
        painter.drawPolygon(QPolygonF(outline))
        painter.setOpacity(1.0)
        self._colour_strip(painter, strip)
        painter.setBrush(QColor(c.accent))
        for value in (self._bar.low, self._bar.high):
            at = self._x(value)
            painter.setPen(QPen(QColor(c.accent), 1.5))
            painter.drawLine(QPointF(at, top), QPointF(at, self.height() - 1.0))
            painter.drawRoundedRect(QRectF(at - 2.5, self.height() / 2 - 5, 5, 10), 2, 2)
        painter.end()

    def _colour_strip(self, painter: QPainter, height: int) -> None:
        table = np.ascontiguousarray(self._bar.table)
        first, last = self._x(self._bar.low), self._x(self._bar.high)
        top = self.height() - height
        painter.fillRect(QRectF(0, top, first, height), QColor(*(int(v) for v in table[0])))
        painter.fillRect(QRectF(last, top, self.width() - last, height), QColor(*(int(v) for v in table[-1])))
        image = QImage(table.tobytes(), 256, 1, 768, QImage.Format.Format_RGB888)
        painter.drawImage(QRectF(first, top, last - first, height), image)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Take the nearer handle, or both between them."""
        if event is None or event.button() != Qt.MouseButton.LeftButton:
            return
        x = event.position().x()
        low, high = self._x(self._bar.low), self._x(self._bar.high)
        near = min((abs(x - low), "low"), (abs(x - high), "high"))
        self._grip = near[1] if near[0] < 8 or not low < x < high else "both"
        self._from = self._value(x)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Drag."""
        if event is None or self._grip is None:
            return
        value = self._value(event.position().x())
        low, high = self._bar.low, self._bar.high
        least = (self._axis()[1] - self._axis()[0]) * 1e-3
        if self._grip == "low":
            low = min(value, high - least)
        elif self._grip == "high":
            high = max(value, low + least)
        else:
            low, high = low + value - self._from, high + value - self._from
            self._from = self._value(event.position().x())
        self.dragged.emit(low, high)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Let go."""
        self._grip = None
