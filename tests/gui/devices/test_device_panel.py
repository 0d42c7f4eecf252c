"""The panel of the real array in the window, against emulated arrays: what it says and what shines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from device_setups import Bench
from PyQt6.QtCore import QEvent, Qt
from PyQt6.QtWidgets import QApplication, QLineEdit, QToolButton

from ptychoui.devices.emulators.wire import Faults
from ptychoui.gui.devices import questions
from ptychoui.gui.devices.desk import DeviceDesk
from ptychoui.gui.devices.panel import DevicePanel
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.session.device_state import Phase
from ptychoui.session.led_walk import DEAD

LONG = 60_000


@pytest.fixture
def opened(window: MainWindow, qtbot: Any) -> MainWindow:
    window.open_sample_stack()
    qtbot.waitUntil(lambda: window.document.dataset is not None and not window.controller.jobs.busy, timeout=LONG)
    window.send_to_array()
    panel = window.panels.device
    qtbot.waitUntil(lambda: panel.isVisible() and bool(panel.pattern.strip_names), timeout=LONG)
    return window


@pytest.fixture
def bench(opened: MainWindow) -> Iterator[Bench]:
    """An emulated array whose line can be disturbed; the window's link opens it whatever the URL."""
    made = Bench("illuminate2", 81, None)
    with made.board:
        opened.devices.link._opener = made.open
        made.link = opened.devices.link
        yield made
        opened.devices.link.close(60.0)


def reach(window: MainWindow, qtbot: Any, phase: Phase) -> None:
    link = window.devices.link
    qtbot.waitUntil(
        lambda: link.pending is None and link.state.phase is phase and link.state.ticket == link._tickets, timeout=LONG
    )


def connect(window: MainWindow, qtbot: Any, url: str = "simulate:illuminate2?leds=81") -> DevicePanel:
    panel = window.panels.device
    panel.connection.url.setEditText(url)
    qtbot.mouseClick(panel.connection.connect, Qt.MouseButton.LeftButton)
    reach(window, qtbot, Phase.DARK)
    return panel


def press(qtbot: Any, button: QToolButton) -> None:
    assert button.isEnabled(), button.toolTip()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def lit(window: MainWindow) -> list[int]:
    emulator = window.devices.link.emulator
    return [] if emulator is None else np.flatnonzero(emulator.light.max(1)).tolist()


def designed(window: MainWindow, row: int) -> list[int]:
    """Numbers of LEDs of a pattern that are bright enough for one of 26 steps."""
    patterns = window.document.patterns()
    return sorted(int(number) for number in patterns.led_numbers[np.rint(patterns.levels[row] * 26) > 0])


def test_connect_show_next_and_dark(opened: MainWindow, qtbot: Any) -> None:
    panel = opened.panels.device
    assert panel.headline.whole == "No array" and not panel.pattern.show_pattern.isEnabled()
    assert "connect an array first" in panel.pattern.show_pattern.toolTip()
    connect(opened, qtbot)
    assert panel.headline.whole.startswith("Dark") and panel.mark.phase is Phase.DARK
    assert not panel.connection.url.isVisible() and panel.connection.leave.isVisible()
    press(qtbot, panel.pattern.show_pattern)
    reach(opened, qtbot, Phase.SHOWING)
    assert lit(opened) == designed(opened, 0) and panel.headline.whole == "Showing bright field 1"
    numbers = opened.document.patterns().led_numbers
    drawn = panel.emulated.leds.plot._spots
    qtbot.waitUntil(lambda: sorted(numbers[drawn.levels > 0].tolist()) == designed(opened, 0), timeout=LONG)
    press(qtbot, panel.pattern.next)
    qtbot.waitUntil(lambda: opened.devices.link.state.row == 1, timeout=LONG)
    qtbot.waitUntil(lambda: sorted(numbers[drawn.levels > 0].tolist()) == designed(opened, 1), timeout=LONG)
    assert panel.emulated.says.whole.startswith(f"{len(designed(opened, 1))} of 81 lit, to ")
    assert lit(opened) == designed(opened, 1) and panel.pattern.strip.row == 1
    press(qtbot, panel.pattern.previous)
    qtbot.waitUntil(lambda: opened.devices.link.state.row == 0, timeout=LONG)
    press(qtbot, panel.dark)
    reach(opened, qtbot, Phase.DARK)
    assert lit(opened) == []
    assert opened.way.bar.buttons["array"].text() == "✓ Array"
    press(qtbot, panel.connection.leave)
    reach(opened, qtbot, Phase.NOTHING)
    assert panel.connection.url.isVisible()
    assert opened.preferences.array_urls == ("simulate:illuminate2?leds=81",)
    assert panel.connection.url.itemText(0) == "simulate:illuminate2?leds=81"


def test_esc_makes_dark_in_the_panel_and_does_not_stop_a_run(opened: MainWindow, qtbot: Any) -> None:
    panel = connect(opened, qtbot)
    stopped: list[int] = []
    stop = opened.actions_by_key["stop"]
    stop.setEnabled(True)
    stop.triggered.disconnect()
    stop.triggered.connect(lambda: stopped.append(1))
    line = panel.connection.url.lineEdit()
    assert isinstance(line, QLineEdit)
    for widget in (panel.pattern.brightness, panel.pattern.show_pattern, panel.pattern.strip, panel.tabs.tabBar()):
        press(qtbot, panel.pattern.show_pattern)
        reach(opened, qtbot, Phase.SHOWING)
        assert widget is not None
        widget.setFocus()
        qtbot.keyClick(widget, Qt.Key.Key_Escape)
        reach(opened, qtbot, Phase.DARK)
    assert not stopped and lit(opened) == []


def test_dark_can_always_be_pressed(window: MainWindow, qtbot: Any) -> None:
    panel = window.panels.device
    window.send_to_array()
    assert panel.dark.isEnabled()
    press(qtbot, panel.dark)  # with nothing open
    window.actions_by_key["array_dark"].trigger()
    assert window.devices.link.state.phase is Phase.NOTHING and not window.devices.link.alive


def test_the_preview_has_what_the_array_gets(opened: MainWindow, qtbot: Any) -> None:
    panel = connect(opened, qtbot, "simulate:illuminate2?leds=60")
    page = panel.pattern
    page.strip.choose(1)
    rings = np.flatnonzero(page.on_array.plot._spots.ringed)
    numbers = opened.document.patterns().led_numbers
    assert numbers[rings].tolist() == list(range(60, 81))
    assert "lights LED" in page.words.text() and not page.show_pattern.isEnabled()
    page.strip.choose(0)
    assert page.show_pattern.isEnabled() and "26 steps of light" in page.words.text()
    page.brightness.setValue(50.0)
    assert "128 steps" in page.words.text()
    page.bits.setValue(1)
    qtbot.waitUntil(lambda: "1 bit" in page.words.text(), timeout=LONG)


def test_another_brightness_is_shown_at_once(opened: MainWindow, qtbot: Any) -> None:
    panel = connect(opened, qtbot)
    press(qtbot, panel.pattern.show_pattern)
    reach(opened, qtbot, Phase.SHOWING)
    link = opened.devices.link
    before = int(link.emulator.light.max())  # type: ignore[union-attr]
    panel.pattern.brightness.setValue(20.0)
    qtbot.waitUntil(
        lambda: link.pending is None and link.state.phase is Phase.SHOWING and link.emulator is not None
        and int(link.emulator.light.max()) == 2 * before,
        timeout=LONG,
    )  # fmt: skip


def test_a_sequence_plays_with_a_mark_and_ends_dark(opened: MainWindow, qtbot: Any) -> None:
    panel = connect(opened, qtbot)
    panel.tabs.setCurrentWidget(panel.sequence)
    page = panel.sequence
    assert "stepped by the computer" in page.words.text()
    page.frame.setValue(120.0)
    qtbot.waitUntil(lambda: "of 125 ms" in page.words.text(), timeout=LONG)
    marks: set[int] = set()
    opened.controller.bridge.tick.connect(lambda: marks.add(page.timeline.playing))
    press(qtbot, page.play)
    qtbot.waitUntil(lambda: opened.devices.link.state.phase is Phase.PLAYING, timeout=LONG)
    assert not page.play.isEnabled() and page.stop.isEnabled()
    reach(opened, qtbot, Phase.DARK)
    assert {0, 1, 2, 3} <= marks and page.timeline.playing == -1 and lit(opened) == []
    assert "4 patterns played" in panel.message.text()


def test_one_bit_lets_the_array_time_the_sequence_and_stop_ends_it(opened: MainWindow, qtbot: Any) -> None:
    panel = connect(opened, qtbot)
    panel.pattern.bits.setValue(1)
    panel.tabs.setCurrentWidget(panel.sequence)
    page = panel.sequence
    qtbot.waitUntil(lambda: "timed by the array" in page.words.text(), timeout=LONG)
    page.delay.setValue(1900.0)
    press(qtbot, page.play)
    qtbot.waitUntil(lambda: opened.devices.link.state.phase is Phase.PLAYING and bool(lit(opened)), timeout=LONG)
    assert opened.devices.link.state.in_hardware
    qtbot.waitUntil(lambda: "clock of this computer" in page.at.whole, timeout=LONG)
    press(qtbot, page.stop)
    reach(opened, qtbot, Phase.DARK)
    assert lit(opened) == [] and "stopped" in panel.message.text()


def test_times_that_cannot_be_kept_are_said_and_not_played(opened: MainWindow, qtbot: Any) -> None:
    panel = connect(opened, qtbot)
    panel.pattern.bits.setValue(1)
    qtbot.waitUntil(lambda: "timed by the array" in panel.sequence.words.text(), timeout=LONG)
    panel.sequence.delay.setValue(2.0)
    assert not panel.sequence.play.isEnabled() and "5 to 2000 ms" in panel.sequence.words.text()
    assert "5 to 2000 ms" in panel.sequence.play.toolTip()


def test_much_light_is_asked_about(opened: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = connect(opened, qtbot, "simulate:ptychoui?leds=81")
    asked: list[tuple[float, float]] = []
    answers = [False, True]

    def ask(cls: object, parent: object, what: str, draw: float, limit: float) -> bool:
        asked.append((draw, limit))
        return answers[len(asked) - 1]

    monkeypatch.setattr(questions.BrightQuestion, "ask", classmethod(ask))
    panel.pattern.limit.setValue(0.001)
    reach(opened, qtbot, Phase.DARK)
    press(qtbot, panel.pattern.show_pattern)
    qtbot.wait(100)
    assert lit(opened) == [] and len(asked) == 1 and asked[0][1] == pytest.approx(1.0) and asked[0][0] > 1
    press(qtbot, panel.pattern.show_pattern)
    reach(opened, qtbot, Phase.SHOWING)
    assert lit(opened) == designed(opened, 0)


def test_a_pulled_cable_is_a_sentence_and_the_window_lives(bench: Bench, opened: MainWindow, qtbot: Any) -> None:
    panel = connect(opened, qtbot)
    panel.tabs.setCurrentWidget(panel.sequence)
    panel.sequence.frame.setValue(400.0)
    qtbot.waitUntil(lambda: not opened.controller.jobs.busy, timeout=LONG)
    press(qtbot, panel.sequence.play)
    qtbot.waitUntil(lambda: opened.devices.link.state.phase is Phase.PLAYING, timeout=LONG)
    assert panel.emulated.isVisible()
    press(qtbot, panel.emulated.pull)
    qtbot.waitUntil(lambda: opened.devices.link.state.phase is Phase.UNPLUGGED, timeout=LONG)
    assert "may still be lit" in panel.message.text() and panel.mark.phase is Phase.UNPLUGGED
    assert any("may still be lit" in message.text for message in opened.panels.messages.messages)
    assert panel.connection.connect.isVisible() and panel.emulated.isHidden()
    assert not panel.pattern.show_pattern.isEnabled()
    bench.board.plug_in()
    connect(opened, qtbot)
    panel.tabs.setCurrentWidget(panel.pattern)
    press(qtbot, panel.pattern.show_pattern)
    reach(opened, qtbot, Phase.SHOWING)


def test_a_slow_array_does_not_hold_up_the_window(bench: Bench, opened: MainWindow, qtbot: Any) -> None:
    panel = connect(opened, qtbot)
    bench.board.faults = Faults(lost_tails=0, slow=1.0, slow_s=0.1)
    longest: list[float] = []
    look = opened.devices.look

    def timed() -> None:
        began = time.perf_counter()
        look()
        longest.append(time.perf_counter() - began)

    opened.controller.bridge.tick.disconnect(look)
    opened.controller.bridge.tick.connect(timed)
    press(qtbot, panel.pattern.show_pattern)
    qtbot.waitUntil(lambda: panel.headline.whole == "Sending bright field 1…", timeout=LONG)
    press(qtbot, panel.dark)
    reach(opened, qtbot, Phase.DARK)
    assert lit(opened) == []
    # Not one of them waited for an answer: the array took 0.1 s for each, of which there were several.
    assert len([1 for seconds in longest if seconds > 0.1]) <= len(longest) // 4


def test_opening_something_else_makes_dark(opened: MainWindow, qtbot: Any) -> None:
    panel = connect(opened, qtbot)
    press(qtbot, panel.pattern.show_pattern)
    reach(opened, qtbot, Phase.SHOWING)
    opened.open_sample_objects()
    qtbot.waitUntil(lambda: not opened.controller.jobs.busy, timeout=LONG)
    reach(opened, qtbot, Phase.DARK)
    assert lit(opened) == [] and "something else was opened" in panel.message.text()


def test_closing_the_window_makes_dark(bench: Bench, opened: MainWindow, qtbot: Any) -> None:
    panel = connect(opened, qtbot)
    press(qtbot, panel.pattern.show_pattern)
    reach(opened, qtbot, Phase.SHOWING)
    assert bench.board.light.any()
    opened.close()
    assert not bench.board.light.any() and not opened.devices.link.alive and not opened.isVisible()


def test_closing_asks_where_the_array_cannot_be_made_dark(
    bench: Bench, opened: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = connect(opened, qtbot)
    press(qtbot, panel.pattern.show_pattern)
    reach(opened, qtbot, Phase.SHOWING)
    bench.board.faults = Faults(lost_tails=0, deaf=1.0)
    asked: list[str] = []

    def stay(cls: object, parent: object, sentence: str) -> bool:
        asked.append(sentence)
        return len(asked) > 1

    monkeypatch.setattr(questions.LitQuestion, "ask", classmethod(stay))
    opened.close()
    assert len(asked) == 1 and "may still be lit" in asked[0] and opened.isVisible()
    qtbot.waitUntil(lambda: not opened.devices.link.alive or opened.devices.link.close(0.0) == "", timeout=LONG)
    opened.devices.link.close(60.0)


def test_a_walk_finds_a_mirrored_array_and_the_geometry_takes_it(opened: MainWindow, qtbot: Any) -> None:
    panel = connect(opened, qtbot)
    panel.tabs.setCurrentWidget(panel.walk)
    page = panel.walk
    press(qtbot, page.begin)
    qtbot.waitUntil(lambda: page.walking and len(lit(opened)) == 1, timeout=LONG)
    before = opened.document.geometry
    asked = 0
    while page.walking:
        assert page.walk is not None and page.walk.current is not None
        number = page.walk.current
        qtbot.waitUntil(lambda number=number: lit(opened) == [number], timeout=LONG)
        seen = number // 9 * 9 + 8 - number % 9  # its row, from the other end
        page.plot.pointed.emit(int(np.flatnonzero(page.walk.numbers == seen)[0]))
        asked += 1
    assert asked == 5 and "mirrored left to right" in page.words.text()
    reach(opened, qtbot, Phase.DARK)
    press(qtbot, page.take)
    after = opened.document.geometry
    assert after is not None and before is not None and after.array.pose.flip_x != before.array.pose.flip_x
    opened.undo()
    assert opened.document.geometry == before


def test_a_walk_by_keys_with_dead_leds_and_back(opened: MainWindow, qtbot: Any) -> None:
    panel = connect(opened, qtbot)
    panel.tabs.setCurrentWidget(panel.walk)
    page = panel.walk
    press(qtbot, page.begin)
    qtbot.waitUntil(lambda: page.walking, timeout=LONG)
    walk = page.walk
    assert walk is not None
    first = walk.current
    plot = page.plot.plot
    qtbot.keyClick(plot, Qt.Key.Key_Right)
    at = page.plot.cursor_at
    assert walk.numbers[at] != first
    qtbot.keyClick(plot, Qt.Key.Key_Left)
    assert walk.numbers[page.plot.cursor_at] == first
    qtbot.keyClick(plot, Qt.Key.Key_Return)
    assert first in walk.answers and walk.answers[first] == first
    press(qtbot, page.back)
    assert walk.current == first
    press(qtbot, page.dead)
    assert walk.answers == {first: DEAD}
    press(qtbot, page.end)
    reach(opened, qtbot, Phase.DARK)
    assert "Nothing was seen yet. 1 LED stayed dark" in page.words.text() and page.begin.isVisible()


def test_a_cable_pulled_in_a_walk_ends_it(opened: MainWindow, qtbot: Any) -> None:
    panel = connect(opened, qtbot)
    panel.tabs.setCurrentWidget(panel.walk)
    press(qtbot, panel.walk.begin)
    qtbot.waitUntil(lambda: panel.walk.walking, timeout=LONG)
    opened.devices.link.emulator.unplug()  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: opened.devices.link.state.phase is Phase.UNPLUGGED, timeout=LONG)
    assert not panel.walk.walking and not panel.walk.begin.isEnabled()


def test_a_port_that_is_not_there_is_said_in_words_of_the_window(opened: MainWindow, qtbot: Any) -> None:
    panel = opened.panels.device
    panel.connection.url.setEditText("/dev/there_is_none")
    line = panel.connection.url.lineEdit()
    assert line is not None
    qtbot.keyClick(line, Qt.Key.Key_Return)
    reach(opened, qtbot, Phase.FAILED)
    said = "There is no port '/dev/there_is_none'.\nButton Find lists the ports; is the cable plugged in?"
    assert panel.message.text() == said and panel.mark.phase is Phase.FAILED
    assert opened.preferences.array_urls == ()


def test_bytes_are_folded_away_and_can_be_copied(opened: MainWindow, qtbot: Any) -> None:
    panel = connect(opened, qtbot)
    panel.tabs.setCurrentWidget(panel.line)
    page = panel.line
    assert not page.text.isVisible() and "81 LEDs" in page.facts.text() and "killed" in page.facts.text()
    press(qtbot, page.unfold)
    qtbot.waitUntil(lambda: "> machine" in page.text.toPlainText(), timeout=LONG)
    press(qtbot, page.copy)
    board = QApplication.clipboard()
    assert board is not None and "> machine" in board.text()


def test_all_ports_are_asked_after_a_question_only(
    opened: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    opened.devices.link._finder = lambda everything: asked.append(everything) or []  # type: ignore[func-returns-value]
    monkeypatch.setattr(questions.AllPortsQuestion, "ask", classmethod(lambda cls, parent: False))
    box = opened.panels.device.connection
    press(qtbot, box.ask_all)
    press(qtbot, box.search)
    reach(opened, qtbot, Phase.NOTHING)
    assert asked == [False] and "no serial ports" in opened.panels.device.message.text().lower()


def test_everything_has_a_name_and_can_be_reached_by_keys(opened: MainWindow, qtbot: Any) -> None:
    panel = connect(opened, qtbot)
    for button in panel.findChildren(QToolButton):
        if button.property("picture"):
            assert button.accessibleName() and button.toolTip()
            assert button.focusPolicy() & Qt.FocusPolicy.TabFocus
    for errors in (panel.pattern.errors, panel.sequence.errors):
        assert all(box.toolTip() and box.accessibleName() for box in errors)


def test_the_desk_lets_go_of_what_is_stale(opened: MainWindow, qtbot: Any) -> None:
    """A design that changed after it was shown is said to be another one than shines."""
    panel = connect(opened, qtbot)
    press(qtbot, panel.pattern.show_pattern)
    reach(opened, qtbot, Phase.SHOWING)
    assert "before the last change" not in panel.pattern.words.text()
    desk: DeviceDesk = opened.devices
    row, led = 0, int(np.argmax(opened.document.patterns().levels[0]))
    opened.controller.edit_level(row, led, 0.2)
    qtbot.waitUntil(lambda: "before the last change" in panel.pattern.words.text(), timeout=LONG)
    desk.dark()
    reach(opened, qtbot, Phase.DARK)
    qtbot.waitUntil(lambda: "before the last change" not in panel.pattern.words.text(), timeout=LONG)
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
