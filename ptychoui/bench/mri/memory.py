"""Memory, time and exactness of every strategy on multi-coil unrolls, beside the figures that were published.

One slice of simulated k-space, 256 x 232 with 12 coils and five convolutions of 64 channels, as published. Peaks are
what a forward and a backward pass hold on top of the problem, by the engine's meter; times are of the processor,
interleaved, so that other programs disturb all rows alike.
Published: Kellman et al., "Memory-efficient learning for large-scale computational imaging", IEEE TCI 6 (2020), code
and notebooks: back-propagation 1960 to 5820 MB at 10 to 30 unrolls, memory-efficient learning 214 to 218 MB and 1.49
times the time, reverse error 9e2 at 30 unrolls.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import torch
from torch import Tensor

from ptychoui.engine.allocator import large_arrays_apart
from ptychoui.engine.memory import measure, predict, probe
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.sizes import size_text
from ptychoui.engine.strategies import strategy
from ptychoui.engine.strategy import Chain
from ptychoui.settings import MriExperiment
from ptychoui.tasks.mri.task import MriTask, build_task

PUBLISHED = (
    "published on a GPU, 10 to 30 unrolls: back-propagation 1960 to 5820 MB (194 MB an unroll), memory-efficient "
    "learning 214 to 218 MB in 1.49 times the time, its reverse error 9e2 at 30 unrolls"
)
STORED_TO = 30
"""Unrolls to which back-propagation is measured: beyond it takes gigabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One strategy at one depth.

    Attributes
    ----------
    peak_bytes, predicted_bytes
        As metered, and as the planner says before the first step.
    seconds
        Least and median time of the processor per thread for a pass, in s.
    equal
        Whether all derivatives are those of the row's reference bit for bit: checkpoint's, or None for that row.
    certificate
        Of exact reversal, or of drift.
    checkpoints
        States that were kept on the way, where the strategy counts them.
    """

    strategy: str
    unrolls: int
    peak_bytes: int
    predicted_bytes: int
    seconds: tuple[float, float]
    equal: bool | None
    certificate: str
    checkpoints: int | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """A chain with everything that a pass needs."""

    task: MriTask
    x: Tensor
    inputs: dict[str, Tensor]
    cotangent: Tensor

    def chain(self, unrolls: int) -> Chain:
        """The network of so many unrolls."""
        network = self.task.experiment.network.replace(unrolls=unrolls)
        return replace(self.task, experiment=self.task.experiment.replace(network=network)).network().chain


def make_slice(
    size: tuple[int, ...],
    coils: int,
    channels: int,
    acquisition: str = "2d",
    mu: float = 1.0,
    update: str = "heavy_ball",
    unrolls: int = 4,
) -> Slice:
    """One simulated example with true maps, every fourth sample measured, and weights for networks of so many unrolls.

    Raises
    ------
    SettingsError
        If the sizes do not fit.
    """
    values: dict[str, Any] = {
        "name": "memory",
        "data": {
            "acquisition": acquisition, "size": size, "coils": coils, "examples": 1, "held_out": 1, "maps": "stated",
            "family": "heart" if acquisition == "cine" else "brain",
            "held_out_family": "heart" if acquisition == "cine" else "brain",
        },
        "sampling": {"calibration": 8},
        "network": {"channels": channels, "mu": mu, "update": update, "unrolls": unrolls},
        "engine": {"device": "cpu", "strategy": "reversible" if update == "heavy_ball" else "checkpoint"},
        "training": {"batch": 1},
    }  # fmt: skip
    task = build_task(MriExperiment(**values))
    parameters = task.parameters()
    with torch.no_grad():
        given = task.inputs(parameters, task.training.pick([0]), None, training=True)
    cotangent = torch.randn(given.x.shape, dtype=given.x.dtype, generator=torch.Generator().manual_seed(1))
    return Slice(task, given.x, dict(given.tensors), cotangent)


def wanted(problem: Slice) -> list[str]:
    """Inputs that training asks derivatives of: the weights and mu."""
    return [name for name in problem.inputs if name == "mu" or name.startswith("cnn.")]


def run(
    unrolls: Sequence[int] = (10, 30, 100),
    size: tuple[int, ...] = (256, 232),
    coils: int = 12,
    channels: int = 64,
    repeats: int = 2,
    inverse: bool = False,
    say: Callable[[str], None] = lambda _line: None,
) -> dict[str, Any]:
    """Measure every strategy at every depth, store_all to `STORED_TO` unrolls only.

    Raises
    ------
    SettingsError
        If the sizes do not fit.
    """
    large_arrays_apart()
    problem = make_slice(size, coils, channels, unrolls=max(unrolls))
    began = time.process_time()
    cost = probe(problem.chain(max(unrolls)), problem.x, problem.inputs, wanted(problem))
    probe_s = (time.process_time() - began) / torch.get_num_threads()
    rows: list[Row] = []
    for depth in unrolls:
        names = ["checkpoint", "reversible", *(["store_all"] if depth <= STORED_TO else [])]
        chain = problem.chain(depth)
        passes = {name: _Passes(problem, chain, name) for name in names}
        times: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(repeats):
            for name in names:
                times[name].append(passes[name].run())
        reference = passes["checkpoint"].gradients
        for name in names:
            found = passes[name]
            peak = measure(chain, problem.x, problem.inputs, wanted(problem), name)
            equal = all(torch.equal(found.gradients[key], reference[key]) for key in reference)
            row = Row(
                strategy=name,
                unrolls=depth,
                peak_bytes=peak,
                predicted_bytes=predict(cost, chain, name),
                seconds=(min(times[name]), median(times[name])),
                equal=None if name == "checkpoint" else equal,
                certificate=found.certificate,
                checkpoints=found.checkpoints,
            )
            rows.append(row)
            say(line_of(row))
    return {
        "size": size,
        "coils": coils,
        "channels": channels,
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
        "probe_s": probe_s,
        "rows": [asdict(row) for row in rows],
        "inverse": inverse_rows(size, coils, channels) if inverse else [],
        "published": PUBLISHED,
    }


class _Passes:
    """Passes of a chain under one strategy, with what the newest one gave."""

    def __init__(self, problem: Slice, chain: Chain, name: str) -> None:
        self._problem, self._chain, self._name = problem, chain, name
        self._work = Scratch()
        self.gradients: dict[str, Tensor] = {}
        self.certificate = ""
        self.checkpoints: int | None = None

    def run(self) -> float:
        problem = self._problem
        began = time.process_time()
        trace = strategy(self._name).forward(self._chain, problem.x, problem.inputs, self._work)
        back = trace.backward(problem.cotangent, wanted(problem))
        seconds = (time.process_time() - began) / torch.get_num_threads()
        self.gradients = {"first estimate": back.x, **back.inputs}
        self.certificate, self.checkpoints = back.certificate or "", back.checkpoints
        return seconds


def inverse_rows(
    size: tuple[int, ...], coils: int, channels: int, unrolls: int = 10, mus: Sequence[float] = (1.0, 0.05)
) -> list[dict[str, Any]]:
    """The strategy ``inverse`` on plain unrolls, each undone by its inverse to a tolerance, beside ``checkpoint``.

    The inverse of data consistency divides what its solver left by mu: where that would drift too far states are kept.

    Raises
    ------
    SettingsError
        If the sizes do not fit.
    """
    rows = []
    for mu in mus:
        problem = make_slice(size, coils, channels, mu=mu, update="plain", unrolls=unrolls)
        chain, found = problem.chain(unrolls), {}
        for name in ("checkpoint", "inverse"):
            found[name] = _Passes(problem, chain, name)
            found[name].run()
        apart = max(
            float((found["inverse"].gradients[key] - each).norm() / each.norm())
            for key, each in found["checkpoint"].gradients.items()
        )
        kept, said = found["inverse"].checkpoints, found["inverse"].certificate
        rows.append(
            {"mu": mu, "unrolls": unrolls, "checkpoints": kept, "certificate": said, "gradient_deviation": apart}
        )
    return rows


def line_of(row: Row) -> str:
    """A row as text."""
    equal = {None: "", True: "bit-equal", False: "NOT equal"}[row.equal]
    return (
        f"{row.unrolls:>5} {row.strategy:<11}{size_text(row.peak_bytes):>10}{size_text(row.predicted_bytes):>11}"
        f"{row.seconds[0]:>9.1f} s{row.seconds[1]:>8.1f} s  {equal:<10}{row.certificate[:48]}"
    )


def table(result: dict[str, Any]) -> str:
    """The rows as text, and the ratios that matter."""
    size = " x ".join(map(str, result["size"]))
    lines = [
        f"{size}, {result['coils']} coils, 5 x {result['channels']} CNN; {result['threads']} thread(s), load "
        f"{result['load']:.1f}; the memory was foretold from {result['probe_s']:.1f} s of passes",
        f"{'':>5} {'':<11}{'peak':>10}{'foretold':>11}{'least':>11}{'median':>10}",
    ]
    rows = [Row(**{**row, "seconds": tuple(row["seconds"])}) for row in result["rows"]]
    lines += [line_of(row) for row in rows]
    inverse = [
        f"inverse, {row['unrolls']} plain unrolls, mu = {row['mu']:g}: {row['certificate']}, {row['checkpoints']} "
        f"states kept, derivatives {row['gradient_deviation']:.1e} off"
        for row in result["inverse"]
    ]
    return "\n".join([*lines, *ratios(rows), *inverse, result["published"]])


def ratios(rows: Sequence[Row]) -> list[str]:
    """How strategies compare, as sentences."""
    of = {(row.strategy, row.unrolls): row for row in rows}
    depths = sorted({row.unrolls for row in rows})
    least, most = of["reversible", depths[0]], of["reversible", depths[-1]]
    lines = [
        f"reversible: peak at {most.unrolls} unrolls over that at {least.unrolls}: "
        f"{most.peak_bytes / least.peak_bytes:.4f}"
    ]
    for depth in depths:
        reversible = of["reversible", depth]
        for name in ("store_all", "checkpoint"):
            if (other := of.get((name, depth))) is not None:
                memory, seconds = reversible.peak_bytes / other.peak_bytes, reversible.seconds[0] / other.seconds[0]
                lines.append(f"{depth} unrolls: reversible over {name}: memory {memory:.3f}, time {seconds:.2f}")
    first, last = of["checkpoint", depths[0]], of["checkpoint", depths[-1]]
    if first.unrolls != last.unrolls:
        slope = (last.peak_bytes - first.peak_bytes) / (last.unrolls - first.unrolls)
        lines.append(f"checkpoint grows by {slope / 1e6:.2f} MB an unroll")
    worst = max(abs(row.predicted_bytes / row.peak_bytes - 1) for row in rows)
    return [*lines, f"memory foretold within {100 * worst:.1f} %"]
