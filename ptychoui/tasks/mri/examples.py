"""Examples of multi-channel k-space: simulated or from a file, with maps, patterns and what they are judged by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.data.dataset import array_sha256
from ptychoui.data.kspace import KSpaceSet
from ptychoui.errors import DataError, SettingsError
from ptychoui.mri.channels import normalised
from ptychoui.mri.maps import EspiritSettings, estimate_maps
from ptychoui.mri.phantoms import FAMILIES
from ptychoui.mri.sampling import PATTERNS, draw_mask
from ptychoui.mri.simulate import simulate
from ptychoui.settings import MriExperiment
from ptychoui.words import counted

Tell = Callable[[str], None]

MAP_ITERATIONS = 30
"""Power iterations of ESPIRiT: a residual of calibration as after 100, in a third of the time."""


@dataclass(frozen=True)
class KSpaces:
    """Examples on a device; several may share the k-space of one source, under other patterns.

    Attributes
    ----------
    k_space
        (source, C, *space) complex, zero frequency first.
    maps
        (source, C, *space) complex; a frame axis may have length 1.
    truth
        (source, *space) complex, or None where nobody knows it.
    support
        (source, *space) real, 1 where errors count.
    source
        (example,) number of each example's source.
    sampled
        (example, *space) real, 1 where an example is measured; axes of length 1 where nothing depends on them.
    judged
        (example, *space) real, 1 at the samples that its image is judged by, or None where the truth judges.
    """

    k_space: Tensor
    maps: Tensor
    truth: Tensor | None
    support: Tensor
    source: Tensor
    sampled: Tensor
    judged: Tensor | None = None

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.source)

    def pick(self, places: list[int]) -> KSpaces:
        """Some of the examples; a place may come twice."""
        return self._with(torch.as_tensor(places, dtype=torch.int64, device=self.source.device))

    def part(self, first: int, stop: int) -> KSpaces:
        """The examples from ``first`` to before ``stop``."""
        return self._with(slice(first, stop))

    def _with(self, chosen: Tensor | slice) -> KSpaces:
        judged = None if self.judged is None else self.judged[chosen]
        return replace(self, source=self.source[chosen], sampled=self.sampled[chosen], judged=judged)

    def joined(self, others: KSpaces) -> KSpaces:
        """These examples and others, of the same sizes, behind them."""

        def both(one: Tensor | None, two: Tensor | None) -> Tensor | None:
            return None if one is None or two is None else torch.cat([one, two])

        return KSpaces(
            k_space=torch.cat([self.k_space, others.k_space]),
            maps=torch.cat([self.maps, others.maps]),
            truth=both(self.truth, others.truth),
            support=torch.cat([self.support, others.support]),
            source=torch.cat([self.source, others.source + len(self.k_space)]),
            sampled=torch.cat([self.sampled, others.sampled]),
            judged=both(self.judged, others.judged),
        )

    def double(self) -> KSpaces:
        """The same in double precision."""
        used, source = torch.unique(self.source, return_inverse=True)  # type: ignore[no-untyped-call]

        def real(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.double()

        return KSpaces(
            k_space=self.k_space[used].to(torch.complex128),
            maps=self.maps[used].to(torch.complex128),
            truth=None if self.truth is None else self.truth[used].to(torch.complex128),
            support=self.support[used].double(),
            source=source,
            sampled=self.sampled.double(),
            judged=real(self.judged),
        )


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a task is built from.

    Attributes
    ----------
    training, held_out
        Examples on the CPU, in single precision.
    acquisition, transformed
        Kind of acquisition, and how many of the last axes are Fourier transformed.
    data_sha256
        Of all k-space before anything was done to it.
    notes, split
        Sentences.
    """

    training: KSpaces
    held_out: KSpaces
    acquisition: str
    transformed: int
    data_sha256: str
    notes: tuple[str, ...]
    split: tuple[str, ...]


def simulated_sets(experiment: MriExperiment, tell: Tell) -> tuple[KSpaceSet, KSpaceSet]:
    """Fully sampled k-space to learn from and to be scored on, (example, coil, *space): of other seeds or families.

    Raises
    ------
    SettingsError
        If a family is not known, or does not fit the acquisition.
    """
    data = experiment.data
    for family in (data.family, data.held_out_family):
        if family not in FAMILIES:
            raise SettingsError(f"phantoms of the family {family!r} are not known", f"families: {', '.join(FAMILIES)}")
    tell("drawing phantoms and measuring them")
    seeds = np.random.SeedSequence([experiment.seed, 0x4B]).spawn(2)
    made = []
    for family, count, seed in zip(
        (data.family, data.held_out_family), (data.examples, data.held_out), seeds, strict=True
    ):
        generator = np.random.default_rng(seed)
        made.append(
            simulate(
                data.acquisition, family, count, data.size, data.coils, generator, snr_db=data.snr_db, with_maps=True
            )
        )
    return made[0], made[1]


def with_maps(
    data: KSpaceSet, experiment: MriExperiment, tell: Tell, callback: Callable[[], None] | None
) -> tuple[KSpaceSet, tuple[str, ...]]:
    """The examples with the maps that a reconstruction may use, and sentences on how they were found.

    Maps are estimated from the calibration region alone, with its noise, whatever else is measured. True images whose
    true maps are known are turned to the phase of the estimated ones: no measurement can tell the two apart.

    Raises
    ------
    DataError
        If stated maps are asked for and there are none, or a calibration region is missing or too small.
    """
    if experiment.data.maps == "stated":
        if data.maps is None:
            raise DataError("the k-space comes without coil maps", "set data.maps = 'estimated'")
        return data, ("coil maps: as the data state them",)
    tell(f"estimating the coil maps of {counted(len(data), 'example')}")
    width = experiment.sampling.calibration if experiment.sampling.pattern != "measured" else 24
    kernel = min(6, width // 2)
    settings = EspiritSettings(kernel_width=kernel, calibration_width=width, iterations=MAP_ITERATIONS)
    found = estimate_maps(data, settings, callback)
    truth = data.truth
    if truth is not None and data.maps is not None:
        along = (found.maps.conj() * data.maps).sum(1)
        size = np.abs(along)
        truth = truth * np.where(size > 0, along / np.where(size > 0, size, 1), 1).astype(np.complex64)
    note = f"coil maps by ESPIRiT leave {100 * max(found.residual):.1f} % of the calibration signal unexplained at most"
    return replace(data, maps=found.maps, truth=truth), (note, *found.warnings)


def on_cpu(data: KSpaceSet, sampled: NDArray[np.bool_]) -> KSpaces:
    """Examples, one for each source, with patterns (example, *space) of their own."""
    assert data.maps is not None
    support = np.ones(data.k_space[:, 0].shape, bool) if data.support is None else data.support
    return KSpaces(
        k_space=torch.from_numpy(np.array(data.k_space)),
        maps=torch.from_numpy(np.array(data.maps)),
        truth=None if data.truth is None else torch.from_numpy(np.array(data.truth)),
        support=torch.from_numpy(np.broadcast_to(support, data.k_space[:, 0].shape).astype(np.float32)),
        source=torch.arange(len(data)),
        sampled=torch.from_numpy(sampled.astype(np.float32)),
    )


def draw_masks(experiment: MriExperiment, data: KSpaceSet, generator: np.random.Generator) -> NDArray[np.bool_]:
    """A pattern for each example, (example, *space), axes of length 1 where nothing depends on them.

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


def prepare(experiment: MriExperiment, tell: Tell, callback: Callable[[], None] | None) -> Prepared:
    """Make or read k-space, normalise it, find its coil maps and divide it.

    Raises
    ------
    PtychouiError
        If data and settings do not fit each other.
    """
    seed = np.random.SeedSequence([experiment.seed, 0x4D]).spawn(2)
    if experiment.data.path:
        from ptychoui.tasks.mri.from_files import sets_of_file

        training, held_out, split = sets_of_file(experiment, tell)
    else:
        training, held_out = simulated_sets(experiment, tell)
        split = (
            f"{counted(len(training), 'phantom')} of the family {experiment.data.family} to learn from, "
            f"{len(held_out)} of {experiment.data.held_out_family} held out",
        )
    digest = array_sha256(training.k_space, held_out.k_space)
    notes: list[str] = list(training.provenance.notes)
    parts = []
    for data, own in zip((training, held_out), seed, strict=True):
        ready, said = with_maps(normalised(data).data, experiment, tell, callback)
        notes += [sentence for sentence in said if sentence not in notes]
        parts.append(on_cpu(ready, draw_masks(experiment, ready, np.random.default_rng(own))))
    return Prepared(
        training=parts[0],
        held_out=parts[1],
        acquisition=training.acquisition,
        transformed=len(training.transformed),
        data_sha256=digest,
        notes=tuple(notes),
        split=split,
    )
