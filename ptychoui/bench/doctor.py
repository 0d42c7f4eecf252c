"""``ptychoui doctor``: what this machine has, and a self-test of the engine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from pathlib import Path
from typing import Any

from ptychoui import paths
from ptychoui.errors import PtychouiError

LIBRARIES = (
    "numpy",
    "torch",
    "PyQt6",
    "pyqtgraph",
    "scikit-image",
    "scipy",
    "numba",
    "h5py",
    "tifffile",
    "pydantic",
)


def examine(screen: bool) -> dict[str, Any]:
    """Collect versions, devices and folders, and run the engine once."""
    import torch

    versions: dict[str, str | None] = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    gpus = (
        [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    )
    checks = {
        "all libraries are installed": all(versions.values()),
        "sample data are there": (paths.sample_data() / "objects.h5").is_file(),
        "resources are there": (paths.resources() / "experiments" / "first_light.toml").is_file(),
        "the engine reverses 20 unrolls bit for bit": _self_test(),
    }
    return {
        "ok": all(checks.values()),
        "checks": checks,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "gpus": gpus,
        "screen": screen,
        "free_disk_gb": round(shutil.disk_usage(Path.cwd()).free / 1e9, 1),
        "versions": versions,
    }


def _self_test() -> bool:
    import torch

    from ptychoui.bench.engine.passes import closed_form_gradient
    from ptychoui.bench.engine.problem import make_bench
    from ptychoui.engine.scratch import Scratch

    try:
        bench = make_bench(20, 21, 2, 64, torch.device("cpu"))
        exact = closed_form_gradient(bench, "reversible", Scratch())
        reference = closed_form_gradient(bench, "checkpoint", Scratch()).gradients
    except PtychouiError:
        return False
    same = all(torch.equal(exact.gradients[name], reference[name]) for name in reference)
    return bool(exact.certificate) and same


def as_text(values: dict[str, Any]) -> str:
    """The same for a terminal."""
    gpus = ", ".join(values["gpus"]) or "none"
    lines = [
        f"Python {values['python']} on {values['system']}",
        f"{values['processors']} processors, {values['torch_threads']} torch threads; CUDA GPUs: {gpus}; "
        f"screen: {'yes' if values['screen'] else 'no'}; {values['free_disk_gb']} GB free here",
        ", ".join(f"{name} {version or 'MISSING'}" for name, version in values["versions"].items()),
    ]
    lines += [f"[{'ok' if passed else 'FAILED'}] {name}" for name, passed in values["checks"].items()]
    return "\n".join(lines)
