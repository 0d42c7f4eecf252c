"""Where the losses of greedy learning and of checkpoints go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ptychoui.bench.clocks import CLOCKS, Clock, timed
from ptychoui.bench.engine.greedy_problems import (
    HELD_OUT_IMAGES,
    TRAINING_IMAGES,
    Crops,
    end_to_end,
    greedily,
    make_cnn,
    mean_square,
)
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategy import infer
from ptychoui.settings import FpmExperiment
from ptychoui.tasks.fpm.task import build_task
from ptychoui.training.events import Validated
from ptychoui.training.gradients import GREEDY
from ptychoui.training.trainer import Trainer

HELD_OUT_CROPS = 4
"""Crops of every held-out image."""

RATES = (1e-3, 3e-3)
"""Learning rates of the CNNs: each method has the one that ends lowest."""

SCORES = 20
"""Scores along a loss curve."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Held-out scores along one training: lower is better.

    Attributes
    ----------
    steps, seconds
        Optimiser steps done and time spent on them at each score.
    scores
        Mean square error of the CNNs, complex error of a design.
    rate
        Adam's learning rate.
    """

    problem: str
    strategy: str
    rate: float
    steps: list[int]
    seconds: list[float]
    scores: list[float]

    def at_time(self, seconds: float) -> float:
        """Score after so much time, between scores on a straight line."""
        return float(np.interp(seconds, self.seconds, self.scores))

    def at_step(self, step: int) -> float:
        """The same after so many steps."""
        return float(np.interp(step, self.steps, self.scores))


def cnn_curve(
    method: str,
    unrolls: int,
    size: int,
    channels: int,
    batch: int,
    steps: int,
    rate: float = RATES[0],
    seed: int = 0,
    say: Say = lambda _: None,
    clock: Clock = CLOCKS["wall"],
) -> Curve:
    """Train CNNs to remove noise, end to end by checkpoints or greedily; every unroll has an Adam of its own."""
    cnn = make_cnn(unrolls, size, channels)
    crops = Crops(TRAINING_IMAGES, size, seed)
    held_out = Crops(HELD_OUT_IMAGES, size, 1).draw(
        [n for n in range(len(HELD_OUT_IMAGES)) for _ in range(HELD_OUT_CROPS)]
    )
    optimisers = [torch.optim.Adam([cnn.weights[name] for name in names], lr=rate) for names in cnn.names]
    curve = Curve(problem="cnn", strategy=method, rate=rate, steps=[], seconds=[], scores=[])
    work, elapsed = Scratch(), 0.0

    def update(module: int, gradients: dict[str, Tensor]) -> None:
        for name in cnn.names[module]:
            cnn.weights[name].grad = gradients[name]
        optimisers[module].step()

    def score(step: int) -> None:
        output = infer(cnn.chain, held_out[0], cnn.weights, work)
        curve.steps.append(step)
        curve.seconds.append(elapsed)
        curve.scores.append(mean_square(held_out[1], output)[0])
        say(f"    cnn, {method}, rate {rate:g}: step {step}, {elapsed:.0f} s, held-out error {curve.scores[-1]:.5f}")

    score(0)
    places = {round(steps * (n + 1) / SCORES) for n in range(SCORES)}
    for step in range(1, steps + 1):
        task = cnn.task(*crops.batch(batch))
        began = clock()
        if method == GREEDY:
            greedily(task, work, lambda done: update(done.module, done.inputs))
        else:
            _, gradients = end_to_end(task, work)
            for module in range(unrolls):
                update(module, gradients)
        elapsed += clock() - began
        if step in places:
            score(step)
    return curve


def design_curve(
    method: str, experiment: FpmExperiment, steps: int, say: Say = lambda _: None, clock: Clock = CLOCKS["wall"]
) -> Curve:
    """Learn an experiment's design under a strategy; greedily with as many modules as there are unrolls."""
    network, training = experiment.network, experiment.training
    engine = experiment.engine.replace(strategy=method, modules=network.unrolls, device="cpu", check_every=0)
    training = training.replace(steps=steps, validate_every=max(1, steps // SCORES))
    trainer = Trainer(build_task(experiment.replace(engine=engine, training=training)))
    curve = Curve(problem="design", strategy=method, rate=training.learning_rate, steps=[], seconds=[], scores=[])
    for event, elapsed in timed(trainer.run(), clock):
        if isinstance(event, Validated):
            curve.steps.append(event.step)
            curve.seconds.append(elapsed)
            curve.scores.append(event.scores["complex_error"])
            say(f"    design, {method}: step {event.step}, {elapsed:.0f} s, complex error {curve.scores[-1]:.4f}")
    return curve


def at_equal_effort(first: Curve, second: Curve) -> dict[str, object]:
    """Both scores after the same number of steps, and after the time that the faster one took."""
    steps, seconds = min(first.steps[-1], second.steps[-1]), min(first.seconds[-1], second.seconds[-1])
    return {
        "problem": first.problem,
        "at_start": first.scores[0],
        "steps": steps,
        "seconds": seconds,
        "equal_steps": {curve.strategy: curve.at_step(steps) for curve in (first, second)},
        "equal_seconds": {curve.strategy: curve.at_time(seconds) for curve in (first, second)},
    }
