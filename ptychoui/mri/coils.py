"""Receive coils around an object: what they see of it, and the noise they share.

A coil is a loop of wire. What it receives from a place is, by reciprocity (Hoult and Richards 1976, "The
signal-to-noise ratio of the nuclear magnetic resonance experiment"), the transverse field that a unit current in it
makes there, B_y - i B_x, with the main field along z.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import SettingsError
from ptychoui.mri.grids import Grid

SEGMENTS = 32
"""Straight pieces that a loop is made of."""
NODES = 24
"""Chebyshev nodes along an axis at which the field is computed; between them it is known to 1e-5 of its largest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoilArray:
    """Loops of wire, in the lengths of `Grid`.

    Attributes
    ----------
    centres, normals
        (coil, 3) along (z, y, x); normals have length 1.
    radii
        (coil,) of the loops.
    phases
        (coil,) radians, of each receiver.
    """

    centres: NDArray[np.float64]
    normals: NDArray[np.float64]
    radii: NDArray[np.float64]
    phases: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of coils."""
        return len(self.radii)


def draw_coils(count: int, generator: np.random.Generator) -> CoilArray:
    """Place loops around the field of view, at places that differ from draw to draw.

    Up to seven stand in one ring around z; more stand in two rings, in turn.

    Parameters
    ----------
    count
        Number of coils.
    generator
        Source of every place, size and phase.

    Returns
    -------
    The loops. All wire lies outside the field of view, 1.45 or more from its axis.

    Raises
    ------
    SettingsError
        If there is no coil, or more than 128.
    """
    if not 1 <= count <= 128:
        raise SettingsError(f"{count} coils cannot be simulated", "choose 1 to 128")
    angles = 2 * math.pi * (np.arange(count) + generator.uniform(-0.2, 0.2, count)) / count
    angles += generator.uniform(0, 2 * math.pi)
    away = generator.uniform(1.6, 1.8, count)
    heights = generator.uniform(-0.15, 0.15, count)
    if count > 7:
        heights += 0.4 * (np.arange(count) % 2 - 0.5)
    outward = np.stack([np.zeros(count), np.sin(angles), np.cos(angles)], axis=1)
    centres = away[:, None] * outward
    centres[:, 0] = heights
    normals = outward + generator.normal(0, 0.04, (count, 3))
    return CoilArray(
        centres=centres,
        normals=normals / np.linalg.norm(normals, axis=1, keepdims=True),
        radii=generator.uniform(0.7, 0.9, count) * min(1.0, math.sqrt(8 / count)),
        phases=generator.uniform(0, 2 * math.pi, count),
    )


def sensitivity(array: CoilArray, coil: int, grid: Grid) -> NDArray[np.complex128]:
    """What one coil receives of a unit object.

    The field of the wire, by Biot and Savart, is computed at Chebyshev nodes and interpolated by their polynomial.

    Parameters
    ----------
    array, coil
        The loops, and the number of the one.
    grid
        Where, (planes, rows, columns).

    Returns
    -------
    ndarray
        (planes, rows, columns) complex, about 1 before the middle of the loop.
    """
    nodes, weights = zip(*(_chebyshev(axis.ravel().astype(float)) for axis in (grid.z, grid.y, grid.x)), strict=True)
    places = np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1)
    field = wire_field(array, coil, places)
    received = (field[..., 1] - 1j * field[..., 2]) * np.exp(1j * array.phases[coil])
    for weight in weights:  # one axis after the other, each moved to the end
        received = np.tensordot(received, weight, axes=(0, 1))
    return np.asarray(received, complex)


def wire_field(array: CoilArray, coil: int, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Magnetic field of a unit current in one loop, relative to that in its middle.

    Parameters
    ----------
    array, coil
        The loops, and the number of the one.
    places
        (..., 3) along (z, y, x).

    Returns
    -------
    ndarray
        (..., 3) along (z, y, x), by the law of Biot and Savart for straight short pieces.
    """
    normal, radius = array.normals[coil], array.radii[coil]
    first = np.cross(normal, [1.0, 0, 0] if abs(normal[0]) < 0.9 else [0, 1.0, 0])
    first /= np.linalg.norm(first)
    second = np.cross(normal, first)
    turns = 2 * math.pi * np.arange(SEGMENTS + 1) / SEGMENTS
    wire = array.centres[coil] + radius * (np.cos(turns)[:, None] * first + np.sin(turns)[:, None] * second)
    field = np.zeros(places.shape)
    for begin, end in pairwise(wire):
        reach = places - (begin + end) / 2
        field += np.cross(end - begin, reach) / np.linalg.norm(reach, axis=-1, keepdims=True) ** 3
    return np.asarray(field * radius / (2 * math.pi))


def _chebyshev(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes over the range of an axis, and the (value, node) matrix that interpolates from them."""
    if values.size == 1:
        return values, np.ones((1, 1))
    middle, half = (values.max() + values.min()) / 2, (values.max() - values.min()) / 2
    nodes = np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)
    basis = np.polynomial.chebyshev.chebvander(nodes, NODES - 1)
    wanted = np.polynomial.chebyshev.chebvander((values - middle) / half, NODES - 1)
    return middle + half * nodes, np.asarray(np.linalg.solve(basis.T, wanted.T).T)


def draw_covariance(coils: int, mean_correlation: float, generator: np.random.Generator) -> NDArray[np.complex128]:
    """Covariance of the noise of coils that share some of it.

    Parameters
    ----------
    coils
        Number of coils.
    mean_correlation
        Mean over all pairs of coils of the magnitude of their correlation, from 0 to 0.5.
    generator
        Source of gains and correlations.

    Returns
    -------
    ndarray
        (coil, coil) Hermitian, positive definite; its diagonal, the power of each coil's noise, has the mean 1.

    Raises
    ------
    SettingsError
        If the mean correlation is outside its range.
    """
    if not 0 <= mean_correlation <= 0.5:
        raise SettingsError(f"a mean noise correlation of {mean_correlation:g} cannot be drawn", "choose 0 to 0.5")
    # Two shared sources correlate coils by 0.6 on average; noise of their own brings that down to what is wanted.
    mixed = generator.normal(size=(coils, 2)) + 1j * generator.normal(size=(coils, 2))
    shared = mixed @ mixed.conj().T
    size = np.sqrt(np.diagonal(shared).real)
    shared /= size[:, None] * size
    apart = ~np.eye(coils, dtype=bool)
    share = mean_correlation / np.abs(shared[apart]).mean() if coils > 1 else 0.0
    correlation = share * shared + (1 - share) * np.eye(coils)
    if share >= 1:  # a rare draw of nearly opposite coils
        correlation = np.where(apart, mean_correlation, 1.0).astype(complex)
    gains = np.exp(generator.normal(0, 0.15, coils))
    gains /= math.sqrt(float(np.mean(gains**2)))
    covariance = gains[:, None] * correlation * gains
    return np.asarray((covariance + covariance.conj().T) / 2, complex)


def draw_noise(
    covariance: NDArray[np.complex128], shape: tuple[int, ...], generator: np.random.Generator
) -> NDArray[np.complex128]:
    """Complex Gaussian noise that coils share.

    Parameters
    ----------
    covariance
        (coil, coil), E[n n^H]: real and imaginary part have half of it each.
    shape
        Of the noise of one coil.
    generator
        Source of the noise.

    Returns
    -------
    ndarray
        (coil, *shape) complex.
    """
    white = generator.standard_normal((len(covariance), *shape, 2)).view(complex)[..., 0]
    return np.asarray(np.tensordot(np.linalg.cholesky(covariance / 2), white, axes=1))


def mix_coils(matrix: NDArray[np.complex128], coils: NDArray[np.complexfloating]) -> NDArray[np.complex128]:
    """Apply a (coil, coil) matrix such as a whitening to data or maps, (coil, ...); they keep their shape."""
    return np.asarray(np.tensordot(matrix, coils, axes=1))
