"""One run in a plain background thread. No Qt: the same worker serves tests, scripts and the window."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

from ptychoui.errors import StopRequested
from ptychoui.session.failures import describe, empty_device_cache
from ptychoui.session.mailbox import Mailbox
from ptychoui.training.control import RunControl
from ptychoui.training.events import TERMINAL, Begun, Failed, Finished, Picture, Stopped

Events = Iterator[Any]
MakeEvents = Callable[[RunControl, Callable[[], bool]], Events]
"""Called in the thread with the run's control and with the question whether pictures are wanted."""


class RunState(StrEnum):
    """What a run is doing; buttons and texts derive from this value alone."""

    IDLE = "idle"
    STARTING = "starting"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    STOPPING = "stopping"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def active(self) -> bool:
        """True while the worker's thread has work to do."""
        return self in _ACTIVE


_ACTIVE = frozenset({RunState.STARTING, RunState.RUNNING, RunState.PAUSING, RunState.PAUSED, RunState.STOPPING})


class Worker:
    """Runs one iterator of events at a time and puts what it yields into a mailbox.

    Whatever happens, the last event of a run is `Finished`, `Stopped` or `Failed`, and there is exactly one.

    Parameters
    ----------
    mailbox
        Where events go.
    """

    def __init__(self, mailbox: Mailbox) -> None:
        self.mailbox = mailbox
        self.run = 0
        self._control = RunControl()
        self._phase = RunState.IDLE
        self._advice = "", ""
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> RunState:
        """The present state, as one value."""
        if self._phase not in (RunState.STARTING, RunState.RUNNING):
            return self._phase
        if self._control.stopping:
            return RunState.STOPPING
        if self._phase is RunState.STARTING:
            return RunState.STARTING
        if self._control.pausing:
            return RunState.PAUSED if self._control.waiting else RunState.PAUSING
        return RunState.RUNNING

    def forget_end(self) -> None:
        """Be idle again after a run has ended: what it ended as is not said of what is opened next."""
        if self._phase in (RunState.FINISHED, RunState.STOPPED, RunState.FAILED):
            self._phase = RunState.IDLE

    @property
    def doing(self) -> tuple[str, float]:
        """What the run is doing, and for how many seconds; nothing where it does not say so."""
        return self._control.doing if self.state.active else ("", 0.0)

    def start(self, make_events: MakeEvents, strategy: str = "", remedy: str = "") -> int:
        """Begin a run and return its number; a run that is still active is an error of the caller.

        ``strategy`` and ``remedy`` decide what is advised when memory runs out: see `describe`.
        """
        if self.state.active:
            raise RuntimeError("a run is active already")
        self.join()
        self.run += 1
        self._control, self._phase, self._advice = RunControl(), RunState.STARTING, (strategy, remedy)
        self._thread = threading.Thread(
            target=self._work, args=(self.run, make_events, self._control), name=f"ptychoui run {self.run}", daemon=True
        )
        self._thread.start()
        return self.run

    def pause(self) -> None:
        """Ask the run to wait at the next layer."""
        self._control.pause()

    def resume(self) -> None:
        """Let a paused run go on."""
        self._control.resume()

    def stop(self) -> None:
        """Ask the run to end at the next layer; what was done is kept."""
        self._control.stop()

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the thread; False if it is still alive after ``timeout`` seconds."""
        if self._thread is None:
            return True
        self._thread.join(timeout)
        if self._thread.is_alive():
            return False
        self._thread = None
        return True

    def _work(self, run: int, make_events: MakeEvents, control: RunControl) -> None:
        last: Finished | Stopped | Failed | None = None
        step = 0
        ran_out = False
        try:
            for event in make_events(control, self.mailbox.images_wanted):
                step = getattr(event, "step", step)
                if isinstance(event, TERMINAL):
                    last = event
                    break
                if isinstance(event, Picture):
                    self.mailbox.put_image(run, type(event).__name__, event)
                    continue
                if isinstance(event, Begun):
                    self._phase = RunState.RUNNING
                self.mailbox.put_scalar(run, event)
        except StopRequested:
            last = Stopped(step=step)
        except BaseException as error:  # a thread must not die in silence, whatever the cause
            last = describe(error, step, *self._advice)
            ran_out = last.kind == "OutOfMemoryError"
        finally:
            # Here the exception and its traceback are gone, and with them the tensors they held.
            if ran_out:
                empty_device_cache()
            self._end(run, last or _without_end(step))

    def _end(self, run: int, last: Finished | Stopped | Failed) -> None:
        states = {Finished: RunState.FINISHED, Stopped: RunState.STOPPED, Failed: RunState.FAILED}
        # In this order: whoever sees the end of the state finds the last event in the mailbox.
        self.mailbox.put_scalar(run, last)
        self._phase = states[type(last)]


def _without_end(step: int) -> Failed:
    return Failed(
        step=step,
        kind="RunError",
        message="The run ended without saying why",
        hint="resume it from its folder; please report it if it happens again",
    )
