"""Which commands of the illuminate firmware may be sent, and how its answers end and fail. No device, no files.

Anything that writes the EEPROM, serial or part numbers, restarts the board or leaves it in a mode that outlives the
program is not in the list, and so cannot be sent.
"""

from __future__ import annotations

import re

from ptychoui.errors import DeviceError

LONGEST_BYTES = 511
"""Longest command that is tried at all: boards with packets of 512 bytes receive it."""
MOST_ARGUMENTS = 298
"""Firmware 2.x writes beyond its table behind these."""

ALLOWED = frozenset(
    {
        # output of machines, facts
        *("machine", "pprops", "pp", "pvals", "pledpos", "pseq", "version"),
        # light
        *("l", "x", "sb", "sc", "ac", "gs"),
        # sequences and triggers
        *("ssl", "ssv", "ssz", "ssbd", "rseq", "tr", "troutputmode", "trinputmode"),
    }
)

_ARGUMENT = re.compile(r"-?\d{1,5}|none|all|range")
_END = re.compile(rb"-==-\r?\n?")
_ERROR_2 = re.compile(rb"ERROR\[\d+\]:[^\n]*\n")
_ERROR_1 = re.compile(r"ERROR|ERR:|Error|WARNING|is not implemented yet")
_LOG = re.compile(r"^\[WRN\d*\].*$", re.M)

ABORT = b"\n"
"""Any byte ends a sequence, and is lost; an empty line does nothing else."""


def guard(data: bytes) -> None:
    """Let pass one command of the list, or the empty line that ends a sequence.

    Raises
    ------
    DeviceError
        If it is anything else, or longer than any board takes.
    """
    if data == ABORT:
        return
    text = data.decode("ascii", "replace")
    line = text[:-1]
    name, *arguments = line.split(".")
    if not text.endswith("\n") or name not in ALLOWED or not all(_ARGUMENT.fullmatch(word) for word in arguments):
        raise DeviceError(
            f"the command {line[:40]!r} is not one that may be sent to an LED array",
            "only commands that light LEDs, read facts or play sequences are",
        )
    if len(data) > LONGEST_BYTES or len(arguments) > MOST_ARGUMENTS:
        raise DeviceError(f"a command of {len(data)} bytes is more than a board takes", "send it in pieces")


def answer_length(data: bytes, of_errors: bool = True) -> int | None:
    """Length of the complete answer at the start of what came; None while it is not complete.

    Firmware 2.x ends an error with its line alone, and all else with ``-==-``.
    """
    ends = [match.end() for pattern in (_END, _ERROR_2)[: 1 + of_errors] if (match := pattern.search(data))]
    return min(ends, default=None)


def answer_text(data: bytes, asked: str) -> str:
    """What an answer says, without its end and without warnings that nobody asked for.

    Raises
    ------
    DeviceError
        If the device refused the command, in its own words.
    """
    text = _END.sub(b"", data).decode("ascii", "replace").replace("\r", "")
    text = _LOG.sub("", text).strip()
    if found := _ERROR_1.search(text):
        words = text[max(0, text.rfind("\n", 0, found.start())) :].strip().splitlines()[0]
        raise DeviceError(f"the array answers to {asked[:40]!r}: {words[:120]}", "see the log of bytes")
    return text


def led_values(text: str) -> dict[int, tuple[int, ...]]:
    """Drive values of every LED from the answer to ``pvals``, which is not always valid JSON."""
    found = re.findall(r'"([0-9]+)" *: *\[([0-9]+(?:, ?[0-9]+)*)\]', text)
    return {int(number): tuple(int(word) for word in values.split(",")) for number, values in found}
