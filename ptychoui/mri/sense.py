"""Multi-coil Cartesian k-space as a linear operator on images whose maps and sampling belong to each example.

    y_c = F S_c x,    A^H W A = sum_c S_c^H F^H W F S_c

F is the unitary Fourier transform over the last two or three axes, S_c a coil's sensitivity, W >= 0 the weight of every
k-space sample: 0 where nothing was measured, 1 where it was, anything between while sampling is learned. The other axes
(the readout of a slab, frames) are transformed by nothing, so that each plane is a problem of its own.
Source: Pruessmann et al., "SENSE: sensitivity encoding for fast MRI", Magn. Reson. Med. 42 (1999).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ptychoui.errors import DataError

CHUNK_BYTES = 2**20
"""Coils are worked on together up to this size on a CPU: intermediate images then stay in its cache."""


class Sense:
    """The operator of a batch.

    Parameters
    ----------
    maps
        (B or 1, C, *space) complex S; axes that it does not depend on, such as frames, may have length 1.
    sampling
        (B or 1, *space) real W, zero frequency first; axes that it does not depend on may have length 1.
    transformed
        How many of the last axes F transforms: 2 or 3.

    Raises
    ------
    DataError
        If the shapes do not fit each other.
    """

    def __init__(self, maps: Tensor, sampling: Tensor, transformed: int) -> None:
        fits = maps.ndim == sampling.ndim + 1 and sampling.ndim > transformed
        pairs = zip(maps.shape[2:], sampling.shape[1:], strict=False)
        if not fits or any(1 not in (a, b) and a != b for a, b in pairs):
            raise DataError(
                f"coil maps of shape {tuple(maps.shape)} do not fit a sampling of shape {tuple(sampling.shape)}",
                "maps are (example, coil, *image), a sampling is (example, *image)",
            )
        self.maps, self.sampling = maps, sampling
        self._axes = tuple(range(-transformed, 0))
        self._weights = sampling[:, None]

    def apply(self, x: Tensor) -> Tensor:
        """F S_c x of every coil, sampled or not: (B, *space) -> (B, C, *space)."""
        k_space: Tensor = torch.fft.fftn(x[:, None] * self.maps, dim=self._axes, norm="ortho")
        return k_space

    def adjoint(self, y: Tensor) -> Tensor:
        """sum_c S_c^H F^H W y_c: (B, C, *space) -> (B, *space)."""
        total: Tensor | None = None
        for coils in self._chunks(y[:, 0]):
            total = self._combined(y[:, coils] * self._weights, self.maps[:, coils], total)
        assert total is not None
        return total

    def normal(self, x: Tensor) -> Tensor:
        """sum_c S_c^H F^H W F S_c x, (B, *space) as x is."""
        total: Tensor | None = None
        for coils in self._chunks(x):
            maps = self.maps[:, coils]
            image = torch.fft.fftn(x[:, None] * maps, dim=self._axes, norm="ortho")
            total = self._combined(image.mul_(self._weights), maps, total)
        assert total is not None
        return total

    def towards(self, x: Tensor, y: Tensor) -> Tensor:
        """sum_c S_c^H F^H W (y_c - F S_c x), (B, *space): half the downhill direction of the data's misfit."""
        total: Tensor | None = None
        for coils in self._chunks(x):
            maps = self.maps[:, coils]
            k_space = torch.fft.fftn(x[:, None] * maps, dim=self._axes, norm="ortho")
            total = self._combined(torch.sub(y[:, coils], k_space).mul_(self._weights), maps, total)
        assert total is not None
        return total

    def norm_squared(self) -> float:
        """An upper bound of the largest eigenvalue of A^H W A: the largest sum |S|^2 times the largest weight."""
        return float(self.maps.abs().square().sum(1).amax()) * float(self.sampling.amax())

    # Derivatives ---------------------------------------------------------------------------------------------

    def of_maps(self, s: Tensor, z: Tensor, y: Tensor) -> Tensor:
        """Derivative of Re<s, A^H W (y - A z)> in the maps, (B, C, *space): conj(s) r_c - conj(z) q_c.

        r_c = F^H W (y_c - F S_c z) and q_c = F^H W F S_c s; ``s`` and ``z`` are (B, *space).
        """
        left = torch.fft.ifftn((y - self.apply(z)).mul_(self._weights), dim=self._axes, norm="ortho")
        right = torch.fft.ifftn(self.apply(s).mul_(self._weights), dim=self._axes, norm="ortho")
        found: Tensor = s.conj()[:, None] * left - z.conj()[:, None] * right
        return found

    def of_sampling(self, s: Tensor, z: Tensor, y: Tensor) -> Tensor:
        """Derivative of Re<s, A^H W (y - A z)> in W, (B, *space): Re sum_c conj(F S_c s) (y_c - F S_c z)."""
        total: Tensor | None = None
        for coils in self._chunks(s):
            maps = self.maps[:, coils]
            of_s = torch.fft.fftn(s[:, None] * maps, dim=self._axes, norm="ortho")
            of_z = torch.fft.fftn(z[:, None] * maps, dim=self._axes, norm="ortho")
            found = (of_s.conj() * (y[:, coils] - of_z)).real.sum(1)
            total = found if total is None else total.add_(found)
        assert total is not None
        return total

    # --------------------------------------------------------------------------------------------------------

    def _combined(self, k_space: Tensor, maps: Tensor, total: Tensor | None) -> Tensor:
        """Add what some coils see of k-space, (B, c, *space), to an image, (B, *space)."""
        image: Tensor = torch.fft.ifftn(k_space, dim=self._axes, norm="ortho").mul_(maps.conj()).sum(1)
        if total is not None:
            total.add_(image)
            return total
        return image

    def _chunks(self, x: Tensor) -> Iterator[slice]:
        """Coils to be worked on together."""
        count = self.maps.shape[1]
        each = max(1, x.numel() * x.element_size())
        together = max(1, CHUNK_BYTES // each) if x.device.type == "cpu" else count
        for first in range(0, count, together):
            yield slice(first, min(first + together, count))


def reduced_to(derivative: Tensor, shape: torch.Size) -> Tensor:
    """A derivative summed over the axes along which its input, of the given shape, was repeated."""
    repeated = tuple(axis for axis, (a, b) in enumerate(zip(derivative.shape, shape, strict=True)) if b == 1 and a != 1)
    return derivative.sum(repeated, keepdim=True) if repeated else derivative
