"""info, presets, simulate and objects: one result on stdout, one sentence and a hint where something fails."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from commands.calls import Call, some_images
from scipy.io import savemat
from training.small import GEOMETRY

from ptychoui.data.files import sha256_file
from ptychoui.errors import DataError
from ptychoui.paths import sample_data
from ptychoui.settings import Geometry, load_geometry
from ptychoui.tasks.fpm.task import build_task
from ptychoui.training.run_folder import RunFolder

ROOT = Path(__file__).resolve().parent.parent.parent


def test_info_as_text_and_as_json(works: Call) -> None:
    stack = sample_data() / "stack.ome.tif"
    text = works("info", stack)
    assert "81 images of 96 x 96 pixels" in text and "synthetic NA" in text
    values = works("info", stack, "--json")
    assert values["kind"] == "LED stack" and values["images"] == 81 and values["sha256"] == sha256_file(stack)
    assert values["derived"]["led_count"] == 81


def test_info_of_every_led(works: Call) -> None:
    stack = sample_data() / "stack.ome.tif"
    lines = works("info", stack, "--leds").splitlines()
    assert lines[-1].split()[0] == "80" and lines[-1].split()[7] == "dark"
    values = works("info", stack, "--leds", "--json")
    assert [led["number"] for led in values["leds"]] == list(range(81)) and values["leds"][40]["na"] == 0


def test_info_of_objects_without_a_geometry_says_what_to_give(works: Call, small: Path, lattice: Path) -> None:
    objects = small.parent / "objects.h5"
    assert "--geometry" in works("info", objects)
    values = works("info", objects, "--geometry", lattice, "--json")
    assert values["objects"] == 8 and values["derived"]["led_count"] == 9


def test_negative_pixels_are_legal_and_counted(works: Call, tmp_path: Path, lattice: Path) -> None:
    images = some_images()
    images[3, 2, :5] = -0.25
    tifffile.imwrite(tmp_path / "s.tif", images, photometric="minisblack")
    values = works("info", tmp_path / "s.tif", "--geometry", lattice, "--json")
    assert values["negative_pixels"] == 5 and values["intensity_min"] < 0
    assert any("5 pixels are below zero" in note for note in values["notes"])


# presets -------------------------------------------------------------------------------------------------


def test_presets_are_listed_and_made_into_a_geometry(works: Call, tmp_path: Path) -> None:
    text = works("presets")
    assert re.search(r"^  sci_round +SCI Round, 257 LEDs$", text, re.M) and "  tian2014 " in text
    values = works("presets", "--json")
    assert {"zheng2013", "kellman2019"} <= {preset["key"] for preset in values["microscopes"]}
    assert values["arrays"][0]["array"]["height_mm"] > 0
    assert "To be measured: height" in works("presets", "--array", "sci_round")
    path = tmp_path / "g.toml"
    assert works("presets", "--microscope", "ntnu_10x", "--array", "panel_32x32_p6", "-o", path).strip() == str(path)
    found = load_geometry(path)
    assert found.microscope.objective_na == 0.28 and found.array.colour == "green"
    assert path.read_text().startswith("# NTNU pyFPM, 10x / 0.28\n")


def test_presets_that_are_not_there(refused: Call, tmp_path: Path) -> None:
    assert "no preset 'moon'" in refused("presets", "--array", "moon")
    assert "--microscope and --array" in refused("presets", "--array", "sci_round", "-o", tmp_path / "g.toml")


# simulate ------------------------------------------------------------------------------------------------


def _pinned() -> bool:
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        name, _, version = line.partition("==")
        try:
            if name in ("numpy", "scipy", "scikit-image", "h5py", "tifffile"):
                if importlib.metadata.version(name) != version:
                    return False
        except importlib.metadata.PackageNotFoundError:
            return False
    return True


def test_simulate_makes_the_committed_sample_data_again(works: Call, tmp_path: Path) -> None:
    values = works("simulate", "-o", tmp_path / "made", "--seed", 0, "--json")
    made = {Path(path).name: digest for path, digest in values["files"].items()}
    assert values["seed"] == 0 and set(made) == {
        "objects.h5",
        "stack.ome.tif",
        "heads.kspace.h5",
        "heart.kspace.h5",
        "cells.h5",
    }
    stated = dict(re.findall(r"\| (\S+) \| `([0-9a-f]{64})` \|", (sample_data() / "README.md").read_text()))
    assert {name: sha256_file(sample_data() / name) for name in made} == stated
    geometry = "stack.geometry.toml"
    assert (tmp_path / "made" / geometry).read_bytes() == (sample_data() / geometry).read_bytes()
    if not _pinned():
        pytest.skip("other versions of the packages may round otherwise")
    assert made == stated


def test_another_seed_makes_other_data(works: Call, tmp_path: Path) -> None:
    lines = works("simulate", "-o", tmp_path / "other", "--seed", 1).splitlines()
    assert len(lines) == 5
    for line in lines:
        digest, path = line.split("  ")
        assert digest == sha256_file(path) != sha256_file(sample_data() / Path(path).name)


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_simulate_where_a_file_is(place: str, refused: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file", encoding="utf-8")
    refused("simulate", "-o", tmp_path / place)


def test_simulate_with_a_negative_seed(refused: Call, tmp_path: Path) -> None:
    assert "seed" in refused("simulate", "-o", tmp_path / "made", "--seed", -1)


# objects -------------------------------------------------------------------------------------------------


def test_objects_of_images_and_a_set_are_learned_from(works: Call, small: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    (tmp_path / "images").mkdir()
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(tmp_path / "images" / name, rng.random((48, 48)).astype(np.float32))
    made = tmp_path / "made.h5"
    words = ("objects", tmp_path / "images", small.parent / "objects.h5", "-o", made, "--per-source", 3, "--seed", 4)
    values = works(*words, "--size", 26, "--json")
    assert values["objects"] == 2 * 3 + 8 and values["size_px"] == 26 and values["pixel_size_um"] == 0.25
    assert values["sources"] == ["a.tif", "b.tif", "source 0", "source 1", "source 2", "source 3"]
    assert works("info", made).splitlines()[0].endswith("14 complex objects of 26 pixels of 0.25 um from 6 sources")
    line = works("train", small, "--data", made, "--steps", 1, "-o", tmp_path / "run")
    assert line.startswith("finished after 1 steps")
    folder = RunFolder.open(tmp_path / "run", lock=False)
    assert folder.experiment().data.path == str(made)
    problem = build_task(folder.experiment())
    assert problem.split == ("2 of 6 source images are held out",)
    assert not set(problem.training.sources) & set(problem.held_out.sources)


def test_objects_that_cannot_be_made(refused: Call, tmp_path: Path) -> None:
    assert "holds no images" in refused("objects", tmp_path, "-o", tmp_path / "made.h5")
    assert "no file or folder" in refused("objects", tmp_path / "nowhere", "-o", tmp_path / "made.h5")
    assert "output" in refused("objects", "simulation")


# Files that cannot be read -------------------------------------------------------------------------------


def test_stacks_that_cannot_be_read(refused: Call, tmp_path: Path, lattice: Path) -> None:
    def info(name: str) -> str:
        message: str = refused("info", tmp_path / name, "--geometry", lattice)
        return message

    tifffile.imwrite(tmp_path / "whole.tif", some_images(), photometric="minisblack")
    content = (tmp_path / "whole.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(content[: len(content) // 2])
    assert re.search("cut short|damaged", info("cut.tif"))
    savemat(tmp_path / "whole.mat", {"imlow_HDR": some_images().transpose(1, 2, 0)})
    content = (tmp_path / "whole.mat").read_bytes()
    (tmp_path / "cut.mat").write_bytes(content[: len(content) // 2])
    assert re.search("cut short|damaged", info("cut.mat"))
    tifffile.imwrite(tmp_path / "eight.tif", some_images(8), photometric="minisblack")
    assert "holds 8 images but the array in the geometry has 9 LEDs" in info("eight.tif")
    images = some_images()
    images[4, 3, 3] = np.nan
    tifffile.imwrite(tmp_path / "nan.tif", images, photometric="minisblack")
    message = info("nan.tif")
    assert "1 pixel is NaN or infinite, the first in image 4" in message and "negative pixels are fine" in message
    (tmp_path / "empty.tif").write_bytes(b"")
    assert "is empty (0 bytes)" in info("empty.tif")
    (tmp_path / "folder").mkdir()
    assert "holds no TIFF or PNG files" in info("folder")
    (tmp_path / "text.txt").write_text("hello", encoding="utf-8")
    assert "is of an unknown kind" in info("text.txt")
    assert "there is no file or folder" in info("nope.tif")


def test_a_name_that_is_too_long(refused: Call) -> None:
    refused("info", "a" * 300)


def test_a_geometry_that_cannot_be(refused: Call, tmp_path: Path, lattice: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", some_images(), photometric="minisblack")
    text = lattice.read_text(encoding="utf-8")

    def info(before: str, after: str) -> str:
        assert before in text
        (tmp_path / "bad.toml").write_text(text.replace(before, after), encoding="utf-8")
        message: str = refused("info", tmp_path / "s.tif", "--geometry", tmp_path / "bad.toml")
        return message

    assert "is not below the medium's refractive index" in info("objective_na = 0.2", "objective_na = 1.0")
    assert "LED pitch of 0 mm" in info("pitch_mm = 6.5", "pitch_mm = 0.0")
    assert "not a valid TOML file" in info("[array]", "[array")
    assert "unknown setting" in info("[array]", "[array]\nshade = 3")


def test_info_without_a_geometry_lists_what_is_missing(works: Call, refused: Call, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", some_images(), photometric="minisblack")
    values = works("info", tmp_path / "s.tif", "--json")
    assert values["missing"][:2] == ["microscope.objective_na", "microscope.magnification"]
    text = works("info", tmp_path / "s.tif")
    assert "images: 9 of 24 x 24 pixels - from the pages" in text and "  array.pitch_mm " in text
    (tmp_path / "part.toml").write_text(
        "\n".join(line.strip() for line in text.rpartition("--geometry:\n")[2].split("\n"))
    )
    # The lines that are asked for are whole TOML: 15 x 15 LEDs stand there as an example.
    assert "holds 9 images but the array" in refused("info", tmp_path / "s.tif", "--geometry", tmp_path / "part.toml")
    (tmp_path / "part.toml").write_text("[array]\npitch_mm = 4.0\n")
    values = works("info", tmp_path / "s.tif", "--geometry", tmp_path / "part.toml", "--json")
    assert "array.pitch_mm" not in values["missing"]


def test_no_hint_names_a_place_inside_the_program(refused: Call, works: Call, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", some_images(), photometric="minisblack")
    said = refused("reconstruct", tmp_path / "s.tif", "-o", tmp_path / "r.h5")
    assert said.endswith("examples: ptychoui presets") and str(ROOT) not in said
    savemat(tmp_path / "s.mat", {"imlow_HDR": some_images().transpose(1, 2, 0)})
    said = refused("reconstruct", tmp_path / "s.mat", "-o", tmp_path / "r.h5")
    assert said.endswith("examples: --geometry uconn_bloodsmear")
    # The name works; these nine images are not of that array's 225 LEDs.
    assert "225" in refused("info", tmp_path / "s.mat", "--geometry", "uconn_bloodsmear")


def test_an_empty_word_is_no_file_name(refused: Call) -> None:
    """As in --geometry "$G" with no such variable: nothing would be taken for this folder or for no geometry."""
    for words in (("info", ""), ("info", "s.tif", "--geometry", ""), ("simulate", "-o", "")):
        assert "empty" in refused(*words)


def test_an_error_without_a_hint_gets_that_of_its_kind(refused: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_words: object) -> None:
        raise DataError("the file holds pears")

    monkeypatch.setattr("ptychoui.workflows.describe.describe", fail)
    assert refused("info", "s.tif") == f"ptychoui: the file holds pears - {DataError.usual_hint}"


def test_an_hdf5_file_with_damaged_metadata(refused: Call, small: Path, tmp_path: Path) -> None:
    content = bytearray((sample_data() / "objects.h5").read_bytes())
    for place in range(600, 4000, 97):
        content[place] ^= 0xFF
    for name in ("bad.h5", "bad.mat"):
        (tmp_path / name).write_bytes(content)
        refused("info", tmp_path / name)


def test_an_empty_geometry_is_refused(refused: Call, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", some_images(), photometric="minisblack")
    (tmp_path / "g.toml").write_text("# nothing yet\n", encoding="utf-8")
    assert "g.toml is empty" in refused("info", tmp_path / "s.tif", "--geometry", tmp_path / "g.toml")
    said = refused("objects", "simulation", "-o", tmp_path / "o.h5", "--geometry", tmp_path / "none.toml")
    assert said.count("none.toml") == 1


def test_an_array_in_metres_is_warned_of(works: Call, tmp_path: Path, lattice: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", some_images(), photometric="minisblack")
    text = lattice.read_text(encoding="utf-8").replace("pitch_mm = 6.5", "pitch_mm = 0.0065")
    text = text.replace("shift_x_mm = 0.3", "shift_x_mm = 0.0")
    lattice.write_text(text, encoding="utf-8")
    said = works("info", tmp_path / "s.tif", "--geometry", lattice)
    assert "all 9 LEDs shine from nearly the same direction" in said and "in mm" in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
@pytest.mark.parametrize("words", [["presets"], ["info", str(sample_data() / "stack.ome.tif"), "--json"]])
def test_a_result_that_has_no_space_is_a_sentence(words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "ptychoui.cli", *words]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert (
        done.stderr.startswith("ptychoui: the output cannot be read or written: No space left") and " - " in done.stderr
    )


def test_a_led_outside_the_grid(refused: Call, works: Call, tmp_path: Path, small: Path) -> None:
    """A stack whose LED numbers the array does not have, and an array above the sample."""
    from dataclasses import replace

    from ptychoui.data.dataset import ImageStack
    from ptychoui.data.formats.native import save_hdf5

    stack = ImageStack(images=some_images(), led_numbers=np.arange(1, 10), geometry=Geometry(**GEOMETRY))
    save_hdf5(tmp_path / "s.h5", stack)
    message = refused("train", small, "--data", tmp_path / "s.h5", "-o", tmp_path / "run")
    assert "LED" in message and "numbers" in message
    save_hdf5(tmp_path / "ok.h5", replace(stack, led_numbers=np.arange(9)))
    assert works("info", tmp_path / "ok.h5", "--json")["led_numbers"] == [0, 8]


@pytest.mark.parametrize(
    "array",
    [
        'kind = "table"\npositions_mm = []',
        'kind = "rings"\nring_radii_mm = [1.0]\nring_counts = [0]',
        'kind = "lattice"\nrows = 3\ncolumns = 3\npitch_mm = 4.0\ndisc = true\ncenter_row = 50.0',
    ],
    ids=["table", "rings", "disc"],
)
def test_an_array_without_leds(array: str, refused: Call, small: Path, tmp_path: Path) -> None:
    microscope = "[microscope]\nwavelength_um = 0.5\nobjective_na = 0.2\nmagnification = 10.0\ncamera_pixel_um = 5.0\n"
    (tmp_path / "g.toml").write_text(f"{microscope}[array]\nheight_mm = 40.0\n{array}\n", encoding="utf-8")
    assert "LED" in refused("info", small.parent / "objects.h5", "--geometry", tmp_path / "g.toml")


def test_sources_may_stand_after_options(
    works: Call, refused: Call, small: Path, lattice: Path, tmp_path: Path
) -> None:
    objects, out = small.parent / "objects.h5", tmp_path / "o.h5"
    plain = works("objects", objects, objects, "-o", out, "--size", 16, "--json")
    for words in (
        ("--size", 16, objects, "-o", out, objects),
        (objects, "--geometry", lattice, objects, "--size", 16, "-o", out),
        ("-o", out, "--size", 16, "--", objects, objects),
    ):
        assert works("objects", *words, "--json")["objects"] == plain["objects"]
    assert "SOURCE" in refused("objects", "-o", out)
    assert refused("objects", objects, "-o", out, "--nope").endswith("--nope - see ptychoui objects --help")
    assert refused("info", "a", "b") == "ptychoui: unrecognized arguments: b - see ptychoui info --help"
    assert refused("--nope").endswith("see ptychoui --help")


def test_one_is_no_plural(works: Call, small: Path, tmp_path: Path) -> None:
    from ptychoui.words import counted

    assert [counted(n, "image") for n in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
    assert counted(1, "pass", "passes") == "1 pass" and counted(2, "pass", "passes") == "2 passes"
    said = works("objects", sample_data() / "stack.ome.tif", "-o", tmp_path / "o.h5", "--size", 16, "--per-source", 1)
    assert said.endswith("from 1 source\n")
    assert "from 1 source\n" in works("info", tmp_path / "o.h5")
