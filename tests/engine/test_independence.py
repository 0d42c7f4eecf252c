"""The engine can be lifted into another project: it loads and imports nothing of optics, files or settings."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import ptychoui.engine

FOLDER = Path(ptychoui.engine.__path__[0])
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def test_sources_import_torch_the_errors_and_each_other_only() -> None:
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                top = name.split(".")[0]
                fits = top in sys.stdlib_module_names or top in ("torch", "numba", "checkpoint_schedules")
                assert fits or name.startswith(("ptychoui.engine", "ptychoui.errors")), f"{path.name} imports {name}"


def test_importing_the_engine_loads_no_other_part_of_the_program() -> None:
    imports = "; ".join(f"import ptychoui.engine.{name}" for name in MODULES)
    code = f"import sys; {imports}; print([m for m in sys.modules if m.startswith('ptychoui')])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(result.stdout))
    allowed = {"ptychoui", "ptychoui.errors", "ptychoui.engine"} | {f"ptychoui.engine.{name}" for name in MODULES}
    assert loaded <= allowed
