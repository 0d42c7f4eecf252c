"""The record of a stack's light survives the file, and a damaged one is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptychoui.data.acquired import Acquired
from ptychoui.data.dataset import ImageStack, Provenance
from ptychoui.data.formats.native import save_hdf5
from ptychoui.data.formats.open import open_dataset
from ptychoui.errors import DataError

RECORD: dict[str, Any] = {
    "device": "an array",
    "camera": "a camera",
    "design": "mine",
    "design_sha256": "ab",
    "led_numbers": (7, 3),
    "values": ((255, 0), (51, 102)),
    "exposures_ms": (10.0, 20.0),
    "gain": (1.0, 0.5),
    "gain_known": True,
    "wanted": 2,
    "notes": ("a note",),
}


def test_light_is_value_times_time_times_brightness() -> None:
    np.testing.assert_allclose(Acquired(**RECORD).light_ms(), [[10.0, 0.0], [4.0, 4.0]])


def test_it_comes_back_from_a_file(tmp_path: Path) -> None:
    record = Acquired(**RECORD)
    images = np.random.default_rng(1).random((2, 4, 5)).astype(np.float32)
    stack = ImageStack(
        images=images,
        led_numbers=np.arange(2),
        geometry=None,
        provenance=Provenance(source="here", layout="acquisition", sha256="", acquired=record),
        exposure=np.array([0.5, 1.0]),
    )
    read = open_dataset(save_hdf5(tmp_path / "s.h5", stack), None)
    assert isinstance(read, ImageStack) and read.provenance.acquired == record
    plain = open_dataset(
        save_hdf5(tmp_path / "p.h5", replace(stack, provenance=Provenance(source="", layout="", sha256=""))), None
    )
    assert isinstance(plain, ImageStack) and plain.provenance.acquired is None


@pytest.mark.parametrize(
    "change",
    [
        {"values": ((255, 0),)},
        {"values": ((255,), (51, 102))},
        {"values": ((256, 0), (51, 102))},
        {"values": ((-1, 0), (51, 102))},
        {"gain": (1.0,)},
        {"exposures_ms": (0.0, 20.0)},
    ],
)
def test_tables_that_do_not_match_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="the record of the stack's light is damaged"):
        Acquired(**{**RECORD, **change})


def test_a_record_with_a_part_missing_is_refused() -> None:
    values = Acquired(**RECORD).plain()
    assert Acquired.of_plain(values) == Acquired(**RECORD)
    del values["device"]
    with pytest.raises(DataError, match="damaged"):
        Acquired.of_plain(values)
