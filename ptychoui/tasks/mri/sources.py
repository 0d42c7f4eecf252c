"""Multi-channel k-space for a task: simulated or from a file, of order 1, with coil maps, a truth and patterns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.formats.open_kspace import open_kspace
from ptychoui.data.kspace import KSpaceSet
from ptychoui.errors import DataError, SettingsError
from ptychoui.mri.channels import normalised
from ptychoui.mri.maps import EspiritSettings, estimate_maps, of_unit_size, truth_under
from ptychoui.mri.phantoms import FAMILIES
from ptychoui.mri.sampling import PATTERNS, draw_mask
from ptychoui.mri.simulate import simulate
from ptychoui.paths import data_file
from ptychoui.settings import MriExperiment
from ptychoui.words import counted

Tell = Callable[[str], None]

MAP_ITERATIONS = 30
"""Power iterations of ESPIRiT: a residual of calibration as after 100, in a third of the time."""


def simulated_sets(experiment: MriExperiment, tell: Tell) -> tuple[KSpaceSet, KSpaceSet]:
    """Fully sampled k-space of shape (example, coil, *space), to learn from and to be scored on: of other seeds.

    Raises
    ------
    SettingsError
        If a family is not known, or does not fit the acquisition.
    """
    data = experiment.data
    tell("drawing phantoms and measuring them")
    seeds = np.random.SeedSequence([experiment.seed, 0x4B]).spawn(2)
    made = []
    for names, count, seed in zip(
        (data.family, data.held_out_family), (data.examples, data.held_out), seeds, strict=True
    ):
        families = [name.strip() for name in names.split("+")]
        for family in families:
            if family not in FAMILIES:
                raise SettingsError(
                    f"phantoms of the family {family!r} are not known", f"families: {', '.join(FAMILIES)}"
                )
        if len(families) > count:
            raise SettingsError(
                f"{counted(count, 'phantom')} cannot be of {len(families)} families", "ask for more examples"
            )
        parts = []
        for place, family in enumerate(families):
            share = count * (place + 1) // len(families) - count * place // len(families)
            generator = np.random.default_rng(seed.spawn(1)[0] if len(families) > 1 else seed)
            shape = (data.size, data.coils, generator)
            parts.append(simulate(data.acquisition, family, share, *shape, snr_db=data.snr_db, with_maps=True))
        made.append(joined(parts))
    return made[0], made[1]


def joined(parts: list[KSpaceSet]) -> KSpaceSet:
    """Simulated sets of equal sizes as one, k-space of shape (example, coil, *space); the first says where from."""
    if len(parts) == 1:
        return parts[0]
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("k_space", "sampled", "maps", "truth", "support")
    }
    names = tuple(name for part in parts for name in part.names)
    return replace(parts[0], **arrays, names=names, source_of=tuple(range(len(names))), noise_std=None)


def with_maps(
    data: KSpaceSet,
    sampled: NDArray[np.bool_],
    experiment: MriExperiment,
    tell: Tell,
    callback: Callable[[], None] | None,
) -> tuple[KSpaceSet, tuple[str, ...]]:
    """The examples with the maps that a reconstruction may use, and sentences on how they were found.

    Maps are estimated from the calibration region of the patterns ``sampled``, of shape (example, *space), with its
    noise. Maps have a sum of squares of 1; true images whose own maps are known are those of the maps given back, in
    size and phase: no measurement can tell them apart.

    Raises
    ------
    DataError
        If stated maps are asked for and there are none, or a calibration region is missing or too small.
    """
    truth = data.truth
    if experiment.data.maps == "stated":
        if data.maps is None:
            raise DataError("the k-space comes without coil maps", "set data.maps = 'estimated'")
        unit, _ = of_unit_size(data.maps)
        if unit is data.maps:
            return data, ("coil maps: as the data state them",)
        truth = None if truth is None else truth_under(unit, data.maps, truth)
        note = "coil maps: as the data state them, divided by their root sum of squares"
        return replace(data, maps=unit, truth=truth), (note,)
    tell(f"estimating the coil maps of {counted(len(data), 'example')}")
    width = experiment.sampling.calibration if experiment.sampling.pattern != "measured" else 24
    kernel = min(6, width // 2)
    settings = EspiritSettings(kernel_width=kernel, calibration_width=width, iterations=MAP_ITERATIONS)
    measured = replace(data, sampled=sampled, k_space=data.k_space * sampled[:, None])
    found = estimate_maps(measured, settings, callback)
    if truth is not None and data.maps is not None:
        truth = truth_under(found.maps, data.maps, truth)
    note = f"coil maps by ESPIRiT leave {100 * max(found.residual):.1f} % of the calibration signal unexplained at most"
    return replace(data, maps=found.maps, truth=truth), (note, *found.warnings)


def file_sets(experiment: MriExperiment, all_scored: bool = False) -> tuple[KSpaceSet, KSpaceSet, tuple[str, ...]]:
    """K-space of the experiment's file to learn from and to be scored on, and how it was divided.

    Examples of one source stay together. Where samples judge, every example is in both sets; where all is to be scored,
    every example is among those, and the first one stands for what is learned from.

    Raises
    ------
    DataError
        If the file is missing or damaged, or there is too little in it to hold anything out.
    """
    data = open_kspace(data_file(experiment.data.path), seed=experiment.seed)
    if experiment.training.supervision == "samples":
        return data, data, (f"{counted(len(data), 'example')}, divided by samples of k-space",)
    if all_scored:
        return data.pick([0]), data, (f"{counted(len(data), 'example')}, all of them scored",)
    sources = list(data.source_of) or list(range(len(data)))
    order = sorted(set(sources))
    count = max(1, round(experiment.training.holdout * len(order)))
    if len(order) <= count:
        raise DataError(
            f"{counted(len(order), 'object')} in the file: none is left to learn from",
            "give k-space of two objects or more, or set training.supervision = 'samples'",
        )
    rng = np.random.default_rng(np.random.SeedSequence([experiment.seed, 0x4E]))
    held = {order[place] for place in rng.choice(len(order), count, replace=False)}
    parts = [[i for i, source in enumerate(sources) if (source in held) is chosen] for chosen in (False, True)]
    split = f"{len(order) - count} of {counted(len(order), 'object')} to learn from, {count} held out"
    return data.pick(parts[0]), data.pick(parts[1]), (split,)


def with_truth(data: KSpaceSet, experiment: MriExperiment) -> tuple[KSpaceSet, tuple[str, ...]]:
    """The examples with the images that they are held against, and a sentence where these had to be made.

    True images of a file that are not those of its k-space under the maps, in size or phase, are not used.

    Raises
    ------
    DataError
        If there is no truth that fits, and k-space does not hold all samples to make one of.
    """
    if experiment.training.supervision == "samples" or (data.truth is not None and (apart := _apart(data)) <= APART):
        return data, ()
    assert data.maps is not None
    foreign = "" if data.truth is None else "not those of the file, which do not fit its k-space and coil maps, but "
    if not data.sampled.all():
        raise DataError(
            "there are no true images, and k-space is not fully sampled"
            if data.truth is None
            else f"the true images of the file are not those of its k-space under the coil maps: {apart:.2g} of them "
            "is missing or too much, or has another phase",
            "set training.supervision = 'samples' to learn from the measured samples alone",
        )
    images = np.fft.ifftn(data.k_space, axes=data.transformed, norm="ortho")
    truth = (images * data.maps.conj()).sum(1).astype(np.complex64)
    note = f"true images: {foreign}all samples, with their noise, combined by the coil maps"
    return replace(data, truth=truth), (note,)


APART = 0.1
"""So far from 1 the share of a true image that k-space shows may be: noise in the phases of maps takes 0.02."""


def _apart(data: KSpaceSet) -> float:
    """Largest |<A t, y> / <A t, A t> - 1| of an example: 0 where truth, maps and samples fit, whatever the noise."""
    assert data.truth is not None and data.maps is not None
    seen = np.fft.fftn(data.truth[:, None] * data.maps, axes=data.transformed, norm="ortho") * data.sampled[:, None]
    shares = [np.vdot(a, y) / max(float(np.vdot(a, a).real), 1e-30) for a, y in zip(seen, data.k_space, strict=True)]
    return float(max(abs(share - 1) for share in shares))


def draw_masks(experiment: MriExperiment, data: KSpaceSet, generator: np.random.Generator) -> NDArray[np.bool_]:
    """A pattern for each example, of shape (example, *space), axes of length 1 where nothing depends on them.

    Raises
    ------
    SettingsError
        If the pattern is not known or its numbers do not fit.
    DataError
        If the data do not hold all samples that patterns choose from.
    """
    sampling = experiment.sampling
    if sampling.pattern == "measured":
        return np.asarray(data.sampled)
    if sampling.pattern not in PATTERNS:
        raise SettingsError(
            f"the sampling pattern {sampling.pattern!r} is not known", f"patterns: {', '.join(PATTERNS)}, measured"
        )
    if not data.sampled.all():
        raise DataError(
            f"k-space is sampled at a net acceleration of {data.net_acceleration:.3g} already",
            "set sampling.pattern = 'measured' and training.supervision = 'samples', or use fully sampled data",
        )
    shape = (sampling.pattern, data.acquisition, data.space, sampling.acceleration, sampling.calibration)
    return np.stack([draw_mask(*shape, generator) for _ in range(len(data))])


def scaled(data: KSpaceSet, sampled: NDArray[np.bool_], experiment: MriExperiment) -> KSpaceSet:
    """The examples with values of order 1: each divided by a scale that its measured calibration region decides.

    Patterns are of shape (example, *space). Where they have no calibration region, all of k-space decides.

    Raises
    ------
    DataError
        If what decides is zero.
    """
    shown = data
    if experiment.sampling.calibration or experiment.sampling.pattern == "measured":
        shown = replace(data, sampled=sampled, k_space=data.k_space * sampled[:, None])
    scale = np.asarray(normalised(shown).scale, np.float32).reshape(-1, *[1] * (data.k_space.ndim - 1))
    truth = None if data.truth is None else data.truth / scale[:, 0]
    return replace(data, k_space=data.k_space / scale, truth=truth, noise_std=None)
