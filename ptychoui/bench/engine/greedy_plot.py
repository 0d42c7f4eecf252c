"""Held-out losses of greedy and end-to-end learning against steps and against time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ptychoui.bench.engine.plot import save_figure
from ptychoui.errors import SettingsError

LABELS = {"cnn": "Mean square error", "design": "Complex error"}


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw one row of panels for each problem and save the figure.

    Raises
    ------
    SettingsError
        If there is no curve, the file cannot be written, or its format is not one that matplotlib knows.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves: list[dict[str, Any]] = result["curves"]
    problems = list(dict.fromkeys(curve["problem"] for curve in curves))
    if not problems:
        raise SettingsError("there is no loss curve to draw", "leave --plot out, or ask for steps with --steps")
    figure = Figure(figsize=(10, 4 * len(problems)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(problems), 2, squeeze=False)
    for axes, problem in zip(grid, problems, strict=True):
        for panel, (key, label) in zip(axes, (("steps", "Optimiser steps"), ("seconds", "Seconds")), strict=True):
            for curve in curves:
                if curve["problem"] == problem:
                    greedy = curve["strategy"] == "greedy"
                    panel.plot(
                        curve[key],
                        curve["scores"],
                        marker="o",
                        markersize=3.5,
                        color="#be185d" if greedy else "#0891b2",
                        label="greedy" if greedy else f"end to end ({curve['strategy']})",
                    )
            panel.set_yscale("log")
            panel.set_xlabel(label)
            panel.grid(True, which="both", color="#e5e7eb", linewidth=0.8)
            panel.spines[["top", "right"]].set_visible(False)
        axes[0].set_ylabel(f"{LABELS[problem]}, held out")
        axes[0].set_title(problem, loc="left", fontsize=11)
        axes[1].legend(frameon=False, fontsize=9)
    save_figure(figure, path)
