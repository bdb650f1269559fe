"""Limits that the jobs of a user, an account or a QOS share: given, or seen in a queue of Slurm.

A queue does not contain the limits of users and QOS, but Slurm says which jobs they hold. A limit
is then at least the size of such a job, and at least what any holder has now or had in the log. It
is less than what the holder of the job has, with the job. The least of these limits is assumed.
Reasons: https://slurm.schedmd.com/job_reason_codes.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from clustersim.units import counted
from clustersim.workload.jobs import partition_column, texts_of

__all__ = [
    "LIMITS_ASSUMED",
    "SharedLimit",
    "limit_of_users",
    "limits_seen",
    "note_on_limits",
    "texts_of_log",
]

LIMITS_ASSUMED = "jobs wait for limits"
"""Beginning of the note on limits that are assumed."""
_MOST_NAMED = 4
_REASON = re.compile(
    r"(?P<by>QOS|Assoc)(?P<kind>Max|Grp)(?P<what>GRES|Gres|Jobs)"
    r"(?P<scope>PerUser|PerAccount)?(?:Limit)?$"
)


@dataclass(frozen=True, slots=True)
class SharedLimit:
    """A limit on what the jobs of each holder have together.

    Attributes
    ----------
    scope : {"user", "account", "qos"}
        Column that names the holder of a job.
    counts_jobs : bool
        Whether jobs are counted; otherwise their accelerators.
    most : mapping of str to int
        The limit of each holder.
    otherwise : int or None
        The limit of other holders; None if they have none.
    partition, qos : str
        Only jobs of this partition and QOS count; empty for all.
    reason : str
        Why a limit is assumed, in the scheduler's words; empty if it is given.
    """

    scope: str
    counts_jobs: bool
    most: Mapping[str, int]
    otherwise: int | None
    partition: str = ""
    qos: str = ""
    reason: str = ""

    def counts(self, jobs: pd.DataFrame) -> list[tuple[int, str, int]]:
        """Return the jobs that the limit counts: row, holder, and how much each takes.

        Parameters
        ----------
        jobs : pandas.DataFrame
            ``user``, ``account``, ``qos``, ``vc`` and ``n_accelerators``; empty texts if not known.

        Examples
        --------
        >>> jobs = pd.DataFrame({"user": ["ann", ""], "account": "", "qos": "", "vc": "gpu,long"})
        >>> limit = SharedLimit("user", False, {}, 8, partition="gpu")
        >>> limit.counts(jobs.assign(n_accelerators=4))
        [(0, 'ann', 4)]
        """
        holders = jobs[self.scope].tolist()
        columns = zip(holders, jobs["vc"], jobs["qos"], jobs["n_accelerators"], strict=True)
        return [
            (row, holder, 1 if self.counts_jobs else int(n))
            for row, (holder, partitions, qos, n) in enumerate(columns)
            if holder
            and (holder in self.most or self.otherwise is not None)
            and (not self.partition or self.partition in partitions.split(","))
            and (not self.qos or not qos or self.qos == qos)
            and not (self.reason and self._is_above(holder, int(n)))
        ]

    def _is_above(self, holder: str, n: int) -> bool:
        """Return whether a job is larger than its limit, which is then not its limit."""
        most = self.most.get(holder, self.otherwise)
        return most is not None and not self.counts_jobs and 0 < most < n

    def of(self, holder: str) -> tuple[str, float]:
        """Return the limit of a holder: as text, and its size.

        Examples
        --------
        >>> limit_of_users(8).of("ann")
        ('user ann may use at most 8 accelerators', 8.0)
        """
        most = self.most.get(holder, self.otherwise)
        assert most is not None
        what = counted(most, "job" if self.counts_jobs else "accelerator")
        where = f" of {self.partition}" if self.partition else ""
        why = f" (assumed from {self.reason})" if self.reason else ""
        who = "QOS" if self.scope == "qos" else self.scope
        does = "run" if self.counts_jobs else "use"
        return f"{who} {holder} may {does} at most {what}{where}{why}", float(most)


def texts_of_log(log: pd.DataFrame) -> pd.DataFrame:
    """Return what limits need to know of the jobs of a log; texts are empty if not known.

    Examples
    --------
    >>> log = pd.DataFrame({"user": ["ann"], "partition": ["gpu"], "n_accelerators": [8]})
    >>> texts_of_log(log)["vc"].tolist()
    ['gpu']
    """
    names = {"user": "user", "account": "account", "qos": "qos", "vc": partition_column(log)}
    texts = {key: texts_of(log[name]) if name in log else "" for key, name in names.items()}
    return log[["n_accelerators"]].assign(**texts)


def limit_of_users(n: int, partition: str = "") -> SharedLimit:
    """Return the limit of `n` accelerators for each user, in a partition or in all together.

    Examples
    --------
    >>> limit_of_users(8).otherwise
    8
    """
    return SharedLimit("user", False, {}, n, partition)


def limits_seen(
    jobs: pd.DataFrame, n_running: int, log: pd.DataFrame | None = None
) -> list[SharedLimit]:
    """Return the limits for which waiting jobs wait, as their scheduler says.

    A limit holds in one partition if holders have jobs there that run, else in all.

    Parameters
    ----------
    jobs : pandas.DataFrame
        Running, then waiting jobs, with the columns of :meth:`SharedLimit.counts` and ``reason``.
    n_running : int
    log : pandas.DataFrame, optional
        A log of the site, with ``start_s`` and ``duration_s``.

    Examples
    --------
    >>> jobs = pd.DataFrame({"user": ["ann", "bob", "ann"], "n_accelerators": [8, 2, 4]})
    >>> jobs = jobs.assign(account="", qos="", vc="gpu", reason=["", "", "QOSMaxGRESPerUser"])
    >>> limits_seen(jobs, 2)[0].of("ann")[0]
    'user ann may use at most 8 accelerators of gpu (assumed from QOSMaxGRESPerUser)'
    """
    held: dict[tuple[str, str, str], list[int]] = {}
    for row in range(n_running, len(jobs)):
        reason = str(jobs["reason"].iloc[row])
        found = _REASON.match(reason)
        scope = _scope(found) if found is not None else ""
        if scope and jobs[scope].iloc[row]:
            key = reason, str(jobs["qos"].iloc[row]), str(jobs["vc"].iloc[row]).partition(",")[0]
            held.setdefault(key, []).append(row)
    limits: dict[tuple[object, ...], SharedLimit] = {}
    for key, rows in held.items():
        limit = _seen(jobs, n_running, rows, log, *key)
        if limit is not None:
            of = (limit.scope, limit.counts_jobs, limit.partition, limit.qos)
            limits[of] = limit if of not in limits else _both(limits[of], limit)
    return [*limits.values()]


def _both(one: SharedLimit, other: SharedLimit) -> SharedLimit:
    """Return two limits on the same jobs as one, with the larger numbers."""
    most = {
        holder: max(one.most.get(holder, 0), other.most.get(holder, 0))
        for holder in {**one.most, **other.most}
    }
    known = [limit.otherwise for limit in (one, other) if limit.otherwise is not None]
    return replace(one, most=most, otherwise=max(known, default=None))


def _scope(found: re.Match[str]) -> str:
    if found["scope"]:
        return "user" if found["scope"] == "PerUser" else "account"
    if found["kind"] == "Grp":
        return "qos" if found["by"] == "QOS" else "account"
    return "user"


def _seen(
    jobs: pd.DataFrame,
    n_running: int,
    rows: list[int],
    log: pd.DataFrame | None,
    reason: str,
    qos: str,
    partition: str,
) -> SharedLimit | None:
    """Return the limit that holds some jobs, or None if their holders have nothing."""
    found = _REASON.match(reason)
    assert found is not None
    running = jobs.iloc[:n_running]
    for where in (partition, ""):
        open_ended = SharedLimit(_scope(found), found["what"] == "Jobs", {}, 0, where, qos, reason)
        has: dict[str, int] = {}
        for _, holder, n in open_ended.counts(running):
            has[holder] = has.get(holder, 0) + n
        least: dict[str, int] = {}
        of_limit = set(rows)
        for row, holder, n in open_ended.counts(jobs):
            if row in of_limit:
                least[holder] = min(n, least.get(holder, n))
        if any(has.get(holder, 0) for holder in least):
            ever, several = _most_ever(log, open_ended)
            common = max([*has.values(), *least.values(), ever])
            # Slurm may not have looked again since other jobs of the holder ended.
            stale = common == ever and several
            most = {
                holder: common if stale else max(has[holder], n, min(common, has[holder] + n - 1))
                for holder, n in least.items()
                if has.get(holder, 0)
            }
            # Slurm sets the limits of accounts one by one, the others for all holders.
            otherwise = None if found["by"] == "Assoc" and found["kind"] == "Grp" else common
            return replace(open_ended, most=most, otherwise=otherwise)
    return None


def _most_ever(log: pd.DataFrame | None, limit: SharedLimit) -> tuple[int, bool]:
    """Return the most that a holder ever had in a log at a time, and whether several had that.

    0 if it is not known.
    """
    counted_jobs = [] if log is None else limit.counts(texts_of_log(log))
    if log is None or not counted_jobs or "start_s" not in log:
        return 0, False
    rows, holders, sizes = (np.array(column) for column in zip(*counted_jobs, strict=True))
    start = log["start_s"].to_numpy(dtype=np.float64)[rows]
    end = start + log["duration_s"].to_numpy(dtype=np.float64)[rows]
    ran = np.isfinite(end) & (end > start)
    time = np.concatenate([start[ran], end[ran]])
    change = np.concatenate([sizes[ran], -sizes[ran]])
    holder = pd.factorize(np.tile(holders[ran], 2))[0]
    order = np.lexsort((change, time, holder))
    # What a holder has is 0 after all of its jobs, so that sums over all holders are those of one.
    had = pd.Series(np.cumsum(change[order])).groupby(holder[order]).max()
    most = int(had.max()) if len(had) else 0
    return most, int((had == most).sum()) > 1


def note_on_limits(limits: Sequence[SharedLimit]) -> Iterator[str]:
    """Yield a note on limits that are assumed.

    Examples
    --------
    >>> list(note_on_limits([limit_of_users(8)]))
    []
    """
    seen = [
        limit.of(holder)[0] + (f", others {limit.otherwise:,}" if limit.otherwise else "")
        for limit in limits
        if limit.reason
        for holder in limit.most
    ]
    if seen:
        left = len(seen) - _MOST_NAMED
        more = f"; and {left:,} more" if left > 0 else ""
        yield (
            f"{LIMITS_ASSUMED} that the file does not contain: the most that a holder has now, "
            f"or had in the log, is assumed ({'; '.join(seen[:_MOST_NAMED])}{more})"
        )
