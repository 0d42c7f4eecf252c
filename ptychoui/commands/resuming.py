"""Runs that the command line takes up again: their folders and their settings."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ptychoui.commands.options import with_options
from ptychoui.errors import PtychouiError

if TYPE_CHECKING:
    from ptychoui.settings import Experiment


def resumed_folder(arguments: argparse.Namespace, experiment: Experiment | None) -> str:
    """Folder of the run that is taken up: the one given, or that of the experiment's name.

    Raises
    ------
    PtychouiError
        If neither is given.
    """
    if arguments.output is None and experiment is None:
        raise PtychouiError("which run?", "for example: ptychoui train --resume -o runs/first-light")
    return arguments.output or f"runs/{folder_name(experiment)}"


def resumed(stored: Experiment, arguments: argparse.Namespace) -> Experiment:
    """A run's settings with what the command line says instead; data that moved are still the same images."""
    from ptychoui.settings import FpmExperiment, MriExperiment

    experiment = with_options(stored, arguments)
    if isinstance(experiment, MriExperiment) and isinstance(stored, MriExperiment):
        moved = stored.data.replace(path=experiment.data.path)
        training = stored.training.replace(steps=experiment.training.steps)
        return experiment.replace(data=moved, sampling=stored.sampling, training=training)
    if isinstance(experiment, FpmExperiment) and isinstance(stored, FpmExperiment):
        return experiment.replace(data=experiment.data.replace(images=stored.data.images))
    return experiment


def goes_on_as(stored: Experiment, experiment: Experiment) -> bool:
    """Whether a run's settings are those of an experiment, but for the geometry that came with its data."""
    from ptychoui.settings import FpmExperiment

    if isinstance(experiment, FpmExperiment) and isinstance(stored, FpmExperiment):
        experiment = experiment.replace(geometry=stored.geometry)
    return experiment == stored


def folder_name(experiment: Experiment | None) -> str:
    """The experiment's name as the name of a folder."""
    name = experiment.name if experiment is not None else "run"
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:80] or "run"


def take_up_after_restart(arguments: argparse.Namespace) -> None:
    """Where torchrun has started a run again because one of its processes ended: go on with it instead of anew."""
    from ptychoui.training.process_group import restarted

    if arguments.resume or not restarted():
        return
    from ptychoui.settings import load_experiment

    name = folder_name(load_experiment(arguments.experiment) if arguments.experiment else None)
    folder = Path(arguments.output) if arguments.output else newest(f"runs/{name}")
    if folder.is_dir():
        arguments.output, arguments.resume = str(folder), True


def newest(name: str) -> Path:
    """The last folder of the names NAME, NAME-2, NAME-3, ... that is taken; NAME where none is."""
    path, count = Path(name), 1
    while (following := Path(f"{name}-{count + 1}")).exists():
        path, count = following, count + 1
    return path
