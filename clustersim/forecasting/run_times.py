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
from clustersim.forecasting.groups import (
    GAP_S,
    batches_of,
    correlations_of,
    days_of,
    levels_of,
    sessions_of,
    users_of,
)
from clustersim.forecasting.samples import LEAST_ALIKE, Alike, Key
from clustersim.forecasting.scores import Correlations, draw_scores
from clustersim.seeds import Streams
from clustersim.units import counted, format_duration, format_percent
from clustersim.workload.chains import in_chains
from clustersim.workload.jobs import texts_of

__all__ = ["RunTimes", "assumed_run_times", "default_limit_note", "run_times_of"]

OVERDUE_S = 60.0
"""Time that a job is assumed to run on, if it has run for its limit."""
RECENT_S = 7 * DAY_S
"""Jobs that began within this time tell how the jobs of their users run now."""
LAST_OF_ARRAY = 20
"""So many of the last tasks of an array that have ended tell of its other tasks; of other sessions,
the last job does. Jobs of a session change with time, so that more of them would be too certain."""
_TAIL = 2.0
"""A job without a limit that has run longer than any known job runs for x times as long with
probability x to the power of minus this."""


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
        Jobs that ended not long ago, in order of their start: ``user``, ``n_accelerators``,
        ``limit_s``, ``submit_s`` (seconds from now), ``value``.
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
            ``user``, ``n_accelerators``, ``limit_s``, ``elapsed_s`` (NaN for a job that waits) and
            ``submit_s`` (seconds from now; jobs of a batch without it are of one session).
        """
        table, value, groups = self._with_recent(jobs)
        limit = self.limits(table)
        scale = limit if self.shares else np.ones(len(table))
        passed = np.append(jobs["elapsed_s"].to_numpy(dtype=np.float64, na_value=np.nan), value)
        passed[: len(jobs)] /= scale[: len(jobs)]
        levels = levels_of(table, limit if self.shares else None)
        rows: dict[Key, list[int]] = {}
        for row, each in enumerate(levels):
            rows.setdefault(self.alike.key_of(each), []).append(row)
        at = {key: np.array(found, dtype=np.int64) for key, found in rows.items()}
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

    def _with_recent(self, jobs: pd.DataFrame) -> tuple[pd.DataFrame, Floats, list[Ints]]:
        """Return the jobs, then the last that ended of each session; their values; the groups.

        The groups are those of :func:`~clustersim.forecasting.scores.draw_scores`. Only the jobs
        of users with a job that has not ended tell of such jobs.
        """
        columns = ["user", "n_accelerators", "limit_s", "submit_s", "followed", "array"]
        table = jobs.reindex(columns=columns).assign(
            user=texts_of(jobs["user"]),
            followed=jobs.get("followed", False),
            array=jobs.get("array", ""),
        )
        value = np.empty(0)
        if self.recent is not None:
            recent = self.recent[self.recent["user"].isin(table["user"])]
            value = recent["value"].to_numpy(dtype=np.float64)
            table = pd.concat([table, recent[columns]], ignore_index=True) if len(recent) else table
        submit = table["submit_s"].to_numpy(dtype=np.float64, na_value=np.nan)
        batches = batches_of(table, self.limits(table))
        sessions = sessions_of(batches, submit)
        n = len(jobs)
        before_last = pd.Series(sessions[n:]).groupby(sessions[n:]).cumcount(ascending=False)
        array = table["array"]
        waits = array[n:].isin(set(array[:n]) - {""}).to_numpy(dtype=bool)
        keep = before_last.to_numpy() < np.where(waits, LAST_OF_ARRAY, 1)
        kept = np.append(np.arange(n), n + np.flatnonzero(keep))
        parts = [np.zeros_like(batches), users_of(table, batches), batches, sessions]
        groups = [np.asarray(pd.factorize(part[kept])[0], dtype=np.int64) for part in parts]
        return table.iloc[kept], value[keep], groups


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
    correlation = float(data["correlation"])
    between = Correlations(0.0, 0.0, correlation, correlation)
    return RunTimes(what, between, True, alike, default)


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
        A jobs table of those that began not long ago and have ended, in order of their start;
        ``submit_s`` is in seconds from now.

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
    levels = levels_of(known, known["limit_s"].to_numpy() if shares else None)
    alike = Alike.of(value, days_of(known), levels)
    correlations = correlations_of(known, levels, alike)
    last = None
    if recent is not None:
        last, last_value = _known(recent, shares)
        last = last.assign(value=last_value)
    what = (
        f"{'shares of the time limit' if shares else 'run times'} of {counted(len(known), 'job')} "
        f"of the log, of the same user, size and limit where at least {LEAST_ALIKE} are alike "
        f"(correlation of successive jobs: {correlations.of_session:.2f} if they are alike "
        f"and submitted within {format_duration(GAP_S)}, {correlations.of_batch:.2f} if they are "
        f"alike, {correlations.of_user:.2f} of a user, {correlations.of_site:.2f} of different "
        "users), "
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
            "start_s": past.get("start_s", missing),
            "duration_s": past["duration_s"],
        }
    ).astype({"limit_s": np.float64, "submit_s": np.float64, "start_s": np.float64})
    known["followed"] = in_chains(known)
    ids = texts_of(past["job_id"]) if "job_id" in past else np.full(len(past), "")
    known["array"] = pd.Series(ids, index=past.index).astype(str).str.extract(r"^(\d+)_\d+$")[0]
    known["array"] = known["array"].fillna("")
    run = past["duration_s"].to_numpy(dtype=np.float64)
    return known, run / known["limit_s"].to_numpy() if shares else run


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
