"""Figures of a reconstruction for a machine without a screen."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.files import make_folder, write_atomic
from ptychoui.data.results import StoredReconstruction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ptychoui.workflows.explained_stack import ExplainedStack


def write_figures(folder: str | Path, result: StoredReconstruction) -> tuple[Path, ...]:
    """Write ``object.png`` (amplitude and phase), ``pupil.png`` and ``leds.png`` into a folder.

    Raises
    ------
    DataError
        If the folder cannot be made or written.
    """
    folder = make_folder(folder)
    figures = {
        "object": object_figure(result.object, result.object_pixel_um),
        "pupil": _pupil(result),
        "leds": _leds(result),
    }
    paths = []
    for name, figure in figures.items():
        paths.append(_write(folder / f"{name}.png", figure))
    return tuple(paths)


TRUTH = "truth.png"
"""The picture of what a measured stack is learned from, in its run folder."""


def write_truth(path: Path, field: ExplainedStack, held_out_from_px: int) -> Path:
    """Write the object that a measured stack is learned from as a picture; scores are of what lies right of the line.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    pixel_um = field.microscope.pixel_size_um / field.upsampling
    return _write(path, object_figure(field.object, pixel_um, held_out_from_px * field.microscope.pixel_size_um))


def _write(path: Path, figure: Figure) -> Path:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return write_atomic(path, buffer.getvalue())


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def object_figure(object_: NDArray[np.complex64], pixel_um: float, line_um: float | None = None) -> Figure:
    """Amplitude and phase of an object (row, column), pixels in um, with an upright line at a place in um."""
    rows, columns = object_.shape
    figure = _figure(14, 1 + 6.4 * rows / columns)
    amplitude = np.abs(object_)
    # The phase of the whole means nothing; around its mean it wraps least.
    phase = np.angle(object_ * np.exp(-1j * np.angle(object_.mean())))
    extent = (0, columns * pixel_um, rows * pixel_um, 0)
    both = ((amplitude, "amplitude", "gray"), (phase, "phase (rad)", "viridis"))
    for axes, (picture, title, colours) in zip(figure.subplots(1, 2), both, strict=True):
        low, high = np.quantile(picture, (0.002, 0.998))
        shown = axes.imshow(picture, cmap=colours, vmin=low, vmax=high, extent=extent)
        axes.set(title=title, xlabel="um")
        if line_um is not None:
            axes.axvline(line_um, color="tab:orange", lw=1)
        figure.colorbar(shown, ax=axes, shrink=0.8)
    return figure


def _pupil(result: StoredReconstruction) -> Figure:
    pupil = result.pupil[len(result.pupil) // 2]
    figure = _figure(9, 4.2)
    reach = pupil.shape[-1] / 2 * result.frequency_step_per_um
    open_ = np.abs(pupil) > 0.1 * np.abs(pupil).max()
    phase = np.where(open_, np.angle(pupil * np.exp(-1j * np.angle(pupil.sum()))), np.nan)
    for axes, (picture, title, colours) in zip(
        figure.subplots(1, 2),
        ((np.abs(pupil), "pupil amplitude", "gray"), (phase, "phase (rad)", "viridis")),
        strict=True,
    ):
        shown = axes.imshow(picture, cmap=colours, extent=(-reach, reach, reach, -reach))
        axes.set(title=title, xlabel="1/um")
        figure.colorbar(shown, ax=axes, shrink=0.8)
    return figure


def _leds(result: StoredReconstruction) -> Figure:
    middle = len(result.corners_px) // 2
    figure = _figure(9, 4.2)
    rows = [(result.gain[middle], "brightness")]
    if result.weights is None:
        rows.append((result.residual[middle], "residual"))
    for place, (values, title) in enumerate(rows):
        axes = figure.add_subplot(1, 2, place + 1)
        x, y = result.illumination_na[middle].T
        shown = axes.scatter(x, y, c=values, s=16)
        axes.set(title=title, xlabel="NA x", ylabel="NA y", aspect="equal")
        # As the images lie: rows run down.
        axes.invert_yaxis()
        figure.colorbar(shown, ax=axes, shrink=0.8)
    return figure
