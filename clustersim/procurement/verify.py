"""Verification: alternate planning and simulation until the service meets the objective."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustersim import interrupts
from clustersim.analysis.job_statistics import metric_over_jobs
from clustersim.analysis.metrics import metric_of
from clustersim.array_types import Floats
from clustersim.errors import InputError, named_in
from clustersim.processes import WorkerDied, cores, run_calls
from clustersim.procurement.correction import Correction
from clustersim.procurement.fleet import BaseScenario
from clustersim.procurement.gangs import check_scale
from clustersim.procurement.kept_runs import KeptRuns
from clustersim.procurement.load import PlanQuestion
from clustersim.procurement.problem import Problem
from clustersim.procurement.simulated_check import (
    Service,
    SimulatedCheck,
    run_simulated_check,
    simulated_check_of,
)
from clustersim.procurement.solve import Effort, Schedule, solve
from clustersim.procurement.spec import Verification
from clustersim.studies.spec import Objective
from clustersim.units import format_number

__all__ = [
    "FIRST_PLAN",
    "INTERRUPTED",
    "KEPT",
    "MISSED",
    "UNDECIDED",
    "Verified",
    "verify",
    "worst_place",
]

KEPT, MISSED, UNDECIDED = "kept", "missed", "undecided"
"""Possible results of comparing the interval of the simulated service with the objective."""
INTERRUPTED = "interrupted"
"""The outcome of a verification that was not completed."""

FIRST_PLAN = "the first plan meets the objective"
"""Note of a search that ended with its first plan."""

Report = Callable[[str], None]


@dataclass(frozen=True)
class Verified:
    """Result of the verification of a plan.

    Attributes
    ----------
    schedule : Schedule
        The plan with the largest planning utilisation at which the service met the objective during
        the search or, if there is none, the plan with the smallest planning utilisation tried.
    outcome : {"kept", "missed", "undecided", "interrupted"}
        Whether the objective is kept, judged by intervals over new replications that the search did
        not use.  "interrupted" means that the new replications were not all simulated; `rounds`
        then has only the completed rounds.
    meets : bool
        Whether the estimates from the new replications meet the objective.
    rounds : DataFrame
        One row per round, scenario and quarter: ``round, fresh`` (the last round, with new
        replications), ``planning_utilisation, possible, expected_cost_cny, scenario, quarter, jobs,
        metric, value, low, high`` (95 % interval), ``outcome`` (empty without jobs).  The value is
        the metric over the jobs of all replications.  With one replication, there is no interval
        (NaN).  An end that the replications do not determine is infinite.
    checks : list of SimulatedCheck
        The simulated scenarios of `schedule`; empty after an interrupt.
    replication : int
        Number of the first new replication.
    note : str
        Why the search ended.
    """

    schedule: Schedule
    outcome: str
    meets: bool
    rounds: pd.DataFrame
    checks: list[SimulatedCheck]
    replication: int
    note: str

    @property
    def complete(self) -> bool:
        """Whether the verification was completed."""
        return self.outcome != INTERRUPTED

    @property
    def fresh(self) -> pd.DataFrame:
        """The rows of `rounds` that belong to the new replications."""
        return self.rounds[self.rounds["fresh"]]


def verify(
    question: PlanQuestion,
    base: BaseScenario,
    problem: Problem,
    first: Schedule,
    *,
    workers: int | None = None,
    report: Report | None = None,
    kept: KeptRuns | None = None,
    state: Callable[[Verified], None] | None = None,
) -> Verified:
    """Simulate a plan, and reduce its planning utilisation until the service meets the objective.

    The service of a quarter is a mean or quantile over its jobs in all replications, with the
    interval of :mod:`~clustersim.analysis.job_statistics`.  All rounds and scenarios use the same
    random numbers.  The service of a round is the largest upper end of the 95 % interval, among all
    scenarios and quarters.  Because the
    plan is selected with these random numbers, it is finally assessed with new replications.  The
    objective is kept if the intervals of all scenarios and quarters lie below its limit, and missed
    if one interval lies above it.  Each run starts with an empty system.

    Parameters
    ----------
    question : PlanQuestion
    base : BaseScenario
    problem : Problem
    first : Schedule
        The plan for `problem`, with which the search starts.
    workers : int, optional
        Number of processes; by default one per core.
    report : callable, optional
        Called with a line of text after each round.
    kept : KeptRuns, optional
        Finished runs, which are not repeated; new runs are added as soon as they are done.
    state : callable, optional
        Called before the first round and after each round, with the result that would be returned
        after an interrupt at that moment.

    Returns
    -------
    Verified
        After a KeyboardInterrupt, the result of the completed rounds; see `outcome`.

    Raises
    ------
    InputError
        If a scenario cannot be simulated, or the scale is too small for the first plan.
    """
    spec, chosen = base.verification, _scenarios(question, base.verification)
    check_scale(question, first, chosen, spec.scale)
    seen, new = range(spec.replications), range(spec.replications, 2 * spec.replications)
    effort = Effort(question.spec.gap, question.spec.search_nodes)
    search = Correction(
        begin=problem.utilisation,
        lowest=min(spec.lowest_utilisation, problem.utilisation),
        at_most=spec.objective.limit,
        tolerance=spec.tolerance,
    )
    tried: dict[float, float | None] = {}
    plans: dict[float, tuple[Schedule, list[SimulatedCheck]]] = {}
    tables: list[pd.DataFrame] = []

    def interrupted(now: str) -> Verified:
        best = search.result(tried)
        return Verified(
            schedule=plans[min(plans) if best is None else best][0] if plans else first,
            outcome=INTERRUPTED,
            meets=False,
            rounds=pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(),
            checks=[],
            replication=new.start,
            note=now,
        )

    with _runs(workers, kept) as runs:
        try:
            while len(tried) < spec.rounds and (value := search.next_value(tried)) is not None:
                number = len(tried) + 1
                runs.begin(f"round {number} of at most {spec.rounds}")
                if state is not None:
                    state(interrupted(runs.text()))
                plan = first if not tried else solve(problem.at(value), effort=effort)
                if plan is None:
                    table = _impossible(number, value)
                else:
                    checks = [simulated_check_of(question, base, plan, s) for s in chosen]
                    with named_in(question.source, "verify"):
                        table = _round(number, plan, checks, spec.objective, seen, runs)
                    table = table.assign(fresh=False)
                    plans[value] = plan, checks
                tables.append(table)
                tried[value] = None if plan is None else _service(table)
                if report is not None:
                    report(_line(number, value, tried[value]))
            best = search.result(tried)
            schedule, checks = plans[min(plans) if best is None else best]
            runs.begin("the round of new replications")
            if state is not None:
                state(interrupted(runs.text()))
            with named_in(question.source, "verify"):
                fresh = _round(len(tried) + 1, schedule, checks, spec.objective, new, runs)
        except KeyboardInterrupt:
            interrupts.taken()
            return interrupted(runs.text())
    return Verified(
        schedule=schedule,
        outcome=_worst(fresh["outcome"]),
        meets=not (fresh["value"].fillna(math.inf) > spec.objective.limit)[fresh["jobs"] > 0].any(),
        rounds=pd.concat([*tables, fresh.assign(fresh=True)], ignore_index=True),
        checks=checks,
        replication=new.start,
        note=_note(search, tried, best),
    )


def _scenarios(question: PlanQuestion, spec: Verification) -> list[int]:
    names = list(question.spec.scenarios)
    wanted = names if spec.scenarios is None else spec.scenarios
    return [names.index(name) for name in dict.fromkeys(wanted)]


def _round(
    number: int,
    plan: Schedule,
    checks: list[SimulatedCheck],
    objective: Objective,
    replications: range,
    runs: _Runs,
) -> pd.DataFrame:
    count = len(replications)
    services = runs([(check, each) for check in checks for each in replications])
    records = []
    for index, check in enumerate(checks):
        own = services[index * count : (index + 1) * count]
        for quarter in range(plan.problem.quarters):
            jobs = sum(service.jobs[quarter] for service in own)
            value, low, high = _estimate(own, quarter, objective.metric)
            records.append(
                {
                    "round": number,
                    "planning_utilisation": plan.problem.utilisation,
                    "possible": True,
                    "expected_cost_cny": plan.expected_cost,
                    "scenario": check.scenario,
                    "quarter": quarter + 1,
                    "jobs": jobs,
                    "metric": objective.metric,
                    "value": value,
                    "low": low,
                    "high": high,
                    "outcome": _outcome(value, low, high, objective.limit) if jobs else None,
                }
            )
    return pd.DataFrame(records)


def _service(table: pd.DataFrame) -> float:
    """Return the largest upper end of an interval in a round; 0 if there are no jobs."""
    return float(_upper_ends(table).max(initial=0.0))


def worst_place(table: pd.DataFrame) -> pd.Series:
    """Return the row whose interval has the largest upper end; at least one row must have jobs."""
    return table[table["jobs"] > 0].iloc[int(_upper_ends(table).argmax())]


def _upper_ends(table: pd.DataFrame) -> Floats:
    """Return the upper end of the interval of each row with jobs; the value without an interval."""
    served = table[table["jobs"] > 0]
    ends = served["high"].fillna(served["value"])
    return ends.fillna(math.inf).to_numpy(dtype=np.float64)


def _outcome(value: float, low: float, high: float, limit: float) -> str:
    if high <= limit:
        return KEPT
    return MISSED if math.isnan(value) or low > limit else UNDECIDED


def _worst(outcomes: pd.Series) -> str:
    return next((worst for worst in (MISSED, UNDECIDED) if (outcomes == worst).any()), KEPT)


def _estimate(services: Sequence[Service], quarter: int, metric: str) -> tuple[float, float, float]:
    """Return a metric over the jobs of a quarter in all replications, and its 95 % interval.

    Replications without a job in the quarter are left out.  All three numbers are infinite if a job
    never ends.  With one replication, the ends of the interval are NaN.
    """
    own = [each for each in services if each.jobs[quarter]]
    values = np.array([each.values[quarter] for each in own])
    if np.isinf(values).any():
        return math.inf, math.inf, math.inf
    if not len(values) or np.isnan(values).any():
        return math.nan, math.nan, math.nan
    of_jobs = metric_of(metric).of_jobs
    assert of_jobs is not None, "a metric of the service is one of jobs"
    found = metric_over_jobs(metric, values, [{of_jobs[0]: each.samples[quarter]} for each in own])
    assert found is not None, "all replications have a value and a sample"
    if len(own) < 2:
        return found[0].value, math.nan, math.nan
    return found[0].value, found[0].low, found[0].high


def _impossible(number: int, utilisation: float) -> pd.DataFrame:
    row = {"round": number, "planning_utilisation": utilisation, "possible": False, "fresh": False}
    return pd.DataFrame([row])


def _line(number: int, utilisation: float, value: float | None) -> str:
    if value is None:
        return f"round {number}: no plan at a planning utilisation of {utilisation:.3f}"
    head = f"round {number}: planning utilisation {utilisation:.3f}"
    return f"{head}, worst service {format_number(value)}"


def _note(search: Correction, tried: dict[float, float | None], best: float | None) -> str:
    done = search.next_value(tried) is None
    if best is not None:
        if len(tried) == 1:
            return FIRST_PLAN
        ended = f"tolerance {search.tolerance:g}" if done else f"stopped after {len(tried)} rounds"
        return f"a planning utilisation of {best:.3f} meets the objective ({ended})"
    floor = max((value for value, measure in tried.items() if measure is None), default=None)
    if floor is not None:
        return (
            "no plan meets the objective; at a planning utilisation of "
            f"{floor:.3f} no plan satisfies the limits"
        )
    lowest = min(tried)
    rounds = f"{len(tried)} round{'s' * (len(tried) > 1)}"
    return (
        f"no plan meets the objective in {rounds}, down to a planning utilisation of {lowest:.3f}"
    )


class _Runs:
    """Makes the requested runs, except those that are already kept."""

    def __init__(
        self,
        calls: Callable[..., list[Service]],
        count: int,
        kept: KeptRuns,
    ) -> None:
        self._calls, self._count, self._kept = calls, count, kept
        self._round, self._total, self._done = "", 0, 0

    def begin(self, name: str) -> None:
        """Start a round."""
        self._round, self._total, self._done = name, 0, 0

    def text(self) -> str:
        """Describe how far the round was when it was interrupted."""
        if not self._total:
            return f"interrupted before the runs of {self._round}"
        return f"interrupted in {self._round} after {self._done} of {self._total} runs"

    def __call__(self, tasks: Sequence[tuple[SimulatedCheck, int]]) -> list[Service]:
        """Make the runs that are not kept, and return the results of all `tasks` in order."""
        services = [self._kept.get(*task) for task in tasks]
        missing = [task for task, service in zip(tasks, services, strict=True) if service is None]
        self._total, self._done = len(tasks), len(tasks) - len(missing)
        if missing:
            self._kept.explain_unused()

        def done(number: int, service: Service) -> None:
            with interrupts.held():
                self._kept.add(*missing[number], service)
                self._done += 1
            interrupts.check()

        if min(self._count, len(missing)) <= 1:
            for number, task in enumerate(missing):
                done(number, run_simulated_check(*task))
        else:
            try:
                self._calls([(run_simulated_check, task) for task in missing], done)
            except WorkerDied as error:
                raise InputError("workers", str(error)) from None
        found = [self._kept.get(*task) for task in tasks]
        return [service for service in found if service is not None]


@contextmanager
def _runs(workers: int | None, kept: KeptRuns | None) -> Iterator[_Runs]:
    """Yield an object that makes runs on worker processes."""
    if workers is not None and workers < 1:
        raise InputError("workers", f"must be 1 or more, found {workers}")
    count = workers or cores()
    with run_calls(
        count, ["clustersim.procurement.simulated_check"]
    ) as calls:  # starts no process before the first call
        yield _Runs(calls, count, kept or KeptRuns())
