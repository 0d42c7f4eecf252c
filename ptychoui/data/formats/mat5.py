"""Numeric variables and structures of MATLAB files of version 5 to 7.2, from the published description of the format.

SciPy reads these files too, but its compiled reader ends the whole process on some damaged files; a reader
that checks each length against the bytes that are there refuses them with a sentence.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.formats.common import check_claim
from ptychoui.errors import DataError

MATRIX, COMPRESSED, INT32, UINT32, INT8 = 14, 15, 5, 6, 1
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
NUMERIC_CLASSES = range(6, 16)  # double, single, int8 ... uint64
CELL_CLASS, STRUCTURE_CLASS = 1, 2
COMPLEX_FLAG = 0x0800
PIECE_BYTES = 2**18
HEADER_BYTES = 4096  # flags, shape and name of a variable fit in this


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """Where a numeric variable lies in the file and what its header says."""

    name: str
    shape: tuple[int, ...]
    is_complex: bool
    offset: int
    length: int
    compressed: bool
    order: str
    start: int = 0
    """Where the value begins in the body: not at 0 for a field of a structure."""
    field: bool = False
    cells: tuple[int, ...] = ()
    """Where the matrices of a cell array begin, in MATLAB's order; they are its last axis."""


def list_variables(path: Path, unread: dict[str, str] | None = None) -> dict[str, Variable]:
    """Numeric variables by name, without reading their values; text is left out.

    The numeric fields of a single structure S are listed as S.FIELD; structures inside it are left out. A cell array
    of matrices of one shape is one variable, its last axis the cells.

    Parameters
    ----------
    unread
        Is given what other cell arrays and structures are, by name.
    """
    unread = {} if unread is None else unread
    found: dict[str, Variable] = {}
    size = path.stat().st_size
    with path.open("rb") as file:
        order = {b"IM": "<", b"MI": ">"}.get(file.read(128)[126:128])
        if order is None:
            raise ValueError("the header does not state the byte order")
        offset = 128
        while offset < size:
            file.seek(offset)
            kind, length = struct.unpack(f"{order}II", file.read(8))
            if offset + 8 + length > size:
                raise DataError(
                    f"{path.name} is incomplete or damaged: a variable of {length} bytes begins "
                    f"{size - offset - 8} bytes before the end",
                    "copy the file again and compare its size",
                )
            if kind in (MATRIX, COMPRESSED):
                for variable in _headers(file, path, kind == COMPRESSED, offset + 8, length, order, unread):
                    found[variable.name] = variable
            offset += 8 + length
    return found


def read_variable(path: Path, variable: Variable) -> NDArray[Any]:
    """Read the values of one variable, in MATLAB's axis order."""
    with path.open("rb") as file:
        file.seek(variable.offset)
        body: bytes | bytearray = file.read(variable.length)
    if variable.compressed:
        body = _inflate(path, variable.name, variable.order, body)
    if variable.cells:
        one = replace(variable, shape=variable.shape[:-1], field=True, cells=())
        return np.stack([_value(body, replace(one, start=start)) for start in variable.cells], axis=-1)
    return _value(body, variable)


def _value(body: bytes | bytearray, variable: Variable) -> NDArray[Any]:
    parts = _Elements(memoryview(body)[variable.start :], variable.order)
    if variable.field:
        parts = _Elements(parts.take()[1], variable.order)
    for _ in range(3):  # flags, shape, name
        parts.take()
    real = _values(parts, variable)
    if not variable.is_complex:
        return real
    return np.asarray(real + 1j * _values(parts, variable))


def _values(parts: _Elements, variable: Variable) -> NDArray[Any]:
    """One part of a variable; MATLAB may store it in a smaller type than its class."""
    kind, data = parts.take()
    if kind not in STORED:
        raise ValueError(f"{variable.name} has values of the unknown type {kind}")
    flat = np.frombuffer(data, dtype=np.dtype(variable.order + STORED[kind]))
    if flat.size != math.prod(variable.shape):
        raise ValueError(f"{variable.name} has the shape {variable.shape} but {flat.size} values")
    return flat.astype(flat.dtype.newbyteorder("="), copy=False).reshape(variable.shape, order="F")


def _headers(
    file: BinaryIO, path: Path, compressed: bool, offset: int, length: int, order: str, unread: dict[str, str]
) -> list[Variable]:
    """The numeric variable that lies here, or those of a structure or cell array; none if it is something else."""
    file.seek(offset)
    packed = file.read(min(length, HEADER_BYTES))
    start = packed
    if compressed:
        start = zlib.decompressobj().decompress(packed, HEADER_BYTES)
        if struct.unpack_from(f"{order}I", start)[0] != MATRIX:
            return []
        start = start[8:]
    if not start:
        return []  # MATLAB writes an empty matrix for a deleted variable
    parts = _Elements(start, order)
    name, shape, bits = _flags_shape_name(parts, order)
    where = {"offset": offset, "length": length, "compressed": compressed, "order": order}
    if (bits & 0xFF) in NUMERIC_CLASSES:
        return [Variable(name=name, shape=shape, is_complex=bool(bits & COMPLEX_FLAG), **where)]  # type: ignore[arg-type]
    if (bits & 0xFF) == STRUCTURE_CLASS and math.prod(shape) != 1:
        unread[name] = f"an array of {math.prod(shape)} structures"
        return []
    if (bits & 0xFF) not in (STRUCTURE_CLASS, CELL_CLASS):
        return []
    file.seek(offset)
    body: bytes | bytearray = file.read(length)
    if compressed:
        body = _inflate(path, name, order, body)
    if (bits & 0xFF) == CELL_CLASS:
        found = _cells(body, math.prod(shape), order)
        if isinstance(found, str):
            unread[name] = found
            return []
        extents, flags, starts = found
        is_complex = bool(flags & COMPLEX_FLAG)
        return [Variable(name=name, shape=(*extents, len(starts)), is_complex=is_complex, cells=starts, **where)]  # type: ignore[arg-type]
    return [
        Variable(
            name=f"{name}.{field}",
            shape=extents,
            is_complex=bool(flags & COMPLEX_FLAG),
            start=at,
            field=True,
            **where,  # type: ignore[arg-type]
        )
        for field, extents, flags, at in _fields(body, order)
    ]


def _flags_shape_name(parts: _Elements, order: str) -> tuple[str, tuple[int, ...], int]:
    """Name, shape and flags (the lowest byte is the class) at the start of a variable."""
    (flag_kind, flags), (shape_kind, shape), (name_kind, name) = parts.take(), parts.take(), parts.take()
    if (flag_kind, shape_kind, name_kind) != (UINT32, INT32, INT8) or len(flags) != 8 or len(shape) % 4:
        raise ValueError("a variable's header is damaged")
    bits = struct.unpack_from(f"{order}I", flags)[0]
    extents = struct.unpack(f"{order}{len(shape) // 4}i", shape)
    if min(extents, default=-1) < 0:
        raise ValueError(f"a variable has the shape {extents}")
    return bytes(name).decode("ascii"), extents, bits


def _fields(body: bytes | bytearray, order: str) -> list[tuple[str, tuple[int, ...], int, int]]:
    """Name, shape, flags and place of the numeric fields of a single structure."""
    parts = _Elements(body, order)
    _flags_shape_name(parts, order)
    (width_kind, width_data), (names_kind, names) = parts.take(), parts.take()
    width = struct.unpack(f"{order}i", width_data)[0] if len(width_data) == 4 else 0
    if width_kind != INT32 or names_kind != INT8 or width < 1 or len(names) % width:
        raise ValueError("the names of a structure's fields are damaged")
    found = []
    for place in range(len(names) // width):
        name = bytes(names[place * width : (place + 1) * width]).partition(b"\0")[0].decode("ascii")
        at = parts.place
        kind, value = parts.take()
        if kind != MATRIX:
            raise ValueError(f"the field {name} of a structure is damaged")
        if len(value) == 0:
            continue  # an empty field
        _, extents, flags = _flags_shape_name(_Elements(value, order), order)
        if (flags & 0xFF) in NUMERIC_CLASSES:
            found.append((name, extents, flags, at))
    return found


def _cells(body: bytes | bytearray, count: int, order: str) -> tuple[tuple[int, ...], int, tuple[int, ...]] | str:
    """Shape and flags of the matrices of a cell array and their places, or what is in it instead."""
    parts = _Elements(body, order)
    _flags_shape_name(parts, order)
    heads: list[tuple[tuple[int, ...], int]] = []
    starts: list[int] = []
    while parts.place < len(parts.body) and len(starts) < count:
        starts.append(parts.place)
        kind, value = parts.take()
        if kind != MATRIX:
            raise ValueError("a cell array is damaged")
        if len(value) == 0:
            return "a cell array with empty cells"
        _, extents, flags = _flags_shape_name(_Elements(value, order), order)
        if (flags & 0xFF) not in NUMERIC_CLASSES:
            return "a cell array of something else than numbers"
        heads.append((extents, flags & COMPLEX_FLAG))
    if len(starts) != count:
        raise ValueError(f"a cell array of {count} cells holds {len(starts)}")
    if not heads:
        return "an empty cell array"
    shapes = [extents for extents, _ in heads]
    if len(set(heads)) > 1:
        other = next(place for place, head in enumerate(heads) if head != heads[0])
        return f"a cell array of matrices of different shapes: {shapes[0]}, but {shapes[other]} in cell {other + 1}"
    return (*heads[0], tuple(starts))


def _inflate(path: Path, name: str, order: str, packed: bytes | bytearray) -> bytearray:
    """Unpack a compressed variable and check the checksum at its end."""
    # Piece by piece: a single call would hold everything twice when it joins its parts.
    unpacker, source, place = zlib.decompressobj(), memoryview(packed), PIECE_BYTES
    tag = unpacker.decompress(source[:place], 8)
    kind, length = struct.unpack(f"{order}II", tag)
    check_claim(path, name, length, len(packed))
    body, tail = bytearray(), unpacker.unconsumed_tail
    while len(body) < length and not unpacker.eof:
        if not tail:
            tail, place = bytes(source[place : place + PIECE_BYTES]), place + PIECE_BYTES
        part = unpacker.decompress(tail, min(length - len(body), PIECE_BYTES))
        body += part
        tail = unpacker.unconsumed_tail
        if not part and not tail and place >= len(packed):
            break
    rest = b"" if unpacker.eof else unpacker.decompress(tail + bytes(source[place : place + 64]), 8)
    if kind != MATRIX or len(body) != length or rest or not unpacker.eof:
        raise DataError(
            f"{path.name}: {name} is cut short or damaged: {len(body)} of {length} bytes unpacked",
            "copy the file again and compare its size",
        )
    return body


class _Elements:
    """The data elements inside a variable, one after the other."""

    def __init__(self, body: bytes | bytearray | memoryview, order: str) -> None:
        self.body, self.order, self.place = memoryview(body), order, 0

    def take(self) -> tuple[int, memoryview]:
        """Return type and bytes of the next element."""
        kind, length = struct.unpack_from(f"{self.order}II", self.body, self.place)
        if kind >> 16:  # the short form: type and length share a word, up to four bytes of data follow
            kind, length, start = kind & 0xFFFF, kind >> 16, self.place + 4
            self.place += 8
            if length > 4:
                raise ValueError("a short data element is longer than 4 bytes")
        else:
            start = self.place + 8
            self.place = start + (length + 7) // 8 * 8
        if start + length > len(self.body):
            raise ValueError(f"a data element of {length} bytes ends beyond its variable")
        return kind, self.body[start : start + length]
