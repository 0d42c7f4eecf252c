"""What ``ptychoui objects`` does: objects from whatever a person names, in one training set."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from PIL import Image

from ptychoui.data.dataset import ImageStack, Provenance, TrainingSet
from ptychoui.data.formats.folder import image_files
from ptychoui.data.formats.geometry_file import GivenGeometry, PartialGeometry, build, missing_of
from ptychoui.data.formats.imaged import is_imaged
from ptychoui.data.formats.open import open_dataset
from ptychoui.data.formats.waller_folder import setup_script
from ptychoui.data.results import StoredReconstruction, is_reconstruction, load_reconstruction
from ptychoui.errors import DataError, GeometryError
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.object_cuts import IMAGES, objects_from_images, objects_from_reconstruction
from ptychoui.optics.objects import combine, training_objects
from ptychoui.optics.reconstruction.stack_grids import object_upsampling, stack_sampling
from ptychoui.settings import Geometry
from ptychoui.words import counted
from ptychoui.workflows.crop import CropRegion, central_window

SIMULATION = "simulation"
_Opened = TrainingSet | ImageStack | StoredReconstruction
PIXEL_UM = 0.6
OBJECT_PX = 160
PER_SOURCE = 2
MARGIN_PX = 4
"""Border of a reconstructed field, in camera pixels, that is not used: light comes in from outside it."""
GUARD_PX = 8
"""Width of the band between regions of one field, in camera pixels."""
NUMBERS = re.compile(r"[-+]?[0-9]+(\.[0-9]+(?=\D))?")
"""What differs between the names of numbered images."""
PICTURES = tuple(ending for ending in IMAGES if ending not in (".tif", ".tiff"))


def collect_objects(
    sources: list[str],
    pixel_size_um: float | None = None,
    object_px: int | None = None,
    per_source: int = PER_SOURCE,
    seed: int = 0,
    geometry: GivenGeometry = None,
    regions: int = 1,
) -> TrainingSet:
    """Make one training set of several sources, see `combine`.

    Parameters
    ----------
    sources
        Each one of: ``simulation`` (images that come with scikit-image); a folder of images, or one image; a file
        with a training set; a reconstruction, which is cut into tiles, one source per field; an LED stack, which is
        reconstructed first.
    pixel_size_um
        Pixel of the objects, um. Left out: the largest that a training set or stack among the sources has, else 0.6.
    object_px
        Edge of the objects in pixels. Left out: 160, or less where a training set or stack has less.
    per_source
        Objects cut from each image.
    geometry
        Of stacks that carry none, and, where it is whole, of the set that is made. With it a folder of numbered grey
        images of one size is a stack, and has to have as many as LEDs.
    regions
        Sources that a stack becomes: vertical bands of its field, with a band of `GUARD_PX` between them.

    Raises
    ------
    PtychouiError
        If a source cannot be read, or is too small.
    """
    opened: dict[int, _Opened] = {}
    for place, source in enumerate(sources):
        if source != SIMULATION and not _is_pictures(Path(source), geometry):
            is_result = is_reconstruction(source)
            opened[place] = load_reconstruction(source) if is_result else open_dataset(source, geometry)
    if regions > 1 and not any(not isinstance(dataset, TrainingSet) for dataset in opened.values()):
        raise DataError(
            f"there is no field to divide into {regions} regions: none of the sources is a stack of LED images or a "
            "reconstruction",
            "leave --regions out, or give the geometry of a folder of LED images with --geometry",
        )
    pixels = [_object_pixel(dataset, sources[place]) for place, dataset in opened.items()]
    pixel = pixel_size_um or max(pixels, default=PIXEL_UM)
    spans = [_largest_px(dataset, regions) * own / pixel for dataset, own in zip(opened.values(), pixels, strict=True)]
    edge = object_px or min([OBJECT_PX, *(int(span + 1e-6) for span in spans)])
    sets = []
    for place, source in enumerate(sources):
        if place in opened:
            dataset = opened[place]
            if isinstance(dataset, StoredReconstruction):
                sets.append(_of_reconstruction(dataset, source, pixel, edge, regions))
            elif isinstance(dataset, ImageStack):
                sets.append(_of_stack(dataset, source, pixel, edge, regions))
            else:
                sets.append(dataset)
        elif source == SIMULATION:
            sets.append(training_objects(pixel, edge, per_source, seed))
        else:
            # Another place among the sources is another seed: the same image twice gives other crops.
            sets.append(objects_from_images(source, pixel, edge, per_source, seed + place))
    found = combine(sets, pixel, edge)
    whole = _whole(geometry)
    return found if whole is None else replace(found, geometry=whole)


def _is_pictures(path: Path, geometry: GivenGeometry) -> bool:
    """Whether a path is a folder of images or one image; a folder that describes its LEDs is an LED stack."""
    if not path.is_dir():
        return path.suffix.lower() in PICTURES
    if (path / "geometry.toml").is_file() or is_imaged(path) or setup_script(path):
        return False
    return geometry is None or not _is_led_frames(path, geometry)


def _whole(geometry: GivenGeometry) -> Geometry | None:
    """A geometry that is whole, or that of a partial one that lacks nothing."""
    if not isinstance(geometry, PartialGeometry):
        return geometry
    values = (geometry.leds.settings(geometry.values) if geometry.leds else {}) | geometry.values
    return None if missing_of(values) else build(values)


def _is_led_frames(folder: Path, geometry: Geometry | PartialGeometry) -> bool:
    """Whether a folder holds one grey image for each LED of a geometry: numbered alike, of one size.

    Raises
    ------
    DataError
        If it holds another number of such images: a stack of another array, or none.
    """
    try:
        files, _ = image_files(folder)
        sizes = {_grey_size(file) for file in files}
    except (DataError, OSError):
        return False  # what else there is
    others = [f for f in folder.iterdir() if f.suffix.lower() in (".jpg", ".jpeg", ".bmp")]
    alike = len({NUMBERS.sub("#", file.name.lower()) for file in files}) == 1
    if others or len(sizes) != 1 or None in sizes or not alike or len(files) < 2:
        return False
    whole = _whole(geometry)
    leds = len(files) if whole is None else len(whole.array.numbers())
    if leds != len(files):
        raise DataError(
            f"{folder.name} holds {counted(len(files), 'numbered image')} of one size, the geometry has "
            f"{counted(leds, 'LED')}: no stack of that array",
            "list the LEDs of the images as array.led_numbers in the geometry; to take every image as an object of its "
            "own, make a set of them without --geometry",
        )
    return True


def _grey_size(file: Path) -> tuple[int, int] | None:
    """Width and height of a grey image by its header; None for a colour image and for several pages."""
    with Image.open(file) as opened:
        grey = opened.mode in ("1", "L", "I", "I;16", "I;16B", "I;16L", "F")
        return opened.size if grey and getattr(opened, "n_frames", 1) == 1 else None


def _object_pixel(stack: _Opened, source: str) -> float:
    if isinstance(stack, TrainingSet):
        return stack.pixel_size_um
    if isinstance(stack, StoredReconstruction):
        return stack.object_pixel_um
    return _geometry_of(stack, source).microscope.pixel_size_um / _upsampling(stack, source)


def _window(stack: ImageStack) -> CropRegion:
    """The largest square in the middle of the images."""
    return central_window(stack.images.shape[1:], min(stack.images.shape[1:]))


def _upsampling(stack: ImageStack, source: str) -> int:
    """Object pixels per camera pixel of a stack's reconstruction."""
    geometry = _geometry_of(stack, source)
    grids = stack_sampling(geometry.microscope, led_array(geometry.array), _window(stack).size_px)
    return object_upsampling(grids)


def _largest_px(stack: _Opened, regions: int) -> int:
    """Edge of the largest object in each region of a field, or of a set's objects, in pixels of the object."""
    if isinstance(stack, TrainingSet):
        return int(stack.objects.shape[-1])
    if isinstance(stack, StoredReconstruction):
        margin, guard = _borders_px(stack)
        rows, columns = (edge - 2 * margin for edge in stack.object.shape)
        return int(max(1, min(rows, (columns - (regions - 1) * guard) // regions)))
    width = (_window(stack).size_px - 2 * MARGIN_PX - (regions - 1) * GUARD_PX) // regions
    return max(1, width * _upsampling(stack, ""))


def _borders_px(result: StoredReconstruction) -> tuple[int, int]:
    """Margin and guard band in pixels of the object."""
    finer = result.geometry.microscope.pixel_size_um / result.object_pixel_um
    return round(MARGIN_PX * finer), round(GUARD_PX * finer)


def _of_reconstruction(
    result: StoredReconstruction, source: str, pixel_size_um: float, edge: int, regions: int
) -> TrainingSet:
    margin, guard = _borders_px(result)
    found = objects_from_reconstruction(
        result.object,
        result.object_pixel_um,
        round(edge * pixel_size_um / result.object_pixel_um + 0.499),
        Path(source).name,
        margin_px=margin,
        regions=regions,
        guard_px=guard,
    )
    images = counted(result.residual.shape[1], "image")
    note = f"reconstructed from {images}, amplitude residual {result.amplitude_residual:.4f}"
    record = replace(found.provenance, source=source, notes=(note, *found.provenance.notes))
    return replace(found, geometry=result.geometry, provenance=record)


def _geometry_of(stack: ImageStack, source: str) -> Geometry:
    if stack.geometry is None:
        raise GeometryError(
            f"{source} carries no geometry", "give a TOML file with [microscope] and [array] (--geometry)"
        )
    return stack.geometry


def _of_stack(stack: ImageStack, source: str, pixel_size_um: float, edge: int, regions: int) -> TrainingSet:
    """Reconstruct a stack and cut it; the tiles are so large that ``edge`` pixels of the wanted size remain."""
    from ptychoui.workflows.explained_stack import explain_stack

    geometry = _geometry_of(stack, source)
    result = explain_stack(stack, _window(stack))
    own_pixel_um = geometry.microscope.pixel_size_um / result.upsampling
    found = objects_from_reconstruction(
        result.object,
        own_pixel_um,
        round(edge * pixel_size_um / own_pixel_um + 0.499),
        Path(source).name,
        margin_px=MARGIN_PX * result.upsampling,
        regions=regions,
        guard_px=GUARD_PX * result.upsampling,
    )
    note = (
        f"reconstructed from {counted(len(result.leds), 'image')}, amplitude residual {result.amplitude_residual:.4f}, "
        f"{result.fitted_residual:.4f} with brightness and stray light fitted"
    )
    record = Provenance(
        source=source,
        layout=f"reconstruction of {stack.provenance.layout}",
        sha256=found.provenance.sha256,
        notes=(*stack.provenance.notes, note, *result.warnings, *found.provenance.notes),
    )
    return replace(found, geometry=geometry, provenance=record)
