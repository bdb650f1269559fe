"""The state of a saved run, or of a table of jobs, at a time: its running jobs and its queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Floats
from clustersim.calendar import Calendar
from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.errors import InputError
from clustersim.simulation.result import Result
from clustersim.sites.queue import QueuedJob, QueueState
from clustersim.topology import (
    Cluster,
    ClusterSpec,
    compile_cluster,
    load_cluster,
    resolve_cluster,
    single_pool,
)
from clustersim.units import format_duration
from clustersim.workload.jobs import partition_column, texts_of

__all__ = [
    "Then",
    "cluster_of_run",
    "not_continued",
    "scheduling_of_run",
    "state_of_jobs",
    "state_of_run",
    "topology_of_run",
]

_NEEDED = ("job_id", "submit_s", "n_accelerators")
_SECTIONS = {
    "failures": "failures of nodes",
    "supply": "nodes that arrive and leave",
    "serving": "inference services",
    "windows": "windows planned ahead",
    "network": "the network",
}
"""Sections of a scenario that a forecast ignores."""


@dataclass(frozen=True, eq=False)
class Then:
    """A run at a time.

    Attributes
    ----------
    state : QueueState
    now_s : float
        The time, in seconds of the run.
    history : pandas.DataFrame
        The jobs that had ended by then, with the columns of a jobs table.
    submitted : pandas.DataFrame
        All jobs that had been submitted by then; ``duration_s`` is missing unless they had ended.
    """

    state: QueueState
    now_s: float
    history: pd.DataFrame
    submitted: pd.DataFrame


def state_of_run(result: Result, at_s: float, source: str) -> Then:
    """Return the running jobs and the queue of a saved run at `at_s`.

    A job that was stopped and started again counts by its attempt at that time.

    Raises
    ------
    InputError
        If the run had not begun or had ended by then.

    Examples
    --------
    >>> import clustersim as cs
    >>> jobs = pd.DataFrame({"job_id": [1, 2], "submit_s": [0, 5], "n_accelerators": [8, 8]})
    >>> result = cs.replay(jobs.assign(duration_s=60), policy="fcfs", accelerators=8)
    >>> then = state_of_run(result, 30.0, "result")
    >>> [(job.job_id, job.elapsed_s) for job in then.state.running], len(then.state.waiting)
    ([('1', 30.0)], 1)
    """
    jobs = result.jobs
    ranges = result.allocation_ranges
    covers = (ranges["start_s"] <= at_s) & (ranges["end_s"] > at_s)
    if (several := ranges["job_id"][covers].duplicated()).any():
        job = ranges["job_id"][covers][several].iloc[0]
        raise InputError(
            "--at",
            f"at {format_duration(at_s)}, job {job} of {source} runs on several pools; runs with "
            "scheduler.span_pools cannot be continued there",
        )
    attempt = ranges[covers].drop_duplicates("job_id").set_index("job_id")
    started = jobs["job_id"].map(attempt["start_s"]).to_numpy(dtype=np.float64, na_value=np.nan)
    vc = texts_of(attempt["virtual_cluster"])
    names = pd.Series(texts_of(attempt["pool"]) + np.where(vc == "", "", "/" + vc), attempt.index)
    pools = texts_of(jobs["job_id"].map(names))
    end_s = float(result.utilisation["time_s"].max())
    _check_time(at_s, float(jobs["submit_s"].min()), end_s, source)
    can = jobs["outcome"].astype(str).to_numpy() != "never runnable"
    return _then(
        jobs[can], started[can], at_s, source, "saved run", result.calendar, pools=pools[can]
    )


def state_of_jobs(jobs: pd.DataFrame, at_s: float | None, source: str) -> Then:
    """Return the running jobs and the queue in a table of jobs.

    Parameters
    ----------
    jobs : pandas.DataFrame
        ``job_id``, ``submit_s``, ``n_accelerators`` and, if known, ``start_s`` (missing for a job
        that waits), ``finish_s`` or ``duration_s``, ``estimate_s``, ``vc``, ``user``.
    at_s : float, optional
        The time, in seconds of the table; by default the latest submission or start.
    source : str

    Raises
    ------
    InputError
        If a column is missing, the table is empty, or no job runs or waits at that time.
    """
    missing = [name for name in _NEEDED if name not in jobs]
    if missing:
        raise InputError(
            source,
            f"has no column {', '.join(missing)}; a table of jobs needs {', '.join(_NEEDED)}",
        )
    if jobs.empty:
        raise InputError(source, "is a table of jobs without a row; no job runs or waits")
    start = _column(jobs, "start_s")
    if "finish_s" not in jobs and "duration_s" in jobs:
        jobs = jobs.assign(finish_s=start + _column(jobs, "duration_s"))
    submit = _column(jobs, "submit_s")
    if at_s is None:
        at_s = float(np.fmax(submit.max(), np.nan_to_num(start, nan=-np.inf).max()))
    _check_time(at_s, float(submit.min()), np.inf, source)
    finish = _column(jobs, "finish_s")
    runs = (start <= at_s) & ~(finish <= at_s)
    started = np.where(runs, start, np.nan)
    return _then(jobs, started, at_s, source, "table of jobs", Calendar())


def _check_time(at_s: float, begin_s: float, end_s: float, source: str) -> None:
    if not begin_s <= at_s <= end_s:
        until = "" if end_s == np.inf else f" to {format_duration(end_s)}"
        raise InputError(
            "--at",
            f"{format_duration(at_s)} is not within {source}: {format_duration(begin_s)}{until}",
        )


def _column(jobs: pd.DataFrame, name: str) -> Floats:
    if name not in jobs:
        return np.full(len(jobs), np.nan)
    return jobs[name].to_numpy(dtype=np.float64, na_value=np.nan)


def _then(
    jobs: pd.DataFrame,
    started: Floats,
    at_s: float,
    source: str,
    form: str,
    calendar: Calendar,
    pools: npt.NDArray[np.object_] | None = None,
) -> Then:
    submit, finish = _column(jobs, "submit_s"), _column(jobs, "finish_s")
    running = np.isfinite(started)
    # A job submitted at this very time has not been seen by the scheduler yet.
    waiting = (submit <= at_s) & ~running & ~(finish <= at_s)
    columns = {"partition": partition_column(jobs), "user": "user" if "user" in jobs else None}
    texts = {name: None if each is None else texts_of(jobs[each]) for name, each in columns.items()}
    limit, sizes = _column(jobs, "estimate_s"), jobs["n_accelerators"].to_numpy(dtype=np.int64)
    ids = jobs["job_id"].astype(str).to_numpy(dtype=object)
    dated = calendar.is_dated and calendar.start is not None and calendar.start.tzinfo is not None
    now = calendar.at(at_s).astimezone(UTC) if dated else None

    def moment(time_s: float) -> datetime | None:
        return None if now is None else now + timedelta(seconds=float(time_s - at_s))

    rows = []
    for row in [*np.flatnonzero(running), *np.flatnonzero(waiting)]:
        runs = bool(running[row])
        rows.append(
            QueuedJob(
                job_id=str(ids[row]),
                state="running" if runs else "waiting",
                n_accelerators=int(sizes[row]),
                partition="" if texts["partition"] is None else str(texts["partition"][row]),
                user="" if texts["user"] is None else str(texts["user"][row]),
                submit=moment(submit[row]),
                start=moment(started[row]) if runs else None,
                elapsed_s=float(at_s - started[row]) if runs else None,
                time_limit_s=float(limit[row]) if np.isfinite(limit[row]) else None,
                pool=str(pools[row]) if runs and pools is not None else "",
                age_s=float(at_s - submit[row]) if np.isfinite(submit[row]) else None,
            )
        )
    if not rows:
        raise InputError(source, f"no job runs or waits at {format_duration(at_s)}")
    state = QueueState(
        source=source,
        format=f"{form} at {format_duration(at_s)}",
        jobs=tuple(rows),
        rows=len(jobs),
        taken_at=now,
        order="the queue is in order of submission",
    )
    over = (finish <= at_s) & np.isfinite(finish)
    if "duration_s" not in jobs:
        jobs = jobs.assign(duration_s=finish - _column(jobs, "start_s"))
    known = jobs.assign(duration_s=np.where(over, _column(jobs, "duration_s"), np.nan))
    return Then(state, at_s, jobs[over], known[submit <= at_s])


def topology_of_run(result: Result, catalogue: Catalogue | None = None) -> ClusterSpec | None:
    """Return the topology on which a saved run ran; None if its provenance has none.

    Parameters
    ----------
    result : Result
    catalogue : Catalogue, optional
        By default, that of the run.

    Raises
    ------
    InputError
        If a file that the run used cannot be read any more.
    """
    facts = result.provenance
    scenario, replayed = facts.get("scenario"), facts.get("replay")
    given = scenario if isinstance(scenario, Mapping) else replayed
    cluster = given.get("cluster") if isinstance(given, Mapping) else None
    if not isinstance(given, Mapping) or not cluster:
        return None
    if catalogue is None:
        catalogue = load_catalogue(*(given.get("catalogue") or ()))
    if isinstance(cluster, Mapping):
        return resolve_cluster(cluster, catalogue)
    return load_cluster(str(cluster), catalogue)


def cluster_of_run(result: Result, catalogue: Catalogue) -> Cluster | None:
    """Return the cluster on which a saved run ran; None if its provenance has none."""
    replayed = result.provenance.get("replay")
    if isinstance(replayed, Mapping) and replayed.get("accelerators"):
        return single_pool(int(replayed["accelerators"]))
    spec = topology_of_run(result, catalogue)
    return None if spec is None else compile_cluster(spec)


def scheduling_of_run(result: Result) -> dict[str, Any]:
    """Return policy, options and placement of a saved run, as far as its provenance has them."""
    facts = result.provenance
    scenario, replayed = facts.get("scenario"), facts.get("replay")
    found: Any = {}
    if isinstance(replayed, Mapping):
        found = replayed
    elif isinstance(scenario, Mapping):
        found = scenario.get("scheduler") or {}
    names: dict[str, Any] = {
        name: str(found[name]) for name in ("policy", "placement") if found.get(name)
    }
    given = [str(pair).partition("=") for pair in found.get("option") or ()]  # of the command
    options = {name.strip(): value for name, _, value in given} | dict(found.get("options") or {})
    if options:
        names["options"] = options
    if isinstance(replayed, Mapping) and replayed.get("cluster"):
        names.setdefault("placement", "consolidate")  # the default of a replay on a cluster
    return names


def not_continued(result: Result) -> list[str]:
    """Return what a saved run had that a forecast does not continue.

    Examples
    --------
    >>> import clustersim as cs
    >>> jobs = pd.DataFrame({"job_id": [1], "submit_s": [0], "n_accelerators": [8]})
    >>> run = cs.replay(jobs.assign(duration_s=60), policy="fcfs", accelerators=8)
    >>> not_continued(run.with_provenance({"replay": {"exact_estimates": True}}))
    ['exact estimates of run times']
    """
    facts = result.provenance
    scenario, replayed = facts.get("scenario"), facts.get("replay")
    found = []
    if isinstance(replayed, Mapping) and replayed.get("exact_estimates"):
        found.append("exact estimates of run times")
    if isinstance(replayed, Mapping) and replayed.get("network"):
        found.append(_SECTIONS["network"])
    if isinstance(replayed, Mapping) and (replayed.get("checkpoints") or replayed.get("storage")):
        found.append("checkpoints")
    if isinstance(scenario, Mapping):
        if (scenario.get("scheduler") or {}).get("estimates") == "exact":
            found.append("exact estimates of run times")
        found += [name for key, name in _SECTIONS.items() if scenario.get(key)]
    if result.windows is not None and _SECTIONS["windows"] not in found:
        found.append(_SECTIONS["windows"])
    return found
