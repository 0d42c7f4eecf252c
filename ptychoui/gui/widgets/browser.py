"""Opening a page that was written, behind a class method that a test can patch."""

from __future__ import annotations

from pathlib import Path

from PyQt6.QtCore import QUrl
from PyQt6.QtGui import QDesktopServices


class Browser:
    """The browser of the desktop."""

    @classmethod
    def show(cls, page: Path) -> bool:
        """Open a file; False where the desktop has nothing that could."""
        return QDesktopServices.openUrl(QUrl.fromLocalFile(str(page.absolute())))
