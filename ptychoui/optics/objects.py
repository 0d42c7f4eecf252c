"""Objects to learn from: made of images that are shipped, and sets brought into one. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import Provenance, TrainingSet, array_sha256
from ptychoui.errors import DataError

ComplexArray = NDArray[np.complex64]
PHASE_RAD = 1.5
ABSORPTION = 0.25

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
    """One source as a grey image (row, column) in [0, 1]."""
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

    ``image`` is (row, column) with values in 0 to 1; each object is (object_px, object_px), its phase in radians.
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


def resampled(dataset: TrainingSet, pixel_size_um: float) -> TrainingSet:
    """Bring objects to another pixel size: real and imaginary part linearly, smoothed first where pixels grow.

    Pixel j of the result lies at ((j + 1/2) / ratio - 1/2) of the old ones, ratio = old pixel / new pixel: both grids
    start at the same edge and have exactly the pixels they state. A set of that pixel is returned as it is.

    Raises
    ------
    DataError
        If less than one pixel would be left of an object.
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
    combined = training_set(
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


def training_set(
    objects: Sequence[ComplexArray],
    sources: NDArray[np.int64],
    pixel_size_um: float,
    names: tuple[str, ...],
    *,
    source: str,
    layout: str,
    notes: tuple[str, ...],
) -> TrainingSet:
    """A set of objects (row, column) of one size, with the place of each one's source among ``names``."""
    array = np.stack(objects)
    return TrainingSet(
        objects=array,
        sources=sources,
        pixel_size_um=pixel_size_um,
        source_names=names,
        provenance=Provenance(source=source, layout=layout, sha256=array_sha256(array), notes=notes),
    )
