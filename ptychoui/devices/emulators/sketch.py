"""An emulated array with the program's own sketch, written from the description of the protocol alone."""

from __future__ import annotations

import time
from binascii import crc_hqx

import numpy as np

from ptychoui.devices.emulators.wire import Board

PULSE_SLOTS = 33


def check(text: bytes) -> bytes:
    """The check sum in hex: division by x^8 + x^2 + x + 1, bit by bit."""
    value = int.from_bytes(text + b"\0", "big")
    for bit in range(value.bit_length() - 1, 7, -1):
        if value >> bit & 1:
            value ^= 0x107 << (bit - 8)
    return f"{value:02X}".encode()


class SketchBoard(Board):
    """The sketch's loop, which listens while a sequence runs.

    Parameters
    ----------
    slots
        Patterns that it keeps, slot 0 included.
    """

    def __init__(self, n_leds: int = 64, slots: int = PULSE_SLOTS, colours: int = 3) -> None:
        super().__init__(n_leds, colours)
        self.slots = np.zeros((slots, n_leds), dtype=np.uint8)
        self.colour = np.ones(colours, dtype=np.uint8)
        self.levels = np.zeros(n_leds, dtype=np.uint8)
        self.alive_s, self.heard = 5.0, time.monotonic()
        self.run: list[int] | None = None
        self.shown = self.total = 0
        self.next_at = 0.0
        self._held = b""

    def packet(self, data: bytes) -> None:
        """Carry out whole lines."""
        self._held += data
        while b"\n" in self._held:
            line, self._held = self._held.split(b"\n", 1)
            if line:
                self._line(line)
        self.tick()

    def tick(self) -> None:
        """The next pattern of a sequence, and the heartbeat."""
        now = time.monotonic()
        if self.run is not None and now >= self.next_at:
            if self.shown < self.total:
                self._step()
            else:
                number, self.run = self.run[0], None
                self._light(np.zeros_like(self.levels))
                self._say(f"DONE {number} {self.shown}")
        if (self.levels.any() or self.run is not None) and now - self.heard > self.alive_s:
            self.run = None
            self._light(np.zeros_like(self.levels))
            self._say("DARK heartbeat")

    def _step(self) -> None:
        assert self.run is not None
        _, delay_us, first, count, _, every, _ = self.run
        place = self.shown % count
        self._light(self.slots[first + place])
        if every and place % every == 0:
            self.pulse()
        self.shown += 1
        self.next_at = time.monotonic() + delay_us / 1e6 / self.wire.speed

    def _light(self, levels: np.ndarray) -> None:
        self.levels = levels.copy()
        self.shine(levels[:, None] * self.colour)

    def _say(self, text: str) -> None:
        data = text.encode()
        self.wire.send(data + b"*" + check(data) + b"\n", b"DARK noise\n")

    def _line(self, line: bytes) -> None:
        if self.wire.chance(self.wire.faults.lost_bytes):
            place = int(self.wire.random.integers(len(line)))
            line = line[:place] + line[place + 1 :]
        if not self.wire.command(line):
            return
        text, star, seal = line.rpartition(b"*")
        if not star or check(text) != seal or len(line) > 96:
            self._say("NO 0 crc")
            return
        self.heard = time.monotonic()
        number, name, *words = text.decode("ascii").split(" ")
        method = getattr(self, f"_do_{name.lower()}", None)
        if method is None:
            self._say(f"NO {number} command")
            return
        if self.run is not None and name in ("PUT", "ZERO", "SUM", "SHOW", "RUN"):
            self._say(f"NO {number} busy")
            return
        try:
            answer = method(*([int(number)] if name == "RUN" else []), *words)
        except (ValueError, TypeError, IndexError):
            self._say(f"NO {number} range")
            return
        self._say(f"OK {number} {answer}" if answer else f"OK {number}")
        self.tick()

    def _do_id(self) -> str:
        slots, leds = self.slots.shape
        return f"ptychoui-leds 1 {leds} {self.channels} {slots} 96 1 1 {round(self.alive_s * 1000)}"

    def _do_alive(self, word: str) -> None:
        if not 200 <= int(word) <= 60000:
            raise ValueError
        self.alive_s = int(word) / 1000

    def _do_beat(self) -> None:
        return None

    def _do_off(self) -> None:
        self.run = None
        self._light(np.zeros_like(self.levels))

    def _do_stop(self) -> str:
        self._do_off()
        return str(self.shown)

    def _do_color(self, *words: str) -> None:
        if len(words) != 3 or not set(words) <= {"0", "1"}:
            raise ValueError
        self.colour = np.array([int(word) for word in words], dtype=np.uint8)

    def _do_zero(self, word: str) -> str:
        self.slots[int(word)] = 0
        return self._sum(self.slots[int(word)])

    def _do_put(self, slot: str, first: str, digits: str) -> None:
        levels = np.frombuffer(bytes.fromhex(digits), dtype=np.uint8)
        if int(first) + len(levels) > self.n_leds:
            raise ValueError
        self.slots[int(slot), int(first) : int(first) + len(levels)] = levels

    def _do_sum(self, word: str) -> str:
        return self._sum(self.slots[int(word)])

    def _do_lit(self) -> str:
        return self._sum(self.levels)

    def _do_show(self, word: str) -> str:
        self._light(self.slots[int(word)])
        return self._sum(self.levels)

    def _do_trig(self) -> None:
        self.pulse()

    def _do_run(self, number: int, *words: str) -> None:
        delay_us, first, count, repeats, every, waits = (int(word) for word in words)
        if not count or not repeats or first + count > len(self.slots):
            raise ValueError
        self.run = [number, delay_us, first, count, repeats, every, waits]
        self.shown, self.total = 0, count * repeats
        self.next_at = 0.0

    def _sum(self, levels: np.ndarray) -> str:
        return f"{crc_hqx(levels.tobytes(), 0xFFFF):04X}"
