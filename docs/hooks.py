"""Pages of the site that are written from the program itself, so that they cannot say anything else.

MkDocs calls `on_config` and `on_files`; the functions that write pages need none of it and are tested on their own.
"""

from __future__ import annotations

import argparse
import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parent.parent

NO_LIBRARY = ("cli", "commands", "gui")
"""The program itself: nobody imports it."""

UNITS = {
    "um": "µm",
    "nm": "nm",
    "mm": "mm",
    "deg": "degrees",
    "px": "camera pixels",
    "s": "s",
    "mb": "MB",
    "na": "NA",
    "waves": "waves RMS",
    "bits": "bits",
}
"""Ends of names, and the units that they mean."""

BY_NAME = {  # where the name has no unit at its end
    "photons_per_led": "photoelectrons",
    "read_noise": "electrons RMS",
    "full_well": "electrons",
    "total_exposure": "frames",
    "minimum_exposure": "frames",
    "bit_depth": "bits",
}


MEANINGS = {
    "schema_version": "version of this list of settings; older files are read to equal values",
    "kind": "what is described: of an experiment the imaging system, of an array its layout",
    "name": "what to call the experiment; its run folder is called so, too",
    "seed": "of everything random: starts, noise, the choice of objects",
    "strategy": "what is kept for the way back: see the table in the engine's API; auto plans it from the memory",
    "precision": "numbers that the run computes with",
}
"""Of settings that carry no description themselves."""

# Settings -------------------------------------------------------------------------------------------------------


def settings_module() -> Any:
    """Where the settings are: `ptychoui.settings`, or `ptychoui.settings`; every module of it is imported."""
    try:
        package = import_module("ptychoui.settings")
    except ModuleNotFoundError:
        return import_module("ptychoui.settings")
    for found in pkgutil.walk_packages(getattr(package, "__path__", ()), "ptychoui.settings."):
        import_module(found.name)
    return package


def _known(name: str) -> Any:
    """A name of the settings, whichever of their modules has it."""
    package = settings_module()
    if hasattr(package, name):
        return getattr(package, name)
    for found in pkgutil.walk_packages(getattr(package, "__path__", ()), f"{package.__name__}."):
        if hasattr(module := import_module(found.name), name):
            return getattr(module, name)
    raise AttributeError(f"{package.__name__} has no {name}")


def settings_classes() -> list[type[BaseModel]]:
    """Every class of settings of these modules; presets and tests have classes of their own."""
    found: list[type[BaseModel]] = [_known("Settings")]
    for owner in found:
        found += [below for below in owner.__subclasses__() if below not in found]
    home = settings_module().__name__
    return [cls for cls in found[1:] if f"{cls.__module__}.".startswith(f"{home}.") and cls.model_fields]


def tables(cls: type[BaseModel], place: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """The tables of a file of settings, by their names in it, outermost first."""
    yield place, cls
    for name, field in cls.model_fields.items():
        for inner in _models(field.annotation):
            path = f"{place}.{name}" if place else name
            yield from tables(inner, f"{path}[]" if _is_list(field.annotation) else path)


def settings_page() -> str:
    """Every setting with its type, default, range, unit and meaning, by the tables of the files that hold them."""
    lines = [
        "# Settings",
        "",
        "An experiment is a TOML file: some settings at its head, the others in tables. A setting that is left out has",
        "its default. A value out of its range is refused with a sentence where it is made. Lengths in the sample and",
        "of light are in µm, those of the LED array in mm, angles in degrees: the ends of names say so.",
        "`resources/experiments/every_setting.toml` is one file with all of them.",
        "",
    ]
    seen: set[type[BaseModel]] = set()
    for kind in _known("KINDS").values():
        lines += [f"## Experiments of kind `{kind.name}`: {kind.title}", ""]
        for place, cls in tables(kind.settings):
            title = f"`[{place}]`".replace("[]]", "]]").replace("`[", "`[[" if place.endswith("[]") else "`[")
            lines += [f"### {title if place else 'Head of the file'}", "", *_table(cls)]
            seen.add(cls)
    geometry = _known("Geometry")
    lines += [
        "## Geometry files",
        "",
        "A geometry file has the tables `[microscope]` and `[array]` with the settings of `[geometry.microscope]` and",
        "`[geometry.array]` above, all or some of them, and may have the settings of `[data.images]` as `[images]`.",
        "",
    ]
    seen |= {cls for _place, cls in tables(geometry)}
    others = [cls for cls in settings_classes() if cls not in seen and not _is_base(cls, seen)]
    for cls in others:
        nowhere = "In no file: options of commands, and fields of the window."
        lines += [f"## {cls.__name__}", "", nowhere, "", *_table(cls)]
    return "\n".join(lines)


def _is_base(cls: type[BaseModel], of: set[type[BaseModel]]) -> bool:
    return any(issubclass(other, cls) for other in of)


def _table(cls: type[BaseModel]) -> list[str]:
    """A class's sentence and those of its settings that are in no table of their own."""
    summary = (cls.__doc__ or "").strip().split("\n\n")[0]
    lines = [re.sub(r"``(.+?)``", r"`\1`", " ".join(summary.split())), ""]
    plain = {n: f for n, f in cls.model_fields.items() if not _models(f.annotation)}
    if plain:
        lines += ["| setting | type | default | range | unit | meaning |", "|---|---|---|---|---|---|"]
    lines += [f"| {' | '.join(_row(name, field))} |" for name, field in plain.items()]
    return [*lines, ""]


def _row(name: str, field: FieldInfo) -> tuple[str, ...]:
    meaning = (field.description or MEANINGS.get(name, "")).replace("|", "\\|")
    return f"`{name}`", _type(field.annotation), _default(field), _range(field), unit(name), meaning


def unit(name: str) -> str:
    """Unit of a setting, from the end of its name."""
    return BY_NAME.get(name) or UNITS.get(name.rsplit("_", 1)[-1] if "_" in name else "", "")


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Classes of settings in an annotation."""
    if isinstance(annotation, type) and not get_args(annotation):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for part in get_args(annotation) for model in _models(part)]


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) in (tuple, list) or any(_is_list(part) for part in get_args(annotation))


_NAMES = {int: "whole number", float: "number", str: "text", bool: "true or false"}


def _type(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(parts[0])
    if origin is Literal:
        return ", ".join(f"`{word}`" for word in parts)
    if origin in (Union, UnionType):
        return " or ".join(_type(part) for part in parts if part is not NoneType)
    if origin in (tuple, list):
        inner = [part for part in parts if part is not Ellipsis]
        if len(inner) == 1:
            return f"list of {_plural(_type(inner[0]))}"
        return f"{len(inner)} {_plural(_type(inner[0]))}"
    if origin is dict:
        return f"table: {_type(parts[0])} = {_type(parts[1])}"
    return _NAMES.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _plural(word: str) -> str:
    return word if word.endswith("s") else f"{word}s" if word in ("number", "whole number", "text") else word


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined:
        return "left out"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value in ((), {}, ""):
        return "empty"
    if isinstance(value, str):
        return f'`"{value}"`'
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _range(field: FieldInfo) -> str:
    """Bounds of a number, as the program holds to them."""
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    bounds = [
        f"{sign} {_number(getattr(limit, key))}"
        for limit in field.metadata
        for key, sign in signs.items()
        if getattr(limit, key, None) is not None
    ]
    return ", ".join(bounds)


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


# Commands -------------------------------------------------------------------------------------------------------


def commands_page() -> str:
    """Every command with its options, from the parser that reads them."""
    from ptychoui.cli import _parser

    lines = [
        "# Commands",
        "",
        "`ptychoui` without a command opens the window. `--json` prints one JSON object on standard output and nothing",
        "else. An error is one line that says what is wrong and what to do, with exit code 2.",
        "",
    ]
    for name, about, parser in _commands(_parser()):
        lines += [
            f"## ptychoui {name}",
            "",
            f"{about[:1].upper()}{about[1:]}.",
            "",
            "```text",
            _usage(parser),
            "```",
            "",
        ]
    return "\n".join(lines)


def _commands(parser: argparse.ArgumentParser, above: str = "") -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            about = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, inner in action.choices.items():
                if any(isinstance(deeper, argparse._SubParsersAction) for deeper in inner._actions):
                    yield from _commands(inner, f"{above}{name} ")
                else:
                    yield f"{above}{name}", about.get(name, ""), inner


def _usage(parser: argparse.ArgumentParser) -> str:
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, max_help_position=34, width=110)
    return parser.format_help().strip()


# API ------------------------------------------------------------------------------------------------------------


def packages() -> dict[str, list[str]]:
    """Every package that can be used as a library, and its modules."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "ptychoui").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        inside = parts[1:]
        if path.name == "__init__.py" or any(part.startswith("_") for part in inside) or inside[0] in NO_LIBRARY:
            continue
        found.setdefault(".".join(parts[:-1]), []).append(".".join(parts))
    return found


def api_page(package: str, modules: list[str]) -> str:
    """The public names of a package's modules."""
    doc = _module_docstring(ROOT / Path(*package.split(".")) / "__init__.py")
    lines = [f"# {package}", "", doc, ""]
    for module in modules:
        lines += [f"::: {module}", ""]
    return "\n".join(lines)


def _module_docstring(path: Path) -> str:
    import ast

    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) if path.is_file() else None
    return text or ""


# MkDocs ---------------------------------------------------------------------------------------------------------


def pages() -> dict[str, str]:
    """All pages that are written, by their places in the site."""
    written = {
        "reference/settings.md": settings_page(),
        "reference/commands.md": commands_page(),
        "contributing.md": (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").replace("](docs/", "]("),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
    }
    return written | {_place(name): api_page(name, modules) for name, modules in packages().items()}


def _place(package: str) -> str:
    return f"reference/api/{package}.md"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the packages into the navigation."""
    entries = [{package: _place(package)} for package in packages()]

    def filled(items: list[Any]) -> list[Any]:
        new = []
        for item in items:
            if isinstance(item, dict):
                item = {k: entries if k == "API" else filled(v) if isinstance(v, list) else v for k, v in item.items()}
            new.append(item)
        return new

    config.nav = filled(config.nav or [])
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are written."""
    from mkdocs.structure.files import File

    for place, text in pages().items():
        files.append(File.generated(config, place, content=text))
    return files
