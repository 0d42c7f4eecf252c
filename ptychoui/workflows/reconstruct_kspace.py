"""From measured k-space to images: coil maps, a scale, the strength of the prior, the reconstruction and its scores."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.formats.kspace_common import brightness
from ptychoui.data.kspace import TRANSFORMED, KSpaceSet
from ptychoui.data.kspace_results import KSpaceReconstruction, kspace_versions
from ptychoui.errors import DataError, SettingsError
from ptychoui.mri.channels import SCALE, compressed, normalised
from ptychoui.mri.classical import METHODS, Tuned, method_of, problems, reconstruct
from ptychoui.mri.held_out import strength_by_samples
from ptychoui.mri.maps import EspiritSettings, with_maps
from ptychoui.mri.metrics import DEFINITIONS, SUPPORT, scores
from ptychoui.words import counted

Tell = Callable[[str], None]
Callback = Callable[[], None]

TRUTH = "the true image of the data"
TRUTH_UNDER = (
    "the true image times the root sum of squares of the true maps, with the phase that the estimated maps give it"
)
MAGNITUDES = "magnitudes are compared: without the true maps the phase of the true image means nothing"

CHOSEN = "chosen by samples left out of the fit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """K-space with maps, ready to be reconstructed.

    Attributes
    ----------
    data
        Examples of k-space, (example, coil, *space), with maps, in units of the file.
    record
        Plain values: where the maps came from, what they leave unexplained, and which coils they are of.
    """

    data: KSpaceSet
    record: dict[str, Any]


def choose_examples(data: KSpaceSet, places: Sequence[int]) -> KSpaceSet:
    """Some of the examples, in the order that is given, of k-space of shape (example, coil, *space).

    Raises
    ------
    SettingsError
        If there is no example of such a number; they are counted from 0.
    """
    for place in places:
        if not 0 <= place < len(data):
            raise SettingsError(
                f"there is no example {place}: {counted(len(data), 'example')}, counted from 0",
                f"choose numbers from 0 to {len(data) - 1}",
            )
    return data.pick(places)


def prepare(
    data: KSpaceSet,
    espirit: EspiritSettings | None = None,
    coils: int | None = None,
    tell: Tell = print,
    callback: Callback | None = None,
) -> Prepared:
    """Give k-space of shape (example, coil, *space) coil maps, and fewer coils where that is asked for.

    Parameters
    ----------
    data
        Examples as they were read.
    espirit
        Estimate maps in this way even where the data have some; None: only where they have none, with the defaults.
    coils
        Combine the coils to so many; None leaves them.
    tell
        Hears of what is done, in sentences.
    callback
        Is called between planes, and may raise to stop.

    Raises
    ------
    SettingsError
        If there are fewer coils than asked for.
    DataError
        If maps are needed and cannot be estimated.
    """
    record: dict[str, Any] = {"coils": data.coils}
    if coils is not None:
        fewer = compressed(data, coils)
        data = fewer.data
        record |= {"virtual_coils": coils, "energy_kept": list(fewer.kept)}
        tell(f"{record['coils']} coils became {coils}, which hold {100 * min(fewer.kept):.2f} % of the energy")
    if data.maps is not None and espirit is None:
        return Prepared(data=data, record=record | {"maps": "of the data"})
    settings = espirit or EspiritSettings()
    phase_known = data.maps is not None
    data, found = with_maps(data, settings, callback)
    for warning in found.warnings:
        tell(warning)
    record |= {
        "maps": "ESPIRiT",
        "espirit": asdict(settings),
        "maps_unexplained": list(found.residual),
        "maps_cover": list(found.covered),
        "calibration_width": list(found.width),
    }
    if data.truth is not None:
        record["truth"] = TRUTH_UNDER if phase_known else MAGNITUDES
    return Prepared(data=data, record=record)


def reconstruct_classically(
    prepared: Prepared,
    method: str,
    strength: float | None = None,
    tell: Tell = print,
    callback: Callback | None = None,
) -> KSpaceReconstruction:
    """Images of shape (example, *space) by a method of `ptychoui.mri.classical.METHODS`.

    The data are brought to a scale of order 1 first, so that strengths mean the same for all, and images back to the
    unit of the data. Where no strength is given, the middle plane of the first example chooses it by samples that are
    left out of its fit.

    Parameters
    ----------
    prepared
        K-space with maps.
    method
        Name of the method.
    strength
        Of the prior, for data of order 1; None lets the data choose.
    tell
        Hears of what is done, in sentences.
    callback
        Is called after every iteration, and may raise to stop.

    Raises
    ------
    SettingsError
        If there is no such method, it has no strength, or the strength is not a finite number of 0 or more.
    DataError
        If the reconstruction diverged.
    """
    chosen = method_of(method)
    if strength is not None and not chosen.parameter:
        raise SettingsError(f"the method {method} has no strength", "leave it out")
    start = time.perf_counter()
    data, scale = _scaled(prepared.data, tell)
    tuned, source = None, "given" if chosen.parameter else ""
    if strength is None and chosen.parameter:
        tuned = _tuned(method, data, tell, callback)
        strength, source = (chosen.usual, "the usual one") if tuned is None else (tuned.strength, CHOSEN)
    images = np.stack(
        [scale[place] * reconstruct(method, data, place, strength, callback=callback) for place in range(len(data))]
    )
    record: dict[str, Any] = {
        "method": method,
        "title": chosen.title,
        "parameter": chosen.parameter,
        "strength": strength if chosen.parameter else None,
        "strength_from": source,
        "strengths_tried": [] if tuned is None else [list(pair) for pair in tuned.scores],
        "settings": {"iterations": chosen.iterations},
        "scale": list(scale),
        "scale_definition": SCALE,
    }
    return finished(prepared, images, record, time.perf_counter() - start)


def finished(
    prepared: Prepared, images: NDArray[np.complex64], record: dict[str, Any], seconds: float
) -> KSpaceReconstruction:
    """Images of shape (example, *space), in units of the data, with their scores and everything that a result states.

    Parameters
    ----------
    prepared
        What they were made of.
    images
        One for each example.
    record
        Method, title and settings, in plain values.
    seconds
        What the reconstruction took, in seconds.

    Raises
    ------
    DataError
        If an image does not fit the data, or is not finite.
    """
    data = prepared.data
    if images.shape != (len(data), *data.space):
        raise DataError(
            f"images of shape {images.shape} do not fit {counted(len(data), 'example')} of {data.space}",
            "the method gave something else than one image for each example",
        )
    names = data.names or tuple(f"example {place}" for place in range(len(data)))
    magnitudes = prepared.record.get("truth") == MAGNITUDES
    found = [] if data.truth is None else [_scored(data, images, place, magnitudes) for place in range(len(data))]
    known = [one for one in found if one]
    whole = {
        "names": list(names),
        "scores": found,
        "mean_scores": {name: float(np.mean([one[name] for one in known])) for name in DEFINITIONS} if known else {},
        "definitions": {**DEFINITIONS, "support": SUPPORT, "truth": prepared.record.get("truth", TRUTH)}
        if known
        else {},
        "net_acceleration": data.net_acceleration,
        "source": data.provenance.source,
        "layout_of_source": data.provenance.layout,
        "data_sha256": data.provenance.sha256,
        "notes": list(data.provenance.notes),
        "seconds": seconds,
        "versions": kspace_versions(),
    }
    return KSpaceReconstruction(
        acquisition=data.acquisition, images=images, maps=data.maps, record={**record, **prepared.record, **whole}
    )


def _scored(data: KSpaceSet, images: NDArray[np.complex64], place: int, magnitudes: bool) -> dict[str, float]:
    """Scores of one example; nothing where its truth is zero, as that of planes beside the object may be."""
    assert data.truth is not None
    support = None if data.support is None else data.support[place]
    image, truth = images[place], np.broadcast_to(data.truth[place], data.space)
    if magnitudes:
        image, truth = np.abs(image).astype(np.complex64), np.abs(truth).astype(np.complex64)
    try:
        return scores(image, truth, support)
    except DataError:
        return {}


def _scaled(data: KSpaceSet, tell: Tell) -> tuple[KSpaceSet, tuple[float, ...]]:
    """Data of order 1, and what each example was divided by."""
    try:
        found = normalised(data)
        return found.data, found.scale
    except DataError as error:
        if data.maps is None:
            raise
        tell(f"{error.message}: the scale is that of the zero-filled image")
    scale = tuple(brightness(example, TRANSFORMED[data.acquisition]) or 1.0 for example in data.k_space)
    by = np.array(scale, np.float32).reshape(-1, *[1] * (data.k_space.ndim - 1))
    return replace(data, k_space=data.k_space / by, truth=None), scale


def _tuned(method: str, data: KSpaceSet, tell: Tell, callback: Callback | None) -> Tuned | None:
    """A strength by samples left out of the middle plane of the first example; None where they are too few."""
    planes = problems(data, 0)
    try:
        found = strength_by_samples(method, planes[len(planes) // 2], callback=callback)
    except DataError as error:
        tell(f"{error.message}: the usual strength of {method}, {METHODS[method].usual:g}, was taken")
        return None
    if found.at_the_edge:
        tell(f"the strength {found.strength:g} of {method} lies at the edge of those that were tried")
    return found
