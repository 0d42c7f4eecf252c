"""Words that messages share."""

from __future__ import annotations

import pytest

from ptychoui.words import counted, joined


@pytest.mark.parametrize(
    ("words", "text"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_a_list_in_words(words: list[str], text: str) -> None:
    assert joined(words) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 images"), (1, "1 image"), (2, "2 images")],
)
def test_a_number_with_its_noun(count: int, text: str) -> None:
    assert counted(count, "image") == text and counted(count, "x", "xes").startswith(f"{count} x")
