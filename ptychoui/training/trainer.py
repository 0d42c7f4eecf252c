"""One run: learn what a task has to learn, as an iterator of events."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.engine.allocator import large_arrays_apart
from ptychoui.engine.greedy import equal_modules
from ptychoui.engine.memory import MemoryMeter
from ptychoui.engine.planner import words
from ptychoui.errors import EngineError, RunError, StopRequested, is_out_of_memory
from ptychoui.settings import kind_of
from ptychoui.training.check import check_chosen
from ptychoui.training.control import RunControl
from ptychoui.training.events import (
    Event,
    Finished,
    Judged,
    Saved,
    Snapshot,
    Started,
    StepDone,
    Stopped,
    StrategyChanged,
    Validated,
    VjpsChecked,
)
from ptychoui.training.gradients import GREEDY, Shares, StepResult, evaluate, loss_and_gradients, reconstruct_batch
from ptychoui.training.kept_pictures import packed
from ptychoui.training.parameters import ParameterSet
from ptychoui.training.planning import Chosen, after_running_out, plan_run
from ptychoui.training.results import Result
from ptychoui.training.run_folder import RunFolder
from ptychoui.training.run_state import order_of, order_text, restore_parameters
from ptychoui.training.task import AnyTask, Examples
from ptychoui.training.updates import Updates
from ptychoui.training.verdict import LEARNED, Verdict

T = TypeVar("T", bound=AnyTask)

TOLD_EVERY_S = 0.3
"""Between saves the history is written no more often."""


class Trainer(Generic[T]):
    """A run that can be stepped through, saved and resumed bit for bit (on a CPU with the same threads).

    Parameters
    ----------
    task
        From `build_task`.
    folder
        Where to save, or None.
    control
        Pause and stop.
    want_images
        Asked between steps; a `Snapshot` is made only when it says yes.
    """

    def __init__(
        self,
        task: T,
        folder: RunFolder | None = None,
        control: RunControl | None = None,
        want_images: Callable[[], bool] = lambda: False,
        start: ParameterSet | None = None,
    ) -> None:
        self.task, self.folder = task, folder
        self.control = control or RunControl()
        self.want_images = want_images
        experiment = task.experiment
        self.network = task.network()
        self.parameters = start or task.parameters()
        engine = experiment.engine
        apart = engine.strategy == GREEDY and engine.module_optimisers == "each"
        modules = equal_modules(len(self.network.chain), engine.modules) if apart else ()
        self.updates = Updates(self.parameters, experiment.training.learning_rate, modules)
        self.generator = torch.Generator(device=task.device).manual_seed(experiment.seed)
        self.order = np.random.default_rng(experiment.seed)
        self.step = 0
        self.elapsed_s = 0.0
        self.memory_bytes = 0
        self.strategy: str = experiment.engine.strategy
        self.chosen: Chosen | None = None
        self._saved_step = -1
        self._saved_at = time.monotonic()
        self._told_at = -math.inf
        self._shown: Snapshot | None = None
        self._meter: Literal["at scores", "at first", "never"] = "at scores"
        self.verdict: Verdict | None = None
        self._pending: list[dict[str, Any]] = []
        self._before_batch: tuple[Mapping[str, Any], Tensor] | None = None
        self._double: T | None = None
        self._checks = 0

    def run(self) -> Iterator[Event]:
        """Do the remaining steps; the last event is `Finished` or `Stopped`."""
        training = self.task.experiment.training
        large_arrays_apart()  # so that a run holds what was predicted
        try:
            self.control.now("planning the memory")
            yield self._started()
            first = self.task.shown_first(self.step)
            if first is not None:
                yield first
            asked = self.step == 0
            if self.step == 0:
                # Something to look at first: a score takes much longer.
                if self.want_images():
                    yield self.snapshot()
                yield self.validate()
                if self.folder is not None:
                    yield self._save()
                    self._keep_picture()
            while self.step < training.steps:
                if not asked and self.want_images():
                    yield self.snapshot()
                asked = False
                yield from self._one_step()
                self._tell()
                if self._check_is_due():
                    yield self.check_vjps()
                if self.step % training.validate_every == 0 or self.step == training.steps:
                    yield self.validate()
                    if self.folder is not None:
                        yield self._save()
                        self._keep_picture()
                elif self.folder is not None and time.monotonic() - self._saved_at > training.save_every_s:
                    yield self._save()
            if self.want_images():
                yield self.snapshot()
            if training.compare and self.step and self.verdict is None:
                yield from self._judge()
            yield Finished(step=self.step, seconds=self.elapsed_s)
        except StopRequested:
            if self.folder is not None and self._saved_step != self.step:
                yield self._save()
            yield Stopped(step=self.step)

    def _callback(self) -> None:
        self.control.checkpoint(self._save_if_needed)

    def _save_if_needed(self) -> None:
        if self.folder is not None and self._saved_step != self.step:
            self._save()

    def steps_alone(self, metered: bool = False) -> Iterator[StrategyChanged | StepDone]:
        """The remaining steps without scores, checks, pictures or saving; raises `StopRequested` when stopped.

        Memory is not planned where the strategy is given, and measured at the first step alone, where it is
        ``metered``.
        """
        self._meter = "at first" if metered else "never"
        if self.strategy == "auto":
            self._use(self._plan())
        while self.step < self.task.experiment.training.steps:
            yield from self._one_step()

    def _judge(self) -> Iterator[Event]:
        """Hold what was learned against what is known, once the last step is done."""
        self.control.now("comparing with what is known")
        self.verdict = self.task.verdict(self.parameters, self._callback)
        if self.verdict is None:
            return
        self._note(kind="judged", verdict=self.verdict.record())
        if self.folder is not None:
            yield self._save()
        yield Judged(step=self.step, verdict=self.verdict)

    def take_up_verdict(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Take up the verdict among the lines of a history, if it is of the present step."""
        for line in lines:
            if line.get("kind") == "judged" and line.get("step") == self.step:
                with contextlib.suppress(KeyError, TypeError, ValueError):
                    self.verdict = Verdict.from_record(line["verdict"])

    def _started(self) -> Started:
        task = self.task
        notes = [*task.notes, *task.split]
        self._use(self._plan())
        assert self.chosen is not None
        if self.chosen.sentence is not None:
            notes.append(self.chosen.sentence)
        before = task.preflight(self.parameters, self._callback)
        return Started(
            step=self.step,
            steps=task.experiment.training.steps,
            device=str(task.device),
            strategy=self.strategy,
            predicted_bytes=dict(self.chosen.predicted),
            summary=before.summary,
            warnings=before.warnings,
            notes=tuple(notes),
            run_folder=str(self.folder.path) if self.folder else None,
            resumed=self.step > 0,
        )

    def _plan(self) -> Chosen:
        return plan_run(self.task, self.parameters)

    def _use(self, chosen: Chosen) -> None:
        """Take up a method to obtain gradients."""
        self.chosen, self.strategy = chosen, chosen.option.strategy
        self.network = chosen.network(self.task)

    def _one_step(self) -> Iterator[StrategyChanged | StepDone]:
        self.control.now(f"step {self.step + 1}")
        training = self.task.experiment.training
        batch = min(training.batch, len(self.task.training))
        self._before_batch = self.order.bit_generator.state, self.generator.get_state()
        self.parameters.progress = self.progress()
        began = time.monotonic()
        places = self.order.choice(len(self.task.training), batch, replace=False)
        noise = self.generator.get_state()
        while True:
            try:
                result = self._measured_gradients(self.task.training.pick(places.tolist()))
                break
            except StopRequested:
                self.order.bit_generator.state, noise = self._before_batch
                self.generator.set_state(noise)
                self._before_batch = None
                raise
            except (MemoryError, RuntimeError) as error:
                if self.chosen is None or not is_out_of_memory(error):
                    raise
                said = str(error)
            # Outside the handler, whose traceback keeps the tensors of the failed try alive.
            self.network.forget_workspaces()
            self.generator.set_state(noise)
            other = after_running_out(self.task, self.parameters, self.chosen)
            if other is None:
                raise MemoryError(said)
            reason = f"{self.strategy} ran out of memory at step {self.step + 1}: going on with {words(other.option)}"
            self._use(other)
            yield StrategyChanged(step=self.step, strategy=self.strategy, reason=reason)
        if not np.isfinite(result.loss) or not all(bool(torch.isfinite(g).all()) for g in result.gradients.values()):
            raise EngineError(
                f"the loss or its gradient is not finite at step {self.step + 1}",
                "use a smaller step size or learning rate; the last saved state is kept",
            )
        self.updates.step(result.gradients, self._rate_factor())
        with torch.no_grad():
            self.task.project_(self.parameters)
        self.step += 1
        self.verdict = None
        self._before_batch = None
        seconds = time.monotonic() - began
        self.elapsed_s += seconds
        self._note(kind="step", loss=result.loss, seconds=seconds)
        yield StepDone(
            step=self.step,
            loss=result.loss,
            seconds=seconds,
            memory_bytes=self.memory_bytes,
            certificate=result.certificate,
            seconds_left=self.elapsed_s / self.step * (training.steps - self.step),
        )

    def _rate_factor(self) -> float:
        """Constant, or a cosine from 1 to a tenth over the run: late steps settle what early ones found."""
        training = self.task.experiment.training
        if training.schedule == "constant":
            return 1.0
        return 0.1 + 0.45 * (1 + math.cos(math.pi * min(self.progress(), 1.0)))

    def progress(self) -> float:
        """Share of the run that is done, which its schedule follows."""
        return self.step / max(self.task.experiment.training.steps, 1)

    def _measured_gradients(self, examples: Examples) -> StepResult:
        """Gradients of a batch; memory is measured at the first step and then at every score."""
        device = self.task.device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            before = torch.cuda.memory_allocated(device)
            result = self._gradients(examples)
            self.memory_bytes = torch.cuda.max_memory_allocated(device) - before
            return result
        again = self._meter == "at scores" and not self.step % self.task.experiment.training.validate_every
        if self._meter == "never" or (self.memory_bytes and not again):
            return self._gradients(examples)
        # Workspaces that outlive a step are made before the meter starts: fresh ones are counted instead.
        self.network.forget_workspaces()
        with MemoryMeter() as meter:
            result = self._gradients(examples)
        self.memory_bytes = meter.peak
        return result

    def _gradients(self, examples: Examples, shares: Shares | None = None) -> StepResult:
        return loss_and_gradients(
            self.task,
            self.network,
            self.strategy,
            self.parameters,
            examples,
            self.generator,
            self._callback,
            None if self.chosen is None else self.chosen.option.objects,
            shares,
        )

    def _reconstruct(self, *given: Any) -> Tensor:
        return reconstruct_batch(*given)

    def _check_is_due(self) -> bool:
        every = self.task.experiment.engine.check_every
        return bool(every) and self.step % every == 0

    def validate(self) -> Validated:
        """Score the held-out examples with the same noise every time."""
        self.control.now("scoring held-out examples")
        known = self.task, self.network, self.parameters, self.task.held_out
        found = evaluate(*known, callback=self._callback, reconstruct=self._reconstruct)
        metrics = kind_of(self.task.experiment.kind).metrics
        scores = {metric.name: float(found[metric.name].mean()) for metric in metrics if metric.name in found}
        validated = Validated(step=self.step, loss=float(found["loss"].mean()), scores=scores)
        self._note(kind="validated", loss=validated.loss, **scores)
        return validated

    def check_vjps(self) -> VjpsChecked:
        """Hold the products that the run uses against differences, on one example at the present parameters.

        The first time in all inputs, then in one after the other.

        Raises
        ------
        CertificateError
            If the derivative in an input is wrong.
        """
        self.control.now("checking derivatives against differences")
        if self._double is None:
            self._double = self.task.double()
        if self.chosen is None:
            self._use(self._plan())
        assert self.chosen is not None
        turn = self._checks or None
        deviation, checked = check_chosen(
            self.task, self._double, self.chosen, self.parameters, self.step, turn, self._callback
        )
        self._checks += 1
        self._note(kind="products", deviation=deviation, way=checked)
        return VjpsChecked(step=self.step, deviation=deviation, method=checked)

    def snapshot(self) -> Snapshot:
        """Reconstruct the first held-out example with the present parameters, as pictures."""
        self.control.now("reconstructing a held-out example")
        example = self.task.held_out.pick([0])
        generator = torch.Generator(device=self.task.device).manual_seed(1)
        output = reconstruct_batch(self.task, self.network, self.parameters, example, generator, self._callback)
        self._shown = self.task.snapshot(self.parameters, output, example, self.step)
        return self._shown

    def result(self) -> Result:
        """What to use as things are now, complete for export: the learned, unless something known is no worse."""
        if self.verdict is not None and self.verdict.recommended != LEARNED:
            return self.task.known(self.verdict.recommended, self.step)
        return self.learned()

    def learned(self) -> Result:
        """What was learned as it is now, complete for export."""
        return self.task.result(self.parameters, self.step)

    # Saving and resuming -------------------------------------------------------------------------------

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that a resumed run needs, as plain arrays: parameters in their shapes, the counts 0-d.

        In the middle of a step the random states are those before its batch was drawn: a resumed run draws it again.
        """
        order, noise = self._before_batch or (self.order.bit_generator.state, self.generator.get_state())
        return (
            {
                "step": np.array(self.step),
                "elapsed_s": np.array(self.elapsed_s),
                "generator": noise.numpy(),
                "order": np.array(order_text(order)),
            }
            | {f"parameter_{name}": tensor.detach().cpu().numpy() for name, tensor in self.parameters.items()}
            | self.updates.state()
        )

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up a saved state, arrays of the shapes that `state` gives.

        Raises
        ------
        RunError
            If it belongs to another experiment.
        """
        try:
            restore_parameters(self.parameters, arrays)
            self.updates.restore(arrays)
            self.step = int(arrays["step"])
            self.elapsed_s = float(arrays["elapsed_s"])
            self._restore_noise(torch.from_numpy(np.array(arrays["generator"])))
            self.order.bit_generator.state = order_of(str(arrays["order"]))
        except KeyError as error:
            raise RunError(f"the saved state lacks {error}", "start the run again") from None
        except (ValueError, RuntimeError, TypeError) as error:
            raise RunError(f"the saved state cannot be used: {error}", "start the run again") from None
        self._saved_step, self._shown = self.step, None

    def _restore_noise(self, state: Tensor) -> None:
        """Take up the noise where it was; on another kind of device, whose generators differ, begin a new stream."""
        if state.shape == self.generator.get_state().shape:
            self.generator.set_state(state)
        else:
            self.generator.manual_seed(self.task.experiment.seed + 1_000_003 * (self.step + 1))

    def _save(self) -> Saved:
        assert self.folder is not None
        # History first: lines beyond the newest state are dropped on resuming, missing ones could not be made up.
        self._write_history()
        self.folder.save(self.state())
        self._saved_step, self._saved_at = self.step, time.monotonic()
        return Saved(step=self.step, path=str(self.folder.path))

    def _write_history(self) -> None:
        if self.folder is not None and self._pending:
            self.folder.append_events(self._pending)
            self._pending.clear()
            self._told_at = time.monotonic()

    def _tell(self) -> None:
        """Write the history now and then between saves, so that others can follow the run."""
        if time.monotonic() - self._told_at > TOLD_EVERY_S:
            with contextlib.suppress(RunError):  # the next save says what is the matter
                self._write_history()

    def _keep_picture(self) -> None:
        """Keep what the run shows now in its folder, for those who open or follow it."""
        if self.folder is not None:
            shown = self._shown
            shown = shown if shown and shown.step == self.step else self.snapshot()
            with contextlib.suppress(RunError):  # it is there to look at: a save says what is the matter
                self.folder.save_picture(packed(shown))

    def _note(self, **values: Any) -> None:
        if self.folder is not None:
            self._pending.append({"step": self.step, **values})
