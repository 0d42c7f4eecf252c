"""Simulated k-space against transforms in closed form, plain SENSE by loops, and maps that ESPIRiT estimates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import j1

from ptychoui.data.kspace import KSpaceSet
from ptychoui.errors import DataError, SettingsError
from ptychoui.mri.grids import plane_grid, volume_grid
from ptychoui.mri.maps import estimate_maps, phase_reference, truth_under
from ptychoui.mri.phantoms import Phantom
from ptychoui.mri.sampling import with_sampling
from ptychoui.mri.simulate import simulate
from ptychoui.mri.truth import coil_combined, measured_k_space


def fresh(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def small(seed: int = 0, **changes: object) -> KSpaceSet:
    values: dict[str, object] = {
        "acquisition": "2d",
        "family": "brain",
        "count": 2,
        "space": (40, 36),
        "coils": 5,
        "generator": fresh(seed),
        "snr_db": 25.0,
    }
    values |= changes
    if "noise_std" in changes:
        values["snr_db"] = None
    return simulate(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("space", [(24, 20), (25, 21)])
def test_a_rectangle_has_the_k_space_of_its_closed_form(space: tuple[int, int]) -> None:
    fine = tuple(4 * size for size in space)
    edges = ((13, 51), (22, 60))
    image = np.zeros(fine, np.complex64)
    image[slice(*edges[0]), slice(*edges[1])] = 1
    expected = []
    for size, many, (first, last) in zip(space, fine, edges, strict=True):
        k = np.fft.fftfreq(size) * size  # a geometric series, summed
        step = np.exp(-2j * np.pi * k / many)
        with np.errstate(invalid="ignore"):
            series = np.where(k == 0, last - first, (step**first - step**last) / (1 - step))
        expected.append(series / many * np.sqrt(size))
    found = measured_k_space(image, space, 2)
    assert np.allclose(found, np.outer(*expected), atol=1e-5 * np.abs(found).max())


def test_an_ellipse_has_the_k_space_of_its_closed_form() -> None:
    space, factor = (32, 30), 12
    rows, columns = (np.arange(factor * size) / factor for size in space)  # in pixels of the matrix
    long, short, centre = 9.3, 6.1, (14.2, 16.9)
    image = (((rows[:, None] - centre[0]) / long) ** 2 + ((columns - centre[1]) / short) ** 2 <= 1).astype(np.complex64)
    u, v = np.fft.fftfreq(32)[:, None], np.fft.fftfreq(30)[None, :]  # cycles per pixel
    away = np.maximum(np.hypot(long * u, short * v), 1e-9)
    expected = long * short * j1(2 * np.pi * away) / away * np.exp(-2j * np.pi * (u * centre[0] + v * centre[1]))
    found = measured_k_space(image, space, 2) * np.sqrt(32 * 30)
    assert np.abs(found - expected).max() < 0.005 * np.abs(expected).max()


def test_a_band_limited_image_keeps_its_values() -> None:
    coarse = fresh(1).normal(size=(3, 15, 21)) + 1j * fresh(2).normal(size=(3, 15, 21))
    spectrum = np.fft.fftshift(np.fft.fft2(coarse), axes=(1, 2))
    wide = np.zeros((3, 45, 63), complex)
    wide[:, 15:30, 21:42] = spectrum
    fine = np.fft.ifft2(np.fft.ifftshift(wide, axes=(1, 2))) * 9
    assert np.allclose(fine[:, ::3, ::3], coarse)
    found = measured_k_space(fine.astype(np.complex64), (15, 21), 2)
    assert np.allclose(np.fft.ifft2(found, norm="ortho"), coarse, atol=1e-5)


@pytest.mark.parametrize(
    ("acquisition", "family", "space"),
    [
        ("2d", "vessels", (40, 36)),
        ("slab", "brain", (5, 32, 30)),
        ("3d", "ellipses", (6, 32, 30)),
        ("cine", "heart", (4, 32, 30)),
        ("cine", "bars", (3, 33, 27)),
    ],
)
def test_all_samples_without_noise_show_the_truth_by_plain_sense(
    acquisition: str, family: str, space: tuple[int, ...]
) -> None:
    made = small(3, acquisition=acquisition, family=family, space=space, coils=4, noise_std=0.0, with_maps=True)
    assert made.k_space.shape == (2, 4, *space)
    assert made.truth is not None
    assert made.maps is not None
    assert made.support is not None
    assert made.sampled.all()
    assert made.net_acceleration == 1
    axes = made.transformed
    maps = np.broadcast_to(made.maps, made.k_space.shape).astype(complex)
    for example in range(2):
        image = np.zeros(space, complex)
        model = 0.0
        for coil in range(4):
            seen = np.fft.ifftn(made.k_space[example, coil].astype(complex), axes=axes, norm="ortho")
            image += maps[example, coil].conj() * seen
        for coil in range(4):
            again = np.fft.fftn(maps[example, coil] * image, axes=axes, norm="ortho")
            model += np.sum(np.abs(again - made.k_space[example, coil]) ** 2)
        assert np.linalg.norm(image - made.truth[example]) < 1e-5 * np.linalg.norm(image)
        # What no image of this matrix can explain: products of coils with frequencies that were cut off.
        assert np.sqrt(model) < 0.06 * np.linalg.norm(made.k_space[example])
    combined = coil_combined(made.acquisition, made.k_space, made.maps)
    assert np.allclose(combined, made.truth, atol=1e-5)
    assert np.allclose(np.sum(np.abs(maps) ** 2, axis=1), 1, atol=1e-5)
    power = np.abs(made.truth) ** 2
    assert power[made.support].sum() > 0.94 * power.sum()  # the rest lies in the ringing of the rim
    assert 0.3 < np.sqrt(power[made.support].mean()) < 1.5 or family == "vessels"


@pytest.mark.parametrize(("acquisition", "space"), [("2d", (40, 36)), ("slab", (3, 40, 37)), ("3d", (20, 24, 26))])
def test_coils_and_image_lie_at_the_same_places(
    acquisition: str, space: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A blob so smooth that nothing of it is cut off is explained by maps and truth to rounding, if they fit."""

    def blob(_: str, acquisition: str, shape: tuple[int, ...], generator: np.random.Generator) -> Phantom:
        half = (1.0, shape[-1] / shape[-2]) if shape[-1] < shape[-2] else (shape[-2] / shape[-1], 1.0)
        grid = volume_grid((shape[0], *shape[1:]), (0.7, *half)) if len(shape) == 3 else plane_grid(shape, half)
        deep = 0.15 if acquisition == "3d" else 1.0
        image = np.exp(-((grid.z / deep) ** 2 + (grid.y / 0.2) ** 2 + (grid.x / 0.2) ** 2)).reshape(shape)
        return Phantom(image=image.astype(np.complex64), support=image > 0.1, grid=grid)

    monkeypatch.setattr("ptychoui.mri.simulate.draw_phantom", blob)
    made = small(12, acquisition=acquisition, space=space, count=1, noise_std=0.0, with_maps=True)
    again = np.fft.fftn(made.maps * made.truth[:, None], axes=made.transformed, norm="ortho")
    assert np.linalg.norm(again - made.k_space) < 1e-4 * np.linalg.norm(made.k_space)
    middle = tuple(size // 2 for size in space)
    assert np.unravel_index(np.abs(made.truth[0]).argmax(), space)[-2:] == pytest.approx(middle[-2:], abs=1)


def test_the_simulation_commits_no_inverse_crime() -> None:
    made = small(4, noise_std=0.0, with_maps=True, space=(64, 60))
    assert made.truth is not None
    assert made.support is not None
    # A scan cannot tell an edge from its ringing: outside the head the truth is not zero, nor is it anywhere positive.
    outside = ~made.support
    assert np.abs(made.truth[outside]).max() > 0.02
    assert np.mean(np.abs(made.truth[outside]) > 1e-4) > 0.9
    again = np.fft.fft2(made.maps * made.truth[:, None], norm="ortho")
    assert np.linalg.norm(again - made.k_space) > 1e-3 * np.linalg.norm(made.k_space)


def test_noise_is_white_and_of_the_size_stated() -> None:
    made, clear = (small(5, space=(64, 60), noise_std=level) for level in (0.05, 0.0))
    assert made.noise_std == 0.05
    noise = made.k_space - clear.k_space
    for example in range(2):
        flat = noise[example].reshape(5, -1)
        for part in (flat.real, flat.imag):
            assert np.allclose(np.cov(part) / 0.05**2, np.eye(5), atol=0.08)
        assert np.abs(flat @ flat.T).max() / flat.shape[1] < 0.1 * 2 * 0.05**2
    assert not np.allclose(noise[0], noise[1])
    assert np.array_equal(made.truth, clear.truth)


@pytest.mark.parametrize("snr_db", [10.0, 30.0])
def test_the_signal_to_noise_ratio_is_that_of_the_combined_images(snr_db: float) -> None:
    made = small(6, count=3, space=(64, 60), snr_db=snr_db, with_maps=True)
    assert made.truth is not None
    assert made.maps is not None
    combined = np.sum(made.maps.conj() * np.fft.ifft2(made.k_space, norm="ortho"), axis=1)
    noise = np.mean(np.abs(combined - made.truth) ** 2)
    signal = np.mean(np.abs(made.truth[made.support]) ** 2)
    assert 10 * np.log10(signal / noise) == pytest.approx(snr_db, abs=0.2)
    stated = {fact.name: fact.value for fact in made.provenance.facts}
    assert stated["signal-to-noise ratio"] == pytest.approx(snr_db, abs=1e-3)
    assert stated["noise per part of a sample"] == made.noise_std


def test_everything_follows_the_generator() -> None:
    np.random.seed(11)
    before = np.random.get_state()[1].copy()
    one, again, other, longer = small(7), small(7), small(8), small(7, count=3, noise_std=0.01)
    assert np.array_equal(np.random.get_state()[1], before)
    assert np.array_equal(one.k_space, again.k_space)
    assert one.provenance == again.provenance
    assert not np.allclose(one.k_space, other.k_space)
    assert one.truth is not None
    assert longer.truth is not None
    assert np.array_equal(one.truth, longer.truth[:2])
    assert one.maps is None
    assert one.source_of == (0, 1)
    assert one.names == ("brain 1", "brain 2")
    generator = fresh(7)
    first, second = small(generator=generator), small(generator=generator)
    assert not np.allclose(first.k_space, second.k_space)


def test_the_phase_reference_is_the_strongest_combination_and_no_sign_is_left_open() -> None:
    samples = fresh(15).normal(size=(5, 200, 2)) @ np.array([1, 1j]) * np.arange(1, 6)[:, None]
    samples[0] += 0.5j * samples[4]
    reference = phase_reference(samples)
    left, strengths, _ = np.linalg.svd(samples, full_matrices=False)
    assert np.linalg.norm(reference.conj() @ samples) == pytest.approx(strengths[0], rel=1e-5)
    assert abs(reference.conj() @ left[:, 0]) == pytest.approx(1, abs=1e-5)
    assert reference[0].real > 0
    assert reference[0].imag == pytest.approx(0, abs=1e-6)


def test_examples_have_coils_of_their_own() -> None:
    made = small(9, with_maps=True)
    assert made.maps is not None
    alike = np.abs(np.sum(made.maps[0].conj() * made.maps[1], axis=0))
    assert alike.mean() < 0.9


@pytest.mark.parametrize(
    ("acquisition", "family", "space"),
    [
        ("2d", "brain", (72, 64)),
        ("slab", "bars", (2, 48, 44)),
        ("3d", "ellipses", (12, 32, 28)),
        ("cine", "heart", (3, 64, 64)),
    ],
)
def test_estimated_maps_show_the_truth_in_phase_and_brightness(
    acquisition: str, family: str, space: tuple[int, ...]
) -> None:
    made = small(10, count=1, acquisition=acquisition, family=family, space=space, coils=6, snr_db=35.0, with_maps=True)
    assert made.truth is not None
    assert made.support is not None
    assert made.maps is not None
    maps = estimate_maps(made).maps
    found = np.sum(maps.conj() * np.fft.ifftn(made.k_space, axes=made.transformed, norm="ortho"), axis=1)
    inside = made.support & (np.abs(maps).sum(axis=1) > 0)
    assert inside.sum() > 0.9 * made.support.sum()

    def error(truth: np.ndarray) -> float:
        return float(np.linalg.norm((found - truth)[inside]) / np.linalg.norm(truth[inside]))

    # Noise is 0.018; what is left is the estimate's own error, and neither a phase nor a scale is fitted.
    assert error(made.truth) < 0.06
    turned = truth_under(maps, made.maps, made.truth)
    assert error(turned) <= error(made.truth)
    assert np.allclose(np.abs(turned), np.abs(made.truth), atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"space": (4, 40, 36)}, "does not fit a 2d"),
        ({"acquisition": "4d"}, "does not fit a 4d"),
        ({"count": 0}, "0 examples"),
        ({"oversampling": 1}, "1 times finer"),
        ({"snr_db": None}, "not stated once"),
        ({"snr_db": 300.0}, "300 dB"),
        ({"noise_std": -1.0}, "noise of -1"),
        ({"coils": 0}, "0 coils"),
        ({"mean_correlation": 0.9}, "correlation of 0.9"),
        ({"family": "liver"}, "'liver' is not known"),
    ],
)
def test_impossible_values_are_refused_in_a_sentence(changes: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        small(**changes)  # type: ignore[arg-type]
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "acquisition", "family", "space"),
    [
        ("variable_density", "2d", "brain", (40, 36)),
        ("poisson_disc", "3d", "bars", (4, 24, 20)),
        ("equispaced", "cine", "heart", (3, 40, 20)),
    ],
)
def test_sampling_is_laid_on_a_simulation(name: str, acquisition: str, family: str, space: tuple[int, ...]) -> None:
    made = small(11, acquisition=acquisition, family=family, space=space, coils=2)
    cut = with_sampling(made, name, 4, 4, fresh())
    assert cut.net_acceleration == pytest.approx(4, rel=0.1)
    measured = np.broadcast_to(cut.sampled[:, None], made.k_space.shape)
    assert np.array_equal(cut.k_space[measured], made.k_space[measured])
    assert not cut.k_space[~measured].any()
    assert not np.array_equal(cut.sampled[0], cut.sampled[1])
    assert cut.truth is made.truth
    assert np.array_equal(cut.sampled, with_sampling(made, name, 4, 4, fresh()).sampled)
    with pytest.raises(DataError, match="not fully sampled"):
        with_sampling(cut, name, 4, 4, fresh())
