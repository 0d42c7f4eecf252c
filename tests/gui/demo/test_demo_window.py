"""The demonstration's window, offscreen: chapters are painted, keys and buttons lead, nothing is lost, nothing stays."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from demo_recording import STEPS, recording, run_of
from PyQt6.QtCore import QPointF, QRectF, Qt
from PyQt6.QtGui import QColor, QImage, QPainter
from PyQt6.QtWidgets import QApplication

from ptychoui.gui.demo import auto, beside
from ptychoui.gui.demo.auto import AutoPlay
from ptychoui.gui.demo.canvas import LEAST_SIZE, Canvas, Kept
from ptychoui.gui.demo.stage import SCENES
from ptychoui.gui.demo.window import DemoWindow
from ptychoui.gui.look.theme import DARK, LIGHT
from ptychoui.gui.shell.main_window import MainWindow
from ptychoui.session.demo.story import CHAPTERS, MEMORY
from ptychoui.session.demo.telling import HANDS
from ptychoui.session.worker import RunState
from ptychoui.training.control import RunControl
from ptychoui.training.events import Failed, Finished

KEYS = [chapter.key for chapter in CHAPTERS]
LONG = 20_000
K = Qt.Key


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def closed(demo: DemoWindow, qtbot: Any) -> None:
    demo.close()
    qtbot.waitUntil(lambda: not demo._timer.isActive(), timeout=LONG)
    assert not demo.worker.state.active
    demo.deleteLater()


@pytest.fixture
def demo(qtbot: Any, qapp: object, clock: Clock) -> Iterator[DemoWindow]:
    made = DemoWindow(recording(), make_run=None, clock=clock)
    made.resize(1280, 720)
    made.show()
    made.tick()
    yield made
    closed(made, qtbot)


def live(qtbot: Any, clock: Clock, **how: Any) -> DemoWindow:
    made = DemoWindow(recording(), make_run=run_of(**how), clock=clock)
    made.resize(1280, 720)
    made.show()
    made.start_run()
    return made


def told_end(made: DemoWindow) -> bool:
    made.tick()
    return made.shown.end is not None


def painted(demo: DemoWindow) -> np.ndarray[Any, Any]:
    image = demo.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    bits = image.constBits()
    assert bits is not None
    return np.frombuffer(bits.asarray(image.sizeInBytes()), np.uint8).reshape(image.height(), image.width(), 4).copy()


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (1000, 1000), (640, 400)])
@pytest.mark.parametrize("light", [False, True])
def test_every_chapter_is_painted_and_no_sentence_is_cut(
    demo: DemoWindow, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], light: bool
) -> None:
    cut, texts = [], []
    write = Canvas.text

    def watched(self: Canvas, box: QRectF, text: str, size: float, *rest: Any, **named: Any) -> None:
        if text and box.width() >= 1 and box.height() >= 1:
            bold = bool(named.get("bold", rest[1] if len(rest) > 1 else False))
            fits = self.fitting(box, text, size, bold)
            texts.append(text)
            outside = not QRectF(0, 0, self.width, self.height).adjusted(-1, -1, 1, 1).contains(box)
            if fits <= LEAST_SIZE or not self._fits(box, text, fits, bold) or outside:
                cut.append((text, fits, box))
        write(self, box, text, size, *rest, **named)

    monkeypatch.setattr(Canvas, "text", watched)
    demo.resize(*size)
    demo.light = light
    demo.use_colours()
    pictures = {}
    for place, key in enumerate(KEYS):
        demo.turn_to(place)
        for share in (0.1, 0.5, 1.0):
            demo.story.at = share * demo.story.chapter.seconds
            pictures[key] = painted(demo)
        assert demo.story.chapter.title in texts
    assert not cut, cut[:3]
    assert HANDS in texts and set(SCENES) == set(KEYS)
    ground = QColor((LIGHT if light else DARK).window)
    for key, picture in pictures.items():
        plain = np.all(picture[..., :3] == [ground.blue(), ground.green(), ground.red()], axis=-1)
        assert 0.05 < 1 - plain.mean() < 0.99, key
    assert all(not np.array_equal(pictures["array"], pictures[key]) for key in KEYS[1:])


@pytest.mark.parametrize("scale", [1.0, 1.8])
def test_buttons_show_all_of_their_words(demo: DemoWindow, clock: Clock, scale: float) -> None:
    demo.stage.text_scale = scale
    for size in ((1280, 720), (3840, 2160), (800, 600)):
        demo.resize(*size)
        demo.turn_to(len(KEYS) - 1)
        QApplication.processEvents()
        for button in demo.buttons:
            if button.isVisible():
                assert button.width() >= button.fontMetrics().horizontalAdvance(button.text()), button.text()
                assert demo.rect().contains(button.geometry())


def test_main_sentences_can_be_read_from_the_last_row(demo: DemoWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    from ptychoui.session.demo.telling import told

    heights: dict[str, float] = {}
    write = Canvas.text

    def watched(self: Canvas, box: QRectF, text: str, size: float, *rest: Any, **named: Any) -> None:
        heights[text] = self.fitting(box, text, size) * self.unit / self.height if text else 0.0
        write(self, box, text, size, *rest, **named)

    monkeypatch.setattr(Canvas, "text", watched)
    for place in range(len(KEYS)):
        demo.turn_to(place)
        for share in (0.1, 0.5, 0.75, 1.0):
            demo.story.at = share * demo.story.chapter.seconds
            painted(demo)
            assert heights[told(demo.shown, demo.story).main] >= 1 / 40


def test_it_plays_by_itself(demo: DemoWindow, clock: Clock) -> None:
    seen = []
    for _ in range(1200):
        clock.now += 0.2
        demo.tick()
        if not seen or seen[-1] != demo.story.chapter.key:
            seen.append(demo.story.chapter.key)
            assert [b for b in demo.chapter_buttons if "Chapter" in b.toolTip()] == demo.chapter_buttons
    assert seen == KEYS and demo.story.ended
    assert demo.isVisible() and demo.own_button.isVisible() and demo.again_button.isVisible()


def test_keys_lead_the_story(demo: DemoWindow, qtbot: Any, clock: Clock) -> None:
    qtbot.keyClick(demo, K.Key_Right)
    assert demo.story.chapter.key == "coded"
    qtbot.keyClick(demo, K.Key_PageDown)
    assert demo.story.chapter.key == "learning"
    qtbot.keyClick(demo, K.Key_Left)
    assert demo.story.chapter.key == "coded"
    qtbot.keyClick(demo, K.Key_PageUp)
    assert demo.story.chapter.key == "array"
    qtbot.keyClick(demo, K.Key_Space)
    clock.now += 100
    demo.tick()
    assert demo.story.paused and demo.story.at == 0 and demo.pause_button.text() == "Continue"
    qtbot.keyClick(demo, K.Key_Space)
    clock.now += 1
    demo.tick()
    assert demo.story.at == pytest.approx(1) and demo.pause_button.text() == "Pause"
    qtbot.keyClick(demo, K.Key_End)  # means nothing here
    demo.turn_to(4)
    qtbot.keyClick(demo, K.Key_Home)
    assert demo.story.place == 0
    before = demo.light
    qtbot.keyClick(demo, K.Key_L)
    assert demo.light is not before and demo.stage.colours is LIGHT


def test_the_mouse_leads_it_too(demo: DemoWindow, qtbot: Any) -> None:
    for place, button in enumerate(demo.chapter_buttons):
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        assert demo.story.place == place
    qtbot.mouseClick(demo.pause_button, Qt.MouseButton.LeftButton)
    assert demo.story.paused
    qtbot.mouseClick(demo.again_button, Qt.MouseButton.LeftButton)
    assert demo.story.place == 0 and not demo.story.paused


def test_full_screen_and_back(demo: DemoWindow, qtbot: Any) -> None:
    qtbot.keyClick(demo, K.Key_F)
    assert demo.isFullScreen()
    screen = demo.screen()
    assert screen is not None and demo.geometry() == screen.geometry()
    qtbot.keyClick(demo, K.Key_F)
    assert not demo.isFullScreen() and demo.width() < screen.geometry().width()


def test_the_slider_rescales_the_bars(demo: DemoWindow, qtbot: Any, clock: Clock) -> None:
    assert not demo.slider.isVisible()
    demo.deeper(3)  # in another chapter nothing happens
    demo.turn_to(KEYS.index(MEMORY))
    painted(demo)
    demo.tick()
    assert demo.slider.isVisible() and demo.story.chosen_unrolls is None
    small = painted(demo)
    # By itself it runs up, and nobody has chosen anything.
    demo.story.at = 0.5 * demo.story.chapter.seconds
    demo.tick()
    assert demo.slider.value() > 3 and demo.story.chosen_unrolls is None
    demo.turn_to(KEYS.index(MEMORY))
    demo.tick()
    qtbot.keyClick(demo, K.Key_Plus)
    assert demo.story.chosen_unrolls == 30
    qtbot.keyClick(demo, K.Key_Minus)
    assert demo.story.chosen_unrolls == 20
    middle = QPointF(demo.slider.width() / 2, demo.slider.height() / 2).toPoint()
    qtbot.mouseClick(demo.slider, Qt.MouseButton.LeftButton, pos=middle)
    chosen = demo.story.chosen_unrolls
    assert chosen is not None and 160 <= chosen <= 240
    deep = painted(demo)
    orange = QColor(DARK.second)

    def bar(picture: np.ndarray[Any, Any]) -> int:
        return int(np.all(picture[..., :3] == [orange.blue(), orange.green(), orange.red()], axis=-1).sum())

    assert bar(deep) > 5 * bar(small)
    # Held where somebody has put it, while time goes on; a new visit lets it run again.
    clock.now += 5
    demo.tick()
    assert demo.story.chosen_unrolls == chosen
    demo.turn_to(KEYS.index(MEMORY))
    assert demo.story.chosen_unrolls is None
    demo.turn_to(0)
    painted(demo)
    assert not demo.slider.isVisible()


def test_the_line_of_keys_fades_and_comes_back(demo: DemoWindow, qtbot: Any, clock: Clock) -> None:
    assert demo.stage.hands == 1
    clock.now += 8
    demo.tick()
    assert 0 < demo.stage.hands < 1
    clock.now += 5
    demo.tick()
    assert demo.stage.hands <= 0
    qtbot.mouseMove(demo.stage, QPointF(30, 30).toPoint())
    qtbot.mouseMove(demo.stage, QPointF(90, 90).toPoint())
    demo.tick()
    assert demo.stage.hands == 1


def test_nothing_is_painted_where_nothing_is_new(demo: DemoWindow, clock: Clock) -> None:
    demo.toggle_pause()
    demo.tick()
    QApplication.processEvents()
    paintings: list[int] = []
    demo.stage.painted.connect(lambda: paintings.append(1))
    for _ in range(10):
        demo.tick()
        QApplication.processEvents()
    assert not paintings


def test_recording_gives_way_to_the_live_run_and_says_so(qtbot: Any, qapp: object, clock: Clock) -> None:
    go = threading.Event()

    def wait(control: RunControl) -> None:
        while not go.wait(0.005):
            control.checkpoint()

    made = live(qtbot, clock, wait=wait)
    made.turn_to(KEYS.index("learning"))
    clock.now += 1
    made.tick()
    seen = made.shown.learning(made.story.at)
    assert not seen.live and seen.label.startswith("Recording") and "Preparing the live run" in seen.note
    go.set()
    qtbot.waitUntil(lambda: told_end(made), timeout=LONG)
    seen = made.shown.learning(made.story.at)
    assert seen.live and seen.label.startswith("Live on this machine")
    assert isinstance(made.shown.end, Finished) and made.folder is not None
    closed(made, qtbot)


def test_a_failing_run_leaves_the_recording_and_the_story(qtbot: Any, qapp: object, clock: Clock) -> None:
    made = live(qtbot, clock, fails="the disk is full")
    qtbot.waitUntil(lambda: told_end(made), timeout=LONG)
    assert isinstance(made.shown.end, Failed) and "the disk is full" in made.shown.status
    made.turn_to(KEYS.index("learning"))
    clock.now += 2
    made.tick()
    assert made.shown.learning(made.story.at).step == 8 <= STEPS
    painted(made)
    # Starting again takes a new run.
    first = made.worker.run
    made.home()
    assert made.worker.run == first + 1
    qtbot.waitUntil(lambda: told_end(made), timeout=LONG)
    closed(made, qtbot)


def test_pause_holds_the_run_and_escape_ends_it(qtbot: Any, qapp: object, clock: Clock) -> None:
    def wait(control: RunControl) -> None:
        threading.Event().wait(0.002)
        control.checkpoint()

    made = live(qtbot, clock, steps=100_000, wait=wait)
    qtbot.waitUntil(lambda: made.worker.state is RunState.RUNNING, timeout=LONG)
    qtbot.keyClick(made, K.Key_Space)
    qtbot.waitUntil(lambda: made.worker.state is RunState.PAUSED, timeout=LONG)
    left = []
    made.left.connect(lambda: left.append(made.worker.state))
    qtbot.keyClick(made, K.Key_Escape)
    assert not made.isVisible()
    made.home()  # too late: no run begins while it leaves
    qtbot.waitUntil(lambda: bool(left), timeout=LONG)
    assert left == [RunState.STOPPED] and made.worker.join(0)
    made.deleteLater()


def test_a_run_that_does_not_end_does_not_hold_the_leaver(qtbot: Any, qapp: object, clock: Clock) -> None:
    release = threading.Event()

    def wait(_control: RunControl) -> None:
        release.wait(30)

    made = live(qtbot, clock, wait=wait)
    left = []
    made.left.connect(lambda: left.append(1))
    made.close()
    made.tick()
    assert not left
    made.give_up()
    made.give_up()
    assert left == [1] and not made._timer.isActive()
    release.set()
    assert made.worker.join(20)
    made.deleteLater()


def test_wishes_for_the_ordinary_window_are_told_once_the_run_has_ended(qtbot: Any, qapp: object, clock: Clock) -> None:
    from ptychoui.training.events import Saved

    made = live(qtbot, clock)
    qtbot.waitUntil(lambda: told_end(made), timeout=LONG)
    wanted: list[str] = []
    made.wanted.connect(wanted.append)
    made.turn_to(len(KEYS) - 1)
    assert not made.open_button.isEnabled()
    made.want_run()
    assert made.isVisible() and not wanted  # nothing was saved yet
    made.shown.take(Saved(step=1, path="x"))
    made.tick()
    assert made.open_button.isEnabled()
    qtbot.mouseClick(made.open_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(wanted), timeout=LONG)
    assert wanted == [str(made.folder)]
    closed(made, qtbot)


def test_text_is_smaller_where_it_would_not_fit(qapp: object) -> None:
    image = QImage(400, 300, QImage.Format.Format_RGB32)
    painter = QPainter(image)
    canvas = Canvas(painter, (400, 300), DARK, QApplication.font(), Kept(), 1.0)
    box = QRectF(0, 0, 100, 20)
    assert canvas.fitting(QRectF(0, 0, 390, 200), "Few words", 4.0) == 4.0
    assert canvas.fitting(box, "Words that do not fit into so small a box", 6.0) < 6.0
    larger = Canvas(painter, (400, 300), DARK, QApplication.font(), Kept(), 1.5)
    assert larger.fitting(QRectF(0, 0, 390, 200), "Few words", 4.0) == 6.0
    painter.end()


def test_auto_play_times_pictures_and_leaves(
    qtbot: Any, qapp: object, clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = live(qtbot, clock)
    play = AutoPlay(made, leave=True, pictures=str(tmp_path / "pictures"))
    qtbot.waitUntil(lambda: told_end(made), timeout=LONG)
    for _ in range(1200):
        clock.now += 0.2
        made.tick()
        QApplication.processEvents()
        if not made.isVisible():
            break
    assert not made.isVisible()
    found = play.timings()
    assert [path.stem for path in play.written] == [f"{place + 1}-{key}" for place, key in enumerate(KEYS)]
    assert all(path.exists() for path in play.written)
    assert found["first_picture_s"] > 0 and found["first_live_step_s"] >= found["first_picture_s"]
    assert found["live_steps"] == 5 and found["live_end"] == "Finished"
    assert found["chapters_s"]["array"] == pytest.approx(CHAPTERS[0].seconds, abs=0.3)
    play.report()
    said = capsys.readouterr().out
    assert "first picture after" in said and "run folder:" in said and str(play.written[0]) in said
    assert auto.process_age() > 0
    closed(made, qtbot)


def test_a_recording_is_no_live_step(demo: DemoWindow, clock: Clock) -> None:
    play = AutoPlay(demo, leave=False, pictures=None)
    demo.turn_to(KEYS.index("learning"))
    clock.now += 5
    demo.tick()
    painted(demo)
    assert play.first_picture_s is not None and play.first_live_step_s is None
    assert play.timings()["first_live_step_s"] is None


def test_it_plays_beside_the_ordinary_window_and_leaves_it_alone(
    window: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[DemoWindow] = []

    def stand_in(shown: Any, **how: Any) -> DemoWindow:
        made.append(DemoWindow(shown, make_run=run_of(), **how))
        return made[-1]

    monkeypatch.setattr(beside, "load_recording", recording)
    monkeypatch.setattr(beside, "new_window", stand_in)
    before = window.document.experiment, window.document.dirty, window.document.run_folder
    window.start_demo()
    window.start_demo()  # before the recording was read
    qtbot.waitUntil(lambda: bool(made), timeout=LONG)
    window.start_demo()  # one is enough
    assert made[0].isFullScreen()
    qtbot.waitUntil(lambda: made[0].shown.end is not None, timeout=LONG)
    opened: list[str] = []
    monkeypatch.setattr(window, "choose_file", lambda: opened.append("asked"))
    made[0].want_own()
    qtbot.waitUntil(lambda: not window.findChildren(DemoWindow), timeout=LONG)
    assert opened == ["asked"] and len(made) == 1
    assert (window.document.experiment, window.document.dirty, window.document.run_folder) == before


def test_it_goes_when_the_ordinary_window_goes(window: MainWindow, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[DemoWindow] = []

    def stand_in(shown: Any, **how: Any) -> DemoWindow:
        made.append(DemoWindow(shown, make_run=run_of(steps=3), **how))
        return made[-1]

    monkeypatch.setattr(beside, "load_recording", recording)
    monkeypatch.setattr(beside, "new_window", stand_in)
    window.start_demo()
    qtbot.waitUntil(lambda: bool(made), timeout=LONG)
    demo = made[0]
    ended: list[bool] = []
    demo.left.connect(lambda: ended.append(demo.worker.state.active))
    window.close()
    qtbot.waitUntil(lambda: bool(ended), timeout=LONG)
    assert ended == [False]
