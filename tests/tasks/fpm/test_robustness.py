"""The card of a design on a microscope that is not as stated: its figures, its tiles, and the command that makes it."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import tqdm
from scipy.stats import ttest_rel
from tasks.fpm.test_truth import problem as measured_problem
from training.small import experiment_on_disk, problem

from ptychoui.cli import main
from ptychoui.data.files import json_text
from ptychoui.errors import SettingsError
from ptychoui.optics.geometry.led_array import LedArray
from ptychoui.settings import load_experiment
from ptychoui.tasks.fpm import robustness as robustness_module
from ptychoui.tasks.fpm import robustness_runs
from ptychoui.tasks.fpm.contenders import Contender, learned_design
from ptychoui.tasks.fpm.examples import Objects
from ptychoui.tasks.fpm.judges import NETWORK, SOLVER
from ptychoui.tasks.fpm.nuisances import NONE, NUISANCES, OTHER_TILES, Nuisance, believing
from ptychoui.tasks.fpm.parameters import start_parameters
from ptychoui.tasks.fpm.recommendation import JUDGED
from ptychoui.tasks.fpm.robustness import WORST, RobustnessCard, near_the_edge, other_tiles, robustness
from ptychoui.tasks.fpm.task import FpmTask
from ptychoui.training.runs import new_run, resume_run

SMOOTH = {"network": {"prior": "smooth", "step": None, "unrolls": 4, "learn_smoothness": True}}
FEW = tuple(one for one in NUISANCES if one.name in ("none", "shift", "stray_light"))


@pytest.fixture(autouse=True)
def no_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The monitor of a progress bar would outlive its test."""
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)


@cache
def some() -> FpmTask:
    return problem(**SMOOTH)


def learned(task: FpmTask) -> Contender:
    return replace(learned_design(task, start_parameters(task)), name="learned patterns")


def card(**options: Any) -> RobustnessCard:
    return robustness(learned(some()), start_parameters(some()), **options)


Calls = list[tuple[str, str, str, np.ndarray, float]]


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Errors that grow with what is wrong; every judgement is noted: judge, design, LEDs, focus, light."""
    calls: Calls = []
    places = {float(truth.abs().sum()): place for place, truth in enumerate(some().held_out.truth)}

    def errors(judge: str) -> Any:
        def judged(design: Contender, *arguments: Any) -> np.ndarray:
            examples = next(one for one in arguments if isinstance(one, Objects))
            leds, scope = design.task.leds.illumination_na, design.task.microscope
            wrong = float(np.abs(leds - some().leds.illumination_na).max()) + abs(scope.defocus_um) / 50
            calls.append((judge, design.name, leds.tobytes().hex(), leds, scope.defocus_um))
            base = 0.2 if design.name == "learned patterns" else 0.3
            tiles = np.array([places.get(float(truth.abs().sum()), 0) for truth in examples.truth])
            return base * (1 + wrong * (1 + tiles)) * (2 if judge == SOLVER else 1) + 0.01 * tiles**2

        return judged

    monkeypatch.setattr(robustness_module, "network_errors", errors(NETWORK))
    monkeypatch.setattr(robustness_module, "solver_errors", errors(SOLVER))
    return calls


def test_the_card_holds_means_ratios_and_paired_intervals(planted: Calls) -> None:
    found = card(draws=3)
    tried = [one.name for one in NUISANCES if one is not OTHER_TILES]
    assert [row.nuisance for row in found.rows[::2]] == tried
    assert [row.judge for row in found.rows] == [NETWORK, SOLVER] * len(tried)
    assert found.notes[-1] == "left out: other tiles: all held-out tiles are judged already"
    by = {(row.nuisance, row.judge): row for row in found.rows}
    stated = by["none", NETWORK]
    tiles = np.arange(2)
    assert stated.error == pytest.approx(np.mean(0.2 + 0.01 * tiles**2)) and stated.times == 1 == stated.known_times
    row = by["defocus", SOLVER]
    of_design, of_known = (2 * base * (1 + 0.1 * (1 + tiles)) + 0.01 * tiles**2 for base in (0.2, 0.3))
    assert (row.error, row.known) == pytest.approx((of_design.mean(), of_known.mean()))
    assert row.times == pytest.approx(of_design.mean() / by["none", SOLVER].error)
    interval = ttest_rel(of_known, of_design).confidence_interval(0.95)
    assert (row.low, row.high) == pytest.approx(tuple(each / of_known.mean() for each in interval))
    assert row.better == pytest.approx((of_known - of_design).mean() / of_known.mean())
    assert (stated.draws, by["defocus", NETWORK].draws, by["light", NETWORK].draws, by["all", NETWORK].draws) == (
        1,
        3,
        1,
        3,
    )
    assert row.draws == 2, "the solver sees every tile once"
    assert "most harmful to learned patterns: defocus by 5 um" in found.sentence
    assert "2 held-out tiles" in found.basis and "3 draws" in found.basis


def test_both_designs_and_both_judges_meet_the_same_draws(planted: Calls) -> None:
    card(draws=3)
    met: dict[tuple[str, str], list[tuple[str, float]]] = {}
    for judge, design, leds, _na, focus in planted:
        met.setdefault((judge, design), []).append((leds, focus))
    for judge in (NETWORK, SOLVER):
        assert met[judge, "learned patterns"] == met[judge, "half_circles"]
    of_network, of_solver = ({leds for leds, _ in met[judge, "half_circles"]} for judge in (NETWORK, SOLVER))
    assert of_solver < of_network and len(of_network) == 1 + 3 + 2 + 3 and len(of_solver) >= 1 + 2 + 1 + 2


def test_errors_beyond_all_bounds_do_not_swamp_a_mean(monkeypatch: pytest.MonkeyPatch, planted: Calls) -> None:
    monkeypatch.setattr(
        robustness_module, "network_errors", lambda _d, _p, tiles, _c: np.array([np.inf, 0.5])[: len(tiles)]
    )
    found = card(draws=1)
    assert found.rows[0].error == pytest.approx((WORST + 0.5) / 2) and np.isfinite(found.rows[0].better)


def test_the_known_design_has_as_many_frames_and_as_much_exposure(
    monkeypatch: pytest.MonkeyPatch, planted: Calls
) -> None:
    seen: dict[str, Contender] = {}

    def note(design: Contender, tiles: Objects, _callback: Any) -> np.ndarray:
        seen[design.name] = design
        return np.full(len(tiles), 0.5)

    monkeypatch.setattr(robustness_module, "solver_errors", note)
    card(draws=1, against="hybrid")
    one, other = seen["learned patterns"], seen["hybrid"]
    assert one.levels.shape == other.levels.shape
    assert float(one.exposures.sum()) == pytest.approx(float(other.exposures.sum()))
    assert torch.equal(one.levels, start_parameters(some()).levels)


def test_what_cannot_be_tried_is_refused() -> None:
    with pytest.raises(SettingsError, match="there is no design 'quarter_circles'"):
        card(against="quarter_circles")
    with pytest.raises(SettingsError, match="0 draws"):
        card(draws=0)


def test_a_wrong_model_costs_more_than_none_by_both_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judges themselves, on few nuisances."""
    monkeypatch.setattr(robustness_module, "NUISANCES", FEW)
    found = card(draws=1)
    by = {(row.nuisance, row.judge): row for row in found.rows}
    assert len(by) == 6 and all(0 < row.error <= WORST for row in by.values())
    assert by["shift", SOLVER].known_times != 1 and by["stray_light", NETWORK].times != 1


def test_a_card_comes_back_from_its_record(planted: Calls) -> None:
    found = card(draws=1)
    values = json.loads(json_text(found.record()))
    again = RobustnessCard.from_record(values)
    assert repr(again) == repr(found) and again.cells() == found.cells()
    values["rows"][0] |= {"low": None, "high": None}
    single = RobustnessCard.from_record(values)
    assert np.isnan(single.rows[0].low) and "(" not in single.cells()[1][-1], "one tile has no interval"
    with pytest.raises(ValueError, match="without rows"):
        RobustnessCard.from_record(values | {"rows": []})


def test_lit_leds_beside_the_objectives_na_are_named() -> None:
    """A fifth of 6.5 mm at 40 mm is 0.032 NA; the sides of the square lie at 0.15 to 0.17, its corners at 0.21 to 0.23."""
    task = some()
    levels = torch.zeros_like(start_parameters(task).levels)
    design = replace(learned(task), levels=levels)
    assert near_the_edge(design) == []
    levels[0, 1] = 1.0
    assert near_the_edge(design) == []
    levels[1, 0] = 0.5
    (said,) = near_the_edge(design)
    assert said.startswith("1 LED lit within 0.032 of the objective's NA") and "design.guard_na = 0.033" in said


def test_what_the_grid_does_not_hold_is_left_out(planted: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    far = Nuisance(name="shift", title="far aside", task=lambda task, _rng: believing(task, leds=_far(task)))
    monkeypatch.setattr(robustness_module, "NUISANCES", (NONE, far))
    found = card()
    assert {row.nuisance for row in found.rows} == {"none"} and found.sentence
    assert found.notes[-1].startswith("left out: far aside: ")


def _far(task: FpmTask) -> LedArray:
    return replace(task.leds, illumination_na=task.leds.illumination_na + 2.0)


# Tiles -----------------------------------------------------------------------------------------------


def test_other_simulated_objects_are_those_that_nobody_judged() -> None:
    task = some()
    many = task.held_out.pick([0, 1] * 9)
    numbered = replace(many, sources=np.arange(18))
    rest = other_tiles(replace(task, held_out=numbered))
    judged = numbered.spread(JUDGED)
    assert not set(rest.sources.tolist()) & set(judged.sources.tolist()) and len(rest) == JUDGED
    assert len(other_tiles(task)) == 0, "both are judged already"


def test_other_tiles_of_a_measured_stack_lie_beside_its_own_in_the_held_out_part() -> None:
    task = measured_problem(True)
    assert task.field is not None
    rest = other_tiles(task)
    tile, side = task.grids.tile_px, task.field.window.size_px
    images = np.maximum(task.field.images[0], 0)
    left = side - max(tile, round(task.experiment.training.holdout * side))
    for examples in (rest, task.held_out):
        for each in examples.intensities[:, 0].numpy():
            rows, columns = np.nonzero(np.isclose(images, each[0, 0], rtol=1e-6))
            (place,) = [
                (int(r), int(c))
                for r, c in zip(rows, columns, strict=True)
                if r + tile <= side and c + tile <= side and np.allclose(images[r : r + tile, c : c + tile], each)
            ]
            assert place[1] >= left
            assert (place[0] % tile == tile // 2) == (examples is rest) or examples is not rest
    assert rest.truth.shape[1:] == task.held_out.truth.shape[1:] and rest.truth.dtype == task.held_out.truth.dtype


# From a run to its files -----------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(robustness_module, "NUISANCES", FEW)
    trainer = new_run(load_experiment(experiment_on_disk(tmp_path, training={"steps": 2}, **SMOOTH)), tmp_path / "run")
    list(trainer.run())
    assert trainer.folder is not None
    trainer.folder.close()
    return tmp_path / "run"


def test_a_card_goes_to_the_terminal_to_files_and_into_the_report(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["robustness", "run", "--draws", "1", "--json", "-o", "card.json"]) == 0
    out, err = capsys.readouterr()
    values = json.loads(out)
    assert values["steps"] == 2 and len(values["rows"]) == 2 * len(FEW) and values["against"] == "half circles"
    assert json.loads(Path("card.json").read_text(encoding="utf-8")) == values
    found = RobustnessCard.from_record(values)
    assert repr(robustness_runs.kept_card(run, 2)) == repr(found) and robustness_runs.kept_card(run, 3) is None
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "array shifted by 0.2 pitch" in page and f"{found.rows[0].error:.3f}" in page and "report: " in err
    # Patterns that were exported are tried on the data of their record: the solver knows no network.
    assert main(["export", "run", "--to", "json", "-o", "patterns.json", "--learned"]) == 0
    capsys.readouterr()
    assert main(["robustness", "patterns.json", "--draws", "1", "-o", "card.txt"]) == 0
    shown = capsys.readouterr().out
    assert Path("card.txt").read_text(encoding="utf-8") == shown
    lines = [line for line in shown.splitlines() if SOLVER in line][: len(FEW)]
    for line, row in zip(lines, found.rows[1::2], strict=True):
        assert line.startswith(row.title) and f"  {row.error:.3f}  " in line
    assert any(line.startswith("most harmful to small") for line in shown.splitlines())


def test_a_run_that_went_on_has_no_card_any_more(run: Path) -> None:
    assert main(["robustness", "run", "--draws", "1"]) == 0
    longer = resume_run(run, changes=lambda e: e.replace(training=e.training.replace(steps=3)))
    list(longer.run())
    from ptychoui.export.report import write_report

    assert "array shifted" not in write_report(longer).read_text(encoding="utf-8")
    longer.folder.close()  # type: ignore[union-attr]
    (run / robustness_runs.CARD).write_text('{"rows": 3}', encoding="utf-8")
    assert robustness_runs.kept_card(run, 3) is None


def _refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["robustness", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1, err
    return err


def test_what_is_no_design_is_refused_in_one_sentence(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is not a run folder" in _refused(capsys, "nowhere")
    assert "there is no design 'moon'" in _refused(capsys, "run", "--against", "moon")
    assert "--draws" in _refused(capsys, "run", "--draws", "0")
    assert "would be overwritten" in _refused(capsys, "experiment.toml", "-o", "experiment.toml")
    assert "not readable JSON" in _refused(capsys, "experiment.toml")
    kept = (run / "state.npz").read_bytes()
    for name in ("state.npz", "state.previous.npz"):
        (run / name).unlink(missing_ok=True)
    assert "holds no saved state yet" in _refused(capsys, "run")
    (run / "state.npz").write_bytes(kept[:200])
    assert "no saved state" in _refused(capsys, "run")
    (run / "state.npz").write_bytes(kept)
    held = resume_run(run)
    assert "is working on" in _refused(capsys, "run")
    held.folder.close()  # type: ignore[union-attr]
    (run / "experiment.toml").unlink()
    assert "ptychoui: " in _refused(capsys, "run")


def test_patterns_without_a_record_or_of_other_leds_are_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ptychoui.export.options import design_hash
    from ptychoui.export.results import export_result
    from ptychoui.training.evaluation import load_run

    patterns = load_run(run).learned()
    export_result(replace(patterns, record={}), "json", "bare.json")  # type: ignore[type-var]
    assert "carry no experiment" in _refused(capsys, "bare.json")
    others = replace(patterns, led_numbers=patterns.led_numbers + 1)  # type: ignore[type-var, attr-defined]
    assert design_hash(others) != design_hash(patterns)  # type: ignore[arg-type]
    export_result(others, "json", "others.json")
    assert "are of other LEDs" in _refused(capsys, "others.json") and NONE.name == "none"
    fewer = replace(
        patterns,  # type: ignore[type-var]
        levels=patterns.levels[:1],  # type: ignore[attr-defined]
        exposures=patterns.exposures[:1],  # type: ignore[attr-defined]
        row_names=("a",),
    )
    export_result(fewer, "json", "fewer.json")
    assert "is of 2 patterns, the file holds 1" in _refused(capsys, "fewer.json")


def test_a_run_of_another_kind_is_refused() -> None:
    class Other:
        task = type("Task", (), {"experiment": type("E", (), {"kind": "deconvolution"})})()
        parameters = None

    with pytest.raises(Exception, match="learned no patterns of LEDs"):
        robustness_runs.design_of_run(Other())  # type: ignore[arg-type]
