"""Every export holds the design, whole, and an old file survives a write that fails."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ptychoui.design.patterns import PatternSet
from ptychoui.errors import DataError, SettingsError
from ptychoui.export.formats import FORMATS, export_patterns
from ptychoui.export.json_file import load_patterns
from ptychoui.export.options import design_hash
from ptychoui.export.quantise import quantise

Make = Callable[..., PatternSet]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_writes_what_it_says(name: str, tmp_path: Path, make_patterns: Make) -> None:
    row = FORMATS[name]
    path = tmp_path / f"design{row.suffix}"
    done = export_patterns(make_patterns(), name, path)
    assert row.description and done.paths
    assert all(p.is_file() and p.stat().st_size > 100 for p in done.paths)
    assert path.is_dir() == row.is_folder
    written = {p.name for p in (path if row.is_folder else tmp_path).iterdir()}
    assert written == {p.name for p in done.paths}, "a temporary file was left"


@pytest.mark.parametrize("name", FORMATS)
def test_full_disk_keeps_the_old_export(
    name: str, tmp_path: Path, make_patterns: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"design{FORMATS[name].suffix}"
    first = export_patterns(make_patterns(), name, path).paths[0]
    before = first.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="the disk is full"):
        export_patterns(make_patterns(np.ones((3, 25))), name, path)
    assert first.read_bytes() == before


def test_unknown_format_bits_and_folder(tmp_path: Path, make_patterns: Make) -> None:
    with pytest.raises(SettingsError, match="unknown export format 'pdf'") as caught:
        export_patterns(make_patterns(), "pdf", tmp_path / "a")
    assert "json, csv, png" in caught.value.hint
    with pytest.raises(SettingsError, match="12 bits were asked for, but c_header holds 1 to 8 bits"):
        export_patterns(make_patterns(), "c_header", tmp_path / "a.h", bits=12)
    with pytest.raises(SettingsError, match="but csv holds raw levels"):
        export_patterns(make_patterns(), "csv", tmp_path / "a.csv", bits=2)
    with pytest.raises(SettingsError, match="a frame of 0 ms"):
        export_patterns(make_patterns(), "json", tmp_path / "a.json", frame_ms=0)
    with pytest.raises(DataError, match="there is no folder"):
        export_patterns(make_patterns(), "json", tmp_path / "none" / "a.json")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot make the folder"):
        export_patterns(make_patterns(), "png", tmp_path / "file")


# ------------------------------------------------------------------------------------ JSON


def test_json_round_trip(tmp_path: Path, make_patterns: Make) -> None:
    patterns = make_patterns()
    path = tmp_path / "a.json"
    done = export_patterns(patterns, "json", path, bits=2, frame_ms=20)
    read = load_patterns(path)
    for name in ("levels", "exposures", "led_numbers", "positions_mm", "illumination_na"):
        np.testing.assert_array_equal(getattr(read, name), getattr(patterns, name))
    assert (read.row_names, read.geometry, read.name) == (patterns.row_names, patterns.geometry, patterns.name)
    assert read.record == {"seed": 1, "loss": None, "steps": [1, 2]}
    document = json.loads(path.read_text())
    coded = quantise(patterns.levels, 2)
    first = document["patterns"][0]
    assert first["quantised"]["codes"] == coded.codes[0].tolist()
    assert first["quantised"]["dwell_ms"] == pytest.approx(0.5 * 20 * coded.exposure_scale[0])
    assert document["hash_sha256"] == design_hash(patterns)
    assert done.notes[0].startswith("quantised to 2 bits: the levels change by up to 0.")
    assert "exposures are multiplied by" in done.notes[1]


def test_hash_is_of_the_design_only(make_patterns: Make) -> None:
    patterns = make_patterns()
    assert design_hash(patterns) == design_hash(make_patterns(name="other", record={}))
    assert design_hash(patterns) != design_hash(make_patterns(exposures=np.ones(3)))
    assert design_hash(patterns) != design_hash(make_patterns(led_numbers=np.arange(25)))


def test_json_that_was_damaged(tmp_path: Path, make_patterns: Make) -> None:
    path = tmp_path / "a.json"
    export_patterns(make_patterns(), "json", path)
    text = path.read_text()
    document = json.loads(text)

    def refused(content: str, words: str) -> None:
        path.write_text(content)
        with pytest.raises(DataError, match=words):
            load_patterns(path)

    refused(text[: len(text) // 2], "is not readable JSON")
    refused("[1, 2]", "holds no patterns")
    refused("[" * 100_000, "is not readable JSON")
    refused(json.dumps(document | {"version": 2}), "schema version 2; this program knows up to 1")
    refused(json.dumps({k: v for k, v in document.items() if k != "leds"}), "is damaged: KeyError 'leds'")
    refused(json.dumps(document | {"patterns": []}), "a.json")
    refused(json.dumps(document | {"geometry": {}}), "a.json: the setting")
    document["patterns"][0]["levels"][0] += 0.01
    refused(json.dumps(document), "its hash does not match")
    document["patterns"][0]["levels"][0] = 7
    refused(json.dumps(document), "drive levels run from")
    with pytest.raises(DataError, match="there is no file"):
        load_patterns(tmp_path / "none.json")


# ------------------------------------------------------------------------------------ tables


def test_csv_holds_one_row_per_led(tmp_path: Path, make_patterns: Make) -> None:
    patterns = make_patterns(row_names=("bright, one", "dark µ", "c"))
    export_patterns(patterns, "csv", tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 25
    assert [int(row["led"]) for row in rows] == patterns.led_numbers.tolist()
    assert float(rows[3]["x_mm"]) == pytest.approx(patterns.positions_mm[3, 0])
    column = [float(row["bright, one (exposure 0.5 frames)"]) for row in rows]
    np.testing.assert_allclose(column, patterns.levels[0], atol=1e-6)
    fields = [row["field"] for row in rows]
    assert fields.count("bright") == 9 and rows[12]["field"] == "bright"


def test_npz_needs_no_pickle(tmp_path: Path, make_patterns: Make) -> None:
    patterns = make_patterns()
    export_patterns(patterns, "npz", tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as read:
        np.testing.assert_array_equal(read["levels"], patterns.levels)
        np.testing.assert_allclose(read["C"], patterns.levels * patterns.exposures[:, None])
        np.testing.assert_array_equal(read["na_list"][:, 0], patterns.illumination_na[:, 1])
        assert str(read["hash_sha256"]) == design_hash(patterns)
        assert read["row_names"].tolist() == list(patterns.row_names)


def test_png_pictures_differ_and_are_named(tmp_path: Path, make_patterns: Make) -> None:
    done = export_patterns(make_patterns(row_names=("Bright field 1", "../x", "—")), "png", tmp_path / "p" / "q")
    assert [p.name for p in done.paths] == ["01_bright_field_1.png", "02_x.png", "03_pattern.png", "contact_sheet.png"]
    pictures = []
    for path in done.paths:
        with Image.open(path) as image:
            image.load()
            pictures.append(np.asarray(image.convert("L"), dtype=float))
    assert all(picture.std() > 20 for picture in pictures)
    assert pictures[0].shape == pictures[1].shape and not np.array_equal(pictures[0], pictures[1])


def test_png_of_many_and_of_dark_patterns(tmp_path: Path, make_patterns: Make) -> None:
    levels = np.zeros((9, 16))
    levels[1:, 0] = 1
    done = export_patterns(make_patterns(levels), "png", tmp_path / "p")
    assert len(done.paths) == 10


# ------------------------------------------------------------------------------------ C header


def compiles(path: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no gcc here")
    source = path.with_suffix(".c")
    source.write_text(
        f'#include "{path.name}"\n'
        "int main(void) { return LED_PATTERNS[N_PATTERNS - 1][N_LEDS - 1] + (int)LED_NUMBERS[0]"
        " + (int)LED_XY_MM[0][1] + (int)DWELL_US[N_PATTERNS - 1] + LED_MAX; }\n"
    )
    return subprocess.run(
        [compiler, "-fsyntax-only", "-std=c99", "-Wall", "-Wextra", "-Werror", *flags, str(source)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("bits", [1, 4, 8])
@pytest.mark.parametrize("flags", [(), ('-DPROGMEM=__attribute__((section(".progmem")))',)])
def test_header_compiles(bits: int, flags: tuple[str, ...], tmp_path: Path, make_patterns: Make) -> None:
    patterns = make_patterns(name='evil */ int x; /* \\ \n "', row_names=("*/", "??/", "µ"))
    path = tmp_path / "a.h"
    export_patterns(patterns, "c_header", path, bits=bits)
    assert path.read_text().isascii()
    done = compiles(path, *flags)
    assert done.returncode == 0, done.stderr


def test_header_holds_codes_and_times(tmp_path: Path, make_patterns: Make) -> None:
    patterns = make_patterns(np.array([[1, 0, 0.5], [0, 0.25, 0.25]]))
    export_patterns(patterns, "c_header", tmp_path / "a.h", bits=8, frame_ms=10)
    text = (tmp_path / "a.h").read_text()
    coded = quantise(patterns.levels, 8)
    for row in coded.codes:
        assert "{" + ", ".join(map(str, row)) + "}" in text
    us = np.rint(patterns.exposures * coded.exposure_scale * 10_000).astype(int)
    assert "{" + ", ".join(f"{t}UL" for t in us) + "}" in text
    assert "#define N_LEDS 3" in text and "#define LED_BITS 8" in text
    assert "{7, 10, 13}" in text


def test_header_beyond_avr(tmp_path: Path, make_patterns: Make) -> None:
    levels = np.random.default_rng(0).random((33, 1000))
    done = export_patterns(make_patterns(levels), "c_header", tmp_path / "a.h")
    assert any("33000 bytes, above the 32767 of AVR boards" in note for note in done.notes)
    assert compiles(tmp_path / "a.h").returncode == 0
    (tmp_path / "avr").mkdir()
    (tmp_path / "avr" / "pgmspace.h").write_text("")
    refused = compiles(tmp_path / "a.h", "-D__AVR__", f"-I{tmp_path}")
    assert refused.returncode != 0 and "32767 bytes" in refused.stderr


def test_header_refuses_endless_exposures(tmp_path: Path, make_patterns: Make) -> None:
    with pytest.raises(SettingsError, match="does not fit 32 bits of microseconds"):
        export_patterns(make_patterns(exposures=np.full(3, 1e6)), "c_header", tmp_path / "a.h")
