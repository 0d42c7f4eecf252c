"""Questions that must be answered: every button, Return and Escape mean what they say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QMessageBox, QWidget

from ptychoui.gui.shell import dialogs

ASK = {
    name: vars(getattr(dialogs, name))["ask"].__func__
    for name in (
        "CloseQuestion",
        "CloseReconstructionQuestion",
        "ResultQuestion",
        "UntakenQuestion",
        "UnfinishedQuestion",
        "UnsavedQuestion",
        "RecoveryQuestion",
    )
}
"""The questions themselves; the tests of the window answer in their place."""


@pytest.fixture
def parent(qtbot: Any) -> Iterator[QWidget]:
    widget = QWidget()
    qtbot.addWidget(widget)
    yield widget


def answered(name: str, parent: QWidget, monkeypatch: pytest.MonkeyPatch, press: str) -> tuple[Any, QMessageBox]:
    """The answer of a question where a button (by its words) or a key is pressed, and the box."""
    boxes: list[QMessageBox] = []

    def exec_box(box: QMessageBox) -> int:
        boxes.append(box)
        box.show()
        button = next((one for one in box.buttons() if one.text().replace("&", "") == press), None)
        if button is not None:
            button.click()
        else:
            QTest.keyClick(box, {"Return": Qt.Key.Key_Return, "Escape": Qt.Key.Key_Escape}[press])
        assert not box.isVisible(), f"{press} does not answer"
        return 0

    monkeypatch.setattr(QMessageBox, "exec", exec_box)
    given = {"UntakenQuestion": ("A calibration is finished",), "UnfinishedQuestion": ("A run was ended.",)}
    found = ASK[name](getattr(dialogs, name), parent, *given.get(name, ()))
    return found, boxes[0]


@pytest.mark.parametrize(
    ("name", "press", "answer"),
    [
        ("CloseQuestion", "Save and quit", "save"),
        ("CloseQuestion", "Keep running", "keep"),
        ("CloseQuestion", "Cancel", "cancel"),
        ("CloseQuestion", "Return", "save"),
        ("CloseQuestion", "Escape", "cancel"),
        ("CloseReconstructionQuestion", "Quit", "save"),
        ("CloseReconstructionQuestion", "Keep running", "keep"),
        ("CloseReconstructionQuestion", "Return", "cancel"),
        ("CloseReconstructionQuestion", "Escape", "cancel"),
        ("ResultQuestion", "Save", "save"),
        ("ResultQuestion", "Discard", "discard"),
        ("ResultQuestion", "Return", "save"),
        ("ResultQuestion", "Escape", "cancel"),
        ("UntakenQuestion", "Take it", "take"),
        ("UntakenQuestion", "Discard", "discard"),
        ("UntakenQuestion", "Return", "take"),
        ("UntakenQuestion", "Escape", "cancel"),
        ("UnfinishedQuestion", "Take it up", "take"),
        ("UnfinishedQuestion", "Later", "later"),
        ("UnfinishedQuestion", "Give it up", "drop"),
        ("UnfinishedQuestion", "Return", "take"),
        ("UnfinishedQuestion", "Escape", "later"),
        ("UnsavedQuestion", "Save", "save"),
        ("UnsavedQuestion", "Discard", "discard"),
        ("UnsavedQuestion", "Escape", "cancel"),
        ("RecoveryQuestion", "Yes", True),
        ("RecoveryQuestion", "No", False),
        ("RecoveryQuestion", "Return", True),
        ("RecoveryQuestion", "Escape", False),
    ],
)
def test_every_button_means_what_it_says(
    name: str, press: str, answer: Any, parent: QWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, box = answered(name, parent, monkeypatch, press)
    assert found == answer
    assert box.windowTitle() and box.text().endswith((".", "?")) and box.icon() is QMessageBox.Icon.Question


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (dialogs.CloseReconstructionQuestion, "gives up"),
        (dialogs.CloseFieldQuestion, "tiles are kept"),
        (dialogs.CloseKeptQuestion, "kept and offered"),
    ],
)
def test_what_is_lost_is_said(kind: Any, words: str, parent: QWidget, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(QMessageBox, "exec", lambda box: seen.append(box.informativeText()) or 0)
    assert ASK["CloseReconstructionQuestion"](kind, parent) == "cancel"
    assert words in seen[0]
