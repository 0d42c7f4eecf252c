"""The peers' benchmark: all methods differentiate the same numbers, and a library that is missing says so."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ptychoui.bench.peers import coupling, implicit, libraries
from ptychoui.bench.peers.coupling import CannotRun, HalfCoupling, by_autograd, by_engine, library, make_problem
from ptychoui.engine.check import directional_deviation
from ptychoui.engine.float_updates import Plain
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.stored import StoreAll
from ptychoui.engine.strategy import Chain

LIBRARIES = ("memcnn", "revtorch", "deepinv", "torchdeq")


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def small(depth: int = 5, dtype: torch.dtype = torch.float64, gain: float = 2.0) -> coupling.Problem:
    return make_problem(depth, 6, channels=2, batch=2, gain=gain, dtype=dtype)


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in LIBRARIES:
        monkeypatch.setitem(sys.modules, name, None)


# Couplings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["torch checkpoint", "store_all", "checkpoint", "binomial", "inverse"])
def test_every_way_differentiates_the_same_network(name: str) -> None:
    problem = small()
    expected = by_autograd(problem).flat
    weights = sum(weight.numel() for module in problem.modules() for weight in module.parameters())
    assert expected.numel() == problem.x.numel() + weights
    assert relative(coupling.METHODS[name].run(problem).flat, expected) < 1e-11


def test_the_gradient_is_a_finite_difference() -> None:
    problem = small(3)
    found = by_engine(problem, "checkpoint").flat
    direction, reach = (
        torch.randn(problem.x.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64),
        1e-5,
    )

    def value(x: Tensor) -> float:
        for f, g in problem.blocks:
            x1, x2 = x.chunk(2, 1)
            y1 = x1 + f(x2)
            x = torch.cat([y1, x2 + g(y1)], 1)
        return float((problem.cotangent * x).sum().detach())

    slope = (value(problem.x + reach * direction) - value(problem.x - reach * direction)) / (2 * reach)
    assert float((found[: problem.x.numel()] * direction.flatten()).sum()) == pytest.approx(slope, rel=1e-7)


def test_the_heavy_ball_network_has_an_autograd_of_its_own() -> None:
    problem = small()
    expected = coupling.METHODS["autograd, heavy ball"].run(problem).flat
    found = coupling.METHODS["reversible"].run(problem)
    assert found.drift == 0 and found.certificate.startswith("exact")
    assert relative(found.flat, expected) < 1e-9  # integers in units of 2^-44
    assert relative(expected, by_autograd(problem).flat) > 1e-2


@pytest.mark.parametrize("moves", [0, 1])
def test_half_a_coupling_moves_one_half_and_is_undone(moves: int) -> None:
    f = small().blocks[0][0]
    layer = HalfCoupling("0.F", f, moves)
    inputs = {f"0.F.{name}": weight.detach() for name, weight in f.named_parameters()}
    x = small().x
    increment = layer.increment(x, inputs, Scratch())
    still, moved = increment.chunk(2, 1)[:: -1 if moves == 0 else 1]
    assert not still.any() and torch.equal(moved, f(x.chunk(2, 1)[1 - moves]).detach())
    assert layer.has_inverse and relative(layer.inverse(x + increment, inputs, Scratch()), x) < 1e-15
    chain, generator = Chain([layer], Plain()), torch.Generator().manual_seed(0)
    assert directional_deviation(chain, x, inputs, x + 1, tuple(inputs), StoreAll(), generator) < 1e-8


def test_an_inverse_that_drifts_is_measured_and_run_again() -> None:
    """In single precision, with large weights: the error stays below what its own drift test allows."""
    problem = make_problem(30, 8, channels=2, gain=8.0)
    expected = by_autograd(problem).flat
    found = by_engine(problem, "inverse")
    assert found.drift is not None and found.drift <= 1e-4
    assert "run again from kept states" in found.certificate
    assert relative(found.flat, expected) < 1e-3


def test_weights_are_left_without_gradients_and_as_they_were() -> None:
    problem, untouched = small(), small()
    for name in ("autograd", "torch checkpoint", "store_all", "reversible"):
        coupling.METHODS[name].run(problem)
    assert problem.x.equal(untouched.x)
    for module, other in zip(problem.modules(), untouched.modules(), strict=True):
        for weight, before in zip(module.parameters(), other.parameters(), strict=True):
            assert weight.grad is None and weight.equal(before)


# Libraries --------------------------------------------------------------------------------------------------------


class Block(nn.Module):
    """An additive coupling with the constructor of either library."""

    def __init__(self, f: nn.Module, g: nn.Module, split_along_dim: int = 1) -> None:
        super().__init__()
        self.f, self.g = f, g

    def forward(self, x: Tensor) -> Tensor:
        x1, x2 = x.chunk(2, 1)
        y1 = x1 + self.f(x2)
        return torch.cat([y1, x2 + self.g(y1)], 1)


class LeastSquaresByTorch:
    """Solvers in the words of both libraries, by steps that torch differentiates."""

    @staticmethod
    def least_squares_implicit_backward(physics: Any, y: Tensor, z: Tensor, gamma: Tensor, **_rest: object) -> Tensor:
        x = z
        for _ in range(400):
            x = x - (physics.A_adjoint_A(x) - physics.A_adjoint(y) + (x - z) / gamma) / (1 + 1 / gamma)
        return x

    @staticmethod
    def get_deq(**_settings: object) -> Any:
        def run(step: Any, start: Tensor) -> tuple[list[Tensor], None]:
            for _ in range(400):
                start = step(start)
            return [start], None

        return run


STAND_INS = {
    "memcnn": SimpleNamespace(AdditiveCoupling=Block, InvertibleModuleWrapper=lambda block: block),
    "revtorch": SimpleNamespace(ReversibleBlock=Block, ReversibleSequence=lambda blocks: nn.Sequential(*blocks)),
    "deepinv.optim.linear": LeastSquaresByTorch,
    "torchdeq": LeastSquaresByTorch,
}


@pytest.mark.parametrize("name", ["memcnn", "revtorch"])
def test_a_reversible_library_gets_the_same_network(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coupling, "library", STAND_INS.__getitem__)
    found = coupling.METHODS[name].run(small())
    assert relative(found.flat, by_autograd(small()).flat) < 1e-12
    assert found.drift == (0 if name == "memcnn" else None)


@pytest.mark.parametrize("name", ["memcnn", "revtorch"])
@pytest.mark.filterwarnings("ignore")
def test_the_true_library_agrees_where_it_is_installed(name: str) -> None:
    pytest.importorskip(name)
    problem = small(dtype=torch.float64)
    assert relative(coupling.METHODS[name].run(problem).flat, by_autograd(problem).flat) < 1e-10


def test_a_library_that_is_not_installed(missing: None) -> None:
    with pytest.raises(CannotRun, match="not installed: pip install no_such_library_at_all"):
        library("no_such_library_at_all.inside")
    with pytest.raises(CannotRun, match="not installed: pip install memcnn"):
        library("memcnn")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import no_such_part_of_it", "does not load: No module named 'no_such_part_of_it'"),
        ("raise RuntimeError('too old\\nmore')", "does not load: too old"),
        ("raise RuntimeError", "does not load: RuntimeError"),
    ],
)
def test_a_library_that_does_not_load(text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_broken_library.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CannotRun) as error:
        library("a_broken_library")
    assert str(error.value) == says


# Least squares ----------------------------------------------------------------------------------------------------


def test_the_engine_differentiates_through_the_normal_equations() -> None:
    problem = implicit.make_problem(16, mu=0.2)
    reference = implicit.through_steps(problem.double(), 1e-12)
    assert max(implicit.errors(implicit.by_engine(problem), reference).values()) < 1e-4
    assert max(implicit.errors(implicit.through_steps(problem), reference).values()) < 1e-2
    exact = implicit.by_engine(problem.double())
    assert max(implicit.errors(exact, reference).values()) < 1e-4


def test_the_reference_solves_the_normal_equations() -> None:
    """(A^H A + mu) s = p: the derivative in y is A s, that in x is mu s."""
    problem = implicit.make_problem(16, mu=0.2).double()
    found = implicit.through_steps(problem, 1e-12)
    s = found.x / problem.mu
    a = problem.operator
    assert relative(a.adjoint(a.apply(s)) + problem.mu * s, problem.cotangent) < 1e-9
    assert relative(a.apply(s), found.measured) < 1e-9


@pytest.mark.parametrize("name", implicit.FOREIGN)
def test_a_solving_library_gets_the_same_problem(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(implicit, "library", STAND_INS.__getitem__)
    problem = implicit.make_problem(8, mu=0.5).double()
    reference = implicit.through_steps(problem, 1e-12)
    assert max(implicit.errors(implicit.METHODS[name](problem), reference).values()) < 1e-8


# Table ------------------------------------------------------------------------------------------------------------


def test_rows_and_their_table(missing: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_name: str) -> Any:
        def fail(*_words: object, **_rest: object) -> None:
            raise TypeError("unexpected argument\nsecond line")

        return SimpleNamespace(ReversibleBlock=fail)

    monkeypatch.setattr(coupling, "library", lambda name: broken(name) if name == "revtorch" else library(name))
    said: list[str] = []
    result = libraries.run([2, 6], 24, repeats=2, gain=1.0, progress=said.append)
    rows = result["rows"]
    assert isinstance(rows, list) and said == ["2 blocks", "6 blocks", "least squares"]
    names = [*coupling.METHODS] * 2 + [*implicit.METHODS]
    assert [row["method"] for row in rows] == names
    found = {(row["method"], row["depth"]): row for row in rows}
    assert found["revtorch", 6]["note"] == "does not run: unexpected argument"
    for row in rows:
        if row["method"] in (*LIBRARIES,):
            assert row["note"] and row["seconds"] is None and row["errors"] is None
        else:
            assert row["seconds"] <= row["seconds_median"] and row["peak_extra_bytes"] > 0
            assert max(row["errors"].values()) < 1e-2
    peak = {key: row["peak_extra_bytes"] for key, row in found.items() if not row["note"]}
    grown = {name: peak[name, 6] - peak[name, 2] for name in ("autograd", "torch checkpoint", "inverse")}
    assert grown["inverse"] < grown["torch checkpoint"] < grown["autograd"]
    assert found["inverse", 6]["drift"] > 0 and found["reversible", 6]["drift"] == 0
    lines = libraries.table(result).splitlines()
    assert len(lines) == 2 + len(rows)
    assert sum(line.endswith("not installed: pip install memcnn") for line in lines) == 2
    assert [line.split()[5] for line in lines if line.startswith("coupling      autograd ")] == ["1.00", "1.00"]


def test_a_failure_of_ours_is_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_problem: coupling.Problem) -> coupling.Gradient:
        raise ValueError("a fault of ours")

    monkeypatch.setitem(coupling.METHODS, "inverse", coupling.Method(coupling.COUPLING, fail))
    with pytest.raises(ValueError, match="a fault of ours"):
        libraries.run([2], 8, repeats=1)
