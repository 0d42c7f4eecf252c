"""What ``ptychoui info`` says of k-space and of images that were made of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from ptychoui.data.formats.kspace_common import brightness
from ptychoui.data.formats.open_kspace import open_kspace
from ptychoui.data.kspace import SPACE_AXES, TRANSFORMED
from ptychoui.errors import DataError
from ptychoui.mri.calibration import calibration_of
from ptychoui.words import counted

KIND = "k-space"
RESULT = "k-space reconstruction"


def describe_kspace(path: str) -> dict[str, Any]:
    """Open k-space and describe it in plain values: sizes, sampling, calibration region, and what else is known.

    Raises
    ------
    PtychouiError
        If the file is damaged or of an unknown layout.
    """
    data = open_kspace(path)
    notes = list(data.provenance.notes)
    try:
        calibration: list[int] | None = list(calibration_of(data, 0).size)
    except DataError as error:
        calibration = None
        notes.append(f"{error.message}: coil maps cannot be estimated")
    return {
        "file": path,
        "kind": KIND,
        "layout": data.provenance.layout,
        "sha256": data.provenance.sha256,
        "acquisition": data.acquisition,
        "examples": len(data),
        "sources": len(set(data.source_of)) if data.source_of else None,
        "coils": data.coils,
        "space": dict(zip(SPACE_AXES[data.acquisition], data.space, strict=True)),
        "transformed_axes": list(SPACE_AXES[data.acquisition][-TRANSFORMED[data.acquisition] :]),
        "sampled_share": float(np.mean(data.sampled)),
        "net_acceleration": data.net_acceleration,
        "calibration": calibration,
        "maps": data.maps is not None,
        "truth": data.truth is not None,
        "support": data.support is not None,
        "noise_std": data.noise_std,
        "brightness": brightness(data.k_space[0], TRANSFORMED[data.acquisition]),
        "facts": [asdict(fact) for fact in data.provenance.facts],
        "notes": notes,
    }


def kspace_lines(values: dict[str, Any]) -> list[str]:
    """The same in a few lines for a terminal; facts and notes stand below."""
    space = " x ".join(str(size) for size in values["space"].values())
    known = [name for name, there in (("coil maps", values["maps"]), ("true images", values["truth"])) if there]
    sources = f" from {counted(values['sources'], 'source')}" if values["sources"] else ""
    lines = [
        f"{values['file']}: {values['layout']}, {counted(values['examples'], 'example')}{sources} of {space} "
        f"({', '.join(values['space'])}), {counted(values['coils'], 'coil')}, {values['acquisition']}",
        f"{100 * values['sampled_share']:.1f} % of k-space sampled, {values['net_acceleration']:.2f} times faster than "
        "all of it, calibration lines counted",
    ]
    if values["calibration"]:
        lines.append(f"calibration region {' x '.join(map(str, values['calibration']))} samples")
    lines.append(f"with {' and '.join(known)}" if known else "without coil maps and true images")
    if values["noise_std"] is not None:
        lines.append(f"noise {values['noise_std']:.4g} in real and imaginary part")
    return lines


def result_lines(values: dict[str, Any]) -> list[str]:
    """A reconstruction of k-space in a few lines for a terminal; notes stand below."""
    space = " x ".join(str(size) for size in values["space"].values())
    lines = [
        f"{values['file']}: {counted(values['examples'], 'image')} of {space} ({', '.join(values['space'])}) by "
        f"{values['title']}",
    ]
    if values.get("strength") is not None:
        chosen = f" ({values['strength_from']})" if values.get("strength_from") else ""
        lines.append(f"{values['parameter']} {values['strength']:g}{chosen}")
    if values.get("maps") == "ESPIRiT":
        worst = max(values["maps_unexplained"])
        lines.append(f"coil maps by ESPIRiT, {100 * worst:.1f} % of the calibration signal unexplained at most")
    else:
        lines.append(f"coil maps {values.get('maps', 'unknown')}")
    if values.get("virtual_coils"):
        lines.append(
            f"{values['coils']} coils combined to {values['virtual_coils']}, "
            f"{100 * min(values['energy_kept']):.2f} % of the energy kept at least"
        )
    lines.append(f"from {values['source']} (sha256 {str(values['data_sha256'])[:16]}...)")
    if mean := values.get("mean_scores"):
        psnr = "infinite" if mean["psnr_db"] is None else f"{mean['psnr_db']:.2f} dB"
        lines.append(f"against the truth, on average: NRMSE {mean['nrmse']:.4f}, PSNR {psnr}, SSIM {mean['ssim']:.4f}")
    return lines
