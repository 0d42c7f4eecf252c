"""An emulated strip behind an Adalight sketch."""

from __future__ import annotations

import time

import numpy as np

from ptychoui.devices.emulators.wire import Board

GREET_EVERY_S = 1.0


class AdalightBoard(Board):
    """A receiver that looks for the header, then counts bytes.

    Parameters
    ----------
    count_is_n
        The sketch reads the count as the number of LEDs, not one less, and clamps it.
    """

    def __init__(self, n_leds: int = 256, count_is_n: bool = False) -> None:
        super().__init__(n_leds, 3)
        self.count_is_n = count_is_n
        self._held = b""
        self._greeted = 0.0

    def tick(self) -> None:
        """Greet, as sketches do while they hear nothing."""
        if time.monotonic() - self._greeted > GREET_EVERY_S:
            self._greeted = time.monotonic()
            self.wire.line.send(b"Ada\n")

    def packet(self, data: bytes) -> None:
        """Search for a header, then take as many colours as it announces."""
        faults = self.wire.faults
        if self.wire.chance(faults.lost_bytes):
            place = int(self.wire.random.integers(len(data)))
            data = data[:place] + data[place + 1 :]
        self._greeted = time.monotonic()
        self._held += data
        while (start := self._held.find(b"Ada")) >= 0 and len(self._held) >= start + 6:
            high, low, check = self._held[start + 3 : start + 6]
            if high ^ low ^ 0x55 != check:
                self._held = self._held[start + 3 :]
                continue
            announced = (high << 8) + low + (0 if self.count_is_n else 1)
            end = start + 6 + 3 * announced
            if len(self._held) < end:
                return
            frame, self._held = self._held[start:end], self._held[end:]
            if not self.wire.command(frame):
                continue
            light = np.zeros((self.n_leds, 3), dtype=np.uint8)
            count = min(announced, self.n_leds)
            light[:count] = np.frombuffer(frame[6:], dtype=np.uint8).reshape(-1, 3)[:count]
            self.shine(light)
