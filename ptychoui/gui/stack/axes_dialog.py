"""Images along several axes: which of them is that of the LEDs, and which place on the others is meant."""

from __future__ import annotations

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtWidgets import QComboBox, QDialog, QFormLayout, QLabel, QVBoxLayout, QWidget

from ptychoui.gui.look.theme import colours, paint_primary
from ptychoui.gui.shell.work_dialog import button, button_row
from ptychoui.gui.widgets.parts import gap_of, ink, sentence
from ptychoui.session.opening import AxesWanted


class AxesDialog(QDialog):
    """Choices alone; nothing is opened before they are confirmed.

    Attributes
    ----------
    answered
        (path, `PartialGeometry`) to open the path with.
    """

    answered = pyqtSignal(str, object)

    def __init__(self, wanted: AxesWanted, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Axes of the images")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._wanted = wanted
        self.question = QLabel(f"{sentence(wanted.message)}.")
        self.along = QComboBox()
        self.along.setToolTip("Along this axis every image is that of another LED")
        for choice in wanted.choices:
            self.along.addItem(_words(choice, wanted), choice)
        self.places = {name: QComboBox() for name in wanted.axes}
        for box in (self.along, *self.places.values()):
            # Long names are cut in the box, not the words beside it.
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(12)
        form = QFormLayout()
        form.addRow("Axis of the LEDs", self.along)
        for name, box in self.places.items():
            box.addItems(
                label if label == str(place) else f"{place}: {label}" for place, label in enumerate(wanted.axes[name])
            )
            box.setCurrentIndex(wanted.places.get(name, 0))
            box.setToolTip(f"Images of the other places on {name} are left out")
            form.addRow(f"Place on {name}", box)
        self._form = form
        self.lines = QLabel()
        self.lines.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.lines.setToolTip("In a geometry file beside the images these lines answer once and for all")
        for label in (self.question, self.lines):
            label.setWordWrap(True)
        self.confirm = button("Open", "Open the images that are chosen", primary=True)
        self.leave = button("Cancel")
        gap = gap_of(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(3 * gap, 3 * gap, 3 * gap, 3 * gap)
        layout.setSpacing(2 * gap)
        layout.addWidget(self.question)
        layout.addLayout(form)
        layout.addWidget(self.lines)
        layout.addStretch(1)
        layout.addLayout(button_row(self.leave, self.confirm))
        self.along.currentIndexChanged.connect(self._show_choice)
        for box in self.places.values():
            box.currentIndexChanged.connect(self._show_choice)
        self.leave.clicked.connect(self.reject)
        self.confirm.clicked.connect(self._answer)
        paint_primary(self.confirm)
        ink(self.lines, colours().muted)
        self.setMinimumWidth(72 * self.fontMetrics().averageCharWidth())
        self._show_choice()

    def _chosen(self) -> tuple[str, dict[str, int]]:
        return self.along.currentData(), {name: box.currentIndex() for name, box in self.places.items()}

    def _show_choice(self) -> None:
        along, places = self._chosen()
        for name, box in self.places.items():
            self._form.setRowVisible(box, name not in along)
        others = ", ".join(f"{name} = {place}" for name, place in places.items() if name not in along)
        lines = ["[images]", f'led_axis = "{along}"', *([f"indices = {{ {others} }}"] if others else [])]
        self.lines.setText("\n".join(["To be asked no more, write into a geometry file beside the images:", *lines]))

    def _answer(self) -> None:
        self.accept()
        self.answered.emit(self._wanted.path, self._wanted.answer(*self._chosen()))


def _words(choice: str, wanted: AxesWanted) -> str:
    if choice in wanted.axes:
        return f"{choice} ({len(wanted.axes[choice])} images)"
    sizes = " x ".join(str(len(wanted.axes[name])) for name in choice)
    return f"{' x '.join(choice)} ({sizes} images, the last axis fastest)"
