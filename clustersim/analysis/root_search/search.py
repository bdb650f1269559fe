"""Search for the value at which a noisy measurement equals an objective."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import isotonic_regression

from clustersim.analysis.control_variates import Estimate
from clustersim.analysis.root_search.crossing import (
    OVERLOAD,
    Crossing,
    Root,
    half_width,
    inverse,
    level_of,
)
from clustersim.array_types import Floats
from clustersim.errors import InputError, shown
from clustersim.units import format_number

__all__ = ["RootSearch"]

STEPS = 8
"""A search without a bracket moves outwards by the range divided by this number, or more."""
FAR = math.log(30.0)
"""Largest scaled value of a curve (see `_scaled`) that is interpolated."""
MOST_UNCERTAIN = math.log(1000.0)
"""Half width of the measurement's logarithm from which on the interval is not stated."""
MARGIN = 0.1
"""Smallest distance of a trial value from the ends of its bracket, as a share of the bracket."""
TRUNCATION = 0.2
"""Factor that determines how far a trial value moves from the interpolated crossing towards the
middle of the bracket (see `_next_in`)."""


@dataclass(frozen=True, slots=True)
class RootSearch:
    """Root search for a noisy measurement, under common random numbers.

    Replications use the same random numbers at every value, so their mean is a smooth function.
    Its root is found as if there were no noise (sample average; Chen & Schmeiser, "Stochastic root
    finding via retrospective approximation", IIE Transactions 33, 2001).  The root is bracketed,
    and the bracket is narrowed to a width of `tolerance`.  A monotone curve is then fitted to the
    measurements at all trial values: isotonic regression, and monotone cubic interpolation of
    ``log(1 + x / at_most)`` (Fritsch & Carlson, SIAM Journal on Numerical Analysis 17, 1980).  The
    root is where this curve equals the objective.  The error of the measurement at the root is
    interpolated between the trial values on both sides, for each replication.  The curve then
    converts the interval of the measurement, symmetric on a logarithmic scale, into an interval of
    the value.

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
    start : float, optional
        Value to try first, within the range, because the root is probably near it.  By default, the
        ends of the range are tried first.

    Raises
    ------
    InputError
        If an attribute has a value that is not allowed.

    Examples
    --------
    >>> search = RootSearch(at_most=4.0, low=0.0, high=3.0, tolerance=0.01)
    >>> tried = {}
    >>> while values := search.next_values(tried):
    ...     tried |= {v: Estimate(v**2, v**2 - 0.1, v**2 + 0.1) for v in values}
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
    start: float | None = None

    def __post_init__(self) -> None:
        problems = [
            f"{name}: must be a number above 0, found {shown(number)}"
            for name, number in (("at_most", self.at_most), ("tolerance", self.tolerance))
            if not 0 < number < math.inf
        ]
        if not -math.inf < self.low < self.high < math.inf:
            problems.append(
                f"low must be less than high, found {shown(self.low)} and {self.high!r}"
            )
        elif self.whole and not (float(self.low).is_integer() and float(self.high).is_integer()):
            problems.append(
                f"low, high: must be integers, found {shown(self.low)} and {self.high!r}"
            )
        if self.most_values < 2:
            problems.append(f"most_values: must be 2 or more, found {shown(self.most_values)}")
        if self.start is not None and not self.low <= self.start <= self.high:
            problems.append(f"start: must be within the range, found {shown(self.start)}")
        if problems:
            raise InputError("root search", problems)

    def next_values(self, evaluated: Mapping[float, Estimate]) -> tuple[float, ...]:
        """Return the values to try next; they can be tried at the same time.

        Parameters
        ----------
        evaluated : mapping of float to Estimate
            Estimate of the measurement by trial value.  Values outside the range are allowed.  The
            replications must be in the same order everywhere.  An infinite measurement means that
            the value is overloaded.

        Returns
        -------
        tuple of float
            At most two values; empty when the search is done.  The value of `start` or the ends of
            the range are tried first.  If the root is not between the values tried so far, the next
            value is farther out, until the end of the range is reached.
        """
        first = tuple(value for value in self._first if value not in evaluated)
        if first:
            return first
        crossing = self._crossing(evaluated)
        if (beyond := self._beyond(crossing, evaluated)) is not None:
            return (beyond,) if len(evaluated) < self.most_values else ()
        if self._is_settled(crossing) or len(evaluated) >= self.most_values:
            return ()
        return (self._sign * self._next_in(crossing),)

    def bracket(self, evaluated: Mapping[float, Estimate]) -> tuple[float, ...]:
        """Return the trial values on both sides of the root; only one beyond the outermost.

        Parameters
        ----------
        evaluated : mapping of float to Estimate
            As in :meth:`next_values`, with at least one value.

        Examples
        --------
        >>> search = RootSearch(at_most=4.0, low=0.0, high=3.0, tolerance=0.01)
        >>> search.bracket({v: Estimate(v**2, v**2, v**2) for v in (0.0, 1.5, 2.5, 3.0)})
        (1.5, 2.5)
        """
        crossing = self._crossing(evaluated)
        ends = (crossing.kept, crossing.broken)
        return tuple(self._sign * y for y in ends if math.isfinite(y))

    def result(self, evaluated: Mapping[float, Estimate], *, extend: bool = False) -> Root:
        """Return the root of the fitted curve with its interval.

        Parameters
        ----------
        evaluated : mapping of float to Estimate
            As in :meth:`next_values`, with at least one value.
        extend : bool
            Whether a straight line extends the curve beyond the outermost finite measurements, by
            at most the distance of the last two.  The search may have followed another measurement
            than this one, whose root is near but not between the trial values.

        Returns
        -------
        Root
            If the objective is kept everywhere, the value is infinite because it lies beyond the
            trial values: ``inf`` if the measurement rises, ``-inf`` if it falls.  So is the end of
            the interval beyond it; the other end is the last value that keeps it surely.  If the
            objective is missed everywhere, all three numbers are NaN.  An end of the interval is
            infinite if the measurement does not determine it, or if it is beyond the trial values
            by more than the range of the search.  If overload begins within the bracket, the value
            is the middle of the bracket, and the interval is the bracket.  A whole value is the
            last value that keeps the objective: the largest if the measurement rises, the smallest
            if it falls.

        Raises
        ------
        InputError
            If no value was tried.
        """
        if not evaluated:
            raise InputError("root search", "no value was tried")
        crossing = self._crossing(evaluated)
        extended = self._extended(crossing, evaluated) if extend else None
        if extended is not None:
            return self._fitted(extended, evaluated, "")
        if crossing.at == -math.inf:
            first = (
                f"from {format_number(min(evaluated), 6)}"
                if self.rising
                else f"up to {format_number(max(evaluated), 6)}"
            )
            return Root(math.nan, math.nan, math.nan, f"missed at every value {first}")
        if crossing.at == math.inf:
            last = (
                f"up to {format_number(max(evaluated), 6)}"
                if self.rising
                else f"down to {format_number(min(evaluated), 6)}"
            )
            note = f"kept at every value {last}"
            return self._mirrored(math.inf, self._surely_kept(evaluated), math.inf, note)
        notes = []
        if math.isinf(crossing.broken_by):
            ends = sorted(abs(end) for end in (crossing.kept, crossing.broken))
            notes.append(f"{OVERLOAD} between " + " and ".join(format_number(x, 6) for x in ends))
        if not self._is_settled(crossing):
            notes.append(f"not converged after {len(evaluated)} values")
        note = "; ".join(notes)
        if math.isinf(crossing.broken_by):
            value = crossing.kept if self.whole else crossing.at
            return self._mirrored(value, crossing.kept, crossing.broken, note, at=crossing.at)
        return self._fitted(crossing, evaluated, note)

    def most_left(self, evaluated: Mapping[float, Estimate]) -> int:
        """Return how many more values the search tries at most, by an estimate.

        The root takes as many values as it takes to halve its bracket until it is narrow enough,
        and one more.

        Parameters
        ----------
        evaluated : mapping of float to Estimate
            As in :meth:`next_values`; may be empty.

        Examples
        --------
        >>> search = RootSearch(at_most=4.0, low=0.0, high=1.6, tolerance=0.1)
        >>> tried = {0.0: Estimate(0.0, 0.0, 0.1), 1.6: Estimate(8.0, 7.9, 8.1)}
        >>> search.most_left({}), search.most_left(tried)
        (6, 5)
        """
        if left := sum(value not in evaluated for value in self._first):
            width = self.high - self.low if self.start is None else self._step
            return left + _halvings(width / self._enough) + (self.start is not None)
        crossing = self._crossing(evaluated)
        if self._beyond(crossing, evaluated) is not None:
            steps = 2 + _halvings((self.high - self.low) / self._enough)
            return min(steps, max(0, self.most_values - len(evaluated)))
        steps = 0 if self._is_settled(crossing) else _halvings(crossing.width / self._enough) + 1
        return min(steps, max(0, self.most_values - len(evaluated)))

    @property
    def _sign(self) -> float:
        """Factor (1 or -1) that converts a value to `y`; the measurement rises with `y`."""
        return 1.0 if self.rising else -1.0

    @property
    def _enough(self) -> float:
        """Width of a bracket that is narrow enough."""
        return max(self.tolerance, 1.0) if self.whole else self.tolerance

    @property
    def _first(self) -> tuple[float, ...]:
        """Values that are tried first."""
        return (self.low, self.high) if self.start is None else (self.start,)

    @property
    def _step(self) -> float:
        """Smallest distance of the next value if the root is not between those tried so far."""
        step = (self.high - self.low) / STEPS
        step = step if step > 2 * self._enough else self._enough
        return math.ceil(step) if self.whole else step

    @property
    def _digits(self) -> int:
        """Number of decimals to which trial values are rounded."""
        digits = 1 - math.floor(math.log10(self.tolerance))
        return min(digits, 0) if self.whole else digits

    def _beyond(self, crossing: Crossing, evaluated: Mapping[float, Estimate]) -> float | None:
        """Return the next value outwards if the root is not between the values tried so far.

        None if it is, or if the end of the range was reached.
        """
        if not math.isinf(crossing.at):
            return None
        least, most = min(evaluated), max(evaluated)
        step = max(most - least, self._step)
        if (crossing.at > 0) == self.rising:
            return min(round(most + step, self._digits), self.high) if most < self.high else None
        return max(round(least - step, self._digits), self.low) if least > self.low else None

    def near(self, root: Root) -> float:
        """Return the trial value nearest to the root of a coarser search; an end if it has none."""
        if math.isnan(root.value):
            return self.low if self.rising else self.high
        at = root.value if math.isinf(root.value) else round(root.crossing, self._digits)
        return min(max(at, self.low), self.high)

    def _is_settled(self, crossing: Crossing) -> bool:
        return crossing.width <= self._enough * (1 + 1e-9)

    def _curve(self, evaluated: Mapping[float, Estimate]) -> tuple[Floats, Floats]:
        """Return the trial values as `y`, in order, and the monotone curve at them."""
        tried = sorted(evaluated, key=lambda value: self._sign * value)
        y = self._sign * np.array(tried, dtype=np.float64)
        scaled = np.array([self._scaled(evaluated[value]) for value in tried])
        first = int(np.argmax(np.append(np.isinf(scaled), True)))
        curve = np.full(len(scaled), math.inf)
        if first:
            curve[:first] = isotonic_regression(scaled[:first]).x
        return y, curve

    def _crossing(self, evaluated: Mapping[float, Estimate]) -> Crossing:
        y, curve = self._curve(evaluated)
        first = int(np.argmax(np.append(curve, math.inf) > 0))
        at = np.concatenate([[-math.inf], y, [math.inf]])
        by = np.concatenate([[-math.inf], curve, [math.inf]])
        return Crossing(*map(float, (at[first], at[first + 1], by[first], by[first + 1])))

    def _extended(self, crossing: Crossing, evaluated: Mapping[float, Estimate]) -> Crossing | None:
        """Return the two outermost values whose line crosses the objective just beyond them."""
        y, curve = self._curve(evaluated)
        known = np.flatnonzero(np.isfinite(curve))
        if len(known) < 2 or not (math.isinf(crossing.at) or math.isinf(crossing.broken_by)):
            return None
        pair = known[:2] if crossing.at == -math.inf else known[-2:]
        (kept, broken), (kept_by, broken_by) = y[pair].tolist(), curve[pair].tolist()
        if not broken_by > kept_by:
            return None
        found = Crossing(kept, broken, kept_by, broken_by)
        reach = min(broken + found.width, crossing.broken)
        return found if kept - found.width <= found.at < reach else None

    def _scaled(self, measured: Estimate) -> float:
        """Return the measurement as ``log((1 + x / at_most) / 2)``; infinite under overload."""
        if not math.isfinite(measured.value):
            return math.inf
        return level_of(max(measured.value, 0.0) / self.at_most)

    def _fitted(self, crossing: Crossing, evaluated: Mapping[float, Estimate], note: str) -> Root:
        """Return the root of the monotone curve, and the interval that the error there allows."""
        y, curve = self._curve(evaluated)
        y, curve = y[np.isfinite(curve)], curve[np.isfinite(curve)]
        slope = (crossing.broken_by - crossing.kept_by) / crossing.width
        at = inverse(y, curve, 0.0, slope)
        if crossing.kept_by <= 0 < crossing.broken_by:
            at = min(max(at, crossing.kept), crossing.broken)
        value = float(math.floor(at)) if self.whole else at
        kept, broken = (evaluated[self._sign * end] for end in (crossing.kept, crossing.broken))
        freedom = min(kept.freedom, broken.freedom)
        if not freedom or len(kept.influence) != len(broken.influence):
            return self._mirrored(value, -math.inf, math.inf, note, at=at)
        part = (at - crossing.kept) / crossing.width
        parts = (1 - part) * np.array(kept.influence) + part * np.array(broken.influence)
        parts /= self.at_most
        half = half_width(parts, freedom)
        if half > MOST_UNCERTAIN:
            return self._mirrored(value, -math.inf, math.inf, note, at=at)
        lower, upper = (level_of(math.exp(change)) for change in (-half, half))
        low, high = inverse(y, curve, lower, slope), inverse(y, curve, upper, slope)
        per_unit = (high - low) / (2.0 * half) if half > 0 else 0.5 / slope
        if self.whole:
            low, high = math.floor(low), math.ceil(high)
        reach = self.high - self.low
        low = low if low >= y[0] - reach else -math.inf
        high = high if high <= y[-1] + reach else math.inf
        influence = tuple((-parts * per_unit).tolist())
        return self._mirrored(value, low, high, note, influence, freedom, at)

    def _surely_kept(self, evaluated: Mapping[float, Estimate]) -> float:
        """Return the largest `y` that keeps the objective surely, if all trial values keep it."""
        y, curve = self._curve(evaluated)
        last = evaluated[self._sign * float(y[-1])]
        value = max(last.value, math.ulp(0.0))
        level = level_of(math.exp(-half_width(np.array(last.influence) / value, last.freedom)))
        if level >= curve[-1]:
            return math.inf
        return inverse(y, curve, level, 1.0) if level > curve[0] else -math.inf

    def _mirrored(
        self,
        value: float,
        low: float,
        high: float,
        note: str,
        influence: tuple[float, ...] = (),
        freedom: float = 0,
        at: float = math.nan,
    ) -> Root:
        """Return a root and its interval in `y` as a root of the searched value."""
        if self.rising:
            return Root(value, low, high, note, influence, freedom, at)
        mirrored = tuple(-part for part in influence)
        return Root(-value, -high, -low, note, mirrored, freedom, -at)

    def _next_in(self, crossing: Crossing) -> float:
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
            move = max(0.5 * self._enough, TRUNCATION * width**2 / (self.high - self.low))
            y = crossing.at + min(max(middle - crossing.at, -move), move)
            y = min(max(y, kept + MARGIN * width), broken - MARGIN * width)
        if self.whole:
            return min(max(round(y, self._digits), kept + 1), broken - 1)
        return round(y, self._digits)


def _halvings(ratio: float) -> int:
    """Return how often a width must be halved to shrink by a ratio."""
    return max(0, math.ceil(math.log2(ratio)))
