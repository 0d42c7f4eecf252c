from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from ptychoui.session import followed_run
from ptychoui.session.document import Document
from ptychoui.session.followed_run import FollowedRun, RunNews
from ptychoui.session.history import RunHistory
from ptychoui.session.kept_picture import picture_in
from ptychoui.session.opening import demo_experiment, open_run
from ptychoui.tasks.fpm.events import PatternSnapshot
from ptychoui.tasks.mri.events import MriSnapshot
from ptychoui.training.events import ShownArray, Snapshot, picture
from ptychoui.training.kept_pictures import KeptSnapshot, packed, unpacked
from ptychoui.training.run_folder import RunFolder, in_use


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    made = RunFolder.create(tmp_path / "run", demo_experiment(), "0" * 64)
    yield made
    made.close()


def line(step: int, loss: float = 0.5) -> dict[str, object]:
    return {"step": step, "kind": "step", "loss": loss}


def state(step: int, level: float) -> dict[str, np.ndarray]:
    return {
        "step": np.array(step),
        "parameter_levels": np.full((2, 3), level),
        "parameter_exposures": np.ones(2),
    }


def shown(step: int = 3) -> PatternSnapshot:
    image = picture(np.arange(6.0).reshape(2, 3))
    return PatternSnapshot(
        step=step,
        levels=picture(np.ones((2, 3))),
        exposures=picture(np.ones(2)),
        amplitude=image,
        phase_rad=picture(-image),
        true_amplitude=image,
        true_phase_rad=image,
        pixel_size_um=0.25,
    )


def test_only_what_is_new_is_told(folder: RunFolder) -> None:
    folder.append_events([line(1), line(2)])
    run = FollowedRun(folder.path)
    first = run.news()
    assert [told["step"] for told in first.lines] == [1, 2]
    assert first.again and first.working
    assert not run.news().anything
    folder.append_events([line(3)])
    second = run.news()
    assert [told["step"] for told in second.lines] == [3]
    assert not second.again


def test_half_a_line_waits_for_its_end(folder: RunFolder) -> None:
    run = FollowedRun(folder.path)
    run.news()
    with (folder.path / "events.jsonl").open("a") as file:
        file.write('{"step": 1, "kind": "st')
        file.flush()
        assert run.news().lines == ()
        file.write('ep", "loss": 1}\n')
    assert [told["step"] for told in run.news().lines] == [1]


def test_a_run_taken_up_from_an_earlier_save_is_told_from_the_start(folder: RunFolder) -> None:
    folder.append_events([line(step) for step in range(1, 6)])
    run = FollowedRun(folder.path)
    run.news()
    folder.keep_events_until(3)
    folder.append_events([line(4, 0.25)])
    news = run.news()
    assert news.again
    assert [told["step"] for told in news.lines] == [1, 2, 3, 4]
    document = Document(demo_experiment())
    document.history.take_lines([line(step) for step in range(1, 6)])
    document.take_news(news)
    assert list(document.history.training.x) == [1, 2, 3, 4]
    assert document.history.training.y[-1] == 0.25


def test_saves_and_pictures_are_told_once(folder: RunFolder) -> None:
    run = FollowedRun(folder.path)
    assert run.news().levels is None
    folder.save(state(1, 0.5))
    folder.save_picture(packed(shown()))
    news = run.news()
    assert news.levels is not None and news.levels.shape == (2, 3) and news.levels[0, 0] == 0.5
    assert isinstance(news.picture, PatternSnapshot)
    assert not run.news().anything
    folder.save(state(2, 0.75))
    again = run.news()
    assert again.levels is not None and again.levels[0, 0] == 0.75
    assert again.picture is None


def test_what_is_known_is_not_told_again(folder: RunFolder) -> None:
    folder.append_events([line(1)])
    folder.save(state(1, 0.5))
    folder.save_picture(packed(shown()))
    run = FollowedRun(folder.path, known=True)
    assert not run.news().anything
    folder.append_events([line(2)])
    news = run.news()
    assert [told["step"] for told in news.lines] == [2]
    assert not news.again and news.levels is None and news.picture is None


def test_who_works_is_seen_by_the_lock(folder: RunFolder) -> None:
    run = FollowedRun(folder.path)
    assert run.news().working and in_use(folder.path)
    folder.append_events([line(1)])
    folder.close()
    assert not run.news().working
    with_lock = RunFolder.open(folder.path)
    assert run.news().working
    with_lock.close()


def test_looking_does_not_keep_others_out(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who looks holds the lock for a moment: a process that begins then waits a little."""
    folder.close()
    looks = (folder.path / "lock").open("r+")
    from ptychoui.training import run_folder

    run_folder._lock_file(looks)
    monkeypatch.setattr(run_folder.time, "sleep", lambda _: looks.close())
    RunFolder.open(folder.path).close()
    assert looks.closed


def test_where_locks_are_not_seen_a_growing_history_is_at_work(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.close()
    now = 100.0
    monkeypatch.setattr(followed_run.time, "monotonic", lambda: now)
    run = FollowedRun(folder.path)
    folder.append_events([line(1)])
    assert not run.news().working  # it may have been written long ago
    folder.append_events([line(2)])
    assert run.news().working
    now += followed_run.FRESH_S + 1
    assert not run.news().working


def test_a_folder_that_goes_away(folder: RunFolder) -> None:
    run = FollowedRun(folder.path)
    run.news()
    (folder.path / "run.json").unlink()
    assert run.news().gone


def test_a_damaged_save_or_picture_is_left_out(folder: RunFolder) -> None:
    run = FollowedRun(folder.path)
    (folder.path / "state.npz").write_bytes(b"nothing")
    (folder.path / "picture.npz").write_bytes(b"nothing")
    news = run.news()
    assert news.levels is None and news.picture is None
    assert picture_in(folder.path) is None


def test_patterns_that_a_person_edited_stay() -> None:
    document = Document(demo_experiment())
    document.take_design("Training", np.zeros((6, 3)), np.ones(6))
    document.take_news(RunNews(levels=np.full((6, 3), 0.5), exposures=np.ones(6)))
    assert document.changed_design[0] is not None and document.changed_design[0][0, 0] == 0.5
    edited = np.full((6, 3), 0.25)
    document._change("paint", replace(document._state, levels=edited), "")
    document.take_news(RunNews(levels=np.full((6, 3), 0.75), exposures=np.ones(6)))
    assert document.changed_design[0] is edited


def test_who_is_elsewhere_is_noted() -> None:
    document = Document(demo_experiment())
    document.take_news(RunNews(working=True))
    assert document.history.elsewhere == document.experiment.training.steps
    document.take_news(RunNews(working=False))
    assert document.history.elsewhere is None


def test_a_run_that_is_opened_shows_its_last_picture(folder: RunFolder) -> None:
    folder.save(state(1, 0.5))
    folder.save_picture(packed(shown()))
    folder.close()
    opened = open_run(folder.path)
    document = Document()
    document.take_run(opened)
    kept = document.history.snapshot
    assert isinstance(kept, PatternSnapshot)
    np.testing.assert_array_equal(kept.phase_rad, shown().phase_rad)
    assert kept.pixel_size_um == 0.25 and kept.step == 3
    assert not kept.phase_rad.flags.writeable


@pytest.mark.parametrize("with_truth", [True, False])
def test_pictures_with_parts_come_back(with_truth: bool) -> None:
    part = ShownArray(title="Reconstructed", values=picture(np.eye(3)), unit="rad", pixel_size_um=0.5)
    made = MriSnapshot(step=7, reconstructed=part, zero_filled=part, sampled=part, truth=part if with_truth else None)
    back = unpacked(packed(made), (PatternSnapshot, MriSnapshot))
    assert isinstance(back, MriSnapshot) and back.step == 7
    assert back.reconstructed.title == "Reconstructed" and back.reconstructed.unit == "rad"
    assert back.reconstructed.pixel_size_um == 0.5
    np.testing.assert_array_equal(back.reconstructed.values, np.eye(3))
    assert (back.truth is not None) is with_truth and back.error is None


def test_pictures_of_unknown_kinds_are_none() -> None:
    assert unpacked(packed(shown()), (MriSnapshot,)) is None
    assert unpacked({}, (PatternSnapshot,)) is None
    arrays = packed(shown())
    del arrays["levels"]
    back = unpacked(arrays, (PatternSnapshot,))
    assert back is None or back.levels is None
    assert unpacked(packed(Snapshot(step=1)), (Snapshot,)) == Snapshot(step=1)


def test_pictures_of_kinds_of_their_own_are_kept_as_they_are_shown() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Own(Snapshot):
        signals: tuple[ShownArray, ...]

        @property
        def pictures(self) -> tuple[ShownArray, ...]:
            return self.signals

    parts = tuple(ShownArray(title=title, values=picture(np.ones(4))) for title in ("Signal", "Kernel"))
    back = unpacked(packed(Own(step=4, signals=parts)), ())
    assert isinstance(back, KeptSnapshot) and back.step == 4
    assert [shown.title for shown in back.pictures] == ["Signal", "Kernel"]
    np.testing.assert_array_equal(back.pictures[1].values, np.ones(4))


def test_history_is_written_whole_or_not_at_all(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full in the middle of a line leaves no half of it."""
    folder.append_events([line(1)])
    before = (folder.path / "events.jsonl").read_bytes()
    from ptychoui.errors import RunError

    class Full:
        def __init__(self, *arguments: object, **_: object) -> None:
            self._fd = os.open(folder.path / "events.jsonl", os.O_WRONLY | os.O_APPEND)

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            os.close(self._fd)

        def tell(self) -> int:
            return len(before)

        def write(self, content: bytes) -> None:
            os.write(self._fd, content[:9])
            raise OSError(28, "No space left on device")

        def flush(self) -> None:
            return

    monkeypatch.setattr(Path, "open", lambda self, *arguments, **_: Full(*arguments))
    with pytest.raises(RunError, match="No space left"):
        folder.append_events([line(2)])
    monkeypatch.undo()
    assert (folder.path / "events.jsonl").read_bytes() == before


def test_curves_that_are_forgotten_begin_again() -> None:
    from ptychoui.settings import kind_of

    history = RunHistory(kind_of("fpm").metrics)
    history.take_lines([line(1), {"step": 1, "kind": "validated", "loss": 1.0, history.metrics[0].name: 0.5}])
    assert history.step == 1 and history.last_score is not None
    history.forget_curves()
    assert history.step == 0 and history.last_score is None and history.first_score is None
