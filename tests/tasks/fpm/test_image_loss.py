"""Learning without a truth: the images of single LEDs are predicted, by formulas of NumPy's and by differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from training.small import problem

from ptychoui.tasks.fpm.image_loss import image_loss
from ptychoui.tasks.fpm.task import FpmTask
from ptychoui.training.events import Validated
from ptychoui.training.gradients import reconstruct_batch
from ptychoui.training.trainer import Trainer

IMAGES = {
    "engine": {"device": "cpu", "precision": "float64", "check_every": 0},
    "training": {"loss": "images", "margin_px": 1},
}


def output_of(task: FpmTask, count: int = 2) -> torch.Tensor:
    """Some objects on the task's whole grid, (count, N, N)."""
    rng = np.random.default_rng(2)
    size = task.grids.object_px
    return torch.from_numpy(
        1 + 0.3 * (rng.normal(size=(count, size, size)) + 1j * rng.normal(size=(count, size, size)))
    )


def by_hand(task: FpmTask, x: torch.Tensor, images: np.ndarray) -> list[float]:
    """The formula, image by image, in NumPy."""
    gain, floor, margin = task.leds.gain, task.measurement.variance_floor, task.experiment.training.margin_px
    predicted, bright = task.physics.intensities(x).numpy(), task.leds.bright_field(task.objective_na)
    found = []
    for some, recorded in zip(predicted, images, strict=True):
        missed = empty = 0.0
        for led, g in enumerate(gain):
            inner = np.s_[margin:-margin, margin:-margin]
            one, other = np.sqrt(g * some[led] + floor)[inner], np.sqrt(g * recorded[led] + floor)[inner]
            missed += ((one - other) ** 2).sum()
            empty += ((other - (other.mean() if bright[led] else np.sqrt(floor))) ** 2).sum()
        found.append(missed / empty)
    return found


@pytest.mark.parametrize("stream", [False, True], ids=["fields kept", "streamed"])
def test_the_loss_is_the_formula_s_and_its_derivative_that_of_differences(stream: bool) -> None:
    task = problem(**IMAGES).double()
    x, batch = output_of(task), task.held_out.pick([0, 1]).double()
    if stream:
        object.__setattr__(task, "physics", task.physics.streamed())
    assert image_loss(task, x, batch).tolist() == pytest.approx(by_hand(task, x, batch.intensities.numpy()), rel=1e-9)
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(image_loss(task, leaf, batch).sum(), leaf)
    along = output_of(task) - 1
    h = 1e-5
    ahead, behind = (float(image_loss(task, x + s * h * along, batch).sum()) for s in (1, -1))
    assert float((slope.conj() * along).real.sum()) == pytest.approx((ahead - behind) / (2 * h), rel=1e-6)


def test_the_truth_itself_predicts_its_images_and_its_conjugate_does_not() -> None:
    task = problem(**IMAGES).double()
    x, batch = output_of(task), task.held_out.pick([0, 1]).double()
    own = type(batch)(intensities=task.physics.intensities(x), truth=batch.truth, sources=batch.sources)
    turned = x * complex(np.exp(0.7j))
    assert float(image_loss(task, turned, own).max()) < 1e-20, "a phase that all of an object shares cannot be seen"
    assert float(image_loss(task, x.conj(), own).min()) > 0.01


def test_nothing_of_the_truth_is_used_and_learning_lowers_the_loss() -> None:
    """Without any truth the same patterns are learned."""
    settings = {**IMAGES, "training": {**IMAGES["training"], "steps": 8, "learning_rate": 0.1, "validate_every": 8}}
    settings["network"] = {"prior": "smooth", "step": None, "unrolls": 6, "learn_smoothness": True}
    levels, losses = [], []
    for blind in (False, True):
        task = problem(**settings)
        if blind:
            task.training.truth.fill_(1)
        trainer = Trainer(task)
        losses.append([event.loss for event in trainer.run() if isinstance(event, Validated)])
        levels.append(trainer.parameters["levels"].numpy())
    assert np.array_equal(*levels) and losses[0] == losses[1] and losses[0][-1] < 0.97 * losses[0][0]
    output = reconstruct_batch(task, trainer.network, trainer.parameters, task.held_out, None)
    assert torch.isfinite(image_loss(task, output, task.held_out)).all()
