"""Real, tiny runs through the worker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tasks.fpm.test_truth import problem

from ptychoui.errors import PtychouiError, StopRequested
from ptychoui.export import reconstruction_figures
from ptychoui.paths import data_file, user_state
from ptychoui.session import opening, runs
from ptychoui.session.assessment import assess
from ptychoui.session.document import Document, experiment_on
from ptychoui.session.history import RunHistory
from ptychoui.session.mailbox import Mailbox
from ptychoui.session.worker import RunState, Worker
from ptychoui.settings import FpmExperiment
from ptychoui.tasks.fpm import examples
from ptychoui.training import runs as training_runs
from ptychoui.training.control import RunControl
from ptychoui.training.events import Finished, Snapshot, Started


def tiny(steps: int = 2) -> FpmExperiment:
    demo = opening.demo_experiment()
    return demo.replace(
        data=demo.data.replace(tile_px=16, pad_px=4),
        network=demo.network.replace(unrolls=2),
        training=demo.training.replace(steps=steps, batch=1, margin_px=2),
    )


def train(worker: Worker, events: Any) -> RunHistory:
    worker.mailbox.want_images()
    worker.start(events)
    assert worker.join(120)
    history, mail = RunHistory(), worker.mailbox.drain()
    for item in mail.scalars:
        history.take(item.value)
    for _, item in mail.images:
        history.take(item.value)
    return history


def test_train_open_and_resume(tmp_path: Path) -> None:
    worker = Worker(Mailbox())
    history = train(worker, runs.new_run(tiny(), tmp_path / "run"))
    assert worker.state is RunState.FINISHED, history.end
    assert isinstance(history.end, Finished) and history.step == 2
    assert isinstance(history.snapshot, Snapshot) and not history.snapshot.phase_rad.flags.writeable
    assert history.result is not None

    opened = opening.open_anything(tmp_path / "run")
    assert isinstance(opened, opening.OpenedRun) and opened.step == 2
    document = Document()
    document.take_run(opened)
    document.dataset = opening.load_data(document.data_source, document.geometry).dataset
    design = document.design()
    assert design is not None
    assert np.allclose(design[0], history.result.levels, atol=1e-6)
    assert document.history.step == 2

    more = train(worker, runs.resumed_run(tmp_path / "run", 3))
    assert worker.state is RunState.FINISHED and more.step == 3
    assert more.started is not None and more.started.resumed


def test_what_is_prepared_is_said_before_a_run_has_begun(tmp_path: Path) -> None:
    for measured, made in ((True, "reconstructing the stack"), (False, "reading the data")):
        folder = tmp_path / made
        events = runs.new_run(tiny(1), folder, measured=measured)(RunControl(), lambda: False)
        told = [event for event, _ in zip(events, range(3), strict=False)]
        assert [getattr(event, "text", "") for event in told] == [made, "planning the memory", ""]
        assert isinstance(told[2], Started)
        events.close()
    history = RunHistory()
    for event in told[:2]:
        history.take(event)
    assert history.preparing == "planning the memory"
    history.take(told[2])
    assert history.preparing == ""


def test_a_run_starts_from_edited_levels(tmp_path: Path) -> None:
    document = Document(tiny(0))
    document.dataset = opening.load_data(document.data_source, document.geometry).dataset
    leds = document.leds()
    assert leds is not None
    document.edit_level(0, int(np.argmin(leds.radius_na)), 0.125)
    levels = document.changed_design[0]
    assert levels is not None
    history = train(Worker(Mailbox()), runs.new_run(document.experiment, tmp_path / "run", {"levels": levels}))
    assert history.result is not None
    assert np.allclose(history.result.levels, levels, atol=1e-6) and 0.125 in levels


def test_run_folders_do_not_collide(tmp_path: Path) -> None:
    now = datetime(2030, 1, 2, 3, 4, 5)
    first = runs.run_folder_for(tiny(), None, now)
    assert first.is_relative_to(user_state())
    first.mkdir(parents=True)
    assert runs.run_folder_for(tiny(), None, now) != first
    assert runs.run_folder_for(tiny(), tmp_path / "a.toml", now).parent == tmp_path / "runs"


@pytest.mark.parametrize("name", ["sample:stack", "sample:objects"])
def test_samples_open_with_a_geometry(name: str) -> None:
    source = FpmExperiment().data.replace(path=name)
    assert opening.load_data(source, None).dataset.geometry is not None


def test_files_are_told_apart(tmp_path: Path) -> None:
    geometry = opening.resources() / "geometries" / "tian2014_multiplexed.toml"
    assert isinstance(opening.open_anything(geometry), opening.OpenedGeometry)
    demo = opening.resources() / "experiments" / opening.DEMO
    assert isinstance(opening.open_anything(demo), opening.OpenedExperiment)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(PtychouiError):
        opening.open_anything(tmp_path / "notes.txt")
    with pytest.raises(PtychouiError, match="samples are"):
        data_file("sample:nothing")


def test_a_geometry_is_judged_or_refused_in_a_sentence() -> None:
    document = Document(tiny())
    geometry, design = document.geometry, document.design()
    assert geometry is not None and design is not None
    fine = assess(geometry, *design, document.fpm.measurement)
    assert fine.derived is not None and fine.feasibility is not None
    tilted = geometry.replace(
        array=geometry.array.replace(height_mm=1.0, pose=geometry.array.pose.replace(tilt_x_deg=50))
    )
    bad = assess(tilted, None, None, document.fpm.measurement)
    assert bad.derived is None and "above the sample" in bad.problem


def test_the_run_folder_of_a_measured_stack_holds_a_picture_of_what_is_learned_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_runs, "build_task", lambda *_told: problem(True))
    history = train(Worker(Mailbox()), runs.new_run(problem(True).experiment, tmp_path / "run"))
    assert isinstance(history.end, Finished) and history.shown_first is not None
    assert (tmp_path / "run" / "truth.png").read_bytes().startswith(b"\x89PNG")


def test_a_stop_is_heard_while_the_truth_is_reconstructed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes longer than a person waits for a window to close."""
    control = RunControl()

    def explained(*_words: object, callback: Callable[[], None]) -> None:
        control.stop()
        callback()

    monkeypatch.setattr(examples, "explain_stack", explained)
    monkeypatch.setattr(examples, "_LAST_FIELD", {})
    measured = experiment_on("sample:stack")
    with pytest.raises(StopRequested):
        list(runs.new_run(measured, tmp_path / "run")(control, lambda: False))
    assert not (tmp_path / "run").exists()


def test_learning_goes_on_where_that_picture_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, *_rest: object) -> None:
        raise PtychouiError(f"{path.name} cannot be written", "make room")

    monkeypatch.setattr(training_runs, "build_task", lambda *_told: problem(True))
    monkeypatch.setattr(reconstruction_figures, "write_truth", full)
    history = train(Worker(Mailbox()), runs.new_run(problem(True).experiment, tmp_path / "run"))
    assert isinstance(history.end, Finished)
