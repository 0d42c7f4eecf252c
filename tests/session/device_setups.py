"""Emulated arrays behind a link, with what goes wrong on real lines, and a wait for states."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ptychoui.devices.byte_log import ByteLog
from ptychoui.devices.device import Device, DeviceOptions
from ptychoui.devices.emulators.catalogue import NamedEmulator, emulator
from ptychoui.devices.emulators.wire import Faults
from ptychoui.devices.opening import open_device
from ptychoui.session.device_link import DeviceLink
from ptychoui.session.device_state import LinkState, Phase

LONG_S = 60.0


class Bench:
    """A link to one emulated array, and all states that were drained."""

    def __init__(self, name: str, n_leds: int, faults: Faults | None, **options: Any) -> None:
        self.board: NamedEmulator = emulator(name, n_leds, faults)
        self._options = options
        self.devices: list[Device] = []
        self.link = DeviceLink(opener=self.open)
        self.states: list[LinkState] = []

    def open(self, url: str, options: DeviceOptions, log: ByteLog, abort: threading.Event) -> Device:
        kind = f"{self.board.kind}:{self.board.url}?leds={self.board.board.n_leds}"
        device = open_device(kind, DeviceOptions(**{"answer_s": 0.2, **self._options}), log=log, abort=abort)
        device.options = options
        device.emulator = self.board
        self.devices.append(device)
        return device

    def drain(self) -> LinkState:
        state = self.link.drain()
        if state is not None:
            self.states.append(state)
        return self.link.state

    def until(self, true: Callable[[LinkState], bool]) -> LinkState:
        end = time.monotonic() + LONG_S
        while not true(state := self.drain()):
            assert time.monotonic() < end, self.states
            time.sleep(0.002)
        return state

    def answered(self, ticket: int) -> LinkState:
        """The state to which a wish led, once nothing is left to do."""
        return self.until(lambda state: state.ticket == ticket and self.link.pending is None)

    def connected(self) -> LinkState:
        state = self.answered(self.link.connect("array", DeviceOptions()))
        assert state.phase is Phase.DARK, state
        return state


@contextmanager
def bench(name: str = "illuminate2", n_leds: int = 64, faults: Faults | None = None, **options: Any) -> Iterator[Bench]:
    made = Bench(name, n_leds, faults, **options)
    with made.board:
        yield made
        made.link.close(LONG_S)
