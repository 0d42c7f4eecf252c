"""Reports for the notebook of a reconstruction and of a comparison, each one file. Both belong in a job."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ptychoui import __version__
from ptychoui.data.files import write_atomic
from ptychoui.errors import DataError
from ptychoui.export import page
from ptychoui.session.comparison_told import TABLE_HEADER, ComparisonHistory
from ptychoui.session.stack_frc import FrcFound
from ptychoui.session.stack_run import StackReport
from ptychoui.words import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def write_reconstruction_page(
    path: Path, report: StackReport, data: str, frc: FrcFound | None = None, now: datetime | None = None
) -> Path:
    """Write a reconstruction of some data as one HTML file, with the comparison of two halves where there is one.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    figures = {
        "Object": _object(report),
        "Pupil": _pupil(report),
        "LEDs": _leds(report),
        "Residual after each pass": _residual(report),
    }
    if frc is not None:
        figures["Agreement of two halves of the LEDs"] = _frc(frc)
    found, quality = report.found, report.quality
    microscope = report.geometry.microscope
    out = [int(found.led_numbers[led]) for led in quality.worst_first[: int(quality.outlier.sum())]]
    edge = report.amplitude.shape[1] * found.object_pixel_um
    rows = [
        ("data", data),
        ("written", _stamp(now)),
        ("wavelength", f"{microscope.wavelength_um:g} µm"),
        ("objective", f"NA {microscope.objective_na:g}, {microscope.magnification:g} ×"),
        (
            "pixel in the object plane",
            f"{microscope.pixel_size_um:.4g} µm in the images, {found.object_pixel_um:.4g} µm",
        ),
        ("field", f"{edge:.4g} µm wide, {report.amplitude.shape[1]} × {report.amplitude.shape[0]} pixels"),
        ("synthetic NA", f"{report.coverage.least_na:.3f} to {report.coverage.largest_na:.3f}"),
        ("LEDs", f"{len(found.led_numbers)}"),
        ("LEDs that stand out", ", ".join(map(str, out)) if out else "none"),
        ("residual", f"{found.history[-1]:.4g} after {counted(len(found.history), 'pass', 'passes')}"),
        ("ended", "after its last pass" if report.complete else "stopped before its last pass"),
        ("time", f"{report.seconds:.1f} s"),
    ]
    if frc is not None:
        rows.append(("two halves of the LEDs", frc.sentence))
    pictures = page.pictures({name: page.png_of(figure) for name, figure in figures.items()})
    return write_atomic(path, page.page(f"Reconstruction of {data}", rows, pictures))


def write_comparison_page(path: Path, history: ComparisonHistory, now: datetime | None = None) -> Path:
    """Write a comparison of designs as one HTML file: the verdicts, the table, errors, and patterns.

    Raises
    ------
    DataError
        If nothing is compared yet, or the file cannot be written.
    """
    result = history.result
    if result is None or history.begun is None:
        raise DataError("there is no result yet", "wait until all designs are judged once")
    rows = [
        ("experiment", _text(result.get("experiment", "")) or "not named"),
        ("written", _stamp(now)),
        ("splits", str(history.begun.seeds)),
        ("data sha256", str(result.get("data_sha256", ""))),
    ]
    reference = history.usual_reference()
    parts = [page.section("Verdict", [str(verdict["sentence"]) for verdict in result["verdicts"]])]
    for frames in sorted({run.frames for run in history.runs}):
        title = f"At {counted(frames, 'frame')}"
        parts.append(page.section(title, ["Gains are over the best hand-made design, with their 95 % intervals"]))
        parts.append(page.table(TABLE_HEADER, (row.cells for row in history.table(reference, frames))))
    figures = {"Phase as each design gives it": page.png_of(_phases(history))}
    return write_atomic(path, page.page("Comparison of designs", rows, *parts, page.pictures(figures)))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value.get("name", "")) if isinstance(value, dict) else ""


def _stamp(now: datetime | None) -> str:
    return f"{(now or datetime.now()):%Y-%m-%d %H:%M} by ptychoui {__version__}"


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _map(axes: Axes, values: Any, title: str, colours: str, extent: tuple[float, ...], label: str) -> None:
    low, high = np.nanquantile(values, (0.002, 0.998))
    shown = axes.imshow(values, cmap=colours, vmin=low, vmax=high, extent=extent)  # type: ignore[arg-type]
    axes.set(title=title, xlabel=label)
    if axes.figure is not None:
        axes.figure.colorbar(shown, ax=axes, shrink=0.8)


def _object(report: StackReport) -> Figure:
    rows, columns = report.amplitude.shape
    pixel = report.found.object_pixel_um
    extent = (0.0, columns * pixel, rows * pixel, 0.0)
    figure = _figure(10, 0.8 + 4.4 * rows / columns)
    phase = report.phase_rad if report.unwrapped_rad is None else report.unwrapped_rad
    left, right = figure.subplots(1, 2)
    _map(left, report.amplitude, "amplitude", "gray", extent, "µm")
    _map(right, phase, "phase (rad)", "viridis", extent, "µm")
    return figure


def _pupil(report: StackReport) -> Figure:
    pupil, reach = report.found.pupil, report.pupil_na
    open_ = np.abs(pupil) > 0.1 * np.abs(pupil).max()
    phase = np.where(open_, np.angle(pupil * np.exp(-1j * np.angle(pupil.sum()))), np.nan)
    figure = _figure(9, 4)
    left, right = figure.subplots(1, 2)
    extent = (-reach, reach, reach, -reach)
    _map(left, np.abs(pupil), "amplitude", "gray", extent, "NA")
    _map(right, phase, "phase (rad)", "viridis", extent, "NA")
    return figure


def _leds(report: StackReport) -> Figure:
    figure = _figure(9, 4)
    x, y = report.found.illumination_na.T
    pairs = ((100 * report.quality.misfit, "misfit (% of the open field)"), (report.found.gain, "fitted brightness"))
    for axes, (values, title) in zip(figure.subplots(1, 2), pairs, strict=True):
        shown = axes.scatter(x, y, c=values, s=18)
        axes.scatter(*report.found.illumination_na[report.quality.outlier].T, s=60, facecolors="none", edgecolors="r")
        axes.set(title=title, xlabel="NA x", ylabel="NA y", aspect="equal")
        figure.colorbar(shown, ax=axes, shrink=0.8)
    return figure


def _residual(report: StackReport) -> Figure:
    figure = _figure(7, 3)
    axes = figure.add_subplot()
    axes.plot(np.arange(1, len(report.found.history) + 1), report.found.history, "o-", ms=3, lw=1)
    axes.set(xlabel="pass", ylabel="residual (share of all light)", yscale="log")
    axes.grid(alpha=0.3)
    return figure


def _frc(found: FrcFound) -> Figure:
    figure = _figure(7, 3)
    axes = figure.add_subplot()
    axes.plot(found.frc.frequency_per_um, found.frc.correlation, label="two halves")
    axes.plot(found.frc.frequency_per_um, found.frc.half_bit, "--", color="0.5", label="half-bit threshold")
    axes.set(xlabel="spatial frequency (1/µm)", ylabel="correlation")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    return figure


def _phases(history: ComparisonHistory) -> Figure:
    shown = history.shown()
    columns = min(4, max(1, len(shown)))
    lines = -(-max(1, len(shown)) // columns)
    figure = _figure(2.8 * columns, 3.0 * lines)
    for place, one in enumerate(shown):
        axes = figure.add_subplot(lines, columns, place + 1)
        image = axes.imshow(np.angle(one.objects[0] * np.exp(-1j * np.angle(one.objects[0].sum()))), cmap="viridis")
        axes.set_title(one.title, fontsize=9, wrap=True)
        axes.set_axis_off()
        figure.colorbar(image, ax=axes, shrink=0.7, label="rad")
    return figure
