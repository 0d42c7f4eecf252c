"""Where k-space for a task comes from: files divided by object or by samples, scales and maps from what is measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tasks.mri.test_mri_task import experiment

from ptychoui.data.formats.kspace_native import write_kspace
from ptychoui.data.kspace import KSpaceSet
from ptychoui.errors import DataError
from ptychoui.mri.sampling import draw_mask
from ptychoui.mri.simulate import simulate
from ptychoui.settings import MriTraining
from ptychoui.tasks.mri.sources import draw_masks, file_sets, scaled, with_maps, with_truth
from ptychoui.tasks.mri.splits import divided
from ptychoui.tasks.mri.task import build_task
from ptychoui.training.events import Validated
from ptychoui.training.trainer import Trainer


def quiet(_sentence: str) -> None: ...


def heads(count: int = 6, **changes: Any) -> KSpaceSet:
    rng = np.random.default_rng(4)
    made = simulate("2d", "ellipses", count, (32, 28), 3, rng, snr_db=30.0, with_maps=True)
    return replace(made, **changes)


def of_file(path: Path, **sections: Any) -> Any:
    return experiment(**{**sections, "data": {"path": str(path), **sections.get("data", {})}})


def test_objects_of_a_file_stay_together(tmp_path: Path) -> None:
    data = heads(6, source_of=(7, 7, 8, 8, 9, 9))
    write_kspace(tmp_path / "heads.h5", data)
    settings = of_file(tmp_path / "heads.h5", training={"holdout": 0.34})
    training, held_out, said = file_sets(settings)
    assert (len(training), len(held_out)) == (4, 2)
    assert len(set(held_out.source_of)) == 1 and not set(held_out.source_of) & set(training.source_of)
    assert "2 of 3 objects" in said[0]
    write_kspace(tmp_path / "one.h5", heads(2, source_of=(1, 1)))
    with pytest.raises(DataError, match="none is left to learn from"):
        file_sets(of_file(tmp_path / "one.h5"))


def test_the_scale_is_of_the_measured_calibration_region_alone() -> None:
    """Samples outside the pattern, and the truth, have no say."""
    data, settings = heads(2), experiment(sampling={"acceleration": 2.0, "calibration": 8})
    masks = draw_masks(settings, data, np.random.default_rng(1))
    found = scaled(data, masks, settings)
    spoilt = replace(data, k_space=np.where(masks[:, None], data.k_space, 50).astype(np.complex64))
    again = scaled(spoilt, masks, settings)
    at = np.broadcast_to(masks[:, None], data.k_space.shape)
    assert np.array_equal(found.k_space[at], again.k_space[at])
    assert found.truth is not None and data.truth is not None
    ratio = found.truth / np.where(data.truth == 0, 1, data.truth)
    assert np.allclose(ratio[0][data.truth[0] != 0], found.k_space[0, 0, 0, 0] / data.k_space[0, 0, 0, 0], rtol=1e-4)


def test_estimated_maps_see_the_calibration_lines_alone() -> None:
    data = heads(1)
    settings = experiment(sampling={"acceleration": 2.0, "calibration": 12}, data={"maps": "estimated"})
    masks = draw_masks(settings, data, np.random.default_rng(2))
    found, said = with_maps(data, masks, settings, quiet, None)
    rows = ~masks[0, :, 0]
    spoilt = data.k_space.copy()
    spoilt[:, :, rows] = 9
    again, _ = with_maps(replace(data, k_space=spoilt), masks, settings, quiet, None)
    assert found.maps is not None and np.array_equal(found.maps, again.maps)  # type: ignore[arg-type]
    assert "ESPIRiT" in said[0]
    # Turned to their phase the true images are what fully sampled k-space shows.
    images = (np.fft.ifft2(data.k_space, norm="ortho") * found.maps.conj()).sum(1)
    inside = (np.abs(found.maps).sum(1) > 0) & data.support  # type: ignore[operator]
    assert found.truth is not None
    apart = np.linalg.norm((images - found.truth)[inside]) / np.linalg.norm(found.truth[inside])
    assert apart < 0.1


def test_a_truth_is_made_of_all_samples_or_refused() -> None:
    data = replace(heads(2), truth=None)
    found, said = with_truth(data, experiment())
    expected = (np.fft.ifft2(data.k_space, norm="ortho") * data.maps.conj()).sum(1)  # type: ignore[union-attr]
    assert found.truth is not None and np.allclose(found.truth, expected, atol=1e-6) and "all samples" in said[0]
    with pytest.raises(DataError, match="not fully sampled") as error:
        with_truth(replace(data, sampled=np.arange(32).reshape(1, 32, 1).repeat(2, 0) % 2 == 0), experiment())
    assert "samples" in error.value.hint


@pytest.mark.parametrize("shape", [(96, 1), (40, 36), (3, 96, 1)])
def test_divisions_are_disjoint_and_leave_the_middle_alone(shape: tuple[int, ...]) -> None:
    rng, settings = np.random.default_rng(3), MriTraining(splits=5, test_share=0.2, stop_share=0.15)
    if shape == (40, 36):
        mask = draw_mask("poisson_disc", "2d", shape, 3.0, 8, rng)
    else:
        lines = [draw_mask("variable_density", "2d", (96, 1), 2.0, 8, rng) for _ in range(3)]
        mask = lines[0] if len(shape) == 2 else np.stack(lines)
    split = divided(mask, 2, settings, rng)
    parts = [split.all_given, split.stop, split.test]
    assert np.array_equal(sum(part.astype(int) for part in parts), np.broadcast_to(mask, split.stop.shape))
    middle = np.fft.ifftshift(np.ones(split.stop.shape, bool), axes=(-2, -1))
    rows = np.rint(np.fft.fftfreq(split.stop.shape[-2]) * split.stop.shape[-2])
    middle &= ((rows >= -4) & (rows < 4))[:, None]
    if split.stop.shape[-1] > 1:
        columns = np.rint(np.fft.fftfreq(split.stop.shape[-1]) * split.stop.shape[-1])
        middle &= (columns >= -4) & (columns < 4)
    assert not (middle & (split.stop | split.test)).any()
    for given, judged in zip(split.given, split.judged, strict=True):
        assert not (given & judged).any() and np.array_equal(given | judged, split.all_given)
        assert judged.any() and not (judged & middle).any()
    assert len({part.tobytes() for part in split.judged}) == 5
    with pytest.raises(DataError, match="too few"):
        divided(draw_mask("variable_density", "2d", (16, 1), 2.0, 6, rng), 2, settings, rng)


def test_samples_left_out_judge_an_image_without_a_truth(tmp_path: Path) -> None:
    """The loss against its definition; test samples change nothing; learning lowers the error of stopping samples."""
    rng = np.random.default_rng(5)
    mask = draw_mask("poisson_disc", "2d", (32, 28), 2.5, 10, rng)[None]
    data = heads(1, sampled=mask, truth=None)
    data = replace(data, k_space=data.k_space * mask[:, None])
    write_kspace(tmp_path / "slice.h5", data)
    sections: dict[str, Any] = {
        "sampling": {"pattern": "measured"},
        "data": {"maps": "stated"},
        "training": {"supervision": "samples", "splits": 6, "steps": 40, "validate_every": 20, "learning_rate": 3e-3},
    }
    task = build_task(of_file(tmp_path / "slice.h5", **sections))
    assert len(task.training) == 6 and len(task.held_out) == 1 and task.training.truth is None
    batch = task.training.pick([2])
    x = np.random.default_rng(1).normal(size=(1, 32, 28)) + 0j
    seen = np.fft.fft2(x * batch.maps[0].numpy(), norm="ortho")
    y, judged = batch.k_space[0].numpy(), batch.judged[0].numpy() > 0  # type: ignore[index]
    at = np.broadcast_to(judged, y.shape)
    expected = np.linalg.norm((seen - y)[at]) ** 2 / np.linalg.norm(y[at]) ** 2
    import torch

    loss = task.loss(torch.from_numpy(x.astype(np.complex64)), batch)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    scores = [event.scores for event in Trainer(task).run() if isinstance(event, Validated)]
    assert list(scores[0]) == ["nrmse"] and scores[-1]["nrmse"] < scores[0]["nrmse"]
    tested = mask[0] & ~(task.held_out.sampled[0].numpy() > 0) & ~(task.held_out.judged[0].numpy() > 0)  # type: ignore[index]
    assert tested.sum() > 10
    spoilt = replace(data, k_space=np.where(tested, 0.1, data.k_space).astype(np.complex64))
    write_kspace(tmp_path / "spoilt.h5", spoilt)
    other = build_task(of_file(tmp_path / "spoilt.h5", **sections))
    again = [event.scores for event in Trainer(other).run() if isinstance(event, Validated)]
    assert again == scores


def test_several_families_share_the_examples() -> None:
    from ptychoui.tasks.mri.sources import simulated_sets

    both = {"family": "ellipses+bars", "held_out_family": "brain", "examples": 5, "held_out": 2}
    training, held_out = simulated_sets(experiment(data=both), quiet)
    assert [name.split()[0] for name in training.names] == ["ellipses"] * 2 + ["bars"] * 3
    assert len(set(training.source_of)) == 5 and len(held_out) == 2 and held_out.names[0].startswith("brain")
    again, _ = simulated_sets(experiment(data=both), quiet)
    assert np.array_equal(training.k_space, again.k_space)
    assert not np.array_equal(training.k_space[0], training.k_space[2])
    with pytest.raises(Exception, match="cannot be of 2 families"):
        simulated_sets(experiment(data={**both, "examples": 1}), quiet)


@pytest.mark.parametrize("acquisition", ["2d", "cine"])
def test_samples_that_judge_have_no_say_in_maps_scale_or_what_is_given(acquisition: str, tmp_path: Path) -> None:
    """Frames of a cine have calibration lines of their own: what another frame measures there may judge."""
    rng = np.random.default_rng(6)
    if acquisition == "cine":
        full = simulate("cine", "heart", 1, (4, 96, 32), 3, rng, snr_db=30.0)
        mask = draw_mask("variable_density", "cine", (4, 96, 32), 2.0, 12, rng)[None]
    else:
        full = simulate("2d", "ellipses", 1, (48, 40), 3, rng, snr_db=30.0)
        mask = draw_mask("poisson_disc", "2d", (48, 40), 2.0, 12, rng)[None]
    data = replace(full, sampled=mask, truth=None, support=None, k_space=full.k_space * mask[:, None])
    sections: dict[str, Any] = {
        "sampling": {"pattern": "measured"}, "data": {"maps": "estimated"},
        "training": {"supervision": "samples", "splits": 3},
    }  # fmt: skip

    def task_of(name: str, k_space: Any) -> Any:
        write_kspace(tmp_path / name, replace(data, k_space=np.asarray(k_space, np.complex64)))
        return build_task(of_file(tmp_path / name, **sections))

    task = task_of("one.h5", data.k_space)
    judging = (task.tested[0] + task.held_out.judged[0] + task.training.judged.sum(0)).numpy() > 0
    spoilt = np.where(np.broadcast_to(judging, data.k_space.shape), 3 * data.k_space, data.k_space)
    other = task_of("two.h5", spoilt)
    assert np.array_equal(task.training.sampled, other.training.sampled)
    assert np.array_equal(task.training.maps, other.training.maps)
    kept = np.broadcast_to(~judging, data.k_space.shape[1:])
    assert np.array_equal(task.training.k_space[0].numpy()[kept], other.training.k_space[0].numpy()[kept])
    assert task.reference == "samples that were left out"
    assert f"net acceleration {1 / mask.mean():.3g}," in task.preflight(task.parameters(), lambda: None).summary


@pytest.mark.parametrize("maps", ["stated", "estimated"])
@pytest.mark.parametrize("with_its_truth", [True, False])
def test_maps_of_any_size_give_the_same_images_of_order_one(maps: str, with_its_truth: bool) -> None:
    data = heads(2)
    truth = data.truth if with_its_truth else None
    assert data.maps is not None and data.truth is not None
    large = replace(data, maps=3 * data.maps, truth=None if truth is None else truth / 3)
    settings = experiment(sampling={"acceleration": 2.0, "calibration": 12}, data={"maps": maps})
    masks = draw_masks(settings, data, np.random.default_rng(1))
    for one in (replace(data, truth=truth), large):
        found, said = with_truth(with_maps(one, masks, settings, quiet, None)[0], settings)
        assert found.maps is not None and found.truth is not None
        size = np.linalg.norm(found.maps, axis=1)
        assert np.allclose(size[size > 0], 1, atol=1e-4)
        inside = data.support & (size > 0)  # type: ignore[operator]
        assert np.abs(found.truth[inside]).mean() == pytest.approx(np.abs(data.truth[inside]).mean(), rel=0.02)
        assert bool(said) is not with_its_truth


def test_a_truth_that_is_not_that_of_the_samples_is_not_learned_from() -> None:
    """Without the maps that it belongs to, its phase or its size may be another's."""
    data = heads(2)
    settings = experiment(sampling={"acceleration": 2.0, "calibration": 12}, data={"maps": "estimated"})
    masks = draw_masks(settings, data, np.random.default_rng(1))
    for factor in (1, np.exp(1j), 2):
        foreign = replace(data, maps=None, truth=(data.truth * factor).astype(np.complex64))  # type: ignore[operator]
        filled, _ = with_maps(foreign, masks, settings, quiet, None)
        found, said = with_truth(filled, settings)
        if factor == 1:
            assert not said and found.truth is foreign.truth
            continue
        assert "not those of the file" in said[0]
        expected = (np.fft.ifft2(data.k_space, norm="ortho") * filled.maps.conj()).sum(1)  # type: ignore[union-attr]
        assert np.allclose(found.truth, expected, atol=1e-5)  # type: ignore[arg-type]
        with pytest.raises(DataError, match="not those of its k-space"):
            with_truth(replace(filled, sampled=masks, k_space=filled.k_space * masks[:, None]), settings)


def test_families_that_are_named_twice_give_other_phantoms() -> None:
    from ptychoui.tasks.mri.sources import simulated_sets

    training, _ = simulated_sets(experiment(data={"family": "ellipses+ellipses", "examples": 2}), quiet)
    assert training.truth is not None and not np.allclose(training.truth[0], training.truth[1], atol=0.1)


def test_a_small_share_of_few_lines_still_leaves_some_to_test_with() -> None:
    """Errors of no sample at all would be no numbers."""
    mask = draw_mask("variable_density", "2d", (96, 1), 2.0, 8, np.random.default_rng(1))
    for share, fewest in ((0.0, 0), (0.01, 1)):
        split = divided(mask, 2, MriTraining(splits=1, test_share=share), np.random.default_rng(1))
        assert split.test.sum() == fewest


def test_examples_keep_their_sources_when_they_are_joined_or_made_double() -> None:
    task = build_task(experiment(data={"examples": 3, "held_out": 2}))
    both = task.held_out.joined(task.training)
    assert both.source.tolist() == [0, 1, 2, 3, 4]
    last = task.training.pick([2])
    for found in (both.pick([4]), last.double(), both.pick([4, 4]).double().pick([1])):
        assert np.allclose(found.k_space[found.source], last.k_space[last.source])
        assert np.allclose(found.maps[found.source], last.maps[last.source])
