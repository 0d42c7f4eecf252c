"""What lies between a file of k-space and a result: examples chosen, maps, sentences, scales, scores."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from mri.coils import made

from ptychoui.data.kspace import KSpaceSet
from ptychoui.errors import DataError, SettingsError
from ptychoui.mri.maps import EspiritSettings
from ptychoui.workflows.reconstruct_kspace import Prepared, choose_examples, finished, prepare, reconstruct_classically


def several() -> KSpaceSet:
    data = made(examples=3, noise=0.01, names=("a", "b", "c"), source_of=(5, 6, 7))
    assert data.maps is not None
    factor = np.exp(1j * np.arange(3)).astype(np.complex64).reshape(3, 1, 1, 1)
    return dataclasses.replace(data, maps=data.maps * factor, k_space=data.k_space * factor**2)


def test_everything_of_an_example_goes_with_it() -> None:
    data = several()
    found = choose_examples(data, (2, 0))
    for name in ("k_space", "sampled", "maps", "truth", "support"):
        whole, part = getattr(data, name), getattr(found, name)
        assert np.array_equal(part[0], whole[2]) and np.array_equal(part[1], whole[0]) and len(part) == 2
    assert found.names == ("c", "a") and found.source_of == (7, 5)
    bare = choose_examples(made(examples=2, maps=None, truth=None, support=None), (1,))
    assert bare.maps is None and bare.truth is None and bare.support is None and bare.names == ()
    for wrong in (3, -1):
        with pytest.raises(SettingsError, match=f"no example {wrong}"):
            choose_examples(data, (wrong,))


def test_what_is_done_is_said() -> None:
    said: list[str] = []
    rng = np.random.default_rng(0)
    data = made(noise=0.01)
    noise = (rng.normal(size=data.k_space.shape) * data.sampled).astype(np.complex64)
    found = prepare(dataclasses.replace(data, k_space=noise), EspiritSettings(kernel_width=4), 3, said.append)
    assert said[0].startswith("4 coils became 3") and "unexplained" in said[1]
    assert found.record["virtual_coils"] == 3 and found.record["maps"] == "ESPIRiT" and found.data.coils == 3
    said.clear()
    prepared = prepare(made(noise=0.01), tell=said.append)
    assert prepared.record["maps"] == "of the data" and said == []
    # Four lines outside the calibration region are too few to choose by.
    result = reconstruct_classically(prepared, "cg_sense", tell=said.append)
    assert result.record["strength_from"] == "the usual one" and "the usual strength of cg_sense" in said[0]


def test_a_scale_without_a_calibration_region() -> None:
    mask = np.zeros((1, 32, 1), dtype=bool)
    mask[:, 1::2] = True
    plain = made(noise=0.01, every=1)
    found = {}
    for unit in (1, 1000):
        data = made(k_space=plain.k_space * mask[:, None] * np.float32(unit), sampled=mask)
        said: list[str] = []
        result = reconstruct_classically(prepare(data), "cg_sense", 0.01, said.append)
        assert "the scale is that of the zero-filled image" in said[0]
        found[unit] = result.images
    assert np.allclose(found[1000], 1000 * found[1], rtol=1e-3, atol=1e-2)
    with pytest.raises(DataError, match="no calibration region"):
        prepare(dataclasses.replace(data, maps=None))


def test_planes_without_truth_have_no_scores() -> None:
    data = made(examples=2, noise=0.01)
    assert data.truth is not None
    truth = data.truth.copy()
    truth[1] = 0
    prepared = Prepared(data=dataclasses.replace(data, truth=truth), record={})
    record = finished(prepared, data.truth, {"method": "x"}, 1.5).record
    assert record["scores"][0]["nrmse"] == 0 and record["scores"][1] == {} and record["mean_scores"]["nrmse"] == 0
    assert record["seconds"] == 1.5 and record["method"] == "x"
    blind = finished(Prepared(data=dataclasses.replace(data, truth=None), record={}), data.truth, {}, 0).record
    assert blind["scores"] == [] and blind["definitions"] == {} and blind["mean_scores"] == {}
    with pytest.raises(DataError, match="NaN"):
        finished(prepared, data.truth * np.float32("nan"), {}, 0)
