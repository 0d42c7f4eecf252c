"""Commands that work, commands that are refused, and a small run for both."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tqdm
from commands.calls import Call
from training.small import GEOMETRY, experiment_on_disk

from ptychoui import cli
from ptychoui.settings import Geometry, load_experiment, to_toml
from ptychoui.training.runs import new_run


@pytest.fixture(autouse=True)
def as_found(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command installs signal handlers and a monitor of its progress bar: neither outlives a test."""
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def works(capsys: pytest.CaptureFixture[str]) -> Call:
    """``works(words...)``: run a command that succeeds; its stdout, parsed where --json was asked for."""

    def call(*words: object) -> Any:
        capsys.readouterr()
        code = cli.main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert code == 0, err
        # json.loads takes one object and nothing else; NaN is no JSON.
        return json.loads(out, parse_constant=_no_json) if "--json" in words else out

    return call


def _no_json(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Call:
    """``refused(words...)``: run a command that fails; its one sentence with a hint.

    With ``started`` the run may have reported progress before.
    """

    def call(*words: object, started: bool = False) -> str:
        capsys.readouterr()
        code = cli.main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert code == 2
        assert out == ""
        lines = err.splitlines()
        assert started or len(lines) == 1, err
        assert lines[-1].startswith("ptychoui: ") and err.count("ptychoui: ") == 1
        message, _, hint = lines[-1].removeprefix("ptychoui: ").partition(" - ")
        assert message and hint, lines[-1]
        return lines[-1]

    return call


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small experiment on disk."""
    return experiment_on_disk(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def finished(small: Path) -> Path:
    """A finished run of it, to be read only."""
    trainer = new_run(load_experiment(small), small.parent / "finished")
    list(trainer.run())
    assert trainer.folder is not None
    trainer.folder.close()
    return trainer.folder.path


@pytest.fixture
def lattice(tmp_path: Path) -> Path:
    """A geometry file of nine LEDs."""
    path = tmp_path / "g.toml"
    path.write_text(to_toml(Geometry(**GEOMETRY)), encoding="utf-8")
    return path
