"""The integer steps of the heavy-ball update, compiled for the CPU: one pass over the state instead of some twenty.

What is computed is what `update.HeavyBall` does with tensor operations elsewhere, to the last bit. Division by a
constant known to the compiler is a multiplication.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numba


class IntegerSteps(NamedTuple):
    """Both work on flat arrays, in place, and take increments in the working precision.

    ``advance(x, v, remainder, increment)`` takes a step and returns the largest magnitude of an increment and of x, in
    integers for x; NaN where an increment is NaN. ``retreat(v, remainder, increment)`` undoes it but for the position.
    """

    advance: Any
    retreat: Any


@cache
def integer_steps(n: int, d: int, unit: float) -> IntegerSteps:
    """Steps with momentum n / d for states in units of 1 / ``unit``."""

    def advance(x: Any, v: Any, remainder: Any, increment: Any) -> Any:
        largest, furthest, strange = 0.0, 0, False
        for i in range(x.shape[0]):
            h = float(increment[i])
            size = abs(h)
            strange = strange or not (size <= 1e300)
            largest = max(largest, size)
            a = v[i]
            quotient = a // d
            buffer = remainder[i] * d + (a - quotient * d)
            kept = buffer // n
            moved = quotient * n + (buffer - kept * n) + int(_rint(h * unit))
            v[i] = moved
            remainder[i] = kept
            place = x[i] + moved
            x[i] = place
            furthest = max(furthest, abs(place))
        return (largest if not strange else float("nan")), furthest

    def retreat(v: Any, remainder: Any, increment: Any) -> None:
        for i in range(v.shape[0]):
            a = v[i] - int(_rint(float(increment[i]) * unit))
            quotient = a // n
            buffer = remainder[i] * n + (a - quotient * n)
            kept = buffer // d
            v[i] = quotient * d + (buffer - kept * d)
            remainder[i] = kept

    return IntegerSteps(_compiled(advance), _compiled(retreat))


def _compiled(function: Any) -> Any:
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # there is no folder for the cache: every process compiles
        return numba.njit(nogil=True, error_model="numpy")(function)


@numba.njit(inline="always")  # type: ignore[untyped-decorator]
def _rint(value: float) -> float:
    """To the nearest integer, halves to the even one, as torch rounds."""
    shifted = value + 6755399441055744.0 if abs(value) < 4503599627370496.0 else value
    return shifted - 6755399441055744.0 if abs(value) < 4503599627370496.0 else value
