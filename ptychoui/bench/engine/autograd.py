"""The cropped, batched model written with plain tensor operations and differentiated by torch: what ours replaces."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ptychoui.bench.engine.problem import Bench
from ptychoui.optics.forward.model import FourierPtychography


def autograd_gradient(bench: Bench, checkpointed: bool = False) -> dict[str, Tensor]:
    """Back-propagation by torch through the same cropped, batched model in floating point.

    All unrolls are stored, or only their points with torch's own checkpoints.
    """
    physics, settings = bench.network.physics, bench.network.settings
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in bench.inputs.items()}
    model = AutogradModel(physics)
    beta = float(Fraction(settings.momentum))
    x = bench.x
    v = torch.zeros_like(x)

    def unroll(x: Tensor, v: Tensor, index: int) -> tuple[Tensor, Tensor]:
        v = beta * v - leaves["step"][index] * model.gradient(x, leaves, bench.network.variance_floor)
        return x + v, v

    for index in range(settings.unrolls):
        if checkpointed:
            x, v = checkpoint(unroll, x, v, index, use_reentrant=False)
        else:
            x, v = unroll(x, v, index)
    derivatives = torch.autograd.grad(x, list(leaves.values()), bench.cotangent)
    return dict(zip(leaves, derivatives, strict=True))


class AutogradModel:
    """The cropped forward model in plain tensor operations that torch can differentiate."""

    def __init__(self, physics: FourierPtychography) -> None:
        self._physics = physics
        self._crop, pupil, self._camera = physics.tables()
        self._pupil_adjoint = pupil.conj().resolve_conj()
        self._pupil = pupil * (physics.grids.field_px / physics.grids.object_px) ** 2

    def gradient(self, x: Tensor, inputs: dict[str, Tensor], floor: float) -> Tensor:
        """g(x), written so that torch differentiates it again."""
        p = self._physics
        crop, pupil, camera = self._crop, self._pupil, self._camera
        n, size, w = p.grids.field_px, p.grids.object_px, pupil.shape[-1]
        order = torch.arange(w, device=x.device)
        window = torch.fft.fft2(x).reshape(len(x), -1)[:, crop].view(len(x), -1, w, w) * pupil
        padded = x.new_zeros(len(x), len(p.leds), n, n)
        padded = padded.index_put(
            (slice_all(len(x), x), slice_led(len(p.leds), x), order[:, None], order[None, :]), window
        )
        u = torch.fft.ifft2(padded)
        intensity = u.real.square() + u.imag.square()
        mixed = torch.einsum("ml,blij->bmij", inputs["weights"], intensity)
        predicted = torch.sqrt(camera @ mixed @ camera.T + inputs["offset"][:, None, None] + floor)
        residual = camera.T @ (1 - inputs["amplitude"] / predicted) @ camera
        weighted = torch.einsum("ml,bmij->blij", inputs["weights"], residual) * u
        back = torch.fft.fft2(weighted)[..., order[:, None], order[None, :]] * self._pupil_adjoint
        spectrum = x.new_zeros(len(x), size * size).index_add(1, crop, back.reshape(len(x), -1))
        area = (size / p.grids.span_px) ** 2
        image: Tensor = torch.fft.ifft2(spectrum.view(len(x), size, size))
        return image * area


def slice_all(count: int, like: Tensor) -> Tensor:
    """Index of all objects, for `index_put`."""
    return torch.arange(count, device=like.device)[:, None, None, None]


def slice_led(count: int, like: Tensor) -> Tensor:
    """Index of all LEDs, for `index_put`."""
    return torch.arange(count, device=like.device)[None, :, None, None]
