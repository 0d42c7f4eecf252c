from __future__ import annotations

import json
from pathlib import Path

import pytest

from ptychoui.session.preferences import Preferences, load_preferences, preferences_path, save_preferences


def test_what_is_saved_comes_back() -> None:
    wanted = Preferences(theme="light", font_scale=1.3, recent=("a", "b"))
    assert save_preferences(wanted)
    assert load_preferences() == wanted


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe\x00", b"null", b'{"theme": '])
def test_a_broken_file_counts_as_empty(content: bytes) -> None:
    path = preferences_path()
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert load_preferences() == Preferences()


def test_bad_keys_are_dropped_and_good_ones_kept(tmp_path: Path) -> None:
    path = tmp_path / "preferences.json"
    path.write_text(json.dumps({"theme": "purple", "font_scale": 99, "recent": ["x"], "unknown": 1}))
    assert load_preferences(path) == Preferences(recent=("x",))


def test_a_place_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert not save_preferences(Preferences(), tmp_path / "file" / "preferences.json")


def test_recent_files_are_unique_and_few() -> None:
    preferences = Preferences()
    for i in range(15):
        preferences = preferences.with_recent(f"file {i}")
    preferences = preferences.with_recent("file 10")
    assert len(preferences.recent) == 10
    assert preferences.recent[:2] == ("file 10", "file 14")
