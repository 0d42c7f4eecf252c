"""Another k-space file in the place of an experiment's data, to learn from or to be judged by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ptychoui.data.formats.open_kspace import open_kspace
from ptychoui.errors import SettingsError
from ptychoui.paths import data_file
from ptychoui.settings import Experiment, MriExperiment
from ptychoui.settings.mri import KSpaceSource, Sampling


def on_other_data(experiment: Experiment, data: str | None, geometry: str | None) -> MriExperiment:
    """The experiment with k-space of another file or folder, and with what its samples allow.

    Fully sampled k-space is measured by the experiment's patterns, and held against images of all samples where it has
    no true ones. Undersampled k-space is taken as it was measured; without true images, and the maps that they belong
    to, samples that are left out judge. Coil maps are estimated where the experiment takes stated ones and there are
    none.

    Raises
    ------
    SettingsError
        If the experiment is of another kind, a geometry is given, or lines are to be learned of undersampled k-space.
    DataError
        If the file is missing, damaged or no k-space.
    """
    if not isinstance(experiment, MriExperiment):
        raise SettingsError(f"{experiment.name!r} is no experiment of multi-channel MRI", "give one of kind 'mri'")
    if geometry is not None:
        raise SettingsError(
            f"--geometry belongs to microscopes, and {experiment.name!r} is an experiment of kind 'mri'", "leave it out"
        )
    if data is None:
        return experiment
    path = data if data.startswith("sample:") else str(Path(data).resolve())
    found = open_kspace(data_file(path), seed=experiment.seed)
    whole = bool(found.sampled.all())
    sampling, training = experiment.sampling, experiment.training
    source: dict[str, Any] = {"path": path}
    if found.maps is None:
        source["maps"] = "estimated"
    if found.acquisition != experiment.data.acquisition:
        # The size is that of simulated images, which there are none of; it has to fit the acquisition all the same.
        size = {2: KSpaceSource().size, 3: (8, *KSpaceSource().size)}[len(found.space)]
        source |= {"acquisition": found.acquisition, "size": size}
    if whole:
        pattern = Sampling().pattern if sampling.pattern == "measured" else sampling.pattern
        sampling, training = sampling.replace(pattern=pattern), training.replace(supervision="truth")
    else:
        if sampling.learn:
            raise SettingsError(
                f"lines cannot be learned, or learned ones tried, with {Path(path).name}: its net acceleration is "
                f"{found.net_acceleration:.3g} already",
                "give fully sampled k-space",
            )
        known = found.truth is not None and found.maps is not None
        sampling = sampling.replace(pattern="measured")
        training = training.replace(supervision="truth" if known else "samples")
    changed: MriExperiment = experiment.replace(
        data=experiment.data.replace(**source), sampling=sampling, training=training
    )
    return changed
