"""The thread that owns an LED array: what is asked is done or said to be impossible, and it ends dark."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from device_setups import LONG_S, bench

from ptychoui.devices import sketch
from ptychoui.devices.device import Capabilities, DeviceOptions
from ptychoui.devices.emulators.wire import Faults
from ptychoui.devices.finding import Answer
from ptychoui.devices.frames import Frame
from ptychoui.devices.timeline import Timing
from ptychoui.errors import DeviceError
from ptychoui.session.device_link import DeviceLink
from ptychoui.session.device_state import Phase, Play, Show

KINDS = ("illuminate2", "illuminate1", "ptychoui", "uc2", "adalight")


def frame(levels: Any, name: str = "pattern") -> Frame:
    levels = np.asarray(levels, dtype=float)
    return Frame(numbers=np.arange(len(levels)), levels=levels, name=name)


def single(led: int) -> Frame:
    return Frame(numbers=np.array([led]), levels=np.ones(1), name=f"LED {led}")


def sequence(leds: int, exposure_ms: float, level: float = 1.0, **more: Any) -> Play:
    frames = tuple(Frame(numbers=np.array([i]), levels=np.full(1, level)) for i in range(leds))
    timing = Timing(pwm_period_ms=0.0, settle_ms=0.0)
    return Play(frames=frames, exposures_ms=np.full(leds, exposure_ms), timing=timing, **more)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pattern_shines_and_goes_dark(kind: str) -> None:
    with bench(kind, 32) as b:
        state = b.connected()
        assert state.opened is not None and state.opened.capabilities.n_leds == 32 and not b.board.light.any()
        shown = b.answered(b.link.show(frame([1.0, 0.5, 0.0, 0.2], "four"), row=2))
        assert shown.phase is Phase.SHOWING and (shown.row, shown.shown, shown.lit) == (2, "four", True)
        # 10 % of 255 is 26 (25.5 to the even number): written down by hand.
        wanted = np.zeros(32, dtype=int)
        wanted[:4] = (26, 13, 0, 5)
        np.testing.assert_array_equal(shown.values, wanted)
        b.until(lambda _: np.array_equal(b.board.light.max(1), wanted))
        dark = b.answered(b.link.dark("asked for"))
        assert dark.phase is Phase.DARK and dark.message == "asked for" and not dark.lit
        b.until(lambda _: not b.board.light.any())
        assert b.answered(b.link.dark("again")).message == "asked for"  # it was dark
        assert b.link.close(LONG_S) == "" and not b.link.alive


@pytest.mark.parametrize("kind", ["illuminate2", "ptychoui"])
def test_a_sequence_that_the_array_times(kind: str) -> None:
    with bench(kind, 16) as b:
        b.connected()
        state = b.answered(b.link.play(sequence(6, 20.0, trigger=True)))
        playing = [state for state in b.states if state.phase is Phase.PLAYING]
        assert playing[0].in_hardware and playing[0].rows == 6 and playing[0].step_ms == 20
        assert state.phase is Phase.DARK and state.message.startswith("6 patterns played in 0.")
        assert [int(np.flatnonzero(light.max(1))[0]) for light in b.board.board.pulses] == list(range(6))
        assert not b.board.light.any()


@pytest.mark.parametrize("kind", ["illuminate2", "uc2"])
def test_a_sequence_that_the_computer_steps_says_each_pattern(kind: str) -> None:
    """Grey levels on an array that times on or off, and an array that keeps nothing."""
    with bench(kind, 16) as b:
        b.connected()
        frames = tuple(frame(np.eye(16)[row] * (0.5 + 0.1 * row)) for row in range(4))
        order = Play(frames=frames, exposures_ms=np.full(4, 60.0), timing=Timing(pwm_period_ms=0.0), count=2)
        ticket = b.link.play(order)
        lit = []

        def look(state: Any) -> bool:
            if state.phase is Phase.PLAYING and state.row >= 0:
                lit.append((state.row, int(state.values.argmax())))
            return state.ticket == ticket and b.link.pending is None

        end = b.until(look)
        assert set(lit) == {(row, row) for row in range(4)} and not any(state.in_hardware for state in b.states)
        assert "2 times" in end.message and end.notes and not b.board.light.any()
        rows = [state.row for state in b.states if state.phase is Phase.PLAYING]
        assert rows == sorted(rows[:4]) + sorted(rows[4:])


def test_the_clock_says_which_pattern_of_a_timed_sequence_shines() -> None:
    with bench("illuminate2", 16) as b:
        b.connected()
        ticket = b.link.play(sequence(3, 20.0))
        playing = b.until(lambda state: state.phase is Phase.PLAYING)
        assert [playing.row_at(playing.began_s + at) for at in (0.0, 0.019, 0.021, 0.041, 0.061)] == [0, 0, 1, 2, 0]
        b.answered(ticket)


@pytest.mark.parametrize("kind", ["illuminate2", "ptychoui", "uc2", "adalight"])
def test_dark_ends_a_sequence_in_the_middle(kind: str) -> None:
    with bench(kind, 16) as b:
        b.connected()
        b.link.play(sequence(16, 1900.0))
        b.until(lambda state: state.phase is Phase.PLAYING and b.board.light.any())
        began = time.monotonic()
        state = b.answered(b.link.dark("stopped"))
        assert time.monotonic() - began < 20  # of 30 s that are left: it was not waited for
        assert state.phase is Phase.DARK and state.opened is not None
        b.until(lambda _: not b.board.light.any())
        assert b.answered(b.link.show(single(3))).phase is Phase.SHOWING  # and it listens still


def test_states_of_wishes_that_a_later_one_ended_are_not_shown() -> None:
    with bench("illuminate2", 64, Faults(lost_tails=0, slow=1.0, slow_s=0.03)) as b:
        b.connected()
        b.link.show(single(1), row=1)
        b.until(lambda _: isinstance(b.link.pending, Show))
        dark = b.link.dark("now")
        before = len(b.states)
        b.answered(dark)
        assert all(state.ticket >= dark for state in b.states[before:])
        assert Phase.SHOWING not in [state.phase for state in b.states[before:]]
        assert not b.board.light.any()


def test_of_patterns_that_wait_only_the_newest_is_shown() -> None:
    with bench("illuminate2", 64, Faults(lost_tails=0, slow=1.0, slow_s=0.02)) as b:
        b.connected()
        tickets = [b.link.show(single(led), row=led) for led in range(8)]
        b.answered(tickets[-1])
        shown = [state.row for state in b.states if state.phase is Phase.SHOWING]
        assert shown[-1] == 7 and len(shown) <= 2
        assert np.flatnonzero(b.board.light.max(1)).tolist() == [7]


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("kind", ["illuminate2", "ptychoui"])
def test_a_cable_that_is_pulled_is_seen_and_said(kind: str, busy: bool) -> None:
    with bench(kind, 16) as b:
        b.connected()
        if busy:
            b.link.play(sequence(16, 500.0))
            b.until(lambda state: state.phase is Phase.PLAYING)
        else:
            b.answered(b.link.show(single(2)))
        b.board.unplug()
        state = b.until(lambda state: state.phase is Phase.UNPLUGGED)
        assert "may still be lit" in state.message and "Without the program" in state.hint and state.opened is None
        assert not state.lit and b.link.emulator is None
        b.board.plug_in()
        b.until(lambda _: b.link.pending is None)
        assert b.connected().opened is not None
        assert b.answered(b.link.show(single(2))).phase is Phase.SHOWING


def test_what_cannot_be_shown_leaves_the_array_dark_and_open() -> None:
    with bench("illuminate2", 16) as b:
        b.connected()
        b.answered(b.link.show(single(3)))
        state = b.answered(b.link.show(single(16)))
        assert state.phase is Phase.FAILED and "lights LED 16" in state.message and state.hint
        assert state.opened is not None and not b.board.light.any()
        assert b.answered(b.link.show(single(15))).phase is Phase.SHOWING


def test_a_pattern_above_the_limit_needs_to_be_confirmed() -> None:
    with bench("ptychoui", 64) as b:
        b.connected()
        options = DeviceOptions(brightness=1.0, current_limit_ma=500.0)
        assert b.answered(b.link.use(options)).opened.usual_limit_ma == 2000  # type: ignore[union-attr]
        bright = frame(np.ones(64))
        refused = b.answered(b.link.show(bright))
        assert refused.phase is Phase.FAILED and "1.3 A" in refused.message
        assert not b.board.light.any()
        assert b.answered(b.link.show(bright, confirmed=True)).phase is Phase.SHOWING
        assert b.board.light.max() == 255


def test_another_colour_makes_dark_first_and_holds_from_then_on() -> None:
    with bench("illuminate2", 16) as b:
        b.connected()
        b.answered(b.link.show(single(1)))
        state = b.answered(b.link.use(DeviceOptions(brightness=0.2, colour="white")))
        assert state.phase is Phase.DARK and not b.board.light.any()
        assert state.opened is not None and state.opened.channels == 3
        b.answered(b.link.show(single(1)))
        assert b.board.light[1].tolist() == [51, 51, 51]


def test_heartbeats_keep_a_pattern_lit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketch, "ALIVE_S", 0.5)
    monkeypatch.setattr(sketch.Sketch, "beat_every_s", 0.1)
    with bench("ptychoui", 16) as b:
        b.connected()
        b.answered(b.link.show(single(1)))
        beats = len([command for command in b.board.commands if b"BEAT" in command])
        b.until(lambda _: len([command for command in b.board.commands if b"BEAT" in command]) > beats + 12)
        assert b.board.light[1].any() and b.link.state.phase is Phase.SHOWING


def test_an_array_that_went_dark_by_itself_is_not_said_to_shine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketch, "ALIVE_S", 0.3)
    monkeypatch.setattr(sketch.Sketch, "beat_every_s", 0.9)
    with bench("ptychoui", 16) as b:
        b.connected()
        b.link.show(single(1))
        state = b.until(lambda state: state.phase is Phase.FAILED)
        assert "went dark" in state.message and state.opened is not None


def test_a_wish_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    begun = threading.Event()

    def never(url: str, options: DeviceOptions, log: object, abort: threading.Event) -> Any:
        begun.set()
        abort.wait()
        raise sketch.StopRequested

    link = DeviceLink(opener=never, clock=lambda: now[0])
    link.connect("port", DeviceOptions())
    assert begun.wait(LONG_S)
    now[0] = 44.0
    link.drain()
    assert not link.abort.is_set()
    now[0] = 46.0
    end = time.monotonic() + LONG_S
    while link.state.phase is not Phase.FAILED and time.monotonic() < end:
        link.drain()
        time.sleep(0.002)
    assert "no end within 45 s" in link.state.message and link.state.hint
    assert link.close(LONG_S) == ""


@pytest.mark.parametrize("ending", ["leave", "connect", "find"])
def test_connecting_can_be_ended(ending: str) -> None:
    begun = threading.Event()

    def slow(url: str, options: DeviceOptions, log: object, abort: threading.Event) -> Any:
        begun.set()
        if url == "other":
            raise DeviceError("nothing there", "look elsewhere")
        abort.wait(LONG_S)
        raise sketch.StopRequested

    link = DeviceLink(opener=slow, finder=lambda everything: [])
    link.connect("port", DeviceOptions())
    assert begun.wait(LONG_S)
    ask = {"leave": link.leave, "connect": lambda: link.connect("other", DeviceOptions()), "find": link.find}[ending]
    ticket = ask()
    end = time.monotonic() + LONG_S
    while (link.state.ticket < ticket or link.pending is not None) and time.monotonic() < end:
        link.drain()
        time.sleep(0.002)
    link.drain()
    assert link.state.phase is {"leave": Phase.NOTHING, "connect": Phase.FAILED, "find": Phase.NOTHING}[ending]
    assert link.close(LONG_S) == ""


def test_ports_are_asked_as_wanted_and_told() -> None:
    asked: list[bool] = []
    found = [
        Answer(url="/dev/a", description="Teensy", asked=True, kind="illuminate", name="round", n_leds=257),
        Answer(url="/dev/b", description="stage", asked=False),
    ]

    def finder(everything: bool) -> list[Answer]:
        asked.append(everything)
        return found if everything else []

    link = DeviceLink(finder=finder)
    for everything, words in ((False, "no serial ports"), (True, "round at /dev/a; 1 port not asked")):
        ticket = link.find(everything)
        end = time.monotonic() + LONG_S
        while (link.state.ticket < ticket or link.pending is not None) and time.monotonic() < end:
            link.drain()
            time.sleep(0.002)
        link.drain()
        assert words in link.state.message
    assert asked == [False, True] and link.state.answers == tuple(found)
    assert link.close(LONG_S) == ""


def test_a_port_that_is_not_there_is_one_sentence() -> None:
    link = DeviceLink()
    link.connect("/dev/there_is_none", DeviceOptions())
    end = time.monotonic() + LONG_S
    while link.state.phase is not Phase.FAILED and time.monotonic() < end:
        link.drain()
        time.sleep(0.002)
    assert "no port '/dev/there_is_none'" in link.state.message and link.state.hint and link.state.opened is None
    assert link.close(LONG_S) == ""


def test_closing_in_mid_sequence_ends_dark() -> None:
    with bench("illuminate2", 16) as b:
        b.connected()
        b.link.play(sequence(16, 1900.0))
        b.until(lambda state: state.phase is Phase.PLAYING and b.board.light.any())
        assert b.link.close(0.0) != "" or not b.link.alive
        assert b.link.close(LONG_S) == ""
        assert not b.board.light.any() and not b.link.alive


def test_closing_says_where_the_array_cannot_be_made_dark() -> None:
    with bench("illuminate2", 16) as b:
        b.connected()
        b.answered(b.link.show(single(1)))
        b.board.faults = Faults(lost_tails=0, deaf=1.0)
        said = b.link.close(LONG_S)
        assert "may still be lit" in said and "supply" in said


def test_closing_does_not_wait_longer_than_it_is_told() -> None:
    begun, release = threading.Event(), threading.Event()

    def hung(url: str, options: DeviceOptions, log: object, abort: threading.Event) -> Any:
        begun.set()
        release.wait(LONG_S)  # in a call of the system that nothing ends
        raise DeviceError("too late", "")

    link = DeviceLink(opener=hung)
    link.connect("port", DeviceOptions())
    assert begun.wait(LONG_S)
    assert "may still be lit" in link.close(0.05) and link.alive
    release.set()
    assert link.close(LONG_S) == ""


@pytest.mark.parametrize("fault", ["lost_bytes", "deaf", "mute", "halves", "garbled", "chatter"])
def test_on_a_disturbed_line_what_is_said_to_shine_shines(fault: str) -> None:
    with bench("illuminate2", 32, Faults(lost_tails=0), answer_s=0.1) as b:
        b.connected()
        b.board.faults = Faults(**{"lost_tails": 0, fault: 0.1})
        b.devices[-1].options = DeviceOptions(answer_s=0.1, brightness=0.1)
        random = np.random.default_rng(3)
        for _ in range(6):
            levels = (random.random(32) < 0.3) * 1.0
            state = b.answered(b.link.show(frame(levels)))
            if state.phase is Phase.SHOWING:
                np.testing.assert_array_equal(b.board.light.max(1) > 0, levels > 0)
            else:
                assert state.phase is Phase.FAILED and state.message
                if state.opened is None:
                    b.board.faults = Faults(lost_tails=0)
                    b.connected()
        b.board.faults = Faults(lost_tails=0)
        b.link.close(LONG_S)
        assert not b.board.light.any()


def test_many_wishes_at_once_end_dark() -> None:
    """Whatever is pressed in whatever order, the last dark holds."""
    random = np.random.default_rng(5)
    with bench("ptychoui", 16) as b:
        b.connected()
        for _ in range(40):
            match int(random.integers(5)):
                case 0:
                    b.link.dark()
                case 1:
                    b.link.play(sequence(4, 30.0))
                case 2:
                    b.link.use(DeviceOptions(brightness=0.3))
                case _:
                    b.link.show(single(int(random.integers(16))))
            b.drain()
            time.sleep(float(random.random()) * 0.02)
        state = b.answered(b.link.dark())
        assert state.phase is Phase.DARK and not b.board.light.any() and state.opened is not None
        assert not [state for state in b.states if state.phase in (Phase.FAILED, Phase.UNPLUGGED)]


class Held:
    """An array that shows and goes dark when a test lets it, whatever it is asked meanwhile."""

    name, kind, emulator, beat_every_s, channels, usual_limit_ma = "held", "held", None, 0.0, 1, 100.0
    capabilities = Capabilities(n_leds=4)

    def __init__(self, abort: threading.Event, fails: bool = False, stops: bool = False) -> None:
        self.abort, self.fails, self.stops = abort, fails, stops
        self.transport = self
        self.showing, self.may_show = threading.Event(), threading.Event()
        self.going, self.may_go = threading.Event(), threading.Event()
        self.stopped_while_going = False

    def discard(self) -> None:
        """Nothing has arrived."""

    def show(self, frame: Frame, confirmed: bool) -> Any:
        self.showing.set()
        if self.stops:
            assert self.abort.wait(LONG_S)
            raise sketch.StopRequested
        assert self.may_show.wait(LONG_S)
        if self.fails:
            raise DeviceError("it is not shown", "look at the log")
        return np.ones(4, dtype=np.uint8)

    def go_dark(self) -> None:
        self.going.set()
        assert self.may_go.wait(LONG_S)
        self.stopped_while_going |= self.abort.is_set()

    def close(self) -> None:
        self.go_dark()


def held(**how: Any) -> tuple[DeviceLink, Held]:
    made: list[Held] = []

    def opener(url: str, options: DeviceOptions, log: object, abort: threading.Event) -> Any:
        made.append(Held(abort, **how))
        return made[0]

    link = DeviceLink(opener=opener)
    link.connect("held", DeviceOptions())
    wait_for(lambda: link.drain() is not None and link.state.phase is Phase.DARK)
    return link, made[0]


def wait_for(true: Any) -> None:
    end = time.monotonic() + LONG_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_a_pattern_that_came_too_late_is_not_said_to_shine() -> None:
    link, device = held()
    link.show(single(1), row=1)
    assert device.showing.wait(LONG_S)
    dark = link.dark("now")
    device.may_show.set()
    assert device.going.wait(LONG_S)  # the pattern is shown by now, and said to be
    assert link.drain() is None and link.state.phase is Phase.DARK
    device.may_go.set()
    wait_for(lambda: link.drain() is not None)
    assert link.state.ticket == dark and link.state.phase is Phase.DARK
    assert link.close(LONG_S) == ""


@pytest.mark.parametrize("how", ["fails", "stops"])
def test_nothing_stops_an_array_that_goes_dark(how: str) -> None:
    link, device = held(**{how: True})
    link.show(single(1))
    assert device.showing.wait(LONG_S)
    if how == "stops":
        link.dark()
    else:
        device.may_show.set()
    assert device.going.wait(LONG_S)
    for _ in range(3):
        link.dark()
    device.may_go.set()
    wait_for(lambda: link.pending is None)
    assert not device.stopped_while_going
    assert link.close(LONG_S) == ""
