"""Few strengths of the classical methods, so that tests are short."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ptychoui.mri.classical import METHODS
from ptychoui.tasks.mri import recommendation


@pytest.fixture
def few_strengths(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, method in list(METHODS.items()):
        monkeypatch.setitem(METHODS, name, replace(method, grid=method.grid[1:3] or method.grid, iterations=10))
    monkeypatch.setattr(recommendation, "TUNING", 1)
