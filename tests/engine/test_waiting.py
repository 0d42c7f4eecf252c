"""Threads wait asleep where others want the processor, and a person's choice is left alone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ptychoui.engine import waiting


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """As in a program that has not loaded torch yet, on four cores."""
    for name in waiting.SETTINGS:
        monkeypatch.setenv(name, "")  # put back at the end, whatever is chosen
        monkeypatch.delenv(name)
    monkeypatch.setattr(waiting, "_read_already", lambda: False)
    monkeypatch.setattr(waiting, "_cores", lambda: 4)
    return monkeypatch


@pytest.mark.parametrize(
    ("threads", "others", "asleep", "expected"),
    [
        (None, 0.0, False, "awake"),
        (None, 1.0, False, "asleep"),
        (3, 1.0, False, "awake"),
        (3, 2.0, False, "asleep"),
        (1, 4.0, True, "awake"),
        (None, 0.0, True, "asleep"),
    ],
)
def test_threads_sleep_where_cores_are_too_few(
    fresh: pytest.MonkeyPatch, threads: int | None, others: float, asleep: bool, expected: str
) -> None:
    fresh.setattr(waiting, "others_running", lambda: others)
    waiting.choose_waiting(threads, asleep)
    assert waiting.waiting() == expected


def test_a_choice_that_was_made_stays(fresh: pytest.MonkeyPatch) -> None:
    fresh.setattr(waiting, "others_running", lambda: 9.0)
    fresh.setenv("OMP_WAIT_POLICY", "active")
    waiting.choose_waiting()
    assert waiting.waiting() == "awake"
    fresh.delenv("OMP_WAIT_POLICY")
    fresh.setattr(waiting, "_read_already", lambda: True)
    waiting.choose_waiting()
    assert waiting.waiting() == "awake"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells how many threads run")
def test_a_program_that_runs_is_counted() -> None:
    spinning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        seen = max(waiting.others_running() for _ in range(20))
    finally:
        spinning.kill()
        spinning.wait()
    assert seen > 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [("info absent.tif", ""), ("train absent.toml --threads 1", ""), ("train absent.toml --threads 2", "passive")],
)
def test_commands_that_use_threads_choose_before_torch_is_loaded(words: str, expected: str) -> None:
    script = (
        "import os, sys\n"
        "from ptychoui.engine import waiting\n"
        "waiting.others_running, waiting._cores = lambda: 99.0, lambda: 4\n"
        "from ptychoui.cli import main\n"
        f"assert main({words.split()}) == 2\n"
        "print(os.environ.get('OMP_WAIT_POLICY', ''))\n"
    )
    clean = {name: value for name, value in os.environ.items() if name not in waiting.SETTINGS}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env=clean)
    assert done.stdout.strip() == expected, done.stderr
