"""Patterns as a table with one row per LED of each pattern: for databases and data frames."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from ptychoui.data.files import write_atomic
from ptychoui.design.patterns import PatternSet
from ptychoui.export.drive_codes import drive_codes
from ptychoui.export.options import Exported, Options, dwell_ms, quantisation_notes


def write_csv_long(patterns: PatternSet, path: Path, options: Options) -> Exported:
    """Write pattern, exposure [ms], LED number, position [mm], illumination NA, raw level and 8-bit drive value."""
    values, coded = drive_codes(patterns, options)
    dwell = dwell_ms(patterns, coded, options)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["pattern", "name", "exposure_ms", "led", "x_mm", "y_mm", "z_mm", "na_x", "na_y", "level", "value"])
    for row, name in enumerate(patterns.row_names):
        for led, number in enumerate(patterns.led_numbers):
            table.writerow(
                [
                    row + 1,
                    name,
                    f"{dwell[row]:.6g}",
                    int(number),
                    *(f"{value:.6g}" for value in patterns.positions_mm[led]),
                    *(f"{value:.6g}" for value in patterns.illumination_na[led]),
                    f"{patterns.levels[row, led]:.6g}",
                    int(values[row, number]),
                ]
            )
    notes = tuple(quantisation_notes(patterns, coded))
    return Exported(paths=(write_atomic(path, text.getvalue()),), notes=notes)
