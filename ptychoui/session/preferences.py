"""What a person likes: theme, text size, recent files, window layout. A broken file never stops the start."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ptychoui.data.files import write_atomic
from ptychoui.errors import PtychouiError
from ptychoui.paths import user_config

LOG = logging.getLogger(__name__)
RECENT = 10
Theme = Literal["dark", "light", "system"]


class Preferences(BaseModel):
    """Frozen preferences; change them with `model_copy(update=...)` or `with_recent`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: int = 1
    theme: Theme = "dark"
    font_scale: float = Field(default=1.0, ge=0.6, le=2.5)
    recent: tuple[str, ...] = ()
    window_geometry: str = ""
    window_layout: str = ""
    show_led_numbers: bool = False
    array_urls: tuple[str, ...] = ()

    def with_recent(self, path: str | Path) -> Self:
        """Return preferences with a file at the head of the recent ones."""
        name = str(path)
        return self.model_copy(update={"recent": newest_first(name, self.recent)})


def newest_first(item: str, others: tuple[str, ...], most: int = RECENT) -> tuple[str, ...]:
    """An item at the head of those used before, each once, no more than so many."""
    return (item, *(other for other in others if other != item))[:most]


def preferences_path() -> Path:
    """Where preferences are kept."""
    return user_config() / "preferences.json"


def load_preferences(path: Path | None = None) -> Preferences:
    """Read preferences; keys that are unknown or out of range are dropped, a broken file counts as empty."""
    path = path or preferences_path()
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Preferences()
    except (OSError, ValueError) as error:
        LOG.warning("preferences in %s cannot be read and are left aside: %s", path, error)
        return Preferences()
    return Preferences(**_good(values)) if isinstance(values, dict) else Preferences()


def save_preferences(preferences: Preferences, path: Path | None = None) -> bool:
    """Write preferences; False, with a line in the log, if that is not possible."""
    path = path or preferences_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, preferences.model_dump_json(indent=2) + "\n")
    except (OSError, PtychouiError) as error:
        LOG.warning("preferences were not saved: %s", error)
        return False
    return True


def _good(values: dict[str, Any]) -> dict[str, Any]:
    """Keep the keys whose values are valid on their own."""
    kept = {}
    for name, value in values.items():
        try:
            Preferences(**{name: value})
        except (ValidationError, TypeError) as error:
            LOG.warning("the preference %s is dropped: %s", name, str(error).splitlines()[0])
        else:
            kept[name] = value
    return kept
