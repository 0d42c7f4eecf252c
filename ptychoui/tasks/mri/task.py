"""Learned reconstruction and sampling of multi-channel MRI, as a task: see `training.task`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ptychoui.engine.strategy import Callback
from ptychoui.errors import DataError, SettingsError
from ptychoui.mri.frequencies import central
from ptychoui.mri.metrics import DEFINITIONS, SUPPORT, scores
from ptychoui.mri.sampling import draw_mask
from ptychoui.mri.sense import Sense
from ptychoui.network.multi_coil import MultiCoilUnrolls
from ptychoui.settings import Experiment, MriExperiment
from ptychoui.tasks.mri.events import MriSnapshot, pictures_of
from ptychoui.tasks.mri.examples import KSpaces, prepare
from ptychoui.tasks.mri.lines import chosen_lines, first_scores
from ptychoui.tasks.mri.other_data import on_other_data as on_other_data
from ptychoui.tasks.mri.recommendation import method_and_strength, recommend, title_of
from ptychoui.training.devices import pick_device
from ptychoui.training.parameters import ParameterSet
from ptychoui.training.results import LearnedArrays
from ptychoui.training.run_folder import library_versions
from ptychoui.training.task import NetworkInputs, Preflight
from ptychoui.training.verdict import Verdict
from ptychoui.words import counted

LINE_RATE = 6.0
"""Learning rate of lines' scores, in units of that of the weights; ten and more move lines faster than weights can."""

MU_RATE = 5.0
"""Learning rate of mu, in units of that of the weights."""

LEAST_MU, LARGEST_MU = 1e-3, 10.0


@dataclass(frozen=True, kw_only=True)
class MriTask:
    """Everything that a run of multi-channel MRI works on.

    Attributes
    ----------
    acquisition, transformed
        Kind of acquisition, and how many of the last axes are Fourier transformed.
    always
        (rows,) bool, lines that learned sampling always measures; None where lines are not learned.
    lines
        How many lines learned sampling measures.
    tested
        (held-out example, *space) real, 1 at the samples that nothing may see before the end; None where the truth is
        known.
    notes, split
        What was assumed, and how examples were divided: sentences.
    """

    experiment: MriExperiment
    device: torch.device
    dtype: torch.dtype
    training: KSpaces
    held_out: KSpaces
    acquisition: str
    transformed: int
    data_sha256: str
    always: Tensor | None = None
    lines: int = 0
    tested: Tensor | None = None
    notes: tuple[str, ...] = ()
    split: tuple[str, ...] = ()

    variants = ("",)

    @property
    def space(self) -> tuple[int, ...]:
        """Shape of an image."""
        return tuple(self.training.k_space.shape[2:])

    @property
    def reference(self) -> str:
        """What results are held against."""
        return "true images" if self.held_out.judged is None else "samples that were left out"

    @property
    def source(self) -> str:
        """Where the data are."""
        return self.experiment.data.path or "simulated"

    # What is learned, and by what ------------------------------------------------------------------------

    def parameters(self) -> ParameterSet:
        """Random weights from the seed, the first mu, and where lines are learned scores of the first pattern."""
        settings, network = self.experiment.network, self.network()
        generator = torch.Generator().manual_seed(self.experiment.seed)
        tensors = network.initial_weights(generator, self.dtype)
        rates = dict.fromkeys(tensors, 1.0)
        per_unroll = set() if settings.shared else set(tensors)
        tensors["mu"] = network.initial_mu(self.dtype)
        if settings.learn_mu:
            rates["mu"] = MU_RATE
            per_unroll |= set() if settings.shared else {"mu"}
        if self.always is not None:
            first = self.training.sampled[0].reshape(-1)
            tensors["line_scores"] = first_scores(first.cpu(), self.always.cpu(), generator).to(self.dtype)
            rates["line_scores"] = LINE_RATE
        placed = {name: tensor.to(self.device) for name, tensor in tensors.items()}
        return ParameterSet(placed, rates, frozenset(per_unroll))

    def network(self, _variant: str = "") -> MultiCoilUnrolls:
        """The experiment's network."""
        return MultiCoilUnrolls(self.space, self.transformed, self.experiment.network, self.dtype)

    def sampling(
        self, parameters: ParameterSet, batch: KSpaces, generator: torch.Generator | None, training: bool
    ) -> Tensor:
        """Which samples are measured, of shape (B, *space), 0 or 1; learned lines with their derivative."""
        settings = self.experiment.sampling
        if self.always is not None:
            left = 1 - parameters.progress
            shaken = settings.exploration * left if training else 0.0
            lines = chosen_lines(parameters["line_scores"], self.always, self.lines, shaken, generator)
            return lines[:, None].expand(len(batch), *batch.sampled.shape[1:])
        redrawn = settings.redraw and settings.pattern != "measured" and batch.judged is None
        if not (training and redrawn and generator is not None):
            return batch.sampled
        # One number of the run's generator seeds all patterns of a batch.
        seed = int(torch.randint(2**31, (1,), generator=generator, device=generator.device))
        own = np.random.default_rng(seed)
        shape = (settings.pattern, self.acquisition, self.space, settings.acceleration, settings.calibration)
        masks = np.stack([draw_mask(*shape, own) for _ in range(len(batch))])  # type: ignore[arg-type]
        return torch.from_numpy(masks).to(self.device, self.dtype)

    def inputs(
        self, parameters: ParameterSet, batch: KSpaces, generator: torch.Generator | None, training: bool
    ) -> NetworkInputs:
        """Maps, patterns and what is measured of each example; the first estimate is the zero-filled image."""
        maps, k_space = batch.maps[batch.source], batch.k_space[batch.source]
        sampling = self.sampling(parameters, batch, generator, training)
        tensors = {name: parameters[name] for name in parameters.tensors if name != "line_scores"}
        tensors |= {"maps": maps, "sampling": sampling, "k_space": k_space}
        x = Sense(maps, sampling, self.transformed).adjoint(k_space)
        return NetworkInputs(x, tensors, per_example=frozenset({"maps", "sampling", "k_space"}))

    def loss(self, output: Tensor, batch: KSpaces) -> Tensor:
        """(B,) difference from the truth, or from samples that were left out, in units of the truth's or theirs."""
        if batch.judged is not None:
            k_space = batch.k_space[batch.source]
            found = Sense(batch.maps[batch.source], batch.judged, self.transformed).apply(output)
            weights, true = batch.judged[:, None], k_space
            difference = found - k_space
        else:
            assert batch.truth is not None
            true, weights = batch.truth[batch.source], batch.support[batch.source]
            difference = output - true
        if self.experiment.training.loss == "l1":
            return _size(difference.real.abs() + difference.imag.abs(), weights) / _size(
                true.real.abs() + true.imag.abs(), weights
            )
        return _size(_squared(difference), weights) / _size(_squared(true), weights)

    def scores(self, output: Tensor, batch: KSpaces) -> dict[str, Tensor]:
        """(B,) each: see `mri.metrics`; where no truth is known the error of samples that were left out, alone."""
        loss = self.loss(output, batch)
        if batch.judged is not None:
            squared = loss if self.experiment.training.loss == "l2" else self._as_l2().loss(output, batch)
            return {"nrmse": squared.sqrt(), "loss": loss}
        assert batch.truth is not None
        rows = []
        for place, image in enumerate(output.detach().cpu().numpy()):
            source = int(batch.source[place])
            true, support = batch.truth[source].cpu().numpy(), batch.support[source].cpu().numpy() > 0
            rows.append(scores(image, true, support))
        return {name: torch.tensor([row[name] for row in rows], dtype=torch.float64) for name in rows[0]} | {
            "loss": loss
        }

    def _as_l2(self) -> MriTask:
        experiment = self.experiment
        return replace(self, experiment=experiment.replace(training=experiment.training.replace(loss="l2")))

    def project_(self, parameters: ParameterSet) -> None:
        """Keep mu where data consistency is a well-posed problem, in place."""
        parameters["mu"].clamp_(LEAST_MU, LARGEST_MU)
        if self.always is not None:
            parameters["line_scores"].clamp_(-2, 2)

    def double(self) -> MriTask:
        """The same task in double precision; its examples stay as they are."""
        always = self.always
        return replace(self, dtype=torch.float64, always=always)

    # What is said and shown of it ------------------------------------------------------------------------

    def preflight(self, parameters: ParameterSet, callback: Callback) -> Preflight:
        """Numbers of unrolls and weights, and the net acceleration."""
        callback()
        weights = sum(parameters[name].numel() for name in parameters.learned)
        held, warnings = self.held_out, []
        measured = held.sampled if held.judged is None else held.sampled + held.judged
        sampled = float((measured if self.tested is None else measured + self.tested).mean())
        sampled = sampled if self.always is None else self.lines / len(self.always)
        words = f"net acceleration {1 / sampled:.3g}, {counted(weights, 'number')} to be learned"
        if held.judged is None and sampled > 0.999:
            warnings.append("every sample of k-space is measured: there is nothing to be learned from what is missing")
        if self.experiment.network.mu < 0.02:
            warnings.append("data consistency with so small a mu is solved slowly: try 0.05 or more")
        return Preflight(summary=words, warnings=tuple(warnings))

    def shown_first(self, _step: int) -> None:
        """Nothing: the first picture holds the truth."""
        return None

    def snapshot(self, parameters: ParameterSet, output: Tensor, example: KSpaces, step: int) -> MriSnapshot:
        """A held-out example, reconstructed, of shape (1, *space), beside what is measured of it and the truth."""
        with torch.no_grad():
            given = self.inputs(parameters, example, None, training=False)
        truth = None if example.truth is None else example.truth[example.source[0]].cpu().numpy()
        # What no coil sees is what the network makes of nothing.
        seen = given.tensors["maps"][0].abs().sum(0) > 0
        arrays = ((output[0] * seen).cpu().numpy(), given.x[0].cpu().numpy(), truth)
        shown = pictures_of(self.acquisition, *arrays, given.tensors["sampling"][0].cpu().numpy())
        return MriSnapshot(step=step, **shown)

    def result(self, parameters: ParameterSet, step: int) -> LearnedArrays:
        """Weights, mu and the learned lines, with what is needed to use them."""
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in parameters.items()}
        if self.always is not None:
            with torch.no_grad():
                lines = chosen_lines(parameters["line_scores"], self.always, self.lines)
            arrays["lines"] = np.fft.fftshift(lines.cpu().numpy() > 0)
        record: dict[str, Any] = {
            "experiment": self.experiment.model_dump(mode="json", exclude_none=True),
            "seed": self.experiment.seed,
            "steps": step,
            "data_sha256": self.data_sha256,
            "scores": {**DEFINITIONS, "support": SUPPORT},
            "lines": "measured lines, zero frequency in the middle" if self.always is not None else "",
            "versions": library_versions(),
        }
        return LearnedArrays(name=self.experiment.name, arrays=arrays, record=record)

    def verdict(self, parameters: ParameterSet, callback: Callback) -> Verdict:
        """The learned network beside reconstructions that learned nothing: see `recommendation.recommend`."""
        return recommend(self, parameters, callback)

    def known(self, name: str, step: int) -> LearnedArrays:
        """A classical method that a verdict recommends, with its strength; it has no weights."""
        method, strength = method_and_strength(name)
        title = title_of(name)
        record = {"method": method, "title": title, "steps": step, "seed": self.experiment.seed}
        found = {"strength": np.array(strength)}
        return LearnedArrays(name=f"{self.experiment.name}, {title}", arrays=found, record=record)

    def facts(self) -> dict[str, str]:
        """Network and sampling."""
        network, sampling = self.experiment.network, self.experiment.sampling
        weights = "shared weights" if network.shared else "weights of their own"
        return {
            "network": f"{counted(network.unrolls, 'unroll')} ({network.order}), "
            f"{network.convolutions} convolutions of {network.channels} channels, {weights}",
            "k-space": f"{self.acquisition}, {' x '.join(map(str, self.space))}, "
            f"{counted(self.training.k_space.shape[1], 'coil')}, {sampling.pattern.replace('_', ' ')}"
            f"{', lines learned' if sampling.learn else ''}",
        }

    # Its run ---------------------------------------------------------------------------------------------

    def kept(self, experiment: MriExperiment) -> MriExperiment:
        """The settings as they are."""
        return experiment

    def record(self) -> dict[str, str]:
        """Nothing beside what every run records."""
        return {}

    def taken_up(self, _record: Mapping[str, object]) -> MriTask:
        """The task as it is: nothing of a record changes it."""
        return self


def _squared(tensor: Tensor) -> Tensor:
    return tensor.real.square() + tensor.imag.square()


def _size(values: Tensor, weights: Tensor) -> Tensor:
    """(B,) weighted sums of (B, ...)."""
    return (values * weights).sum(tuple(range(1, values.ndim)))


def build_task(
    experiment: Experiment,
    tell: Callable[[str], None] = lambda _sentence: None,
    callback: Callable[[], None] | None = None,
    all_scored: bool = False,
) -> MriTask:
    """Make or read k-space: see `training.task.KindModule`.

    ``all_scored`` holds every example of a file out, for scores of a run that learned from another one.

    Raises
    ------
    SettingsError
        If the experiment is of another kind, or its settings do not fit.
    DataError
        If the data are damaged, or do not fit the settings.
    """
    if not isinstance(experiment, MriExperiment):
        raise SettingsError(f"{experiment.name!r} is no experiment of multi-channel MRI", "give one of kind 'mri'")
    device = pick_device(experiment.engine.device)
    dtype = torch.float32 if experiment.engine.precision == "float32" else torch.float64
    ready = prepare(experiment, tell, callback, all_scored)

    def place(examples: KSpaces) -> KSpaces:
        examples = examples if dtype == torch.float32 else examples.double()
        moved = {name: value.to(device) for name, value in vars(examples).items() if value is not None}
        return replace(examples, **moved)

    always, lines = None, 0
    if experiment.sampling.learn:
        always, lines = _free_lines(experiment, ready.training)
    return MriTask(
        experiment=experiment,
        device=device,
        dtype=dtype,
        training=place(ready.training),
        held_out=place(ready.held_out),
        acquisition=ready.acquisition,
        transformed=ready.transformed,
        data_sha256=ready.data_sha256,
        always=None if always is None else always.to(device),
        lines=lines,
        tested=None if ready.tested is None else ready.tested.to(device),
        notes=ready.notes,
        split=ready.split,
    )


def build_to_score(experiment: Experiment) -> MriTask:
    """A task whose held-out examples are all of its file: see `training.task.to_score`."""
    return build_task(experiment, all_scored=True)


def _free_lines(experiment: MriExperiment, examples: KSpaces) -> tuple[Tensor, int]:
    """Lines that are always measured, (rows,) bool, and the number of all that are.

    Raises
    ------
    DataError
        If patterns are not lines along the rows, the same in every frame.
    """
    pattern = examples.sampled[0]
    if pattern.numel() != pattern.shape[-2]:
        raise DataError(
            f"lines cannot be learned where patterns are {' x '.join(map(str, pattern.shape))}",
            "use a 2d or slab acquisition with a pattern of lines",
        )
    always = torch.from_numpy(central(pattern.numel(), experiment.sampling.calibration))
    return always, int(pattern.sum())
