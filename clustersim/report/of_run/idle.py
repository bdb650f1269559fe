"""What a run says of accelerators that were idle while jobs waited, and why the longest wait."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from clustersim.analysis.submitted import Submitted
from clustersim.errors import InputError
from clustersim.explanation.causes import CAUSE_TEXTS
from clustersim.explanation.explain import explain
from clustersim.explanation.holds import HELD
from clustersim.explanation.job import JobWait
from clustersim.simulation.queue_length import idle_while_waiting
from clustersim.simulation.result import Result
from clustersim.units import counted, format_duration, format_number, format_percent

__all__ = ["idle_text"]

_IDLE = 0.1
"""Share of accelerators that are idle while jobs wait from which on the card names it."""
_WITH_DETAIL = [cause.label for cause in HELD]
"""Causes outside the queue, such as a dependency, whose text names what held the job."""
_WAITING = 0.05
"""Share of the run in which jobs wait from which on it does."""


def idle_text(
    result: Result, queue_length: pd.DataFrame, begin_s: float, end_s: float
) -> Iterator[str]:
    """Yield how many accelerators were idle while jobs waited, and why one job waited longest.

    Nothing if few were idle, or jobs hardly waited.

    Parameters
    ----------
    result : Result
    queue_length : pandas.DataFrame
        See :func:`~clustersim.simulation.queue_length.queue_length`.
    begin_s, end_s : float
        Period of the run, seconds.
    """
    idle = idle_while_waiting(queue_length, result.utilisation, begin_s=begin_s, end_s=end_s)
    if idle.idle < _IDLE or idle.waiting_s < _WAITING * (end_s - begin_s):
        return
    yield (
        f"Idle accelerators: for {format_duration(idle.waiting_s, whole=True)} at least one job "
        f"waited ({format_number(idle.jobs, 2)} on average), while {format_percent(idle.idle, 0)} "
        f"of the accelerators were idle. {_longest_wait(result)}"
    )


def _longest_wait(result: Result) -> str:
    """Return why the job that waited longest over all its attempts did, as far as it is known."""
    submitted = Submitted.of(result)
    jobs = result.jobs[result.jobs["submit_s"] <= submitted.end_s]
    longest = jobs["job_id"].iloc[int(np.nanargmax(submitted.total_wait_s))]
    try:
        found = explain(result, job=longest)
    except InputError:  # the result does not say on which cluster or with which files it ran
        return "clustersim explain says what jobs waited for, if it gets the cluster of the run."
    size = counted(found.n_accelerators, "accelerator")
    on = f" on {found.partition}" if found.partition else ""
    waited = format_duration(found.waited_s, whole=True)
    return f"The job that waits longest is {longest} ({size}{on}): {waited}{_because(found)}."


def _because(found: JobWait) -> str:
    """Return the cause that held a job longest, with its share of the wait and what it was."""
    if found.without.empty:
        return ""
    main = found.without.sort_values("seconds", ascending=False, kind="stable").iloc[0]
    name, share = str(main["cause"]), format_percent(float(main["share"]), 0)
    own = found.intervals[found.intervals["cause"] == name]
    longest = own.iloc[int((own["end_s"] - own["begin_s"]).to_numpy(dtype=np.float64).argmax())]
    detail = f" ({longest['detail']})" if name in _WITH_DETAIL else ""
    return f", {share} of it because {CAUSE_TEXTS[name]}{detail}"
