"""Calibration regions by counting, maps against those that the data were made with, and what is refused."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
from mri.coils import SPACES, made

from ptychoui.data.kspace import TRANSFORMED, KSpaceSet, from_centred
from ptychoui.errors import DataError, SettingsError
from ptychoui.mri.calibration import calibration_of, calibration_size
from ptychoui.mri.maps import EspiritSettings, estimate_maps, isolated_random, truth_under, with_maps
from ptychoui.mri.simulate import simulate

SMALL = EspiritSettings(kernel_width=4)


def biggest_block(mask: np.ndarray) -> int:
    """Samples of the largest sampled block around the middle of a centred mask, by trying every one."""
    best = 0
    for edges in itertools.product(*[range(1, n + 1) for n in mask.shape]):
        block = tuple(slice(n // 2 - e // 2, n // 2 - e // 2 + e) for n, e in zip(mask.shape, edges, strict=True))
        if mask[block].all():
            best = max(best, int(np.prod(edges)))
    return best


@pytest.mark.parametrize(("shape", "edges"), [((16, 12), (5, 8)), ((15, 11), (6, 3)), ((8, 9, 7), (4, 4, 2))])
def test_a_block_in_the_middle_is_found(shape: tuple[int, ...], edges: tuple[int, ...]) -> None:
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(n // 2 - e // 2, n // 2 - e // 2 + e) for n, e in zip(shape, edges, strict=True))] = True
    found = calibration_size(np.fft.ifftshift(mask), shape)
    assert found == edges and np.prod(found) == biggest_block(mask)


def test_lines_and_axes_that_the_mask_does_not_depend_on() -> None:
    line = np.zeros((24, 1), dtype=bool)
    line[[0, 1, 2, -1, -2, -3, 8]] = True  # frequencies -3 to 2
    assert calibration_size(line, (24, 30)) == (6, 30)
    assert calibration_size(np.ones((24, 30), dtype=bool), (24, 30)) == (24, 30)
    assert calibration_size(~line, (24, 30)) == (0, 0)
    # Of several planes only what all of them measured.
    both = np.stack([line, np.roll(line, 1, axis=0)])
    assert calibration_size(both, (24, 30)) == (5, 30)
    with pytest.raises(DataError, match="does not fit k-space"):
        calibration_size(line[:, 0], (24, 30))


@pytest.mark.parametrize("acquisition", SPACES)
def test_maps_are_those_behind_the_data(acquisition: str) -> None:
    data = made(acquisition, noise=0.002)
    found = estimate_maps(dataclasses.replace(data, maps=None), SMALL)
    assert data.maps is not None and data.support is not None
    assert found.maps.shape == data.maps.shape and found.maps.dtype == np.complex64
    shared = data.support.all(axis=1, keepdims=True) if acquisition == "cine" else data.support
    # Up to a phase of every pixel: the coils' scalar product is 1.
    agreement = np.abs((found.maps.conj() * data.maps).sum(axis=1))[shared]
    assert agreement.min() > 0.999
    energy = (np.abs(found.maps) ** 2).sum(axis=1)
    assert np.all(np.isclose(energy, 1, atol=1e-5) | (energy == 0))
    assert found.residual[0] < 0.1 and found.warnings == ()
    assert found.width[0] == 13


@pytest.mark.parametrize("acquisition", SPACES)
def test_the_truth_under_other_maps_explains_the_same_k_space(acquisition: str) -> None:
    """y = W F (S x) holds for the new maps and the new truth as well as maps and crop allow."""
    data = made(acquisition)
    double = dataclasses.replace(data, maps=2 * data.maps, truth=data.truth / 2)  # type: ignore[operator]
    for one in (data, double):
        found, estimate = with_maps(one, EspiritSettings(kernel_width=4, crop=0.5))
        assert found.truth is not None and data.truth is not None and found.maps is not None
        assert np.allclose(np.abs(found.truth), np.abs(data.truth), atol=1e-4)
        predicted = np.fft.fftn(found.maps * found.truth[:, None], axes=data.transformed, norm="ortho")
        misfit = np.linalg.norm(predicted * data.sampled[:, None] - data.k_space) / np.linalg.norm(data.k_space)
        assert misfit < 0.02
        assert np.array_equal(found.truth, truth_under(estimate.maps, one.maps, one.truth))  # type: ignore[arg-type]
    # Pixels without maps still count.
    assert np.array_equal(truth_under(0 * data.maps, data.maps, data.truth) != 0, data.truth != 0)  # type: ignore
    bare = with_maps(dataclasses.replace(data, maps=None), SMALL)[0]
    assert np.array_equal(bare.truth, data.truth)  # type: ignore[arg-type]


def test_the_phase_of_the_maps_is_smooth() -> None:
    maps = estimate_maps(made(noise=0.002), SMALL).maps[0]
    strong = (np.abs(maps[:, 1:]) > 0.3) & (np.abs(maps[:, :-1]) > 0.3)
    step = np.angle(maps[:, 1:] * maps[:, :-1].conj())[strong]
    assert np.abs(step).max() < 0.5


def test_cine_uses_what_all_frames_measured_together() -> None:
    data = made("cine")
    assert calibration_size(data.sampled[0], SPACES["cine"][1:])[0] < 12
    found = calibration_of(data, 0)
    assert found.size == (13, 28) and found.k_space.shape == (4, 1, 32, 28)
    # A sample is averaged over the frames that measured it, not over all.
    held = data.sampled[0]
    some = np.argwhere((held.sum(axis=0) > 0) & (held.sum(axis=0) < 4))
    assert len(some) > 10
    for row, column in some[::7]:
        seen = [data.k_space[0, :, frame, row, column] for frame in range(4) if held[frame, row, column]]
        assert np.allclose(found.k_space[:, 0, row, column], np.mean(seen, axis=0), atol=1e-6)
    whole = made("cine", every=1)
    mean = whole.k_space[0].mean(axis=1)
    assert whole.sampled[0, 0].all() and whole.sampled[0, 2].all()
    count = whole.sampled[0].sum(axis=0)
    assert np.allclose(calibration_of(whole, 0).k_space[:, 0, count == 4], mean[:, count == 4], atol=1e-6)


def test_planes_beside_the_object_have_no_maps() -> None:
    data = made("slab", noise=0.0005)
    k_space = data.k_space.copy()
    rng = np.random.default_rng(0)
    k_space[:, :, 0] = 0.0005 * (rng.normal(size=k_space[:, :, 0].shape)) * data.sampled[:, :, 0]
    k_space[:, :, 2] = 0
    found = estimate_maps(dataclasses.replace(data, k_space=k_space), SMALL)
    assert not found.maps[0, :, 0].any() and not found.maps[0, :, 2].any() and found.maps[0, :, 1].any()


def test_what_maps_do_not_explain_is_measured() -> None:
    """Noise has no maps: of four coils they hold a quarter of its energy at best."""
    data = made()
    rng = np.random.default_rng(1)
    noise = (rng.normal(size=data.k_space.shape) + 1j * rng.normal(size=data.k_space.shape)) * data.sampled
    found = estimate_maps(dataclasses.replace(data, k_space=noise.astype(np.complex64)), SMALL)
    assert found.residual[0] > 0.5
    assert "unexplained" in found.warnings[0] and "lower the crop" in found.warnings[0]
    # By hand, with the region's images under the same window.
    region = calibration_of(data, 0)
    images = region.images()
    maps = estimate_maps(data, SMALL).maps[0][:, None]
    left = 0.0
    for row, column in itertools.product(range(32), range(28)):
        c, s = images[:, 0, row, column], maps[:, 0, row, column]
        left += float(np.linalg.norm(c - s * np.vdot(s, c)) ** 2)
    expected = np.sqrt(left / np.sum(np.abs(images) ** 2))
    assert np.isclose(estimate_maps(data, SMALL).residual[0], expected, rtol=1e-4)


def test_nobody_notices_the_global_generator() -> None:
    np.random.seed(4)
    expected = np.random.random(3)
    np.random.seed(4)
    with isolated_random():
        first = np.random.random(5)
    estimate_maps(made(), SMALL)
    assert np.array_equal(np.random.random(3), expected)
    np.random.seed(9)
    with isolated_random():
        assert np.array_equal(np.random.random(5), first)


def test_settings_change_the_maps() -> None:
    data = made(noise=0.01)
    loose = estimate_maps(data, EspiritSettings(kernel_width=4, crop=0.0))
    tight = estimate_maps(data, EspiritSettings(kernel_width=4, crop=0.99))
    assert loose.covered[0] > tight.covered[0]
    assert estimate_maps(data, EspiritSettings(kernel_width=4, calibration_width=8)).width == (8,)
    calls: list[int] = []
    filled, _ = with_maps(data, SMALL, lambda: calls.append(1))
    assert filled.maps is not None and len(calls) == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"crop": 1.0}, "crop is 1.0"),
        ({"threshold": -0.1}, "threshold is -0.1"),
        ({"kernel_width": 1}, "kernel width is 1"),
        ({"kernel_width": 6, "calibration_width": 11}, "calibration width is 11"),
        ({"crop": float("nan")}, "crop is nan"),
    ],
)
def test_settings_outside_their_range_are_refused(values: dict[str, float], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as error:
        EspiritSettings(**values)  # type: ignore[arg-type]
    assert error.value.hint


def spoilt(change: str) -> KSpaceSet:
    data = made()
    k_space, sampled = data.k_space.copy(), data.sampled.copy()
    if change == "no centre":
        sampled[:, :, 0] = False
        k_space *= sampled[:, None]
    if change == "small":
        return made(centre=6)
    if change == "zero centre":
        k_space[:, :, :7], k_space[:, :, -7:] = 0, 0
    if change == "dead coil":
        k_space[:, 2] = 0
    return dataclasses.replace(data, k_space=k_space, sampled=sampled)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("no centre", "has no calibration region"),
        ("small", "has 6 x 28 samples, at least 8"),
        ("zero centre", "middle of the k-space of example 0 is zero"),
        ("dead coil", "coil 2 measured only zeros"),
    ],
)
def test_what_maps_cannot_come_from_is_refused(change: str, words: str) -> None:
    with pytest.raises(DataError, match=words) as error:
        estimate_maps(spoilt(change), SMALL)
    assert error.value.hint and "\n" not in error.value.message


def test_maps_that_do_not_fit_into_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = made("3d")
    monkeypatch.setattr("os.sysconf", {"SC_AVPHYS_PAGES": 100, "SC_PAGE_SIZE": 4096}.__getitem__)
    with pytest.raises(DataError, match="ESPIRiT of 4 coils of 16 x 20 x 18 pixels needs") as error:
        estimate_maps(data, SMALL)
    assert "combine the coils" in error.value.hint
    monkeypatch.delattr("os.sysconf")
    assert estimate_maps(data, SMALL).maps.any()


def test_nan_is_refused_where_the_set_is_made() -> None:
    k_space = made().k_space.copy()
    k_space[0, 1, 3, 3] = np.nan
    with pytest.raises(DataError, match="not finite"):
        made(k_space=k_space)


@pytest.mark.slow
def test_the_measured_slice(shared_data: Path) -> None:
    k_space = from_centred(np.load(shared_data / "mri" / "cartesian_ksp.npy"), 2)[None]
    data = made(
        k_space=k_space, sampled=np.abs(k_space).sum(axis=1) > 0, maps=None, truth=None, support=None
    )  # fmt: skip
    assert TRANSFORMED[data.acquisition] == 2
    found = estimate_maps(data)
    assert found.width == (24,) and found.residual[0] < 0.1 and 0.3 < found.covered[0] < 0.9


@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_values_beyond_single_precision_are_refused(factor: float) -> None:
    data = simulate("2d", "ellipses", 1, (24, 20), 3, np.random.default_rng(1), snr_db=30.0)
    large = dataclasses.replace(data, k_space=(data.k_space * np.float32(factor)).astype(np.complex64))
    with pytest.raises(DataError, match="single precision cannot work with") as error:
        estimate_maps(large, SMALL)
    assert "multiply" in error.value.hint
