"""What ``ptychoui info`` says of a file: what it holds, what was read from where, what was assumed, what is missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from ptychoui.data.dataset import Fact, ImageStack, TrainingSet
from ptychoui.data.formats.geometry_file import GivenGeometry, read_geometry
from ptychoui.data.formats.missing_settings import WORDS, lines_for
from ptychoui.data.formats.open import open_dataset
from ptychoui.data.formats.open_kspace import is_kspace
from ptychoui.data.kspace_results import describe_kspace_reconstruction, is_kspace_reconstruction
from ptychoui.data.results import describe_reconstruction, is_reconstruction
from ptychoui.errors import LedTableError, NoGeometryError, SettingsError
from ptychoui.optics.geometry.derived import derived_numbers, field_of_leds
from ptychoui.optics.geometry.led_array import led_array, limit_notes
from ptychoui.optics.quality.bright_field import stack_findings
from ptychoui.settings import Geometry
from ptychoui.words import counted
from ptychoui.workflows.describe_kspace import KIND, RESULT, describe_kspace, kspace_lines, result_lines

UNKNOWN = "stack without a whole geometry"
TABLE = "table of LED positions"


def describe(path: str, geometry_path: str | None, leds: bool = False) -> dict[str, Any]:
    """Open a file and describe it in plain values; with ``leds`` every LED too.

    A stack whose geometry lacks settings and a table of LEDs are described as far as they go.

    Raises
    ------
    PtychouiError
        If the file or the geometry is damaged or of an unknown layout.
    SettingsError
        If a geometry or LEDs are asked for with k-space.
    """
    if is_reconstruction(path):
        return describe_reconstruction(path)
    if is_kspace_reconstruction(path):
        return describe_kspace_reconstruction(path)
    if is_kspace(path, any_array=True):
        if geometry_path or leds:
            raise SettingsError(f"{path} is k-space, which has no LEDs", "leave --geometry and --leds out")
        return describe_kspace(path)
    given = read_geometry(geometry_path, for_data=True) if geometry_path else None
    try:
        dataset = open_dataset(path, given)
    except LedTableError as error:
        return {"file": path, "kind": TABLE, "layout": error.report, "leds": error.leds, "hint": error.hint}
    except NoGeometryError as error:
        return _without_geometry(path, error)
    return _described(path, dataset, given, leds)


def _described(path: str, dataset: ImageStack | TrainingSet, given: GivenGeometry, leds: bool) -> dict[str, Any]:
    values: dict[str, Any] = {
        "file": path,
        "layout": dataset.provenance.layout,
        "sha256": dataset.provenance.sha256,
        "facts": [asdict(fact) for fact in dataset.provenance.facts],
        "notes": list(dataset.provenance.notes),
        "missing": [],
    }
    if isinstance(dataset, ImageStack):
        images, rows, columns = dataset.images.shape
        low, high = dataset.extent
        assert dataset.exposure is not None
        values |= {
            "kind": "LED stack",
            "images": images,
            "rows_px": rows,
            "columns_px": columns,
            "intensity_min": low,
            "intensity_max": high,
            "unit_counts": dataset.unit_counts,
            "negative_pixels": dataset.negative_pixels,
            "clipped_share": {str(number): share for number, share in dataset.provenance.clipped},
            "led_numbers": [int(dataset.led_numbers.min()), int(dataset.led_numbers.max())],
            "relative_exposure": [float(dataset.exposure.min()), float(dataset.exposure.max())],
        }
    else:
        count, size, _ = dataset.objects.shape
        values |= {
            "kind": "training set",
            "objects": count,
            "size_px": size,
            "pixel_size_um": dataset.pixel_size_um,
            "sources": list(dataset.source_names),
        }
    geometry = dataset.geometry or (given if isinstance(given, Geometry) else None)
    if geometry is not None:
        values["geometry"] = geometry.model_dump(mode="json", exclude_none=True)
        values["derived"] = asdict(derived_numbers(geometry))
        if isinstance(dataset, ImageStack):
            values["notes"] += limit_notes(geometry.array)
            values["warnings"] = [one.sentence for one in stack_findings(dataset, geometry)]
        if leds:
            values["leds"] = led_rows(geometry)
    return values


def _without_geometry(path: str, error: NoGeometryError) -> dict[str, Any]:
    facts = error.report.get("facts")
    notes, lines = error.report.get("notes"), error.report.get("lines")
    return {
        "file": path,
        "kind": UNKNOWN,
        "layout": str(error.report.get("layout", "")),
        "images": error.report.get("images"),
        "facts": [asdict(fact) for fact in facts if isinstance(fact, Fact)] if isinstance(facts, list) else [],
        "notes": [str(note) for note in notes] if isinstance(notes, list) else [],
        "missing": list(error.missing),
        "lines": [str(line) for line in lines] if isinstance(lines, list) else lines_for(error.missing),
        "message": error.message,
        "hint": error.hint,
    }


_UNITS = {
    "pixel_size_um": ("camera pixel at the sample", "um"),
    "intensity_nyquist_um": ("largest pixel that samples the intensity", "um"),
    "field_nyquist_um": ("largest pixel that samples an LED's field", "um"),
    "object_pixel_um": ("object pixel", "um"),
    "object_nyquist_um": ("largest pixel that samples the object", "um"),
    "illumination_na": ("largest illumination NA", ""),
    "synthetic_na": ("synthetic NA", ""),
    "resolution_um": ("smallest resolved period", "um"),
    "cutoff_lp_per_mm": ("cut-off", "lp/mm"),
    "neighbour_overlap": ("pupil overlap of neighbouring LEDs", ""),
    "led_count": ("LEDs", ""),
    "nearest_led": ("LED nearest to the optical axis", ""),
    "nearest_led_mm": ("its distance from the axis", "mm"),
    "bright_field_leds": ("bright-field LEDs", ""),
    "dark_field_leds": ("dark-field LEDs", ""),
    "edge_leds": ("of these in the guard band", ""),
    "guard_na": ("guard band: objective NA plus or minus", ""),
    "tile_angle_um": ("largest tile for the change of angles", "um"),
    "tile_led_size_um": ("largest tile for the size of the LEDs", "um"),
    "tile_bandwidth_um": ("largest tile for the bandwidth", "um"),
    "tile_limit_px": ("largest tile", "camera pixels"),
}


def led_rows(geometry: Geometry, guard_na: float = 0.0) -> list[dict[str, Any]]:
    """What is known of each LED: number, place in mm, illumination NA, field (bright, edge, dark), brightness."""
    leds = led_array(geometry.array)
    fields = field_of_leds(leds, geometry.microscope.objective_na, guard_na)
    return [
        {
            "number": int(number),
            "x_mm": float(x),
            "y_mm": float(y),
            "z_mm": float(z),
            "na_x": float(na_x),
            "na_y": float(na_y),
            "na": float(radius),
            "field": field,
            "brightness": float(gain),
        }
        for number, (x, y, z), (na_x, na_y), radius, field, gain in zip(
            leds.numbers, leds.positions_mm, leds.illumination_na, leds.radius_na, fields, leds.gain, strict=True
        )
    ]


def as_text(values: dict[str, Any]) -> str:
    """The same for a terminal."""
    if values["kind"] == TABLE:
        return f"{values['file']}: {values['layout']}\nnot images; {values['hint']}"
    if values["kind"] == "reconstruction":
        return _reconstruction(values)
    if values["kind"] == RESULT:
        return "\n".join([*result_lines(values), *(f"note: {note}" for note in values.get("notes", []))])
    if values["kind"] == KIND:
        lines = [*kspace_lines(values), *_facts(values["facts"])]
        return "\n".join([*lines, *(f"note: {note}" for note in values["notes"])])
    if values["kind"] == UNKNOWN:
        lines = [f"{values['file']}: {values['layout']}, not read yet: its geometry lacks some settings"]
        lines += _facts(values["facts"]) + [f"note: {note}" for note in values["notes"]]
        lines += ["missing:"] + [f"  {name:<32}{_words(name)}".rstrip() for name in values["missing"]]
        where = "write these lines with your own values into a file and give it with --geometry:"
        return "\n".join([*lines, where, *(f"  {line}" for line in values["lines"])])
    if values["kind"] == "LED stack":
        lines = [
            f"{values['file']}: {values['layout']}, {counted(values['images'], 'image')} of {values['rows_px']} x "
            f"{values['columns_px']} pixels, LEDs {values['led_numbers'][0]} to {values['led_numbers'][1]}",
            f"intensity {values['intensity_min']:.4g} to {values['intensity_max']:.4g}, where 1 is "
            f"{values['unit_counts']:.6g} of the file's unit; {counted(values['negative_pixels'], 'negative pixel')}",
        ]
        if values["relative_exposure"][0] < 1:
            lines.append(f"exposures {values['relative_exposure'][0]:.4g} to 1 of the longest, divided out")
    else:
        lines = [
            f"{values['file']}: {values['layout']}, {counted(values['objects'], 'complex object')} of "
            f"{values['size_px']} pixels of {values['pixel_size_um']:g} um from "
            f"{counted(len(values['sources']), 'source')}",
        ]
    lines += _facts(values["facts"]) + [f"note: {note}" for note in values["notes"]]
    if "derived" not in values:
        return "\n".join([*lines, "no geometry: give a TOML file with [microscope] and [array] (--geometry)"])
    derived = values["derived"]
    lines.append("what follows:")
    for name, (label, unit) in _UNITS.items():
        if derived[name] is not None:
            lines.append(f"  {label:<42}{derived[name]:>10.4g} {unit}".rstrip())
        if name == "cutoff_lp_per_mm":
            usaf = f"{derived['usaf_group']}-{derived['usaf_element']}"
            lines.append(f"  {'finest USAF 1951 pattern below it':<42}{usaf:>10} group-element")
    lines += [f"warning: {warning}" for warning in (*values.get("warnings", ()), *derived["warnings"])]
    if "leds" in values:
        lines.append(
            f"{'LED':>6}{'x mm':>10}{'y mm':>10}{'z mm':>9}{'NA x':>9}{'NA y':>9}{'NA':>8}  field   brightness"
        )
        lines += [
            f"{led['number']:>6}{led['x_mm']:>10.3f}{led['y_mm']:>10.3f}{led['z_mm']:>9.3f}{led['na_x']:>9.4f}"
            f"{led['na_y']:>9.4f}{led['na']:>8.4f}  {led['field']:<8}{led['brightness']:>9.3f}"
            for led in values["leds"]
        ]
    return "\n".join(lines)


def _reconstruction(values: dict[str, Any]) -> str:
    """A result for a terminal."""
    tiles = f"{values['tiles']} tiles" if values["tiles"] > 1 else "one tile"
    settings = values["settings"]
    lines = [
        f"{values['file']}: reconstruction of {values['rows_px']} x {values['columns_px']} pixels of "
        f"{values['object_pixel_um']:.4g} um, {tiles} of {values['tile_px']} camera pixels",
        f"from {counted(values['images'], 'image')} of {counted(values['leds'], 'LED')} of "
        f"{values.get('source', 'an unknown file')} "
        f"(sha256 {str(values.get('data_sha256', ''))[:16]}...)",
        f"{counted(values['passes'], 'pass', 'passes')}, pupil {settings['pupil']}; amplitude residual "
        f"{values['amplitude_residual']:.4f}, "
        f"with brightness and stray light of each LED {values['fitted_residual']:.4f}",
    ]
    if values["zernike_waves"]:
        middle = "" if values["tiles"] == 1 else " of the middle tile"
        terms = ", ".join(f"{noll}: {waves:+.3f}" for noll, waves in values["zernike_waves"].items())
        lines.append(f"Zernike terms{middle} (Noll's index: waves RMS): {terms}")
    lines += [f"made with {name} {version}" for name, version in values.get("versions", {}).items()][:1]
    return "\n".join([*lines, *(f"note: {note}" for note in values.get("notes", []))])


def _facts(facts: Iterable[dict[str, Any]]) -> list[str]:
    """What was read, then what was assumed, each with where it comes from."""
    found = [Fact(**fact) for fact in facts]
    lines = []
    for title, some in (
        ("read:", [fact for fact in found if not fact.assumed]),
        ("assumed:", [fact for fact in found if fact.assumed]),
    ):
        if some:
            lines += [title, *(f"  {fact}" for fact in some)]
    return lines


def _words(name: str) -> str:
    words, unit, _ = WORDS.get(name, ("", "", ""))
    return f"{words}, {unit}" if unit else words
