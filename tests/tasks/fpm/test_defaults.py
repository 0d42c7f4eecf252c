"""Settings for bare data: a guard band at the objective's edge, and objects compared after the best phase ramp."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from training.small import objects, problem

from ptychoui.data.dataset import ImageStack
from ptychoui.design.starts import band_masks
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.settings import Geometry, blank_experiment, load_geometry
from ptychoui.tasks.fpm.defaults import suited
from ptychoui.tasks.fpm.task import FpmTask


def stack_of(geometry: Geometry) -> ImageStack:
    numbers = led_array(geometry.array).numbers
    return ImageStack(images=np.ones((len(numbers), 128, 128), np.float32), led_numbers=numbers, geometry=geometry)


def test_leds_that_a_small_shift_takes_out_of_the_bright_field_stay_dark() -> None:
    """Of the blood smear's microscope eight LEDs lie 0.003 inside the objective's NA."""
    geometry = load_geometry("uconn_bloodsmear")
    found = suited(blank_experiment(), stack_of(geometry), geometry)
    leds, na = led_array(geometry.array), geometry.microscope.objective_na
    lit = band_masks(found.design, leds, na).any(0)
    edge = np.abs(leds.radius_na - na) < found.design.guard_na
    assert 0.005 < found.design.guard_na < 0.012 and edge.sum() >= 8 and not lit[edge].any()
    assert (lit & leds.bright_field(na)).sum() >= leds.bright_field(na).sum() / 2
    aside = geometry.array.replace(pose=geometry.array.pose.replace(shift_x_mm=geometry.array.pose.shift_x_mm + 0.7))
    moved = led_array(aside).bright_field(na)
    assert np.array_equal(moved[lit], leds.bright_field(na)[lit]), "a shift of 0.7 mm changes no pattern's field"


def test_where_little_would_be_left_there_is_no_band() -> None:
    geometry = load_geometry("uconn_bloodsmear")
    four = geometry.replace(microscope=geometry.microscope.replace(objective_na=0.046))
    assert suited(blank_experiment(), stack_of(four), four).design.guard_na == 0
    # All dark-field LEDs at the edge: the band would leave none.
    near = geometry.replace(
        array=geometry.array.replace(max_illumination_na=0.098),
        microscope=geometry.microscope.replace(objective_na=0.096),
    )
    assert (led_array(near.array).radius_na >= 0.096).any()
    assert suited(blank_experiment(), stack_of(near), near).design.guard_na == 0


def test_known_objects_are_compared_as_they_are() -> None:
    geometry = load_geometry("uconn_bloodsmear")
    assert suited(blank_experiment(), stack_of(geometry), geometry).training.without_ramp
    known = suited(blank_experiment(), objects(), geometry)
    assert not known.training.without_ramp and known.design.guard_na == 0


def forgiving(without_ramp: bool) -> FpmTask:
    return problem(engine={"precision": "float64"}, training={"without_ramp": without_ramp}).double()


def output_with_ramp(task: FpmTask) -> torch.Tensor:
    """The truth in the middle of an empty grid, times a phase ramp."""
    truth = task.held_out.truth.to(torch.complex128)
    size = task.grids.object_px
    whole = torch.zeros((len(truth), size, size), dtype=torch.complex128)
    task.object_of(whole).copy_(truth)
    places = torch.arange(size, dtype=torch.float64)
    ramp = torch.exp(1j * (0.11 * places[:, None] - 0.07 * places))
    return whole * ramp


def test_a_phase_ramp_costs_nothing_where_it_is_forgiven() -> None:
    for without, least, most in ((True, 0.0, 1e-3), (False, 0.5, 10.0)):
        task = forgiving(without)
        output, batch = output_with_ramp(task), task.held_out.double()
        error = task.scores(output, batch)["complex_error"]
        assert least <= float(error.min()) and float(error.max()) < most
        assert task.loss(output, batch).tolist() == pytest.approx(error.square().tolist(), abs=1e-9)


def test_the_loss_after_the_best_ramp_has_the_derivative_of_differences() -> None:
    """At the best ramp a small change of the ramp changes nothing, so that it may be taken as constant."""
    task = forgiving(True)
    rng = np.random.default_rng(4)
    batch = task.held_out.double()
    noise = torch.from_numpy(rng.normal(size=(2, *output_with_ramp(task).shape)))
    x = output_with_ramp(task) + 0.1 * torch.complex(noise[0], noise[1])
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(task.loss(leaf, batch).sum(), leaf)
    along = torch.complex(noise[1], -noise[0])
    h = 1e-5
    ahead, behind = (float(task.loss(x + s * h * along, batch).sum()) for s in (1, -1))
    assert float((slope.conj() * along).real.sum()) == pytest.approx((ahead - behind) / (2 * h), rel=1e-4)
