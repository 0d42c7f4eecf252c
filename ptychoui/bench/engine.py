"""``ptychoui bench engine``: time, memory and gradient error of every strategy beside back-propagation by autograd.

Rows of one problem, interleaved in one process, minimum and median of the repeats:

* ``autograd store_all``: the same batched, cropped model written with plain tensor operations, differentiated by
  torch; it separates the effect of the closed-form products from that of the strategy;
* ``torch checkpoint``: the same with ``torch.utils.checkpoint`` around every unroll;
* ``store_all``, ``checkpoint``, ``binomial``, ``reversible``: the closed-form layer under each strategy;
* ``published back-propagation`` and ``published memory-efficient``: the algorithm of `published` on full grids. They
  run over few unrolls and are scaled to the depth of the row, which flatters the second: it is run with more
  checkpoints than it has.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from statistics import median

import numpy as np
import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ptychoui.bench import published
from ptychoui.bench.resident import peak_of_pass
from ptychoui.engine.memory import MemoryMeter, measure
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategies import STRATEGIES, strategy
from ptychoui.errors import SettingsError
from ptychoui.experiment import Array, Microscope, Network
from ptychoui.network.unrolled import INPUTS, UnrolledNetwork
from ptychoui.optics.forward import FourierPtychography
from ptychoui.optics.led_array import LedArray, led_array
from ptychoui.optics.microscope import Sampling
from ptychoui.training.problem import pick_device

PIXEL_UM = 0.41452
PUBLISHED = Microscope(
    wavelength_um=0.514, objective_na=0.2, magnification=4.0, camera_pixel_um=4 * PIXEL_UM / 0.65, pixel="point"
)
"""The published learned-design microscope: objective NA 0.2, object pixel 0.41452 um (Kellman et al. 2020)."""

REPEATS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    strategy: str
    unrolls: int
    size: int
    seconds: float
    seconds_median: float
    peak_extra_bytes: int
    peak_resident_bytes: int | None
    gradient_error: float
    certificate: str
    drift: float | None = None
    measured_unrolls: int | None = None
    transforms: int | None = None


def published_leds(count: int) -> LedArray:
    """The first LEDs of the flat lattice with pitch / height = 0.086957, by radius."""
    leds = led_array(Array(kind="lattice", pitch_mm=4.0, rows=21, columns=21, height_mm=46.0))
    if not 1 <= count <= len(leds):
        raise SettingsError(f"--leds {count}: the lattice has 1 to {len(leds)} LEDs", "the published design used 89")
    return leds.select(np.argsort(leds.radius_na, kind="stable")[:count])


@dataclass(frozen=True, slots=True)
class Bench:
    """A problem of the published size with random weights."""

    network: UnrolledNetwork
    x: Tensor
    inputs: dict[str, Tensor]
    cotangent: Tensor


def make_bench(
    unrolls: int, leds: int, measurements: int, size: int, device: torch.device, dtype: torch.dtype = torch.float32
) -> Bench:
    """Build the problem: object of ``size`` pixels, field grid of about 0.65 of it."""
    array = published_leds(leds)
    field = 2 * next_fast_len(max(1, round(size * 0.65 / 2)))  # 166 = 2 * 83 would take four times as long as 168
    grids = Sampling(
        tile_px=field, pad_px=0, pixel_size_um=PIXEL_UM * size / field, oversampling=1, upsampling=Fraction(size, field)
    )
    physics = FourierPtychography(PUBLISHED, array, grids, dtype, device)
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    bright = torch.from_numpy(array.bright_field(PUBLISHED.objective_na))
    weights = random(measurements, leds) * torch.where(torch.arange(measurements)[:, None] == 0, bright, ~bright)
    weights = (weights / weights.sum(1, keepdim=True).clamp_min(1e-9)).to(device, dtype)
    phase = random(1, size, size) - 0.5
    truth = torch.polar(torch.ones_like(phase), phase).to(device, physics.complex_dtype)
    offset = torch.zeros(measurements, device=device, dtype=dtype)
    floor = 1e-6
    amplitude = torch.sqrt(physics.predict(truth, weights, offset) + floor)
    settings = Network(unrolls=unrolls, step=0.2)
    network = UnrolledNetwork(physics, settings, floor)
    inputs = {"weights": weights, "offset": offset, "amplitude": amplitude, "step": network.initial_step()}
    x = torch.ones_like(truth)
    return Bench(network, x, inputs, truth)


def autograd_gradient(bench: Bench, checkpointed: bool = False) -> dict[str, Tensor]:
    """Back-propagation by torch through the same cropped, batched model in floating point.

    All unrolls are stored, or only their points with torch's own checkpoints.
    """
    physics, settings = bench.network.physics, bench.network.settings
    leaves = {name: tensor.clone().requires_grad_() for name, tensor in bench.inputs.items()}
    model = AutogradModel(physics)
    beta = float(Fraction(settings.momentum))
    x = bench.x
    v = torch.zeros_like(x)

    def unroll(x: Tensor, v: Tensor, index: int) -> tuple[Tensor, Tensor]:
        v = beta * v - leaves["step"][index] * model.gradient(x, leaves, bench.network.variance_floor)
        return x + v, v

    for index in range(settings.unrolls):
        if checkpointed:
            x, v = checkpoint(unroll, x, v, index, use_reentrant=False)
        else:
            x, v = unroll(x, v, index)
    derivatives = torch.autograd.grad(x, list(leaves.values()), bench.cotangent)
    return dict(zip(leaves, derivatives, strict=True))


class AutogradModel:
    """The cropped forward model in plain tensor operations that torch can differentiate."""

    def __init__(self, physics: FourierPtychography) -> None:
        self._physics = physics
        self._crop, pupil, self._camera = physics.tables()
        self._pupil_adjoint = pupil.conj().resolve_conj()
        self._pupil = pupil * (physics.grids.field_px / physics.grids.object_px) ** 2

    def gradient(self, x: Tensor, inputs: dict[str, Tensor], floor: float) -> Tensor:
        """g(x), written so that torch differentiates it again."""
        p = self._physics
        crop, pupil, camera = self._crop, self._pupil, self._camera
        n, size, w = p.grids.field_px, p.grids.object_px, pupil.shape[-1]
        order = torch.arange(w, device=x.device)
        window = torch.fft.fft2(x).reshape(len(x), -1)[:, crop].view(len(x), -1, w, w) * pupil
        padded = x.new_zeros(len(x), len(p.leds), n, n)
        padded = padded.index_put(
            (slice_all(len(x), x), slice_led(len(p.leds), x), order[:, None], order[None, :]), window
        )
        u = torch.fft.ifft2(padded)
        intensity = u.real.square() + u.imag.square()
        mixed = torch.einsum("ml,blij->bmij", inputs["weights"], intensity)
        predicted = torch.sqrt(camera @ mixed @ camera.T + inputs["offset"][:, None, None] + floor)
        residual = camera.T @ (1 - inputs["amplitude"] / predicted) @ camera
        weighted = torch.einsum("ml,bmij->blij", inputs["weights"], residual) * u
        back = torch.fft.fft2(weighted)[..., order[:, None], order[None, :]] * self._pupil_adjoint
        spectrum = x.new_zeros(len(x), size * size).index_add(1, crop, back.reshape(len(x), -1))
        area = (size / p.grids.span_px) ** 2
        image: Tensor = torch.fft.ifft2(spectrum.view(len(x), size, size))
        return image * area


def slice_all(count: int, like: Tensor) -> Tensor:
    """Index of all objects, for `index_put`."""
    return torch.arange(count, device=like.device)[:, None, None, None]


def slice_led(count: int, like: Tensor) -> Tensor:
    """Index of all LEDs, for `index_put`."""
    return torch.arange(count, device=like.device)[None, :, None, None]


def closed_form_gradient(bench: Bench, name: str, work: Scratch) -> tuple[dict[str, Tensor], str]:
    """One forward and backward pass under a strategy."""
    trace = strategy(name).forward(bench.network.chain, bench.x, bench.inputs, work)
    back = trace.backward(bench.cotangent, INPUTS)
    return back.inputs, back.certificate or ""


def run(
    unrolls: Sequence[int] = (10, 100),
    leds: int = 89,
    measurements: int = 8,
    size: int = 64,
    device: str = "auto",
    repeats: int = REPEATS,
    resident: bool = False,
    published_unrolls: int = 3,
    progress: Callable[[str], None] = lambda _text: None,
) -> dict[str, object]:
    """Measure all rows; the dictionary is what ``--json`` prints.

    With ``resident`` the closed-form strategies also run once each in a fresh process, whose peak resident memory is
    the cross-check of the meter.
    """
    target = pick_device(device)
    rows: list[Row] = []
    for depth in unrolls:
        progress(f"{depth} unrolls")
        found = _rows(make_bench(depth, leds, measurements, size, target), depth, size, repeats)
        if resident:
            threads = torch.get_num_threads()
            found = [
                replace(row, peak_resident_bytes=peak_of_pass(row.strategy, depth, leds, measurements, size, threads))
                if row.strategy in STRATEGIES
                else row
                for row in found
            ]
        rows += found
        if published_unrolls:
            rows += _published_rows(leds, measurements, size, target, depth, min(published_unrolls, depth))
    return {
        "rows": [asdict(row) for row in rows],
        "leds": leds,
        "measurements": measurements,
        "device": str(target),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "repeats": repeats,
    }


def _rows(bench: Bench, depth: int, size: int, repeats: int) -> list[Row]:
    works = {name: Scratch() for name in STRATEGIES}
    found: dict[str, tuple[dict[str, Tensor], str]] = {}

    def autograd() -> None:
        found["autograd store_all"] = autograd_gradient(bench), ""

    def torch_checkpoint() -> None:
        found["torch checkpoint"] = autograd_gradient(bench, checkpointed=True), ""

    def closed(name: str) -> Callable[[], None]:
        def call() -> None:
            found[name] = closed_form_gradient(bench, name, works[name])

        return call

    calls: dict[str, Callable[[], None]] = {"autograd store_all": autograd, "torch checkpoint": torch_checkpoint}
    calls |= {name: closed(name) for name in STRATEGIES}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(repeats):
        for name, call in calls.items():
            _synchronise(bench.x)
            began = time.perf_counter()
            call()
            _synchronise(bench.x)
            seconds[name].append(time.perf_counter() - began)
    peaks = {}
    for name in ("autograd store_all", "torch checkpoint"):
        with MemoryMeter() as meter:
            calls[name]()
        peaks[name] = meter.peak
    peaks |= {name: measure(bench.network.chain, bench.x, bench.inputs, INPUTS, name) for name in STRATEGIES}
    reference = found["store_all"][0]["weights"]
    return [
        Row(
            strategy=name,
            unrolls=depth,
            size=size,
            seconds=min(seconds[name]),
            seconds_median=median(seconds[name]),
            peak_extra_bytes=peaks[name],
            peak_resident_bytes=None,
            gradient_error=float((found[name][0]["weights"] - reference).norm() / reference.norm()),
            certificate=found[name][1],
            # Undone bit for bit, or the pass would have raised; the others do not go back.
            drift=0.0 if name == "reversible" else None,
        )
        for name in calls
    ]


def _published_rows(
    leds: int, measurements: int, size: int, device: torch.device, depth: int, unrolls: int
) -> list[Row]:
    """The published algorithm over few unrolls, each run once after one to warm up."""
    bench = make_bench(unrolls, leds, measurements, size, device)
    physics, weights = bench.network.physics, bench.inputs["weights"]
    step = physics.grids.step_per_um
    frequency = np.fft.fftfreq(size) * size * step
    radius = np.hypot(frequency[:, None], frequency[None, :])
    problem = published.full_grid_problem(
        physics.leds.illumination_na / PUBLISHED.wavelength_um / step,
        radius <= PUBLISHED.objective_na / PUBLISHED.wavelength_um,
        weights,
        bench.cotangent[0],
        float(bench.inputs["step"][0]),
        bench.network.variance_floor,
    )
    ways = {
        "published back-propagation": published.back_propagation,
        "published memory-efficient": published.memory_efficient,
    }
    rows, gradients = [], {}
    for name, way in ways.items():
        arguments = problem, bench.x[0], weights, bench.cotangent[0]
        way(*arguments, 1)
        seconds = []
        for _ in range(2):
            _synchronise(bench.x)
            began = time.perf_counter()
            gradients[name] = way(*arguments, unrolls)
            _synchronise(bench.x)
            seconds.append((time.perf_counter() - began) * depth / unrolls)
        with MemoryMeter() as meter:
            way(*arguments, unrolls)
        grows = name == "published back-propagation"
        reference = gradients["published back-propagation"]
        rows.append(
            Row(
                strategy=name,
                unrolls=depth,
                size=size,
                seconds=min(seconds),
                seconds_median=median(seconds),
                peak_extra_bytes=meter.peak * depth // unrolls if grows else meter.peak,
                peak_resident_bytes=None,
                # Against its own back-propagation: it is another network, without momentum.
                gradient_error=float((gradients[name] - reference).norm() / reference.norm()),
                certificate="",
                measured_unrolls=unrolls,
                transforms=problem.transforms_per_gradient(),
            )
        )
    return rows


def _synchronise(x: Tensor) -> None:
    if x.is_cuda:
        torch.cuda.synchronize(x.device)


def table(result: dict[str, object]) -> str:
    """The rows as text, with times relative to autograd back-propagation."""
    rows: list[dict[str, object]] = result["rows"]  # type: ignore[assignment]
    base = {row["unrolls"]: float(row["seconds"]) for row in rows if row["strategy"] == "autograd store_all"}  # type: ignore[arg-type]
    lines = [
        f"{result['leds']} LEDs, {result['measurements']} measurements, {result['device']}, "
        f"{result['threads']} threads, load {result['load']}, minimum of {result['repeats']} interleaved repeats",
        f"{'strategy':<28}{'unrolls':>8}{'size':>6}{'seconds':>10}{'median':>10}{'x autograd':>12}{'MB':>10}"
        f"{'resident':>10}{'error':>10}  certificate",
    ]
    for row in rows:
        seconds = float(row["seconds"])  # type: ignore[arg-type]
        peak = row["peak_resident_bytes"]
        resident = "" if peak is None else f"{float(peak) / 1e6:.2f}"  # type: ignore[arg-type]
        lines.append(
            f"{row['strategy']:<28}{row['unrolls']:>8}{row['size']:>6}{seconds:>10.3f}{row['seconds_median']:>10.3f}"
            f"{seconds / base[row['unrolls']]:>12.2f}{float(row['peak_extra_bytes']) / 1e6:>10.2f}{resident:>10}"  # type: ignore[arg-type]
            f"{row['gradient_error']:>10.1e}  {row['certificate']}"
        )
    return "\n".join(lines)
