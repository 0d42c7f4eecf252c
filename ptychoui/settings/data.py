"""Where the data are, what their images hold, and how a stack is reconstructed."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ptychoui.settings.base import QUIET, Settings


class Images(Settings):
    """What a user says of the images of a data file; left out: what the file says, or the custom of its layout."""

    led_axis: str | None = Field(
        None,
        pattern=r"^(first|last|pages|[A-Z0-9]{1,4})$",
        description="axis of the LEDs: first or last of a .mat file; of a TIFF the letter that its header gives it "
        "(T, Z, C, ...), several where rows and columns of LEDs are axes of their own, the slowest first, or pages to "
        "take the pages as they are stored",
    )
    indices: dict[str, Annotated[int, Field(ge=0)]] | None = Field(
        None, description="place, from 0, on every other axis of a TIFF whose images are meant: indices = {C = 0}"
    )
    bit_depth: int | None = Field(
        None, ge=1, le=32, description="bits that the camera used, where a TIFF stores white as 0"
    )
    values: Literal["intensity", "amplitude"] | None = Field(
        None, description="what a pixel holds: intensity or amplitude (squared when it is read)"
    )
    dark_level: float | None = Field(
        None, gt=-1e9, lt=1e9, description="value of a dark pixel in the file's unit, subtracted"
    )
    exposures: tuple[float, ...] | None = Field(
        None, description="exposure of each image in any unit, in the order of the images; divided out"
    )
    gains: tuple[float, ...] | None = Field(
        None, description="measured brightness of the LED of each image, in the order of the images; divided out"
    )
    stray: tuple[float, ...] | None = Field(
        None, description="measured stray light of each image in units of the open field, subtracted"
    )
    bayer: Literal["RGGB", "BGGR", "GRBG", "GBRG"] | None = Field(
        None, description="colours of the first two pixels of the first row and of the second: RGGB, BGGR, GRBG, GBRG"
    )
    colour: Literal["red", "green", "blue"] | None = Field(
        None, description="colour whose pixels are picked from a Bayer pattern: red, green or blue"
    )

    @model_validator(mode="after")
    def _colour_of_a_pattern(self) -> Self:
        if (self.bayer is None) != (self.colour is None):
            raise ValueError("bayer and colour belong together: state both")
        return self


class DataSource(Settings):
    """Where the objects come from."""

    path: str = Field("sample:objects", description="a file or folder, or sample:objects / sample:stack")
    geometry: str | None = Field(None, description="TOML file with [microscope] and [array], whole or in part")
    images: Images | None = Field(
        None,
        description="what is said of the images; camera_pixel_um of the experiment's geometry is that of picked pixels",
    )
    tile_px: int = Field(32, ge=8, le=4096, description="edge of a training tile in camera pixels")
    pad_px: int = Field(8, ge=0, le=512, description="simulated border around a tile, in camera pixels")
    tiles: int = Field(24, ge=1, le=100_000, description="tiles cut from a measured stack")
    region: (
        tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)], Annotated[int, Field(ge=16, le=2048)]] | None
    ) = Field(
        None,
        description="first row, first column and edge of the square of a measured stack that is learned from and "
        "scored, in camera pixels (default: the middle, up to 256 pixels)",
        json_schema_extra=QUIET,
    )


class Reconstruct(Settings):
    """How a stack of single-LED images becomes an object."""

    passes: int = Field(20, ge=1, le=10_000, description="passes over all images")
    sequential_passes: int = Field(1, ge=0, le=1000, description="of these, first passes that go LED by LED")
    pupil: Literal["fixed", "zernike", "free"] = Field(
        "zernike", description="the geometry's pupil, Zernike terms beside it, or any pupil inside the aperture"
    )
    zernike_terms: int = Field(15, ge=4, le=66, description="last of the fitted Zernike terms, by Noll's index from 4")
    gain: bool = Field(True, description="fit the brightness of every LED")
    background: bool = Field(True, description="fit the stray light of every image")
    stop_below: float = Field(0.0, ge=0, lt=1, description="stop when a pass lowers the residual by a smaller share")
    pad_px: int | None = Field(
        None, ge=0, le=256, description="free border around the images, in camera pixels (default: the blur's reach)"
    )
    upsampling: int | None = Field(
        None, ge=1, le=64, description="object pixels per camera pixel (default: what the synthetic aperture needs)"
    )
    variance_floor: float = Field(
        1e-5, gt=0, le=1, description="constant under the square roots, in units of the open field"
    )
    smoothness: float | None = Field(
        None,
        ge=0,
        le=1e4,
        description="strength of the smooth prior of coded images, in units of the brightest LED's light; 0: none "
        "(default: pixels left out of the fit choose it)",
    )
