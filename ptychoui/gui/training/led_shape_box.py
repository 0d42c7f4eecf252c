"""A small box below the tools: choose LEDs by a shape, and set, invert, clear or scale them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PyQt6.QtCore import QPoint, Qt
from PyQt6.QtWidgets import QComboBox, QFrame, QGridLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ptychoui.design.led_shapes import SHAPES
from ptychoui.gui.look.theme import colours
from ptychoui.gui.training.led_editor import LedEditor
from ptychoui.gui.widgets.number_boxes import NumberBox
from ptychoui.gui.widgets.parts import by_font, gap_of, ink
from ptychoui.words import counted


class ShapeBox(QFrame):
    """Floats over the window until one clicks elsewhere; what would be chosen is ringed while numbers are typed."""

    def __init__(self, editor: LedEditor, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self._editor = editor
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setAccessibleName("Choose LEDs by shape")
        gap = gap_of(self)
        self.shape = QComboBox()
        self.shape.setAccessibleName("Shape")
        for key, shape in SHAPES.items():
            self.shape.addItem(shape.text, key)
        self.shape.setToolTip("Shape of the LEDs that are chosen together")
        self._grid = QGridLayout()
        self._grid.setSpacing(gap)
        self.fields: dict[str, dict[str, NumberBox]] = {}
        self._labels: dict[str, list[QLabel]] = {}
        for key, shape in SHAPES.items():
            self.fields[key], self._labels[key] = {}, []
            for line, number in enumerate(shape.numbers):
                box = NumberBox("", whole=number.decimals == 0, arrows=True)
                box.setRange(number.low, number.high)
                box.setValue(number.usual)
                box.setSingleStep(10.0**-2 if number.high <= 2 else 1 if number.decimals == 0 else 15)
                box.setAccessibleName(f"{shape.text}: {number.name}")
                by_font(box, lambda b: b.setMinimumWidth(14 * b.fontMetrics().averageCharWidth()))
                box.valueChanged.connect(self.choose)
                box.setToolTip(
                    f"{shape.text}: {number.name}; {_unit_of(number.name)}, {number.low:g} to {number.high:g}"
                )
                label = QLabel(f"{number.name[0].upper()}{number.name[1:]}")
                self._grid.addWidget(label, line, 0)
                self._grid.addWidget(box, line, 1)
                self.fields[key][number.name] = box
                self._labels[key].append(label)
        self.text = QLabel()
        buttons, more = QHBoxLayout(), QHBoxLayout()
        self.buttons: dict[str, QPushButton] = {}
        for row, key, text, tip in (
            (buttons, "choose", "Choose", "Choose these LEDs alone"),
            (buttons, "add", "Add", "Choose these LEDs in addition"),
            (buttons, "remove", "Remove", "Take these LEDs out of the selection"),
            (more, "fill", "Fill", "Give the chosen LEDs the level of the brush"),
            (more, "only", "Fill alone", "Give the chosen LEDs the level of the brush, and make all others dark"),
            (more, "invert", "Invert", "Turn dark into bright (I)"),
            (more, "clear", "Clear", "Make the chosen LEDs dark (Del)"),
        ):
            button = QPushButton(text)
            button.setToolTip(tip)
            button.setAutoDefault(False)
            button.clicked.connect(lambda _=False, key=key: self.do(key))
            row.addWidget(button)
            self.buttons[key] = button
        self.light = NumberBox("", arrows=True)
        self.light.setRange(0.01, 1e6)
        self.light.setSingleStep(1)
        self.light.setAccessibleName("Total exposure of the pattern")
        self.light.setToolTip("Sum of level times frame time over all LEDs; 1 is one LED at full level for one frame")
        scale = QPushButton("Scale")
        scale.setAutoDefault(False)
        scale.setToolTip("Scale the levels of the chosen LEDs so that the pattern has this total exposure")
        scale.clicked.connect(lambda: self._editor.scale(self.light.value()))
        self.buttons["scale"] = scale
        light = QHBoxLayout()
        light.addWidget(QLabel("Total exposure"))
        light.addWidget(self.light, 1)
        light.addWidget(scale)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * gap, 2 * gap, 2 * gap, 2 * gap)
        layout.setSpacing(gap)
        layout.addWidget(self.shape)
        layout.addLayout(self._grid)
        layout.addLayout(buttons)
        layout.addWidget(self.text)
        layout.addLayout(more)
        layout.addLayout(light)
        self.shape.currentIndexChanged.connect(self._show_fields)
        editor.selected.connect(self._say)
        self._show_fields()

    @property
    def key(self) -> str:
        """The shape that is chosen."""
        return str(self.shape.currentData())

    def open_at(self, button: QWidget, scale: bool = False) -> None:
        """Open below a button, with the total exposure first if it is to be scaled."""
        shown = self._editor.shown
        ring = self.fields["ring"]["to NA"]
        if ring.value() == SHAPES["ring"].numbers[1].usual and shown.objective_na:
            ring.setValue(shown.objective_na)
        self.light.setValue(round(max(float(shown.levels.sum()) * shown.exposure, 0.01), 3))
        self._say()
        self.adjustSize()
        self.move(button.mapToGlobal(QPoint(0, button.height())))
        self._keep_on_screen()
        self.show()
        (self.light if scale else self.shape).setFocus()

    def do(self, key: str) -> None:
        """Press one of the buttons."""
        editor = self._editor
        if key in ("choose", "add", "remove"):
            mask = self._mask()
            if mask is not None:
                editor.choose(editor.chosen & ~mask if key == "remove" else mask, more=key == "add")
        elif key == "fill":
            editor.set_level(editor.brush_level, "Fill")
        elif key == "only":
            editor.fill_alone(editor.brush_level)
        else:
            editor.ask(key)

    def choose(self) -> None:
        """Choose the shape's LEDs while its numbers change; random ones are drawn on the button alone."""
        if self.isVisible() and self.key != "random" and (mask := self._mask()) is not None:
            self._editor.choose(mask)

    def _mask(self) -> NDArray[np.bool_] | None:
        return self._editor.shape(self.key, {name: box.value() for name, box in self.fields[self.key].items()})

    def _show_fields(self) -> None:
        for key, fields in self.fields.items():
            for part in (*fields.values(), *self._labels[key]):
                part.setVisible(key == self.key)
        self.adjustSize()
        self.choose()

    def _say(self) -> None:
        ink(self.text, colours().muted)
        count = int(self._editor.chosen.sum())
        self.text.setText(f"{counted(count, 'LED')} chosen:" if count else "No LED chosen; this acts on all:")
        self.buttons["fill"].setText(f"Fill at {self._editor.brush_level:.0%}")

    def _keep_on_screen(self) -> None:
        screen = self.screen()
        if screen is None:
            return
        room, box = screen.availableGeometry(), self.frameGeometry()
        self.move(
            max(room.left(), min(box.left(), room.right() - box.width())),
            max(room.top(), min(box.top(), room.bottom() - box.height())),
        )


def _unit_of(name: str) -> str:
    """In which unit a number of a shape is."""
    if "degrees" in name:
        return "degrees, counter-clockwise"
    if "level" in name:
        return "share of full drive"
    return "a whole number" if "how many" in name else "illumination NA"
