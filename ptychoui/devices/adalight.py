"""LED strips and matrices behind an Adalight sketch or WLED: frames of colours, and no answer ever.

Nothing tells whether a frame arrived. Every frame is sent twice, so that a strip that lost a byte of the first is right
after the second, and again while it is held, because many sketches go dark without frames.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptychoui.devices.device import Capabilities, Device, DeviceOptions
from ptychoui.devices.frames import COLOURS
from ptychoui.devices.transport import Transport
from ptychoui.errors import DeviceError

MAGIC = b"Ada"
REPEATS = 2
REFRESH_S = 1.0
GREETING_S = 1.5
"""How long the greeting that sketches print is waited for."""
HEADER_BYTES = 6


def encode(values: NDArray[np.uint8], colour: str) -> bytes:
    """The frame of drive values (n_leds,) in one colour: header with the number of LEDs less one, then RGB."""
    count = len(values) - 1
    high, low = count >> 8, count & 255
    on = np.array(COLOURS[colour], dtype=np.uint8)
    return MAGIC + bytes([high, low, high ^ low ^ 0x55]) + (values[:, None] * on).astype(np.uint8).tobytes()


def guard(data: bytes) -> None:
    """Let pass whole frames.

    Raises
    ------
    DeviceError
        If it is anything else.
    """
    whole = len(data) > HEADER_BYTES and data[:3] == MAGIC and data[3] ^ data[4] ^ 0x55 == data[5]
    if not whole or len(data) != HEADER_BYTES + 3 * ((data[3] << 8) + data[4] + 1):
        raise DeviceError("these bytes are no Adalight frame", "send one frame at a time")


class Adalight(Device):
    """A strip or matrix that is streamed to."""

    kind = "adalight"
    beat_every_s = REFRESH_S

    def __init__(self, transport: Transport, options: DeviceOptions, n_leds: int) -> None:
        facts = Capabilities(
            n_leds=n_leds,
            colours=("r", "g", "b"),
            verifies="not at all: the protocol has no answer",
            if_killed="it depends on the sketch whether the last pattern stays lit: many go dark after a while, "
            "others when the supply is switched off",
        )
        super().__init__(transport, options, f"Adalight strip of {n_leds} LEDs", facts)

    def _show(self, values: NDArray[np.uint8], name: str) -> None:
        for _ in range(REPEATS):
            self.transport.write(encode(values, self.options.colour))
            self.transport.wait(self.frame_s)

    @property
    def frame_s(self) -> float:
        """Time in s that one frame takes on the line, and to be shifted into the strip (30 us an LED)."""
        leds = self.capabilities.n_leds
        return (HEADER_BYTES + 3 * leds) * 10 / self.transport.baud + leds * 30e-6

    def _clear(self) -> None:
        self._show(np.zeros(self.capabilities.n_leds, dtype=np.uint8), "dark")

    def beat(self) -> None:
        """Send what is shown again."""
        self.transport.write(encode(self.shown, self.options.colour))


def probe(transport: Transport, options: DeviceOptions, named: bool = False) -> Adalight | None:
    """The strip at the other end, dark; None if it does not greet and nobody says that it is one.

    Raises
    ------
    DeviceError
        If nobody says how many LEDs it has.
    """
    heard = transport.drain(quiet_s=0.1 if named else GREETING_S, at_most_s=GREETING_S)
    if not named and MAGIC not in heard:
        return None
    if options.n_leds is None:
        raise DeviceError("a strip does not say how many LEDs it has", "end the URL in ?leds=256")
    device = Adalight(transport, options, options.n_leds)
    device.clear()
    return device
