"""Run requests: fixed replications, replications until an interval is narrow, capacity searches.

When all runs of a request are done, the request is asked whether it needs more runs.  The answer
depends only on the outcomes, never on the order in which they arrived.  A study therefore has the
same result with any number of workers and after any number of interruptions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from clustersim.analysis.job_statistics import metric_over_jobs
from clustersim.analysis.root_search import RootSearch
from clustersim.analysis.statistics import replications_needed
from clustersim.studies.base import POSTERIOR_MEAN, Base, PointRuns, Run
from clustersim.studies.design import Point, column_value
from clustersim.studies.objective import (
    NEEDED,
    OVERLOADED,
    PILOT_REPLICATIONS,
    Measured,
    chosen,
    measured_at,
    root_search,
)
from clustersim.studies.spec import CapacitySearch, Objective, Replications, StudySpec
from clustersim.studies.store import Outcome

__all__ = ["Known", "RunRequest", "run_requests"]

ENOUGH_FOR_PILOT = 12
"""Smallest number of replications with which a capacity search has a pilot."""
PILOT_PARTS = 8
"""A pilot search ends when it knows the capacity to one part in so many of the range."""

Known = Mapping[str, Outcome]
"""Outcomes of finished runs by hash."""


class RunRequest(Protocol):
    """A group of runs that are requested together, such as the replications of a point."""

    def wanted(self, known: Known) -> list[Run]:
        """Return, in order, all runs that are needed according to the outcomes known so far."""

    def at_least(self) -> int:
        """Return the number of runs known in advance to be needed."""

    def at_most(self) -> int:
        """Return the largest number of runs that may be needed in total, by an estimate."""


def run_requests(spec: StudySpec, base: Base, points: Sequence[Point]) -> list[RunRequest]:
    """Return the requests of a study in the order of its design."""
    if spec.capacity is not None:
        return [*_capacity_requests(spec, base, points)]
    if isinstance(spec.replications, Replications):
        return [
            SequentialRequest(base, point.changes, spec.draws, spec.replications)
            for point in points
        ]
    return [FixedRequest(base, point.changes, spec.draws, spec.replications) for point in points]


@dataclass(slots=True)
class FixedRequest:
    """All replications of a point, and one run for each draw."""

    base: Base
    changes: Mapping[str, Any]
    draws: int
    replications: int
    _runs: list[Run] | None = None

    def wanted(self, _known: Known) -> list[Run]:
        """See :meth:`RunRequest.wanted`."""
        if self._runs is None:
            point = self.base.at(self.changes)
            self._runs = _all_runs(point, self.draws, self.replications)
        return self._runs

    def at_least(self) -> int:
        """See :meth:`RunRequest.at_least`."""
        return self.draws + self.replications

    def at_most(self) -> int:
        """See :meth:`RunRequest.at_most`."""
        return self.at_least()


@dataclass(slots=True)
class SequentialRequest:
    """Replications of a point until the interval of a metric is narrow enough.

    This is the sequential procedure of Law, "Simulation Modeling and Analysis", section 9.4.1,
    applied at the posterior mean to the interval that the table of points shows.
    """

    base: Base
    changes: Mapping[str, Any]
    draws: int
    rule: Replications
    _point: PointRuns | None = None

    def wanted(self, known: Known) -> list[Run]:
        """See :meth:`RunRequest.wanted`."""
        point = self._point = self._point or self.base.at(self.changes)
        count = self.rule.least
        runs = _all_runs(point, 0, count)
        while all(run.key in known for run in runs):
            more = self._needed([known[run.key] for run in runs])
            if more <= count:
                return _all_runs(point, self.draws, count)
            runs += [point.run(POSTERIOR_MEAN, k) for k in range(count, more)]
            count = more
        return runs

    def _needed(self, made: Sequence[Outcome]) -> int:
        """Return the number of replications for an interval as narrow as the rule demands."""
        rule = self.rule
        values = [_metric(outcome, rule.metric) for outcome in made]
        finished = [outcome for outcome in made if not outcome.failed]
        measured = np.array([_metric(outcome, rule.metric) for outcome in finished])
        found = None
        if len(finished) > 1 and np.isfinite(measured).all():
            found = metric_over_jobs(rule.metric, measured, [each.samples for each in finished])
        if found is None:
            return replications_needed(values, rule.relative_width, at_most=rule.at_most)
        best = found[1] or found[0]
        half = 0.5 * (best.high - best.low)
        enough = rule.relative_width * abs(best.value)
        if half <= enough or len(made) >= rule.at_most:
            return len(made)
        most = min(rule.at_most, 2 * len(made))
        if not (enough > 0 and math.isfinite(half)):
            return most
        return min(most, math.ceil(len(made) * min((half / enough) ** 2, 2.0)))

    def at_least(self) -> int:
        """See :meth:`RunRequest.at_least`."""
        return self.draws + self.rule.least

    def at_most(self) -> int:
        """See :meth:`RunRequest.at_most`."""
        return self.draws + self.rule.at_most


def _all_runs(point: PointRuns, draws: int, replications: int) -> list[Run]:
    """Return the replications at the posterior mean, then replication k with draw k."""
    at_mean = [point.run(POSTERIOR_MEAN, k) for k in range(replications)]
    return [*at_mean, *(point.run(draw, draw) for draw in range(draws))]


def _metric(outcome: Outcome, name: str) -> float:
    return outcome.metrics.get(name, math.nan)


def _capacity_requests(
    spec: StudySpec, base: Base, points: Sequence[Point]
) -> Iterable[CapacityRequest]:
    """Return one search for each combination of the other parameters."""
    assert spec.capacity is not None
    assert spec.objective is not None
    given: dict[str, tuple[dict[str, Any], list[float]]] = {}
    for point in points:
        others = {path: v for path, v in point.changes.items() if path != spec.capacity.of}
        _, values = given.setdefault(repr(others), (others, []))
        if spec.capacity.of in point.changes:
            values.append(column_value(point.changes[spec.capacity.of]))
    for others, values in given.values():
        yield CapacityRequest(
            base, others, tuple(values), spec.capacity, spec.objective, spec.replications,
            spec.draws,
        )  # fmt: skip


@dataclass(slots=True)
class CapacityRequest:
    """A search for the value of one parameter at which an objective is just met.

    Attributes
    ----------
    others : dict
        Changes of the other parameters by path.
    given : tuple of float
        Values of the searched parameter that are always run (for a curve).
    replications : int or Replications
        Replications at each value.  With a rule, the search is repeated with more replications
        until the interval of the capacity is narrow enough.

    Notes
    -----
    With 12 replications or more and no given values, a coarse *pilot* search with only two of them
    finds where the capacity lies.  The search with all replications then starts there, instead of
    at the ends of the range, which say little about the capacity (Chen & Schmeiser, "Stochastic
    root finding via retrospective approximation", IIE Transactions 33, 2001).
    """

    base: Base
    others: Mapping[str, Any]
    given: tuple[float, ...]
    search: CapacitySearch
    objective: Objective
    replications: int | Replications
    draws: int
    _runs: dict[tuple[float, int], list[Run]] = field(default_factory=dict)
    _left: dict[int, int] = field(default_factory=dict)
    _wanted: int = 0
    _count: int = 0

    def wanted(self, known: Known) -> list[Run]:
        """See :meth:`RunRequest.wanted`.

        The posterior mean is searched first.  Then every draw is searched with the same random
        numbers; draws need no interval.  A draw has all replications, unlike at a point, because
        the capacity of a single replication can be far from that of all of them.
        """
        runs, done = self._walk(POSTERIOR_MEAN, known)
        for draw in range(self.draws) if done else ():
            runs += self._walk(draw, known)[0]
        self._wanted = len(runs)
        return runs

    def at_least(self) -> int:
        """See :meth:`RunRequest.at_least`."""
        ends = [end for end in self.search.between if not self._overloaded(end)]
        drawn = self._least * self.draws * len(ends)
        if self._has_pilot:
            return PILOT_REPLICATIONS * len(ends) + self._least + drawn
        return self._least * len({*self.given, *ends}) + drawn

    def at_most(self) -> int:
        """See :meth:`RunRequest.at_most`."""
        first = self._finder().most_left({})
        draws = range(POSTERIOR_MEAN, self.draws)
        left = max(self._count, self._least) * sum(self._left.get(d, first) for d in draws)
        rule = self.replications
        if isinstance(rule, int) or self._count >= rule.at_most:
            return self._wanted + left
        return max(self._wanted + left, rule.at_most * max(first, self._wanted // self._least))

    @property
    def _least(self) -> int:
        """Smallest number of replications."""
        rule = self.replications
        return rule if isinstance(rule, int) else rule.least

    def _walk(self, draw: int, known: Known) -> tuple[list[Run], bool]:
        """Return the runs that the search of a draw needs so far, and whether it is done.

        Draws have as many replications as the posterior mean needed.
        """
        if draw != POSTERIOR_MEAN:
            runs, _, done = self._search(self._finder(), draw, (), known)
            return runs, done
        pilot, start, done = self._pilot(known)
        if not done:
            return pilot, False
        self._count, given = self._least, self.given
        while True:
            runs, tried, done = self._search(self._finder(start), draw, given, known)
            more = self._needed(tried) if done else self._count
            if more <= self._count:
                return [*{run.key: run for run in pilot + runs}.values()], done
            # Values that were tried before get the new replications too, so all are comparable.
            self._count, given = more, tuple(tried)

    @property
    def _has_pilot(self) -> bool:
        return not self.given and self._least >= ENOUGH_FOR_PILOT

    def _pilot(self, known: Known) -> tuple[list[Run], float | None, bool]:
        """Return the runs of the pilot search so far, where it leads to, and whether it is done."""
        if not self._has_pilot:
            return [], None, True
        low, high = self.search.between
        finder = replace(
            self._finder(), tolerance=max(self.search.width, (high - low) / PILOT_PARTS)
        )
        self._count = PILOT_REPLICATIONS
        runs, tried, done = self._search(finder, POSTERIOR_MEAN, (), known)
        if not done or not tried:
            return runs, None, done
        return runs, self._finder().near(finder.result(chosen(tried, finder))), True

    def _finder(self, start: float | None = None) -> RootSearch:
        found = root_search(self.search, self.objective, given=len(self.given))
        return replace(found, start=start)

    def _needed(self, tried: Mapping[float, Measured]) -> int:
        """Return the number of replications for an interval as narrow as the rule demands."""
        rule, count = self.replications, self._count
        if isinstance(rule, int) or count >= rule.at_most or not tried:
            return count
        search = self._finder()
        root = search.result(chosen(tried, search))
        half, enough = 0.5 * (root.high - root.low), rule.relative_width * abs(root.value)
        if not math.isfinite(root.value) or not root.freedom or half <= enough:
            return count
        most = min(rule.at_most, 2 * count)
        if not (enough > 0 and math.isfinite(half)):
            return most
        return min(most, math.ceil(count * min((half / enough) ** 2, 2.0)))

    def _search(
        self, search: RootSearch, draw: int, given: tuple[float, ...], known: Known
    ) -> tuple[list[Run], dict[float, Measured], bool]:
        """Return the runs of a search, what was measured at each value, and whether it is done.

        The search ends early if all runs at a value failed; nothing is then measured.
        """
        tried: dict[float, Measured] = {}
        values = given
        runs: list[Run] = []
        self._left[draw] = 0
        while values := values or search.next_values(chosen(tried, search)):
            made = {value: self._at(value, draw) for value in values}
            runs += [run for each in made.values() for run in each]
            if not all(run.key in known for run in runs):
                pending = sum(value not in given for value in values)
                self._left[draw] = max(0, search.most_left(chosen(tried, search)) - pending)
                return runs, tried, False
            for value, each in made.items():
                done = [known[run.key] for run in each]
                if done and all(outcome.failed for outcome in done):
                    return runs, {}, True
                tried[value] = self._measured(done)
            values = ()
        return runs, tried, True

    def _measured(self, done: Sequence[Outcome]) -> Measured:
        if not done:
            return OVERLOADED, {}
        made = [outcome for outcome in done if not outcome.failed]
        metrics = {
            name: [_metric(outcome, name) for outcome in made]
            for name in (self.objective.metric, *NEEDED)
        }
        samples = [outcome.samples for outcome in made]
        return measured_at(self.objective, metrics, samples)

    def _at(self, value: float, draw: int) -> list[Run]:
        """Return the runs of a value and draw; empty if the value is known to be overloaded."""
        if self._overloaded(value):
            return []
        runs = self._runs.setdefault((value, draw), [])
        if len(runs) < self._count:
            number = int(value) if self.search.whole else float(value)
            point = self.base.at({**self.others, self.search.of: number})
            runs += [point.run(draw, k) for k in range(len(runs), self._count)]
        return runs[: self._count]

    def _overloaded(self, value: float) -> bool:
        """Return whether a value is known to be overloaded, so that it needs no runs."""
        load = self.search.load_of(value)
        return load is not None and load >= 1 and value not in self.given
