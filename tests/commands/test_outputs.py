"""No command writes over what it reads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import tifffile
from commands.calls import Call, some_images

from ptychoui.commands.options import check_output
from ptychoui.errors import SettingsError


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, some_images(), photometric="minisblack")
    return path


@pytest.mark.parametrize(
    "words",
    [
        ("reconstruct", "s.tif", "-o", "s.tif"),
        ("reconstruct", "s.tif", "-o", "./folder/../s.tif"),
        ("reconstruct", "s.tif", "-o", "link.tif"),
        ("reconstruct", "s.tif", "-o", "g.toml", "--geometry", "g.toml"),
        ("reconstruct", "s.tif", "-o", "p.json", "--patterns", "p.json"),
        ("reconstruct", "s.tif::red", "-o", "s.tif"),
        ("reconstruct", "folder", "-o", "folder/led_3.tif"),
        ("reconstruct", "folder", "-o", "out.h5", "--figures", "folder"),
        ("calibrate", "s.tif", "-o", "s.tif"),
        ("calibrate", "s.tif", "--geometry", "g.toml", "-o", "g.toml"),
        ("calibrate", "s.tif", "-o", "s.geometry.toml"),
        ("calibrate", "folder", "-o", "folder/geometry.toml"),
        ("profile", "s.tif", "-o", "s.tif"),
        ("profile", "s.tif", "-o", "g.toml", "--geometry", "g.toml"),
        ("profile", "s.tif", "-o", "dark.tif", "--dark", "dark.tif"),
        ("profile", "s.tif", "-o", "dark.tif", "--blank", "dark.tif"),
        ("objects", "simulation", "s.tif", "-o", "s.tif"),
        ("objects", "s.tif", "--geometry", "g.toml", "-o", "g.toml"),
        ("objects", "folder", "-o", "folder/led_3.tif"),
    ],
    ids=" ".join,
)
def test_what_is_read_is_not_overwritten(
    words: tuple[str, ...],
    refused: Call,
    stack: Path,
    lattice: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    for name in ("dark.tif", "p.json", "folder/led_3.tif", "folder/geometry.toml", "s.geometry.toml"):
        Path(name).write_bytes(b"something")
    os.symlink("s.tif", "link.tif")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    said = refused(*words)
    assert "overwritten" in said or "among the images" in said
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_results_may_be_written_again(stack: Path, tmp_path: Path) -> None:
    """Beside the data and in their folder, and over an earlier result, whatever its geometry file is called."""
    for name in ("out.h5", "geometry.toml", "g0.toml"):
        (tmp_path / name).write_bytes(b"an earlier result")
        check_output(str(tmp_path / name), str(tmp_path), str(stack), geometry="uconn_bloodsmear")
        check_output(str(tmp_path / name), "simulation", "100", "no\0name", None, geometry=str(tmp_path / "other.toml"))
    with pytest.raises(SettingsError, match="overwritten"):
        check_output(str(tmp_path / "geometry.toml"), str(stack))
