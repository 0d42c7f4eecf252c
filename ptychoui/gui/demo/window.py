"""The window of the demonstration: it plays by itself, and a presenter's keys or the mouse lead it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PyQt6.QtCore import QEvent, QObject, Qt, QTimer, pyqtSignal
from PyQt6.QtGui import QCloseEvent, QKeyEvent, QMouseEvent, QResizeEvent
from PyQt6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from ptychoui.gui.demo.canvas import font_of
from ptychoui.gui.demo.slider import BigSlider
from ptychoui.gui.demo.stage import Stage
from ptychoui.gui.look.theme import DARK, LIGHT, blend, palette
from ptychoui.session.demo.live import live_folder, live_run
from ptychoui.session.demo.recording import Recording
from ptychoui.session.demo.show import Show
from ptychoui.session.demo.story import MEMORY, Story
from ptychoui.session.demo.telling import unrolls_at
from ptychoui.session.mailbox import Mailbox
from ptychoui.session.worker import MakeEvents, Worker

PERIOD_MS = 33
HANDS_SECONDS, FADING_SECONDS = 7.0, 2.0
"""How long the line of keys is shown, and how long it fades."""

BUTTON = 2.3
"""Text of the buttons, in hundredths of the height."""


class DemoWindow(QWidget):
    """Plays the story and runs the engine beside it.

    Attributes
    ----------
    hidden
        It was closed; its run may still be ending.
    left
        It was closed and its run has ended.
    wanted
        Somebody wants to go on in the ordinary window: with this run folder, or with data of their own (empty).
    stepped
        The story was told on to a moment: after every tick.

    Parameters
    ----------
    make_run
        What the worker runs; by default the demonstration's experiment, in a folder of its own. None runs nothing.
    clock
        Seconds.
    """

    left = pyqtSignal()
    hidden = pyqtSignal()
    wanted = pyqtSignal(str)
    stepped = pyqtSignal()

    def __init__(
        self,
        recording: Recording,
        *,
        light: bool = False,
        text_scale: float = 1.0,
        make_run: Callable[[Path, tuple[int, ...]], MakeEvents] | None = live_run,
        clock: Callable[[], float] = time.monotonic,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
        self.setWindowTitle("ptychoui demonstration")
        self.setMinimumSize(640, 400)
        self.recording, self._make_run, self._clock = recording, make_run, clock
        self.mailbox = Mailbox()
        self.worker = Worker(self.mailbox)
        self.folder: Path | None = None
        self.story = Story()
        self.shown = Show(recording, lambda: self.worker.doing)
        self.stage = Stage(self.shown, self.story, self)
        self.stage.text_scale = text_scale
        self.stage.placed = self._place_slider
        self._hands_from = clock()
        self._leaving = False
        self._wanted: str | None = None
        self._path = self._make_path()
        self.slider = self._make_slider()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.stage, 1)
        layout.addLayout(self._path)
        self.light = light
        self.use_colours()
        self.setMouseTracking(True)
        self.stage.setMouseTracking(True)
        self.stage.installEventFilter(self)
        if parent is not None:
            parent.installEventFilter(self)
        self._timer = QTimer(self)
        self._timer.setInterval(PERIOD_MS)
        self._timer.timeout.connect(self.tick)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    # Buttons ---------------------------------------------------------------------------------------------

    def _make_path(self) -> QHBoxLayout:
        """The visible path of chapters, with commands at both ends."""
        row = QHBoxLayout()
        self.pause_button = self._button("Pause", self.toggle_pause, "Stand still, or go on (Space)")
        self.chapter_buttons = [
            self._button(chapter.title, lambda _=False, place=place: self.turn_to(place), f"Chapter {place + 1}")
            for place, chapter in enumerate(self.story.chapters)
        ]
        self.open_button = self._button("Open this run", self.want_run, "Open the run folder in the ordinary window")
        self.own_button = self._button("Open your own…", self.want_own, "Open your own data in the ordinary window")
        self.again_button = self._button("Again", self.home, "Start again (Home)")
        self.leave_button = self._button("Leave", self.close, "End the run and leave (Esc)")
        self.buttons = [
            self.pause_button,
            *self.chapter_buttons,
            self.open_button,
            self.own_button,
            self.again_button,
            self.leave_button,
        ]
        for button in self.buttons:
            row.addWidget(button, 0 if button in (self.pause_button, self.leave_button) else 1)
        return row

    def _button(self, text: str, do: Callable[..., object], tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the keys lead the story
        button.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        button.clicked.connect(do)
        return button

    def _make_slider(self) -> BigSlider:
        slider = BigSlider(self.stage)
        slider.setRange(0, len(self.recording.depths) - 1)
        slider.setPageStep(1)
        slider.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        slider.setAccessibleName("Unrolls")
        slider.setToolTip("Unrolls of the network (+ and −)")
        slider.hide()
        slider.valueChanged.connect(self._slid)
        return slider

    def _slid(self, value: int) -> None:
        if not self._following:
            self.story.chosen_unrolls = int(self.recording.depths[value])
            self.stage.update()

    _following = False

    def _place_slider(self) -> None:
        box = self.stage.slider_box.toRect()
        shown = self.story.chapter.key == MEMORY
        if self.slider.isVisible() != shown:
            self.slider.setVisible(shown)
        if shown and self.slider.geometry() != box:
            self.slider.setGeometry(box)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Everything is as large as the screen allows."""
        super().resizeEvent(event)
        self._scale()

    def _scale(self) -> None:
        u = min(self.height() / 100, self.width() / 150)
        gap = round(0.8 * u)
        self._path.setContentsMargins(round(3.5 * u), gap, round(3.5 * u), round(1.5 * u))
        self._path.setSpacing(gap)
        size = BUTTON * u * min(1.3, self.stage.text_scale)
        room = self.width() - 7 * u - gap * len(self.buttons)
        while size > 4:
            font = font_of(self.font(), size, False, self)
            for button in self.buttons:
                button.setFont(font)
            metrics = self.buttons[0].fontMetrics()
            wide = [metrics.horizontalAdvance(button.text()) + round(1.6 * size) for button in self.buttons]
            if sum(wide) <= room:
                break
            size *= 0.95
        for button, width in zip(self.buttons, wide, strict=True):
            button.setMinimumWidth(width)
            button.setFixedHeight(round(2.2 * size))

    def use_colours(self) -> None:
        """Dark for dark rooms, light for bright ones."""
        c = LIGHT if self.light else DARK
        self.setPalette(palette(c))
        self.setAutoFillBackground(True)
        self.stage.use_colours(c)
        self.slider.use_colours(c)
        self._mark_chapter()

    def _mark_chapter(self) -> None:
        c = self.stage.colours
        for place, button in enumerate(self.chapter_buttons):
            own = palette(c)
            if place == self.story.place:
                own.setColor(own.ColorRole.Button, _colour(c.accent))
                own.setColor(own.ColorRole.ButtonText, _colour(c.on_accent))
            elif place < self.story.place:
                own.setColor(own.ColorRole.Button, _colour(blend(c.accent, c.window, 0.75)))
            button.setPalette(own)
        ended = self.story.last
        for button in (self.open_button, self.own_button, self.again_button):
            button.setVisible(ended)
        self.open_button.setEnabled(self.run_saved)
        self.pause_button.setText("Continue" if self.story.paused else "Pause")

    # The story -------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start the clock and the run."""
        self._timer.start()
        QTimer.singleShot(0, self.start_run)

    def start_run(self) -> None:
        """Start a live run, unless there is one."""
        if self._make_run is None or self.worker.state.active or self._leaving:
            return
        self.folder = live_folder()
        self.shown.begin()
        self.worker.start(self._make_run(self.folder, tuple(int(depth) for depth in self.recording.depths)))

    def tick(self) -> None:
        """Take what the run tells, let time pass, and show both."""
        now = self._clock()
        for item in self.mailbox.drain().scalars:
            if item.run == self.worker.run:
                self.shown.take(item.value)
        if self._leaving:
            self._leave_when_ended()
            return
        self.story.ready = bool(self.shown.end) or self.shown.step >= 0.4 * self.shown.steps
        if self.story.tick(now):
            self._chapter_changed()
        self.stage.hands = 1 - max(0.0, now - self._hands_from - HANDS_SECONDS) / FADING_SECONDS
        self._following = True
        self.slider.setValue(self.recording.depths.tolist().index(unrolls_at(self.shown, self.story)))
        self._following = False
        if self.open_button.isVisible():
            self.open_button.setEnabled(self.run_saved)
        self.stage.look()
        self.stepped.emit()

    def _chapter_changed(self) -> None:
        self.shown.enter_learning()
        self._mark_chapter()
        self._scale()
        self.stage.update()

    def turn_to(self, place: int) -> None:
        """Show a chapter from its beginning."""
        self.story.turn_to(place)
        self._chapter_changed()

    def next(self) -> None:
        """The next chapter."""
        self.story.next()
        self._chapter_changed()

    def back(self) -> None:
        """The same chapter again, or the one before."""
        self.story.back()
        self._chapter_changed()

    def home(self) -> None:
        """Everything again, with a new run where the old one has ended."""
        self.story.home()
        self.worker.resume()
        self.start_run()
        self._chapter_changed()

    def toggle_pause(self) -> None:
        """Stand still, the run too, or go on."""
        if self.story.toggle_pause():
            self.worker.pause()
        else:
            self.worker.resume()
        self._mark_chapter()

    def deeper(self, steps: int) -> None:
        """Move the slider by some steps; only in its chapter."""
        if self.story.chapter.key == MEMORY:
            self.slider.setValue(self.slider.value() + steps)

    def fill_screen(self) -> None:
        """Fill the screen, where no window manager does it too."""
        screen = self.screen()
        if screen is not None:
            self.setGeometry(screen.geometry())
        self.showFullScreen()

    def toggle_full_screen(self) -> None:
        """Fill the screen, or be a window."""
        if not self.isFullScreen():
            self.fill_screen()
            return
        self.showNormal()
        screen = self.screen()
        if screen is not None:
            room = screen.availableGeometry()
            self.resize(room.size() * 0.7)
            self.move(room.center() - self.rect().center())

    def toggle_light(self) -> None:
        """Dark or light."""
        self.light = not self.light
        self.use_colours()

    def want_run(self) -> None:
        """Leave, and have the run folder opened in the ordinary window once the run has ended."""
        if self.run_saved:
            self._wanted = str(self.folder)
            self.close()

    def want_own(self) -> None:
        """Leave, and be asked for data in the ordinary window."""
        self._wanted = ""
        self.close()

    @property
    def run_saved(self) -> bool:
        """Whether there is a run folder with a state in it."""
        return self.folder is not None and self.shown.saved

    # Keys, mouse, end ------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """A presenter's keys."""
        if event is None:
            return
        self._hands_from = self._clock()
        do = self._keys().get(event.key())
        if do is None:
            super().keyPressEvent(event)
        else:
            do()

    def _keys(self) -> dict[int, Callable[[], Any]]:
        key = Qt.Key
        return {
            key.Key_Space: self.toggle_pause,
            key.Key_Right: self.next,
            key.Key_PageDown: self.next,
            key.Key_Left: self.back,
            key.Key_PageUp: self.back,
            key.Key_F: self.toggle_full_screen,
            key.Key_F11: self.toggle_full_screen,
            key.Key_L: self.toggle_light,
            key.Key_Home: self.home,
            key.Key_Escape: self.close,
            key.Key_Plus: lambda: self.deeper(1),
            key.Key_Equal: lambda: self.deeper(1),
            key.Key_Up: lambda: self.deeper(1),
            key.Key_Minus: lambda: self.deeper(-1),
            key.Key_Down: lambda: self.deeper(-1),
        }

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Whoever moves the mouse sees the keys; when the ordinary window goes, this one goes too."""
        if watched is self.parent() and event is not None:
            if event.type() == QEvent.Type.Hide and not event.spontaneous():
                self.close()
        elif isinstance(event, QMouseEvent):
            self._hands_from = self._clock()
        return super().eventFilter(watched, event)

    def closeEvent(self, event: QCloseEvent | None) -> None:
        """Hide at once; the run ends at its next layer, and the window goes when it has."""
        if not self._leaving:
            self._leaving = True
            self.worker.stop()
            self.hide()
            if not self._timer.isActive():
                self._timer.start()
            self.hidden.emit()
        if event is not None:
            event.accept()

    def give_up(self) -> None:
        """Leave though the run's thread does not end: its folder is whole at any time."""
        self._leave_when_ended(patient=False)

    def _leave_when_ended(self, patient: bool = True) -> None:
        ended = not self.worker.state.active and self.worker.join(0.0)
        if self._timer.isActive() and (ended or not patient):
            self._timer.stop()
            if self._wanted is not None:
                self.wanted.emit(self._wanted)
            self.left.emit()


def _colour(name: str) -> Any:
    from PyQt6.QtGui import QColor

    return QColor(name)
