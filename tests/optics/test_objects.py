"""Objects from images, reconstructions and other sets: one set, split by source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from ptychoui.data.dataset import ImageStack, Provenance, TrainingSet, split_sources
from ptychoui.data.formats.geometry_file import read_geometry
from ptychoui.data.formats.native import save_hdf5
from ptychoui.data.formats.open import open_dataset
from ptychoui.errors import DataError, GeometryError
from ptychoui.optics.forward.simulate import single_led_images
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.microscope import sampling
from ptychoui.optics.object_cuts import objects_from_images, objects_from_reconstruction
from ptychoui.optics.objects import combine, phase_objects, resampled, training_objects
from ptychoui.settings import Geometry, to_toml
from ptychoui.workflows.collect_objects import collect_objects

GEOMETRY: dict[str, Any] = {
    "microscope": {"wavelength_um": 0.5, "objective_na": 0.2, "magnification": 10.0, "camera_pixel_um": 5.0},
    "array": {"kind": "lattice", "rows": 5, "columns": 5, "pitch_mm": 4.0, "height_mm": 50.0},
}


def picture(size: int = 60, seed: int = 0) -> np.ndarray:
    """Smooth noise as 8-bit grey."""
    noise = np.random.default_rng(seed).random((size // 4, size // 4))
    return (255 * np.kron(noise, np.ones((4, 4)))).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six files: grey PNG of 8 and 16 bits, colour with transparency, JPEG, TIFF, and a copy of the first."""
    place = tmp_path / "images"
    place.mkdir()
    Image.fromarray(picture(seed=1)).save(place / "cell_2.png")
    Image.fromarray(picture(seed=2).astype(np.uint16) * 257).save(place / "cell_10.png")
    colours = np.stack([picture(seed=s) for s in (3, 4, 5)] + [np.full((60, 60), 255, np.uint8)], axis=-1)
    Image.fromarray(colours).save(place / "colour.png")
    Image.fromarray(picture(seed=6)).save(place / "photo.JPG")
    tifffile.imwrite(place / "stack.tif", np.stack([picture(seed=s) for s in (7, 8)]).astype(np.float32))
    (place / "copy.png").write_bytes((place / "cell_2.png").read_bytes())
    (place / "notes.txt").write_text("no image")
    return place


def plain(
    count: int, size: int, pixel_um: float, sources: list[int], names: tuple[str, ...], **more: Any
) -> TrainingSet:
    rng = np.random.default_rng(count + size)
    objects = (1 + 0.1 * rng.random((count, size, size))).astype(np.complex64)
    return TrainingSet(objects=objects, sources=np.array(sources), pixel_size_um=pixel_um, source_names=names, **more)


def test_every_image_is_a_source_and_copies_are_not(folder: Path) -> None:
    found = objects_from_images(folder, 0.5, 24, 3, seed=4)
    assert found.source_names == ("cell_2.png", "cell_10.png", "colour.png", "photo.JPG", "stack.tif")
    assert found.objects.shape == (15, 24, 24) and found.pixel_size_um == 0.5
    assert found.sources.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert found.provenance.notes == ("copy.png is a copy of cell_2.png and was left out",)
    again, other = (objects_from_images(folder, 0.5, 24, 3, seed=seed) for seed in (4, 5))
    assert np.array_equal(found.objects, again.objects) and not np.array_equal(found.objects, other.objects)


def test_images_get_the_contrast_of_simulated_objects(folder: Path) -> None:
    """Crops of an image are what `phase_objects` cuts from its grey values in [0, 1]."""
    found = objects_from_images(folder / "cell_2.png", 0.5, 24, 2, seed=4, phase_rad=1.0, absorption=0.2)
    grey = picture(seed=1).astype(float)
    expected = phase_objects(
        np.random.default_rng(4), (grey - grey.min()) / np.ptp(grey), 24, 2, phase_rad=1.0, absorption=0.2
    )
    assert np.array_equal(found.objects, np.array(expected))
    phase = np.angle(found.objects)
    assert np.quantile(phase, 0.98) - np.quantile(phase, 0.02) == pytest.approx(1.0, abs=0.1)
    assert np.abs(found.objects).min() >= 1 - 0.2 * 1.2 - 1e-6


def test_simulated_objects_are_cut_by_the_same_code() -> None:
    found = training_objects(0.5, 24, 2, 9, sources=("camera",))
    from ptychoui.optics.objects import source_image

    assert np.array_equal(
        found.objects, np.array(phase_objects(np.random.default_rng(9), source_image("camera"), 24, 2))
    )


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (np.zeros((40, 40), np.uint8), "has no contrast"),
        (picture(12), r"shape \(12, 12\), not an image of 16 pixels"),
    ],
)
def test_images_that_are_none_are_refused_by_name(content: np.ndarray, part: str, tmp_path: Path) -> None:
    Image.fromarray(content).save(tmp_path / "bad.png")
    with pytest.raises(DataError, match=f"bad.png.*{part}"):
        objects_from_images(tmp_path, 0.5, 24, 1, 0)
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(DataError, match=r"bad\.png"):
        objects_from_images(tmp_path, 0.5, 24, 1, 0)
    (tmp_path / "bad.png").unlink()
    with pytest.raises(DataError, match="holds no images"):
        objects_from_images(tmp_path, 0.5, 24, 1, 0)
    with pytest.raises(DataError, match="cannot read the folder"):
        objects_from_images(tmp_path / "nowhere", 0.5, 24, 1, 0)


def numbered(rows: int, columns: int) -> np.ndarray:
    """A field whose every pixel tells its place by its amplitude, above half the largest."""
    return (rows * columns + np.arange(rows * columns)).reshape(rows, columns).astype(np.complex64)


def pixels_of(found: TrainingSet, field: np.ndarray) -> list[set[tuple[int, int]]]:
    """Which pixels of the field each object holds, by the ratios of neighbours in it."""
    places = []
    edge = found.objects.shape[-1]
    for tile in found.objects:
        scores = {
            (row, column): np.abs(tile * np.median(part.real) - part).max()
            for row in range(field.shape[0] - edge + 1)
            for column in range(field.shape[1] - edge + 1)
            for part in [field[row : row + edge, column : column + edge]]
        }
        row, column = min(scores, key=scores.__getitem__)
        places.append({(row + i, column + j) for i in range(edge) for j in range(edge)})
    return places


def test_tiles_of_a_field_share_no_pixel_and_keep_off_the_margin() -> None:
    field = numbered(23, 31)
    found = objects_from_reconstruction(field, 0.3, 6, "smear", margin_px=2)
    places = pixels_of(found, field)
    assert len(places) == 3 * 4 and len(set.union(*places)) == sum(map(len, places))
    rows, columns = zip(*set.union(*places), strict=True)
    assert min(rows) >= 2 and max(rows) < 21 and min(columns) >= 2 and max(columns) < 29
    assert set(found.sources.tolist()) == {0} and found.source_names == ("smear",)


def test_regions_are_sources_with_a_band_between_them() -> None:
    field = numbered(12, 40)
    found = objects_from_reconstruction(field, 0.3, 6, "smear", regions=2, guard_px=4)
    places = pixels_of(found, field)
    left, right = (set.union(*(p for p, s in zip(places, found.sources, strict=True) if s == n)) for n in (0, 1))
    assert min(c for _, c in right) - max(c for _, c in left) > 4
    assert found.source_names == ("smear, region 1", "smear, region 2")


def test_scale_and_global_phase_of_a_reconstruction_are_removed() -> None:
    rng = np.random.default_rng(0)
    field = (1 + 0.1 * rng.random((16, 16))) * np.exp(0.3j * rng.random((16, 16)))
    one = objects_from_reconstruction(field.astype(np.complex64), 0.3, 16, "a")
    two = objects_from_reconstruction((7.0 * np.exp(2j) * field).astype(np.complex64), 0.3, 16, "a")
    assert np.abs(one.objects - two.objects).max() < 1e-5
    assert np.median(np.abs(one.objects)) == pytest.approx(1.0, rel=1e-6)
    assert np.angle(one.objects.mean()) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"object_px": 20}, "has no room for 1 region"),
        ({"object_px": 8, "regions": 3}, "has no room for 3 region"),
        ({"object_px": 8, "margin_px": 5}, "less a margin of 5"),
        ({"object_px": 8, "regions": 0}, "0 regions"),
    ],
)
def test_a_field_too_small_says_what_to_change(settings: dict[str, Any], part: str) -> None:
    with pytest.raises(DataError, match=part) as error:
        objects_from_reconstruction(numbered(16, 16), 0.3, name="smear", **settings)
    assert error.value.hint
    with pytest.raises(DataError, match="complex with the axes row, column"):
        objects_from_reconstruction(np.ones((16, 16)), 0.3, 8, "smear")  # type: ignore[arg-type]


@pytest.mark.parametrize("pixel_um", [0.2, 0.37, 0.8])
def test_resampling_keeps_a_smooth_wave_where_it_is(pixel_um: float) -> None:
    """exp(i k x) sampled at pixel centres; the edge is left out, a wave of 24 um is smooth on all these grids."""

    def wave(size: int, pixel: float) -> np.ndarray:
        x = (np.arange(size) + 0.5) * pixel
        return np.exp(2j * np.pi * (x[None, :] + 0.5 * x[:, None]) / 24).astype(np.complex64)

    data = TrainingSet(objects=wave(80, 0.4)[None], sources=np.zeros(1, int), pixel_size_um=0.4, source_names=("wave",))
    found = resampled(data, pixel_um)
    size = found.objects.shape[-1]
    assert size == int(32 / pixel_um + 1e-9) and found.pixel_size_um == pixel_um
    inner = slice(size // 5, -size // 5)
    assert np.abs(found.objects[0] - wave(size, pixel_um))[inner, inner].max() < 0.01
    assert resampled(data, 0.4) is data
    with pytest.raises(DataError, match="vanish"):
        resampled(data, 100.0)


def test_growing_pixels_do_not_alias() -> None:
    """A checkerboard is nothing but the highest frequency: on pixels three times as large nothing of it may be left."""
    board = (np.indices((60, 60)).sum(0) % 2 * 2 - 1).astype(np.complex64)
    data = TrainingSet(objects=board[None], sources=np.zeros(1, int), pixel_size_um=0.2, source_names=("board",))
    assert np.abs(resampled(data, 0.6).objects).max() < 0.05


def test_sets_become_one_with_distinct_sources() -> None:
    one = plain(3, 40, 0.3, [0, 1, 1], ("a", "b"))
    two = plain(2, 30, 0.6, [4, 2], ("u", "v", "a", "w", "z"))
    found = combine([one, two, one])
    assert found.pixel_size_um == 0.6 and found.objects.shape == (8, 20, 20)
    assert found.source_names == ("a", "b", "a (2)", "z", "a (3)", "b (2)")
    assert found.sources.tolist() == [0, 1, 1, 3, 2, 4, 5, 5]
    assert np.array_equal(found.objects[3:5], two.objects[:, 5:25, 5:25])
    assert combine([one], object_px=10).objects.shape == (3, 10, 10)
    with pytest.raises(DataError, match=r"are 20 pixels of 0\.6 um wide, 24 are wanted") as error:
        combine([one, two], object_px=24)
    assert "at most 20 pixels" in error.value.hint
    with pytest.raises(DataError, match="no objects to combine"):
        combine([])


def test_images_that_scikit_image_ships_are_one_source_wherever_they_come_from() -> None:
    one = plain(3, 20, 0.5, [0, 1, 1], ("moon", "mine"))
    two = plain(2, 20, 0.5, [0, 1], ("mine", "moon"))
    found = combine([one, two])
    assert found.source_names == ("moon", "mine", "mine (2)") and found.sources.tolist() == [0, 1, 1, 2, 0]


def test_a_split_of_a_combined_set_never_divides_a_source() -> None:
    one = plain(6, 20, 0.5, [0, 0, 1, 1, 2, 2], ("a", "b", "c"))
    found = combine([one, one])
    for seed in range(20):
        held, count = split_sources(found.sources, 0.4, seed)
        assert not set(found.sources[held]) & set(found.sources[~held])
        assert len(set(found.sources[held])) == count == 2


def test_a_geometry_stays_where_all_agree() -> None:
    geometry = Geometry(**GEOMETRY)
    other = geometry.replace(microscope=geometry.microscope.replace(objective_na=0.25))
    one, two, bare = (plain(1, 20, 0.5, [0], ("a",), geometry=g) for g in (geometry, other, None))
    assert combine([one, bare]).geometry == geometry
    mixed = combine([one, two])
    assert mixed.geometry is None and "different geometries" in mixed.provenance.notes[-1]


def stack_of(field: np.ndarray, geometry: Geometry) -> tuple[ImageStack, float]:
    """Noise-free LED stack of a field of 40 camera pixels, and the pixel of its object."""
    leds = led_array(geometry.array)
    grids = sampling(geometry.microscope, leds, 40, 0)
    images = single_led_images(geometry, leds, field[None], grids)[0]
    stack = ImageStack(
        images=images,
        led_numbers=leds.numbers,
        geometry=geometry,
        provenance=Provenance(source="s", layout="simulated", sha256="0"),
    )
    return stack, grids.object_pixel_um


def test_everything_a_person_names_becomes_one_set(folder: Path, tmp_path: Path) -> None:
    geometry = Geometry(**GEOMETRY)
    grids = sampling(geometry.microscope, led_array(geometry.array), 40, 0)
    field = training_objects(grids.object_pixel_um, grids.object_px, 1, 3, sources=("cell",)).objects[0]
    stack, pixel = stack_of(field, geometry)
    save_hdf5(tmp_path / "stack.h5", stack)
    save_hdf5(tmp_path / "set.h5", plain(3, 50, 0.2, [0, 1, 1], ("a", "b")))
    names = [str(tmp_path / "stack.h5"), str(folder), str(tmp_path / "set.h5"), "simulation"]
    found = collect_objects(names, object_px=14, per_source=1, seed=1)
    assert found.pixel_size_um == pixel == 0.5
    assert found.source_names[0] == "stack.h5" and found.source_names[1:6][-1] == "stack.tif"
    assert found.source_names[6:8] == ("a", "b") and "moon" in found.source_names
    assert len(set(found.source_names)) == len(found.source_names) == 1 + 5 + 2 + 12
    assert found.objects.shape[1:] == (14, 14) and found.geometry == geometry
    # The tiles of the stack are those of its object.
    tiles = found.objects[found.sources == 0]
    truth = objects_from_reconstruction(field, 0.5, 14, "truth", margin_px=4).objects
    assert len(tiles) == len(truth) == 4
    error = np.linalg.norm(tiles - truth) / np.linalg.norm(truth)
    assert error < 0.1
    assert any("amplitude residual" in note for note in found.provenance.notes)


def test_a_stack_can_be_several_regions(tmp_path: Path) -> None:
    """The 40 pixels of the field less margins of 4 are two bands of 12 and a guard band of 8."""
    geometry = Geometry(**GEOMETRY)
    field = training_objects(0.5, 40, 1, 3, sources=("cell",)).objects[0]
    stack, _ = stack_of(field, geometry)
    save_hdf5(tmp_path / "stack.h5", stack)
    found = collect_objects([str(tmp_path / "stack.h5")], regions=2)
    assert found.objects.shape == (4, 12, 12) and found.sources.tolist() == [0, 0, 1, 1]
    assert found.source_names == ("stack.h5, region 1", "stack.h5, region 2")
    with pytest.raises(DataError, match=r"has no room for 2 region\(s\) with an object of 16 pixels"):
        collect_objects([str(tmp_path / "stack.h5")], object_px=16, regions=2)


@pytest.mark.parametrize("kind", ["tif", "png"])
def test_a_folder_of_led_images_is_a_stack_where_a_geometry_is_given(kind: str, tmp_path: Path) -> None:
    geometry = Geometry(**GEOMETRY)
    field = training_objects(0.5, 40, 1, 3, sources=("cell",)).objects[0]
    stack, _ = stack_of(field, geometry)
    frames = tmp_path / "frames"
    frames.mkdir()
    for number, image in enumerate(stack.images):
        counts = (image * 1000).round().clip(0).astype(np.uint16)
        if kind == "tif":
            tifffile.imwrite(frames / f"led_{number}.tif", counts)
        else:
            Image.fromarray(counts).save(frames / f"led_{number}.png")
    found = collect_objects([str(frames)], regions=2, geometry=geometry)
    assert found.source_names == ("frames, region 1", "frames, region 2") and found.geometry == geometry
    truth = objects_from_reconstruction(field, 0.5, 12, "truth", margin_px=4, regions=2).objects
    assert np.linalg.norm(found.objects - truth) < 0.15 * np.linalg.norm(truth)
    (tmp_path / "g.toml").write_text(to_toml(geometry) + "\n[images]\ndark_level = 0.0\n")
    said = read_geometry(tmp_path / "g.toml")
    assert collect_objects([str(frames)], regions=2, geometry=said).geometry == geometry
    (frames / f"led_0.{kind}").unlink()
    for regions in (1, 2):
        with pytest.raises(
            DataError, match=r"numbered images of one size, the geometry has .* LEDs: no stac"
        ) as caught:
            collect_objects([str(frames)], regions=regions, geometry=geometry)
        assert "led_numbers" in caught.value.hint
    assert len(collect_objects([str(frames)], object_px=8, per_source=1).source_names) > 1  # pictures without geometry


def test_regions_need_a_field(folder: Path, tmp_path: Path) -> None:
    for sources in ([str(folder)], ["simulation"]):
        with pytest.raises(DataError, match="there is no field to divide into 2 regions"):
            collect_objects(sources, object_px=16, per_source=1, regions=2)
    save_hdf5(tmp_path / "set.h5", plain(2, 50, 0.2, [0, 1], ("a", "b")))
    with pytest.raises(DataError, match="there is no field to divide into 2 regions"):
        collect_objects([str(tmp_path / "set.h5")], regions=2, geometry=Geometry(**GEOMETRY))


def test_pictures_stay_pictures_with_a_geometry(folder: Path, tmp_path: Path) -> None:
    """Of several sizes or kinds, in colour, or named otherwise than by numbers, images are objects."""
    geometry = Geometry(**GEOMETRY)
    count = len(geometry.array.numbers())
    assert len(collect_objects([str(folder)], object_px=16, per_source=1, geometry=geometry).source_names) == 5
    for kind in ("colour", "sizes", "names"):
        place = tmp_path / kind
        place.mkdir()
        for number in range(count):
            image = Image.fromarray(picture(64 if kind == "sizes" and number else 60, seed=number))
            name = "abcdefghijklmnopqrstuvwxyz"[number % 26] * (1 + number // 26) if kind == "names" else f"p{number}"
            (image.convert("RGB") if kind == "colour" else image).save(place / f"{name}.png")
        assert len(collect_objects([str(place)], object_px=16, per_source=1, geometry=geometry).source_names) == count


def test_default_pixel_and_size_follow_the_sources(folder: Path, tmp_path: Path) -> None:
    assert collect_objects([str(folder)], object_px=16, per_source=1).pixel_size_um == 0.6
    save_hdf5(tmp_path / "set.h5", plain(2, 50, 0.2, [0, 1], ("a", "b")))
    found = collect_objects([str(folder), str(tmp_path / "set.h5")], per_source=1)
    assert found.pixel_size_um == 0.2 and found.objects.shape == (7, 50, 50)
    finer = collect_objects([str(tmp_path / "set.h5")], pixel_size_um=0.4)
    assert finer.objects.shape == (2, 25, 25)


def test_a_stack_without_a_geometry_is_refused(tmp_path: Path) -> None:
    bare = ImageStack(images=np.ones((3, 16, 16), np.float32), led_numbers=np.arange(3), geometry=None)
    save_hdf5(tmp_path / "bare.h5", bare)
    with pytest.raises(GeometryError, match="carries no geometry"):
        collect_objects([str(tmp_path / "bare.h5")])


def test_a_written_set_is_read_back(folder: Path, tmp_path: Path) -> None:
    found = collect_objects([str(folder)], object_px=20, per_source=2, seed=3, geometry=Geometry(**GEOMETRY))
    again = open_dataset(save_hdf5(tmp_path / "objects.h5", found))
    assert isinstance(again, TrainingSet)
    assert np.array_equal(again.objects, found.objects) and again.source_names == found.source_names
    assert again.geometry == found.geometry and again.provenance.notes == found.provenance.notes
