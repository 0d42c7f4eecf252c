"""The benchmark of the published scale: bench poster."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ptychoui.commands.options import add_json, add_threads, amount, say, show, use_threads, whole
from ptychoui.errors import SettingsError


def add_poster(kinds: Any) -> None:
    """Add the benchmark with its words."""
    parser = kinds.add_parser("poster", help="one certified training step of the problem that is said to need 500 GB")
    parser.add_argument("--unrolls", type=whole(1), nargs="+", default=[], help="(default: 300; with --alone 3)")
    parser.add_argument("--size", type=whole(1), default=512, help="edge of the object in pixels (default: 512)")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--alone", action="store_true", help="unrolls alone, LEDs in chunks, for objects that fill a computer"
    )
    parser.add_argument(
        "--foretell", type=whole(1), metavar="N", help="with --alone: unrolls whose memory is foretold (default: 300)"
    )
    parser.add_argument("--mri", action="store_true", help="a slab of magnetic resonance images instead")
    parser.add_argument(
        "--stored-gb", type=amount, help="with --mri: what back-propagation would need (default: 40, as published)"
    )
    add_threads(parser)
    parser.add_argument("--plot", metavar="FILE.png", help="memory against unrolls")
    add_json(parser)
    parser.set_defaults(run=_poster)


def _poster(arguments: argparse.Namespace) -> int:
    from ptychoui.data.files import check_target

    _refuse_what_does_not_fit(arguments)
    if arguments.plot:
        check_target(arguments.plot)
    use_threads(arguments)
    if arguments.mri:
        from ptychoui.bench.mri import volume

        return show(arguments, volume.run("slab", 1e9 * (arguments.stored_gb or 40.0), steps=1, say=say), volume.table)
    if arguments.alone:
        from ptychoui.bench.engine import large_object

        (unrolls,) = arguments.unrolls or [3]
        foretold = arguments.foretell or 300
        return show(
            arguments,
            large_object.run(unrolls, arguments.size, foretold, arguments.device, say=say),
            large_object.table,
        )
    from ptychoui.bench.engine import poster

    result = poster.run(arguments.unrolls or [poster.UNROLLS], arguments.size, arguments.device, say)
    if arguments.plot:
        from ptychoui.bench.engine.poster_plot import plot

        plot(result, Path(arguments.plot))
    return show(arguments, result, poster.table)


def _refuse_what_does_not_fit(arguments: argparse.Namespace) -> None:
    """Words that exclude each other, or would be left unheard."""
    if arguments.mri and arguments.alone:
        raise SettingsError("--mri and --alone exclude each other", "leave one out")
    for word, given, needs, there in (
        ("--foretell", arguments.foretell, "--alone", arguments.alone),
        ("--stored-gb", arguments.stored_gb, "--mri", arguments.mri),
    ):
        if given is not None and not there:
            raise SettingsError(f"{word} belongs to {needs}", f"add {needs}, or leave {word} out")
    if arguments.plot and (arguments.mri or arguments.alone):
        raise SettingsError("--plot draws training steps of the poster's problem", "leave --alone and --mri out")
    if arguments.alone and len(arguments.unrolls) > 1:
        raise SettingsError("--alone takes one number of unrolls", "run it again for others")
