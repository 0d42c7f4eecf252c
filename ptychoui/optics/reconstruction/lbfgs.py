"""Minimisation of a smooth function whose unknowns were scaled to a curvature of about one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from torch import Tensor

Evaluate = Callable[[Tensor], tuple[float, Tensor]]

HISTORY = 8
HALVINGS = 8
SUFFICIENT = 1e-4


def limited_memory_bfgs(
    x: Tensor, evaluate: Evaluate, evaluations: int, first_step: float = 0.5
) -> Iterator[tuple[Tensor, float]]:
    """Yield better and better unknowns and their values, as long as there are any; the first are those given.

    L-BFGS (Nocedal and Wright, Numerical Optimization, 2006, algorithm 7.5) with halved steps until the value falls
    enough. The unknowns' scale is trusted: the first step is ``first_step`` times the gradient, where the libraries'
    start with one of unit length and spend ten evaluations on finding the right one.

    Parameters
    ----------
    x
        (n,) real unknowns.
    evaluate
        Value and gradient; the gradient may share no memory with that of another call.
    evaluations
        How often ``evaluate`` may be called.
    """
    value, gradient = evaluate(x)
    left = evaluations - 1
    yield x, value
    pairs: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=HISTORY)
    while True:
        direction = _direction(gradient, pairs)
        slope = float(gradient @ direction)
        if not slope < 0:
            if not pairs:
                return
            pairs.clear()
            direction, slope = -gradient, -float(gradient @ gradient)
        step = 1.0 if pairs else first_step
        for _ in range(HALVINGS):
            if not left:
                return
            left -= 1
            tried = x.add(direction, alpha=step)
            new, new_gradient = evaluate(tried)
            if new <= value + SUFFICIENT * step * slope:
                break
            step /= 2
        else:
            if not pairs:
                return
            pairs.clear()
            continue
        moved, bent = tried - x, new_gradient - gradient
        curvature = float(moved @ bent)
        if curvature > 1e-10 * float(bent @ bent):
            pairs.append((moved, bent, curvature))
        x, value, gradient = tried, new, new_gradient
        yield x, value


def _direction(gradient: Tensor, pairs: deque[tuple[Tensor, Tensor, float]]) -> Tensor:
    direction = -gradient
    if not pairs:
        return direction
    shares = []
    for moved, bent, curvature in reversed(pairs):
        share = float(moved @ direction) / curvature
        direction = direction.sub(bent, alpha=share)
        shares.append(share)
    _moved, bent, curvature = pairs[-1]
    direction.mul_(curvature / float(bent @ bent))
    for (moved, bent, curvature), share in zip(pairs, reversed(shares), strict=True):
        direction.add_(moved, alpha=share - float(bent @ direction) / curvature)
    return direction
