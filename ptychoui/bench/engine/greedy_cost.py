"""Time and memory of a step of greedy learning, against checkpoints."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

from ptychoui.bench.engine.greedy_problems import CHECKPOINT, Task, end_to_end, greedily, mean_square
from ptychoui.engine.memory import MemoryMeter
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategies import strategy
from ptychoui.training.gradients import GREEDY


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Checkpoints and greedy modules on one problem, with some number of threads.

    Attributes
    ----------
    checkpoint_seconds, greedy_seconds
        Minima over interleaved repeats; ``_median``: medians.
    ratio
        Checkpoints' minimum over greedy's; ``ratio_median``: of the medians; ``ratio_cpu``: of the minima of the
        processor's time, in which other programs' load counts less.
    by_counting
        The ratio of their efforts as the layers declare them.
    by_parts
        The ratio that the layers allow without what joins them: (increments + products) / stored passes, of minima of
        the processor's time.
    """

    problem: str
    unrolls: int
    size: int
    threads: int
    checkpoint_seconds: float
    checkpoint_median: float
    greedy_seconds: float
    greedy_median: float
    ratio: float
    ratio_median: float
    ratio_cpu: float
    by_counting: float
    by_parts: float
    checkpoint_bytes: int
    greedy_bytes: int
    load: float | None


def compare(task: Task, repeats: int) -> Row:
    """Time both methods and the parts of the layers, interleaved, and measure their memory with fresh workspaces."""
    keep, work = Scratch(), Scratch()
    _, cotangent = mean_square(task.target, task.x)
    into = {name: torch.zeros_like(task.inputs[name]) for name in task.wanted}

    def increments() -> None:
        for layer in task.chain.layers:
            layer.increment(task.x, task.inputs, work)

    def products() -> None:
        for layer in task.chain.layers:
            layer.linearise(task.x, task.inputs, work, work).pullback(cotangent, into)

    def stored() -> None:
        for layer in task.chain.layers:
            at = layer.linearise(task.x, task.inputs, keep, work)
            _ = at.increment
            at.pullback(cotangent, into)

    works = {CHECKPOINT: Scratch(), GREEDY: Scratch()}
    methods: dict[str, Callable[[], object]] = {
        CHECKPOINT: lambda: end_to_end(task, works[CHECKPOINT]),
        GREEDY: lambda: greedily(task, works[GREEDY], lambda _done: None),
        "increment": increments,
        "products": products,
        "stored": stored,
    }
    seconds: dict[str, list[float]] = {name: [] for name in methods}
    busy: dict[str, list[float]] = {name: [] for name in methods}
    with torch.no_grad():
        for repeat in range(repeats + 1):
            for name, method in methods.items():
                began, busy_before = time.perf_counter(), time.process_time()
                method()
                if repeat:  # the first warms up
                    seconds[name].append(time.perf_counter() - began)
                    busy[name].append(time.process_time() - busy_before)
        for scratch in works.values():
            scratch.clear()
        with MemoryMeter() as by_checkpoints:
            end_to_end(task, Scratch())
        with MemoryMeter() as by_modules:
            greedily(task, Scratch(), lambda _done: None)
    least = {name: min(found) for name, found in seconds.items()}
    work_of = {name: max(min(found), 1e-9) for name, found in busy.items()}
    middle = {name: median(found) for name, found in seconds.items()}
    return Row(
        problem=task.name,
        unrolls=len(task.chain),
        size=task.x.shape[-1],
        threads=torch.get_num_threads(),
        checkpoint_seconds=least[CHECKPOINT],
        checkpoint_median=middle[CHECKPOINT],
        greedy_seconds=least[GREEDY],
        greedy_median=middle[GREEDY],
        ratio=least[CHECKPOINT] / least[GREEDY],
        ratio_median=middle[CHECKPOINT] / middle[GREEDY],
        ratio_cpu=work_of[CHECKPOINT] / work_of[GREEDY],
        by_counting=strategy(CHECKPOINT).effort(task.chain) / strategy("store_all").effort(task.chain),
        by_parts=(work_of["increment"] + work_of["products"]) / work_of["stored"],
        checkpoint_bytes=by_checkpoints.peak,
        greedy_bytes=by_modules.peak,
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    )
