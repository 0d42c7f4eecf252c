"""The command doctor: what this machine has."""

from __future__ import annotations

import argparse
from typing import Any

from ptychoui.commands.options import add_json, has_screen, print_json


def add_commands(commands: Any) -> None:
    """Add the commands of this module, each with its words, to the parser of ``ptychoui``."""
    parser = commands.add_parser("doctor", help="say what this machine has and whether ptychoui works on it")
    add_json(parser)
    parser.set_defaults(run=_doctor)


def _doctor(arguments: argparse.Namespace) -> int:
    from ptychoui.bench.doctor import as_text, examine

    values = examine(has_screen())
    if arguments.json:
        print_json(values)
    else:
        print(as_text(values))
    return 0 if values["ok"] else 2
