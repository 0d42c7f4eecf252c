"""Chains for the engine's tests: a Fourier ptychographic one, one that has nothing to do with optics, and saboteurs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from optics import oracle
from optics.setups import make, objects
from torch import Tensor

from ptychoui.engine.layer import Gradients, Inputs, Layer, Linearisation
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategies import strategy
from ptychoui.engine.strategy import Backward, Chain
from ptychoui.engine.update import Update
from ptychoui.network.gradient import GradientUnroll
from ptychoui.optics.forward.data_term import DataTerm
from ptychoui.optics.forward.model import FourierPtychography

STRATEGIES = ("store_all", "checkpoint", "offload", "binomial", "reversible")
"""All that give exact gradients of a heavy-ball chain."""
FLOOR = 0.01


@dataclass
class TanhLayer(Layer):
    """h(x) = s tanh(x A^T + b); (B, n) real points."""

    scale: float = -0.1
    name: str = "tanh"

    def linearise(self, x: Tensor, inputs: Inputs, keep: Scratch, work: Scratch) -> Any:
        t = keep.get("t", tuple(x.shape), x.dtype, x.device)
        torch.matmul(x, inputs["matrix"].T, out=t)
        t.add_(inputs["bias"]).tanh_()
        held = keep.get("x", tuple(x.shape), x.dtype, x.device)
        held.copy_(x)
        return _LinearisedTanh(self.scale, held, t, inputs["matrix"])


@dataclass
class _LinearisedTanh(Linearisation):
    scale: float
    x: Tensor
    t: Tensor
    matrix: Tensor

    @property
    def increment(self) -> Tensor:
        return self.scale * self.t

    def pullback(self, cotangent: Tensor, into: Gradients) -> Tensor:
        s = self.scale * cotangent * (1 - self.t.square())
        if "matrix" in into:
            into["matrix"] += s.T @ self.x
        if "bias" in into:
            into["bias"] += s.sum(0)
        return s @ self.matrix


@dataclass
class Saboteur(TanhLayer):
    """A tanh layer whose increment is disturbed: ``disturb(increment, call)`` with calls counted from 1."""

    disturb: Callable[[Tensor, int], Tensor] = lambda increment, _call: increment
    calls: list[int] = field(default_factory=lambda: [0])

    def linearise(self, x: Tensor, inputs: Inputs, keep: Scratch, work: Scratch) -> Any:
        honest = super().linearise(x, inputs, keep, work)
        self.calls[0] += 1
        return _Disturbed(honest, self.disturb(honest.increment, self.calls[0]))


@dataclass
class _Disturbed(Linearisation):
    honest: Any
    disturbed: Tensor

    @property
    def increment(self) -> Tensor:
        return self.disturbed

    def pullback(self, cotangent: Tensor, into: Gradients) -> Tensor:
        result: Tensor = self.honest.pullback(cotangent, into)
        return result


@dataclass
class Problem:
    """Inputs, a starting point, a cotangent, and the increments written for autograd without the layers."""

    layer: Callable[[int], Layer]
    x: Tensor
    inputs: dict[str, Tensor]
    cotangent: Tensor
    independent: Callable[[Tensor, dict[str, Tensor], int], Tensor]

    def chain(self, unrolls: int, update: Update) -> Chain:
        return Chain([self.layer(index) for index in range(unrolls)], update)

    def run(
        self, name: str, unrolls: int, update: Update, wanted: Sequence[str] | None = None
    ) -> tuple[Tensor, Backward]:
        """Output and backward pass of one strategy."""
        trace = strategy(name).forward(self.chain(unrolls, update), self.x, self.inputs, Scratch())
        output = trace.output.clone()
        return output, trace.backward(self.cotangent, tuple(self.inputs) if wanted is None else wanted)

    def autograd(self, unrolls: int, beta: Fraction | None) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Output and gradients of Re<cotangent, output> by torch through the independent increments."""
        x = start = self.x.clone().requires_grad_()
        leaves = {name: value.clone().requires_grad_() for name, value in self.inputs.items()}
        velocity = torch.zeros_like(x)
        for index in range(unrolls):
            velocity = (0 if beta is None else float(beta)) * velocity + self.independent(x, leaves, index)
            x = x + velocity
        (self.cotangent.conj() * x).sum().real.backward()
        assert start.grad is not None
        return x.detach(), start.grad, {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}


def tanh_problem(batch: int = 3, size: int = 6, dtype: torch.dtype = torch.float64, scale: float = -0.1) -> Problem:
    rng = np.random.default_rng(2)

    def draw(*shape: int) -> Tensor:
        return torch.from_numpy(rng.normal(size=shape)).to(dtype)

    inputs = {"matrix": torch.eye(size, dtype=dtype) + 0.2 * draw(size, size), "bias": 0.3 * draw(size)}
    return Problem(
        layer=lambda _index: TanhLayer(scale),
        x=draw(batch, size),
        inputs=inputs,
        cotangent=draw(batch, size),
        independent=lambda x, given, _index: scale * torch.tanh(x @ given["matrix"].T + given["bias"]),
    )


def optics_problem(
    unrolls: int, batch: int = 2, dtype: torch.dtype = torch.float64, step: float = 0.1, rows: int = 2, **setup: Any
) -> Problem:
    """Measurements of one object with some noise, reconstructed from another."""
    geometry = make(**({"tile_px": 8, "pad_px": 1, "pitch_mm": 6.0} | setup))
    microscope, leds, grids = geometry
    rng = np.random.default_rng(3)
    weights = rng.random((rows, len(leds)))
    weights = torch.from_numpy(weights / weights.sum(1, keepdims=True))
    offset = torch.from_numpy(0.05 * rng.random(rows))
    truth = oracle.TorchModel(microscope, leds.illumination_na, grids)
    measured = torch.einsum("ml,blij->bmij", weights, truth.images(torch.from_numpy(objects(grids, batch, 7))))
    noise = torch.from_numpy(rng.normal(size=tuple(measured.shape)))
    amplitude = torch.sqrt((measured + offset[:, None, None] + 0.02 * noise).clamp_min(0) + FLOOR)
    steps = torch.from_numpy(step * (1 + 0.2 * rng.random(unrolls)))
    physics = FourierPtychography(*geometry, dtype=dtype)

    def independent(x: Tensor, given: dict[str, Tensor], index: int) -> Tensor:
        data = DataTerm(given["weights"], given["offset"], given["amplitude"], FLOOR)
        return -given["step"][index] * truth.gradient(x, data, create_graph=True)

    inputs = {"weights": weights, "offset": offset, "amplitude": amplitude, "step": steps}
    cotangent = torch.from_numpy(objects(grids, batch, 9) - 1)
    return Problem(
        layer=lambda index: GradientUnroll(physics, index, FLOOR),
        x=torch.from_numpy(objects(grids, batch, 8)).to(physics.complex_dtype),
        inputs={name: value.to(dtype) for name, value in inputs.items()},
        cotangent=cotangent.to(physics.complex_dtype),
        independent=independent,
    )
