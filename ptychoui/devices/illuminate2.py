"""The dialect 2.x: a shutter, and sequences of LEDs that are on or off."""

from __future__ import annotations

import json
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ptychoui.devices.device import Capabilities, DeviceOptions, Loaded
from ptychoui.devices.frames import distinct_levels
from ptychoui.devices.illuminate import Illuminate, facts_as_capabilities
from ptychoui.devices.illuminate_words import LONGEST_BYTES, MOST_ARGUMENTS
from ptychoui.devices.transport import Transport
from ptychoui.errors import DeviceError, NoAnswerError, UnpluggedError


class Illuminate2(Illuminate):
    """An array with firmware 2.x."""

    kind = "illuminate2"
    has_shutter = True

    @classmethod
    def from_facts(cls, transport: Transport, options: DeviceOptions, facts: dict[str, Any]) -> Self:
        """The device that ``pprops`` describes."""
        stated = facts_as_capabilities(facts)
        name = f"{facts.get('device_name', 'LED array')} (illuminate {facts.get('interface_version', '2')})"
        return cls(transport, options, name, Capabilities(**stated, bits_sequence=1, max_delay_ms=2000.0))

    def _upload(self, rows: NDArray[np.uint8]) -> Loaded:
        if distinct_levels(rows) > 1:
            return self._stepped(rows, "a sequence of firmware 2.x knows LEDs on or off only")
        value = int(rows.max())
        commands = [ssv(row) for row in rows]
        if any(len(command) + 1 > LONGEST_BYTES or command.count(".") > MOST_ARGUMENTS for command in commands):
            return self._stepped(rows, "a pattern has more LEDs than one command can name")
        # The brightness is that of the moment at which the sequence runs.
        self._sequence_brightness = value or self._sequence_brightness
        wrong = ""
        for _ in range(1 + self.options.retries):
            wrong = self._sent(rows, commands)
            if not wrong:
                return Loaded(in_hardware=True, values=rows)
        return self._stepped(rows, f"the board does not take the sequence: {wrong}")

    def _sent(self, rows: NDArray[np.uint8], commands: list[str]) -> str:
        """Send the whole sequence once; what went wrong, or an empty text."""
        try:
            self.told(f"ssl.{len(rows)}", f"SEQ_LEN.{len(rows)}")
            for row, command in zip(rows, commands, strict=True):
                echo, meant = self.ask(command, self.long_s), np.flatnonzero(row).tolist()
                if sorted(_list(echo)) != meant:
                    return f"it repeats {echo[:40]!r} of a pattern of {len(meant)} LEDs"
            return ""
        except UnpluggedError:
            raise
        except DeviceError as error:
            self.transport.drain()
            return error.message

    def _stepped(self, rows: NDArray[np.uint8], why: str) -> Loaded:
        return Loaded(in_hardware=False, values=rows, notes=(f"the computer steps the patterns: {why}",))

    def _run(self, delay_ms: float, count: int, trigger_every: int, wait_for_input: bool) -> None:
        self.told(f"sb.{self._sequence_brightness}", f"SB.{self._sequence_brightness}")
        self.told("gs.1", "GS.1")
        if self.capabilities.trigger_outputs:
            self._mode("troutputmode", trigger_every)
        if self.capabilities.trigger_inputs:
            self._mode("trinputmode", int(wait_for_input))
        assert self.loaded is not None
        patterns = len(self.loaded.values) * count
        try:
            self.timed(f"rseq.{round(delay_ms)}.{count}", patterns, delay_ms, wait_for_input)
        except NoAnswerError as error:
            raise NoAnswerError(f"the sequence did not come to its end: {error.message}", error.hint) from None

    def _mode(self, name: str, mode: int) -> None:
        """Set a trigger. Boards with two of them repeat something else than they were told, which says nothing."""
        for _ in range(1 + self.options.retries):
            answer = self._try(f"{name}.0.{mode}").strip()
            if answer == f"{name.upper()}.{mode}" or answer.startswith(("TROUTPUTPOLARITY.", "TRINPUTPOLARITY.")):
                return
            self.transport.drain()
        raise DeviceError(f"the array answers {answer[:40]!r} to {name}.0.{mode}", "is the line disturbed?")


def ssv(row: NDArray[np.uint8]) -> str:
    """The command that adds a pattern of drive values (n_leds,) to a sequence: a list, a range, all or none."""
    lit = np.flatnonzero(row)
    if not len(lit):
        return "ssv.none"
    if len(lit) == len(row):
        return "ssv.all"
    if len(lit) > 2 and lit[-1] - lit[0] == len(lit) - 1:
        return f"ssv.range.{lit[0]}.{lit[-1] + 1}"
    return ".".join(["ssv", *map(str, lit)])


def _list(echo: str) -> list[int]:
    """LED numbers that the board repeats; of an answer that is none, one that no pattern has."""
    try:
        found = json.loads(echo[echo.index("[") : echo.rindex("]") + 1])
        return [int(number) for number in found]
    except (ValueError, TypeError):
        return [-1]
