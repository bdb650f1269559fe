"""Check, from the submission times, that a study's window contains jobs to measure."""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Floats
from clustersim.calendar import UNDATED, Calendar, period_ends_s
from clustersim.scenario.dates import instant_s
from clustersim.studies.spec import Window
from clustersim.units import find_quantity, format_duration

__all__ = ["check_window"]


def check_window(
    submit_s: Floats,
    window: Window,
    horizon_s: float | None,
    calendar: Calendar = UNDATED,
) -> list[str]:
    """Return why no job can be measured; empty if jobs can be measured.

    Parameters
    ----------
    submit_s : float64 array (jobs,)
        Submission times in order.
    window : Window
        See :func:`~clustersim.analysis.measures.measure`.
    horizon_s : float, optional
        Time at which the run stops.
    calendar : Calendar
        Calendar of the run.
    """
    if window.periods is not None and horizon_s is None:
        return ["window.periods: the scenario needs a `horizon`, such as 365 d"]
    if horizon_s is not None:
        before = int(np.searchsorted(submit_s, horizon_s, side="right"))
        if before == 0:
            return [f"horizon: no job arrives within {format_duration(horizon_s)}"]
        submit_s = submit_s[:before]
        ends_s = period_ends_s(horizon_s, len(window.period_names) or None, calendar)
        if ends_s and submit_s[-1] < ends_s[-2]:
            last = format_duration(float(submit_s[-1]))
            period = window.period_names[-1]
            return [
                f"window.periods: no job arrives in period {period}; the last job arrives at {last}"
            ]
    begin, end = _left_out_s(window.warm_up), _left_out_s(window.cool_down)
    since, until = instant_s(window.warm_up), instant_s(window.cool_down)
    begin = begin if since is None else since - float(submit_s[0])
    end = end if until is None else float(submit_s[-1]) - until
    if begin is not None:
        first_job = int(np.searchsorted(submit_s, submit_s[0] + begin))
    else:
        first_job = int(len(submit_s) * window.warm_up) if window.warm_up != "mser-5" else 0
    if end is not None:
        behind = int(np.searchsorted(submit_s, submit_s[-1] - end, side="right"))
    else:
        behind = int(len(submit_s) * (1 - float(window.cool_down)))
    if first_job < max(1, behind):
        return []
    ends = f"warm_up {window.warm_up} and cool_down {window.cool_down}"
    return [f"window: {ends} exclude all of the {len(submit_s):,} jobs"]


def _left_out_s(given: float | str) -> float | None:
    """Return the seconds excluded at one end of a window, if it is given as a duration."""
    quantity = find_quantity(given)
    return None if quantity is None else quantity.value
