"""Which panel stands where: images in the middle, LEDs and geometry left, run and progress right."""

from __future__ import annotations

from PyQt6.QtCore import QEvent, Qt
from PyQt6.QtGui import QAction
from PyQt6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QDockWidget,
    QLabel,
    QMainWindow,
    QProgressBar,
    QStackedWidget,
    QTabWidget,
    QWidget,
)

from ptychoui.data.dataset import ImageStack
from ptychoui.gui.devices.panel import DevicePanel
from ptychoui.gui.shell.job_kinds import JOB_KINDS, Task
from ptychoui.gui.shell.menus import speak_of_kind
from ptychoui.gui.shell.messages import MessageList, Toast
from ptychoui.gui.shell.welcome import Welcome
from ptychoui.gui.stack.geometry_dock import GeometryPanel
from ptychoui.gui.stack.reconstruct_dock import ReconstructPanel
from ptychoui.gui.stack.result_view import ResultView
from ptychoui.gui.stack.stack_view import StackView
from ptychoui.gui.training.kinds import MICROSCOPE_DOCKS, TrainingView, panels_of
from ptychoui.gui.training.kspace_view import KSpaceView
from ptychoui.gui.training.led_dock import LedPanel
from ptychoui.gui.training.progress_dock import ProgressPanel
from ptychoui.gui.training.run_dock import RunPanel
from ptychoui.gui.training.runs_panel import RunsPanel
from ptychoui.gui.training.training_view import ReconstructionView
from ptychoui.session.document import Document
from ptychoui.session.worker import RunState

LEFT, RIGHT = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea
BOTTOM = Qt.DockWidgetArea.BottomDockWidgetArea
LEAST_ROOM = 36
"""Lines of text that a panel which is asked for should have."""


class Panels:
    """All widgets of a window, made once."""

    def __init__(self, window: QMainWindow, actions: dict[str, QAction]) -> None:
        self._window, self._actions = window, actions
        self._was_active = self._yielded = False
        self.welcome = Welcome(actions)
        self.reconstruction = ReconstructionView()
        self._views: dict[str, TrainingView] = {"fpm": self.reconstruction}
        self.view: TrainingView = self.reconstruction
        self._views_of_kinds = QStackedWidget()
        self._views_of_kinds.addWidget(self.reconstruction)
        self._hidden_for_kind: set[str] = set()
        self.stack = StackView()
        self.k_space = KSpaceView()
        self.result = ResultView(actions["frc"])
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.addTab(self.stack, "Data")
        self.tabs.addTab(self.k_space, "K-space")
        self.tabs.addTab(self.result, "Reconstruction")
        self.tabs.addTab(self._views_of_kinds, "Training")
        self.central = QStackedWidget()
        self.central.addWidget(self.welcome)
        self.central.addWidget(self.tabs)
        window.setCentralWidget(self.central)
        self.leds = LedPanel()
        self.geometry = GeometryPanel()
        self.run = RunPanel(actions)
        self.stack_run = ReconstructPanel(actions)
        self.progress = ProgressPanel()
        self.runs = RunsPanel()
        self.device = DevicePanel()
        self.progress.offer_comparison(actions["designs"])
        self.messages = MessageList()
        self.docks = {
            "leds": self._dock("leds", "LED array", self.leds),
            "geometry": self._dock("geometry", "Geometry", self.geometry),
            "run": self._dock("run", "Training", self.run),
            "reconstruct": self._dock("reconstruct", "Reconstruction", self.stack_run),
            "progress": self._dock("progress", "Progress", self.progress),
            "runs": self._dock("runs", "Runs", self.runs),
            "device": self._dock("device", "Hardware", self.device),
            "messages": self._dock("messages", "Messages", self.messages),
        }
        self.docks["device"].visibilityChanged.connect(self._take_room_back)
        self.toast = Toast(window)
        self.hover, self.state, self.busy_text = QLabel(), QLabel(), QLabel()
        self.busy = QProgressBar()
        self.busy.setRange(0, 0)
        self.busy.setTextVisible(False)
        self.busy.setFixedWidth(8 * window.fontMetrics().averageCharWidth())
        self.busy.setMaximumHeight(window.fontMetrics().height())
        status = window.statusBar()
        if status is not None:
            status.addWidget(self.hover, 1)
            for widget in (self.busy_text, self.busy, self.state):
                status.addPermanentWidget(widget)
        self.show_busy("")
        for view in (self.reconstruction, self.result, self.stack, self.k_space, self.leds):
            view.hover_text.connect(self.say)

    def arrange(self) -> None:
        """Put the panels to where they belong at the first start."""
        window, docks = self._window, self.docks
        window.setDockNestingEnabled(True)
        for corner, area in (
            (Qt.Corner.BottomLeftCorner, LEFT),
            (Qt.Corner.BottomRightCorner, RIGHT),
        ):
            window.setCorner(corner, area)
        for key, area in (
            ("leds", LEFT),
            ("geometry", LEFT),
            ("run", RIGHT),
            ("reconstruct", RIGHT),
            ("progress", RIGHT),
            ("runs", RIGHT),
            ("device", RIGHT),
            ("messages", BOTTOM),
        ):
            docks[key].setFloating(False)
            window.addDockWidget(area, docks[key])
            docks[key].setVisible(key != "messages")
        window.splitDockWidget(docks["leds"], docks["geometry"], Qt.Orientation.Vertical)
        window.splitDockWidget(docks["run"], docks["progress"], Qt.Orientation.Vertical)
        window.tabifyDockWidget(docks["run"], docks["reconstruct"])
        window.tabifyDockWidget(docks["reconstruct"], docks["runs"])
        window.tabifyDockWidget(docks["runs"], docks["device"])
        docks["run"].raise_()
        self.share_out()

    def share_out(self) -> None:
        """Widths and heights of the panels; takes hold once the window has its size."""
        window, docks = self._window, self.docks
        unit = window.fontMetrics().averageCharWidth()
        window.resizeDocks([docks["leds"], docks["run"]], [55 * unit, 54 * unit], Qt.Orientation.Horizontal)
        window.resizeDocks([docks["leds"], docks["geometry"]], [52, 48], Qt.Orientation.Vertical)
        window.resizeDocks([docks["run"], docks["progress"]], [58, 42], Qt.Orientation.Vertical)

    def make_room(self, key: str) -> None:
        """Give a panel of the right side most of its height, if it stands above the progress.

        Where that is little, the progress yields as long as the panel is in front, and nothing runs.
        """
        docks, window = self.docks, self._window
        dock, progress = docks[key], docks["progress"]
        if dock.isFloating() or window.dockWidgetArea(dock) != RIGHT or progress.isHidden():
            return
        room = dock.height() + progress.height() - progress.minimumSizeHint().height()
        if room < LEAST_ROOM * window.fontMetrics().height() and not self._was_active:
            self._yielded = True
            progress.hide()
        else:
            window.resizeDocks([dock, progress], [80, 20], Qt.Orientation.Vertical)

    def _take_room_back(self, in_front: bool) -> None:
        """The progress comes back where it yielded to a panel that is not in front any more."""
        if self._yielded and not in_front:
            self._yielded = False
            self.docks["progress"].show()

    def image_view(self) -> TrainingView | StackView | ResultView | KSpaceView:
        """The view that is in front."""
        front = self.tabs.currentWidget()
        return front if isinstance(front, (StackView, ResultView, KSpaceView)) else self.view

    def show_page(self, document: Document) -> None:
        """Welcome while nothing is open; data in front until there is a reconstruction."""
        opened = document.reconstruction.report
        self._show_kind(document)
        microscope = document.fpm is not None
        nothing = microscope and document.dataset is None and document.history.step == 0 and opened is None
        for page in (self.stack, self.result):
            self.tabs.setTabVisible(self.tabs.indexOf(page), microscope)
        self.tabs.setTabVisible(self.tabs.indexOf(self.k_space), document.k_space is not None)
        if not microscope:
            read = document.k_space is not None and document.history.step == 0
            self.tabs.setCurrentWidget(self.k_space if read else self._views_of_kinds)
        self.central.setCurrentWidget(self.welcome if nothing else self.tabs)
        if document.history.snapshot is None and document.dataset is not None:
            self.tabs.setCurrentWidget(self.stack)
        is_stack = isinstance(document.dataset, ImageStack)
        self.tabs.setTabEnabled(self.tabs.indexOf(self.result), is_stack or opened is not None)
        self.bring_up(is_stack)

    def _show_kind(self, document: Document) -> None:
        """The view of a run and the panels that the kind of experiment has; the others come back with theirs."""
        kind, own = document.experiment.kind, panels_of(document.experiment)
        if kind not in self._views:
            self._views[kind] = own.view()
            self._views[kind].hover_text.connect(self.say)
            self._views_of_kinds.addWidget(self._views[kind])
        self.view = self._views[kind]
        self._views_of_kinds.setCurrentWidget(self.view)
        speak_of_kind(self._actions, own)
        self.progress.use_words(own.words)
        for key in MICROSCOPE_DOCKS:
            dock, toggle = self.docks[key], self.docks[key].toggleViewAction()
            if key not in own.docks and not dock.isHidden():
                self._hidden_for_kind.add(key)
                dock.hide()
            elif key in own.docks and key in self._hidden_for_kind:
                self._hidden_for_kind.discard(key)
                dock.show()
            if toggle is not None:
                toggle.setEnabled(key in own.docks)

    def show_opened_result(self, document: Document) -> None:
        """A reconstruction was read from a file: bring it to the front."""
        self.show_page(document)
        self.bring_up(True)
        self.tabs.setCurrentWidget(self.result)
        self.result.show_page("Object")

    def bring_up(self, reconstruction: bool) -> None:
        """Put the panels for stacks in front, or those for training."""
        self.docks["reconstruct" if reconstruction else "run"].raise_()
        self.progress.turn_to(reconstruction)

    def show_state(self, state: RunState, task: Task = "training") -> None:
        """What is enabled while a run is active; the panel of the other task only waits."""
        training, apart = task == "training", JOB_KINDS[task].apart
        other = RunState.IDLE
        self.run.show_state(state if training else other)
        self.stack_run.show_state(other if training or apart else state, task)
        self.run.form.setEnabled(not state.active)
        self.stack_run.set_editable(not state.active)
        self.leds.set_editable(not state.active)
        self.geometry.set_editable(not state.active)
        said = JOB_KINDS[task].said if state.active else ""
        self.state.setText(said or (self.run if training else self.stack_run).state.text())
        # A run that is quick to begin is never seen starting.
        began, self._was_active = state.active and not self._was_active, state.active
        if began:
            self._take_room_back(False)
        if began and not apart:
            self.central.setCurrentWidget(self.tabs)
            self.bring_up(not training)
            page = JOB_KINDS[task].page
            if training or page:
                self.tabs.setCurrentWidget(self._views_of_kinds if training else self.result)
                self.result.show_page(page or "Object")
            if task == "reconstruction":
                self.result.start_over()

    def show_busy(self, text: str) -> None:
        """Say what is done in the background."""
        self.busy_text.setText(text)
        self.busy_text.setVisible(bool(text))
        self.busy.setVisible(bool(text))

    def say(self, text: str) -> None:
        """One line in the status bar."""
        self.hover.setText(text)

    def use_colours(self, state: RunState, task: Task = "training") -> None:
        """Take the colours of the theme."""
        for view in (
            self.welcome,
            *self._views.values(),
            self.result,
            self.stack,
            self.k_space,
            self.leds,
            self.geometry,
            self.progress,
            self.runs,
            self.device,
        ):
            view.use_colours()
        self.run.use_colours(state if task == "training" else RunState.IDLE)
        on_stack = task != "training" and not JOB_KINDS[task].apart
        self.stack_run.show_state(state if on_stack else RunState.IDLE, task)
        self.toast.use_colours()
        for dock in self.docks.values():
            # Its buttons ask for their size once, and again when the style is another.
            for button in dock.findChildren(QAbstractButton, options=Qt.FindChildOption.FindDirectChildrenOnly):
                QApplication.sendEvent(button, QEvent(QEvent.Type.StyleChange))

    def _dock(self, name: str, title: str, widget: QWidget) -> QDockWidget:
        dock = QDockWidget(title, self._window)
        dock.setObjectName(name)
        dock.setWidget(widget)
        return dock
