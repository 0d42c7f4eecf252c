"""What an LED array is doing, as one value, and what can be asked of it. Nothing here touches a device."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ptychoui.devices.device import Capabilities, DeviceOptions
from ptychoui.devices.finding import Answer
from ptychoui.devices.frames import Frame
from ptychoui.devices.timeline import Timing
from ptychoui.words import counted, joined


class Phase(StrEnum):
    """What is going on; buttons, marks and texts derive from this value."""

    NOTHING = "nothing"
    LOOKING = "looking"
    CONNECTING = "connecting"
    DARK = "dark"
    SHOWING = "showing"
    LOADING = "loading"
    PLAYING = "playing"
    FAILED = "failed"
    UNPLUGGED = "unplugged"

    @property
    def busy(self) -> bool:
        """True while something is under way that ends by itself."""
        return self in (Phase.LOOKING, Phase.CONNECTING, Phase.LOADING, Phase.PLAYING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An open array.

    Attributes
    ----------
    channels
        Number of colours that shine at once.
    usual_limit_ma
        Current in mA above which a pattern must be confirmed, where no other is asked for.
    emulated
        Whether it is an emulated one.
    """

    url: str
    name: str
    kind: str
    capabilities: Capabilities
    channels: int
    usual_limit_ma: float
    emulated: bool

    def facts(self) -> tuple[str, ...]:
        """What it can do, as sentences."""
        can = self.capabilities
        colours = f"{len(can.colours)} colours" if len(can.colours) > 1 else "one colour"
        timed = f"it times sequences itself, {can.min_delay_ms:g} to {can.max_delay_ms:g} ms a pattern, "
        timed += "LEDs on or off" if can.bits_sequence == 1 else f"with {can.bits_sequence} bits a level"
        triggers = (
            f"{counted(can.trigger_outputs, 'output')} to a camera, {counted(can.trigger_inputs, 'input')} from it"
        )
        return (
            f"{counted(can.n_leds, 'LED')}, {colours}, {can.bits_static} bits a level",
            timed if can.hardware_sequence else "sequences are stepped by the computer",
            triggers if can.trigger_outputs or can.trigger_inputs else "no trigger of a camera",
            f"how a pattern is checked: {can.verifies}",
            f"if the program is killed: {can.if_killed}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """Where things stand.

    Attributes
    ----------
    ticket
        Number of the wish that led here.
    shown
        What shines, in words; empty where nothing does.
    row
        Which pattern of the design it is, from 0; -1 for none of it.
    rows
        Number of patterns of the sequence that is played.
    values
        (n_leds,) drive values that are lit.
    began_s, step_ms
        When a sequence that the array times began, in seconds of the link's clock, and the time of a pattern in ms.
    in_hardware
        Whether the array times the sequence that is played.
    message, hint
        What happened, in a sentence, and what to do.
    notes
        What is to be known of a sequence.
    answers
        What was found at the ports.
    """

    phase: Phase = Phase.NOTHING
    ticket: int = 0
    opened: Opened | None = None
    shown: str = ""
    row: int = -1
    rows: int = 0
    values: NDArray[np.uint8] | None = None
    began_s: float = 0.0
    step_ms: float = 0.0
    in_hardware: bool = False
    message: str = ""
    hint: str = ""
    notes: tuple[str, ...] = ()
    answers: tuple[Answer, ...] | None = None

    @property
    def lit(self) -> bool:
        """Whether LEDs shine, or may shine."""
        return self.phase in (Phase.SHOWING, Phase.LOADING, Phase.PLAYING)

    def row_at(self, now_s: float) -> int:
        """The pattern of the sequence that shines at a time in s of the link's clock, by what is known of it."""
        if self.phase is not Phase.PLAYING or not self.in_hardware or self.step_ms <= 0:
            return self.row
        steps = int((now_s - self.began_s) * 1000 / self.step_ms)
        return steps % self.rows if self.rows else -1

    def headline(self) -> str:
        """The state in a few words."""
        name = self.opened.name.split(" (")[0] if self.opened is not None else ""
        return {
            Phase.NOTHING: "No array",
            Phase.LOOKING: "Looking for arrays…",
            Phase.CONNECTING: "Connecting…",
            Phase.DARK: f"Dark: {name}",
            Phase.SHOWING: f"Showing {self.shown}",
            Phase.LOADING: "Sending the sequence…",
            Phase.PLAYING: f"Playing {counted(self.rows, 'pattern')}",
            Phase.FAILED: f"Failed, dark: {name}" if self.opened is not None else "Failed",
            Phase.UNPLUGGED: "Unplugged",
        }[self.phase]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Something that is asked of the array; ``ticket`` grows with every wish."""

    ticket: int = 0

    @property
    def deadline_s(self) -> float:
        """Seconds after which it is given up."""
        return 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Find(Wish):
    """Ask the ports what is there: those of usual chips, or all."""

    everything: bool = False
    deadline_s = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect(Wish):
    """Open what is behind a URL."""

    url: str
    options: DeviceOptions
    deadline_s = 45.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Show(Wish):
    """Show one pattern; ``row`` is its place in the design, -1 where it has none."""

    frame: Frame
    row: int = -1
    confirmed: bool = False

    @property
    def deadline_s(self) -> float:
        """Slow boards take LEDs one by one, each with an answer."""
        return 20.0 + 0.05 * len(self.frame.numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Play(Wish):
    """Play patterns one after the other.

    Attributes
    ----------
    exposures_ms
        (row,) time in ms that the camera collects light of each.
    delay_ms
        Time per pattern in ms; None: as exposures and timing need it.
    count
        How often the sequence is played.
    trigger
        Whether the camera gets a pulse at each pattern.
    """

    frames: tuple[Frame, ...]
    exposures_ms: NDArray[np.float64]
    timing: Timing
    delay_ms: float | None = None
    count: int = 1
    trigger: bool = False
    confirmed: bool = False

    @property
    def deadline_s(self) -> float:
        """For sending it; the time to play it is added once it is known."""
        return 60.0 + 0.5 * len(self.frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use(Wish):
    """Take another brightness, colour or limit, and be dark."""

    options: DeviceOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Dark(Wish):
    """Make the array dark; ``why`` is said where it was lit."""

    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave(Wish):
    """Make the array dark and close the line; ``last``: the thread ends."""

    last: bool = False


def answered(answers: tuple[Answer, ...]) -> str:
    """What was found at the ports, in a sentence."""
    arrays = [answer for answer in answers if answer.kind]
    silent = sum(not answer.asked for answer in answers)
    if not answers:
        return "no serial ports here; simulate: is an emulated array"
    said = joined([f"{answer.name} at {answer.url}" for answer in arrays]) or "no array answered"
    return f"{said}; {counted(silent, 'port')} not asked, for it may be another instrument" if silent else said
