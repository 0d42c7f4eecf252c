"""HDF5 files of images, maps and masks (MELD): k-space is simulated from them."""

from __future__ import annotations

import math
from pathlib import Path

import h5py
import numpy as np

from ptychoui.data.dataset import Fact
from ptychoui.data.files import sha256_file
from ptychoui.data.formats.common import parsing
from ptychoui.data.formats.hdf5 import read_array
from ptychoui.data.formats.kspace_common import DENSER, KSpaceDraft, compact, corner_first
from ptychoui.data.kspace import SPACE_AXES, Acquisition, KSpaceSet
from ptychoui.errors import DataError, SettingsError

NAMES = ("imgs", "maps", "masks")


def read_meld(path: Path, seed: int = 0, noise_std: float = 0.0) -> KSpaceSet:
    """Simulate y = W (F (S x) + noise) from ``imgs``, ``maps`` and ``masks``, the truth being ``imgs``.

    ``imgs`` are (example, row, column) or (example, slice, row, column), ``maps`` have a coil axis after the first, and
    ``masks`` are (example, row, column) with the zero frequency first. Of volumes the first image axis is an image
    axis already, as that of a slab is. Noise is complex Gaussian and white.

    Parameters
    ----------
    path
        The file.
    seed
        Of the noise.
    noise_std
        Deviation of the noise of real and imaginary part, in units of k-space under a unitary transform.

    Raises
    ------
    SettingsError
        If the noise is not a finite number of 0 or more.
    DataError
        If an array is missing, real, not finite or does not fit the others.
    """
    if not (math.isfinite(noise_std) and noise_std >= 0):
        raise SettingsError(f"a noise of {noise_std}", "choose a finite number of 0 or more, in units of k-space")
    with parsing(path, "HDF5 file"), h5py.File(path, "r") as file:
        if missing := [name for name in NAMES if name not in file]:
            raise DataError(f"{path.name} lacks {', '.join(missing)}", f"put {', '.join(NAMES)} into one file")
        images, maps, masks = (read_array(file, name, path) for name in NAMES)
    acquisition: Acquisition = "slab" if images.ndim == 4 else "2d"
    draft = KSpaceDraft(path=path, layout="MELD HDF5 of images, maps and masks", acquisition=acquisition)
    space = SPACE_AXES[acquisition]
    images = draft.complex(images, "imgs", ("example", *space))
    maps = draft.complex(maps, "maps", ("example", "coil", *space))
    if (maps.shape[0], *maps.shape[2:]) != images.shape:
        raise DataError(
            f"{path.name}: maps of shape {maps.shape} do not fit images of {images.shape}",
            "maps have a coil axis after the first, and else the axes of the images",
        )
    mask = draft.mask(masks, (len(images), *images.shape[-2:]), "masks")
    if corner_first(np.fft.fftshift(mask, axes=(-2, -1)).astype(float), 2, DENSER):
        mask = np.fft.ifftshift(mask, axes=(-2, -1))
        draft.assume("zero frequency of the masks", "in the middle", "where they are densest; the custom is the corner")
    else:
        draft.assume("zero frequency of the masks", "first")
    mask = mask.reshape(len(mask), *[1] * (len(space) - 2), *mask.shape[1:])
    k_space = np.empty(maps.shape, dtype=np.complex64)
    generator = np.random.default_rng(seed)
    for place in range(len(images)):
        signal = np.fft.fft2(maps[place] * images[place], norm="ortho")
        if noise_std:
            drawn = generator.normal(scale=noise_std, size=(2, *signal.shape))
            signal = signal + drawn[0] + 1j * drawn[1]
        k_space[place] = signal * mask[place]
    draft.assume("k-space", "simulated: W (F (S x) + noise)", f"imgs, maps and masks; seed {seed}")
    draft.facts.append(Fact(name="noise of real and imaginary part", value=float(noise_std), source="as asked for"))
    draft.assume("persons", "every example is of another", "nothing in the file")
    if acquisition == "slab":
        draft.assume("first image axis", "transformed already, that of a slab")
    return draft.made(
        k_space,
        compact(mask),
        sha256_file(path),
        maps=maps.astype(np.complex64),
        truth=images.astype(np.complex64),
        noise_std=float(noise_std),
        names=tuple(f"{path.stem} {place}" for place in range(len(images))),
        source_of=tuple(range(len(images))),
    )
