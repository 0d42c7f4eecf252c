"""Drawn cells: a seed says everything, they are phase objects, and they carry detail that the objective alone misses."""

from __future__ import annotations

import numpy as np
import pytest

from ptychoui.data.dataset import array_sha256
from ptychoui.optics.cells import ABSORPTION, GRAIN, cell_objects, cells

PIXEL_UM = 0.6


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    return cell_objects(PIXEL_UM, 128, 3, 0).objects


def test_the_same_seed_draws_the_same_cells_and_slides_differ(drawn: np.ndarray) -> None:
    again = cell_objects(PIXEL_UM, 128, 3, 0)
    assert array_sha256(again.objects) == array_sha256(drawn)
    assert again.source_names == ("slide 1", "slide 2", "slide 3") and again.sources.tolist() == [0, 1, 2]
    assert again.provenance.sha256 == array_sha256(drawn) and "drawn" in again.provenance.notes[0]
    assert not np.allclose(drawn[0], drawn[1])
    assert not np.allclose(drawn[0], cell_objects(PIXEL_UM, 128, 1, 1).objects[0])
    # A slide is the same however many there are.
    assert np.array_equal(cell_objects(PIXEL_UM, 128, 1, 0).objects[0], drawn[0])


def test_they_are_weakly_absorbing_phase_objects(drawn: np.ndarray) -> None:
    amplitude, phase = np.abs(drawn), np.angle(drawn)
    assert amplitude.max() <= 1 + 2 * GRAIN and amplitude.min() >= 1 - ABSORPTION - 2 * GRAIN
    assert 1.0 < np.ptp(np.percentile(phase, (1, 99))) < 2.2
    for part in (drawn.real, drawn.imag):
        assert np.array_equal(np.round(part / GRAIN), part / GRAIN)


def test_cells_cover_a_part_and_one_lies_in_the_middle(drawn: np.ndarray) -> None:
    for slide in drawn:
        phase = np.angle(slide)
        ground = np.percentile(phase, 2)
        covered = (phase > ground + 0.25).mean()
        assert 0.2 < covered < 0.8
        middle = phase[48:80, 48:80]
        assert (middle > ground + 0.25).mean() > 0.6


def test_they_hold_detail_between_the_objective_and_the_synthetic_aperture(drawn: np.ndarray) -> None:
    power = np.abs(np.fft.fft2(drawn - drawn.mean((1, 2), keepdims=True))) ** 2
    frequency = np.hypot(*np.meshgrid(*2 * (np.fft.fftfreq(128, PIXEL_UM),), indexing="ij"))
    objective, synthetic = 0.1 / 0.53, 0.345 / 0.53
    beyond = power[:, (frequency > objective) & (frequency < synthetic)].sum() / power.sum()
    finer = power[:, frequency > synthetic].sum() / power.sum()
    assert beyond > 0.01 and finer < beyond


def test_a_pixel_changes_the_grid_and_not_the_cells() -> None:
    coarse = np.angle(cells(np.random.default_rng(5), 1.2, 64))
    fine = np.angle(cells(np.random.default_rng(5), 0.6, 128))
    binned = fine.reshape(64, 2, 64, 2).mean((1, 3))
    assert np.corrcoef(coarse.ravel(), binned.ravel())[0, 1] > 0.98
