from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from ptychoui.data.dataset import ImageStack
from ptychoui.errors import DataError, PtychouiError
from ptychoui.optics.calibration import refine
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.paths import data_file
from ptychoui.session import opening
from ptychoui.session.profile_run import (
    ProfileBegun,
    ProfileHistory,
    ProfileMade,
    ProfilePlan,
    profile_path,
    profile_run,
    with_profile,
)
from ptychoui.settings import DataSource, FpmExperiment, Geometry, Images
from ptychoui.training.control import RunControl
from ptychoui.training.events import Finished, Stopped
from ptychoui.workflows import calibrate_stack

SAMPLE = DataSource(path="sample:stack")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A calibration that hardly calibrates: it has tests of its own."""
    whole = calibrate_stack.calibrate
    monkeypatch.setattr(refine, "JUDGED_PASSES", 1)

    def hasty(*words: Any, **settings: Any) -> Any:
        return whole(*words, **settings, rounds=(1,), final_passes=1)

    monkeypatch.setattr(calibrate_stack, "calibrate", hasty)


@pytest.fixture(scope="module")
def sample() -> ImageStack:
    opened = opening.load_data(SAMPLE, None).dataset
    assert isinstance(opened, ImageStack)
    return opened


def events(plan: ProfilePlan, geometry: Geometry | None, control: RunControl | None = None) -> Iterator[Any]:
    return profile_run(plan, SAMPLE, geometry, "cpu")(control or RunControl(), lambda: False)


def blank(folder: Path, sample: ImageStack) -> Path:
    """An empty place under LEDs of unequal brightness."""
    assert sample.geometry is not None
    leds = led_array(sample.geometry.array)
    bright = leds.bright_field(sample.geometry.microscope.objective_na)
    level = np.where(bright, 1000.0 + 10.0 * np.arange(len(bright)), 1.0).astype(np.float32)
    path = folder / "blank.tif"
    tifffile.imwrite(path, np.tile(level[:, None, None], (1, *sample.images.shape[1:])), photometric="minisblack")
    return path


def test_a_profile_is_written_with_the_day_and_data_can_be_read_through_it(
    short: None, sample: ImageStack, tmp_path: Path
) -> None:
    plan = ProfilePlan(output=tmp_path / "p.toml", dark="0.5", blank=str(blank(tmp_path, sample)))
    history = ProfileHistory()
    told = []
    for event in events(plan, sample.geometry):
        history.take(event)
        told.append(type(event))
    assert told[0] is ProfileBegun and told[-2:] == [ProfileMade, Finished]
    assert history.part == "measure"
    assert "dark level: 0.5 counts" in history.sentences and any("refinement" in text for text in history.sentences)
    made = history.made
    assert made is not None and made.path == plan.output and plan.output.is_file()
    assert "made = 20" in plan.output.read_text() and "[images]" in plan.output.read_text()
    assert [row[0] for row in made.pose] == ["Shift x", "Shift y", "Rotation", "Height"]
    assert made.gain.shape == made.led_numbers.shape == (81,)
    # Where the blank field is bright, its brightness counts.
    bright = np.hypot(*made.illumination_na.T) < 0.9 * made.objective_na
    relative = made.gain[bright] / (1000 + 10 * made.led_numbers[bright])
    assert np.ptp(relative) / relative.mean() < 0.01
    experiment = with_profile(FpmExperiment(data=SAMPLE), plan.output)
    assert experiment.geometry is None
    through = opening.load_data(experiment.data, None).dataset
    assert isinstance(through, ImageStack) and through.geometry is not None
    assert not np.array_equal(through.images, sample.images)
    opened = opening.open_anything(plan.output)
    assert isinstance(opened, opening.OpenedGeometry) and opened.is_profile


def test_the_geometry_of_the_form_is_where_it_starts(short: None, sample: ImageStack, tmp_path: Path) -> None:
    assert sample.geometry is not None
    array = sample.geometry.array.replace(height_mm=80.0)
    told = list(events(ProfilePlan(output=tmp_path / "p.toml"), sample.geometry.replace(array=array)))
    made = next(event for event in told if isinstance(event, ProfileMade))
    assert {name: before for name, before, _ in made.pose}["Height"] == "80.00 mm"


def test_what_is_said_of_the_images_is_kept_but_for_an_old_profile(
    short: None, sample: ImageStack, tmp_path: Path
) -> None:
    source = SAMPLE.replace(images=Images(exposures=(2.0,) * 81, gains=(3.0,) * 81))
    plan = ProfilePlan(output=tmp_path / "p.toml")
    list(profile_run(plan, source, sample.geometry, "cpu")(RunControl(), lambda: False))
    opened = opening.load_data(SAMPLE.replace(geometry=str(plan.output)), None)
    assert isinstance(opened.dataset, ImageStack)
    text = plan.output.read_text()
    assert "exposures" in text and "3.0,\n" not in text.partition("gains")[2].partition("stray")[0]


@pytest.mark.parametrize(
    ("plan", "part", "message"),
    [
        ({"dark": "absent.tif"}, "dark", "no file or folder"),
        ({"sample": "absent.tif"}, "sample", "absent.tif"),
        ({"blank": "absent.tif"}, "blank", "absent.tif"),
        ({"output": Path("/nowhere/p.toml")}, "measure", "cannot be written"),
    ],
)
def test_a_failure_says_which_part_it_belongs_to(
    sample: ImageStack, tmp_path: Path, plan: dict[str, Any], part: str, message: str
) -> None:
    history = ProfileHistory()
    with pytest.raises(PtychouiError, match=message):
        for event in events(ProfilePlan(**{"output": tmp_path / "p.toml", **plan}), sample.geometry):
            history.take(event)
    assert history.part == part and not (tmp_path / "p.toml").exists()


def test_a_blank_field_that_shows_a_sample_is_refused_before_the_calibration(
    sample: ImageStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile.imwrite(tmp_path / "sample.tif", 1000 * sample.images**2, photometric="minisblack")
    monkeypatch.setattr(calibrate_stack, "calibrate", lambda *_words, **_settings: pytest.fail("too late"))
    with pytest.raises(DataError, match="they show a sample"):
        list(events(ProfilePlan(output=tmp_path / "p.toml", blank=str(tmp_path / "sample.tif")), sample.geometry))


def test_a_stop_in_the_middle_of_a_step_writes_nothing(sample: ImageStack, tmp_path: Path) -> None:
    class Impatient(RunControl):
        looks = 0

        def checkpoint(self, before_wait: Any = None) -> None:
            self.looks += 1
            if self.looks == 60:
                self.stop()
            super().checkpoint(before_wait)

    control = Impatient()
    told = [type(event) for event in events(ProfilePlan(output=tmp_path / "p.toml"), sample.geometry, control)]
    assert told[-1] is Stopped and ProfileMade not in told and control.looks == 60
    assert not (tmp_path / "p.toml").exists()


def test_a_profile_has_a_name_of_its_own_beside_the_data(tmp_path: Path) -> None:
    day = date(2026, 5, 4)
    first = profile_path(str(tmp_path / "stack.tif"), day)
    assert first == tmp_path / "profile-2026-05-04.toml"
    first.write_text("")
    assert profile_path(str(tmp_path / "stack.tif"), day).name == "profile-2026-05-04-2.toml"
    assert profile_path("sample:stack", day).parent.name == "profiles"
    assert profile_path(str(data_file("sample:stack")), day).parent.name == "profiles"
