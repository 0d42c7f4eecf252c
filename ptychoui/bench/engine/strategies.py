"""``ptychoui bench engine``: time, memory and gradient error of every strategy beside back-propagation by autograd.

Rows of one problem, interleaved in one process, minimum and median of the repeats:

* ``autograd store_all``: the same batched, cropped model written with plain tensor operations, differentiated by
  torch; it separates the effect of the closed-form products from that of the strategy;
* ``torch checkpoint``: the same with ``torch.utils.checkpoint`` around every unroll;
* ``store_all``, ``checkpoint``, ``offload``, ``binomial``, ``reversible``: the closed-form layer under each strategy;
* ``greedy``: ten modules (or as many as there are unrolls), each with a derivative of its own output; by design there
  is no end-to-end gradient to compare with;
* ``inverse``: the same layers with plain steps, since heavy-ball steps need no solving; its error is that against
  ``store_all`` with plain steps;
* ``published back-propagation`` and ``published memory-efficient``: the algorithm of `published` on full grids. They
  run over few unrolls and are scaled to the depth of the row, which flatters the second: it is run with more
  checkpoints than it has.

A row whose memory would not fit is skipped and says what it would need.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from statistics import median

import numpy as np
import torch
from torch import Tensor

from ptychoui.bench.engine import published
from ptychoui.bench.engine.autograd import autograd_gradient
from ptychoui.bench.engine.passes import Found, closed_form_gradient, greedy_gradient
from ptychoui.bench.engine.problem import PUBLISHED, Bench, make_bench
from ptychoui.bench.engine.resident import peak_of_pass
from ptychoui.engine.allocator import keep_freed_pages
from ptychoui.engine.memory import MemoryMeter
from ptychoui.engine.planner import free_memory
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.sizes import size_text
from ptychoui.engine.strategies import STRATEGIES
from ptychoui.engine.waiting import waiting
from ptychoui.errors import SettingsError
from ptychoui.training.devices import pick_device

REPEATS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    strategy: str
    unrolls: int
    size: int
    seconds: float
    seconds_median: float
    peak_extra_bytes: int
    peak_resident_bytes: int | None
    gradient_error: float | None
    certificate: str
    drift: float | None = None
    checkpoints: int | None = None
    measured_unrolls: int | None = None
    transforms: int | None = None


Method = Callable[[Bench, Scratch], Found]


def _closed(name: str) -> Method:
    return lambda bench, work: closed_form_gradient(bench, name, work)


METHODS: dict[str, tuple[str, Method]] = {
    "autograd store_all": ("heavy_ball", lambda bench, _work: Found(autograd_gradient(bench))),
    "torch checkpoint": ("heavy_ball", lambda bench, _work: Found(autograd_gradient(bench, checkpointed=True))),
    **{name: ("gradient" if name == "inverse" else "heavy_ball", _closed(name)) for name in STRATEGIES},
    "greedy": ("heavy_ball", greedy_gradient),
}
"""The rows: the update rule of the network that each runs on, and how its gradient is obtained."""


def run(
    unrolls: Sequence[int] = (10, 100),
    leds: int = 89,
    measurements: int = 8,
    size: int = 64,
    device: str = "auto",
    repeats: int = REPEATS,
    resident: bool = False,
    published_unrolls: int = 3,
    step: float = 0.2,
    only: Sequence[str] = (),
    progress: Callable[[str], None] = lambda _text: None,
) -> dict[str, object]:
    """Measure all rows; the dictionary is what ``--json`` prints.

    With ``resident`` the closed-form strategies also run once each in a fresh process, whose peak resident memory is
    the cross-check of the meter. ``only`` names the rows that are wanted, by default all.
    """
    if unknown := [name for name in only if name not in METHODS]:
        raise SettingsError(f"there is no row {unknown[0]!r}", f"rows are {', '.join(METHODS)}")
    target = pick_device(device)
    keep_freed_pages()
    rows: list[Row] = []
    skipped: list[dict[str, object]] = []
    for depth in unrolls:
        progress(f"{depth} unrolls")

        def make(count: int, update: str = "heavy_ball") -> Bench:
            return make_bench(count, leds, measurements, size, target, update=update, step=step)

        found, left_out = _rows(make, depth, size, repeats, only)
        skipped += left_out
        if resident:
            threads = torch.get_num_threads()
            found = [
                replace(row, peak_resident_bytes=peak_of_pass(row.strategy, depth, leds, measurements, size, threads))
                if row.strategy in STRATEGIES
                else row
                for row in found
            ]
        rows += found
        if published_unrolls and not only:
            rows += _published_rows(make(min(published_unrolls, depth)), depth, size)
    return {
        "rows": [asdict(row) for row in rows],
        "skipped": skipped,
        "leds": leds,
        "measurements": measurements,
        "step": step,
        "device": str(target),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "waiting": waiting(),
        "repeats": repeats,
    }


def _rows(
    make: Callable[..., Bench], depth: int, size: int, repeats: int, only: Sequence[str]
) -> tuple[list[Row], list[dict[str, object]]]:
    problems = {update: make(depth, update) for update in ("heavy_ball", "gradient")}
    limit = free_memory(problems["gradient"].x.device)
    chosen: dict[str, tuple[str, Method]] = {}
    skipped: list[dict[str, object]] = []
    for name, (update, method) in METHODS.items():
        if only and name not in only:
            continue
        needs = _needs(partial(make, update=update), method, depth)
        if needs <= limit:
            chosen[name] = update, method
        else:
            skipped.append({"strategy": name, "unrolls": depth, "needs_bytes": needs})
    found: dict[str, Found] = {}
    works = {name: Scratch() for name in chosen}
    seconds: dict[str, list[float]] = {name: [] for name in chosen}
    for repeat in range(repeats + 1):
        for name, (update, method) in chosen.items():
            bench = problems[update]
            _synchronise(bench.x)
            began = time.perf_counter()
            found[name] = method(bench, works[name])
            _synchronise(bench.x)
            if repeat:  # the first warms up
                seconds[name].append(time.perf_counter() - began)
    works.clear()
    references: dict[str, Tensor] = {}
    rows = []
    for name, (update, method) in chosen.items():
        if update not in references:
            references[update] = _reference(problems[update], found if update == "heavy_ball" else {})
        reference, ours = references[update], found[name].gradients["weights"]
        rows.append(
            Row(
                strategy=name,
                unrolls=depth,
                size=size,
                seconds=min(seconds[name]),
                seconds_median=median(seconds[name]),
                peak_extra_bytes=_peak(method, problems[update]),
                peak_resident_bytes=None,
                # Greedy derivatives are those of other losses.
                gradient_error=None if name == "greedy" else float((ours - reference).norm() / reference.norm()),
                certificate=found[name].certificate,
                drift=found[name].drift,
                checkpoints=found[name].checkpoints,
            )
        )
    return rows, skipped


def _reference(bench: Bench, found: dict[str, Found]) -> Tensor:
    """Derivative in the weights with every linearised layer or, where that is too much, every point kept."""
    for name in ("store_all", "checkpoint"):
        if name in found:
            return found[name].gradients["weights"]
    return closed_form_gradient(bench, "checkpoint", Scratch()).gradients["weights"]


def _needs(make: Callable[[int], Bench], method: Method, depth: int) -> int:
    """Peak bytes at a depth, from those at 2 and 12 unrolls."""
    few, more = (_peak(method, make(count)) for count in (2, 12))
    return few + (depth - 2) * max(0, more - few) // 10


def _peak(method: Method, bench: Bench) -> int:
    """Peak bytes of a pass with fresh workspaces, by the meter, or by the allocator on CUDA."""
    if bench.x.is_cuda:
        device = bench.x.device
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        method(bench, Scratch())
        return int(torch.cuda.max_memory_allocated(device) - before)
    meter = MemoryMeter()
    with meter:
        method(bench, Scratch())
    return meter.peak


def _published_rows(bench: Bench, depth: int, size: int) -> list[Row]:
    """The published algorithm over the few unrolls of a problem, each run once after one to warm up."""
    unrolls = len(bench.network.chain)
    physics, weights = bench.network.physics, bench.inputs["weights"]
    step = physics.grids.step_per_um
    frequency = np.fft.fftfreq(size) * size * step
    radius = np.hypot(frequency[:, None], frequency[None, :])
    problem = published.full_grid_problem(
        physics.leds.illumination_na / PUBLISHED.wavelength_um / step,
        radius <= PUBLISHED.objective_na / PUBLISHED.wavelength_um,
        weights,
        bench.cotangent[0],
        float(bench.inputs["step"][0]),
        bench.network.variance_floor,
    )
    methods = {
        "published back-propagation": published.back_propagation,
        "published memory-efficient": published.memory_efficient,
    }
    rows, gradients = [], {}
    for name, method in methods.items():
        arguments = problem, bench.x[0], weights, bench.cotangent[0]
        method(*arguments, 1)
        seconds = []
        for _ in range(2):
            _synchronise(bench.x)
            began = time.perf_counter()
            gradients[name] = method(*arguments, unrolls)
            _synchronise(bench.x)
            seconds.append((time.perf_counter() - began) * depth / unrolls)
        with MemoryMeter() as meter:
            method(*arguments, unrolls)
        grows = name == "published back-propagation"
        reference = gradients["published back-propagation"]
        rows.append(
            Row(
                strategy=name,
                unrolls=depth,
                size=size,
                seconds=min(seconds),
                seconds_median=median(seconds),
                peak_extra_bytes=meter.peak * depth // unrolls if grows else meter.peak,
                peak_resident_bytes=None,
                # Against its own back-propagation: it is another network, without momentum.
                gradient_error=float((gradients[name] - reference).norm() / reference.norm()),
                certificate="",
                measured_unrolls=unrolls,
                transforms=problem.transforms_per_gradient(),
            )
        )
    return rows


def _synchronise(x: Tensor) -> None:
    if x.is_cuda:
        torch.cuda.synchronize(x.device)


def table(result: dict[str, object]) -> str:
    """The rows as text, with times relative to autograd back-propagation."""
    rows: list[dict[str, object]] = result["rows"]  # type: ignore[assignment]
    base = {row["unrolls"]: float(row["seconds"]) for row in rows if row["strategy"] == "autograd store_all"}  # type: ignore[arg-type]
    lines = [
        f"{result['leds']} LEDs, {result['measurements']} measurements, {result['device']}, "
        f"{result['threads']} threads (waiting {result['waiting']}), load {result['load']}, "
        f"minimum of {result['repeats']} interleaved repeats",
        f"{'strategy':<28}{'unrolls':>8}{'size':>6}{'seconds':>10}{'median':>10}{'x autograd':>12}{'MB':>10}"
        f"{'resident':>10}{'error':>10}{'states':>8}  certificate",
    ]
    for row in rows:
        seconds, unrolls = float(row["seconds"]), row["unrolls"]  # type: ignore[arg-type]
        ratio = f"{seconds / base[unrolls]:.2f}" if unrolls in base else ""
        error = "" if row["gradient_error"] is None else f"{row['gradient_error']:.1e}"
        kept = "" if row["checkpoints"] is None else row["checkpoints"]
        peak = row["peak_resident_bytes"]
        resident = "" if peak is None else f"{float(peak) / 1e6:.2f}"  # type: ignore[arg-type]
        lines.append(
            f"{row['strategy']:<28}{unrolls:>8}{row['size']:>6}{seconds:>10.3f}{row['seconds_median']:>10.3f}"
            f"{ratio:>12}{float(row['peak_extra_bytes']) / 1e6:>10.2f}{resident:>10}"  # type: ignore[arg-type]
            f"{error:>10}{kept:>8}  {row['certificate']}"
        )
    skipped: list[dict[str, object]] = result["skipped"]  # type: ignore[assignment]
    lines += [
        f"{row['strategy']:<28}{row['unrolls']:>8}  skipped: needs {size_text(int(row['needs_bytes']))}"  # type: ignore[call-overload]
        for row in skipped
    ]
    return "\n".join(lines)
