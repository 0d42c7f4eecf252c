"""What goes wrong on real lines, many times over: no hang, no wrong pattern without an error, dark at the end.

Where a protocol says what is lit, a pattern that counts as shown is the one that was meant. openUC2 acknowledges only,
and Adalight says nothing: for them a byte that is lost inside a message cannot be noticed, and is not tried here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ptychoui.devices.device import DeviceOptions
from ptychoui.devices.emulators.adalight import AdalightBoard
from ptychoui.devices.emulators.illuminate import IlluminateBoard
from ptychoui.devices.emulators.sketch import SketchBoard
from ptychoui.devices.emulators.uc2 import Uc2Board
from ptychoui.devices.emulators.wire import Board, Emulator, Faults
from ptychoui.devices.frames import Frame
from ptychoui.devices.opening import open_device
from ptychoui.errors import DeviceError, PtychouiError, UnpluggedError

LEDS = 40
BOARDS: dict[str, Callable[[], Board]] = {
    "illuminate2": lambda: IlluminateBoard(2.32, LEDS),
    "illuminate1": lambda: IlluminateBoard(1.32, LEDS),
    "sketch": lambda: SketchBoard(LEDS, slots=9),
    "uc2": lambda: Uc2Board("new", LEDS),
    "uc2-old": lambda: Uc2Board("old", LEDS),
    "uc2-can": lambda: Uc2Board("can", LEDS),
}
KIND = {"sketch": "ptychoui:", "uc2": "uc2:", "uc2-old": "uc2:", "uc2-can": "uc2:"}
NONE = Faults(lost_tails=0)
FAULTS = {
    "none": NONE,
    "lost tails": Faults(lost_tails=0.5),
    "deaf": Faults(lost_tails=0, deaf=0.03),
    "mute": Faults(lost_tails=0, mute=0.03),
    "halves": Faults(lost_tails=0, halves=0.03),
    "garbled": Faults(lost_tails=0, garbled=0.05),
    "chatter": Faults(lost_tails=0, chatter=0.3),
    "slow": Faults(lost_tails=0, slow=0.03, slow_s=0.12),
    "lost bytes": Faults(lost_tails=0, lost_bytes=0.03),
}
TIMES = [20, pytest.param(200, marks=pytest.mark.slow)]
OPTIONS = DeviceOptions(brightness=0.5, answer_s=0.08)


def url(name: str, board: Emulator) -> str:
    return f"{KIND.get(name, 'illuminate:')}{board.url}?leds={LEDS}"


def a_frame(random: np.random.Generator, kinds: int = 3) -> tuple[Frame, np.ndarray]:
    """Levels of some LEDs, and what shines then in green."""
    levels = random.integers(1, kinds + 1, LEDS) / kinds * (random.random(LEDS) < 0.4)
    return Frame(numbers=np.arange(LEDS), levels=levels), np.floor(levels * 128 + 0.5)


def closed(device: object, board: Emulator) -> None:
    """Close; dark, or an error that says that it may not be."""
    try:
        device.close()  # type: ignore[attr-defined]
    except DeviceError as error:
        assert "may still be lit" in error.message and "supply" in error.hint
    else:
        assert not board.light.any()


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", BOARDS)
def test_single_patterns(name: str, fault: str, times: int) -> None:
    if fault == "lost bytes" and name.startswith("uc2"):
        pytest.skip("openUC2 acknowledges what it misunderstood")
    random = np.random.default_rng(len(name) * 100 + len(fault))
    shown = 0
    with Emulator(BOARDS[name](), NONE, seed=5) as board:
        device = open_device(url(name, board), OPTIONS)
        board.faults = FAULTS[fault]
        for _ in range(times):
            frame, expected = a_frame(random)
            try:
                device.show(frame)
            except DeviceError:
                continue
            shown += 1
            np.testing.assert_array_equal(board.light[:, 1], expected)
            assert not board.light[:, [0, 2]].any()
        closed(device, board)
        assert board.board.damage == [] or fault == "lost bytes"  # a lost dot makes one number of two: not to be helped
    assert shown > times / 2, "patterns are sent again where a line is disturbed now and then"


@pytest.mark.parametrize("times", [3, pytest.param(50, marks=pytest.mark.slow)])
@pytest.mark.parametrize("fault", [*FAULTS, "early ends"])
@pytest.mark.parametrize("name", ["illuminate2", "illuminate1", "sketch"])
def test_sequences(name: str, fault: str, times: int) -> None:
    random = np.random.default_rng(7)
    with Emulator(BOARDS[name](), NONE, seed=6) as board:
        device = open_device(url(name, board), OPTIONS)
        board.faults = FAULTS.get(fault, Faults(lost_tails=0, early_ends=0.5))
        ended = 0
        for _ in range(times):
            pairs = [a_frame(random, 1) for _ in range(4)]
            before = len(board.board.pulses)
            try:
                device.upload([frame for frame, _ in pairs])
                start = len(board.board.states)
                device.run(5)
            except PtychouiError:
                continue
            ended += 1
            pulses = board.board.pulses[before:]
            assert not board.light.any()
            if fault == "none":
                assert len(pulses) == 4
            if fault == "lost bytes" and name == "illuminate1":
                # That pulses are wanted stands in the command that starts, which has no echo: light alone is sure.
                pulses = board.board.states[start : start + 4]
            if fault not in ("mute", "halves", "slow", "garbled"):  # an answer that is lost does not undo a pulse
                np.testing.assert_array_equal([pulse[:, 1] for pulse in pulses], [expected for _, expected in pairs])
        closed(device, board)
        assert board.board.damage == [] or fault == "lost bytes"


@pytest.mark.parametrize("in_answer", [False, True])
@pytest.mark.parametrize("name", BOARDS)
def test_a_cable_that_is_pulled_in_mid_run(name: str, in_answer: bool) -> None:
    for after in range(1, 40, 6):
        faults = Faults(lost_tails=0, unplug_after=after, unplug_in_answer=in_answer)
        with Emulator(BOARDS[name](), faults) as board:
            random = np.random.default_rng(after)
            with pytest.raises(DeviceError) as caught, open_device(url(name, board), OPTIONS) as device:
                for _ in range(200):
                    device.show(a_frame(random)[0])
            assert isinstance(caught.value, UnpluggedError)
            assert "broke" in caught.value.message and "supply" in caught.value.hint
            board.plug_in()
            board.faults = NONE
            with open_device(url(name, board), OPTIONS) as device:
                frame, expected = a_frame(random)
                device.show(frame)
                np.testing.assert_array_equal(board.light[:, 1], expected)
            assert not board.light.any()


@pytest.mark.parametrize("fault", ["deaf", "mute", "halves", "garbled", "chatter", "slow"])
@pytest.mark.parametrize("name", BOARDS)
def test_opening_on_a_disturbed_line(name: str, fault: str) -> None:
    for seed in range(5):
        with Emulator(BOARDS[name](), FAULTS[fault], seed=seed) as board:
            try:
                device = open_device(url(name, board), OPTIONS)
            except DeviceError:
                continue
            assert device.capabilities.n_leds == LEDS
            closed(device, board)


def test_a_strip_is_right_again_after_a_lost_byte() -> None:
    random = np.random.default_rng(3)
    with Emulator(AdalightBoard(LEDS), NONE) as board:
        with open_device(f"adalight:{board.url}?leds={LEDS}", OPTIONS) as device:
            board.faults = Faults(lost_bytes=0.3)
            for _ in range(20):
                device.show(a_frame(random)[0])
            board.faults = NONE
            frame, expected = a_frame(random)
            device.show(frame)
            device.beat()
            end = 200
            while not np.array_equal(board.light[:, 1], expected) and end:
                device.transport.wait(0.01)
                end -= 1
            np.testing.assert_array_equal(board.light[:, 1], expected)
