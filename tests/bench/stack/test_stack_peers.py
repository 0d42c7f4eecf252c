"""The stack's benchmark: one residual for every row, a yardstick that is always there, libraries that may be missing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ptychoui.bench.stack import methods, peers
from ptychoui.bench.stack.methods import PEERS, Found, Stack, epry, forward, inverse, make_stack, mirrored
from ptychoui.cli import main
from ptychoui.errors import DataError
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.reconstruction.stack import StackReconstruction
from ptychoui.settings import Array, Geometry, Microscope, Reconstruct

GEOMETRY = Geometry(
    microscope=Microscope(
        wavelength_um=0.5, objective_na=0.1, magnification=4.0, camera_pixel_um=8.0, defocus_um=10.0, pixel="point"
    ),
    array=Array(kind="lattice", rows=5, columns=5, pitch_mm=4.0, height_mm=100.0),
)
MODULES = {"fpm-py": "fpm_py", "PtyLab": "PtyLab", "deepinv": "deepinv", "Pty-chi": "ptychi"}


def smooth_noise(size: int, generator: np.random.Generator) -> NDArray[np.float64]:
    k = np.fft.fftfreq(size)
    kept = np.exp(-((np.hypot(k[:, None], k) / 0.15) ** 2))
    found = np.fft.ifft2(np.fft.fft2(generator.normal(size=(size, size))) * kept).real
    return np.asarray(found / found.std())


@pytest.fixture(scope="module")
def truth() -> tuple[Stack, Found]:
    """A tiny stack, made in the common model, and what it was made of."""
    leds = led_array(GEOMETRY.array)
    empty = make_stack(GEOMETRY, leds, np.ones((len(leds), 24, 24), np.float32))
    generator = np.random.default_rng(0)
    size = empty.object_px
    image = (1 + 0.1 * smooth_noise(size, generator)) * np.exp(0.4j * smooth_noise(size, generator))
    made = Found(forward(image) * np.float32((24 / size) ** 2), empty.pupil)
    return make_stack(GEOMETRY, leds, peers.sampled_at_points(empty, made)), made


def residual(stack: Stack, found: Found) -> float:
    return peers.amplitude_residual(stack.images, peers.sampled_at_points(stack, found))


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in MODULES.values():
        monkeypatch.setitem(sys.modules, name, None)


def test_the_residual_is_none_for_the_truth_and_all_for_darkness(truth: tuple[Stack, Found]) -> None:
    stack, made = truth
    assert residual(stack, made) < 1e-10
    assert residual(stack, Found(0 * made.spectrum, made.pupil)) == pytest.approx(1)
    assert peers.amplitude_residual(stack.images, 4 * stack.images) == pytest.approx(1)


def test_mirroring_exchanges_the_signs_of_the_transform(truth: tuple[Stack, Found]) -> None:
    _stack, made = truth
    size = len(made.spectrum)
    assert np.array_equal(mirrored(mirrored(made.spectrum)), made.spectrum)
    assert np.allclose(forward(mirrored(made.spectrum)) / size**2, inverse(made.spectrum), atol=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_yardstick_finds_object_and_pupil(truth: tuple[Stack, Found], weighted: bool) -> None:
    stack, _made = truth
    after = [residual(stack, epry(stack, passes, weighted)) for passes in (0, 1, 10)]
    assert after[2] < after[1] < after[0]
    assert after[2] < 0.2 * after[1]


def test_the_yardstick_is_a_fixed_point_at_the_truth(truth: tuple[Stack, Found], monkeypatch: Any) -> None:
    stack, made = truth
    monkeypatch.setattr(methods.Stack, "start", lambda _self: made.spectrum.copy())
    found = epry(stack, 2)
    assert np.linalg.norm(found.spectrum - made.spectrum) < 1e-3 * np.linalg.norm(made.spectrum)
    assert np.abs(found.pupil - made.pupil).max() < 1e-2


def test_the_residuals_of_ptychoui_agree_with_its_own() -> None:
    geometry = GEOMETRY.replace(microscope=GEOMETRY.microscope.replace(pixel="integrating"))
    leds = led_array(geometry.array)
    images = np.random.default_rng(1).uniform(0.5, 1, (len(leds), 24, 24)).astype(np.float32)
    work = StackReconstruction(geometry, images, Reconstruct(passes=3, pupil="free"), leds)
    for _done in work.run():
        pass
    found, own = peers.own_residuals(work, images), work.result()
    assert found["camera"] == pytest.approx(own.amplitude_residual, rel=1e-3)
    assert found["fitted"] == pytest.approx(own.fitted_residual, rel=1e-3)
    assert found["points"] != found["camera"]


def test_points_of_ptychoui_are_its_model_where_the_camera_samples_points(truth: tuple[Stack, Found]) -> None:
    stack, _made = truth
    work = StackReconstruction(GEOMETRY, stack.images, Reconstruct(passes=2, pad_px=0), stack.leds)
    for _done in work.run():
        pass
    found = peers.own_residuals(work, stack.images)
    assert found["points"] == pytest.approx(found["camera"], rel=1e-4)


def test_a_table_with_libraries_that_are_missing(missing: None, capsys: pytest.CaptureFixture[str]) -> None:
    only = ["--only", "NumPy", *PEERS, "ptychoui fixed"]
    before = torch.get_num_threads()
    assert main(["bench", "stack", "--passes", "1", "--repeats", "1", "--size", "32", *only]) == 0
    assert torch.get_num_threads() == before
    text = capsys.readouterr().out
    for name in MODULES.values():
        assert f"not installed: pip install {name}" in text
    assert "81 images of 32 x 32 pixels" in text
    assert sum(line.startswith("NumPy EPRY") for line in text.splitlines()) == 2


def test_rows_have_passes_threads_and_every_residual(missing: None) -> None:
    result: dict[str, Any] = peers.run(passes=1, size=32, repeats=2, only=("numpy", "ptychoui free", "ptylab"))
    rows = {row["name"]: row for row in result["rows"]}
    for name, row in rows.items():
        if name == "PtyLab":
            assert row["seconds"] is None and row["note"]
            continue
        assert row["passes"] == 1 and row["threads"] >= 1 and 0 < row["seconds"] <= row["seconds_median"]
        assert 0 < row["points"] < 1
        assert (row["camera"] is None) == name.startswith("NumPy")
    assert set(rows) > {"NumPy EPRY", "PtyLab", "ptychoui free", "ptychoui free, gain + stray, points"}
    assert len(peers.table(result).splitlines()) == len(rows) + 3


def test_a_library_that_fails_is_a_line_and_its_output_is_not_seen(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def breaks(_stack: Stack, _passes: int) -> Found:
        print("chatter")
        raise ValueError("wants other data\nand more")

    monkeypatch.setattr(peers, "PEERS", {"other": methods.Peer(breaks, "no-such-package")})
    result: dict[str, Any] = peers.run(passes=1, size=32, repeats=2, only=("other",))
    assert [row["note"] for row in result["rows"]] == ["does not run: wants other data"]
    assert "chatter" not in capfd.readouterr().out


@pytest.mark.parametrize("name", list(PEERS))
def test_a_library_that_is_installed_lowers_the_residual(truth: tuple[Stack, Found], name: str) -> None:
    stack, _made = truth
    method: Callable[[Stack, int], Found] = PEERS[name].method
    with methods.quiet():
        try:
            found = method(stack, 5)
        except methods.CannotRun as error:
            pytest.skip(str(error))
    if "where it reads" not in found.note:
        assert residual(stack, found) < 0.5 * residual(stack, Found(stack.start(), stack.pupil))


def test_odd_images_are_refused() -> None:
    leds = led_array(GEOMETRY.array)
    with pytest.raises(DataError, match="even edge"):
        make_stack(GEOMETRY, leds, np.ones((len(leds), 23, 23), np.float32))
