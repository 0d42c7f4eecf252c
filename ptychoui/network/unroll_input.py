"""One number per unroll among the inputs: thresholds, weights of a quadratic term."""

from __future__ import annotations

from torch import Tensor

from ptychoui.engine.layer import Inputs
from ptychoui.errors import EngineError


def unroll_number(inputs: Inputs, name: str, index: int, zero: bool = False) -> Tensor:
    """The positive number of one unroll: element ``index`` of the input ``name``, a vector, as a 0-d tensor.

    Parameters
    ----------
    zero
        Whether the number may be zero.

    Raises
    ------
    EngineError
        If the input is missing, too short, or its number is out of range.
    """
    if name not in inputs:
        raise EngineError(f"there is no input {name!r}", f"inputs are {', '.join(inputs) or 'none'}")
    numbers = inputs[name]
    if numbers.ndim != 1 or not 0 <= index < len(numbers):
        raise EngineError(
            f"the input {name!r} of shape {tuple(numbers.shape)} has no number for unroll {index + 1}",
            f"give {name} one number for each unroll",
        )
    number = numbers[index]
    value = float(number.detach())
    if not (value > 0 or (zero and value == 0)) or value == float("inf"):
        least = "at least" if zero else "above"
        raise EngineError(
            f"the {name} of unroll {index + 1} is {value:.3g}, but must be finite and {least} 0",
            f"keep {name} positive while it is learned: bound it, or learn its logarithm",
        )
    return number
