"""Gradient strategies side by side: losses that lie on each other, memory and time of each. Made to be shown."""

from __future__ import annotations

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QFont, QResizeEvent
from PyQt6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from ptychoui.errors import PtychouiError
from ptychoui.gui.look.theme import colours
from ptychoui.gui.shell.controller import Controller
from ptychoui.gui.shell.work_dialog import WorkDialog, button
from ptychoui.gui.widgets.number_boxes import CountBox
from ptychoui.gui.widgets.parts import by_font, gap_of, ink, sentence
from ptychoui.gui.widgets.strategy_bars import StrategyBar, StrategyBars
from ptychoui.gui.widgets.strategy_plots import LARGE, DepthPlot, RacePlot
from ptychoui.session.strategy_race import KEEPS, TITLES, RacePlan
from ptychoui.session.worker import RunState
from ptychoui.training.events import Stopped

LEAST_LINES = 36
"""Lines of text that the dialog is high at least."""

VERDICT = 1.6
"""Text of the verdict, in units of the usual one."""

USUAL_CHARACTERS, LARGEST = 210, 1.7
"""Characters that the dialog is wide where texts have that size; by so much they are larger at most."""

MEASURED = (
    "Measured: the peak memory of a step, by the meter of live tensors on a CPU and by the allocator on a GPU, at the "
    "first step, without the program and its data; the time of a step, wall clock, median of the later ones. "
    "Hatched bars and dashed lines are predictions."
)


class StrategyDialog(WorkDialog):
    """Asks for strategies, steps and unrolls, and shows what comes of them."""

    def __init__(self, controller: Controller, parent: QWidget) -> None:
        super().__init__(controller, "strategies", "Compare gradient strategies", "Comparing", parent)
        self.setWindowFlag(Qt.WindowType.WindowMaximizeButtonHint)
        self._history = controller.document.race
        experiment = controller.document.experiment
        self.boxes: dict[str, QCheckBox] = {}
        for name, title in TITLES.items():
            box = self.boxes[name] = QCheckBox(title)
            box.setToolTip(f"{title} {KEEPS[name]}")
            box.setChecked(True)
            box.toggled.connect(lambda _: self.show_work())
        self.steps, self.unrolls = CountBox(arrows=True), CountBox(arrows=True)
        self.steps.setRange(2, 10_000)
        self.steps.setValue(RacePlan().steps)
        self.steps.setToolTip("Steps of every strategy")
        self.unrolls.setRange(1, 10_000)
        network = getattr(experiment, "network", None)
        self.unrolls.setValue(int(getattr(network, "unrolls", 1)))
        self.unrolls.setEnabled(hasattr(network, "unrolls"))
        self.unrolls.setToolTip("Unrolls of the network: the more there are, the more back-propagation keeps")
        for count, text in ((self.steps, "Steps"), (self.unrolls, "Unrolls")):
            count.setAccessibleName(text)
            count.refused.connect(self.say_trouble)
        self.begin = button("Compare", "Run the strategies on the open experiment, each a step in turn", primary=True)
        self.halt = button("Stop", "Give the comparison up at the next layer")
        self.plot, self.depths, self.bars = RacePlot(self), DepthPlot(self), StrategyBars(self)
        self._measured: dict[tuple[str, int], int] = {}
        self.bars.setToolTip(MEASURED)
        for part in (self.plot, self.depths, self.bars):
            by_font(part, lambda part: part.setMinimumSize(part.minimumSizeHint()))
        self.verdict, self.saving = QLabel(), QLabel()
        self.problem, self.how = QLabel(), QLabel(MEASURED)
        for label in (self.verdict, self.saving, self.problem, self.how):
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
        self._scale_text()
        gap = gap_of(self)
        top = QHBoxLayout()
        top.setSpacing(2 * gap)
        for box in self.boxes.values():
            top.addWidget(box)
        top.addSpacing(2 * gap)
        for text, count in (("&Steps", self.steps), ("&Unrolls", self.unrolls)):
            label = QLabel(text)
            label.setBuddy(count)
            top.addWidget(label)
            top.addWidget(count)
        top.addStretch(1)
        top.addWidget(self.halt)
        top.addWidget(self.begin)
        middle = QHBoxLayout()
        middle.setSpacing(4 * gap)
        plots = QVBoxLayout()
        plots.setSpacing(gap)
        plots.addWidget(self.plot, 3)
        plots.addWidget(self.depths, 2)
        middle.addLayout(plots, 6)
        middle.addWidget(self.bars, 5)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(3 * gap, 3 * gap, 3 * gap, 3 * gap)
        layout.setSpacing(2 * gap)
        layout.addLayout(top)
        layout.addWidget(self.problem)
        layout.addWidget(self.status)
        layout.addLayout(middle, 1)
        layout.addWidget(self.verdict)
        layout.addWidget(self.saving)
        layout.addWidget(self.trouble)
        layout.addWidget(self.how)
        self.begin.clicked.connect(self.start)
        self.halt.clicked.connect(controller.stop)
        # Wrapped labels say too little of their height to the layout.
        by_font(self, lambda dialog: dialog.setMinimumHeight(LEAST_LINES * dialog.fontMetrics().height()))
        # As large as the window: it is made to be shown.
        self.resize((parent.size() * 0.94).expandedTo(self.minimumSizeHint()))
        self.use_colours()
        self.show_work()

    @classmethod
    def open_for(cls, controller: Controller, parent: QWidget) -> StrategyDialog:
        """Show the dialog; there is one at most."""
        for found in parent.findChildren(cls):
            found.raise_()
            return found
        dialog = cls(controller, parent)
        dialog.show()
        return dialog

    def start(self) -> None:
        """Compare what is asked for."""
        self.say_trouble("")
        try:
            chosen = tuple(name for name, box in self.boxes.items() if box.isChecked())
            unrolls = self.unrolls.value() if self.unrolls.isEnabled() else None
            plan = RacePlan(strategies=chosen, steps=self.steps.value(), unrolls=unrolls)
            plan.of(self.controller.document.experiment)
        except PtychouiError as error:
            self.say_trouble(error.message, error.hint)
            return
        if self.controller.compare_strategies(plan):
            self._history = self.controller.document.race
            self.show_work()

    def _document_changed(self, what: str) -> None:
        # What was measured at other depths was measured with other settings.
        self._measured.clear()
        super()._document_changed(what)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """The larger the dialog, the larger what is said."""
        super().resizeEvent(event)
        self._scale_text()

    def _scale_text(self) -> None:
        wide = self.width() / self.fontMetrics().averageCharWidth()
        larger = min(LARGEST, max(1.0, wide / USUAL_CHARACTERS))
        for label, scale in ((self.verdict, VERDICT), (self.saving, LARGE)):
            label.setFont(self._font(scale * larger, bold=label is self.verdict))

    def show_work(self) -> None:
        """Show what the strategies have told."""
        history, begun = self._history, self._history.begun
        self.plot.show_history(history)
        if begun is not None:
            self._measured |= {(name, begun.unrolls): size for name, size in history.memory.items() if size}
        self.depths.show_memory(begun, self._measured)
        self.bars.show_bars(self._bars())
        self.problem.setText(begun.problem if begun is not None else self._asked())
        if self.working and history.preparing:
            self.status.show_busy(history.preparing)
        elif begun is not None:
            self.status.show_progress(history.step, begun.steps, f"step {history.step} of {begun.steps}")
        elif not self.working:
            self.status.show_progress(0, 1)
        self.verdict.setText(history.verdict)
        self.verdict.setVisible(bool(history.verdict))
        self.saving.setText(sentence(history.saving))
        self.saving.setVisible(bool(history.saving))
        self._ink()
        if history.end is not None:
            self.say_end(history.end)
        if isinstance(history.end, Stopped) and begun is not None:
            self.status.show_progress(history.step, begun.steps, f"stopped after step {history.step}")
        idle = not self.controller.state.active
        for part in (*self.boxes.values(), self.steps):
            part.setEnabled(idle)
        self.unrolls.setEnabled(idle and hasattr(getattr(self._experiment, "network", None), "unrolls"))
        self.begin.setEnabled(idle)
        self.halt.setEnabled(self.working and self.controller.state is not RunState.STOPPING)

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        super().use_colours()
        self.plot.use_colours()
        self.depths.use_colours()
        ink(self.problem, colours().muted)
        ink(self.how, colours().muted)
        self._ink()
        self.bars.update()
        self.update()

    def _ink(self) -> None:
        agreement = self._history.agreement
        agree = agreement is None or agreement.equal
        ink(self.verdict, colours().good if agree else colours().warning)

    @property
    def _experiment(self) -> object:
        return self.controller.document.experiment

    def _asked(self) -> str:
        experiment = self.controller.document.experiment
        return f"{experiment.name}: the same start, batches and noise for every strategy, a step of each in turn"

    def _bars(self) -> tuple[StrategyBar, ...]:
        """A row for every strategy that runs or is chosen."""
        history, begun = self._history, self._history.begun
        if begun is not None:
            shown = [name for name in TITLES if name in begun.strategies or name in begun.left_out]
        else:
            shown = [name for name, box in self.boxes.items() if box.isChecked()]
        rows = []
        for name in shown:
            measured = history.memory.get(name, 0)
            predicted = 0 if begun is None else begun.predicted_bytes.get(name, 0)
            seconds = history.step_seconds(name)
            text = "" if seconds is None else f"{_time_text(seconds)} a step"
            if begun is not None and name in begun.left_out:
                text = f"not run: {begun.left_out[name]}"
            rows.append(
                StrategyBar(
                    name=name,
                    title=TITLES[name],
                    keeps=KEEPS[name],
                    bytes=measured or predicted,
                    measured=bool(measured),
                    note=text,
                )
            )
        return tuple(rows)

    def _font(self, scale: float, bold: bool = False) -> QFont:
        font = QFont(self.font())
        font.setPointSizeF(font.pointSizeF() * scale)
        font.setBold(bold)
        return font


def _time_text(seconds: float) -> str:
    """Three digits of a time."""
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
