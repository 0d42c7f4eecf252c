"""Grey values of TIFF files as microscopes and programs write them: what was meant, or a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from real_files import (
    WHOLE,
    given,
    is_same,
    plain,
    read,
    rewritten,
    said,
    stack,
)

from ptychoui.errors import DataError


def ramp(step: int = 257, turn: bool = False) -> np.ndarray:
    values = (np.arange(256) * step)[:: -1 if turn else 1]
    return np.array([values] * 3, np.uint16)


def white(folder: Path) -> tuple[Path, np.ndarray]:
    images = stack(60_000)
    return plain(folder / "a.tif", 65535 - images, photometric="miniswhite"), images


def white_of_8_bits(folder: Path) -> tuple[Path, np.ndarray]:
    images = stack(120, np.uint8)
    return plain(folder / "a.tif", 255 - images, photometric="miniswhite"), images


def white_of_12_bits_in_16(folder: Path) -> tuple[Path, np.ndarray]:
    images = stack(4000)
    return plain(folder / "a.tif", 4095 - images, photometric="miniswhite"), images


def white_deflated_big_endian(folder: Path) -> tuple[Path, np.ndarray]:
    images = stack(60_000)
    path = folder / "a.tif"
    return plain(path, 65535 - images, photometric="miniswhite", compression="zlib", byteorder=">"), images


def white_by_significant_bits(folder: Path) -> tuple[Path, np.ndarray]:
    images = stack(2000)  # the darkest pixel alone does not tell 12 bits: a veil lies over all
    path = folder / "a.ome.tif"
    tifffile.imwrite(path, 4095 - 1500 - images, ome=True, metadata={"axes": "TYX"}, photometric="miniswhite")
    rewritten(path, lambda text: text.replace("SizeT", 'SignificantBits="12" SizeT', 1))
    return path, images + 1500


def palette_ramp(folder: Path) -> tuple[Path, np.ndarray]:
    images = stack(250, np.uint8)
    return plain(folder / "a.tif", images, photometric="palette", colormap=ramp()), images


def palette_falling(folder: Path) -> tuple[Path, np.ndarray]:
    images = stack(250, np.uint8)
    return plain(folder / "a.tif", 255 - images, photometric="palette", colormap=ramp(turn=True)), images


def grey_in_colour(folder: Path) -> tuple[Path, np.ndarray]:
    images = stack(250, np.uint8)
    return plain(folder / "a.tif", np.stack([images] * 3, -1), photometric="rgb"), images


def grey_in_colour_by_planes(folder: Path) -> tuple[Path, np.ndarray]:
    images = stack()
    return plain(folder / "a.tif", np.stack([images] * 3, 1), photometric="rgb", planarconfig="separate"), images


def opaque(folder: Path) -> tuple[Path, np.ndarray]:
    images = stack(250, np.uint8)
    alpha = np.full_like(images, 255)
    both = np.stack([images, alpha], -1)
    return plain(folder / "a.tif", both, extrasamples=["unassalpha"], planarconfig="contig"), images


def opaque_colour(folder: Path) -> tuple[Path, np.ndarray]:
    images = stack(250, np.uint8)
    four = np.stack([images] * 3 + [np.full_like(images, 255)], -1)
    return plain(folder / "a.tif", four, photometric="rgb", extrasamples=["unassalpha"]), images


def imagej_signed(folder: Path) -> tuple[Path, np.ndarray]:
    """ImageJ keeps signed numbers of 16 bits as unsigned ones with a calibration."""
    images = stack(4000).astype(np.int32) - 100
    info = {"cf": 0, "c0": -32768, "c1": 1, "vunit": "Gray Value"}
    tifffile.imwrite(folder / "a.tif", (images + 32768).astype(np.uint16), imagej=True, metadata=info)
    return folder / "a.tif", images


def big_endian(folder: Path) -> tuple[Path, np.ndarray]:
    images = stack()
    return plain(folder / "a.tif", images, byteorder=">", bigtiff=True), images


def tiled_with_a_predictor(folder: Path) -> tuple[Path, np.ndarray]:
    images = np.tile(stack(), (1, 6, 5))
    return plain(folder / "a.tif", images, tile=(16, 16), compression="zlib", predictor=True), images


def packed(folder: Path, bits: int, **tags: int) -> tuple[Path, np.ndarray]:
    """Pixels packed without gaps, rows ending at a whole byte, by a TIFF of our own."""
    images = stack(2**bits - 2)
    single = (images[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    rows = np.packbits(single.reshape(25, 6, 8 * bits).astype(np.uint8), axis=-1)
    raw = bytearray(b"MM\0*\0\0\0\0")
    data = [len(raw) + n * rows[0].nbytes for n in range(25)]
    raw += rows.tobytes()
    raw += b"\0" * (len(raw) % 2)
    place = 4
    for offset in data:
        entries = {256: 8, 257: 6, 258: bits, 259: 1, 262: 1, 273: offset, 277: 1, 278: 6, 279: rows[0].nbytes}
        entries |= {int(name[1:]): value for name, value in tags.items()}
        raw[place : place + 4] = len(raw).to_bytes(4, "big")
        raw += len(entries).to_bytes(2, "big")
        for tag, value in sorted(entries.items()):
            raw += tag.to_bytes(2, "big") + (4).to_bytes(2, "big") + (1).to_bytes(4, "big") + value.to_bytes(4, "big")
        place = len(raw)
        raw += b"\0\0\0\0"
    (folder / "a.tif").write_bytes(raw)
    return folder / "a.tif", images


def packed_10(folder: Path) -> tuple[Path, np.ndarray]:
    return packed(folder, 10)


def packed_12(folder: Path) -> tuple[Path, np.ndarray]:
    return packed(folder, 12)


def packed_14(folder: Path) -> tuple[Path, np.ndarray]:
    return packed(folder, 14)


def lzw(folder: Path, images: np.ndarray, predictor: int = 1) -> Path:
    pages = [Image.fromarray(image) for image in images]
    pages[0].save(
        folder / "a.tif", save_all=True, append_images=pages[1:], compression="tiff_lzw", tiffinfo={317: predictor}
    )
    return folder / "a.tif"


def lzw_8(folder: Path) -> tuple[Path, np.ndarray]:
    images = stack(250, np.uint8)
    return lzw(folder, images), images


def lzw_16_predicted(folder: Path) -> tuple[Path, np.ndarray]:
    images = stack()
    return lzw(folder, images, 2), images


def lzw_float(folder: Path) -> tuple[Path, np.ndarray]:
    images = stack(4000, np.float32) / np.float32(7)
    return lzw(folder, images), images


def pack_bits(folder: Path) -> tuple[Path, np.ndarray]:
    images = stack(250, np.uint8)
    images[:, 2:4] = 7
    pages = [Image.fromarray(image) for image in images]
    pages[0].save(folder / "a.tif", save_all=True, append_images=pages[1:], compression="packbits")
    return folder / "a.tif", images


GREYS = [white, white_of_8_bits, white_of_12_bits_in_16, white_deflated_big_endian, white_by_significant_bits]
GREYS += [palette_ramp, palette_falling, grey_in_colour, grey_in_colour_by_planes, opaque, opaque_colour]
GREYS += [imagej_signed, big_endian, tiled_with_a_predictor, packed_10, packed_12, packed_14]
GREYS += [lzw_8, lzw_16_predicted, lzw_float, pack_bits]


@pytest.mark.parametrize("write", GREYS, ids=lambda write: write.__name__)
def test_grey_values_are_what_was_meant(write: Callable[..., tuple[Path, np.ndarray]], tmp_path: Path) -> None:
    path, images = write(tmp_path)
    found = read(path)
    assert is_same(found, images)
    if write in GREYS[:5]:
        assert "0 is white in the file" in said(found)


def coloured(folder: Path) -> Path:
    images = stack(250, np.uint8)
    return plain(folder / "a.tif", np.stack([images, images, images // 2], -1), photometric="rgb")


def false_colours(folder: Path) -> Path:
    table = ramp()
    table[1] = np.roll(table[1], 40)
    return plain(folder / "a.tif", stack(250, np.uint8), photometric="palette", colormap=table)


def palette_with_a_gamma(folder: Path) -> Path:
    table = np.array([(np.arange(256) / 255) ** 0.5 * 65535] * 3).astype(np.uint16)
    return plain(folder / "a.tif", stack(250, np.uint8), photometric="palette", colormap=table)


def half_transparent(folder: Path) -> Path:
    images = stack(250, np.uint8)
    both = np.stack([images, images // 2], -1)
    return plain(folder / "a.tif", both, extrasamples=["unassalpha"], planarconfig="contig")


def white_of_unknown_bits(folder: Path) -> Path:
    return plain(folder / "a.tif", (2500 - stack(2000)).astype(np.uint16), photometric="miniswhite")


def white_of_a_bright_field(folder: Path) -> Path:
    """All 16 bits are in use, but all images are bright: the same file might hold 14 bits."""
    images = 65535 - np.random.default_rng(0).integers(0, 16384, (25, 6, 8)).astype(np.uint16)
    return plain(folder / "a.tif", 65535 - images, photometric="miniswhite")


def white_of_floats(folder: Path) -> Path:
    return plain(folder / "a.tif", 1 - stack(1, np.float32), photometric="miniswhite")


def complex_field(folder: Path) -> Path:
    return plain(folder / "a.tif", stack().astype(np.complex64))


def mosaic(folder: Path) -> Path:
    path = plain(folder / "a.tif", stack())
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for page in tiff.pages:
            page.aspage().tags["PhotometricInterpretation"].overwrite(32803)
    return path


def jpeg_compressed(folder: Path) -> Path:
    pages = [Image.fromarray(np.tile(image, (4, 4))) for image in stack(250, np.uint8)]
    pages[0].save(folder / "a.tif", save_all=True, append_images=pages[1:], compression="jpeg")
    return folder / "a.tif"


def unknown_compression(folder: Path) -> Path:
    path = plain(folder / "a.tif", stack(), compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for page in tiff.pages:
            page.aspage().tags["Compression"].overwrite(34887)  # LERC
    return path


def damaged_lzw(folder: Path) -> Path:
    path = lzw(folder, stack())
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[4].aspage()
        start, count = page.dataoffsets[0], page.databytecounts[0]
    raw = bytearray(path.read_bytes())
    raw[start : start + count] = b"\xff" * count
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize(
    ("write", "words", "hint"),
    [
        (coloured, "colour image whose channels differ, expected grey", "one channel"),
        (false_colours, "palette of colours, expected grey", "one channel"),
        (palette_with_a_gamma, "palette that is no even ramp of greys", "one channel"),
        (half_transparent, "transparency that differs", "one channel"),
        (white_of_unknown_bits, "0 is white, but not which value is black", "bit_depth = 12"),
        (white_of_a_bright_field, "0 is white, but not which value is black", "bit_depth"),
        (white_of_floats, "no meaning for float32", "black as 0"),
        (complex_field, "complex|kind that is not read", r"\|field\|\^2"),
        (mosaic, "raw pixels of a colour camera", "bayer ="),
        (jpeg_compressed, "compressed by JPEG, which changes the values", "lossless"),
        (
            unknown_compression,
            "uses the compression LERC, which this installation cannot decode",
            "install imagecodecs",
        ),
        (damaged_lzw, "damaged", "copy it again"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_not_grey_or_not_read(
    write: Callable[..., Path], words: str, hint: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match=words) as caught:
        read(write(tmp_path))
    assert re.search(hint, caught.value.hint), caught.value.hint
    assert capfd.readouterr() == ("", "")


def test_the_user_says_what_a_tiff_leaves_open(tmp_path: Path) -> None:
    images = stack(2000)
    path = plain(tmp_path / "a.tif", (2500 - images).astype(np.uint16), photometric="miniswhite")
    assert is_same(read(path, given(bit_depth=12)), images + 4095 - 2500)
    with pytest.raises(DataError, match=r"\[images\] states 10 bits"):
        read(path, given(bit_depth=10))
    found = read(mosaic(tmp_path), given(bayer="RGGB", colour="red"))
    assert np.allclose(found.images * found.unit_counts, stack()[:, ::2, ::2], rtol=1e-5)


def test_bits_at_the_top_of_their_words_are_said(tmp_path: Path) -> None:
    images = stack(4095) * 16
    found = read(plain(tmp_path / "a.tif", images))
    assert is_same(found, images) and "bits in use: 12" in said(found)
    assert "bits in use" not in said(read(plain(tmp_path / "b.tif", stack(4095))))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "zstd"])
def test_floats_by_their_bytes(compression: str, tmp_path: Path) -> None:
    """Predictor 3 keeps the differences of the bytes of equal rank."""
    images = stack(4000, np.float32) / np.float32(7)
    pages = [Image.fromarray(image) for image in images]
    options = {"compression": compression, "tiffinfo": {317: 3}}
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], **options)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert compression == "zstd" or tiff.pages[0].aspage().predictor == 3
    assert is_same(read(tmp_path / "a.tif"), images)


def test_bits_of_a_byte_backwards(tmp_path: Path) -> None:
    path, images = packed(tmp_path, 12, t266=2)
    raw = np.fromfile(path, np.uint8)
    data = raw[8 : 8 + 25 * 6 * 12]
    raw[8 : 8 + 25 * 6 * 12] = np.packbits(np.unpackbits(data, bitorder="little"))
    raw.tofile(path)
    assert is_same(read(path), images)


SIDES = ["top left", "top right", "bottom right", "bottom left", "left top", "right top", "right bottom", "left bottom"]
"""Where the first stored row and the first stored column are seen, for the values 1 to 8 of the TIFF specification."""


@pytest.mark.parametrize("turned", range(1, 9))
def test_images_are_turned_as_their_header_says(turned: int, tmp_path: Path) -> None:
    images = stack()
    first_row, first_column = SIDES[turned - 1].split()
    rows, columns = images.shape[1:]
    meant = np.empty((25, columns, rows) if first_row in ("left", "right") else images.shape, images.dtype)
    for row in range(rows):
        for column in range(columns):
            seen = {
                "top": ("row", row if first_row == "top" else column),
                "bottom": ("row", -1 - (row if first_row == "bottom" else column)),
                "left": ("column", row if first_row == "left" else column),
                "right": ("column", -1 - (row if first_row == "right" else column)),
            }
            place = dict(seen[side] for side in (first_row, first_column))
            meant[:, place["row"], place["column"]] = images[:, row, column]
    pages = [Image.fromarray(image) for image in images]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], tiffinfo={274: turned})
    found = read(tmp_path / "a.tif")
    assert is_same(found, meant)
    assert ("turned as their header says" in said(found)) == (turned != 1)


def test_images_that_are_turned_in_several_ways(tmp_path: Path) -> None:
    plain(tmp_path / "a.tif", stack(), extratags=[(274, "H", 1, 3, True)])  # the first page only
    with pytest.raises(DataError, match="turned otherwise than"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", ["tiff_lzw", "zstd", "lzma"])
def test_even_images_that_shrink_to_nothing(compression: str, tmp_path: Path) -> None:
    """A dark image of zeros is sound, however few bytes it takes."""
    images = np.zeros((2, 1500, 1500), np.uint16)
    images[1] = np.arange(1500)
    pages = [Image.fromarray(image) for image in images]
    path = tmp_path / "a.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:], compression=compression, strip_size=10**7)
    two = WHOLE.replace(array=WHOLE.array.replace(rows=1, columns=2))
    assert is_same(read(path, two), images)


@pytest.mark.parametrize("kind", ["png", "tif", "white.tif", "stack", "white stack"])
def test_images_of_one_bit(kind: str, tmp_path: Path) -> None:
    images = stack() > 100
    if kind.endswith("stack"):
        stored, photometric = (~images, "miniswhite") if "white" in kind else (images, "minisblack")
        path = plain(tmp_path / "a.tif", stored, photometric=photometric)
    else:
        path = tmp_path
        for n, image in enumerate(images):
            if kind == "white.tif":
                plain(path / f"{n}.tif", ~image, photometric="miniswhite")
            else:
                Image.fromarray(image).save(path / f"{n}.{kind}")
    assert is_same(read(path), images.astype(np.uint8))


@pytest.mark.parametrize(("count", "order"), [(3, (0, 1, 2)), (4, (0, 1, 2)), (3, (1, 2, 0))])
def test_images_saved_as_colours(count: int, order: tuple[int, ...], tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", stack(count=count).transpose(order), photometric="rgb")
    geometry = WHOLE.replace(array=WHOLE.array.replace(rows=1, columns=count))
    with pytest.raises(DataError, match=f"{count} images of LEDs seem to have been saved as colours") as caught:
        read(tmp_path / "a.tif", geometry)
    assert 'photometric="minisblack"' in str(caught.value.hint)
