"""The command bench: benchmarks of the program itself."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from ptychoui.commands.bench_devices import add_devices
from ptychoui.commands.bench_mri import add_mri
from ptychoui.commands.bench_poster import add_poster
from ptychoui.commands.options import (
    add_data,
    add_json,
    add_threads,
    amount,
    print_json,
    say,
    show,
    use_threads,
    whole,
    with_options,
)


def add_commands(commands: Any) -> None:
    """Add the commands of this module, each with its words, to the parser of ``ptychoui``."""
    parser = commands.add_parser("bench", help="measure the engine, the designs or the window")
    kinds = parser.add_subparsers(title="benchmarks", metavar="WHAT", required=True)
    _add_engine(kinds)
    _add_design(kinds)
    _add_levels(kinds)
    _add_greedy(kinds)
    _add_depth(kinds)
    _add_memory(kinds)
    _add_leds(kinds)
    _add_peers(kinds)
    _add_stack(kinds)
    _add_field(kinds)
    _add_window(kinds)
    _add_first_minute(kinds)
    _add_calibration(kinds)
    add_poster(kinds)
    add_mri(kinds)
    add_devices(kinds)


def _check_plot(arguments: argparse.Namespace) -> None:
    """Refuse a figure that could not be written before the hours whose result it is to show."""
    from ptychoui.data.files import check_target

    if arguments.plot:
        check_target(arguments.plot)


def _add_engine(kinds: Any) -> None:
    parser = kinds.add_parser("engine", help="time, memory and gradient error of every strategy")
    parser.add_argument("--unrolls", type=whole(1), nargs="+", default=[10, 100])
    parser.add_argument("--leds", type=whole(1), default=89)
    parser.add_argument("--measurements", type=whole(1), default=8)
    parser.add_argument("--size", type=whole(1), default=64, help="edge of the object in pixels")
    parser.add_argument("--device", default="auto")
    add_threads(parser)
    parser.add_argument("--repeats", type=whole(1), default=5)
    parser.add_argument("--resident", action="store_true", help="also the peak resident memory of fresh processes")
    parser.add_argument(
        "--published", type=whole(0), default=3, help="unrolls of the published algorithm that are measured (0: none)"
    )
    parser.add_argument("--step", type=amount, default=0.2, help="step size of every unroll")
    parser.add_argument("--only", nargs="+", default=[], metavar="ROW", help="names of the rows to measure")
    parser.add_argument("--plot", metavar="FILE.png", help="memory, time and gradient error against unrolls")
    add_json(parser)
    parser.set_defaults(run=_engine)


def _engine(arguments: argparse.Namespace) -> int:
    from ptychoui.bench.engine import strategies

    _check_plot(arguments)
    use_threads(arguments)
    result = strategies.run(
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
        say,
    )
    if arguments.plot:
        from ptychoui.bench.engine.plot import plot

        plot(result, Path(arguments.plot))
    return show(arguments, result, strategies.table)


def _add_design(kinds: Any) -> None:
    parser = kinds.add_parser("design", help="what is learned beside every known design, for several numbers of frames")
    parser.add_argument("experiment", nargs="?", metavar="EXPERIMENT.toml", help="or data with --data alone")
    add_data(parser)
    parser.add_argument("--frames", type=whole(1), nargs="+", default=[], help="default: those of the experiment")
    parser.add_argument("--seeds", type=whole(1), default=5)
    parser.add_argument(
        "--patterns", nargs="+", default=[], metavar="FILE.json|RUN", help="exported patterns, or runs, that take part"
    )
    parser.add_argument("--no-learn", action="store_true", help="compare what there is, and learn no patterns")
    parser.add_argument(
        "--known",
        nargs="*",
        metavar="NAME",
        help="hand-made designs that take part (default: all)",
    )
    parser.add_argument("--no-ceilings", action="store_true", help="leave out all LEDs one by one")
    parser.add_argument("--draws", type=whole(1), default=20, help="random designs are the best of so many draws")
    parser.add_argument("--objects", type=whole(1), default=8, help="held-out objects that are judged, at most")
    add_threads(parser)
    parser.add_argument("--steps", type=whole(0), help="number of optimiser steps")
    parser.add_argument("-o", "--output", metavar="FILE.json", help="write the result after every seed")
    parser.add_argument("--plot", metavar="FILE.png", help="error and resolution against frames")
    add_json(parser)
    parser.set_defaults(run=_design)


def _design(arguments: argparse.Namespace) -> int:
    from ptychoui.bench.design import comparison, summary
    from ptychoui.bench.design.entrants import Effort, Entrants
    from ptychoui.bench.design.given import patterns_in
    from ptychoui.commands.training import experiment_for_data
    from ptychoui.errors import PtychouiError
    from ptychoui.settings import for_microscopes, load_experiment
    from ptychoui.tasks.fpm.titles import TITLES

    _check_plot(arguments)
    use_threads(arguments)
    entrants = Entrants(
        learn=not arguments.no_learn,
        known=tuple(TITLES) if arguments.known is None else tuple(arguments.known),
        given=tuple(patterns_in(path) for path in arguments.patterns),
        ceilings=not arguments.no_ceilings,
    )
    if arguments.experiment is not None:
        experiment = for_microscopes(with_options(load_experiment(arguments.experiment), arguments))
    elif arguments.data is not None:
        experiment = experiment_for_data(arguments)
    else:
        raise PtychouiError("which experiment?", "give an experiment file, or data with --data")
    output = Path(arguments.output) if arguments.output else None
    effort = Effort(draws=arguments.draws, judged=arguments.objects)
    result = comparison.run(experiment, arguments.frames, range(arguments.seeds), effort, say, output, entrants)
    if arguments.plot:
        from ptychoui.bench.design.plot import plot

        plot(result, Path(arguments.plot))
    return show(arguments, result, summary.table)


def _add_levels(kinds: Any) -> None:
    parser = kinds.add_parser("levels", help="patterns of few bits learned as they are shown, or rounded afterwards")
    parser.add_argument("experiment", metavar="EXPERIMENT.toml")
    add_data(parser)
    parser.add_argument("--bits", type=whole(1), nargs="+", default=[1, 3], help="of a drive level; 1 is on or off")
    parser.add_argument("--seeds", type=whole(1), default=5)
    parser.add_argument("--start", choices=("hybrid", "random_partition", "singles", "dense_random"), default="hybrid")
    parser.add_argument("--unrolls", type=whole(1), default=20, help="of the network, which has the smooth prior")
    parser.add_argument("--objects", type=whole(1), default=6, help="held-out objects that are judged")
    add_threads(parser)
    parser.add_argument("--steps", type=whole(0), help="number of optimiser steps")
    parser.add_argument("-o", "--output", metavar="FILE.json", help="write the result after every seed")
    add_json(parser)
    parser.set_defaults(run=_levels)


def _levels(arguments: argparse.Namespace) -> int:
    from ptychoui.bench.design import levels
    from ptychoui.settings import for_microscopes, load_experiment

    experiment = for_microscopes(with_options(load_experiment(arguments.experiment), arguments))
    output = Path(arguments.output) if arguments.output else None
    use_threads(arguments)
    experiment = levels.learning(experiment, arguments.unrolls, arguments.start)
    seeds = range(arguments.seeds)
    result = levels.run(experiment, arguments.bits, seeds, arguments.objects, say, output)
    return show(arguments, result, levels.table)


def _add_greedy(kinds: Any) -> None:
    parser = kinds.add_parser("greedy", help="greedy learning against checkpoints: time, memory and loss curves")
    parser.add_argument("--unrolls", type=whole(1), default=10)
    parser.add_argument("--size", type=whole(1), default=64, help="edge of the objects in pixels")
    parser.add_argument("--channels", type=whole(1), default=48, help="channels of the CNNs")
    parser.add_argument("--leds", type=whole(1), default=89)
    parser.add_argument("--measurements", type=whole(1), default=8)
    parser.add_argument("--batch", type=whole(1), default=2, help="objects of a step of the CNNs")
    parser.add_argument("--repeats", type=whole(1), default=20)
    parser.add_argument("--steps", type=whole(0), default=100, help="training steps of the CNNs' curves (0: none)")
    parser.add_argument("--design", metavar="EXPERIMENT.toml", help="also the curves of a design that is learned")
    parser.add_argument("--design-steps", type=whole(0), default=40, help="training steps of the design's curves")
    parser.add_argument(
        "--threads", type=whole(1), nargs="+", default=[1, 2], help="CPU threads; curves take the first"
    )
    parser.add_argument("--clock", default="wall", help="of the curves: wall, or cpu on a busy machine")
    parser.add_argument("--plot", metavar="FILE.png", help="the curves against steps and seconds")
    add_json(parser)
    parser.set_defaults(run=_greedy)


def _greedy(arguments: argparse.Namespace) -> int:
    from ptychoui.bench.engine import greedy
    from ptychoui.settings import for_microscopes, load_experiment

    _check_plot(arguments)
    result = greedy.run(
        arguments.unrolls,
        arguments.size,
        arguments.channels,
        arguments.batch,
        arguments.repeats,
        arguments.steps,
        for_microscopes(load_experiment(arguments.design)) if arguments.design else None,
        arguments.design_steps,
        arguments.threads,
        arguments.leds,
        arguments.measurements,
        say,
        arguments.clock,
    )
    if arguments.plot:
        from ptychoui.bench.engine.greedy_plot import plot

        plot(result, Path(arguments.plot))
    return show(arguments, result, greedy.table)


def _add_depth(kinds: Any) -> None:
    parser = kinds.add_parser("depth", help="designs learned with shallow and deep networks in the same time")
    parser.add_argument("experiment", metavar="EXPERIMENT.toml")
    add_data(parser)
    parser.add_argument("--unrolls", type=whole(1), nargs="+", default=[10, 60, 100, 300])
    parser.add_argument("--seconds", type=amount, default=90.0, help="time to learn at each depth")
    parser.add_argument("--clock", default="wall", help="wall, or cpu: that of the processor, on a busy machine")
    parser.add_argument("--seeds", type=whole(1), default=2)
    parser.add_argument("--tuning-objects", type=whole(1), default=4, help="training objects that tune each depth")
    add_threads(parser)
    parser.add_argument("-o", "--output", metavar="FILE.json", help="write the result after every seed")
    add_json(parser)
    parser.set_defaults(run=_depth, steps=None)


def _depth(arguments: argparse.Namespace) -> int:
    from ptychoui.bench.design import depth
    from ptychoui.settings import for_microscopes, load_experiment

    experiment = for_microscopes(with_options(load_experiment(arguments.experiment), arguments))
    output = Path(arguments.output) if arguments.output else None
    use_threads(arguments)
    result = depth.run(
        experiment,
        arguments.unrolls,
        arguments.seconds,
        range(arguments.seeds),
        arguments.tuning_objects,
        say,
        output,
        arguments.clock,
    )
    return show(arguments, result, depth.table)


def _add_memory(kinds: Any) -> None:
    parser = kinds.add_parser("memory", help="predicted peak memory of random configurations beside the measured one")
    parser.add_argument("--configurations", type=whole(1), default=12)
    parser.add_argument("--seed", type=whole(0), default=0)
    parser.add_argument("--least-mb", type=whole(1), default=500, help="smallest peak to draw; the largest is 4x")
    add_threads(parser)
    add_json(parser)
    parser.set_defaults(run=_memory)


def _memory(arguments: argparse.Namespace) -> int:
    from ptychoui.bench.engine import memory

    use_threads(arguments)
    result = memory.run(arguments.configurations, arguments.seed, arguments.least_mb, progress=say)
    return show(arguments, result, memory.table)


def _add_leds(kinds: Any) -> None:
    parser = kinds.add_parser("leds", help="memory and time of a reversible pass on more and more LEDs, at one budget")
    parser.add_argument("--leds", type=whole(1), nargs="+", default=[89, 293, 581])
    parser.add_argument("--size", type=whole(1), default=256, help="edge of the object in pixels")
    parser.add_argument("--budget-mb", type=amount, help="default: what the first needs when streamed, and 5 %%")
    parser.add_argument("--unrolls", type=whole(1), default=3)
    parser.add_argument("--measurements", type=whole(1), default=8)
    parser.add_argument("--batch", type=whole(1), default=1, help="objects")
    add_threads(parser)
    add_json(parser)
    parser.set_defaults(run=_leds)


def _leds(arguments: argparse.Namespace) -> int:
    from ptychoui.bench.engine import memory

    use_threads(arguments)
    result = memory.run_leds(
        arguments.leds,
        arguments.size,
        arguments.budget_mb,
        arguments.unrolls,
        arguments.measurements,
        arguments.batch,
        say,
    )
    return show(arguments, result, memory.leds_table)


def _add_peers(kinds: Any) -> None:
    parser = kinds.add_parser("peers", help="the same small problems through other libraries")
    parser.add_argument("--unrolls", type=whole(1), nargs="+", default=[10, 30, 100], help="numbers of blocks")
    parser.add_argument("--size", type=whole(1), default=64, help="edge of the images in pixels")
    parser.add_argument("--repeats", type=whole(1), default=5)
    parser.add_argument("--gain", type=amount, default=4.0, help="of the last convolutions' weights, over torch's")
    add_threads(parser)
    add_json(parser)
    parser.set_defaults(run=_peers)


def _peers(arguments: argparse.Namespace) -> int:
    from ptychoui.bench.peers import libraries

    use_threads(arguments)
    result = libraries.run(arguments.unrolls, arguments.size, arguments.repeats, arguments.gain, say)
    return show(arguments, result, libraries.table)


def _add_stack(kinds: Any) -> None:
    parser = kinds.add_parser("stack", help="one stack through ptychoui, plain EPRY and other libraries")
    parser.add_argument("--data", metavar="FILE", help="an LED stack (default: the simulated one of the sample data)")
    parser.add_argument("--geometry", metavar="G.toml", help="microscope and array of the data")
    parser.add_argument("--size", type=whole(8), metavar="N", help="edge of the images' middle that is taken, pixels")
    parser.add_argument("--passes", type=whole(1), default=10, help="over all images")
    parser.add_argument("--repeats", type=whole(1), default=3)
    parser.add_argument("--only", nargs="+", default=[], metavar="ROW", help="starts of the rows' names")
    add_threads(parser)
    add_json(parser)
    parser.set_defaults(run=_stack)


def _stack(arguments: argparse.Namespace) -> int:
    from ptychoui.bench.stack import peers as stack_peers

    use_threads(arguments)
    only = tuple(name.lower() for name in arguments.only)
    result = stack_peers.run(
        arguments.passes, arguments.data, arguments.geometry, arguments.size, arguments.repeats, only, say
    )
    return show(arguments, result, stack_peers.table)


def _add_field(kinds: Any) -> None:
    parser = kinds.add_parser("field", help="a large simulated field in tiles: time per megapixel, steps at borders")
    parser.add_argument("--rows", type=whole(64), default=1080, help="of the images, in camera pixels")
    parser.add_argument("--columns", type=whole(64), default=1440)
    parser.add_argument("--passes", type=whole(1), default=12)
    parser.add_argument("--tile", type=whole(8), metavar="N", help="edge of the tiles in camera pixels")
    parser.add_argument("--overlap", type=whole(1), metavar="N")
    add_threads(parser)
    add_json(parser)
    parser.set_defaults(run=_field)


def _field(arguments: argparse.Namespace) -> int:
    from ptychoui.bench.stack import field

    use_threads(arguments)
    result = field.run(arguments.rows, arguments.columns, arguments.passes, arguments.tile, arguments.overlap, say)
    return show(arguments, result, field.table)


def _add_window(kinds: Any) -> None:
    parser = kinds.add_parser("window", help="delay of the window's events while the demo trains")
    parser.add_argument("--seconds", type=amount, default=30.0)
    parser.add_argument("--everything", action="store_true", help="also while loading, calibrating, comparing...")
    add_json(parser)
    parser.set_defaults(run=_window)


def _window(arguments: argparse.Namespace) -> int:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from ptychoui.gui import activities, measure

    values = (activities if arguments.everything else measure).run(arguments.seconds)
    if arguments.json:
        print_json(values)
        return 0
    print("\n".join(f"{name:<24}{value}" for name, value in values.items()))
    return 0


def _add_first_minute(kinds: Any) -> None:
    parser = kinds.add_parser("first-minute", help="how long the demonstration shows no sign of life when it begins")
    parser.add_argument("--steps", type=whole(1), default=55, help="optimiser steps that are watched")
    add_json(parser)
    parser.set_defaults(run=_first_minute)


def _first_minute(arguments: argparse.Namespace) -> int:
    from ptychoui.bench import first_minute

    return show(arguments, first_minute.run(arguments.steps), first_minute.table)


def _add_calibration(kinds: Any) -> None:
    parser = kinds.add_parser("calibration", help="how near calibrations come to simulated truths")
    parser.add_argument("--arrays", nargs="+", metavar="KIND", help="lattice, tiles, spiral, rings, dome, table")
    parser.add_argument("--starts", type=whole(1), default=20, help="stacks and starts for each array")
    parser.add_argument("--seed", type=whole(0), default=0)
    add_threads(parser)
    add_json(parser)
    parser.set_defaults(run=_calibration)


def _calibration(arguments: argparse.Namespace) -> int:
    from ptychoui.bench.stack import calibration

    use_threads(arguments)
    kinds = arguments.arrays or tuple(calibration.ARRAYS)
    result = calibration.run(kinds, arguments.starts, arguments.seed, progress=say)
    return show(arguments, result, calibration.table)
