from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from ptychoui.data.dataset import ImageStack
from ptychoui.errors import NoGeometryError
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.pose import Variant, laid_out
from ptychoui.paths import data_file
from ptychoui.session import opening
from ptychoui.session.stack_orientation import (
    LayoutTried,
    OrientationBegun,
    OrientationFound,
    OrientationHistory,
    orientation_run,
)
from ptychoui.session.stack_plan import StackPlan
from ptychoui.training.control import RunControl
from ptychoui.training.events import Finished, Stopped

SMALL = StackPlan(size_px=32)


@pytest.fixture(scope="module")
def sample() -> ImageStack:
    opened = opening.open_anything(data_file("sample:stack"), None)
    assert isinstance(opened, opening.OpenedData) and isinstance(opened.dataset, ImageStack)
    return opened.dataset


def events(stack: ImageStack, geometry: Any, control: RunControl | None = None) -> Iterator[Any]:
    return orientation_run(stack, geometry, SMALL, "cpu")(control or RunControl(), lambda: False)


def test_a_mirrored_array_is_put_right(sample: ImageStack) -> None:
    assert sample.geometry is not None
    limit = sample.geometry.array.replace(max_illumination_na=0.5)
    wrong = sample.geometry.replace(array=laid_out(limit, Variant(True, False, False)))
    history = OrientationHistory()
    told = []
    for event in events(sample, wrong):
        history.take(event)
        told.append(type(event))
    assert told == [OrientationBegun, *[LayoutTried] * 8, OrientationFound, Finished]
    found = history.found
    assert found is not None and len(found.orientations) == 8
    assert [one.worse for one in found.orientations] == sorted(one.worse for one in found.orientations)
    assert found.orientations[0].worse == 0 and sum(one.present for one in found.orientations) == 1
    assert {found.orientations[0].name, found.orientations[1].name} == {"flip x", "flip y"}
    right = next(one for one in found.orientations if one.name == "flip x")
    assert right.geometry.array.max_illumination_na == 0.5
    truth = led_array(sample.geometry.array).illumination_na
    assert np.allclose(led_array(right.geometry.array).illumination_na, truth, atol=1e-9)
    assert "worse" in found.verdict and "half a turn" in found.sign


def test_the_test_is_given_up_in_the_middle_of_a_layout(sample: ImageStack) -> None:
    class Impatient(RunControl):
        looks = 0

        def checkpoint(self, before_wait: Any = None) -> None:
            self.looks += 1
            if self.looks == 20:
                self.stop()
            super().checkpoint(before_wait)

    control = Impatient()
    told = [type(event) for event in events(sample, sample.geometry, control)]
    assert told[0] is OrientationBegun and told[-1] is Stopped and OrientationFound not in told
    assert control.looks == 20


def test_there_must_be_a_geometry(sample: ImageStack) -> None:
    with pytest.raises(NoGeometryError):
        list(events(sample, None))
