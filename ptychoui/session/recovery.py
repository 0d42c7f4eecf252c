"""Where settings that nobody saved wait for the next start."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ptychoui.errors import PtychouiError
from ptychoui.paths import user_state
from ptychoui.session.kept_design import design_path
from ptychoui.settings import Experiment, load_experiment


def recovery_path() -> Path:
    """Where unsaved settings are kept."""
    return user_state() / "recovery.toml"


def read_recovery() -> Experiment | None:
    """Settings of a session that ended without saving, or None."""
    try:
        return load_experiment(recovery_path())
    except PtychouiError:
        return None


def drop_recovery() -> None:
    """Remove the recovery file."""
    for path in (recovery_path(), design_path(recovery_path())):
        with contextlib.suppress(OSError):
            path.unlink()
