"""The line to a device: a pyserial URL, read in chunks with a deadline, every byte logged.

Whatever pyserial opens will do: a port (``/dev/ttyACM0``, ``COM3``), ``socket://host:port``, ``loop://``. Every byte
that is sent passes a guard first, so that a driver cannot send what the guard does not know.
"""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from collections.abc import Callable
from typing import Any

from ptychoui.devices.byte_log import ByteLog
from ptychoui.errors import DeviceError, NoAnswerError, StopRequested, UnpluggedError

SLICE_S = 0.02
"""Longest time that a read waits before it looks at the clock and at the wish to stop."""
WRITE_S = 5.0
"""Time in which the system must take what is sent."""

Guard = Callable[[bytes], None]


class Transport:
    """An open line.

    Parameters
    ----------
    url
        What pyserial's ``serial_for_url`` opens.
    guard
        Called with all that is about to be sent; raises to refuse it.
    baud
        Bits per second; USB ports of microcontrollers ignore it.

    Raises
    ------
    DeviceError
        If the port is absent, in use, or may not be opened.
    """

    def __init__(
        self,
        url: str,
        guard: Guard,
        baud: int = 115200,
        log: ByteLog | None = None,
        abort: threading.Event | None = None,
    ) -> None:
        self.url, self.guard, self.baud = url, guard, baud
        self.log = log or ByteLog()
        self.abort = abort or threading.Event()
        """Set from another thread: reads and waits end at once with `StopRequested`."""
        self.listener: Callable[[bytes], None] | None = None
        """Told all that arrives, also what nobody waits for."""
        self._port = _opened(url, baud)
        self._socket = url.lower().startswith("socket:")
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        """Send bytes that the guard lets pass.

        Raises
        ------
        DeviceError
            If the guard refuses them, or the line is closed.
        UnpluggedError
            If the line broke.
        """
        self.guard(data)
        self.log.add(True, data)
        with self._errors():
            self._port.write(data)

    def read_some(self, wait_s: float = SLICE_S) -> bytes:
        """What has arrived, at once; where there is nothing, what arrives first within ``wait_s`` seconds, or b"".

        Raises
        ------
        UnpluggedError
            If the line broke.
        """
        end = time.monotonic() + wait_s
        data = b""
        while not data:
            with self._errors():
                data = self._port.read(1)
                if data:
                    data += self._rest()
            if not data and time.monotonic() >= end:
                break
        self._heard(data)
        return data

    def read_until(self, whole: Callable[[bytes], int | None], within_s: float, asked: str) -> bytes:
        """Collect bytes until ``whole`` gives the length of an answer.

        Parameters
        ----------
        whole
            Told all bytes so far; length of the complete answer, or None.
        within_s
            Deadline in seconds.
        asked
            What was asked, for the sentence of an error.

        Returns
        -------
        The answer. Bytes behind it are dropped: devices of this kind say nothing without being asked that matters.

        Raises
        ------
        NoAnswerError
            If the deadline passed.
        UnpluggedError
            If the line broke.
        """
        end = time.monotonic() + within_s
        found = bytearray()
        while True:
            if (length := whole(bytes(found))) is not None:
                return bytes(found[:length])
            self.check_abort()
            left = end - time.monotonic()
            if left <= 0:
                part = f"only {len(found)} bytes of an answer" if found else "no answer"
                raise NoAnswerError(
                    f"{part} to {asked!r} within {within_s:.3g} s",
                    "is it the right port and speed, and is the array powered?",
                )
            found += self.read_some(min(SLICE_S, left))

    def drain(self, quiet_s: float = 0.03, at_most_s: float = 1.0) -> bytes:
        """Read and drop until nothing has come for ``quiet_s`` seconds, at most ``at_most_s``; what was dropped."""
        end = time.monotonic() + at_most_s
        found = b""
        while time.monotonic() < end:
            if not (data := self.read_some(quiet_s)):
                break
            found += data
        return found

    def discard(self) -> None:
        """Drop what has arrived already, without waiting: late answers to what was given up.

        Raises
        ------
        UnpluggedError
            If the line broke.
        """
        with self._errors():
            while waiting := self._port.in_waiting:
                self._heard(self._port.read(waiting))

    def wait(self, seconds: float) -> None:
        """Wait; ends early with `StopRequested` where a stop is asked for."""
        if self.abort.wait(seconds):
            raise StopRequested

    def check_abort(self) -> None:
        """Raise `StopRequested` where a stop is asked for."""
        if self.abort.is_set():
            raise StopRequested

    def close(self) -> None:
        """Close the line; closing twice does nothing."""
        if self._socket and (line := getattr(self._port, "_socket", None)) is not None:
            # pyserial leaves a socket open whose other end is gone, and sleeps before it closes one.
            self._port._socket, self._port.is_open = None, False
            line.close()
        with contextlib.suppress(Exception):
            self._port.close()

    def _heard(self, data: bytes) -> None:
        self.log.add(False, data)
        if data and self.listener is not None:
            self.listener(data)

    def _rest(self) -> bytes:
        """What else is there already."""
        if not self._socket:
            return bytes(self._port.read(waiting)) if (waiting := self._port.in_waiting) else b""
        # pyserial counts at most one byte of a socket as waiting; a read that must not wait takes all.
        self._port.timeout = 0
        try:
            return bytes(self._port.read(65536))
        finally:
            self._port.timeout = SLICE_S

    @contextlib.contextmanager
    def _errors(self) -> Any:
        """Errors of pyserial and of the system as one sentence."""
        import serial

        try:
            yield
        except serial.SerialTimeoutException:
            raise NoAnswerError(f"the device took nothing within {WRITE_S:g} s", "unplug it and plug it in") from None
        except (serial.SerialException, OSError, TypeError, AttributeError) as error:
            # pyserial forgets its file descriptor (TypeError, AttributeError) where a port vanishes in mid-call.
            raise UnpluggedError(
                f"the line to the LED array broke ({_reason(error)})",
                "plug it in again; an array with its own supply may stay lit until then",
            ) from None


def _opened(url: str, baud: int) -> Any:
    """An open port of pyserial."""
    import serial

    try:
        port = serial.serial_for_url(
            url, baudrate=baud, timeout=SLICE_S, write_timeout=WRITE_S, do_not_open=True, exclusive=True
        )
        port.open()
        return port
    except ValueError as error:
        raise DeviceError(f"{url!r} is no serial port: {error}", "ptychoui devices lists the ports") from None
    except (serial.SerialException, OSError) as error:
        raise DeviceError(*_why_not_opened(url, error)) from None


def _why_not_opened(url: str, error: Exception) -> tuple[str, str]:
    """Message and hint."""
    number, text = getattr(error, "errno", None), str(error).lower()
    if number == errno.ENOENT or "no such file" in text or "filenotfound" in text:
        return f"there is no port {url!r}", "ptychoui devices lists the ports; is the cable plugged in?"
    if number == errno.EACCES or "permission" in text or "access is denied" in text:
        return (
            f"{url!r} may not be opened, or another program has it",
            "close the other program; on Linux the user must be in the group dialout",
        )
    if number in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in text or "busy" in text:
        return f"{url!r} is in use by another program", "close that program, such as a serial monitor"
    return f"{url!r} cannot be opened: {_reason(error)}", "ptychoui devices lists the ports"


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).strip()
