"""The pipeline's import contract: no Qt below the window, no torch where it is not needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ptychoui

PACKAGE = Path(ptychoui.__file__).parent
QT = ("PyQt6", "pyqtgraph")
HEADLESS = sorted(
    ".".join(("ptychoui", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if path.relative_to(PACKAGE).parts[0] not in ("gui", "__main__.py")
)
BLOCK = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {QT!r}:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Block())
"""


def run(code: str) -> str:
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_every_headless_module_imports_without_qt() -> None:
    assert "ptychoui.training.trainer" in HEADLESS and "ptychoui.session.document" in HEADLESS
    imports = "\n".join(f"import {name}" for name in HEADLESS)
    loaded = run(f"{BLOCK}\n{imports}\nprint([m for m in sys.modules if m.split('.')[0] in {QT!r}])")
    assert ast.literal_eval(loaded) == []


def test_the_block_blocks() -> None:
    result = subprocess.run([sys.executable, "-c", f"{BLOCK}\nimport PyQt6"], capture_output=True, text=True)
    assert "is blocked" in result.stderr


@pytest.mark.parametrize(
    "name",
    [
        "ptychoui",
        "ptychoui.cli",
        "ptychoui.errors",
        "ptychoui.settings",
        "ptychoui.training.events",
        "ptychoui.training.control",
        "ptychoui.optics.geometry.led_array",
        "ptychoui.optics.geometry.microscope",
        "ptychoui.optics.quality.validation",
        "ptychoui.design.feasibility",
        "ptychoui.design.starts",
        "ptychoui.data.formats.open_kspace",
        "ptychoui.mri.classical",
        "ptychoui.workflows.reconstruct_kspace",
        "ptychoui.export.kspace_figures",
        "ptychoui.devices.finding",
        "ptychoui.devices.playing",
        "ptychoui.devices.timeline",
    ],
)
def test_light_modules_do_not_load_torch(name: str) -> None:
    assert run(f"import sys, {name}; print('torch' in sys.modules)").strip() == "False"


def test_the_window_does_not_load_torch_by_itself() -> None:
    pytest.importorskip("PyQt6")
    assert run("import sys, ptychoui.gui.shell.app; print('torch' in sys.modules)").strip() == "False"


def test_package_files_are_empty_or_lazy() -> None:
    """The engine's lists its names and imports each on first use: see tests/engine/test_library.py.

    That of the settings imports what everything needs, and nothing that is heavy.
    """
    for path in PACKAGE.rglob("__init__.py"):
        if path.parent not in (PACKAGE, PACKAGE / "engine", PACKAGE / "settings"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            assert all(isinstance(node, ast.Expr) for node in tree.body), path


def test_the_import_contract_holds() -> None:
    command = Path(sys.executable).parent / "lint-imports"
    if not command.exists():
        pytest.skip("import-linter is not installed")
    result = subprocess.run([command, "--no-cache"], cwd=PACKAGE.parent, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
