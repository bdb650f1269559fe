"""Several amounts of one quantity as text, in one unit; shares and differences with their sign."""

from __future__ import annotations

import math
from collections.abc import Sequence

from clustersim.plots.axis import Axis
from clustersim.units import format_duration, format_number, format_percent, scale_of

__all__ = [
    "durations_text",
    "in_one_unit",
    "percent",
    "range_text",
    "signed",
    "signed_amounts",
]

_LEAST = 0.1
"""Smallest duration in the unit of the largest one; otherwise, the smallest decides the unit."""
NOTHING = 1e-9
"""A share below this is rounding noise."""


def in_one_unit(values: Sequence[float], of: str | Axis) -> tuple[list[str], str]:
    """Return numbers as texts without a unit, and the unit that suits the first of them.

    If the first number is zero, the largest number decides.

    Parameters
    ----------
    values : sequence of float
        Numbers in SI units.
    of : str or Axis
        Their dimension, as in :class:`~clustersim.plots.axis.Axis`, or their axis. The unit of an
        axis that has one is kept.

    Examples
    --------
    >>> in_one_unit([90.0, 7200.0], "duration")
    (['90', '7,200'], 's')
    """
    axis = of if isinstance(of, Axis) else Axis("", dimension=of, logarithmic=False)
    if not axis.unit:
        axis = axis.fitted(list(values[:1] if values[0] else values))
    return [axis.number(value) for value in values], axis.unit


def durations_text(*seconds: float) -> list[str]:
    """Return the durations of a sentence as texts, all in the unit that suits the largest.

    If the smallest is less than a tenth of this unit, its own unit is used.

    Examples
    --------
    >>> durations_text(5880.0, 56520.0), durations_text(86400.0)
    (['1.63 h', '15.7 h'], ['1 d'])
    """
    if len(set(seconds)) == 1:
        return [format_duration(seconds[0], whole=True)] * len(seconds)
    largest, smallest = max(seconds), min(each for each in seconds if each > 0)
    size, unit = scale_of("duration", [largest])
    if smallest < _LEAST * size:
        size, unit = scale_of("duration", [smallest])
    return [f"{format_number(each / size, 3)} {unit}" for each in seconds]


def range_text(low: float, high: float, dimension: str) -> str:
    """Return a range as text with one unit.

    Examples
    --------
    >>> range_text(1800.0, 9000.0, "duration"), range_text(0.0, 0.0, "duration")
    ('0.5 to 2.5 h', '0 s')
    """
    (last, first), unit = in_one_unit([high, low], dimension)
    text = first if first == last else f"{first} to {last}"
    return f"{text} {unit}".strip()


def percent(share: float) -> str:
    """Return a share as a percentage: no decimal from 10 %, and two digits below 0.1 %.

    Examples
    --------
    >>> percent(0.1234), percent(0.0123), percent(0.000123), percent(1e-17)
    ('12 %', '1.2 %', '0.012 %', '0 %')
    """
    size = abs(share)
    if size < NOTHING:
        return "0 %"
    if not math.isfinite(size) or size >= 0.001:
        return format_percent(share, 0 if size >= 0.1 else 1)
    return format_percent(share, -1 - math.floor(math.log10(size)))


def signed(share: float) -> str:
    """Return a relative difference as a percentage with its sign.

    Examples
    --------
    >>> signed(-0.4), signed(0.012), signed(0.0)
    ('−40 %', '+1.2 %', '0 %')
    """
    sign = "" if abs(share) < NOTHING else "+" if share > 0 else "−"
    return f"{sign}{percent(abs(share))}"


def signed_amounts(values: Sequence[float], axis: Axis) -> list[str]:
    """Return differences of one quantity with signs, one unit and equally many decimals.

    Numbers without a unit have three digits of the largest one.

    Parameters
    ----------
    values : sequence of float
        Finite numbers in SI units.
    axis : Axis
        Axis of the quantity.

    Examples
    --------
    >>> signed_amounts([2433.0, -80.0], Axis("nodes", dimension="count"))
    ['+2,433', '−80']
    >>> signed_amounts([0.12, 0.0834], Axis("load", dimension="ratio"))
    ['+0.120', '+0.083']
    >>> signed_amounts([7200.0, -1800.0], Axis("interval", dimension="duration"))
    ['+2 h', '−0.5 h']
    """
    largest = max(map(abs, values))
    if largest == 0:
        return ["0" for _ in values]
    signs = ["−" if value < 0 else "+" for value in values]
    if axis.dimension in ("", "count", "ratio") and not axis.unit:
        decimals = max(0, 2 - math.floor(math.log10(largest)))
        sizes = [f"{abs(value):,.{decimals}f}" for value in values]
    else:
        axis = axis if axis.unit else axis.fitted([largest])
        sizes = [f"{axis.number(abs(value))} {axis.unit}".strip() for value in values]
    return [f"{sign}{size}" for sign, size in zip(signs, sizes, strict=True)]
