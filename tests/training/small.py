"""A run so small that a step takes milliseconds: nine LEDs, two patterns, tiles of 8 x 8 pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ptychoui.data.dataset import Provenance, TrainingSet, array_sha256
from ptychoui.data.formats.native import save_hdf5
from ptychoui.settings import FpmExperiment, to_toml
from ptychoui.tasks.fpm.task import FpmTask, build_task
from ptychoui.training.trainer import Trainer

GEOMETRY: dict[str, Any] = {
    "microscope": {"wavelength_um": 0.5, "objective_na": 0.2, "magnification": 10.0, "camera_pixel_um": 5.0},
    "array": {
        "kind": "lattice",
        "rows": 3,
        "columns": 3,
        "pitch_mm": 6.5,
        "height_mm": 40.0,
        "falloff": "cos4",
        "pose": {"shift_x_mm": 0.3, "rotation_deg": 5.0},
    },
}
SETTINGS: dict[str, Any] = {
    "name": "small",
    "seed": 3,
    "geometry": GEOMETRY,
    "data": {"path": "sample:objects", "tile_px": 8, "pad_px": 1},
    "design": {"bright_field_rows": 1, "dark_field_rows": 1, "learn_exposure": True},
    "measurement": {"background": 0.02},
    "network": {"unrolls": 3, "step": 0.2, "learn_step": True},
    "engine": {"device": "cpu"},
    "training": {"steps": 6, "batch": 2, "validate_every": 3, "margin_px": 1},
}


def experiment(**sections: Any) -> FpmExperiment:
    """The small experiment; a keyword changes a setting or, given a dictionary, a section."""
    merged = dict(SETTINGS)
    for name, value in sections.items():
        merged[name] = merged.get(name, {}) | value if isinstance(value, dict) else value
    return FpmExperiment(**merged)


def objects(count: int = 8, sources: int = 4, size: int = 28) -> TrainingSet:
    """Smooth random phase objects on the object's grid of the small experiment, 0.25 um."""
    rng = np.random.default_rng(5)
    phase = rng.normal(size=(count, size, size))
    smooth = sum(np.roll(phase, (i, j), (1, 2)) for i in range(3) for j in range(3)) / 3
    array = ((1 - 0.1 * np.abs(phase) / 3) * np.exp(0.4j * smooth)).astype(np.complex64)
    return TrainingSet(
        objects=array,
        sources=np.arange(count) % sources,
        pixel_size_um=0.25,
        source_names=tuple(f"source {i}" for i in range(sources)),
        provenance=Provenance(source="test", layout="test", sha256=array_sha256(array)),
    )


def problem(**sections: Any) -> FpmTask:
    return build_task(experiment(**sections), dataset=objects())


def experiment_on_disk(folder: Path, **sections: Any) -> Path:
    """Write the objects and an experiment that names them; return the experiment's path."""
    folder.mkdir(parents=True, exist_ok=True)
    save_hdf5(folder / "objects.h5", objects())
    data = {"path": str(folder / "objects.h5")} | sections.pop("data", {})
    path = folder / "experiment.toml"
    path.write_text(to_toml(experiment(data=data, **sections)), encoding="utf-8")
    return path


def same_state(first: Trainer, second: Trainer) -> None:
    """Every array of two runs is the same bits, but for the time they took."""
    one, two = first.state(), second.state()
    assert one.keys() == two.keys()
    for name in one:
        if name != "elapsed_s":
            assert np.array_equal(one[name], two[name]), name
