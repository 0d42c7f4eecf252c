"""Objects to learn from, cut from images and from reconstructions. NumPy only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import TrainingSet
from ptychoui.data.files import sha256_file
from ptychoui.errors import DataError
from ptychoui.optics.objects import ABSORPTION, PHASE_RAD, ComplexArray, phase_objects, training_set
from ptychoui.words import counted

IMAGES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")
SMALLEST_IMAGE_PX = 16


def objects_from_images(
    folder: str | Path,
    pixel_size_um: float,
    object_px: int,
    per_source: int,
    seed: int,
    phase_rad: float = PHASE_RAD,
    absorption: float = ABSORPTION,
) -> TrainingSet:
    """Complex objects from a folder of images (or one image): every file is one source.

    Files are read in natural order; colour becomes luminance, of a TIFF with several pages the first counts. Two files
    with the same content are one source, because a copy in the other half of a split would be no test.

    Parameters
    ----------
    folder
        A folder of PNG, TIFF, JPEG or BMP files, or one such file.
    pixel_size_um
        Object pixel that is given to the crops, um; an ordinary image has none of its own.
    object_px
        Edge of each object in pixels.
    per_source
        Objects from each image.

    Raises
    ------
    DataError
        If there is no image, or one cannot be read, is smaller than 16 pixels or has no contrast.
    """
    folder = Path(folder)
    files: list[Path] = []
    digests: list[str] = []
    copies: list[str] = []
    for file in _image_files(folder):
        digest = sha256_file(file)
        if digest in digests:
            copies.append(f"{file.name} is a copy of {files[digests.index(digest)].name} and was left out")
        else:
            files.append(file)
            digests.append(digest)
    rng = np.random.default_rng(seed)
    objects: list[ComplexArray] = []
    for file in files:
        objects += phase_objects(rng, _grey_image(file), object_px, per_source, phase_rad, absorption)
    return training_set(
        objects,
        np.repeat(np.arange(len(files)), per_source),
        pixel_size_um,
        tuple(file.name for file in files),
        source=str(folder),
        layout=f"{counted(len(files), 'image')} as phase objects, seed {seed}",
        notes=tuple(copies),
    )


def _image_files(folder: Path) -> list[Path]:
    from ptychoui.data.formats.folder import natural_key

    if folder.is_file():
        return [folder]
    try:
        found = [f for f in folder.iterdir() if f.suffix.lower() in IMAGES and f.name[0] != "." and f.is_file()]
    except OSError as error:
        raise DataError(f"cannot read the folder {str(folder)!r}: {error.strerror}", "check the path") from None
    if not found:
        raise DataError(
            f"the folder {folder.name!r} holds no images", f"images end in {', '.join(ending[1:] for ending in IMAGES)}"
        )
    return sorted(found, key=natural_key)


def _grey_image(path: Path) -> NDArray[np.float64]:
    """An image as (row, column) in [0, 1], stretched to its own darkest and brightest pixel."""
    from PIL import Image

    from ptychoui.data.formats.common import parsing

    with parsing(path, "image"):
        if path.suffix.lower() in (".tif", ".tiff"):
            import tifffile

            image = np.asarray(tifffile.imread(path, key=0))
        else:
            with Image.open(path) as opened:
                # Modes of grey images, 8, 16 and 32 bits; all others as colours, without transparency.
                image = np.asarray(
                    opened if opened.mode in ("1", "L", "I", "I;16", "I;16B", "I;16L", "F") else opened.convert("RGB")
                )
    if image.ndim == 3 and image.shape[-1] in (3, 4):
        image = image[..., :3] @ np.array([0.2125, 0.7154, 0.0721])
    if image.ndim != 2 or image.dtype.kind not in "buif" or min(image.shape) < SMALLEST_IMAGE_PX:
        raise DataError(
            f"{path.name} is an array of {image.dtype} with the shape {image.shape}, not an image of "
            f"{SMALLEST_IMAGE_PX} pixels or more",
            "remove it from the folder, or save it as a grey or colour image",
        )
    grey = image.astype(np.float64)
    low, high = grey.min(), grey.max()
    if not (np.isfinite(low) and np.isfinite(high) and high > low):
        raise DataError(f"{path.name} has no contrast, or pixels that are no numbers", "remove it from the folder")
    return np.asarray((grey - low) / (high - low))


def objects_from_reconstruction(
    field: ComplexArray,
    pixel_size_um: float,
    object_px: int,
    name: str,
    margin_px: int = 0,
    regions: int = 1,
    guard_px: int = 8,
) -> TrainingSet:
    """Cut a reconstructed field into objects that share no pixel.

    The margin, where a reconstruction is least certain, is dropped. Scale and global phase, which no reconstruction
    knows, are removed: the median amplitude becomes 1 and the phase of the mean 0.

    Parameters
    ----------
    field
        (row, column) complex object.
    pixel_size_um
        Its pixel at the sample, um.
    object_px
        Edge of each object in pixels.
    name
        Name of the source, for example that of the stack.
    margin_px
        Pixels dropped at every side.
    regions
        1: the field is one source. More: it is cut into so many vertical bands, each a source of its own, with
        ``guard_px`` dropped between them. Neighbouring regions of one sample are still related: prefer more stacks.

    Raises
    ------
    DataError
        If a region cannot hold one object.
    """
    field = np.asarray(field)
    if field.ndim != 2 or not np.iscomplexobj(field):
        raise DataError(f"a reconstructed field is complex with the axes row, column; got {field.dtype} {field.shape}")
    if regions < 1 or margin_px < 0 or guard_px < 0:
        raise DataError(
            f"{regions} regions, a margin of {margin_px} and a guard band of {guard_px} pixels cannot be",
            "regions start at 1; margin and guard band at 0 pixels",
        )
    rows, columns = field.shape[0] - 2 * margin_px, field.shape[1] - 2 * margin_px
    width = (columns - (regions - 1) * guard_px) // regions
    if min(rows, width) < object_px:
        raise DataError(
            f"{name}: a field of {field.shape[0]} x {field.shape[1]} pixels less a margin of {margin_px} has no room "
            f"for {regions} region(s) with an object of {object_px} pixels",
            f"use objects of at most {max(min(rows, width), 0)} pixels, a smaller margin or fewer regions",
        )
    objects, numbers = [], []
    for region in range(regions):
        first = margin_px + region * (width + guard_px)
        for row in _places(margin_px, rows, object_px):
            for column in _places(first, width, object_px):
                objects.append(_normalised(field[row : row + object_px, column : column + object_px]))
                numbers.append(region)
    names = (name,) if regions == 1 else tuple(f"{name}, region {region + 1}" for region in range(regions))
    return training_set(
        objects,
        np.array(numbers),
        pixel_size_um,
        names,
        source=name,
        layout="tiles of a reconstruction",
        notes=("scale and global phase of each object removed: no reconstruction knows them",),
    )


def _places(first: int, length: int, edge: int) -> list[int]:
    """Starts of as many pieces as fit side by side, spread evenly."""
    count = length // edge
    spare = length - count * edge
    return [first + place * edge + spare * (2 * place + 1) // (2 * count) for place in range(count)]


def _normalised(part: ComplexArray) -> ComplexArray:
    scale, mean = float(np.median(np.abs(part))), complex(part.mean())
    if not scale > 0:
        raise DataError("a tile of the reconstruction is dark", "cut the field so that it holds the sample only")
    return np.asarray(part / scale * np.exp(-1j * np.angle(mean)), dtype=np.complex64)
