"""Open a dataset of any known layout; the content decides which reader is used, not the file's name."""

from __future__ import annotations

from pathlib import Path

from ptychoui.data.dataset import ImageStack, TrainingSet
from ptychoui.data.formats.common import parsing
from ptychoui.data.formats.folder import read_folder
from ptychoui.data.formats.matlab import open_mat
from ptychoui.data.formats.matlab_stack import image_name, read_matlab_stack
from ptychoui.data.formats.matlab_training import read_matlab_training
from ptychoui.data.formats.native import is_native, read_native
from ptychoui.data.formats.tiff import read_tiff_stack
from ptychoui.errors import DataError
from ptychoui.experiment import Geometry

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
LAYOUTS = "a folder of TIFF or PNG files, a multi-page TIFF, a MATLAB .mat file or ptychoui's own HDF5"


def open_dataset(path: str | Path, geometry: Geometry | None = None) -> ImageStack | TrainingSet:
    """Read an LED stack or a training set from a file or folder.

    Parameters
    ----------
    path
        A folder of TIFF or PNG files, a multi-page TIFF or OME-TIFF, a MATLAB file (UConn stack or published
        training set, any version from 5 to 7.3), or an HDF5 file written by `save_hdf5`.
    geometry
        Microscope and array; wins over a geometry file beside the data, which wins over the data file.

    Returns
    -------
    ImageStack
        (LED, row, column) float32 intensities, divided by ``unit_counts``: the 99th percentile of the image
        with the highest mean.
    TrainingSet
        (object, row, column) complex64 transmissions with their pixel size in um.

    Conflicts and assumptions are sentences in ``provenance.notes``.

    Raises
    ------
    DataError
        If the file is missing, damaged or of an unknown layout, or does not fit its geometry; the hint says
        what to do. Files that can carry programs (pickles and archives of them) are refused unread.
    """
    path = Path(path)
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError) as error:
        raise DataError(f"{str(path)[:80]!r} is not a file name: {error}", "check the path") from None
    if is_folder:
        return read_folder(path, geometry)
    if "\0" in str(path):
        raise DataError(f"{str(path)!r} is no file name", "file names have no zero bytes")
    start = _start(path)
    if start[:4] in TIFF_MAGIC:
        return read_tiff_stack(path, geometry)
    is_matlab = start.startswith(b"MATLAB ") and b" MAT-file" in start
    if start.startswith(HDF5_MAGIC) and not is_matlab:
        if is_native(path):
            return read_native(path, geometry)
        raise DataError(
            f"{path.name} is an HDF5 file of an unknown layout: it does not say format = 'ptychoui dataset'",
            "export its images as TIFF and describe the microscope in a geometry.toml beside them",
        )
    if is_matlab:
        with parsing(path, "MATLAB file"):
            mat = open_mat(path)
            if "truth" in mat and image_name(mat) is None:
                return read_matlab_training(mat, geometry)
            return read_matlab_stack(mat, geometry)
    raise DataError(*_refusal(path, start))


def _start(path: Path) -> bytes:
    """First bytes of a file, enough to know its kind."""
    try:
        with path.open("rb") as file:
            start = file.read(128)
    except FileNotFoundError:
        raise DataError(f"there is no file or folder {str(path)!r}", "check the path") from None
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror}", "check its permissions") from None
    if not start:
        raise DataError(f"{path.name} is empty (0 bytes)", "copy the file again")
    return start


def _refusal(path: Path, start: bytes) -> tuple[str, str]:
    """Why a file is not read, and what to convert it to."""
    suffix = path.suffix.lower()
    convert = "convert the images to a multi-page TIFF with a geometry.toml beside it, or to ptychoui's HDF5"
    if start.startswith(b"\x93NUMPY") or suffix in (".npy", ".npz"):
        return (
            f"{path.name} is a NumPy file, which can hold pickled programs and no geometry: not read",
            convert,
        )
    if suffix in (".pt", ".pth", ".pkl", ".pickle") or (start[0] == 0x80 and start[1:2] in b"\x02\x03\x04\x05"):
        return f"{path.name} is a pickle, which can run programs when it is read: not read", convert
    if start.startswith(b"PK\x03\x04"):
        return f"{path.name} is a ZIP archive, which may hold pickles: not read", f"unpack it, then {convert}"
    if start.startswith(b"\x89PNG"):
        return f"{path.name} is a single PNG image", "open the folder that holds one image per LED"
    return f"{path.name} is of an unknown kind", f"ptychoui reads {LAYOUTS}"
