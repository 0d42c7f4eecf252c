"""The page of the window names tests: they must be there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "window.md"
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE.read_text(encoding="utf-8"))))


def test_every_row_names_a_test_or_a_command() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    rows = [row for row in rows if not row.startswith(("| expectation", "| complaint", "| found"))]
    assert len(rows) >= 45
    assert all("`tests/" in row for row in rows)


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_named_test_is_there(file: str, name: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert not name or re.search(rf"^def {name}\(", text, re.MULTILINE)


def test_the_ten_are_ten() -> None:
    part = PAGE.read_text(encoding="utf-8").partition("## The ten")[2].partition("\n## ")[0]
    rows = [line for line in part.splitlines() if re.match(r"\| \d+\. ", line)]
    assert [int(row[2:].partition(".")[0]) for row in rows] == list(range(1, 11))
