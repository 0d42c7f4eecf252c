"""Greedy learning on several processes: each has some consecutive modules, and batches flow through them.

A module needs nothing of those behind it. As soon as the state has left a process for the next one it is walked back
and takes its step, and the next batch can begin, while the processes behind still work on this one (decoupled greedy
learning without a lock on the way back: Belilovsky, Eickenberg, Oyallon, "Decoupled greedy learning of CNNs", ICML
2020; Ozturkler et al., "GLEAM", 2022, section 3.3). Every module sees the batches in the order, and with the weights,
that it would see in one process, so the numbers are those of one process bit for bit.

GLEAM puts module k on device k mod P, which sends every state P times around; consecutive modules on one device send it
P - 1 times, and no device waits for another's second turn.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ptychoui.engine.greedy import GreedyModule, LocalLoss, equal_modules
from ptychoui.engine.memory import MemoryMeter
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.stored import StoreAll
from ptychoui.engine.strategy import Chain, Run
from ptychoui.errors import EngineError, SettingsError, StopRequested
from ptychoui.training.events import Event, Finished, StepDone, Stopped
from ptychoui.training.gradients import GREEDY
from ptychoui.training.process_group import ProcessGroup
from ptychoui.training.task import AnyTask, NetworkInputs
from ptychoui.training.trainer import Trainer


class PipelinedTrainer(Trainer[AnyTask]):
    """A greedy run over several processes; the first one scores, saves and tells.

    Between two scores the processes go on without meeting; there they exchange what they learned, and the run is saved.
    A wish to stop travels with a batch: all processes end with the same one, and meet.

    Raises
    ------
    SettingsError
        If the run is not greedy with an optimiser for each module, something is shared by all modules, or there are
        fewer modules than processes.
    """

    group: ProcessGroup

    def join(self, group: ProcessGroup) -> None:
        """Take this process's place among the others.

        Raises
        ------
        SettingsError
            As the class says.
        """
        engine = self.task.experiment.engine
        if engine.strategy != GREEDY or engine.module_optimisers != "each":
            raise SettingsError(
                f"a run with the strategy {engine.strategy} cannot be divided among {group.size} processes",
                "set engine.strategy = 'greedy' and engine.module_optimisers = 'each', or start one process",
            )
        if not self.updates.apart:
            raise SettingsError(
                "modules that share what they learn cannot be divided among processes: each step needs all of them",
                "give every unroll weights of its own, or start one process",
            )
        if engine.modules < group.size:
            raise SettingsError(
                f"{engine.modules} greedy modules cannot be divided among {group.size} processes",
                f"set engine.modules to {group.size} or more",
            )
        self.group, self._stops = group, False
        lengths = equal_modules(len(self.network.chain), engine.modules)
        owned = equal_modules(engine.modules, group.size)
        self._owner = [rank for rank, count in enumerate(owned) for _ in range(count)]
        self._inside, self._space = StoreAll(reuse=True), Scratch()
        self._own: list[tuple[GreedyModule, slice]] = []
        first = 0
        for index, count in enumerate(lengths):
            part, first = slice(first, first + count), first + count
            if self._owner[index] == group.rank:
                chain = Chain(self.network.chain.layers[part], self.network.chain.update)
                self._own.append((GreedyModule(chain, index, self._inside), part))

    def run(self) -> Iterator[Event]:
        """Do the remaining steps; only the first process has events, the others end without a word."""
        steps = self.task.experiment.training.steps
        if self.group.rank == 0:
            # Whoever stops the run now is heard below, where the others hear it too.
            with contextlib.suppress(StopRequested):
                self.control.now("planning the memory")
                yield self._started()
                if self.step == 0:
                    yield self.validate()
                    if self.folder is not None:
                        yield self._save()
        while self.step < steps:
            stopping = self.group.number(float(self.control.stopping), 0)
            if stopping:
                break
            yield from self._until_they_meet()
        if self.group.rank == 0:
            yield from self._end(steps)

    def _until_they_meet(self) -> Iterator[Event]:
        """Steps up to the next score, then one exchange."""
        training = self.task.experiment.training
        until = min(training.steps, (self.step // training.validate_every + 1) * training.validate_every)
        first, began = self.step, time.monotonic()
        losses = torch.zeros(until - first, dtype=torch.float64)
        sending: list[Any] = []
        for place in range(until - first):
            self.control.now(f"step {self.step + 1}")
            if self.group.rank == 0:
                self._stops = self.control.stopping
            loss, sending = self._step(sending)
            losses[place] = loss
            self.step += 1
            if self._stops:
                break
        self.group.finish(sending)
        last = self.group.size - 1
        held = [losses.to(self.task.device)]
        self.group.share(held, last)
        for module, owner in enumerate(self._owner):
            tensors = self.updates.tensors_of(module)
            self._share(tensors, owner)
        if not bool(torch.isfinite(held[0]).all()):
            raise EngineError(
                f"the loss is not finite after step {first}",
                "use a smaller learning rate; the last saved state is kept",
            )
        self.verdict = None
        seconds = (time.monotonic() - began) / (self.step - first)
        self.elapsed_s += time.monotonic() - began
        if self.group.rank:
            return
        for place, loss in enumerate(held[0][: self.step - first].tolist()):
            step = first + place + 1
            self._pending.append({"step": step, "kind": "step", "loss": loss, "seconds": seconds})
            yield StepDone(
                step=step,
                loss=loss,
                seconds=seconds,
                memory_bytes=self.memory_bytes,
                certificate="",
                seconds_left=self.elapsed_s / step * (training.steps - step),
            )
        if self._stops:
            return
        with contextlib.suppress(StopRequested):  # the others hear of it before the next step
            yield self.validate()
            if self.folder is not None:
                yield self._save()

    def _share(self, tensors: list[Tensor], owner: int) -> None:
        """Bring a module's tensors to what its owner has, in place, wherever they are."""
        device = self.task.device
        moved = [tensor.to(device).contiguous() for tensor in tensors]
        self.group.share(moved, owner)
        with torch.no_grad():
            for tensor, found in zip(tensors, moved, strict=True):
                tensor.copy_(found)

    def _step(self, sending: list[Any]) -> tuple[float, list[Any]]:
        """One batch through this process's modules: its last loss, and what is still on its way to the next process."""
        training, group = self.task.experiment.training, self.group
        batch_size = min(training.batch, len(self.task.training))
        self.parameters.progress = self.progress()
        places = self.order.choice(len(self.task.training), batch_size, replace=False)
        batch = self.task.training.pick(places.tolist())
        with torch.no_grad():
            given = self.task.inputs(self.parameters, batch, self.generator, training=True)
        metered = self._meter != "never" and not self.memory_bytes and self.task.device.type == "cpu"
        with MemoryMeter() if metered else _Nothing() as meter:
            loss, sending = self._through(given, batch, sending, group)
        if metered:
            self.memory_bytes = meter.peak
        with torch.no_grad():
            self.task.project_(self.parameters)
        return loss, sending

    def _through(
        self, given: NetworkInputs, batch: Any, sending: list[Any], group: ProcessGroup
    ) -> tuple[float, list[Any]]:
        update, x = self.network.chain.update, self.network.enter(given.x)
        run = Run(given.tensors, self._space, lambda: None)
        with torch.no_grad():
            state = update.start(x) if group.rank == 0 else self._received(x)
        loss, wanted = 0.0, list(self.parameters.learned)
        for module, part in self._own:
            state = module.forward(state, run, x if module.index == 0 else None)
            if (module, part) == self._own[-1] and group.rank < group.size - 1:
                group.finish(sending)
                sending = self._sent(state)
            done = module.backward(given.tensors, wanted, self._local_loss(batch), lambda: None)
            self.updates.step(done.inputs, self._rate_factor(), module.index)
            loss = done.loss
        return loss, sending

    def _local_loss(self, batch: Any) -> LocalLoss:
        def local_loss(_module: int, point: Tensor) -> tuple[float, Tensor]:
            leaf = point.detach().requires_grad_()
            with torch.enable_grad():
                loss = self.task.loss(self.network.leave(leaf), batch).mean()
            (cotangent,) = torch.autograd.grad(loss, leaf)
            return float(loss.detach()), cotangent

        return local_loss

    def _sent(self, state: Any) -> list[Any]:
        number, tensors = self.network.chain.update.pack(state)
        head = torch.tensor([number, len(tensors), int(self._stops)], device=self.task.device)
        self._kept = [head, *(tensor.contiguous() for tensor in tensors)]  # until they have left
        return self.group.send(self._kept, self.group.rank + 1)

    def _received(self, x: Tensor) -> Any:
        update, sender = self.network.chain.update, self.group.rank - 1
        head = torch.zeros(3, dtype=torch.int64, device=self.task.device)
        self.group.receive([head], sender)
        number, count, stops = head.tolist()
        self._stops = bool(stops)
        tensors = update.buffers(x, count)
        self.group.receive(tensors, sender)
        return update.unpack(x, number, tensors)

    def _end(self, steps: int) -> Iterator[Event]:
        if self.step < steps:
            if self.folder is not None and self._saved_step != self.step:
                yield self._save()
            yield Stopped(step=self.step)
            return
        if self.task.experiment.training.compare and self.step and self.verdict is None:
            try:
                yield from self._judge()
            except StopRequested:
                yield Stopped(step=self.step)
                return
        yield Finished(step=self.step, seconds=self.elapsed_s)


class _Nothing:
    """A meter that measures nothing."""

    peak = 0

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(self, *_error: object) -> None: ...
