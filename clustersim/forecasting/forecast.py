"""When waiting jobs will start: from the jobs that run and wait now, over uncertain run times."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clustersim.array_types import Floats
from clustersim.brief import Brief
from clustersim.calendar import Calendar
from clustersim.catalogue import load_catalogue
from clustersim.errors import InputError
from clustersim.forecasting.arrivals import arrivals_of
from clustersim.forecasting.constraints import constraints
from clustersim.forecasting.inputs import Given, cluster_of, read_state
from clustersim.forecasting.replicate import Case, Replications, replicate
from clustersim.forecasting.run_times import (
    LEAST_ALIKE,
    RunTimes,
    assumed_run_times,
    default_limit_note,
    run_times_of,
)
from clustersim.forecasting.snapshot import Snapshot, snapshot_of
from clustersim.forecasting.words import contradictions, overflow_note
from clustersim.outputs import new_folder
from clustersim.scheduling import Policy, find_placement, find_policy
from clustersim.sites.queue import QueueState
from clustersim.topology import Cluster
from clustersim.workload import read_jobs

__all__ = ["LEVELS", "Forecast", "forecast"]

LEVELS = (0.05, 0.5, 0.95)
"""Levels of the interval and of the median."""
_ARRIVALS = 3.0
"""Jobs arrive for this many times the time until the last job that waits now would start alone."""


@dataclass(frozen=True, eq=False, repr=False)
class Forecast(Brief):
    """The forecast of a state.

    Attributes
    ----------
    jobs : pandas.DataFrame
        One row per waiting job (a task of an array is a job) in the order of the queue: ``job_id``,
        ``row_id`` (the row of the file), ``partition``, ``user``, ``n_accelerators``,
        ``time_limit_s``, ``low_s``, ``median_s``, ``high_s`` (5 %, 50 % and 95 % of the start, in
        seconds from now; NaN if it is not forecast or later than can be said), ``low``, ``median``,
        ``high`` (the same as dates, if the date is known), ``alone_s`` (median if no other job
        waited), ``constraint``, ``detail``, ``behind``, ``jobs_ahead``, ``accelerators_ahead``,
        ``reason`` and ``scheduler_expects`` (of the scheduler itself).
    state : QueueState
        What was read.
    partitions : pandas.DataFrame
        Running and waiting jobs by partition.
    start_s : float64 array (replications, jobs)
        All simulated starts, seconds from now.
    policy : str
    assumptions : tuple of str
        What was assumed.
    calendar : Calendar
        Date of now, if it is known.
    now_s : float
        The present on the time axis of `calendar`.

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
    >>> log = pd.DataFrame({"job_id": [1, 2], "submit_s": [0, 5], "n_accelerators": [8, 8]})
    >>> log = log.assign(start_s=[0.0, None], estimate_s=3600.0)
    >>> found = cs.forecast(log, accelerators=8, at_s=60.0)
    >>> found.jobs["constraint"].tolist(), bool(found.jobs["high_s"].iloc[0] <= 3600)
    (['accelerators'], True)
    """

    jobs: pd.DataFrame
    state: QueueState
    partitions: pd.DataFrame
    start_s: Floats
    policy: str
    assumptions: tuple[str, ...]
    calendar: Calendar
    now_s: float

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        return f"Forecast of {self.state.source}", {
            "running": f"{len(self.state.running):,}",
            "waiting": f"{len(self.jobs):,}",
            "replications": f"{len(self.start_s):,}",
        }

    def document(self) -> dict[str, Any]:
        """Return the forecast as plain data, in SI units; unknown values are None.

        Examples
        --------
        >>> import pandas as pd
        >>> import clustersim as cs
        >>> jobs = pd.DataFrame(
        ...     {"job_id": [1, 2], "submit_s": 0.0, "n_accelerators": 8, "start_s": [0.0, None]}
        ... )
        >>> found = cs.forecast(jobs, accelerators=8, replications=5, at_s=60.0)
        >>> found.document()["replications"]
        5
        """
        return {
            "state": self.state.document(),
            "policy": self.policy,
            "replications": len(self.start_s),
            "levels": list(LEVELS),
            "now": self.calendar.iso(self.now_s) or None,
            "forecast": [
                {key: _plain(value) for key, value in row.items()}
                for row in self.jobs.to_dict("records")
            ],
            "assumptions": list(self.assumptions),
            "notes": list(self.state.notes),
        }

    def save(self, folder: str | Path, *, csv: bool = False) -> Path:
        """Write the tables to a new folder.

        The tables are ``forecast``, ``running``, ``waiting`` (rows as read), ``partitions`` and
        ``left_out``, as Parquet; ``forecast.json`` has all of it.

        Parameters
        ----------
        folder : str or Path
        csv : bool
            Whether to write each table as CSV, too.

        Raises
        ------
        InputError
            If `folder` exists or cannot be created.

        Examples
        --------
        >>> import pandas as pd
        >>> import clustersim as cs
        >>> jobs = pd.DataFrame(
        ...     {"job_id": [1, 2], "submit_s": 0.0, "n_accelerators": 8, "start_s": [0.0, None]}
        ... )
        >>> found = cs.forecast(jobs, accelerators=8, replications=5, at_s=60.0)
        >>> sorted(path.name for path in found.save("forecast").iterdir())[:2]
        ['forecast.json', 'forecast.parquet']
        """
        with new_folder(folder) as path:
            self.write(path, csv=csv)
        return path

    def write(self, folder: Path, *, csv: bool = False) -> None:
        """Write the tables into an empty folder.

        Examples
        --------
        >>> from pathlib import Path
        >>> import pandas as pd
        >>> import clustersim as cs
        >>> jobs = pd.DataFrame(
        ...     {"job_id": [1, 2], "submit_s": 0.0, "n_accelerators": 8, "start_s": [0.0, None]}
        ... )
        >>> found = cs.forecast(jobs, accelerators=8, replications=5, at_s=60.0)
        >>> found.write(Path())
        >>> Path("left_out.csv").read_text()
        'row,reason\\n'
        """
        for name, table in self.tables().items():
            table.to_parquet(folder / f"{name}.parquet", index=False)
            if csv or name == "left_out":
                table.to_csv(folder / f"{name}.csv", index=False)
        text = json.dumps(self.document(), indent=2, ensure_ascii=False, allow_nan=False)
        (folder / "forecast.json").write_text(text + "\n", encoding="utf-8")

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the tables by name.

        Examples
        --------
        >>> import pandas as pd
        >>> import clustersim as cs
        >>> jobs = pd.DataFrame(
        ...     {"job_id": [1, 2], "submit_s": 0.0, "n_accelerators": 8, "start_s": [0.0, None]}
        ... )
        >>> found = cs.forecast(jobs, accelerators=8, replications=5, at_s=60.0)
        >>> list(found.tables())
        ['forecast', 'running', 'waiting', 'partitions', 'left_out']
        """
        left = pd.DataFrame(list(self.state.left_out), columns=["row", "reason"])
        return {
            "forecast": self.jobs,
            "running": self.state.running_table(),
            "waiting": self.state.waiting_table(),
            "partitions": self.partitions,
            "left_out": left,
        }


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def forecast(
    state: Any,
    *,
    cluster: Cluster | str | Path | None = None,
    accelerators: int | Mapping[str, int] | None = None,
    policy: str | type[Policy] | None = None,
    placement: str = "pooled",
    history: str | Path | pd.DataFrame | None = None,
    arrivals: bool = True,
    replications: int = 200,
    seed: int = 1,
    at_s: float | None = None,
    default_limit_s: float | None = None,
    user_limit: int | None = None,
    time_zone: str | None = None,
    taken_at: str | datetime | None = None,
    columns: Sequence[str] = (),
    gpus_per_node: int | None = None,
    catalogue: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Forecast:
    """Forecast when the waiting jobs of a state start.

    The state is simulated `replications` times. In each, the running jobs end and the waiting jobs
    take as long as jobs like them took in `history` (or used of their time limit in public logs),
    given the time that they have been running. The policy knows only the time limits.

    Parameters
    ----------
    state : str, Path, QueueState, Result or DataFrame
        What ``squeue``, ``kubectl``, ``qstat -f`` or ``bjobs`` printed
        (:func:`clustersim.sites.read_queue`); the folder of a saved run; or a table of jobs with
        ``start_s`` missing for jobs that wait (also as Parquet or CSV).
    cluster : Cluster, str or Path, optional
        A topology; by default that of a saved run.
    accelerators : int or mapping of str to int, optional
        Instead of a cluster: a number that all jobs share, or numbers by partition.
    policy : str or type of Policy, optional
        By default that of a saved run, or ``easy``.
    placement : str
        ``pooled`` counts accelerators; others also track nodes, on which the running jobs are
        placed anew, since a queue does not tell where they are.
    history : str, Path or DataFrame, optional
        A log of the site. By default, the jobs of a saved run that have ended.
    arrivals : bool
        Whether further jobs arrive as in the history.
    replications : int
    seed : int
    at_s : float, optional
        The time at which a saved run or table is taken, seconds.
    default_limit_s : float, optional
        Limit of jobs without one, seconds; by default the longest of all jobs.
    user_limit : int, optional
        Accelerators that the jobs of a user may use together.
    time_zone, taken_at, columns, gpus_per_node
        See :func:`clustersim.sites.read_queue`.
    catalogue : sequence of str
        Files with the user's own chips.
    progress : callable, optional
        Called with the replications done and their number.

    Returns
    -------
    Forecast

    Raises
    ------
    InputError
        If an argument or the state cannot be used.

    Examples
    --------
    >>> import pandas as pd
    >>> import clustersim as cs
    >>> jobs = pd.DataFrame(
    ...     {"job_id": [1, 2], "submit_s": 0.0, "n_accelerators": 8, "start_s": [0.0, None]}
    ... )
    >>> found = cs.forecast(jobs, accelerators=8, replications=5, at_s=60.0)
    >>> found.jobs["job_id"].tolist()
    ['2']
    """
    _check(replications, user_limit, default_limit_s)
    chips = load_catalogue(*catalogue)
    given = read_state(
        state,
        at_s=at_s,
        time_zone=time_zone,
        taken_at=taken_at,
        columns=columns,
        gpus_per_node=gpus_per_node,
    )
    snapshot = snapshot_of(given.state)
    where, note = cluster_of(given, cluster, accelerators, chips)
    past = _past(given, history, time_zone)
    run_times = _run_times(snapshot, past, default_limit_s)
    chosen = policy or given.policy or "easy"
    case = Case(
        snapshot=snapshot,
        cluster=where,
        catalogue=chips if all(pool.accelerator for pool in where.pools) else None,
        policy=find_policy(chosen),
        placement=find_placement(placement),
        run_times=run_times,
        arrivals=None,
        user_limit=user_limit,
    )
    new = None
    if arrivals and past is not None and len(snapshot.waiting):
        new = _arrivals(case, past, given, replications, seed)
        case = replace(case, arrivals=new)
    found = replicate(case, replications, seed, progress)
    _refuse_overflow(found, snapshot, accelerators)
    name = chosen if isinstance(chosen, str) else chosen.__name__
    assumptions = [
        f"policy {name}",
        *([note] if note else []),
        *snapshot.notes,
        run_times.what,
        *filter(None, [default_limit_note(_all_jobs(snapshot), run_times)]),
        new.what if new is not None else "no further jobs arrive",
        *overflow_note(found, snapshot),
        *contradictions(found, snapshot, user_limit),
    ]
    return Forecast(
        jobs=_jobs(snapshot, found, given),
        state=given.state,
        partitions=given.state.by_partition(),
        start_s=found.start_s,
        policy=name,
        assumptions=tuple(assumptions),
        calendar=given.calendar,
        now_s=given.now_s,
    )


def _check(replications: int, user_limit: int | None, default_limit_s: float | None) -> None:
    problems = []
    if not 1 <= replications <= 100_000:
        problems.append(f"replications: found {replications}; allowed: 1 to 100,000")
    if user_limit is not None and user_limit < 1:
        problems.append(f"user_limit: found {user_limit}; at least 1 is needed")
    if default_limit_s is not None and not 0 < default_limit_s < float("inf"):
        problems.append(f"default_limit_s: found {default_limit_s}; more than 0 is needed")
    if problems:
        raise InputError("forecast", problems)


def _all_jobs(snapshot: Snapshot) -> pd.DataFrame:
    return pd.concat([snapshot.running, snapshot.waiting], ignore_index=True)


def _past(
    given: Given, history: str | Path | pd.DataFrame | None, time_zone: str | None
) -> pd.DataFrame | None:
    """Return the log of the site: as given, or what had ended in a saved run."""
    if isinstance(history, pd.DataFrame):
        return history
    if history is not None:
        return read_jobs(history, time_zone=time_zone).jobs
    if given.history is None or len(given.history) < LEAST_ALIKE:
        return None
    return _without_recent(given.history, given.now_s)


def _without_recent(ended: pd.DataFrame, now_s: float) -> pd.DataFrame:
    """Leave out the jobs that began so late that long ones like them have not ended yet.

    Otherwise, short jobs would be too frequent among the last ones.
    """
    longest = float(ended["duration_s"].max())
    early = ended[ended["start_s"] + longest <= now_s]
    return early if len(early) >= LEAST_ALIKE else ended


def _run_times(
    snapshot: Snapshot, past: pd.DataFrame | None, default_limit_s: float | None
) -> RunTimes:
    jobs = _all_jobs(snapshot)
    if past is None:
        return assumed_run_times(jobs, default_limit_s)
    return run_times_of(past, jobs, default_limit_s)


def _arrivals(case: Case, past: pd.DataFrame, given: Given, replications: int, seed: int) -> Any:
    """Return the jobs that arrive until well after the last job starts that waits now."""
    few = replicate(case, min(replications, 10), seed)
    starts = few.start_s[np.isfinite(few.start_s)]
    last = float(starts.max()) if len(starts) else 0.0
    if last <= 0:
        return None
    own = given.history is not None and past is given.history
    return arrivals_of(
        past,
        case.cluster,
        case.placement,
        window_s=_ARRIVALS * last,
        now_s=given.now_s if own else None,
        default_limit_s=case.run_times.default_limit_s,
        catalogue=case.catalogue,
    )


def _refuse_overflow(
    found: Replications, snapshot: Snapshot, accelerators: int | Mapping[str, int] | None
) -> None:
    if accelerators is None or isinstance(accelerators, Mapping):
        return
    sizes = snapshot.running["n_accelerators"].to_numpy(dtype=np.int64)
    if len(sizes) and (found.runs_on < 0).any():
        raise InputError(
            "--accelerators",
            f"the running jobs use {int(sizes.sum()):,} accelerators, but there are only "
            f"{accelerators:,}",
        )


def _jobs(snapshot: Snapshot, found: Replications, given: Given) -> pd.DataFrame:
    waiting = snapshot.waiting
    low, median, high = (_quantile(found.start_s, level) for level in LEVELS)
    dates = {
        name: given.calendar.iso_texts(given.now_s + values)
        for name, values in (("low", low), ("median", median), ("high", high))
    }
    table = pd.DataFrame(
        {
            "job_id": waiting["job_id"],
            "row_id": waiting["row_id"],
            "partition": waiting["vc"],
            "user": waiting["user"],
            "n_accelerators": waiting["n_accelerators"].astype(np.int64),
            "time_limit_s": waiting["limit_s"],
            "low_s": low,
            "median_s": median,
            "high_s": high,
            **dates,
            "alone_s": _quantile(found.alone_s, 0.5),
        }
    )
    table = pd.concat([table, constraints(snapshot, found)], axis=1)
    expected = given.now_s + waiting["expected_s"].to_numpy(dtype=np.float64)
    return table.assign(
        reason=waiting["reason"], scheduler_expects=given.calendar.iso_texts(expected)
    )


def _quantile(values: Floats, level: float) -> Floats:
    """Return a quantile over the replications; NaN where it is infinite.

    A further replication is beyond the k-th smallest of n with a probability of k / (n + 1). The
    bounds of intervals are the nearest ones outside, so that few replications are not too certain.
    """
    n = len(values)
    if not values.size:
        return np.full(values.shape[1], np.nan)
    place = level * (n + 1) - 1.0
    nearest = np.ceil(place - 1e-9) if level > 0.5 else np.floor(place + 1e-9)
    found = np.sort(values, axis=0)[int(np.clip(nearest, 0, n - 1))]
    return np.where(np.isfinite(found), found, np.nan)
