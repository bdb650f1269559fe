"""Run requests: fixed replications, replications until an interval is narrow, capacity searches.

When all runs of a request are done, the request is asked whether it needs more runs.  The answer
depends only on the outcomes, never on the order in which they arrived.  A study therefore has the
same result with any number of workers and after any number of interruptions.

If replications are added until a difference between systems is known, the systems that are compared
are one request, because their number of replications follows from the outcomes of all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from clustersim.studies.base import POSTERIOR_MEAN, Base, PointRuns, Run
from clustersim.studies.capacity.requests import CapacityRequest, ComparedCapacities
from clustersim.studies.conclusions import paired_columns
from clustersim.studies.design import Point, column_value
from clustersim.studies.joint_request import JointRequest
from clustersim.studies.known_outcomes import (
    Known,
    all_known,
    finished_runs,
    more_replications,
    samples_of,
)
from clustersim.studies.points import point_interval
from clustersim.studies.spec import Comparison, Replications, StudySpec

__all__ = ["Known", "RunRequest", "run_requests"]


class RunRequest(Protocol):
    """A group of runs that are requested together, such as the replications of a point."""

    def wanted(self, known: Known) -> list[Run]:
        """Return, in order, all runs that are needed according to the outcomes known so far."""

    def parts(self, wanted: Sequence[Run]) -> Iterable[tuple[int, Sequence[Run]]]:
        """Split what :meth:`wanted` returned last into the runs of each point or search.

        Each part has the number of its point or search in the design.
        """

    def at_least(self) -> int:
        """Return the number of runs known in advance to be needed."""

    def at_most(self) -> int:
        """Return the largest number of runs that may be needed in total, by an estimate."""


def run_requests(spec: StudySpec, base: Base, points: Sequence[Point]) -> list[RunRequest]:
    """Return the requests of a study in the order of its design."""
    rule = spec.replications
    if spec.capacity is not None:
        searches = list(_capacity_requests(spec, base, points))
        if _is_of_difference(rule):
            assert spec.compare is not None
            groups = _compared(spec.compare, [search.others for search in searches])
            return [
                ComparedCapacities([searches[k] for k in members], baseline, others)
                for members, baseline, others in groups
            ]
        return [*searches]
    if isinstance(rule, Replications):
        single = [
            SequentialRequest(number, base, point.changes, spec.draws, rule)
            for number, point in enumerate(points)
        ]
        if rule.of == "difference":
            assert spec.compare is not None
            groups = _compared(spec.compare, [point.changes for point in points])
            return [
                ComparedPoints([single[k] for k in members], baseline, others)
                for members, baseline, others in groups
            ]
        return [*single]
    return [
        FixedRequest(number, base, point.changes, spec.draws, rule)
        for number, point in enumerate(points)
    ]


def _is_of_difference(rule: int | Replications) -> bool:
    return isinstance(rule, Replications) and rule.of == "difference"


def _compared(
    compare: Comparison, changes: Sequence[Mapping[str, Any]]
) -> Iterable[tuple[list[int], int | None, list[int]]]:
    """Yield groups that differ only in the compared parameter.

    Yields
    ------
    members : list of int
        Positions in `changes`.
    baseline : int or None
        Position of the baseline in `members`; None if the group has none.
    others : list of int
        Positions in `members` of the systems that are compared with it.
    """
    groups: dict[str, list[int]] = {}
    for number, own in enumerate(changes):
        rest = {path: value for path, value in own.items() if path != compare.of}
        groups.setdefault(repr(rest), []).append(number)
    reference = column_value(compare.baseline)
    for members in groups.values():
        is_base = [column_value(changes[k][compare.of]) == reference for k in members]
        baseline = is_base.index(True) if True in is_base else None
        yield members, baseline, [place for place, same in enumerate(is_base) if not same]


@dataclass(slots=True)
class FixedRequest:
    """All replications of a point, and one run for each draw."""

    number: int
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

    def parts(self, wanted: Sequence[Run]) -> Iterable[tuple[int, Sequence[Run]]]:
        """See :meth:`RunRequest.parts`."""
        return [(self.number, wanted)]

    def at_least(self) -> int:
        """See :meth:`RunRequest.at_least`."""
        return self.draws + self.replications

    def at_most(self) -> int:
        """See :meth:`RunRequest.at_most`."""
        return self.at_least()


@dataclass(slots=True)
class SequentialRequest:
    """Replications of a point until the interval of a metric is narrow enough.

    This is the sequential procedure of Law, "Simulation Modeling and Analysis", section 9.4.1.  It
    is applied at the posterior mean to the interval that the table of points shows
    (:func:`~clustersim.studies.points.point_interval`), for every metric.
    """

    number: int
    base: Base
    changes: Mapping[str, Any]
    draws: int
    rule: Replications
    _point: PointRuns | None = None
    _runs: list[Run] = field(default_factory=list)

    def wanted(self, known: Known) -> list[Run]:
        """See :meth:`RunRequest.wanted`."""
        count = self.rule.least
        while all_known(runs := self.at_mean(count), known):
            more = self.needed(runs, known)
            if more <= count:
                return self.all_runs(count)
            count = more
        return runs

    def at_mean(self, count: int) -> list[Run]:
        """Return the replications at the posterior mean."""
        point = self._point = self._point or self.base.at(self.changes)
        self._runs += [point.run(POSTERIOR_MEAN, k) for k in range(len(self._runs), count)]
        return self._runs[:count]

    def all_runs(self, count: int) -> list[Run]:
        """Return the replications at the posterior mean, and the runs of the draws."""
        at_mean = self.at_mean(count)
        assert self._point is not None
        return [*at_mean, *(self._point.run(draw, draw) for draw in range(self.draws))]

    @property
    def steady(self) -> bool:
        """Whether a steady state is assumed; see :attr:`StudyResult.steady`."""
        return self.base.window.periods is None

    def needed(self, runs: Sequence[Run], known: Known) -> int:
        """Return the number of replications for an interval as narrow as the rule demands.

        They narrow the interval of the mean, not that of another period of a log.
        """
        rule, count = self.rule, len(runs)
        made = finished_runs(runs, known, rule.metric)
        value, low, high = point_interval(
            rule.metric, made, samples=samples_of(runs, known), steady=self.steady, for_next=False
        )
        if math.isinf(value):
            return count
        half = 0.5 * (high - low)
        return more_replications(rule, count, half, rule.relative_width * abs(value))

    def parts(self, wanted: Sequence[Run]) -> Iterable[tuple[int, Sequence[Run]]]:
        """See :meth:`RunRequest.parts`."""
        return [(self.number, wanted)]

    def at_least(self) -> int:
        """See :meth:`RunRequest.at_least`."""
        return self.draws + self.rule.least

    def at_most(self) -> int:
        """See :meth:`RunRequest.at_most`."""
        return self.draws + self.rule.at_most


@dataclass(slots=True)
class ComparedPoints(JointRequest[SequentialRequest]):
    """Replications of systems until their differences from a baseline are known well enough.

    The interval is that of the relative difference in the table of differences
    (:func:`~clustersim.studies.conclusions.differences_table`), so its width is relative to the
    baseline.  All systems have as many replications as the least certain difference needs.  Without
    a baseline, nothing is compared; each system then has its own metric narrow enough.
    """

    def wanted(self, known: Known) -> list[Run]:
        """See :meth:`RunRequest.wanted`."""
        count = self.members[0].rule.least
        while True:
            runs = [member.at_mean(count) for member in self.members]
            done = all(all_known(own, known) for own in runs)
            more = self._needed(runs, known) if done else count
            if more <= count:
                break
            count = more
        if done:
            runs = [member.all_runs(count) for member in self.members]
        return self.joined(runs)

    def _needed(self, runs: Sequence[Sequence[Run]], known: Known) -> int:
        """Return the number of replications for differences as narrow as the rule demands."""
        if self.baseline is None or not self.others:
            pairs = zip(self.members, runs, strict=True)
            return max(member.needed(own, known) for member, own in pairs)
        count = len(runs[0])
        return max(count, *(self._needed_by(runs, place, known) for place in self.others))

    def _needed_by(self, runs: Sequence[Sequence[Run]], system: int, known: Known) -> int:
        assert self.baseline is not None
        first = self.members[0]
        rule, both = first.rule, (runs[system], runs[self.baseline])
        samples = {key: own for each in both for key, own in samples_of(each, known).items()}
        ours, theirs = (
            finished_runs(each, known, rule.metric).set_index("replication") for each in both
        )
        count = len(both[0])
        if ours.empty or theirs.empty:
            return count
        found = paired_columns(
            ours, theirs, rule.metric, samples=samples, steady=first.steady, for_next=False
        )
        if not math.isfinite(found["difference"]):
            return count
        half = 0.5 * (found["relative_high"] - found["relative_low"])
        return more_replications(rule, count, half, rule.relative_width)


def _all_runs(point: PointRuns, draws: int, replications: int) -> list[Run]:
    """Return the replications at the posterior mean, then replication k with draw k."""
    at_mean = [point.run(POSTERIOR_MEAN, k) for k in range(replications)]
    return [*at_mean, *(point.run(draw, draw) for draw in range(draws))]


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
    for number, (others, values) in enumerate(given.values()):
        yield CapacityRequest(
            number, base, others, tuple(values), spec.capacity, spec.objective, spec.replications,
            spec.draws,
        )  # fmt: skip
