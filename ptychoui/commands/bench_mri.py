"""The benchmarks of multi-channel MRI: ``ptychoui bench mri``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ptychoui.commands.options import add_json, add_threads, amount, print_json, say, use_threads, whole

if TYPE_CHECKING:
    from ptychoui.settings import MriExperiment


def add_mri(kinds: Any) -> None:
    """Add ``mri`` with its own benchmarks to ``ptychoui bench``."""
    parser = kinds.add_parser("mri", help="multi-channel MRI: memory, volumes, a learned prior")
    own = parser.add_subparsers(title="benchmarks of multi-channel MRI", metavar="WHAT", required=True)
    _add_memory(own)
    _add_volume(own)
    _add_prior(own)
    _add_greedy(own)
    _add_lines(own)
    _add_resident(own)
    _add_variants(own)


def _add_memory(own: Any) -> None:
    parser = own.add_parser("memory", help="memory, time and exactness of strategies on a slice of the published size")
    parser.add_argument("--unrolls", type=whole(1), nargs="+", default=[10, 30, 100])
    parser.add_argument("--size", type=whole(3), nargs=2, default=[256, 232], metavar=("ROWS", "COLUMNS"))
    parser.add_argument("--coils", type=whole(1), default=12)
    parser.add_argument("--channels", type=whole(1), default=64)
    parser.add_argument("--repeats", type=whole(1), default=2)
    parser.add_argument("--inverse", action="store_true", help="also the strategy inverse on plain unrolls")
    add_threads(parser)
    add_json(parser)
    parser.set_defaults(run=_memory)


def _memory(arguments: argparse.Namespace) -> int:
    from ptychoui.bench.mri import memory

    use_threads(arguments)
    sizes = (tuple(arguments.size), arguments.coils, arguments.channels)
    result = memory.run(arguments.unrolls, *sizes, arguments.repeats, arguments.inverse, say)
    return _shown(arguments, result, memory.table(result))


def _add_volume(own: Any) -> None:
    parser = own.add_parser("volume", help="certified steps of slabs and cine where back-propagation needs gigabytes")
    parser.add_argument("acquisition", choices=("slab", "cine", "3d", "2d"))
    parser.add_argument("--stored-gb", type=amount, default=2.0, help="what back-propagation would need at least")
    parser.add_argument("--steps", type=whole(1), default=20)
    parser.add_argument("--channels", type=whole(1), default=8)
    parser.add_argument("--size", type=whole(3), nargs="+", metavar="N", help="shape of an image")
    add_threads(parser)
    add_json(parser)
    parser.set_defaults(run=_volume)


def _volume(arguments: argparse.Namespace) -> int:
    from ptychoui.bench.mri import volume

    use_threads(arguments)
    size = tuple(arguments.size) if arguments.size else None
    stored = 1e9 * arguments.stored_gb
    result = volume.run(arguments.acquisition, stored, arguments.steps, arguments.channels, size, say)
    return _shown(arguments, result, volume.table(result))


def _add_prior(own: Any) -> None:
    parser = own.add_parser("prior", help="a learned prior beside zero-filled, CG-SENSE, l1-wavelet and TV images")
    parser.add_argument("file", metavar="EXPERIMENT.toml", help="of kind mri")
    parser.add_argument("--data", metavar="FILE", help="measured k-space, which is learned from and judged by samples")
    parser.add_argument("--seeds", type=whole(1), default=5)
    parser.add_argument("--plot", metavar="FILE.png", help="the first example by every method")
    parser.add_argument("--steps", type=whole(1), help="number of optimiser steps")
    parser.add_argument("-o", "--output", metavar="FILE.json", help="write the result after every seed")
    add_threads(parser)
    add_json(parser)
    parser.set_defaults(run=_prior)


def _prior(arguments: argparse.Namespace) -> int:
    from ptychoui.bench.mri import prior

    use_threads(arguments)
    experiment = _experiment(arguments)
    if arguments.data:
        experiment = experiment.replace(
            data=experiment.data.replace(path=arguments.data),
            sampling=experiment.sampling.replace(pattern="measured", learn=False),
            training=experiment.training.replace(supervision="samples"),
        )
    keep = _keeper(arguments.output, arguments.plot)
    result = prior.run(experiment, range(arguments.seeds), say, keep, arguments.plot)
    return _shown(arguments, result, prior.table(result))


def _add_greedy(own: Any) -> None:
    parser = own.add_parser("greedy", help="greedy modules beside end-to-end learning of equal memory, depth, weights")
    parser.add_argument("--seeds", type=whole(1), default=3)
    parser.add_argument("--budget", type=amount, default=60.0, metavar="SECONDS", help="of the processor, for each run")
    parser.add_argument("--rates", type=amount, nargs="+", default=[1e-3, 3e-3], help="learning rates that are tried")
    parser.add_argument("--size", type=whole(8), nargs=2, default=[64, 56], metavar=("ROWS", "COLUMNS"))
    parser.add_argument("--unrolls", type=whole(1), default=2, help="of a module")
    parser.add_argument("--modules", type=whole(1), default=4)
    parser.add_argument("--channels", type=whole(1), default=16)
    parser.add_argument("-o", "--output", metavar="FILE.json", help="write the result after every run")
    add_threads(parser)
    add_json(parser)
    parser.set_defaults(run=_greedy)


def _greedy(arguments: argparse.Namespace) -> int:
    from ptychoui.bench.mri import greedy

    use_threads(arguments)
    keep = _keeper(arguments.output)
    sizes = (tuple(arguments.size), arguments.unrolls, arguments.modules, arguments.channels)
    result = greedy.run(range(arguments.seeds), arguments.budget, arguments.rates, *sizes, say, keep)
    return _shown(arguments, result, greedy.table(result))


def _add_lines(own: Any) -> None:
    parser = own.add_parser("lines", help="learned lines of k-space beside the best of many random ones")
    parser.add_argument("file", metavar="EXPERIMENT.toml", help="of kind mri")
    parser.add_argument("--seeds", type=whole(1), default=5)
    parser.add_argument("--draws", type=whole(1), default=20)
    parser.add_argument("--steps", type=whole(1), help="number of optimiser steps")
    parser.add_argument("-o", "--output", metavar="FILE.json", help="write the result after every seed")
    add_threads(parser)
    add_json(parser)
    parser.set_defaults(run=_lines)


def _lines(arguments: argparse.Namespace) -> int:
    from ptychoui.bench.mri import lines

    use_threads(arguments)
    result = lines.run(_experiment(arguments), range(arguments.seeds), arguments.draws, say, _keeper(arguments.output))
    return _shown(arguments, result, lines.table(result))


def _add_resident(own: Any) -> None:
    parser = own.add_parser("resident", help="whether the process's memory stays flat over the steps of a run")
    parser.add_argument("file", metavar="EXPERIMENT.toml", help="of any kind")
    parser.add_argument("--steps", type=whole(10), default=200)
    add_threads(parser)
    add_json(parser)
    parser.set_defaults(run=_resident)


def _resident(arguments: argparse.Namespace) -> int:
    from ptychoui.bench.mri import resident
    from ptychoui.settings import load_experiment

    use_threads(arguments)
    result = resident.run(load_experiment(arguments.file), arguments.steps, say)
    return _shown(arguments, result, resident.table(result))


def _add_variants(own: Any) -> None:
    parser = own.add_parser("variants", help="one setting of a run varied: error, memory and time of each value")
    parser.add_argument("file", metavar="EXPERIMENT.toml", help="of kind mri")
    parser.add_argument("setting", metavar="TABLE.NAME", help="such as network.unrolls")
    parser.add_argument("values", nargs="+", metavar="VALUE")
    parser.add_argument("--seeds", type=whole(1), default=3)
    parser.add_argument("--steps", type=whole(1), help="number of optimiser steps")
    parser.add_argument("-o", "--output", metavar="FILE.json", help="write the result after every run")
    add_threads(parser)
    add_json(parser)
    parser.set_defaults(run=_variants)


def _variants(arguments: argparse.Namespace) -> int:
    from ptychoui.bench.mri import variants

    use_threads(arguments)
    keep = _keeper(arguments.output)
    result = variants.run(
        _experiment(arguments), arguments.setting, arguments.values, range(arguments.seeds), say, keep
    )
    return _shown(arguments, result, variants.table(result))


def _experiment(arguments: argparse.Namespace) -> MriExperiment:
    """The experiment of the command line, of kind mri."""
    from ptychoui.errors import SettingsError
    from ptychoui.settings import MriExperiment, load_experiment

    experiment = load_experiment(arguments.file)
    if not isinstance(experiment, MriExperiment):
        raise SettingsError(f"{arguments.file} is an experiment of kind {experiment.kind!r}", "give one of kind 'mri'")
    if arguments.steps:
        experiment = experiment.replace(training=experiment.training.replace(steps=arguments.steps))
    return experiment


def _keeper(output: str | None, *others: str | None) -> Callable[[dict[str, Any]], None]:
    """What writes a result as JSON; files that could not be written are refused before any work."""
    from ptychoui.data.files import check_target, json_text, write_atomic

    for target in (output, *others):
        if target:
            check_target(target)

    def keep(result: dict[str, Any]) -> None:
        if output:
            write_atomic(output, json_text(result).encode())

    return keep


def _shown(arguments: argparse.Namespace, result: dict[str, Any], text: str) -> int:
    if arguments.json:
        print_json(result)
    else:
        print(text)
    return 0
