"""From files as they are found to a phase: sign, orientation and scale against the object that made the images."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import tifffile

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.open import open_dataset
from ptychoui.optics.forward.simulate import single_led_images
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.microscope import Sampling
from ptychoui.optics.reconstruction.stack import reconstruct
from ptychoui.settings import Array, Geometry, Microscope, Reconstruct

SCOPE = Microscope(wavelength_um=0.5, objective_na=0.1, magnification=1, camera_pixel_um=1.2)
GEOMETRY = Geometry(microscope=SCOPE, array=Array(kind="lattice", rows=5, columns=5, pitch_mm=3, height_mm=60))
PHASE = 0.99
"""Phase of the object's large spot, in rad; a smaller one beside it has half of it and its sign turned."""


def thing() -> np.ndarray:
    """(96, 96) object with a spot at the upper right and a smaller one at the lower left of the middle."""
    row, column = np.meshgrid(np.arange(96), np.arange(96), indexing="ij")

    def spot(r: int, c: int, radius: int) -> np.ndarray:
        return np.exp(-((row - r) ** 2 + (column - c) ** 2) / (2 * radius**2))

    phase = PHASE * spot(40, 58, 6) - PHASE / 2 * spot(58, 44, 4)
    return ((1 - 0.2 * spot(36, 36, 5)) * np.exp(1j * phase)).astype(np.complex64)


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """(25, 32, 32) counts of 16 bits, in the order of the lattice; 60000 is about the open field."""
    grids = Sampling(tile_px=32, pad_px=0, pixel_size_um=1.2, oversampling=1, upsampling=Fraction(3))
    images = single_led_images(GEOMETRY, led_array(GEOMETRY.array), thing()[None], grids)[0]
    return np.round(images / images.max() * 60_000).astype(np.uint16)


def back_and_forth(folder: Path, counts: np.ndarray) -> Path:
    """Planes of odd rows are stored backwards, and the newest page first: the OME header says so."""
    planes = [5 * r + (4 - c if r % 2 else c) for r in range(5) for c in range(5)][::-1]
    tifffile.imwrite(folder / "a.ome.tif", counts[planes], ome=True, metadata={"axes": "TYX"}, photometric="minisblack")
    with tifffile.TiffFile(folder / "a.ome.tif") as tiff:
        header = str(tiff.ome_metadata)
    data = "".join(f'<TiffData FirstT="{t}" IFD="{page}" PlaneCount="1"/>' for page, t in enumerate(planes))
    tifffile.tiffcomment(folder / "a.ome.tif", re.sub(r"<TiffData.*?(/>|</TiffData>)", data, header).encode())
    return folder / "a.ome.tif"


def white_is_zero(folder: Path, counts: np.ndarray) -> Path:
    tifffile.imwrite(folder / "a.tif", 65535 - counts, photometric="miniswhite")
    return folder / "a.tif"


def by_column_and_row(folder: Path, counts: np.ndarray) -> Path:
    for led, image in enumerate(counts):
        tifffile.imwrite(folder / f"image_x_{led % 5}_y_{led // 5}.tif", image)
    return folder


def by_coordinates(folder: Path, counts: np.ndarray) -> Path:
    """Steps from the LED on the axis, +x to the right and +y up."""
    for led, image in enumerate(counts):
        tifffile.imwrite(folder / f"x{led % 5 - 2}_y{2 - led // 5}.tif", image)
    return folder


def by_bits(folder: Path, counts: np.ndarray) -> Path:
    for led, image in enumerate(counts):
        tifffile.imwrite(folder / f"{'0' * led}1{'0' * (24 - led)}.tif", image)
    return folder


@pytest.mark.parametrize(
    "write",
    [back_and_forth, white_is_zero, by_column_and_row, by_coordinates, by_bits],
    ids=lambda write: write.__name__,
)
def test_the_phase_is_that_of_the_object(
    write: Callable[[Path, np.ndarray], Path], counts: np.ndarray, tmp_path: Path
) -> None:
    found = open_dataset(write(tmp_path, counts), GEOMETRY)
    assert isinstance(found, ImageStack)
    result = reconstruct(
        GEOMETRY, found.images, Reconstruct(passes=12, pupil="fixed", gain=False, background=False, pad_px=0)
    )
    size = result.object.shape[0]
    zoom = size // 32
    true = thing().reshape(32, 3, 32, 3)
    # Both on the camera's pixels, the constant phase taken out.
    mine = result.object.reshape(32, zoom, 32, zoom).mean((1, 3))
    truth = true.mean((1, 3))
    mine = mine * np.exp(-1j * np.angle(np.vdot(truth, mine)))
    scale = np.abs(mine).mean() / np.abs(truth).mean()
    error = np.linalg.norm(mine / scale - truth) / np.linalg.norm(truth - truth.mean())
    assert error < 0.1
    assert np.angle(mine[13, 19] / mine[2, 2]) == pytest.approx(np.angle(truth[13, 19] / truth[2, 2]), abs=0.05)
    assert result.fitted_residual < 1e-3
