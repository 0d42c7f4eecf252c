"""The commands on runs: train, evaluate, export."""

from __future__ import annotations

import argparse
import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptychoui.commands.options import (
    add_data,
    add_json,
    add_threads,
    fresh,
    memory_size,
    print_json,
    say,
    use_threads,
    whole,
    with_options,
)
from ptychoui.commands.processes import Processes, follow, together
from ptychoui.commands.resuming import folder_name, goes_on_as, resumed, resumed_folder, take_up_after_restart
from ptychoui.errors import PtychouiError

if TYPE_CHECKING:
    from ptychoui.settings import FpmExperiment
    from ptychoui.training.control import RunControl
    from ptychoui.training.task import AnyTask
    from ptychoui.training.trainer import Trainer


def add_commands(commands: Any) -> None:
    """Add the commands of this module, each with its words, to the parser of ``ptychoui``."""
    _add_train(commands)
    _add_evaluate(commands)
    _add_export(commands)


def _add_train(commands: Any) -> None:
    parser = commands.add_parser("train", help="learn patterns, or what another experiment learns, without a window")
    parser.add_argument(
        "experiment",
        nargs="?",
        metavar="EXPERIMENT.toml",
        help="a file, or the example first_light (default: settings that fit --data)",
    )
    parser.add_argument("-o", "--output", metavar="RUN", help="run folder (default: runs/NAME)")
    add_data(parser)
    parser.add_argument(
        "--crop",
        type=whole(0),
        nargs=3,
        metavar=("ROW", "COLUMN", "SIZE"),
        help="learn from this square of camera pixels of a measured stack (default: the middle)",
    )
    parser.add_argument("--steps", type=whole(0), help="number of optimiser steps")
    parser.add_argument(
        "--strategy", help="auto, store_all, checkpoint, offload, binomial, reversible, inverse, greedy, segments"
    )
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--seed", type=whole(0))
    parser.add_argument(
        "--drive-bits", type=whole(1), metavar="N", help="learn levels of so many bits; 1 is on or off (default: any)"
    )
    parser.add_argument(
        "--maximum-lit", type=whole(1), metavar="K", help="most LEDs that may shine in one pattern (default: all)"
    )
    parser.add_argument(
        "--memory",
        type=memory_size,
        metavar="SIZE",
        help="what the whole process may take, such as 1GB (default: free)",
    )
    add_threads(parser)
    parser.add_argument("--resume", action="store_true", help="go on with the run in RUN")
    parser.add_argument("--report", action="store_true", help="write figures and report.html into the run folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    parser.set_defaults(run=_train)


def _train(arguments: argparse.Namespace) -> int:
    from ptychoui.settings import kind_of
    from ptychoui.training.control import RunControl

    control = RunControl()
    control.now("loading the program")
    take_up_after_restart(arguments)
    with together() as processes:
        if processes.follows:
            return follow(arguments, processes)
        with _told(control, say):
            trainer = _trainer(arguments, control, processes)
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
        say(f"report: {report}")
    if arguments.json:
        print_json(values)
    else:
        scores, metric = "", kind_of(trainer.task.experiment.kind).metrics[0]
        if "start_error" in values:
            scores = f": held-out {metric.label} {values['start_error']:.3f} -> {values[metric.name]:.3f}"
            if metric.worthless is not None and not values[metric.name] < metric.worthless:
                scores += f", no better than an empty picture ({metric.worthless:g})"
        if "held_out_loss" in values:
            scores += f", loss {values['held_out_loss_at_start']:.4f} -> {values['held_out_loss']:.4f}"
        print(f"{values['state']} after {values['steps']} steps{scores}, run folder {values['run_folder']}")
        if "verdict" in values:
            print(values["verdict"]["sentence"])
    return 0


def _trainer(arguments: argparse.Namespace, control: RunControl, processes: Processes) -> Trainer[AnyTask]:
    """The run that a command line asks for, new or taken up."""
    from ptychoui.settings import load_experiment

    use_threads(arguments)
    experiment = load_experiment(arguments.experiment) if arguments.experiment else None
    if experiment is None and arguments.data and not arguments.resume:
        experiment = experiment_for_data(arguments)  # with all that the command line says
    elif experiment is not None and not arguments.resume:
        experiment = with_options(experiment, arguments)
    if arguments.resume:
        from ptychoui.training.run_folder import RunFolder
        from ptychoui.training.runs import resume_run

        begun = resumed_folder(arguments, experiment)
        stored = RunFolder.open(begun, lock=False).experiment()
        if experiment is not None and not goes_on_as(stored, experiment):
            say(f"note: {begun} goes on with the settings it was started with, not those of {arguments.experiment}")
        changes = functools.partial(resumed, arguments=arguments)
        return resume_run(begun, control, changes=changes, kind=processes.kind, ready=processes.join)
    if experiment is None:
        raise PtychouiError(
            "which experiment?",
            "give an experiment file, data with --data, or the example: ptychoui train first_light",
        )
    from ptychoui.training.runs import new_run

    folder = arguments.output or fresh(f"runs/{folder_name(experiment)}")
    trainer = new_run(experiment, folder, control, tell=say, kind=processes.kind, ready=processes.join)
    _show_first(trainer)
    return trainer


def _show_first(trainer: Trainer[AnyTask]) -> None:
    """Draw what a measured stack is learned from into the run folder, so that it can be looked at before and after."""
    from ptychoui.export.first_picture import draw_first

    if (drawn := draw_first(trainer)) is not None:
        path, sentence = drawn
        say(f"note: what is learned from is drawn in {path}: {sentence}")


def experiment_for_data(arguments: argparse.Namespace) -> FpmExperiment:
    """Settings that suit the data given, where there is no experiment."""
    from ptychoui.settings import blank_experiment, for_microscopes
    from ptychoui.tasks.fpm.defaults import fitted

    _refuse_k_space(arguments.data)
    name = Path(arguments.data).name.partition(".")[0] or "untitled"
    experiment = fitted(for_microscopes(with_options(blank_experiment().replace(name=name[:120]), arguments)))
    design, network, training = experiment.design, experiment.network, experiment.training
    limit = None if experiment.geometry is None else experiment.geometry.array.max_illumination_na
    seen = "" if limit is None else f", LEDs up to NA {limit:g}, beyond which the images are dark"
    say(
        f"note: no experiment was given: {design.bright_field_rows} bright-field and {design.dark_field_rows} "
        f"dark-field patterns{seen}, {network.unrolls} unrolls, {training.steps} steps, tiles of "
        f"{experiment.data.tile_px} pixels; edit a copy of the run folder's experiment.toml and train that to change "
        "them"
    )
    return experiment


def _refuse_k_space(path: str) -> None:
    """K-space alone does not say how it is to be learned from; stacks do."""
    from ptychoui.data.formats.open_kspace import is_kspace

    if is_kspace(path):
        raise PtychouiError(
            f"{Path(path).name} is k-space, which needs an experiment to be learned from",
            f"for example: ptychoui train resources/experiments/mri_2d.toml --data {path}",
        )


def _follow(trainer: Trainer[AnyTask], control: RunControl) -> dict[str, Any]:
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


@contextlib.contextmanager
def _told(control: RunControl, show: Callable[[str], None], least_s: float = 0.0) -> Iterator[None]:
    """While something takes long, say every second what it is, and for how long it has been going on.

    What has been going on for less than ``least_s`` has no words.
    """
    import threading

    over = threading.Event()

    def tell() -> None:
        while not over.wait(1.0):
            text, seconds = control.doing
            time_taken = f", {seconds:.0f} s" if seconds >= 1 else ""
            show(text + time_taken if seconds >= least_s else "")

    thread = threading.Thread(target=tell, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _show_events(trainer: Trainer[AnyTask]) -> dict[str, Any]:
    """Show a run's events as a progress bar; return what ``--json`` prints."""
    from tqdm import tqdm

    from ptychoui.settings import kind_of
    from ptychoui.training.events import (
        Finished,
        Judged,
        Saved,
        Started,
        StepDone,
        Stopped,
        StrategyChanged,
        Validated,
        VjpsChecked,
    )

    metric = kind_of(trainer.task.experiment.kind).metrics[0]
    values: dict[str, Any] = {"state": "failed", "run_folder": str(trainer.folder.path) if trainer.folder else None}
    previous = [event for event in (trainer.folder.events() if trainer.folder else []) if event["kind"] == "validated"]
    if previous:
        values |= {"start_error": previous[0][metric.name], metric.name: previous[-1][metric.name]}
        values |= {"held_out_loss_at_start": previous[0]["loss"], "held_out_loss": previous[-1]["loss"]}
    steps = trainer.task.experiment.training.steps
    with (
        tqdm(total=steps, initial=trainer.step, unit="step", file=sys.stderr) as bar,
        _told(trainer.control, bar.set_description_str, least_s=1.0),
    ):
        for event in trainer.run():
            if isinstance(event, Started):
                for warning in event.warnings:
                    bar.write(f"warning: {warning}", file=sys.stderr)
                values["warnings"] = list(event.warnings)
                bar.write(event.summary, file=sys.stderr)
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
            elif isinstance(event, VjpsChecked):
                values["products_deviation"] = event.deviation
            elif isinstance(event, Validated):
                values.setdefault("start_error", event.scores[metric.name])
                values |= {**event.scores, "held_out_loss": event.loss}
                values.setdefault("held_out_loss_at_start", event.loss)
            elif isinstance(event, Judged):
                values["verdict"] = event.verdict.record()
            elif isinstance(event, Saved | Finished | Stopped):
                values["state"] = type(event).__name__.lower() if not isinstance(event, Saved) else values["state"]
            values["steps"] = event.step
    return values


def _add_evaluate(commands: Any) -> None:
    parser = commands.add_parser("evaluate", help="score a run's patterns")
    parser.add_argument("run_folder", metavar="RUN")
    parser.add_argument("--data", metavar="FILE", help="another stack, training set or k-space")
    parser.add_argument("--geometry", metavar="G.toml", help="geometry of --data, if it is not the run's")
    add_json(parser)
    parser.set_defaults(run=_evaluate)


def _evaluate(arguments: argparse.Namespace) -> int:
    from ptychoui.training.evaluation import evaluate_run

    values = evaluate_run(arguments.run_folder, arguments.data, arguments.geometry)
    if arguments.json:
        print_json(values)
    else:
        from ptychoui.settings import kind_of
        from ptychoui.training.run_folder import RunFolder

        metrics = kind_of(RunFolder.open(arguments.run_folder, lock=False).experiment().kind).metrics
        known = [metric for metric in metrics if metric.name in values]  # some have no meaning without a truth
        scores = ", ".join(f"{m.label} {values[m.name]:.3f}{f' {m.unit}' if m.unit else ''}" for m in known)
        print(f"{values['objects']} held-out objects against {values['reference']}: {scores}")
    return 0


def _add_export(commands: Any) -> None:
    parser = commands.add_parser("export", help="write a run's patterns for hardware or other programs")
    parser.add_argument("run_folder", metavar="RUN")
    parser.add_argument("--to", required=True, metavar="FORMAT", help="json, csv, png, npz, c_header, illuminate, ...")
    parser.add_argument("-o", "--output", required=True, metavar="PATH")
    parser.add_argument(
        "--learned", action="store_true", help="the learned patterns, also where the run recommends others"
    )
    parser.add_argument("--bits", type=whole(1), help="bits of a drive level (1 is on or off)")
    add_json(parser)
    parser.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> int:
    from ptychoui.data.files import check_parent
    from ptychoui.design.patterns import PatternSet
    from ptychoui.export.formats import FORMATS
    from ptychoui.export.quantise import quantise
    from ptychoui.export.results import export_result
    from ptychoui.tasks.fpm.rescoring import rescored
    from ptychoui.training.evaluation import load_run

    check_parent(arguments.output)
    trainer = load_run(arguments.run_folder)
    result = trainer.learned() if arguments.learned else trainer.result()
    exported = export_result(result, arguments.to, arguments.output, bits=arguments.bits)
    values: dict[str, Any] = {"paths": [str(p) for p in exported.paths], "notes": list(exported.notes)}
    if trainer.verdict is not None:
        values["notes"].append(trainer.verdict.sentence)
    bits = arguments.bits or (FORMATS[arguments.to].bits if isinstance(result, PatternSet) else 0)
    if bits and isinstance(result, PatternSet):
        coded = quantise(result.levels, bits)
        raw = rescored(trainer, result.levels, result.exposures)["complex_error"]
        shown = rescored(trainer, coded.levels, result.exposures * coded.exposure_scale)["complex_error"]
        values |= {"bits": bits, "complex_error_raw": raw, "complex_error_quantised": shown}
        text = f"with {bits}-bit levels the held-out complex error goes from {raw:.3f} to {shown:.3f}"
        values["notes"].append(text)
    if arguments.json:
        print_json(values)
        return 0
    for note in values["notes"]:
        say(f"note: {note}")
    for path in values["paths"]:
        print(path)
    return 0
