"""What the window has for each kind of experiment: fields, panels, the view of a run. A kind without an entry gets
what can be derived from its settings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ptychoui.gui.training.mri_view import MriView
from ptychoui.gui.training.pictures_view import PicturesView
from ptychoui.gui.training.training_view import ReconstructionView
from ptychoui.gui.widgets.fields import Field
from ptychoui.settings import Experiment, MriExperiment

TrainingView = ReconstructionView | PicturesView | MriView

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

PHANTOMS = (
    ("brain", "Heads"),
    ("heart", "Beating hearts"),
    ("ellipses", "Ellipses"),
    ("vessels", "Vessels"),
    ("bars", "Bars"),
)

MRI_FIELDS = (
    Field(
        name="sampling.pattern",
        label="Sampling pattern",
        kind="choice",
        choices=(
            ("variable_density", "Variable density"),
            ("uniform_random", "Random lines"),
            ("equispaced", "Equispaced lines"),
            ("poisson_disc", "Poisson disc"),
            ("measured", "As in the file"),
        ),
    ),
    Field(name="sampling.acceleration", label="Net acceleration", unit="×"),
    Field(name="sampling.calibration", label="Calibration lines", kind="int"),
    Field(name="sampling.redraw", label="New patterns each step", kind="bool"),
    Field(name="sampling.learn", label="Learn the lines", kind="bool"),
    Field(
        name="training.supervision",
        label="Held against",
        kind="choice",
        choices=(("truth", "The true images"), ("samples", "Samples left out")),
    ),
    Field(
        name="training.loss",
        label="Loss",
        kind="choice",
        choices=(("l2", "Squared error"), ("l1", "Absolute error")),
    ),
    Field(name="training.compare", label="Compare in the end", kind="bool"),
    Field(name="network.unrolls", label="Unrolls", kind="int"),
    Field(
        name="network.order",
        label="Order",
        kind="choice",
        choices=(("modl", "MoDL"), ("hqs", "HQS")),
    ),
    Field(
        name="network.update",
        label="Update",
        kind="choice",
        choices=(("heavy_ball", "Heavy ball"), ("plain", "Plain")),
    ),
    Field(name="network.convolutions", label="Convolutions", kind="int"),
    Field(name="network.channels", label="Channels", kind="int"),
    Field(name="network.shared", label="Shared weights", kind="bool"),
    Field(name="network.mu", label="Weight µ of the network"),
    Field(name="network.learn_mu", label="Learn µ", kind="bool"),
    Field(
        name="data.maps",
        label="Coil maps",
        kind="choice",
        choices=(("estimated", "Estimated (ESPIRiT)"), ("stated", "As stated")),
    ),
    Field(name="data.family", label="Phantoms", kind="choice", choices=PHANTOMS),
    Field(name="data.examples", label="Phantoms to learn from", kind="int"),
    Field(name="data.held_out_family", label="Held-out phantoms", kind="choice", choices=PHANTOMS),
    Field(name="data.held_out", label="Phantoms held out", kind="int"),
    Field(name="data.coils", label="Coils", kind="int"),
    Field(name="data.snr_db", label="Image to noise", unit="dB"),
)

MRI_SIMULATED = frozenset(
    {"data.family", "data.examples", "data.held_out_family", "data.held_out", "data.coils", "data.snr_db"}
)
"""Settings of simulated k-space: a file has its own."""

MRI_DRAWN = frozenset({"sampling.acceleration", "sampling.calibration", "sampling.redraw", "sampling.learn"})
"""Settings of patterns that are drawn: what was measured has its own."""


def hidden_of_mri(experiment: Experiment) -> frozenset[str]:
    """Fields that say nothing of an experiment."""
    if not isinstance(experiment, MriExperiment):
        return frozenset()
    hidden = MRI_SIMULATED if experiment.data.path else frozenset()
    return hidden | (MRI_DRAWN if experiment.sampling.pattern == "measured" else frozenset())


def common_fields(batch: str) -> tuple[Field, ...]:
    """Settings that every kind has; ``batch`` is what the number of examples of a step is called."""
    return (
        Field(name="training.steps", label="Training steps", kind="int"),
        Field(name="training.batch", label=batch, kind="int"),
        Field(name="training.learning_rate", label="Learning rate"),
        Field(
            name="engine.strategy",
            label="Gradient",
            tip="How derivatives are obtained: all give the same numbers, at other costs in memory and time",
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


MICROSCOPE_DOCKS = frozenset({"leds", "geometry", "reconstruct", "device"})
"""Panels that only a microscope has."""


MICROSCOPE_COMMANDS = frozenset(
    {
        "reconstruct", "field", "calibrate", "orientation", "profile", "frc", "save_result",
        "led_numbers", "reset_design", "array", "array_dark",
    }
)  # fmt: skip
"""Commands that only a microscope has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindWords:
    """What the window calls things of one kind.

    Attributes
    ----------
    train, export_text, export
        Tooltip of the command to train; text and tooltip of the command to export.
    score, compared
        Tooltips of the held-out score and of what is recommended in the end.
    batch
        What the number of examples of a step is called.
    """

    train: str = "Learn from the data, as the settings say"
    export_text: str = "&Export what was learned…"
    export: str = "Write what was learned to a file"
    score: str = "Scores of the held-out examples"
    compared: str = "What was learned beside what was known before. The export writes what is recommended."
    batch: str = "Examples per step"


FPM_WORDS = KindWords(
    train="Learn the patterns, starting from the ones shown",
    export_text="&Export patterns…",
    export="Write the patterns as a file for hardware, a table or a picture",
    score="Errors of the held-out object's reconstruction, with the same noise every time",
    compared="The learned patterns beside hand-made ones with as many frames and as much exposure, by the network and "
    "by a solver that shares nothing with it. The export writes what is recommended.",
    batch="Objects per step",
)

MRI_WORDS = KindWords(
    train="Learn the reconstruction of k-space, as the settings say",
    export_text="&Export weights…",
    export="Write the learned weights, µ and lines as arrays (NPZ or JSON)",
    score="Scores of the images that nothing was learned from; the error is relative to the truth, inside the object",
    compared="The learned reconstruction beside zero-filled, CG-SENSE, wavelet and total-variation images of the same "
    "samples. The export writes what is recommended.",
    batch="Images per step",
)


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
    words
        What things are called.
    hidden
        Fields that say nothing of an experiment as it is.
    """

    fields: tuple[Field, ...]
    docks: frozenset[str] = frozenset()
    view: Callable[[], TrainingView] = PicturesView
    words: KindWords = KindWords()
    hidden: Callable[[Experiment], frozenset[str]] = lambda _experiment: frozenset()

    @property
    def all_fields(self) -> tuple[Field, ...]:
        """Settings of the kind, then those that every kind has."""
        return (*self.fields, *common_fields(self.words.batch))

    def hides(self, command: str) -> bool:
        """Whether a command makes no sense."""
        return command in MICROSCOPE_COMMANDS and not self.docks


KINDS: dict[str, KindPanels] = {
    "fpm": KindPanels(fields=FPM_FIELDS, docks=MICROSCOPE_DOCKS, view=ReconstructionView, words=FPM_WORDS),
    "mri": KindPanels(fields=MRI_FIELDS, view=MriView, words=MRI_WORDS, hidden=hidden_of_mri),
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
