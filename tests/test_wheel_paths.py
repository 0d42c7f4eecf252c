"""Resources and sample data are found in a checkout and in an installed wheel."""

from __future__ import annotations

import importlib.util
import shutil
import tomllib
from pathlib import Path
from types import ModuleType

from ptychoui import paths

ROOT = Path(__file__).resolve().parent.parent


def _loaded_from(package: Path) -> ModuleType:
    """``paths.py`` as a module of a package that lies elsewhere."""
    package.mkdir(parents=True)
    shutil.copy(paths.__file__, package / "paths.py")
    spec = importlib.util.spec_from_file_location("elsewhere_paths", package / "paths.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_checkout() -> None:
    assert paths.resources() == ROOT / "resources"
    assert paths.sample_data() == ROOT / "sample_data"
    assert (paths.resources() / "experiments" / "first_light.toml").is_file()
    assert (paths.sample_data() / "objects.h5").is_file()


def test_a_wheel_carries_copies(tmp_path: Path) -> None:
    module = _loaded_from(tmp_path / "site-packages" / "ptychoui")
    for name in ("_resources", "_sample_data"):
        (tmp_path / "site-packages" / "ptychoui" / name).mkdir()
    # A folder of the same name beside the package belongs to somebody else.
    (tmp_path / "site-packages" / "resources").mkdir()
    assert module.resources() == tmp_path / "site-packages" / "ptychoui" / "_resources"
    assert module.sample_data() == tmp_path / "site-packages" / "ptychoui" / "_sample_data"


def test_the_working_folder_does_not_matter(tmp_path: Path) -> None:
    module = _loaded_from(tmp_path / "checkout" / "ptychoui")
    assert module.resources() == tmp_path / "checkout" / "resources"
    assert module.sample_data().is_absolute()


def test_the_build_puts_the_copies_where_they_are_looked_for() -> None:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    carried = table["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert carried == {"resources": "ptychoui/_resources", "sample_data": "ptychoui/_sample_data"}
    assert all((ROOT / name).is_dir() for name in carried)
