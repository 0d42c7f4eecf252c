"""A measured stack is learned from where its owner says."""

from __future__ import annotations

import numpy as np
import pytest
from workflows.test_explained_stack import off_stack

from ptychoui import cli
from ptychoui.commands.options import with_options
from ptychoui.data.dataset import ImageStack
from ptychoui.errors import DataError, SettingsError
from ptychoui.session.document import Document
from ptychoui.session.opening import OpenedData
from ptychoui.settings import FpmExperiment, blank_experiment
from ptychoui.tasks.fpm.defaults import suited
from ptychoui.tasks.fpm.task import FpmTask, build_task


@pytest.fixture(scope="module")
def stack() -> ImageStack:
    return off_stack("brick")[0]


def settings(region: tuple[int, int, int] | None) -> FpmExperiment:
    some = blank_experiment()
    return some.replace(
        data=some.data.replace(tile_px=12, pad_px=4, tiles=3, region=region),
        engine=some.engine.replace(device="cpu"),
        network=some.network.replace(unrolls=2),
        training=some.training.replace(margin_px=2, steps=0),
    )


@pytest.fixture(scope="module")
def task(stack: ImageStack) -> FpmTask:
    rows, columns = stack.images.shape[1:]
    return build_task(settings((rows - 40, columns - 41, 40)), dataset=stack)


def test_tiles_come_from_the_square_that_is_asked_for(stack: ImageStack, task: FpmTask) -> None:
    """Every held-out tile is found in the images of the brightest LED, right and low in them."""
    field = task.field
    assert field is not None
    rows, columns = stack.images.shape[1:]
    assert (field.window.row, field.window.column, field.window.size_px) == (rows - 40, columns - 41, 40)
    led = int(np.argmax(task.leds.gain * task.leds.bright_field(task.objective_na)))
    recorded = stack.images[stack.places_of(task.leds.numbers)[led], rows - 40 :, columns - 41 : columns - 1]
    tile = task.held_out.intensities[0, led].numpy()
    alike = [
        np.corrcoef(recorded[y : y + 12, x : x + 12].ravel(), tile.ravel())[0, 1] for y in range(29) for x in range(29)
    ]
    assert max(alike) > 0.999
    assert any("the chosen 40 x 40" in note for note in task.split)


def test_a_square_beyond_the_images_is_refused(stack: ImageStack) -> None:
    with pytest.raises(DataError, match="reaches beyond images"):
        build_task(settings((stack.images.shape[1] - 39, 0, 40)), dataset=stack)
    with pytest.raises(SettingsError, match="region"):
        settings((0, 0, 8))


def test_the_window_learns_from_the_square_that_it_reconstructs(stack: ImageStack) -> None:
    document = Document()
    document.take_data(OpenedData(stack, "stack.h5"))
    assert document.to_train() == document.experiment
    document.plan = document.plan.replace(size_px=48, center_row_px=24.0)
    found = document.to_train()
    assert isinstance(found, FpmExperiment)
    assert found.data.region == document.plan.square(stack.images.shape) and found.data.region[:1] == (0,)
    assert document.experiment == suited(document.experiment, stack, stack.geometry), "what is edited stays"


def test_tiles_for_bare_data_fit_into_the_square(stack: ImageStack) -> None:
    small, large = (suited(settings(region), stack, stack.geometry) for region in ((0, 0, 24), None))
    assert small.data.tile_px < large.data.tile_px


def test_the_command_line_names_the_square() -> None:
    arguments = cli._parser().parse_args(["train", "first_light", "--crop", "3", "5", "64"])
    found = with_options(blank_experiment(), arguments)
    assert isinstance(found, FpmExperiment) and found.data.region == (3, 5, 64)
