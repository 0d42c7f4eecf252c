"""Tiles become one field: factors that make them agree, fading, and what a seam would show."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import release
from ptychoui.data.scratch import room
from ptychoui.workflows.crop import CropRegion
from ptychoui.workflows.tile_plan import TilePlan

MARGIN_SHARE = 0.25
"""Share of an overlap, at the edge of each tile, that is not used: there light comes in from outside the tile."""

ComplexArray = NDArray[np.complex64]
Objects = Sequence[ComplexArray] | ComplexArray
"""(tile, row, column)"""


def _shared(plan: TilePlan, a: int, b: int, margin_px: int) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
    """Where two tiles overlap, in pixels of each one's object, without a margin at the edges of both."""
    first, second, up, size = plan.windows[a], plan.windows[b], plan.upsampling, plan.tile_px
    low = (max(first.row, second.row) + margin_px, max(first.column, second.column) + margin_px)
    high = (
        min(first.row, second.row) + size - margin_px,
        min(first.column, second.column) + size - margin_px,
    )
    if high[0] <= low[0] or high[1] <= low[1]:
        return None

    def inside(window: CropRegion) -> tuple[slice, slice]:
        return (
            slice((low[0] - window.row) * up, (high[0] - window.row) * up),
            slice((low[1] - window.column) * up, (high[1] - window.column) * up),
        )

    return inside(first), inside(second)


def _margin(plan: TilePlan) -> int:
    return max(1, int(MARGIN_SHARE * plan.overlap_px))


def match(plan: TilePlan, objects: Objects) -> NDArray[np.complex128]:
    """(tile,) factors c that make tiles agree: least squares of c_a A - c_b B over all overlaps.

    The logarithm of c is found: first along a tree of the best overlaps, then for all of them at once, where phase
    differences are no longer ambiguous. The mean of all logarithms is zero.
    """
    count = len(objects)
    links: list[tuple[int, int, complex, float]] = []
    for a, b in plan.pairs():
        shared = _shared(plan, a, b, _margin(plan))
        if shared is None:
            continue
        first, second = objects[a][shared[0]].astype(complex), objects[b][shared[1]].astype(complex)
        product = complex(np.vdot(first, second))  # conj(A) B
        powers = float(np.vdot(first, first).real), float(np.vdot(second, second).real)
        if min(powers) > 0 and product != 0:
            # c_a / c_b should be B / A.
            ratio = math.sqrt(powers[1] / powers[0]) * product / abs(product)
            links.append((a, b, complex(np.log(ratio)), abs(product)))
        _give_back(objects)
    log = np.zeros(count, complex)
    reached = {0}
    for _ in range(count - 1):
        best = max(
            (link for link in links if (link[0] in reached) != (link[1] in reached)), key=_strength, default=None
        )
        if best is None:
            break
        a, b, ratio_log, _weight = best
        if a in reached:
            log[b] = log[a] - ratio_log
            reached.add(b)
        else:
            log[a] = log[b] + ratio_log
            reached.add(a)
    laplacian, right = np.zeros((count, count)), np.zeros(count, complex)
    for a, b, ratio_log, weight in links:
        left = ratio_log - (log[a] - log[b])
        left = complex(left.real, (left.imag + math.pi) % (2 * math.pi) - math.pi)
        laplacian[[a, b], [a, b]] += weight
        laplacian[[a, b], [b, a]] -= weight
        right[a] += weight * left
        right[b] -= weight * left
    log += np.linalg.lstsq(laplacian, right, rcond=None)[0]
    return np.asarray(np.exp(log - log.mean()))


def _strength(link: tuple[int, int, complex, float]) -> float:
    return link[3]


def blend(plan: TilePlan, objects: Objects, factors: NDArray[np.complex128]) -> ComplexArray:
    """(row, column) field: tiles times their factors, faded into each other over their overlaps."""
    up, edge = plan.upsampling, plan.tile_px * plan.upsampling
    margin = _margin(plan) * up
    rows, columns = plan.shape[0] * up, plan.shape[1] * up
    total = room((rows, columns), np.complex64)
    total[:] = 0
    fade = max(1, plan.overlap_px * up - 2 * margin)

    def ramp(first: int, length: int) -> NDArray[np.float32]:
        """Weights along one axis; no fading at the border of the field."""
        place = np.arange(edge) + 0.5
        low = np.clip((place - margin) / fade, 0, 1) if first > 0 else np.ones(edge)
        high = np.clip((edge - place - margin) / fade, 0, 1) if first + edge < length else np.ones(edge)
        return np.asarray((np.sin(low * math.pi / 2) * np.sin(high * math.pi / 2)) ** 2 + 1e-12, np.float32)

    for window, image, factor in zip(plan.windows, objects, factors, strict=True):
        row, column = window.row * up, window.column * up
        weight = ramp(row, rows)[:, None] * ramp(column, columns)
        total[row : row + edge, column : column + edge] += np.complex64(factor) * image * weight
        _give_back(objects)
        release(total)
    # Tiles stand in rows and columns, so that the sum of their weights is a product.
    along = [np.zeros(length, np.float32) for length in (rows, columns)]
    for axis, starts in enumerate(({w.row for w in plan.windows}, {w.column for w in plan.windows})):
        for start in starts:
            along[axis][start * up : start * up + edge] += ramp(start * up, len(along[axis]))
    for first in range(0, rows, edge):
        strip = slice(first, first + edge)
        total[strip] /= along[0][strip, None] * along[1]
        release(total)
    return total


def _give_back(objects: Objects) -> None:
    """Where objects lie in a file, let go of what was read of it."""
    if isinstance(objects, np.ndarray):
        release(objects)


def mismatch(plan: TilePlan, objects: Objects, factors: NDArray[np.complex128]) -> float:
    """RMS difference of neighbours along the lines where they meet, over the standard deviation of the object.

    Before blending, pixel by pixel: what a seam would show, noise included.

    ``factors`` are (tile,) complex, what each tile's object is multiplied by.
    """
    squares, count, spread = 0.0, 0, []
    for a, b in plan.pairs():
        # A strip of two camera pixels in the middle of the overlap.
        first, second = plan.windows[a], plan.windows[b]
        rows = plan.tile_px - abs(first.row - second.row)
        columns = plan.tile_px - abs(first.column - second.column)
        shared = _shared(plan, a, b, max(0, (min(rows, columns) - 2) // 2))
        if shared is None:
            continue
        difference = factors[a] * objects[a][shared[0]] - factors[b] * objects[b][shared[1]]
        squares += float(np.sum(np.abs(difference) ** 2))
        count += difference.size
        _give_back(objects)
    for factor, image in zip(factors, objects, strict=True):
        spread.append(float(np.std(factor * image)))
        _give_back(objects)
    return math.sqrt(squares / count) / float(np.mean(spread)) if count else 0.0
