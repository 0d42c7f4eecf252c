"""The published problem: its sizes, a certified step, and what is said that others would need."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ptychoui.bench.engine import large_object, poster
from ptychoui.bench.engine.autograd import autograd_gradient
from ptychoui.bench.engine.passes import closed_form_gradient
from ptychoui.bench.engine.poster_plot import plot
from ptychoui.bench.engine.problem import PIXEL_UM, Bench, make_bench, pixel_for, published_leds
from ptychoui.engine.memory import MemoryMeter
from ptychoui.engine.scratch import Scratch
from ptychoui.errors import SettingsError

SMALL = 128


@pytest.fixture(scope="module")
def result() -> dict[str, object]:
    return poster.run([2, 5], SMALL, "cpu")


def test_the_array_is_the_disc_of_the_published_lattice() -> None:
    task = poster.task_of(1, SMALL, "cpu")
    places = [(i, j) for i in range(-12, 13) for j in range(-12, 13) if i * i + j * j <= 90]
    tangent = 4 / 46 * np.hypot(*np.array(places).T)
    expected = np.sort(tangent / np.sqrt(1 + tangent**2))
    assert len(places) == poster.LEDS == len(task.leds)
    assert np.abs(np.sort(task.leds.radius_na) - expected).max() < 1e-12
    assert expected[-1] < poster.OUTER_NA < expected[-1] + 1e-3
    assert task.mask.shape == (poster.MEASUREMENTS, poster.LEDS)
    assert task.grids.object_px == SMALL
    assert poster.object_pixel_um(512) == 0.305


def test_sizes_that_no_grid_has_are_refused() -> None:
    with pytest.raises(SettingsError, match="--size 130"):
        poster.task_of(1, 130, "cpu")


def test_steps_are_exact_and_need_no_more_for_more_unrolls(result: dict[str, list[dict[str, float]]]) -> None:
    few, more = result["steps"]
    assert all(str(step["certificate"]).startswith(f"exact: {step['unrolls']} unrolls") for step in (few, more))
    assert more["metered_bytes"] < 1.05 * few["metered_bytes"]
    assert 0.93 < more["predicted_bytes"] / more["metered_bytes"] < 1.07
    assert more["checkpoint_bytes"] > few["checkpoint_bytes"]
    assert few["resident_bytes"] > few["before_bytes"] + 0.5 * few["metered_bytes"]


def test_others_are_foretold_from_less_than_they_take() -> None:
    """Autograd is metered at twice the size and more unrolls than what it is foretold from."""
    (foretold,), _ = poster.others_bytes([3], 2 * SMALL)
    task = poster.task_of(3, 2 * SMALL, "cpu")
    with torch.no_grad():
        given = task.inputs(task.parameters(), task.training.pick([0]), None, training=True)
    bench = Bench(task.network(), given.x, dict(given.tensors), given.x)
    with MemoryMeter() as meter:
        autograd_gradient(bench)
    assert foretold == pytest.approx(meter.peak, rel=0.1)


def test_full_grids_in_one_graph_hold_arrays_for_every_measurement() -> None:
    _, (one, two) = poster.others_bytes([1, 2], SMALL)
    array = 8 * poster.LEDS * SMALL**2
    # For each measurement real weights of all fields, and for all measurements fields and what makes them.
    assert 0.5 * poster.MEASUREMENTS * array < two - one < (0.5 * poster.MEASUREMENTS + 4) * array


def test_the_table_names_what_the_poster_says_at_its_size_alone(result: dict[str, object]) -> None:
    text = poster.table(result)
    assert "2 unrolls: " in text and "5 unrolls: " in text and "exact" in text
    assert "the poster says" not in text
    assert "the poster says 500 GB for 300 unrolls" in poster.table({**result, "stated_bytes": poster.STATED_BYTES})


def test_the_figure(result: dict[str, object], tmp_path: Path) -> None:
    plot({**result, "stated_bytes": poster.STATED_BYTES}, tmp_path / "memory.png")
    assert (tmp_path / "memory.png").stat().st_size > 10_000
    with pytest.raises(SettingsError, match="cannot write"):
        plot(result, tmp_path / "memory.nothing")


def test_large_objects_are_foretold_from_small_ones() -> None:
    found = large_object.run(3, 256, 300, "cpu", leds=149, measurements=4, probed_px=(128, 192))
    assert str(found["certificate"]).startswith("exact: 3 unrolls")
    assert 0.9 < found["predicted_bytes"] / found["metered_bytes"] < 1.1
    foretold = found["foretold_bytes"]
    states = 8 * 256**2 * 300
    assert states < foretold["checkpoint"] < 1.5 * states + found["metered_bytes"]
    assert foretold["reversible"] < 1.5 * found["metered_bytes"]
    assert "300 unrolls would take" in large_object.table(found)


@pytest.mark.parametrize("size", [64, 96, 160])
def test_every_led_s_window_fits_on_grids_of_any_size(size: int) -> None:
    assert pixel_for(published_leds(149), size) < PIXEL_UM
    make_bench(1, 149, 1, size, torch.device("cpu"))  # GeometryError where a window leaves the grid


def test_pixels_shrink_only_where_outer_leds_need_it() -> None:
    assert pixel_for(published_leds(89), 512) == PIXEL_UM
    assert pixel_for(published_leds(293), 512) < 0.31
    bench = make_bench(2, 293, 3, 128, torch.device("cpu"))
    assert closed_form_gradient(bench, "reversible", Scratch()).certificate.startswith("exact")
