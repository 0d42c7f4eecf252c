"""The kinds of imaging systems that something can be learned for."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from ptychoui.errors import SettingsError
from ptychoui.settings.experiment import Experiment, FpmExperiment
from ptychoui.settings.mri import MriExperiment


@dataclass(frozen=True, slots=True)
class Metric:
    """What a result is scored by.

    Attributes
    ----------
    name, label, unit
        As files, people and axes call it.
    worthless
        Value of a result that shows nothing; larger ones are worse. None where there is no such value.
    """

    name: str
    label: str
    unit: str = ""
    worthless: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """An imaging system that something can be learned for.

    Attributes
    ----------
    name, title
        As files and people call it.
    settings
        Its experiment.
    metrics
        What its results are scored by, the one that decides first.
    module
        Where ``build_task`` of the kind is: see `training.task`. It is imported when a run begins.
    """

    name: str
    title: str
    settings: type[Experiment]
    metrics: tuple[Metric, ...]
    module: str


ENTRY_POINTS = "ptychoui.kinds"
"""Group of entry points by which an installed package offers kinds: the name of each, and where its `Kind` is."""

KINDS: dict[str, Kind] = {}
"""Every kind that is known, by its name."""


def register(kind: Kind) -> Kind:
    """Make a kind known."""
    KINDS[kind.name] = kind
    return kind


def kind_of(name: Any) -> Kind:
    """The kind of a name: one that is registered, or one that an installed package offers as `ENTRY_POINTS`.

    Raises
    ------
    SettingsError
        If there is none, or a package that offers it cannot be loaded.
    """
    if not isinstance(name, str) or name not in KINDS:  # a list in a file cannot even be looked up
        for offered in entry_points(group=ENTRY_POINTS, name=str(name)):
            try:
                kind = offered.load()
            except Exception as error:  # whatever somebody else's package does
                raise SettingsError(
                    f"the kind of experiment {name!r} cannot be loaded: {error}", f"install {offered.value} again"
                ) from None
            if isinstance(kind, Kind) and kind.name == name:
                return register(kind)
        raise SettingsError(
            f"unknown kind of experiment {name!r}",
            f"known kinds: {', '.join(KINDS)}; another one comes with the package that defines it",
        )
    return KINDS[name]


register(
    Kind(
        name="fpm",
        title="Fourier ptychography",
        settings=FpmExperiment,
        metrics=(
            Metric("complex_error", "complex error", worthless=1.0),
            Metric("amplitude_error", "amplitude error", worthless=1.0),
            Metric("phase_error_rad", "phase error", "rad"),
        ),
        module="ptychoui.tasks.fpm.task",
    )
)

register(
    Kind(
        name="mri",
        title="Multi-channel MRI",
        settings=MriExperiment,
        metrics=(
            Metric("nrmse", "error", worthless=1.0),
            Metric("psnr_db", "peak signal to noise", "dB"),
            Metric("ssim", "SSIM"),
        ),
        module="ptychoui.tasks.mri.task",
    )
)
