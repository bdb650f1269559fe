"""Numbers in SI units as text, in the unit that fits their size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from clustersim.units.quantities import DECIMAL

__all__ = [
    "SCALES",
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
    "scale_of",
]

SCALES: Mapping[str, tuple[tuple[float, str], ...]] = MappingProxyType(
    {
        "duration": ((1e-6, "µs"), (1e-3, "ms"), (1, "s"), (60, "min"), (3600, "h"), (86400, "d")),
        "bytes": tuple((DECIMAL[prefix], f"{prefix}B") for prefix in ("", *"kMGTP")),
        "memory": ((2.0**30, "GiB"),),
        "bandwidth": tuple((DECIMAL[prefix], f"{prefix}B/s") for prefix in ("", *"kMGTP")),
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


def format_number(value: float, digits: int = 4) -> str:
    """Format a number to `digits` significant digits, with thousands separators.

    Only numbers of 1e15 or more, or below 0.0001, have an exponent.

    Examples
    --------
    >>> format_number(999.7, 3), format_number(12345.6), format_number(0.25), format_number(-0.0)
    ('1,000', '12,350', '0.25', '0')
    """
    return f"{float(f'{value:.{digits}g}'):z,.15g}"
