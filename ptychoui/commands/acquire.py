"""The command ``ptychoui acquire``: the camera's frame of every pattern, or of every LED."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptychoui.commands.devices import add_device, add_timing, device_options, patterns_of, stopping, timing_of
from ptychoui.commands.options import add_json, amount, check_output, print_json, say, whole
from ptychoui.errors import PtychouiError, SettingsError, StopRequested
from ptychoui.words import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ptychoui.devices.acquired_stack import Subject
    from ptychoui.devices.acquiring import Acquisition
    from ptychoui.devices.frames import Frame
    from ptychoui.settings import Geometry


def add_commands(commands: Any) -> None:
    """Add the command, with its words, to the parser of ``ptychoui``."""
    parser = commands.add_parser("acquire", help="a frame of the camera for every pattern of a design, as a stack")
    parser.add_argument("design", nargs="?", metavar="RUN|PATTERNS.json", help="a run folder, or patterns of export")
    parser.add_argument("--single-leds", metavar="G.toml", help="instead: every LED of this geometry, one by one")
    add_device(parser, required=True)
    add_camera(parser)
    parser.add_argument("-o", "--output", required=True, metavar="STACK.h5")
    parser.add_argument("--auto-exposure", action="store_true", help="exposures that fill 80 %% of the camera's well")
    parser.add_argument(
        "--longest-ms", type=amount, default=1000.0, help="longest of these exposures in ms (default: 1000)"
    )
    add_timing(parser)
    parser.add_argument("--bits", type=whole(1), help="round levels to so many bits, exposures make up for it")
    parser.add_argument("--gains", metavar="PROFILE.toml", help="measured brightness of the LEDs, as profile writes it")
    parser.add_argument("--raw-levels", action="store_true", help="do not divide by the measured brightness of LEDs")
    parser.add_argument("--confirm-bright", action="store_true", help="let patterns draw more than the current limit")
    add_json(parser)
    parser.set_defaults(run=_acquire)


def add_camera(parser: argparse.ArgumentParser) -> None:
    """Words that say which camera."""
    parser.add_argument(
        "--camera",
        required=True,
        metavar="URL",
        help="mm:CONFIG.cfg (of Micro-Manager; mm:demo), or simulate: (of the emulated bench behind an emulated array, "
        "what goes wrong on it behind a question mark)",
    )


def _acquire(arguments: argparse.Namespace) -> int:
    from ptychoui.devices.acquiring import Acquisition, Ways
    from ptychoui.devices.camera_opening import open_camera
    from ptychoui.devices.opening import open_device

    if (arguments.design is None) == (arguments.single_leds is None):
        raise SettingsError("give either patterns or --single-leds", "one of them says what is to be shown")
    if arguments.single_leds and (arguments.gains or arguments.bits):
        raise SettingsError("--gains and --bits belong to patterns", "leave them out with --single-leds")
    read = [name for name in (arguments.design, arguments.gains) if name and Path(name).is_file()]
    check_output(arguments.output, geometry=arguments.single_leds, others=read)
    subject, frames, exposures, geometry = _wanted(arguments)
    for note in subject.notes:
        say(f"note: {note}")
    options = device_options(arguments, geometry.microscope.wavelength_um)
    ways = Ways(
        timing=timing_of(arguments),
        automatic=arguments.auto_exposure,
        longest_ms=arguments.longest_ms,
        confirm_bright=arguments.confirm_bright,
    )
    work: Acquisition | None = None
    with stopping() as abort:
        try:
            with (
                open_device(arguments.device, options, abort=abort) as device,
                open_camera(arguments.camera, device, geometry) as camera,
            ):
                size = f"{camera.shape[0]} x {camera.shape[1]} pixels of {camera.bits} bits"
                say(f"{device.name}: {device.capabilities.n_leds} LEDs; {camera.name}: {size}")
                say(f"when the program is killed, {device.capabilities.if_killed}")
                work = Acquisition(device, camera, subject, frames, exposures, ways)
                for shot in work.run():
                    say(
                        f"{shot.name}: {int((shot.values > 0).sum())} LEDs, {shot.exposing.exposure_ms:.4g} ms, "
                        f"brightest pixel {int(shot.counts.max())} of {camera.full_well}"
                    )
                    for note in shot.notes:
                        say(f"note: {note}")
        except (StopRequested, PtychouiError) as problem:
            raise _ended(problem, work, arguments.output) from None
    assert work is not None
    return _kept(arguments, work)


def _wanted(arguments: argparse.Namespace) -> tuple[Subject, list[Frame], NDArray[np.float64], Geometry]:
    """What is to be shown, in frames with their exposures in ms, and the geometry."""
    import numpy as np

    from ptychoui.data.formats.geometry_file import load_whole_geometry
    from ptychoui.devices.acquired_stack import of_patterns, of_single_leds
    from ptychoui.devices.playing import measured_gain, plan, profile_gain

    if arguments.single_leds:
        geometry = load_whole_geometry(arguments.single_leds)
        subject, frames = of_single_leds(geometry)
        return subject, frames, np.full(len(frames), arguments.frame_ms), geometry
    patterns = patterns_of(arguments.design)
    gain = profile_gain(arguments.gains, patterns) if arguments.gains else measured_gain(patterns)
    wanted = plan(patterns, arguments.bits, arguments.frame_ms, not arguments.raw_levels, gain)
    return of_patterns(patterns, gain, wanted.notes), list(wanted.frames), wanted.exposures_ms, patterns.geometry


def _ended(problem: StopRequested | PtychouiError, work: Acquisition | None, output: str) -> PtychouiError:
    """One sentence on what ended an acquisition early; what was taken is kept beside the file that was wanted."""
    from ptychoui.data.formats.native import save_hdf5

    kept = "no frame was taken"
    if work is not None and work.taken:
        target = Path(output)
        path = save_hdf5(target.with_name(f"{target.stem}.partial{target.suffix}"), work.stack())
        kept = f"{counted(len(work.taken), 'frame')} of {len(work.frames)} are in {path.name}"
    if isinstance(problem, StopRequested):
        return PtychouiError(f"stopped, the array is dark; {kept}, {Path(output).name} was not written", "start again")
    return type(problem)(f"{problem.message}; {kept}", problem.hint)


def _kept(arguments: argparse.Namespace, work: Acquisition) -> int:
    from ptychoui.data.formats.native import save_hdf5

    path = save_hdf5(arguments.output, work.stack())
    saturated = [shot.name for shot in work.taken if shot.saturated]
    if arguments.json:
        images = [
            {
                "name": shot.name,
                "lit": int((shot.values > 0).sum()),
                "exposure_ms": shot.exposing.exposure_ms,
                "dimming": shot.exposing.dimming,
                "largest_count": int(shot.counts.max()),
                "saturated": shot.saturated,
            }
            for shot in work.taken
        ]
        notes = [*work.subject.notes, *(note for shot in work.taken for note in shot.notes)]
        dark = {"counts": work.dark.counts, "counts_per_ms": work.dark.per_ms}
        print_json({"file": str(path), "device": work.device.name, "images": images, "dark": dark, "notes": notes})
        return 0
    print(f"{path}: {counted(len(work.taken), 'frame')}, the array is dark")
    if saturated:
        print(f"{counted(len(saturated), 'frame')} with saturated pixels: {', '.join(saturated[:6])}")
    return 0
