"""Certified training steps of slabs and cine in less memory than back-propagation needs.

A depth is chosen at which back-propagation would need the memory asked for, as the planner foretells it; optimiser
steps are then taken in memory that does not grow with the depth, each with its certificate of exact reversal.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from ptychoui.engine.allocator import large_arrays_apart
from ptychoui.engine.memory import predict, probe
from ptychoui.engine.sizes import size_text
from ptychoui.engine.strategy import Chain
from ptychoui.errors import CertificateError
from ptychoui.settings import MriExperiment
from ptychoui.tasks.mri.task import MriTask, build_task
from ptychoui.training.events import StepDone
from ptychoui.training.trainer import Trainer

SIZES = {"slab": (32, 128, 112), "cine": (20, 128, 112), "3d": (32, 128, 112), "2d": (256, 232)}
"""Shape of an image, by the kind of acquisition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSteps:
    """What some steps took.

    Attributes
    ----------
    stored_bytes
        What back-propagation would hold, as foretold.
    peak_bytes
        What a step held, as metered.
    certified
        Steps that were undone bit for bit, of ``steps``.
    losses
        Of every step.
    seconds
        Time of the processor per thread for a step, in s, scores of the held-out example included.
    """

    acquisition: str
    size: tuple[int, ...]
    unrolls: int
    channels: int
    stored_bytes: int
    peak_bytes: int
    steps: int
    certified: int
    losses: tuple[float, ...]
    seconds: float
    load: float


def experiment_of(acquisition: str, size: tuple[int, ...], unrolls: int, channels: int, steps: int) -> MriExperiment:
    """A run on two simulated examples with true maps, one batch of one each step."""
    family = "heart" if acquisition == "cine" else "brain"
    values: dict[str, Any] = {
        "name": f"{acquisition} in little memory",
        "data": {
            "acquisition": acquisition, "size": size, "coils": 8, "examples": 2, "held_out": 1, "maps": "stated",
            "family": family, "held_out_family": family,
        },
        "sampling": {"pattern": "variable_density", "acceleration": 4.0, "calibration": 8},
        "network": {"unrolls": unrolls, "channels": channels},
        "engine": {"device": "cpu", "strategy": "reversible", "check_every": 0},
        "training": {"steps": steps, "batch": 1, "validate_every": max(steps, 1)},
    }  # fmt: skip
    return MriExperiment(**values)


def run(
    acquisition: str,
    stored_bytes: float,
    steps: int = 20,
    channels: int = 8,
    size: tuple[int, ...] | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> dict[str, Any]:
    """Take steps at the least depth at which back-propagation would need so many bytes.

    Raises
    ------
    SettingsError
        If the sizes do not fit.
    CertificateError
        If a step was not undone exactly.
    """
    large_arrays_apart()
    size = size or SIZES[acquisition]
    task = build_task(experiment_of(acquisition, size, 4, channels, steps))
    with torch.no_grad():
        given = task.inputs(task.parameters(), task.training.pick([0]), None, training=True)
    wanted = [name for name in given.tensors if name == "mu" or name.startswith("cnn.")]
    cost = probe(task.network().chain, given.x, dict(given.tensors), wanted)
    unrolls = 4
    while predict(cost, _chain(task, unrolls), "store_all") < stored_bytes:
        unrolls += 1
    done: list[StepDone] = []
    began = time.process_time()
    for event in Trainer(build_task(experiment_of(acquisition, size, unrolls, channels, steps))).run():
        if isinstance(event, StepDone):
            done.append(event)
            say(f"step {event.step}: loss {event.loss:.5f}, {size_text(event.memory_bytes)}, {event.certificate}")
    found = VolumeSteps(
        acquisition=acquisition,
        size=size,
        unrolls=unrolls,
        channels=channels,
        stored_bytes=predict(cost, _chain(task, unrolls), "store_all"),
        peak_bytes=max(event.memory_bytes for event in done),
        steps=len(done),
        certified=sum(event.certificate.startswith("exact") for event in done),
        losses=tuple(event.loss for event in done),
        seconds=(time.process_time() - began) / torch.get_num_threads() / len(done),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
    )
    if found.certified < found.steps:
        raise CertificateError(f"{found.steps - found.certified} steps were not exact", "report this device")
    return asdict(found)


def _chain(task: MriTask, unrolls: int) -> Chain:
    network = task.experiment.network.replace(unrolls=unrolls)
    return replace(task, experiment=task.experiment.replace(network=network)).network().chain


def table(result: dict[str, Any]) -> str:
    """One row as text."""
    size = " x ".join(map(str, result["size"]))
    ratio = result["peak_bytes"] / result["stored_bytes"]
    return (
        f"{result['acquisition']} {size}, 8 coils, {result['unrolls']} unrolls of 5 x {result['channels']} channels: "
        f"{result['certified']} of {result['steps']} steps certified in {size_text(result['peak_bytes'])}, "
        f"1/{1 / ratio:.1f} of the {size_text(result['stored_bytes'])} of back-propagation; "
        f"{result['seconds']:.0f} s of processor time a step, loss {result['losses'][0]:.4f} -> "
        f"{result['losses'][-1]:.4f}; load {result['load']:.1f}"
    )
