"""The report of a run: one file that needs no other, and figures beside it."""

from __future__ import annotations

import base64
import errno
import io
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from training.small import experiment_on_disk, problem, same_state

from ptychoui.errors import PtychouiError, RunError
from ptychoui.export.report import write_report
from ptychoui.settings import load_experiment
from ptychoui.training.evaluation import load_run
from ptychoui.training.run_folder import RunFolder
from ptychoui.training.runs import new_run
from ptychoui.training.trainer import Trainer

FIGURES = ("loss", "reconstruction", "patterns")


def trained(folder: Path, **sections: Any) -> Trainer:
    trainer = new_run(load_experiment(experiment_on_disk(folder, **sections)), folder / "run")
    list(trainer.run())
    assert trainer.folder is not None
    trainer.folder.close()
    return trainer


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trainer, Path]:
    folder = tmp_path_factory.mktemp("report")
    trainer = trained(folder, name="a <b>bold</b> & 'named' run", training={"steps": 3})
    return trainer, write_report(trainer)


class Page(HTMLParser):
    """Tags, addresses and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]

    def handle_data(self, data: str) -> None:
        self.text += f"{data}\n"


def test_the_page_needs_no_other_file(reported: tuple[Trainer, Path]) -> None:
    text = reported[1].read_text(encoding="utf-8")
    page = Page(text)
    assert len(page.addresses) == len(FIGURES)
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert not re.search(r"https?:|@import|url\(", text)


def test_the_pictures_in_the_page_are_the_figures(reported: tuple[Trainer, Path]) -> None:
    report = reported[1]
    page = Page(report.read_text(encoding="utf-8"))
    assert {path.name for path in (report.parent / "figures").iterdir()} == {f"{name}.png" for name in FIGURES}
    for name, address in zip(FIGURES, page.addresses, strict=True):
        content = base64.b64decode(address.partition(",")[2], validate=True)
        assert content == (report.parent / "figures" / f"{name}.png").read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            picture = np.asarray(image.convert("L"))
        assert min(picture.shape) > 200 and picture.std() > 5


def test_the_page_says_what_was_done(reported: tuple[Trainer, Path]) -> None:
    trainer, report = reported
    text = Page(report.read_text(encoding="utf-8")).text
    assert trainer.task.data_sha256 in text and "simulated objects" in text
    assert "3 unrolls, step 0.2, momentum 7/8" in text and "2 on 9 LEDs" in text and "reversible" in text
    assert re.search(r"held-out complex error\s+\d\.\d{3} -> \d\.\d{3}", text)


def test_names_are_text_and_never_markup(reported: tuple[Trainer, Path]) -> None:
    page = Page(reported[1].read_text(encoding="utf-8"))
    assert page.text.count("a <b>bold</b> & 'named' run") == 3
    assert "b" not in page.tags


def test_the_patterns_lie_beside_it_and_the_run_is_untouched(reported: tuple[Trainer, Path]) -> None:
    trainer, report = reported
    assert (report.parent / "patterns.json").is_file()
    same_state(trainer, load_run(report.parent))
    RunFolder.open(report.parent).close()


def test_a_run_without_steps_and_without_a_dark_field(tmp_path: Path) -> None:
    assert write_report(trained(tmp_path, training={"steps": 0}, design={"dark_field_rows": 0})).is_file()


def test_a_run_whose_history_is_gone(tmp_path: Path) -> None:
    trainer = trained(tmp_path, training={"steps": 1})
    (tmp_path / "run" / "events.jsonl").unlink()
    text = write_report(trainer).read_text(encoding="utf-8")
    assert "held-out complex error" not in text


def test_a_full_disk_leaves_the_old_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = trained(tmp_path, training={"steps": 1})
    report = write_report(trainer)
    first = report.read_bytes()
    assert write_report(trainer).read_bytes() == first and not list((tmp_path / "run").rglob("*.tmp"))
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    trainer.step = 9  # another page

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(PtychouiError, match="the disk is full") as error:
            write_report(trainer)
    assert error.value.hint
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
    assert report in before


def test_a_file_where_the_figures_should_be(tmp_path: Path) -> None:
    trainer = trained(tmp_path, training={"steps": 0})
    (tmp_path / "run" / "figures").write_text("a file", encoding="utf-8")
    with pytest.raises(RunError, match="cannot make"):
        write_report(trainer)


def test_a_run_without_a_folder_is_refused() -> None:
    with pytest.raises(RunError, match="no folder to report into"):
        write_report(Trainer(problem()))
