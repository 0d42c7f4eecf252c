"""What would be lost with this process: kept while it goes on, dropped once it is saved or given up, offered again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ptychoui.errors import PtychouiError
from ptychoui.session import recovery, stored_report
from ptychoui.session.stack_run import StackReport
from ptychoui.session.unfinished import Kind, Unfinished

if TYPE_CHECKING:
    from ptychoui.gui.shell.controller import Controller


class KeptWork:
    """The unfinished work of one window, by its kind."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._works: dict[str, Unfinished] = {}

    def begin(self, kind: Kind, run_folder: Path | None = None) -> Unfinished | None:
        """Keep word of work that begins; None, after a message, where that cannot be."""
        self.drop(kind)
        document = self._controller.document
        try:
            self._works[kind] = Unfinished.begin(kind, document.experiment, document.path, run_folder)
        except (OSError, PtychouiError) as error:
            self._controller.say("warning", f"The work could not be found again after a crash: {error}")
            return None
        return self._works[kind]

    def drop(self, kind: Kind) -> None:
        """Work of a kind is saved, over or given up."""
        if kind in self._works:
            self._works.pop(kind).drop()

    def give_up(self) -> None:
        """What is open goes; what of it was not saved has been asked for."""
        for kind in (*self._works,):
            self._works.pop(kind).drop()
        recovery.drop_recovery()

    def leave(self) -> None:
        """The window goes; the next start offers what is not saved."""
        for work in self._works.values():
            work.leave()
        self._works.clear()

    @property
    def recovered_result(self) -> Path | None:
        """The file of a reconstruction that another session left behind and that is open here."""
        work = self._works.get("reconstruction")
        return work.result if work is not None and work.taken_up and work.result.exists() else None

    @property
    def has_unsaved_result(self) -> bool:
        """True if a reconstruction would be lost with the document."""
        return self._controller.document.unsaved_result is not None or self.recovered_result is not None

    def result_is_saved(self) -> None:
        """The reconstruction is in a file, or given up."""
        document = self._controller.document
        if (report := document.unsaved_result) is not None:
            document.mark_result_saved(report)
        self.drop("reconstruction")

    def run_is_over(self) -> None:
        """A training is over: say where it is, and write it down beside the experiment that it belongs to."""
        controller, document = self._controller, self._controller.document
        self.drop("training")
        folder = document.run_folder
        if folder is None or not (folder / "run.json").exists():
            return
        self.write_design()
        folder = document.run_folder or folder
        controller.opened.emit(str(folder))
        controller.say("info", f"The run is kept in {folder}", "it is among the recent files")

    def write_design(self, running: bool = False) -> None:
        """Write patterns and run beside the experiment's file, where they belong to what is saved there."""
        document = self._controller.document
        if document.experiment != document.saved_experiment:
            return
        try:
            document.keep_design(running)
        except (OSError, PtychouiError) as error:
            self._controller.say("warning", str(error))

    def take_up(self, work: Unfinished) -> None:
        """Open what another process left behind."""
        controller, document = self._controller, self._controller.document
        if work.kind == "training" and work.run_folder is not None and (work.run_folder / "run.json").exists():
            controller.opened.emit(str(work.run_folder))  # named, whatever becomes of the opening
            controller.open(str(work.run_folder))
            work.drop()
            return
        # Settings that were changed while the work went on, or after it, are newer than those it began with.
        newer = recovery.read_recovery()
        if newer is not None and newer.of_same_data(work.experiment):
            document.mark_recovered(newer)
        elif work.path is None:
            document.mark_recovered(work.experiment)
        else:
            document.replace_experiment(work.experiment, None)
        document.path = work.path
        controller.keep_settings_soon()
        if work.kind == "reconstruction":
            self._works["reconstruction"] = work
        controller.document_changed.emit("all")
        controller.load_data(lambda: self._show(work))
        if work.kind != "reconstruction":
            work.drop()

    def _show(self, work: Unfinished) -> None:
        controller = self._controller

        def show(report: StackReport) -> None:
            controller.document.show_result(report)
            controller.reconstruction_changed.emit()

        if work.kind == "field":
            hint = f"reconstruct the field into {work.run_folder} to go on"
            controller.say("info", "The tiles that were finished are kept", hint)
        elif work.result.exists():
            controller.desk.submit("take up", lambda: stored_report.open_report(work.result), show, "Opening…")
