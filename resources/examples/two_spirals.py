"""The engine without a microscope: learn to tell two spirals apart with a residual network of 100 layers.

Every layer moves the points by h(x) = tanh(x A + b) / 10. Joined by the heavy-ball update the network is undone bit
for bit, so its gradient needs the memory of one layer, whatever the depth.

    python resources/examples/two_spirals.py
"""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from ptychoui.engine import AutogradLayer, Chain, HeavyBall, Inputs, MemoryMeter, Reversible, Scratch, infer

UNROLLS, WIDTH = 100, 8


def spirals(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(count, WIDTH) points, zero beyond the plane, and (count,) labels."""
    label = torch.arange(count) % 2
    radius = 0.2 + torch.rand(count, generator=generator)
    angle = 1.5 * pi * radius + pi * label
    points = torch.zeros(count, WIDTH)
    points[:, 0], points[:, 1] = radius * torch.cos(angle), radius * torch.sin(angle)
    return points + 0.02 * torch.randn(count, WIDTH, generator=generator), label.float()


def layer(index: int) -> AutogradLayer:
    """One residual layer; matrices of ten neighbouring layers are shared."""

    def move(x: Tensor, inputs: Inputs) -> Tensor:
        return 0.1 * torch.tanh(x @ inputs["matrix"][index // 10] + inputs["bias"][index // 10])

    return AutogradLayer(f"residual {index + 1}", move)


def main(steps: int = 150) -> tuple[float, float, int]:
    """Train; return the share of held-out points told right before and after, and the peak memory of a step."""
    generator = torch.Generator().manual_seed(0)
    chain, work = Chain([layer(index) for index in range(UNROLLS)], HeavyBall("1/2")), Scratch()
    inputs = {
        "matrix": 0.3 * torch.randn(UNROLLS // 10, WIDTH, WIDTH, generator=generator),
        "bias": torch.zeros(UNROLLS // 10, WIDTH),
    }
    readout = torch.randn(WIDTH, generator=generator).requires_grad_()
    x, label = spirals(256, generator)
    test_x, test_label = spirals(256, generator)
    optimiser = torch.optim.Adam([*inputs.values(), readout], lr=0.02)

    def right() -> float:
        output = infer(chain, test_x, inputs, work)
        return float(((output @ readout.detach() > 0) == (test_label > 0.5)).float().mean())

    def gradient() -> tuple[float, str | None]:
        trace = Reversible().forward(chain, x, inputs, work)
        output = trace.output.requires_grad_()
        loss = binary_cross_entropy_with_logits(output @ readout, label)
        cotangent, readout.grad = torch.autograd.grad(loss, [output, readout])
        back = trace.backward(cotangent, list(inputs))
        for name, value in inputs.items():
            value.grad = back.inputs[name]
        return float(loss.detach()), back.certificate

    before, meter = right(), MemoryMeter()
    with meter:
        gradient()
    for step in range(steps):
        loss, certificate = gradient()
        optimiser.step()
        if step % 30 == 0 or step == steps - 1:
            print(f"step {step:3d}  loss {loss:.3f}  {certificate}")
    after = right()
    print(f"told right: {before:.0%} before, {after:.0%} after; {meter.peak / 1e6:.2f} MB for {UNROLLS} layers")
    return before, after, meter.peak


if __name__ == "__main__":
    main()
