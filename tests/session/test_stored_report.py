from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ptychoui.data.dataset import ImageStack
from ptychoui.data.results import load_reconstruction, save_reconstruction
from ptychoui.errors import DataError
from ptychoui.paths import data_file
from ptychoui.session import opening, stored_report
from ptychoui.session.stack_plan import StackPlan
from ptychoui.session.stack_run import StackHistory, StackReport, save_report, stack_run
from ptychoui.session.stored_report import open_report, with_tile
from ptychoui.settings import Reconstruct
from ptychoui.training.control import RunControl


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[StackReport, Path]:
    opened = opening.open_anything(data_file("sample:stack"), None)
    assert isinstance(opened, opening.OpenedData) and isinstance(opened.dataset, ImageStack)
    history, plan = StackHistory(), StackPlan(settings=Reconstruct(passes=4), size_px=64)
    for event in stack_run(opened.dataset, opened.dataset.geometry, plan, "cpu")(RunControl(), lambda: False):
        history.take(event)
    assert history.report is not None
    path = tmp_path_factory.mktemp("kept") / "result.h5"
    return history.report, save_report(path, history.report, opened.dataset)


def test_what_was_saved_is_shown_as_it_was(made: tuple[StackReport, Path]) -> None:
    report, path = made
    opened = opening.open_anything(path)
    assert isinstance(opened, opening.OpenedReconstruction)
    back = opened.report
    for name in ("amplitude", "phase_rad", "unwrapped_rad"):
        assert np.array_equal(getattr(back, name), getattr(report, name)), name
    assert np.array_equal(back.found.pupil, report.found.pupil) and back.pupil_na == report.pupil_na
    assert back.found.history == report.found.history and back.settings == report.settings
    assert back.found.zernike_waves == pytest.approx(report.found.zernike_waves)
    assert np.array_equal(back.coverage.counts, report.coverage.counts)
    assert back.complete and back.square == report.square and len(back.measured) == 0
    assert back.summary == f"result.h5:  {report.summary}"


def test_misfits_are_those_of_the_images(made: tuple[StackReport, Path]) -> None:
    report, path = made
    back = open_report(path)
    assert back.found.light == pytest.approx(report.measured.clip(0).mean((1, 2)), abs=2e-6)
    assert back.quality.misfit == pytest.approx(report.quality.misfit, rel=0.02, abs=1e-3)
    assert np.isfinite(back.quality.misfit).all()
    assert np.array_equal(back.quality.lit, report.quality.lit)


def test_a_history_holds_the_curve_of_what_was_opened(made: tuple[StackReport, Path]) -> None:
    history = StackHistory()
    history.show(open_report(made[1]))
    assert len(history.residual) == 4 and history.report is not None and history.end is None


def test_another_tile_has_a_pupil_and_leds_of_its_own(made: tuple[StackReport, Path], tmp_path: Path) -> None:
    stored = load_reconstruction(made[1])
    both = {
        name: np.concatenate([getattr(stored, name)] * 2)
        for name in ("zernike_waves", "illumination_na", "background", "light", "residual", "history")
    }
    both |= {"gain": np.concatenate([stored.gain, 2 * stored.gain])}
    both |= {"pupil": np.concatenate([stored.pupil, 0.5 * stored.pupil])}
    both |= {"corners_px": np.array([[0, 0], [0, 64]]), "object": np.concatenate([stored.object] * 2, axis=1)}
    report = open_report(save_reconstruction(tmp_path / "field.h5", replace(stored, **both)))
    assert report.tiles == 2 and report.tile == 1 and report.square == (0, 64, 64)
    first = with_tile(report, 0)
    assert first.tile == 0 and first.square == (0, 0, 64) and first.amplitude is report.amplitude
    assert np.abs(first.found.pupil).max() == pytest.approx(2 * np.abs(report.found.pupil).max())
    assert report.found.gain == pytest.approx(2 * first.found.gain)
    assert with_tile(made[0], 3) is made[0]


def test_a_field_larger_than_any_screen_is_shown_coarser(
    made: tuple[StackReport, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_report, "LARGEST_PX", 50)
    monkeypatch.setattr(stored_report, "LARGEST_UNWRAPPED", 100)
    report, path = made
    back = open_report(path)
    assert back.amplitude.shape == (42, 42) and back.unwrapped_rad is None
    assert back.found.object_pixel_um == pytest.approx(3 * report.found.object_pixel_um)
    assert with_tile(back, 0).found.object_pixel_um == back.found.object_pixel_um


def test_images_of_many_leds_accuse_none(made: tuple[StackReport, Path], tmp_path: Path) -> None:
    stored = load_reconstruction(made[1])
    weights = np.zeros((3, 81))
    weights[np.arange(81) % 3, np.arange(81)] = 1
    coded = replace(
        stored,
        weights=weights,
        background=np.zeros((1, 3)),
        light=np.ones((1, 3)),
        residual=np.array([[0.01, 0.02, 0.9]]),
    )
    report = open_report(save_reconstruction(tmp_path / "coded.h5", coded))
    assert not report.quality.outlier.any()
    assert report.found.residual_per_led[:3] == pytest.approx([0.01, 0.02, 0.9])


def test_an_led_in_several_images_has_the_mean_of_their_misfits(made: tuple[StackReport, Path], tmp_path: Path) -> None:
    stored = load_reconstruction(made[1])
    coded = replace(
        stored,
        weights=np.ones((2, 81)),
        background=np.zeros((1, 2)),
        light=np.array([[1.0, 0.01]]),
        residual=np.array([[0.01, 0.5]]),
    )
    report = open_report(save_reconstruction(tmp_path / "coded.h5", coded))
    assert report.quality.misfit == pytest.approx(np.full(81, np.sqrt((0.01 + 0.005) / 2)))


def test_a_damaged_file_is_refused_in_a_sentence(made: tuple[StackReport, Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.h5"
    whole = made[1].read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError):
        opening.open_anything(bad)
