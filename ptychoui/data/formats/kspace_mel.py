"""Folders of slices as .npy files (MEL): ``{split}_ksp_slices/{case}_{slice}.npy`` and beside it img, mps and mask."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.dataset import Fact
from ptychoui.data.files import sha256_file
from ptychoui.data.formats.kspace_common import KSpaceDraft, compact, not_zero, zero_frequency_first
from ptychoui.data.formats.npy import read_npy
from ptychoui.data.kspace import KSpaceSet, from_centred
from ptychoui.errors import DataError

FOLDER = re.compile(r"(?P<split>\w+)_ksp_slices")
NAME = re.compile(r"(?P<case>.+)_(?P<slice>\d+)\.npy")
EXPLAINED = 0.5
"""A convention is believed where images and maps leave less than this share of k-space unexplained."""


def splits(path: Path) -> list[str]:
    """Names of the splits that lie in a folder, such as train and test; none where it is of another layout."""
    try:
        found = [match["split"] for child in path.iterdir() if (match := FOLDER.fullmatch(child.name))]
    except OSError:
        return []
    return sorted(found)


def read_mel(path: Path, split: str | None = None) -> KSpaceSet:
    """Read the slices of one split: k-space and maps (coil, row, column), images and masks (row, column).

    Images, maps and masks may be absent. Where images and maps are there, how k-space is ordered and scaled is found by
    what they predict; otherwise the zero frequency is taken to be in the middle.

    Raises
    ------
    DataError
        If there are several splits and none was chosen, a slice lacks a file that others have, shapes differ, an array
        is real or not finite, or a coil measured only zeros.
    """
    known = splits(path)
    if split is None and len(known) > 1:
        raise DataError(
            f"{path.name} holds the splits {', '.join(known)}", f"choose one, as in {path.name}::{known[-1]}"
        )
    split = split or (known[0] if known else "")
    if split not in known:
        raise DataError(f"{path.name} has no split {split!r}", f"it has {', '.join(known) or 'none'}")
    files = _slices(path / f"{split}_ksp_slices")
    draft = KSpaceDraft(path=path, layout=f"MEL folder of slices, {split}", acquisition="2d")
    arrays: dict[str, NDArray[Any] | None] = {"ksp": _stacked(files, "k-space")}
    digest = hashlib.sha256("".join(sha256_file(file) for file in files).encode())
    for kind, what in (("mps", "maps"), ("img", "images"), ("mask", "masks")):
        folder = path / f"{split}_{kind}_slices"
        beside = [folder / file.name for file in files]
        arrays[kind] = _stacked(beside, what) if folder.is_dir() else None
        if folder.is_dir():
            digest.update("".join(sha256_file(file) for file in beside).encode())
    assert arrays["ksp"] is not None
    space = ("row", "column")
    measured = draft.complex(arrays["ksp"], "k-space", ("slice", "coil", *space))
    maps = arrays["mps"] if arrays["mps"] is None else draft.complex(arrays["mps"], "maps", ("slice", "coil", *space))
    images = arrays["img"] if arrays["img"] is None else draft.complex(arrays["img"], "images", ("slice", *space))
    if maps is not None and maps.shape != measured.shape:
        raise DataError(
            f"{path.name}: maps of shape {maps.shape[1:]} do not fit k-space of {measured.shape[1:]}",
            "both have the axes coil, row, column",
        )
    if images is not None and images.shape != (len(measured), *measured.shape[2:]):
        raise DataError(
            f"{path.name}: images of shape {images.shape[1:]} do not fit k-space of {measured.shape[1:]}",
            "images have the axes row, column",
        )
    shape = (len(measured), *measured.shape[2:])
    mask = None if arrays["mask"] is None else draft.mask(arrays["mask"], shape, "masks")
    k_space, sampled = _ordered(draft, measured, maps, images, mask)
    cases = [_parts(file)[0] for file in files]
    numbers = {case: place for place, case in enumerate(dict.fromkeys(cases))}
    return draft.made(
        k_space * sampled[:, None],
        compact(sampled),
        digest.hexdigest(),
        maps=None if maps is None else maps.astype(np.complex64),
        truth=None if images is None else images.astype(np.complex64),
        names=tuple(file.stem for file in files),
        source_of=tuple(numbers[case] for case in cases),
    )


def _ordered(
    draft: KSpaceDraft,
    measured: NDArray[np.complexfloating],
    maps: NDArray[np.complexfloating] | None,
    images: NDArray[np.complexfloating] | None,
    mask: NDArray[np.bool_] | None,
) -> tuple[NDArray[np.complex64], NDArray[np.bool_]]:
    """K-space in the program's order, and where it was sampled."""
    orders: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
        "in the middle, as is the origin of the image": lambda array: from_centred(array, 2),
        "in the middle, the origin of the image is its first pixel": lambda array: np.fft.ifftshift(array, (-2, -1)),
        "first": lambda array: array,
    }
    shifted = None if mask is None else np.fft.ifftshift(mask, axes=(-2, -1))
    if maps is None or images is None:
        k_space = zero_frequency_first(draft, measured)
        if mask is not None and draft.facts[-1].value == "first":
            shifted = mask
    else:
        best, factor, left = "", 1 + 0j, np.inf
        place = len(measured) // 2
        predicted = np.fft.fft2(maps[place] * images[place], norm="ortho")
        for name, order in orders.items():
            found = order(measured[place])
            model = predicted * (found != 0)
            scale = np.vdot(model, found) / max(float(np.linalg.norm(model) ** 2), 1e-30)
            misfit = float(np.linalg.norm(found - scale * model) / max(float(np.linalg.norm(found)), 1e-30))
            if misfit < left:
                best, factor, left = name, complex(scale), misfit
        if left > EXPLAINED:
            draft.notes.append(
                f"images and maps leave {100 * left:.0f} % of the k-space of slice {place} unexplained in every order "
                "of its samples: they may not belong together"
            )
            best, factor = next(iter(orders)), 1 + 0j
        source = f"what images and maps predict ({100 * left:.2g} % left of slice {place})"
        draft.facts.append(Fact(name="zero frequency", value=best, source=source))
        if abs(factor - 1) > 0.01:
            draft.facts.append(Fact(name="k-space divided by", value=f"{factor:.5g}", source=source))
        k_space = np.stack([(orders[best](one) / factor).astype(np.complex64) for one in measured])
        shifted = mask if best == "first" else shifted
    if shifted is None:
        draft.assume("sampled", "where any coil is not zero", "the values; there are no masks")
        return k_space, not_zero(k_space)
    return k_space, shifted & not_zero(k_space)


def _slices(folder: Path) -> list[Path]:
    """Files of the slices, by case and number."""
    files = [file for file in folder.iterdir() if NAME.fullmatch(file.name)]
    if not files:
        raise DataError(f"{folder.name} holds no slices", "they are called CASE_SLICE.npy")
    return sorted(files, key=lambda file: ([(len(p), p) for p in re.split(r"\D+", _parts(file)[0])], *_parts(file)))


def _parts(file: Path) -> tuple[str, int]:
    match = NAME.fullmatch(file.name)
    assert match is not None
    return match["case"], int(match["slice"])


def _stacked(files: list[Path], what: str) -> NDArray[Any]:
    """Arrays of equal shape on a new first axis."""
    first = read_npy(files[0], "uifbc")
    stacked = np.empty((len(files), *first.shape), dtype=first.dtype)
    for place, file in enumerate(files):
        found = read_npy(file, "uifbc")
        if found.shape != first.shape or found.dtype != first.dtype:
            raise DataError(
                f"{what} of {file.name} are {found.dtype} of shape {found.shape}, of {files[0].name} {first.dtype} of "
                f"{first.shape}",
                "slices of one folder share their shape; keep others in a folder of their own",
            )
        stacked[place] = found
    return stacked
