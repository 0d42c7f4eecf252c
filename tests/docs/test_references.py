"""Pages that are written while the site is built: all settings, commands and modules, with the values that count."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from ptychoui.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def hooks() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["docs_hooks"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["docs_hooks"]


def row(page: str, table: str, name: str) -> list[str]:
    """Cells of a setting's row in a table."""
    part = re.split(r"^##+ ", page.partition(f"`[{table}]`")[2], maxsplit=1, flags=re.M)[0]
    line = next(line for line in part.splitlines() if line.startswith(f"| `{name}` |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize(
    ("table", "name", "cells"),
    [
        ("geometry.microscope", "wavelength_um", ["number", "must be given", "> 0.1, < 5", "µm"]),
        ("geometry.microscope", "defocus_um", ["number", "`0`", "≥ -2000, ≤ 2000", "µm"]),
        ("geometry.array", "rows", ["whole number", "left out", "≥ 1, ≤ 512", ""]),
        ("geometry.array.pose", "flip_x", ["true or false", "`false`", "", ""]),
        ("measurement", "full_well", ["number", "`100000`", "> 0, ≤ 1e+12", "electrons"]),
        ("network", "momentum", ["text", '`"7/8"`', "", ""]),
        ("training", "batch", ["whole number", "`2`", "≥ 1, ≤ 1024", ""]),
        ("training", "schedule", ["`constant`, `cosine`", '`"constant"`', "", ""]),
    ],
)
def test_a_setting(hooks: ModuleType, table: str, name: str, cells: list[str]) -> None:
    assert row(hooks.settings_page(), table, name)[1:5] == cells


def test_every_setting_has_a_row_and_a_meaning(hooks: ModuleType) -> None:
    page = hooks.settings_page()
    for cls in hooks.settings_classes():
        for name, field in cls.model_fields.items():
            if not hooks._models(field.annotation):
                assert f"| `{name}` |" in page, f"{cls.__name__}.{name}"
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 90
    assert not [line for line in rows if line.endswith("|  |")]


def test_no_meaning_is_said_twice(hooks: ModuleType) -> None:
    """Where a class describes a setting, the page needs no words of its own."""
    undescribed = {
        name for cls in hooks.settings_classes() for name, field in cls.model_fields.items() if not field.description
    }
    assert set(hooks.MEANINGS) <= undescribed


def test_every_command_has_its_options(hooks: ModuleType) -> None:
    page = hooks.commands_page()
    for command in COMMANDS:
        assert f"\n## ptychoui {command}" in page, command
    assert "--orientation" in page and "## ptychoui bench engine" in page


def test_every_module_is_on_the_page_of_its_package(hooks: ModuleType) -> None:
    packages = hooks.packages()
    modules = {name for names in packages.values() for name in names}
    assert "ptychoui.engine.layer" in modules and "ptychoui.training.task" in modules
    assert not [name for name in modules if ".gui" in name or ".commands" in name or name.endswith("__init__")]
    for name in modules:
        assert (ROOT / Path(*name.split("."))).with_suffix(".py").is_file(), name
    page = hooks.api_page("ptychoui.engine", packages["ptychoui.engine"])
    assert page.startswith("# ptychoui.engine") and "::: ptychoui.engine.layer" in page
