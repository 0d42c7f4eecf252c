"""Commands as a person gives them, and what they are given."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ptychoui.training.trainer import Trainer

Call = Callable[..., Any]


def some_images(count: int = 9, size: int = 24) -> np.ndarray:
    """Pixels between 0.5 and 1.5, (count, size, size)."""
    rng = np.random.default_rng(1)
    return (0.5 + rng.random((count, size, size))).astype(np.float32)


def without_geometry(text: str) -> str:
    """An experiment's text without its geometry tables."""
    lines, skip = [], False
    for line in text.splitlines():
        skip = line.startswith("[geometry") if line.startswith("[") else skip
        lines += [] if skip else [line]
    return "\n".join(lines) + "\n"


def interrupt_at(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Ctrl-C while the given step is computed; -1 while the start is scored."""
    one_step, validate = Trainer._one_step, Trainer.validate

    def step(self: Trainer) -> Any:
        if self.step == at:
            os.kill(os.getpid(), signal.SIGINT)
        return one_step(self)

    def first(self: Trainer) -> Any:
        if at < 0:
            os.kill(os.getpid(), signal.SIGINT)
        return validate(self)

    monkeypatch.setattr(Trainer, "_one_step", step)
    monkeypatch.setattr(Trainer, "validate", first)
