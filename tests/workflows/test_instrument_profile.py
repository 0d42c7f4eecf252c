"""A microscope's profile from dark frames, a blank field and a sample, and what uses it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from ptychoui.bench.stack.calibration import ARRAYS, Scene, make_scene
from ptychoui.data.dataset import ImageStack, Provenance
from ptychoui.data.formats.geometry_file import PartialGeometry, read_geometry
from ptychoui.data.formats.open import open_dataset
from ptychoui.errors import DataError
from ptychoui.optics.calibration.refine import Calibration, Step, calibrate
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.pose import Variant, laid_out
from ptychoui.settings import Images, to_toml
from ptychoui.workflows import instrument_profile as profile_module
from ptychoui.workflows.instrument_profile import Profile, blank_gain, check_blank, make_profile, phase_sign, structure
from ptychoui.workflows.profile_files import image_overrides, open_for_profile, read_dark_level


@pytest.fixture(scope="module")
def scene() -> Scene:
    return make_scene(ARRAYS["rings"], 7, tile_px=96)


@pytest.fixture(scope="module")
def calibrated(scene: Scene) -> list[Step | Calibration]:
    return list(calibrate(scene.believed, scene.images, rounds=(6,), final_passes=8))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, calibrated: list[Step | Calibration]) -> None:
    """One short calibration for all: it has tests of its own."""
    monkeypatch.setattr("ptychoui.workflows.calibrate_stack.calibrate", lambda *_words, **_settings: iter(calibrated))


def stack(scene: Scene, images: np.ndarray | None = None) -> ImageStack:
    array = scene.believed.array
    images = scene.images if images is None else images
    return ImageStack(images=images, led_numbers=np.array(array.numbers()), geometry=scene.believed)


def blank_images(scene: Scene) -> np.ndarray:
    bright = led_array(scene.geometry.array).bright_field(scene.geometry.microscope.objective_na)
    level = np.where(bright, scene.gain, 1e-4)
    return np.tile(level[:, None, None], (1, *scene.images.shape[1:])).astype(np.float32)


def test_a_blank_field_gives_the_brightness_of_the_bright_field(scene: Scene) -> None:
    gain = blank_gain(stack(scene, blank_images(scene)), scene.geometry)
    known = np.isfinite(gain)
    assert 8 <= known.sum() < len(gain)
    relative = gain[known] / scene.gain[known]
    assert np.abs(relative / relative[0] - 1).max() < 1e-5


def test_a_sample_is_not_taken_for_a_blank_field(scene: Scene) -> None:
    with pytest.raises(DataError, match="4 images"):
        blank_gain(ImageStack(images=scene.images[:4], led_numbers=np.arange(4), geometry=None), scene.geometry)
    with pytest.raises(DataError, match="they show a sample"):
        blank_gain(stack(scene), scene.geometry)


def test_structure_is_neither_shading_nor_noise() -> None:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    shaded = 1 - 0.2 * (x - 0.3) ** 2 - 0.1 * y * x
    noisy = rng.poisson(2000 * shaded).astype(np.float32)
    assert noisy.std() / noisy.mean() > 0.05
    assert structure(noisy) < 0.01
    # A weak phase object under oblique light: a tenth of what a blood smear shows.
    blurred = ndimage.gaussian_filter(rng.standard_normal((64, 64)), 2.0)
    sample = shaded * (1 + 0.05 * blurred / blurred.std())
    assert structure(rng.poisson(2000 * sample).astype(np.float32)) == pytest.approx(0.05, rel=0.15)


def test_a_blank_field_is_judged_where_the_sample_is(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ptychoui.workflows.calibrate_stack.LARGEST_PX", 48)
    beside, inside = blank_images(scene), blank_images(scene)
    beside[:, :12] *= 0.5  # the edge of the field, in shade
    inside[:, 40:52] *= 0.5
    check_blank(stack(scene, beside), stack(scene))
    with pytest.raises(DataError, match="they show a sample"):
        check_blank(stack(scene, inside), stack(scene))


def test_a_blank_field_of_another_size_is_refused(scene: Scene) -> None:
    with pytest.raises(DataError, match="the blank images have 48 x 48 pixels, the sample's 96 x 96"):
        next(iter(make_profile(stack(scene), stack(scene, blank_images(scene)[:, :48, :48]))))


def test_dead_leds_and_dark_fields_are_no_blank_field(scene: Scene) -> None:
    images = blank_images(scene)
    bright = np.flatnonzero(np.isfinite(blank_gain(stack(scene, images), scene.geometry)))
    images = images.copy()
    images[bright[2]] = 0
    known = np.isfinite(blank_gain(stack(scene, images), scene.geometry))
    assert not known[bright[2]] and known.sum() == len(bright) - 1
    with pytest.raises(DataError, match="are dark"):
        blank_gain(stack(scene, np.zeros_like(images)), scene.geometry)
    same = Provenance(source="s.tif", layout="", sha256="a" * 64)
    with pytest.raises(DataError, match="the sample's own file"):
        next(iter(make_profile(replace(stack(scene), provenance=same), replace(stack(scene), provenance=same))))


def test_brightness_is_written_in_the_order_of_the_images(short: None, scene: Scene) -> None:
    *_steps, profile = make_profile(stack(scene), stack(scene, blank_images(scene)))
    turn = np.random.default_rng(0).permutation(len(scene.images))

    def shuffled(found: ImageStack) -> ImageStack:
        return replace(found, images=found.images[turn], led_numbers=found.led_numbers[turn])

    *_steps, other = make_profile(shuffled(stack(scene)), stack(scene, blank_images(scene)))
    *_steps, third = make_profile(stack(scene), shuffled(stack(scene, blank_images(scene))))
    assert isinstance(profile, Profile) and isinstance(other, Profile) and isinstance(third, Profile)
    assert np.array_equal(np.array(profile.images.gains)[turn], other.images.gains)
    assert np.array_equal(np.array(profile.images.stray)[turn], other.images.stray)
    assert profile.images.gains == third.images.gains


def test_an_earlier_profile_gives_dark_level_and_exposures_but_no_brightness(scene: Scene, tmp_path: Path) -> None:
    count = len(scene.images)
    said = Images(dark_level=50.0, exposures=(2.0,) * count, gains=(3.0,) * count, stray=(0.1,) * count)
    old = Profile(geometry=scene.believed, images=said, made=date(2026, 1, 2), sources={}, notes=())
    tifffile.imwrite(tmp_path / "s.tif", 1000 * scene.images + 50, photometric="minisblack")
    name, geometry = str(tmp_path / "s.tif"), str(tmp_path / "old.toml")
    Path(geometry).write_text(old.toml())
    kept = image_overrides(geometry, None)
    assert kept == Images(dark_level=50.0, exposures=(2.0,) * count)
    assert image_overrides(geometry, 40.0).dark_level == 40.0 and image_overrides(None, None) == Images()
    found = open_for_profile(name, geometry, kept)
    assert np.abs(found.images * found.unit_counts - 1000 * scene.images).max() < 0.05


def test_a_blank_field_has_the_geometry_of_the_sample(scene: Scene, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "b.tif", 1000 * blank_images(scene), photometric="minisblack")
    name = str(tmp_path / "b.tif")
    with pytest.raises(DataError, match="missing"):
        open_for_profile(name, None, Images())
    assert open_for_profile(name, None, Images(), scene.believed).geometry == scene.believed
    assert open_for_profile(name, None, Images(dark_level=3.0), scene.believed).geometry == scene.believed


def test_the_profile_corrects_the_images_that_are_read_with_it(
    short: None, scene: Scene, tmp_path: Path, calibrated: list[Step | Calibration]
) -> None:
    *_steps, profile = make_profile(
        stack(scene),
        stack(scene, blank_images(scene)),
        Images(dark_level=12.0),
        sources={"sample": "0" * 64},
        made=date(2026, 1, 2),
    )
    assert isinstance(profile, Profile)
    bright = led_array(scene.geometry.array).radius_na < 0.08
    found = np.array(profile.images.gains)[bright] / scene.gain[bright]
    assert np.abs(found / np.median(found) - 1).max() < 1e-4
    # Stray light of bright images is that of the dark ones: it cannot be told from direct light.
    assert max(profile.images.stray) < 0.01 and np.ptp(np.array(profile.images.stray)[bright]) == 0
    file = tmp_path / "profile.toml"
    file.write_text(profile.toml())
    assert "made = 2026-01-02" in file.read_text()
    given = read_geometry(file)
    assert isinstance(given, PartialGeometry)
    counts = (1000 * scene.images + 12).astype(np.float32)
    tifffile.imwrite(tmp_path / "new.tif", counts, photometric="minisblack")
    corrected = open_dataset(tmp_path / "new.tif", given)
    assert isinstance(corrected, ImageStack) and corrected.geometry == profile.geometry
    gains, stray = (np.array(values)[:, None, None] for values in (profile.images.gains, profile.images.stray))
    expected = scene.images / gains
    unit = corrected.unit_counts / 1000
    expected = expected / unit - stray / gains
    # The stray light is that of the fit, whatever the unit of the corrected images.
    result = calibrated[-1]
    assert isinstance(result, Calibration) and abs(unit - 1) > 0.02
    dark = led_array(scene.geometry.array).radius_na > 0.12
    assert stray[dark, 0, 0] * unit == pytest.approx(result.reconstruction.background[dark], rel=1e-4)
    assert np.abs(corrected.images - expected).max() < 1e-4
    assert any(fact.name == "brightness of LEDs" for fact in corrected.provenance.facts)


def test_a_profile_of_another_array_is_refused(scene: Scene, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", scene.images, photometric="minisblack")
    geometry = to_toml(scene.believed) + "\n[images]\ngains = [1.0, 1.0]\n"
    (tmp_path / "g.toml").write_text(geometry)
    with pytest.raises(DataError, match="189 images, the profile 2 brightnesses"):
        open_dataset(tmp_path / "s.tif", read_geometry(tmp_path / "g.toml"))


def test_dark_frames_give_one_level_and_light_is_refused(tmp_path: Path) -> None:
    assert read_dark_level("7.5", {}) == 7.5
    rng = np.random.default_rng(0)
    for number in range(3):
        tifffile.imwrite(tmp_path / f"d{number}.tif", rng.normal(100, 2, (32, 32)).astype(np.float32))
    sources: dict[str, str] = {}
    assert read_dark_level(str(tmp_path), sources) == pytest.approx(100, abs=0.3)
    assert len(sources["dark"]) == 64
    lit = np.zeros((32, 32), np.float32)
    lit[:16] = 500
    tifffile.imwrite(tmp_path / "lit.tif", lit)
    with pytest.raises(DataError, match="not dark"):
        read_dark_level(str(tmp_path / "lit.tif"), {})
    with pytest.raises(DataError, match="no file or folder"):
        read_dark_level(str(tmp_path / "absent"), {})


def test_the_dark_level_is_subtracted_before_anything_else(scene: Scene, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", 1000 * scene.images + 50, photometric="minisblack")
    (tmp_path / "g.toml").write_text(to_toml(scene.believed))
    name, geometry = str(tmp_path / "s.tif"), str(tmp_path / "g.toml")
    plain = open_for_profile(name, geometry, image_overrides(geometry, None))
    taken = open_for_profile(name, geometry, image_overrides(geometry, 50.0))
    assert plain.unit_counts - taken.unit_counts == pytest.approx(50, abs=0.1)


def test_the_sign_of_the_phase_is_that_of_features_on_a_flat_background() -> None:
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    beads = sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / 0.01) for a, b in ((0.2, 0.1), (-0.3, -0.2), (0.1, -0.4)))
    assert phase_sign(np.exp(0.8j * beads).astype(np.complex64)) > 1
    assert phase_sign(np.exp(-0.8j * beads).astype(np.complex64)) < -1


def test_a_wrong_handedness_turns_the_array_by_half_a_turn(
    short: None, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    signs = iter((-1.0, 1.0))
    monkeypatch.setattr(profile_module, "phase_sign", lambda _found: next(signs))
    *_steps, profile = make_profile(stack(scene), sign=1)
    assert isinstance(profile, Profile) and any("half a turn" in note for note in profile.notes)
    turned_waves = profile.geometry.microscope.zernike_waves
    signs = iter((1.0,))
    *_steps, same = make_profile(stack(scene), sign=1)
    assert isinstance(same, Profile)
    turned = laid_out(same.geometry.array, Variant(True, True, False))
    assert np.abs(led_array(turned).illumination_na - led_array(profile.geometry.array).illumination_na).max() < 1e-9
    # Even aberrations change their sign with the sample's, odd ones do not.
    for noll, waves in same.geometry.microscope.zernike_waves.items():
        assert turned_waves[noll] == pytest.approx(waves if noll in (7, 8, 9, 10) else -waves, abs=0.01)
    assert max(abs(waves) for waves in turned_waves.values()) > 0.02


@pytest.mark.parametrize(
    ("skews", "note"), [((0.01,), "does not tell its sign"), ((-1.0, -1.0), "neither this layout")]
)
def test_a_calibration_outlives_a_sample_without_a_sign(
    skews: tuple[float, ...], note: str, short: None, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    signs = iter(skews)
    monkeypatch.setattr(profile_module, "phase_sign", lambda _found: next(signs))
    *_steps, profile = make_profile(stack(scene), sign=1)
    assert isinstance(profile, Profile) and any(note in text and "WARNING" in text for text in profile.notes)
    *_steps, plain = make_profile(stack(scene))
    assert isinstance(plain, Profile) and profile.geometry == plain.geometry
