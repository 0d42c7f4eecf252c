"""What headers and tables state of single images, written as names of files are: ``led 24 exposure 10ms``.

So the LED and the exposure of an image are found in the same way, and refused or named for the same reasons, wherever
they are stated: in the description of a page, the name of a channel, a line of a table.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LONGEST = 4096
SHORT = 80
"""A text of one line and so many characters is a name as it is; of others the parts that state something are taken."""
EXPOSURE = re.compile(r"exp(?:osure)?(?![a-z])|expos|integration[ _-]*time|shutter[ _-]*time", re.IGNORECASE)
UNIT = re.compile(
    r"(?:(?:[ _-]+|[ _-]*[\[(/] *)(ms|us|µs|μs|s|msec|millis\w*|micros\w*|sec\w*)|(?<=[a-z])(Ms|Us|ms|µs))[\])]?$"
)
APART = re.compile(r"(?<=[0-9]) +(?=(?:ms|us|µs|μs|s)(?![0-9A-Za-z]))")
"""Between a number and its unit."""
UNITS = {"msec": "ms", "Ms": "ms", "Us": "us", "µs": "us", "μs": "us"}
LED = re.compile(
    r"(?:illumination|current|active)?[ _-]*leds?(?:[ _-]*(?:no|nr|num|numbers?|index|indices|idx|ids?))?\.?",
    re.IGNORECASE,
)
AXIS = re.compile(r"(?:leds?[ _-]*)?(x|y|ix|iy|row|rows|col|cols|column|columns)(?:[ _-]*(?:index|idx|no|nr))?", re.I)
KEYED = re.compile(r"\s*([A-Za-zµμ][\w µμ()\[\]./-]{0,40}?)\s*[:=]\s*(\S.{0,40}?)\s*")
PARTS = re.compile(r"[\n\r;|]+|, +|,(?=[A-Za-z\"'])|\. +(?=[A-Z])")
ATTRIBUTES = re.compile(r'<\w[^<>]*?(?:id|name|key|K)="([^"<>]{1,60})"[^<>]*?value="([^"<>]{0,400})"', re.I)
ELEMENTS = re.compile(r"<([A-Za-z][\w:-]{0,40})(?: [^<>]*)?>([^<>]{1,400})</")
"""Members of XML, as programs of cameras write it: attributes of names and values, and plain elements."""
SAYS = re.compile(
    r"led|exp(?![a-z])|expos|[0-9] ?(?:ms|us|µs|μs|s)(?![0-9a-z])|(?<![a-z])(?:x|y|row|col\w*)[ _=-]*[-+0-9]", re.I
)
UNUSED = re.compile(
    r"led|lamp|illum|pattern|exp|shutter|integ|bright|power|current|intens|gain|(?:na|k)[ _-]?[xy]\b|theta|phi|angle"
    r"|order",
    re.I,
)
SCIENTIFIC = re.compile(r"[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]{1,2}")
WHOLE = re.compile(r"[-+]?[0-9]{1,9}(?:\.0+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedNames:
    """What one source calls every image, in the order of the images.

    Attributes
    ----------
    texts
        One for each image, as names of files are written; empty where an image has none.
    source
        What they are, in words: the pages' descriptions.
    are_labels
        They name the images and do nothing else, so that places which cannot be are refused.
    as_stored
        Numbers in them do not bring the images into another order.
    where
        What they are in a sentence that refuses them; else ``source`` and the file.
    """

    texts: tuple[str, ...]
    source: str
    are_labels: bool = False
    as_stored: bool = False
    where: str = ""

    @property
    def differ(self) -> bool:
        """Whether they tell the images apart."""
        return len(set(self.texts)) > 1


def members_of(text: str) -> dict[str, Any]:
    """Members of a description: those of JSON, or what stands behind names in lines and clauses (``LED: 24``)."""
    text = text[:LONGEST].strip().rstrip("\0")
    if text.startswith("{"):
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            return {}
        return dict(_flat(values)) if isinstance(values, dict) else {}
    if text.startswith("<"):
        found = {html.unescape(key): html.unescape(value) for key, value in ATTRIBUTES.findall(text)}
        found |= {key: html.unescape(value) for key, value in ELEMENTS.findall(text)}
        inner = {key: value for one in found.values() if "\n" in one for key, value in members_of(one).items()}
        return {key: value for key, value in found.items() if "\n" not in value} | inner
    matches = [KEYED.fullmatch(part) for part in PARTS.split(text)]
    return {match[1]: match[2] for match in matches if match}


def as_name(text: str) -> str:
    """A description as a name: of JSON, lines and long texts only what speaks of LEDs and exposures."""
    text = text[:LONGEST].strip().rstrip("\0")
    members = members_of(text)
    if members and text.startswith("{"):
        return name_of_members(members)
    if text.startswith("<"):
        said = [one for key, one in members.items() if len(one) <= SHORT and SAYS.search(one) and not keyed(key, one)]
        return " ".join(filter(None, [name_of_members(members), *said]))
    parts = [part for part in PARTS.split(text) if part.strip()]
    alone = len(parts) == 1 and len(text) <= SHORT
    known = {key: value for key, value in members.items() if keyed(key, value)}
    plain = [
        APART.sub("", part.strip()[:SHORT]) if EXPOSURE.search(part) else part.strip()[:SHORT]
        for part in parts
        if not ((match := KEYED.fullmatch(part)) and (match[1] in known or not alone)) and (alone or SAYS.search(part))
    ]
    found = " ".join(filter(None, [", ".join(plain), name_of_members(known)]))
    return found or (text if len(text) <= SHORT and len(text.splitlines()) == 1 and not members else "")


def name_of_members(values: Mapping[str, Any]) -> str:
    """Members of a table as one name: the LED first, then its place, then the exposure."""
    found: dict[int, list[str]] = {0: [], 1: [], 2: []}
    for key, value in _flat(values):
        words = keyed(key, value)
        if words:
            found[2 if words.startswith("exposure") else 0 if words.startswith("led") else 1].append(words)
    return " ".join(word for rank in found.values() for word in rank)


def keyed(key: str, value: Any) -> str:
    """One member in words: ``led 24``, ``x 3`` or ``exposure 10ms``; empty for what states nothing of these."""
    text = _text(value)
    key = key.strip()
    if not text:
        return ""
    if EXPOSURE.search(key):
        unit = UNIT.search(key)
        word = (unit[1] or unit[2]) if unit else ""
        word = UNITS.get(word, word)
        word = {"milli": "ms", "micro": "us"}.get(word[:5], "s" if word.startswith("sec") else word)
        text = APART.sub("", _text(float(text)) if SCIENTIFIC.fullmatch(text) else text)
        return f"exposure {text}{word if re.fullmatch('[-+0-9.,eE]+', text) else ''}"
    if LED.fullmatch(key):
        return f"led {int(float(text)) if WHOLE.fullmatch(text) else text}"
    axis = AXIS.fullmatch(key)
    if axis and WHOLE.fullmatch(text):
        return f"{axis[1].lower()} {int(float(text))}"
    return ""


def members_per_image(values: Mapping[str, Any], images: int) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Lists with one number or text for each image, taken apart; and the lengths of all such lists by name."""
    lists = {
        str(key): list(value)
        for key, value in values.items()
        if isinstance(value, list | tuple) and len(value) == images > 1 and all(map(_text, value))
    }
    each = [{key: value[place] for key, value in lists.items()} for place in range(images)]
    return each, dict.fromkeys(lists, images)


def unused_members(each: Sequence[Mapping[str, Any]], known: Callable[[str], object]) -> list[str]:
    """Names of members that speak of the LED or the light of an image, differ between the images and were not used.

    ``known`` tells those of which something else is said.
    """
    names = {key for one in each for key in one if UNUSED.search(key) and not known(key)}
    differ = [key for key in names if len({str(one.get(key)) for one in each}) > 1]
    return sorted(key for key in differ if not any(keyed(key, one.get(key)) for one in each))


def _flat(values: Mapping[str, Any], depth: int = 0) -> Iterable[tuple[str, Any]]:
    for key, value in list(values.items())[:256]:
        if isinstance(value, dict):
            inner = value.get("PropVal", value.get("scalar"))
            if inner is not None:
                yield str(key), inner
            elif depth < 3:
                yield from _flat(value, depth + 1)
        else:
            yield str(key), value[0] if isinstance(value, list) and len(value) == 1 else value


def _text(value: Any) -> str:
    """A number or a short text as names hold it; empty for anything else."""
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, float | np.floating):
        return np.format_float_positional(value, trim="-") if np.isfinite(value) else ""
    if isinstance(value, int | np.integer):
        return str(value)
    return value.strip()[:SHORT] if isinstance(value, str) else ""
