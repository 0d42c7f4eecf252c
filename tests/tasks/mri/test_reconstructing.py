"""K-space by a trained run: the images of its own scores, in any unit; wrong folders and data in one sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tasks.mri.test_mri_task import experiment

from ptychoui.data.dataset import Provenance
from ptychoui.data.kspace import KSpaceSet
from ptychoui.errors import DataError, RunError, SettingsError
from ptychoui.settings import blank_experiment
from ptychoui.tasks.mri.reconstructing import reconstruct_with_run
from ptychoui.training.gradients import reconstruct_batch
from ptychoui.training.run_folder import RunFolder
from ptychoui.training.runs import new_run


def test_it_gives_the_images_of_the_run_in_the_unit_of_the_data(tmp_path: Path) -> None:
    run = new_run(experiment(training={"steps": 3}), tmp_path / "run")
    list(run.run())
    assert run.folder is not None
    run.folder.close()
    batch = run.task.held_out.pick([1])
    expected = reconstruct_batch(run.task, run.network, run.parameters, batch, None)[0].numpy()
    measured = batch.k_space[1:2].numpy() * batch.sampled.numpy()[:, None]
    data = KSpaceSet(
        acquisition="2d",
        k_space=(300 * measured).astype(np.complex64),
        sampled=np.broadcast_to(batch.sampled.numpy() > 0, (1, 24, 1)),
        maps=batch.maps[1:2].numpy(),
        provenance=Provenance(source="a test", layout="a test", sha256=""),
    )
    found = reconstruct_with_run(tmp_path / "run", data)
    assert found.shape == (1, 24, 20)
    assert np.linalg.norm(found[0] / 300 - expected) < 1e-4 * np.linalg.norm(expected)
    wider = replace(
        data, k_space=np.pad(data.k_space, [(0, 0)] * 3 + [(0, 6)]), maps=np.ones((1, 3, 24, 26), np.complex64)
    )
    assert reconstruct_with_run(tmp_path / "run", wider).shape == (1, 24, 26)
    with pytest.raises(DataError, match="needs coil maps"):
        reconstruct_with_run(tmp_path / "run", replace(data, maps=None))
    volume = replace(
        data, acquisition="slab", k_space=data.k_space[:, :, None], sampled=data.sampled[:, None], maps=data.maps[:, :, None]  # type: ignore[index]
    )  # fmt: skip
    with pytest.raises(SettingsError, match="learned from 2d k-space, these data are slab"):
        reconstruct_with_run(tmp_path / "run", volume)
    with pytest.raises(RunError):
        reconstruct_with_run(tmp_path, data)
    RunFolder.create(tmp_path / "other", blank_experiment(), "").close()
    with pytest.raises(SettingsError, match="reconstructs no k-space"):
        reconstruct_with_run(tmp_path / "other", data)
