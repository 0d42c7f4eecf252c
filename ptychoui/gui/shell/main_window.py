"""The window: panels around the images, and the commands of `commands.COMMANDS` as methods."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from PyQt6.QtCore import QEventLoop, QTimer
from PyQt6.QtGui import QAction, QCloseEvent, QDragEnterEvent, QDropEvent
from PyQt6.QtWidgets import QApplication, QDialog

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.geometry_file import PartialGeometry
from ptychoui.errors import PtychouiError
from ptychoui.gui.devices.desk import DeviceDesk
from ptychoui.gui.shell import dialogs
from ptychoui.gui.shell.commands import OPENING
from ptychoui.gui.shell.controller import Controller
from ptychoui.gui.shell.dialogs import RecoveryQuestion, UnfinishedQuestion
from ptychoui.gui.shell.job_kinds import JOB_KINDS
from ptychoui.gui.shell.menus import make_actions, make_menus, make_toolbar
from ptychoui.gui.shell.messages import Message
from ptychoui.gui.shell.panels import Panels
from ptychoui.gui.shell.report_desk import has_run, why_no_report
from ptychoui.gui.shell.runs_desk import RunsDesk
from ptychoui.gui.shell.way_desk import WayDesk
from ptychoui.gui.shell.why_not import explain
from ptychoui.gui.shell.window_look import WindowLook
from ptychoui.gui.stack.axes_dialog import AxesDialog
from ptychoui.gui.widgets.contrast_bar import ContrastBar
from ptychoui.gui.widgets.notices import notices
from ptychoui.gui.widgets.number_boxes import commit_typing
from ptychoui.session import recovery
from ptychoui.session.assessment import Assessment
from ptychoui.session.failures import OUT_OF_MEMORY
from ptychoui.session.opening import AxesWanted, GeometryWanted
from ptychoui.session.preferences import Preferences, newest_first, save_preferences
from ptychoui.session.stack_plan import USUAL_SIZE_PX
from ptychoui.session.stack_run import ObjectPicture, StackReport
from ptychoui.session.unfinished import left_behind
from ptychoui.session.worker import RunState
from ptychoui.tasks.fpm.events import PatternSnapshot
from ptychoui.training.events import Failed, Picture, Snapshot

JOIN_S = 30.0


class MainWindow(WindowLook):
    """Everything a person sees.

    Parameters
    ----------
    preferences
        What the person likes.
    """

    def __init__(self, preferences: Preferences | None = None) -> None:
        super().__init__()
        self.preferences = preferences or Preferences()
        self.controller = Controller(self)
        self.setAcceptDrops(True)
        self.setObjectName("main")
        self.actions_by_key: dict[str, QAction] = make_actions(self)
        self.panels = Panels(self, self.actions_by_key)
        self.filled_menus = make_menus(self, self.actions_by_key)
        self.toolbar = make_toolbar(self, self.actions_by_key)
        p = self.panels
        self.runs_desk = RunsDesk(
            self.controller, p.runs, p.progress, lambda: self.preferences.recent, self.may_replace
        )
        self.way = WayDesk(self, self.controller, p, self.actions_by_key)
        self.devices = DeviceDesk(self.controller, p.device, self.controller.desk.submit, parent=self)
        self._has_last = False  # whether a recent file is there: asked when the list is new, for disks are slow
        self._join()
        self._fill_menus()
        self.actions_by_key["led_numbers"].setChecked(self.preferences.show_led_numbers)
        self._shown_report: StackReport | None = None
        self.restore_layout()
        self._show_document("all")
        self._show_state(RunState.IDLE)
        self.controller.bridge.start()

    def _join(self) -> None:
        c, p = self.controller, self.panels
        c.document_changed.connect(self._show_document)
        c.run_changed.connect(self._show_run)
        c.reconstruction_changed.connect(self._show_reconstruction)
        c.maps_found.connect(p.k_space.show_maps)
        p.k_space.example_wanted.connect(c.show_k_space)
        c.forecast.connect(p.stack_run.show_forecast)
        c.pictured.connect(self._show_picture)
        c.state_changed.connect(self._show_state)
        c.assessed.connect(self._show_assessment)
        c.said.connect(lambda *parts: self.show_message(Message(*parts)))
        c.axes_wanted.connect(self._ask_axes)
        c.warned.connect(p.geometry.show_image_warnings)
        c.geometry_wanted.connect(self._ask_geometry)
        c.failed.connect(self._offer_remedy)
        c.opened.connect(self.remember)
        c.desk.busy_changed.connect(p.show_busy)
        c.doing_changed.connect(self._say_headline)
        p.geometry.geometry_edited.connect(c.edit_geometry)
        p.geometry.preset_chosen.connect(c.open)
        p.geometry.half_chosen.connect(lambda preset: c.use_half(preset, p.geometry.draft))
        c.half_taken.connect(p.geometry.show_chosen)
        p.geometry.answered.connect(self._open_answered)
        p.geometry.cancel.clicked.connect(c.forget_question)
        p.run.edited.connect(self._edited)
        p.stack_run.calibration_taken.connect(c.take_calibration)
        p.stack_run.edited.connect(lambda name, value: p.stack_run.set_error(name, c.edit_plan(name, value)))
        p.result.closed.connect(c.close_result)
        p.result.layout_taken.connect(c.take_layout)
        p.result.tile_chosen.connect(c.show_tile)
        p.leds.join(c)
        p.leds.led_clicked.connect(p.stack.show_led)
        p.stack.led_shown.connect(p.leds.mark_number)
        p.toast.details_asked.connect(self._show_details)
        notices().told.connect(self.tell)
        c.document_changed.connect(self.devices.show_document)
        c.bridge.tick.connect(self.devices.look)
        self.devices.sent.connect(self.way.mark_sent)
        self.devices.used.connect(self._remember_array)
        p.device.connection.show_used(self.preferences.array_urls)
        for bar in self.findChildren(ContrastBar):
            for limit in (bar.low_box, bar.high_box):
                limit.refused.connect(self._say_refusal)
        for count in (p.stack.number, p.result.tile):
            count.refused.connect(self._say_refusal)

    def tell(self, level: str, text: str, hint: str) -> None:
        """Show what a widget has to say."""
        self.show_message(Message(level, text, hint))

    def _say_refusal(self, why: str) -> None:
        """A box without a line below it refused what was typed."""
        if why:
            self.show_message(Message("warning", why))

    # Showing ---------------------------------------------------------------------------------------------

    def _show_document(self, what: str) -> None:
        document, panels = self.document, self.panels
        panels.leds.show_design(document)
        if what != "design":
            panels.result.show_origin(document.origin, document.of_another_geometry)
            panels.result.offer_layout(document.suggested_layout)
            panels.geometry.show_document(document, document.geometry_before, new=what == "all")
            panels.run.show_document(document)
            panels.stack_run.show_document(document)
            panels.stack.set_data(document.dataset, document.geometry, document.leds())
            panels.k_space.show_example(document.k_space)
        if what == "all":
            panels.toast.let_go_of_errors()
            panels.show_page(document)
            panels.view.start_over()
            panels.view.show_run(document.history)
            panels.view.show_snapshot(document.history.snapshot)
            panels.stack_run.show_forecast("")
            panels.result.start_over()
            panels.result.show_report(document.reconstruction.report)
            panels.result.show_origin(document.origin, document.of_another_geometry)
            self._shown_report = document.reconstruction.report
            self._show_run()
            self._show_reconstruction()
        self.show_title()
        self._enable()

    def _show_run(self) -> None:
        history = self.document.history
        if history.started is None and history.snapshot is None:
            self.panels.view.start_over()
        self.panels.view.show_run(history)
        self.panels.run.show_history(history, self.controller.state)
        self._say_headline()
        self.panels.progress.show_history(history)
        self.show_title()
        self._enable()

    def _say_headline(self) -> None:
        """In the status bar, what a run of training is at."""
        if self.controller.task == "training":
            self.panels.run.show_doing(self.controller.state, self.controller.doing[0])
            self.panels.state.setText(
                self.panels.run.headline(self.document.history, self.controller.state, *self.controller.doing)
            )

    def _show_reconstruction(self) -> None:
        history, state, panels = self.document.reconstruction, self.controller.state, self.panels
        task, active = self.controller.task, self.controller.state.active
        panels.stack_run.show_history(history, RunState.IDLE if task != "reconstruction" and active else state)
        panels.stack_run.show_calibration(self.document.calibration, task == "calibration" and active)
        if task == "field" and active:
            panels.stack_run.show_field(self.document.field)
        elif active and not JOB_KINDS[task].own_status:
            panels.stack_run.status.show_busy()
        panels.progress.show_reconstruction(history)
        panels.result.show_origin(self.document.origin, self.document.of_another_geometry)
        told = not (active and task == "reconstruction")
        panels.result.show_warnings(told)
        panels.result.offer_layout(self.document.suggested_layout if told else None)
        panels.result.frc.show_history(self.document.frc, self.controller.state if task == "frc" else None)
        if history.report is not self._shown_report:
            before, self._shown_report = self._shown_report, history.report
            panels.result.show_report(history.report)
            if (
                history.report is not None
                and history.report.path is not None
                and (before is None or before.stored is not history.report.stored)
            ):
                panels.show_opened_result(self.document)
            elif history.report is None and not active:
                panels.show_page(self.document)
        elif task == "reconstruction" and active and history.begun is not None and history.last_pass is not None:
            panels.result.show_progress(f"pass {history.last_pass.step} of {history.begun.passes}")
        self._enable()

    def _show_picture(self, shown: Picture) -> None:
        if isinstance(shown, ObjectPicture):
            self.panels.result.show_picture(shown)
            return
        if not isinstance(shown, Snapshot):
            self.panels.view.show_run(self.document.history)
            return
        self.panels.view.show_snapshot(shown)
        if self.controller.state.active and isinstance(shown, PatternSnapshot):
            self.panels.leds.show_levels(shown.levels, shown.exposures)

    def _show_state(self, state: RunState) -> None:
        task = self.controller.task
        if state is RunState.STARTING:
            self.panels.toast.let_go()  # it was about what was before
        self.panels.show_state(state, task)
        self.panels.run.show_history(self.document.history, state if task == "training" else RunState.IDLE)
        self._say_headline()
        self.show_title()
        if task != "training":
            self._show_reconstruction()
        self._enable()

    def _show_assessment(self, assessment: Assessment) -> None:
        self.panels.geometry.show_assessment(assessment)
        if assessment.feasibility is not None and not self.controller.state.active:
            self.panels.run.show_feasibility(assessment.feasibility.line(), assessment.feasibility.warnings)

    def _offer_remedy(self, failed: Failed) -> None:
        """One click for the way out when memory has run out."""
        experiment, toast, edit = self.document.experiment, self.panels.toast, self.controller.edit
        panel = self.panels.run if self.controller.task == "training" else self.panels.stack_run
        if not JOB_KINDS[self.controller.task].in_dialog:
            panel.status.say_why(failed.message, failed.hint)
        if failed.kind != OUT_OF_MEMORY or JOB_KINDS[self.controller.task].apart:
            return
        if self.controller.task != "training":
            begun = self.document.reconstruction.begun
            size = (begun.size_px if begun is not None else USUAL_SIZE_PX) // 2
            toast.offer("Halve the square", lambda: self._edit_plan("size_px", max(16, size)))
            return
        exact = getattr(getattr(experiment, "network", None), "update", "") == "heavy_ball"
        if experiment.engine.strategy != "reversible" and exact:
            toast.offer("Use reversible", lambda: edit("engine.strategy", "reversible"))
        elif (batch := experiment.training.batch) > 1:
            toast.offer("Halve the batch", lambda: edit("training.batch", batch // 2))

    def _edit_plan(self, name: str, value: object) -> None:
        self.controller.edit_plan(name, value)
        self.panels.stack_run.show_document(self.document)

    def _ask_geometry(self, wanted: GeometryWanted) -> None:
        """Data without a geometry: the form asks for what they do not state."""
        dock, form = self.panels.docks["geometry"], self.panels.geometry
        form.ask(wanted, self.document.geometry or self.document.geometry_before)
        dock.show()
        dock.raise_()
        self.panels.toast.offer("Open with the form", form.answer)

    def _ask_axes(self, wanted: AxesWanted) -> None:
        """Images along several axes: a dialog asks for what their file does not state."""
        dialog = AxesDialog(wanted, self)
        dialog.answered.connect(self._open_answered)
        dialog.open()

    def _open_answered(self, path: str, given: PartialGeometry) -> None:
        self.controller.answer(path, given, self.may_replace)

    def _show_details(self) -> None:
        dock = self.panels.docks["messages"]
        dock.show()
        dock.raise_()
        self.panels.messages.show_last()

    def _enable(self) -> None:
        """Derive what can be done from the state and the document."""
        state, document, a = self.controller.state, self.document, self.actions_by_key
        report = document.reconstruction.report
        idle = not state.active
        a["train"].setEnabled(idle and document.trainable)
        is_stack = isinstance(document.dataset, ImageStack) and document.geometry is not None
        a["reconstruct"].setEnabled(idle and is_stack)
        for key in ("calibrate", "orientation", "frc", "field"):
            a[key].setEnabled(idle and is_stack)
        recovered = self.controller.kept.recovered_result is not None
        a["save_result"].setEnabled(recovered or (report is not None and report.stored is None))
        a["pause"].setEnabled(state in (RunState.RUNNING, RunState.PAUSING, RunState.PAUSED))
        waiting = state in (RunState.PAUSED, RunState.PAUSING)
        a["pause"].setText("&Continue" if waiting else "&Pause")
        a["pause"].setIconText("Continue" if waiting else "Pause")
        a["stop"].setEnabled(state.active and state is not RunState.STOPPING)
        a["stop"].setIconText("Stopping…" if state is RunState.STOPPING else "Stop")
        run = has_run(document)
        a["resume"].setEnabled(idle and run and document.history.elsewhere is None)
        a["report"].setEnabled(not why_no_report(document, state.active))
        learned = document.history.result is not None or (idle and run and document.fpm is None)
        a["export"].setEnabled(document.geometry is not None or learned)
        for key in OPENING:
            a[key].setEnabled(idle and (key != "reopen" or self._has_last))
        a["undo"].setEnabled(idle and bool(document.undo_label))
        a["redo"].setEnabled(idle and bool(document.redo_label))
        a["undo"].setText(f"&Undo {document.undo_label}".rstrip())
        a["redo"].setText(f"&Redo {document.redo_label}".rstrip())
        for key, text in (("undo", "Undo"), ("redo", "Redo")):
            a[key].setIconText(text)
        a["reset_design"].setEnabled(idle and document.changed_design[0] is not None)
        explain(a, document, state)

    def remember(self, path: str) -> None:
        """Put a path at the head of the recent files."""
        self.preferences = self.preferences.with_recent(path)
        save_preferences(self.preferences)  # now: a process that is killed saves nothing
        self._fill_menus()

    def _remember_array(self, url: str) -> None:
        """An array was opened: offer its URL again."""
        self.prefer(array_urls=newest_first(url, self.preferences.array_urls))
        save_preferences(self.preferences)
        self.panels.device.connection.show_used(self.preferences.array_urls)

    def offer_recovery(self) -> bool:
        """Once at the start: offer what the last session left behind; True if something was taken up."""
        taken = False
        for work in left_behind():
            answer = "later" if taken else UnfinishedQuestion.ask(self, work.sentence)
            if answer == "take":
                taken = True
                self.controller.kept.take_up(work)
            elif answer == "drop":
                work.drop()
            else:
                work.leave()
        if taken:
            return True
        found = recovery.read_recovery()
        if found is None:
            return False
        if not RecoveryQuestion.ask(self):
            recovery.drop_recovery()
            return False
        self.document.mark_recovered(found)
        self._show_document("all")
        self.controller.load_data()
        return True

    def _fill_menus(self) -> None:
        recent = self.filled_menus.get("@recent")
        if recent is not None:
            recent.clear()
            for path in self.preferences.recent:
                action = recent.addAction(path)
                if action is not None:
                    action.setEnabled(Path(path).exists())
                    action.triggered.connect(lambda _=False, path=path: self.open_path(path))
            recent.setEnabled(bool(self.preferences.recent))
            self._has_last = bool(self.last_opened)
            self.actions_by_key["reopen"].setEnabled(self._has_last and not self.controller.state.active)
        panels = self.filled_menus.get("@docks")
        if panels is not None and not panels.actions():
            for dock in self.panels.docks.values():
                panels.addAction(dock.toggleViewAction())

    def _edited(self, name: str, value: object) -> None:
        self.panels.run.set_error(name, self.controller.edit(name, value))

    # Drag and drop, closing ------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Say what a drop would do."""
        data = event.mimeData() if event is not None else None
        if event is not None and data is not None and data.hasUrls() and not self.controller.state.active:
            event.acceptProposedAction()
            self.panels.say(f"Drop to open {Path(data.urls()[0].toLocalFile()).name}")

    def dragLeaveEvent(self, event: object) -> None:
        """Forget the drop."""
        self.panels.say("")

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Open what was dropped."""
        data = event.mimeData() if event is not None else None
        if event is not None and data is not None and data.hasUrls():
            event.acceptProposedAction()
            self.panels.say("")
            path = data.urls()[0].toLocalFile()
            # Not from inside the drop: a question would block the other program.
            QTimer.singleShot(0, lambda: self.open_path(path))

    def _wait_for_the_run(self) -> None:
        """Let the run save itself while the window goes on being drawn; nothing can be clicked meanwhile."""
        self.panels.show_busy("Stopping and saving…")
        self.setEnabled(False)
        end = time.monotonic() + JOIN_S
        while not self.controller.worker.join(0.03) and time.monotonic() < end:
            QApplication.processEvents(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)

    def closeEvent(self, event: QCloseEvent | None) -> None:
        """Ask while a run is active, then stop, wait, save and go."""
        if event is None:
            return
        commit_typing()
        decided = False  # whether a person said what becomes of unsaved settings
        if self.controller.state.active:
            answer = getattr(dialogs, JOB_KINDS[self.controller.task].closing).ask(self)
            if answer != "save":
                event.ignore()
                if answer == "keep":
                    self.showMinimized()
                return
            self.controller.stop()
        elif not self.may_replace():
            event.ignore()
            return
        else:
            decided = True
        if not self.devices.close(self):
            event.ignore()
            return
        for dialog in self.findChildren(QDialog):
            dialog.close()
        self._wait_for_the_run()
        self.controller.shut_down(JOIN_S)
        self.prefer(
            window_geometry=bytes(self.saveGeometry().toBase64().data()).decode(),
            window_layout=bytes(self.saveState().toBase64().data()).decode(),
        )
        save_preferences(self.preferences)
        if self.document.dirty and not decided:
            with contextlib.suppress(PtychouiError, OSError):
                self.document.write_recovery()
        else:
            recovery.drop_recovery()
        event.accept()
