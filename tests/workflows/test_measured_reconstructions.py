"""Reconstructions of measured stacks: residuals, and what can be resolved that could not be before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from ptychoui.data.dataset import ImageStack
from ptychoui.data.results import StoredReconstruction
from ptychoui.paths import resources
from ptychoui.settings import Reconstruct
from ptychoui.workflows.crop import CropRegion
from ptychoui.workflows.reconstruct_stack import WindowReconstruction, open_stack

pytestmark = pytest.mark.slow


def opened(path: Path, geometry: str) -> ImageStack:
    if not path.exists():
        pytest.skip(f"{path.name} is not there")
    return open_stack(str(path), str(resources() / "geometries" / geometry))


def reconstructed(stack: ImageStack, settings: Reconstruct, window: CropRegion | None = None) -> StoredReconstruction:
    work = WindowReconstruction(stack, settings, window)
    for _ in work.run():
        pass
    return work.stored()


def test_the_red_blood_smear_is_explained_in_ten_passes(shared_data: Path) -> None:
    stack = opened(shared_data / "uconn" / "bloodsmear_red.mat", "uconn_bloodsmear.toml")
    result = reconstructed(stack, Reconstruct(passes=10, upsampling=4))
    assert result.object.shape == (512, 512)
    assert result.amplitude_residual <= 0.025 and result.fitted_residual <= 0.006


def test_the_low_cost_microscope_is_explained(shared_data: Path) -> None:
    stack = opened(shared_data / "aidukas" / "Image_sections_color_0.hdf5", "aidukas_usaf.toml")
    plain = Reconstruct(passes=20, pupil="free", gain=False, background=False)
    assert reconstructed(stack, plain).amplitude_residual <= 0.025
    assert reconstructed(stack, Reconstruct(passes=20)).fitted_residual <= 0.025


# Middle of the three bars (row, column) in pixels of the object, four per camera pixel: upright bars, lying bars.
ELEMENTS = {
    (8, 1): ((683.0, 632.6), (681.6, 684.6)),
    (8, 3): ((581.2, 579.8), (582.2, 537.5)),
    (9, 1): ((529.3, 669.2), (529.3, 695.0)),
    (9, 2): ((555.0, 673.3), (554.5, 696.8)),
}
PERIOD_PX = 61.0
"""Of group 6, element 1, in the image; that of the next element is smaller by the sixth root of two."""


def contrasts(intensity: np.ndarray, element: tuple[int, int], pixels_of_object: float = 1.0) -> tuple[float, float]:
    """Michelson contrast of three bars and the two gaps between them: of the upright ones and of the lying ones."""
    period = PERIOD_PX * 2 ** -((element[0] - 6) + (element[1] - 1) / 6)
    found = []
    for (row, column), lying in zip(ELEMENTS[element], (False, True), strict=True):
        along = np.linspace(-0.9, 0.9, 25) * period

        def mean(
            shift: float, row: float = row, column: float = column, lying: bool = lying, along: np.ndarray = along
        ) -> float:
            across = shift * period
            rows = row + (across if lying else along)
            columns = column + (along if lying else across)
            places = np.broadcast_arrays(rows / pixels_of_object, columns / pixels_of_object)
            return float(map_coordinates(intensity, places, order=3).mean())

        bars, gaps = np.mean([mean(s) for s in (-1, 0, 1)]), np.mean([mean(s) for s in (-0.5, 0.5)])
        found.append(float((gaps - bars) / (gaps + bars)))
    return found[0], found[1]


def test_the_usaf_target_is_resolved_down_to_group_9(shared_data: Path) -> None:
    """592 lp/mm is the ceiling of this stack: group 9, element 2 (575 lp/mm) lies below it, element 3 (645) above.

    No LED lies on the axis; the raw image is that of one of the four nearest. Its intensity still shows 256 lp/mm of
    group 8, element 1 along x and y, and nothing of element 3.
    """
    stack = opened(shared_data / "elfpie" / "lowSeqData260.mat", "elfpie_usaf.toml")
    result = reconstructed(stack, Reconstruct(passes=15, upsampling=4), CropRegion(row=0, column=0, size_px=260))
    assert result.object.shape == (1040, 1040) and result.fitted_residual < 0.02
    after = np.abs(result.object) ** 2
    for element, least in (((8, 1), 0.8), ((8, 3), 0.8), ((9, 1), 0.5), ((9, 2), 0.1)):
        assert min(contrasts(after, element)) >= least, element
    raw = stack.images[0].astype(float)
    assert max(contrasts(raw, (8, 3), 4)) <= 0.03
    assert min(contrasts(raw, (8, 1), 4)) > 0.1
