"""Tables of LEDs as people have them: columns by name and unit, separators, decimal commas, encodings, and heights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from ptychoui.data.formats.geometry_file import read_geometry
from ptychoui.data.formats.led_table import read_led_table
from ptychoui.data.formats.open import open_dataset
from ptychoui.errors import DataError, LedTableError
from ptychoui.settings import Geometry, read_toml

X_MM = np.array([-4.5, 0.0, 4.25, -4.5, 0.0, 4.25])
Y_MM = np.array([2.5, 2.5, 2.5, -2.5, -2.5, -2.5])
NUMBERS = (7, 3, 12, 1, 0, 22)
BRIGHTNESS = (1.0, 0.9, 0.8, 1.1, 1.2, 0.7)


def table(
    header: str,
    separator: str = ",",
    scale: float = 1.0,
    decimal: str = ".",
    number: str = "{}",
    columns: str = "nxy",
    z: Any = 0.0,
) -> str:
    """Text of the LEDs above; ``columns`` are n, x, y, z and b for brightness."""
    lines = [header]
    for place in range(6):
        height = z if np.isscalar(z) else z[place]
        values = {
            "n": number.format(NUMBERS[place]),
            "x": f"{X_MM[place] * scale:.10g}".replace(".", decimal),
            "y": f"{Y_MM[place] * scale:.10g}".replace(".", decimal),
            "z": f"{height * scale:.10g}".replace(".", decimal),
            "b": f"{BRIGHTNESS[place]}".replace(".", decimal),
        }
        lines.append(separator.join(values[name] for name in columns))
    return "\n".join(line for line in lines if line) + "\n"


CASES: dict[str, str | bytes] = {
    "as documented": table("number,x_mm,y_mm"),
    "brightness is no z": table("number,x_mm,y_mm,brightness", columns="nxyb"),
    "brightness first": table("brightness;y_mm;x_mm;number", ";", columns="byxn"),
    "um": table("number,x_um,y_um", scale=1e3),
    "micro sign": table("number,x_µm,y_µm", scale=1e3),
    "micro sign in latin-1": table("number,x [µm],y [µm]", scale=1e3).encode("latin-1"),
    "cm in brackets": table("LED,x [cm],y [cm]", scale=0.1),
    "m after a stroke": table("id,x/m,y/m", scale=1e-3),
    "inch": table("LED no.,X (inch),Y (inch)", scale=1 / 25.4),
    "in mm": table("LED number,x in mm,y in mm"),
    "inches in brackets": table("LED,x [in],y [in]", scale=1 / 25.4),
    "German spreadsheet": table("Nummer;x_mm;y_mm", ";", decimal=","),
    "German positions": table("LED-Nr.;X-Position [mm];Y-Position [mm]", ";", decimal=","),
    "tabs and commas": table("index\tx\ty", "\t", decimal=","),
    "blanks and commas": table("n x y", "   ", decimal=","),
    "header with commas, lines with semicolons": table("number,x_mm,y_mm", ";", decimal=","),
    "header with commas and blanks": table("number, x mm, y mm", ", "),
    "unit of one column": table("number,x_um,y", scale=1e3),
    "units in a line": table("number,x,y\n,um,um", scale=1e3),
    "units in brackets in a line": table("number;x;y\n;[cm];[cm]", ";", 0.1, ","),
    "byte order mark": b"\xef\xbb\xbf" + table("number,x_mm,y_mm").encode(),
    "UTF-16": table("number\tx_µm\ty_µm", "\t", 1e3).encode("utf-16"),
    "UTF-16 without a mark": table("number,x_mm,y_mm").encode("utf-16-le"),
    "big-endian UTF-16": b"\xfe\xff" + table("number,x_mm,y_mm").encode("utf-16-be"),
    "quoted": "\n".join(f'"{line}"' for line in table('number","x_mm","y_mm', '","').splitlines()),
    "quoted decimal commas": "\n".join(
        f'"{line}"' for line in table('number","x_mm","y_mm', '","', decimal=",").splitlines()
    ),
    "comment lines": "# made by hand\n% 2024\n// board 3\n" + table("number,x_mm,y_mm"),
    "comment within": table("number,x_mm,y_mm").replace("\n", "\n# half\n", 3),
    "header of numpy": "# measured\n" + table("# number x_mm y_mm", " "),
    "number sign as a name": table("#;x;y", ";"),
    "sep line": "sep=;\n" + table("number;x_mm;y_mm", ";", decimal=","),
    "carriage returns": table("number,x_mm,y_mm").replace("\n", "\r\n"),
    "blank lines": "\n\n" + table("number,x_mm,y_mm").replace("\n", "\n\n"),
    "named LEDs": table("LED,x_mm,y_mm", number="LED {}"),
    "numbers of a spreadsheet": table("number,x_mm,y_mm", number="{}.0"),
    "other order": table("y_mm,number,x_mm", columns="ynx"),
    "colour and remarks": "number,colour,x_mm,y_mm,remark\n"
    + "\n".join(f"{n},red,{x},{y},ok" for n, x, y in zip(NUMBERS, X_MM, Y_MM, strict=True)),
    "unicode minus": table("number,x_mm,y_mm").replace("-", "\N{MINUS SIGN}"),
    "trailing separators": table("number,x_mm,y_mm").replace("\n", ",,\n").replace("y_mm,,", "y_mm", 1),
}


@pytest.mark.parametrize("case", CASES)
def test_columns_by_name_and_unit(case: str, tmp_path: Path) -> None:
    content = CASES[case]
    path = tmp_path / "leds.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    leds, _ = read_led_table(path)
    assert leds.numbers == NUMBERS
    assert leds.positions_mm is not None and leds.height_mm is None
    np.testing.assert_allclose(leds.positions_mm, np.column_stack([X_MM, Y_MM, np.zeros(6)]), atol=1e-9)
    with pytest.raises(LedTableError, match="is a table of LED positions, not images"):
        open_dataset(path)


def notes_of(path: Path) -> str:
    return "; ".join(read_led_table(path)[0].notes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CASES["brightness is no z"], "the column brightness of leds.csv was not used: .* as gains in [images]"),
        (CASES["colour and remarks"], "the columns colour, remark of leds.csv were not used"),
        (CASES["tabs and commas"], "states no unit for x, y: taken as mm"),
        (CASES["unit of one column"], "states no unit for y: taken as um, as the other columns"),
        (table("x_mm,y_mm", columns="xy"), "has no column of LED numbers: they are counted from 0"),
        (table("", columns="xy"), "has no header: its columns were taken as x, y in mm"),
        (table("", columns="xyz", z=[0, 0, 0, 1, 1, 1]), "has no header: its columns were taken as x, y, z in mm"),
        (table("number,x_mm,y_mm,z_mm", columns="nxyz", z=80.0), "z = 80 mm: taken as their distance"),
        (table("number,x_mm,y_mm,na_x,na_y", columns="nxybb"), "the columns na_x, na_y of leds.csv were not used"),
    ],
)
def test_what_was_assumed_or_not_used_is_said(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "leds.csv").write_text(text)
    for part in words.split(" .* "):
        assert part in notes_of(tmp_path / "leds.csv")


def test_tables_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "leds.txt"
    path.write_text(table("", ";", decimal=",", columns="xy"))
    found = read_led_table(path)[0]
    assert found.positions_mm is not None and found.numbers is None
    np.testing.assert_allclose(found.positions_mm[:, :2], np.column_stack([X_MM, Y_MM]))
    counted = "\n".join(f"{n} {x} {y}" for n, (x, y) in enumerate(zip(X_MM, Y_MM, strict=True), 1))
    path.write_text(counted)
    found = read_led_table(path)[0]
    assert found.numbers == (1, 2, 3, 4, 5, 6)
    np.testing.assert_allclose(found.positions_mm, np.column_stack([X_MM, Y_MM, np.zeros(6)]))


@pytest.mark.parametrize(
    ("header", "columns"), [("number,na_x,na_y", "nxy"), ("led;NA y;NA x", "nyx"), ("number\tnax\tnay", "nxy")]
)
def test_directions_in_columns(header: str, columns: str, tmp_path: Path) -> None:
    separator = next(mark for mark in ",;\t" if mark in header)
    (tmp_path / "leds.csv").write_text(table(header, separator, 0.1, columns=columns))
    found = read_led_table(tmp_path / "leds.csv")[0]
    assert found.positions_mm is None and found.numbers == NUMBERS
    np.testing.assert_allclose(found.directions, np.column_stack([X_MM, Y_MM]) * 0.1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b,c\n1,2,3\nq,w,e\n", "no line names columns x and y (write the columns into the first line"),
        ("", "is empty, not a table of LED positions (write the columns into the first line"),
        ("1,2,3,4\n2,3,4,5\n", "no line names columns x and y"),
        ("index_x,index_y\n1,2\n", "no line names columns x and y"),
        ("number,x_px,y_px\n1,2,3\n", "the column x_px is in px, which is no unit of a place (state places in um"),
        ("number,x_deg,y_deg\n1,2,3\n", "is in deg, which is no unit of a place"),
        ("number,x_mm,x_um,y_mm\n1,2,3,4\n", "two columns of leds.csv hold the x: x_mm and x_um"),
        ("led,id,x_mm,y_mm\n1,2,3,4\n", "two columns of leds.csv hold the LED's number: led and id"),
        ("number,x_mm,y_mm\n1,4,0,2,5\n", "line 2 has 5 values, the header names 3 columns (use semicolons or tabs"),
        ("number;x_mm;y_mm\n1;1,5;2,5\n2;1.234,5;3,5\n", "line 3 holds something that is not a number"),
        ("number;x_mm;y_mm\n1;1,5;2.5\n", "decimals with a point (2.5) and with a comma (1,5)"),
        ("number,x_mm,y_mm\n1,,2\n", "line 2 holds nothing"),
        ("number,x_mm,y_mm\nA1,1,2\n", "'A1' is not an LED number"),
        (table("number,x,y", scale=1e3), "states no unit, and LEDs up to 4500 mm from the axis are hardly meant"),
        (table("number,x,y", scale=1e-3), "states no unit, and LEDs up to 0.0045 mm from the axis"),
        ("number,x_mm,y_mm,height_mm\n1,2,3,80\n2,3,4,81\n", "the heights of the LEDs differ"),
        ("number,x_mm,y_mm,distance_mm\n1,2,3,80\n2,3,4,0\n", "a distance is not above 0 mm"),
    ],
)
def test_one_sentence_where_a_table_cannot_be_read(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "leds.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        read_led_table(tmp_path / "leds.csv")
    assert words in str(caught.value) and "\n" not in str(caught.value)
    (tmp_path / "leds.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\x01")
    with pytest.raises(DataError, match="is no text"):
        read_led_table(tmp_path / "leds.csv")


@pytest.mark.parametrize(
    ("comment", "scale"),
    {
        "# units: um": 1e3,
        "# all in cm": 0.1,
        "% Units are [µm]": 1e3,
        "## Unit = inches, Angle = deg.": 1 / 25.4,
        "// positions of the LEDs in micrometers": 1e3,
        "# unit mm": 1.0,
        "# all LEDs in the dark": 1.0,
    }.items(),
)
def test_a_comment_states_the_unit_where_no_column_does(comment: str, scale: float, tmp_path: Path) -> None:
    path = tmp_path / "leds.csv"
    for text in (
        f"{comment}\n" + table("number,x,y", scale=scale),
        table("number,x,y", scale=scale).replace("\n", f"\n{comment}\n", 1),
        f"{comment}\n" + table("", columns="xy", scale=scale),
        f"{comment}\n" + table("number,x_mm,y_mm"),  # columns win
    ):
        path.write_text(text)
        places = read_led_table(path)[0].positions_mm
        assert places is not None
        np.testing.assert_allclose(places[:, :2], np.column_stack([X_MM, Y_MM]))


@pytest.mark.parametrize(
    ("comments", "words"),
    [("# units: px\n", "a comment states px"), ("# units: um\n# all in cm\n", "state several units: cm, um")],
)
def test_comments_whose_unit_cannot_be_used_are_refused(comments: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "leds.csv").write_text(comments + table("number,x,y"))
    with pytest.raises(DataError, match=words):
        read_led_table(tmp_path / "leds.csv")


def json_table(path: Path, scale: float = 1.0, **more: Any) -> Path:
    """The LEDs above, 80 mm from the sample."""
    places = {str(n): [x * scale, y * scale, 80.0 * scale] for n, (x, y) in enumerate(zip(X_MM, Y_MM, strict=True))}
    path.write_text(json.dumps({"led_position_list_cartesian": places} | more))
    return path


@pytest.mark.parametrize(
    ("member", "unit", "scale"),
    [("units", "m", 1e-3), ("units", "cm", 0.1), ("unit", "µm", 1e3), ("units", "Inch", 1 / 25.4), ("units", "mm", 1)],
)
def test_json_states_its_unit(member: str, unit: str, scale: float, tmp_path: Path) -> None:
    found, said = read_led_table(json_table(tmp_path / "leds.json", scale, **{member: unit}))
    assert found.positions_mm is not None and found.height_mm == pytest.approx(80)
    np.testing.assert_allclose(found.positions_mm, np.column_stack([X_MM, Y_MM, np.zeros(6)]), atol=1e-9)
    assert f"in {unit.lower().replace('µ', 'u')}," in said


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"units": "px"}, "'px' is no unit of a place"),
        ({"units": ["mm"]}, "is no unit of a place"),
        ({"units": "furlong"}, "'furlong' is no unit"),
        ({"scale": 1e-3}, "LEDs up to 0.0045 mm from the axis are hardly meant"),
        ({"scale": 1e3}, "LEDs up to 4500 mm from the axis are hardly meant"),
        ({"units": "m"}, "LEDs up to 4500 mm from the axis are hardly meant"),
    ],
)
def test_json_in_units_that_no_array_has_is_refused(more: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_led_table(json_table(tmp_path / "leds.json", **more))
    assert words in str(caught.value) and caught.value.hint


@pytest.mark.parametrize("member", ["number", "index", "led_index"])
def test_entries_of_a_json_list_have_their_own_numbers(member: str, tmp_path: Path) -> None:
    rows = [{member: n, "x": x, "y": y, "z": 0} for n, x, y in zip(NUMBERS, X_MM, Y_MM, strict=True)]
    path = tmp_path / "leds.json"
    path.write_text(json.dumps({"led_list": rows}))
    found = read_led_table(path)[0]
    assert found.numbers == tuple(sorted(NUMBERS)) and found.positions_mm is not None
    for number, place in zip(found.numbers, found.positions_mm, strict=True):
        assert place[:2].tolist() == [X_MM[NUMBERS.index(number)], Y_MM[NUMBERS.index(number)]]
    assert "were brought into the order of their numbers" in notes_of(path)
    for wrong, words in ((None, "has no whole number"), (7, "LED 7 is listed twice"), (True, "has no whole number")):
        path.write_text(json.dumps({"led_list": [*rows[:5], rows[5] | {member: wrong}]}))
        with pytest.raises(DataError, match=words):
            read_led_table(path)


def test_directions_that_contradict_the_positions_are_said(tmp_path: Path) -> None:
    distance = np.sqrt(X_MM**2 + Y_MM**2 + 80.0**2)
    right = {str(n): [round(X_MM[n] / distance[n], 3), round(Y_MM[n] / distance[n], 3)] for n in range(6)}
    path = tmp_path / "leds.json"
    assert "contradicts" not in notes_of(json_table(path, led_position_list_na=right))
    mirrored = {n: [-x, y] for n, (x, y) in right.items()}
    assert "contradicts the positions, by 0.11 for LED 0" in notes_of(json_table(path, led_position_list_na=mirrored))
    other = {n: right[n] for n in list(right)[:4]}
    assert "lists other LEDs than the positions" in notes_of(json_table(path, led_position_list_na=other))


THOUSANDS = {
    "quoted": ('number,x_um,y_um\n0,"-8,000","8,000"\n1,0,"4,000"\n', "whether -8,000 is -8000 or -8.0"),
    "semicolons": ("number;x_um;y_um\n0;-8,000;8,000\n1;0;4,000\n", "whether -8,000 is -8000 or -8.0"),
    "points": ("number;x_um;y_um\n0;-8.000;8.000\n1;0;4.000\n", "whether -8.000 is -8000 or -8.0"),
    "beside small ones": ("number;x_um;y_um\n0;-500;0\n1;500;1,000\n", "whether 1,000 is 1000 or 1.0"),
    "distance": ("number;x_um;y_um;distance_um\n0;0;0;90,000\n1;4000;0;90,000\n", "whether 90,000 is 90000"),
    "inch as mil": ("number,x_mil,y_mil\n0,0.1,0.2\n1,1.2,0.3\n", "LEDs up to 0.03048 mm from the axis"),
    "m as mm": ("number,x_m,y_m\n0,-8,8\n1,0,4\n", "LEDs up to 8000 mm from the axis"),
}


@pytest.mark.parametrize("case", THOUSANDS)
def test_separators_of_thousands_and_units_that_no_array_has_are_refused(case: str, tmp_path: Path) -> None:
    text, words = THOUSANDS[case]
    (tmp_path / "leds.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        read_led_table(tmp_path / "leds.csv")
    assert words in str(caught.value) and "8000 or 8.0" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["number,x_mm,y_mm\n0,-8.000,8.000\n1,4.000,4.000\n", "x;y\n-8,000;8,000\n4,000;4,000\n"]
)
def test_three_decimals_of_millimetres_are_no_thousands(text: str, tmp_path: Path) -> None:
    (tmp_path / "leds.csv").write_text(text)
    places = read_led_table(tmp_path / "leds.csv")[0].positions_mm
    assert places is not None and places[:, :2].tolist() == [[-8, 8], [4, 4]]


SCOPE = "[microscope]\nwavelength_um = 0.63\nobjective_na = 0.1\nmagnification = 2.0\ncamera_pixel_um = 3.69\n"


@pytest.mark.parametrize(
    ("header", "z", "places"),
    [
        ("number,x_mm,y_mm,z_mm", 80.0, 0.0),
        ("number,x_mm,y_mm,z_mm", -80.0, 0.0),
        ("number,x_mm,y_mm,distance_mm", 80.0, 0.0),
        ("number,x_mm,y_mm,height_mm", 80.0, 0.0),
        ("number,x_mm,y_mm,z_mm", [-80.0, -80, -79, -78, -78, -80], [0.0, 0, 1, 2, 2, 0]),
        ("number,x_mm,y_mm,distance_mm", [80.0, 80, 79, 78, 78, 80], [0.0, 0, 1, 2, 2, 0]),
    ],
)
def test_heights_of_table_and_geometry(header: str, z: Any, places: Any, tmp_path: Path) -> None:
    (tmp_path / "leds.csv").write_text(table(header, columns="nxyz", z=z))
    images = np.random.default_rng(0).integers(100, 1000, (6, 8, 10)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "s.tif", images, photometric="minisblack")
    for line, height in (("", 80.0), ("height_mm = 80.0\n", 80.0), ("height_mm = 75.0\n", 75.0)):
        (tmp_path / "g.toml").write_text(f'{SCOPE}[array]\npositions_file = "leds.csv"\n{line}')
        read = open_dataset(tmp_path / "s.tif", tmp_path / "g.toml")
        assert read.geometry is not None and read.geometry.array.height_mm == height
        np.testing.assert_allclose(np.array(read.geometry.array.positions_mm)[:, 2], places, atol=1e-9)
        told = "the height of the LEDs is 75 mm in the geometry and 80 mm in the table of LEDs"
        assert any(told in note for note in read.provenance.notes) == (height == 75.0)


def test_z_above_the_plane_stays(tmp_path: Path) -> None:
    (tmp_path / "leds.csv").write_text(table("number,x_mm,y_mm,z_um", columns="nxyz", z=[0.0, 0, 1, 2, 2, 0], scale=1))
    found = read_led_table(tmp_path / "leds.csv")[0]
    assert found.height_mm is None and not found.notes
    np.testing.assert_allclose(found.positions_mm[:, 2], [0, 0, 1e-3, 2e-3, 2e-3, 0])  # type: ignore[index]


def test_what_a_table_says_arrives_with_the_data(tmp_path: Path) -> None:
    (tmp_path / "leds.csv").write_text(CASES["brightness is no z"])  # type: ignore[arg-type]
    (tmp_path / "g.toml").write_text(f'{SCOPE}[array]\npositions_file = "leds.csv"\nheight_mm = 80.0\n')
    images = np.random.default_rng(0).integers(100, 1000, (6, 8, 10)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "s.tif", images, photometric="minisblack")
    whole = read_geometry(tmp_path / "g.toml")
    assert isinstance(whole, Geometry)
    read = open_dataset(tmp_path / "s.tif", tmp_path / "g.toml")
    assert read.geometry == whole
    assert sum("brightness of leds.csv was not used" in note for note in read.provenance.notes) == 1
    (tmp_path / "g.toml").rename(tmp_path / "s.geometry.toml")
    notes = open_dataset(tmp_path / "s.tif").provenance.notes
    assert sum("brightness of leds.csv was not used" in note for note in notes) == 1


# ---------------------------------------------------------------------------------- geometry files


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_toml_in_the_encodings_of_editors(encoding: str, end: str, tmp_path: Path) -> None:
    text = '# Höhe in mm, Pixel in µm\n[array]\npositions_file = "Präparat.csv"\nheight_mm = 80.0\n'
    (tmp_path / "g.toml").write_bytes(text.replace("\n", end).encode(encoding))
    assert read_toml(tmp_path / "g.toml") == {"array": {"positions_file": "Präparat.csv", "height_mm": 80.0}}


# ---------------------------------------------------------------------------------- any table

UNITS_MM = {"um": 1e-3, "µm": 1e-3, "mm": 1.0, "cm": 10.0, "m": 1e3, "inch": 25.4}
STYLES = ("{0}_{1}", "{0} [{1}]", "{0} ({1})", "{0}/{1}", "{0} in {1}", "{0}-position [{1}]", "LED {0} ({1})")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1")


@pytest.mark.parametrize("seed", range(60))
def test_any_table_comes_back_or_is_refused(seed: int, tmp_path: Path) -> None:
    """Separators, decimals, units, names, orders of columns, quotes, comments and encodings at random."""
    rng = np.random.default_rng(seed)

    def one_of(choices: Any) -> Any:
        return choices[rng.integers(len(choices))]

    separator = one_of([",", ";", "\t", " "])
    decimal = "." if separator == "," else one_of([".", ","])
    count = int(rng.integers(1, 30))
    numbers = rng.choice(1000, count, replace=False)
    values = np.round(rng.uniform(-80, 80, (count, 2)), 3)
    values[0] = 77.125, -3.5  # not all within half a millimetre
    unit = one_of(list(UNITS_MM))
    style = one_of(STYLES[:1] if separator == " " else STYLES)
    columns = {
        "x": style.format("x", unit),
        "y": style.format("Y", unit),
        "n": one_of(["number", "Nummer", "id", "LED"]),
    }
    columns |= {"b": "brightness", "t": "remark"}
    order = [str(name) for name in rng.permutation(list(columns))[: len(columns)]]
    quote = '"' if rng.random() < 0.3 else ""

    def line(cells: dict[str, str]) -> str:
        return separator.join(f"{quote}{cells[name]}{quote}" for name in order)

    lines = ["# a comment, of somebody"] * int(rng.integers(0, 3)) + [line(columns)]
    for number, (x, y) in zip(numbers, values / UNITS_MM[unit], strict=True):
        x_text, y_text = (f"{value:.9g}".replace(".", decimal) for value in (x, y))
        lines.append(line({"n": str(number), "x": x_text, "y": y_text, "b": f"0{decimal}5", "t": "ok"}))
    (tmp_path / "t.csv").write_bytes(one_of(["\n", "\r\n"]).join(lines).encode(one_of(ENCODINGS)))
    leds, _ = read_led_table(tmp_path / "t.csv")
    assert leds.numbers == tuple(numbers.tolist())
    assert leds.positions_mm is not None
    np.testing.assert_allclose(leds.positions_mm[:, :2], values, atol=1e-6)
    assert not leds.positions_mm[:, 2].any() and any("brightness" in note and "remark" in note for note in leds.notes)


def test_damaged_tables_end_in_a_table_or_a_sentence(tmp_path: Path) -> None:
    wholes = [case if isinstance(case, bytes) else case.encode() for case in CASES.values()]
    for seed in range(150):
        rng = np.random.default_rng(seed)
        raw = bytearray(wholes[seed % len(wholes)])
        for _ in range(rng.integers(1, 6)):
            place = int(rng.integers(len(raw)))
            if rng.random() < 0.5:
                raw[place] = rng.integers(256)
            else:
                raw[place:place] = [b",", b";", b"\n", b'"', b"#", b"nan", b"1e400", b"\xff\xfe"][rng.integers(8)]
        (tmp_path / "t.csv").write_bytes(bytes(raw))
        try:
            leds, _ = read_led_table(tmp_path / "t.csv")
            assert len(leds) > 0
        except DataError as error:
            assert error.message and "\n" not in str(error)
