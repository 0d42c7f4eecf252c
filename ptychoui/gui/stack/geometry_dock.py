"""The geometry panel: microscope and LED array with units, derived numbers, warnings and Fourier coverage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PyQt6.QtCore import QSize, Qt, pyqtSignal
from PyQt6.QtWidgets import (
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
from ptychoui.gui.look.style import NARROW
from ptychoui.gui.look.theme import colours
from ptychoui.gui.stack.derived_numbers import DerivedNumbers
from ptychoui.gui.stack.geometry_fields import ARRAY, MICROSCOPE, POSE, TABS, A, shown_fields
from ptychoui.gui.widgets.coverage_plot import CoveragePlot
from ptychoui.gui.widgets.fields import Form
from ptychoui.gui.widgets.number_boxes import commit_typing
from ptychoui.gui.widgets.parts import Yielding, bullets, gap_of, ink, scrolled, sentence, tall
from ptychoui.optics.geometry.presets import ArrayPreset, MicroscopePreset, array_presets, microscope_presets
from ptychoui.paths import resources
from ptychoui.session.assessment import Assessment
from ptychoui.session.document import Document
from ptychoui.session.edits import usual_geometry, value_of, with_kind, with_order, with_value
from ptychoui.session.offered import answered, offered_geometry
from ptychoui.session.opening import GeometryWanted
from ptychoui.session.origin import data_name
from ptychoui.settings import Array, Geometry, Microscope


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
        self.confirm.setToolTip("Open the data with the values of this form; they can be edited afterwards")
        self.cancel = tall(QPushButton("Cancel"))
        self.cancel.setToolTip("Leave the data closed, and what is open as it is")
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
        self.numbers = DerivedNumbers()
        self._image_warnings: tuple[str, ...] = ()
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
            self._image_warnings = ()
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
        self._image_warnings = ()
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

    def show_assessment(self, assessment: Assessment) -> None:
        """Show derived numbers and warnings."""
        if assessment.derived is None:
            self.numbers.clear()
            self._warn((f"{assessment.problem}: {assessment.hint}",))
        else:
            self.numbers.show_derived(assessment.derived)
            self._warn(assessment.derived.warnings)

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

    def show_image_warnings(self, warnings: tuple[str, ...]) -> None:
        """Show in what the brightness of the images contradicts the geometry, before everything else."""
        self._image_warnings = warnings
        self._warn(self._warned)

    def _warn(self, warnings: tuple[str, ...]) -> None:
        self._warned = warnings
        bullets(self.warnings, (*self._image_warnings, *warnings), colours().warning)


class _Root:
    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry


def _inner(name: str) -> str:
    return name.removeprefix("geometry.")
