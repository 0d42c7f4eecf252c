"""The contract of tasks, shown by one that is no optics: everything above the engine runs it unseen."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
import torch
from tasks import deconvolution
from tasks.deconvolution import Deconvolution, build_task

import ptychoui
from ptychoui.cli import main
from ptychoui.errors import CertificateError, SettingsError
from ptychoui.settings import KINDS, kinds, load_experiment, to_toml
from ptychoui.training.check import check_vjps
from ptychoui.training.control import RunControl
from ptychoui.training.evaluation import evaluate_run, load_run
from ptychoui.training.events import Finished, Started, StepDone, Validated, VjpsChecked
from ptychoui.training.gradients import loss_and_gradients
from ptychoui.training.planning import methods_to_check, plan_run
from ptychoui.training.run_folder import RunFolder
from ptychoui.training.runs import new_run, resume_run
from ptychoui.training.task import AnyTask
from ptychoui.training.trainer import Trainer

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    """Other tests list the kinds that the program itself has."""
    KINDS["deconvolution"] = deconvolution.KIND
    yield
    KINDS.pop("deconvolution")


def experiment(**sections: object) -> Deconvolution:
    settings: dict[str, object] = {
        "name": "blind",
        "seed": 4,
        "engine": {"device": "cpu", "check_every": 5},
        "training": {"steps": 20, "batch": 3, "validate_every": 5, "learning_rate": 0.03},
    }
    for name, values in sections.items():
        settings[name] = {**settings.get(name, {}), **values} if isinstance(values, dict) else values  # type: ignore[dict-item]
    return Deconvolution(**settings)


def written(folder: Path, **sections: object) -> Path:
    path = folder / "blind.toml"
    path.write_text(to_toml(experiment(**sections)), encoding="utf-8")
    return path


def same_state(first: Trainer[AnyTask], second: Trainer[AnyTask]) -> None:
    one, two = first.state(), second.state()
    assert one.keys() == two.keys()
    for name in one:
        assert name == "elapsed_s" or np.array_equal(one[name], two[name]), name


def close(run: Trainer[AnyTask]) -> Trainer[AnyTask]:
    assert run.folder is not None
    run.folder.close()
    return run


def test_its_file_is_read_by_its_kind(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert load_experiment(path) == experiment()
    assert 'kind = "deconvolution"' in path.read_text()
    KINDS.pop("deconvolution")
    with pytest.raises(SettingsError, match="unknown kind of experiment 'deconvolution'"):
        load_experiment(path)
    KINDS["deconvolution"] = deconvolution.KIND


@pytest.mark.parametrize("kind", ['"ct"', "3", '["fpm"]', "{ name = 'fpm' }", "true"])
def test_a_kind_that_is_none_is_refused_in_a_sentence(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(f"kind = {kind}\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="unknown kind of experiment") as error:
        load_experiment(path)
    assert "fpm" in error.value.hint


def test_a_package_offers_its_kind_by_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path)
    KINDS.pop("deconvolution")
    offered = EntryPoint("deconvolution", "tasks.deconvolution:KIND", kinds.ENTRY_POINTS)
    broken = EntryPoint("deconvolution", "tasks.not_there:KIND", kinds.ENTRY_POINTS)

    def points(group: str, name: str) -> list[EntryPoint]:
        return [each for each in found if (each.group, each.name) == (group, name)]

    monkeypatch.setattr(kinds, "entry_points", points)
    found = [broken]
    with pytest.raises(SettingsError, match=r"cannot be loaded: No module named 'tasks\.not_there'"):
        load_experiment(path)
    found = [offered]
    assert load_experiment(path) == experiment()
    assert KINDS["deconvolution"] is deconvolution.KIND


def test_it_learns_and_its_gradients_are_checked() -> None:
    events = list(Trainer(build_task(experiment())).run())
    scores = [event.scores["signal_error"] for event in events if isinstance(event, Validated)]
    assert len(scores) == 5 and scores[-1] < 0.9 * scores[0] and scores[0] < 0.5
    assert sum(isinstance(event, VjpsChecked) for event in events) == 4
    started = events[0]
    assert isinstance(started, Started) and started.summary == "5 taps blur the signals"
    assert started.notes == ("signals are made from the seed", "a quarter of the signals is held out")
    assert isinstance(events[-1], Finished)


@pytest.mark.parametrize("name", ["store_all", "reversible", "checkpoint", "greedy"])
def test_its_gradients_are_finite_differences(name: str) -> None:
    task = build_task(experiment(engine={"precision": "float64", "strategy": name, "modules": 1}))
    parameters, batch = task.parameters(), task.training.pick([0, 2, 5])
    found = loss_and_gradients(task, task.network(), name, parameters, batch, None, examples_at_once=2)
    for key in ("kernel", "step"):
        direction = torch.randn(parameters[key].shape, dtype=torch.float64, generator=torch.manual_seed(1))
        losses = {}
        for s in (-1, 1):
            moved = parameters.with_tensors(dict(parameters.items()) | {key: parameters[key] + s * 1e-5 * direction})
            losses[s] = loss_and_gradients(task, task.network(), name, moved, batch, None).loss
        slope = (losses[1] - losses[-1]) / 2e-5
        assert float((found.gradients[key] * direction).sum()) == pytest.approx(slope, rel=1e-6)


def test_it_is_planned() -> None:
    task = build_task(experiment(engine={"strategy": "auto", "memory_mb": 100.0}, network={"unrolls": 40}))
    chosen = plan_run(task, task.parameters())
    assert chosen.option.strategy != "greedy" and set(chosen.predicted) >= {"store_all", "reversible", "checkpoint"}
    assert chosen.predicted["store_all"] > chosen.predicted["reversible"]


def test_a_wrong_product_of_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    task = build_task(experiment())
    method = methods_to_check(task, plan_run(task, task.parameters()))[0]

    def spoilt(signals: torch.Tensor, taps: torch.Tensor) -> torch.Tensor:
        return right(signals, taps.detach() + 0.5 * (taps - taps.detach()))

    right = deconvolution.blur
    arguments = (task, task.double(), method, task.parameters(), task.training.pick([0]))
    assert check_vjps(*arguments, torch.Generator().manual_seed(1)) < 1e-6
    monkeypatch.setattr(deconvolution, "blur", spoilt)
    with pytest.raises(CertificateError, match="derivatives in kernel"):
        check_vjps(*arguments, torch.Generator().manual_seed(1))


def test_it_is_stopped_and_resumed_bit_for_bit(tmp_path: Path) -> None:
    whole = new_run(experiment(), tmp_path / "whole")
    list(whole.run())
    control = RunControl()
    first = new_run(experiment(), tmp_path / "run", control)
    for event in first.run():
        if isinstance(event, StepDone) and event.step == 7:
            control.stop()
    close(first)
    second = resume_run(tmp_path / "run")
    assert second.step == 7
    list(second.run())
    same_state(close(whole), close(second))


RUN = """
import sys
from tasks import deconvolution
from ptychoui.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_killed_run_of_it_goes_on_to_the_same_end(tmp_path: Path) -> None:
    path = written(tmp_path, training={"steps": 4000, "save_every_s": 0.05, "validate_every": 1000})
    words = [sys.executable, "-c", RUN, "train", str(path), "-o", str(tmp_path / "run")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(ptychoui.__file__).parents[1]), str(TESTS)])}
    process = subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    # Its history is written before its state: only a state says that there is something to go on from.
    saved = tmp_path / "run" / "state.previous.npz"
    while process.poll() is None and time.monotonic() < deadline:
        if saved.exists() and int((RunFolder.open(tmp_path / "run", lock=False).load() or {"step": 0})["step"]) > 0:
            break
        time.sleep(0.01)
    assert process.poll() is None, "it ended before it was killed"
    process.send_signal(signal.SIGKILL)
    process.wait()

    def to_the_end(folder: Path) -> Trainer[AnyTask]:
        run = resume_run(folder, changes=lambda e: e.replace(training=e.training.replace(steps=end)))
        list(run.run())
        return close(run)

    reached = load_run(tmp_path / "run").step
    assert 0 < reached < 4000
    end = reached + 3
    killed = to_the_end(tmp_path / "run")
    settings = load_experiment(path)
    whole = new_run(settings.replace(training=settings.training.replace(steps=end)), tmp_path / "whole")
    list(whole.run())
    same_state(close(whole), killed)


def test_modules_with_optimisers_of_their_own_step_as_published(tmp_path: Path) -> None:
    """Against plain loops: autograd through each module alone, an Adam for each, one more for the shared kernel."""
    engine = {"strategy": "greedy", "modules": 3, "module_optimisers": "each", "precision": "float64", "check_every": 0}
    settings = experiment(engine=engine, blur={"noise": 0.0}, training={"steps": 3, "batch": 9, "validate_every": 100})
    trainer = new_run(settings, tmp_path / "run")
    task = trainer.task
    start = task.parameters()
    kernel, steps = start["kernel"].clone(), [start["step"][2 * m : 2 * m + 2].clone() for m in range(3)]
    own = [torch.optim.Adam([step], lr=0.03) for step in steps]
    shared = torch.optim.Adam([kernel], lr=0.03)
    for _ in range(3):
        x, v = task.training.blurred, torch.zeros_like(task.training.blurred)
        of_kernel, of_steps = torch.zeros_like(kernel), []
        for module in range(3):
            taps, step = kernel.clone().requires_grad_(), steps[module].clone().requires_grad_()
            x, v = x.detach(), v.detach()
            for unroll in range(2):
                v = 0.5 * v - step[unroll] * deconvolution.blur(
                    deconvolution.blur(x, taps) - task.training.blurred, taps
                )
                x = x + v
            task.loss(x, task.training).mean().backward()
            of_kernel += taps.grad / 3  # type: ignore[operator]
            of_steps.append(step.grad)
        kernel.grad = of_kernel
        for step, gradient, optimiser in zip(steps, of_steps, own, strict=True):
            step.grad = gradient
            optimiser.step()
        shared.step()
        kernel.clamp_(0, 1)
        for step in steps:
            step.clamp_(1e-3, 1.0)
    list(trainer.run())
    # Nine of nine signals in any order: sums differ by rounding.
    assert torch.allclose(trainer.parameters["kernel"], kernel, rtol=1e-6)
    assert torch.allclose(trainer.parameters["step"], torch.cat(steps), rtol=1e-6)
    again = resume_run(close(trainer).folder.path)  # type: ignore[union-attr]
    same_state(trainer, close(again))
    assert {name for name in trainer.state() if name.endswith("exp_avg")} == {
        "adam_kernel_exp_avg", "adam_step.0_exp_avg", "adam_step.1_exp_avg", "adam_step.2_exp_avg"
    }  # fmt: skip


def test_the_command_line_trains_scores_reports_and_exports_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)
    path = written(tmp_path)
    assert main(["train", str(path), "-o", "run", "--report"]) == 0
    assert "held-out signal error" in capsys.readouterr().out
    assert "3 learned taps" in (tmp_path / "run" / "report.html").read_text()
    assert main(["evaluate", "run"]) == 0
    assert "3 held-out objects against the signals: signal error 0." in capsys.readouterr().out
    assert evaluate_run("run")["signal_error"] < 1
    assert main(["export", "run", "--to", "npz", "-o", "kernel.npz"]) == 0
    with np.load("kernel.npz") as arrays:
        assert arrays["kernel"].shape == (3,) and json.loads(str(arrays["record"]))["steps"] == 20
    capsys.readouterr()
    for words in (["export", "run", "--to", "c_header", "-o", "x.h"], ["evaluate", "run", "--data", "x.h5"]):
        assert main(words) != 0
        error = capsys.readouterr().err
        assert error.startswith("error:") or "ptychoui" in error, error
        assert "Traceback" not in error


def test_generic_modules_speak_of_no_microscope() -> None:
    """No word of Fourier ptychography in `training`, in code or in text; `photons` and the like belong to tasks."""
    words = re.compile(r"\b(leds?|pupils?|levels?|exposures?|phase|microscopes?|ptychograph\w*|fpm)\b", re.I)
    found = []
    for path in sorted((Path(ptychoui.__file__).parent / "training").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        ast.parse(text)
        found += [
            f"{path.name}:{n}: {line.strip()}" for n, line in enumerate(text.splitlines(), 1) if words.search(line)
        ]
    assert not found, "\n".join(found)
