"""Multi-channel MRI as a task: it learns, its derivatives are right under every strategy, it stops and resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ptychoui.cli import main
from ptychoui.errors import DataError, SettingsError
from ptychoui.settings import KINDS, MriExperiment, load_experiment, to_toml
from ptychoui.tasks.mri.task import MriTask, build_task
from ptychoui.training.check import check_vjps
from ptychoui.training.control import RunControl
from ptychoui.training.evaluation import evaluate_run
from ptychoui.training.events import Finished, StepDone, Validated
from ptychoui.training.gradients import loss_and_gradients
from ptychoui.training.planning import methods_to_check, plan_run
from ptychoui.training.runs import new_run, resume_run
from ptychoui.training.trainer import Trainer

SIZES = {"2d": (24, 20), "slab": (4, 24, 20), "3d": (8, 24, 20), "cine": (4, 24, 20)}


def experiment(**sections: Any) -> MriExperiment:
    settings: dict[str, Any] = {
        "name": "heads",
        "seed": 3,
        "data": {
            "size": (24, 20), "coils": 3, "examples": 4, "held_out": 2, "maps": "stated", "family": "ellipses",
            "held_out_family": "ellipses",
        },
        "sampling": {"acceleration": 2.0, "calibration": 6},
        "network": {"unrolls": 4, "convolutions": 2, "channels": 4},
        "engine": {"device": "cpu", "check_every": 0, "modules": 2},
        "training": {"steps": 8, "validate_every": 4, "learning_rate": 5e-3},
    }  # fmt: skip
    for name, values in sections.items():
        settings[name] = {**settings.get(name, {}), **values} if isinstance(values, dict) else values
    return MriExperiment(**settings)


def of_kind(acquisition: str, **sections: Any) -> MriExperiment:
    family = "heart" if acquisition == "cine" else "ellipses"
    data = {"acquisition": acquisition, "size": SIZES[acquisition], "family": family, "held_out_family": family}
    return experiment(**{**sections, "data": {**data, **sections.get("data", {})}})


def test_its_settings_are_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "heads.toml"
    path.write_text(to_toml(experiment()), encoding="utf-8")
    assert load_experiment(path) == experiment()
    assert KINDS["mri"].settings is MriExperiment


def test_learning_lowers_the_error_of_phantoms_that_it_has_not_seen() -> None:
    training, data = {"steps": 40, "validate_every": 20}, {"snr_db": 12.0, "examples": 8}
    events = list(Trainer(build_task(experiment(training=training, data=data))).run())
    found = [event for event in events if isinstance(event, Validated)]
    assert found[-1].scores["nrmse"] < 0.9 * found[0].scores["nrmse"]
    assert found[-1].scores["psnr_db"] > found[0].scores["psnr_db"]
    assert list(found[0].scores) == ["nrmse", "psnr_db", "ssim"]
    assert isinstance(events[-1], Finished)


@pytest.mark.parametrize("acquisition", SIZES)
@pytest.mark.parametrize("order", ["modl", "hqs"])
def test_strategies_agree_and_their_products_are_those_of_differences(acquisition: str, order: str) -> None:
    task = build_task(of_kind(acquisition, network={"order": order, "unrolls": 3}, data={"examples": 2}))
    parameters, batch = task.parameters(), task.training.pick([0, 1])
    found = {}
    for name in ("store_all", "checkpoint", "reversible", "binomial"):
        generator = torch.Generator().manual_seed(5)
        found[name] = loss_and_gradients(task, task.network(), name, parameters, batch, generator)
    assert "exact" in found["reversible"].certificate
    for name in ("checkpoint", "reversible", "binomial"):
        for key, gradient in found["store_all"].gradients.items():
            assert torch.equal(found[name].gradients[key], gradient), (name, key)
    method = methods_to_check(task, plan_run(task, parameters))[0]
    generator = torch.Generator().manual_seed(1)
    assert check_vjps(task, task.double(), method, parameters, task.training.pick([0]), generator) < 1e-3


@pytest.mark.parametrize("solver", ["to_tolerance", "fixed"])
@pytest.mark.parametrize("shared", [True, False])
def test_gradients_of_a_step_are_finite_differences(solver: str, shared: bool) -> None:
    """From the parameters to the loss, with the pattern as it is; weights along the gradient of each."""
    network = {"solver": solver, "shared": shared, "unrolls": 3, "update": "plain"}
    engine = {"precision": "float64", "strategy": "checkpoint"}
    task = build_task(experiment(network=network, engine=engine, sampling={"redraw": False}))
    parameters, batch = task.parameters(), task.training.pick([0, 2])
    found = loss_and_gradients(task, task.network(), "checkpoint", parameters, batch, None, examples_at_once=1)
    assert set(found.gradients) == set(parameters.learned)
    for key, gradient in found.gradients.items():
        direction = gradient / gradient.norm()
        losses = []
        for sign in (-1, 1):
            tensors = dict(parameters.items()) | {key: parameters[key] + sign * 1e-7 * direction}
            moved = parameters.with_tensors(tensors)
            losses.append(loss_and_gradients(task, task.network(), "checkpoint", moved, batch, None).loss)
        slope = (losses[1] - losses[0]) / 2e-7
        assert float(gradient.norm()) == pytest.approx(slope, rel=2e-4), key


@pytest.mark.parametrize("loss", ["l2", "l1"])
def test_losses_and_scores_are_their_definitions(loss: str) -> None:
    task = build_task(experiment(training={"loss": loss}))
    batch = task.held_out.pick([1, 0])
    output = torch.randn(2, 24, 20, dtype=torch.complex64, generator=torch.manual_seed(1))
    expected, errors = [], []
    for place in range(2):
        source = int(batch.source[place])
        assert batch.truth is not None
        true, inside = batch.truth[source].numpy(), batch.support[source].numpy() > 0
        apart, whole = (output[place].numpy() - true)[inside], true[inside]
        errors.append(np.linalg.norm(apart) / np.linalg.norm(whole))
        parts = [np.abs(v.real).sum() + np.abs(v.imag).sum() for v in (apart, whole)]
        expected.append(errors[-1] ** 2 if loss == "l2" else parts[0] / parts[1])
    assert np.allclose(task.loss(output, batch).numpy(), expected, rtol=1e-5)
    found = task.scores(output, batch)
    assert np.allclose(found["nrmse"].numpy(), errors, rtol=1e-5)
    assert set(found) == {"nrmse", "psnr_db", "ssim", "loss"}


def test_patterns_are_drawn_anew_in_training_and_fixed_in_scoring() -> None:
    task = build_task(experiment())
    parameters, batch = task.parameters(), task.training.pick([0, 1])
    drawn = [
        task.inputs(parameters, batch, torch.Generator().manual_seed(seed), True).tensors["sampling"]
        for seed in (1, 1, 2)
    ]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0][0], drawn[0][1])
    assert all(float(mask.mean()) == 0.5 for mask in drawn)
    for training in (True, False):
        kept = task.inputs(parameters, batch, None, training).tensors["sampling"]
        assert torch.equal(kept, batch.sampled)
    held = task.inputs(parameters, task.held_out, torch.Generator().manual_seed(1), False).tensors["sampling"]
    assert torch.equal(held, task.held_out.sampled)


def test_unmeasured_samples_have_no_say() -> None:
    task = build_task(experiment())
    parameters, batch = task.parameters(), task.held_out.pick([0])
    given = task.inputs(parameters, batch, None, False)
    one = task.network().infer(given.x, given.tensors)
    spoilt = torch.where(given.tensors["sampling"][:, None] > 0, batch.k_space[batch.source], 1e3 + 0j)
    other = build_task(experiment()).inputs(parameters, batch, None, False)
    x = other.x
    two = task.network().infer(x, {**other.tensors, "k_space": spoilt})
    assert torch.allclose(one, two, atol=1e-5)


def test_learned_lines_move_and_stay_as_many() -> None:
    sampling = {"learn": True, "acceleration": 3.0, "calibration": 4, "exploration": 1.0}
    training = {"steps": 25, "validate_every": 25, "learning_rate": 6e-2}
    trainer: Trainer[MriTask] = Trainer(build_task(experiment(sampling=sampling, training=training)))
    before = trainer.learned().arrays["lines"]
    events = list(trainer.run())
    assert isinstance(events[-1], Finished)
    after = trainer.learned().arrays["lines"]
    assert before.sum() == after.sum() == 8 and after[10:14].all()
    assert not np.array_equal(before, after)


def test_it_is_stopped_and_resumed_bit_for_bit(tmp_path: Path) -> None:
    whole = new_run(experiment(), tmp_path / "whole")
    list(whole.run())
    control = RunControl()
    first = new_run(experiment(), tmp_path / "run", control)
    for event in first.run():
        if isinstance(event, StepDone) and event.step == 3:
            control.stop()
    assert first.folder is not None
    first.folder.close()
    second = resume_run(tmp_path / "run")
    assert second.step == 3
    list(second.run())
    for name, tensor in whole.parameters.items():
        assert torch.equal(tensor, second.parameters[name]), name
    for run in (whole, second):
        assert run.folder is not None
        run.folder.close()


def test_the_command_line_trains_scores_and_exports_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)
    (tmp_path / "heads.toml").write_text(to_toml(experiment(training={"steps": 2})), encoding="utf-8")
    assert main(["train", "heads.toml", "-o", "run", "--report"]) == 0
    assert "held-out error" in capsys.readouterr().out
    assert "4 unrolls (modl)" in (tmp_path / "run" / "report.html").read_text()
    assert evaluate_run("run")["nrmse"] < 1
    assert main(["export", "run", "--to", "npz", "-o", "weights.npz"]) == 0
    with np.load("weights.npz") as arrays:
        assert arrays["cnn.conv1.weight"].shape == (4, 2, 3, 3)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"data": {"family": "unicorns"}}, "family 'unicorns'"),
        ({"sampling": {"pattern": "spirals"}}, "pattern 'spirals'"),
        ({"sampling": {"learn": True, "pattern": "poisson_disc"}}, "lines, not points"),
        ({"sampling": {"learn": True, "pattern": "measured"}}, "measured already"),
        ({"training": {"supervision": "samples", "compare": True, "test_share": 0.0}}, "no test samples"),
        ({"data": {"size": (24, 20, 8)}}, "does not fit a 2d acquisition"),
        ({"engine": {"modules": 9, "strategy": "greedy"}}, "9 greedy modules"),
        ({"network": {"update": "plain"}}, "needs the heavy-ball update"),
        ({"sampling": {"calibration": 4}, "data": {"maps": "estimated"}}, "4 lines of calibration"),
    ],
)
def test_settings_that_do_not_fit_are_refused(sections: dict[str, Any], words: str) -> None:
    with pytest.raises((SettingsError, DataError), match=words) as error:
        build_task(experiment(**sections))
    assert error.value.hint


def test_the_least_mu_that_is_learned_can_be_solved_in_double_precision() -> None:
    """Derivatives are checked there at whatever mu a run has come to."""
    settings = experiment(network={"mu": 1e-3, "unrolls": 2}, engine={"precision": "float64"}, training={"steps": 1})
    assert isinstance([*Trainer(build_task(settings)).run()][-1], Finished)


def test_it_is_said_where_nothing_is_left_out() -> None:
    task = build_task(experiment(sampling={"acceleration": 1.0}))
    assert any("every sample" in warning for warning in task.preflight(task.parameters(), lambda: None).warnings)
    task = build_task(experiment())
    assert not task.preflight(task.parameters(), lambda: None).warnings


@pytest.mark.parametrize(
    "sections",
    [
        {"sampling": {"redraw": False}},
        {"data": {"size": (96, 20)}, "training": {"supervision": "samples", "splits": 2}},
    ],
)
def test_patterns_that_are_to_stay_are_given_as_they_are(sections: dict[str, Any]) -> None:
    """Of samples that judge none is ever given: a pattern drawn anew would hold them."""
    task = build_task(experiment(**sections))
    for _ in range(3):
        given = task.inputs(task.parameters(), task.training, torch.Generator().manual_seed(1), training=True)
        assert torch.equal(given.tensors["sampling"], task.training.sampled)
    if task.training.judged is not None:
        assert not (given.tensors["sampling"] * task.training.judged).any()


def test_phantoms_that_are_scored_are_none_of_those_learned_from() -> None:
    task = build_task(experiment(data={"examples": 4, "held_out": 4}))
    learned, scored = task.training.truth, task.held_out.truth
    assert learned is not None and scored is not None
    for one in scored:
        for other in learned:
            assert float((one - other).norm() / one.norm()) > 0.1


def test_exploration_of_lines_falls_to_nothing_and_scores_stay_in_reach() -> None:
    task = build_task(experiment(sampling={"learn": True, "exploration": 5.0}))
    parameters, batch = task.parameters(), task.training.pick([0])
    settled = task.sampling(parameters, batch, None, training=False)

    def shaken(progress: float) -> int:
        parameters.progress = progress
        drawn = [task.sampling(parameters, batch, torch.Generator().manual_seed(n), training=True) for n in range(8)]
        return sum(not torch.equal(one, settled) for one in drawn)

    assert shaken(0.0) > 4 and shaken(1.0) == 0
    parameters["line_scores"].copy_(9 * parameters["line_scores"])
    parameters["mu"].fill_(-1.0)
    task.project_(parameters)
    assert float(parameters["line_scores"].abs().max()) == 2 and float(parameters["mu"].min()) > 0
    parameters["mu"].fill_(99.0)
    task.project_(parameters)
    assert float(parameters["mu"].max()) == 10


def test_lines_are_exported_with_the_zero_frequency_in_the_middle() -> None:
    task = build_task(experiment(sampling={"learn": True}))
    lines = task.result(task.parameters(), 0).arrays["lines"]
    assert lines.shape == (24,) and lines.sum() == 12
    assert lines[24 // 2 - 3 : 24 // 2 + 3].all()
    sampled = task.sampling(task.parameters(), task.training.pick([0]), None, training=False)[0, :, 0]
    assert np.array_equal(np.fft.ifftshift(lines), sampled.detach().numpy() > 0)


def test_errors_outside_the_support_do_not_count() -> None:
    task = build_task(experiment())
    batch = task.held_out
    assert batch.truth is not None
    outside = (1 - batch.support) * 7
    output = 1.1 * batch.truth[batch.source] + outside
    assert torch.allclose(task.loss(output, batch), torch.tensor(0.01), rtol=1e-3)


@pytest.mark.parametrize("shared", [True, False])
def test_what_each_unroll_has_of_its_own_is_named(shared: bool) -> None:
    parameters = build_task(experiment(network={"shared": shared})).parameters()
    own = parameters.per_unroll
    assert own == (set() if shared else set(parameters.tensors)) and "mu" in parameters.rates


def test_errors_of_samples_are_in_the_2_norm_whatever_the_loss() -> None:
    sections = {"data": {"size": (96, 20)}, "training": {"supervision": "samples", "splits": 2}}
    one = build_task(experiment(**sections))
    sections["training"]["loss"] = "l1"
    other = build_task(experiment(**sections))
    assert one.reference == "samples that were left out" and one.training.truth is not None
    output = torch.randn(len(one.held_out), 96, 20, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    assert torch.equal(one.scores(output, one.held_out)["nrmse"], other.scores(output, other.held_out)["nrmse"])
    assert not torch.allclose(one.scores(output, one.held_out)["loss"], other.scores(output, other.held_out)["loss"])
