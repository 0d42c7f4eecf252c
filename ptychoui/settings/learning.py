"""What is learned, and how: patterns, network, engine and training."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from ptychoui.errors import SettingsError
from ptychoui.settings.base import QUIET, Settings
from ptychoui.words import counted


class Measurement(Settings):
    """What the camera records of one multiplexed exposure (units: photoelectrons, frames, levels)."""

    photons_per_led: float = Field(
        4e4, ge=1e-3, le=1e9, description="photoelectrons per pixel from one LED on axis at full level, unit exposure"
    )
    read_noise: float = Field(2.0, ge=0, le=1e4, description="read noise in electrons RMS per frame")
    background: float = Field(0.0, ge=0, le=10, description="stray light per unit exposure, in units of one LED")
    full_well: float = Field(1e5, gt=0, le=1e12, description="electrons at which a pixel saturates")
    adc_bits: int = Field(12, ge=0, le=24, description="bits of the camera's converter; 0 for none")
    noise: Literal["physical", "published", "none"] = Field(
        "physical",
        description="physical: shot and read noise of the multiplexed exposure; "
        "published: noisy single-LED images are summed (understates the variance); none",
    )
    nuisances: bool = Field(
        False,
        description="learn with light that is not as stated: in every step LEDs 10 % RMS brighter or dimmer, half to "
        "all of the photons and up to 1 % of stray light; scores are of the microscope as stated",
        json_schema_extra=QUIET,
    )


class Design(Settings):
    """What is being learned: drive levels of ``rows`` patterns and, where asked, their exposures."""

    bright_field_rows: int = Field(1, ge=0, le=256, description="patterns of bright-field LEDs")
    dark_field_rows: int = Field(3, ge=0, le=256, description="patterns of dark-field LEDs")
    start: Literal["dense_random", "random_partition", "hybrid", "singles", "best"] = Field(
        "dense_random",
        description="drive levels at the beginning: random, LEDs divided among patterns, half circles and random, "
        "single LEDs; best: all of these and half circles alone are tried, and the best is taken",
    )
    total_exposure: float | None = Field(
        None, gt=0, description="sum of the frame times of all rows, in units of one frame (default: one each)"
    )
    learn_exposure: bool = Field(False, description="learn how the total exposure is divided")
    minimum_exposure: float = Field(0.05, gt=0, le=1, description="shortest frame time, in units of one frame")
    guard_na: float = Field(0.0, ge=0, le=0.5, description="LEDs this close to the objective NA stay dark")
    drive_bits: int | None = Field(
        None,
        ge=1,
        le=16,
        description="bits of an LED's drive level; 1 is on or off (left out: any level)",
        json_schema_extra=QUIET,
    )
    maximum_lit: int | None = Field(
        None,
        ge=1,
        le=65_536,
        description="most LEDs that may shine in one pattern (left out: all)",
        json_schema_extra=QUIET,
    )

    @model_validator(mode="after")
    def _some_rows(self) -> Self:
        if self.bright_field_rows < 1:
            raise ValueError("at least one bright-field row is needed: the first estimate comes from it")
        return self

    @property
    def rows(self) -> int:
        """Number of measurements."""
        return self.bright_field_rows + self.dark_field_rows

    @property
    def limits_levels(self) -> bool:
        """True if the array cannot show every pattern of levels in [0, 1]."""
        return self.drive_bits is not None or self.maximum_lit is not None

    @property
    def limits(self) -> str:
        """What the array can show, to stand behind a sentence; nothing where that is everything."""
        bits = "" if self.drive_bits is None else f", levels of {counted(self.drive_bits, 'bit')}"
        return bits + ("" if self.maximum_lit is None else f", at most {self.maximum_lit} lit in a pattern")


def momentum_ratio(value: str) -> str:
    """A momentum as the exactly reversible update needs it: a ratio of integers below 128, as text."""
    try:
        ratio = Fraction(value)
    except (ValueError, ZeroDivisionError):
        raise ValueError("momentum must be a ratio of integers such as '7/8'") from None
    if not 0 < ratio < 1 or ratio.denominator > 127:
        raise ValueError("momentum must lie between 0 and 1 (both excluded), denominator at most 127")
    return value


class Network(Settings):
    """The unrolled reconstruction."""

    update: Literal["heavy_ball", "nesterov", "gradient", "learned_momentum"] = Field(
        "heavy_ball",
        description="how gradients move the object; learned_momentum: heavy ball with one learned momentum per unroll",
    )
    unrolls: int = Field(30, ge=1, le=100_000, description="number of unrolled iterations")
    step: float | None = Field(
        None,
        gt=0,
        le=1e4,
        description="step size of every unroll (left out: 0.4 of the largest stable one)",
    )
    momentum: str = Field(
        "7/8", description="momentum (of learned_momentum the start) as a ratio n/d of integers below 128, 0 < n/d < 1"
    )
    learn_step: bool = Field(False, description="learn one step size per unroll")
    prior: Literal["none", "smooth"] = Field(
        "none",
        description="smooth: fine structures cost more than coarse ones, and steps are scaled to the light that falls "
        "on every spatial frequency, so that few unrolls converge for every design",
        json_schema_extra=QUIET,
    )
    first_smoothness: float = Field(
        1.0,
        gt=0,
        le=1e4,
        description="strength of the smooth prior in the first unroll, so that coarse structures come first",
        json_schema_extra=QUIET,
    )
    smoothness: float = Field(
        0.01,
        gt=0,
        le=1e4,
        description="strength of the smooth prior in the last unrolls, in units of one LED's light",
        json_schema_extra=QUIET,
    )
    learn_smoothness: bool = Field(
        False, description="learn the strength of the smooth prior for every unroll", json_schema_extra=QUIET
    )

    _ratio = field_validator("momentum")(momentum_ratio)

    @model_validator(mode="after")
    def _smoothness_falls(self) -> Self:
        if self.first_smoothness < self.smoothness:
            raise ValueError("first_smoothness must not be below smoothness: the prior weakens from unroll to unroll")
        return self

    @property
    def learns_momentum(self) -> bool:
        """True if every unroll has a momentum of its own, which training changes."""
        return self.update == "learned_momentum"


class Segment(Settings):
    """A stretch of unrolls whose gradient is obtained in its own way."""

    unrolls: int = Field(ge=1, le=100_000, description="number of unrolls of the segment, 1 to 100000")
    strategy: Literal["store_all", "checkpoint", "offload", "binomial", "reversible", "inverse"] = Field(
        description="store_all, checkpoint, offload, binomial, reversible or inverse"
    )


class Engine(Settings):
    """How the gradient is obtained, and where."""

    strategy: Literal[
        "auto", "store_all", "checkpoint", "offload", "binomial", "reversible", "inverse", "greedy", "segments"
    ] = "reversible"
    segments: tuple[Segment, ...] = Field(
        (),
        description="what the strategy segments runs, first to last: [{unrolls = 20, strategy = 'checkpoint'}, ...]",
        json_schema_extra=QUIET,
    )
    memory_mb: float | None = Field(
        None,
        gt=0,
        le=1e7,
        description="memory in MB that a pass may take, by which auto plans (default: 0.7 of what is free)",
    )
    objects_at_once: int | None = Field(
        None, ge=1, le=1024, description="objects of a batch that are differentiated together (default: as many as fit)"
    )
    drift_tolerance: float = Field(
        1e-4, gt=0, lt=1, description="largest relative drift of a state that inverse may reconstruct"
    )
    modules: int = Field(4, ge=1, le=100_000, description="modules that greedy trains by losses of their own")
    module_optimisers: Literal["one", "each"] = Field(
        "one",
        description="one: a single optimiser gets the mean of the derivatives of all greedy modules' losses; each: "
        "every module has an optimiser for what only its own unrolls use",
        json_schema_extra=QUIET,
    )
    check_every: int = Field(
        50,
        ge=0,
        description="steps between two checks of the products against differences in double precision; 0: none",
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")
    precision: Literal["float32", "float64"] = "float32"

    @model_validator(mode="after")
    def _some_segments(self) -> Self:
        if self.strategy == "segments" and not self.segments:
            raise SettingsError(
                "the strategy segments was asked for, but engine.segments is empty",
                "list them first to last, for example segments = [{unrolls = 20, strategy = 'checkpoint'}, "
                "{unrolls = 40, strategy = 'reversible'}]",
            )
        return self

    def check_unrolls(self, unrolls: int) -> None:
        """Refuse modules or segments that a network of so many unrolls cannot be cut into.

        Raises
        ------
        SettingsError
            If it cannot.
        """
        if self.strategy == "greedy" and self.modules > unrolls:
            raise SettingsError(
                f"{unrolls} unrolls cannot be cut into {self.modules} greedy modules",
                f"set engine.modules to {unrolls} or less",
            )
        total = sum(part.unrolls for part in self.segments)
        if self.strategy == "segments" and total != unrolls:
            raise SettingsError(
                f"the segments of the engine add up to {total} unrolls, the network has {unrolls}",
                f"let the unrolls of engine.segments add up to network.unrolls = {unrolls}",
            )

    @property
    def strategies(self) -> tuple[str, ...]:
        """Names of the strategies that run, one for every segment."""
        return tuple(part.strategy for part in self.segments) if self.strategy == "segments" else (self.strategy,)


class Training(Settings):
    """The optimisation, of whatever is learned."""

    steps: int = Field(100, ge=0, le=1_000_000, description="number of optimiser steps")
    batch: int = Field(2, ge=1, le=1024, description="objects per step")
    learning_rate: float = Field(0.03, gt=0, le=10, description="Adam's step on drive levels in [0, 1]")
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="the learning rate stays, or falls to a tenth over the run"
    )
    validate_every: int = Field(10, ge=1, description="steps between two scores on the held-out objects")
    save_every_s: float = Field(60.0, gt=0, description="longest time between two saves in seconds")
    holdout: float = Field(0.25, gt=0, lt=1, description="share of the sources held out")
    compare: bool = Field(
        False,
        description="in the end, hold what was learned against what was known before, and say which of them to use",
        json_schema_extra=QUIET,
    )


class FpmTraining(Training):
    """The optimisation of a design of patterns."""

    model_config = ConfigDict(title="training")

    loss: Literal["complex", "amplitude", "phase", "images"] = Field(
        "complex",
        description="what is asked of a reconstruction: the object, its amplitude or its phase as the truth has them; "
        "images: that it predicts the image of every single LED, which needs no truth",
    )
    without_ramp: bool = Field(
        False,
        description="objects are compared after the phase ramp that brings them closest: a shift of the LED array is "
        "one, and so are other angles of the light at tiles beside the middle",
        json_schema_extra=QUIET,
    )
    margin_px: int = Field(4, ge=0, description="border of an object, in camera pixels, left out of loss and score")
