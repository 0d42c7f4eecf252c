"""Which strategy fits a memory budget, and why, in one sentence."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

import torch

from ptychoui.engine.inverse import Inverse
from ptychoui.engine.memory import predict
from ptychoui.engine.sizes import size_text
from ptychoui.engine.strategies import strategy, usable
from ptychoui.engine.strategy import Chain, LayerCost
from ptychoui.errors import EngineError

SHARE = 0.7
"""Part of the free memory of a device that a pass may take where no budget is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One way to run a pass.

    Attributes
    ----------
    strategy
        Name.
    peak
        Predicted peak in bytes.
    effort
        Work per unroll and object, in the unit of the layers.
    objects
        Objects of a batch that are differentiated together, or None where there is nothing to choose.
    variant
        Words for a variant of the layers that takes less memory and more time, or nothing.
    parts
        For segments: what each of them keeps, in words.
    """

    strategy: str
    peak: int
    effort: float
    objects: int | None = None
    variant: str = ""
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An option with its reason.

    Attributes
    ----------
    option
        What was chosen.
    predicted
        Peak bytes of a pass under every strategy that can run the chain, for the objects and variant chosen.
    sentence
        For people: what was chosen, what it takes, what back-propagation would take.
    """

    option: Option
    predicted: Mapping[str, int]
    sentence: str

    @property
    def strategy(self) -> str:
        """Name of the strategy."""
        return self.option.strategy


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


TYPICAL_RESIDENT = 400 * 2**20


def resident_bytes() -> int:
    """Bytes of this process that are in memory now, or what it usually takes where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return TYPICAL_RESIDENT


def options(cost: LayerCost, chain: Chain, objects: int | None = None, variant: str = "") -> list[Option]:
    """Every strategy that can run the chain."""
    return [
        Option(strategy=name, peak=peak, effort=strategy(name).effort(chain), objects=objects, variant=variant)
        for name, peak in predict_all(cost, chain).items()
    ]


def plan(cost: LayerCost, chain: Chain, budget: int, approximate: bool = False) -> Plan:
    """Take the fastest strategy that fits ``budget`` bytes.

    Parameters
    ----------
    approximate
        Let it be ``inverse``, too, whose gradients are as good as its drift tolerance.

    Raises
    ------
    EngineError
        If none fits; it says how much the smallest needs.
    """
    return choose(options(cost, chain), budget, lambda option: approximate or option.strategy != Inverse.name)


def choose(among: Sequence[Option], budget: int, allowed: Callable[[Option], bool] = lambda _option: True) -> Plan:
    """Take the option with the least work that fits ``budget`` bytes; of equals, the first.

    Parameters
    ----------
    among
        The first of them named ``store_all`` is what others are compared with.
    allowed
        Which of them may be chosen.

    Raises
    ------
    EngineError
        If none fits; it says how much the smallest needs. If the budget is not a positive number.
    """
    if not 0 < budget < inf:
        raise EngineError(f"a memory budget of {budget} bytes is not a positive number", "give it in bytes")
    candidates = [option for option in among if allowed(option)]
    fitting = [option for option in candidates if option.peak <= budget]
    if not fitting:
        least = min(candidates, key=lambda option: option.peak)
        needed, given = size_text(least.peak), size_text(budget)
        if needed == given:
            needed, given = f"{least.peak} B", f"{budget} B"
        raise EngineError(
            f"a pass needs at least {needed} ({words(least)}), the budget is {given}",
            "raise the budget (engine.memory_mb), or use a smaller batch or tile",
        )
    chosen = min(fitting, key=lambda option: option.effort)
    reference = next(option for option in among if option.strategy == "store_all")
    sentence = f"{words(chosen)}: {size_text(chosen.peak)} of {size_text(budget)}"
    if chosen is not reference:
        sentence += (
            f", {chosen.effort / reference.effort:.3g}x the time of back-propagation; back-propagation would need "
            f"{size_text(reference.peak)}"
        )
    return Plan(option=chosen, predicted=predicted_beside(chosen, among), sentence=sentence)


def predicted_beside(chosen: Option, among: Sequence[Option]) -> dict[str, int]:
    """Peak bytes of every strategy for the objects and the variant of an option."""
    return {
        option.strategy: option.peak
        for option in among
        if (option.objects, option.variant) == (chosen.objects, chosen.variant)
    }


def words(option: Option) -> str:
    """An option for people."""
    found = [option.strategy, option.variant]
    if option.objects is not None:
        found.append("one object at a time" if option.objects == 1 else f"{option.objects} objects at a time")
    return ", ".join(word for word in found if word)


def cheaper(current: Option, among: Sequence[Option]) -> Option | None:
    """The option with the least work that takes clearly less memory, or None: what to try when memory has run out."""
    less = [option for option in among if option.peak < 0.9 * current.peak]
    return min(less, key=lambda option: option.effort, default=None)
