"""Owns the open LED array in a thread of its own. No Qt: the window puts wishes in and takes the newest state out.

Whatever is asked, the thread ends with a state that carries the number of the wish. A wish that ends others (dark,
leave, connect, find, play) makes all states of earlier wishes stale: they are never shown. Between wishes the array
hears that the program is alive, or the line is looked at, so that a pulled cable is seen.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from ptychoui.devices.byte_log import ByteLog
from ptychoui.devices.device import Device, DeviceOptions
from ptychoui.devices.emulators.wire import Emulator
from ptychoui.devices.finding import Answer, ask_ports, ports
from ptychoui.devices.frames import Frame
from ptychoui.devices.opening import open_device
from ptychoui.devices.timeline import timeline
from ptychoui.errors import DeviceError, PtychouiError, StopRequested, UnpluggedError
from ptychoui.session.device_state import (
    Connect,
    Dark,
    Find,
    Leave,
    LinkState,
    Opened,
    Phase,
    Play,
    Show,
    Use,
    Wish,
    answered,
)
from ptychoui.session.failures import describe
from ptychoui.words import counted

IDLE_S = 0.5
"""How often the line of a device without heartbeats is looked at."""

Opener = Callable[..., Device]
Finder = Callable[[bool], list[Answer]]
ENDING = (Dark, Leave, Connect, Find, Play, Use)
"""Wishes that end whatever runs, and make what waits void."""


def find_arrays(everything: bool) -> list[Answer]:
    """Ask the ports of this machine; those of unknown chips only where everything is to be asked."""
    return ask_ports(ports(), everything)


class DeviceLink:
    """One array at most, and the thread that owns it, which begins with the first wish.

    Parameters
    ----------
    opener, finder
        What opens a URL, and what looks for arrays; tests pass their own.
    clock
        Seconds, monotonic.
    """

    def __init__(
        self,
        opener: Opener = open_device,
        finder: Finder = find_arrays,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._opener, self._finder, self.clock = opener, finder, clock
        self.log = ByteLog()
        self.abort = threading.Event()
        self._change = threading.Condition()
        self._waiting: list[Wish] = []
        self._doing: Wish | None = None
        self._ends_at = 0.0
        self._overdue = False
        self._deaf = False
        """While it makes the array dark, no wish may stop that."""
        self._ended_lit = False
        """Whether the wish before was ended while LEDs shone."""
        self._tickets = 0
        self._floor = 0
        self._newest = LinkState()
        self._taken = self._newest
        self._state = self._newest
        self._device: Device | None = None
        self._opened: Opened | None = None
        self._thread: threading.Thread | None = None
        self._last_words = ""

    # For the window ---------------------------------------------------------------------------------------------

    @property
    def state(self) -> LinkState:
        """The newest state that `drain` gave."""
        return self._taken

    @property
    def pending(self) -> Wish | None:
        """What is being done or waits and is not answered yet; None where nothing is."""
        with self._change:
            return self._waiting[-1] if self._waiting else self._doing

    @property
    def alive(self) -> bool:
        """Whether the thread lives."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def emulator(self) -> Emulator | None:
        """The emulated array, where one is open: what shines may be read from any thread."""
        device = self._device
        return None if device is None else device.emulator

    def find(self, everything: bool = False) -> int:
        """Ask ports what is there; what was open is left first."""
        return self._ask(Find(everything=everything))

    def connect(self, url: str, options: DeviceOptions) -> int:
        """Open an array; another one is left first."""
        return self._ask(Connect(url=url, options=options))

    def show(self, frame: Frame, row: int = -1, confirmed: bool = False) -> int:
        """Show a pattern; of several that wait only the newest is shown."""
        return self._ask(Show(frame=frame, row=row, confirmed=confirmed))

    def play(self, order: Play) -> int:
        """Play a sequence."""
        return self._ask(order)

    def use(self, options: DeviceOptions) -> int:
        """Take another brightness, colour or limit."""
        return self._ask(Use(options=options))

    def dark(self, why: str = "") -> int:
        """Make the array dark, whatever it does; ``why`` is said where it was lit."""
        return self._ask(Dark(why=why))

    def leave(self) -> int:
        """Make the array dark and close its line."""
        return self._ask(Leave())

    def drain(self) -> LinkState | None:
        """The newest state, where there is one that was not seen and is not stale; also ends what is overdue."""
        with self._change:
            if self._doing is not None and self.clock() > self._ends_at and not (self._overdue or self._deaf):
                self._overdue = True
                self.abort.set()
            newest = self._newest
            if newest is self._taken or newest.ticket < self._floor:
                return None
            self._taken = newest
            return newest

    def close(self, timeout_s: float = 2.0) -> str:
        """Make the array dark, close the line and end the thread.

        Parameters
        ----------
        timeout_s
            How long that is waited for, in s; 0 only asks for it.

        Returns
        -------
        A sentence where the array may still be lit; empty where it is dark. It says so, too, while the thread lives.
        """
        thread = self._thread
        if thread is None:
            return ""
        with self._change:
            asked = any(isinstance(wish, Leave) and wish.last for wish in (*self._waiting, self._doing))
        if not asked and thread.is_alive():
            self._ask(Leave(last=True))
        thread.join(timeout_s)
        if thread.is_alive():
            name = self._opened.name if self._opened is not None else "the array"
            return f"{name} does not answer and may still be lit: switch off its supply"
        self._thread = None
        said, self._last_words = self._last_words, ""
        return said

    def _ask(self, wish: Wish) -> int:
        with self._change:
            self._tickets += 1
            wish = replace(wish, ticket=self._tickets)
            if isinstance(wish, ENDING):
                self._waiting = [kept for kept in self._waiting if isinstance(kept, Leave)]
                self._floor = wish.ticket
            else:
                self._waiting = [kept for kept in self._waiting if not isinstance(kept, Show)]
            self._waiting.append(wish)
            doing = self._doing
            # What makes dark is never stopped; one pattern after another waits for the first.
            ends = isinstance(doing, (Play, Find, Connect)) or (isinstance(doing, Show) and isinstance(wish, ENDING))
            if ends and not self._deaf:
                self.abort.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="ptychoui LED array", daemon=True)
                self._thread.start()
            self._change.notify_all()
        return wish.ticket

    # In the thread ----------------------------------------------------------------------------------------------

    def _work(self) -> None:
        last = False
        while not last:
            wish = self._next()
            if wish is None:
                self._guarded(self._look)
                continue
            self._guarded(partial(self._do, wish))
            self._ended_lit = self._ended_lit and not isinstance(wish, Dark)
            with self._change:
                self._doing, self._deaf = None, False
                self.abort.clear()
            last = isinstance(wish, Leave) and wish.last

    def _next(self) -> Wish | None:
        """The next wish; None where it is time to look at the line."""
        device = self._device
        pause = None if device is None else (device.beat_every_s or IDLE_S)
        with self._change:
            if not self._waiting:
                self._change.wait(pause)
            if not self._waiting:
                return None
            self._doing = self._waiting.pop(0)
            self._ends_at, self._overdue = self.clock() + self._doing.deadline_s, False
            self.abort.clear()
            return self._doing

    def _more_time(self, seconds: float) -> None:
        with self._change:
            self._ends_at = self.clock() + seconds

    def _post(self, phase: Phase, **more: Any) -> None:
        """Put a state out; what is not named is that of nothing special."""
        with self._change:
            ticket = self._doing.ticket if self._doing is not None else self._state.ticket
            self._state = self._newest = LinkState(phase=phase, ticket=ticket, opened=self._opened, **more)

    def _guarded(self, do: Callable[[], None]) -> None:
        """Do something with the array; whatever happens, it is dark afterwards where that went wrong."""
        try:
            do()
        except StopRequested:
            self._stopped()
        except UnpluggedError as error:
            self._lost(error)
        except PtychouiError as error:
            self._failed(error.message, error.hint)
        except BaseException as error:  # a thread must not die in silence, whatever the cause
            told = describe(error, 0)
            self._failed(told.message, told.hint)

    def _do(self, wish: Wish) -> None:
        match wish:
            case Find():
                self._find(wish)
            case Connect():
                self._connect(wish)
            case Leave():
                self._leave()
                self._post(Phase.NOTHING, message=self._last_words)
            case Dark():
                self._make_dark(wish)
            case Show():
                device = self._there()
                values = device.show(wish.frame, wish.confirmed)
                self._post(Phase.SHOWING, shown=wish.frame.name, row=wish.row, values=values)
            case Use():
                self._use(wish)
            case Play():
                self._play(wish)

    def _there(self) -> Device:
        if self._device is None:
            raise DeviceError("no array is connected", "connect one first; simulate: is an emulated one")
        return self._device

    def _look(self) -> None:
        """Say that the program is alive, or see whether the line is whole."""
        device = self._device
        if device is None:
            return
        if device.beat_every_s:
            device.beat()
        else:
            device.transport.discard()

    def _find(self, wish: Find) -> None:
        self._leave()
        self._post(Phase.LOOKING)
        found = tuple(self._finder(wish.everything))
        self._post(Phase.NOTHING, answers=found, message=answered(found))

    def _connect(self, wish: Connect) -> None:
        self._leave()
        self._post(Phase.CONNECTING)
        device = self._opener(wish.url, wish.options, log=self.log, abort=self.abort)
        self._device = device
        self._opened = Opened(
            url=wish.url,
            name=device.name,
            kind=device.kind,
            capabilities=device.capabilities,
            channels=device.channels,
            usual_limit_ma=device.usual_limit_ma,
            emulated=device.emulator is not None,
        )
        self._post(Phase.DARK, message=self._last_words)
        self._last_words = ""

    def _use(self, wish: Use) -> None:
        device = self._there()
        device.use(wish.options)
        assert self._opened is not None
        self._opened = replace(self._opened, channels=device.channels)
        self._post(Phase.DARK)

    def _make_dark(self, wish: Dark) -> None:
        if self._device is None:
            # Nothing is open; what was said of a line that broke stays.
            with self._change:
                self._state = self._newest = replace(self._state, ticket=wish.ticket)
            return
        was_lit = self._state.lit or self._ended_lit
        self._device.go_dark()
        # What was said of the dark before stays, where it was dark already.
        before = self._state.message if self._state.phase is Phase.DARK else ""
        self._post(Phase.DARK, message=wish.why if was_lit else before)

    def _play(self, wish: Play) -> None:
        device = self._there()
        rows = len(wish.frames)
        if wish.trigger and not device.capabilities.trigger_outputs:
            raise DeviceError(f"{device.name} has no output for a trigger", "leave the trigger out")
        self._post(Phase.LOADING, rows=rows)
        loaded = device.upload(wish.frames, wish.confirmed)
        limits = device.capabilities if loaded.in_hardware else None
        times = timeline(wish.exposures_ms, wish.timing, limits)
        delay = times.step_ms if wish.delay_ms is None else wish.delay_ms
        notes = loaded.notes + times.notes
        self._more_time(30.0 + 2.0 * rows * wish.count * max(delay, 20.0) / 1000)
        began = self.clock()
        told = {"rows": rows, "step_ms": delay, "notes": notes, "began_s": began}
        if loaded.in_hardware:
            self._post(Phase.PLAYING, in_hardware=True, **told)
            device.run(delay, wish.count, int(wish.trigger))
        else:
            for _ in range(wish.count):
                for _ in range(rows):
                    self._more_time(30.0 + delay / 1000)
                    row = device.step(wish.trigger)
                    self._post(Phase.PLAYING, row=row, values=loaded.values[row], **told)
                    device.hold(delay / 1000)
            device.clear()
        times_played = "" if wish.count == 1 else f", {wish.count} times"
        took = self.clock() - began
        self._post(
            Phase.DARK,
            notes=notes,
            message=f"{counted(rows, 'pattern')} played{times_played} in {took:.3g} s, then dark",
        )

    # Where things end -------------------------------------------------------------------------------------------

    def _leave(self) -> None:
        """Dark, and the line closed; what could not be done is kept as last words."""
        device, self._device, self._opened = self._device, None, None
        self._last_words = ""
        if device is not None:
            try:
                device.close()
            except PtychouiError as error:
                self._last_words = f"{error.message} ({error.hint})" if error.hint else error.message

    def _stopped(self) -> None:
        """A later wish ended this one, or its deadline passed; the later one finds the array dark."""
        with self._change:
            overdue, doing, self._deaf = self._overdue, self._doing, True
            self.abort.clear()
        if overdue:
            late = "nothing came back in time" if doing is None else f"no end within {doing.deadline_s:.0f} s"
            self._failed(f"the array was given up: {late}", "is it powered, and is it the right port?")
            return
        if self._device is None:
            self._post(Phase.NOTHING)
            return
        self._ended_lit = self._state.lit
        try:
            self._device.go_dark()
        except UnpluggedError as error:
            self._lost(error)
        except PtychouiError as error:
            self._close_quietly()
            self._post(Phase.FAILED, message=error.message, hint=error.hint)
        else:
            self._post(Phase.DARK)

    def _failed(self, message: str, hint: str) -> None:
        """Something could not be done: dark, or the line is closed and it is said that LEDs may shine."""
        if self._device is not None:
            with self._change:
                self._deaf = self._doing is not None
                self.abort.clear()
            try:
                self._device.go_dark()
            except UnpluggedError as error:
                self._lost(error)
                return
            except PtychouiError as error:
                self._close_quietly()
                message, hint = f"{message}; {error.message}", error.hint
        self._post(Phase.FAILED, message=message, hint=hint)

    def _lost(self, error: UnpluggedError) -> None:
        """The line broke: nothing can be sent, not even that it shall be dark."""
        opened = self._opened
        self._close_quietly()
        if opened is None:
            self._post(Phase.UNPLUGGED, message=error.message, hint=error.hint)
            return
        self._post(
            Phase.UNPLUGGED,
            message=f"the line to {opened.name} broke; it may still be lit",
            hint=f"plug it in and connect again. Without the program, {opened.capabilities.if_killed}",
        )

    def _close_quietly(self) -> None:
        device, self._device, self._opened = self._device, None, None
        if device is not None:
            with contextlib.suppress(PtychouiError, OSError):
                device.close()
