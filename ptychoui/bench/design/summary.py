"""What a comparison of designs found: paired gains with intervals, resolution, spread, what to use, as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.bench.design.entrants import (
    ALL_WHOLE,
    CEILINGS,
    EQUAL,
    LEARNED_BEFORE,
    NAMES,
    PAINTED,
    RESOLVED,
    Run,
    is_given,
)
from ptychoui.optics.quality.ring_correlation import RingCorrelation
from ptychoui.tasks.fpm.titles import NETWORK, SOLVER, TITLES
from ptychoui.training.verdict import LEARNED, Comparison, Terms, by_how_much, compared, verdict
from ptychoui.words import counted


def summarise(runs: Sequence[Run]) -> dict[str, Any]:
    """Means, paired gains with intervals, resolution, spread, where all LEDs are equalled, and what to use.

    Gains are those of the subject of a number of frames: what is learned, else the first patterns that were given, else
    the hand-made design with the smallest error; ``learned`` is the subject's error.
    """
    rows, spread, equal, verdicts = [], [], None, []
    for frames in sorted({one.frames for one in runs}):
        mine = [one for one in runs if one.frames == frames]
        subject = subject_of(mine)
        found = comparisons(mine, subject)
        for row in found:
            rows.append(
                {
                    "frames": frames,
                    "design": row.name,
                    "title": row.title,
                    "judge": row.judge,
                    "subject": subject,
                    "error": row.error,
                    "learned": row.learned,
                    "gain": row.gain,
                    "low": row.low,
                    "high": row.high,
                    "resolution_um": _resolution_um(mine, row.name) if row.judge == SOLVER else None,
                }
            )
            if row.name == ALL_WHOLE and equal is None and row.low > -EQUAL:
                equal = frames
        verdicts.append({"frames": frames, **_verdict(mine, subject, found)})
        if len(mine) > 1 and _known(mine[0]):
            for judge in mine[0].errors[subject]:
                # Seeds have other objects, too; what the best known design makes of the same ones is divided out.
                means = np.array([np.mean(one.errors[subject][judge]) / _best_known(one, judge) for one in mine])
                spread.append({"frames": frames, "judge": judge, "spread": float(means.std(ddof=1) / means.mean())})
    return {
        "rows": rows,
        "spread_over_seeds": spread,
        "equal_to_full_stack_at": equal,
        "paired_by": "seed" if max(_counts(runs)) > 1 else "held-out object",
        "verdicts": verdicts,
        "runs": [{one.name: getattr(run, one.name) for one in fields(Run)} for run in runs],
    }


def comparisons(runs: Sequence[Run], subject: str) -> list[Comparison]:
    """Every design of runs of one number of frames by every judge, with the gain of one of them over it."""
    found = []
    for name in runs[0].errors:
        for judge in (NETWORK, SOLVER):
            if judge in runs[0].errors[name] and judge in runs[0].errors[subject]:
                errors, own = paired(runs, name, judge), paired(runs, subject, judge)
                found.append(compared(name, runs[0].titles[name], judge, errors, own))
    return found


def subject_of(runs: Sequence[Run]) -> str:
    """The design whose gains are stated, of runs of one number of frames."""
    names = list(runs[0].errors)
    if LEARNED in names:
        return LEARNED
    given = [name for name in names if is_given(name)]
    if given:
        return given[0]
    return min(_known(runs[0]) or names, key=lambda name: _mean(runs, name))


def _mean(runs: Sequence[Run], name: str) -> float:
    """Mean error of a design over judges, seeds and objects."""
    return float(np.mean([np.mean(values) for one in runs for values in one.errors[name].values()]))


def _known(run: Run) -> list[str]:
    """The hand-made designs of a run."""
    return [name for name in TITLES if name in run.errors]


def _verdict(runs: Sequence[Run], subject: str, found: Sequence[Comparison]) -> dict[str, Any]:
    """What to use of the designs of one number of frames: a sentence, and the name of the design."""
    count = len(paired(runs, subject, SOLVER))
    example = "held-out object" if len(runs) == 1 else "split"
    title = runs[0].titles[subject]
    rest = [row for row in found if row.name != subject and row.name not in CEILINGS]
    if subject in CEILINGS or not rest:
        return {"recommended": subject, "sentence": ""}
    if subject in TITLES:
        next_best = min({row.name for row in rest}, key=lambda name: _mean(runs, name))
        beside = [row for row in rest if row.name == next_best]
        evidence = "; ".join(f"{by_how_much(row)} by {row.judge}" for row in beside)
        basis = f"{evidence}; over {counted(count, example)}"
        sentence = f"use {title}: the smallest mean error of the hand-made designs (beside {beside[0].title}: {basis})"
        if any(row.low > 0 for row in beside) and any(row.high < 0 for row in beside):
            sentence = f"{title} or {beside[0].title}: the judges do not agree (of the first: {basis})"
        return {"recommended": subject, "sentence": sentence}
    ours = title in (LEARNED_BEFORE, PAINTED)
    learned = "the learned patterns" if subject == LEARNED else f"the {title}" if ours else f"the patterns {title!r}"
    terms = Terms(learned=learned, example=example, more="more light, more patterns or fewer LEDs are needed")
    told = verdict(rest, count, terms, runs[0].began if subject == LEARNED else "")
    return {"recommended": subject if told.recommended == LEARNED else told.recommended, "sentence": told.sentence}


def _best_known(run: Run, judge: str) -> float:
    """Smallest mean error of the hand-made designs of a run."""
    return float(min(np.mean(run.errors[name][judge]) for name in _known(run)))


def _counts(runs: Sequence[Run]) -> list[int]:
    return [sum(other.frames == one.frames for other in runs) for one in runs]


def paired(runs: Sequence[Run], name: str, judge: str) -> NDArray[np.float64]:
    """(seed,) mean errors of a design, or (object,) errors where there is one seed."""
    errors = [np.array(one.errors[name][judge], dtype=float) for one in runs]
    return errors[0] if len(errors) == 1 else np.array([one.mean() for one in errors])


def _resolution_um(runs: Sequence[Run], name: str) -> float | None:
    """Finest resolved period of a design, from the correlation of all runs; None where nothing is resolved."""
    correlation = np.mean([one.correlation[name] for one in runs], axis=0)
    frequency = np.array(runs[0].frequency_per_um)
    rings = RingCorrelation(
        frequency_per_um=frequency, correlation=correlation, half_bit=np.ones_like(frequency), pixel_um=runs[0].pixel_um
    )
    found = rings.resolution_um(RESOLVED)
    return found if np.isfinite(found) else None


def table(result: dict[str, Any]) -> str:
    """The result as text."""
    subjects = {row["title"]: None for row in result["rows"] if row["design"] == row["subject"]}
    whose = "what is learned" if list(subjects) == [NAMES[LEARNED]] else " or ".join(subjects)
    lines = [f"complex error on held-out objects; gain of {whose}, 95 % interval paired by {result['paired_by']}"]
    for frames in sorted({row["frames"] for row in result["rows"]}):
        mine = [row for row in result["rows"] if row["frames"] == frames]
        runs = [one for one in result["runs"] if one["frames"] == frames]
        seconds = ", ".join(f"{one['seconds']:.0f} s" for one in runs)
        lines += ["", f"{frames} frames, seeds {[one['seed'] for one in runs]}, {seconds}"]
        lines.append(f"{'':<46}{'its network':>12}{'gain':>24}{'solver':>10}{'gain':>24}{'resolves':>12}")
        for name in dict.fromkeys(row["design"] for row in mine):
            cells = {row["judge"]: row for row in mine if row["design"] == name}
            network, solver = cells.get(NETWORK), cells[SOLVER]
            resolved = solver["resolution_um"]
            lines.append(
                f"{solver['title']:<46.45}{'-' if network is None else format(network['error'], '.3f'):>12}"
                f"{_gain(network):>24}{solver['error']:>10.3f}{_gain(solver):>24}"
                f"{'-' if resolved is None else format(resolved, '.2f') + ' um':>12}"
            )
    for one in result["verdicts"]:
        if one["sentence"]:
            lines.append(f"{one['frames']} frames: {one['sentence']}")
    for one in result["spread_over_seeds"]:
        lines.append(
            f"{one['frames']} frames: {whose} over the best known design spreads by {one['spread']:.1%} by "
            f"{one['judge']}"
        )
    if result["equal_to_full_stack_at"] is not None:
        lines.append(
            f"from {result['equal_to_full_stack_at']} frames on as good as a frame for each LED, by the solver"
        )
    return "\n".join(lines)


def _gain(row: dict[str, Any] | None) -> str:
    if row is None or row["design"] == row["subject"]:
        return ""
    interval = "" if not np.isfinite(row["low"]) else f" [{100 * row['low']:+.0f}, {100 * row['high']:+.0f}]"
    return f"{100 * row['gain']:+.0f} %{interval}"
