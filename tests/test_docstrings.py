"""Docstrings of what computes say shapes, units and errors, and the tool that counts them sees one that does not."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


def _tool() -> ModuleType:
    path = Path(__file__).parent / "tools" / "docstring_share.py"
    spec = importlib.util.spec_from_file_location("docstring_share", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


share = _tool()


@pytest.mark.parametrize("folder", share.FOLDERS)
def test_everything_public_says_shapes_units_and_errors(folder: str) -> None:
    files = sorted((share.PACKAGE / folder).rglob("*.py"))
    found = {str(path.relative_to(share.PACKAGE)): share.incomplete(path) for path in files}
    assert sum(count for count, _ in found.values()) > 10
    assert {name: short for name, (_, short) in found.items() if short} == {}


PLANTED = {
    "docstring": "def f(n: int) -> int:\n    return n\n",
    "docstring of a word": 'def f(n: int) -> int:\n    """Q."""\n    return n\n',
    "shape": 'def f(x: Tensor) -> float:\n    """Sum of squares (Parseval 1799, see the book); any number."""\n',
    "errors": 'def f(n: int) -> int:\n    """Refuse zero, or raise `DataError`."""\n    raise DataError("0")\n',
    "errors made elsewhere": 'def f(n: int) -> int:\n    """Refuse a zero."""\n    raise diverged(n)\n',
    "errors of another class": (
        'def f(n: int) -> int:\n    """Refuse a zero.\n\n    Raises\n    ------\n    RunError\n        If n is 0.\n    """\n'
        '    raise DataError("0")\n'
    ),
    "unit": 'def f(defocus: float) -> float:\n    """Phase at the edge."""\n',
    "brackets that read as a link": 'def f(n: int) -> int:\n    """Sum of a[n](b)."""\n',
    "shape of a loop": '@_compiled\ndef f(x: Any) -> None:\n    """The square of x."""\n',
    "shape of a field": 'class C:\n    """Two equal halves."""\n\n    first: Tensor\n',
    "shape in a constructor": 'class C:\n    """One of two."""\n\n    def __init__(self, x: Tensor) -> None: ...\n',
    "errors of a constructor": (
        'class C:\n    """One of many."""\n\n    def __init__(self, n: int) -> None:\n        raise DataError("0")\n'
    ),
    "shape of a method": 'class C:\n    """One of many."""\n\n    def f(self) -> NDArray[np.float64]:\n        """All its values."""\n',
}


@pytest.mark.parametrize("lack", PLANTED)
def test_an_incomplete_one_is_found(lack: str, tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text(PLANTED[lack])
    _, found = share.incomplete(tmp_path / "planted.py")
    assert list(found.values()) == [[lack.split(" of ")[0].split(" in ")[0].split(" made ")[0]]]


COMPLETE = '''
def shift(images: NDArray[np.float32], height: float) -> NDArray[np.float32]:
    """Move (LED, row, column) images seen from a height in mm.

    Raises
    ------
    DataError
        If the height is not above 0 mm.

    Returns
    -------
    They have the shape they had.
    """
    raise DataError("0")


class Pair:
    """Two halves, (row, column) each."""

    first: Tensor

    def joined(self) -> Tensor:
        """Both on top of each other, (2, row, N + 1)."""

    def _hidden(self) -> Tensor: ...
'''


def test_a_complete_one_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text(COMPLETE)
    assert share.incomplete(tmp_path / "planted.py") == (3, {})


def test_all_of_them_are_asked_for_by_an_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "whole.py").write_text(COMPLETE)
    assert share.main(["--all"], tmp_path) == 0
    (tmp_path / "engine" / "planted.py").write_text(PLANTED["unit"])
    capsys.readouterr()
    assert share.main(["--list"], tmp_path) == 0
    assert share.main(["--all"], tmp_path) == 1
    shown = capsys.readouterr().out
    assert "engine/planted.py: f: unit" in shown
    assert "engine: 3 of 4 functions and classes say shapes, units and errors (75%)" in shown
