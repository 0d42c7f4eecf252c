"""The published training set for learned designs: ``truth`` (object, row, column, [re, im]) in a .mat file.

Other variables: ``noisy`` simulated single-LED images (not needed: measurements are simulated again),
``na_list`` (LED, [y, x]) direction cosines, ``na``, ``na_illum``, ``wl`` [um], ``ps`` camera pixel [um],
``mag``, ``Np``, ``Nleds``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import Provenance, TrainingSet
from ptychoui.data.files import sha256_file
from ptychoui.data.formats.common import beside
from ptychoui.data.formats.draft import Draft
from ptychoui.data.formats.geometry_file import GivenGeometry
from ptychoui.data.formats.led_table import TABLE_HEIGHT_MM, Leds
from ptychoui.data.formats.matlab import MatFile
from ptychoui.errors import DataError, NoGeometryError, PtychouiError
from ptychoui.settings import Array, Geometry, Microscope

SETTINGS = (
    ("microscope.wavelength_um", "wl", " [um]"),
    ("microscope.objective_na", "na", ""),
    ("microscope.camera_pixel_um", "ps", " [um]"),
    ("microscope.magnification", "mag", ""),
)


def read_matlab_training(mat: MatFile, given: GivenGeometry) -> TrainingSet:
    """Read the objects of a published training set; a geometry that is given wins over the file's."""
    path = mat.path
    objects = _objects(mat)
    stated = {name: mat.scalar_or_none(name) for name in ("wl", "na", "na_illum", "ps", "mag")}
    draft = Draft(path=path, layout="published training .mat")
    notes = draft.notes
    for setting, name, unit in SETTINGS:
        draft.state(setting, stated[name], f"`{name}`{unit}")
    geometry = None
    if given is not None or beside(path) is not None:
        if "na_list" in mat:
            draft.leds = Leds(directions=_directions(mat, []))
        geometry = draft.complete(given)
    pixel = _object_pixel(mat, stated, geometry, notes)
    if geometry is None:
        geometry = _geometry_of_file(mat, stated, notes)
    notes.append(
        "the file does not say which image each object was cut from: every object counts as its own source, "
        "so parts of one image can land on both sides of a split"
    )
    return TrainingSet(
        objects=objects,
        sources=np.arange(len(objects), dtype=np.int64),
        source_names=tuple(f"object {i}" for i in range(len(objects))),
        pixel_size_um=pixel,
        geometry=geometry,
        provenance=Provenance(
            source=str(path),
            layout=draft.layout,
            sha256=sha256_file(path),
            notes=tuple(notes),
            facts=tuple(draft.facts),
        ),
    )


def _objects(mat: MatFile) -> NDArray[np.complex64]:
    shape = mat.shapes["truth"]
    if len(shape) != 4 or shape[3] != 2 or shape[1] != shape[2]:
        raise DataError(f"{mat.path.name}: truth has the shape {shape}, expected (objects, N, N, [re, im])")
    truth: NDArray[Any] = mat.array("truth")
    if truth.dtype.kind == "c":
        raise DataError(f"{mat.path.name}: truth is complex, expected real and imaginary part on the last axis")
    objects = np.empty(truth.shape[:3], dtype=np.complex64)
    with np.errstate(over="ignore"):  # too large for float32 becomes infinity, which TrainingSet refuses
        objects.real, objects.imag = truth[..., 0], truth[..., 1]
    return objects


def _object_pixel(mat: MatFile, stated: dict[str, float | None], geometry: Geometry | None, notes: list[str]) -> float:
    """Pixel of the objects: wl / (2 (na + na_illum)), the grid of the published simulation."""
    wl, na, na_illum = stated["wl"], stated["na"], stated["na_illum"]
    if geometry is not None:
        wl = geometry.microscope.wavelength_um if wl is None else wl
        na = geometry.microscope.objective_na if na is None else na
        na_illum = geometry.array.max_illumination_na if na_illum is None else na_illum
    missing = [n for n, value in (("wl", wl), ("na", na), ("na_illum", na_illum)) if value is None]
    if wl is None or na is None or na_illum is None:
        raise NoGeometryError(
            f"{mat.path.name} lacks {', '.join(missing)}: the pixel of its objects is unknown",
            "pass --geometry FILE with wavelength_um, objective_na and max_illumination_na",
        )
    if not (wl > 0 and na + na_illum > 0):
        raise DataError(f"{mat.path.name}: wl = {wl:g} um, na = {na:g}, na_illum = {na_illum:g}: all must be above 0")
    pixel = wl / (2 * (na + na_illum))
    notes.append(f"pixel of the objects assumed as wl / (2 (na + na_illum)) = {pixel:.5g} um")
    return pixel


def _geometry_of_file(mat: MatFile, stated: dict[str, float | None], notes: list[str]) -> Geometry | None:
    """Microscope and LED table from the file, or None and a note that says by name what is missing."""
    missing = [name for name in ("wl", "na", "ps", "mag") if stated[name] is None]
    missing += [] if "na_list" in mat else ["na_list"]
    if missing:
        notes.append(f"no geometry: the file lacks {', '.join(missing)}")
        return None
    directions = _directions(mat, notes)
    with np.errstate(over="ignore"):
        cosine = 1 - np.sum(directions**2, axis=1)
    if np.any(cosine <= 0.01):
        notes.append("no geometry: na_list holds directions at or beyond NA 1")
        return None
    x, y = TABLE_HEIGHT_MM * directions.T / np.sqrt(cosine)
    notes.append(
        f"LED positions were made from na_list, taken as (y, x), on a flat array {TABLE_HEIGHT_MM:g} mm "
        "below the sample; LEDs are numbered in the file's order"
    )
    scope: dict[str, Any] = {
        "wavelength_um": stated["wl"],
        "objective_na": stated["na"],
        "camera_pixel_um": stated["ps"],
        "magnification": stated["mag"],
    }
    table: dict[str, Any] = {
        "kind": "table",
        "height_mm": TABLE_HEIGHT_MM,
        "positions_mm": tuple((float(a), float(b), 0.0) for a, b in zip(x, y, strict=True)),
        "max_illumination_na": stated["na_illum"],
    }
    try:
        return Geometry(microscope=Microscope(**scope), array=Array(**table))
    except PtychouiError as error:
        raise DataError(f"{mat.path.name}: {error.message}", error.hint) from None


def _directions(mat: MatFile, notes: list[str]) -> NDArray[np.float64]:
    """(LED, [x, y]) direction cosines of the file, which lists (y, x)."""
    na_list = mat.array("na_list")
    if na_list.ndim != 2 or na_list.shape[1] != 2 or na_list.dtype.kind == "c" or not np.isfinite(na_list).all():
        raise DataError(f"{mat.path.name}: na_list has the shape {na_list.shape}, expected (LEDs, 2)")
    count = mat.scalar_or_none("Nleds")
    if count is not None and 1 <= count < len(na_list):
        na_list = na_list[: int(count)]
        notes.append(f"the first {int(count)} of the directions were used (Nleds)")
    return na_list[:, ::-1].astype(np.float64)
