"""Theme, size of the text, and where the panels stand."""

from __future__ import annotations

from PyQt6.QtCore import QByteArray, QTimer
from PyQt6.QtGui import QAction, QShowEvent
from PyQt6.QtWidgets import QApplication, QLayout, QWidget

from ptychoui.gui.look import theme
from ptychoui.gui.shell.menus import set_icons
from ptychoui.gui.shell.window_commands import WindowCommands
from ptychoui.gui.shell.work_dialog import WorkDialog


class WindowLook(WindowCommands):
    """The part of the window that is about its looks."""

    actions_by_key: dict[str, QAction]
    default_layout: QByteArray
    _shown_before = False

    def apply_theme(self) -> None:
        """Give everything the colours and the text size of the preferences."""
        app = QApplication.instance()
        if isinstance(app, QApplication):
            theme.apply(app, self.preferences.theme, self.preferences.font_scale)
        set_icons(self.actions_by_key)
        self.panels.use_colours(self.controller.state, self.controller.task)
        self.way.bar.use_colours()
        for dialog in self.findChildren(WorkDialog):
            dialog.use_colours()
        # Pages that are hidden do not tell that their text has another size.
        for part in self.findChildren(QWidget):
            part.updateGeometry()
        for layout in self.findChildren(QLayout):
            layout.invalidate()

    def restore_layout(self) -> None:
        """Bring back size, place and panels of the last session, if they fit the screens there are."""
        self.panels.arrange()
        self.default_layout = self.saveState()
        self.resize(1440, 900)
        screens = QApplication.screens()
        if self.preferences.window_geometry:
            self.restoreGeometry(QByteArray.fromBase64(self.preferences.window_geometry.encode()))
        if screens and not any(s.availableGeometry().intersects(self.frameGeometry()) for s in screens):
            self.move(screens[0].availableGeometry().topLeft())
        if screens:
            self.resize(self.size().boundedTo(screens[0].availableGeometry().size().expandedTo(self.minimumSize())))
        if self.preferences.window_layout:
            self.restoreState(QByteArray.fromBase64(self.preferences.window_layout.encode()))

    def showEvent(self, event: QShowEvent | None) -> None:
        """Give the panels their sizes once the window has its own, unless the last session's are known."""
        super().showEvent(event)
        if not self._shown_before and not self.preferences.window_layout:
            QTimer.singleShot(0, self.panels.share_out)
        self._shown_before = True

    def theme_dark(self) -> None:
        """Dark theme."""
        self.set_theme("dark")

    def theme_light(self) -> None:
        """Light theme."""
        self.set_theme("light")

    def theme_system(self) -> None:
        """Theme of the desktop."""
        self.set_theme("system")

    def switch_theme(self) -> None:
        """Change between dark and light."""
        self.set_theme("light" if theme.colours() is theme.DARK else "dark")

    def set_theme(self, name: str) -> None:
        """Give everything the colours of a theme."""
        self.prefer(theme=name)
        self.apply_theme()

    def larger_text(self) -> None:
        """Make all text larger."""
        self.prefer(font_scale=min(2.5, round(self.preferences.font_scale + 0.1, 2)))
        self.apply_theme()

    def smaller_text(self) -> None:
        """Make all text smaller."""
        self.prefer(font_scale=max(0.6, round(self.preferences.font_scale - 0.1, 2)))
        self.apply_theme()

    def reset_layout(self) -> None:
        """Put all panels back."""
        self.restoreState(self.default_layout)
        self.panels.arrange()
