"""A recording of one real run of the demonstration: what its chapters show, in one small file. NumPy only.

``ptychoui demo --record FILE`` makes it. Pictures are stored in 8 bits between limits that the file states; everything
else as it was measured.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ptychoui.data.files import write_atomic
from ptychoui.errors import DataError
from ptychoui.paths import resources

VERSION = 1
Array = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What one run has shown.

    Attributes
    ----------
    led_na, led_numbers
        (LED, 2) illumination NA and (LED,) firmware numbers.
    frames, frame_peaks
        (LED, row, column) camera frames of single LEDs in 8 bits, and (LED,) photoelectrons that 255 stands for.
    coded_levels, coded_frames, coded_peaks
        (M, LED) learned patterns, (M, row, column) what the camera records with them, and (M,) photoelectrons.
    built_counts, built_phase
        (K,) numbers of single-LED frames, and (K, N, N) the phase that they give.
    steps, levels, phase
        (S,) steps of the snapshots, (S, M, LED) levels, (S, N, N) phase of a held-out slide in rad.
    losses
        (T,) loss of every step.
    score_steps, scores
        (V,) steps at which held-out slides were scored, and (V,) their mean complex error.
    true_phase
        (N, N) phase of that slide, rad.
    depths, predicted, measured
        (D,) numbers of unrolls; (D,) predicted peak bytes of back-propagation, (D,) measured peak bytes of ours.
    undone_phase
        (2 K, N, N) phase of the network's estimate on its way forward and back.
    contender_phase
        (C, N, N) phase that each of ``facts["contenders"]`` gives of the held-out slide.
    facts
        Texts and numbers: see `making`.
    """

    led_na: Array
    led_numbers: Array
    frames: Array
    frame_peaks: Array
    coded_levels: Array
    coded_frames: Array
    coded_peaks: Array
    built_counts: Array
    built_phase: Array
    steps: Array
    levels: Array
    phase: Array
    losses: Array
    score_steps: Array
    scores: Array
    true_phase: Array
    depths: Array
    predicted: Array
    measured: Array
    undone_phase: Array
    contender_phase: Array
    facts: Mapping[str, Any]

    @property
    def limits(self) -> tuple[float, float]:
        """Limits of phase in rad that fit the slide: half a per cent of its pixels lie beyond either."""
        low, high = np.percentile(self.true_phase, (0.5, 99.5))
        return float(low), float(high)

    @property
    def pixel_um(self) -> float:
        """Pixel of the phase pictures in um."""
        return float(self.facts["pixel_um"])

    @property
    def objective_na(self) -> float:
        """NA of the objective."""
        return float(self.facts["objective_na"])

    @property
    def last_step(self) -> int:
        """Steps of the recorded run."""
        return len(self.losses)


EIGHT_BITS = ("built_phase", "phase", "undone_phase", "contender_phase", "true_phase")
ARRAYS = tuple(field.name for field in fields(Recording) if field.name != "facts")


def save_recording(path: str | Path, recording: Recording) -> Path:
    """Write a recording, atomically.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    stored: dict[str, Array] = {}
    for name in ARRAYS:
        values = getattr(recording, name)
        if name in EIGHT_BITS:
            low, high = float(values.min()), float(values.max())
            stored[name] = np.round((values - low) / max(high - low, 1e-12) * 255).astype(np.uint8)
            stored[f"{name}_limits"] = np.array([low, high])
        else:
            stored[name] = values
    text = json.dumps({"version": VERSION, **recording.facts}, sort_keys=True)
    stored["facts"] = np.frombuffer(text.encode(), np.uint8)

    def write(file: BinaryIO) -> None:
        np.savez_compressed(file, **stored)  # type: ignore[arg-type]

    return write_atomic(path, write)


def load_recording(path: str | Path | None = None) -> Recording:
    """Read a recording; by default the one that comes with the program.

    Raises
    ------
    DataError
        If it is missing, damaged or of another version.
    """
    path = resources() / "demo" / "recording.npz" if path is None else Path(path)
    hint = "make it again: ptychoui demo --record FILE"
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            facts = json.loads(bytes(file["facts"]).decode())
            if facts.get("version") != VERSION:
                raise DataError(f"{path} is a recording of version {facts.get('version')}, not {VERSION}", hint)
            arrays = {}
            for name in ARRAYS:
                values = file[name]
                if name in EIGHT_BITS:
                    low, high = (float(value) for value in file[f"{name}_limits"])
                    values = (low + (high - low) / 255 * values).astype(np.float32)
                arrays[name] = values
    except FileNotFoundError:
        raise DataError(f"there is no recording {path}", hint) from None
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is no recording of the demonstration: {error}", hint) from None
    return Recording(facts=facts, **arrays)
