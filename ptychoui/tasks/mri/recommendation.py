"""What to use in the end: the learned network, or a reconstruction that learned nothing, tuned as well as it can be.

Where the truth is known, the strength of each classical method is the one that is best on examples of the training, and
all are judged on the held-out ones. Where it is not, strengths are chosen by the samples that stop, and all are judged
by test samples that nothing has seen; the network and the others are then given everything but these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui.data.dataset import Provenance
from ptychoui.data.kspace import KSpaceSet
from ptychoui.mri.classical import METHODS, method_of, reconstruct, tune
from ptychoui.mri.metrics import nrmse
from ptychoui.tasks.mri.examples import KSpaces
from ptychoui.training.gradients import reconstruct_batch
from ptychoui.training.parameters import ParameterSet
from ptychoui.training.verdict import LEARNED, Terms, Verdict, compared, verdict

if TYPE_CHECKING:
    from ptychoui.tasks.mri.task import MriTask

JUDGED = 8
"""Held-out examples that are judged at most."""

TUNING = 3
"""Examples of the training that choose strengths."""

TERMS = Terms(
    learned="the learned weights", example="held-out example", more="measure more samples, or with less noise"
)
OF_SAMPLES = "comparison with samples that nothing has seen"
OF_TRUTH = "comparison with the truth"

Go = Callable[[], None]
Score = Callable[[NDArray[np.complex64], int], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Errors of every reconstruction on the same held-out examples, samples and maps.

    Attributes
    ----------
    learned
        Of the network, of shape (example,).
    known
        Of every classical method at its best strength, by the name that files call it, each of shape (example,).
    by_samples
        Whether samples judge that nothing has seen, and not the truth.
    images
        Of the network, ``learned``, and of every classical method, of shape (example, *space).
    """

    learned: NDArray[np.float64]
    known: dict[str, NDArray[np.float64]]
    by_samples: bool
    images: dict[str, NDArray[np.complex64]]


def recommend(task: MriTask, parameters: ParameterSet, callback: Go = lambda: None) -> Verdict:
    """Hold the learned network against every method of `mri.classical.METHODS`, on the same samples and maps.

    Parameters
    ----------
    callback
        Called between layers and iterations: where the work can be given up by an exception.
    """
    found = judge(task, parameters, callback)
    by = OF_SAMPLES if found.by_samples else OF_TRUTH
    rows = [compared(name, title_of(name), by, errors, found.learned) for name, errors in found.known.items()]
    return verdict(rows, len(found.learned), TERMS)


def judge(task: MriTask, parameters: ParameterSet, callback: Go = lambda: None) -> Judged:
    """Errors of the learned network and of every classical method, whose strengths other examples, or samples, choose.

    Parameters
    ----------
    callback
        Called between layers and iterations: where the work can be given up by an exception.
    """
    held = task.held_out.pick(list(range(min(JUDGED, len(task.held_out)))))
    if task.tested is None:
        given = held
        choosing = as_set(task, parameters, task.training.pick(list(range(min(TUNING, len(task.training))))))
        data = as_set(task, parameters, held)
        chosen_by, error = _by_truth(choosing), _by_truth(data)
    else:
        assert held.judged is not None
        given = all_but_test(held)
        choosing, data = as_set(task, parameters, held), as_set(task, parameters, given)
        chosen_by = _by_samples(task, held, held.judged.cpu().numpy() > 0)
        error = _by_samples(task, held, task.tested.cpu().numpy() > 0)
    images = reconstruct_batch(task, task.network(), parameters, given, None, callback).cpu().numpy()
    learned = np.array([error(image, place) for place, image in enumerate(images)])
    known, shown = {}, {LEARNED: images}
    for name in METHODS:
        strength = tune(name, choosing, chosen_by, callback=callback).strength if method_of(name).parameter else 0.0
        own = known_name(name, strength)
        shown[own] = np.stack([reconstruct(name, data, n, strength, callback=callback) for n in range(len(data))])
        known[own] = np.array([error(image, place) for place, image in enumerate(shown[own])])
    return Judged(learned=learned, known=known, by_samples=task.tested is not None, images=shown)


def band_errors(task: MriTask, found: Judged, bands: int = 3) -> dict[str, list[float]]:
    """Errors of test samples in rings of k-space, the innermost first, by the names of ``found.images``.

    Rings have equal widths out to the corners' half; the last holds everything beyond. NaN where a ring has none.
    """
    assert task.tested is not None
    axes = task.space[-task.transformed :]
    squared = sum(
        np.square(np.fft.fftfreq(n) / 0.5).reshape([-1 if a == axis else 1 for a in range(len(axes))])
        for axis, n in enumerate(axes)
    )
    ring = np.minimum((np.sqrt(squared) * bands).astype(int), bands - 1)
    held = task.held_out
    errors: dict[str, list[float]] = {}
    for name, images in found.images.items():
        errors[name] = []
        for band in range(bands):
            each = []
            for place, image in enumerate(images):
                source, chosen = int(held.source[place]), (task.tested[place].cpu().numpy() > 0) & (ring == band)
                if chosen.any():
                    maps, k_space = held.maps[source].cpu().numpy(), held.k_space[source].cpu().numpy()
                    each.append(sample_error(image, maps, k_space, chosen, task.transformed))
            errors[name].append(float(np.mean(each)) if each else float("nan"))
    return errors


def known_name(method: str, strength: float) -> str:
    """A classical method with its strength, as files call it."""
    return f"{method}:{strength:g}"


def method_and_strength(name: str) -> tuple[str, float]:
    """What `known_name` was made of."""
    method, _, strength = name.partition(":")
    return method, float(strength or 0)


def title_of(name: str) -> str:
    """A classical method with its strength, for people."""
    method, strength = method_and_strength(name)
    title = METHODS[method].title.split(":")[0]
    return f"{title} of strength {strength:.2g}" if METHODS[method].parameter else title


def as_set(task: MriTask, parameters: ParameterSet, examples: KSpaces) -> KSpaceSet:
    """Examples as the classical methods take them: what is measured, (example, coil, *space), and their maps."""
    with torch.no_grad():
        sampled = task.sampling(parameters, examples, None, training=False).cpu().numpy() > 0
    k_space = examples.k_space[examples.source].cpu().numpy() * sampled[:, None]
    truth = None if examples.truth is None else examples.truth[examples.source].cpu().numpy().astype(np.complex64)
    return KSpaceSet(
        acquisition=task.acquisition,  # type: ignore[arg-type]
        k_space=k_space.astype(np.complex64),
        sampled=sampled,
        maps=examples.maps[examples.source].cpu().numpy().astype(np.complex64),
        truth=truth,
        support=examples.support[examples.source].cpu().numpy() > 0,
        provenance=Provenance(source=task.source, layout="a task's examples", sha256=task.data_sha256),
    )


def all_but_test(held: KSpaces) -> KSpaces:
    """Held-out examples that are given what they are scored by as well: everything but the test samples."""
    assert held.judged is not None
    return replace(held, sampled=torch.maximum(held.sampled, held.judged))


def _by_truth(data: KSpaceSet) -> Score:
    def error(image: NDArray[np.complex64], place: int) -> float:
        assert data.truth is not None and data.support is not None
        return nrmse(image, data.truth[place], data.support[place])

    return error


def _by_samples(task: MriTask, held: KSpaces, chosen: NDArray[np.bool_]) -> Score:
    """Relative error of the predicted samples, (example, *space) bool."""

    def error(image: NDArray[np.complex64], place: int) -> float:
        source = int(held.source[place])
        maps, k_space = held.maps[source].cpu().numpy(), held.k_space[source].cpu().numpy()
        return sample_error(image, maps, k_space, chosen[place], task.transformed)

    return error


def sample_error(
    image: NDArray[np.complex64],
    maps: NDArray[np.complex64],
    k_space: NDArray[np.complex64],
    chosen: NDArray[np.bool_],
    transformed: int,
) -> float:
    """||W (y - F S x)|| / ||W y|| over some samples.

    Parameters
    ----------
    image
        Of shape (*space).
    maps, k_space
        Of shape (coil, *space); maps may have length 1 along frames.
    chosen
        Of shape (*space), bool, or with axes of length 1.
    transformed
        How many of the last axes are Fourier transformed.
    """
    predicted = np.fft.fftn(maps * image, axes=tuple(range(-transformed, 0)), norm="ortho")
    apart, whole = (predicted - k_space) * chosen, k_space * chosen
    return float(np.linalg.norm(apart) / np.linalg.norm(whole))
