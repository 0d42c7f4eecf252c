"""Pictures of states that need no long run: questions, failures, pauses, hardware, daily use, comparisons, help."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ptychoui.paths import sample_data
from ptychoui.session.worker import RunState

if TYPE_CHECKING:
    from PyQt6.QtWidgets import QDialog, QWidget

    from ptychoui.gui.shell.main_window import MainWindow

Until = Callable[[Callable[[], bool]], None]
SIZES: tuple[tuple[int, int], ...] = ((1280, 720), (1920, 1080))
SHORT = {"training.steps": 12, "training.validate_every": 4, "network.unrolls": 6}


class MoreStates:
    """Takes a window through the states, with a picture of each in both sizes and themes.

    Parameters
    ----------
    window, until, shoot
        The window; waits for something; makes a picture (name, widget).
    """

    def __init__(self, window: MainWindow, until: Until, shoot: Callable[..., None]) -> None:
        self._window, self._until, self._shoot = window, until, shoot
        window.resize(*SIZES[0])

    def all(self) -> None:
        """Every state."""
        window = self._window
        self._of_window("welcome")
        self._asked()
        window.show_guide()
        self._of_dialogs("guide")
        window.show_about()
        self._of_dialogs("about")
        self._learning()
        self._hardware()
        self._export()
        self._daily()
        self._comparison()

    def _of_window(self, name: str) -> None:
        for width, height in SIZES:
            self._window.resize(width, height)
            for light in (False, True):
                (self._window.theme_light if light else self._window.theme_dark)()
                self._shoot(f"{name}-{width}{'-light' if light else ''}")
        self._window.theme_dark()
        self._window.resize(*SIZES[0])

    def _of_dialogs(self, name: str) -> None:
        """Every dialog that is open, as large as it opens, and closed afterwards."""
        from PyQt6.QtWidgets import QDialog

        for dialog in self._window.findChildren(QDialog):
            if dialog.isVisible():
                self._both(name, dialog)
                dialog.close()

    def _both(self, name: str, dialog: QWidget) -> None:
        self._shoot(name, dialog)
        self._window.theme_light()
        self._shoot(f"{name}-light", dialog)
        self._window.theme_dark()

    def _idle(self) -> None:
        self._until(lambda: not self._window.controller.state.active and not self._window.controller.jobs.busy)

    def _asked(self) -> None:
        """Images that do not say how they were taken."""
        with tempfile.TemporaryDirectory() as folder:
            bare = Path(folder) / "plain.tif"
            _without_words(sample_data() / "stack.ome.tif", bare)
            self._window.open_path(str(bare))
            self._idle()
            self._of_window("asked")
            self._window.panels.geometry.cancel.click()

    def _learning(self) -> None:
        from PyQt6.QtCore import Qt

        from ptychoui.session.opening import demo_experiment

        window, controller = self._window, self._window.controller
        controller.open_experiment(demo_experiment())
        self._until(lambda: window.document.dataset is not None)
        self._idle()
        for name, value in SHORT.items():
            controller.edit(name, value)
        controller.edit("engine.device", "cuda:9")
        window.train()
        self._until(lambda: not controller.state.active)
        self._of_window("failed")
        controller.edit("engine.device", "cpu")
        window.train()
        self._shoot("preparing-1280")
        self._until(lambda: window.document.history.step >= 4)
        window.pause_or_continue()
        self._until(lambda: controller.state is RunState.PAUSED)
        self._of_window("paused")
        window.stop()
        self._until(lambda: not controller.state.active)
        self._of_window("stopped")
        window.resume()
        self._until(lambda: not controller.state.active)
        window.train_later()
        controller.edit("training.rate", 0.05)
        window.train()
        self._until(lambda: not controller.state.active)
        window.panels.docks["runs"].raise_()
        self._until(lambda: window.panels.runs.list.topLevelItemCount() > 2)
        runs = window.panels.runs.list
        for place in range(runs.topLevelItemCount()):
            item = runs.topLevelItem(place)
            if item is not None and item.flags() & Qt.ItemFlag.ItemIsUserCheckable:
                item.setCheckState(0, Qt.CheckState.Checked)
        self._of_window("runs")

    def _hardware(self) -> None:
        window = self._window
        window.send_to_array()
        panel = window.panels.device
        self._of_window("hardware-none")
        panel.connection.url.setCurrentText("simulate:")
        panel.connection.connect.click()
        self._until(lambda: window.devices.link.state.phase.name in ("DARK", "SHOWING"))
        self._of_window("hardware")
        for page in range(panel.tabs.count()):
            panel.tabs.setCurrentIndex(page)
            self._of_window(f"hardware-{panel.tabs.tabText(page).lower()}")

    def _comparison(self) -> None:
        from ptychoui.gui.compare.compare_dialog import CompareDialog

        window = self._window
        dialog = CompareDialog.open_for(window.controller, window)
        dialog.draws.setValue(1)
        dialog.objects.setValue(1)
        dialog.card.draws.setValue(1)
        self._until(lambda: not window.controller.jobs.busy)
        self._sized("compare-ready", dialog)
        dialog.start()
        self._idle()
        self._sized("compare", dialog)
        dialog.pages.setCurrentWidget(dialog.card)
        if dialog.card.begin.isEnabled():
            self._sized("robustness-ready", dialog)
            dialog.start_card()
            self._until(lambda: bool(dialog.estimate.text()))
            self._sized("robustness-running", dialog)
            window.stop()
            self._idle()
        self._sized("robustness", dialog)
        dialog.close()

    def _sized(self, name: str, dialog: QDialog) -> None:
        for width, height in SIZES:
            dialog.resize(width, height)
            self._both(f"{name}-{width}", dialog)

    def _daily(self) -> None:
        self._window.work_daily()
        self._of_dialogs("daily")

    def _export(self) -> None:
        from ptychoui.gui.training.export_dialog import ExportDialog

        dialog = ExportDialog(self._window.document.patterns(), Path("designs"), self._window)
        dialog.show()
        self._both("export", dialog)
        dialog.close()
        dialog.deleteLater()


def _without_words(stack: Path, bare: Path) -> None:
    """The images of a stack without what it says of its microscope."""
    import tifffile

    try:
        tifffile.imwrite(bare, tifffile.imread(stack))
    except (OSError, ValueError):
        shutil.copy(stack, bare)
