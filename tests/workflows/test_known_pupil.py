"""A pupil that a data file states, carried down to a reconstruction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.open import open_dataset
from ptychoui.optics.forward.simulate import simulate_stack
from ptychoui.optics.geometry.microscope import pupil_function
from ptychoui.optics.reconstruction.stack import reconstruct
from ptychoui.settings import Geometry, Measurement, Reconstruct

SIZE_PX = 48
SCOPE: dict[str, Any] = {"wavelength_um": 0.63, "objective_na": 0.1, "magnification": 2.0, "camera_pixel_um": 3.69}
ARRAY: dict[str, Any] = {"kind": "lattice", "rows": 5, "columns": 5, "pitch_mm": 4.0, "height_mm": 90.0}


def test_a_known_pupil_explains_the_images_better(tmp_path: Path) -> None:
    """The pupil of an aberrated microscope lowers the residual of its images; a flat or conjugate one does not."""
    flat = Geometry(microscope=SCOPE, array=ARRAY)  # type: ignore[arg-type]
    true = Geometry(microscope=SCOPE | {"zernike_waves": {5: 0.15, 7: 0.1}}, array=ARRAY)  # type: ignore[arg-type]
    stack, _ = simulate_stack(true, flat, Measurement(noise="none"), SIZE_PX, 3)
    frequency = (np.arange(SIZE_PX) - SIZE_PX // 2) / (SIZE_PX * flat.microscope.pixel_size_um)
    pupil = pupil_function(true.microscope, *np.meshgrid(frequency, frequency), frequency[1] - frequency[0])
    settings = Reconstruct(passes=5, pupil="fixed", gain=False, background=False)
    residual = {}
    for name, stated in (("known", pupil), ("flat", 0.0), ("conjugate", pupil.conj())):
        scipy.io.savemat(tmp_path / "u.mat", {"imlow_HDR": np.moveaxis(stack.images, 0, 2), "aberration": stated})
        read = open_dataset(tmp_path / "u.mat", flat)
        assert isinstance(read, ImageStack) and read.geometry is not None
        residual[name] = reconstruct(read.geometry, read.images, settings).amplitude_residual
    assert residual["known"] < residual["flat"] / 2 and residual["known"] < residual["conjugate"] / 2
