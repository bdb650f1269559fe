"""The limits and dependencies of the jobs of a state, and of the jobs that arrive later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from clustersim.array_types import Ints
from clustersim.engine.limits import Limits
from clustersim.forecasting.shared_limits import SharedLimit

__all__ = [
    "UNNAMED",
    "limits_of",
    "predecessors_of",
    "waiting_for_unknown",
    "waiting_for_unnamed",
    "with_further",
]

UNNAMED = "waits for another job that the file does not name"
"""What is said of a job that waits for a job which its file does not name."""


def predecessors_of(jobs: pd.DataFrame) -> dict[int, frozenset[int]]:
    """Return the rows of the jobs of a state that must end before a job, by its row.

    Parameters
    ----------
    jobs : pandas.DataFrame
        ``job_id``, ``row_id``, ``array`` and ``depends_on`` of all jobs, of which only those that
        wait depend on others.

    Examples
    --------
    >>> jobs = pd.DataFrame({"job_id": ["1", "2"], "row_id": ["1", "2"], "array": ""})
    >>> predecessors_of(jobs.assign(depends_on=[(), ("1", "9")]))
    {1: frozenset({0})}
    """
    ids: dict[str, set[int]] = {}
    for row, names in enumerate(zip(jobs["job_id"], jobs["row_id"], jobs["array"], strict=True)):
        for name in names:
            if name:
                ids.setdefault(str(name).partition(".")[0], set()).add(row)
    after = {
        row: frozenset(other for name in names for other in ids.get(name, ())) - {row}
        for row, names in enumerate(jobs["depends_on"])
        if names
    }
    return {row: others for row, others in after.items() if others}


def waiting_for_unknown(
    predecessors: Mapping[int, frozenset[int]], unknown: Mapping[int, str], ids: Iterable[object]
) -> dict[int, str]:
    """Return why jobs are not forecast that wait for jobs whose end is not known, by row.

    Parameters
    ----------
    predecessors : mapping
        As from :func:`predecessors_of`.
    unknown : mapping of int to str
        What is said of each job that is not simulated, by row.
    ids : iterable of object (jobs,)
        Ids of the jobs.

    Examples
    --------
    >>> after = {1: frozenset({0}), 2: frozenset({1})}
    >>> waiting_for_unknown(after, {0: "is held"}, ["7", "8", "9"])[2]
    'not forecast: after job 8, which is not forecast either'
    """
    names = list(ids)
    known = dict(unknown)
    found: dict[int, str] = {}
    more = True
    while more:
        more = False
        for row, others in predecessors.items():
            first = min((other for other in others if other in known), default=None)
            if row not in known and first is not None:
                found[row] = f"not forecast: after job {names[first]}, which {known[first]}"
                known[row] = "is not forecast either"
                more = True
    return found


def waiting_for_unnamed(
    jobs: pd.DataFrame, predecessors: Mapping[int, frozenset[int]]
) -> dict[int, str]:
    """Return why jobs are not forecast whose predecessors are not among the jobs, by row.

    Parameters
    ----------
    jobs : pandas.DataFrame
        ``after_job`` (whether the scheduler says that the job waits for another one) and
        ``depends_on`` of all jobs.
    predecessors : mapping
        As from :func:`predecessors_of`.

    Examples
    --------
    >>> jobs = pd.DataFrame({"after_job": [True, True], "depends_on": [(), ("9",)]})
    >>> waiting_for_unnamed(jobs, {})[1]
    'not forecast: after job 9, which is not simulated'
    """
    found = {}
    for row, (after, names) in enumerate(zip(jobs["after_job"], jobs["depends_on"], strict=True)):
        if after and row not in predecessors:
            after_names = f"after job {', '.join(names)}, which is not simulated"
            found[row] = f"not forecast: {after_names if names else UNNAMED}"
    return found


def limits_of(
    jobs: pd.DataFrame,
    rows: Ints,
    n_running: int,
    predecessors: Mapping[int, frozenset[int]],
    shared: Sequence[SharedLimit],
) -> Limits:
    """Return the limits of the jobs, and dependencies, with jobs as positions in `rows`.

    Parameters
    ----------
    jobs : pandas.DataFrame
        Running, then waiting jobs.
    rows : int64 array
        The rows of the jobs that are simulated.
    n_running : int
        Number of running jobs.
    predecessors : mapping
        As from :func:`predecessors_of`.
    shared : sequence of SharedLimit
    """
    groups: list[tuple[str, float]] = []
    of_job: dict[int, list[tuple[int, float]]] = {}
    index: dict[str, int] = {}
    throttles = jobs[jobs["array_limit"].notna()].groupby("array")["array_limit"].max()
    position = {int(row): at for at, row in enumerate(rows)}
    for row, of_array in enumerate(jobs["array"]):
        if of_array in throttles.index and row in position:
            most = float(throttles[of_array])
            name = f"array {of_array} runs at most {most:.0f} tasks at a time"
            group = _group(name, most, index, groups)
            of_job.setdefault(position[row], []).append((group, 1.0))
    for limit in shared:
        for row, holder, n in limit.counts(jobs):
            if row in position:
                group = _group(*limit.of(holder), index, groups)
                of_job.setdefault(position[row], []).append((group, float(n)))
    after = {
        position[row]: frozenset(position[other] for other in others)
        for row, others in predecessors.items()
        if row in position
    }
    runs = frozenset(position[row] for row in range(n_running) if row in position)
    return Limits(groups, of_job, after, running=runs)


def with_further(
    limits: Limits, at: Ints, jobs: pd.DataFrame, shared: Sequence[SharedLimit]
) -> Limits:
    """Return the limits, with those of further jobs.

    Parameters
    ----------
    limits : Limits
    at : int64 array (further jobs,)
        Numbers of the jobs in `limits`.
    jobs : pandas.DataFrame
        The columns of :meth:`~clustersim.forecasting.shared_limits.SharedLimit.counts`.
    shared : sequence of SharedLimit
    """
    groups, of_job = list(limits.groups), dict(limits.of_job)
    index = {name: number for number, (name, _) in enumerate(groups)}
    for limit in shared:
        for row, holder, n in limit.counts(jobs):
            group = _group(*limit.of(holder), index, groups)
            of_job[int(at[row])] = [*of_job.get(int(at[row]), ()), (group, float(n))]
    return Limits(groups, of_job, limits.after, running=limits.running)


def _group(name: str, most: float, index: dict[str, int], groups: list[tuple[str, float]]) -> int:
    if name not in index:
        index[name] = len(groups)
        groups.append((name, most))
    return index[name]
