"""How well a design holds when the microscope is not as stated, for the window. Torch is imported inside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptychoui.design.patterns import PatternSet
from ptychoui.errors import SettingsError
from ptychoui.session.runs import LOADING, READING, leave_a_core
from ptychoui.session.worker import MakeEvents
from ptychoui.tasks.fpm.titles import TITLES
from ptychoui.training.control import RunControl
from ptychoui.training.events import Begun, Event, Failed, Finished, Preparing, Stopped

if TYPE_CHECKING:
    from ptychoui.tasks.fpm.robustness import RobustnessCard


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPlan:
    """What is tried.

    Attributes
    ----------
    patterns
        With the record of their experiment, as `Document.patterns` and exported files have it.
    folder
        Of a run, in place of patterns.
    against
        A hand-made design of `TITLES`.
    draws
        How often what is random is drawn, 1 to 100.

    Raises
    ------
    SettingsError
        If a value is refused.
    """

    patterns: PatternSet | None = None
    folder: Path | None = None
    against: str = "half_circles"
    draws: int = 2

    def __post_init__(self) -> None:
        if (self.patterns is None) == (self.folder is None):
            raise SettingsError("there is no design to try", "choose patterns that were learned, painted or added")
        if self.against not in TITLES:
            raise SettingsError(f"there is no design {self.against!r} to hold it against", "choose a hand-made one")
        if not 1 <= self.draws <= 100:
            raise SettingsError(f"{self.draws} draws of what is random cannot be", "choose 1 to 100")


@dataclass(frozen=True, slots=True, kw_only=True)
class CardBegun(Begun):
    """The design and the data are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardDone(Event):
    """All was tried."""

    card: RobustnessCard


class CardHistory:
    """What has been told; filled by `take`."""

    def __init__(self) -> None:
        self.preparing = ""
        self.begun = False
        self.card: RobustnessCard | None = None
        self.end: Finished | Stopped | Failed | None = None

    def take(self, event: object) -> None:
        """Note an event."""
        if isinstance(event, Preparing):
            self.preparing = event.text
        elif isinstance(event, CardBegun):
            self.begun, self.preparing = True, ""
        elif isinstance(event, CardDone):
            self.card = event.card
        elif isinstance(event, (Finished, Stopped, Failed)):
            self.end, self.preparing = event, ""


def card_run(plan: CardPlan) -> MakeEvents:
    """Return what a worker needs to try a design, as `ptychoui robustness` does."""

    def events(control: RunControl, _want_images: Callable[[], bool]) -> Iterator[Any]:
        control.now(LOADING)
        leave_a_core()
        from ptychoui.tasks.fpm.robustness import robustness
        from ptychoui.tasks.fpm.robustness_runs import design_of_patterns, design_of_run
        from ptychoui.training.evaluation import load_run

        yield Preparing(step=0, text=READING)
        steps = 0
        if plan.folder is not None:
            trainer = load_run(plan.folder)
            steps = trainer.step
            design, parameters = design_of_run(trainer)
        else:
            assert plan.patterns is not None
            design, parameters = design_of_patterns(plan.patterns, control.now)
        control.checkpoint()
        yield CardBegun(step=0)
        card = robustness(design, parameters, plan.against, plan.draws, steps, control.now, control.checkpoint)
        yield CardDone(step=steps, card=card)
        yield Finished(step=steps, seconds=0.0)

    return events
