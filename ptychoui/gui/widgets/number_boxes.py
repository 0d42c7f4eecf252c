"""Boxes for numbers: the same in every locale, exact whatever they show, and never changed by what nobody meant.

Qt's own boxes read text by the system's locale, drop characters that do not fit, and take separators of thousands for
nothing: 4.8 became 48 on a German desktop. These read by `session.typed`, say what they refuse, and keep the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from PyQt6.QtCore import QLocale, Qt, pyqtSignal
from PyQt6.QtGui import QKeyEvent, QValidator, QWheelEvent
from PyQt6.QtWidgets import QAbstractSpinBox, QApplication, QDoubleSpinBox, QLineEdit, QSpinBox

from ptychoui.errors import SettingsError
from ptychoui.gui.widgets.parts import sentence
from ptychoui.session.typed import typed_count, typed_number

EXACT = 323
"""As many decimals as a double can have: Qt rounds every value to them."""

if TYPE_CHECKING:
    _Box = QAbstractSpinBox
else:
    _Box = object


class _Typed(_Box):
    """What both kinds of boxes share; the first base of each, before Qt's."""

    # Qt asks for texts while it makes a box.
    _unit = ""
    refusal = ""
    """Why the text typed last was not taken; empty if it was."""

    def _prepare(self, unit: str, arrows: bool) -> None:
        self._unit = unit
        self.setLocale(QLocale.c())
        self.setKeyboardTracking(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        if not arrows:
            self.setAlignment(Qt.AlignmentFlag.AlignRight)
            self.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        if unit:
            self.setSuffix(f" {unit}")
        line = self.lineEdit()
        if line is not None:
            # Once somebody types, what was said of the last text is over.
            line.textEdited.connect(self._forget)

    def read(self, text: str) -> Any:
        """The value that a text means.

        Raises
        ------
        SettingsError
            If it means none that the box may have.
        """
        shown = self._shown()
        if text.strip() == shown.strip():
            return self.value()  # with all its digits
        if self._special(text):
            return self.minimum()
        value = self._parse(text.removeprefix(self.prefix()).removesuffix(self.suffix()))
        if not self.minimum() <= value <= self.maximum():
            unit = f" {self._unit}" if self._unit else ""
            low, high = (self.textFromValue(limit) for limit in (self.minimum(), self.maximum()))
            raise SettingsError(f"{text.strip()!r} is out of range", f"type a number from {low} to {high}{unit}")
        return value

    def validate(self, text: str | None, position: int) -> tuple[QValidator.State, str, int]:
        """Let anything be typed or pasted: a text that lost characters would be another number."""
        text = text or ""
        try:
            self.read(text)
        except SettingsError:
            return QValidator.State.Intermediate, text, position
        return QValidator.State.Acceptable, text, position

    def fixup(self, text: str | None) -> str:
        """Called for a finished text that means no number: say why, and go back to the value."""
        try:
            self.read(text or "")
        except SettingsError as error:
            parts = (error.message, f"{error.hint}; {self._shown()} stays")
            self.refuse(". ".join(sentence(part) for part in parts) + ".")
        return self._shown()

    def refuse(self, why: str) -> None:
        """Say why something was not taken; an empty text takes that back."""
        self.refusal = why
        self.refused.emit(why)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Return does not press a dialog's button when what was typed is refused."""
        if event is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._forget()
        super().keyPressEvent(event)
        if event is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.refusal:
            event.accept()

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Change the number only where it has the focus: the wheel scrolls the form."""
        if event is None:
            return
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def _forget(self) -> None:
        if self.refusal:
            self.refuse("")

    def _special(self, text: str) -> bool:
        """Whether a text stands for what is left out."""
        word = self.specialValueText()
        text = text.removesuffix(self.suffix()).strip().casefold()
        return bool(word) and text in ("", word.casefold())

    def _shown(self) -> str:
        """What the box shows for its value."""
        value = self.value()
        if self.specialValueText() and value == self.minimum():
            return self.specialValueText()
        return f"{self.prefix()}{self.textFromValue(value)}{self.suffix()}"

    if TYPE_CHECKING:
        refused: Any
        value: Any
        minimum: Any
        maximum: Any
        prefix: Any
        suffix: Any
        setSuffix: Any
        textFromValue: Any

    def _parse(self, text: str) -> Any:
        raise NotImplementedError


class NumberBox(_Typed, QDoubleSpinBox):
    """A number as short as it can be written, with all its digits behind it.

    Parameters
    ----------
    unit
        Shown behind the number.
    empty
        The word for a number that is left out; such a box shows it at 0, and has no numbers below.
    whole
        Take whole numbers only.
    arrows
        Show buttons that step.

    Attributes
    ----------
    refused
        The sentence why a text was not taken; empty once something else is typed.
    """

    refused = pyqtSignal(str)

    def __init__(self, unit: str, empty: str = "", whole: bool = False, arrows: bool = False) -> None:
        super().__init__()
        self._whole = whole
        self.setDecimals(EXACT)
        self._prepare(unit, arrows)
        self.setRange(0.0 if empty else -1e12, 1e12)
        if empty:
            self.setSpecialValueText(empty)

    def textFromValue(self, value: float) -> str:
        """Six significant digits at most; all of a whole number."""
        return f"{value:.0f}" if self._whole else f"{value:.6g}"

    def valueFromText(self, text: str | None) -> float:
        """The number, or the present one where the text means none."""
        try:
            return float(self.read(text or ""))
        except SettingsError:
            return float(self.value())

    def stepBy(self, steps: int) -> None:
        """Step the second digit, or by whole numbers; what was typed before counts first."""
        self.interpretText()
        value, more = Decimal(repr(self.value())), steps > 0
        for _ in range(abs(steps)):
            step = Decimal(1) if self._whole else _step(value, more)
            value = value + step if more else value - step
        self.setValue(float(value))
        self.selectAll()

    def _parse(self, text: str) -> float:
        return float(typed_count(text, self._unit) if self._whole else typed_number(text, self._unit))


class CountBox(_Typed, QSpinBox):
    """A whole number.

    Attributes
    ----------
    refused
        The sentence why a text was not taken; empty once something else is typed.
    """

    refused = pyqtSignal(str)

    def __init__(self, unit: str = "", arrows: bool = False) -> None:
        super().__init__()
        self._prepare(unit, arrows)
        self.setRange(-(2**31), 2**31 - 1)

    def textFromValue(self, value: int) -> str:
        """Digits alone."""
        return str(value)

    def valueFromText(self, text: str | None) -> int:
        """The number, or the present one where the text means none."""
        try:
            return int(self.read(text or ""))
        except SettingsError:
            return int(self.value())

    def _parse(self, text: str) -> int:
        return typed_count(text, self._unit)


class NumbersLine(QLineEdit):
    """Several numbers in one line."""

    def __init__(self) -> None:
        super().__init__()
        self._shown = ""
        self.setAlignment(Qt.AlignmentFlag.AlignRight)

    def set_values(self, values: Sequence[float]) -> None:
        """Show a list."""
        self._shown = "; ".join(f"{value:g}" for value in values)
        self.put_back()

    @property
    def untouched(self) -> bool:
        """Whether the text is as it was shown: it stands for the values with all their digits."""
        return self.text() == self._shown

    def put_back(self) -> None:
        """Show the list again that was there."""
        self.setText(self._shown)

    def interpretText(self) -> None:
        """Take what was typed."""
        self.editingFinished.emit()


def commit_typing() -> None:
    """Take what is being typed where the focus is: a button of the toolbar does not take the focus away."""
    focus = QApplication.focusWidget()
    if isinstance(focus, (_Typed, NumbersLine)):
        focus.interpretText()


def _step(value: Decimal, more: bool) -> Decimal:
    """A tenth of the number's power of ten: 0.1 at 4.8 and at 0, 1 at 72; towards 0 that of the numbers below."""
    if value == 0:
        return Decimal("0.1")
    power = value.adjusted()
    if (value > 0) != more and abs(value) == Decimal(10) ** power:
        power -= 1
    return Decimal(10) ** (power - 1)
