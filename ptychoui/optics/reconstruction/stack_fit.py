"""Fit of an object, a pupil, brightness, stray light and the array's pose to a stack, all of them at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.optics.geometry.led_array import LedArray
from ptychoui.optics.geometry.microscope import Sampling
from ptychoui.optics.reconstruction.lbfgs import HISTORY, limited_memory_bfgs
from ptychoui.optics.reconstruction.stack_grids import window_width
from ptychoui.optics.reconstruction.stack_model import CHUNK_BYTES, Optics, StackModel
from ptychoui.settings import Microscope

OBJECT, FACTOR, ZERNIKE, GAIN, BACKGROUND = "object", "factor", "zernike", "gain", "background"
POSE, SHIFT = "pose", "shift"

DAMPING = 0.02
"""Share of the largest overlap of pupils that is added to that of every frequency, so that rare ones move little."""

POSE_CAUTION = 10.0
"""What the edge of the pupil in the direct light says of the pose, the object can undo: the rest says far less."""

GAIN_SPREAD = 0.3
"""Standard deviation of the logarithm of brightness that is taken for granted; images with light overrule it."""

GAIN_LIMIT = 4.0
"""Largest change of the logarithm of an LED's brightness."""

SHIFT_SPREAD_MM = 0.2
"""Standard deviation of an LED's place on its board that is taken for granted."""

SHIFT_LIMIT_MM = 0.6
"""Largest shift of a single LED."""

LIBRARIES_BYTES = 50e6
"""What the libraries take for themselves with their first transforms and derivatives."""

ZERNIKE_CAUTION = 10.0
"""The direct light makes the phase of one frequency look certain; all others say far less about aberrations."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Unknowns on the way.

    Attributes
    ----------
    x
        (size,) the vector.
    misfit
        D.
    penalised
        D and what brightness and stray light far from the expected cost.
    """

    x: Tensor
    misfit: float
    penalised: float


@dataclass(frozen=True, slots=True)
class _Block:
    name: str
    part: slice
    scale: Tensor


class StackFit:
    """The unknowns of a stack as one vector, in which D has a curvature of about one everywhere.

    Parameters
    ----------
    model
        The stack.
    spectrum, optics
        Where to start.
    unknown
        Some of ``object``, ``factor``, ``zernike``, ``gain``, ``background``, ``pose``, ``shift``.
    pose_slope
        (L, 2, K) change of the directions, in samples, with each of K numbers of the pose.
    leds
        Images that count, by default all.
    single_slope
        (L, 2, 2) change of every LED's direction, in samples, with its own shift in x and y, per mm.

    Attributes
    ----------
    misfit
        D where it was evaluated last.
    """

    def __init__(
        self,
        model: StackModel,
        spectrum: Tensor,
        optics: Optics,
        unknown: frozenset[str],
        pose_slope: NDArray[np.float64] | None = None,
        leds: Sequence[int] | None = None,
        single_slope: NDArray[np.float64] | None = None,
    ) -> None:
        self.model, self._spectrum, self._optics = model, spectrum, optics
        self._leds = list(range(len(model))) if leds is None else list(leds)
        self._pose_slope, self._single_slope = (
            None if slope is None else torch.from_numpy(slope).to(model.device, model.dtype)
            for slope in (pose_slope, single_slope)
        )
        n = model.grids.field_px
        self._unit = n**2 * model.field_per_pixel / 2  # D times this has the curvature of the overlap
        # A root of counts has a variance of a quarter, Anscombe's constant is 3/8 of a count: D is to be divided by
        # 4/3 of the floor to be a log-likelihood.
        variance = self._unit * (4 / 3) * model.floor
        self._gain_prior = variance / GAIN_SPREAD**2
        self._shift_prior = variance / SHIFT_SPREAD_MM**2
        # Stray light is about as strong in all images: in the bright field it could pass for direct light.
        darkest = float(torch.quantile(model.amplitude.square().mean((1, 2)), 0.1)) - model.floor
        self._background_prior = variance / max(darkest, model.floor) ** 2
        with torch.no_grad():
            pupils = model.pupils(optics)
            overlap = model.overlap(pupils)
            light = self._light(spectrum)
            power = light * pupils.abs().square().mean(0)
        self._blocks: list[_Block] = []
        first = 0

        def block(name: str, scale: Tensor) -> None:
            nonlocal first
            self._blocks.append(_Block(name, slice(first, first + scale.numel()), scale))
            first += scale.numel()

        def pairs(scale: Tensor) -> Tensor:
            return scale.flatten().repeat_interleave(2)

        amplitude = model.amplitude.square()
        if OBJECT in unknown:
            block(OBJECT, pairs((overlap + DAMPING * overlap.max()).rsqrt()))
        if FACTOR in unknown:
            block(FACTOR, pairs((light + 0.01 * light.max()).rsqrt() * 0.7))
        if ZERNIKE in unknown:
            energy = max(float(power.sum()), 1e-30)  # an object of nothing has no aberrations either
            block(ZERNIKE, torch.full((len(model.nolls),), ZERNIKE_CAUTION / (2 * np.pi * energy**0.5)).to(light))
        if GAIN in unknown:
            block(GAIN, (self._unit * 0.5 * amplitude.sum((1, 2)) + self._gain_prior).rsqrt())
        if BACKGROUND in unknown:
            block(BACKGROUND, (self._unit * 0.5 * amplitude.reciprocal().sum((1, 2)) + self._background_prior).rsqrt())
        if POSE in unknown and pose_slope is not None:
            block(POSE, self._pose_scale(light))
        if SHIFT in unknown and self._single_slope is not None:
            curvature = self._edge_light(light) * self._single_slope.square().sum(1)
            block(SHIFT, POSE_CAUTION * (curvature + self._shift_prior).rsqrt().flatten())
        self.size, self.misfit = first, float("nan")

    def _light(self, spectrum: Tensor) -> Tensor:
        """(w, w) sum_l |S|^2 in the windows."""
        w = self.model.width
        power = spectrum.abs().square()
        total = power.new_zeros(w, w)
        for row, column in self.model.corners:
            total += power[row : row + w, column : column + w]
        return total

    def _edge_light(self, light: Tensor) -> float:
        """The edge of the pupil moves with an LED's direction: its light is the curvature."""
        order = torch.arange(-self.model.half, self.model.half + 1).to(light)
        radius = (order.square()[:, None] + order.square()).sqrt()
        edge = (radius - self.model.cutoff).abs() < 0.75
        return float(light[edge].sum()) / len(self.model)

    def _pose_scale(self, light: Tensor) -> Tensor:
        assert self._pose_slope is not None
        return POSE_CAUTION * (self._edge_light(light) * self._pose_slope.square().sum((0, 1)) + 1e-12).rsqrt()

    # The vector ---------------------------------------------------------------------------------------

    def start(self) -> Tensor:
        """The unknowns to start with, (size,): their changes, all zero."""
        return torch.zeros(self.size, device=self.model.device, dtype=self.model.dtype)

    def _changes(self, x: Tensor) -> dict[str, Tensor]:
        return {block.name: x[block.part] * block.scale for block in self._blocks}

    def spectrum(self, x: Tensor) -> Tensor:
        """Centred spectrum of the object, (N, N) complex, of the unknowns (size,)."""
        change = self._changes(x).get(OBJECT)
        if change is None:
            return self._spectrum
        return self._spectrum + torch.view_as_complex(change.view(*self._spectrum.shape, 2))

    def optics(self, x: Tensor) -> Optics:
        """Everything beside the object, of the unknowns x of shape (size,)."""
        changes, at = self._changes(x), self._optics
        if FACTOR in changes:
            change = torch.view_as_complex(changes[FACTOR].view(*at.factor.shape, 2))
            at = replace(at, factor=at.factor + change)
        if ZERNIKE in changes:
            at = replace(at, zernike=at.zernike + changes[ZERNIKE])
        if GAIN in changes:
            at = replace(at, log_gain=at.log_gain + GAIN_LIMIT * torch.tanh(changes[GAIN] / GAIN_LIMIT))
        if BACKGROUND in changes:
            at = replace(at, background=at.background + changes[BACKGROUND])
        if POSE in changes and self._pose_slope is not None:
            at = replace(at, direction=at.direction + self._pose_slope @ changes[POSE])
        if SHIFT in changes and self._single_slope is not None:
            at = replace(at, direction=at.direction + (self._single_slope * self._bounded(changes[SHIFT])).sum(-1))
        return at

    @staticmethod
    def _bounded(change: Tensor) -> Tensor:
        """(L, 1, 2) shifts in mm of unbounded unknowns."""
        return (SHIFT_LIMIT_MM * torch.tanh(change / SHIFT_LIMIT_MM)).view(-1, 1, 2)

    def shifts(self, x: Tensor) -> NDArray[np.float64]:
        """(L, 2) shifts of single LEDs in mm."""
        return np.asarray(self._bounded(self._changes(x)[SHIFT])[:, 0].double().cpu().numpy())

    def pose(self, x: Tensor) -> NDArray[np.float64]:
        """(K,) changes of the pose's numbers."""
        return np.asarray(self._changes(x)[POSE].double().cpu().numpy())

    def evaluate(self, x: Tensor) -> tuple[float, Tensor]:
        """D in units of its curvature, and its gradient, of x's shape."""
        model, names = self.model, {block.name for block in self._blocks}
        spectrum = self.spectrum(x)
        of_pupils = bool(names & {FACTOR, ZERNIKE, POSE, SHIFT})
        leaf = x.detach().clone()
        graph = bool(names & {ZERNIKE, POSE, SHIFT})
        with torch.set_grad_enabled(graph):
            leaf.requires_grad_(graph)
            optics = self.optics(leaf)
            pupils = model.pupils(optics)
        table = pupils.detach()
        total, gradient = 0.0, torch.zeros_like(spectrum)
        slopes = torch.zeros_like(table) if of_pupils else None
        gains, backgrounds = x.new_zeros(len(model)), x.new_zeros(len(model))
        for first in range(0, len(self._leds), model.chunk):
            leds = self._leds[first : first + model.chunk]
            found = model.sweep(spectrum, table[leds], optics, leds, of_pupils)
            assert found.spectrum is not None
            model.add(gradient, found.spectrum, leds)
            gains[leds], backgrounds[leds] = found.log_gain, found.background
            if slopes is not None and found.pupils is not None:
                slopes[leds] = found.pupils
            total += float(found.loss.sum())
        result = torch.zeros_like(x)
        if graph and slopes is not None:
            # Through Zernike terms, pose and factor alike.
            pupils.backward(slopes)  # type: ignore[no-untyped-call]
            if leaf.grad is not None:
                result += leaf.grad
        elif slopes is not None:
            bare = model.pupils(replace(optics, factor=torch.ones_like(optics.factor)))
            change = torch.view_as_real((bare.conj() * slopes).sum(0)).flatten()
            for block in self._blocks:
                if block.name == FACTOR:
                    result[block.part] = change * block.scale
        value, self.misfit = total * self._unit, total
        for block in self._blocks:
            if block.name == OBJECT:
                result[block.part] = torch.view_as_real(gradient).flatten() * block.scale
            elif block.name == GAIN:
                log_gain = optics.log_gain.detach()
                value += 0.5 * self._gain_prior * float(log_gain.square().sum())
                # A dark LED's brightness would go to nothing without end.
                bend = 1 - torch.tanh(x[block.part] * block.scale / GAIN_LIMIT).square()
                result[block.part] = (self._unit * gains + self._gain_prior * log_gain) * bend * block.scale
            elif block.name == SHIFT:
                free = x[block.part] * block.scale
                shift = self._bounded(free).flatten()
                value += 0.5 * self._shift_prior * float(shift.square().sum())
                bend = 1 - torch.tanh(free / SHIFT_LIMIT_MM).square()
                result[block.part] += self._shift_prior * shift * bend * block.scale
            elif block.name == BACKGROUND:
                stray = optics.background.detach()
                value += 0.5 * self._background_prior * float(stray.square().sum())
                result[block.part] = (self._unit * backgrounds + self._background_prior * stray) * block.scale
        return value, result

    def run(self, passes: int) -> Iterator[Fitted]:
        """Better and better unknowns, the start first, for at most so many tries of better ones."""
        for x, value in limited_memory_bfgs(self.start(), self.evaluate, passes + 1):
            yield Fitted(x, self.misfit, value / self._unit)


def in_sequence(model: StackModel, spectrum: Tensor, pupils: Tensor, optics: Optics, step: float = 0.5) -> float:
    """One pass of projections, LED by LED from the axis outwards; the spectrum changes in place. Returns D on the way.

    Every LED's window moves by ``step`` of what would make its image's amplitude the measured one (embedded pupil
    recovery's object update, Ou et al., Optics Express 22, 4960 (2014), with a pupil of amplitude one).

    ``spectrum`` is (N, N) complex, ``pupils`` (L, w, w) complex.
    """
    w, total = model.width, 0.0
    for led in np.argsort(model.leds.radius_na, kind="stable"):
        found = model.sweep(spectrum, pupils[led : led + 1], optics, [int(led)])
        assert found.spectrum is not None
        total += float(found.loss[0])
        row, column = model.corners[led]
        gain = float(optics.log_gain[led].exp())
        spectrum[row : row + w, column : column + w].sub_(found.spectrum[0], alpha=step / gain)
    return total


def stack_bytes(microscope: Microscope, leds: LedArray, grids: Sampling, pupil: str = "zernike") -> int:
    """Predicted peak of a reconstruction's own arrays in bytes, float32; the caller's images are not in it.

    Parameters
    ----------
    pupil
        ``fixed``, ``zernike`` or ``free``, as in the settings.
    """
    width = window_width(microscope, grids)
    images = len(leds) * grids.tile_px**2 * 4
    pupils = len(leds) * width**2 * 8
    # Fixed pupils are a table; others have derivatives, and Zernike terms a graph of powers and phases beside them.
    copies = {"fixed": 1, "free": 4, "zernike": 6}[pupil]
    unknowns = 8 * grids.object_px**2 + (8 * width**2 if pupil == "free" else 0)
    # Pairs of steps and gradients, and what a step of the descent holds beside them.
    vectors = 2 * HISTORY + 8
    fields = 6 * max(CHUNK_BYTES, 8 * grids.field_px**2)
    # The sum of the images is taken in double precision, before anything else is there.
    return int(LIBRARIES_BYTES + images + max(2 * images + 2 * images, copies * pupils + vectors * unknowns + fields))
