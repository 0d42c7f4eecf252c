"""Memory of one training step of the poster's problem against unrolls: what is measured beside what others need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ptychoui.bench.engine.plot import save_figure
from ptychoui.words import counted

OTHERS = (
    ("published_bytes", "published algorithm, one graph", "#92400e", "--"),
    ("autograd_bytes", "back-propagation, same model", "#6b7280", "--"),
    ("checkpoint_bytes", "a checkpoint at every unroll", "#0891b2", "-"),
)


def plot(result: dict[str, Any], path: Path) -> None:
    """Draw it and save the figure.

    Raises
    ------
    SettingsError
        If the file cannot be written, or its format is not one that matplotlib knows.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps: list[dict[str, Any]] = sorted(result["steps"], key=lambda step: step["unrolls"])
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    depths = [step["unrolls"] for step in steps]
    for key, label, colour, line in OTHERS:
        values = [step[key] / 1e9 for step in steps]
        axes.plot(depths, values, line, color=colour, marker="s", markersize=4, label=label)
    if result["stated_bytes"]:
        axes.plot([300], [result["stated_bytes"] / 1e9], "k*", markersize=13, label="stated by the poster")
    axes.plot(
        depths, [step["metered_bytes"] / 1e9 for step in steps], "o-", color="#dc2626", linewidth=2.6, label="ptychoui"
    )
    if all(step["resident_bytes"] for step in steps):
        whole = [step["resident_bytes"] / 1e9 for step in steps]
        axes.plot(depths, whole, "o:", color="#dc2626", markerfacecolor="none", label="ptychoui, whole process")
    for step in steps:
        text = f"{step['metered_bytes'] / 1e9:.2f} GB, exact"
        axes.annotate(text, (step["unrolls"], step["metered_bytes"] / 1e9), (0, -14), textcoords="offset points",
                      ha="center", fontsize=9, color="#dc2626")  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="Unrolls", ylabel="Memory of one training step (GB)")
    axes.set_ylim(bottom=min(step["metered_bytes"] for step in steps) / 1e9 / 3)
    axes.set_xticks(depths, [str(depth) for depth in depths], minor=False)
    axes.minorticks_off()
    axes.grid(True, which="major", color="#e5e7eb", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    size = result["size_px"]
    axes.set_title(
        f"{result['leds']} LEDs, {result['measurements']} measurements, {size} x {size} pixels, {result['device']}, "
        f"{counted(result['threads'], 'thread')}",
        fontsize=11,
    )
    save_figure(figure, path)
