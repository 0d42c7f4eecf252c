"""The engine as a library: its list of names, and an example that has nothing to do with optics."""

from __future__ import annotations

import ast
import importlib
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import ptychoui.engine

EXAMPLE = Path(__file__).parents[2] / "resources" / "examples" / "two_spirals.py"


def test_every_name_is_where_the_list_says() -> None:
    for name in dir(ptychoui.engine):
        found = getattr(ptychoui.engine, name)
        home = ptychoui.engine._HOME[name]
        assert found is getattr(importlib.import_module(f"ptychoui.engine.{home}"), name)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(ptychoui.engine.__file__).read_text(encoding="utf-8"))
    told = {
        alias.asname: (node.module or "").rpartition(".")[2]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    assert told == ptychoui.engine._HOME


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="has no 'Magic'"):
        ptychoui.engine.Magic  # noqa: B018


def test_reading_the_package_loads_no_torch() -> None:
    code = "import sys, ptychoui.engine; dir(ptychoui.engine); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_example_learns_in_constant_memory(capsys: pytest.CaptureFixture[str]) -> None:
    namespace = runpy.run_path(str(EXAMPLE))
    before, after, peak = namespace["main"](steps=50)
    assert before < 0.8 and after > 0.95
    points = 256 * namespace["WIDTH"]
    assert peak < 100 * points * 4 / 2, "half of what its points alone would take"
    assert "exact: 100 unrolls undone bit for bit" in capsys.readouterr().out
