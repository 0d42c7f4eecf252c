"""An experiment made concrete: operators, masks and examples on a device."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor

from ptychoui.data.dataset import ImageStack, TrainingSet
from ptychoui.data.formats.geometry_file import PartialGeometry, given_of
from ptychoui.data.formats.open import open_dataset
from ptychoui.design import starts
from ptychoui.errors import GeometryError, SettingsError
from ptychoui.experiment import Experiment, Geometry, Images, Microscope
from ptychoui.network.unrolled import UnrolledNetwork
from ptychoui.optics.explained_stack import ExplainedStack
from ptychoui.optics.forward import FourierPtychography
from ptychoui.optics.led_array import LedArray, led_array
from ptychoui.optics.measurement import MeasurementModel
from ptychoui.optics.microscope import Sampling, good_padding, sampling
from ptychoui.paths import data_file
from ptychoui.training.examples import Examples, examples_of_objects, examples_of_stack, explained_field


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Everything a run works on.

    Attributes
    ----------
    geometry, microscope
        As given, and the microscope with the pupil that a measured stack was found to have.
    leds
        With the brightness that a measured stack was found to have.
    mask
        (M, LED) bool, which LEDs each row may light.
    training, held_out
        Examples that share no source image (simulation) or no pixel (measured stack).
    reference
        What ``truth`` is: the simulated object, or the full-stack reconstruction.
    notes, split
        What was assumed while reading the data, and how it was divided: sentences.
    field
        The window of a measured stack that examples were cut from.
    """

    experiment: Experiment
    geometry: Geometry
    microscope: Microscope
    leds: LedArray
    grids: Sampling
    physics: FourierPtychography
    measurement: MeasurementModel
    mask: Tensor
    training: Examples
    held_out: Examples
    reference: str
    data_sha256: str
    notes: tuple[str, ...] = ()
    split: tuple[str, ...] = ()
    field: ExplainedStack | None = None

    @property
    def truth_made(self) -> str:
        """How the truth was made of a measured stack, for a run's record; empty where objects are known."""
        return "" if self.field is None else "calibrated"

    @property
    def objective_na(self) -> float:
        """Numerical aperture of the objective."""
        return self.geometry.microscope.objective_na

    def network(self, streamed: bool = False, **changes: object) -> UnrolledNetwork:
        """The experiment's network, with some settings changed; ``streamed`` keeps no LED's field."""
        settings = self.experiment.network.replace(**changes)
        physics = self.physics.streamed() if streamed else self.physics
        return UnrolledNetwork(physics, settings, self.measurement.variance_floor)

    def object_of(self, output: Tensor) -> Tensor:
        """The part of a reconstruction that is compared with the truth."""
        window = self.grids.object_window(self.experiment.training.margin_px)
        return output[:, window, window]


def pick_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` into a device.

    Raises
    ------
    SettingsError
        If a GPU is asked for and there is none.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if count else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise SettingsError(f"there is no device {name!r}", "use auto, cpu, cuda or cuda:N")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= count:
        have = "no CUDA GPU" if not count else f"only {count} CUDA GPU(s)"
        raise SettingsError(f"{name} was asked for, but this machine has {have}", "use the device cpu, or auto")
    return device


def find_dataset(experiment: Experiment) -> tuple[ImageStack | TrainingSet, Geometry | None]:
    """Open the experiment's data; geometry from the experiment, else its geometry file, else the data's own."""
    source = experiment.data
    dataset = open_dataset(data_file(source.path), given_of(source, experiment.geometry))
    geometry = dataset.geometry if dataset.geometry is not None else experiment.geometry
    pixel = None if experiment.geometry is None else experiment.geometry.microscope.camera_pixel_um
    if geometry is not None and pixel is not None and pixel != geometry.microscope.camera_pixel_um:
        # Picking a colour doubles the pixel of a geometry file; the experiment's own is that of the picked pixels.
        scope = geometry.microscope.model_copy(update={"camera_pixel_um": pixel})
        geometry = geometry.model_copy(update={"microscope": scope})
        dataset = replace(dataset, geometry=geometry)
    return dataset, geometry


def said_of_images(experiment: Experiment) -> Images | None:
    """What the experiment, or its geometry file where it has no geometry of its own, says of the images."""
    given = given_of(experiment.data, experiment.geometry)
    return given.images if isinstance(given, PartialGeometry) else None


def build_problem(
    experiment: Experiment,
    dataset: ImageStack | TrainingSet | None = None,
    tell: Callable[[str], None] = lambda _sentence: None,
    between: Callable[[], None] | None = None,
) -> Problem:
    """Open the data of an experiment and make its operators and examples; ``tell`` hears of what takes long.

    ``between`` is called every few LEDs while a measured stack is explained: where the work can be given up.

    Raises
    ------
    PtychouiError
        If the data, the geometry and the settings do not fit together.
    """
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
        training, held_out, notes = examples_of_objects(experiment, geometry, leds, grids, dataset)
        reference = "simulated objects"
    else:
        field = explained_field(experiment, geometry, grids, dataset, tell, between)
        training, held_out, notes = examples_of_stack(experiment, grids, dataset, field)
        leds, microscope = field.leds, field.microscope
        reference = "full-stack reconstruction"
    complex_dtype = torch.complex64 if dtype == torch.float32 else torch.complex128

    def place(examples: Examples) -> Examples:
        return Examples(
            intensities=examples.intensities.to(device, dtype),
            truth=examples.truth.to(device, complex_dtype),
            sources=examples.sources,
        )

    problem = Problem(
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
    if experiment.network.step is not None:
        return problem
    step = float(f"{0.4 * largest_step(problem, *_start(problem)):.2g}")
    return replace(problem, experiment=experiment.replace(network=experiment.network.replace(step=step)))


def largest_step(problem: Problem, levels: Tensor, exposures: Tensor) -> float:
    """Largest stable step size of a design, times the curvature: 2 for plain steps, 2 (1 + beta) for heavy ball and
    2 (1 + beta) / (1 + 2 beta) for Nesterov's.
    """
    network = problem.experiment.network
    beta = float(Fraction(network.momentum))
    reach = {"gradient": 2.0, "heavy_ball": 2 * (1 + beta), "nesterov": 2 * (1 + beta) / (1 + 2 * beta)}
    reach["learned_momentum"] = 2.0  # whatever the momenta become
    weights = problem.measurement.weights(levels * problem.mask, exposures)
    return reach[network.update] / max(problem.physics.curvature_bound(weights), 1e-12)


def _start(problem: Problem) -> tuple[Tensor, Tensor]:
    experiment, physics = problem.experiment, problem.physics
    levels, exposures = starts.start_design(
        experiment.design, experiment.measurement, problem.leds, problem.objective_na, experiment.seed
    )
    return torch.from_numpy(levels).to(physics.device, physics.dtype), torch.from_numpy(exposures).to(
        physics.device, physics.dtype
    )
