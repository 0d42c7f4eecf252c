"""The way from a file to patterns on hardware: which steps are done, which comes next, and why one has to wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ptychoui.data.dataset import ImageStack
from ptychoui.session.document import Document
from ptychoui.session.origin import data_name
from ptychoui.settings import MriExperiment
from ptychoui.words import counted

State = Literal["done", "next", "can", "waits"]
"""Done; what to do now; what can be done, too; what something else has to come before."""

TITLES = {
    "open": "Open",
    "geometry": "Geometry",
    "reconstruct": "Reconstruct",
    "calibrate": "Calibrate",
    "design": "Design",
    "train": "Train",
    "compare": "Compare",
    "export": "Export",
    "array": "Array",
}

OF_STACKS = ("reconstruct", "calibrate")
OF_PATTERNS = ("geometry", "design", "compare", "array")


@dataclass(frozen=True, slots=True, kw_only=True)
class WayStep:
    """One step.

    Attributes
    ----------
    sentence
        What was done, what is to be done, or why it has to wait.
    optional
        Whether one may as well leave it out: it is never called the next.
    """

    key: str
    title: str
    state: State
    sentence: str
    optional: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What the window knows beside the document.

    Attributes
    ----------
    compared, exported, sent
        Whether designs were compared, patterns exported, or shown on an array, since something was opened.
    geometry_doubt
        What contradicts the geometry, in a sentence; empty where nothing does.
    question
        What is asked about data that are not open yet; empty where nothing is.
    """

    compared: bool = False
    exported: bool = False
    sent: bool = False
    geometry_doubt: str = ""
    question: str = ""


def way_of(document: Document, done: Done) -> tuple[WayStep, ...]:
    """The steps that what is open has, in their order; one of them at most is the next."""
    stack = isinstance(document.dataset, ImageStack)
    mri = isinstance(document.experiment, MriExperiment)
    steps = [
        _open(document, done),
        _geometry(document, done),
        _reconstruct(document),
        _calibrate(document),
        _design(document),
        _train(document),
        _compare(document, done),
        _export(document, done),
        _array(document, done),
    ]
    if mri or document.fpm is None:
        steps = [step for step in steps if step.key not in (*OF_STACKS, *OF_PATTERNS)]
    elif document.dataset is not None and not stack:
        steps = [step for step in steps if step.key not in OF_STACKS]
    return _with_next(steps)


def _with_next(steps: list[WayStep]) -> tuple[WayStep, ...]:
    """Mark the first step that can be done, is not, and ought to be; steps before the last that is done are passed."""
    last = max((place for place, step in enumerate(steps) if step.state == "done"), default=-1)
    marked, found = [], False
    for place, step in enumerate(steps):
        ought = not step.optional and (place > last or step.key in ("open", "geometry"))
        if not found and step.state == "can" and ought:
            found = True
            step = WayStep(key=step.key, title=step.title, state="next", sentence=step.sentence)
        marked.append(step)
    return tuple(marked)


def _step(key: str, state: State, sentence: str, optional: bool = False) -> WayStep:
    return WayStep(key=key, title=TITLES[key], state=state, sentence=sentence, optional=optional)


def _something(document: Document) -> bool:
    return document.dataset is not None or document.k_space is not None or document.fpm is None


def _open(document: Document, done: Done) -> WayStep:
    if done.question and not _something(document):
        return _step("open", "can", "Open other data", optional=True)
    if not _something(document):
        return _step("open", "can", "Open an LED stack, objects, k-space or a run; samples come with the program")
    data = document.dataset
    name = data_name(data) if document.k_space is None else document.k_space.file_name
    if isinstance(data, ImageStack):
        return _step("open", "done", f"{counted(len(data.images), 'image')} of {name}")
    return _step("open", "done", f"{name or document.experiment.name} is open")


def _geometry(document: Document, done: Done) -> WayStep:
    if done.question:
        return _step("geometry", "can", f"{done.question}: enter it, or open a geometry file")
    if not _something(document):
        return _step("geometry", "waits", "Open data first")
    if document.geometry is None:
        return _step("geometry", "can", "Enter objective, camera and LED array, or choose a preset")
    if done.geometry_doubt:
        return _step("geometry", "can", done.geometry_doubt)
    leds = document.leds()
    count = "" if leds is None else f"{counted(len(leds.numbers), 'LED')}, "
    return _step("geometry", "done", f"{count}objective NA {document.geometry.microscope.objective_na:g}")


def _reconstruct(document: Document) -> WayStep:
    if not isinstance(document.dataset, ImageStack) or document.geometry is None:
        return _step("reconstruct", "waits", "Open an LED stack with its geometry first")
    report = document.reconstruction.report
    if report is None:
        return _step("reconstruct", "can", "See amplitude and phase of the stack before anything is learned from it")
    passes = counted(len(report.found.history), "pass", "passes")
    return _step("reconstruct", "done", f"Residual {report.found.history[-1]:.3g} after {passes}")


def _calibrate(document: Document) -> WayStep:
    if not isinstance(document.dataset, ImageStack) or document.geometry is None:
        return _step("calibrate", "waits", "Open an LED stack with its geometry first")
    if document.calibration.found is not None:
        return _step("calibrate", "done", "The pose of the LED array was found from the stack")
    return _step("calibrate", "can", "Find the array's shift, rotation and height from the stack", optional=True)


def _design(document: Document) -> WayStep:
    experiment = document.fpm
    if experiment is None or document.geometry is None or document.dataset is None:
        return _step("design", "waits", "Open data with a geometry first")
    rows = experiment.design.bright_field_rows + experiment.design.dark_field_rows
    levels, _ = document.changed_design
    said = counted(rows, "pattern")
    if levels is not None:
        return _step("design", "done", f"{said}, painted or learned")
    return _step("design", "can", f"{said} from the start in the settings; paint them, or choose another", True)


def _train(document: Document) -> WayStep:
    step, history = document.history.step, document.history
    if step and history.end is None and history.elsewhere is None and history.started is not None:
        return _step("train", "can", f"Learning: step {step} of {history.started.steps}")
    if step:
        return _step("train", "done", f"{counted(step, 'step')} of learning")
    if not document.trainable:
        return _step("train", "waits", "Open data with a geometry first")
    return _step("train", "can", "Learn, and watch the held-out error fall")


def _compare(document: Document, done: Done) -> WayStep:
    if done.compared:
        return _step("compare", "done", "Designs were compared")
    if document.history.verdict is not None:
        return _step("compare", "done", document.history.verdict.sentence)
    if document.geometry is None or document.dataset is None:
        return _step("compare", "waits", "Open data with a geometry first")
    if not document.history.step:
        return _step("compare", "can", "Hold hand-made designs against each other; learned ones, once they are", True)
    return _step("compare", "can", "Hold what was learned against half circles and single LEDs")


def _export(document: Document, done: Done) -> WayStep:
    if done.exported:
        return _step("export", "done", "Patterns were written")
    if document.geometry is None and not document.history.step:
        return _step("export", "waits", "Open data first")
    if document.fpm is None and not document.history.step:
        return _step("export", "waits", "Train first")
    return _step(
        "export", "can", "Write what was learned for hardware, or for other programs", not document.history.step
    )


def _array(document: Document, done: Done) -> WayStep:
    if done.sent:
        return _step("array", "done", "Patterns shone on the array")
    if document.geometry is None or document.dataset is None:
        return _step("array", "waits", "Open data with a geometry first")
    return _step("array", "can", "Send the patterns to an LED array, real or emulated", optional=True)
