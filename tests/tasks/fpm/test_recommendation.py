"""Hand-made designs, two judges, the choice of a start, and the verdict from a run to its files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import tqdm
from training.small import experiment_on_disk, problem

from ptychoui.cli import main
from ptychoui.design import starts
from ptychoui.errors import EngineError, StopRequested
from ptychoui.session.history import RunHistory
from ptychoui.settings import FpmExperiment, kind_of, load_experiment
from ptychoui.tasks.fpm import choosing, judges, recommendation
from ptychoui.tasks.fpm.contenders import TITLES, Contender, known_design, start_title
from ptychoui.tasks.fpm.judges import network_errors, solver_errors
from ptychoui.tasks.fpm.parameters import start_parameters
from ptychoui.tasks.fpm.recommendation import recommend
from ptychoui.tasks.fpm.task import build_task
from ptychoui.training.evaluation import load_run
from ptychoui.training.events import Judged
from ptychoui.training.gradients import evaluate
from ptychoui.training.runs import new_run, resume_run
from ptychoui.training.verdict import LEARNED


@pytest.fixture(autouse=True)
def no_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The monitor of a progress bar would outlive its test."""
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)


SMOOTH = {"network": {"prior": "smooth", "step": None, "unrolls": 6, "learn_smoothness": True}}


@pytest.mark.parametrize("name", TITLES)
def test_every_known_design_has_as_many_frames_and_as_much_exposure(name: str) -> None:
    some = problem()
    design = known_design(some, name)
    assert design.levels.shape == start_parameters(some).levels.shape
    assert float(design.exposures.sum()) == pytest.approx(float(start_parameters(some).exposures.sum()))
    assert float(design.levels.max()) <= 1 and bool(design.task.mask.all())
    again = known_design(some, name)
    assert torch.equal(design.levels, again.levels), "a recommendation must be found again from the seed"


def test_the_network_judges_a_design_as_the_run_scores_it() -> None:
    some = problem(**SMOOTH)
    parameters = start_parameters(some)
    own = Contender(name="learned", task=some, levels=parameters.levels, exposures=parameters.exposures)
    expected = evaluate(some, some.network(), parameters, some.held_out)["complex_error"]
    assert network_errors(own, parameters, some.held_out) == pytest.approx(expected.double().numpy())


def test_a_network_that_diverges_has_an_infinite_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def diverge(*_arguments: object, **_more: object) -> None:
        raise EngineError("the state grew beyond all bounds")

    some = problem()
    parameters = start_parameters(some)
    monkeypatch.setattr(judges, "evaluate", diverge)
    own = Contender(name="learned", task=some, levels=parameters.levels, exposures=parameters.exposures)
    assert network_errors(own, parameters, some.held_out).tolist() == [np.inf] * len(some.held_out)


def test_the_solver_sees_more_with_more_light() -> None:
    def error(photons: float) -> float:
        example = load_experiment("first_light")
        assert isinstance(example, FpmExperiment)
        some = build_task(example.replace(measurement=example.measurement.replace(photons_per_led=photons)))
        return float(solver_errors(known_design(some, "hybrid"), some.held_out.part(0, 1))[0])

    dim, bright = error(50.0), error(4e4)
    assert bright < 0.8 * dim and dim < 1


@pytest.mark.parametrize(("factor", "recommended"), [(0.8, LEARNED), (1.0, "singles"), (1.3, "singles")])
def test_what_is_learned_is_held_against_the_best_by_both_judges(
    monkeypatch: pytest.MonkeyPatch, factor: float, recommended: str
) -> None:
    """Planted errors: single LEDs are the best design that is known, and the learned has ``factor`` times theirs."""
    scatter = np.random.default_rng(0).normal(1, 0.02, 6)
    known = {"half_circles": 0.6, "hybrid": 0.7, "random_partition": 0.8, "singles": 0.5, "dense_random": 0.9}

    def errors(design: Contender, *_arguments: object) -> np.ndarray:
        return (factor * 0.5 if design.name == "learned" else known[design.name]) * scatter

    monkeypatch.setattr(recommendation, "network_errors", errors)
    monkeypatch.setattr(recommendation, "solver_errors", errors)
    some = problem()
    found = recommend(some, start_parameters(some))
    assert found.recommended == recommended
    assert {row.name for row in found.comparisons} == {"singles", "half_circles"}
    assert "single LEDs" in found.sentence and ("use single LEDs" in found.sentence) == (recommended != LEARNED)


def test_the_best_start_is_taken_and_kept(tmp_path: Path) -> None:
    told: list[str] = []
    path = experiment_on_disk(tmp_path, design={"start": "best"}, **SMOOTH)
    some = build_task(load_experiment(path), told.append)
    assert some.experiment.design.start in starts.STARTS and some.experiment.design.rows == 2
    assert sum("choosing where to begin" in sentence for sentence in told) >= 6
    assert any("designs to begin with" in sentence for sentence in some.split)
    run = new_run(load_experiment(path), tmp_path / "run")
    assert run.folder is not None
    assert run.folder.experiment().design == run.task.experiment.design  # type: ignore[attr-defined]
    run.folder.close()


def test_of_two_starts_the_better_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted errors: the network likes two starts, and the solver tells between them."""
    some = problem(**SMOOTH)
    liked = {"hybrid": 0.5, "random_partition": 0.4, "singles": 0.9, "dense_random": 0.9}
    truth = {"hybrid": 0.3, "random_partition": 0.8, "singles": 0.1, "dense_random": 0.1}

    def of(values: dict[str, float]) -> object:
        return lambda design, *_rest: np.array([values[design.task.experiment.design.start]])

    monkeypatch.setattr(choosing, "network_errors", of(liked))
    monkeypatch.setattr(choosing, "solver_errors", of(truth))
    assert choosing.with_best_start(some).experiment.design.start == "hybrid"


def test_half_circles_are_named() -> None:
    design = problem().experiment.design
    assert start_title(design.replace(start="hybrid")) == TITLES["hybrid"]
    assert start_title(design.replace(start="hybrid", dark_field_rows=0)) == "half circles"


def test_a_choice_can_be_given_up() -> None:
    def stop() -> None:
        raise StopRequested

    with pytest.raises(StopRequested):
        choosing.with_best_start(problem(**SMOOTH), callback=stop)


def test_a_verdict_goes_from_the_run_to_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = experiment_on_disk(tmp_path, training={"compare": True, "steps": 2}, **SMOOTH)
    assert main(["train", str(path), "-o", "run", "--json", "--report"]) == 0
    values = json.loads(capsys.readouterr().out)
    verdict = values["verdict"]
    assert verdict["sentence"] and verdict["examples"] == 2
    assert {row["judge"] for row in verdict["comparisons"]} == {"its network", "an independent solver"}
    assert verdict["sentence"].split(" (")[0] in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    history = RunHistory(kind_of("fpm").metrics)
    trainer = load_run("run")
    assert trainer.folder is None and trainer.verdict is not None
    history.take_lines([{"kind": "judged", "step": 2, "verdict": verdict}])
    assert history.recommendation == (verdict["sentence"], verdict["recommended"] == LEARNED)
    # What is exported is what is recommended, unless the learned is asked for.
    assert main(["export", "run", "--to", "npz", "-o", "used.npz"]) == 0
    assert main(["export", "run", "--to", "npz", "-o", "learned.npz", "--learned"]) == 0
    with np.load("used.npz") as used, np.load("learned.npz") as learned:
        assert np.allclose(learned["levels"], trainer.learned().levels)  # type: ignore[attr-defined]
        known = known_design(trainer.task, verdict["recommended"]) if verdict["recommended"] != LEARNED else None
        assert np.allclose(used["levels"], learned["levels"] if known is None else known.levels.numpy())


def test_a_finished_run_is_judged_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = experiment_on_disk(tmp_path, training={"compare": True, "steps": 2}, **SMOOTH)
    run = new_run(load_experiment(path), tmp_path / "run")
    judged = [event for event in run.run() if isinstance(event, Judged)]
    assert len(judged) == 1 and run.folder is not None
    run.folder.close()
    again = resume_run(tmp_path / "run")
    assert again.verdict == judged[0].verdict
    assert not [event for event in again.run() if isinstance(event, Judged)]
    again.folder.close()  # type: ignore[union-attr]
    longer = resume_run(tmp_path / "run", changes=lambda e: e.replace(training=e.training.replace(steps=3)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(longer.task), "verdict", lambda *_: judged[0].verdict)
        assert len([event for event in longer.run() if isinstance(event, Judged)]) == 1, "more steps, another verdict"
    longer.folder.close()  # type: ignore[union-attr]
