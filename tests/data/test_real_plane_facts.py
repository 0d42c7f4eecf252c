"""What a TIFF states of single planes beside file names: channel names, descriptions, page numbers, lists in headers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from real_files import TIMES, WHOLE, exposed, given, is_same, ome, plain, read, rewritten, said, stack

from ptychoui.data.formats.stated_names import as_name
from ptychoui.errors import DataError

MIXED = [7 * n % 25 for n in range(25)]
"""LED of each stored page; the pages are in no order."""
MS = [round(1000 * time) for time in TIMES]
Write = Callable[[Path, np.ndarray, list[str]], Path]


def channels(path: Path, images: np.ndarray, texts: list[str]) -> Path:
    return ome(path, images, "CYX", Channel={"Name": texts})


def described(path: Path, images: np.ndarray, texts: list[str]) -> Path:
    with tifffile.TiffWriter(path) as tiff:
        for image, text in zip(images, texts, strict=True):
            tiff.write(image, description=text, metadata=None, photometric="minisblack")
    return path


def described_series(path: Path, images: np.ndarray, texts: list[str]) -> Path:
    """As tifffile writes pages one by one, each with its own header behind the description."""
    with tifffile.TiffWriter(path) as tiff:
        for image, text in zip(images, texts, strict=True):
            tiff.write(image, description=text, photometric="minisblack", contiguous=False)
    return path


def named_documents(path: Path, images: np.ndarray, texts: list[str]) -> Path:
    with tifffile.TiffWriter(path) as tiff:
        for image, text in zip(images, texts, strict=True):
            tiff.write(image, extratags=[(269, 2, 0, text, True)], metadata=None, photometric="minisblack")
    return path


def micro_manager_pages(path: Path, images: np.ndarray, texts: list[str]) -> Path:
    with tifffile.TiffWriter(path) as tiff:
        for image, text in zip(images, texts, strict=True):
            raw = json.dumps({"PositionName": text, "Exposure-ms": 20.0}).encode() + b"\0"
            tiff.write(image, extratags=[(51123, 2, len(raw), raw, True)], metadata=None, photometric="minisblack")
    return path


def micro_manager_beside(path: Path, images: np.ndarray, texts: list[str]) -> Path:
    frames: dict[str, Any] = {"Summary": {}}
    for n, text in enumerate(texts):
        frames[f"FrameKey-{n}-0-0"] = {"PositionName": text, "FrameIndex": n, "Channel": "Default"}
    path.with_name(f"{path.name.split('.')[0]}_metadata.txt").write_text(json.dumps(frames))
    return ome(path, images)


STYLES = {
    "number": "LED_{n}",
    "sentence": "LED {n}, exposure 10 ms",
    "places": "x{x}_y{y}",
    "row and column": "row {y} col {x}",
    "lines": "Camera: A\nLED: {n}\nExposure: 10 ms\nTemperature = -5",
    "json": '{{"led": {n}, "exposure_ms": 10}}',
    "list": '{{"leds": [{n}]}}',
    "prose": "Taken by A. LED no. {n}. Exposure time: 10 ms.",
    "xml": '<Data><prop id="led" type="int" value="{n}"/></Data>',
    "json places": '{{"illumination": {{"led_x": {x}, "led_y": {y}}}, "t": 0.5}}',
}
TEXTS = {name: [style.format(n=n, x=n % 5, y=n // 5) for n in MIXED] for name, style in STYLES.items()}
NAMES = ("number", "places", "row and column")


@pytest.mark.parametrize(
    ("write", "style", "words"),
    [
        *((channels, style, "from the names of the channels") for style in NAMES),
        *((described, style, "from the pages' descriptions") for style in STYLES),
        (described_series, "sentence", "from the pages' descriptions"),
        (named_documents, "number", "from the pages' document names"),
        *((micro_manager_pages, style, "from the names in the pages' metadata") for style in NAMES),
        *((micro_manager_beside, style, "from the names in the metadata beside") for style in NAMES),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_leds_that_planes_state(write: Write, style: str, words: str, tmp_path: Path) -> None:
    images = stack()
    found = read(
        write(tmp_path / "a.ome.tif" if write is channels else tmp_path / "a.tif", images[MIXED], TEXTS[style])
    )
    assert is_same(found, images) and f"the LEDs were taken {words}" in said(found), said(found)
    assert "page 0 is LED 0, page 24 is LED 18" in said(found)


@pytest.mark.parametrize(
    ("write", "style"),
    [
        (channels, "LED{n} {t}ms"),
        (described, "LED {n}, exposure {t} ms"),
        (described, '{{"led": {n}, "exposure_ms": {t}}}'),
        (described, '{{"led": {n}, "ExposureTime_s": {s}}}'),
        (described, "LED = {n}\nExposure (ms) = {t}.0\nGain = 2"),
        (described_series, "LED: {n}; Exposure: {s} s"),
        (micro_manager_beside, "LED_{n}_{t}ms"),
        (named_documents, "led {n} {t}ms"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_exposures_that_planes_state(write: Write, style: str, tmp_path: Path) -> None:
    images = stack()
    texts = [style.format(n=n, t=MS[n], s=TIMES[n]) for n in MIXED]
    path = write(tmp_path / ("a.ome.tif" if write is channels else "a.tif"), images[MIXED], texts)
    found = read(path)
    assert is_same(found, exposed(images)) and "10 to 40 ms, divided out" in said(found), said(found)
    if "Gain" in style:
        assert "a gain of 2, which was not used" in said(found)
    own = read(path, given(exposures=[1.0] * 25))
    assert is_same(own, images) and "differ from those in the file" in said(own)


def test_exposures_without_a_unit_and_other_numbers_are_named(tmp_path: Path) -> None:
    images = stack()
    texts = [json.dumps({"led": n, "exposure": TIMES[n], "brightness": n, "frame": n}) for n in range(25)]
    words = said(read(described(tmp_path / "a.tif", images, texts)))
    assert "the pages' descriptions state exposures without a unit (exposure 0.01, exposure 0.04)" in words
    assert "the pages' descriptions state brightness, which differs between the images and was not used" in words
    texts = [json.dumps({"led": n, "Gain": n % 2, "binning": "2x2"}) for n in range(25)]
    words = said(read(described(tmp_path / "b.tif", images, texts)))
    assert "a gain of 0, 1 (not the same in all images), which was not used" in words
    assert "a binning of 2x2, which was not used" in words


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([f"LED {n + 100}" for n in range(25)], "they are not those of the array, each once"),
        ([f"LED {n // 2}, {n}" for n in range(25)], "they are not those of the array, each once"),
        ([f"LED {n}" if n else "no light" for n in range(25)], "24 of 25 images have one"),
        ([f"na {n / 100}" for n in range(25)], "of which only the order is known"),
    ],
    ids=["others", "twice", "some", "na"],
)
def test_leds_that_cannot_be_used_are_named(texts: list[str], words: str, tmp_path: Path) -> None:
    found = read(described(tmp_path / "a.tif", stack(), texts))
    assert is_same(found, stack()) and words in said(found), said(found)
    assert "the pages' descriptions state LEDs (" in said(found)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([f"Image {24 - n}" for n in range(25)], "descriptions number the images in another order (Image 24, Image 23"),
        ([f"({n % 5}, {n // 5})" for n in range(25)], "descriptions hold two numbers, as row and column would be"),
        ([json.dumps({"led": [n // 5, n % 5]}) for n in range(25)], "the pages' descriptions state led, which differs"),
        ([json.dumps({"pattern": n}) for n in range(25)], "the pages' descriptions state pattern, which differs"),
    ],
    ids=["numbers", "two numbers", "pairs", "pattern"],
)
def test_what_may_be_an_order_is_named(texts: list[str], words: str, tmp_path: Path) -> None:
    found = read(described(tmp_path / "a.tif", stack(), texts))
    assert is_same(found, stack()) and words in said(found), said(found)


@pytest.mark.parametrize(
    ("tag", "text"), [(65000, "LED {n}"), (315, "led_{n}"), (700, "<x:xmpmeta>LED {n}</x:xmpmeta>"), (37510, "LED:{n}")]
)
def test_texts_in_other_tags(tag: int, text: str, tmp_path: Path) -> None:
    images = stack()
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for n in MIXED:
            tags = [(tag, 2, 0, text.format(n=n), True)]
            tiff.write(images[n], extratags=tags, metadata=None, photometric="minisblack")
    found = read(tmp_path / "a.tif")
    assert is_same(found, images) and "the LEDs were taken from the pages' texts (" in said(found), said(found)


def test_lists_and_labels_of_imagej(tmp_path: Path) -> None:
    images = stack()
    for key, values in (("led_numbers", MIXED), ("Labels", [f"img\nLED: {n}" for n in MIXED])):
        tifffile.imwrite(tmp_path / "a.tif", images[MIXED], imagej=True, metadata={"axes": "TYX", key: values})
        found = read(tmp_path / "a.tif")
        assert is_same(found, images) and "the LEDs were taken from" in said(found), said(found)
    info = "LED order = 3, 1, 2"
    tifffile.imwrite(tmp_path / "b.tif", images, imagej=True, metadata={"axes": "TYX", "Info": info})
    assert f"ImageJ's Info speaks of LEDs ({info}), which was not used" in said(read(tmp_path / "b.tif"))


def test_texts_of_ome_that_speak_of_leds(tmp_path: Path) -> None:
    path = ome(tmp_path / "a.ome.tif", stack(), Description="order of the LEDs: spiral")
    assert "texts in the OME header speak of LEDs (order of the LEDs: spiral), which were not used" in said(read(path))
    path = ome(tmp_path / "b.ome.tif", stack(), Description="a sample, labelled")
    assert "speak of LEDs" not in said(read(path))


def test_names_of_places_that_the_lattice_does_not_have_are_refused(tmp_path: Path) -> None:
    path = channels(tmp_path / "a.ome.tif", stack(), [f"x{n % 5 + 3}_y{n // 5}" for n in range(25)])
    with pytest.raises(DataError, match=r"the names of the channels state LEDs \(x and y\) that are not those"):
        read(path)
    path = described(tmp_path / "b.tif", stack(), [f"x: {n * 100}\ny: {n}" for n in range(25)])
    assert "state LEDs (x and y), which were not used" in said(read(path))


def test_other_descriptions_say_nothing(tmp_path: Path) -> None:
    for text in ("frame {n}", "2024-05-01 10:00:{n:02}.5", "Camera: A\nTemperature: {n}.5", "{n} of 25"):
        found = read(described(tmp_path / "a.tif", stack(), [text.format(n=n) for n in range(25)]))
        assert is_same(found, stack()) and "descriptions" not in said(found), said(found)


def test_two_sources_that_disagree_are_refused(tmp_path: Path) -> None:
    images = stack()
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for n, image in enumerate(images):
            tags = [(285, 2, 0, f"led_{n}", True)]
            tiff.write(image, description=f"LED {24 - n}", extratags=tags, metadata=None, photometric="minisblack")
    with pytest.raises(
        DataError, match="the slices' names and the pages' descriptions state different LEDs, of page 0"
    ):
        read(tmp_path / "a.tif")
    listed = WHOLE.replace(array=WHOLE.array.replace(led_numbers=tuple(range(24, -1, -1))))
    found = read(tmp_path / "a.tif", listed)
    assert np.allclose(found.images * found.unit_counts, images, rtol=1e-5)
    assert "the slices' names state other LEDs than array.led_numbers of the geometry, which were used" in said(found)
    path = channels(tmp_path / "b.ome.tif", images, [f"LED_{n} {MS[n]}ms" for n in range(25)])
    assert is_same(read(path), exposed(images))
    micro_manager_beside(tmp_path / "c.ome.tif", images, [f"LED_{n}_{MS[n]}ms" for n in range(25)])
    beside = tmp_path / "c_metadata.txt"
    frames = json.loads(beside.read_text())
    for frame in frames.values():
        frame["Exposure-ms"] = 10.0
    beside.write_text(json.dumps(frames))
    with pytest.raises(DataError, match=r"the metadata beside the file states one exposure for all images, and the"):
        read(tmp_path / "c.ome.tif")


def numbered(path: Path, images: np.ndarray, numbers: list[int], **options: Any) -> Path:
    with tifffile.TiffWriter(path) as tiff:
        for image, number in zip(images, numbers, strict=True):
            tags = [(297, 3, 2, (number, 25), True)]
            tiff.write(image, extratags=tags, **({"metadata": None, "photometric": "minisblack"} | options))
    return path


def test_pages_that_are_numbered(tmp_path: Path) -> None:
    images = stack()
    path = numbered(tmp_path / "a.tif", images[MIXED], MIXED)
    found = read(path)
    assert is_same(found, images) and "the pages were taken in the order of their numbers (0, 7, 14, ... as" in said(
        found
    )
    found = read(path, given(led_axis="pages"))
    assert is_same(found, images[MIXED]) and "their numbers" not in said(found)
    for numbers in (list(range(25)), [0] * 25, list(range(3, 28))):
        found = read(numbered(tmp_path / "b.tif", images, numbers))
        assert is_same(found, images) and "numbers (" not in said(found)
    ome(tmp_path / "c.ome.tif", images)
    with tifffile.TiffFile(tmp_path / "c.ome.tif") as tiff:
        header = str(tiff.ome_metadata)
    with tifffile.TiffWriter(tmp_path / "c.ome.tif") as tiff:
        for n, image in enumerate(images):
            tags = [(297, 3, 2, (24 - n, 25), True)]
            text = header if n == 0 else None
            tiff.write(image, description=text, extratags=tags, metadata=None, photometric="minisblack")
    found = read(tmp_path / "c.ome.tif")
    assert is_same(found, images) and "the pages are numbered in another order (24, 23, 22, ...) than that" in said(
        found
    )


def test_lists_in_the_header_of_tifffile(tmp_path: Path) -> None:
    images = stack()
    metadata = {"exposure_ms": [MS[n] for n in MIXED], "led_numbers": MIXED}
    found = read(plain(tmp_path / "a.tif", images[MIXED], metadata=metadata))
    assert is_same(found, exposed(images)) and "from tifffile's header (LED number)" in said(found), said(found)
    found = read(plain(tmp_path / "b.tif", images, metadata={"exposure_ms": 10, "gain": 3, "brightness": MS}))
    words = said(found)
    assert is_same(found, images) and "10 ms, the same for all - from tifffile's header" in words
    assert "a gain of 3, which was not used" in words and "the file holds brightness with one number for each" in words
    found = read(plain(tmp_path / "c.tif", images, metadata={"exposures": TIMES, "dark": MS}))
    assert is_same(found, images) and "states exposures without a unit" in said(found)
    assert "the file holds dark, which were not used" in said(found)


# ------------------------------------------------------------------------------------ cameras


def camera_frames(of_frame: list[float], of_camera: list[float] | None, **more: Any) -> dict[str, Any]:
    frames: dict[str, Any] = {"Summary": {}}
    for n, time in enumerate(of_frame):
        frames[f"FrameKey-{n}-0-0"] = {"Exposure-ms": time, "FrameIndex": n, "Camera": "Andor", **more}
        if of_camera:
            frames[f"FrameKey-{n}-0-0"] |= {"Andor-Exposure": f"{of_camera[n]:.2f}", "Other-Exposure": "7"}
    return frames


def test_exposures_of_the_camera_that_contradict_those_of_the_frames(tmp_path: Path) -> None:
    images = stack()
    path = ome(tmp_path / "a.ome.tif", images)
    text = tmp_path / "a_metadata.txt"
    constant, several = [10.0] * 25, [float(time) for time in MS]
    text.write_text(json.dumps(camera_frames(constant, several)))
    with pytest.raises(
        DataError, match="states one exposure for all images, and the camera's settings in the metadata"
    ):
        read(path)
    assert is_same(read(path, given(exposures=TIMES)), exposed(images))
    text.write_text(json.dumps(camera_frames(several, [20.0] * 25)))
    found = read(path)
    assert is_same(found, exposed(images))
    assert "and the camera's settings in the metadata beside the file state different exposures: those of" in said(
        found
    )
    text.write_text(json.dumps(camera_frames(several, several)))
    found = read(path)
    assert is_same(found, exposed(images)) and "different exposures" not in said(found)
    frames = camera_frames(constant, several)
    for frame in frames.values():
        frame.pop("Exposure-ms", None)
    text.write_text(json.dumps(frames))
    found = read(path)
    assert is_same(found, exposed(images)) and "from the camera's settings in the metadata" in said(found)


def test_lines_of_imagej_info_are_named(tmp_path: Path) -> None:
    info = "Gain = 4\nBinning: 2x2\nBlackLevel=100\n Series 0 Name = Image:0\nExposure = 10 ms"
    tifffile.imwrite(tmp_path / "a.tif", stack(), imagej=True, metadata={"axes": "TYX", "Info": info})
    words = said(read(tmp_path / "a.tif"))
    for what in ("a gain of 4,", "a binning of 2x2,", "a black level of 100,"):
        assert f"{what} which was not used" in words, words
    assert "ImageJ's Info speaks of exposures" in words


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("LED 24, exposure 10 ms", "LED 24, exposure 10ms"),
        ('{"led": 24, "exposure_ms": 10}', "led 24 exposure 10ms"),
        ('{"LED number": 24.0, "exposure_s": 0.0005}', "led 24 exposure 0.0005s"),
        ("LED=24\nExposureTime_us=500\nGain=2", "led 24 exposure 500us"),
        ("led_x: 3; led_y: 4; Exposure [ms]: 2.5", "x 3 y 4 exposure 2.5ms"),
        ("Channel 1\nTemperature: 3", ""),
        ('{"led": true, "x": 1.5, "exposure": null}', ""),
        ("{broken", "{broken"),
    ],
)
def test_descriptions_as_names(text: str, name: str) -> None:
    assert as_name(text) == name


def test_positions_of_ome_that_are_leds(tmp_path: Path) -> None:
    images = stack()
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tiff:
        for n in MIXED:
            tiff.write(images[n], photometric="minisblack", metadata={"axes": "YX", "Name": f"LED_{n}"})
    found = read(tmp_path / "a.ome.tif")
    assert is_same(found, images) and "from the names of the positions" in said(found)
    rewritten(tmp_path / "a.ome.tif", lambda text: re.sub(r'Name="LED_', 'Name="Image', text))
    assert is_same(read(tmp_path / "a.ome.tif"), images[MIXED])
