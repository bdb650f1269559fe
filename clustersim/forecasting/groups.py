"""Which jobs resemble each other: users, batches, sessions; and how much, in a log."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.calendar import DAY_S, HOUR_S
from clustersim.forecasting.samples import Alike, Key
from clustersim.forecasting.scores import Correlations
from clustersim.workload.jobs import texts_of

__all__ = [
    "GAP_S",
    "batches_of",
    "correlations_of",
    "days_of",
    "levels_of",
    "sessions_of",
    "users_of",
]

GAP_S = HOUR_S
"""Jobs of a batch whose submissions are at most this far apart are of one session."""
_MOST_CORRELATED = 0.95
_FEWEST_PAIRS = 30
_USUAL = Correlations(0.0, 0.0, 0.25, 0.5)


def levels_of(jobs: pd.DataFrame, limit: Floats | None) -> list[list[Key]]:
    """Return what each job has in common with others, the most first.

    Parameters
    ----------
    jobs : pandas.DataFrame
        ``user``, ``n_accelerators``; ``followed`` if it is known whether other jobs wait for them.
    limit : float64 array (jobs,), optional
        Time limits, seconds.

    Examples
    --------
    >>> levels_of(pd.DataFrame({"user": ["ann"], "n_accelerators": [8]}), None)
    [[('user size', 'ann', 3.0), ('user', 'ann'), ('size', 3.0), ()]]
    """
    levels = _plain_levels_of(jobs, limit)
    if "followed" not in jobs:
        return levels
    return [
        [("followed", *key) for key in keys] + keys if followed else keys
        for keys, followed in zip(levels, jobs["followed"].tolist(), strict=True)
    ]


def _plain_levels_of(jobs: pd.DataFrame, limit: Floats | None) -> list[list[Key]]:
    size = np.round(np.log2(np.maximum(1, jobs["n_accelerators"].to_numpy(dtype=np.float64))))
    users = texts_of(jobs["user"]).tolist()
    if limit is None:
        return [
            [("user size", user, n), ("user", user), ("size", n), ()]
            for user, n in zip(users, size.tolist(), strict=True)
        ]
    length = np.round(2.0 * np.log2(np.maximum(60.0, limit)))
    return [
        [("user size limit", user, n, s), ("user", user), ("size limit", n, s), ("limit", s), ()]
        for user, n, s in zip(users, size.tolist(), length.tolist(), strict=True)
    ]


def batches_of(jobs: pd.DataFrame, limit: Floats) -> Ints:
    """Return the number of the batch of each job: those of the same user, size and limit.

    Examples
    --------
    >>> jobs = pd.DataFrame({"user": ["ann", "bob", "ann"], "n_accelerators": 8})
    >>> batches_of(jobs, np.full(3, 60.0)).tolist()
    [0, 1, 0]
    """
    users, sizes = texts_of(jobs["user"]), jobs["n_accelerators"].to_numpy()
    key = pd.DataFrame({"user": users, "size": sizes, "limit": limit})
    number = key.groupby(list(key), sort=False, dropna=False).ngroup()
    return np.asarray(number, dtype=np.int64)


def users_of(jobs: pd.DataFrame, batches: Ints) -> Ints:
    """Return the number of the user of each job; that of its batch if the user is not known.

    Examples
    --------
    >>> users_of(pd.DataFrame({"user": ["ann", "ann", ""]}), np.array([0, 1, 2])).tolist()
    [0, 0, 1]
    """
    users = texts_of(jobs["user"])
    number = pd.factorize(users)[0]
    number = np.where(users == "", number.max(initial=0) + 1 + batches, number)
    return np.asarray(pd.factorize(number)[0], dtype=np.int64)


def sessions_of(batches: Ints, submit_s: Floats) -> Ints:
    """Return the number of the session of each job: of a batch, submitted one after the other.

    Successive submissions of a session are at most `GAP_S` apart. The jobs of a batch whose
    submissions are not known are of one session.

    Parameters
    ----------
    batches : int64 array (jobs,)
    submit_s : float64 array (jobs,)
        Seconds; NaN if not known.

    Examples
    --------
    >>> submit_s = np.array([0.0, 9000.0, 3600.0, np.nan, 0.0, np.nan])
    >>> sessions_of(np.array([0, 0, 0, 0, 1, 0]), submit_s).tolist()
    [0, 1, 0, 2, 3, 2]
    """
    order = np.lexsort((submit_s, batches))
    batch, submit = batches[order], submit_s[order]
    missing = np.isnan(submit)
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (
        (batch[1:] != batch[:-1]) | (np.diff(submit) > GAP_S) | (missing[1:] != missing[:-1])
    )
    sessions = np.empty(len(order), dtype=np.int64)
    sessions[order] = np.cumsum(begins) - 1
    return sessions


def days_of(known: pd.DataFrame) -> Ints:
    """Return the number of the day of each job's batch; a number of its own if no day is known.

    Examples
    --------
    >>> jobs = pd.DataFrame({"user": ["ann"] * 3, "n_accelerators": 8, "limit_s": 60.0})
    >>> days_of(jobs.assign(submit_s=[0.0, 60.0, 90000.0])).tolist()
    [0, 0, 1]
    """
    if known["submit_s"].isna().any():
        return np.arange(len(known))
    batch = batches_of(known, known["limit_s"].fillna(-1.0).to_numpy())
    key = pd.DataFrame({"batch": batch, "day": (known["submit_s"] // DAY_S).to_numpy()})
    return np.asarray(key.groupby(list(key), sort=False).ngroup(), dtype=np.int64)


def correlations_of(known: pd.DataFrame, levels: list[list[Key]], alike: Alike) -> Correlations:
    """Return the correlations of the scores of successive jobs of a log.

    That of a session is of successive jobs of one session; that of a batch, a user and the site is
    of successive jobs of it that are of different sessions, batches and users.

    Parameters
    ----------
    known : pandas.DataFrame
        ``user``, ``n_accelerators``, ``limit_s`` and ``submit_s`` of the jobs, in order.
    levels : list (jobs,)
        As from :func:`levels_of`.
    alike : Alike
        The distributions of their values.
    """
    rows: dict[Key, list[int]] = {}
    for row, each in enumerate(levels):
        rows.setdefault(alike.key_of(each), []).append(row)
    score = np.empty(len(levels))
    for key, sample in alike.samples(rows).items():
        if key in rows:
            score[rows[key]] = sample.score(alike.values[rows[key]])
    batch = batches_of(known, known["limit_s"].fillna(-1.0).to_numpy())
    session = sessions_of(batch, known["submit_s"].to_numpy(dtype=np.float64))
    groups = {"session": session, "batch": batch, "user": users_of(known, batch)}
    table = pd.DataFrame({"score": score, **groups})
    found: list[float] = []
    usual = (_USUAL.of_session, _USUAL.of_batch, _USUAL.of_user, _USUAL.of_site)
    within = ("session", "batch", "user", None)
    for name, finer, otherwise in zip(within, (None, *groups), usual, strict=True):
        before = table.shift() if name is None else table.groupby(name).shift()
        earlier = before["score"]
        if finer is not None:
            earlier = earlier.where(before[finer] != table[finer])
        found.append(min([_correlation(score, earlier, otherwise), *found]))
    return Correlations(*reversed(found))


def _correlation(score: Floats, earlier: pd.Series, usual: float) -> float:
    before = earlier.to_numpy(dtype=np.float64)
    both = np.isfinite(before)
    if both.sum() < _FEWEST_PAIRS or np.ptp(score[both]) == 0 or np.ptp(before[both]) == 0:
        return usual
    return float(np.clip(np.corrcoef(score[both], before[both])[0, 1], 0.0, _MOST_CORRELATED))
