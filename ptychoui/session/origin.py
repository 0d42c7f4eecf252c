"""Where a result comes from that was read from a file, and whether it belongs to the stack that is open."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ptychoui.data.dataset import ImageStack, TrainingSet
from ptychoui.settings import Geometry

if TYPE_CHECKING:
    from ptychoui.session.stack_run import StackReport


def data_name(data: ImageStack | TrainingSet | None) -> str:
    """What to call the data: the name of their file; empty without any."""
    if data is None:
        return ""
    source = data.provenance.source
    return Path(source).name or source


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A saved result beside what is open.

    Attributes
    ----------
    file
        The file of the result.
    stack
        Name of the stack that it was made of; empty where the file does not say.
    open_stack
        Name of the stack that is open; empty without one.
    same
        True if that is the stack that it was made of.
    same_geometry
        True if it was made with the geometry that is shown.
    """

    file: str
    stack: str
    open_stack: str
    same: bool
    same_geometry: bool

    @property
    def sentence(self) -> str:
        """What a person must know before comparing the result with what stands beside it."""
        of = self.stack or "a stack that it does not name"
        if self.same:
            other = "" if self.same_geometry else ", made with another geometry than the one shown"
            return f"{self.file}: a saved reconstruction of the open stack {self.open_stack}{other}."
        text = f"{self.file}: a saved reconstruction of {of}"
        if not self.open_stack:
            return f"{text}. No stack is open."
        if self.stack == self.open_stack:
            return f"{text}, but not of the images that are open under the same name."
        return f"{text}, not of the open stack: the panels at the sides are those of {self.open_stack}."


def origin(
    report: StackReport | None, data: ImageStack | TrainingSet | None, geometry: Geometry | None
) -> Origin | None:
    """Where a result comes from; None if it was made here, not read from a file."""
    if report is None or report.stored is None or report.path is None:
        return None
    record = report.stored.record
    stack = data if isinstance(data, ImageStack) else None
    sha, source = str(record.get("data_sha256") or ""), str(record.get("source") or "")
    same = False
    if stack is not None:
        own = stack.provenance
        # Data in memory have no hash: there the source must do.
        same = sha == own.sha256 if sha and own.sha256 else bool(source) and source == own.source
    return Origin(
        file=report.path.name,
        stack=Path(source).name,
        open_stack=data_name(stack),
        same=same,
        same_geometry=report.geometry == geometry,
    )
