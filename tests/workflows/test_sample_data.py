"""The generated sample data: a seed says everything, and the stack looks measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ptychoui.data.dataset import ImageStack, TrainingSet
from ptychoui.data.files import sha256_file
from ptychoui.data.formats.open import open_dataset
from ptychoui.data.formats.open_kspace import open_kspace
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.paths import sample_data
from ptychoui.workflows.sample_data import OBJECT_PX, STACK_PX, sample_geometry, true_geometry, write_samples

K_SPACE = ("heads.kspace.h5", "heart.kspace.h5")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples") / "new" / "folder"
    names = [path.name for path in write_samples(folder, 3)]
    assert names == ["objects.h5", "cells.h5", "stack.ome.tif", *K_SPACE]
    return folder


def test_the_same_seed_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    write_samples(tmp_path, 3)
    assert {path.name for path in made.iterdir()} == {
        "objects.h5",
        "cells.h5",
        "stack.ome.tif",
        "stack.geometry.toml",
        *K_SPACE,
    }
    for path in made.iterdir():
        assert sha256_file(path) == sha256_file(tmp_path / path.name)


def test_another_seed_gives_other_noise_and_other_places(made: Path) -> None:
    for name in ("objects.h5", "cells.h5", "stack.ome.tif", *K_SPACE):
        assert sha256_file(made / name) != sha256_file(sample_data() / name)


def test_the_objects(made: Path) -> None:
    found = open_dataset(made / "objects.h5")
    assert isinstance(found, TrainingSet)
    assert found.objects.shape == (24, OBJECT_PX, OBJECT_PX) and len(found.source_names) == 12
    assert np.array_equal(np.bincount(found.sources), np.full(12, 2))
    amplitude, phase = np.abs(found.objects), np.angle(found.objects)
    # 2 % to 98 % of an image span 0.25 of amplitude and 1.5 rad; the tails are cut 20 % beyond.
    assert 0.69 < amplitude.min() and amplitude.max() < 1.06
    assert np.ptp(phase) < 1.4 * 1.5 + 1e-3
    middle = np.percentile(phase[found.sources == 0], (2, 98))
    assert 0.5 < np.ptp(middle) < 2.1
    assert found.geometry == sample_geometry()


def test_the_stack_looks_measured(made: Path) -> None:
    found = open_dataset(made / "stack.ome.tif")
    assert isinstance(found, ImageStack)
    assert found.images.shape == (81, STACK_PX, STACK_PX)
    assert found.geometry == sample_geometry()
    leds = led_array(true_geometry().array)
    bright = leds.bright_field(true_geometry().microscope.objective_na)
    means = found.images.mean((1, 2))
    assert means[bright].min() > 5 * means[~bright].max()
    counts = found.images * found.unit_counts
    assert not np.array_equal(counts[40], np.full_like(counts[40], counts[40].mean()))


@pytest.mark.parametrize(("name", "space"), [(K_SPACE[0], (96, 88)), (K_SPACE[1], (12, 64, 60))])
def test_the_k_space(made: Path, name: str, space: tuple[int, ...]) -> None:
    found = open_kspace(made / name)
    assert found.space == space and found.coils == 4 and found.sampled.all()
    assert found.maps is None and found.support is not None and found.truth is not None and found.noise_std
    assert len(found) == len(found.names) == len(set(found.source_of)) == (1 if "heart" in name else 6)
    assert (made / name).stat().st_size < 2.5e6
    # Noise alone lies far outside the object, and is of the size stated.
    images = np.fft.ifftn(found.k_space, axes=found.transformed, norm="ortho")
    corner = np.concatenate([images[..., :6, :6].ravel(), images[..., -6:, -6:].ravel()])
    assert np.std(corner.real) == pytest.approx(found.noise_std, rel=0.1)
    combined = np.sqrt(np.sum(np.abs(images) ** 2, axis=1))[found.support]
    assert np.corrcoef(combined, np.abs(found.truth[found.support]))[0, 1] > 0.99


def test_the_believed_geometry_is_a_little_wrong() -> None:
    believed, true = sample_geometry(), true_geometry()
    assert believed != true and believed.array.numbers() == true.array.numbers()
    first, second = led_array(believed.array), led_array(true.array)
    off = np.hypot(*(first.illumination_na - second.illumination_na).T)
    assert 0 < off.max() < 0.02
    assert not believed.microscope.zernike_waves and true.microscope.zernike_waves
