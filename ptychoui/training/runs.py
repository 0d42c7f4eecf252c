"""Runs that begin, and runs that are taken up from their folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ptychoui.errors import RunError
from ptychoui.settings import Experiment
from ptychoui.training.control import RunControl
from ptychoui.training.run_folder import RunFolder
from ptychoui.training.settled import differences
from ptychoui.training.task import AnyTask, build_task
from ptychoui.training.trainer import Trainer


def new_run(
    experiment: Experiment,
    folder: str | Path | None,
    control: RunControl | None = None,
    want_images: Callable[[], bool] = lambda: False,
    tell: Callable[[str], None] = lambda _sentence: None,
    kind: Callable[..., Trainer[AnyTask]] = Trainer,
    ready: Callable[[Trainer[AnyTask]], None] = lambda _trainer: None,
) -> Trainer[AnyTask]:
    """Set up a run; with a folder it is saved there. ``tell`` hears of what takes long.

    ``ready`` is given the trainer before its folder is made, and may refuse it by an error.

    Raises
    ------
    RunError
        If the folder holds a run already or files that no run left.
    """
    if folder is not None:
        RunFolder(Path(folder)).check_free()  # before the data are read, which may take minutes
    control = control or RunControl()
    control.now("reading the data")

    def told(sentence: str) -> None:
        assert control is not None
        control.now(sentence)
        tell(sentence)

    task = build_task(experiment, told, control.checkpoint)
    trainer = kind(task, None, control, want_images)
    ready(trainer)
    if folder is not None:
        trainer.folder = RunFolder.create(folder, task.kept(experiment), task.data_sha256, task.record())
    return trainer


def resume_run(
    folder: str | Path,
    control: RunControl | None = None,
    want_images: Callable[[], bool] = lambda: False,
    changes: Callable[[Experiment], Experiment] = lambda experiment: experiment,
    kind: Callable[..., Trainer[AnyTask]] = Trainer,
    lock: bool = True,
    ready: Callable[[Trainer[AnyTask]], None] = lambda _trainer: None,
) -> Trainer[AnyTask]:
    """Take up a run where its newest whole state left it; without ``lock`` its folder is read and not written to.

    ``ready`` is given the trainer before anything in its folder changes, and may refuse it by an error.

    Raises
    ------
    RunError
        If the folder is no run, is in use, comes from a newer version, or if its data or a settled setting changed.
    """
    run = RunFolder.open(folder, lock=lock)
    try:
        stored = run.settled_experiment()
        experiment = changes(stored)
        if changed := differences(experiment, stored):
            raise RunError(
                f"the run of {run.path} cannot go on: {changed[0]}",
                "leave that as it was, or start a new run in another folder",
            )
        control = control or RunControl()
        task = build_task(experiment, callback=control.checkpoint)
        record = run.record()
        if record.get("data_sha256") != task.data_sha256:
            raise RunError(
                f"the data of {run.path} have changed since the run was started", "restore them or start a new run"
            )
        trainer = kind(task.taken_up(record), run if lock else None, control, want_images)
        saved = run.load()
        if saved is not None:
            trainer.restore(saved)
        ready(trainer)
        if not lock:
            return trainer
        run.keep_events_until(trainer.step if saved is not None else -1)
        trainer.take_up_verdict(run.events())
        if experiment != stored:
            run.write_experiment(experiment)
    except BaseException:
        run.close()
        raise
    return trainer
