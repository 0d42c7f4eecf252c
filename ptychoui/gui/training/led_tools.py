"""The row of tools above the LED array, and the slider for levels below it."""

from __future__ import annotations

from collections.abc import Callable

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtGui import QAction
from PyQt6.QtWidgets import QButtonGroup, QHBoxLayout, QMenu, QSizePolicy, QSlider, QToolButton, QWidget

from ptychoui.design.led_shapes import MIRRORS
from ptychoui.gui.look.icons import icon
from ptychoui.gui.look.theme import colours
from ptychoui.gui.training.led_editor import LARGEST_BRUSH, LedEditor
from ptychoui.gui.training.led_shape_box import ShapeBox
from ptychoui.gui.widgets.parts import Elided, by_font, gap_of
from ptychoui.words import counted

TOOLS = {
    "select": (
        "select",
        "Select (S)",
        "Choose LEDs by click or with a box; Shift adds; a second click switches an LED",
    ),
    "paint": ("brush", "Paint (B)", "Drag over LEDs: they get the level of the slider; [ and ] change the brush"),
    "erase": ("eraser", "Erase (E)", "Drag over LEDs: they become dark; [ and ] change the brush"),
}
FLIPS = {"left-right": "Flip left-right", "up-down": "Flip up-down", "half turn": "Turn by half a turn"}


class LedTools(QWidget):
    """Tools, mirrors, shapes, and what can be done with LEDs and patterns.

    Attributes
    ----------
    tool_chosen
        One of `TOOLS`.
    unit_chosen
        ``NA`` or ``mm``.
    asked
        ``sees``, ``prediction`` or ``learning``, and whether it is wanted.
    """

    tool_chosen = pyqtSignal(str)
    unit_chosen = pyqtSignal(str)
    asked = pyqtSignal(str, bool)

    def __init__(self, editor: LedEditor, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._editor = editor
        self.shapes = ShapeBox(editor, self)
        self._icons: dict[QToolButton, str] = {}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(max(2, gap_of(self) // 2))
        self._group = QButtonGroup(self)
        self.buttons: dict[str, QToolButton] = {}
        for key, (picture, name, tip) in TOOLS.items():
            button = self._button(picture, name, f"{name}: {tip[0].lower()}{tip[1:]}")
            button.setCheckable(True)
            button.clicked.connect(lambda _=False, key=key: self.tool_chosen.emit(key))
            self._group.addButton(button)
            self.buttons[key] = button
            row.addWidget(button)
        self.buttons["select"].setChecked(True)
        self.mirror = self._button(
            "mirror", "Mirrors", "Mirrors: what is painted or chosen by shape lies opposite, too"
        )
        self.mirror.setMenu(self._mirror_menu())
        self.shape = self._button("shapes", "Shapes", "Shapes: choose rings, halves, quadrants, random LEDs and more")
        self.shape.clicked.connect(self._open_shapes)
        self.levels = self._button("leds", "Levels", "Levels: what can be done with the chosen LEDs, or with all")
        self.levels.setMenu(self._level_menu())
        self.rows = self._button("rows", "Patterns", "Patterns: copy, paste, move, add and remove them")
        self.rows.setMenu(self._row_menu())
        self.view = self._button("eye", "View", "View: what the design sees, its predicted image, how it was learned")
        self.view.setMenu(self._view_menu())
        for button in (self.mirror, self.shape, self.levels, self.rows):
            button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
            row.addWidget(button)
        self.view.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        row.addStretch(1)
        self.unit = QToolButton()
        self.unit.setAutoRaise(True)
        self.unit.setAccessibleName("Axes")
        self.unit.clicked.connect(self._switch_unit)
        self._say_unit("NA")
        row.addWidget(self.unit)
        row.addWidget(self.view)
        self.use_colours()

    def use_colours(self) -> None:
        """Draw the icons in the colours of the theme; a mirror that is on is seen."""
        for button, name in self._icons.items():
            on = button is self.mirror and bool(self._editor.mirrors)
            button.setIcon(icon(name, colours().accent if on else None))

    def show_tool(self, tool: str) -> None:
        """Press the button of a tool."""
        self.buttons[tool].setChecked(True)

    def set_closed(self, why: str) -> None:
        """While there is a reason against it nothing can be edited, and the tooltips give it; empty: everything can."""
        for button in (*self.buttons.values(), self.mirror, self.shape, self.levels, self.rows):
            button.setEnabled(not why)
            button.setToolTip(f"{why[0].upper()}{why[1:]}" if why else button.property("tip"))
        if why:
            self.shapes.hide()

    def _button(self, picture: str, name: str, tip: str) -> QToolButton:
        button = QToolButton()
        button.setAutoRaise(True)
        button.setToolTip(tip)
        button.setProperty("tip", tip)
        button.setAccessibleName(name)
        button.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        by_font(button, lambda b: b.setMinimumWidth(round(1.1 * b.fontMetrics().height())))
        by_font(button, lambda b: b.setMaximumWidth(round(1.9 * b.fontMetrics().height())))
        self._icons[button] = picture
        return button

    def _mirror_menu(self) -> QMenu:
        menu = QMenu(self)
        menu.addSection("While painting, and for shapes")
        self._mirrors = {}
        for key in MIRRORS:
            action = menu.addAction(f"&{key[0].upper()}{key[1:]}")
            assert action is not None
            action.setCheckable(True)
            action.toggled.connect(self._use_mirrors)
            self._mirrors[key] = action
        menu.addSection("Now, the whole pattern")
        for key, text in FLIPS.items():
            menu.addAction(text, lambda key=key: self._editor.flip(key))
        for key in MIRRORS:
            menu.addAction(f"Make symmetric: {key}", lambda key=key: self._editor.complete(key))
        return menu

    def _use_mirrors(self) -> None:
        self._editor.mirrors = tuple(key for key, action in self._mirrors.items() if action.isChecked())
        self.use_colours()

    def _level_menu(self) -> QMenu:
        menu = QMenu(self)
        do = self._editor.ask
        for text, key, meaning in (
            ("Choose &all that may be lit", "Ctrl+A", "all"),
            ("Choose &none", "Esc", "none"),
            ("", "", ""),
            ("Full level", "9", "level 9"),
            ("&Switch on or off", "Space", "toggle"),
            ("&Invert", "I", "invert"),
            ("&Clear", "Del", "clear"),
        ):
            if text:
                menu.addAction(f"{text}\t{key}", lambda meaning=meaning: do(meaning))
            else:
                menu.addSeparator()
        menu.addAction("Scale to a total e&xposure…", lambda: self._open_shapes(scale=True))
        return menu

    def _row_menu(self) -> QMenu:
        menu = QMenu(self)
        editor = self._editor
        menu.addAction("&Copy the pattern\tCtrl+C", editor.copy)
        paste = menu.addAction("&Paste\tCtrl+V", editor.paste)
        menu.addSeparator()
        menu.addAction("Move &earlier\tAlt+Up", lambda: editor.move_row(-1))
        menu.addAction("Move &later\tAlt+Down", lambda: editor.move_row(1))
        menu.addAction("&Swap with the next", lambda: editor.swap_row(editor.shown.row + 1))
        menu.addSeparator()
        menu.addAction("&Add a copy as a new pattern", editor.add_row)
        menu.addAction("&Remove the pattern", editor.remove_row)

        def fill() -> None:
            if paste is not None:
                paste.setText(f"&Paste {editor.copied}\tCtrl+V".replace("Paste \t", "Paste\t"))
                paste.setEnabled(bool(editor.copied))

        menu.aboutToShow.connect(fill)
        return menu

    def _view_menu(self) -> QMenu:
        menu = QMenu(self)
        self.toggles: dict[str, QAction] = {}
        menu.addAction("What this design &sees…", lambda: self.asked.emit("sees", True))
        for key, text in (("prediction", "&Predicted image"), ("learning", "&Learning, step by step")):
            action = menu.addAction(text)
            assert action is not None
            action.setCheckable(True)
            action.toggled.connect(lambda on, key=key: self.asked.emit(key, on))
            self.toggles[key] = action
        return menu

    def _switch_unit(self) -> None:
        unit = "NA" if self.unit.text() == "mm" else "mm"
        self._say_unit(unit)
        self.unit_chosen.emit(unit)

    def _say_unit(self, unit: str) -> None:
        self.unit.setText(unit)
        axes = "illumination NA" if unit == "NA" else "positions on the array in mm"
        self.unit.setToolTip(f"Axes: {axes}; click for {'mm' if unit == 'NA' else 'NA'}")

    def _open_shapes(self, _: bool = False, scale: bool = False) -> None:
        self.shapes.open_at(self.shape, scale)


class LevelRow(QWidget):
    """The level of what is chosen, or of the brush, and the brush's radius.

    Attributes
    ----------
    slid
        The slider was moved: a level.
    """

    slid = pyqtSignal(float)

    def __init__(self, editor: LedEditor, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._editor = editor
        self.label = Elided(least=10)
        self.level = QSlider(Qt.Orientation.Horizontal)
        self.level.setAccessibleName("Drive level in percent")
        self.level.setRange(0, 100)
        by_font(self.level, lambda slider: slider.setMinimumWidth(8 * slider.fontMetrics().averageCharWidth()))
        self.brush = QSlider(Qt.Orientation.Horizontal)
        self.brush.setRange(1, round(2 * LARGEST_BRUSH))
        self.brush.setAccessibleName("Radius of the brush")
        by_font(self.brush, lambda slider: slider.setFixedWidth(9 * slider.fontMetrics().averageCharWidth()))
        self.brush.hide()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.label)
        row.addWidget(self.level, 1)
        row.addWidget(self.brush)
        self.level.valueChanged.connect(self._slid)

    def show_for(self, tool: str, levels_of: Callable[[], tuple[str, float | None]]) -> None:
        """Say what the slider acts on: the brush, or the chosen LEDs with their name and mean level."""
        editor = self._editor
        brush = tool != "select"
        self.brush.setVisible(brush)
        self.level.setVisible(tool != "erase")
        if editor.closed:
            self.label.say(editor.closed)
            self.level.setVisible(False)
            return
        self.brush.setToolTip(f"Radius of the brush: {self.brush.value() / 2:g} LED distances ([ and ])")
        if brush:
            self.level.setEnabled(True)
            self._set(editor.brush_level)
            self.label.say(f"Brush: {editor.brush_level:.0%}" if tool == "paint" else "Eraser")
            self.level.setToolTip("Drive level that the brush paints, in percent")
            return
        name, level = levels_of()
        self.level.setEnabled(level is not None)
        self.level.setToolTip("Drive level of the chosen LEDs in this pattern, in percent (keys 0 to 9)")
        if level is None:
            self.label.say("Choose LEDs to set their level")
            return
        self._set(level)
        self.label.say(f"{name}: {level:.0%}")

    def _set(self, level: float) -> None:
        self.level.blockSignals(True)
        self.level.setValue(round(100 * level))
        self.level.blockSignals(False)

    def _slid(self, percent: int) -> None:
        self.slid.emit(percent / 100)


def chosen_in_words(editor: LedEditor, numbers: list[int]) -> tuple[str, float | None]:
    """Name and mean level of the chosen LEDs, of which the firmware ``numbers`` are given; None without any."""
    places = editor.chosen.nonzero()[0]
    levels = editor.shown.levels
    if not len(places) or not len(levels):
        return "", None
    name = f"LED {numbers[int(places[0])]}" if len(places) == 1 else counted(len(places), "LED")
    return name, float(levels[places].mean())
