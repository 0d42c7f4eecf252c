"""Whether runs of another checkout are those of this one, byte for byte where their formats allow.

    python tests/tools/same_runs.py OTHER_CHECKOUT --data bloodsmear_red.mat [--steps 20]

Every experiment is trained for some steps on one thread by both programs, its patterns are exported in every format,
and its run is scored. Then files are compared: training curves, certificates, parameters and the optimiser's memory as
bits; exported patterns byte by byte, but for the versions and settings that they state about the program itself.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parents[2]
FORMATS = ("json", "csv", "png", "npz", "c_header", "illuminate-1", "illuminate-2", "illuminate")
TIMES = ("elapsed_s", "__sha256__")
"""Arrays of a state that tell how long it took, and the hash over them."""


def program(checkout: Path, *words: str, cwd: Path) -> str:
    """Run the command line of a checkout; what it printed."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "ptychoui.cli", *words], cwd=cwd, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{checkout}: ptychoui {' '.join(words)} failed:\n{done.stderr}")
    return done.stdout


def made_by(checkout: Path, folder: Path, experiment: Path, steps: int, data: tuple[str, ...]) -> dict[str, Any]:
    """Train, score and export with one checkout; what can be compared, by name."""
    folder.mkdir()
    said = program(
        checkout,
        *("train", str(experiment), "--steps", str(steps), "--threads", "1", "--device", "cpu", "-o", "run", "--json"),
        *data,
        cwd=folder,
    )
    values = json.loads(said)
    found: dict[str, Any] = {f"printed {name}": values[name] for name in sorted(values) if name not in ("run_folder",)}
    for number, line in enumerate((folder / "run" / "events.jsonl").read_text().splitlines()):
        event = json.loads(line)
        event.pop("seconds", None)
        found[f"event {number}"] = event
    with np.load(folder / "run" / "state.npz", allow_pickle=False) as state:
        for name in state.files:
            if name not in TIMES:
                found[f"state {name}"] = (state[name].dtype.str, state[name].shape, state[name].tobytes())
    scores = json.loads(program(checkout, "evaluate", "run", "--json", cwd=folder))
    found["scores"] = {name: value for name, value in scores.items() if name != "run_folder"}
    for to in FORMATS:
        target = folder / f"patterns-{to}"
        program(checkout, "export", "run", "--to", to, "-o", str(target), cwd=folder)
        files = sorted(target.iterdir()) if target.is_dir() else [target]
        for file in files:
            found[f"export {to} {file.name}"] = comparable(file, to)
    return found


def comparable(file: Path, to: str) -> Any:
    """What a file holds, without what it says of the program that wrote it."""
    if to == "json":
        values = json.loads(file.read_text())
        record = values.get("record", {})
        for name in ("experiment", "versions"):
            record.pop(name, None)
        values.pop("sha256", None)  # of a content that states the program's version
        return values
    if to == "npz":
        with np.load(file, allow_pickle=False) as arrays:
            return {
                name: (arrays[name].dtype.str, arrays[name].shape, arrays[name].tobytes())
                for name in arrays.files
                if arrays[name].dtype.kind != "U"
            }
    return re.sub(rb"ptychoui \d+(\.\d+)*", b"ptychoui", file.read_bytes())


def main() -> int:
    """Compare; 0 where everything is the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--experiments", nargs="+", default=["first_light", "bloodsmear_red"])
    parser.add_argument("--data", type=Path, help="the stack of an experiment that states no sample data")
    arguments = parser.parse_args()
    different = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.experiments:
            # One file for both, as an example of the same name may have been edited since.
            experiment = HERE / "resources" / "experiments" / f"{name}.toml"
            data = () if "sample:" in experiment.read_text() else ("--data", str(arguments.data.resolve()))
            sides = [
                made_by(checkout.resolve(), Path(folder) / f"{side}-{name}", experiment, arguments.steps, data)
                for side, checkout in (("other", arguments.other), ("this", HERE))
            ]
            names = sorted(sides[0].keys() | sides[1].keys())
            wrong = [each for each in names if sides[0].get(each) != sides[1].get(each)]
            different += len(wrong)
            print(f"{name}: {len(names) - len(wrong)} of {len(names)} things are the same")
            for each in wrong:
                print(f"  {each}: {str(sides[0].get(each))[:200]} | {str(sides[1].get(each))[:200]}")
    return int(bool(different))


if __name__ == "__main__":
    raise SystemExit(main())
