"""Which strategy fits a memory budget, and why, in one sentence."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ptychoui.engine.memory import predict
from ptychoui.engine.strategies import strategy, usable
from ptychoui.engine.strategy import Chain, LayerCost
from ptychoui.errors import EngineError

SHARE = 0.7
"""Part of the free memory of a device that a pass may take where no budget is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A strategy with its reason.

    Attributes
    ----------
    strategy
        Name.
    predicted
        Peak bytes of a pass under every strategy that can run the chain.
    sentence
        For people: what was chosen, what it takes, what back-propagation would take.
    """

    strategy: str
    predicted: Mapping[str, int]
    sentence: str


def predict_all(cost: LayerCost, chain: Chain) -> dict[str, int]:
    """Peak bytes of a pass under every strategy that can run the chain."""
    return {name: predict(cost, chain, name) for name in usable(chain)}


def relative_time(name: str, chain: Chain) -> float:
    """Time over that of back-propagation, by the work that the layers declare."""
    return strategy(name).effort(chain) / strategy("store_all").effort(chain)


def free_memory(device: torch.device) -> int:
    """Bytes that a pass may take on a device: `SHARE` of what is free."""
    if device.type == "cuda":
        return int(SHARE * torch.cuda.mem_get_info(device)[0])
    try:
        return int(SHARE * os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError, AttributeError):
        return 2 * 2**30


def plan(cost: LayerCost, chain: Chain, budget: int) -> Plan:
    """Take the fastest strategy that fits ``budget`` bytes.

    Raises
    ------
    EngineError
        If none fits; it says how much the smallest needs.
    """
    predicted = predict_all(cost, chain)
    fitting = [name for name, size in predicted.items() if size <= budget]
    if not fitting:
        least = min(predicted, key=lambda name: predicted[name])
        raise EngineError(
            f"a pass needs at least {_size(predicted[least])} ({least}), the budget is {_size(budget)}",
            "raise engine.memory_mb, or use a smaller batch or tile",
        )
    chosen = min(fitting, key=lambda name: relative_time(name, chain))
    times = relative_time(chosen, chain)
    sentence = f"{chosen}: {_size(predicted[chosen])} of {_size(budget)}"
    if chosen != "store_all":
        sentence += (
            f", {times:.3g}x the time of back-propagation; back-propagation would need {_size(predicted['store_all'])}"
        )
    return Plan(strategy=chosen, predicted=predicted, sentence=sentence)


def cheaper(name: str, predicted: Mapping[str, int], chain: Chain) -> str | None:
    """The fastest strategy that takes less memory than another, or None: what to try when memory has run out."""
    less = [other for other, size in predicted.items() if size < 0.9 * predicted[name]]
    return min(less, key=lambda other: relative_time(other, chain), default=None)


def _size(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count / 1e3:.3g} kB"
