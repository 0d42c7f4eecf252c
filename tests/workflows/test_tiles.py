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
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.settings import Array, Geometry, Microscope, Reconstruct
from ptychoui.workflows.crop import CropRegion
from ptychoui.workflows.full_field import TiledReconstruction
from ptychoui.workflows.tile_joining import blend, match
from ptychoui.workflows.tile_plan import TilePlan, plan_tiles

GEOMETRY = Geometry(
    microscope=Microscope(wavelength_um=0.5, objective_na=0.2, magnification=10.0, camera_pixel_um=5.0, pixel="point"),
    array=Array(kind="lattice", rows=5, columns=5, pitch_mm=0.48, height_mm=6.0),
)
SETTINGS = Reconstruct(passes=10, pupil="fixed", background=False)
SHAPE = (176, 256)
TILE, OVERLAP = 96, 16


def plan_of(settings: Reconstruct = SETTINGS, tile_px: int = TILE, overlap_px: int = OVERLAP) -> TilePlan:
    return plan_tiles(GEOMETRY, SHAPE, settings, tile_px, overlap_px)


@pytest.fixture(scope="module")
def made() -> tuple[ImageStack, np.ndarray]:
    """Eight-bit images, dark field exposed longer, and the true field in camera pixels; simulated with a border."""
    leds = led_array(GEOMETRY.array)
    field = spherical.detailed_field((2 * SHAPE[0] + 64, 2 * SHAPE[1] + 64), 0.25, 0.6)
    images = spherical.images(field, 2, GEOMETRY.microscope, leds.positions_mm, 6.0)[:, 16:-16, 16:-16]
    exposure = np.where(leds.bright_field(0.2), 1 / 16, 1.0)
    counts = images * exposure[:, None, None]
    levels = np.round(counts / counts.max() * 255)
    images = (levels / 255 * counts.max() / exposure[:, None, None]).astype(np.float32)
    stack = ImageStack(images=images, led_numbers=leds.numbers, geometry=GEOMETRY, exposure=exposure)
    return stack, field[32:-32:2, 32:-32:2]


@pytest.fixture(scope="module")
def stack(made: tuple[ImageStack, np.ndarray]) -> ImageStack:
    return made[0]


@pytest.fixture(scope="module")
def truth(made: tuple[ImageStack, np.ndarray]) -> np.ndarray:
    return made[1]


def finished(stack: ImageStack, folder: Path) -> StoredReconstruction:
    work = TiledReconstruction(stack, SETTINGS, plan_of(), folder)
    for _ in work.run():
        pass
    return work.result()


@pytest.fixture(scope="module")
def whole(stack: ImageStack, tmp_path_factory: pytest.TempPathFactory) -> StoredReconstruction:
    return finished(stack, tmp_path_factory.mktemp("whole") / "tiles")


def test_tiles_cover_the_field_and_overlap() -> None:
    plan = plan_of()
    seen = np.zeros(SHAPE, int)
    for window in plan.windows:
        seen[window.row : window.row + TILE, window.column : window.column + TILE] += 1
    assert seen.min() == 1 and len(plan.windows) == 2 * 3
    assert {w.row for w in plan.windows} == {0, 80} and {w.column for w in plan.windows} == {0, 80, 160}
    assert plan_tiles(GEOMETRY, SHAPE, SETTINGS).tile_px <= (0.5 * 6000) ** 0.5 / 0.5
    with pytest.raises(GeometryError, match="do not fit images of 176 x 256"):
        plan_of(tile_px=180)
    with pytest.raises(GeometryError, match="overlap of 60 pixels"):
        plan_of(overlap_px=60)


def errors(whole: StoredReconstruction, truth: np.ndarray) -> np.ndarray:
    """Of the field after one factor for all, in standard deviations of the truth, camera pixels."""
    assert whole.object.shape == truth.shape
    inside = (slice(10, -10),) * 2
    factor = np.vdot(whole.object[inside], truth[inside]) / np.vdot(whole.object[inside], whole.object[inside])
    return (factor * whole.object - truth) / np.std(truth)


def rms(values: object) -> float:
    return float(np.sqrt(np.mean(np.abs(values) ** 2)))  # type: ignore[arg-type]


def test_the_field_is_that_under_spherical_waves(whole: StoredReconstruction, truth: np.ndarray) -> None:
    """One factor brings the field onto the truth: no tile has a phase, a slope or a lens of its own."""
    error = errors(whole, truth)
    assert rms(error[10:-10, 10:-10]) < 0.25
    blocks = error[8:-8, 8:-8].reshape(8, 20, 12, 20).mean((1, 3))
    assert rms(blocks) < 0.15
    # The curvature of the light left in the tiles would be 0.8 rad at the middle of a border.
    assert whole.record["border_mismatch"] < 0.25


def test_no_step_is_left_across_borders(whole: StoredReconstruction, truth: np.ndarray) -> None:
    """Borders add at most 2 % of the object's standard deviation to the change of the error from pixel to pixel."""
    error = errors(whole, truth)[10:-10, 10:-10]
    at = [error[78], error[:, 78], error[:, 158]]
    before = [error[77], error[:, 77], error[:, 157]]
    jumps = np.concatenate(at) - np.concatenate(before)
    everywhere = [np.diff(error, axis=0).ravel(), np.diff(error, axis=1).ravel()]
    added = rms(jumps) ** 2 - rms(np.concatenate(everywhere)) ** 2
    assert added < 0.02**2


def test_a_run_that_was_stopped_anywhere_gives_the_same_bits(
    stack: ImageStack, whole: StoredReconstruction, tmp_path: Path
) -> None:
    plan, folder = plan_of(), tmp_path / "tiles"
    for stop_after in (3, 30, 40, 10**6):
        work = TiledReconstruction(stack, SETTINGS, plan, folder, resume=True)
        resumed = 0
        for step, progress in enumerate(work.run()):
            resumed += progress.resumed
            if step == stop_after:
                break
    assert resumed == 5
    # A tile cut short by a full disk, and one that was left half written, are made again.
    whole_file = (folder / "tile-00002.h5").read_bytes()
    (folder / "tile-00002.h5").write_bytes(whole_file[: len(whole_file) // 2])
    (folder / ".0123456789abcdef.tmp").write_bytes(b"half")
    work = TiledReconstruction(stack, SETTINGS, plan, folder, resume=True)
    assert sum(not progress.resumed for progress in work.run()) == SETTINGS.passes + 1
    found = work.result()
    for name in ("object", "pupil", "gain", "residual", "history", "illumination_na"):
        assert np.array_equal(getattr(found, name), getattr(whole, name), equal_nan=True), name
    work.clear()
    assert not folder.exists()


def test_other_settings_data_or_geometry_are_not_mixed_in(stack: ImageStack, tmp_path: Path) -> None:
    plan, folder = plan_of(), tmp_path / "tiles"
    next(TiledReconstruction(stack, SETTINGS, plan, folder).run())
    with pytest.raises(RunError, match="holds tiles of an earlier run"):
        TiledReconstruction(stack, SETTINGS, plan, folder)
    TiledReconstruction(stack, SETTINGS, plan, folder, resume=True)
    for message, changes in (
        ("settings differ", {"settings": SETTINGS.replace(passes=9)}),
        ("tiles differ", {"plan": plan_of(overlap_px=12)}),
        ("LEDs left out differ", {"leave_out": [3]}),
        ("data differ", {"stack": replace(stack, provenance=replace(stack.provenance, sha256="other"))}),
        (
            "geometry differ",
            {"stack": replace(stack, geometry=GEOMETRY.replace(array=GEOMETRY.array.replace(height_mm=7.0)))},
        ),
    ):
        given = {"stack": stack, "settings": SETTINGS, "plan": plan, "folder": folder} | changes
        with pytest.raises(RunError, match=message):
            TiledReconstruction(**given, resume=True)  # type: ignore[arg-type]
    (folder / "fingerprint.json").write_text("{")
    with pytest.raises(RunError, match="another run"):
        TiledReconstruction(stack, SETTINGS, plan, folder, resume=True)
    with pytest.raises(RunError, match="not finished"):
        TiledReconstruction(stack, SETTINGS, plan, tmp_path / "new").result()


def test_phases_and_scales_of_tiles_are_found() -> None:
    """Tiles of one image with phases and scales of their own become that image again."""
    plan = plan_of(SETTINGS.replace(upsampling=2))
    rng = np.random.default_rng(0)
    image = (1 + 0.3 * rng.normal(size=(352, 512)) + 0.3j * rng.normal(size=(352, 512))).astype(np.complex64)
    factors = rng.uniform(0.5, 2, 6) * np.exp(2j * np.pi * rng.random(6))
    tiles = [
        (factor * image[2 * w.row : 2 * (w.row + TILE), 2 * w.column : 2 * (w.column + TILE)]).astype(np.complex64)
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
    assert load_reconstruction(tmp_path / "tiles" / "tile-00000.h5").tile_px == TILE


def test_fading_adds_up_to_one_however_tiles_overlap() -> None:
    """The last tiles of a row overlap more than the others, so that their weights do not add up by themselves."""
    starts = (0, 26, 40)
    windows = tuple(CropRegion(row=row, column=column, size_px=32) for row in starts for column in starts)
    plan = TilePlan(windows=windows, shape=(72, 72), tile_px=32, overlap_px=6, upsampling=2)
    field = blend(plan, np.full((9, 64, 64), 2 - 1j, np.complex64), np.ones(9, complex))
    assert np.abs(field - (2 - 1j)).max() < 1e-5
