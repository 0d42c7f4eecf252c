"""The problems of ``ptychoui bench greedy``, and the two methods through a step of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.bench.engine.problem import make_bench
from ptychoui.engine.float_updates import Plain
from ptychoui.engine.greedy import ModuleDone, equal_modules, greedy_pass
from ptychoui.engine.layer import Inputs
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategies import strategy
from ptychoui.engine.strategy import Chain
from ptychoui.errors import SettingsError
from ptychoui.network.gradient import INPUTS
from ptychoui.network.residual_cnn import ResidualCnn
from ptychoui.optics.objects import source_image

TRAINING_IMAGES = ("cell", "ihc", "coins", "moon", "gravel", "grass", "brick", "camera", "hubble")
HELD_OUT_IMAGES = ("retina", "microaneurysms", "clock")
"""Images that scikit-image ships."""

NOISE = 0.1
"""Standard deviation of the noise, in units of the images' range."""

CHECKPOINT = "checkpoint"


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
