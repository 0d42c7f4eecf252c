"""The comparison of designs of few bits: fair rules, paired statistics, nothing lost on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from training.small import experiment_on_disk, problem

from ptychoui import cli
from ptychoui.bench.design import levels
from ptychoui.bench.design.levels import ANY_LEVEL, IN_THE_LOOP, ROUNDED, START, Score, rounded, summarise, table
from ptychoui.errors import SettingsError
from ptychoui.export.quantise import quantise
from ptychoui.settings import load_experiment
from ptychoui.tasks.fpm.contenders import Contender
from ptychoui.tasks.fpm.parameters import DesignParameters, start_parameters

WAYS = [(0, ANY_LEVEL), *((bits, way) for bits in (1, 3) for way in (ROUNDED, IN_THE_LOOP, START))]


@dataclass
class Watched:
    """A comparison over two seeds, and what it measured and wrote."""

    result: dict[str, Any]
    judged: list[tuple[Contender, DesignParameters]] = field(default_factory=list)
    written: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("levels")
    some = load_experiment(experiment_on_disk(folder, training={"steps": 3, "learning_rate": 0.1}))
    found = Watched({})
    network_errors, write = levels.network_errors, levels.write_atomic

    def judge(design: Contender, parameters: DesignParameters, examples: Any) -> Any:
        if len(examples) == 2:
            found.judged.append((design, parameters))
        return network_errors(design, parameters, examples)

    def kept(path: Path, text: str) -> Path:
        found.written.append(json.loads(text))
        return write(path, text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(levels, "network_errors", judge)
        patch.setattr(levels, "write_atomic", kept)
        suited = levels.learning(some, 4, "random_partition")  # type: ignore[arg-type]
        found.result = levels.run(suited, (3, 1), (0, 1), 2, output=folder / "r.json")
    yield found


def test_every_way_is_judged_for_every_seed_and_written_after_each(watched: Watched) -> None:
    scores = watched.result["scores"]
    assert [(s["seed"], s["bits"], s["way"]) for s in scores] == [(n, *way) for n in (0, 1) for way in WAYS]
    assert all(0 < s[judge] < 5 for s in scores for judge in ("network", "solver"))
    assert [len(w["scores"]) for w in watched.written] == [len(WAYS), 2 * len(WAYS)]
    assert watched.result["seeds"] == [0, 1] and len(table(watched.result).splitlines()) == 2 + 4


def test_all_have_equal_frames_and_no_more_than_the_total_exposure_and_show_whole_codes(watched: Watched) -> None:
    for design, _ in watched.judged:
        bits = design.task.experiment.design.drive_bits
        assert design.levels.shape == (2, 9)
        assert float(design.exposures.sum()) <= 2.0 + 1e-5
        if bits is not None:
            codes = design.levels * (2**bits - 1)
            assert float((codes - codes.round()).abs().max()) < 1e-5
    assert [d.task.experiment.design.drive_bits for d, _ in watched.judged[: len(WAYS)]] == [None, *3 * [1], *3 * [3]]


def test_each_learned_design_keeps_its_own_network(watched: Watched) -> None:
    any_level, one_bit_rounded, one_bit = (parameters for _, parameters in watched.judged[:3])
    assert one_bit_rounded is any_level and one_bit is not any_level
    assert not torch.equal(any_level["step"], one_bit["step"])


def test_rounding_is_that_of_the_export_and_corrects_the_exposures() -> None:
    """Frame times after it are those that the export asks for, shortened alike where they would exceed the total."""
    task = levels.with_bits(problem(measurement={"photons_per_led": 1e3}), 1)
    latent = np.where(task.mask.numpy(), np.random.default_rng(3).random((2, 9)), 0)
    coded = quantise(latent, 1)
    for asked in (np.array([1.0, 1.0]), np.array([1.0, 1.0]) * 2.5 / coded.exposure_scale.sum()):
        found = rounded(task, torch.from_numpy(latent), torch.from_numpy(asked))
        assert np.array_equal(found.levels.numpy(), coded.levels)
        expected = asked * coded.exposure_scale
        assert found.exposures.numpy() == pytest.approx(expected * min(1, 2 / expected.sum()))
    assert expected.sum() > 2
    with pytest.raises(SettingsError, match="to how many bits"):
        rounded(problem(), torch.from_numpy(latent), torch.ones(2))
    begun = start_parameters(task)
    assert found.levels.shape == begun.levels.shape


@pytest.mark.parametrize("seeds", [2, 5])
def test_differences_are_paired_by_seed(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    common = rng.random(seeds)
    made = {way: common + offset + 0.01 * rng.random(seeds) for way, offset in ((ROUNDED, 0.1), (IN_THE_LOOP, 0.0))}
    made |= {START: common + 0.3, ANY_LEVEL: common}
    scores = [
        Score(seed=n, bits=bits, way=way, network=e[n], solver=2 * e[n], lit=3.0, total_exposure=2.0)
        for way, e in made.items()
        for bits in ((0,) if way == ANY_LEVEL else (1,))
        for n in range(seeds)
    ]
    network, solver = summarise(scores, 1)["rows"]  # type: ignore[misc]
    interval = stats.ttest_rel(made[IN_THE_LOOP], made[ROUNDED]).confidence_interval(0.95)
    low, high = (network["minus_rounded"] + sign * network["minus_rounded_interval_95"] for sign in (-1, 1))
    assert (low, high) == pytest.approx((interval.low, interval.high))
    assert network["in_the_loop"] == pytest.approx(made[IN_THE_LOOP].mean())
    assert solver["minus_start"] == pytest.approx(2 * (made[IN_THE_LOOP] - made[START]).mean())


def test_the_command_says_what_cannot_be(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = str(experiment_on_disk(tmp_path))
    assert cli.main(["bench", "levels", path, "--bits", "17"]) == 2
    assert "17 bits per level: it must be 1 to 16" in capsys.readouterr().err
    assert cli.main(["bench", "levels", path, "-o", str(tmp_path / "no" / "r.json")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_the_command_measures(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = str(experiment_on_disk(tmp_path))
    words = ["--bits", "1", "--seeds", "2", "--steps", "1", "--unrolls", "2", "--objects", "1", "--json"]
    assert cli.main(["bench", "levels", path, *words]) == 0
    out, err = capsys.readouterr()
    assert len(json.loads(out)["scores"]) == 8 and "1 bit, in the loop" in err
