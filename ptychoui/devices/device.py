"""What the program asks of every LED array, whatever it speaks.

All calls block, each with a deadline of its own; none starts a thread. Setting ``device.abort`` from another thread
ends whatever runs with `StopRequested`. A device is a context: leaving it, in whatever way, makes the array dark, or
says that this failed.
"""

from __future__ import annotations

import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ptychoui.devices.emulators.wire import Emulator
from ptychoui.devices.frames import COLOURS, FULL, USUAL_BRIGHTNESS, Frame, current_ma, drive_values
from ptychoui.devices.transport import Transport
from ptychoui.errors import DeviceError, PtychouiError, SettingsError, StopRequested, UnpluggedError
from ptychoui.words import counted, joined

DARK_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a device can do.

    Attributes
    ----------
    n_leds
        Number of LEDs; their numbers run from 0.
    colours
        Names of the colour channels; one for arrays of one colour.
    bits_static
        Bits of a level of a pattern that is shown alone.
    bits_sequence
        Bits of a level in a sequence that the device times itself.
    max_command_bytes
        Longest command that the device surely receives whole; 0 for no limit.
    hardware_sequence
        Whether the device times sequences itself; others are stepped by the computer.
    trigger_outputs, trigger_inputs
        Number of camera triggers.
    min_delay_ms, max_delay_ms
        Time per pattern of a sequence that the device times.
    heartbeat_s
        The device goes dark so many seconds after it last heard of the program; 0 where it never does.
    verifies
        How a pattern is checked: "read back", "echo", "acknowledged" or "not at all".
    if_killed
        A sentence on what stays lit when the program is killed or the cable pulled.
    """

    n_leds: int
    colours: tuple[str, ...] = ("white",)
    bits_static: int = 8
    bits_sequence: int = 8
    max_command_bytes: int = 0
    hardware_sequence: bool = False
    trigger_outputs: int = 0
    trigger_inputs: int = 0
    min_delay_ms: float = 0.0
    max_delay_ms: float = 3_600_000.0
    heartbeat_s: float = 0.0
    verifies: str = "read back"
    if_killed: str = "the last pattern stays lit until the array loses its supply"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceOptions:
    """How an array is used.

    Attributes
    ----------
    brightness
        Share of full drive that level 1 means.
    colour
        Which LEDs of an array with three colours shine.
    current_limit_ma
        Above this estimated current in mA a pattern needs to be confirmed; None: that of the kind of device.
    n_leds
        Number of LEDs of devices that do not tell it.
    retries
        How often a pattern that was not shown as sent is sent again.
    answer_s
        Time in s in which a plain command must be answered; long answers have five times that.

    Raises
    ------
    SettingsError
        If a value is outside its range.
    """

    brightness: float = USUAL_BRIGHTNESS
    colour: str = "green"
    current_limit_ma: float | None = None
    n_leds: int | None = None
    retries: int = 3
    answer_s: float = 1.0

    def __post_init__(self) -> None:
        if not 1 / FULL <= self.brightness <= 1:
            raise SettingsError(f"a brightness of {self.brightness:g}: it must be {1 / FULL:.3g} to 1")
        if self.colour not in COLOURS:
            raise SettingsError(f"there is no colour {self.colour!r}", f"colours are {joined(list(COLOURS))}")
        if self.current_limit_ma is not None and not self.current_limit_ma > 0:
            raise SettingsError(f"a current limit of {self.current_limit_ma:g} mA: it must be above 0")
        if self.n_leds is not None and not 1 <= self.n_leds <= 32768:
            raise SettingsError(f"an array of {self.n_leds} LEDs: it must have 1 to 32768")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What became of a sequence that was uploaded.

    Attributes
    ----------
    in_hardware
        Whether the device times it; else the computer steps it.
    values
        (row, n_leds) drive values that will be shown.
    notes
        Sentences for the user.
    """

    in_hardware: bool
    values: NDArray[np.uint8]
    notes: tuple[str, ...] = ()


class Device(ABC):
    """An open LED array. Made by `ptychoui.devices.opening.open_device`."""

    kind: str = ""
    """Short name of the protocol."""
    usual_limit_ma: float = 2000.0
    beat_every_s: float = 0.0
    """How often `hold` calls `beat`, in seconds; 0 for never."""

    def __init__(self, transport: Transport, options: DeviceOptions, name: str, capabilities: Capabilities) -> None:
        self.transport, self.options, self.name, self.capabilities = transport, options, name, capabilities
        self.shown: NDArray[np.uint8] = np.zeros(capabilities.n_leds, dtype=np.uint8)
        """(n_leds,) drive values that were last shown and verified."""
        self.loaded: Loaded | None = None
        self.emulator: Emulator | None = None
        """The emulated array behind ``simulate:``, which can be asked what shines."""
        self._closed = False
        self._next = 0
        self._after_close: list[contextlib.AbstractContextManager[object]] = []

    @property
    def abort(self) -> threading.Event:
        """Set it to end whatever runs."""
        return self.transport.abort

    @property
    def channels(self) -> int:
        """Number of colours that shine at once."""
        return sum(COLOURS[self.options.colour]) if len(self.capabilities.colours) > 1 else 1

    def values(self, frame: Frame) -> NDArray[np.uint8]:
        """(n_leds,) drive values that a frame means on this device.

        Raises
        ------
        SettingsError
            If it lights an LED that is not there.
        """
        return drive_values(frame, self.capabilities.n_leds, self.options.brightness)

    def check_current(self, values: NDArray[np.uint8], name: str, confirmed: bool) -> None:
        """Refuse drive values of any shape that draw more than the limit, unless that was confirmed.

        Raises
        ------
        DeviceError
            If it is above.
        """
        limit = self.options.current_limit_ma or self.usual_limit_ma
        draw = current_ma(values, self.channels)
        if draw > limit and not confirmed:
            raise DeviceError(
                f"{name} would draw about {draw / 1000:.2g} A ({np.count_nonzero(values)} LEDs), "
                f"above the limit of {limit / 1000:.2g} A",
                "lower --brightness, or confirm with --confirm-bright if supply and cooling allow it",
            )

    def show(self, frame: Frame, confirm_bright: bool = False) -> NDArray[np.uint8]:
        """Show one pattern and check that it is the one.

        Returns
        -------
        (n_leds,) drive values that are lit.

        Raises
        ------
        DeviceError
            If it cannot be shown, or what is lit is something else after all retries; the array is then made dark.
        """
        values = self.values(frame)
        self.check_current(values, frame.name, confirm_bright)
        self.transport.check_abort()
        self._show(values, frame.name)
        self.shown = values
        return values

    def clear(self) -> None:
        """Make the array dark.

        Raises
        ------
        DeviceError
            If that fails.
        """
        self._clear()
        self.shown = np.zeros_like(self.shown)

    def upload(self, frames: Sequence[Frame], confirm_bright: bool = False) -> Loaded:
        """Give the device a sequence, checked; what it cannot hold will be stepped by the computer.

        Raises
        ------
        DeviceError
            If the line breaks or an LED is not there.
        """
        if not frames:
            raise DeviceError("a sequence without patterns", "give at least one")
        rows = [self.values(frame) for frame in frames]
        for values, frame in zip(rows, frames, strict=True):
            self.check_current(values, frame.name, confirm_bright)
        self.loaded, self._next = None, 0
        self.loaded = self._upload(np.stack(rows))
        return self.loaded

    def run(self, delay_ms: float, count: int = 1, trigger_every: int = 1, wait_for_input: bool = False) -> None:
        """Play the uploaded sequence; dark at its end.

        Parameters
        ----------
        delay_ms
            Time of each pattern in ms.
        count
            How often the sequence is played.
        trigger_every
            Give a pulse to the camera at the start of every so many patterns; 0 for never.
        wait_for_input
            Wait for the camera's signal at each pattern.

        Raises
        ------
        DeviceError
            If it cannot be played so, or ends early.
        """
        loaded = self._sequence()
        if count < 1:
            raise SettingsError(f"a sequence cannot be played {count} times")
        if trigger_every and not self.capabilities.trigger_outputs:
            raise DeviceError(f"{self.name} has no output for a trigger", "leave the trigger out")
        if wait_for_input and not (self.capabilities.trigger_inputs and loaded.in_hardware):
            raise DeviceError(f"{self.name} cannot wait for a signal of the camera here", "leave it out")
        self.transport.check_abort()
        if not loaded.in_hardware:
            self._run_stepped(loaded, delay_ms, count, trigger_every)
        else:
            low, high = self.capabilities.min_delay_ms, self.capabilities.max_delay_ms
            if not low <= delay_ms <= high:
                raise DeviceError(
                    f"{self.name} can show each pattern for {low:g} to {high:g} ms, not {delay_ms:g} ms",
                    "choose another time per pattern",
                )
            self._run(delay_ms, count, trigger_every, wait_for_input)
        self.clear()

    def step(self, trigger: bool = False) -> int:
        """Show the next pattern of the uploaded sequence; its row, from 0, behind the last the first again."""
        loaded, row = self._sequence(), self._next
        self.transport.check_abort()
        self._show(loaded.values[row], f"pattern {row + 1}")
        self.shown = loaded.values[row]
        if trigger:
            self._trigger()
        self._next = (row + 1) % len(loaded.values)
        return row

    def trigger(self) -> None:
        """Give one pulse to the camera.

        Raises
        ------
        DeviceError
            If the device has no output for it.
        """
        if not self.capabilities.trigger_outputs:
            raise DeviceError(f"{self.name} has no output for a trigger", "leave the trigger out")
        self._trigger()

    def beat(self) -> None:
        """Tell the device that the program is alive, where it wants to know; `hold` does it by itself."""
        return

    def hold(self, seconds: float) -> None:
        """Keep what is shown for a time in seconds, with heartbeats where the device wants them.

        Raises
        ------
        StopRequested
            If a stop is asked for.
        """
        pause = self.beat_every_s or seconds
        while seconds > 0:
            self.transport.wait(min(pause, seconds))
            seconds -= pause
            if self.beat_every_s:
                self.beat()

    def close(self) -> None:
        """Make the array dark and close the line; closing twice does nothing.

        Raises
        ------
        DeviceError
            If the array could not be made dark: it says so, and the line is closed nevertheless.
        """
        if self._closed:
            return
        self._closed = True
        failed: PtychouiError | None = None
        try:
            failed = self._darkened()
        finally:
            self.transport.close()
            for context in self._after_close:
                context.__exit__(None, None, None)
        if failed is not None:
            raise type(failed)(f"{self.name} may still be lit: {failed.message}", self._when_lost())

    def go_dark(self) -> None:
        """End whatever the device does and make it dark, also where a stop is asked for; the line stays open.

        Raises
        ------
        DeviceError
            If the array could not be made dark.
        """
        if (failed := self._darkened()) is not None:
            raise type(failed)(f"{self.name} may still be lit: {failed.message}", self._when_lost())

    def _darkened(self) -> PtychouiError | None:
        """Try to make it dark, some times; why it failed, or None."""
        stopped = False
        failed: PtychouiError | None = None
        try:
            for _ in range(DARK_TRIES):
                stopped |= self.abort.is_set()
                self.abort.clear()
                try:
                    self._interrupt()
                    self.clear()
                    return None
                except UnpluggedError as error:
                    return error
                except (PtychouiError, StopRequested) as error:
                    failed = error if isinstance(error, PtychouiError) else DeviceError("stopped while it went dark")
            return failed
        finally:
            if stopped:
                self.abort.set()

    def use(self, options: DeviceOptions) -> None:
        """Take another brightness, colour or current limit; dark afterwards, and a sequence is to be uploaded again.

        Raises
        ------
        DeviceError
            If the array does not take them.
        """
        self.go_dark()
        self.options, self.loaded = replace(options, n_leds=self.options.n_leds), None
        self.prepare()

    def prepare(self) -> None:
        """Tell the device, which is dark, what of the options it keeps itself, such as the colour."""
        return

    def close_with(self, context: contextlib.AbstractContextManager[object]) -> None:
        """Leave another context behind the line, such as that of an emulator."""
        self._after_close.append(context)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            self.close()
        except PtychouiError as dark:
            if not isinstance(error, PtychouiError):
                raise
            raise type(error)(f"{error.message}; {dark.message}", dark.hint) from error

    def _when_lost(self) -> str:
        return f"switch off its supply: {self.capabilities.if_killed}"

    def _sequence(self) -> Loaded:
        if self.loaded is None:
            raise DeviceError("there is no sequence to play", "upload one first")
        return self.loaded

    def _run_stepped(self, loaded: Loaded, delay_ms: float, count: int, trigger_every: int) -> None:
        """Pattern after pattern by the computer's clock."""
        for _ in range(count):
            for row, values in enumerate(loaded.values):
                self.transport.check_abort()
                self._show(values, f"pattern {row + 1}")
                self.shown = values
                if trigger_every and row % trigger_every == 0:
                    self._trigger()
                self.hold(delay_ms / 1000)

    def _interrupt(self) -> None:
        """End whatever the device does, so that it listens."""
        return

    @abstractmethod
    def _show(self, values: NDArray[np.uint8], name: str) -> None: ...

    @abstractmethod
    def _clear(self) -> None: ...

    def _upload(self, rows: NDArray[np.uint8]) -> Loaded:
        note = f"{self.name} holds no sequence: the computer steps {counted(len(rows), 'pattern')}"
        return Loaded(in_hardware=False, values=rows, notes=(note,))

    def _run(self, delay_ms: float, count: int, trigger_every: int, wait_for_input: bool) -> None:
        raise NotImplementedError

    def _trigger(self) -> None:
        """A pulse to the camera."""
        return
