"""Search for the largest planning utilisation at which the service meets the objective."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Correction"]

FIRST_STEP = 0.1
"""First step down, as a share of the first value tried; each further step is twice as large."""
MARGIN = 0.2
"""Smallest distance of a trial value from the ends of the bracket, as a share of its width."""


@dataclass(frozen=True, slots=True)
class Correction:
    """A search for the largest planning utilisation at which the service meets the objective.

    As long as the service misses the objective, the search lowers the utilisation in steps that
    double.  Once a value meets the objective, the search interpolates between the ends of the
    bracket and keeps a margin from both ends (safeguarded false position).  The interpolated
    quantity is the logarithm of one plus the measurement divided by the objective.  A utilisation
    at which no plan is possible is a lower limit of the search.

    Attributes
    ----------
    begin : float
        The first value to try.
    lowest : float
        The smallest value to try.
    at_most : float
        The objective: the largest measurement allowed, more than 0.
    tolerance : float
        Width of the bracket at which the search ends.

    Examples
    --------
    >>> search = Correction(begin=0.8, lowest=0.2, at_most=1.0, tolerance=0.01)
    >>> tried = {}
    >>> while (value := search.next_value(tried)) is not None:
    ...     tried[value] = 4 * value**2
    >>> round(search.result(tried), 2)
    0.5
    """

    begin: float
    lowest: float
    at_most: float
    tolerance: float

    def next_value(self, tried: Mapping[float, float | None]) -> float | None:
        """Return the next value to try; None if the search has ended.

        Parameters
        ----------
        tried : mapping of float to float or None
            Measurement for each utilisation tried; None if no plan is possible there.
        """
        if not tried:
            return self.begin
        kept, missed, floor = self._bracket(tried)
        if missed is None:
            return None
        if kept is None and floor is None:
            if missed <= self.lowest:
                return None
            step = FIRST_STEP * self.begin * 2.0 ** (len(tried) - 1)
            return max(self.lowest, missed - step)
        low = max(value for value in (kept, floor) if value is not None)
        if missed - low <= self.tolerance:
            return None
        return low + (missed - low) * self._share(tried, low, missed)

    def result(self, tried: Mapping[float, float | None]) -> float | None:
        """Return the largest utilisation tried that met the objective; None if none did."""
        return self._bracket(tried)[0]

    def _bracket(
        self, tried: Mapping[float, float | None]
    ) -> tuple[float | None, float | None, float | None]:
        """Return the ends of the bracket and the floor; each is None if it is unknown.

        The ends are the largest utilisation that meets the objective and the smallest larger
        utilisation that misses it.  The floor is the largest utilisation at which no plan is
        possible.
        """
        good = [v for v, measure in tried.items() if measure is not None and self._meets(measure)]
        kept = max(good, default=None)
        bad = [
            value
            for value, measure in tried.items()
            if measure is not None and not self._meets(measure) and (kept is None or value > kept)
        ]
        floor = max((value for value, measure in tried.items() if measure is None), default=None)
        return kept, min(bad, default=None), floor

    def _meets(self, measure: float) -> bool:
        return measure <= self.at_most

    def _share(self, tried: Mapping[float, float | None], low: float, high: float) -> float:
        """Return the next value's position in the bracket, as a share of its width."""
        below, above = tried[low], tried[high]
        if below is None or above is None or not math.isfinite(above):
            return 0.5
        target = math.log1p(1.0)
        left, right = (math.log1p(measure / self.at_most) for measure in (below, above))
        return min(max((target - left) / (right - left), MARGIN), 1.0 - MARGIN)
