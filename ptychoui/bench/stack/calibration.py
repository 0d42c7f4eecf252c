"""``ptychoui bench calibration``: how near calibrations come to poses, gains and aberrations that are known.

Every run simulates a stack of its own: another object, pose, pupil, brightness, stray light and noise, on a finer grid
than any reconstruction's and cut from a larger field, and starts from a pose that is off by just so much in a random
direction. A run succeeds when every number is within its bound (`BOUNDS`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import SettingsError
from ptychoui.optics.calibration.refine import Calibration, Step, calibrate
from ptychoui.optics.forward.simulate import single_led_images
from ptychoui.optics.geometry.led_array import led_array
from ptychoui.optics.geometry.microscope import Sampling, sampling
from ptychoui.optics.geometry.pose import HEIGHT, ROTATION, SHIFT_X, SHIFT_Y, difference, moved
from ptychoui.optics.objects import source_image, training_objects
from ptychoui.optics.reconstruction.stack_result import Reconstruction
from ptychoui.settings import Array, Geometry, Microscope

PHOTOELECTRONS = 1e4
TILE_PX = 128
BORDER_PX = 24

BOUNDS = {
    "shift_mm": 0.1,
    "rotation_deg": 0.2,
    "height_percent": 0.5,
    "gain_bright": 0.03,
    "gain_dark": 0.10,
    "pupil_waves": 0.03,
    "phase_rad": 0.05,
}
"""Largest errors of a success: lengths, angles, RMS of relative gains, RMS of waves in the pupil, RMS of phase."""


def _sunflower(leds: int, radius_mm: float, depth_mm: float) -> tuple[tuple[float, float, float], ...]:
    """Places without rows or rings, each at a height of its own: what a table of a hand-made array holds."""
    number = np.arange(leds)
    angle = number * np.pi * (3 - np.sqrt(5))
    lateral = radius_mm * np.sqrt(number / (leds - 1))
    height = depth_mm * np.sin(7 * angle) / 2
    places = np.column_stack([lateral * np.cos(angle), lateral * np.sin(angle), height])
    return tuple((x, y, z) for x, y, z in places.tolist())


ARRAYS: dict[str, Array] = {
    "lattice": Array(kind="lattice", rows=15, columns=15, pitch_mm=4.0, height_mm=90.0),
    "tiles": Array(
        kind="lattice",
        rows=16,
        columns=16,
        order="tiles",
        tile_rows=8,
        tile_columns=8,
        serpentine_tiles=True,
        pitch_mm=4.0,
        height_mm=90.0,
    ),
    "spiral": Array(kind="spiral", count=225, pitch_mm=4.0, height_mm=90.0, slide_thickness_mm=1.0),
    "rings": Array(
        kind="rings",
        ring_radii_mm=(0, 6.2, 12.4, 18.6, 24.8, 31.0, 37.2),
        ring_counts=(1, 8, 16, 24, 36, 48, 56),
        height_mm=90.0,
    ),
    "dome": Array(
        kind="dome",
        ring_radii_mm=(0, 4, 8, 12, 16, 20, 24, 28, 32),
        ring_counts=(1, 6, 12, 18, 24, 30, 36, 42, 48),
        dome_radius_mm=80.0,
        height_mm=75.0,
    ),
    "table": Array(kind="table", positions_mm=_sunflower(225, 30.0, 2.0), height_mm=90.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A stack whose truth is known, and the geometry that its owner believes in."""

    images: NDArray[np.float32]
    geometry: Geometry
    believed: Geometry
    gain: NDArray[np.float64]
    object: NDArray[np.complex64]
    object_pixel_um: float


def make_scene(
    array: Array,
    seed: int,
    tile_px: int = TILE_PX,
    shift_mm: float = 2.0,
    rotation_deg: float = 3.0,
    height_percent: float = 5.0,
) -> Scene:
    """Simulate a stack whose owner's geometry is off by so much."""
    rng = np.random.default_rng(seed)
    waves = {4: 0.05, 5: 0.04, 6: 0.04, 7: 0.03, 8: 0.03, 11: 0.02}
    scope = Microscope(
        wavelength_um=0.53,
        objective_na=0.1,
        magnification=4,
        camera_pixel_um=4.5,
        zernike_waves={noll: float(amount * rng.normal()) for noll, amount in waves.items()},
    )
    true_change = np.array([*rng.uniform(-1, 1, 2), rng.uniform(-2, 2), rng.uniform(-2, 2), 0, 0])
    true = moved(array, true_change)
    leds = led_array(true)
    span = tile_px + 2 * BORDER_PX
    grids = sampling(scope, leds, span, 0)
    finer = replace(grids, upsampling=grids.upsampling + 1)
    sample = _sample(finer, seed)
    geometry = Geometry(microscope=scope, array=true)
    inner = slice(BORDER_PX, BORDER_PX + tile_px)
    clean = single_led_images(geometry, leds, sample[None], finer)[0][:, inner, inner]
    bright = leds.bright_field(scope.objective_na)
    gain = np.exp(rng.normal(size=len(leds)) * np.where(bright, 0.1, 0.2))
    gain /= np.exp(np.log(gain[bright]).mean())
    stray = 0.0007 * rng.uniform(0.5, 1.5, len(leds))
    light = gain[:, None, None] * clean + stray[:, None, None]
    images = rng.poisson(PHOTOELECTRONS * np.clip(light, 0, None)) / PHOTOELECTRONS
    angle, signs = rng.uniform(0, 2 * np.pi), rng.choice([-1, 1], 2)
    off = np.zeros(6)
    off[SHIFT_X], off[SHIFT_Y] = shift_mm * np.cos(angle), shift_mm * np.sin(angle)
    off[ROTATION], off[HEIGHT] = signs * (rotation_deg, height_percent)
    window = slice(BORDER_PX * int(finer.upsampling), (BORDER_PX + tile_px) * int(finer.upsampling))
    return Scene(
        images=images.astype(np.float32),
        geometry=geometry,
        believed=Geometry(microscope=scope.replace(zernike_waves={}), array=moved(true, off)),
        gain=gain,
        object=sample[window, window],
        object_pixel_um=finer.object_pixel_um,
    )


def _sample(grids: Sampling, seed: int) -> NDArray[np.complex64]:
    """A cell with texture as fine as the synthetic aperture: dark-field images as bright as those of a blood smear."""
    from skimage.transform import resize

    size = grids.object_px
    rng = np.random.default_rng(seed)

    def texture(name: str, enlarged: float) -> NDArray[np.float64]:
        image = source_image(name)
        image = resize(image, tuple(int(edge * enlarged) for edge in image.shape), anti_aliasing=True)
        image = np.roll(np.pad(image, [(0, edge) for edge in image.shape], mode="symmetric"), rng.integers(999, size=2))
        repeats = [-(-size // edge) for edge in image.shape]
        image = np.tile(image, repeats)[:size, :size]
        return np.asarray((image - image.mean()) / image.std())

    cell = np.angle(training_objects(grids.object_pixel_um, size, 1, seed, sources=("cell",)).objects[0])
    phase = 0.5 * cell + 0.3 * texture("gravel", 1.5) + 0.2 * texture("grass", 1.2)
    amplitude = np.clip(1 - 0.1 * (1 + 0.5 * texture("brick", 1.6)), 0.3, 1)
    return np.asarray(amplitude * np.exp(1j * phase), np.complex64)


def errors(scene: Scene, geometry: Geometry, result: Reconstruction) -> dict[str, float]:
    """Each number of `BOUNDS` for a calibration."""
    change = difference(scene.geometry.array, geometry.array)
    bright = led_array(scene.geometry.array).bright_field(scene.geometry.microscope.objective_na)
    relative = result.gain / scene.gain
    relative /= np.exp(np.log(relative[bright]).mean())
    nolls = set(result.zernike_waves) | set(scene.geometry.microscope.zernike_waves)
    truth = scene.geometry.microscope.zernike_waves
    waves = [result.zernike_waves.get(noll, 0.0) - truth.get(noll, 0.0) for noll in nolls if noll > 3]
    return {
        "shift_mm": float(np.hypot(change[SHIFT_X], change[SHIFT_Y])),
        "rotation_deg": abs(float(change[ROTATION])),
        "height_percent": abs(float(change[HEIGHT])),
        "gain_bright": float(np.sqrt(np.mean((relative[bright] - 1) ** 2))),
        "gain_dark": float(np.sqrt(np.mean((relative[~bright] - 1) ** 2))),
        "pupil_waves": float(np.sqrt(np.sum(np.square(waves)))),
        "phase_rad": phase_error(scene, result),
    }


def phase_error(scene: Scene, result: Reconstruction, margin: float = 0.1) -> float:
    """RMS of angle(x conj t) over the inner field, both limited to the synthetic aperture.

    Global phase, a shift by parts of a pixel and a phase ramp (of the pupil's and the array's origin) are removed.
    """
    scope = scene.geometry.microscope
    limit = (scope.objective_na + float(np.hypot(*result.illumination_na.T).max())) / scope.wavelength_um
    size = len(result.object)
    pixel = len(scene.object) * scene.object_pixel_um / size
    truth = _on_grid(scene.object, size)
    frequency = np.fft.fftfreq(size, pixel)
    inside = np.hypot(frequency[:, None], frequency[None, :]) <= limit * 0.95
    found, truth = (np.fft.ifft2(np.fft.fft2(image) * inside) for image in (result.object, truth))
    edge = int(margin * size)
    window = slice(edge, size - edge)
    best = np.inf
    for shift in _near_shifts(found[window, window], truth[window, window]):
        ramp = np.exp(-2j * np.pi * pixel * (frequency[:, None] * shift[0] + frequency[None, :] * shift[1]))
        moved_back = np.fft.ifft2(np.fft.fft2(found) * ramp)[window, window]
        angle = _without_plane(moved_back * np.conj(truth[window, window]))
        best = min(best, float(np.sqrt(np.mean(angle**2))))
    return best


def _on_grid(image: NDArray[np.complex64], size: int) -> NDArray[np.complex128]:
    """The object on another grid over the same length, through its spectrum."""
    spectrum = np.fft.fftshift(np.fft.fft2(image))
    first = (len(image) - size) // 2 + (len(image) % 2 == 0 and size % 2 == 1)
    cut = spectrum[first : first + size, first : first + size]
    return np.asarray(np.fft.ifft2(np.fft.ifftshift(cut)) * (size / len(image)) ** 2)


def _near_shifts(found: NDArray[np.complex128], truth: NDArray[np.complex128]) -> list[tuple[float, float]]:
    """Shifts to try, in pixels: none, and that of the cross-correlation's peak."""
    from skimage.registration import phase_cross_correlation

    shift = phase_cross_correlation(truth, found, upsample_factor=100, normalization=None)[0]
    return [(0.0, 0.0), (float(shift[0]), float(shift[1]))]


def _without_plane(product: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Angle of a field after its best plane of phase was taken off."""
    rows, columns = (np.linspace(-1, 1, edge) for edge in product.shape)
    for _ in range(4):
        product = product * np.exp(-1j * np.angle(product.mean()))
        angle = np.angle(product)
        product = product * np.exp(
            -1j * 3 * ((angle * rows[:, None]).mean() * rows[:, None] + (angle * columns).mean() * columns)
        )
    return np.asarray(np.angle(product * np.exp(-1j * np.angle(product.mean()))))


def run(
    kinds: Sequence[str] = tuple(ARRAYS),
    starts: int = 20,
    seed: int = 0,
    tile_px: int = TILE_PX,
    progress: Callable[[str], None] = lambda _text: None,
) -> dict[str, object]:
    """Calibrate simulated stacks; the dictionary is what ``--json`` prints."""
    unknown = [kind for kind in kinds if kind not in ARRAYS]
    if unknown:
        raise SettingsError(f"there is no array {unknown[0]!r} here", f"known: {', '.join(ARRAYS)}")
    rows: list[dict[str, object]] = []
    for kind in kinds:
        for number in range(starts):
            scene = make_scene(ARRAYS[kind], seed + number, tile_px)
            began = time.perf_counter()
            circles: Step | None = None
            for found in calibrate(scene.believed, scene.images, variance_floor=0.375 / PHOTOELECTRONS):
                if isinstance(found, Step):
                    circles = circles or found
                elif isinstance(found, Calibration):
                    seconds = time.perf_counter() - began
                    measured = errors(scene, found.geometry, found.reconstruction)
            assert circles is not None
            after_circles = difference(scene.geometry.array, circles.geometry.array)
            row: dict[str, object] = {
                "array": kind,
                "seed": seed + number,
                "seconds": seconds,
                **measured,
                "success": all(measured[name] <= bound for name, bound in BOUNDS.items()),
                "circles": [float(value) for value in after_circles[:4]],
            }
            rows.append(row)
            progress(_line(row))
    return {"rows": rows, "bounds": BOUNDS, "tile_px": tile_px, "photoelectrons": PHOTOELECTRONS}


def _line(row: dict[str, object]) -> str:
    figures = "".join(f"{row[name]:>10.3f}" for name in BOUNDS)
    return f"{row['array']:<9}{row['seed']:>5}{figures}  {'yes' if row['success'] else 'no':<4}{row['seconds']:>6.1f} s"


def table(result: dict[str, object]) -> str:
    """Medians, worst runs and success rates as text."""
    rows: list[dict[str, object]] = result["rows"]  # type: ignore[assignment]
    names = [name.replace("_", " ").replace("percent", "%") for name in BOUNDS]
    lines = [f"{'array':<18}" + "".join(f"{name:>15}" for name in names) + f"{'success':>12}"]
    for kind in dict.fromkeys(str(row["array"]) for row in rows):
        of_kind = [row for row in rows if row["array"] == kind]
        for label, function in (("median", np.median), ("worst", np.max)):
            values = [float(function([row[name] for row in of_kind])) for name in BOUNDS]
            rate = f"{sum(bool(row['success']) for row in of_kind)} of {len(of_kind)}" if label == "median" else ""
            lines.append(f"{kind + ' ' + label:<18}" + "".join(f"{value:>15.3f}" for value in values) + f"{rate:>12}")
    lines.append(f"{'bound':<18}" + "".join(f"{bound:>15.3f}" for bound in BOUNDS.values()))
    return "\n".join(lines)
