"""What is learned beside every known design: equal light, equal objects, paired statistics, both judges."""

from __future__ import annotations

import json
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
from ptychoui.bench.design import comparison
from ptychoui.bench.design.entrants import ALL_EQUAL, ALL_WHOLE, Effort, Run
from ptychoui.bench.design.plot import plot
from ptychoui.bench.design.summary import summarise, table
from ptychoui.data.files import json_text
from ptychoui.design import starts
from ptychoui.errors import DataError, SettingsError
from ptychoui.export.json_file import write_json
from ptychoui.export.options import Options
from ptychoui.settings import FpmExperiment, load_experiment, to_toml
from ptychoui.tasks.fpm.contenders import TITLES, Contender, given_design, known_design
from ptychoui.tasks.fpm.judges import NETWORK, SOLVER, network_errors, solver_errors, solver_outputs
from ptychoui.tasks.fpm.parameters import design_parameters, start_parameters
from ptychoui.training.verdict import LEARNED

QUICK = Effort(draws=2, tuning=2, judged=2)
SMOOTH = {"prior": "smooth", "step": None, "unrolls": 4, "learn_smoothness": True}


@dataclass
class Watched:
    """A comparison over two seeds, what it said, and what it measured."""

    experiment: FpmExperiment
    result: dict[str, Any]
    designs: list[Contender]
    examples: list[Any]
    written: list[dict[str, Any]]
    said: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("design")
    some = load_experiment(experiment_on_disk(folder, training={"steps": 2}, network=SMOOTH))
    assert isinstance(some, FpmExperiment)
    designs: list[Contender] = []
    examples: list[Any] = []
    written: list[dict[str, Any]] = []
    said: list[str] = []
    write = comparison.write_atomic

    def judged(design: Contender, objects: Any, *more: Any) -> Any:
        designs.append(design)
        examples.append(objects)
        return solver_outputs(design, objects, *more)

    def kept(path: Path, text: str) -> Path:
        written.append(json.loads(text))
        return write(path, text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "solver_outputs", judged)
        patch.setattr(comparison, "write_atomic", kept)
        result = comparison.run(some, (), [0, 1], QUICK, said.append, folder / "result.json")
    assert json.loads((folder / "result.json").read_text()) == json.loads(json_text(result))
    yield Watched(some, result, designs, examples, written, said)


def test_every_design_by_both_judges_and_the_ceilings_by_one(watched: Watched) -> None:
    rows = [(r["design"], r["judge"]) for r in watched.result["rows"]]
    both = [(name, judge) for name in (LEARNED, *TITLES) for judge in (NETWORK, SOLVER)]
    assert rows == [*both, (ALL_EQUAL, SOLVER), (ALL_WHOLE, SOLVER)]
    assert watched.result["threads"] == torch.get_num_threads() and len(watched.result["data_sha256"]) == 64
    assert watched.result["experiment"]["seed"] == watched.experiment.seed and "torch" in watched.result["versions"]
    assert all(len(line) < 160 for line in watched.said) and any("learned" in line for line in watched.said)


def test_designs_compete_at_equal_light(watched: Watched) -> None:
    """Equal total exposure, equal frames but for the ceilings, levels that hardware can show, no saturation."""
    rows = watched.experiment.design.rows
    total = float(starts.start_exposures(watched.experiment.design).sum())
    assert len(watched.designs) == 2 * (len(TITLES) + 3)
    for design in watched.designs:
        levels, exposures = design.levels.numpy(), design.exposures.numpy()
        leds, na, ceiling = design.task.leds, design.task.objective_na, design.name in (ALL_EQUAL, ALL_WHOLE)
        assert len(levels) == (len(leds) if ceiling else rows), design.name
        assert exposures.sum() == pytest.approx(len(leds) if design.name == ALL_WHOLE else total, rel=1e-6)
        assert levels.min() >= 0 and levels.max() <= 1
        open_field = exposures * (levels * leds.gain * leds.bright_field(na)).sum(1)
        assert open_field.max() <= starts.brightest_open_field(design.task.experiment.measurement) * (1 + 1e-6)


def test_designs_are_judged_on_the_same_objects(watched: Watched) -> None:
    count = len(TITLES) + 3
    for seed in range(2):
        some = watched.examples[seed * count : (seed + 1) * count]
        assert all(objects is some[0] for objects in some)
        task = watched.designs[seed * count].task
        assert not set(some[0].sources) & set(task.training.sources)


def made_up(learned: np.ndarray, other: np.ndarray, frames: int = 6, whole: float = 0.1) -> list[Run]:
    """Runs of two objects each, whose mean errors are given, (seed,)."""
    apart = np.array([-0.01, 0.01])

    def run(seed: int, a: float, b: float) -> Run:
        values = {LEARNED: a, "hybrid": b, ALL_WHOLE: whole}
        errors = {name: {NETWORK: (v + apart).tolist(), SOLVER: (v + apart).tolist()} for name, v in values.items()}
        return Run(
            frames=frames,
            seed=seed,
            began="half circles",
            titles={name: name for name in values},
            errors=errors,
            correlation={name: [1.0, 0.75, 0.25] for name in values},
            frequency_per_um=[0.1, 0.2, 0.4],
            pixel_um=0.5,
            loss=(2.0, 1.0),
            seconds=3.0,
        )

    return [run(seed, float(a), float(b)) for seed, (a, b) in enumerate(zip(learned, other, strict=True))]


def row(result: dict[str, Any], design: str, judge: str = SOLVER, frames: int = 6) -> dict[str, Any]:
    """The one row of a design."""
    asked = (design, judge, frames)
    (found,) = [r for r in result["rows"] if (r["design"], r["judge"], r["frames"]) == asked]
    return dict(found)


@pytest.mark.parametrize("seeds", [2, 5, 20])
def test_gains_are_paired_by_seed_as_in_the_t_test(seeds: int) -> None:
    """Designs of one seed rise and fall together: pairing is what makes a small difference visible."""
    rng = np.random.default_rng(seeds)
    common = rng.random(seeds)
    learned, other = common + 0.01 * rng.random(seeds), common + 0.05 + 0.01 * rng.random(seeds)
    result = summarise(made_up(learned, other))
    found, interval = row(result, "hybrid"), stats.ttest_rel(other, learned).confidence_interval(0.95)
    assert result["paired_by"] == "seed"
    assert found["gain"] == pytest.approx((other - learned).mean() / other.mean())
    assert found["low"] * other.mean() == pytest.approx(interval.low)
    assert found["high"] * other.mean() == pytest.approx(interval.high)
    unpaired = stats.ttest_ind(other, learned).confidence_interval(0.95)
    assert interval.high - interval.low < unpaired.high - unpaired.low
    (spread,) = [s for s in result["spread_over_seeds"] if s["judge"] == SOLVER]
    ratios = learned / other
    assert spread["spread"] == pytest.approx(ratios.std(ddof=1) / ratios.mean())


def test_one_seed_is_paired_by_held_out_objects() -> None:
    result = summarise(made_up(np.array([0.4]), np.array([0.5])))
    assert result["paired_by"] == "held-out object" and not result["spread_over_seeds"]
    found = row(result, "hybrid")
    assert (found["gain"], found["low"], found["high"]) == pytest.approx((0.2, 0.2, 0.2))


def test_the_number_of_frames_that_equals_all_leds_is_found() -> None:
    """All LEDs have 0.1: 4 frames are worse, 8 are worse by 3 % at most, 6 may be worse by more."""
    known = np.array([0.5, 0.5])
    four, six = made_up(np.array([0.3, 0.31]), known, 4), made_up(np.array([0.09, 0.11]), known, 6)
    eight = made_up(np.array([0.1, 0.1004]), known, 8)
    assert summarise(four + six)["equal_to_full_stack_at"] is None
    assert summarise(four + six + eight)["equal_to_full_stack_at"] == 8


def test_resolution_is_where_the_correlation_falls_below_a_half() -> None:
    """From 0.75 at 0.2 to 0.25 at 0.4 per um: 0.3 per um."""
    assert row(summarise(made_up(np.array([0.4]), np.array([0.5]))), "hybrid")["resolution_um"] == (
        pytest.approx(1 / 0.3)
    )


def test_the_result_as_text_and_as_a_figure(watched: Watched, tmp_path: Path) -> None:
    lines = table(watched.result).splitlines()
    found = row(watched.result, "hybrid", frames=watched.experiment.design.rows)
    (line,) = [text for text in lines if text.startswith("half circles with")]
    assert f"{found['error']:.3f}" in line and f"{100 * found['gain']:+.0f} %" in line
    assert sum("spreads by" in text for text in lines) == 2
    plot(watched.result, tmp_path / "frames.png")
    assert (tmp_path / "frames.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SettingsError, match="cannot write the figure"):
        plot(watched.result, tmp_path / "no" / "frames.png")


def test_the_result_is_written_after_every_seed(watched: Watched) -> None:
    assert [[run["seed"] for run in values["runs"]] for values in watched.written] == [[0], [0, 1]]


def test_the_best_draw_is_the_best_of_its_draws() -> None:
    made = problem(network=SMOOTH)
    settings = [start_parameters(made)]
    best = comparison.best_draw(made, "random_partition", settings, made.training, 3)
    design, leds, na, rng = made.experiment.design, made.leds, made.objective_na, np.random.default_rng([3, 1])
    draws = [comparison.contender(made, starts.random_partition(design, leds, na, rng)) for _ in range(3)]
    errors = [network_errors(one, settings[0], made.training).mean() for one in draws]
    assert torch.equal(best.levels, draws[int(np.argmin(errors))].levels)


def test_what_is_judged_by_the_solver_is_what_it_makes_of_the_objects() -> None:
    """No network's steps or depth count, and the same noise gives the same errors."""
    made = problem(engine={"precision": "float64"})
    some = comparison.best_draw(made, "random_partition", [], made.training, 1)
    errors = solver_errors(some, made.held_out)
    found = made.object_of(solver_outputs(some, made.held_out)).numpy()
    truth = made.held_out.truth.numpy()
    for x, t, error in zip(found, truth, errors, strict=True):
        overlap = np.vdot(x, t)
        missed = np.abs(x * overlap / abs(overlap) - t)
        assert error == pytest.approx(np.sqrt((missed**2).mean() / t.var()), rel=1e-5)
    deeper = problem(engine={"precision": "float64"}, network={"unrolls": 9})
    same = comparison.best_draw(deeper, "random_partition", [], deeper.training, 1)
    assert np.array_equal(errors, solver_errors(same, deeper.held_out))


@pytest.mark.parametrize(("rows", "bright"), [(1, 1), (2, 1), (5, 2), (8, 4), (12, 4)])
def test_so_many_frames_are_divided_between_the_bands(rows: int, bright: int) -> None:
    made = problem()
    found = starts.divided(made.experiment.design, rows, made.leds, made.objective_na)
    assert (found.bright_field_rows, found.rows) == (bright, rows)
    only = made.leds.select(made.leds.bright_field(made.objective_na))
    assert starts.divided(made.experiment.design, rows, only, made.objective_na).dark_field_rows == 0


def test_the_command_prints_the_same_numbers_as_json(
    watched: Watched, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same seeds give the same numbers, and stdout is what the file holds."""
    (tmp_path / "e.toml").write_text(to_toml(watched.experiment), encoding="utf-8")
    effort = ["--seeds", "2", "--draws", "2", "--objects", "2"]
    words = ["bench", "design", str(tmp_path / "e.toml"), *effort, "-o", str(tmp_path / "r.json"), "--json"]
    assert cli.main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((tmp_path / "r.json").read_text())
    learned = [r for r in found["rows"] if r["design"] == LEARNED]
    assert [r["error"] for r in learned] == pytest.approx(
        [r["error"] for r in watched.result["rows"] if r["design"] == LEARNED], rel=0.2
    )


def test_patterns_that_are_given_take_part_at_equal_exposure(watched: Watched, tmp_path: Path) -> None:
    """Half circles, given as a file, come out as half circles do; LEDs and exposures are matched by their numbers."""
    made = problem(network=SMOOTH)
    half = known_design(made, "half_circles")
    patterns = replace(
        half.task.result(design_parameters(half.task, half.levels, half.exposures, half.levels.new_zeros(1)), 0),
        exposures=3 * half.exposures.double().numpy(),
        name="mine",
    )
    turned = np.arange(len(made.leds))[::-1]
    shuffled = replace(
        patterns,
        levels=patterns.levels[:, turned],
        led_numbers=patterns.led_numbers[turned],
        positions_mm=patterns.positions_mm[turned],
        illumination_na=patterns.illumination_na[turned],
    )
    found = given_design(made, shuffled, "patterns 1")
    assert found.title == "mine" and torch.equal(found.levels, half.levels)
    assert found.exposures.tolist() == pytest.approx(half.exposures.tolist())
    write_json(shuffled, tmp_path / "mine.json", Options(bits=8))
    path = experiment_on_disk(tmp_path, training={"steps": 1}, network=SMOOTH)
    words = [
        "bench",
        "design",
        str(path),
        "--seeds",
        "1",
        "--draws",
        "1",
        "--objects",
        "1",
        "-o",
        str(tmp_path / "r.json"),
    ]
    assert cli.main([*words, "--patterns", str(tmp_path / "mine.json")]) == 0
    rows = {
        r["title"]: r["error"] for r in json.loads((tmp_path / "r.json").read_text())["rows"] if r["judge"] == SOLVER
    }
    assert rows["mine"] == pytest.approx(rows["half circles"], rel=1e-5)


def test_patterns_that_cannot_take_part_are_refused() -> None:
    made = problem()
    patterns = made.result(start_parameters(made), 0)
    with pytest.raises(DataError, match="the comparison is of 2 frames"):
        given_design(
            made, replace(patterns, levels=patterns.levels[:1], exposures=patterns.exposures[:1], row_names=("a",)), "x"
        )
    lit = int(patterns.led_numbers[(patterns.levels > 0).any(0)][0])
    elsewhere = np.where(patterns.led_numbers == lit, 99, patterns.led_numbers)
    with pytest.raises(DataError, match="lights LED 99, which is not among the 9 LEDs"):
        given_design(made, replace(patterns, led_numbers=elsewhere), "x")


def no_json(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Comparisons that take no time; the frames and seeds they were asked for."""
    asked: list[tuple[int, int]] = []

    def one_run(_experiment: Any, _dataset: Any, frames: int, seed: int, *_values: Any) -> Iterator[Run]:
        asked.append((frames, seed))
        yield made_up(np.array([0.4]), np.array([0.5]), frames)[0]

    monkeypatch.setattr(comparison, "one_run", one_run)
    return asked


def test_every_number_of_frames_with_every_seed(tmp_path: Path, instant: list[tuple[int, int]]) -> None:
    path = experiment_on_disk(tmp_path)
    words = ["bench", "design", str(path), "--frames", "2", "4", "--seeds", "2", "-o", str(tmp_path / "r.json")]
    assert cli.main([*words, "--plot", str(tmp_path / "p.png")]) == 0
    assert instant == [(2, 0), (2, 1), (4, 0), (4, 1)] and (tmp_path / "p.png").is_file()
    json.loads((tmp_path / "r.json").read_text(), parse_constant=no_json)


def test_a_result_that_cannot_be_written_is_noticed_at_once(tmp_path: Path, instant: list[tuple[int, int]]) -> None:
    some = load_experiment(experiment_on_disk(tmp_path))
    assert isinstance(some, FpmExperiment)
    with pytest.raises(SettingsError, match="there is no folder"):
        comparison.run(some, (), [0], QUICK, lambda _text: None, tmp_path / "no" / "r.json")
    path = experiment_on_disk(tmp_path)
    assert cli.main(["bench", "design", str(path), "--seeds", "1", "--plot", str(tmp_path / "no" / "p.png")]) == 2
    assert not instant


@pytest.mark.parametrize(
    "words", [("--seeds", "0"), ("--draws", "0"), ("--objects", "0"), ("--frames", "0")], ids=" ".join
)
def test_numbers_that_cannot_be(words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = experiment_on_disk(tmp_path, training={"steps": 0})
    assert cli.main(["bench", "design", str(path), "--seeds", "1", *words]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("ptychoui: ")


def test_something_to_compare_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "design"]) != 0
    assert "which experiment?" in capsys.readouterr().err


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


def test_rows_are_sorted_with_the_bright_field_first() -> None:
    made = problem()
    some = comparison.contender(made, starts.sequential(made.leds))
    bright = torch.from_numpy(made.leds.bright_field(made.objective_na))
    has_bright = (some.levels[:, bright].sum(1) > 0).tolist()
    assert has_bright == sorted(has_bright, reverse=True)
    assert some.task.experiment.design.bright_field_rows == sum(has_bright)
    assert len(some.levels) == len(made.leds) and bool(some.task.mask.all())
