"""Quantities from text with units, in SI units.

Files contain quantities as text ("4.8 TB/s", "400 Gb/s", "7 d").  This module parses them once; all
other code works in seconds, bytes, bytes per second, FLOP/s and watts.  Decimal prefixes are powers
of 1,000, binary prefixes (KiB, GiB) powers of 1,024; ``b`` is a bit and ``B`` a byte.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from clustersim.errors import shown

__all__ = [
    "DECIMAL",
    "LONGEST_S",
    "MOST_CHIPS",
    "SECONDS_PER_YEAR",
    "Bandwidth",
    "Bytes",
    "Duration",
    "FlopRate",
    "Money",
    "Power",
    "Quantity",
    "find_quantity",
    "known_units",
    "number_or_nan",
    "parse_quantity",
]

SECONDS_PER_YEAR = 365.25 * 86400.0
"""Seconds in a Julian year, the year used for all yearly rates and lifetimes."""
LONGEST_S = 1e4 * SECONDS_PER_YEAR
"""Longest duration allowed, in seconds; a longer one is probably a typing error."""
MOST_CHIPS = 10_000_000
"""Largest number of chips allowed in a cluster, a job, a service or spares."""
_RANGES = {
    "duration": (1e-9, LONGEST_S, "1 ns to 10,000 yr"),
    "bytes": (1.0, 1e24, "1 B to 1e24 B"),
    "bandwidth": (1.0, 1e24, "1 B/s to 1e24 B/s"),
    "flop rate": (1.0, 1e30, "1 FLOP/s to 1e30 FLOP/s"),
    "power": (1e-6, 1e15, "1 uW to 1 PW"),
}
"""Smallest quantity above 0 and largest quantity that are allowed, in SI units, and the range as
text.  A quantity outside this range is probably a typing error."""
DECIMAL = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50}


def _prefixed(base: str, scale: float = 1.0, *, binary: bool = False) -> dict[str, float]:
    prefixes = {**DECIMAL, **(_BINARY if binary else {})}
    return {prefix + base: factor * scale for prefix, factor in prefixes.items()}


_TIME = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "wk": 604800.0,
    "yr": 31557600.0,
}
_UNITS: dict[str, dict[str, float]] = {
    "duration": _TIME,
    "bytes": _prefixed("B", binary=True),
    "bandwidth": {
        **_prefixed("B/s", binary=True),
        **_prefixed("b/s", 1 / 8),
        **_prefixed("bps", 1 / 8),
    },
    "flop rate": _prefixed("FLOP/s"),
    "power": _prefixed("W"),
    "money": {"CNY": 1.0, "USD": 1.0},
}
_EXAMPLES = {
    "duration": '"30 min", "7 d"',
    "bytes": '"141 GB", "64 GiB"',
    "bandwidth": '"4.8 TB/s", "400 Gb/s"',
    "flop rate": '"989 TFLOP/s"',
    "power": '"700 W", "10 MW"',
    "money": '"160e9 CNY"',
}
_QUANTITY = re.compile(r"\s*([-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*")

_DATE = re.compile(r"\s*\d{4}-\d{1,2}-\d{1,2}(?!\d)")


def _split(text: object, dimension: str) -> tuple[float, str]:
    example = _EXAMPLES[dimension]
    if isinstance(text, date) or (isinstance(text, str) and _DATE.match(text)):
        raise ValueError(
            f"expected {dimension}, found the date {text}; write, for example, {example}"
        )
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise ValueError(
            f"expected {dimension}, found {shown(text)}; write, for example, {example}"
        )
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        raise ValueError(
            f"expected {dimension}, found {shown(text)}; write, for example, {example}"
        )
    number, unit = float(match[1].replace("_", "")), match[2]
    if not math.isfinite(number):
        raise ValueError(f"expected finite {dimension}, found {shown(text)}")
    units = _UNITS[dimension]
    if unit == "" and number == 0.0:
        return number, next(iter(units))
    if unit == "":
        raise ValueError(f"{shown(text)} has no unit; write, for example, {example}")
    if unit not in units:
        raise ValueError(
            f"{shown(text)} has the unit {shown(unit)}, which is not a unit of {dimension}; "
            f"write, for example, {example}"
        )
    return number, unit


def parse_quantity(text: object, dimension: str) -> float:
    """Convert a quantity with its unit to SI units.

    Parameters
    ----------
    text : object
        The quantity, such as ``"4.8 TB/s"``.  A number without a unit is refused (except 0),
        because its unit would be a guess.
    dimension : str
        ``duration``, ``bytes``, ``bandwidth``, ``flop rate``, ``power`` or ``money``.

    Returns
    -------
    float
        Seconds, bytes, bytes/s, FLOP/s, watts, or the plain amount of money.

    Raises
    ------
    ValueError
        If the text is not a quantity of this dimension.  The message states the text, the problem
        and an example.

    Examples
    --------
    >>> parse_quantity("400 Gb/s", "bandwidth")
    50000000000.0
    >>> parse_quantity("7 d", "duration")
    604800.0
    """
    number, unit = _split(text, dimension)
    return number * _UNITS[dimension][unit]


class Quantity(NamedTuple):
    """A number in SI units (for money: in a currency), and its dimension."""

    value: float
    dimension: str
    unit: str

    def __str__(self) -> str:
        return f"{self.value!r} {self.unit}"


_SI = {"duration": "s", "bytes": "B", "bandwidth": "B/s", "flop rate": "FLOP/s", "power": "W"}


def known_units() -> dict[str, tuple[str, ...]]:
    """Return the units that are allowed for each dimension.

    Examples
    --------
    >>> known_units()["money"]
    ('CNY', 'USD')
    """
    return {dimension: tuple(units) for dimension, units in _UNITS.items()}


def find_quantity(text: object) -> Quantity | None:
    """Parse a text with a unit of any dimension; None if it is not a quantity.

    Examples
    --------
    >>> find_quantity("4 TB/s")
    Quantity(value=4000000000000.0, dimension='bandwidth', unit='B/s')
    >>> find_quantity("fcfs") is None
    True
    """
    if not isinstance(text, str):
        return None
    for dimension, units in _UNITS.items():
        try:
            number, unit = _split(text, dimension)
        except ValueError:
            continue
        if text.strip().endswith(unit):
            return Quantity(number * units[unit], dimension, _SI.get(dimension, unit))
    return None


def _check_range(quantity: float, dimension: str, value: object) -> None:
    if quantity < 0:
        raise ValueError(f"{shown(value)} is negative; {dimension} must be 0 or more")
    least, largest, allowed = _RANGES[dimension]
    if quantity != 0 and not least <= quantity <= largest:
        beyond = "large" if quantity > largest else "small"
        raise ValueError(f"{shown(value)} is too {beyond}; {dimension} must be 0, or {allowed}")


def _parser(dimension: str) -> Callable[[Any], float]:
    def parse(value: Any) -> float:
        quantity = parse_quantity(value, dimension)
        _check_range(quantity, dimension, value)
        return quantity

    return parse


def _quantity_type(dimension: str, si_unit: str) -> Any:
    schema = {
        "type": ["string", "number"],
        "description": f"{dimension} with its unit, for example {_EXAMPLES[dimension]}",
        "x-quantity": dimension,
        "x-unit": si_unit,
    }
    return Annotated[
        float,
        BeforeValidator(_parser(dimension)),
        PlainSerializer(lambda value: f"{value!r} {si_unit}", when_used="json"),
        WithJsonSchema(schema),
    ]


Duration = _quantity_type("duration", "s")
Bytes = _quantity_type("bytes", "B")
Bandwidth = _quantity_type("bandwidth", "B/s")
FlopRate = _quantity_type("flop rate", "FLOP/s")
Power = _quantity_type("power", "W")


def _parse_money(value: Any) -> tuple[float, str]:
    if isinstance(value, (tuple, list)) and len(value) == 2:
        return float(value[0]), str(value[1])
    amount, currency = _split(value, "money")
    if amount < 0:
        raise ValueError(f"{shown(value)} is negative; an amount of money must be 0 or more")
    return amount, currency


Money = Annotated[
    tuple[float, str],
    BeforeValidator(_parse_money),
    PlainSerializer(lambda value: f"{value[0]!r} {value[1]}", when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "description": f"money, for example {_EXAMPLES['money']}",
            "x-quantity": "money",
            "x-unit": " or ".join(_UNITS["money"]),
        }
    ),
]


def number_or_nan(text: str) -> float:
    """Return the number that a text contains; NaN if it is no number."""
    try:
        return float(text)
    except ValueError:
        return math.nan
