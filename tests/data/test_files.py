"""Atomic writing: the old file or the new one, and a sentence when the disk is full."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import stat
from pathlib import Path

import h5py
import numpy as np
import pytest

from ptychoui.data.dataset import ImageStack
from ptychoui.data.files import sha256_file, write_atomic
from ptychoui.data.formats.native import save_hdf5
from ptychoui.data.formats.tiff import save_stack_tiff
from ptychoui.errors import DataError, RunError


def test_bytes_text_and_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    assert write_atomic(path, b"one") == path
    assert path.read_bytes() == b"one"
    write_atomic(path, "zwei µm")
    assert path.read_text(encoding="utf-8") == "zwei µm"
    write_atomic(path, lambda file: np.save(file, np.arange(3)))
    assert np.load(path).tolist() == [0, 1, 2]
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_sha256_of_a_file(tmp_path: Path) -> None:
    path = write_atomic(tmp_path / "a", b"abc")
    assert sha256_file(path) == hashlib.sha256(b"abc").hexdigest()
    with pytest.raises(DataError, match="cannot read"):
        sha256_file(tmp_path / "absent")


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = write_atomic(tmp_path / "run.json", b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(RunError) as caught:
        write_atomic(path, b"new", RunError)
    assert caught.value.message == "the disk is full: run.json was not written"
    assert "free some space" in caught.value.hint
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize("kind", ["bytes", "hdf5", "tiff"])
def test_write_that_stops_half_way(tmp_path: Path, stack: ImageStack, kind: str) -> None:
    """A limit on the file's size makes real writes fail in the middle, inside the format libraries too."""
    path = write_atomic(tmp_path / "s.h5", b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, hard))
    try:
        with pytest.raises(DataError) as caught:
            if kind == "bytes":
                write_atomic(path, b"x" * 100_000)
            elif kind == "hdf5":
                save_hdf5(path, stack)
            else:
                save_stack_tiff(path, stack)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "was not written" in caught.value.message
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["s.h5"]


def test_a_failing_writer_leaves_nothing(tmp_path: Path) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_atomic(tmp_path / "a", broken)
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_folder_and_device(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        write_atomic(tmp_path / "none" / "a", b"")
    with pytest.raises(DataError, match="it is a folder or a device"):
        write_atomic(tmp_path, b"")
    if Path("/dev/full").exists():
        with pytest.raises(DataError, match="it is a folder or a device"):
            write_atomic("/dev/full", b"x")


def test_unwritable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match="no permission in"):
        write_atomic(tmp_path / "a", b"")


def test_keeps_permissions_and_links(tmp_path: Path) -> None:
    path = write_atomic(tmp_path / "a", b"old")
    path.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to(path)
    write_atomic(link, b"new")
    assert link.is_symlink() and path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_name_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    write_atomic(path, b"x")
    assert path.read_bytes() == b"x"
    with pytest.raises(DataError, match="was not written"):
        write_atomic(tmp_path / ("n" * 256), b"x")


def test_an_open_reader_keeps_the_old_content(tmp_path: Path, stack: ImageStack) -> None:
    path = save_hdf5(tmp_path / "s.h5", stack)
    with h5py.File(path, "r") as reader:
        save_hdf5(path, stack.crop(0, 0, 4, 4))
        assert reader["images"].shape == stack.images.shape
