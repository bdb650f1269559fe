"""What a file of quotas holds outside the queues: limits, budgets, and quotas of queues.

Every policy honours these, because a job enters its queue only when there is room for it: in the
limits of all its values (user, team, ...), in the quota of its queue, and in its budgets. Quotas of
pools also decide where a job may run: it enters with the first of its pools whose quotas have room.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy.typing as npt

from clustersim.engine.budgets import Budget
from clustersim.engine.limits import Charge, Count, Limits, Way
from clustersim.errors import InputError, nearest_hint
from clustersim.notes import note
from clustersim.scheduling import JobColumns, Partition, Policy, QuotaUse
from clustersim.scheduling.elastic import usual_sizes
from clustersim.scheduling.kueue import QuotaTree
from clustersim.scheduling.limits_file import EACH, budget_of, limit_of
from clustersim.scheduling.policies.elastic_rounds import ElasticRounds
from clustersim.scheduling.policies.names import check_names, texts_of_jobs
from clustersim.scheduling.policies.quota_jobs import QuotaJobs, pool_of
from clustersim.scheduling.policies.quota_notes import quota_notes
from clustersim.scheduling.quota_use import tree_uses
from clustersim.scheduling.quotas import ALL_POOLS, RESOURCE, Quotas, read_quotas
from clustersim.units import counted, format_number

__all__ = ["EntryLimits", "least_sizes", "quotas_of_policy"]

_HOUR_S = 3600.0


def quotas_of_policy(policy: type[Policy]) -> Quotas | None:
    """Return the quotas that a policy was given; None if it has none.

    Examples
    --------
    >>> from clustersim.scheduling import find_policy
    >>> quotas_of_policy(find_policy("easy")) is None
    True
    """
    return None if policy.quotas is None else read_quotas(policy.quotas)


def least_sizes(
    policy: type[Policy], jobs: JobColumns, partitions: Sequence[Partition]
) -> list[int] | None:
    """Return the fewest accelerators with which a policy can start each job on all its partitions.

    None if it starts all jobs with as many as they ask for.

    Examples
    --------
    A job of 12 accelerators that can have 3 starts with a power of two, 4, under `sia`.

    >>> import numpy as np
    >>> from clustersim.scheduling import Pooled, find_policy
    >>> from clustersim.scheduling.elastic import Amdahl, Elastic
    >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
    >>> one = np.array([12]), np.array([3]), np.array([12]), np.array([0])
    >>> jobs = JobColumns([12], [[60.0]], [(0,)], [0], elastic=Elastic(*one, [[Amdahl()]]))
    >>> [least_sizes(find_policy(name), jobs, [h200]) for name in ("sia", "fcfs")]
    [[4], None]
    """
    rounds, elastic = issubclass(policy, ElasticRounds), jobs.elastic
    if elastic is None or not (rounds or getattr(policy, "partial", False)):
        return None
    sizes = [usual_sizes(p.placement.chips_per_node, p.placement.capacity) for p in partitions]

    def least(job: int, index: int) -> int:
        """Return the fewest of a partition, 0 for none."""
        low, high = elastic.range(job)
        tried = [n for n in sizes[index] if low <= n <= high] if rounds else range(low, high + 1)
        pool = partitions[index].pool
        return next((n for n in tried if elastic.pace(job, pool, n) > 0.0), 0)

    return [
        max(least(job, index) for index in jobs.choices[choice]) or jobs.n_accelerators[job]
        for job, choice in enumerate(jobs.choice_of)
    ]


@dataclass(slots=True)
class EntryLimits:
    """The limits, budgets and quotas of some jobs.

    Attributes
    ----------
    ways : dict of int to tuple of Way
    budgets : dict of int to tuple of Budget
    entry_size : dict of int to int
        Accelerators that a job with `ways` counts with while it is in the queue.
    time_s : dict of int to float
        Time that a job reserves in its budgets, seconds.
    line : dict of int to str
        Queue of each job, if jobs of the queue wait for the first one.
    never : dict of int to str
        Why jobs can never enter.
    choices : list of tuple of int
        Sets of partitions, those of the jobs first.
    """

    ways: dict[int, tuple[Way, ...]] = field(default_factory=dict)
    budgets: dict[int, tuple[Budget, ...]] = field(default_factory=dict)
    entry_size: dict[int, int] = field(default_factory=dict)
    time_s: dict[int, float] = field(default_factory=dict)
    line: dict[int, str] = field(default_factory=dict)
    never: dict[int, str] = field(default_factory=dict)
    choices: list[tuple[int, ...]] = field(default_factory=list)
    _uses: list[Callable[[float], Iterator[QuotaUse]]] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        quotas: Quotas,
        jobs: JobColumns,
        partitions: Sequence[Partition],
        *,
        divides: bool,
        least: Sequence[int] | None = None,
    ) -> EntryLimits:
        """Return the limits of some jobs.

        Parameters
        ----------
        quotas : Quotas
        jobs : JobColumns
        partitions : sequence of Partition
        divides : bool
            Whether the policy itself divides the cluster among the queues.
        least : sequence of int, optional
            The accelerators with which each job enters, if the policy starts jobs with fewer than
            they ask for.

        Raises
        ------
        InputError
            If the jobs lack a column, a pool is not in the cluster, or a value looks misspelt.
        """
        found = cls(choices=list(jobs.choices))
        _check_pools(quotas, partitions)
        for text in quota_notes(quotas, jobs, partitions):
            note(text)
        found._add_ways(quotas, jobs, partitions, divides=divides, least=least)
        found._add_budgets(quotas, jobs, partitions)
        return found

    def limits(self, others: Limits, order: Sequence[float]) -> Limits:
        """Return these limits together with others."""
        return replace(
            others,
            ways=self.ways,
            budgets=self.budgets,
            entry_size=self.entry_size,
            time_s=self.time_s,
            line=self.line,
            order=order,
        )

    def uses(self) -> list[Callable[[float], Iterator[QuotaUse]]]:
        """Return functions of the time that yield what is used."""
        return self._uses

    def _add_ways(
        self,
        quotas: Quotas,
        jobs: JobColumns,
        partitions: Sequence[Partition],
        *,
        divides: bool,
        least: Sequence[int] | None,
    ) -> None:
        pools = [pool_of(partition) for partition in partitions]
        counts = _Counts(quotas, jobs)
        queues = None
        if quotas.queues and not divides:
            queues = _Queues(quotas, jobs, partitions, smaller=least is not None)
            self._uses.append(queues.uses)
            if quotas.strict:
                names = (queues.jobs.name_of(job) for job in range(len(jobs.n_accelerators)))
                self.line = {job: name for job, name in enumerate(names) if name in quotas.strict}
        if counts.columns or queues is not None:
            self._uses.append(counts.uses)
            for job, n in enumerate(jobs.n_accelerators if least is None else least):
                self._add_way(job, n, jobs.choice_of[job], pools, counts, queues)

    def _add_way(
        self,
        job: int,
        n: int,
        choice: int,
        pools: Sequence[str],
        counts: _Counts,
        queues: _Queues | None,
    ) -> None:
        of_all, by_pool = counts.of(job)
        everywhere: list[Charge] = [(count, 0, n) for count in of_all]
        if queues is not None and queues.together:
            everywhere += queues.charges(job, ALL_POOLS, n)
        problems = [
            f"{count.name} may use at most {_amount(count.most)} at once"
            for count in of_all
            if n > count.most
        ]
        split = queues is not None and not queues.together
        if not by_pool and not split:
            ways = [Way(tuple(everywhere))]
        else:
            ways = []
            members = self.choices[choice]
            for pool in dict.fromkeys(pools[index] for index in members):
                charges: list[Charge] = [(count, 0, n) for count in by_pool.get(pool, ())]
                if split and queues is not None:
                    own = queues.charges(job, pool, n)
                    if not own:
                        problems.append(f"{queues.owner(job)} has no quota of {pool}")
                        continue
                    charges += own
                too_small = [count for count in by_pool.get(pool, ()) if n > count.most]
                if too_small:
                    most = _amount(too_small[0].most)
                    problems.append(f"{too_small[0].name} may use at most {most} at once")
                    continue
                here = tuple(index for index in members if pools[index] == pool)
                at = None if here == members else self._choice(here)
                ways.append(Way((*everywhere, *charges), at))
        if queues is not None and ways and not any(queues.can_hold(way) for way in ways):
            problems.append(f"{queues.owner(job)} can never use {_amount(n)} at once, by its quota")
            ways = []
        if any(n > count.most for count in of_all) or not ways:
            self.never[job] = "; ".join(dict.fromkeys(problems))
        elif ways != [Way()]:
            self.ways[job] = tuple(ways)
            self.entry_size[job] = n

    def _choice(self, partitions: tuple[int, ...]) -> int:
        """Return the index of a set of partitions."""
        if partitions not in self.choices:
            self.choices.append(partitions)
        return self.choices.index(partitions)

    def _add_budgets(
        self, quotas: Quotas, jobs: JobColumns, partitions: Sequence[Partition]
    ) -> None:
        known: dict[tuple[str, str], Budget] = {}
        for column, given in quotas.file.budgets.items():
            for job, value in enumerate(_texts(quotas, jobs, column, given, "budgets")):
                budget = known.get((column, value))
                if budget is None:
                    own = budget_of(given, value)
                    if own is None:
                        continue
                    budget = known[column, value] = Budget(
                        f"{column} {value}",
                        own.accelerator_hours * _HOUR_S,
                        math.inf if own.period is None else own.period,
                    )
                self.budgets[job] = (*self.budgets.get(job, ()), budget)
        for job, budgets in self.budgets.items():
            seconds = max(
                jobs.estimate_s[partitions[index].pool][job]
                for index in jobs.choices[jobs.choice_of[job]]
            )
            self.time_s[job] = seconds
            n = jobs.n_accelerators[job]
            for budget in budgets:
                if (need := budget.need(n, seconds)) > budget.most and job not in self.never:
                    self.never[job] = (
                        f"needs {_hours(need)} accelerator-hours by its estimate, but the whole "
                        f"budget of {budget.name} is {_hours(budget.most)}"
                    )

        def uses(now: float) -> Iterator[QuotaUse]:
            for budget in known.values():
                used, unit = budget.used(now) / _HOUR_S, "accelerator-hours"
                yield QuotaUse(budget.name, ALL_POOLS, budget.most / _HOUR_S, used, unit)

        self._uses.append(uses)


class _Counts:
    """The limits of the values of columns, one for each value and pool."""

    def __init__(self, quotas: Quotas, jobs: JobColumns) -> None:
        self.columns = {
            column: _texts(quotas, jobs, column, given, "limits")
            for column, given in quotas.file.limits.items()
        }
        self._given = quotas.file.limits
        self._known: dict[tuple[str, str], dict[str, Count]] = {}

    def of(self, job: int) -> tuple[list[Count], dict[str, list[Count]]]:
        """Return the limits of a job: of all pools together, and by pool."""
        of_all: list[Count] = []
        by_pool: dict[str, list[Count]] = {}
        for column, texts in self.columns.items():
            for pool, count in self._of_value(column, texts[job]).items():
                if pool == ALL_POOLS:
                    of_all.append(count)
                else:
                    by_pool.setdefault(pool, []).append(count)
        return of_all, by_pool

    def _of_value(self, column: str, value: str) -> Mapping[str, Count]:
        if (column, value) not in self._known:
            self._known[column, value] = {
                pool: Count(f"{column} {value}{'' if pool == ALL_POOLS else f' on {pool}'}", most)
                for pool, most in limit_of(self._given[column], value).items()
            }
        return self._known[column, value]

    def uses(self, now: float) -> Iterator[QuotaUse]:
        """Yield what is used."""
        for (column, value), counts in self._known.items():
            for pool, count in counts.items():
                yield QuotaUse(f"{column} {value}", pool, count.most, count.taken)


class _Queues:
    """The quotas of queues and cohorts, for a policy that does not divide them itself."""

    def __init__(
        self, quotas: Quotas, jobs: JobColumns, partitions: Sequence[Partition], *, smaller: bool
    ) -> None:
        self.jobs = QuotaJobs(jobs, partitions, quotas, smaller=smaller)
        self.together = quotas.pools == [ALL_POOLS]
        self._quotas = quotas
        self._tree = QuotaTree(quotas.queues, quotas.cohorts)

    def owner(self, job: int) -> str:
        """Return the queue of a job, for messages."""
        return f"queue {self.jobs.name_of(job)!r}"

    def charges(self, job: int, pool: str, n: int) -> list[Charge]:
        """Return the charge of a job on a pool; none if its queue has no quota there."""
        if pool not in self.jobs.flavors(job):
            return []
        return [(self._tree.ledger((pool, RESOURCE)), self.jobs.queue_of[job], n)]

    def can_hold(self, way: Way) -> bool:
        """Return whether a job could enter if nobody else used anything."""
        own = {id(ledger): ledger for ledger in self._tree.ledgers.values()}
        return all(
            amount <= own[id(limit)].potential[node]
            for limit, node, amount in way.charges
            if id(limit) in own
        ) and any(id(limit) in own for limit, _, _ in way.charges)

    def uses(self, now: float) -> Iterator[QuotaUse]:
        """Yield what is used."""
        yield from tree_uses(self._tree, self._quotas)


def _check_pools(quotas: Quotas, partitions: Sequence[Partition]) -> None:
    """Refuse limits of pools that the cluster does not have."""
    pools = list(dict.fromkeys(pool_of(partition) for partition in partitions))
    for column, given in quotas.file.limits.items():
        for value, limit in given.items():
            for pool in limit if isinstance(limit, dict) else ():
                if pool not in {*pools, ALL_POOLS}:
                    raise InputError(
                        quotas.source,
                        f"limits.{column}.{value}: the cluster has no pool {pool!r}; "
                        f"{nearest_hint(pool, pools)}",
                    )


def _texts(
    quotas: Quotas, jobs: JobColumns, column: str, given: Mapping[str, object], section: str
) -> npt.NDArray[Any]:
    """Return the values of a column as texts."""
    texts = texts_of_jobs(jobs, [column])
    if texts is None:
        raise InputError(
            quotas.source,
            f"{section}.{column}: the jobs have no such column; "
            f"{nearest_hint(column, [*jobs.columns])}",
        )
    try:
        check_names("quotas", [name for name in given if name != EACH], texts, column)
    except InputError as error:
        raise InputError(quotas.source, [f"{section}: {each}" for each in error.problems]) from None
    return texts


def _amount(n: float) -> str:
    return counted(int(n), "accelerator")


def _hours(seconds: float) -> str:
    return format_number(seconds / _HOUR_S)
