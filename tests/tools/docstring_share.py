"""The share of public functions and classes whose docstring says what a caller must know, per package.

    python tests/tools/docstring_share.py [--list] [--all]

Counted are public functions, public classes and their public methods in `FOLDERS`. One is complete if it

* has a docstring of three words or more;
* names a shape, such as (LED, row, column), wherever arrays or tensors go in or come out, or says "shape"; a class must
  where its constructor takes them or it holds them, and may say so in comments beside the fields;
* names every error of the program itself that it raises in a section ``Raises``; a class those of its constructor;
* has no brackets in a row, such as ``[a](b)``: the pages of the API would read them as links.

Units stand in names (``_um``, ``_deg``): a number called after a length, an angle or a time without its unit counts as
missing unless the docstring names one.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "ptychoui"
FOLDERS = ("optics", "engine", "network", "training", "tasks", "workflows")

ARRAYS = re.compile(r"\b(Tensor|NDArray|ndarray|FloatArray|ComplexArray|Reals|Complexes)\b")
AXIS = r"(?:\.\.\.|[\w.]+(?: ?[-+*/^] ?\w+| or \d+|(?: \w\b){1,2})?)"
"""Name or length of an axis: B, row, 2, N + 1, 2 or 1, 2 n n, or an ellipsis."""
SHAPE = re.compile(rf"\({AXIS}(?:,|(?:, ?{AXIS})+)\)|\b[Ss]hapes?\b|\b0-d\b|\bscalars?\b")
RAISES = re.compile(r"^Raises\n------\n(?P<section>(?:.*\n?)+?)(?:^\w+\n---|\Z)", re.MULTILINE)
BUGS = ("NotImplementedError", "AssertionError", "KeyError")
"""Errors that tell a programmer of a mistake, not a user of a value."""
PHYSICAL = re.compile(r"(wavelength|pitch|height|distance|defocus|angle|rotation|time|seconds|pixel_size)$")
UNITS = re.compile(r"\b(um|mm|nm|deg|degrees|rad|radians|waves|pixels?|seconds?|s|frames?|micrometres?)\b")
LINK = re.compile(r"\[[^\]]*\][(\[]")


def public(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    """Public functions, public classes and their public methods, by their names."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                    yield f"{node.name}.{inner.name}", inner


def raised(function: ast.FunctionDef) -> set[str]:
    """Classes of the program's own errors that it raises; "Error" for those that a function of the program makes."""
    names = {
        node.exc.func.id
        for node in ast.walk(function)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name)
    }
    return {
        name if name[0].isupper() else "Error"
        for name in names
        if name not in BUGS and (name.endswith("Error") or name[0].islower())
    }


def annotations(function: ast.FunctionDef) -> list[str]:
    """Types of what goes in and comes out."""
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    found = [ast.unparse(each.annotation) for each in arguments if each.annotation is not None]
    return found if function.returns is None else [*found, ast.unparse(function.returns)]


def missing(node: ast.FunctionDef | ast.ClassDef, lines: Sequence[str]) -> list[str]:
    """What its docstring leaves out; ``lines`` are those of its file."""
    text = ast.get_docstring(node) or ""
    if len(re.findall(r"\w+", text)) < 3:
        return ["docstring"]
    said_of_shapes = text
    if isinstance(node, ast.ClassDef):
        functions = [each for each in node.body if isinstance(each, ast.FunctionDef)]
        functions = [each for each in functions if each.name in ("__init__", "__post_init__")]
        fields = [each for each in node.body if isinstance(each, ast.AnnAssign)]
        types = [ast.unparse(each.annotation) for each in fields]
        said_of_shapes += "\n".join("\n".join(lines[each.lineno - 1 : each.end_lineno]) for each in fields)
        physical: list[str] = []
    else:
        functions, types = [node], []
        physical = [each.arg for each in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]]
    types += [kind for function in functions for kind in annotations(function)]
    # Compiled loops take whatever has the right shape: their types say nothing.
    types += ["NDArray" for each in node.decorator_list if ast.unparse(each) == "_compiled"]
    found = []
    if any(ARRAYS.search(kind) for kind in types) and not SHAPE.search(said_of_shapes):
        found.append("shape")
    section = RAISES.search(text)
    said = section["section"] if section else ""
    errors = {name for function in functions for name in raised(function)}
    if "PtychouiError" not in said and any(name not in said for name in errors):
        found.append("errors")
    if any(PHYSICAL.search(name) for name in physical) and not UNITS.search(text):
        found.append("unit")
    if LINK.search(text):
        found.append("brackets that read as a link")
    return found


def incomplete(path: Path) -> tuple[int, dict[str, list[str]]]:
    """How many functions and classes a file has, and what those that are not complete leave out, by their names."""
    source = path.read_text(encoding="utf-8")
    every = dict(public(ast.parse(source)))
    found = {name: missing(node, source.splitlines()) for name, node in every.items()}
    return len(every), {name: left_out for name, left_out in found.items() if left_out}


def main(arguments: Sequence[str] | None = None, package: Path = PACKAGE) -> int:
    """Print the shares; 1 if all are asked for and one is not complete, else 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="name everything that is not complete")
    parser.add_argument("--all", action="store_true", help="fail unless every share is 100 %%")
    asked = parser.parse_args(arguments)
    lacking = 0
    for folder in FOLDERS:
        total = short = 0
        for path in sorted((package / folder).rglob("*.py")):
            count, found = incomplete(path)
            total, short = total + count, short + len(found)
            if asked.list:
                for name, left_out in found.items():
                    print(f"  {path.relative_to(package)}: {name}: {', '.join(left_out)}")
        # Rounded down: 100 % is all of them.
        share = 100 * (total - short) // total if total else 100
        print(f"{folder}: {total - short} of {total} functions and classes say shapes, units and errors ({share}%)")
        lacking += short
    return 1 if asked.all and lacking else 0


if __name__ == "__main__":
    raise SystemExit(main())
