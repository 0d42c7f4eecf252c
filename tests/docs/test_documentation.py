"""Every command and every block of Python of README and tutorials runs, as it is written or on less.

A block stands between fences; a comment before it says where it cannot run (see CONTRIBUTING):

    <!-- test: parse, why -->     <!-- test: slow, why -->     <!-- test: file NAME -->
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import runpy
import shlex
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tifffile
import tqdm

import ptychoui
from ptychoui import cli
from ptychoui.paths import sample_data

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(
        ROOT / name
        for name in (
            "README.md",
            "docs/index.md",
            "docs/mri.md",
            "docs/mri-learning.md",
            "docs/mri-simulation.md",
            "docs/hardware.md",
        )
    ),
    *sorted((ROOT / "docs" / "tutorials").glob("*.md")),
]
ALL_PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "sample_data" / "README.md"]

WORDS = re.compile(r"(?:<!-- test: (?P<said>[^\n]*?) -->\n)?```(?P<language>\w*)[^\n]*\n(?P<text>.*?)\n```", re.S)

LESS_PX, LESS_LEDS = 72, 5
"""Edges of the images (two tiles of 32 pixels and a margin) and of the square of LEDs in the fast test."""

LESS = {
    "simulate": ["--help"],
    "reconstruct": ["--passes", "2", "--no-check"],
    "calibrate": ["--crop", "16", "16", "40"],
    "train": ["--steps", "1"],
}
"""What the fast test adds to commands; the last of two equal options wins. Sample data are there already."""


@pytest.fixture(autouse=True)
def as_found(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command installs signal handlers and a monitor of its progress bar: neither outlives a test."""
    monkeypatch.setattr(tqdm.tqdm, "monitor_interval", 0)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@dataclass(frozen=True)
class Block:
    """A block of code: its language, its text, what a comment says of it, and where it is."""

    page: str
    line: int
    language: str
    text: str
    way: str
    name: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in WORDS.finditer(text):
        said = (match["said"] or "").split(",")[0].split()
        way, name = [*said, "", ""][:2]
        assert way in ("", "parse", "slow", "file"), f"{page.name}: {match['said']}"
        line = text.count("\n", 0, match.start("text")) + 1
        found.append(Block(page.relative_to(ROOT).as_posix(), line, match["language"], match["text"], way, name))
    return found


def commands(text: str) -> Iterator[list[str]]:
    """Words behind ``ptychoui`` of every line of a block."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words:
            assert words[0] == "ptychoui", f"not a command of the program: {line}"
            yield words[1:]


def parsed(words: list[str]) -> None:
    """Hold words against the program's own parser."""
    try:
        _, unknown = cli._parser().parse_known_args(words)
    except SystemExit as ended:
        assert ended.code in (0, None) and {"--help", "--version"} & set(words), words
        return
    assert not unknown, f"ptychoui {shlex.join(words)}: {unknown}"


def lesser_stack(folder: Path) -> None:
    """The sample data with the middle of the stack's images alone, of the LEDs in the middle."""
    shutil.copytree(sample_data(), folder)
    path, beside = folder / "stack.ome.tif", folder / "stack.geometry.toml"
    images = tifffile.imread(path)
    edge = round(len(images) ** 0.5)
    leds, middle = (slice((n - m) // 2, (n + m) // 2) for n, m in ((edge, LESS_LEDS), (images.shape[1], LESS_PX)))
    fewer = images.reshape(edge, edge, *images.shape[1:])[leds, leds, middle, middle].reshape(-1, LESS_PX, LESS_PX)
    tifffile.imwrite(path, fewer, metadata={"axes": "TYX"}, ome=True)
    text = beside.read_text(encoding="utf-8")
    for side in ("rows", "columns"):
        assert f"{side} = {edge}\n" in text
        text = text.replace(f"{side} = {edge}\n", f"{side} = {LESS_LEDS}\n")
    beside.write_text(text, encoding="utf-8")


def run_page(page: Path, less: bool) -> None:
    """Run the blocks of a page one after another in the present folder; those of Python share their names."""
    names: dict[str, Any] = {}
    for block in blocks(page):
        if block.way == "file":
            Path(block.name).write_text(block.text + "\n", encoding="utf-8")
        elif block.language == "python":
            Path("block.py").write_text(block.text + "\n", encoding="utf-8")
            names = runpy.run_path("block.py", init_globals=names)
        elif block.language == "bash":
            for words in commands(block.text):
                parsed(words)
                if block.way == "parse" or (less and block.way == "slow"):
                    continue
                # Words that shorten the work on a stack mean nothing to k-space, which is small.
                added = LESS.get(words[0], []) if less and "--method" not in words else []
                if added == ["--help"]:
                    continue
                if "--resume" in words and words[0] == "train" and less:
                    added = ["--steps", "2"]
                code = cli.main([*words, *added])
                assert code == 0, f"{block.where}: ptychoui {shlex.join(words)} ended with {code}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_runs_on_less(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lesser_stack(tmp_path / "sample_data")
    run_page(page, less=True)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_runs_as_it_is_written(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(page, less=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_says_what_it_is(page: Path) -> None:
    """Blocks of another kind, or without fences, would not be run."""
    for block in blocks(page):
        assert block.language in ("bash", "python") or block.way == "file", block.where
        assert (block.way == "file") == bool(block.name) or block.way != "file", block.where
    outside = WORDS.sub("", page.read_text(encoding="utf-8"))
    assert not re.findall(r"^ {4,}(?:\$ )?(?:ptychoui|python|>>>) .*", outside, re.M)


def mentioned(page: Path) -> Iterator[str]:
    """Commands in the text of a page, and those of blocks without fences."""
    outside = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for found in re.findall(r"`([^`]+)`", outside, re.S):
        yield " ".join(found.split())
    yield from re.findall(r"^ {4}(\S.*)$", outside, re.M)


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.stem)
def test_commands_in_the_text_are_known(page: Path) -> None:
    options = next(a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction))
    for text in mentioned(page):
        words = text.split()
        if words[0] == "ptychoui" and len(words) > 1 and words[1].islower():
            if "..." not in text and len([w for w in words if w.islower()]) > 1 and len(words) > 3:
                parsed(shlex.split(text)[1:])
            else:
                assert words[1] in options.choices, text
        if words[0] == "make":
            targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
            assert words[1:] == [] or words[1] in targets, text
        for word in words:
            place = word.split("::")[0].rstrip(",")
            if re.match(r"(?:tests|resources|docs|ptychoui)/[\w/.*-]+$", place):
                assert list(ROOT.glob(place)), f"{page.name}: there is no {place}"


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.stem)
def test_modules_in_the_text_are_there(page: Path) -> None:
    for name in re.findall(r"`(ptychoui(?:\.\w+)+)`", page.read_text(encoding="utf-8")):
        assert importlib.util.find_spec(name), f"{page.name}: there is no {name}"


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    written = {"settings.md", "commands.md"}
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http", "mailto")) and Path(target).name not in written:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_introduction_is_short_and_names_the_tests() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert "make test" in text and "pip install" in text


def test_citation_and_changelog_are_of_this_program() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {ptychoui.__version__}\n" in citation and "\nlicense: GPL-3.0-or-later\n" in citation
    titles = re.findall(r"^### (\w+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert titles[:4] == ["Added", "Changed", "Fixed", "Removed"]
