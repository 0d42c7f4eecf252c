"""``ptychoui bench peers``: the same small problems through other libraries, time and memory beside ours.

* `coupling`: blocks of additive couplings by torch, torch's checkpoints, memcnn and revtorch, and by the engine under
  four strategies. They compute the same numbers; errors are against plain autograd in the same precision. The
  strategy ``reversible`` needs heavy-ball steps, so that it has another network of the same F and G, with a plain
  autograd of its own.
* `implicit`: a least-squares layer by the engine, by torch through the steps of conjugate gradients, by deepinv and by
  torchdeq.

memcnn, revtorch, deepinv and torchdeq are no dependencies of ptychoui: a row says where one is not installed or does
not run. Rows are interleaved; memory is that of tensor storages beyond weights and input, by the memory meter.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import Generic, TypeVar

import torch
from torch import Tensor

from ptychoui.bench.peers import coupling, implicit
from ptychoui.bench.peers.coupling import CannotRun, first_line
from ptychoui.engine.memory import MemoryMeter

T = TypeVar("T")

REPEATS = 5
SOLVED = 1e-12
"""Relative residual of the reference in double precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table; where ``note`` says why a method cannot run, there are no numbers.

    Attributes
    ----------
    network
        What is differentiated; rows of the same one are compared.
    errors
        Relative error of the gradient, or of the derivatives by name.
    drift
        Relative error of the input made again on the way back, where it can be seen.
    """

    network: str
    method: str
    depth: int
    seconds: float | None = None
    seconds_median: float | None = None
    peak_extra_bytes: int | None = None
    errors: Mapping[str, float] | None = None
    drift: float | None = None
    certificate: str = ""
    note: str = ""


@dataclass(slots=True)
class _Measured(Generic[T]):
    """What a method gave."""

    found: T
    seconds: list[float]
    peak: int = 0


def run(
    unrolls: Sequence[int] = (10, 30, 100),
    size: int = 64,
    repeats: int = REPEATS,
    gain: float = 4.0,
    progress: Callable[[str], None] = lambda _text: None,
) -> dict[str, object]:
    """Measure all rows; the dictionary is what ``--json`` prints.

    ``unrolls`` are numbers of blocks, ``size`` the edge of the images, ``gain`` how much larger the weights of a
    block's last convolutions are than torch makes them.
    """
    rows: list[Row] = []
    for depth in unrolls:
        progress(f"{depth} blocks")
        rows += _coupling_rows(coupling.make_problem(depth, size, gain=gain), depth, repeats)
    progress("least squares")
    rows += _implicit_rows(implicit.make_problem(size), repeats)
    return {
        "rows": [asdict(row) for row in rows],
        "size": size,
        "gain": gain,
        "repeats": repeats,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def _coupling_rows(problem: coupling.Problem, depth: int, repeats: int) -> list[Row]:
    foreign = [name for name, method in coupling.METHODS.items() if method.foreign]
    methods = {name: partial(method.run, problem) for name, method in coupling.METHODS.items()}
    measured = _measure(methods, foreign, repeats)
    references: dict[str, Tensor] = {}
    rows = []
    for name, method in coupling.METHODS.items():
        one = measured[name]
        if isinstance(one, str):
            rows.append(Row(network=method.network, method=name, depth=depth, note=one))
            continue
        reference = references.setdefault(method.network, one.found.flat)
        rows.append(
            Row(
                network=method.network,
                method=name,
                depth=depth,
                seconds=min(one.seconds),
                seconds_median=median(one.seconds),
                peak_extra_bytes=one.peak,
                errors={"gradient": float((one.found.flat - reference).norm() / reference.norm())},
                drift=one.found.drift,
                certificate=one.found.certificate,
            )
        )
    return rows


def _implicit_rows(problem: implicit.Problem, repeats: int) -> list[Row]:
    reference = implicit.through_steps(problem.double(), SOLVED)
    methods = {name: partial(method, problem) for name, method in implicit.METHODS.items()}
    rows = []
    for name, one in _measure(methods, implicit.FOREIGN, repeats).items():
        if isinstance(one, str):
            rows.append(Row(network=implicit.NETWORK, method=name, depth=1, note=one))
            continue
        rows.append(
            Row(
                network=implicit.NETWORK,
                method=name,
                depth=1,
                seconds=min(one.seconds),
                seconds_median=median(one.seconds),
                peak_extra_bytes=one.peak,
                errors=implicit.errors(one.found, reference),
            )
        )
    return rows


def _measure(
    methods: Mapping[str, Callable[[], T]], foreign: Sequence[str], repeats: int
) -> dict[str, _Measured[T] | str]:
    """Run all methods in turn, once to warm up, then timed, then with the meter on; text where a foreign one fails."""
    measured: dict[str, _Measured[T] | str] = {}
    for name, method in methods.items():
        measured[name] = _first(method, name in foreign)
    for _ in range(repeats):
        for name, method in methods.items():
            one = measured[name]
            if isinstance(one, _Measured):
                began = time.perf_counter()
                method()
                one.seconds.append(time.perf_counter() - began)
    for name, method in methods.items():
        one = measured[name]
        if isinstance(one, _Measured):
            with MemoryMeter(resized=True) as meter:
                method()
            one.peak = meter.peak
    return measured


def _first(method: Callable[[], T], foreign: bool) -> _Measured[T] | str:
    if not foreign:
        return _Measured(method(), [])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _Measured(method(), [])
        except CannotRun as error:
            return str(error)
        except Exception as error:
            return f"does not run: {first_line(error)}"


def table(result: Mapping[str, object]) -> str:
    """The rows as text; times relative to the first row of the same network and depth."""
    rows: list[dict[str, object]] = result["rows"]  # type: ignore[assignment]
    lines = [
        f"{result['size']} x {result['size']}, gain {result['gain']}, {result['threads']} threads, torch "
        f"{result['torch']}, minimum of {result['repeats']} interleaved repeats; errors are relative",
        f"{'network':<14}{'method':<22}{'depth':>6}{'ms':>9}{'median':>9}{'x first':>9}{'MB':>9}{'drift':>9}  errors",
    ]
    first: dict[object, float] = {}
    for row in rows:
        start = f"{row['network']:<14}{row['method']:<22}{row['depth']:>6}"
        if row["note"]:
            lines.append(f"{start}  {row['note']}")
            continue
        seconds, middle = float(row["seconds"]), float(row["seconds_median"])  # type: ignore[arg-type]
        ratio = seconds / first.setdefault((row["network"], row["depth"]), seconds)
        drift = "" if row["drift"] is None else f"{row['drift']:.1e}"
        found: dict[str, float] = row["errors"]  # type: ignore[assignment]
        errors = ", ".join(f"{name} {value:.1e}" for name, value in found.items())
        said = f"; {row['certificate']}" if row["certificate"] else ""
        lines.append(
            f"{start}{1e3 * seconds:>9.1f}{1e3 * middle:>9.1f}{ratio:>9.2f}"
            f"{float(row['peak_extra_bytes']) / 1e6:>9.2f}{drift:>9}  {errors}{said}"  # type: ignore[arg-type]
        )
    return "\n".join(lines)
