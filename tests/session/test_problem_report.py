from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from ptychoui.errors import PtychouiError
from ptychoui.paths import user_state
from ptychoui.session.opening import demo_experiment
from ptychoui.session.problem_report import LOG_BYTES, versions, without_folders, write_problem_report
from ptychoui.settings import experiment_of


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cannot read /home/ann/secret/stack.tif: gone", "cannot read …/stack.tif: gone"),
        (r"C:\Users\Ann\data\stack.mat is damaged", "…/stack.mat is damaged"),
        ("path = '/home/ann/a b.tif'", "path = '…/a b.tif'"),
        ('File "/usr/lib/python3.11/threading.py", line 3', 'File "…/threading.py", line 3'),
        ("1/2 of 3 images, 0.5 rad/µm", "1/2 of 3 images, 0.5 rad/µm"),
        ("https://example.org/page", "https:/…/page"),
    ],
)
def test_paths_lose_their_folders(text: str, said: str) -> None:
    assert without_folders(text) == said


def test_a_report_holds_what_one_needs_and_no_folders(tmp_path: Path) -> None:
    user_state().mkdir(parents=True, exist_ok=True)
    (user_state() / "ptychoui.log").write_text("x" * LOG_BYTES + "\nat /home/ann/secret/stack.tif\n")
    demo = demo_experiment()
    demo = demo.replace(data=demo.data.replace(path="/home/ann/secret/stack.mat"))
    told = ("cannot read /home/ann/secret/other.tif",)
    path = write_problem_report(tmp_path / "report.zip", demo, told, "1920 x 1080")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert set(parts) == {"about.json", "experiment.toml", "messages.txt", "ptychoui.log"}
    assert not any("ann" in text.split() or "secret" in text for text in parts.values())
    about = json.loads(parts["about.json"])
    assert about["screen"] == "1920 x 1080" and about["versions"] == versions()
    assert parts["messages.txt"] == "cannot read …/other.tif"
    assert len(parts["ptychoui.log"]) <= LOG_BYTES and "stack.tif" in parts["ptychoui.log"]
    import tomllib

    assert experiment_of(tomllib.loads(parts["experiment.toml"])).name == demo.name


def test_where_it_cannot_be_written_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(PtychouiError):
        write_problem_report(tmp_path / "absent/report.zip", demo_experiment(), (), "")
    assert not (tmp_path / "absent").exists()
