"""Cameras of Micro-Manager, by its demonstration camera: frames, limits, and sentences where something is wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptychoui.devices.camera_opening import open_camera
from ptychoui.devices.device import DeviceOptions
from ptychoui.devices.micro_manager import MicroManagerCamera, adapter_folders
from ptychoui.devices.opening import open_device
from ptychoui.errors import DeviceError, SettingsError
from ptychoui.settings import Geometry

pytest.importorskip("pymmcore", reason="needs pymmcore")
adapters = pytest.importorskip("mm_test_adapters", reason="needs mm-test-adapters")

GEOMETRY = Geometry(
    microscope={"wavelength_um": 0.53, "objective_na": 0.1, "magnification": 4.0, "camera_pixel_um": 4.8},
    array={"kind": "lattice", "pitch_mm": 4.0, "rows": 3, "columns": 3, "height_mm": 72.0},
)

EYE = ("Device,Eye,DemoCamera,DCam", "Property,Core,Initialize,1", "Property,Core,Camera,Eye")


def config(folder: Path, *lines: str) -> Path:
    path = folder / "scope.cfg"
    usual = (
        "Device,Eye,DemoCamera,DCam",
        "Property,Core,Initialize,1",
        "Property,Core,Camera,Eye",
        "Property,Eye,PixelType,16bit",
        "Property,Eye,BitDepth,12",
    )
    path.write_text("\n".join(lines or usual) + "\n", encoding="ascii")
    return path


def test_the_demonstration_camera() -> None:
    with MicroManagerCamera("demo") as camera:
        frame = camera.snap(5.0)
        assert frame.dtype == np.uint16 and frame.shape == camera.shape and frame.max() > 0
        assert frame.max() <= camera.full_well == 2**camera.bits - 1
        longest = camera.longest_ms
        with pytest.raises(DeviceError, match="exposes"):
            camera.snap(2 * longest)
    camera.close()


def test_a_configuration_with_a_camera_of_its_own_name(tmp_path: Path) -> None:
    with MicroManagerCamera(f"{config(tmp_path)}?camera=Eye") as camera:
        assert "Eye" in camera.name and camera.bits == 12 and camera.full_well == 4095
        assert camera.snap(2.0).shape == camera.shape


def test_eight_bits_become_counts(tmp_path: Path) -> None:
    with MicroManagerCamera(str(config(tmp_path, *EYE, "Property,Eye,PixelType,8bit"))) as camera:
        frame = camera.snap(2.0)
        assert frame.dtype == np.uint16 and camera.full_well == 255 >= frame.max()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("Device,Table,DemoCamera,DXYStage", "Property,Core,Initialize,1"), "names no camera"),
        (("Device,Eye,Nobody,DCam",), "cannot be loaded"),
        (
            (*EYE, "Property,Eye,PixelType,32bitRGB"),
            "gives colours",
        ),
        (
            (*EYE, "Property,Eye,PixelType,32bit"),
            "32 bits",
        ),
    ],
)
def test_configurations_that_cannot_be_used(lines: tuple[str, ...], words: str, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=words) as error:
        MicroManagerCamera(str(config(tmp_path, *lines)))
    assert error.value.hint and "\n" not in error.value.message


def test_urls_that_say_nothing() -> None:
    with pytest.raises(DeviceError, match="no Micro-Manager configuration"):
        MicroManagerCamera("absent.cfg")
    with pytest.raises(SettingsError, match="needs a configuration"):
        MicroManagerCamera("")
    with pytest.raises(SettingsError, match="no setting 'gain'"):
        MicroManagerCamera("demo?gain=3")


def test_a_frame_of_another_size_or_exposure_is_no_frame() -> None:
    with MicroManagerCamera("demo") as camera:
        core: Any = camera._core
        core.setROI(0, 0, 64, 32)
        with pytest.raises(DeviceError, match="gave a frame of"):
            camera.snap(2.0)
        core.clearROI()

        class Stubborn:
            def __getattr__(self, name: str) -> Any:
                return (lambda: 7.0) if name == "getExposure" else getattr(core, name)

        camera._core = Stubborn()
        with pytest.raises(DeviceError, match="exposes 7 ms where 2 ms were asked for"):
            camera.snap(2.0)
        camera._core = core


def test_a_camera_that_fails_is_a_sentence() -> None:
    with MicroManagerCamera("demo") as camera:
        core: Any = camera._core
        core.unloadAllDevices()
        with pytest.raises(DeviceError, match="gave no frame"):
            camera.snap(2.0)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymmcore", None)
    with pytest.raises(DeviceError, match="not installed"):
        MicroManagerCamera("demo")


def test_where_adapters_are_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MICROMANAGER_PATH", "/of/the/environment")
    found = adapter_folders("/said", tmp_path)
    assert found[:3] == ["/said", "/of/the/environment", str(tmp_path)]


def test_beside_an_emulated_array() -> None:
    with (
        open_device("simulate:", DeviceOptions()) as device,
        open_camera("mm:demo", device, GEOMETRY) as camera,
    ):
        assert camera.snap(2.0).shape == camera.shape
