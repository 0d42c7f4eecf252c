"""What a run learns, seen by the trainer: a task is one imaging system with something to learn.

The trainer, run folders, planning, the check of products, reports and the window's panels know tasks only. A task
knows how its measurements are made, what the network reconstructs from them, and how the result is judged. Its module
has a function ``build_task``, and its kind is made known by `experiment.register`.

    batch -- inputs(parameters) --> x0, named tensors -- network --> output -- loss, scores --> numbers
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, Self, TypeVar

import torch
from torch import Tensor

from ptychoui.engine.strategy import Callback
from ptychoui.errors import SettingsError
from ptychoui.network.unrolled import UnrolledNetwork
from ptychoui.settings import Experiment, kind_of
from ptychoui.training.events import Picture, Snapshot
from ptychoui.training.parameters import ParameterSet
from ptychoui.training.results import Result
from ptychoui.training.verdict import Verdict


class Examples(Protocol):
    """Things to learn from or to be scored on, and every batch of them."""

    def __len__(self) -> int:
        """Number of examples."""

    def pick(self, places: list[int]) -> Self:
        """Some of the examples, by their places; a place may come twice."""

    def part(self, first: int, stop: int) -> Self:
        """The examples from ``first`` to before ``stop``, as views."""

    def joined(self, others: Self) -> Self:
        """These examples and others behind them."""

    def double(self) -> Self:
        """The same in double precision."""


@dataclass(frozen=True, slots=True)
class NetworkInputs:
    """What a network gets to reconstruct a batch.

    Attributes
    ----------
    x
        First estimate, (B, ...).
    tensors
        Named inputs of the layers.
    per_example
        Names of those that hold something for each example, along their first axis; the others are shared.
    """

    x: Tensor
    tensors: Mapping[str, Tensor]
    per_example: frozenset[str] = frozenset()

    def part(self, first: int, stop: int) -> NetworkInputs:
        """Those of some of the examples, as views."""
        tensors = {n: t[first:stop] if n in self.per_example else t for n, t in self.tensors.items()}
        return NetworkInputs(self.x[first:stop], tensors, self.per_example)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What can be said of a design before the first step.

    Attributes
    ----------
    summary
        One line.
    warnings
        What to change, the worst first: sentences.
    """

    summary: str = ""
    warnings: tuple[str, ...] = ()


E = TypeVar("E", bound=Examples)
P = TypeVar("P", bound=ParameterSet)


class Task(Protocol[E, P]):
    """One imaging system with something to learn."""

    @property
    def experiment(self) -> Experiment:
        """Its settings, whole: what they leave open is filled in."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""

    @property
    def dtype(self) -> torch.dtype:
        """The real numbers in which it computes."""

    @property
    def training(self) -> E:
        """Examples to learn from; they share no source with those held out."""

    @property
    def held_out(self) -> E:
        """Examples to be scored on."""

    @property
    def variants(self) -> tuple[str, ...]:
        """Words for ways to build the network; each needs less memory than the one before, and the first is empty."""

    @property
    def reference(self) -> str:
        """What results are held against, in words."""

    @property
    def source(self) -> str:
        """Where the data are."""

    @property
    def data_sha256(self) -> str:
        """Hash of the data."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed while reading the data: sentences."""

    @property
    def split(self) -> tuple[str, ...]:
        """How the data were divided: sentences."""

    def parameters(self) -> P:
        """What is learned, at its start."""

    def network(self, variant: str = "") -> UnrolledNetwork:
        """The network that reconstructs, built in one of the `variants`."""

    def inputs(self, parameters: P, batch: E, generator: torch.Generator | None, training: bool) -> NetworkInputs:
        """Measure a batch: what the network gets, differentiable in the parameters.

        Noise comes from the generator, none without one. While ``training`` its derivative must exist, so it may be an
        approximation; else it is drawn as it falls.
        """

    def loss(self, output: Tensor, batch: E) -> Tensor:
        """Loss of each reconstruction, (B,), differentiable."""

    def scores(self, output: Tensor, batch: E) -> dict[str, Tensor]:
        """Scores of each reconstruction, (B,) each, by the names of the kind's metrics, and its ``loss``.

        The metric that decides is always there; others may be missing where they have no meaning.
        """

    def project_(self, parameters: P) -> None:
        """Bring parameters back to what can be realised, in place."""

    def preflight(self, parameters: P, callback: Callback) -> Preflight:
        """What can be said before the first step."""

    def shown_first(self, step: int) -> Picture | None:
        """What results will be held against, to be looked at before the first step, or None."""

    def snapshot(self, parameters: P, output: Tensor, example: E, step: int) -> Snapshot:
        """Pictures of the present state: one held-out example, reconstructed, (1, ...), and what is learned."""

    def result(self, parameters: P, step: int) -> Result:
        """What was learned, complete for export."""

    def verdict(self, parameters: P, callback: Callback) -> Verdict | None:
        """What to use in the end, the learned or what was known before; None where nothing is known."""

    def known(self, name: str, step: int) -> Result:
        """What a verdict recommends instead of the learned, complete for export."""

    def double(self) -> Self:
        """The same task in double precision; its examples stay as they are."""

    def facts(self) -> Mapping[str, str]:
        """What a report says of the task, by names."""

    def kept(self, experiment: Any) -> Experiment:
        """The settings that a task was built from as its run keeps them: with whatever came with the data."""

    def record(self) -> dict[str, str]:
        """Further facts for a run's record, by their names."""

    def taken_up(self, record: Mapping[str, object]) -> Self:
        """The task of a run that was begun earlier, with what its record says."""


AnyTask = Task[Any, Any]
"""A task whose examples and parameters are its own business."""


class KindModule(Protocol):
    """What the module of a kind holds."""

    def build_task(
        self, experiment: Experiment, tell: Callable[[str], None], callback: Callable[[], None] | None
    ) -> AnyTask:
        """Open the data of an experiment; ``tell`` hears of what takes long, ``callback`` may give the work up.

        Raises
        ------
        PtychouiError
            If the data and the settings do not fit together.
        """


def build_task(
    experiment: Experiment,
    tell: Callable[[str], None] = lambda _sentence: None,
    callback: Callable[[], None] | None = None,
) -> AnyTask:
    """The task of an experiment, of whatever kind it is: see `KindModule.build_task`."""
    module: KindModule = import_module(kind_of(experiment.kind).module)
    return module.build_task(experiment, tell, callback)


def on_other_data(experiment: Experiment, data: str | None, geometry: str | None) -> Experiment:
    """The experiment with other data, to be judged by them.

    Raises
    ------
    SettingsError
        If its kind cannot be judged by other data.
    """
    module = import_module(kind_of(experiment.kind).module)
    change: Callable[[Experiment, str | None, str | None], Experiment] | None = getattr(module, "on_other_data", None)
    if change is None:
        raise SettingsError(
            f"an experiment of kind {experiment.kind!r} takes no data from the command line",
            "state them in a copy of its file",
        )
    return change(experiment, data, geometry)


def to_score(experiment: Experiment) -> tuple[AnyTask, Any]:
    """The task of an experiment on data that nothing was learned from, and all of their examples, to be scored.

    A kind whose examples may be in both of a task's sets, or which cannot divide what is to be scored as a whole, has a
    function ``build_to_score`` that holds everything out.
    """
    module = import_module(kind_of(experiment.kind).module)
    build: Callable[[Experiment], AnyTask] | None = getattr(module, "build_to_score", None)
    if build is not None:
        task = build(experiment)
        return task, task.held_out
    task = build_task(experiment)
    return task, task.held_out.joined(task.training)
