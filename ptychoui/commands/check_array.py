"""The command ``ptychoui check-array``: the daily look at an LED array."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ptychoui.commands.acquire import add_camera
from ptychoui.commands.devices import add_device, add_timing, device_options, patterns_of, stopping, timing_of
from ptychoui.commands.options import add_json, add_threads, amount, print_json, say, use_threads, whole
from ptychoui.errors import PtychouiError, StopRequested

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ptychoui.design.patterns import PatternSet
    from ptychoui.devices.array_check import Limits

OFF = 1
"""Exit status where something is off."""


def add_commands(commands: Any) -> None:
    """Add the command, with its words, to the parser of ``ptychoui``."""
    parser = commands.add_parser(
        "check-array", help="hold an array against a reference: pose, brightness, focus and dead LEDs, in sentences"
    )
    parser.add_argument("design", metavar="RUN|PATTERNS.json", help="patterns: the LEDs that they light are looked at")
    add_device(parser, required=True)
    add_camera(parser)
    parser.add_argument(
        "--reference", required=True, metavar="STACK.h5", help="single LEDs that acquire took of the same slide"
    )
    parser.add_argument("--geometry", metavar="G.toml", help="the calibrated one (default: calibrate by the reference)")
    parser.add_argument("--leds", type=whole(8), metavar="N", help="at most so many LEDs, the bright field first")
    parser.add_argument("--shift-mm", type=amount, help="limit of the array's shift (default: 0.2)")
    parser.add_argument("--rotation-deg", type=amount, help="limit of its rotation (default: 0.4)")
    parser.add_argument("--height-percent", type=amount, help="limit of its height (default: 1)")
    parser.add_argument("--gain-percent", type=amount, help="limit of the light of all LEDs (default: 5)")
    parser.add_argument("--led-percent", type=amount, help="limit of one LED beside the others (default: 15)")
    parser.add_argument("--focus-share", type=amount, help="limit of focus in depths of focus (default: 0.1)")
    add_timing(parser)
    add_threads(parser)
    add_json(parser)
    parser.set_defaults(run=_check)


def _check(arguments: argparse.Namespace) -> int:
    from ptychoui.data.formats.geometry_file import load_whole_geometry
    from ptychoui.devices.acquiring import Ways
    from ptychoui.devices.array_check import ArrayCheck
    from ptychoui.devices.camera_opening import open_camera
    from ptychoui.devices.opening import open_device
    from ptychoui.workflows.reconstruct_stack import open_stack

    use_threads(arguments)
    patterns = patterns_of(arguments.design)
    reference = open_stack(arguments.reference, None)
    geometry = load_whole_geometry(arguments.geometry) if arguments.geometry else None
    numbers = leds_to_see(patterns, arguments.leds)
    check = ArrayCheck(reference, geometry, numbers.tolist(), say)
    # Values are those of the reference, whatever its brightness was: level 1 is full drive here.
    arguments.brightness = 1.0
    options = device_options(arguments, patterns.geometry.microscope.wavelength_um)
    with stopping() as abort:
        try:
            with (
                open_device(arguments.device, options, abort=abort) as device,
                open_camera(arguments.camera, device, patterns.geometry) as camera,
            ):
                say(f"{device.name}: a frame of each of {len(numbers)} LEDs")
                today = check.acquire(device, camera, Ways(timing=timing_of(arguments)))
        except StopRequested:
            raise PtychouiError("stopped; the array is dark and was not judged", "start again") from None
    report = check.compare(today, _limits(arguments))
    if arguments.json:
        print_json(report.values())
    else:
        for finding in report.findings:
            print(finding.sentence)
        print("something is off" if report.off else "the array is as it was")
    return OFF if report.off else 0


def leds_to_see(patterns: PatternSet, at_most: int | None) -> NDArray[np.int64]:
    """(LED,) numbers of the LEDs that patterns light, by their NA; of many the dark field is thinned out."""
    import numpy as np

    lit = np.flatnonzero((patterns.levels > 0).any(0))
    radius = np.hypot(*np.asarray(patterns.illumination_na)[lit].T)
    lit = lit[np.argsort(radius, kind="stable")]
    if at_most is not None and at_most < len(lit):
        bright = int(np.count_nonzero(radius < patterns.geometry.microscope.objective_na))
        first = min(bright, at_most)
        rest = np.linspace(first, len(lit) - 1, at_most - first).round().astype(int)
        lit = lit[np.concatenate([np.arange(first), rest])]
    return np.asarray(patterns.led_numbers)[lit]


def _limits(arguments: argparse.Namespace) -> Limits:
    from ptychoui.devices.array_check import Limits

    names = ("shift_mm", "rotation_deg", "height_percent", "gain_percent", "led_percent", "focus_share")
    given = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    return Limits(**given)
