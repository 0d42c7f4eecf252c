from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ptychoui.data.dataset import ImageStack, Provenance
from ptychoui.session.origin import Origin, data_name, origin
from ptychoui.words import counted


class Stored:
    def __init__(self, **record: Any) -> None:
        self.record = record


class Report:
    """What is looked at of a report."""

    def __init__(self, path: str | None, geometry: Any = None, **record: Any) -> None:
        self.stored = Stored(**record) if path else None
        self.path = Path(path) if path else None
        self.geometry = geometry


def stack(source: str, sha: str) -> ImageStack:
    return ImageStack(
        images=np.ones((1, 4, 4), np.float32),
        led_numbers=np.arange(1),
        geometry=None,
        provenance=Provenance(source=source, layout="arrays", sha256=sha),
    )


def of(report: Report, data: ImageStack | None) -> Origin:
    found = origin(report, data, None)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_the_hash_decides_and_the_source_only_without_one() -> None:
    open_stack = stack("/a/cells.tif", "1")
    assert of(Report("r.h5", source="/b/moved.tif", data_sha256="1"), open_stack).same
    other = of(Report("r.h5", source="/a/cells.tif", data_sha256="2"), open_stack)
    assert not other.same and "under the same name" in other.sentence
    assert of(Report("r.h5", source="/a/cells.tif"), open_stack).same
    assert not of(Report("r.h5", source="/b/cells.tif", data_sha256="1"), stack("/a/cells.tif", "")).same
    nameless = of(Report("r.h5"), None)
    assert not nameless.same and "a stack that it does not name" in nameless.sentence


def test_what_was_made_here_has_no_origin() -> None:
    assert origin(None, None, None) is None
    assert origin(Report(None), stack("a", "1"), None) is None  # type: ignore[arg-type]
    assert data_name(None) == "" and data_name(stack("/a/b.tif", "")) == "b.tif"


def test_one_is_not_many() -> None:
    assert counted(1, "LED") == "1 LED" and counted(0, "LED") == "0 LEDs"
    assert counted(1, "pass", "passes") == "1 pass" and counted(2, "pass", "passes") == "2 passes"
