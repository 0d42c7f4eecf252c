"""Conjugate gradients against dense solves and SciPy's, implicit derivatives, inverses and exact bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from network.layer_checks import (
    check_accumulates,
    check_derivatives,
    check_increments,
    check_single_precision,
    observed_lipschitz,
)
from network.layer_problems import dense, draw, least_squares, operator
from optics.setups import figure, inner, relative
from scipy.sparse.linalg import LinearOperator as SciPyOperator
from scipy.sparse.linalg import cg

from ptychoui.engine.scratch import Scratch
from ptychoui.errors import EngineError, SettingsError
from ptychoui.network.least_squares import LeastSquares, MaskedFourier


def mus(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def single(a: MaskedFourier) -> MaskedFourier:
    return MaskedFourier(a.mask.float(), None if a.coils is None else a.coils.to(torch.complex64))


@pytest.mark.parametrize("coils", [None, 3])
def test_least_squares_keep_the_layer_contract(coils: int | None) -> None:
    problem = least_squares(3, coils=coils)
    for index in (0, 2):
        check_increments(problem, "least squares", index)
        check_derivatives(problem, "least squares", index)
    check_accumulates(problem, 1)
    check_single_precision(problem, "least squares", single=LeastSquares(single(operator(8, coils)), 0))


@pytest.mark.parametrize("coils", [None, 3])
def test_the_operator_is_its_definition_and_has_its_adjoint(coils: int | None) -> None:
    a, x = operator(8, coils), draw(1, 2, 8, 8)
    y = a.apply(x)
    assert y.shape == ((2, 8, 8) if coils is None else (2, 3, 8, 8))
    assert relative(y.reshape(2, -1), x.reshape(2, -1) @ dense(a).T) < 1e-13
    other = draw(2, *y.shape)
    assert figure("masked Fourier: adjoint", abs(inner(other, y) / inner(a.adjoint(other), x) - 1)) < 1e-12
    largest = float(torch.linalg.matrix_norm(dense(a), 2)) ** 2
    assert largest <= a.norm_squared() * (1 + 1e-12)
    full = MaskedFourier(torch.ones(8, 8, dtype=torch.float64), a.coils)
    assert full.norm_squared() == pytest.approx(float(torch.linalg.matrix_norm(dense(full), 2)) ** 2)
    assert MaskedFourier(2 * a.mask).norm_squared() == 4.0


def test_a_solve_is_that_of_scipy() -> None:
    a, mu, b = operator(16), 0.05, draw(3, 1, 16, 16)
    layer = LeastSquares(a, 0)

    def normal(x: np.ndarray) -> np.ndarray:
        image = torch.from_numpy(x.reshape(1, 16, 16))
        return (a.adjoint(a.apply(image)) + mu * image).numpy().ravel()

    expected, failed = cg(
        SciPyOperator((256, 256), matvec=normal, dtype=complex), b.numpy().ravel(), rtol=1e-13, maxiter=500
    )
    assert not failed
    found = layer.solve(b, mus(mu)[0])
    assert figure("least squares: solve from SciPy's", relative(found.ravel(), expected)) < 1e-10


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.complex64, 1e-6), (torch.complex128, 1e-12)])
def test_the_true_residual_is_within_the_tolerance(dtype: torch.dtype, tolerance: float) -> None:
    a = operator(16)
    a = a if dtype == torch.complex128 else single(a)
    mu, b = mus(0.05).to(dtype.to_real())[0], draw(3, 4, 16, 16, dtype=dtype)
    s = LeastSquares(a, 0).solve(b, mu)
    residual = (a.adjoint(a.apply(s)) + mu * s - b).flatten(1).norm(dim=1) / b.flatten(1).norm(dim=1)
    worst = figure(f"least squares: residual over the tolerance, {dtype}", float(residual.max()) / tolerance)
    assert worst < 3


def test_every_object_stops_on_its_own() -> None:
    """An object's result does not depend on the others, however hard; one that is solved already stays."""
    layer, easy, hard = LeastSquares(operator(), 0), draw(1, 1, 8, 8), 1e6 * draw(2, 1, 8, 8)
    alone = layer.solve(easy, mus(0.01)[0])
    for batch in (torch.cat([easy, hard]), torch.cat([easy, 0 * easy, 1e-9 * easy])):
        together = layer.solve(batch, mus(0.01)[0])
        assert relative(together[:1], alone) < 1e-13
    assert not together[1].any() and relative(together[2], 1e-9 * alone[0]) < 1e-13


def test_an_object_that_fits_both_stays_exactly() -> None:
    a, x = operator(), draw(1, 2, 8, 8)
    h = LeastSquares(a, 0).increment(x, {"measured": a.apply(x), "mu": mus(0.1)}, Scratch())
    assert not h.any()


@pytest.mark.parametrize("mu", [2.0, 0.05])
def test_least_squares_are_undone(mu: float) -> None:
    problem = least_squares(1)
    inputs = problem.inputs | {"mu": mus(mu)}
    layer = LeastSquares(operator(), 0)
    z = problem.x + layer.increment(problem.x, inputs, Scratch())
    back = relative(layer.inverse(z, inputs, Scratch()), problem.x)
    # What is left of the residual is divided by mu.
    assert figure(f"least squares: x from its inverse at mu = {mu:g}", back) < 1e-11 / mu


@pytest.mark.parametrize("mu", [1.0, 0.05])
def test_the_bounds_are_exact(mu: float) -> None:
    """With all of k-space the operator's norm is known, and reached."""
    a = operator()
    full = MaskedFourier(torch.ones_like(a.mask), a.coils)
    layer, x = LeastSquares(full, 0), draw(1, 1, 8, 8)
    inputs = {"measured": full.apply(draw(2, 1, 8, 8)), "mu": mus(mu)}
    bound, undone = layer.contraction_bound(inputs), layer.inverse_bound(inputs)
    assert bound is not None and undone is not None
    seen = observed_lipschitz(layer, x, inputs)
    assert seen <= bound * (1 + 1e-7)
    eigenvalues = torch.linalg.eigvalsh(dense(full).mH @ dense(full))
    assert bound == pytest.approx(float((eigenvalues / (eigenvalues + mu)).max()), rel=1e-12)
    assert undone == pytest.approx(float(((eigenvalues + mu) / mu).max()), rel=1e-12)
    assert undone == pytest.approx(1 / (1 - bound))
    assert figure("least squares: 1 - observed/bound", 1 - seen / bound) < 0.02


class Unbounded:
    def apply(self, x: torch.Tensor) -> torch.Tensor:
        return x

    adjoint = apply

    def norm_squared(self) -> None:
        return None


def test_operators_without_a_norm_and_real_objects_work() -> None:
    layer, x = LeastSquares(Unbounded(), 0), draw(1, 2, 4, 4, dtype=torch.float64)
    inputs = {"measured": 0 * x, "mu": mus(1.0)}
    assert layer.contraction_bound(inputs) is None and layer.inverse_bound(inputs) is None
    assert relative(layer.increment(x, inputs, Scratch()), -x / 2) < 1e-12


def test_solves_that_do_not_converge_are_refused() -> None:
    problem = least_squares(1)
    layer = LeastSquares(operator(), 0, most_iterations=3)
    with pytest.raises(EngineError, match="did not converge: after 3 iterations") as caught:
        layer.increment(problem.x, problem.inputs, Scratch())
    assert "more iterations" in caught.value.hint
    assert (
        LeastSquares(operator(), 0, tolerance=0.5, most_iterations=3)
        .increment(problem.x, problem.inputs, Scratch())
        .any()
    )
    broken = problem.x.clone()
    broken[0, 0, 0] = math.nan
    with pytest.raises(EngineError) as caught:
        LeastSquares(operator(), 0).increment(broken, problem.inputs, Scratch())
    assert "not finite" in caught.value.hint


def test_settings_and_inputs_that_cannot_be_are_refused() -> None:
    a, problem = operator(), least_squares(1)
    for make in (
        lambda: LeastSquares(a, 0, tolerance=0.0),
        lambda: LeastSquares(a, 0, most_iterations=0),
        lambda: MaskedFourier(a.mask[0]),
        lambda: MaskedFourier(a.mask, torch.ones(3, 8, 9)),
        lambda: MaskedFourier(a.mask, torch.ones(8, 8)),
    ):
        with pytest.raises(SettingsError) as refused:
            make()
        assert refused.value.hint
    y, mu = problem.inputs["measured"], problem.inputs["mu"]
    for index, inputs in (
        (0, {"mu": mu}),
        (0, {"measured": y}),
        (1, {"measured": y, "mu": mu}),
        (0, {"measured": y, "mu": mus(0.0)}),
        (0, {"measured": y[:, :2], "mu": mu}),
        (0, {"measured": y[:1], "mu": mu}),
    ):
        with pytest.raises(EngineError) as error:
            LeastSquares(a, index).increment(problem.x, inputs, Scratch())
        assert error.value.hint
    x, low = problem.x.to(torch.complex64), {"measured": y.to(torch.complex64), "mu": mu.float()}
    with pytest.raises(EngineError, match="complex64") as error:
        LeastSquares(a, 0).increment(x, low, Scratch())
    assert error.value.hint


class MaskedVolume:
    """M F over three axes: slices are coupled."""

    def __init__(self, mask: torch.Tensor) -> None:
        self.mask = mask

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        return self.mask * torch.fft.fftn(x, dim=(-3, -2, -1), norm="ortho")

    def adjoint(self, y: torch.Tensor) -> torch.Tensor:
        return torch.fft.ifftn(self.mask * y, dim=(-3, -2, -1), norm="ortho")

    def norm_squared(self) -> float:
        return 1.0


def test_volumes_whose_slices_are_coupled_are_solved() -> None:
    """(M + mu) is diagonal in k-space: the solution is known in closed form."""
    generator = torch.Generator().manual_seed(0)
    mask = (torch.rand(6, 8, 8, generator=generator) < 0.4).double()
    b, mu = draw(5, 2, 6, 8, 8), mus(0.05)[0]
    found = LeastSquares(MaskedVolume(mask), 0, most_iterations=12).solve(b, mu)
    spectrum = torch.fft.fftn(b, dim=(-3, -2, -1), norm="ortho") / (mask + mu)
    expected = torch.fft.ifftn(spectrum, dim=(-3, -2, -1), norm="ortho")
    assert figure("least squares: volume from its closed form", relative(found, expected)) < 1e-10
