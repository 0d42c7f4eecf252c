"""Reconstruct k-space with what a run has learned: other data, of other sizes and patterns, with the same network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui.data.kspace import KSpaceSet
from ptychoui.errors import DataError, RunError, SettingsError
from ptychoui.mri.channels import normalised
from ptychoui.mri.sense import Sense
from ptychoui.network.multi_coil import MultiCoilUnrolls
from ptychoui.settings import MriExperiment
from ptychoui.settings.mri import AXES
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
    if AXES[experiment.data.acquisition] != len(data.space) and not experiment.data.path:
        raise SettingsError(
            f"the run learned from {experiment.data.acquisition} k-space, these data are {data.acquisition}",
            "choose a run that learned from data of this kind",
        )
    network = MultiCoilUnrolls(data.space, len(data.transformed), experiment.network)
    known = {name.removeprefix("parameter_"): array for name, array in saved.items() if name.startswith("parameter_")}
    tensors = {
        name: torch.from_numpy(np.array(array)).float() for name, array in known.items() if name != "line_scores"
    }
    ready = normalised(data)
    images = []
    for place, scale in enumerate(ready.scale):
        some = slice(place, place + 1)
        maps = torch.from_numpy(np.array(data.maps[some]))
        sampling = torch.from_numpy(data.sampled[some].astype(np.float32))
        k_space = torch.from_numpy(np.array(ready.data.k_space[some]))
        x = Sense(maps, sampling, len(data.transformed)).adjoint(k_space)
        found = network.infer(x, {**tensors, "maps": maps, "sampling": sampling, "k_space": k_space})
        images.append(scale * found[0].numpy())
    return np.stack(images).astype(np.complex64)
