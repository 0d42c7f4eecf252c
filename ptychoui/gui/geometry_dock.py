"""The geometry panel: microscope and LED array with units, derived numbers, warnings and Fourier coverage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PyQt6.QtCore import QSize, Qt, pyqtSignal
from PyQt6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from ptychoui.errors import PtychouiError
from ptychoui.gui.coverage_plot import CoveragePlot
from ptychoui.gui.fields import Field, Form
from ptychoui.gui.number_boxes import commit_typing
from ptychoui.gui.parts import Elided, Yielding, bullets, gap_of, ink, scrolled, sentence, tall
from ptychoui.gui.style import NARROW
from ptychoui.gui.theme import colours
from ptychoui.optics.presets import ArrayPreset, MicroscopePreset, array_presets, microscope_presets
from ptychoui.paths import resources
from ptychoui.session.document import Document
from ptychoui.session.edits import usual_geometry, value_of, with_kind, with_order, with_value
from ptychoui.session.judgement import Judgement
from ptychoui.session.offered import answered, offered_geometry
from ptychoui.session.opening import GeometryWanted
from ptychoui.session.origin import data_name
from ptychoui.settings import Array, Geometry, Microscope
from ptychoui.words import counted

M, A = "geometry.microscope.", "geometry.array."
MICROSCOPE = (
    Field(name=M + "wavelength_um", label="Wavelength", unit="µm"),
    Field(name=M + "bandwidth_nm", label="Bandwidth", unit="nm", automatic=True, empty="not known"),
    Field(name=M + "objective_na", label="Objective NA"),
    Field(name=M + "magnification", label="Magnification", unit="×"),
    Field(name=M + "camera_pixel_um", label="Camera pixel", unit="µm"),
    Field(name=M + "medium_index", label="Medium's index"),
    Field(name=M + "defocus_um", label="Defocus", unit="µm"),
    Field(
        name=M + "pixel",
        label="Pixel model",
        kind="choice",
        choices=(("integrating", "integrates"), ("point", "samples a point")),
    ),
)
ARRAY = (
    Field(
        name=A + "kind",
        label="Layout",
        kind="choice",
        choices=(
            ("lattice", "Square lattice"),
            ("spiral", "Square spiral"),
            ("rings", "Rings"),
            ("dome", "Dome of rings"),
            ("table", "Table of positions"),
        ),
    ),
    Field(name=A + "height_mm", label="Height", unit="mm"),
    Field(name=A + "pitch_mm", label="Pitch", unit="mm"),
    Field(name=A + "rows", label="Rows", kind="int"),
    Field(name=A + "columns", label="Columns", kind="int"),
    Field(name=A + "count", label="LEDs", kind="int"),
    Field(name=A + "ring_radii_mm", label="Ring radii (mm)", kind="numbers"),
    Field(name=A + "ring_counts", label="LEDs per ring", kind="numbers", integers=True),
    Field(name=A + "ring_start_deg", label="First LED at", unit="°"),
    Field(name=A + "ring_clockwise", label="Clockwise", kind="bool"),
    Field(name=A + "dome_radius_mm", label="Dome radius", unit="mm"),
    Field(
        name=A + "order",
        label="Numbered",
        kind="choice",
        choices=(
            ("rows", "row by row"),
            ("columns", "column by column"),
            ("tiles", "tile by tile"),
            ("radial", "from the middle out"),
        ),
    ),
    Field(name=A + "tile_rows", label="Rows of a tile", kind="int"),
    Field(name=A + "tile_columns", label="Columns of a tile", kind="int"),
    Field(name=A + "serpentine_tiles", label="Serpentine tiles", kind="bool"),
    Field(name=A + "serpentine", label="Serpentine", kind="bool"),
    Field(name=A + "disc", label="Inscribed disc", kind="bool"),
    Field(name=A + "slide_thickness_mm", label="Glass slide", unit="mm"),
    Field(
        name=A + "falloff",
        label="Brightness",
        kind="choice",
        choices=(
            ("none", "the same for all"),
            ("cos4", "cos⁴ of the angle"),
            ("lambertian", "Lambertian LEDs"),
            ("table", "measured table"),
        ),
    ),
    Field(name=A + "colour", label="Lit die", kind="choice"),
    Field(name=A + "led_size_um", label="LED size", unit="µm", automatic=True, empty="not known"),
)
POSE = (
    Field(name=A + "pose.shift_x_mm", label="Shift x", unit="mm"),
    Field(name=A + "pose.shift_y_mm", label="Shift y", unit="mm"),
    Field(name=A + "pose.rotation_deg", label="Rotation", unit="°"),
    Field(name=A + "pose.tilt_x_deg", label="Tilt about x", unit="°"),
    Field(name=A + "pose.tilt_y_deg", label="Tilt about y", unit="°"),
    Field(name=A + "pose.flip_x", label="Mirror x", kind="bool"),
    Field(name=A + "pose.flip_y", label="Mirror y", kind="bool"),
    Field(name=A + "pose.swap_xy", label="Exchange x and y", kind="bool"),
)
TABS = {"Microscope": "Optics"}
"""Shorter names for tabs: all four fit a narrow panel."""

ALWAYS = ("kind", "height_mm", "slide_thickness_mm", "falloff", "led_size_um")
RINGS = ("ring_radii_mm", "ring_counts", "ring_start_deg", "ring_clockwise")
SHOWN = {
    "lattice": (*ALWAYS, "pitch_mm", "rows", "columns", "order", "serpentine", "disc"),
    "spiral": (*ALWAYS, "pitch_mm", "count"),
    "rings": (*ALWAYS, *RINGS),
    "dome": (*ALWAYS, *RINGS, "dome_radius_mm"),
    "table": ALWAYS,
}
OF_TILES = ("tile_rows", "tile_columns", "serpentine_tiles")
OF_RADIAL = ("ring_start_deg", "ring_clockwise")


def shown_fields(array: Array) -> list[str]:
    """Names of the fields that say something of this array."""
    names = list(SHOWN[array.kind])
    if array.kind == "lattice" and array.order == "tiles":
        names += OF_TILES
    if array.kind == "lattice" and array.order == "radial":
        names = [name for name in names if name != "serpentine"] + list(OF_RADIAL)
    if array.die_offsets_mm:
        names.append("colour")
    return [A + name for name in names]


class GeometryPanel(QWidget):
    """Edits a draft of the geometry; only a valid one leaves the panel.

    Attributes
    ----------
    geometry_edited
        (geometry, label, key for undo).
    preset_chosen
        Path of a geometry file that comes with the program.
    half_chosen
        Preset of a microscope or an LED array; the other half of the draft stays.
    answered
        (path of the data that were asked about, `PartialGeometry`).
    """

    geometry_edited = pyqtSignal(object, str, str)
    preset_chosen = pyqtSignal(str)
    half_chosen = pyqtSignal(object)
    answered = pyqtSignal(str, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._draft = usual_geometry()
        self._question: GeometryWanted | None = None
        self._before: Geometry | None = None
        self._taken_over: frozenset[str] = frozenset()
        self._advice: dict[str, tuple[Array | Microscope, str, str]] = {}
        self.source = QLabel()
        self.source.setWordWrap(True)
        self.forms = {
            title: Form(fields) for title, fields in (("Microscope", MICROSCOPE), ("Array", ARRAY), ("Pose", POSE))
        }
        self.presets = QPushButton("Presets")
        self.presets.setToolTip("Published instruments: fill in what your data do not state; undo brings yours back")
        self.presets.setMenu(self._preset_menu())
        self.confirm = tall(QPushButton("Open with these values"))
        self.cancel = tall(QPushButton("Cancel"))
        self.take_over = tall(QPushButton("Take over the geometry of before"))
        self.take_over.setToolTip("The geometry that was open before; undo takes it back")
        self.confirm.clicked.connect(self.answer)
        self.cancel.clicked.connect(self.end_question)
        self.take_over.clicked.connect(self._use_before)
        self.coverage = CoveragePlot()
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        if (bar := self.tabs.tabBar()) is not None:
            bar.setProperty(NARROW, True)
        for title, form in self.forms.items():
            form.edited.connect(self._edited)
            self.tabs.addTab(scrolled(gap_of(self), form), TABS.get(title, title))
        self.tabs.addTab(self.coverage, "Coverage")
        self.numbers = _Numbers()
        self._doubts: tuple[str, ...] = ()
        self._warned: tuple[str, ...] = ()
        self.warnings = QLabel()
        self.warnings.setWordWrap(True)
        self.warnings.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        gap = gap_of(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(gap, gap, gap, gap)
        layout.setSpacing(gap)
        head = QHBoxLayout()
        head.addWidget(self.source, 1)
        head.addWidget(self.presets, 0, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(head)
        layout.addWidget(self.take_over)
        layout.addWidget(self.tabs, 1)
        ends = QHBoxLayout()
        ends.setSpacing(gap)
        ends.addWidget(self.confirm, 1)
        ends.addWidget(self.cancel)
        layout.addLayout(ends)
        derived = QWidget()
        column = QVBoxLayout(derived)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(gap)
        column.addWidget(self.numbers)
        column.addWidget(self.warnings)
        self._derived = Yielding(derived)
        layout.addWidget(self._derived)
        self._document: Document | None = None
        self.show_document(None)

    def minimumSizeHint(self) -> QSize:
        """Not narrower than a name beside its number, whatever else wants the window's width."""
        hint = super().minimumSizeHint()
        return QSize(max(hint.width(), 30 * self.fontMetrics().averageCharWidth()), hint.height())

    def show_document(self, document: Document | None, before: Geometry | None = None, new: bool = False) -> None:
        """Show the geometry of a document; without one the usual values wait to be edited.

        ``before`` is offered then: the geometry of what was open before. A ``new`` document ends a question.
        """
        self._document, self._before = document, before
        if new:
            self._doubts = ()
        if self._question is not None and not new:
            return
        self._question = None
        geometry = document.geometry if document is not None else None
        for part in (self.confirm, self.cancel):
            part.hide()
        self.take_over.setVisible(geometry is None and before is not None)
        self.presets.setVisible(True)
        self._derived.show()
        if geometry is None:
            if new:
                self._draft = usual_geometry()
            self.source.setText("No geometry yet: open data, choose a preset or edit these values.")
            self.source.setToolTip("")
            self.coverage.set_geometry(None, 0.0)
            self.numbers.clear()
            self._warn(())
        else:
            own = document is not None and document.fpm is not None and document.fpm.geometry is not None
            file = document.data_source.geometry if document is not None else None
            name = data_name(document.dataset) if document is not None else ""
            other = f"From {Path(file).name}." if file else f"Came with {name or 'the data'}."
            self._say_where_from("Set in this experiment." if own else other, geometry)
            self._draft = geometry
            leds = document.leds() if document is not None else None
            self.coverage.set_geometry(None if leds is None else leds.illumination_na, geometry.microscope.objective_na)
        for form in self.forms.values():
            form.clear_errors()
        self._fill()

    def ask(self, wanted: GeometryWanted, before: Geometry | None) -> None:
        """Ask for what data do not state; values of before are marked, and nothing counts before it is confirmed."""
        self._question = wanted
        self._draft, self._taken_over = offered_geometry(wanted, before)
        self._doubts = ()
        name = Path(wanted.path).name
        text = f"{name} is not open yet: it does not state what these fields ask for."
        if self._taken_over:
            text += " Values taken over from what was open before are marked: check them."
        self.source.setText(text)
        self.source.setToolTip(wanted.details)
        self.take_over.hide()
        self.presets.hide()  # whole geometries would replace what the data state
        self._derived.hide()  # nothing follows yet, and the fields need the room
        for part in (self.confirm, self.cancel):
            part.show()
        self.coverage.set_geometry(None, 0.0)
        self.numbers.clear()
        self._warn(())
        self._fill()
        self._mark_taken_over()
        first = next((title for title, form in self.forms.items() if self._asked(form)), "Microscope")
        self.tabs.setCurrentIndex(list(self.forms).index(first))

    def answer(self) -> None:
        """Say what the form says of the data that were asked about."""
        if self._question is not None:
            commit_typing()
            asked = [_inner(name) for form in self.forms.values() for name in self._asked(form)]
            self.answered.emit(self._question.path, answered(self._question, self._draft, asked))

    def end_question(self) -> None:
        """Go back to the document that is open."""
        self._question, self._taken_over = None, frozenset()
        self.show_document(self._document, self._before, new=True)

    def _asked(self, form: Form) -> list[str]:
        """Fields of a form that a question asks for."""
        wanted = self._question
        if wanted is None:
            return list(form.names)
        names = {f"geometry.{name}" for name in wanted.missing}
        if wanted.asks_for_layout:
            names |= {*shown_fields(self._draft.array), *self.forms["Pose"].names}
        stated = {f"geometry.{name}" for name in wanted.stated}
        return [name for name in form.names if name in names and name not in stated]

    def _mark_taken_over(self) -> None:
        for form in self.forms.values():
            form.clear_errors()
            for name in self._asked(form):
                if _inner(name) in self._taken_over:
                    form.set_note(name, "Taken over from what was open before: check it.")

    def _use_before(self) -> None:
        if self._before is not None:
            self._draft = self._before
            self.geometry_edited.emit(self._before, "Geometry of before", "")

    @property
    def draft(self) -> Geometry:
        """The geometry in the form."""
        return self._draft

    def show_judgement(self, judgement: Judgement) -> None:
        """Show derived numbers and warnings."""
        if judgement.derived is None:
            self.numbers.clear()
            self._warn((f"{judgement.problem}: {judgement.hint}",))
        else:
            self.numbers.show_derived(judgement.derived)
            self._warn(judgement.derived.warnings)

    def set_editable(self, editable: bool) -> None:
        """The geometry is fixed while a run is active."""
        for form in self.forms.values():
            form.setEnabled(editable)
        for part in (self.presets, self.confirm, self.take_over):
            part.setEnabled(editable)

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        self.coverage.update()
        self.numbers.use_colours()
        ink(self.warnings, colours().warning)

    def _say_where_from(self, text: str, geometry: Geometry) -> None:
        """Say what was chosen and what of it is to be measured, as long as it is as it was chosen."""
        tips = []
        for part in (geometry.microscope, geometry.array):
            settings, advice, tip = self._advice.get(type(part).__name__, (None, "", ""))
            if settings == part:
                text += f"\n{advice}"
                tips.append(tip)
        self.source.setText(text)
        self.source.setToolTip("\n\n".join(tips))

    def _preset_menu(self) -> QMenu:
        menu = QMenu(self)
        for path in sorted((resources() / "geometries").glob("*.toml")):
            action = menu.addAction(path.stem.replace("_", " "))
            if action is not None:
                action.triggered.connect(lambda _=False, path=path: self.preset_chosen.emit(str(path)))
        menu.addSeparator()
        # Filled when they are opened: the window need not read all files before it appears.
        for title, read in (("Microscope only", microscope_presets), ("LED array only", array_presets)):
            part = menu.addMenu(title)
            if part is not None:
                part.setToolTipsVisible(True)
                part.aboutToShow.connect(lambda part=part, read=read: self._list_presets(part, read()))
        return menu

    def _list_presets(self, menu: QMenu, presets: tuple[MicroscopePreset | ArrayPreset, ...]) -> None:
        if menu.actions():
            return
        for preset in presets:
            action = menu.addAction(preset.name)
            if action is not None:
                action.setToolTip(preset.about())
                action.triggered.connect(lambda _=False, preset=preset: self.half_chosen.emit(preset))

    def show_chosen(self, preset: MicroscopePreset | ArrayPreset, geometry: Geometry) -> None:
        """Show what a preset that was taken says of itself, as long as its half of the geometry stays as it is."""
        part = geometry.microscope if isinstance(preset, MicroscopePreset) else geometry.array
        measure = f"{preset.name}: measure {', '.join(preset.to_measure())}." if preset.measure else f"{preset.name}."
        self._advice[type(part).__name__] = (part, measure, preset.about())
        for form in self.forms.values():
            form.clear_errors()
        self._draft = geometry

    def _fill(self) -> None:
        values = _Root(self._draft)
        dies = self._draft.array.die_offsets_mm
        self.forms["Array"].set_choices(A + "colour", [("", "middle of the LED"), *((name, name) for name in dies)])
        for form, fields in zip(self.forms.values(), (MICROSCOPE, ARRAY, POSE), strict=True):
            form.set_values({field.name: value_of(values.geometry, _inner(field.name)) for field in fields})
        if self._question is None:
            for title in ("Microscope", "Pose"):
                self.forms[title].show_fields(self.forms[title].names)
            self.forms["Array"].show_fields(shown_fields(self._draft.array))
        else:
            for form in self.forms.values():
                form.show_fields(self._asked(form))

    def _edited(self, name: str, value: Any) -> None:
        form = next(form for form in self.forms.values() if name in form.names)
        try:
            if name == A + "kind":
                changed: Geometry = self._draft.replace(array=with_kind(self._draft.array, str(value)))
            elif name == A + "order":
                changed = self._draft.replace(array=with_order(self._draft.array, str(value)))
            else:
                changed = with_value(self._draft, _inner(name), value)
        except PtychouiError as error:
            form.set_error(name, ". ".join(sentence(part) for part in (error.message, error.hint) if part) + ".")
            return
        form.set_error(name, "")
        self._draft = changed
        if self._question is not None:
            # What is open is not what is asked about.
            self._taken_over -= {_inner(name)}
            self._fill()
            self._mark_taken_over()
            return
        self.geometry_edited.emit(changed, name.rpartition(".")[2].replace("_", " "), name)

    def show_doubts(self, doubts: tuple[str, ...]) -> None:
        """Show in what the brightness of the images contradicts the geometry, before everything else."""
        self._doubts = doubts
        self._warn(self._warned)

    def _warn(self, warnings: tuple[str, ...]) -> None:
        self._warned = warnings
        bullets(self.warnings, (*self._doubts, *warnings), colours().warning)


class _Root:
    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry


def _inner(name: str) -> str:
    return name.removeprefix("geometry.")


class _Numbers(QWidget):
    """What follows from the geometry, in two columns."""

    ROWS = (
        ("LEDs", "bright field and dark field; edge: so close to the objective NA that they may be either"),
        ("NA", "objective NA and largest illumination NA; their sum is the synthetic NA"),
        ("Resolution", "wavelength over synthetic NA, and the finest element of a USAF 1951 target below that cut-off"),
        ("Pixel", "camera pixel at the sample; wavelength over 4 NA is needed for unaliased intensities"),
        ("Object pixel", "pixel of the reconstruction; wavelength over twice the synthetic NA is needed"),
        ("Overlap", "share of the pupil that neighbouring LEDs have in common"),
        (
            "Largest tile",
            "width over which the light of one LED has one direction: the smallest that the change of angle, the size "
            "of the LEDs and the bandwidth allow",
        ),
    )

    def __init__(self) -> None:
        super().__init__()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        gap = max(3, self.fontMetrics().height() // 5)
        grid.setVerticalSpacing(gap)
        grid.setHorizontalSpacing(3 * gap)
        self._names, self._values = [], []
        for line, (name, tip) in enumerate(self.ROWS):
            label, value = QLabel(name), Elided(least=12)
            value.setAlignment(Qt.AlignmentFlag.AlignRight)
            label.setToolTip(tip)
            value.say("–", tip)
            grid.addWidget(label, line, 0)
            grid.addWidget(value, line, 1)
            self._names.append(label)
            self._values.append(value)
        grid.setColumnStretch(1, 1)
        self.use_colours()

    def use_colours(self) -> None:
        for label in self._names:
            ink(label, colours().muted)

    def clear(self) -> None:
        for value, (_, tip) in zip(self._values, self.ROWS, strict=True):
            value.say("–", tip)

    def show_derived(self, derived: Any) -> None:
        edge = f", {derived.edge_leds} edge" if derived.edge_leds else ""
        objective_na = derived.synthetic_na - derived.illumination_na
        limited_by = "angle"
        if derived.tile_limit_um == derived.tile_led_size_um:
            limited_by = "LED size"
        elif derived.tile_limit_um == derived.tile_bandwidth_um:
            limited_by = "bandwidth"
        texts = (
            f"{derived.led_count}  ({derived.bright_field_leds} bright, {derived.dark_field_leds} dark{edge})",
            f"{derived.synthetic_na:.3g}  ({objective_na:.3g} + {derived.illumination_na:.3g})",
            f"{derived.resolution_um:.3g} µm  ({derived.cutoff_lp_per_mm:.0f} lp/mm, USAF {derived.usaf_group}-"
            f"{derived.usaf_element})",
            f"{derived.pixel_size_um:.3g} µm  (λ/4NA {derived.intensity_nyquist_um:.3g} µm)",
            f"{derived.object_pixel_um:.3g} µm  (needs {derived.object_nyquist_um:.3g} µm)",
            f"{derived.neighbour_overlap:.0%}",
            f"{derived.tile_limit_um:.3g} µm  ({counted(derived.tile_limit_px, 'pixel')}, by {limited_by})",
        )
        for value, text, (_, tip) in zip(self._values, texts, self.ROWS, strict=True):
            value.say(text, f"{text}\n{tip}")
