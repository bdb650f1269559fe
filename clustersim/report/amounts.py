"""Several amounts of one quantity as text, in one unit; shares and differences with their sign."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from clustersim.plots.axis import Axis
from clustersim.units import format_duration, format_number, format_percent, scale_of

__all__ = [
    "can_be_read_in",
    "common_unit",
    "durations_text",
    "in_one_unit",
    "in_unit",
    "percent",
    "range_text",
    "signed",
    "signed_amounts",
]

_LEAST = 0.1
"""Smallest duration in the unit of the largest one; otherwise, the smallest decides the unit."""
_MOST_OF_A_UNIT = 200.0
"""Below this number, a duration is readable in the unit of a smaller one."""
_FAR_TOO_MANY = 10_000.0
"""From this number on, a duration of a sentence is not readable in the unit of a smaller one."""
_TOO_MANY = 1000.0
"""From this number on, a duration in a given unit is not readable."""
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

    If the smallest is less than 1 in this unit, its own unit is used, or if the largest is then
    10,000 or more, each has its own.

    Examples
    --------
    >>> durations_text(5880.0, 56520.0), durations_text(86400.0)
    (['1.63 h', '15.7 h'], ['1 d'])
    >>> durations_text(29549.0, 432000.0), durations_text(29.0, 172800.0)
    (['8.21 h', '120 h'], ['29 s', '2 d'])
    """
    if len(set(seconds)) == 1:
        return [format_duration(seconds[0], whole=True)] * len(seconds)
    largest, smallest = max(seconds), min(each for each in seconds if each > 0)
    size, unit = scale_of("duration", [largest])
    if smallest < size:
        size, unit = scale_of("duration", [smallest])
    if largest >= _FAR_TOO_MANY * size:
        return [format_duration(each, whole=True) for each in seconds]
    return [f"{format_number(each / size, 3)} {unit}" for each in seconds]


def common_unit(seconds: Iterable[float]) -> tuple[float, str] | None:
    """Return size and name of a unit in which all durations can be read; None if there is none.

    Zeros can be read in any unit.

    Examples
    --------
    >>> common_unit([600.0, 7200.0]), common_unit([0.0, 7200.0])
    ((60, 'min'), (3600, 'h'))
    >>> common_unit([500.0, 172800.0])
    """
    sizes = [abs(each) for each in seconds if math.isfinite(each) and each]
    if not sizes:
        return scale_of("duration", [0.0])
    small, large = scale_of("duration", [min(sizes)]), scale_of("duration", [max(sizes)])
    if max(sizes) < _MOST_OF_A_UNIT * small[0]:
        return small
    return large if min(sizes) >= _LEAST * large[0] else None


def can_be_read_in(unit: tuple[float, str], seconds: Iterable[float]) -> bool:
    """Return whether all durations are 0, or from a tenth to 1,000 of a unit.

    Examples
    --------
    >>> can_be_read_in((3600, "h"), [0.0, 7200.0, 1e6]), can_be_read_in((3600, "h"), [7200.0, 60.0])
    (True, False)
    """
    sizes = [abs(each) / unit[0] for each in seconds if math.isfinite(each) and each]
    return all(_LEAST <= size < _TOO_MANY for size in sizes)


def in_unit(
    seconds: Sequence[float],
    unit: tuple[float, str] | None = None,
    *,
    join: str = " to ",
    signed: bool = False,
) -> str:
    """Return durations as one text, with a unit that they share named once, at the end.

    Parameters
    ----------
    seconds : sequence of float
    unit : tuple of (float, str), optional
        Size and name of the unit; by default the one that they share (:func:`common_unit`).  A
        duration that cannot be read in it (less than a tenth, or 1,000 and more) has a unit of its
        own.
    join : str
        What stands between two durations.
    signed : bool
        Whether to show the sign of numbers above 0, too.

    Examples
    --------
    >>> in_unit([600.0, 7200.0]), in_unit([500.0, 172800.0]), in_unit([500.0, 7200.0], (3600, "h"))
    ('10 to 120 min', '8.33 min to 2 d', '0.139 to 2 h')
    >>> in_unit([0.0, 7200.0], join=" instead of "), in_unit([-7200.0, 60.0], signed=True)
    ('0 instead of 2 h', '−2 h to +60 s')
    """
    unit = unit or common_unit(seconds)
    parts = [_number_and_unit(abs(each), unit) for each in seconds]
    texts = []
    for place, (number, name) in enumerate(parts):
        sign = "−" if seconds[place] < 0 else "+" if signed and seconds[place] > 0 else ""
        named_later = place + 1 < len(parts) and parts[place + 1][1] == name
        texts.append(f"{sign}{number}" if named_later else f"{sign}{number} {name}")
    return join.join(texts)


def _number_and_unit(seconds: float, unit: tuple[float, str] | None) -> tuple[str, str]:
    """Return a duration in a unit, or in its own if it is too small or too large for it.

    Below 1 s, it is 0.
    """
    if unit is not None:
        size, name = unit
        if seconds == 0 or (seconds < 1 < size):
            return "0", name
        if _LEAST * size <= seconds < _TOO_MANY * size:
            return format_number(seconds / size, 3), name
    number, _, name = format_duration(seconds).rpartition(" ")
    return number, name


def range_text(low: float, high: float, dimension: str) -> str:
    """Return a range as text with one unit, or with two if no unit suits both ends.

    Examples
    --------
    >>> range_text(1800.0, 9000.0, "duration"), range_text(0.0, 0.0, "duration")
    ('0.5 to 2.5 h', '0 s')
    >>> range_text(500.0, 172800.0, "duration")
    '8.33 min to 2 d'
    """
    if dimension == "duration" and common_unit([low, high]) is None:
        return in_unit([low, high])
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
