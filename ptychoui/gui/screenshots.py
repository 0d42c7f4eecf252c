"""Pictures of the window in every state, made from a short real run: ``python -m ptychoui.gui.screenshots FOLDER``."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ptychoui.data.dataset import ImageStack
from ptychoui.errors import PtychouiError
from ptychoui.session.stack_run import save_report

if TYPE_CHECKING:
    from PyQt6.QtWidgets import QWidget

LONGEST_S = 300.0


def make(folder: Path, only: str = "", text: float = 1.0) -> list[Path]:
    """Write one PNG per state and return their paths; ``only`` "mri" or "more" leaves others out, text is so large."""
    from PyQt6.QtWidgets import QApplication

    from ptychoui.gui.look import theme
    from ptychoui.gui.screenshots_more import MoreStates
    from ptychoui.gui.screenshots_mri import pictures_of_mri
    from ptychoui.gui.shell import app as application
    from ptychoui.gui.shell.main_window import MainWindow
    from ptychoui.gui.stack.orientation_dialog import OrientationDialog
    from ptychoui.gui.stack.profile_guide import PARTS, ProfileGuide
    from ptychoui.session.preferences import Preferences
    from ptychoui.session.worker import RunState

    app: QApplication = application.make_application()
    theme.apply(app, "dark", text)
    window = MainWindow(Preferences(font_scale=text))
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

    def shoot(name: str, what: QWidget | None = None) -> None:
        settled = time.monotonic() + 0.3
        until(lambda: time.monotonic() > settled)
        path = folder / f"{name}.png"
        (what or window).grab().save(str(path))
        written.append(path)

    def shoot_both(name: str, what: QWidget) -> None:
        """A dialog in both themes, and as small as it can be."""
        shoot(name, what)
        window.theme_light()
        shoot(f"{name}-light", what)
        usual = what.size()
        what.resize(what.minimumSize())
        shoot(f"{name}-small-light", what)
        what.resize(usual)
        window.theme_dark()

    def steps(count: int) -> None:
        until(lambda: window.document.history.step >= count or not window.controller.state.active)

    def ended() -> bool:
        return not window.controller.state.active

    shoot("empty")
    if only != "more":
        pictures_of_mri(window, until, shoot)
    if only != "mri":
        MoreStates(window, until, shoot).all()
    if only:
        window.controller.shut_down()
        window.deleteLater()
        return written
    window.resize(1440, 900)
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
    window.panels.result.show_page("Resolution")
    shoot("resolution-empty")
    window.compare_halves()
    until(lambda: window.document.frc.last is not None)
    shoot("resolution-running")
    window.stop()
    until(ended)
    window.controller.edit_plan("settings.passes", passes)
    window.controller.kept.result_is_saved()  # nobody is there to be asked what becomes of it
    window.reconstruct()
    until(ended)
    window.compare_halves()
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
    until(lambda: bool(window.document.calibration.steps))
    shoot("calibrating")
    until(ended)
    shoot("calibrated")
    window.test_orientation()
    orientation = window.findChild(OrientationDialog)
    assert isinstance(orientation, OrientationDialog)
    until(lambda: window.document.orientation.tried is not None)
    shoot("orientation-running", orientation)
    until(ended)
    shoot_both("orientation", orientation)
    orientation.close()
    window.measure_profile()
    guide = window.findChild(ProfileGuide)
    assert isinstance(guide, ProfileGuide)
    for part in PARTS[:-2]:
        guide.turn_to(part)
        shoot(f"profile-{part}", guide)
    guide.turn_to("blank")
    guide.blank.line.setText("blank/not-there.tif")
    guide.next.click()
    shoot_both("profile-refused", guide)
    guide.blank.line.clear()
    guide.turn_to("measure")
    guide.next.click()
    until(lambda: len(window.document.profile.sentences) > 1)
    shoot("profile-measuring", guide)
    until(ended)
    shoot_both("profile-result", guide)
    report, stack = window.document.reconstruction.report, window.document.dataset
    guide.next.click()
    until(lambda: not window.controller.jobs.busy)
    shoot("profile-used")
    assert report is not None and isinstance(stack, ImageStack)
    saved = save_report(Path(os.environ["PTYCHOUI_STATE"]) / "result.h5", report, stack)
    window.controller.kept.result_is_saved()
    window.document.replace_experiment(window.document.experiment, None)
    window.open_path(str(saved))
    until(lambda: window.document.reconstruction.report is not None)
    for page in ("Object", "LEDs"):
        window.panels.result.show_page(page)
        shoot(f"opened-{page.lower()}")
    window.controller.start_demo()
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
    parser = argparse.ArgumentParser(description="Pictures of the window in every state, made from a short real run.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("screenshots"), help="default: screenshots")
    parser.add_argument("--mri", action="store_true", help="multi-channel MRI and strategies side by side alone")
    parser.add_argument("--more", action="store_true", help="states that need no long run alone")
    parser.add_argument("--text", type=float, default=1.0, metavar="SIZE", help="of the text (default: 1.0)")
    arguments = parser.parse_args()
    chosen: Path = arguments.folder
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["PTYCHOUI_CONFIG"] = os.environ["PTYCHOUI_STATE"] = scratch
        for made in make(chosen, "mri" if arguments.mri else "more" if arguments.more else "", arguments.text):
            print(made)
