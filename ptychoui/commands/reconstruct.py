"""The command ``ptychoui reconstruct``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptychoui.commands import kspace
from ptychoui.commands.options import (
    add_json,
    add_threads,
    amount_or_none,
    check_output,
    crop_of,
    if_stopped,
    nothing_written,
    print_json,
    say,
    stop_flag,
    use_threads,
    whole,
)
from ptychoui.errors import PtychouiError, SettingsError
from ptychoui.words import counted

if TYPE_CHECKING:
    import torch

    from ptychoui.data.dataset import ImageStack
    from ptychoui.data.results import StoredReconstruction
    from ptychoui.design.patterns import PatternSet
    from ptychoui.settings import Reconstruct
    from ptychoui.workflows.coded_stack import CodedReconstruction
    from ptychoui.workflows.crop import CropRegion
    from ptychoui.workflows.reconstruct_stack import WindowReconstruction


CODED_PASSES = 600
"""With fewer, images under dense patterns are not fitted well enough to choose the prior's strength."""

NAMED_LEDS = 6
"""So many LEDs that stand out are named."""


def add_commands(commands: Any) -> None:
    """Add the command, with its words, to the parser of ``ptychoui``."""
    parser = commands.add_parser("reconstruct", help="make an object and a pupil of a stack, or images of k-space")
    parser.add_argument("file", metavar="FILE", help="an LED stack, or multi-channel k-space")
    parser.add_argument("-o", "--output", required=True, metavar="RESULT.h5")
    parser.add_argument("--geometry", metavar="G.toml", help="of stacks that carry none, or to correct theirs")
    parser.add_argument(
        "--passes", type=whole(1), help="passes over all images (default: 20, with --patterns at most 600)"
    )
    parser.add_argument("--pupil", choices=("fixed", "zernike", "free"), help="what is fitted of it (default: zernike)")
    parser.add_argument("--no-gain", action="store_true", help="do not fit the brightness of every LED")
    parser.add_argument("--no-background", action="store_true", help="do not fit the stray light of every image")
    parser.add_argument("--upsampling", type=whole(1), help="object pixels per camera pixel (default: as needed)")
    parser.add_argument(
        "--pad", type=whole(0), metavar="N", help="free border in camera pixels (default: as far as the blur reaches)"
    )
    parser.add_argument(
        "--crop", type=whole(0), nargs=3, metavar=("ROW", "COLUMN", "SIZE"), help="a square of camera pixels"
    )
    parser.add_argument(
        "--patterns",
        metavar="P.json|RUN",
        help="the images are of coded illumination: patterns as export writes them, or a run that learned them",
    )
    parser.add_argument(
        "--smoothness",
        type=amount_or_none,
        metavar="S",
        help="strength of the smooth prior of coded images; 0: none (default: pixels left out of the fit choose it)",
    )
    parser.add_argument("--full-field", action="store_true", help="all of the images, in overlapping tiles")
    parser.add_argument("--tile", type=whole(8), metavar="N", help="edge of the tiles in camera pixels")
    parser.add_argument("--overlap", type=whole(1), metavar="N", help="camera pixels that neighbours share")
    parser.add_argument("--resume", action="store_true", help="go on with the tiles that an earlier run finished")
    parser.add_argument(
        "--without", type=int, nargs="+", default=[], metavar="LED", help="numbers of LEDs to leave out"
    )
    parser.add_argument("--calibrate", action="store_true", help="correct the array's pose by the images first")
    parser.add_argument(
        "--no-check",
        dest="check",
        action="store_false",
        help="do not look for contradictions between images and geometry afterwards, which takes a few seconds",
    )
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or cuda:N (default: cpu)")
    add_threads(parser)
    parser.add_argument("--figures", metavar="FOLDER", help="write PNGs of object, pupil and LEDs, or of the images")
    kspace.add_options(parser)
    add_json(parser)
    parser.set_defaults(run=_reconstruct)


def _reconstruct(arguments: argparse.Namespace) -> int:
    from ptychoui.data.results import save_reconstruction

    if kspace.takes_over(arguments):
        return kspace.run_kspace(arguments)
    geometry, patterns = arguments.geometry, [arguments.patterns]
    check_output(arguments.output, arguments.file, geometry=geometry, others=patterns, figures=arguments.figures)
    with if_stopped(lambda: _lost(arguments)):
        result, clear, reading = _reconstructed(arguments)
        path = save_reconstruction(arguments.output, result)
    clear()
    return _keep_reconstruction(arguments, result, reading, path)


def _lost(arguments: argparse.Namespace) -> tuple[str, str]:
    """What becomes of a reconstruction that is ended at once, and what to do."""
    name, tiles = Path(arguments.output).name, _tiles_folder(arguments)
    if arguments.full_field and tiles.is_dir():
        return f"{name} was not written, finished tiles are kept in {tiles}", "go on with --resume"
    return nothing_written(arguments)()


def _tiles_folder(arguments: argparse.Namespace) -> Path:
    """Where the tiles of a whole field lie until it is finished."""
    output = Path(arguments.output)
    return output.with_name(f"{output.name}.tiles")


def _reconstructed(arguments: argparse.Namespace) -> tuple[StoredReconstruction, Callable[[], None], float]:
    """A result, what is to be done once it is kept, and the time for reading in seconds."""
    import time

    from ptychoui.settings import Reconstruct
    from ptychoui.training.devices import pick_device
    from ptychoui.workflows.reconstruct_stack import open_stack, with_limit_noted

    use_threads(arguments)
    wanted = {"passes": arguments.passes, "pupil": arguments.pupil, "upsampling": arguments.upsampling}
    if arguments.smoothness is not None and not arguments.patterns:
        raise SettingsError("--smoothness belongs to images of coded illumination", "add --patterns, or leave it out")
    wanted |= {"smoothness": arguments.smoothness}
    wanted |= {"pad_px": arguments.pad, "gain": not arguments.no_gain, "background": not arguments.no_background}
    settings = Reconstruct(**{name: value for name, value in wanted.items() if value is not None})
    start = time.perf_counter()
    patterns = None
    if arguments.patterns:
        from ptychoui.bench.design.given import patterns_in

        patterns = patterns_in(arguments.patterns)
        stack = _open_coded(arguments, patterns)
    else:
        stack = with_limit_noted(open_stack(arguments.file, arguments.geometry))
    reading = time.perf_counter() - start
    device = pick_device(arguments.device)
    for note in stack.provenance.notes:
        say(f"note: {note}")
    if patterns is not None:
        return _coded(arguments, stack, patterns, settings, device), _nothing, reading
    if arguments.full_field:
        return *_full_field(arguments, stack, settings, device), reading
    return _one_window(arguments, stack, settings, device), _nothing, reading


def _nothing() -> None:
    """There is nothing to be cleared away."""


def _window(arguments: argparse.Namespace) -> CropRegion | None:
    if arguments.tile or arguments.overlap or arguments.resume:
        raise SettingsError("--tile, --overlap and --resume belong to --full-field", "add --full-field")
    return crop_of(arguments)


def _one_window(
    arguments: argparse.Namespace, stack: ImageStack, settings: Reconstruct, device: torch.device
) -> StoredReconstruction:
    from ptychoui.workflows.reconstruct_stack import WindowReconstruction

    window = _window(arguments)
    work = WindowReconstruction(stack, settings, window, arguments.without, arguments.calibrate, device)
    interrupted = _passes(work, settings.passes)
    if arguments.check and not interrupted:
        work.check()
    result = work.stored(interrupted)
    for warning in work.warnings:
        say(f"note: {warning}")
    return result


def _open_coded(arguments: argparse.Namespace, patterns: PatternSet) -> ImageStack:
    from ptychoui.data.formats.geometry_file import read_geometry
    from ptychoui.workflows.coded_stack import open_coded_images

    if arguments.full_field or arguments.without or arguments.calibrate:
        raise SettingsError(
            "--full-field, --without and --calibrate need one image per LED", "leave them out with --patterns"
        )
    given = read_geometry(arguments.geometry, for_data=True) if arguments.geometry else None
    return open_coded_images(arguments.file, patterns.geometry, len(patterns.levels), given)


def _coded(
    arguments: argparse.Namespace, stack: ImageStack, patterns: PatternSet, settings: Reconstruct, device: torch.device
) -> StoredReconstruction:
    from ptychoui.workflows.coded_stack import CodedReconstruction

    # A pass takes little: there are few images, and no other unknowns than the object.
    settings = settings.replace(
        passes=arguments.passes or CODED_PASSES, pupil="fixed", gain=False, background=False, sequential_passes=0
    )
    work = CodedReconstruction(
        stack, patterns.levels, patterns.exposures, patterns.led_numbers, settings, _window(arguments), device
    )
    result = work.stored(_passes(work, settings.passes))
    say(f"note: {work.prior}")
    return result


def _passes(work: WindowReconstruction | CodedReconstruction, passes: int) -> bool:
    """Do the passes with a progress bar; True if somebody stopped them before the last."""
    from tqdm import tqdm

    for note in work.notes:
        say(f"note: {note}")
    done = None
    with stop_flag("this pass") as stop, tqdm(total=passes, unit="pass", file=sys.stderr) as bar:
        for done in work.run():
            bar.update(done.number - bar.n)
            bar.set_postfix_str(f"residual {done.residual:.4f}", refresh=False)
            if stop():
                break
    if done is None:
        raise PtychouiError("stopped before the first pass was done: nothing was written", "start it again")
    return stop() and done.number < passes


def _full_field(
    arguments: argparse.Namespace, stack: ImageStack, settings: Reconstruct, device: torch.device
) -> tuple[StoredReconstruction, Callable[[], None]]:
    """A result, and what is to be done once it is kept."""
    from tqdm import tqdm

    from ptychoui.workflows.full_field import TiledReconstruction
    from ptychoui.workflows.reconstruct_stack import with_calibration
    from ptychoui.workflows.tile_plan import plan_tiles

    if arguments.crop:
        raise SettingsError("--crop and --full-field exclude each other", "leave one of them out")
    if arguments.calibrate:
        notes: list[str] = []
        stack = with_calibration(stack, notes, device=device)
        for note in notes:
            say(f"note: {note}")
    assert stack.geometry is not None
    shape = (stack.images.shape[1], stack.images.shape[2])
    plan = plan_tiles(stack.geometry, shape, settings, arguments.tile, arguments.overlap, arguments.without)
    work = TiledReconstruction(
        stack, settings, plan, _tiles_folder(arguments), arguments.resume, arguments.without, device
    )
    tiles = len(plan.windows)
    say(
        f"{counted(tiles, 'tile')} of {plan.tile_px} pixels that share {plan.overlap_px}; finished ones are kept in "
        f"{work.folder}"
    )
    finished = 0
    with (
        stop_flag("this pass") as stop,
        tqdm(total=tiles, unit="tile", file=sys.stderr) as bar,
    ):
        for progress in work.run():
            bar.set_postfix_str(f"pass {progress.number}, residual {progress.residual:.4f}", refresh=False)
            bar.update(progress.done)
            finished += progress.done
            if stop() and finished < tiles:
                break
    if finished < tiles:
        raise PtychouiError(
            f"stopped; {finished} of {counted(tiles, 'tile')} are kept in {work.folder}", "go on with --resume"
        )
    result = work.result()
    for warning in result.record["remarks"]:
        say(f"note: {warning}")
    return result, work.clear


def _keep_reconstruction(
    arguments: argparse.Namespace, result: StoredReconstruction, reading_s: float, path: Path
) -> int:
    """Figures of a result that was saved, and what is said of it."""
    from ptychoui.data.results import describe_reconstruction
    from ptychoui.session.stored_report import leds_that_stand_out

    values = describe_reconstruction(path) | {"file": str(path), "reading_s": reading_s}
    standing_out = leds_that_stand_out(result)
    values["standing_out"] = [{"led": led, "reason": why} for led, why in standing_out.items()]
    if arguments.figures:
        from ptychoui.export.reconstruction_figures import write_figures

        values["figures"] = [str(figure) for figure in write_figures(arguments.figures, result)]
    if arguments.json:
        print_json(values)
        return 0
    from ptychoui.workflows.describe import as_text

    print(as_text(values | {"notes": []}))
    print(f"{values['seconds']:.2f} s for the passes, {reading_s:.2f} s for reading")
    if standing_out:
        print(_standing_out(standing_out))
    if values["interrupted"]:
        wanted = counted(result.settings.passes, "pass", "passes")
        print(f"stopped after {result.passes} of {wanted}; what there is was kept")
    for figure in values.get("figures", []):
        print(figure)
    return 0


def _standing_out(leds: dict[int, str]) -> str:
    """One sentence that names LEDs, and what to do."""
    some = list(leds)[:NAMED_LEDS]
    named = "; ".join(f"{led} ({leds[led]})" for led in some)
    more = f"; and {len(leds) - len(some)} more" if len(leds) > len(some) else ""
    stand = "LED stands" if len(leds) == 1 else "LEDs stand"
    hint = f"--without {' '.join(map(str, some))}" if not more else "--without and their numbers (--json has all)"
    return f"{len(leds)} {stand} out from those at similar NA: {named}{more}; check their images, or leave out: {hint}"
