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
from ptychoui.settings import MriExperiment
from ptychoui.tasks.mri.sources import Tell, draw_masks, file_sets, scaled, simulated_sets, with_maps, with_truth
from ptychoui.tasks.mri.splits import SampleSplit, divided, judging_nothing
from ptychoui.words import counted


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
        used, source = torch.unique(self.source, return_inverse=True)

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
    tested
        Of shape (held-out example, *space), real, 1 at the samples that nothing may see before the end; None where the
        truth is known.
    acquisition, transformed
        Kind of acquisition, and how many of the last axes are Fourier transformed.
    data_sha256
        Of all k-space before anything was done to it.
    notes, split
        Sentences.
    """

    training: KSpaces
    held_out: KSpaces
    tested: Tensor | None
    acquisition: str
    transformed: int
    data_sha256: str
    notes: tuple[str, ...]
    split: tuple[str, ...]


def on_cpu(data: KSpaceSet, sampled: NDArray[np.bool_]) -> KSpaces:
    """Examples, one for each source, with patterns of their own, of shape (example, *space)."""
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


def divisions(
    experiment: MriExperiment, data: KSpaceSet, sampled: NDArray[np.bool_]
) -> tuple[list[SampleSplit], NDArray[np.bool_]]:
    """The samples of each example divided, and those that judge nothing, of the shape (example, *space)."""
    settings, transformed = experiment.training, len(data.transformed)
    rng = np.random.default_rng(np.random.SeedSequence([experiment.seed, 0x4F]))
    splits = [
        divided(mask, transformed, settings, rng) for mask in np.broadcast_to(sampled, (len(data), *sampled.shape[1:]))
    ]
    return splits, np.stack([judging_nothing(mask, transformed) for mask in sampled])


def by_samples(
    experiment: MriExperiment, data: KSpaceSet, splits: list[SampleSplit]
) -> tuple[KSpaces, KSpaces, Tensor]:
    """Examples that learn from divisions of the samples, those scored, and test samples, of shape (example, *space)."""
    shown = on_cpu(data, np.stack([split.all_given for split in splits]))

    def real(masks: list[NDArray[np.bool_]]) -> Tensor:
        return torch.from_numpy(np.stack(masks).astype(np.float32))

    training = replace(
        shown,
        source=torch.arange(len(data)).repeat_interleave(experiment.training.splits),
        sampled=real([mask for split in splits for mask in split.given]),
        judged=real([mask for split in splits for mask in split.judged]),
    )
    held_out = replace(shown, judged=real([split.stop for split in splits]))
    return training, held_out, real([split.test for split in splits])


def prepare(
    experiment: MriExperiment, tell: Tell, callback: Callable[[], None] | None, all_scored: bool = False
) -> Prepared:
    """Make or read k-space, normalise it, find its coil maps and divide it.

    Where all is to be scored, because nothing of the file was learned from, every example is held out, and what there
    is to learn from stands for nothing.

    Raises
    ------
    PtychouiError
        If data and settings do not fit each other.
    """
    seeds = np.random.SeedSequence([experiment.seed, 0x4D]).spawn(2)
    if experiment.data.path:
        tell("reading k-space")
        training, held_out, split = file_sets(experiment, all_scored)
    else:
        training, held_out = simulated_sets(experiment, tell)
        some = f"{counted(len(training), 'phantom')} of the family {experiment.data.family}"
        split = (f"{some} to learn from, {len(held_out)} of {experiment.data.held_out_family} held out",)
        if experiment.training.supervision == "samples":
            split = (f"{some}, divided by samples of k-space",)
    digest = array_sha256(training.k_space, held_out.k_space)
    notes: list[str] = list(training.provenance.notes)

    def ready(data: KSpaceSet, seen: NDArray[np.bool_]) -> KSpaceSet:
        """An example set of order 1 with maps and truth; scale and maps are made of the samples ``seen``."""
        found, said = with_maps(scaled(data, seen, experiment), seen, experiment, tell, callback)
        found, more = with_truth(found, experiment)
        notes.extend(sentence for sentence in (*said, *more) if sentence not in notes)
        return found

    sampled = draw_masks(experiment, training, np.random.default_rng(seeds[0]))
    parts: tuple[KSpaces, KSpaces, Tensor | None]
    if experiment.training.supervision == "samples":
        splits, seen = divisions(experiment, training, sampled)
        parts = by_samples(experiment, ready(training, seen), splits)
    else:
        scored = draw_masks(experiment, held_out, np.random.default_rng(seeds[1]))
        parts = (on_cpu(ready(training, sampled), sampled), on_cpu(ready(held_out, scored), scored), None)
    return Prepared(
        training=parts[0],
        held_out=parts[1],
        tested=parts[2],
        acquisition=training.acquisition,
        transformed=len(training.transformed),
        data_sha256=digest,
        notes=tuple(notes),
        split=split,
    )
