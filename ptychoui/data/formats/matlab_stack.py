"""LED stacks in .mat files: the UConn layouts, and others that differ only in the name of the images.

UConn (Smart Imaging Lab): ``imlow_HDR`` (row, column, LED), ``wlength`` [m], ``z`` defocus [m], ``theta``
rotation of the array [deg], ``xint``, ``yint`` shift of the array [mm], ``aberration`` complex pupil (row, column) on
the spectrum of an image, or 0 for none. LED pitch, height and order and the objective are in the accompanying text
only, so a geometry is needed.

UConn, Nature Protocols 2023: ``imageAmpSeq`` (row, column, LED) AMPLITUDES, ``kx``, ``ky`` (LED) wave numbers in
rad/m, of which kx counts along the rows of the spectrum in the published program, ``imNum`` number of images.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack
from ptychoui.data.files import sha256_file
from ptychoui.data.formats.common import conflict
from ptychoui.data.formats.draft import Draft
from ptychoui.data.formats.geometry_file import GivenGeometry
from ptychoui.data.formats.led_table import Leds
from ptychoui.data.formats.matlab import MatFile
from ptychoui.data.formats.ptylab import choose
from ptychoui.data.formats.pupil_array import NOLLS, fit_pupil
from ptychoui.errors import DataError
from ptychoui.settings import Geometry, Microscope
from ptychoui.words import counted

IMAGE_NAMES = ("imlow_HDR", "imlow", "lowSeq", "I_low", "I")
AMPLITUDES = "imageAmpSeq"
SIDE_FACTS = (
    ("z", "defocus", 1e6, "um"),
    ("theta", "rotation", 1, "deg"),
    ("xint", "shift x", 1, "mm"),
    ("yint", "shift y", 1, "mm"),
)


def read_matlab_stack(mat: MatFile, given: GivenGeometry, part: str | None = None) -> ImageStack:
    """Read an LED stack from an opened .mat file; the geometry wins over what the file says.

    ``part`` names the variable that holds the images; it may be None where only one can.
    """
    path = mat.path
    mat = _view(mat)
    name = image_name(mat)
    if name is None:
        for wanted in (*IMAGE_NAMES, AMPLITUDES):
            if wanted in mat.unread:
                raise DataError(
                    f"{path.name}: {wanted} is {mat.unread[wanted]}: not read",
                    "save it as one array of the axes row, column, LED",
                )
            if wanted in mat:
                refuse_axes(mat, wanted)
        raise DataError(
            f"{path.name} holds no LED images and no training set; found {', '.join(mat.shapes) or 'none'}",
            _hint_of_structures(mat),
        )
    name = chosen_stack(mat, name, ("kx", "ky"), part)
    amplitude = name == AMPLITUDES
    layout = {"imlow_HDR": "UConn .mat", AMPLITUDES: "UConn .mat (Nature Protocols)"}.get(
        name, f"MATLAB stack ({name})"
    )
    draft = Draft(path=path, layout=layout, example=_example(name))
    if amplitude:
        draft.tell("pixel values", "amplitude, squared here", "", f"the name {AMPLITUDES}")
        _wave_numbers(mat, draft)
    if mat.prefix:
        draft.tell("place in the file", f"structure {mat.prefix[:-1]}")
    tell_shape(mat, name, draft)
    if (wavelength := mat.scalar_or_none("wlength")) is not None:
        draft.state("microscope.wavelength_um", wavelength * 1e6, "`wlength` [m]")
    for key, label, scale, unit in SIDE_FACTS:
        if (value := mat.scalar_or_none(key)) is not None:
            draft.tell(label, float(value * scale), unit, f"`{key}`" + (" [m]" if scale != 1 else ""))
    draft.tell_unused(mat.shapes)
    geometry = draft.complete(given)
    raw = stack_of(mat, name)
    if amplitude and raw.shape[2] > 1:
        raw = _first_images(mat, raw, draft)
    images = led_axis_first(raw, len(geometry.array.numbers()), name, draft, last=mat.is_cells(name))
    tell_others(mat, name, ("kx", "ky") if amplitude else (), len(images), draft)
    geometry = _with_facts_of_file(mat, geometry, (images.shape[1], images.shape[2]), draft)
    return draft.finish(images, geometry, sha256=sha256_file(path), amplitude=amplitude)


def _view(mat: MatFile) -> MatFile:
    """The file, or the structure that holds all its numbers, images among them."""
    inside = mat.inside(mat.structures()[0]) if len(mat.structures()) == 1 else mat
    whole = len(inside.shapes) == len(mat.shapes) and image_name(inside) is not None
    return inside if image_name(mat) is None and whole else mat


def _hint_of_structures(mat: MatFile) -> str:
    """What to do about images in structures beside other numbers."""
    found = [name for name in mat.structures() if image_name(mat.inside(name)) is not None]
    if not found:
        return f"images are expected as {', '.join((*IMAGE_NAMES, AMPLITUDES))} (row, column, LED), or objects as truth"
    holds = "structure holds" if len(found) == 1 else "structures hold"
    return (
        f"its {holds} images ({', '.join(found)[:80]}): save the one that is meant by itself, in MATLAB with "
        f"save('NAME.mat', '-struct', '{found[0]}')"
    )


def image_name(mat: MatFile) -> str | None:
    """Name of the variable that holds the images, if there is one."""
    names = (*IMAGE_NAMES, AMPLITUDES)
    return next((n for n in names if n in mat and len(plain_shape(mat.shapes[n])) in (2, 3)), None)


def plain_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape of more than three axes without those of one element."""
    return shape if len(shape) <= 3 else tuple(size for size in shape if size != 1)


def stack_of(mat: MatFile, name: str) -> NDArray[Any]:
    """The images of a variable as three axes; one image is a stack of one."""
    raw = mat.array(name)
    if raw.ndim > 3:
        raw = raw.reshape(plain_shape(raw.shape), order="F")
    return raw[..., None] if raw.ndim == 2 else raw


def refuse_axes(mat: MatFile, name: str) -> NoReturn:
    """Refuse a variable of images whose axes are too many or too few."""
    shape = mat.shapes[name]
    raise DataError(
        f"{mat.path.name}: {name} has {counted(len(shape), 'axis', 'axes')} ({' x '.join(map(str, shape))}): which of "
        "them counts the LEDs is not said",
        "save one stack of the axes row, column, LED: choose one colour, focus or repetition, and give a grid of LEDs "
        "one axis, in the order of the LEDs",
    )


def tell_shape(mat: MatFile, name: str, draft: Draft) -> None:
    """Record the shape of the images in the file, and that of a cell array."""
    shape = mat.shapes[name]
    draft.tell("shape in the file", " x ".join(map(str, shape)), "", f"`{name}`")
    if mat.is_cells(name):
        draft.tell(
            "cells",
            f"{shape[-1]}, each an image",
            "",
            f"`{name}`; a cell array of rows and columns is taken column by column, as MATLAB counts",
        )


def tell_others(mat: MatFile, name: str, used: Iterable[str], images: int, draft: Draft) -> None:
    """Note numbers for each image that were not used."""
    others = {other: size for other, size in mat.shapes.items() if other not in (name, *used)}
    draft.tell_unused_per_image({other: math.prod(size) for other, size in others.items()}, images)


def chosen_stack(mat: MatFile, name: str, used: Iterable[str], part: str | None) -> str:
    """The variable that holds the images: ``name``, or of several that may the ``part`` that was asked for.

    Raises
    ------
    DataError
        If there are others of three axes that have the size of the images or a usual name, and none is asked for.
    """
    others = {other: plain_shape(size) for other, size in mat.shapes.items() if other not in (name, *used)}
    size = sorted(plain_shape(mat.shapes[name]))
    known = (*IMAGE_NAMES, AMPLITUDES)
    stacks = sorted(
        other for other, shape in others.items() if len(shape) == 3 and (other in known or sorted(shape) == size)
    )
    return choose(mat.path, [name, *stacks], part, "stack")


def led_axis_first(raw: NDArray[Any], count: int, name: str, draft: Draft, last: bool = False) -> NDArray[Any]:
    """Bring (row, column, LED), MATLAB's custom, or (LED, row, column) to LED first, by the number of LEDs.

    With ``last`` the LEDs are known to be on the last axis.

    Raises
    ------
    DataError
        If neither axis has that number.
    """
    path = draft.path
    if raw.ndim != 3:
        raise DataError(f"{path.name}: {name} has the shape {raw.shape}, expected three axes")
    if last:
        draft.tell_images(raw.shape[2], raw.shape[0], raw.shape[1], f"`{name}`")
        return np.moveaxis(raw, 2, 0)
    first, last = raw.shape[0] == count, raw.shape[2] == count
    if draft.said.led_axis is not None:
        if draft.said.led_axis not in ("first", "last"):
            raise DataError(
                f"{path.name}: led_axis = {draft.said.led_axis!r} is not an axis of a .mat file",
                'write led_axis = "first" or "last"',
            )
        chosen = raw if draft.said.led_axis == "first" else np.moveaxis(raw, 2, 0)
        draft.tell("axis of the LEDs", draft.said.led_axis, "", f"[images] of {draft.said_in}")
        draft.tell_images(len(chosen), chosen.shape[1], chosen.shape[2], f"`{name}`")
        return chosen
    if not first and not last:
        raise DataError(
            f"{path.name}: {name} has the shape {raw.shape} but the array in the geometry has {counted(count, 'LED')}",
            "correct rows and columns, count or the table in the geometry, or remove dark frames",
        )
    if first and not last:
        draft.notes.append(f"{name} has the axes LED, row, column (its first axis has the array's {count} LEDs)")
        draft.tell("axis of the LEDs", "first", "", f"{count} images = {count} LEDs")
    elif first and last:
        draft.notes.append(
            f"{name} has the shape {raw.shape} and the LED count does not tell which axis is the LED: "
            "row, column, LED was assumed, the custom of MATLAB files; led_axis in [images] of a geometry says which"
        )
        draft.tell("axis of the LEDs", "last", "", "the custom of MATLAB files; the shape does not tell", assumed=True)
    else:
        draft.tell("axis of the LEDs", "last", "", f"{count} images = {count} LEDs")
    images = raw if first and not last else np.moveaxis(raw, 2, 0)
    draft.tell_images(len(images), images.shape[1], images.shape[2], f"`{name}`")
    return images


def _wave_numbers(mat: MatFile, draft: Draft) -> None:
    """LEDs of the newer layout."""
    lacking = [name for name in ("kx", "ky") if name not in mat]
    if lacking:
        draft.notes.append(f"the file lacks {', '.join(lacking)}: the LEDs must come from a geometry")
        return
    count = math.prod(mat.shapes["kx"])
    along_rows, along_columns = mat.vector("kx", count), mat.vector("ky", count)
    per_um = np.column_stack([along_columns, along_rows]) / (2 * math.pi) * 1e-6
    number = mat.scalar_or_none("imNum")
    if number is not None and 1 <= number < len(per_um):
        per_um = per_um[: int(number)]
        draft.notes.append(f"the first {int(number)} of the images were used (imNum)")
    draft.tell_leds(
        Leds(per_um=per_um),
        "`kx`, `ky` [rad/m]",
        "x = ky (columns), y = kx (rows of the spectrum)",
        "the published program",
    )


def _first_images(mat: MatFile, raw: NDArray[Any], draft: Draft) -> NDArray[Any]:
    """Only as many images as ``imNum`` says."""
    number = mat.scalar_or_none("imNum")
    if draft.leds is not None and number is not None and 1 <= number < raw.shape[2] and number == int(number):
        return raw[..., : int(number)]
    return raw


def _example(name: str) -> str:
    """Shipped geometry whose data look like this file."""
    return {"imlow_HDR": "uconn_bloodsmear", "lowSeq": "elfpie_usaf"}.get(name, "")


def _with_facts_of_file(mat: MatFile, geometry: Geometry, images_px: tuple[int, int], draft: Draft) -> Geometry:
    """Fill what the geometry leaves open from the file, and note what the two state differently.

    What only a preset filled in is open, too.
    """
    scope, pose, notes = geometry.microscope, geometry.array.pose, draft.notes
    stated = {name for name in scope.model_fields_set if f"microscope.{name}" not in draft.filled}
    stated |= {name for name in pose.model_fields_set if f"array.pose.{name}" not in draft.filled}
    if (z := mat.scalar_or_none("z")) is not None:
        if "defocus_um" in stated:
            conflict("the defocus", scope.defocus_um, z * 1e6, "um", notes)
        else:
            scope = scope.model_copy(update={"defocus_um": _in_range("z", z * 1e6, 2000, mat, "um")})
            notes.append(f"defocus of {z * 1e6:g} um taken from the data file")
            draft.tell_filled(without=["microscope.defocus_um"])
    if "aberration" in mat:
        scope = _with_pupil(mat, scope, images_px, "zernike_waves" in stated, notes)
    changes: dict[str, float] = {}
    if (theta := mat.scalar_or_none("theta")) is not None:
        if "rotation_deg" in stated:
            conflict("the array's rotation", pose.rotation_deg, theta, "deg", notes)
        else:
            changes["rotation_deg"] = _in_range("theta", theta, 360, mat, "deg")
    # The published code shifts the array before it turns it; our pose turns first.
    angle = math.radians(changes.get("rotation_deg", pose.rotation_deg))
    x, y = mat.scalar_or_none("xint"), mat.scalar_or_none("yint")
    if x is not None and y is not None:
        turned = (x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle))
        for key, value in zip(("shift_x_mm", "shift_y_mm"), turned, strict=True):
            if key in stated:
                conflict(f"the array's {key[:7].replace('_', ' ')}", getattr(pose, key), value, "mm", notes)
            else:
                changes[key] = _in_range(key[6] + "int", value, 200, mat, "mm")
    if any(value != getattr(pose, key) for key, value in changes.items()):
        told = ", ".join(f"{key} = {value:g}" for key, value in changes.items())
        notes.append(f"the array's pose taken from the data file: {told}")
    draft.tell_filled(without=[f"array.pose.{key}" for key in changes])
    array = geometry.array.model_copy(update={"pose": pose.model_copy(update=changes)})
    return geometry.model_copy(update={"microscope": scope, "array": array})


def _with_pupil(
    mat: MatFile, scope: Microscope, images_px: tuple[int, int], is_stated: bool, notes: list[str]
) -> Microscope:
    """The microscope with the pupil that the file states as an array; why it is not used is noted.

    ``images_px`` is the size of an image, rows and columns; 0 in place of an array means that there is none. With
    ``is_stated`` the geometry's Zernike terms win.
    """
    unused = "the file's aberration was not used"
    shape = mat.shapes["aberration"]
    if math.prod(shape) == 0:
        return scope
    if shape not in (images_px, (1, 1)):
        notes.append(f"{unused}: it has the shape {shape}, the images have {images_px[0]} x {images_px[1]} pixels")
        return scope
    pupil = mat.array("aberration")
    if not np.any(pupil):
        return scope
    if pupil.dtype.kind != "c" or shape == (1, 1):
        kind = "one number" if shape == (1, 1) else "real"
        notes.append(f"{unused}: it is {kind}, not a complex pupil; give the pupil as microscope.zernike_waves")
        return scope
    if not np.isfinite(pupil).all():
        notes.append(f"{unused}: it holds NaN or infinity")
        return scope
    found = fit_pupil(pupil, scope)
    if found is None:
        notes.append(f"{unused}: hardly anything of it lies inside the objective's NA of {scope.objective_na:g}")
        return scope
    left = f"{found.residual_waves:.2g} of {found.rms_waves:.2g} waves RMS are left"
    if not found.explains or any(abs(waves) > 10 for waves in found.zernike_waves.values()):
        notes.append(f"{unused}: Zernike terms 4 to 15 do not describe its phase ({left})")
        return scope
    terms = ", ".join(f"{noll}: {waves:.3g}" for noll, waves in found.zernike_waves.items() if abs(waves) >= 5e-3)
    fit = f"Zernike terms in waves RMS {terms or 'all below 0.005'}; {left}"
    if is_stated:
        if _differ(scope.zernike_waves, found.zernike_waves):
            notes.append(f"the geometry's zernike_waves were used and not the file's aberration, which has {fit}")
        return scope
    notes.append(f"the pupil was taken from the file's aberration: {fit}")
    if found.amplitude_spread > 0.1:
        notes.append("the amplitude of the file's aberration, which is uneven, was not used")
    return scope.model_copy(update={"zernike_waves": found.zernike_waves})


def _differ(waves: dict[int, float], others: dict[int, float]) -> bool:
    """Whether Zernike terms differ by more than 0.005 waves in one of the terms that a file's pupil is fitted with."""
    return any(abs(waves.get(noll, 0.0) - others.get(noll, 0.0)) > 5e-3 for noll in NOLLS)


def _in_range(name: str, value: float, limit: float, mat: MatFile, unit: str) -> float:
    if abs(value) > limit:
        raise DataError(
            f"{mat.path.name}: {name} stands for {value:g} {unit}, outside -{limit:g} to {limit:g} {unit}",
            "state the right value in the geometry",
        )
    return value
