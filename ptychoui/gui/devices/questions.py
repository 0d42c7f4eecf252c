"""Questions about light, each behind a class method that a test can patch."""

from __future__ import annotations

from PyQt6.QtWidgets import QMessageBox, QWidget

Role = QMessageBox.ButtonRole


def _box(parent: QWidget, title: str, text: str, more: str, yes: str, no: str) -> bool:
    """Whether the first button was pressed; Return and Escape press the second."""
    box = QMessageBox(QMessageBox.Icon.Warning, title, text, parent=parent)
    box.setInformativeText(more)
    agree, other = box.addButton(yes, Role.AcceptRole), box.addButton(no, Role.RejectRole)
    box.setDefaultButton(other)
    if other is not None:
        box.setEscapeButton(other)
    box.exec()
    box.deleteLater()
    return box.clickedButton() is agree


class BrightQuestion:
    """Asked before a pattern is shown that would draw more than the limit."""

    @classmethod
    def ask(cls, parent: QWidget, what: str, draw_ma: float, limit_ma: float) -> bool:
        """Whether to show it nevertheless."""
        text = f"{what} would draw about {draw_ma / 1000:.2g} A, above the limit of {limit_ma / 1000:.2g} A."
        more = "Show it only if supply and cooling of the array allow it. A lower brightness draws less."
        return _box(parent, "Much light", text, more, "Show it", "Do not")


class LitQuestion:
    """Asked when the window is closed and the array could not be made dark."""

    @classmethod
    def ask(cls, parent: QWidget, sentence: str) -> bool:
        """Whether to close nevertheless."""
        return _box(parent, "The array may still be lit", sentence, "Close the window now?", "Close", "Stay")


class AllPortsQuestion:
    """Asked before ports are asked that may be other instruments."""

    @classmethod
    def ask(cls, parent: QWidget) -> bool:
        """Whether to ask them."""
        text = "Every serial port of this computer will be asked."
        more = "Another instrument may take the question for a command: switch off or close what must not move."
        return _box(parent, "Ask all ports", text, more, "Ask all", "Do not")
