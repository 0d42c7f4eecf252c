"""Data consistency as a least-squares problem, solved by conjugate gradients and differentiated implicitly."""

from __future__ import annotations

from typing import Protocol

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
        A.
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

    Raises
    ------
    SettingsError
        If the tolerance or the count is out of range.
    """

    def __init__(
        self,
        operator: LinearOperator,
        index: int,
        tolerance: float | None = None,
        most_iterations: int = 200,
        measured: str = "measured",
        mu: str = "mu",
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
        self.measured, self.mu = measured, mu

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
        return _LinearisedSolve(self, x, inputs[self.measured], unroll_number(inputs, self.mu, self.index))

    def contraction_bound(self, inputs: Inputs) -> float | None:
        """||A||^2 / (||A||^2 + mu), from J = -(A^H A + mu)^-1 A^H A."""
        largest, mu = self.operator.norm_squared(), float(unroll_number(inputs, self.mu, self.index))
        return None if largest is None else largest / (largest + mu)

    def inverse_bound(self, inputs: Inputs) -> float | None:
        """(||A||^2 + mu) / mu, the Lipschitz constant of the inverse."""
        largest, mu = self.operator.norm_squared(), float(unroll_number(inputs, self.mu, self.index))
        return None if largest is None else (largest + mu) / mu

    def inverse(self, z: Tensor, inputs: Inputs, work: Scratch) -> Tensor:
        """(B, N, N) -> (B, N, N), ((A^H A + mu) z - A^H y) / mu: no solve, but what CG left unsolved is divided by mu.

        Raises
        ------
        EngineError
            If mu is missing or out of range.
        """
        mu = unroll_number(inputs, self.mu, self.index)
        return z + self.operator.adjoint(self.operator.apply(z) - inputs[self.measured]) / mu

    def solve(self, b: Tensor, mu: Tensor) -> Tensor:
        """(A^H A + mu)^-1 b by conjugate gradients (Hestenes and Stiefel 1952), from zero.

        (B, N, N) -> (B, N, N).

        Raises
        ------
        EngineError
            If an object's residual is still above the tolerance after the most iterations.
        """
        tolerance = self.tolerance
        if tolerance is None:
            tolerance = 1e-6 if b.dtype in (torch.float32, torch.complex64) else 1e-12
        s, r, d = torch.zeros_like(b), b.clone(), b.clone()
        start = rr = _inner(r, r)
        for iteration in range(self.most_iterations + 1):
            # Written so that a residual that is not a number is never taken for a small one.
            left = ~(rr <= tolerance**2 * start)
            if not bool(left.any()):
                return s
            if iteration == self.most_iterations:
                break
            product = self.operator.adjoint(self.operator.apply(d)) + mu * d
            # Objects that are done do not move: their steps are zero.
            step = torch.where(left, rr / _inner(d, product), 0.0)
            s = s + step * d
            r = r - step * product
            new = torch.where(left, _inner(r, r), rr)
            d = r + torch.where(left, new / rr, 0.0) * d
            rr = new
        worst = float((rr / start).max().sqrt())
        raise EngineError(
            f"the layer {self.name!r} did not converge: after {self.most_iterations} iterations of conjugate "
            f"gradients its residual is {worst:.1e} of what it was, above {tolerance:.0e}",
            "allow more iterations, a looser tolerance or a larger mu"
            if worst < float("inf")
            else "the object or the measurement is not finite: use smaller step sizes",
        )


class _LinearisedSolve(Linearisation):
    def __init__(self, layer: LeastSquares, x: Tensor, measured: Tensor, mu: Tensor) -> None:
        self._layer, self._x, self._measured, self._mu = layer, x, measured, mu
        self._increment: Tensor | None = None

    @property
    def increment(self) -> Tensor:
        if self._increment is None:
            operator = self._layer.operator
            predicted = operator.apply(self._x)
            if predicted.shape != self._measured.shape:
                raise EngineError(
                    f"the input {self._layer.measured!r} has shape {tuple(self._measured.shape)}, "
                    f"the operator predicts {tuple(predicted.shape)}",
                    "give one measurement for each object of the batch",
                )
            towards = operator.adjoint(self._measured - predicted)
            if towards.dtype != self._x.dtype:
                raise EngineError(
                    f"the operator of the layer {self._layer.name!r} turns {_name(self._x)} objects into "
                    f"{_name(towards)} ones",
                    "make the operator, the measurement and the objects in the same precision",
                )
            self._increment = self._layer.solve(towards, self._mu)
        return self._increment

    def pullback(self, cotangent: Tensor, into: Gradients) -> Tensor:
        layer = self._layer
        s = layer.solve(cotangent, self._mu)
        seen = layer.operator.apply(s)
        if layer.measured in into:
            into[layer.measured].add_(seen)
        if layer.mu in into:
            into[layer.mu][layer.index].sub_(_inner(s, self.increment).sum())
        return layer.operator.adjoint(seen).neg()


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """Re<a, b> of each object, image or volume: (B, ...) -> (B, 1, ...) real.

    Over all axes of an object: where the operator couples slices, steps of single slices would not converge.
    """
    product = a.conj() * b if a.is_complex() else a * b
    real = product.real if product.is_complex() else product
    return real.sum(tuple(range(1, real.ndim)), keepdim=True)


def _name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
