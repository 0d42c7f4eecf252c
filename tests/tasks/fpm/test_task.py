"""From settings and data to examples: splits, alignment of truth and images, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from optics.oracle import single_led_images
from optics.setups import relative
from training.small import GEOMETRY, experiment, objects
from training.small import problem as small_problem

from ptychoui.data.dataset import ImageStack, Provenance, TrainingSet, array_sha256, split_sources
from ptychoui.errors import DataError, GeometryError, PtychouiError, SettingsError
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.microscope import Sampling
from ptychoui.settings import Geometry
from ptychoui.tasks.fpm.task import build_task
from ptychoui.workflows.crop import CropRegion
from ptychoui.workflows.explained_stack import ExplainedStack


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("holdout", [0.01, 0.25, 0.5, 0.99])
def test_no_source_is_on_both_sides(seed: int, holdout: float) -> None:
    rng = np.random.default_rng(seed)
    sources = rng.integers(0, 7, 40)
    held, count = split_sources(sources, holdout, seed)
    assert held.any() and not held.all()
    assert not set(sources[held]) & set(sources[~held])
    assert len(set(sources[held])) == count
    assert np.array_equal(held, split_sources(sources, holdout, seed)[0])


def test_the_seed_chooses_the_split() -> None:
    sources = np.arange(30)
    assert len({tuple(split_sources(sources, 0.3, seed)[0]) for seed in range(10)}) > 5
    with pytest.raises(DataError, match="a single source image"):
        split_sources(np.zeros(5, dtype=int), 0.3, 0)


def test_a_problem_keeps_its_sources_apart() -> None:
    found = small_problem()
    assert len(found.training) + len(found.held_out) == 8
    assert not set(found.training.sources) & set(found.held_out.sources)
    assert found.mask.shape == (2, 9) and found.reference == "simulated objects"


def test_examples_are_the_middle_of_larger_images_and_the_truth_lies_under_them() -> None:
    """Images of the whole 28-pixel object from the simple model, cut to the tile; truth is its low pass."""
    found, data = small_problem(), objects()
    scope, grids = found.geometry.microscope, found.grids
    span = 28 // int(grids.upsampling)
    whole = Sampling(tile_px=span, pad_px=0, pixel_size_um=0.5, oversampling=1, upsampling=grids.upsampling)
    order = [i for i in range(8) if data.sources[i] in set(found.training.sources)]
    cut = slice((span - 8) // 2, (span - 8) // 2 + 8)
    for place, number in enumerate(order):
        x = data.objects[number].astype(complex)
        images = single_led_images(x, scope, found.leds.illumination_na, whole)[:, cut, cut]
        assert relative(found.training.intensities[place].numpy(), images) < 1e-5
        f = np.fft.fftfreq(28, 0.25)
        cutoff = (0.2 + found.leds.radius_na.max()) / 0.5
        seen = np.fft.ifft2(np.fft.fft2(x) * (np.hypot(f[:, None], f[None]) <= cutoff))
        inner = slice((cut.start + 1) * 2, (cut.stop - 1) * 2)
        assert relative(found.training.truth[place].numpy(), seen[inner, inner]) < 1e-5
    output = torch.zeros(1, grids.object_px, grids.object_px)
    assert found.object_of(output).shape[1:] == found.training.truth.shape[1:]


def test_objects_of_another_pixel_size_are_resampled() -> None:
    data = objects()
    coarse = TrainingSet(objects=data.objects, sources=data.sources, pixel_size_um=0.3, source_names=data.source_names)
    found = build_task(experiment(), dataset=coarse)
    assert found.training.truth.shape == small_problem().training.truth.shape


def stack(rows: int, columns: int) -> ImageStack:
    rng = np.random.default_rng(0)
    images = 1 + 0.1 * rng.random((9, rows, columns))
    return ImageStack(images=images.astype(np.float32), led_numbers=np.arange(9), geometry=Geometry(**GEOMETRY))


@pytest.mark.parametrize(("rows", "columns"), [(32, 32), (48, 32), (32, 80), (32, 48)])
def test_tiles_of_a_stack_share_no_pixel(rows: int, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pixel of a stack is numbered, so that tiles say where they were cut."""
    from ptychoui.tasks.fpm import examples as module

    some = stack(rows, columns)
    numbered = np.broadcast_to(np.arange(rows * columns).reshape(rows, columns), (9, rows, columns))
    some = replace(
        some,
        images=numbered.astype(np.float32),
        provenance=Provenance(source="test", layout="test", sha256=array_sha256(numbered)),
    )

    def instant(stack: ImageStack, window: CropRegion, upsampling: int) -> ExplainedStack:
        cut = stack.crop(window.row, window.column, window.size_px, window.size_px).images
        object_ = np.repeat(np.repeat(cut[0], upsampling, 0), upsampling, 1).astype(np.complex64)
        assert stack.geometry is not None
        return ExplainedStack(
            object=object_,
            light=np.ones_like(object_),
            images=cut,
            leds=led_array(stack.geometry.array),
            microscope=stack.geometry.microscope,
            window=window,
            upsampling=upsampling,
            amplitude_residual=0.0,
            fitted_residual=0.0,
        )

    monkeypatch.setattr(module, "explain_stack", instant)
    found = build_task(experiment(data={"tiles": 40}), dataset=some)
    seen = {
        name: set(getattr(found, name).intensities[:, 0].numpy().astype(int).ravel())
        for name in ("training", "held_out")
    }
    assert not seen["training"] & seen["held_out"]
    assert len(found.training) == 40 and len(found.held_out) >= 1
    for examples in (found.training, found.held_out):
        inner = examples.intensities[:, 0, 1:-1, 1:-1].numpy()
        truth = examples.truth[:, :: int(found.grids.upsampling), :: int(found.grids.upsampling)].real.numpy()
        assert np.array_equal(truth, inner)


@pytest.mark.parametrize("origin", ["arrays", "crops of one file"])
def test_every_stack_has_a_truth_of_its_own(origin: str) -> None:
    """Two stacks of one geometry and size: the second must not be judged by the first one's reconstruction."""
    large = stack(64, 32)
    if origin == "crops of one file":
        large = replace(large, provenance=Provenance(source="file", layout="test", sha256="one file"))
    images = np.array(large.images)
    images[:, 32:] *= np.linspace(0.5, 2, 32, dtype=np.float32)
    large = replace(large, images=images)
    top, bottom = (build_task(experiment(data={"tiles": 2}), dataset=large.crop(row, 0, 32, 32)) for row in (0, 32))
    assert not torch.equal(top.training.truth, bottom.training.truth)


def test_stacks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="too small for separate training and held-out tiles") as error:
        build_task(experiment(), dataset=stack(12, 12))
    assert "larger images" in error.value.hint
    missing = ImageStack(
        images=np.ones((8, 32, 32), np.float32), led_numbers=np.arange(8), geometry=Geometry(**GEOMETRY)
    )
    with pytest.raises(PtychouiError, match=r"no image of LED 8 \(1 of 9 are missing\)"):
        build_task(experiment(), dataset=missing)


def test_images_follow_the_led_numbers() -> None:
    some = stack(32, 32)
    shuffled = np.random.default_rng(1).permutation(9)
    other = replace(some, images=some.images[shuffled], led_numbers=some.led_numbers[shuffled])
    first, second = (build_task(experiment(data={"tiles": 2}), dataset=one) for one in (some, other))
    assert torch.equal(first.training.intensities, second.training.intensities)
    assert torch.equal(first.training.truth, second.training.truth)


def test_a_margin_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(SettingsError, match="a margin of 4 pixels on both sides leaves nothing of a tile of 8"):
        small_problem(training={"margin_px": 4})


def test_objects_smaller_than_tile_and_padding_are_refused() -> None:
    with pytest.raises(DataError, match="the objects are 28 pixels wide, the tile and its padding need"):
        small_problem(data={"pad_px": 4})


def test_data_without_a_geometry_say_what_to_give() -> None:
    with pytest.raises(GeometryError, match="carry no geometry") as error:
        build_task(experiment(geometry=None), dataset=objects())
    assert "--geometry" in error.value.hint


def test_the_mask_is_that_of_the_bands() -> None:
    found = small_problem(design={"bright_field_rows": 2, "dark_field_rows": 3})
    radius = led_array(Geometry(**GEOMETRY).array).radius_na
    assert np.array_equal(found.mask[:2].numpy(), np.tile(radius < 0.2, (2, 1)))
    assert np.array_equal(found.mask[2:].numpy(), np.tile(radius >= 0.2, (3, 1)))
