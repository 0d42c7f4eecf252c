from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from PyQt6.QtCore import Qt, QTimer
from PyQt6.QtWidgets import QApplication

from ptychoui.gui.look import theme
from ptychoui.gui.shell import app as application
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.shell.messages import Message
from ptychoui.paths import sample_data
from ptychoui.session import recovery
from ptychoui.session.preferences import Preferences, load_preferences, preferences_path, save_preferences

HEAVY = ("torch", "scipy", "skimage", "matplotlib", "h5py", "tifffile")


def test_the_window_is_there_before_anything_heavy() -> None:
    code = (
        "import sys, ptychoui.gui.shell.app as a, ptychoui.gui.shell.main_window as m;"
        "app = a.make_application(); w = m.MainWindow(); w.show(); app.processEvents();"
        f"print([name for name in {HEAVY!r} if name in sys.modules]); w.controller.shut_down()"
    )
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120, check=False
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_no_part_of_the_window_waits_for_anything_heavy() -> None:
    """Dialogs are imported when they are asked for, in the window's own thread: what is heavy belongs in a job."""
    code = (
        "import importlib, pkgutil, sys, ptychoui.gui as g;"
        "names = [m.name for m in pkgutil.walk_packages(g.__path__, 'ptychoui.gui.')];"
        "[importlib.import_module(name) for name in [*names, 'ptychoui.export.formats', 'ptychoui.export.results']];"
        f"print(len(names) > 50, [name for name in {HEAVY!r} if name in sys.modules])"
    )
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120, check=False
    )
    assert done.stdout.strip() == "True []", done.stderr


def test_main_returns_when_the_window_is_closed(qapp: QApplication) -> None:
    hooks = sys.excepthook, threading.excepthook
    seen: list[MainWindow] = []

    def close() -> None:
        for widget in QApplication.topLevelWidgets():
            if isinstance(widget, MainWindow) and widget.isVisible():
                seen.append(widget)
                widget.close()

    timer = QTimer()
    timer.timeout.connect(close)
    timer.start(100)
    assert application.main() == 0
    timer.stop()
    assert seen and (sys.excepthook, threading.excepthook) == hooks
    for widget in seen:
        widget.deleteLater()


@pytest.mark.parametrize("content", ["{", '{"window_geometry": "x", "window_layout": "!!"}', '{"theme": 7}'])
def test_broken_preferences_do_not_stop_the_start(qapp: QApplication, content: str) -> None:
    path = preferences_path()
    path.parent.mkdir(parents=True)
    path.write_text(content)
    window = MainWindow(load_preferences())
    window.show()
    assert window.isVisible()
    window.close()
    window.deleteLater()


def test_a_window_that_was_on_a_screen_that_is_gone_comes_back(qapp: QApplication) -> None:
    window = MainWindow(Preferences())
    window.move(50_000, 50_000)
    geometry = bytes(window.saveGeometry().toBase64().data()).decode()
    window.close()
    window.deleteLater()
    again = MainWindow(Preferences(window_geometry=geometry))
    screen = QApplication.primaryScreen()
    assert screen is not None and screen.availableGeometry().intersects(again.frameGeometry())
    again.close()
    again.deleteLater()


def test_layout_and_theme_are_remembered(window: MainWindow) -> None:
    window.theme_light()
    window.panels.docks["geometry"].hide()
    window.close()
    kept = load_preferences()
    assert kept.theme == "light" and kept.window_layout
    again = MainWindow(kept)
    assert again.panels.docks["geometry"].isHidden()
    again.reset_layout()
    assert not again.panels.docks["geometry"].isHidden()
    again.close()
    again.deleteLater()


def test_unsaved_settings_are_offered_again(window: MainWindow, qtbot: Any) -> None:
    window.controller.edit("network.unrolls", 7)
    qtbot.waitUntil(lambda: recovery.recovery_path().exists(), timeout=5000)
    again = MainWindow(Preferences())
    again.offer_recovery()
    assert again.document.experiment.network.unrolls == 7 and again.document.dirty
    qtbot.waitUntil(lambda: not again.controller.jobs.busy, timeout=20000)
    again.close()
    again.deleteLater()


def test_what_nobody_caught_is_shown_once_and_the_window_lives(window: MainWindow) -> None:
    hooks = sys.excepthook, threading.excepthook
    shown: list[Message] = []
    try:
        application.install_hooks([shown.append])
        for _ in range(3):
            try:
                raise ValueError("slip")
            except ValueError as error:
                sys.excepthook(ValueError, error, error.__traceback__)
    finally:
        sys.excepthook, threading.excepthook = hooks
    assert len(shown) == 1 and "slip" in shown[0].text and "Traceback" in shown[0].details


def test_text_size_is_kept_within_reason(window: MainWindow) -> None:
    for _ in range(20):
        window.larger_text()
    assert window.preferences.font_scale == 2.5
    for _ in range(25):
        window.smaller_text()
    assert window.preferences.font_scale == 0.6
    window.prefer(font_scale=1.0)
    window.apply_theme()
    assert save_preferences(window.preferences)


def test_the_theme_may_be_that_of_the_desktop(window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hints:
        def __init__(self, scheme: Qt.ColorScheme) -> None:
            self._scheme = scheme

        def colorScheme(self) -> Qt.ColorScheme:
            return self._scheme

    for scheme, colours in ((Qt.ColorScheme.Light, theme.LIGHT), (Qt.ColorScheme.Dark, theme.DARK)):
        hints = Hints(scheme)
        monkeypatch.setattr(theme.QGuiApplication, "styleHints", lambda hints=hints: hints)
        window.actions_by_key["theme_system"].trigger()
        assert theme.colours() is colours and window.preferences.theme == "system"
    monkeypatch.undo()
    window.actions_by_key["theme_dark"].trigger()


def test_the_last_file_is_opened_again(window: MainWindow, qtbot: Any, tmp_path: Path) -> None:
    assert not window.actions_by_key["reopen"].isEnabled()
    stack = tmp_path / "stack.ome.tif"
    stack.write_bytes((sample_data() / "stack.ome.tif").read_bytes())
    (tmp_path / "stack.geometry.toml").write_bytes((sample_data() / "stack.geometry.toml").read_bytes())
    window.open_path(str(stack))
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=60_000)
    second = MainWindow(window.preferences)
    assert second.actions_by_key["reopen"].isEnabled()
    second.actions_by_key["reopen"].trigger()
    qtbot.waitUntil(lambda: second.document.data_source.path == str(stack), timeout=60_000)
    qtbot.waitUntil(lambda: not second.controller.jobs.busy, timeout=60_000)
    second.close()
    assert second.controller.worker.join(30)
    second.deleteLater()
    stack.unlink()
    window._fill_menus()
    assert not window.actions_by_key["reopen"].isEnabled()
