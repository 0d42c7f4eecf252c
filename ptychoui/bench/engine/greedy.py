"""``ptychoui bench greedy``: greedy learning against checkpoints at the same memory, and where their losses go.

Two networks with one greedy module per unroll, so that both methods keep one linearised layer:

* ``cnn``: residual CNNs with weights of their own in every unroll, x' = x + h_k(x), which remove noise from photographs
  and micrographs. By counting, checkpoints take 4/3 of the time: a forward pass more, where a backward pass takes two;
* ``fpm``: the problem of the published curves, 89 LEDs and 8 measurements: 5 L transforms against 4 L, 1.25.

Timed is one step without its optimiser, which is the same for both: forward pass, loss or losses, all derivatives. The
figure ``by parts`` is what the layers' increments, products and stored passes, timed alone, allow on this machine.

The loss curves are of the same networks and the same batches in the same order: the CNNs end to end and greedily, every
module with an Adam of its own and each method with the better of two learning rates (Ozturkler et al. 2022: modules are
updated one after the other, the next one gets the output computed before the update), and a design learned from an
experiment under ``reversible`` and ``greedy``, where modules share the design and its derivative is that of the mean of
their losses. Scores are those of the last output on held-out data; scoring is not part of the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

import torch

from ptychoui.bench.clocks import pick_clock
from ptychoui.bench.engine.greedy_cost import Row, compare
from ptychoui.bench.engine.greedy_curves import RATES, Curve, Say, at_equal_effort, cnn_curve, design_curve
from ptychoui.bench.engine.greedy_problems import CHECKPOINT, TRAINING_IMAGES, Crops, fpm_task, make_cnn
from ptychoui.settings import FpmExperiment
from ptychoui.training.gradients import GREEDY

DESIGN_STRATEGY = "reversible"


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run(
    unrolls: int = 10,
    size: int = 64,
    channels: int = 48,
    batch: int = 2,
    repeats: int = 20,
    steps: int = 100,
    design: FpmExperiment | None = None,
    design_steps: int = 40,
    threads: Sequence[int] = (1, 2),
    leds: int = 89,
    measurements: int = 8,
    say: Say = lambda _text: None,
    clock: str = "wall",
) -> dict[str, object]:
    """Measure both problems, then draw the curves; the dictionary is what ``--json`` prints.

    Curves are learned with the first number of threads, on the clock of that name; no ``steps`` or no ``design`` leaves
    theirs out.
    """
    on = pick_clock(clock)
    rows: list[Row] = []
    for count in threads:
        with _threads(count):
            say(f"{count} threads: time and memory of a step")
            cnn = make_cnn(unrolls, size, channels)
            tasks = (
                cnn.task(*Crops(TRAINING_IMAGES, size, 0).batch(batch)),
                fpm_task(unrolls, size, leds, measurements),
            )
            for task in tasks:
                rows.append(compare(task, repeats))
                row = rows[-1]
                say(f"    {row.problem}: {row.ratio:.3f}, {row.ratio_median:.3f} of medians, {row.ratio_cpu:.3f} cpu")
    curves: list[tuple[Curve, Curve]] = []
    with _threads(threads[0]):
        if steps:
            methods = (CHECKPOINT, GREEDY)
            pair = [
                min(
                    (
                        cnn_curve(method, unrolls, size, channels, batch, steps, rate, say=say, clock=on)
                        for rate in RATES
                    ),
                    key=lambda curve: curve.scores[-1],
                )
                for method in methods
            ]
            curves.append((pair[0], pair[1]))
        if design is not None and design_steps:
            pair = [design_curve(method, design, design_steps, say, on) for method in (DESIGN_STRATEGY, GREEDY)]
            curves.append((pair[0], pair[1]))
    return {
        "rows": [asdict(row) for row in rows],
        "curves": [asdict(curve) for pair in curves for curve in pair],
        "equal_effort": [at_equal_effort(*pair) for pair in curves],
        "channels": channels,
        "batch": batch,
        "leds": leds,
        "measurements": measurements,
        "repeats": repeats,
        "curve_threads": threads[0],
        "clock": clock,
    }


def table(result: dict[str, object]) -> str:
    """The result as text."""
    rows: list[dict[str, float]] = result["rows"]  # type: ignore[assignment]
    pairs: list[dict[str, dict[str, float]]] = result["equal_effort"]  # type: ignore[assignment]
    lines = [
        f"a step without its optimiser; cnn: {result['channels']} channels, batch {result['batch']}; fpm: "
        f"{result['leds']} LEDs, {result['measurements']} measurements; minimum of {result['repeats']} interleaved "
        "repeats",
        f"{'problem':<9}{'unrolls':>8}{'size':>6}{'threads':>9}{'checkpoint':>12}{'greedy':>9}{'ratio':>8}{'median':>8}"
        f"{'cpu':>7}{'by parts':>10}{'counting':>10}{'checkpoint MB':>15}{'greedy MB':>11}{'load':>7}",
    ]
    for row in rows:
        load = "" if row["load"] is None else f"{row['load']:.2f}"
        lines.append(
            f"{row['problem']:<9}{row['unrolls']:>8}{row['size']:>6}{row['threads']:>9}"
            f"{row['checkpoint_seconds']:>10.3f} s{row['greedy_seconds']:>7.3f} s{row['ratio']:>8.3f}"
            f"{row['ratio_median']:>8.3f}{row['ratio_cpu']:>7.3f}{row['by_parts']:>10.3f}{row['by_counting']:>10.3f}"
            f"{row['checkpoint_bytes'] / 1e6:>15.1f}{row['greedy_bytes'] / 1e6:>11.1f}{load:>7}"
        )
    for pair in pairs:
        for effort, unit in (("steps", "steps"), ("seconds", "s")):
            found = ", ".join(f"{name} {score:.4g}" for name, score in pair[f"equal_{effort}"].items())
            lines.append(
                f"{pair['problem']}: held-out error {pair['at_start']:.4g} at the start, after {pair[effort]:.4g} "
                f"{unit}: {found}"
            )
    return "\n".join(lines)
