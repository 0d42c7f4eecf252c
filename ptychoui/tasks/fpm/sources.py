"""The data of an experiment with microscopes, opened with what it says of them. No torch: the window asks, too."""

from __future__ import annotations

from dataclasses import replace

from ptychoui.data.dataset import ImageStack, TrainingSet
from ptychoui.data.formats.geometry_file import PartialGeometry, given_of
from ptychoui.data.formats.open import open_dataset
from ptychoui.paths import data_file
from ptychoui.settings import FpmExperiment, Geometry, Images


def find_dataset(experiment: FpmExperiment) -> tuple[ImageStack | TrainingSet, Geometry | None]:
    """Open the experiment's data; geometry from the experiment, else its geometry file, else the data's own."""
    source = experiment.data
    dataset = open_dataset(data_file(source.path), given_of(source, experiment.geometry))
    geometry = dataset.geometry if dataset.geometry is not None else experiment.geometry
    pixel = None if experiment.geometry is None else experiment.geometry.microscope.camera_pixel_um
    if geometry is not None and pixel is not None and pixel != geometry.microscope.camera_pixel_um:
        # Picking a colour doubles the pixel of a geometry file; the experiment's own is that of the picked pixels.
        scope = geometry.microscope.model_copy(update={"camera_pixel_um": pixel})
        geometry = geometry.model_copy(update={"microscope": scope})
        dataset = replace(dataset, geometry=geometry)
    return dataset, geometry


def image_overrides(experiment: FpmExperiment) -> Images | None:
    """What the experiment, or its geometry file where it has no geometry of its own, says of the images."""
    given = given_of(experiment.data, experiment.geometry)
    return given.images if isinstance(given, PartialGeometry) else None
