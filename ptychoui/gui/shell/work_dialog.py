"""A dialog whose work goes on in the background: what is being done, what went wrong, cancel."""

from __future__ import annotations

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QDialog, QHBoxLayout, QLabel, QPushButton, QWidget

from ptychoui.gui.look.theme import colours, paint_primary
from ptychoui.gui.shell.controller import Controller
from ptychoui.gui.shell.job_kinds import Task
from ptychoui.gui.widgets.parts import Status, gap_of, ink, note, sentence
from ptychoui.session.worker import RunState
from ptychoui.training.events import Failed, Finished, Stopped


class WorkDialog(QDialog):
    """Stands beside the window and does not stop it; to close it in mid-run cancels the run.

    Parameters
    ----------
    task
        The task that this dialog starts and shows.
    running
        What is said while it runs.
    """

    def __init__(self, controller: Controller, task: Task, title: str, running: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.controller, self._task, self._running = controller, task, running
        self.status = Status(running)
        self.trouble = note()
        self.trouble.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        controller.state_changed.connect(self._state_changed)
        controller.reconstruction_changed.connect(self._told)
        controller.document_changed.connect(self._document_changed)

    @property
    def working(self) -> bool:
        """True while the run of this dialog goes on."""
        return self.controller.task == self._task and self.controller.state.active

    def show_work(self) -> None:
        """Show what the run has told."""
        raise NotImplementedError

    def say_trouble(self, message: str, hint: str = "") -> None:
        """Say in a sentence what is wrong, and in another what to do; nothing takes them away."""
        ink(self.trouble, colours().error)
        parts = [f"{sentence(part).rstrip('.')}." for part in (message, hint) if part]
        self.trouble.setText("\n".join(parts))
        self.trouble.setVisible(bool(parts))

    def say_end(self, end: Finished | Stopped | Failed | None) -> None:
        """Say why a run failed."""
        if isinstance(end, Failed):
            self.say_trouble(end.message, end.hint)

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        ink(self.trouble, colours().error)
        self.status.show_state(self.controller.state if self.controller.task == self._task else RunState.IDLE)

    def done(self, result: int) -> None:
        """Cancel what goes on before the dialog goes."""
        if self.working:
            self.controller.stop()
        super().done(result)

    def _state_changed(self, state: RunState) -> None:
        if self.controller.task == self._task:
            self.status.show_state(state, self._running)
        self.show_work()  # what can be pressed depends on any run

    def document_replaced(self) -> None:
        """Another document is open: what is shown belongs to the last one."""
        self.close()

    def _document_changed(self, what: str) -> None:
        if what == "all":
            self.document_replaced()
        else:
            self.show_work()

    def _told(self) -> None:
        if self.controller.task == self._task:
            self.show_work()


USUAL_TIPS = {
    "Cancel": "Close this and leave everything as it was",
    "Back": "To the page before; nothing that was entered is lost",
    "Next": "To the next page",
    "Browse…": "Choose where to write",
    "File…": "Choose one file",
    "Folder…": "Choose a folder of images",
}


def button(text: str, tip: str = "", primary: bool = False) -> QPushButton:
    """A button of a dialog."""
    made = QPushButton(text)
    made.setToolTip(tip or USUAL_TIPS.get(text, ""))
    made.setAutoDefault(False)
    made.setMinimumHeight(2 * made.fontMetrics().height())
    made.setMinimumWidth(14 * made.fontMetrics().averageCharWidth())
    if primary:
        paint_primary(made)
    return made


def button_row(*buttons: QPushButton, left: QWidget | None = None) -> QHBoxLayout:
    """Buttons at the right, something else at the left."""
    row = QHBoxLayout()
    row.setSpacing(2 * gap_of(buttons[0]))
    if left is not None:
        row.addWidget(left)
    row.addStretch(1)
    for made in buttons:
        row.addWidget(made)
    return row


def lead(text: str) -> QLabel:
    """A paragraph in the muted colour."""
    label = QLabel(text)
    label.setWordWrap(True)
    ink(label, colours().muted)
    return label
