"""Single traps of each protocol, one at a time, which random faults meet too seldom."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest

from ptychoui.devices.device import Device, DeviceOptions
from ptychoui.devices.emulators.illuminate import IlluminateBoard
from ptychoui.devices.emulators.sketch import SketchBoard
from ptychoui.devices.emulators.sketch import check as seal
from ptychoui.devices.emulators.uc2 import Uc2Board
from ptychoui.devices.emulators.wire import Board, Emulator, Faults
from ptychoui.devices.frames import Frame
from ptychoui.devices.opening import open_device
from ptychoui.devices.transport import Transport
from ptychoui.errors import DeviceError, NoAnswerError, UnpluggedError

LEDS = 12
OPTIONS = DeviceOptions(brightness=1, answer_s=0.2)


def frame(*lit: int, level: float = 1.0) -> Frame:
    return Frame(numbers=np.array(lit, dtype=np.int64), levels=np.full(len(lit), level))


def once(board: Board, name: str, instead: Callable[[], str | None]) -> None:
    """Let a command do something else the first time."""
    usual = getattr(board, name)

    def first(*words: object) -> str | None:
        setattr(board, name, usual)
        return instead()

    setattr(board, name, first)


def test_a_blank_pattern_that_is_lost_would_shift_all_that_follow() -> None:
    board = IlluminateBoard(1.32, LEDS)
    with Emulator(board) as served, open_device(served.url, OPTIONS) as device:
        once(board, "_do_ssz", lambda: "")
        assert device.upload([frame(1), frame(), frame(2)]).in_hardware
        device.run(5)
        assert [pulse[:, 1].nonzero()[0].tolist() for pulse in board.pulses] == [[1], [], [2]]


def test_a_sequence_of_1_that_does_not_say_that_it_finished_did_not() -> None:
    board = IlluminateBoard(1.32, LEDS)
    with Emulator(board) as served, open_device(served.url, OPTIONS) as device:
        device.upload([frame(1)])
        usual = board._do_rseq
        board._do_rseq = lambda *words: usual(*words) and ""  # type: ignore[method-assign]
        with pytest.raises(DeviceError, match="ended before its last pattern"):
            device.run(5)


def until_waiting(device: Device) -> None:
    for _ in range(500):
        if device.transport._port.in_waiting:
            return
        device.transport.wait(0.01)
    raise AssertionError("nothing arrived")


def test_a_late_answer_is_not_taken_for_the_next() -> None:
    with Emulator(IlluminateBoard(2.32, LEDS)) as served, open_device(served.url, OPTIONS) as device:
        served.line.send(b"SB.7\n-==-\n")
        until_waiting(device)
        assert device.ask("sb.9") == "SB.9"  # type: ignore[attr-defined]
    board = SketchBoard(LEDS)
    with Emulator(board) as served, open_device(f"ptychoui:{served.url}", OPTIONS) as device:
        old = f"OK {device.line.number} DEAD".encode()  # type: ignore[attr-defined]
        served.line.send(old + b"*" + seal(old) + b"\n")
        until_waiting(device)
        assert device.line.ask("LIT") != ["DEAD"]  # type: ignore[attr-defined]


def test_a_slot_that_lost_a_piece_is_written_again() -> None:
    board = SketchBoard(LEDS)
    with Emulator(board) as served, open_device(f"ptychoui:{served.url}", OPTIONS) as device:
        once(board, "_do_put", lambda: None)
        device.upload([frame(3), frame(4)])
        device.run(5)
        assert [pulse[:, 1].nonzero()[0].tolist() for pulse in board.pulses] == [[3], [4]]
        board._do_put = lambda *words: None  # type: ignore[method-assign]
        with pytest.raises(DeviceError, match="slot 1 does not hold what was sent"):
            device.upload([frame(3)])


def test_a_run_is_not_started_twice() -> None:
    board = SketchBoard(LEDS)
    with Emulator(board) as served, open_device(f"ptychoui:{served.url}", OPTIONS) as device:
        device.upload([frame(3)] * 2)
        usual = board._say

        def swallow(text: str) -> None:
            if board.run is None or not text.startswith("OK"):
                usual(text)

        board._say = swallow  # type: ignore[method-assign]
        with pytest.raises(NoAnswerError):
            device.run(2)
        board._say = usual  # type: ignore[method-assign]
        device.clear()
        assert sum(b"RUN" in command for command in served.commands) == 1


def test_a_board_that_switches_bright_light_off_says_so() -> None:
    board = Uc2Board("new", LEDS, cut_out=True)
    with Emulator(board) as served, open_device(f"uc2:{served.url}", OPTIONS) as device:
        with pytest.raises(DeviceError, match="switched its LEDs off: AUTO-OFF"):
            device.show(frame(1))
            device.hold(5)
        assert not device.shown.any()


def test_a_uc2_board_that_stays_lit_is_noticed() -> None:
    board = Uc2Board("new", LEDS)
    with Emulator(board) as served:
        device = open_device(f"uc2:{served.url}", OPTIONS)
        device.show(frame(1))
        board._new = lambda led, light: None  # type: ignore[method-assign]
        with pytest.raises(DeviceError, match="may still be lit: the board says that its LEDs are still on"):
            device.close()


def test_a_long_command_that_is_cut_every_time_is_stepped() -> None:
    many = frame(*range(40, 60), 99)
    for version in (2.32, 1.32):
        board = IlluminateBoard(version, 120)
        with Emulator(board, Faults(lost_tails=1)) as served, open_device(served.url, OPTIONS) as device:
            loaded = device.upload([many, frame(1)])
            assert not loaded.in_hardware and "does not take the sequence" in loaded.notes[0]
            device.run(5)
            assert [pulse[:, 1].nonzero()[0].tolist() for pulse in board.pulses] == [many.numbers.tolist(), [1]]
            assert board.damage == []


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals of POSIX")
def test_a_port_is_opened_once_and_may_vanish() -> None:
    with Emulator(IlluminateBoard(2.32, LEDS), terminal=True) as served:
        device = open_device(served.url, OPTIONS)
        device.show(frame(1, 5))
        assert served.light[:, 1].nonzero()[0].tolist() == [1, 5]
        with pytest.raises(DeviceError, match="in use by another program"):
            open_device(served.url, OPTIONS)
        served.unplug()
        with pytest.raises(UnpluggedError, match="broke"):
            for _ in range(1000):
                device.show(frame(1))
        with pytest.raises(UnpluggedError, match="may still be lit"):
            device.close()


def test_silence_has_a_deadline() -> None:
    line = Transport("loop://", lambda _: None)
    try:
        with pytest.raises(NoAnswerError, match=r"no answer to 'x' within 0\.05 s"):
            line.read_until(lambda _: None, 0.05, "x")
        line.write(b"abc")
        with pytest.raises(NoAnswerError, match="only 3 bytes of an answer"):
            line.read_until(lambda _: None, 0.05, "x")
    finally:
        line.close()


def test_an_error_inside_is_told_with_what_became_of_the_light() -> None:
    with Emulator(IlluminateBoard(2.32, LEDS)) as served:
        with pytest.raises(DeviceError, match="there is no sequence"), open_device(served.url, OPTIONS) as device:
            device.show(frame(1))
            device.run(5)
        assert not served.light.any()
        with pytest.raises(ZeroDivisionError), open_device(served.url, OPTIONS) as device:
            device.show(frame(1))
            1 / 0  # noqa: B018
        assert not served.light.any()


def test_steps_go_round_and_limits_are_said() -> None:
    with Emulator(IlluminateBoard(2.32, LEDS)) as served, open_device(served.url, OPTIONS) as device:
        device.upload([frame(1), frame(2)])
        rows = [device.step(trigger=True) for _ in range(3)]
        assert rows == [0, 1, 0] and len(served.board.pulses) == 3
        assert served.light[:, 1].nonzero()[0].tolist() == [1]
        with pytest.raises(DeviceError, match="for 5 to 2000 ms, not 3 ms"):
            device.run(3)
    with open_device(f"simulate:uc2?leds={LEDS}", OPTIONS) as device:
        device.upload([frame(1)])
        with pytest.raises(DeviceError, match="no output for a trigger"):
            device.run(5)
        with pytest.raises(DeviceError, match="cannot wait for a signal"):
            device.run(5, trigger_every=0, wait_for_input=True)


def test_an_acknowledgement_of_another_message_is_none() -> None:
    board = Uc2Board("old", LEDS)
    with Emulator(board) as served, open_device(f"uc2:{served.url}", OPTIONS) as device:
        usual = board._message

        def another(_: bytes) -> None:
            board._message = usual  # type: ignore[method-assign]
            board._frame({"qid": 31999, "success": 1})

        board._message = another  # type: ignore[method-assign]
        device.show(frame(2, 7))
        assert served.light[:, 1].nonzero()[0].tolist() == [2, 7]
