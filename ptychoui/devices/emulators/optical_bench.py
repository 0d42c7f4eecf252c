"""An emulated optical bench: what a camera would see of the LEDs that an emulated array has lit.

It reads the drive values that the board shines with, so that all that goes wrong between a design and its light is
seen: wrong LEDs, lost commands, brightness, rounding. Images of single LEDs come from `bench_optics` and add up, each
with the brightness of its LED; light that is scattered into the camera, the light of the room, shot noise, read noise,
the full well and the converter come on top. Everything that is wrong with it is a setting.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ptychoui.devices.camera import Camera, Counts
from ptychoui.devices.emulators.bench_optics import BenchImages, Optics
from ptychoui.devices.emulators.wire import Board
from ptychoui.errors import SettingsError

FULL = 255
Field = NDArray[np.float64]
CHANNELS = ("red", "green", "blue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """LEDs and camera as they really are.

    Attributes
    ----------
    electrons_per_ms
        Photoelectrons per pixel and ms from one LED on the axis at full drive, without a sample.
    full_well_e, bits, offset, read_noise_e
        Of the camera: electrons that fill a pixel, bits of its converter, counts without light, electrons RMS.
    gain_rms
        Spread of the brightness of LEDs.
    gains
        Further factors of single LEDs, by number; 0 is a dead one.
    dead
        LEDs that do not shine.
    stray_share
        Light of every lit LED, in units of its open field, that reaches all pixels alike.
    ambient_e_per_ms
        Light of the room.
    pixel_gain_rms
        Spread of the sensitivity of the pixels.
    pwm_period_ms
        Period of the pulse width by which LEDs are dimmed; 0: they are dimmed by their current.
    noise
        Whether light and read-out have noise.
    colour
        The colour that passes the filter before the camera.
    seed
        Of everything random.
    real_time
        Whether a frame takes as long as its exposure.
    """

    electrons_per_ms: float = 400.0
    full_well_e: float = 1e5
    bits: int = 12
    offset: float = 100.0
    read_noise_e: float = 5.0
    gain_rms: float = 0.06
    gains: dict[int, float] = field(default_factory=dict)
    dead: tuple[int, ...] = ()
    stray_share: float = 2e-5
    ambient_e_per_ms: float = 0.05
    pixel_gain_rms: float = 0.0
    pwm_period_ms: float = 0.0
    noise: bool = True
    colour: str = "green"
    seed: int = 0
    real_time: bool = False

    def __post_init__(self) -> None:
        if not 8 <= self.bits <= 16 or not 0 <= self.offset < 2**self.bits - 1:
            raise SettingsError("the bench's camera has 8 to 16 bits, and an offset within them")
        if not (self.electrons_per_ms > 0 and self.full_well_e > 0):
            raise SettingsError("the bench needs light, and its camera a full well")
        if self.colour not in CHANNELS:
            raise SettingsError(f"the bench's filter passes no {self.colour!r}", "red, green or blue")

    @property
    def electrons_per_count(self) -> float:
        """Electrons of one step of the converter."""
        return float(self.full_well_e / (2**self.bits - 1 - self.offset))


class OpticalBench:
    """LEDs, sample and microscope behind an emulated array.

    Parameters
    ----------
    board
        The array's firmware: its light is asked for at every frame.
    optics, sensor
        What is really there; `optics` and `sensor` may be replaced at any time, as when somebody bumps into it.
    """

    def __init__(self, board: Board, optics: Optics, sensor: Sensor | None = None) -> None:
        self.board = board
        self.sensor = sensor or Sensor()
        self.optics = optics

    @property
    def optics(self) -> Optics:
        """The microscope as it is now."""
        return self._images.optics

    @optics.setter
    def optics(self, optics: Optics) -> None:
        self._images = BenchImages(optics)

    @property
    def images(self) -> BenchImages:
        """Images of single LEDs, and the sample."""
        return self._images

    def gain(self, n_leds: int) -> Field:
        """(n_leds,) brightness of the LEDs of the array by their numbers."""
        sensor = self.sensor
        found = np.exp(np.random.default_rng([sensor.seed, 3]).normal(0, sensor.gain_rms, n_leds))
        for number, factor in sensor.gains.items():
            found[number] *= factor
        found[[number for number in sensor.dead if number < n_leds]] = 0
        return np.asarray(found)

    def drive(self) -> NDArray[np.uint8]:
        """(n_leds,) drive values of the colour that the camera sees, as the board shines now."""
        light = self.board.light
        return light[:, CHANNELS.index(self.sensor.colour) if light.shape[1] == len(CHANNELS) else 0]

    def light(self, values: NDArray[np.uint8], exposure_ms: float, starts_ms: float = 0.0) -> Field:
        """(row, column) light of drive values (n_leds,) in units of one LED at full drive for a ms.

        Parameters
        ----------
        exposure_ms, starts_ms
            How long the camera looks, and when in the period of the pulse width it begins.
        """
        gain = self.gain(len(values))
        times = _on_ms(values, exposure_ms, starts_ms, self.sensor.pwm_period_ms)
        edge = self.optics.image_px
        total = np.zeros((edge, edge))
        for number in np.flatnonzero((times > 0) & (gain > 0)):
            amount = float(times[number] * gain[number])
            total += amount * (self._images.image(int(number)) + self.sensor.stray_share)
        return total


def _on_ms(values: NDArray[np.uint8], exposure_ms: float, starts_ms: float, period_ms: float) -> Field:
    """(n_leds,) ms for which each LED shines while the camera looks."""
    share = values / FULL
    if not period_ms:
        return np.asarray(share * exposure_ms)

    def until(moment: float) -> Field:
        whole, rest = divmod(moment, period_ms)
        return np.asarray(whole * share * period_ms + np.minimum(rest, share * period_ms))

    return until(starts_ms + exposure_ms) - until(starts_ms)


class BenchCamera(Camera):
    """The camera of an emulated bench.

    Parameters
    ----------
    bench
        What it looks at.
    noise_seed
        Another one gives the same bench other noise, as another day does.
    """

    def __init__(self, bench: OpticalBench, noise_seed: int = 0) -> None:
        self.bench = bench
        sensor, edge = bench.sensor, bench.optics.image_px
        self.name = "the emulated camera"
        self.shape, self.bits, self.full_well = (edge, edge), sensor.bits, 2**sensor.bits - 1
        self.offset = float(sensor.offset)
        self._random = np.random.default_rng([sensor.seed, 5, noise_seed])
        self._pixels = 1 + np.random.default_rng([sensor.seed, 7]).normal(0, 1, self.shape) * sensor.pixel_gain_rms

    def electrons(self, exposure_ms: float) -> Field:
        """(row, column) expected photoelectrons of a frame of what shines now, no pixel full."""
        sensor = self.bench.sensor
        start = float(self._random.uniform(0, sensor.pwm_period_ms)) if sensor.pwm_period_ms else 0.0
        light = self.bench.light(self.bench.drive(), exposure_ms, start) * sensor.electrons_per_ms
        return np.asarray((light + sensor.ambient_e_per_ms * exposure_ms) * self._pixels).clip(0)

    def _snap(self, exposure_ms: float) -> Counts:
        sensor = self.bench.sensor
        electrons = self.electrons(exposure_ms)
        if sensor.real_time:
            time.sleep(exposure_ms / 1000)
        if sensor.noise:
            electrons = self._random.poisson(electrons) + self._random.normal(0, sensor.read_noise_e, self.shape)
        counts = np.rint(np.minimum(electrons, sensor.full_well_e) / sensor.electrons_per_count + sensor.offset)
        return np.clip(counts, 0, self.full_well).astype(np.uint16)
