"""``ptychoui bench memory`` and ``bench leds``: the memory of a pass beside what was predicted, and over LEDs.

`run` draws configurations by a seed, foretells the peak of each from probes of one layer with a few objects,
as a run does when it plans, and measures it in fresh processes:

* *metered*: tensor storages, by the memory meter;
* *own pages*: the peak resident set over what was resident before the pass, every array on pages of its own;
* *resident*: the same as a run of ptychoui has it, arrays up to 4 MiB in the C library's heap, holes included.

`run_leds` lets the planner choose at one budget, for more and more LEDs in the same disc of angles, whether to keep
them or to let them pass in chunks, and measures the same peaks. What belongs to the stack, measured images and
weights, is there before the pass and not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch

from ptychoui.bench.engine.passes import Pass
from ptychoui.bench.engine.problem import field_px
from ptychoui.bench.engine.resident import Measured, measure_pass
from ptychoui.engine.memory import for_objects, predict, predict_greedy, probe
from ptychoui.engine.planner import Option, choose, free_memory, options
from ptychoui.engine.strategies import STRATEGIES, strategy
from ptychoui.engine.strategy import Chain, LayerCost
from ptychoui.errors import GeometryError, PtychouiError
from ptychoui.network.gradient import INPUTS
from ptychoui.tasks.fpm.task import STREAMED
from ptychoui.training.gradients import GREEDY

NAMES = (*STRATEGIES, GREEDY)

SIZES = (64, 96, 128, 192, 256, 384, 512)
LEDS = (21, 37, 69, 89, 149, 293, 441)
MEASUREMENTS = (1, 2, 4, 8, 12)
UNROLLS = (2, 3, 4, 6, 9, 14, 20, 40, 100)
BATCHES = (1, 2, 3, 5, 8, 12, 20, 32)
MODULES = (2, 3, 5)

PROBED_SAMPLES = 8e6
"""Samples of all LEDs' fields up to which a geometry is drawn: a probe takes some 250 transforms of each."""

TRANSFORMED_SAMPLES = 1.2e9
"""Samples transformed up to which a pass is drawn: some 20 seconds on one core."""

GEOMETRIES = 200
"""Geometries drawn for one configuration before giving up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One configuration: bytes predicted and measured."""

    configuration: Pass
    predicted: int
    metered: int
    own_pages: int
    resident: int
    seconds: float

    def ratio(self, measured: str) -> float:
        """Predicted over measured."""
        return self.predicted / float(getattr(self, measured))


class Probes:
    """Costs of one layer, each geometry probed once."""

    def __init__(self) -> None:
        self._known: dict[Pass, LayerCost] = {}

    def cost(self, one: Pass) -> LayerCost:
        """For all of its objects, from probes with a few."""
        return for_objects(lambda objects: self._probed(replace(one, batch=objects)), one.batch)

    def _probed(self, one: Pass) -> LayerCost:
        # What a probe depends on: not the depth, and of the strategy no more than the update rule.
        key = replace(one, unrolls=1, modules=1, strategy="inverse" if one.update == "gradient" else "reversible")
        if key not in self._known:
            bench = key.bench()
            self._known[key] = probe(bench.network.chain, bench.x, bench.inputs, INPUTS)
        return self._known[key]


def predicted_bytes(one: Pass, cost: LayerCost, chain: Chain) -> int:
    """Peak bytes of a pass of a chain like that one."""
    return predict_greedy(cost, chain, one.modules) if one.strategy == GREEDY else predict(cost, chain, one.strategy)


def draw(
    generator: np.random.Generator, name: str, least: int, most: int, probes: Probes, samples: float
) -> tuple[Pass, int]:
    """A configuration under a strategy with a peak predicted between two numbers of bytes, and that peak.

    Whether LEDs are streamed is drawn first: a streamed pass takes so little memory, and one that solves so much time,
    that they get large objects and few LEDs.
    ``samples`` limits the work, in samples transformed.

    Raises
    ------
    PtychouiError
        If none of `GEOMETRIES` geometries gives one.
    """
    solves = name == "inverse"
    stream = bool(generator.integers(2)) and not solves
    leds, sizes = (LEDS[:2], SIZES[-2:]) if stream or solves else (LEDS, SIZES)
    for _ in range(GEOMETRIES):
        one = Pass(
            strategy=name,
            unrolls=1,
            leds=_one_of(generator, leds),
            measurements=_one_of(generator, MEASUREMENTS),
            size=_one_of(generator, sizes),
            stream=stream,
            modules=_one_of(generator, MODULES),
            dense=True,
        )
        if one.leds * field_px(one.size) ** 2 > PROBED_SAMPLES:
            continue
        try:
            candidates = [
                (deeper, peak)
                for deeper, chain in _depths(one, samples)
                if least <= (peak := predicted_bytes(deeper, probes.cost(deeper), chain)) <= most
            ]
        except GeometryError:  # an LED's pupil leaves the grid
            continue
        if candidates:
            return candidates[int(generator.integers(len(candidates)))]
    raise PtychouiError(
        f"none of {GEOMETRIES} geometries gives {name} a peak between {least / 1e6:.0f} and {most / 1e6:.0f} MB",
        "use a smaller --least-mb",
    )


def _depths(one: Pass, samples: float) -> Iterator[tuple[Pass, Chain]]:
    """All unrolls and batches of a geometry that do not take too long, and a chain of that depth."""
    network = one.bench().network
    of_store_all = "store_all" if one.strategy == GREEDY else one.strategy
    for unrolls in UNROLLS:
        if one.strategy == GREEDY and one.modules > unrolls:
            continue
        chain = Chain([network.chain.layers[0]] * unrolls, network.chain.update)
        work = strategy(of_store_all).effort(chain) * unrolls * one.leds * field_px(one.size) ** 2
        for batch in BATCHES:
            if work * batch <= samples:
                yield replace(one, unrolls=unrolls, batch=batch), chain


def _one_of(generator: np.random.Generator, values: Sequence[int]) -> int:
    return values[int(generator.integers(len(values)))]


def run(
    configurations: int = 12,
    seed: int = 0,
    least_mb: float = 500.0,
    samples: float = TRANSFORMED_SAMPLES,
    progress: Callable[[str], None] = lambda _text: None,
) -> dict[str, object]:
    """Foretell and measure; the dictionary is what ``--json`` prints.

    Strategies take turns, so that each is there once in every `NAMES`-full of configurations. Peaks lie between
    ``least_mb`` and four times that, as far as half of the free memory allows.
    """
    generator, probes, rows = np.random.default_rng(seed), Probes(), []
    least = int(least_mb * 1e6)
    most = min(4 * least, free_memory(torch.device("cpu")) // 2)
    order: list[str] = []
    while len(order) < configurations:
        order += [NAMES[int(place)] for place in generator.permutation(len(NAMES))]
    for name in order[:configurations]:
        one, predicted = draw(generator, name, least, most, probes, samples)
        progress(f"{_words(one)}: {predicted / 1e6:.0f} MB predicted")
        plain, apart = _measured(one)
        rows.append(_row(one, predicted, plain, apart))
    return {
        "rows": [_as_values(row) for row in rows],
        "worst": {kind: _worst([row.ratio(kind) for row in rows]) for kind in MEASURED},
        "seed": seed,
        "least_mb": least_mb,
        "threads": torch.get_num_threads(),
    }


MEASURED = ("metered", "own_pages", "resident")


def _measured(one: Pass) -> tuple[Measured, Measured]:
    threads = torch.get_num_threads()
    return measure_pass(one, threads), measure_pass(one, threads, own_pages=True)


def _row(one: Pass, predicted: int, plain: Measured, apart: Measured) -> Row:
    assert plain.metered_bytes is not None
    return Row(
        configuration=one,
        predicted=predicted,
        metered=plain.metered_bytes,
        own_pages=apart.resident_bytes,
        resident=plain.resident_bytes,
        seconds=plain.seconds,
    )


def _as_values(row: Row) -> dict[str, object]:
    return asdict(row) | {f"predicted_over_{kind}": row.ratio(kind) for kind in MEASURED}


def _worst(ratios: Sequence[float]) -> float:
    """The ratio farthest from one."""
    return max(ratios, key=lambda ratio: abs(ratio - 1), default=1.0)


def _words(one: Pass) -> str:
    kept = "streamed" if one.stream else "kept"
    return (
        f"{one.strategy}, {one.unrolls} unrolls, {one.size} px, {one.leds} LEDs {kept}, {one.measurements} "
        f"measurements, {one.batch} objects"
    )


def table(result: dict[str, object]) -> str:
    """The rows as text, peaks in MB and predicted over measured."""
    rows: list[dict[str, object]] = result["rows"]  # type: ignore[assignment]
    worst: dict[str, float] = result["worst"]  # type: ignore[assignment]
    lines = [
        f"seed {result['seed']}, {result['threads']} threads; peaks in MB, and predicted / measured",
        f"{'strategy':<12}{'unrolls':>8}{'size':>6}{'LEDs':>6}{'':>10}{'rows':>6}{'batch':>6}{'predicted':>11}"
        f"{'metered':>10}{'own pages':>11}{'resident':>10}{'/met.':>8}{'/own':>7}{'/res.':>7}{'s':>7}",
    ]
    for row in rows:
        one: dict[str, object] = row["configuration"]  # type: ignore[assignment]
        lines.append(
            f"{one['strategy']:<12}{one['unrolls']:>8}{one['size']:>6}{one['leds']:>6}"
            f"{'streamed' if one['stream'] else 'kept':>10}{one['measurements']:>6}{one['batch']:>6}"
            f"{_mb(row['predicted']):>11.1f}{_mb(row['metered']):>10.1f}{_mb(row['own_pages']):>11.1f}"
            f"{_mb(row['resident']):>10.1f}{row['predicted_over_metered']:>8.3f}{row['predicted_over_own_pages']:>7.3f}"
            f"{row['predicted_over_resident']:>7.3f}{row['seconds']:>7.1f}"
        )
    lines.append("worst: " + ", ".join(f"{worst[kind]:.3f} of {kind.replace('_', ' ')}" for kind in MEASURED))
    return "\n".join(lines)


def _mb(count: object) -> float:
    return float(count) / 1e6  # type: ignore[arg-type]


# LEDs -------------------------------------------------------------------------------------------------------------


def run_leds(
    leds: Sequence[int] = (89, 293, 581),
    size: int = 256,
    budget_mb: float | None = None,
    unrolls: int = 3,
    measurements: int = 8,
    batch: int = 1,
    progress: Callable[[str], None] = lambda _text: None,
) -> dict[str, object]:
    """A reversible pass on more and more LEDs at one budget; the dictionary is what ``--json`` prints.

    Without a budget it is 5 % above what the first number of LEDs is predicted to take when streamed.

    Raises
    ------
    EngineError
        If the budget is too small for one of them.
    """
    probes, rows = Probes(), []
    budget = None if budget_mb is None else int(budget_mb * 1e6)
    for count in leds:
        kept = Pass(
            strategy="reversible",
            unrolls=unrolls,
            leds=count,
            measurements=measurements,
            size=size,
            batch=batch,
            dense=True,
        )
        if budget is None:
            streamed = replace(kept, stream=True)
            budget = int(1.05 * predict(probes.cost(streamed), streamed.bench().network.chain, kept.strategy))
        among = _options(kept, probes) + _options(replace(kept, stream=True), probes)
        plan = choose(among, budget, lambda option: option.strategy == "reversible")
        chosen = replace(kept, stream=plan.option.variant == STREAMED)
        progress(f"{count} LEDs: {plan.sentence}")
        plain, apart = _measured(chosen)
        row = _row(chosen, plan.option.peak, plain, apart)
        rows.append(_as_values(row) | {"seconds_per_unroll": plain.seconds / unrolls})
    return {
        "rows": rows,
        "growth": {kind: _growth([float(row[kind]) for row in rows]) for kind in MEASURED},  # type: ignore[arg-type]
        "budget_bytes": budget,
        "threads": torch.get_num_threads(),
    }


def _options(one: Pass, probes: Probes) -> list[Option]:
    return options(probes.cost(one), one.bench().network.chain, None, STREAMED if one.stream else "")


def _growth(peaks: Sequence[float]) -> float:
    """Largest over smallest, less one."""
    return max(peaks) / min(peaks) - 1


def leds_table(result: dict[str, object]) -> str:
    """The rows as text."""
    rows: list[dict[str, object]] = result["rows"]  # type: ignore[assignment]
    growth: dict[str, float] = result["growth"]  # type: ignore[assignment]
    lines = [
        f"budget {_mb(result['budget_bytes']):.1f} MB, {result['threads']} threads; peaks of a reversible pass in MB",
        f"{'LEDs':>5}{'':>10}{'predicted':>11}{'metered':>10}{'own pages':>11}{'resident':>10}{'s per unroll':>14}",
    ]
    for row in rows:
        one: dict[str, object] = row["configuration"]  # type: ignore[assignment]
        lines.append(
            f"{one['leds']:>5}{'streamed' if one['stream'] else 'kept':>10}{_mb(row['predicted']):>11.2f}"
            f"{_mb(row['metered']):>10.2f}{_mb(row['own_pages']):>11.2f}{_mb(row['resident']):>10.2f}"
            f"{row['seconds_per_unroll']:>14.3f}"
        )
    lines.append("growth: " + ", ".join(f"{growth[kind]:.1%} {kind.replace('_', ' ')}" for kind in MEASURED))
    return "\n".join(lines)
