"""A run that torchrun started as several processes: the first one speaks, the others follow it."""

from __future__ import annotations

import argparse
import contextlib
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
    """Do this process's part of a run that another one speaks for; 1 where that one says why it cannot be done."""
    from ptychoui.commands.options import use_threads, with_options
    from ptychoui.errors import SettingsError
    from ptychoui.settings import load_experiment
    from ptychoui.training.runs import new_run, resume_run

    use_threads(arguments)
    try:
        experiment = load_experiment(arguments.experiment) if arguments.experiment else None
        if arguments.resume:
            folder = arguments.output
            trainer = resume_run(folder, changes=lambda e: with_options(e, arguments), kind=processes.kind, lock=False)
        else:
            if experiment is None:
                return 1
            trainer = new_run(with_options(experiment, arguments), None, kind=processes.kind)
        processes.join(trainer)
    except SettingsError:
        return 1
    for _event in trainer.run():
        pass
    return 0
