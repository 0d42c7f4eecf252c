"""LED stacks in .mat files that state the direction of every LED: Caltech, FPM_software, Kellman's experiments.

Caltech (APIC, FPM-INR): ``I_low`` (row, column, LED), ``na_calib`` (LED, 2) direction cosines or ``freqXY_calib``
(LED, 2) in pixels of the spectrum counted from 1, whose centre is floor(N/2) + 1, ``na_cal`` objective NA,
``na_rp_cal`` its radius in those pixels, ``dpix_c`` camera pixel [um], ``mag``, ``lambda`` or ``wavelength`` [um].
Often inside the structure ``saved_data``. The published program takes the first column as y and the second as x.

FPM_software: ``imlow``, ``NA_list`` (LED, 2) direction cosines that the program negates, ``NA``, ``dpix_c`` [um],
``lambda`` [um], ``mag``.

Kellman's experiments: ``I``, ``na_x_list``, ``na_y_list`` (LED) or ``na_list`` (LED, [y, x]), ``sys_na`` or ``na``,
``wavelength`` or ``wl`` [um], ``pixel_size`` or ``ps`` camera pixel [um], ``mag``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack
from ptychoui.data.files import sha256_file
from ptychoui.data.formats.draft import Draft
from ptychoui.data.formats.geometry_file import GivenGeometry
from ptychoui.data.formats.led_table import Leds
from ptychoui.data.formats.matlab import MatFile
from ptychoui.data.formats.matlab_stack import led_axis_first
from ptychoui.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectionLayout:
    """Names of the variables of one layout; several names for one thing are alternatives.

    Attributes
    ----------
    images
        Name of the images; the layout is recognised by it and by one of ``marks``.
    settings
        Setting -> names of the variable that holds it, in the setting's unit.
    """

    name: str
    images: str
    marks: tuple[str, ...]
    settings: dict[str, tuple[str, ...]]


CALTECH = DirectionLayout(
    name="Caltech .mat",
    images="I_low",
    marks=("freqXY_calib", "na_calib", "na_cal"),
    settings={
        "microscope.wavelength_um": ("lambda", "wavelength"),
        "microscope.objective_na": ("na_cal",),
        "microscope.camera_pixel_um": ("dpix_c",),
        "microscope.magnification": ("mag",),
    },
)
SOFTWARE = DirectionLayout(
    name="FPM_software .mat",
    images="imlow",
    marks=("NA_list",),
    settings={
        "microscope.wavelength_um": ("lambda",),
        "microscope.objective_na": ("NA",),
        "microscope.camera_pixel_um": ("dpix_c",),
        "microscope.magnification": ("mag",),
    },
)
EXPERIMENT = DirectionLayout(
    name="learned-design experiment .mat",
    images="I",
    marks=("na_x_list", "na_y_list", "na_list", "sys_na"),
    settings={
        "microscope.wavelength_um": ("wavelength", "wl"),
        "microscope.objective_na": ("sys_na", "na"),
        "microscope.camera_pixel_um": ("pixel_size", "ps"),
        "microscope.magnification": ("mag",),
    },
)
LAYOUTS = (CALTECH, SOFTWARE, EXPERIMENT)


def find_direction_layout(mat: MatFile) -> tuple[MatFile, DirectionLayout] | None:
    """The layout of a file, and the file or the structure in it that holds the variables."""
    for view in (mat, *(mat.inside(name) for name in mat.structures())):
        for layout in LAYOUTS:
            if layout.images in view and any(mark in view for mark in layout.marks):
                return view, layout
    return None


def read_direction_stack(mat: MatFile, layout: DirectionLayout, given: GivenGeometry) -> ImageStack:
    """Read an LED stack whose file states the direction of every LED.

    Raises
    ------
    DataError
        If the variables do not fit together; `NoGeometryError` names what is missing.
    """
    draft = Draft(path=mat.path, layout=layout.name)
    if mat.prefix:
        draft.tell("place in the file", f"structure {mat.prefix[:-1]}")
    for setting, names in layout.settings.items():
        name = next((name for name in names if name in mat), None)
        if name is not None:
            draft.state(setting, mat.scalar(name), f"`{name}`")
    shape = mat.shapes[layout.images]
    draft.tell("shape in the file", " x ".join(map(str, shape)), "", f"`{layout.images}`")
    if len(shape) != 3:
        raise DataError(f"{mat.path.name}: {layout.images} has the shape {shape}, expected (rows, columns, LEDs)")
    if layout is CALTECH:
        _caltech(mat, draft)
    elif layout is SOFTWARE:
        _software(mat, draft)
    else:
        _experiment(mat, draft)
    draft.tell_unused(mat.shapes)
    geometry = draft.complete(given)
    raw = mat.array(layout.images)
    images = led_axis_first(raw, len(geometry.array.numbers()), layout.images, draft)
    return draft.finish(images, geometry, sha256=sha256_file(mat.path))


def _caltech(mat: MatFile, draft: Draft) -> None:
    axes = "first column y (down the rows), second column x"
    if "na_calib" in mat:
        draft.tell_leds(Leds(directions=mat.pairs("na_calib")[:, ::-1]), "`na_calib` (direction cosines)", axes)
        if "freqXY_calib" in mat:
            draft.tell("freqXY_calib", "not needed: na_calib says the same", "", "`freqXY_calib`")
        return
    lacking = [name for name in ("freqXY_calib", "na_rp_cal", "na_cal") if name not in mat]
    if lacking:
        draft.notes.append(f"the file lacks na_calib, and {', '.join(lacking)} to make it from: no LED positions")
        return
    radius, na = mat.scalar("na_rp_cal"), mat.scalar("na_cal")
    if not (radius > 0 and na > 0):
        raise DataError(f"{mat.path.name}: na_rp_cal = {radius:g} pixels and na_cal = {na:g} must be above 0")
    rows, columns = mat.shapes["I_low"][:2]
    center = np.array([rows // 2 + 1, columns // 2 + 1], dtype=np.float64)
    places: NDArray[np.float64] = mat.pairs("freqXY_calib") - center
    draft.tell("centre of freqXY_calib", f"({center[0]:g}, {center[1]:g})", "px", "pixels counted from 1", assumed=True)
    directions = places[:, ::-1] * (na / radius)
    draft.tell_leds(Leds(directions=directions), "`freqXY_calib` [px] times `na_cal` / `na_rp_cal`", axes)


def _software(mat: MatFile, draft: Draft) -> None:
    draft.tell_leds(
        Leds(directions=-mat.pairs("NA_list")),
        "`NA_list` (direction cosines)",
        "x = minus the first column, y = minus the second",
        "as the published program does",
    )


def _experiment(mat: MatFile, draft: Draft) -> None:
    if "microscope.magnification" in draft.values:
        draft.notes.append(
            "a side port's own magnification is not in such files: state microscope.magnification if there was one"
        )
    if "na_list" in mat and "na_x_list" not in mat:
        axes = "first column y, second column x"
        draft.tell_leds(Leds(directions=mat.pairs("na_list")[:, ::-1]), "`na_list` (direction cosines)", axes)
        return
    lacking = [name for name in ("na_x_list", "na_y_list") if name not in mat]
    if lacking:
        draft.notes.append(f"the file lacks {', '.join(lacking)}: no LED positions")
        return
    count = int(np.prod(mat.shapes["na_x_list"]))
    directions = np.column_stack([mat.vector("na_x_list", count), mat.vector("na_y_list", count)])
    draft.tell_leds(Leds(directions=directions), "`na_x_list`, `na_y_list` (direction cosines)", "x and y as named")
