"""Fourier ring correlation of two halves of the LEDs: up to which resolution they agree."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PyQt6.QtCore import QPointF, Qt, pyqtSignal
from PyQt6.QtGui import QAction
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ptychoui.gui.look.theme import colours, dress_axes, number_axes
from ptychoui.gui.widgets.figure_menu import FigureMenu
from ptychoui.gui.widgets.parts import Status, Yielding, by_font, command_button, duration, gap_of, ink
from ptychoui.session.origin import Origin
from ptychoui.session.stack_frc import FrcFound, FrcHistory
from ptychoui.session.stack_run import StackReport
from ptychoui.session.worker import RunState
from ptychoui.training.events import Failed

ABOUT = (
    "Neighbouring LEDs go to different halves, and each half is reconstructed on its own, as the form says. They share "
    "no image and no noise: where their spectra agree, ring by ring, the object is measured, not made up."
)


SIDES = [(0, 0), (0, 0)]
"""Text of a mark stands at its left, whichever way it points."""


class FrcPage(QWidget):
    """A curve with its threshold, and what it means in a few sentences."""

    hover_text = pyqtSignal(str)

    def __init__(self, compare: QAction, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._found: FrcFound | None = None
        self._elsewhere = ""
        self.compare = command_button(compare)
        by_font(self, lambda _: self.compare.setFixedWidth(24 * self.fontMetrics().averageCharWidth()))
        self.status = Status("Comparing halves")
        policy = self.status.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.status.setSizePolicy(policy)
        self.plot = pg.PlotWidget(self, enableMenu=False)
        self.plot.hideButtons()
        item = self.plot.getPlotItem()
        item.setLabel("bottom", "spatial frequency (1/µm)")
        item.setLabel("left", "correlation")
        item.showGrid(x=True, y=True, alpha=0.15)
        item.addLegend(offset=(-40, 10))
        for axis in ("left", "bottom"):
            item.getAxis(axis).enableAutoSIPrefix(False)
        self.curve = item.plot([], [], name="two halves")
        self.threshold = item.plot([], [], name="half-bit threshold")
        self.marks = {
            text: pg.InfiniteLine(
                angle=90, label=text, labelOpts={"position": at, "rotateAxis": (1, 0), "anchors": SIDES}
            )
            for text, at in (("objective", 0.3), ("synthetic aperture", 0.3), ("resolution", 0.5))
        }
        for mark in self.marks.values():
            item.addItem(mark, ignoreBounds=True)
        self.figure = FigureMenu(self.plot, "Fourier ring correlation", fit=self.fit)
        self.text = QLabel()
        self.text.setWordWrap(True)
        gap = gap_of(self)
        head = QHBoxLayout()
        head.setSpacing(3 * gap)
        head.addWidget(self.compare, 0, Qt.AlignmentFlag.AlignTop)
        head.addWidget(self.status, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(gap)
        layout.addLayout(head)
        layout.addWidget(self.plot, 1)
        layout.addWidget(Yielding(self.text, 2))
        self._hover = pg.SignalProxy(self.plot.scene().sigMouseMoved, rateLimit=20, slot=self._mouse_moved)
        self.show_history(FrcHistory(), None)
        self.use_colours()

    def show_history(self, history: FrcHistory, state: RunState | None) -> None:
        """Show how far the comparison is, and what it found; the state is None while other work goes on."""
        active = state is not None and state.active
        self.status.show_state(state or RunState.IDLE)
        self.status.setVisible(active)
        if active and history.begun is not None:
            done = history.last.step if history.last is not None else 0
            text = f"pass {done} of {history.begun.passes}"
            if history.last is not None:
                text += f", {duration(history.last.seconds_left)} left"
            self.status.show_progress(done, history.begun.passes, text)
        if isinstance(history.end, Failed):
            self.text.setText(f"{history.end.message}. {history.end.hint}".strip(" ."))
        elif history.found is None:
            self.text.setText(self._about)
        if history.found is not self._found or history.found is None:
            self._found = history.found
            self._draw()

    def show_origin(self, origin: Origin | None) -> None:
        """A result of another stack has no images here that could be compared."""
        self._elsewhere = "" if origin is None or origin.same else origin.stack or "its stack"
        self.compare.setVisible(not self._elsewhere)
        if self._found is None:
            self.text.setText(self._about)

    @property
    def _about(self) -> str:
        if self._elsewhere:
            return f"The file keeps no images: open {self._elsewhere} to compare two halves of its LEDs."
        return ABOUT

    def show_report(self, report: StackReport | None) -> None:
        """The comparison has a history of its own."""

    def fit(self) -> None:
        """Show all of the curve."""
        found = self._found
        reach = found.synthetic_per_um if found is not None else 1.0
        self.plot.setRange(xRange=(0, 1.05 * reach), yRange=(-0.15, 1.05), padding=0)

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        c = colours()
        dress_axes(self.plot)
        self.curve.setPen(pg.mkPen(c.accent, width=2))
        self.threshold.setPen(pg.mkPen(c.muted, width=1.2, style=Qt.PenStyle.DashLine))
        legend = self.plot.getPlotItem().legend
        legend.setLabelTextColor(c.text)
        legend.setBrush(pg.mkBrush(c.plot))
        for text, mark in self.marks.items():
            tone = c.second if text == "resolution" else c.muted
            mark.setPen(pg.mkPen(tone, width=1.5 if text == "resolution" else 1, style=Qt.PenStyle.DotLine))
            mark.label.setColor(tone)
        ink(self.text, c.text if self._found is not None else c.muted)

    def _draw(self) -> None:
        found = self._found
        shown = found is not None
        item = self.plot.getPlotItem()
        number_axes(self.plot, shown)
        item.legend.setVisible(shown)
        for mark in self.marks.values():
            mark.setVisible(shown)
        if found is None:
            self.curve.setData([], [])
            self.threshold.setData([], [])
        else:
            frc = found.frc
            self.curve.setData(frc.frequency_per_um, frc.correlation)
            self.threshold.setData(frc.frequency_per_um, frc.half_bit)
            self.marks["objective"].setValue(found.objective_per_um)
            self.marks["synthetic aperture"].setValue(found.synthetic_per_um)
            self.marks["resolution"].setValue(1 / found.resolution_um)
            whole = found.resolution_um <= 1.02 / found.synthetic_per_um
            self.marks["resolution"].setVisible(bool(np.isfinite(found.resolution_um)) and not whole)
            self.text.setText(found.sentence)
        ink(self.text, colours().text if shown else colours().muted)
        self.fit()

    def _mouse_moved(self, arguments: tuple[QPointF]) -> None:
        found = self._found
        at = self.plot.getViewBox().mapSceneToView(arguments[0])
        if found is None or not 0 < at.x() <= found.frc.frequency_per_um[-1]:
            self.hover_text.emit("")
            return
        ring = int(np.argmin(np.abs(found.frc.frequency_per_um - at.x())))
        frequency = float(found.frc.frequency_per_um[ring])
        self.hover_text.emit(
            f"{frequency:.3f} /µm   period {1 / frequency:.2f} µm   correlation {found.frc.correlation[ring]:.3f}, "
            f"threshold {found.frc.half_bit[ring]:.3f}"
        )
