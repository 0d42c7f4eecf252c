"""What a person drops on the window that is neither data nor a whole geometry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data import foreign_layouts as foreign

from ptychoui.errors import DataError, SettingsError
from ptychoui.session.opening import OpenedData, OpenedGeometry, load_data, open_anything
from ptychoui.settings import DataSource


def test_a_geometry_that_names_a_table(tmp_path: Path) -> None:
    (tmp_path / "leds.csv").write_text("number,x_mm,y_mm,z_mm\n7,0,0,0\n9,4,0,0\n")
    text = f'{foreign.SCOPE_TOML}[array]\npositions_file = "leds.csv"\nheight_mm = 80\n'
    (tmp_path / "g.toml").write_text(text)
    found = open_anything(tmp_path / "g.toml")
    assert isinstance(found, OpenedGeometry) and found.geometry.array.numbers() == (7, 9)
    with pytest.raises(DataError, match="is a table of LED positions, not images"):
        open_anything(tmp_path / "leds.csv")
    (tmp_path / "g.toml").write_text(text.replace("height_mm = 80", ""))
    with pytest.raises(SettingsError, match=r"partial geometry: it lacks array\.height_mm"):
        open_anything(tmp_path / "g.toml")


def test_data_of_another_program_with_a_partial_geometry(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((9, 8, 10)).astype(np.float32) + 0.1
    path = foreign.write_foreign("aidukas", tmp_path, images)
    opened = open_anything(path)
    assert isinstance(opened, OpenedData) and opened.dataset.geometry is not None
    (tmp_path / "part.toml").write_text("[microscope]\nobjective_na = 0.2\n")
    opened = load_data(DataSource(path=path, geometry=str(tmp_path / "part.toml")), None)
    assert opened.dataset.geometry is not None and opened.dataset.geometry.microscope.objective_na == 0.2
