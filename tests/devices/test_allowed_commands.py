"""What writes an EEPROM or a serial number, restarts a board or leaves it in a strange mode cannot be sent at all."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ptychoui.devices import adalight, illuminate_words, sketch_words, uc2_words
from ptychoui.devices.byte_log import ByteLog
from ptychoui.devices.emulators.illuminate import DESTRUCTIVE, IlluminateBoard
from ptychoui.devices.emulators.wire import Emulator
from ptychoui.devices.opening import KINDS, open_device
from ptychoui.devices.transport import Transport
from ptychoui.errors import DeviceError
from ptychoui.export.illuminate import led_lists

FORBIDDEN = (
    *DESTRUCTIVE,
    *(
        "setsn.12",
        "setpn.3",
        "store.1",
        "autoload.1",
        "demo.1",
        "reset",
        "smc.9",
        "smce.0",
        "mc.20",
        "ch.4",
        "pinorder",
    ),
    *("scf.5", "scb.5", "sc.5;store", "l.1\nstore", "l.1\rstore", "x\nreset\n", "store\n", "l.0x10", "l.store", ""),
    *("sc.max", "sb.max", " store", "STORE", "l 1", "l,1", "rseqf.1", "debug.2", "human", "trs.0.1.1.1.1", "l.1.."),
)


@pytest.mark.parametrize("command", FORBIDDEN)
def test_illuminate(command: str) -> None:
    with Emulator(IlluminateBoard()) as board:
        with open_device(board.url) as device:
            sent = len(board.commands)
            if command:
                with pytest.raises(DeviceError, match="may be sent"):
                    device.ask(command)  # type: ignore[attr-defined]
                with pytest.raises(DeviceError):
                    device.transport.write(command.encode())
            assert len(board.commands) == sent
        assert board.board.damage == []


def test_every_kind_has_a_guard_that_refuses_others() -> None:
    for name, kind in KINDS.items():
        for data in (b"store\n", b"reset\n", b'{"task":"/reset"}', b"Ada\x00\x00\x00", b"1 FORMAT*00\n", b"AT\r\n"):
            with pytest.raises(DeviceError):
                kind.guard(data)
        assert name


@pytest.mark.parametrize(
    "words",
    [
        {"task": "/state_act", "restart": 1},
        {"task": "/config_set"},
        {"task": "/ledarr_set", "led": {"ledArrPin": 4}},
        {"task": "/ledarr_act", "led": {"action": "rings"}},
        {"task": "/ledarr_act", "led": {"LEDArrMode": 1}},
        {"task": "/ledarr_act", "led": {"action": "off", "pin": 3}},
        {"task": "/laser_act"},
        {"tasks": [{"task": "/state_act"}]},
        {"task": "/ledarr_act", "led": []},
        [],
    ],
)
def test_uc2(words: object) -> None:
    with pytest.raises(DeviceError, match="may be sent"):
        uc2_words.guard(json.dumps(words).encode())


def test_what_is_allowed_passes() -> None:
    for command in (
        "x",
        "l.0.1.5.7",
        "sb.255",
        "sc.0.255.0",
        "ssv.none",
        "ssv.range.8.24",
        "rseq.20.1",
        "ssv.1.-1.255",
    ):
        illuminate_words.guard(f"{command}\n".encode())
    illuminate_words.guard(b"\n")
    uc2_words.guard(uc2_words.message("/ledarr_act", 3, {"action": "single", "ledIndex": 1, "r": 1, "g": 2, "b": 3}))
    uc2_words.guard(uc2_words.RESYNC)
    adalight.guard(adalight.encode(np.arange(9, dtype=np.uint8), "white"))
    sketch_words.guard(sketch_words.sealed("4 PUT 0 32 00FF"))


def test_values_that_are_damaged_are_left_out() -> None:
    text = '{"led_values" : {\n "0" : [1,2,3], \n "1" : [0\x0c0,1,2], "2" : [4 5], "3" : [,], "4" : [7, 8] }}'
    assert illuminate_words.led_values(text) == {0: (1, 2, 3), 4: (7, 8)}


def test_too_long_ones_are_refused() -> None:
    with pytest.raises(DeviceError, match="more than a board takes"):
        illuminate_words.guard(("l" + ".1" * 299 + "\n").encode())
    with pytest.raises(DeviceError, match="more than a board takes"):
        illuminate_words.guard(("l" + ".1234" * 110 + "\n").encode())
    with pytest.raises(DeviceError, match="does not fit"):
        uc2_words.guard(b"{" + b" " * 9000 + b"}")
    with pytest.raises(DeviceError):
        sketch_words.guard(sketch_words.sealed("4 PUT 0 32 " + "0" * 64 + " 00 00 00 00 00 00 00"))


def test_lists_of_leds_fit_a_packet_and_name_each_once() -> None:
    for numbers in (np.arange(1), np.arange(0), np.arange(581), np.arange(14500, 15529)):
        commands = led_lists(numbers)
        assert all(len(command) + 1 <= 63 for command in commands)
        assert [int(word) for command in commands for word in command.split(".")[1:]] == numbers.tolist()
    assert len(led_lists(np.arange(100, 115))) == 1 and len(led_lists(np.arange(100, 116))) == 2


def test_worked_byte_strings() -> None:
    assert adalight.encode(np.array([84], dtype=np.uint8), "red") == b"Ada\x00\x00\x55\x54\x00\x00"
    two = adalight.encode(np.array([255, 255], dtype=np.uint8), "red")
    assert two[:6] == bytes.fromhex("416461000154")
    assert uc2_words.message("/ledarr_get", 2) == b'{"task":"/ledarr_get","qid":2}'
    frames = uc2_words.frames_in(b'log\n++\n{"qid":17,"state":"done"}\n--\n\0[log]\n++\n{"return":17}\n--\n\0++\n{"qid')
    assert frames == [{"qid": 17, "state": "done"}, {"return": 17}]
    length, text = illuminate_words.answer_length, illuminate_words.answer_text
    assert length(b"SB.255\n-==-\n") == 12 and length(b"SB.255\n-==") is None and length(b"{}-==-\n") == 7
    assert length(b"ERROR[16]: Invalid command.\n") == 28
    assert text(b"[WRN01] low\nSB.3\n-==-\n", "sb.3") == "SB.3"
    for answer in (b"ERROR[16]: Invalid command.\n", b"Command [q] is not implemented yet.\n-==-\n", b"ERR:NI\n-==-\n"):
        with pytest.raises(DeviceError, match="the array answers to 'q'"):
            text(answer, "q")


def test_nothing_passes_the_transport_unseen() -> None:
    log = ByteLog(kept_bytes=100)
    line = Transport("loop://", illuminate_words.guard, log=log)
    try:
        with pytest.raises(DeviceError):
            line.write(b"store\n")
        line.write(b"x\n")
        assert line.read_until(lambda data: 2 if len(data) >= 2 else None, 5, "x") == b"x\n"
        assert [(entry.sent, entry.data) for entry in log.entries()] == [(True, b"x\n"), (False, b"x\n")]
        for _ in range(60):
            line.write(b"sb.1\n")
        assert sum(len(entry.data) for entry in log.entries()) <= 100
        assert log.text().splitlines()[-1].endswith(r"> sb.1\n")
    finally:
        line.close()
        line.close()
