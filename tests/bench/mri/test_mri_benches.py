"""The benchmarks of multi-channel MRI on small problems: what they say is what happened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tasks.mri.test_mri_task import experiment

from ptychoui.bench.mri import greedy, lines, memory, prior, resident, variants, volume
from ptychoui.cli import main
from ptychoui.errors import SettingsError
from ptychoui.settings import to_toml

FAST = {"steps": 3, "validate_every": 10}


def small(**sections: Any) -> Any:
    sections.setdefault("training", FAST)
    return experiment(**sections)


def test_memory_of_strategies_is_metered_and_gradients_are_equal() -> None:
    result = memory.run((2, 4), (40, 32), 3, 6, repeats=1, inverse=True)
    one, faint = result["inverse"]
    assert one["mu"] == 1.0 and one["gradient_deviation"] < 0.02 and one["checkpoints"] <= faint["checkpoints"] <= 10
    rows = {(row["strategy"], row["unrolls"]): row for row in result["rows"]}
    assert len(rows) == 6 and all(row["equal"] is not False for row in rows.values())
    assert rows["store_all", 4]["peak_bytes"] > 1.5 * rows["store_all", 2]["peak_bytes"]
    assert rows["reversible", 4]["peak_bytes"] < 1.02 * rows["reversible", 2]["peak_bytes"]
    assert rows["reversible", 4]["certificate"].startswith("exact")
    said = memory.table(result)
    assert "reversible over store_all: memory" in said and "memory foretold within" in said and "1.49" in said


def test_steps_of_series_are_certified() -> None:
    result = volume.run("cine", 1e7, steps=2, channels=4, size=(4, 36, 28))
    assert result["certified"] == result["steps"] == 2 and result["unrolls"] >= 4
    assert result["stored_bytes"] >= 1e7 > result["peak_bytes"]
    assert "2 of 2 steps certified" in volume.table(result)


def test_a_prior_is_held_against_classical_methods(few_strengths: None) -> None:
    kept: list[dict[str, Any]] = []
    result = prior.run(small(), [0, 1], keep=lambda found: kept.append(dict(found)))
    assert [len(found["rows"]) for found in kept] == [1, 2] or len(kept) == 2
    errors = np.array([[np.mean(row["errors"][name]) for name in ("tv", "learned")] for row in result["rows"]])
    assert result["errors"]["tv"] == pytest.approx(errors[:, 0].mean())
    gains = [
        np.mean(20 * np.log10(np.array(row["errors"]["tv"]) / np.array(row["errors"]["learned"])))
        for row in result["rows"]
    ]
    mean, low, high = result["gains_db"]["tv"]
    assert mean == pytest.approx(np.mean(gains)) and low <= mean <= high
    assert result["rows"][0]["errors"] != result["rows"][1]["errors"]
    assert f"the best that learned nothing: {result['best']}" in prior.table(result)
    with pytest.raises(SettingsError):
        prior.run(small(), [])


def test_greedy_rows_have_equal_memory_depth_and_weights() -> None:
    result = greedy.run([0], 0.2, (1e-3,), (32, 28), 1, 3, 4)
    rows = {row["row"]: row for row in result["rows"]}
    assert list(rows) == list(greedy.ROWS)
    assert rows["greedy"]["weights"] == rows["deep"]["weights"] == pytest.approx(rows["wide"]["weights"], rel=0.15)
    assert rows["shallow"]["weights"] * 3 == rows["greedy"]["weights"]
    assert len(rows["greedy"]["after_modules"]) == 3
    assert rows["greedy"]["after_modules"][-1] == pytest.approx(rows["greedy"]["error"], rel=1e-4)
    assert 0.5 < result["speed"]["gained"] / result["speed"]["allowed"] < 2
    assert "error after every module" in greedy.table(result)


def test_learned_lines_are_held_against_the_best_of_draws() -> None:
    settings = small(sampling={"acceleration": 3.0, "calibration": 4})
    result = lines.run(settings, [0], draws=3)
    assert set(result["errors"]) == {"learned", "best draw", "equispaced", "redrawn"}
    assert "best of 3 draws" in lines.table(result)


def test_the_best_draw_is_the_one_with_the_least_error() -> None:
    from ptychoui.tasks.mri.task import build_task
    from ptychoui.training.gradients import evaluate

    task = build_task(small(sampling={"acceleration": 3.0, "calibration": 4, "redraw": False}))
    network = task.parameters()
    best = lines.best_draw(task, network, 5, np.random.default_rng(3))
    assert best.shape == (24, 1) and float(best.sum()) == 8
    errors = []
    rng = np.random.default_rng(3)
    for _ in range(5):
        mask = lines.draw_mask("variable_density", "2d", (24, 20), 3.0, 4, rng)
        import torch

        tried = lines.on_pattern(task, torch.from_numpy(mask.astype(np.float32)))
        errors.append(float(evaluate(tried, tried.network(), network, tried.training)["nrmse"].mean()))
    chosen = lines.on_pattern(task, best)
    found = float(evaluate(chosen, chosen.network(), network, chosen.training)["nrmse"].mean())
    assert found == pytest.approx(min(errors)) and max(errors) > 1.001 * min(errors)


def test_the_command_line_benches_and_keeps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], few_strengths: None
) -> None:
    path = tmp_path / "heads.toml"
    path.write_text(to_toml(small()), encoding="utf-8")
    kept = tmp_path / "prior.json"
    assert main(["bench", "mri", "prior", str(path), "--seeds", "1", "-o", str(kept)]) == 0
    assert "learned is better by" in capsys.readouterr().out
    assert json.loads(kept.read_text())["best"] in ("zero_filled", "cg_sense", "l1_wavelet", "tv")
    assert main(["bench", "mri", "prior", "first_light", "--seeds", "1"]) != 0
    assert "kind 'fpm'" in capsys.readouterr().err
    assert main(["bench", "mri", "lines", str(path), "-o", str(tmp_path / "no" / "x.json")]) != 0
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not say how much a process has")
def test_resident_memory_is_read_after_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = iter([90, 100, 130, 120, 110, 105, 101, 100, 110, 104])
    assert resident.resident_bytes() > 10e6
    monkeypatch.setattr(resident, "resident_bytes", lambda: next(sizes))
    found = resident.run(small(), steps=10)
    assert (found["steps"], found["first_bytes"], found["last_bytes"]) == (10, 100, 104)
    assert found["growth"] == pytest.approx(0.04) and found["spread"] == pytest.approx(0.3)
    assert "+4.00 %" in resident.table(found)


def test_values_of_a_setting_are_compared_on_the_same_phantoms() -> None:
    result = variants.run(small(network={"unrolls": 2}), "network.unrolls", ["2", "4"], [0, 1])
    assert [(row["value"], row["seed"]) for row in result["rows"]] == [("2", 3), ("4", 3), ("2", 4), ("4", 4)]
    assert all(row["certified"] == row["steps"] == 3 and row["memory_bytes"] > 0 for row in result["rows"])
    said = variants.table(result)
    assert "better than 2 by" in said and "6/6" in said
    assert variants.varied(small(), "network.planes", "true").network.planes
    assert variants.varied(small(), "network.mu", "0.5").network.mu == 0.5
    for name, value in (("network.colour", "1"), ("nothing", "1"), ("network.unrolls", "many")):
        with pytest.raises(SettingsError):
            variants.varied(small(), name, value)
