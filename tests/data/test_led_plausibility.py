"""Places of LEDs in another unit than the reader takes them for: refused, with a hint at the unit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from data import foreign_layouts as foreign

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.geometry_file import read_geometry
from ptychoui.data.formats.led_table import Leds
from ptychoui.data.formats.open import open_dataset
from ptychoui.errors import DataError

INDICES = np.stack(np.meshgrid(np.arange(-1, 2), np.arange(-1, 2), indexing="ij"), -1).reshape(-1, 2).astype(float)
PLACES_M = -np.column_stack([foreign.Y_MM, foreign.X_MM]) * 1e-3


def with_encoder(folder: Path, encoder: np.ndarray, name: str = "encoder", zled: float | None = None) -> Path:
    images = np.random.default_rng(0).random((9, 8, 10)) + 0.1
    path = foreign.ptylab(folder, images) if name == "encoder" else foreign.aidukas(folder, images)
    with h5py.File(path, "r+") as file:
        group = file if name == "encoder" else file["section0"]
        del group[name]
        group[name] = encoder
        if zled is not None:
            del file["zled"]
            file["zled"] = zled
    return path


@pytest.mark.parametrize("name", ["encoder", "positions_led"])
@pytest.mark.parametrize(
    ("encoder", "words"),
    [
        (INDICES, "whole metres apart, up to 1 m"),
        (INDICES + 4.5, "whole metres apart"),  # counted from elsewhere
        (PLACES_M * 1e3, "hardly meant"),  # mm
        (PLACES_M * 1e6, "hardly meant"),  # um
        (PLACES_M * 1e-3, "hardly meant"),  # km
    ],
)
def test_places_that_are_no_metres(name: str, encoder: np.ndarray, words: str, tmp_path: Path) -> None:
    path = with_encoder(tmp_path, encoder, name)
    with pytest.raises(DataError, match=words) as caught:
        open_dataset(f"{path}::section0" if name == "positions_led" else path)
    assert name in caught.value.message and "in m: are they" in caught.value.hint


@pytest.mark.parametrize("lying", [False, True])
def test_indices_high_above_the_sample_are_no_places_either(lying: bool, tmp_path: Path) -> None:
    # At 1.9 m even whole metres have an illumination NA that an array can have.
    with pytest.raises(DataError, match="are they LED indices"):
        open_dataset(with_encoder(tmp_path, INDICES.T if lying else INDICES, zled=1.9))


def test_metres_are_read(tmp_path: Path) -> None:
    read = open_dataset(with_encoder(tmp_path, PLACES_M))
    assert isinstance(read, ImageStack) and read.geometry is not None
    np.testing.assert_allclose(np.array(read.geometry.array.positions_mm)[:, 0], foreign.X_MM)


@pytest.mark.parametrize(("scale", "fits"), [(1.0, True), (250.0, False)])
@pytest.mark.parametrize("kind", ["json", "csv"])
def test_tables_that_a_geometry_names(kind: str, scale: float, fits: bool, tmp_path: Path) -> None:
    flat = INDICES * 4 * scale
    if kind == "json":
        (tmp_path / "t").write_text(json.dumps({"led_list": [{"x": x, "y": y, "z": 0.0} for x, y in flat.tolist()]}))
    else:
        (tmp_path / "t").write_text("x_mm,y_mm\n" + "".join(f"{x},{y}\n" for x, y in flat))
    (tmp_path / "g.toml").write_text(
        "[microscope]\nobjective_na = 0.1\nmagnification = 2\nwavelength_um = 0.5\ncamera_pixel_um = 4\n"
        '[array]\nheight_mm = 60\npositions_file = "t"\n'
    )
    if fits:
        read_geometry(tmp_path / "g.toml")
        return
    with pytest.raises(DataError, match=r"8 LEDs have an illumination NA of 0\.995 or more.*60 mm below") as caught:
        read_geometry(tmp_path / "g.toml")
    assert "are they LED indices, or in another unit?" in caught.value.hint


@pytest.mark.parametrize(
    ("known", "fits"),
    [
        ({}, True),  # the height is not known yet
        ({"array.height_mm": 100.0}, True),
        ({"array.height_mm": 10.0}, False),
        ({"array.height_mm": 10.0, "array.pose.shift_x_mm": -120.0}, True),  # origin of the table in a corner
    ],
)
def test_the_height_decides(known: dict[str, Any], fits: bool) -> None:
    leds = Leds(positions_mm=np.array([[120.0, 0, 0], [116.0, 4, 0]]))
    if fits:
        assert len(leds.settings(known)["array.positions_mm"]) == 2
    else:
        with pytest.raises(DataError, match="2 LEDs have an illumination NA"):
            leds.settings(known)
