from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from stepwise_run import StepwiseRun, started, step_done

from ptychoui.errors import DataError
from ptychoui.session.mailbox import Mailbox
from ptychoui.session.worker import RunState, Worker
from ptychoui.training.control import RunControl
from ptychoui.training.events import TERMINAL, Failed, Finished, Stopped

SOON = 10.0


def events_of(worker: Worker) -> list[Any]:
    return [item.value for item in worker.mailbox.drain().scalars]


def raising(error: BaseException) -> Callable[[RunControl, Callable[[], bool]], Iterator[Any]]:
    def events(control: RunControl, want_images: Callable[[], bool]) -> Iterator[Any]:
        yield started()
        yield step_done(1)
        raise error

    return events


def test_a_run_goes_from_idle_to_finished() -> None:
    worker, run = Worker(Mailbox()), StepwiseRun(3)
    assert worker.state is RunState.IDLE
    worker.start(run)
    assert run.reached[0].wait(SOON)
    assert worker.state is RunState.RUNNING
    run.allow_all()
    assert worker.join(SOON)
    assert worker.state is RunState.FINISHED
    events = events_of(worker)
    assert isinstance(events[-1], Finished)
    assert sum(isinstance(event, TERMINAL) for event in events) == 1


def test_pause_holds_the_run_until_it_is_resumed() -> None:
    worker, run = Worker(Mailbox()), StepwiseRun(3)
    worker.start(run)
    run.allow()
    assert run.reached[1].wait(SOON)
    worker.pause()
    assert worker.state in (RunState.PAUSING, RunState.PAUSED)
    assert worker._control._waiting.wait(SOON)
    assert worker.state is RunState.PAUSED
    run.allow_all()
    assert not run.reached[2].wait(0.05)
    worker.resume()
    assert worker.join(SOON)
    assert worker.state is RunState.FINISHED


def test_stop_ends_within_the_step_and_wakes_a_pause() -> None:
    worker, run = Worker(Mailbox()), StepwiseRun(3)
    worker.start(run)
    assert run.reached[0].wait(SOON)
    worker.pause()
    assert worker._control._waiting.wait(SOON)
    worker.stop()
    assert worker.state in (RunState.STOPPING, RunState.STOPPED)
    assert worker.join(SOON)
    assert worker.state is RunState.STOPPED
    assert isinstance(events_of(worker)[-1], Stopped)
    assert not run.reached[1].is_set()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory: you tried"),
        type("OutOfMemoryError", (RuntimeError,), {})("gone"),
    ],
)
def test_memory_that_runs_out_is_one_failure_with_a_remedy(error: BaseException) -> None:
    worker = Worker(Mailbox())
    worker.start(raising(error), strategy="store_all")
    assert worker.join(SOON)
    assert worker.state is RunState.FAILED
    events = events_of(worker)
    failures = [event for event in events if isinstance(event, Failed)]
    assert failures == [events[-1]]
    assert failures[0].kind == "OutOfMemoryError"
    assert "reversible" in failures[0].hint and "batch" in failures[0].hint
    assert failures[0].step == 1


def test_the_remedy_does_not_name_what_is_used_already() -> None:
    worker = Worker(Mailbox())
    worker.start(raising(MemoryError()), strategy="reversible")
    assert worker.join(SOON)
    assert "reversible" not in events_of(worker)[-1].hint


@pytest.mark.parametrize("error", [ValueError("odd"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_no_exception_leaves_a_run_without_an_end(error: BaseException) -> None:
    worker = Worker(Mailbox())
    worker.start(raising(error))
    assert worker.join(SOON)
    events = events_of(worker)
    assert sum(isinstance(event, TERMINAL) for event in events) == 1
    assert isinstance(events[-1], Failed)
    assert type(error).__name__ in events[-1].traceback_text


@pytest.mark.parametrize("error", [MemoryError("no room"), ValueError("odd"), DataError("empty", "again")])
def test_what_failed_keeps_nothing_alive(error: BaseException) -> None:
    """A traceback keeps the variables of its functions, and with them all arrays of the step that failed."""
    held: list[weakref.ref[Any]] = []

    class Large:
        """Stands for the arrays of a step."""

    def events(control: RunControl, want_images: Callable[[], bool]) -> Iterator[Any]:
        large = Large()
        held.append(weakref.ref(large))
        yield started()
        raise type(error)(*error.args) if not isinstance(error, DataError) else DataError("empty", "again")

    worker = Worker(Mailbox())
    worker.start(events)
    assert worker.join(SOON)
    failed = events_of(worker)[-1]
    assert isinstance(failed, Failed)
    gc.collect()
    assert held[0]() is None


def test_errors_for_people_keep_message_and_hint() -> None:
    worker = Worker(Mailbox())
    worker.start(raising(DataError("the file is empty", "copy it again")))
    assert worker.join(SOON)
    failed = events_of(worker)[-1]
    assert (failed.kind, failed.message, failed.hint) == ("DataError", "the file is empty", "copy it again")


def test_an_iterator_that_just_ends_counts_as_a_failure() -> None:
    worker = Worker(Mailbox())
    worker.start(lambda control, want: iter([started(), step_done(1)]))
    assert worker.join(SOON)
    assert isinstance(events_of(worker)[-1], Failed)


def test_runs_are_numbered_and_one_at_a_time() -> None:
    worker, run = Worker(Mailbox()), StepwiseRun(1)
    first = worker.start(run)
    with pytest.raises(RuntimeError, match="active"):
        worker.start(StepwiseRun(1))
    run.allow_all()
    assert worker.join(SOON)
    again = StepwiseRun(1)
    again.allow_all()
    second = worker.start(again)
    assert worker.join(SOON)
    assert second == first + 1
    assert {item.run for item in worker.mailbox.drain().scalars} == {first, second}
