"""MATLAB files (5 to 7.2, and 7.3, which is HDF5) as named numeric arrays in MATLAB's axis order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
from numpy.typing import NDArray

from ptychoui.data.formats.common import parsing
from ptychoui.data.formats.hdf5 import numeric_dataset, read_array
from ptychoui.data.formats.mat5 import Variable, list_variables, read_variable
from ptychoui.errors import DataError


@dataclass(frozen=True, slots=True)
class MatFile:
    """The numeric variables of a .mat file.

    Attributes
    ----------
    shapes
        Name -> shape in MATLAB's axis order.
    variables
        Where each variable lies in a file of version 5 to 7.2; None for 7.3.
    """

    path: Path
    shapes: dict[str, tuple[int, ...]]
    variables: dict[str, Variable] | None

    def __contains__(self, name: str) -> bool:
        return name in self.shapes

    def array(self, name: str) -> NDArray[Any]:
        """Read one variable, in MATLAB's axis order."""
        if name not in self.shapes:
            raise DataError(f"{self.path.name} lacks the variable {name!r}", f"it holds: {', '.join(self.shapes)}")
        with parsing(self.path, "MATLAB file"):
            if self.variables is not None:
                return read_variable(self.path, self.variables[name])
            with h5py.File(self.path, "r") as file:
                return read_array(file, name, self.path).T

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
            with h5py.File(path, "r") as file:
                shapes = {
                    name: tuple(reversed(numeric_dataset(file, name, path).shape))
                    for name in file
                    if isinstance(file.get(name, getlink=True), h5py.HardLink)
                    and isinstance(file.get(name), h5py.Dataset)
                    and file[name].dtype.kind in "fiubc"
                }
            return MatFile(path, shapes, None)
        variables = list_variables(path)
        return MatFile(path, {name: variable.shape for name, variable in variables.items()}, variables)
