"""Pages for the notebook: what the command Report… writes, and that the browser shows it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ptychoui.gui.shell.messages import Message
from ptychoui.gui.widgets.browser import Browser
from ptychoui.gui.widgets.files import Files
from ptychoui.session.document import Document
from ptychoui.session.lab_report import write_reconstruction_page
from ptychoui.session.origin import data_name
from ptychoui.session.runs import write_report_of

if TYPE_CHECKING:
    from ptychoui.gui.shell.window_commands import WindowCommands

BUSY = "Writing the report…"


def has_run(document: Document) -> bool:
    """Whether there is a run on disk that can be reported on."""
    return document.run_folder is not None and (document.run_folder / "run.json").exists()


def why_no_report(document: Document, active: bool) -> str:
    """Why no report can be written now; empty where one can."""
    if active:
        return "stop what is going on first"
    if has_run(document) or document.reconstruction.report is not None:
        return ""
    return "train or reconstruct first"


def write_report(window: WindowCommands) -> None:
    """Write a page on the reconstruction where that is in front, or on the run, in the background; then show it."""
    document, panels = window.document, window.panels
    found, folder = document.reconstruction.report, document.run_folder
    in_front = panels.tabs.currentWidget() is panels.result
    run = folder if has_run(document) else None
    if found is None and run is None:
        window.show_message(Message("warning", "There is nothing to report on", "train or reconstruct first"))
        return

    def written(path: Path) -> None:
        shown = Browser.show(path)
        window.show_message(
            Message("info", f"Report written to {path}", "" if shown else "open it with a browser of your choice")
        )

    if run is not None and (found is None or not in_front):
        window.controller.desk.submit("report", partial(write_report_of, run), written, BUSY)
        return
    assert found is not None
    data = found.path.name if found.path is not None else data_name(document.dataset) or document.experiment.name
    start = f"{data.partition('.')[0]}-report.html"
    name = Files.to_save(window, "Report of the reconstruction", start, "Page (*.html)")
    if name:
        path = Path(name) if Path(name).suffix.lower() in (".html", ".htm") else Path(name + ".html")
        frc = document.frc.found if found.path is None else None
        work = partial(write_reconstruction_page, path, found, data, frc)
        window.controller.desk.submit("report", work, written, BUSY)
