"""What all settings have in common: frozen values whose errors are sentences.

A value outside its range is refused where it is made: ``Microscope(objective_na=2.0)`` raises
`SettingsError` with the number, the unit and the range.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from ptychoui.errors import SettingsError

UNITS = ("um", "mm", "nm", "deg")
"""Units that end the names of settings."""

QUIET: dict[str, Any] = {"quiet": True}
"""Marks settings that files leave out while they have their default, so that the files of simple arrays stay short."""


class Settings(BaseModel):
    """Frozen settings whose errors are sentences."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def __init__(self, /, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingsError(*_sentence(type(self), error)) from None

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where numbers are expected; pydantic would take them for 1 and 0."""
        if info.field_name in _numeric_fields(cls) and _holds_truth(value):
            raise ValueError("true and false are no numbers")
        return value

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some settings changed, validated again."""
        return type(self)(**{**{name: getattr(self, name) for name in type(self).model_fields}, **changes})


def _holds_truth(value: Any, depth: int = 3) -> bool:
    """Whether a value is true or false, or lists one, as deep as settings are."""
    if isinstance(value, (int, float, str)):
        return isinstance(value, bool)
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return depth > 0 and any(_holds_truth(part, depth - 1) for part in value)
    return False


@cache
def _numeric_fields(owner: type[BaseModel]) -> frozenset[str]:
    """Fields that hold numbers, or lists of them, and nothing that may be true or false."""
    return frozenset(name for name, field in owner.model_fields.items() if _is_numeric(field.annotation))


def _is_numeric(annotation: Any) -> bool:
    """Whether a field holds numbers, or lists of them, and nothing that may be true or false."""
    kinds: list[Any] = [annotation]
    for kind in kinds:
        if isinstance(kind, type) and (kind is bool or issubclass(kind, BaseModel)):
            return False
        kinds.extend(get_args(kind))
    return int in kinds or float in kinds


def _sentence(owner: type[BaseModel], error: ValidationError) -> tuple[str, str]:
    """Turn the first problem that pydantic found into a message and a hint."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    called = owner.model_config.get("title") or owner.__name__.lower()
    name = f"{called}.{where}" if where else called
    if first["type"] == "extra_forbidden":
        known = ", ".join(owner.model_fields)
        return f"unknown setting {name}", f"known settings: {known}"
    if first["type"] == "missing":
        field = owner.model_fields.get(where)
        hint = (field.description or "") if field else ""
        return f"the setting {name} is missing", hint or f"add a table [{where}], as the example files show"
    field = owner.model_fields.get(str(first["loc"][0])) if first["loc"] else None
    value = "" if first["type"] == "value_error" else f" (got {first['input']!r}{_unit_and_range(owner, first)})"
    text = first["msg"].removeprefix("Value error, ")
    text = text[0].lower() + text[1:]
    hint = (field.description or "") if field else ""
    return f"{name}: {text}{value}", hint or "the example experiments show how it is meant"


def _unit_and_range(owner: type[BaseModel], problem: Any) -> str:
    """Unit and range of a number that is out of its range, to stand behind it; empty for other problems."""
    name = str(problem["loc"][-1]) if problem["loc"] else ""
    field = owner.model_fields.get(name)
    if field is None or problem["type"] not in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        return ""
    unit = next((f" {unit}" for unit in UNITS if name.endswith(f"_{unit}")), "")
    bounds = {key: getattr(m, key) for m in field.metadata for key in ("ge", "gt", "le", "lt") if hasattr(m, key)}
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    whole = f"; {low:g} to {high:g}{unit} are possible" if low is not None and high is not None else ""
    return unit + whole
