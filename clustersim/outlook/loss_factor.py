"""What queueing, gangs and failures cost: simulated useful FLOP/s divided by the fluid capacity.

Full runs with more jobs than the fleet can do are compared with the fluid capacity of the same
replications, which have the same chips at the same dates.  The ratio may stand in for simulations
of thousands of draws only where it is nearly constant over cases, months and replications, so this
is tested first, with limits that are stated in :data:`LIMITS`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from clustersim.analysis.goodput import goodput_of
from clustersim.array_types import Floats
from clustersim.errors import InputError
from clustersim.outlook.fluid_capacity import open_fluid
from clustersim.outlook.monthly_chips import chips_at, month_ends_s
from clustersim.processes import cores, run_calls
from clustersim.scenario.platform import open_platform
from clustersim.scenario.resolved import offered_work_of, resolve
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import LoadedScenario
from clustersim.units import format_percent

__all__ = ["LIMITS", "LossFactor", "LossRun", "loss_factor", "loss_of"]

LIMITS = {"between cases": 0.05, "over time": 0.05, "between months": 0.10, "sampling": 0.03}
"""Largest relative differences at which the factor counts as constant: of a case from all cases, of
the trend of a case from the first to the last month, the standard deviation between months of a
run, and half the width of the factor's 95 % interval."""
LEAST_LOAD = 1.5
"""Offered load of the runs, relative to all nodes that the fleet may ever have, at least."""
SKIPPED = 2
"""Months at the start that are left out, while the first jobs fill the fleet."""
DAY_S = 86400.0
_MODULES = ("clustersim.outlook.loss_factor",)


@dataclass(frozen=True, slots=True)
class LossRun:
    """One run at a saturating load, by month.

    Attributes
    ----------
    case : str
    replication : int
    load : float
        Offered load, relative to all nodes that the fleet may ever have.
    simulated, fluid : float64 array (months,)
        Useful FLOP/s of the run and fluid capacity, averages over the month.
    """

    case: str
    replication: int
    load: float
    simulated: Floats
    fluid: Floats

    def ratio(self, skipped: int = SKIPPED) -> Floats:
        """Return the ratio by month without the first months."""
        return np.asarray(self.simulated[skipped:] / self.fluid[skipped:], dtype=np.float64)

    def total(self, skipped: int = SKIPPED) -> float:
        """Return the ratio of the sums over the months."""
        return float(self.simulated[skipped:].sum() / self.fluid[skipped:].sum())


@dataclass(frozen=True, slots=True)
class LossFactor:
    """The ratio of simulated useful FLOP/s to fluid capacity, and how constant it is.

    Attributes
    ----------
    factor : float
        Mean over all runs.
    low, high : float
        Its 95 % interval (Student's t over replications, because the runs of all cases of one have
        the same random numbers); NaN with one replication.
    by_case : mapping of str to float
        Mean over the runs of each case.
    months : float
        Standard deviation of the ratio between the months of a run, relative to its mean.
    replications : float
        Standard deviation between the replications of a case, relative to their mean.
    trend, trend_low, trend_high : float
        Change of the ratio from the first to the last month by linear regression over all runs,
        relative to the factor, and its 95 % interval.
    trend_by_case : mapping of str to float
        The trend of each case.
    r_squared : float
        Share of the variance of the simulated work of the runs, over all cases, that the fluid
        capacity explains.
    r_squared_within : float
        The same within the cases, so over replications only: what the fluid capacity would explain
        as a control variate. NaN with one replication.
    problems : tuple of str
        Which limits are exceeded; empty if the factor counts as constant.
    runs : tuple of LossRun
    """

    factor: float
    low: float
    high: float
    by_case: Mapping[str, float]
    months: float
    replications: float
    trend: float
    trend_low: float
    trend_high: float
    trend_by_case: Mapping[str, float]
    r_squared: float
    r_squared_within: float
    problems: tuple[str, ...]
    runs: tuple[LossRun, ...]

    @property
    def constant(self) -> bool:
        """Whether the factor is constant within :data:`LIMITS`."""
        return not self.problems

    def by_month(self, case: str, months: int, skipped: int = SKIPPED) -> Floats:
        """Return the factors to use for the months of a case.

        If the factor is constant, it is the same for all cases and months. If it is not, each case
        has its own mean, and a case with a trend beyond the limit has its own regression line; the
        months that were left out have the value of the first one that was not. A case without runs
        has the common factor.
        """
        own = [run.ratio(skipped) for run in self.runs if run.case == case]
        if self.constant or not own:
            return np.full(months, self.factor)
        if abs(self.trend_by_case[case]) <= LIMITS["over time"]:
            return np.full(months, self.by_case[case])
        at = np.arange(len(own[0]), dtype=np.float64)
        slope, level = np.polyfit(at, np.mean(own, axis=0), 1)
        return np.asarray(level + slope * np.maximum(np.arange(months) - skipped, 0))


def loss_factor(
    cases: Mapping[str, LoadedScenario],
    *,
    replications: int = 4,
    load: float = LEAST_LOAD,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LossFactor:
    """Simulate cases at a saturating load and compare them with their fluid capacity.

    Parameters
    ----------
    cases : mapping of str to LoadedScenario
    replications : int
        Runs of each case.
    load : float
        Offered load relative to all nodes that the fleet may ever have; a higher one of the
        scenario is kept.
    workers : int, optional
        Worker processes; 1 runs in this process. By default one per core. The results do not
        depend on it.
    progress : callable, optional
        Called with the number of runs that are done and their total number.

    Raises
    ------
    InputError
        If a scenario is invalid, or has no more than the months that are left out.
    """
    if not cases or replications < 1:
        raise InputError("loss factor", "needs a case and a replication")
    tasks = [(name, each, k, load) for name, each in cases.items() for k in range(replications)]
    count = min(workers or cores(), len(tasks))
    found: list[LossRun] = []
    if count == 1:
        for number, task in enumerate(tasks, start=1):
            found.append(_run(*task))
            if progress is not None:
                progress(number, len(tasks))
        return loss_of(found)
    done = 0

    def one_more(_: object, __: object) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, len(tasks))

    with run_calls(count, _MODULES) as run:
        found = run([(_run, task) for task in tasks], one_more)
    return loss_of(found)


def _run(case: str, loaded: LoadedScenario, replication: int, load: float) -> LossRun:
    """Simulate one replication of a case."""
    platform = open_platform(loaded)
    ends_s, _ = month_ends_s(loaded)
    if len(ends_s) <= SKIPPED + 1:
        raise InputError(
            loaded.source, f"horizon: a loss factor needs more than {SKIPPED + 1} months"
        )
    offered = offered_work_of(loaded, platform)
    loaded = _changed(loaded, replication=replication)
    resolved = resolve(loaded, platform=platform, offered=offered)
    assert resolved.arrival_per_s is not None, "open_fluid refuses logs"
    own = resolved.arrival_per_s / offered.rate_per_s
    if own < load:
        workload = loaded.scenario.workload.model_copy(update={"load": load, "jobs_per_day": None})
        loaded = _changed(loaded, workload=workload)
        resolved = resolve(loaded, platform=platform, offered=offered)
    fluid = open_fluid(loaded, platform)
    days_s = np.arange(0.5, ends_s[-1] / DAY_S) * DAY_S
    chips = chips_at(loaded, platform, days_s, replication + 1)
    capacity = fluid.capacity(chips, days_s)[replication].sum(axis=1)
    goodput = goodput_of(run_scenario(resolved, by_node=False), resolved.catalogue)
    begins_s = np.append(0.0, ends_s[:-1])
    simulated, average = [], []
    for begin_s, end_s in zip(begins_s, ends_s, strict=True):
        flop = float(goodput.within(begin_s, end_s)["flop"].sum())
        simulated.append(flop / (end_s - begin_s))
        average.append(float(capacity[(days_s > begin_s) & (days_s < end_s)].mean()))
    return LossRun(case, replication, max(own, load), np.array(simulated), np.array(average))


def _changed(loaded: LoadedScenario, **changes: object) -> LoadedScenario:
    return dataclasses.replace(loaded, scenario=loaded.scenario.model_copy(update=changes))


def loss_of(runs: Sequence[LossRun], skipped: int = SKIPPED) -> LossFactor:
    """Return the loss factor of some runs, and test how constant it is.

    Raises
    ------
    InputError
        If a run has no fluid capacity in a month.
    """
    for run in runs:
        if not (run.fluid[skipped:] > 0).all():
            raise InputError("loss factor", f"case {run.case}: a month has no fluid capacity")
    totals = np.array([run.total(skipped) for run in runs])
    cases = list(dict.fromkeys(run.case for run in runs))
    of_case = np.array([cases.index(run.case) for run in runs])
    means = np.array([totals[of_case == case].mean() for case in range(len(cases))])
    factor, within = float(totals.mean()), totals - means[of_case]
    freedom = len(runs) - len(cases)
    between = math.sqrt(float((within**2).sum()) / freedom) / factor if freedom else math.nan
    error = math.nan
    # Runs of a replication have the same random numbers: only replications are independent.
    of_draw = np.array([run.replication for run in runs])
    draws = np.array([totals[of_draw == draw].mean() for draw in np.unique(of_draw)])
    if len(draws) > 1:
        wide = float(stats.t.ppf(0.975, len(draws) - 1) * draws.std(ddof=1))
        error = wide / math.sqrt(len(draws))
    months = float(np.mean([r.ratio(skipped).std(ddof=1) / r.ratio(skipped).mean() for r in runs]))
    trend, wide = _trend([run.ratio(skipped) for run in runs], factor)
    simulated = np.array([run.simulated[skipped:].sum() for run in runs])
    fluid = np.array([run.fluid[skipped:].sum() for run in runs])
    found = LossFactor(
        factor=factor,
        low=factor - error,
        high=factor + error,
        by_case=dict(zip(cases, means.tolist(), strict=True)),
        months=months,
        replications=between,
        trend=trend,
        trend_low=trend - wide,
        trend_high=trend + wide,
        trend_by_case={
            name: _trend([run.ratio(skipped) for run in runs if run.case == name], own)[0]
            for name, own in zip(cases, means.tolist(), strict=True)
        },
        r_squared=_r_squared(simulated, fluid),
        r_squared_within=_r_squared(
            *(each - _means(each, of_case)[of_case] for each in (simulated, fluid))
        ),
        problems=(),
        runs=tuple(runs),
    )
    return dataclasses.replace(found, problems=tuple(_problems(found)))


def _trend(ratios: Sequence[Floats], factor: float) -> tuple[float, float]:
    """Return the relative change over the months, and half the width of its 95 % interval.

    Each run has a slope of its own; the interval is that of their mean, so that months of one run
    need not be independent.
    """
    slopes = np.array(
        [np.polyfit(np.linspace(0.0, 1.0, len(ratio)), ratio, 1)[0] / factor for ratio in ratios]
    )
    if len(slopes) < 2:
        return float(slopes.mean()), math.nan
    wide = float(stats.t.ppf(0.975, len(slopes) - 1))
    return float(slopes.mean()), wide * float(slopes.std(ddof=1)) / math.sqrt(len(slopes))


def _means(values: Floats, group: np.ndarray) -> Floats:
    return np.bincount(group, values) / np.bincount(group)


def _r_squared(values: Floats, control: Floats) -> float:
    if len(values) < 3 or values.std() == 0 or control.std() <= 1e-9 * np.abs(control).max():
        return math.nan
    return float(np.corrcoef(values, control)[0, 1] ** 2)


def _problems(found: LossFactor) -> list[str]:
    """Return which limits are exceeded."""
    problems = []
    for case, own in found.by_case.items():
        if abs(own / found.factor - 1) > LIMITS["between cases"]:
            problems.append(
                f"case {case}: {own:.3f}, more than {format_percent(LIMITS['between cases'])} from "
                f"the mean of all cases, {found.factor:.3f}"
            )
    for case, trend in found.trend_by_case.items():
        if abs(trend) > LIMITS["over time"]:
            problems.append(
                f"case {case}: it changes by {format_percent(trend, signed=True)} over the months, "
                f"more than {format_percent(LIMITS['over time'])}"
            )
    if found.months > LIMITS["between months"]:
        problems.append(
            f"its standard deviation between months is {format_percent(found.months)}, more than "
            f"{format_percent(LIMITS['between months'])}"
        )
    wide = (found.high - found.factor) / found.factor
    if not wide <= LIMITS["sampling"]:
        text = "unknown with one run" if math.isnan(wide) else f"{format_percent(wide)}"
        problems.append(
            f"half the width of its interval is {text}; the limit is "
            f"{format_percent(LIMITS['sampling'])}"
        )
    return problems
