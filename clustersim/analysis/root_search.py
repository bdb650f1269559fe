"""Search for the value at which a noisy measurement equals an objective."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clustersim.analysis.statistics import mean_interval
from clustersim.array_types import Floats
from clustersim.errors import InputError
from clustersim.units import format_number

__all__ = ["Root", "RootSearch"]

FAR = math.log(30.0)
"""Largest scaled value of a curve (see `_scaled`) that is interpolated."""
MARGIN = 0.1
"""Smallest distance of a trial value from the ends of its bracket, as a share of the bracket."""
TRUNCATION = 0.2
"""Factor that determines how far a trial value moves from the interpolated crossing towards the
middle of the bracket (see `_next_in`)."""
PART_OF_HALF_WIDTH = 0.2
"""Tolerance for the ends of the interval, as a share of the half width."""


@dataclass(frozen=True, slots=True)
class Root:
    """Result of a search.

    Attributes
    ----------
    value : float
        Value at which the mean over the replications equals the objective.
    low, high : float
        95 % interval of the value: all values at which the t interval of the mean contains the
        objective.
    note : str
        Remark, for example why there is no value; empty if there is nothing to report.
    """

    value: float
    low: float
    high: float
    note: str


@dataclass(frozen=True, slots=True)
class _Crossing:
    """The first crossing of the objective by a curve that rises with `y`.

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


@dataclass(frozen=True, slots=True)
class RootSearch:
    """Root search for a noisy measurement, under common random numbers.

    Replications use the same random numbers at every value, so their mean is a smooth function.
    Its root is found as if there were no noise (sample average; Chen & Schmeiser, "Stochastic root
    finding via retrospective approximation", IIE Transactions 33, 2001).  The interval inverts the
    t test: its ends are the values at which the upper and lower confidence curves of the mean cross
    the objective.  Each of these three crossings is bracketed, and the bracket is narrowed to a
    width of `tolerance`.  For the ends of the interval, a width of a fifth of their distance from
    the value is enough.

    The search has no state: the next values depend only on the values tried so far, in whatever
    order.

    Attributes
    ----------
    at_most : float
        The objective: the largest allowed mean of the measurement.  It must be more than 0, and the
        measurement must not be negative.
    low, high : float
        Range to search.
    tolerance : float
        Tolerance of the value, in its own unit.
    whole : bool
        Whether the value must be a whole number.
    rising : bool
        Whether the measurement rises with the value (load) or falls (fleet size).
    most_values : int
        Largest number of values to try, including values tried before the search.

    Raises
    ------
    InputError
        If an attribute has a value that is not allowed.

    Examples
    --------
    >>> search = RootSearch(at_most=4.0, low=0.0, high=3.0, tolerance=0.01)
    >>> tried = {}
    >>> while values := search.next_values(tried):
    ...     tried |= {value: [value**2 - 0.1, value**2 + 0.1] for value in values}
    >>> round(search.result(tried).value, 3)
    2.0
    """

    at_most: float
    low: float
    high: float
    tolerance: float
    whole: bool = False
    rising: bool = True
    most_values: int = 40

    def __post_init__(self) -> None:
        problems = [
            f"{name}: must be a number above 0, found {number!r}"
            for name, number in (("at_most", self.at_most), ("tolerance", self.tolerance))
            if not 0 < number < math.inf
        ]
        if not -math.inf < self.low < self.high < math.inf:
            problems.append(f"low must be less than high, found {self.low!r} and {self.high!r}")
        elif self.whole and not (float(self.low).is_integer() and float(self.high).is_integer()):
            problems.append(f"low, high: must be integers, found {self.low!r} and {self.high!r}")
        if self.most_values < 2:
            problems.append(f"most_values: must be 2 or more, found {self.most_values!r}")
        if problems:
            raise InputError("root search", problems)

    def next_values(self, evaluated: Mapping[float, npt.ArrayLike]) -> tuple[float, ...]:
        """Return the values to try next; they can be tried at the same time.

        Parameters
        ----------
        evaluated : mapping of float to array_like (replications,)
            Measurements of each replication by trial value.  Values outside the range are allowed.
            The replications must be in the same order everywhere; NaN values are ignored.  An
            infinite measurement means that the value is overloaded.

        Returns
        -------
        tuple of float
            At most three values; empty when the search is done.  The ends of the range are tried
            first.
        """
        ends = tuple(end for end in (self.low, self.high) if end not in evaluated)
        if ends:
            return ends
        crossings = self._crossings(evaluated)
        tries: dict[tuple[float, float], float] = {}
        for crossing, tolerance in self._unsettled(crossings):
            bracket = (crossing.kept, crossing.broken)
            if bracket not in tries:
                tries[bracket] = self._next_in(crossing, tolerance)
        left = max(0, self.most_values - len(evaluated))
        return tuple(self._sign * y for y in tries.values())[:left]

    def result(self, evaluated: Mapping[float, npt.ArrayLike]) -> Root:
        """Return the root with its interval.

        Parameters
        ----------
        evaluated : mapping of float to array_like (replications,)
            As in :meth:`next_values`, with at least one value.

        Returns
        -------
        Root
            If the objective is kept everywhere, the value is infinite because it lies beyond the
            trial values: ``inf`` if the measurement rises, ``-inf`` if it falls.  If the objective
            is missed everywhere, all three numbers are NaN.  An end of the interval beyond the
            trial values is infinite.  If overload begins within the bracket, the value is the
            middle of the bracket, and the ends of the interval are the outer ends of their
            brackets.  A whole value is the last trial value that keeps the objective: the largest
            if the measurement rises, the smallest if it falls.

        Raises
        ------
        InputError
            If no value was tried.
        """
        if not evaluated:
            raise InputError("root search", "no value was tried")
        crossings = self._crossings(evaluated)
        value = crossings[0].at
        if value == -math.inf:
            first = (
                f"from {format_number(min(evaluated), 6)}"
                if self.rising
                else f"up to {format_number(max(evaluated), 6)}"
            )
            return Root(math.nan, math.nan, math.nan, f"missed at every value {first}")
        note = ""
        if value == math.inf:
            last = (
                f"up to {format_number(max(evaluated), 6)}"
                if self.rising
                else f"down to {format_number(min(evaluated), 6)}"
            )
            note = f"kept at every value {last}"
        elif self._unsettled(crossings):
            note = f"not converged after {len(evaluated)} values"
        elif math.isinf(crossings[0].broken_by):
            ends = sorted(abs(end) for end in (crossings[0].kept, crossings[0].broken))
            note = "overload begins between " + " and ".join(format_number(x, 6) for x in ends)
        mean, upper, lower = crossings
        if self.whole:
            value = self._ends(mean)[0]
        low, high = self._ends(upper)[0], self._ends(lower)[1]
        return Root(value, low, high, note) if self.rising else Root(-value, -high, -low, note)

    @property
    def _sign(self) -> float:
        """Factor (1 or -1) that converts a value to `y`; the measurement rises with `y`."""
        return 1.0 if self.rising else -1.0

    def _crossings(self, evaluated: Mapping[float, npt.ArrayLike]) -> list[_Crossing]:
        """Return the crossings of the mean and of its upper and lower confidence curves."""
        tried = sorted(evaluated, key=lambda value: self._sign * value)
        y = self._sign * np.array(tried, dtype=np.float64)
        curves = np.array([self._scaled(evaluated[value]) for value in tried]).T
        return [_first_crossing(y, curve) for curve in curves]

    def _scaled(self, measured: npt.ArrayLike) -> Floats:
        """Return mean, upper and lower limit, each as ``log((1 + x / at_most) / 2)``."""
        numbers = np.asarray(measured, dtype=np.float64)
        if np.isinf(numbers).any() or np.isnan(numbers).all():
            return np.full(3, math.inf)
        mean, low, high = mean_interval(numbers)
        return np.log1p(np.maximum([mean, high, low], 0.0) / self.at_most) - math.log(2.0)

    def _ends(self, crossing: _Crossing) -> tuple[float, float]:
        """Return the two values between which a crossing lies; equal if it is interpolated."""
        if crossing.width and self.whole:
            return crossing.kept, crossing.broken - 1
        if crossing.width and math.isinf(crossing.broken_by):
            return crossing.kept, crossing.broken
        return crossing.at, crossing.at

    def _unsettled(self, crossings: list[_Crossing]) -> list[tuple[_Crossing, float]]:
        """Return the crossings whose bracket is still too wide, with the allowed widths."""
        mean = crossings[0]
        if mean.at == -math.inf:
            return []
        least = max(self.tolerance, 1.0) if self.whole else self.tolerance
        unsettled = []
        for crossing in crossings:
            half = abs(crossing.at - mean.at)
            enough = max(least, PART_OF_HALF_WIDTH * half) if math.isfinite(half) else least
            if crossing.width > enough * (1 + 1e-9):
                unsettled.append((crossing, enough))
        return unsettled

    def _next_in(self, crossing: _Crossing, tolerance: float) -> float:
        """Return the next trial value within a bracket.

        The trial value is the interpolated crossing, moved a little towards the middle of the
        bracket.  It is then beyond the crossing, and the longer part of the bracket is excluded.
        This is the truncation of Oliveira & Takahashi, "An enhancement of the bisection method
        average performance preserving minmax optimality", ACM Trans. Mathematical Software 47
        (2020), with exponent 2.  If the curve is far above the objective at `broken`, the trial
        value is the middle.
        """
        kept, broken, width = crossing.kept, crossing.broken, crossing.width
        middle = kept + 0.5 * width
        if crossing.broken_by > FAR:
            y = middle
        else:
            move = max(0.5 * tolerance, TRUNCATION * width**2 / (self.high - self.low))
            y = crossing.at + min(max(middle - crossing.at, -move), move)
            y = min(max(y, kept + MARGIN * width), broken - MARGIN * width)
        digits = 1 - math.floor(math.log10(self.tolerance))
        if self.whole:
            return min(max(round(y, min(digits, 0)), kept + 1), broken - 1)
        return round(y, digits)


def _first_crossing(y: Floats, curve: Floats) -> _Crossing:
    broken = np.flatnonzero(curve > 0)
    first = int(broken[0]) if len(broken) else len(y)
    at = np.concatenate([[-math.inf], y, [math.inf]])
    by = np.concatenate([[-math.inf], curve, [math.inf]])
    return _Crossing(*map(float, (at[first], at[first + 1], by[first], by[first + 1])))
