"""``ptychoui bench stack``: one stack through ptychoui, EPRY and the libraries of others, time and residual.

The residual sum (|g| - A)^2 / sum A^2 over all images, with A the square roots of the images, is taken by one function
of this module for every row, from the object and the pupil that the row found:

* ``points``: the field of each LED sampled at the camera's pixels, which is the model of EPRY and of the libraries;
* ``camera``: intensities integrated over the camera's pixels, ptychoui's own model;
* ``fitted``: the same with the brightness and the stray light of every image, where the row has fitted them.

ptychoui's tile has a free border, from which light reaches into the images, and directions between whole samples; the
rows ``points`` of ptychoui do without border and with the camera that samples points, as the libraries do.

Seconds go from the arrays of the stack to object and pupil, after one pass to warm up. Rows are interleaved. fpm-py,
PtyLab, deepinv and Pty-chi are no dependencies of ptychoui: a row says where one is not installed or does not run.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui import paths
from ptychoui.bench.peers.coupling import CannotRun, first_line
from ptychoui.bench.stack import methods
from ptychoui.bench.stack.methods import PEERS, Found, Method, Stack, inverse, make_stack, quiet
from ptychoui.errors import SettingsError
from ptychoui.optics.forward.grids import camera_matrix
from ptychoui.optics.reconstruction.stack import StackReconstruction
from ptychoui.settings import Reconstruct
from ptychoui.workflows.crop import central_window, image_places, leds_seen_from
from ptychoui.workflows.reconstruct_stack import open_stack

Residuals = Mapping[str, float]

REPEATS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table; where ``note`` says why a method cannot run, there are no numbers.

    Attributes
    ----------
    version
        Of the library.
    seconds, seconds_median
        Minimum and median of the repeats.
    points, camera, fitted
        Amplitude residuals in the models of the module's docstring.
    load
        Processes that wanted to run while it ran, a mean over a minute.
    """

    name: str
    version: str = ""
    passes: int = 0
    seconds: float | None = None
    seconds_median: float | None = None
    points: float | None = None
    camera: float | None = None
    fitted: float | None = None
    threads: int = 1
    load: float | None = None
    note: str = ""


@dataclass(slots=True)
class _Measured:
    """A method, and what it gave."""

    run: Callable[[int], Callable[[], Residuals]]
    """The reconstruction in so many passes; what it returns takes the residuals, which is not timed."""
    foreign: bool = False
    version: str = ""
    seconds: list[float] = field(default_factory=list)
    residuals: Residuals | None = None
    load: float | None = None
    note: str = ""


def load_stack(data: str | None = None, geometry: str | None = None, size: int | None = None) -> Stack:
    """Read a stack, by default the simulated one of the sample data, and take the middle of its images.

    Parameters
    ----------
    size
        Edge in camera pixels; by default as large as ``ptychoui reconstruct`` takes.
    """
    if data is None:
        data = str(paths.sample_data() / "stack.ome.tif")
        geometry = geometry or str(paths.sample_data() / "stack.geometry.toml")
    stack = open_stack(data, geometry)
    assert stack.geometry is not None
    shape = (stack.images.shape[1], stack.images.shape[2])
    window = central_window(shape, size) if size else central_window(shape)
    cut = stack.crop(window.row, window.column, window.size_px, window.size_px)
    point = window.field_point_um(shape, stack.geometry.microscope.pixel_size_um)
    leds = leds_seen_from(stack.geometry.array, point)
    return make_stack(stack.geometry, leds, cut.images[image_places(stack, leds, stack.provenance.source)])


def amplitude_residual(images: NDArray[np.float32], predicted: NDArray[np.float32]) -> float:
    """Compare intensities (L, n, n) with images (L, n, n): sum (sqrt(y) - A)^2 / sum A^2, with A^2 the images."""
    measured = np.clip(images, 0, None).astype(np.float64)
    difference = np.sqrt(np.clip(predicted, 0, None).astype(np.float64)) - np.sqrt(measured)
    return float(np.square(difference).sum() / measured.sum())


def sampled_at_points(stack: Stack, found: Found) -> NDArray[np.float32]:
    """(L, n, n) |F^-1[P . S(k - k_l)]|^2: the images of an object and a pupil in the common model."""
    n = stack.image_px
    images = np.empty_like(stack.images)
    for led in range(len(images)):
        row, column = stack.corner(led)
        images[led] = np.abs(inverse(found.spectrum[row : row + n, column : column + n] * found.pupil)) ** 2
    return images


def _other(method: Method, stack: Stack, notes: dict[str, str], name: str, passes: int) -> Callable[[], Residuals]:
    found = method(stack, passes)
    notes[name] = found.note
    return lambda: {"points": amplitude_residual(stack.images, sampled_at_points(stack, found))}


def _own(stack: Stack, settings: Reconstruct, points: bool, passes: int) -> Callable[[], Residuals]:
    geometry, settings = stack.geometry, settings.replace(passes=passes)
    if points:
        geometry = geometry.replace(microscope=geometry.microscope.replace(pixel="point"))
        settings = settings.replace(pad_px=0)
    work = StackReconstruction(geometry, stack.images, settings, stack.leds)
    for _done in work.run():
        pass
    return lambda: own_residuals(work, stack.images)


def own_residuals(work: StackReconstruction, images: NDArray[np.float32]) -> Residuals:
    """Residuals of a reconstruction of ptychoui in all models; its points are the middles of the camera's pixels."""
    model, optics = work.model, work.optics
    # The field's grid holds the intensity of one LED without aliasing, so that it can be sampled anywhere.
    points = camera_matrix(model.microscope.replace(pixel="point"), model.grids)
    sampled = torch.from_numpy(points).to(model.device, model.dtype)
    predicted = {name: np.empty_like(images) for name in ("points", "camera", "fitted")}
    with torch.no_grad():
        pupils = model.pupils(optics)
        for led in range(len(model)):
            field, _windows = model.fields(work.spectrum, pupils[led : led + 1], [led])
            intensity = field[0].abs().square()
            light = model.camera(intensity)
            predicted["points"][led] = (sampled @ intensity @ sampled.T).cpu().numpy()
            predicted["camera"][led] = light.cpu().numpy()
            predicted["fitted"][led] = (optics.log_gain[led].exp() * light + optics.background[led]).cpu().numpy()
    # At one brightness of all LEDs only the object's scale is left, which is that of the best fit.
    for name in ("points", "camera"):
        bright = np.clip(predicted[name], 0, None).astype(np.float64)
        scale = np.sqrt(bright * np.clip(images, 0, None)).sum() / bright.sum()
        predicted[name] = (scale**2 * bright).astype(np.float32)
    return {name: amplitude_residual(images, image) for name, image in predicted.items()}


def _methods(stack: Stack, notes: dict[str, str]) -> dict[str, _Measured]:
    measured: dict[str, _Measured] = {}
    pupils: tuple[Literal["fixed", "zernike", "free"], ...] = ("fixed", "zernike", "free")
    for points in (False, True):
        for pupil in pupils:
            for both in (False, True):
                settings = Reconstruct(pupil=pupil, gain=both, background=both)
                name = f"ptychoui {pupil}{', gain + stray' if both else ''}{', points' if points else ''}"
                if not points or pupil == "free":
                    measured[name] = _Measured(partial(_own, stack, settings, points))
    for name, weighted in (("NumPy EPRY", False), ("NumPy EPRY, weighted steps", True)):
        measured[name] = _Measured(partial(_other, partial(methods.epry, weighted=weighted), stack, notes, name))
    for name, peer in PEERS.items():
        method = partial(_other, peer.method, stack, notes, name)
        measured[name] = _Measured(method, foreign=True, version=peer.version)
    return measured


def run(
    passes: int = 10,
    data: str | None = None,
    geometry: str | None = None,
    size: int | None = None,
    repeats: int = REPEATS,
    only: tuple[str, ...] = (),
    progress: Callable[[str], None] = lambda _text: None,
) -> dict[str, object]:
    """Measure all rows; the dictionary is what ``--json`` prints.

    Parameters
    ----------
    passes
        Over all images.
    data, geometry, size
        See `load_stack`.
    only
        Starts of the names of the rows to measure, by default all.
    """
    stack = load_stack(data, geometry, size)
    notes: dict[str, str] = {}
    methods = _methods(stack, notes)
    chosen = {name: method for name, method in methods.items() if not only or name.lower().startswith(only)}
    if not chosen:
        raise SettingsError(f"no row begins with {only[0]!r}", f"rows are {', '.join(methods)}")
    for name, method in chosen.items():
        progress(f"{name}, to warm up")
        _once(method, 1)
        method.seconds.clear()
    for repeat in range(repeats):
        for name, method in chosen.items():
            if not method.note:
                progress(f"{name}, {repeat + 1} of {repeats}")
                judge = _once(method, passes)
                if judge is not None and repeat == repeats - 1:
                    method.residuals = judge()
    rows = [
        Row(
            name=name,
            version=method.version,
            passes=passes,
            seconds=min(method.seconds) if method.residuals else None,
            seconds_median=median(method.seconds) if method.residuals else None,
            threads=torch.get_num_threads(),
            load=method.load,
            note=method.note or notes.get(name, ""),
            **(method.residuals or {}),
        )
        for name, method in chosen.items()
    ]
    return {
        "rows": [asdict(row) for row in rows],
        "source": Path(data).name if data else "the simulated stack of the sample data",
        "leds": len(stack.images),
        "image_px": stack.image_px,
        "object_px": stack.object_px,
        "pupil_radius": stack.radius,
        "repeats": repeats,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def _once(method: _Measured, passes: int) -> Callable[[], Residuals] | None:
    """Run a method and note its time; nothing comes back of a foreign one that fails, and its note says why."""
    try:
        with quiet() if method.foreign else contextlib.nullcontext():
            began = time.perf_counter()
            judge = method.run(passes)
            method.seconds.append(time.perf_counter() - began)
    except Exception as error:
        if not method.foreign:
            raise
        method.note = str(error) if isinstance(error, CannotRun) else f"does not run: {first_line(error)}"
        return None
    method.load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return judge


def table(result: Mapping[str, object]) -> str:
    """The rows as text."""
    rows: list[dict[str, object]] = result["rows"]  # type: ignore[assignment]
    lines = [
        f"{result['source']}: {result['leds']} images of {result['image_px']} x {result['image_px']} pixels, pupil "
        f"radius {result['pupil_radius']:.2f} samples, {result['threads']} thread(s), minimum and median of "
        f"{result['repeats']} interleaved repeats",
        "residuals sum (|g| - A)^2 / sum A^2: field sampled at points, integrated over camera pixels, and that with "
        "fitted brightness and stray light",
        f"{'method':<40}{'passes':>7}{'s':>8}{'median':>8}{'points':>9}{'camera':>9}{'fitted':>9}{'load':>6}",
    ]
    for row in rows:
        name = f"{row['name']} {row['version']}".strip()
        if row["seconds"] is None:
            lines.append(f"{name:<40}{row['note']}")
            continue
        residuals = "".join(
            f"{'':>9}" if row[model] is None else f"{row[model]:>9.4f}" for model in ("points", "camera", "fitted")
        )
        load = "" if row["load"] is None else f"{row['load']:.1f}"
        said = f"  {row['note']}" if row["note"] else ""
        lines.append(
            f"{name:<40}{row['passes']:>7}{row['seconds']:>8.2f}{row['seconds_median']:>8.2f}{residuals}{load:>6}{said}"
        )
    return "\n".join(lines)
