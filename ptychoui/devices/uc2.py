"""LED matrices on openUC2 boards (UC2-ESP32): JSON over a serial line.

The board acknowledges a message, and does not say what it shows. Present firmware acknowledges whole arrays of pixels
and ignores them, so every LED is set on its own; firmware before April 2025 and boards on a CAN bus take arrays.
"""

from __future__ import annotations

import contextlib
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ptychoui.devices.device import Capabilities, Device, DeviceOptions
from ptychoui.devices.frames import COLOURS
from ptychoui.devices.transport import Transport
from ptychoui.devices.uc2_words import BUFFER_BYTES, RESYNC, frames_in, message
from ptychoui.errors import DeviceError, NoAnswerError, StopRequested, UnpluggedError

START_S = 3.0
"""A classic ESP32 restarts when its port is opened."""
LOOK_EVERY_S = 0.25
NEWS_BYTES = 512
"""Longest frame that nobody asked for."""
WHOLE_ARRAY = 200
"""LEDs that fit one message."""

Generation = Literal["new", "old", "can"]


class Uc2(Device):
    """An LED matrix of an openUC2 board."""

    kind = "uc2"
    usual_limit_ma = 2000.0
    beat_every_s = LOOK_EVERY_S

    def __init__(
        self, transport: Transport, options: DeviceOptions, name: str, n_leds: int, generation: Generation
    ) -> None:
        facts = Capabilities(
            n_leds=n_leds,
            colours=("r", "g", "b"),
            max_command_bytes=BUFFER_BYTES,
            verifies="acknowledged",
            if_killed="the board has no timer of its own, the last pattern stays lit until another program clears it "
            "or the supply is switched off (some boards switch off bright light after a minute)",
        )
        super().__init__(transport, options, name, facts)
        self.generation = generation
        self._qid = 1
        self._tail, self._cut_out = b"", ""
        transport.listener = self._listen

    def tell(self, led: dict[str, Any]) -> None:
        """Send one message on LEDs until it is acknowledged: each says what shall be, not what shall change.

        Raises
        ------
        DeviceError
            If it never is.
        """
        wrong: DeviceError | None = None
        for _ in range(1 + self.options.retries):
            self._qid = self._qid % 30000 + 1
            asked = message("/ledarr_act", self._qid, led)
            try:
                _ask(self.transport, asked, self._qid, self.options.answer_s + len(asked) * 10 / self.transport.baud)
                return
            except (UnpluggedError, StopRequested):
                raise
            except DeviceError as error:
                wrong = error
                self._interrupt()
        assert wrong is not None
        raise wrong

    def _show(self, values: NDArray[np.uint8], name: str) -> None:
        self._cut_out = ""
        try:
            for led in self._messages(values):
                self.tell(led)
        except (UnpluggedError, StopRequested):
            raise
        except DeviceError as error:
            with contextlib.suppress(DeviceError):
                self._clear()
            raise DeviceError(f"{name} is not shown: {error.message}", error.hint) from None

    def _messages(self, values: NDArray[np.uint8]) -> list[dict[str, Any]]:
        """Messages after which exactly these LEDs shine, drive values (n_leds,)."""
        on = COLOURS[self.options.colour]

        def pixel(led: int) -> dict[str, int]:
            r, g, b = (int(values[led]) * share for share in on)
            return {"id": led, "r": r, "g": g, "b": b}

        lit = np.flatnonzero(values).tolist()
        if self.generation == "new":
            singles = [pixel(led) for led in lit]
            return [
                {"action": "off"},
                *({"action": "single", "ledIndex": p["id"], "r": p["r"], "g": p["g"], "b": p["b"]} for p in singles),
            ]
        if len(values) <= WHOLE_ARRAY:
            # A board on the CAN bus takes pixels by their place: all of them, in order.
            everything = [pixel(led) for led in range(len(values))]
            return [{"action": "array", "LEDArrMode": 0, "led_array": everything}]
        parts = [lit[start : start + WHOLE_ARRAY] for start in range(0, len(lit), WHOLE_ARRAY)]
        return [self._off(), *({"LEDArrMode": 8, "led_array": [pixel(led) for led in part]} for part in parts)]

    def _off(self) -> dict[str, Any]:
        if self.generation == "old":
            return {"LEDArrMode": 3, "led_array": [{"id": 0, "r": 0, "g": 0, "b": 0}]}
        return {"action": "off"}

    def _clear(self) -> None:
        for _ in range(1 + self.options.retries):
            self.tell(self._off())
            if self.generation != "new" or not self._is_on():
                return
        raise DeviceError("the board says that its LEDs are still on", "switch off its supply")

    def _is_on(self) -> bool:
        """Whether present firmware says that an LED shines."""
        self._qid = self._qid % 30000 + 1
        words = _ask(self.transport, message("/ledarr_get", self._qid), self._qid, self.options.answer_s)
        led = words.get("led")
        return not isinstance(led, dict) or bool(led.get("isOn"))

    def _interrupt(self) -> None:
        self.transport.write(RESYNC)
        self.transport.drain()

    def beat(self) -> None:
        """Look whether the board has switched the LEDs off by itself, as some do when bright light lasts.

        Raises
        ------
        DeviceError
            If it has.
        """
        self.transport.read_some(0)
        if self._cut_out:
            said, self._cut_out = self._cut_out, ""
            self.shown = np.zeros_like(self.shown)
            raise DeviceError(f"the board switched its LEDs off: {said[:80]}", "lower the brightness, or show less")

    def _listen(self, data: bytes) -> None:
        """Look for the news that the board switched its LEDs off, between and behind answers."""
        heard = self._tail + data
        self._tail = heard[-NEWS_BYTES:]
        for words in frames_in(heard) if b"error" in heard else ():
            led = words.get("led")
            if isinstance(led, dict) and "error" in led:
                self._cut_out, self._tail = str(led["error"]), b""


def _ask(transport: Transport, asked: bytes, qid: int, within_s: float) -> dict[str, Any]:
    """The frame that answers a message.

    Raises
    ------
    DeviceError
        If the board reports that it could not read it.
    NoAnswerError
        If nothing came in time.
    """
    found: list[dict[str, Any]] = []

    def whole(data: bytes) -> int | None:
        found[:] = [words for words in frames_in(data) if _answers(words, qid) or "error" in words]
        return len(data) if found else None

    transport.discard()
    transport.write(asked)
    transport.read_until(whole, within_s, asked[:40].decode("ascii"))
    words = found[0]
    if "error" in words or words.get("return") == -1:
        raise DeviceError(f"the board could not read a message: {str(words.get('error', 'damaged'))[:80]}")
    return words


def _answers(words: dict[str, Any], qid: int) -> bool:
    """Whether a frame answers the message of this number: "return" repeats it, -1 means that it was not read."""
    return (words.get("qid") == qid and ("state" in words or "success" in words or "led" in words or _old(words))) or (
        words.get("return") == -1
    )


def _old(words: dict[str, Any]) -> bool:
    return "ledArrNum" in words


def probe(transport: Transport, options: DeviceOptions) -> Uc2 | None:
    """The board at the other end, dark; None if nothing there answers as one.

    Raises
    ------
    DeviceError
        If it does not say how many LEDs it has and nobody else does.
    """
    facts = None
    for _ in range(max(1, round(START_S / options.answer_s))):
        transport.write(RESYNC)
        transport.drain()
        try:
            facts = _ask(transport, message("/state_get", 1), 1, options.answer_s)
            break
        except UnpluggedError:
            raise
        except NoAnswerError:
            continue
        except DeviceError:
            continue
    if facts is None or not isinstance(facts.get("state"), dict):
        return None
    state = facts["state"]
    count, generation = _count(transport, options.answer_s)
    count = options.n_leds or count
    if not count:
        raise DeviceError("the board does not say how many LEDs it has", "end the URL in ?leds=64")
    name = f"{state.get('identifier_name', 'UC2')} ({state.get('identifier_date', 'no date')})"
    device = Uc2(transport, options, name, count, generation)
    device.clear()
    return device


def _count(transport: Transport, within_s: float) -> tuple[int, Generation]:
    """Number of LEDs, 0 where the board does not tell, and which messages it understands."""
    for _ in range(2):
        try:
            words = _ask(transport, message("/ledarr_get", 2), 2, within_s)
        except UnpluggedError:
            raise
        except DeviceError:
            continue
        led = words.get("led")
        if isinstance(led, dict) and isinstance(led.get("count"), int):
            return led["count"], "new"
        if isinstance(words.get("ledArrNum"), int):
            return words["ledArrNum"], "old"
    return 0, "can"
