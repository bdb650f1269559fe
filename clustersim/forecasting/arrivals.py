"""Jobs that are submitted after now: stretches of the site's log, drawn for each replication."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.calendar import DAY_S
from clustersim.catalogue import Catalogue
from clustersim.engine.partitions import build_partitions
from clustersim.forecasting.shared_limits import texts_of_log
from clustersim.scheduling import Placement
from clustersim.seeds import Streams
from clustersim.simulation.eligibility import find_eligibility
from clustersim.simulation.runtimes import Runtimes
from clustersim.topology import Cluster

__all__ = ["Arrivals", "NewJobs", "arrivals_of"]


@dataclass(frozen=True, slots=True, eq=False)
class NewJobs:
    """The jobs of one replication that are submitted after now.

    Attributes
    ----------
    submit_s, run_s, estimate_s : float64 arrays (jobs,)
        Seconds; submissions from now.
    n_accelerators, choice_of : int64 arrays (jobs,)
    of : pandas.DataFrame
        ``user``, ``account``, ``qos``, ``vc`` and ``n_accelerators`` of the jobs; texts are empty
        if not known.
    unended : int64 array (jobs,)
        Row of a job of the state that has not ended, whose run time is that of the replication;
        -1 for others.
    """

    submit_s: Floats
    run_s: Floats
    estimate_s: Floats
    n_accelerators: Ints
    choice_of: Ints
    of: pd.DataFrame
    unended: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """Draws the jobs of a window of the log.

    Attributes
    ----------
    jobs : NewJobs
        All jobs of the log that can run, in order of submission.
    choices : list of tuple of int
        Sets of partitions on which the jobs can run.
    window_s : float
        Length of the window, seconds.
    begins_s : float64 array
        Times of the log at which a window may begin.
    what : str
        Where the jobs come from, for the reader.
    """

    jobs: NewJobs
    choices: list[tuple[int, ...]]
    window_s: float
    begins_s: Floats
    what: str

    def draw(self, streams: Streams) -> NewJobs:
        """Return the jobs of a window that is drawn at random, with submissions from now."""
        begin = streams("window of arrivals").choice(self.begins_s)
        jobs = self.jobs
        first, last = np.searchsorted(jobs.submit_s, [begin, begin + self.window_s])
        part = slice(int(first), int(last))
        return NewJobs(
            jobs.submit_s[part] - begin,
            jobs.run_s[part],
            jobs.estimate_s[part],
            jobs.n_accelerators[part],
            jobs.choice_of[part],
            jobs.of.iloc[part],
            jobs.unended[part],
        )


def arrivals_of(
    history: pd.DataFrame,
    cluster: Cluster,
    placement: type[Placement],
    *,
    window_s: float,
    now_s: float | None,
    unended: Mapping[str, int],
    default_limit_s: float,
    catalogue: Catalogue | None,
    spans: bool = False,
) -> Arrivals | None:
    """Return the arrivals of a log; None if the log is too short for a window.

    Parameters
    ----------
    history : pandas.DataFrame
        A jobs table; ``duration_s`` is missing for jobs that have not ended.
    cluster, placement, catalogue, spans
        Where the jobs run, and whether they can run on several pools at once.
    window_s : float
        Length of a window, seconds.
    now_s : float, optional
        The present on the time axis of the log. If it is given, windows begin a whole number
        of days (of weeks, if the log has eight) before it, at the same time of day.
    unended : mapping of str to int
        The row in the state of each job that has not ended, by its id.
    default_limit_s : float
        Limit of jobs without one.
    """
    history = history.sort_values("submit_s", kind="stable", ignore_index=True)
    submit = history["submit_s"].to_numpy(dtype=np.float64)
    first, last = float(submit.min()), float(submit.max() if now_s is None else now_s)
    window_s = min(window_s, (last - first) / 2)
    if window_s <= 0:
        return None
    step = 7 * DAY_S if last - first >= 56 * DAY_S and now_s is not None else DAY_S
    count = int((last - first - window_s) // step)
    if now_s is None or count < 4:
        begins = np.linspace(first, last - window_s, 200)
        how = "at any time of day"
    else:
        begins = np.asarray(last - step * np.arange(1, count + 1), dtype=np.float64)
        begins = begins[begins + window_s <= last]
        how = "at the same time of day" if step == DAY_S else "at the same time of the week"
    if not len(begins):
        begins, how = np.array([first]), "the whole log"
    ones = np.ones((len(cluster.pools), len(history)))
    eligible = find_eligibility(
        history.assign(duration_s=1.0),
        cluster,
        build_partitions(cluster, placement),
        Runtimes(ones, ones, {}),
        catalogue,
        spans=spans,
    )
    run_s = history["duration_s"].to_numpy(dtype=np.float64, na_value=np.nan)
    rows = np.full(len(history), -1, dtype=np.int64)
    if "job_id" in history:
        for at in np.flatnonzero(np.isnan(run_s)):
            rows[at] = unended.get(str(history["job_id"].iloc[at]), -1)
    keep = (eligible.choice_of >= 0) & ((run_s > 0) | (rows >= 0))
    estimate = (
        history["estimate_s"].to_numpy(dtype=np.float64, na_value=np.nan)
        if "estimate_s" in history
        else np.full(len(history), np.nan)
    )
    estimate = np.where(np.isfinite(estimate), estimate, np.fmax(run_s, default_limit_s))
    of = texts_of_log(history)
    jobs = NewJobs(
        submit[keep],
        run_s[keep],
        estimate[keep],
        history["n_accelerators"].to_numpy(dtype=np.int64)[keep],
        eligible.choice_of[keep],
        of[keep],
        rows[keep],
    )
    what = (
        f"further jobs arrive as in stretches of the log, drawn anew in each replication ({how}; "
        "--no-arrivals leaves them out)"
    )
    return Arrivals(jobs, eligible.choices, window_s, begins, what)
