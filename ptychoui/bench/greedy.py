"""``ptychoui bench greedy``: greedy learning against checkpoints at the same memory, and where their losses go.

Two networks with one greedy module per unroll, so that both ways keep one linearised layer:

* ``cnn``: residual CNNs with weights of their own in every unroll, x' = x + h_k(x), which remove noise from photographs
  and micrographs. By counting, checkpoints take 4/3 of the time: a forward pass more, where a backward pass takes two;
* ``fpm``: the problem of the published curves, 89 LEDs and 8 measurements: 5 L transforms against 4 L, 1.25.

Timed is one step without its optimiser, which is the same for both: forward pass, loss or losses, all derivatives. The
figure ``by parts`` is what the layers' increments, products and stored passes, timed alone, allow on this machine.

The loss curves are of the same networks and the same batches in the same order: the CNNs end to end and greedily, every
module with an Adam of its own and each way with the better of two learning rates (Ozturkler et al. 2022: modules are
updated one after the other, the next one gets the output computed before the update), and a design learned from an
experiment under ``reversible`` and ``greedy``, where modules share the design and its derivative is that of the mean of
their losses. Scores are those of the last output on held-out data; scoring is not part of the time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.bench.clocks import CLOCKS, Clock, pick_clock, timed
from ptychoui.bench.problem import make_bench
from ptychoui.engine.greedy import ModuleDone, equal_modules, greedy_pass
from ptychoui.engine.layer import Inputs
from ptychoui.engine.memory import MemoryMeter
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategies import strategy
from ptychoui.engine.strategy import Chain, infer
from ptychoui.engine.update import Plain
from ptychoui.errors import SettingsError
from ptychoui.network.ptychographic import INPUTS
from ptychoui.network.residual_cnn import ResidualCnn
from ptychoui.optics.objects import source_image
from ptychoui.settings import FpmExperiment
from ptychoui.tasks.fpm.task import build_task
from ptychoui.training.events import Validated
from ptychoui.training.gradients import GREEDY
from ptychoui.training.trainer import Trainer

TRAINING_IMAGES = ("cell", "ihc", "coins", "moon", "gravel", "grass", "brick", "camera", "hubble")
HELD_OUT_IMAGES = ("retina", "microaneurysms", "clock")
"""Images that scikit-image ships."""

NOISE = 0.1
"""Standard deviation of the noise, in units of the images' range."""

HELD_OUT_CROPS = 4
"""Crops of every held-out image."""

RATES = (1e-3, 3e-3)
"""Learning rates of the CNNs: each way has the one that ends lowest."""

SCORES = 20
"""Scores along a loss curve."""

CHECKPOINT = "checkpoint"
DESIGN_STRATEGY = "reversible"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A chain, its input, and what its output should be.

    Attributes
    ----------
    wanted
        Inputs to differentiate.
    of_module
        Those that one unroll uses, under greedy learning with a module per unroll.
    """

    name: str
    chain: Chain
    x: Tensor
    target: Tensor
    inputs: Inputs
    wanted: Sequence[str]
    of_module: Callable[[int], Sequence[str]]


def mean_square(target: Tensor, output: Tensor) -> tuple[float, Tensor]:
    """Mean |output - target|^2 and its derivative."""
    difference = output - target
    return float(difference.abs().square().mean()), difference * (2 / difference.numel())


def end_to_end(task: Task, work: Scratch) -> tuple[float, dict[str, Tensor]]:
    """Loss and derivatives by checkpoints."""
    trace = strategy(CHECKPOINT).forward(task.chain, task.x, task.inputs, work)
    loss, cotangent = mean_square(task.target, trace.output)
    return loss, trace.backward(cotangent, task.wanted).inputs


def greedily(task: Task, work: Scratch, done: Callable[[ModuleDone], None]) -> None:
    """Losses and derivatives of modules of one unroll."""
    greedy_pass(
        task.chain,
        equal_modules(len(task.chain), len(task.chain)),
        task.x,
        task.inputs,
        task.of_module,
        lambda _module, output: mean_square(task.target, output),
        done,
        work,
    )


# Problems ------------------------------------------------------------------------------------------------


_image = cache(source_image)


class Crops:
    """Noisy and clean crops of photographs and micrographs, from a seed.

    Parameters
    ----------
    names
        Images that scikit-image ships.
    size
        Edge of a crop in pixels.

    Raises
    ------
    SettingsError
        If the images are smaller than the crops.
    """

    def __init__(self, names: Sequence[str], size: int, seed: int) -> None:
        self.images = [_image(name) for name in names]
        self.size = size
        smallest = min(min(image.shape) for image in self.images)
        if size > smallest:
            raise SettingsError(f"--size {size}: the smallest image has {smallest} pixels", f"use up to {smallest}")
        self._rng = np.random.default_rng(seed)

    def draw(self, places: Sequence[int]) -> tuple[Tensor, Tensor]:
        """(B, N, N) noisy and (B, N, N) clean crops at random places of images given by number; range 0 to 1."""
        clean = np.stack([self._crop(self.images[place]) for place in places])
        noisy = clean + self._rng.normal(scale=NOISE, size=clean.shape)
        return torch.from_numpy(noisy).to(torch.float32), torch.from_numpy(clean).to(torch.float32)

    def batch(self, count: int) -> tuple[Tensor, Tensor]:
        """The same from random images."""
        return self.draw(self._rng.integers(len(self.images), size=count).tolist())

    def _crop(self, image: NDArray[np.float64]) -> NDArray[np.float64]:
        row, column = (int(self._rng.integers(edge - self.size + 1)) for edge in image.shape)
        return image[row : row + self.size, column : column + self.size]


@dataclass(frozen=True, slots=True)
class Cnn:
    """Unrolled residual CNNs, x' = x + h_k(x), with weights of their own in every unroll."""

    chain: Chain
    names: tuple[tuple[str, ...], ...]
    weights: dict[str, Tensor]

    def task(self, noisy: Tensor, clean: Tensor) -> Task:
        """Removing noise from a batch."""
        return Task(
            name="cnn",
            chain=self.chain,
            x=noisy,
            target=clean,
            inputs=self.weights,
            wanted=tuple(self.weights),
            of_module=self.names.__getitem__,
        )


def make_cnn(unrolls: int, size: int, channels: int, convolutions: int = 5) -> Cnn:
    """Networks with random weights, from a fixed seed."""
    generator = torch.Generator().manual_seed(0)
    layers = [
        ResidualCnn(size, f"unroll{index + 1}.", channels, convolutions, complex_objects=False)
        for index in range(unrolls)
    ]
    # So near the identity that training starts at the noise, not at what random weights add to it.
    weights = [layer.initial_weights(generator, last=0.01) for layer in layers]
    together = {name: tensor for own in weights for name, tensor in own.items()}
    return Cnn(Chain(layers, Plain()), tuple(tuple(own) for own in weights), together)


def fpm_task(unrolls: int, size: int, leds: int, measurements: int) -> Task:
    """The published problem with heavy-ball steps; all unrolls share their inputs."""
    bench = make_bench(unrolls, leds, measurements, size, torch.device("cpu"))
    return Task(
        name="fpm",
        chain=bench.network.chain,
        x=bench.x,
        target=bench.cotangent,
        inputs=bench.inputs,
        wanted=INPUTS,
        of_module=lambda _module: INPUTS,
    )


# Time and memory of a step -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Checkpoints and greedy modules on one problem, with some number of threads.

    Attributes
    ----------
    checkpoint_seconds, greedy_seconds
        Minima over interleaved repeats; ``_median``: medians.
    ratio
        Checkpoints' minimum over greedy's; ``ratio_median``: of the medians; ``ratio_cpu``: of the minima of the
        processor's time, in which other programs' load counts less.
    by_counting
        The ratio of their efforts as the layers declare them.
    by_parts
        The ratio that the layers allow without what joins them: (increments + products) / stored passes, of minima of
        the processor's time.
    """

    problem: str
    unrolls: int
    size: int
    threads: int
    checkpoint_seconds: float
    checkpoint_median: float
    greedy_seconds: float
    greedy_median: float
    ratio: float
    ratio_median: float
    ratio_cpu: float
    by_counting: float
    by_parts: float
    checkpoint_bytes: int
    greedy_bytes: int
    load: float | None


def compare(task: Task, repeats: int) -> Row:
    """Time both ways and the parts of the layers, interleaved, and measure their memory with fresh workspaces."""
    keep, work = Scratch(), Scratch()
    _, cotangent = mean_square(task.target, task.x)
    into = {name: torch.zeros_like(task.inputs[name]) for name in task.wanted}

    def increments() -> None:
        for layer in task.chain.layers:
            layer.increment(task.x, task.inputs, work)

    def products() -> None:
        for layer in task.chain.layers:
            layer.linearise(task.x, task.inputs, work, work).pullback(cotangent, into)

    def stored() -> None:
        for layer in task.chain.layers:
            at = layer.linearise(task.x, task.inputs, keep, work)
            _ = at.increment
            at.pullback(cotangent, into)

    works = {CHECKPOINT: Scratch(), GREEDY: Scratch()}
    ways: dict[str, Callable[[], object]] = {
        CHECKPOINT: lambda: end_to_end(task, works[CHECKPOINT]),
        GREEDY: lambda: greedily(task, works[GREEDY], lambda _done: None),
        "increment": increments,
        "products": products,
        "stored": stored,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    busy: dict[str, list[float]] = {name: [] for name in ways}
    with torch.no_grad():
        for repeat in range(repeats + 1):
            for name, way in ways.items():
                began, busy_before = time.perf_counter(), time.process_time()
                way()
                if repeat:  # the first warms up
                    seconds[name].append(time.perf_counter() - began)
                    busy[name].append(time.process_time() - busy_before)
        for scratch in works.values():
            scratch.clear()
        with MemoryMeter() as by_checkpoints:
            end_to_end(task, Scratch())
        with MemoryMeter() as by_modules:
            greedily(task, Scratch(), lambda _done: None)
    least = {name: min(found) for name, found in seconds.items()}
    work_of = {name: max(min(found), 1e-9) for name, found in busy.items()}
    middle = {name: median(found) for name, found in seconds.items()}
    return Row(
        problem=task.name,
        unrolls=len(task.chain),
        size=task.x.shape[-1],
        threads=torch.get_num_threads(),
        checkpoint_seconds=least[CHECKPOINT],
        checkpoint_median=middle[CHECKPOINT],
        greedy_seconds=least[GREEDY],
        greedy_median=middle[GREEDY],
        ratio=least[CHECKPOINT] / least[GREEDY],
        ratio_median=middle[CHECKPOINT] / middle[GREEDY],
        ratio_cpu=work_of[CHECKPOINT] / work_of[GREEDY],
        by_counting=strategy(CHECKPOINT).effort(task.chain) / strategy("store_all").effort(task.chain),
        by_parts=(work_of["increment"] + work_of["products"]) / work_of["stored"],
        checkpoint_bytes=by_checkpoints.peak,
        greedy_bytes=by_modules.peak,
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    )


# Loss curves ---------------------------------------------------------------------------------------------


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
    way: str,
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
    curve = Curve(problem="cnn", strategy=way, rate=rate, steps=[], seconds=[], scores=[])
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
        say(f"    cnn, {way}, rate {rate:g}: step {step}, {elapsed:.0f} s, held-out error {curve.scores[-1]:.5f}")

    score(0)
    places = {round(steps * (n + 1) / SCORES) for n in range(SCORES)}
    for step in range(1, steps + 1):
        task = cnn.task(*crops.batch(batch))
        began = clock()
        if way == GREEDY:
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
    way: str, experiment: FpmExperiment, steps: int, say: Say = lambda _: None, clock: Clock = CLOCKS["wall"]
) -> Curve:
    """Learn an experiment's design under a strategy; greedily with as many modules as there are unrolls."""
    network, training = experiment.network, experiment.training
    engine = experiment.engine.replace(strategy=way, modules=network.unrolls, device="cpu", check_every=0)
    training = training.replace(steps=steps, validate_every=max(1, steps // SCORES))
    trainer = Trainer(build_task(experiment.replace(engine=engine, training=training)))
    curve = Curve(problem="design", strategy=way, rate=training.learning_rate, steps=[], seconds=[], scores=[])
    for event, elapsed in timed(trainer.run(), clock):
        if isinstance(event, Validated):
            curve.steps.append(event.step)
            curve.seconds.append(elapsed)
            curve.scores.append(event.scores["complex_error"])
            say(f"    design, {way}: step {event.step}, {elapsed:.0f} s, complex error {curve.scores[-1]:.4f}")
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


# The benchmark -------------------------------------------------------------------------------------------


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run(
    unrolls: int = 10,
    size: int = 64,
    channels: int = 48,
    batch: int = 2,
    repeats: int = 20,
    steps: int = 100,
    design: FpmExperiment | None = None,
    design_steps: int = 40,
    threads: Sequence[int] = (1, 2),
    leds: int = 89,
    measurements: int = 8,
    say: Say = lambda _text: None,
    clock: str = "wall",
) -> dict[str, object]:
    """Measure both problems, then draw the curves; the dictionary is what ``--json`` prints.

    Curves are learned with the first number of threads, on the clock of that name; no ``steps`` or no ``design`` leaves
    theirs out.
    """
    on = pick_clock(clock)
    rows: list[Row] = []
    for count in threads:
        with _threads(count):
            say(f"{count} threads: time and memory of a step")
            cnn = make_cnn(unrolls, size, channels)
            tasks = (
                cnn.task(*Crops(TRAINING_IMAGES, size, 0).batch(batch)),
                fpm_task(unrolls, size, leds, measurements),
            )
            for task in tasks:
                rows.append(compare(task, repeats))
                row = rows[-1]
                say(f"    {row.problem}: {row.ratio:.3f}, {row.ratio_median:.3f} of medians, {row.ratio_cpu:.3f} cpu")
    curves: list[tuple[Curve, Curve]] = []
    with _threads(threads[0]):
        if steps:
            ways = (CHECKPOINT, GREEDY)
            pair = [
                min(
                    (cnn_curve(way, unrolls, size, channels, batch, steps, rate, say=say, clock=on) for rate in RATES),
                    key=lambda curve: curve.scores[-1],
                )
                for way in ways
            ]
            curves.append((pair[0], pair[1]))
        if design is not None and design_steps:
            pair = [design_curve(way, design, design_steps, say, on) for way in (DESIGN_STRATEGY, GREEDY)]
            curves.append((pair[0], pair[1]))
    return {
        "rows": [asdict(row) for row in rows],
        "curves": [asdict(curve) for pair in curves for curve in pair],
        "equal_effort": [at_equal_effort(*pair) for pair in curves],
        "channels": channels,
        "batch": batch,
        "leds": leds,
        "measurements": measurements,
        "repeats": repeats,
        "curve_threads": threads[0],
        "clock": clock,
    }


def table(result: dict[str, object]) -> str:
    """The result as text."""
    rows: list[dict[str, float]] = result["rows"]  # type: ignore[assignment]
    pairs: list[dict[str, dict[str, float]]] = result["equal_effort"]  # type: ignore[assignment]
    lines = [
        f"a step without its optimiser; cnn: {result['channels']} channels, batch {result['batch']}; fpm: "
        f"{result['leds']} LEDs, {result['measurements']} measurements; minimum of {result['repeats']} interleaved "
        "repeats",
        f"{'problem':<9}{'unrolls':>8}{'size':>6}{'threads':>9}{'checkpoint':>12}{'greedy':>9}{'ratio':>8}{'median':>8}"
        f"{'cpu':>7}{'by parts':>10}{'counting':>10}{'checkpoint MB':>15}{'greedy MB':>11}{'load':>7}",
    ]
    for row in rows:
        load = "" if row["load"] is None else f"{row['load']:.2f}"
        lines.append(
            f"{row['problem']:<9}{row['unrolls']:>8}{row['size']:>6}{row['threads']:>9}"
            f"{row['checkpoint_seconds']:>10.3f} s{row['greedy_seconds']:>7.3f} s{row['ratio']:>8.3f}"
            f"{row['ratio_median']:>8.3f}{row['ratio_cpu']:>7.3f}{row['by_parts']:>10.3f}{row['by_counting']:>10.3f}"
            f"{row['checkpoint_bytes'] / 1e6:>15.1f}{row['greedy_bytes'] / 1e6:>11.1f}{load:>7}"
        )
    for pair in pairs:
        for effort, unit in (("steps", "steps"), ("seconds", "s")):
            found = ", ".join(f"{name} {score:.4g}" for name, score in pair[f"equal_{effort}"].items())
            lines.append(
                f"{pair['problem']}: held-out error {pair['at_start']:.4g} at the start, after {pair[effort]:.4g} "
                f"{unit}: {found}"
            )
    return "\n".join(lines)
