"""Windows that are closed again, questions that answer themselves, and files that nobody is asked for."""

from __future__ import annotations

import os

os.environ["QT_QPA_PLATFORM"] = "offscreen"

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "session"))

from ptychoui.gui.look import theme
from ptychoui.gui.shell import app as application
from ptychoui.gui.shell import dialogs
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.widgets.browser import Browser
from ptychoui.gui.widgets.files import Files
from ptychoui.session.preferences import Preferences


@pytest.fixture(scope="session")
def qapp() -> Iterator[object]:
    app = application.make_application()
    theme.apply(app, "dark")
    yield app


@pytest.fixture(autouse=True)
def answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for a person."""
    monkeypatch.setattr(dialogs.CloseQuestion, "ask", classmethod(lambda cls, parent: "save"))
    monkeypatch.setattr(dialogs.CloseReconstructionQuestion, "ask", classmethod(lambda cls, parent: "save"))
    monkeypatch.setattr(dialogs.UnsavedQuestion, "ask", classmethod(lambda cls, parent: "discard"))
    monkeypatch.setattr(dialogs.ResultQuestion, "ask", classmethod(lambda cls, parent: "discard"))
    monkeypatch.setattr(dialogs.UntakenQuestion, "ask", classmethod(lambda cls, parent, what: "discard"))
    monkeypatch.setattr(dialogs.UnfinishedQuestion, "ask", classmethod(lambda cls, parent, sentence: "later"))
    monkeypatch.setattr(dialogs.RecoveryQuestion, "ask", classmethod(lambda cls, parent: True))
    for name in ("to_open", "folder_to_open", "to_save", "folder_to_save"):
        monkeypatch.setattr(Files, name, classmethod(lambda cls, *arguments: ""))
    monkeypatch.setattr(Browser, "show", classmethod(lambda cls, page: True))


@pytest.fixture
def window(qtbot: object, qapp: object) -> Iterator[MainWindow]:
    main = MainWindow(Preferences())
    main.apply_theme()
    main.resize(1280, 800)
    main.show()
    yield main
    main.close()
    assert main.controller.worker.join(30)
    main.deleteLater()
