"""Objects to learn from: cut from images, from reconstructions and from other sets, brought into one set. NumPy only.

A *source* is what objects of the same origin share: one image, one field of a microscope. Objects of one source look
alike, so sets are only ever split by source (`ptychoui.data.dataset.split_sources`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import Provenance, TrainingSet, array_sha256
from ptychoui.data.files import sha256_file
from ptychoui.errors import DataError
from ptychoui.words import counted

ComplexArray = NDArray[np.complex64]
PHASE_RAD = 1.5
ABSORPTION = 0.25
IMAGES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")
SMALLEST_IMAGE_PX = 16

SOURCES = (
    "cell",
    "ihc",
    "retina",
    "coins",
    "moon",
    "hubble",
    "gravel",
    "grass",
    "brick",
    "camera",
    "clock",
    "blobs",
)
"""Images that scikit-image ships, and one it draws; ``cell`` is a measured quantitative phase image."""


def source_image(name: str) -> NDArray[np.float64]:
    """One source as a grey image in [0, 1]."""
    from skimage import color, data, exposure

    loaders = {
        "ihc": "immunohistochemistry",
        "hubble": "hubble_deep_field",
        "clock": "clock",
    }
    if name == "blobs":
        image = data.binary_blobs(length=384, blob_size_fraction=0.05, volume_fraction=0.4, rng=7).astype(float)
    else:
        image = getattr(data, loaders.get(name, name))()
    if image.ndim == 3:
        image = color.rgb2gray(image)
    return np.asarray(exposure.rescale_intensity(image.astype(float), out_range=(0.0, 1.0)))


def training_objects(
    pixel_size_um: float,
    object_px: int,
    per_source: int,
    seed: int,
    phase_rad: float = PHASE_RAD,
    absorption: float = ABSORPTION,
    sources: tuple[str, ...] = SOURCES,
) -> TrainingSet:
    """Complex objects cut from the sources: phase from the image, absorption from another place of it.

    Crops are taken at random places, scales, turns and flips and stretched to the same contrast: phase spans
    ``phase_rad`` radians (2 % to 98 % of the pixels) and amplitude falls to 1 - ``absorption``.

    Parameters
    ----------
    pixel_size_um
        Object pixel in um.
    object_px
        Edge of each object in pixels.
    per_source
        Objects from each source.
    """
    rng = np.random.default_rng(seed)
    objects, numbers = [], []
    for number, name in enumerate(sources):
        objects += phase_objects(rng, source_image(name), object_px, per_source, phase_rad, absorption)
        numbers += [number] * per_source
    array = np.stack(objects)
    return TrainingSet(
        objects=array,
        sources=np.array(numbers),
        pixel_size_um=pixel_size_um,
        source_names=sources,
        provenance=Provenance(
            source=f"simulated, seed {seed}",
            layout="simulation",
            sha256=array_sha256(array),
            notes=("images that scikit-image ships; cell is a measured quantitative phase image",),
        ),
    )


def phase_objects(
    rng: np.random.Generator,
    image: NDArray[np.float64],
    object_px: int,
    count: int,
    phase_rad: float = PHASE_RAD,
    absorption: float = ABSORPTION,
) -> list[ComplexArray]:
    """Cut ``count`` complex objects of ``object_px`` pixels from a grey image, phase and absorption from two places.

    o = (1 - absorption a) exp(i phase_rad (p - 1/2)), where a and p are crops stretched so that 2 % to 98 % of their
    pixels span 0 to 1.
    """
    from skimage.transform import resize

    def crop() -> NDArray[np.float64]:
        edge = int(min(object_px * rng.uniform(0.8, 1.6), *image.shape))
        row = int(rng.integers(0, image.shape[0] - edge + 1))
        column = int(rng.integers(0, image.shape[1] - edge + 1))
        part = resize(image[row : row + edge, column : column + edge], (object_px, object_px), anti_aliasing=True)
        low, high = np.quantile(part, (0.02, 0.98))
        part = np.clip((part - low) / max(high - low, 1e-3), -0.2, 1.2)
        part = np.rot90(part, int(rng.integers(4)))
        return np.asarray(part[:, ::-1] if rng.integers(2) else part)

    objects = []
    for _ in range(count):
        phase = phase_rad * (crop() - 0.5)
        amplitude = 1 - absorption * crop()
        objects.append((amplitude * np.exp(1j * phase)).astype(np.complex64))
    return objects


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
    return _training_set(
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
    return _training_set(
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


def resampled(dataset: TrainingSet, pixel_size_um: float) -> TrainingSet:
    """Bring objects to another pixel size: real and imaginary part linearly, smoothed first where pixels grow.

    Pixel j of the result lies at ((j + 1/2) / ratio - 1/2) of the old ones, ratio = old pixel / new pixel: both grids
    start at the same edge and have exactly the pixels they state. A set of that pixel is returned as it is.
    """
    from scipy.ndimage import affine_transform, gaussian_filter

    ratio = dataset.pixel_size_um / pixel_size_um
    if abs(ratio - 1) < 1e-6:
        return dataset
    size = dataset.objects.shape[-1]
    edge = int(size * ratio + 1e-6)
    if edge < 1:
        raise DataError(
            f"objects of {size} pixels of {dataset.pixel_size_um:g} um vanish at {pixel_size_um:g} um",
            "use a smaller pixel",
        )
    sigma = max(0.0, (1 / ratio - 1) / 2)

    def bring(plane: NDArray[np.float32]) -> NDArray[np.float64]:
        smooth = gaussian_filter(plane.astype(np.float64), sigma) if sigma else plane.astype(np.float64)
        offset = (1 / ratio - 1) / 2
        found = affine_transform(
            smooth, (1 / ratio, 1 / ratio), (offset, offset), output_shape=(edge, edge), order=1, mode="nearest"
        )
        return np.asarray(found)

    objects = np.stack([bring(o.real) + 1j * bring(o.imag) for o in dataset.objects]).astype(np.complex64)
    return replace(dataset, objects=objects, pixel_size_um=pixel_size_um)


def combine(
    sets: Sequence[TrainingSet], pixel_size_um: float | None = None, object_px: int | None = None
) -> TrainingSet:
    """Make one set of several: one pixel size, one size, and every source a source of its own.

    Sources of the same name in two sets stay two, but for the images of `SOURCES`, which are always the same.

    Parameters
    ----------
    sets
        Sets to be combined, in this order.
    pixel_size_um
        Pixel of all objects, um; left out: the largest of the sets', so that no object pretends to detail it lacks.
    object_px
        Edge of all objects, cut from their middle; left out: the smallest of the sets'.

    Raises
    ------
    DataError
        If there is no set, or a set is too small for ``object_px``.
    """
    if not sets:
        raise DataError("there are no objects to combine", "give at least one source")
    pixel = pixel_size_um or max(dataset.pixel_size_um for dataset in sets)
    if not pixel > 0:
        raise DataError(f"a pixel of {pixel:g} um: it must be above 0 um")
    scaled = [resampled(dataset, pixel) for dataset in sets]
    smallest = min(dataset.objects.shape[-1] for dataset in scaled)
    edge = object_px or smallest
    if edge > smallest:
        tight = next(dataset for dataset in scaled if dataset.objects.shape[-1] < edge)
        raise DataError(
            f"objects of {tight.provenance.source} are {tight.objects.shape[-1]} pixels of {pixel:g} um wide, "
            f"{edge} are wanted",
            f"use at most {smallest} pixels, or a smaller pixel",
        )
    objects: list[ComplexArray] = []
    numbers: list[int] = []
    names: list[str] = []
    for dataset in scaled:
        first = (dataset.objects.shape[-1] - edge) // 2
        objects += list(dataset.objects[:, first : first + edge, first : first + edge])
        number_of = {}
        for number in np.unique(dataset.sources).tolist():
            name = _source_name(dataset, number)
            # The images that scikit-image ships are the same wherever they come from: no copy may test the other.
            if name not in SOURCES or name not in names:
                name = _distinct(name, names)
                names.append(name)
            number_of[number] = names.index(name)
        numbers += [number_of[number] for number in dataset.sources.tolist()]
    geometries = {dataset.geometry.model_dump_json() for dataset in sets if dataset.geometry is not None}
    known = [dataset.geometry for dataset in sets if dataset.geometry is not None]
    notes = [f"{dataset.provenance.source}: {note}" for dataset in sets for note in dataset.provenance.notes]
    notes += ["the sets have different geometries: none was kept"] if len(geometries) > 1 else []
    combined = _training_set(
        objects,
        np.array(numbers),
        pixel,
        tuple(names),
        source=", ".join(dataset.provenance.source for dataset in sets),
        layout="; ".join(dict.fromkeys(dataset.provenance.layout for dataset in sets)),
        notes=tuple(notes),
    )
    return replace(combined, geometry=known[0]) if len(geometries) == 1 else combined


def _source_name(dataset: TrainingSet, number: int) -> str:
    return dataset.source_names[number] if 0 <= number < len(dataset.source_names) else f"source {number}"


def _distinct(name: str, taken: Sequence[str]) -> str:
    """The name, with a number behind it where it is taken."""
    if name not in taken:
        return name
    count = 2
    while f"{name} ({count})" in taken:
        count += 1
    return f"{name} ({count})"


def _training_set(
    objects: Sequence[ComplexArray],
    sources: NDArray[np.int64],
    pixel_size_um: float,
    names: tuple[str, ...],
    *,
    source: str,
    layout: str,
    notes: tuple[str, ...],
) -> TrainingSet:
    array = np.stack(objects)
    return TrainingSet(
        objects=array,
        sources=sources,
        pixel_size_um=pixel_size_um,
        source_names=names,
        provenance=Provenance(source=source, layout=layout, sha256=array_sha256(array), notes=notes),
    )
