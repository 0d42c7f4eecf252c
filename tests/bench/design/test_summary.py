"""What a comparison says without anything learned: whose gains, what to use, and patterns from files and runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from training.small import experiment, experiment_on_disk

from ptychoui import cli
from ptychoui.bench.design.comparison import run
from ptychoui.bench.design.entrants import ALL_EQUAL, ALL_WHOLE, EVERYTHING, Effort, Entrants, Run
from ptychoui.bench.design.given import patterns_in
from ptychoui.bench.design.summary import subject_of, summarise, table
from ptychoui.design.patterns import PatternSet
from ptychoui.errors import DataError, PtychouiError
from ptychoui.settings import FpmExperiment, load_experiment
from ptychoui.tasks.fpm.contenders import known_design
from ptychoui.tasks.fpm.judges import network_errors
from ptychoui.tasks.fpm.parameters import start_parameters
from ptychoui.tasks.fpm.task import build_task
from ptychoui.tasks.fpm.titles import NETWORK, SOLVER, TITLES
from ptychoui.tasks.fpm.tuning import tuned_network
from ptychoui.training.runs import new_run
from ptychoui.training.verdict import LEARNED


def made_up(frames: int = 6, **errors: tuple[list[float], list[float]]) -> Run:
    """A run whose designs have these errors, (object,) by the network and by the solver."""
    names = {name.replace("patterns_", "patterns "): values for name, values in errors.items()}
    return Run(
        frames=frames,
        seed=0,
        began="",
        titles={name: TITLES.get(name, name) for name in names},
        errors={name: {NETWORK: both[0], SOLVER: both[1]} for name, both in names.items()},
        correlation={name: [1.0, 0.75, 0.25] for name in names},
        frequency_per_um=[0.1, 0.2, 0.4],
        pixel_um=0.5,
        loss=None,
        seconds=1.0,
    )


SMALL, LARGE = [0.2, 0.22, 0.21], [0.4, 0.43, 0.42]


def test_whose_gains_are_stated() -> None:
    """What is learned, else the first that was given, else the best hand-made design."""
    known: dict[str, Any] = {"half_circles": (LARGE, LARGE), "singles": (SMALL, SMALL)}
    assert subject_of([made_up(**known)]) == "singles"
    assert subject_of([made_up(**known, patterns_2=(LARGE, LARGE), patterns_1=(LARGE, LARGE))]) == "patterns 2"
    assert subject_of([made_up(**known, patterns_1=(LARGE, LARGE), learned=(LARGE, LARGE))]) == LEARNED
    ceilings = made_up(**{ALL_EQUAL: (LARGE, LARGE), ALL_WHOLE: (SMALL, SMALL)})
    assert subject_of([ceilings]) == ALL_WHOLE and summarise([ceilings])["verdicts"][0]["sentence"] == ""


def test_given_patterns_are_held_against_the_best_that_is_known() -> None:
    given, known = [0.3, 0.33, 0.31], [0.25, 0.26, 0.27]
    result = summarise([made_up(half_circles=(known, known), singles=(LARGE, LARGE), patterns_1=(given, given))])
    row = next(r for r in result["rows"] if (r["design"], r["judge"]) == ("half_circles", SOLVER))
    interval = stats.ttest_rel(known, given).confidence_interval(0.95)
    assert row["subject"] == "patterns 1" and row["gain"] == pytest.approx(1 - np.mean(given) / np.mean(known))
    assert (row["low"] * np.mean(known), row["high"] * np.mean(known)) == pytest.approx((interval.low, interval.high))
    (verdict,) = result["verdicts"]
    assert verdict["recommended"] == "half_circles"
    assert "the patterns 'patterns 1' are worse than half circles: use half circles" in verdict["sentence"]
    better = summarise([made_up(half_circles=(LARGE, LARGE), patterns_1=(SMALL, SMALL))])["verdicts"][0]
    assert better["recommended"] == "patterns 1" and "better than half circles" in better["sentence"]


def test_hand_made_designs_alone() -> None:
    (verdict,) = summarise([made_up(half_circles=(SMALL, SMALL), singles=(LARGE, LARGE))])["verdicts"]
    assert verdict["recommended"] == "half_circles"
    assert verdict["sentence"].startswith("use half circles: the smallest mean error of the hand-made designs")
    assert "smaller error" in verdict["sentence"] and "over 3 held-out objects" in verdict["sentence"]
    least = [0.1, 0.12, 0.11]
    (verdict,) = summarise([made_up(half_circles=(least, LARGE), singles=(LARGE, SMALL))])["verdicts"]
    assert verdict["sentence"].startswith("half circles or single LEDs: the judges do not agree")


def test_the_text_names_whose_gains_it_states() -> None:
    result = summarise([made_up(half_circles=(SMALL, SMALL), singles=(LARGE, LARGE))])
    lines = table(result).splitlines()
    assert "gain of half circles" in lines[0] and any(line.startswith("6 frames: use half circles") for line in lines)
    (line,) = [line for line in lines if line.startswith("half circles ")]
    assert "%" not in line


def test_patterns_take_part_at_their_own_number_of_frames() -> None:
    made = patterns(2)
    entrants = Entrants(learn=False, known=("singles",), given=(replace(made, name="a"), patterns(4)))
    assert entrants.names(2) == ("singles", "patterns 1", ALL_EQUAL, ALL_WHOLE)
    assert entrants.names(4) == ("singles", "patterns 2", ALL_EQUAL, ALL_WHOLE)
    entrants.check((2, 4))
    with pytest.raises(DataError, match="a has 2 patterns, the comparison is of 4 frames"):
        entrants.check((4,))
    assert EVERYTHING.names(3) == (LEARNED, *TITLES, ALL_EQUAL, ALL_WHOLE)


def patterns(rows: int) -> PatternSet:
    some = experiment()
    assert some.geometry is not None
    return PatternSet(
        levels=np.ones((rows, 2)),
        exposures=np.ones(rows),
        led_numbers=np.arange(2),
        positions_mm=np.zeros((2, 3)),
        illumination_na=np.zeros((2, 2)),
        row_names=("",) * rows,
        geometry=some.geometry,
    )


def test_the_folder_of_a_run_stands_for_its_patterns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those that it has learned, under the name of the folder."""
    path = experiment_on_disk(tmp_path, training={"steps": 2})
    night = new_run(load_experiment(path), tmp_path / "night")
    list(night.run())
    assert night.folder is not None
    night.folder.close()
    found = patterns_in(tmp_path / "night")
    assert found.name == "night" and found.levels.shape == (2, 9) and found.record["steps"] == 2
    words = ["bench", "design", str(path), "--no-learn", "--known", "half_circles", "--no-ceilings", "--seeds", "1"]
    capsys.readouterr()
    assert cli.main([*words, "--objects", "1", "--patterns", str(tmp_path / "night")]) == 0
    out = capsys.readouterr().out
    assert "gain of night" in out and "all LEDs" not in out
    with pytest.raises(PtychouiError):
        patterns_in(tmp_path)


def test_the_network_is_tuned_for_each_design_and_nothing_is_chosen(tmp_path: Path) -> None:
    """Errors are those of settings that were learned for the design; an open start is none that takes hours."""
    smooth = {"prior": "smooth", "step": None, "unrolls": 4, "learn_smoothness": True}
    best = load_experiment(
        experiment_on_disk(tmp_path, training={"steps": 40}, network=smooth, design={"start": "best"})
    )
    assert isinstance(best, FpmExperiment)
    chosen: list[str] = []
    entrants = Entrants(learn=False, known=("half_circles", "hybrid"), ceilings=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ptychoui.tasks.fpm.task.with_best_start", lambda *_: chosen.append("best"))
        result = run(best, (), [4], Effort(draws=1, judged=2), lambda _: None, None, entrants)
    assert not chosen
    hybrid = best.replace(design=best.design.replace(start="hybrid"), seed=4)
    task = build_task(hybrid)
    for name in entrants.known:
        design = known_design(task, name)
        own = tuned_network(design, [start_parameters(task)], task.training.spread(4), 10)
        errors = network_errors(design, own, task.held_out.spread(2))
        untuned = network_errors(design, start_parameters(task), task.held_out.spread(2))
        found = result["runs"][0]["errors"][name][NETWORK]
        assert found == errors.tolist() and found != untuned.tolist()


def test_nothing_to_compare_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = experiment_on_disk(tmp_path)
    words = ["bench", "design", str(path), "--no-learn", "--no-ceilings"]
    assert cli.main([*words, "--known", "singles"]) == 2
    assert "there is nothing to compare" in capsys.readouterr().err
    assert cli.main([*words, "--known", "ring", "singles"]) == 2
    assert "there is no design 'ring'" in capsys.readouterr().err
