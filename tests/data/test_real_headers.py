"""Exposures and other facts of headers: divided out, or named as unused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from real_files import (
    TIMES,
    exposed,
    given,
    is_same,
    ome,
    ome_exposures,
    read,
    rewritten,
    said,
    stack,
)

from ptychoui.errors import DataError

# ------------------------------------------------------------------------------------ exposures and the like


@pytest.mark.parametrize(
    ("times", "unit"),
    [
        (TIMES, ""),
        ([1e3 * time for time in TIMES], ' ExposureTimeUnit="ms"'),
        ([1e6 * time for time in TIMES], ' ExposureTimeUnit="µs"'),
    ],
    ids=["s", "ms", "us"],
)
def test_exposures_of_the_ome_header_are_divided_out(times: list[float], unit: str, tmp_path: Path) -> None:
    images = stack()
    found = read(ome_exposures(tmp_path / "a.ome.tif", images, times, unit))
    assert is_same(found, exposed(images))
    assert "exposures in the header: 10 to 40 ms, divided out - from the OME header" in said(found)
    assert found.exposure is not None and np.allclose(found.exposure, np.array(TIMES) / 0.04)


def test_exposures_that_do_not_differ_or_not_all_are_there(tmp_path: Path) -> None:
    images = stack()
    found = read(ome_exposures(tmp_path / "a.ome.tif", images, [0.02] * 25))
    assert is_same(found, images) and "20 ms, the same for all" in said(found)
    found = read(ome_exposures(tmp_path / "b.ome.tif", images, [0.02] * 10 + [None] * 15))
    assert is_same(found, images) and "for 10 of 25 images only, which was not used" in said(found)
    part = ome_exposures(tmp_path / "c.ome.tif", images, [*TIMES[:20], None, None, None, None, None])
    with pytest.raises(DataError, match=r"20 of 25 images, and they differ \(10 to 40 ms\)"):
        read(part)
    assert is_same(read(part, given(exposures=TIMES)), exposed(images))
    with pytest.raises(DataError, match="unknown unit"):
        read(ome_exposures(tmp_path / "d.ome.tif", images, TIMES, ' ExposureTimeUnit="fortnight"'))


def test_exposures_of_the_user_win_over_the_header(tmp_path: Path) -> None:
    images = stack()
    path = ome_exposures(tmp_path / "a.ome.tif", images, TIMES)
    own = [1.0] * 24 + [2.0]
    found = read(path, given(exposures=own))
    assert is_same(found, exposed(images, own))
    assert "the exposures of [images] of g.toml differ from those in the file" in said(found)
    assert "differ from those" not in said(read(path, given(exposures=[1000 * time for time in TIMES])))


def test_what_else_a_header_states_is_named(tmp_path: Path) -> None:
    path = ome(tmp_path / "a.ome.tif", stack())
    detector = '<Instrument ID="Instrument:0"><Detector ID="Detector:0" Gain="4" Offset="100"/>'
    detector += '<Objective ID="Objective:0" NominalMagnification="20" LensNA="0.4"/></Instrument>'
    settings = '<DetectorSettings ID="Detector:0" Binning="2x2" Gain="4"/>'
    rewritten(path, lambda text: text.replace("<Image ", f"{detector}<Image ", 1))
    rewritten(path, lambda text: text.replace("</Channel>", f"{settings}</Channel>", 1))
    words = said(read(path))
    for what in ("a gain of 4,", "a black level of 100,", "a binning of 2x2,"):
        assert f"{what} which was not used" in words, words
    assert "the magnification is 2 in the geometry and 20 in the data file" in words
    assert "the objective's NA is 0.1 in the geometry and 0.4 in the data file" in words


def test_exposures_in_a_tag_of_the_pages(tmp_path: Path) -> None:
    images = stack()
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for image, time in zip(images, TIMES, strict=True):
            tag = (33434, "2I", 1, (round(time * 1000), 1000), True)
            tiff.write(image, extratags=[tag], metadata=None, photometric="minisblack")
    found = read(tmp_path / "a.tif")
    assert is_same(found, exposed(images)) and "the pages' ExposureTime" in said(found)


# ------------------------------------------------------------------------------------ Micro-Manager


def frames_1_4(times: list[float], **more: Any) -> dict[str, Any]:
    frames: dict[str, Any] = {"Summary": {"Frames": 25, "Channels": 1, "MicroManagerVersion": "1.4.22"}}
    for number, time in enumerate(times):
        frames[f"FrameKey-{number}-0-0"] = {
            "Exposure-ms": 1e3 * time,
            "FrameIndex": number,
            "ChannelIndex": 0,
            "Channel": "Red",
            "PositionIndex": 3,
            "Andor-Gain": "2",
            "Binning": "1",
            **more,
        }
    return frames


def frames_2_0(times: list[float]) -> dict[str, Any]:
    frames: dict[str, Any] = {"Summary": {"Prefix": "a", "MicroManagerVersion": "2.0.1"}}
    for number, time in enumerate(times):
        name = f"Default/img_channel000_position000_time{number:09}_z000.tif"
        frames[f"Coords-{name}"] = {"Time": number, "Channel": 0, "Z": 0, "StagePosition": 0}
        frames[f"Metadata-{name}"] = {"Exposure-ms": 1e3 * time, "Camera": "Andor", "UserData": {}}
    return frames


@pytest.mark.parametrize("frames", [frames_1_4, frames_2_0])
def test_stacks_of_micro_manager(frames: Any, tmp_path: Path) -> None:
    images = stack()
    path = ome(tmp_path / "a_MMStack_Pos3.ome.tif", images)
    metadata = tmp_path / "a_MMStack_Pos3_metadata.txt"
    metadata.write_text(json.dumps(frames(TIMES), indent=1))
    found = read(path)
    assert is_same(found, exposed(images))
    assert found.provenance.layout == "TIFF with Micro-Manager metadata"
    assert "divided out - from the metadata beside the file" in said(found)
    if frames is frames_1_4:
        assert "a gain of 2, which was not used" in said(found) and "binning" not in said(found)
    # An acquisition that was stopped leaves the last bracket out.
    metadata.write_text(metadata.read_text().rstrip().removesuffix("}").rstrip() + ",")
    assert is_same(read(path), exposed(images))


def test_frames_are_matched_by_their_place(tmp_path: Path) -> None:
    """Planes that lie back and forth, and frames that are listed in any order, of two colours."""
    images = stack()
    path = ome(tmp_path / "a.ome.tif", np.stack([images, images[::-1]], 1), "TCYX")
    frames = {
        f"FrameKey-{t}-{c}-0": {"Exposure-ms": 1e3 * TIMES[t] * (1 + c)} for c in (1, 0) for t in range(24, -1, -1)
    }
    (tmp_path / "a_metadata.txt").write_text(json.dumps(frames))
    assert is_same(read(path, given(led_axis="T", indices={"C": 0})), exposed(images))
    few = {key: value for key, value in frames.items() if "-7-" not in key}
    (tmp_path / "a_metadata.txt").write_text(json.dumps(few))
    found = read(path, given(led_axis="T", indices={"C": 0}))
    assert is_same(found, images) and "list 48 frames, the file holds 50 planes" in said(found)


def test_a_neighbour_is_what_it_holds_and_not_what_it_is_called(tmp_path: Path) -> None:
    images = stack()
    path = ome(tmp_path / "a.ome.tif", images)
    for text in ("taken on Monday", "[1, 2]", '{"note": "x"}', ""):
        (tmp_path / "a_metadata.txt").write_text(text)
        found = read(path)
        assert is_same(found, images) and "a_metadata.txt is not metadata of Micro-Manager: not used" in said(found)
    (tmp_path / "a_metadata.txt").write_text('{"FrameKey-0-0-0": {"Exposure-ms": 1')
    with pytest.raises(DataError, match="JSON"):
        read(path)
    leds = frames_1_4([0.02] * 25, UserData={"LED number": {"scalar": "4"}})
    (tmp_path / "a_metadata.txt").write_text(json.dumps(leds))
    assert "holds LED number, which were not used" in said(read(path))


def test_what_micro_manager_writes_into_the_pages(tmp_path: Path) -> None:
    images = stack()
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        for image, time in zip(images, TIMES, strict=True):
            text = json.dumps({"Exposure-ms": 1e3 * time, "Andor-Gain": "2"}).encode() + b"\0"
            tiff.write(image, extratags=[(51123, 2, len(text), text, True)], metadata=None, photometric="minisblack")
    found = read(tmp_path / "a.tif")
    assert is_same(found, exposed(images)) and "a gain of 2" in said(found)


def test_pixels_that_imagej_and_micro_manager_state(tmp_path: Path) -> None:
    images = stack()
    options = {"imagej": True, "resolution": (4.0, 4.0), "metadata": {"unit": "um", "axes": "TYX"}}
    tifffile.imwrite(tmp_path / "a.tif", images, **options)
    assert "the pixel at the sample is 2 um in the geometry and 0.25 um in the data file" in said(
        read(tmp_path / "a.tif")
    )
    path = ome(tmp_path / "b.ome.tif", images)
    (tmp_path / "b_metadata.txt").write_text(json.dumps(frames_1_4([0.02] * 25, PixelSizeUm=0.5)))
    assert "is 2 um in the geometry and 0.5 um in the data file" in said(read(path))
    (tmp_path / "b_metadata.txt").write_text(json.dumps(frames_1_4([0.02] * 25, PixelSizeUm=0)))
    assert "pixel at the sample" not in said(read(path))


def test_slices_that_imagej_calls_by_their_files(tmp_path: Path) -> None:
    """A stack made of files keeps their names, in the order in which they were taken in."""
    images = stack()
    by_letters = sorted(range(25), key=str)
    names = [f"led_{n}.tif" for n in by_letters]
    tifffile.imwrite(tmp_path / "a.tif", images[by_letters], imagej=True, metadata={"Labels": names, "axes": "TYX"})
    assert "which is not the natural order of these names; they were taken as stored" in said(read(tmp_path / "a.tif"))
    places = [f"image_x_{n % 5}_y_{n // 5}.tif" for n in range(25)]
    order = sorted(range(25), key=places.__getitem__)
    names = [places[n] for n in order]
    tifffile.imwrite(tmp_path / "b.tif", images[order], imagej=True, metadata={"Labels": names, "axes": "TYX"})
    found = read(tmp_path / "b.tif")
    assert is_same(found, images) and "the LEDs were taken from the files' names (x and y)" in said(found)
    with tifffile.TiffWriter(tmp_path / "c.tif") as tiff:
        for n in order:
            tags = [(285, 2, 0, places[n], True), (33434, "2I", 1, (10 + n, 1000), True)]
            tiff.write(images[n], extratags=tags, metadata=None, photometric="minisblack")
    assert is_same(read(tmp_path / "c.tif"), exposed(images, [10 + n for n in range(25)]))
    plainly = [f"slice {n}" for n in range(25)]
    tifffile.imwrite(tmp_path / "d.tif", images, imagej=True, metadata={"Labels": plainly, "axes": "TYX"})
    found = read(tmp_path / "d.tif")
    assert is_same(found, images) and "slices" not in said(found)
