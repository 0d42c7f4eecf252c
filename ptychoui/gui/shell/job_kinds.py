"""The kinds of work that take their time, and what the window does about each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ptychoui.session import stack_run, strategy_race

Task = Literal["training", "reconstruction", "calibration", "orientation", "profile", "frc", "field", "strategies"]


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
    remedy
        What is advised when memory runs out: a sentence.
    closing
        What is asked when the window is closed meanwhile: a question of `dialogs`.
    """

    page: str = ""
    in_dialog: bool = False
    own_status: bool = False
    apart: bool = False
    remedy: str = stack_run.REMEDY
    closing: str = "CloseReconstructionQuestion"


JOB_KINDS: dict[Task, JobKind] = {
    "training": JobKind(own_status=True, closing="CloseQuestion"),
    "reconstruction": JobKind(page="Object", own_status=True, closing="CloseKeptQuestion"),
    "calibration": JobKind(own_status=True),
    "orientation": JobKind(in_dialog=True),
    "profile": JobKind(in_dialog=True),
    "frc": JobKind(page="Resolution"),
    "field": JobKind(own_status=True, closing="CloseFieldQuestion"),
    "strategies": JobKind(
        in_dialog=True, own_status=True, apart=True, remedy=strategy_race.REMEDY, closing="CloseComparisonQuestion"
    ),
}
"""Every kind by its name; all but training and the comparison of strategies work on a stack."""
