"""What ``ptychoui info`` says of a file: what it holds, what was assumed, what follows from its geometry."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.open import open_dataset
from ptychoui.experiment import Geometry, load_geometry
from ptychoui.optics.microscope import derived_numbers


def describe(path: str, geometry_path: str | None) -> dict[str, Any]:
    """Open a file and describe it in plain values."""
    given = load_geometry(geometry_path) if geometry_path else None
    dataset = open_dataset(path, given)
    values: dict[str, Any] = {
        "file": path,
        "layout": dataset.provenance.layout,
        "sha256": dataset.provenance.sha256,
        "notes": list(dataset.provenance.notes),
    }
    if isinstance(dataset, ImageStack):
        leds, rows, columns = dataset.images.shape
        low, high = dataset.extent
        values |= {
            "kind": "LED stack",
            "images": leds,
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
    return values


_UNITS = {
    "pixel_size_um": ("camera pixel at the sample", "um"),
    "object_pixel_um": ("object pixel", "um"),
    "intensity_nyquist_um": ("largest pixel that samples the intensity", "um"),
    "illumination_na": ("largest illumination NA", ""),
    "synthetic_na": ("synthetic NA", ""),
    "resolution_um": ("smallest resolved period", "um"),
    "cutoff_lp_per_mm": ("cut-off", "lp/mm"),
    "neighbour_overlap": ("pupil overlap of neighbouring LEDs", ""),
    "led_count": ("LEDs", ""),
    "bright_field_leds": ("bright-field LEDs", ""),
    "dark_field_leds": ("dark-field LEDs", ""),
}


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
        lines.append(f"  {label:<42}{derived[name]:>10.4g} {unit}".rstrip())
    lines += [f"warning: {warning}" for warning in derived["warnings"]]
    return "\n".join(lines)
