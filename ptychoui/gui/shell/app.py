"""Start the window. Nothing heavy is imported before it is on the screen."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import IO

import pyqtgraph as pg
from PyQt6.QtCore import QTimer
from PyQt6.QtWidgets import QApplication

from ptychoui.gui.look import theme
from ptychoui.gui.look.style import InstrumentStyle
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.shell.messages import Message
from ptychoui.paths import user_state
from ptychoui.session.preferences import load_preferences

LOG = logging.getLogger("ptychoui")

SWITCH_INTERVAL_S = 0.0005
"""Python code in the training thread holds the interpreter for up to one switch interval. At Python's 5 ms that
made every event of the window about 4 ms later, and now and then stalled it for 60 ms; at 0.5 ms it did not, for
5 to 8 % of such a loop's speed (measured: 5 ms heart-beat beside a Python loop, p99 17 to 154 ms before, 7 to 16 ms
after)."""


def main(argv_file: str | None = None, *, reset_layout: bool = False, demo: bool = False) -> int:
    """Open the window, with a file if one is given; returns when it is closed.

    Parameters
    ----------
    argv_file
        Data, an experiment, a geometry or a run folder.
    reset_layout
        Forget where windows and panels were.
    demo
        Start the demo at once.
    """
    hooks = sys.excepthook, threading.excepthook
    reports: list[Callable[[Message], None]] = []
    install_hooks(reports)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    app = make_application()
    preferences = load_preferences()
    if reset_layout:
        preferences = preferences.model_copy(update={"window_geometry": "", "window_layout": ""})
    theme.apply(app, preferences.theme, preferences.font_scale)
    watchdog = open_log()
    window = MainWindow(preferences)
    window.apply_theme()
    reports.append(window.show_message)
    window.show()
    # Ctrl-C in the terminal closes the window as its own button does: a run is saved first.
    interrupt = signal.signal(signal.SIGINT, lambda *_: QTimer.singleShot(0, window.close))
    if watchdog is not None:
        window.controller.bridge.start(watchdog)
    QTimer.singleShot(0, lambda: _begin(window, argv_file, demo))
    code = app.exec()
    signal.signal(signal.SIGINT, interrupt)
    reports.clear()
    joined = window.controller.shut_down(1.0)
    sys.excepthook, threading.excepthook = hooks
    if watchdog is not None:
        watchdog.close()
    if not joined:
        # A thread that will not end would keep the process; everything is on disk already.
        os._exit(code)
    return code


def _begin(window: MainWindow, argv_file: str | None, demo: bool) -> None:
    """Work that was left behind comes before what is asked for now."""
    if window.offer_recovery():
        if argv_file is not None:
            window.show_message(Message("info", f"{argv_file} was not opened", "open it once what was left is saved"))
        return
    if argv_file is not None:
        window.controller.open(argv_file)
    elif demo:
        window.controller.start_demo()


def make_application() -> QApplication:
    """The one QApplication: Fusion, image rows first."""
    found = QApplication.instance()
    app = found if isinstance(found, QApplication) else QApplication(sys.argv[:1])
    app.setApplicationName("ptychoui")
    app.setStyle(InstrumentStyle())
    pg.setConfigOptions(imageAxisOrder="row-major")
    return app


def install_hooks(reports: list[Callable[[Message], None]]) -> None:
    """Log what nobody caught and show it once; without this PyQt ends the process at a slip in a slot."""
    seen: set[str] = set()

    def report(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        text = "".join(traceback.format_exception(kind, error, trace))
        LOG.error("not caught:\n%s", text)
        if text in seen:
            return
        seen.add(text)
        hint = "the window goes on; please report it with the details"
        for show in reports:
            show(Message("error", f"Unexpected {kind.__name__}: {error}", hint, text))

    def report_thread(arguments: threading.ExceptHookArgs) -> None:
        text = "".join(traceback.format_exception(arguments.exc_type, arguments.exc_value, arguments.exc_traceback))
        # Not shown from here: this is not the window's thread.
        LOG.error("not caught in a thread:\n%s", text)

    sys.excepthook = report
    threading.excepthook = report_thread


def open_log() -> IO[str] | None:
    """Log to the user's state folder; returns a file for the stacks of a window that hangs."""
    folder: Path = user_state()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not LOG.handlers:
            handler = RotatingFileHandler(folder / "ptychoui.log", maxBytes=1_000_000, backupCount=2, encoding="utf-8")
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
            LOG.addHandler(handler)
        return (folder / "hangs.log").open("a", encoding="utf-8")
    except OSError:
        return None
