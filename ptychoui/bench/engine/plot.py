"""The published memory-time-accuracy figure, with every row of the engine benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ptychoui.errors import SettingsError

COLOURS = {
    "autograd store_all": "#6b7280",
    "torch checkpoint": "#9ca3af",
    "store_all": "#1d4ed8",
    "checkpoint": "#0891b2",
    "offload": "#7c3aed",
    "binomial": "#65a30d",
    "reversible": "#dc2626",
    "inverse": "#d97706",
    "greedy": "#be185d",
    "published back-propagation": "#111827",
    "published memory-efficient": "#92400e",
}
PANELS = (
    ("peak_extra_bytes", "Peak memory of a pass (MB)", 1e-6),
    ("seconds", "Time of a pass (s)", 1.0),
    ("gradient_error", "Relative error of the gradient", 1.0),
)


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw memory, time and gradient error against unrolls and save the figure.

    Raises
    ------
    SettingsError
        If the file cannot be written, or its format is not one that matplotlib knows.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 3)
    rows: list[dict[str, Any]] = result["rows"]
    for panel, (key, label, unit) in zip(axes, PANELS, strict=True):
        for name, colour in COLOURS.items():
            points = sorted(
                (row["unrolls"], row[key] * unit)
                for row in rows
                if row["strategy"] == name and row[key] is not None and row[key] > 0
            )
            if points:
                ours = name == "reversible"
                panel.plot(
                    *zip(*points, strict=True),
                    marker="o",
                    markersize=6 if ours else 4,
                    linewidth=2.6 if ours else 1.4,
                    linestyle="--" if name.startswith(("published", "autograd", "torch")) else "-",
                    color=colour,
                    label=name,
                    zorder=3 if ours else 2,
                )
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_xlabel("Unrolls")
        panel.set_ylabel(label)
        panel.grid(True, which="major", color="#e5e7eb", linewidth=0.8)
        panel.spines[["top", "right"]].set_visible(False)
    note = "rows with error 0 (equal bit for bit) are not drawn"
    axes[2].text(0.03, 0.97, note, transform=axes[2].transAxes, va="top", fontsize=8, color="#6b7280")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False, fontsize=9)
    figure.suptitle(
        f"{result['leds']} LEDs, {result['measurements']} measurements, {rows[0]['size'] if rows else '?'}² object, "
        f"{result['device']}, {result['threads']} threads",
        fontsize=11,
    )
    save_figure(figure, path)


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure of matplotlib; `SettingsError` where the place or the format is none."""
    try:
        figure.savefig(path, dpi=130)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"cannot write the figure {str(path)!r}: {error}", "give a file name ending in .png"
        ) from None
