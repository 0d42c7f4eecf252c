"""What a run has told so far: curves as growing float64 arrays, the newest of everything else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.session.level_history import LevelHistory
from ptychoui.settings import Metric
from ptychoui.tasks.fpm.events import PatternSnapshot
from ptychoui.training.events import (
    Failed,
    Finished,
    Judged,
    Picture,
    Preparing,
    ResultReady,
    Saved,
    Snapshot,
    Started,
    StepDone,
    Stopped,
    StrategyChanged,
    Validated,
    VjpsChecked,
)
from ptychoui.training.verdict import LEARNED, Verdict


class Curve:
    """Points (x, y) that are appended and read without being copied."""

    def __init__(self) -> None:
        self._points = np.empty((2, 256))
        self._count = 0

    def append(self, x: float, y: float) -> None:
        """Add a point."""
        if self._count == self._points.shape[1]:
            self._points = np.concatenate([self._points, np.empty_like(self._points)], axis=1)
        self._points[:, self._count] = x, y
        self._count += 1

    def keep_until(self, x: float) -> None:
        """Drop the points beyond ``x``."""
        self._count = int(np.searchsorted(self.x, x, side="right"))

    def __len__(self) -> int:
        return self._count

    @property
    def x(self) -> NDArray[np.float64]:
        """(point,) float64 view."""
        return self._points[0, : self._count]

    @property
    def y(self) -> NDArray[np.float64]:
        """(point,) float64 view."""
        return self._points[1, : self._count]


class RunHistory:
    """Everything a view shows of one run; filled by `take`, event after event.

    Parameters
    ----------
    metrics
        What the run's results are scored by, the one that decides first.
    """

    def __init__(self, metrics: tuple[Metric, ...] = ()) -> None:
        self.metrics = metrics
        self.training = Curve()
        self.held_out = Curve()
        self.preparing = ""
        self.started: Started | None = None
        self.last_step: StepDone | None = None
        self.last_score: Validated | None = None
        self.first_score: Validated | None = None
        self.shown_first: Picture | None = None
        self.snapshot: Snapshot | None = None
        self.learned = LevelHistory()
        self.result: Any = None
        self.saved: Saved | None = None
        self.end: Finished | Stopped | Failed | None = None
        self.certificate = ""
        self.vjps: VjpsChecked | None = None
        self.verdict: Verdict | None = None
        self.elsewhere: int | None = None
        """Steps of a run that another process works on; None of every other run."""

    def forget_curves(self) -> None:
        """What is told next is told from the start."""
        for curve in (self.training, self.held_out):
            curve.keep_until(-1)
        self.first_score = self.last_score = self.verdict = None

    @property
    def proof(self) -> str:
        """What is known of the gradients, in a sentence or two."""
        found = [self.certificate] if self.certificate else []
        if self.vjps is not None:
            found.append(f"derivatives agree with differences to {self.vjps.deviation:.0e} (step {self.vjps.step})")
        return "; ".join(found)

    @property
    def recommendation(self) -> tuple[str, bool]:
        """What to use and why, in a sentence, and whether it is what was learned; empty before the end."""
        if self.verdict is None:
            return "", True
        return self.verdict.sentence, self.verdict.recommended == LEARNED

    @property
    def shows_nothing(self) -> bool:
        """Whether the newest result is no better than one that shows nothing."""
        if self.last_score is None or not self.metrics:
            return False
        worthless = self.metrics[0].worthless
        return worthless is not None and not self.score(self.last_score) < worthless

    def score(self, validated: Validated) -> float:
        """The score that decides."""
        return validated.scores[self.metrics[0].name]

    @property
    def step(self) -> int:
        """Optimiser steps done."""
        steps = [int(curve.x[-1]) for curve in (self.training, self.held_out) if len(curve)]
        return max(steps, default=0)

    def take(self, event: object) -> None:
        """Note an event; kinds that are not shown are let through."""
        if isinstance(event, Preparing):
            self.preparing = event.text
        elif isinstance(event, Started):
            self.started, self.end, self.preparing = event, None, ""
            self.verdict = None if event.step < event.steps else self.verdict
            # Steps after the last save are done again by a resumed run.
            for curve in (self.training, self.held_out):
                curve.keep_until(event.step if event.resumed else -1)
        elif isinstance(event, StrategyChanged):
            if self.started is not None:
                warnings = (*self.started.warnings, event.reason)
                self.started = replace(self.started, strategy=event.strategy, warnings=warnings)
        elif isinstance(event, StepDone):
            self.training.append(event.step, event.loss)
            self.last_step = event
            self.certificate = event.certificate or self.certificate
        elif isinstance(event, VjpsChecked):
            self.vjps = event
        elif isinstance(event, Validated):
            self.held_out.append(event.step, event.loss)
            self.first_score = self.first_score or event
            self.last_score = event
        elif isinstance(event, Snapshot):
            self.snapshot = event
            if isinstance(event, PatternSnapshot):
                self.learned.add(event.step, event.levels, event.exposures)
        elif isinstance(event, Picture):
            self.shown_first = event
        elif isinstance(event, Judged):
            self.verdict = event.verdict
        elif isinstance(event, ResultReady):
            self.result = event.result
        elif isinstance(event, Saved):
            self.saved = event
        elif isinstance(event, (Finished, Stopped, Failed)):
            self.end, self.preparing = event, ""

    def take_lines(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Note the lines of a run folder's ``events.jsonl``; odd ones are skipped."""
        for line in lines:
            try:
                if line.get("kind") == "judged":
                    self.verdict = Verdict.from_record(line["verdict"])
                    continue
                step, loss = int(line["step"]), float(line["loss"])
                if line.get("kind") == "step":
                    self.training.append(step, loss)
                elif line.get("kind") == "validated":
                    # Only the metric that decides is always there.
                    known = [metric.name for metric in self.metrics[1:] if metric.name in line]
                    scores = {name: float(line[name]) for name in (self.metrics[0].name, *known)}
                    self.take(Validated(step=step, loss=loss, scores=scores))
            except (KeyError, TypeError, ValueError):
                continue
