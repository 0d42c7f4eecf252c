"""Every setting of a run, together."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from ptychoui.errors import SettingsError
from ptychoui.settings.base import Settings
from ptychoui.settings.data import DataSource
from ptychoui.settings.learning import Design, Engine, FpmTraining, Measurement, Network, Training
from ptychoui.settings.optics import Geometry

SCHEMA_VERSION = 2


class Experiment(Settings):
    """What the settings of a run hold whatever it learns; every kind of experiment adds tables of its own."""

    schema_version: int = SCHEMA_VERSION
    kind: str
    name: str = Field("untitled", min_length=1, max_length=120)
    seed: int = Field(0, ge=0, lt=2**31)
    engine: Engine = Engine()
    training: Training = Training()

    may_change: ClassVar[frozenset[str]] = frozenset()
    """Settings of this kind, or whole tables, with which a run may go on when they are changed."""

    @field_validator("schema_version")
    @classmethod
    def _known_version(cls, value: int) -> int:
        if value > SCHEMA_VERSION:
            raise ValueError(
                f"this file has schema version {value}, this program knows up to {SCHEMA_VERSION}; update ptychoui"
            )
        return value

    def of_same_data(self, other: Experiment) -> bool:
        """Whether another experiment is of the same kind and learns from the same data."""
        return self.kind == other.kind

    def located(self, base: Path) -> Self:
        """The experiment with the paths in it taken from the folder ``base``."""
        return self


class FpmExperiment(Experiment):
    """Every setting of a run that learns patterns for a Fourier ptychographic microscope."""

    model_config = ConfigDict(title="experiment")

    kind: Literal["fpm"] = "fpm"
    data: DataSource = DataSource()
    geometry: Geometry | None = None
    measurement: Measurement = Measurement()
    design: Design = Design()
    network: Network = Network()
    training: FpmTraining = FpmTraining()

    # Data may move: their content is compared by its hash. A geometry file is read once, when the run starts.
    may_change: ClassVar[frozenset[str]] = frozenset({"data.path", "data.geometry"})

    def of_same_data(self, other: Experiment) -> bool:
        """Whether another experiment is of the same kind and learns from the same data."""
        return isinstance(other, FpmExperiment) and self.data == other.data

    def located(self, base: Path) -> Self:
        """The experiment with the paths of its data taken from the folder ``base``."""

        def absolute(text: str) -> str:
            return text if text.startswith("sample:") or Path(text).is_absolute() else str(base / text)

        data = self.data
        geometry = absolute(data.geometry) if data.geometry else None
        return self.replace(data=data.replace(path=absolute(data.path), geometry=geometry))

    @model_validator(mode="after")
    def _strategy_fits(self) -> Self:
        network, engine = self.network, self.engine
        exact = network.update == "heavy_ball"
        if "reversible" in engine.strategies and network.learns_momentum:
            raise SettingsError(
                "the reversible strategy needs a fixed momentum, that of the update learned_momentum changes",
                "set network.update = 'heavy_ball', or engine.strategy to checkpoint, binomial, offload, inverse, "
                "store_all or greedy",
            )
        if "reversible" in engine.strategies and not exact:
            raise SettingsError(
                "the reversible strategy needs the heavy-ball update: a plain gradient step has no exact inverse",
                "set network.update = 'heavy_ball', or engine.strategy = 'checkpoint'",
            )
        if "inverse" in engine.strategies and exact:
            raise SettingsError(
                "the strategy inverse solves for states that the heavy-ball update undoes exactly",
                "set engine.strategy = 'reversible', or network.update to gradient or nesterov",
            )
        engine.check_unrolls(network.unrolls)
        return self


def blank_experiment() -> FpmExperiment:
    """Every setting at its default."""
    nothing: dict[str, Any] = {}
    return FpmExperiment(**nothing)


def for_microscopes(experiment: Experiment) -> FpmExperiment:
    """The experiment, where it learns patterns for a Fourier ptychographic microscope.

    Raises
    ------
    SettingsError
        If it is of another kind.
    """
    if not isinstance(experiment, FpmExperiment):
        raise SettingsError(
            f"{experiment.name!r} is an experiment of kind {experiment.kind!r}, which has no microscope",
            "give one of kind 'fpm'",
        )
    return experiment
