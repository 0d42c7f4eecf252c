"""``ptychoui reconstruct`` for multi-channel k-space."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptychoui.commands.options import (
    amount_or_none,
    check_output,
    if_stopped,
    nothing_written,
    print_json,
    say,
    use_threads,
    whole,
)
from ptychoui.errors import DataError, SettingsError
from ptychoui.words import joined

if TYPE_CHECKING:
    from ptychoui.data.kspace_results import KSpaceReconstruction
    from ptychoui.workflows.reconstruct_kspace import Prepared

USUAL = "cg_sense"
"""What reconstructs k-space where no method is asked for."""

OF_STACKS = (
    "geometry",
    "passes",
    "pupil",
    "no_gain",
    "no_background",
    "upsampling",
    "pad",
    "crop",
    "patterns",
    "smoothness",
    "full_field",
    "tile",
    "overlap",
    "resume",
    "without",
    "calibrate",
)
OF_KSPACE = ("method", "strength", "examples", "cut", "coils", "estimate_maps", "maps_crop", "maps_kernel")
RUNS = "ptychoui.tasks.mri.reconstructing"
"""Module that reconstructs by a trained run, where it is there."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the words for k-space to the command."""
    group = parser.add_argument_group("multi-channel k-space")
    group.add_argument(
        "--method",
        metavar="M",
        help=f"zero_filled, cg_sense, l1_wavelet, tv, or the folder of a trained run (default of k-space: {USUAL})",
    )
    group.add_argument(
        "--strength",
        type=amount_or_none,
        metavar="LAMBDA",
        help="weight of the prior, for images of order 1 (default: samples left out of the fit choose it)",
    )
    group.add_argument("--examples", type=int, nargs="+", metavar="N", help="only these, counted from 0")
    group.add_argument(
        "--cut",
        type=_axis_and_size,
        nargs="+",
        metavar="AXIS=SIZE",
        help="keep the middle of the field along an axis that was measured whole, as row=320 of an oversampled readout",
    )
    group.add_argument("--coils", type=whole(1), metavar="N", help="combine the coils to so many first")
    group.add_argument("--estimate-maps", action="store_true", help="by ESPIRiT, even where the file has coil maps")
    group.add_argument(
        "--maps-crop", type=amount_or_none, metavar="C", help="maps end below this eigenvalue, 0 to 1 (default: 0.95)"
    )
    group.add_argument("--maps-kernel", type=whole(2), metavar="N", help="edge of ESPIRiT's kernels (default: 6)")


def _axis_and_size(text: str) -> tuple[str, int]:
    """The name of an axis and a number of pixels."""
    axis, _, size = text.partition("=")
    return axis, int(size)


_axis_and_size.__name__ = "AXIS=SIZE"


def takes_over(arguments: argparse.Namespace) -> bool:
    """Whether the file is k-space, or is said to be by the words given; words for k-space with a stack are refused.

    Raises
    ------
    SettingsError
        If words for k-space are given with a file that is none.
    DataError
        If a method is asked for and the file cannot be read.
    """
    from ptychoui.data.formats.open_kspace import is_kspace, open_kspace

    if is_kspace(arguments.file, any_array=True):
        return True
    given = _given(arguments, OF_KSPACE)
    if not given:
        return False
    try:
        open_kspace(arguments.file)  # says what is wrong with a file that should be k-space
    except DataError as error:
        hint = f"{error.hint}; of LED stacks leave {joined(given)} out"
        raise DataError(error.message, hint) from None
    raise SettingsError(f"{joined(given)} belong to k-space", "leave them out")  # pragma: no cover


def run_kspace(arguments: argparse.Namespace) -> int:
    """Reconstruct k-space, keep the result, and say what it is; the exit code 0.

    Raises
    ------
    SettingsError
        If words for LED stacks are given, or the method is not known.
    DataError
        If the file cannot be read, coil maps cannot be estimated, or the result cannot be written.
    """
    from ptychoui.data.kspace_results import describe_kspace_reconstruction, save_kspace_reconstruction

    _refuse_words_of_stacks(arguments)
    check_output(arguments.output, arguments.file, figures=arguments.figures)
    use_threads(arguments)
    with if_stopped(nothing_written(arguments)):
        prepared, reading_s = _prepared(arguments)
        result = _reconstructed(arguments, prepared)
        path = save_kspace_reconstruction(arguments.output, result)
    values = describe_kspace_reconstruction(path) | {"file": str(path), "reading_s": reading_s}
    if arguments.figures:
        from ptychoui.export.kspace_figures import write_kspace_figures

        values["figures"] = [str(figure) for figure in write_kspace_figures(arguments.figures, result)]
    if arguments.json:
        print_json(values)
        return 0
    from ptychoui.workflows.describe_kspace import result_lines

    print("\n".join(result_lines(values)))
    print(f"{values['seconds']:.2f} s for the reconstruction, {reading_s:.2f} s for reading and maps")
    for figure in values.get("figures", []):
        print(figure)
    return 0


def _prepared(arguments: argparse.Namespace) -> tuple[Prepared, float]:
    """K-space with maps, and the time for it in seconds."""
    import time

    from tqdm import tqdm

    from ptychoui.data.formats.open_kspace import open_kspace
    from ptychoui.mri.channels import without_oversampling
    from ptychoui.mri.maps import EspiritSettings
    from ptychoui.workflows.reconstruct_kspace import choose_examples, prepare

    _known_method(arguments)
    start = time.perf_counter()
    wanted = {"crop": arguments.maps_crop, "kernel_width": arguments.maps_kernel}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    espirit = EspiritSettings(**wanted) if wanted or arguments.estimate_maps else None
    data = open_kspace(arguments.file)
    for note in data.provenance.notes:
        say(f"note: {note}")
    if arguments.examples:
        data = choose_examples(data, arguments.examples)
    for axis, size in arguments.cut or ():
        data = without_oversampling(data, axis, size)
    unknown = data.maps is None or espirit is not None
    with tqdm(desc="coil maps", unit="plane", file=sys.stderr, disable=not unknown) as bar:
        prepared = prepare(
            data, espirit, arguments.coils, lambda text: say(f"note: {text}"), lambda: _none(bar.update())
        )
    return prepared, time.perf_counter() - start


def _known_method(arguments: argparse.Namespace) -> None:
    from ptychoui.mri.classical import METHODS

    method = arguments.method
    if method is None:
        say(f"note: no --method was given: {USUAL}")
    elif method not in METHODS and not Path(method).is_dir():
        raise SettingsError(
            f"there is no method {method!r}, and no folder of that name",
            f"methods are {', '.join(METHODS)}; or give the folder of a trained run",
        )


def _reconstructed(arguments: argparse.Namespace, prepared: Prepared) -> KSpaceReconstruction:
    from tqdm import tqdm

    from ptychoui.mri.classical import METHODS
    from ptychoui.workflows.reconstruct_kspace import reconstruct_classically

    method = arguments.method or USUAL
    if method not in METHODS:
        return _by_run(arguments, prepared)
    if arguments.device not in ("cpu", "auto"):
        raise SettingsError(f"{method} computes on the CPU", "leave --device out")
    with tqdm(unit="iteration", file=sys.stderr) as bar:
        return reconstruct_classically(
            prepared, method, arguments.strength, lambda text: say(f"note: {text}"), lambda: _none(bar.update())
        )


def _by_run(arguments: argparse.Namespace, prepared: Prepared) -> KSpaceReconstruction:
    """Images by a trained run: ``reconstruct_with_run(folder, data)`` gives them, in the unit of the data.

    Of shape (example, *space), complex64; the data have coil maps and are not scaled.
    """
    import time

    from ptychoui.workflows.reconstruct_kspace import finished

    if arguments.strength is not None:
        raise SettingsError("--strength belongs to methods that learned nothing", "leave it out with a trained run")
    try:
        module: Any = importlib.import_module(RUNS)
    except ModuleNotFoundError as error:
        if error.name is None or not RUNS.startswith(error.name):
            raise
        raise SettingsError(
            f"{arguments.method} is a folder, and this version reconstructs k-space by no trained run",
            "choose zero_filled, cg_sense, l1_wavelet or tv",
        ) from None
    start = time.perf_counter()
    images = module.reconstruct_with_run(Path(arguments.method), prepared.data)
    record = {"method": "run", "title": f"the trained run {arguments.method}", "run": str(arguments.method)}
    return finished(prepared, images, record, time.perf_counter() - start)


def _refuse_words_of_stacks(arguments: argparse.Namespace) -> None:
    given = _given(arguments, OF_STACKS) + ([] if arguments.check else ["--no-check"])
    if given:
        belong = "belongs" if len(given) == 1 else "belong"
        raise SettingsError(
            f"{joined(given)} {belong} to LED stacks, and {Path(arguments.file).name} is k-space", "leave it out"
        )


def _given(arguments: argparse.Namespace, names: tuple[str, ...]) -> list[str]:
    """Options that were given, as they are typed; those that may be 0 count, too."""
    values = {name: getattr(arguments, name) for name in names}
    absent = (None, False)  # by identity: 0 is a value
    return [
        f"--{name.replace('_', '-')}"
        for name, value in values.items()
        if not any(value is one for one in absent) and value != []
    ]


def _none(_: object) -> None:
    """Whoever is called back gives nothing."""
