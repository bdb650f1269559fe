"""Several amounts of one quantity as text, in one unit."""

from __future__ import annotations

from collections.abc import Sequence

from clustersim.plots.axis import Axis

__all__ = ["in_one_unit", "range_text"]


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
