"""What every test shares: an offscreen window system, private folders, fixed seeds, and no leaks."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="also run tests marked slow")


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    slow = pytest.mark.skip(reason="slow: run with --run-slow")
    gpu = pytest.mark.skip(reason="needs a CUDA device")
    want_slow = config.getoption("--run-slow")
    have_gpu = not any("gpu" in item.keywords for item in items) or _has_gpu()
    for item in items:
        if "slow" in item.keywords and not want_slow:
            item.add_marker(slow)
        if "gpu" in item.keywords and not have_gpu:
            item.add_marker(gpu)


@pytest.fixture(autouse=True)
def private_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Preferences and recovery files of a test are its own, empty at its start."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("PTYCHOUI_CONFIG", str(home / "config"))
    monkeypatch.setenv("PTYCHOUI_STATE", str(home / "state"))


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    """Global generators start alike; torch keeps one thread where it is loaded at all."""
    random.seed(0)
    np.random.seed(0)
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(0)
        torch.set_num_threads(1)


def _windows_left() -> list[str]:
    """Visible top-level widgets; looks only where Qt is loaded already."""
    widgets = sys.modules.get("PyQt6.QtWidgets")
    if widgets is None or widgets.QApplication.instance() is None:
        return []
    core = sys.modules["PyQt6.QtCore"]
    core.QCoreApplication.sendPostedEvents(None, core.QEvent.Type.DeferredDelete.value)
    return [repr(w) for w in widgets.QApplication.topLevelWidgets() if w.isVisible()]


@pytest.fixture(autouse=True)
def no_leaks(private_folders: None) -> Iterator[None]:
    """No thread and no window that a test opened outlives it."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=5)
    left = [thread.name for thread in set(threading.enumerate()) - before if thread.is_alive()]
    assert not left, f"threads that outlived the test: {left}"
    windows = _windows_left()
    assert not windows, f"windows that outlived the test: {windows}"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of measured data beside the checkout; tests that need it skip where it is absent."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the measured data are not beside this checkout")
    return folder


def _figures() -> dict[str, float]:
    return dict(getattr(sys.modules.get("optics.setups"), "FIGURES", {}))


_OF_WORKERS: dict[str, float] = {}


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker hands what its tests measured to the process that prints it."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["figures"] = _figures()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Keep the largest deviation that any worker measured."""
    for name, value in getattr(node, "workeroutput", {}).get("figures", {}).items():
        _OF_WORKERS[name] = max(value, _OF_WORKERS.get(name, 0.0))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests measured."""
    figures = _figures() | _OF_WORKERS
    if figures:
        terminalreporter.section("largest deviations")
        for name in sorted(figures):
            terminalreporter.write_line(f"{figures[name]:8.1e}  {name}")
