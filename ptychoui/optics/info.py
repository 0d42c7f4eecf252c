"""What ``ptychoui info`` says of a file: what it holds, what was assumed, what follows from its geometry."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.open import open_dataset
from ptychoui.experiment import Geometry, load_geometry
from ptychoui.optics.led_array import led_array
from ptychoui.optics.microscope import derived_numbers, field_of_leds


def describe(path: str, geometry_path: str | None, leds: bool = False) -> dict[str, Any]:
    """Open a file and describe it in plain values; with ``leds`` every LED too."""
    given = load_geometry(geometry_path) if geometry_path else None
    dataset = open_dataset(path, given)
    values: dict[str, Any] = {
        "file": path,
        "layout": dataset.provenance.layout,
        "sha256": dataset.provenance.sha256,
        "notes": list(dataset.provenance.notes),
    }
    if isinstance(dataset, ImageStack):
        images, rows, columns = dataset.images.shape
        low, high = dataset.extent
        values |= {
            "kind": "LED stack",
            "images": images,
            "rows_px": rows,
            "columns_px": columns,
            "intensity_min": low,
            "intensity_max": high,
            "unit_counts": dataset.unit_counts,
            "negative_pixels": dataset.negative_pixels,
            "led_numbers": [int(dataset.led_numbers.min()), int(dataset.led_numbers.max())],
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
    geometry: Geometry | None = dataset.geometry or given
    if geometry is not None:
        values["geometry"] = geometry.model_dump(mode="json", exclude_none=True)
        values["derived"] = asdict(derived_numbers(geometry))
        if leds:
            values["leds"] = led_rows(geometry)
    return values


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
    if values["kind"] == "LED stack":
        lines = [
            f"{values['file']}: {values['layout']}, {values['images']} images of {values['rows_px']} x "
            f"{values['columns_px']} pixels, LEDs {values['led_numbers'][0]} to {values['led_numbers'][1]}",
            f"intensity {values['intensity_min']:.4g} to {values['intensity_max']:.4g}, where 1 is "
            f"{values['unit_counts']:.6g} of the file's unit; {values['negative_pixels']} negative pixels",
        ]
    else:
        lines = [
            f"{values['file']}: {values['layout']}, {values['objects']} complex objects of {values['size_px']} pixels "
            f"of {values['pixel_size_um']:g} um from {len(values['sources'])} sources",
        ]
    lines += [f"note: {note}" for note in values["notes"]]
    if "derived" not in values:
        return "\n".join([*lines, "no geometry: give a TOML file with [microscope] and [array] (--geometry)"])
    derived = values["derived"]
    for name, (label, unit) in _UNITS.items():
        if derived[name] is not None:
            lines.append(f"  {label:<42}{derived[name]:>10.4g} {unit}".rstrip())
        if name == "cutoff_lp_per_mm":
            usaf = f"{derived['usaf_group']}-{derived['usaf_element']}"
            lines.append(f"  {'finest USAF 1951 pattern below it':<42}{usaf:>10} group-element")
    lines += [f"warning: {warning}" for warning in derived["warnings"]]
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
