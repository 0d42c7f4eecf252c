"""Small objects seen by smooth coils, as k-space sets of every kind of acquisition. Everything here is plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptychoui.data.dataset import Provenance
from ptychoui.data.kspace import TRANSFORMED, KSpaceSet

SPACES = {"2d": (32, 28), "slab": (3, 32, 28), "3d": (16, 20, 18), "cine": (4, 32, 28)}


def _grid(shape: tuple[int, ...]) -> list[np.ndarray]:
    return np.meshgrid(*[(np.arange(n) - n / 2 + 0.5) / n * 2 for n in shape], indexing="ij")


def inside(shape: tuple[int, ...]) -> np.ndarray:
    """An ellipse that fills most of the field."""
    return sum(x**2 for x in _grid(shape)) < 0.6


def picture(shape: tuple[int, ...], phase: float = 0.5) -> np.ndarray:
    """A complex object with edges, a lesion and a smooth phase."""
    x = _grid(shape)
    magnitude = inside(shape) * (0.6 + 0.3 * (np.abs(x[-1]) < 0.3) + 0.2 * (np.hypot(x[-1] - 0.3, x[-2]) < 0.2))
    return (magnitude * np.exp(1j * phase * np.pi * (x[-1] + 0.4 * x[-2] ** 2))).astype(np.complex64)


def smooth_maps(coils: int, shape: tuple[int, ...]) -> np.ndarray:
    """(coil, *shape) Gaussian sensitivities around the object, sum of squares 1 everywhere."""
    x = _grid(shape)
    found = []
    for coil in range(coils):
        angle = 2 * np.pi * coil / coils
        distance = (x[-1] - 1.2 * np.cos(angle)) ** 2 + (x[-2] - 1.2 * np.sin(angle)) ** 2
        if len(shape) == 3:
            distance = distance + (x[0] - (1 if coil % 2 else -1)) ** 2
        found.append(np.exp(-distance / 2.5 + 1j * (angle + 0.6 * x[-2] * np.cos(angle))))
    maps = np.array(found)
    return (maps / np.linalg.norm(maps, axis=0)).astype(np.complex64)


def lines(shape: tuple[int, ...], centre: int, every: int = 2) -> np.ndarray:
    """A mask over the last two axes: `centre` rows around the zero frequency, and every so many others."""
    row = np.rint(np.fft.fftfreq(shape[-2]) * shape[-2]).astype(int)
    kept = ((row >= -(centre // 2)) & (row < centre - centre // 2)) | (row % every == 0)
    return np.broadcast_to(kept[:, None], shape[-2:]).copy()


def made(
    acquisition: str = "2d",
    examples: int = 1,
    coils: int = 4,
    centre: int = 12,
    every: int = 2,
    noise: float = 0.0,
    **changes: Any,
) -> KSpaceSet:
    """Examples of the picture behind smooth coils, with noise of that deviation in real and imaginary part."""
    space = SPACES[acquisition]
    axes = tuple(range(-TRANSFORMED[acquisition], 0))
    maps = smooth_maps(coils, space[-2:] if acquisition == "cine" else space)
    truth = np.stack([picture(space, 0.5 + 0.3 * place) for place in range(examples)])
    if acquisition == "cine":
        truth = truth * (1 + 0.3 * np.arange(space[0])[:, None, None] / space[0])
        maps = maps[:, None]
    mask = lines(space, centre, every)
    if acquisition == "cine":
        mask = np.stack([lines(space, centre if frame == 0 else 4, every + frame % 2) for frame in range(space[0])])
    mask = mask.reshape((1,) * (len(space) - mask.ndim) + mask.shape)
    rng = np.random.default_rng(5)
    k_space = np.fft.fftn(maps[None] * truth[:, None], axes=axes, norm="ortho")
    k_space = k_space + noise * (rng.normal(size=k_space.shape) + 1j * rng.normal(size=k_space.shape))
    values: dict[str, Any] = {
        "acquisition": acquisition,
        "k_space": (k_space * mask).astype(np.complex64),
        "sampled": np.repeat(mask[None], examples, axis=0),
        "maps": np.repeat(maps[None], examples, axis=0),
        "truth": truth.astype(np.complex64),
        "support": np.repeat(inside(space)[None], examples, axis=0),
        "noise_std": noise or None,
        "provenance": Provenance(source="test", layout="test", sha256=""),
    }
    return KSpaceSet(**(values | changes))
