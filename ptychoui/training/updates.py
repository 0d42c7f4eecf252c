"""The optimisers of a run: one for everything that is learned, or one for each greedy module beside it.

Published greedy learning gives every module an optimiser of its own (Ozturkler et al. 2022, section 3). Here a
module's optimiser has what only its own unrolls use; parameters that all modules share get the mean of the modules'
derivatives. Steps are taken once all derivatives of a batch are there: no module's derivative depends on another
module's step, so the numbers are those of stepping module by module, and a run that is stopped or runs out of memory
between two modules is left with a whole step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.training.parameters import ParameterSet

BETA_MEAN, BETA_SQUARE, EPSILON = 0.9, 0.999, 1e-8


@dataclass(slots=True, kw_only=True)
class _Part:
    """A parameter, or the part of it that one module's unrolls have, with its rate and what Adam remembers of it.

    Attributes
    ----------
    key
        In a saved state.
    name, part
        Of the parameter, and which of its unrolls.
    module
        Whose unrolls these are, where a module has an optimiser of its own.
    tensor
        The part itself, of any shape.
    base_rate, rate
        Learning rate of the run, and of the newest step.
    memory
        Empty before the first step; then ``step``, a count (0-d), and the moments ``exp_avg`` and ``exp_avg_sq``, of
        the tensor's shape.
    """

    key: str
    name: str
    part: slice
    module: int | None
    tensor: Tensor
    base_rate: float
    rate: float
    memory: dict[str, Tensor]

    def remember(self) -> None:
        """Make room for the moments, if there is none yet."""
        if not self.memory:
            self.memory = {
                "step": torch.tensor(0.0),
                "exp_avg": torch.zeros_like(self.tensor),
                "exp_avg_sq": torch.zeros_like(self.tensor),
            }


class Updates:
    """Adam (Kingma and Ba 2015, algorithm 1) on a parameter set, in place.

    Written out, operation by operation as torch.optim.Adam does it: that one would load torch's compiler first, which
    takes a second or two before the first step.

    Parameters
    ----------
    rate
        Learning rate, which the set's own rates are relative to.
    modules
        Numbers of unrolls of modules with optimisers of their own; none by default.
    """

    def __init__(self, parameters: ParameterSet, rate: float, modules: Sequence[int] = ()) -> None:
        self._parameters = parameters
        self._parts: list[_Part] = []
        own = parameters.per_unroll if modules else frozenset()
        for name in parameters.learned:
            if name not in own:
                self._add(name, name, slice(None), None, rate)
        first = 0
        for module, unrolls in enumerate(modules):
            part, first = slice(first, first + unrolls), first + unrolls
            for name in parameters.learned:
                if name in own:
                    self._add(f"{name}.{module}", name, part, module, rate)

    def _add(self, key: str, name: str, part: slice, module: int | None, rate: float) -> None:
        tensor, rate = self._parameters[name][part], rate * self._parameters.rates[name]
        made = _Part(key=key, name=name, part=part, module=module, tensor=tensor, base_rate=rate, rate=rate, memory={})
        self._parts.append(made)

    @property
    def apart(self) -> bool:
        """Whether everything that is learned belongs to one module or another."""
        return all(part.module is not None for part in self._parts)

    def tensors_of(self, module: int) -> list[Tensor]:
        """What a module learns and what its optimiser remembers, each of its part's shape, to be written in place."""
        found: list[Tensor] = []
        for part in self._parts:
            if part.module == module:
                part.remember()
                found += [part.tensor, *part.memory.values()]
        return found

    def step(self, gradients: Mapping[str, Tensor], factor: float, module: int | None = None) -> None:
        """One step with learning rates times ``factor``, of one module only where it is given.

        Each gradient has its parameter's shape.
        """
        with torch.no_grad():
            for part in self._parts:
                if module is not None and part.module != module:
                    continue
                part.rate = part.base_rate * factor
                _adam_(part, gradients[part.name][part.part])

    @property
    def rates(self) -> list[float]:
        """Learning rates of the newest step, in the order of the parameters."""
        return [part.rate for part in self._parts]

    def state(self) -> dict[str, NDArray[Any]]:
        """What the optimisers remember, as plain arrays: moments of their part's shape, step counts 0-d."""
        return {
            f"adam_{part.key}_{name}": value.detach().cpu().numpy()
            for part in self._parts
            for name, value in part.memory.items()
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up what `state` gave, in its shapes; what is missing begins anew."""
        for part in self._parts:
            prefix = f"adam_{part.key}_"
            saved = {
                name.removeprefix(prefix): torch.from_numpy(np.array(value))
                for name, value in arrays.items()
                if name.startswith(prefix)
            }
            if saved:
                # In the precision of the parameter, which may have been changed since; the step is a count.
                part.memory = {
                    name: value if name == "step" else value.to(part.tensor) for name, value in saved.items()
                }


def _adam_(part: _Part, gradient: Tensor) -> None:
    """One step of a part of a parameter, in place; the gradient has its shape. Complex numbers count as two reals."""
    part.remember()
    part.memory["step"] += 1
    count = float(part.memory["step"])
    tensor, mean, square = part.tensor, part.memory["exp_avg"], part.memory["exp_avg_sq"]
    if tensor.is_complex():
        tensor, gradient, mean, square = (torch.view_as_real(each) for each in (tensor, gradient, mean, square))
    mean.lerp_(gradient, 1 - BETA_MEAN)
    square.mul_(BETA_SQUARE).addcmul_(gradient, gradient, value=1 - BETA_SQUARE)
    root = (square.sqrt() / (1 - BETA_SQUARE**count) ** 0.5).add_(EPSILON)
    tensor.addcdiv_(mean, root, value=-part.rate / (1 - BETA_MEAN**count))
