"""The command that opens the window: gui."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from ptychoui.commands import training
from ptychoui.commands.options import fresh, has_screen, say
from ptychoui.errors import PtychouiError


def add_commands(commands: Any) -> None:
    """Add the commands of this module, each with its words, to the parser of ``ptychoui``."""
    parser = commands.add_parser("gui", help="open the window (without a screen: run the demo headless)")
    parser.add_argument(
        "file",
        nargs="?",
        help="a stack, k-space, a training set, a reconstruction, an experiment, a geometry or a run folder",
    )
    parser.add_argument("--demo", action="store_true", help="start learning on the sample data at once")
    parser.add_argument("--reset-layout", action="store_true", help="forget where the docks were")
    parser.set_defaults(run=_gui)


def _gui(arguments: argparse.Namespace) -> int:
    if has_screen():
        from ptychoui.gui.shell.app import main as open_window

        return open_window(arguments.file, demo=arguments.demo, reset_layout=arguments.reset_layout)
    if arguments.file is not None:
        raise PtychouiError("there is no screen to open a window on", "use ptychoui info, train, evaluate or export")
    return without_screen()


def without_screen() -> int:
    """Learn on the sample data without a window."""
    from ptychoui.paths import resources

    say("There is no screen, so the demo runs without a window.")
    demo = argparse.ArgumentParser()
    training.add_commands(demo.add_subparsers())
    experiment = resources() / "experiments" / "first_light.toml"
    words = demo.parse_args(["train", str(experiment), "-o", str(fresh("runs/first-light")), "--report"])
    run: Callable[[argparse.Namespace], int] = words.run
    return run(words)
