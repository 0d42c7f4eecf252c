"""The wire between a program and an emulated board: a socket or a pseudo-terminal, with what goes wrong on real ones.

An emulator knows nothing of the drivers: it takes bytes and lights LEDs. It runs in a thread of its own, as firmware
does: one loop, which is deaf while it is busy.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

LOOK_S = 0.01
"""How often a waiting board looks at whether it shall end."""
KEPT_STATES = 20_000


class UnpluggedBoard(Exception):
    """Raised inside the emulator where the cable is pulled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What goes wrong, each with a chance of 0 to 1 per command or answer.

    Attributes
    ----------
    lost_tails
        What does not fit into one packet of a longer command is lost.
    lost_bytes
        One byte of a command is lost.
    deaf
        A whole command is lost.
    mute
        A command is carried out, and its answer is lost.
    halves
        Only the first half of an answer comes.
    garbled
        One byte of an answer is another.
    chatter
        Lines that nobody asked for come before and in an answer.
    slow, slow_s
        An answer comes so many seconds late.
    unplug_after
        The cable is pulled at this command, from 1; 0 for never.
    unplug_in_answer
        It is pulled in the middle of that command's answer, not before it.
    early_ends
        A sequence ends before its last pattern.
    """

    lost_tails: float = 0.5
    lost_bytes: float = 0.0
    deaf: float = 0.0
    mute: float = 0.0
    halves: float = 0.0
    garbled: float = 0.0
    chatter: float = 0.0
    slow: float = 0.0
    slow_s: float = 0.3
    unplug_after: int = 0
    unplug_in_answer: bool = False
    early_ends: float = 0.0


class Line(ABC):
    """One end of the cable: the board's."""

    url: str

    @abstractmethod
    def receive(self, wait_s: float) -> bytes:
        """What arrived within a time in seconds; b"" for nothing."""

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Send bytes to whoever is there."""

    @abstractmethod
    def cut(self) -> None:
        """Pull the cable."""

    @abstractmethod
    def close(self) -> None:
        """Give everything back to the system."""


class SocketLine(Line):
    """A server on a free port of this machine only; one program at a time."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.setblocking(False)
        self._peer: socket.socket | None = None
        self.url = f"socket://127.0.0.1:{self._server.getsockname()[1]}"

    def receive(self, wait_s: float) -> bytes:
        """Bytes of the connected program; a closed connection makes room for the next."""
        if self._peer is None:
            if not select.select([self._server], [], [], wait_s)[0]:
                return b""
            with contextlib.suppress(OSError):
                self._peer, _ = self._server.accept()
                self._peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return b""
        if not select.select([self._peer], [], [], wait_s)[0]:
            return b""
        try:
            data = self._peer.recv(4096)
        except OSError:
            data = b""
        if not data:
            self.cut()
        return data

    def send(self, data: bytes) -> None:
        """Send, or drop where nobody is connected."""
        if self._peer is not None:
            with contextlib.suppress(OSError):
                self._peer.sendall(data)

    def cut(self) -> None:
        """Close the connection."""
        if self._peer is not None:
            with contextlib.suppress(OSError):
                self._peer.shutdown(socket.SHUT_RDWR)
            self._peer.close()
            self._peer = None

    def close(self) -> None:
        """Close connection and server."""
        self.cut()
        self._server.close()


class PtyLine(Line):
    """A pseudo-terminal, which looks like a serial port; where the system has them."""

    def __init__(self) -> None:
        import tty

        self._master, self._slave = os.openpty()
        tty.setraw(self._master)
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.url = os.ttyname(self._slave)

    def receive(self, wait_s: float) -> bytes:
        """Bytes that were written to the port."""
        if self._master < 0:
            time.sleep(wait_s)
            return b""
        if not select.select([self._master], [], [], wait_s)[0]:
            return b""
        with contextlib.suppress(OSError):
            return os.read(self._master, 4096)
        return b""

    def send(self, data: bytes) -> None:
        """Write all; a full terminal is waited for."""
        while data and self._master >= 0:
            try:
                data = data[os.write(self._master, data) :]
            except BlockingIOError:
                time.sleep(0.001)
            except OSError:
                return

    def cut(self) -> None:
        """Close both ends: the port is gone."""
        for end in (self._master, self._slave):
            if end >= 0:
                os.close(end)
        self._master = self._slave = -1

    def close(self) -> None:
        """As pulling the cable."""
        self.cut()


class Board(ABC):
    """Firmware: takes bytes and lights LEDs. `wire` is set before the first byte."""

    wire: Emulator

    def __init__(self, n_leds: int, channels: int) -> None:
        self.n_leds, self.channels = n_leds, channels
        self.light: NDArray[np.uint8] = np.zeros((n_leds, channels), dtype=np.uint8)
        """(LED, channel) what shines now; replaced, never changed in place."""
        self.states: list[NDArray[np.uint8]] = []
        """(LED, channel) everything that shone, in order."""
        self.pulses: list[NDArray[np.uint8]] = []
        """(LED, channel) what shone at each pulse to the camera."""
        self.damage: list[str] = []
        """What must never happen to a real board."""

    @abstractmethod
    def packet(self, data: bytes) -> None:
        """Take bytes as they come from the line."""

    def tick(self) -> None:
        """Called often while nothing arrives."""
        return

    def unplugged(self) -> None:
        """The controller lost its supply, and the LEDs with it."""
        self.shine(np.zeros_like(self.light))

    def shine(self, light: NDArray[np.uint8]) -> None:
        """Let LEDs shine, drive values (LED, channel)."""
        self.light = light.copy()
        if len(self.states) < KEPT_STATES:
            self.states.append(self.light)

    def pulse(self) -> None:
        """A pulse to the camera."""
        self.pulses.append(self.light)


class Emulator:
    """A board on a line, in a thread. A context; leaving it ends the thread.

    Parameters
    ----------
    board
        The firmware.
    faults
        What goes wrong.
    seed
        Of everything random.
    terminal
        A pseudo-terminal instead of a socket.
    speed
        How much faster than in reality time passes in sequences.
    """

    def __init__(
        self, board: Board, faults: Faults | None = None, seed: int = 0, terminal: bool = False, speed: float = 1.0
    ) -> None:
        self.board, self.faults, self.speed = board, faults or Faults(lost_tails=0.5), speed
        self.random = np.random.default_rng(seed)
        self.line: Line = PtyLine() if terminal else SocketLine()
        self.url = self.line.url
        self.commands: list[bytes] = []
        """Commands that the board received."""
        self.cut = False
        self._gone = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="emulated board", daemon=True)
        board.wire = self

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self.line.close()

    @property
    def light(self) -> NDArray[np.uint8]:
        """(LED, channel) what shines now."""
        return self.board.light

    def unplug(self) -> None:
        """Pull the cable from another thread."""
        self._gone = True

    def plug_in(self) -> None:
        """Let programs connect again."""
        self._gone = self.cut = False

    # What the board may do ------------------------------------------------------------------------------------

    def chance(self, share: float) -> bool:
        """Whether something of this chance happens now."""
        return share > 0 and bool(self.random.random() < share)

    def command(self, data: bytes) -> bool:
        """Note a command that the board is about to carry out; False where it is lost on the way.

        Raises
        ------
        UnpluggedBoard
            If the cable is pulled now.
        """
        self.commands.append(data)
        if len(self.commands) == self.faults.unplug_after and not self.faults.unplug_in_answer:
            raise UnpluggedBoard
        return not self.chance(self.faults.deaf)

    def send(self, data: bytes, noise: bytes = b"") -> None:
        """Answer, in pieces of 1 to 64 bytes, with what goes wrong; ``noise`` is a line that nobody asked for."""
        faults = self.faults
        if noise and self.chance(faults.chatter):
            at = data.find(b"\n") + 1 if self.chance(0.5) else 0
            data = data[:at] + noise + data[at:]
        if self.chance(faults.mute):
            return
        if self.chance(faults.slow):
            time.sleep(faults.slow_s)
        if data and self.chance(faults.garbled):
            place = int(self.random.integers(len(data)))
            data = data[:place] + bytes([data[place] ^ int(self.random.integers(1, 128))]) + data[place + 1 :]
        pulled = faults.unplug_in_answer and len(self.commands) == faults.unplug_after
        if pulled or self.chance(faults.halves):
            data = data[: len(data) // 2]
        while data:
            size = int(self.random.integers(1, 65))
            self.line.send(data[:size])
            data = data[size:]
        if pulled:
            raise UnpluggedBoard

    def wait(self, seconds: float) -> bool:
        """Let time pass as a busy board does; True where a byte came, which is lost with all behind it."""
        end = time.monotonic() + seconds / self.speed
        while (left := end - time.monotonic()) > 0 and not self._end.is_set():
            if self._gone:
                raise UnpluggedBoard
            if self.line.receive(min(left, LOOK_S)):
                return True
        return False

    def flush(self) -> None:
        """Lose what has arrived."""
        while self.line.receive(0):
            pass

    def _loop(self) -> None:
        while not self._end.is_set():
            if self.cut:
                time.sleep(LOOK_S)
                continue
            try:
                if self._gone:
                    raise UnpluggedBoard
                data = self.line.receive(LOOK_S)
                if data:
                    self.board.packet(data)
                else:
                    self.board.tick()
            except UnpluggedBoard:
                self.board.unplugged()
                self.cut = True
                self.line.cut()
