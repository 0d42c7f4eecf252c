"""From a design to frames: measured brightness, bits, bit planes, and the commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ptychoui import cli
from ptychoui.bench.devices import timing
from ptychoui.design.patterns import PatternSet
from ptychoui.devices import finding
from ptychoui.devices.device import DeviceOptions
from ptychoui.devices.emulators.illuminate import IlluminateBoard
from ptychoui.devices.emulators.wire import Emulator
from ptychoui.devices.finding import Port, ask_ports
from ptychoui.devices.frames import Frame, current_ma, drive_values
from ptychoui.devices.opening import open_device
from ptychoui.devices.playing import bit_planes, measured_gain, plan, without_gain
from ptychoui.errors import SettingsError
from ptychoui.export.formats import export_patterns
from ptychoui.export.quantise import quantise

Make = Callable[..., PatternSet]


def with_gains(gains: list[float]) -> dict[str, object]:
    return {"record": {"experiment": {"data": {"images": {"gains": gains}}}}}


def test_light_through_uneven_leds_is_that_of_the_design(make_design: Make) -> None:
    random = np.random.default_rng(1)
    gains = random.random(16) + 0.3
    patterns = make_design(random.random((5, 16)) * (random.random((5, 16)) < 0.5), **with_gains(gains.tolist()))
    found = plan(patterns, frame_ms=20)
    gain = gains / np.median(gains)
    for row, frame in enumerate(found.frames):
        light = frame.levels * gain * found.exposures_ms[row]
        np.testing.assert_allclose(light, patterns.levels[row] * patterns.exposures[row] * 20)
        assert frame.levels.max() == pytest.approx(patterns.levels[row].max())
    assert "divided by the measured brightness" in found.notes[0]
    raw = plan(patterns, divide_gain=False)
    np.testing.assert_array_equal([frame.levels for frame in raw.frames], patterns.levels)
    assert raw.notes == ()


def test_gains_belong_to_the_leds_of_the_geometry(make_design: Make) -> None:
    gains = [float(place + 1) for place in range(16)]
    whole = make_design(np.ones((1, 16)), **with_gains(gains))
    part = PatternSet(
        levels=np.ones((1, 3)),
        exposures=np.ones(1),
        led_numbers=np.array([5, 2, 9]),
        positions_mm=np.zeros((3, 3)),
        illumination_na=np.zeros((3, 2)),
        row_names=("a",),
        geometry=whole.geometry,
        record=whole.record,
    )
    np.testing.assert_allclose(measured_gain(part), [1.0, 0.5, 10 / 6])
    assert measured_gain(make_design(np.ones((1, 16)))) is None
    assert measured_gain(make_design(np.ones((1, 16)), **with_gains([1.0, 2.0]))) is None


def test_a_dead_led_is_refused(make_design: Make) -> None:
    gains = np.ones(16)
    gains[3] = 0.001
    with pytest.raises(SettingsError, match=r"lights LED 3, whose measured brightness is 0\.001"):
        without_gain(make_design(np.ones((1, 16))), gains)
    levels = np.ones((1, 16))
    levels[0, 3] = 0
    assert without_gain(make_design(levels), gains).levels[0, 3] == 0


def test_bits_and_planes_add_up(make_design: Make) -> None:
    patterns = make_design(np.random.default_rng(2).random((4, 16)))
    for bits in (1, 2, 3):
        rounded = plan(patterns, bits=bits, frame_ms=10)
        codes = quantise(patterns.levels, bits).codes
        planes = bit_planes(rounded.frames, bits)
        top = 2**bits - 1
        assert len(planes) == 4 * top and all(set(np.unique(each.levels)) <= {0.0, 1.0} for each in planes)
        for row in range(4):
            total = sum(each.levels for each in planes[row * top : (row + 1) * top])
            np.testing.assert_array_equal(total, codes[row])
    with pytest.raises(SettingsError, match="no whole codes of 3 bits"):
        bit_planes(plan(patterns).frames, 3)
    with pytest.raises(SettingsError, match="1 to 8"):
        bit_planes((), 9)


def test_planes_shine_as_on_off_sequence_with_one_pulse_per_pattern(make_design: Make, tmp_path: Path) -> None:
    patterns = make_design(np.random.default_rng(3).random((3, 9)), led_numbers=np.arange(9))
    rounded = plan(patterns, bits=2)
    planes = bit_planes(rounded.frames, 2)
    with Emulator(IlluminateBoard(2.32, 9)) as board, open_device(board.url, DeviceOptions(brightness=1)) as device:
        assert device.upload(planes).in_hardware
        del board.board.states[:]
        device.run(5, trigger_every=3)
        shone = np.array([state[:, 1] // 255 for state in board.board.states])[1:10]  # first the shutter opens
        np.testing.assert_array_equal(shone.reshape(3, 3, 9).sum(1), quantise(patterns.levels, 2).codes)
        assert len(board.board.pulses) == 3


def test_frames_are_checked() -> None:
    for numbers, levels, words in (
        ([1, 1], [1, 1], "names an LED twice"),
        ([1, 2], [1], "levels for"),
        ([1, 2], [1, 1.1], "outside 0 to 1"),
        ([1, 2], [1, np.nan], "outside 0 to 1"),
    ):
        with pytest.raises(SettingsError, match=words):
            Frame(numbers=np.array(numbers), levels=np.array(levels, dtype=float))
    frame = Frame(numbers=np.array([3, 0]), levels=np.array([1.0, 0.5]))
    np.testing.assert_array_equal(drive_values(frame, 5, 0.4), [51, 0, 0, 102, 0])
    assert current_ma(np.full((1, 10), 255, dtype=np.uint8), 3) == pytest.approx(600)
    for wrong in ({"brightness": 0}, {"brightness": 1.1}, {"colour": "pink"}, {"current_limit_ma": 0}, {"n_leds": 0}):
        with pytest.raises(SettingsError):
            DeviceOptions(**wrong)


# ------------------------------------------------------------------------------------ commands


@pytest.fixture
def design(make_design: Make, tmp_path: Path) -> str:
    levels = (np.random.default_rng(4).random((3, 16)) < 0.4).astype(float)
    export_patterns(make_design(levels), "json", tmp_path / "p.json")
    return str(tmp_path / "p.json")


@pytest.mark.parametrize("array", ["", "illuminate1", "ptychoui", "uc2", "uc2-old", "adalight"])
@pytest.mark.parametrize("words", [["--seconds", "0.01"], ["--sequence", "--delay-ms", "5"]])
def test_show(array: str, words: list[str], design: str, capsys: pytest.CaptureFixture[str]) -> None:
    device = f"simulate:{array}?leds=16"
    assert cli.main(["show", design, "--device", device, *words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["pattern"] for each in found["shown"]] == [1, 2, 3] and found["dark"]
    levels = (np.random.default_rng(4).random((3, 16)) < 0.4).sum(1)
    assert [each["lit"] for each in found["shown"]] == levels.tolist()


def test_planes_are_shown_from_the_command_line(design: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["show", design, "--device", "simulate:?leds=16", "--sequence", "--bits", "2", "--planes", "--trigger"]
    assert cli.main([*words, "--frame-ms", "30", "--json"]) == 0
    out, err = capsys.readouterr()
    shown = json.loads(out)["shown"]
    assert len(shown) == 9 and [each["exposure_ms"] for each in shown[::3]] == [5, 10, 15]
    assert "timed by the array" in err


def test_times_of_a_sequence_are_those_of_its_exposures(design: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "show",
        design,
        "--device",
        "simulate:?leds=16",
        "--sequence",
        "--frame-ms",
        "10.4",
        "--pwm-ms",
        "2",
        "--json",
    ]
    assert cli.main([*words, "--readout-ms", "3"]) == 0
    out, err = capsys.readouterr()
    # 0.5, 1 and 1.5 frames, in whole periods; the longest with 5 ms to settle and 3 ms of the shutter.
    assert [each["exposure_ms"] for each in json.loads(out)["shown"]] == [6, 10, 16]
    assert "playing 3 patterns of 24 ms, timed by the array" in err and "rolling shutter" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--pattern", "4"], "there is no pattern 4"),
        (["--pattern", "1", "--sequence"], "exclude each other"),
        (["--sequence", "--planes"], "--planes needs to know how many"),
        (["--colour", "pink"], "there is no colour 'pink'"),
        (["--brightness", "2"], "a brightness of 2"),
        (["--current-limit", "0.001"], "above the limit of 0.001 A"),
        (["--device", "simulate:pink"], "there is no emulated array 'pink'"),
        (["--device", "simulate:?lamps=3"], "is not known"),
        (["--device", "/dev/does-not-exist"], "there is no port"),
        (["--device", "pink://1"], "is no serial port"),
    ],
)
def test_show_says_what_is_wrong(words: list[str], said: str, design: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", design, "--device", "simulate:?leds=16", *words]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert said in line and line.startswith("ptychoui: ") and " - " in line


def test_the_colour_is_that_of_the_design(design: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from ptychoui.commands import devices

    arguments = cli._parser().parse_args(["show", design, "--device", "simulate:"])
    for wavelength, colour in ((0.45, "blue"), (0.53, "green"), (0.63, "red"), (None, "green")):
        assert devices.device_options(arguments, wavelength).colour == colour
    arguments.colour = "white"
    assert devices.device_options(arguments, 0.63).colour == "white"


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_leave_it_dark(number: str, design: str) -> None:
    with Emulator(IlluminateBoard(2.32, 16)) as board:
        words = [sys.executable, "-m", "ptychoui.cli", "show", design, "--device", board.url, "--pattern", "1"]
        with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
            assert running.stderr is not None
            for line in running.stderr:
                if line.startswith("pattern 1"):
                    break
            assert board.light.any()
            running.send_signal(getattr(signal, number))
            out, _ = running.communicate(timeout=60)
        assert running.returncode == 0 and "the array is dark" in out
        assert not board.light.any()


def test_devices(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.main(["devices", "--device", "simulate:uc2?leds=12"]) == 0
    assert "UC2_Feather (2026), 12 LEDs (uc2); when killed, the board has no timer" in capsys.readouterr().out
    assert cli.main(["devices", "--device", "/dev/does-not-exist"]) == 2
    monkeypatch.setattr(finding, "ports", lambda: [])
    assert cli.main(["devices"]) == 0
    assert "no serial ports" in capsys.readouterr().out


def test_unknown_instruments_are_not_spoken_to() -> None:
    with Emulator(IlluminateBoard(2.32, 16)) as board:
        odd = Port(url=board.url, description="thing", usual=False)
        (answer,) = ask_ports([odd])
        assert not answer.asked and "may be another instrument" in answer.line() and board.commands == []
        (answer,) = ask_ports([odd], everything=True)
        assert answer.kind == "illuminate2" and answer.n_leds == 16
        (gone,) = ask_ports([Port(url="/dev/does-not-exist", description="x", usual=True)])
        assert "there is no port" in gone.problem


def test_a_stop_from_another_thread_ends_a_sequence_and_leaves_it_dark() -> None:
    from ptychoui.errors import StopRequested

    for name in ("illuminate2", "illuminate1", "ptychoui", "uc2", "adalight"):
        abort = threading.Event()
        device = open_device(f"simulate:{name}?leds=9", abort=abort)
        with pytest.raises(StopRequested), device:
            device.upload([Frame(numbers=np.arange(9), levels=np.ones(9))] * 5)
            threading.Timer(0.2, abort.set).start()
            trigger = 1 if device.capabilities.trigger_outputs else 0
            device.run(1500, trigger_every=trigger)
        assert device.emulator is not None and not device.emulator.light.any()
        assert abort.is_set()


def test_the_benchmark_has_a_row_for_every_array() -> None:
    result = timing.run([20], patterns=3, lit=0.3, say=lambda _: None)
    assert [row["kind"] for row in result["rows"]] == list(timing.KINDS)
    rows = {row["kind"]: row for row in result["rows"]}
    assert rows["illuminate2"]["upload_ms"] > 0 and rows["uc2"]["upload_ms"] is None
    assert rows["adalight"]["show_bytes"] == 2 * (6 + 60)
    assert rows["adalight"]["show_limit_ms"] == pytest.approx(132 * 1e4 / 115200)
    assert len(timing.table(result).splitlines()) == 1 + len(timing.KINDS)
