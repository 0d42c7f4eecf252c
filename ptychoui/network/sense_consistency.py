"""Data consistency of multi-coil k-space: coil maps, sampling and measurement are inputs, for each example its own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ptychoui.engine.autograd_layer import AutogradLayer
from ptychoui.engine.layer import Gradients, Inputs
from ptychoui.errors import EngineError, SettingsError
from ptychoui.mri.sense import Sense, reduced_to
from ptychoui.network.unroll_input import unroll_number

MAPS, SAMPLING, K_SPACE = "maps", "sampling", "k_space"
"""Names of the inputs: (B, C, *space) complex, (B, *space) real, (B, C, *space) complex; see `mri.sense`."""


class SenseOperator:
    """Multi-coil k-space of the inputs `MAPS`, `SAMPLING` and `K_SPACE`, for `LeastSquares`, with derivatives in all.

    Parameters
    ----------
    transformed
        How many of the last axes are Fourier transformed: 2 or 3.
    """

    def __init__(self, transformed: int) -> None:
        self.transformed = transformed

    def at(self, x: Tensor, inputs: Inputs) -> _SenseAt:
        """The normal equations for images x, (B, *space).

        Raises
        ------
        EngineError
            If an input is missing or its shape does not fit.
        """
        for name in (MAPS, SAMPLING, K_SPACE):
            if name not in inputs:
                raise EngineError(f"there is no input {name!r}", f"inputs are {', '.join(inputs) or 'none'}")
        maps, sampling, k_space = (inputs[name] for name in (MAPS, SAMPLING, K_SPACE))
        wanted = (len(x), maps.shape[1], *x.shape[1:])
        if tuple(k_space.shape) != wanted:
            raise EngineError(
                f"the input {K_SPACE!r} has shape {tuple(k_space.shape)}, images and maps need {wanted}",
                "give k-space of every coil of maps for every image",
            )
        return _SenseAt(Sense(maps, sampling, self.transformed))


class _SenseAt:
    """See `least_squares.NormalEquations`."""

    def __init__(self, sense: Sense) -> None:
        self._sense = sense
        self.normal, self.towards, self.norm_squared = sense.normal, sense.towards, sense.norm_squared

    def add_derivatives(self, s: Tensor, z: Callable[[], Tensor], inputs: Inputs, into: Gradients) -> None:
        sense, y = self._sense, inputs[K_SPACE]
        if K_SPACE in into:
            into[K_SPACE].add_(sense.apply(s).mul_(sense.sampling[:, None]))
        if SAMPLING in into:
            into[SAMPLING].add_(reduced_to(sense.of_sampling(s, z(), y), into[SAMPLING].shape))
        if MAPS in into:
            into[MAPS].add_(reduced_to(sense.of_maps(s, z(), y), into[MAPS].shape))


class FixedSteps(AutogradLayer):
    """h(x) after a fixed number of steps of conjugate gradients from zero, differentiated step by step.

    The solve of `LeastSquares` cut short: what it returns is a function of x and the inputs in its own right, whose
    derivative is exact however far from the solution it ends. Its graph holds every step.

    Parameters
    ----------
    transformed
        How many of the last axes are Fourier transformed: 2 or 3.
    index
        Place of this unroll's mu in the input ``mu``.
    steps
        Steps of conjugate gradients.

    Raises
    ------
    SettingsError
        If there is no step.
    """

    def __init__(self, transformed: int, index: int, steps: int) -> None:
        if steps < 1:
            raise SettingsError(f"{steps} steps of conjugate gradients do nothing", "use for example 8")
        super().__init__(f"{steps} steps of conjugate gradients", self._solve)
        self.kind = self.name
        self._transformed, self._index, self._steps = transformed, index, steps

    def _solve(self, x: Tensor, inputs: Inputs) -> Tensor:
        maps, weights, y = inputs[MAPS], inputs[SAMPLING][:, None], inputs[K_SPACE]
        numbers = inputs["mu"]
        unroll_number({"mu": numbers}, "mu", self._index)
        mu, axes = numbers[self._index], tuple(range(-self._transformed, 0))

        def normal(image: Tensor) -> Tensor:
            k_space = torch.fft.fftn(image[:, None] * maps, dim=axes, norm="ortho") * weights
            found: Tensor = (torch.fft.ifftn(k_space, dim=axes, norm="ortho") * maps.conj()).sum(1)
            return found

        def inner(a: Tensor, b: Tensor) -> Tensor:
            return (a.conj() * b).real.sum(tuple(range(1, a.ndim)), keepdim=True)

        gathered = (torch.fft.ifftn(y * weights, dim=axes, norm="ortho") * maps.conj()).sum(1)
        r = gathered - normal(x)
        s, d, rr = torch.zeros_like(x), r, inner(r, r)
        for _ in range(self._steps):
            product = normal(d) + mu * d
            # An image that nothing is left to do for has no direction either: it must stay, not become NaN.
            curved = inner(d, product)
            step = torch.where(curved > 0, rr / torch.where(curved > 0, curved, 1.0), 0.0)
            s, r = s + step * d, r - step * product
            new = inner(r, r)
            d = r + torch.where(rr > 0, new / torch.where(rr > 0, rr, 1.0), 0.0) * d
            rr = new
        return s
