"""Which ports there are, and what answers there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ptychoui.devices.device import DeviceOptions
from ptychoui.devices.opening import open_device
from ptychoui.errors import PtychouiError

CONTROLLERS = {
    0x16C0: "Teensy",
    0x10C4: "CP210x",
    0x1A86: "CH340",
    0x0403: "FTDI",
    0x303A: "ESP32",
    0x2341: "Arduino",
    0x2886: "Seeed",
    0x239A: "Adafruit",
    0x2E8A: "Raspberry Pi Pico",
}
"""USB vendors of boards that LED arrays have; any of them may carry something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A serial port.

    Attributes
    ----------
    usual
        Whether its USB chip is one that LED arrays have.
    """

    url: str
    description: str
    usual: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What was found at a port.

    Attributes
    ----------
    asked
        Whether it was spoken to at all: an unknown instrument might take a question for a command.
    kind, name, n_leds
        Of an LED array; empty and 0 where there is none.
    problem
        Why there is none, as a sentence.
    if_killed
        What stays lit when the program is killed.
    """

    url: str
    description: str
    asked: bool
    kind: str = ""
    name: str = ""
    n_leds: int = 0
    problem: str = ""
    if_killed: str = ""

    def line(self) -> str:
        """The answer as a line of text."""
        if self.kind:
            return f"{self.url}: {self.name}, {self.n_leds} LEDs ({self.kind}); when killed, {self.if_killed}"
        said = self.problem if self.asked else "not asked: it may be another instrument (--all asks it, too)"
        return f"{self.url}: {self.description}: {said}"


def ports() -> list[Port]:
    """Serial ports of this computer."""
    from serial.tools.list_ports import comports

    found = []
    for each in sorted(comports()):
        chip = CONTROLLERS.get(each.vid or 0, "")
        said = each.description if each.description not in (None, "", "n/a") else "serial port"
        found.append(Port(url=each.device, description=chip or said, usual=bool(chip)))
    return found


def ask_ports(found: Sequence[Port], everything: bool = False, options: DeviceOptions | None = None) -> list[Answer]:
    """Open each port whose chip is usual, or each at all, ask what it is, and leave it dark."""
    answers = []
    for port in found:
        if not (port.usual or everything):
            answers.append(Answer(url=port.url, description=port.description, asked=False))
            continue
        try:
            with open_device(port.url, options) as device:
                answers.append(
                    Answer(
                        url=port.url,
                        description=port.description,
                        asked=True,
                        kind=device.kind,
                        name=device.name,
                        n_leds=device.capabilities.n_leds,
                        if_killed=device.capabilities.if_killed,
                    )
                )
        except PtychouiError as error:
            answers.append(Answer(url=port.url, description=port.description, asked=True, problem=error.message))
    return answers
