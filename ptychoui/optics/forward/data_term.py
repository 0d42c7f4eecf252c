"""The data-consistency term: what was measured, and how far from it predictions are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptychoui.optics.forward import compiled


@dataclass(frozen=True, slots=True)
class DataTerm:
    """What a multiplexed measurement compares with: constants of one reconstruction.

    Attributes
    ----------
    weights
        (M, L) light of each LED in each measurement: level x exposure x gain.
    offset
        (M,) stray light and dark level of each measurement.
    amplitude
        (B, M, row, column) sqrt(max(measured, 0) + variance_floor), in camera pixels.
    variance_floor
        The constant c of the variance-stabilising square root.
    """

    weights: Tensor
    offset: Tensor
    amplitude: Tensor
    variance_floor: float


def residual_of(images: Tensor, data: DataTerm) -> tuple[Tensor, Tensor]:
    """Predicted amplitudes s_m and r_m = 1 - s^_m / s_m of images (B, M, T, T) without their offsets."""
    if images.device.type != "cpu":
        predicted = torch.sqrt((images + data.offset[:, None, None]).clamp_min_(0).add_(data.variance_floor))
        return predicted, (predicted - data.amplitude) / predicted
    predicted, residual = torch.empty_like(images), torch.empty_like(images)
    compiled.choose_threads(images.numel())
    floor = _flat(images).dtype.type(data.variance_floor)
    offset = data.offset.detach().numpy()
    compiled.residual(
        _flat(images), offset, _flat(data.amplitude.expand_as(images)), floor, _flat(predicted), _flat(residual)
    )
    return predicted, residual


def residual_change(change: Tensor, predicted: Tensor, data: DataTerm) -> Tensor:
    """dr_m = s^_m dy_m / (2 s_m^3) of changes of the images (B, M, T, T)."""
    if change.device.type != "cpu":
        return data.amplitude * change / (2 * predicted**3)
    found = torch.empty_like(change)
    compiled.choose_threads(change.numel())
    flat = _flat(change)
    compiled.residual_change(
        flat, _flat(data.amplitude.expand_as(change)), _flat(predicted), flat.dtype.type(0.5), _flat(found)
    )
    return found


def _flat(images: Tensor) -> NDArray[np.floating]:
    """(B, M, T, T) -> (B M, T T), a view of contiguous images."""
    found: NDArray[np.floating] = images.detach().contiguous().view(-1, images.shape[-2] * images.shape[-1]).numpy()
    return found


@dataclass(frozen=True, slots=True)
class ProductResult:
    """Derivatives of Re<q, g(x)>: see `FourierPtychography.product`."""

    hessian: Tensor  # (B, N, N) complex
    weights: Tensor  # (M, L)
    offset: Tensor  # (M,)
    amplitude: Tensor  # (B, M, T, T)
    along: Tensor  # () Re<q, g> itself
