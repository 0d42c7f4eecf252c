"""Where a run computes."""

from __future__ import annotations

import re

import torch

from ptychoui.errors import SettingsError


def pick_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` into a device.

    Raises
    ------
    SettingsError
        If the name is another, or a GPU is asked for that is not there.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if count else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise SettingsError(f"unknown device {name!r}", "use auto, cpu, cuda or cuda:N")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= count:
        have = "no CUDA GPU" if not count else f"only {count} CUDA GPU(s)"
        raise SettingsError(f"{name} was asked for, but this machine has {have}", "use the device cpu, or auto")
    return device
