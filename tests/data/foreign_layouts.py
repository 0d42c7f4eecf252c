"""A stack of nine LEDs in the layouts of other programs, written from what is published of each of them.

Every writer is given the same images and LEDs and turns them into the layout's own units and axes; `EXPECTED` says
where the LEDs must be found again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
import tifffile

WAVELENGTH_UM, NA, MAGNIFICATION, CAMERA_UM, HEIGHT_MM, PITCH_MM = 0.63, 0.1, 2.0, 3.69, 90.0, 4.0
COLUMN, ROW = np.meshgrid(np.arange(-1, 2), np.arange(-1, 2))
# Off the axis and different in x and y, so that a wrong axis or sign shows.
X_MM, Y_MM = PITCH_MM * COLUMN.ravel() + 0.7, -PITCH_MM * ROW.ravel() - 1.3
DISTANCE_MM = np.sqrt(X_MM**2 + Y_MM**2 + HEIGHT_MM**2)
DIRECTIONS = np.column_stack([X_MM, Y_MM]) / DISTANCE_MM[:, None]
MICROSCOPE = {
    "wavelength_um": WAVELENGTH_UM,
    "objective_na": NA,
    "magnification": MAGNIFICATION,
    "camera_pixel_um": CAMERA_UM,
}
# What has to be added to the layouts that do not say everything: TOML.
SCOPE_TOML = "[microscope]\n" + "".join(f"{name} = {value}\n" for name, value in MICROSCOPE.items())
COMPLETION = {
    "uconn amplitudes": SCOPE_TOML,
    "leb": f"{SCOPE_TOML}[array]\npitch_mm = {PITCH_MM}\nheight_mm = {HEIGHT_MM}\n",
    "leb info": f"{SCOPE_TOML}[array]\npitch_mm = {PITCH_MM}\nheight_mm = {HEIGHT_MM}\n",
}
PART = {"aidukas": "section1", "imaged": "red"}
EXPOSURES_S = np.array([0.01, 0.02, 0.02, 0.01, 0.04, 0.01, 0.01, 0.02, 0.04])
DARK = {0.01: 20, 0.02: 24, 0.04: 32}


def _header_73(path: Path) -> Path:
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: today".ljust(124) + b"\x00\x02IM")
    return path


def ptylab(folder: Path, images: np.ndarray, path: Path | None = None) -> Path:
    path = path or folder / "lung.hdf5"
    with h5py.File(path, "w", userblock_size=512 if path.suffix == ".mat" else 0) as file:
        file["ptychogram"] = images
        file["encoder"] = -np.column_stack([Y_MM, X_MM]) * 1e-3
        file["wavelength"], file["dxd"], file["zled"] = WAVELENGTH_UM * 1e-6, CAMERA_UM * 1e-6, HEIGHT_MM * 1e-3
        file["magnification"], file["NA"] = MAGNIFICATION, np.array([[NA]])
    return path


def ptylab_73(folder: Path, images: np.ndarray) -> Path:
    return _header_73(ptylab(folder, images, folder / "lung.mat"))


def aidukas(folder: Path, images: np.ndarray) -> Path:
    with h5py.File(path := folder / "sections.hdf5", "w") as file:
        for number in (0, 1, 10):
            group = file.create_group(f"section{number}")
            group.create_dataset("ptychogram", data=images + 1 * (number != 1), chunks=(1, 8, 10), compression="gzip")
            group["positions_led"] = np.column_stack([-Y_MM, X_MM]) * 1e-3
            group["positions"] = np.zeros((9, 2))
        file["wavelength"], file["dxd"], file["zo"] = WAVELENGTH_UM * 1e-6, CAMERA_UM * 1e-6, HEIGHT_MM * 1e-3
        file["dxp"], file["num_apert"], file["Np"] = CAMERA_UM * 1e-6 / MAGNIFICATION, NA, 32
    return path


def uconn_amplitudes(folder: Path, images: np.ndarray) -> Path:
    wave_number = 2 * np.pi / (WAVELENGTH_UM * 1e-6)
    variables = {
        "imageAmpSeq": np.moveaxis(np.sqrt(images), 0, 2),
        "kx": wave_number * DIRECTIONS[:, 1],
        "ky": wave_number * DIRECTIONS[:, 0],
        "imNum": 9.0,
    }
    scipy.io.savemat(path := folder / "hdr.mat", variables, do_compression=True)
    return path


def caltech_variables(images: np.ndarray, pixels: bool = False) -> dict[str, Any]:
    variables = {
        "I_low": np.moveaxis(images, 0, 2),
        "na_cal": NA,
        "dpix_c": CAMERA_UM,
        "mag": MAGNIFICATION,
        "lambda": WAVELENGTH_UM,
    }
    if not pixels:
        return variables | {"na_calib": DIRECTIONS[:, ::-1]}
    # One pixel of the spectrum of N camera pixels is wavelength mag / (N dpix_c) in direction cosines.
    rows, columns = images.shape[1:]
    radius = NA * rows * CAMERA_UM / (MAGNIFICATION * WAVELENGTH_UM)
    places = DIRECTIONS[:, ::-1] * radius / NA + [rows // 2 + 1, columns // 2 + 1]
    return variables | {"freqXY_calib": places, "na_rp_cal": radius}


def caltech(folder: Path, images: np.ndarray) -> Path:
    scipy.io.savemat(path := folder / "apic.mat", caltech_variables(images))
    return path


def caltech_pixels(folder: Path, images: np.ndarray) -> Path:
    variables = caltech_variables(images, pixels=True)
    variables["wavelength"] = variables.pop("lambda")
    scipy.io.savemat(path := folder / "apic.mat", variables, do_compression=True)
    return path


def caltech_structure(folder: Path, images: np.ndarray) -> Path:
    content = {"saved_data": caltech_variables(images), "note": "text"}
    scipy.io.savemat(path := folder / "apic.mat", content, do_compression=True)
    return path


def caltech_plain_structure(folder: Path, images: np.ndarray) -> Path:
    scipy.io.savemat(path := folder / "apic.mat", {"saved_data": caltech_variables(images, pixels=True)})
    return path


def caltech_73(folder: Path, images: np.ndarray) -> Path:
    with h5py.File(path := folder / "apic.mat", "w", userblock_size=512) as file:
        group = file.create_group("saved_data")
        file.create_group("#refs#")
        for name, value in caltech_variables(images).items():
            data = np.atleast_2d(value).T
            group.create_dataset(name, data=data, **({"compression": "gzip"} if data.ndim == 3 else {}))
    return _header_73(path)


def software(folder: Path, images: np.ndarray) -> Path:
    variables = {
        "imlow": np.moveaxis(images, 0, 2),
        "NA_list": -DIRECTIONS,
        "NA": NA,
        "dpix_c": CAMERA_UM,
        "lambda": WAVELENGTH_UM,
        "mag": MAGNIFICATION,
    }
    scipy.io.savemat(path := folder / "gui.mat", variables)
    return path


def experiment(folder: Path, images: np.ndarray) -> Path:
    variables = {
        "I": np.moveaxis(images, 0, 2),
        "na_x_list": DIRECTIONS[:, 0],
        "na_y_list": DIRECTIONS[:, 1],
        "sys_na": NA,
        "wavelength": WAVELENGTH_UM,
        "pixel_size": CAMERA_UM,
        "mag": MAGNIFICATION,
    }
    scipy.io.savemat(path := folder / "exp.mat", variables)
    return path


def elfpie(folder: Path, images: np.ndarray) -> Path:
    scipy.io.savemat(path := folder / "usaf.mat", {"lowSeq": np.moveaxis(images, 0, 2).astype(np.float64)})
    return path


SETUP = """\
%% system parameters, written by hand
lambda = 0.63; k0 = 2*pi/lambda; % um, central
F = @(x) fftshift(fft2(x));
NA = 0.1;
um_m = NA/lambda; dx0 = 1/um_m/2;
mag = 2.0;
dpix_c = 3.69; %6.5um pixel size on the sensor plane
ds_led = 4e3; %4mm
z_led = 90e3;
dia_led = 3;
Np = 8;
nstart = [1017, 1013]; ncent = [1080, 1280];
system('touch never_run');
"""


def waller(folder: Path, images: np.ndarray) -> Path:
    path = folder / "plate"
    path.mkdir(exist_ok=True)
    (path / "SystemSetup.m").write_text(SETUP)
    for number, image in enumerate(images):
        tifffile.imwrite(path / f"Iled_{number}.tif", (image * 1000).round().astype(np.uint16))
    return path


def imaged(folder: Path, images: np.ndarray) -> Path:
    """Raw GRBG images: red and blue hold the images, green others, dark frames and exposures as a camera gives them."""
    path = folder / "slide"
    (path / "captures").mkdir(parents=True, exist_ok=True)
    captures = []

    def add(name: str, raw: np.ndarray, channel: str, exposure: float, leds: list[dict[str, float]]) -> None:
        np.save(path / "captures" / name, raw.astype(np.uint16))
        wavelength = {"red": WAVELENGTH_UM, "green": 0.53}[channel] * 1e-6
        captures.append(
            {
                "filename": name,
                "wavelength": wavelength,
                "channel": channel,
                "exposure": exposure,
                "captured_at": "2026-01-01T00:00:00",
                "led_positions": leds,
            }
        )

    for number, image in enumerate(images):
        exposure = float(EXPOSURES_S[number])
        raw = np.full((16, 20), DARK[exposure], dtype=np.float64)
        raw[0::2, 1::2] += np.round(image * 1000) * exposure / 0.01
        raw[0::2, 0::2] += 100
        raw[1::2, 1::2] += 200
        led = {"x": X_MM[number] * 1e-3, "y": Y_MM[number] * 1e-3, "z": -HEIGHT_MM * 1e-3}
        add(f"red_{number}.npy", raw, "red", exposure, [led])
        add(f"green_{number}.npy", raw, "green", exposure, [led])
    for number, (exposure, level) in enumerate(DARK.items()):
        add(f"dark_{number}.npy", np.full((16, 20), level), "red", exposure, [])
    info = {
        "magnification": MAGNIFICATION,
        "numerical_aperture": NA,
        "sensor_pixel_size": CAMERA_UM / 2 * 1e-6,
        "bayer_format": "GRBG",
        "capture_dimensions": [16, 20],
        "captures": captures,
    }
    (path / "info.json").write_text(json.dumps(info, indent=1))
    return path


def leb(folder: Path, images: np.ndarray) -> Path:
    path = folder / "stack.ome.tif"
    tifffile.imwrite(path, (images * 1000).round().astype(np.uint16), ome=True, photometric="minisblack")
    frames: dict[str, Any] = {"Summary": {"Frames": 9}}
    for number in range(9):
        place = {"LEDCoordX": 15 + COLUMN.ravel()[number], "LEDCoordY": 16 - ROW.ravel()[number]}
        user = {name: {"type": "STRING", "scalar": str(value)} for name, value in place.items()}
        user |= {"centerLEDCoordX": {"scalar": "15"}, "centerLEDCoordY": {"scalar": "16"}}
        frames[f"FrameKey-{number}-0-0"] = {"Width": 10, "UserData": user}
    (folder / "stack_metadata.txt").write_text(json.dumps(frames, indent=1))
    return path


def leb_info(folder: Path, images: np.ndarray) -> Path:
    places = [[15 + int(c), 16 - int(r)] for c, r in zip(COLUMN.ravel(), ROW.ravel(), strict=True)]
    info = json.dumps({"led_indexes": places, "led_center": [15, 16]})
    counts = (images * 1000).round().astype(np.uint16)
    tifffile.imwrite(path := folder / "stack.tif", counts, imagej=True, metadata={"Info": info})
    return path


def experiment_list(folder: Path, images: np.ndarray) -> Path:
    variables = {
        "I": np.moveaxis(images, 0, 2),
        "na_list": DIRECTIONS[:, ::-1],
        "na": NA,
        "wl": WAVELENGTH_UM,
        "ps": CAMERA_UM,
        "mag": MAGNIFICATION,
    }
    scipy.io.savemat(path := folder / "exp.mat", variables)
    return path


def fpm_torch(folder: Path, images: np.ndarray) -> Path:
    center, unit_um = (960, 540), 100.0
    # The program's x moves rows, our y; signs -1.
    places = [
        [int(960 - round(y * 1e3 / unit_um)), int(540 - round(x * 1e3 / unit_um))]
        for x, y in zip(X_MM, Y_MM, strict=True)
    ]
    (folder / "crop_1").mkdir(exist_ok=True)
    (folder / "coords.json").write_text(json.dumps(places))
    for (a, b), image in zip(places, images, strict=True):
        tifffile.imwrite(folder / "crop_1" / f"image_x_{a}_y_{b}.tif", (image * 1000).round().astype(np.uint16))
    config = {
        "dataset": {
            "sample_name": "Leech",
            "input_mode": "load_cropped_dirs",
            "input_root": ".",
            "file_pattern": "image_x_{x}_y_{y}.tif",
            "coords_file": "configs/coords.json",
            "nused": 9,
        },
        "setup": MICROSCOPE
        | {
            "led_distance_um": HEIGHT_MM * 1e3,
            "led_coord_unit_um": unit_um,
            "led_coord_center": center,
            "led_coords_convention": "xy",
            "led_axis_signs": [-1, -1],
            "z0": 0.0,
        },
        "reconstruction": {"tol": 0.01},
        "crops": {"mode": "load", "crop_dir": "crop_1"},
    }
    (folder / "leech.json").write_text(json.dumps(config, indent=1))
    return folder / "leech.json"


LAYOUTS: dict[str, Callable[[Path, np.ndarray], Path]] = {
    "ptylab": ptylab,
    "ptylab 7.3": ptylab_73,
    "aidukas": aidukas,
    "uconn amplitudes": uconn_amplitudes,
    "caltech": caltech,
    "caltech pixels": caltech_pixels,
    "caltech structure": caltech_structure,
    "caltech plain structure": caltech_plain_structure,
    "caltech 7.3": caltech_73,
    "software": software,
    "experiment": experiment,
    "waller": waller,
    "imaged": imaged,
    "experiment list": experiment_list,
    "leb": leb,
    "leb info": leb_info,
    "fpm torch": fpm_torch,
}


def expected_directions(layout: str) -> np.ndarray:
    """(LED, [x, y]) direction cosines that must come out of a file of the layout."""
    if layout == "waller":
        # The program: for columns h, then rows v: minus (h, v) times the pitch, less the tile's centre.
        v_center, h_center = (np.array([1017, 1013]) - [1080, 1280] + 4) * 3.69 / 2.0 * 1e-3
        mm = np.array([[-4.0 * h - h_center, -4.0 * v - v_center] for h in (-1, 0, 1) for v in (-1, 0, 1)])
    elif layout.startswith("leb"):
        mm = np.column_stack([PITCH_MM * COLUMN.ravel(), -PITCH_MM * ROW.ravel()])
    else:
        return DIRECTIONS
    return mm / np.sqrt((mm**2).sum(axis=1) + HEIGHT_MM**2)[:, None]


def write_foreign(layout: str, folder: Path, images: np.ndarray) -> str:
    """Write a layout with what completes it beside it; returns what ``open_dataset`` should be given."""
    path = LAYOUTS[layout](folder, images)
    if layout in COMPLETION:
        (folder / "geometry.toml").write_text(COMPLETION[layout])
    return f"{path}::{PART[layout]}" if layout in PART else str(path)
