"""A run on a file of another program: what completes it is kept with the run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
from data import foreign_layouts as foreign
from training.small import experiment

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.geometry_file import with_geometry
from ptychoui.errors import NoGeometryError
from ptychoui.settings import FpmExperiment
from ptychoui.tasks.fpm.task import find_dataset
from ptychoui.training.run_folder import RunFolder
from ptychoui.training.runs import new_run


def run_on(path: Path) -> FpmExperiment:
    return experiment(data={"path": str(path), "tile_px": 8, "tiles": 4}, geometry=None)


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """Amplitudes, one in four pixels red, without the objective's NA."""
    rng = np.random.default_rng(0)
    red = rng.random((9, 48, 48)) + 0.5
    raw = rng.random((9, 96, 96))
    raw[:, ::2, ::2] = np.sqrt(red)
    variables = foreign.caltech_variables(raw)
    del variables["na_cal"]
    scipy.io.savemat(tmp_path / "apic.mat", variables)
    return tmp_path / "apic.mat"


def test_a_partial_geometry_is_kept_with_the_run(stack: Path, tmp_path: Path) -> None:
    with pytest.raises(NoGeometryError, match=r"microscope\.objective_na"):
        find_dataset(run_on(stack))
    partial = tmp_path / "part.toml"
    said = '[images]\nvalues = "amplitude"\nbayer = "RGGB"\ncolour = "red"\n'
    partial.write_text(f"[microscope]\nobjective_na = 0.05\n{said}")
    chosen = with_geometry(run_on(stack), partial)
    first, geometry = find_dataset(chosen)
    assert isinstance(first, ImageStack) and geometry is not None
    assert geometry.microscope.camera_pixel_um == 2 * foreign.CAMERA_UM
    trainer = new_run(chosen, tmp_path / "run")
    assert trainer.folder is not None
    trainer.folder.close()
    partial.unlink()
    kept = RunFolder.open(tmp_path / "run", lock=False).experiment()
    again, same = find_dataset(kept)
    assert isinstance(again, ImageStack)
    np.testing.assert_array_equal(again.images, first.images)
    assert same is not None and again.geometry == same
    assert same.microscope == geometry.microscope and same.array == geometry.array
