"""Exposures in the names of images: taken where they are clear, refused or named where they are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from real_files import TIMES, exposed, given, is_same, read, said, stack

from ptychoui.data.formats.name_exposures import of_name, refuse_unclear, without_unit
from ptychoui.errors import DataError

SHORT = [time == min(TIMES) for time in TIMES]


def write(folder: Path, short: str, long: str, header_ms: float | None = None) -> tuple[Path, np.ndarray]:
    """The stack, in files whose names end as the exposure of each image is written; one header for all."""
    folder.mkdir()
    images = stack()
    tags = [] if header_ms is None else [(33434, 5, 1, (round(header_ms), 1000), False)]
    for n, image in enumerate(images):
        name = f"led_{n:02}_{short if SHORT[n] else long}.tif"
        tifffile.imwrite(folder / name, image, photometric="minisblack", extratags=tags)
    return folder, images


@pytest.mark.parametrize(
    ("name", "exposure_ms"),
    [
        ("led_07_0p5ms.tif", 0.5),
        ("led_07_exp12P25ms.tif", 12.25),
        ("led_07_0p5s.tif", 500.0),
        ("led7_0,5ms.tif", 0.5),
        ("led7_0,125ms.tif", 0.125),
        ("led7 30 μs.tif", 0.03),
        ("led7t10ms.tif", 10.0),
        ("3-t10ms.tif", 10.0),
        ("dark10ms.tif", 10.0),
        ("r0_c3_10ms.tif", 10.0),
        ("led_07_1e3us.tif", None),
        ("led_07_1.5E-3s.tif", None),
        ("led_07_1d5ms.tif", None),
        ("led_07_1,000ms.tif", None),
        ("led_07_1,000,000us.tif", None),
        ("led_07_0ms.tif", None),
    ],
)
def test_a_number_is_taken_whole_or_not_at_all(name: str, exposure_ms: float | None) -> None:
    assert of_name(name) == (None if exposure_ms is None else pytest.approx(exposure_ms))
    assert without_unit([name]) == []


@pytest.mark.parametrize(
    ("short", "long"), [("0p5ms", "2ms"), ("0,5ms", "2,0ms"), ("2p5s", "10s"), ("1_500us", "1_2ms")]
)
def test_clear_exposures_are_divided_out(short: str, long: str, tmp_path: Path) -> None:
    folder, images = write(tmp_path / "s", short, long)
    assert is_same(read(folder), exposed(images))  # all pairs are 1 to 4


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("1e3us", "4e3us"),
        ("1e-3s", "4e-3s"),
        ("250ms", "1,000ms"),
        ("1_5ms", "6ms"),
        ("1_5ms", "6_1ms"),
        ("0-5ms", "2ms"),
        ("1d5ms", "6ms"),
        ("0·5ms", "2ms"),
        ("0pt5ms", "2ms"),
        ("0point5ms", "2ms"),
        ("1'000ms", "4'000ms"),
        ("250ms", "1.000ms"),
        ("250ms", "1 000ms"),
    ],
)
def test_exposures_that_can_be_read_in_two_ways_are_refused(short: str, long: str, tmp_path: Path) -> None:
    folder, images = write(tmp_path / "s", short, long)
    with pytest.raises(DataError, match="can be read in two ways") as caught:
        read(folder)
    assert "0.5ms" in str(caught.value.hint)
    assert is_same(read(folder, given(exposures=TIMES)), exposed(images))


@pytest.mark.parametrize(
    ("short", "long", "text"),
    [
        ("1msec", "4msec", "1msec, 4msec"),
        ("1MS", "4MS", "1MS, 4MS"),
        ("ms1", "ms4", "ms1, ms4"),
        ("1_ms", "4_ms", "1_ms, 4_ms"),
        ("1sec", "4sec", "1sec, 4sec"),
        ("1min", "4min", "1min, 4min"),
        ("1S", "4S", "1S, 4S"),
        ("1msBF", "4msBF", "1msBF, 4msBF"),
        ("1ms_500us", "4ms_500us", "1ms 500us, 4ms 500us"),
    ],
)
def test_what_looks_like_a_time_is_named(short: str, long: str, text: str, tmp_path: Path) -> None:
    folder, images = write(tmp_path / "s", short, long)
    found = read(folder)
    assert is_same(found, images) and f"what looks like times ({text}), which were not used" in said(found)


@pytest.mark.parametrize("count", [25, 21])
def test_row_and_column_before_an_exposure_are_no_decimals(count: int) -> None:
    refuse_unclear("the names", [f"{n:03}_{n // 5}_{n % 5}_{1 + 4 * (n % 2)}ms.tif" for n in range(count)])
    refuse_unclear("the names", [f"{n:03}_led_{7 * n % 25}_{1 + 4 * (n % 2)}ms.tif" for n in range(count)])
    refuse_unclear("the names", ["07.tif", *(f"{n:02}_10ms.tif" for n in range(7))])
    refuse_unclear("the names", ["led_07_10ms.tif", *(f"{n:02}_10ms.tif" for n in range(7))])
    with pytest.raises(DataError, match=r"\(0_5ms, 1_5ms\)"):
        refuse_unclear("the names", [f"led_{n:03}_{n % 2}_5ms.tif" for n in range(count)])


@pytest.mark.parametrize(
    "names", [[f"{n // 5}_{n % 5}_10ms" for n in range(25)], [f"MS{n}" for n in range(25)], ["3msec"] * 25]
)
def test_other_names_say_nothing_of_times(names: list[str], tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    for n, (name, image) in enumerate(zip(names, stack(), strict=True)):
        tifffile.imwrite(tmp_path / "s" / f"{n:02}_{name}.tif", image)
    found = read(tmp_path / "s")
    assert is_same(found, stack()) and "times" not in said(found)


def test_a_header_that_does_not_follow_the_names_is_refused(tmp_path: Path) -> None:
    folder, images = write(tmp_path / "s", "10ms", "40ms", header_ms=10)
    with pytest.raises(DataError, match="the files' headers state one exposure for all images, and the files' names"):
        read(folder)
    assert is_same(read(folder, given(exposures=TIMES)), exposed(images))
    folder, images = write(tmp_path / "t", "20ms", "20ms", header_ms=10)
    assert "state different exposures: those of the files' headers were used" in said(read(folder))
    folder, images = write(tmp_path / "u", "10ms", "10ms", header_ms=10)
    assert "different exposures" not in said(read(folder))
    folder, images = write(tmp_path / "v", "10ms", "a")
    assert "the files' names state an exposure of 10 ms for 1 of 25 images only" in said(read(folder))


def test_exposures_in_the_names_of_slices(tmp_path: Path) -> None:
    path, images = tmp_path / "a.tif", stack()

    def labelled(short: str, long: str) -> Path:
        labels = [f"led_{n:02}_{short if SHORT[n] else long}" for n in range(25)]
        tifffile.imwrite(path, images, imagej=True, metadata={"axes": "TYX", "Labels": labels})
        return path

    found = read(labelled("10ms", "40ms"))
    assert is_same(found, exposed(images)) and "the slices' names" in said(found)
    assert is_same(read(path, given(exposures=[1.0] * 25)), images)
    with pytest.raises(DataError, match=r"the slices' names in a\.tif state exposures that can be read in two ways"):
        read(labelled("1e3us", "4e3us"))
    assert "what looks like times (10msec, 40msec)" in said(read(labelled("10msec", "40msec")))
