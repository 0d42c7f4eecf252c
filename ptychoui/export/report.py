"""Figures and a report of a run, for a machine without a screen and for the notebook."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ptychoui.data.files import write_atomic
from ptychoui.design.patterns import PatternSet
from ptychoui.errors import RunError
from ptychoui.export import page
from ptychoui.export.results import export_result
from ptychoui.settings import kind_of
from ptychoui.tasks.fpm.events import PatternSnapshot
from ptychoui.tasks.fpm.robustness import RobustnessCard
from ptychoui.tasks.fpm.robustness_runs import kept_card
from ptychoui.training.events import ShownArray
from ptychoui.training.task import AnyTask
from ptychoui.training.trainer import Trainer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def write_report(trainer: Trainer[AnyTask]) -> Path:
    """Write ``figures/*.png`` and a self-contained ``report.html`` into the run's folder.

    Returns
    -------
    The report's path.

    Raises
    ------
    RunError
        If the run has no folder, or it cannot be written.
    """
    if trainer.folder is None:
        raise RunError("this run has no folder to report into", "start it with a run folder")
    folder = trainer.folder.path / "figures"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot make {folder}: {error.strerror}") from None
    events = trainer.folder.events()
    result = trainer.result()
    figures = {"loss": _loss_figure(events), "reconstruction": _snapshot_figure(trainer)}
    if isinstance(result, PatternSet):
        figures["patterns"] = _patterns_figure(result)
    pictures = {}
    for name, figure in figures.items():
        pictures[name] = page.png_of(figure)
        write_atomic(folder / f"{name}.png", pictures[name], RunError)
    name = "patterns.json" if isinstance(result, PatternSet) else "result.json"
    export_result(result, "json", trainer.folder.path / name)
    report = trainer.folder.path / "report.html"
    write_atomic(report, _page(trainer, events, pictures), RunError)
    return report


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _loss_figure(events: list[dict[str, Any]]) -> Figure:
    figure = _figure(7, 3.6)
    axes = figure.add_subplot()
    steps = [(e["step"], e["loss"]) for e in events if e["kind"] == "step"]
    scores = [(e["step"], e["loss"]) for e in events if e["kind"] == "validated"]
    if steps:
        axes.plot(*np.array(steps).T, lw=1, color="0.6", label="training batch")
    if scores:
        axes.plot(*np.array(scores).T, "o-", ms=3, color="tab:blue", label="held-out examples")
    axes.set(xlabel="optimiser step", ylabel="loss", yscale="log")
    axes.grid(alpha=0.3)
    if steps or scores:
        axes.legend(frameon=False)
    return figure


def _snapshot_figure(trainer: Trainer[AnyTask]) -> Figure:
    """What is reconstructed now; patterns beside the truth with limits of their own, others as they come."""
    shot = trainer.snapshot()
    if isinstance(shot, PatternSnapshot):
        return _reconstruction_figure(shot, trainer.task.reference)
    pictures = shot.pictures
    figure = _figure(8, 3.5 * max(1, -(-len(pictures) // 2)))
    for place, shown in enumerate(pictures):
        _draw(figure.add_subplot(-(-len(pictures) // 2), 2, place + 1), shown)
    return figure


def _draw(axes: Axes, shown: ShownArray) -> None:
    """One picture or curve."""
    unit = f" ({shown.unit})" if shown.unit else ""
    axes.set_title(f"{shown.title}{unit}")
    if shown.values.ndim == 1:
        axes.plot(shown.values, lw=1)
        return
    rows, columns = shown.values.shape
    pixel = shown.pixel_size_um or 1.0
    axes.imshow(shown.values, cmap="gray", extent=(0, columns * pixel, rows * pixel, 0))
    axes.set_xlabel("um" if shown.pixel_size_um else "pixel")


def _reconstruction_figure(shot: PatternSnapshot, reference: str) -> Figure:
    figure = _figure(8, 7)
    axes = figure.subplots(2, 2)
    extent = (0, shot.amplitude.shape[1] * shot.pixel_size_um, shot.amplitude.shape[0] * shot.pixel_size_um, 0)
    low, high = np.quantile(shot.true_amplitude, (0.001, 0.999))
    reach = float(np.abs(shot.true_phase_rad).max())
    rows = (
        (shot.amplitude, shot.true_amplitude, "amplitude", {"cmap": "gray", "vmin": low, "vmax": high}),
        (shot.phase_rad, shot.true_phase_rad, "phase (rad)", {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach}),
    )
    for line, (mine, truth, label, style) in zip(axes, rows, strict=True):
        for ax, picture, title in zip(line, (mine, truth), ("learned design", reference), strict=True):
            shown = ax.imshow(picture, extent=extent, **style)
            ax.set_title(f"{title}: {label}")
            ax.set_xlabel("um")
        figure.colorbar(shown, ax=line, shrink=0.8)
    return figure


def _patterns_figure(patterns: PatternSet) -> Figure:
    count = len(patterns.levels)
    columns = min(4, count)
    lines = -(-count // columns)
    figure = _figure(2.6 * columns, 2.8 * lines)
    na = patterns.geometry.microscope.objective_na
    for index, (levels, name) in enumerate(zip(patterns.levels, patterns.row_names, strict=True)):
        ax = figure.add_subplot(lines, columns, index + 1)
        na_x, na_y = patterns.illumination_na.T
        ax.scatter(na_x, na_y, c=levels, cmap="inferno", vmin=0, vmax=1, s=28, edgecolors="0.7", lw=0.3)
        angle = np.linspace(0, 2 * np.pi, 100)
        ax.plot(na * np.cos(angle), na * np.sin(angle), lw=0.8, color="tab:blue")
        ax.set_aspect("equal")
        ax.set_title(f"{name}, {patterns.exposures[index]:.2f} frames", fontsize=9)
        ax.tick_params(labelsize=7)
    return figure


def _page(trainer: Trainer[AnyTask], events: list[dict[str, Any]], pictures: dict[str, bytes]) -> str:
    scores = [e for e in events if e["kind"] == "validated"]
    task = trainer.task
    experiment, metric = task.experiment, kind_of(task.experiment.kind).metrics[0]
    rows = [
        ("experiment", experiment.name),
        ("steps", str(trainer.step)),
        *task.facts().items(),
        ("gradient strategy", trainer.strategy),
        ("memory of a step", f"{trainer.memory_bytes / 1e6:.1f} MB"),
        ("time", f"{trainer.elapsed_s:.0f} s"),
        ("seed", str(experiment.seed)),
        ("data sha256", task.data_sha256),
        ("reference", task.reference),
    ]
    if trainer.verdict is not None:
        rows.insert(1, ("recommendation", trainer.verdict.sentence))
    if scores:
        rows.insert(2, (f"held-out {metric.label}", f"{scores[0][metric.name]:.3f} -> {scores[-1][metric.name]:.3f}"))
        rows.insert(3, ("held-out loss", f"{scores[0]['loss']:.4f} -> {scores[-1]['loss']:.4f}"))
    card = kept_card(trainer.folder.path, trainer.step) if trainer.folder else None
    return page.page(experiment.name, rows, _card(card), page.pictures(pictures))


def _card(card: RobustnessCard | None) -> str:
    """How well the patterns hold when the microscope is not as stated, where that was tried."""
    if card is None:
        return ""
    lines = card.cells()
    return page.section("robustness", (card.sentence, *card.notes, card.basis)) + page.table(lines[0], lines[1:])
