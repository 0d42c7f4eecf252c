"""What somebody who mends the program needs to know, in one archive, without names of private folders."""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import platform
import re
import zipfile
from pathlib import Path
from typing import Any

from ptychoui import __version__
from ptychoui.data.files import check_parent, write_atomic
from ptychoui.paths import user_state
from ptychoui.settings import Experiment, to_toml

LIBRARIES = ("numpy", "torch", "PyQt6", "pyqtgraph", "scikit-image", "scipy", "numba", "h5py", "tifffile", "pydantic")
LOG_BYTES = 200_000
"""So much of the end of every log goes into a report."""

_PATH = re.compile(r"(?:[A-Za-z]:)?(?:[/\\][^\s/\\\"'<>|:;,(){}\[\]]+)+[/\\]([^\s/\\\"'<>|:;,(){}\[\]]+)")


def without_folders(text: str) -> str:
    """A text in which paths are their last names: ``/home/somebody/stack.tif`` becomes ``…/stack.tif``."""
    return _PATH.sub(r"…/\1", text)


def versions() -> dict[str, str]:
    """Of the program and what it stands on."""
    found = {"ptychoui": __version__, "python": platform.python_version(), "system": platform.platform()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def write_problem_report(path: Path, experiment: Experiment, messages: tuple[str, ...], screen: str) -> Path:
    """Write versions, settings, messages of the window and the ends of its logs into a ZIP archive.

    Raises
    ------
    PtychouiError
        If it cannot be written.
    """
    check_parent(path)
    about: dict[str, Any] = {"versions": versions(), "processors": os.cpu_count(), "screen": screen}
    parts = {
        "about.json": json.dumps(about, indent=2),
        "experiment.toml": to_toml(experiment),
        "messages.txt": "\n".join(messages),
    }
    for name in ("ptychoui.log", "hangs.log"):
        try:
            parts[name] = (user_state() / name).read_bytes()[-LOG_BYTES:].decode(errors="replace")
        except OSError:
            continue
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, without_folders(text))
    return write_atomic(path, content.getvalue())
