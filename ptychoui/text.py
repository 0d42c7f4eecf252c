"""Text of files in the encodings that editors and spreadsheets write. Standard library only."""

from __future__ import annotations

import codecs

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
"""Bytes at the start, codec, name in sentences; UTF-32 before UTF-16, whose mark begins it."""


def text_of(raw: bytes) -> tuple[str, str] | None:
    """Text and the name of its encoding: what its mark says, else UTF-8, else that of Western Windows, Latin-1.

    None for bytes that are no text: zeros or, outside UTF-8, control characters; or wrong after their mark.
    """
    for mark, codec, name in MARKS:
        if raw.startswith(mark):
            return _decoded(raw, codec, name)
    if b"\0" in raw[:1024]:
        # Every second byte of plain text in UTF-16 is zero, of one kind of place only.
        first, second = raw[:1024:2].count(0), raw[1:1024:2].count(0)
        if min(first, second) == 0 and max(first, second) > len(raw[:1024]) / 4:
            return _decoded(raw, "utf-16-be" if first else "utf-16-le", "UTF-16")
        return None
    return _decoded(raw, "utf-8", "UTF-8") or _decoded(raw, "cp1252", "Latin-1") or _decoded(raw, "latin-1", "Latin-1")


def _decoded(raw: bytes, codec: str, name: str) -> tuple[str, str] | None:
    try:
        text = raw.decode(codec)
    except UnicodeDecodeError:
        return None
    if name == "Latin-1" and any(character < " " and not character.isspace() for character in set(text)):
        return None  # any bytes at all are Latin-1
    return text, name
