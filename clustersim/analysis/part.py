"""Inputs of metrics: a run, a part of a run, and the fleet before the run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import pandas as pd

from clustersim.analysis.goodput import Goodput, goodput_of
from clustersim.analysis.network_slowdown import network_slowdown
from clustersim.analysis.policy.blocking import FreeWhileWaiting, free_while_waiting
from clustersim.analysis.policy.deadlines import met_deadline
from clustersim.analysis.policy.fairness import finish_time_fairness
from clustersim.analysis.policy.goodput_split import GoodputSplit, Interval
from clustersim.analysis.policy.preemption import by_policy, lost_to_s
from clustersim.analysis.statistics import batch_means, run_quantile_interval
from clustersim.analysis.submitted import Submitted
from clustersim.analysis.unfinished_work import UnfinishedWork
from clustersim.array_types import Bools, Floats
from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.catalogue.assumptions import assumed
from clustersim.costs.money import MoneySpec
from clustersim.scenario.platform import Platform
from clustersim.scenario.run_controls import RunControls
from clustersim.simulation.result import Result

__all__ = ["FleetView", "MeasuredRun", "Part", "half_width"]

BATCHES, LEAST_IN_A_BATCH = 20, 50
LEAST_WINDOW, LEAST_WARM_UP = 2.0, 0.5
"""Shortest window and warm-up, in relaxation times, with which a control variate is used."""
_RENAMED = {"ended": "finished"}
"""Attributes of a part in earlier versions, with their current names."""


@dataclass(frozen=True)
class MeasuredRun:
    """The result of a run, with cached quantities that several metrics need.

    Attributes
    ----------
    result : Result
    catalogue : Catalogue, optional
        Catalogue of the models that the jobs name; by default the built-in one.
    unfinished : UnfinishedWork, optional
        Unfinished work before each job, in the order of submission.
    controls : RunControls, optional
        Quantities with a known expectation, which control the noise of other metrics.
    """

    result: Result
    catalogue: Catalogue | None = None
    unfinished: UnfinishedWork | None = None
    controls: RunControls | None = None

    @cached_property
    def submitted(self) -> Submitted:
        """Columns of the jobs that were submitted before the run stopped."""
        return Submitted.of(self.result)

    @property
    def of_log(self) -> bool:
        """Whether the jobs come from a log, which ends and has no steady state."""
        return "log" in self.result.provenance

    @cached_property
    def work(self) -> Goodput:
        """The work that is kept, by attempt."""
        return goodput_of(self.result, self.catalogue)

    @cached_property
    def finish_time_fairness(self) -> Floats:
        """Finish-time fairness of each job (jobs,)."""
        return finish_time_fairness(self.result)

    @cached_property
    def preemptions(self) -> Floats:
        """How often the policy stopped each job (jobs,)."""
        return by_policy(self.result).astype(np.float64)

    @cached_property
    def network_s(self) -> Floats:
        """Time that each job lost to the network, seconds (jobs,)."""
        return lost_to_s(self.result, "network_s")

    @cached_property
    def storage_s(self) -> Floats:
        """Time that each job lost to other jobs on the storage, seconds (jobs,)."""
        return lost_to_s(self.result, "storage_s")

    @cached_property
    def network_slowdown(self) -> Floats:
        """Slowdown of each job by the network (jobs,); NaN for a job that did not finish."""
        return network_slowdown(self.result)

    @cached_property
    def met_deadline(self) -> Floats:
        """Whether each job ended by its deadline (jobs,); NaN if it has none or it is unknown."""
        return met_deadline(self.result)

    @cached_property
    def free_while_waiting(self) -> FreeWhileWaiting:
        """Accelerators that were free while jobs waited."""
        return free_while_waiting(self.result)

    @cached_property
    def goodput_split(self) -> GoodputSplit:
        """The attempts from which goodput is split."""
        known = load_catalogue() if self.catalogue is None else self.catalogue
        return GoodputSplit(self.result, known)

    @cached_property
    def steps_by_pool(self) -> dict[str, pd.DataFrame]:
        """The rows of the utilisation table by pool name."""
        groups = self.result.utilisation.groupby("pool", observed=True, sort=False)
        return {str(name): steps for name, steps in groups}


@dataclass(frozen=True)
class Part:
    """A part of a run: a range of jobs in the order of submission, and a time interval.

    The functions of a :class:`~clustersim.Metric` take a part as their argument.  Its arrays have
    one of two lengths:

    - one value per measured job: `wait_s`, `eligible_wait_s`, `total_wait_s`, `waits_still`,
      `queued_still`, `finished`, and the rows of `jobs`
    - one value per measured job that had finished: `finished_wait_s`, `jct_s`, `run_s`

    The lengths differ if the run stopped at a horizon.  ``part.total_wait_s[part.finished]``
    selects the finished jobs from an array of the first length.  All times are in seconds.

    Attributes
    ----------
    run : MeasuredRun
        The whole run.
    first, last : int
        Range of the measured jobs: `first` is included, `last` is not.  Jobs that can never run are
        left out.
    begin_s, end_s : float
        The time interval in which the fleet is measured.
    warm_up_reached : bool
        Whether a steady state was found that begins at `first`.
    group : bool array (submitted jobs,), optional
        The jobs of a group, for ``NAME.GROUP``; the others are left out.

    Examples
    --------
    The share of finished jobs that waited longer than they ran:

    >>> def outwaited(part):
    ...     longer = part.finished_wait_s > part.run_s
    ...     return float(longer.mean()) if len(longer) else float("nan")
    """

    run: MeasuredRun
    first: int
    last: int
    begin_s: float
    end_s: float
    warm_up_reached: bool = True
    group: Bools | None = None
    _quantiles: dict[tuple[str, float], tuple[float, float, float]] = field(
        default_factory=dict, init=False, repr=False
    )

    if not TYPE_CHECKING:  # a type checker would accept every name

        def __getattr__(self, name: str) -> NoReturn:
            if name in _RENAMED:
                raise AttributeError(f"Part.{name} is now called {_RENAMED[name]}")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def result(self) -> Result:
        """The tables of the whole run."""
        return self.run.result

    @property
    def span_s(self) -> float:
        """Length of the time interval in seconds."""
        return self.end_s - self.begin_s

    @cached_property
    def chosen(self) -> Bools:
        """Mask of the measured jobs among all jobs submitted before the run stopped."""
        chosen = np.zeros(len(self.run.submitted.submit_s), dtype=bool)
        chosen[self.first : self.last] = True
        chosen &= self.run.submitted.runnable
        return chosen if self.group is None else chosen & self.group

    @cached_property
    def jobs(self) -> pd.DataFrame:
        """Rows of the measured jobs in the table ``jobs.parquet``."""
        table = self.result.jobs
        return table[table["submit_s"] <= self.run.submitted.end_s][self.chosen]

    @cached_property
    def wait_s(self) -> Floats:
        """Seconds from submission to the first start of each measured job (measured jobs,).

        It is never NaN: for a job that had not started (`waits_still`), it is the time until the
        run stopped.
        """
        return self.run.submitted.wait_s[self.chosen]

    @cached_property
    def eligible_wait_s(self) -> Floats:
        """Seconds from when each measured job was eligible to its first start (measured jobs,).

        A job is eligible once the jobs for which it waits have ended and its earliest time has
        come.  A job that was not eligible when the run stopped has 0.
        """
        return self.run.submitted.eligible_wait_s[self.chosen]

    @cached_property
    def total_wait_s(self) -> Floats:
        """Seconds in the queue over all attempts, until the run stopped (measured jobs,)."""
        return self.run.submitted.total_wait_s[self.chosen]

    @property
    def relaxation_times(self) -> float:
        """Length of the time interval in relaxation times of the queue; NaN if unknown."""
        unfinished = self.run.unfinished
        if unfinished is None or 1.0 not in unfinished.stationary:
            return math.nan
        return self.span_s / unfinished.stationary[1.0].relaxation_s

    @property
    def speeds(self) -> list[float]:
        """Speeds of servers whose unfinished work is near its stationary distribution.

        The others are left out: the interval is shorter than 2 of their relaxation times, or begins
        earlier than half a relaxation time after the start.
        """
        if self.run.unfinished is None:
            return []
        known = self.run.unfinished.stationary.items()
        return [
            speed
            for speed, each in known
            if self.span_s >= LEAST_WINDOW * each.relaxation_s
            and self.begin_s >= LEAST_WARM_UP * each.relaxation_s
        ]

    def of_measured(self, values: Floats) -> Floats:
        """Return the values of the measured jobs from the values of all jobs of the run.

        Examples
        --------
        >>> import numpy as np
        >>> def accelerators(part):
        ...     table = part.result.jobs
        ...     return float(np.mean(part.of_measured(table["n_accelerators"].to_numpy())))
        """
        measured: Floats = values[: len(self.chosen)][self.chosen]
        return measured

    @cached_property
    def waits_still(self) -> Bools:
        """Whether each measured job had not started when the run stopped (measured jobs,)."""
        return np.isnan(self.run.submitted.start_s[self.chosen])

    @cached_property
    def queued_still(self) -> Bools:
        """Whether each measured job was in the queue when the run stopped, for any attempt.

        Shape: (measured jobs,).
        """
        return self.run.submitted.waits[self.chosen]

    @cached_property
    def finished(self) -> Bools:
        """Whether each measured job had finished when the run stopped (measured jobs,)."""
        return np.isfinite(self.run.submitted.finish_s[self.chosen])

    @cached_property
    def finished_wait_s(self) -> Floats:
        """Seconds from submission to the first start (finished measured jobs,)."""
        return self.wait_s[self.finished]

    @cached_property
    def jct_s(self) -> Floats:
        """Seconds from submission to finish (finished measured jobs,)."""
        jobs = self.run.submitted
        return (jobs.finish_s - jobs.submit_s)[self.chosen][self.finished]

    @cached_property
    def run_s(self) -> Floats:
        """Seconds for which jobs held accelerators, in all attempts (finished measured jobs,)."""
        return self.run.submitted.held_s[self.chosen][self.finished]

    @cached_property
    def done(self) -> pd.DataFrame:
        """FLOPs and tokens of the work that is kept, by pool, within the time interval."""
        return self.run.work.within(self.begin_s, self.end_s)

    @cached_property
    def goodput(self) -> Interval:
        """Allocated, kept and useful work within the time interval."""
        return self.run.goodput_split.within(self.begin_s, self.end_s)

    @cached_property
    def attempts(self) -> pd.DataFrame | None:
        """Attempts that ended within the time interval; None for a run without outages."""
        if self.result.attempts is None:
            return None
        end = self.result.attempts["end_s"]
        return self.result.attempts[(end > self.begin_s) & (end <= self.end_s)]

    def quantile_interval(
        self, name: str, series: Callable[[Part], Floats], q: float
    ) -> tuple[float, float, float]:
        """Return a quantile over the jobs, and its interval by order statistics.

        Parameters
        ----------
        name : str
            Name of the series; the result is cached under it.
        series : callable
            Function that returns the values of the jobs in order of submission.
        q : float
            Between 0 and 1.

        Examples
        --------
        >>> def upper_end(part):
        ...     _, _, high = part.quantile_interval("wait_s", lambda own: own.wait_s, 0.9)
        ...     return high
        """
        if (name, q) not in self._quantiles:
            self._quantiles[name, q] = run_quantile_interval(series(self), q)
        return self._quantiles[name, q]


def half_width(series: Floats) -> float:
    """Return the half width of the 95 % batch-means interval; infinite if the run is too short.

    A run is too short if a batch has fewer than 50 jobs, or if successive batch means are still
    correlated (lag 1, two standard errors).  The interval would then cover the true mean too
    rarely.
    """
    if len(series) < BATCHES * LEAST_IN_A_BATCH:
        return math.inf
    means = series[len(series) % BATCHES :].reshape(BATCHES, -1).mean(axis=1)
    off = means - means.mean()
    if off[1:] @ off[:-1] > 2 / math.sqrt(BATCHES) * (off @ off):
        return math.inf
    mean, _, high = batch_means(series, batches=BATCHES)
    return high - mean


@dataclass(frozen=True)
class FleetView:
    """Input of the metrics that are known before a run: the argument of `of_fleet`.

    Attributes
    ----------
    fleet : Platform
        The cluster (``fleet.cluster.pools``), and the catalogue of its chips
        (``fleet.catalogue``).
    money : MoneySpec, optional
        Prices of the scenario; by default the planning assumptions.
    offered_load : float
        Offered load as given, or computed from the jobs per day; NaN if unknown.

    Examples
    --------
    >>> import clustersim as cs
    >>> def nodes(view):
    ...     return float(sum(pool.n_nodes for pool in view.fleet.cluster.pools))
    >>> metric = cs.Metric(name="servers", label="nodes", definition="All nodes.", of_fleet=nodes)
    >>> metric.constant
    False
    """

    fleet: Platform
    money: MoneySpec | None = None
    offered_load: float = math.nan

    @cached_property
    def prices(self) -> MoneySpec:
        """Prices of the scenario; missing prices come from the planning assumptions."""
        return assumed(self.money or MoneySpec(), self.fleet.catalogue.assumptions)
