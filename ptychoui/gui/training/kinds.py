"""What the window has for each kind of experiment: fields, panels, the view of a run. A kind without an entry gets
what can be derived from its settings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ptychoui.gui.training.pictures_view import PicturesView
from ptychoui.gui.training.training_view import ReconstructionView
from ptychoui.gui.widgets.fields import Field
from ptychoui.settings import Experiment

TrainingView = ReconstructionView | PicturesView

FPM_FIELDS = (
    Field(name="design.bright_field_rows", label="Bright-field patterns", kind="int"),
    Field(name="design.dark_field_rows", label="Dark-field patterns", kind="int"),
    Field(
        name="design.start",
        label="Start from",
        kind="choice",
        choices=(
            ("best", "Best of several"),
            ("dense_random", "Random levels"),
            ("random_partition", "Random partition"),
            ("hybrid", "Half circles"),
            ("singles", "Single LEDs"),
        ),
    ),
    Field(name="design.learn_exposure", label="Learn exposures", kind="bool"),
    Field(name="design.drive_bits", label="Bits per level", automatic=True, integers=True, empty="any level"),
    Field(name="design.maximum_lit", label="Most LEDs lit", automatic=True, integers=True, empty="all"),
    Field(name="training.compare", label="Compare in the end", kind="bool"),
    Field(
        name="training.loss",
        label="Asked of a picture",
        kind="choice",
        choices=(
            ("complex", "The object"),
            ("amplitude", "Its amplitude"),
            ("phase", "Its phase"),
            ("images", "Images of single LEDs"),
        ),
    ),
    Field(name="measurement.photons_per_led", label="Photons per LED", unit="e⁻"),
    Field(
        name="network.update",
        label="Update",
        kind="choice",
        choices=(
            ("heavy_ball", "Heavy ball"),
            ("nesterov", "Nesterov"),
            ("gradient", "Plain gradient"),
            ("learned_momentum", "Learned momentum"),
        ),
    ),
    Field(name="network.unrolls", label="Unrolls", kind="int"),
    Field(name="network.step", label="Step of an unroll", automatic=True),
)

COMMON = (
    Field(name="training.steps", label="Training steps", kind="int"),
    Field(name="training.batch", label="Objects per step", kind="int"),
    Field(name="training.learning_rate", label="Learning rate"),
    Field(
        name="engine.strategy",
        label="Gradient",
        kind="choice",
        choices=(
            ("reversible", "Reversible"),
            ("auto", "Automatic"),
            ("checkpoint", "Checkpoints"),
            ("offload", "Checkpoints on the host"),
            ("binomial", "Binomial checkpoints"),
            ("inverse", "Inverse, to a tolerance"),
            ("store_all", "Store all"),
            ("greedy", "Greedy modules"),
        ),
    ),
    Field(name="engine.memory_mb", label="Memory budget", unit="MB", automatic=True),
    Field(
        name="engine.device",
        label="Device",
        kind="choice",
        choices=(("auto", "Automatic"), ("cpu", "CPU"), ("cuda", "CUDA GPU")),
    ),
)

MICROSCOPE_DOCKS = frozenset({"leds", "geometry", "reconstruct"})
"""Panels that only a microscope has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindPanels:
    """What the window has for one kind.

    Attributes
    ----------
    fields
        Settings of the kind in the training panel, before those that every kind has.
    docks
        Panels beyond training, progress and messages.
    view
        Makes the view of a run.
    """

    fields: tuple[Field, ...]
    docks: frozenset[str] = frozenset()
    view: Callable[[], TrainingView] = PicturesView


KINDS: dict[str, KindPanels] = {
    "fpm": KindPanels(fields=FPM_FIELDS, docks=MICROSCOPE_DOCKS, view=ReconstructionView),
}


def panels_of(experiment: Experiment) -> KindPanels:
    """What the window has for an experiment."""
    return KINDS.get(experiment.kind) or KindPanels(fields=_derived(type(experiment)))


def _derived(settings: type[Experiment]) -> tuple[Field, ...]:
    """Fields for the numbers, choices and switches in the tables that a kind adds."""
    found: list[Field] = []
    for table, info in settings.model_fields.items():
        model = info.annotation
        if table in Experiment.model_fields or not (isinstance(model, type) and issubclass(model, BaseModel)):
            continue
        for name, field in model.model_fields.items():
            kind, choices = _editor(field)
            if kind is not None:
                label = name.replace("_", " ").capitalize()
                found.append(Field(name=f"{table}.{name}", label=label, kind=kind, choices=choices))
    return tuple(found)


def _editor(field: FieldInfo) -> tuple[Any, tuple[tuple[str, str], ...]]:
    """The kind of editor that a setting needs and its choices, or None."""
    annotation = field.annotation
    if get_origin(annotation) is Literal:
        return "choice", tuple((str(value), str(value).replace("_", " ")) for value in get_args(annotation))
    plain: dict[Any, str] = {bool: "bool", int: "int", float: "float"}
    return plain.get(annotation), ()
