"""The residual convolutional network of learned reconstructions, with exact Lipschitz bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv3d, pad

from ptychoui.engine.autograd_layer import AutogradLayer
from ptychoui.engine.layer import Inputs
from ptychoui.errors import EngineError, SettingsError

Borders = Literal["circular", "zero", "reflect"]
"""What convolutions see beyond the borders of an object: its other side, nothing, or its mirror image."""


class ResidualCnn(AutogradLayer):
    """h(x) = W_K r(... r(W_1 x + b_1) ...) + b_K: K convolutions in two or three dimensions with ReLU r between them.

    Complex objects are two channels, real ones one. ReLU, because its Lipschitz constant is exactly 1 (that of SiLU
    is 1.1) and its result, which the next convolution keeps anyway, is all that its derivative needs: a smooth
    function would add its argument to the layer's graph.

    Objects of 2-D networks are images, of 3-D ones volumes or series of images. With circular borders the network moves
    with what it sees; zero and mirrored borders suit objects that end there, such as a slab.

    With ``bound`` c every kernel is scaled to operator norm c^(1/K) wherever it is larger, W <- W min(1, t/||W||), so
    that h is c-Lipschitz, proven and not estimated: ||W|| is the exact norm of the circular convolution at this image
    size, the largest singular value of the kernel's transform over all frequencies (Sedghi, Gupta, Long, "The
    singular values of convolutional layers", ICLR 2019). Power iteration as in usual spectral normalisation
    (Behrmann et al., "Invertible residual networks", ICML 2019) only comes near it from below, and so does a coarser
    grid of frequencies. Derivatives go through the norms.

    Norms are found on the CPU in double precision and kept with the layer until the weights change: unrolls that
    share weights should share one layer.

    Inputs: ``{prefix}conv{i}.weight`` (out, in, kernel, kernel), in 3-D (out, in, kernel, kernel, kernel), and
    ``{prefix}conv{i}.bias`` (out,), i from 1 to K; see `initial_weights`. The same prefix in each unroll shares
    weights, one of its own gives it its own.

    Parameters
    ----------
    size
        Shape of an object, (row, column) or (slice, row, column); a number N stands for (N, N).
    prefix
        What the names of the weights start with.
    channels
        Channels between convolutions.
    convolutions
        K.
    kernel
        Side of the kernels in pixels, odd and at most the object's, or one along each axis: (1, 3, 3) sees single
        planes of a volume.
    bound
        c between 0 and 1, or None for weights as they are; square images with circular borders can have one.
    complex_objects
        Whether objects are complex.
    borders
        What convolutions see beyond the borders.

    Raises
    ------
    SettingsError
        If a number is out of range.
    """

    kinked = True

    def __init__(
        self,
        size: int | tuple[int, ...],
        prefix: str = "",
        channels: int = 16,
        convolutions: int = 5,
        kernel: int | tuple[int, ...] = 3,
        bound: float | None = None,
        complex_objects: bool = True,
        borders: Borders = "circular",
    ) -> None:
        shape = (size, size) if isinstance(size, int) else tuple(size)
        if len(shape) not in (2, 3):
            raise SettingsError(
                f"convolutions in {len(shape)} dimensions are not known", "objects have two or three axes"
            )
        if bound is not None and not 0 < bound < 1:
            raise SettingsError(f"a contraction bound of {bound:g} is not between 0 and 1", "use for example 0.9")
        square = len(shape) == 2 and shape[0] == shape[1] and isinstance(kernel, int)
        if bound is not None and (borders != "circular" or not square):
            raise SettingsError(
                f"objects of {' x '.join(map(str, shape))} with {borders} borders can have no contraction bound",
                "it is known for square images with circular borders",
            )
        sides = (kernel,) * len(shape) if isinstance(kernel, int) else tuple(kernel)
        if len(sides) != len(shape) or any(k < 1 or k % 2 == 0 or k > n for k, n in zip(sides, shape, strict=False)):
            raise SettingsError(
                f"kernels of {' x '.join(map(str, sides))} pixels do not fit objects of {' x '.join(map(str, shape))}",
                "use an odd number up to the object's shortest side",
            )
        if channels < 1 or convolutions < 1:
            raise SettingsError(
                f"a network of {convolutions} convolutions with {channels} channels cannot be made",
                "use 1 or more of each",
            )
        super().__init__(f"{prefix}residual CNN", self._network, self._lipschitz)
        self.kind = f"residual CNN, {convolutions} x {channels} channels, kernel {kernel}, bound {bound}, {borders}"
        self.shape, self.prefix, self.bound, self.complex_objects = shape, prefix, bound, complex_objects
        self.borders = borders
        ends = 2 if complex_objects else 1
        widths = [ends, *[channels] * (convolutions - 1), ends]
        self._shapes = [(out, into, *sides) for into, out in pairwise(widths)]
        self._norms: dict[str, tuple[Tensor, KernelNorm]] = {}

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the weights."""
        shapes: dict[str, tuple[int, ...]] = {}
        for index, shape in enumerate(self._shapes):
            shapes[self._name(index, "weight")] = shape
            shapes[self._name(index, "bias")] = shape[:1]
        return shapes

    def initial_weights(
        self, generator: torch.Generator, dtype: torch.dtype = torch.float32, last: float = 0.1
    ) -> dict[str, Tensor]:
        """Random weights, and biases of zero, on the generator's device.

        Kernels have variance 2 / (in kernel^2), which keeps the variance through ReLU (He et al., "Delving deep into
        rectifiers", ICCV 2015, equation 10); the last one is ``last`` times that, so that unrolls start near the
        identity.

        Each kernel is (out, in, kernel, kernel), in 3-D (out, in, kernel, kernel, kernel), each bias (out,).
        """
        weights: dict[str, Tensor] = {}
        for index, shape in enumerate(self._shapes):
            scale = math.sqrt(2 / math.prod(shape[1:])) * (last if index == len(self._shapes) - 1 else 1.0)
            # Drawn in double precision, so that both precisions start alike.
            drawn = torch.randn(shape, generator=generator, dtype=torch.float64, device=generator.device)
            weights[self._name(index, "weight")] = (scale * drawn).to(dtype)
            weights[self._name(index, "bias")] = torch.zeros(shape[0], dtype=dtype, device=generator.device)
        return weights

    def _name(self, index: int, what: str) -> str:
        return f"{self.prefix}conv{index + 1}.{what}"

    def _target(self) -> float:
        """Largest norm of a kernel: c^(1/K), ReLU being 1-Lipschitz."""
        return math.inf if self.bound is None else self.bound ** (1 / len(self._shapes))

    def _lipschitz(self, inputs: Inputs) -> float:
        """The product of the kernels' norms, after normalisation: at most c."""
        norms = [self._norm(index, self._weight(index, inputs)).value for index in range(len(self._shapes))]
        return math.prod(min(norm, self._target()) for norm in norms)

    def _weight(self, index: int, inputs: Inputs, what: str = "weight") -> Tensor:
        name, shape = self._name(index, what), self._shapes[index]
        if name not in inputs:
            raise EngineError(f"there is no input {name!r}", f"inputs are {', '.join(inputs) or 'none'}")
        if tuple(inputs[name].shape) != (shape if what == "weight" else shape[:1]):
            raise EngineError(
                f"the input {name!r} has shape {tuple(inputs[name].shape)}, the layer {self.name!r} needs "
                f"{shape if what == 'weight' else shape[:1]}",
                "make the weights with the layer's own initial_weights",
            )
        return inputs[name]

    def _norm(self, index: int, weight: Tensor) -> KernelNorm:
        """The norm of a kernel, found again only if the kernel's values changed."""
        name, weight = self._name(index, "weight"), weight.detach()
        held = self._norms.get(name)
        if held is not None and (held[0].dtype, held[0].device) == (weight.dtype, weight.device):
            if torch.equal(held[0], weight):
                return held[1]
        self._norms[name] = (weight.clone(), kernel_norm(weight, self.shape[0]))
        return self._norms[name][1]

    def _normalised(self, index: int, weight: Tensor) -> Tensor:
        if self.bound is None:
            return weight
        norm, target = self._norm(index, weight), self._target()
        if norm.value <= target:
            return weight
        # The norm is a constant plus a term that is zero but has the norm's derivative.
        change = (norm.derivative.to(weight.device, weight.dtype) * (weight - weight.detach())).sum()
        return weight * (target / (norm.value + change))

    def _network(self, x: Tensor, inputs: Inputs) -> Tensor:
        if x.shape[1:] != self.shape or x.is_complex() != self.complex_objects:
            kind = "complex" if x.is_complex() else "real"
            raise EngineError(
                f"the layer {self.name!r} was given {kind} objects of shape {tuple(x.shape)}",
                f"give it {'complex' if self.complex_objects else 'real'} ones, "
                f"(batch, {', '.join(map(str, self.shape))})",
            )
        convolve = conv2d if len(self.shape) == 2 else conv3d
        channels = torch.view_as_real(x).movedim(-1, 1) if self.complex_objects else x[:, None]
        for index, shape in enumerate(self._shapes):
            weight, bias = self._weight(index, inputs), self._weight(index, inputs, "bias")
            if index:
                channels = channels.relu()
            reach = tuple(side // 2 for side in shape[2:])
            if any(reach) and self.borders == "circular":
                channels = _CircularPad.apply(channels, reach)  # type: ignore[no-untyped-call]
            elif any(reach) and self.borders == "reflect":
                channels = pad(channels, _both_sides(reach), mode="reflect")
            beyond = reach if self.borders == "zero" else 0
            channels = convolve(channels, self._normalised(index, weight), bias, padding=beyond)
        return torch.view_as_complex(channels.movedim(1, -1).contiguous()) if self.complex_objects else channels[:, 0]


class _CircularPad(torch.autograd.Function):
    """Circular padding by ``reach`` pixels along each axis of (B, C, *space), every side at least 2 reach + 1.

    Torch differentiates its own circular padding slice by slice, through full-size arrays of zeros: a third of the
    time of a layer's pullback on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, channels: Tensor, reach: tuple[int, ...]) -> Tensor:
        ctx.reach = reach
        return pad(channels, _both_sides(reach), mode="circular")

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, None]:
        """What was copied to the border is added to where it came from."""
        inside = [slice(r, -r) if r else slice(None) for r in ctx.reach]
        inner = cotangent[_last(inside)].clone(memory_format=torch.contiguous_format)
        # (where in the object, where in the border) along each axis, the middle first
        places = [
            ((slice(None), middle), *(((slice(-r, None), slice(r)), (slice(r), slice(-r, None))) if r else ()))
            for r, middle in zip(ctx.reach, inside, strict=True)
        ]
        for number, along in enumerate(product(*places)):
            if number:  # all but the middle of every axis
                inner[_last([to for to, _ in along])] += cotangent[_last([come for _, come in along])]
        return inner, None


def _both_sides(reach: tuple[int, ...]) -> list[int]:
    """Numbers for torch's padding: the last axis first, its two sides alike."""
    return [r for each in reversed(reach) for r in (each, each)]


def _last(parts: list[slice]) -> Any:
    """An index of parts along the last axes."""
    return (..., *parts)


@dataclass(frozen=True, slots=True)
class KernelNorm:
    """Operator norm of a circular convolution.

    Attributes
    ----------
    value
        The norm, to double precision.
    derivative
        (out, in, k, k) its derivative in the kernel, float64 on the CPU. Where several frequencies share the largest
        singular value the norm has a kink: one of its derivatives.
    """

    value: float
    derivative: Tensor


FIRST_GRID = 16
"""Frequencies per axis with which the search for the largest singular value starts, for each pixel of reach."""


def kernel_norm(weight: Tensor, size: int) -> KernelNorm:
    """Exact operator norm of a circular convolution with (out, in, k, k) kernels on images of N x N pixels.

    It is M = max_f sigma(f), sigma(f) the largest singular value of the (out, in) transform K(f) of the kernel at one
    of the N x N frequencies. Most of them need not be looked at. Let U >= M be the maximum over all real f. Between
    fixed unit vectors u^H K(f) v is a trigonometric polynomial of degree d = (k - 1)/2 on each axis, bounded by U, so
    that along a line it falls no faster than the cosine of the same degree and bound (M. Riesz; Duffin and Schaeffer,
    "Some properties of functions of exponential type", Bull. AMS 44 (1938)): where sigma = U cos(b) at one place,
    sigma >= U cos(b + t) at a distance t = d (|f_y| + |f_x|), f in radians per pixel. With cells that reach t from
    their centres and the largest centre L this gives, first, U <= L / cos(t), then, as M >= L, that M lies in no cell
    with a centre below L cos(2 t) / cos(t). The other cells are split, down to the single frequency. Rounding apart
    the result is that of all frequencies.
    """
    out, into, side, _ = weight.shape
    flat = weight.detach().to("cpu", torch.float64).reshape(out * into, side * side)
    reach = side // 2
    offset = torch.arange(side, dtype=torch.float64) - reach

    def transforms(frequencies: Tensor) -> Tensor:
        """(F, 2) frequency numbers -> (F, out, in) complex."""
        phase = 2 * torch.pi / size * frequencies.to(torch.float64)
        angle = phase[:, 0, None, None] * offset[:, None] + phase[:, 1, None, None] * offset
        waves = torch.polar(torch.ones_like(angle), angle).reshape(len(frequencies), -1)
        return (waves @ flat.T.to(torch.complex128)).reshape(-1, out, into)

    stride = 1
    while size // (2 * stride) >= FIRST_GRID * reach > 0:
        stride *= 2
    # Kernels of one pixel look alike to all frequencies.
    along = torch.arange(0, size if reach else 1, stride)
    cells = _one_of_each_pair(torch.cartesian_prod(along, along), size)
    largest, where = -1.0, cells[0]
    while True:
        sigma = torch.linalg.svdvals(transforms(cells))[:, 0]
        best = int(sigma.argmax())
        if float(sigma[best]) > largest:
            largest, where = float(sigma[best]), cells[best]
        if stride == 1:
            break
        # A cell reaches half a stride from its centre on each axis.
        t = reach * 2 * math.pi / size * stride
        fall = math.cos(2 * t) / math.cos(t) if t < math.pi / 4 else 0.0
        cells = cells[sigma >= largest * fall * (1 - 1e-9)]
        stride //= 2
        beside = torch.tensor([-stride, 0, stride])
        split = cells[:, None] + torch.cartesian_prod(beside, beside)
        cells = _one_of_each_pair(split.reshape(-1, 2), size)
    u, _, vh = torch.linalg.svd(transforms(where[None])[0])
    # d sigma = Re u^H dK v with dK = sum_ab dw_ab exp(i angle_ab).
    outer = (u[:, 0, None].conj() * vh[0].conj()).reshape(-1, 1)
    phase = 2 * torch.pi / size * where.to(torch.float64)
    angle = (phase[0] * offset[:, None] + phase[1] * offset).reshape(-1)
    derivative = (outer * torch.polar(torch.ones_like(angle), angle)).real
    return KernelNorm(largest, derivative.reshape(weight.shape))


def _one_of_each_pair(frequencies: Tensor, size: int) -> Tensor:
    """Of f and -f, which have the same singular values, the first; each once, numbers modulo N."""
    f = frequencies % size
    mirrored = -f % size
    swap = (mirrored[:, 0] < f[:, 0]) | ((mirrored[:, 0] == f[:, 0]) & (mirrored[:, 1] < f[:, 1]))
    number = torch.where(swap, mirrored[:, 0] * size + mirrored[:, 1], f[:, 0] * size + f[:, 1])
    first: Tensor = torch.unique(number)
    return torch.stack([first // size, first % size], dim=1)
