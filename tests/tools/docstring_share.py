"""The share of public functions whose docstring says what a caller must know, per package.

    python tests/tools/docstring_share.py [--list]

Counted are public functions and methods of public classes in optics, engine, network and training. One is complete if it

* has a docstring;
* names a shape, such as (LED, row, column), wherever arrays or tensors go in or come out, or says "shape";
* has a section ``Raises`` wherever it raises an error of the program itself.

Units stand in names (``_um``, ``_deg``): a number called after a length, an angle or a time without its unit counts as
missing unless the docstring names one.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "ptychoui"
FOLDERS = ("optics", "engine", "network", "training")
ARRAYS = re.compile(r"\b(Tensor|NDArray|ndarray|FloatArray|ComplexArray)\b")
SHAPE = re.compile(r"\((?:[^()]*,[^()]*|[A-Za-z]\w*,?)\)|shape|0-d|scalar|number", re.I)
PHYSICAL = re.compile(r"(wavelength|pitch|height|distance|defocus|angle|rotation|time|seconds|pixel_size)$")
UNITS = re.compile(r"\b(um|mm|nm|deg|degrees|rad|radians|waves|pixels?|seconds?|s|frames?|micrometres?)\b")


def public(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Public functions, and public methods of public classes, by their names."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name, node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                    yield f"{node.name}.{inner.name}", inner


def missing(function: ast.FunctionDef) -> list[str]:
    """What its docstring leaves out."""
    text = ast.get_docstring(function) or ""
    if not text:
        return ["docstring"]
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    annotations = [ast.unparse(each.annotation) for each in arguments if each.annotation is not None]
    if function.returns is not None:
        annotations.append(ast.unparse(function.returns))
    found = []
    if any(ARRAYS.search(annotation) for annotation in annotations) and not SHAPE.search(text):
        found.append("shape")
    raised = {
        node.exc.func.id
        for node in ast.walk(function)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name)
    }
    if any(name.endswith("Error") and name not in ("NotImplementedError", "KeyError") for name in raised):
        if "Raises" not in text:
            found.append("errors")
    if any(PHYSICAL.search(each.arg) for each in arguments) and not UNITS.search(text):
        found.append("unit")
    return found


def main() -> int:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="name every function that is not complete")
    arguments = parser.parse_args()
    for folder in FOLDERS:
        total = complete = 0
        for path in sorted((PACKAGE / folder).rglob("*.py")):
            for name, function in public(ast.parse(path.read_text(encoding="utf-8"))):
                total += 1
                left_out = missing(function)
                complete += not left_out
                if left_out and arguments.list:
                    print(f"  {path.relative_to(PACKAGE)}: {name}: {', '.join(left_out)}")
        print(f"{folder}: {complete} of {total} public functions say shapes, units and errors ({complete / total:.0%})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
