"""Start the demonstration in a process of its own."""

from __future__ import annotations

import os
import signal
import sys
import threading

from PyQt6.QtCore import QTimer

from ptychoui.gui.demo.auto import AutoPlay
from ptychoui.gui.demo.window import DemoWindow
from ptychoui.gui.look import theme
from ptychoui.gui.shell import app as shell
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.session.demo.recording import load_recording
from ptychoui.session.preferences import load_preferences

LEAVING_MS = 1000
"""After so long a thread that does not end is left behind: its run folder is whole at any time."""


def main(
    *, light: bool = False, size: tuple[int, int] | None = None, auto: bool = False, pictures: str | None = None
) -> AutoPlay:
    """Play the demonstration; returns what was timed, when it is closed.

    Parameters
    ----------
    size
        Of a window, in pixels; without it the whole screen is filled.
    auto
        Leave when the story is told.
    pictures
        Folder for a picture of each chapter.

    Raises
    ------
    PtychouiError
        If the recording is missing or damaged, or the folder cannot be made.
    """
    hooks = sys.excepthook, threading.excepthook
    shell.install_hooks([])
    sys.setswitchinterval(shell.SWITCH_INTERVAL_S)
    preferences = load_preferences()
    recording = load_recording()
    app = shell.make_application()
    theme.apply(app, "light" if light else "dark")
    app.setQuitOnLastWindowClosed(False)
    window = DemoWindow(recording, light=light, text_scale=preferences.font_scale)
    play = AutoPlay(window, leave=auto, pictures=pictures)
    opened: list[object] = []
    stuck: list[bool] = []

    def left() -> None:
        if not opened:
            app.quit()

    def give_up() -> None:
        if window.worker.state.active:
            stuck.append(True)
            window.give_up()

    window.wanted.connect(lambda folder: opened.append(_open_window(folder)))
    window.left.connect(left)
    window.hidden.connect(lambda: QTimer.singleShot(LEAVING_MS, give_up))
    interrupt = signal.signal(signal.SIGINT, lambda *_: QTimer.singleShot(0, window.close))
    if size is None:
        window.fill_screen()
    else:
        window.resize(*size)
        window.show()
    window.begin()
    code = app.exec()
    signal.signal(signal.SIGINT, interrupt)
    sys.excepthook, threading.excepthook = hooks
    if stuck and not window.worker.join(0.0):
        play.report()
        sys.stdout.flush()
        os._exit(code)
    return play


def _open_window(folder: str) -> MainWindow:
    """Show a run, or ask for data, in the ordinary window, which then is the program."""
    from PyQt6.QtWidgets import QApplication

    preferences = load_preferences()
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    theme.apply(app, preferences.theme, preferences.font_scale)
    app.setQuitOnLastWindowClosed(True)
    window = MainWindow(preferences)
    window.apply_theme()
    window.show()
    window.controller.bridge.start(None)
    QTimer.singleShot(0, (lambda: window.open_path(folder)) if folder else window.choose_file)
    app.aboutToQuit.connect(lambda: window.controller.shut_down(1.0))
    return window
