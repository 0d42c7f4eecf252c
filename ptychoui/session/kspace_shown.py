"""A file of multi-channel k-space: what is shown of one of its examples, and an experiment that suits it.

SciPy, h5py and sigpy are imported inside: this belongs in a job.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.kspace import TRANSFORMED, KSpaceSet
from ptychoui.errors import DataError, PtychouiError
from ptychoui.paths import data_file, sample_data
from ptychoui.settings import MriExperiment
from ptychoui.words import counted

USUAL_ACCELERATION = 4.0
USUAL_CALIBRATION = 16
FEWEST_CALIBRATION = 6
ACCELERATIONS = (USUAL_ACCELERATION, 3.0, 2.0, 1.5)
"""Net accelerations that are tried, until so many lines are left to be divided:"""
FEWEST_DIVIDED = 20

LARGEST = 40_000_000
"""Samples of an example beyond which its coil maps are left to a run: they would take minutes."""

SUFFIX = ".kspace.h5"


@dataclass(frozen=True, slots=True, kw_only=True)
class KSpaceShown:
    """One example of a file.

    Attributes
    ----------
    path, place, count
        The file, the number of the example in it, from 0, and how many there are.
    coils
        (coil, row, column) float32, magnitudes of the coils' images from the measured samples: of volumes the middle
        slice, of series the first frame.
    combined
        (row, column) float32, root of the sum of their squares.
    sampled
        (row, column) float32, 1 where measured, the zero frequency in the middle.
    name, sentence
        What the example is called, and the file in a line.
    notes
        Conflicts and warnings: sentences.
    data
        The example, for `maps_of`: (1, coil, *space).
    """

    path: str
    place: int
    count: int
    coils: NDArray[np.float32]
    combined: NDArray[np.float32]
    sampled: NDArray[np.float32]
    name: str
    sentence: str
    notes: tuple[str, ...]
    data: KSpaceSet

    @property
    def file_name(self) -> str:
        """The file without its folder."""
        return Path(self.path).name


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedKSpace:
    """A file of k-space, and the experiment on it that is proposed, with sentences that say why."""

    experiment: MriExperiment
    shown: KSpaceShown
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapsShown:
    """Coil maps of an example that is shown.

    Attributes
    ----------
    maps
        (coil, row, column) complex64 of the plane that is shown; zero beside the object.
    unexplained
        Share of the calibration signal that they leave unexplained, 0 to 1.
    width
        Edge of the calibration region that was used, in samples.
    warnings
        Sentences.
    """

    maps: NDArray[np.complex64]
    unexplained: float
    width: int
    warnings: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """How far to trust them."""
        return (
            f"coil maps by ESPIRiT from {self.width} × {self.width} samples leave "
            f"{100 * self.unexplained:.1f} % of the calibration signal unexplained"
        )


def open_k_space(path: str | Path) -> OpenedKSpace:
    """Read a file of k-space and propose an experiment on it.

    Raises
    ------
    PtychouiError
        If it is damaged or of an unknown layout.
    """
    data = _read(str(path))
    experiment, why = experiment_for(str(path), data)
    return OpenedKSpace(experiment=experiment, shown=shown_of(experiment.data.path, data), why=why)


def read_shown(path: str, place: int = 0) -> KSpaceShown:
    """Another example of a file, or the first of an experiment's.

    Raises
    ------
    PtychouiError
        If it is damaged or of an unknown layout.
    """
    return shown_of(path, _read(path), place)


def maps_of(shown: KSpaceShown) -> MapsShown:
    """Estimate the coil maps of an example by ESPIRiT, of a slab those of the plane that is shown.

    Raises
    ------
    DataError
        If the middle of k-space was not measured whole, or the example is too large to do so beside other work.
    """
    from ptychoui.mri.calibration import calibration_of
    from ptychoui.mri.maps import EspiritSettings, estimate_maps

    data = shown.data
    if data.acquisition == "slab":
        middle = data.space[0] // 2
        sampled = data.sampled[:, middle if data.sampled.shape[1] > 1 else 0]
        data = replace(data, acquisition="2d", k_space=data.k_space[:, :, middle], sampled=sampled)
    if data.k_space.size > LARGEST:
        raise DataError("coil maps of so large a volume are estimated when a run begins", "start a run")
    edge = min(calibration_of(data, 0).size)
    settings = EspiritSettings(kernel_width=max(2, min(6, edge // 2)))
    found = estimate_maps(data, settings)
    maps = found.maps[0]
    if maps.ndim == 4:
        maps = maps[:, maps.shape[1] // 2 if data.acquisition == "3d" else 0]
    return MapsShown(maps=maps, unexplained=found.residual[0], width=found.width[0], warnings=found.warnings)


def experiment_for(path: str, data: KSpaceSet) -> tuple[MriExperiment, tuple[str, ...]]:
    """An experiment that can be trained on a file as it is, and sentences that say why it is this one."""
    whole, objects = bool(data.sampled.all()), len(set(data.source_of) or range(len(data)))
    rows = data.space[-2]
    by_truth = whole and objects > 1
    # Half of all lines at most, so that there are some to choose.
    half = int(rows / USUAL_ACCELERATION / 2) // 2 * 2
    calibration = max(FEWEST_CALIBRATION, min(USUAL_CALIBRATION, half))
    acceleration, pattern = USUAL_ACCELERATION, "variable_density"
    if not by_truth:
        # The lines beside the calibration are divided among all that learns and judges: those of a pattern that is
        # dense in the middle would nearly all count as calibration.
        pattern = "uniform_random"
        acceleration = next((a for a in ACCELERATIONS if rows / a - calibration >= FEWEST_DIVIDED), ACCELERATIONS[-1])
    sampling = {
        "pattern": pattern if whole else "measured",
        "acceleration": acceleration,
        "calibration": calibration,
    }
    source: dict[str, Any] = {"path": _named(path)}
    if data.maps is not None:
        source["maps"] = "stated"
    values: dict[str, Any] = {
        "name": Path(path.rpartition("::")[0] or path).name.partition(".")[0] or "k-space",
        "data": source,
        "sampling": sampling,
        "training": {"supervision": "truth" if by_truth else "samples", "batch": max(1, min(2, objects))},
    }
    if by_truth:
        truth = "those of all samples" if data.truth is None else "the true ones of the file"
        why = f"all of k-space was measured: patterns are drawn, and images held against {truth}"
    elif whole:
        why = "there is one object only: a pattern is drawn, and images are held against samples left out of it"
    else:
        why = f"k-space was measured in part ({data.net_acceleration:.3g}×): images are held against samples left out"
    with suppress(PtychouiError):  # sizes of a simulation, which a file does not need
        sizes = {"acquisition": data.acquisition, "size": data.space, "coils": data.coils}
        return MriExperiment(**{**values, "data": {**source, **sizes}}), (why,)
    return MriExperiment(**values), (why,)


def shown_of(path: str, data: KSpaceSet, place: int = 0) -> KSpaceShown:
    """Pictures of one example of a set."""
    place = min(max(place, 0), len(data) - 1)
    one = replace(
        data,
        k_space=data.k_space[place : place + 1].copy(),
        sampled=data.sampled[place : place + 1].copy(),
        maps=None,
        truth=None,
        support=None,
        names=data.names[place : place + 1],
        source_of=(),
    )
    k_space, mask = one.k_space[0], np.broadcast_to(one.sampled[0], one.space)
    if len(one.space) == 3:
        plane = 0 if one.acquisition == "cine" else one.space[0] // 2
        mask = mask[plane]
        if one.acquisition == "3d":
            k_space = np.fft.ifft(k_space, axis=1, norm="ortho")
        k_space = k_space[:, plane]
    coils = np.abs(np.fft.ifft2(k_space, norm="ortho")).astype(np.float32)
    combined = np.sqrt((coils.astype(np.float64) ** 2).sum(axis=0)).astype(np.float32)
    sampled = np.fft.fftshift(mask).astype(np.float32)
    for array in (coils, combined, sampled):
        array.setflags(write=False)
    name = data.names[place] if data.names else f"example {place + 1}"
    return KSpaceShown(
        path=path,
        place=place,
        count=len(data),
        coils=coils,
        combined=combined,
        sampled=sampled,
        name=name,
        sentence=_sentence(data),
        notes=data.provenance.notes,
        data=one,
    )


def _sentence(data: KSpaceSet) -> str:
    space = " × ".join(str(size) for size in data.space)
    measured = "all of k-space measured"
    if not data.sampled.all():
        measured = f"{100 / data.net_acceleration:.1f} % of k-space measured ({data.net_acceleration:.3g}× faster)"
    axes = "" if TRANSFORMED[data.acquisition] == len(data.space) == 2 else f", {data.acquisition}"
    return f"{counted(len(data), 'example')} of {space}{axes}, {counted(data.coils, 'coil')}, {measured}"


def _read(path: str) -> KSpaceSet:
    from ptychoui.data.formats.open_kspace import open_kspace

    return open_kspace(data_file(path))


def _named(path: str) -> str:
    """Samples of the program by their names: they lie elsewhere on another machine."""
    file = Path(path)
    with suppress(OSError):
        if file.name.endswith(SUFFIX) and file.resolve().parent == sample_data().resolve():
            return f"sample:{file.name.removesuffix(SUFFIX)}"
    return path
