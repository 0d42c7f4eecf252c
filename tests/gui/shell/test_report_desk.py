"""The command Report…: one self-contained page, written in the background and shown in the browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ptychoui.gui.shell import report_desk
from ptychoui.gui.shell.commands import COMMANDS, MENUS
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.gui.widgets.browser import Browser
from ptychoui.gui.widgets.files import Files
from ptychoui.optics.calibration import geometry_check

LONG = 60_000


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    pages: list[Path] = []
    monkeypatch.setattr(Browser, "show", classmethod(lambda cls, page: bool(pages.append(page)) or True))
    return pages


def test_it_is_in_the_menu_of_files_and_waits_for_something(window: MainWindow) -> None:
    assert "report" in MENUS["&File"] and COMMANDS["report"].shortcut
    assert not window.actions_by_key["report"].isEnabled()
    assert report_desk.why_no_report(window.document, False) == "train or reconstruct first"
    assert report_desk.why_no_report(window.document, True) == "stop what is going on first"
    window.write_report()
    assert "nothing to report" in window.panels.toast.title.text()


def test_a_reconstruction_has_its_page(
    window: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shown: list[Path]
) -> None:
    monkeypatch.setattr(geometry_check, "findings", lambda *_words: ())
    window.open_sample_stack()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    window.controller.edit_plan("settings.passes", 2)
    window.controller.edit_plan("size_px", 32)
    window.reconstruct()
    qtbot.waitUntil(
        lambda: not window.controller.state.active and bool(window.document.reconstruction.report), timeout=LONG
    )
    assert window.actions_by_key["report"].isEnabled()
    window.write_report()  # nobody named a file
    assert not shown
    monkeypatch.setattr(Files, "to_save", classmethod(lambda cls, *_: str(tmp_path / "notes.of today")))
    window.actions_by_key["report"].trigger()
    qtbot.waitUntil(lambda: bool(shown), timeout=LONG)
    assert shown == [tmp_path / "notes.of today.html"]
    text = shown[0].read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") == 4 and "Reconstruction of stack.ome.tif" in text
    assert not re.search(r"(src|href)='?(?!data:)[a-z]+:", text), "nothing is fetched from elsewhere"
    report = window.document.reconstruction.report
    assert report is not None and f"{report.found.history[-1]:.4g} after 2 passes" in text
    assert "wavelength</th><td>0.53 µm" in text
    assert str(shown[0]) in window.panels.toast.title.text()
    monkeypatch.setattr(Browser, "show", classmethod(lambda cls, page: False))
    window.actions_by_key["report"].trigger()
    qtbot.waitUntil(lambda: "browser" in window.panels.toast.hint.text(), timeout=LONG)
    monkeypatch.setattr(Files, "to_save", classmethod(lambda cls, *_: str(tmp_path / "absent" / "page.html")))
    window.actions_by_key["report"].trigger()
    qtbot.waitUntil(lambda: window.panels.toast.title.property("level") == "error", timeout=LONG)
