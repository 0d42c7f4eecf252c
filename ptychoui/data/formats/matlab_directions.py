"""LED stacks in .mat files that state the direction of every LED: Caltech, FPM_software, Kellman's experiments.

Caltech (APIC, FPM-INR): ``I_low`` (row, column, LED), ``na_calib`` (LED, 2) direction cosines or ``freqXY_calib``
(LED, 2) in pixels of the spectrum, whose centre is floor(N/2) + 1 counted from 1, or 0, ``na_cal`` objective NA,
``na_rp_cal`` its radius in those pixels, ``dpix_c`` camera pixel [um], ``mag``, ``lambda`` or ``wavelength`` [um].
Often inside the structure ``saved_data``. The published program takes the first column as y and the second as x.

FPM_software: ``imlow``, ``NA_list`` (LED, 2) direction cosines that the program negates, ``NA``, ``dpix_c`` [um],
``lambda`` [um], ``mag``.

Kellman's experiments: ``I``, ``na_x_list``, ``na_y_list`` (LED) or ``na_list`` (LED, [y, x]), ``sys_na`` or ``na``,
``wavelength`` or ``wl`` [um], ``pixel_size`` or ``ps`` camera pixel [um], ``mag``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack
from ptychoui.data.files import sha256_file
from ptychoui.data.formats.draft import Draft
from ptychoui.data.formats.geometry_file import GivenGeometry
from ptychoui.data.formats.led_table import Leds
from ptychoui.data.formats.matlab import MatFile
from ptychoui.data.formats.matlab_stack import (
    chosen_stack,
    led_axis_first,
    plain_shape,
    refuse_axes,
    stack_of,
    tell_others,
    tell_shape,
)
from ptychoui.errors import DataError
from ptychoui.words import counted


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
CALTECH_AXES = "first column y (down the rows), second column x"
BRIGHT = 0.6
"""Images of at least this share of the brightest one's mean are the bright field's."""
SYMMETRIC_PX = 0.05
"""LEDs lie symmetrically about a pixel where their mean and the middle of their extent are so near to it."""
LAYOUTS = (CALTECH, SOFTWARE, EXPERIMENT)


def find_direction_layout(mat: MatFile) -> tuple[MatFile, DirectionLayout] | None:
    """The layout of a file, and the file or the structure in it that holds the variables."""
    for view in (mat, *(mat.inside(name) for name in mat.structures())):
        for layout in LAYOUTS:
            if layout.images in view and any(mark in view for mark in layout.marks):
                return view, layout
    return None


def read_direction_stack(
    mat: MatFile, layout: DirectionLayout, given: GivenGeometry, part: str | None = None
) -> ImageStack:
    """Read an LED stack whose file states the direction of every LED.

    ``part`` names the variable that holds the images; it may be None where only one can.

    Raises
    ------
    DataError
        If the variables do not fit together; `NoGeometryError` names what is missing.
    """
    draft = Draft(path=mat.path, layout=layout.name)
    custom = layout
    layout = replace(layout, images=chosen_stack(mat, layout.images, ("na_x_list", "na_y_list"), part))
    if mat.prefix:
        draft.tell("place in the file", f"structure {mat.prefix[:-1]}")
    for setting, names in layout.settings.items():
        name = next((name for name in names if name in mat), None)
        if name is not None:
            draft.state(setting, mat.scalar(name), f"`{name}`")
    tell_shape(mat, layout.images, draft)
    shape = plain_shape(mat.shapes[layout.images])
    if len(shape) > 3:
        refuse_axes(mat, layout.images)
    if len(shape) != 3:
        raise DataError(f"{mat.path.name}: {layout.images} has the shape {shape}, expected (rows, columns, LEDs)")
    raw = None
    if custom is CALTECH:
        raw = _caltech(mat, layout.images, draft)
    elif custom is SOFTWARE:
        _software(mat, draft)
    else:
        _experiment(mat, draft)
    draft.tell_unused(mat.shapes)
    geometry = draft.complete(given)
    raw = stack_of(mat, layout.images) if raw is None else raw
    last = mat.is_cells(layout.images)
    images = led_axis_first(raw, len(geometry.array.numbers()), layout.images, draft, last)
    tell_others(mat, layout.images, ("na_x_list", "na_y_list"), len(images), draft)
    return draft.finish(images, geometry, sha256=sha256_file(mat.path))


def _caltech(mat: MatFile, images: str, draft: Draft) -> NDArray[Any] | None:
    """Record the LEDs; returns the images where they were needed for that."""
    lacking = [name for name in ("freqXY_calib", "na_rp_cal", "na_cal") if name not in mat]
    if "na_calib" in mat:
        directions = mat.pairs("na_calib")[:, ::-1]
        draft.tell_leds(Leds(directions=directions), "`na_calib` (direction cosines)", CALTECH_AXES)
        if "freqXY_calib" in mat:
            _compare_places(mat, directions, bool(lacking), draft)
        return None
    if lacking:
        draft.notes.append(f"the file lacks na_calib, and {', '.join(lacking)} to make it from: no LED positions")
        return None
    radius, na = mat.scalar("na_rp_cal"), mat.scalar("na_cal")
    if not (radius > 0 and na > 0):
        raise DataError(f"{mat.path.name}: na_rp_cal = {radius:g} pixels and na_cal = {na:g} must be above 0")
    places = mat.pairs("freqXY_calib")
    raw = stack_of(mat, images)
    led_axis = 0 if raw.shape[0] == len(places) != raw.shape[2] and not mat.is_cells(images) else 2
    if raw.shape[led_axis] != len(places):
        center = Center((raw.shape[0] // 2 + 1.0, raw.shape[1] // 2 + 1.0), "pixels counted from 1")
    else:
        rows, columns = np.delete(raw.shape, led_axis)
        means = np.asarray(np.mean(raw, axis=tuple(np.delete((0, 1, 2), led_axis)), dtype=np.float64))
        center = center_of_places(places, means, radius, int(rows), int(columns))
    draft.tell(
        "centre of freqXY_calib", f"({center.at[0]:g}, {center.at[1]:g})", "px", center.source, assumed=center.assumed
    )
    draft.notes.extend(center.notes)
    from_center = (places - center.at) * (na / radius)
    directions = from_center if center.x_first else from_center[:, ::-1]
    axes = "first column x, second column y (down the rows)" if center.x_first else CALTECH_AXES
    draft.tell_leds(Leds(directions=directions), "`freqXY_calib` [px] times `na_cal` / `na_rp_cal`", axes)
    return raw


@dataclass(frozen=True, slots=True)
class Center:
    """Where a list of places in the spectrum has its origin, and how that is known.

    Attributes
    ----------
    at
        The origin in the order of the list's columns, pixels.
    x_first
        The first column is x.
    """

    at: tuple[float, float]
    source: str
    assumed: bool = True
    x_first: bool = False
    notes: tuple[str, ...] = ()


def center_of_places(
    places: NDArray[np.float64], means: NDArray[np.float64], radius: float, rows: int, columns: int
) -> Center:
    """The origin of (LED, 2) places in the spectrum: the custom of which the brightest images are the nearest.

    Bright-field images lie within the pupil's ``radius`` of it. Customs one pixel apart, counting from 0 or from 1,
    are told apart only where the places are symmetric about one of them.

    Parameters
    ----------
    means
        (LED,) mean of every image.
    rows, columns
        Size of the images, whose spectrum has as many pixels.
    """
    custom = (rows // 2 + 1.0, columns // 2 + 1.0)
    negative = int((places < 0).any(axis=1).sum())
    usual = Center(custom, "pixels counted from 1")
    if not (np.isfinite(means).all() and means.max() > 0):
        return usual
    brightest = np.median(places[means >= BRIGHT * means.max()], axis=0)
    to_custom, to_zero, to_turned = (float(np.hypot(*(brightest - at))) for at in (custom, (0, 0), custom[::-1]))
    if to_zero < to_custom / 2 or (negative and to_zero < to_custom):
        below = f"values below 0 ({counted(negative, 'LED')}), and " if negative else ""
        source = f"{below}the brightest images lie {to_zero:.3g} px from 0, {to_custom:.3g} px from the middle"
        return Center((0.0, 0.0), source, assumed=False)
    if to_turned < radius / 2 and to_custom > radius:
        source = "pixels counted from 1; the brightest images lie there, so the columns are x, y"
        return Center(custom[::-1], source, assumed=False, x_first=True)
    if to_custom > 1.5 * radius:
        lie = f"({brightest[0]:.3g}, {brightest[1]:.3g}) px"
        told = (
            f"the brightest images lie about {lie} in freqXY_calib, far from ({custom[0]:g}, {custom[1]:g}), its "
            "centre in this layout: check the LEDs, or state them in a geometry"
        )
        return Center(custom, usual.source, notes=(told,))
    middle, mean = (places.min(axis=0) + places.max(axis=0)) / 2, places.mean(axis=0)
    start = np.array(custom) - 1
    if len(places) > 1 and max(np.abs(middle - start).max(), np.abs(mean - start).max()) < SYMMETRIC_PX:
        return Center((start[0], start[1]), "pixels counted from 0: the LEDs are symmetric about it", assumed=False)
    return usual


def _compare_places(mat: MatFile, directions: NDArray[np.float64], lacking: bool, draft: Draft) -> None:
    """Say whether the places in the spectrum agree with the directions; the origin does not matter for that."""
    said = "not needed beside na_calib"
    if not lacking:
        scale = mat.scalar("na_cal") / mat.scalar("na_rp_cal")
        places = mat.pairs("freqXY_calib")[:, ::-1] * scale
        if len(places) == len(directions):
            apart = (places - places.mean(axis=0)) - (directions - directions.mean(axis=0))
            off = float(np.hypot(apart[:, 0], apart[:, 1]).max())
            said = "not needed: na_calib says the same"
            if off > 0.1 * mat.scalar("na_cal"):
                said = "not used: na_calib was"
                draft.notes.append(
                    f"na_calib and freqXY_calib differ by up to {off:.3g} in NA: na_calib was used; check the LEDs"
                )
    draft.tell("freqXY_calib", said, "", "`freqXY_calib`")


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
