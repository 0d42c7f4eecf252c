"""Stacks at random, in files as other programs write them: what was meant, and where it lies."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
import tifffile
from hypothesis import strategies as st
from PIL import Image
from random_facts import FACTS, write_facts

from ptychoui.data.formats.geometry_file import PartialGeometry, flat_settings
from ptychoui.settings import Geometry, Images

SCOPE = {"wavelength_um": 0.5, "objective_na": 0.1, "magnification": 2.0, "camera_pixel_um": 4.0}
CONTAINERS = ("tiff", "ome", "imagej", "pillow", "tiffs", "pngs", "mat", "mat73", "ptylab")
TOPS = {"u1": (255, 40), "u2": (65535, 4095, 1023), "i2": (32767, 900), "i4": (2**31 - 1, 5000), "u4": (2**32 - 1, 77)}
JUNK = ("", "img_", "led", "LED ", "Bild-", "a.b_", "run 3 ", "scan2_", "x_", "10x_", "na0.1_", "c1 ", "dark field ")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One stack and how it is written.

    Attributes
    ----------
    images
        (LED, row, column) values that are meant, in the order of the LEDs.
    plain
        Nothing about it needs to be asked or refused.
    """

    container: str
    array: dict[str, Any]
    images: np.ndarray
    options: dict[str, Any] = field(default_factory=dict)
    said: dict[str, Any] = field(default_factory=dict)
    plain: bool = True

    @property
    def meant(self) -> np.ndarray:
        """(LED, row, column) float64 images as they should come back, up to one factor."""
        images = self.images.astype(np.float64) - self.options.get("dark", 0)
        times = self.options.get("times")
        return images if times is None else images / (np.array(times) / max(times))[:, None, None]

    @property
    def geometry(self) -> Geometry | PartialGeometry:
        """The geometry that is meant, with what the user says of the images."""
        whole = Geometry(microscope=SCOPE, array=self.array)  # type: ignore[arg-type]
        if not self.said:
            return whole
        return PartialGeometry(values=flat_settings(whole), source="g.toml", images=Images(**self.said))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    container = draw(st.sampled_from(CONTAINERS))
    rows, columns = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    array = {"kind": "lattice", "rows": rows, "columns": columns, "pitch_mm": 4.0, "height_mm": 90.0}
    array |= draw(st.sampled_from([{}, {"serpentine": True}, {"order": "columns"}]))
    kind = draw(st.sampled_from(["u1", "u2", "i2", "i4", "u4", "f4", "f8"]))
    if container in ("pillow", "pngs"):
        kind = draw(st.sampled_from(["u1", "u2"] if container == "pngs" else ["u1", "u2", "f4"]))
    if container == "imagej":
        kind = draw(st.sampled_from(["u1", "u2", "f4"]))
    images = draw_images(draw, rows * columns, kind)
    order = "<" if container == "imagej" else draw(st.sampled_from("<>"))
    case = Case(container=container, array=array, images=images, options={"order": order})
    return globals()[f"_{container}_case"](draw, case)  # type: ignore[no-any-return]


def draw_images(draw: st.DrawFn, count: int, kind: str) -> np.ndarray:
    """Small images of one type; levels, spread and zeros at random, never one of them like another in the whole."""
    height, width = draw(st.tuples(st.integers(2, 7), st.integers(2, 7)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    low = draw(st.sampled_from([0.0, 0.0, 0.3, 0.8]))
    level = draw(
        st.sampled_from([np.ones(count), np.linspace(1, 0.01, count), rng.permutation(np.geomspace(1, 0.02, count))])
    )
    values = (low + (1 - low) * rng.random((count, height, width))) * level[:, None, None]
    if kind[0] == "f":
        return (values * draw(st.sampled_from([1.0, 4000.0, 1e-3]))).astype(kind)
    top = draw(st.sampled_from(TOPS[kind]))
    signed = kind[0] == "i" and draw(st.booleans())
    return np.round(values * top - (0.02 * top if signed else 0)).astype(kind)


def draw_times(draw: st.DrawFn, count: int) -> list[float] | None:
    """Exposures in ms: none, one, or several."""
    kinds = st.sampled_from([None, [20.0] * count, [10.0 + 5 * (n % 3) for n in range(count)]])
    return draw(kinds)


def _case(case: Case, plain: bool = True, said: dict[str, Any] | None = None, **options: Any) -> Case:
    return Case(
        container=case.container,
        array=case.array,
        images=case.images,
        options=case.options | options,
        said=case.said if said is None else said,
        plain=case.plain and plain,
    )


def _grey(draw: st.DrawFn, case: Case) -> Case:
    """Photometric interpretation, compression and tiles of a TIFF."""
    kind = case.images.dtype.str[1:]
    known = ["minisblack", "minisblack"]
    known += ["miniswhite"] if kind[0] == "u" else []
    known += ["palette", "falling palette"] if kind == "u1" else []
    known += ["rgb"] if kind in ("u1", "u2") else []
    photometric = draw(st.sampled_from(known))
    compression = draw(st.sampled_from([None, None, "zlib", "lzma"]))
    predictor = draw(st.booleans()) if compression and kind[0] != "f" else False
    tile = draw(st.sampled_from([None, None, (16, 16)]))
    plain = photometric not in ("miniswhite", "rgb")
    options = {"photometric": photometric, "compression": compression, "predictor": predictor, "tile": tile}
    top = 2 ** (8 * case.images.dtype.itemsize) - 1
    if photometric == "miniswhite":
        full = int(case.images.max())
        bits = draw(st.sampled_from([b for b in (8, 10, 12, 16, 32) if full < 2**b <= top + 1]))
        options["white"] = 2**bits - 1
        if draw(st.booleans()):
            return _case(case, True, {"bit_depth": bits}, **options)
    return _case(case, plain, **options)


def _tiff_case(draw: st.DrawFn, case: Case) -> Case:
    turned = draw(st.sampled_from([None, None, 1, 2, 3, 4]))
    facts = draw(st.sampled_from([None, None, None, *FACTS]))
    order = draw(st.permutations(range(len(case.images)))) if facts and facts != "thumbnail" else None
    return _case(
        _grey(draw, case),
        separate=draw(st.booleans()),
        one_by_one=draw(st.booleans()),
        turned=turned,
        facts=facts,
        stored=order or list(range(len(case.images))),
    )


def _ome_case(draw: st.DrawFn, case: Case) -> Case:
    count = len(case.images)
    extra = draw(st.sampled_from([None, None, "C", "Z"]))
    axis = draw(st.sampled_from([a for a in "TZC" if a != extra]))
    planes = draw(st.permutations(range(count)))
    kept = draw(st.sampled_from([planes, list(range(count)), list(range(count))[::-1]]))
    said: dict[str, Any] = {}
    plain = True
    if extra is not None and count > 1:
        answer = {"indices": {extra: 1}} | ({"led_axis": axis} if draw(st.booleans()) else {})
        asks = draw(st.booleans())
        said, plain = ({}, False) if asks else (answer, True)
    elif extra is not None:
        extra = None
    photometric = draw(
        st.sampled_from(["minisblack", "miniswhite"] if case.images.dtype.str[1:] == "u1" else ["minisblack"])
    )
    options = {"axis": axis, "extra": extra, "planes": kept, "photometric": photometric, "white": 255}
    options |= {"times": draw_times(draw, count), "unit": draw(st.sampled_from(["s", "ms", "µs", None]))}
    return _case(case, plain, said, **options)


def _imagej_case(draw: st.DrawFn, case: Case) -> Case:
    axis = draw(st.sampled_from("TZC"))
    extra = draw(st.sampled_from([None, *(set("TZC") - {axis})])) if len(case.images) > 1 else None
    asks = extra is not None and draw(st.booleans())
    answer = {"indices": {extra: 1}, "led_axis": axis}
    return _case(case, not asks, {} if asks or extra is None else answer, axis=axis, extra=extra)


def _pillow_case(draw: st.DrawFn, case: Case) -> Case:
    compression = draw(st.sampled_from(["tiff_lzw", "packbits", "tiff_adobe_deflate", "zstd"]))
    return _case(case, compression=compression, predictor=draw(st.sampled_from([1, 2])))


def _tiffs_case(draw: st.DrawFn, case: Case) -> Case:
    return _names(draw, _grey(draw, case), ".tif")


def _pngs_case(draw: st.DrawFn, case: Case) -> Case:
    mode = draw(st.sampled_from(["L", "L", "LA", "RGB", "RGBA", "P"] if case.images.dtype.str[1:] == "u1" else ["L"]))
    even = any(np.ptp(image) == 0 for image in case.images)
    named = _names(draw, case, ".png")
    without = {} if mode == "L" else {"dark": 0, "darks": {}}
    return _case(named, mode in ("L", "LA", "P") or not even, mode=mode, **without)


def _names(draw: st.DrawFn, case: Case, suffix: str) -> Case:
    """Names that state the LED, by number or by place, or that merely follow each other."""
    geometry = Geometry(microscope=SCOPE, array=case.array)  # type: ignore[arg-type]
    board, count = geometry.array.board(), len(case.images)
    how = draw(st.sampled_from(["number", "padded", "x y", "row column", "bits", "coordinates", "decimals"]))
    before = draw(st.sampled_from(JUNK))
    after = draw(st.sampled_from(["", "", "_10ms", " a", "_2"]))
    first = draw(st.integers(0, 1))
    template = draw(
        st.sampled_from(
            ["x{x}_y{y}", "y{y}x{x}", "x_{x}_y_{y}", "x={x} y={y}"]
            if how in ("x y", "coordinates")
            else ["r{y}_c{x}", "C{x}R{y}", "col{x:02}_row{y:02}", "row-{y}_col-{x}"]
        )
    )
    middle_row, middle_column = (case.array["rows"] - 1) / 2, (case.array["columns"] - 1) / 2
    names = []
    for led, (row, column) in enumerate(board):
        if how in ("x y", "row column"):
            text = template.format(x=column + first, y=row + first)
        elif how == "coordinates":
            text = template.format(x=int(column - middle_column), y=int(middle_row - row))
        elif how == "bits" and count > 2:
            text = "0" * led + "1" + "0" * (count - led - 1)
        elif how == "decimals":
            text = f"{0.05 * led:g}"
        else:
            text = f"{led + first:05}" if how == "padded" else str(led + first)
        names.append(f"{before}{text}{after}{suffix}")
    unlike = len(set(names)) == count and (how != "coordinates" or (middle_row % 1 == 0 and middle_column % 1 == 0))
    plain = how in ("number", "padded") and before not in ("dark field ", "c1 ", "x_")
    if not unlike:
        names, plain = [f"led_{led}{suffix}" for led in range(count)], True
    times = draw_times(draw, count)
    suffix_of = [f"_{time:g}ms{suffix}" for time in times] if times else []
    dark, darks = 0, {}
    low = int(case.images.min()) if case.images.dtype.kind in "iu" else 0
    if not after and times and before != "dark field ":
        names = [name.removesuffix(suffix) + end for name, end in zip(names, suffix_of, strict=True)]
        if low > 1 and draw(st.booleans()) and case.options.get("photometric", "minisblack") == "minisblack":
            dark = low // 2
            darks = {f"dark_{time:g}ms{suffix}": dark for time in {*times, 500.0}}
    else:
        times = None
    numbered = bool(case.array.get("serpentine") or case.array.get("order"))
    return _case(
        case,
        plain,
        case.said,
        names=names,
        how=how if unlike else "number",
        numbered=numbered,
        times=times,
        dark=dark,
        darks=darks,
    )


def _mat_case(draw: st.DrawFn, case: Case) -> Case:
    count, (height, width) = len(case.images), case.images.shape[1:]
    led_first = count not in (height, width) and draw(st.booleans())
    options = {"compressed": draw(st.booleans()), "led_first": led_first}
    return _case(case, name=draw(st.sampled_from(["imlow_HDR", "I_low", "imlow", "I"])), **options)


_mat73_case = _mat_case


def _ptylab_case(draw: st.DrawFn, case: Case) -> Case:
    return _case(case, compression=draw(st.sampled_from([None, "gzip", "lzf"])), chunks=draw(st.booleans()))


# ------------------------------------------------------------------------------------ writing


def write_case(case: Case, folder: Path) -> Path:
    """Write a stack and return what is to be opened."""
    return globals()[f"_write_{case.container}"](case, folder)  # type: ignore[no-any-return]


def _ordered(case: Case) -> np.ndarray:
    return case.images.astype(case.images.dtype.newbyteorder(case.options["order"]))


def _tiff_options(case: Case) -> tuple[np.ndarray, dict[str, Any]]:
    images, wanted = case.images, case.options["photometric"]
    options: dict[str, Any] = {"photometric": wanted, "byteorder": case.options["order"]}
    options |= {"compression": case.options["compression"], "tile": case.options["tile"]}
    if case.options["predictor"]:
        options["predictor"] = True
    if wanted == "miniswhite":
        images = (case.options["white"] - images.astype(np.int64)).astype(images.dtype)
    if "palette" in wanted:
        ramp = np.arange(256, dtype=np.uint16) * 257
        options["photometric"] = "palette"
        options["colormap"] = np.stack([ramp[::-1] if wanted.startswith("falling") else ramp] * 3)
        images = 255 - images if wanted.startswith("falling") else images
    return images, options


def _write_tiff(case: Case, folder: Path) -> Path:
    images, options = _tiff_options(case)
    path = folder / "a.tif"
    if turned := case.options["turned"]:
        options["extratags"] = [(274, "H", 1, turned, False)]
        images = images[:, :: -1 if turned in (3, 4) else 1, :: -1 if turned in (2, 3) else 1]
    if options["photometric"] == "rgb":
        separate = case.options["separate"]
        images = np.stack([images] * 3, 1 if separate else -1)
        options["planarconfig"] = "separate" if separate else "contig"
    if case.options["facts"]:
        board = Geometry(microscope=SCOPE, array=case.array).array.board()  # type: ignore[arg-type]
        write_facts(path, images, options, case.options["facts"], case.options["stored"], board)
    elif case.options["one_by_one"]:
        with tifffile.TiffWriter(path, byteorder=options.pop("byteorder")) as tiff:
            for image in images:
                tiff.write(image, **options)
    else:
        tifffile.imwrite(path, images, **options)
    return path


def _write_ome(case: Case, folder: Path) -> Path:
    axis, extra, planes = (case.options[name] for name in ("axis", "extra", "planes"))
    path = folder / "a.ome.tif"
    images = case.images
    if case.options["photometric"] == "miniswhite":
        images = case.options["white"] - images
    if extra:
        images = np.stack([images[::-1], images], 1)
        planes = [2 * plane + place for plane in planes for place in (0, 1)]
    flat = images.reshape(-1, *images.shape[-2:])
    axes = f"{axis}{extra or ''}YX"
    byteorder = case.options["order"]
    tifffile.imwrite(
        path,
        flat[planes].reshape(images.shape),
        ome=True,
        metadata={"axes": axes},
        photometric=case.options["photometric"],
        byteorder=byteorder,
    )
    data = "".join(
        f'<TiffData First{axis}="{plane // (2 if extra else 1)}" '
        + (f'First{extra}="{plane % 2}" ' if extra else "")
        + f'IFD="{page}" PlaneCount="1"/>'
        for page, plane in enumerate(planes)
    )
    if case.options["times"]:
        unit = case.options["unit"]
        scale = {"s": 1e-3, None: 1e-3, "ms": 1.0, "µs": 1e3}[unit]
        for place, time in enumerate(case.options["times"]):
            for other in range(2 if extra else 1):
                where = {"T": 0, "C": 0, "Z": 0} | {axis: place} | ({extra: other} if extra else {})
                the = " ".join(f'The{name}="{at}"' for name, at in where.items())
                said = f' ExposureTimeUnit="{unit}"' if unit else ""
                # Of the planes that are not meant another exposure is stated.
                wrong = 3 if extra and other == 0 else 1
                data += f'<Plane {the} ExposureTime="{time * scale * wrong:.9g}"{said}/>'
    with tifffile.TiffFile(path) as tiff:
        header = str(tiff.ome_metadata)
    tifffile.tiffcomment(path, re.sub(r"<TiffData.*?(/>|</TiffData>)", data, header).encode())
    return path


def _write_imagej(case: Case, folder: Path) -> Path:
    axis, extra = case.options["axis"], case.options["extra"]
    images = case.images[None, None]
    if extra:
        images = np.stack([images[..., ::-1], images], 0)[:, 0]
    # To ImageJ's own order of axes: time, slice, channel.
    names = [extra or "", *(name for name in "TZC" if name not in (axis, extra)), axis]
    names = [name for name in names if name]
    images = images.reshape(
        [len(case.images) if n == axis else 2 if n == extra else 1 for n in names] + [*images.shape[-2:]]
    )
    moved = np.transpose(images, [names.index(name) for name in "TZC"] + [3, 4])
    tifffile.imwrite(folder / "a.tif", moved, imagej=True, metadata={"axes": "TZCYX"})
    return folder / "a.tif"


def _write_pillow(case: Case, folder: Path) -> Path:
    pages = [Image.fromarray(image) for image in case.images]
    pages[0].save(
        folder / "a.tif",
        save_all=True,
        append_images=pages[1:],
        compression=case.options["compression"],
        tiffinfo={317: case.options["predictor"]}
        if case.options["compression"] in ("tiff_lzw", "tiff_adobe_deflate")
        else {},
    )
    return folder / "a.tif"


def _write_tiffs(case: Case, folder: Path) -> Path:
    images, options = _tiff_options(case)
    if options["photometric"] == "rgb":
        images = np.stack([images] * 3, -1)
    for name, image in zip(case.options["names"], images, strict=True):
        tifffile.imwrite(folder / name, image, **options)
    for name, level in case.options["darks"].items():
        tifffile.imwrite(folder / name, np.full_like(images[0], level), **options)
    return folder


def _write_pngs(case: Case, folder: Path) -> Path:
    mode = case.options["mode"]
    for name, image in zip(case.options["names"], case.images, strict=True):
        if mode in ("LA", "RGB", "RGBA"):
            parts = [image] * (1 if mode == "LA" else 3) + [np.full_like(image, 255)] * mode.endswith("A")
            made = Image.fromarray(np.stack(parts, -1))
        elif mode == "P":
            made = Image.frombytes("P", image.shape[::-1], (255 - image).tobytes())
            made.putpalette(np.repeat(np.arange(255, -1, -1), 3).astype(np.uint8).tobytes())
        else:
            made = Image.fromarray(image)
        made.save(folder / name)
    for name, level in case.options["darks"].items():
        Image.fromarray(np.full_like(case.images[0], level)).save(folder / name)
    return folder


def _stored(case: Case) -> np.ndarray:
    return _ordered(case) if case.options["led_first"] else np.moveaxis(_ordered(case), 0, 2)


def _write_mat(case: Case, folder: Path) -> Path:
    scipy.io.savemat(folder / "a.mat", {case.options["name"]: _stored(case)}, do_compression=case.options["compressed"])
    return folder / "a.mat"


def _write_mat73(case: Case, folder: Path) -> Path:
    path = folder / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        options = {"compression": "gzip"} if case.options["compressed"] else {}
        file.create_dataset(case.options["name"], data=_stored(case).T, **options)
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: today".ljust(124) + b"\x00\x02IM")
    return path


def _write_ptylab(case: Case, folder: Path) -> Path:
    geometry = Geometry(microscope=SCOPE, array=case.array)  # type: ignore[arg-type]
    with h5py.File(folder / "a.hdf5", "w") as file:
        options: dict[str, Any] = {"compression": case.options["compression"]} if case.options["compression"] else {}
        if case.options["chunks"]:
            options["chunks"] = (1, *case.images.shape[1:])
        file.create_dataset("ptychogram", data=_ordered(case), **options)
        places = np.array(geometry.array.board(), dtype=float) * 4e-3
        scalars = {"wavelength": 5e-7, "dxd": 4e-6, "zled": 0.09, "magnification": 2.0, "NA": 0.1}
        for name, value in ({"encoder": places} | scalars).items():
            file[name] = value
    return folder / "a.hdf5"
