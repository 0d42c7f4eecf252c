"""A reconstruction read from a file, as the report that views show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ptychoui.optics.quality import validation
from ptychoui.optics.quality.led_quality import LedQuality, led_quality
from ptychoui.session.stack_run import StackReport, SuggestedLayout, frozen
from ptychoui.settings import Array

if TYPE_CHECKING:
    from ptychoui.data.results import StoredReconstruction
    from ptychoui.optics.reconstruction.stack_result import Reconstruction

LARGEST_PX = 4096
"""Edge above which a field is shown at less than its resolution: no screen shows more, and each change takes long."""

LARGEST_UNWRAPPED = 2048**2
"""Pixels above which phase is shown as it is stored: to find its ramp and its jumps would take minutes."""


def open_report(path: str | Path) -> StackReport:
    """Read a reconstruction, with the tile in the middle of the field chosen.

    Raises
    ------
    DataError
        If the file is damaged or of another kind.
    """
    from ptychoui.data.results import load_reconstruction

    return stored_report(load_reconstruction(path), Path(path))


def stored_report(stored: StoredReconstruction, path: Path) -> StackReport:
    """Everything that is shown of a reconstruction that was kept; the images that it came from are not in it."""
    field, times = stored.object, -(-max(stored.object.shape) // LARGEST_PX)
    if times > 1:
        rows, columns = (length // times * times for length in field.shape)
        field = field[:rows, :columns].reshape(rows // times, times, columns // times, times).mean((1, 3))
    small = field.size <= LARGEST_UNWRAPPED
    # The phase of the whole means nothing; around its mean it wraps least.
    flat = validation.without_ramp(field) if small else field * np.exp(-1j * np.angle(field.mean()))
    tile = len(stored.corners_px) // 2
    found, quality, coverage = _of_tile(stored, tile, times)
    empty = np.empty((0, 0, 0), np.float32)
    return StackReport(
        found=found,
        square=_square(stored, tile),
        settings=stored.settings,
        measured=empty,
        predicted=empty,
        amplitude=frozen(np.abs(flat)),
        phase_rad=frozen(np.angle(flat)),
        unwrapped_rad=frozen(validation.unwrapped_phase(field)) if small else None,
        quality=quality,
        coverage=coverage,
        complete=not stored.record.get("interrupted", False),
        seconds=float(stored.record.get("seconds", 0.0)),
        suggested=SuggestedLayout.of(stored.geometry, _suggested_array(stored)),
        stored=stored,
        path=path,
        tile=tile,
    )


def _suggested_array(stored: StoredReconstruction) -> Array | None:
    """The layout that the images asked for, as it was kept."""
    settings = stored.record.get("suggested_array")
    return Array(**settings) if isinstance(settings, dict) else None


def with_tile(report: StackReport, tile: int) -> StackReport:
    """The report with pupil, LEDs and coverage of another tile."""
    stored = report.stored
    if stored is None:
        return report
    times = round(report.found.object_pixel_um / stored.object_pixel_um)
    found, quality, coverage = _of_tile(stored, tile, times)
    return replace(report, found=found, quality=quality, coverage=coverage, square=_square(stored, tile), tile=tile)


def _square(stored: StoredReconstruction, tile: int) -> tuple[int, int, int]:
    row, column = (int(first) for first in stored.corners_px[tile])
    return row, column, stored.tile_px


def _of_tile(
    stored: StoredReconstruction, tile: int, times: int
) -> tuple[Reconstruction, LedQuality, validation.FourierCoverage]:
    from ptychoui.optics.reconstruction.stack_result import Reconstruction

    scope = stored.geometry.microscope
    na, gain = stored.illumination_na[tile], stored.gain[tile]
    residual, background, light = (
        _per_led(stored, values[tile]) for values in (stored.residual, stored.background, stored.light)
    )
    quality = quality_of_tile(stored, tile)
    history = stored.history[tile]
    found = Reconstruction(
        object=stored.object,
        object_pixel_um=stored.object_pixel_um * times,
        pupil=stored.pupil[tile],
        frequency_step_per_um=stored.frequency_step_per_um,
        zernike_waves=dict(zip(stored.zernike_noll.tolist(), stored.zernike_waves[tile].tolist(), strict=True)),
        led_numbers=stored.led_numbers,
        illumination_na=na,
        gain=gain,
        background=background,
        light=light,
        residual_per_led=residual,
        amplitude_residual=stored.amplitude_residual,
        fitted_residual=stored.fitted_residual,
        history=tuple(history[np.isfinite(history)].tolist()) or (stored.fitted_residual,),
        geometry=stored.geometry,
    )
    # What the file alone does not tell again: contradictions with the images, and what noise does not explain.
    again, kept = found.warnings, [str(warning) for warning in stored.record.get("remarks", [])]
    told = tuple(warning for warning in kept if not warning.endswith(again))
    found = replace(found, contradictions=told)
    return found, quality, validation.fourier_coverage(na, scope.objective_na)


def quality_of_tile(stored: StoredReconstruction, tile: int) -> LedQuality:
    """How well each LED's image is explained in a tile of a result that was kept, and which LEDs stand out."""
    from ptychoui.optics.reconstruction.stack_result import BLACK

    na, gain, light = stored.illumination_na[tile], stored.gain[tile], _per_led(stored, stored.light[tile])
    # The file has misfits as shares of each image's light; views show them in the open field's amplitude.
    misfit = np.sqrt(_per_led(stored, stored.residual[tile] * np.maximum(stored.light[tile], BLACK)))
    quality = led_quality(misfit, light, gain, na)
    if stored.weights is not None:
        # An image of many LEDs accuses none of them.
        none = np.zeros(len(na), bool)
        quality = replace(quality, outlier=none, reasons=("",) * len(na), worst_first=np.argsort(-misfit))
    return quality


def leds_that_stand_out(stored: StoredReconstruction) -> dict[int, str]:
    """Number of each LED that stands out, the worst first -> why; of several tiles in half of them or more."""
    tiles = [quality_of_tile(stored, tile) for tile in range(len(stored.corners_px))]
    often = 2 * np.sum([quality.outlier for quality in tiles], 0) >= len(tiles)
    misfit = np.mean([quality.misfit for quality in tiles], 0)
    found = {}
    for led in sorted(np.flatnonzero(often).tolist(), key=lambda led: -float(misfit[led])):
        why = next(quality.reasons[led] for quality in tiles if quality.outlier[led])
        found[int(stored.led_numbers[led])] = why
    return found


def _per_led(stored: StoredReconstruction, per_image: NDArray[np.float64]) -> NDArray[np.float64]:
    """(LED,) of (image,): where images hold many LEDs, their mean by each LED's share of the light."""
    if stored.weights is None:
        return per_image
    share = stored.weights / np.maximum(stored.weights.sum(0), 1e-30)
    return np.asarray(per_image @ share)
