"""The picture of what a run learns from, drawn into its folder where there is one to be looked at."""

from __future__ import annotations

from pathlib import Path

from ptychoui.tasks.fpm.task import FpmTask
from ptychoui.training.task import AnyTask
from ptychoui.training.trainer import Trainer


def draw_first(run: Trainer[AnyTask]) -> tuple[Path, str] | None:
    """Draw what a measured stack is learned from into the run's folder; None where a task has nothing of the kind.

    Returns
    -------
    The picture's path, and how well what it shows explains the images.

    Raises
    ------
    PtychouiError
        If it cannot be written.
    """
    task = run.task
    if run.folder is None or not isinstance(task, FpmTask) or task.field is None:
        return None
    from ptychoui.export.reconstruction_figures import TRUTH, write_truth
    from ptychoui.tasks.fpm.truth import held_out_from_px, truth_sentence

    path = write_truth(run.folder.path / TRUTH, task.field, held_out_from_px(task))
    return path, truth_sentence(task.field)
