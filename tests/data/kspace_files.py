"""Files of k-space as other programs write them, with what they hold in natural order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)


def centred(images: np.ndarray) -> np.ndarray:
    """Their transform with the zero frequency and the origin of the image in the middle, by the definition."""
    *_, rows, columns = images.shape
    r, c = np.arange(rows) - rows // 2, np.arange(columns) - columns // 2
    row = np.exp(-2j * np.pi * np.outer(r, r) / rows) / np.sqrt(rows)
    column = np.exp(-2j * np.pi * np.outer(c, c) / columns) / np.sqrt(columns)
    return np.asarray(row @ images @ column.T, dtype=np.complex64)


def smooth(*shape: int) -> np.ndarray:
    """Coil images (..., row, column) whose k-space has its energy at the zero frequency."""
    rng = np.random.default_rng(3)
    return (1 + 0.2 * rng.random(shape) + 0.1j * rng.random(shape)).astype(np.complex64)


def lines(columns: int) -> np.ndarray:
    """A mask of columns, zero frequency in the middle."""
    mask = np.zeros(columns, dtype=bool)
    mask[::3] = True
    mask[columns // 2 - 3 : columns // 2 + 3] = True
    return mask


def fastmri(path: Path, masked: bool = True, **more: Any) -> np.ndarray:
    """A file of two slices of three coils; the images of the coils behind it, without the mask."""
    images = smooth(2, 3, 16, 11)
    k_space = centred(images) * (lines(11) if masked else 1)
    with h5py.File(path, "w") as file:
        file.attrs["acquisition"] = "AXT2"
        file["kspace"] = k_space
        if masked:
            file["mask"] = lines(11)
        file["reconstruction_rss"] = np.ones((2, 8, 8), np.float32)
        file["ismrmrd_header"] = np.bytes_(b"<xml>")
        for name, value in more.items():
            if name in file:
                del file[name]
            file[name] = value
    return images


def meld(path: Path, volume: bool = False, **more: Any) -> dict[str, np.ndarray]:
    """A file of images, maps and masks; what it holds."""
    space = (4, 12, 10) if volume else (12, 10)
    mask = np.zeros((3, 12, 10), np.float32)
    mask[:, ::2] = 1
    mask[:, [0, 1, -1]] = 1
    held: dict[str, np.ndarray] = {
        "imgs": draw(3, *space, seed=1),
        "maps": draw(3, 5, *space, seed=2),
        "masks": mask,
    } | more
    with h5py.File(path, "w") as file:
        for name, value in held.items():
            if value is not None:
                file[name] = value
    return held


def mel(folder: Path, split: str = "train", order: str = "centred", factor: complex = 1) -> dict[str, np.ndarray]:
    """A folder of two cases of two slices; what it holds, in natural order, masks with the zero frequency first."""
    images, maps = smooth(4, 14, 9), draw(4, 3, 14, 9, seed=5)
    mask = np.repeat(lines(14)[None, :, None], 4, axis=0) * np.ones((4, 14, 9), dtype=bool)
    first = np.fft.ifftshift(mask, axes=(-2, -1))
    if order == "centred":
        k_space = centred(maps * images[:, None])
    else:
        k_space = np.fft.fft2(maps * images[:, None], norm="ortho")
        k_space = np.fft.fftshift(k_space, axes=(-2, -1)) if order == "shifted" else k_space
    stored = first if order == "first" else mask
    for kind in ("ksp", "img", "mps", "mask"):
        (folder / f"{split}_{kind}_slices").mkdir(parents=True)
    for place, name in enumerate(("1_5", "1_20", "2_3", "10_1")):
        np.save(folder / f"{split}_ksp_slices" / f"{name}.npy", (factor * k_space[place]).astype(np.complex64))
        np.save(folder / f"{split}_img_slices" / f"{name}.npy", images[place])
        np.save(folder / f"{split}_mps_slices" / f"{name}.npy", maps[place])
        np.save(folder / f"{split}_mask_slices" / f"{name}.npy", stored[place].astype(np.int32))
    return {"images": images, "maps": maps, "mask": first}
