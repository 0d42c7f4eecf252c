"""The closed loop, unattended, on an emulated optical bench: learn, send, acquire, reconstruct, compare with the truth.

For every seed another slide lies on the bench, its LEDs and its noise are others; for every kind of array

1. every LED is photographed one by one, and the microscope is calibrated by that stack, as a lab does;
2. the learned design and the one of half circles and a partition of the dark field (hybrid) are sent, with measured
   brightness divided out, and photographed;
3. both are reconstructed with the calibrated geometry, and held against the bench's truth.

Beside them stands what the program's own forward model makes of the same slide with the same photons, read noise and
converter, reconstructed likewise: *simulated* on a microscope that stands where the bench's does, with its aberrations,
all of it known exactly; *promised* on one that stands as it is drawn, without aberrations, as learning has it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui.bench.devices.truth import error, low_passed
from ptychoui.data.dataset import ImageStack
from ptychoui.design.patterns import PatternSet
from ptychoui.devices.acquired_stack import of_patterns, of_single_leds
from ptychoui.devices.acquiring import Acquisition, Ways
from ptychoui.devices.camera_opening import bench
from ptychoui.devices.device import DeviceOptions
from ptychoui.devices.emulators.bench_optics import BenchImages
from ptychoui.devices.emulators.optical_bench import BenchCamera, OpticalBench, Sensor
from ptychoui.devices.opening import open_device
from ptychoui.devices.playing import plan
from ptychoui.errors import DataError
from ptychoui.optics.forward.measurement import MeasurementModel
from ptychoui.optics.forward.simulate import single_led_images
from ptychoui.optics.geometry.curvature import curvature, curved_light
from ptychoui.optics.geometry.led_array import layout, led_array
from ptychoui.optics.geometry.microscope import sampling
from ptychoui.optics.geometry.pose import difference
from ptychoui.paths import resources
from ptychoui.settings import Geometry, Measurement, Pose, Reconstruct, for_microscopes, load_experiment
from ptychoui.tasks.fpm.task import FpmTask
from ptychoui.training.evaluation import load_run
from ptychoui.training.task import build_task
from ptychoui.training.trainer import Trainer
from ptychoui.words import counted
from ptychoui.workflows.coded_stack import CodedReconstruction
from ptychoui.workflows.instrument_profile import Profile, make_profile

DEVICES = ("illuminate2", "illuminate1", "uc2", "ptychoui")
GOAL = 1.25
"""Largest error of an acquired reconstruction of the learned design, in units of that of the simulated one."""
LEARNING_RATE = 0.05
LONGEST_MS = 2000.0
"""Of the exposures of single LEDs."""
NOLL = {"oblique": 5, "astigmatism": 6, "coma y": 7, "coma x": 8, "spherical": 11}
"""The bench's aberrations by Noll's index."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """What is done.

    Attributes
    ----------
    learned, hybrid
        The designs, for the same geometry.
    image_px, margin_px
        Edge of the bench's images, and camera pixels at every edge that do not count.
    frame_ms
        Time of one frame.
    passes
        Passes of every reconstruction.
    query
        Further settings of the bench, as in a camera's URL.
    """

    learned: PatternSet
    hybrid: PatternSet
    image_px: int = 80
    margin_px: int = 8
    frame_ms: float = 100.0
    passes: int = 600
    query: str = ""

    @property
    def geometry(self) -> Geometry:
        """By the drawing."""
        return self.learned.geometry

    @property
    def designs(self) -> dict[str, PatternSet]:
        """Both designs by their names."""
        return {"learned": self.learned, "hybrid": self.hybrid}

    def bench_query(self, seed: int) -> str:
        """Settings of the bench for a seed."""
        return f"image_px={self.image_px}&seed={seed}&sample_seed={seed + 1}" + (f"&{self.query}" if self.query else "")


def designs_of(path: str | None, steps: int, say: Say = print) -> tuple[PatternSet, PatternSet]:
    """The patterns of a run and their rival; without a run they are learned from it in so many steps.

    Raises
    ------
    PtychouiError
        If the run learned no patterns.
    """
    if path is not None:
        trainer = load_run(path)
    else:
        # From what it is to beat, so that few steps are enough.
        experiment = for_microscopes(load_experiment(resources() / "experiments" / "demo.toml"))
        training = experiment.training.replace(
            steps=steps, learning_rate=LEARNING_RATE, validate_every=max(steps, 1), compare=False
        )
        design = experiment.design.replace(start="hybrid")
        trainer = Trainer(build_task(experiment.replace(training=training, design=design)))
        say(f"learning patterns in {counted(steps, 'step')}")
        for _ in trainer.run():
            pass
    learned, task = trainer.result(), trainer.task
    if not isinstance(learned, PatternSet) or not isinstance(task, FpmTask):
        raise DataError(f"{path} learned no patterns of LEDs", "give a run of a microscope")
    return learned, task.known("hybrid", 0)


def run(loop: Loop, devices: Sequence[str] = DEVICES, seeds: int = 1, say: Say = print) -> dict[str, Any]:
    """Do the loop for some emulated arrays and seeds; plain values, one row per array and seed."""
    rows = []
    for seed in range(seeds):
        simulated: dict[str, float] = {}
        promised: dict[str, float] = {}
        for number, kind in enumerate(devices):
            began = time.monotonic()
            with open_device(f"simulate:{kind}", DeviceOptions(brightness=1.0)) as device:
                place = bench(device, loop.geometry, loop.bench_query(seed))
                camera = BenchCamera(place, noise_seed=number)
                say(f"{kind}, seed {seed}: calibrating by single LEDs")
                profile = calibrated(device, camera, loop)
                acquired = {}
                for name, patterns in loop.designs.items():
                    say(f"{kind}, seed {seed}: acquiring and reconstructing, {name}")
                    acquired[name] = acquired_error(device, camera, patterns, profile, loop)
                for name, patterns in loop.designs.items():
                    if name not in simulated:
                        say(f"seed {seed}: the program's own simulation, {name}")
                        simulated[name] = simulated_error(place, patterns, loop, seed, standing(place, loop.geometry))
                        promised[name] = simulated_error(place, patterns, loop, seed, loop.geometry)
            rows.append(
                {
                    "device": kind,
                    "seed": seed,
                    "acquired": acquired,
                    "simulated": dict(simulated),
                    "promised": dict(promised),
                    "ratio": {name: acquired[name] / simulated[name] for name in acquired},
                    "learned_over_hybrid": acquired["learned"] / acquired["hybrid"],
                    "calibration": _calibration(place, profile),
                    "seconds": time.monotonic() - began,
                }
            )
            say(_line(rows[-1]))
    return {"rows": rows, "goal": GOAL, "image_px": loop.image_px, "frame_ms": loop.frame_ms, "query": loop.query}


def calibrated(device: Any, camera: BenchCamera, loop: Loop) -> Profile:
    """What single LEDs, photographed one by one, say of the microscope."""
    subject, frames = of_single_leds(loop.geometry)
    ways = Ways(automatic=True, longest_ms=LONGEST_MS)
    work = Acquisition(device, camera, subject, frames, np.full(len(frames), loop.frame_ms), ways)
    for _ in work.run():
        pass
    found = list(make_profile(work.stack()))[-1]
    assert isinstance(found, Profile)
    return found


def acquired_error(device: Any, camera: BenchCamera, patterns: PatternSet, profile: Profile, loop: Loop) -> float:
    """Error of what is reconstructed of the patterns' frames, against the bench's truth."""
    numbers, _ = layout(loop.geometry.array)
    known = dict(zip(numbers.tolist(), profile.images.gains or (), strict=True))
    gain = np.array([known[int(number)] for number in patterns.led_numbers])
    gain = gain / np.median(gain)
    wanted = plan(patterns, frame_ms=loop.frame_ms, gain=gain)
    subject = of_patterns(patterns, gain, wanted.notes)
    work = Acquisition(device, camera, subject, wanted.frames, wanted.exposures_ms, Ways())
    for _ in work.run():
        pass
    stack = replace(work.stack(), geometry=profile.geometry)
    found = reconstructed(stack, patterns, loop.passes)
    return _error(found, camera.bench.images, loop)


def reconstructed(stack: ImageStack, patterns: PatternSet, passes: int) -> CodedReconstruction:
    """What ``ptychoui reconstruct --patterns`` does."""
    settings = Reconstruct(passes=passes, pupil="fixed", gain=False, background=False, sequential_passes=0)
    work = CodedReconstruction(stack, patterns.levels, patterns.exposures, patterns.led_numbers, settings)
    for _ in work.run():
        pass
    return work


def standing(place: OpticalBench, drawn: Geometry) -> Geometry:
    """The geometry with the bench's true pose, focus and aberrations."""
    optics = place.optics
    pose = Pose(shift_x_mm=optics.shift_x_mm, shift_y_mm=optics.shift_y_mm, rotation_deg=optics.rotation_deg)
    height = drawn.array.height_mm * (1 + optics.height_percent / 100)
    waves = {NOLL[name]: waves for name, waves in optics.aberrations.items()}
    return Geometry(
        microscope=drawn.microscope.replace(defocus_um=optics.defocus_um, zernike_waves=waves),
        array=drawn.array.replace(pose=pose, height_mm=height, max_illumination_na=None),
    )


def simulated_error(place: OpticalBench, patterns: PatternSet, loop: Loop, seed: int, geometry: Geometry) -> float:
    """Error where the program's own forward model of a geometry makes the frames of the same slide and camera."""
    images, sensor = place.images, place.sensor
    everything = led_array(geometry.array.replace(max_illumination_na=None))
    order = {int(number): row for row, number in enumerate(everything.numbers)}
    leds = everything.select(np.array([order[int(number)] for number in patterns.led_numbers]))
    grids = sampling(geometry.microscope, leds, images.span_px, 0)
    # The model has plane light of one direction per LED; its curvature, which a reconstruction takes off, is put on.
    curved = curved_light(geometry.microscope, grids, curvature(geometry))
    finer = int(grids.upsampling)
    light = curved * images.fade(finer)  # a sharp edge of the span would scatter into the dark field
    slide = (_slide(images, finer, loop.geometry) * light)[None].astype(np.complex64)
    inner = slice(images.border_px, images.border_px + images.optics.image_px)
    single = single_led_images(geometry, leds, slide, grids)[:, :, inner, inner]
    model = MeasurementModel(measurement(sensor, loop.frame_ms), torch.ones(len(leds)))
    recorded = model.record(
        torch.from_numpy(single.copy()),
        torch.from_numpy(patterns.levels).float(),
        torch.from_numpy(patterns.exposures).float(),
        torch.Generator().manual_seed(seed),
        poisson=True,
    )
    stack = ImageStack(images=recorded[0].numpy(), led_numbers=np.arange(len(patterns.levels)), geometry=geometry)
    return _error(reconstructed(stack, patterns, loop.passes), images, loop)


def measurement(sensor: Sensor, frame_ms: float) -> Measurement:
    """The bench's camera in the program's own words, for frames of so many ms."""
    return Measurement(
        photons_per_led=sensor.electrons_per_ms * frame_ms,
        read_noise=sensor.read_noise_e,
        full_well=sensor.full_well_e,
        adc_bits=sensor.bits,
    )


def _slide(images: BenchImages, finer: int, geometry: Geometry) -> NDArray[np.complex128]:
    """The bench's slide, border included, without what no LED of the geometry shows."""
    leds = led_array(geometry.array)
    cutoff = (geometry.microscope.objective_na + float(leds.radius_na.max())) / geometry.microscope.wavelength_um
    return low_passed(images.truth(finer, images.span_px), images.optics.pixel_um / finer, cutoff)


def _error(work: CodedReconstruction, images: BenchImages, loop: Loop) -> float:
    finer = int(work.grids.upsampling)
    inner = slice(images.border_px * finer, (images.border_px + images.optics.image_px) * finer)
    truth = _slide(images, finer, loop.geometry)[inner, inner]
    return error(work.object(), truth, loop.margin_px * finer)


def _calibration(place: OpticalBench, profile: Profile) -> dict[str, float]:
    """By how much the calibration missed the truth."""
    optics, array = place.optics, profile.geometry.array
    nominal = array.replace(pose=Pose(), height_mm=optics.height_mm)
    change = difference(nominal, array)
    wanted = (optics.shift_x_mm, optics.shift_y_mm, optics.rotation_deg, optics.height_percent)
    names = ("shift_x_mm", "shift_y_mm", "rotation_deg", "height_percent")
    return {name: float(change[i] - wanted[i]) for i, name in enumerate(names)}


def _line(row: dict[str, Any]) -> str:
    parts = [
        f"{name} {row['acquired'][name]:.3f} (simulated {row['simulated'][name]:.3f}, ratio {row['ratio'][name]:.2f}, "
        f"promised {row['promised'][name]:.3f})"
        for name in row["acquired"]
    ]
    return f"{row['device']:12} seed {row['seed']}: {', '.join(parts)}, {row['seconds']:.0f} s"


def table(result: dict[str, Any]) -> str:
    """The result as text: means over the seeds for every array."""
    lines = ["array         learned  simulated  ratio   hybrid  simulated  ratio   learned / hybrid"]
    for kind in dict.fromkeys(row["device"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["device"] == kind]

        def mean(part: str, name: str, rows: list[dict[str, Any]] = rows) -> float:
            return float(np.mean([row[part][name] for row in rows]))

        cells = [kind.ljust(12)]
        for name in ("learned", "hybrid"):
            cells += [f"{mean(part, name):8.3f}" for part in ("acquired", "simulated", "ratio")]
        cells.append(f"{np.mean([row['learned_over_hybrid'] for row in rows]):8.3f}")
        lines.append("  ".join(cells))
    worst = max(row["ratio"]["learned"] for row in result["rows"])
    better = sum(row["learned_over_hybrid"] < 1 for row in result["rows"])
    lines.append(
        f"largest ratio of the learned design {worst:.2f} (goal: at most {result['goal']:g}); learned better than "
        f"hybrid in {better} of {len(result['rows'])}"
    )
    return "\n".join(lines)
