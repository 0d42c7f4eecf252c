"""Folders of image files: LEDs that the names state, dark frames of several exposures, and files of other kinds."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin
from real_files import LEDS, SCOPE, TIMES, WHOLE, exposed, given, is_same, ome_exposures, plain, read, said, stack

from ptychoui.data.formats.names import natural_order
from ptychoui.data.formats.open import open_dataset
from ptychoui.errors import DataError, NoGeometryError
from ptychoui.settings import Geometry

SITES = [(row, column) for row in range(5) for column in range(5)]
"""Row and column, from the top left, of LED 0, 1, ... of the lattice."""


def lattice(**array: Any) -> Geometry:
    return Geometry(microscope=SCOPE, array=LEDS | array)  # type: ignore[arg-type]


def write(folder: Path, names: list[str], images: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    for name, image in zip(names, images, strict=True):
        if name.endswith(".png"):
            Image.fromarray(image).save(folder / name)
        else:
            tifffile.imwrite(folder / name, image, photometric="minisblack")
    return folder


# ------------------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("image_x_{c}_y_{r}.tif", "x and y"),
        ("image_y_{r}_x_{c}.tif", "x and y"),
        ("C{c}R{r}.tif", "c and r"),
        ("r{r}_c{c}.tif", "c and r"),
        ("col{c:02}_row{r:02}.png", "col and row"),
        ("cap 3 row-{r} column-{c}.png", "column and row"),
        ("LED_col={c}_row={r}_10ms.tif", "col and row"),
        ("x{c1}y{r1}.tif", "x and y"),  # counted from 1
        ("x{x}_y{y}.tif", "x and y"),  # coordinates, +y up
        ("x{x:+d}_y{y:+d}.tif", "x and y"),
        ("{bits}.png", "25 bits with one 1"),
        ("c1 r{r}_c{c}.tif", "c and r"),  # of a channel c1
        ("x_10x_C{c}R{r}.tif", "c and r"),
        ("pattern_{bits}_01.tif", "25 bits with one 1"),
        ("led{bits}_100.tif", "25 bits with one 1"),
    ],
)
@pytest.mark.parametrize(
    "array", [{}, {"serpentine": True}, {"order": "columns"}], ids=["rows", "serpentine", "columns"]
)
def test_places_in_names_are_used(pattern: str, words: str, array: dict[str, Any], tmp_path: Path) -> None:
    images, geometry = stack(), lattice(**array)
    board = geometry.array.board()
    names = []
    for led, (r, c) in enumerate(board):
        bits = "0" * led + "1" + "0" * (24 - led)
        names.append(pattern.format(r=r, c=c, r1=r + 1, c1=c + 1, x=c - 2, y=2 - r, bits=bits))
    found = read(write(tmp_path / "s", names, images), geometry)
    assert is_same(found, images)
    assert f"the LEDs were taken from the files' names ({words})" in said(found)
    assert not any(" not used" in note for note in found.provenance.notes)


def test_places_pick_the_leds_of_a_disc(tmp_path: Path) -> None:
    geometry = lattice(disc=True)
    numbers = geometry.array.numbers()
    assert len(numbers) == 21
    images = stack(count=21)
    names = [f"x{SITES[n][1]}_y{SITES[n][0]}.tif" for n in numbers]
    found = read(write(tmp_path / "s", names, images), geometry)
    assert found.led_numbers.tolist() == list(numbers)
    assert np.allclose(found.images * found.unit_counts, images, rtol=1e-5)


def test_places_on_a_spiral(tmp_path: Path) -> None:
    spiral: dict[str, Any] = {"kind": "spiral", "count": 9, "pitch_mm": 4.0, "height_mm": 90.0}
    geometry = Geometry(microscope=SCOPE, array=spiral)  # type: ignore[arg-type]
    places = [(0, 0), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)]
    images = stack(count=9)
    found = read(write(tmp_path / "s", [f"x{x}_y{y}.tif" for x, y in places], images), geometry)
    assert np.allclose(found.images * found.unit_counts, images, rtol=1e-5)


def test_places_that_do_not_fit_the_lattice(tmp_path: Path) -> None:
    images = stack()
    folder = write(tmp_path / "s", [f"x{c}_y{r + 1 if r else 9}.tif" for r, c in SITES], images)
    with pytest.raises(DataError, match=r"state LEDs \(x and y: 0 to 4, 2 to 9\) that are not those of the lattice"):
        read(folder)
    names = [f"x{c - 2}_y{r - 1}.tif" for r, c in SITES]
    with pytest.raises(DataError, match="are not those of the lattice"):
        read(write(tmp_path / "t", names, images))
    with pytest.raises(DataError, match="no LED of the lattice lies on the axis"):
        read(tmp_path / "t", lattice(center_row=1.5))
    # An even lattice counted from the axis: what the geometry says of the axis decides.
    assert is_same(
        read(tmp_path / "t", lattice(center_row=3, center_column=2)), images.reshape(5, 5, 6, 8)[::-1].reshape(25, 6, 8)
    )


def test_numbers_of_the_user_win_over_names(tmp_path: Path) -> None:
    images = stack()
    folder = write(tmp_path / "s", [f"x{c}_y{r}.tif" for r, c in SITES], images)
    # The natural order of the names goes down the columns.
    numbers = [5 * r + c for c in range(5) for r in range(5)]
    found = read(folder, lattice(led_numbers=numbers))
    assert found.led_numbers.tolist() == numbers and "not used" not in said(found)
    found = read(folder, lattice(led_numbers=list(range(25))))
    assert "states others for them, which were used; x0_y0.tif is LED 0" in said(found)
    found = read(folder, given(exposures=TIMES))
    assert is_same(found, exposed(images)) and "in the order of the array's LEDs, not in that of the names" in said(
        found
    )


@pytest.mark.parametrize(
    ("names", "array", "words"),
    [
        ([f"x{c}_y{r}.tif" for r, c in SITES], {"kind": "rings"}, "state LEDs (x and y), which were not used"),
        ([f"x{4.0 * c:.1f}mm_y{4.0 * r:.1f}mm.tif" for r, c in SITES], {}, "speak of LEDs (mm, x, y)"),
        ([f"theta{15 * n}_phi{n % 3}.tif" for n in range(25)], {}, "speak of LEDs (phi, theta)"),
        ([f"led_na_{0.01 * n:g}.tif" for n in range(25)], {}, "speak of LEDs (na)"),
        ([f"a_{r}_{c}.tif" for r, c in SITES], {}, "do not say which is which: the first was taken as the slow one"),
    ],
    ids=["rings", "mm", "angles", "na", "bare"],
)
def test_what_names_say_and_nobody_uses_is_said(
    names: list[str], array: dict[str, Any], words: str, tmp_path: Path
) -> None:
    if array:
        array = array | {"ring_radii_mm": (0, 4, 8), "ring_counts": (1, 8, 16), "rows": None, "columns": None}
    found = read(write(tmp_path / "s", names, stack()), lattice(**array))
    assert words in said(found), said(found)


def test_names_that_number_leds_in_another_order(tmp_path: Path) -> None:
    images = stack()
    folder = write(tmp_path / "s", [f"led_{n}.tif" for n in range(25)], images)
    assert "another order" not in said(read(folder))
    found = read(folder, lattice(led_numbers=list(range(24, -1, -1))))
    assert "the geometry lists them in another order, which was used: led_0.tif is LED 24" in said(found)


@pytest.mark.parametrize(
    "names",
    [
        ["na_0.01.png", "na_0.05.png", "na_0.1.png", "na_0.15.png"],
        ["0.png", "0.05.png"],
        ["run 1.png", "run 1.1.png", "run 1.2.png"],
        ["na_0.png", "na_0.05.png", "na_0.1.png", "na_1.png"],
        ["run 1.8.png", "run 1.9.png", "run 1.10.png", "run 1.11.png"],
        ["2024.05.01_2.png", "2024.05.01_10.png", "2024.06.01_1.png"],
        ["0.10.png", "0.15.png", "0.20.png"],
    ],
    ids=lambda names: names[0],
)
def test_decimals_compare_as_numbers(names: list[str], tmp_path: Path) -> None:
    assert natural_order(names[::-1]) == names
    images = stack(count=len(names))
    found = read(write(tmp_path / "s", names, images), lattice(rows=1, columns=len(names)))
    assert np.allclose(found.images * found.unit_counts, images, rtol=1e-5)
    assert "same number" not in said(found)


# ------------------------------------------------------------------------------------ dark frames and exposures


def darks(folder: Path, levels: dict[str, int]) -> None:
    for name, level in levels.items():
        tifffile.imwrite(folder / name, np.full((6, 8), level, np.uint16), photometric="minisblack")


def with_times(folder: Path, times: list[float] = TIMES, offset: Any = 0) -> tuple[Path, np.ndarray]:
    """Images whose names state their exposures, with an offset for each."""
    images = stack()
    names = [f"led_{n:02}_{1000 * time:g}ms.tif" for n, time in enumerate(times)]
    raw = images + np.broadcast_to(offset, 25)[:, None, None]
    return write(folder, names, raw.astype(np.uint16)), images


def test_exposures_in_names_are_divided_out(tmp_path: Path) -> None:
    folder, images = with_times(tmp_path / "s")
    found = read(folder)
    assert is_same(found, exposed(images)) and "10 to 40 ms, divided out - from the files' names" in said(found)
    found = read(folder, given(exposures=[1.0] * 25))
    assert is_same(found, images) and "differ from those in the file" in said(found)


def test_dark_frames_are_matched_by_exposure(tmp_path: Path) -> None:
    level = [100 if time == 0.01 else 130 for time in TIMES]
    folder, images = with_times(tmp_path / "s", offset=level)
    darks(folder, {"dark_10ms.tif": 100, "dark_40ms_1.tif": 129, "dark_40ms_2.tif": 131, "dark_100ms.tif": 500})
    found = read(folder)
    assert is_same(found, exposed(images))
    assert "4 dark frames of 10, 40, 100 ms were subtracted from the images of that exposure" in said(found)


def test_dark_frames_are_matched_to_what_the_user_states(tmp_path: Path) -> None:
    level = np.array([100 if time == 0.01 else 130 for time in TIMES])
    images = stack()
    folder = write(tmp_path / "s", [f"led_{n}.tif" for n in range(25)], images + level[:, None, None].astype(np.uint16))
    darks(folder, {"dark_0.01s.tif": 100, "dark_0.04s.tif": 130})
    with pytest.raises(DataError, match="dark frames of 10, 40 ms, and the exposures of its images are not known"):
        read(folder)
    for unit in (1, 1e3, 1e6):  # s, ms, us
        assert is_same(read(folder, given(exposures=[time * unit for time in TIMES])), exposed(images))
    with pytest.raises(DataError, match="none for the images of"):
        read(folder, given(exposures=[1.0, *TIMES[1:]]))


def test_dark_frames_of_other_exposures_are_refused(tmp_path: Path) -> None:
    folder, images = with_times(tmp_path / "s", [0.01] * 25, 100)
    darks(folder, {"dark_10ms.tif": 100, "dark_100ms.tif": 500})
    assert is_same(read(folder), images)
    (folder / "dark_10ms.tif").unlink()
    with pytest.raises(DataError, match="dark frames of 100 ms, but none for the images of 10 ms"):
        read(folder)
    darks(folder, {"dark.tif": 100})
    with pytest.raises(DataError, match="some dark frames state an exposure and others do not"):
        read(folder)


def test_a_dark_frame_that_says_nothing(tmp_path: Path) -> None:
    folder, images = with_times(tmp_path / "s", offset=100)
    darks(folder, {"dark_a.tif": 98, "dark_b.tif": 102})
    found = read(folder)
    assert is_same(found, exposed(images))
    assert "the mean of 2 dark frames (100) was subtracted" in said(found) and "was taken for all" in said(found)
    folder, images = with_times(tmp_path / "t", [0.02] * 25, 100)
    darks(folder, {"dark.tif": 100})
    found = read(folder)
    assert is_same(found, images) and "taken for all" not in said(found)


@pytest.mark.parametrize("style", ["led{n}_exp{t}ms.tif", "led{n} {t} ms.tif", "led{n}_{s}s.tif", "{n}-t{t}ms.tif"])
def test_exposures_in_names_of_other_styles(style: str, tmp_path: Path) -> None:
    images = stack()
    names = [style.format(n=n, t=round(1000 * time), s=time) for n, time in enumerate(TIMES)]
    assert is_same(read(write(tmp_path / "s", names, images)), exposed(images))


def test_exposures_without_a_unit_and_dark_frames_that_differ(tmp_path: Path) -> None:
    images = stack()
    names = [f"led{n}_exp{round(1000 * time)}.tif" for n, time in enumerate(TIMES)]
    folder = write(tmp_path / "s", names, images)
    found = read(folder)
    assert is_same(found, images) and "exposures without a unit (exp10, exp40), which were not used" in said(found)
    assert "without a unit" not in said(read(folder, given(exposures=TIMES)))
    darks(folder, {"dark_exp10.tif": 100, "dark_exp100.tif": 500})
    with pytest.raises(DataError, match="dark frames of several exposures without a unit"):
        read(folder)
    (folder / "dark_exp10.tif").unlink()
    (folder / "dark_exp100.tif").unlink()
    darks(folder, {"dark_short.tif": 10, "dark_long.tif": 50})
    assert "the dark frames differ more than noise does (10 to 50)" in said(read(folder))
    darks(folder, {"dark_short.tif": 49})
    assert "differ more" not in said(read(folder))


def test_exposures_of_headers_and_of_micro_manager_in_a_folder(tmp_path: Path) -> None:
    images = stack()
    (tmp_path / "s").mkdir()
    for n, time in enumerate(TIMES):
        ome_exposures(tmp_path / "s" / f"led_{n}.ome.tif", images[n : n + 1], [time])
    found = read(tmp_path / "s")
    assert is_same(found, exposed(images)) and "from the files' headers" in said(found)
    names = [f"img_channel000_position000_time{n:09}_z000.tif" for n in range(25)]
    folder = write(tmp_path / "Default", names, images)
    frames: dict[str, Any] = {"Summary": {}}
    for name, time in zip(names, TIMES, strict=True):
        frames[f"Metadata-Default/{name}"] = {"Exposure-ms": 1e3 * time, "Andor-Gain": "3"}
    (folder / "metadata.txt").write_text(json.dumps(frames))
    found = read(folder)
    assert is_same(found, exposed(images)) and "a gain of 3" in said(found) and "from metadata.txt" in said(found)
    # Version 1.4 names the file inside each frame.
    frames = {f"FrameKey-{n}-0-0": {"FileName": names[n], "Exposure-ms": 1e3 * TIMES[n]} for n in range(24, -1, -1)}
    (folder / "metadata.txt").write_text(json.dumps(frames))
    assert is_same(read(folder), exposed(images))
    (folder / "metadata.txt").write_text("lamp on the left")
    found = read(folder)
    assert is_same(found, images) and "not metadata of Micro-Manager" in said(found)


# ------------------------------------------------------------------------------------ kinds of files


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    images = stack()
    folder = write(tmp_path / "s", [f"led_{n}.tif" for n in range(25)], images)
    for file in list(folder.iterdir()):
        file.rename(file.with_suffix(".png"))
    found = read(folder)
    assert is_same(found, images) and found.provenance.layout == "folder of TIFF files"
    folder = write(tmp_path / "t", [f"led_{n}.png" for n in range(25)], images)
    for file in list(folder.iterdir()):
        file.rename(file.with_suffix(".tif"))
    found = read(folder)
    assert is_same(found, images) and found.provenance.layout == "folder of PNG files"
    tifffile.imwrite(folder / "led_3.tif", images[3])
    with pytest.raises(DataError, match="holds both TIFF and PNG files"):
        read(folder)
    plain(tmp_path / "stack.png", images)
    assert is_same(read(tmp_path / "stack.png"), images)
    plain(tmp_path / "stack.jpg", images)
    assert is_same(read(tmp_path / "stack.jpg"), images)


def channels(image: np.ndarray, mode: str) -> Image.Image:
    full = np.full_like(image, 255)
    if mode == "P":
        # As programs store it that shrink files: greys in any order.
        table = np.random.default_rng(0).permutation(256)
        place = np.argsort(table)[image].astype(np.uint8)
        made = Image.frombytes("P", image.shape[::-1], place.tobytes())
        made.putpalette(np.repeat(table, 3).astype(np.uint8).tobytes())
        return made
    parts = {"LA": [image, full], "RGB": [image] * 3, "RGBA": [*[image] * 3, full]}[mode]
    return Image.fromarray(np.stack(parts, -1), mode=None)


@pytest.mark.parametrize("mode", ["LA", "RGB", "RGBA", "P"])
def test_png_files_that_are_grey_in_fact(mode: str, tmp_path: Path) -> None:
    images = stack(250, np.uint8)
    images[20] = 0  # a black image among them says nothing of its channels
    for number, image in enumerate(images):
        channels(image, mode).save(tmp_path / f"{number}.png")
    assert is_same(read(tmp_path), images)


def colour(image: np.ndarray) -> Image.Image:
    return Image.fromarray(np.stack([image, image, image // 2], -1))


def clear(image: np.ndarray) -> Image.Image:
    return Image.fromarray(np.stack([image, image, image, image], -1))


def false_colour(image: np.ndarray) -> Image.Image:
    made = Image.frombytes("P", image.shape[::-1], image.tobytes())
    made.putpalette(np.stack([np.arange(256), 255 - np.arange(256), np.arange(256)], -1).astype(np.uint8).tobytes())
    return made


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (colour, "0.png is a colour image whose channels differ"),
        (clear, "0.png has a transparency that differs"),
        (false_colour, "0.png has a palette of colours"),
    ],
)
def test_png_files_that_are_not(make: Any, words: str, tmp_path: Path) -> None:
    for number, image in enumerate(stack(250, np.uint8)):
        make(image).save(tmp_path / f"{number}.png")
    with pytest.raises(DataError, match=words):
        read(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xd8\xff\xe0 JFIF", "is a JPEG"),
        (b"BM" + b"\0" * 60, "is a BMP file, not a TIFF or PNG"),
        (b"GIF89a" + b"\0" * 60, "is a GIF file"),
        (b"", r"is empty \(0 bytes\)"),
        (b"hello, I am no image at all", "is not a TIFF file"),
    ],
)
def test_other_files_under_the_name_of_a_tiff(content: bytes, words: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "s", [f"led_{n}.tif" for n in range(25)], stack())
    (folder / "led_0.tif").write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read(folder)
    assert caught.value.hint


def test_images_one_folder_further_down(tmp_path: Path) -> None:
    write(tmp_path / "Pos0", [f"led_{n}.tif" for n in range(25)], stack())
    with pytest.raises(DataError, match="they are one folder further down") as caught:
        read(tmp_path)
    assert re.search(r"open '.*/Pos0'", caught.value.hint)
    write(tmp_path / "Pos1", [f"led_{n}.tif" for n in range(25)], stack())
    with pytest.raises(DataError, match="one folder further down") as caught:
        read(tmp_path)
    assert "open one of" in caught.value.hint and "Pos1'" in caught.value.hint


def test_white_is_zero_in_a_folder(tmp_path: Path) -> None:
    images = stack(4000)
    for number, image in enumerate(images):
        tifffile.imwrite(tmp_path / f"{number}.tif", 4095 - image, photometric="miniswhite")
    tifffile.imwrite(tmp_path / "dark.tif", np.full((6, 8), 4095 - 20, np.uint16), photometric="miniswhite")
    assert is_same(read(tmp_path), images.astype(int) - 20)
    tifffile.imwrite(tmp_path / "7.tif", images[7], photometric="minisblack")
    with pytest.raises(DataError, match="gives its grey values another meaning"):
        read(tmp_path)


def test_a_whole_stack_in_a_folder_of_images(tmp_path: Path) -> None:
    plain(tmp_path / "stack.tif", stack())
    with pytest.raises(DataError, match="has 25 pages, expected one image per file") as caught:
        read(tmp_path, WHOLE)
    assert "open the multi-page file itself" in caught.value.hint


def test_colour_of_sixteen_bits_is_refused_and_not_cut_to_eight(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + np.repeat(row, 3).astype(">u2").tobytes() for row in stack()[3])
    head = (8).to_bytes(4, "big") + (6).to_bytes(4, "big") + bytes([16, 2, 0, 0, 0])
    raw = b"\x89PNG\r\n\x1a\n"
    for name, data in ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        raw += len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")
    (tmp_path / "0.png").write_bytes(raw)
    with pytest.raises(DataError, match="colour image of 16 bits per channel, which is not read"):
        read(tmp_path)


def test_a_gamma_of_png_files_is_named(tmp_path: Path) -> None:
    images = stack(250, np.uint8)
    for number, image in enumerate(images):
        info = PngImagePlugin.PngInfo()
        info.add(b"gAMA", (45455).to_bytes(4, "big"))
        Image.fromarray(image).save(tmp_path / f"{number}.png", pnginfo=info)
    found = read(tmp_path)
    assert is_same(found, images) and "state a gamma of 0.45455, which was not used" in said(found)


def test_what_names_say_is_told_before_there_is_a_geometry(tmp_path: Path) -> None:
    for names, words in (
        ([f"x{c}_y{r}.tif" for r, c in SITES], "order of the images: by x and y in the names"),
        ([f"led_na_{0.01 * n:g}.tif" for n in range(25)], "speak of LEDs (na)"),
        ([f"led_{n}.tif" for n in range(26) if n != 7], "leave out 1 number (7)"),
    ):
        with pytest.raises(NoGeometryError) as caught:
            open_dataset(write(tmp_path / words[:9], names, stack()))
        report = caught.value.report
        assert words in "\n".join(map(str, [*report["facts"], *report["notes"]]))  # type: ignore[misc]
