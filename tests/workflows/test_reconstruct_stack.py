"""Windows of a stack: which angles they see, which LEDs they use, what is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from optics import spherical

from ptychoui.data.dataset import ImageStack
from ptychoui.data.results import load_reconstruction, save_reconstruction
from ptychoui.errors import DataError, GeometryError
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.reconstruction.stack import reconstruct
from ptychoui.settings import Array, Geometry, Microscope, Reconstruct
from ptychoui.workflows.collect_objects import collect_objects
from ptychoui.workflows.crop import CropRegion, central_window, leds_seen_from
from ptychoui.workflows.reconstruct_stack import WindowReconstruction, with_calibration

GEOMETRY = Geometry(
    microscope=Microscope(
        wavelength_um=0.5, objective_na=0.2, magnification=10.0, camera_pixel_um=5.0, pixel="point", defocus_um=3.0
    ),
    array=Array(kind="lattice", rows=5, columns=5, pitch_mm=0.2, height_mm=2.0, pose={"rotation_deg": 10.0}),
)
SETTINGS = Reconstruct(passes=12, pupil="fixed", gain=False, background=False)


def simulated(
    geometry: Geometry = GEOMETRY, px: tuple[int, int] = (240, 280), finer: int = 2
) -> tuple[ImageStack, np.ndarray]:
    """A field lit by points 2 mm away: from edge to edge the light's direction changes by a quarter of the NA."""
    scope, leds = geometry.microscope, led_array(geometry.array)
    field = spherical.smooth_field((px[0] * finer, px[1] * finer), scope.pixel_size_um / finer, 0.5)
    images = spherical.images(field, finer, scope, leds.positions_mm, geometry.array.height_mm, scope.defocus_um)
    return ImageStack(images=images, led_numbers=leds.numbers, geometry=geometry), field


@pytest.fixture(scope="module")
def stack() -> ImageStack:
    return simulated()[0]


@pytest.mark.parametrize(("row", "column"), [(16, 216), (180, 20)])
def test_the_angles_of_a_window_off_the_axis_are_those_of_its_centre(stack: ImageStack, row: int, column: int) -> None:
    """Spherical waves over the whole field tell the right sign and axis of the field point from all wrong ones."""
    window = CropRegion(row=row, column=column, size_px=44)
    work = WindowReconstruction(stack, SETTINGS, window)
    for _ in work.run():
        pass
    right = work.stored().amplitude_residual
    x, y = window.field_point_um(stack.images.shape[1:], 0.5)
    assert (x > 0) == (column > 118) and (y > 0) == (row > 98)
    cut = stack.crop(row, column, 44, 44).images
    for point in ((-x, -y), (y, x), (x, -y), (-x, y), (0.0, 0.0)):
        wrong = reconstruct(GEOMETRY, cut, SETTINGS, led_array(GEOMETRY.array, point)).amplitude_residual
        assert wrong > 3 * right, point
    assert right < 0.01


def test_large_images_give_their_middle_and_say_so(stack: ImageStack) -> None:
    assert central_window((300, 400)) == CropRegion(row=22, column=72, size_px=256)
    work = WindowReconstruction(stack, SETTINGS.replace(passes=1))
    assert work.window == CropRegion(row=0, column=20, size_px=240)
    assert "the central 240 x 240 of 240 x 280 pixels" in work.notes[0]
    assert not WindowReconstruction(stack, SETTINGS, CropRegion(row=0, column=0, size_px=40)).notes


def test_the_order_of_the_images_does_not_matter(stack: ImageStack) -> None:
    order = np.random.default_rng(0).permutation(len(stack.images))
    mixed = replace(stack, images=stack.images[order], led_numbers=stack.led_numbers[order])
    window = CropRegion(row=100, column=120, size_px=32)
    found = []
    for some in (stack, mixed):
        work = WindowReconstruction(some, SETTINGS.replace(passes=3), window)
        assert [done.number for done in work.run()] == [1, 2, 3]
        found.append(work.stored())
    assert np.array_equal(found[0].object, found[1].object)
    assert np.array_equal(found[0].led_numbers, found[1].led_numbers)


def test_leds_can_be_left_out_and_must_have_images(stack: ImageStack) -> None:
    window = CropRegion(row=100, column=120, size_px=32)
    work = WindowReconstruction(stack, SETTINGS.replace(passes=2), window, leave_out=[0, 7])
    list(work.run())
    assert work.stored().led_numbers.tolist() == [n for n in range(25) if n not in (0, 7)]
    with pytest.raises(GeometryError, match="no LED 99"):
        WindowReconstruction(stack, SETTINGS, window, leave_out=[99])
    few = replace(stack, images=stack.images[:20], led_numbers=stack.led_numbers[:20])
    with pytest.raises(DataError, match="no image of LED 20"):
        WindowReconstruction(few, SETTINGS, window)
    with pytest.raises(DataError, match="leaves the image"):
        WindowReconstruction(stack, SETTINGS, CropRegion(row=230, column=0, size_px=32))


def test_the_same_leds_are_used_everywhere_in_the_field() -> None:
    array = GEOMETRY.array.replace(max_illumination_na=0.15)
    here, there = leds_seen_from(array, (0.0, 0.0)), leds_seen_from(array, (60.0, -60.0))
    assert np.array_equal(here.numbers, there.numbers) and np.array_equal(here.numbers, led_array(array).numbers)
    assert there.radius_na.max() > 0.15


def test_a_result_becomes_objects_and_keeps_its_history(stack: ImageStack, tmp_path) -> None:
    work = WindowReconstruction(stack, SETTINGS.replace(passes=4), CropRegion(row=90, column=110, size_px=48))
    for done in work.run():
        if done.number == 3:
            break
    result = work.stored(interrupted=True)
    path = save_reconstruction(tmp_path / "result.h5", result)
    back = load_reconstruction(path)
    assert back.passes == 3 and back.record["interrupted"] and back.geometry == GEOMETRY
    assert back.history.shape == (1, 3) and back.corners_px.tolist() == [[90, 110]] and back.tile_px == 48
    found = collect_objects([str(path)], object_px=40)
    assert found.pixel_size_um == pytest.approx(result.object_pixel_um) and found.geometry == GEOMETRY
    assert found.objects.shape[1] == 40 and "reconstructed from 25 images" in " ".join(found.provenance.notes)
    inside = np.abs(result.object)[8:-8, 8:-8]
    assert np.abs(found.objects).std() == pytest.approx((inside / np.median(inside)).std(), rel=0.2)


@pytest.mark.parametrize("size", [41, 42, 43])
def test_windows_of_any_size_have_grids(stack: ImageStack, size: int) -> None:
    work = WindowReconstruction(stack, SETTINGS.replace(passes=1), CropRegion(row=90, column=110, size_px=size))
    list(work.run())
    assert abs(len(work.object()) - size * 0.5 / work.stored().object_pixel_um) <= 2


def test_a_calibration_takes_all_leds_and_keeps_their_limit(stack: ImageStack, monkeypatch: pytest.MonkeyPatch) -> None:
    geometry = stack.geometry
    assert geometry is not None
    limited = geometry.replace(array=geometry.array.replace(max_illumination_na=0.1))
    assert len(led_array(limited.array)) < len(stack.images)
    seen: list[tuple[int, int]] = []

    def short(geometry: Geometry, images: np.ndarray, *_words: object, **_settings: object) -> list[object]:
        seen.append((len(led_array(geometry.array)), len(images)))
        return []

    monkeypatch.setattr("ptychoui.workflows.calibrate_stack.calibrate", short)
    found = with_calibration(replace(stack, geometry=limited), [])
    assert seen == [(len(stack.images), len(stack.images))] and found.geometry == limited
