"""Numbers as people type them: a point or a comma is decimal, in every locale; nothing groups digits.

A comma is never a separator of thousands: ``1,5`` is one and a half, ``1,234.5`` and ``1 234`` are refused, because
guessing would be wrong by a thousand times for somebody. In a list, ``;`` and blanks separate.
"""

from __future__ import annotations

import math
import re
import unicodedata

from ptychoui.errors import SettingsError

LIST_RULE = "Separate numbers by ; or by blanks, such as 0; 4.5; 9. A decimal comma is understood: 0; 4,5; 9."
"""What a field for several numbers says of itself."""

_LONGEST = 60
_MINUS = "\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d"
_SAME = {ord(sign): "-" for sign in _MINUS} | {
    ord("\uff0b"): "+",
    ord("\uff0e"): ".",
    ord("\u066b"): ",",  # Arabic decimal separator
    ord("\uff0c"): ",",
    ord("\uff1b"): ";",
    ord("\uff25"): "E",
    ord("\uff45"): "e",
}
_UNITS = {"\u00b5": "\u03bc", "\u212b": "\u00c5", "\u00ba": "\u00b0", "x": "\u00d7"}
_WRITTEN = {"\u03bcm": ("um", "micron", "microns"), "\u00b0": ("deg",), "e\u207b": ("e-", "e")}
"""Unit -> other ways to write it."""
_NUMBER = re.compile(r"[+-]?(?:[0-9]+[.,]?[0-9]*|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?")
_NO_WIDTH = "\u200b"
_WHOLE = re.compile(r"[+-]?[0-9]+")
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:[.,'\u2019\u066c_\s][0-9]{3})+(?:[.,][0-9]*)?")


def typed_number(text: str, unit: str = "") -> float:
    """The number that a text means; the field's unit may stand behind it.

    Raises
    ------
    SettingsError
        If it is not one number, has separators of thousands, or names another unit.
    """
    plain = _without_unit(_plain(text), unit)
    if not _NUMBER.fullmatch(plain):
        raise SettingsError(*_refusal(text, plain, unit))
    value = float(plain.replace(",", "."))
    if not math.isfinite(value):
        raise SettingsError(f"{_shown(text)} is too large for a number", "type a smaller one")
    if value == 0 and re.search("[1-9]", re.split("[eE]", plain)[0]):
        raise SettingsError(f"{_shown(text)} is too small for a number", "type 0 or a larger one")
    return value


def typed_count(text: str, unit: str = "") -> int:
    """The whole number that a text means.

    Raises
    ------
    SettingsError
        If it is not one whole number.
    """
    plain = _without_unit(_plain(text), unit)
    if _WHOLE.fullmatch(plain):
        return int(plain)
    if _NUMBER.fullmatch(plain):
        value = float(plain.replace(",", "."))
        # 12. and 1e3 are whole; what has decimals, even zeros, may have been meant as thousands.
        if math.isfinite(value) and value.is_integer() and not re.search(r"[.,][0-9]", plain):
            return int(value)
        raise SettingsError(f"{_shown(text)} is not a whole number", "type one without a point or a comma")
    raise SettingsError(*_refusal(text, plain, unit))


def typed_numbers(text: str, unit: str = "") -> tuple[float, ...]:
    """The numbers of a list.

    Where there is a ``;``, it alone separates. Otherwise blanks do, with or without a comma before them. Commas alone
    separate only where a decimal point shows that they are not decimal themselves.

    Raises
    ------
    SettingsError
        If a part is not a number, or it is open what a comma means.
    """
    return tuple(typed_number(part) for part in _parts(text, unit, whole=False))


def typed_counts(text: str, unit: str = "") -> tuple[int, ...]:
    """The whole numbers of a list, separated by ``;``, commas or blanks.

    Raises
    ------
    SettingsError
        If a part is not a whole number.
    """
    try:
        return tuple(typed_count(part) for part in _parts(text, unit, whole=True))
    except SettingsError as error:
        raise SettingsError(f"{_shown(text)} is no list of whole numbers: {error.message}", error.hint) from None


def is_number(text: str) -> bool:
    """Whether a text is one number, in any way of writing it."""
    try:
        typed_number(text)
    except SettingsError:
        return False
    return True


def _parts(text: str, unit: str, whole: bool) -> list[str]:
    plain = _without_unit(_plain(text).strip("[]()").strip(), unit)
    if not plain:
        return []
    if ";" in plain:
        parts = plain.removesuffix(";").split(";")
    elif whole:
        # 1,000 is hardly a 1 and a 0; two numbers of which the second has three digits may be one in thousands.
        grouped = r"[+-]?[1-9][0-9]{0,2},[0-9]{3}"
        apart = re.search(r"[0-9],?\s", plain) and re.search(rf"(?<![0-9,]){grouped}(?![0-9,])", plain)
        if re.search(r",0[0-9]", plain) or re.fullmatch(grouped, plain) or apart:
            raise SettingsError(
                f"in {_shown(text)} it is open whether a comma separates numbers or thousands",
                "separate the numbers by ;, such as 1; 8; 16",
            )
        parts = re.split(r"\s*,\s*|\s+", plain)
    else:
        if _comma_is_open(plain):
            raise SettingsError(
                f"in {_shown(text)} it is open whether a comma separates or is decimal",
                "separate the numbers by ;, such as 0; 4,5; 9 or 0; 4.5; 9",
            )
        parts = re.split(r"\s*,\s*|\s+" if "." in plain else r"\s*,\s+|\s+", plain.removesuffix(","))
    parts = [part.strip() for part in parts]
    if not all(parts):
        raise SettingsError(
            f"{_shown(text)} has an empty place between two separators", "take one of them out, or fill it in"
        )
    return parts


def _comma_is_open(plain: str) -> bool:
    """Whether a list without ``;`` has a comma that may be decimal as well as a separator."""
    if not re.search(r",\S", plain):
        return False
    blanks_alone = re.search(r"[^,\s]\s+[^,\s]", plain) is not None
    if "." in plain:  # the decimal mark, so commas separate, unless blanks do, some do not, or one groups digits
        some = re.search(r",\s", plain) is not None
        grouped = re.search(r"(?<![0-9.])[1-9][0-9]{0,2},[0-9]{3}(?![0-9])", plain) is not None
        return blanks_alone or some or grouped
    # Between blanks that separate, a comma inside of a number is decimal.
    return not blanks_alone or re.search(r",\s|\s,|^,", plain) is not None


def _plain(text: str) -> str:
    """ASCII digits, signs and blanks for what other keyboards and pages write instead."""
    found = []
    for sign in text.translate(_SAME):
        if sign.isspace():
            found.append(" ")
        elif unicodedata.category(sign) == "Nd":
            found.append(str(unicodedata.decimal(sign)))
        else:  # marks of writing direction, which copying brings along, have no width
            found.append(_NO_WIDTH if unicodedata.category(sign) == "Cf" else sign)
    # Within a number such a mark may stand where two numbers were apart: it stays, and is refused.
    plain = re.sub(rf"(?<![0-9.,{_NO_WIDTH}]){_NO_WIDTH}+|{_NO_WIDTH}+(?![0-9.,{_NO_WIDTH}])", "", "".join(found))
    # A sign may stand apart from its number.
    return re.sub(r"^([+-])\s+(?=[0-9.,])", r"\1", plain.strip())


def _without_unit(text: str, unit: str) -> str:
    if not unit:
        return text
    own = _unit(unit)
    names = sorted({own, *_WRITTEN.get(own, ())}, key=len, reverse=True)
    found = _one_less(text, names)
    # Twice where a number is pasted with its unit into a field that shows one; without a blank between them, two units
    # may be another: in a field of m, mm is not m and m.
    return _one_less(found.rstrip(), names).rstrip() if found != found.rstrip() else found


def _one_less(text: str, names: list[str]) -> str:
    """The text without the unit at its end."""
    for name in names:
        rest = text[: len(_unit(text).removesuffix(name))]
        if len(rest) < len(text) and (name != "e" or rest.rstrip()[-1:].isdigit()):
            return rest
    return text


def _unit(text: str) -> str:
    """One way to write micro, degree and times; as long as the text."""
    for other, usual in _UNITS.items():
        text = text.replace(other, usual)
    return text


def _refusal(text: str, plain: str, unit: str) -> tuple[str, str]:
    if not plain:
        return "the field is empty", "type a number"
    if _GROUPED.fullmatch(plain):
        return (
            f"{_shown(text)} has separators of thousands, or two numbers in one",
            "type one number without them: a point or a comma is decimal",
        )
    number = _NUMBER.match(plain)
    rest = plain[number.end() :].strip() if number else ""
    if rest and re.fullmatch(r"[^\W\d_]{1,6}|[%°×\"']", rest):
        wanted = f"type it in {unit}" if unit else "type it without a unit"
        return f"{_shown(text)} is not in the unit of this field", wanted
    return f"{_shown(text)} is not a number", "a point or a comma is decimal, such as 4.8, 4,8 or 1e-3"


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")
