"""LED arrays with the program's own sketch: patterns in slots, check sums on every line, and a heartbeat.

The array goes dark by itself a few seconds after it last heard of the program, so a program that is killed leaves
nothing lit. Whoever shows a pattern for longer calls `hold`, or `beat` at least three times in that time.
"""

from __future__ import annotations

import contextlib
import time

import numpy as np
from numpy.typing import NDArray

from ptychoui.devices.device import Capabilities, Device, DeviceOptions, Loaded
from ptychoui.devices.frames import COLOURS
from ptychoui.devices.sketch_words import LINE_BYTES, NAME, PUT_LEDS, crc16, opened, sealed
from ptychoui.devices.transport import Transport
from ptychoui.errors import DeviceError, NoAnswerError, StopRequested, UnpluggedError

START_S = 2.5
"""Boards that restart when their port is opened need so long."""
ALIVE_S = 3.0
MOST_TRIES = 5


class Line:
    """Numbered questions and their answers."""

    def __init__(self, transport: Transport, answer_s: float) -> None:
        self.transport, self.answer_s = transport, answer_s
        self.number = 0
        self.news: list[list[str]] = []
        """Lines that came without being asked for: the end of a run, or that the LEDs went out."""
        self._rest = b""

    def ask(self, command: str, tries: int = MOST_TRIES) -> list[str]:
        """Send a command until it is answered; the words of the answer.

        Raises
        ------
        DeviceError
            If the board refuses it.
        NoAnswerError
            If it was not answered in any of ``tries``, each as long as an answer may take.
        """
        for attempt in range(tries):
            self.number = self.number % 9999 + 1
            self.transport.write(sealed(f"{self.number} {command}"))
            answer = self._answer(self.answer_s)
            if answer is None:
                continue
            if answer[0] == "OK":
                return answer[2:]
            raise DeviceError(
                f"the array refuses {command[:20]!r}: {' '.join(answer[2:])}", f"attempt {attempt + 1}; see the log"
            )
        raise NoAnswerError(f"no answer to {command[:20]!r} in {tries} tries of {self.answer_s:g} s", "is it powered?")

    def read(self, wait_s: float) -> list[list[str]]:
        """Whole lines that came within a time in seconds, damaged ones left out."""
        *lines, self._rest = (self._rest + self.transport.read_some(wait_s)).split(b"\n")
        self._rest = self._rest[-4 * LINE_BYTES :]
        return [words for line in lines if (words := opened(line))]

    def _answer(self, within_s: float) -> list[str] | None:
        """The answer to the last number; None if it did not come, or the line was damaged on its way."""
        end = time.monotonic() + within_s
        while (left := end - time.monotonic()) > 0:
            self.transport.check_abort()
            for words in self.read(min(left, 0.02)):
                if words[0] in ("OK", "NO") and words[1:2] == [str(self.number)]:
                    return words
                if words[:2] == ["NO", "0"]:
                    return None
                if words[0] in ("DONE", "DARK") or words[0] == "NO":
                    self.news.append(words)
        return None


class Sketch(Device):
    """An array with the program's own sketch."""

    kind = "ptychoui"
    usual_limit_ma = 2000.0
    beat_every_s = ALIVE_S / 4

    def __init__(self, line: Line, options: DeviceOptions, facts: list[int]) -> None:
        n_leds, colours, slots, _, outputs, inputs, _ = facts
        capabilities = Capabilities(
            n_leds=n_leds,
            colours=("r", "g", "b") if colours == 3 else ("one colour",),
            max_command_bytes=LINE_BYTES,
            hardware_sequence=slots > 1,
            trigger_outputs=outputs,
            trigger_inputs=inputs,
            min_delay_ms=1.0,
            heartbeat_s=ALIVE_S,
            verifies="check sum of what is lit",
            if_killed=f"the array goes dark by itself within {ALIVE_S:g} s",
        )
        super().__init__(line.transport, options, f"ptychoui sketch, {slots - 1} slots", capabilities)
        self.line, self.slots = line, slots

    def prepare(self) -> None:
        """Dark, with a heartbeat, in the chosen colour."""
        self.line.ask("OFF")
        self.line.ask(f"ALIVE {round(ALIVE_S * 1000)}")
        if len(self.capabilities.colours) > 1:
            self.line.ask("COLOR {} {} {}".format(*COLOURS[self.options.colour]))

    def _show(self, values: NDArray[np.uint8], name: str) -> None:
        try:
            self._fill(0, values)
            meant = f"{crc16(values.tobytes()):04X}"
            for _ in range(1 + self.options.retries):
                if self.line.ask("SHOW 0") == [meant]:
                    return
            raise DeviceError(f"{name} is not shown as it was sent", "is the line disturbed?")
        except (UnpluggedError, StopRequested):
            raise
        except DeviceError:
            with contextlib.suppress(DeviceError):
                self._clear()
            raise

    def _fill(self, slot: int, values: NDArray[np.uint8]) -> None:
        """Write a slot, drive values (n_leds,), and compare its check sum.

        Raises
        ------
        DeviceError
            If it never is what was sent.
        """
        meant = f"{crc16(values.tobytes()):04X}"
        for _ in range(1 + self.options.retries):
            self.line.ask(f"ZERO {slot}")
            for first in range(0, len(values), PUT_LEDS):
                part = values[first : first + PUT_LEDS]
                if part.any():
                    self.line.ask(f"PUT {slot} {first} {part.tobytes().hex().upper()}")
            if self.line.ask(f"SUM {slot}") == [meant]:
                return
        raise DeviceError(f"slot {slot} does not hold what was sent", "is the line disturbed? see the log of bytes")

    def _upload(self, rows: NDArray[np.uint8]) -> Loaded:
        if len(rows) >= self.slots:
            note = f"the array keeps {self.slots - 1} patterns, not {len(rows)}: the computer steps them"
            return Loaded(in_hardware=False, values=rows, notes=(note,))
        for row, values in enumerate(rows):
            self._fill(row + 1, values)
        return Loaded(in_hardware=True, values=rows)

    def _run(self, delay_ms: float, count: int, trigger_every: int, wait_for_input: bool) -> None:
        assert self.loaded is not None
        patterns = len(self.loaded.values)
        self.line.news.clear()
        words = f"RUN {round(delay_ms * 1000)} 1 {patterns} {count} {trigger_every} {int(wait_for_input)}"
        # Not sent twice: a second run would start again, and trigger the camera again.
        self.line.ask(words, tries=1)
        number = str(self.line.number)
        end = time.monotonic() + 2.0 + 1.5 * patterns * count * max(delay_ms, 20.0) / 1000
        end += 65.0 * patterns * count if wait_for_input else 0.0
        beaten = time.monotonic()
        while time.monotonic() < end:
            self.transport.check_abort()
            for news in [*self.line.news, *self.line.read(0.02)]:
                if news[:2] == ["DONE", number]:
                    if news[2:] == [str(patterns * count)]:
                        return
                    raise DeviceError(f"the sequence ended after {news[-1]} of {patterns * count} patterns")
                if news[0] == "DARK" or news[:2] == ["NO", number]:
                    raise DeviceError(f"the array ended the sequence: {' '.join(news)}", "see the log of bytes")
            self.line.news.clear()
            if time.monotonic() - beaten > self.beat_every_s:
                self.beat()
                beaten = time.monotonic()
        raise NoAnswerError("the sequence did not come to its end in time", "see the log of bytes")

    def beat(self) -> None:
        """Tell the array that the program is alive.

        Raises
        ------
        DeviceError
            If the array went dark meanwhile, or does not answer.
        """
        self.line.ask("BEAT")
        if any(words[0] == "DARK" for words in self.line.news):
            self.line.news.clear()
            self.shown = np.zeros_like(self.shown)
            raise DeviceError("the array went dark, for it did not hear of the program", "show the pattern again")

    def _clear(self) -> None:
        self.line.ask("OFF")

    def _trigger(self) -> None:
        self.line.ask("TRIG", tries=1)


def probe(transport: Transport, options: DeviceOptions, start_s: float = START_S) -> Sketch | None:
    """The array at the other end, dark; None if it does not speak this protocol."""
    line = Line(transport, options.answer_s / 2)
    transport.drain()
    try:
        words = line.ask("ID", tries=max(1, round(2 * start_s / options.answer_s)))
    except UnpluggedError:
        raise
    except DeviceError:
        return None
    if words[:1] != [NAME] or len(words) != 9 or not all(word.isdigit() for word in words[1:]):
        return None
    device = Sketch(line, options, [int(word) for word in words[2:]])
    device.prepare()
    return device
