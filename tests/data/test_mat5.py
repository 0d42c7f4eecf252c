"""The reader of MATLAB 5 to 7.2 files gives what SciPy gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from ptychoui.data.formats.matlab import open_mat
from ptychoui.errors import DataError


@pytest.mark.parametrize("compress", [False, True])
def test_agrees_with_scipy(tmp_path: Path, compress: bool) -> None:
    rng = np.random.default_rng(0)
    values = {
        "a": rng.normal(size=(3, 4, 5)),
        "short": np.uint8([[7]]),
        "b": rng.integers(-9, 9, (2, 3), dtype=np.int16),
        "c": rng.normal(size=(4, 1)).astype(np.float32),
        "z": rng.normal(size=(2, 2)) + 1j * rng.normal(size=(2, 2)),
        "big": rng.integers(0, 2**60, (2, 2), dtype=np.uint64),
        "empty": np.zeros((0, 3)),
        "a_rather_long_name_of_a_variable": np.ones((1, 2)),
        "text": "not a number",
        "structure": {"x": 1.0},
    }
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, values, do_compression=compress, long_field_names=True)
    mat = open_mat(path)
    assert set(mat.shapes) == set(values) - {"text", "structure"} | {"structure.x"}
    oracle = scipy.io.loadmat(path)
    assert mat.inside("structure").scalar("x") == 1.0
    for name in set(mat.shapes) - {"structure.x"}:
        np.testing.assert_array_equal(mat.array(name), oracle[name])
    assert mat.scalar("short") == 7
    with pytest.raises(DataError, match=r"a has the shape \(3, 4, 5\), expected one real number"):
        mat.scalar("a")
    with pytest.raises(DataError, match="lacks the variable 'absent'"):
        mat.array("absent")


def test_big_endian(tmp_path: Path) -> None:
    """A file as a big-endian computer writes it, made by hand."""
    import struct

    name, values = b"x", struct.pack(">2d", 1.5, -2.0)
    body = struct.pack(">IIII", 6, 8, 6, 0) + struct.pack(">IIii", 5, 8, 1, 2)
    body += struct.pack(">HH1s3x", 1, 1, name) + struct.pack(">II", 9, 16) + values
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI"
    path = tmp_path / "big.mat"
    path.write_bytes(header + struct.pack(">II", 14, len(body)) + body)
    np.testing.assert_array_equal(open_mat(path).array("x"), scipy.io.loadmat(path)["x"])
    assert open_mat(path).array("x").tolist() == [[1.5, -2.0]]
