"""Patterns as NumPy arrays, without any pickled object."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from ptychoui.data.files import write_atomic
from ptychoui.design.patterns import PatternSet
from ptychoui.export.options import Exported, Options, design_hash
from ptychoui.settings import to_toml


def write_npz(patterns: PatternSet, path: Path, options: Options) -> Exported:
    """Write the arrays under their own names, and under those the published learned-design code reads.

    The latter: ``C`` (levels times exposures), ``na_list`` (LED, [y, x]), ``wl`` [um], ``na``, ``mag``,
    ``ps`` [um].
    """
    scope = patterns.geometry.microscope
    arrays = {
        "levels": patterns.levels,
        "exposures": patterns.exposures,
        "led_numbers": patterns.led_numbers,
        "positions_mm": patterns.positions_mm,
        "illumination_na": patterns.illumination_na,
        "row_names": np.array(patterns.row_names, dtype=np.str_),
        "geometry_toml": np.array(to_toml(patterns.geometry)),
        "hash_sha256": np.array(design_hash(patterns)),
        "C": patterns.levels * patterns.exposures[:, None],
        "na_list": patterns.illumination_na[:, ::-1],
        "wl": np.array(scope.wavelength_um),
        "na": np.array(scope.objective_na),
        "mag": np.array(scope.magnification),
        "ps": np.array(scope.camera_pixel_um),
    }

    def write(file: BinaryIO) -> None:
        np.savez_compressed(file, allow_pickle=False, **arrays)

    return Exported(paths=(write_atomic(path, write),))
