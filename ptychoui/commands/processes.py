"""A run that torchrun started as several processes: the first one speaks, the others follow it."""

from __future__ import annotations

import argparse
import contextlib
import functools
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ptychoui.training.process_group import ProcessGroup
    from ptychoui.training.task import AnyTask
    from ptychoui.training.trainer import Trainer


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """The processes of a run; ``group`` is None where there is only this one."""

    group: ProcessGroup | None

    @property
    def follows(self) -> bool:
        """Whether another process speaks for the run."""
        return self.group is not None and self.group.rank > 0

    @property
    def kind(self) -> type[Trainer[AnyTask]]:
        """The trainer of such a run."""
        if self.group is None:
            from ptychoui.training.trainer import Trainer

            return Trainer
        from ptychoui.training.pipelined import PipelinedTrainer

        return PipelinedTrainer

    def join(self, trainer: Trainer[AnyTask]) -> None:
        """Let a trainer take its place among the others.

        Raises
        ------
        SettingsError
            If the run cannot be divided among processes.
        """
        if self.group is not None:
            from ptychoui.training.pipelined import PipelinedTrainer

            assert isinstance(trainer, PipelinedTrainer)
            trainer.join(self.group)


@contextlib.contextmanager
def together() -> Iterator[Processes]:
    """The processes of this run, as torchrun started them.

    Raises
    ------
    RunError
        If they do not find each other, or another one ends.
    """
    from ptychoui.training.process_group import ProcessGroup, started_together

    if started_together() == 1:
        yield Processes(group=None)
        return
    group = ProcessGroup()
    try:
        yield Processes(group=group)
    finally:
        group.close()


def follow(arguments: argparse.Namespace, processes: Processes) -> int:
    """Do this process's part of a run that another one speaks for; 1 where that one says why it cannot be done.

    Whoever presses Ctrl-C reaches all processes at once: the one that speaks stops, and takes the others with it.
    """
    from ptychoui.commands.options import use_threads, with_options
    from ptychoui.errors import PtychouiError, RunError
    from ptychoui.settings import load_experiment
    from ptychoui.training.runs import new_run, resume_run

    assert processes.group is not None
    try:
        use_threads(arguments)
        experiment = load_experiment(arguments.experiment) if arguments.experiment else None
        if arguments.resume:
            from ptychoui.commands.resuming import resumed, resumed_folder

            folder, changes = resumed_folder(arguments, experiment), functools.partial(resumed, arguments=arguments)
            trainer = resume_run(folder, changes=changes, kind=processes.kind, lock=False, ready=processes.join)
        elif experiment is None:
            raise RunError("there is no experiment")
        else:
            trainer = new_run(with_options(experiment, arguments), None, kind=processes.kind, ready=processes.join)
    except PtychouiError:
        # Ending first would have the other one ended before it has said why.
        with contextlib.suppress(RunError):
            processes.group.number(0.0, 0)
        return 1
    with _deaf(), contextlib.suppress(PtychouiError):  # the one that speaks meets the same
        for _event in trainer.run():
            pass
        return 0
    return 1


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Signals that ask for an end are not heard."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
