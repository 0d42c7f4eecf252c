"""The progress panel: loss, held-out scores, memory, and the proof of exact reversal."""

from __future__ import annotations

from collections.abc import Mapping

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QAction, QColor, QPalette
from PyQt6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from ptychoui.gui.look.theme import colours
from ptychoui.gui.training.kinds import FPM_WORDS, KindWords
from ptychoui.gui.widgets.loss_plot import LossPlot
from ptychoui.gui.widgets.memory_bars import MemoryBars
from ptychoui.gui.widgets.parts import Elided, FoldingButton, Yielding, ink
from ptychoui.gui.widgets.residual_plot import ResidualPlot
from ptychoui.session.history import RunHistory
from ptychoui.session.stack_run import StackHistory
from ptychoui.settings import Metric


class ProgressPanel(QWidget):
    """What a run has reached: training, or the reconstruction of a stack."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.loss = LossPlot(self)
        self.memory = MemoryBars(self)
        self._empty = False
        self.score = QLabel()
        self.score.setWordWrap(True)
        self.score.setTextFormat(Qt.TextFormat.PlainText)
        self._words = FPM_WORDS
        self.further = Elided()
        self.verdict = QLabel()
        self.verdict.setWordWrap(True)
        self.verdict.setTextFormat(Qt.TextFormat.PlainText)
        self._learned = True
        self.log = QCheckBox("Logarithmic loss")
        self.log.setChecked(True)
        self.log.setToolTip("Draw the loss on a logarithmic axis; without it on a linear one")
        self.log.toggled.connect(self.loss.set_log)
        self.compare = FoldingButton()
        self.compare.setAutoRaise(True)
        self.compare.hide()
        self.certificate = QLabel()
        self.certificate.setWordWrap(True)
        self.certificate.setToolTip(
            "The reversible strategy checks at every step that it came back to its start, bit for bit. "
            "Every so often derivatives are held against differences in double precision."
        )
        self.certificate.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        gap = max(4, self.fontMetrics().height() // 3)
        self.residual = ResidualPlot(self)
        training = QWidget()
        self.pages = QStackedWidget()
        self.pages.addWidget(training)
        self.pages.addWidget(self.residual)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(gap, gap, gap, gap)
        outer.addWidget(self.pages)
        layout = QVBoxLayout(training)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(gap)
        layout.addWidget(self.score)
        layout.addWidget(self.further)
        layout.addWidget(self.verdict)
        layout.addWidget(self.loss, 1)
        below = QHBoxLayout()
        below.addWidget(self.log)
        below.addStretch(1)
        below.addWidget(self.compare)
        layout.addLayout(below)
        facts = QWidget()
        column = QVBoxLayout(facts)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(gap)
        column.addWidget(self.memory)
        column.addWidget(self.certificate)
        layout.addWidget(Yielding(facts, 2))
        self.use_words(FPM_WORDS)
        self._texts(RunHistory())

    def use_words(self, words: KindWords) -> None:
        """Take the words of a kind of experiment."""
        self._words = words
        self.score.setToolTip(words.score)
        self._offer()

    def offer_comparison(self, action: QAction) -> None:
        """Offer a command beside what is said of the patterns."""
        self.compare.setDefaultAction(action)
        self._offer()

    def _offer(self) -> None:
        self.compare.setVisible(self.compare.defaultAction() is not None and self._words is FPM_WORDS)

    def show_history(self, history: RunHistory) -> None:
        """Show a run."""
        self.loss.show_history(history)
        if history.started is None:
            self.memory.clear()
        else:
            measured = history.last_step.memory_bytes if history.last_step is not None else 0
            self.memory.show_memory(history.started.strategy, measured, history.started.predicted_bytes)
        self._texts(history)

    def show_reconstruction(self, history: StackHistory) -> None:
        """Show the reconstruction of a stack."""
        self.residual.show_history(history)

    def turn_to(self, reconstruction: bool) -> None:
        """Show the page of the reconstruction, or that of training."""
        self.pages.setCurrentWidget(self.residual if reconstruction else self.pages.widget(0))

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        self.residual.use_colours()
        self.loss.use_colours()
        self.memory.update()
        self._ink()

    def _texts(self, history: RunHistory) -> None:
        last, first = history.last_score, history.first_score
        if last is None or first is None:
            self.score.setText("No score yet")
        else:
            gain = ""
            if last is not first:
                gain = f", at the start {history.score(first):.3f}"
            worthless = history.metrics[0].worthless
            empty = f", no better than an empty picture ({worthless:g})" if history.shows_nothing else ""
            self.score.setText(f"Held-out {history.metrics[0].label} {history.score(last):.3f}{gain}{empty}")
        further = "" if last is None else ", ".join(_further(history.metrics[1:], last.scores))
        further = further[:1].upper() + further[1:]
        self.further.say(further, f"{further}\n{self._words.score}")
        self.further.setVisible(bool(further))
        sentence, self._learned = history.recommendation
        # The evidence is as long as all the rest of the panel: it is under the mouse, and in the report.
        self.verdict.setText(sentence[:1].upper() + sentence.partition(" (")[0][1:])
        self.verdict.setToolTip(f"{sentence}.\n\n{self._words.compared}")
        self.verdict.setVisible(bool(sentence))
        self.certificate.setText(history.proof)
        self.certificate.setVisible(bool(history.proof))
        self._empty = history.shows_nothing
        self._ink()

    def _ink(self) -> None:
        ink(self.score, colours().warning if self._empty else colours().text)
        ink(self.further, colours().muted)
        ink(self.verdict, colours().good if self._learned else colours().warning)
        palette = self.certificate.palette()
        palette.setColor(QPalette.ColorRole.WindowText, QColor(colours().good))
        self.certificate.setPalette(palette)


def _further(metrics: tuple[Metric, ...], scores: Mapping[str, float]) -> list[str]:
    """Scores beside the one that decides, in words."""
    found = [(metric, scores[metric.name]) for metric in metrics if metric.name in scores]
    return [f"{metric.label} {value:.3g} {metric.unit}".rstrip() for metric, value in found]
