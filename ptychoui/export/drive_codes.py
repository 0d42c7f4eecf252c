"""8-bit drive values of patterns by firmware number, for formats whose LEDs have a place and no number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptychoui.design.patterns import PatternSet
from ptychoui.errors import SettingsError
from ptychoui.export.options import Options, check_led_numbers, quantised
from ptychoui.export.quantise import Quantised

FULL = 255


def drive_codes(patterns: PatternSet, options: Options) -> tuple[NDArray[np.uint8], Quantised]:
    """(row, place) values from 0 to 255, place = firmware number, LEDs without a level dark; and their quantisation.

    Raises
    ------
    SettingsError
        If the bits do not divide the 8-bit scale evenly, or LED numbers cannot be those of a controller.
    """
    check_led_numbers(patterns)
    if FULL % (2**options.bits - 1):
        raise SettingsError(f"{options.bits} bits do not divide a scale of 8 bits evenly", "choose 1, 2, 4 or 8 bits")
    coded = quantised(patterns, options)
    values = np.zeros((len(coded.codes), int(patterns.led_numbers.max()) + 1), dtype=np.uint8)
    values[:, patterns.led_numbers] = coded.codes * (FULL // (2**options.bits - 1))
    return values, coded
