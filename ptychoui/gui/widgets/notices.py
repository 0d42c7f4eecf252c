"""What a widget has to say to a person, wherever it stands; the window listens."""

from __future__ import annotations

from functools import cache

from PyQt6.QtCore import QObject, pyqtSignal


class Notices(QObject):
    """Sentences of widgets.

    Attributes
    ----------
    told
        (level, message, hint), as messages of the window are.
    """

    told = pyqtSignal(str, str, str)


@cache
def notices() -> Notices:
    """The one there is."""
    return Notices()
