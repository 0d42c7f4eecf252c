"""What every layer owes the engine, checked on a problem."""

from __future__ import annotations

import torch
from engine.chains import Problem
from optics.setups import figure, inner, relative
from torch import Tensor

from ptychoui.engine.layer import Layer
from ptychoui.engine.scratch import Scratch


def pulled(problem: Problem, index: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
    into = {name: torch.zeros_like(value) for name, value in problem.inputs.items()}
    at = problem.layer(index).linearise(problem.x, problem.inputs, Scratch(), Scratch())
    return at.pullback(problem.cotangent, into), into


def check_increments(problem: Problem, name: str, index: int = 0, tolerance: float = 1e-10) -> None:
    """The independent increment; the same bits alone, linearised, again, and beside another gradient mode."""
    layer, work = problem.layer(index), Scratch()
    alone = layer.increment(problem.x, problem.inputs, work)
    expected = problem.independent(problem.x, problem.inputs, index)
    assert alone.shape == problem.x.shape and alone.dtype == problem.x.dtype and not alone.requires_grad
    assert figure(f"{name}: increment from an independent one", relative(alone, expected.detach())) < tolerance
    alone = alone.clone()
    kept = layer.linearise(problem.x, problem.inputs, Scratch(), work)
    assert torch.equal(kept.increment, alone) and torch.equal(kept.increment, alone)
    kept.pullback(problem.cotangent, {n: torch.zeros_like(v) for n, v in problem.inputs.items()})
    with torch.no_grad():
        assert torch.equal(layer.increment(problem.x, problem.inputs, Scratch()), alone)
        assert torch.equal(problem.layer(index).increment(problem.x.clone(), problem.inputs, Scratch()), alone)


def check_derivatives(problem: Problem, name: str, index: int = 0, tolerance: float = 1e-7, h: float = 1e-6) -> None:
    """Central differences in x and in every input, along random directions; and torch through the independent one."""
    layer = problem.layer(index)
    product, into = pulled(problem, index)
    x = problem.x.clone().requires_grad_()
    leaves = {n: v.clone().requires_grad_() for n, v in problem.inputs.items()}
    along = (problem.cotangent.conj() * problem.independent(x, leaves, index)).sum().real
    grads = torch.autograd.grad(along, [x, *leaves.values()], allow_unused=True)
    assert figure(f"{name}: J^T p from autograd", relative(product, grads[0])) < 1e-8
    for n, derivative in zip(leaves, grads[1:], strict=True):
        expected = torch.zeros_like(into[n]) if derivative is None else derivative
        scale = float(expected.abs().max()) or 1.0
        deviation = float((into[n] - expected).abs().max()) / scale
        assert figure(f"{name}: derivative in an input from autograd", deviation) < 1e-8, n

    def value(x: Tensor, inputs: dict[str, Tensor]) -> float:
        return inner(problem.cotangent, layer.increment(x, inputs, Scratch()))

    generator = torch.Generator().manual_seed(1)

    def check(found: Tensor, at: Tensor, what: str, difference: object) -> None:
        for _ in range(2):
            v = torch.randn(at.shape, dtype=at.dtype, generator=generator)
            slope = (difference(at + h * v) - difference(at - h * v)) / (2 * h)  # type: ignore[operator]
            scale = max(abs(slope), float(found.abs().pow(2).sum().sqrt()))
            deviation = abs(inner(found, v) - slope) / scale if scale else 0.0
            assert figure(f"{name}: derivative from a difference", deviation) < tolerance, what

    check(product, problem.x, "x", lambda moved: value(moved, problem.inputs))
    for n, held in problem.inputs.items():
        check(into[n], held, n, lambda moved, n=n: value(problem.x, problem.inputs | {n: moved}))


def check_accumulates(problem: Problem, index: int = 0) -> None:
    """The pullback adds to what is there, and only where asked."""
    product, once = pulled(problem, index)
    for name in problem.inputs:
        at = problem.layer(index).linearise(problem.x, problem.inputs, Scratch(), Scratch())
        into = {name: torch.ones_like(problem.inputs[name])}
        assert torch.allclose(at.pullback(problem.cotangent, into), product, rtol=1e-12)
        assert set(into) == {name} and torch.allclose(into[name], 1 + once[name], rtol=1e-12)
        at.pullback(problem.cotangent, into)
        assert torch.allclose(into[name], 1 + 2 * once[name], rtol=1e-12)


def check_single_precision(
    problem: Problem, name: str, index: int = 0, tolerance: float = 1e-4, single: Layer | None = None
) -> None:
    """float32 gives float32, near float64; ``single`` is the layer in float32 where it is another."""

    def low(value: Tensor) -> Tensor:
        return value.to(torch.complex64 if value.is_complex() else torch.float32)

    inputs = {n: low(v) for n, v in problem.inputs.items()}
    layer = problem.layer(index)
    exact = layer.increment(problem.x, problem.inputs, Scratch()).clone()
    product, into = pulled(problem, index)
    at = (single or layer).linearise(low(problem.x), inputs, Scratch(), Scratch())
    assert at.increment.dtype == low(problem.x).dtype
    assert figure(f"{name}: increment in float32", relative(at.increment, exact)) < tolerance
    found = {n: torch.zeros_like(v) for n, v in inputs.items()}
    assert relative(at.pullback(low(problem.cotangent), found), product) < tolerance
    for n, derivative in into.items():
        assert relative(found[n] + 1, derivative + 1) < 10 * tolerance, n


def observed_lipschitz(
    layer: Layer, x: Tensor, inputs: dict[str, Tensor], seed: int = 0, iterations: int = 60
) -> float:
    """The largest ratio |h(a) - h(b)| / |a - b| of random pairs near and far, and along the steepest direction at x."""
    generator = torch.Generator().manual_seed(seed)

    def h(point: Tensor) -> Tensor:
        return layer.increment(point, inputs, Scratch()).clone()

    largest = 0.0
    for distance in (1e-3, 1.0, 10.0):
        for _ in range(5):
            v = torch.randn(x.shape, dtype=x.dtype, generator=generator)
            largest = max(largest, float((h(x + distance * v) - h(x)).norm() / (distance * v).norm()))
    v, t = torch.randn(x.shape, dtype=x.dtype, generator=generator), 1e-5
    at = layer.linearise(x, inputs, Scratch(), Scratch())
    for _ in range(iterations):
        v = v / v.norm()
        moved = (h(x + t * v) - h(x - t * v)) / (2 * t)
        largest = max(largest, float(moved.norm()))
        v = at.pullback(moved, {})
    return largest
