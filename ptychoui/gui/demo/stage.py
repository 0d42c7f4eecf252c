"""The screen of the demonstration: title, scene, sentences, and what the live run is doing."""

from __future__ import annotations

from collections.abc import Callable

from PyQt6.QtCore import QPointF, QRectF, pyqtSignal
from PyQt6.QtGui import QColor, QPainter, QPaintEvent
from PyQt6.QtWidgets import QApplication, QWidget

from ptychoui.gui.demo.canvas import CENTRE, LEFT, RIGHT, Canvas, Kept
from ptychoui.gui.demo.scenes import Scene, array_scene, coded_scene, learning_scene
from ptychoui.gui.demo.scenes_of_memory import end_scene, memory_scene, undone_scene
from ptychoui.gui.look.theme import DARK, Colours
from ptychoui.session.demo.show import Show
from ptychoui.session.demo.story import LIVE, MEMORY, Story
from ptychoui.session.demo.telling import HANDS, told, unrolls_at

MOVES = 10
"""Pictures a second, at most, of what moves by itself."""

SCENES: dict[str, Scene] = {
    "array": array_scene,
    "coded": coded_scene,
    LIVE: learning_scene,
    MEMORY: memory_scene,
    "undone": undone_scene,
    "end": end_scene,
}


class Stage(QWidget):
    """Paints the story.

    Attributes
    ----------
    painted
        After every painting.
    """

    painted = pyqtSignal()

    def __init__(self, show: Show, story: Story, parent: QWidget) -> None:
        super().__init__(parent)
        self.show_of, self.story = show, story
        self.colours: Colours = DARK
        self.text_scale = 1.0
        self.hands = 1.0
        self.slider_box = QRectF()
        self.placed: Callable[[], None] = lambda: None
        self._kept = Kept()
        self._seen: tuple[object, ...] = ()

    @property
    def unit(self) -> float:
        """A hundredth of the height, or less on a narrow screen."""
        return min(self.height() / 100, self.width() / 150)

    def use_colours(self, colours: Colours) -> None:
        """Take the colours of a theme."""
        self.colours = colours
        self.update()

    def look(self) -> None:
        """Paint again if there is something new to see."""
        story, show = self.story, self.show_of
        seen: tuple[object, ...] = (
            story.place,
            story.paused,
            round(10 * self.hands),
            show.status,
            self.colours is DARK,
            # What moves with the clock moves ten times a second; what the run or the slider moves, when they do.
            round(MOVES * story.at) if story.chapter.key not in (LIVE, MEMORY) else 0,
            unrolls_at(show, story) if story.chapter.key == MEMORY else 0,
            seen_of(show, story) if story.chapter.key == LIVE else (),
        )
        if seen != self._seen:
            self._seen = seen
            self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw everything."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(self.colours.window))
        canvas = Canvas(
            painter, (self.width(), self.height()), self.colours, QApplication.font(), self._kept, self.text_scale
        )
        try:
            self._draw(canvas)
        finally:
            painter.end()
        self.painted.emit()

    def _draw(self, canvas: Canvas) -> None:
        u, c, story = canvas.unit, canvas.colours, self.story
        edge = 3.5 * u
        wide = self.width() - 2 * edge
        title = QRectF(edge, 2 * u, 0.5 * wide, 9 * u)
        canvas.text(title, story.chapter.title, 6.4, bold=True)
        self._badge(canvas, QRectF(edge + 0.5 * wide, 2 * u, 0.5 * wide, 9 * u))
        words = told(self.show_of, story)
        foot = 3.4 * u
        small = QRectF(edge, self.height() - foot - 4 * u, wide, 3.8 * u)
        main = QRectF(edge, small.y() - 11.2 * u, wide, 11 * u)
        box = QRectF(edge, title.bottom() + 2 * u, wide, main.y() - title.bottom() - 3.5 * u)
        SCENES[story.chapter.key](canvas, box, self.show_of, story)
        canvas.text(main, words.main, 4.8, align=LEFT)
        canvas.text(small, words.small, 2.5, c.muted)
        if self.hands > 0:
            painter = canvas.painter
            painter.setOpacity(min(1.0, self.hands))
            canvas.text(QRectF(edge, small.bottom(), wide, foot), HANDS, 2.1, c.muted, align=LEFT)
            painter.setOpacity(1.0)
        if story.paused:
            plate = QRectF(0, 0, 30 * u, 9 * u)
            plate.moveCenter(QPointF(self.width() / 2, title.center().y()))
            canvas.plate(plate, c.raised)
            canvas.text(plate, "Paused", 5, c.warning, bold=True, align=CENTRE)
        if story.chapter.key == MEMORY:
            top = 0.58 * box.height()
            self.slider_box = QRectF(box.x() + 0.16 * wide, box.y() + top + u, 0.6 * wide, 5 * u)
            canvas.text(QRectF(box.x(), self.slider_box.y(), 0.16 * wide, 5 * u), "Unrolls", 4.2, bold=True)
            beside = QRectF(self.slider_box.right() + 2 * u, self.slider_box.y() - 0.5 * u, 0.2 * wide, 6 * u)
            canvas.text(beside, str(unrolls_at(self.show_of, story)), 5.2, bold=True)
        self.placed()

    def _badge(self, canvas: Canvas, box: QRectF) -> None:
        """Live or recording: what is seen, in the learning chapter; what the run does meanwhile, in the others."""
        u, c, show = canvas.unit, canvas.colours, self.show_of
        if self.story.chapter.key == LIVE:
            seen = show.learning(self.story.at)
            text = seen.label
            tone = c.good if seen.live else c.warning
            mark = "LIVE" if seen.live else "RECORDING"
        else:
            text = show.status
            tone = c.error if show.trouble else (c.good if show.losses else c.muted)
            mark = ""
        right = box
        if mark:
            plate = QRectF(0, 0, (14 if seen.live else 26) * u, 5.6 * u)
            plate.moveTopRight(QPointF(box.right(), box.y()))
            canvas.plate(plate, tone)
            canvas.text(plate, mark, 3.6, c.on_accent, bold=True, align=CENTRE)
            right = QRectF(box.x(), plate.bottom() + 0.4 * u, box.width(), box.bottom() - plate.bottom())
            canvas.text(right, text, 2.6, tone, align=RIGHT)
            return
        if show.snapshots and not show.trouble:
            levels = show.ordered(show.snapshots[-1].levels)
            side = 6.4 * u
            x = box.right() - len(levels) * side
            for row, one in enumerate(levels):
                spot = QRectF(x + row * side, box.y(), side, side).adjusted(0.3 * u, 0.3 * u, -0.3 * u, -0.3 * u)
                canvas.leds(spot, show.recording.led_na, one)
            right = QRectF(box.x(), box.y() + side + 0.2 * u, box.width(), box.height() - side)
        canvas.text(right, text, 2.5, tone, align=RIGHT)


def seen_of(show: Show, story: Story) -> tuple[object, ...]:
    """What is seen of the learning chapter, in a form that can be compared."""
    seen = show.learning(story.at)
    return seen.live, seen.label, seen.step, seen.error, told(show, story)
