"""What a finished run is worth beside what was known before it: by more than one judge, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ptychoui.words import counted

LEARNED = "learned"
"""Name of what the run learned, where a verdict recommends it."""

TOLERATED = 0.02
"""Share of the other's error by which a judge's interval may fall below zero where the other judge sees a gain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What was learned beside something known, by one judge.

    Attributes
    ----------
    name, title
        What it is held against, as files and people call it.
    judge
        How results were reconstructed: the end of a sentence that begins with "by".
    error, learned
        Mean errors over the held-out examples, of the known and of the learned.
    gain, low, high
        By how much the learned error is smaller, as a share of the other's, and Student's 95 % interval of the paired
        differences; NaN for a single example.
    """

    name: str
    title: str
    judge: str
    error: float
    learned: float
    gain: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to use.

    Attributes
    ----------
    sentence
        For people: the recommendation with its evidence.
    recommended
        `LEARNED`, or the name of what was known and is no worse.
    examples
        How many held-out examples were judged.
    comparisons
        Every known thing by every judge.
    """

    sentence: str
    recommended: str
    examples: int
    comparisons: tuple[Comparison, ...]

    def record(self) -> dict[str, Any]:
        """Plain values for a file."""
        return asdict(self)

    @classmethod
    def from_record(cls, values: Mapping[str, Any]) -> Self:
        """What `record` gave.

        Raises
        ------
        KeyError, TypeError
            If something is missing or is no such record.
        """
        rows = tuple(Comparison(**row) for row in values["comparisons"])
        return cls(
            sentence=str(values["sentence"]),
            recommended=str(values["recommended"]),
            examples=int(values["examples"]),
            comparisons=rows,
        )


def compared(
    name: str, title: str, judge: str, errors: NDArray[np.float64], learned: NDArray[np.float64]
) -> Comparison:
    """Errors of the same examples, (E,) each, of something known and of what was learned."""
    from scipy.stats import t

    count, half = len(errors), float("nan")
    with np.errstate(invalid="ignore"):  # of what diverged the error is infinite, and the gain no number
        difference, scale = errors - learned, float(errors.mean())
        gain = float(difference.mean()) / scale
        if count > 1:
            half = float(t.ppf(0.975, count - 1) * difference.std(ddof=1) / np.sqrt(count)) / scale
    return Comparison(
        name=name,
        title=title,
        judge=judge,
        error=scale,
        learned=float(learned.mean()),
        gain=gain,
        low=gain - half,
        high=gain + half,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a kind of experiment calls things.

    Attributes
    ----------
    learned
        What is learned, in the plural.
    example
        What is judged, in the singular.
    more
        What to change where nothing shows anything.
    """

    learned: str
    example: str
    more: str


def verdict(
    comparisons: Sequence[Comparison], examples: int, terms: Terms, begun: str = "", worthless: float = 1.0
) -> Verdict:
    """What to recommend: the learned, or the best of what was known.

    The best known is the one with the smallest mean error over the judges. The learned is recommended where both
    judges see a gain for certain, or one does and the other's interval excludes a loss of more than `TOLERATED`.

    Parameters
    ----------
    begun
        What learning began from.
    worthless
        Error of a result that shows nothing.
    """
    names = list(dict.fromkeys(row.name for row in comparisons))
    known = min(names, key=lambda name: float(np.mean([row.error for row in comparisons if row.name == name])))
    rows = [row for row in comparisons if row.name == known]
    title, over = rows[0].title, f"over {counted(examples, terms.example)}"
    evidence = "; ".join(f"{by_how_much(row)} by {row.judge}" for row in rows) + f"; {over}"
    better = all(row.low > -TOLERATED for row in rows) and any(row.low > 0 for row in rows)
    recommended = LEARNED if better else known
    if not min(*(row.learned for row in rows), *(row.error for row in rows)) < worthless:
        recommended = known
        sentence = f"neither {terms.learned} nor {title} show more than an empty picture {over}: {terms.more}"
    elif better:
        source = f"learned from {begun}" if begun else terms.learned
        sentence = f"{source}: better than {title}, the best of what is known ({evidence})"
    else:
        all_lose = all(row.gain < 0 for row in rows) and any(row.high < 0 for row in rows)
        worse = all_lose or any(row.high < -TOLERATED for row in rows)
        said = f"worse than {title}" if worse else f"not better than {title} for certain"
        sentence = f"{terms.learned} are {said}: use {title} for this sample ({evidence})"
    return Verdict(sentence=sentence, recommended=recommended, examples=examples, comparisons=tuple(comparisons))


def by_how_much(row: Comparison) -> str:
    """The gain in words, such as "14 % smaller error (95 % interval 9 to 19 %)"."""
    size = f"{abs(row.gain):.0%} {'smaller' if row.gain >= 0 else 'larger'} error".replace("%", " %")
    if not np.isfinite(row.low):
        return size
    sign = 1 if row.gain >= 0 else -1
    low, high = sorted((sign * 100 * row.low, sign * 100 * row.high))
    return f"{size} (95 % interval {low:.0f} to {high:.0f} %)"
