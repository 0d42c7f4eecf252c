"""Lines of the program's own protocol, spoken by ``resources/firmware/ptychoui_leds``. No device, no files."""

from __future__ import annotations

import re

from ptychoui.errors import DeviceError

NAME = "ptychoui-leds"
COMMANDS = frozenset(
    ("ID", "ALIVE", "COLOR", "OFF", "ZERO", "PUT", "SUM", "SHOW", "LIT", "RUN", "STOP", "TRIG", "BEAT")
)
LINE_BYTES = 96
PUT_LEDS = 32
"""LEDs whose levels one line carries."""

_WORD = re.compile(r"[0-9A-F]{1,64}")


def crc8(data: bytes) -> int:
    """CRC-8 with the polynomial 0x07 from 0."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc


def crc16(data: bytes) -> int:
    """CRC-16 of CCITT, polynomial 0x1021 from 0xffff."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021) & 0xFFFF if crc & 0x8000 else crc << 1
    return crc


def sealed(text: str) -> bytes:
    """A line with its check sum and newline."""
    data = text.encode("ascii")
    return data + f"*{crc8(data):02X}\n".encode("ascii")


def opened(line: bytes) -> list[str] | None:
    """Words of a line without its newline; None if the check sum is not that of the line."""
    text, star, check = line.strip().rpartition(b"*")
    if not star or not re.fullmatch(rb"[0-9A-F]{2}", check) or int(check, 16) != crc8(text):
        return None
    return text.decode("ascii", "replace").split(" ")


def guard(data: bytes) -> None:
    """Let pass whole lines with a command of the protocol.

    Raises
    ------
    DeviceError
        If it is anything else.
    """
    words = opened(data[:-1]) if data.endswith(b"\n") and data.count(b"\n") == 1 else None
    known = words is not None and len(words) > 1 and words[0].isdigit() and words[1] in COMMANDS
    if not known or len(data) > LINE_BYTES + 1 or not all(_WORD.fullmatch(word) for word in (words or [])[2:]):
        raise DeviceError(f"the line {data[:40].decode('ascii', 'replace')!r} is not one that may be sent")
