"""What the program asks of a camera. All calls block; a camera is a context."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ptychoui.errors import DeviceError

Counts = NDArray[np.uint16]


class Camera(ABC):
    """An open camera of one colour.

    Attributes
    ----------
    name
        What to call it in sentences.
    shape
        (rows, columns) of a frame.
    bits
        Of a count.
    full_well
        Count at which a pixel says no more: at most ``2**bits - 1``.
    offset
        Count of a pixel without light, as the camera states it; frames without light say it better.
    shortest_ms, longest_ms
        Exposures that it can take.
    """

    name: str = "camera"
    shape: tuple[int, int] = (0, 0)
    bits: int = 12
    full_well: int = 4095
    offset: float = 0.0
    shortest_ms: float = 0.01
    longest_ms: float = 60_000.0

    def snap(self, exposure_ms: float) -> Counts:
        """Take one frame that begins after this call: counts (row, column).

        Parameters
        ----------
        exposure_ms
            How long every pixel collects light.

        Raises
        ------
        DeviceError
            If the camera cannot expose so, or gives no frame.
        """
        if not self.shortest_ms <= exposure_ms <= self.longest_ms:
            raise DeviceError(
                f"{self.name} exposes {self.shortest_ms:g} to {self.longest_ms:g} ms, not {exposure_ms:.4g} ms",
                "choose another exposure, or another brightness",
            )
        frame = self._snap(exposure_ms)
        if frame.shape != self.shape or frame.dtype != np.uint16:
            raise DeviceError(
                f"{self.name} gave a frame of {frame.shape} {frame.dtype}, not {self.shape} uint16",
                "was its region or binning changed by another program?",
            )
        return frame

    def saturated(self, frame: Counts) -> float:
        """Share of the pixels of a frame (row, column) that are full."""
        return float(np.mean(frame >= self.full_well))

    def close(self) -> None:
        """Give the camera back; closing twice does nothing."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    @abstractmethod
    def _snap(self, exposure_ms: float) -> Counts: ...
