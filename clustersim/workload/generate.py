"""Draw jobs from a workload model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.calendar import UNDATED, WEEK_S, Calendar
from clustersim.errors import check_kind
from clustersim.workload.arrivals import arrival_times
from clustersim.workload.backlog import held_back
from clustersim.workload.session_jobs import mean_demand, session_jobs
from clustersim.workload.sessions import Sessions
from clustersim.workload.spec import WorkloadSpec

__all__ = ["Runtime", "generate_jobs"]

Streams = Callable[[str], np.random.Generator]


class Runtime(Protocol):
    """Function that computes the run time of jobs with a model (the performance model).

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.workload import Runtime
    >>> def proportional(model, n_accelerators, tokens):
    ...     return tokens / (10_000 * n_accelerators)
    >>> runtime: Runtime = proportional
    >>> runtime("llama3-8b", np.array([8, 16]), 1e9).tolist()
    [12500.0, 6250.0]
    """

    def __call__(self, model: str, n_accelerators: Ints, tokens: float) -> Floats:
        """Return the time (seconds) to process `tokens` on each number of accelerators."""


def generate_jobs(
    spec: WorkloadSpec,
    streams: Streams,
    *,
    n_jobs: int | None = None,
    horizon_s: float | None = None,
    rate_scale: float = 1.0,
    calendar: Calendar = UNDATED,
) -> pd.DataFrame:
    """Draw jobs from a workload model.

    Each purpose has a separate random stream, and each job uses one number from each stream. The
    k-th job therefore has the same class, size and duration at every load and horizon; only its
    submit time changes. If jobs come in sessions, each class has the same sessions and jobs at
    every load; their times change, and so the order of jobs of different sessions.

    Parameters
    ----------
    spec : WorkloadSpec
        The workload model.
    streams : callable
        Function that returns the random generator for a purpose, such as
        :class:`clustersim.seeds.Streams`. The purposes are ``arrivals``, ``classes``, ``sizes``,
        ``durations`` (tokens for jobs with a model), ``estimates``, ``vcs`` and ``users``; for
        sessions, ``begin of the levels``, and ``sessions of CLASS`` and ``jobs of CLASS``, and the
        same with ``before time 0``.
    n_jobs, horizon_s : int, float
        Number of jobs, and the time up to which jobs arrive. If both are given, arrivals stop at
        the limit that is reached first.
    rate_scale : float
        Factor by which the arrival rate is multiplied.
    calendar : Calendar
        The local clock, for daily and weekly cycles of arrivals.

    Returns
    -------
    pandas.DataFrame
        The jobs table with ``job_class``, and with ``model``, ``tokens``, ``estimate_s``, ``vc``,
        ``user``, ``accelerators`` and ``preemptible`` if the workload model has them. For jobs with
        a model, ``duration_s`` is NaN, and the estimate is ``estimate_factor`` times the run time
        once the run time is known.

    Examples
    --------
    >>> from clustersim import generate_jobs
    >>> from clustersim.seeds import Streams
    >>> from clustersim.workload import load_workload
    >>> jobs = generate_jobs(load_workload("philly-2017"), Streams(1), n_jobs=1000)
    >>> len(jobs), bool((jobs["duration_s"] > 0).all())
    (1000, True)
    """
    advice = "use clustersim.load_workload(path_or_name)"
    check_kind("workload", spec, WorkloadSpec, "a workload model", advice)
    if not callable(streams):
        wanted = "a function that returns a random generator for a purpose"
        check_kind("streams", streams, (), wanted, "use clustersim.Streams(seed)")
    limits = (n_jobs, horizon_s)
    if isinstance(spec.arrivals.process, Sessions):
        return _of_sessions(spec, streams, limits, rate_scale, calendar)
    submit = arrival_times(
        spec.arrivals,
        streams("arrivals"),
        n_jobs=n_jobs,
        horizon_s=horizon_s,
        rate_scale=rate_scale,
        calendar=calendar,
    )
    n = len(submit)
    weights = {index: c.weight for index, c in enumerate(spec.classes)}
    of_class = _pick(weights, streams("classes").random(n))
    return _table(spec, submit, of_class, lambda purpose: streams(purpose).random(n))


def _of_sessions(
    spec: WorkloadSpec,
    streams: Streams,
    limits: tuple[int | None, float | None],
    rate_scale: float,
    calendar: Calendar,
) -> pd.DataFrame:
    """Draw jobs in sessions, until one of the limits (number of jobs, time) is reached."""
    n_jobs, horizon_s = limits
    if n_jobs is None and horizon_s is None:
        raise ValueError("n_jobs or horizon_s must be given")
    rate = rate_scale / float(spec.arrivals.mean_interarrival)
    until_s = np.inf if n_jobs is None else 1.05 * n_jobs / rate + WEEK_S
    while True:
        until_s = until_s if horizon_s is None else min(until_s, horizon_s)
        jobs = _sessions_until(spec, streams, float(until_s), rate, calendar)
        if n_jobs is None or len(jobs) >= n_jobs or until_s == horizon_s:
            break
        until_s *= 2
    jobs = jobs.iloc[:n_jobs]
    return jobs.assign(job_id=np.arange(1, len(jobs) + 1))


def _sessions_until(
    spec: WorkloadSpec, streams: Streams, until_s: float, rate_per_s: float, calendar: Calendar
) -> pd.DataFrame:
    """Return the jobs that are submitted from time 0 up to `until_s`."""
    drawn = session_jobs(spec, streams, until_s, rate_per_s, calendar)
    numbers = {
        "sizes": drawn.size,
        "durations": drawn.duration,
        "estimates": drawn.estimate,
        "vcs": drawn.vc,
        "users": drawn.user,
    }
    jobs = _table(spec, drawn.submit_s, drawn.job_class, numbers.__getitem__)
    process = spec.arrivals.process
    if isinstance(process, Sessions) and process.headroom is not None:
        sizes = jobs["n_accelerators"].to_numpy(dtype=np.float64)
        room = process.headroom * mean_demand(spec.classes, rate_per_s)
        jobs["submit_s"] = held_back(drawn.submit_s, sizes, jobs["duration_s"].to_numpy(), room)
    submit = jobs["submit_s"]
    return jobs[(submit >= 0) & (submit < until_s)].reset_index(drop=True)


def _table(
    spec: WorkloadSpec, submit: Floats, of_class: Ints, numbers: Callable[[str], Floats]
) -> pd.DataFrame:
    """Return the jobs table; `numbers` returns a uniform number of each job for a purpose."""
    members = [np.flatnonzero(of_class == index) for index in range(len(spec.classes))]
    columns: dict[str, object] = {
        "job_id": np.arange(1, len(submit) + 1),
        "submit_s": submit,
        "n_accelerators": _sizes(spec, members, numbers("sizes")),
        **_work(spec, members, numbers("durations")),
    }
    columns |= _estimates(spec, members, columns, numbers("estimates"))
    for column, field in (("vc", "vcs"), ("user", "users")):
        if any(getattr(c, field) for c in spec.classes):
            columns[column] = _labels(spec, members, field, numbers(field))
    if any(c.accelerators for c in spec.classes):
        lists = np.array([",".join(c.accelerators or ()) for c in spec.classes], dtype=object)
        columns["accelerators"] = pd.Series(lists[of_class], dtype="string")
    if any(c.preemptible for c in spec.classes):
        columns["preemptible"] = np.array([c.preemptible for c in spec.classes])[of_class]
    names = pd.Index([c.name for c in spec.classes])
    columns["job_class"] = pd.Categorical.from_codes(of_class, names)
    return pd.DataFrame(columns)


def _pick(weights: Mapping[int, float], u: Floats) -> Ints:
    """Draw keys of `weights` by inversion at the uniform numbers `u`."""
    edges = np.cumsum(list(weights.values()))
    index = np.searchsorted(edges, u * edges[-1], side="right")
    keys = np.array(list(weights), dtype=np.int64)
    chosen: Ints = keys[np.minimum(index, len(edges) - 1)]
    return chosen


def _sizes(spec: WorkloadSpec, members: list[npt.NDArray[np.intp]], u: Floats) -> Ints:
    sizes = np.empty(len(u), dtype=np.int64)
    for job_class, rows in zip(spec.classes, members, strict=True):
        sizes[rows] = _pick(job_class.sizes, u[rows])
    return sizes


def _work(spec: WorkloadSpec, members: list[npt.NDArray[np.intp]], u: Floats) -> dict[str, object]:
    durations, tokens = np.full(len(u), np.nan), np.full(len(u), np.nan)
    models = np.full(len(u), None, dtype=object)
    for job_class, rows in zip(spec.classes, members, strict=True):
        if job_class.duration is not None:
            durations[rows] = job_class.duration.quantile(u[rows])
        if job_class.tokens is not None:
            tokens[rows] = job_class.tokens.quantile(u[rows])
            models[rows] = job_class.model
    if not spec.models():
        return {"duration_s": durations}
    return {"duration_s": durations, "model": pd.array(models, dtype="string"), "tokens": tokens}


def _estimates(
    spec: WorkloadSpec,
    members: list[npt.NDArray[np.intp]],
    columns: Mapping[str, object],
    u: Floats,
) -> dict[str, object]:
    """Return estimates for jobs with a duration, and estimate factors for jobs with a model."""
    if not any(c.estimate for c in spec.classes):
        return {}
    factors = np.ones(len(u))
    for job_class, rows in zip(spec.classes, members, strict=True):
        if job_class.estimate is not None:
            factors[rows] = np.maximum(job_class.estimate.quantile(u[rows]), 1.0)
    estimates: dict[str, object] = {"estimate_s": factors * np.asarray(columns["duration_s"])}
    if any(c.estimate and c.model for c in spec.classes):
        estimates["estimate_factor"] = factors
    return estimates


def _labels(
    spec: WorkloadSpec, members: list[npt.NDArray[np.intp]], field: str, u: Floats
) -> pd.Series:
    labels = np.full(len(u), None, dtype=object)
    for job_class, rows in zip(spec.classes, members, strict=True):
        shares = getattr(job_class, field)
        if shares:
            index = _pick(dict(enumerate(shares.values())), u[rows])
            labels[rows] = np.array(list(shares), dtype=object)[index]
    return pd.Series(labels, dtype="string")
