"""Jobs by partition and size, and what one run shows of each group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from clustersim.analysis.size_waits import ENOUGH_JOBS
from clustersim.array_types import Bools, Floats
from clustersim.errors import InputError, unknown_name
from clustersim.simulation.metrics import accelerator_seconds
from clustersim.simulation.result import Result
from clustersim.simulation.tables import NEVER_RUNNABLE
from clustersim.units import SECONDS_PER_YEAR, counted
from clustersim.workload.describe import size_bins
from clustersim.workload.job_groups import (
    MOST_PARTITIONS,
    OTHER_PARTITIONS,
    partitions_of_jobs,
)

__all__ = [
    "ALL",
    "ANY_WAIT",
    "FLEET",
    "GROUPS",
    "TIMES",
    "Asked",
    "GroupNames",
    "asked_row",
    "fleet_of",
    "groups_of",
]

ALL = "all"
TIMES: Mapping[str, str] = MappingProxyType(
    {
        "mean_wait_s": "mean wait",
        "p95_wait_s": "95th percentile of wait",
        "mean_total_wait_s": "mean wait over all attempts",
        "p95_total_wait_s": "95th percentile of wait over all attempts",
        "mean_jct_s": "mean job completion time",
        "p95_jct_s": "95th percentile of job completion time",
    }
)
"""Times of jobs that an answer can be about, with their labels; defined as for runs."""
GROUPS = ("jobs", *TIMES, "utilisation", "energy_j", "cost_cny")
FLEET = (
    "accelerators",
    "utilisation",
    "power_w",
    "energy_j",
    "cost_cny",
    "energy_j_per_year",
    "cost_cny_per_year",
    "backlog_at_end",
    "never",
    "stops",
    "time_lost",
    "unfinished",
)


@dataclass(frozen=True)
class Asked:
    """The wait or completion time that an answer is about.

    Attributes
    ----------
    metric : str
        One of :data:`TIMES`; "" for the 95th percentile of the wait or, if it is 0 before and
        after, the mean.
    kind, group : str
        The group of jobs, as in the table of groups.
    """

    metric: str = ""
    kind: str = ALL
    group: str = ALL

    @classmethod
    def of(cls, name: str, jobs: pd.DataFrame) -> Asked:
        """Return the time of a name: ``p95_wait_s`` or, for one group, ``p95_wait_s.GROUP``.

        Parameters
        ----------
        name : str
            The group is a partition as the log or, for namespaces of Kubernetes, the cluster names
            it, or a range of job sizes; "" leaves the choice to
            the answer.
        jobs : pandas.DataFrame
            The log.

        Raises
        ------
        InputError
            If there is no such time or group, or the group has too few jobs for the percentile.

        Examples
        --------
        >>> jobs = pd.DataFrame({"vc": ["gpu", "cpu"], "n_accelerators": [8, 1]})
        >>> Asked.of("mean_wait_s.gpu", jobs)
        Asked(metric='mean_wait_s', kind='partition', group='gpu')
        """
        if not name:
            return ANY_WAIT
        metric, dot, group = name.partition(".")
        if metric not in TIMES:
            raise InputError("--metric", unknown_name("metric", metric, [*TIMES]))
        if not dot:
            return cls(metric)
        names = partitions_of_jobs(jobs)
        index, labels = size_bins(jobs["n_accelerators"].to_numpy())
        sizes = np.array(labels, dtype=object)[index]
        partitions = [] if names is None else sorted(map(str, set(names)))
        if group in partitions:
            own, kind = int(np.count_nonzero(names == group)), "partition"
        elif group in sizes:
            own, kind = int(np.count_nonzero(sizes == group)), "size"
        else:
            known = [*partitions, *(labels[k] for k in np.unique(index).tolist())]
            raise InputError("--metric", unknown_name("partition or size of jobs", group, known))
        if metric.startswith("p95") and own < ENOUGH_JOBS:
            raise InputError(
                "--metric",
                f"{group} has {counted(own, 'job')}; a 95th percentile needs {ENOUGH_JOBS}; use "
                f"{metric.replace('p95', 'mean')}.{group}",
            )
        return cls(metric, kind, group)


ANY_WAIT = Asked()


@dataclass(frozen=True)
class GroupNames:
    """The partitions and sizes of a log that have rows, in their order.

    Attributes
    ----------
    partitions : tuple of str
        Those with the most work, the largest first; empty if the log has fewer than two.
    lumped : bool
        Whether there are more partitions.
    """

    partitions: tuple[str, ...]
    lumped: bool

    @classmethod
    def of(cls, jobs: pd.DataFrame, asked: str = "") -> GroupNames:
        """Return the names for a log; the partition that is asked about has a row in any case."""
        names = partitions_of_jobs(jobs)
        if names is None:
            return cls((), False)
        work = jobs["n_accelerators"] * jobs["duration_s"].fillna(0.0)
        order = work.groupby(names).sum().sort_values(ascending=False, kind="stable")
        found = [str(name) for name in order.index]
        chosen = found[:MOST_PARTITIONS] if len(found) > 1 else []
        chosen += [asked] if asked in found and asked not in chosen else []
        return cls(tuple(chosen), 0 < len(chosen) < len(found))

    def masks(self, jobs: pd.DataFrame) -> Iterator[tuple[str, str, Bools]]:
        """Yield kind, name and mask of each group with jobs: all, partitions, sizes."""
        yield ALL, ALL, np.ones(len(jobs), dtype=bool)
        names = partitions_of_jobs(jobs) if self.partitions else None
        if names is not None:
            for name in self.partitions:
                yield "partition", name, np.asarray(names == name)
            if self.lumped:
                yield "partition", OTHER_PARTITIONS, ~np.isin(names.astype(str), self.partitions)
        index, labels = size_bins(jobs["n_accelerators"].to_numpy())
        for k in np.unique(index).tolist():
            yield "size", labels[k], np.asarray(index == k)


def groups_of(result: Result, names: GroupNames, begin_s: float) -> pd.DataFrame:
    """Return what a run shows of each group of jobs.

    Returns
    -------
    pandas.DataFrame
        ``kind`` (all, partition or size), ``group`` and the columns :data:`GROUPS`: the number of
        jobs that can run and were submitted from `begin_s` on; mean and 95th percentile (NaN with
        fewer than 20 jobs) of their wait until the first start, of that over all attempts, and of
        the time from submission to finish of those that finished; the accelerator time that all
        jobs hold between
        `begin_s` and the last submission, as a share of that of the fleet; energy and cost that
        the jobs bear (NaN if not computed).  The jobs that can never run are left out.
    """
    jobs = result.jobs
    runs = (jobs["outcome"] != NEVER_RUNNABLE).to_numpy(dtype=bool)
    times = _times_s(result)
    end_s = float(jobs["submit_s"].iloc[-1])
    counted = runs & (jobs["submit_s"] >= begin_s).to_numpy(dtype=bool)
    held = result.allocation_ranges
    held_s = held["end_s"].clip(begin_s, end_s) - held["start_s"].clip(begin_s, end_s)
    row = pd.Index(jobs["job_id"]).get_indexer(held["job_id"])
    used = np.bincount(row, held_s * held["n_accelerators"], minlength=len(jobs))
    found = accelerator_seconds(result.utilisation, begin_s=begin_s, end_s=end_s)
    available = float(found["available"].sum())
    rows = []
    for kind, group, mask in names.masks(jobs):
        own = mask & runs
        rows.append(
            {
                "kind": kind,
                "group": group,
                "jobs": int((mask & counted).sum()),
                **_statistics(kind, {name: own[mask & counted] for name, own in times.items()}),
                "utilisation": float(used[own].sum()) / available if available > 0 else np.nan,
                **{
                    name: float(jobs[name].to_numpy()[own].sum()) if name in jobs else np.nan
                    for name in ("energy_j", "cost_cny")
                },
            }
        )
    return pd.DataFrame(rows)


def asked_row(groups: pd.DataFrame, asked: Asked) -> pd.Series:
    """Return the row of a table of groups with the jobs that an answer is about.

    All values are NaN if none of these jobs is in the table.
    """
    rows = groups[(groups["kind"] == asked.kind) & (groups["group"] == asked.group)]
    if len(rows):
        return rows.iloc[0]
    return pd.Series(np.nan, index=groups.columns, dtype=object)


def _statistics(kind: str, times: Mapping[str, Floats]) -> dict[str, float]:
    """Return mean and 95th percentile of times (seconds) of jobs, NaN if there are too few."""
    found = {}
    for name, each in times.items():
        own = each[np.isfinite(each)]
        enough = len(own) > 0 and (kind == ALL or len(own) >= ENOUGH_JOBS)
        found[f"mean_{name}"] = float(own.mean()) if len(own) else np.nan
        found[f"p95_{name}"] = float(np.quantile(own, 0.95)) if enough else np.nan
    return found


def _times_s(result: Result) -> dict[str, Floats]:
    """Return wait, wait over all attempts and completion time of each job, seconds.

    A job that never started waits until the end of the run; one that did not finish has no
    completion time (NaN).
    """
    end_s = float(result.utilisation["time_s"].max())
    submit_s, start_s, finish_s, total_s = (
        result.jobs[name].to_numpy(dtype=np.float64)
        for name in ("submit_s", "start_s", "finish_s", "total_wait_s")
    )
    wait_s = np.where(np.isnan(start_s), end_s, start_s) - submit_s
    return {
        "wait_s": wait_s,
        "total_wait_s": np.where(np.isnan(start_s), wait_s, total_s),
        "jct_s": finish_s - submit_s,
    }


def fleet_of(result: Result, begin_s: float) -> dict[str, float]:
    """Return what a run shows of the fleet between `begin_s` and the last submission.

    Returns
    -------
    dict of str to float
        The entries of :data:`FLEET`: mean number of accelerators in service, utilisation, mean
        power, energy and cost of this time and per year (NaN if not computed), the share of the
        work that waits when the last job is submitted, and the number of jobs that can never run;
        for the whole run, how often attempts at jobs were stopped, and the share of the accelerator
        time of jobs that was lost work or restarts, and the number of jobs that can run and did not
        finish.
    """
    jobs = result.jobs
    end_s = float(jobs["submit_s"].iloc[-1])
    span_s = end_s - begin_s
    use = accelerator_seconds(result.utilisation, begin_s=begin_s, end_s=end_s).sum()
    energy_j = cost_cny = np.nan
    if result.costs is not None and span_s > 0:
        inside = (result.costs["begin_s"] >= begin_s) & (result.costs["end_s"] <= end_s)
        own = result.costs[inside]
        energy_j = float(own["energy_j"].sum()) if "energy_j" in own else np.nan
        cost_cny = float(own["cost_cny"].sum()) if "cost_cny" in own else np.nan
    years = span_s / SECONDS_PER_YEAR if span_s > 0 else np.nan
    start_s = jobs["start_s"].fillna(np.inf).to_numpy(dtype=np.float64)
    runs = (jobs["outcome"] != NEVER_RUNNABLE).to_numpy(dtype=bool)
    work = np.where(runs, jobs["n_accelerators"] * jobs["duration_s"].fillna(0.0), 0.0)
    return {
        "accelerators": float(use["available"]) / span_s if span_s > 0 else np.nan,
        "utilisation": float(use["allocated"] / use["available"]) if use["available"] else np.nan,
        "power_w": energy_j / span_s if span_s > 0 else np.nan,
        "energy_j": energy_j,
        "cost_cny": cost_cny,
        "energy_j_per_year": energy_j / years,
        "cost_cny_per_year": cost_cny / years,
        "backlog_at_end": float(work[start_s > end_s].sum() / work.sum()) if work.any() else 0.0,
        "never": float((~runs).sum()),
        **_stops(result.attempts),
        "unfinished": float((runs & jobs["finish_s"].isna().to_numpy()).sum()),
    }


def _stops(attempts: pd.DataFrame | None) -> dict[str, float]:
    """Return how often attempts were stopped, and the share of accelerator time that was lost."""
    if attempts is None:
        return {"stops": 0.0, "time_lost": 0.0}
    n = attempts["n_accelerators"].to_numpy(dtype=np.float64)
    held_s = float((n * (attempts["end_s"] - attempts["start_s"]).to_numpy()).sum())
    lost_s = float((n * (attempts["lost_s"] + attempts["restart_s"]).to_numpy()).sum())
    return {
        "stops": float((attempts["stopped"].astype(str) != "").sum()),
        "time_lost": lost_s / held_s if held_s > 0 else 0.0,
    }
