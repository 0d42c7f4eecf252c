"""The benchmark compares like with like: autograd's model and the closed form compute the same numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ptychoui.bench.engine.autograd import AutogradModel, autograd_gradient
from ptychoui.bench.engine.passes import closed_form_gradient, greedy_gradient
from ptychoui.bench.engine.plot import plot
from ptychoui.bench.engine.problem import Bench, make_bench, published_leds
from ptychoui.bench.engine.strategies import METHODS, run, table
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategies import STRATEGIES
from ptychoui.errors import SettingsError
from ptychoui.network.ptychographic import PtychographicNetwork
from ptychoui.optics.forward.data_term import DataTerm
from ptychoui.settings import Network

CPU = torch.device("cpu")


def bench(unrolls: int = 4, **settings: object) -> Bench:
    """A small problem in double precision with both bright-field and dark-field light."""
    made = make_bench(unrolls, 37, 3, 32, CPU, torch.float64)
    if not settings:
        return made
    network = made.network
    changed = network.settings.replace(**settings)
    return replace(made, network=PtychographicNetwork(network.physics, changed, network.variance_floor))


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize(("radius", "count"), [(2.5, 21), (5.2, 89), (9.7, 293)])
def test_counts_of_the_published_designs_are_whole_rings(radius: float, count: int) -> None:
    """Discs of the lattice hold 21, 89 and 293 LEDs: a count never cuts a ring in two."""
    leds = published_leds(count)
    assert len(leds) == count and np.all(np.diff(leds.radius_na) >= -1e-12)
    lateral = np.hypot(*leds.positions_mm[:, :2].T) / 4.0
    assert lateral.max() <= radius
    row, column = np.meshgrid(np.arange(-10, 11), np.arange(-10, 11))
    assert (np.hypot(row, column) <= radius).sum() == count
    assert len({int(n) for n in leds.numbers}) == count


def test_the_lattice_of_the_published_design() -> None:
    leds = published_leds(441)
    first = leds.radius_na[1]
    assert leds.radius_na[0] == 0
    assert np.tan(np.arcsin(first)) == pytest.approx(0.086957, rel=1e-4)
    assert leds.bright_field(0.2).sum() == 21


@pytest.mark.parametrize("count", [0, -1, 442])
def test_counts_that_cannot_be(count: int) -> None:
    with pytest.raises(SettingsError, match="the lattice has 1 to 441 LEDs") as error:
        published_leds(count)
    assert error.value.hint


@pytest.mark.parametrize("size", [24, 32, 45])
def test_both_models_have_the_same_gradient(size: int) -> None:
    made = make_bench(1, 37, 3, size, CPU, torch.float64)
    physics, floor = made.network.physics, made.network.variance_floor
    generator = torch.Generator().manual_seed(2)
    x = made.x + 0.3 * torch.complex(
        torch.randn(made.x.shape, generator=generator, dtype=torch.float64),
        torch.randn(made.x.shape, generator=generator, dtype=torch.float64),
    )
    offset = torch.tensor([0.1, 0.0, 0.02], dtype=torch.float64)
    inputs = made.inputs | {"offset": offset}
    data = DataTerm(inputs["weights"], offset, inputs["amplitude"], floor)
    keep, work = Scratch(), Scratch()
    closed = physics.gradient(physics.linearise(x, data, keep, work), work)
    assert relative(AutogradModel(physics).gradient(x, inputs, floor), closed) < 1e-10


def test_the_gradient_is_the_derivative_of_the_data_term() -> None:
    """g = dD/dx*, so the data term changes by 2 Re<g, d> along d: central differences.

    The data term counts object pixels, the sum below camera pixels.
    """
    made = bench()
    physics, floor = made.network.physics, made.network.variance_floor
    x = made.x * torch.exp(0.2j * torch.arange(made.x.numel()).view(made.x.shape) / made.x.numel())

    def value(at: Tensor) -> Tensor:
        predicted = torch.sqrt(physics.predict(at, made.inputs["weights"], made.inputs["offset"]) + floor)
        area = (physics.grids.object_px / physics.grids.span_px) ** 2
        return area * (predicted - made.inputs["amplitude"]).square().sum()

    found, reach = AutogradModel(physics).gradient(x, made.inputs, floor), 1e-5
    along = 2 * (found.conj() * made.cotangent).real.sum()
    difference = (value(x + reach * made.cotangent) - value(x - reach * made.cotangent)) / (2 * reach)
    assert float(along) == pytest.approx(float(difference), rel=1e-6)


@pytest.mark.parametrize("strategy", ["store_all", "checkpoint"])
def test_plain_steps_agree_to_rounding(strategy: str) -> None:
    """Gradient descent in double precision: autograd through every unroll, and the closed form."""
    made = bench(update="gradient")
    closed = closed_form_gradient(made, strategy, Scratch()).gradients
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in made.inputs.items()}
    model, x = AutogradModel(made.network.physics), made.x
    for index in range(made.network.settings.unrolls):
        x = x - leaves["step"][index] * model.gradient(x, leaves, made.network.variance_floor)
    derivatives = torch.autograd.grad(x, list(leaves.values()), made.cotangent)
    for name, derivative in zip(leaves, derivatives, strict=True):
        assert relative(closed[name], derivative) < 1e-10, name


def test_heavy_ball_agrees_up_to_its_fixed_point_numbers() -> None:
    made = bench()
    found = closed_form_gradient(made, "reversible", Scratch())
    assert found.certificate.startswith("exact") and found.drift == 0
    for name, derivative in autograd_gradient(made).items():
        assert relative(found.gradients[name], derivative) < 1e-6, name


def test_strategies_give_the_same_bits() -> None:
    made = bench()
    names = [name for name in STRATEGIES if name != "inverse"]
    found = {name: closed_form_gradient(made, name, Scratch()).gradients for name in names}
    for name in names:
        assert all(torch.equal(found[name][key], found["store_all"][key]) for key in made.inputs)


def test_a_bench_does_not_depend_on_chance() -> None:
    first, second = bench(), bench()
    assert all(torch.equal(first.inputs[name], second.inputs[name]) for name in first.inputs)
    assert Network().momentum == first.network.settings.momentum


PUBLISHED_ROWS = ["published back-propagation", "published memory-efficient"]


def test_rows_and_their_table(tmp_path: Path) -> None:
    said: list[str] = []
    result = run([2, 6], 37, 2, 32, "cpu", 2, progress=said.append)
    rows = result["rows"]
    assert isinstance(rows, list) and said == ["2 unrolls", "6 unrolls"]
    names = [*METHODS, *PUBLISHED_ROWS]
    assert [(row["unrolls"], row["strategy"]) for row in rows] == [(n, name) for n in (2, 6) for name in names]
    for row in rows:
        assert row["seconds"] <= row["seconds_median"]
        if row["strategy"] in ("store_all", "checkpoint", "offload", "binomial", "reversible", PUBLISHED_ROWS[0]):
            assert row["gradient_error"] == 0
        assert (row["gradient_error"] is None) == (row["strategy"] == "greedy")
        assert row["gradient_error"] is None or row["gradient_error"] < 1e-3
        assert (row["measured_unrolls"] == min(3, row["unrolls"])) == row["strategy"].startswith("published")
        proves = row["strategy"] in ("reversible", "inverse") and "no drift" not in row["certificate"]
        assert (row["drift"] is not None) == proves
    peak = {(row["unrolls"], row["strategy"]): row["peak_extra_bytes"] for row in rows}
    grown = {name: peak[6, name] - peak[2, name] for name in names}
    assert grown["reversible"] < grown["store_all"] / 4
    lines = table(result).splitlines()
    assert lines[0].startswith("37 LEDs, 2 measurements, cpu") and "minimum of 2" in lines[0]
    assert len(lines) == 2 + len(rows)
    assert [line.split()[6] for line in lines[2:] if line.startswith("autograd")] == ["1.00", "1.00"]
    assert peak[6, "torch checkpoint"] < peak[6, "autograd store_all"]
    counts = {row["transforms"] for row in rows if row["strategy"].startswith("published")}
    assert counts == {(2 + 2 * 2) * 37}
    plot(result, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    for bad in ("figure.colour", "nowhere/figure.png"):
        with pytest.raises(SettingsError, match="cannot write the figure"):
            plot(result, tmp_path / bad)


def test_only_some_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = run([3], 37, 2, 32, "cpu", 1, only=["checkpoint", "inverse"])["rows"]
    assert isinstance(rows, list) and [row["strategy"] for row in rows] == ["checkpoint", "inverse"]


def test_a_row_that_would_not_fit_is_skipped_and_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run([40], 37, 2, 32, "cpu", 1, only=["store_all", "checkpoint", "reversible"])["rows"]
    assert isinstance(whole, list)
    needs = {row["strategy"]: row["peak_extra_bytes"] for row in whole}
    monkeypatch.setattr("ptychoui.bench.engine.strategies.free_memory", lambda _device: needs["store_all"] // 2)
    result = run([40], 37, 2, 32, "cpu", 1, only=["store_all", "checkpoint", "reversible"])
    rows, skipped = result["rows"], result["skipped"]
    assert isinstance(rows, list) and isinstance(skipped, list)
    assert [row["strategy"] for row in rows] == ["checkpoint", "reversible"]
    assert [(row["strategy"], row["unrolls"]) for row in skipped] == [("store_all", 40)]
    assert skipped[0]["needs_bytes"] == pytest.approx(needs["store_all"], rel=0.05)
    assert rows[1]["gradient_error"] == 0
    assert "skipped: needs" in table(result).splitlines()[-1]


def test_greedy_derivatives_are_those_of_its_modules() -> None:
    """Of four unrolls with four modules: the sum of the derivatives of Re<cotangent, x_k> with x_(k-1) held."""
    made = bench()
    model, x, v = AutogradModel(made.network.physics), made.x, torch.zeros_like(made.x)
    sums = {name: torch.zeros_like(value) for name, value in made.inputs.items()}
    for index in range(4):
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in made.inputs.items()}
        v = 7 / 8 * v - leaves["step"][index] * model.gradient(x, leaves, made.network.variance_floor)
        derivatives = torch.autograd.grad(x + v, list(leaves.values()), made.cotangent)
        for name, derivative in zip(leaves, derivatives, strict=True):
            sums[name] += derivative
        x, v = (x + v).detach(), v.detach()
    found = greedy_gradient(made, Scratch()).gradients
    for name in sums:
        assert relative(found[name], sums[name]) < 1e-6, name


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SettingsError, match="no CUDA GPU"):
        run([2], 37, 2, 32, "cuda", 1)
