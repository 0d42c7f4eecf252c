"""The commands of `commands.COMMANDS` as methods of the window."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from PyQt6.QtCore import QByteArray
from PyQt6.QtWidgets import QMainWindow

from ptychoui.data.dataset import ImageStack
from ptychoui.data.files import check_parent, write_atomic
from ptychoui.errors import PtychouiError
from ptychoui.gui.devices.desk import DeviceDesk
from ptychoui.gui.shell.about_box import AboutBox
from ptychoui.gui.shell.controller import Controller
from ptychoui.gui.shell.dialogs import ResultQuestion, ShortcutList, UnsavedQuestion, UntakenQuestion
from ptychoui.gui.shell.guide import Guide
from ptychoui.gui.shell.messages import Message
from ptychoui.gui.shell.panels import Panels
from ptychoui.gui.shell.report_desk import write_report
from ptychoui.gui.shell.runs_desk import RunsDesk
from ptychoui.gui.shell.way_desk import WayDesk
from ptychoui.gui.widgets.files import Files
from ptychoui.paths import sample_data
from ptychoui.session.document import Document
from ptychoui.session.in_the_window import for_window
from ptychoui.session.opening import mri_example
from ptychoui.session.origin import data_name
from ptychoui.session.preferences import Preferences
from ptychoui.session.problem_report import write_problem_report
from ptychoui.session.runs import learned_in
from ptychoui.session.stack_run import save_report
from ptychoui.training.results import LearnedArrays


class WindowCommands(QMainWindow):
    """What menus, toolbar and shortcuts do; the window fills in what they work on."""

    controller: Controller
    panels: Panels
    preferences: Preferences
    runs_desk: RunsDesk
    way: WayDesk
    devices: DeviceDesk
    default_layout: QByteArray

    @property
    def document(self) -> Document:
        """What the window shows."""
        return self.controller.document

    def show_message(self, message: Message) -> None:
        """Show a message over the window and keep it in the list; it names buttons where others would name commands."""
        message = replace(message, text=for_window(message.text), hint=for_window(message.hint))
        self.panels.messages.add(message)
        if message.level != "quiet":
            self.panels.toast.show_message(message)

    def prefer(self, **changes: Any) -> None:
        """Change preferences."""
        self.preferences = self.preferences.model_copy(update=changes)

    def may_replace(self) -> bool:
        """Ask what becomes of a geometry nobody took, of unsaved settings and of an unsaved reconstruction.

        True if they may go.
        """
        if not self._may_lose_measured():
            return False
        if self.document.dirty:
            answer = UnsavedQuestion.ask(self)
            if not (answer == "discard" or (answer == "save" and self.save())):
                return False
        return self.may_lose_result()

    def _may_lose_measured(self) -> bool:
        """Ask what becomes of a calibration, or of a layout that was found, that nobody took; True if it may go."""
        untaken = self.controller.untaken
        if untaken is None:
            return True
        what, geometry, label = untaken
        answer = UntakenQuestion.ask(self, what)
        if answer == "take":
            return self.controller.take_geometry(geometry, label)
        if answer == "discard":
            self.controller.forget_measured()
        return answer == "discard"

    def may_lose_result(self) -> bool:
        """Ask what becomes of a reconstruction that is in no file yet; True if it may go."""
        if not self.controller.kept.has_unsaved_result:
            return True
        answer = ResultQuestion.ask(self)
        if answer == "save":
            return self._save_result(at_once=True)
        if answer == "discard":
            self.controller.kept.result_is_saved()
        return answer == "discard"

    def remember(self, path: str) -> None:
        """Put a path at the head of the recent files."""
        raise NotImplementedError

    def show_title(self) -> None:
        """Name the document in the title bar, and what is going on: all that one sees of a minimised window."""
        document = self.document
        name = document.path.name if document.path else document.experiment.name
        data = data_name(document.dataset) if document.k_space is None else document.k_space.file_name
        doing = ""
        if self.controller.state.active:
            history = document.history
            far = history.started is not None and self.controller.task == "training" and history.step
            doing = f"{self.panels.state.text().partition(':')[0]}{f' {history.step}' if far else ''} – "
        self.setWindowTitle(f"{doing}{name}[*] – {data} – ptychoui" if data else f"{doing}{name}[*] – ptychoui")
        self.setWindowModified(document.dirty)

    def open_path(self, path: str) -> None:
        """Open whatever is there; unsaved settings are asked for once it is known that they would go."""
        self.controller.open(path, may_replace=self.may_replace)

    def choose_file(self) -> None:
        """Open a file."""
        if name := Files.to_open(self):
            self.open_path(name)

    def choose_folder(self) -> None:
        """Open a folder."""
        if name := Files.folder_to_open(self):
            self.open_path(name)

    @property
    def last_opened(self) -> str:
        """The newest of the recent files that is still there, or nothing."""
        return next((path for path in self.preferences.recent if Path(path).exists()), "")

    def reopen_last(self) -> None:
        """Open again what was open last."""
        if path := self.last_opened:
            self.open_path(path)

    def open_sample_stack(self) -> None:
        """Open the sample stack."""
        if self.may_replace():
            self.controller.open_sample("sample:stack")

    def open_sample_objects(self) -> None:
        """Open the sample objects."""
        if self.may_replace():
            self.controller.open_sample("sample:objects")

    def start_demo(self) -> None:
        """Play the demonstration in a screen of its own; what is open here stays as it is."""
        from ptychoui.gui.demo.beside import play_beside

        play_beside(self)

    def open_sample_k_space(self) -> None:
        """Open the sample of k-space."""
        self.open_path(str(sample_data() / "heads.kspace.h5"))

    def open_mri_example(self) -> None:
        """Open the example of multi-channel MRI."""
        if self.may_replace():
            self.controller.open_example(mri_example)

    def save(self) -> bool:
        """Save the experiment; asks for a name if it has none."""
        return self._save(self.document.path) if self.document.path else self.save_as()

    def save_as(self) -> bool:
        """Save the experiment under another name."""
        start = str(self.document.path or f"{self.document.experiment.name}.toml")
        name = Files.to_save(self, "Save experiment", start, "Experiment (*.toml)")
        return self._save(Path(name)) if name else False

    def _save(self, path: Path) -> bool:
        try:
            saved = self.document.save(path, self.controller.state.active)
        except PtychouiError as error:
            self.show_message(Message("error", error.message, error.hint))
            return False
        self.remember(str(saved))
        self.show_title()
        return True

    def _export_arrays(self, result: LearnedArrays) -> None:
        from ptychoui.export.results import ARRAY_FORMATS, export_result

        kinds = ";;".join(f"{name.upper()} (*.{name})" for name in ARRAY_FORMATS)
        name = Files.to_save(self, "Export what was learned", f"{result.name}.{ARRAY_FORMATS[0]}", kinds)
        if not name:
            return
        path = Path(name)

        def write() -> Any:
            check_parent(path)
            return export_result(result, path.suffix.removeprefix(".").lower(), path)

        def done(exported: Any) -> None:
            self.way.mark_exported()
            self.show_message(Message("info", f"Written to {exported.paths[0]}"))

        self.controller.desk.submit("export", write, done, "Exporting…")

    def export(self) -> None:
        """Export the patterns."""
        from ptychoui.export.formats import export_patterns
        from ptychoui.gui.training.export_dialog import ExportDialog

        result, folder = self.document.history.result, self.document.run_folder
        if isinstance(result, LearnedArrays):
            self._export_arrays(result)
            return
        if self.document.fpm is None and folder is not None:
            # A run that was opened: what it learned lies in its folder.
            read = partial(learned_in, folder)
            self.controller.desk.submit("result", read, self._export_arrays, "Reading the run…")
            return
        try:
            patterns = self.document.patterns()
        except PtychouiError as error:
            self.show_message(Message("error", error.message, error.hint))
            return
        folder = self.document.path.parent if self.document.path else Path.cwd()
        choice = ExportDialog.ask(patterns, folder, self)
        if choice is None:
            return

        def write() -> Any:
            check_parent(choice.path)
            return export_patterns(patterns, choice.to, choice.path, bits=choice.bits, frame_ms=choice.frame_ms)

        def done(exported: Any) -> None:
            self.way.mark_exported()
            where = exported.paths[0] if exported.paths else choice.path
            notes = ". ".join(note[:1].upper() + note[1:] for note in exported.notes)
            self.show_message(Message("info", f"Patterns written to {where}", notes))
            self.panels.toast.offer("Send to the array", self.send_to_array)

        self.controller.desk.submit("export", write, done)

    def send_to_array(self) -> None:
        """Bring the panel of the real array to the front."""
        self.way.show_panel("array")
        self.panels.make_room("device")

    def array_dark(self) -> None:
        """Make the array dark."""
        self.devices.dark()

    def undo(self) -> None:
        """Take back the last edit."""
        self.controller.undo()

    def redo(self) -> None:
        """Do it again."""
        self.controller.redo()

    def reset_design(self) -> None:
        """Go back to the start of the settings."""
        self.controller.reset_design()

    def train(self) -> None:
        """Start a run."""
        self.controller.train()

    def train_later(self) -> None:
        """Put the open experiment into the queue."""
        self.runs_desk.train_later()

    def reconstruct(self) -> None:
        """Reconstruct the open stack."""
        if self.controller.state.active or self.may_lose_result():
            self.controller.reconstruct()

    def full_field(self) -> None:
        """Reconstruct all of the images in tiles; the same file name goes on with what was stopped."""
        if not isinstance(self.document.dataset, ImageStack) or self.controller.state.active:
            self.show_message(
                Message("warning", "There is no LED stack to work on", "open one, with one image per LED")
            )
            return
        name = Path(self.document.data_source.path.replace(":", "-")).stem
        start = f"{name}.field.h5"
        if name := Files.to_save(self, "Reconstruct the full field into", start, "Reconstruction (*.h5)"):
            self.controller.reconstruct_field(Path(name))

    def calibrate(self) -> None:
        """Find the array's pose from the stack."""
        self.controller.calibrate()

    def test_orientation(self) -> None:
        """Rank the orientations of the array's axes."""
        from ptychoui.gui.stack.orientation_dialog import OrientationDialog

        OrientationDialog.start(self.controller, self)

    def measure_profile(self) -> None:
        """Guide through the measurement of a microscope's profile."""
        from ptychoui.gui.stack.profile_guide import ProfileGuide

        ProfileGuide.start(self.controller, self)

    def compare_designs(self) -> None:
        """Patterns side by side on the open experiment."""
        from ptychoui.gui.compare.compare_dialog import CompareDialog

        CompareDialog.open_for(self.controller, self)

    def compare_strategies(self) -> None:
        """Gradient strategies side by side on the open experiment."""
        from ptychoui.gui.training.strategy_dialog import StrategyDialog

        StrategyDialog.open_for(self.controller, self)

    def work_daily(self) -> None:
        """A design and images of it give phase, set after set."""
        from ptychoui.gui.stack.daily_dialog import DailyDialog

        DailyDialog.open_for(self.controller, self)

    def compare_halves(self) -> None:
        """Fourier ring correlation of two halves of the LEDs."""
        self.controller.compare_halves()

    def save_result(self) -> None:
        """Write the reconstruction to a file."""
        self._save_result()

    def _save_result(self, at_once: bool = False) -> bool:
        """Write the reconstruction; False if it was not, or will be in the background."""
        controller, document = self.controller, self.document
        report, stack, kept = document.own_report, document.dataset, controller.kept.recovered_result
        if kept is None and (report is None or report.stored is not None or not isinstance(stack, ImageStack)):
            self.show_message(Message("warning", "There is no reconstruction to save", "reconstruct a stack first"))
            return False
        start = f"{document.experiment.name}.reconstruction.h5"
        name = Files.to_save(self, "Save reconstruction", start, "Reconstruction (*.h5)")
        if not name:
            return False

        def write() -> Path:
            if kept is not None:
                return write_atomic(name, kept.read_bytes())
            assert report is not None and isinstance(stack, ImageStack)
            return save_report(name, report, stack)

        def done(path: Path) -> None:
            controller.kept.result_is_saved()
            self.remember(str(path))
            self.show_message(Message("info", f"Reconstruction written to {path}"))

        if not at_once:
            controller.desk.submit("save result", write, done, "Saving the reconstruction…")
            return False
        try:
            done(write())
        except (PtychouiError, OSError) as error:
            message, hint = (error.message, error.hint) if isinstance(error, PtychouiError) else (str(error), "")
            self.show_message(Message("error", message, hint))
            return False
        return True

    def pause_or_continue(self) -> None:
        """Pause a running run, or let a paused one go on."""
        self.controller.pause_or_continue()

    def stop(self) -> None:
        """End the run."""
        self.controller.stop()

    def resume(self) -> None:
        """Take up the run of the run folder."""
        self.controller.resume_run()

    def write_report(self) -> None:
        """Write a page on the reconstruction that is in front, else on the run, and open it."""
        write_report(self)

    def fit_images(self) -> None:
        """Show whole images."""
        self.panels.image_view().fit()

    def actual_size(self) -> None:
        """One image pixel on one screen pixel."""
        self.panels.image_view().actual_size()

    def auto_contrast(self) -> None:
        """Percentile limits for the images shown."""
        self.panels.image_view().auto_contrast()

    def show_led_numbers(self, shown: bool) -> None:
        """Show numbers beside the LEDs."""
        self.panels.leds.plot.show_numbers(shown)
        self.prefer(show_led_numbers=shown)

    def show_shortcuts(self) -> None:
        """List all shortcuts."""
        ShortcutList.show_list(self)

    def show_guide(self) -> None:
        """Every step of the way in a sentence."""
        Guide.open_for(self.way, self)

    def report_problem(self) -> None:
        """Collect what somebody who mends the program needs."""
        name = Files.to_save(self, "Report a problem", "ptychoui-problem.zip", "ZIP (*.zip)")
        if not name:
            return
        path, experiment = Path(name), self.document.experiment
        messages = self.panels.messages.texts()
        screen = self.screen()
        size = "" if screen is None else f"{screen.size().width()} x {screen.size().height()}, scale "
        size += f"{self.devicePixelRatioF():g}, window {self.width()} x {self.height()}"

        def done(written: Path) -> None:
            hint = "versions, settings, messages and logs without names of folders: look before you send it"
            self.show_message(Message("info", f"Written to {written}", hint))

        self.controller.desk.submit(
            "problem", lambda: write_problem_report(path, experiment, messages, size), done, "Collecting…"
        )

    def show_about(self) -> None:
        """Say what this is, without stopping anything."""
        AboutBox.show_box(self)
