"""Whatever a stack is written as: the same images of the same LEDs come back, or a sentence says why not."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from random_stacks import Case, cases, write_case

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.open import open_dataset
from ptychoui.errors import PtychouiError

SAID = ("does not tell which axis", "do not say which is which", "of which only the natural order was used")
"""What a note says where a file leaves its order open: the images may then be others, but not silently."""


def outcome(case: Case) -> str:
    """How a stack was read: read, or refused; anything else fails."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_case(case, Path(folder))
        try:
            found = open_dataset(path, case.geometry)
        except PtychouiError as error:
            assert error.message and "\n" not in error.message
            assert not case.plain or "99th percentile" in error.message, error
            return "refused"
        assert isinstance(found, ImageStack)
        notes = "\n".join(found.provenance.notes)
    images = case.meant
    unit = np.percentile(images[int(np.argmax(images.mean((1, 2))))], 99)
    same = found.images.shape == images.shape and np.allclose(found.images, images / unit, rtol=3e-6, atol=1e-6)
    same = same and found.led_numbers.tolist() == list(range(len(images)))
    assert same or any(words in notes for words in SAID), f"other images, and nothing is said: {notes}"
    return "read" if same else "said"


def run(count: int, derandomize: bool) -> Counter[str]:
    outcomes: Counter[str] = Counter()

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=derandomize,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def check(case: Case) -> None:
        outcomes[outcome(case)] += 1

    check()
    return outcomes


def test_a_hundred_stacks() -> None:
    outcomes = run(100, derandomize=True)
    assert outcomes["read"] > 60, outcomes


@pytest.mark.slow
def test_two_thousand_stacks() -> None:
    outcomes = run(2000, derandomize=False)
    assert outcomes["read"] > 1400, outcomes
