"""Reconstruct k-space with what a run has learned: other data, of other sizes and patterns, with the same network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui.data.kspace import KSpaceSet
from ptychoui.errors import DataError, RunError, SettingsError
from ptychoui.mri.channels import normalised
from ptychoui.mri.maps import of_unit_size
from ptychoui.mri.sense import Sense
from ptychoui.network.multi_coil import PREFIX, MultiCoilUnrolls
from ptychoui.settings import MriExperiment
from ptychoui.tasks.mri.splits import judging_nothing
from ptychoui.training.run_folder import RunFolder


def reconstruct_with_run(folder: str | Path, data: KSpaceSet) -> NDArray[np.complex64]:
    """Images of k-space by the network of a run, as it was saved last.

    Parameters
    ----------
    folder
        Of the run.
    data
        Examples of shape (example, coil, *space) with coil maps, in any unit; what is not sampled is not looked at.

    Returns
    -------
    ndarray
        Of shape (example, *space), complex64, in the unit of the data.

    Raises
    ------
    RunError
        If the folder is no run, or nothing was saved yet.
    SettingsError
        If the run is of another kind, or its network of another number of dimensions.
    DataError
        If there are no coil maps, or no calibration region to scale by.
    """
    run = RunFolder.open(folder, lock=False)
    experiment = run.settled_experiment()
    if not isinstance(experiment, MriExperiment):
        raise SettingsError(
            f"{Path(folder).name} is a run of kind {experiment.kind!r}, which reconstructs no k-space",
            "give the folder of a run of kind 'mri'",
        )
    saved = run.load()
    if saved is None:
        raise RunError(f"{run.path} holds no saved state yet", "wait for its first save")
    if data.maps is None:
        raise DataError("a reconstruction needs coil maps", "estimate them first, by ptychoui.mri.maps.with_maps")
    known = {name.removeprefix("parameter_"): array for name, array in saved.items() if name.startswith("parameter_")}
    _check_fit(experiment, known, data)
    network = MultiCoilUnrolls(data.space, len(data.transformed), experiment.network)
    unit, size = of_unit_size(data.maps)  # as in learning
    tensors = {
        name: torch.from_numpy(np.array(array)).float() for name, array in known.items() if name != "line_scores"
    }
    scales = _scales(experiment, data)
    images = []
    for place, scale in enumerate(scales):
        some = slice(place, place + 1)
        maps = torch.from_numpy(np.array(unit[some]))
        sampling = torch.from_numpy(data.sampled[some].astype(np.float32))
        k_space = torch.from_numpy(data.k_space[some] / np.float32(scale))
        x = Sense(maps, sampling, len(data.transformed)).adjoint(k_space)
        found = network.infer(x, {**tensors, "maps": maps, "sampling": sampling, "k_space": k_space})
        # What no coil sees is what the network makes of nothing: it is left dark.
        seen = np.abs(unit[place]).max(axis=0) > 0
        images.append(np.where(seen, scale * found[0].numpy() / np.where(size[place] > 0, size[place], 1), 0))
    return np.stack(images).astype(np.complex64)


def _scales(experiment: MriExperiment, data: KSpaceSet) -> tuple[float, ...]:
    """What the examples are divided by, (example,): what they would have been divided by in learning."""
    if experiment.training.supervision == "samples":
        seen = np.stack([judging_nothing(mask, len(data.transformed)) for mask in data.sampled])
        data = replace(data, sampled=seen, k_space=data.k_space * seen[:, None])
    return normalised(data).scale


def _check_fit(experiment: MriExperiment, known: Mapping[str, NDArray[Any]], data: KSpaceSet) -> None:
    """Refuse k-space that the network did not learn from the like of; ``known`` are the saved parameters by name.

    Raises
    ------
    SettingsError
        If it is of another kind of acquisition, or cannot be brought to the scale of the run's.
    """
    axes = known[f"{PREFIX}conv1.weight"].ndim - (2 if experiment.network.shared else 3)
    learned = experiment.data.acquisition
    over_time = (learned == "cine") != (data.acquisition == "cine") and not experiment.data.path
    if axes != len(data.space) or over_time:
        from_what = f"{axes}-D" if experiment.data.path else learned
        raise SettingsError(
            f"the run learned from {from_what} k-space, these data are {data.acquisition}",
            "choose a run that learned from data of this kind",
        )
    sampling = experiment.sampling
    if not sampling.calibration and sampling.pattern != "measured" and not data.sampled.all():
        raise SettingsError(
            "the run's patterns have no calibration, so that all samples gave the scale of its examples: k-space that "
            "lacks some cannot be brought to it",
            "learn with sampling.calibration of 6 or more",
        )
