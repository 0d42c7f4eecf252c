"""Which sums over LEDs suit a device."""

from __future__ import annotations

import torch

from ptychoui.optics.forward.led_sums import LedSums, PupilWindows
from ptychoui.optics.forward.led_sums_tensor import TensorLedSums


def led_sums(
    windows: PupilWindows, device: torch.device, stream: bool = False, chunk_bytes: int | None = None
) -> LedSums:
    """The sums that suit a device: compiled loops on a CPU, tensor operations elsewhere.

    Parameters
    ----------
    stream
        Keep no table of all LEDs' pupils; on other devices than a CPU also go through the LEDs in chunks.
    chunk_bytes
        Fields of one chunk; by default what is fast on the device.
    """
    if device.type == "cpu":
        from ptychoui.optics.forward.led_sums_cpu import CompiledLedSums

        return CompiledLedSums(windows, stream, chunk_bytes)
    if stream:
        from ptychoui.optics.forward.led_sums_chunked import ChunkedLedSums

        return ChunkedLedSums(windows, device, chunk_bytes)
    return TensorLedSums(windows, device)
