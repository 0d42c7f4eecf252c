"""Settings that a run keeps to from its start to its end, and those that may change while it goes on.

Whatever decides the split of the objects, the start, what is learned or how it is scored is settled when a run starts:
with another seed, objects that were learned from would move to the held-out ones, and a score would tell nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ptychoui.settings import Experiment, Settings

MAY_CHANGE = frozenset(
    {
        "schema_version",
        "name",
        "engine",  # how and where gradients are obtained, not of what
        "training.steps",
        "training.batch",
        "training.learning_rate",
        "training.schedule",
        "training.validate_every",
        "training.save_every_s",
    }
)
"""Settings, or whole tables, with which a run of any kind may go on when they are changed.

With those that its kind adds (`Experiment.may_change`); every other is settled.
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """A settled setting that is not what the run was started with.

    Attributes
    ----------
    name
        With its section: ``training.holdout``.
    now, then
        Its values.
    """

    name: str
    now: Any
    then: Any

    def __str__(self) -> str:
        now, then = _text(self.now), _text(self.then)
        if now is None or then is None:
            return f"{self.name} is not what the run was started with"
        return f"{self.name} is {now}, but the run was started with {then}"


def differences(now: Experiment, then: Experiment) -> list[Difference]:
    """Settled settings in which two experiments differ, in the order of the file."""
    if type(now) is not type(then):
        return [Difference("kind", now.kind, then.kind)]
    return list(_differences(now, then, "", MAY_CHANGE | then.may_change))


def _differences(now: Settings, then: Settings, section: str, free: frozenset[str]) -> Iterator[Difference]:
    for field in type(then).model_fields:
        name, one, other = section + field, getattr(now, field), getattr(then, field)
        if name in free or one == other:
            continue
        if isinstance(one, Settings) and type(one) is type(other):
            yield from _differences(one, other, f"{name}.", free)
        else:
            yield Difference(name, one, other)


def _text(value: Any) -> str | None:
    """A value for a sentence, or None for tables and long lists, which are not spelled out."""
    text = "not set" if value is None else str(value)
    return None if isinstance(value, Settings) or len(text) > 40 else text
