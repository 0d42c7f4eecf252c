"""Snapshots as plain arrays, for the folder of a run, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.training.events import ShownArray, Snapshot, picture

KIND = "kind"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSnapshot(Snapshot):
    """What a snapshot showed to a view without knowledge of its kind."""

    shown: tuple[ShownArray, ...] = ()

    @property
    def pictures(self) -> tuple[ShownArray, ...]:
        """What was shown, in its order."""
        return self.shown


def packed(snapshot: Snapshot) -> dict[str, NDArray[Any]]:
    """A snapshot as arrays in their shapes, its numbers 0-d; a part ``x`` of it has ``x.title`` and so on.

    One that holds anything but numbers, arrays and pictures is kept as the pictures that it shows.
    """
    values = {field.name: getattr(snapshot, field.name) for field in fields(snapshot)}
    values = {name: value for name, value in values.items() if value is not None}
    kind = type(snapshot).__name__
    if not all(isinstance(value, (int, float, np.ndarray, ShownArray)) for value in values.values()):
        kind, values = KeptSnapshot.__name__, {"step": snapshot.step}
        values |= {f"shown{place}": shown for place, shown in enumerate(snapshot.pictures)}
    arrays: dict[str, NDArray[Any]] = {KIND: np.array(kind)}
    for name, value in values.items():
        if isinstance(value, ShownArray):
            arrays |= {f"{name}.{part.name}": np.asarray(getattr(value, part.name)) for part in fields(value)}
        else:
            arrays[name] = np.asarray(value)
    return arrays


def unpacked(arrays: Mapping[str, NDArray[Any]], kinds: tuple[type[Snapshot], ...]) -> Snapshot | None:
    """The snapshot that arrays of the shapes that `packed` gives were made of.

    None where it is of none of the ``kinds``, or a part is missing.
    """
    name = str(arrays.get(KIND, ""))
    try:
        if name == KeptSnapshot.__name__:
            count = sum(key.endswith(".values") for key in arrays)
            parts = tuple(_part(arrays, f"shown{place}") for place in range(count))
            return KeptSnapshot(step=int(arrays["step"]), shown=parts)
        found = {kind.__name__: kind for kind in kinds}.get(name)
        return None if found is None else found(**{field.name: _part(arrays, field.name) for field in fields(found)})
    except (KeyError, TypeError, ValueError):
        return None


def _part(arrays: Mapping[str, NDArray[Any]], name: str) -> Any:
    if name in arrays:
        return _value(arrays[name])
    if f"{name}.values" not in arrays:
        return None
    return ShownArray(**{part.name: _value(arrays[f"{name}.{part.name}"]) for part in fields(ShownArray)})


def _value(array: NDArray[Any]) -> Any:
    return picture(array) if array.ndim else array.item()
