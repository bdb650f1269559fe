"""What metrics are computed of: a run, a part of it, and the fleet that it runs on."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.analysis.goodput import Goodput, goodput_of
from clustersim.analysis.statistics import batch_means, run_quantile_interval
from clustersim.analysis.submitted import Submitted
from clustersim.array_types import Floats
from clustersim.catalogue import Catalogue
from clustersim.catalogue.assumptions import assumed
from clustersim.costs.money import MoneySpec
from clustersim.errors import InputError
from clustersim.scenario.platform import Platform
from clustersim.simulation.result import Result

__all__ = ["FleetView", "MeasuredRun", "Part", "half_width"]

BATCHES, LEAST_IN_A_BATCH = 20, 50


@dataclass(frozen=True)
class MeasuredRun:
    """A result, and what several metrics need of it, computed once.

    Attributes
    ----------
    result : Result
    catalogue : Catalogue, optional
        Of the models that its jobs name; by default the built-in one.
    """

    result: Result
    catalogue: Catalogue | None = None

    @cached_property
    def submitted(self) -> Submitted:
        """Columns of the jobs that were submitted before the run stopped."""
        return Submitted.of(self.result)

    @cached_property
    def work(self) -> Goodput:
        """The work that is kept, attempt by attempt."""
        return goodput_of(self.result, self.catalogue)

    @cached_property
    def steps_by_pool(self) -> dict[str, pd.DataFrame]:
        """The step functions of utilisation of each pool."""
        groups = self.result.utilisation.groupby("pool", observed=True, sort=False)
        return {str(name): steps for name, steps in groups}


@dataclass(frozen=True)
class Part:
    """A part of a run: some of its jobs in the order of submission, and a stretch of time.

    Attributes
    ----------
    run : MeasuredRun
        The whole.
    first, last : int
        The jobs that count, from `first` to the one before `last`, without those that can never
        run.
    begin_s, end_s : float
        The time that counts, for what a fleet does.
    warm_up_reached : bool
        Whether a steady part begins at `first`, as far as is known.
    """

    run: MeasuredRun
    first: int
    last: int
    begin_s: float
    end_s: float
    warm_up_reached: bool = True
    _quantiles: dict[tuple[str, float], tuple[float, float, float]] = field(
        default_factory=dict, init=False, repr=False
    )

    @property
    def result(self) -> Result:
        """The tables of the whole run."""
        return self.run.result

    @property
    def span_s(self) -> float:
        """Seconds from the beginning to the end."""
        return self.end_s - self.begin_s

    @cached_property
    def chosen(self) -> npt.NDArray[np.bool_]:
        """Which of the jobs submitted before the run stopped count (jobs,)."""
        chosen = np.zeros(len(self.run.submitted.submit_s), dtype=bool)
        chosen[self.first : self.last] = True
        return chosen & self.run.submitted.runnable

    @cached_property
    def jobs(self) -> pd.DataFrame:
        """Rows of the jobs table that count."""
        table = self.result.jobs
        return table[table["submit_s"] <= self.run.submitted.end_s][self.chosen]

    @cached_property
    def wait_s(self) -> Floats:
        """Wait of each job that counts; until the run stopped where it had not started."""
        return self.run.submitted.wait_s[self.chosen]

    @cached_property
    def total_wait_s(self) -> Floats:
        """The same over all attempts."""
        return self.run.submitted.total_wait_s[self.chosen]

    @cached_property
    def waits_still(self) -> npt.NDArray[np.bool_]:
        """Whether each job that counts had not started when the run stopped."""
        return np.isnan(self.run.submitted.start_s[self.chosen])

    @cached_property
    def queued_still(self) -> npt.NDArray[np.bool_]:
        """Whether each job that counts was in the queue when the run stopped, for any attempt."""
        return self.run.submitted.waits[self.chosen]

    @cached_property
    def ended(self) -> npt.NDArray[np.bool_]:
        """Which of the jobs submitted count and had finished when the run stopped (jobs,).

        Raises
        ------
        InputError
            If there is none.
        """
        ended = self.chosen & np.isfinite(self.run.submitted.finish_s)
        if not ended.any():
            raise InputError("window", "none of the measured jobs had finished at the horizon")
        return ended

    @cached_property
    def jct_s(self) -> Floats:
        """Seconds from submission to finish of each job that counts and had finished."""
        return self.run.submitted.finish_s[self.ended] - self.run.submitted.submit_s[self.ended]

    @cached_property
    def run_s(self) -> Floats:
        """Seconds that the same jobs held accelerators, in all their attempts."""
        return self.run.submitted.held_s[self.ended]

    @cached_property
    def done(self) -> pd.DataFrame:
        """FLOPs and tokens of work that is kept, by pool, within the stretch of time."""
        return self.run.work.within(self.begin_s, self.end_s)

    @cached_property
    def attempts(self) -> pd.DataFrame | None:
        """Attempts that ended within the stretch of time; None of a run without outages."""
        if self.result.attempts is None:
            return None
        end = self.result.attempts["end_s"]
        return self.result.attempts[(end > self.begin_s) & (end <= self.end_s)]

    def quantile_interval(
        self, name: str, series: Callable[[Part], Floats], q: float
    ) -> tuple[float, float, float]:
        """A quantile over the jobs, and the ends of its interval by order statistics.

        Parameters
        ----------
        name : str
            Of the series, by which the three are kept.
        series : callable
            Returns the values of the jobs, in order.
        q : float
            Between 0 and 1.
        """
        if (name, q) not in self._quantiles:
            self._quantiles[name, q] = run_quantile_interval(series(self), q)
        return self._quantiles[name, q]


def half_width(series: Floats) -> float:
    """Half of the 95 % batch-means interval; infinite for a run that is too short for one.

    That is a run of fewer than 50 jobs a batch, or one whose batch means are still correlated from
    each to the next (lag 1, two standard errors): their interval would hold the truth too seldom.
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
    """What is known of a fleet before its run.

    Attributes
    ----------
    fleet : Platform
    money : MoneySpec, optional
        The scenario's; by default the planning assumptions hold.
    offered_load : float
        As stated, or of the jobs a day; NaN where none is known.
    """

    fleet: Platform
    money: MoneySpec | None = None
    offered_load: float = math.nan

    @cached_property
    def prices(self) -> MoneySpec:
        """Prices of the scenario, with what the assumptions say where it says nothing."""
        return assumed(self.money or MoneySpec(), self.fleet.catalogue.assumptions)
