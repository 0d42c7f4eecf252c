"""Settings for data that come without an experiment."""

from __future__ import annotations

from ptychoui.data.dataset import ImageStack, TrainingSet
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.microscope import good_padding
from ptychoui.settings import FpmExperiment
from ptychoui.tasks.fpm.task import find_dataset

TILES = ((32, 8), (24, 8), (16, 4), (8, 2))
"""Edges of tiles and borders around them, in camera pixels, the one to be wished for first."""


def fitted(experiment: FpmExperiment) -> FpmExperiment:
    """The experiment with the largest of `TILES` that its data hold, and no dark-field rows without dark-field LEDs.

    What does not fit in any way is left as it is: setting up the run says what is wrong with it.

    Raises
    ------
    PtychouiError
        If the data cannot be opened, or do not say enough about the microscope.
    """
    dataset, geometry = find_dataset(experiment)
    if geometry is None:
        return experiment
    leds = led_array(geometry.array)
    if not (leds.radius_na >= geometry.microscope.objective_na).any():
        experiment = experiment.replace(design=experiment.design.replace(dark_field_rows=0))
    for tile, pad in TILES:
        margin = min(experiment.training.margin_px, tile // 4)
        if _holds(dataset, geometry.microscope.pixel_size_um, tile, pad, margin, experiment.training.holdout):
            return experiment.replace(
                data=experiment.data.replace(tile_px=tile, pad_px=pad),
                training=experiment.training.replace(margin_px=margin),
            )
    return experiment


def _holds(
    dataset: ImageStack | TrainingSet, pixel_um: float, tile_px: int, pad_px: int, margin_px: int, holdout: float
) -> bool:
    """Whether tiles for learning and for scoring, with their borders, fit into the data; pixel_um at the sample."""
    if isinstance(dataset, TrainingSet):
        span = tile_px + 2 * good_padding(tile_px, pad_px)
        return bool(dataset.objects.shape[-1] * dataset.pixel_size_um >= span * pixel_um)
    side = int(min(dataset.images.shape[1:]))
    return side >= 2 * tile_px + max(2, margin_px) and side * (1 - holdout) >= tile_px + max(2, margin_px)
