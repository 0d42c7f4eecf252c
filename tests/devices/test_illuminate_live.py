"""What an emulated illuminate array shines with is what was asked for, or there is an error; dark at the end."""

from __future__ import annotations

import numpy as np
import pytest

from ptychoui.devices.device import Device, DeviceOptions
from ptychoui.devices.emulators.illuminate import IlluminateBoard
from ptychoui.devices.emulators.wire import Emulator, Faults
from ptychoui.devices.frames import Frame
from ptychoui.devices.opening import open_device
from ptychoui.errors import DeviceError, SettingsError

DIALECTS = (2.32, 1.32)


def frame(levels: object, name: str = "pattern") -> Frame:
    levels = np.asarray(levels, dtype=float)
    return Frame(numbers=np.arange(len(levels)), levels=levels, name=name)


def sparse(random: np.random.Generator, leds: int, lit: int, kinds: int = 255) -> np.ndarray:
    """Levels (LED,) of so many lit LEDs, whole codes of so many kinds."""
    levels = np.zeros(leds)
    levels[random.permutation(leds)[:lit]] = random.integers(1, kinds + 1, lit) / kinds
    return levels


def meant(levels: np.ndarray, brightness: float, channels: int = 3) -> np.ndarray:
    """What shines in green: (LED, channel), written down a second time."""
    light = np.zeros((len(levels), channels), dtype=int)
    light[:, 1 if channels == 3 else 0] = np.floor(levels * np.rint(brightness * 255) + 0.5)
    return light


@pytest.mark.parametrize("version", DIALECTS)
@pytest.mark.parametrize("colours", [1, 3])
def test_a_grey_pattern_shines_as_asked(version: float, colours: int) -> None:
    random = np.random.default_rng(1)
    with Emulator(IlluminateBoard(version, 257, colours), Faults()) as board:
        with open_device(board.url, DeviceOptions(brightness=0.5)) as device:
            for lit in (1, 40, 200):
                levels = sparse(random, 257, lit, 7)
                values = device.show(frame(levels))
                np.testing.assert_array_equal(board.light, meant(levels, 0.5, colours))
                np.testing.assert_array_equal(values, meant(levels, 0.5, colours).max(1))
        assert not board.light.any() and board.board.damage == []
        assert all(len(command) < 63 for command in board.commands if command.startswith(b"l"))


@pytest.mark.parametrize("version", DIALECTS)
def test_a_sequence_is_timed_by_the_array_and_triggers_the_camera(version: float) -> None:
    random = np.random.default_rng(2)
    rows = [sparse(random, 257, lit, 1) for lit in (3, 0, 1)]
    rows += [(np.arange(257) // 5 == 3) * 1.0, np.ones(257)]  # a range, all
    with Emulator(IlluminateBoard(version, 257)) as board:
        with open_device(board.url, DeviceOptions(brightness=0.1, current_limit_ma=1e4)) as device:
            loaded = device.upload([frame(row) for row in rows[: 5 if version > 2 else 4]])
            assert loaded.in_hardware, loaded.notes
            device.run(5, count=2)
            assert len(board.board.pulses) == 2 * len(loaded.values)
            for pulse, row in zip(board.board.pulses, [*rows[: len(loaded.values)]] * 2, strict=True):
                np.testing.assert_array_equal(pulse, meant(row, 0.1))
            assert not board.light.any()


def test_grey_sequences_are_those_of_1_and_stepped_in_2() -> None:
    random = np.random.default_rng(3)
    rows = [sparse(random, 64, 6, 255) for _ in range(3)]
    for version in DIALECTS:
        with Emulator(IlluminateBoard(version, 64), Faults(lost_tails=0)) as board:
            with open_device(board.url, DeviceOptions(brightness=0.8)) as device:
                loaded = device.upload([frame(row) for row in rows])
                assert loaded.in_hardware == (version < 2)
                assert any("on or off only" in note for note in loaded.notes) == (version > 2)
                device.run(5)
            for pulse, row in zip(board.board.pulses, rows, strict=True):
                np.testing.assert_array_equal(pulse, meant(row, 0.8))


def test_an_led_that_is_not_there_is_refused_before_anything_is_sent() -> None:
    with Emulator(IlluminateBoard(2.32, 64)) as board, open_device(board.url) as device:
        sent = len(board.commands)
        with pytest.raises(SettingsError, match="lights LED 64, and the array has 64 LEDs, 0 to 63"):
            device.show(Frame(numbers=np.array([64]), levels=np.array([1.0])))
        with pytest.raises(SettingsError):
            device.upload([Frame(numbers=np.array([64]), levels=np.array([1.0]))])
        assert len(board.commands) == sent
        device.show(Frame(numbers=np.array([64]), levels=np.array([0.0])))


def test_all_on_needs_to_be_confirmed() -> None:
    with Emulator(IlluminateBoard(2.32, 257)) as board:
        with open_device(board.url, DeviceOptions(brightness=1.0, current_limit_ma=1000)) as device:
            for call in (device.show, lambda f: device.upload([f])):
                with pytest.raises(DeviceError, match=r"would draw about 5\.1 A"):
                    call(frame(np.ones(257), "all"))
            assert not any(state.any() for state in board.board.states)
            device.show(frame(np.ones(257)), confirm_bright=True)
            assert board.light[:, 1].min() == 255


def test_boards_that_start_with_a_closed_shutter_shine() -> None:
    with Emulator(IlluminateBoard(2.32, 64, starts_closed=True)) as board, open_device(board.url) as device:
        device.show(frame(np.ones(64)))
        assert board.light.any()


def test_simulated_arrays_need_nothing() -> None:
    for name in ("", "illuminate1", "illuminate2"):
        with open_device(f"simulate:{name}?leds=30") as device:
            assert isinstance(device, Device) and device.emulator is not None
            device.show(frame(np.ones(30)))
            assert device.emulator.light.any()
        assert not device.emulator.light.any()
