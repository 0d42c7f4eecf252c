"""Settings of experiments that learn a reconstruction, or sampling, of multi-channel MRI."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from ptychoui.errors import SettingsError
from ptychoui.settings.base import QUIET, Settings
from ptychoui.settings.experiment import Experiment
from ptychoui.settings.learning import Training, momentum_ratio

AXES = {"2d": 2, "slab": 3, "3d": 3, "cine": 3}
"""Axes of an image, by the kind of acquisition."""

FEWEST_LINES = 6
"""Lines in the middle of k-space from which coil maps can be told."""


class KSpaceSource(Settings):
    """Where k-space comes from: a file, or a simulation with phantoms."""

    model_config = ConfigDict(title="data")

    path: str = Field("", description="a k-space file or folder; left empty: k-space is simulated")
    acquisition: Literal["2d", "slab", "3d", "cine"] = Field(
        "2d",
        description="of simulated k-space: 2d images; slab: readout x rows x columns, all planes with one sampling; "
        "3d: all three axes transformed; cine: frames x rows x columns",
    )
    size: tuple[Annotated[int, Field(ge=3, le=1024)], ...] = Field(
        (128, 116), min_length=2, max_length=3, description="shape of a simulated image"
    )
    coils: int = Field(8, ge=1, le=64, description="coils of the simulation")
    snr_db: float = Field(
        28.0, ge=0, le=80, description="ratio of image to noise in dB, of a fully sampled, coil-combined image"
    )
    family: str = Field(
        "brain",
        description="family of phantoms to learn from: brain, ellipses, vessels, bars or heart, or several joined by +",
    )
    examples: int = Field(24, ge=1, le=10_000, description="phantoms to learn from")
    held_out_family: str = Field("brain", description="family of phantoms to be scored on, of other seeds")
    held_out: int = Field(6, ge=1, le=1000, description="phantoms to be scored on")
    maps: Literal["estimated", "stated"] = Field(
        "estimated",
        description="coil maps: estimated by ESPIRiT from the noisy calibration region, or as the file or the "
        "simulation states them",
    )


class Sampling(Settings):
    """Which samples of k-space are measured."""

    pattern: str = Field(
        "variable_density",
        description="variable_density, uniform_random or equispaced lines, poisson_disc points, or measured: as the "
        "file has it",
    )
    acceleration: float = Field(
        4.0, ge=1, le=64, description="net acceleration: all samples divided by those measured, calibration counted"
    )
    calibration: int = Field(
        16, ge=0, le=256, description="lines, or edge of the square, in the middle of k-space that are always measured"
    )
    redraw: bool = Field(True, description="every step of the training draws its patterns anew")
    learn: bool = Field(False, description="learn which lines are measured; patterns begin at the one drawn first")
    exploration: float = Field(
        0.1, ge=0, le=10, description="how much learned lines are shaken in training at first; it falls to zero"
    )


class MultiCoilNetwork(Settings):
    """The unrolled reconstruction: data consistency and a convolutional network in turn."""

    model_config = ConfigDict(title="network")

    order: Literal["modl", "hqs"] = Field(
        "modl", description="in an unroll the network comes first (modl) or data consistency does (hqs)"
    )
    update: Literal["heavy_ball", "plain"] = Field(
        "heavy_ball", description="how unrolls are joined: with momentum, exactly reversible, or as they are"
    )
    momentum: str = Field("1/2", description="momentum of heavy_ball as a ratio n/d of integers below 128")
    unrolls: int = Field(8, ge=1, le=10_000, description="number of unrolls")
    convolutions: int = Field(5, ge=1, le=32, description="convolutions of the network of an unroll")
    channels: int = Field(24, ge=1, le=512, description="channels between convolutions")
    kernel: int = Field(3, ge=1, le=15, description="side of the kernels in pixels, odd")
    planes: bool = Field(
        False,
        description="convolutions of volumes and series see one plane or frame at a time",
        json_schema_extra=QUIET,
    )
    borders: Literal["circular", "zero", "reflect"] = Field(
        "circular", description="what convolutions see beyond the borders"
    )
    shared: bool = Field(True, description="all unrolls share the weights of one network")
    mu: float = Field(0.2, gt=0, le=100, description="weight of the network's image in data consistency, at the start")
    learn_mu: bool = Field(True, description="learn that weight, one for all unrolls, or one for each")
    solver: Literal["to_tolerance", "fixed"] = Field(
        "to_tolerance",
        description="conjugate gradients to a tolerance with the implicit derivative, or a fixed number of steps, "
        "differentiated step by step",
    )
    tolerance: float = Field(1e-4, gt=0, lt=1, description="relative residual at which conjugate gradients end")
    steps: int = Field(8, ge=1, le=200, description="steps of conjugate gradients of the solver fixed")

    _ratio = field_validator("momentum")(momentum_ratio)


class MriTraining(Training):
    """The optimisation of a reconstruction."""

    model_config = ConfigDict(title="training")

    learning_rate: float = Field(1e-3, gt=0, le=10, description="Adam's step on the network's weights")
    loss: Literal["l2", "l1"] = Field(
        "l2", description="squared or absolute difference from the truth, in units of the truth's"
    )
    supervision: Literal["truth", "samples"] = Field(
        "truth",
        description="what images are held against: the truth, or samples of k-space that the network was not given",
    )
    splits: int = Field(
        12, ge=1, le=1000, description="divisions of the measured samples that self-supervision learns from",
        json_schema_extra=QUIET,
    )  # fmt: skip
    split_share: float = Field(
        0.3, gt=0, lt=1, description="share of the samples that an image is judged by, in self-supervision",
        json_schema_extra=QUIET,
    )  # fmt: skip
    stop_share: float = Field(
        0.05, gt=0, lt=0.5, description="share of the measured samples that scores are made of, never learned from",
        json_schema_extra=QUIET,
    )  # fmt: skip
    test_share: float = Field(
        0.1, ge=0, lt=0.5, description="share of the measured samples that is left out of all learning and scoring",
        json_schema_extra=QUIET,
    )  # fmt: skip


class MriExperiment(Experiment):
    """Every setting of a run that learns a reconstruction of multi-channel MRI."""

    model_config = ConfigDict(title="experiment")

    kind: Literal["mri"] = "mri"
    data: KSpaceSource = KSpaceSource()
    sampling: Sampling = Sampling()
    network: MultiCoilNetwork = MultiCoilNetwork()
    training: MriTraining = MriTraining()

    may_change: ClassVar[frozenset[str]] = frozenset({"data.path"})

    def of_same_data(self, other: Experiment) -> bool:
        """Whether another experiment is of the same kind and learns from the same data."""
        return isinstance(other, MriExperiment) and (self.data, self.seed) == (other.data, other.seed)

    def located(self, base: Path) -> Self:
        """The experiment with the path of its data taken from the folder ``base``."""
        path = self.data.path
        if not path or path.startswith("sample:") or Path(path).is_absolute():
            return self
        return self.replace(data=self.data.replace(path=str(base / path)))

    @model_validator(mode="after")
    def _fits(self) -> Self:
        network, engine, data = self.network, self.engine, self.data
        if len(data.size) != AXES[data.acquisition]:
            raise SettingsError(
                f"an image of {' x '.join(map(str, data.size))} pixels does not fit a {data.acquisition} acquisition",
                f"give data.size {AXES[data.acquisition]} numbers",
            )
        exact = network.update == "heavy_ball"
        if "reversible" in engine.strategies and not exact:
            raise SettingsError(
                "the reversible strategy needs the heavy-ball update: unrolls alone have no exact inverse",
                "set network.update = 'heavy_ball', or engine.strategy = 'checkpoint'",
            )
        if "inverse" in engine.strategies and exact:
            raise SettingsError(
                "the strategy inverse solves for states that the heavy-ball update undoes exactly",
                "set engine.strategy = 'reversible', or network.update = 'plain'",
            )
        engine.check_unrolls(network.unrolls)
        if self.sampling.learn and self.training.supervision == "samples":
            raise SettingsError(
                "lines cannot be learned from samples that were measured already",
                "set training.supervision = 'truth', with fully sampled data, or sampling.learn = false",
            )
        if self.training.compare and self.training.supervision == "samples" and not self.training.test_share:
            raise SettingsError(
                "there are no test samples that the network and other reconstructions could be compared by",
                "set training.test_share = 0.1, or training.compare = false",
            )
        measured = self.sampling.pattern == "measured"
        if data.maps == "estimated" and not measured and self.sampling.calibration < FEWEST_LINES:
            raise SettingsError(
                f"coil maps cannot be estimated from {self.sampling.calibration} lines of calibration",
                f"set sampling.calibration to {FEWEST_LINES} or more, or data.maps = 'stated'",
            )
        if self.sampling.learn and (measured or self.sampling.pattern == "poisson_disc"):
            wrong = "lines cannot be learned where they were measured already" if measured else ""
            raise SettingsError(
                wrong or "what is learned are lines, not points", "set sampling.pattern = 'variable_density'"
            )
        return self
