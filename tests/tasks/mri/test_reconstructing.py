"""K-space by a trained run: the images of its own scores, in any unit; wrong folders and data in one sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tasks.mri.test_mri_task import experiment, of_kind

from ptychoui.data.dataset import Provenance
from ptychoui.data.formats.kspace_native import write_kspace
from ptychoui.data.kspace import KSpaceSet
from ptychoui.errors import DataError, RunError, SettingsError
from ptychoui.mri.sampling import draw_mask
from ptychoui.mri.simulate import simulate
from ptychoui.settings import MriExperiment, blank_experiment
from ptychoui.tasks.mri.reconstructing import reconstruct_with_run
from ptychoui.tasks.mri.task import build_task
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
    # Maps of twice the size belong to images of half of it.
    halved = reconstruct_with_run(tmp_path / "run", replace(data, maps=2 * data.maps))  # type: ignore[operator]
    assert np.allclose(2 * halved, found, atol=1e-3 * np.abs(found).max())
    dark = np.array(data.maps)
    dark[..., :4] = 0
    image = reconstruct_with_run(tmp_path / "run", replace(data, maps=dark))[0]
    assert not image[:, :4].any() and np.abs(image[:, 6:]).max() > 0
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


def saved_run(folder: Path, settings: MriExperiment) -> Path:
    run = new_run(settings, folder)
    list(run.run())
    assert run.folder is not None
    run.folder.close()
    return folder


def test_k_space_unlike_what_the_run_learned_from_is_refused(tmp_path: Path) -> None:
    mask = np.arange(24).reshape(1, 24, 1) % 2 == 0
    full = simulate("2d", "ellipses", 2, (24, 20), 3, np.random.default_rng(1), snr_db=30.0, with_maps=True)
    every = replace(full, sampled=np.ones((2, 24, 1), bool))
    half = replace(full, sampled=mask.repeat(2, 0), k_space=full.k_space * mask[:, None])
    no_steps = {"training": {"steps": 0}}
    run = saved_run(tmp_path / "scaled", experiment(sampling={"calibration": 0}, **no_steps))
    assert reconstruct_with_run(run, every).shape == (2, 24, 20)
    with pytest.raises(SettingsError, match="no calibration"):
        reconstruct_with_run(run, half)
    write_kspace(tmp_path / "heads.h5", full)
    of_file = experiment(data={"path": str(tmp_path / "heads.h5")}, **no_steps)
    for shared in (True, False):
        network = of_file.network.replace(shared=shared)
        run = saved_run(tmp_path / f"{shared}", of_file.replace(network=network))
        frames = simulate("cine", "heart", 1, (4, 24, 20), 3, np.random.default_rng(1), snr_db=30.0, with_maps=True)
        with pytest.raises(SettingsError, match="learned from 2-D k-space, these data are cine"):
            reconstruct_with_run(run, frames)
    slab = saved_run(tmp_path / "slab", of_kind("slab", **no_steps))
    with pytest.raises(SettingsError, match="learned from slab k-space, these data are cine"):
        reconstruct_with_run(slab, frames)


def test_frames_have_the_scale_at_which_their_network_learned(tmp_path: Path) -> None:
    """Of self-supervision that is of each frame's own calibration lines: the others' would be a quarter larger."""
    mask = draw_mask("variable_density", "cine", (4, 96, 32), 2.0, 12, np.random.default_rng(6))[None]
    full = simulate("cine", "heart", 1, (4, 96, 32), 3, np.random.default_rng(1), snr_db=30.0, with_maps=True)
    data = replace(full, sampled=mask, k_space=full.k_space * mask[:, None], truth=None)
    write_kspace(tmp_path / "heart.h5", data)
    sections = {
        "data": {"path": str(tmp_path / "heart.h5")},
        "sampling": {"pattern": "measured"},
        "training": {"supervision": "samples", "splits": 2, "steps": 0},
    }
    settings = experiment(**sections)
    task = build_task(settings)
    images = reconstruct_with_run(saved_run(tmp_path / "run", settings), data)
    scale = np.abs(data.k_space).sum() / float(task.held_out.k_space.abs().sum())
    given = replace(task.held_out, sampled=torch.from_numpy(mask.astype(np.float32)))
    expected = reconstruct_batch(task, task.network(), task.parameters(), given, None)[0].numpy()
    assert np.linalg.norm(images[0] / scale - expected) < 1e-3 * np.linalg.norm(expected)
