"""Run times of jobs that have not ended: distributions, and draws given the time that has passed.

A draw is made on the scale of normal scores. Jobs of the same user, size and limit share a part of
their score, because such jobs come in batches whose run times resemble each other; without it, the
sum over many jobs would vary too little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from clustersim.array_types import Floats, Ints
from clustersim.files import parse_yaml
from clustersim.seeds import Streams
from clustersim.units import counted, format_duration, format_percent

__all__ = ["RunTimes", "assumed_run_times", "run_times_of"]

LEAST_ALIKE = 30
"""Fewest jobs of a log that give a distribution of their own."""
PARENT_JOBS = 10.0
"""Number of jobs for which the distribution of jobs less alike counts. Without it, the tails of few
jobs would be too certain, above all given that a job has run longer than most of them."""
_POINTS = 200
OVERDUE_S = 60.0
"""Time that a job is assumed to run on, if it has run longer than any run time that is known."""
_MOST_CORRELATED = 0.95


@dataclass(frozen=True, eq=False)
class RunTimes:
    """Distributions of run times, as shares of the time limit or in seconds.

    Attributes
    ----------
    what : str
        Where the distributions come from, for the reader.
    correlation : float
        Correlation of the normal scores of jobs of the same user, size and limit.
    shares : bool
        Whether values are shares of the limit; otherwise seconds.
    values : dict
        Distributions of jobs that are alike, by what they have in common; ``()`` for all jobs.
    default_limit_s : float
        Limit of a job that has none, seconds.
    """

    what: str
    correlation: float
    shares: bool
    values: dict[tuple[object, ...], Sample]
    default_limit_s: float

    def limits(self, jobs: pd.DataFrame) -> Floats:
        """Return the limit of each job, seconds; the default for a job without one."""
        limit = jobs["limit_s"].to_numpy(dtype=np.float64, na_value=np.nan)
        return np.where(np.isfinite(limit), limit, self.default_limit_s)

    def drawer(self, jobs: pd.DataFrame) -> Callable[[Streams], Floats]:
        """Return a function that draws the run time of each job, seconds.

        The run time is longer than ``elapsed_s`` if the job has run.

        Parameters
        ----------
        jobs : pandas.DataFrame
            ``user``, ``n_accelerators``, ``limit_s``, ``elapsed_s``; NaN for a job that waits.
        """
        limit = self.limits(jobs)
        elapsed = np.nan_to_num(jobs["elapsed_s"].to_numpy(dtype=np.float64, na_value=0.0))
        keys = [
            next(key for key in levels if key in self.values)
            for levels in _levels(jobs, limit if self.shares else None)
        ]
        distinct = list(dict.fromkeys(keys))
        of_key = np.array([distinct.index(key) for key in keys], dtype=np.int64)
        batch = _batches(jobs, limit)
        scale = limit if self.shares else np.ones(len(jobs))
        rows = [np.flatnonzero(of_key == at) for at in range(len(distinct))]

        def draw(streams: Streams) -> Floats:
            uniform = self._uniform(streams, batch)
            run = np.empty(len(jobs))
            for key, at in zip(distinct, rows, strict=True):
                run[at] = scale[at] * self.values[key].above(elapsed[at] / scale[at], uniform[at])
            late = run <= elapsed
            return np.where(late & (elapsed > 0), elapsed + OVERDUE_S, np.maximum(run, 1.0))

        return draw

    def _uniform(self, streams: Streams, batch: Ints) -> Floats:
        shared = streams("run times of batches").standard_normal(int(batch.max(initial=-1)) + 1)
        own = streams("run times").standard_normal(len(batch))
        part = self.correlation
        score = np.sqrt(part) * shared[batch] + np.sqrt(1.0 - part) * own
        return np.asarray(ndtr(score), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A distribution: sorted values and their weights.

    Attributes
    ----------
    values, middle : float64 arrays (n,)
        The values, and the share of the weight below the middle of each.
    upto : float64 array (n + 1,)
        Share of the weight of the first 0, 1, ... values.

    Examples
    --------
    >>> Sample.of(np.array([3.0, 1.0])).above(np.array([0.0, 1.0, 3.0]), np.array([0.25, 1.0, 0.5]))
    array([1., 3., 3.])
    """

    values: Floats
    middle: Floats
    upto: Floats

    @classmethod
    def of(cls, values: Floats, parent: Sample | None = None) -> Sample:
        """Return the distribution of values, with part of the distribution of jobs less alike."""
        weights = np.ones(len(values))
        if parent is not None:
            levels = (np.arange(_POINTS) + 0.5) / _POINTS
            values = np.concatenate([values, np.interp(levels, parent.middle, parent.values)])
            weights = np.concatenate([weights, np.full(_POINTS, PARENT_JOBS / _POINTS)])
        order = np.argsort(values, kind="stable")
        upto = np.concatenate([[0.0], np.cumsum(weights[order])])
        upto /= upto[-1]
        return cls(values[order], 0.5 * (upto[1:] + upto[:-1]), upto)

    def above(self, passed: Floats, uniform: Floats) -> Floats:
        """Return values above `passed`, by inversion; `passed` itself if there are none."""
        below = self.upto[np.searchsorted(self.values, passed, side="right")]
        drawn = np.interp(below + (1.0 - below) * uniform, self.middle, self.values)
        return np.where(below >= 1.0, passed, np.maximum(drawn, passed))

    def score(self, value: float) -> float:
        """Return the normal score of a value."""
        first = np.searchsorted(self.values, value, side="left")
        last = np.searchsorted(self.values, value, side="right")
        level = 0.5 * (self.upto[first] + self.upto[last])
        return float(ndtri(np.clip(level, 1e-4, 1.0 - 1e-4)))


def _levels(jobs: pd.DataFrame, limit: Floats | None) -> list[list[tuple[object, ...]]]:
    """Return what each job has in common with others, the most first."""
    size = np.round(np.log2(np.maximum(1, jobs["n_accelerators"].to_numpy(dtype=np.float64))))
    users = jobs["user"].astype(object).map(lambda user: "" if pd.isna(user) else str(user))
    if limit is None:
        return [
            [("user size", user, n), ("size", n), ()]
            for user, n in zip(users, size.tolist(), strict=True)
        ]
    length = np.round(2.0 * np.log2(np.maximum(60.0, limit)))
    return [
        [("user size limit", user, n, s), ("user", user), ("size limit", n, s), ("limit", s), ()]
        for user, n, s in zip(users, size.tolist(), length.tolist(), strict=True)
    ]


def _batches(jobs: pd.DataFrame, limit: Floats) -> Ints:
    users = jobs["user"].astype(object).map(lambda user: "" if pd.isna(user) else str(user))
    key = pd.MultiIndex.from_arrays([users, jobs["n_accelerators"].to_numpy(), limit])
    codes, _ = pd.factorize(key)
    return np.asarray(codes, dtype=np.int64)


def assumed_run_times(jobs: pd.DataFrame, default_limit_s: float | None = None) -> RunTimes:
    """Return the run times that are assumed without a log: public shares of the time limit.

    Parameters
    ----------
    jobs : pandas.DataFrame
        All jobs of the state, with ``limit_s``.
    default_limit_s : float, optional
        Limit of jobs without one; by default the longest limit of `jobs`, or a week if none has
        one.

    Examples
    --------
    >>> jobs = pd.DataFrame({"limit_s": [3600.0, float("nan")]})
    >>> assumed_run_times(jobs).default_limit_s
    3600.0
    """
    text = resources.files("clustersim.forecasting").joinpath("data/used_fraction.yaml").read_text()
    data = parse_yaml(text)
    fractions = np.asarray(data["fractions"], dtype=np.float64)
    values = np.interp((np.arange(2000) + 0.5) / 2000, np.linspace(0, 1, len(fractions)), fractions)
    default = _default_limit(jobs, default_limit_s)
    what = (
        f"no log of the site is given (--history LOG), so the share of its time limit that a job "
        f"uses is that of two public logs (half of the jobs use less than "
        f"{format_percent(float(np.median(values)))}, a fifth more than "
        f"{format_percent(float(np.quantile(values, 0.8)))}; {data['source']})"
    )
    return RunTimes(what, float(data["correlation"]), True, {(): Sample.of(values)}, default)


def _default_limit(jobs: pd.DataFrame, given: float | None) -> float:
    if given is not None:
        return given
    longest = jobs["limit_s"].max() if len(jobs) else np.nan
    return float(longest) if np.isfinite(longest) else 7 * 86400.0


def run_times_of(
    history: pd.DataFrame, jobs: pd.DataFrame, default_limit_s: float | None = None
) -> RunTimes:
    """Return the run times of a log of the site.

    If both the log (``estimate_s``) and the jobs have time limits, the share of the limit that jobs
    used; else their run times. Jobs of the same user, size and limit are taken if there are at
    least 30, else jobs that are less alike.

    Parameters
    ----------
    history : pandas.DataFrame
        A jobs table with ``duration_s``; only jobs that had ended by now.
    jobs : pandas.DataFrame
        All jobs of the state.
    default_limit_s : float, optional
        As in :func:`assumed_run_times`.
    """
    past = history[history["duration_s"] > 0]
    limit = (
        past["estimate_s"].to_numpy(dtype=np.float64, na_value=np.nan)
        if "estimate_s" in past
        else np.full(len(past), np.nan)
    )
    has = np.isfinite(limit) & (limit > 0)
    shares = bool(has.mean() > 0.5) and bool(jobs["limit_s"].notna().mean() > 0.5)
    if shares:
        past, limit = past[has], limit[has]
    known = pd.DataFrame(
        {
            "user": past["user"] if "user" in past else pd.Series("", index=past.index),
            "n_accelerators": past["n_accelerators"],
            "limit_s": limit,
        }
    )
    value = past["duration_s"].to_numpy(dtype=np.float64)
    value = value / limit if shares else value
    levels = _levels(known, limit if shares else None)
    values = _samples(value, levels)
    default = _default_limit(jobs, default_limit_s)
    part = _correlation(value, known, levels, values)
    what = (
        f"{'shares of the time limit' if shares else 'run times'} of "
        f"{counted(len(past), 'job')} of the log, of the same user, size and limit where at least "
        f"{LEAST_ALIKE} are alike (correlation within batches {part:.2f})"
    )
    return RunTimes(what, part, shares, values, default)


def _samples(
    value: Floats, levels: Sequence[Sequence[tuple[object, ...]]]
) -> dict[tuple[object, ...], Sample]:
    """Return the distributions of jobs that are alike, each with part of the next wider one."""
    groups: dict[tuple[object, ...], list[int]] = {}
    wider: dict[tuple[object, ...], Sequence[tuple[object, ...]]] = {}
    for row, each in enumerate(levels):
        for at, key in enumerate(each):
            groups.setdefault(key, []).append(row)
            wider.setdefault(key, each[at + 1 :])
    found: dict[tuple[object, ...], Sample] = {(): Sample.of(value)}
    for key in sorted(groups, key=lambda key: len(wider[key])):
        if key != () and len(groups[key]) >= LEAST_ALIKE:
            parent = next(other for other in wider[key] if other in found)
            found[key] = Sample.of(value[groups[key]], found[parent])
    return found


def _correlation(
    value: Floats,
    known: pd.DataFrame,
    levels: Sequence[Sequence[tuple[object, ...]]],
    values: dict[tuple[object, ...], Sample],
) -> float:
    """Return the correlation of the scores of successive jobs of the same user, size and limit."""
    score = np.empty(len(value))
    for row, each in enumerate(levels):
        score[row] = values[next(key for key in each if key in values)].score(value[row])
    limit = known["limit_s"].fillna(-1.0).to_numpy(dtype=np.float64)
    batch = _batches(known, limit)
    before = pd.Series(score).groupby(batch).shift().to_numpy()
    both = np.isfinite(before)
    if both.sum() < LEAST_ALIKE or np.std(score[both]) == 0 or np.std(before[both]) == 0:
        return 0.5
    return float(np.clip(np.corrcoef(score[both], before[both])[0, 1], 0.0, _MOST_CORRELATED))


def default_limit_note(jobs: pd.DataFrame, run_times: RunTimes) -> str | None:
    """Return a note on jobs without a time limit; None if all have one.

    Examples
    --------
    >>> jobs = pd.DataFrame({"limit_s": [3600.0, float("nan")]})
    >>> default_limit_note(jobs, assumed_run_times(jobs))
    '1 job has no time limit: 60 min is assumed (--default-limit)'
    """
    n = int(jobs["limit_s"].isna().sum())
    if not n or not run_times.shares:
        return None
    assumed = format_duration(run_times.default_limit_s)
    they = counted(n, "job has", "jobs have")
    return f"{they} no time limit: {assumed} is assumed (--default-limit)"
