"""Patterns as a MATLAB file of version 5, under the names that published codes read."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from ptychoui.data.files import write_atomic
from ptychoui.design.patterns import PatternSet
from ptychoui.export.options import Exported, Options, design_hash


def write_mat(patterns: PatternSet, path: Path, options: Options) -> Exported:
    """Write raw levels and everything about light and camera.

    Names of the learned-design code: ``C`` (pattern, LED) levels times exposures, ``na_list`` (LED, [y, x]),
    ``na_x_list``, ``na_y_list``, ``wl`` and ``wavelength`` [um], ``na`` and ``sys_na``, ``mag``, ``ps`` and
    ``pixel_size`` [um]; ``metadata`` as the angle calibration code has it; ``led_positions`` (LED, 3) [mm].
    """
    from scipy.io import savemat

    scope = patterns.geometry.microscope
    na_x, na_y = patterns.illumination_na.T
    content = {
        "levels": patterns.levels,
        "exposures": patterns.exposures,
        "led_numbers": patterns.led_numbers,
        "led_positions": patterns.positions_mm,
        "row_names": np.array(patterns.row_names, dtype=object),
        "hash_sha256": design_hash(patterns),
        "C": patterns.levels * patterns.exposures[:, None],
        "na_list": patterns.illumination_na[:, ::-1],
        "na_x_list": na_x,
        "na_y_list": na_y,
        "wl": scope.wavelength_um,
        "wavelength": scope.wavelength_um,
        "na": scope.objective_na,
        "sys_na": scope.objective_na,
        "mag": scope.magnification,
        "ps": scope.camera_pixel_um,
        "pixel_size": scope.camera_pixel_um,
        "metadata": {
            "objective": {
                "na": scope.objective_na,
                "mag": scope.magnification,
                "system_mag": scope.magnification,
            },
            "camera": {"pixel_size_um": scope.camera_pixel_um},
            "illumination": {"wavelength_um": scope.wavelength_um},
            "source_list": {"na_design": patterns.illumination_na},
        },
    }
    buffer = io.BytesIO()
    savemat(buffer, content, do_compression=True)
    return Exported(paths=(write_atomic(path, buffer.getvalue()),))
