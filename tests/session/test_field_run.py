from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptychoui.data.dataset import ImageStack
from ptychoui.data.results import load_reconstruction
from ptychoui.errors import DataError, NoGeometryError, RunError
from ptychoui.paths import data_file
from ptychoui.session import opening
from ptychoui.session.field_run import FieldBegun, FieldHistory, FieldReady, TilePass, field_run, tiles_folder
from ptychoui.session.stack_plan import StackPlan
from ptychoui.settings import Reconstruct
from ptychoui.training.control import RunControl
from ptychoui.training.events import Finished, Stopped


@pytest.fixture(scope="module")
def sample() -> ImageStack:
    opened = opening.open_anything(data_file("sample:stack"), None)
    assert isinstance(opened, opening.OpenedData) and isinstance(opened.dataset, ImageStack)
    return opened.dataset.crop(0, 0, 40, 72)


def events(stack: ImageStack, output: Path, control: RunControl | None = None, passes: int = 2) -> Iterator[Any]:
    plan = StackPlan(settings=Reconstruct(passes=passes), size_px=40)
    return field_run(stack, stack.geometry, plan, output, "cpu")(control or RunControl(), lambda: False)


def test_a_field_that_is_stopped_goes_on_to_the_same_bits(sample: ImageStack, tmp_path: Path) -> None:
    whole, history = tmp_path / "whole.h5", FieldHistory()
    told = []
    for event in events(sample, whole):
        history.take(event)
        told.append(type(event))
    assert told == [FieldBegun, *[TilePass] * 6, FieldReady, Finished]
    assert history.begun is not None and history.begun.tiles == 2
    assert history.ready is not None and history.ready.report.tiles == 2
    assert history.ready.report.amplitude.shape == load_reconstruction(whole).object.shape
    assert not tiles_folder(whole).exists()

    parts, control = tmp_path / "parts.h5", RunControl()
    told = []
    for event in events(sample, parts, control):
        told.append(event)
        if isinstance(event, TilePass) and event.step == 1:
            control.stop()
    assert isinstance(told[-1], Stopped) and told[-1].step == 1
    assert tiles_folder(parts).is_dir() and not parts.exists()
    told = list(events(sample, parts))
    assert [event.resumed for event in told if isinstance(event, TilePass)] == [1, 1, 1, 1]
    assert np.array_equal(load_reconstruction(parts).object, load_reconstruction(whole).object)


def test_tiles_of_other_settings_are_not_mixed(sample: ImageStack, tmp_path: Path) -> None:
    output, control = tmp_path / "field.h5", RunControl()
    for event in events(sample, output, control):
        if isinstance(event, TilePass):
            control.stop()
    with pytest.raises(RunError, match="settings differ"):
        list(events(sample, output, passes=3))
    # The same file read with another dark level: other pixels.
    with pytest.raises(RunError, match="images differ"):
        list(events(replace(sample, images=sample.images - np.float32(0.01)), output))


def test_what_cannot_be_is_refused_before_the_work(sample: ImageStack, tmp_path: Path) -> None:
    with pytest.raises(NoGeometryError):
        list(field_run(sample, None, StackPlan(), tmp_path / "f.h5", "cpu")(RunControl(), lambda: False))
    with pytest.raises(DataError, match="cannot be written"):
        list(events(sample, tmp_path / "nowhere" / "f.h5"))
