"""Files that are either the old one or the new one, never half of each."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from ptychoui.errors import DataError, PtychouiError

Content = bytes | str | Callable[[BinaryIO], object]


def write_atomic(path: str | Path, content: Content, error: type[PtychouiError] = DataError) -> Path:
    """Write a file so that a reader, a crash or a full disk sees the old content or the new one.

    The content goes to a temporary file in the same folder, is flushed to the disk and takes the file's
    name in one step. A symbolic link stays a link; permissions of an existing file are kept.

    Parameters
    ----------
    path
        The file to write; its folder must exist.
    content
        Bytes, text (UTF-8), or a function that writes to the open binary file it is given (readable and
        seekable, so HDF5 and TIFF writers accept it).
    error
        Which error a failure raises: `DataError`, or `RunError` for files of a run folder.

    Returns
    -------
    The path that was written, links resolved.

    Raises
    ------
    PtychouiError
        Of the class ``error`` if the disk is full or the folder cannot be written; the old file is then
        as it was and no temporary file is left.
    """
    target = Path(path)
    shown = target.name or str(target)
    try:
        target = target.resolve()
        mode = _mode(target)
        # A short name: the target's own name may already be as long as the file system allows.
        temporary = target.parent / f".{secrets.token_hex(8)}.tmp"
        try:
            with temporary.open("x+b") as file:
                _fill(file, content)
                file.flush()
                os.fsync(file.fileno())
            if mode is not None:
                temporary.chmod(mode)
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except OSError as problem:
        raise error(*_sentence(shown, target.parent, problem)) from problem
    _sync_folder(target.parent)
    return target


def check_target(path: str | Path, error: type[PtychouiError] = DataError) -> None:
    """Refuse a file that `write_atomic` could not write, before the work whose result it is to hold.

    Raises
    ------
    PtychouiError
        Of the class ``error`` if its folder is missing or not to be written to, or it is a folder or device itself.
    """
    target = Path(path)
    shown = target.name or str(target)
    try:
        target = target.resolve()
        _mode(target)
        if not target.parent.is_dir():
            raise FileNotFoundError
        if not os.access(target.parent, os.W_OK | os.X_OK):
            raise PermissionError
    except OSError as problem:
        message, hint = _sentence(shown, target.parent, problem)
        raise error(message.replace("was not written", "cannot be written"), hint) from problem


def check_parent(path: str | Path, error: type[PtychouiError] = DataError) -> None:
    """Refuse a file or folder to be made in a folder that is missing.

    Raises
    ------
    PtychouiError
        Of the class ``error``.
    """
    folder = Path(path)
    if not folder.absolute().parent.is_dir():
        raise error(
            f"{folder.name} cannot be written: there is no folder {str(folder.parent)!r}",
            "make the folder first, or check that its disk is there",
        )


def make_folder(path: str | Path, error: type[PtychouiError] = DataError) -> Path:
    """Make a folder in one that exists: a missing one above it is a slip, or a disk that is not there.

    Raises
    ------
    PtychouiError
        Of the class ``error`` if the folder above it is missing, or it cannot be made.
    """
    folder = Path(path)
    check_parent(folder, error)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as problem:
        raise error(f"cannot make the folder {str(folder)!r}: {problem.strerror}", "choose another folder") from None
    return folder


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal text; an unreadable file raises `DataError`."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as problem:
        raise DataError(f"cannot read {str(path)!r}: {problem.strerror or problem}", "check the path") from None


def json_text(values: Any) -> str:
    """Plain values as JSON, with null for NaN and infinity, which JSON cannot hold."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(plain(values), indent=2, allow_nan=False)


def _fill(file: BinaryIO, content: Content) -> None:
    if isinstance(content, str):
        content = content.encode()
    if isinstance(content, bytes):
        file.write(content)
    else:
        content(file)


def _mode(target: Path) -> int | None:
    """Permission bits of an existing file; a folder or device in its place is refused."""
    try:
        found = target.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EISDIR, "it is a folder or a device, not a file")
    return stat.S_IMODE(found.st_mode)


def _sentence(name: str, folder: Path, problem: OSError) -> tuple[str, str]:
    """Message and hint for a write that failed."""
    if problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return (
            f"the disk is full: {name} was not written",
            "free some space or choose another folder, then save again",
        )
    if isinstance(problem, FileNotFoundError) and not folder.is_dir():
        return f"{name} was not written: there is no folder {str(folder)!r}", "make the folder first"
    if isinstance(problem, PermissionError) or problem.errno == errno.EROFS:
        return f"{name} was not written: no permission in {str(folder)!r}", "choose a folder you may write to"
    text = str(problem.strerror or problem).splitlines()[0]
    return f"{name} was not written: {text}", "choose another file name or folder"


def _sync_folder(folder: Path) -> None:
    """Make the new name durable where the system can; the content is safe already."""
    with contextlib.suppress(OSError, AttributeError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
