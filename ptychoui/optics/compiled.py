"""Pixel loops over LED fields, compiled for the CPU: each reads every value once and writes no more than it must.

Fields are (L, 2 P) reals, pairs (re, im) of P pixels; images that weigh them are (L, P). Threads share LEDs, or rows of
the spectrum where LEDs overlap, and add in LED order: the bits do not depend on the number of threads.
"""

from __future__ import annotations

import importlib
from functools import cache
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


def choose_threads(pixels: int) -> None:
    """Let the loops that this thread starts use as many threads as torch does, or one where fields are small."""
    threads = torch.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS) if pixels >= SHARED_FROM else 1)
    if torch.get_num_threads() != threads:  # both use OpenMP: starting one's threads changes the other's number
        torch.set_num_threads(threads)


@_compiled
def gather(spectrum: Any, row: Any, column: Any, pupil: Any, out: Any) -> None:
    """out[l, i, j] = pupil[l, i, j] spectrum[row[l, i], column[l] + j], in the corner of (L, n, n) fields.

    Columns go on at zero where they leave the spectrum: two runs without an index to look up.
    """
    size, w = spectrum.shape[1], row.shape[1]
    for led in prange(row.shape[0]):
        first = column[led]
        run = min(w, size - first)
        for i in range(w):
            line, p, o = spectrum[row[led, i]], pupil[led, i], out[led, i]
            for j in range(run):
                o[j] = p[j] * line[first + j]
            for j in range(run, w):
                o[j] = p[j] * line[j - run]


@_compiled
def scatter(transformed: Any, start: Any, led: Any, i: Any, column: Any, pupil: Any, spectrum: Any) -> None:
    """spectrum[row, column[l] + j] += conj(pupil[l, i, j]) transformed[l, i, j] for all (l, i) that lie on the row.

    These are entries start[row] to start[row + 1] of ``led`` and ``i``, in LED order.
    """
    size, w = spectrum.shape[1], pupil.shape[1]
    for row in prange(spectrum.shape[0]):
        line = spectrum[row]
        for k in range(start[row], start[row + 1]):
            first, p, t = column[led[k]], pupil[led[k], i[k]], transformed[led[k], i[k]]
            run = min(w, size - first)
            for j in range(run):
                line[first + j] += np.conj(p[j]) * t[j]
            for j in range(run, w):
                line[j - run] += np.conj(p[j]) * t[j]


@_compiled
def square(fields: Any, out: Any) -> None:
    """|u|^2."""
    for led in prange(fields.shape[0]):
        u, o = fields[led], out[led]
        for i in range(o.shape[0]):
            o[i] = u[2 * i] * u[2 * i] + u[2 * i + 1] * u[2 * i + 1]


@_compiled
def cross(fields: Any, others: Any, out: Any) -> None:
    """2 Re(conj(u) b)."""
    for led in prange(fields.shape[0]):
        u, b, o = fields[led], others[led], out[led]
        for i in range(o.shape[0]):
            o[i] = 2 * (u[2 * i] * b[2 * i] + u[2 * i + 1] * b[2 * i + 1])


@_compiled
def square_and_keep(fields: Any, out: Any, kept: Any) -> None:
    """|u|^2, and u itself copied while it is at hand."""
    for led in prange(fields.shape[0]):
        u, o, k = fields[led], out[led], kept[led]
        for i in range(o.shape[0]):
            re, im = u[2 * i], u[2 * i + 1]
            k[2 * i] = re
            k[2 * i + 1] = im
            o[i] = re * re + im * im


@_compiled
def cross_and_keep(fields: Any, others: Any, out: Any, kept: Any) -> None:
    """2 Re(conj(u) b), and b itself copied while it is at hand."""
    for led in prange(fields.shape[0]):
        u, b, o, k = fields[led], others[led], out[led], kept[led]
        for i in range(o.shape[0]):
            re, im = b[2 * i], b[2 * i + 1]
            k[2 * i] = re
            k[2 * i + 1] = im
            o[i] = 2 * (u[2 * i] * re + u[2 * i + 1] * im)


@_compiled
def scale(fields: Any, weights: Any, out: Any) -> None:
    """W u."""
    for led in prange(fields.shape[0]):
        u, w, o = fields[led], weights[led], out[led]
        for i in range(w.shape[0]):
            o[2 * i] = w[i] * u[2 * i]
            o[2 * i + 1] = w[i] * u[2 * i + 1]


@_compiled
def combine(fields: Any, changes: Any, others: Any, weights: Any, out: Any) -> None:
    """W b + dw u."""
    for led in prange(fields.shape[0]):
        u, dw, b, w, o = fields[led], changes[led], others[led], weights[led], out[led]
        for i in range(w.shape[0]):
            o[2 * i] = w[i] * b[2 * i] + dw[i] * u[2 * i]
            o[2 * i + 1] = w[i] * b[2 * i + 1] + dw[i] * u[2 * i + 1]


_LOOPS = (gather, scatter, square, square_and_keep, cross, cross_and_keep, scale, combine)


@cache
def prepare(dtype: str) -> None:
    """Compile all loops for fields of ``complex64`` or ``complex128``, or load them from the disk.

    What lies on the disk may have been damaged by a power cut: then it is thrown away and made again.
    """
    choose_threads(0)
    try:
        _run_all(np.dtype(dtype))
    except Exception:
        for loop in _LOOPS:
            loop.recompile()
        _run_all(np.dtype(dtype))


def _run_all(dtype: np.dtype[Any]) -> None:
    one = np.zeros((1, 1, 1), dtype)
    place = np.zeros(1, np.int64)
    gather(one[0], place[None], place, one, one.copy())
    scatter(one, np.array([0, 1]), place, place, place, one, one[0].copy())
    pairs, image = np.zeros((1, 2), one.real.dtype), np.zeros((1, 1), one.real.dtype)
    square(pairs, image)
    square_and_keep(pairs, image, pairs)
    cross(pairs, pairs, image)
    cross_and_keep(pairs, pairs, image, pairs)
    scale(pairs, image, pairs)
    combine(pairs, image, pairs, image, pairs)
