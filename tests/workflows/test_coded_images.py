"""Images of several LEDs each: an object of twelve instead of forty-nine images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import tqdm
from optics import oracle, spherical

from ptychoui import cli
from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.geometry_file import read_geometry
from ptychoui.data.formats.native import save_hdf5
from ptychoui.data.results import load_reconstruction
from ptychoui.design.patterns import PatternSet
from ptychoui.errors import DataError, SettingsError
from ptychoui.export.formats import export_patterns
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.microscope import sampling
from ptychoui.optics.reconstruction.accelerated import all_at_once
from ptychoui.settings import Array, Geometry, Microscope, Reconstruct
from ptychoui.workflows.coded_stack import CodedReconstruction, open_coded_images

# Far away, so that the light of every LED is plane, as the simple model has it.
GEOMETRY = Geometry(
    microscope=Microscope(wavelength_um=0.5, objective_na=0.2, magnification=10.0, camera_pixel_um=5.0, defocus_um=2.0),
    array=Array(kind="lattice", rows=7, columns=7, pitch_mm=114.0, height_mm=1900.0, falloff="cos4"),
)
LEDS = led_array(GEOMETRY.array)
BRIGHT = np.flatnonzero(LEDS.bright_field(0.2))
DARK = np.flatnonzero(~LEDS.bright_field(0.2))


@pytest.fixture(scope="module")
def patterns() -> PatternSet:
    """Four random thirds of the bright field, and the dark field in eight groups that are exposed longer."""
    rng = np.random.default_rng(0)
    levels = np.zeros((12, 49))
    for row in range(4):
        levels[row, rng.choice(BRIGHT, len(BRIGHT) // 3, replace=False)] = rng.uniform(0.5, 1, len(BRIGHT) // 3)
    for place, led in enumerate(rng.permutation(DARK)):
        levels[4 + place % 8, led] = rng.uniform(0.5, 1)
    order = rng.permutation(49)  # patterns need not list LEDs as the array does
    return PatternSet(
        levels=levels[:, order],
        exposures=np.where(np.arange(12) < 4, 0.5, 4.0),
        led_numbers=LEDS.numbers[order],
        positions_mm=LEDS.positions_mm[order],
        illumination_na=LEDS.illumination_na[order],
        row_names=tuple(f"row {row}" for row in range(12)),
        geometry=GEOMETRY,
    )


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    grids = sampling(GEOMETRY.microscope, LEDS, 28, 0)
    return spherical.smooth_field((grids.object_px,) * 2, grids.object_pixel_um, 0.6)


@pytest.fixture(scope="module")
def images(patterns: PatternSet, truth: np.ndarray) -> np.ndarray:
    grids = sampling(GEOMETRY.microscope, LEDS, 28, 0)
    single = oracle.single_led_images(truth, GEOMETRY.microscope, LEDS.illumination_na, grids)
    light = (1 - LEDS.radius_na**2) ** 2  # the array's falloff
    of = {int(number): light[place] * single[place] for place, number in enumerate(LEDS.numbers)}
    rows = [
        exposure * sum(level * of[int(number)] for level, number in zip(row, patterns.led_numbers, strict=True))
        for row, exposure in zip(patterns.levels, patterns.exposures, strict=True)
    ]
    return np.array(rows, np.float32)


def error(found: np.ndarray, truth: np.ndarray) -> float:
    """Complex error after the best factor; 1 is an empty picture."""
    factor = np.vdot(found, truth) / np.vdot(found, found)
    return float(np.linalg.norm(factor * found - truth) / np.linalg.norm(truth - truth.mean()))


@pytest.mark.parametrize("smoothness", [None, 0.0])
def test_twelve_coded_images_give_the_object(
    images: np.ndarray, patterns: PatternSet, truth: np.ndarray, smoothness: float | None
) -> None:
    stack = ImageStack(images=7.0 * images, led_numbers=np.arange(12), geometry=GEOMETRY)  # in any unit
    settings = Reconstruct(passes=150, pad_px=0, smoothness=smoothness)
    work = CodedReconstruction(stack, patterns.levels, patterns.exposures, patterns.led_numbers, settings)
    for _ in work.run():
        pass
    result = work.stored()
    assert error(result.object, truth) < 0.1 and result.amplitude_residual < 1e-5
    assert result.residual.shape == (1, 12) and result.weights.shape == (12, 49)  # type: ignore[union-attr]
    # A fit with a prior ends where rounding lets nothing become better.
    assert result.passes == 150 if smoothness == 0 else 100 < result.passes <= 150
    assert result.history[0, -1] < 0.01 * result.history[0, 0]
    # The control that must fail: the light of other LEDs.
    wrong = CodedReconstruction(stack, patterns.levels, patterns.exposures, patterns.led_numbers[::-1], settings)
    for _ in wrong.run():
        pass
    assert wrong.stored().amplitude_residual > 100 * result.amplitude_residual


def test_one_led_per_image_is_a_special_case(truth: np.ndarray) -> None:
    grids = sampling(GEOMETRY.microscope, LEDS, 28, 0)
    single = oracle.single_led_images(truth, GEOMETRY.microscope, LEDS.illumination_na, grids).astype(np.float32)
    plain = all_at_once(GEOMETRY.microscope, LEDS, grids, single, 40)
    coded = all_at_once(GEOMETRY.microscope, LEDS, grids, single, 40, weights=np.eye(49))
    assert error(coded.object, plain.object) < 0.02
    assert max(coded.amplitude_residual, plain.amplitude_residual) < 1e-6


def test_exposures_that_a_reader_divided_out_count_once(images: np.ndarray, patterns: PatternSet) -> None:
    times = patterns.exposures / patterns.exposures.max()
    known = ImageStack(
        images=(images / times[:, None, None]).astype(np.float32),
        led_numbers=np.arange(12),
        geometry=GEOMETRY,
        exposure=times,
    )
    raw = ImageStack(images=images, led_numbers=np.arange(12), geometry=GEOMETRY)
    weights = [
        CodedReconstruction(s, patterns.levels, patterns.exposures, patterns.led_numbers, Reconstruct(pad_px=0)).weights
        for s in (raw, known)
    ]
    assert np.allclose(weights[1], weights[0] / times[:, None])


def test_the_command_takes_exported_patterns(
    images: np.ndarray,
    patterns: PatternSet,
    truth: np.ndarray,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)
    export_patterns(patterns, "json", tmp_path / "patterns.json")
    path = save_hdf5(tmp_path / "images.h5", ImageStack(images=images, led_numbers=np.arange(12), geometry=None))
    words = ["reconstruct", str(path), "--patterns", str(tmp_path / "patterns.json"), "-o", str(tmp_path / "out.h5")]
    assert cli.main([*words, "--passes", "100", "--pad", "0", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["images"] == 12 and values["leds"] == 49 and values["passes"] == 100
    assert values["amplitude_residual"] < 1e-4
    result = load_reconstruction(tmp_path / "out.h5")
    assert result.geometry == GEOMETRY and error(result.object, truth) < 0.12
    for extra, sentence in (
        (["--full-field"], "need one image per LED"),
        (["--crop", "20", "20", "20"], "leaves the image"),
    ):
        assert cli.main([*words, *extra]) == 2
        assert sentence in capsys.readouterr().err
    assert cli.main([*words, "--patterns", str(tmp_path / "none.json")]) == 2
    assert "there is no file" in capsys.readouterr().err


def test_what_does_not_fit_is_refused(images: np.ndarray, patterns: PatternSet, tmp_path: Path) -> None:
    stack = ImageStack(images=images, led_numbers=np.arange(12), geometry=GEOMETRY)
    given = (patterns.levels, patterns.exposures, patterns.led_numbers)
    settings = Reconstruct(pad_px=0)
    with pytest.raises(DataError, match=r"light LED \d+, which the array has not"):
        CodedReconstruction(stack, *given[:2], patterns.led_numbers + 90, settings)
    dark = patterns.levels * np.isin(patterns.led_numbers, LEDS.numbers[DARK])
    with pytest.raises(DataError, match="no pattern lights an LED of the bright field"):
        CodedReconstruction(stack, dark, *given[1:], settings)
    with pytest.raises(SettingsError, match="do not hold all LEDs"):
        coarse = GEOMETRY.replace(microscope=GEOMETRY.microscope.replace(camera_pixel_um=8.0))
        CodedReconstruction(replace(stack, geometry=coarse), *given, settings.replace(upsampling=1))
    path = save_hdf5(tmp_path / "few.h5", replace(stack, images=images[:5], led_numbers=np.arange(5), geometry=None))
    with pytest.raises(DataError, match="holds 5 images but there are 12 patterns"):
        open_coded_images(str(path), GEOMETRY, 12)


MICROSCOPE = "[microscope]\nwavelength_um = 0.5\nobjective_na = 0.2\nmagnification = 10\ncamera_pixel_um = 5\n"


@pytest.mark.parametrize(
    ("lines", "meant", "told"),
    [
        ('[array]\nheight_mm = 1900\npositions_file = "leds.csv"', "table", ""),
        ('[array]\npositions_file = "leds.csv"', "table", ""),  # the rest is the patterns'
        ("[array.pose]\nshift_x_mm = 3.0", "shift", ""),
        ("[images]\ndark_level = 100", "same", ""),
        ("[images]\nbayer = 'RGGB'\ncolour = 'red'", "pixel", ""),
        ("uconn_bloodsmear", "same", "the preset uconn_bloodsmear.toml was not used"),
    ],
)
def test_every_geometry_that_data_take_is_taken_with_patterns(
    lines: str, meant: str, told: str, patterns: PatternSet, tmp_path: Path
) -> None:
    places = LEDS.positions_mm[::-1] + np.array([1.0, 0.0, 0.0])
    rows = [f"{n},{x},{y}\n" for n, (x, y, _) in zip(LEDS.numbers[::-1], places, strict=True)]
    (tmp_path / "leds.csv").write_text("number,x_mm,y_mm\n" + "".join(rows))
    (tmp_path / "g.toml").write_text(lines)
    raw = np.random.default_rng(1).integers(200, 4000, (12, 40, 48)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "images.tif", raw, photometric="minisblack")
    given = read_geometry(lines if lines == "uconn_bloodsmear" else tmp_path / "g.toml", for_data=True)
    stack = open_coded_images(str(tmp_path / "images.tif"), patterns.geometry, 12, given)
    assert stack.geometry is not None and stack.led_numbers.tolist() == list(range(12))
    scope, array = stack.geometry.microscope, stack.geometry.array
    leds = led_array(array.replace(falloff="none"))
    order = np.argsort(leds.numbers)
    moved = {"table": 1.0, "shift": 3.0}.get(meant, 0.0)
    assert np.allclose(leds.positions_mm[order], LEDS.positions_mm + np.array([moved, 0.0, 0.0]))
    assert array.height_mm == 1900 and scope.camera_pixel_um == (10.0 if meant == "pixel" else 5.0)
    dark = 100.0 if "dark_level" in lines else 0.0
    expected = raw[:, ::2, ::2] if meant == "pixel" else raw
    assert np.allclose(stack.images * stack.unit_counts, expected - dark, rtol=1e-5)
    assert told in "\n".join(stack.provenance.notes)


def test_the_command_takes_a_table_of_places(
    images: np.ndarray, patterns: PatternSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)
    export_patterns(patterns, "json", tmp_path / "patterns.json")
    rows = [f"{n},{x},{y}\n" for n, (x, y, _) in zip(LEDS.numbers, LEDS.positions_mm, strict=True)]
    (tmp_path / "leds.csv").write_text("number,x_mm,y_mm\n" + "".join(rows))
    (tmp_path / "g.toml").write_text(
        f'{MICROSCOPE}defocus_um = 2\n[array]\nheight_mm = 1900\nfalloff = "cos4"\npositions_file = "leds.csv"\n'
    )
    path = save_hdf5(tmp_path / "images.h5", ImageStack(images=images, led_numbers=np.arange(12), geometry=None))
    words = ["reconstruct", str(path), "--patterns", str(tmp_path / "patterns.json"), "-o", str(tmp_path / "out.h5")]
    assert cli.main([*words, "--geometry", str(tmp_path / "g.toml"), "--passes", "100", "--pad", "0"]) == 0
    result = load_reconstruction(tmp_path / "out.h5")
    assert result.geometry.array.kind == "table" and result.amplitude_residual < 1e-4
