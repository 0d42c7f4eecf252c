"""End-to-end learning on several processes: each has some examples of every batch, and all take the same step.

Every process makes the measurements of the whole batch, with the same noise, and walks forward and back over its own
examples, one at a time. What they found travels to all, is added up in the order of the examples, and goes back through
the measurements everywhere. So each sum has the same terms in the same order however many processes there are, and
what is learned is the same to the last bit, as long as each computes alike: on the same kind of device, with the same
number of threads.

The first process plans, saves, checks and tells; scores are divided, too. A wish to stop and a failure are told with
what was found: nobody waits for a process that gave up, and all end with the same step.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ptychoui.engine.planner import Option
from ptychoui.engine.strategies import STRATEGIES
from ptychoui.errors import EngineError, RunError, SettingsError, StopRequested, is_out_of_memory
from ptychoui.training.events import Event, Started
from ptychoui.training.gradients import GREEDY, Found, Part, StepResult
from ptychoui.training.pipelined import PipelinedTrainer
from ptychoui.training.planning import Chosen, plan_run
from ptychoui.training.process_group import ProcessGroup, started_together
from ptychoui.training.task import AnyTask, Examples
from ptychoui.training.trainer import Trainer

WELL, STOPPED, FAILED = 0.0, 1.0, 2.0
"""What a process tells of its part of a step."""

NAMES = tuple(STRATEGIES)


class DividedTrainer(Trainer[AnyTask]):
    """A run over several processes that share every batch; the first one speaks for it.

    Raises
    ------
    SettingsError
        If the run is greedy or has segments, or batches are smaller than the number of processes.
    RunError
        If processes have other data or settings, or another one has ended.
    """

    group: ProcessGroup

    def join(self, group: ProcessGroup) -> None:
        """Take this process's place among the others.

        Raises
        ------
        SettingsError, RunError
            As the class says.
        """
        engine, batch = self.task.experiment.engine, min(self.task.experiment.training.batch, len(self.task.training))
        if engine.strategy not in (*NAMES, "auto"):
            raise SettingsError(
                f"a run with the strategy {engine.strategy} cannot be divided among processes that share batches",
                "choose another engine.strategy; greedy runs need engine.module_optimisers = 'each'",
            )
        if batch < group.size:
            raise SettingsError(
                f"a batch of {batch} cannot be divided among {group.size} processes",
                f"set training.batch to {group.size} or more, or start fewer processes",
            )
        self.group, self._all_stopped = group, False
        self._same_everywhere()

    def _same_everywhere(self) -> None:
        """Refuse a process whose data, settings or state are not those of the first one."""
        task = self.task
        # Where data lie and what computes may differ from machine to machine.
        experiment = task.experiment.model_dump_json(exclude={"engine": {"device", "memory_mb"}, "data": {"path"}})
        known = hashlib.sha256(f"{experiment}{task.data_sha256}{self.step}".encode()).digest()
        own = torch.tensor(list(known), dtype=torch.uint8, device=task.device)
        first = own.clone()
        self.group.share([first], 0)
        self._agree(WELL if torch.equal(own, first) else FAILED, "has other data or settings than the first one")

    def _agree(self, own: float, what: str, error: BaseException | None = None) -> None:
        """Hear how every process fared; raise where one did not do well.

        Raises
        ------
        StopRequested
            If one was asked to stop.
        RunError
            If one failed; where it was this one, its own error.
        """
        told = [self.group.number(own, rank) for rank in range(self.group.size)]
        if own == FAILED and error is not None:
            raise error
        if FAILED in told:
            raise RunError(
                f"process {told.index(FAILED)} of {self.group.size} {what}",
                "everything up to the last save is kept: start it again with --resume",
            )
        if STOPPED in told:
            self._all_stopped = True
            raise StopRequested

    def run(self) -> Iterator[Event]:
        """Do the remaining steps; only the first process has events that mean something."""
        yield from super().run()
        if self.group.rank == 0 and self.control.stopping and not self._all_stopped:
            # It was stopped while the others waited for it, checking or drawing.
            with contextlib.suppress(StopRequested, RunError):
                self._agree(STOPPED, "")

    # What differs from a run in one process ----------------------------------------------------------------

    def _started(self) -> Started:
        if self.group.rank == 0:
            return super()._started()
        self._use(self._plan())
        return Started(
            step=self.step,
            steps=self.task.experiment.training.steps,
            device=str(self.task.device),
            strategy=self.strategy,
            predicted_bytes={},
            summary="",
            warnings=(),
            notes=(),
            run_folder=None,
            resumed=self.step > 0,
        )

    def _plan(self) -> Chosen:
        """The first process's choice; with another variant of the network, sums would round otherwise."""
        variants, chosen = self.task.variants, None
        here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        if self.group.rank == 0:
            chosen = plan_run(self.task, self.parameters, objects=1, processes=here)
        own = chosen.option if chosen else Option(strategy=NAMES[0], peak=0, effort=0.0)
        name, variant, objects = (
            int(self.group.number(float(value), 0))
            for value in (NAMES.index(own.strategy), variants.index(own.variant), own.objects or 0)
        )
        if chosen is not None:
            return chosen
        option = Option(strategy=NAMES[name], peak=0, effort=0.0, objects=objects or None, variant=variants[variant])
        return Chosen(option, {}, None, (option,))

    def _gradients(self, examples: Examples, shares: object = None) -> StepResult:
        result = super()._gradients(examples, self._shared)
        # Processes on different machines would drift apart by rounding.
        self.group.share(list(result.gradients.values()), 0)
        return result

    def _shared(self, bounds: Sequence[tuple[int, int]], part: Part, room: Part) -> Iterator[Found]:
        """What all found of a batch, in its order: every process finds every so many-th part."""
        found = self._own([partial(part, *one) for one in bounds])
        for place, one in enumerate(bounds):
            owner = place % self.group.size
            here = found[place] if place in found else room(*one)
            names = list(here.inputs)
            tensors = [here.x.contiguous(), *(here.inputs[name].contiguous() for name in names)]
            loss = self.group.number(here.loss, owner)
            self.group.share(tensors, owner)
            yield Found(loss, tensors[0], dict(zip(names, tensors[1:], strict=True)), here.certificate)

    def _own(self, works: Sequence[Callable[[], Any]]) -> dict[int, Any]:
        """Do this process's part of some work; raise in all processes where one of them could not."""
        found: dict[int, Any] = {}
        fared, error = WELL, None
        try:
            for place in range(self.group.rank, len(works), self.group.size):
                found[place] = works[place]()
        except StopRequested:
            fared = STOPPED
        except Exception as problem:
            fared, error = FAILED, problem
            if is_out_of_memory(problem):
                error = EngineError(
                    f"process {self.group.rank} of {self.group.size} ran out of memory",
                    "start fewer processes, or set engine.memory_mb so that less is kept",
                )
        self._agree(fared, "could not do its part of a step", error)
        return found

    def _reconstruct(self, *given: Any) -> Tensor:
        """Reconstruct examples one at a time, each in the process that has it: what all get is (B, ...)."""
        task, network, parameters, batch, generator, callback = given
        with torch.no_grad():
            made = task.inputs(parameters, batch, generator, training=False)
            output = torch.empty_like(made.x)

            def one(place: int) -> Tensor:
                some = made.part(place, place + 1)
                found: Tensor = network.infer(some.x, some.tensors, callback)
                return found

            found = self._own([partial(one, place) for place in range(len(made.x))])
            for place in range(len(made.x)):
                if place in found:
                    output[place] = found[place][0]
                self.group.share([output[place]], place % self.group.size)
        return output

    def _check_is_due(self) -> bool:
        return self.group.rank == 0 and super()._check_is_due()

    def _judge(self) -> Iterator[Event]:
        """The first process alone holds what was learned against what is known."""
        if self.group.rank == 0:
            yield from super()._judge()


def trainer_for(task: AnyTask, *arguments: Any) -> Trainer[AnyTask]:
    """The trainer of a run over several processes, before it has joined them: modules are divided, or batches."""
    if task.experiment.engine.strategy != GREEDY:
        return DividedTrainer(task, *arguments)
    return (Trainer if started_together() == 1 else PipelinedTrainer)(task, *arguments)
