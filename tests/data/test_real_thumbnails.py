"""Pages of a TIFF that are no images of their own: reduced copies (thumbnails) and masks are left out, and that is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from real_files import given, is_same, ome, plain, read, said, stack

from ptychoui.errors import DataError

SMALL = stack()[0][::2, ::2]
Pages = list[tuple[int, np.ndarray]]


def write(path: Path, pages: Pages, **first: Any) -> Path:
    """Pages with their NewSubfileType; ``first`` are options of the first."""
    with tifffile.TiffWriter(path) as tiff:
        for place, (kind, image) in enumerate(pages):
            options: dict[str, Any] = {"extratags": [(254, 4, 1, kind, True)]} if kind else {}
            tiff.write(image, metadata=None, photometric="minisblack", **options, **(first if place == 0 else {}))
    return path


def images_as(kind: int) -> Pages:
    return [(kind, image) for image in stack()]


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ([(1, SMALL), *images_as(0)], "1 reduced copy among the pages was left out"),
        ([*images_as(0), (1, SMALL)], "1 reduced copy among the pages was left out"),
        (
            [page for image in stack() for page in ((0, image), (1, image[::2, ::2]))],
            "25 reduced copies among the pages",
        ),
        ([*images_as(0), (1, stack()[3])], "1 reduced copy among the pages was left out"),
        ([*images_as(0), (4, np.full((6, 8), 255, np.uint8))], "1 mask among the pages was left out"),
        ([*images_as(0), (5, SMALL), (4, stack()[2])], "1 reduced copy and 2 masks among the pages were left out"),
        (images_as(2), ""),
        (images_as(1), "all 25 pages are marked as reduced copies or masks: they were taken as images"),
    ],
    ids=["first", "last", "each", "of the same size", "mask", "both", "pages of a document", "all"],
)
def test_pages_that_are_no_images(pages: Pages, words: str, tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.tif", pages))
    assert is_same(found, stack()) and words in said(found), said(found)
    assert words or "reduced" not in said(found)
    assert is_same(read(tmp_path / "a.tif", given(led_axis="pages")), stack())


def test_beside_the_planes_of_a_header(tmp_path: Path) -> None:
    images = stack()
    for place in (0, 1):
        with tifffile.TiffWriter(tmp_path / f"{place}.tif") as tiff:
            for part in (images, SMALL)[:: -1 if place else 1]:
                tiff.write(part, subfiletype=int(part is SMALL), photometric="minisblack")
        found = read(tmp_path / f"{place}.tif")
        assert is_same(found, images) and "1 reduced copy among the pages was left out" in said(found)
    for header, name in (
        (ome(tmp_path / "h.ome.tif", images), "a.ome.tif"),
        (imagej(tmp_path / "h.tif", images), "b.tif"),
    ):
        with tifffile.TiffFile(header) as tiff:
            text = tiff.pages[0].aspage().description
        found = read(write(tmp_path / name, [*images_as(0), (1, SMALL)], description=text))
        assert is_same(found, images) and "1 reduced copy among the pages was left out" in said(found)


def imagej(path: Path, images: np.ndarray) -> Path:
    tifffile.imwrite(path, images, imagej=True, metadata={"axes": "TYX"})
    return path


def test_in_each_file_of_a_folder(tmp_path: Path) -> None:
    images = stack()
    for n, image in enumerate(images):
        write(tmp_path / f"led_{n:02}.tif", [(1, image[::2, ::2]), (0, image)])
    found = read(tmp_path)
    assert is_same(found, images) and "1 reduced copy among the pages was left out" in said(found)
    plain(tmp_path / "led_03.tif", images[:2], metadata=None)
    with pytest.raises(DataError, match="has 2 pages, expected one image per file"):
        read(tmp_path)
