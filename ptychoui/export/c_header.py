"""Patterns as a C header for a sketch on a microcontroller."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ptychoui.data.files import write_atomic
from ptychoui.design.patterns import PatternSet
from ptychoui.errors import SettingsError
from ptychoui.export.options import (
    Exported,
    Options,
    check_led_numbers,
    design_hash,
    dwell_ms,
    quantisation_notes,
    quantised,
)

AVR_LIMIT_BYTES = 32767
"""The largest array an AVR compiler accepts."""


def write_c_header(patterns: PatternSet, path: Path, options: Options) -> Exported:
    """Write codes of up to 8 bits, LED numbers, positions [mm] and exposures [us] as constant arrays.

    The header compiles as C99 and C++. An array above 32767 bytes stops an AVR compiler with a sentence;
    other controllers take it.
    """
    check_led_numbers(patterns)
    coded = quantised(patterns, options)
    dwell_us = np.maximum(np.rint(dwell_ms(patterns, coded, options) * 1000), 1)
    if dwell_us.max() > 0xFFFFFFFF:
        raise SettingsError(f"an exposure of {dwell_us.max() / 1e6:.4g} s does not fit 32 bits of microseconds")
    rows, leds = coded.codes.shape
    largest = max(rows * leds, leds * 2 * 4)
    notes = quantisation_notes(patterns, coded)
    if largest > AVR_LIMIT_BYTES:
        notes.append(
            f"the largest table has {largest} bytes, above the {AVR_LIMIT_BYTES} of AVR boards (such as the Uno): "
            "the header refuses to compile there"
        )
    lines = [
        "/* LED patterns written by ptychoui; do not edit. */",
        f"/* design: {_plain(patterns.name)} */",
        f"/* sha256 of levels, exposures and LED numbers: {design_hash(patterns)} */",
        "/* Column i of LED_PATTERNS drives the LED with the number LED_NUMBERS[i], at LED_XY_MM[i].",
        "   Drive levels are linear: switch gamma correction off. */",
        "#pragma once",
        "#include <stdint.h>",
        "#ifdef __AVR__",
        "#include <avr/pgmspace.h>",
        *(
            [f'#error "a table of {largest} bytes is above the {AVR_LIMIT_BYTES} bytes an AVR array may have"']
            if largest > AVR_LIMIT_BYTES
            else []
        ),
        "#endif",
        "#ifndef PROGMEM",
        "#define PROGMEM",
        "#endif",
        "",
        f"#define N_LEDS {leds}",
        f"#define N_PATTERNS {rows}",
        f"#define LED_BITS {options.bits}",
        f"#define LED_MAX {2**options.bits - 1}",
        "",
        "/* read with pgm_read_byte(&LED_PATTERNS[pattern][i]) on AVR */",
        "static const uint8_t LED_PATTERNS[N_PATTERNS][N_LEDS] PROGMEM = {",
        *(
            f"  /* {row}: {_plain(name)} */ {{{_list(codes)}}},"
            for row, (name, codes) in enumerate(zip(patterns.row_names, coded.codes, strict=True))
        ),
        "};",
        "",
        "static const uint16_t LED_NUMBERS[N_LEDS] PROGMEM = {" + _list(patterns.led_numbers) + "};",
        "",
        "static const float LED_XY_MM[N_LEDS][2] PROGMEM = {",
        "  " + ", ".join(f"{{{x:.5f}f, {y:.5f}f}}" for x, y in patterns.positions_mm[:, :2]),
        "};",
        "",
        "/* exposure of each pattern in microseconds */",
        "static const uint32_t DWELL_US[N_PATTERNS] PROGMEM = {" + ", ".join(f"{int(us)}UL" for us in dwell_us) + "};",
        "",
    ]
    return Exported(paths=(write_atomic(path, "\n".join(lines)),), notes=tuple(notes))


def _list(values: Iterable[int]) -> str:
    return ", ".join(str(int(value)) for value in values)


def _plain(text: str) -> str:
    """Text that cannot end a comment, continue a line or leave ASCII."""
    kept = "".join(c if c.isascii() and c.isprintable() and c not in "*\\/?" else "_" for c in text)
    return kept[:80]
