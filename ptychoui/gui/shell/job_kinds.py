"""The kinds of work that take their time, and what the window does about each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ptychoui.session import design_comparison, stack_run, strategy_race

Task = Literal[
    "training",
    "reconstruction",
    "calibration",
    "orientation",
    "profile",
    "frc",
    "field",
    "strategies",
    "designs",
    "frames",
    "robustness",
    "daily",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKind:
    """One kind.

    Attributes
    ----------
    page
        Page of the result that comes to the front when it begins; empty where none does.
    in_dialog
        Whether a dialog shows it, and why it failed.
    own_status
        Whether the panel of reconstructions has words of its own for how far it is; else it only says that it works.
    apart
        Whether it works on no stack: nothing but its dialog shows it.
    said
        What the status bar says while work goes on that is shown apart.
    remedy
        What is advised when memory runs out: a sentence.
    closing
        What is asked when the window is closed meanwhile: a question of `dialogs`.
    """

    page: str = ""
    in_dialog: bool = False
    own_status: bool = False
    apart: bool = False
    said: str = ""
    remedy: str = stack_run.REMEDY
    closing: str = "CloseReconstructionQuestion"


def _of_designs(said: str) -> JobKind:
    return JobKind(
        in_dialog=True,
        own_status=True,
        apart=True,
        said=said,
        remedy=design_comparison.REMEDY,
        closing="CloseDesignsQuestion",
    )


JOB_KINDS: dict[Task, JobKind] = {
    "training": JobKind(own_status=True, closing="CloseQuestion"),
    "reconstruction": JobKind(page="Object", own_status=True, closing="CloseKeptQuestion"),
    "calibration": JobKind(own_status=True),
    "orientation": JobKind(in_dialog=True),
    "profile": JobKind(in_dialog=True),
    "frc": JobKind(page="Resolution"),
    "field": JobKind(own_status=True, closing="CloseFieldQuestion"),
    "strategies": JobKind(
        in_dialog=True,
        own_status=True,
        apart=True,
        said="Comparing strategies",
        remedy=strategy_race.REMEDY,
        closing="CloseComparisonQuestion",
    ),
    "designs": _of_designs("Comparing designs"),
    "frames": _of_designs("Comparing numbers of frames"),
    "robustness": _of_designs("Trying how a design holds"),
    "daily": JobKind(
        in_dialog=True,
        own_status=True,
        apart=True,
        said="Daily use",
        remedy="record smaller images",
        closing="CloseDailyQuestion",
    ),
}
"""Every kind by its name; all but training and what is shown apart work on a stack."""
