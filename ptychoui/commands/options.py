"""What several commands share: words that they all know, and how they say what they found."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptychoui.errors import PtychouiError, SettingsError
from ptychoui.words import joined

if TYPE_CHECKING:
    from ptychoui.settings import Experiment
    from ptychoui.workflows.crop import CropRegion


def whole(lowest: int) -> Callable[[str], int]:
    """A type of whole numbers from ``lowest`` on."""

    def number(text: str) -> int:
        value = int(text)
        if value < lowest:
            raise argparse.ArgumentTypeError(f"{value} is below {lowest}")
        return value

    number.__name__ = "whole number"
    return number


def amount(text: str) -> float:
    """A type of finite numbers above 0."""
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number above 0")
    return value


amount.__name__ = "number"


SIZES = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


def memory_size(text: str) -> float:
    """A type of sizes such as 500MB or 1.5 GB, in bytes."""
    number, unit = text.strip()[:-2], text.strip()[-2:].upper()
    if unit not in SIZES:
        raise argparse.ArgumentTypeError(f"{text} has no unit: 500MB or 1.5GB")
    return amount(number) * SIZES[unit]


memory_size.__name__ = "size of memory"


def amount_or_none(text: str) -> float:
    """A type of finite numbers from 0 on."""
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number of 0 or more")
    return value


amount_or_none.__name__ = "number"


def add_data(parser: argparse.ArgumentParser) -> None:
    """Words that replace the data of an experiment."""
    parser.add_argument("--data", metavar="FILE", help="stack, training set or k-space instead of the experiment's")
    parser.add_argument("--geometry", metavar="G.toml", help="geometry instead of the experiment's")


def add_threads(parser: argparse.ArgumentParser) -> None:
    """The word for :func:`use_threads`."""
    parser.add_argument("--threads", type=whole(1), help="CPU threads")


def add_json(parser: argparse.ArgumentParser) -> None:
    """The word for :func:`show`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def intermixed(parser: argparse.ArgumentParser) -> None:
    """Let names stand before, between and after the options of a command."""
    plain = parser.parse_known_args

    def parse(words: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        # It calls parse_known_args itself.
        parser.__dict__["parse_known_args"] = plain
        try:
            return parser.parse_known_intermixed_args(words, namespace)
        finally:
            parser.__dict__["parse_known_args"] = parse

    parser.__dict__["parse_known_args"] = parse


def say(text: str) -> None:
    """Progress and notes go to stderr: stdout belongs to the result."""
    print(text, file=sys.stderr, flush=True)


def print_json(values: Any) -> None:
    """One JSON object and nothing else."""
    from ptychoui.data.files import json_text

    print(json_text(values))


def show(arguments: argparse.Namespace, values: Any, text: Callable[[Any], str]) -> int:
    """Print a result, as JSON if that was asked for, else as its text; the exit code 0."""
    if arguments.json:
        print_json(values)
    else:
        print(text(values))
    return 0


def has_screen() -> bool:
    """Whether a window can be shown; an explicit QT_QPA_PLATFORM counts as one."""
    if os.environ.get("QT_QPA_PLATFORM") or sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def fresh(name: str) -> Path:
    """A folder name that is not taken yet: NAME, NAME-2, NAME-3, ..."""
    path, count = Path(name), 1
    while path.exists():
        count += 1
        path = Path(f"{name}-{count}")
    return path


def use_threads(arguments: argparse.Namespace) -> None:
    """Take as many CPU threads as ``--threads`` says; all if it says nothing."""
    if arguments.threads:
        if arguments.threads > (most := max(64, 4 * (os.cpu_count() or 1))):
            # Libraries take memory for each before they start them, and end the program where there is none.
            raise SettingsError(f"--threads {arguments.threads}: at most {most} on this machine", "give fewer threads")
        import torch

        torch.set_num_threads(arguments.threads)


OWN_KINDS = (".h5", ".toml")
"""What commands write; of a folder of data none of it is read, but a geometry.toml."""


def check_output(
    output: str,
    *data: str | None,
    geometry: str | None = None,
    others: Sequence[str | None] = (),
    figures: str | None = None,
) -> None:
    """Refuse a file that cannot be written, or that would take the place of what is read, before any work.

    Parameters
    ----------
    data
        Files or folders of data, PATH::PART too; None where nothing was given.
    geometry
        The geometry file. Without one that beside the data is read.
    others
        Other files that are read.
    figures
        Folder into which figures are written; not one of images that are read.
    """
    from ptychoui.data.files import check_target
    from ptychoui.data.formats.common import beside

    check_target(output)
    target = Path(output)
    sources = [path for name in data if name for path in (Path(name), Path(name.rpartition("::")[0]))]
    sources = [path for path in sources if path.name and _there(path)]
    read = [*sources, *(path for name in (geometry, *others) if name and _there(path := Path(name)))]
    if geometry is None:
        read += [found for source in sources if (found := beside(source))]
    folders = [source for source in sources if source.is_dir()]
    if _there(target):
        inside = [folder for folder in folders if folder.resolve() in target.resolve().parents]
        if any(target.samefile(path) for path in read) or (inside and target.suffix.lower() not in OWN_KINDS):
            raise SettingsError(
                f"the output {output} is one of the files that are read: it would be overwritten",
                "give another name with -o",
            )
    if figures and _there(Path(figures)) and any(folder.samefile(figures) for folder in folders):
        raise SettingsError(f"the figures would lie among the images in {figures}", "give another folder")


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # not a file name; whoever opens it says so
        return False


@contextlib.contextmanager
def if_stopped(lost: Callable[[], tuple[str, str]]) -> Iterator[None]:
    """Where somebody presses Ctrl-C or ends the process: one sentence that says what is lost or kept, and a hint."""
    try:
        yield
    except KeyboardInterrupt:
        message, hint = lost()
        raise PtychouiError(f"stopped: {message}", hint) from None


def nothing_written(arguments: argparse.Namespace) -> Callable[[], tuple[str, str]]:
    """What `if_stopped` says where the result is written at the end."""
    return lambda: (f"{Path(arguments.output).name} was not written, the work so far is lost", "start it again")


@contextlib.contextmanager
def stop_flag(after: str) -> Iterator[Callable[[], bool]]:
    """Whether somebody pressed Ctrl-C or ended the process; the second time it ends at once.

    ``after`` says what is finished first.
    """
    import signal
    import threading

    asked = threading.Event()
    handlers: dict[int, Any] = {}

    def stop(_number: int, _frame: Any) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        # Not print: the signal may have come in the middle of one.
        os.write(2, f"\nstopping after {after}; once more ends it at once\n".encode())

    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for which, handler in handlers.items():
            signal.signal(which, handler)


def with_options(experiment: Experiment, arguments: argparse.Namespace) -> Experiment:
    """The experiment with what the command line says instead.

    Raises
    ------
    SettingsError
        If it is of a kind that takes no data from the command line.
    """
    training, engine = experiment.training, experiment.engine
    if arguments.steps is not None:
        training = training.replace(steps=arguments.steps)
    if getattr(arguments, "strategy", None):
        engine = engine.replace(strategy=arguments.strategy)
    if getattr(arguments, "device", None):
        engine = engine.replace(device=arguments.device)
    if getattr(arguments, "memory", None):
        engine = engine.replace(memory_mb=_left_for_steps(arguments.memory) / 1e6)
    _check_kind(experiment, arguments)
    changes: dict[str, Any] = {"training": training, "engine": engine}
    if getattr(arguments, "seed", None) is not None:
        changes["seed"] = arguments.seed
    limits = {name: getattr(arguments, name, None) for name in ("drive_bits", "maximum_lit")}
    if limits := {name: value for name, value in limits.items() if value is not None}:
        from ptychoui.settings import for_microscopes

        changes["design"] = for_microscopes(experiment).design.replace(**limits)
    experiment = experiment.replace(**changes)
    if arguments.data or arguments.geometry:
        from ptychoui.training.task import on_other_data

        experiment = on_other_data(experiment, arguments.data or None, arguments.geometry or None)
    if getattr(arguments, "crop", None):
        from ptychoui.settings import for_microscopes

        experiment = for_microscopes(experiment)
        experiment = experiment.replace(data=experiment.data.replace(region=arguments.crop))
    return experiment


LEAST_STEP_BYTES = 30e6
BESIDE_STEPS_BYTES = 400e6
"""What a run holds beside the program and its steps: windows of images, scores, compiled loops."""


def _left_for_steps(whole: float) -> float:
    """Bytes that a step may take where the whole process may have ``whole``.

    Raises
    ------
    SettingsError
        If the program itself takes that much.
    """
    import ptychoui.training.trainer  # noqa: F401 (what a run loads is counted)
    from ptychoui.engine.planner import resident_bytes

    own = resident_bytes() + BESIDE_STEPS_BYTES
    if whole - own < LEAST_STEP_BYTES:
        raise SettingsError(
            f"--memory {whole / 1e6:.0f}MB: the program and its libraries take {own / 1e6:.0f} MB of that",
            f"give {(own + LEAST_STEP_BYTES) / 1e6:.0f}MB or more",
        )
    return whole - own


def _check_kind(experiment: Experiment, arguments: argparse.Namespace) -> None:
    """Refuse words for microscopes with an experiment of another kind."""
    names = ("geometry", "crop", "drive_bits", "maximum_lit")
    given = [f"--{name.replace('_', '-')}" for name in names if getattr(arguments, name, None) is not None]
    if given and experiment.kind != "fpm":
        belong = "belongs" if len(given) == 1 else "belong"
        raise SettingsError(
            f"{joined(given)} {belong} to microscopes, and {experiment.name!r} is an experiment of kind "
            f"{experiment.kind!r}",
            f"leave {'it' if len(given) == 1 else 'them'} out",
        )


def crop_of(arguments: argparse.Namespace) -> CropRegion | None:
    """The square of camera pixels that ``--crop`` asks for; None where it was not given."""
    from ptychoui.workflows.crop import CropRegion

    if not arguments.crop:
        return None
    row, column, size = arguments.crop
    return CropRegion(row=row, column=column, size_px=size)
