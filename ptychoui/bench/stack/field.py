"""A simulated large field in tiles: seconds per megapixel, and what is left at the borders of the tiles.

The whole field is simulated at once, every LED a point that sends a spherical wave, so that nothing of the simulation
knows of tiles; the camera records eight bits, the dark field exposed longer.
"""

from __future__ import annotations

import itertools
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ptychoui.data.dataset import ImageStack, Provenance, array_sha256
from ptychoui.data.formats.native import save_hdf5
from ptychoui.data.formats.open import open_dataset
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.settings import Array, Geometry, Microscope, Reconstruct
from ptychoui.workflows.full_field import TiledReconstruction
from ptychoui.workflows.tile_plan import TilePlan, plan_tiles

FINER = 2
"""Samples of the simulated field per camera pixel."""
AROUND_PX = 32
"""Camera pixels that are simulated around the field: transforms wrap round."""
DARK_EXPOSURE = 16.0
GEOMETRY = Geometry(
    microscope=Microscope(
        wavelength_um=0.532, objective_na=0.1, magnification=3.0, camera_pixel_um=3.45, pixel="point"
    ),
    array=Array(kind="lattice", rows=8, columns=8, pitch_mm=8.0, height_mm=180.0),
)


def simulated_object(rows: int, columns: int, seed: int = 0) -> NDArray[np.complex64]:
    """(row, column) transmission of amplitude 1 +- 0.08 and phase +- 0.25 rad, random, of detail at every scale.

    Its amplitude spectrum falls with the frequency from 0.03 per um, whose inverse is far below a tile's width, and
    ends inside the synthetic aperture.
    """
    generator = np.random.default_rng(seed)
    pixel = GEOMETRY.microscope.pixel_size_um / FINER
    fy, fx = np.fft.fftfreq(rows, pixel), np.fft.fftfreq(columns, pixel)
    frequency = np.hypot(fy[:, None], fx)
    shape = (frequency > 0.012) * (frequency < 0.45) / np.maximum(frequency, 0.03)
    parts = [np.fft.ifft2(np.fft.fft2(generator.normal(size=(rows, columns))) * shape).real for _ in range(2)]
    return np.asarray((1 - 0.08 * parts[0] / parts[0].std()) * np.exp(0.25j * parts[1] / parts[1].std()), np.complex64)


def simulated_stack(
    field: NDArray[np.complex64], geometry: Geometry, progress: Callable[[str], None] | None = None
) -> ImageStack:
    """Eight-bit images of a field with `FINER` samples per camera pixel, whose middle lies on the axis.

    The outer `AROUND_PX` camera pixels of the field are not recorded.
    """
    microscope, leds = geometry.microscope, led_array(geometry.array)
    rows, columns = field.shape
    step = microscope.pixel_size_um / FINER
    y = torch.arange(rows, dtype=torch.float64)[:, None].sub(rows / 2).mul(step)
    x = torch.arange(columns, dtype=torch.float64).sub(columns / 2).mul(step)
    fy, fx = torch.fft.fftfreq(rows, step), torch.fft.fftfreq(columns, step)
    inside = torch.hypot(fy[:, None], fx) < microscope.objective_na / microscope.wavelength_um
    transmission = torch.from_numpy(field)
    border = AROUND_PX * FINER
    images = np.empty((len(leds), rows // FINER - 2 * AROUND_PX, columns // FINER - 2 * AROUND_PX), np.float32)
    bright = leds.bright_field(microscope.objective_na)
    for led, (led_x, led_y, _) in enumerate(1e3 * leds.positions_mm):
        distance = ((x - led_x).square() + (y - led_y).square() + (1e3 * geometry.array.height_mm) ** 2).sqrt_()
        # The whole waves are taken out in double precision, so that single precision holds the rest.
        waves = distance.div_(microscope.wavelength_um).frac_().float().mul_(2 * torch.pi)
        spectrum = torch.fft.fft2(transmission * torch.polar(torch.ones(()), waves)).mul_(inside)
        images[led] = torch.fft.ifft2(spectrum)[border:-border:FINER, border:-border:FINER].abs().square().numpy()
        if progress is not None and led % 16 == 15:
            progress(f"simulated {led + 1} of {len(leds)} images")
    exposure = np.where(bright, 1 / DARK_EXPOSURE, 1.0)
    full = max(float(image.max()) * time_ for image, time_ in zip(images, exposure, strict=True))
    for image, time_ in zip(images, exposure, strict=True):
        image[:] = np.round(image * (time_ / full * 255)).astype(np.uint8).astype(np.float32) * (full / 255 / time_)
    record = Provenance(source="simulated field", layout="simulation", sha256=array_sha256(images))
    return ImageStack(images=images, led_numbers=leds.numbers, geometry=geometry, exposure=exposure, provenance=record)


def border_steps(
    image: NDArray[np.complex64], truth: NDArray[np.complex64], plan: TilePlan, margin_px: int = 16
) -> dict[str, float]:
    """What the borders of tiles add to the error of a field, as shares of the standard deviation of the true one.

    ``rms_jump`` is the root mean square of the error's change from one pixel to the next across the middles of all
    overlaps, ``rms_jump_inside`` the same along lines in the middle of tiles, where no border is; ``rms_step`` is what
    the borders add, the root of the difference of the squares. ``block_jump`` and ``block_jump_inside`` compare means
    over blocks of 8 x 8 camera pixels on either side.
    """
    up = plan.upsampling
    factor = np.vdot(image, truth) / np.vdot(image, image)
    error = np.asarray(image * factor - truth)
    spread = float(truth.std())

    def jumps(lines: list[float], axis: int, block: int) -> float:
        turned = error if axis == 1 else error.T
        turned = turned[margin_px * up : -margin_px * up]
        found = []
        for line in lines:
            place = round(line * up)
            before, after = turned[:, place - block : place].mean(1), turned[:, place : place + block].mean(1)
            rows = len(before) // block * block
            difference = (after - before)[:rows].reshape(-1, block).mean(1)
            found.append(np.mean(np.abs(difference) ** 2))
        return float(np.sum(found))

    totals = {"rms_jump": 0.0, "rms_jump_inside": 0.0, "block_jump": 0.0, "block_jump_inside": 0.0}
    count = 0
    for axis, starts in ((0, {w.row for w in plan.windows}), (1, {w.column for w in plan.windows})):
        ordered = sorted(starts)
        borders = [(second + first + plan.tile_px) / 2 for first, second in itertools.pairwise(ordered)]
        middles = [border - (plan.tile_px - plan.overlap_px) / 2 for border in borders]
        count += len(borders)
        totals["rms_jump"] += jumps(borders, axis, 1)
        totals["rms_jump_inside"] += jumps(middles, axis, 1)
        totals["block_jump"] += jumps(borders, axis, 8 * up)
        totals["block_jump_inside"] += jumps(middles, axis, 8 * up)
    found = {name: float(np.sqrt(total / max(count, 1)) / spread) for name, total in totals.items()}
    found["rms_step"] = math.sqrt(max(0.0, found["rms_jump"] ** 2 - found["rms_jump_inside"] ** 2))
    return found | {"error": float(np.sqrt(np.mean(np.abs(error) ** 2)) / spread)}


def run(
    rows: int = 1080,
    columns: int = 1440,
    passes: int = 12,
    tile_px: int | None = None,
    overlap_px: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Simulate a field, reconstruct it in tiles, stop half-way, go on, and measure."""
    say = progress or (lambda _text: None)
    border = AROUND_PX * FINER
    field = simulated_object(FINER * rows + 2 * border, FINER * columns + 2 * border)
    settings = Reconstruct(passes=passes, upsampling=FINER)
    with tempfile.TemporaryDirectory() as folder:
        path = save_hdf5(Path(folder) / "stack.h5", simulated_stack(field, GEOMETRY, progress))
        stack = open_dataset(path)
        assert isinstance(stack, ImageStack)
        plan = plan_tiles(GEOMETRY, (rows, columns), settings, tile_px, overlap_px)
        start = time.perf_counter()
        tiles, half = len(plan.windows), len(plan.windows) // 2
        for done in TiledReconstruction(stack, settings, plan, Path(folder) / "tiles").run():
            if done.tile == half and done.number > 1:
                break  # in the middle of a tile, as a kill would
        work, resumed = TiledReconstruction(stack, settings, plan, Path(folder) / "tiles", resume=True), 0
        for done in work.run():
            resumed += done.resumed
            if done.done and not done.resumed:
                say(f"tile {done.tile + 1} of {tiles}: residual {done.residual:.4f}")
        before = time.perf_counter()
        result = work.result()
        seconds, joining = time.perf_counter() - start, time.perf_counter() - before
    megapixels = rows * columns / 1e6
    return {
        "rows_px": rows,
        "columns_px": columns,
        "images": len(stack.images),
        "mapped": stack.mapped,
        "tiles": tiles,
        "tile_px": plan.tile_px,
        "overlap_px": plan.overlap_px,
        "passes": passes,
        "threads": torch.get_num_threads(),
        "tiles_before_the_stop": resumed,
        "seconds": seconds,
        "joining_s": joining,
        "seconds_per_megapixel": seconds / megapixels,
        "fitted_residual": result.fitted_residual,
        "border_mismatch": result.record["border_mismatch"],
        **border_steps(result.object, field[border:-border, border:-border], plan),
    }


def table(result: dict[str, Any]) -> str:
    """The same for a terminal."""
    return "\n".join(
        [
            f"{result['images']} images of {result['rows_px']} x {result['columns_px']} pixels, 8 bit, in "
            f"{result['tiles']} tiles of {result['tile_px']} (overlap {result['overlap_px']}), {result['passes']} "
            f"passes, {result['threads']} thread(s)",
            f"stopped after {result['tiles_before_the_stop']} tiles and resumed; {result['seconds']:.1f} s in all, "
            f"{result['seconds_per_megapixel']:.1f} s per megapixel of the camera",
            f"RMS step across borders {100 * result['rms_step']:.2f} % of the object's standard deviation: the error "
            f"changes from pixel to pixel by {100 * result['rms_jump']:.2f} % there and by "
            f"{100 * result['rms_jump_inside']:.2f} % inside tiles (means over 8 x 8 camera pixels by "
            f"{100 * result['block_jump']:.2f} % and {100 * result['block_jump_inside']:.2f} %)",
            f"neighbours differ by {100 * result['border_mismatch']:.1f} % before blending; error of the field "
            f"{100 * result['error']:.1f} %, residual {result['fitted_residual']:.4f}",
        ]
    )
