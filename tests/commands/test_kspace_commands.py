"""reconstruct and info on k-space: images that are right, a result that states everything, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
from commands.calls import Call
from data.kspace_files import fastmri, mel, meld
from mri.coils import SPACES, made
from PIL import Image

from ptychoui.data.dataset import Provenance
from ptychoui.data.files import sha256_file
from ptychoui.data.formats.kspace_native import write_kspace
from ptychoui.data.formats.open import open_dataset
from ptychoui.data.kspace import KSpaceSet
from ptychoui.data.kspace_results import load_kspace_reconstruction
from ptychoui.errors import DataError
from ptychoui.mri.classical import METHODS
from ptychoui.mri.metrics import DEFINITIONS, scores
from ptychoui.paths import sample_data


def written(path: Path, acquisition: str = "2d", **changes: Any) -> tuple[Path, KSpaceSet]:
    data = made(acquisition, noise=0.01, centre=14, **changes)
    return write_kspace(path, data), data


@pytest.mark.parametrize("method", METHODS)
def test_an_image_and_everything_that_it_rests_on(works: Call, tmp_path: Path, method: str) -> None:
    path, data = written(tmp_path / "k.h5", examples=2, names=("left", "right"))
    values = works("reconstruct", path, "--method", method, "-o", tmp_path / "r.h5", "--json")
    result = load_kspace_reconstruction(tmp_path / "r.h5")
    assert result.images.shape == (2, 32, 28) and data.truth is not None and data.support is not None
    assert values["mean_scores"]["nrmse"] < (0.5 if method == "zero_filled" else 0.1)
    by_hand = [scores(result.images[n], data.truth[n], data.support[n]) for n in range(2)]
    assert values["scores"] == by_hand and set(DEFINITIONS) < set(values["definitions"])
    assert values["names"] == ["left", "right"] and values["method"] == method
    assert values["data_sha256"] == sha256_file(path) and values["maps"] == "of the data"
    assert set(values["versions"]) == {"ptychoui", "python", "numpy", "sigpy"}
    assert (values["strength"] is None) == (method == "zero_filled")
    assert values["kind"] == "k-space reconstruction" and values["acquisition"] == "2d"
    text = works("info", tmp_path / "r.h5")
    assert "2 images of 32 x 28 (row, column)" in text and "NRMSE" in text and "coil maps of the data" in text
    assert works("info", tmp_path / "r.h5", "--json")["strength"] == values["strength"]


@pytest.mark.parametrize("acquisition", SPACES)
def test_every_acquisition_with_maps_of_its_own(works: Call, tmp_path: Path, acquisition: str) -> None:
    path, _ = written(tmp_path / "k.h5", acquisition)
    words = ("reconstruct", path, "-o", tmp_path / "r.h5", "--strength", 0.01, "--maps-kernel", 4, "--maps-crop", 0.5)
    values = works(*words, "--figures", tmp_path / "png", "--json")
    assert values["method"] == "cg_sense" and values["maps"] == "ESPIRiT" and values["strength_from"] == "given"
    assert values["espirit"]["crop"] == 0.5 and values["espirit"]["kernel_width"] == 4
    assert max(values["maps_unexplained"]) < 0.1 and values["mean_scores"]["nrmse"] < 0.2
    assert [Path(name).name for name in values["figures"]] == ["00_example_0.png", "maps.png"]
    for name in values["figures"]:
        with Image.open(name) as picture:
            assert min(picture.size) > 200


def test_a_truth_without_its_maps_is_compared_by_magnitude(works: Call, tmp_path: Path) -> None:
    data = made(noise=0.01, centre=14, maps=None)
    path = write_kspace(tmp_path / "k.h5", data)
    values = works("reconstruct", path, "-o", tmp_path / "r.h5", "--maps-kernel", 4, "--maps-crop", 0.5, "--json")
    assert "magnitudes are compared" in values["definitions"]["truth"] and values["mean_scores"]["nrmse"] < 0.1
    image, truth = load_kspace_reconstruction(tmp_path / "r.h5").images[0], data.truth
    assert truth is not None and data.support is not None
    by_hand = scores(np.abs(image).astype(np.complex64), np.abs(truth[0]).astype(np.complex64), data.support[0])
    assert values["scores"] == [by_hand]


def test_the_data_choose_the_strength_and_the_unit_comes_back(works: Call, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    plain = made(noise=0.02, every=1)
    mask = (rng.random((32, 28)) < 0.5) | (plain.sampled[0] & np.roll(np.arange(32) < 13, -6)[:, None])
    assert plain.truth is not None
    found = {}
    for unit in (1.0, 1e-5):
        data = made(
            noise=0.02, k_space=plain.k_space * mask * np.float32(unit), sampled=mask[None], truth=plain.truth * unit
        )
        path = write_kspace(tmp_path / "k.h5", data)
        found[unit] = works("reconstruct", path, "--method", "tv", "-o", tmp_path / "r.h5", "--json")
    one, other = found[1.0], found[1e-5]
    assert one["strength"] == other["strength"] and one["strength_from"].startswith("chosen by samples")
    assert len(one["strengths_tried"]) == len(METHODS["tv"].grid)
    assert np.isclose(one["mean_scores"]["nrmse"], other["mean_scores"]["nrmse"], rtol=1e-2)
    assert np.isclose(one["largest_magnitude"], 1e5 * other["largest_magnitude"], rtol=1e-2)


def test_some_examples_and_fewer_coils(works: Call, tmp_path: Path) -> None:
    path, _ = written(tmp_path / "k.h5", examples=3, coils=6, names=("a", "b", "c"), source_of=(1, 1, 2))
    words = ("reconstruct", path, "-o", tmp_path / "r.h5", "--examples", 2, 0, "--coils", 4, "--strength", 0.001)
    values = works(*words, "--json")
    assert values["names"] == ["c", "a"] and values["virtual_coils"] == 4 and values["coils"] == 6
    assert min(values["energy_kept"]) > 0.9 and values["mean_scores"]["nrmse"] < 0.15
    assert load_kspace_reconstruction(tmp_path / "r.h5").images.shape == (2, 32, 28)
    assert "6 coils combined to 4" in works("info", tmp_path / "r.h5")


def test_the_field_is_cut(works: Call, refused: Call, tmp_path: Path) -> None:
    path, _ = written(tmp_path / "k.h5")
    words = ("reconstruct", path, "-o", tmp_path / "r.h5", "--method", "zero_filled")
    whole = load_kspace_reconstruction(works(*words, "--json")["file"]).images
    part = load_kspace_reconstruction(works(*words, "--cut", "column=20", "--json")["file"]).images
    # The mask leaves the columns alone, and so does what is aliased.
    assert part.shape == (1, 32, 20) and np.allclose(part, whole[:, :, 4:24], atol=1e-5)
    assert "not sampled whole along row" in refused(*words, "--cut", "row=20", started=True)
    for wrong in ("column", "column=x", "column=2.5"):
        assert "invalid AXIS=SIZE value" in refused(*words, "--cut", wrong)


def test_results_are_no_data(works: Call, refused: Call, tmp_path: Path) -> None:
    path, _ = written(tmp_path / "k.h5")
    works("reconstruct", path, "-o", tmp_path / "r.h5", "--method", "zero_filled")
    words = refused("reconstruct", tmp_path / "r.h5", "-o", tmp_path / "s.h5", "--method", "tv")
    assert "were made of k-space already" in words
    assert "is a reconstruction of k-space" in refused("reconstruct", tmp_path / "r.h5", "-o", tmp_path / "s.h5")


def test_without_a_calibration_region_maps_of_the_data_do(works: Call, refused: Call, tmp_path: Path) -> None:
    mask = np.zeros((1, 32, 1), dtype=bool)
    mask[:, 1::2] = True
    plain = made(noise=0.01, every=1)
    path = write_kspace(tmp_path / "k.h5", made(k_space=plain.k_space * mask[:, None], sampled=mask))
    values = works("reconstruct", path, "-o", tmp_path / "r.h5", "--json")
    assert values["strength_from"] in ("chosen by samples left out of the fit", "the usual one")
    words = refused("reconstruct", path, "--estimate-maps", "-o", tmp_path / "r.h5", started=True)
    assert "has no calibration region" in words
    assert "no calibration region" in works("info", path)


def test_other_layouts(works: Call, tmp_path: Path) -> None:
    fastmri(tmp_path / "f.h5")
    values = works("info", tmp_path / "f.h5", "--json")
    assert (values["kind"], values["examples"], values["coils"], values["maps"]) == ("k-space", 2, 3, False)
    assert values["space"] == {"row": 16, "column": 11} and values["calibration"][1] == 6
    text = works("info", tmp_path / "f.h5")
    assert "fastMRI HDF5, 2 examples from 1 source of 16 x 11" in text and "assumed:" in text and "note: " in text
    meld(tmp_path / "m.h5", volume=True)
    text = works("info", tmp_path / "m.h5")
    assert "of 4 x 12 x 10 (readout, row, column), 5 coils, slab" in text
    assert "with coil maps and true images" in text
    mel(tmp_path / "d", "test")
    mel(tmp_path / "d", "train")
    assert works("info", f"{tmp_path / 'd'}::test", "--json")["examples"] == 4
    values = works(
        "reconstruct", f"{tmp_path / 'd'}::test", "--method", "zero_filled", "-o", tmp_path / "r.h5", "--json"
    )
    assert len(values["scores"]) == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--passes", 3], "--passes belongs to LED stacks"),
        (["--crop", 1, 2, 16, "--no-gain"], "--no-gain and --crop belong to LED stacks"),
        (["--no-check"], "--no-check belongs"),
        (["--pad", 0], "--pad belongs"),
        (["--without", 4], "--without belongs"),
        (["--geometry", "g.toml"], "--geometry belongs"),
        (["--method", "grappa"], "no method 'grappa', and no folder"),
        (["--method", "zero_filled", "--strength", 0.1], "zero_filled has no strength"),
        (["--strength", -1], "-1 is not a finite number"),
        (["--coils", 9], "4 coils cannot become 9"),
        (["--examples", 1], "there is no example 1"),
        (["--maps-crop", 1], "crop is 1.0"),
        (["--maps-kernel", 20], "calibration width is 24"),
        (["--device", "cuda"], "cg_sense computes on the CPU"),
    ],
)
def test_words_that_do_not_fit(refused: Call, tmp_path: Path, words: list[object], said: str) -> None:
    path, _ = written(tmp_path / "k.h5")
    assert said in refused("reconstruct", path, "-o", tmp_path / "r.h5", *words, started=True)
    assert not (tmp_path / "r.h5").exists()


def test_words_for_k_space_with_a_stack(refused: Call, tmp_path: Path) -> None:
    stack = sample_data() / "stack.ome.tif"
    words = refused("reconstruct", stack, "-o", tmp_path / "r.h5", "--method", "tv")
    assert "stack.ome.tif is not k-space" in words and "leave --method out" in words
    words = refused("reconstruct", sample_data() / "objects.h5", "-o", tmp_path / "r.h5", "--strength", 0)
    assert "leave --strength out" in words
    assert "no file or folder" in refused("reconstruct", tmp_path / "k.npy", "--method", "tv", "-o", tmp_path / "r.h5")


def test_k_space_where_a_stack_is_wanted(refused: Call, tmp_path: Path) -> None:
    path, _ = written(tmp_path / "k.h5")
    with pytest.raises(DataError, match="holds multi-channel k-space"):
        open_dataset(path)
    assert "k-space" in refused("calibrate", path, "-o", tmp_path / "g.toml")
    assert "has no LEDs" in refused("info", path, "--leds")
    assert "it would be overwritten" in refused("reconstruct", path, "-o", path)


def test_damaged_k_space(refused: Call, tmp_path: Path) -> None:
    np.save(tmp_path / "real.npy", np.ones((3, 8, 8)))
    assert "real numbers" in refused("reconstruct", tmp_path / "real.npy", "-o", tmp_path / "r.h5", started=True)
    np.save(tmp_path / "obj.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
    assert "pickled" in refused("info", tmp_path / "obj.npy")
    path, _ = written(tmp_path / "k.h5")
    with h5py.File(path, "a") as file:
        file["k_space"][0, 0, 0, 0] = np.nan
    assert "damaged" in refused("info", path)


def test_results_that_were_changed_are_seen(works: Call, refused: Call, tmp_path: Path) -> None:
    path, _ = written(tmp_path / "k.h5")
    works("reconstruct", path, "--method", "zero_filled", "-o", tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "a") as file:
        file["images"][0, 0, 0] = 3
    assert "does not match the hash" in refused("info", tmp_path / "r.h5")
    with h5py.File(tmp_path / "r.h5", "a") as file:
        file.attrs["format_version"] = 2
    assert "format version 2" in refused("info", tmp_path / "r.h5")
    with pytest.raises(DataError, match="is not a reconstruction of k-space"):
        load_kspace_reconstruction(path)
    with pytest.raises(DataError, match="no file"):
        load_kspace_reconstruction(tmp_path / "nothing.h5")


def test_a_trained_run_has_its_place(
    works: Call, refused: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, data = written(tmp_path / "k.h5")
    (tmp_path / "run").mkdir()
    words = ("reconstruct", path, "--method", tmp_path / "run", "-o", tmp_path / "r.h5")
    monkeypatch.setitem(sys.modules, "ptychoui.tasks.mri", SimpleNamespace(__path__=[]))
    seen: list[Any] = []

    def by_run(folder: Path, given: KSpaceSet) -> np.ndarray:
        seen.append((folder, given))
        return np.asarray(given.truth)

    module = SimpleNamespace(reconstruct_with_run=by_run)
    monkeypatch.setitem(sys.modules, "ptychoui.tasks.mri.reconstructing", module)
    values = works(*words, "--json")
    assert seen[0][0] == tmp_path / "run" and np.array_equal(seen[0][1].k_space, data.k_space)
    assert values["mean_scores"]["nrmse"] == 0 and values["mean_scores"]["psnr_db"] is None
    assert values["run"] == str(tmp_path / "run") and "PSNR infinite" in works("info", tmp_path / "r.h5")
    assert "--strength belongs" in refused(*words, "--strength", 0.1, started=True)
    module.reconstruct_with_run = lambda folder, given: given.truth[:, :5]
    assert "do not fit 1 example" in refused(*words, started=True)


def test_a_trained_run_without_its_module(refused: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = written(tmp_path / "k.h5")
    (tmp_path / "run").mkdir()
    monkeypatch.setattr("ptychoui.commands.kspace.RUNS", "ptychoui.tasks.mri_is_not_there")
    words = refused("reconstruct", path, "--method", tmp_path / "run", "-o", tmp_path / "r.h5", started=True)
    assert "by no trained run" in words


def test_nan_and_provenance_of_a_set_in_memory(tmp_path: Path) -> None:
    data = made(provenance=Provenance(source="memory", layout="arrays", sha256="", notes=("said",)))
    assert data.provenance.notes == ("said",)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_the_measured_slice(works: Call, tmp_path: Path, shared_data: Path, method: str) -> None:
    """Outside the head there is little, and the head is no blur: neighbours differ."""
    path = shared_data / "mri" / "cartesian_ksp.npy"
    values = works("reconstruct", path, "--method", method, "-o", tmp_path / "r.h5", "--json")
    image = np.abs(load_kspace_reconstruction(tmp_path / "r.h5").images[0])
    head = image > 0.15 * np.quantile(image, 0.99)
    assert 0.35 < head.mean() < 0.7 and head[60:170, 50:130].mean() > 0.97
    assert max(values["maps_unexplained"]) < 0.05
