"""Words of work that goes on: left behind by a process that is gone, and by no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ptychoui.session import recovery
from ptychoui.session.document import Document
from ptychoui.session.kept_design import KeptDesign, design_path, read_design, write_design
from ptychoui.session.unfinished import Unfinished, left_behind, unfinished_folder
from ptychoui.settings import FpmExperiment


def test_work_is_found_once_its_process_lets_go(tmp_path: Path) -> None:
    experiment = FpmExperiment(name="cells")
    assert not left_behind()
    work = Unfinished.begin("training", experiment, tmp_path / "a.toml", tmp_path / "runs" / "a-1")
    assert not left_behind(), "it is going on"
    work.leave()
    (found,) = left_behind()
    assert (found.kind, found.experiment, found.path) == ("training", experiment, tmp_path / "a.toml")
    assert found.run_folder == tmp_path / "runs" / "a-1" and found.taken_up and "a.toml" in found.sentence
    assert not left_behind(), "it is offered to one window alone"
    found.drop()
    assert not list(unfinished_folder().iterdir())


def test_the_newest_comes_first_and_damaged_words_stop_nothing() -> None:
    for kind in ("reconstruction", "field"):
        Unfinished.begin(kind, FpmExperiment(name=kind), None, Path("field.h5")).leave()  # type: ignore[arg-type]
    for number, text in enumerate(("{", "[]", '{"kind": "training"}', "")):
        folder = unfinished_folder() / f"bad{number}"
        folder.mkdir()
        (folder / "work.json").write_text(text)
    found = left_behind()
    assert {work.kind for work in found} == {"reconstruction", "field"}
    for work in found:
        assert ("just begun" in work.sentence) == (work.kind == "reconstruction")
        assert ("tiles are kept" in work.sentence) == (work.kind == "field")
        work.drop()


def test_the_file_beside_an_experiment_gives_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    levels = np.random.default_rng(0).random((3, 25))
    write_design(
        path, KeptDesign(levels=levels, exposures=np.ones(3), run_folder=tmp_path / "runs" / "a", going_on=True)
    )
    found = read_design(path)
    assert found.levels is not None and np.array_equal(found.levels, levels)
    assert found.run_folder is not None and found.run_folder.resolve() == tmp_path / "runs" / "a" and found.going_on
    write_design(path, KeptDesign())
    assert not design_path(path).exists() and read_design(path) == KeptDesign()


@pytest.mark.parametrize("text", ["{", "[]", '{"run": ""}', '{"run": "", "levels": [1], "exposures": null}'])
def test_a_damaged_file_beside_an_experiment_is_said(tmp_path: Path, text: str) -> None:
    from ptychoui.errors import DataError

    design_path(tmp_path / "a.toml").write_text(text)
    with pytest.raises(DataError, match="damaged"):
        read_design(tmp_path / "a.toml")


def test_levels_that_were_not_saved_are_recovered_with_the_settings() -> None:
    from ptychoui.session.opening import demo_experiment

    document = Document()
    document.replace_experiment(demo_experiment(), None)
    leds = document.leds()
    assert leds is not None
    document.edit_level(0, int(np.argmin(leds.radius_na)), 0.25)
    document.write_recovery()
    found = recovery.read_recovery()
    assert found is not None
    again = Document()
    again.mark_recovered(found)
    assert np.array_equal(again.changed_design[0], document.changed_design[0])  # type: ignore[arg-type]
    recovery.drop_recovery()
    assert recovery.read_recovery() is None and not design_path(recovery.recovery_path()).exists()
