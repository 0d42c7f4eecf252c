"""The optimisers of a run: one for everything that is learned, or one for each greedy module beside it.

Published greedy learning gives every module an optimiser of its own (Ozturkler et al. 2022, section 3). Here a
module's optimiser has what only its own unrolls use; parameters that all modules share get the mean of the modules'
derivatives. Steps are taken once all derivatives of a batch are there: no module's derivative depends on another
module's step, so the numbers are those of stepping module by module, and a run that is stopped or runs out of memory
between two modules is left with a whole step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.training.parameters import ParameterSet


class Updates:
    """Adam on a parameter set, in place.

    Parameters
    ----------
    rate
        Learning rate, which the set's own rates are relative to.
    modules
        Numbers of unrolls of modules with optimisers of their own; none by default.
    """

    def __init__(self, parameters: ParameterSet, rate: float, modules: Sequence[int] = ()) -> None:
        self._parameters = parameters
        self._parts: list[tuple[str, str, slice, Tensor]] = []
        """(key in a saved state, name of the parameter, its part, that part's tensor)"""
        own = parameters.per_unroll if modules else frozenset()
        groups = [self._group(name, name, slice(None), rate) for name in parameters.learned if name not in own]
        self._optimisers = [torch.optim.Adam(groups)] if groups else []
        first = 0
        for module, unrolls in enumerate(modules):
            part, first = slice(first, first + unrolls), first + unrolls
            groups = [self._group(f"{name}.{module}", name, part, rate) for name in parameters.learned if name in own]
            self._optimisers += [torch.optim.Adam(groups)] if groups else []
        self._rates = [[group["lr"] for group in optimiser.param_groups] for optimiser in self._optimisers]

    def _group(self, key: str, name: str, part: slice, rate: float) -> dict[str, Any]:
        whole = self._parameters[name]
        # The tensor itself where it is taken whole: an optimiser knows its parameters by identity.
        tensor = whole if part == slice(None) else whole[part]
        self._parts.append((key, name, part, tensor))
        return {"params": [tensor], "lr": rate * self._parameters.rates[name]}

    def step(self, gradients: Mapping[str, Tensor], factor: float) -> None:
        """One step with learning rates times ``factor``; each gradient has its parameter's shape."""
        for _key, name, part, tensor in self._parts:
            tensor.grad = gradients[name][part]
        for optimiser, rates in zip(self._optimisers, self._rates, strict=True):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            optimiser.step()

    @property
    def rates(self) -> list[float]:
        """Learning rates of the newest step, in the order of the parameters."""
        return [group["lr"] for optimiser in self._optimisers for group in optimiser.param_groups]

    def state(self) -> dict[str, NDArray[Any]]:
        """What the optimisers remember, as plain arrays: moments of their part's shape, step counts 0-d."""
        return {
            f"adam_{key}_{name}": torch.as_tensor(value).detach().cpu().numpy()
            for key, _name, _part, tensor in self._parts
            for name, value in self._memory(tensor).items()
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up what `state` gave, in its shapes; what is missing begins anew."""
        for key, _name, _part, tensor in self._parts:
            prefix = f"adam_{key}_"
            saved = {
                name.removeprefix(prefix): torch.from_numpy(np.array(value))
                for name, value in arrays.items()
                if name.startswith(prefix)
            }
            if saved:
                # In the precision of the parameter, which may have been changed since; the step is a count.
                memory = {name: value if name == "step" else value.to(tensor) for name, value in saved.items()}
                self._optimiser_of(tensor).state[tensor] = memory

    def _memory(self, tensor: Tensor) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._optimiser_of(tensor).state.get(tensor, {})
        return found

    def _optimiser_of(self, tensor: Tensor) -> torch.optim.Optimizer:
        return next(
            optimiser
            for optimiser in self._optimisers
            if any(tensor is each for group in optimiser.param_groups for each in group["params"])
        )
