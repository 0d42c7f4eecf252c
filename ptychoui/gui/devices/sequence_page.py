"""All patterns one after the other: times, trigger, who keeps the clock, and how far it is."""

from __future__ import annotations

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtWidgets import QCheckBox, QProgressBar, QVBoxLayout, QWidget

from ptychoui.devices.timeline import Timing
from ptychoui.gui.devices.parts import allow, refuse, rows_of, tool
from ptychoui.gui.devices.timeline_view import TimelineView
from ptychoui.gui.look.theme import colours
from ptychoui.gui.widgets.number_boxes import CountBox, NumberBox
from ptychoui.gui.widgets.parts import CommandRow, Elided, bullets, gap_of, ink, note, scrolled
from ptychoui.session.device_preview import Foreseen
from ptychoui.session.device_state import LinkState, Phase

LONGEST_MS = 3_600_000.0
MOST_TIMES = 10_000


class SequencePage(QWidget):
    """Asks for a sequence to be played and stopped.

    Attributes
    ----------
    play_wanted, stop_wanted
        The buttons.
    timing_changed
        Times, trigger or count are others.
    """

    play_wanted = pyqtSignal()
    stop_wanted = pyqtSignal()
    timing_changed = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._foreseen: Foreseen | None = None
        self._state = LinkState()
        self.frame = _ms(100.0, least=0.001)
        self.settle, self.pwm, self.readout, self.gap = _ms(5.0), _ms(0.0), _ms(0.0), _ms(0.0)
        self.delay = NumberBox("ms", empty="automatic")
        self.delay.setMaximum(LONGEST_MS)
        self.count = CountBox("", arrows=True)
        self.count.setRange(1, MOST_TIMES)
        self.trigger = QCheckBox("Trigger the camera at every pattern")
        self.trigger.setToolTip("A pulse on the array's output once the LEDs of a pattern shine")
        grid, self.errors = rows_of(
            ("Frame", self.frame, "Time of one frame of the design in ms; exposures are given in frames"),
            ("Settle", self.settle, "From the command to steady light in ms: latching the LEDs, and their drivers"),
            (
                "PWM period",
                self.pwm,
                "Period of the LEDs' pulse width in ms, 0 where they are not dimmed so: exposures are multiples of it",
            ),
            (
                "Read-out",
                self.readout,
                "Rolling shutter: time in ms between the start of its first row and of its last. Global shutter: 0",
            ),
            ("Camera gap", self.gap, "Time in ms that the camera needs between two exposures"),
            (
                "Time per pattern",
                self.delay,
                "Time of each pattern in ms; automatic: as exposure, settle and read-out need",
            ),
            ("Repeat", self.count, "How often the sequence is played"),
        )
        self.timeline = TimelineView()
        self.words = note()
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setAccessibleName("How far the sequence is")
        self.progress.setFixedHeight(max(5, self.fontMetrics().height() // 3))
        self.at = Elided(least=8)
        self.play = tool("Play", "Play the sequence from its first pattern; dark at its end", "train")
        self.stop = tool("Stop", "End the sequence: the array goes dark at once", "stop")
        gap = gap_of(self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, gap, 0, 0)
        column.setSpacing(gap)
        column.addWidget(scrolled(gap, self.timeline, self.words, grid, self.trigger), 1)
        column.addWidget(self.at)
        column.addWidget(self.progress)
        column.addWidget(CommandRow((self.play, self.stop)))
        for box in (self.frame, self.settle, self.pwm, self.readout, self.gap, self.delay, self.count):
            box.valueChanged.connect(lambda _: self.timing_changed.emit())
            box.refused.connect(lambda why, box=box: refuse(self.errors[box], why))
        self.trigger.toggled.connect(lambda _: self.timing_changed.emit())
        self.play.clicked.connect(self.play_wanted)
        self.stop.clicked.connect(self.stop_wanted)
        self.show_foreseen(None, ())

    @property
    def timing(self) -> Timing:
        """Times of LEDs and camera."""
        return Timing(
            pwm_period_ms=self.pwm.value(),
            settle_ms=self.settle.value(),
            readout_ms=self.readout.value(),
            camera_gap_ms=self.gap.value(),
        )

    @property
    def delay_ms(self) -> float | None:
        """Time per pattern in ms; None for the automatic one."""
        return self.delay.value() or None

    def show_foreseen(self, foreseen: Foreseen | None, notes: tuple[str, ...]) -> None:
        """Show how the sequence would be played."""
        self._foreseen = foreseen
        if foreseen is None:
            bullets(self.words, ["no patterns yet: open data with a geometry"], colours().muted)
            self.timeline.show_times(None, self.timing, 0.0, False)
        elif foreseen.problem:
            bullets(self.words, [foreseen.problem], colours().error)
            self.timeline.show_times(foreseen.times, self.timing, foreseen.delay_ms, self.trigger.isChecked())
        else:
            more = foreseen.times.notes if foreseen.times is not None else ()
            bullets(self.words, [foreseen.sentence, *more, *notes], colours().muted)
            self.timeline.show_times(foreseen.times, self.timing, foreseen.delay_ms, self.trigger.isChecked())
        self._enable()

    def show_state(self, state: LinkState) -> None:
        """What can be pressed, and what the array said of the sequence."""
        self._state = state
        if state.phase not in (Phase.PLAYING, Phase.LOADING):
            self.show_row(-1, "")
        self._enable()

    def show_row(self, row: int, who: str) -> None:
        """Mark the pattern that shines; ``who`` says how that is known."""
        rows = self._state.rows
        self.timeline.mark(row)
        if self._state.phase is Phase.LOADING:
            self.progress.setRange(0, 0)
        else:
            self.progress.setRange(0, max(1, rows))
            self.progress.setValue(row + 1)
        self.at.say(f"Pattern {row + 1} of {rows}, {who}" if row >= 0 else "")

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        self.timeline.update()
        bad = self._foreseen is not None and bool(self._foreseen.problem)
        ink(self.words, colours().error if bad else colours().muted)

    def _enable(self) -> None:
        opened, foreseen = self._state.opened, self._foreseen
        playing = self._state.phase in (Phase.PLAYING, Phase.LOADING)
        why = ""
        if opened is None:
            why = "connect an array first"
        elif foreseen is None:
            why = "there are no patterns yet"
        elif foreseen.problem:
            why = foreseen.problem
        elif playing:
            why = "it is being played"
        allow(self.play, why)
        allow(self.stop, "" if playing else "nothing is played")
        can = opened is None or opened.capabilities.trigger_outputs > 0
        self.trigger.setEnabled(can)
        tip = "A pulse on the array's output once the LEDs of a pattern shine"
        self.trigger.setToolTip(tip if can else f"{tip}: this array has no output for it")
        if not can:
            self.trigger.setChecked(False)


def _ms(value: float, least: float = 0.0) -> NumberBox:
    """A time in ms."""
    box = NumberBox("ms")
    box.setRange(least, LONGEST_MS)
    box.setValue(value)
    return box
