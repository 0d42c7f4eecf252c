"""Joins the panel of the real array with the link that owns it, and with what is open in the window."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
from PyQt6.QtCore import QEventLoop, QObject, pyqtSignal
from PyQt6.QtWidgets import QApplication, QWidget

from ptychoui.devices.frames import FULL, Frame
from ptychoui.errors import PtychouiError
from ptychoui.gui.devices.panel import DevicePanel
from ptychoui.gui.devices.questions import AllPortsQuestion, BrightQuestion, LitQuestion
from ptychoui.session.device_link import DeviceLink
from ptychoui.session.device_preview import (
    Prepared,
    colour_of,
    foresee,
    most_current_ma,
    prepare,
    seen,
)
from ptychoui.session.device_state import Dark, Leave, LinkState, Phase, Play, Show
from ptychoui.session.document import Document
from ptychoui.session.led_walk import Walk, layouts_of
from ptychoui.settings import Geometry
from ptychoui.training.events import Failed

LEAVE_S = 2.0
"""How long closing the window waits for the array to be dark."""


class Controls(Protocol):
    """What is needed of the window's controller."""

    document: Document

    def say(self, level: str, message: str, hint: str = "", details: str = "") -> None:
        """Put a line into the message list."""

    def take_geometry(self, geometry: Geometry, label: str) -> bool:
        """Put a geometry in place of the present one, with undo."""


Submit = Callable[..., None]


class DeviceDesk(QObject):
    """Sends what the panel asks for, and shows what the link says; asked 30 times a second.

    Attributes
    ----------
    sent
        A pattern or a sequence of the design was shown.
    used
        URL of an array that was opened.
    """

    sent = pyqtSignal()
    used = pyqtSignal(str)

    def __init__(
        self,
        controller: Controls,
        panel: DevicePanel,
        submit: Submit,
        link: DeviceLink | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.link = link or DeviceLink()
        self._controller, self._panel, self._submit = controller, panel, submit
        self._prepared: Prepared | None = None
        self._asked_for: object = None
        self._stale = True
        self._wavelength_um: float | None = None
        self._said: LinkState | None = None
        self._pending = ""
        self._wanted_row = -1
        panel.line.use_log(self.link.log)
        panel.dark_wanted.connect(lambda: self.dark())
        panel.connection.connect_wanted.connect(self._connect)
        panel.connection.leave_wanted.connect(self.link.leave)
        panel.connection.find_wanted.connect(self._find)
        panel.pattern.show_wanted.connect(self._show)
        panel.pattern.row_chosen.connect(self._look_at)
        panel.pattern.options_changed.connect(self._use)
        panel.pattern.prepare_wanted.connect(self._prepare)
        panel.sequence.play_wanted.connect(self._play)
        panel.sequence.stop_wanted.connect(lambda: self.dark("the sequence was stopped"))
        panel.sequence.timing_changed.connect(self._timing_changed)
        panel.walk.begin_wanted.connect(self._begin_walk)
        panel.walk.light_wanted.connect(self._light)
        panel.walk.ended.connect(lambda: self.dark())
        panel.walk.take_wanted.connect(self._take_numbering)
        panel.emulated.pull_wanted.connect(self._pull)
        panel.line.copied.connect(lambda: controller.say("info", "The bytes are in the clipboard"))

    # What is open ---------------------------------------------------------------------------------------------

    def show_document(self, what: str = "all") -> None:
        """Something else is open, or changed; an array that shows the last document's patterns goes dark."""
        if what == "all":
            self._panel.walk.stop()
            if self.link.state.lit:
                self.dark("dark, for something else was opened")
        self._stale = True
        if self._panel.isVisible():
            self._refresh()

    def _refresh(self) -> None:
        """Prepare what is open, in the background."""
        self._stale = False
        document, panel = self._controller.document, self._panel
        leds, geometry = document.leds(), document.geometry
        if leds is None or geometry is None:
            panel.emulated.show_geometry(None, None, 0.0)
        else:
            panel.emulated.show_geometry(leds.illumination_na, leds.numbers, geometry.microscope.objective_na)
        panel.walk.show_geometry(geometry if leds is not None else None)
        if geometry is not None and geometry.microscope.wavelength_um != self._wavelength_um:
            self._wavelength_um = geometry.microscope.wavelength_um
            if self.link.state.opened is None:
                panel.pattern.use_colour(colour_of(self._wavelength_um))
        self._prepare()

    def _prepare(self) -> None:
        panel = self._panel
        try:
            patterns = self._controller.document.patterns()
        except PtychouiError as error:
            self._take(None, f"{error.message[:1].upper()}{error.message[1:]}: {error.hint}.")
            return
        bits, frame_ms, divide = panel.pattern.bits_wanted, panel.sequence.frame.value(), panel.pattern.gain.isChecked()
        self._asked_for = patterns, bits, frame_ms, divide

        def refused(failed: Failed) -> None:
            self._take(None, f"{failed.message}. {failed.hint}")

        self._submit("array design", lambda: prepare(patterns, bits, frame_ms, divide), self._take, refused=refused)

    def _take(self, prepared: Prepared | None, why: str = "") -> None:
        self._prepared = prepared
        self._panel.pattern.show_design(prepared, why)
        self._look_at(self._panel.pattern.strip.row)
        self._foresee()

    def _look_at(self, row: int) -> None:
        prepared, page = self._prepared, self._panel.pattern
        if prepared is not None and 0 <= row < len(prepared.patterns.levels):
            notes = prepared.plan.notes if prepared.plan is not None else ()
            found, state = seen(prepared, row, self.link.state.opened, page.share), self.link.state
            shown = state.values if state.phase is Phase.SHOWING and state.row == row else None
            if shown is not None and not np.array_equal(shown, found.values):
                notes = ("the array shows it as it was before the last change: Show sends it again", *notes)
            page.show_seen(found, notes)

    def _foresee(self) -> None:
        page, prepared = self._panel.sequence, self._prepared
        if prepared is None:
            page.show_foreseen(None, ())
            return
        found = foresee(
            prepared, self.link.state.opened, self._panel.pattern.share, page.timing, page.delay_ms, page.count.value()
        )
        page.show_foreseen(found, ())

    def _timing_changed(self) -> None:
        asked = self._asked_for
        if isinstance(asked, tuple) and asked[2] != self._panel.sequence.frame.value():
            self._prepare()
        else:
            self._foresee()

    # What is wanted of the array --------------------------------------------------------------------------------

    def dark(self, why: str = "") -> None:
        """Make the array dark."""
        self._wanted_row = -1
        if self.link.state.opened is not None or self.link.pending is not None:
            self.link.dark(why)

    def _connect(self, url: str) -> None:
        if not url:
            self._controller.say("warning", "There is no URL to connect to", "Find looks for arrays; simulate: is one")
            return
        self.link.connect(url, self._panel.pattern.options)

    def _find(self, everything: bool) -> None:
        if not everything or AllPortsQuestion.ask(self._panel):
            self.link.find(everything)

    def _show(self, row: int) -> None:
        prepared, opened = self._prepared, self.link.state.opened
        if prepared is None or prepared.plan is None or opened is None:
            return
        frame = prepared.plan.frames[row]
        draw = seen(prepared, row, opened, self._panel.pattern.share).current_ma
        confirmed = self._may_draw(frame.name, draw)
        if confirmed is not None:
            self._wanted_row = row
            self.link.show(frame, row, confirmed)

    def _may_draw(self, what: str, draw_ma: float) -> bool | None:
        """False where nothing needs to be confirmed, True where it was; None where it is not wanted."""
        opened = self.link.state.opened
        usual = 0.0 if opened is None else opened.usual_limit_ma
        limit_ma = self._panel.pattern.options.current_limit_ma or usual
        if draw_ma <= limit_ma:
            return False
        return True if BrightQuestion.ask(self._panel, what, draw_ma, limit_ma) else None

    def _use(self) -> None:
        """Another brightness, colour or limit; what is shown is shown again with it."""
        state = self.link.state
        if state.opened is not None:
            row = self._wanted_row if state.phase is Phase.SHOWING else -1
            self.link.use(self._panel.pattern.options)
            if row >= 0:
                self._show(row)
        self._look_at(self._panel.pattern.strip.row)
        self._foresee()

    def _play(self) -> None:
        prepared, opened, page = self._prepared, self.link.state.opened, self._panel.sequence
        if prepared is None or prepared.plan is None or opened is None:
            return
        confirmed = self._may_draw("A pattern", most_current_ma(prepared, opened, self._panel.pattern.share))
        if confirmed is None:
            return
        self._wanted_row = -1
        self.link.play(
            Play(
                frames=prepared.plan.frames,
                exposures_ms=prepared.plan.exposures_ms,
                timing=page.timing,
                delay_ms=page.delay_ms,
                count=page.count.value(),
                trigger=page.trigger.isChecked(),
                confirmed=confirmed,
            )
        )

    def _pull(self) -> None:
        emulator = self.link.emulator
        if emulator is not None:
            emulator.unplug()

    # The walk -----------------------------------------------------------------------------------------------

    def _begin_walk(self, every: bool) -> None:
        geometry, opened = self._controller.document.geometry, self.link.state.opened
        if geometry is None or opened is None:
            return

        def begin(walk: Walk) -> None:
            if self.link.state.opened == opened and self._controller.document.geometry == geometry:
                self._panel.walk.start(walk)

        def work() -> Walk:
            return Walk(geometry, layouts_of(geometry), opened.capabilities.n_leds, every)

        self._submit("walk", work, begin, "Working out orders of numbers…")

    def _light(self, number: int) -> None:
        frame = Frame(numbers=np.array([number]), levels=np.ones(1), name=f"LED {number}")
        self._wanted_row = -1
        self.link.show(frame)

    def _take_numbering(self, geometry: Geometry) -> None:
        if self._controller.take_geometry(geometry, "Numbering"):
            self._controller.say("info", "The geometry has the numbering of the walk", "undo takes it back")

    # What the link says -------------------------------------------------------------------------------------

    def look(self) -> None:
        """Show what is new; called 30 times a second by the window's own timer."""
        panel, link = self._panel, self.link
        if self._stale and panel.isVisible():
            self._refresh()
        before, state = link.state, link.drain()
        if state is not None:
            panel.show_state(state)
            self._tell(before, state)
        self._say_pending()
        now = link.state
        if now.phase is Phase.PLAYING:
            row = now.row_at(link.clock())
            who = "by the clock of this computer" if now.in_hardware else "verified"
            panel.sequence.show_row(row, who)
            panel.pattern.follow(row)
        elif state is not None and now.phase is Phase.LOADING:
            panel.sequence.show_row(-1, "")
        if panel.isVisible():
            if (emulator := link.emulator) is not None:
                panel.emulated.show_light(emulator.light, FULL * panel.pattern.share)
            panel.line.look()

    def _tell(self, before: LinkState, state: LinkState) -> None:
        """What follows from a new state beyond the panel."""
        if state.phase in (Phase.FAILED, Phase.UNPLUGGED) and state is not self._said:
            self._said = state
            self._controller.say("error", state.message, state.hint)
        if state.opened != before.opened:
            self._foresee()
        if state.opened != before.opened or Phase.SHOWING in (state.phase, before.phase):
            self._look_at(self._panel.pattern.strip.row)
        if state.opened != before.opened:
            if state.opened is not None and before.opened is None:
                self.used.emit(state.opened.url)
        if (state.phase is Phase.SHOWING and state.row >= 0) or state.phase is Phase.PLAYING:
            self.sent.emit()

    def _say_pending(self) -> None:
        """Say what is asked for and not done yet, at once."""
        wish = self.link.pending
        text = ""
        if isinstance(wish, Dark) and self.link.state.lit:
            text = "Going dark…"
        elif isinstance(wish, Leave):
            text = "Going dark, leaving…"
        elif isinstance(wish, Show) and wish.ticket > self.link.state.ticket:
            text = f"Sending {wish.frame.name}…"
        if text != self._pending:
            self._pending = text
            self._panel.say_pending(text)

    def close(self, parent: QWidget) -> bool:
        """Make the array dark before the window goes; False where it is lit and the person stays."""
        said = self.link.close(0.0)
        end = time.monotonic() + LEAVE_S
        while said and self.link.alive and time.monotonic() < end:
            QApplication.processEvents(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
            said = self.link.close(0.03)
        return not said or LitQuestion.ask(parent, f"{said[:1].upper()}{said[1:]}.")
