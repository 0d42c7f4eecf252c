"""LED streaming: the same numbers as with kept fields, the same bits each time, and memory flat in the number of LEDs."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from optics.setups import ABERRATED, data_term, figure, inner, make, objects, relative
from optics.streams import lattice_in_a_disc, small_chunks, streamed_pass

from ptychoui.bench.engine.resident import available
from ptychoui.engine.memory import MemoryMeter
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategies import strategy
from ptychoui.network.gradient import INPUTS
from ptychoui.network.ptychographic import PtychographicNetwork
from ptychoui.optics.forward import compiled
from ptychoui.optics.forward.data_term import DataTerm, ProductResult
from ptychoui.optics.forward.grids import _reach, led_windows
from ptychoui.optics.forward.led_sums import LedSums, Light, PupilWindows
from ptychoui.optics.forward.led_sums_chunked import ChunkedLedSums
from ptychoui.optics.forward.led_sums_cpu import CompiledLedSums
from ptychoui.optics.forward.led_sums_tensor import TensorLedSums
from ptychoui.optics.forward.model import FourierPtychography
from ptychoui.optics.geometry.microscope import zernike
from ptychoui.optics.geometry.pupil_series import PupilSeries, zernike_powers
from ptychoui.settings import Network

CPU = torch.device("cpu")
POSE = {"rotation_deg": 17.0, "tilt_x_deg": 6.0, "shift_x_mm": 0.7}
SCOPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "aberrated": ABERRATED,
    "coarse camera": ABERRATED | {"camera_pixel_um": 11.0},
    "defocused": {"defocus_um": 8.0},
    "tilted only": {"zernike_waves": {2: 0.3}},
}
TILES = {"coarse camera": 11}


def models(scope: str, dtype: torch.dtype, chunk_leds: int = 4, kind: str = "compiled") -> list[FourierPtychography]:
    """The model with kept fields, and streamed in chunks of a few LEDs."""
    setup = make(SCOPES[scope], tile_px=TILES.get(scope, 24), pad_px=1, rows=5, columns=5, pitch_mm=3.5, pose=POSE)
    kept = FourierPtychography(*setup, dtype=dtype)
    bytes_ = chunk_leds * kept.grids.field_px**2 * kept.complex_dtype.itemsize
    streamed = kept.streamed(bytes_)
    if kind == "chunked":  # as on other devices
        streamed._sums = ChunkedLedSums(kept._windows, CPU, 2 * bytes_)
    assert streamed.stream and not kept.stream
    return [kept, streamed]


class Problem:
    """Two objects, a direction and data that do not fit."""

    def __init__(self, model: FourierPtychography) -> None:
        data = data_term(model.grids, len(model.leds))
        real, complex_ = model.dtype, model.complex_dtype
        self.data = DataTerm(data.weights.to(real), data.offset.to(real), data.amplitude.to(real), data.variance_floor)
        self.x = torch.from_numpy(objects(model.grids, 2)).to(complex_)
        self.q = torch.from_numpy(objects(model.grids, 2, seed=4) - 1).to(complex_)

    def gradient(self, model: FourierPtychography, work: Scratch | None = None) -> torch.Tensor:
        work = work or Scratch()
        return model.gradient(model.linearise(self.x, self.data, work, work), work)

    def product(self, model: FourierPtychography, work: Scratch | None = None) -> ProductResult:
        work = work or Scratch()
        return model.product(model.linearise(self.x, self.data, work, work), self.q, self.data, work)


def parts(result: ProductResult) -> dict[str, torch.Tensor]:
    return {name: getattr(result, name) for name in ("hessian", "weights", "offset", "amplitude", "along")}


@pytest.mark.parametrize("kind", ["compiled", "chunked"])
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_streamed_is_kept_to_rounding(scope: str, kind: str, dtype: torch.dtype, bound: float) -> None:
    kept, streamed = models(scope, dtype, kind=kind)
    p = Problem(kept)
    name = f"streamed against kept, {'double' if dtype == torch.float64 else 'single'} precision"
    at = streamed.linearise(p.x, p.data, Scratch(), Scratch())
    assert at.light.fields is None
    assert figure(name, relative(p.gradient(streamed), p.gradient(kept))) < bound
    expected, again = parts(p.product(kept)), kept.product_at(p.x, p.q, p.data, Scratch())
    assert torch.equal(expected["hessian"], again.hessian)
    for found in (p.product(streamed), streamed.product_at(p.x, p.q, p.data, Scratch())):
        for part, value in parts(found).items():
            assert figure(name, relative(value, expected[part])) < bound, part
    assert relative(streamed.predict(p.x, p.data.weights, p.data.offset), at.predicted**2 - 0.02) < bound


@pytest.mark.parametrize("kind", ["compiled", "chunked"])
@pytest.mark.parametrize("stream", [False, True])
def test_gradient_and_product_in_one_pass_have_the_same_bits(stream: bool, kind: str) -> None:
    model = models("aberrated", torch.float32, kind=kind)[stream]
    p, work = Problem(model), Scratch()
    gradient, product = model.gradient_and_product(p.x, p.q, p.data, work)
    gradient = gradient.clone()
    assert torch.equal(gradient, p.gradient(model, work))
    for name, value in parts(p.product(model, work)).items():
        assert torch.equal(parts(product)[name], value), name


@pytest.mark.parametrize("kind", ["compiled", "chunked"])
def test_streamed_passes_have_the_same_bits_each_time_and_with_other_workspaces(kind: str) -> None:
    model = models("aberrated", torch.float32, kind=kind)[1]
    p, work = Problem(model), Scratch()
    first, product = p.gradient(model, work).clone(), p.product(model, work).hessian.clone()
    other = Problem(model)
    other.x = other.x * 1.1
    p.gradient(model, work)
    other.product(model, work)
    assert torch.equal(p.gradient(model, work), first) and torch.equal(p.product(model, work).hessian, product)
    assert torch.equal(p.gradient(model), first)


@pytest.mark.parametrize("kind", ["compiled", "chunked"])
def test_the_size_of_chunks_changes_rounding_only(kind: str) -> None:
    results = []
    for leds in (1, 3, 25, 100):
        model = models("aberrated", torch.float64, leds, kind)[1]
        p = Problem(model)
        results.append((p.gradient(model), p.product(model).hessian, p.product(model).weights))
    for result in results[1:]:
        for found, expected in zip(result, results[0], strict=True):
            assert figure("chunks of other sizes, double precision", relative(found, expected)) < 1e-12


@pytest.mark.parametrize("kind", ["compiled", "chunked"])
@pytest.mark.parametrize("scope", ["plain", "aberrated"])
def test_the_streamed_adjoint_has_the_same_dot_product(scope: str, kind: str) -> None:
    model = models(scope, torch.float64, kind=kind)[1]
    rng = np.random.default_rng(8)
    shape = (2, len(model.leds), model.grids.field_px, model.grids.field_px)
    fields = torch.from_numpy(rng.normal(size=shape) + 1j * rng.normal(size=shape))
    x = torch.from_numpy(objects(model.grids, 2))
    forward, backward = model.field(x, Scratch()), model.field_adjoint(fields, Scratch())
    for phase in (1, 1j):
        left, right = inner(fields, phase * forward), inner(backward, phase * x)
        assert figure("streamed adjoint's dot product", abs(left / right - 1)) < 1e-11


@pytest.mark.parametrize("kind", ["compiled", "chunked"])
def test_a_streamed_product_is_a_finite_difference_of_streamed_gradients(kind: str) -> None:
    model = models("aberrated", torch.float64, kind=kind)[1]
    p, h = Problem(model), 1e-5

    def along(x: torch.Tensor, data: DataTerm) -> float:
        moved = Problem(model)
        moved.x, moved.data = x, data
        return inner(p.q, moved.gradient(model))

    found = p.product(model)
    direction = torch.from_numpy(objects(model.grids, 2, seed=9) - 1)
    slope = (along(p.x + h * direction, p.data) - along(p.x - h * direction, p.data)) / (2 * h)
    name = "streamed product against finite differences"
    assert figure(name, abs(inner(found.hessian, direction) / slope - 1)) < 1e-7
    change = torch.from_numpy(np.random.default_rng(2).normal(size=tuple(p.data.weights.shape)))
    forth, back = (replace(p.data, weights=p.data.weights + sign * h * change) for sign in (1, -1))
    slope = (along(p.x, forth) - along(p.x, back)) / (2 * h)
    assert figure(name, abs(float((found.weights * change).sum()) / slope - 1)) < 1e-7


# Sums ---------------------------------------------------------------------------------------------------------


def windows_of(scope: str, tile_px: int, dtype: type[np.complexfloating] = np.complex128) -> PupilWindows:
    setup = make(SCOPES[scope], tile_px=tile_px, pad_px=1, rows=5, columns=5, pitch_mm=3.5, pose=POSE)
    return led_windows(*setup, dtype)


def all_sums(sums: LedSums, windows: PupilWindows, batch: int = 2) -> dict[str, torch.Tensor]:
    """Every pass of two objects at a time on the same random numbers."""
    rng = np.random.default_rng(5)
    size, n, leds = windows.object_px, windows.field_px, len(windows)

    def random(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.normal(size=shape))

    spectrum = torch.complex(random(batch, size, size), random(batch, size, size))
    direction = torch.complex(random(batch, size, size), random(batch, size, size))
    weights, images, changes = random(3, leds), random(batch, 3, n, n), random(batch, 3, n, n)
    work = Scratch()
    found: dict[str, torch.Tensor] = {}
    found["mixed"], found["cross"] = (t.clone() for t in sums.mixed_both(spectrum, direction, weights, work))
    both = sums.adjoint_both(spectrum, direction, weights, images, changes, work)
    found |= {name: t.clone() for name, t in zip(("gradient", "product", "correlations"), both, strict=True)}
    u, b = (torch.empty(batch, leds, n, n, dtype=torch.complex128) for _ in range(2))
    found["kept mixed"] = sums.mixed_intensities(spectrum, weights, u, work).clone()
    found["kept cross"] = sums.mixed_cross(Light(spectrum, u), direction, weights, b, work).clone()
    found["kept gradient"] = sums.weighted_adjoint(Light(spectrum, u), weights, images, work).clone()
    product, correlations = sums.product_adjoint(
        Light(spectrum, u), Light(direction, b), weights, images, changes, work
    )
    return found | {"kept product": product.clone(), "kept correlations": correlations, "u": u, "b": b}


@pytest.mark.parametrize(("scope", "tile_px"), [("plain", 24), ("aberrated", 24), ("aberrated", 8)])
def test_chunked_tensors_are_the_unchunked_ones_and_the_compiled_loops(scope: str, tile_px: int) -> None:
    windows = windows_of(scope, tile_px)
    assert (PupilSeries.of(windows.microscope, windows.step_per_um) is None) == (tile_px == 8)
    field = 16 * windows.field_px**2
    expected = all_sums(TensorLedSums(windows, CPU), windows)
    for sums in (
        ChunkedLedSums(windows, CPU, 2 * 4 * field),
        ChunkedLedSums(windows, CPU, 1),
        ChunkedLedSums(windows, CPU),
        CompiledLedSums(windows, True, 4 * field),
        CompiledLedSums(windows, False, 4 * field),
    ):
        for name, value in all_sums(sums, windows).items():
            assert figure("streamed sums against tensor operations", relative(value, expected[name])) < 1e-12, name


def test_chunked_tensors_go_through_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    windows, sizes = windows_of("plain", 24), []
    whole = torch.fft.ifft2
    monkeypatch.setattr(torch.fft, "ifft2", lambda t: sizes.append(tuple(t.shape)) or whole(t))
    n = windows.field_px
    sums = ChunkedLedSums(windows, CPU, 2 * 10 * 16 * n**2)
    sums.fields(torch.zeros(2, windows.object_px, windows.object_px, dtype=torch.complex128), Scratch())
    assert sizes == [(2, 10, n, n), (2, 10, n, n), (2, 5, n, n)]


@pytest.mark.parametrize(
    "scope",
    [
        *SCOPES.values(),
        {"zernike_waves": dict.fromkeys(range(1, 37), 0.02)},
        {"zernike_waves": {66: 0.1, 56: 0.1}, "defocus_um": -60.0},
        {"defocus_um": 20.0, "medium_index": 1.33},
    ],
)
def test_pupils_made_again_are_the_function(scope: dict[str, Any]) -> None:
    setup = make(scope | {"camera_pixel_um": 4.0}, tile_px=40, pad_px=1, rows=3, columns=3, pitch_mm=3.5, pose=POSE)
    windows = led_windows(*setup, np.complex128)
    series = PupilSeries.of(windows.microscope, windows.step_per_um)
    assert series is not None
    made = np.empty((len(windows), windows.width, 2 * windows.width))
    compiled.pupils(windows.fraction, series.cutoff, series.medium, series.defocus, series.waves, made)
    tensors = series.on(torch.from_numpy(windows.fraction), windows.half).numpy()
    expected = windows.pupils()
    assert 0.3 < np.mean(np.abs(expected) > 0.5) < 0.9
    assert not tensors[:, -1].any() and not tensors[:, :, -1].any()  # closed: the way back relies on it
    assert figure("pupils made again, compiled", relative(made.view(np.complex128), expected)) < 3e-12
    assert figure("pupils made again, tensors", relative(tensors, expected)) < 3e-12


@pytest.mark.parametrize("tile_px", [8, 24, 31])
def test_how_far_a_pupil_reaches_is_told_without_making_it(tile_px: int) -> None:
    windows = windows_of("plain", tile_px)
    cutoff = windows.microscope.objective_na / windows.microscope.wavelength_um / windows.step_per_um
    order = np.arange(-windows.half, windows.half + 1)
    whole = np.random.default_rng(0).integers(-30, 30, (len(windows), 2))
    is_open = windows.pupils() != 0
    expected = [
        max(
            np.abs(whole[led, 0] + order[is_open[led].any(0)]).max(),
            np.abs(whole[led, 1] + order[is_open[led].any(1)]).max(),
        )
        for led in range(len(windows))
    ]
    assert _reach(whole, windows.fraction, cutoff + 0.5).tolist() == expected


@pytest.mark.parametrize("noll", range(1, 67))
def test_zernike_polynomials_as_powers(noll: int) -> None:
    rng = np.random.default_rng(noll)
    radius, angle = np.sqrt(rng.random(50)), rng.random(50) * 2 * np.pi
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    found = np.polynomial.polynomial.polyval2d(x, y, zernike_powers({noll: 0.5}))
    assert relative(found, 0.5 * zernike(noll, x, y)) < 1e-11


# The network --------------------------------------------------------------------------------------------------


def network_of(
    model: FourierPtychography, unrolls: int = 6
) -> tuple[PtychographicNetwork, Problem, dict[str, torch.Tensor]]:
    p = Problem(model)
    network = PtychographicNetwork(model, Network(unrolls=unrolls, step=0.05), p.data.variance_floor)
    data = p.data
    inputs = {"weights": data.weights, "offset": data.offset, "amplitude": data.amplitude}
    return network, p, inputs | {"step": network.initial_step()}


@pytest.mark.parametrize("kind", ["compiled", "chunked"])
@pytest.mark.parametrize("name", ["store_all", "checkpoint", "reversible"])
def test_strategies_on_a_streamed_network(name: str, kind: str) -> None:
    found = []
    for model in models("aberrated", torch.float32, kind=kind):
        network, p, inputs = network_of(model)
        trace = strategy(name).forward(network.chain, p.x, inputs, Scratch())
        back = trace.backward(p.q, INPUTS)
        assert (back.certificate is not None) == (name == "reversible")  # undone bit for bit
        found.append(back.inputs | {"x": back.x, "output": trace.output})
    for key, value in found[0].items():
        assert relative(found[1][key], value) < 1e-4, key


def test_increment_and_pullback_at_once_are_those_one_after_the_other() -> None:
    for model in models("aberrated", torch.float32):
        network, p, inputs = network_of(model, 2)
        layer, into, other = network.chain.layers[1], {}, {}
        for accumulator in (into, other):
            accumulator |= {name: torch.zeros_like(value) for name, value in inputs.items()}
        increment, pulled = layer.linearise(p.x, inputs, Scratch(), Scratch()).increment_and_pullback(p.q, into)
        at = layer.linearise(p.x.clone(), inputs, Scratch(), Scratch())
        assert torch.equal(at.increment, increment)
        assert torch.equal(at.pullback(p.q, other), pulled)
        assert all(torch.equal(into[name], other[name]) for name in inputs)
        first = layer.linearise(p.x, inputs, Scratch(), Scratch()).pullback(p.q, {})
        assert torch.equal(first, pulled)


def test_a_streamed_layer_keeps_its_point_when_the_state_moves_on() -> None:
    model = models("plain", torch.float32)[1]
    network, p, inputs = network_of(model, 2)
    x = p.x.clone()
    at, expected = (network.chain.layers[0].linearise(t, inputs, Scratch(), Scratch()) for t in (x, p.x))
    x.zero_()
    assert torch.equal(at.pullback(p.q, {}), expected.pullback(p.q, {}))


# Memory -------------------------------------------------------------------------------------------------------


def test_a_streamed_model_holds_no_table_of_all_leds() -> None:
    few, many = (lattice_in_a_disc(leds, 64, stream=True) for leds in (89, 581))
    assert len(many.leds) == 581 and float(many.leds.radius_na.max()) > 0.4

    def held(model: FourierPtychography) -> int:
        sums = model._sums
        arrays = [value for holder in (sums, model._windows) for value in _values(holder)]
        return sum(a.nbytes for a in arrays if isinstance(a, np.ndarray | torch.Tensor))

    assert held(many) - held(few) <= 40 * (581 - 89)  # numbers of each LED, no table
    assert held(lattice_in_a_disc(89, 64, stream=False)) > 89 * 8 * few._windows.width**2


def _values(holder: object) -> list[Any]:
    names = getattr(type(holder), "__slots__", None) or vars(holder)
    return [getattr(holder, name) for name in names]


@pytest.mark.parametrize("kind", ["compiled", "chunked"])
def test_the_meter_is_flat_from_89_to_581_leds(kind: str) -> None:
    """At a fixed budget: 20 LEDs a chunk."""
    peaks = {}
    for leds in (89, 581):
        model = small_chunks(lattice_in_a_disc(leds, 64, stream=True), 20, kind)
        with MemoryMeter() as meter:
            streamed_pass(model, unrolls=3)
        peaks[leds] = meter.peak
    grown = figure(f"growth of a streamed pass from 89 to 581 LEDs, meter, {kind}", peaks[581] / peaks[89] - 1)
    assert grown < 0.05
    with MemoryMeter() as meter:
        streamed_pass(lattice_in_a_disc(89, 64, stream=False), unrolls=3)
    assert meter.peak > 1.4 * peaks[581]  # 89 kept LEDs take more than 581 streamed ones


RESIDENT = """
import sys, torch
torch.set_num_threads(1)
from optics.streams import lattice_in_a_disc, streamed_pass
from ptychoui.bench.engine.resident import reset_peak, resident_kb
leds, size, stream = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "True"
# A small pass first, so that the libraries have loaded what they load once.
streamed_pass(lattice_in_a_disc(40, 64, stream), unrolls=2)
reset_peak()
before = resident_kb("VmRSS")
streamed_pass(lattice_in_a_disc(leds, size, stream), unrolls=2)
print(resident_kb("VmHWM") - before)
"""


def resident(leds: int, size: int, stream: bool) -> int:
    """KiB that building a model and one reversible pass add to a fresh process at its peak."""
    words = [sys.executable, "-c", RESIDENT, str(leds), str(size), str(stream)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent.parent)}
    # Every array gets pages of its own: what the allocator holds back for later varies by several MB from run to run.
    environment["MALLOC_MMAP_THRESHOLD_"] = "65536"
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not available(), reason="needs /proc")
def test_the_resident_memory_of_a_fresh_process_is_flat_from_89_to_581_leds() -> None:
    few, many = (min(resident(leds, 256, True) for _ in range(2)) for leds in (89, 581))
    assert figure("growth of a streamed pass from 89 to 581 LEDs, resident", many / few - 1) < 0.05
    assert resident(89, 256, False) > 2 * many
