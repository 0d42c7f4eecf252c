"""The command ``ptychoui profile``."""

from __future__ import annotations

import argparse
from typing import Any

from ptychoui.commands.options import (
    add_json,
    add_threads,
    check_output,
    if_stopped,
    nothing_written,
    print_json,
    say,
    use_threads,
)


def add_commands(commands: Any) -> None:
    """Add the command, with its words, to the parser of ``ptychoui``."""
    parser = commands.add_parser(
        "profile", help="measure a microscope: dark frames, a blank field and a known sample, in one dated file"
    )
    parser.add_argument("sample", metavar="STACK", help="a stack of a sample with structure")
    parser.add_argument("-o", "--output", required=True, metavar="PROFILE.toml", help="used as any geometry file")
    parser.add_argument("--geometry", metavar="G0.toml", help="where to start, for stacks that carry none")
    parser.add_argument("--dark", metavar="FILES", help="a dark frame, a folder of them, or the dark level in counts")
    parser.add_argument("--blank", metavar="STACK", help="a stack of the same LEDs without a sample")
    parser.add_argument(
        "--sign", choices=("+", "-"), help="the sample is known to raise (+) or lower (-) the phase: finds the twin"
    )
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N (default: cpu)")
    add_threads(parser)
    add_json(parser)
    parser.set_defaults(run=_profile)


def _profile(arguments: argparse.Namespace) -> int:
    given, dark = (arguments.sample, arguments.blank), [arguments.dark]
    check_output(arguments.output, *given, geometry=arguments.geometry, others=dark)
    use_threads(arguments)
    with if_stopped(nothing_written(arguments)):
        return _measured(arguments)


def _measured(arguments: argparse.Namespace) -> int:
    from ptychoui.data.files import write_atomic
    from ptychoui.optics.calibration.refine import Step
    from ptychoui.training.devices import pick_device
    from ptychoui.workflows.instrument_profile import make_profile
    from ptychoui.workflows.profile_files import image_overrides, open_for_profile, read_dark_level

    sources: dict[str, str] = {}
    dark = read_dark_level(arguments.dark, sources) if arguments.dark else None
    said = image_overrides(arguments.geometry, dark)
    sample = open_for_profile(arguments.sample, arguments.geometry, said)
    sources["sample"] = sample.provenance.sha256
    for note in sample.provenance.notes:
        say(f"note: {note}")
    blank = None
    if arguments.blank:
        blank = open_for_profile(arguments.blank, arguments.geometry, said, sample.geometry)
        sources["blank"] = blank.provenance.sha256
    sign = {"+": 1, "-": -1, None: 0}[arguments.sign]
    said_already = set()
    for found in make_profile(sample, blank, said, sign, sources, pick_device(arguments.device)):
        if isinstance(found, Step):
            say(found.sentence)
            said_already.add(found.sentence)
        else:
            path = write_atomic(arguments.output, found.toml())
            notes = found.notes
    if arguments.json:
        print_json({"profile": str(path), "dark_level": said.dark_level, "sources": sources, "notes": list(notes)})
    else:
        print("\n".join([*(note for note in notes if note not in said_already), f"{path}: use it as --geometry"]))
    return 0
