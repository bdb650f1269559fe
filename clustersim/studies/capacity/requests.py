"""Capacity searches: which runs they need, according to the outcomes known so far."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from clustersim.analysis.root_search import RootSearch
from clustersim.studies.base import POSTERIOR_MEAN, Base, PointRuns, Run
from clustersim.studies.capacity.capacities import targets_of_draws
from clustersim.studies.capacity.draws import level_search, measured_alone
from clustersim.studies.capacity.gains import paired_gain
from clustersim.studies.joint_request import JointRequest
from clustersim.studies.known_outcomes import (
    Known,
    all_known,
    finished_runs,
    more_replications,
    samples_of,
)
from clustersim.studies.objective import (
    ENOUGH_FOR_PILOT,
    NEEDED,
    OVERLOADED,
    PILOT_REPLICATIONS,
    Measured,
    chosen,
    measured_at,
    root_search,
)
from clustersim.studies.search_spec import CapacitySearch, Objective
from clustersim.studies.spec import Replications

__all__ = ["CapacityRequest", "ComparedCapacities"]

PILOT_PARTS = 8
"""A pilot search ends when it knows the capacity to one part in so many of the range."""


@dataclass(slots=True)
class _Path:
    """A search: its runs so far, what was measured by value, and whether it is done.

    `pilot` contains the runs of the search before it.
    """

    runs: list[Run] = field(default_factory=list)
    pilot: list[Run] = field(default_factory=list)
    tried: dict[float, Measured] = field(default_factory=dict)
    values: list[float] = field(default_factory=list)
    done: bool = False

    @property
    def all_runs(self) -> list[Run]:
        """The runs of the pilot and of the search, each once."""
        return [*{run.key: run for run in (*self.pilot, *self.runs)}.values()]

    def add(self, made: Mapping[float, Sequence[Run]]) -> None:
        for value, runs in made.items():
            self.runs += runs
            self.values += [value] * len(runs)


@dataclass(slots=True)
class CapacityRequest:
    """A search for the value of one parameter at which an objective is just met.

    Attributes
    ----------
    number : int
        Number of the search in the design.
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

    number: int
    base: Base
    others: Mapping[str, Any]
    given: tuple[float, ...]
    search: CapacitySearch
    objective: Objective
    replications: int | Replications
    draws: int
    _points: dict[float, PointRuns] = field(default_factory=dict)
    _runs: dict[tuple[float, int, int], Run] = field(default_factory=dict)
    _left: dict[int, int] = field(default_factory=dict)
    _wanted: int = 0
    _count: int = 0

    def wanted(self, known: Known) -> list[Run]:
        """See :meth:`RunRequest.wanted`.

        The posterior mean is searched first.  Then every draw is searched with one replication; see
        :mod:`~clustersim.studies.capacity.draws`.  Without a capacity at the posterior mean, the
        draws are not searched.
        """
        count, given = self.least, self.given
        while True:
            path = self.at_mean(count, given, known)
            more = self.needed(path.tried) if path.done else count
            if more <= count:
                return self.with_draws(path, known) if path.done else path.all_runs
            # Values that were tried before get the new replications too, so all are comparable.
            count, given = more, tuple(path.tried)

    def parts(self, wanted: Sequence[Run]) -> Iterable[tuple[int, Sequence[Run]]]:
        """See :meth:`RunRequest.parts`."""
        return [(self.number, wanted)]

    def at_least(self) -> int:
        """See :meth:`RunRequest.at_least`."""
        ends = [end for end in self.search.between if not self._overloaded(end)]
        if self._has_pilot:
            # A capacity at an end shares its pilot runs with the search.
            return PILOT_REPLICATIONS * (len(ends) - 1) + self.least
        return self.least * len({*self.given, *ends})

    def at_most(self) -> int:
        """See :meth:`RunRequest.at_most`."""
        first = self._finder().most_left({})
        count = max(self._count, self.least)
        at_mean = count * self._left.get(POSTERIOR_MEAN, first)
        if self._has_pilot and self._count <= PILOT_REPLICATIONS:
            at_mean += count * first
        drawn = sum(self._left.get(draw, first) for draw in range(self.draws))
        rule = self.replications
        if isinstance(rule, int) or self._count >= rule.at_most:
            return self._wanted + at_mean + drawn
        most = rule.at_most * max(first, self._wanted // self.least)
        return max(self._wanted + at_mean, most) + drawn

    @property
    def least(self) -> int:
        """Smallest number of replications."""
        rule = self.replications
        return rule if isinstance(rule, int) else rule.least

    def at_mean(self, count: int, given: tuple[float, ...], known: Known) -> _Path:
        """Return the search at the posterior mean, with some replications at each value.

        If it has a pilot that is not done, this is returned instead.
        """
        pilot = self._pilot(known) if self._has_pilot else _Path(done=True)
        self._wanted, self._count = len(pilot.runs), PILOT_REPLICATIONS
        if not pilot.done:
            return pilot
        self._count = count
        path = self._walk(POSTERIOR_MEAN, range(count), self._finder(pilot), given, known)
        path.pilot = pilot.runs
        self._wanted += len(path.runs)
        return path

    @property
    def _has_pilot(self) -> bool:
        return not self.given and self.least >= ENOUGH_FOR_PILOT

    def _pilot(self, known: Known) -> _Path:
        finder = self._coarse_finder()
        return self._walk(POSTERIOR_MEAN, range(PILOT_REPLICATIONS), finder, (), known)

    def _coarse_finder(self) -> RootSearch:
        low, high = self.search.between
        width = max(self.search.width, (high - low) / PILOT_PARTS)
        return replace(self._finder(), tolerance=width)

    def with_draws(self, path: _Path, known: Known) -> list[Run]:
        """Return the runs of a search at the posterior mean, and those of the draws."""
        runs = path.all_runs
        if self.draws:
            at_mean, samples = self.table(path, known), samples_of(path.runs, known)
            _, targets = targets_of_draws(at_mean, self.search, self.objective, samples)
            for draw in range(self.draws):
                self._left[draw] = 0
                if targets:
                    target = targets[draw % len(targets)]
                    finder = level_search(self._finder(), target.level)
                    runs += self._walk(draw, [target.replication], finder, (), known).runs
        self._wanted = len(runs)
        return runs

    def table(self, path: _Path, known: Known) -> pd.DataFrame:
        """Return the finished runs of a search as a table."""
        metric, values = self.objective.metric, {self.search.of: path.values}
        return finished_runs(path.runs, known, metric, values)

    def _finder(self, pilot: _Path | None = None) -> RootSearch:
        """Return the search for the capacity, which starts where a pilot leads to."""
        finder = root_search(self.search, self.objective, given=len(self.given))
        if pilot is None or not pilot.tried:
            return finder
        coarse = self._coarse_finder()
        return replace(finder, start=finder.near(coarse.result(chosen(pilot.tried, coarse))))

    def needed(self, tried: Mapping[float, Measured]) -> int:
        """Return the number of replications for an interval as narrow as the rule demands."""
        rule, count = self.replications, self._count
        if isinstance(rule, int) or not tried:
            return count
        finder = self._finder()
        root = finder.result(chosen(tried, finder))
        if not math.isfinite(root.value) or not root.freedom:
            return count
        half = 0.5 * (root.high - root.low)
        return more_replications(rule, count, half, rule.relative_width * abs(root.value))

    def _walk(
        self,
        draw: int,
        replications: Sequence[int],
        finder: RootSearch,
        given: tuple[float, ...],
        known: Known,
    ) -> _Path:
        """Return how far a search has come.

        The search ends early if all runs at a value failed; nothing is then measured.
        """
        path, values = _Path(), given
        self._left[draw] = 0
        while values := values or finder.next_values(chosen(path.tried, finder)):
            made = {value: self._at(value, draw, replications) for value in values}
            path.add(made)
            if not all(all_known(each, known) for each in made.values()):
                pending = sum(value not in given for value in values)
                left = finder.most_left(chosen(path.tried, finder))
                self._left[draw] = max(0, left - pending)
                return path
            for value, each in made.items():
                done = [known[run.key] for run in each]
                if done and all(outcome.failed for outcome in done):
                    return _Path(path.runs, values=path.values, done=True)
                path.tried[value] = self._measured(each, known, alone=draw != POSTERIOR_MEAN)
            values = ()
        path.done = True
        return path

    def _measured(self, runs: Sequence[Run], known: Known, *, alone: bool) -> Measured:
        if not runs:
            return OVERLOADED, {}
        made = [known[run.key] for run in runs if not known[run.key].failed]
        metrics = {
            name: [outcome.metrics.get(name, math.nan) for outcome in made]
            for name in (self.objective.metric, *NEEDED)
        }
        measure = measured_alone if alone else measured_at
        return measure(self.objective, metrics, [outcome.samples for outcome in made])

    def _at(self, value: float, draw: int, replications: Sequence[int]) -> list[Run]:
        """Return the runs of a value and draw; empty if the value is known to be overloaded."""
        if self._overloaded(value):
            return []
        if value not in self._points:
            number = int(value) if self.search.whole else float(value)
            self._points[value] = self.base.at({**self.others, self.search.of: number})
        keys = [(value, draw, k) for k in replications]
        for key in keys:
            if key not in self._runs:
                self._runs[key] = self._points[value].run(draw, key[2])
        return [self._runs[key] for key in keys]

    def _overloaded(self, value: float) -> bool:
        """Return whether a value is known to be overloaded, so that it needs no runs."""
        load = self.search.load_of(value)
        return load is not None and load >= 1 and value not in self.given


@dataclass(slots=True)
class ComparedCapacities(JointRequest[CapacityRequest]):
    """Searches of systems until the gains from a baseline are known well enough.

    The interval is that of the gain in the table of gains
    (:func:`~clustersim.studies.capacity.gains.gains_table`), and its width is relative to the
    capacity of the baseline.  All systems have as many replications as the least certain gain
    needs.  Without a baseline, nothing is compared; each capacity then has its own interval narrow
    enough.
    """

    def wanted(self, known: Known) -> list[Run]:
        """See :meth:`RunRequest.wanted`."""
        count, given = self.members[0].least, [member.given for member in self.members]
        while True:
            pairs = zip(self.members, given, strict=True)
            paths = [member.at_mean(count, own, known) for member, own in pairs]
            done = all(path.done for path in paths)
            more = self._needed(paths, count, known) if done else count
            if more <= count:
                break
            count, given = more, [tuple(path.tried) for path in paths]
        runs = [path.all_runs for path in paths]
        if done:
            both = zip(self.members, paths, strict=True)
            runs = [member.with_draws(path, known) for member, path in both]
        return self.joined(runs)

    def _needed(self, paths: Sequence[_Path], count: int, known: Known) -> int:
        """Return the number of replications for gains as narrow as the rule demands."""
        if self.baseline is None or not self.others:
            pairs = zip(self.members, paths, strict=True)
            return max(count, *(member.needed(path.tried) for member, path in pairs))
        return max(count, *(self._needed_by(paths, k, count, known) for k in self.others))

    def _needed_by(self, paths: Sequence[_Path], system: int, count: int, known: Known) -> int:
        assert self.baseline is not None
        first, both = self.members[0], (system, self.baseline)
        rule = first.replications
        assert isinstance(rule, Replications)
        if not all(paths[k].tried for k in both):
            return count
        samples = {key: own for k in both for key, own in samples_of(paths[k].runs, known).items()}
        ours, theirs = (self.members[k].table(paths[k], known) for k in both)
        # More replications narrow the interval of the mean, not that of another period of a log.
        gain = paired_gain(
            ours, theirs, first.search, first.objective, samples=samples, measure=measured_at
        )
        if not math.isfinite(gain.best.value) or gain.note:
            return count
        half = 0.5 * (gain.best.high - gain.best.low)
        return more_replications(rule, count, half, rule.relative_width * abs(gain.baseline))
