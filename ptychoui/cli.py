"""The commands. No logic of its own: every command parses its words, calls one function and prints the result.

Exit code 0, or 2 with one line that says what is wrong and what to do.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ptychoui import __version__
from ptychoui.errors import PtychouiError, SettingsError, is_out_of_memory

if TYPE_CHECKING:
    from ptychoui.data.dataset import ImageStack
    from ptychoui.data.results import StoredReconstruction
    from ptychoui.design.patterns import PatternSet
    from ptychoui.experiment import Experiment, Reconstruct
    from ptychoui.optics.multiplexed import CodedReconstruction
    from ptychoui.optics.reconstruct_file import Window, WindowReconstruction
    from ptychoui.training.control import RunControl
    from ptychoui.training.trainer import Trainer

CODED_PASSES = 200
COMMANDS = (
    "gui",
    "info",
    "presets",
    "simulate",
    "objects",
    "reconstruct",
    "calibrate",
    "profile",
    "train",
    "evaluate",
    "export",
    "bench",
    "doctor",
)


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; the entry point ``ptychoui``."""
    words = list(sys.argv[1:] if words is None else words)
    if not words or (words[0] not in COMMANDS and words[0] not in ("-h", "--help", "--version")):
        words = ["gui", *words]
    try:
        arguments = _parser().parse_args(words)
        run: Callable[[argparse.Namespace], int] = arguments.run
        return run(arguments)
    except PtychouiError as error:
        hint = f" - {error.hint}" if error.hint else ""
        print(f"ptychoui: {error.message}{hint}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ptychoui: stopped", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of a pipe went away (head, less): nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        print("ptychoui: not enough memory - use --strategy reversible, a smaller batch or tile", file=sys.stderr)
        return 2


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line with a hint, as all others."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(message, f"see {self.prog} --help")


def _whole(lowest: int) -> Callable[[str], int]:
    """A type of whole numbers from ``lowest`` on."""

    def number(text: str) -> int:
        value = int(text)
        if value < lowest:
            raise argparse.ArgumentTypeError(f"{value} is below {lowest}")
        return value

    number.__name__ = "whole number"
    return number


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ptychoui",
        description="Learn coded LED-array illumination for Fourier ptychographic microscopy. "
        "Without a command the window opens.",
    )
    parser.add_argument("--version", action="version", version=f"ptychoui {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    gui = commands.add_parser("gui", help="open the window (without a screen: run the demo headless)")
    gui.add_argument("file", nargs="?", help="a stack, a training set, an experiment or a run folder")
    gui.add_argument("--demo", action="store_true", help="start learning on the sample data at once")
    gui.add_argument("--reset-layout", action="store_true", help="forget where the docks were")
    gui.set_defaults(run=_gui)

    info = commands.add_parser("info", help="say what a file holds and what follows from its geometry")
    info.add_argument("file")
    info.add_argument(
        "--geometry",
        metavar="G.toml",
        help="TOML file with [microscope] and [array], whole or in part; wins over the file",
    )
    info.add_argument(
        "--leds", action="store_true", help="also every LED: place, illumination NA, bright or dark field"
    )
    info.add_argument("--json", action="store_true", help="print one JSON object")
    info.set_defaults(run=_info)

    presets = commands.add_parser("presets", help="list microscopes and LED arrays, or make a geometry file of two")
    presets.add_argument("--microscope", metavar="KEY", help="what one of them says of itself; or half of a geometry")
    presets.add_argument("--array", metavar="KEY", help="the same of an LED array")
    presets.add_argument("-o", "--output", metavar="G.toml", help="write --microscope and --array as a geometry file")
    presets.add_argument("--json", action="store_true", help="print one JSON object")
    presets.set_defaults(run=_presets)

    simulate = commands.add_parser("simulate", help="make the sample data again, from a seed")
    simulate.add_argument("-o", "--output", default="sample_data", metavar="FOLDER")
    simulate.add_argument("--seed", type=_whole(0), default=0)
    simulate.add_argument("--json", action="store_true", help="print one JSON object")
    simulate.set_defaults(run=_simulate)

    objects = commands.add_parser("objects", help="make one training set of images, stacks, sets and simulation")
    objects.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="a folder of images or one image, a training set, a reconstruction, an LED stack (is reconstructed), or: "
        "simulation",
    )
    objects.add_argument("-o", "--output", required=True, metavar="OBJECTS.h5")
    objects.add_argument(
        "--pixel-um", type=float, help="pixel of the objects at the sample in um (default: a source's)"
    )
    objects.add_argument("--size", type=_whole(8), help="edge of the objects in pixels (default: 160, or what fits)")
    objects.add_argument("--per-source", type=_whole(1), default=2, help="objects cut from each image")
    objects.add_argument(
        "--regions", type=_whole(1), default=1, help="sources that a stack becomes: bands of its field, kept apart"
    )
    objects.add_argument("--seed", type=_whole(0), default=0)
    objects.add_argument("--geometry", metavar="G.toml", help="of stacks that carry none, and of the set that is made")
    objects.add_argument("--json", action="store_true", help="print one JSON object")
    objects.set_defaults(run=_objects)

    _add_reconstruct(commands)
    _add_calibrate(commands)
    _add_profile(commands)
    train = commands.add_parser("train", help="learn patterns without a window")
    train.add_argument("experiment", nargs="?", metavar="EXPERIMENT.toml")
    train.add_argument("-o", "--output", metavar="RUN", help="run folder (default: runs/NAME)")
    _add_data(train)
    train.add_argument("--steps", type=_whole(0), help="number of optimiser steps")
    train.add_argument("--strategy", help="auto, store_all, checkpoint, offload, binomial, reversible, inverse, greedy")
    train.add_argument("--device", help="auto, cpu, cuda or cuda:N")
    train.add_argument("--seed", type=_whole(0))
    train.add_argument("--threads", type=_whole(1), help="CPU threads")
    train.add_argument("--resume", action="store_true", help="go on with the run in RUN")
    train.add_argument("--report", action="store_true", help="write figures and report.html into the run folder")
    train.add_argument("--json", action="store_true", help="print one JSON object at the end")
    train.set_defaults(run=_train)

    evaluate = commands.add_parser("evaluate", help="score a run's patterns")
    evaluate.add_argument("run_folder", metavar="RUN")
    evaluate.add_argument("--data", metavar="FILE", help="another stack or training set")
    evaluate.add_argument("--geometry", metavar="G.toml", help="geometry of --data, if it is not the run's")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")
    evaluate.set_defaults(run=_evaluate)

    export = commands.add_parser("export", help="write a run's patterns for hardware or other programs")
    export.add_argument("run_folder", metavar="RUN")
    export.add_argument("--to", required=True, metavar="FORMAT", help="json, csv, png, npz, c_header, illuminate, ...")
    export.add_argument("-o", "--output", required=True, metavar="PATH")
    export.add_argument("--bits", type=_whole(1), help="bits of a drive level (1 is on or off)")
    export.add_argument("--json", action="store_true", help="print one JSON object")
    export.set_defaults(run=_export)

    bench = commands.add_parser("bench", help="measure the engine, the designs or the window")
    kinds = bench.add_subparsers(title="benchmarks", metavar="WHAT", required=True)
    engine = kinds.add_parser("engine", help="time, memory and gradient error of every strategy")
    engine.add_argument("--unrolls", type=_whole(1), nargs="+", default=[10, 100])
    engine.add_argument("--leds", type=_whole(1), default=89)
    engine.add_argument("--measurements", type=_whole(1), default=8)
    engine.add_argument("--size", type=_whole(1), default=64, help="edge of the object in pixels")
    engine.add_argument("--device", default="auto")
    engine.add_argument("--threads", type=_whole(1), help="CPU threads")
    engine.add_argument("--repeats", type=_whole(1), default=5)
    engine.add_argument("--resident", action="store_true", help="also the peak resident memory of fresh processes")
    engine.add_argument(
        "--published", type=_whole(0), default=3, help="unrolls of the published algorithm that are measured (0: none)"
    )
    engine.add_argument("--step", type=float, default=0.2, help="step size of every unroll")
    engine.add_argument("--only", nargs="+", default=[], metavar="ROW", help="names of the rows to measure")
    engine.add_argument("--plot", metavar="FILE.png", help="memory, time and gradient error against unrolls")
    engine.add_argument("--json", action="store_true", help="print one JSON object")
    engine.set_defaults(run=_bench_engine)
    design = kinds.add_parser("design", help="a learned design against every baseline, over seeds")
    design.add_argument("experiment", metavar="EXPERIMENT.toml")
    _add_data(design)
    design.add_argument("--seeds", type=_whole(1), default=5)
    design.add_argument("--draws", type=_whole(1), default=20, help="random designs are the best of so many draws")
    design.add_argument(
        "--unrolls", type=_whole(1), nargs="+", default=[15, 30, 60, 120], help="depths of the tuning grid"
    )
    design.add_argument("--tuning-objects", type=_whole(1), default=6, help="training objects that tune each design")
    design.add_argument("--threads", type=_whole(1), help="CPU threads")
    design.add_argument("--steps", type=_whole(0), help="number of optimiser steps")
    design.add_argument("-o", "--output", metavar="FILE.json", help="write the result after every seed")
    design.add_argument("--json", action="store_true", help="print one JSON object")
    design.set_defaults(run=_bench_design)

    greedy = kinds.add_parser("greedy", help="greedy learning against checkpoints: time, memory and loss curves")
    greedy.add_argument("--unrolls", type=_whole(1), default=10)
    greedy.add_argument("--size", type=_whole(1), default=64, help="edge of the objects in pixels")
    greedy.add_argument("--channels", type=_whole(1), default=48, help="channels of the CNNs")
    greedy.add_argument("--leds", type=_whole(1), default=89)
    greedy.add_argument("--measurements", type=_whole(1), default=8)
    greedy.add_argument("--batch", type=_whole(1), default=2, help="objects of a step of the CNNs")
    greedy.add_argument("--repeats", type=_whole(1), default=20)
    greedy.add_argument("--steps", type=_whole(0), default=100, help="training steps of the CNNs' curves (0: none)")
    greedy.add_argument("--design", metavar="EXPERIMENT.toml", help="also the curves of a design that is learned")
    greedy.add_argument("--design-steps", type=_whole(0), default=40, help="training steps of the design's curves")
    greedy.add_argument(
        "--threads", type=_whole(1), nargs="+", default=[1, 2], help="CPU threads; curves take the first"
    )
    greedy.add_argument("--clock", default="wall", help="of the curves: wall, or cpu on a busy machine")
    greedy.add_argument("--plot", metavar="FILE.png", help="the curves against steps and seconds")
    greedy.add_argument("--json", action="store_true", help="print one JSON object")
    greedy.set_defaults(run=_bench_greedy)

    depth = kinds.add_parser("depth", help="designs learned with shallow and deep networks in the same time")
    depth.add_argument("experiment", metavar="EXPERIMENT.toml")
    _add_data(depth)
    depth.add_argument("--unrolls", type=_whole(1), nargs="+", default=[10, 60, 100, 300])
    depth.add_argument("--seconds", type=float, default=90.0, help="time to learn at each depth")
    depth.add_argument("--clock", default="wall", help="wall, or cpu: that of the processor, on a busy machine")
    depth.add_argument("--seeds", type=_whole(1), default=2)
    depth.add_argument("--tuning-objects", type=_whole(1), default=4, help="training objects that tune each depth")
    depth.add_argument("--threads", type=_whole(1), help="CPU threads")
    depth.add_argument("-o", "--output", metavar="FILE.json", help="write the result after every seed")
    depth.add_argument("--json", action="store_true", help="print one JSON object")
    depth.set_defaults(run=_bench_depth, steps=None)
    memory = kinds.add_parser("memory", help="predicted peak memory of random configurations beside the measured one")
    memory.add_argument("--configurations", type=_whole(1), default=12)
    memory.add_argument("--seed", type=_whole(0), default=0)
    memory.add_argument("--least-mb", type=_whole(1), default=500, help="smallest peak to draw; the largest is 4x")
    memory.add_argument("--threads", type=_whole(1), help="CPU threads")
    memory.add_argument("--json", action="store_true", help="print one JSON object")
    memory.set_defaults(run=_bench_memory)
    leds = kinds.add_parser("leds", help="memory and time of a reversible pass on more and more LEDs, at one budget")
    leds.add_argument("--leds", type=_whole(1), nargs="+", default=[89, 293, 581])
    leds.add_argument("--size", type=_whole(1), default=256, help="edge of the object in pixels")
    leds.add_argument("--budget-mb", type=float, help="default: what the first needs when streamed, and 5 %%")
    leds.add_argument("--unrolls", type=_whole(1), default=3)
    leds.add_argument("--measurements", type=_whole(1), default=8)
    leds.add_argument("--batch", type=_whole(1), default=1, help="objects")
    leds.add_argument("--threads", type=_whole(1), help="CPU threads")
    leds.add_argument("--json", action="store_true", help="print one JSON object")
    leds.set_defaults(run=_bench_leds)
    peers = kinds.add_parser("peers", help="the same small problems through other libraries")
    peers.add_argument("--unrolls", type=_whole(1), nargs="+", default=[10, 30, 100], help="numbers of blocks")
    peers.add_argument("--size", type=_whole(1), default=64, help="edge of the images in pixels")
    peers.add_argument("--repeats", type=_whole(1), default=5)
    peers.add_argument("--gain", type=float, default=4.0, help="of the last convolutions' weights, over torch's")
    peers.add_argument("--threads", type=_whole(1), help="CPU threads")
    peers.add_argument("--json", action="store_true", help="print one JSON object")
    peers.set_defaults(run=_bench_peers)

    stack = kinds.add_parser("stack", help="one stack through ptychoui, plain EPRY and other libraries")
    stack.add_argument("--data", metavar="FILE", help="an LED stack (default: the simulated one of the sample data)")
    stack.add_argument("--geometry", metavar="G.toml", help="microscope and array of the data")
    stack.add_argument("--size", type=_whole(8), metavar="N", help="edge of the images' middle that is taken, pixels")
    stack.add_argument("--passes", type=_whole(1), default=10, help="over all images")
    stack.add_argument("--repeats", type=_whole(1), default=3)
    stack.add_argument("--only", nargs="+", default=[], metavar="ROW", help="starts of the rows' names")
    stack.add_argument("--threads", type=_whole(1), help="CPU threads")
    stack.add_argument("--json", action="store_true", help="print one JSON object")
    stack.set_defaults(run=_bench_stack)

    field = kinds.add_parser("field", help="a large simulated field in tiles: time per megapixel, steps at borders")
    field.add_argument("--rows", type=_whole(64), default=1080, help="of the images, in camera pixels")
    field.add_argument("--columns", type=_whole(64), default=1440)
    field.add_argument("--passes", type=_whole(1), default=12)
    field.add_argument("--tile", type=_whole(8), metavar="N", help="edge of the tiles in camera pixels")
    field.add_argument("--overlap", type=_whole(1), metavar="N")
    field.add_argument("--threads", type=_whole(1), help="CPU threads")
    field.add_argument("--json", action="store_true", help="print one JSON object")
    field.set_defaults(run=_bench_field)
    window = kinds.add_parser("window", help="delay of the window's events while the demo trains")
    window.add_argument("--seconds", type=float, default=30.0)
    window.add_argument("--json", action="store_true", help="print one JSON object")
    window.set_defaults(run=_bench_window)

    calibration = kinds.add_parser("calibration", help="how near calibrations come to simulated truths")
    calibration.add_argument("--arrays", nargs="+", metavar="KIND", help="lattice, spiral, rings, dome")
    calibration.add_argument("--starts", type=_whole(1), default=20, help="stacks and starts for each array")
    calibration.add_argument("--seed", type=_whole(0), default=0)
    calibration.add_argument("--threads", type=_whole(1), help="CPU threads")
    calibration.add_argument("--json", action="store_true", help="print one JSON object")
    calibration.set_defaults(run=_bench_calibration)

    doctor = commands.add_parser("doctor", help="say what this machine has and whether ptychoui works on it")
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    doctor.set_defaults(run=_doctor)
    return parser


def _add_calibrate(commands: Any) -> None:
    parser = commands.add_parser("calibrate", help="correct the pose of the LED array and the pupil by a stack")
    parser.add_argument("file", metavar="STACK")
    parser.add_argument("-o", "--output", required=True, metavar="G.toml", help="the corrected geometry")
    parser.add_argument("--geometry", metavar="G0.toml", help="where to start, for stacks that carry none")
    parser.add_argument(
        "--crop", type=_whole(0), nargs=3, metavar=("ROW", "COLUMN", "SIZE"), help="a square of camera pixels"
    )
    parser.add_argument("--orientation", action="store_true", help="test the eight layouts of the array's axes first")
    parser.add_argument("--tilt", action="store_true", help="let the array tilt")
    parser.add_argument("--starts", type=_whole(2), metavar="N", help="error bar from N random starts")
    parser.add_argument("--seed", type=_whole(0), default=0, help="of the random starts")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument("--threads", type=_whole(1), help="CPU threads")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_calibrate)


def _add_profile(commands: Any) -> None:
    parser = commands.add_parser(
        "profile", help="measure a microscope: dark frames, a blank field and a known sample, in one dated file"
    )
    parser.add_argument("sample", metavar="STACK", help="a stack of a sample with structure")
    parser.add_argument("-o", "--output", required=True, metavar="PROFILE.toml", help="used as any geometry file")
    parser.add_argument("--geometry", metavar="G0.toml", help="where to start, for stacks that carry none")
    parser.add_argument("--dark", metavar="FILES", help="a dark frame, a folder of them, or the dark level in counts")
    parser.add_argument("--blank", metavar="STACK", help="a stack of the same LEDs without a sample")
    parser.add_argument(
        "--sign", choices=("+", "-"), help="the sample is known to raise (+) or lower (-) the phase: finds the twin"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument("--threads", type=_whole(1), help="CPU threads")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_profile)


def _add_reconstruct(commands: Any) -> None:
    parser = commands.add_parser("reconstruct", help="make an object, a pupil and the LEDs' brightness of a stack")
    parser.add_argument("file", metavar="STACK")
    parser.add_argument("-o", "--output", required=True, metavar="RESULT.h5")
    parser.add_argument("--geometry", metavar="G.toml", help="of stacks that carry none, or to correct theirs")
    parser.add_argument("--passes", type=_whole(1), help="passes over all images (default: 20)")
    parser.add_argument("--pupil", choices=("fixed", "zernike", "free"), help="what is fitted of it (default: zernike)")
    parser.add_argument("--no-gain", action="store_true", help="do not fit the brightness of every LED")
    parser.add_argument("--no-background", action="store_true", help="do not fit the stray light of every image")
    parser.add_argument("--upsampling", type=_whole(1), help="object pixels per camera pixel (default: as needed)")
    parser.add_argument(
        "--pad", type=_whole(0), metavar="N", help="free border in camera pixels (default: as far as the blur reaches)"
    )
    parser.add_argument(
        "--crop", type=_whole(0), nargs=3, metavar=("ROW", "COLUMN", "SIZE"), help="a square of camera pixels"
    )
    parser.add_argument(
        "--patterns", metavar="P.json", help="the images are of coded illumination: patterns as export writes them"
    )
    parser.add_argument("--full-field", action="store_true", help="all of the images, in overlapping tiles")
    parser.add_argument("--tile", type=_whole(8), metavar="N", help="edge of the tiles in camera pixels")
    parser.add_argument("--overlap", type=_whole(1), metavar="N", help="camera pixels that neighbours share")
    parser.add_argument("--resume", action="store_true", help="go on with the tiles that an earlier run finished")
    parser.add_argument(
        "--without", type=int, nargs="+", default=[], metavar="LED", help="numbers of LEDs to leave out"
    )
    parser.add_argument("--calibrate", action="store_true", help="correct the array's pose by the images first")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument("--threads", type=_whole(1), help="CPU threads")
    parser.add_argument("--figures", metavar="FOLDER", help="write PNGs of object, pupil and LEDs")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=_reconstruct)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="FILE", help="stack or training set instead of the experiment's")
    parser.add_argument("--geometry", metavar="G.toml", help="geometry instead of the experiment's")


def _say(text: str) -> None:
    """Progress and notes go to stderr: stdout belongs to the result."""
    print(text, file=sys.stderr, flush=True)


def _print_json(values: Any) -> None:
    from ptychoui.data.files import json_text

    print(json_text(values))


def has_screen() -> bool:
    """Whether a window can be shown; an explicit QT_QPA_PLATFORM counts as one."""
    if os.environ.get("QT_QPA_PLATFORM") or sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _gui(arguments: argparse.Namespace) -> int:
    if has_screen():
        from ptychoui.gui.app import main as open_window

        return open_window(arguments.file, demo=arguments.demo, reset_layout=arguments.reset_layout)
    if arguments.file is not None:
        raise PtychouiError("there is no screen to open a window on", "use ptychoui info, train, evaluate or export")
    from ptychoui.paths import resources

    _say("There is no screen, so the demo runs without a window.")
    arguments = _parser().parse_args(
        [
            "train",
            str(resources() / "experiments" / "first_light.toml"),
            "-o",
            str(_fresh("runs/first-light")),
            "--report",
        ]
    )
    return _train(arguments)


def _fresh(name: str) -> Path:
    """A folder name that is not taken yet: NAME, NAME-2, NAME-3, ..."""
    path, count = Path(name), 1
    while path.exists():
        count += 1
        path = Path(f"{name}-{count}")
    return path


def _info(arguments: argparse.Namespace) -> int:
    from ptychoui.optics.info import as_text, describe

    values = describe(arguments.file, arguments.geometry, arguments.leds)
    if arguments.json:
        _print_json(values)
    else:
        print(as_text(values))
    return 0


def _presets(arguments: argparse.Namespace) -> int:
    from ptychoui.optics.presets import (
        array_preset,
        array_presets,
        microscope_preset,
        microscope_presets,
        write_geometry,
    )

    if arguments.output:
        if not (arguments.microscope and arguments.array):
            raise SettingsError("a geometry has a microscope and an LED array", "give --microscope and --array")
        path = write_geometry(arguments.output, arguments.microscope, arguments.array)
        if arguments.json:
            _print_json({"file": str(path)})
        else:
            print(path)
        return 0
    chosen = [microscope_preset(arguments.microscope)] if arguments.microscope else []
    arrays = [array_preset(arguments.array)] if arguments.array else []
    one = bool(chosen or arrays)
    lists: dict[str, list[Any]] = {
        "microscopes": chosen if one else list(microscope_presets()),
        "arrays": arrays if one else list(array_presets()),
    }
    if arguments.json:
        _print_json({kind: [preset.model_dump(mode="json") for preset in found] for kind, found in lists.items()})
        return 0
    for kind, found in lists.items():
        if found and not one:
            print(f"{kind}:")
        for preset in found:
            print(f"{preset.name}\n\n{preset.about()}" if one else f"  {preset.key:<20}{preset.name}")
    return 0


def _simulate(arguments: argparse.Namespace) -> int:
    from ptychoui.data.files import sha256_file
    from ptychoui.optics.samples import write_samples

    files = {str(path): sha256_file(path) for path in write_samples(arguments.output, arguments.seed)}
    if arguments.json:
        _print_json({"seed": arguments.seed, "files": files})
    else:
        for path, digest in files.items():
            print(f"{digest}  {path}")
    return 0


def _objects(arguments: argparse.Namespace) -> int:
    from ptychoui.data.files import check_target
    from ptychoui.data.formats.native import save_hdf5
    from ptychoui.experiment import load_geometry
    from ptychoui.optics.object_sources import collect_objects

    check_target(arguments.output)
    found = collect_objects(
        arguments.sources,
        arguments.pixel_um,
        arguments.size,
        arguments.per_source,
        arguments.seed,
        load_geometry(arguments.geometry) if arguments.geometry else None,
        arguments.regions,
    )
    path = save_hdf5(arguments.output, found)
    count, size, _ = found.objects.shape
    for note in found.provenance.notes:
        _say(f"note: {note}")
    if arguments.json:
        values = {"file": str(path), "objects": count, "size_px": size, "pixel_size_um": found.pixel_size_um}
        _print_json(values | {"sources": list(found.source_names), "sha256": found.provenance.sha256})
    else:
        sources = len(found.source_names)
        print(f"{path}: {count} objects of {size} pixels of {found.pixel_size_um:g} um from {sources} sources")
    return 0


def _reconstruct(arguments: argparse.Namespace) -> int:
    import time

    from ptychoui.data.files import check_target
    from ptychoui.data.results import save_reconstruction
    from ptychoui.experiment import Reconstruct
    from ptychoui.optics.reconstruct_file import open_stack

    check_target(arguments.output)
    _use_threads(arguments)
    wanted = {"passes": arguments.passes, "pupil": arguments.pupil, "upsampling": arguments.upsampling}
    wanted |= {"pad_px": arguments.pad, "gain": not arguments.no_gain, "background": not arguments.no_background}
    settings = Reconstruct(**{name: value for name, value in wanted.items() if value is not None})
    start = time.perf_counter()
    patterns = None
    if arguments.patterns:
        from ptychoui.export.json_file import load_patterns

        patterns = load_patterns(arguments.patterns)
        stack = _open_coded(arguments, patterns)
    else:
        stack = open_stack(arguments.file, arguments.geometry)
    reading = time.perf_counter() - start
    device = _device(arguments.device)
    for note in stack.provenance.notes:
        _say(f"note: {note}")
    if patterns is not None:
        result, clear = _coded(arguments, stack, patterns, settings, device), _nothing
    elif arguments.full_field:
        result, clear = _full_field(arguments, stack, settings, device)
    else:
        result, clear = _one_window(arguments, stack, settings, device), _nothing
    path = save_reconstruction(arguments.output, result)
    clear()
    return _keep_reconstruction(arguments, result, reading, path)


def _nothing() -> None:
    """There is nothing to be cleared away."""


def _crop(arguments: argparse.Namespace) -> Window | None:
    from ptychoui.optics.reconstruct_file import Window

    if not arguments.crop:
        return None
    row, column, size = arguments.crop
    return Window(row=row, column=column, size_px=size)


def _window(arguments: argparse.Namespace) -> Window | None:
    if arguments.tile or arguments.overlap or arguments.resume:
        raise SettingsError("--tile, --overlap and --resume belong to --full-field", "add --full-field")
    return _crop(arguments)


def _one_window(
    arguments: argparse.Namespace, stack: ImageStack, settings: Reconstruct, device: str
) -> StoredReconstruction:
    from ptychoui.optics.reconstruct_file import WindowReconstruction

    window = _window(arguments)
    work = WindowReconstruction(stack, settings, window, arguments.without, arguments.calibrate, device)
    return work.stored(_passes(work, settings.passes))


def _open_coded(arguments: argparse.Namespace, patterns: PatternSet) -> ImageStack:
    from ptychoui.experiment import load_geometry
    from ptychoui.optics.multiplexed import open_coded_images

    if arguments.full_field or arguments.without or arguments.calibrate:
        raise SettingsError(
            "--full-field, --without and --calibrate need one image per LED", "leave them out with --patterns"
        )
    geometry = load_geometry(arguments.geometry) if arguments.geometry else patterns.geometry
    return open_coded_images(arguments.file, geometry, len(patterns.levels))


def _coded(
    arguments: argparse.Namespace, stack: ImageStack, patterns: PatternSet, settings: Reconstruct, device: str
) -> StoredReconstruction:
    from ptychoui.optics.multiplexed import CodedReconstruction

    # A pass takes little: there are few images, and no other unknowns than the object.
    settings = settings.replace(
        passes=arguments.passes or CODED_PASSES, pupil="fixed", gain=False, background=False, sequential_passes=0
    )
    work = CodedReconstruction(
        stack, patterns.levels, patterns.exposures, patterns.led_numbers, settings, _window(arguments), device
    )
    return work.stored(_passes(work, settings.passes))


def _passes(work: WindowReconstruction | CodedReconstruction, passes: int) -> bool:
    """Do the passes with a progress bar; True if somebody stopped them before the last."""
    from tqdm import tqdm

    for note in work.notes:
        _say(f"note: {note}")
    done = None
    with _stop_flag() as stop, tqdm(total=passes, unit="pass", file=sys.stderr) as bar:
        for done in work.run():
            bar.update(1)
            bar.set_postfix_str(f"residual {done.residual:.4f}", refresh=False)
            if stop():
                break
    if done is None:
        raise PtychouiError("stopped before the first pass was done", "nothing was written: start it again")
    return stop() and done.number < passes


def _full_field(
    arguments: argparse.Namespace, stack: ImageStack, settings: Reconstruct, device: str
) -> tuple[StoredReconstruction, Callable[[], None]]:
    """A result, and what is to be done once it is kept."""
    from tqdm import tqdm

    from ptychoui.optics.reconstruct_file import with_calibration
    from ptychoui.optics.tiles import FieldReconstruction, plan_tiles

    if arguments.crop:
        raise SettingsError("--crop and --full-field exclude each other", "leave one of them out")
    if arguments.calibrate:
        notes: list[str] = []
        stack = with_calibration(stack, notes, device=device)
        for note in notes:
            _say(f"note: {note}")
    assert stack.geometry is not None
    shape = (stack.images.shape[1], stack.images.shape[2])
    plan = plan_tiles(stack.geometry, shape, settings, arguments.tile, arguments.overlap, arguments.without)
    output = Path(arguments.output)
    work = FieldReconstruction(
        stack, settings, plan, output.with_name(f"{output.name}.tiles"), arguments.resume, arguments.without, device
    )
    tiles = len(plan.windows)
    _say(
        f"{tiles} tiles of {plan.tile_px} pixels that share {plan.overlap_px}; finished ones are kept in {work.folder}"
    )
    finished = 0
    with _stop_flag() as stop, tqdm(total=tiles, unit="tile", file=sys.stderr) as bar:
        for progress in work.run():
            bar.set_postfix_str(f"pass {progress.number}, residual {progress.residual:.4f}", refresh=False)
            bar.update(progress.done)
            finished += progress.done
            if stop() and finished < tiles:
                break
    if finished < tiles:
        raise PtychouiError(f"stopped; {finished} of {tiles} tiles are kept", "go on with --resume")
    return work.result(), work.clear


def _calibrate(arguments: argparse.Namespace) -> int:
    from ptychoui.data.files import check_target, write_atomic
    from ptychoui.experiment import to_toml
    from ptychoui.optics.calibrate import Step
    from ptychoui.optics.calibrate_file import StackCalibration
    from ptychoui.optics.pose import changes, difference
    from ptychoui.optics.reconstruct_file import open_stack

    check_target(arguments.output)
    _use_threads(arguments)
    stack = open_stack(arguments.file, arguments.geometry)
    work = StackCalibration(stack, _crop(arguments), _device(arguments.device))
    values: dict[str, Any] = {"file": arguments.file, "steps": []}
    if arguments.orientation:
        found = work.orient(lambda done, of: _say(f"layout {done} of {of}"))
        _say(found.sentence)
        values["orientation"] = {
            "layouts": [str(variant) for variant in found.variants],
            "residuals": list(found.residuals),
            "pair_margin": found.pair_margin,
            "twin_margin": found.twin_margin,
            "taken": found.sure,
        }
    for step in work.run(tilt=arguments.tilt):
        if isinstance(step, Step):
            _say(step.sentence)
            values["steps"].append(step.values())
        else:
            result = step.reconstruction
            geometry = work.for_use(step.geometry)
    values["geometry"] = str(write_atomic(arguments.output, to_toml(geometry)))
    values |= {"fitted_residual": result.fitted_residual, "amplitude_residual": result.amplitude_residual}
    values["zernike_waves"] = result.zernike_waves
    if arguments.starts:
        for spread in work.spread(arguments.starts, arguments.seed, arguments.tilt):
            _say(spread.sentence)
        values["spread"] = {"starts": len(spread.ends), "deviation": spread.deviation.tolist()}
        values["spread"] |= {"ends": spread.ends.tolist(), "fitted_residuals": spread.residuals.tolist()}
    if arguments.json:
        _print_json(values)
    else:
        print(
            f"{values['geometry']}: residual {result.fitted_residual:.4f} with brightness and stray light of every LED"
        )
        print(f"from the geometry given: {changes(difference(work.geometry.array, geometry.array))}")
    return 0


def _profile(arguments: argparse.Namespace) -> int:
    from ptychoui.data.files import check_target, write_atomic
    from ptychoui.optics.calibrate import Step
    from ptychoui.optics.profile import make_profile
    from ptychoui.optics.profile_files import open_for_profile, read_dark_level, said_of_images

    check_target(arguments.output)
    _use_threads(arguments)
    sources: dict[str, str] = {}
    dark = read_dark_level(arguments.dark, sources) if arguments.dark else None
    said = said_of_images(arguments.geometry, dark)
    sample = open_for_profile(arguments.sample, arguments.geometry, said)
    sources["sample"] = sample.provenance.sha256
    blank = None
    if arguments.blank:
        blank = open_for_profile(arguments.blank, arguments.geometry, said, sample.geometry)
        sources["blank"] = blank.provenance.sha256
    sign = {"+": 1, "-": -1, None: 0}[arguments.sign]
    for found in make_profile(sample, blank, said, sign, sources, _device(arguments.device)):
        if isinstance(found, Step):
            _say(found.sentence)
        else:
            path = write_atomic(arguments.output, found.toml())
            notes = found.notes
    if arguments.json:
        _print_json({"profile": str(path), "dark_level": said.dark_level, "sources": sources, "notes": list(notes)})
    else:
        print("\n".join([*notes, f"{path}: use it as --geometry"]))
    return 0


def _keep_reconstruction(
    arguments: argparse.Namespace, result: StoredReconstruction, reading_s: float, path: Path
) -> int:
    """Figures of a result that was saved, and what is said of it."""
    from ptychoui.data.results import describe_reconstruction

    values = describe_reconstruction(path) | {"file": str(path), "reading_s": reading_s}
    if arguments.figures:
        from ptychoui.export.reconstruction_figures import write_figures

        values["figures"] = [str(figure) for figure in write_figures(arguments.figures, result)]
    if arguments.json:
        _print_json(values)
        return 0
    from ptychoui.optics.info import as_text

    print(as_text(values | {"notes": []}))
    print(f"{values['seconds']:.2f} s for the passes, {reading_s:.2f} s for reading")
    if values["interrupted"]:
        print(f"stopped after {result.passes} of {result.settings.passes} passes; what there is was kept")
    for figure in values.get("figures", []):
        print(figure)
    return 0


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise SettingsError(f"unknown device {name!r}", "use auto, cpu, cuda or cuda:N")
    if name != "cpu" and int(name.partition(":")[2] or 0) >= torch.cuda.device_count():
        raise SettingsError(f"there is no device {name!r} on this machine", "use --device cpu")
    return name


@contextlib.contextmanager
def _stop_flag() -> Iterator[Callable[[], bool]]:
    """Whether somebody pressed Ctrl-C or ended the process; the second time it ends at once."""
    import signal
    import threading

    asked = threading.Event()
    handlers: dict[int, Any] = {}

    def stop(_number: int, _frame: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for which, handler in handlers.items():
            signal.signal(which, handler)


def _with_options(experiment: Experiment, arguments: argparse.Namespace) -> Experiment:
    training, engine = experiment.training, experiment.engine
    if arguments.steps is not None:
        training = training.replace(steps=arguments.steps)
    if getattr(arguments, "strategy", None):
        engine = engine.replace(strategy=arguments.strategy)
    if getattr(arguments, "device", None):
        engine = engine.replace(device=arguments.device)
    changes: dict[str, Any] = {"training": training, "engine": engine}
    if arguments.data:
        sample = arguments.data.startswith("sample:")
        changes["data"] = experiment.data.replace(
            path=arguments.data if sample else str(Path(arguments.data).resolve()), images=None
        )
    if arguments.geometry:
        from ptychoui.data.formats.geometry_file import with_geometry

        experiment = with_geometry(experiment.replace(**changes), arguments.geometry)
        changes.clear()
    if getattr(arguments, "seed", None) is not None:
        changes["seed"] = arguments.seed
    return experiment.replace(**changes)


def _train(arguments: argparse.Namespace) -> int:
    from ptychoui.experiment import load_experiment
    from ptychoui.training.control import RunControl

    _use_threads(arguments)
    control = RunControl()
    experiment = load_experiment(arguments.experiment) if arguments.experiment else None
    if arguments.resume:
        from ptychoui.training.run_folder import RunFolder
        from ptychoui.training.trainer import resume_run

        if arguments.output is None and experiment is None:
            raise PtychouiError("which run?", "for example: ptychoui train --resume -o runs/first-light")
        folder = arguments.output or f"runs/{_folder_name(experiment)}"
        stored = RunFolder.open(folder, lock=False).experiment()
        if experiment is not None and experiment.replace(geometry=stored.geometry) != stored:
            _say(f"note: {folder} goes on with the settings it was started with, not those of {arguments.experiment}")
        trainer = resume_run(folder, control, changes=lambda e: _with_options(e, arguments))
    else:
        if experiment is None:
            raise PtychouiError(
                "which experiment?", "for example: ptychoui train resources/experiments/first_light.toml"
            )
        from ptychoui.training.trainer import new_run

        folder = arguments.output or _fresh(f"runs/{_folder_name(experiment)}")
        trainer = new_run(_with_options(experiment, arguments), folder, control)
    try:
        values = _follow(trainer, control)
    finally:
        if trainer.folder is not None:
            trainer.folder.close()
    if arguments.report and trainer.folder is not None:
        from ptychoui.export.report import write_report

        # A run that was stopped still gets its report.
        trainer.control = RunControl()
        report = write_report(trainer)
        values["report"] = str(report)
        _say(f"report: {report}")
    if arguments.json:
        _print_json(values)
    else:
        scores = ""
        if "start_error" in values:
            scores = f": held-out complex error {values['start_error']:.3f} -> {values['complex_error']:.3f}"
        if "held_out_loss" in values:
            scores += f", loss {values['held_out_loss_at_start']:.4f} -> {values['held_out_loss']:.4f}"
        print(f"{values['state']} after {values['steps']} steps{scores}, run folder {values['run_folder']}")
    return 0


def _folder_name(experiment: Experiment | None) -> str:
    """The experiment's name as the name of a folder."""
    name = experiment.name if experiment is not None else "run"
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:80] or "run"


def _follow(trainer: Trainer, control: RunControl) -> dict[str, Any]:
    """Run to the end with a progress bar; Ctrl-C stops at the next layer and keeps everything."""
    import signal
    import threading

    handlers = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            handlers[number] = signal.signal(number, lambda _number, _frame: control.stop())
    try:
        return _show_events(trainer)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _show_events(trainer: Trainer) -> dict[str, Any]:
    """Show a run's events as a progress bar; return what ``--json`` prints."""
    from tqdm import tqdm

    from ptychoui.training.events import (
        Finished,
        ProductsChecked,
        Saved,
        Started,
        StepDone,
        Stopped,
        StrategyChanged,
        Validated,
    )

    values: dict[str, Any] = {"state": "failed", "run_folder": str(trainer.folder.path) if trainer.folder else None}
    previous = [event for event in (trainer.folder.events() if trainer.folder else []) if event["kind"] == "validated"]
    if previous:
        values |= {"start_error": previous[0]["complex_error"], "complex_error": previous[-1]["complex_error"]}
        values |= {"held_out_loss_at_start": previous[0]["loss"], "held_out_loss": previous[-1]["loss"]}
    steps = trainer.problem.experiment.training.steps
    with tqdm(total=steps, initial=trainer.step, unit="step", file=sys.stderr) as bar:
        for event in trainer.run():
            if isinstance(event, Started):
                bar.write(event.feasibility, file=sys.stderr)
                for warning in event.warnings:
                    bar.write(f"warning: {warning}", file=sys.stderr)
                for note in event.notes:
                    bar.write(f"note: {note}", file=sys.stderr)
                memory = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in event.predicted_bytes.items())
                bar.write(f"{event.strategy} on {event.device}; predicted memory of a step: {memory}", file=sys.stderr)
                values |= {"predicted_bytes": dict(event.predicted_bytes), "strategy": event.strategy}
            elif isinstance(event, StrategyChanged):
                bar.write(f"warning: {event.reason}", file=sys.stderr)
                values["strategy"] = event.strategy
            elif isinstance(event, StepDone):
                bar.update(1)
                values |= {"memory_bytes": event.memory_bytes, "certificate": event.certificate, "loss": event.loss}
                bar.set_postfix_str(f"loss {event.loss:.4f}, {event.memory_bytes / 1e6:.0f} MB", refresh=False)
            elif isinstance(event, ProductsChecked):
                values["products_deviation"] = event.deviation
            elif isinstance(event, Validated):
                values.setdefault("start_error", event.complex_error)
                values |= {
                    "complex_error": event.complex_error,
                    "amplitude_error": event.amplitude_error,
                    "phase_error_rad": event.phase_error_rad,
                    "held_out_loss": event.loss,
                }
                values.setdefault("held_out_loss_at_start", event.loss)
            elif isinstance(event, Saved | Finished | Stopped):
                values["state"] = type(event).__name__.lower() if not isinstance(event, Saved) else values["state"]
            values["steps"] = event.step
    return values


def _evaluate(arguments: argparse.Namespace) -> int:
    from ptychoui.training.evaluation import evaluate_run

    values = evaluate_run(arguments.run_folder, arguments.data, arguments.geometry)
    if arguments.json:
        _print_json(values)
    else:
        print(
            f"{values['objects']} held-out objects against {values['reference']}: complex error "
            f"{values['complex_error']:.3f}, amplitude error {values['amplitude_error']:.3f}, phase error "
            f"{values['phase_error_rad']:.3f} rad"
        )
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from ptychoui.export.formats import FORMATS, export_patterns
    from ptychoui.export.quantise import quantise
    from ptychoui.training.evaluation import load_run, rescore

    trainer = load_run(arguments.run_folder)
    patterns = trainer.patterns()
    exported = export_patterns(patterns, arguments.to, arguments.output, bits=arguments.bits)
    values: dict[str, Any] = {"paths": [str(p) for p in exported.paths], "notes": list(exported.notes)}
    bits = arguments.bits or FORMATS[arguments.to].bits
    if bits:
        coded = quantise(patterns.levels, bits)
        raw = rescore(trainer, patterns.levels, patterns.exposures)["complex_error"]
        shown = rescore(trainer, coded.levels, patterns.exposures * coded.exposure_scale)["complex_error"]
        values |= {"bits": bits, "complex_error_raw": raw, "complex_error_quantised": shown}
        text = f"with {bits}-bit levels the held-out complex error goes from {raw:.3f} to {shown:.3f}"
        values["notes"].append(text)
    if arguments.json:
        _print_json(values)
        return 0
    for note in values["notes"]:
        _say(f"note: {note}")
    for path in values["paths"]:
        print(path)
    return 0


def _use_threads(arguments: argparse.Namespace) -> None:
    if arguments.threads:
        import torch

        torch.set_num_threads(arguments.threads)


def _bench_engine(arguments: argparse.Namespace) -> int:
    from ptychoui.bench import engine

    _use_threads(arguments)
    result = engine.run(
        arguments.unrolls,
        arguments.leds,
        arguments.measurements,
        arguments.size,
        arguments.device,
        arguments.repeats,
        arguments.resident,
        arguments.published,
        arguments.step,
        arguments.only,
        _say,
    )
    if arguments.plot:
        from ptychoui.bench.engine_plot import plot

        plot(result, Path(arguments.plot))
    if arguments.json:
        _print_json(result)
    else:
        print(engine.table(result))
    return 0


def _bench_design(arguments: argparse.Namespace) -> int:
    from ptychoui.bench import design
    from ptychoui.experiment import load_experiment

    experiment = _with_options(load_experiment(arguments.experiment), arguments)
    output = Path(arguments.output) if arguments.output else None
    _use_threads(arguments)
    effort = design.Effort(
        unrolls=tuple(arguments.unrolls), tuning_objects=arguments.tuning_objects, draws=arguments.draws
    )
    summary = design.run(experiment, range(arguments.seeds), _say, effort, output)
    if arguments.json:
        _print_json(summary)
    else:
        print(design.table(summary))
    return 0


def _bench_greedy(arguments: argparse.Namespace) -> int:
    from ptychoui.bench import greedy
    from ptychoui.experiment import load_experiment

    result = greedy.run(
        arguments.unrolls,
        arguments.size,
        arguments.channels,
        arguments.batch,
        arguments.repeats,
        arguments.steps,
        load_experiment(arguments.design) if arguments.design else None,
        arguments.design_steps,
        arguments.threads,
        arguments.leds,
        arguments.measurements,
        _say,
        arguments.clock,
    )
    if arguments.plot:
        from ptychoui.bench.greedy_plot import plot

        plot(result, Path(arguments.plot))
    if arguments.json:
        _print_json(result)
    else:
        print(greedy.table(result))
    return 0


def _bench_depth(arguments: argparse.Namespace) -> int:
    from ptychoui.bench import depth
    from ptychoui.experiment import load_experiment

    experiment = _with_options(load_experiment(arguments.experiment), arguments)
    output = Path(arguments.output) if arguments.output else None
    _use_threads(arguments)
    result = depth.run(
        experiment,
        arguments.unrolls,
        arguments.seconds,
        range(arguments.seeds),
        arguments.tuning_objects,
        _say,
        output,
        arguments.clock,
    )
    if arguments.json:
        _print_json(result)
    else:
        print(depth.table(result))
    return 0


def _bench_memory(arguments: argparse.Namespace) -> int:
    from ptychoui.bench import memory

    _use_threads(arguments)
    result = memory.run(arguments.configurations, arguments.seed, arguments.least_mb, progress=_say)
    if arguments.json:
        _print_json(result)
    else:
        print(memory.table(result))
    return 0


def _bench_leds(arguments: argparse.Namespace) -> int:
    from ptychoui.bench import memory

    _use_threads(arguments)
    result = memory.run_leds(
        arguments.leds,
        arguments.size,
        arguments.budget_mb,
        arguments.unrolls,
        arguments.measurements,
        arguments.batch,
        _say,
    )
    if arguments.json:
        _print_json(result)
    else:
        print(memory.leds_table(result))
    return 0


def _bench_peers(arguments: argparse.Namespace) -> int:
    from ptychoui.bench import peers

    _use_threads(arguments)
    result = peers.run(arguments.unrolls, arguments.size, arguments.repeats, arguments.gain, _say)
    if arguments.json:
        _print_json(result)
    else:
        print(peers.table(result))
    return 0


def _bench_stack(arguments: argparse.Namespace) -> int:
    from ptychoui.bench import stack_peers

    _use_threads(arguments)
    only = tuple(name.lower() for name in arguments.only)
    result = stack_peers.run(
        arguments.passes, arguments.data, arguments.geometry, arguments.size, arguments.repeats, only, _say
    )
    if arguments.json:
        _print_json(result)
    else:
        print(stack_peers.table(result))
    return 0


def _bench_field(arguments: argparse.Namespace) -> int:
    from ptychoui.bench import field

    _use_threads(arguments)
    result = field.run(arguments.rows, arguments.columns, arguments.passes, arguments.tile, arguments.overlap, _say)
    if arguments.json:
        _print_json(result)
    else:
        print(field.table(result))
    return 0


def _bench_calibration(arguments: argparse.Namespace) -> int:
    from ptychoui.bench import calibration

    _use_threads(arguments)
    kinds = arguments.arrays or tuple(calibration.ARRAYS)
    result = calibration.run(kinds, arguments.starts, arguments.seed, progress=_say)
    if arguments.json:
        _print_json(result)
    else:
        print(calibration.table(result))
    return 0


def _bench_window(arguments: argparse.Namespace) -> int:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from ptychoui.gui.measure import run

    values = run(arguments.seconds)
    if arguments.json:
        _print_json(values)
    else:
        for name, value in values.items():
            print(f"{name:<24}{value}")
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from ptychoui.bench.doctor import as_text, examine

    values = examine(has_screen())
    if arguments.json:
        _print_json(values)
    else:
        print(as_text(values))
    return 0 if values["ok"] else 2


if __name__ == "__main__":
    sys.exit(main())
