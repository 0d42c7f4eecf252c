"""From the URL that a user gives to an open device."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

from ptychoui.devices import adalight, illuminate_probe, illuminate_words, sketch, sketch_words, uc2, uc2_words
from ptychoui.devices.byte_log import ByteLog
from ptychoui.devices.device import Device, DeviceOptions
from ptychoui.devices.emulators.catalogue import emulator
from ptychoui.devices.transport import Guard, Transport
from ptychoui.errors import DeviceError, SettingsError
from ptychoui.words import joined

Prober = Callable[[Transport, DeviceOptions], Device | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A protocol: what may be sent, how to find out whether it is spoken, and the usual speed in bits per second."""

    guard: Guard
    probe: Prober
    baud: int = 115200
    named: Prober | None = None
    """For a device that the user names: one that may never answer."""


KINDS: dict[str, Kind] = {
    "illuminate": Kind(guard=illuminate_words.guard, probe=illuminate_probe.probe),
    "ptychoui": Kind(
        guard=sketch_words.guard,
        probe=lambda line, options: sketch.probe(line, options, 0.0),
        named=sketch.probe,
    ),
    "uc2": Kind(guard=uc2_words.guard, probe=uc2.probe),
    "adalight": Kind(
        guard=adalight.guard, probe=adalight.probe, named=lambda line, options: adalight.probe(line, options, True)
    ),
}
"""In the order in which they are tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A device URL in its parts: ``KIND:PORT?leds=N&baud=N``, kind and questions left out where not needed."""

    port: str
    kind: str = ""
    n_leds: int | None = None
    baud: int | None = None
    simulated: bool = False


def address(url: str) -> Address:
    """Take a device URL apart.

    Raises
    ------
    SettingsError
        If it asks for something that is not known.
    """
    rest, _, query = url.partition("?")
    asked: dict[str, int] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in ("leds", "baud") or not value.isdigit() or not int(value):
            raise SettingsError(f"{url!r}: {name}={value} is not known", "a URL may end in ?leds=256&baud=115200")
        asked[name] = int(value)
    head, colon, tail = rest.partition(":")
    simulated = head == "simulate" and bool(colon)
    kind = head if colon and head in KINDS else ""
    return Address(
        port=tail if kind or simulated else rest,
        kind=kind,
        n_leds=asked.get("leds"),
        baud=asked.get("baud"),
        simulated=simulated,
    )


def open_device(
    url: str,
    options: DeviceOptions | None = None,
    log: ByteLog | None = None,
    abort: threading.Event | None = None,
) -> Device:
    """Open the LED array behind a URL: ask what it is, make it dark, and set colour and brightness.

    Parameters
    ----------
    url
        A port, a pyserial URL, or ``simulate:`` and ``simulate:KIND`` for an emulated array; ``KIND:PORT`` says what
        is there, ``?leds=256`` how many LEDs it has where it cannot tell, ``?baud=921600`` another speed.
    log
        Where bytes sent and received are noted.
    abort
        Set from another thread or by a signal, it ends whatever runs with `StopRequested`.

    Raises
    ------
    DeviceError
        If nothing is there, it is in use, or does not answer.
    """
    where, options = address(url), options or DeviceOptions()
    if where.n_leds:
        options = replace(options, n_leds=where.n_leds)
    with contextlib.ExitStack() as held:
        port, kind = where.port, where.kind
        if where.simulated:
            served = emulator(where.port, options.n_leds)
            held.enter_context(served)
            port, kind = served.url, served.kind
        device = _open(port, kind, where.baud, options, log or ByteLog(), abort)
        if where.simulated:
            device.emulator = served
        device.close_with(held.pop_all())
        return device


def _open(
    port: str, kind: str, baud: int | None, options: DeviceOptions, log: ByteLog, abort: threading.Event | None
) -> Device:
    for known in [KINDS[kind]] if kind else list(KINDS.values()):
        transport = Transport(port, known.guard, baud or known.baud, log, abort)
        try:
            device = ((kind and known.named) or known.probe)(transport, options)
        except BaseException:
            transport.close()
            raise
        if device is not None:
            return device
        transport.close()
    raise DeviceError(
        f"what is at {port!r} does not answer as {joined([kind] if kind else list(KINDS))}",
        "is it the right port, and is the array powered? KIND:PORT names what is there",
    )
