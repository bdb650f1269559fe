"""Several amounts of one quantity as text, in one unit."""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.plots.axis import Axis
from clustersim.units import format_duration, format_number, scale_of

__all__ = ["durations_text", "in_one_unit", "range_text"]

_LEAST = 0.1
"""Smallest duration in the unit of the largest one; otherwise, the smallest decides the unit."""


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
