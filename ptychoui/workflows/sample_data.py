"""The sample data that the project generates itself: a teaching microscope with its stack and objects, k-space."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ptychoui.data.dataset import array_sha256
from ptychoui.data.formats.kspace_native import write_kspace
from ptychoui.data.formats.native import save_hdf5
from ptychoui.data.formats.tiff import save_stack_tiff
from ptychoui.data.kspace import KSpaceSet
from ptychoui.errors import DataError
from ptychoui.mri.simulate import simulate
from ptychoui.optics.cells import cell_objects
from ptychoui.optics.forward.simulate import simulate_stack
from ptychoui.optics.objects import training_objects
from ptychoui.settings import Geometry, Measurement, Pose

OBJECT_PIXEL_UM = 0.6
OBJECT_PX = 160
OBJECTS_PER_SOURCE = 2
CELLS_PX, SLIDES = 208, 24
"""Of the drawn cells: larger than what is learned on, so that they do not repeat, and one object on each slide."""
STACK_PX = 96
SLIDE = "ihc"
"""Source of the stack's object: tissue, fine enough to scatter into the dark field."""
K_SPACE_DIGITS = 5
"""Decimals that k-space and true images are rounded to, far below the noise: processors differ in the last bits."""


def sample_geometry() -> Geometry:
    """A 4x / 0.1 microscope with 9 x 9 LEDs: 9 in the bright field, 72 in the dark field, NA 0.1 + 0.30."""
    return Geometry(
        microscope={"wavelength_um": 0.53, "objective_na": 0.1, "magnification": 4.0, "camera_pixel_um": 4.8},
        array={"kind": "lattice", "pitch_mm": 4.0, "rows": 9, "columns": 9, "height_mm": 72.0},
    )


def true_geometry() -> Geometry:
    """The microscope that took the sample stack: the array sits a little off, the pupil is aberrated."""
    nominal = sample_geometry()
    return nominal.replace(
        microscope=nominal.microscope.replace(zernike_waves={5: 0.06, 7: -0.04, 8: 0.03, 11: 0.02}),
        array=nominal.array.replace(height_mm=72.4, pose=Pose(shift_x_mm=0.35, shift_y_mm=-0.2, rotation_deg=0.8)),
    )


def write_samples(folder: str | Path, seed: int) -> list[Path]:
    """Write ``objects.h5``, ``cells.h5``, ``stack.ome.tif`` with its geometry file, and k-space.

    The same seed gives the same arrays.

    Returns
    -------
    The files written.

    Raises
    ------
    DataError
        If the folder cannot be made, or a file cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make the folder {folder}: {error.strerror}", "choose another place") from None
    objects = training_objects(OBJECT_PIXEL_UM, OBJECT_PX, OBJECTS_PER_SOURCE, seed)
    drawn = cell_objects(OBJECT_PIXEL_UM, CELLS_PX, SLIDES, seed)
    stack, _ = simulate_stack(true_geometry(), sample_geometry(), Measurement(), STACK_PX, seed, SLIDE)
    return [
        save_hdf5(folder / "objects.h5", replace(objects, geometry=sample_geometry())),
        save_hdf5(folder / "cells.h5", replace(drawn, geometry=sample_geometry()), packed=True),
        save_stack_tiff(folder / "stack.ome.tif", stack),
        *(write_kspace(folder / name, data) for name, data in sample_kspace(seed).items()),
    ]


def sample_kspace(seed: int) -> dict[str, KSpaceSet]:
    """Fully sampled k-space of six heads, and of a heart over one beat, by the name of the file it goes to.

    The shapes are (example, coil, row, column) and (example, coil, frame, row, column), in units of the images, which
    have values of order 1; signal-to-noise ratios are 30 and 28 dB as `ptychoui.mri.simulate.SNR_MEANING` has it. Coil
    maps are left to be estimated.
    """
    generator = np.random.default_rng(seed)
    heads = simulate("2d", "brain", 6, (96, 88), 4, generator, snr_db=30.0)
    heart = simulate("cine", "heart", 1, (12, 64, 60), 4, generator, snr_db=28.0)
    return {"heads.kspace.h5": _rounded(heads, seed), "heart.kspace.h5": _rounded(heart, seed)}


def _rounded(data: KSpaceSet, seed: int) -> KSpaceSet:
    k_space = np.round(data.k_space, K_SPACE_DIGITS)
    truth = None if data.truth is None else np.round(data.truth, K_SPACE_DIGITS)
    provenance = replace(data.provenance, source=f"simulated, seed {seed}", sha256=array_sha256(k_space))
    return replace(data, k_space=k_space, truth=truth, provenance=provenance)
