"""The command ``ptychoui watch``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptychoui.commands.options import (
    add_threads,
    amount,
    amount_or_none,
    crop_of,
    say,
    stop_flag,
    use_threads,
    whole,
)
from ptychoui.errors import PtychouiError, StopRequested
from ptychoui.words import counted

if TYPE_CHECKING:
    from ptychoui.workflows.watched_sets import DailyPlan, SetDone


def add_commands(commands: Any) -> None:
    """Add the command, with its words, to the parser of ``ptychoui``."""
    parser = commands.add_parser("watch", help="reconstruct set after set of coded images as they arrive in a folder")
    parser.add_argument("folder", metavar="FOLDER", help="where images arrive: files or folders of one set each")
    parser.add_argument(
        "--patterns", required=True, metavar="DESIGN", help="patterns as export writes them (json), or a run folder"
    )
    parser.add_argument("-o", "--output", required=True, metavar="RESULTS", help="folder for results")
    parser.add_argument("--geometry", metavar="G.toml", help="to correct that of the design")
    parser.add_argument("--once", action="store_true", help="look through what is there, and end")
    parser.add_argument("--again", action="store_true", help="reconstruct sets whose results are there already, too")
    parser.add_argument("--passes", type=whole(1), help="passes over all images (default: at most 600)")
    parser.add_argument(
        "--smoothness", type=amount_or_none, metavar="S", help="strength of the smooth prior (default: chosen per set)"
    )
    parser.add_argument(
        "--crop", type=whole(0), nargs=3, metavar=("ROW", "COLUMN", "SIZE"), help="a square of camera pixels"
    )
    parser.add_argument("--interval", type=amount, default=0.5, metavar="SECONDS", help="between looks (default: 0.5)")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N (default: cpu)")
    add_threads(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object per set, each in a line")
    parser.set_defaults(run=_watch)


def _watch(arguments: argparse.Namespace) -> int:
    from ptychoui.workflows.frame_sets import SetRefused, Waiting
    from ptychoui.workflows.watched_sets import SetDone, daily_work

    use_threads(arguments)
    plan = _plan(arguments)
    done = refused = 0
    say(f"design {plan.patterns.name}: {counted(len(plan.patterns.levels), 'pattern')}; results go to {plan.results}")
    with stop_flag("this pass") as stop:
        try:
            for told in daily_work(plan, _stopper(stop)):
                if isinstance(told, SetDone):
                    done += 1
                    _print_set(told, arguments.json)
                elif isinstance(told, SetRefused):
                    refused += 1
                    say(f"{told.name}: {told.message} - {told.hint}")
                elif isinstance(told, Waiting):
                    say(f"waiting for {told.text}")
        except StopRequested:
            say("stopped")
    unread = f", {refused} could not be used" if refused else ""
    say(f"{counted(done, 'set')} done{unread}")
    if arguments.once and not done:
        raise PtychouiError("no set was reconstructed", "is there one image for each pattern?")
    return 0


def _plan(arguments: argparse.Namespace) -> DailyPlan:
    from ptychoui.bench.design.given import patterns_in
    from ptychoui.data.formats.geometry_file import read_geometry
    from ptychoui.training.devices import pick_device
    from ptychoui.workflows.watched_sets import PASSES, DailyPlan

    return DailyPlan(
        patterns=patterns_in(arguments.patterns),
        source=Path(arguments.folder),
        results=Path(arguments.output),
        once=arguments.once,
        given=read_geometry(arguments.geometry, for_data=True) if arguments.geometry else None,
        passes=arguments.passes or PASSES,
        smoothness=arguments.smoothness,
        window=crop_of(arguments),
        device=str(pick_device(arguments.device)),
        again=arguments.again,
        look_s=arguments.interval,
    )


def _stopper(stop: Callable[[], bool]) -> Callable[[], None]:
    def check() -> None:
        if stop():
            raise StopRequested

    return check


def _print_set(told: SetDone, as_json: bool) -> None:
    """One line for a set, at once: others may read along."""
    from ptychoui.words import clock

    if as_json:
        values = {
            "set": told.name,
            "at": told.at,
            "seconds": round(told.seconds, 3),
            "residual": told.residual,
            "object_pixel_um": told.pixel_um,
            "files": [str(file) for file in told.files],
            "notes": list(told.notes),
        }
        print(json.dumps(values), flush=True)
        return
    took = f"{told.seconds:.1f} s" if told.seconds else "was there"
    print(f"{clock(told.at)}  {told.name}  {took}  residual {told.residual:.4g}  {told.files[0]}", flush=True)
