"""The dialect 1.x: sequences of 8 bits."""

from __future__ import annotations

import re
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ptychoui.devices.device import Capabilities, DeviceOptions, Loaded
from ptychoui.devices.frames import FULL
from ptychoui.devices.illuminate import Illuminate, facts_as_capabilities
from ptychoui.devices.illuminate_words import LONGEST_BYTES
from ptychoui.devices.transport import Transport
from ptychoui.errors import DeviceError, UnpluggedError


class Illuminate1(Illuminate):
    """An array with firmware 1.x."""

    kind = "illuminate1"

    @classmethod
    def from_facts(cls, transport: Transport, options: DeviceOptions, facts: dict[str, Any]) -> Self:
        """The device that ``pp`` describes."""
        stated = facts_as_capabilities(facts)
        name = f"{facts.get('device_name', 'LED array')} (illuminate {facts.get('interface_version', '1')})"
        return cls(transport, options, name, Capabilities(**stated, bits_sequence=8, max_delay_ms=65535.0))

    def _upload(self, rows: NDArray[np.uint8]) -> Loaded:
        # What is shown is a value of the sequence times the brightness: the largest of the sequence loses nothing.
        brightness = int(rows.max()) or self._sequence_brightness
        commands = [ssv(row, brightness) for row in rows]
        if max(map(len, commands)) + 1 > LONGEST_BYTES:
            return self._stepped(rows, "a pattern has more LEDs than one command can name")
        self._sequence_brightness = brightness
        wrong = ""
        for _ in range(1 + self.options.retries):
            wrong = self._sent(commands)
            if not wrong:
                return Loaded(in_hardware=True, values=rows)
        return self._stepped(rows, f"the board does not take the sequence: {wrong}")

    def _sent(self, commands: list[str]) -> str:
        """Send the whole sequence once; what went wrong, or an empty text."""
        try:
            self.told("ssbd.8", "BD.8")
            if not re.search(rf"is: {len(commands)}$", self.ask(f"ssl.{len(commands)}")):
                return "it has another length"
            for command in commands:
                echo = self.ask(command, self.long_s)
                if command.startswith("ssv") and _pairs(echo) != command.split(".")[2:]:
                    return f"it repeats {echo[:40]!r} of {command[:40]!r}"
            return self._whole(commands)
        except UnpluggedError:
            raise
        except DeviceError as error:
            self.transport.drain()
            return error.message

    def _whole(self, commands: list[str]) -> str:
        """Read the sequence back: blank patterns have no echo, and a lost one would shift all that follow."""
        found = re.split(r"Pattern \d+ \(\d+ leds\):", self.ask("pseq", self.long_s))[1:]
        meant = [command.split(".")[2:] if command.startswith("ssv") else [] for command in commands]
        return "" if [_pairs(text) for text in found] == meant else "it holds another sequence"

    def _stepped(self, rows: NDArray[np.uint8], why: str) -> Loaded:
        return Loaded(in_hardware=False, values=rows, notes=(f"the computer steps the patterns: {why}",))

    def _run(self, delay_ms: float, count: int, trigger_every: int, wait_for_input: bool) -> None:
        self.told(f"sb.{self._sequence_brightness}", f"SB.{self._sequence_brightness}")
        assert self.loaded is not None
        patterns = len(self.loaded.values) * count
        command = f"rseq.{round(delay_ms)}.{count}.{trigger_every}.{int(wait_for_input)}"
        answer = self.timed(command, patterns, delay_ms, wait_for_input)
        if "Finished" not in answer:
            raise DeviceError("the sequence ended before its last pattern", "play it again; see the log of bytes")


def ssv(row: NDArray[np.uint8], brightness: int) -> str:
    """The command that adds a pattern of drive values (n_leds,), to be shown at a brightness of 1 to 255."""
    lit = np.flatnonzero(row)
    if not len(lit):
        return "ssz.1"
    # A listed LED of value 0 would be lit where the sequence has one bit: zeros are left out.
    return ".".join(["ssv", str(len(lit)), *(f"{led}.{round(int(row[led]) * FULL / brightness)}" for led in lit)])


def _pairs(echo: str) -> list[str]:
    """LED numbers and values in turn that the board repeats."""
    return [word for pair in re.findall(r"LED #:\s*(\d+),\s*value=(\d+)", echo) for word in pair]
