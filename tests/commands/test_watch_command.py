"""``ptychoui watch``: a line per set on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands.calls import Call
from workflows import daily

from ptychoui import cli
from ptychoui.data.results import load_reconstruction

QUICK = ("--passes", 20, "--smoothness", 0, "--interval", 0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    daily.write_design(tmp_path / "design.json")
    camera = tmp_path / "camera"
    camera.mkdir()
    daily.write_images(camera / "b.tif", *daily.images())
    daily.write_images(camera / "a.tif", *daily.images()[:3])
    return tmp_path


def test_a_line_per_set(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["watch", folder / "camera", "--patterns", folder / "design.json", "-o", folder / "out", "--once", *QUICK]
    assert cli.main([str(word) for word in words]) == 0
    out, err = capsys.readouterr()
    (line,) = out.splitlines()
    assert "  b  " in line and "residual" in line and line.endswith(str(folder / "out" / "b.reconstruction.h5"))
    assert "a.tif holds 3 images, and a set has 4" in err and "1 set done, 1 could not be used" in err
    assert load_reconstruction(folder / "out" / "b.reconstruction.h5").passes == 20
    assert (folder / "out" / "b.phase.tif").exists()
    assert cli.main([str(word) for word in words]) == 0
    assert "was there" in capsys.readouterr().out


def test_json_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["watch", folder / "camera", "--patterns", folder / "design.json", "-o", folder / "out", "--once", *QUICK]
    assert cli.main([*(str(word) for word in words), "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    values = json.loads(line)
    assert values["set"] == "b" and len(values["files"]) == 2 and values["object_pixel_um"] > 0


def test_refusals(folder: Path, refused: Call) -> None:
    design = folder / "design.json"
    empty = folder / "empty"
    empty.mkdir()
    said = refused("watch", empty, "--patterns", design, "-o", folder / "out", "--once", *QUICK, started=True)
    assert "no set was reconstructed" in said
    assert "holds no patterns" in refused("watch", empty, "--patterns", write_json(folder), "-o", folder / "out")
    said = refused("watch", folder / "none", "--patterns", design, "-o", folder / "out", *QUICK, started=True)
    assert "there is no file or folder" in said


def write_json(folder: Path) -> Path:
    path = folder / "other.json"
    path.write_text("{}")
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_ends_it_with_what_is_done(folder: Path) -> None:
    words = ["watch", folder / "camera", "--patterns", folder / "design.json", "-o", folder / "out", *QUICK]
    command = [sys.executable, "-m", "ptychoui.cli", *(str(word) for word in words)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert "  b  " in line and not out
    assert process.returncode == 0 and "stopped" in err and "1 set done" in err
