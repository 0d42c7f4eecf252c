"""A geometry may be given as a file where data are opened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ptychoui.data.dataset import ImageStack
from ptychoui.data.formats.open import open_dataset
from ptychoui.data.formats.tiff import read_tiff_stack
from ptychoui.errors import PtychouiError
from ptychoui.settings import Geometry, to_toml


@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_is_as_good_as_what_it_holds(kind: type, tmp_path: Path, images: np.ndarray, geometry: Geometry) -> None:
    import tifffile

    tifffile.imwrite(tmp_path / "stack.tif", images.astype(np.float32), photometric="minisblack")
    (tmp_path / "g.toml").write_text(to_toml(geometry))
    found = open_dataset(tmp_path / "stack.tif", kind(tmp_path / "g.toml"))
    assert isinstance(found, ImageStack) and found.geometry == geometry
    assert np.array_equal(found.images, read_tiff_stack(tmp_path / "stack.tif", geometry).images)
    with pytest.raises(PtychouiError, match=r"absent\.toml"):
        open_dataset(tmp_path / "stack.tif", kind(tmp_path / "absent.toml"))
