"""The command that plays the demonstration: demo."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from ptychoui.commands.options import check_output, has_screen, say
from ptychoui.errors import PtychouiError, SettingsError


def add_commands(commands: Any) -> None:
    """Add the command of this module, with its words, to the parser of ``ptychoui``."""
    parser = commands.add_parser("demo", help="play the demonstration: a full-screen story that learns live")
    parser.add_argument("--auto", action="store_true", help="play once without keys, then leave")
    parser.add_argument(
        "--timings", nargs="?", const="", metavar="FILE.json", help="print what was timed; with a file, write it there"
    )
    parser.add_argument("--pictures", metavar="FOLDER", help="save a picture of each chapter")
    parser.add_argument("--light", action="store_true", help="light theme, for bright rooms")
    parser.add_argument("--window", metavar="WIDTHxHEIGHT", help="a window of this size instead of the whole screen")
    parser.add_argument(
        "--record", metavar="FILE", help="make the recording again that plays before the first live step (minutes)"
    )
    parser.set_defaults(run=_demo)


def _demo(arguments: argparse.Namespace) -> int:
    if arguments.record is not None:
        return _record(arguments.record)
    timings = arguments.timings
    if timings:
        check_output(timings)
    if not has_screen():
        if arguments.auto or timings is not None or arguments.pictures:
            raise PtychouiError("there is no screen to play on", "set QT_QPA_PLATFORM=offscreen to play unseen")
        from ptychoui.commands.window import without_screen

        return without_screen()
    from ptychoui.gui.demo.app import main

    play = main(light=arguments.light, size=_size(arguments.window), auto=arguments.auto, pictures=arguments.pictures)
    if timings is not None:
        play.report()
    if timings:
        import json

        from ptychoui.data.files import write_atomic

        text = json.dumps(play.timings(), indent=2) + "\n"
        write_atomic(Path(timings), lambda file: file.write(text.encode()))
    return 0


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{3,5})x(\d{3,5})", text)
    if not found:
        raise SettingsError(f"{text} is no size of a window", "write width x height in pixels, such as 1280x720")
    return int(found[1]), int(found[2])


def _record(path: str) -> int:
    from ptychoui.session.demo.making import make_recording

    check_output(path)
    print(make_recording(path, say))
    return 0
