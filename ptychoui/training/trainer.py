"""One run: learn drive levels, and where asked exposures and step sizes, as an iterator of events."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.design import starts
from ptychoui.design.feasibility import feasibility
from ptychoui.design.patterns import PatternSet
from ptychoui.engine.allocator import large_arrays_apart
from ptychoui.engine.memory import MemoryMeter
from ptychoui.engine.planner import words
from ptychoui.errors import EngineError, RunError, StopRequested, is_out_of_memory
from ptychoui.experiment import Experiment
from ptychoui.training.check import check_products, in_double_precision
from ptychoui.training.control import RunControl
from ptychoui.training.events import (
    Event,
    Finished,
    ProductsChecked,
    Saved,
    Snapshot,
    Started,
    StepDone,
    Stopped,
    StrategyChanged,
    Validated,
    picture,
)
from ptychoui.training.examples import Examples
from ptychoui.training.objectives import align
from ptychoui.training.planning import Chosen, after_running_out, plan_run, ways_to_check
from ptychoui.training.problem import Problem, build_problem, largest_step, said_of_images
from ptychoui.training.run_folder import RunFolder, library_versions
from ptychoui.training.settled import differences
from ptychoui.training.step import (
    Parameters,
    StepResult,
    evaluate,
    loss_and_gradients,
    project,
    reconstruct_batch,
    start_parameters,
)
from ptychoui.training.truth import doubts, truth_shown


class Trainer:
    """A run that can be stepped through, saved and resumed bit for bit (on a CPU with the same threads).

    Parameters
    ----------
    problem
        From `build_problem`.
    folder
        Where to save, or None.
    control
        Pause and stop.
    want_images
        Asked between steps; a `Snapshot` is made only when it says yes.
    """

    def __init__(
        self,
        problem: Problem,
        folder: RunFolder | None = None,
        control: RunControl | None = None,
        want_images: Callable[[], bool] = lambda: False,
        start: Parameters | None = None,
    ) -> None:
        self.problem, self.folder = problem, folder
        self.control = control or RunControl()
        self.want_images = want_images
        experiment = problem.experiment
        self.network = problem.network()
        self.parameters = start or start_parameters(problem)
        self.wanted: tuple[str, ...] = ("levels",)
        if experiment.design.learn_exposure:
            self.wanted += ("exposures",)
        if experiment.network.learn_step:
            self.wanted += ("step",)
        if experiment.network.learns_momentum:
            self.wanted += ("momentum",)
        rate = experiment.training.learning_rate
        scale = {"levels": 1.0, "exposures": 1.0, "step": float(self.parameters.step.max()), "momentum": 0.1}
        self.optimiser = torch.optim.Adam(
            [{"params": [t], "lr": rate * scale[n]} for n, t in self.parameters.items() if n in self.wanted]
        )
        self._rates = [group["lr"] for group in self.optimiser.param_groups]
        self.generator = torch.Generator(device=problem.physics.device).manual_seed(experiment.seed)
        self.order = np.random.default_rng(experiment.seed)
        self.step = 0
        self.elapsed_s = 0.0
        self.memory_bytes = 0
        self.strategy: str = experiment.engine.strategy
        self.chosen: Chosen | None = None
        self._saved_step = -1
        self._saved_at = time.monotonic()
        self._pending: list[dict[str, Any]] = []
        self._validated: Validated | None = None
        self._before_batch: tuple[Mapping[str, Any], Tensor] | None = None
        self._double: Problem | None = None
        self._checks = 0

    def run(self) -> Iterator[Event]:
        """Do the remaining steps; the last event is `Finished` or `Stopped`."""
        training = self.problem.experiment.training
        large_arrays_apart()  # so that a run holds what was foretold
        try:
            yield self._started()
            truth = truth_shown(self.problem, self.step)
            if truth is not None:
                yield truth
            if self.step == 0:
                yield self.validate()
                if self.folder is not None:
                    yield self._save()
            while self.step < training.steps:
                if self.want_images():
                    yield self.snapshot()
                yield from self._one_step()
                every = self.problem.experiment.engine.check_every
                if every and self.step % every == 0:
                    yield self.check_products()
                if self.step % training.validate_every == 0 or self.step == training.steps:
                    yield self.validate()
                    if self.folder is not None:
                        yield self._save()
                elif self.folder is not None and time.monotonic() - self._saved_at > training.save_every_s:
                    yield self._save()
            if self.want_images():
                yield self.snapshot()
            yield Finished(step=self.step, seconds=self.elapsed_s)
        except StopRequested:
            if self.folder is not None and self._saved_step != self.step:
                yield self._save()
            yield Stopped(step=self.step)

    def _between(self) -> None:
        self.control.checkpoint(self._save_if_needed)

    def _save_if_needed(self) -> None:
        if self.folder is not None and self._saved_step != self.step:
            self._save()

    def _started(self) -> Started:
        problem = self.problem
        experiment = problem.experiment
        notes = [*problem.notes, *problem.split]
        self.chosen = plan_run(problem, self.parameters)
        self._use(self.chosen)
        if self.chosen.sentence is not None:
            notes.append(self.chosen.sentence)
        judged = feasibility(*self.design_arrays(), problem.leds, problem.geometry, experiment.measurement)
        stable = largest_step(problem, self.parameters.levels, self.parameters.exposures)
        warnings = [*doubts(problem, self._between), *judged.warnings]
        step = float(self.parameters.step.max())
        if step > stable:
            warnings.append(
                f"the step size {step:g} is above the stable {stable:.2g} of this design: try {0.4 * stable:.2g}"
            )
        return Started(
            step=self.step,
            steps=experiment.training.steps,
            device=str(problem.physics.device),
            strategy=self.strategy,
            predicted_bytes=dict(self.chosen.predicted),
            feasibility=judged.line(),
            warnings=tuple(warnings),
            notes=tuple(notes),
            led_numbers=problem.leds.numbers,
            illumination_na=problem.leds.illumination_na,
            objective_na=problem.objective_na,
            row_names=starts.row_names(experiment.design),
            run_folder=str(self.folder.path) if self.folder else None,
            resumed=self.step > 0,
        )

    def _use(self, chosen: Chosen) -> None:
        """Take up a way to obtain gradients."""
        self.chosen, self.strategy = chosen, chosen.option.strategy
        self.network = chosen.network(self.problem)

    def _one_step(self) -> Iterator[StrategyChanged | StepDone]:
        training = self.problem.experiment.training
        batch = min(training.batch, len(self.problem.training))
        self._before_batch = self.order.bit_generator.state, self.generator.get_state()
        began = time.monotonic()
        places = self.order.choice(len(self.problem.training), batch, replace=False)
        noise = self.generator.get_state()
        while True:
            try:
                result = self._measured_gradients(self.problem.training.pick(places))
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
            other = after_running_out(self.problem, self.parameters, self.chosen)
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
        for name, tensor in self.parameters.items():
            tensor.grad = result.gradients.get(name)
        for group, rate in zip(self.optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * self._rate_factor()
        self.optimiser.step()
        with torch.no_grad():
            project(self.parameters, self.problem)
        self.step += 1
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
        training = self.problem.experiment.training
        if training.schedule == "constant":
            return 1.0
        return 0.1 + 0.45 * (1 + math.cos(math.pi * min(self.progress(), 1.0)))

    def progress(self) -> float:
        """Share of the run that is done, which its schedule follows."""
        return self.step / max(self.problem.experiment.training.steps, 1)

    def _measured_gradients(self, examples: Examples) -> StepResult:
        """Gradients of a batch; memory is measured at the first step and then at every score."""
        device = self.problem.physics.device
        arguments = (
            self.problem,
            self.network,
            self.strategy,
            self.parameters,
            examples,
            self.generator,
            self.wanted,
            self._between,
            None if self.chosen is None else self.chosen.option.objects,
        )
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            before = torch.cuda.memory_allocated(device)
            result = loss_and_gradients(*arguments)
            self.memory_bytes = torch.cuda.max_memory_allocated(device) - before
            return result
        if self.memory_bytes and self.step % self.problem.experiment.training.validate_every:
            return loss_and_gradients(*arguments)
        # Workspaces that outlive a step are made before the meter starts: fresh ones are counted instead.
        self.network.forget_workspaces()
        with MemoryMeter() as meter:
            result = loss_and_gradients(*arguments)
        self.memory_bytes = meter.peak
        return result

    def validate(self) -> Validated:
        """Score the held-out objects with the same noise every time."""
        found = evaluate(self.problem, self.network, self.parameters, self.problem.held_out, between=self._between)
        loss_of = {"complex": found.complex_error, "amplitude": found.amplitude_error, "phase": found.phase_error}[
            self.problem.experiment.training.loss
        ]
        self._validated = Validated(
            step=self.step,
            loss=float(loss_of.square().mean()),
            complex_error=float(found.complex_error.mean()),
            amplitude_error=float(found.amplitude_error.mean()),
            phase_error_rad=float(found.phase_error_rad.mean()),
        )
        self._note(
            kind="validated",
            loss=self._validated.loss,
            complex_error=self._validated.complex_error,
            amplitude_error=self._validated.amplitude_error,
            phase_error_rad=self._validated.phase_error_rad,
        )
        return self._validated

    def check_products(self) -> ProductsChecked:
        """Hold the products that the run uses against differences, on one object at the present design.

        The first time in all inputs, then in one after the other.

        Raises
        ------
        CertificateError
            If the derivative in an input is wrong.
        """
        if self._double is None:
            self._double = in_double_precision(self.problem)
        if self.chosen is None:
            self._use(plan_run(self.problem, self.parameters))
        assert self.chosen is not None
        examples = self.problem.training.pick([0])
        ways = ways_to_check(self.problem, self.chosen)
        for way in ways:
            generator = torch.Generator(device=self.problem.physics.device).manual_seed(self.step)
            try:
                turn = self._checks or None
                deviation = check_products(self.problem, self._double, way, self.parameters, examples, generator, turn)
                break
            except (MemoryError, RuntimeError) as error:
                if way is ways[-1] or not is_out_of_memory(error):
                    raise
        self._checks += 1
        checked = ", ".join(word for word in (way.strategy, way.variant) if word)
        self._note(kind="products", deviation=deviation, way=checked)
        return ProductsChecked(step=self.step, deviation=deviation, way=checked)

    def snapshot(self) -> Snapshot:
        """Reconstruct the first held-out object with the present design, as pictures."""
        examples = self.problem.held_out.pick([0])
        generator = torch.Generator(device=self.problem.physics.device).manual_seed(1)
        output = reconstruct_batch(self.problem, self.network, self.parameters, examples, generator, self._between)
        truth = examples.truth[0]
        x = align(self.problem.object_of(output), examples.truth)[0]
        # Both turned by the truth's mean phase, so that pictures are centred on zero.
        turn = truth.mean().conj() / truth.mean().abs().clamp_min(1e-30)
        levels, exposures = self.design_arrays()
        return Snapshot(
            step=self.step,
            levels=picture(levels),
            exposures=picture(exposures),
            amplitude=picture(x.abs().cpu().numpy()),
            phase_rad=picture(torch.angle(x * turn).cpu().numpy()),
            true_amplitude=picture(truth.abs().cpu().numpy()),
            true_phase_rad=picture(torch.angle(truth * turn).cpu().numpy()),
            pixel_size_um=self.problem.grids.object_pixel_um,
        )

    def design_arrays(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Levels (M, LED) and exposures (M,) as they are now."""
        levels = (self.parameters.levels * self.problem.mask).detach().cpu().numpy().astype(np.float64)
        return levels, self.parameters.exposures.detach().cpu().numpy().astype(np.float64)

    def patterns(self) -> PatternSet:
        """The present design, ready to be exported."""
        levels, exposures = self.design_arrays()
        return pattern_set(self.problem, levels, exposures, self.step)

    # Saving and resuming -------------------------------------------------------------------------------

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything that a resumed run needs, as plain arrays.

        In the middle of a step the random states are those before its batch was drawn: a resumed run draws it again.
        """
        order, noise = self._before_batch or (self.order.bit_generator.state, self.generator.get_state())
        arrays: dict[str, NDArray[Any]] = {
            "step": np.array(self.step),
            "elapsed_s": np.array(self.elapsed_s),
            "generator": noise.numpy(),
            "order": np.array(_order_to_text(order)),
        }
        for name, tensor in self.parameters.items():
            arrays[f"parameter_{name}"] = tensor.detach().cpu().numpy()
            for key, value in self.optimiser.state.get(tensor, {}).items():
                arrays[f"adam_{name}_{key}"] = torch.as_tensor(value).detach().cpu().numpy()
        return arrays

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up a saved state.

        Raises
        ------
        RunError
            If it belongs to another experiment.
        """
        try:
            for name, tensor in self.parameters.items():
                saved = torch.from_numpy(np.array(arrays[f"parameter_{name}"]))
                if saved.shape != tensor.shape:
                    raise RunError(
                        f"the saved {name} have the shape {tuple(saved.shape)}, the experiment needs "
                        f"{tuple(tensor.shape)}",
                        "the run's experiment.toml or data were changed; start a new run",
                    )
                with torch.no_grad():
                    tensor.copy_(saved)
                prefix = f"adam_{name}_"
                state = {
                    key.removeprefix(prefix): torch.from_numpy(np.array(value))
                    for key, value in arrays.items()
                    if key.startswith(prefix)
                }
                if state:
                    # In the precision of the parameter, which may have been changed since; the step is a count.
                    self.optimiser.state[tensor] = {
                        key: value if key == "step" else value.to(tensor) for key, value in state.items()
                    }
            self.step = int(arrays["step"])
            self.elapsed_s = float(arrays["elapsed_s"])
            self._restore_noise(torch.from_numpy(np.array(arrays["generator"])))
            self.order.bit_generator.state = _order_from_text(str(arrays["order"]))
        except KeyError as error:
            raise RunError(f"the saved state lacks {error}", "start the run again") from None
        except (ValueError, RuntimeError, TypeError) as error:
            raise RunError(f"the saved state cannot be used: {error}", "start the run again") from None
        self._saved_step = self.step

    def _restore_noise(self, state: Tensor) -> None:
        """Take up the noise where it was; on another kind of device, whose generators differ, begin a new stream."""
        if state.shape == self.generator.get_state().shape:
            self.generator.set_state(state)
        else:
            self.generator.manual_seed(self.problem.experiment.seed + 1_000_003 * (self.step + 1))

    def _save(self) -> Saved:
        assert self.folder is not None
        # History first: lines beyond the newest state are dropped on resuming, missing ones could not be made up.
        for event in self._pending:
            self.folder.append_event(event)
        self._pending.clear()
        self.folder.save(self.state())
        self._saved_step, self._saved_at = self.step, time.monotonic()
        return Saved(step=self.step, path=str(self.folder.path))

    def _note(self, **values: Any) -> None:
        if self.folder is not None:
            self._pending.append({"step": self.step, **values})


def pattern_set(problem: Problem, levels: NDArray[np.float64], exposures: NDArray[np.float64], step: int) -> PatternSet:
    """A design with everything that hardware and a reader of the file need."""
    experiment = problem.experiment
    return PatternSet(
        levels=np.clip(levels, 0, 1),
        exposures=exposures,
        led_numbers=problem.leds.numbers,
        positions_mm=problem.leds.positions_mm,
        illumination_na=problem.leds.illumination_na,
        row_names=starts.row_names(experiment.design),
        geometry=problem.geometry,
        name=experiment.name,
        record={
            "experiment": experiment.model_dump(mode="json", exclude_none=True),
            "seed": experiment.seed,
            "steps": step,
            "data_sha256": problem.data_sha256,
            "versions": library_versions(),
        },
    )


def new_run(
    experiment: Experiment,
    folder: str | Path | None,
    control: RunControl | None = None,
    want_images: Callable[[], bool] = lambda: False,
    tell: Callable[[str], None] = lambda _sentence: None,
) -> Trainer:
    """Set up a run; with a folder it is saved there. ``tell`` hears of what takes long.

    Raises
    ------
    RunError
        If the folder holds a run already or files that no run left.
    """
    if folder is not None:
        RunFolder(Path(folder)).check_free()  # before the data are read, which may take minutes
    control = control or RunControl()
    problem = build_problem(experiment, tell=tell, between=control.checkpoint)
    trainer = Trainer(problem, None, control, want_images)
    if folder is not None:
        problem = trainer.problem
        # The geometry may have come with the data; the run keeps its own copy, so that nothing changes under it.
        data = experiment.data.replace(images=said_of_images(experiment))
        kept = experiment.replace(geometry=problem.geometry, data=data)
        trainer.folder = RunFolder.create(folder, kept, problem.data_sha256, problem.truth_made)
    return trainer


def resume_run(
    folder: str | Path,
    control: RunControl | None = None,
    want_images: Callable[[], bool] = lambda: False,
    changes: Callable[[Experiment], Experiment] = lambda experiment: experiment,
) -> Trainer:
    """Take up a run where its newest whole state left it.

    Raises
    ------
    RunError
        If the folder is no run, is in use, comes from a newer version, or if its data or a settled setting changed.
    """
    run = RunFolder.open(folder)
    try:
        stored = run.settled_experiment()
        experiment = changes(stored)
        if changed := differences(experiment, stored):
            raise RunError(
                f"the run of {run.path} cannot go on: {changed[0]}",
                "leave that as it was, or start a new run in another folder",
            )
        control = control or RunControl()
        problem = build_problem(experiment, between=control.checkpoint)
        expected = run.record().get("data_sha256")
        if expected != problem.data_sha256:
            raise RunError(
                f"the data of {run.path} have changed since the run was started", "restore them or start a new run"
            )
        trainer = Trainer(_of_other_truth(problem, run), run, control, want_images)
        saved = run.load()
        if saved is not None:
            trainer.restore(saved)
        run.keep_events_until(trainer.step if saved is not None else -1)
        if experiment != stored:
            run.write_experiment(experiment)
    except BaseException:
        run.close()
        raise
    return trainer


def _of_other_truth(problem: Problem, run: RunFolder) -> Problem:
    """The problem with a warning if the run began with another truth, so that its scores jump from here on."""
    if problem.field is None or run.record().get("truth") == problem.truth_made:
        return problem
    warning = (
        "this run began when what is learned from a stack was reconstructed otherwise: losses and scores before and "
        "after this point are of different truths; start a new run to compare them"
    )
    return replace(problem, field=replace(problem.field, remarks=(warning, *problem.field.remarks)))


def _order_to_text(state: Mapping[str, Any]) -> str:
    inner = state["state"]
    return f"{inner['state']}:{inner['inc']}:{state['has_uint32']}:{state['uinteger']}"


def _order_from_text(text: str) -> dict[str, Any]:
    state, inc, has, uinteger = (int(part) for part in text.split(":"))
    return {
        "bit_generator": "PCG64",
        "state": {"state": state, "inc": inc},
        "has_uint32": has,
        "uinteger": uinteger,
    }
