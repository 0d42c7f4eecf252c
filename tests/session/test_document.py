from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ptychoui.data.formats.open import open_dataset
from ptychoui.errors import DataError, SettingsError
from ptychoui.paths import data_file
from ptychoui.session import recovery
from ptychoui.session.document import Document
from ptychoui.session.edits import KIND_DEFAULTS, description_of, usual_geometry, value_of, with_kind, with_value
from ptychoui.session.opening import OpenedData
from ptychoui.settings import DataSource, FpmExperiment, blank_experiment, load_experiment
from ptychoui.tasks.fpm.defaults import fitted

CENTRE = 112
"""Place of the LED on the axis of the usual 15 x 15 lattice."""


def document() -> Document:
    return Document(FpmExperiment(geometry=usual_geometry()))


def test_edits_are_undone_and_redone_in_order() -> None:
    doc = document()
    start = doc.experiment
    doc.edit("unrolls", with_value(start, "network.unrolls", 7), "network.unrolls")
    doc.edit("steps", with_value(doc.experiment, "training.steps", 5), "training.steps")
    assert doc.undo_label == "steps"
    doc.undo()
    assert (doc.experiment.network.unrolls, doc.experiment.training.steps) == (7, start.training.steps)
    doc.undo()
    assert doc.experiment == start and not doc.undo_label
    doc.redo()
    doc.redo()
    assert (doc.experiment.network.unrolls, doc.experiment.training.steps) == (7, 5)
    assert not doc.redo_label


def test_typing_in_one_field_is_one_undo_step() -> None:
    doc = document()
    start = doc.experiment
    for unrolls in (2, 20, 200):
        doc.edit("unrolls", with_value(doc.experiment, "network.unrolls", unrolls), "network.unrolls")
    doc.undo()
    assert doc.experiment == start


def test_an_edit_after_undo_forgets_what_could_be_redone() -> None:
    doc = document()
    doc.edit("a", with_value(doc.experiment, "network.unrolls", 2), "network.unrolls")
    doc.undo()
    doc.edit("b", with_value(doc.experiment, "network.unrolls", 3), "network.unrolls")
    assert not doc.redo_label
    assert doc.undo_label == "b"


def test_no_change_is_no_edit() -> None:
    doc = document()
    assert not doc.edit("same", doc.experiment.replace())
    assert not doc.undo_label and not doc.dirty


def test_levels_are_edited_and_undone() -> None:
    doc = document()
    before = doc.design()
    assert before is not None
    doc.edit_level(0, CENTRE, 0.25)
    after = doc.design()
    assert after is not None and after[0][0, CENTRE] == 0.25
    assert np.count_nonzero(after[0] != before[0]) <= 1
    assert doc.patterns().levels[0, CENTRE] == 0.25
    doc.undo()
    again = doc.design()
    assert again is not None and np.array_equal(again[0], before[0])


def test_a_row_lights_leds_of_its_field_only() -> None:
    doc = document()
    with pytest.raises(SettingsError, match="LED 0 cannot be lit in 'bright field 1'"):
        doc.edit_level(0, 0, 1.0)
    assert not doc.undo_label


def test_a_design_does_not_survive_another_number_of_rows_but_undo_brings_it_back() -> None:
    doc = document()
    doc.edit_level(0, CENTRE, 0.25)
    doc.edit("rows", with_value(doc.experiment, "design.dark_field_rows", 1), "design.dark_field_rows")
    design = doc.design()
    assert design is not None and design[0].shape[0] == 2
    doc.undo()
    design = doc.design()
    assert design is not None and design[0][0, CENTRE] == 0.25


def test_saving_clears_dirty_and_the_recovery_file(tmp_path: Path) -> None:
    doc = document()
    doc.edit("unrolls", with_value(doc.experiment, "network.unrolls", 7))
    assert doc.dirty
    doc.write_recovery()
    found = recovery.read_recovery()
    assert found is not None and found.network.unrolls == 7
    doc.save(tmp_path / "mine.toml")
    assert not doc.dirty
    assert recovery.read_recovery() is None
    assert load_experiment(tmp_path / "mine.toml") == doc.experiment


def test_recovered_settings_are_unsaved() -> None:
    doc = document()
    doc.edit("unrolls", with_value(doc.experiment, "network.unrolls", 7))
    doc.write_recovery()
    other = Document()
    found = recovery.read_recovery()
    assert found is not None
    other.mark_recovered(found)
    assert other.dirty and other.experiment.network.unrolls == 7


def test_a_document_without_a_name_says_so() -> None:
    with pytest.raises(DataError, match="no file name"):
        document().save()


def test_no_geometry_no_patterns() -> None:
    doc = Document()
    assert doc.design() is None
    with pytest.raises(DataError, match="no patterns"):
        doc.patterns()


@pytest.mark.parametrize("kind", sorted(KIND_DEFAULTS))
def test_every_kind_of_array_can_be_chosen(kind: str) -> None:
    assert with_kind(usual_geometry().array, kind).kind == kind


def test_another_kind_of_array_has_other_numbers() -> None:
    chosen = usual_geometry().array.replace(led_numbers=(200, 100))
    assert with_kind(chosen, "lattice").numbers() == (200, 100)
    assert with_kind(chosen, "spiral").led_numbers is None


def test_settings_by_name() -> None:
    experiment = document().experiment
    changed = with_value(experiment, "geometry.array.pose.tilt_x_deg", 2.0)
    assert value_of(changed, "geometry.array.pose.tilt_x_deg") == 2.0
    assert value_of(FpmExperiment(), "geometry.array.pitch_mm") is None
    assert "degrees" in description_of("geometry.array.pose.tilt_x_deg")
    with pytest.raises(SettingsError, match="unrolls"):
        with_value(experiment, "network.unrolls", 0)
    with pytest.raises(SettingsError, match="no table"):
        with_value(FpmExperiment(), "geometry.array.pitch_mm", 1.0)


def test_a_bare_stack_gets_settings_that_suit_it() -> None:
    """Those of ``ptychoui train --data``, but for the LEDs: the window reconstructs with all of them."""
    stack = open_dataset(data_file("sample:stack"), None)
    document = Document()
    document.take_data(OpenedData(stack, "sample:stack"))
    experiment = document.experiment
    assert isinstance(experiment, FpmExperiment)
    assert experiment.design.start == "best" and experiment.training.compare and experiment.network.prior == "smooth"
    suited = fitted(blank_experiment().replace(data=DataSource(path="sample:stack")))
    assert experiment == suited.replace(geometry=None) and not document.dirty
