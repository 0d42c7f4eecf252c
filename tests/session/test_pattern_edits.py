"""Edits of patterns: one step of undo each, by their names, and only where a pattern may shine."""

from __future__ import annotations

import numpy as np
import pytest

from ptychoui.errors import SettingsError
from ptychoui.session.document import Document
from ptychoui.session.edits import usual_geometry
from ptychoui.settings import Design, FpmExperiment


def document(**design: object) -> Document:
    settings = Design(bright_field_rows=2, dark_field_rows=3, **design)
    return Document(FpmExperiment(geometry=usual_geometry(), design=settings))


def levels(doc: Document) -> np.ndarray:
    found = doc.design()
    assert found is not None
    return found[0]


def exposures(doc: Document) -> np.ndarray:
    found = doc.design()
    assert found is not None
    return found[1]


def is_bright(doc: Document) -> np.ndarray:
    leds = doc.leds()
    assert leds is not None
    return leds.radius_na < 0.1


def test_a_stroke_is_one_step_with_its_name() -> None:
    doc = document()
    start = levels(doc).copy()
    wanted = start[3].copy()
    wanted[np.flatnonzero(~is_bright(doc))[:12]] = 0.123
    assert doc.edit_row("Paint", 3, wanted) == ""
    assert doc.undo_label == "Paint 12 LEDs in dark field 2"
    assert (levels(doc)[3] == wanted).all() and (np.delete(levels(doc), 3, 0) == np.delete(start, 3, 0)).all()
    assert doc.dirty
    assert doc.undo() == "Paint 12 LEDs in dark field 2"
    assert (levels(doc) == start).all() and not doc.undo_label
    doc.redo()
    assert (levels(doc)[3] == wanted).all()


def test_leds_of_the_other_field_stay_dark_and_are_counted() -> None:
    doc = document()
    row = levels(doc)[2]
    note = doc.edit_row("Fill", 2, np.ones_like(row))
    bright = is_bright(doc)
    assert (levels(doc)[2] == np.where(bright, 0.0, 1.0)).all()
    assert note == f"{bright.sum()} LEDs lie in the other field and stay as they are"


def test_an_edit_of_the_other_field_alone_is_refused_and_undo_takes_nothing_back() -> None:
    doc = document()
    doc.edit_row("Fill", 2, np.ones_like(levels(doc)[2]))
    before = levels(doc).copy()
    with pytest.raises(SettingsError, match="'dark field 1' may light none"):
        doc.edit_row("Paint", 2, np.where(is_bright(doc), 0.5, before[2]))
    doc.undo()
    assert (levels(doc) == before).all()


def test_nothing_changed_is_no_step() -> None:
    doc = document()
    assert doc.edit_row("Paint", 1, levels(doc)[1].copy()) == ""
    assert not doc.undo_label


def test_a_slider_is_one_step_and_another_selection_another() -> None:
    doc = document()
    start = levels(doc).copy()
    led = int(np.flatnonzero(is_bright(doc))[0])
    for level in (0.1, 0.2, 0.3):
        row = levels(doc)[0].copy()
        row[led] = level
        doc.edit_row("Set", 0, row, "slide 0 a")
    row = levels(doc)[0].copy()
    row[led] = 0.9
    doc.edit_row("Set", 0, row, "slide 0 b")
    doc.undo()
    assert levels(doc)[0, led] == 0.3
    doc.undo()
    assert (levels(doc) == start).all()


def test_what_the_array_cannot_show_is_said() -> None:
    doc = document(maximum_lit=5)
    dark = np.flatnonzero(~is_bright(doc))
    wanted = np.zeros(levels(doc).shape[1])
    wanted[dark[:8]] = 1.0
    assert doc.edit_row("Paint", 2, wanted) == "3 LEDs stay dark: at most 5 may be lit at once"
    assert (levels(doc)[2] > 0).sum() == 5


def test_patterns_move_with_their_frame_times() -> None:
    doc = document()
    before = levels(doc).copy()
    doc.take_design("Run", before, np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    doc.move_row(2, 4)
    assert doc.undo_label == "Move dark field 1 to place 5"
    assert (levels(doc) == before[[0, 1, 3, 4, 2]]).all()
    assert exposures(doc).tolist() == [1, 2, 4, 5, 3]
    doc.swap_rows(0, 1)
    assert doc.undo_label == "Swap bright field 1 and bright field 2"
    assert (levels(doc) == before[[1, 0, 3, 4, 2]]).all() and exposures(doc).tolist() == [2, 1, 4, 5, 3]
    doc.undo()
    doc.undo()
    assert (levels(doc) == before).all() and exposures(doc).tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("move", [(1, 2), (2, 1), (0, 4)])
def test_patterns_stay_in_their_field(move: tuple[int, int]) -> None:
    doc = document()
    for do in (doc.move_row, doc.swap_rows):
        with pytest.raises(SettingsError, match="bright-field patterns come first"):
            do(*move)
    assert not doc.undo_label


def test_a_pattern_is_added_behind_its_like() -> None:
    doc = document()
    before = levels(doc).copy()
    assert doc.add_row(1) == 2
    assert doc.fpm is not None and (doc.fpm.design.bright_field_rows, doc.fpm.design.dark_field_rows) == (3, 3)
    assert (levels(doc) == before[[0, 1, 1, 2, 3, 4]]).all()
    doc.add_row(5)
    assert doc.fpm.design.dark_field_rows == 4
    assert (levels(doc) == before[[0, 1, 1, 2, 3, 4, 4]]).all()
    doc.undo()
    doc.undo()
    assert doc.fpm.design.rows == 5 and (levels(doc) == before).all()


def test_a_fixed_total_exposure_is_shared_by_more_patterns() -> None:
    doc = document(total_exposure=5.0)
    doc.add_row(4)
    assert exposures(doc) == pytest.approx([5 / 6] * 6)
    tight = document(total_exposure=5.0, minimum_exposure=0.9)
    with pytest.raises(SettingsError, match=r"leaves 0\.83"):
        tight.add_row(4)
    assert tight.fpm is not None and tight.fpm.design.rows == 5 and not tight.undo_label


def test_a_pattern_is_removed_but_for_the_last_of_the_bright_field() -> None:
    doc = document()
    before = levels(doc).copy()
    doc.remove_row(3)
    assert doc.undo_label == "Remove dark field 2"
    assert (levels(doc) == before[[0, 1, 2, 4]]).all()
    doc.remove_row(0)
    with pytest.raises(SettingsError, match="only bright-field pattern"):
        doc.remove_row(0)
    assert (levels(doc) == before[[1, 2, 4]]).all()


def test_most_patterns_of_a_field() -> None:
    settings = Design(bright_field_rows=256, dark_field_rows=0)
    doc = Document(FpmExperiment(geometry=usual_geometry(), design=settings))
    with pytest.raises(SettingsError, match="256 patterns"):
        doc.add_row(3)


def test_without_a_geometry_there_is_nothing_to_edit() -> None:
    doc = Document(FpmExperiment())
    assert doc.may_light() is None and doc.edit_row("Paint", 0, np.ones(3)) == ""
    with pytest.raises(SettingsError, match="no patterns yet"):
        doc.add_row(0)
