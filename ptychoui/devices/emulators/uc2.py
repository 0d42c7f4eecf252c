"""An emulated openUC2 board: present firmware, firmware before April 2025, or a master on a CAN bus."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ptychoui.devices.emulators.wire import Board

BUFFER = 8191
NOISE = b"[ 40213][I][main.cpp:88] loop(): heap 181204\r\n"


class Uc2Board(Board):
    """The firmware's loop.

    Parameters
    ----------
    generation
        "new", "old" or "can".
    cut_out
        Every message that lights LEDs is followed by the thermal switch-off.
    """

    def __init__(self, generation: str = "new", n_leds: int = 64, cut_out: bool = False) -> None:
        super().__init__(n_leds, 3)
        self.generation, self.cut_out = generation, cut_out
        self._held, self._depth = bytearray(), 0

    def packet(self, data: bytes) -> None:
        """Bytes outside braces are ignored; a message ends where they balance."""
        for byte in data:
            if not self._depth and byte != ord("{"):
                continue
            self._held.append(byte)
            self._depth += (byte == ord("{")) - (byte == ord("}"))
            if len(self._held) > BUFFER:
                self._reset()
                self._frame({"error": "Input buffer overflow"})
            elif not self._depth:
                text = bytes(self._held)
                self._reset()
                self._message(text)

    def _reset(self) -> None:
        self._held, self._depth = bytearray(), 0

    def _frame(self, words: dict[str, Any]) -> None:
        text = json.dumps(words, separators=(",", ":"))
        self.wire.send(f"++\n{text}\n--\n".encode() + b"\0", NOISE)

    def _message(self, data: bytes) -> None:
        if self.wire.chance(self.wire.faults.lost_bytes):
            place = int(self.wire.random.integers(len(data)))
            rest = data[:place] + data[place + 1 :]
            if rest.count(b"{") != rest.count(b"}"):
                # The end is waited for, in vain.
                self._held, self._depth = bytearray(rest), rest.count(b"{") - rest.count(b"}")
                if self._depth <= 0:
                    self._reset()
                return
            data = rest
        if not self.wire.command(data):
            return
        try:
            words = json.loads(data)
            task = words["task"]
        except (ValueError, KeyError, TypeError):
            self._frame({"error": "Failed to parse JSON"})
            return
        qid = words.get("qid", 0)
        if task == "/state_get":
            state = {"identifier_name": "UC2_Feather", "identifier_version": "V2.0", "identifier_date": "2026"}
            self._frame({"state": state, "qid": qid})
        elif task == "/ledarr_get" and self.generation != "can":
            new = {"led": {"count": self.n_leds, "isOn": bool(self.light.any())}, "qid": qid}
            old = {"ledArrNum": self.n_leds, "ledArrPin": 4, "LEDArrMode": [0, 1, 2, 3], "qid": qid}
            self._frame(new if self.generation == "new" else old)
        elif task == "/ledarr_act":
            self._act(words.get("led") or {}, qid)
        elif task.endswith(("_set", "reset")) or "EEPROM" in data.decode("latin-1"):
            self.damage.append(task)

    def _act(self, led: dict[str, Any], qid: int) -> None:
        light = self.light.copy()
        if self.generation == "new":
            self._new(led, light)
        elif self.generation == "old":
            self._old(led, light)
        else:
            self._can(led, light)
        self.shine(light)
        if self.generation == "old":
            self._frame({"qid": qid, "success": 1})
        else:
            self._frame({"qid": qid, "state": "done"})
            self._frame({"return": qid})
        if self.cut_out and self.light.any():
            self.shine(np.zeros_like(self.light))
            self._frame({"led": {"error": "AUTO-OFF: LEDs were on for too long"}})

    def _new(self, led: dict[str, Any], light: np.ndarray) -> None:
        action = led.get("action")
        if action == "off":
            light[:] = 0
        elif action in ("fill", "on"):
            light[:] = _rgb(led)
        elif action == "single" and 0 <= int(led.get("ledIndex", -1)) < self.n_leds:
            light[int(led["ledIndex"])] = _rgb(led)

    def _old(self, led: dict[str, Any], light: np.ndarray) -> None:
        mode, pixels = led.get("LEDArrMode"), led.get("led_array") or []
        if mode == 3:
            light[:] = 0
        elif mode == 1 and pixels:
            light[:] = _rgb(pixels[0])
        elif mode in (0, 8):
            for pixel in pixels:
                place = int(pixel.get("id", 0)) % 256
                if place < self.n_leds:
                    light[place] = _rgb(pixel)

    def _can(self, led: dict[str, Any], light: np.ndarray) -> None:
        if led.get("action") == "off":
            light[:] = 0
            return
        pixels = led.get("led_array") or []
        light[:] = 0
        for place, pixel in enumerate(pixels[: self.n_leds]):
            light[place] = _rgb(pixel)


def _rgb(words: dict[str, Any]) -> list[int]:
    return [int(words.get(name, 0)) % 256 for name in "rgb"]
