"""A run that torchrun started as several processes: the first one speaks, the others follow it."""

from __future__ import annotations

import argparse
import contextlib
import functools
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ptychoui.training.control import RunControl
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
    def kind(self) -> Callable[..., Trainer[AnyTask]]:
        """What makes the trainer of such a run."""
        if self.group is None:
            from ptychoui.training.trainer import Trainer

            return Trainer
        from ptychoui.training.divided import trainer_for

        return trainer_for

    def join(self, trainer: Trainer[AnyTask]) -> None:
        """Let a trainer take its place among the others.

        Raises
        ------
        SettingsError, RunError
            If the run cannot be divided among processes, or these do not fit each other.
        """
        if self.group is not None:
            from ptychoui.training.divided import DividedTrainer
            from ptychoui.training.pipelined import PipelinedTrainer

            if isinstance(trainer, DividedTrainer | PipelinedTrainer):
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

    if not started_together():
        yield Processes(group=None)
        return
    group = ProcessGroup()
    try:
        yield Processes(group=group)
    finally:
        group.close()


def follow(arguments: argparse.Namespace, processes: Processes) -> int:
    """Do this process's part of a run that another one speaks for; 1 where that one says why it cannot be done.

    Whoever presses Ctrl-C reaches all processes at once, and all end with the same step.
    """
    from ptychoui.commands.options import use_threads, with_options
    from ptychoui.errors import PtychouiError, RunError
    from ptychoui.settings import load_experiment
    from ptychoui.training.control import RunControl
    from ptychoui.training.runs import new_run, resume_run

    assert processes.group is not None
    control = RunControl()
    try:
        use_threads(arguments)
        experiment = load_experiment(arguments.experiment) if arguments.experiment else None
        if arguments.resume:
            from ptychoui.commands.resuming import resumed, resumed_folder

            folder, changes = resumed_folder(arguments, experiment), functools.partial(resumed, arguments=arguments)
            trainer = resume_run(
                folder, control, changes=changes, kind=processes.kind, lock=False, ready=processes.join
            )
        elif experiment is None:
            raise RunError("there is no experiment")
        else:
            settings = with_options(experiment, arguments)
            trainer = new_run(settings, None, control, kind=processes.kind, ready=processes.join)
    except PtychouiError:
        # Ending first would have the other one ended before it has said why.
        with contextlib.suppress(RunError):
            processes.group.number(0.0, 0)
        return 1
    # The one that speaks meets the same, and says so.
    with _stopping(control), contextlib.suppress(PtychouiError):
        for _event in trainer.run():
            pass
        return 0
    return 1


@contextlib.contextmanager
def _stopping(control: RunControl) -> Iterator[None]:
    """Signals that ask for an end stop the run: all its processes where they share batches, else the first one."""
    before = {number: signal.signal(number, lambda *_: control.stop()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
