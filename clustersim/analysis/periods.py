"""The periods of a horizon."""

from __future__ import annotations

import numpy as np

from clustersim.calendar import DAY_S, UNDATED, Calendar

__all__ = ["period_ends_s"]

WHOLE_MONTHS_S = 2 * DAY_S
"""Largest difference (seconds) between a horizon and the end of a month for which the horizon
counts as a whole number of months.  It allows for years of 365.25 d."""


def period_ends_s(
    horizon_s: float | None, periods: int | None, calendar: Calendar = UNDATED
) -> list[float]:
    """Return the boundaries of the periods of a horizon; empty without a horizon or periods.

    The periods have equal lengths.  There is one exception: if the run starts at the beginning of a
    month and the horizon is, within two days, a number of months divisible by `periods`, each
    period is a whole number of calendar months, and the last one ends with the horizon.

    Examples
    --------
    >>> from datetime import datetime
    >>> year = period_ends_s(365.25 * DAY_S, 4, Calendar(datetime(2026, 1, 1)))
    >>> [end / DAY_S for end in year]
    [0.0, 90.0, 181.0, 273.0, 365.25]
    """
    if horizon_s is None or periods is None:
        return []
    start = calendar.start
    if start is not None and start.replace(day=1, hour=0, minute=0, second=0) == start:
        months = np.append(0.0, calendar.month_edges_s(horizon_s + WHOLE_MONTHS_S + 1.0))
        each, left = divmod(len(months) - 1, periods)
        if each > 0 and left == 0 and abs(months[-1] - horizon_s) <= WHOLE_MONTHS_S:
            return [*months[:-1:each].tolist(), horizon_s]
    return [float(end) for end in np.linspace(0.0, horizon_s, periods + 1)]
