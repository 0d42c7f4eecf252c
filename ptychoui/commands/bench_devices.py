"""The benchmark of LED arrays: bench devices."""

from __future__ import annotations

import argparse
from typing import Any

from ptychoui.commands.options import add_json, amount, say, show, whole


def add_devices(kinds: Any) -> None:
    """Add the benchmark with its words."""
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
