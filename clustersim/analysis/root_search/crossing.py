"""Where a measured curve crosses an objective, and the interval of the crossing."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from scipy import special
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq

from clustersim.array_types import Floats

__all__ = [
    "OVERLOAD",
    "Crossing",
    "Root",
    "begins_overload",
    "half_width",
    "inverse",
    "level_of",
]

OVERLOAD = "overload begins"
"""Start of the note of a root at which overload begins."""


@dataclass(frozen=True, slots=True)
class Root:
    """Result of a search.

    Attributes
    ----------
    value : float
        Value at which the measurement equals the objective.
    low, high : float
        95 % interval of the value: from where the fitted curve reaches one end of the interval of
        the measurement at the value to where it reaches the other end.
    note : str
        Remark, for example why there is no value; empty if there is nothing to report.
    influence : tuple of float (replications,)
        What each replication contributes to the error of the value; see
        :class:`~clustersim.analysis.control_variates.Estimate`.  Empty if it is not known.
    freedom : float
        Degrees of freedom of Student's t.
    crossing : float
        Value at which the fitted curve equals the objective; it differs from `value` only for whole
        numbers.
    """

    value: float
    low: float
    high: float
    note: str
    influence: tuple[float, ...] = ()
    freedom: float = 0
    crossing: float = field(default=math.nan, compare=False)


@dataclass(frozen=True, slots=True)
class Crossing:
    """The crossing of the objective by a curve that rises with `y`.

    `kept` and `broken` are the trial values on either side of the crossing, or infinite beyond the
    outermost trial value.  `kept_by` and `broken_by` are the values of the curve there, scaled to
    be 0 at the objective.
    """

    kept: float
    broken: float
    kept_by: float
    broken_by: float

    @property
    def width(self) -> float:
        """Width of the bracket; 0 if it has an infinite end, because it is then not refined."""
        width = self.broken - self.kept
        return width if math.isfinite(width) else 0.0

    @property
    def at(self) -> float:
        """Interpolated crossing; the middle of the bracket if the curve is infinite at `broken`."""
        if not self.width:
            return self.kept if math.isinf(self.kept) else self.broken
        if math.isinf(self.broken_by):
            return 0.5 * (self.kept + self.broken)
        return self.kept - self.width * self.kept_by / (self.broken_by - self.kept_by)


def begins_overload(note: str) -> bool:
    """Return whether the note of a root says that overload begins at it.

    The ends of its interval are then the trial values on both sides, which chance does not widen.

    Examples
    --------
    >>> begins_overload("overload begins between 0.8 and 0.9")
    True
    """
    return note.startswith(OVERLOAD)


def inverse(y: Floats, curve: Floats, level: float, slope: float) -> float:
    """Return where a monotone curve reaches a level; a straight line continues it at both ends."""
    if level <= curve[0]:
        return float(y[0] - (curve[0] - level) / slope)
    if level >= curve[-1]:
        return float(y[-1] + (level - curve[-1]) / slope)
    fit = PchipInterpolator(y, curve)
    return float(brentq(lambda at: float(fit(at)) - level, y[0], y[-1], xtol=1e-12))


def level_of(ratio: float) -> float:
    """Return the scaled value of a measurement by its ratio to the objective; 0 at the objective.

    Examples
    --------
    >>> level_of(1.0), round(level_of(3.0), 3)
    (0.0, 0.693)
    """
    return math.log1p(ratio) - math.log(2.0)


def half_width(parts: Floats, freedom: float) -> float:
    """Return half the width of the interval of an estimate with such an influence."""
    if not freedom:
        return math.inf
    return float(special.stdtrit(freedom, 0.975) * math.sqrt((parts**2).sum()))
