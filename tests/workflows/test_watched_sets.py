"""Daily work: what arrives in a folder becomes phase, set by set, and what is wrong is said and does not end it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from workflows import daily

from ptychoui.data.dataset import ImageStack
from ptychoui.data.results import load_reconstruction
from ptychoui.errors import DataError, SettingsError, StopRequested
from ptychoui.optics.quality.validation import unwrapped_phase
from ptychoui.settings import Reconstruct
from ptychoui.workflows import watched_sets
from ptychoui.workflows.coded_stack import CodedReconstruction, open_coded_images
from ptychoui.workflows.frame_sets import SetReader, SetRefused, Waiting
from ptychoui.workflows.watched_folder import FolderWatch, in_order
from ptychoui.workflows.watched_sets import (
    DailyPlan,
    SetDone,
    SetPass,
    SetStarted,
    Told,
    daily_work,
    result_files,
)

PASSES = 30


def never() -> None:
    """Nobody stops it."""


def plan(tmp_path: Path, **changes: object) -> DailyPlan:
    source = tmp_path / "camera"
    source.mkdir(exist_ok=True)
    usual = DailyPlan(
        patterns=daily.patterns(),
        source=source,
        results=tmp_path / "results",
        once=True,
        passes=PASSES,
        smoothness=0.0,
        look_s=0.001,
    )
    return replace(usual, **changes)


def told(wanted: DailyPlan, check: Callable[[], None] = never) -> list[Told]:
    return [one for one in daily_work(wanted, check) if not isinstance(one, SetPass)]


def done(found: list[Told]) -> list[SetDone]:
    return [one for one in found if isinstance(one, SetDone)]


def refused(found: list[Told]) -> list[SetRefused]:
    return [one for one in found if isinstance(one, SetRefused)]


def expected(path: Path) -> np.ndarray:
    """The object that ``ptychoui reconstruct --patterns`` makes of a file."""
    design = daily.patterns()
    stack = open_coded_images(str(path), daily.GEOMETRY, daily.COUNT)
    settings = Reconstruct(
        passes=PASSES, pupil="fixed", gain=False, background=False, sequential_passes=0, smoothness=0.0
    )
    work = CodedReconstruction(stack, design.levels, design.exposures, design.led_numbers, settings)
    for _ in work.run():
        pass
    return work.stored().object


def same_up_to_a_factor(found: np.ndarray, wanted: np.ndarray, error: float) -> None:
    factor = np.vdot(found, wanted) / np.vdot(found, found)
    assert np.linalg.norm(factor * found - wanted) / np.linalg.norm(wanted - wanted.mean()) < error


def test_a_file_of_one_set_gives_the_object_and_its_phase(tmp_path: Path) -> None:
    wanted = plan(tmp_path)
    path = daily.write_images(wanted.source / "cells.tif", *daily.images())
    found = told(wanted)
    assert [type(one) for one in found if not isinstance(one, Waiting)] == [SetStarted, SetDone]
    (one,) = done(found)
    stored = load_reconstruction(one.files[0])
    assert one.files == result_files(wanted.results, "cells")
    assert np.array_equal(stored.object, expected(path))
    same_up_to_a_factor(stored.object, daily.truth(), 0.35)
    assert one.residual == pytest.approx(stored.amplitude_residual) and one.residual < 0.01
    assert one.phase_rad is not None
    with tifffile.TiffFile(one.files[1]) as tiff:
        phase, tags = tiff.asarray(), tiff.pages[0].tags
        top, bottom = tags["XResolution"].value
    assert phase.dtype == np.float32 and np.array_equal(phase, one.phase_rad)
    assert np.allclose(phase, unwrapped_phase(stored.object))
    assert bottom / top == pytest.approx(stored.object_pixel_um, rel=1e-6)
    assert one.pixel_um == stored.object_pixel_um


def test_a_time_lapse_is_several_sets(tmp_path: Path) -> None:
    wanted = plan(tmp_path)
    frames = daily.images()
    daily.write_images(wanted.source / "lapse.tif", *frames, *(0.5 * frames), *frames)
    found = done(told(wanted))
    assert [one.name for one in found] == ["lapse-1", "lapse-2", "lapse-3"]
    first, second, third = (load_reconstruction(one.files[0]).object for one in found)
    assert np.allclose(first, third)
    assert np.abs(second).mean() / np.abs(first).mean() == pytest.approx(np.sqrt(0.5), rel=0.02)


def test_every_part_of_a_time_lapse_has_its_own_exposures() -> None:
    stack = ImageStack(
        images=np.arange(8.0)[:, None, None] * np.ones((8, 3, 3), np.float32),
        led_numbers=np.arange(8),
        geometry=daily.GEOMETRY,
        exposure=np.arange(1.0, 9.0),
    )
    part = SetReader(daily.patterns())._part(stack, 1)
    assert part.images[:, 0, 0].tolist() == [4, 5, 6, 7] and part.led_numbers.tolist() == [0, 1, 2, 3]
    assert part.exposure is not None and part.exposure.tolist() == [5, 6, 7, 8]


def test_single_images_are_counted_off_in_one_unit(tmp_path: Path) -> None:
    wanted = plan(tmp_path)
    frames = daily.images()
    for place in (2, 0, 1, 3):
        daily.write_images(wanted.source / f"frame_{place + 9}.tif", frames[place])  # 9, 10, 11, 12: order of numbers
    whole = daily.write_images(tmp_path / "whole.tif", *frames)
    (one,) = done(told(wanted))
    assert one.name == "frame_9-frame_12"
    found = load_reconstruction(one.files[0]).object
    same_up_to_a_factor(found, expected(whole), 1e-3)


def test_a_folder_of_images_is_a_set(tmp_path: Path) -> None:
    wanted = plan(tmp_path)
    (wanted.source / "well A").mkdir()
    for place, frame in enumerate(daily.images()):
        daily.write_images(wanted.source / "well A" / f"{place}.tif", frame)
    (one,) = done(told(wanted))
    assert one.name == "well A"
    whole = daily.write_images(tmp_path / "whole.tif", *daily.images())
    same_up_to_a_factor(load_reconstruction(one.files[0]).object, expected(whole), 1e-3)


def test_what_is_wrong_is_said_and_the_rest_is_done(tmp_path: Path) -> None:
    wanted = plan(tmp_path)
    frames = daily.images()
    daily.write_images(wanted.source / "a_three.tif", *frames[:3])
    whole = daily.write_images(wanted.source / "b_half.tif", *frames)
    whole.write_bytes(whole.read_bytes()[:9])
    (wanted.source / "c_text.tif").write_text("no picture")
    daily.write_images(wanted.source / "d_good.tif", *frames)
    (wanted.source / "f_four.tif").write_bytes(b"II*\0")
    (wanted.source / "notes.txt").write_text("about the day")
    (wanted.source / "e_wells").mkdir()
    daily.write_images(wanted.source / "e_wells" / "1.tif", frames[0])
    found = told(wanted)
    assert [one.name for one in done(found)] == ["d_good"]
    sentences = {one.name: one.message for one in refused(found)}
    assert set(sentences) == {"a_three.tif", "b_half.tif", "c_text.tif", "f_four.tif"}
    assert sentences["a_three.tif"] == "a_three.tif holds 3 images, and a set has 4"
    assert "more images in e_wells: 1 of 4 are there" in [one.text for one in found if isinstance(one, Waiting)]


def test_missing_numbers_do_not_shift_the_sets_behind_them(tmp_path: Path) -> None:
    wanted = plan(tmp_path)
    frames = daily.images()
    for number in (1, 2, 4, 5, 6, 7, 8):
        daily.write_images(wanted.source / f"t{number:03d}.tif", frames[(number - 1) % 4])
    found = told(wanted)
    assert [one.name for one in done(found)] == ["t005-t008"]
    assert "lacks number 3" in refused(found)[0].message
    whole = daily.write_images(tmp_path / "whole.tif", *frames)
    same_up_to_a_factor(load_reconstruction(done(found)[0].files[0]).object, expected(whole), 1e-3)


def test_images_of_another_size_are_refused(tmp_path: Path) -> None:
    wanted = plan(tmp_path)
    for place, frame in enumerate(daily.images()):
        daily.write_images(wanted.source / f"f{place}.tif", frame[: 20 if place == 2 else None])
    (one,) = refused(told(wanted))
    assert "different sizes: 20 x 28 and 28 x 28" in one.message


def test_results_that_are_there_are_not_made_again(tmp_path: Path) -> None:
    wanted = plan(tmp_path)
    path = daily.write_images(wanted.source / "cells.tif", *daily.images())
    first = done(told(wanted))[0]
    stamp = first.files[0].stat().st_mtime_ns
    second = done(told(wanted))[0]
    assert second.phase_rad is None and second.notes and first.files[0].stat().st_mtime_ns == stamp
    assert second.residual == pytest.approx(first.residual)
    assert done(told(replace(wanted, again=True)))[0].phase_rad is not None
    later = time.time() + 100
    os.utime(path, (later, later))
    assert done(told(wanted))[0].phase_rad is not None


def test_results_may_lie_where_images_arrive(tmp_path: Path) -> None:
    wanted = plan(tmp_path)
    wanted = replace(wanted, results=wanted.source)
    daily.write_images(wanted.source / "cells.tif", *daily.images())
    assert len(done(told(wanted))) == 1
    found = told(wanted)
    assert len(done(found)) == 1 and not refused(found)
    inside = replace(wanted, results=wanted.source / "phase")
    assert len(done(told(inside))) == 1 and not refused(told(inside))


def test_a_file_is_read_when_two_looks_find_it_the_same(tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path)
    path = tmp_path / "grows.tif"
    path.write_bytes(b"1")
    assert watch.look() == [] and watch.growing
    path.write_bytes(b"12")
    assert watch.look() == []
    assert watch.look() == [path]
    watch.take(path)
    assert watch.look() == [] and not watch.growing
    path.write_bytes(b"123")
    assert watch.look() == [] and watch.look() == [path]
    watch.take(path)
    path.unlink()
    assert watch.look() == []
    path.write_bytes(b"123")
    assert watch.look() == [] and watch.look() == [path]


def test_a_folder_counts_by_all_its_files(tmp_path: Path) -> None:
    watch = FolderWatch(tmp_path)
    inner = tmp_path / "set"
    inner.mkdir()
    assert watch.look() == [] and watch.look() == []
    (inner / "1.tif").write_bytes(b"1")
    assert watch.look() == [] and watch.look() == [inner]
    watch.take(inner)
    (inner / "2.tif").write_bytes(b"2")
    assert watch.look() == [] and watch.look() == [inner]


def test_names_are_in_the_order_of_their_numbers() -> None:
    names = ["b1", "a10", "a9", "A2", "10", "9"]
    assert sorted(names, key=in_order) == ["9", "10", "A2", "a9", "a10", "b1"]


def follow(wanted: DailyPlan, *steps: Callable[[], object]) -> Iterator[Told]:
    """Events of a watch that goes on; steps are done one by one when it says that it waits; then it is stopped."""
    left, stopped = list(steps), []

    def check() -> None:
        if stopped:
            raise StopRequested

    try:
        for one in daily_work(wanted, check):
            yield one
            if isinstance(one, Waiting):
                if left:
                    left.pop(0)()
                else:
                    stopped.append(True)
    except StopRequested:
        return


def test_the_watch_goes_on_until_it_is_stopped(tmp_path: Path) -> None:
    wanted = plan(tmp_path, once=False)
    frames = daily.images()

    def whole(name: str) -> Callable[[], object]:
        return lambda: daily.write_images(wanted.source / name, *frames)

    def broken() -> None:
        (wanted.source / "b.tif").write_bytes(b"II*\0 and no more")

    found = [one for one in follow(wanted, whole("a.tif"), broken, whole("b.tif")) if not isinstance(one, SetPass)]
    kinds = [(type(one), one.name) for one in found if not isinstance(one, Waiting | SetStarted)]
    assert kinds == [(SetDone, "a"), (SetRefused, "b.tif"), (SetDone, "b")]


def test_a_stop_ends_the_passes_and_writes_nothing(tmp_path: Path) -> None:
    wanted = plan(tmp_path, passes=10_000)
    daily.write_images(wanted.source / "cells.tif", *daily.images())
    passes = 0

    def check() -> None:
        if passes > 2:
            raise StopRequested

    with pytest.raises(StopRequested):
        for one in daily_work(wanted, check):
            passes += isinstance(one, SetPass)
    assert passes == 3 and not list(wanted.results.iterdir())


def test_who_waits_is_asked_ten_times_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    now = [0.0]
    monkeypatch.setattr(watched_sets.time, "monotonic", lambda: now[0])

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(watched_sets.time, "sleep", sleep)
    asked: list[float] = []
    watched_sets._wait(1.0, lambda: asked.append(now[0]))
    assert max(slept) <= 0.1 and sum(slept) == pytest.approx(1.0) and len(asked) >= 10


def test_one_recording_alone(tmp_path: Path) -> None:
    wanted = plan(tmp_path, once=False, follow=False)
    path = daily.write_images(tmp_path / "one.tif", *daily.images())
    assert [one.name for one in done(told(replace(wanted, source=path)))] == ["one"]
    short = daily.write_images(tmp_path / "short.tif", *daily.images()[:3])
    assert "holds 3 images" in refused(told(replace(wanted, source=short)))[0].message


def test_what_cannot_be_watched_is_refused(tmp_path: Path) -> None:
    wanted = plan(tmp_path)
    with pytest.raises(DataError, match="there is no file or folder"):
        told(replace(wanted, source=tmp_path / "nowhere"))
    file = daily.write_images(tmp_path / "one.tif", *daily.images())
    with pytest.raises(DataError, match="only a folder can be watched"):
        told(replace(wanted, source=file))
    with pytest.raises(SettingsError, match="10000 are possible"):
        told(replace(wanted, passes=100_000))
    with pytest.raises(DataError, match="there is no folder"):
        told(replace(wanted, results=tmp_path / "no" / "results"))


def test_leftover_single_images_are_said(tmp_path: Path) -> None:
    wanted = plan(tmp_path)
    daily.write_images(wanted.source / "f1.tif", daily.images()[0])
    (one,) = refused(told(wanted))
    assert one.message == "only 1 image of the next set arrived" and "4 images" in one.hint
