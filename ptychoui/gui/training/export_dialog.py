"""Export: format, bits, path; says what will be written and what quantising costs before anything is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PyQt6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ptychoui.design.patterns import PatternSet
from ptychoui.export.formats import FORMATS
from ptychoui.export.quantise import quantise
from ptychoui.gui.widgets.files import Files
from ptychoui.gui.widgets.number_boxes import CountBox, NumberBox
from ptychoui.words import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportChoice:
    """What a person asked for; ``bits`` is None where the format writes raw levels."""

    to: str
    path: Path
    bits: int | None
    frame_ms: float


class ExportDialog(QDialog):
    """Asks for an `ExportChoice`."""

    def __init__(self, patterns: PatternSet, folder: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export patterns")
        self._patterns = patterns
        self._folder = folder
        self.formats = QComboBox()
        for key, row in FORMATS.items():
            self.formats.addItem(f"{key} – {row.description}", key)
        self.bits = CountBox(arrows=True)
        self.bits.setToolTip("Bits of a drive level in the file")
        self.frame = NumberBox("ms", arrows=True)
        self.frame.setRange(0.001, 3_600_000)
        self.frame.setValue(100)
        self.frame.setToolTip("Time of one frame: exposures are given in frames")
        self.path = QLineEdit()
        self.path.setMinimumWidth(52 * self.fontMetrics().averageCharWidth())
        self.path.setAccessibleName("File or folder to write to")
        self.path.setToolTip("File or folder that the patterns are written to")
        self.formats.setAccessibleName("Format")
        self.formats.setToolTip("What reads the patterns afterwards: hardware, another program, or people")
        browse = QPushButton("Browse…")
        browse.setToolTip("Choose where to write")
        browse.clicked.connect(self._browse)
        line = QHBoxLayout()
        line.addWidget(self.path, 1)
        line.addWidget(browse)
        self.summary = QLabel()
        self.summary.setWordWrap(True)
        self.summary.setMinimumHeight(4 * self.fontMetrics().height())
        form = QFormLayout()
        form.addRow("Format", self.formats)
        form.addRow("Bits per level", self.bits)
        form.addRow("One frame lasts", self.frame)
        form.addRow("Write to", line)
        form.addRow("", self.summary)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel)
        for button in self.buttons.buttons():
            saves = self.buttons.buttonRole(button) is QDialogButtonBox.ButtonRole.AcceptRole
            button.setToolTip("Write the patterns" if saves else "Close this and write nothing")
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.buttons)
        self.formats.currentIndexChanged.connect(self._format_chosen)
        self.bits.valueChanged.connect(self._describe)
        self.path.textChanged.connect(self._describe)
        for box in (self.bits, self.frame):
            box.refused.connect(self._say_refusal)
        self._format_chosen()

    @classmethod
    def ask(cls, patterns: PatternSet, folder: Path, parent: QWidget) -> ExportChoice | None:
        """Show the dialog; None if it was cancelled."""
        dialog = cls(patterns, folder, parent)
        try:
            return dialog.choice() if dialog.exec() == QDialog.DialogCode.Accepted else None
        finally:
            dialog.deleteLater()

    def choice(self) -> ExportChoice:
        """What is asked for now."""
        return ExportChoice(
            to=self.formats.currentData(),
            path=Path(self.path.text()).expanduser(),
            bits=self.bits.value() if self.bits.isEnabled() else None,
            frame_ms=self.frame.value(),
        )

    def accept(self) -> None:
        """Stay open where a number was not taken: what is written would not be what was typed."""
        refused = [box for box in (self.bits, self.frame) if box.refusal]
        for box in refused:
            box.refusal = ""  # it has been read: the next click counts
        if not refused:
            super().accept()

    def _say_refusal(self, why: str) -> None:
        if why:
            self.summary.setText(why)
        else:
            self._describe()

    def _format_chosen(self) -> None:
        row = FORMATS[self.formats.currentData()]
        self.bits.setEnabled(row.maximum_bits > 0)
        self.bits.setRange(1 if row.maximum_bits else 0, row.maximum_bits)
        self.bits.setValue(row.bits)
        name = "".join(c if c.isalnum() or c in "-_" else "-" for c in self._patterns.name)
        self.path.setText(str(self._folder / f"{name}{row.suffix or '-patterns'}"))
        self._describe()

    def _describe(self) -> None:
        row = FORMATS[self.formats.currentData()]
        rows, leds = self._patterns.levels.shape
        where = Path(self.path.text()).expanduser()
        kind = "the folder" if row.is_folder else "the file"
        text = f"Writes {counted(rows, 'pattern')} of {counted(leds, 'LED')} into {kind} {where.name or '…'}"
        if where.exists():
            text += ", which exists and will be replaced" if where.is_file() else ", which exists"
        text += "."
        if self.bits.isEnabled():
            lost = float(quantise(self._patterns.levels, self.bits.value()).relative_error.max())
            text += f" With {self.bits.value()} bit the levels change by up to {lost:.2%} of their norm."
        else:
            text += " Levels are written as they are."
        there = where.absolute().parent.is_dir()
        if not there:
            text = f"There is no folder {where.parent}: make it first, or check that its disk is there."
        self.summary.setText(text)
        save = self.buttons.button(QDialogButtonBox.StandardButton.Save)
        if save is not None:
            save.setEnabled(there and bool(self.path.text().strip()))

    def _browse(self) -> None:
        row = FORMATS[self.formats.currentData()]
        if row.is_folder:
            chosen = Files.folder_to_save(self, "Export to a folder", str(self._folder))
        else:
            chosen = Files.to_save(self, "Export patterns", self.path.text(), f"*{row.suffix}")
        if chosen:
            self.path.setText(chosen)
