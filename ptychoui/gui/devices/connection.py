"""Which array: a URL with those used before, ports that were found, and the buttons to look and to connect."""

from __future__ import annotations

from collections.abc import Sequence

from PyQt6.QtCore import Qt, pyqtSignal
from PyQt6.QtGui import QKeyEvent
from PyQt6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QSizePolicy,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ptychoui.devices.finding import Answer
from ptychoui.gui.devices.parts import allow, tool
from ptychoui.gui.widgets.fields import ChoiceBox
from ptychoui.gui.widgets.parts import CommandRow, Elided, by_font, gap_of
from ptychoui.session.device_state import LinkState, Phase

EMULATED = (
    "simulate:",
    "simulate:ptychoui",
    "simulate:illuminate1",
    "simulate:uc2",
    "simulate:adalight",
)
URL_TIP = (
    "Where the array is: a port such as /dev/ttyACM0 or COM3, socket://HOST:PORT, or simulate: for an emulated array. "
    "KIND:PORT names what is there (illuminate, ptychoui, uc2, adalight); "
    "?leds=256&baud=115200 at the end say what the array does not tell"
)


class ConnectionBox(QWidget):
    """Asks for arrays to be looked for, connected and left.

    Attributes
    ----------
    find_wanted
        Whether all ports are to be asked, also those that may be other instruments.
    connect_wanted
        URL.
    leave_wanted
        The array that is open, or that is being connected, is not wanted any more.
    """

    find_wanted = pyqtSignal(bool)
    connect_wanted = pyqtSignal(str)
    leave_wanted = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._used: tuple[str, ...] = ()
        self._state = LinkState()
        self.url = ChoiceBox()
        self.url.setEditable(True)
        self.url.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.url.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.url.setAccessibleName("URL of the array")
        self.url.setToolTip(URL_TIP)
        self.connect = tool("Connect", "Open the array of this URL: it is asked what it is, and made dark", "plug")
        self.search = tool("Find", "Ask the serial ports whose chip is one that LED arrays have", "search")
        self.ask_all = tool(
            "Ask all ports",
            "Ask every serial port: another instrument may take the question for a command, close it first",
            "search_all",
        )
        self.where = Elided(Qt.TextElideMode.ElideMiddle)
        self.leave = tool("Disconnect", "Make the array dark and close its line", "plug")
        self.leave.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.found = QTreeWidget()
        self.found.setHeaderLabels(["Port", "What is there"])
        self.found.setRootIsDecorated(False)
        self.found.setUniformRowHeights(True)
        self.found.setAccessibleName("Ports")
        self.found.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.found.setToolTip("Choose a port for the URL; a double-click or Return connects")
        by_font(self.found, lambda w: w.setFixedHeight(round(5.5 * w.fontMetrics().height())))
        if (header := self.found.header()) is not None:
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
            header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.found.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(gap_of(self))
        self._open_row = QWidget()
        row = QHBoxLayout(self._open_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.where, 1)
        row.addWidget(self.leave)
        self._closed_row = CommandRow((self.connect, self.search, self.ask_all))
        column.addWidget(self._open_row)
        column.addWidget(self.url)
        column.addWidget(self._closed_row)
        column.addWidget(self.found)
        self.connect.clicked.connect(self._press)
        self.leave.clicked.connect(self.leave_wanted)
        self.search.clicked.connect(lambda: self.find_wanted.emit(False))
        self.ask_all.clicked.connect(lambda: self.find_wanted.emit(True))
        self.found.itemSelectionChanged.connect(self._choose)
        self.found.itemActivated.connect(lambda *_: self._press())
        line = self.url.lineEdit()
        if line is not None:
            line.returnPressed.connect(self._press)
        self.show_used(())

    def show_used(self, urls: Sequence[str]) -> None:
        """Offer URLs that were used, the newest first, then emulated arrays."""
        self._used = tuple(urls)
        text = self.url.currentText()
        self.url.clear()
        self.url.addItems([*urls, *(url for url in EMULATED if url not in urls)])
        self.url.setEditText(text or (urls[0] if urls else EMULATED[0]))

    def show_state(self, state: LinkState) -> None:
        """What can be pressed now; the ports that were found are listed until one is open."""
        self._state = state
        opened, busy = state.opened is not None, state.phase in (Phase.CONNECTING, Phase.LOOKING)
        self._open_row.setVisible(opened)
        for part in (self.url, self._closed_row):
            part.setVisible(not opened)
        if state.opened is not None:
            self.where.say(state.opened.url, f"{state.opened.name} at {state.opened.url}")
        self.connect.setText("Cancel" if busy else "Connect")
        self.connect.setAccessibleName(self.connect.text())
        tip = "Open the array of this URL: it is asked what it is, and made dark"
        self.connect.setProperty("tip", "Look or connect no more" if busy else tip)
        allow(self.connect)
        for button in (self.search, self.ask_all):
            allow(button, "it is being done" if busy else "")
        self.url.setEnabled(not busy)
        if state.answers is not None:
            self._list(state.answers)
        self.found.setVisible(self.found.topLevelItemCount() > 0 and not opened)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Return in the field of the URL does not press anything else."""
        if event is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            event.accept()
            return
        super().keyPressEvent(event)

    def _list(self, answers: tuple[Answer, ...]) -> None:
        self.found.clear()
        for answer in answers:
            what = f"{answer.name}, {answer.n_leds} LEDs" if answer.kind else answer.problem or "not asked"
            row = QTreeWidgetItem([answer.url, what])
            for column in range(2):
                row.setToolTip(column, f"{answer.description}\n{what}".strip())
            self.found.addTopLevelItem(row)
        first = next((place for place, answer in enumerate(answers) if answer.kind), None)
        if first is not None:
            self.found.setCurrentItem(self.found.topLevelItem(first))

    def _choose(self) -> None:
        for row in self.found.selectedItems():
            self.url.setEditText(row.text(0))

    def _press(self) -> None:
        if self._state.opened is not None or self._state.phase in (Phase.CONNECTING, Phase.LOOKING):
            self.leave_wanted.emit()
        else:
            self.connect_wanted.emit(self.url.currentText().strip())
