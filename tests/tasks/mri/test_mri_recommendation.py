"""What a run recommends beside classical reconstructions, with a truth and without one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tasks.mri.test_mri_task import experiment
from tasks.mri.test_sources import heads, of_file

from ptychoui.data.formats.kspace_native import write_kspace
from ptychoui.engine.strategy import go_on
from ptychoui.mri.classical import METHODS, reconstruct
from ptychoui.mri.sampling import draw_mask
from ptychoui.tasks.mri import recommendation
from ptychoui.tasks.mri.recommendation import as_set, known_name, recommend, sample_error
from ptychoui.tasks.mri.task import build_task
from ptychoui.training.verdict import LEARNED


@pytest.fixture(autouse=True)
def few_strengths(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {
        name: replace(method, grid=method.grid[1:3] or method.grid, iterations=15) for name, method in METHODS.items()
    }
    for name, method in few.items():
        monkeypatch.setitem(METHODS, name, method)
    monkeypatch.setattr(recommendation, "TUNING", 1)


def test_an_untrained_network_is_not_recommended_and_the_method_can_be_exported() -> None:
    task = build_task(experiment(network={"unrolls": 1, "mu": 5.0}))
    found = recommend(task, task.parameters())
    assert found.recommended != LEARNED and "by comparison with the truth; over 2 held-out examples" in found.sentence
    assert len(found.comparisons) == len(METHODS)
    kept = task.known(found.recommended, 3)
    assert kept.record["method"] in METHODS and float(kept.arrays["strength"]) >= 0
    method, strength = kept.record["method"], float(kept.arrays["strength"])
    assert known_name(method, strength) == found.recommended
    # Its error is that of the method on the same samples.
    data = as_set(task, task.parameters(), task.held_out)
    errors = []
    for place in range(2):
        image, inside = reconstruct(method, data, place, strength), data.support[place]  # type: ignore[index]
        true = data.truth[place]  # type: ignore[index]
        errors.append(np.linalg.norm((image - true)[inside]) / np.linalg.norm(true[inside]))
    row = next(row for row in found.comparisons if row.name == found.recommended)
    assert row.error == pytest.approx(np.mean(errors), rel=1e-5)


def test_a_network_that_knows_the_truth_is_recommended(monkeypatch: pytest.MonkeyPatch) -> None:
    task = build_task(experiment(data={"held_out": 5}))
    assert task.held_out.truth is not None
    monkeypatch.setattr(recommendation, "reconstruct_batch", lambda *_args: task.held_out.truth)
    found = task.verdict(task.parameters(), go_on)
    assert found.recommended == LEARNED and "better than" in found.sentence


def test_without_a_truth_test_samples_judge_and_are_given_to_nobody(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    mask = draw_mask("poisson_disc", "2d", (32, 28), 2.5, 10, rng)[None]
    data = heads(1, sampled=mask, truth=None)
    write_kspace(tmp_path / "slice.h5", replace(data, k_space=data.k_space * mask[:, None]))
    sections: dict[str, Any] = {
        "sampling": {"pattern": "measured"}, "data": {"maps": "stated"}, "training": {"supervision": "samples"}
    }  # fmt: skip
    task = build_task(of_file(tmp_path / "slice.h5", **sections))
    assert task.tested is not None
    found = recommend(task, task.parameters())
    assert "samples that nothing has seen" in found.sentence
    zero = next(row for row in found.comparisons if row.name.startswith("zero_filled"))
    given = mask[0] & ~(task.tested[0].numpy() > 0)
    maps, y = task.held_out.maps[0].numpy(), task.held_out.k_space[0].numpy()
    image = (np.fft.ifft2(y * given, norm="ortho") * maps.conj()).sum(0)
    seen = np.fft.fft2(image * maps, norm="ortho")
    at = np.broadcast_to(task.tested[0].numpy() > 0, y.shape)
    assert zero.error == pytest.approx(np.linalg.norm((seen - y)[at]) / np.linalg.norm(y[at]), rel=1e-4)
    assert sample_error(image, maps, y, task.tested[0].numpy() > 0, 2) == pytest.approx(zero.error, rel=1e-5)
    spoilt = task.held_out.k_space.where(task.tested[:, None] == 0, torch.tensor(7.0 + 0j))
    other = replace(task, held_out=replace(task.held_out, k_space=spoilt))
    again = recommend(other, task.parameters())
    assert all(one.error != two.error for one, two in zip(found.comparisons, again.comparisons, strict=True))
    assert [row.title for row in found.comparisons] == [row.title for row in again.comparisons]
