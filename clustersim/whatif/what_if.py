"""The comparison of a log before and after a change, from its parameters to its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from clustersim.whatif.question import ask
from clustersim.whatif.result import WhatIf, compare
from clustersim.workload import JobLog

__all__ = ["what_if"]


def what_if(
    log: str | Path | JobLog | pd.DataFrame,
    *,
    cluster: str | Path | Mapping[str, Any] | None = None,
    accelerators: int | None = None,
    load: float = 1.0,
    method: str = "superpose",
    add_nodes: int | str | Sequence[str] = (),
    add_accelerators: int = 0,
    maintenance: Sequence[str] = (),
    reserve: Sequence[str] = (),
    changes: Mapping[str, Any] | Sequence[str] = (),
    assume: Mapping[str, Any] | Sequence[str] = (),
    policy: str = "easy",
    metric: str = "",
    replications: int = 6,
    catalogue: Sequence[str | Path] = (),
    seed: int = 0,
    format: str | None = None,
    sort: bool = False,
    time_zone: str | None = None,
    columns: str | None = None,
    workers: int | None = 1,
    progress: Callable[[int, int], None] | None = None,
) -> WhatIf:
    """Compare the waits, the use and the cost of a log on a fleet before and after a change.

    Parameters
    ----------
    log : str, Path, JobLog or DataFrame
        A log that :func:`clustersim.read_jobs` reads, or its result.  The column ``vc`` has the
        partitions.
    cluster : str, Path or mapping
        A topology.  Give either this or `accelerators`.
    accelerators : int
        Size of a fleet without nodes, for which energy and cost are not computed.
    load : float
        Factor on the load of the log: 1.2 is 20 % more.
    method : {"superpose", "compress"}
        How the load is changed; see :class:`~clustersim.workload.log_scale.LogScale`.
    add_nodes : int, str or sequence of str
        Nodes to add: a number, or ``NAME=NUMBER`` with the name of a pool, virtual cluster or
        partition; several with commas between them.
    add_accelerators : int
        Accelerators to add to a fleet without nodes.
    maintenance : sequence of str
        Maintenance windows such as ``gpu@2026-03-01T08:00+8h`` (pool, begin, duration), which
        schedulers know from the start.
    reserve : sequence of str
        Reservations in advance such as ``gpu:64@2d+4h=ann`` (pool, accelerators, begin, duration,
        users).
    changes : mapping or sequence of str
        Other changes of the scenario, such as ``{"scheduler.policy": "fcfs"}``.
    assume : mapping or sequence of str
        Fields of the scenario on both sides, such as ``{"start": "2026-01-01"}`` or, for the
        scheduler, ``{"scheduler.placement": "spread", "scheduler.span_pools": "equal"}``.
    policy : str
        Policy on both sides.
    metric : str
        What the answer is about: mean or 95th percentile of the wait (``p95_wait_s``,
        ``mean_wait_s``), of that over all attempts (``p95_total_wait_s``, ``mean_total_wait_s``) or
        of the completion time (``p95_jct_s``, ``mean_jct_s``), or that of one group of jobs, such
        as ``p95_wait_s.gpu`` for a partition or ``mean_wait_s.65-128`` for a range of job sizes.
        By default ``p95_wait_s`` or, if it is 0 before and after, ``mean_wait_s``.  If a policy or
        failures stop jobs on either side, a wait is counted over all attempts.
    replications : int
        Number of times that the weeks or days of the log are drawn again for the intervals.
    catalogue : sequence of str or Path
        Files with chips and planning assumptions.
    seed : int
        Seed of the random numbers.
    format, sort, time_zone, columns
        As for :func:`clustersim.read_jobs`.
    workers : int, optional
        Number of worker processes; 1 (the default) runs in this process, None uses all cores.  The
        result does not depend on it.
    progress : callable, optional
        Called with the number of runs that are done and their total number.

    Returns
    -------
    WhatIf
        With the tables ``groups``, ``fleet`` and ``hinges``.  :func:`clustersim.write_what_if`
        writes the page.

    Raises
    ------
    InputError
        If the log, the cluster or a change cannot be used, or nothing changes.

    Examples
    --------
    >>> import clustersim as cs
    >>> found = cs.what_if("experiments/sample_jobs.csv", accelerators=256, add_accelerators=256)
    >>> found.groups.loc[0, ["before_mean_wait_s", "after_mean_wait_s"]].tolist()
    [10475.0, 1569.1666666666667]
    """
    question = ask(
        log,
        cluster=cluster,
        accelerators=accelerators,
        load=load,
        method=method,
        add_nodes=add_nodes,
        add_accelerators=add_accelerators,
        maintenance=maintenance,
        reserve=reserve,
        changes=changes,
        assume=assume,
        policy=policy,
        metric=metric,
        catalogue=catalogue,
        seed=seed,
        format=format,
        sort=sort,
        time_zone=time_zone,
        columns=columns,
    )
    return compare(question, replications=replications, workers=workers, progress=progress)
