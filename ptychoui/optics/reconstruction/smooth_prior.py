"""A converged reconstruction of any images with a smooth prior whose strength the images choose.

Images of several LEDs each hold fewer numbers than the object: without a prior, noise grows in what they do not show
until the result is worse than an empty picture. Minimised is

    D(x) + lambda sum_q w(q) |X(q)|^2 / N^2,    w = (q lambda_0 / NA)^2,

the data term of `FourierPtychography` with a Gaussian prior whose power falls with the square of the frequency, for one
lambda after the other, the strongest first: coarse structures of a strong phase settle before fine ones. A tenth of the
camera's pixels is left out of the fit. The largest lambda that predicts those as well as any is taken
(cross-validation: Stone, J. R. Stat. Soc. B 36, 111 (1974)), and all pixels are fitted with it. No truth is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ptychoui.engine.scratch import Scratch
from ptychoui.optics.forward.data_term import DataTerm
from ptychoui.optics.forward.model import FourierPtychography
from ptychoui.optics.reconstruction.lbfgs import limited_memory_bfgs

STRENGTHS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
"""Values of lambda, in units of the light of one LED at full level and unit exposure."""

EVALUATIONS = 40
"""Evaluations of the objective for every strength; each begins where the one before ended."""

LEFT_OUT = 0.1
"""Share of the camera's pixels that choose the strength."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothReconstruction:
    """A converged object and how its prior was chosen.

    Attributes
    ----------
    x
        (1, N, N) complex object, padding included.
    strength
        The lambda that was chosen.
    tried
        Strengths that were fitted, the strongest first.
    misfits
        Mean square misfit of the amplitudes left out, for each of them.
    """

    x: Tensor
    strength: float
    tried: tuple[float, ...]
    misfits: tuple[float, ...]


class SmoothDescent:
    """One object, better and better: `run` it, and look at it or give it up at any time.

    Parameters
    ----------
    data
        Of one object: amplitudes (1, M, T, T).
    start
        (1, N, N) complex first estimate.
    seed
        Of the pixels that are left out.
    strength
        The lambda to be taken; by default the pixels left out choose one of `STRENGTHS`. Strengths above it come
        first all the same, so that coarse structures settle.
    unit
        The light of one LED at full level and unit exposure, in units of the weights.
    callback
        Called at every evaluation of the objective: where the work can be given up by an exception.

    Attributes
    ----------
    x
        (1, N, N) complex object as it is now.
    strength
        The lambda that it was fitted with.
    tried, misfits
        As in `SmoothReconstruction`, of the strengths that are done.
    chosen
        True once the strength is that of the result.
    evaluations
        How often the objective was evaluated.
    """

    def __init__(
        self,
        physics: FourierPtychography,
        data: DataTerm,
        start: Tensor,
        seed: int = 0,
        strength: float | None = None,
        unit: float = 1.0,
        callback: Callable[[], None] = lambda: None,
    ) -> None:
        self._given, self._unit, self._callback = strength, unit, callback
        self.x, self.strength, self.chosen, self.evaluations = start, STRENGTHS[0], False, 0
        self.tried: list[float] = []
        self.misfits: list[float] = []
        drawn = torch.rand(tuple(data.amplitude.shape), generator=torch.Generator().manual_seed(seed))
        self._fitted = (drawn >= LEFT_OUT).to(data.amplitude)
        self._all = torch.ones_like(self._fitted)
        self._objective = _Objective(physics, data)

    def run(self, each: int = EVALUATIONS, in_all: int | None = None) -> Iterator[SmoothDescent]:
        """Yield this descent whenever its object has become better.

        Parameters
        ----------
        each
            Evaluations of the objective for every strength.
        in_all
            Evaluations of all fits together, of which the last one takes what the others left: strengths for which
            there are none are not tried. By default the last fit takes as many as the others.
        """
        chooses = self._given is None
        pixels = self._fitted if chooses else self._all
        squares: list[Tensor] = []
        found: list[Tensor] = []
        for strength in self._stronger():
            if in_all is not None and self.evaluations + each > in_all:
                break
            yield from self._fit(strength, pixels, each)
            self.tried.append(strength)
            if chooses:
                squares.append(self._objective.squares(self.x)[self._fitted == 0])
                found.append(self.x)
                self.misfits.append(float(squares[-1].mean()))
                if len(self.tried) > self.misfits.index(min(self.misfits)) + 2:
                    break  # weaker priors only fit the noise
        if self._given is not None:
            chosen = self._given
        elif squares:
            place = strongest_as_good(squares)
            chosen, self.x = self.tried[place], found[place]
        else:
            chosen = STRENGTHS[0]
        self.chosen = True
        yield from self._fit(chosen, self._all, each if in_all is None else in_all - self.evaluations)

    def _stronger(self) -> tuple[float, ...]:
        """Strengths that are fitted before the last fit."""
        given = self._given
        return STRENGTHS if given is None else tuple(strength for strength in STRENGTHS if strength > given)

    def _fit(self, strength: float, pixels: Tensor, evaluations: int) -> Iterator[SmoothDescent]:
        """Fit some of the pixels (1, M, T, T) from where it stands."""
        self.strength = strength
        if evaluations < 1:
            return

        def count() -> None:
            self._callback()
            self.evaluations += 1

        for better in self._objective.minimised(self.x, strength * self._unit, pixels, evaluations, count):
            self.x = better
            yield self


def reconstruct_smooth(
    physics: FourierPtychography,
    data: DataTerm,
    start: Tensor,
    seed: int = 0,
    evaluations: int = EVALUATIONS,
    callback: Callable[[], None] = lambda: None,
) -> SmoothReconstruction:
    """Reconstruct one object in one go, with ``evaluations`` of the objective for every strength.

    ``start`` is the (1, N, N) complex first estimate; data, ``seed`` and ``callback`` are those of `SmoothDescent`.
    """
    work = SmoothDescent(physics, data, start, seed, callback=callback)
    for _ in work.run(evaluations):
        pass
    return SmoothReconstruction(x=work.x, strength=work.strength, tried=tuple(work.tried), misfits=tuple(work.misfits))


def strongest_as_good(squares: Sequence[Tensor]) -> int:
    """The place of the strongest prior that predicts the pixels left out as well as the best does.

    That is, by no more than the standard error of the difference worse (Breiman et al., Classification and Regression
    Trees, 1984, section 3.4.3): where the model is not quite right, as at the tile's border, weak priors fit that, and
    the misfit hardly tells them apart.

    ``squares`` holds the (pixel,) squared misfits of every strength, the strongest first.
    """
    best = min(range(len(squares)), key=lambda place: float(squares[place].mean()))
    for place in range(best):
        worse = squares[place] - squares[best]
        if float(worse.mean()) <= float(worse.std()) / len(worse) ** 0.5:
            return place
    return best


class _Objective:
    """The objective in unknowns scaled to a curvature of about one: x = F^-1 [z (c + lambda w)^-1/2]."""

    def __init__(self, physics: FourierPtychography, data: DataTerm) -> None:
        self._physics, self._data = physics, data
        self._work = Scratch()
        self._light = physics.damped_coverage(data.weights.detach())
        self._roughness = physics.roughness()

    @torch.no_grad()
    def minimised(
        self, x: Tensor, strength: float, fitted: Tensor, evaluations: int, callback: Callable[[], None]
    ) -> Iterator[Tensor]:
        """Better and better objects from x on, fitted to some of the pixels (1, M, T, T)."""
        scale = (self._light + strength * self._roughness).rsqrt()
        shape = (*x.shape, 2)

        def spectrum_of(unknowns: Tensor) -> Tensor:
            return torch.view_as_complex(unknowns.view(shape)) * scale

        def evaluate(unknowns: Tensor) -> tuple[float, Tensor]:
            callback()
            spectrum = spectrum_of(unknowns)
            value, slope = self.evaluate(spectrum, strength, fitted)
            return value, torch.view_as_real(slope.mul_(2 * scale)).reshape(-1)

        begin = torch.view_as_real(torch.fft.fft2(x, norm="ortho") / scale).reshape(-1).clone()
        for unknowns, _value in limited_memory_bfgs(begin, evaluate, evaluations, first_step=0.25):
            found: Tensor = torch.fft.ifft2(spectrum_of(unknowns), norm="ortho")
            yield found

    def evaluate(self, spectrum: Tensor, strength: float, fitted: Tensor) -> tuple[float, Tensor]:
        """The objective and its derivative in the conjugate of a spectrum, (1, N, N), by the unitary transform."""
        at = self._physics.linearise(torch.fft.ifft2(spectrum, norm="ortho"), self._data, self._work, self._work)
        at.residual.mul_(fitted)
        misfit = (at.predicted - self._data.amplitude).square_().mul_(fitted).sum(dtype=torch.float64)
        prior = (self._roughness * spectrum.abs().square()).sum(dtype=torch.float64)
        slope = torch.fft.fft2(self._physics.gradient(at, self._work), norm="ortho")
        slope.addcmul_(spectrum, (strength * self._roughness).to(spectrum))
        return self._physics.area * float(misfit) + strength * float(prior), slope

    @torch.no_grad()
    def squares(self, x: Tensor) -> Tensor:
        """Squared misfits of the amplitudes, (1, M, T, T) in double precision."""
        at = self._physics.linearise(x, self._data, self._work, self._work)
        return (at.predicted - self._data.amplitude).double().square()
