"""LED stacks in .mat files: the UConn layout, and others that differ only in the name of the images.

UConn (Smart Imaging Lab): ``imlow_HDR`` (row, column, LED), ``wlength`` [m], ``z`` defocus [m], ``theta``
rotation of the array [deg], ``xint``, ``yint`` shift of the array [mm]. LED pitch, height and order and the
objective are in the accompanying text only, so a geometry is needed.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack
from ptychoui.data.files import sha256_file
from ptychoui.data.formats.common import conflict, finish_stack, geometry_for, need_geometry
from ptychoui.data.formats.matlab import MatFile
from ptychoui.errors import DataError
from ptychoui.experiment import Geometry

IMAGE_NAMES = ("imlow_HDR", "imlow", "lowSeq", "I_low", "I")
AMPLITUDE_NAMES = ("imageAmpSeq",)


def read_matlab_stack(mat: MatFile, given: Geometry | None) -> ImageStack:
    """Read an LED stack from an opened .mat file; the geometry wins over what the file says."""
    path, notes = mat.path, list[str]()
    name = image_name(mat)
    if name is None:
        amplitude = next((n for n in AMPLITUDE_NAMES if n in mat), None)
        if amplitude:
            raise DataError(f"{path.name}: {amplitude} holds amplitudes, not intensities", "square it and save again")
        raise DataError(
            f"{path.name} holds no LED images and no training set; found {', '.join(mat.shapes) or 'none'}",
            f"images are expected as {', '.join(IMAGE_NAMES)} (row, column, LED), or objects as truth",
        )
    geometry = need_geometry(path, geometry_for(path, given, notes), _known(mat), _example(name))
    raw = mat.array(name)
    images = led_axis_first(raw[..., None] if raw.ndim == 2 else raw, geometry, path, name, notes)
    geometry = _with_facts_of_file(mat, geometry, notes)
    layout = "UConn .mat" if name == "imlow_HDR" else f"MATLAB stack ({name})"
    return finish_stack(images, geometry, path=path, layout=layout, sha256=sha256_file(path), notes=notes)


def image_name(mat: MatFile) -> str | None:
    """Name of the variable that holds the images, if there is one."""
    return next((n for n in IMAGE_NAMES if n in mat and len(mat.shapes[n]) in (2, 3)), None)


def led_axis_first(raw: NDArray[Any], geometry: Geometry, path: Path, name: str, notes: list[str]) -> NDArray[Any]:
    """Bring (row, column, LED), MATLAB's custom, or (LED, row, column) to LED first, by the LED count."""
    if raw.ndim != 3:
        raise DataError(f"{path.name}: {name} has the shape {raw.shape}, expected three axes")
    count = len(geometry.array.numbers())
    first, last = raw.shape[0] == count, raw.shape[2] == count
    if first and not last:
        notes.append(f"{name} has the axes LED, row, column (its first axis has the array's {count} LEDs)")
        return raw
    if first and last:
        notes.append(
            f"{name} has the shape {raw.shape} and the LED count does not tell which axis is the LED: "
            "row, column, LED was assumed, the custom of MATLAB files"
        )
    elif not last:
        raise DataError(
            f"{path.name}: {name} has the shape {raw.shape} but the array in the geometry has {count} LEDs",
            "correct rows and columns, count or the table in the geometry, or remove dark frames",
        )
    return np.moveaxis(raw, 2, 0)


def _known(mat: MatFile) -> str:
    """What the file does say, for the message about what it does not."""
    facts = [
        f"{label} {value * scale:g} {unit}"
        for key, label, scale, unit in (
            ("wlength", "wavelength", 1e6, "um"),
            ("z", "defocus", 1e6, "um"),
            ("theta", "rotation", 1, "deg"),
            ("xint", "shift x", 1, "mm"),
            ("yint", "shift y", 1, "mm"),
        )
        if (value := mat.scalar_or_none(key)) is not None
    ]
    return f"; it does say {', '.join(facts)}" if facts else ""


def _example(name: str) -> str:
    """Shipped geometry whose data look like this file."""
    return {"imlow_HDR": "uconn_bloodsmear.toml", "lowSeq": "elfpie_usaf.toml"}.get(name, "")


def _with_facts_of_file(mat: MatFile, geometry: Geometry, notes: list[str]) -> Geometry:
    """Fill what the geometry leaves open from the file, and note what the two state differently."""
    scope, pose = geometry.microscope, geometry.array.pose
    if (wavelength := mat.scalar_or_none("wlength")) is not None:
        conflict("the wavelength", scope.wavelength_um, wavelength * 1e6, "um", notes)
    if (z := mat.scalar_or_none("z")) is not None:
        if "defocus_um" in scope.model_fields_set:
            conflict("the defocus", scope.defocus_um, z * 1e6, "um", notes)
        else:
            scope = scope.model_copy(update={"defocus_um": _in_range("z", z * 1e6, 2000, mat, "um")})
            notes.append(f"defocus of {z * 1e6:g} um taken from the data file")
    if mat.scalar_or_none("aberration"):
        notes.append("the file's aberration was not used: give the pupil as microscope.zernike_waves")
    changes: dict[str, float] = {}
    if (theta := mat.scalar_or_none("theta")) is not None:
        if "rotation_deg" in pose.model_fields_set:
            conflict("the array's rotation", pose.rotation_deg, theta, "deg", notes)
        else:
            changes["rotation_deg"] = _in_range("theta", theta, 360, mat, "deg")
    # The published code shifts the array before it turns it; our pose turns first.
    angle = math.radians(changes.get("rotation_deg", pose.rotation_deg))
    x, y = mat.scalar_or_none("xint"), mat.scalar_or_none("yint")
    if x is not None and y is not None:
        turned = (x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle))
        for key, value in zip(("shift_x_mm", "shift_y_mm"), turned, strict=True):
            if key in pose.model_fields_set:
                conflict(f"the array's {key[:7].replace('_', ' ')}", getattr(pose, key), value, "mm", notes)
            else:
                changes[key] = _in_range(key[6] + "int", value, 200, mat, "mm")
    if any(changes.values()):
        told = ", ".join(f"{key} = {value:g}" for key, value in changes.items())
        notes.append(f"the array's pose taken from the data file: {told}")
    array = geometry.array.model_copy(update={"pose": pose.model_copy(update=changes)})
    return geometry.model_copy(update={"microscope": scope, "array": array})


def _in_range(name: str, value: float, limit: float, mat: MatFile, unit: str) -> float:
    if abs(value) > limit:
        raise DataError(
            f"{mat.path.name}: {name} stands for {value:g} {unit}, outside -{limit:g} to {limit:g} {unit}",
            "state the right value in the geometry",
        )
    return value
