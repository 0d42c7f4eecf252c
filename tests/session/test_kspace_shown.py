"""K-space that is opened: what is shown of it against plain loops, its maps, and an experiment that it can train."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ptychoui.data.dataset import Provenance
from ptychoui.data.formats.kspace_native import write_kspace
from ptychoui.data.kspace import KSpaceSet
from ptychoui.errors import DataError
from ptychoui.paths import sample_data
from ptychoui.session.kspace_shown import (
    OpenedKSpace,
    experiment_for,
    maps_of,
    open_k_space,
    read_shown,
    shown_of,
)
from ptychoui.session.opening import open_anything
from ptychoui.training.task import build_task

SHAPES = {"2d": (14, 12), "slab": (3, 14, 12), "3d": (6, 14, 12), "cine": (4, 14, 12)}


def k_space(acquisition: str = "2d", examples: int = 2, coils: int = 3, share: float = 1.0) -> KSpaceSet:
    rng = np.random.default_rng(5)
    space = SHAPES[acquisition]
    values = rng.normal(size=(examples, coils, *space)) + 1j * rng.normal(size=(examples, coils, *space))
    sampled = rng.random((examples, *space)) < share
    sampled[..., 0, 0] = True
    return KSpaceSet(
        acquisition=acquisition,  # type: ignore[arg-type]
        k_space=(values * sampled[:, None]).astype(np.complex64),
        sampled=sampled,
        provenance=Provenance(source="made", layout="arrays", sha256=""),
    )


def transform(samples: np.ndarray, axes: int) -> np.ndarray:
    """The unitary inverse transform of the last axes as sums of waves."""
    for axis in range(-axes, 0):
        n = samples.shape[axis]
        waves = np.exp(2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n) / np.sqrt(n)
        samples = np.moveaxis(np.tensordot(waves, np.moveaxis(samples, axis, 0), 1), 0, axis)
    return samples


@pytest.mark.parametrize(
    ("acquisition", "axes", "plane"), [("2d", 2, None), ("slab", 2, 1), ("3d", 3, 3), ("cine", 2, 0)]
)
def test_coils_and_samples_are_those_of_the_plane_that_is_shown(acquisition: str, axes: int, plane: int | None) -> None:
    data = k_space(acquisition, share=0.6)
    shown = shown_of("k.h5", data, 1)
    images = transform(data.k_space[1].astype(complex), axes)
    images = images if plane is None else images[:, plane]
    mask = data.sampled[1] if plane is None else data.sampled[1, plane]
    assert np.allclose(shown.coils, np.abs(images), atol=1e-5)
    assert np.allclose(shown.combined, np.sqrt((np.abs(images) ** 2).sum(0)), atol=1e-5)
    rows, columns = mask.shape
    assert shown.sampled[rows // 2, columns // 2] == mask[0, 0] == 1
    assert np.array_equal(shown.sampled, np.roll(mask, (rows // 2, columns // 2), (0, 1)))
    assert (shown.place, shown.count, len(shown.data)) == (1, 2, 1)
    assert not shown.coils.flags.writeable
    assert shown_of("k.h5", data, 99).place == 1 and shown_of("k.h5", data, -3).place == 0


def test_a_mask_that_does_not_depend_on_an_axis_fills_the_plane() -> None:
    data = k_space("cine")
    lines = np.zeros((2, 4, 14, 1), bool)
    lines[:, :, [0, 3]] = True
    shown = shown_of("k.h5", KSpaceSet(**{**{n: getattr(data, n) for n in data.__slots__}, "sampled": lines}))
    assert shown.sampled.shape == (14, 12) and shown.sampled.sum() == 24


@pytest.mark.parametrize(
    ("acquisition", "examples", "share", "pattern", "supervision"),
    [
        ("2d", 2, 1.0, "variable_density", "truth"),
        ("cine", 3, 1.0, "variable_density", "truth"),
        ("2d", 1, 1.0, "uniform_random", "samples"),
        ("2d", 2, 0.5, "measured", "samples"),
    ],
)
def test_the_experiment_suits_the_file(
    acquisition: str, examples: int, share: float, pattern: str, supervision: str
) -> None:
    data = k_space(acquisition, examples, share=share)
    found, why = experiment_for("/somewhere/a heart.h5", data)
    assert (found.sampling.pattern, found.training.supervision) == (pattern, supervision)
    assert found.data.path == "/somewhere/a heart.h5" and found.name == "a heart"
    assert (found.data.acquisition, found.data.size, found.data.coils) == (acquisition, data.space, 3)
    assert found.data.maps == "estimated" and found.training.batch == min(2, examples)
    assert len(why) == 1 and why[0].count(".") <= 1
    assert found.sampling.calibration == 6 and found.sampling.acceleration == (4 if supervision == "truth" else 1.5)


def test_sizes_that_no_simulation_takes_are_left_out() -> None:
    data = k_space(coils=70)
    found, _ = experiment_for("k.h5", data)
    assert found.data.path == "k.h5" and found.data.coils != 70


@pytest.mark.parametrize(("rows", "calibration", "acceleration"), [(64, 8, 2), (96, 12, 3), (256, 16, 4), (24, 6, 1.5)])
def test_lines_suffice_to_be_divided(rows: int, calibration: int, acceleration: float) -> None:
    one = KSpaceSet(
        acquisition="2d",
        k_space=np.ones((1, 2, rows, 8), np.complex64),
        sampled=np.ones((1, 1, 1), bool),
        provenance=Provenance(source="made", layout="arrays", sha256=""),
    )
    sampling = experiment_for("k.h5", one)[0].sampling
    assert (sampling.calibration, sampling.acceleration) == (calibration, acceleration)
    assert rows < 40 or rows / acceleration - calibration >= 20


def test_maps_of_a_file_are_used() -> None:
    data = k_space()
    with_maps = KSpaceSet(**{**{n: getattr(data, n) for n in data.__slots__}, "maps": data.k_space})
    assert experiment_for("k.h5", with_maps)[0].data.maps == "stated"


@pytest.mark.parametrize(("name", "supervision"), [("heads", "truth"), ("heart", "samples")])
def test_samples_of_the_program_open_with_maps(name: str, supervision: str) -> None:
    opened = open_anything(sample_data() / f"{name}.kspace.h5")
    assert isinstance(opened, OpenedKSpace)
    assert opened.experiment.data.path == f"sample:{name}" == opened.shown.path
    assert opened.experiment.training.supervision == supervision
    assert ("true ones of the file" in opened.why[0]) == (supervision == "truth")
    again = read_shown(opened.shown.path, 0)
    assert np.array_equal(again.coils, opened.shown.coils) and again.sentence == opened.shown.sentence
    maps = maps_of(opened.shown)
    assert maps.maps.shape == opened.shown.coils.shape and maps.unexplained < 0.05
    size = (np.abs(maps.maps) ** 2).sum(0)
    assert np.allclose(size[size > 0], 1, atol=1e-4)
    assert f"{100 * maps.unexplained:.1f} %" in maps.sentence


@pytest.mark.parametrize("name", ["heads", "heart"])
def test_what_is_proposed_can_be_trained(name: str) -> None:
    proposed = open_k_space(sample_data() / f"{name}.kspace.h5").experiment
    network = proposed.network.replace(unrolls=1, channels=2, convolutions=2)
    task = build_task(proposed.replace(network=network))
    given = task.inputs(task.parameters(), task.training.pick([0]), None, training=True)
    assert given.x.abs().max() > 0.1


def test_a_slab_has_the_maps_of_its_middle() -> None:
    heads = open_k_space(sample_data() / "heads.kspace.h5").shown
    plane = heads.data.k_space
    slab = KSpaceSet(
        acquisition="slab",
        k_space=np.stack([0 * plane, plane, 0 * plane], axis=2),
        sampled=np.ones((1, 1, 1, 1), bool),
        provenance=heads.data.provenance,
    )
    assert np.allclose(maps_of(shown_of("slab.h5", slab)).maps, maps_of(heads).maps, atol=1e-3)


def test_without_a_calibration_region_there_are_no_maps() -> None:
    data = k_space(share=1.0)
    sampled = data.sampled.copy()
    sampled[:, 0, 0] = False
    holes = KSpaceSet(**{**{n: getattr(data, n) for n in data.__slots__}, "sampled": sampled})
    with pytest.raises(DataError, match="no calibration region"):
        maps_of(shown_of("k.h5", holes))


def test_what_is_damaged_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = write_kspace(tmp_path / "k.kspace.h5", k_space())
    content = bytearray(path.read_bytes())
    (tmp_path / "cut.h5").write_bytes(content[: len(content) // 2])
    np.save(tmp_path / "one.npy", np.zeros((3, 4), complex))
    for name in ("cut.h5", "one.npy", "not there.h5"):
        with pytest.raises(DataError) as error:
            open_anything(tmp_path / name)
        assert "\n" not in error.value.message and error.value.hint


def test_nothing_heavy_is_needed_to_know_of_it() -> None:
    code = "import sys, ptychoui.session.opening; print([n for n in ('torch', 'h5py', 'sigpy') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
