"""Which array with the illuminate firmware is at the other end: the version decides on the dialect."""

from __future__ import annotations

import json
import re
from typing import Any

from ptychoui.devices.device import DeviceOptions
from ptychoui.devices.illuminate import LONG, Illuminate, ask
from ptychoui.devices.illuminate1 import Illuminate1
from ptychoui.devices.illuminate2 import Illuminate2
from ptychoui.devices.transport import Transport
from ptychoui.errors import DeviceError, NoAnswerError, UnpluggedError


def probe(transport: Transport, options: DeviceOptions) -> Illuminate | None:
    """The array at the other end, ready and dark; None if what is there does not speak this firmware's language.

    Raises
    ------
    DeviceError
        If it speaks it, but does not say what it is.
    """
    transport.drain()
    if not _speaks(transport, options.answer_s):
        return None
    facts = _facts(transport, LONG * options.answer_s)
    version = re.search(r"\d+(\.\d+)?", str(facts.get("interface_version", "")))
    number = float(version.group()) if version else 1.0
    device: Illuminate = (Illuminate2 if number >= 2 else Illuminate1).from_facts(transport, options, facts)
    device.prepare()
    return device


def _facts(transport: Transport, within_s: float) -> dict[str, Any]:
    """What the array says of itself: ``pprops``, or ``pp`` of older firmware."""
    problem = ""
    for _ in range(3):
        for command in ("pprops", "pp"):
            try:
                text = ask(transport, command, within_s)
                facts = json.loads(text[text.index("{") : text.rindex("}") + 1])
            except UnpluggedError:
                raise
            except (DeviceError, ValueError) as error:
                problem = str(error)
                transport.drain()
                continue
            if isinstance(facts, dict) and isinstance(facts.get("led_count"), int) and facts["led_count"] > 0:
                return facts
            problem = "it does not say how many LEDs it has"
    raise DeviceError(f"the array speaks like illuminate, but not of itself: {problem}", "is its firmware complete?")


def _speaks(transport: Transport, patience_s: float) -> bool:
    """Whether it answers as this firmware does; what is cut by a line left over is asked again."""
    for _ in range(2):
        try:
            ask(transport, "machine", patience_s)
            return True
        except UnpluggedError:
            raise
        except NoAnswerError:
            continue
        except DeviceError:
            return True  # it ends an error as this firmware does
    return False
