"""Data consistency as a least-squares problem, solved by conjugate gradients and differentiated implicitly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ptychoui.engine.layer import Gradients, Inputs, Layer, Linearisation
from ptychoui.engine.scratch import Scratch
from ptychoui.errors import EngineError, SettingsError
from ptychoui.network.unroll_input import unroll_number


class LinearOperator(Protocol):
    """A measurement y = A x of every object of a batch: complex-linear for complex objects."""

    def apply(self, x: Tensor) -> Tensor:
        """A x: (B, N, N) -> (B, ...)."""
        ...

    def adjoint(self, y: Tensor) -> Tensor:
        """A^H y: (B, ...) -> (B, N, N), with Re<y, A x> = Re<A^H y, x>."""
        ...

    def norm_squared(self) -> float | None:
        """An upper bound of ||A||^2, the largest eigenvalue of A^H A, or None where none is known."""
        ...


class NormalEquations(Protocol):
    """Weighted normal equations A^H W A of a batch, as `LeastSquares` solves them."""

    def normal(self, x: Tensor) -> Tensor:
        """A^H W A x, of x's shape (B, ...)."""
        ...

    def towards(self, x: Tensor, measured: Tensor) -> Tensor:
        """A^H W (y - A x), of x's shape (B, ...)."""
        ...

    def norm_squared(self) -> float | None:
        """An upper bound of the largest eigenvalue of A^H W A, or None where none is known."""
        ...

    def add_derivatives(self, s: Tensor, z: Callable[[], Tensor], inputs: Inputs, into: Gradients) -> None:
        """Add the derivatives of Re<s, A^H W (y - A z)> in the inputs that ``into`` names, y among them.

        ``s`` and what ``z`` gives, which may take a solve, are (B, ...).
        """
        ...


@runtime_checkable
class OperatorOfInputs(Protocol):
    """A measurement that is made of the layers' inputs: another one for every example, with derivatives in them."""

    def at(self, x: Tensor, inputs: Inputs) -> NormalEquations:
        """The normal equations for a batch x, (B, ...).

        Raises
        ------
        EngineError
            If an input is missing or does not fit.
        """
        ...


class MaskedFourier:
    """Undersampled k-space of one or several coils: y_c = M F S_c x.

    F is the orthonormal two-dimensional Fourier transform.
    Source: Pruessmann et al., "SENSE: sensitivity encoding for fast MRI", Magn. Reson. Med. 42 (1999).

    Parameters
    ----------
    mask
        (N, N) M, real: which frequencies are measured, in the transform's order (zero frequency first); other values
        than 0 and 1 weight them.
    coils
        (C, N, N) complex sensitivities S_c, or None for one coil that sees everything alike.

    Raises
    ------
    SettingsError
        If the shapes do not fit.
    """

    def __init__(self, mask: Tensor, coils: Tensor | None = None) -> None:
        if mask.ndim != 2 or (coils is not None and coils.shape[1:] != mask.shape):
            shape = "no coils" if coils is None else f"coils of shape {tuple(coils.shape)}"
            raise SettingsError(
                f"a k-space mask of shape {tuple(mask.shape)} does not fit {shape}",
                "give a mask of (rows, columns) and coils of (coil, rows, columns)",
            )
        self.mask, self.coils = mask, coils

    def apply(self, x: Tensor) -> Tensor:
        """(B, N, N) complex -> (B, N, N), or (B, C, N, N) with coils."""
        image = x if self.coils is None else x[:, None] * self.coils
        k_space: Tensor = torch.fft.fft2(image, norm="ortho")
        return k_space * self.mask

    def adjoint(self, y: Tensor) -> Tensor:
        """(B, N, N), or (B, C, N, N) with coils -> (B, N, N) complex."""
        image: Tensor = torch.fft.ifft2(y * self.mask, norm="ortho")
        return image if self.coils is None else (image * self.coils.conj()).sum(1)

    def norm_squared(self) -> float:
        """The largest |M|^2 times the largest sum of squared sensitivities: exact without coils, or without a mask."""
        sees = 1.0 if self.coils is None else float(self.coils.abs().square().sum(0).max())
        return sees * float(self.mask.abs().max()) ** 2


class LeastSquares(Layer):
    """x + h(x) = z = (A^H A + mu)^-1 (A^H y + mu x): the object nearest to both measurement and x.

    z minimises ||A z - y||^2 + mu ||z - x||^2. The layer solves (A^H A + mu) h = A^H (y - A x) for the increment
    itself, so that the tolerance is relative to how far the object has to move.
    Source: Aggarwal, Mani, Jacob, "MoDL: model-based deep learning architecture for inverse problems", IEEE TMI 38
    (2019), for the layer and its derivative through the normal equations.

    Conjugate gradients stop for each object on its own, where the residual falls below ``tolerance`` times its
    value at h = 0: an object's result does not depend on which others are in the batch. The error of h is then at
    most (||A||^2 + mu) / mu times the tolerance, relative to h, and rounding.

    Derivatives are implicit, one more solve each: with (A^H A + mu) s = p,

        J^T p = mu s - p = -A^H A s,    d/dy = A s,    d/dmu = Re<s, x - z> = -Re<s, h>.

    Parameters
    ----------
    operator
        A, fixed or made of the inputs.
    index
        Place of this unroll's mu in the input ``mu``.
    tolerance
        Relative residual; by default 1e-6 in single and 1e-12 in double precision.
    most_iterations
        Conjugate-gradient steps after which the layer gives up.
    measured
        Name of the input with y, of the shape of A x.
    mu
        Name of the input with mu > 0, one per unroll: the weight of staying at x, in units of ||A||^2.
    coupled
        How many of an object's last axes the operator couples, where not all: every plane along the others is then
        solved on its own, to its own tolerance.

    Raises
    ------
    SettingsError
        If the tolerance or the count is out of range.
    """

    def __init__(
        self,
        operator: LinearOperator | OperatorOfInputs,
        index: int,
        tolerance: float | None = None,
        most_iterations: int = 200,
        measured: str = "measured",
        mu: str = "mu",
        coupled: int | None = None,
    ) -> None:
        if tolerance is not None and not 0 < tolerance < 1:
            raise SettingsError(f"a tolerance of {tolerance:g} is not between 0 and 1", "use for example 1e-6")
        if most_iterations < 1:
            raise SettingsError(
                f"conjugate gradients cannot work with {most_iterations} iterations", "use for example 200"
            )
        self.name = f"least squares {index + 1}"
        self.kind = f"least squares, operator {id(operator)}"  # another operator may take other memory
        self.operator, self.index = operator, index
        self.tolerance, self.most_iterations = tolerance, most_iterations
        self.measured, self.mu, self.coupled = measured, mu, coupled

    def linearise(self, x: Tensor, inputs: Inputs, keep: Scratch, work: Scratch) -> _LinearisedSolve:
        """Nothing yet: the increment takes one solve, the pullback another (and the increment, if mu is learned).

        ``x`` is (B, N, N); increments and products have its shape.

        Raises
        ------
        EngineError
            If mu or the measurement is missing or does not fit; when solving, if it does not converge.
        """
        if self.measured not in inputs:
            raise EngineError(f"there is no input {self.measured!r}", f"inputs are {', '.join(inputs) or 'none'}")
        mu = unroll_number(inputs, self.mu, self.index)
        return _LinearisedSolve(self, x, inputs, self._at(x, inputs), mu)

    def _at(self, x: Tensor, inputs: Inputs) -> NormalEquations:
        """The normal equations at these inputs."""
        return self.operator.at(x, inputs) if isinstance(self.operator, OperatorOfInputs) else _Fixed(self)

    def _largest(self, inputs: Inputs) -> float | None:
        """An upper bound of ||A||^2."""
        if isinstance(self.operator, OperatorOfInputs):
            return self.operator.at(inputs[self.measured][:, 0], inputs).norm_squared()
        return self.operator.norm_squared()

    def contraction_bound(self, inputs: Inputs) -> float | None:
        """||A||^2 / (||A||^2 + mu), from J = -(A^H A + mu)^-1 A^H A."""
        largest, mu = self._largest(inputs), float(unroll_number(inputs, self.mu, self.index))
        return None if largest is None else largest / (largest + mu)

    def inverse_bound(self, inputs: Inputs) -> float | None:
        """(||A||^2 + mu) / mu, the Lipschitz constant of the inverse."""
        largest, mu = self._largest(inputs), float(unroll_number(inputs, self.mu, self.index))
        return None if largest is None else (largest + mu) / mu

    def inverse(self, z: Tensor, inputs: Inputs, work: Scratch) -> Tensor:
        """(B, N, N) -> (B, N, N), ((A^H A + mu) z - A^H y) / mu: no solve, but what CG left unsolved is divided by mu.

        Raises
        ------
        EngineError
            If mu is missing or out of range.
        """
        mu = unroll_number(inputs, self.mu, self.index)
        return z - self._at(z, inputs).towards(z, inputs[self.measured]) / mu

    def solve(self, b: Tensor, mu: Tensor, equations: NormalEquations | None = None) -> Tensor:
        """(A^H A + mu)^-1 b by conjugate gradients (Hestenes and Stiefel 1952), from zero.

        (B, N, N) -> (B, N, N). ``equations`` are those of the inputs, for an operator that is made of them.

        Raises
        ------
        EngineError
            If an object's residual is still above the tolerance after the most iterations.
        """
        tolerance = self.tolerance
        if tolerance is None:
            tolerance = 1e-6 if b.dtype in (torch.float32, torch.complex64) else 1e-12
        equations = _Fixed(self) if equations is None else equations
        s, r, d = torch.zeros_like(b), b.clone(), b.clone()
        start = rr = self._inner(r, r)
        for iteration in range(self.most_iterations + 1):
            # Written so that a residual that is not a number is never taken for a small one.
            left = ~(rr <= tolerance**2 * start)
            if not bool(left.any()):
                return s
            if iteration == self.most_iterations:
                break
            product = equations.normal(d) + mu * d
            # Objects that are done do not move: their steps are zero.
            step = torch.where(left, rr / self._inner(d, product), 0.0)
            s = s + step * d
            r = r - step * product
            new = torch.where(left, self._inner(r, r), rr)
            d = r + torch.where(left, new / rr, 0.0) * d
            rr = new
        worst = float((rr / start)[left].max().sqrt())  # others may have begun with no residual at all
        raise EngineError(
            f"the layer {self.name!r} did not converge: after {self.most_iterations} iterations of conjugate "
            f"gradients its residual is {worst:.1e} of what it was, above {tolerance:.0e}",
            "allow more iterations, a looser tolerance or a larger mu"
            if worst < float("inf")
            else "the object or the measurement is not finite: use smaller step sizes",
        )

    def _inner(self, a: Tensor, b: Tensor) -> Tensor:
        """Re<a, b> of everything that is solved on its own: an object, or a plane of it."""
        return real_inner(a, b, a.ndim - 1 if self.coupled is None else self.coupled)


class _Fixed:
    """The normal equations of an operator that no input changes: A^H A."""

    def __init__(self, layer: LeastSquares) -> None:
        assert not isinstance(layer.operator, OperatorOfInputs)
        self._layer, self._operator = layer, layer.operator

    def normal(self, x: Tensor) -> Tensor:
        return self._operator.adjoint(self._operator.apply(x))

    def towards(self, x: Tensor, measured: Tensor) -> Tensor:
        predicted = self._operator.apply(x)
        if predicted.shape != measured.shape:
            raise EngineError(
                f"the input {self._layer.measured!r} has shape {tuple(measured.shape)}, "
                f"the operator predicts {tuple(predicted.shape)}",
                "give one measurement for each object of the batch",
            )
        return self._operator.adjoint(measured - predicted)

    def norm_squared(self) -> float | None:
        return self._operator.norm_squared()

    def add_derivatives(self, s: Tensor, z: Callable[[], Tensor], inputs: Inputs, into: Gradients) -> None:
        if self._layer.measured in into:
            into[self._layer.measured].add_(self._operator.apply(s))


class _LinearisedSolve(Linearisation):
    def __init__(self, layer: LeastSquares, x: Tensor, inputs: Inputs, equations: NormalEquations, mu: Tensor) -> None:
        self._layer, self._x, self._inputs, self._equations, self._mu = layer, x, inputs, equations, mu
        self._increment: Tensor | None = None

    @property
    def increment(self) -> Tensor:
        if self._increment is None:
            towards = self._equations.towards(self._x, self._inputs[self._layer.measured])
            if towards.dtype != self._x.dtype:
                raise EngineError(
                    f"the operator of the layer {self._layer.name!r} turns {_name(self._x)} objects into "
                    f"{_name(towards)} ones",
                    "make the operator, the measurement and the objects in the same precision",
                )
            self._increment = self._layer.solve(towards, self._mu, self._equations)
        return self._increment

    def pullback(self, cotangent: Tensor, into: Gradients) -> Tensor:
        layer, equations = self._layer, self._equations
        s = layer.solve(cotangent, self._mu, equations)
        if any(name in into for name in self._inputs if name != layer.mu):
            equations.add_derivatives(s, lambda: self._x + self.increment, self._inputs, into)
        if layer.mu in into:
            into[layer.mu][layer.index].sub_(real_inner(s, self.increment, s.ndim - 1).sum())
        return equations.normal(s).neg()


def real_inner(a: Tensor, b: Tensor, axes: int) -> Tensor:
    """Re<a, b> over the last axes, (B, ...) real; these have length 1.

    Over all axes that an operator couples: where it couples slices, steps of single slices would not converge.
    """
    product = a.conj() * b if a.is_complex() else a * b
    real = product.real if product.is_complex() else product
    return real.sum(tuple(range(real.ndim - axes, real.ndim)), keepdim=True)


def _name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
