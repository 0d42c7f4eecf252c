"""Scores of patterns as hardware shows them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui.tasks.fpm.parameters import DesignParameters
from ptychoui.tasks.fpm.task import FpmTask
from ptychoui.training.evaluation import mean_scores
from ptychoui.training.gradients import evaluate
from ptychoui.training.task import AnyTask
from ptychoui.training.trainer import Trainer


def rescored(
    trainer: Trainer[AnyTask], levels: NDArray[np.float64], exposures: NDArray[np.float64]
) -> dict[str, float]:
    """Scores of another design, such as the quantised one, on a run's held-out objects.

    ``levels`` (M, LED), ``exposures`` (M,): shown as they are, whatever the run's own levels are limited to.
    """
    task = trainer.task
    assert isinstance(task, FpmTask)
    design = task.experiment.design.replace(drive_bits=None, maximum_lit=None)
    everywhere = replace(task, mask=torch.ones_like(task.mask), experiment=task.experiment.replace(design=design))
    like = trainer.parameters
    assert isinstance(like, DesignParameters)
    other = task.with_design(levels, exposures, like)
    return mean_scores(task.experiment, evaluate(everywhere, trainer.network, other, task.held_out))
