"""The benchmark of the window's events: every activity is done and told, in small."""

from __future__ import annotations

import json
import os
import subprocess
import sys

CODE = """
import json
from ptychoui.gui import activities
activities.LARGE_EDGE_PX = 64
print(json.dumps(activities.run(3.0)))
"""


def test_every_activity_is_watched() -> None:
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, env=environment, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    told = [name for name, value in found.items() if isinstance(value, dict)]
    assert told == [
        "idle",
        "loading a stack of 1 GB",
        "reconstructing",
        "calibrating",
        "training",
        "exporting",
        "comparing",
        "all together",
    ]
    assert all(found[name]["beats"] > 0 and found[name]["max"] >= found[name]["p99"] >= 0 for name in told)
