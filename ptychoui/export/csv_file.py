"""Patterns as a table for a spreadsheet: one row per LED, one column per pattern."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from ptychoui.data.files import write_atomic
from ptychoui.design.patterns import PatternSet
from ptychoui.export.options import Exported, Options


def write_csv(patterns: PatternSet, path: Path, options: Options) -> Exported:
    """Write LED number, position [mm], illumination NA, field and the raw level in every pattern."""
    na = patterns.geometry.microscope.objective_na
    radius = np.hypot(*patterns.illumination_na.T)
    names = [
        f"{name} (exposure {exposure:.6g} frames)"
        for name, exposure in zip(patterns.row_names, patterns.exposures, strict=True)
    ]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["led", "x_mm", "y_mm", "z_mm", "na_x", "na_y", "field", *names])
    for led, number in enumerate(patterns.led_numbers):
        table.writerow(
            [
                int(number),
                *(f"{value:.6g}" for value in patterns.positions_mm[led]),
                *(f"{value:.6g}" for value in patterns.illumination_na[led]),
                "bright" if radius[led] < na else "dark",
                *(f"{value:.6g}" for value in patterns.levels[:, led]),
            ]
        )
    return Exported(paths=(write_atomic(path, text.getvalue()),))
