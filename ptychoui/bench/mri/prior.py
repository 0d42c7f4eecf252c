"""A learned prior beside reconstructions that learned nothing, over several seeds, each with phantoms of its own.

Every seed draws other phantoms, coils, noise and patterns and trains a network from other weights. Classical methods
are tuned for it on its own training examples; all see the same samples and estimated maps. Gains are in dB: 20 log10 of
the ratio of errors, which is the difference of peak signal-to-noise ratios, averaged over held-out examples; intervals
are Student's, paired by seed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui.bench.intervals import interval
from ptychoui.errors import SettingsError
from ptychoui.settings import MriExperiment
from ptychoui.tasks.mri.recommendation import band_errors, judge, method_and_strength
from ptychoui.tasks.mri.task import build_task
from ptychoui.training.events import Validated
from ptychoui.training.trainer import Trainer

Say = Callable[[str], None]


def run(
    experiment: MriExperiment,
    seeds: Sequence[int],
    say: Say = lambda _line: None,
    keep: Callable[[dict[str, Any]], None] = lambda _result: None,
    picture: str | None = None,
) -> dict[str, Any]:
    """Train and judge once for every seed; ``keep`` gets the result after each, a picture shows the first example.

    Raises
    ------
    SettingsError
        If there is no seed.
    """
    if not seeds:
        raise SettingsError("a benchmark without seeds measures nothing", "give for example --seeds 5")
    rows: list[dict[str, Any]] = []
    result: dict[str, Any] = {}
    for seed in seeds:
        began = time.process_time()
        trainer = Trainer(build_task(experiment.replace(seed=experiment.seed + seed)))
        curve = [[event.step, event.scores["nrmse"]] for event in trainer.run() if isinstance(event, Validated)]
        trained = time.process_time() - began
        found = judge(trainer.task, trainer.parameters)
        errors = {"learned": found.learned} | {method_and_strength(n)[0]: each for n, each in found.known.items()}
        rows.append(
            {
                "seed": experiment.seed + seed,
                "errors": {name: each.tolist() for name, each in errors.items()},
                "strengths": dict(method_and_strength(name) for name in found.known),
                "curve": curve,
                "training_s": trained,
            }
        )
        if found.by_samples:
            bands = band_errors(trainer.task, found)
            rows[-1]["bands"] = {method_and_strength(n)[0]: each for n, each in bands.items()}
        if picture is not None and seed == seeds[0]:
            draw(picture, {method_and_strength(n)[0]: each[0] for n, each in found.images.items()})
        result = {
            "experiment": experiment.model_dump(mode="json", exclude_none=True),
            "threads": torch.get_num_threads(),
            "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
            "judged_by": "samples" if found.by_samples else "truth",
            "rows": rows,
            **summary(rows),
        }
        means = ", ".join(f"{name} {np.mean(each):.4f}" for name, each in errors.items())
        say(f"seed {rows[-1]['seed']}: {means} ({trained:.0f} s of processor time)")
        keep(result)
    return result


def draw(path: str, images: dict[str, NDArray[np.complex64]]) -> None:
    """Magnitudes of one example by every method, of shape (*space) each, in one picture with equal limits."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    planes = {name: np.abs(image if image.ndim == 2 else image[len(image) // 2]) for name, image in images.items()}
    white = float(np.quantile(planes["learned"], 0.998))
    figure, axes = pyplot.subplots(1, len(planes), figsize=(3 * len(planes), 3.6), layout="constrained")
    for axis, (name, plane) in zip(np.atleast_1d(axes), planes.items(), strict=True):
        axis.imshow(plane, cmap="gray", vmin=0, vmax=white)
        axis.set_title(name.replace("_", " "))
        axis.set_axis_off()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean errors over all seeds, and the gain of the learned over each method in dB with its interval over seeds."""
    names = list(rows[0]["errors"])
    means = {name: float(np.mean([np.mean(row["errors"][name]) for row in rows])) for name in names}
    gains = {
        name: interval(np.array([gain_db(row["errors"][name], row["errors"]["learned"]) for row in rows]))
        for name in names
        if name != "learned"
    }
    best = min(gains, key=lambda name: means[name])
    return {"errors": means, "gains_db": gains, "best": best}


def gain_db(errors: Sequence[float], learned: Sequence[float]) -> float:
    """Mean over examples of 20 log10 of the ratio of errors, of shape (example,) each."""
    return float(np.mean(20 * np.log10(np.asarray(errors) / np.asarray(learned))))


def table(result: dict[str, Any]) -> str:
    """Errors and gains as text."""
    rows = result["rows"]
    judged = "samples that nothing has seen" if result["judged_by"] == "samples" else "the truth"
    lines = [
        f"{len(rows)} seed(s), error against {judged}; {result['threads']} thread(s), load {result['load']:.1f}, "
        f"{np.mean([row['training_s'] for row in rows]):.0f} s of processor time to train one network",
        f"{'':<14}{'error':>8}   learned is better by",
    ]
    for name, error in sorted(result["errors"].items(), key=lambda pair: -pair[1]):
        if name == "learned":
            lines.append(f"{name:<14}{error:>8.4f}")
            continue
        mean, low, high = result["gains_db"][name]
        lines.append(f"{name:<14}{error:>8.4f}   {mean:+.2f} dB [{low:+.2f}, {high:+.2f}]")
    if "bands" in rows[0]:
        lines.append("error in three rings of k-space, the innermost first:")
        for name in result["errors"]:
            rings = np.nanmean([row["bands"][name] for row in rows], axis=0)
            lines.append(f"{name:<14}" + "".join(f"{ring:>9.3f}" for ring in rings))
    return "\n".join([*lines, f"the best that learned nothing: {result['best']}"])
