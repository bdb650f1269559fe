"""Numbers of a text, and whether the tables of a run have them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Floats

__all__ = ["Number", "missing_numbers", "numbers_of", "section_of"]

_CODE = re.compile(r"```.*?```|`[^`]*`|\]\([^)]*\)|!\[[^\]]*\]", re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.,-])(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(?![\w-]|[.,]\d)")
SCALES = (
    *(10.0**power for power in (0, 2, -2, -3, -6, -9, -12, -15, -18)),
    *(1.0 / seconds for seconds in (60.0, 3600.0, 86400.0)),
)
"""Factors from values in tables (SI, shares) to numbers in texts (per cent, units, durations)."""
_SMALLEST = 13
"""Whole numbers below this are counts such as "three runs", which no table needs to have."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number of a text.

    Attributes
    ----------
    text : str
    value : float
    decimals : int
    """

    text: str
    value: float
    decimals: int


def section_of(text: str, heading: str) -> str:
    """Return the section of a Markdown text under a heading of the second level.

    Examples
    --------
    >>> section_of("## a\\n1\\n## b\\n2\\n", "b").strip()
    '2'
    """
    parts = re.split(r"(?m)^## +(.+)$", text)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    return found.get(heading, "")


def numbers_of(text: str) -> list[Number]:
    """Return the numbers of a text that a run has to give, apart from code, years and small counts.

    Examples
    --------
    >>> [each.text for each in numbers_of("In 2026, 65,536 chips do 67.5 % in `x=3` of 4 runs.")]
    ['65,536', '67.5']
    """
    found = []
    for match in _NUMBER.finditer(_CODE.sub(" ", text)):
        whole, fraction = match[1], match[2] or ""
        value = float(whole.replace(",", "") + fraction)
        year = not fraction and "," not in whole and 1990 <= value <= 2100
        if not year and (fraction or value >= _SMALLEST):
            found.append(Number(match[0], value, max(0, len(fraction) - 1)))
    return list(dict.fromkeys(found))


def missing_numbers(text: str, values: Floats | Iterable[float]) -> list[Number]:
    """Return the numbers of a text that are no rounded value, in none of the usual units.

    Examples
    --------
    >>> [each.text for each in missing_numbers("67 % fewer, 2.5 h, 31 %", [-0.672, 9000.0])]
    ['31']
    """
    given = np.abs(np.asarray(list(values), dtype=np.float64))
    given = given[np.isfinite(given)]
    scaled = np.concatenate([given * scale for scale in SCALES])
    return [
        each
        for each in numbers_of(text)
        if not np.any(np.abs(scaled - each.value) <= 0.5000001 * 10.0**-each.decimals)
    ]
