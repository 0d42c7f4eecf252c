"""Runs that torchrun starts as several processes, and what they leave."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import ptychoui


def together(processes: int, *words: str, again: int = 0) -> subprocess.Popen[str]:
    program = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    program += ["--max-restarts", str(again), "-m", "ptychoui.cli"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(ptychoui.__file__).parents[1])}
    return subprocess.Popen(
        [*program, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def same_state(one: Path, two: Path) -> None:
    with np.load(one / "state.npz") as first, np.load(two / "state.npz") as second:
        assert set(first) == set(second)
        for name in set(first) - {"elapsed_s", "__sha256__"}:
            assert np.array_equal(first[name], second[name]), name


def rank_of(pid: int) -> int | None:
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None
    ranks = [int(entry[5:]) for entry in entries if entry.startswith(b"RANK=")]
    return ranks[0] if ranks and parent > 1 else None


def children(pid: int) -> dict[int, int]:
    """Rank -> process of those that torchrun started."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid and (rank := rank_of(int(folder.name))) is not None:
            found[rank] = int(folder.name)
    return found
