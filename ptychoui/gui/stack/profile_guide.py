"""A guide through the measurement of a microscope's profile: what to put under it, why, and what came out."""

from __future__ import annotations

from pathlib import Path

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QRadioButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from ptychoui.data.dataset import ImageStack
from ptychoui.gui.look.theme import colours, paint_primary
from ptychoui.gui.shell.controller import Controller
from ptychoui.gui.shell.work_dialog import WorkDialog, button, button_row, lead
from ptychoui.gui.stack.file_pick import FilePick
from ptychoui.gui.stack.profile_outcome import ProfileOutcome
from ptychoui.gui.widgets.files import Files
from ptychoui.gui.widgets.parts import bold, bullets, gap_of, ink, note, scrolled
from ptychoui.session.profile_run import ProfileHistory, ProfilePlan, profile_path
from ptychoui.session.typed import is_number, typed_number
from ptychoui.training.events import Failed
from ptychoui.words import counted

PARTS = ("dark", "blank", "sample", "sign", "measure", "result")
TITLES = {
    "dark": "Dark frames",
    "blank": "Blank field",
    "sample": "Known sample",
    "sign": "Handedness",
    "measure": "Measure",
    "result": "Result",
}
TEXTS = {
    "dark": "Switch all LEDs off, keep other light away, and take one or more frames with the exposure of the images. "
    "They tell the camera's zero, which is taken off every image. A number of counts will do, too; without either, "
    "leave it empty.",
    "blank": "Move to a clean, empty place of the slide, in focus, and take the whole LED sequence. It tells how "
    "bright each bright-field LED is, with no sample to be mistaken for it. Without it, leave it empty.",
    "sample": "Put a sample with fine structure all over the field under the microscope, such as a blood smear or a "
    "resolution target, and take one image per LED. It tells where the array stands and what the objective does.",
    "sign": "In focus, images do not tell whether a sample's phase rises or falls. Say what your sample does, if you "
    "know it: the array is turned by half a turn where the images would have it the other way.",
    "measure": "The sample calibrates the array and the pupil, and all of it is written to one dated file. This takes "
    "a minute or more; the window can be used meanwhile.",
    "result": "",
}
SIGNS = (
    (0, "Not known: leave it as the geometry has it"),
    (1, "Its features raise the phase: cells or beads in water, in air"),
    (-1, "Its features lower the phase: bubbles, holes, scratches"),
)


class ProfileGuide(WorkDialog):
    """Six pages; the fifth starts the measurement, the sixth shows what it found."""

    def __init__(self, controller: Controller, parent: QWidget) -> None:
        super().__init__(controller, "profile", "Measure microscope profile", "Measuring", parent)
        gap = gap_of(self)
        self.dark = FilePick("none", "Dark frames")
        self.blank = FilePick("none", "Blank field")
        self.sample = FilePick("a stack of the sample", "Stack of the sample")
        self.open_sample, self.other_sample = QRadioButton(), QRadioButton("Another stack:")
        self.open_sample.setToolTip("Use the stack that is open in the window")
        self.other_sample.setToolTip("Use a stack that is named below")
        self.signs = QButtonGroup(self)
        self.steps = note()
        self.summary = {name: QLabel() for name in PARTS[:4]}
        self.output = QLineEdit()
        self.output.setAccessibleName("File of the profile")
        self.output.setToolTip("File that the measured profile is written to")
        self.output.setMinimumHeight(2 * self.fontMetrics().height())
        self.outcome = ProfileOutcome()
        self.pages = QStackedWidget()
        self._history: ProfileHistory | None = None
        self.marks: dict[str, tuple[QLabel, QLabel]] = {}
        self._leads: list[QLabel] = []
        aside = QGridLayout()
        aside.setContentsMargins(0, gap, 0, 0)
        aside.setVerticalSpacing(2 * gap)
        aside.setHorizontalSpacing(2 * gap)
        aside.setColumnStretch(1, 1)
        contents = {
            "dark": self._column(self.dark),
            "blank": self._column(self.blank),
            "sample": self._sample_page(),
            "sign": self._sign_page(),
            "measure": self._measure_page(),
            "result": self.outcome,
        }
        for place, name in enumerate(PARTS):
            self.marks[name] = QLabel(), QLabel(TITLES[name])
            for column, label in enumerate(self.marks[name]):
                aside.addWidget(label, place, column)
            self.pages.addWidget(self._page(name, contents[name]))
        aside.setRowStretch(len(PARTS), 1)
        self.back, self.next, self.leave = button("Back"), button("Next", primary=True), button("Cancel")
        self.fix = button("Change", "Go back to the page whose entry was refused")
        side = QWidget()
        side.setLayout(aside)
        side.setFixedWidth(20 * self.fontMetrics().averageCharWidth())
        self._rule = QFrame()
        self._rule.setFrameStyle(QFrame.Shape.VLine | QFrame.Shadow.Plain)
        middle = QHBoxLayout()
        middle.setSpacing(3 * gap)
        middle.addWidget(side)
        middle.addWidget(self._rule)
        right = QVBoxLayout()
        right.setSpacing(2 * gap)
        right.addWidget(self.pages, 1)
        right.addWidget(self.trouble)
        middle.addLayout(right, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(3 * gap, 3 * gap, 3 * gap, 3 * gap)
        layout.setSpacing(2 * gap)
        layout.addLayout(middle, 1)
        layout.addLayout(button_row(self.fix, self.back, self.next, left=self.leave))
        for pick in (self.dark, self.blank, self.sample):
            pick.changed.connect(lambda: self.say_trouble(""))
        self.sample.changed.connect(lambda: self.other_sample.setChecked(True))
        self.back.clicked.connect(lambda: self.turn_to(PARTS[self._place - 1]))
        self.next.clicked.connect(self._go_on)
        self.fix.clicked.connect(self._fix)
        self.leave.clicked.connect(self.reject)
        self.resize(108 * self.fontMetrics().averageCharWidth(), 33 * self.fontMetrics().height())
        self.setMinimumSize(96 * self.fontMetrics().averageCharWidth(), 27 * self.fontMetrics().height())
        self._offer_open_stack()
        self.turn_to("dark")

    @classmethod
    def start(cls, controller: Controller, parent: QWidget) -> ProfileGuide:
        """Open the guide, or bring the one that is open to the front."""
        # A guide that was closed lives on until the next turn of the event loop.
        for found in parent.findChildren(cls):
            if isinstance(found, cls) and found.isVisible():
                found.raise_()
                return found
        guide = cls(controller, parent)
        guide.show()
        return guide

    # Pages -----------------------------------------------------------------------------------------------

    def _page(self, name: str, content: QWidget) -> QWidget:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2 * gap_of(self))
        title = bold(QLabel(TITLES[name]))
        font = title.font()
        font.setPointSizeF(1.25 * font.pointSizeF())
        title.setFont(font)
        column.addWidget(title)
        if TEXTS[name]:
            self._leads.append(lead(TEXTS[name]))
            column.addWidget(self._leads[-1])
        column.addWidget(content, 1)
        return page

    def _column(self, *widgets: QWidget) -> QWidget:
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2 * gap_of(self))
        for widget in widgets:
            column.addWidget(widget)
        column.addStretch(1)
        return inner

    def _sample_page(self) -> QWidget:
        return self._column(self.open_sample, self.other_sample, self.sample)

    def _sign_page(self) -> QWidget:
        choices = []
        for sign, text in SIGNS:
            choice = QRadioButton(text)
            choice.setChecked(sign == 0)
            choice.setToolTip("Decides whether phase goes up or down where the sample is thicker")
            self.signs.addButton(choice, sign + 1)
            choices.append(choice)
        return self._column(*choices)

    def _measure_page(self) -> QWidget:
        self.browse = button("Browse…")
        self.browse.setMinimumWidth(0)
        self.browse.clicked.connect(self._browse)
        where = QHBoxLayout()
        where.setSpacing(gap_of(self))
        where.addWidget(QLabel("Write to"))
        where.addWidget(self.output, 1)
        where.addWidget(self.browse)
        table = QGridLayout()
        table.setHorizontalSpacing(3 * gap_of(self))
        table.setColumnStretch(1, 1)
        for row, (name, value) in enumerate(self.summary.items()):
            self._leads.append(QLabel(TITLES[name]))
            ink(self._leads[-1], colours().muted)
            value.setWordWrap(True)
            table.addWidget(self._leads[-1], row, 0, Qt.AlignmentFlag.AlignTop)
            table.addWidget(value, row, 1)
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2 * gap_of(self))
        column.addLayout(table)
        column.addLayout(where)
        column.addWidget(self.status)
        column.addWidget(scrolled(gap_of(self), self.steps), 1)
        return inner

    @property
    def _place(self) -> int:
        return self.pages.currentIndex()

    @property
    def part(self) -> str:
        """Which page is in front."""
        return PARTS[self._place]

    def turn_to(self, part: str) -> None:
        """Bring a page to the front; what a run has told is left behind."""
        self._history = None
        self.pages.setCurrentIndex(PARTS.index(part))
        self.say_trouble("")
        if part == "measure":
            self._sum_up()
            if not self.output.text():
                self.output.setText(str(profile_path(self._sample_name())))
        self.show_work()

    # What is measured ------------------------------------------------------------------------------------

    def plan(self) -> ProfilePlan:
        """What is asked for now."""
        return ProfilePlan(
            output=Path(self.output.text().strip()).expanduser(),
            dark=repr(typed_number(self.dark.text)) if is_number(self.dark.text) else self.dark.text,
            blank=self.blank.text,
            sample=self.sample.text if self.other_sample.isChecked() else "",
            sign=self.signs.checkedId() - 1,
        )

    def _offer_open_stack(self) -> None:
        document = self.controller.document
        there = isinstance(document.dataset, ImageStack)
        if isinstance(document.dataset, ImageStack):
            count, rows, columns = document.dataset.images.shape
            name = Path(document.data_source.path).name
            self.open_sample.setText(f"The open stack: {name}, {counted(count, 'image')} of {columns} × {rows} pixels")
        else:
            self.open_sample.setText("The open stack: there is none")
        self.open_sample.setEnabled(there)
        (self.open_sample if there and not self.sample.text else self.other_sample).setChecked(True)

    def _sample_name(self) -> str:
        return self.sample.text if self.other_sample.isChecked() else self.controller.document.data_source.path

    def _sum_up(self) -> None:
        plan = self.plan()
        sign = next(text for number, text in SIGNS if number == plan.sign).split(":")[0]
        texts = (
            plan.dark or "none",
            plan.blank or "none: brightness by the sample",
            plan.sample or f"the open stack, {Path(self._sample_name()).name}",
            sign[:1].lower() + sign[1:],
        )
        for label, text in zip(self.summary.values(), texts, strict=True):
            label.setText(text)

    def _problem(self) -> str:
        """What is wrong with the page in front; empty if nothing."""
        if self.part == "dark" and self.dark.text:
            return "" if is_number(self.dark.text) else _missing(self.dark.text)
        if self.part == "blank" and self.blank.text:
            return _missing(self.blank.text)
        if self.part == "sample" and self.other_sample.isChecked():
            return _missing(self.sample.text) if self.sample.text else "choose a stack of the sample"
        if self.part == "sample" and self.controller.document.geometry is None:
            return "the open stack has no geometry yet: choose one in the geometry form"
        return ""

    def _go_on(self) -> None:
        if problem := self._problem():
            self.say_trouble(problem)
        elif self.part == "measure":
            self.say_trouble("")
            if self.controller.measure_profile(self.plan()):
                self._history = self.controller.document.profile
                self.show_work()
            else:
                self.say_trouble("the measurement cannot begin", "a run is active, or the open stack has no geometry")
        elif self.part == "result":
            made = self.outcome.made
            if made is None or self.controller.use_profile(made.path):
                self.accept()
            else:
                self.say_trouble("the profile cannot be used while a run is active", "wait for its end, or stop it")
        else:
            self.turn_to(PARTS[self._place + 1])

    def _browse(self) -> None:
        if name := Files.to_save(self, "Write the profile to", self.output.text(), "Profile (*.toml)"):
            self.output.setText(name)

    # Showing ---------------------------------------------------------------------------------------------

    def show_work(self) -> None:
        """Show what the measurement has told, and what can be done now."""
        history, state = self._history, self.controller.state
        if history is not None and history.made is not None and not state.active and self.part == "measure":
            self.outcome.show_profile(history.made)
            self._history = None
            self.turn_to("result")
            return
        for widget in (self.status, self.steps):
            widget.setVisible(history is not None)
        bullets(self.steps, history.sentences if history is not None else (), colours().text)
        if self.working:
            self.status.show_busy()
        else:
            self.status.show_progress(0, 1)
        if history is not None and not state.active:
            self.say_end(history.end)
        blamed = history is not None and isinstance(history.end, Failed) and history.part != "measure"
        self.fix.setVisible(blamed)
        if history is not None and blamed:
            self.fix.setText(f"Change {TITLES[history.part].lower()}")
        self._mark()
        self._enable()

    def _fix(self) -> None:
        if self._history is not None:
            self.turn_to(self._history.part)

    def _mark(self) -> None:
        c = colours()
        ink(self._rule, c.line)
        for place, labels in enumerate(self.marks.values()):
            here, past = place == self._place, place < self._place
            labels[0].setText("✓" if past else str(place + 1))
            for label in labels:
                font = label.font()
                font.setBold(here)
                label.setFont(font)
                ink(label, c.accent if here else c.text if past else c.muted)

    def _enable(self) -> None:
        working, last = self.working, self.part == "result"
        self.back.setEnabled(self._place > 0 and not working)
        self.next.setText({"measure": "Measure", "result": "Use it for the open stack"}.get(self.part, "Next"))
        is_stack = isinstance(self.controller.document.dataset, ImageStack)
        self.next.setEnabled(not working and (not last or is_stack))
        using = "Reads the open stack anew through the profile; undo takes it back"
        self.next.setToolTip(using if last else "To the next page")
        self.leave.setText("Close" if last else "Cancel")
        for widget in (self.output, self.browse):
            widget.setEnabled(not working)

    def document_replaced(self) -> None:
        """Another stack is open: it may be the sample."""
        self._offer_open_stack()
        self._enable()

    def use_colours(self) -> None:
        """Take the colours of the theme."""
        super().use_colours()
        for label in self._leads:
            ink(label, colours().muted)
        paint_primary(self.next)
        self.outcome.use_colours()
        self.show_work()


def _missing(name: str) -> str:
    return "" if Path(name).exists() else f"there is no file or folder {name}: check the path"
