"""Parts of a saved state: parameters and the order of the examples, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui.errors import RunError
from ptychoui.training.parameters import ParameterSet


def restore_parameters(parameters: ParameterSet, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Take up saved parameters, in place.

    Raises
    ------
    RunError
        If one has another shape.
    KeyError
        If one is missing.
    """
    for name, tensor in parameters.items():
        saved = torch.from_numpy(np.array(arrays[f"parameter_{name}"]))
        if saved.shape != tensor.shape:
            raise RunError(
                f"the saved {name} have the shape {tuple(saved.shape)}, the experiment needs {tuple(tensor.shape)}",
                "the run's experiment.toml or data were changed; start a new run",
            )
        with torch.no_grad():
            tensor.copy_(saved)


def order_text(state: Mapping[str, Any]) -> str:
    """The state of NumPy's PCG64 as text."""
    inner = state["state"]
    return f"{inner['state']}:{inner['inc']}:{state['has_uint32']}:{state['uinteger']}"


def order_of(text: str) -> dict[str, Any]:
    """The state that `order_text` wrote."""
    state, inc, has, uinteger = (int(part) for part in text.split(":"))
    return {
        "bit_generator": "PCG64",
        "state": {"state": state, "inc": inc},
        "has_uint32": has,
        "uinteger": uinteger,
    }
