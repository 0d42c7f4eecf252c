"""``ptychoui bench poster --alone``: unrolls of an object whose states alone fill a computer.

LEDs pass in chunks, so that what is held is the object, its momentum and a few arrays of its size. Few unrolls are run
forward and back with a certificate; what many take is foretold from one unroll of two small objects, since every array
is constant or grows with the number of pixels, and held against what the few took.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from ptychoui.bench.engine.passes import Found, closed_form_gradient
from ptychoui.bench.engine.poster import LEDS, MEASUREMENTS
from ptychoui.bench.engine.problem import make_bench
from ptychoui.bench.engine.resident import available, give_back_free_memory, reset_peak, resident_kb
from ptychoui.engine.allocator import large_arrays_apart
from ptychoui.engine.memory import MemoryMeter, predict, probe
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.sizes import size_text
from ptychoui.engine.strategy import LayerCost
from ptychoui.errors import CertificateError
from ptychoui.network.gradient import INPUTS
from ptychoui.training.devices import pick_device
from ptychoui.words import counted

PROBED_PX = (256, 512)
STRATEGY = "reversible"


def run(
    unrolls: int,
    size: int,
    foretold: int,
    device: str = "auto",
    leds: int = LEDS,
    measurements: int = MEASUREMENTS,
    probed_px: tuple[int, int] = PROBED_PX,
    say: Callable[[str], None] = lambda _line: None,
) -> dict[str, Any]:
    """Run unrolls forward and back; the dictionary is what ``--json`` prints.

    Measurements are those of a random object under random weights, whose derivatives are taken.

    Parameters
    ----------
    size
        Edge of the object in pixels.
    foretold
        Unrolls whose memory is foretold.

    Raises
    ------
    CertificateError
        If the way back was not exact.
    """
    large_arrays_apart()
    target = pick_device(device)
    say(f"one unroll of {probed_px[0]} and of {probed_px[1]} pixels")
    cost = _grown([_cost(leds, measurements, edge, target) for edge in probed_px], probed_px, size)
    say(f"measurements of {size} x {size} pixels")
    bench = make_bench(unrolls, leds, measurements, size, target, stream=True)
    before = None
    if available():
        give_back_free_memory()
        reset_peak()
        before = 1024 * resident_kb("VmRSS")
    say(f"{unrolls} unrolls forward and back")
    began = time.perf_counter()
    found, metered = _metered(lambda: closed_form_gradient(bench, STRATEGY, Scratch()), target)
    seconds = time.perf_counter() - began
    if not found.certificate.startswith("exact"):
        raise CertificateError("the way back was not exact", "report this device")
    chain = bench.network.chain
    deep = replace(chain, layers=[chain.layers[0]] * foretold)
    return {
        "unrolls": unrolls,
        "size_px": size,
        "leds": leds,
        "measurements": measurements,
        "predicted_bytes": predict(cost, chain, STRATEGY),
        "metered_bytes": metered,
        "resident_bytes": 1024 * resident_kb("VmHWM") if available() else None,
        "before_bytes": before,
        "foretold_unrolls": foretold,
        "foretold_bytes": {name: predict(cost, deep, name) for name in (STRATEGY, "checkpoint", "store_all")},
        "certificate": found.certificate,
        "seconds": seconds,
        "device": str(target),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
    }


def _metered(work: Callable[[], Found], device: torch.device) -> tuple[Found, int]:
    """Its result, and the peak of what it held in bytes."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        found = work()
        torch.cuda.synchronize(device)
        return found, int(torch.cuda.max_memory_allocated(device) - before)
    with MemoryMeter() as meter:
        found = work()
    return found, meter.peak


def _cost(leds: int, measurements: int, size: int, device: torch.device) -> LayerCost:
    bench = make_bench(1, leds, measurements, size, device, stream=True)
    return probe(bench.network.chain, bench.x, bench.inputs, INPUTS)


def _grown(probed: list[LayerCost], edges: tuple[int, int], size: int) -> LayerCost:
    """The cost of an object of ``size`` pixels from those of two smaller ones."""
    few, more = probed
    times = (size**2 - edges[0] ** 2) / (edges[1] ** 2 - edges[0] ** 2)

    def grown(first: int, second: int) -> int:
        return round(first + (second - first) * times)

    return replace(
        more,
        first={name: grown(few.first[name], more.first[name]) for name in few.first},
        linearised=grown(few.linearised, more.linearised),
        point=grown(few.point, more.point),
        state=grown(few.state, more.state),
        reals=grown(few.reals, more.reals),
    )


def table(result: dict[str, Any]) -> str:
    """What was measured, and what more unrolls take, as text."""
    size, foretold = result["size_px"], result["foretold_bytes"]
    resident = result["resident_bytes"]
    process = "" if resident is None else f", {size_text(resident)} of the whole process"
    ratio = result["predicted_bytes"] / result["metered_bytes"]
    return "\n".join(
        [
            f"{size} x {size} pixels, {result['leds']} LEDs in chunks, {result['measurements']} measurements, "
            f"{result['device']}, {counted(result['threads'], 'thread')}, load {result['load']:.1f}",
            f"{result['unrolls']} unrolls forward and back: {size_text(result['metered_bytes'])} "
            f"({size_text(result['predicted_bytes'])} foretold, {ratio:.2f}){process}, {result['seconds']:.0f} s; "
            f"{result['certificate']}",
            f"{result['foretold_unrolls']} unrolls would take {size_text(foretold['reversible'])}; with a checkpoint "
            f"at every unroll {size_text(foretold['checkpoint'])}, with all kept {size_text(foretold['store_all'])}",
        ]
    )
