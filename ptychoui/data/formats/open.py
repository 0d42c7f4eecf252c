"""Open a dataset of any known layout; the content decides which reader is used, not the file's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py

from ptychoui.data.dataset import ImageStack, TrainingSet
from ptychoui.data.formats.common import parsing
from ptychoui.data.formats.folder import read_folder
from ptychoui.data.formats.fpm_torch import is_fpm_torch, read_fpm_torch
from ptychoui.data.formats.geometry_file import GivenGeometry, read_geometry
from ptychoui.data.formats.imaged import is_imaged, read_imaged
from ptychoui.data.formats.leb_epfl import read_tiff_with_metadata
from ptychoui.data.formats.led_table import is_led_csv, is_led_json, led_table_of, load_json, read_led_table
from ptychoui.data.formats.matlab import open_mat
from ptychoui.data.formats.matlab_directions import find_direction_layout, read_direction_stack
from ptychoui.data.formats.matlab_stack import image_name, read_matlab_stack
from ptychoui.data.formats.matlab_training import read_matlab_training
from ptychoui.data.formats.micro_manager import metadata_beside
from ptychoui.data.formats.native import is_native, read_native
from ptychoui.data.formats.open_kspace import is_kspace
from ptychoui.data.formats.ptylab import is_ptylab, read_aidukas, read_ptylab, sections
from ptychoui.data.formats.refusals import refused_file, refused_hdf5, refused_image
from ptychoui.data.formats.tiff import read_tiff_stack
from ptychoui.data.formats.waller_folder import read_waller_folder, setup_script
from ptychoui.data.kspace_results import is_kspace_reconstruction
from ptychoui.data.results import is_reconstruction
from ptychoui.errors import DataError, LedTableError
from ptychoui.text import text_of

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
LAYOUTS = (
    "a folder of TIFF or PNG files, a multi-page TIFF, MATLAB .mat files and HDF5 files of Fourier ptychography, "
    "a folder of the program imaged, an FPM Torch configuration or ptychoui's own HDF5"
)
LARGEST_JSON = 2**26


def open_dataset(path: str | Path, geometry: GivenGeometry | str | Path = None) -> ImageStack | TrainingSet:
    """Read an LED stack or a training set from a file or folder.

    Parameters
    ----------
    path
        A file or folder of one of the layouts in the readers' docstrings; of a file with several tiles, channels or
        stacks one is chosen by PATH::NAME.
    geometry
        Microscope and array, or only some of their settings, or a file of them; it wins over a geometry file beside
        the data, which wins over the data file.

    Returns
    -------
    ImageStack
        (LED, row, column) float32 intensities, divided by ``unit_counts``: the 99th percentile of the image
        with the highest mean.
    TrainingSet
        (object, row, column) complex64 transmissions with their pixel size in um.

    What was read from where is in ``provenance.facts``, conflicts and warnings are sentences in ``provenance.notes``.

    Raises
    ------
    NoGeometryError
        If settings are missing; it carries their names and what could be read.
    DataError
        If the file is missing, damaged or of an unknown layout, or does not fit its geometry; the hint says
        what to do. Files that can carry programs (pickles and archives of them) are refused unread.
    """
    if isinstance(geometry, str | Path):
        geometry = read_geometry(geometry, for_data=True)
    path, part = _part(Path(path))
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError) as error:
        raise DataError(f"{str(path)[:80]!r} is not a file name: {error}", "check the path") from None
    if is_kspace(path):
        raise DataError(
            f"{path.name} holds multi-channel k-space, not an LED stack or a training set",
            "ptychoui info says what is in it, ptychoui reconstruct makes images of it",
        )
    if is_folder:
        with parsing(path, "folder of images"):
            return _open_folder(path, geometry, part)
    if "\0" in str(path):
        raise DataError(f"{str(path)!r} is no file name", "file names have no zero bytes")
    start = _start(path)
    if refused := refused_image(path, start):
        raise DataError(*refused)
    if start[:4] in TIFF_MAGIC:
        _no_parts(path, part)
        metadata = metadata_beside(path)
        with parsing(path, "TIFF file"):
            return read_tiff_with_metadata(path, metadata, geometry) if metadata else read_tiff_stack(path, geometry)
    is_matlab = start.startswith(b"MATLAB ") and b" MAT-file" in start
    if is_matlab:
        with parsing(path, "MATLAB file"):
            return _open_matlab(path, geometry, part)
    if start.startswith(HDF5_MAGIC):
        return _open_hdf5(path, geometry, part)
    if is_led_csv(start) or path.suffix.lower() in (".csv", ".tsv"):
        with parsing(path, "table of LEDs"):
            leds, said = read_led_table(path)
            raise _table_error(path, "; ".join([said, *leds.notes]), len(leds))
    if (text := text_of(start)) is not None and text[0].lstrip()[:1] in ("{", "["):
        with parsing(path, "JSON file"):
            return _open_json(path, geometry)
    raise DataError(*(refused_file(path, start) or (f"{path.name} is of an unknown kind", f"ptychoui reads {LAYOUTS}")))


def _open_folder(path: Path, geometry: GivenGeometry, part: str | None) -> ImageStack:
    if is_imaged(path):
        return read_imaged(path, geometry, part)
    _no_parts(path, part)
    return read_waller_folder(path, geometry) if setup_script(path) else read_folder(path, geometry)


def _open_matlab(path: Path, geometry: GivenGeometry, part: str | None) -> ImageStack | TrainingSet:
    if h5py.is_hdf5(path):
        with parsing(path, "HDF5 file"), h5py.File(path, "r") as file:
            has_ptychogram = is_ptylab(file)
        if has_ptychogram:
            return read_ptylab(path, geometry, part)
    mat = open_mat(path)
    if "truth" in mat and image_name(mat) is None:
        _no_parts(path, part)
        return read_matlab_training(mat, geometry)
    found = find_direction_layout(mat)
    return read_direction_stack(*found, geometry, part) if found else read_matlab_stack(mat, geometry, part)


def _open_hdf5(path: Path, geometry: GivenGeometry, part: str | None) -> ImageStack | TrainingSet:
    if is_native(path):
        _no_parts(path, part)
        return read_native(path, geometry)
    with parsing(path, "HDF5 file"), h5py.File(path, "r") as file:
        tiles, flat, refused = sections(file), is_ptylab(file), refused_hdf5(file)
    if is_reconstruction(path):
        raise DataError(
            f"{path.name} is a reconstruction, not a stack or a training set",
            "make objects of it: ptychoui objects RESULT.h5 -o OBJECTS.h5",
        )
    if is_kspace_reconstruction(path):
        raise DataError(
            f"{path.name} is a reconstruction of k-space, not a stack or a training set",
            "ptychoui info says what is in it",
        )
    if tiles:
        return read_aidukas(path, geometry, part)
    if flat:
        return read_ptylab(path, geometry, part)
    _no_parts(path, part)
    convert = "export its images as TIFF and describe the microscope in a geometry.toml beside them"
    if refused:
        raise DataError(f"{path.name} is {refused}, not read", convert)
    raise DataError(
        f"{path.name} is an HDF5 file of an unknown layout: it does not say format = 'ptychoui dataset' "
        "and has no ptychogram",
        convert,
    )


def _open_json(path: Path, geometry: GivenGeometry) -> ImageStack:
    if path.stat().st_size > LARGEST_JSON:
        raise DataError(f"{path.name} is a JSON file above 64 MiB: not read", f"ptychoui reads {LAYOUTS}")
    values: Any = load_json(path.read_bytes(), path)
    if is_fpm_torch(values):
        return read_fpm_torch(path, values, geometry)
    if is_led_json(values):
        leds, said = led_table_of(values, path)
        raise _table_error(path, said, len(leds))
    if path.name == "info.json" and isinstance(values, dict) and "captures" in values:
        raise DataError(f"{path.name} belongs to a folder of the program imaged", "open that folder")
    raise DataError(f"{path.name} is JSON of an unknown layout", f"ptychoui reads {LAYOUTS}")


def _table_error(path: Path, said: str, leds: int) -> LedTableError:
    return LedTableError(
        f"{path.name} is a table of LED positions, not images: {said}",
        f'name it in a geometry file: [array] positions_file = "{path.name}"',
        said,
        leds,
    )


def _part(path: Path) -> tuple[Path, str | None]:
    """Split PATH::NAME, unless there is a file of that name."""
    name, mark, part = path.name.rpartition("::")
    if not mark or not name or not part:
        return path, None
    try:
        return (path, None) if path.exists() else (path.with_name(name), part)
    except (OSError, ValueError):
        return path, None


def _no_parts(path: Path, part: str | None) -> None:
    if part is not None:
        raise DataError(f"{path.name} has no parts, so there is no {part!r} in it", f"open {path.name} itself")


def _start(path: Path) -> bytes:
    """First bytes of a file, enough to know its kind."""
    try:
        with path.open("rb") as file:
            start = file.read(2048)
    except FileNotFoundError:
        raise DataError(f"there is no file or folder {str(path)!r}", "check the path") from None
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror}", "check its permissions") from None
    if not start:
        raise DataError(f"{path.name} is empty (0 bytes)", "copy the file again")
    return start
