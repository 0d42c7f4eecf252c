"""Settings for data that come without an experiment. No torch, and no readers of files: the window asks, too."""

from __future__ import annotations

import numpy as np

from ptychoui.data.dataset import ImageStack, TrainingSet
from ptychoui.optics.geometry.led_array import LedArray, led_array
from ptychoui.optics.geometry.microscope import good_padding
from ptychoui.optics.quality.bright_field import image_means
from ptychoui.settings import FpmExperiment, Geometry

TILES = ((32, 8), (24, 8), (16, 4), (8, 2))
"""Edges of tiles and borders around them, in camera pixels, the one to be wished for first."""


FAINT = 0.008
"""Mean light of a ring of dark-field LEDs, over that of the bright field, below which they are left out: they show
little else than noise, and cost as much time as the others."""

RING_NA = 0.25
"""Width of such a ring, in units of the objective's NA."""

GUARD_PITCH = 0.2
"""Width of the guard band on either side of the objective's NA, in units of the angle between neighbouring LEDs."""

UNROLLS, STEPS, LEARNING_RATE = 20, 40, 0.08
"""A first result within three minutes on two cores; the network's steps and prior are learned with the patterns."""


def fitted(experiment: FpmExperiment) -> FpmExperiment:
    """The experiment with settings that suit its data, where it has none of its own: see `suited`.

    Of a measured stack those dark-field LEDs take part that show something.

    Raises
    ------
    PtychouiError
        If the data cannot be opened, or do not say enough about the microscope.
    """
    from ptychoui.tasks.fpm.sources import find_dataset  # with the libraries for files: the window starts without them

    dataset, geometry = find_dataset(experiment)
    if geometry is not None and isinstance(dataset, ImageStack):
        geometry = _of_seen_leds(dataset, geometry)
        experiment = experiment.replace(geometry=geometry)
    return suited(experiment, dataset, geometry)


def suited(experiment: FpmExperiment, dataset: ImageStack | TrainingSet, geometry: Geometry | None) -> FpmExperiment:
    """The experiment with settings that suit open data and, where it is known, the microscope.

    Learning begins from the best of several hand-made designs, and ends with a comparison. Tiles are the largest of
    `TILES` that the data hold; without dark-field LEDs there are no dark-field rows. What does not fit in any way is
    left as it is: setting up the run says what is wrong with it.
    """
    experiment = _learning(experiment)
    if geometry is None:
        return experiment
    leds = led_array(geometry.array)
    if not (leds.radius_na >= geometry.microscope.objective_na).any():
        experiment = experiment.replace(design=experiment.design.replace(dark_field_rows=0))
    if isinstance(dataset, ImageStack):
        experiment = experiment.replace(
            design=experiment.design.replace(guard_na=_guard_na(leds, geometry.microscope.objective_na)),
            training=experiment.training.replace(without_ramp=True),
        )
    for tile, pad in TILES:
        margin = min(experiment.training.margin_px, tile // 4)
        if _holds(dataset, experiment, geometry.microscope.pixel_size_um, tile, pad, margin):
            return experiment.replace(
                data=experiment.data.replace(tile_px=tile, pad_px=pad),
                training=experiment.training.replace(margin_px=margin),
            )
    return experiment


def _learning(experiment: FpmExperiment) -> FpmExperiment:
    network = experiment.network.replace(prior="smooth", unrolls=UNROLLS, learn_step=True, learn_smoothness=True)
    steps = experiment.training.steps
    if steps == type(experiment.training)().steps:  # nobody asked for another number
        steps = STEPS
    training = experiment.training.replace(steps=steps, learning_rate=LEARNING_RATE, schedule="cosine", compare=True)
    design = experiment.design.replace(start="best", learn_exposure=True)
    return experiment.replace(network=network, training=training, design=design)


def _guard_na(leds: LedArray, objective_na: float) -> float:
    """How close to the objective's NA LEDs stay dark, so that the array may stand a little aside.

    An LED that a small shift takes from the bright to the dark field makes another design of a pattern. No band where
    it would leave less than half of the LEDs of either field.
    """
    place = leds.illumination_na[leds.bright_field(objective_na)]
    if len(place) < 2:
        return 0.0
    apart = np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1))
    np.fill_diagonal(apart, np.inf)
    guard = float(np.floor(1e4 * GUARD_PITCH * np.median(apart.min(1))) / 1e4)
    bright, outside = leds.bright_field(objective_na), leds.radius_na >= objective_na + guard
    inside = leds.radius_na < objective_na - guard
    enough = 2 * inside.sum() >= bright.sum() and 2 * outside.sum() >= (~bright).sum()
    return guard if enough and guard <= 0.5 else 0.0


def _of_seen_leds(stack: ImageStack, geometry: Geometry) -> Geometry:
    """The geometry without the outer dark-field LEDs whose images of the stack hold next to no light."""
    leds, na = led_array(geometry.array), geometry.microscope.objective_na
    places = stack.places_of(leds.numbers)
    if (places < 0).any():
        return geometry  # setting up the run says which are missing
    light = image_means(stack)[places]
    bright = leds.bright_field(na)
    if not bright.any() or not light[bright].mean() > 0:
        return geometry
    ring = np.floor(leds.radius_na / na / RING_NA).astype(int)
    faint = [
        number
        for number in np.unique(ring[~bright])
        if light[(ring == number) & ~bright].mean() < FAINT * light[bright].mean()
    ]
    if not faint:
        return geometry
    limit = float(np.floor(1e4 * RING_NA * na * min(faint)) / 1e4)
    if not (leds.radius_na[~bright] < limit).any():
        return geometry
    given = geometry.array.max_illumination_na
    array = geometry.array.replace(max_illumination_na=limit if given is None else min(limit, given))
    return geometry.replace(array=array)


def _holds(
    dataset: ImageStack | TrainingSet,
    experiment: FpmExperiment,
    pixel_um: float,
    tile_px: int,
    pad_px: int,
    margin_px: int,
) -> bool:
    """Whether tiles for learning and for scoring, with their borders, fit into the data; pixel_um at the sample."""
    if isinstance(dataset, TrainingSet):
        span = tile_px + 2 * good_padding(tile_px, pad_px)
        return bool(dataset.objects.shape[-1] * dataset.pixel_size_um >= span * pixel_um)
    region, holdout = experiment.data.region, experiment.training.holdout
    side = int(min(dataset.images.shape[1:])) if region is None else region[2]
    return side >= 2 * tile_px + max(2, margin_px) and side * (1 - holdout) >= tile_px + max(2, margin_px)
