"""The command ``ptychoui calibrate``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptychoui.commands.options import (
    add_json,
    add_threads,
    check_output,
    crop_of,
    if_stopped,
    nothing_written,
    print_json,
    say,
    use_threads,
    whole,
)

if TYPE_CHECKING:
    from ptychoui.optics.calibration.refine import Calibration
    from ptychoui.workflows.calibrate_stack import StackCalibration


def add_commands(commands: Any) -> None:
    """Add the command, with its words, to the parser of ``ptychoui``."""
    parser = commands.add_parser("calibrate", help="correct the pose of the LED array and the pupil by a stack")
    parser.add_argument("file", metavar="STACK")
    parser.add_argument("-o", "--output", required=True, metavar="G.toml", help="the corrected geometry")
    parser.add_argument("--geometry", metavar="G0.toml", help="where to start, for stacks that carry none")
    parser.add_argument(
        "--crop", type=whole(0), nargs=3, metavar=("ROW", "COLUMN", "SIZE"), help="a square of camera pixels"
    )
    parser.add_argument("--orientation", action="store_true", help="test the eight orientations of the array first")
    parser.add_argument("--tilt", action="store_true", help="let the array tilt, if that is noticeably better")
    parser.add_argument(
        "--single-leds", action="store_true", help="let every LED shift a little in the end; the array becomes a table"
    )
    parser.add_argument("--starts", type=whole(2), metavar="N", help="how far apart N random starts end")
    parser.add_argument("--seed", type=whole(0), default=0, help="of the random starts")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N (default: cpu)")
    add_threads(parser)
    add_json(parser)
    parser.set_defaults(run=_calibrate)


def _calibrate(arguments: argparse.Namespace) -> int:
    from ptychoui.data.files import write_atomic
    from ptychoui.optics.geometry.pose import changes, difference
    from ptychoui.settings import to_toml
    from ptychoui.training.devices import pick_device
    from ptychoui.workflows.calibrate_stack import StackCalibration
    from ptychoui.workflows.reconstruct_stack import open_stack

    check_output(arguments.output, arguments.file, geometry=arguments.geometry)
    use_threads(arguments)
    values: dict[str, Any] = {"file": arguments.file, "steps": []}

    def lost() -> tuple[str, str]:
        if "geometry" not in values:
            return nothing_written(arguments)()
        return f"{Path(arguments.output).name} is written, its error bar is not known", "use it as it is"

    with if_stopped(lost):
        stack = open_stack(arguments.file, arguments.geometry)
        for note in stack.provenance.notes:
            say(f"note: {note}")
        work = StackCalibration(stack, crop_of(arguments), pick_device(arguments.device))
        found = _calibrated(work, arguments, values)
        geometry, result = work.for_use(found.geometry), found.reconstruction
        values["geometry"] = str(write_atomic(arguments.output, to_toml(geometry)))
        values |= {"fitted_residual": result.fitted_residual, "amplitude_residual": result.amplitude_residual}
        values |= {"zernike_waves": result.zernike_waves, "moved": found.moved, "notes": list(result.warnings)}
        for warning in result.warnings:
            say(f"note: {warning}")
        if arguments.starts:
            say(f"{values['geometry']} is written; its error bar from {arguments.starts} starts follows")
            values["spread"] = _spread(work, arguments)
    if arguments.json:
        print_json(values)
    else:
        print(
            f"{values['geometry']}: residual {result.fitted_residual:.4f} with brightness and stray light of every LED"
        )
        print(f"from {_start(values)}: {changes(difference(work.geometry.array, geometry.array))}")
        if not found.moved:
            print("the pose stays as it was: no step explained the images better")
    return 0


def _start(values: dict[str, Any]) -> str:
    """What the changes of a calibration are changes of."""
    from ptychoui.optics.geometry.pose import VARIANTS

    orientation = values.get("orientation", {"taken": False})
    if not orientation["taken"] or orientation["layouts"][0] == str(VARIANTS[0]):
        return "the geometry given"
    return f"the geometry given, laid out anew ({orientation['layouts'][0]})"


def _calibrated(work: StackCalibration, arguments: argparse.Namespace, values: dict[str, Any]) -> Calibration:
    """Calibrate, saying every step; the steps go into ``values``."""
    from ptychoui.optics.calibration.refine import Step

    if arguments.orientation:
        found = work.orient(lambda done, of: say(f"orientation {done} of {of}"))
        say(found.sentence)
        values["orientation"] = {
            "layouts": [str(variant) for variant in found.variants],
            "residuals": list(found.residuals),
            "pair_margin": found.pair_margin,
            "twin_margin": found.twin_margin,
            "taken": found.sure,
        }
    for step in work.run(tilt=arguments.tilt, single_leds=arguments.single_leds):
        if isinstance(step, Step):
            say(step.sentence)
            values["steps"].append(step.values())
        else:
            last = step
    return last


def _spread(work: StackCalibration, arguments: argparse.Namespace) -> dict[str, object] | None:
    """The error bar of as many starts as were done before somebody stopped it; None of less than two."""
    spread = None
    try:
        for spread in work.spread(arguments.starts, arguments.seed, arguments.tilt):
            say(spread.sentence)
    except KeyboardInterrupt:
        known = f"is of {len(spread.ends)} starts, not of {arguments.starts}" if spread else "is not known"
        say(f"note: stopped: {Path(arguments.output).name} is written, its error bar {known}")
    return None if spread is None else spread.values()
