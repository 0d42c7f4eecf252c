"""Why a command cannot be used now: said in its tooltip."""

from __future__ import annotations

from collections.abc import Mapping

from PyQt6.QtGui import QAction

from ptychoui.gui.shell.commands import OPENING
from ptychoui.gui.shell.report_desk import why_no_report
from ptychoui.session.document import Document
from ptychoui.session.worker import RunState

OF_STACKS = ("reconstruct", "calibrate", "orientation", "frc", "field")
WAITING = ("train", *OF_STACKS, *OPENING, "resume", "undo", "redo", "reset_design")
"""What waits until nothing is active."""
REASONS = {
    "train": "open data with a geometry first",
    **dict.fromkeys(OF_STACKS, "open an LED stack with its geometry first"),
    "save_result": "there is no reconstruction that is not in a file yet",
    "pause": "nothing is going on",
    "stop": "nothing is going on",
    "resume": "open the folder of a run first",
    "export": "open data with a geometry first, or train",
    "reopen": "nothing was open before",
    "undo": "nothing was changed yet",
    "redo": "nothing was taken back",
    "reset_design": "no pattern was changed",
    "array_dark": "no LED array is connected",
}


def why_not(key: str, document: Document, state: RunState) -> str:
    """Why a command that is closed cannot be used: the end of a sentence."""
    if key == "report":
        return why_no_report(document, state.active)
    if key == "stop" and state is RunState.STOPPING:
        return "it is stopping already"
    if key == "resume" and document.history.elsewhere is not None:
        return "another process is at this run"
    if state.active and key in WAITING:
        return "stop what is going on first"
    if key == "pause" and state.active:
        return "what is going on cannot be paused at this moment"
    return REASONS.get(key, "there is nothing it could be used on")


def explain(actions: Mapping[str, QAction], document: Document, state: RunState) -> None:
    """Say in the tooltips of closed commands why they are closed, and take it away from the open ones."""
    for key, action in actions.items():
        tip = str(action.property("tip") or "")
        said = tip if action.isEnabled() else f"{tip}\nNot now: {why_not(key, document, state)}"
        if said != action.toolTip():
            action.setToolTip(said)
