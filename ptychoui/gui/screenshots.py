"""Pictures of the window in every state, made from a short real run: ``python -m ptychoui.gui.screenshots FOLDER``."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ptychoui.errors import PtychouiError

LONGEST_S = 300.0


def make(folder: Path) -> list[Path]:
    """Write one PNG per state and return their paths."""
    from PyQt6.QtWidgets import QApplication

    from ptychoui.gui import app as application
    from ptychoui.gui import theme
    from ptychoui.gui.main_window import MainWindow
    from ptychoui.session.preferences import Preferences
    from ptychoui.session.worker import RunState

    app: QApplication = application.make_application()
    theme.apply(app, "dark")
    window = MainWindow(Preferences())
    window.apply_theme()
    window.resize(1440, 900)
    window.show()
    written: list[Path] = []
    folder.mkdir(parents=True, exist_ok=True)

    def until(true: Callable[[], bool]) -> None:
        end = time.monotonic() + LONGEST_S
        while not true():
            if time.monotonic() > end:
                raise PtychouiError("the window did not reach the state to be pictured")
            app.processEvents()
            time.sleep(0.005)

    def shoot(name: str) -> None:
        settled = time.monotonic() + 0.3
        until(lambda: time.monotonic() > settled)
        path = folder / f"{name}.png"
        window.grab().save(str(path))
        written.append(path)

    def steps(count: int) -> None:
        until(lambda: window.document.history.step >= count or not window.controller.state.active)

    def ended() -> bool:
        return not window.controller.state.active

    shoot("empty")
    window.open_sample_stack()
    until(lambda: window.document.dataset is not None and not window.controller.jobs.busy)
    shoot("stack")
    reconstruction = window.document.reconstruction
    passes = window.document.plan.settings.passes
    window.controller.edit_plan("settings.passes", 200)
    window.reconstruct()
    until(lambda: len(reconstruction.residual) >= passes // 2 and reconstruction.picture is not None)
    window.pause_or_continue()
    until(lambda: window.controller.state is RunState.PAUSED)
    shoot("reconstructing")
    window.stop()
    until(ended)
    window.controller.edit_plan("settings.passes", passes)
    window.reconstruct()
    until(ended)
    for size, suffix in (((1440, 900), ""), ((1180, 720), "-small")):
        window.resize(*size)
        for choose, theme_suffix in ((window.theme_light, "-light"), (window.theme_dark, "")):
            choose()
            for name in window.panels.result.pages:
                window.panels.result.show_page(name)
                shoot(f"reconstructed-{name.lower()}{suffix}{theme_suffix}")
    window.resize(1440, 900)
    window.panels.result.show_page("Object")
    window.calibrate()
    until(lambda: bool(window.document.calibration.sentences))
    shoot("calibrating")
    until(ended)
    shoot("calibrated")
    window.start_demo()
    until(lambda: window.controller.state is RunState.RUNNING)
    window.panels.leds.strip.choose(4)
    steps(60)
    shoot("running")
    window.theme_light()
    shoot("running-light")
    window.pause_or_continue()
    until(lambda: window.controller.state is RunState.PAUSED)
    shoot("paused-light")
    window.resize(1180, 720)
    shoot("small-light")
    window.theme_dark()
    shoot("small")
    window.resize(1440, 900)
    window.pause_or_continue()
    until(ended)
    shoot("finished")
    window.theme_light()
    shoot("finished-light")
    window.theme_dark()
    # A learning rate is no reason to fail; a device that is not there is.
    window.controller.edit("engine.device", "cuda:9")
    window.train()
    until(ended)
    shoot("failed")
    window.controller.shut_down()
    window.deleteLater()
    return written


if __name__ == "__main__":
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["PTYCHOUI_CONFIG"] = os.environ["PTYCHOUI_STATE"] = scratch
        for made in make(Path(sys.argv[1] if len(sys.argv) > 1 else "screenshots")):
            print(made)
