"""What a run that learns patterns shows: immutable values without torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychoui.training.events import Picture, ShownArray, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthShown(Picture):
    """The whole field of a measured stack that is learned from, before the first step.

    Attributes
    ----------
    amplitude, phase_rad
        (row, column) of the object, phase around that of its mean.
    held_out_from_px
        Column where the held-out part begins.
    sentence
        How well it explains the images.
    """

    amplitude: NDArray[np.float32]
    phase_rad: NDArray[np.float32]
    pixel_size_um: float
    held_out_from_px: float
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternSnapshot(Snapshot):
    """The present patterns, and what they see of the first held-out object.

    Attributes
    ----------
    levels
        (row, LED) drive levels.
    exposures
        (row,) frame times.
    amplitude, phase_rad
        (row, column) of the reconstruction, phase aligned to the truth.
    true_amplitude, true_phase_rad
        The same of the truth (or of the full-stack reconstruction).
    """

    levels: NDArray[np.float32]
    exposures: NDArray[np.float32]
    amplitude: NDArray[np.float32]
    phase_rad: NDArray[np.float32]
    true_amplitude: NDArray[np.float32]
    true_phase_rad: NDArray[np.float32]
    pixel_size_um: float

    @property
    def pictures(self) -> tuple[ShownArray, ...]:
        """Reconstruction and truth, phase first."""
        named = (
            ("Phase, reconstructed", self.phase_rad, "rad"),
            ("Phase, truth", self.true_phase_rad, "rad"),
            ("Amplitude, reconstructed", self.amplitude, ""),
            ("Amplitude, truth", self.true_amplitude, ""),
        )
        return tuple(
            ShownArray(title=title, values=values, unit=unit, pixel_size_um=self.pixel_size_um)
            for title, values, unit in named
        )
