"""Reconstructions that learn nothing: zero-filled, CG-SENSE, l1-wavelet and total variation, as sigpy computes them.

All of them see y = W F (S x) + noise of one plane or volume: a slab is reconstructed readout by readout, cine frame by
frame. Strengths are in units of data whose images have values of order 1, see `ptychoui.mri.channels.normalised`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.kspace import TRANSFORMED, KSpaceSet, to_centred
from ptychoui.errors import DataError, SettingsError
from ptychoui.mri.maps import isolated_random

CG_TOLERANCE = 1e-5
"""Conjugate gradients end where the residual of the normal equations is this share of the first one."""

Callback = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One plane or volume to be reconstructed; everything that is in it is transformed.

    Attributes
    ----------
    k_space
        Of shape (coil, *space), complex64, zero frequency first.
    sampled
        Of the shape of the space, bool; axes that it does not depend on have length 1.
    maps
        Of shape (coil, *space), complex64.
    """

    k_space: NDArray[np.complex64]
    sampled: NDArray[np.bool_]
    maps: NDArray[np.complex64]

    @property
    def axes(self) -> tuple[int, ...]:
        """The transformed axes, counted from the end."""
        return tuple(range(1 - self.k_space.ndim, 0))

    def predicted(self, image: NDArray[np.complexfloating]) -> NDArray[np.complexfloating]:
        """F (S x), sampled or not, of shape (coil, *space) from an image of the shape of the space."""
        return np.fft.fftn(self.maps * image, axes=self.axes, norm="ortho")


Solver = Callable[[Problem, float, int, Callback | None], NDArray[np.complex64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A row of `METHODS`.

    Attributes
    ----------
    title
        What it is, and what it minimises.
    solve
        (problem, strength, iterations, callback) -> image of the shape of the space, complex64.
    parameter
        What its strength is called; empty where it has none.
    grid
        Strengths to be tried, rising.
    usual
        Strength that is taken where nothing chooses one.
    iterations
        At most so many.
    """

    title: str
    solve: Solver
    parameter: str
    grid: tuple[float, ...]
    usual: float
    iterations: int


def problems(data: KSpaceSet, place: int) -> list[Problem]:
    """The planes or the volume of one example, in order.

    Parameters
    ----------
    data
        Examples of k-space, (example, coil, *space), with maps.
    place
        Number of the example.

    Raises
    ------
    DataError
        If the set has no maps.
    """
    if data.maps is None:
        raise DataError("a reconstruction needs coil maps", "estimate them first, by ptychoui.mri.maps.with_maps")
    k_space, sampled, maps = data.k_space[place], data.sampled[place], data.maps[place]
    if len(data.space) == TRANSFORMED[data.acquisition]:
        return [Problem(k_space=k_space, sampled=sampled, maps=maps)]
    return [
        Problem(
            k_space=k_space[:, plane],
            sampled=sampled[plane if len(sampled) > 1 else 0],
            maps=maps[:, plane if maps.shape[1] > 1 else 0],
        )
        for plane in range(data.space[0])
    ]


def reconstruct(
    method: str,
    data: KSpaceSet,
    place: int = 0,
    strength: float | None = None,
    iterations: int | None = None,
    callback: Callback | None = None,
) -> NDArray[np.complex64]:
    """Reconstruct one example by a method of `METHODS`.

    Parameters
    ----------
    method
        Its name in the table.
    data
        Examples of k-space, (example, coil, *space), with maps.
    place
        Number of the example.
    strength
        Weight of the prior; the method's usual one where None.
    iterations
        At most so many for every plane; the method's own number where None.
    callback
        Is called after every iteration, and may raise to stop.

    Returns
    -------
    ndarray
        Image of shape (*space), complex64.

    Raises
    ------
    SettingsError
        If there is no such method, or the strength is not a finite number of 0 or more.
    DataError
        If the set has no maps, or the method diverged.
    """
    chosen = method_of(method)
    strength = chosen.usual if strength is None else strength
    if not (math.isfinite(strength) and strength >= 0):
        raise SettingsError(f"a strength of {strength} for {method}", "choose a finite number of 0 or more")
    found = problems(data, place)
    planes = [chosen.solve(problem, strength, iterations or chosen.iterations, callback) for problem in found]
    image = planes[0] if len(data.space) == TRANSFORMED[data.acquisition] else np.stack(planes)
    if not np.isfinite(image).all():
        raise DataError(
            f"{chosen.title.split(':')[0]} of example {place} diverged",
            "choose another strength, or check the coil maps",
        )
    return image


def method_of(name: str) -> Method:
    """The row of `METHODS` of that name.

    Raises
    ------
    SettingsError
        If there is none.
    """
    if name not in METHODS:
        raise SettingsError(f"there is no method {name!r}", f"methods are {', '.join(METHODS)}")
    return METHODS[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """A strength and what it was chosen from.

    Attributes
    ----------
    strength
        The one with the lowest mean score.
    scores
        (strength, mean score) of all that were tried, in their order.
    """

    method: str
    strength: float
    scores: tuple[tuple[float, float], ...]

    @property
    def at_the_edge(self) -> bool:
        """Whether a strength beyond those that were tried may be better still."""
        return len(self.scores) > 1 and self.strength in (self.scores[0][0], self.scores[-1][0]) and self.strength > 0


def tune(
    method: str,
    examples: KSpaceSet,
    score: Callable[[NDArray[np.complex64], int], float],
    strengths: Sequence[float] | None = None,
    callback: Callback | None = None,
) -> Tuned:
    """Choose the strength of a method on examples for validation; those that it is judged on are none of them.

    Parameters
    ----------
    method
        Its name in `METHODS`.
    examples
        Examples of k-space, (example, coil, *space), with maps.
    score
        Of (image of shape (*space), number of the example); lower is better.
    strengths
        What is tried; the method's grid where None.
    callback
        Is called after every iteration, and may raise to stop.

    Raises
    ------
    SettingsError
        If there is no such method, or nothing to try.
    DataError
        If a score is not finite.
    """
    tried = method_of(method).grid if strengths is None else tuple(strengths)
    if not tried:
        raise SettingsError(f"no strength of {method} is given to be tried", "leave them out for the method's own")
    found = []
    for strength in tried:
        each = [
            score(reconstruct(method, examples, place, strength, callback=callback), place)
            for place in range(len(examples))
        ]
        mean = float(np.mean(each))
        if not math.isfinite(mean):
            raise DataError(f"the score of {method} with a strength of {strength:g} is not finite", "check the truth")
        found.append((strength, mean))
    return Tuned(method=method, strength=min(found, key=lambda pair: pair[1])[0], scores=tuple(found))


def _zero_filled(
    problem: Problem, _strength: float, _iterations: int, callback: Callback | None
) -> NDArray[np.complex64]:
    images = np.fft.ifftn(problem.k_space * problem.sampled, axes=problem.axes, norm="ortho")
    if callback is not None:
        callback()
    return np.asarray((problem.maps.conj() * images).sum(axis=0), dtype=np.complex64)


def _cg_sense(problem: Problem, strength: float, iterations: int, callback: Callback | None) -> NDArray[np.complex64]:
    from sigpy.mri.app import SenseRecon

    def made(k_space: Any, weights: Any) -> Any:
        app = SenseRecon(k_space, problem.maps, lamda=strength, weights=weights, max_iter=iterations, show_pbar=False)
        app.alg.tol = CG_TOLERANCE * app.alg.resid
        return app

    return _run(problem, made, callback)


def _l1_wavelet(problem: Problem, strength: float, iterations: int, callback: Callback | None) -> NDArray[np.complex64]:
    from sigpy.mri.app import L1WaveletRecon

    def made(k_space: Any, weights: Any) -> Any:
        return L1WaveletRecon(
            k_space,
            problem.maps,
            strength,
            weights=weights,
            max_iter=iterations,
            alpha=1 / _largest(problem),
            show_pbar=False,
        )

    return _run(problem, made, callback)


def _tv(problem: Problem, strength: float, iterations: int, callback: Callback | None) -> NDArray[np.complex64]:
    from sigpy.mri.app import TotalVariationRecon

    def made(k_space: Any, weights: Any) -> Any:
        # The step is safe where it times the norm of model and differences is 1; each difference has at most norm 2.
        tau = 1 / (_largest(problem) + 4 * len(problem.axes))
        return TotalVariationRecon(
            k_space,
            problem.maps,
            strength,
            weights=weights,
            max_iter=iterations,
            tau=tau,
            sigma=1,
            show_pbar=False,
        )

    return _run(problem, made, callback)


def _largest(problem: Problem) -> float:
    """No eigenvalue of S^H F^H W F S is larger: a transform and a mask make nothing longer."""
    return float((np.abs(problem.maps) ** 2).sum(axis=0).max()) or 1.0


def _run(problem: Problem, made: Callable[[Any, Any], Any], callback: Callback | None) -> NDArray[np.complex64]:
    """Let an application of sigpy go on step by step; it keeps the zero frequency in the middle, and images as ours."""
    axes = problem.axes
    whole = np.broadcast_to(problem.sampled, problem.k_space.shape[1:])
    weights = np.fft.fftshift(whole, axes=axes).astype(np.float32)
    with isolated_random():
        app = made(to_centred(problem.k_space, len(axes)), weights)
        while not app.alg.done():
            app.alg.update()
            if callback is not None:
                callback()
    return np.asarray(app.x, dtype=np.complex64)


METHODS: dict[str, Method] = {
    "zero_filled": Method(
        title="zero-filled: S^H F^H y",
        solve=_zero_filled,
        parameter="",
        grid=(0.0,),
        usual=0.0,
        iterations=1,
    ),
    "cg_sense": Method(
        title=(
            "CG-SENSE: 1/2 ||W F S x - y||^2 + lambda/2 ||x||^2 (Tikhonov), conjugate gradients to a relative residual "
            f"of {CG_TOLERANCE:g}"
        ),
        solve=_cg_sense,
        parameter="lambda",
        grid=(0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3),
        usual=0.01,
        iterations=100,
    ),
    "l1_wavelet": Method(
        title=(
            "l1-wavelet: 1/2 ||W F S x - y||^2 + lambda ||Psi x||_1, Daubechies 4, accelerated proximal gradient steps"
        ),
        solve=_l1_wavelet,
        parameter="lambda",
        grid=(0.0003, 0.001, 0.003, 0.01, 0.03, 0.1),
        usual=0.003,
        iterations=100,
    ),
    "tv": Method(
        title=(
            "total variation: 1/2 ||W F S x - y||^2 + lambda ||D x||_1 (anisotropic, periodic), primal-dual steps of "
            "Chambolle and Pock"
        ),
        solve=_tv,
        parameter="lambda",
        grid=(0.0003, 0.001, 0.003, 0.01, 0.03, 0.1),
        usual=0.003,
        iterations=200,
    ),
}
"""All methods by their names: title, function, name of the parameter, and the strengths that are tried."""
