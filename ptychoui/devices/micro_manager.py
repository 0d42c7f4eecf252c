"""A camera that Micro-Manager knows, through its core library (pymmcore): ``--camera mm:CONFIG.cfg``.

The configuration is the one that Micro-Manager's hardware wizard writes. Its device adapters come with Micro-Manager;
the folder they are in is taken from ``?adapters=FOLDER``, the variable MICROMANAGER_PATH, or the configuration's own
folder. ``mm:demo`` is Micro-Manager's demonstration camera.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np

from ptychoui.devices.camera import Camera, Counts
from ptychoui.errors import DeviceError, SettingsError

DEMO = "demo"
KNOWN = ("camera", "adapters")
PATIENCE_MS = 10_000
"""How much longer than its exposure a frame may take."""


class MicroManagerCamera(Camera):
    """The camera of a Micro-Manager configuration, in grey.

    Parameters
    ----------
    rest
        What stands behind ``mm:`` in the URL: a configuration file or ``demo``, then ``?camera=LABEL&adapters=FOLDER``.

    Raises
    ------
    DeviceError
        If pymmcore is not installed, the configuration cannot be loaded, or it has no grey camera.
    SettingsError
        If the URL says something that is not known.
    """

    def __init__(self, rest: str) -> None:
        place, _, query = rest.partition("?")
        said = dict(parse_qsl(query, keep_blank_values=True))
        if unknown := [name for name in said if name not in KNOWN]:
            raise SettingsError(
                f"a Micro-Manager camera has no setting {unknown[0]!r}", f"there are {', '.join(KNOWN)}"
            )
        if not place:
            raise SettingsError("mm: needs a configuration", "mm:CONFIG.cfg, or mm:demo")
        try:
            library: Any = importlib.import_module("pymmcore")
        except ImportError:
            raise DeviceError("Micro-Manager's core library is not installed", "pip install pymmcore") from None
        self._core = library.CMMCore()
        self._core.enableStderrLog(False)
        try:
            with _told("the configuration cannot be loaded"):
                self._load(place, said)
        except BaseException:
            self.close()
            raise

    def _load(self, place: str, said: dict[str, str]) -> None:
        core, demo = self._core, place == DEMO
        config = Path(place)
        if not demo and not config.is_file():
            raise DeviceError(
                f"there is no Micro-Manager configuration {place}", "give the .cfg file of your microscope"
            )
        core.setDeviceAdapterSearchPaths(
            adapter_folders(said.get("adapters"), None if demo else config.resolve().parent)
        )
        if demo:
            core.loadDevice("Camera", "DemoCamera", "DCam")
            core.initializeDevice("Camera")
            core.setCameraDevice("Camera")
            core.setProperty("Camera", "PixelType", "16bit")
        else:
            core.loadSystemConfiguration(str(config))
        if "camera" in said:
            core.setCameraDevice(said["camera"])
        label = core.getCameraDevice()
        if not label:
            raise DeviceError(f"{place} names no camera", "choose one in Micro-Manager, or with ?camera=LABEL")
        if core.getNumberOfComponents() != 1:
            raise DeviceError(f"the camera {label} gives colours", "set its pixel type to grey in the configuration")
        self.name = f"Micro-Manager camera {label}"
        self.shape = (int(core.getImageHeight()), int(core.getImageWidth()))
        self.bits = int(core.getImageBitDepth())
        if not 1 <= self.bits <= 16:
            raise DeviceError(f"{self.name} gives {self.bits} bits", "set its pixel type to 8 or 16 bits")
        self.full_well = 2**self.bits - 1
        if core.hasProperty(label, "Exposure") and core.hasPropertyLimits(label, "Exposure"):
            self.shortest_ms = max(1e-3, float(core.getPropertyLowerLimit(label, "Exposure")))
            self.longest_ms = float(core.getPropertyUpperLimit(label, "Exposure"))

    def _snap(self, exposure_ms: float) -> Counts:
        core = self._core
        with _told(f"{self.name} gave no frame"):
            core.setTimeoutMs(int(exposure_ms) + PATIENCE_MS)
            core.setExposure(exposure_ms)
            taken = float(core.getExposure())
            if abs(taken - exposure_ms) > max(0.01 * exposure_ms, 1e-3):
                raise DeviceError(
                    f"{self.name} exposes {taken:.4g} ms where {exposure_ms:.4g} ms were asked for",
                    "choose an exposure that it can take",
                )
            core.waitForSystem()
            core.snapImage()
            frame = np.asarray(core.getImage())
        if frame.dtype == np.uint8:
            frame = frame.astype(np.uint16)
        return frame

    def close(self) -> None:
        """Unload the configuration."""
        with contextlib.suppress(RuntimeError):
            self._core.reset()


def adapter_folders(said: str | None, beside: Path | None) -> list[str]:
    """Where device adapters may be: as said, as the environment says, beside the configuration, or for tests."""
    found = [said, os.environ.get("MICROMANAGER_PATH"), None if beside is None else str(beside)]
    with contextlib.suppress(ImportError):
        tests: Any = importlib.import_module("mm_test_adapters")
        found.append(str(tests.device_adapter_path()))
    return [folder for folder in found if folder]


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn what the core library says into one sentence."""
    try:
        yield
    except (RuntimeError, OSError) as error:  # the library raises either
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        said = lines[0][:200] if lines else type(error).__name__
        raise DeviceError(f"{what}: {said}", "does it work in Micro-Manager? Close it there first") from None
