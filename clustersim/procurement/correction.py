"""The search for the planning utilisation at which the simulated service meets the objective."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Correction"]

FIRST_STEP = 0.1
"""The first step down, as a share of the start value; each further step is twice as long."""
MARGIN = 0.2
"""Smallest distance of a trial value from the ends of its bracket, as a share of its width."""


@dataclass(frozen=True, slots=True)
class Correction:
    """A search for the largest planning utilisation at which the service meets the objective.

    While the service misses the objective, the search goes down in steps that double.  Once a value
    meets it, the search interpolates the logarithm of one plus the measurement between the last two
    values, but keeps away from both ends (safeguarded false position).  A utilisation at which no
    plan is possible is a lower limit of the search.

    Attributes
    ----------
    begin : float
        The first value to try.
    lowest : float
        The smallest value to try.
    at_most : float
        The objective, more than 0.
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
        """Return the value to try next; None when done.

        Parameters
        ----------
        tried : mapping of float to float or None
            The measurement by utilisation; None if no plan is possible.
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
        """Return the largest value that meets the objective, the next above it, and the floor."""
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
        """Return the position of the next value in its bracket, as a share of the width."""
        below, above = tried[low], tried[high]
        if below is None or above is None or not math.isfinite(above):
            return 0.5
        target = math.log1p(1.0)
        left, right = (math.log1p(measure / self.at_most) for measure in (below, above))
        return min(max((target - left) / (right - left), MARGIN), 1.0 - MARGIN)
