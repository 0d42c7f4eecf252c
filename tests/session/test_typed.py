"""Numbers as people type them, as one table: what is meant, or that nothing is guessed."""

from __future__ import annotations

import random

import pytest

from ptychoui.errors import SettingsError
from ptychoui.session.typed import is_number, typed_count, typed_counts, typed_number, typed_numbers

NUMBERS = {
    "4.8": 4.8,
    "4,8": 4.8,
    " 4,8 ": 4.8,
    "\t4.8\n": 4.8,
    "4,8 mm": 4.8,
    "4,8mm": 4.8,
    "4.8 mm mm": 4.8,  # pasted with its unit into a field that shows one
    "-4,8": -4.8,
    "+4,8": 4.8,
    "\u22124,8": -4.8,  # minus
    "\uff0d4.8": -4.8,  # full-width
    "\u20134.8": -4.8,  # en dash, as text programs make of a hyphen
    "\u2212 4,8\u00a0mm": -4.8,
    "1e-3": 1e-3,
    "1,5E-3": 1.5e-3,
    "1e\u22123": 1e-3,
    ".5": 0.5,
    ",5": 0.5,
    "5,": 5.0,
    "007": 7.0,
    "0,123456789": 0.123456789,
    "1,234": 1.234,  # a comma is decimal, always
    "1.234": 1.234,
    "\uff14\uff0c\uff18": 4.8,  # full-width
    "\u0664\u066b\u0668": 4.8,  # Arabic-Indic
    "\u200e4,8\u200f": 4.8,  # marks of writing direction
}
REFUSED = (
    "1,234.5",
    "1.234,5",
    "1 234",
    "1'234",
    "1\u2019234",
    "1\u00a0234",
    "1\u202f234",
    "1\u2009234,5",
    "1_234",
    "1,234,567",
    "1.234.567",
    "1\u066c234",
    "12,34,567.8",
    "4,8,",
    "4..8",
    "4.8 2",
    "4.8 cm",
    "4.8 \u00b5m",
    "",
    " ",
    "mm",
    "-",
    "e5",
    "1e",
    "1e5,5",
    "4\u00b2",
    "\u00bd",
    "0x10",
    "nan",
    "inf",
    "-Infinity",
    "1e999",
    "4,8;9",
    "--4",
    "4-8",
    "four",
)


@pytest.mark.parametrize("text", NUMBERS)
def test_a_point_and_a_comma_are_decimal(text: str) -> None:
    assert typed_number(text, "mm") == NUMBERS[text] and is_number(text.replace("mm", ""))


@pytest.mark.parametrize("text", REFUSED)
def test_what_may_mean_something_else_is_refused(text: str) -> None:
    with pytest.raises(SettingsError) as error:
        typed_number(text, "mm")
    assert error.value.hint
    for parse in (typed_count, typed_number):
        with pytest.raises(SettingsError):
            parse(text)


def test_a_number_with_a_unit_of_another_length_is_not_taken_for_the_fields_own() -> None:
    with pytest.raises(SettingsError, match="not in the unit") as error:
        typed_number("4.8 cm", "mm")
    assert "mm" in error.value.hint


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("0.53 um", "µm", 0.53),
        ("0,53 μm", "µm", 0.53),  # the Greek letter
        ("4x", "×", 4.0),
        ("3 deg", "°", 3.0),
        ("1e3 e-", "e⁻", 1000.0),
        ("1e-3", "e⁻", 1e-3),
        ("5e-", "e⁻", 5.0),
    ],
)
def test_a_unit_can_be_written_in_several_ways(text: str, unit: str, value: float) -> None:
    assert typed_number(text, unit) == value


def test_all_numbers_are_read_back_as_they_were_written() -> None:
    chance = random.Random(3)
    for _ in range(2000):
        value = chance.choice((-1, 1)) * 10 ** chance.uniform(-12, 12)
        for text in (repr(value), f"{value:.3f}", f"{value:e}"):
            assert typed_number(text) == typed_number(text.replace(".", ",")) == float(text)


@pytest.mark.parametrize(
    ("text", "value"), {"12": 12, "-3": -3, "12 px": 12, "\u22123": -3, "1e3": 1000, "12.": 12}.items()
)
def test_whole_numbers(text: str, value: int) -> None:
    assert typed_count(text, "px") == value


@pytest.mark.parametrize("text", ["1,234", "1.234", "12.0", "12,5", "1 234", "1.5e0", "", "12 mm"])
def test_what_is_not_whole_or_has_thousands(text: str) -> None:
    with pytest.raises(SettingsError):
        typed_count(text, "px")


LISTS = {
    "0; 4,5; 9": (0, 4.5, 9),
    "0;4,5;9": (0, 4.5, 9),
    "0; 4.5; 9;": (0, 4.5, 9),
    "0, 4, 9": (0, 4, 9),
    "0, 4.5, 9": (0, 4.5, 9),
    "0,4.5,9": (0, 4.5, 9),
    "0 4,5 9": (0, 4.5, 9),
    "0 4.5 9": (0, 4.5, 9),
    "[0, 4, 9]": (0, 4, 9),
    "0 , 4 , 9": (0, 4, 9),
    "7": (7,),
    "4,5;": (4.5,),
    "": (),
    "0; \u22124,5; 1e-3": (0, -4.5, 1e-3),
    "0\uff1b4\uff0c5": (0, 4.5),
}


@pytest.mark.parametrize("text", LISTS)
def test_lists(text: str) -> None:
    assert typed_numbers(text) == LISTS[text]


@pytest.mark.parametrize(
    "text",
    ["0,4,5,9", "0,4,9", "4,5", "0, 4,5, 9", "0 ,4 9", "0.5 4,5", "1,234.5", "0;;9", "0; 1 234; 9", "0; x", ",5 9"],
)
def test_a_list_whose_commas_may_be_either_is_refused(text: str) -> None:
    with pytest.raises(SettingsError) as error:
        typed_numbers(text)
    assert error.value.hint


def test_lists_of_whole_numbers_have_no_decimals() -> None:
    assert typed_counts("1,8,16") == typed_counts("1; 8; 16") == typed_counts("1 8, 16") == (1, 8, 16)
    for text in ("1; 8,5", "1 8.5", "1;;8"):
        with pytest.raises(SettingsError):
            typed_counts(text)


@pytest.mark.parametrize(
    "text", ["1.5, 2,5", "1.5,1,000", "1,000,1.5", "1.5, 2, 3,5", "1.5,100,200", "0.5,12,345", "0.5; 1,234,5"]
)
def test_a_list_with_a_point_whose_commas_differ_is_refused(text: str) -> None:
    with pytest.raises(SettingsError) as error:
        typed_numbers(text)
    assert error.value.hint


@pytest.mark.parametrize(
    "text", ["1,000", "1,234", "12,500", "5,1,000", "1,000,000", "8, 1,024,000", "1,000; 2", "5, 1,234", "5 1,234"]
)
def test_whole_numbers_that_may_have_thousands_are_refused(text: str) -> None:
    with pytest.raises(SettingsError) as error:
        typed_counts(text)
    assert error.value.hint


def test_whole_numbers_that_a_comma_separates_remain() -> None:
    assert typed_counts("1, 234") == typed_counts("1; 234") == typed_counts("1 234") == (1, 234)
    assert typed_counts("0,100") == (0, 100) and typed_counts("100,200,300") == (100, 200, 300)
    assert typed_counts("1000,2000") == (1000, 2000) and typed_counts("0,0,10") == (0, 0, 10)


@pytest.mark.parametrize("text", ["1e-400", "-1,5e-999", "0.5E-330"])
def test_a_number_that_would_become_zero_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="too small") as error:
        typed_number(text)
    assert error.value.hint and typed_number("0e-400") == 0


@pytest.mark.parametrize("text", ["1\u200b234", "4.\u200b8", "1\ufeff5", "1\u00ad5", "1\u2060\u200b5", "1\u200b,5"])
def test_a_sign_without_width_in_a_number_is_refused(text: str) -> None:
    with pytest.raises(SettingsError) as error:
        typed_number(text)
    assert error.value.hint
    assert typed_number("\ufeff4.8\u200b mm\u200b", "mm") == typed_number("\u200e-\u200e4.8") + 9.6


@pytest.mark.parametrize(("text", "unit"), [("4.8 mm", "m"), ("4.8mm", "m"), ("4.8 mm m", "m"), ("4.8 ss", "s")])
def test_a_unit_that_ends_with_the_fields_own_is_another(text: str, unit: str) -> None:
    with pytest.raises(SettingsError):
        typed_number(text, unit)
    assert typed_number("4.8 m m", "m") == typed_number("4.8m m", "m") == 4.8
