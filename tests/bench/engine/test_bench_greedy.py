"""The greedy benchmark: both methods compute what they claim, keep the same memory, and its curves learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from training.small import experiment_on_disk

from ptychoui import cli
from ptychoui.bench.engine import greedy, greedy_cost, greedy_curves, greedy_problems
from ptychoui.bench.engine.greedy_cost import compare
from ptychoui.bench.engine.greedy_curves import Curve, cnn_curve, design_curve
from ptychoui.bench.engine.greedy_plot import plot
from ptychoui.bench.engine.greedy_problems import CHECKPOINT, Crops, Task, fpm_task, make_cnn
from ptychoui.engine.greedy import ModuleDone
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategy import infer
from ptychoui.errors import SettingsError
from ptychoui.settings import load_experiment
from ptychoui.training.gradients import GREEDY


def task(unrolls: int = 3, size: int = 12, batch: int = 2) -> Task:
    return make_cnn(unrolls, size, 4).task(*Crops(["cell", "coins"], size, 0).batch(batch))


def test_the_loss_and_its_derivative() -> None:
    output = torch.randn(2, 3, 3, dtype=torch.complex128, requires_grad=True)
    target = torch.randn(2, 3, 3, dtype=torch.complex128)
    loss, derivative = greedy_problems.mean_square(target, output.detach())
    reference = (output - target).abs().square().mean()
    assert loss == pytest.approx(float(reference.detach()))
    assert torch.allclose(derivative, torch.autograd.grad(reference, output)[0])


def test_end_to_end_derivatives_are_those_of_autograd() -> None:
    made = task()
    loss, found = greedy_problems.end_to_end(made, Scratch())
    leaves = {name: value.clone().requires_grad_() for name, value in made.inputs.items()}
    x = made.x
    for layer in made.chain.layers:
        x = x + layer._network(x, leaves)
    reference = (x - made.target).square().mean()
    assert loss == pytest.approx(float(reference.detach()), rel=1e-5)
    for name, derivative in zip(leaves, torch.autograd.grad(reference, list(leaves.values())), strict=True):
        assert torch.allclose(found[name], derivative, rtol=1e-3, atol=1e-7), name


def test_each_greedy_module_is_one_unroll_with_its_own_weights() -> None:
    made, found = task(), list[ModuleDone]()
    greedy_problems.greedily(made, Scratch(), found.append)
    assert [done.module for done in found] == [0, 1, 2]
    names = [name for done in found for name in done.inputs]
    assert sorted(names) == sorted(made.wanted)
    assert all(name.startswith(f"unroll{done.module + 1}.") for done in found for name in done.inputs)
    output = infer(made.chain, made.x, made.inputs, Scratch())
    assert found[-1].loss == greedy_problems.mean_square(made.target, output)[0]


def test_crops_are_noisy_and_come_from_a_seed() -> None:
    first, again, other = (Crops(["cell", "coins"], 16, seed).batch(40) for seed in (0, 0, 1))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])
    noisy, clean = first
    assert float((noisy - clean).std()) == pytest.approx(greedy_problems.NOISE, rel=0.05)
    assert clean.min() >= 0 and clean.max() <= 1
    assert not set(greedy_problems.TRAINING_IMAGES) & set(greedy_problems.HELD_OUT_IMAGES)
    with pytest.raises(SettingsError, match="the smallest image has"):
        Crops(["cell"], 10_000, 0)


def test_both_ways_keep_one_linearised_layer() -> None:
    """Checkpoints keep a point for each unroll besides, which is little; neither grows by a layer."""
    few, many = (compare(task(unrolls, 24), 1) for unrolls in (2, 8))
    noisy, _ = Crops(["cell"], 24, 0).batch(2)
    point = noisy.numel() * 4
    weights = sum(tensor.numel() * 4 for tensor in task(8, 24).inputs.values())
    assert many.greedy_bytes <= few.greedy_bytes * 1.05
    assert many.checkpoint_bytes - few.checkpoint_bytes <= 7 * point + weights
    assert abs(many.checkpoint_bytes - many.greedy_bytes) <= 9 * point + weights


def test_ratios_by_counting_are_those_of_the_published_limits() -> None:
    cnn, fpm = compare(task(2), 1), compare(fpm_task(2, 32, 21, 2), 1)
    assert cnn.by_counting == pytest.approx(4 / 3) and fpm.by_counting == pytest.approx(5 / 4)


def test_times_are_interleaved_and_turned_into_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that says how long each method takes: the first round warms up and does not count."""
    made, now, calls = task(1), [0.0], list[str]()

    def took(name: str, durations: list[float]) -> Any:
        left = iter(durations)

        def method(*_: Any) -> None:
            calls.append(name)
            now[0] += next(left, 0.0)

        return method

    monkeypatch.setattr(greedy_cost.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(greedy_cost.time, "process_time", lambda: now[0] / 2)
    monkeypatch.setattr(greedy_cost, "end_to_end", took("checkpoint", [99.0, 5.0, 4.0, 9.0]))
    monkeypatch.setattr(greedy_cost, "greedily", took("greedy", [99.0, 3.0, 4.0, 2.0]))
    layer = made.chain.layers[0]
    monkeypatch.setattr(layer, "increment", took("increment", [9.0, 1.0, 2.0, 3.0]))

    class Timed:
        """A linearised layer: 3 s by itself, and 1 s for its increment."""

        def __init__(self) -> None:
            now[0] += 1.0

        @property
        def increment(self) -> None:
            now[0] += 1.0

        def pullback(self, *_: Any) -> None:
            now[0] += 2.0

    monkeypatch.setattr(layer, "linearise", lambda *_: Timed())
    row = compare(made, 3)
    assert calls[:3] == ["checkpoint", "greedy", "increment"] and calls[:3] * 4 == calls[:12]
    assert (row.checkpoint_seconds, row.checkpoint_median) == (4.0, 5.0)
    assert (row.greedy_seconds, row.greedy_median) == (2.0, 3.0)
    assert (row.ratio, row.ratio_median, row.ratio_cpu) == (2.0, 5 / 3, 2.0)
    assert row.by_parts == (1.0 + 3.0) / 4.0


# Curves --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def curves() -> dict[str, Curve]:
    return {method: cnn_curve(method, 2, 12, 4, 4, 40, 1e-2) for method in (CHECKPOINT, GREEDY)}


def test_both_ways_learn_and_start_alike(curves: dict[str, Curve]) -> None:
    end_to_end, greedily = curves[CHECKPOINT], curves[GREEDY]
    assert end_to_end.scores[0] == greedily.scores[0]
    for curve in curves.values():
        assert curve.steps[0] == 0 and curve.steps[-1] == 40 and len(curve.steps) == greedy_curves.SCORES + 1
        assert curve.seconds[0] == 0 and curve.seconds == sorted(curve.seconds)
        assert curve.scores[0] == pytest.approx(greedy_problems.NOISE**2, rel=0.1)
        assert curve.scores[-1] < 0.7 * curve.scores[0]
    assert end_to_end.scores != greedily.scores


def test_one_unroll_is_trained_alike_by_both() -> None:
    """With a single module the local loss is the last one: the same batches, the same optimiser, the same bits."""
    scores = [cnn_curve(method, 1, 12, 4, 2, 5).scores for method in (CHECKPOINT, GREEDY)]
    assert scores[0] == scores[1] and len(set(scores[0])) > 1


def test_curves_are_compared_at_equal_steps_and_equal_time() -> None:
    slow = Curve(
        problem="cnn", strategy="checkpoint", rate=0.1, steps=[0, 2, 4], seconds=[0.0, 4.0, 8.0], scores=[9.0, 5.0, 3.0]
    )
    fast = Curve(
        problem="cnn", strategy="greedy", rate=0.1, steps=[0, 2, 4], seconds=[0.0, 3.0, 6.0], scores=[9.0, 6.0, 4.0]
    )
    assert greedy_curves.at_equal_effort(slow, fast) == {
        "problem": "cnn",
        "at_start": 9.0,
        "steps": 4,
        "seconds": 6.0,
        "equal_steps": {"checkpoint": 3.0, "greedy": 4.0},
        "equal_seconds": {"checkpoint": 4.0, "greedy": 4.0},
    }


def test_curves_are_on_the_clock_that_was_asked_for() -> None:
    """Twice in each optimiser step, and not while a score is taken."""
    calls = iter(range(1000))
    curve = cnn_curve(GREEDY, 1, 12, 2, 1, 3, clock=lambda: float(next(calls) ** 2))
    assert curve.seconds[-1] == 1 + (9 - 4) + (25 - 16)
    with pytest.raises(SettingsError, match="there is no clock 'sun'"):
        greedy.run(clock="sun")


def test_each_way_has_its_own_best_learning_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = {("checkpoint", 1e-3): 2.0, ("checkpoint", 3e-3): 1.0, ("greedy", 1e-3): 3.0, ("greedy", 3e-3): 4.0}

    def made(method: str, *rest: Any, **_named: Any) -> Curve:
        score = ends[method, rest[-1]]
        return Curve(problem="cnn", strategy=method, rate=rest[-1], steps=[0, 1], seconds=[0, 1], scores=[9.0, score])

    monkeypatch.setattr(greedy, "cnn_curve", made)
    result = greedy.run(1, 24, 2, 1, 1, 5, threads=(1,), leds=9, measurements=2)
    assert [(c["strategy"], c["rate"]) for c in result["curves"]] == [("checkpoint", 3e-3), ("greedy", 1e-3)]  # type: ignore[attr-defined]


def test_a_design_learned_greedily_has_a_module_for_each_unroll(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[tuple[str, int]] = []
    build = greedy_curves.build_task

    def watched(experiment: Any) -> Any:
        used.append((experiment.engine.strategy, experiment.engine.modules))
        return build(experiment)

    monkeypatch.setattr(greedy_curves, "build_task", watched)
    some = load_experiment(experiment_on_disk(tmp_path))
    found = [design_curve(method, some, 4) for method in ("reversible", GREEDY)]
    assert used == [("reversible", 3), ("greedy", 3)]
    assert found[0].scores[0] == found[1].scores[0] and found[0].scores[1:] != found[1].scores[1:]
    assert found[0].steps == found[1].steps == [0, 1, 2, 3, 4]


# The command ---------------------------------------------------------------------------------------------

TINY = ["--unrolls", "2", "--size", "24", "--channels", "2", "--repeats", "1", "--threads", "1", "--leds", "9"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    design = experiment_on_disk(tmp_path)
    words = ["bench", "greedy", *TINY, "--steps", "2", "--design", str(design), "--design-steps", "2"]
    assert cli.main([*words, "--plot", str(tmp_path / "figure.png")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 2 + 4
    assert [line.split()[0] for line in lines[2:]] == ["cnn", "fpm", "cnn:", "cnn:", "design:", "design:"]
    assert "checkpoint " in lines[4] and "reversible " in lines[6] and "greedy " in lines[6]
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_threads_are_those_asked_for_and_set_back() -> None:
    before = torch.get_num_threads()
    result = greedy.run(1, 24, 2, 1, 1, 0, threads=(2, 1), leds=9, measurements=2)
    rows = result["rows"]
    assert isinstance(rows, list) and [row["threads"] for row in rows] == [2, 2, 1, 1]
    assert torch.get_num_threads() == before and result["curves"] == []
    with pytest.raises(SettingsError, match="no loss curve to draw"):
        plot(result, Path("figure.png"))


def test_a_figure_that_cannot_be_written(tmp_path: Path, curves: dict[str, Curve]) -> None:
    from dataclasses import asdict

    with pytest.raises(SettingsError, match="cannot write the figure"):
        plot({"curves": [asdict(curve) for curve in curves.values()]}, tmp_path / "figure.colour")
