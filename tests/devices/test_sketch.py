"""The program's own sketch, compiled for this computer with another hardware layer, and its emulator, lit by the driver.

Both are held to the same tests: the emulator was written from the description of the protocol, not from the sketch.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ptychoui.devices import sketch
from ptychoui.devices.device import DeviceOptions
from ptychoui.devices.emulators.sketch import SketchBoard, check
from ptychoui.devices.emulators.wire import Emulator
from ptychoui.devices.frames import Frame
from ptychoui.devices.opening import open_device
from ptychoui.devices.sketch_words import crc8, crc16, opened, sealed
from ptychoui.errors import DeviceError
from ptychoui.paths import resources

LEDS = 70
HOST = Path(__file__).parent / "host_sketch"
Light = Callable[[], np.ndarray]


class Array:
    """Where the array is, what shines now, and what shone at each pulse."""

    def __init__(self, url: str, light: Light, pulses: Callable[[], list[np.ndarray]]) -> None:
        self.url, self.light, self.pulses = url, light, pulses


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sketch as a program of this computer; warnings are errors."""
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None or os.name != "posix":
        pytest.skip("there is no C++ compiler here, so the sketch is not tested")
    path = tmp_path_factory.mktemp("sketch") / "leds"
    sources = ["-I", str(HOST), "-I", str(resources() / "firmware" / "ptychoui_leds"), str(HOST / "main.cpp")]
    words = [compiler, "-std=c++11", "-O1", "-Wall", "-Wextra", "-Werror", f"-DN_LEDS={LEDS}", *sources, "-o", path]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return path


@contextlib.contextmanager
def compiled(program: Path, log: Path) -> Iterator[Array]:
    import tty

    log.touch()
    master, slave = os.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    running = subprocess.Popen([program], stdin=master, stdout=master, env={"LIGHT_LOG": str(log)})

    def rows(kind: str) -> list[np.ndarray]:
        lines = [line[1:] for line in log.read_text().splitlines() if line.startswith(kind)]
        lines = [line for line in lines if len(line) == 6 * LEDS]
        return [np.frombuffer(bytes.fromhex(line), dtype=np.uint8).reshape(LEDS, 3) for line in lines]

    try:
        yield Array(os.ttyname(slave), lambda: rows("L")[-1], lambda: rows("T"))
    finally:
        running.kill()
        running.wait()
        os.close(master)
        os.close(slave)


@contextlib.contextmanager
def emulated() -> Iterator[Array]:
    with Emulator(SketchBoard(LEDS, slots=9)) as board:
        yield Array(board.url, lambda: board.light, lambda: board.board.pulses)


@pytest.fixture(params=["compiled", "emulated"])
def array(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Array]:
    if request.param == "emulated":
        with emulated() as found:
            yield found
    else:
        with compiled(request.getfixturevalue("program"), tmp_path / "light.txt") as found:
            yield found


def frame(levels: np.ndarray) -> Frame:
    return Frame(numbers=np.arange(len(levels)), levels=levels)


def open_it(array: Array, **options: object) -> sketch.Sketch:
    device = open_device(f"ptychoui:{array.url}", DeviceOptions(**{"brightness": 0.5, **options}))  # type: ignore[arg-type]
    assert isinstance(device, sketch.Sketch)
    return device


def until(test: Callable[[], bool]) -> bool:
    end = time.monotonic() + 30
    while not test() and time.monotonic() < end:
        time.sleep(0.01)
    return test()


def test_patterns_shine_as_asked_and_the_end_is_dark(array: Array) -> None:
    random = np.random.default_rng(1)
    with open_it(array, colour="red") as device:
        assert device.capabilities.n_leds == LEDS and device.slots == 9
        for share in (0.02, 0.5, 1.0):
            levels = random.random(LEDS) * (random.random(LEDS) < share)
            device.show(frame(levels))
            expected = np.zeros((LEDS, 3))
            expected[:, 0] = np.floor(levels * 128 + 0.5)
            np.testing.assert_array_equal(array.light(), expected)
        device.clear()
        assert not array.light().any()
        device.show(frame(levels))
    assert not array.light().any()


def test_a_sequence_is_timed_by_the_array(array: Array) -> None:
    random = np.random.default_rng(2)
    rows = random.random((8, LEDS)) * (random.random((8, LEDS)) < 0.3)
    with open_it(array) as device:
        loaded = device.upload([frame(row) for row in rows])
        assert loaded.in_hardware and not loaded.notes
        device.run(3, count=2, trigger_every=2)
        assert not array.light().any()
        pulses = array.pulses()
        assert len(pulses) == 8
        for pulse, row in zip(pulses, [*rows[::2]] * 2, strict=True):
            np.testing.assert_array_equal(pulse[:, 1], np.floor(row * 128 + 0.5))
        device.upload([frame(row) for row in rows[:2]])
        device.run(3, trigger_every=1)
        assert len(array.pulses()) == 10
        device.trigger()
        assert until(lambda: len(array.pulses()) == 11)


def test_a_run_that_waits_for_the_camera_ends(array: Array) -> None:
    with open_it(array) as device:
        device.upload([frame(np.ones(LEDS) * 0.1)] * 3)
        device.run(2, wait_for_input=True)
        assert len(array.pulses()) == 3


def test_more_patterns_than_slots_are_stepped(array: Array) -> None:
    rows = np.eye(LEDS)[:9]
    with open_it(array) as device:
        loaded = device.upload([frame(row) for row in rows])
        assert not loaded.in_hardware and "keeps 8 patterns, not 9" in loaded.notes[0]
        device.run(1)
        np.testing.assert_array_equal([pulse[:, 1].argmax() for pulse in array.pulses()], np.arange(9))


def test_a_program_that_is_gone_leaves_it_dark(array: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketch, "ALIVE_S", 0.4)
    device = open_it(array)
    device.show(frame(np.ones(LEDS) * 0.1))
    assert array.light().any()
    assert until(lambda: not array.light().any())
    with pytest.raises(DeviceError, match="went dark, for it did not hear of the program"):
        device.beat()
    device.close()


def test_a_held_pattern_stays(array: Array, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketch, "ALIVE_S", 1.0)
    with open_it(array) as device:
        device.show(frame(np.ones(LEDS) * 0.1))
        device.hold(2.0)
        assert array.light().any()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("PUT 9 0 00", "range"),
        ("PUT 0 70 00", "range"),
        ("PUT 0 69 0000", "range"),
        ("SHOW 9", "range"),
        ("RUN 1000 1 9 1 1 0", "range"),
        ("RUN 1000 1 0 1 1 0", "range"),
        ("ALIVE 100", "range"),
        ("COLOR 2 0 0", "range"),
        ("FORMAT", "command"),
    ],
)
def test_what_makes_no_sense_is_refused(array: Array, words: str, reason: str) -> None:
    with open_it(array) as device:
        device.transport.guard = lambda _: None
        with pytest.raises(DeviceError, match=rf"refuses .*: {reason}"):
            device.line.ask(words)
        device.show(frame(np.ones(LEDS) * 0.1))


def test_lines_that_are_damaged_or_too_long_do_nothing(array: Array) -> None:
    with open_it(array) as device:
        device.show(frame(np.ones(LEDS) * 0.1))
        device.transport.guard = lambda _: None
        before = array.light()
        for bad in (b"7 OFF*00\n", b"7 OFF\n", sealed("7 OFF")[1:], sealed(f"7 OFF {'0' * 120}"), b"*\n", b"\xff\n"):
            device.transport.write(bad)
            assert b"NO 0 crc" in device.transport.read_until(
                lambda data: len(data) if b"\n" in data else None, 5, "damaged"
            )
        np.testing.assert_array_equal(array.light(), before)


def test_check_sums() -> None:
    # Published check values of CRC-8/SMBUS and CRC-16/CCITT-FALSE.
    assert crc8(b"123456789") == 0xF4 and crc16(b"123456789") == 0x29B1
    assert check(b"123456789") == b"F4"
    assert sealed("12 ID") == b"12 ID*" + check(b"12 ID") + b"\n"
    assert opened(sealed("12 ID")) == ["12", "ID"] and opened(b"12 ID*00") is None


def test_the_sketch_has_one_door_to_its_hardware() -> None:
    folder = resources() / "firmware" / "ptychoui_leds"
    assert sorted(path.name for path in folder.iterdir()) == ["hardware.h", "protocol.h", "ptychoui_leds.ino"]
    for word in ("Arduino", "digitalWrite", "Serial", "FastLED", "EEPROM"):
        assert word not in (folder / "protocol.h").read_text() + (folder / "ptychoui_leds.ino").read_text()
