"""Sums over LEDs: compiled chunks against tensor operations, kept fields against fields made again, threads."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numba
import numpy as np
import pytest
import torch
from optics.setups import ABERRATED, make, objects, relative

from ptychoui.engine.scratch import Scratch
from ptychoui.optics.forward import compiled, led_sums_cpu
from ptychoui.optics.forward.grids import led_windows
from ptychoui.optics.forward.led_sums import LedSums, Light, PupilWindows
from ptychoui.optics.forward.led_sums_choice import led_sums
from ptychoui.optics.forward.led_sums_tensor import TensorLedSums

CPU = torch.device("cpu")
Passes = dict[str, torch.Tensor]


@pytest.fixture
def windows() -> PupilWindows:
    return led_windows(*make(ABERRATED, pitch_mm=6.0, pose={"shift_x_mm": 0.4, "shift_y_mm": -0.3}), np.complex128)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def passes(sums: LedSums, windows: PupilWindows, kept: bool, batch: int = 3) -> Passes:
    """Every pass on the same random numbers."""
    rng = np.random.default_rng(5)
    leds, n = len(windows), windows.field_px

    def real(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.normal(size=shape))

    grids = make(ABERRATED, pitch_mm=6.0, pose={"shift_x_mm": 0.4, "shift_y_mm": -0.3})[2]
    spectrum = torch.fft.fft2(torch.from_numpy(objects(grids, batch)))
    direction = torch.fft.fft2(torch.from_numpy(objects(grids, batch, seed=1)))
    weights, images, changes = real(4, leds).abs(), real(batch, 4, n, n), real(batch, 4, n, n)
    weights[1, ::2] = 0
    work = Scratch()
    u = torch.empty(batch, leds, n, n, dtype=torch.complex128) if kept else None
    b = torch.empty(batch, leds, n, n, dtype=torch.complex128) if kept else None
    found = {"mixed": sums.mixed_intensities(spectrum, weights, u, work).clone()}
    found["weighted"] = sums.weighted_adjoint(Light(spectrum, u), weights, images, work).clone()
    found["cross"] = sums.mixed_cross(Light(spectrum, u), direction, weights, b, work).clone()
    product, correlations = sums.product_adjoint(
        Light(spectrum, u), Light(direction, b), weights, images, changes, work
    )
    found |= {"product": product.clone(), "correlations": correlations.clone()}
    found["fields"] = sums.fields(spectrum, work).clone()
    found["adjoint"] = sums.adjoint(found["fields"], work).clone()
    if u is not None and b is not None:
        assert torch.equal(u, found["fields"]) and torch.equal(b, sums.fields(direction, work))
    return found


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("chunk_bytes", [1, 20_000, 2**20])
def test_compiled_chunks_are_the_tensor_operations(
    kept: bool, chunk_bytes: int, windows: PupilWindows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(led_sums_cpu, "CHUNK_BYTES", chunk_bytes)
    found, expected = (passes(s, windows, kept) for s in (led_sums(windows, CPU), TensorLedSums(windows, CPU)))
    for name, value in expected.items():
        assert relative(found[name], value) < 1e-13, name


def test_the_sums_are_those_of_plain_loops(windows: PupilWindows) -> None:
    found = passes(led_sums(windows, CPU), windows, True, batch=1)
    u = found["fields"][0].numpy()
    rng = np.random.default_rng(5)
    weights = np.abs(rng.normal(size=(4, len(u))))
    weights[1, ::2] = 0
    expected = sum(weights[:, i, None, None] * np.abs(u[i]) ** 2 for i in range(len(u)))
    assert relative(found["mixed"][0], expected) < 1e-13


def test_fields_kept_or_made_again_agree_to_rounding(windows: PupilWindows) -> None:
    sums = led_sums(windows, CPU)
    kept, again = passes(sums, windows, True), passes(sums, windows, False)
    assert all(relative(again[name], kept[name]) < 1e-14 for name in kept)


@pytest.mark.usefixtures("threads")
def test_the_loops_follow_the_number_of_threads_of_torch_and_leave_it_alone(
    windows: PupilWindows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "SHARED_FROM", 1)
    found = []
    for count in (1, 2, 1):
        torch.set_num_threads(count)
        found.append(passes(led_sums(windows, CPU), windows, True))
        assert torch.get_num_threads() == count
        assert numba.get_num_threads() == min(count, numba.config.NUMBA_NUM_THREADS)
    assert all(torch.equal(found[0][name], found[2][name]) for name in found[0])
    assert all(relative(found[1][name], found[0][name]) < 1e-13 for name in found[0])


def test_a_window_may_cross_the_end_of_the_spectrum() -> None:
    windows = led_windows(*make(pitch_mm=6.0), np.complex128)
    wrapped = int((np.diff(windows.rows_and_columns()[1], axis=1) != 1).any(1).sum())
    assert wrapped > 0  # the window of the central LED at least: negative frequencies lie at the end


@pytest.mark.parametrize("kind", ["compiled", "tensor"])
def test_models_that_share_workspaces_do_not_disturb_each_other(kind: str) -> None:
    """Two models of one size with other pupils, in turns: what one leaves in a padding would show in the other."""
    work, grids = Scratch(), make(pitch_mm=6.0)[2]
    spectrum = torch.fft.fft2(torch.from_numpy(objects(grids, 1)))
    both = []
    for na in (0.2, 0.14):
        microscope = make({"objective_na": na}, pitch_mm=6.0)[0]
        windows = led_windows(microscope, make(pitch_mm=6.0)[1], grids, np.complex128)
        both.append(led_sums(windows, CPU) if kind == "compiled" else TensorLedSums(windows, CPU))
    alone = [sums.fields(spectrum, Scratch()) for sums in both]
    for _ in range(2):
        for sums, expected in zip(both, alone, strict=True):
            assert torch.equal(sums.fields(spectrum, work), expected)


def test_starting_the_loops_leaves_the_threads_of_torch_alone() -> None:
    """Both use OpenMP, where the first of the loops to start would set the number for all: seen in a fresh process."""
    program = """
import torch
torch.set_num_threads(1)
from ptychoui.optics.forward import compiled
compiled.prepare("complex64")
print(torch.get_num_threads())
compiled.choose_threads(10**9)
print(torch.get_num_threads())
"""
    environment = os.environ | {"NUMBA_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["1", "1"]


def test_damaged_loops_on_the_disk_are_made_again(tmp_path: Path) -> None:
    """Two loops stand for all, which take ten seconds to compile."""
    program = """
import numpy as np
from ptychoui.optics.forward import compiled

def two(dtype):
    pairs, image = np.zeros((1, 2), np.float32), np.zeros((1, 1), np.float32)
    return [(compiled.square, (pairs, image)), (compiled.scale, (pairs, image, pairs))]

compiled._calls, compiled._LOOPS = two, (compiled.square, compiled.scale)
compiled._compiling_beside = lambda dtype: None
compiled.prepare("complex64")
print(all(len(loop.signatures) == 1 for loop in compiled._LOOPS))
"""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
        )
        assert done.stdout.strip() == "True"
        files = [path for path in tmp_path.rglob("*") if path.suffix in (".nbi", ".nbc")]
        assert files
        for path in files:
            os.truncate(path, 40)


@pytest.mark.parametrize("ended", [True, False])
def test_loops_that_a_second_process_compiles_are_loaded_from_the_disk(ended: bool, tmp_path: Path) -> None:
    """Two loops stand for all; what the second process leaves undone when it dies is compiled by the first."""
    program = f"""
import subprocess, sys
import numpy as np
from ptychoui.optics.forward import compiled

pairs, image = np.zeros((1, 2), np.float32), np.zeros((1, 1), np.float32)
compiled._calls = lambda dtype: [(compiled.square, (pairs, image)), (compiled.scale, (pairs, image, pairs))]
compiled.FIRST_HALF = 1
if sys.argv[1] == "beside":
    compiled.prepare_second_half("complex64")
    print(len(compiled.square.signatures), len(compiled.scale.signatures))
    sys.exit()

def beside(dtype):
    return subprocess.Popen([sys.executable, "-c", sys.argv[2], "beside"], stdout=subprocess.DEVNULL)

compiled._compiling_beside, compiled.processors = beside, lambda: 2
sys.argv[2] = {"open(sys.argv[3]).read()" if ended else "'raise SystemExit(1)'"}
compiled.prepare("complex64")
print(sum(compiled.square.stats.cache_hits.values()), sum(compiled.scale.stats.cache_hits.values()))
"""
    (tmp_path / "program.py").write_text(program)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    words = [sys.executable, "-c", program, "first", "", str(tmp_path / "program.py")]
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["0", "1" if ended else "0"], done.stderr


def test_preparing_covers_every_loop_that_a_pass_calls(windows: PupilWindows) -> None:
    sums = led_sums(windows, CPU)
    before = {loop: len(loop.signatures) for loop in compiled._LOOPS}
    for kept in (True, False):
        passes(sums, windows, kept)
    assert {loop: len(loop.signatures) for loop in compiled._LOOPS} == before
