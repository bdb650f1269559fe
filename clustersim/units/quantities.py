"""Quantities: conversion from text with units to SI units, and from numbers to text.

Files contain quantities as text ("4.8 TB/s", "400 Gb/s", "7 d").  This module parses them once; all
other code works in seconds, bytes, bytes per second, FLOP/s and watts.  Decimal prefixes are powers
of 1,000, binary prefixes (KiB, GiB) powers of 1,024; ``b`` is a bit and ``B`` a byte.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from clustersim.errors import shown

__all__ = [
    "LONGEST_S",
    "MOST_CHIPS",
    "SCALES",
    "SECONDS_PER_YEAR",
    "Bandwidth",
    "Bytes",
    "Duration",
    "FlopRate",
    "Money",
    "Power",
    "Quantity",
    "counted",
    "find_quantity",
    "format_bit_rate",
    "format_bytes",
    "format_count",
    "format_duration",
    "format_memory",
    "format_money",
    "format_number",
    "format_percent",
    "format_quantity",
    "format_rate",
    "known_units",
    "listed",
    "number_or_nan",
    "parse_quantity",
    "scale_of",
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
_DECIMAL = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50}


def _prefixed(base: str, scale: float = 1.0, *, binary: bool = False) -> dict[str, float]:
    prefixes = {**_DECIMAL, **(_BINARY if binary else {})}
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


SCALES: Mapping[str, tuple[tuple[float, str], ...]] = MappingProxyType(
    {
        "duration": ((1e-6, "µs"), (1e-3, "ms"), (1, "s"), (60, "min"), (3600, "h"), (86400, "d")),
        "bytes": tuple((_DECIMAL[prefix], f"{prefix}B") for prefix in ("", *"kMGTP")),
        "memory": ((2.0**30, "GiB"),),
        "bandwidth": tuple((_DECIMAL[prefix], f"{prefix}B/s") for prefix in ("", *"kMGTP")),
        "flop rate": ((1e12, "TFLOP/s"), (1e15, "PFLOP/s"), (1e18, "EFLOP/s")),
        "power": ((1, "W"), (1e3, "kW"), (1e6, "MW"), (1e9, "GW")),
        "money": ((1, "CNY"), (1e6, "million CNY"), (1e9, "billion CNY")),
        "count": ((1, ""), (1e6, "million"), (1e9, "billion")),
        "share": ((0.01, "%"),),
        "ratio": ((1, ""),),
        "energy": ((1, "J"), (3.6e6, "kWh"), (3.6e9, "MWh"), (3.6e12, "GWh"), (3.6e15, "TWh")),
        "mass": ((1, "kg"), (1e3, "t"), (1e6, "kt"), (1e9, "Mt")),
    }
)
"""Units in which numbers of a dimension are shown, in ascending order: size in SI, and name."""


def scale_of(dimension: str, values: Iterable[float]) -> tuple[float, str]:
    """Return the size and name of the unit in which to show numbers; the largest number decides.

    Examples
    --------
    >>> scale_of("money", [3.0e6, 2.5e9, math.inf])
    (1000000000.0, 'billion CNY')
    """
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    enough, scales = 1.0, SCALES[dimension]
    if dimension == "duration":
        enough, scales = (2.0, scales) if largest else (0.0, scales[2:3])
    fitting = (scale for scale in reversed(scales) if largest >= enough * scale[0])
    return next(fitting, scales[0])


def format_quantity(value: float, dimension: str, digits: int = 4) -> str:
    """Format a number in SI units, converted to the unit that fits its size.

    Examples
    --------
    >>> format_quantity(3.2e8, "energy"), format_quantity(2500.0, "mass")
    ('88.89 kWh', '2.5 t')
    >>> format_quantity(0.732, "share"), format_quantity(9000.0, "duration")
    ('73.2 %', '2.5 h')
    """
    if dimension == "duration":
        return format_duration(value)
    if dimension == "share":
        return format_percent(value)
    if dimension == "money":
        return format_money(value)
    size, unit = scale_of(dimension, [value])
    return f"{format_number(value / size, digits)} {unit}".strip()


def format_duration(seconds: float, *, whole: bool = False) -> str:
    """Format a duration in the unit that fits its size (``"2.5 h"``).

    Parameters
    ----------
    seconds : float
    whole : bool
        Whether to show exactly one minute, hour or day as such, not as 60 s, 60 min or 24 h.  Use
        it for values that a person chose.
    """
    if not math.isfinite(seconds):
        return str(seconds)
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if abs(seconds) >= 2 * size or (whole and abs(seconds) == size):
            return f"{format_number(seconds / size, 3)} {unit}"
    if abs(seconds) >= 1 or seconds == 0:
        return f"{format_number(seconds, 3)} s"
    for unit, size in (("ms", 1e-3), ("µs", 1e-6)):
        if abs(seconds) >= size:
            return f"{format_number(seconds / size, 3)} {unit}"
    return f"{format_number(seconds / 1e-9, 3)} ns"


def format_bytes(size: float) -> str:
    """Format bytes with a decimal prefix (``"141 GB"``)."""
    return format_rate(size, "B")


def format_memory(size: float) -> str:
    """Format the memory of a chip in binary gigabytes (``"141 GiB"``), as vendors do."""
    return f"{format_number(size / 2**30)} GiB"


def format_rate(rate: float, unit: str = "B/s") -> str:
    """Format a rate with a decimal prefix (``"4.8 TB/s"``, ``"989 TFLOP/s"``)."""
    for prefix, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(rate) >= size:
            return f"{format_number(rate / size)} {prefix}{unit}"
    return f"{format_number(rate)} {unit}"


def format_bit_rate(rate_Bps: float) -> str:
    """Format a rate in bytes per second as bits per second (``"400 Gb/s"``)."""
    return format_rate(8 * rate_Bps, "b/s")


def number_or_nan(text: str) -> float:
    """Return the number that a text contains; NaN if it is no number."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def format_money(amount: float, currency: str = "CNY") -> str:
    """Format an amount of money, in millions or billions if it is that large.

    Examples
    --------
    >>> format_money(83.2e9), format_money(-1500.0), format_money(53.351), format_money(0.0)
    ('83.2 billion CNY', '-1,500 CNY', '53.35 CNY', '0 CNY')
    """
    size, unit = scale_of("money", [amount])
    if size == 1 and abs(amount) >= 1000:
        return f"{amount:,.0f} {currency}"
    return f"{format_number(amount / size)} {unit.replace('CNY', currency)}"


def format_percent(share: float, decimals: int = 1, *, signed: bool = False) -> str:
    """Format a share as a percentage.

    Examples
    --------
    >>> format_percent(0.7321), format_percent(0.9, 0), format_percent(0.05, signed=True)
    ('73.2 %', '90 %', '+5.0 %')
    """
    sign = "+" if signed else "-"
    return f"{100 * share:{sign}z,.{decimals}f} %"


def format_count(count: float) -> str:
    """Format a count with thousands separators."""
    return f"{count:,.0f}"


def listed(names: Sequence[str]) -> str:
    """Return names as one text, such as ``a, b and c``.

    Examples
    --------
    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, in the singular for 1.

    Examples
    --------
    >>> counted(1, "job"), counted(1200, "job"), counted(2, "job has", "jobs have")
    ('1 job', '1,200 jobs', '2 jobs have')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def format_number(value: float, digits: int = 4) -> str:
    """Format a number to `digits` significant digits, with thousands separators.

    Only numbers of 1e15 or more, or below 0.0001, have an exponent.

    Examples
    --------
    >>> format_number(999.7, 3), format_number(12345.6), format_number(0.25), format_number(-0.0)
    ('1,000', '12,350', '0.25', '0')
    """
    return f"{float(f'{value:.{digits}g}'):z,.15g}"
