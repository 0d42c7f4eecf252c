"""Sentences of the library in words of the window: where they name a command, the window has a button."""

from __future__ import annotations

import re

BUTTONS = (
    ("ptychoui calibrate --orientation", "button Orientation…"),
    ("ptychoui calibrate", "button Calibrate"),
    ("ptychoui info --leds", "page Data, which names the LED of every image"),
    ("ptychoui info", "Open shows it"),
    ("ptychoui reconstruct", "button Reconstruct"),
    ("ptychoui devices lists the ports", "button Find lists the ports"),
    ("ptychoui devices", "button Find"),
)
"""Commands, the longest first, and what does the same in the window."""

OPTIONS = (
    (
        "lower --brightness, or confirm with --confirm-bright if supply and cooling allow it",
        "lower the brightness, or raise the current limit if supply and cooling allow it",
    ),
)
"""Hints that name options of commands, and what a person does in the window instead."""


def for_window(text: str) -> str:
    """A sentence that names buttons instead of commands."""
    for options, instead in OPTIONS:
        text = text.replace(options, instead)
    for command, button in BUTTONS:
        text = re.sub(rf"\b{re.escape(command)}\b(?! -)", button, text)
    return text
