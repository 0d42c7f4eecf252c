"""K-space in the program's order, against transforms by the definition; sizes that do not fit are refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ptychoui.data.dataset import Provenance
from ptychoui.data.kspace import KSpaceSet, from_centred, to_centred
from ptychoui.errors import DataError

RNG = np.random.default_rng(3)
FROM = Provenance(source="test", layout="test", sha256="")


def draw(*shape: int) -> np.ndarray:
    return (RNG.normal(size=shape) + 1j * RNG.normal(size=shape)).astype(np.complex64)


def made(**changes: object) -> KSpaceSet:
    values: dict[str, object] = {
        "acquisition": "2d",
        "k_space": draw(2, 3, 6, 5),
        "sampled": np.ones((2, 6, 1), dtype=bool),
        "provenance": FROM,
        "maps": draw(2, 3, 6, 5),
        "truth": draw(2, 6, 5),
    }
    return KSpaceSet(**values | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(6, 8), (5, 7), (4, 6, 5)])
def test_centred_k_space_becomes_the_plain_transform(shape: tuple[int, ...]) -> None:
    image = draw(*shape)
    axes = tuple(range(len(shape)))
    centred = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(image), norm="ortho"))
    found = from_centred(centred, len(shape))
    assert np.allclose(found, np.fft.fftn(image, axes=axes, norm="ortho"), atol=1e-5)
    assert np.allclose(to_centred(found, len(shape)), centred, atol=1e-5)


def test_only_the_last_axes_are_turned() -> None:
    images = draw(3, 6, 5)
    centred = np.stack([np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image), norm="ortho")) for image in images])
    assert np.allclose(from_centred(centred, 2), np.fft.fft2(images, norm="ortho"), atol=1e-5)


def test_sizes_and_acceleration() -> None:
    lines = np.zeros((2, 6, 1), dtype=bool)
    lines[:, :2] = True
    found = made(sampled=lines)
    assert (len(found), found.coils, found.space, found.transformed) == (2, 3, (6, 5), (-2, -1))
    assert found.net_acceleration == 3.0
    cine = made(
        acquisition="cine", k_space=draw(2, 3, 4, 6, 5), sampled=np.ones((2, 4, 6, 1), bool),
        maps=draw(2, 3, 1, 6, 5), truth=None,
    )  # fmt: skip
    assert cine.transformed == (-2, -1)
    volume = made(
        acquisition="3d", k_space=draw(2, 3, 4, 6, 5), sampled=np.ones((2, 1, 6, 5), bool), maps=None, truth=None
    )
    assert volume.transformed == (-3, -2, -1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"acquisition": "4d"}, "'4d' is not known"),
        ({"acquisition": "3d"}, "does not fit a 3d acquisition"),
        ({"k_space": draw(2, 0, 6, 5)}, "does not fit a 2d acquisition"),
        ({"maps": draw(2, 3, 6, 4)}, "coil maps of shape"),
        ({"maps": draw(2, 4, 6, 5)}, "coil maps of shape"),
        ({"sampled": np.ones((2, 6), dtype=bool)}, "a sampling mask of shape"),
        ({"sampled": np.zeros((2, 6, 5), dtype=bool)}, "measures nothing"),
        ({"truth": draw(1, 6, 5)}, "true images of shape"),
        ({"k_space": draw(2, 3, 6, 5) * np.nan}, "k-space holds values that are not finite"),
        ({"names": ("one",)}, "1 names do not fit 2 examples"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=words) as error:
        made(**changes)
    assert error.value.hint


def test_it_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        made().acquisition = "3d"  # type: ignore[misc]


def test_examples_are_picked_with_everything_that_is_theirs() -> None:
    data = made(names=("one", "two"), source_of=(4, 9), support=np.ones((2, 6, 1), bool))
    found = data.pick([1, 1, 0])
    assert (len(found), found.names, found.source_of) == (3, ("two", "two", "one"), (9, 9, 4))
    for name in ("k_space", "sampled", "maps", "truth", "support"):
        whole, some = getattr(data, name), getattr(found, name)
        assert np.array_equal(some, np.stack([whole[1], whole[1], whole[0]])), name
    assert made(maps=None).pick([0]).maps is None
