"""The order of a queue by priorities, with the jobs that arrive or may start later.

The priority of a job grows with the time for which it has been able to start (its age), and all
jobs age alike. So the order of two jobs never changes: it is that of what their priorities were
at one time. How fast they grow is seen in jobs of one user, partition and size that were submitted
at different times, or wait for another job and have no age yet. A job that waited for another one
is younger than its submission tells, so the slope of the upper quartile of all pairs is taken
(the median of Theil, 1950, and Sen, 1968, would be too small). Fair shares that change, and the end
of ageing, are not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from clustersim.array_types import Floats
from clustersim.calendar import DAY_S
from clustersim.seeds import Streams

__all__ = ["Priorities", "priorities_of"]

_LEAST_APART_S = 600.0
"""Jobs that were submitted at least this far apart tell how fast priorities grow."""
_FEWEST_PAIRS = 10


@dataclass(frozen=True, eq=False)
class Priorities:
    """The priorities of waiting jobs, and of those that arrive later.

    Attributes
    ----------
    now : float64 array (jobs,)
        Priorities of the jobs of the state; infinite for jobs that run.
    per_s : float
        Growth of a priority while a job can start, per second.
    of_user : dict of (str, str) to float64 array
        Priorities of the waiting jobs of each user and partition without their age, and of each
        user, with an empty partition.
    """

    now: Floats
    per_s: float
    of_user: dict[tuple[str, str], Floats]

    def notes(self) -> Iterator[str]:
        """Yield how the priorities of later times are known.

        Examples
        --------
        >>> next(Priorities(np.empty(0), 0.0, {}).notes())[:60]
        'jobs that arrive later have priorities of the waiting jobs o'
        """
        grows = f"they grow by {self.per_s * DAY_S:,.4g} a day, as far as the queue tells"
        yield (
            "jobs that arrive later have priorities of the waiting jobs of their users, and "
            f"{grows if self.per_s else 'none grows with time'}"
        )

    def ranks(self, starts_s: Floats) -> Floats:
        """Return the ranks of the jobs of the state; the highest is first.

        Parameters
        ----------
        starts_s : float64 array (jobs,)
            Seconds from now until each can start; 0 for jobs that can now.

        Examples
        --------
        >>> priorities = Priorities(np.array([50.0, 60.0]), 1.0, {})
        >>> priorities.ranks(np.array([0.0, 20.0]))
        array([50., 40.])
        """
        return self.now - self.per_s * starts_s

    def ranks_of_further(self, jobs: pd.DataFrame, submit_s: Floats, streams: Streams) -> Floats:
        """Return the ranks of jobs that arrive later.

        Each has a priority of the waiting jobs of its user and partition, or of its user, drawn at
        random; jobs of a user of whom no job waits have the priorities of another user.

        Parameters
        ----------
        jobs : pandas.DataFrame
            ``user``, ``vc``.
        submit_s : float64 array (jobs,)
            Seconds from now.
        streams : Streams

        Examples
        --------
        >>> priorities = Priorities(np.empty(0), 1.0, {("ann", ""): np.array([70.0])})
        >>> jobs = pd.DataFrame({"user": ["ann", "bob"], "vc": "gpu"})
        >>> priorities.ranks_of_further(jobs, np.array([0.0, 5.0]), Streams(1))
        array([70., 65.])
        """
        rng = streams("priorities")
        users = [user for user, partition in self.of_user if not partition]
        stands_for: dict[str, str] = {}
        level = rng.uniform(size=len(jobs))
        rank = np.empty(len(jobs))
        for row, key in enumerate(zip(jobs["user"], jobs["vc"], strict=True)):
            user, partition = key
            if (user, "") not in self.of_user:
                if user not in stands_for:
                    stands_for[user] = users[int(rng.integers(len(users)))]
                user = stands_for[user]
            known = self.of_user.get((user, partition), self.of_user[user, ""])
            rank[row] = known[int(level[row] * len(known))]
        return rank - self.per_s * submit_s


def priorities_of(jobs: pd.DataFrame, n_running: int, *, grow: bool = True) -> Priorities | None:
    """Return the priorities of a state; None if its order is that of submission.

    Held jobs tell nothing.

    Parameters
    ----------
    jobs : pandas.DataFrame
        Running, then waiting jobs: ``row_id``, ``priority``, ``user``, ``vc``, ``n_accelerators``,
        ``submit_s`` and ``eligible_s`` (seconds from now), ``after_job``, ``depends_on``, ``held``.
    n_running : int
    grow : bool
        Whether priorities may grow while jobs wait.

    Examples
    --------
    >>> jobs = pd.DataFrame({"row_id": [1, 2], "priority": [9.0, 5.0], "user": ["ann", "bob"]})
    >>> jobs = jobs.assign(vc="", n_accelerators=1, submit_s=[-60.0, -3600.0], eligible_s=np.nan)
    >>> priorities_of(jobs.assign(after_job=False, depends_on=[(), ()], held=""), 0).now
    array([9., 5.])
    """
    waiting = jobs.iloc[n_running:]
    able = waiting[waiting["held"] == ""]
    if able["priority"].isna().any() or able["priority"].nunique() < 2:
        return None
    if (
        able["submit_s"].notna().all()
        and able["submit_s"].nunique() > 1
        and spearmanr(able["priority"], able["submit_s"]).statistic <= -1.0 + 1e-9
    ):
        return None
    rows = able[~able["row_id"].duplicated()]
    held = rows["after_job"].to_numpy(dtype=bool) | np.array([bool(d) for d in rows["depends_on"]])
    since = np.fmax(rows["submit_s"].to_numpy(dtype=np.float64), _past(rows["eligible_s"]))
    age = np.where(held, 0.0, np.maximum(0.0, -np.nan_to_num(since, nan=0.0)))
    per_s = _growth(rows, age) if grow else 0.0
    base = rows["priority"].to_numpy(dtype=np.float64) - per_s * age
    of_user: dict[tuple[str, str], list[float]] = {}
    for user, partition, value in zip(rows["user"], rows["vc"], base.tolist(), strict=True):
        of_user.setdefault((user, ""), []).append(value)
        if partition:
            of_user.setdefault((user, partition), []).append(value)
    return Priorities(
        np.append(np.full(n_running, np.inf), waiting["priority"].fillna(0.0)),
        per_s,
        {key: np.array(values) for key, values in of_user.items()},
    )


def _past(eligible_s: pd.Series) -> Floats:
    """Return the times in the past at which jobs became able to start; NaN for others."""
    times = eligible_s.to_numpy(dtype=np.float64)
    return np.where(times < 0, times, np.nan)


def _growth(rows: pd.DataFrame, age: Floats) -> float:
    """Return how fast priorities grow with age, per second; 0 if it cannot be seen."""
    priority = rows["priority"].to_numpy(dtype=np.float64)
    for columns in (["user", "account", "qos", "vc", "n_accelerators"], ["user", "vc"]):
        slopes = []
        known = [name for name in columns if name in rows]
        for at in rows.groupby(known, sort=False).indices.values():
            apart = np.subtract.outer(age[at], age[at])
            growth = np.subtract.outer(priority[at], priority[at])
            far = apart >= _LEAST_APART_S
            slopes.append(growth[far] / apart[far])
        found = np.concatenate(slopes) if slopes else np.empty(0)
        if len(found) >= _FEWEST_PAIRS:
            return max(0.0, float(np.quantile(found, 0.75)))
    return 0.0
