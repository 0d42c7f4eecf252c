"""The command ``ptychoui demo``: its words, its fallback, and one whole play."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ptychoui import cli
from ptychoui.commands import demo, window


def test_a_size_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo._size("1280x720") == (1280, 720) and demo._size(None) is None
    for text in ("1280", "1280x", "ax720", "1280x720x3", "1x1"):
        assert cli.main(["demo", "--window", text]) == 2
        assert "no size of a window" in capsys.readouterr().err


def test_without_a_screen_it_learns_headless(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(demo, "has_screen", lambda: False)
    monkeypatch.setattr(window, "without_screen", lambda: asked.append("learned") or 0)
    assert cli.main(["demo"]) == 0 and asked == ["learned"]


def test_without_a_screen_nothing_is_timed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(demo, "has_screen", lambda: False)
    for words in (["--auto"], ["--timings"], ["--pictures", "somewhere"]):
        assert cli.main(["demo", *words]) == 2
        assert "QT_QPA_PLATFORM=offscreen" in capsys.readouterr().err


def test_files_that_cannot_be_written_are_refused_before_it_plays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = tmp_path / "absent" / "t.json"
    assert cli.main(["demo", "--timings", str(absent)]) == 2
    assert cli.main(["demo", "--record", str(absent)]) == 2
    assert "no folder" in capsys.readouterr().err


def test_timings_are_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    from ptychoui.gui.demo import app

    class Played:
        def report(self) -> None:
            print("reported")

        def timings(self) -> dict[str, float]:
            return {"first_picture_s": 1.5}

    asked: list[Any] = []
    monkeypatch.setattr(app, "main", lambda **how: asked.append(how) or Played())
    target = tmp_path / "t.json"
    words = ["demo", "--auto", "--light", "--window", "1280x720", "--timings", str(target), "--pictures", "p"]
    assert cli.main(words) == 0
    assert json.loads(target.read_text()) == {"first_picture_s": 1.5}
    assert asked == [{"light": True, "size": (1280, 720), "auto": True, "pictures": "p"}]
    assert capsys.readouterr().out == "reported\n"
    assert cli.main(["demo"]) == 0 and capsys.readouterr().out == ""
