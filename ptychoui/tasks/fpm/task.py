"""Learned illumination patterns for a Fourier ptychographic microscope, as a task: see `training.task`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.data.dataset import ImageStack, TrainingSet
from ptychoui.data.formats.geometry_file import with_geometry
from ptychoui.design import starts
from ptychoui.design.feasibility import feasibility
from ptychoui.design.patterns import PatternSet
from ptychoui.engine.strategy import Callback
from ptychoui.errors import GeometryError, SettingsError
from ptychoui.network.ptychographic import PtychographicNetwork
from ptychoui.optics.forward.compiled import compiled_before
from ptychoui.optics.forward.measurement import MeasurementModel
from ptychoui.optics.forward.model import FourierPtychography
from ptychoui.optics.geometry.led_array import LedArray, led_array
from ptychoui.optics.geometry.microscope import Sampling, good_padding, sampling
from ptychoui.settings import Design, Experiment, FpmExperiment, Geometry, Microscope, for_microscopes
from ptychoui.tasks.fpm.choosing import with_best_start
from ptychoui.tasks.fpm.contenders import known_design
from ptychoui.tasks.fpm.events import PatternSnapshot, TruthShown
from ptychoui.tasks.fpm.examples import Objects, explained_field, objects_of_stack, simulated_objects
from ptychoui.tasks.fpm.image_loss import image_loss
from ptychoui.tasks.fpm.objectives import LOSSES, align, scores, without_ramp
from ptychoui.tasks.fpm.parameters import (
    DesignParameters,
    design_parameters,
    largest_step,
    project_,
    start_design,
    start_parameters,
)
from ptychoui.tasks.fpm.recommendation import recommend
from ptychoui.tasks.fpm.shown import shown_at_last, shown_design, shown_in_training
from ptychoui.tasks.fpm.sources import find_dataset, image_overrides
from ptychoui.tasks.fpm.training_nuisances import perturbed
from ptychoui.tasks.fpm.truth import doubts, truth_shown
from ptychoui.training.devices import pick_device
from ptychoui.training.events import picture
from ptychoui.training.run_folder import library_versions
from ptychoui.training.task import NetworkInputs, Preflight
from ptychoui.training.verdict import Verdict
from ptychoui.workflows.explained_stack import ExplainedStack

STREAMED = "LEDs streamed"
"""The variant in which fields are made again instead of kept."""


BEST = "best"
"""The start of an experiment that leaves it to the program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FpmTask:
    """Everything that learning patterns works on: operators, masks and objects on a device.

    Attributes
    ----------
    geometry, microscope
        As given, and the microscope with the pupil that a measured stack was found to have.
    leds
        With the brightness that a measured stack was found to have.
    mask
        (M, LED) bool, which LEDs each row may light.
    training, held_out
        Objects that share no source image (simulation) or no pixel (measured stack).
    reference
        What ``truth`` is: the simulated object, or the full-stack reconstruction.
    notes, split
        What was assumed while reading the data, and how it was divided: sentences.
    field
        The window of a measured stack that objects were cut from.
    """

    experiment: FpmExperiment
    geometry: Geometry
    microscope: Microscope
    leds: LedArray
    grids: Sampling
    physics: FourierPtychography
    measurement: MeasurementModel
    mask: Tensor
    training: Objects
    held_out: Objects
    reference: str
    data_sha256: str
    notes: tuple[str, ...] = ()
    split: tuple[str, ...] = ()
    field: ExplainedStack | None = None

    variants = ("", STREAMED)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.physics.device

    @property
    def dtype(self) -> torch.dtype:
        """Of levels, exposures and intensities."""
        return self.physics.dtype

    @property
    def source(self) -> str:
        """The experiment's data file."""
        return self.experiment.data.path

    @property
    def objective_na(self) -> float:
        """Numerical aperture of the objective."""
        return self.geometry.microscope.objective_na

    # What is learned, and by what ------------------------------------------------------------------------

    def parameters(self) -> DesignParameters:
        """The experiment's start."""
        return start_parameters(self)

    def network(self, variant: str = "", **changes: object) -> PtychographicNetwork:
        """The experiment's network, with some settings changed; `STREAMED` keeps no LED's field."""
        settings = self.experiment.network.replace(**changes)
        physics = self.physics.streamed() if variant == STREAMED else self.physics
        return PtychographicNetwork(physics, settings, self.measurement.variance_floor)

    def inputs(
        self, parameters: DesignParameters, batch: Objects, generator: torch.Generator | None, training: bool
    ) -> NetworkInputs:
        """Measurements of objects as inputs of the network, and the first estimate made from them alone.

        True Poisson noise; while ``training`` its normal approximation, which has a derivative, and where settings ask
        for them nuisances that the network does not know: see `training_nuisances`.
        """
        model = self.measurement
        shown = shown_in_training if training else shown_at_last
        levels, exposures = shown(self, parameters)
        camera, images = model, batch.intensities
        if training and generator is not None and model.settings.nuisances:
            camera, images = perturbed(model, images, generator)
        recorded = camera.record(images, levels, exposures, generator, not training)
        amplitude = model.amplitude(recorded)
        rows = self.experiment.design.bright_field_rows
        bright = torch.from_numpy(self.leds.bright_field(self.objective_na)).to(levels.device)
        brightness = model.brightness(levels, exposures, bright)[:rows].clamp_min(1e-6)
        x = self.physics.first_estimate(amplitude[:, :rows], brightness)
        tensors = {
            "weights": model.weights(levels, exposures),
            "offset": model.offset(exposures),
            "amplitude": amplitude,
            "step": parameters.step,
        }
        if parameters.momentum is not None:
            tensors["momentum"] = parameters.momentum
        if parameters.log_smoothness is not None:
            tensors["coverage"] = self.physics.damped_coverage(tensors["weights"])
            tensors["smoothness"] = parameters.log_smoothness.exp()
        return NetworkInputs(x, tensors, per_example=frozenset({"amplitude"}))

    def object_of(self, output: Tensor) -> Tensor:
        """The part of a reconstruction, (B, N, N), that is compared with the truth, (B, row, column)."""
        window = self.grids.object_window(self.experiment.training.margin_px)
        return output[:, window, window]

    def _compared(self, output: Tensor, batch: Objects) -> Tensor:
        found = self.object_of(output)
        return without_ramp(found, batch.truth) if self.experiment.training.without_ramp else found

    def loss(self, output: Tensor, batch: Objects) -> Tensor:
        """Loss of each reconstruction, (B,): see `objectives` and `image_loss`."""
        if self.experiment.training.loss == "images":
            return image_loss(self, output, batch)
        return LOSSES[self.experiment.training.loss](self._compared(output, batch), batch.truth)

    def scores(self, output: Tensor, batch: Objects) -> dict[str, Tensor]:
        """Errors of each reconstruction, (B,) each: see `objectives.Scores`."""
        found = scores(self._compared(output, batch), batch.truth)
        root = {"complex": found.complex_error, "amplitude": found.amplitude_error, "phase": found.phase_error}
        kind = self.experiment.training.loss
        return {
            "complex_error": found.complex_error,
            "amplitude_error": found.amplitude_error,
            "phase_error_rad": found.phase_error_rad,
            "loss": root[kind].square() if kind in root else self.loss(output, batch),
        }

    def project_(self, parameters: DesignParameters) -> None:
        """Bring parameters back to what hardware can show, in place: see `parameters.project_`."""
        project_(parameters, self)

    def double(self) -> FpmTask:
        """The same task with operators in double precision; its objects stay as they are."""
        physics = self.physics
        return replace(
            self,
            physics=FourierPtychography(self.microscope, self.leds, self.grids, torch.float64, physics.device),
            measurement=MeasurementModel(
                self.experiment.measurement, torch.from_numpy(self.leds.gain.copy()).to(physics.device)
            ),
            mask=self.mask.double(),
        )

    # What is said and shown of it ------------------------------------------------------------------------

    def preflight(self, parameters: DesignParameters, callback: Callback) -> Preflight:
        """Feasibility of the present design, doubts about a measured stack, and a step size that is too long."""
        geometry = self.geometry.replace(microscope=self.microscope)
        judged = feasibility(*self.design_arrays(parameters), self.leds, geometry, self.experiment.measurement)
        stable = largest_step(self, parameters.levels, parameters.exposures)
        warnings = [*doubts(self, callback), *judged.warnings]
        step = float(parameters.step.max())
        if step > stable:
            warnings.append(
                f"the step size {step:g} is above the stable {stable:.2g} of this design: try {0.4 * stable:.2g}"
            )
        return Preflight(summary=judged.line() + self.experiment.design.limits, warnings=tuple(warnings))

    def shown_first(self, step: int) -> TruthShown | None:
        """What a measured stack is learned from."""
        return truth_shown(self, step)

    def snapshot(self, parameters: DesignParameters, output: Tensor, example: Objects, step: int) -> PatternSnapshot:
        """The present patterns, and amplitude and phase of a reconstruction, (1, N, N), beside the truth."""
        truth = example.truth[0]
        x = align(self._compared(output, example), example.truth)[0]
        # Both turned by the truth's mean phase, so that pictures are centred on zero.
        turn = truth.mean().conj() / truth.mean().abs().clamp_min(1e-30)
        levels, exposures = self.design_arrays(parameters)
        return PatternSnapshot(
            step=step,
            levels=picture(levels),
            exposures=picture(exposures),
            amplitude=picture(x.abs().cpu().numpy()),
            phase_rad=picture(torch.angle(x * turn).cpu().numpy()),
            true_amplitude=picture(truth.abs().cpu().numpy()),
            true_phase_rad=picture(torch.angle(truth * turn).cpu().numpy()),
            pixel_size_um=self.grids.object_pixel_um,
        )

    def design_arrays(self, parameters: DesignParameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Levels (M, LED) that shine and exposures (M,) as they are now, in double precision: whole codes are exact."""
        now = parameters.double()
        levels, exposures = shown_design(self, now.levels, now.exposures)
        return levels.cpu().numpy(), exposures.cpu().numpy()

    def result(self, parameters: DesignParameters, step: int) -> PatternSet:
        """The present design with everything that hardware and a reader of the file need."""
        experiment = self.experiment
        levels, exposures = self.design_arrays(parameters)
        record: dict[str, Any] = {
            "experiment": experiment.model_dump(mode="json", exclude_none=True),
            "seed": experiment.seed,
            "steps": step,
            "data_sha256": self.data_sha256,
            "versions": library_versions(),
        }
        return PatternSet(
            levels=np.clip(levels, 0, 1),
            exposures=exposures,
            led_numbers=self.leds.numbers,
            positions_mm=self.leds.positions_mm,
            illumination_na=self.leds.illumination_na,
            row_names=starts.row_names(experiment.design),
            geometry=self.geometry,
            name=experiment.name,
            record=record,
        )

    def verdict(self, parameters: DesignParameters, callback: Callback) -> Verdict:
        """The learned patterns beside every hand-made design: see `recommendation.recommend`."""
        return recommend(self, parameters, callback)

    def known(self, name: str, step: int) -> PatternSet:
        """A hand-made design that a verdict recommends."""
        design = known_design(self, name)
        parameters = design_parameters(design.task, design.levels, design.exposures, design.levels.new_zeros(1))
        found = design.task.result(parameters, step)
        return replace(found, name=f"{self.experiment.name}, {design.title}", record={**found.record, "design": name})

    def facts(self) -> dict[str, str]:
        """Patterns and network."""
        network = self.experiment.network
        return {
            "patterns": f"{len(self.mask)} on {len(self.leds)} LEDs{self.experiment.design.limits}",
            "network": f"{network.unrolls} unrolls, step {network.step:g}, momentum {network.momentum}",
        }

    # Its run ---------------------------------------------------------------------------------------------

    def kept(self, experiment: FpmExperiment) -> FpmExperiment:
        """Settings with the geometry, which may have come with the data, so that nothing changes under a run."""
        data = experiment.data.replace(images=image_overrides(experiment))
        return experiment.replace(geometry=self.geometry, data=data, design=self.experiment.design)

    def record(self) -> dict[str, str]:
        """How the truth was made of a measured stack; nothing where objects are known."""
        return {} if self.field is None else {"truth": "calibrated"}

    def taken_up(self, record: Mapping[str, object]) -> FpmTask:
        """With a warning if the run began with another truth, so that its scores jump from here on."""
        if self.field is None or record.get("truth") == self.record()["truth"]:
            return self
        warning = (
            "this run began when what is learned from a stack was reconstructed otherwise: losses and scores before "
            "and after this point are of different truths; start a new run to compare them"
        )
        return replace(self, field=replace(self.field, warnings=(warning, *self.field.warnings)))

    def with_design_settings(self, design: Design) -> FpmTask:
        """The task with other bands, or another start."""
        mask = torch.from_numpy(starts.band_masks(design, self.leds, self.objective_na)).to(self.device)
        return replace(self, experiment=self.experiment.replace(design=design), mask=mask)

    def with_design(
        self, levels: NDArray[np.float64], exposures: NDArray[np.float64], like: DesignParameters
    ) -> DesignParameters:
        """Parameters of other levels (M, LED) and exposures (M,), with the step sizes and momenta of ``like``."""
        return design_parameters(
            self,
            torch.from_numpy(levels.copy()).to(self.device, self.dtype),
            torch.from_numpy(exposures.copy()).to(self.device, self.dtype),
            like.step,
            like.momentum,
            like.log_smoothness,
        )


def on_other_data(experiment: Experiment, data: str | None, geometry: str | None) -> FpmExperiment:
    """The experiment with another data file, or another geometry file, to be judged by them."""
    experiment = for_microscopes(experiment)
    if data is not None:
        other = data if data.startswith("sample:") else str(Path(data).resolve())
        experiment = experiment.replace(data=experiment.data.replace(path=other, images=None))
    return experiment if geometry is None else with_geometry(experiment, geometry)


def build_task(
    experiment: Experiment,
    tell: Callable[[str], None] = lambda _sentence: None,
    callback: Callable[[], None] | None = None,
    dataset: ImageStack | TrainingSet | None = None,
) -> FpmTask:
    """Open the data of an experiment and make its operators and examples; ``tell`` hears of what takes long.

    ``callback`` is called every few LEDs while a measured stack is explained: where the work can be given up. A dataset
    that is open already is given as such.

    Raises
    ------
    PtychouiError
        If the data, the geometry and the settings do not fit together.
    """
    experiment = for_microscopes(experiment)
    if dataset is None:
        dataset, geometry = find_dataset(experiment)
    else:
        geometry = experiment.geometry or dataset.geometry
    if geometry is None:
        raise GeometryError("the data carry no geometry", "give a TOML file with [microscope] and [array] (--geometry)")
    microscope, field = geometry.microscope, None
    device = pick_device(experiment.engine.device)
    dtype = torch.float32 if experiment.engine.precision == "float32" else torch.float64
    leds = led_array(geometry.array)
    source = experiment.data
    grids = sampling(geometry.microscope, leds, source.tile_px, good_padding(source.tile_px, source.pad_px))
    if 2 * experiment.training.margin_px >= source.tile_px:
        raise SettingsError(
            f"a margin of {experiment.training.margin_px} pixels on both sides leaves nothing of a tile of "
            f"{source.tile_px} pixels",
            "lower training.margin_px or raise data.tile_px",
        )
    if isinstance(dataset, TrainingSet):
        training, held_out, notes = simulated_objects(experiment, geometry, leds, grids, dataset)
        reference = "simulated objects"
    else:
        field = explained_field(experiment, geometry, grids, dataset, tell, callback)
        training, held_out, notes = objects_of_stack(experiment, grids, dataset, field)
        leds, microscope = field.leds, field.microscope
        reference = "full-stack reconstruction"
    complex_dtype = torch.complex64 if dtype == torch.float32 else torch.complex128

    def place(examples: Objects) -> Objects:
        return Objects(
            intensities=examples.intensities.to(device, dtype),
            truth=examples.truth.to(device, complex_dtype),
            sources=examples.sources,
        )

    if device.type == "cpu" and not compiled_before():
        tell("compiling the loops over LEDs for this processor, once: half a minute")
    task = FpmTask(
        experiment=experiment,
        geometry=geometry,
        microscope=microscope,
        leds=leds,
        grids=grids,
        physics=FourierPtychography(microscope, leds, grids, dtype, device),
        measurement=MeasurementModel(experiment.measurement, torch.from_numpy(leds.gain.copy()).to(device, dtype)),
        mask=torch.from_numpy(starts.band_masks(experiment.design, leds, geometry.microscope.objective_na)).to(device),
        training=place(training),
        held_out=place(held_out),
        reference=reference,
        data_sha256=dataset.provenance.sha256,
        notes=dataset.provenance.notes,
        split=notes,
        field=field,
    )
    if experiment.design.start != BEST:
        return _with_step(task)
    # Steps that are scaled to the light suit every start; others are chosen for a partition first, then for the best.
    network = experiment.network
    usual = _with_step(task.with_design_settings(experiment.design.replace(start="random_partition")))
    chosen = with_best_start(usual, tell, callback or (lambda: None))
    return _with_step(replace(chosen, experiment=chosen.experiment.replace(network=network)))


def _with_step(task: FpmTask) -> FpmTask:
    """The task with a step size, where its settings leave it open."""
    experiment = task.experiment
    if experiment.network.step is not None:
        return task
    step = float(f"{0.4 * largest_step(task, *start_design(task)):.2g}")
    return replace(task, experiment=experiment.replace(network=experiment.network.replace(step=step)))
