"""Forms from a list of fields: aligned labels, units, tooltips from the settings, errors in place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from PyQt6.QtCore import QSignalBlocker, Qt, pyqtSignal
from PyQt6.QtGui import QColor, QPalette, QWheelEvent
from PyQt6.QtWidgets import QCheckBox, QComboBox, QGridLayout, QLabel, QLineEdit, QSizePolicy, QWidget

from ptychoui.errors import SettingsError
from ptychoui.gui.look.theme import colours
from ptychoui.gui.widgets.number_boxes import CountBox, NumberBox, NumbersLine
from ptychoui.gui.widgets.parts import by_font, sentence
from ptychoui.session.edits import description_of
from ptychoui.session.typed import LIST_RULE, typed_counts, typed_numbers
from ptychoui.settings import FpmExperiment, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One line of a form; ``name`` is the dotted name of the setting; ``automatic`` numbers may be left out.

    A number that is left out shows the word ``empty``. ``tip`` stands for the description of the setting.
    """

    name: str
    label: str
    unit: str = ""
    kind: Literal["float", "int", "choice", "bool", "numbers"] = "float"
    choices: tuple[tuple[str, str], ...] = ()
    editable: bool = False
    integers: bool = False
    automatic: bool = False
    empty: str = "automatic"
    tip: str = ""


class ChoiceBox(QComboBox):
    """A choice that the wheel does not change by accident."""

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Let the form scroll."""
        if event is not None:
            event.ignore()


class Form(QWidget):
    """Fields in two columns; tooltips are the descriptions of ``root``'s settings.

    Attributes
    ----------
    edited
        (name, value) when a person changed a field.
    """

    edited = pyqtSignal(str, object)

    def __init__(
        self, fields: Sequence[Field], parent: QWidget | None = None, root: type[Settings] = FpmExperiment
    ) -> None:
        super().__init__(parent)
        self._fields = {field.name: field for field in fields}
        self._editors: dict[str, QWidget] = {}
        self._labels: dict[str, QLabel] = {}
        self._errors: dict[str, QLabel] = {}
        grid = QGridLayout(self)
        gap = max(3, self.fontMetrics().height() // 4)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(gap)
        grid.setHorizontalSpacing(3 * gap)
        grid.setColumnStretch(0, 0)
        grid.setColumnStretch(1, 1)
        for line, field in enumerate(fields):
            editor = self._editor(field)
            tip = field.tip or description_of(field.name, root)
            if field.unit and field.unit not in tip:
                tip = f"{tip}\nUnit: {field.unit}"
            if field.kind == "numbers":
                tip = f"{tip}\n{LIST_RULE}"
            label = QLabel(field.label)
            error = QLabel()
            error.setWordWrap(True)
            error.hide()
            for widget in (editor, label):
                widget.setToolTip(tip)
            label.setBuddy(editor)
            editor.setAccessibleName(field.label)
            editor.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            by_font(editor, lambda e: e.setMinimumWidth(10 * e.fontMetrics().averageCharWidth()))
            grid.addWidget(label, 2 * line, 0)
            grid.addWidget(editor, 2 * line, 1)
            grid.addWidget(error, 2 * line + 1, 0, 1, 2)
            self._editors[field.name], self._labels[field.name], self._errors[field.name] = editor, label, error

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the settings, in their order."""
        return tuple(self._fields)

    def editor(self, name: str) -> QWidget:
        """Widget of a field."""
        return self._editors[name]

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show values without telling anybody; a field that has the focus and shows the value is left alone."""
        for name, value in values.items():
            editor = self._editors.get(name)
            if editor is None or (value is None and not self._fields[name].automatic):
                continue
            with QSignalBlocker(editor):
                if isinstance(editor, NumberBox):
                    editor.setValue(float(value or 0.0))
                elif isinstance(editor, CountBox):
                    editor.setValue(int(value))
                elif isinstance(editor, QComboBox):
                    at = editor.findData(str(value))
                    if at >= 0:
                        editor.setCurrentIndex(at)
                    else:
                        editor.setEditText(str(value))
                elif isinstance(editor, QCheckBox):
                    editor.setChecked(bool(value))
                elif isinstance(editor, NumbersLine):
                    editor.set_values(value)

    def set_choices(self, name: str, choices: Sequence[tuple[str, str]]) -> None:
        """Offer other values of a choice, as (value, text)."""
        box = self._editors[name]
        if isinstance(box, QComboBox):
            with QSignalBlocker(box):
                box.clear()
                for value, text in choices:
                    box.addItem(text, value)

    def show_fields(self, names: Sequence[str]) -> None:
        """Show these fields only."""
        for name in self._fields:
            shown = name in names
            self._editors[name].setVisible(shown)
            self._labels[name].setVisible(shown)
            self._errors[name].setVisible(shown and bool(self._errors[name].text()))

    def set_error(self, name: str, text: str) -> None:
        """Say below a field why its value was refused; an empty text takes it away."""
        self._say(name, text, colours().error)

    def set_note(self, name: str, text: str) -> None:
        """Say below a field what is to be known of its value."""
        self._say(name, text, colours().warning)

    def _say(self, name: str, text: str, colour: str) -> None:
        error = self._errors[name]
        palette = error.palette()
        palette.setColor(QPalette.ColorRole.WindowText, QColor(colour))
        error.setPalette(palette)
        error.setText(text)
        error.setVisible(bool(text) and not self._editors[name].isHidden())

    def error(self, name: str) -> str:
        """The sentence below a field."""
        return self._errors[name].text()

    def clear_errors(self) -> None:
        """Take all sentences away."""
        for name in self._fields:
            self.set_error(name, "")

    def _editor(self, field: Field) -> QWidget:
        name = field.name
        if field.kind == "float":
            number = NumberBox(field.unit, field.empty if field.automatic else "", field.integers)
            number.valueChanged.connect(
                lambda value: self.edited.emit(name, None if field.automatic and value == 0 else value)
            )
            number.refused.connect(lambda text: self.set_error(name, text))
            return number
        if field.kind == "int":
            count = CountBox(field.unit)
            count.valueChanged.connect(lambda value: self.edited.emit(name, value))
            count.refused.connect(lambda text: self.set_error(name, text))
            return count
        if field.kind == "bool":
            check = QCheckBox()
            check.toggled.connect(lambda value: self.edited.emit(name, value))
            return check
        if field.kind == "choice":
            choice = ChoiceBox()
            choice.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            for value, text in field.choices:
                choice.addItem(text, value)
            choice.setEditable(field.editable)
            choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            choice.activated.connect(
                lambda _: self.edited.emit(
                    name, choice.currentText() if choice.currentData() is None else choice.currentData()
                )
            )
            return choice
        line = NumbersLine()
        line.editingFinished.connect(lambda: self._numbers_typed(name, line, field.integers))
        line.textEdited.connect(lambda _: self.set_error(name, ""))
        return line

    def _numbers_typed(self, name: str, line: QLineEdit, integers: bool) -> None:
        if isinstance(line, NumbersLine) and line.untouched:
            return
        try:
            values = typed_counts(line.text()) if integers else typed_numbers(line.text())
        except SettingsError as error:
            self.set_error(name, ". ".join(sentence(part) for part in (error.message, error.hint)) + ".")
            if isinstance(line, NumbersLine):
                line.put_back()
            return
        self.edited.emit(name, values)
