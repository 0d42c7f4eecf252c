"""Gradient strategies side by side on one problem: equal numbers, and what each takes. Torch is imported inside.

Every strategy begins with the same parameters, draws the same batches and the same noise, and takes its steps in turn
with the others. Its memory is measured at its first step, with the meter that runs of training use; its time is that of
the later ones, for the meter slows a step down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from ptychoui.engine.sizes import size_text
from ptychoui.errors import SettingsError
from ptychoui.session.history import Curve
from ptychoui.session.runs import LOADING, PLANNING, READING, leave_a_core
from ptychoui.session.worker import MakeEvents
from ptychoui.settings import Experiment
from ptychoui.training.control import RunControl
from ptychoui.training.events import Begun, Event, Failed, Finished, Preparing, StepDone, Stopped
from ptychoui.words import counted

TITLES = {
    "store_all": "Back-propagation",
    "checkpoint": "Checkpoints",
    "reversible": "Reversible",
}
"""What strategies are called that can be compared: those with equal gradients."""

KEEPS = {
    "store_all": "keeps every unroll",
    "checkpoint": "keeps a few, computes the others again",
    "reversible": "keeps the last, undoes the others",
}
"""What each keeps for the way back."""

REMEDY = "compare without back-propagation, with fewer unrolls or a smaller batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class RacePlan:
    """What is compared.

    Attributes
    ----------
    strategies
        Two or more of `TITLES`; the first is what others are held against.
    steps
        Steps of each, 2 to 10 000.
    unrolls
        Of the network; None leaves those of the experiment.

    Raises
    ------
    SettingsError
        If a value is refused.
    """

    strategies: tuple[str, ...] = tuple(TITLES)
    steps: int = 20
    unrolls: int | None = None

    def __post_init__(self) -> None:
        if len(set(self.strategies)) < 2 or not set(self.strategies) <= set(TITLES):
            raise SettingsError(
                "two different strategies or more are compared", f"choose among {', '.join(TITLES.values())}"
            )
        if not 2 <= self.steps <= 10_000:
            raise SettingsError(f"{self.steps} steps are not compared", "choose 2 to 10 000")

    def of(self, experiment: Experiment) -> Experiment:
        """The experiment that is compared.

        Raises
        ------
        SettingsError
            If it does not take so many unrolls, or its update cannot be undone and that is to be compared.
        """
        network = getattr(experiment, "network", None)
        changes: dict[str, Any] = {}
        if self.unrolls is not None and network is not None:
            changes["network"] = network.replace(unrolls=self.unrolls)
        engine = experiment.engine.replace(strategy="store_all", objects_at_once=None)
        training = experiment.training.replace(steps=self.steps)
        return experiment.replace(engine=engine, training=training, **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceBegun(Begun):
    """The problem is set up.

    Attributes
    ----------
    strategies
        Those that run, in their order.
    left_out
        Strategy -> the sentence why it does not run.
    predicted_bytes
        Predicted peak of one step for each strategy.
    unrolls
        Of the network.
    depths, by_depth
        Numbers of unrolls, and for each strategy the predicted peak at each of them.
    problem
        What is computed, in a line.
    """

    strategies: tuple[str, ...]
    left_out: Mapping[str, str]
    predicted_bytes: Mapping[str, int]
    unrolls: int
    depths: tuple[int, ...]
    by_depth: Mapping[str, tuple[int, ...]]
    problem: str
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceStep(Event):
    """One step of one strategy; ``memory_bytes`` is its measured peak, ``metered`` whether it was measured now."""

    strategy: str
    loss: float
    seconds: float
    memory_bytes: int
    metered: bool
    certificate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceAgreement(Event):
    """All strategies have done a step: how far they agree.

    Attributes
    ----------
    equal
        Whether all losses and everything that is learned are equal bit for bit.
    of_loss, of_parameters
        Largest relative difference from the first strategy, of the loss and of a learned tensor's norm.
    learned
        How many numbers are learned.
    """

    equal: bool
    of_loss: float
    of_parameters: float
    learned: int


class RaceHistory:
    """What a comparison has told; filled by `take`."""

    def __init__(self) -> None:
        self.begun: RaceBegun | None = None
        self.preparing = ""
        self.losses: dict[str, Curve] = {}
        self.memory: dict[str, int] = {}
        self.seconds: dict[str, list[float]] = {}
        self.certificates: dict[str, str] = {}
        self.agreement: RaceAgreement | None = None
        self.end: Finished | Stopped | Failed | None = None

    def take(self, event: object) -> None:
        """Note an event."""
        if isinstance(event, Preparing):
            self.preparing = event.text
        elif isinstance(event, RaceBegun):
            self.begun, self.preparing = event, ""
            self.losses = {name: Curve() for name in event.strategies}
            self.seconds = {name: [] for name in event.strategies}
        elif isinstance(event, RaceStep):
            self.losses[event.strategy].append(event.step, event.loss)
            self.memory[event.strategy] = event.memory_bytes
            if event.certificate:
                self.certificates[event.strategy] = event.certificate
            if not event.metered:
                self.seconds[event.strategy].append(event.seconds)
        elif isinstance(event, RaceAgreement):
            self.agreement = event
        elif isinstance(event, (Finished, Stopped, Failed)):
            self.end, self.preparing = event, ""

    @property
    def step(self) -> int:
        """Steps that all strategies have done."""
        return 0 if self.agreement is None else self.agreement.step

    def step_seconds(self, strategy: str) -> float | None:
        """Median time of a step in s, of those that were not metered; None before there are any."""
        found = self.seconds.get(strategy)
        return median(found) if found else None

    @property
    def verdict(self) -> str:
        """How far the strategies agree, in a sentence; empty before a step was done."""
        found, begun = self.agreement, self.begun
        if found is None or begun is None or len(begun.strategies) < 2:
            return ""
        who = "both strategies" if len(begun.strategies) == 2 else f"all {len(begun.strategies)} strategies"
        after = f"after {counted(found.step, 'step')}"
        if found.equal:
            what = f"the losses and {found.learned:,} learned numbers of {who}"
            return f"Same numbers: {after} {what} are equal bit for bit"
        apart = f"{found.of_loss:.1e} of the loss and {found.of_parameters:.1e} of what is learned"
        return f"{after[0].upper()}{after[1:]} {who} differ by {apart}"

    @property
    def saving(self) -> str:
        """What the strategy that takes least saves, in a sentence, of measured figures alone; empty before those."""
        measured = {name: size for name, size in self.memory.items() if size}
        if len(measured) < 2:
            return ""
        most, least = max(measured, key=measured.__getitem__), min(measured, key=measured.__getitem__)
        ratio = measured[most] / measured[least]
        text = f"{TITLES[least]} took {ratio:.3g} times less memory than {TITLES[most].lower()}"
        slow, fast = self.step_seconds(least), self.step_seconds(most)
        return text if slow is None or fast is None else f"{text}, in {slow / fast:.2f} times the time"


def race_run(experiment: Experiment, plan: RacePlan) -> MakeEvents:
    """Return what a worker needs to compare strategies on an experiment.

    What takes more memory than is free, by its prediction, is left out and said to be.
    """

    def events(control: RunControl, _want_images: Callable[[], bool]) -> Iterator[Any]:
        control.now(LOADING)
        leave_a_core()
        from ptychoui.engine.allocator import large_arrays_apart
        from ptychoui.engine.planner import free_memory
        from ptychoui.training.planning import predicted_peaks
        from ptychoui.training.task import build_task
        from ptychoui.training.trainer import Trainer

        large_arrays_apart()
        asked = plan.of(experiment)
        control.now(READING)
        yield Preparing(step=0, text=READING)
        task = build_task(asked, control.now, control.checkpoint)
        control.now(PLANNING)
        yield Preparing(step=0, text=PLANNING)
        start = task.parameters()
        unrolls = len(task.network().chain)
        depths = depths_around(unrolls)
        by_depth = predicted_peaks(task, start, depths)
        predicted = {name: peaks[depths.index(unrolls)] for name, peaks in by_depth.items()}
        left_out = _left_out(plan, predicted, free_memory(task.device))
        names = tuple(name for name in plan.strategies if name not in left_out)
        if not names:
            raise SettingsError("no strategy is left to run", "; ".join(left_out.values()))
        trainers = {}
        for name in names:
            own = start.with_tensors({key: tensor.detach().clone() for key, tensor in start.items()})
            trainers[name] = Trainer(task, None, control, start=own)
            trainers[name].strategy = name
        yield RaceBegun(
            step=0,
            strategies=names,
            left_out=left_out,
            predicted_bytes={name: predicted[name] for name in plan.strategies if name in predicted},
            unrolls=unrolls,
            depths=depths,
            by_depth={name: tuple(by_depth[name]) for name in plan.strategies if name in by_depth},
            problem=_problem(asked, str(task.device), len(task.training)),
            steps=plan.steps,
        )
        running = {name: trainer.steps_alone(metered=True) for name, trainer in trainers.items()}
        learned = sum(start[name].numel() for name in start.learned)
        seconds = 0.0
        for step in range(1, plan.steps + 1):
            losses = {}
            for name in names:
                done = next(running[name])
                assert isinstance(done, StepDone)
                control.now(f"{TITLES[name].lower()}, step {step}")
                losses[name] = done.loss
                seconds += done.seconds
                yield RaceStep(
                    step=step,
                    strategy=name,
                    loss=done.loss,
                    seconds=done.seconds,
                    memory_bytes=done.memory_bytes,
                    metered=step == 1,
                    certificate=done.certificate,
                )
            tensors = [dict(trainer.parameters.items()) for trainer in trainers.values()]
            of_loss, of_parameters = deviations(list(losses.values()), tensors)
            equal = of_loss == 0 and of_parameters == 0
            yield RaceAgreement(step=step, equal=equal, of_loss=of_loss, of_parameters=of_parameters, learned=learned)
        yield Finished(step=plan.steps, seconds=seconds)

    return events


def depths_around(unrolls: int) -> tuple[int, ...]:
    """Numbers of unrolls from 1 to twice as many as there are, these among them."""
    step = max(1, unrolls // 12)
    return tuple(sorted({*range(1, 2 * unrolls, step), unrolls, 2 * unrolls}))


def deviations(losses: list[float], tensors: list[dict[str, Any]]) -> tuple[float, float]:
    """Largest relative difference from the first of losses, and of named tensors of equal shapes in their norms.

    Both are 0 only where all are equal bit for bit.
    """
    tiny = 5e-324  # the least there is: tensors that differ by so little that their norm does not
    of_loss = max(abs(loss - losses[0]) / max(abs(losses[0]), 1e-300) for loss in losses)
    of_tensors = 0.0
    for others in tensors[1:]:
        for name, tensor in tensors[0].items():
            if not _same_bits(others[name], tensor):
                apart = float((others[name] - tensor).norm()) / max(float(tensor.norm()), 1e-300)
                of_tensors = max(of_tensors, apart, tiny)
    return of_loss, of_tensors


def _same_bits(one: Any, other: Any) -> bool:
    """Whether two tensors are equal bit for bit: -0 is not 0."""
    first, second = (tensor.detach().cpu().contiguous().numpy().tobytes() for tensor in (one, other))
    return bool(first == second)


def _left_out(plan: RacePlan, predicted: Mapping[str, int], free: int) -> dict[str, str]:
    """Strategies that do not run, each with the sentence why."""
    found = {}
    for name in plan.strategies:
        if name not in predicted:
            found[name] = "it cannot run this network: its update has no exact inverse"
        elif predicted[name] > free:
            found[name] = f"it would take {size_text(predicted[name])}, and {size_text(free)} are free"
    return found


def _problem(experiment: Experiment, device: str, examples: int) -> str:
    """What is computed, in a line."""
    network = getattr(experiment, "network", None)
    unrolls = getattr(network, "unrolls", None)
    batch = min(experiment.training.batch, examples)
    parts = [experiment.name]
    if isinstance(unrolls, int):
        parts.append(counted(unrolls, "unroll"))
    return ", ".join([*parts, f"{counted(batch, 'example')} a step", f"seed {experiment.seed}", device])
