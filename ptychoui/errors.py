"""Every error a user can meet: one sentence and a hint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

_ONE_LINE = dict.fromkeys([*range(32), *range(127, 160)], " ")


class PtychouiError(Exception):
    """An error to be shown to a person.

    Parameters
    ----------
    message
        One sentence that says what is wrong, with the number and the unit.
    hint
        One sentence that says what to do next; may be empty.

    Attributes
    ----------
    usual_hint
        What to do about errors of the class, where one has no hint of its own.
    """

    usual_hint: ClassVar[str] = "see ptychoui --help"

    def __init__(self, message: str, hint: str = "") -> None:
        # Names inside damaged files may hold control characters; a sentence stays on one line.
        super().__init__(message.translate(_ONE_LINE))
        self.message = message.translate(_ONE_LINE)
        self.hint = hint.translate(_ONE_LINE)

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class SettingsError(PtychouiError):
    """A setting is outside its allowed range, unknown or missing."""

    usual_hint = "choose another value"


class DataError(PtychouiError):
    """A file cannot be read, or what it holds does not fit together."""

    usual_hint = "write the file again, or convert its images to TIFF with a geometry.toml beside them"


class NoGeometryError(DataError):
    """Data do not say enough about the microscope: ask for a geometry.

    Parameters
    ----------
    missing
        Names of the settings to ask for, such as ``array.height_mm``.
    report
        Plain values that could be read nevertheless, for ``ptychoui info``.
    """

    def __init__(
        self, message: str, hint: str = "", missing: tuple[str, ...] = (), report: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(message, hint)
        self.missing = missing
        self.report = dict(report or {})


class ManyAxesError(DataError):
    """Images lie along several axes: ask which is that of the LEDs.

    Parameters
    ----------
    axes
        Letter of every axis with more than one place -> what its places are called; slowest first.
    along, places
        Letters of those that are said to be of the LEDs, and the place on others that is said.
    """

    def __init__(
        self,
        message: str,
        hint: str,
        axes: Mapping[str, tuple[str, ...]],
        along: str = "",
        places: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(message, hint)
        self.axes, self.along, self.places = dict(axes), along, dict(places or {})


class LedTableError(DataError):
    """A table of LEDs was opened as if it held images; ``report`` says what it is."""

    def __init__(self, message: str, hint: str = "", report: str = "", leds: int = 0) -> None:
        super().__init__(message, hint)
        self.report = report
        self.leds = leds


class GeometryError(PtychouiError):
    """The microscope and the LED array do not fit together."""

    usual_hint = "check the settings of [microscope] and [array]"


class EngineError(PtychouiError):
    """A gradient strategy cannot do what it was asked for."""


class CertificateError(EngineError):
    """The reversible strategy did not come back to its starting state bit for bit."""


class RunError(PtychouiError):
    """A run folder cannot be read, written or resumed."""

    usual_hint = "check the folder and its permissions"


class DeviceError(PtychouiError):
    """An LED array is absent, does not answer, or does not do what it was told."""

    usual_hint = "check the cable, the power supply and the port"


class UnpluggedError(DeviceError):
    """The line to the device broke: nothing can be sent any more, not even that it shall go dark."""


class NoAnswerError(DeviceError):
    """The device did not answer within its deadline, or only in part."""


class OutOfMemoryError(PtychouiError):
    """A run needs more memory than the device has."""


_MEMORY_TEXTS = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")


def is_out_of_memory(error: BaseException) -> bool:
    """True for every way in which Python, torch or CUDA say that memory has run out."""
    if isinstance(error, MemoryError) or type(error).__name__ == OutOfMemoryError.__name__:
        return True
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in _MEMORY_TEXTS)


class StopRequested(Exception):
    """Raised inside a run when the user asked it to stop; never shown."""
