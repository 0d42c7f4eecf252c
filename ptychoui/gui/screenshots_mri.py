"""Pictures of the window with multi-channel MRI, and of strategies side by side, made from short real runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ptychoui.session.worker import RunState
from ptychoui.settings import MriExperiment

if TYPE_CHECKING:
    from PyQt6.QtWidgets import QWidget

    from ptychoui.gui.shell.main_window import MainWindow

Until = Callable[[Callable[[], bool]], None]
SIZES = (((1280, 720), "-small"), ((1440, 900), ""))


def pictures_of_mri(window: MainWindow, until: Until, shoot: Callable[..., None]) -> None:
    """Open k-space, train on simulated heads, and compare strategies; a picture of each state."""
    from ptychoui.gui.training.strategy_dialog import StrategyDialog

    controller = window.controller

    def ended() -> bool:
        return not controller.state.active

    def both(name: str, what: QWidget | None = None) -> None:
        """In both themes."""
        shoot(name, what)
        window.theme_light()
        shoot(f"{name}-light", what)
        window.theme_dark()

    window.open_sample_k_space()
    until(lambda: window.document.k_space is not None and not controller.jobs.busy)
    until(lambda: window.panels.k_space.maps.image is not None)
    both("k-space")
    controller.open_experiment(heads())
    shoot("mri-opened")
    window.train()
    until(lambda: bool(window.document.history.preparing))
    shoot("mri-preparing")
    until(lambda: window.document.history.step >= 12 or ended())
    window.pause_or_continue()
    until(lambda: controller.state is RunState.PAUSED or ended())
    for size, suffix in SIZES:
        window.resize(*size)
        both(f"mri-paused{suffix}")
    window.pause_or_continue()
    until(ended)
    both("mri-finished")
    controller.edit("engine.device", "cuda:9")
    window.train()
    until(ended)
    shoot("mri-failed")
    controller.edit("engine.device", "cpu")
    window.compare_strategies()
    dialog = window.findChild(StrategyDialog)
    assert isinstance(dialog, StrategyDialog)
    dialog.resize(1280, 720)
    shoot("strategies-ready", dialog)
    for unrolls in (8, 16):  # their dots stay
        dialog.steps.setValue(2)
        dialog.unrolls.setValue(unrolls)
        dialog.start()
        until(ended)
    dialog.steps.setValue(20)
    dialog.unrolls.setValue(24)
    dialog.start()
    until(lambda: window.document.race.step >= 5 or ended())
    shoot("strategies-running", dialog)
    until(ended)
    both("strategies", dialog)
    dialog.resize(dialog.minimumSizeHint().expandedTo(dialog.minimumSize()))
    shoot("strategies-small", dialog)
    dialog.close()


def heads() -> MriExperiment:
    """An experiment that takes a minute."""
    tables: dict[str, Any] = {
        "data": {"size": (96, 88), "coils": 6, "examples": 8, "held_out": 2},
        "sampling": {"calibration": 12},
        "network": {"unrolls": 8, "channels": 16},
        "engine": {"device": "cpu"},
        "training": {"steps": 40, "batch": 2, "validate_every": 10},
    }
    return MriExperiment(name="heads", **tables)
