"""The benchmarks of LED arrays: bench devices, bench loop."""

from __future__ import annotations

import argparse
from typing import Any

from ptychoui.commands.options import add_json, add_threads, amount, say, show, use_threads, whole


def add_devices(kinds: Any) -> None:
    """Add both benchmarks with their words."""
    _add_loop(kinds)
    parser = kinds.add_parser("devices", help="time to show a pattern and to upload a sequence, on emulated arrays")
    parser.add_argument("--leds", type=whole(1), nargs="+", default=[256, 581])
    parser.add_argument("--patterns", type=whole(1), default=50, help="length of the sequence (default: 50)")
    parser.add_argument("--lit", type=amount, default=0.1, help="share of LEDs that shine (default: 0.1)")
    parser.add_argument("--seed", type=whole(0), default=0)
    add_json(parser)
    parser.set_defaults(run=_devices)


def _devices(arguments: argparse.Namespace) -> int:
    from ptychoui.bench.devices import timing

    result = timing.run(arguments.leds, arguments.patterns, arguments.lit, arguments.seed, say)
    return show(arguments, result, timing.table)


def _add_loop(kinds: Any) -> None:
    """Add the benchmark of the closed loop with its words."""
    parser = kinds.add_parser(
        "loop", help="learn, send, acquire, calibrate, reconstruct: errors against the truth of an emulated bench"
    )
    parser.add_argument("--devices", nargs="+", metavar="NAME", help="emulated arrays (default: four kinds)")
    parser.add_argument("--seeds", type=whole(1), default=1, help="slides, LEDs and noise (default: 1)")
    parser.add_argument(
        "--design", metavar="RUN", help="a run that learned patterns (default: learn some on drawn cells)"
    )
    parser.add_argument("--steps", type=whole(0), default=80, help="steps of the learning (default: 80)")
    parser.add_argument("--size", type=whole(32), default=80, help="edge of the images in camera pixels (default: 80)")
    parser.add_argument("--passes", type=whole(1), default=600, help="of every reconstruction (default: 600)")
    parser.add_argument("--frame-ms", type=amount, default=100.0, help="time of one frame in ms (default: 100)")
    parser.add_argument("--bench", default="", metavar="SETTINGS", help="of the bench, as in the URL of its camera")
    add_threads(parser)
    add_json(parser)
    parser.set_defaults(run=_loop)


def _loop(arguments: argparse.Namespace) -> int:
    from ptychoui.bench.devices import loop

    use_threads(arguments)
    learned, hybrid = loop.designs_of(arguments.design, arguments.steps, say)
    what = loop.Loop(
        learned=learned,
        hybrid=hybrid,
        image_px=arguments.size,
        frame_ms=arguments.frame_ms,
        passes=arguments.passes,
        query=arguments.bench,
    )
    result = loop.run(what, arguments.devices or loop.DEVICES, arguments.seeds, say)
    return show(arguments, result, loop.table)
