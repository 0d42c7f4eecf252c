from __future__ import annotations

import pytest

from ptychoui.session.in_the_window import for_window


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("the layout is mirrored (ptychoui calibrate --orientation)", "the layout is mirrored (button Orientation…)"),
        ("calibrate (ptychoui calibrate), and check", "calibrate (button Calibrate), and check"),
        ("make one with ptychoui reconstruct", "make one with button Reconstruct"),
        (
            "order of the LEDs (ptychoui info --leds)",
            "order of the LEDs (page Data, which names the LED of every image)",
        ),
        ("written by a newer ptychoui (format 2)", "written by a newer ptychoui (format 2)"),
        ("ptychoui devices lists the ports; is it plugged in?", "button Find lists the ports; is it plugged in?"),
        (
            "lower --brightness, or confirm with --confirm-bright if supply and cooling allow it",
            "lower the brightness, or raise the current limit if supply and cooling allow it",
        ),
        ("", ""),
    ],
)
def test_commands_become_buttons(text: str, said: str) -> None:
    assert for_window(text) == said
