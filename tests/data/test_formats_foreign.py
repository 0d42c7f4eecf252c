"""Layouts of other programs: images, LEDs and microscope come out as they went in, and nothing is guessed silently."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
from data import foreign_layouts as foreign

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.geometry_file import PartialGeometry, read_geometry
from ptychoui.data.formats.native import save_hdf5
from ptychoui.data.formats.open import open_dataset
from ptychoui.errors import DataError, NoGeometryError, SettingsError
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.paths import resources
from ptychoui.settings import Geometry, load_geometry, to_toml
from ptychoui.workflows.describe import as_text, describe


def opened(path: str | Path, geometry: Any = None) -> ImageStack:
    read = open_dataset(path, geometry)
    assert isinstance(read, ImageStack) and read.geometry is not None
    return read


def facts_of(read: ImageStack) -> str:
    return "\n".join(map(str, read.provenance.facts))


@pytest.fixture
def same_images(images: np.ndarray) -> np.ndarray:
    """Images that survive a layout of 16-bit counts."""
    return (np.round(images * 1000) / 1000).astype(np.float32)


@pytest.mark.parametrize("layout", foreign.LAYOUTS)
def test_images_leds_and_microscope(layout: str, tmp_path: Path, same_images: np.ndarray) -> None:
    read = opened(foreign.write_foreign(layout, tmp_path, same_images))
    counts = read.images * read.unit_counts
    scale = counts.mean() / same_images.mean()
    np.testing.assert_allclose(counts / scale, same_images, atol=2e-3 if layout == "imaged" else 1e-4)
    assert scale == pytest.approx(
        {"waller": 1e3, "leb": 1e3, "leb info": 1e3, "fpm torch": 1e3, "imaged": 4e3}.get(layout, 1), rel=1e-3
    )
    leds = led_array(read.geometry.array)
    tolerance = 1e-3 if layout == "fpm torch" else 1e-9  # its coordinates are whole numbers of 0.1 mm
    np.testing.assert_allclose(leds.illumination_na, foreign.expected_directions(layout), atol=tolerance)
    scope = read.geometry.microscope
    for name, value in foreign.MICROSCOPE.items():
        assert getattr(scope, name) == pytest.approx(value), name
    assert len(read.provenance.sha256) == 64
    assert read.led_numbers.tolist() == list(range(9))


@pytest.mark.parametrize("layout", foreign.LAYOUTS)
def test_everything_is_reported(layout: str, tmp_path: Path, same_images: np.ndarray) -> None:
    path = foreign.write_foreign(layout, tmp_path, same_images)
    text = as_text(describe(path, None))
    for words in ("images: 9 of 8 x 10 pixels - from", "LED numbers: counted from 0 - assumed", "pixel values: "):
        assert words in text
    assert "orientation of the LED array" in text and "synthetic NA" in text
    facts = {fact["name"]: fact for fact in describe(path, None)["facts"]}
    assert ("amplitude" in facts["pixel values"]["value"]) == (layout == "uconn amplitudes")
    if layout not in foreign.COMPLETION:
        assert facts["wavelength"]["value"] == pytest.approx(foreign.WAVELENGTH_UM)
        assert facts["wavelength"]["source"].startswith("`")


@pytest.mark.parametrize("layout", foreign.LAYOUTS)
def test_a_partial_geometry_wins(layout: str, tmp_path: Path, same_images: np.ndarray) -> None:
    path = foreign.write_foreign(layout, tmp_path, same_images)
    (tmp_path / "mine.toml").write_text("[microscope]\nobjective_na = 0.12\n[array.pose]\nflip_x = true\n")
    read = opened(path, read_geometry(tmp_path / "mine.toml"))
    assert read.geometry.microscope.objective_na == 0.12
    assert read.geometry.microscope.wavelength_um == pytest.approx(foreign.WAVELENGTH_UM)
    expected = foreign.expected_directions(layout)
    if layout != "waller":  # its tile shifts the array after the flip
        found = led_array(read.geometry.array).illumination_na
        np.testing.assert_allclose(found, expected * [-1, 1], atol=1e-3)
    if layout not in foreign.COMPLETION:
        assert any("objective's NA is 0.12 in the geometry" in note for note in read.provenance.notes)


@pytest.mark.parametrize("layout", foreign.LAYOUTS)
def test_a_whole_geometry_replaces_the_file(
    layout: str, tmp_path: Path, same_images: np.ndarray, geometry: Geometry
) -> None:
    read = opened(foreign.write_foreign(layout, tmp_path, same_images), geometry)
    assert read.geometry == geometry


@pytest.mark.parametrize("layout", foreign.LAYOUTS)
def test_a_wrong_number_of_leds(layout: str, tmp_path: Path, same_images: np.ndarray, make_geometry: Any) -> None:
    with pytest.raises(DataError, match="15 LEDs"):
        open_dataset(foreign.write_foreign(layout, tmp_path, same_images), make_geometry(rows=5))


def test_what_is_missing_is_asked_for_by_name(tmp_path: Path, same_images: np.ndarray) -> None:
    path = foreign.ptylab(tmp_path, same_images)
    with h5py.File(path, "r+") as file:
        del file["NA"], file["zled"]
        file["zled"] = 0.09
        del file["magnification"]
    with pytest.raises(NoGeometryError) as caught:
        open_dataset(path)
    assert caught.value.missing == ("microscope.objective_na", "microscope.magnification")
    assert "it does say wavelength 0.63 um, camera's pixel 3.69 um" in caught.value.message
    assert "[microscope] objective_na = 0.1 magnification = 4.0 and your own values" in caught.value.hint
    values = describe(str(path), None)
    assert values["missing"] == ["microscope.objective_na", "microscope.magnification"]
    text = as_text(values)
    assert (
        "missing:" in text and "  objective_na = 0.1" in text and "wavelength: 0.63 um - from `wavelength` [m]" in text
    )
    json.dumps(values, allow_nan=False)
    (tmp_path / "g.toml").write_text("[microscope]\nobjective_na = 0.1\nmagnification = 2\n")
    assert describe(str(path), str(tmp_path / "g.toml"))["derived"]["led_count"] == 9


def test_directions_need_the_wavelength_where_the_file_lists_wave_numbers(
    tmp_path: Path, same_images: np.ndarray
) -> None:
    path = foreign.uconn_amplitudes(tmp_path, same_images)
    with pytest.raises(NoGeometryError) as caught:
        open_dataset(path)
    assert caught.value.missing == tuple(
        f"microscope.{n}" for n in ("objective_na", "magnification", "camera_pixel_um", "wavelength_um")
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lambda": -0.5}, "wavelength_um: input should be greater than 0.1"),
        ({"lambda": np.nan}, "lambda is nan, expected a number"),
        ({"mag": np.array([1.0, 2.0])}, r"mag has the shape \(1, 2\), expected one real number"),
        ({"na_calib": np.full((9, 2), 0.8)}, "9 LEDs have an illumination NA of 0.995 or more"),
        ({"na_calib": np.full((9, 2), np.nan)}, "na_calib of LED 0 is NaN or infinite"),
        ({"na_calib": np.zeros((2, 9))}, r"na_calib has the shape \(2, 9\), expected \(LEDs, 2\)"),
        ({"na_calib": np.zeros((7, 2))}, r"I_low has the shape \(8, 10, 9\) but the array in the geometry has 7 LEDs"),
        ({"I_low": np.zeros((8, 10))}, r"I_low has the shape \(8, 10\), expected \(rows, columns, LEDs\)"),
        ({"na_cal": 1.4}, "not below the medium's refractive index"),
        ({"dpix_c": 1j}, "dpix_c has the shape"),
    ],
)
def test_values_that_cannot_be(tmp_path: Path, same_images: np.ndarray, change: dict[str, Any], words: str) -> None:
    scipy.io.savemat(tmp_path / "a.mat", foreign.caltech_variables(same_images) | change)
    with pytest.raises(DataError, match=words) as caught:
        open_dataset(tmp_path / "a.mat")
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------------------------- single layouts


def test_ptylab_turns_and_centres_a_lying_encoder(tmp_path: Path, same_images: np.ndarray) -> None:
    path = foreign.ptylab(tmp_path, same_images)
    with h5py.File(path, "r+") as file:
        encoder = file["encoder"][()]
        del file["encoder"]
        file["encoder"] = encoder.T
    read = opened(path)
    places = np.array(read.geometry.array.positions_mm)[:, :2]
    expected = np.column_stack([foreign.X_MM, foreign.Y_MM])
    np.testing.assert_allclose(places, expected - expected.mean(axis=0), atol=1e-9)
    assert any("turned and centred" in note for note in read.provenance.notes)


def test_exposures_of_unknown_meaning_are_told(tmp_path: Path, same_images: np.ndarray) -> None:
    variables = foreign.caltech_variables(same_images) | {"darkframe": np.zeros((8, 10)), "exposure_DF": 4.0}
    scipy.io.savemat(tmp_path / "a.mat", variables)
    assert any(
        "holds darkframe, exposure_DF, which were not used" in n for n in opened(tmp_path / "a.mat").provenance.notes
    )
    path = foreign.aidukas(tmp_path, same_images)
    with h5py.File(path, "r+") as file:
        file["cam_expo_ratio"] = 7.69
    assert any("cam_expo_ratio" in note for note in opened(f"{path}::section0").provenance.notes)


@pytest.mark.parametrize("name", ["led_order", "t_exp", "integration_time", "gain", "shutter_ms"])
def test_numbers_for_each_image_that_were_not_used_are_told(
    name: str, tmp_path: Path, same_images: np.ndarray, make_geometry: Any
) -> None:
    more = {name: np.arange(9.0), "other": np.arange(8.0), "pixel": 2.0}
    cube = np.moveaxis(same_images, 0, 2)
    scipy.io.savemat(tmp_path / "a.mat", {"imlow": cube} | more)
    scipy.io.savemat(tmp_path / "b.mat", foreign.caltech_variables(same_images) | more)
    for path, given in (("a.mat", make_geometry(rows=3, columns=3)), ("b.mat", None)):
        notes = [note for note in opened(tmp_path / path, given).provenance.notes if "for each of the 9 images" in note]
        assert len(notes) == 1 and f"the file holds {name} with one number" in notes[0]


@pytest.mark.parametrize("place", ["", "section0/"])
def test_numbers_for_each_image_in_hdf5_that_were_not_used_are_told(
    place: str, tmp_path: Path, same_images: np.ndarray
) -> None:
    for path, part in (
        (foreign.ptylab(tmp_path, same_images), ""),
        (foreign.aidukas(tmp_path, same_images), "::section0"),
    ):
        where = place if part else ""
        with h5py.File(path, "r+") as file:
            file[f"{where}led_order"], file[f"{where}camera_offset"] = np.arange(9)[::-1], np.arange(8)
        notes = "\n".join(opened(f"{path}{part}").provenance.notes)
        assert "the file holds led_order with one number for each of the 9 images, which was not used" in notes


@pytest.mark.parametrize(
    ("others", "listed"),
    [
        ({"lowSeq": (8, 10, 9)}, "imlow, lowSeq"),
        ({"raw": (8, 10, 9)}, "imlow, raw"),
        ({"raw": (9, 8, 10), "I": (4, 4, 9)}, "imlow, I, raw"),
        ({"flat": (8, 10), "I": (1, 1)}, ""),
    ],
)
def test_several_stacks_in_one_file_are_asked_about(
    others: dict[str, tuple[int, ...]], listed: str, tmp_path: Path, same_images: np.ndarray, make_geometry: Any
) -> None:
    cube = np.moveaxis(same_images, 0, 2)
    rng = np.random.default_rng(0)
    variables = {"imlow": cube} | {name: rng.random(shape) for name, shape in others.items()}
    scipy.io.savemat(tmp_path / "a.mat", variables)
    geometry = make_geometry(rows=3, columns=3)
    if listed:
        count = len(listed.split(","))
        with pytest.raises(DataError, match=rf"^a\.mat holds {count} stacks: {listed} \(") as caught:
            opened(tmp_path / "a.mat", geometry)
        assert "a.mat::imlow" in caught.value.hint
        with pytest.raises(DataError, match=rf"has no stack 'other'; it holds {listed}"):
            opened(f"{tmp_path}/a.mat::other", geometry)
        other = next(iter(others))
        read = opened(f"{tmp_path}/a.mat::{other}", geometry)
        meant = variables[other] if others[other][0] == 9 else np.moveaxis(variables[other], 2, 0)
        np.testing.assert_allclose(read.images * read.unit_counts, meant, rtol=1e-5)
    read = opened(f"{tmp_path}/a.mat{'::imlow' * bool(listed)}", geometry)
    np.testing.assert_allclose(read.images / read.images.max(), same_images / same_images.max(), rtol=1e-5)


def test_several_stacks_of_one_size_in_hdf5_are_asked_about(tmp_path: Path, same_images: np.ndarray) -> None:
    for path, tile in (
        (foreign.ptylab(tmp_path, same_images), ""),
        (foreign.aidukas(tmp_path, same_images), "section0/"),
    ):
        with h5py.File(path, "r+") as file:
            shape = file[f"{tile}ptychogram"].shape
            file[f"{tile}raw"] = np.random.default_rng(0).random(shape)
            meant = file[f"{tile}raw"][()]
        with pytest.raises(DataError, match="holds 2 stacks: ptychogram, raw") as caught:
            opened(f"{path}{'::section0' * bool(tile)}")
        part = tile.replace("/", ".")
        assert f"{path.name}::{part}ptychogram" in caught.value.hint
        read = opened(f"{path}::{part}raw")
        np.testing.assert_allclose(read.images * read.unit_counts, meant, rtol=1e-5)
        assert opened(f"{path}::{part}ptychogram").images.shape == read.images.shape


def test_directions_of_a_stack_that_was_chosen(tmp_path: Path, same_images: np.ndarray) -> None:
    variables = foreign.caltech_variables(same_images)
    other = np.random.default_rng(0).random(variables["I_low"].shape)
    scipy.io.savemat(tmp_path / "a.mat", variables | {"I_raw": other})
    with pytest.raises(DataError, match="holds 2 stacks: I_low, I_raw"):
        opened(tmp_path / "a.mat")
    read = opened(f"{tmp_path}/a.mat::I_raw")
    np.testing.assert_allclose(read.images * read.unit_counts, np.moveaxis(other, 2, 0), rtol=1e-5)
    with pytest.raises(DataError, match="has no parts"):
        tifffile.imwrite(tmp_path / "a.tif", same_images, photometric="minisblack")
        opened(f"{tmp_path}/a.tif::x")


def test_conventional_ptychography_is_refused(tmp_path: Path, same_images: np.ndarray) -> None:
    path = foreign.ptylab(tmp_path, same_images)
    with h5py.File(path, "r+") as file:
        del file["zled"]
        file["zo"] = 0.05
    with pytest.raises(DataError, match="conventional ptychography with a detector distance zo: it has no LEDs") as e:
        open_dataset(path)
    assert "zled" in e.value.hint


def test_tiles_are_listed_and_chosen(tmp_path: Path, same_images: np.ndarray) -> None:
    path = foreign.aidukas(tmp_path, same_images)
    with pytest.raises(DataError, match="holds 3 tiles: section0, section1, section10") as caught:
        open_dataset(path)
    assert caught.value.hint == "choose one by writing its name behind the file: sections.hdf5::section0"
    with pytest.raises(DataError, match="has no tile 'section7'"):
        open_dataset(f"{path}::section7")
    first, second = opened(f"{path}::section0"), opened(f"{path}::section1")
    assert first.images[0, 0, 0] * first.unit_counts == pytest.approx(1 + second.images[0, 0, 0] * second.unit_counts)
    with pytest.raises(DataError, match="has no parts"):
        open_dataset(f"{foreign.ptylab(tmp_path, same_images)}::section0")


def test_fewer_images_by_imnum(tmp_path: Path, same_images: np.ndarray) -> None:
    path = foreign.uconn_amplitudes(tmp_path, same_images)
    scipy.io.savemat(path, {k: v for k, v in scipy.io.loadmat(path).items() if k[0] != "_"} | {"imNum": 5.0})
    (tmp_path / "geometry.toml").write_text(foreign.SCOPE_TOML)
    read = opened(path)
    assert len(read.images) == 5
    np.testing.assert_allclose(led_array(read.geometry.array).illumination_na, foreign.DIRECTIONS[:5], atol=1e-9)


def test_set_up_scripts_are_parsed_not_run(tmp_path: Path, same_images: np.ndarray) -> None:
    from ptychoui.data.formats.waller_folder import assignments

    path = foreign.waller(tmp_path, same_images)
    found = assignments(path / "SystemSetup.m")
    assert found["lambda"] == [0.63] and found["ds_led"] == [4000.0] and found["nstart"] == [1017.0, 1013.0]
    assert not {"k0", "um_m", "F"} & set(found)
    (path / "SystemSetup.m").write_text(foreign.SETUP + "NA = max(1, 2);\nz_led = 80e3;\n")
    found = assignments(path / "SystemSetup.m")
    assert "NA" not in found and found["z_led"] == [80e3]
    with pytest.raises(NoGeometryError, match=r"missing: microscope\.objective_na \(pass"):
        open_dataset(path)
    assert not (tmp_path / "never_run").exists()


@pytest.mark.parametrize(
    ("lines", "values"),
    {
        "switch colour\n case 'red'\n  lambda = 0.63;\n case 'green'\n  lambda = 0.53;\nend": {"lambda": None},
        "if red\n lambda = 0.63;\nelse\n lambda = 0.53;\nend\nmag = 3;": {"lambda": None, "mag": [3.0]},
        "if red, lambda = 0.53; end": {"lambda": None},
        "if (red) lambda = 0.53; end, mag = 3": {"lambda": None, "mag": [3.0]},
        "for mag = 1:3\n disp(mag(end))\nend\nNA = 0.2;": {"mag": None, "NA": [0.2]},
        "while a\n for k = 1:2\n  x = 1;\n end\n mag = 4;\nend": {"mag": None},
        "%{\nlambda = 0.53;\n%{\nmag = 4;\n%}\nNA = 0.3;\n%}": {},
        "function y = f(x)\n if x\n  lambda = 0.4;\n end\n mag = 4;\nend\nNA = 0.2;": {"NA": [0.2]},
        "function y = f(x)\nlambda = 0.4;": {},
        "[lambda, mag] = deal(0.53, 4);": {"lambda": None, "mag": None},
        "lambda(1) = 0.53;": {"lambda": None},
        "mag += 1;": {"mag": None},
        "mag *= 2": {"mag": None},
        "disp('100% done'); mag = 4.0;": {"mag": [4.0]},
        "disp('mag = 4'); a = mag'; b = [mag']; % mag = 5": {},
        "mag = 2.5, NA = 0.2": {"mag": [2.5], "NA": [0.2]},
        "mag = ... two\n 2.5;": {"mag": [2.5]},
        "p.x = 3; if mag == 2, disp(1), end": {},
        "mag = 2.5 # of Octave\n# mag = 3": {"mag": [2.5]},
    }.items(),
)
def test_what_a_script_sets_under_a_condition_is_not_known(
    lines: str, values: dict[str, list[float] | None], tmp_path: Path
) -> None:
    from ptychoui.data.formats.waller_folder import assignments

    script = tmp_path / "SystemSetup.m"
    plain = {"lambda": [0.63], "mag": [2.0], "NA": [0.1]}
    script.write_text(f"lambda = 0.63;\nmag = 2.0;\nNA = 0.1;\n{lines}\n")
    found = assignments(script)
    assert {name: found.get(name) for name in plain} == plain | values


def test_values_of_a_script_that_are_not_known_are_said(tmp_path: Path, same_images: np.ndarray) -> None:
    path = foreign.waller(tmp_path, same_images)
    (path / "SystemSetup.m").write_text(foreign.SETUP + "if red\n lambda = 0.53;\nend\nmag = 2.5;\n")
    with pytest.raises(NoGeometryError, match=r"missing: microscope\.wavelength_um \(pass"):
        open_dataset(path)
    (path / "geometry.toml").write_text("[microscope]\nwavelength_um = 0.63\n")
    said = "\n".join(opened(path).provenance.notes)
    assert "SystemSetup.m computes lambda, or sets it under a condition" in said
    assert "SystemSetup.m assigns mag several times: the last value, 2.5, was taken" in said


def test_bayer_dark_frames_and_exposures(tmp_path: Path, same_images: np.ndarray) -> None:
    path = foreign.imaged(tmp_path, same_images)
    with pytest.raises(DataError, match="holds 2 channels: green, red"):
        open_dataset(path)
    read = opened(f"{path}::red")
    np.testing.assert_allclose(read.exposure, foreign.EXPOSURES_S / 0.04)
    assert "Bayer pattern: GRBG - from `bayer_format`; the red sites were picked" in facts_of(read)
    notes = "\n".join(read.provenance.notes)
    assert "3 dark frames of 3 exposures were subtracted" in notes and "0.25 to 1 of the longest" in notes
    again = opened(save_hdf5(tmp_path / "kept.h5", read))
    np.testing.assert_array_equal(again.exposure, read.exposure)
    assert again.provenance.facts == read.provenance.facts
    green = opened(f"{path}::green")
    # The two green sites hold 100 and 200 more than the dark level, which has no frame of its own in green.
    level = np.array([foreign.DARK[e] for e in foreign.EXPOSURES_S]) + 150
    expected = level / (foreign.EXPOSURES_S / 0.04)
    np.testing.assert_allclose(green.images[:, 3, 3] * green.unit_counts, expected, rtol=1e-5)
    (path / "captures" / "dark_0.npy").unlink()
    with pytest.raises(DataError, match=r"cannot read dark_0\.npy"):
        open_dataset(f"{path}::red")


def test_a_dark_frame_of_another_exposure_is_not_used(tmp_path: Path, same_images: np.ndarray) -> None:
    path = foreign.imaged(tmp_path, same_images)
    info = json.loads((path / "info.json").read_text())
    info["captures"] = [c for c in info["captures"] if c["filename"] != "dark_2.npy"]
    (path / "info.json").write_text(json.dumps(info))
    with pytest.raises(DataError, match=r"none of the exposure 0\.04 s in the channel red"):
        open_dataset(f"{path}::red")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"operator": "x"}, "unknown members: operator"),
        ({"bayer_format": "RGBG"}, "unknown bayer_format 'RGBG'"),
        ({"magnification": "ten"}, "magnification is not a number"),
        ({"captures": []}, "lists no captures"),
    ],
)
def test_imaged_members(tmp_path: Path, same_images: np.ndarray, change: dict[str, Any], words: str) -> None:
    path = foreign.imaged(tmp_path, same_images)
    info = json.loads((path / "info.json").read_text())
    (path / "info.json").write_text(json.dumps(info | change))
    with pytest.raises(DataError, match=words):
        open_dataset(f"{path}::red")


def test_names_of_captures_stay_in_their_folder(tmp_path: Path, same_images: np.ndarray) -> None:
    path = foreign.imaged(tmp_path, same_images)
    info = json.loads((path / "info.json").read_text())
    info["captures"][0]["filename"] = "../../secret.npy"
    (path / "info.json").write_text(json.dumps(info))
    with pytest.raises(DataError, match="capture 0: filename is not the plain name"):
        open_dataset(f"{path}::red")


def test_pickled_captures_are_refused(tmp_path: Path, same_images: np.ndarray) -> None:
    path = foreign.imaged(tmp_path, same_images)
    np.save(path / "captures" / "red_3.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"red_3\.npy holds objects, which are pickled: not read"):
        open_dataset(f"{path}::red")


def test_trailing_commas_are_told_with_their_line(tmp_path: Path, same_images: np.ndarray) -> None:
    path = foreign.fpm_torch(tmp_path, same_images)
    text = path.read_text().replace('"nused": 9', '"nused": 9,')
    path.write_text(text)
    line = text.splitlines().index('  "nused": 9,') + 1
    with pytest.raises(DataError, match=f"a comma too many in line {line}") as caught:
        open_dataset(path)
    assert "remove that comma" in caught.value.hint


def test_fpm_torch_images(tmp_path: Path, same_images: np.ndarray) -> None:
    path = foreign.fpm_torch(tmp_path, same_images)
    whole = path.read_text()
    path.write_text(whole.replace("_y_{y}.tif", "_y_{y}.exr"))
    with pytest.raises(DataError, match="is an OpenEXR file: not read") as caught:
        open_dataset(path)
    assert "16-bit grey TIFF" in caught.value.hint
    path.write_text(whole.replace('"crop_dir": "crop_1"', '"crop_dir": "../crop_1"'))
    with pytest.raises(DataError, match="is not here"):
        open_dataset(path)
    path.write_text(whole)
    sorted((tmp_path / "crop_1").glob("*.tif"))[0].rename(tmp_path / "elsewhere.tif")
    with pytest.raises(DataError, match=r"1 of 9 images are missing|is not here"):
        open_dataset(path)


def test_frames_must_be_complete(tmp_path: Path, same_images: np.ndarray) -> None:
    path = foreign.write_foreign("leb", tmp_path, same_images)
    text = tmp_path / "stack_metadata.txt"
    values = json.loads(text.read_text())
    del values["FrameKey-4-0-0"]
    text.write_text(json.dumps(values))
    with pytest.raises(DataError, match="some are missing"):
        open_dataset(path)
    del values["FrameKey-8-0-0"]["UserData"]["LEDCoordX"]
    text.write_text(json.dumps(values))
    with pytest.raises(DataError, match="has no whole number LEDCoordX"):
        open_dataset(path)


def test_dark_frames_in_a_folder(tmp_path: Path, same_images: np.ndarray, geometry: Geometry) -> None:
    for number, image in enumerate(same_images):
        tifffile.imwrite(tmp_path / f"{number}.tif", (image * 1000 + 50).round().astype(np.uint16))
    for number in (40, 60):
        tifffile.imwrite(tmp_path / f"Dark_{number}.tif", np.full((8, 10), number, np.uint16))
    read = opened(tmp_path, geometry)
    np.testing.assert_allclose(read.images * read.unit_counts, same_images * 1000, atol=1e-2)
    assert "the mean of 2 dark frames (50) was subtracted" in read.provenance.notes
    tifffile.imwrite(tmp_path / "dark_9.tif", np.full((8, 9), 4, np.uint16))
    with pytest.raises(DataError, match=r"dark_9\.tif is \(8, 9\) uint16, the first image is \(8, 10\)"):
        open_dataset(tmp_path, geometry)


def test_firmware_numbers_by_a_partial_geometry(tmp_path: Path, same_images: np.ndarray) -> None:
    path = foreign.caltech(tmp_path, same_images)
    numbers = [40, 3, 7, 100, 2, 1, 0, 9, 8]
    (tmp_path / "g.toml").write_text(f"[array]\nled_numbers = {numbers}\n")
    read = opened(path, read_geometry(tmp_path / "g.toml"))
    assert read.led_numbers.tolist() == numbers
    assert "LED numbers: 0 to 100 - from the geometry" in facts_of(read) and "counted from 0" not in facts_of(read)
    (tmp_path / "g.toml").write_text("[array]\nled_numbers = [1, 2]\n")
    with pytest.raises(DataError, match="led_numbers and positions_mm must have the same length"):
        open_dataset(path, read_geometry(tmp_path / "g.toml"))


def test_two_bayer_patterns_exclude_each_other(tmp_path: Path, same_images: np.ndarray) -> None:
    path = foreign.imaged(tmp_path, same_images)
    (tmp_path / "g.toml").write_text('[images]\nbayer = "RGGB"\ncolour = "red"\n')
    with pytest.raises(DataError, match="states its Bayer pattern"):
        open_dataset(f"{path}::red", read_geometry(tmp_path / "g.toml"))


# ---------------------------------------------------------------------------------- refusals


def _dng() -> bytes:
    """A TIFF with the tag DNGVersion, whatever it is called."""
    memory = io.BytesIO()
    tifffile.imwrite(memory, np.ones((4, 4), np.uint16), extratags=[(50706, 1, 4, (1, 4, 0, 0), True)])
    return memory.getvalue()


def test_raw_camera_files_are_refused(tmp_path: Path, geometry: Geometry) -> None:
    contents = {
        "a.dng": b"II*\0\x08\0\0\0" + bytes(40),
        "a.nef": b"MM\0*" + bytes(40),
        "a.cr2": b"II*\0\x10\0\0\0CR\x02\0" + bytes(40),
        "renamed.tif": b"II*\0\x10\0\0\0CR\x02\0" + bytes(40),
        "a.cr3": b"\0\0\0\x18ftypcrx " + bytes(40),
        "a.raf": b"FUJIFILMCCD-RAW " + bytes(40),
        "a.exr": b"\x76\x2f\x31\x01" + bytes(40),
        "dng.tif": _dng(),
        "a.jpg": b"\xff\xd8\xff\xe0" + bytes(40),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="not read") as caught:
            open_dataset(tmp_path / name, geometry)
        assert "16-bit grey TIFF with linear values" in caught.value.hint
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "1.nef").write_bytes(contents["a.nef"])
    with pytest.raises(DataError, match=r"holds no TIFF or PNG files, but \.nef files"):
        open_dataset(folder, geometry)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("entry_1/data_1/data", "a CXI file: it has no concept of LEDs"),
        ("chunks/0/data", "a ptypy file: it has no concept of LEDs"),
        ("probe_position_x_m", "a ptychodus product: it has no concept of LEDs"),
    ],
)
def test_layouts_without_leds(name: str, words: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[name] = np.zeros((3, 4, 4))
    with pytest.raises(DataError, match=words) as caught:
        open_dataset(tmp_path / "a.h5")
    assert "export its images as TIFF" in caught.value.hint


def test_pytorch_and_ptychodus_archives(tmp_path: Path) -> None:
    import zipfile

    for name, member, words in (
        ("series.pt", "series/data.pkl", "PyTorch file, which holds a pickle"),
        ("product.npz", "probe_position_x_m.npy", "ptychodus product"),
    ):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(member, b"x")
        with pytest.raises(DataError, match=words):
            open_dataset(tmp_path / name)


# ---------------------------------------------------------------------------------- tables of LEDs


def geometry_with(tmp_path: Path, table: str, *lines: str) -> Path:
    (tmp_path / "g.toml").write_text("\n".join([foreign.SCOPE_TOML, "[array]", f'positions_file = "{table}"', *lines]))
    return tmp_path / "g.toml"


def test_table_as_json(tmp_path: Path, same_images: np.ndarray) -> None:
    # z is the distance from the sample; numbers are the firmware's, not places in the list.
    table = {str(20 - n): [foreign.X_MM[n], foreign.Y_MM[n], 80.0 + n] for n in range(9)}
    (tmp_path / "leds.json").write_text(json.dumps({"led_position_list_cartesian": table}))
    found = read_geometry(geometry_with(tmp_path, "leds.json"))
    assert isinstance(found, Geometry)
    leds = led_array(found.array)
    assert leds.numbers.tolist() == list(range(12, 21))
    xyz = np.column_stack([foreign.X_MM, foreign.Y_MM, 80.0 + np.arange(9)])[::-1]
    np.testing.assert_allclose(leds.illumination_na, (xyz / np.linalg.norm(xyz, axis=1)[:, None])[:, :2], atol=1e-9)
    tifffile.imwrite(tmp_path / "s.tif", (same_images * 1000).round().astype(np.uint16), photometric="minisblack")
    assert opened(tmp_path / "s.tif", found).led_numbers.tolist() == list(range(12, 21))
    chosen = read_geometry(geometry_with(tmp_path, "leds.json", "led_numbers = [20, 12]"))
    assert isinstance(chosen, Geometry)
    np.testing.assert_allclose(led_array(chosen.array).illumination_na, leds.illumination_na[[8, 0]])
    with pytest.raises(DataError, match=r"names LEDs that leds\.json does not hold"):
        read_geometry(geometry_with(tmp_path, "leds.json", "led_numbers = [3]"))


def test_table_of_directions_and_led_list_and_csv(tmp_path: Path) -> None:
    na = {str(n): list(map(float, xy)) for n, xy in enumerate(foreign.DIRECTIONS)}
    (tmp_path / "na.json").write_text(json.dumps({"led_position_list_na": na}))
    rows = [{"x": x, "y": y, "z": 0.0, "board_index": 0} for x, y in zip(foreign.X_MM, foreign.Y_MM, strict=True)]
    (tmp_path / "list.json").write_text(json.dumps({"led_list": rows}))
    lines = [f"{n},{x},{y},0.0" for n, (x, y) in enumerate(zip(foreign.X_MM, foreign.Y_MM, strict=True))]
    (tmp_path / "table.csv").write_text("\n".join(["number,x_mm,y_mm,z_mm", *lines, ""]))
    height = f"height_mm = {foreign.HEIGHT_MM}"
    for name, needs in (("na.json", ()), ("na.json", (height,)), ("list.json", (height,)), ("table.csv", (height,))):
        found = read_geometry(geometry_with(tmp_path, name, *needs))
        assert isinstance(found, Geometry)
        np.testing.assert_allclose(led_array(found.array).illumination_na, foreign.DIRECTIONS, atol=1e-9)
        with pytest.raises(DataError, match="is a table of LED positions, not images") as caught:
            open_dataset(tmp_path / name)
        assert f'positions_file = "{name}"' in caught.value.hint
        assert "9 LEDs" in as_text(describe(str(tmp_path / name), None))
    partial = read_geometry(geometry_with(tmp_path, "list.json"))
    assert isinstance(partial, PartialGeometry)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"led_position_list_na": {"0": [0.1]}}', "LED 0 is not a list of 2 numbers"),
        ('{"led_position_list_cartesian": {"x": [0, 0, 0]}}', "'x' is not an LED number"),
        ('{"led_position_list_cartesian": {}}', "holds no LED"),
        ('{"led_list": [{"x": 0, "y": 0}]}', "LED 0 of led_list has no number 'z'"),
        ('{"led_position_list_cartesian": {"0": [0, 0, 50], "1": [0, 0, 0]}}', "is not below the sample"),
        ("number,x_mm,y_mm,z_mm\n1,2\n", "line 2 has 2 values"),
        ("number,x_mm,y_mm,z_mm\n1,2,3,4\n1,2,3,4\n", "LED 1 is listed twice"),
        ("number,x_mm,y_mm,z_mm\n1,2,nan,4\n", "NaN or infinite"),
    ],
)
def test_broken_tables(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "t").write_text(text)
    with pytest.raises(DataError, match=words):
        read_geometry(geometry_with(tmp_path, "t", "height_mm = 90"))


def test_partial_geometries_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "g.toml"
    for text, words in (
        ("[microscope]\nobjective_na = 2.0\n", "objective_na"),
        ("[microscope]\ncolour = 1\n", "unknown setting microscope.colour"),
        ("microscope = 3\n", "microscope is not a table"),
        ("[array]\nkind = 'rings'\n", "also needs array.ring_radii_mm"),
        ("[array]\npositions_file = 3\n", "positions_file is not the name of a file"),
        ('[array]\n"kind.x" = 3\nkind = "lattice"\n', "unknown setting 'array.kind.x'"),
    ):
        path.write_text(text)
        with pytest.raises(Exception, match=words) as caught:
            read_geometry(path)
        assert type(caught.value).__name__ in ("SettingsError", "GeometryError")
    path.write_text("")
    with pytest.raises(SettingsError, match=r"g.toml is empty"):
        read_geometry(path)
    path.write_text("[microscope]\n")
    assert read_geometry(path) == PartialGeometry(values={}, source="g.toml")


# ---------------------------------------------------------------------------------- measured files


def test_measured_tile_needs_no_geometry(shared_data: Path) -> None:
    path = shared_data / "aidukas" / "Image_sections_color_0.hdf5"
    read = opened(path)
    assert read.images.shape == (441, 32, 32)
    by_hand = load_geometry(resources() / "geometries" / "aidukas_usaf.toml")
    found = led_array(read.geometry.array).illumination_na
    np.testing.assert_allclose(found, led_array(by_hand.array).illumination_na, atol=1e-5)
    with h5py.File(path, "r") as file:
        positions = file["section0/positions"][:]
    window = found / 0.625 * 32 * read.geometry.microscope.pixel_size_um
    np.testing.assert_allclose(window, np.column_stack([-positions[:, 1], positions[:, 0]]), atol=2e-3)
    assert describe(str(path), None)["derived"]["cutoff_lp_per_mm"] == pytest.approx(981, abs=1)
    assert "tile: section0" in facts_of(read)


def test_measured_files_say_what_is_missing(shared_data: Path) -> None:
    values = describe(str(shared_data / "uconn" / "bloodsmear_red.mat"), None)
    assert "microscope.objective_na" in values["missing"] and "microscope.wavelength_um" not in values["missing"]
    facts = {fact["name"]: fact["value"] for fact in values["facts"]}
    assert facts["wavelength"] == pytest.approx(0.63) and facts["defocus"] == pytest.approx(-55)
    assert facts["shape in the file"] == "128 x 128 x 225"
    values = describe(str(shared_data / "elfpie" / "lowSeqData260.mat"), None)
    assert len(values["missing"]) == 7


def test_measured_led_tables(shared_data: Path, tmp_path: Path) -> None:
    tables = shared_data / "led_positions"
    name = "quasidome581_led_position_list"
    for file in (f"{name}_cartesian.json", f"{name}_na.json", "sci_round257_led_position_list_cartesian.json"):
        (tmp_path / file).write_bytes((tables / file).read_bytes())
    dome = read_geometry(geometry_with(tmp_path, f"{name}_cartesian.json"))
    directions = read_geometry(geometry_with(tmp_path, f"{name}_na.json"))
    assert isinstance(dome, Geometry) and isinstance(directions, Geometry)
    assert len(dome.array.numbers()) == 581
    difference = led_array(dome.array).illumination_na - led_array(directions.array).illumination_na
    assert np.abs(difference).max() < 2e-4  # both are rounded: positions to 0.01 mm, directions to 1e-4
    flat = read_geometry(geometry_with(tmp_path, "sci_round257_led_position_list_cartesian.json"))
    assert isinstance(flat, PartialGeometry) and flat.leds is not None and len(flat.leds) == 257


# ---------------------------------------------------------------------------------- what a user says of the images


def test_the_user_may_say_what_the_file_leaves_open(tmp_path: Path, make_geometry: Any) -> None:
    cube = np.random.default_rng(0).random((9, 9, 9)) + 0.1
    scipy.io.savemat(tmp_path / "a.mat", {"lowSeq": cube})
    whole = to_toml(make_geometry())
    exposures = [1.0, 2, 4, 1, 2, 4, 1, 2, 4]
    (tmp_path / "g.toml").write_text(
        f'{whole}\n[images]\nled_axis = "first"\nvalues = "amplitude"\ndark_level = 0.05\nexposures = {exposures}\n'
    )
    read = opened(tmp_path / "a.mat", read_geometry(tmp_path / "g.toml"))
    relative = np.array(exposures) / 4
    expected = (cube - 0.05) ** 2 / relative[:, None, None]
    np.testing.assert_allclose(read.images * read.unit_counts, expected, rtol=1e-5)
    np.testing.assert_allclose(read.exposure, relative)
    assert read.geometry == make_geometry()
    for words in (
        "axis of the LEDs: first - from [images] of g.toml",
        "pixel values: amplitude, squared here - from [images] of g.toml",
        "exposures: 9, divided out - from [images] of g.toml",
        "dark level: 0.05 - from [images] of g.toml; subtracted",
    ):
        assert words in facts_of(read)
    (tmp_path / "g.toml").write_text(f"{whole}\n[images]\nexposures = [1.0, 2.0]\n")
    with pytest.raises(DataError, match="holds 9 images, but 2 exposures are stated"):
        open_dataset(tmp_path / "a.mat", read_geometry(tmp_path / "g.toml"))


@pytest.mark.parametrize(
    ("colour", "rows", "columns"), [("red", [1], [0]), ("blue", [0], [1]), ("green", [0, 1], [0, 1])]
)
def test_bayer_pattern_of_plain_images(
    colour: str, rows: list[int], columns: list[int], tmp_path: Path, geometry: Geometry
) -> None:
    raw = np.random.default_rng(3).integers(1, 1000, (9, 13, 14)).astype(np.uint16)  # an odd row is left out
    tifffile.imwrite(tmp_path / "s.tif", raw, photometric="minisblack")
    (tmp_path / "s.geometry.toml").write_text(to_toml(geometry) + f'\n[images]\nbayer = "GBRG"\ncolour = "{colour}"\n')
    read = opened(tmp_path / "s.tif")
    sites = [raw[:, r:12:2, c:14:2].astype(float) for r, c in zip(rows, columns, strict=True)]
    np.testing.assert_allclose(read.images * read.unit_counts, sum(sites) / len(sites), rtol=1e-5)
    assert read.geometry.microscope.camera_pixel_um == 2 * geometry.microscope.camera_pixel_um
    assert f"the {colour} sites were picked" in facts_of(read) and "doubles" in facts_of(read)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('bayer = "RGGB"', "bayer and colour belong together"),
        ('led_axis = "middle"', "led_axis"),
        ("size = 3", "unknown setting images.size"),
    ],
)
def test_what_cannot_be_said_of_images(lines: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "g.toml").write_text(f"[images]\n{lines}\n")
    with pytest.raises(SettingsError, match=words):
        read_geometry(tmp_path / "g.toml")


# ---------------------------------------------------------------------------------- partial geometry elsewhere


def test_partial_geometry_over_a_stored_one(tmp_path: Path, stack: ImageStack) -> None:
    path = save_hdf5(tmp_path / "s.h5", stack)
    (tmp_path / "g.toml").write_text("[array]\nheight_mm = 85.0\n[images]\nvalues = 'amplitude'\n")
    read = opened(path, read_geometry(tmp_path / "g.toml"))
    assert stack.geometry is not None
    assert read.geometry == stack.geometry.replace(array=stack.geometry.array.replace(height_mm=85.0))
    notes = "\n".join(read.provenance.notes)
    assert "the height of the LEDs is 85 mm in the geometry and 90 mm in the data file" in notes
    assert "[images] of g.toml was not used" in notes
    bare = ImageStack(images=stack.images, led_numbers=stack.led_numbers, geometry=None)
    with pytest.raises(NoGeometryError, match=r"missing: microscope\.objective_na"):
        open_dataset(save_hdf5(tmp_path / "t.h5", bare), read_geometry(tmp_path / "g.toml"))


def test_partial_geometry_completes_a_training_set(tmp_path: Path, training_variables: dict[str, Any]) -> None:
    few = {name: value for name, value in training_variables.items() if name != "mag"}
    scipy.io.savemat(tmp_path / "t.mat", few)
    assert open_dataset(tmp_path / "t.mat").geometry is None
    (tmp_path / "t.geometry.toml").write_text("[microscope]\nmagnification = 8.0\n")
    geometry = open_dataset(tmp_path / "t.mat").geometry
    assert geometry is not None
    assert (geometry.microscope.magnification, geometry.microscope.camera_pixel_um) == (8.0, 6.5)
    found = led_array(geometry.array).illumination_na
    np.testing.assert_allclose(found, training_variables["na_list"][:, ::-1], atol=1e-9)


def test_other_leds_by_a_partial_geometry(tmp_path: Path, same_images: np.ndarray) -> None:
    """A geometry that describes the LEDs itself replaces those of the file and keeps its microscope."""
    path = foreign.caltech(tmp_path, same_images)
    (tmp_path / "g.toml").write_text('[array]\nkind = "spiral"\ncount = 9\npitch_mm = 3.0\nheight_mm = 70.0\n')
    read = opened(path, read_geometry(tmp_path / "g.toml"))
    assert read.geometry.array.kind == "spiral" and read.geometry.array.positions_mm is None
    assert read.geometry.microscope.magnification == foreign.MAGNIFICATION
    assert any("positions in the data file were not used" in note for note in read.provenance.notes)
    (tmp_path / "g.toml").write_text("[array]\nheight_mm = 70.0\n")  # another height leaves directions alone
    read = opened(path, read_geometry(tmp_path / "g.toml"))
    assert read.geometry.array.height_mm == 70.0
    np.testing.assert_allclose(led_array(read.geometry.array).illumination_na, foreign.DIRECTIONS, atol=1e-9)
