"""How many images are needed: error of every design against the number of frames."""

from __future__ import annotations

import re

import numpy as np
from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from ptychoui.errors import SettingsError
from ptychoui.gui.compare.curves import CurvesPlot
from ptychoui.gui.compare.export_button import Export, ExportButton, Write
from ptychoui.gui.look.theme import colours, paint_primary
from ptychoui.gui.shell.work_dialog import button
from ptychoui.gui.widgets.parts import bold, gap_of, ink
from ptychoui.session.comparison_export import Curve, write_curves, write_result
from ptychoui.session.comparison_told import ComparisonHistory, equal_to_all
from ptychoui.tasks.fpm.titles import NETWORK, SOLVER

FRAMES, ERROR = "frames", "complex error"
WHAT = (
    "Every design that is ticked is made for each number of images, with one frame of exposure for each; all LEDs one "
    "by one are judged, too. Learned and added patterns take part at their own number."
)


class FramesTab(QWidget):
    """Asks for numbers of frames, and shows what comes of them.

    Attributes
    ----------
    export_wanted
        `Export` that somebody chose.
    """

    export_wanted = pyqtSignal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._history = ComparisonHistory()
        self.frames = QLineEdit("2 4 8 12")
        self.frames.setAccessibleName("Numbers of images")
        self.frames.setToolTip("Numbers of images, with spaces between them")
        self.begin = button("Compare numbers of images", "Compare what is ticked for each number", primary=True)
        self.what, self.equal, self.problem = QLabel(WHAT), bold(QLabel()), QLabel()
        for label in (self.what, self.equal, self.problem):
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.plots = {judge: CurvesPlot(FRAMES, f"{ERROR}, by {judge}", octaves=True) for judge in (NETWORK, SOLVER)}
        self.export = ExportButton(
            (
                Export("Result as JSON…", "frames.json", "Result (*.json)", self._result_file),
                Export("Curves as CSV…", "frames.csv", "Table (*.csv)", self._curves_file),
                Export("Curves as a figure…", "frames.png", "Picture (*.png);;Drawing (*.svg)", self._curves_file),
            )
        )
        self.export.wanted.connect(self.export_wanted)
        gap = gap_of(self)
        top = QHBoxLayout()
        top.setSpacing(gap)
        label = QLabel("&Numbers of images")
        label.setBuddy(self.frames)
        for part in (label, self.frames, self.begin):
            top.addWidget(part)
        top.addStretch(1)
        top.addWidget(self.export)
        plots = QHBoxLayout()
        plots.setSpacing(gap)
        for plot in self.plots.values():
            plots.addWidget(plot, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(gap, gap, gap, gap)
        layout.setSpacing(2 * gap)
        layout.addLayout(top)
        for part in (self.what, self.problem, self.equal):
            layout.addWidget(part)
        layout.addLayout(plots, 1)
        self.use_colours()

    def numbers(self) -> tuple[int, ...]:
        """Two numbers of frames or more, as they are written.

        Raises
        ------
        SettingsError
            If they are no such numbers.
        """
        words = re.split(r"[\s,;]+", self.frames.text().strip())
        found = sorted({int(word) for word in words if re.fullmatch(r"[0-9]{1,4}", word)})
        if len(found) < 2 or len(found) < len(set(words)) or found[0] < 1:
            raise SettingsError(
                f"{self.frames.text()!r} are not two numbers of images or more", "write numbers such as 2 4 8 12"
            )
        return tuple(found)

    def show_history(self, history: ComparisonHistory) -> None:
        """Show what was found so far."""
        self._history = history
        self.problem.setText("" if history.begun is None else history.begun.problem)
        self.equal.setText(equal_to_all(history))
        self.export.setEnabled(bool(history.runs))
        for label in (self.problem, self.equal):
            label.setVisible(bool(label.text()))
        counts = sorted({one.frames for one in history.judged.values()})
        for judge, plot in self.plots.items():
            plot.show_curves(_curves(history, judge), {count: str(count) for count in counts})

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        paint_primary(self.begin)
        ink(self.what, colours().muted)
        ink(self.problem, colours().muted)
        ink(self.equal, colours().text)
        for plot in self.plots.values():
            plot.use_colours()

    def _result_file(self) -> Write:
        history = self._history
        return lambda path: write_result(path, history)

    def _curves_file(self) -> Write:
        curves = [
            Curve(title=f"{one.title}, by {judge}", x=one.x, y=one.y)
            for judge in self.plots
            for one in _curves(self._history, judge)
        ]
        return lambda path: write_curves(path, curves, FRAMES, ERROR)


def _curves(history: ComparisonHistory, judge: str) -> list[Curve]:
    """Mean error of every design, by a judge, against the number of frames; what diverged is left out."""
    points: dict[str, dict[int, list[float]]] = {}
    titles: dict[str, str] = {}
    for one in history.judged.values():
        if judge in one.errors:
            titles.setdefault(one.name, one.title)
            points.setdefault(one.name, {}).setdefault(one.frames, []).append(float(np.mean(one.errors[judge])))
    found = []
    for name, by_frames in points.items():
        means = [(float(count), float(np.mean(values))) for count, values in sorted(by_frames.items())]
        kept = [(x, y) for x, y in means if np.isfinite(y)]
        if kept:
            x, y = zip(*kept, strict=True)
            found.append(Curve(title=titles[name], x=x, y=y))
    return found
