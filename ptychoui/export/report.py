"""Figures and a report of a run, for a machine without a screen and for the notebook."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ptychoui.data.files import write_atomic
from ptychoui.errors import RunError
from ptychoui.export.formats import export_patterns
from ptychoui.training.trainer import Trainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_report(trainer: Trainer) -> Path:
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
    figures = {
        "loss": _loss_figure(events),
        "reconstruction": _reconstruction_figure(trainer),
        "patterns": _patterns_figure(trainer),
    }
    pictures = {}
    for name, figure in figures.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
        pictures[name] = buffer.getvalue()
        write_atomic(folder / f"{name}.png", pictures[name], RunError)
    export_patterns(trainer.patterns(), "json", trainer.folder.path / "patterns.json")
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
        axes.plot(*np.array(scores).T, "o-", ms=3, color="tab:blue", label="held-out objects")
    axes.set(xlabel="optimiser step", ylabel="loss", yscale="log")
    axes.grid(alpha=0.3)
    if steps or scores:
        axes.legend(frameon=False)
    return figure


def _reconstruction_figure(trainer: Trainer) -> Figure:
    shot = trainer.snapshot()
    figure = _figure(8, 7)
    axes = figure.subplots(2, 2)
    extent = (0, shot.amplitude.shape[1] * shot.pixel_size_um, shot.amplitude.shape[0] * shot.pixel_size_um, 0)
    low, high = np.quantile(shot.true_amplitude, (0.001, 0.999))
    reach = float(np.abs(shot.true_phase_rad).max())
    reference = trainer.problem.reference
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


def _patterns_figure(trainer: Trainer) -> Figure:
    patterns = trainer.patterns()
    count = len(patterns.levels)
    columns = min(4, count)
    lines = -(-count // columns)
    figure = _figure(2.6 * columns, 2.8 * lines)
    na = trainer.problem.objective_na
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


def _page(trainer: Trainer, events: list[dict[str, Any]], pictures: dict[str, bytes]) -> str:
    scores = [e for e in events if e["kind"] == "validated"]
    patterns = trainer.patterns()
    experiment = trainer.problem.experiment
    rows = [
        ("experiment", experiment.name),
        ("steps", str(trainer.step)),
        ("patterns", f"{len(patterns.levels)} on {len(patterns.led_numbers)} LEDs"),
        (
            "network",
            f"{experiment.network.unrolls} unrolls, step {experiment.network.step:g}, "
            f"momentum {experiment.network.momentum}",
        ),
        ("gradient strategy", trainer.strategy),
        ("memory of a step", f"{trainer.memory_bytes / 1e6:.1f} MB"),
        ("time", f"{trainer.elapsed_s:.0f} s"),
        ("seed", str(experiment.seed)),
        ("data sha256", trainer.problem.data_sha256),
        ("reference", trainer.problem.reference),
    ]
    if scores:
        rows.insert(
            2, ("held-out complex error", f"{scores[0]['complex_error']:.3f} -> {scores[-1]['complex_error']:.3f}")
        )
        rows.insert(3, ("held-out loss", f"{scores[0]['loss']:.4f} -> {scores[-1]['loss']:.4f}"))
    cells = "".join(f"<tr><th>{html.escape(k)}</th><td>{html.escape(v)}</td></tr>" for k, v in rows)
    images = "".join(
        f"<h2>{name}</h2><img alt='{name}' src='data:image/png;base64,{base64.b64encode(data).decode()}'>"
        for name, data in pictures.items()
    )
    style = (
        "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}"
        "th{text-align:left;padding-right:1.5rem;font-weight:600}img{max-width:100%}td{word-break:break-all}"
    )
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{html.escape(experiment.name)}</title>"
        f"<style>{style}</style><h1>{html.escape(experiment.name)}</h1><table>{cells}</table>{images}</html>\n"
    )
