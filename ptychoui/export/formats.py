"""The table of export formats, and the one function that writes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ptychoui.design.patterns import PatternSet
from ptychoui.errors import SettingsError
from ptychoui.export.adalight_dump import write_adalight
from ptychoui.export.c_header import write_c_header
from ptychoui.export.csv_file import write_csv
from ptychoui.export.csv_long import write_csv_long
from ptychoui.export.illuminate import write_illuminate_1, write_illuminate_2, write_illuminate_unknown
from ptychoui.export.json_file import write_json
from ptychoui.export.mat_file import write_mat
from ptychoui.export.npz_file import write_npz
from ptychoui.export.options import Exported, Options
from ptychoui.export.png_folder import write_png
from ptychoui.export.uc2_json import write_uc2_json
from ptychoui.export.useq_events import write_useq

Writer = Callable[[PatternSet, Path, Options], Exported]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One row of the table.

    Attributes
    ----------
    description
        What is written, in a few words.
    suffix
        Usual end of the file's name; empty for a folder.
    bits
        Bits of a drive level unless others are asked for; 0 where raw levels are written.
    maximum_bits
        Most bits the format can hold.
    """

    description: str
    suffix: str
    write: Writer
    bits: int = 0
    maximum_bits: int = 0

    @property
    def is_folder(self) -> bool:
        """Whether a folder is written, not a file."""
        return not self.suffix


FORMATS: dict[str, Format] = {
    "json": Format(
        description="everything: raw and quantised levels, exposures, geometry, record, hash",
        suffix=".json",
        write=write_json,
        bits=8,
        maximum_bits=16,
    ),
    "csv": Format(description="table with one row per LED and raw levels", suffix=".csv", write=write_csv),
    "png": Format(description="folder of pictures and a contact sheet", suffix="", write=write_png),
    "npz": Format(description="NumPy arrays of raw levels", suffix=".npz", write=write_npz),
    "mat": Format(
        description="MATLAB file of raw levels, names of the published codes", suffix=".mat", write=write_mat
    ),
    "csv-long": Format(
        description="table with one row per LED of each pattern, raw levels and drive values",
        suffix=".csv",
        write=write_csv_long,
        bits=8,
        maximum_bits=8,
    ),
    "c_header": Format(
        description="C header for a microcontroller sketch",
        suffix=".h",
        write=write_c_header,
        bits=8,
        maximum_bits=8,
    ),
    "illuminate-2": Format(
        description="serial script for the illuminate firmware 2.x (sequences of LEDs on or off)",
        suffix=".txt",
        write=write_illuminate_2,
        bits=1,
        maximum_bits=8,
    ),
    "illuminate-1": Format(
        description="serial script for the illuminate firmware 1.x (sequences of 8 bits)",
        suffix=".txt",
        write=write_illuminate_1,
        bits=8,
        maximum_bits=8,
    ),
    "illuminate": Format(
        description="serial script that every illuminate firmware understands (LEDs on or off)",
        suffix=".txt",
        write=write_illuminate_unknown,
        bits=1,
        maximum_bits=1,
    ),
    "uc2": Format(
        description="JSON messages for the LED matrix of an openUC2 board",
        suffix=".json",
        write=write_uc2_json,
        bits=8,
        maximum_bits=8,
    ),
    "adalight": Format(
        description="bytes for an Adalight sketch or WLED, one frame per pattern",
        suffix=".bin",
        write=write_adalight,
        bits=8,
        maximum_bits=8,
    ),
    "useq": Format(
        description="acquisition events for pymmcore-plus and Micro-Manager (useq-schema)",
        suffix=".json",
        write=write_useq,
        bits=8,
        maximum_bits=8,
    ),
}


def export_patterns(
    patterns: PatternSet,
    to: str,
    path: str | Path,
    *,
    bits: int | None = None,
    minimum_code: int = 0,
    frame_ms: float = 100.0,
) -> Exported:
    """Write patterns in one of the formats of `FORMATS`; every file is written atomically.

    Parameters
    ----------
    patterns
        Levels (row, LED), exposures and LEDs.
    to
        Name of the format.
    path
        File to write; for ``png`` the folder.
    bits
        Bits of a drive level; by default what the format or the device has.
    minimum_code
        Smallest code above zero that makes an LED shine.
    frame_ms
        Time of one frame in ms; exposures are given in frames.

    Returns
    -------
    The files written, and notes to be shown: what quantising cost, and limits of the device.

    Raises
    ------
    SettingsError
        If the format is unknown or cannot show what is asked for.
    DataError
        If a file cannot be written; an old file is then as it was.
    """
    if to not in FORMATS:
        raise SettingsError(f"unknown export format {to!r}", f"formats: {', '.join(FORMATS)}")
    row = FORMATS[to]
    if bits is not None and not 1 <= bits <= row.maximum_bits:
        reach = f"holds 1 to {row.maximum_bits} bits" if row.maximum_bits else "holds raw levels"
        raise SettingsError(f"{bits} bits were asked for, but {to} {reach}", "leave the bits out or change them")
    return row.write(patterns, Path(path), Options(bits=bits or row.bits, minimum_code=minimum_code, frame_ms=frame_ms))
