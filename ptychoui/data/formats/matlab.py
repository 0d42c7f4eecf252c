"""MATLAB files (5 to 7.2, and 7.3, which is HDF5) as named numeric arrays in MATLAB's axis order."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ptychoui.data.formats.common import parsing
from ptychoui.data.formats.hdf5 import numeric_dataset, read_array
from ptychoui.data.formats.mat5 import Variable, list_variables, read_variable
from ptychoui.errors import DataError

REFERENCES = "#refs#"
"""Group of a file of version 7.3 in which the matrices of its cell arrays lie."""
LARGEST_CELLS = 65536


@dataclass(frozen=True, slots=True)
class MatFile:
    """The numeric variables of a .mat file.

    Attributes
    ----------
    shapes
        Name -> shape in MATLAB's axis order.
    variables
        Where each variable lies in a file of version 5 to 7.2; None for 7.3.
    prefix
        What the names inside the file begin with, where this is the view of a structure.
    cells
        Name of a cell array in a file of version 7.3 to the names of its matrices, which are its last axis.
    unread
        What cell arrays and structures are that are not read, by name.

    A field F of a structure S has the name S.F.
    """

    path: Path
    shapes: dict[str, tuple[int, ...]]
    variables: dict[str, Variable] | None
    prefix: str = ""
    cells: dict[str, tuple[str, ...]] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.shapes

    def array(self, name: str) -> NDArray[Any]:
        """Read one variable, in MATLAB's axis order."""
        if name not in self.shapes:
            raise DataError(f"{self.path.name} lacks the variable {name!r}", f"it holds: {', '.join(self.shapes)}")
        with parsing(self.path, "MATLAB file"):
            if self.variables is not None:
                return read_variable(self.path, self.variables[self.prefix + name])
            with h5py.File(self.path, "r") as file:
                if found := self.cells.get(self.prefix + name):
                    return np.stack([read_array(file[REFERENCES], cell, self.path).T for cell in found], axis=-1)
                structure, _, field = (self.prefix + name).rpartition(".")
                return read_array(file[structure] if structure else file, field, self.path).T

    def is_cells(self, name: str) -> bool:
        """Whether a variable is a cell array, whose last axis counts its cells in MATLAB's order."""
        if self.variables is not None:
            return bool(self.variables[self.prefix + name].cells)
        return self.prefix + name in self.cells

    def inside(self, structure: str) -> MatFile:
        """The fields of a structure as a file of their own."""
        start = f"{structure}."
        shapes = {name.removeprefix(start): shape for name, shape in self.shapes.items() if name.startswith(start)}
        return replace(self, shapes=shapes, prefix=self.prefix + start)

    def structures(self) -> list[str]:
        """Names of the structures that hold numbers."""
        return sorted({name.partition(".")[0] for name in self.shapes if "." in name})

    def vector(self, name: str, count: int) -> NDArray[np.float64]:
        """Read a variable that holds ``count`` finite real numbers, in any direction."""
        value = self.array(name)
        if value.size != count or value.dtype.kind == "c":
            raise DataError(f"{self.path.name}: {name} has the shape {value.shape}, expected {count} real numbers")
        vector: NDArray[np.float64] = value.astype(np.float64).reshape(-1)
        if not np.isfinite(vector).all():
            raise DataError(f"{self.path.name}: {name} holds NaN or infinity", "correct it and save again")
        return vector

    def pairs(self, name: str) -> NDArray[np.float64]:
        """Read a variable of one pair of finite real numbers for each LED: (LED, 2)."""
        value = self.array(name)
        if value.ndim != 2 or value.shape[1] != 2 or value.dtype.kind == "c":
            raise DataError(f"{self.path.name}: {name} has the shape {value.shape}, expected (LEDs, 2) real numbers")
        found: NDArray[np.float64] = value.astype(np.float64)
        bad = ~np.isfinite(found).all(axis=1)
        if bad.any():
            raise DataError(
                f"{self.path.name}: {name} of LED {int(bad.argmax())} is NaN or infinite", "correct it and save again"
            )
        return found

    def scalar(self, name: str) -> float:
        """Read a variable that holds one finite number (MATLAB saves a zero as uint8)."""
        value = self.array(name)
        if value.size != 1 or value.dtype.kind == "c":
            raise DataError(f"{self.path.name}: {name} has the shape {value.shape}, expected one real number")
        number = float(value.reshape(()))
        if not math.isfinite(number):
            raise DataError(f"{self.path.name}: {name} is {number}, expected a number")
        return number

    def scalar_or_none(self, name: str) -> float | None:
        """Like `scalar`; None where the file lacks the variable."""
        return self.scalar(name) if name in self.shapes else None


def open_mat(path: Path) -> MatFile:
    """List the numeric variables of a .mat file without reading them."""
    with parsing(path, "MATLAB file"):
        if h5py.is_hdf5(path):
            unread: dict[str, str] = {}
            cells: dict[str, tuple[str, ...]] = {}
            with h5py.File(path, "r") as file:
                shapes = _numeric_shapes(file, path) | _cells(file, path, cells, unread)
                for name in file:
                    if isinstance(file.get(name, getlink=True), h5py.HardLink) and isinstance(file[name], h5py.Group):
                        fields = {} if name.startswith("#") else _numeric_shapes(file[name], path)
                        shapes |= {f"{name}.{field}": shape for field, shape in fields.items()}
            return MatFile(path, shapes, None, cells=cells, unread=unread)
        unread = {}
        variables = list_variables(path, unread)
        return MatFile(path, {name: v.shape for name, v in variables.items()}, variables, unread=unread)


def _cells(
    file: h5py.File, path: Path, cells: dict[str, tuple[str, ...]], unread: dict[str, str]
) -> dict[str, tuple[int, ...]]:
    """Shapes of the cell arrays of matrices of one shape, the cells last; others are told in ``unread``."""
    found: dict[str, tuple[int, ...]] = {}
    for name in file:
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            continue
        dataset = file[name]
        if not isinstance(dataset, h5py.Dataset) or h5py.check_ref_dtype(dataset.dtype) is not h5py.Reference:
            continue
        if REFERENCES not in file or not 0 < dataset.size <= LARGEST_CELLS:
            unread[name] = "an empty cell array" if not dataset.size else "a cell array whose matrices are not in it"
            continue
        targets = [str(file[reference].name) for reference in np.asarray(dataset[()]).ravel()]
        inner = [target.removeprefix(f"/{REFERENCES}/") for target in targets]
        held = _numeric_shapes(file[REFERENCES], path)
        shapes = [held.get(target) for target in inner]
        first = shapes[0]
        if first is None or None in shapes:
            unread[name] = "a cell array of something else than numbers"
        elif len(set(shapes)) > 1:
            other = next(place for place, shape in enumerate(shapes) if shape != first)
            unread[name] = (
                f"a cell array of matrices of different shapes: {first}, but {shapes[other]} in cell {other + 1}"
            )
        else:
            cells[name] = tuple(inner)
            found[name] = (*first, len(inner))
    return found


def _numeric_shapes(group: h5py.Group, path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays of numbers in a group, in MATLAB's order; links are not followed."""
    return {
        name: tuple(reversed(numeric_dataset(group, name, path).shape))
        for name in group
        if isinstance(group.get(name, getlink=True), h5py.HardLink)
        and isinstance(group.get(name), h5py.Dataset)
        and group[name].dtype.kind in "fiubc"
    }
