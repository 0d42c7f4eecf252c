"""Small tables beside images: exposures and LEDs of their lines are used where they are plain, else named as unused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from real_files import TIMES, WHOLE, exposed, given, is_same, plain, read, said, stack

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.geometry_file import read_geometry
from ptychoui.data.formats.name_exposures import without_unit
from ptychoui.errors import DataError

MIXED = [7 * n % 25 for n in range(25)]
"""LED of each image, in no order."""
MS = [round(1000 * time) for time in TIMES]


def files(folder: Path, images: np.ndarray, name: str = "img_{n:02}.tif") -> Path:
    folder.mkdir()
    for n, image in enumerate(images):
        plain(folder / name.format(n=n, x=n % 5, y=n // 5), image)
    return folder


def lines(header: str, line: str, leds: list[int] = MIXED, order: list[int] | None = None) -> str:
    """A table with one line for each image, of which ``leds`` lit it; the lines in ``order`` of the images."""
    rows = [line.format(n=n, led=led, t=MS[led], s=TIMES[led], x=led % 5, y=led // 5) for n, led in enumerate(leds)]
    return "\n".join([header, *(rows[place] for place in order or range(25))]) + "\n"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("exposures.csv", lines("file,led,exposure_ms", "img_{n:02}.tif,{led},{t}", order=MIXED), "by its column file"),
        ("leds.csv", lines("image;LED;Exposure [s]", "img_{n:02};{led};{s}"), "by its column image"),
        ("a.txt", lines("file\tled\texposure", "some/img_{n:02}.tif\t{led}\t{t} ms", order=MIXED), "its column file"),
        ("a.csv", lines("led,exposure_ms,note", "{led},{t},{n}"), "by their names in natural order"),
        ("a.csv", lines("x,y,exposure_ms", "{x},{y},{t}"), "(x, y, exposure_ms) were taken as the images follow"),
        ("a.txt", lines("# led exposure_us", "{led} {t}000"), "(led, exposure_us) were taken as the images follow"),
        ("a.json", json.dumps({"led": MIXED, "exposure_ms": [MS[n] for n in MIXED]}), "as the images follow"),
        (
            "a.json",
            json.dumps({f"img_{n:02}.tif": {"led": led, "exposure_ms": MS[led]} for n, led in enumerate(MIXED)}),
            "by its column file",
        ),
        ("a.csv", lines("frame,led,exposure_s", "{n},{led},{s:.1e}", order=MIXED), "by its column frame"),
        ("a.json", json.dumps([{"led": n, "exposure_ms": MS[n]} for n in MIXED]), "as the images follow"),
    ],
)
def test_tables_that_are_used(name: str, text: str, words: str, tmp_path: Path) -> None:
    images = stack()
    folder = files(tmp_path / "s", images[MIXED])
    (folder / name).write_text(text)
    found = read(folder)
    assert is_same(found, exposed(images)), said(found)
    assert words in said(found) and f"the LEDs were taken from {name}" in said(found)
    assert f"10 to 40 ms, divided out - from {name}" in said(found)
    if "note" in text:
        assert "note of a.csv was not used" in said(found)


def test_exposures_alone_and_by_the_led(tmp_path: Path) -> None:
    images = stack()
    folder = files(tmp_path / "s", images)
    (folder / "exposures.csv").write_text(lines("exposure_ms", "{t}", list(range(25))))
    found = read(folder)
    assert is_same(found, exposed(images)) and "it does not name the files" in said(found)
    for name in ("led_{n}.tif", "x{x}_y{y}.tif"):
        folder = files(tmp_path / name, images, name)
        (folder / "exposures.csv").write_text(lines("led,exposure_ms", "{led},{t}"))
        found = read(folder)
        assert is_same(found, exposed(images)) and "belong to the images by its column led" in said(found)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("exposures.csv", lines("exposure", "{t}"), "exposures.csv states exposures without a unit (exposure 10, exp"),
        ("exposures.csv", lines("10", "{t}")[3:], "exposures.csv beside the images was not used"),
        ("exposures.csv", lines("exposure_ms", "{t}", list(range(20)), list(range(20))), "was not used: for that it"),
        ("leds.txt", "the LEDs were lit from left to right", "leds.txt beside the images was not used"),
        ("a.csv", lines("gain", "{led}"), "a.csv beside the images was not used"),
        ("order.txt", "\n".join(map(str, MIXED)), "order.txt beside the images was not used"),
        ("leds.csv", lines("number,x_mm,y_mm", "{led},{x}.5,{y}.5"), "leds.csv is a table of 25 LED positions, which"),
        ("exposures.csv", lines("exposure_ms,exposure_ms", "{t},20"), "exposures.csv beside the images was not used"),
        ("leds.xlsx", "PK", "leds.xlsx beside the images was not read"),
        ("exposures.yaml", "exposures: 1", "exposures.yaml beside the images was not read"),
        ("a.csv", lines("led,exposure_ms", "{t},20"), "a.csv states LEDs (led 40 exposure 20ms), which were not used"),
    ],
)
def test_tables_that_are_named(name: str, text: str, words: str, tmp_path: Path) -> None:
    folder = files(tmp_path / "s", stack())
    (folder / name).write_text(text)
    found = read(folder)
    assert is_same(found, stack()) and words in said(found), said(found)


def test_other_texts_say_nothing(tmp_path: Path) -> None:
    folder = files(tmp_path / "s", stack())
    for name, text in (("readme.txt", "taken on Monday\nby me"), ("a.json", "[1, 2"), ("b.csv", "a,b\n1,2\n")):
        (folder / name).write_text(text)
    (folder / "c.csv").write_bytes(bytes(range(256)))
    assert not any(word in said(read(folder)) for word in ("readme", "a.json", "b.csv", "c.csv"))


def test_tables_that_contradict_the_names(tmp_path: Path) -> None:
    folder = files(tmp_path / "s", stack(), "led_{n:02}.tif")
    (folder / "leds.csv").write_text(lines("file,led", "led_{n:02}.tif,{led}"))
    with pytest.raises(
        DataError, match=r"the files' names and leds\.csv state different LEDs, of led_01\.tif LED 1 and LED 7"
    ):
        read(folder)
    folder = files(tmp_path / "t", stack(), "led_{n:02}_10ms.tif")
    (folder / "exposures.csv").write_text(lines("exposure_ms", "{t}"))
    with pytest.raises(
        DataError, match=r"the files' names state one exposure for all images, and exposures\.csv states"
    ):
        read(folder)
    assert is_same(read(folder, given(exposures=[1.0] * 25)), stack())


def test_numbers_and_places_that_disagree_are_said(tmp_path: Path) -> None:
    images = stack()
    folder = files(tmp_path / "s", images, "led{n}_x{x}_y{y}.tif")
    assert is_same(read(folder), images) and "contradict" not in said(read(folder))
    folder = files(tmp_path / "t", images)
    (folder / "leds.csv").write_text(lines("file,led,x,y", "img_{n:02}.tif,{n},{x},{y}"))
    words = said(read(folder))
    assert "the numbers of LEDs that leds.csv states contradict the places, which were used: led 1 x 2 y 1 is" in words
    folder = files(tmp_path / "u", images[:0])
    for n in range(25):
        plain(folder / f"led{24 - n}_x{n % 5}_y{n // 5}.tif", images[n])
    found = read(folder)
    assert is_same(found, images) and "the numbers of LEDs that the names state contradict the places" in said(found)


def test_tables_beside_a_stack(tmp_path: Path) -> None:
    images = stack()
    path = plain(tmp_path / "a.tif", images[MIXED])
    text = lines("led,exposure_ms", "{led},{t}")
    (tmp_path / "a_exposures.csv").write_text(text)
    found = read(path)
    assert is_same(found, exposed(images)) and "the LEDs were taken from a_exposures.csv" in said(found)
    (tmp_path / "a_exposures.csv").rename(tmp_path / "exposures.csv")
    found = read(path)
    assert is_same(found, images[MIXED])
    assert "exposures.csv beside it has a line for each of the 25 images and was not used" in said(found)


def test_times_in_names_without_a_unit(tmp_path: Path) -> None:
    images = stack()
    folder = files(tmp_path / "s", images[:0])
    for n, image in enumerate(images):
        plain(folder / f"led_{n:02}_t{MS[n]}.tif", image)
    found = read(folder)
    assert is_same(found, images) and "exposures without a unit (t10, t40), which were not used" in said(found)
    assert without_unit([f"img_t{n:03}" for n in range(25)]) == without_unit(["a_t10ms", "a_t40ms", "b_t40ms"]) == []
    assert without_unit(["led1_t10", "led2_t10", "led3_t10"]) == without_unit(["dot10", "dot20", "dot20"]) == []


# ------------------------------------------------------------------------------------ tables of positions


PLACES = [((column - 2) * 4.0, (2 - row) * 4.0) for row, column in WHOLE.array.board()]


def positions(leds: list[int]) -> str:
    return "number,x_mm,y_mm\n" + "".join(f"{n},{PLACES[n][0]:g},{PLACES[n][1]:g}\n" for n in leds)


def geometry_with(table: Path, extra: str = "") -> Path:
    path = table.with_name("g.toml")
    scope = WHOLE.microscope
    path.write_text(
        f"[microscope]\nobjective_na = {scope.objective_na}\nmagnification = {scope.magnification}\n"
        f"camera_pixel_um = {scope.camera_pixel_um}\nwavelength_um = {scope.wavelength_um}\n"
        f'[array]\npositions_file = "{table.name}"\nheight_mm = 90\n{extra}'
    )
    return path


def of_led(found: ImageStack) -> np.ndarray:
    """Images in the order of the numbers of their LEDs, in the file's unit."""
    return found.images[np.argsort(found.led_numbers)] * found.unit_counts


@pytest.mark.parametrize("write", [positions, lambda leds: json.dumps({"led_list": listed(leds)})], ids=["csv", "json"])
def test_a_table_in_another_order_than_the_images(write: Callable[[list[int]], str], tmp_path: Path) -> None:
    images = stack()
    table = tmp_path / ("leds.csv" if write is positions else "leds.json")
    table.write_text(write(MIXED))
    path = plain(tmp_path / "a.tif", images)
    found = read(path, read_geometry(geometry_with(table), for_data=True))
    if write is positions:
        assert np.allclose(of_led(found)[MIXED], images, rtol=1e-5)
        assert "the lines of leds.csv are not in the order of their LED numbers (0, 7, 14, ...)" in said(found)
    else:
        assert np.allclose(of_led(found), images, rtol=1e-5)
        assert "were brought into the order of their numbers" in said(found)
    found = read(path, read_geometry(geometry_with(table, f"led_numbers = {MIXED}"), for_data=True))
    assert np.allclose(of_led(found)[MIXED], images, rtol=1e-5) and "the lines of leds.csv" not in said(found)


def listed(leds: list[int]) -> list[dict[str, float]]:
    return [{"number": n, "x": PLACES[n][0], "y": PLACES[n][1], "z": 90.0} for n in leds]


@pytest.mark.parametrize("kind", ["files", "descriptions"])
def test_images_that_state_their_led_of_a_table(kind: str, tmp_path: Path) -> None:
    images = stack()
    if kind == "files":
        path = files(tmp_path / "s", images, "led_{n}.tif")
        table = path / "leds.csv"
    else:
        path, table = tmp_path / "a.tif", tmp_path / "leds.csv"
        with tifffile.TiffWriter(path) as tiff:
            for n in range(25):
                tiff.write(images[n], description=f"LED {n}", metadata=None, photometric="minisblack")
    table.write_text(positions(MIXED))
    found = read(path, read_geometry(geometry_with(table), for_data=True))
    assert np.allclose(of_led(found), images, rtol=1e-5) and "the LEDs were taken from" in said(found)
    assert "is a table of 25 LED positions, which was not used" not in said(found)
    in_order = read_geometry(geometry_with(table, f"led_numbers = {MIXED}"), for_data=True)
    found = read(path, in_order)
    assert np.allclose(of_led(found)[MIXED], images, rtol=1e-5)
    assert "another order" in said(found) or "state other LEDs than array.led_numbers" in said(found)
