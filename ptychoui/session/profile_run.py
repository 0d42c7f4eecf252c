"""The profile of a microscope for the worker: files are read, a sample calibrates, one dated file is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack
from ptychoui.data.files import check_target, write_atomic
from ptychoui.errors import StopRequested
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.paths import data_file, resources, sample_data, user_state
from ptychoui.session.runs import leave_a_core
from ptychoui.session.worker import MakeEvents
from ptychoui.settings import DataSource, FpmExperiment, Geometry, Images
from ptychoui.training.control import RunControl
from ptychoui.training.events import Begun, Event, Failed, Finished, Stopped
from ptychoui.words import counted

if TYPE_CHECKING:
    from ptychoui.workflows.instrument_profile import Profile

Part = Literal["dark", "blank", "sample", "sign", "measure"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfilePlan:
    """What is measured.

    Attributes
    ----------
    output
        The profile's file.
    dark
        A dark frame, a folder of them, or the dark level in counts; empty to leave it out.
    blank
        A stack without a sample; empty to leave it out.
    sample
        A stack of a sample with structure; empty for the one that is open.
    sign
        1 if the sample is known to raise the phase, -1 if it lowers it, 0 if nobody knows.
    """

    output: Path
    dark: str = ""
    blank: str = ""
    sample: str = ""
    sign: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileBegun(Begun):
    """The libraries are there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfilePart(Event):
    """What is being done now: a failure from here on has to do with that part."""

    part: Part


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileNote(Event):
    """A sentence of what was found."""

    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileMade(Event):
    """The profile, written to a file.

    Attributes
    ----------
    pose
        (name, before, after) in words.
    illumination_na, gain
        (L, 2) direction cosines and (L,) brightness of the LEDs with ``led_numbers``.
    """

    path: Path
    pose: tuple[tuple[str, str, str], ...]
    zernike_waves: dict[int, float]
    objective_na: float
    led_numbers: NDArray[np.int64]
    illumination_na: NDArray[np.float64]
    gain: NDArray[np.float64]
    notes: tuple[str, ...]


class ProfileHistory:
    """What a measurement has told; filled by `take`."""

    def __init__(self) -> None:
        self.begun: ProfileBegun | None = None
        self.part: Part = "measure"
        self.sentences: list[str] = []
        self.made: ProfileMade | None = None
        self.end: Finished | Stopped | Failed | None = None

    def take(self, event: object) -> None:
        """Note an event."""
        if isinstance(event, ProfileBegun):
            self.begun = event
        elif isinstance(event, ProfilePart):
            self.part = event.part
        elif isinstance(event, ProfileNote):
            self.sentences.append(event.sentence)
        elif isinstance(event, ProfileMade):
            self.made = event
        elif isinstance(event, (Finished, Stopped, Failed)):
            self.end = event


def profile_path(data: str, today: date | None = None) -> Path:
    """A new name with the day in it: beside the data, or in the user's folder for data of the program's own."""
    folder = (user_state() / "profiles") if data.startswith("sample:") or not data else Path(data).resolve().parent
    if folder.is_relative_to(resources()) or folder.is_relative_to(sample_data()):
        folder = user_state() / "profiles"
    name = f"profile-{(today or date.today()).isoformat()}"
    path, count = folder / f"{name}.toml", 1
    while path.exists():
        count += 1
        path = folder / f"{name}-{count}.toml"
    return path


def with_profile(experiment: FpmExperiment, path: Path) -> FpmExperiment:
    """The experiment with its data read through a profile: geometry, dark level, brightness and stray light."""
    data = experiment.data.replace(geometry=str(path), images=None)
    return experiment.replace(geometry=None, data=data)


def profile_run(plan: ProfilePlan, source: DataSource, geometry: Geometry | None, device: str = "auto") -> MakeEvents:
    """Return what a worker needs to measure a profile; a stop writes nothing.

    Parameters
    ----------
    source, geometry
        The data that are open and their geometry: the sample, unless the plan names another.
    """

    def events(control: RunControl, _want_images: Callable[[], bool]) -> Iterator[Any]:
        leave_a_core()
        from ptychoui.optics.calibration.refine import Step
        from ptychoui.training.devices import pick_device
        from ptychoui.workflows.instrument_profile import check_blank, make_profile
        from ptychoui.workflows.profile_files import open_for_profile, read_dark_level

        began, done = time.monotonic(), 0
        yield ProfileBegun(step=0)
        if plan.output.parent == user_state() / "profiles":
            plan.output.parent.mkdir(parents=True, exist_ok=True)
        check_target(plan.output)
        sources: dict[str, str] = {}
        try:
            yield ProfilePart(step=0, part="dark")
            dark = read_dark_level(plan.dark, sources) if plan.dark else None
            if dark is not None:
                yield ProfileNote(step=0, sentence=f"dark level: {dark:.4g} counts")
            control.checkpoint()
            yield ProfilePart(step=0, part="sample")
            said, given = _said(plan, source, dark), None if plan.sample else source.geometry
            sample = open_for_profile(str(data_file(plan.sample or source.path)), given, said, geometry)
            if not plan.sample and geometry is not None:
                # The form's geometry is what a person sees: it wins over the file's own.
                sample = replace(sample, geometry=geometry)
            sources["sample"] = sample.provenance.sha256
            yield ProfileNote(step=0, sentence=f"sample: {_size(sample)}")
            if plan.sample and geometry is not None and sample.geometry == geometry:
                yield ProfileNote(step=0, sentence="the sample has the geometry of the form: check that it is its own")
            control.checkpoint()
            blank = None
            if plan.blank:
                yield ProfilePart(step=0, part="blank")
                blank = open_for_profile(plan.blank, given, said, sample.geometry)
                check_blank(blank, sample)  # refused now rather than after the calibration
                sources["blank"] = blank.provenance.sha256
                yield ProfileNote(step=0, sentence=f"blank field: {_size(blank)}")
            yield ProfilePart(step=0, part="measure")
            where, steps = pick_device(device), 0
            for found in make_profile(
                sample, blank, said, plan.sign, sources, where, date.today(), callback=control.checkpoint
            ):
                done += 1
                if isinstance(found, Step):
                    steps += 1
                    yield ProfileNote(step=done, sentence=found.sentence)
                    if steps == STEPS and plan.sign:
                        yield ProfilePart(step=done, part="sign")
                    control.checkpoint()
                else:
                    write_atomic(plan.output, found.toml())
                    yield _made(found, sample, plan.output, done)
        except StopRequested:
            yield Stopped(step=done)
            return
        yield Finished(step=done, seconds=time.monotonic() - began)

    return events


STEPS = 2
"""Steps of a calibration, after which the sign is looked for."""


def _said(plan: ProfilePlan, source: DataSource, dark: float | None) -> Images:
    """What is known of the images before brightness and stray light are measured anew."""
    from ptychoui.workflows.profile_files import image_overrides

    if plan.sample:
        return image_overrides(None, dark)
    if source.images is None:
        return image_overrides(source.geometry, dark)
    level = source.images.dark_level if dark is None else dark
    return source.images.replace(gains=None, stray=None, dark_level=level)


def _size(stack: ImageStack) -> str:
    count, rows, columns = stack.images.shape
    return f"{counted(count, 'image')} of {columns} × {rows} pixels"


def _made(profile: Profile, sample: ImageStack, path: Path, step: int) -> ProfileMade:
    from ptychoui.workflows.crop import image_places

    assert sample.geometry is not None and profile.images.gains is not None
    leds = led_array(profile.geometry.array.replace(max_illumination_na=None, falloff="none"))
    gains = np.array(profile.images.gains)
    return ProfileMade(
        step=step,
        path=path,
        pose=_pose(sample.geometry, profile.geometry),
        zernike_waves=dict(profile.geometry.microscope.zernike_waves),
        objective_na=profile.geometry.microscope.objective_na,
        led_numbers=leds.numbers,
        illumination_na=leds.illumination_na,
        gain=gains[image_places(sample, leds, "the sample")],
        notes=profile.notes,
    )


def _pose(before: Geometry, after: Geometry) -> tuple[tuple[str, str, str], ...]:
    """What the pose was and is, in words; tilts only where there are any."""
    (was, now), (low, high) = (before.array.pose, after.array.pose), (before.array.height_mm, after.array.height_mm)
    rows = [
        ("Shift x", f"{was.shift_x_mm:.3f} mm", f"{now.shift_x_mm:.3f} mm"),
        ("Shift y", f"{was.shift_y_mm:.3f} mm", f"{now.shift_y_mm:.3f} mm"),
        ("Rotation", f"{was.rotation_deg:.3f}°", f"{now.rotation_deg:.3f}°"),
        ("Height", f"{low:.2f} mm", f"{high:.2f} mm"),
    ]
    for name, old, new in (
        ("Tilt about x", was.tilt_x_deg, now.tilt_x_deg),
        ("Tilt about y", was.tilt_y_deg, now.tilt_y_deg),
    ):
        if old or new:
            rows.append((name, f"{old:.3f}°", f"{new:.3f}°"))
    if (was.flip_x, was.flip_y, was.swap_xy) != (now.flip_x, now.flip_y, now.swap_xy):
        rows.append(("Layout", _layout(was), _layout(now)))
    return tuple(rows)


def _layout(pose: Any) -> str:
    words = [name for name, on in (("flip x", pose.flip_x), ("flip y", pose.flip_y), ("swap x, y", pose.swap_xy)) if on]
    return ", ".join(words) or "as built"
