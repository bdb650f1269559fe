"""ClassAds of HTCondor in text: one attribute a line, in the old notation and in the new one.

Syntax: "ClassAd reference" in the HTCondor manual. Old: ``Name = value``, with blank lines (or
lines that begin with ``***``, in history files) between ads. New: ``[ Name = value; ... ]``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["ClassAd", "attribute_value", "class_ads"]

_LINE = re.compile(r"([A-Za-z_]\w*) = (.*)")


class ClassAd(NamedTuple):
    """The attributes of an ad, and the number of its first line, starting at 1."""

    line: int
    attributes: dict[str, Any]


def attribute_value(text: str) -> Any:
    """Return the value of an attribute: a number, a text, or None if it is not defined.

    Examples
    --------
    >>> [attribute_value(text) for text in ("8", "0.5", '"ann"', "undefined", "true")]
    [8, 0.5, 'ann', None, 'true']
    """
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        return text[1:-1]
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return None if text.lower() in ("undefined", "error") else text


def class_ads(lines: Sequence[str]) -> tuple[list[ClassAd], list[int]]:
    """Return the ads in the lines of a text, and the numbers of lines that belong to none.

    Examples
    --------
    >>> ads, others = class_ads(["Hello", "", "A = 1", 'B = "x"', "", "[", "  A = 2;", "]"])
    >>> [ad.attributes for ad in ads], others
    ([{'A': 1, 'B': 'x'}, {'A': 2}], [1])
    """
    ads: list[ClassAd] = []
    others: list[int] = []
    ad: dict[str, Any] = {}
    first, new = 0, False
    for number, line in enumerate([*lines, ""], 1):
        text = line.strip()
        if text.startswith("[") or text in ("]", "],"):
            new = text.startswith("[") and not text.endswith("]")
            text = text.strip("[], ")
        match = _LINE.fullmatch(text.removesuffix(";") if new else text)
        if match:
            first = first or number
            ad[match[1]] = attribute_value(match[2])
        elif not text or text.startswith("***"):
            if ad:
                ads.append(ClassAd(first, ad))
            ad, first = {}, 0
        else:
            others.append(number)
    return ads, others
