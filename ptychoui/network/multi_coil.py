"""Unrolled reconstruction of multi-coil k-space: data consistency and a convolutional network in turn.

One unroll is U(x) = D(x + f(x)) (MoDL) or U(x) = (1 + f)(D(x)) (half-quadratic splitting), with
D(x) = (A^H W A + mu)^-1 (A^H W y + mu x) and a residual network f. Joined by a heavy ball an unroll is undone bit for
bit: neither D nor f is ever inverted.
Sources: Aggarwal, Mani, Jacob, "MoDL", IEEE TMI 38 (2019), equation 9; Kellman et al., "Memory-efficient learning for
large-scale computational imaging", IEEE TCI 6 (2020), section IV, for the order of half-quadratic splitting.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ptychoui.engine.composite import Composite
from ptychoui.engine.float_updates import Plain
from ptychoui.engine.heavy_ball import HeavyBall
from ptychoui.engine.layer import Layer
from ptychoui.engine.strategy import Chain
from ptychoui.network.least_squares import LeastSquares
from ptychoui.network.own_inputs import OwnInputs
from ptychoui.network.residual_cnn import ResidualCnn
from ptychoui.network.sense_consistency import K_SPACE, FixedSteps, SenseOperator
from ptychoui.network.unrolled import UnrolledNetwork
from ptychoui.settings import MultiCoilNetwork

MOST_ITERATIONS = 1000
"""Enough for the least mu that is learned, 1e-3, in double precision."""
DOUBLE_TOLERANCE = 1e-12
PREFIX = "cnn."
FIRST_SUM = 0.8
"""Gain of all networks together at the start, in units of that of one with usual weights."""


class MultiCoilUnrolls(UnrolledNetwork):
    """N unrolls on images of one shape.

    Inputs are those of `sense_consistency`, ``mu`` (one number, or one per unroll) and the network's weights: one set,
    or stacked along a first axis, one for each unroll.

    Parameters
    ----------
    space
        Shape of an image: (row, column), or (slice or frame, row, column).
    transformed
        How many of the last axes are Fourier transformed.
    settings
        Order, update rule, number of unrolls, convolutions.
    dtype
        Real numbers in which it computes: in double precision the solver goes to its own tolerance, so that derivatives
        can be held against differences.
    """

    def __init__(
        self, space: tuple[int, ...], transformed: int, settings: MultiCoilNetwork, dtype: torch.dtype = torch.float32
    ) -> None:
        self.space, self.settings = space, settings
        kernel = (settings.kernel,) * len(space)
        if settings.planes and len(space) == 3:
            kernel = (1, *kernel[1:])
        self.cnn = ResidualCnn(
            space, PREFIX, settings.channels, settings.convolutions, kernel, borders=settings.borders
        )
        operator = SenseOperator(transformed)
        tolerance = settings.tolerance if dtype == torch.float32 else DOUBLE_TOLERANCE
        coupled = transformed if transformed < len(space) else None

        def consistency(index: int) -> Layer:
            place = index if settings.learn_mu and not settings.shared else 0
            if settings.solver == "fixed":
                return FixedSteps(transformed, place, settings.steps)
            return LeastSquares(operator, place, tolerance, MOST_ITERATIONS, K_SPACE, "mu", coupled)

        layers: list[Layer] = []
        for index in range(settings.unrolls):
            denoiser: Layer = self.cnn if settings.shared else OwnInputs(self.cnn, self.cnn.input_shapes, index)
            parts = [denoiser, consistency(index)]
            unroll = Composite(parts if settings.order == "modl" else parts[::-1], f"unroll {index + 1}")
            layers.append(unroll)
        update = HeavyBall(settings.momentum) if settings.update == "heavy_ball" else Plain()
        super().__init__(Chain(layers, update))

    def initial_weights(self, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        """The network's weights at the start, (out, in, ...) and (out,), or with the unrolls before that.

        The more unrolls there are, the nearer each is to the identity, so that deep networks do not diverge.
        """
        last = min(0.1, FIRST_SUM / self.settings.unrolls)
        if self.settings.shared:
            return self.cnn.initial_weights(generator, dtype, last)
        sets = [self.cnn.initial_weights(generator, dtype, last) for _ in range(self.settings.unrolls)]
        return {name: torch.stack([weights[name] for weights in sets]) for name in sets[0]}

    def initial_mu(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """Weights of the network's image at the start: (1,), or (N,) where every unroll learns its own."""
        own = self.settings.learn_mu and not self.settings.shared
        return torch.full((self.settings.unrolls if own else 1,), self.settings.mu, dtype=dtype)
