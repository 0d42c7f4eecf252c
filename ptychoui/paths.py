"""Where resources, sample data and the user's folders are, from a checkout or from a wheel."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ptychoui.errors import SettingsError

SAMPLES = {
    "sample:objects": "objects.h5",
    "sample:cells": "cells.h5",
    "sample:stack": "stack.ome.tif",
    "sample:heads": "heads.kspace.h5",
    "sample:heart": "heart.kspace.h5",
}
_PACKAGE = Path(__file__).resolve().parent


def _beside_or_inside(name: str) -> Path:
    """Return the folder of a checkout, or the copy that the wheel carries."""
    inside = _PACKAGE / f"_{name}"
    return inside if inside.is_dir() else _PACKAGE.parent / name


def resources() -> Path:
    """Folder of presets, icons, geometries and example experiments."""
    return _beside_or_inside("resources")


def sample_data() -> Path:
    """Folder of the small data that the project generates itself."""
    return _beside_or_inside("sample_data")


def shipped(name: str | Path, folder: str) -> Path:
    """The file of this name; where there is none, the example ``NAME.toml`` that lies in that folder of resources."""
    found = {path.stem: path for path in (resources() / folder).glob("*.toml")}.get(str(name))
    return found if found and not Path(name).exists() else Path(name)


def data_file(path: str) -> Path:
    """File behind a data path; ``sample:objects`` and others of `SAMPLES` are the project's own."""
    if not path.startswith("sample:"):
        return Path(path)
    if path not in SAMPLES:
        raise SettingsError(f"there is no {path!r}", f"samples are {', '.join(SAMPLES)}")
    return sample_data() / SAMPLES[path]


def user_config() -> Path:
    """Folder of preferences; ``PTYCHOUI_CONFIG`` overrides it."""
    if override := os.environ.get("PTYCHOUI_CONFIG"):
        return Path(override)
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", Path.home())) / "ptychoui"
    return Path(os.environ.get("XDG_CONFIG_HOME", Path.home() / ".config")) / "ptychoui"


def user_state() -> Path:
    """Folder of logs and recovery files; ``PTYCHOUI_STATE`` overrides it."""
    if override := os.environ.get("PTYCHOUI_STATE"):
        return Path(override)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "ptychoui"
    return Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local" / "state")) / "ptychoui"
