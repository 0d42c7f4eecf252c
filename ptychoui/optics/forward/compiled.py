"""Pixel loops over LED fields, compiled for the CPU: each reads every value once and writes no more than it must.

Fields are (L, 2 P) reals, pairs (re, im) of P pixels; images that weigh them are (L, P). Threads share LEDs, or rows of
the spectrum where LEDs overlap, and add in LED order: the bits of a loop do not depend on the number of threads. Those
of sums over LEDs do, whose chunks grow with it.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from math import factorial
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch
from numba import prange


def _threads() -> bool:
    """True if loops can share work among threads: OpenMP is the layer that several Python threads may call at once."""
    try:
        importlib.import_module("numba.np.ufunc.omppool")
    except ImportError:
        return False
    numba.config.THREADING_LAYER = "omp"
    return True


_PARALLEL = _threads()


def _compiled(function: Any) -> Any:
    settings = {"nogil": True, "parallel": _PARALLEL, "fastmath": {"contract", "nsz"}, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **settings)(function)
    except RuntimeError:  # there is no folder for the cache: every process compiles
        return numba.njit(**settings)(function)


SHARED_FROM = 2**17
"""Pixels of all fields from which threads share the loops: on a busy machine every meeting of threads waits for the
slowest, and small loops would wait longer than they work."""


def threads_for(pixels: int) -> int:
    """Threads that share loops over so many pixels: as many as torch has, or one where fields are small."""
    return min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS) if pixels >= SHARED_FROM else 1


def choose_threads(pixels: int) -> None:
    """Let the loops that this thread starts use as many threads as `threads_for` says."""
    threads = torch.get_num_threads()
    numba.set_num_threads(threads_for(pixels))
    if torch.get_num_threads() != threads:  # both use OpenMP: starting one's threads changes the other's number
        torch.set_num_threads(threads)


# Series of sine and cosine: up to pi/4 the next term is below 3e-18.
S3, S5, S7, S9, S11, S13, S15, S17 = (sign / factorial(k) for k, sign in zip(range(3, 18, 2), (-1, 1) * 4, strict=True))
C2, C4, C6, C8, C10, C12, C14, C16 = (sign / factorial(k) for k, sign in zip(range(2, 17, 2), (-1, 1) * 4, strict=True))


@_compiled
def pupils(fraction: Any, cutoff: float, medium: float, defocus: float, waves: Any, out: Any) -> None:
    """Pupil of every LED as `PupilWindows.pupils` defines it, in rows of pairs: fraction (L, 2), out (L, w, 2 w) reals.

    Frequencies are counted in samples: the aperture's radius ``cutoff``, the medium's n / lambda. The phase in waves is
    ``defocus`` times the axial frequency plus the polynomial sum_ab waves[a, b] x^a y^b.
    """
    w, order, reach = out.shape[1], waves.shape[0], cutoff + 0.5
    half = w // 2
    for led in prange(out.shape[0]):
        middle = half + fraction[led, 0]
        # The open samples of all lines in one row: loops over short lines would hardly use vector instructions.
        real, imag, in_x = np.empty(w * w), np.empty(w * w), np.empty(order)
        count = 0
        for i in range(w):
            y = i - half - fraction[led, 1]
            first, last = _open(reach, y, middle, w)
            for a in range(order):
                in_x[a] = 0
                for b in range(order - 1, -1, -1):
                    in_x[a] = in_x[a] * y + waves[a, b]
            phase = real[count : count + last - first]
            phase[:] = in_x[order - 1]
            for a in range(order - 2, -1, -1):
                for j in range(last - first):
                    phase[j] = phase[j] * (j + first - middle) + in_x[a]
            if defocus != 0:
                for j in range(last - first):
                    x = j + first - middle
                    squared = medium * medium - x * x - y * y
                    phase[j] += defocus * np.sqrt(squared if squared > 0 else 0.0)
            count += last - first
        for k in range(count):
            # A quarter of the angle, at most pi/4, by its series and doubled twice: a library's sine would keep the
            # loop from vector instructions. Adding and taking away 1.5 * 2^52 rounds to a whole number.
            q = (real[k] - ((real[k] + 6755399441055744.0) - 6755399441055744.0)) * (0.5 * np.pi)
            z = q * q
            sine = q * (1 + z * (S3 + z * (S5 + z * (S7 + z * (S9 + z * (S11 + z * (S13 + z * (S15 + z * S17))))))))
            cosine = 1 + z * (C2 + z * (C4 + z * (C6 + z * (C8 + z * (C10 + z * (C12 + z * (C14 + z * C16)))))))
            half_sine, half_cosine = 2 * sine * cosine, 1 - 2 * sine * sine
            real[k], imag[k] = 1 - 2 * half_sine * half_sine, 2 * half_sine * half_cosine
        count = 0
        for i in range(w):
            y, o = i - half - fraction[led, 1], out[led, i]
            first, last = _open(reach, y, middle, w)
            o[: 2 * first] = 0
            o[2 * last :] = 0
            for j in range(first, last):
                edge = reach - np.sqrt((j - middle) * (j - middle) + y * y)
                edge = edge if edge < 1 else 1.0
                edge = edge if edge > 0 else 0.0
                o[2 * j] = edge * real[count + j - first]
                o[2 * j + 1] = edge * imag[count + j - first]
            count += last - first


@numba.njit(error_model="numpy", inline="always")  # type: ignore[untyped-decorator]
def _open(reach: float, y: float, middle: float, w: int) -> Any:
    """First and last column, and one, that may be open on a line: one to spare, as the edge itself says what is."""
    squared = reach * reach - y * y
    chord = np.sqrt(squared) + 1 if squared > 0 else 0.0
    return max(0, int(middle - chord)), max(0, min(w, int(middle + chord) + 2))


@_compiled
def gather(spectrum: Any, row: Any, column: Any, pupil: Any, out: Any) -> None:
    """out[l, i, j] = pupil[l, i, j] spectrum[row[l] + i, column[l] + j], in the corner of (l, n, n) fields.

    ``spectrum`` is (N, N), ``row`` and ``column`` (l,), ``pupil`` (l, w, w). Rows and columns go on at zero where they
    leave the spectrum.
    """
    size, w = spectrum.shape[1], pupil.shape[1]
    for led in prange(row.shape[0]):
        first = column[led]
        run = min(w, size - first)
        for i in range(w):
            line, p, o = spectrum[(row[led] + i) % size], pupil[led, i], out[led, i]
            for j in range(run):
                o[j] = p[j] * line[first + j]
            for j in range(run, w):
                o[j] = p[j] * line[j - run]


@_compiled
def scatter(transformed: Any, row: Any, column: Any, pupil: Any, spectrum: Any) -> None:
    """spectrum[row[l] + i, column[l] + j] += conj(pupil[l, i, j]) transformed[l, i, j], in LED order.

    Shapes are those of `gather`. Threads share the spectrum's rows: each looks up which windows cross a row, a trifle
    next to adding them.
    """
    size, w = spectrum.shape[1], pupil.shape[1]
    for place in prange(size):
        line = spectrum[place]
        for led in range(row.shape[0]):
            i = (place - row[led]) % size
            if i >= w:
                continue
            first, p, t = column[led], pupil[led, i], transformed[led, i]
            run = min(w, size - first)
            for j in range(run):
                line[first + j] += np.conj(p[j]) * t[j]
            for j in range(run, w):
                line[j - run] += np.conj(p[j]) * t[j]


@_compiled
def square(fields: Any, out: Any) -> None:
    """|u|^2 of fields (l, 2 n n), pairs of reals, into ``out`` (l, n n)."""
    for led in prange(fields.shape[0]):
        u, o = fields[led], out[led]
        for i in range(o.shape[0]):
            o[i] = u[2 * i] * u[2 * i] + u[2 * i + 1] * u[2 * i + 1]


@_compiled
def cross(fields: Any, others: Any, out: Any) -> None:
    """2 Re(conj(u) b) of fields u and others b (l, 2 n n), pairs of reals, into ``out`` (l, n n)."""
    for led in prange(fields.shape[0]):
        u, b, o = fields[led], others[led], out[led]
        for i in range(o.shape[0]):
            o[i] = 2 * (u[2 * i] * b[2 * i] + u[2 * i + 1] * b[2 * i + 1])


@_compiled
def square_and_keep(fields: Any, out: Any, kept: Any) -> None:
    """|u|^2 as `square`, and u itself copied to ``kept`` (l, 2 n n) while it is at hand."""
    for led in prange(fields.shape[0]):
        u, o, k = fields[led], out[led], kept[led]
        for i in range(o.shape[0]):
            re, im = u[2 * i], u[2 * i + 1]
            k[2 * i] = re
            k[2 * i + 1] = im
            o[i] = re * re + im * im


@_compiled
def cross_and_keep(fields: Any, others: Any, out: Any, kept: Any) -> None:
    """2 Re(conj(u) b) as `cross`, and b itself copied to ``kept`` (l, 2 n n) while it is at hand."""
    for led in prange(fields.shape[0]):
        u, b, o, k = fields[led], others[led], out[led], kept[led]
        for i in range(o.shape[0]):
            re, im = b[2 * i], b[2 * i + 1]
            k[2 * i] = re
            k[2 * i + 1] = im
            o[i] = 2 * (u[2 * i] * re + u[2 * i + 1] * im)


@_compiled
def scale(fields: Any, weights: Any, out: Any) -> None:
    """W u of weights (l, n n) and fields (l, 2 n n), pairs of reals, into ``out`` (l, 2 n n)."""
    for led in prange(fields.shape[0]):
        u, w, o = fields[led], weights[led], out[led]
        for i in range(w.shape[0]):
            o[2 * i] = w[i] * u[2 * i]
            o[2 * i + 1] = w[i] * u[2 * i + 1]


@_compiled
def combine(fields: Any, changes: Any, others: Any, weights: Any, out: Any) -> None:
    """W b + dw u of weights and changes (l, n n), others b and fields u (l, 2 n n), into ``out`` (l, 2 n n)."""
    for led in prange(fields.shape[0]):
        u, dw, b, w, o = fields[led], changes[led], others[led], weights[led], out[led]
        for i in range(w.shape[0]):
            o[2 * i] = w[i] * b[2 * i] + dw[i] * u[2 * i]
            o[2 * i + 1] = w[i] * b[2 * i + 1] + dw[i] * u[2 * i + 1]


@_compiled
def residual(mixed: Any, offset: Any, amplitude: Any, floor: Any, predicted: Any, out: Any) -> None:
    """Amplitudes s = sqrt(max(y + o, 0) + floor) and (s - s^) / s of images (R, P); offsets (M,) go round."""
    for image in prange(mixed.shape[0]):
        y, a, s, r, o = mixed[image], amplitude[image], predicted[image], out[image], offset[image % len(offset)]
        for i in range(y.shape[0]):
            light = y[i] + o
            light = light if light > 0 else light * 0
            root = np.sqrt(light + floor)
            s[i] = root
            r[i] = (root - a[i]) / root


@_compiled
def residual_change(change: Any, amplitude: Any, predicted: Any, half: Any, out: Any) -> None:
    """The change dr = s^ dy / (2 s^3), images (R, P); ``half`` is 0.5 in their type."""
    for image in prange(change.shape[0]):
        dy, a, s, dr = change[image], amplitude[image], predicted[image], out[image]
        for i in range(dy.shape[0]):
            dr[i] = half * a[i] * dy[i] / (s[i] * s[i] * s[i])


_LOOPS = (
    residual,
    residual_change,
    pupils,
    gather,
    scatter,
    square,
    square_and_keep,
    cross,
    cross_and_keep,
    scale,
    combine,
)


def compiled_before() -> bool:
    """Whether loops lie compiled on the disk; where they do not, `prepare` takes half a minute once."""
    folder = getattr(getattr(gather, "_cache", None), "cache_path", None)
    return folder is not None and any(Path(folder).glob("*gather*.nbi"))


def show_progress(done: int, total: int) -> None:
    """Write down how many loops are compiled: what set-up shows."""
    print(f"\r  {done} of {total}", end="\n" if done == total else "", flush=True)


@cache
def prepare(dtype: str, tell: Callable[[int, int], None] = lambda _done, _total: None) -> None:
    """Compile all loops for fields of ``complex64`` or ``complex128``, or load them from the disk.

    Where nothing lies on the disk a second process compiles half of them, if there is a second processor. What lies
    there may have been damaged by a power cut: then it is thrown away and made again. ``tell`` hears how many loops are
    there, of how many.
    """
    choose_threads(0)
    beside = None if compiled_before() or processors() < 2 else _compiling_beside(dtype)
    try:
        _run_all(np.dtype(dtype), tell, beside)
    except Exception:
        for loop in _LOOPS:
            loop.recompile()
        _run_all(np.dtype(dtype), tell)


def prepare_second_half(dtype: str) -> None:
    """Compile those loops that `prepare` leaves to a second process."""
    choose_threads(0)
    for loop, given in _calls(np.dtype(dtype))[FIRST_HALF:]:
        loop(*given)


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _compiling_beside(dtype: str) -> subprocess.Popen[bytes] | None:
    """A process that compiles the second half onto the disk, or None where none can be started."""
    if getattr(gather, "_cache", None) is None or getattr(sys, "frozen", False):
        return None
    words = [sys.executable, "-c", f"from {__name__} import prepare_second_half; prepare_second_half({dtype!r})"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    quiet = subprocess.DEVNULL
    try:
        return subprocess.Popen(words, env=environment, stdin=quiet, stdout=quiet, stderr=quiet)
    except OSError:
        return None


FIRST_HALF = 5
"""So many loops take as long to compile as the others with the start of a process."""


def _run_all(
    dtype: np.dtype[Any], tell: Callable[[int, int], None], beside: subprocess.Popen[bytes] | None = None
) -> None:
    calls = _calls(dtype)
    try:
        for done, (loop, given) in enumerate(calls):
            tell(done, len(calls))
            if beside is not None and done == FIRST_HALF:
                beside.wait()  # however it ended: what it has not left on the disk is compiled here
            loop(*given)
    finally:
        if beside is not None:
            beside.kill()
            beside.wait()
    tell(len(calls), len(calls))


def _calls(dtype: np.dtype[Any]) -> list[tuple[Any, tuple[Any, ...]]]:
    """Every loop with the smallest arrays it can be given; the first `FIRST_HALF` take longest."""
    one = np.zeros((1, 1, 1), dtype)
    place = np.zeros(1, np.int64)
    pairs, image = np.zeros((1, 2), one.real.dtype), np.zeros((1, 1), one.real.dtype)
    return [
        (gather, (one[0], place, place, one, one.copy())),
        (scatter, (one, place, place, one, one[0].copy())),
        (pupils, (np.zeros((1, 2)), 1.0, 1.0, 0.0, np.zeros((1, 1)), pairs[None])),
        (square, (pairs, image)),
        (square_and_keep, (pairs, image, pairs)),
        (cross, (pairs, pairs, image)),
        (cross_and_keep, (pairs, pairs, image, pairs)),
        (scale, (pairs, image, pairs)),
        (combine, (pairs, image, pairs, image, pairs)),
        (residual, (image, image[0], image, image[0, 0], image, image)),
        (residual_change, (image, image, image, image[0, 0], image)),
    ]
