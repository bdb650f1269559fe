"""Verification: alternate planning and simulation until the service meets the objective."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pandas as pd

from clustersim import interrupts
from clustersim.errors import InputError, named_in
from clustersim.processes import WorkerDied, cores, run_calls
from clustersim.procurement.correction import Correction
from clustersim.procurement.fleet import BaseScenario
from clustersim.procurement.gangs import check_scale
from clustersim.procurement.kept_runs import KeptRuns
from clustersim.procurement.load import PlanQuestion
from clustersim.procurement.problem import Problem
from clustersim.procurement.rounds import (
    impossible_round,
    service_of,
    simulated_round,
    worst_outcome,
)
from clustersim.procurement.simulated_check import (
    Service,
    SimulatedCheck,
    run_simulated_check,
    simulated_check_of,
)
from clustersim.procurement.solve import Effort, Schedule, solve
from clustersim.procurement.spec import Verification
from clustersim.units import format_number

__all__ = [
    "FIRST_PLAN",
    "INTERRUPTED",
    "Verified",
    "verify",
]

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
    search = _Search(question, base, problem, first)
    with _runs(workers, kept) as runs:

        def begin(name: str) -> None:
            runs.begin(name)
            if state is not None:
                state(search.interrupted(runs.text()))

        try:
            while (value := search.next_value()) is not None:
                begin(f"round {search.number} of at most {search.spec.rounds}")
                line = search.make_round(value, runs)
                if report is not None:
                    report(line)
            begin("the round of new replications")
            fresh = search.fresh_round(runs)
        except KeyboardInterrupt:
            interrupts.taken()
            return search.interrupted(runs.text())
    return search.verified(fresh)


class _Search:
    """The search for a plan that meets the objective, and its rounds so far.

    Parameters
    ----------
    question, base, problem, first
        As for :func:`verify`.
    """

    def __init__(
        self, question: PlanQuestion, base: BaseScenario, problem: Problem, first: Schedule
    ) -> None:
        self.spec = spec = base.verification
        self._question, self._base, self._problem, self._first = question, base, problem, first
        self._scenarios = _scenarios(question, spec)
        check_scale(question, first, self._scenarios, spec.scale)
        self._seen = range(spec.replications)
        self._new = range(spec.replications, 2 * spec.replications)
        self._effort = Effort(question.spec.gap, question.spec.search_nodes)
        self._correction = Correction(
            begin=problem.utilisation,
            lowest=min(spec.lowest_utilisation, problem.utilisation),
            at_most=spec.objective.limit,
            tolerance=spec.tolerance,
        )
        self._tried: dict[float, float | None] = {}
        self._plans: dict[float, tuple[Schedule, list[SimulatedCheck]]] = {}
        self._tables: list[pd.DataFrame] = []

    @property
    def number(self) -> int:
        """Number of the next round, from 1."""
        return len(self._tried) + 1

    def next_value(self) -> float | None:
        """Return the planning utilisation of the next round; None if the search has ended."""
        if len(self._tried) >= self.spec.rounds:
            return None
        return self._correction.next_value(self._tried)

    def make_round(self, utilisation: float, runs: _Runs) -> str:
        """Plan and simulate with a planning utilisation, and return a line about the round."""
        number = self.number
        if number == 1:
            plan: Schedule | None = self._first
        else:
            plan = solve(self._problem.at(utilisation), effort=self._effort)
        service = None
        if plan is None:
            table = impossible_round(number, utilisation)
        else:
            checks = [
                simulated_check_of(self._question, self._base, plan, scenario)
                for scenario in self._scenarios
            ]
            table = self._simulated(plan, checks, self._seen, runs).assign(fresh=False)
            self._plans[utilisation] = plan, checks
            service = service_of(table)
        self._tables.append(table)
        self._tried[utilisation] = service
        return _line(number, utilisation, service)

    def fresh_round(self, runs: _Runs) -> pd.DataFrame:
        """Return the round of the plan that was found, with new replications."""
        schedule, checks = self._found()
        return self._simulated(schedule, checks, self._new, runs)

    def _simulated(
        self, plan: Schedule, checks: list[SimulatedCheck], replications: range, runs: _Runs
    ) -> pd.DataFrame:
        with named_in(self._question.source, "verify"):
            return simulated_round(
                self.number, plan, checks, self.spec.objective, replications, runs
            )

    def _found(self) -> tuple[Schedule, list[SimulatedCheck]]:
        """Return the plan that met the objective at the largest utilisation, else the safest."""
        best = self._correction.result(self._tried)
        return self._plans[min(self._plans) if best is None else best]

    def interrupted(self, note: str) -> Verified:
        """Return the result of the completed rounds."""
        return Verified(
            schedule=self._found()[0] if self._plans else self._first,
            outcome=INTERRUPTED,
            meets=False,
            rounds=pd.concat(self._tables, ignore_index=True) if self._tables else pd.DataFrame(),
            checks=[],
            replication=self._new.start,
            note=note,
        )

    def verified(self, fresh: pd.DataFrame) -> Verified:
        """Return the result, given the round with new replications."""
        schedule, checks = self._found()
        limit = self.spec.objective.limit
        return Verified(
            schedule=schedule,
            outcome=worst_outcome(fresh["outcome"]),
            meets=not (fresh["value"].fillna(math.inf) > limit)[fresh["jobs"] > 0].any(),
            rounds=pd.concat([*self._tables, fresh.assign(fresh=True)], ignore_index=True),
            checks=checks,
            replication=self._new.start,
            note=_note(self._correction, self._tried, self._correction.result(self._tried)),
        )


def _scenarios(question: PlanQuestion, spec: Verification) -> list[int]:
    names = list(question.spec.scenarios)
    wanted = names if spec.scenarios is None else spec.scenarios
    return [names.index(name) for name in dict.fromkeys(wanted)]


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
