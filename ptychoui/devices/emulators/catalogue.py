"""Emulated arrays by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ptychoui.devices.emulators.adalight import AdalightBoard
from ptychoui.devices.emulators.illuminate import IlluminateBoard
from ptychoui.devices.emulators.sketch import SketchBoard
from ptychoui.devices.emulators.uc2 import Uc2Board
from ptychoui.devices.emulators.wire import Board, Emulator, Faults
from ptychoui.errors import SettingsError
from ptychoui.words import joined

USUAL = "illuminate2"
USUAL_LEDS = 1024
"""More than most designs light: an emulated array takes any design."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """An array that can be emulated: its board for a number of LEDs, and the kind of device that drives it."""

    board: Callable[[int], Board]
    kind: str


MODELS: dict[str, Model] = {
    "illuminate2": Model(board=lambda n: IlluminateBoard(2.32, n), kind="illuminate"),
    "illuminate1": Model(board=lambda n: IlluminateBoard(1.32, n), kind="illuminate"),
    "uc2": Model(board=lambda n: Uc2Board("new", n), kind="uc2"),
    "uc2-old": Model(board=lambda n: Uc2Board("old", min(n, 256)), kind="uc2"),
    "uc2-can": Model(board=lambda n: Uc2Board("can", n), kind="uc2"),
    "adalight": Model(board=lambda n: AdalightBoard(n), kind="adalight"),
    "ptychoui": Model(board=lambda n: SketchBoard(n, slots=65), kind="ptychoui"),
}


class NamedEmulator(Emulator):
    """An emulator of the catalogue; ``kind`` is that of the device that drives it."""

    kind: str = ""


def emulator(
    name: str = "", n_leds: int | None = None, faults: Faults | None = None, seed: int = 0, terminal: bool = False
) -> NamedEmulator:
    """An emulated array, not yet started.

    Raises
    ------
    SettingsError
        If there is none of this name.
    """
    model = MODELS.get(name or USUAL)
    if model is None:
        raise SettingsError(f"there is no emulated array {name!r}", f"there are {joined(list(MODELS))}")
    found = NamedEmulator(model.board(n_leds or USUAL_LEDS), faults or Faults(lost_tails=0), seed, terminal)
    found.kind = model.kind
    return found
