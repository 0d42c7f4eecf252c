"""The robustness card for the window: the command's own card, of patterns and of runs, refusals and a stop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from training.small import experiment_on_disk

from ptychoui import cli
from ptychoui.data.files import json_text
from ptychoui.errors import PtychouiError, SettingsError, StopRequested
from ptychoui.export.json_file import write_json
from ptychoui.export.options import Options
from ptychoui.optics.reconstruction.smooth_prior import reconstruct_smooth
from ptychoui.session import design_robustness as session
from ptychoui.session.design_robustness import CardBegun, CardDone, CardHistory, CardPlan, card_run
from ptychoui.session.document import Document
from ptychoui.settings import load_experiment
from ptychoui.tasks.fpm import judges
from ptychoui.training.control import RunControl
from ptychoui.training.events import Failed, Finished, Preparing
from ptychoui.training.runs import new_run

SMOOTH = {"prior": "smooth", "step": None, "unrolls": 4, "learn_smoothness": True}


@pytest.fixture(scope="module", autouse=True)
def short_looks() -> Iterator[None]:
    """Eight evaluations for each strength of the prior instead of forty; one thread for both ways."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judges, "reconstruct_smooth", partial(reconstruct_smooth, evaluations=8))
        patch.setattr(session, "leave_a_core", lambda: None)
        yield
    torch.set_num_threads(threads)


def told(plan: CardPlan) -> tuple[list[Any], CardHistory]:
    """All events, and the history that took them."""
    events, history = [], CardHistory()
    for event in card_run(plan)(RunControl(), lambda: False):
        events.append(event)
        history.take(event)
    return events, history


def test_the_card_of_patterns_is_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = Document(load_experiment(experiment_on_disk(tmp_path, training={"steps": 8}, network=SMOOTH)))
    document.edit_level(0, 4, 0.25)
    write_json(document.patterns(), tmp_path / "mine.json", Options(bits=8))
    words = ["robustness", str(tmp_path / "mine.json"), "--draws", "1", "--against", "singles", "--threads", "1"]
    assert cli.main([*words, "--json"]) == 0
    command = json.loads(capsys.readouterr().out)
    events, history = told(CardPlan(patterns=document.patterns(), against="singles", draws=1))
    assert history.card is not None and json.loads(json_text(history.card.record())) == command
    kinds = [type(event) for event in events]
    assert kinds == [Preparing, CardBegun, CardDone, Finished] and isinstance(history.end, Finished)


def test_the_card_of_a_run_is_of_what_it_has_learned(tmp_path: Path) -> None:
    path = experiment_on_disk(tmp_path, training={"steps": 2}, network=SMOOTH)
    run = new_run(load_experiment(path), tmp_path / "run")
    list(run.run())
    assert run.folder is not None
    run.folder.close()
    _, history = told(CardPlan(folder=tmp_path / "run", draws=1))
    assert cli.main(["robustness", str(tmp_path / "run"), "--draws", "1", "--threads", "1"]) == 0
    kept = json.loads((tmp_path / "run" / "robustness.json").read_text())
    assert history.card is not None and history.card.steps == 2
    assert json.loads(json_text(history.card.record())) == kept


def test_a_stop_is_heard(tmp_path: Path) -> None:
    document = Document(load_experiment(experiment_on_disk(tmp_path, training={"steps": 8}, network=SMOOTH)))
    control = RunControl()
    events = card_run(CardPlan(patterns=document.patterns(), draws=1))(control, lambda: False)
    for event in events:
        if isinstance(event, CardBegun):
            control.stop()
            break
    with pytest.raises(StopRequested):
        next(events)


def test_what_cannot_be_tried_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no design to try"):
        CardPlan()
    with pytest.raises(SettingsError, match="no design 'ring'"):
        CardPlan(folder=tmp_path, against="ring")
    with pytest.raises(SettingsError, match="0 draws"):
        CardPlan(folder=tmp_path, draws=0)
    with pytest.raises(PtychouiError):
        told(CardPlan(folder=tmp_path))
    history = CardHistory()
    history.take(Preparing(step=0, text="reading"))
    assert history.preparing == "reading"
    history.take(Failed(step=0, kind="RunError", message="no run", hint=""))
    assert isinstance(history.end, Failed) and history.preparing == "" and history.card is None
