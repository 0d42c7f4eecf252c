"""A field in tiles: against the whole field under spherical waves, and stopped at every place."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optics import spherical

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.native import save_hdf5
from ptychoui.data.formats.open import open_dataset
from ptychoui.data.results import StoredReconstruction, load_reconstruction
from ptychoui.errors import GeometryError, RunError
from ptychoui.experiment import Array, Geometry, Microscope, Reconstruct
from ptychoui.optics.led_array import led_array
from ptychoui.optics.tiles import FieldReconstruction, blend, match, plan_tiles

GEOMETRY = Geometry(
    microscope=Microscope(wavelength_um=0.5, objective_na=0.2, magnification=10.0, camera_pixel_um=5.0, pixel="point"),
    array=Array(kind="lattice", rows=5, columns=5, pitch_mm=0.3, height_mm=4.0),
)
SETTINGS = Reconstruct(passes=8, pupil="fixed", background=False)
SHAPE = (112, 176)


@pytest.fixture(scope="module")
def field() -> np.ndarray:
    """Twice as fine as the camera."""
    return spherical.smooth_field((2 * SHAPE[0], 2 * SHAPE[1]), 0.25, 0.4)


@pytest.fixture(scope="module")
def stack(field: np.ndarray) -> ImageStack:
    """Eight-bit images, dark field exposed longer."""
    leds = led_array(GEOMETRY.array)
    images = spherical.images(field, 2, GEOMETRY.microscope, leds.positions_mm, 4.0)
    exposure = np.where(leds.bright_field(0.19), 1 / 16, 1.0)
    levels = np.round(images * exposure[:, None, None] / (images * exposure[:, None, None]).max() * 255)
    images = (levels / 255 * 2 / exposure[:, None, None]).astype(np.float32)
    return ImageStack(images=images, led_numbers=leds.numbers, geometry=GEOMETRY, exposure=exposure)


def finished(stack: ImageStack, folder: Path, tile_px: int = 48, **changes: object) -> StoredReconstruction:
    plan = plan_tiles(GEOMETRY, SHAPE, SETTINGS, tile_px, 16)
    work = FieldReconstruction(stack, SETTINGS, plan, folder, **changes)  # type: ignore[arg-type]
    for _ in work.run():
        pass
    return work.result()


@pytest.fixture(scope="module")
def whole(stack: ImageStack, tmp_path_factory: pytest.TempPathFactory) -> StoredReconstruction:
    return finished(stack, tmp_path_factory.mktemp("whole") / "tiles")


def test_tiles_cover_the_field_and_overlap() -> None:
    plan = plan_tiles(GEOMETRY, SHAPE, SETTINGS, 48, 16)
    seen = np.zeros(SHAPE, int)
    for window in plan.windows:
        seen[window.row : window.row + 48, window.column : window.column + 48] += 1
    assert seen.min() == 1 and len(plan.windows) == 3 * 5
    assert {w.row for w in plan.windows} == {0, 32, 64} and max(w.column for w in plan.windows) == 128
    assert plan_tiles(GEOMETRY, SHAPE, SETTINGS).tile_px <= 0.5**0.5 * 4000**0.5 / 0.5
    with pytest.raises(GeometryError, match="do not fit images of 112 x 176"):
        plan_tiles(GEOMETRY, SHAPE, SETTINGS, 120)
    with pytest.raises(GeometryError, match="overlap of 30 pixels"):
        plan_tiles(GEOMETRY, SHAPE, SETTINGS, 48, 30)


def test_the_field_is_that_under_spherical_waves(whole: StoredReconstruction, field: np.ndarray) -> None:
    """No step, no slope and no lens is left between tiles: one factor brings the field onto the truth."""
    found = whole.object
    finer = found.shape[0] // SHAPE[0]
    assert found.shape == (SHAPE[0] * finer, SHAPE[1] * finer)
    truth = field if finer == 2 else field[::2, ::2]
    inside = (slice(10 * finer, -10 * finer),) * 2
    a, b = found[inside], truth[inside]
    factor = np.vdot(a, b) / np.vdot(a, a)
    error = factor * a - b
    spread = np.std(b)
    assert np.sqrt(np.mean(np.abs(error) ** 2)) < 0.25 * spread
    # The mean error of every tile's core: a wrong phase, slope or curvature would show here.
    cores = [error[r : r + 20 * finer, c : c + 20 * finer].mean() for r in range(0, 130, 40) for c in range(0, 260, 40)]
    assert np.abs(cores).max() < 0.06 * spread


def test_no_step_is_left_across_borders(whole: StoredReconstruction, field: np.ndarray) -> None:
    finer = whole.object.shape[0] // SHAPE[0]
    error = whole.object / np.exp(1j * np.angle(np.vdot(field[::2, ::2], whole.object[::finer, ::finer])))
    truth = field if finer == 2 else field[::2, ::2]
    error = error * (np.vdot(error, truth) / np.vdot(error, error)).real - truth
    steps = [error[:, c * finer] - error[:, c * finer - 1] for c in (40, 72, 104, 136)]
    assert np.sqrt(np.mean(np.abs(steps) ** 2)) < 0.05 * np.std(truth)
    assert whole.record["border_mismatch"] < 0.3


def test_a_run_that_was_stopped_anywhere_gives_the_same_bits(
    stack: ImageStack, whole: StoredReconstruction, tmp_path: Path
) -> None:
    plan, folder = plan_tiles(GEOMETRY, SHAPE, SETTINGS, 48, 16), tmp_path / "tiles"
    for stop_after in (3, 30, 61, 10**6):
        work = FieldReconstruction(stack, SETTINGS, plan, folder, resume=True)
        resumed = 0
        for step, progress in enumerate(work.run()):
            resumed += progress.resumed
            if step == stop_after:
                break
    assert resumed > 5
    # A tile cut short by a full disk, and one that was left half written, are made again.
    whole_file = (folder / "tile-00002.h5").read_bytes()
    (folder / "tile-00002.h5").write_bytes(whole_file[: len(whole_file) // 2])
    (folder / ".0123456789abcdef.tmp").write_bytes(b"half")
    work = FieldReconstruction(stack, SETTINGS, plan, folder, resume=True)
    assert sum(not progress.resumed for progress in work.run()) == SETTINGS.passes + 1
    found = work.result()
    for name in ("object", "pupil", "gain", "residual", "history", "illumination_na"):
        assert np.array_equal(getattr(found, name), getattr(whole, name), equal_nan=True), name
    work.clear()
    assert not folder.exists()


def test_other_settings_data_or_geometry_are_not_mixed_in(stack: ImageStack, tmp_path: Path) -> None:
    plan, folder = plan_tiles(GEOMETRY, SHAPE, SETTINGS, 48, 16), tmp_path / "tiles"
    next(FieldReconstruction(stack, SETTINGS, plan, folder).run())
    with pytest.raises(RunError, match="holds tiles of an earlier run"):
        FieldReconstruction(stack, SETTINGS, plan, folder)
    FieldReconstruction(stack, SETTINGS, plan, folder, resume=True)
    for message, changes in (
        ("settings differ", {"settings": SETTINGS.replace(passes=9)}),
        ("tiles differ", {"plan": plan_tiles(GEOMETRY, SHAPE, SETTINGS, 48, 12)}),
        ("LEDs left out differ", {"leave_out": [3]}),
        ("data differ", {"stack": replace(stack, provenance=replace(stack.provenance, sha256="other"))}),
        (
            "geometry differ",
            {"stack": replace(stack, geometry=GEOMETRY.replace(array=GEOMETRY.array.replace(height_mm=5.0)))},
        ),
    ):
        given = {"stack": stack, "settings": SETTINGS, "plan": plan, "folder": folder} | changes
        with pytest.raises(RunError, match=message):
            FieldReconstruction(**given, resume=True)  # type: ignore[arg-type]
    (folder / "fingerprint.json").write_text("{")
    with pytest.raises(RunError, match="another run"):
        FieldReconstruction(stack, SETTINGS, plan, folder, resume=True)
    with pytest.raises(RunError, match="not finished"):
        FieldReconstruction(stack, SETTINGS, plan, tmp_path / "new").result()


def test_phases_and_scales_of_tiles_are_found() -> None:
    """Tiles of one image with phases and scales of their own become that image again."""
    plan = plan_tiles(GEOMETRY, SHAPE, SETTINGS.replace(upsampling=2), 48, 16)
    rng = np.random.default_rng(0)
    image = (1 + 0.3 * rng.normal(size=(224, 352)) + 0.3j * rng.normal(size=(224, 352))).astype(np.complex64)
    factors = rng.uniform(0.5, 2, 15) * np.exp(2j * np.pi * rng.random(15))
    tiles = [
        (factor * image[2 * w.row : 2 * w.row + 96, 2 * w.column : 2 * w.column + 96]).astype(np.complex64)
        for w, factor in zip(plan.windows, factors, strict=True)
    ]
    found = match(plan, tiles)
    product = found * factors
    assert np.abs(product / product[0] - 1).max() < 1e-5
    assert abs(np.log(np.abs(found)).mean()) < 1e-9
    assert np.abs(blend(plan, tiles, found) / product[0] - image).max() < 1e-4


def test_mapped_images_are_read_tile_by_tile(
    stack: ImageStack, whole: StoredReconstruction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ptychoui.data.formats import native

    monkeypatch.setattr(native, "MAPPED_BYTES", 1000)
    mapped = open_dataset(save_hdf5(tmp_path / "stack.h5", stack))
    assert isinstance(mapped, ImageStack) and mapped.mapped
    found = finished(mapped, tmp_path / "tiles")
    assert np.array_equal(found.object, whole.object)
    assert json.loads((tmp_path / "tiles" / "fingerprint.json").read_text())["data"] == mapped.provenance.sha256
    assert load_reconstruction(tmp_path / "tiles" / "tile-00000.h5").tile_px == 48
