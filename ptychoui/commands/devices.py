"""The commands on LED arrays: devices, show."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptychoui.commands.options import add_json, amount, amount_or_none, print_json, say, whole
from ptychoui.errors import DeviceError, PtychouiError, SettingsError, StopRequested

if TYPE_CHECKING:
    from ptychoui.design.patterns import PatternSet
    from ptychoui.devices.device import Device, DeviceOptions
    from ptychoui.devices.playing import Plan
    from ptychoui.devices.timeline import Timing

A_LONG_TIME_S = 1e9


def add_commands(commands: Any) -> None:
    """Add the commands of this module, each with its words, to the parser of ``ptychoui``."""
    parser = commands.add_parser("devices", help="list serial ports, and name the LED arrays that answer")
    parser.add_argument("--device", metavar="URL", help="ask this one alone, such as simulate: (see ptychoui show)")
    parser.add_argument("--all", action="store_true", help="ask ports of unknown chips, too: close other instruments")
    add_json(parser)
    parser.set_defaults(run=_devices)
    parser = commands.add_parser("show", help="show a design on an LED array, verified, and dark at the end")
    parser.add_argument("design", metavar="RUN|PATTERNS.json", help="a run folder, or patterns that export wrote")
    add_device(parser, required=True)
    parser.add_argument("--pattern", type=whole(1), metavar="N", help="this pattern alone, from 1, until Ctrl-C")
    parser.add_argument("--sequence", action="store_true", help="all patterns once, timed by the array where it can")
    parser.add_argument("--seconds", type=amount, help="how long each pattern is shown (default: 1; one: until Ctrl-C)")
    parser.add_argument("--delay-ms", type=amount, help="time per pattern of a sequence (default: that of exposures)")
    add_timing(parser)
    parser.add_argument("--trigger", action="store_true", help="a pulse to the camera at the start of each pattern")
    parser.add_argument("--bits", type=whole(1), help="round levels to so many bits, exposures make up for it")
    parser.add_argument(
        "--planes", action="store_true", help="levels as sums of on-off patterns, for sequences that know on or off"
    )
    parser.add_argument("--raw-levels", action="store_true", help="do not divide by the measured brightness of LEDs")
    parser.add_argument("--confirm-bright", action="store_true", help="let patterns draw more than the current limit")
    add_json(parser)
    parser.set_defaults(run=_show)


def add_device(parser: argparse.ArgumentParser, required: bool) -> None:
    """Words that say which array, and how bright."""
    parser.add_argument(
        "--device",
        required=required,
        metavar="URL",
        help="port such as /dev/ttyACM0 or COM3, socket://HOST:PORT, simulate: (an emulated array), KIND:PORT, "
        "with ?leds=256&baud=115200 where the array does not tell",
    )
    parser.add_argument(
        "--brightness", type=amount, default=0.1, metavar="SHARE", help="share of full drive, up to 1 (default: 0.1)"
    )
    parser.add_argument("--colour", default=None, help="red, green, blue or white (default: as the wavelength)")
    parser.add_argument(
        "--current-limit", type=amount, metavar="A", help="current above which --confirm-bright is asked"
    )


def add_timing(parser: argparse.ArgumentParser) -> None:
    """Words for the times of LEDs and camera."""
    parser.add_argument("--frame-ms", type=amount, default=100.0, help="time of one frame in ms (default: 100)")
    parser.add_argument("--settle-ms", type=amount_or_none, default=5.0, help="until LEDs shine steadily (default: 5)")
    parser.add_argument("--pwm-ms", type=amount_or_none, default=0.0, help="period of the pulse width (default: 0)")
    parser.add_argument("--readout-ms", type=amount_or_none, default=0.0, help="of a rolling shutter (default: 0)")


def timing_of(arguments: argparse.Namespace) -> Timing:
    """Times of LEDs and camera in ms."""
    from ptychoui.devices.timeline import Timing

    return Timing(pwm_period_ms=arguments.pwm_ms, settle_ms=arguments.settle_ms, readout_ms=arguments.readout_ms)


def _devices(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from ptychoui.devices.finding import Port, ask_ports, ports

    found = ports()
    if arguments.device:
        found = [Port(url=arguments.device, description="named", usual=True)]
    answers = ask_ports(found, arguments.all)
    if arguments.device and not answers[0].kind:
        raise DeviceError(answers[0].problem, "is it the right port, and is the array powered?")
    if arguments.json:
        print_json([asdict(answer) for answer in answers])
        return 0
    for answer in answers:
        print(answer.line())
    if not answers:
        print("no serial ports; --device simulate: tries an emulated array")
    return 0


def device_options(arguments: argparse.Namespace, wavelength_um: float | None) -> DeviceOptions:
    """How the array is used: brightness, the colour nearest to the wavelength in um, the current limit in mA."""
    from ptychoui.devices.device import DeviceOptions

    colour = arguments.colour
    if colour is None:
        red, blue = 0.585, 0.495
        colour = "green" if wavelength_um is None or blue <= wavelength_um <= red else "blue"
        if wavelength_um is not None and wavelength_um > red:
            colour = "red"
    limit = None if arguments.current_limit is None else arguments.current_limit * 1000
    return DeviceOptions(brightness=arguments.brightness, colour=colour, current_limit_ma=limit)


@contextlib.contextmanager
def stopping() -> Iterator[threading.Event]:
    """An event that Ctrl-C, the end of the session and of the process set; the second time it ends at once."""
    asked = threading.Event()

    def stop(_number: int, _frame: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        os.write(2, b"\nstopping: the array goes dark\n")

    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    here = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, stop) for number in numbers} if here else {}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def patterns_of(design: str) -> PatternSet:
    """Patterns of a run, or of a file that export wrote."""
    if Path(design).is_file():
        from ptychoui.export.json_file import load_patterns

        return load_patterns(design)
    from ptychoui.design.patterns import PatternSet
    from ptychoui.training.evaluation import load_run

    result = load_run(design).result()
    if not isinstance(result, PatternSet):
        raise SettingsError(f"{design} has learned no LED patterns", "give a run of a microscope")
    return result


def _show(arguments: argparse.Namespace) -> int:
    from ptychoui.devices.opening import open_device
    from ptychoui.devices.playing import plan

    patterns = patterns_of(arguments.design)
    if arguments.pattern and arguments.pattern > len(patterns.levels):
        raise SettingsError(f"there is no pattern {arguments.pattern}", f"the design has {len(patterns.levels)}")
    if arguments.pattern and arguments.sequence:
        raise SettingsError("--pattern and --sequence exclude each other", "leave one out")
    wanted = plan(patterns, arguments.bits, arguments.frame_ms, not arguments.raw_levels)
    options = device_options(arguments, patterns.geometry.microscope.wavelength_um)
    with stopping() as abort:
        try:
            with open_device(arguments.device, options, abort=abort) as device:
                say(f"{device.name}: {device.capabilities.n_leds} LEDs")
                say(f"when the program is killed, {device.capabilities.if_killed}")
                play = _sequence if arguments.sequence else _one_by_one
                shown = play(arguments, device, wanted)
        except StopRequested:
            raise PtychouiError("stopped before the end; the array is dark", "start it again") from None
    values = {"device": device.name, "shown": shown, "notes": [*wanted.notes], "dark": True}
    if arguments.json:
        print_json(values)
        return 0
    for note in wanted.notes:
        say(f"note: {note}")
    print(f"{len(shown)} of {len(wanted.frames)} patterns shown, the array is dark")
    return 0


def _one_by_one(arguments: argparse.Namespace, device: Device, wanted: Plan) -> list[dict[str, Any]]:
    """Pattern after pattern, each verified before the next; a single one stays until Ctrl-C."""
    rows = [arguments.pattern - 1] if arguments.pattern else range(len(wanted.frames))
    seconds = arguments.seconds or (A_LONG_TIME_S if arguments.pattern else 1.0)
    shown = []
    for row in rows:
        frame = wanted.frames[row]
        values = device.show(frame, arguments.confirm_bright)
        shown.append({"pattern": row + 1, "name": frame.name, "lit": int((values > 0).sum())})
        say(f"pattern {row + 1}, {frame.name}: {shown[-1]['lit']} LEDs ({device.capabilities.verifies})")
        if arguments.trigger:
            device.trigger()
        try:
            device.hold(seconds)
        except StopRequested:
            if not arguments.pattern:
                raise
    return shown


def _sequence(arguments: argparse.Namespace, device: Device, wanted: Plan) -> list[dict[str, Any]]:
    """All patterns once, timed by the array where it can."""
    import numpy as np

    from ptychoui.devices.playing import bit_planes
    from ptychoui.devices.timeline import timeline

    frames, every = wanted.frames, 1
    if arguments.planes:
        bits = arguments.bits or 3
        if arguments.bits is None:
            raise SettingsError("--planes needs to know how many", f"give --bits {bits}")
        frames, every = bit_planes(frames, bits), 2**bits - 1
    loaded = device.upload(frames, arguments.confirm_bright)
    for note in loaded.notes:
        say(f"note: {note}")
    timing = timing_of(arguments)
    # The planes of a pattern are one exposure of the camera.
    exposures = np.repeat(np.asarray(wanted.exposures_ms) / every, every)
    delay, times = arguments.delay_ms, exposures
    if delay is None:
        found = timeline(exposures, timing, device.capabilities if loaded.in_hardware else None)
        delay, times = found.step_ms, found.exposure_ms
        for note in found.notes:
            say(f"note: {note}")
    say(f"playing {len(frames)} patterns of {delay:g} ms, timed by the {'array' if loaded.in_hardware else 'computer'}")
    device.run(delay, trigger_every=every if arguments.trigger else 0)
    return [
        {"pattern": row + 1, "name": frame.name, "lit": int((values > 0).sum()), "exposure_ms": float(times[row])}
        for row, (frame, values) in enumerate(zip(frames, loaded.values, strict=True))
    ]
