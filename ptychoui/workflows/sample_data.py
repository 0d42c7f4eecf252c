"""The sample data that the project generates itself: a teaching microscope, its LED stack, objects to learn from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ptychoui.data.formats.native import save_hdf5
from ptychoui.data.formats.tiff import save_stack_tiff
from ptychoui.errors import DataError
from ptychoui.optics.forward.simulate import simulate_stack
from ptychoui.optics.objects import training_objects
from ptychoui.settings import Geometry, Measurement, Pose

OBJECT_PIXEL_UM = 0.6
OBJECT_PX = 160
OBJECTS_PER_SOURCE = 2
STACK_PX = 96
SLIDE = "ihc"
"""Source of the stack's object: tissue, fine enough to scatter into the dark field."""


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
    """Write ``objects.h5`` and ``stack.ome.tif`` with its geometry file; the same seed gives the same arrays.

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
    stack, _ = simulate_stack(true_geometry(), sample_geometry(), Measurement(), STACK_PX, seed, SLIDE)
    return [
        save_hdf5(folder / "objects.h5", replace(objects, geometry=sample_geometry())),
        save_stack_tiff(folder / "stack.ome.tif", stack),
    ]
