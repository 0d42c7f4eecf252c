"""A microscope with any number of LEDs in the same disc of angles, and one reversible pass on it."""

from __future__ import annotations

from fractions import Fraction

import torch

from ptychoui.bench.engine.problem import PIXEL_UM, disc_of_leds, field_px
from ptychoui.engine.scratch import Scratch
from ptychoui.engine.strategies import strategy
from ptychoui.network.gradient import INPUTS
from ptychoui.network.ptychographic import PtychographicNetwork
from ptychoui.optics.forward.led_sums_chunked import ChunkedLedSums
from ptychoui.optics.forward.model import FourierPtychography
from ptychoui.optics.geometry.microscope import Sampling
from ptychoui.settings import Microscope, Network

SCOPE = Microscope(
    wavelength_um=0.514,
    objective_na=0.2,
    magnification=4.0,
    camera_pixel_um=4 * PIXEL_UM / 0.65,
    pixel="point",
    defocus_um=2.0,
    zernike_waves={5: 0.05},
)


def lattice_in_a_disc(leds: int, size: int, stream: bool) -> FourierPtychography:
    """LEDs of a square lattice up to NA 0.42, closer together the more there are, on an object of ``size`` pixels."""
    array, field = disc_of_leds(leds), field_px(size)
    grids = Sampling(
        tile_px=field, pad_px=0, pixel_size_um=PIXEL_UM * size / field, oversampling=1, upsampling=Fraction(size, field)
    )
    return FourierPtychography(SCOPE, array, grids, stream=stream)


def small_chunks(model: FourierPtychography, leds: int, kind: str) -> FourierPtychography:
    """The model in chunks of so many LEDs, by compiled loops or as on other devices."""
    size = leds * model.grids.field_px**2 * model.complex_dtype.itemsize
    streamed = model.streamed(size)
    if kind == "chunked":
        streamed._sums = ChunkedLedSums(model._windows, torch.device("cpu"), size)
    return streamed


def streamed_pass(model: FourierPtychography, unrolls: int) -> None:
    """Forward and back under the reversible strategy, with 8 measurements of one object."""
    generator = torch.Generator().manual_seed(0)
    size, tile, rows = model.grids.object_px, model.grids.tile_px, 8
    network = PtychographicNetwork(model, Network(unrolls=unrolls, step=0.1), 1e-6)
    inputs = {
        "weights": torch.rand(rows, len(model.leds), generator=generator) / len(model.leds),
        "offset": torch.zeros(rows),
        "amplitude": torch.rand(1, rows, tile, tile, generator=generator),
        "step": network.initial_step(),
    }
    x = torch.ones(1, size, size, dtype=torch.complex64)
    trace = strategy("reversible").forward(network.chain, x, inputs, Scratch())
    back = trace.backward(torch.ones_like(x), INPUTS)
    assert back.certificate
