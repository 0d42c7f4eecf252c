"""Buttons, plots and rows that the pages of the device panel share."""

from __future__ import annotations

from PyQt6.QtCore import QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PyQt6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from ptychoui.gui.look.icons import icon
from ptychoui.gui.look.theme import Colours, colours
from ptychoui.gui.widgets.led_plot import LedPlot
from ptychoui.gui.widgets.parts import by_font, gap_of, ink, tall
from ptychoui.session.device_state import Phase


def tool(text: str, tip: str, picture: str, lines: float = 1.6) -> QToolButton:
    """A button with a name for screen readers; `dress` draws its icon."""
    button = QToolButton()
    button.setText(text)
    button.setProperty("tip", tip)
    button.setProperty("picture", picture)
    button.setToolTip(tip)
    button.setAccessibleName(text)
    button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return tall(button, lines)


def dress(whole: QWidget) -> None:
    """Draw the icons of all buttons of a widget in the colours of the theme."""
    for button in whole.findChildren(QToolButton):
        if picture := button.property("picture"):
            button.setIcon(icon(picture))


def allow(button: QToolButton, why_not: str = "") -> None:
    """Enable a button, or disable it with the reason in its tooltip."""
    button.setEnabled(not why_not)
    tip = button.property("tip")
    button.setToolTip(f"{tip}: {why_not}" if why_not else tip)


def rows_of(*rows: tuple[str, QWidget, str]) -> tuple[QGridLayout, dict[QWidget, QLabel]]:
    """Labelled fields with tooltips, and the labels that say below a field why what was typed is refused."""
    grid, errors = QGridLayout(), {}
    grid.setContentsMargins(0, 0, 0, 0)
    for place, (text, field, tip) in enumerate(rows):
        label, error = QLabel(text), QLabel()
        label.setBuddy(field)
        label.setToolTip(tip)
        field.setToolTip(tip)
        field.setAccessibleName(text)
        field.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        by_font(field, lambda f: f.setMinimumWidth(9 * f.fontMetrics().averageCharWidth()))
        error.setWordWrap(True)
        error.hide()
        errors[field] = error
        grid.addWidget(label, 2 * place, 0)
        grid.addWidget(field, 2 * place, 1)
        grid.addWidget(error, 2 * place + 1, 0, 1, 2)
    grid.setColumnStretch(1, 1)
    return grid, errors


def side_by_side(*fields: tuple[str, QWidget, str]) -> QHBoxLayout:
    """Short labelled fields with tooltips in one line."""
    row = QHBoxLayout()
    row.setContentsMargins(0, 0, 0, 0)
    for text, field, tip in fields:
        label = QLabel(text)
        label.setBuddy(field)
        for widget in (label, field):
            widget.setToolTip(tip)
        field.setAccessibleName(text)
        field.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        by_font(field, lambda f: f.setMinimumWidth(8 * f.fontMetrics().averageCharWidth()))
        row.addWidget(label)
        row.addWidget(field, 1)
    return row


def refuse(label: QLabel, why: str) -> None:
    """Say below a field why what was typed is refused; an empty text takes it away."""
    ink(label, colours().error)
    label.setText(why)
    label.setVisible(bool(why))


class TitledPlot(QWidget):
    """LEDs with a word above them."""

    def __init__(self, title: str, tip: str) -> None:
        super().__init__()
        self.title = QLabel(title)
        self.title.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.title.setToolTip(tip)
        self.plot = LedPlot(aperture=False, labelled=False, axes=False)
        self.plot.setAccessibleName(title)
        self.plot.setToolTip(tip)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(gap_of(self) // 2)
        column.addWidget(self.title)
        column.addWidget(self.plot, 1)

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        ink(self.title, colours().muted)
        self.plot.use_colours()


class StateMark(QWidget):
    """The state as a shape in a colour: an outline while dark, a sun while LEDs shine, a cross where it failed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.phase = Phase.NOTHING
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def show_phase(self, phase: Phase) -> None:
        """Draw the mark of a state."""
        self.phase = phase
        self.update()

    def sizeHint(self) -> QSize:
        """One line and a half high."""
        side = round(1.5 * self.fontMetrics().height())
        return QSize(side, side)

    def minimumSizeHint(self) -> QSize:
        """As large as it is."""
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw it."""
        c, side = colours(), min(self.width(), self.height())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.translate(self.width() / 2, self.height() / 2)
        painter.scale(side / 24, side / 24)
        pen = QPen(QColor(tone_of(self.phase, c)), 2.4)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        if self.phase in (Phase.SHOWING, Phase.PLAYING, Phase.LOADING):
            painter.setBrush(QColor(tone_of(self.phase, c)))
            painter.drawEllipse(QRectF(-4, -4, 8, 8))
            for _ in range(8):
                painter.drawLine(0, -8, 0, -10)
                painter.rotate(45)
        elif self.phase in (Phase.LOOKING, Phase.CONNECTING):
            for x in (-7, 0, 7):
                painter.drawPoint(x, 0)
        elif self.phase is Phase.FAILED:
            painter.drawLine(-6, -6, 6, 6)
            painter.drawLine(-6, 6, 6, -6)
        elif self.phase is Phase.UNPLUGGED:
            painter.drawLine(-9, 0, -3, 0)
            painter.drawLine(3, 0, 9, 0)
            painter.drawLine(-3, -5, -3, 5)
            painter.drawLine(3, -5, 3, 5)
        elif self.phase is Phase.DARK:
            painter.drawEllipse(QRectF(-6, -6, 12, 12))
        else:
            pen.setStyle(Qt.PenStyle.DotLine)
            painter.setPen(pen)
            painter.drawEllipse(QRectF(-6, -6, 12, 12))
        painter.end()


def tone_of(phase: Phase, c: Colours) -> str:
    """The colour of a state."""
    if phase in (Phase.FAILED, Phase.UNPLUGGED):
        return c.error
    if phase in (Phase.SHOWING, Phase.LOADING, Phase.PLAYING):
        return c.warning
    if phase is Phase.DARK:
        return c.good
    return c.accent if phase.busy else c.muted
