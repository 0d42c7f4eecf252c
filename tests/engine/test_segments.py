"""Networks cut into segments: the same bits, each segment with a certificate and a memory line of its own."""

from __future__ import annotations

import pytest
import torch
from engine.chains import Saboteur, TanhLayer, optics_problem, tanh_problem

from ptychoui.engine.float_updates import Nesterov, Plain
from ptychoui.engine.heavy_ball import HeavyBall
from ptychoui.engine.inverse import Inverse
from ptychoui.engine.memory import MemoryMeter, predict, probe
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.segments import Segments
from ptychoui.engine.strategies import strategy
from ptychoui.engine.strategy import Chain
from ptychoui.engine.update import Update
from ptychoui.errors import CertificateError, EngineError

CUTS = [
    ("reversible", "reversible"),
    ("reversible", "checkpoint", "reversible"),
    ("store_all", "reversible", "binomial"),
    ("binomial", "offload", "store_all"),
    ("checkpoint",),
    ("reversible",),
]


def cut(names: tuple[str, ...], unrolls: int) -> Segments:
    """Segments of unequal length."""
    each = unrolls // len(names)
    counts = [each] * (len(names) - 1) + [unrolls - each * (len(names) - 1)]
    return Segments([(count, strategy(name)) for count, name in zip(counts, names, strict=True)])


@pytest.mark.parametrize("names", CUTS, ids="+".join)
@pytest.mark.parametrize("beta", ["7/8", "1/2"])
def test_segments_give_the_same_bits(names: tuple[str, ...], beta: str) -> None:
    problem, unrolls = tanh_problem(), 200
    output, expected = problem.run("checkpoint", unrolls, HeavyBall(beta))
    trace = cut(names, unrolls).forward(problem.chain(unrolls, HeavyBall(beta)), problem.x, problem.inputs, Scratch())
    assert torch.equal(trace.output, output)
    found = trace.backward(problem.cotangent, tuple(problem.inputs))
    assert torch.equal(found.x, expected.x)
    assert all(torch.equal(found.inputs[name], expected.inputs[name]) for name in found.inputs)
    assert found.certificate is not None
    parts = found.certificate.split("; ")
    assert [part.startswith("exact") for part in parts] == [name == "reversible" for name in names]


@pytest.mark.parametrize("names", CUTS[:3], ids="+".join)
def test_segments_of_optics_give_the_same_bits(names: tuple[str, ...]) -> None:
    problem = optics_problem(14, dtype=torch.float32)
    _, expected = problem.run("checkpoint", 14, HeavyBall("7/8"))
    trace = cut(names, 14).forward(problem.chain(14, HeavyBall("7/8")), problem.x, problem.inputs, Scratch())
    found = trace.backward(problem.cotangent, tuple(problem.inputs))
    assert all(torch.equal(found.inputs[name], expected.inputs[name]) for name in found.inputs)


@pytest.mark.parametrize("update", [Plain(), Nesterov(0.9)], ids=["plain", "nesterov"])
def test_inverse_may_be_one_of_the_segments(update: Update) -> None:
    problem = tanh_problem()
    _, expected = problem.run("checkpoint", 30, update)
    segments = Segments([(10, strategy("store_all")), (12, Inverse(1e-6)), (8, Inverse(1e-6))])
    trace = segments.forward(problem.chain(30, update), problem.x, problem.inputs, Scratch())
    found = trace.backward(problem.cotangent, tuple(problem.inputs))
    assert float((found.x - expected.x).norm() / expected.x.norm()) < 1e-5
    assert found.drift is not None and found.drift < 1e-6


def test_a_saboteur_is_caught_in_its_segment() -> None:
    problem = tanh_problem()
    layers = [TanhLayer()] * 10 + [Saboteur(disturb=lambda h, call: h + 1e-9 * call)] + [TanhLayer()] * 9
    segments = Segments([(10, strategy("reversible")), (10, strategy("reversible"))])
    trace = segments.forward(Chain(layers, HeavyBall("7/8")), problem.x, problem.inputs, Scratch())
    with pytest.raises(CertificateError, match="after 10 unrolls"):
        trace.backward(problem.cotangent, ("bias",))


def test_every_segment_says_what_it_keeps() -> None:
    problem, update = tanh_problem(batch=16, size=64), HeavyBall("1/2")
    chain = problem.chain(40, update)
    cost = probe(chain, problem.x, problem.inputs, tuple(problem.inputs))
    segments = Segments([(10, strategy("store_all")), (20, strategy("checkpoint")), (10, strategy("reversible"))])
    lines = segments.memory(chain, cost)
    assert [(count, name) for count, name, _ in lines] == [(10, "store_all"), (20, "checkpoint"), (10, "reversible")]
    with MemoryMeter() as meter:
        segments.forward(chain, problem.x, problem.inputs, Scratch()).backward(problem.cotangent, tuple(problem.inputs))
    assert cost.first["checkpoint"] + segments.further_bytes(chain, cost) == pytest.approx(meter.peak, rel=0.15)
    assert 1 < segments.effort(chain) / strategy("store_all").effort(chain) < 4 / 3


@pytest.mark.parametrize("names", [*CUTS, ("checkpoint", "reversible"), ("store_all", "reversible")], ids="+".join)
def test_the_peak_of_segments_is_predicted(names: tuple[str, ...]) -> None:
    problem, update = tanh_problem(batch=16, size=64), HeavyBall("1/2")
    chain = problem.chain(40, update)
    cost = probe(chain, problem.x, problem.inputs, tuple(problem.inputs))
    parts = cut(names, 40)
    with MemoryMeter() as meter:
        parts.forward(chain, problem.x, problem.inputs, Scratch()).backward(problem.cotangent, tuple(problem.inputs))
    assert predict(cost, chain, parts) == pytest.approx(meter.peak, rel=0.08)


def test_segments_that_do_not_fit() -> None:
    problem = tanh_problem()
    with pytest.raises(EngineError, match="segments of 7 unrolls cannot make a network of 8"):
        cut(("checkpoint",), 7).check(problem.chain(8, Plain()))
    with pytest.raises(EngineError, match="at least one unroll"):
        Segments([(0, strategy("checkpoint"))])
    with pytest.raises(EngineError, match="cannot undo the update rule 'plain'"):
        cut(("checkpoint", "reversible"), 8).check(problem.chain(8, Plain()))
