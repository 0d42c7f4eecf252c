"""Gradient strategies: what each keeps between the forward and the backward pass.

For N unrolls; transforms are those of the Fourier ptychographic layer with L LEDs, per unroll:

| strategy   | memory besides one layer                       | transforms      | gradient         | limits           |
|------------|------------------------------------------------|-----------------|------------------|------------------|
| store_all  | N linearised layers                            | 4 L             | exact            | grows with N     |
| checkpoint | N points                                       | 5 L             | exact            | grows, slowly    |
| offload    | N points on the host                           | 5 L             | exact            | copies, on a GPU |
| binomial   | s states, s = 17 for N = 1000                  | up to 4 L + 6 L | exact            | slowest          |
| reversible | log2(d/n) bits per number and unroll, in words | 6 L             | exact, certified | heavy ball only  |
| inverse    | states where errors would grow too large       | (5 + 2 T) L     | drift measured   | not heavy ball   |

T is the number of fixed-point steps. `Segments` cuts a network into parts with different strategies; `greedy` trains
modules by losses of their own instead of differentiating end to end.

The exact ones run the same layers on the same points with the same update rule, so their gradients are equal bit for
bit; `tests/engine` holds them to that.
"""

from __future__ import annotations

from ptychoui.engine.binomial import Binomial
from ptychoui.engine.inverse import Inverse
from ptychoui.engine.reversible import Reversible
from ptychoui.engine.stored import Checkpoint, Offload, StoreAll
from ptychoui.engine.strategy import Chain, Strategy
from ptychoui.errors import EngineError

STRATEGIES: dict[str, type[Strategy]] = {
    cls.name: cls for cls in (StoreAll, Checkpoint, Offload, Binomial, Reversible, Inverse)
}


def strategy(name: str) -> Strategy:
    """Return the strategy of that name, or say which there are.

    Raises
    ------
    EngineError
        If there is none of that name.
    """
    if name not in STRATEGIES:
        raise EngineError(f"there is no strategy {name!r}", f"strategies are {', '.join(STRATEGIES)}")
    return STRATEGIES[name]()


def usable(chain: Chain) -> list[str]:
    """Names of the strategies that can run a chain."""
    found = []
    for name in STRATEGIES:
        try:
            strategy(name).check(chain)
        except EngineError:
            continue
        found.append(name)
    return found
