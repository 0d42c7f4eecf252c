"""A run of multi-channel MRI: the reconstruction large, beside it what is measured, the truth and the error."""

from __future__ import annotations

from PyQt6.QtCore import pyqtSignal
from PyQt6.QtGui import QShowEvent
from PyQt6.QtWidgets import QGridLayout, QVBoxLayout, QWidget

from ptychoui.gui.look.theme import colours
from ptychoui.gui.widgets.contrast_bar import ContrastBar
from ptychoui.gui.widgets.image_panel import ImagePanel
from ptychoui.gui.widgets.parts import Yielding, bullets, gap_of, note
from ptychoui.session.history import RunHistory
from ptychoui.tasks.mri.events import ERROR_SHOWN, MriSnapshot
from ptychoui.training.events import Snapshot

LARGE, SMALL, PROFILE = 8, 5, 4
"""Shares of the width or the height: of the reconstruction, of the images beside it, of profiles over time."""

SAMPLED_WHITE = 1.2
"""Upper limit of pictures of samples: those measured are light grey, to be seen on white as well."""


class MriView(QWidget):
    """What the present weights make of an example that was not trained on.

    Reconstruction, zero-filled image and truth are shown between the same limits and zoomed together with the error,
    which has limits of its own.

    Attributes
    ----------
    hover_text
        One line for the status bar; empty when the cursor is outside.
    """

    hover_text = pyqtSignal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.panels = {
            name: ImagePanel(title, self)
            for name, title in (
                ("reconstructed", "Reconstructed"),
                ("zero_filled", "Zero-filled"),
                ("truth", "Truth"),
                ("error", f"Error × {ERROR_SHOWN:g}"),
                ("sampled", "Measured samples"),
                ("over_time", "Reconstructed over time"),
                ("true_over_time", "Truth over time"),
            )
        }
        self.magnitude = ContrastBar("magnitude", "gray", None, self)
        self.error_contrast = ContrastBar("error", "magma", None, self)
        self._snapshot: MriSnapshot | None = None
        self._stale = False
        self.warnings = note()
        gap = gap_of(self)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(gap, gap, gap, gap)
        outer.setSpacing(gap)
        outer.addWidget(Yielding(self.warnings))
        self._grid = grid = QGridLayout()
        grid.setSpacing(gap)
        outer.addLayout(grid, 1)
        p = self.panels
        grid.addWidget(p["reconstructed"], 0, 0, 2, 1)
        grid.addWidget(p["zero_filled"], 0, 1)
        grid.addWidget(p["sampled"], 1, 1)
        grid.addWidget(p["truth"], 0, 2)
        grid.addWidget(p["error"], 1, 2)
        grid.addWidget(self.magnitude, 2, 0)
        grid.addWidget(self.error_contrast, 2, 1, 1, 2)
        grid.addWidget(p["over_time"], 3, 0)
        grid.addWidget(p["true_over_time"], 3, 1, 1, 2)
        for bar, names in (
            (self.magnitude, ("reconstructed", "zero_filled", "truth", "over_time", "true_over_time")),
            (self.error_contrast, ("error",)),
        ):
            for name in names:
                p[name].set_lut(bar.table)
                p[name].set_limits(bar.low, bar.high)
                bar.changed.connect(p[name].set_limits)
                bar.lut_changed.connect(p[name].set_lut)
        p["sampled"].set_limits(0.0, SAMPLED_WHITE)
        self._linked = (
            tuple(p[name] for name in ("reconstructed", "zero_filled", "truth", "error")),
            (p["over_time"], p["true_over_time"]),
        )
        for group in self._linked:
            for panel in group:
                panel.moved.connect(self._link)
        for name, panel in p.items():
            panel.hovered.connect(lambda row, column, name=name: self._hover(name, row, column))
        for name in ("over_time", "true_over_time"):
            p[name].view.setAspectLocked(False)  # frames are no pixels
        p["reconstructed"].note = "no reconstruction yet"
        self._arrange(None)

    def show_run(self, history: RunHistory) -> None:
        """Say what should keep its owner from the run."""
        started = history.started
        bullets(self.warnings, () if started is None else started.warnings[:1], colours().warning)

    def show_snapshot(self, shown: Snapshot | None) -> None:
        """Show a snapshot; while hidden it is only kept."""
        self._snapshot, self._stale = shown if isinstance(shown, MriSnapshot) else None, True
        if self.isVisible():
            self._draw()

    def start_over(self) -> None:
        """A new run: contrast is chosen again with the next picture."""
        self.magnitude.start_over()
        self.error_contrast.start_over()

    def fit(self) -> None:
        """Show the whole images."""
        for panel in self.panels.values():
            panel.fit()

    def actual_size(self) -> None:
        """One image pixel on one screen pixel."""
        self.panels["reconstructed"].actual_size()

    def auto_contrast(self) -> None:
        """Percentile limits of magnitudes and errors."""
        self.magnitude.auto()
        self.error_contrast.auto()

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        for panel in self.panels.values():
            panel.use_colours()
        self.update()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Draw what arrived while hidden."""
        super().showEvent(event)
        if self._stale:
            self._draw()

    def _arrange(self, s: MriSnapshot | None) -> None:
        """Room for what there is: a truth may be unknown, and only cine has profiles over time."""
        known = s is None or s.truth is not None
        cine = s is not None and s.over_time is not None
        for name in ("truth", "error"):
            self.panels[name].setVisible(known)
        self.error_contrast.setVisible(known)
        self.panels["over_time"].setVisible(cine)
        self.panels["true_over_time"].setVisible(cine and known)
        for column, share in enumerate((LARGE, SMALL, SMALL if known else 0)):
            self._grid.setColumnStretch(column, share)
        for row, share in enumerate((SMALL, SMALL, 0, PROFILE if cine else 0)):
            self._grid.setRowStretch(row, share)

    def _draw(self) -> None:
        self._stale = False
        s = self._snapshot
        self._arrange(s)
        for name, panel in self.panels.items():
            shown = None if s is None else getattr(s, name)
            if shown is not None:
                panel.title = shown.title
            panel.set_image(None if shown is None else shown.values, None)
        if s is None:
            return
        known = [shown.values for shown in (s.reconstructed, s.truth) if shown is not None]
        # The first reconstruction of a run is far from what it becomes: the truth gives limits that last.
        self.magnitude.set_images(known, known[-1:])
        if s.error is not None:
            self.error_contrast.set_images([s.error.values])

    def _link(self, moved: ImagePanel) -> None:
        for group in self._linked:
            if moved in group:
                for panel in group:
                    panel.follow(moved)

    def _hover(self, name: str, row: int, column: int) -> None:
        s = self._snapshot
        if s is None or row < 0:
            self.hover_text.emit("")
            return
        if name == "sampled":
            rows, columns = s.sampled.values.shape
            measured = "measured" if s.sampled.values[row, column] > 0 else "not measured"
            self.hover_text.emit(f"k-space ({row - rows // 2:+d}, {column - columns // 2:+d})   {measured}")
            return
        shown = (
            (("reconstructed", s.over_time), ("truth", s.true_over_time))
            if name.endswith("over_time")
            else (("reconstructed", s.reconstructed), ("zero-filled", s.zero_filled), ("truth", s.truth))
        )
        words = [f"{word} {array.values[row, column]:.4f}" for word, array in shown if array is not None]
        if s.error is not None and not name.endswith("over_time"):
            words.append(f"error {s.error.values[row, column] / ERROR_SHOWN:.4f}")
        where = f"frame {row}, row {column}" if name.endswith("over_time") else f"pixel ({row}, {column})"
        self.hover_text.emit("   ".join([where, *words]))
