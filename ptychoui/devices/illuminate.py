"""LED arrays with the illuminate firmware: what its dialects share.

The dialects 1.x and 2.x do not understand each other's sequences; `probe` asks for the version and takes the right
one. What is lit is read back (``pvals``) before a pattern counts as shown; it is sent again where it differs.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.devices.device import Capabilities, Device, DeviceOptions
from ptychoui.devices.frames import COLOURS, FULL
from ptychoui.devices.illuminate_words import ABORT, answer_length, answer_text, led_values
from ptychoui.devices.transport import Transport
from ptychoui.errors import DeviceError, StopRequested, UnpluggedError
from ptychoui.export.illuminate import COMMAND_BYTES, led_lists

LONG = 5
"""Deadline of an answer with a line per LED, in deadlines of a plain command."""
BUSY_S = 65.0
"""How long an input trigger may be waited for at one pattern: the firmware gives up after 60 s."""


class Illuminate(Device):
    """What is the same in all dialects."""

    usual_limit_ma = 8000.0
    has_shutter = False

    def __init__(self, transport: Transport, options: DeviceOptions, name: str, capabilities: Capabilities) -> None:
        super().__init__(transport, options, name, capabilities)
        self._sequence_brightness = round(options.brightness * FULL)

    # Words ----------------------------------------------------------------------------------------------------

    def ask(self, command: str, within_s: float | None = None) -> str:
        """Send one command and return what the answer says.

        Raises
        ------
        DeviceError
            If the device refuses it.
        NoAnswerError
            If no whole answer came within ``within_s`` seconds.
        """
        return ask(self.transport, command, within_s or self.options.answer_s)

    def told(self, command: str, expected: str) -> None:
        """Send a command whose answer repeats what was understood; twice more where it says something else.

        Raises
        ------
        DeviceError
            If the answer is never the expected one.
        """
        answer = ""
        for _ in range(self.options.retries):
            answer = self._try(command)
            if answer.split() == [expected]:
                return
            self.transport.drain()
        raise DeviceError(
            f"the array answers {answer[:40]!r} to {command!r}, not {expected!r}", "is the line disturbed?"
        )

    @property
    def long_s(self) -> float:
        """Deadline in s of an answer with a line per LED."""
        return LONG * self.options.answer_s

    def timed(self, command: str, patterns: int, delay_ms: float, wait_for_input: bool) -> str:
        """Send the command that plays a sequence of so many patterns of ``delay_ms``, and wait for its end.

        Raises
        ------
        DeviceError
            If it ends sooner than it can have shown everything, or not at all.
        """
        expected_s = patterns * delay_ms / 1000
        busy_s = BUSY_S * patterns if wait_for_input else 0.0
        begun = time.monotonic()
        answer = self.ask(command, self.long_s + 1.5 * patterns * max(delay_ms, 20.0) / 1000 + busy_s)
        took = time.monotonic() - begun
        if took < 0.95 * expected_s:
            raise DeviceError(
                f"the sequence ended after {took:.3g} s and not {expected_s:.3g} s", "play it again; see the log"
            )
        return answer

    def _try(self, command: str) -> str:
        """The answer, or what went wrong as text: for commands that are repeated until they are right."""
        try:
            return self.ask(command)
        except UnpluggedError:
            raise
        except DeviceError as error:
            return error.message

    def prepare(self) -> None:
        """Bring the array into a known state: dark, the chosen colour and brightness."""
        self._interrupt()
        self._clear()
        if len(self.capabilities.colours) > 1:
            r, g, b = (FULL * on for on in COLOURS[self.options.colour])
            self.told(f"sc.{r}.{g}.{b}", f"CO.{r}.{g}.{b}")
        self.told(f"sb.{self._sequence_brightness}", f"SB.{self._sequence_brightness}")

    # Patterns -------------------------------------------------------------------------------------------------

    def _show(self, values: NDArray[np.uint8], name: str) -> None:
        """Build it up in pieces, read it back, and open the shutter where there is one."""
        wrong = "nothing was sent"
        for _ in range(1 + self.options.retries):
            try:
                self._build(values)
                wrong = self._difference(values)
                if not wrong and self.has_shutter:
                    self.told("gs.1", "GS.1")
                if not wrong:
                    return
                self.transport.drain()
            except (UnpluggedError, StopRequested):
                raise
            except DeviceError as error:
                wrong = error.message
                self.transport.drain()
        with contextlib.suppress(DeviceError):
            self._clear()
        raise DeviceError(f"{name} is not shown as it was sent: {wrong}", "is the line disturbed? see the log of bytes")

    def _build(self, values: NDArray[np.uint8]) -> None:
        if self.has_shutter:
            self.told("gs.0", "GS.0")
        self.ask("ac.0")
        self.ask("x")
        for value in np.unique(values[values > 0]):
            self.told(f"sb.{value}", f"SB.{value}")
            for command in led_lists(np.flatnonzero(values == value)):
                self.ask(command)

    def _difference(self, values: NDArray[np.uint8]) -> str:
        """How what is lit differs from what was meant; empty if it does not."""
        found = led_values(self.ask("pvals", self.long_s))
        on = COLOURS[self.options.colour] if len(self.capabilities.colours) > 1 else (1,)
        meant = {led: tuple(int(value) * share for share in on) for led, value in enumerate(values)}
        wrong = [led for led in meant if found.get(led) != meant[led]]
        if not wrong:
            return ""
        led = wrong[0]
        return f"{len(wrong)} LEDs differ, LED {led} has {found.get(led, 'no value')} and not {meant[led]}"

    def _clear(self) -> None:
        self.ask("x")

    def _interrupt(self) -> None:
        """An empty line: it ends a sequence, and a command that was cut."""
        self.transport.write(ABORT)
        self.transport.drain(quiet_s=0.05)

    def _trigger(self) -> None:
        self.ask("tr.0")


def ask(transport: Transport, command: str, within_s: float) -> str:
    """Send one command of the illuminate firmware and return what the answer says.

    Raises
    ------
    DeviceError
        If the device refuses it.
    NoAnswerError
        If no whole answer came within ``within_s`` seconds.
    """
    transport.discard()
    transport.write(f"{command}\n".encode("ascii"))
    return answer_text(transport.read_until(answer_length, within_s, command[:40]), command)


def facts_as_capabilities(facts: dict[str, Any]) -> dict[str, Any]:
    """Capabilities that the array states."""
    colours = facts.get("color_channels")
    return {
        "n_leds": int(facts["led_count"]),
        "colours": tuple(map(str, colours)) if isinstance(colours, list) and len(colours) == 3 else ("one colour",),
        "trigger_outputs": int(facts.get("trigger_output_count", 0)),
        "trigger_inputs": int(facts.get("trigger_input_count", 0)),
        "max_command_bytes": COMMAND_BYTES,
        "hardware_sequence": True,
        "min_delay_ms": 5.0,
        "if_killed": "the firmware has no timer of its own, the last pattern stays lit until another program clears it "
        "or the supply is switched off",
    }
