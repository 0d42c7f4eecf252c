"""The story of the demonstration as a clock sees it: chapters, pause, forward and back. No Qt, no torch."""

from __future__ import annotations

from dataclasses import dataclass

LIVE = "learning"
"""The chapter that waits for the run."""

MEMORY = "memory"
"""The chapter with the slider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One scene.

    Attributes
    ----------
    key, title
        As the program and as people call it.
    seconds
        How long it is shown when the story plays by itself.
    most_seconds
        How long it waits at most for the run; the same as ``seconds`` where it waits for nothing.
    """

    key: str
    title: str
    seconds: float
    most_seconds: float


def _chapter(key: str, title: str, seconds: float, most: float = 0.0) -> Chapter:
    return Chapter(key=key, title=title, seconds=seconds, most_seconds=max(seconds, most))


CHAPTERS = (
    _chapter("array", "One LED after another", 16),
    _chapter("coded", "Six frames instead of 69", 12),
    _chapter(LIVE, "Learning", 30, 60),
    _chapter(MEMORY, "Memory", 18),
    _chapter("undone", "Undone bit for bit", 14),
    _chapter("end", "What it is worth", 14),
)
"""In the order in which they are told."""


class Story:
    """Where the story is.

    Time is handed in: the story never asks a clock, so that tests and recordings can tell it any time.

    Attributes
    ----------
    place
        Chapter that is shown, counted from 0.
    at
        Seconds since it began, without pauses.
    paused, ended
        Whether it stands still because somebody wants it, or because the last chapter is over.
    lengths
        Chapter -> seconds that it was shown, without pauses.
    chosen_unrolls
        What somebody has set the slider to; None while it runs by itself.
    """

    def __init__(self, chapters: tuple[Chapter, ...] = CHAPTERS) -> None:
        self.chapters = chapters
        self.place = 0
        self.at = 0.0
        self.paused = False
        self.ready = False
        self.lengths: dict[str, float] = {chapter.key: 0.0 for chapter in chapters}
        self.chosen_unrolls: int | None = None
        self._now: float | None = None

    @property
    def chapter(self) -> Chapter:
        """The chapter that is shown."""
        return self.chapters[self.place]

    @property
    def last(self) -> bool:
        """Whether it is the last one."""
        return self.place == len(self.chapters) - 1

    @property
    def ended(self) -> bool:
        """Whether everything was told; the last picture stays."""
        return self.last and self.at >= self.chapter.seconds

    @property
    def share(self) -> float:
        """How much of the chapter is over, 0 to 1."""
        return min(1.0, self.at / self.chapter.seconds)

    def tick(self, now: float) -> bool:
        """Let time pass until ``now``, seconds of any clock; True if another chapter began."""
        passed = 0.0 if self._now is None else max(0.0, now - self._now)
        self._now = now
        if self.paused:
            return False
        self.at += passed
        self.lengths[self.chapter.key] += passed
        if self.last or self.at < self.chapter.seconds:
            return False
        # The chapter that shows the run is left once the run has something to show.
        if self.chapter.key == LIVE and not self.ready and self.at < self.chapter.most_seconds:
            return False
        self.turn_to(self.place + 1)
        return True

    def turn_to(self, place: int) -> None:
        """Begin a chapter; the ends stop."""
        self.place = min(max(place, 0), len(self.chapters) - 1)
        self.at = 0.0
        self.chosen_unrolls = None

    def next(self) -> None:
        """The next chapter; at the last one nothing happens."""
        if not self.last:
            self.turn_to(self.place + 1)

    def back(self) -> None:
        """The chapter's beginning, or where that is near the chapter before."""
        self.turn_to(self.place - 1 if self.at < 2 else self.place)

    def home(self) -> None:
        """Everything from its beginning, going on."""
        self.paused = False
        self.turn_to(0)

    def toggle_pause(self) -> bool:
        """Stand still or go on; returns whether it stands still now."""
        self.paused = not self.paused
        return self.paused
