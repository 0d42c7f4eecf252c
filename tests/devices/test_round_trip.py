"""A thousand random patterns through every exporter and back: what is read is what was promised.

Scripts are played to the emulated firmware, dumps to the emulated boards; all else is parsed here from scratch.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

from ptychoui.design.patterns import PatternSet
from ptychoui.devices.emulators.adalight import AdalightBoard
from ptychoui.devices.emulators.illuminate import IlluminateBoard
from ptychoui.devices.emulators.uc2 import Uc2Board
from ptychoui.devices.emulators.wire import Board, Faults
from ptychoui.export.formats import FORMATS, export_patterns
from ptychoui.export.json_file import load_patterns
from ptychoui.export.quantise import quantise

SETS, ROWS = 25, 40
Read = Callable[[Path, int], np.ndarray]


class Wire:
    """A line on which nothing goes wrong and no time passes."""

    faults = Faults(lost_tails=0)
    answers: bytes = b""

    def chance(self, share: float) -> bool:
        return False

    def command(self, data: bytes) -> bool:
        return True

    def send(self, data: bytes, noise: bytes = b"") -> None:
        assert b"ERR" not in data, data

    def wait(self, seconds: float) -> bool:
        return False

    def flush(self) -> None:
        return


def wired(board: Board) -> Board:
    board.wire = Wire()  # type: ignore[assignment]
    return board


def script(version: float) -> Read:
    def read(path: Path, leds: int) -> np.ndarray:
        board = wired(IlluminateBoard(version, leds, colours=1))
        for line in path.read_text().splitlines():
            if not line.startswith("#"):
                board.packet(f"{line}\n".encode())
        assert board.damage == [] and not board.light.any()
        return np.array([pulse[:, 0] for pulse in board.pulses])

    return read


def uc2(path: Path, leds: int) -> np.ndarray:
    """As boards before April 2025 show it, and where a message holds every pixel as boards on a CAN bus do, too."""
    found = []
    for pattern in json.loads(path.read_text())["patterns"]:
        boards = [Uc2Board("old", leds), Uc2Board("can", leds)][: 2 if len(pattern["messages"]) == 1 else 1]
        for board in boards:
            wired(board)
            for message in pattern["messages"]:
                data = json.dumps(message, separators=(",", ":")).encode()
                assert len(data) <= 8191
                board.packet(data)
            assert (board.light == board.light[:, :1]).all()
        assert all(np.array_equal(board.light, boards[0].light) for board in boards)
        found.append(boards[0].light[:, 0])
    return np.array(found)


def adalight(path: Path, leds: int) -> np.ndarray:
    board = wired(AdalightBoard(leds))
    content = path.read_bytes()
    for start in range(0, len(content), 64):
        board.packet(content[start : start + 64])
    return np.array([state[:, 0] for state in board.states])


def placed(values: np.ndarray, numbers: np.ndarray, leds: int) -> np.ndarray:
    found = np.zeros((len(values), leds), dtype=values.dtype)
    found[:, numbers] = values
    return found


def c_header(path: Path, leds: int) -> np.ndarray:
    text = path.read_text()
    numbers = re.search(r"LED_NUMBERS\[N_LEDS\] PROGMEM = \{(.*?)\}", text)
    assert numbers is not None
    rows = re.findall(r"/\* \d+: .*? \*/ \{(.*?)\},", text)
    values = np.array([[int(word) for word in row.split(",")] for row in rows])
    return placed(values, np.array([int(word) for word in numbers[1].split(",")]), leds)


def json_codes(path: Path, leds: int) -> np.ndarray:
    document = json.loads(path.read_text())
    values = np.array([row["quantised"]["codes"] for row in document["patterns"]])
    return placed(values, np.array(document["leds"]["numbers"]), leds)


def csv_long(path: Path, leds: int) -> np.ndarray:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = np.zeros((max(int(row["pattern"]) for row in rows), leds), dtype=int)
    for row in rows:
        found[int(row["pattern"]) - 1, int(row["led"])] = int(row["value"])
    return found


def useq_events(path: Path, leds: int) -> np.ndarray:
    """As useq-schema reads them, of which pymmcore-plus takes image and exposure."""
    useq = pytest.importorskip("useq", reason="needs useq-schema")
    events = [useq.MDAEvent(**event) for event in json.loads(path.read_text())]
    assert all(event.exposure > 0 and event.slm_image.device == "LEDArray" for event in events)
    images = [np.asarray(event.slm_image.data) for event in events]
    assert all(image.shape == (1, leds) for image in images)
    return np.concatenate(images)


CODED: dict[tuple[str, int], Read] = {
    ("illuminate-1", 8): script(1.32),
    ("illuminate-1", 4): script(1.32),
    ("illuminate-2", 1): script(2.32),
    ("illuminate-2", 2): script(2.32),
    ("illuminate", 1): script(1.32),
    ("uc2", 8): uc2,
    ("adalight", 8): adalight,
    ("adalight", 1): adalight,
    ("c_header", 8): c_header,
    ("c_header", 3): c_header,
    ("json", 8): json_codes,
    ("json", 12): json_codes,
    ("csv-long", 8): csv_long,
    ("useq", 8): useq_events,
    ("useq", 2): useq_events,
}


def raw(name: str, path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Levels (row, LED), exposures (row,) and LED numbers as a reader finds them."""
    if name == "json":
        read = load_patterns(path)
        return read.levels, read.exposures, read.led_numbers
    if name == "npz":
        with np.load(path, allow_pickle=False) as file:
            np.testing.assert_allclose(file["C"], file["levels"] * file["exposures"][:, None])
            return file["levels"], file["exposures"], file["led_numbers"]
    if name == "mat":
        file = loadmat(path, squeeze_me=True)
        np.testing.assert_allclose(file["C"], file["levels"] * file["exposures"][:, None])
        return file["levels"], file["exposures"], file["led_numbers"]
    with path.open(encoding="utf-8", newline="") as table:
        head, *rows = list(csv.reader(table))
    exposures = [float(re.search(r"exposure (\S+) frames", text)[1]) for text in head[7:]]  # type: ignore[index]
    return (
        np.array([[float(word) for word in row[7:]] for row in rows]).T,
        np.array(exposures),
        np.array([int(row[0]) for row in rows]),
    )


RAW = {"json": 0.0, "npz": 0.0, "mat": 0.0, "csv": 1e-5}
"""Formats that keep raw levels, and the relative error of their digits."""


@pytest.fixture(scope="module")
def designs() -> list[PatternSet]:
    """A thousand patterns: sparse and dense, on or off, grey, dark, of one level, numbers in any order."""

    from ptychoui.settings import Geometry

    random = np.random.default_rng(2026)
    scope = {"wavelength_um": 0.53, "objective_na": 0.1, "magnification": 4.0, "camera_pixel_um": 5.0}
    array = {"kind": "lattice", "rows": 7, "columns": 7, "pitch_mm": 4.0, "height_mm": 80.0}
    geometry = Geometry(microscope=scope, array=array)  # type: ignore[arg-type]
    found = []
    for place in range(SETS):
        leds = int(random.integers(2, 50))
        levels = random.random((ROWS, leds))
        if place % 3 == 1:
            levels = np.rint(levels)
        levels[random.random((ROWS, leds)) < random.random()] = 0
        levels[0] = 0
        numbers = random.permutation(250 if place % 4 == 3 else 120)[:leds].astype(np.int64)
        found.append(
            PatternSet(
                levels=levels,
                exposures=random.random(ROWS) + 0.1,
                led_numbers=numbers,
                positions_mm=random.random((leds, 3)),
                illumination_na=random.random((leds, 2)) * 0.3,
                row_names=tuple(f"row {row}" for row in range(ROWS)),
                geometry=geometry,
            )
        )
    assert sum(len(each.levels) for each in found) == 1000
    return found


@pytest.mark.parametrize(("name", "bits"), CODED)
def test_codes(name: str, bits: int, designs: list[PatternSet], tmp_path: Path) -> None:
    scale = 255 // (2**bits - 1) if name.startswith(("illuminate", "uc2", "adalight", "csv", "useq")) else 1
    for patterns in designs:
        path = export_patterns(patterns, name, tmp_path / f"a{FORMATS[name].suffix}", bits=bits).paths[0]
        leds = int(patterns.led_numbers.max()) + 1
        promised = placed(quantise(patterns.levels, bits).codes * scale, patterns.led_numbers, leds)
        np.testing.assert_array_equal(CODED[name, bits](path, leds), promised)


@pytest.mark.parametrize("name", RAW)
def test_raw_levels(name: str, designs: list[PatternSet], tmp_path: Path) -> None:
    for patterns in designs:
        path = export_patterns(patterns, name, tmp_path / f"a{FORMATS[name].suffix}").paths[0]
        levels, exposures, numbers = raw(name, path)
        np.testing.assert_allclose(levels, patterns.levels, rtol=RAW[name], atol=0)
        np.testing.assert_allclose(exposures, patterns.exposures, rtol=RAW[name])
        np.testing.assert_array_equal(numbers, patterns.led_numbers)


def test_every_format_is_held_to_it() -> None:
    assert {name for name, _ in CODED} | set(RAW) | {"png"} == set(FORMATS)


def test_names_of_published_codes(designs: list[PatternSet], tmp_path: Path) -> None:
    patterns = designs[0]
    export_patterns(patterns, "mat", tmp_path / "a.mat")
    file = loadmat(tmp_path / "a.mat", squeeze_me=True, struct_as_record=False)
    np.testing.assert_array_equal(file["na_list"], patterns.illumination_na[:, ::-1])
    np.testing.assert_array_equal(file["na_x_list"], patterns.illumination_na[:, 0])
    assert (file["wl"], file["na"], file["mag"], file["ps"], file["sys_na"]) == (0.53, 0.1, 4.0, 5.0, 0.1)
    assert file["metadata"].objective.na == 0.1 and file["metadata"].camera.pixel_size_um == 5.0
    np.testing.assert_array_equal(file["metadata"].source_list.na_design, patterns.illumination_na)
    np.testing.assert_array_equal(file["led_positions"], patterns.positions_mm)
