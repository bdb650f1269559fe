"""Do the jobs of a workload model wait as long as the jobs of its log?

Both are replayed by the same policy on the same number of accelerators, at the same offered loads.
The load changes by compressing the time between submissions, so that a job keeps its share of the
machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustersim.array_types import Floats
from clustersim.calendar import UNDATED, WEEK_S, Calendar
from clustersim.seeds import Streams
from clustersim.simulation.simulate import replay
from clustersim.units import counted, format_duration, format_number
from clustersim.workload import WorkloadSpec, generate_jobs
from clustersim.workload.calibrate_sessions import SEEDS, SHORT_S, SessionFit
from clustersim.workload.describe import demand_of, window
from clustersim.workload.fit_sessions import fit_sessions

__all__ = ["FACTOR", "UNSEEN", "CheckedFit", "checked_fit", "compare_waits", "enough_accelerators"]

FACTOR = 1.5
"""A model whose mean wait differs by more than this factor from that of its log is reported."""
MOST_REPLAYED = 100_000
"""A fit replays so many jobs at most, in whole weeks."""
CHECK_LOAD = 0.75
CORRECTION_SEEDS = range(SEEDS, SEEDS + 2)
"""Replications that choose the correction; the calibration has those before."""
UNSEEN = 16
"""First replication of a check: neither the calibration nor the correction of a fit has seen it."""
_COLUMNS = ("job_id", "submit_s", "n_accelerators", "duration_s")


def enough_accelerators(jobs: pd.DataFrame, load: float = CHECK_LOAD) -> int:
    """Return the number of accelerators on which jobs have a load, or that the largest job needs.

    Examples
    --------
    >>> jobs = pd.DataFrame({"submit_s": [0.0, 10.0], "n_accelerators": [1, 3], "duration_s": 15.0})
    >>> enough_accelerators(jobs)
    8
    """
    return max(int(jobs["n_accelerators"].max()), int(np.ceil(demand_of(jobs) / load)))


def compare_waits(
    model: WorkloadSpec,
    jobs: pd.DataFrame,
    *,
    accelerators: int | None = None,
    loads: Sequence[float] = (0.6, 0.75, 0.9),
    policies: Sequence[str] = ("easy", "fcfs"),
    seeds: int = 5,
    first_seed: int = UNSEEN,
    calendar: Calendar = UNDATED,
    own_load: bool = False,
) -> pd.DataFrame:
    """Replay the jobs of a log and those of its model, and compare how long they wait.

    Policies know the real run times.  All runs last as long as the log.

    Parameters
    ----------
    model : WorkloadSpec
        The workload model.
    jobs : pandas.DataFrame
        The jobs of the log.
    accelerators : int, optional
        By default see :func:`enough_accelerators`.
    loads : sequence of float
        Offered loads of the log; the submissions of the model are compressed by the same factor.
    policies : sequence of str
    seeds : int
        Number of replications of the model.
    first_seed : int
        The first of these replications.  A fit has seen those before `UNSEEN`: they would flatter
        it.
    calendar : Calendar
        The local clock of the log.
    own_load : bool
        Whether the jobs of each seed are compressed to the load, rather than by the factor of the
        log.  This leaves out what varies from week to week.

    Returns
    -------
    pandas.DataFrame
        One row per policy, load and seed: ``policy``, ``load``, ``accelerators``, ``seed``,
        ``log_mean_s`` and ``log_p95_s`` (wait of the log, seconds), ``model_mean_s``,
        ``mean_ratio`` and ``p95_ratio`` (wait of the model divided by that of the log; 1 if both
        are 0, and infinite if only that of the log is).

    Examples
    --------
    >>> import clustersim as cs
    >>> model = cs.load_workload("kth-sp2")
    >>> log = cs.generate_jobs(model, cs.Streams(1), n_jobs=300)
    >>> compare_waits(model, log, loads=[0.75], policies=["fcfs"], seeds=2)["seed"].tolist()
    [16, 17]
    """
    replayed = _Replayed.of(jobs, accelerators, calendar, own_load)
    drawn = {k: replayed.draw(model, k) for k in range(first_seed, first_seed + seeds)}
    rows = []
    for policy in policies:
        for load in loads:
            log_mean, log_p95 = replayed.waits_of_log(policy, load)
            for seed, each in drawn.items():
                mean, p95 = replayed.waits_of_model(each, policy, load)
                rows.append(
                    {
                        "policy": policy,
                        "load": load,
                        "accelerators": replayed.count,
                        "seed": seed,
                        "log_mean_s": log_mean,
                        "log_p95_s": log_p95,
                        "model_mean_s": mean,
                        "mean_ratio": _ratio(mean, log_mean),
                        "p95_ratio": _ratio(p95, log_p95),
                    }
                )
    return pd.DataFrame(rows)


@dataclass(frozen=True, slots=True, eq=False)
class _Replayed:
    """A log that is replayed on a number of accelerators, and the jobs of models like it."""

    jobs: pd.DataFrame
    count: int
    demand: float
    calendar: Calendar
    own_load: bool

    @classmethod
    def of(
        cls, jobs: pd.DataFrame, accelerators: int | None, calendar: Calendar, own_load: bool
    ) -> _Replayed:
        jobs = jobs.assign(submit_s=jobs["submit_s"] - jobs["submit_s"].iloc[0])
        count = enough_accelerators(jobs) if accelerators is None else accelerators
        return cls(jobs, count, demand_of(jobs), calendar, own_load)

    def draw(self, model: WorkloadSpec, seed: int) -> pd.DataFrame:
        """Return jobs of a model for as long as the log lasts."""
        span = float(self.jobs["submit_s"].iloc[-1])
        streams = Streams(0, replication=seed)
        return generate_jobs(model, streams, horizon_s=span, calendar=self.calendar)

    def waits_of_log(self, policy: str, load: float) -> tuple[float, float]:
        return _waits(self.jobs, policy, self.count, load * self.count / self.demand)

    def waits_of_model(self, drawn: pd.DataFrame, policy: str, load: float) -> tuple[float, float]:
        demand = demand_of(drawn) if self.own_load else self.demand
        return _waits(drawn, policy, self.count, load * self.count / demand)

    def check(self, model: WorkloadSpec, seeds: range) -> Floats:
        """Return the mean wait (seconds) of each replication as `checked_fit` replays it."""
        return np.array(
            [self.waits_of_model(self.draw(model, k), "easy", CHECK_LOAD)[0] for k in seeds]
        )


def _ratio(model_s: float, log_s: float) -> float:
    """Return model / log; 1 if both are 0."""
    if log_s > 0:
        return model_s / log_s
    return 1.0 if model_s == log_s else float("inf")


def _waits(jobs: pd.DataFrame, policy: str, count: int, faster: float) -> tuple[float, float]:
    """Return the mean and the 95th percentile of the waits (seconds)."""
    fits = jobs[jobs["n_accelerators"] <= count]
    if fits.empty:
        return 0.0, 0.0
    table = fits[list(_COLUMNS)].assign(submit_s=fits["submit_s"] / faster)
    result = replay(table, policy=policy, accelerators=count)
    if result.interrupted:
        raise KeyboardInterrupt
    waits = result.jobs["start_s"] - result.jobs["submit_s"]
    return float(waits.mean()), float(waits.quantile(0.95))


@dataclass(frozen=True, slots=True, eq=False)
class CheckedFit:
    """A fitted workload model, and how long its jobs wait compared with those of the log.

    Attributes
    ----------
    model : WorkloadSpec
        Its ``sources`` have the result of the check as ``waits``.
    log_s : float
        Mean wait of the log (seconds).
    seeds_s : float64 array (seeds,)
        Mean wait of each replication of the model (seconds).
    text : str
        What was replayed.
    """

    model: WorkloadSpec
    log_s: float
    seeds_s: Floats
    text: str

    @property
    def model_s(self) -> float:
        """Mean wait of the model (seconds), as the mean of the seeds."""
        return float(self.seeds_s.mean())

    @property
    def ratio(self) -> float:
        """Mean wait of the model divided by that of the log; NaN if no job of the log waits."""
        return self._relative(self.model_s)

    @property
    def low(self) -> float:
        """The smallest ratio of a seed."""
        return self._relative(float(self.seeds_s.min()))

    @property
    def high(self) -> float:
        """The largest ratio of a seed."""
        return self._relative(float(self.seeds_s.max()))

    @property
    def is_near(self) -> bool:
        """Whether the ratio is within `FACTOR`; of a log without waits, whether there are none."""
        return self._is_near(self.model_s)

    @property
    def all_near(self) -> bool:
        """Whether this holds for each seed too."""
        return all(self._is_near(float(each)) for each in self.seeds_s)

    def _relative(self, wait_s: float) -> float:
        return wait_s / self.log_s if self.log_s > 0 else float("nan")

    def _is_near(self, wait_s: float) -> bool:
        if self.log_s > 0:
            return 1 / FACTOR <= wait_s / self.log_s <= FACTOR
        return wait_s <= SHORT_S

    def report(self) -> str:
        """Return the result of the check as one line."""
        if self.log_s > 0:
            what, found = "mean wait of the model / of the log", (self.ratio, self.low, self.high)
            mean, low, high = (format_number(each) for each in found)
        else:
            what = "no job of the log waits; mean wait of the model"
            times = (self.model_s, float(self.seeds_s.min()), float(self.seeds_s.max()))
            mean, low, high = (format_duration(each) for each in times)
        return f"{what}: {mean} (seeds: {low} to {high}), {self.text}"


def checked_fit(
    jobs: pd.DataFrame,
    *,
    name: str,
    accelerators: int | None = None,
    sources: dict[str, str] | None = None,
    calendar: Calendar = UNDATED,
    seeds: int = 4,
) -> CheckedFit:
    """Fit a workload model with sessions to a log, and check by a replay how long its jobs wait.

    The log and the model are replayed with EASY backfilling; the time between submissions is
    compressed so that the offered load is 0.75.  The fit is corrected once if the waits of two
    replications differ by more than `FACTOR`.  The check has other replications, which neither the
    calibration nor the correction of the fit has seen.  Of a log with more than `MOST_REPLAYED`
    jobs, the whole weeks whose load is nearest the mean are replayed, and each run is compressed to
    the load.

    Parameters
    ----------
    jobs : pandas.DataFrame
        The jobs of the log.
    name : str
        Name of the model.
    accelerators : int, optional
        By default see :func:`enough_accelerators`.
    sources : dict, optional
        Sources of the model.
    calendar : Calendar
        The local clock of the log.
    seeds : int
        Number of replications of the check.

    Returns
    -------
    CheckedFit

    Raises
    ------
    InputError
        See :func:`~clustersim.workload.fit_sessions.fit_sessions`.

    Examples
    --------
    >>> import clustersim as cs
    >>> log = cs.generate_jobs(cs.load_workload("kth-sp2"), cs.Streams(1), n_jobs=500)
    >>> checked_fit(log, name="again").model.name
    'again'
    """
    fit = fit_sessions(jobs, name=name, calendar=calendar, sources=sources)
    part = _weeks(jobs)
    whole = len(part) == len(jobs)
    count = max(accelerators or enough_accelerators(jobs), int(jobs["n_accelerators"].max()))
    replayed = _Replayed.of(part, count, calendar, own_load=not whole)
    log_s = replayed.waits_of_log("easy", CHECK_LOAD)[0]
    model = _corrected(fit, replayed, log_s)
    what = "the whole log" if whole else f"{counted(len(part), 'job')} of the log"
    text = (
        f"EASY, {counted(count, 'accelerator')}, {_load_text(replayed.demand / count)}, {what}, "
        f"{counted(seeds, 'seed')} that the fit has not seen"
    )
    found = CheckedFit(model, log_s, replayed.check(model, range(UNSEEN, UNSEEN + seeds)), text)
    noted = model.model_copy(update={"sources": {**model.sources, "waits": found.report()}})
    return CheckedFit(noted, log_s, found.seeds_s, text)


def _corrected(fit: SessionFit, replayed: _Replayed, log_s: float) -> WorkloadSpec:
    """Return the model of a fit, or another one whose waits are nearer those of the log."""
    model = fit.model()
    ratio = replayed.check(model, CORRECTION_SEEDS).mean() / log_s if log_s > 0 else 1.0
    if 1 / FACTOR <= ratio <= FACTOR or ratio == 0:
        return model
    # Half of the difference on a logarithmic scale, as it is smaller at other loads.
    other = fit.model(float(np.sqrt(ratio)))
    if other == model:
        return model
    again = replayed.check(other, CORRECTION_SEEDS).mean() / log_s
    return other if again > 0 and abs(np.log(again)) < abs(np.log(ratio)) else model


def _load_text(own: float) -> str:
    """Return how the offered load of the replay follows from that of the log on this machine."""
    if f"{own:.3f}" == f"{CHECK_LOAD:.3f}":
        return f"offered load {CHECK_LOAD}"
    change = "compressed" if own < CHECK_LOAD else "stretched"
    return f"arrivals {change} from an offered load of {own:.3f} to {CHECK_LOAD}"


def _weeks(jobs: pd.DataFrame) -> pd.DataFrame:
    """Return the jobs of a log, or of whole weeks of it that have at most `MOST_REPLAYED` jobs."""
    if len(jobs) <= MOST_REPLAYED:
        return jobs
    first = float(jobs["submit_s"].iloc[0])
    span = float(jobs["submit_s"].iloc[-1]) - first
    weeks = max(1, int(span * MOST_REPLAYED / len(jobs) // WEEK_S))
    mean = demand_of(jobs)
    best, least = jobs, np.inf
    for begin in np.arange(first, first + span - weeks * WEEK_S, WEEK_S):
        part = window(jobs, float(begin), float(begin) + weeks * WEEK_S)
        if not 50 <= len(part) <= 2 * MOST_REPLAYED:
            continue
        away = abs(np.log(demand_of(part) / mean))
        if away < least:
            best, least = part, away
    return best
