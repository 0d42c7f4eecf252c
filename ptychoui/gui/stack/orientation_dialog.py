"""The orientation test: eight orientations of the array's axes, ranked, and one click to take one."""

from __future__ import annotations

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QAbstractItemView, QHeaderView, QLabel, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from ptychoui.gui.look.theme import colours, paint_primary
from ptychoui.gui.shell.controller import Controller
from ptychoui.gui.shell.work_dialog import WorkDialog, button, button_row, lead
from ptychoui.gui.widgets.parts import bold, duration, gap_of, ink
from ptychoui.session.stack_orientation import ArrayOrientation

LAYOUTS = 8
HEADS = ("Change of the orientation", "Residual", "Worse by", "")


class OrientationDialog(WorkDialog):
    """Starts the test when it is opened."""

    def __init__(self, controller: Controller, parent: QWidget) -> None:
        super().__init__(controller, "orientation", "Test orientation", "Trying orientations", parent)
        self._history = controller.document.orientation
        self.intro = lead(
            "The array may be mirrored or turned before the camera. Each of the eight orientations of its axes is "
            "reconstructed on the middle of the images; the right one explains them best."
        )
        self.table = QTableWidget(0, len(HEADS))
        self.table.setHorizontalHeaderLabels(HEADS)
        self.table.setToolTip("Residual: misfit of the amplitudes as a share of all light, without fits of single LEDs")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setShowGrid(False)
        row = round(1.6 * self.fontMetrics().height())
        self.table.setMinimumHeight(round((LAYOUTS + 1.2) * row))
        self.table.setAlternatingRowColors(True)
        if (side := self.table.verticalHeader()) is not None:
            side.hide()
            side.setDefaultSectionSize(row)
        if (top := self.table.horizontalHeader()) is not None:
            top.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            top.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
            top.setHighlightSections(False)
            top.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.verdict, self.sign = bold(QLabel()), QLabel()
        for label in (self.verdict, self.sign):
            label.setWordWrap(True)
        self.use = button(
            "Use this one", "Put this orientation in place of the present one; undo takes it back", primary=True
        )
        self.leave = button("Cancel")
        gap = gap_of(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(3 * gap, 3 * gap, 3 * gap, 3 * gap)
        layout.setSpacing(2 * gap)
        layout.addWidget(self.intro)
        layout.addWidget(self.status)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.verdict)
        layout.addWidget(self.sign)
        layout.addWidget(self.trouble)
        layout.addLayout(button_row(self.leave, self.use))
        self.leave.clicked.connect(self.reject)
        self.use.clicked.connect(self._use)
        self.table.itemSelectionChanged.connect(self._enable)
        self.resize(72 * self.fontMetrics().averageCharWidth(), 31 * self.fontMetrics().height())
        self.setMinimumSize(self.size())
        self.use_colours()

    @classmethod
    def start(cls, controller: Controller, parent: QWidget) -> OrientationDialog | None:
        """Open the dialog and begin, or bring the open one to the front; None where there is no stack to test."""
        for found in parent.findChildren(cls):
            if isinstance(found, cls) and found.isVisible():
                found.raise_()
                return found
        if not controller.test_orientation():
            return None
        dialog = cls(controller, parent)
        dialog.show()
        return dialog

    def show_work(self) -> None:
        """Show how far the test is, and the orientations in the end."""
        history, state = self._history, self.controller.state
        begun, tried = history.begun, history.tried
        if begun is not None:
            done = tried.step if tried is not None else 0
            text = f"orientation {min(done + 1, begun.orientations)} of {begun.orientations}" if self.working else ""
            if tried is not None and self.working:
                text += f", {duration(tried.seconds_left)} left"
            self.status.show_progress(done, begun.orientations, text)
        elif not state.active:
            self.status.show_progress(0, 1)
        if history.found is not None and self.table.rowCount() == 0:
            self._fill(history.found.orientations)
            self.verdict.setText(history.found.verdict)
            self.sign.setText(history.found.sign)
        if history.found is not None:
            ink(self.verdict, colours().good if history.found.sure else colours().warning)
        self.say_end(history.end)
        self._enable()

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        super().use_colours()
        ink(self.intro, colours().muted)
        paint_primary(self.use)
        self.show_work()

    def _fill(self, found: tuple[ArrayOrientation, ...]) -> None:
        self.table.setRowCount(len(found))
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for row, one in enumerate(found):
            worse = "best" if row == 0 else f"+{one.worse:.1%}"
            name = "none" if one.present else one.name
            texts = (name, f"{one.residual:.3g}", worse, "as it is now" if one.present else "")
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                if column in (1, 2):
                    item.setTextAlignment(right)
                self.table.setItem(row, column, item)
        self.table.selectRow(0)

    def _chosen(self) -> ArrayOrientation | None:
        found, row = self._history.found, self.table.currentRow()
        return found.orientations[row] if found is not None and 0 <= row < len(found.orientations) else None

    def _enable(self) -> None:
        chosen = self._chosen()
        current = self.controller.document.orientation is self._history
        free = current and not self.controller.state.active
        self.use.setEnabled(free and chosen is not None and not chosen.present)
        tip = "Put this orientation in place of the present one; undo takes it back"
        if not current:
            tip = "The geometry has changed since: test it again"
        elif chosen is not None and chosen.present:
            tip = "The geometry has this orientation already"
        self.use.setToolTip(tip)
        self.leave.setText("Cancel" if self.working else "Close")
        shown = self._history.found is not None
        for widget in (self.verdict, self.sign):
            widget.setVisible(shown)

    def _use(self) -> None:
        chosen = self._chosen()
        if chosen is not None and self.controller.take_geometry(chosen.geometry, "Orientation"):
            self.controller.say("info", f"Orientation of the array changed: {chosen.name}", "undo takes it back")
            self.accept()
