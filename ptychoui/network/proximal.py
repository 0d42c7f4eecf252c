"""Proximal layers: denoisers that are the proximal map of a penalty, with a learnable threshold.

* `WaveletProximal`: sparse wavelet coefficients, smoothed so that the layer has a closed-form inverse.
* `TotalVariationProximal`: piecewise constant objects; forward only.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pywt
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from ptychoui.engine.autograd_layer import AutogradLayer
from ptychoui.engine.layer import Gradients, Inputs, Layer, Linearisation
from ptychoui.engine.scratch import Scratch
from ptychoui.errors import EngineError, SettingsError
from ptychoui.network.unroll_input import unroll_number

TV_STEP = 0.25
"""Step of the dual iteration: Chambolle proves convergence up to 1/8 and finds 1/4 the best in practice."""


class WaveletProximal(Layer):
    """x + h(x) = W^H S(W x): shrink wavelet coefficients, invertibly.

    W is an orthonormal two-dimensional wavelet transform (periodic, several levels, all three detail bands of each)
    and S the proximal map of lambda times the Huber-smoothed l1 norm, on magnitudes:

        S(z) = z eps / (eps + lambda)     where |z| <= eps + lambda,
        S(z) = z (1 - lambda / |z|)       elsewhere.

    Unlike soft thresholding (eps = 0) it loses nothing: its inverse is s (eps + lambda) / eps where |s| <= eps and
    s (1 + lambda / |s|) elsewhere. The approximation coefficients of the coarsest level are left alone, as usual:
    they hold the mean light, and are not sparse.

    Sources: Donoho and Johnstone, "Ideal spatial adaptation by wavelet shrinkage", Biometrika 81 (1994), for the
    shrinkage of details alone; Beck, "First-order methods in optimization" (SIAM 2017), chapter 6, for the proximal
    map of the Huber function, (1 - lambda / max(|z|, eps + lambda)) z.

    Parameters
    ----------
    size
        N: objects are (B, N, N), complex or real.
    index
        Place of this unroll's lambda in the input ``threshold``.
    wavelet
        Name of an orthogonal wavelet of PyWavelets.
    levels
        How often the approximation is split again.
    width
        eps, in units of the object: below it coefficients are scaled, not thresholded. Rounding of x is amplified by
        (eps + lambda) / eps in the inverse.
    threshold
        Name of the input with lambda >= 0, in units of the object, one per unroll.

    Raises
    ------
    SettingsError
        If the wavelet is not orthogonal, or a level does not divide the size.
    """

    def __init__(
        self,
        size: int,
        index: int,
        wavelet: str = "db4",
        levels: int = 3,
        width: float = 0.01,
        threshold: str = "threshold",
    ) -> None:
        if not 0 < width < float("inf"):
            raise SettingsError(
                f"a wavelet threshold of width {width:g} cannot be undone", "choose a width above 0, for example 0.01"
            )
        if levels < 1 or size < 2 or size % 2**levels:
            most = (size & -size).bit_length() - 1 if size > 0 else 0
            raise SettingsError(
                f"an object of {size} pixels has no {levels} wavelet levels: each halves it",
                f"use {'1 level' if most == 1 else f'1 to {most} levels'}, or a size that {2 ** max(levels, 1)} divides"
                if most
                else f"use a size that {2 ** max(levels, 1)} divides",
            )
        self.name, self.kind = f"wavelet proximal {index + 1}", f"{wavelet} of {levels} levels"
        self.size, self.index, self.wavelet, self.levels, self.width = size, index, wavelet, levels, width
        self.threshold = threshold
        self._coarse = size >> levels
        _level_matrix(wavelet, size)

    def linearise(self, x: Tensor, inputs: Inputs, keep: Scratch, work: Scratch) -> _LinearisedWavelet:
        """One wavelet transform; the increment and the pullback take one and two more.

        Raises
        ------
        EngineError
            If x is not (B, N, N), or the threshold is missing or negative.
        """
        number = unroll_number(inputs, self.threshold, self.index, zero=True)
        found = self.analyse(x, work)
        c = keep.get("wavelet coefficients", tuple(found.shape), found.dtype, found.device)
        c.copy_(found)
        return _LinearisedWavelet(self, c, number, work)

    def contraction_bound(self, inputs: Inputs) -> float:
        """The bound lambda / (eps + lambda) is exact, as -h has slopes from 0 to this and W is orthonormal."""
        threshold = float(unroll_number(inputs, self.threshold, self.index, zero=True))
        return threshold / (self.width + threshold)

    def inverse_bound(self, inputs: Inputs) -> float:
        """(eps + lambda) / eps, the Lipschitz constant of the inverse."""
        return 1 + float(unroll_number(inputs, self.threshold, self.index, zero=True)) / self.width

    def inverse(self, z: Tensor, inputs: Inputs, work: Scratch) -> Tensor:
        """W^H S^-1(W z): (B, N, N) -> (B, N, N).

        Raises
        ------
        EngineError
            If z is not (B, N, N), or the threshold is missing or negative.
        """
        threshold = unroll_number(inputs, self.threshold, self.index, zero=True)
        s = self.analyse(z, work)
        grown = s * (threshold / _magnitude(s).clamp_min_(self.width))
        return z + self.synthesise(grown, z, work)

    def analyse(self, x: Tensor, work: Scratch) -> Tensor:
        """W x as pairs of reals: (B, N, N) -> (B, 2 or 1, N, N), the coarsest approximation in the first corner.

        Raises
        ------
        EngineError
            If x is not (B, N, N) of the layer's size.
        """
        if x.ndim != 3 or x.shape[1:] != (self.size, self.size):
            raise EngineError(
                f"the layer {self.name!r} was given objects of shape {tuple(x.shape)}",
                f"give it (batch, {self.size}, {self.size}), or make it for another size",
            )
        c = torch.view_as_real(x).movedim(-1, 1).contiguous() if x.is_complex() else x[:, None].clone()
        for matrix in self._matrices(c, work):
            n = len(matrix)
            c[..., :n, :n] = matrix @ c[..., :n, :n] @ matrix.T
        return c

    def synthesise(self, c: Tensor, like: Tensor, work: Scratch) -> Tensor:
        """W^H c of details alone: (B, 2 or 1, N, N), which is overwritten -> (B, N, N), complex or real as ``like``."""
        c[..., : self._coarse, : self._coarse] = 0
        for matrix in reversed(self._matrices(c, work)):
            n = len(matrix)
            c[..., :n, :n] = matrix.T @ c[..., :n, :n] @ matrix
        return torch.view_as_complex(c.movedim(1, -1).contiguous()) if like.is_complex() else c[:, 0]

    def _matrices(self, like: Tensor, work: Scratch) -> list[Tensor]:
        """One orthogonal matrix for each level, finest first."""

        def make() -> list[Tensor]:
            sizes = [self.size >> level for level in range(self.levels)]
            return [torch.from_numpy(_level_matrix(self.wavelet, n)).to(like.device, like.dtype) for n in sizes]

        return work.keep(("wavelet", self.wavelet, self.size, self.levels, like.dtype, like.device), make)


class _LinearisedWavelet(Linearisation):
    """With m = max(|z|, eps + lambda), S(z) - z = -lambda z / m on both branches."""

    def __init__(self, layer: WaveletProximal, c: Tensor, threshold: Tensor, work: Scratch) -> None:
        self._layer, self._c, self._threshold, self._work = layer, c, threshold, work

    @property
    def increment(self) -> Tensor:
        largest = torch.maximum(_magnitude(self._c), self._layer.width + self._threshold)
        return self._back(self._c * (-self._threshold / largest))

    def pullback(self, cotangent: Tensor, into: Gradients) -> Tensor:
        """J^T p = W^H [ -lambda/m (q - u <u, q>) ], q = W p, with u = z/|z| above eps + lambda and 0 below."""
        c, threshold, width = self._c, self._threshold, self._layer.width
        q = self._layer.analyse(cotangent, self._work)
        edge = width + threshold
        size = _magnitude(c)
        above = size > edge
        largest = torch.maximum(size, edge)
        along = (c * q).sum(1, keepdim=True) / largest
        if self._layer.threshold in into:
            # d(lambda / m) / d lambda is 1 / m above the edge and eps / m^2 below.
            slope = -along * torch.where(above, torch.ones_like(size), width / edge)
            coarse = self._layer.size >> self._layer.levels
            slope[..., :coarse, :coarse] = 0
            into[self._layer.threshold][self._layer.index].add_(slope.sum())
        q -= c * (along * above / largest)
        return self._back(q.mul_(-threshold / largest), cotangent)

    def _back(self, c: Tensor, like: Tensor | None = None) -> Tensor:
        return self._layer.synthesise(c, _complex_or_real(c) if like is None else like, self._work)


def _complex_or_real(c: Tensor) -> Tensor:
    """Something of the kind of object that pairs stand for."""
    return c.new_empty(0, dtype=c.dtype.to_complex()) if c.shape[1] == 2 else c.new_empty(0)


def _magnitude(pairs: Tensor) -> Tensor:
    """(B, 2 or 1, N, N) -> (B, 1, N, N)."""
    return pairs.abs() if pairs.shape[1] == 1 else torch.hypot(pairs[:, :1], pairs[:, 1:])


@lru_cache(maxsize=64)
def _level_matrix(name: str, size: int) -> NDArray[np.float64]:
    """(N, N) one level of a periodic transform: the upper half low-pass, the lower half high-pass.

    c_k = sum_j f_j x_(2k + F/2 - j), with indices taken modulo N: the order of PyWavelets' mode "periodization".
    """
    try:
        wavelet: Any = pywt.Wavelet(name)
    except ValueError:
        raise SettingsError(f"there is no wavelet {name!r}", "use for example haar, db4, sym4 or coif1") from None
    matrix = np.zeros((size, size))
    for half, taps in enumerate((wavelet.dec_lo, wavelet.dec_hi)):
        for k in range(size // 2):
            for j, tap in enumerate(taps):
                matrix[half * (size // 2) + k, (2 * k + len(taps) // 2 - j) % size] += tap
    # Some wavelets of the tables are not orthogonal, and one (dmey) is so to three digits only.
    defect = float(np.abs(matrix @ matrix.T - np.eye(size)).max())
    if defect > 1e-8:
        raise SettingsError(
            f"the wavelet {name!r} is not orthogonal (to {defect:.1g})", "use for example haar, db4, sym4 or coif1"
        )
    return matrix


class TotalVariationProximal(AutogradLayer):
    """x + h(x) = argmin_u 1/2 ||u - x||^2 + lambda TV(u), by a fixed number of dual steps; forward only.

    TV(u) = sum_ij sqrt(|u_i+1,j - u_ij|^2 + |u_i,j+1 - u_ij|^2), isotropic, no differences across the border; of a
    complex object the real and the imaginary part share their edges, as |.|^2 is that of complex numbers.
    With the dual field q (|q| <= lambda) and t = 1/4, from q = 0:

        g = grad(x + div q),    q <- (q + t g) / (1 + (t / lambda) |g|),    at the end h = div q.

    Source: Chambolle, "An algorithm for total variation minimization and applications", J. Math. Imaging Vis. 20
    (2004), equation 9, with q = lambda p up to its sign.

    There is no inverse: flat regions are merged. The exact proximal map is firmly non-expansive, so h is
    1-Lipschitz, but no bound below one holds, and none is known after finitely many steps.

    Parameters
    ----------
    index
        Place of this unroll's lambda in the input ``threshold``.
    iterations
        Dual steps; the layer's graph holds them all.
    threshold
        Name of the input with lambda > 0, in units of the object times pixels, one per unroll.

    Raises
    ------
    SettingsError
        If there is no iteration.
    """

    invertible = False

    def __init__(self, index: int, iterations: int = 20, threshold: str = "threshold") -> None:
        if iterations < 1:
            raise SettingsError(f"total variation cannot work with {iterations} iterations", "use for example 20")
        super().__init__(f"total variation {index + 1}", self._denoise)
        self.kind = f"total variation, {iterations} iterations"
        self.index, self.iterations, self.threshold = index, iterations, threshold

    def _denoise(self, x: Tensor, inputs: Inputs) -> Tensor:
        threshold = unroll_number(inputs, self.threshold, self.index)
        planes = torch.stack([x.real, x.imag]) if x.is_complex() else x[None]
        q = torch.zeros((2, *planes.shape), dtype=planes.dtype, device=x.device)
        for _ in range(self.iterations):
            g = _gradient(planes + _divergence(q))
            square = g.square().sum((0, 1))
            # The derivative of |g| at zero is taken as zero, not as infinity: flat pixels have no edge to move.
            flat = (square == 0).to(square.dtype)
            norm = (square + flat).sqrt() - flat
            q = (q + TV_STEP * g) / (1 + (TV_STEP / threshold) * norm)
        h = _divergence(q)
        return torch.complex(h[0], h[1]) if x.is_complex() else h[0]


def _gradient(u: Tensor) -> Tensor:
    """(..., N, N) -> (2, ..., N, N) forward differences along rows and columns, zero at the far border."""
    return torch.stack([pad(u.diff(dim=-2), (0, 0, 0, 1)), pad(u.diff(dim=-1), (0, 1))])


def _divergence(q: Tensor) -> Tensor:
    """Minus the adjoint of `_gradient`, for fields that are zero at the far border."""
    return q[0] - pad(q[0][..., :-1, :], (0, 0, 1, 0)) + q[1] - pad(q[1][..., :-1], (1, 0))
