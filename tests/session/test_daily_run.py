"""Daily work in the worker, and the list that a person sees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from workflows import daily

from ptychoui.errors import PtychouiError, SettingsError
from ptychoui.session import daily_run as module
from ptychoui.session.daily_run import DailyHistory, DailyOrder, DailyTold, daily_run, phase_of
from ptychoui.training.control import RunControl
from ptychoui.training.events import Finished, Stopped
from ptychoui.workflows import watched_sets
from ptychoui.workflows.frame_sets import SetRefused, Waiting
from ptychoui.workflows.watched_sets import SetDone, SetPass, SetStarted


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few passes, and a given prior."""
    full = watched_sets.DailyPlan

    def short(**values: object) -> watched_sets.DailyPlan:
        return full(**{**values, "passes": 20, "smoothness": 0.0, "look_s": 0.001})

    monkeypatch.setattr(watched_sets, "DailyPlan", short)


def order(tmp_path: Path, **changes: object) -> DailyOrder:
    design = daily.write_design(tmp_path / "design.json")
    (tmp_path / "camera").mkdir(exist_ok=True)
    usual = DailyOrder(
        design=str(design), source=str(tmp_path / "camera"), results=str(tmp_path / "results"), watch=True
    )
    return replace(usual, **changes)


def test_a_single_recording_ends_by_itself(tmp_path: Path) -> None:
    path = daily.write_images(tmp_path / "one.tif", *daily.images())
    history = DailyHistory()
    for event in daily_run(order(tmp_path, source=str(path), watch=False))(RunControl(), lambda: False):
        history.take(event)
    assert isinstance(history.end, Finished) and history.sets == 1 and history.now == ""
    (line,) = history.lines
    assert line.name == "one" and line.done is not None and line.done.files[1].exists()
    assert history.begun is not None and (history.begun.design, history.begun.patterns) == ("four", 4)


def test_a_watch_goes_on_until_the_stop(tmp_path: Path) -> None:
    wanted, control, history = order(tmp_path), RunControl(), DailyHistory()
    camera = tmp_path / "camera"
    daily.write_images(camera / "a.tif", *daily.images())
    (camera / "b.tif").write_bytes(b"no picture")
    for event in daily_run(wanted)(control, lambda: False):
        history.take(event)
        if history.now.startswith("Waiting") and len(history.lines) == 2:
            control.stop()
    assert isinstance(history.end, Stopped) and history.sets == 1
    assert [(line.name, line.done is not None) for line in history.lines] == [("a", True), ("b.tif", False)]
    assert "cannot be read" in history.lines[1].why_not or "b.tif" in history.lines[1].why_not


@pytest.mark.parametrize(
    ("change", "word"), [({"design": ""}, "design"), ({"source": " "}, "images"), ({"results": ""}, "results")]
)
def test_what_is_left_out_is_named(tmp_path: Path, change: dict[str, str], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        order(tmp_path, **change).check()


def done(name: str) -> SetDone:
    picture = np.zeros((2, 2), np.float32)
    return SetDone(
        name=name, at=0.0, seconds=1.0, residual=0.1, pixel_um=1.0, files=(), phase_rad=picture, amplitude=picture
    )


def test_the_list_keeps_one_picture_and_a_bounded_number_of_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LINES", 5)
    history = DailyHistory()
    for step in range(8):
        history.take(DailyTold(step=step + 1, told=done(f"s{step}")))
    assert [line.name for line in history.lines] == ["s3", "s4", "s5", "s6", "s7"] and history.dropped == 3
    pictures = [line.done is not None and line.done.phase_rad is not None for line in history.lines]
    assert pictures == [False] * 4 + [True] and history.sets == 8


def test_what_is_done_now_is_in_words() -> None:
    history = DailyHistory()
    history.take(DailyTold(step=0, told=SetStarted(name="a")))
    history.take(DailyTold(step=0, told=SetPass(name="a", number=30, passes=120, residual=0.1)))
    assert (history.now, history.share) == ("Reconstructing a", 0.25)
    history.take(DailyTold(step=0, told=Waiting(text="the next images")))
    assert (history.now, history.share) == ("Waiting for the next images", 0.0)
    history.take(DailyTold(step=0, told=SetRefused(name="x", message="m", hint="h")))
    assert history.lines[0].why_not == "m: h"


def test_an_earlier_phase_comes_from_its_file(tmp_path: Path) -> None:
    path = daily.write_images(tmp_path / "one.tif", *daily.images())
    history = DailyHistory()
    for event in daily_run(order(tmp_path, source=str(path), watch=False))(RunControl(), lambda: False):
        history.take(event)
    made = history.lines[0].done
    assert made is not None and made.phase_rad is not None
    found, pixel = phase_of(module.without_pictures(made))
    assert np.allclose(found, made.phase_rad) and pixel == pytest.approx(made.pixel_um)
    made.files[0].unlink()
    with pytest.raises(PtychouiError):
        phase_of(module.without_pictures(made))
