"""Settings in files: the TOML they are kept in, and files of older schemas."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

import tomli_w

from ptychoui.errors import PtychouiError, SettingsError
from ptychoui.paths import resources, shipped
from ptychoui.settings.base import QUIET, Settings
from ptychoui.settings.experiment import SCHEMA_VERSION, Experiment
from ptychoui.settings.kinds import kind_of
from ptychoui.settings.optics import Geometry
from ptychoui.text import text_of

PathLike = Annotated[str | Path, "a file path"]


def read_toml(path: PathLike) -> dict[str, Any]:
    """Read a TOML file in UTF-8, or in UTF-16 or Latin-1; a missing or broken one raises `SettingsError`."""
    try:
        found = text_of(Path(path).read_bytes())
        if found is None:
            hint = "give a text file with settings here; data go with --data"
            raise SettingsError(f"{Path(path).name} is not a valid TOML file: it is no text", hint)
        return tomllib.loads(found[0].replace("\r\n", "\n").replace("\r", "\n"))
    except FileNotFoundError:
        raise SettingsError(f"there is no file {str(path)!r}", "check the path") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{Path(path).name} is not a valid TOML file: {error}", "fix that line") from None
    except OSError as error:
        raise SettingsError(f"cannot read {str(path)!r}: {error.strerror}", "give the path of a TOML file") from None
    except ValueError as error:
        raise SettingsError(f"{str(path)!r} is not a file name: {error}", "check the path") from None


def load_experiment(path: PathLike) -> Experiment:
    """Read an experiment from TOML, or the example of that name; paths in it are relative to the file.

    Paths in an example that came with the program are relative to where it is used: its data do not come with it.
    """
    path = shipped(path, "experiments")
    table = read_toml(path)
    if not table:
        raise SettingsError(f"{path.name} is empty", "say at least where the data are: [data] path = ...")
    if "microscope" in table:
        raise SettingsError(f"{path.name} is a geometry, not an experiment", "give it with --geometry")
    base = path.resolve().parent
    if base == (resources() / "experiments").resolve():
        base = Path.cwd()
    return experiment_of(table).located(base)


def load_geometry(path: PathLike) -> Geometry:
    """Read a geometry file with the tables ``[microscope]`` and ``[array]``, or the example of that name."""
    path = shipped(path, "geometries")
    try:
        return Geometry(**read_toml(path))
    except PtychouiError as error:
        message = error.message if path.name in error.message else f"{path.name}: {error.message}"
        raise type(error)(message, error.hint) from None


def experiment_of(table: dict[str, Any]) -> Experiment:
    """The experiment that a table of settings describes, of this schema or an older one.

    Raises
    ------
    SettingsError
        If its kind is unknown, or a setting is.
    """
    table = migrate(table)
    return kind_of(table["kind"]).settings(**table)


def migrate(table: dict[str, Any]) -> dict[str, Any]:
    """Bring the table of an older file to the present schema.

    Files of version 1, and those that people write without a version, name no kind: they learn patterns for a Fourier
    ptychographic microscope.
    """
    if table.get("schema_version", 1) in (1, SCHEMA_VERSION):
        return {"kind": "fpm"} | table | {"schema_version": SCHEMA_VERSION}
    return {"kind": "fpm"} | table


def to_toml(settings: Settings) -> str:
    """Write settings as TOML that `load_experiment` or `load_geometry` reads back to an equal value."""
    table = _plain(_without_quiet(settings, settings.model_dump(mode="json", exclude_none=True)))
    # What every kind has comes after what is learned from what.
    return tomli_w.dumps(table | {last: table.pop(last) for last in ("engine", "training") if last in table})


def _without_quiet(settings: Settings, table: dict[str, Any]) -> dict[str, Any]:
    """The table of some settings without those that are `QUIET` and have their default."""
    kept = {}
    for name, value in table.items():
        field, inner = type(settings).model_fields[name], getattr(settings, name)
        if field.json_schema_extra == QUIET and inner == field.get_default(call_default_factory=True):
            continue
        kept[name] = _without_quiet(inner, value) if isinstance(inner, Settings) else value
    return kept


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
