"""Run times of jobs that have not ended: distributions, and draws given the time so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from clustersim.array_types import Bools, Floats, Ints
from clustersim.calendar import DAY_S
from clustersim.errors import InputError
from clustersim.files import parse_yaml
from clustersim.forecasting.samples import LEAST_ALIKE, Alike, Key
from clustersim.forecasting.scores import Correlations, draw_scores
from clustersim.seeds import Streams
from clustersim.units import counted, format_duration, format_percent
from clustersim.workload.jobs import texts_of

__all__ = ["RunTimes", "assumed_run_times", "default_limit_note", "run_times_of"]

OVERDUE_S = 60.0
"""Time that a job is assumed to run on, if it has run for its limit."""
RECENT_S = 7 * DAY_S
"""Jobs that began within this time tell how the jobs of their users run now."""
_TAIL = 2.0
"""A job without a limit that has run longer than any known job runs for x times as long with
probability x to the power of minus this."""
_MOST_CORRELATED = 0.95
_FEWEST_PAIRS = 30
_USUAL = Correlations(0.0, 0.0, 0.5)


@dataclass(frozen=True, eq=False)
class RunTimes:
    """Distributions of run times, as shares of the time limit or in seconds.

    Attributes
    ----------
    what : str
        Where the distributions come from, for the reader.
    correlations : Correlations
        Correlations of the normal scores of jobs.
    shares : bool
        Whether values are shares of the limit; otherwise seconds.
    alike : Alike
        Distributions of jobs that are alike.
    default_limit_s : float
        Limit of a job that has none, seconds.
    recent : pandas.DataFrame or None
        Jobs that ended not long ago: ``user``, ``n_accelerators``, ``limit_s``, ``value``.
    """

    what: str
    correlations: Correlations
    shares: bool
    alike: Alike
    default_limit_s: float
    recent: pd.DataFrame | None = None

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
        table, value = self._with_recent(jobs)
        limit = self.limits(table)
        scale = limit if self.shares else np.ones(len(table))
        passed = np.append(jobs["elapsed_s"].to_numpy(dtype=np.float64, na_value=np.nan), value)
        passed[: len(jobs)] /= scale[: len(jobs)]
        levels = _levels(table, limit if self.shares else None)
        rows: dict[Key, list[int]] = {}
        for row, each in enumerate(levels):
            rows.setdefault(self.alike.key_of(each), []).append(row)
        at = {key: np.array(found, dtype=np.int64) for key, found in rows.items()}
        batches = _batches(table, limit)
        groups = [np.zeros_like(batches), _users(table, batches), batches]
        n, ended = len(jobs), np.arange(len(table)) >= len(jobs)

        def draw(streams: Streams) -> Floats:
            samples = self.alike.samples(at, streams)
            above, known = np.full(len(table), -np.inf), np.full(len(table), np.nan)
            beyond = np.zeros(len(table), dtype=bool)
            for key, here in at.items():
                seen, runs = here[ended[here]], here[~ended[here] & (passed[here] > 0)]
                known[seen] = samples[key].score(passed[seen])
                level = samples[key].level(passed[runs])
                beyond[runs] = level >= 1.0
                above[runs] = ndtri(np.where(level >= 1.0, samples[key].top, level))
            variances = self.correlations.variances
            score = draw_scores(streams, groups, variances, above=above, known=known)
            run = np.empty(len(table))
            for key, here in at.items():
                run[here] = scale[here] * samples[key].quantile(ndtr(score[here]))
            elapsed = np.nan_to_num(passed[:n]) * scale[:n]
            return _after(run[:n], elapsed, beyond[:n], scale[:n] if self.shares else None, streams)

        return draw

    def _with_recent(self, jobs: pd.DataFrame) -> tuple[pd.DataFrame, Floats]:
        """Return the jobs, then the last one of each user and batch that ended; its values."""
        columns = ["user", "n_accelerators", "limit_s"]
        jobs = jobs[columns].assign(user=texts_of(jobs["user"]))
        if self.recent is None:
            return jobs, np.empty(0)
        recent = self.recent[self.recent["user"].isin(jobs["user"])]
        last = recent.drop_duplicates(columns, keep="last")
        together = pd.concat([jobs, last[columns]], ignore_index=True)
        return together, last["value"].to_numpy(dtype=np.float64)


def _after(
    run: Floats, elapsed: Floats, beyond: Bools, limit: Floats | None, streams: Streams
) -> Floats:
    """Return run times above the time that has passed, also where no known run time is."""
    uniform = streams("run times beyond the known").uniform(size=len(run))
    if limit is None:
        more = elapsed * (1.0 - uniform) ** (-1.0 / _TAIL)
    else:
        more = np.where(elapsed < limit, elapsed + uniform * (limit - elapsed), elapsed + OVERDUE_S)
    run = np.where(beyond | ((run <= elapsed) & (elapsed > 0)), more, np.maximum(run, 1.0))
    return np.where((run <= elapsed) & (elapsed > 0), elapsed + 1.0, run)


def _levels(jobs: pd.DataFrame, limit: Floats | None) -> list[list[Key]]:
    """Return what each job has in common with others, the most first."""
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


def _batches(jobs: pd.DataFrame, limit: Floats) -> Ints:
    """Return the number of the batch of each job: those of the same user, size and limit."""
    users, sizes = texts_of(jobs["user"]), jobs["n_accelerators"].to_numpy()
    key = pd.MultiIndex.from_arrays([users, sizes, limit])
    return np.asarray(pd.factorize(key)[0], dtype=np.int64)


def _users(jobs: pd.DataFrame, batches: Ints) -> Ints:
    """Return the number of the user of each job; that of its batch if the user is not known."""
    named = zip(texts_of(jobs["user"]), batches.tolist(), strict=True)
    keys = [(user, -1) if user else ("", batch) for user, batch in named]
    return np.asarray(pd.factorize(pd.MultiIndex.from_tuples(keys))[0], dtype=np.int64)


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
    alike = Alike.of(values, np.arange(len(values)), [[()]] * len(values))
    return RunTimes(what, Correlations(0.0, 0.0, float(data["correlation"])), True, alike, default)


def _default_limit(jobs: pd.DataFrame, given: float | None) -> float:
    if given is not None:
        return given
    longest = jobs["limit_s"].max() if len(jobs) else np.nan
    return float(longest) if np.isfinite(longest) else 7 * DAY_S


def run_times_of(
    history: pd.DataFrame,
    jobs: pd.DataFrame,
    default_limit_s: float | None = None,
    recent: pd.DataFrame | None = None,
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
    recent : pandas.DataFrame, optional
        A jobs table of those that began not long ago and have ended, in order of their start.

    Raises
    ------
    InputError
        If no job of the log has a run time.
    """
    ran = _ran(history)
    if not ran.any():
        raise InputError(
            "history",
            f"has no job with a run time: duration_s is 0 or empty in all of its "
            f"{counted(len(history), 'job')}",
        )
    shares = _has_limits(history[ran]) and bool(jobs["limit_s"].notna().mean() > 0.5)
    known, value = _known(history, shares)
    levels = _levels(known, known["limit_s"].to_numpy() if shares else None)
    alike = Alike.of(value, _sessions(known), levels)
    correlations = _correlations(known, levels, alike)
    last = None
    if recent is not None:
        last, last_value = _known(recent, shares)
        last = last.assign(value=last_value)
    what = (
        f"{'shares of the time limit' if shares else 'run times'} of {counted(len(known), 'job')} "
        f"of the log, of the same user, size and limit where at least {LEAST_ALIKE} are alike "
        f"(correlation of successive jobs: {correlations.of_batch:.2f} if they are alike, "
        f"{correlations.of_user:.2f} of a user, {correlations.of_site:.2f} of different users), "
        "whose days are weighed anew in each replication"
    )
    default = _default_limit(jobs, default_limit_s)
    return RunTimes(what, correlations, shares, alike, default, last)


def _ran(history: pd.DataFrame) -> Bools:
    """Return which jobs of a log have a run time."""
    if "duration_s" not in history:
        return np.zeros(len(history), dtype=bool)
    return np.asarray(history["duration_s"].astype(np.float64).to_numpy(na_value=np.nan) > 0)


def _has_limits(history: pd.DataFrame) -> bool:
    return "estimate_s" in history and bool((history["estimate_s"] > 0).mean() > 0.5)


def _known(history: pd.DataFrame, shares: bool) -> tuple[pd.DataFrame, Floats]:
    """Return what is known of the jobs of a log, and their run times or shares of the limit."""
    past = history[_ran(history)]
    if shares:
        past = past[past["estimate_s"] > 0]
    missing = pd.Series(np.nan, index=past.index)
    known = pd.DataFrame(
        {
            "user": texts_of(past["user"]) if "user" in past else "",
            "n_accelerators": past["n_accelerators"],
            "limit_s": past.get("estimate_s", missing),
            "submit_s": past.get("submit_s", missing),
        }
    ).astype({"limit_s": np.float64, "submit_s": np.float64})
    run = past["duration_s"].to_numpy(dtype=np.float64)
    return known, run / known["limit_s"].to_numpy() if shares else run


def _sessions(known: pd.DataFrame) -> Ints:
    """Return the number of the session of each job: its batch and day, or its own without a day."""
    if known["submit_s"].isna().any():
        return np.arange(len(known))
    day = (known["submit_s"] // DAY_S).to_numpy()
    key = pd.MultiIndex.from_arrays(
        [_batches(known, known["limit_s"].fillna(-1.0).to_numpy()), day]
    )
    return np.asarray(pd.factorize(key)[0], dtype=np.int64)


def _correlations(known: pd.DataFrame, levels: list[list[Key]], alike: Alike) -> Correlations:
    """Return the correlations of the scores of successive jobs of a batch, a user and the site."""
    rows: dict[Key, list[int]] = {}
    for row, each in enumerate(levels):
        rows.setdefault(alike.key_of(each), []).append(row)
    score = np.empty(len(levels))
    for key, sample in alike.samples(rows).items():
        if key in rows:
            score[rows[key]] = sample.score(alike.values[rows[key]])
    batch = _batches(known, known["limit_s"].fillna(-1.0).to_numpy())
    user = _users(known, batch)
    table = pd.DataFrame({"score": score, "batch": batch, "user": user})
    of_batch = _correlation(score, table.groupby("batch")["score"].shift(), _USUAL.of_batch)
    before = table.groupby("user")[["score", "batch"]].shift()
    other = before["score"].where(before["batch"] != batch)
    of_user = min(of_batch, _correlation(score, other, _USUAL.of_user))
    before = table.shift()
    others = before["score"].where(before["user"] != user)
    return Correlations(
        min(of_user, _correlation(score, others, _USUAL.of_site)), of_user, of_batch
    )


def _correlation(score: Floats, earlier: pd.Series, usual: float) -> float:
    before = earlier.to_numpy(dtype=np.float64)
    both = np.isfinite(before)
    if both.sum() < _FEWEST_PAIRS or np.ptp(score[both]) == 0 or np.ptp(before[both]) == 0:
        return usual
    return float(np.clip(np.corrcoef(score[both], before[both])[0, 1], 0.0, _MOST_CORRELATED))


def default_limit_note(limit_s: pd.Series, run_times: RunTimes) -> str | None:
    """Return a note on jobs without a time limit; None if all have one.

    Examples
    --------
    >>> limit_s = pd.Series([3600.0, float("nan")])
    >>> default_limit_note(limit_s, assumed_run_times(limit_s.to_frame("limit_s")))
    '1 job has no time limit: 60 min is assumed (--default-limit)'
    """
    n = int(limit_s.isna().sum())
    if not n or not run_times.shares:
        return None
    assumed = format_duration(run_times.default_limit_s)
    they = counted(n, "job has", "jobs have")
    return f"{they} no time limit: {assumed} is assumed (--default-limit)"
