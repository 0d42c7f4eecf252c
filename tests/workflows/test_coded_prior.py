"""The smooth prior of coded images: what it is worth under noise, who chooses it, and what is said of it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tqdm
from optics import oracle, spherical
from optics.setups import figure

from ptychoui import cli
from ptychoui.commands.reconstruct import CODED_PASSES
from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.native import save_hdf5
from ptychoui.data.results import load_reconstruction
from ptychoui.design import starts
from ptychoui.design.patterns import PatternSet
from ptychoui.export.formats import export_patterns
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.microscope import sampling
from ptychoui.session.stored_report import open_report
from ptychoui.settings import Array, Design, Geometry, Microscope, Reconstruct, to_toml
from ptychoui.workflows.coded_stack import CodedReconstruction

# Far away, so that the light of every LED is plane, as the simple model has it.
GEOMETRY = Geometry(
    microscope=Microscope(wavelength_um=0.5, objective_na=0.2, magnification=10.0, camera_pixel_um=5.0, defocus_um=2.0),
    array=Array(kind="lattice", rows=7, columns=7, pitch_mm=114.0, height_mm=1900.0),
)
LEDS = led_array(GEOMETRY.array)
GRIDS = sampling(GEOMETRY.microscope, LEDS, 28, 0)
ROWS = (2, 6)


@cache
def scene(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An object, the levels of a hybrid design and its images without noise, in units of one LED."""
    truth = spherical.smooth_field((GRIDS.object_px,) * 2, GRIDS.object_pixel_um, 0.6, seed)
    design = Design(bright_field_rows=ROWS[0], dark_field_rows=ROWS[1], start="hybrid")
    levels = starts.hybrid(design, LEDS, 0.2, np.random.default_rng(seed))
    single = oracle.single_led_images(truth, GEOMETRY.microscope, LEDS.illumination_na, GRIDS)
    return truth, levels, np.einsum("ml,lij->mij", levels, single)


def noisy(photons: float, seed: int) -> np.ndarray:
    """Photons of one LED at full level on every pixel; 0 leaves the noise out."""
    clean = scene(seed)[2]
    rng = np.random.default_rng(100 + seed)
    return np.asarray(rng.poisson(photons * clean) / photons if photons else clean, np.float32)


def coded(images: np.ndarray, seed: int, exposure: float = 1.0, **settings: Any) -> CodedReconstruction:
    stack = ImageStack(images=images, led_numbers=np.arange(sum(ROWS)), geometry=GEOMETRY)
    exposures = np.full(sum(ROWS), exposure)
    given = Reconstruct(**{"passes": 200, "pad_px": 0} | settings)
    return CodedReconstruction(stack, scene(seed)[1], exposures, LEDS.numbers, given)


def finished(work: CodedReconstruction) -> CodedReconstruction:
    for _ in work.run():
        pass
    return work


def error(found: np.ndarray, truth: np.ndarray) -> float:
    """Complex error after the best factor; 1 is an empty picture."""
    factor = np.vdot(found, truth) / np.vdot(found, found)
    return float(np.linalg.norm(factor * found - truth) / np.linalg.norm(truth - truth.mean()))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("photons", "share"), [(100, 0.7), (300, 0.85)])
def test_noise_does_less_harm_than_without_a_prior(photons: int, share: float, seed: int) -> None:
    images, truth = noisy(photons, seed), scene(seed)[0]
    free = finished(coded(images, seed)).object()
    plain = finished(coded(images, seed, smoothness=0.0)).object()
    ratio = error(free, truth) / error(plain, truth)
    assert figure(f"coded images, {photons} photons: error over that without a prior", ratio) < share


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_without_noise_nothing_gets_worse(seed: int) -> None:
    images, truth = noisy(0, seed), scene(seed)[0]
    found = finished(coded(images, seed))
    plain = finished(coded(images, seed, smoothness=0.0)).object()
    ratio = error(found.object(), truth) / error(plain, truth)
    assert figure("coded images without noise: error over that without a prior", ratio) < 1.03
    assert found.stored().record["smooth_prior"]["strength"] <= 0.0003


@pytest.mark.parametrize(
    ("start", "photons", "share"),
    [("hybrid", 0, 1.03), ("dense_random", 0, 0.5), ("random_partition", 300, 0.75), ("dense_random", 300, 0.75)],
)
def test_a_window_of_a_larger_object_is_no_worse_either(start: str, photons: int, share: float) -> None:
    """Light from beside the window makes the model a little wrong: weak priors fit that as they fit noise.

    Against 200 passes without a prior, whose early end is a prior of its own.
    """
    wide, seed = sampling(GEOMETRY.microscope, LEDS, 64, 0), 1
    field = spherical.detailed_field((wide.object_px,) * 2, wide.object_pixel_um, 0.7, seed)
    single = oracle.single_led_images(field, GEOMETRY.microscope, LEDS.illumination_na, wide)[:, 16:48, 16:48]
    finer = wide.upsampling
    truth = field[20 * finer : 44 * finer, 20 * finer : 44 * finer]
    design = Design(bright_field_rows=4, dark_field_rows=8, start=start)  # type: ignore[arg-type]
    levels = getattr(starts, start)(design, LEDS, 0.2, np.random.default_rng(seed))
    exposures = np.where(np.arange(12) < 4, 1.0, 8.0)
    images = np.einsum("ml,lij->mij", levels * exposures[:, None], single)
    rng = np.random.default_rng(5)
    images = rng.poisson(photons * images) / photons if photons else images
    stack = ImageStack(images=images.astype(np.float32), led_numbers=np.arange(12), geometry=GEOMETRY)

    def of(passes: int, smoothness: float | None) -> float:
        settings = Reconstruct(passes=passes, pad_px=8, smoothness=smoothness)
        found = finished(CodedReconstruction(stack, levels, exposures, LEDS.numbers, settings)).object()
        return error(found[4 * finer : -4 * finer, 4 * finer : -4 * finer], truth)

    ratio = of(CODED_PASSES, None) / of(200, 0.0)
    assert figure(f"coded window, {start}, {photons} photons: error over that without a prior", ratio) < share


def test_units_of_exposures_and_images_do_not_matter() -> None:
    images = noisy(300, 0)
    one, other = finished(coded(images, 0)), finished(coded(50 * images, 0, exposure=1000.0))
    strengths = [work.stored().record["smooth_prior"]["strength"] for work in (one, other)]
    assert strengths[0] == strengths[1]
    factor = np.vdot(other.object(), one.object()) / np.vdot(other.object(), other.object())
    apart = np.linalg.norm(factor * other.object() - one.object()) / np.linalg.norm(one.object())
    assert apart < 1e-3 and abs(factor) == pytest.approx((1000 / 50) ** 0.5, rel=1e-3)


def test_the_record_says_how_the_strength_was_chosen() -> None:
    images = noisy(300, 0)
    free = finished(coded(images, 0))
    record = free.stored().record
    prior = record["smooth_prior"]
    assert prior["chosen_by"] == "pixels left out" and len(prior["tried"]) == len(prior["misfits"]) > 3
    assert prior["misfits"][prior["tried"].index(prior["strength"])] < 1.1 * min(prior["misfits"])
    sentence = f"smooth prior {prior['strength']:g}, chosen by a tenth of the pixels left out"
    assert free.prior == sentence and sentence in record["notes"]
    fixed = finished(coded(images, 0, smoothness=0.05))
    prior = fixed.stored().record["smooth_prior"]
    assert prior["strength"] == 0.05 and prior["chosen_by"] == "setting" and not prior["misfits"]
    assert fixed.prior == "smooth prior 0.05, as given"
    none = finished(coded(images, 0, smoothness=0.0, passes=20))
    assert none.prior == "no prior" and "smooth_prior" not in none.stored().record


def test_passes_are_counted_and_a_stop_keeps_what_there_is() -> None:
    work = coded(noisy(300, 0), 0, passes=60)
    numbers = []
    for done in work.run():
        numbers.append(done.number)
        assert done.passes == 60 and len(work.history) == done.number
        if done.number >= 25:
            break
    assert numbers == sorted(numbers) and numbers[0] == 1
    kept = work.stored(interrupted=True)
    prior = kept.record["smooth_prior"]
    assert kept.record["interrupted"] and kept.passes == numbers[-1] < 60
    assert work.prior == f"smooth prior {prior['strength']:g}, the weakest that was tried before the stop"
    assert 0 < prior["strength"] < 1 and error(kept.object, scene(0)[0]) < 1
    assert kept.history[0, -1] < kept.history[0, 0]
    assert kept.amplitude_residual == pytest.approx(kept.history[0, -1], rel=1e-6)
    whole = finished(coded(noisy(300, 0), 0, passes=60))
    assert len(whole.history) <= 60 and whole.stored().passes == len(whole.history)


class Bar(tqdm.tqdm):  # type: ignore[type-arg]
    """Remembers where the progress bar ended."""

    ended: int = 0

    def close(self) -> None:
        Bar.ended = self.n
        super().close()


def test_the_command_says_what_was_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)
    monkeypatch.setattr(tqdm, "tqdm", Bar)
    patterns = PatternSet(
        levels=scene(0)[1],
        exposures=np.ones(sum(ROWS)),
        led_numbers=LEDS.numbers,
        positions_mm=LEDS.positions_mm,
        illumination_na=LEDS.illumination_na,
        row_names=tuple(f"row {row}" for row in range(sum(ROWS))),
        geometry=GEOMETRY,
    )
    export_patterns(patterns, "json", tmp_path / "patterns.json")
    images = ImageStack(images=noisy(300, 0), led_numbers=np.arange(sum(ROWS)), geometry=None)
    stack, result = str(save_hdf5(tmp_path / "images.h5", images)), tmp_path / "out.h5"
    words = ["reconstruct", stack, "-o", str(result), "--pad", "0"]
    with_patterns = [*words, "--patterns", str(tmp_path / "patterns.json")]
    assert cli.main([*with_patterns, "--json"]) == 0
    said = capsys.readouterr()
    values = json.loads(said.out)
    strength = values["smooth_prior"]["strength"]
    assert f"note: smooth prior {strength:g}, chosen by a tenth of the pixels left out" in said.err
    assert Bar.ended == values["passes"] <= CODED_PASSES
    kept = load_reconstruction(result)
    assert kept.record["smooth_prior"]["strength"] == strength and kept.settings.smoothness is None
    assert error(kept.object, scene(0)[0]) < 0.2
    assert len(open_report(result).found.history) == kept.passes, "the window opens it"
    assert cli.main([*with_patterns, "--smoothness", "0.02", "--passes", "30"]) == 0
    assert "note: smooth prior 0.02, as given" in capsys.readouterr().err
    assert load_reconstruction(result).settings.smoothness == 0.02
    assert cli.main([*with_patterns, "--smoothness", "0", "--passes", "30"]) == 0
    assert "note: no prior" in capsys.readouterr().err
    (tmp_path / "g.toml").write_text(to_toml(GEOMETRY), encoding="utf-8")
    assert cli.main([*words, "--geometry", str(tmp_path / "g.toml"), "--smoothness", "0.1"]) == 2
    assert "--smoothness belongs to images of coded illumination" in capsys.readouterr().err
    for wrong in ("-1", "nan", "much"):
        assert cli.main([*with_patterns, f"--smoothness={wrong}"]) == 2
        assert "argument --smoothness" in capsys.readouterr().err
