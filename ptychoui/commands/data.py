"""The commands on files: info, presets, simulate, objects."""

from __future__ import annotations

import argparse
from typing import Any

from ptychoui.commands.options import (
    add_json,
    amount,
    check_output,
    if_stopped,
    intermixed,
    nothing_written,
    print_json,
    say,
    show,
    whole,
)
from ptychoui.errors import SettingsError
from ptychoui.words import counted


def add_commands(commands: Any) -> None:
    """Add the commands of this module, each with its words, to the parser of ``ptychoui``."""
    _add_info(commands)
    _add_presets(commands)
    _add_simulate(commands)
    _add_objects(commands)


def _add_info(commands: Any) -> None:
    parser = commands.add_parser("info", help="say what a file holds and what follows from its geometry")
    parser.add_argument("file")
    parser.add_argument(
        "--geometry",
        metavar="G.toml",
        help="TOML file with [microscope] and [array], whole or in part; wins over the file",
    )
    parser.add_argument(
        "--leds", action="store_true", help="also every LED: place, illumination NA, bright or dark field"
    )
    add_json(parser)
    parser.set_defaults(run=_info)


def _info(arguments: argparse.Namespace) -> int:
    from ptychoui.workflows.describe import as_text, describe

    values = describe(arguments.file, arguments.geometry, arguments.leds)
    return show(arguments, values, as_text)


def _add_presets(commands: Any) -> None:
    parser = commands.add_parser("presets", help="list microscopes and LED arrays, or make a geometry file of two")
    parser.add_argument("--microscope", metavar="KEY", help="what one of them says of itself; or half of a geometry")
    parser.add_argument("--array", metavar="KEY", help="the same of an LED array")
    parser.add_argument("-o", "--output", metavar="G.toml", help="write --microscope and --array as a geometry file")
    add_json(parser)
    parser.set_defaults(run=_presets)


def _presets(arguments: argparse.Namespace) -> int:
    from ptychoui.optics.geometry.presets import (
        array_preset,
        array_presets,
        microscope_preset,
        microscope_presets,
        write_geometry,
    )

    if arguments.output:
        if not (arguments.microscope and arguments.array):
            raise SettingsError("a geometry has a microscope and an LED array", "give --microscope and --array")
        check_output(arguments.output)
        path = write_geometry(arguments.output, arguments.microscope, arguments.array)
        if arguments.json:
            print_json({"file": str(path)})
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
        print_json({kind: [preset.model_dump(mode="json") for preset in found] for kind, found in lists.items()})
        return 0
    for kind, found in lists.items():
        if found and not one:
            print(f"{kind}:")
        for preset in found:
            print(f"{preset.name}\n\n{preset.about()}" if one else f"  {preset.key:<20}{preset.name}")
    return 0


def _add_simulate(commands: Any) -> None:
    parser = commands.add_parser("simulate", help="make the sample data again, from a seed")
    parser.add_argument("-o", "--output", default="sample_data", metavar="FOLDER")
    parser.add_argument("--seed", type=whole(0), default=0)
    add_json(parser)
    parser.set_defaults(run=_simulate)


def _simulate(arguments: argparse.Namespace) -> int:
    from ptychoui.data.files import sha256_file
    from ptychoui.workflows.sample_data import write_samples

    files = {str(path): sha256_file(path) for path in write_samples(arguments.output, arguments.seed)}
    if arguments.json:
        print_json({"seed": arguments.seed, "files": files})
    else:
        for path, digest in files.items():
            print(f"{digest}  {path}")
    return 0


def _add_objects(commands: Any) -> None:
    parser = commands.add_parser("objects", help="make one training set of images, stacks, sets and simulation")
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="a folder of images or one image, a training set, a reconstruction, an LED stack (is reconstructed), or: "
        "simulation",
    )
    parser.add_argument("-o", "--output", required=True, metavar="OBJECTS.h5")
    parser.add_argument(
        "--pixel-um", type=amount, help="pixel of the objects at the sample in um (default: a source's)"
    )
    parser.add_argument("--size", type=whole(8), help="edge of the objects in pixels (default: 160, or what fits)")
    parser.add_argument("--per-source", type=whole(1), default=2, help="objects cut from each image")
    parser.add_argument(
        "--regions", type=whole(1), default=1, help="sources that a stack becomes: bands of its field, kept apart"
    )
    parser.add_argument("--seed", type=whole(0), default=0)
    parser.add_argument("--geometry", metavar="G.toml", help="of stacks that carry none, and of the set that is made")
    add_json(parser)
    parser.set_defaults(run=_objects)
    intermixed(parser)


def _objects(arguments: argparse.Namespace) -> int:
    from ptychoui.data.formats.geometry_file import read_geometry
    from ptychoui.data.formats.native import save_hdf5
    from ptychoui.workflows.collect_objects import collect_objects

    check_output(arguments.output, *arguments.sources, geometry=arguments.geometry)
    with if_stopped(nothing_written(arguments)):
        found = collect_objects(
            arguments.sources,
            arguments.pixel_um,
            arguments.size,
            arguments.per_source,
            arguments.seed,
            read_geometry(arguments.geometry, for_data=True) if arguments.geometry else None,
            arguments.regions,
        )
        path = save_hdf5(arguments.output, found)
    count, size, _ = found.objects.shape
    for note in found.provenance.notes:
        say(f"note: {note}")
    if arguments.json:
        values = {"file": str(path), "objects": count, "size_px": size, "pixel_size_um": found.pixel_size_um}
        print_json(values | {"sources": list(found.source_names), "sha256": found.provenance.sha256})
    else:
        sources = counted(len(found.source_names), "source")
        objects = counted(count, "object")
        print(f"{path}: {objects} of {size} pixels of {found.pixel_size_um:g} um from {sources}")
    return 0
