"""Doctor says what is there, and fails where something is not."""

from __future__ import annotations

import importlib.metadata
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ptychoui import cli, paths
from ptychoui.bench import doctor
from ptychoui.errors import EngineError

CHECKS = {
    "all libraries are installed",
    "sample data are there",
    "resources are there",
    "the engine reverses 20 unrolls bit for bit",
}


def test_a_healthy_machine() -> None:
    values = doctor.examine(screen=False)
    assert values["ok"] and set(values["checks"]) == CHECKS and all(values["checks"].values())
    assert values["versions"]["torch"] == importlib.metadata.version("torch")
    assert values["screen"] is False and values["torch_threads"] == torch.get_num_threads()
    assert values["free_disk_gb"] > 0
    assert json.loads(json.dumps(values, allow_nan=False)) == values


def test_the_same_for_a_terminal() -> None:
    text = doctor.as_text(doctor.examine(screen=True))
    assert "screen: yes" in text and "GB free here" in text
    assert all(f"[ok] {name}" in text for name in CHECKS)


def test_a_library_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "pydantic":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    values = doctor.examine(screen=False)
    assert not values["ok"] and values["versions"]["pydantic"] is None
    text = doctor.as_text(values)
    assert "pydantic MISSING" in text and "[FAILED] all libraries are installed" in text


@pytest.mark.parametrize("name", ["sample_data", "resources"])
def test_files_that_are_missing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, name, lambda: tmp_path)
    values = doctor.examine(screen=False)
    assert not values["ok"] and list(values["checks"].values()).count(False) == 1


@pytest.mark.parametrize("fault", ["error", "other bits", "no certificate"])
def test_an_engine_that_does_not_reverse(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from ptychoui.bench.engine import passes

    real = passes.closed_form_gradient

    def broken(bench: Any, name: str, work: Any) -> Any:
        if fault == "error":
            raise EngineError("it does not come back")
        found = real(bench, name, work)
        if name == "reversible" and fault == "other bits":
            found.gradients["weights"].mul_(1.001)
        return replace(found, certificate="") if fault == "no certificate" else found

    monkeypatch.setattr(passes, "closed_form_gradient", broken)
    values = doctor.examine(screen=False)
    assert not values["ok"] and not values["checks"]["the engine reverses 20 unrolls bit for bit"]


def test_the_command_fails_with_the_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "_self_test", lambda: False)
    assert cli.main(["doctor", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["ok"] is False
