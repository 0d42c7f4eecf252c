"""Numbers in the names of images: LED numbers give the order, columns and rows under other words are used or named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from real_files import LEDS, SCOPE, TIMES, exposed, is_same, read, said, stack

from ptychoui.settings import Geometry

PERMUTED = [7 * n % 25 for n in range(25)]
COUNT = range(25)


def write(folder: Path, names: list[str], images: np.ndarray | None = None) -> Path:
    folder.mkdir()
    for name, image in zip(names, stack() if images is None else images, strict=True):
        tifffile.imwrite(folder / f"{name}.tif", image, photometric="minisblack")
    return folder


def lattice(**array: Any) -> Geometry:
    return Geometry(microscope=SCOPE, array=LEDS | array)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "names",
    [
        [f"{1000 * time:g}ms_led_{n:02}" for n, time in zip(COUNT, TIMES, strict=True)],
        [f"{'0p01' if time < 0.02 else '0.04'}s-LED{n}" for n, time in zip(COUNT, TIMES, strict=True)],
        [f"{1000 * time:g}ms led ({n + 1})" for n, time in zip(COUNT, TIMES, strict=True)],  # counted from 1
        [f"{p:03}_led={n}_{1000 * time:g}ms" for p, n, time in zip(PERMUTED, COUNT, TIMES, strict=True)],
    ],
    ids=lambda names: names[0],
)
def test_led_numbers_give_the_order(names: list[str], tmp_path: Path) -> None:
    folder = write(tmp_path / "s", names)
    found = read(folder, lattice())
    assert is_same(found, exposed(stack()))
    assert "taken from the numbers in the files' names" in said(found) and "natural order" not in said(found)
    found = read(folder, lattice(order="columns"))  # led 1 is the second that was lit
    assert is_same(found, exposed(stack())) and found.led_numbers.tolist() == list(COUNT)


@pytest.mark.parametrize(
    "names",
    [
        [f"{p:02}_led_{n % 24}" for p, n in zip(PERMUTED, COUNT, strict=True)],
        [f"{p:02}_led_{n}_of_led_25" for p, n in zip(PERMUTED, COUNT, strict=True)],
        [f"{p:02}_filled{n}" for p, n in zip(PERMUTED, COUNT, strict=True)],
    ],
    ids=["twice", "two", "another word"],
)
def test_other_numbers_leave_the_natural_order(names: list[str], tmp_path: Path) -> None:
    found = read(write(tmp_path / "s", names), lattice())
    assert is_same(found, stack()[np.argsort(PERMUTED)])
    assert "in natural order" in said(found)


def test_numbers_that_the_geometry_lists_win_over_names(tmp_path: Path) -> None:
    names = [f"{p:02}_led_{n}" for p, n in zip(PERMUTED, COUNT, strict=True)]
    found = read(write(tmp_path / "s", names), lattice(led_numbers=[*range(1, 25), 0]))
    assert found.led_numbers.tolist() == [*range(1, 25), 0] and "lists them in another order" in said(found)
    assert np.allclose(found.images * found.unit_counts, stack()[np.argsort(PERMUTED)], rtol=1e-5)


@pytest.mark.parametrize(
    "style",
    ["ix{c}_iy{r}", "cols{c}_rows{r}", "columns {c} rows {r}", "Spalte{c}_Zeile{r}", "{grouped}", "{dashed}_10ms"],
)
def test_columns_and_rows_under_other_words(style: str, tmp_path: Path) -> None:
    names = []
    for n in COUNT:
        bits = f"{1 << (24 - n):025b}"
        groups = [bits[start : start + 5] for start in range(0, 25, 5)]
        names.append(style.format(c=n % 5, r=n // 5, grouped="_".join(groups), dashed="-".join(bits)))
    found = read(write(tmp_path / "s", names), lattice())
    assert is_same(found, stack()) and "not used" not in said(found)
    assert "the LEDs were taken from the files' names" in said(found)


@pytest.mark.parametrize(
    "style", ["i{c}_j{r}", "u{c}_v{r}", "m{c}n{r}", "h{c} v{r} 3", "{n:03}_i{c}_j{r}", "img({c},{r})"]
)
def test_two_numbers_that_do_not_say_what_they_are(style: str, tmp_path: Path) -> None:
    found = read(write(tmp_path / "s", [style.format(c=n % 5, r=n // 5, n=n) for n in COUNT]), lattice())
    assert "two numbers, as row and column would be, but do not say which is which" in said(found)


def test_numbers_of_one_kind_are_no_row_and_column(tmp_path: Path) -> None:
    names = [f"img{n}_run{n % 5}_t{20 + n // 3}" for n in COUNT]
    assert "two numbers" not in said(read(write(tmp_path / "s", names), lattice()))
