"""Designs side by side for the window: the command's own figures, refusals, a stop, a failure, and what is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training.small import experiment_on_disk

from ptychoui import cli
from ptychoui.bench.design.entrants import ALL_EQUAL, ALL_WHOLE, Effort, Entrants, Judged
from ptychoui.data.files import json_text
from ptychoui.errors import DataError, PtychouiError, SettingsError, StopRequested
from ptychoui.export.json_file import write_json
from ptychoui.export.options import Options
from ptychoui.optics.reconstruction.smooth_prior import reconstruct_smooth
from ptychoui.session import design_comparison as session
from ptychoui.session.comparison_told import (
    ComparisonBegun,
    ComparisonHistory,
    DesignJudged,
    DesignStarted,
    NotKept,
    SplitDone,
    equal_to_all,
)
from ptychoui.session.design_comparison import (
    CEILINGS,
    Candidate,
    DesignPlan,
    candidate_from,
    candidates,
    comparison_run,
    key_of,
    refusal,
)
from ptychoui.session.document import Document
from ptychoui.session.kept_comparison import keep, keeper, kept, place_of
from ptychoui.settings import FpmExperiment, load_experiment
from ptychoui.tasks.fpm import judges
from ptychoui.tasks.fpm.titles import NETWORK, SOLVER, TITLES
from ptychoui.training.control import RunControl
from ptychoui.training.events import Failed, Finished, Stopped
from ptychoui.training.verdict import LEARNED

SMOOTH = {"prior": "smooth", "step": None, "unrolls": 4, "learn_smoothness": True}
QUICK = Effort(draws=2, judged=2)
FIGURES = ("rows", "spread_over_seeds", "equal_to_full_stack_at", "paired_by", "verdicts")


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


def small(folder: Path, **sections: Any) -> FpmExperiment:
    """The small experiment, with its objects in a file."""
    sections = {"training": {"steps": 8}, "network": SMOOTH} | sections
    found = load_experiment(experiment_on_disk(folder, **sections))
    assert isinstance(found, FpmExperiment)
    return found


def opened(experiment: FpmExperiment) -> Document:
    return Document(experiment)


def told(experiment: FpmExperiment, plan: DesignPlan, **more: Any) -> tuple[list[Any], ComparisonHistory]:
    """All events, and the history that took them."""
    events, history = [], ComparisonHistory()
    for event in comparison_run(experiment, plan, **more)(RunControl(), lambda: False):
        events.append(event)
        history.take(event)
    return events, history


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, FpmExperiment, Path]]:
    """An experiment's file, the experiment, and patterns somebody painted, as export writes them."""
    folder = tmp_path_factory.mktemp("designs")
    experiment = small(folder)
    document = opened(experiment)
    document.edit_level(0, 4, 0.25)
    path = folder / "painted.json"
    write_json(replace(document.patterns(), name="painted"), path, Options(bits=8))
    yield folder / "experiment.toml", experiment, path


def test_the_figures_are_those_of_the_command_to_the_last_digit(
    mine: tuple[Path, FpmExperiment, Path], tmp_path: Path
) -> None:
    """Half circles, single LEDs of two draws, painted patterns and the ceilings, over two splits: the same JSON."""
    path, experiment, painted = mine
    words = ["bench", "design", str(path), "--seeds", "2", "--draws", "2", "--objects", "2", "--no-learn"]
    words += ["--known", "half_circles", "singles", "--patterns", str(painted), "-o", str(tmp_path / "r.json")]
    assert cli.main([*words, "--threads", "1"]) == 0
    command = json.loads((tmp_path / "r.json").read_text())
    added = candidate_from(str(painted))
    document = opened(experiment)
    chosen = [one for one in candidates(document) if one.key in ("half_circles", "singles", "ceilings")]
    plan = DesignPlan.of([*chosen, added], seeds=2, effort=QUICK)
    events, history = told(experiment, plan)
    window = json.loads(json_text(history.result))
    for name in (*FIGURES, "data_sha256", "experiment"):
        assert window[name] == command[name], name
    for one, other in zip(window["runs"], command["runs"], strict=True):
        assert {k: v for k, v in one.items() if k != "seconds"} == {k: v for k, v in other.items() if k != "seconds"}
    assert {row["design"] for row in window["rows"]} == {
        "half_circles", "singles", "patterns 1", ALL_EQUAL, ALL_WHOLE,
    }  # fmt: skip
    assert {row["subject"] for row in window["rows"]} == {"patterns 1"}
    kinds = [type(event) for event in events if not isinstance(event, (DesignStarted, DesignJudged))][1:]
    assert kinds == [ComparisonBegun, SplitDone, SplitDone, Finished]


@pytest.fixture(scope="module")
def compared(mine: tuple[Path, FpmExperiment, Path]) -> tuple[list[Any], ComparisonHistory]:
    known = [one for one in candidates(opened(mine[1])) if one.key in ("half_circles", "singles")]
    return told(mine[1], DesignPlan.of(known, seeds=2, effort=QUICK))


def test_it_says_how_far_it_is_and_pictures_come_with_the_first_split(compared: tuple[list[Any], Any]) -> None:
    events, history = compared
    begun = next(event for event in events if isinstance(event, ComparisonBegun))
    assert begun.designs == 4 and begun.seeds == 2
    assert "2 frames, total exposure 2 frames" in begun.problem and "2 splits" in begun.problem
    judged = [event.judged for event in events if isinstance(event, DesignJudged)]
    assert [(one.seed, one.name) for one in judged] == [(s, n) for s in (0, 1) for n in ("half_circles", "singles")]
    assert [one.objects.shape for one in judged] == [(2, 12, 12)] * 2 + [(0, 0, 0)] * 2
    assert [event.step for event in events if isinstance(event, DesignJudged)] == [1, 2, 3, 4]
    half = ComparisonHistory()
    for event in events:
        half.take(event)
        if isinstance(event, DesignStarted) and event.seed == 1:
            break
    assert half.progress == "3 of 4 designs, split 2 of 2"
    seconds = np.mean([one.seconds for one in judged[:2]])
    assert half.seconds_left == pytest.approx(2 * seconds)
    assert history.seconds_left is None and history.step == 4


def test_pictures_are_the_solvers_objects_beside_the_truth(compared: tuple[list[Any], ComparisonHistory]) -> None:
    """Their distance from the truth, over its contrast, is the solver's error; the global phase is the truth's."""
    for one in compared[1].shown():
        for found, truth, error in zip(one.objects, one.truth, one.errors[SOLVER], strict=True):
            assert np.sqrt((np.abs(found - truth) ** 2).mean() / truth.var()) == pytest.approx(error, rel=1e-4)
            assert abs(np.angle(truth.mean())) < 1e-5
        assert one.levels.shape == (2, 9) and one.exposures.sum() == pytest.approx(2)


def test_gains_over_a_reference_are_paired(compared: tuple[list[Any], ComparisonHistory]) -> None:
    history = compared[1]
    rows = {one.name: found for one, found in history.against("half_circles")}
    means = {
        name: np.array([np.mean(run.errors[name][SOLVER]) for run in history.runs])
        for name in ("half_circles", "singles")
    }
    found = next(row for row in rows["singles"] if row.judge == SOLVER)
    difference = means["half_circles"] - means["singles"]
    assert found.gain == pytest.approx(difference.mean() / means["half_circles"].mean())
    from scipy.stats import ttest_rel

    interval = ttest_rel(means["half_circles"], means["singles"]).confidence_interval(0.95)
    assert found.low * means["half_circles"].mean() == pytest.approx(interval.low)
    table = {row.name: row for row in history.table("half_circles")}
    assert table["half_circles"].cells[4] == "reference" and table["half_circles"].values["gain_solver"] is None
    assert table["singles"].values["gain_solver"] == found.gain
    assert table["singles"].cells[6].startswith(f"{100 * found.gain:+.0f} %")
    assert sum(row.recommended for row in table.values()) == 1
    assert history.usual_reference() == min(
        means,
        key=lambda name: np.mean([np.mean(run.errors[name][j]) for run in history.runs for j in (NETWORK, SOLVER)]),
    )
    assert "the smallest mean error of the hand-made designs" in history.sentence


def test_the_first_design_is_shown_before_a_split_is_done(compared: tuple[list[Any], Any]) -> None:
    history = ComparisonHistory()
    for event in compared[0]:
        history.take(event)
        if isinstance(event, DesignJudged):
            break
    (row,) = history.table(history.usual_reference())
    assert row.name == "half_circles" and history.result is None and history.sentence == ""
    assert row.values["error_solver"] == pytest.approx(np.mean(history.shown()[0].errors[SOLVER]))


def test_what_is_learned_takes_part_as_in_the_command(mine: tuple[Path, FpmExperiment, Path], tmp_path: Path) -> None:
    path, experiment, _ = mine
    words = ["bench", "design", str(path), "--seeds", "1", "--draws", "2", "--objects", "2", "--known", "half_circles"]
    assert cli.main([*words, "--no-ceilings", "--threads", "1", "-o", str(tmp_path / "r.json")]) == 0
    command = json.loads((tmp_path / "r.json").read_text())
    known = [one for one in candidates(opened(experiment)) if one.key == "half_circles"]
    events, history = told(experiment, DesignPlan.of(known, True, effort=QUICK))
    window = json.loads(json_text(history.result))
    assert all(window[name] == command[name] for name in FIGURES)
    assert {row["subject"] for row in window["rows"]} == {LEARNED}
    assert [event.title for event in events if isinstance(event, DesignStarted)][:2] == ["learning", "learned"]


def test_several_numbers_of_frames(mine: tuple[Path, FpmExperiment, Path]) -> None:
    _, experiment, painted = mine
    known = [one for one in candidates(opened(experiment)) if one.key == "half_circles"]
    plan = DesignPlan.of([*known, candidate_from(str(painted)), CEILINGS], frames=(2, 4), effort=QUICK)
    events, history = told(experiment, plan)
    assert [(run.frames, list(run.errors)) for run in history.runs] == [
        (2, ["half_circles", "patterns 1", ALL_EQUAL, ALL_WHOLE]),
        (4, ["half_circles", ALL_EQUAL, ALL_WHOLE]),
    ]
    begun = next(event for event in events if isinstance(event, ComparisonBegun))
    assert begun.designs == 7 and "2 or 4 frames" in begun.problem
    assert not any(event.judged.objects.size for event in events if isinstance(event, DesignJudged))
    assert equal_to_all(history).startswith(("From ", "Up to 4 frames"))
    # As good as all LEDs from 4 frames on: by the errors of the ceiling itself.
    few, many = history.runs
    same = {**many.errors, "half_circles": {NETWORK: [0.1, 0.1], SOLVER: many.errors[ALL_WHOLE][SOLVER]}}
    equal = replace(history, runs=[few, replace(many, errors=same)], _made=None)
    if few.frames != equal.result["equal_to_full_stack_at"]:  # type: ignore[index]
        assert equal_to_all(equal) == "From 4 frames on as good as a frame for each LED, within 10 %: half circles."
    with pytest.raises(DataError, match="painted has 2 patterns, the comparison is of 3, 4 frames"):
        told(experiment, DesignPlan.of([*known, candidate_from(str(painted))], frames=(3, 4), effort=QUICK))


def test_plans_that_cannot_be() -> None:
    known = Candidate(key="half_circles", title="half circles", kind="known")
    with pytest.raises(SettingsError, match="nothing to compare"):
        DesignPlan.of([known])
    with pytest.raises(SettingsError, match="0 splits"):
        DesignPlan.of([known, CEILINGS], seeds=0)
    with pytest.raises(SettingsError, match="1 to 1000"):
        DesignPlan.of([known, CEILINGS], frames=(0, 2))
    with pytest.raises(SettingsError, match="no design 'ring'"):
        Entrants(known=("ring", "singles"))


def test_a_document_offers_what_it_has(mine: tuple[Path, FpmExperiment, Path]) -> None:
    document = opened(mine[1])
    usual = [*TITLES, "ceilings"]
    assert [one.key for one in candidates(document)] == usual
    document.edit_level(0, 4, 0.5)
    (painted, *_) = candidates(document)
    assert painted.key == "painted" and painted.patterns is not None and painted.patterns.levels[0, 4] == 0.5
    levels, exposures = document.design() or (np.zeros((2, 9)), np.ones(2))
    document.take_design("Training", levels, exposures)
    assert [one.key for one in candidates(document)] == ["learned", *usual]
    document.edit_level(1, 0, 0.75)
    assert [one.key for one in candidates(document)] == ["painted", *usual]
    assert candidates(Document()) == ()


def test_a_design_that_does_not_fit_is_refused_with_a_sentence(mine: tuple[Path, FpmExperiment, Path]) -> None:
    document, added = opened(mine[1]), candidate_from(str(mine[2]))
    assert added.patterns is not None and added.ours and refusal(added, document) == ""
    moved = replace(added, patterns=replace(added.patterns, led_numbers=added.patterns.led_numbers + 100))
    assert "which is not among the 9 LEDs" in refusal(moved, document)
    document.edit("rows", mine[1].replace(design=mine[1].design.replace(dark_field_rows=3)))
    assert refusal(added, document) == "painted has 2 patterns, the comparison is of 4 frames"
    with pytest.raises(PtychouiError, match="no file"):
        candidate_from("/no/such/file.json")


def test_a_stop_is_heard_within_a_design(mine: tuple[Path, FpmExperiment, Path]) -> None:
    """Asked between layers and evaluations, hundreds of times in each part of the work."""
    control, asked = RunControl(), []
    plan = DesignPlan.of([one for one in candidates(opened(mine[1])) if one.key in ("half_circles", "singles")])
    events = comparison_run(mine[1], plan)(control, lambda: False)

    def counting() -> None:
        asked.append(control.doing[0])
        if len(asked) == 200:
            control.stop()
        RunControl.checkpoint(control)

    control.checkpoint = counting  # type: ignore[method-assign]
    with pytest.raises(StopRequested):
        list(events)
    assert len(asked) == 200
    assert {text.partition(": ")[2] for text in asked} >= {"learning the network's settings for it"}


def test_a_failure_is_told_and_ends_the_estimate() -> None:
    history = ComparisonHistory()
    history.take(Failed(step=0, kind="DataError", message="no data", hint=""))
    assert isinstance(history.end, Failed) and history.seconds_left is None and history.table("") == []
    history.take(Stopped(step=0))
    assert isinstance(history.end, Stopped)


def test_data_that_are_gone_fail_before_anything_is_told(tmp_path: Path) -> None:
    experiment = small(tmp_path)
    (tmp_path / "objects.h5").unlink()
    plan = DesignPlan.of([Candidate(key="singles", title="", kind="known"), CEILINGS])
    with pytest.raises(PtychouiError):
        told(experiment, plan)


def test_what_was_found_is_kept_and_comes_back(
    mine: tuple[Path, FpmExperiment, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the run where there is one; figures to the last digit, pictures, and patterns that were added."""
    document, added = opened(mine[1]), candidate_from(str(mine[2]))
    assert kept(place_of(document)) is None
    document.run_folder = tmp_path / "run"
    document.run_folder.mkdir()
    known = [one for one in candidates(document) if one.key == "half_circles"]
    plan = DesignPlan.of([*known, added], effort=QUICK)
    _, history = told(mine[1], plan, keep=keeper(document, [added]))
    place = place_of(document)
    assert place.parent == document.run_folder / "comparisons" and place != place_of(document, sweep=True)
    assert json.loads((place / "comparison.json").read_text()) == json.loads(json_text(history.result))
    found = kept(place)
    assert found is not None
    again, (back,) = found
    assert json_text(again.result) == json_text(history.result) and again.sentence == history.sentence
    assert again.table("half_circles") == history.table("half_circles")
    for one, other in zip(again.shown(), history.shown(), strict=True):
        assert np.array_equal(one.objects, other.objects) and np.array_equal(one.levels, other.levels)
    assert back.patterns is not None and added.patterns is not None and back.ours
    assert np.array_equal(back.patterns.levels, added.patterns.levels)
    assert isinstance(again.end, Finished) and again.begun is not None and again.begun.problem
    document.edit_level(0, 4, 0.9)
    assert place_of(document) != place and key_of(document) != key_of(opened(mine[1]))
    (place / "pictures.npz").write_bytes(b"no")
    with pytest.raises(DataError, match="is damaged"):
        kept(place)


def test_infinite_errors_come_back_as_such(compared: tuple[list[Any], ComparisonHistory], tmp_path: Path) -> None:
    history = ComparisonHistory(begun=compared[1].begun)
    run = compared[1].runs[0]
    lost = replace(run, errors={**run.errors, "singles": {NETWORK: [float("inf"), 0.5], SOLVER: [0.4, 0.5]}})
    history.take(SplitDone(step=2, run=lost))
    keep(tmp_path, history)
    found = kept(tmp_path)
    assert found is not None and found[0].runs[0].errors["singles"][NETWORK] == [float("inf"), 0.5]


def test_what_cannot_be_kept_is_said_and_the_work_goes_on(mine: tuple[Path, FpmExperiment, Path]) -> None:
    def full(*_: Any) -> None:
        raise OSError("the disk is full")

    known = [one for one in candidates(opened(mine[1])) if one.key in ("half_circles", "singles")]
    events, history = told(mine[1], DesignPlan.of(known, effort=QUICK), keep=full)
    assert any(isinstance(event, NotKept) for event in events) and isinstance(events[-1], Finished)
    assert "the disk is full" in history.not_kept


def test_the_state_folder_keeps_the_newest(
    compared: tuple[list[Any], ComparisonHistory], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ptychoui.session import kept_comparison

    monkeypatch.setattr(kept_comparison, "user_state", lambda: tmp_path)
    monkeypatch.setattr(kept_comparison, "MOST_KEPT", 2)
    import os

    for place in range(4):
        folder = tmp_path / "comparisons" / f"designs-{place}"
        keep(folder, compared[1])
        os.utime(folder, (place, place))
    keep(tmp_path / "comparisons" / "designs-9", compared[1])
    assert sorted(path.name for path in (tmp_path / "comparisons").iterdir()) == ["designs-3", "designs-9"]


def test_judged_designs_are_plain_values(compared: tuple[list[Any], ComparisonHistory]) -> None:
    """Safe to hand to another thread: no tensors."""
    for one in compared[1].judged.values():
        assert isinstance(one, Judged) and isinstance(one.levels, np.ndarray) and isinstance(one.errors, dict)
