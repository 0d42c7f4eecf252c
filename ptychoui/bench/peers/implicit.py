"""A least-squares layer differentiated through its normal equations: by the engine and by libraries of others.

z = (A^H A + mu)^-1 (A^H y + mu x) with A = `MaskedFourier` of several coils, single precision, all solvers to the
same relative residual. Errors are against conjugate gradients in double precision, differentiated step by step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ptychoui.bench.peers.coupling import library
from ptychoui.engine.float_updates import Plain
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategies import strategy
from ptychoui.engine.strategy import Chain
from ptychoui.network.least_squares import LeastSquares, MaskedFourier

TOLERANCE = 1e-6
"""Relative residual of every solver in single precision."""

MOST = 200
"""Iterations after which a solver stops."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Undersampled k-space of several coils, a point to stay near, and a cotangent of the solution.

    Attributes
    ----------
    operator
        A.
    x, cotangent
        (B, N, N) complex.
    measured
        (B, C, N, N) complex y.
    mu
        () real.
    """

    operator: MaskedFourier
    x: Tensor
    measured: Tensor
    mu: Tensor
    cotangent: Tensor

    def double(self) -> Problem:
        """The same numbers in double precision."""
        coils = None if self.operator.coils is None else self.operator.coils.to(torch.complex128)
        return Problem(
            MaskedFourier(self.operator.mask.double(), coils),
            self.x.to(torch.complex128),
            self.measured.to(torch.complex128),
            self.mu.double(),
            self.cotangent.to(torch.complex128),
        )


@dataclass(frozen=True, slots=True)
class Gradient:
    """Derivatives of Re<cotangent, z>."""

    x: Tensor
    measured: Tensor
    mu: Tensor


def make_problem(size: int, batch: int = 2, coils: int = 4, mu: float = 0.05) -> Problem:
    """A third of k-space at random, and coils that look from all sides."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        pair = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
        return torch.complex(pair[0], pair[1]).to(torch.complex64)

    mask = (torch.rand(size, size, generator=generator) < 1 / 3).float()
    place = torch.linspace(-1, 1, size)
    angle = torch.arange(coils) * (2 * torch.pi / coils)
    across = place[None, None, :] * angle.cos()[:, None, None] + place[None, :, None] * angle.sin()[:, None, None]
    sensitivity = torch.polar(torch.exp(across), 0.5 * across)
    operator = MaskedFourier(mask, sensitivity / sensitivity.abs().square().sum(0).sqrt())
    x, truth, cotangent = (random(batch, size, size) for _ in range(3))
    return Problem(operator, x, operator.apply(truth), torch.tensor(mu), cotangent)


def by_engine(problem: Problem) -> Gradient:
    """`LeastSquares` as a network of one unroll."""
    chain = Chain([LeastSquares(problem.operator, 0, TOLERANCE, MOST)], Plain())
    inputs = {"measured": problem.measured, "mu": problem.mu[None]}
    trace = strategy("store_all").forward(chain, problem.x, inputs, Scratch())
    back = trace.backward(problem.cotangent, tuple(inputs))
    return Gradient(back.x, back.inputs["measured"], back.inputs["mu"][0])


def through_steps(problem: Problem, tolerance: float = TOLERANCE) -> Gradient:
    """Conjugate gradients by plain tensor operations, differentiated by torch through every step."""

    def solve(x: Tensor, y: Tensor, mu: Tensor) -> Tensor:
        a = problem.operator
        z, r = x, a.adjoint(y - a.apply(x))
        d, rr = r, _squares(r)
        start = float(rr.detach().max())
        for _ in range(MOST):
            product = a.adjoint(a.apply(d)) + mu * d
            step = rr / (d.conj() * product).real.sum((1, 2), keepdim=True)
            z, r = z + step * d, r - step * product
            new = _squares(r)
            d, rr = r + new / rr * d, new
            if float(rr.detach().max()) <= tolerance**2 * start:
                break
        return z

    return _backward(problem, solve)


def by_deepinv(problem: Problem) -> Gradient:
    """The library's `least_squares_implicit_backward`, with 1 / gamma in the place of mu."""
    linear: Any = library("deepinv.optim.linear")
    physics = _Physics(problem.operator)

    def solve(x: Tensor, y: Tensor, mu: Tensor) -> Tensor:
        found: Tensor = linear.least_squares_implicit_backward(
            physics, y, z=x, init=x.detach(), gamma=1 / mu, solver="CG", max_iter=MOST, tol=TOLERANCE
        )
        return found

    return _backward(problem, solve)


def by_torchdeq(problem: Problem) -> Gradient:
    """A fixed point of a gradient step, z <- z - ((A^H A + mu) z - A^H y - mu x) / (||A||^2 + mu)."""
    torchdeq: Any = library("torchdeq")
    # Ten times as many steps as of conjugate gradients: a fixed point takes the condition number, not its root.
    limits = {"f_max_iter": 10 * MOST, "b_max_iter": 10 * MOST, "f_tol": TOLERANCE, "b_tol": TOLERANCE}
    deq = torchdeq.get_deq(ift=True, f_stop_mode="rel", b_stop_mode="rel", **limits)

    def solve(x: Tensor, y: Tensor, mu: Tensor) -> Tensor:
        a = problem.operator
        largest = a.norm_squared()

        def step(pairs: Tensor) -> Tensor:
            z = torch.view_as_complex(pairs)
            return torch.view_as_real(z - (a.adjoint(a.apply(z) - y) + mu * (z - x)) / (largest + mu))

        found, _info = deq(step, torch.view_as_real(x.detach()).contiguous())
        return torch.view_as_complex(found[-1])

    return _backward(problem, solve)


class _Physics:
    """An operator in deepinv's words."""

    def __init__(self, operator: MaskedFourier) -> None:
        self.A, self.A_adjoint = operator.apply, operator.adjoint

    def A_adjoint_A(self, x: Tensor) -> Tensor:
        return self.A_adjoint(self.A(x))

    def A_A_adjoint(self, y: Tensor) -> Tensor:
        return self.A(self.A_adjoint(y))


def _squares(r: Tensor) -> Tensor:
    return (r.real.square() + r.imag.square()).sum((1, 2), keepdim=True)


def _backward(problem: Problem, solve: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Gradient:
    leaves = [tensor.detach().clone().requires_grad_() for tensor in (problem.x, problem.measured, problem.mu)]
    solve(*leaves).backward(problem.cotangent)  # type: ignore[no-untyped-call]
    found = [leaf.grad for leaf in leaves]
    assert all(derivative is not None for derivative in found)
    return Gradient(*found)  # type: ignore[arg-type]


METHODS: dict[str, Callable[[Problem], Gradient]] = {
    "implicit layer": by_engine,
    "autograd through CG": through_steps,
    "deepinv": by_deepinv,
    "torchdeq": by_torchdeq,
}
"""All rows; the first is ours."""

FOREIGN = ("deepinv", "torchdeq")
NETWORK = "least squares"


def errors(found: Gradient, reference: Gradient) -> dict[str, float]:
    """Relative errors of the derivatives in x, y and mu."""
    return {
        name: float((getattr(found, name) - getattr(reference, name)).norm() / getattr(reference, name).norm())
        for name in ("x", "measured", "mu")
    }
