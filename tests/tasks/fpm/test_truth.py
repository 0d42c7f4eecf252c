"""A measured stack that shows nothing is not learned from without a word."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
from workflows.test_explained_stack import off_stack

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.native import save_hdf5
from ptychoui.settings import blank_experiment
from ptychoui.tasks.fpm.events import TruthShown
from ptychoui.tasks.fpm.task import FpmTask, build_task
from ptychoui.tasks.fpm.truth import POOR, doubts, one_by_one_error
from ptychoui.training.events import Started
from ptychoui.training.runs import new_run, resume_run
from ptychoui.training.trainer import Trainer


@cache
def sound() -> ImageStack:
    return off_stack("brick")[0]


def noise() -> ImageStack:
    """The brightness of the sound stack, but no sample."""
    images = sound().images
    made = np.random.default_rng(0).gamma(4.0, images.mean((1, 2), keepdims=True) / 4, images.shape)
    return replace(sound(), images=made.astype(np.float32))


@cache
def problem(sample: bool) -> FpmTask:
    some = blank_experiment()
    some = some.replace(
        data=some.data.replace(tile_px=20, pad_px=6, tiles=4),
        engine=some.engine.replace(device="cpu"),
        network=some.network.replace(unrolls=4),
        training=some.training.replace(margin_px=4, steps=0),
    )
    return build_task(some, dataset=sound() if sample else noise())


def test_all_leds_one_by_one_show_what_a_sound_stack_has_to_show() -> None:
    assert one_by_one_error(problem(True)) < 0.6 < POOR
    assert not any("one by one" in sentence for sentence in doubts(problem(True)))


def test_noise_is_called_what_it_is_in_the_first_warning() -> None:
    error = one_by_one_error(problem(False))
    assert error > POOR
    event = next(iter(Trainer(problem(False)).run()))
    assert isinstance(event, Started)
    assert event.warnings[0].startswith(f"all 81 LEDs one by one reach a complex error of {error:.2f}")


def test_the_run_knows_the_brightness_and_the_pupil_that_were_found() -> None:
    made = problem(True)
    assert made.field is not None
    assert made.microscope.zernike_waves[6] > 0.1 and not made.geometry.microscope.zernike_waves
    assert np.array_equal(made.leds.gain, made.field.leds.gain) and np.ptp(made.leds.gain) > 0.5
    assert np.allclose(made.measurement.gain.numpy(), made.leds.gain)


def test_empty_tiles_are_left_out() -> None:
    """Losses are relative to what there is to show: tiles of bare glass would weigh most."""
    made = problem(True)
    assert made.field is not None
    contrast = made.training.truth.flatten(1).std(1)
    assert float(contrast.min()) > 0.4 * float(contrast.max())


def test_a_run_that_began_with_another_truth_says_so(tmp_path: Path) -> None:
    """Runs of earlier versions learned from a reconstruction without pupil, brightness and stray light."""
    path = save_hdf5(tmp_path / "stack.h5", sound())
    some = problem(True).experiment.replace(data=problem(True).experiment.data.replace(path=str(path)))
    trainer = new_run(some, tmp_path / "run")
    assert trainer.folder is not None
    list(trainer.run())
    trainer.folder.close()
    assert _first_warning(tmp_path / "run") is None
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record.pop("truth") == "calibrated"
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    said = _first_warning(tmp_path / "run")
    assert said is not None and said.startswith("this run began when what is learned from a stack was")


def _first_warning(folder: Path) -> str | None:
    trainer = resume_run(folder)
    event = next(iter(trainer.run()))
    assert isinstance(event, Started) and trainer.folder is not None
    trainer.folder.close()
    return next((one for one in event.warnings if "this run began" in one), None)


def test_what_is_learned_from_is_shown_before_the_first_score() -> None:
    """Training tiles are found left of the line, held-out ones right of it."""
    made = problem(True)
    _started, shown = islice(Trainer(made).run(), 2)
    assert isinstance(shown, TruthShown) and made.field is not None
    assert shown.amplitude.shape == made.field.object.shape and not shown.phase_rad.flags.writeable
    assert np.allclose(shown.amplitude * np.exp(1j * shown.phase_rad), made.field.object * _turn(made), atol=1e-5)
    assert made.field.fitted_residual < made.field.amplitude_residual
    for residual in (made.field.fitted_residual, made.field.amplitude_residual):
        assert f"{residual:.4f}" in shown.sentence
    assert np.isclose(shown.pixel_size_um, made.grids.object_pixel_um)
    for examples, left in ((made.training, True), (made.held_out, False)):
        for tile in examples.truth.abs().numpy():
            corners = np.argwhere(np.isclose(shown.amplitude, tile[0, 0], rtol=1e-5))
            rows, columns = tile.shape
            (column,) = {
                int(c)
                for r, c in corners
                if np.allclose(shown.amplitude[r : r + rows, c : c + columns].sum(), tile.sum(), rtol=1e-4)
            }
            assert column + columns <= shown.held_out_from_px if left else column >= shown.held_out_from_px


def _turn(made: FpmTask) -> complex:
    """Phase means nothing but for a constant: around zero it wraps least."""
    assert made.field is not None
    return complex(np.exp(-1j * np.angle(made.field.object.astype(np.complex128).mean())))
