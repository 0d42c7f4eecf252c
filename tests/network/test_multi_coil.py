"""Unrolls of multi-coil k-space against dense solves: orders, weights and mu of their own, planes, the start."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from network.layer_problems import draw
from optics.setups import relative
from torch import Tensor

from ptychoui.engine.check import KINKED_ALLOWED, allowed_deviation
from ptychoui.engine.scratch import Scratch
from ptychoui.mri.sense import Sense
from ptychoui.network.multi_coil import MultiCoilUnrolls
from ptychoui.settings import MultiCoilNetwork

SMALL: dict[str, Any] = {"unrolls": 2, "convolutions": 2, "channels": 3, "update": "plain", "kernel": 3}


def network_of(space: tuple[int, ...], transformed: int = 2, double: bool = True, **settings: Any) -> MultiCoilUnrolls:
    dtype = torch.float64 if double else torch.float32
    return MultiCoilUnrolls(space, transformed, MultiCoilNetwork(**{**SMALL, **settings}), dtype)


def measured(space: tuple[int, ...]) -> dict[str, Tensor]:
    mask = (torch.rand(1, *space, generator=torch.manual_seed(2), dtype=torch.float64) < 0.4).double()
    return {"maps": 0.5 * draw(1, 1, 3, *space), "sampling": mask, "k_space": draw(3, 1, 3, *space)}


def consistent(x: Tensor, inputs: dict[str, Tensor], mu: Tensor) -> Tensor:
    """(A^H W A + mu)^-1 (A^H W y + mu x) by a dense matrix."""
    sense = Sense(inputs["maps"], inputs["sampling"], 2)
    units = torch.eye(x.numel(), dtype=x.dtype).reshape(-1, *x.shape[1:])
    matrix = torch.stack([sense.normal(unit[None]).flatten() for unit in units], dim=1)
    matrix = matrix + mu * torch.eye(x.numel(), dtype=x.dtype)
    right = (sense.adjoint(inputs["k_space"]) + mu * x).flatten()
    found: Tensor = torch.linalg.solve(matrix, right).reshape(x.shape)
    return found


@pytest.mark.parametrize("order", ["modl", "hqs"])
@pytest.mark.parametrize("shared", [True, False])
def test_an_unroll_is_its_definition_with_weights_and_mu_of_its_own(order: str, shared: bool) -> None:
    space = (5, 6)
    network = network_of(space, order=order, shared=shared)
    weights = network.initial_weights(torch.Generator().manual_seed(1), torch.float64)
    mu = network.initial_mu(torch.float64)
    assert len(mu) == (1 if shared else 2)
    if not shared:
        mu[:] = torch.tensor([0.3, 0.05])
        assert all(not torch.equal(both[0], both[1]) for name, both in weights.items() if name.endswith("weight"))
    inputs = measured(space)
    x = expected = draw(4, 1, *space)
    for unroll in range(2):
        own = weights if shared else {name: both[unroll] for name, both in weights.items()}
        own_mu = mu[0 if shared else unroll]

        def denoised(image: Tensor, own: dict[str, Tensor] = own) -> Tensor:
            return image + network.cnn.increment(image, own, Scratch())

        if order == "modl":
            expected = consistent(denoised(expected), inputs, own_mu)
        else:
            expected = denoised(consistent(expected, inputs, own_mu))
    found = network.infer(x, {**weights, **inputs, "mu": mu})
    assert relative(found, expected) < 1e-9


def test_planes_of_a_slab_are_solved_for_themselves() -> None:
    """With kernels of one pixel nothing joins planes, and a loose tolerance shows whether the solver does."""
    space = (3, 8, 9)
    settings = {"kernel": 1, "tolerance": 0.05, "mu": 0.02}
    slab, plane = network_of(space, double=False, **settings), network_of((1, 8, 9), double=False, **settings)
    weights = slab.initial_weights(torch.Generator().manual_seed(1))
    inputs = {
        name: tensor.to(torch.complex64 if tensor.is_complex() else torch.float32)
        for name, tensor in measured(space).items()
    }
    inputs["k_space"][:, :, 1] *= 100
    x = draw(4, 1, *space).to(torch.complex64)
    together = slab.infer(x, {**weights, **inputs, "mu": slab.initial_mu()})
    for number in range(3):
        one = {name: tensor[..., number : number + 1, :, :] for name, tensor in inputs.items()}
        alone = plane.infer(x[:, number : number + 1], {**weights, **one, "mu": plane.initial_mu()})
        assert relative(alone, together[:, number : number + 1]) < 1e-5


def test_a_volume_is_solved_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers of the solver of their own for every slice would take many more iterations, or come to nothing."""
    space, calls, normal = (6, 8, 10), [], Sense.normal

    def counted(self: Sense, x: Tensor) -> Tensor:
        calls.append(1)
        return normal(self, x)

    monkeypatch.setattr(Sense, "normal", counted)
    network = network_of(space, 3, double=False, unrolls=1, tolerance=1e-5, mu=0.02)
    inputs = {
        name: tensor.to(torch.complex64 if tensor.is_complex() else torch.float32)
        for name, tensor in measured(space).items()
    }
    weights = network.initial_weights(torch.Generator().manual_seed(1))
    network.infer(draw(4, 1, *space).to(torch.complex64), {**weights, **inputs, "mu": network.initial_mu()})
    assert len(calls) < 100


def test_many_unrolls_start_nearer_to_the_identity() -> None:
    sizes = []
    for unrolls in (2, 40):
        network = network_of((5, 6), unrolls=unrolls)
        sizes.append(network.initial_weights(torch.Generator().manual_seed(1))["cnn.conv2.weight"])
    assert torch.allclose(sizes[0] * 0.2, sizes[1])


@pytest.mark.parametrize("shared", [True, False])
def test_its_derivatives_are_checked_as_those_of_a_network_with_kinks(shared: bool) -> None:
    assert allowed_deviation(network_of((5, 6), shared=shared).chain) == KINKED_ALLOWED
