"""The jobs table: its columns, and the result of a reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Bools
from clustersim.brief import Brief
from clustersim.units import counted

__all__ = [
    "REQUIRED_COLUMNS",
    "JobLog",
    "partition_column",
    "texts_of",
]

REQUIRED_COLUMNS = ("job_id", "submit_s", "n_accelerators", "duration_s")
PARTITION_COLUMNS = ("vc", "partition")
"""Columns that name the partition of a job, the first one that a table has."""


@dataclass(frozen=True, slots=True, repr=False)
class JobLog(Brief):
    """The jobs of one file, and how many of its rows are not jobs.

    Parameters
    ----------
    jobs : pandas.DataFrame
        One row per job in submit order: ``job_id``, ``submit_s``, ``n_accelerators``,
        ``duration_s`` (seconds); if known, ``estimate_s``, ``vc`` and ``user``; and all other
        columns of the file, unchanged.
    rows_read : int
        Number of rows in the file.
    source : str
        Path of the file.
    format : str
        Format of the file.
    dropped : Mapping of str to int
        Number of rows that were dropped because they are not jobs on accelerators, by reason.
    notes : tuple of str
        Notes on changes other than dropped rows.
    origin : datetime, optional
        Local time at ``submit_s`` 0; None if it is unknown.
    left_out : pandas.DataFrame, optional
        Each row of the file that is not a job kept: ``row`` (the job id, or the line), ``reason``
        (see :mod:`clustersim.workload.readers.site_logs.reasons`) and ``line``; None if no row was.
    estimate_filled : bool array (jobs,), optional
        Jobs without an estimate, whose ``estimate_s`` is their run time; None if there are none.
    begin_s : float
        Time from which the log has all jobs: those submitted before are in it because they still
        waited or ran then.

    Examples
    --------
    >>> import clustersim as cs
    >>> log = cs.read_jobs("experiments/sample_jobs.csv")
    >>> log.format, log.rows_read, dict(log.dropped)
    ('csv', 24, {})
    """

    jobs: pd.DataFrame
    rows_read: int
    source: str
    format: str
    dropped: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    notes: tuple[str, ...] = ()
    origin: datetime | None = None
    left_out: pd.DataFrame | None = None
    estimate_filled: Bools | None = None
    begin_s: float = 0.0

    @property
    def whole(self) -> pd.DataFrame:
        """The jobs that were submitted from `begin_s` on."""
        if not self.begin_s:
            return self.jobs
        return self.jobs[self.jobs["submit_s"] >= self.begin_s].reset_index(drop=True)

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        return f"JobLog {self.source}", {
            "format": self.format,
            "jobs": f"{len(self.jobs):,}",
            "rows dropped": f"{sum(self.dropped.values()):,}" if self.dropped else "",
        }

    def left_out_table(self) -> pd.DataFrame:
        """Return `left_out`; an empty table if nothing was left out.

        Examples
        --------
        >>> import clustersim as cs
        >>> list(cs.read_jobs("experiments/sample_jobs.csv").left_out_table())
        ['row', 'reason', 'line']
        """
        if self.left_out is None:
            return pd.DataFrame(columns=["row", "reason", "line"])
        return self.left_out

    def report(self) -> str:
        """Return a short report on the rows that were read, kept and dropped, with reasons.

        Examples
        --------
        >>> import clustersim as cs
        >>> log = cs.read_jobs("experiments/sample_jobs.csv")
        >>> log.report().endswith("24 rows, 24 jobs")
        True
        """
        rows = counted(self.rows_read, "row")
        lines = [f"{self.source} ({self.format}): {rows}, {counted(len(self.jobs), 'job')}"]
        lines += [f"  dropped {count:,}: {reason}" for reason, count in self.dropped.items()]
        lines += [f"  Note: {note}" for note in self.notes]
        return "\n".join(lines)


def texts_of(column: pd.Series) -> npt.NDArray[np.object_]:
    """Return a column of any type as strings; missing values become empty strings.

    Examples
    --------
    >>> texts_of(pd.Series([float("nan"), float("nan")])).tolist()
    ['', '']
    >>> texts_of(pd.Series(["H20", None], dtype="category")).tolist()
    ['H20', '']
    """
    texts = column.astype(object)
    return np.where(texts.isna(), "", texts.astype(str)).astype(object)


def partition_column(jobs: pd.DataFrame) -> str | None:
    """Return the column that names the partition of each job; None without one.

    It is ``vc`` (virtual cluster), or ``partition`` as logs of sites have it.

    Examples
    --------
    >>> partition_column(pd.DataFrame({"partition": ["a100"]}))
    'partition'
    """
    return next((name for name in PARTITION_COLUMNS if name in jobs), None)


def users_of_namespaces(jobs: pd.DataFrame) -> Bools:
    """Return which jobs are named NAMESPACE/NAME and have the namespace as user, as on Kubernetes.

    The name of a job may have further slashes, such as that of a pod of a workflow.

    Returns
    -------
    bool array (jobs,)

    Examples
    --------
    >>> jobs = pd.DataFrame({"job_id": ["prod/a", "prod/b/0", "prod/c"]})
    >>> users_of_namespaces(jobs.assign(user=["prod", "prod", "ann"])).tolist()
    [True, True, False]
    """
    if "user" not in jobs or "job_id" not in jobs:
        return np.zeros(len(jobs), dtype=bool)
    ids = pd.Series(texts_of(jobs["job_id"]), dtype=object).astype(str)
    parts = ids.str.partition("/")
    users = pd.Series(texts_of(jobs["user"]), dtype=object).astype(str)
    return np.asarray((parts[1] == "/") & (parts[0] == users) & (users != ""), dtype=bool)


def users_are_namespaces(jobs: pd.DataFrame) -> bool:
    """Return whether the users of most jobs that have one are their namespaces.

    Examples
    --------
    >>> jobs = pd.DataFrame({"job_id": ["prod/a", "prod/b", "prod/c"]})
    >>> users_are_namespaces(jobs.assign(user=["prod", "prod", "ann"]))
    True
    >>> users_are_namespaces(jobs.assign(user=["ann", "bob", "prod"]))
    False
    """
    named = int((texts_of(jobs["user"]) != "").sum()) if "user" in jobs else 0
    return 2 * int(users_of_namespaces(jobs).sum()) > named
