"""The comparison of designs: fair rules, paired statistics, nothing lost on the way."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from training.small import experiment, experiment_on_disk, problem

from ptychoui import cli
from ptychoui.bench.design import baselines
from ptychoui.bench.design.baselines import Candidate, Effort, SeedResult, Tuned
from ptychoui.design import starts
from ptychoui.errors import EngineError, SettingsError
from ptychoui.settings import FpmExperiment, load_experiment, to_toml
from ptychoui.tasks.fpm.contenders import Contender
from ptychoui.tasks.fpm.judges import solver_errors

QUICK = Effort(unrolls=(2, 4), tuning_objects=2, draws=2)
DESIGNS = ("dense_random", "random_partition", "hybrid", "singles", "half_circles", "full_stack")


@dataclass
class Watched:
    """A comparison over two seeds, what it said, and what it measured."""

    experiment: FpmExperiment
    summary: dict[str, Any]
    results: list[SeedResult]
    candidates: list[Candidate]
    written: list[dict[str, Any]]
    said: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("design")
    some = load_experiment(experiment_on_disk(folder, training={"steps": 2}))
    results: list[SeedResult] = []
    candidates: list[Candidate] = []
    written: list[dict[str, Any]] = []
    said: list[str] = []
    one_seed, held_out, write = baselines.one_seed, baselines.held_out_errors, baselines.write_atomic

    def seed(*values: Any, **named: Any) -> SeedResult:
        results.append(one_seed(*values, **named))
        return results[-1]

    def judged(candidate: Candidate, tuned: Tuned, examples: Any) -> Any:
        candidates.append(candidate)
        return held_out(candidate, tuned, examples)

    def kept(path: Path, text: str) -> Path:
        written.append(json.loads(text))
        return write(path, text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "one_seed", seed)
        patch.setattr(baselines, "held_out_errors", judged)
        patch.setattr(baselines, "write_atomic", kept)
        summary = baselines.run(some, [0, 1], said.append, QUICK, folder / "result.json")
    assert json.loads((folder / "result.json").read_text()) == json.loads(json.dumps(summary))
    yield Watched(some, summary, results, candidates, written, said)


def row(summary: dict[str, Any], solver: str, name: str) -> dict[str, Any]:
    (found,) = [r for r in summary["rows"] if r["solver"] == solver and r["design"] == name]
    return dict(found)


def test_every_baseline_by_both_solvers(watched: Watched) -> None:
    rows = [(r["solver"], r["design"]) for r in watched.summary["rows"]]
    assert rows == [("own network", name) for name in DESIGNS] + [("converged", name) for name in DESIGNS[:-1]]
    assert watched.summary["seeds"] == [0, 1] and watched.summary["threads"] == torch.get_num_threads()
    assert len(watched.summary["loss_ratio"]) == len(watched.summary["learning_seconds"]) == 2
    assert all(len(line) < 200 for line in watched.said) and any("learned" in line for line in watched.said)


def test_intervals_are_those_of_the_paired_t_test(watched: Watched) -> None:
    for r in watched.summary["rows"]:
        tables = [s.errors if r["solver"] == "own network" else s.converged for s in watched.results]
        other, learned = np.array([[t[r["design"]], t["learned"]] for t in tables]).T
        test = stats.ttest_rel(other, learned)
        interval = test.confidence_interval(0.95)
        assert r["complex_error"] == pytest.approx(other.mean()) and r["learned"] == pytest.approx(learned.mean())
        assert r["difference"] == pytest.approx(test.statistic * (interval.high - r["difference"]) / _t(2), rel=1e-9)
        assert r["difference"] - r["interval_95"] == pytest.approx(interval.low, rel=1e-9)
        assert r["difference"] + r["interval_95"] == pytest.approx(interval.high, rel=1e-9)
        assert r["standard_errors"] == pytest.approx(test.statistic, rel=1e-9)
        assert r["ratio"] == pytest.approx(np.mean(learned / other))


def _t(seeds: int) -> float:
    return float(stats.t.ppf(0.975, seeds - 1))


def made_up(learned: np.ndarray, other: np.ndarray) -> list[SeedResult]:
    tuned = {name: Tuned(step=0.1, momentum="7/8", unrolls=2, error=0.5) for name in ("learned", "hybrid")}
    return [
        SeedResult(
            seed=seed,
            errors={"hybrid": float(b), "learned": float(a)},
            converged={"hybrid": float(b), "learned": float(a)},
            tuned=tuned,
            start_loss=2.0,
            end_loss=1.0,
            seconds=3.0,
        )
        for seed, (a, b) in enumerate(zip(learned, other, strict=True))
    ]


@pytest.mark.parametrize("seeds", [2, 3, 5, 20])
def test_paired_statistics_against_scipy(seeds: int) -> None:
    """Designs of one seed rise and fall together: pairing is what makes a small difference visible."""
    rng = np.random.default_rng(seeds)
    common = rng.random(seeds)
    learned, other = common + 0.01 * rng.random(seeds), common + 0.05 + 0.01 * rng.random(seeds)
    found = row(baselines.summarise(made_up(learned, other), 1), "own network", "hybrid")
    test = stats.ttest_rel(other, learned)
    interval = test.confidence_interval(0.95)
    assert found["difference"] == pytest.approx((other - learned).mean())
    assert found["interval_95"] == pytest.approx((interval.high - interval.low) / 2)
    assert found["standard_errors"] == pytest.approx(test.statistic)
    unpaired = stats.ttest_ind(other, learned).confidence_interval(0.95)
    assert found["interval_95"] < (unpaired.high - unpaired.low) / 2
    assert baselines.paired_interval(other - learned) == (found["difference"], found["interval_95"])


def test_one_seed_has_no_interval() -> None:
    found = row(baselines.summarise(made_up(np.array([0.4]), np.array([0.5])), 1), "converged", "hybrid")
    assert found["difference"] == pytest.approx(0.1) and math.isnan(found["interval_95"])
    assert found["standard_errors"] is None


def test_equal_differences_are_infinitely_sure_and_divide_nothing() -> None:
    found = row(baselines.summarise(made_up(np.array([0.25, 0.25]), np.array([0.5, 0.5])), 1), "converged", "hybrid")
    assert found["interval_95"] == 0 and found["standard_errors"] is None


def test_the_summary_as_text(watched: Watched) -> None:
    lines = baselines.table(watched.summary).splitlines()
    assert lines[0].startswith("seeds [0, 1]; held-out loss lowered by x")
    assert len(lines) == 2 + len(watched.summary["rows"])
    found = row(watched.summary, "own network", "hybrid")
    (line,) = [text for text in lines if text.startswith("own network") and "hybrid" in text]
    assert f"{found['difference']:+.3f} +- {found['interval_95']:.3f}" in line


def test_the_result_is_written_after_every_seed(watched: Watched) -> None:
    assert [values["seeds"] for values in watched.written] == [[0], [0, 1]]


def test_designs_compete_at_equal_light(watched: Watched) -> None:
    """Equal total exposure, equal frames but for the full stack, levels that hardware can show, no saturation."""
    rows = watched.experiment.design.rows
    total = float(starts.start_exposures(watched.experiment.design).sum())
    assert len(watched.candidates) == 2 * (len(DESIGNS) + 1)
    for place, candidate in enumerate(watched.candidates):
        name = (*DESIGNS, "learned")[place % (len(DESIGNS) + 1)]
        levels, exposures = candidate.levels.numpy(), candidate.exposures.numpy()
        leds, na = candidate.problem.leds, candidate.problem.objective_na
        assert len(levels) == (len(leds) if name == "full_stack" else rows), name
        assert exposures.sum() == pytest.approx(total, rel=1e-6), name
        assert levels.min() >= 0 and levels.max() <= 1
        open_field = exposures * (levels * leds.gain * leds.bright_field(na)).sum(1)
        assert open_field.max() <= starts.brightest_open_field(candidate.problem.experiment.measurement) * (1 + 1e-6)


def test_designs_are_judged_on_the_same_objects(watched: Watched) -> None:
    count = len(DESIGNS) + 1
    for seed in range(2):
        some = watched.candidates[seed * count : (seed + 1) * count]
        assert all(c.problem.held_out is some[0].problem.held_out for c in some)
        assert not set(some[0].problem.held_out.sources) & set(some[0].problem.training.sources)


def candidate(levels: np.ndarray | None = None, **sections: Any) -> Candidate:
    made = problem(**sections)
    if levels is None:
        levels = starts.random_partition(made.experiment.design, made.leds, made.objective_na, np.random.default_rng(0))
    return baselines.with_rows(made, levels)


def test_tuning_finds_the_best_of_its_grid() -> None:
    some = candidate()
    examples = some.problem.training
    tuned = baselines.tune(some, examples, unrolls=(2, 4))
    curvature = some.problem.physics.curvature_bound(some.problem.measurement.weights(some.levels, some.exposures))
    lowest = np.inf
    for momentum in baselines.MOMENTA:
        beta = {"3/4": 0.75, "7/8": 0.875, "15/16": 0.9375}[momentum]
        for share in baselines.STEPS:
            step = float(f"{share * 2 * (1 + beta) / curvature:.2g}")
            errors = baselines._errors_at(some, examples, step, momentum, (2, 4))
            lowest = min([lowest, *(e for e in errors if e is not None)])
    assert tuned.error == lowest
    assert baselines._errors_at(some, examples, tuned.step, tuned.momentum, [tuned.unrolls]) == [tuned.error]


def test_one_run_serves_all_depths() -> None:
    some = candidate()
    together = baselines._errors_at(some, some.problem.training, 0.3, "7/8", (1, 3, 6))
    apart = [baselines._errors_at(some, some.problem.training, 0.3, "7/8", [n])[0] for n in (1, 3, 6)]
    assert together == apart and None not in together


def test_settings_that_diverge_never_win() -> None:
    some = candidate()
    assert baselines._errors_at(some, some.problem.training, 1e4, "15/16", (1, 40)) == [None, None]
    with pytest.raises(EngineError, match="every step size of the grid diverges") as error:
        baselines.tune(some, some.problem.training, steps=[1e3], unrolls=(40,))
    assert error.value.hint


def test_the_best_draw_is_the_best() -> None:
    made = problem()
    examples = made.training
    best = baselines.best_draw(made, "random_partition", examples, np.random.default_rng(3), QUICK)
    rng = np.random.default_rng(3)
    draws = [
        baselines.with_rows(made, starts.random_partition(made.experiment.design, made.leds, made.objective_na, rng))
        for _ in range(QUICK.draws)
    ]
    tuned = baselines.tune(draws[0], examples, unrolls=QUICK.unrolls)
    errors = [baselines._errors_at(d, examples, tuned.step, tuned.momentum, [tuned.unrolls])[0] for d in draws]
    assert torch.equal(best.levels, draws[int(np.argmin(np.array(errors, dtype=float)))].levels)


def test_rows_are_sorted_with_the_bright_field_first() -> None:
    made = problem()
    some = baselines.with_rows(made, starts.sequential(made.leds))
    bright = torch.from_numpy(made.leds.bright_field(made.objective_na))
    has_bright = (some.levels[:, bright].sum(1) > 0).tolist()
    assert has_bright == sorted(has_bright, reverse=True)
    assert some.problem.experiment.design.bright_field_rows == sum(has_bright)
    assert len(some.levels) == len(made.leds) and bool(some.problem.mask.all())


def test_the_converged_solver_is_the_second_judge_of_a_run() -> None:
    """No network's steps or depth count, and the same noise gives the same errors."""
    some = candidate(engine={"precision": "float64"})
    design = Contender(name="any", task=some.problem, levels=some.levels, exposures=some.exposures)
    errors = baselines.converged_errors(some)
    assert np.array_equal(errors, solver_errors(design, some.problem.held_out)) and np.isfinite(errors).all()
    deeper = replace(some, problem=candidate(engine={"precision": "float64"}, network={"unrolls": 9}).problem)
    assert np.array_equal(errors, baselines.converged_errors(deeper))


def test_the_command_prints_the_same_numbers_as_json(
    watched: Watched, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same seeds give the same numbers, and stdout is what the file holds."""
    (tmp_path / "e.toml").write_text(to_toml(watched.experiment), encoding="utf-8")
    effort = ["--seeds", "2", "--draws", "2", "--unrolls", "2", "4", "--tuning-objects", "2"]
    words = ["bench", "design", str(tmp_path / "e.toml"), *effort, "-o", str(tmp_path / "r.json"), "--json"]
    assert cli.main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "r.json").read_text())
    assert found["rows"] == watched.summary["rows"] and found["loss_ratio"] == watched.summary["loss_ratio"]


def no_json(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Comparisons that take no time; the seeds they were asked for."""
    asked: list[int] = []

    def one_seed(_experiment: Any, _dataset: Any, seed: int, *_values: Any, **_named: Any) -> SeedResult:
        asked.append(seed)
        return made_up(np.array([0.4]), np.array([0.5]))[0]

    monkeypatch.setattr(baselines, "one_seed", one_seed)
    return asked


def test_one_seed_is_json_too(tmp_path: Path, instant: list[int]) -> None:
    some = load_experiment(experiment_on_disk(tmp_path))
    baselines.run(some, [0], lambda _text: None, QUICK, tmp_path / "r.json")
    assert instant == [0]
    json.loads((tmp_path / "r.json").read_text(), parse_constant=no_json)


def test_a_result_that_cannot_be_written_is_noticed_at_once(tmp_path: Path, instant: list[int]) -> None:
    some = load_experiment(experiment_on_disk(tmp_path))
    with pytest.raises(SettingsError, match="there is no folder"):
        baselines.run(some, [0], lambda _text: None, QUICK, tmp_path / "no" / "r.json")
    assert not instant


@pytest.mark.parametrize("words", [("--seeds", "0"), ("--draws", "0"), ("--tuning-objects", "0")], ids=" ".join)
def test_numbers_that_cannot_be(words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = experiment_on_disk(tmp_path, training={"steps": 0})
    given = ["--seeds", "1", "--draws", "1", "--unrolls", "2", "--tuning-objects", "1"]
    assert cli.main(["bench", "design", str(path), *given, *words]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("ptychoui: ")


@pytest.mark.parametrize("rows", [2, 4])
def test_half_circles_are_those_of_the_literature(rows: int) -> None:
    """DPC with four rows is top, left, bottom, right; with two its axes are perpendicular."""
    made = problem(
        geometry=experiment().geometry.replace(  # type: ignore[union-attr]
            array={"kind": "lattice", "rows": 41, "columns": 41, "pitch_mm": 0.5, "height_mm": 40.0}
        ),
        design={"bright_field_rows": 1, "dark_field_rows": rows - 1},
    )
    levels = starts.half_circles(made.experiment.design, made.leds, made.objective_na, np.random.default_rng(0))
    x, y = made.leds.illumination_na.T
    angles = np.degrees([np.arctan2(row @ y, row @ x) for row in levels])
    turned = np.diff(angles) % 360
    assert turned == pytest.approx(np.full(rows - 1, 90), abs=3)
