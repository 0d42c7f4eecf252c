"""The demonstration beside the ordinary window, which stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ptychoui.gui.demo.window import DemoWindow
from ptychoui.gui.look.theme import LIGHT, colours
from ptychoui.session.demo.recording import Recording, load_recording

if TYPE_CHECKING:
    from ptychoui.gui.shell.window_commands import WindowCommands

new_window = DemoWindow


def play_beside(window: WindowCommands) -> None:
    """Play it in a screen of its own; there is one at most.

    The recording is read in the background. Where the run is wanted, the window opens its folder and asks, as always,
    what becomes of unsaved work.
    """
    for found in window.findChildren(DemoWindow):
        found.raise_()
        found.activateWindow()
        return

    def play(recording: Recording) -> None:
        scale = window.preferences.font_scale
        demo = new_window(recording, light=colours() is LIGHT, text_scale=scale, parent=window)
        demo.wanted.connect(lambda folder: window.open_path(folder) if folder else window.choose_file())
        demo.left.connect(demo.deleteLater)
        demo.fill_screen()
        demo.begin()

    window.controller.desk.submit("demo", load_recording, play, "Opening the demonstration…")
