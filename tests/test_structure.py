"""How the package is built: no module imports another in a circle, and no file is too long to read in one sitting."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ptychoui

PACKAGE = Path(ptychoui.__file__).parent
LONGEST = 450
USUAL = 350
"""Nine of ten files have fewer lines."""


def modules(package: Path) -> dict[str, Path]:
    """Every module of a package, by its whole name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    """(module, name in it or nothing) of all imports that are carried out some time, in functions too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for other in child.orelse:
                yield from imported(ast.Module([other], []))
            continue
        if isinstance(child, ast.Import):
            yield from ((alias.name, "") for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and not child.level:  # relative imports are banned
            yield from ((child.module or "", alias.name) for alias in child.names)
        yield from imported(child)


def imports(package: Path) -> dict[str, set[str]]:
    """Every module of a package with those of the package that it imports."""
    known = modules(package)
    found: dict[str, set[str]] = {}
    for name, path in known.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        asked = [f"{module}.{part}" if f"{module}.{part}" in known else module for module, part in imported(tree)]
        found[name] = {module for module in asked if module in known and module != name}
    return found


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Modules that import each other, directly or through others: groups of two or more, sorted."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        seen: set[str] = set()
        left = [start]
        while left:
            for other in graph[left.pop()] - seen:
                seen.add(other)
                left.append(other)
        reached[start] = seen
    groups = {tuple(sorted(b for b in reached[a] if a in reached[b])) for a in graph if a in reached[a]}
    return sorted(map(list, groups))


def planted(folder: Path, **files: str) -> Path:
    package = folder / "planted"
    package.mkdir()
    (package / "__init__.py").touch()
    for name, text in files.items():
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    return package


def test_no_module_imports_another_in_a_circle() -> None:
    graph = imports(PACKAGE)
    assert "ptychoui.optics.geometry.led_array" in graph["ptychoui.optics.geometry.microscope"]
    assert circles(graph) == []


@pytest.mark.parametrize(
    ("back", "found"),
    [
        ("from planted.one import x", True),
        ("from planted import one", True),
        ("import planted.one", True),
        ("def late():\n    from planted.one import x\n", True),
        ("if True:\n    pass\nelse:\n    import planted.one\n", True),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from planted.one import x\n", False),
        ("import typing\nif typing.TYPE_CHECKING:\n    import planted.one\n", False),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    import planted.one\n", True),
        ("if not TYPE_CHECKING:\n    import planted.one\n", True),
        ("import numpy", False),
    ],
)
def test_a_planted_circle_is_found(tmp_path: Path, back: str, found: bool) -> None:
    package = planted(
        tmp_path, one="import planted.two", two="from planted import three", three=back, four="import planted.one"
    )
    circle = ["planted.one", "planted.three", "planted.two"]
    assert circles(imports(package)) == ([circle] if found else [])


def test_two_circles_are_two(tmp_path: Path) -> None:
    files = {"a": "import planted.b", "b": "import planted.a\nimport planted.c"}
    package = planted(tmp_path, **files, c="import planted.d", d="import planted.c")
    assert circles(imports(package)) == [["planted.a", "planted.b"], ["planted.c", "planted.d"]]


def lengths(package: Path) -> dict[str, int]:
    """Lines of every file of a package."""
    return {
        path.relative_to(package).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in sorted(package.rglob("*.py"))
    }


def test_no_file_is_too_long() -> None:
    found = lengths(PACKAGE)
    assert {name: lines for name, lines in found.items() if lines > LONGEST} == {}
    assert sorted(found.values())[9 * len(found) // 10] < USUAL


def test_a_long_file_is_seen(tmp_path: Path) -> None:
    package = planted(tmp_path, long="x = 1\n" * (LONGEST + 1), short="x = 1\n" * LONGEST)
    assert [name for name, lines in lengths(package).items() if lines > LONGEST] == ["long.py"]
