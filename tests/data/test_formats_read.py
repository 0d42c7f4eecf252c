"""Every layout is read to the same images, and says what it assumed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import tifffile
from PIL import Image

from ptychoui.data.dataset import ImageStack, TrainingSet
from ptychoui.data.formats.common import sidecar_path
from ptychoui.data.formats.folder import natural_key
from ptychoui.data.formats.native import save_hdf5
from ptychoui.data.formats.open import open_dataset
from ptychoui.data.formats.tiff import save_stack_tiff
from ptychoui.errors import DataError
from ptychoui.settings import Geometry, to_toml

STACKS = ["uconn", "uconn compressed", "uconn 7.3", "ome-tiff", "tiff", "folder png", "folder tif"]


def notes_of(dataset: ImageStack | TrainingSet) -> str:
    return "\n".join(dataset.provenance.notes)


@pytest.mark.parametrize("layout", STACKS)
def test_every_layout_gives_the_same_stack(
    layout: str, tmp_path: Path, write_layout: Any, stack: ImageStack, geometry: Geometry
) -> None:
    read = open_dataset(write_layout(layout, tmp_path), geometry)
    assert isinstance(read, ImageStack)
    unit = np.percentile(stack.images[0], 99)
    tolerance = {"folder png": 1 / 200, "folder tif": 1e-3, "tiff": 1e-3}.get(layout, 1e-6) / unit
    np.testing.assert_allclose(read.images, stack.images / unit, atol=tolerance)
    assert read.images.dtype == np.float32
    assert read.led_numbers.tolist() == list(range(9))
    assert len(read.provenance.sha256) == 64
    assert np.percentile(read.images[0], 99) == pytest.approx(1)


@pytest.mark.parametrize("layout", STACKS)
def test_needs_a_geometry(layout: str, tmp_path: Path, write_layout: Any) -> None:
    path = write_layout(layout, tmp_path)
    for file in tmp_path.rglob("*.toml"):
        file.unlink()
    with pytest.raises(DataError, match="does not say the objective's NA, the magnification") as caught:
        open_dataset(path)
    assert "--geometry" in caught.value.hint
    if layout.startswith("uconn"):
        assert "it does say wavelength 0.63 um, defocus 10 um" in caught.value.message
        assert "shift y 0.35 mm" in caught.value.message
        assert "--geometry uconn_bloodsmear" in caught.value.hint


@pytest.mark.parametrize("layout", STACKS)
def test_image_count_must_be_the_led_count(
    layout: str, tmp_path: Path, write_layout: Any, make_geometry: Callable[..., Geometry]
) -> None:
    with pytest.raises(DataError) as caught:
        open_dataset(write_layout(layout, tmp_path), make_geometry(rows=5))
    assert "9" in caught.value.message and "15 LEDs" in caught.value.message
    assert "dark frames" in caught.value.hint


# ----------------------------------------------------------------------------------------- UConn


def test_uconn_fills_what_the_geometry_leaves_open(tmp_path: Path, write_layout: Any, geometry: Geometry) -> None:
    read = open_dataset(write_layout("uconn", tmp_path), geometry)
    assert read.geometry is not None
    assert read.geometry.microscope.defocus_um == pytest.approx(10)
    assert read.geometry.array.pose.shift_y_mm == pytest.approx(0.35)
    assert "defocus of 10 um taken from the data file" in notes_of(read)


def test_uconn_geometry_wins_and_the_conflict_is_told(
    tmp_path: Path, write_layout: Any, make_geometry: Callable[..., Geometry]
) -> None:
    geometry = make_geometry(
        {"wavelength_um": 0.5, "defocus_um": -3}, pose={"shift_x_mm": 0.5, "shift_y_mm": 1, "rotation_deg": 2}
    )
    read = open_dataset(write_layout("uconn", tmp_path), geometry)
    assert read.geometry == geometry
    assert "the wavelength is 0.5 um in the geometry and 0.63 um in the data file" in notes_of(read)
    assert "the defocus is -3 um in the geometry and 10 um in the data file" in notes_of(read)
    assert "the array's rotation is 2 deg in the geometry and 0 deg" in notes_of(read)
    assert "the array's shift y is 1 mm in the geometry and 0.349787 mm" in notes_of(read)


def test_uconn_shift_is_turned_with_the_array(
    tmp_path: Path, uconn_variables: dict[str, Any], geometry: Geometry
) -> None:
    """The published code shifts before it turns, the pose turns before it shifts."""
    scipy.io.savemat(tmp_path / "u.mat", uconn_variables | {"theta": 90.0, "xint": 1.0, "yint": 0.0})
    read = open_dataset(tmp_path / "u.mat", geometry)
    assert read.geometry is not None
    pose = read.geometry.array.pose
    assert (pose.rotation_deg, pose.shift_x_mm, pose.shift_y_mm) == pytest.approx((90, 0, 1))


def test_uconn_absurd_defocus_is_refused(tmp_path: Path, uconn_variables: dict[str, Any], geometry: Geometry) -> None:
    scipy.io.savemat(tmp_path / "u.mat", uconn_variables | {"z": 10.0})
    with pytest.raises(DataError, match=r"z stands for 1e\+07 um, outside -2000 to 2000 um"):
        open_dataset(tmp_path / "u.mat", geometry)


def test_led_axis_first_is_recognised_by_the_count(tmp_path: Path, images: np.ndarray, geometry: Geometry) -> None:
    scipy.io.savemat(tmp_path / "u.mat", {"imlow_HDR": images})
    read = open_dataset(tmp_path / "u.mat", geometry)
    assert read.images.shape == images.shape  # type: ignore[union-attr]
    assert "its first axis has the array's 9 LEDs" in notes_of(read)


def test_ambiguous_axes_are_told(tmp_path: Path, geometry: Geometry) -> None:
    cube = np.random.default_rng(0).random((9, 9, 9)) + 0.1
    scipy.io.savemat(tmp_path / "u.mat", {"lowSeq": cube})
    read = open_dataset(tmp_path / "u.mat", geometry)
    assert "does not tell which axis is the LED: row, column, LED was assumed" in notes_of(read)
    np.testing.assert_allclose(read.images[1] * read.unit_counts, cube[:, :, 1], rtol=1e-6)  # type: ignore[union-attr]


def test_disc_of_a_lattice_keeps_its_lattice_numbers(
    tmp_path: Path, write_layout: Any, make_geometry: Callable[..., Geometry]
) -> None:
    disc = make_geometry(rows=5, columns=5, disc=True)
    assert disc.array.numbers() == tuple(n for n in range(25) if n not in (0, 4, 20, 24))
    with pytest.raises(DataError, match="the array in the geometry has 21 LEDs"):
        open_dataset(write_layout("uconn", tmp_path), disc)


def test_table_gives_the_led_numbers(tmp_path: Path, write_layout: Any, make_geometry: Callable[..., Geometry]) -> None:
    numbers = (4, 9, 2, 3, 8, 1, 0, 7, 5)
    table = make_geometry(kind="table", positions_mm=[(i, 0, 0) for i in range(9)], led_numbers=numbers)
    read = open_dataset(write_layout("uconn", tmp_path), table)
    assert tuple(read.led_numbers) == numbers  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("array", "count"),
    [
        ({"kind": "spiral", "count": 7}, 7),
        ({"kind": "rings", "ring_radii_mm": (0, 3), "ring_counts": (1, 8)}, 9),
        ({"kind": "dome", "ring_radii_mm": (0, 3), "ring_counts": (1, 5), "dome_radius_mm": 60}, 6),
        ({"kind": "table", "positions_mm": [(0, 0, 0)]}, 1),
    ],
)
def test_led_count(array: dict[str, Any], count: int, make_geometry: Callable[..., Geometry]) -> None:
    assert len(make_geometry(**array).array.numbers()) == count


def test_amplitudes_and_strange_variables(tmp_path: Path, images: np.ndarray, geometry: Geometry) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"imageAmpSeq": np.moveaxis(images, 0, 2)})
    read = open_dataset(tmp_path / "a.mat", geometry)
    assert isinstance(read, ImageStack)
    np.testing.assert_allclose(read.images * read.unit_counts, images**2, rtol=1e-5)
    assert "pixel values: amplitude, squared here - from the name imageAmpSeq" in map(str, read.provenance.facts)
    scipy.io.savemat(tmp_path / "b.mat", {"foo": 1.0, "text": "imlow_HDR", "s": {"imlow_HDR": images}})
    with pytest.raises(DataError, match="no LED images and no training set; found foo"):
        open_dataset(tmp_path / "b.mat", geometry)
    scipy.io.savemat(tmp_path / "c.mat", {"imlow_HDR": np.moveaxis(images, 0, 2) * 1j})
    with pytest.raises(DataError, match="holds complex numbers, not intensities"):
        open_dataset(tmp_path / "c.mat", geometry)


# ------------------------------------------------------------------------------------ training sets


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_published_training_set(
    version: str, tmp_path: Path, training_variables: dict[str, Any], mat73: Callable[..., Path]
) -> None:
    path = tmp_path / "t.mat"
    if version == "5":
        scipy.io.savemat(path, training_variables)
    else:
        mat73(path, training_variables)
    read = open_dataset(path)
    assert isinstance(read, TrainingSet)
    truth = training_variables["truth"]
    np.testing.assert_allclose(read.objects, truth[..., 0] + 1j * truth[..., 1], rtol=1e-6)
    assert read.pixel_size_um == pytest.approx(0.41452, rel=1e-4)
    assert read.geometry is not None
    xyz = np.array(read.geometry.array.positions_mm)
    direction = xyz[:, :2] / np.hypot(np.hypot(xyz[:, 0], xyz[:, 1]), read.geometry.array.height_mm)[:, None]
    np.testing.assert_allclose(direction, training_variables["na_list"][:, ::-1], atol=1e-9)
    for words in (
        "taken as (y, x)",
        "wl / (2 (na + na_illum)) = 0.41452 um",
        "every object counts as its own",
    ):
        assert words in notes_of(read)


def test_training_set_geometry_wins(tmp_path: Path, write_layout: Any, geometry: Geometry) -> None:
    read = open_dataset(write_layout("training", tmp_path), geometry)
    assert read.geometry == geometry
    assert "the wavelength is 0.63 um in the geometry and 0.514 um in the data file" in notes_of(read)
    assert "the magnification is 2 in the geometry and 4 in the data file" in notes_of(read)


def test_training_set_names_what_is_missing(tmp_path: Path, training_variables: dict[str, Any]) -> None:
    few = {name: training_variables[name] for name in ("truth", "na", "wl", "na_illum")}
    scipy.io.savemat(tmp_path / "t.mat", few)
    read = open_dataset(tmp_path / "t.mat")
    assert read.geometry is None
    assert "no geometry: the file lacks ps, mag, na_list" in notes_of(read)
    scipy.io.savemat(tmp_path / "t.mat", {"truth": training_variables["truth"], "na": 0.2})
    with pytest.raises(DataError, match="lacks wl, na_illum: the pixel of its objects is unknown"):
        open_dataset(tmp_path / "t.mat")
    scipy.io.savemat(tmp_path / "t.mat", few | {"truth": np.zeros((2, 5, 6, 2))})
    with pytest.raises(DataError, match=r"truth has the shape \(2, 5, 6, 2\), expected"):
        open_dataset(tmp_path / "t.mat")


# ------------------------------------------------------------------------------------ TIFF and folders


def test_natural_order() -> None:
    names = ["image_10.png", "image_2.png", "Image_1.png", "image_02.png", "10.png", "a.png"]
    ordered = sorted(map(Path, names), key=natural_key)
    assert [p.name for p in ordered] == [
        "10.png",
        "a.png",
        "Image_1.png",
        "image_02.png",
        "image_2.png",
        "image_10.png",
    ]


def test_folder_reads_in_natural_order(tmp_path: Path, make_geometry: Callable[..., Geometry]) -> None:
    for number in range(12):
        image = np.full((6, 6), 100 - number, dtype=np.uint8)
        Image.fromarray(image).save(tmp_path / f"image_{number}.png")
    read = open_dataset(tmp_path, make_geometry(rows=3, columns=4))
    assert isinstance(read, ImageStack)
    assert (read.images[:, 0, 0] * read.unit_counts).round().tolist() == list(range(100, 88, -1))
    assert "12 files in natural order, from image_0.png to image_11.png" in notes_of(read)


def test_folder_problems(tmp_path: Path, geometry: Geometry, write_layout: Any) -> None:
    with pytest.raises(DataError, match="holds no TIFF or PNG files"):
        open_dataset(tmp_path, geometry)
    folder = write_layout("folder png", tmp_path)
    tifffile.imwrite(folder / "dark.tif", np.zeros((8, 10), np.uint8))
    with pytest.raises(DataError, match="holds both TIFF and PNG files"):
        open_dataset(folder)
    (folder / "dark.tif").unlink()
    Image.new("L", (10, 9)).save(folder / "image_3.png")
    with pytest.raises(DataError, match=r"image_3.png is \(9, 10\) uint8, image_0.png is \(8, 10\) uint8"):
        open_dataset(folder)
    Image.new("RGB", (10, 8)).save(folder / "image_3.png")
    with pytest.raises(DataError, match="colour or palette image"):
        open_dataset(folder)


def test_png_of_sixteen_bits(tmp_path: Path, make_geometry: Callable[..., Geometry]) -> None:
    image = np.arange(100, 64100, 1000, dtype=np.uint16).reshape(8, 8)
    Image.fromarray(image).save(tmp_path / "i.png")
    read = open_dataset(tmp_path, make_geometry(rows=1, columns=1))
    np.testing.assert_allclose(read.images[0] * read.unit_counts, image, rtol=1e-6)  # type: ignore[union-attr]


def test_colour_tiff_is_refused(tmp_path: Path, geometry: Geometry) -> None:
    tifffile.imwrite(tmp_path / "s.tif", np.zeros((9, 8, 10, 3), np.uint8), photometric="rgb")
    with pytest.raises(DataError, match="expected grey"):
        open_dataset(tmp_path / "s.tif", geometry)


@pytest.mark.parametrize("name", ["s.tif", "s.ome.tif", "s.tiff", "deep.name.ome.tiff"])
def test_tiff_round_trip(name: str, tmp_path: Path, stack: ImageStack) -> None:
    path = save_stack_tiff(tmp_path / name, stack)
    assert sidecar_path(path).is_file()
    read = open_dataset(path)
    assert isinstance(read, ImageStack)
    assert read.geometry == stack.geometry
    assert read.provenance.layout == "OME-TIFF"
    np.testing.assert_allclose(read.images * read.unit_counts, stack.images * stack.unit_counts, rtol=1e-6)
    with tifffile.TiffFile(path) as tiff:
        assert len(tiff.pages) == 9


def test_tiff_needs_all_images_and_a_geometry(tmp_path: Path, stack: ImageStack) -> None:
    few = ImageStack(images=stack.images[:4], led_numbers=np.arange(4), geometry=stack.geometry)
    with pytest.raises(DataError, match="4 images but the array in the geometry has 9 LEDs"):
        save_stack_tiff(tmp_path / "s.tif", few)
    bare = ImageStack(images=stack.images, led_numbers=np.arange(9), geometry=None)
    with pytest.raises(DataError, match="has no geometry"):
        save_stack_tiff(tmp_path / "s.tif", bare)
    assert list(tmp_path.iterdir()) == []


def test_ome_pixel_size_conflict(tmp_path: Path, stack: ImageStack, make_geometry: Callable[..., Geometry]) -> None:
    path = save_stack_tiff(tmp_path / "s.ome.tif", stack)
    read = open_dataset(path, make_geometry({"magnification": 4.0}))
    assert "the pixel at the sample is 0.9225 um in the geometry and 1.845 um in the data file" in notes_of(read)
    assert "microscope.magnification: 4 in the geometry used, 2 in s.geometry.toml (not used)" in notes_of(read)


def test_geometry_beside_the_file(tmp_path: Path, write_layout: Any, geometry: Geometry) -> None:
    path = write_layout("tiff", tmp_path)
    (tmp_path / "geometry.toml").write_text(to_toml(geometry))
    assert open_dataset(path).geometry == geometry
    (tmp_path / "geometry.toml").write_text("broken = ")
    assert "geometry.toml was not used" in notes_of(open_dataset(path, geometry))


def test_negative_pixels_are_counted(tmp_path: Path, images: np.ndarray, geometry: Geometry) -> None:
    images[8, 0, :3] = -0.01
    tifffile.imwrite(tmp_path / "s.tif", images, photometric="minisblack")
    read = open_dataset(tmp_path / "s.tif", geometry)
    assert "3 pixels are below zero (legal after dark subtraction)" in notes_of(read)


# ------------------------------------------------------------------------------------ HDF5


def test_hdf5_round_trip_of_a_stack(tmp_path: Path, stack: ImageStack) -> None:
    read = open_dataset(save_hdf5(tmp_path / "s.h5", stack))
    assert isinstance(read, ImageStack)
    assert read.images.tobytes() == stack.images.tobytes()
    assert read.led_numbers.tolist() == stack.led_numbers.tolist()
    assert (read.geometry, read.unit_counts) == (stack.geometry, stack.unit_counts)
    again = open_dataset(save_hdf5(tmp_path / "t.h5", read))
    assert again.provenance.notes == read.provenance.notes


def test_hdf5_round_trip_of_a_training_set(tmp_path: Path, training: TrainingSet) -> None:
    read = open_dataset(save_hdf5(tmp_path / "t.h5", training))
    assert isinstance(read, TrainingSet)
    assert read.objects.tobytes() == training.objects.tobytes()
    assert read.sources.tolist() == [0, 0, 1]
    assert (read.pixel_size_um, read.source_names) == (0.4, ("one", "two"))
    assert read.geometry == training.geometry


def test_hdf5_keeps_part_of_an_array_and_no_geometry(tmp_path: Path, stack: ImageStack) -> None:
    few = ImageStack(images=stack.images[:4], led_numbers=np.array([8, 1, 5, 2]), geometry=None)
    read = open_dataset(save_hdf5(tmp_path / "s.h5", few))
    assert read.geometry is None
    assert read.led_numbers.tolist() == [8, 1, 5, 2]  # type: ignore[union-attr]


def test_hdf5_of_plain_stacks_is_what_older_programs_read(tmp_path: Path, stack: ImageStack) -> None:
    import h5py

    with h5py.File(save_hdf5(tmp_path / "s.h5", stack)) as file:
        assert file.attrs["format_version"] == 1 and "exposure" not in file
        assert "facts" not in json.loads(file["record_json"][()].tobytes())
    exposed = replace(stack, exposure=np.linspace(0.2, 1, 9))
    with h5py.File(save_hdf5(tmp_path / "t.h5", exposed)) as file:
        assert file.attrs["format_version"] == 2
    read = open_dataset(tmp_path / "t.h5")
    assert isinstance(read, ImageStack)
    np.testing.assert_array_equal(read.exposure, exposed.exposure)
    for wrong in (np.ones(8) / 2, np.zeros(9), np.full(9, np.nan)):
        with pytest.raises(DataError, match="exposure"):
            replace(stack, exposure=wrong)


def test_hdf5_says_its_units(tmp_path: Path, stack: ImageStack) -> None:
    import h5py

    with h5py.File(save_hdf5(tmp_path / "s.h5", stack)) as file:
        assert file.attrs["format"] == b"ptychoui dataset"
        assert file.attrs["format_version"] == 1
        assert file["images"].attrs["axes"] == b"LED, row, column"
        assert b"unit_counts" in file["images"].attrs["units"]


def test_hdf5_given_geometry_wins(tmp_path: Path, stack: ImageStack, make_geometry: Callable[..., Geometry]) -> None:
    given = make_geometry(height_mm=80.0)
    read = open_dataset(save_hdf5(tmp_path / "s.h5", stack), given)
    assert read.geometry == given
    assert "array.height_mm: 80 in the geometry used, 90 in s.h5 (not used)" in notes_of(read)
