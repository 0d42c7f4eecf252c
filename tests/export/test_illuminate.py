"""The serial scripts, played to a model of the firmware, show what was designed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptychoui.design.patterns import PatternSet
from ptychoui.errors import SettingsError
from ptychoui.export.formats import export_patterns
from ptychoui.export.quantise import quantise

Make = Callable[..., PatternSet]


class Firmware:
    """What the documentation says a board does with each command; an unknown one fails the test."""

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        self.lit: dict[int, int] = {}
        self.brightness, self.shutter, self.autoclear = 255, True, True
        self.sequence: list[dict[int, int]] = []
        self.length, self.bits = 0, 1
        self.triggered: list[dict[int, int]] = []
        self.delay_ms = 0

    def play(self, script: str) -> list[dict[int, int]]:
        for line in script.splitlines():
            if not line.startswith("#"):
                assert len(line) + 1 <= 63, line
                name, *arguments = line.split(".")
                getattr(self, f"do_{name}")(*(a if a == "none" else int(a) for a in arguments))
        assert not self.lit, "the LEDs are left on"
        return self.triggered

    def only(self, *dialects: str) -> None:
        assert self.dialect in dialects, f"the dialect {self.dialect} has no such command"

    def do_machine(self) -> None:
        pass

    def do_x(self) -> None:
        self.lit = {}

    def do_ac(self, on: int) -> None:
        self.autoclear = bool(on)

    def do_gs(self, on: int) -> None:
        self.only("2")
        self.shutter = bool(on)

    def do_sb(self, value: int) -> None:
        assert 0 <= value <= 255
        self.brightness = value

    def do_l(self, *leds: int) -> None:
        assert leds, "a bare l lights LED 0"
        if self.autoclear:
            self.lit = {}
        self.lit |= dict.fromkeys(leds, self.brightness)

    def do_tr(self, index: int) -> None:
        assert index == 0 and self.shutter
        self.triggered.append(dict(self.lit))

    def do_ssl(self, length: int) -> None:
        self.only("1", "2")
        self.length, self.sequence = length, []

    def do_ssbd(self, bits: int) -> None:
        self.only("1")
        self.bits = bits

    def do_ssz(self, count: int) -> None:
        self.only("1")
        self.sequence += [{} for _ in range(count)]

    def do_ssv(self, *values: Any) -> None:
        self.only("1", "2")
        if self.dialect == "2":
            self.sequence.append({} if values == ("none",) else dict.fromkeys(values, self.brightness))
        else:
            count, *pairs = values
            assert self.bits == 8 and len(pairs) == 2 * count
            self.sequence.append(dict(zip(pairs[::2], pairs[1::2], strict=True)))

    def do_troutputmode(self, index: int, mode: int) -> None:
        self.only("2")
        assert (index, mode) == (0, 1)

    def do_trinputmode(self, index: int, mode: int) -> None:
        self.only("2")
        assert (index, mode) == (0, 0)

    def do_rseq(self, delay: int, count: int, *modes: int) -> None:
        assert len(self.sequence) == self.length and count == 1
        assert modes == (() if self.dialect == "2" else (1, 0))
        assert 5 <= delay <= (2000 if self.dialect == "2" else 65535)
        self.delay_ms = delay
        self.triggered += self.sequence
        self.lit = self.sequence[-1]


def shown(patterns: PatternSet, to: str, path: Path, **options: Any) -> tuple[list[dict[int, int]], str, str]:
    done = export_patterns(patterns, to, path, **options)
    script = path.read_text()
    dialect = to.partition("-")[2] or "unknown"
    # A board of either kind must understand the script of the unknown dialect.
    played = Firmware(dialect if dialect != "unknown" else "1").play(script)
    if dialect == "unknown":
        assert Firmware("2").play(script) == played
    return played, script, " ".join(done.notes)


def expected(patterns: PatternSet, bits: int) -> list[dict[int, int]]:
    codes = quantise(patterns.levels, bits).codes * (255 // (2**bits - 1))
    numbers = patterns.led_numbers.tolist()
    return [{n: int(v) for n, v in zip(numbers, row, strict=True) if v} for row in codes]


FEW = np.array([[0.9, 0.3, 0, 0, 1.0], [0, 0, 0.5, 0.5, 0], [0, 0, 0, 0, 0]])


@pytest.mark.parametrize(("to", "bits"), [("illuminate-2", 1), ("illuminate-1", 8), ("illuminate-1", 1)])
def test_short_patterns_run_in_hardware(to: str, bits: int, tmp_path: Path, make_patterns: Make) -> None:
    patterns = make_patterns(FEW)
    played, script, notes = shown(patterns, to, tmp_path / "a.txt", bits=bits)
    assert played == expected(patterns, bits)
    assert "rseq." in script and "tr.0" not in script and "stepped" not in notes


@pytest.mark.parametrize(
    ("to", "bits"), [("illuminate-2", 1), ("illuminate-2", 4), ("illuminate-1", 8), ("illuminate", 1)]
)
def test_long_patterns_are_stepped_by_the_computer(to: str, bits: int, tmp_path: Path, make_patterns: Make) -> None:
    levels = np.random.default_rng(4).random((3, 120))
    patterns = make_patterns(levels, led_numbers=np.arange(120) * 11 + 200)
    played, script, notes = shown(patterns, to, tmp_path / "a.txt", bits=bits)
    assert played == expected(patterns, bits)
    assert "ssv" not in script and "stepped by the computer" in notes
    assert ("gs.0" in script) == (to == "illuminate-2")


def test_two_bits_cannot_be_a_sequence_of_firmware_2(tmp_path: Path, make_patterns: Make) -> None:
    played, script, _ = shown(make_patterns(FEW), "illuminate-2", tmp_path / "a.txt", bits=2)
    assert played == expected(make_patterns(FEW), 2)
    assert "ssv" not in script


def test_exact_bytes_of_firmware_2(tmp_path: Path, make_patterns: Make) -> None:
    patterns = make_patterns(
        np.array([[1, 1, 0], [0, 0, 0]]), led_numbers=np.array([0, 5, 7]), exposures=np.array([0.2, 1.0])
    )
    _, script, _ = shown(patterns, "illuminate-2", tmp_path / "a.txt", frame_ms=50)
    sent = [line for line in script.splitlines() if not line.startswith("#")]
    assert sent == [
        "machine",
        "x",
        "sb.255",
        "gs.1",
        "ssl.2",
        "ssv.0.5",
        "ssv.none",
        "troutputmode.0.1",
        "trinputmode.0.0",
        "rseq.55.1",
        "x",
    ]
    assert "# row 1: camera exposure 10.000 ms" in script
    assert "# expect [0,5]" in script


def test_a_command_of_63_bytes_is_sent_whole(tmp_path: Path, make_patterns: Make) -> None:
    for last, length in ((9, 62), (10, 63), (100, 64)):
        patterns = make_patterns(np.ones((1, 15)), led_numbers=np.append(np.arange(101, 115), last))
        line = ".".join(["ssv", *map(str, patterns.led_numbers)])
        assert len(line) + 1 == length
        _, script, _ = shown(patterns, "illuminate-2", tmp_path / "a.txt")
        assert (line in script) == (length <= 63)


def test_long_exposures_leave_the_sequence(tmp_path: Path, make_patterns: Make) -> None:
    patterns = make_patterns(FEW, exposures=np.array([30.0, 1.0, 1.0]))
    _, script, notes = shown(patterns, "illuminate-2", tmp_path / "a.txt")
    assert "rseq" not in script and "stepped" in notes
    _, script, _ = shown(patterns, "illuminate-1", tmp_path / "a.txt")
    assert "rseq" in script


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([0, 1, -1], "LED number -1 is outside"),
        ([0, 1, 40000], "LED number 40000"),
        ([3, 4, 3], "LED number 3 occurs twice"),
    ],
)
def test_led_numbers_are_checked(numbers: list[int], words: str, tmp_path: Path, make_patterns: Make) -> None:
    patterns = make_patterns(np.ones((1, 3)), led_numbers=np.array(numbers))
    for to in ("illuminate-2", "illuminate-1", "illuminate", "c_header"):
        with pytest.raises(SettingsError, match=words):
            export_patterns(patterns, to, tmp_path / "a.txt")
    assert list(tmp_path.iterdir()) == []


def test_uneven_bits_and_dead_zone(tmp_path: Path, make_patterns: Make) -> None:
    with pytest.raises(SettingsError, match="3 bits do not divide the firmware's 8-bit scale evenly"):
        export_patterns(make_patterns(), "illuminate-1", tmp_path / "a.txt", bits=3)
    levels = np.array([[1, 0.01, 0.005, 0.3]])
    played, _, _ = shown(make_patterns(levels), "illuminate-1", tmp_path / "a.txt", minimum_code=6)
    assert all(value >= 6 for value in played[0].values())
    hostile = make_patterns(FEW, row_names=("a\nff", "b\rx", "µ"))
    assert "\nff" not in shown(hostile, "illuminate-2", tmp_path / "a.txt")[1]
