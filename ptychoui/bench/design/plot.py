"""How many images are needed: error and resolution of every design against the number of frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ptychoui.bench.design.entrants import ALL_EQUAL, ALL_WHOLE
from ptychoui.bench.engine.plot import save_figure
from ptychoui.tasks.fpm.titles import NETWORK, SOLVER
from ptychoui.training.verdict import LEARNED

COLOURS = {
    LEARNED: "#dc2626",
    "half_circles": "#1d4ed8",
    "hybrid": "#0891b2",
    "random_partition": "#65a30d",
    "singles": "#d97706",
    "dense_random": "#9ca3af",
    ALL_EQUAL: "#7c3aed",
    ALL_WHOLE: "#111827",
}
OTHERS = ("#be185d", "#92400e", "#4d7c0f", "#0f766e")
"""Of patterns that were given."""

PANELS = (
    (NETWORK, "error", "Complex error, by its network"),
    (SOLVER, "error", "Complex error, by a converged solver"),
    (SOLVER, "resolution_um", "Resolved period (µm)"),
)


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw error by both judges and resolution against frames, and save the figure.

    Raises
    ------
    SettingsError
        If the file cannot be written, or its format is not one that matplotlib knows.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

    figure = Figure(figsize=(15, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 3)
    rows = result["rows"]
    titles = {row["design"]: row["title"] for row in rows}
    counts = sorted({row["frames"] for row in rows})
    for panel, (judge, key, label) in zip(axes, PANELS, strict=True):
        for place, name in enumerate(titles):
            colour = COLOURS.get(name, OTHERS[place % len(OTHERS)])
            points = [
                (row["frames"], row[key])
                for row in rows
                if row["design"] == name and row["judge"] == judge and row[key] is not None and row[key] < 1e6
            ]
            if points:
                learned, ceiling = name == LEARNED, name in (ALL_EQUAL, ALL_WHOLE)
                panel.plot(
                    *zip(*points, strict=True),
                    marker=None if ceiling else "o",
                    linestyle="--" if ceiling else "-",
                    linewidth=2.6 if learned else 1.4,
                    color=colour,
                    label=titles[name],
                    zorder=3 if learned else 2,
                )
        panel.set_xscale("log", base=2)
        panel.xaxis.set_major_locator(FixedLocator(counts))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.xaxis.set_major_formatter(ScalarFormatter())
        panel.set_ylim(bottom=0)
        panel.set_xlabel("Frames")
        panel.set_ylabel(label)
        panel.grid(True, color="#e5e7eb", linewidth=0.8)
        panel.spines[["top", "right"]].set_visible(False)
    handles, labels = axes[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    figure.suptitle(f"{result['experiment']['name']}: held-out objects, one exposure time for each frame", fontsize=11)
    save_figure(figure, path)
