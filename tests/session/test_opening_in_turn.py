"""Opening one thing after another: the second is as if it had been opened alone."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import tomli_w
from data import foreign_layouts as foreign

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.native import save_hdf5
from ptychoui.errors import DataError
from ptychoui.session.document import Document
from ptychoui.session.edits import usual_geometry, with_value
from ptychoui.session.offered import answered, offered_geometry
from ptychoui.session.opening import GeometryWanted, OpenedData, demo_experiment, load_data, open_or_ask
from ptychoui.settings import Geometry

SQUARE = usual_geometry().replace(array=usual_geometry().array.replace(rows=3, columns=3))


def geometry_toml(geometry: Geometry) -> str:
    return tomli_w.dumps(geometry.model_dump(mode="json", exclude_none=True))


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Ten stacks that state nothing, something or all of the microscope."""
    folder = tmp_path_factory.mktemp("stacks")
    chance = np.random.default_rng(3)

    def images(count: int = 9) -> np.ndarray:
        return chance.integers(100, 4000, (count, 8, 10), dtype=np.uint16)

    found = {}
    for name, count in (("bare nine", 9), ("bare five by five", 25), ("whole", 9), ("part", 9)):
        path = folder / name / "stack.tif"
        path.parent.mkdir()
        tifffile.imwrite(path, images(count), photometric="minisblack")
        found[name] = str(path)
    (folder / "whole" / "geometry.toml").write_text(geometry_toml(SQUARE))
    other = with_value(SQUARE, "microscope.wavelength_um", 0.47)
    text = "\n".join(line for line in geometry_toml(other).splitlines() if "height_mm" not in line)
    (folder / "part" / "geometry.toml").write_text(text)
    for name in ("aidukas", "ptylab", "uconn amplitudes", "caltech"):
        (folder / name).mkdir()
        found[name] = foreign.write_foreign(name, folder / name, images().astype(np.float32) / 4000)
    numbers = np.arange(9)
    for name, geometry in (("own", with_value(SQUARE, "array.height_mm", 90.0)), ("own without", None)):
        stack = ImageStack(images=images().astype(np.float32) / 4000, led_numbers=numbers, geometry=geometry)
        found[name] = str(save_hdf5(folder / f"{name}.h5", stack))
    assert len(found) == 10
    return found


def opened(document: Document, path: str) -> dict[str, Any]:
    """Open a path in a document, and everything that can be seen of it then."""
    result = open_or_ask(path)
    if isinstance(result, GeometryWanted):
        return {"asked": result.missing, "stated": dict(result.stated), "message": result.message}
    assert isinstance(result, OpenedData)
    document.take_data(result)
    data = document.dataset
    assert isinstance(data, ImageStack)
    return {
        "experiment": document.experiment,
        "geometry": document.geometry,
        "notes": data.provenance.notes,
        "facts": data.provenance.facts,
        "images": data.images.tobytes(),
        "LEDs": data.led_numbers.tolist(),
        "plan": document.plan,
        "file": document.path,
        "undo": (document.undo_label, document.redo_label, document.dirty),
        "design": None if document.design() is None else [part.tolist() for part in document.design() or ()],
        "results": (document.reconstruction.report, document.calibration.found, document.run_folder),
    }


@pytest.fixture(scope="module")
def alone(stacks: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {name: opened(Document(), path) for name, path in stacks.items()}


def test_the_stacks_differ_in_what_they_state(alone: dict[str, dict[str, Any]]) -> None:
    asking = [name for name, seen in alone.items() if "asked" in seen]
    assert {"bare nine", "bare five by five", "part"} <= set(asking) and {"aidukas", "whole", "own"}.isdisjoint(asking)
    assert (
        alone["part"]["asked"] == ("array.height_mm",) and alone["part"]["stated"]["microscope.wavelength_um"] == 0.47
    )
    assert alone["own without"]["geometry"] is None


def test_the_second_of_any_two_is_as_if_it_were_alone(stacks: dict[str, str], alone: dict[str, dict[str, Any]]) -> None:
    for first, second in permutations(stacks, 2):
        document = Document()
        opened(document, stacks[first])
        assert opened(document, stacks[second]) == alone[second], (first, second)


@pytest.mark.parametrize("edited", [False, True])
def test_nothing_of_the_demo_acts_on_a_stack(
    stacks: dict[str, str], alone: dict[str, dict[str, Any]], edited: bool
) -> None:
    for name, path in stacks.items():
        document = Document()
        document.replace_experiment(demo_experiment(), None)
        document.dataset = load_data(document.experiment.data, document.experiment.geometry).dataset
        if edited:
            document.edit("unrolls", with_value(document.experiment, "network.unrolls", 7))
            document.plan = with_value(document.plan, "size_px", 32)
        assert document.geometry is not None
        assert opened(document, path) == alone[name], name


def test_what_is_not_stated_is_offered_from_before_and_nothing_else(stacks: dict[str, str]) -> None:
    """Of a stack that states all but the height, the height alone is taken over, and said to be."""
    before = with_value(with_value(SQUARE, "array.height_mm", 123.0), "microscope.wavelength_um", 0.85)
    before = with_value(with_value(before, "array.pose.shift_x_mm", 0.7), "microscope.defocus_um", 15.0)
    wanted = open_or_ask(stacks["part"])
    assert isinstance(wanted, GeometryWanted)
    offered, taken = offered_geometry(wanted, before)
    assert taken == {"array.height_mm"} and offered.array.height_mm == 123.0
    assert offered.microscope.wavelength_um == 0.47 and offered.microscope.defocus_um == 0.0
    fresh, none = offered_geometry(wanted, None)
    assert not none and fresh.array.height_mm == usual_geometry().array.height_mm
    found = open_or_ask(stacks["part"], answered(wanted, offered, ["array.height_mm"]))
    assert isinstance(found, OpenedData) and found.geometry == found.dataset.geometry  # type: ignore[union-attr]
    assert found.geometry == with_value(with_value(SQUARE, "microscope.wavelength_um", 0.47), "array.height_mm", 123.0)


def test_a_layout_of_before_is_offered_without_the_pose_and_the_leds_of_its_stack(stacks: dict[str, str]) -> None:
    wanted = open_or_ask(stacks["bare five by five"])
    assert isinstance(wanted, GeometryWanted) and wanted.asks_for_layout
    before = with_value(with_value(SQUARE, "array.pose.shift_x_mm", 0.7), "array.led_numbers", tuple(range(8, -1, -1)))
    offered, taken = offered_geometry(wanted, before)
    assert offered.array.pose.shift_x_mm == 0 and offered.array.led_numbers is None
    assert {"array.kind", "array.rows", "microscope.objective_na"} <= taken
    table = before.replace(array=before.array.replace(kind="table", positions_mm=((0.0, 0.0, 0.0),), led_numbers=None))
    offered, taken = offered_geometry(wanted, table)
    assert offered.array.kind == "lattice" and "array.kind" not in taken and offered.array.positions_mm is None
    with pytest.raises(DataError, match="25"):  # what was confirmed and is wrong is refused, not mended unseen
        names = ["array.rows", "array.columns"]
        open_or_ask(stacks["bare five by five"], answered(wanted, offered_geometry(wanted, before)[0], names))


def test_an_error_that_is_no_question_is_not_answered_by_an_old_geometry(tmp_path: Path) -> None:
    """A table of LEDs, a damaged file and a geometry that does not fit stay what they are."""
    tifffile.imwrite(tmp_path / "stack.tif", np.ones((8, 8, 10), np.uint16), photometric="minisblack")
    (tmp_path / "geometry.toml").write_text(geometry_toml(SQUARE))
    with pytest.raises(DataError, match="8"):
        open_or_ask(tmp_path / "stack.tif")
    (tmp_path / "cut.tif").write_bytes((tmp_path / "stack.tif").read_bytes()[:200])
    with pytest.raises(DataError):
        open_or_ask(tmp_path / "cut.tif")
