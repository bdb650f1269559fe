"""Slurm's multifactor priorities of the jobs of a run, with the usage of what ran in it."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Floats, Ints
from clustersim.errors import InputError
from clustersim.notes import note
from clustersim.scheduling.policies.names import (
    check_names,
    texts_of_jobs,
    values_of,
)
from clustersim.scheduling.queue import Partition, Queue
from clustersim.scheduling.slurm import (
    Associations,
    Factors,
    Weights,
    age_factor,
    classic_fair_share,
    decay,
    fair_tree,
    job_size_factor,
    priority,
    usage_of_runs,
)

__all__ = ["JobPriorities", "PriorityRules"]


@dataclass(frozen=True, slots=True)
class PriorityRules:
    """How priorities follow from jobs and usage; see the options of the policy ``multifactor``."""

    weights: Weights = field(default_factory=Weights)
    max_age_s: float = 7 * 86400.0
    half_life_s: float = 7 * 86400.0
    period_s: float = 300.0
    fair_share: Literal["fair_tree", "classic"] = "fair_tree"
    dampening: float = 1.0
    favor_small: bool = False
    relative_to_time: bool = False
    account_shares: Mapping[str, float] = field(default_factory=dict)
    user_shares: Mapping[str, float] = field(default_factory=dict)
    qos_priority: Mapping[str, float] = field(default_factory=dict)
    partition_priority: Mapping[str, float] = field(default_factory=dict)
    billing: Mapping[str, float] = field(default_factory=dict)
    site_column: str | None = "priority"


class JobPriorities:
    """Priorities of jobs; one object serves all queues of a run, because users have usage in all.

    Parameters
    ----------
    queue : Queue
        Any queue of the run.
    rules : PriorityRules

    Attributes
    ----------
    qos, partition : array of str, shape (n_jobs,), or None
        Columns of the jobs table, if it has them.

    Raises
    ------
    InputError
        If a factor has a weight but the jobs table lacks its column.
    """

    def __init__(self, queue: Queue, rules: PriorityRules) -> None:
        jobs, self._rules = queue.jobs, rules
        n = len(jobs.n_accelerators)
        self.qos = texts_of_jobs(jobs, ["qos"])
        self.partition = texts_of_jobs(jobs, ["partition", "vc"])
        self._qos = _factors_of(self.qos, rules.qos_priority, "qos", n)
        self._partition = _factors_of(self.partition, rules.partition_priority, "partition", n)
        _check_columns(queue, rules)
        self._amounts = np.asarray(jobs.n_accelerators, dtype=np.float64)
        self._size = _sizes(queue, rules)
        self._site = _numbers(queue, rules.site_column, n)
        self._nice = _numbers(queue, "nice", n)
        self._tree, self._association = _associations(queue, rules)
        self._fair_share = np.zeros(len(self._tree.parent))
        self._usage = np.zeros(len(self._tree.parent))
        self._counted_s = 0.0
        self._period = -1.0
        self._running: dict[int, None] = {}
        self._rate, self._start_s = np.zeros(n), np.zeros(n)
        """Billing of running jobs per second, and the time from which it counts."""
        self._ended: list[tuple[int, float, float, float]] = []
        """Association, billing per second, beginning and end (seconds) of runs not counted yet."""

    def started(self, job: int, partition: Partition, now: float) -> None:
        """Charge a job from now on."""
        if self._rules.weights.fair_share:
            self._rate[job] = self._rules.billing.get(partition.name, 1.0) * self._amounts[job]
            self._start_s[job] = now
            self._running[job] = None

    def ended(self, job: int, now: float) -> None:
        """Charge a job no longer."""
        if job in self._running:
            del self._running[job]
            charged = self._rate.item(job), self._start_s.item(job), now
            self._ended.append((self._association.item(job), *charged))

    def begin_of_period(self, now: float) -> float:
        """Return the beginning of the period of a time, seconds: fair shares are those of then."""
        period_s = self._rules.period_s
        return math.floor(now / period_s) * period_s if period_s else now

    def to_period(self, now: float) -> None:
        """Compute the fair shares of the period of a time, unless they are known."""
        begin_s = self.begin_of_period(now)
        if begin_s != self._period:
            self._period = begin_s
            if self._rules.weights.fair_share:
                self._count(begin_s)
                self._fair_share = self._factors()

    def of(self, jobs: Ints, waited_s: Floats) -> Ints:
        """Return the priorities of jobs that have waited for some time, seconds."""
        factors = Factors(
            age=age_factor(waited_s, self._rules.max_age_s),
            fair_share=self._fair_share[self._association[jobs]],
            job_size=self._size[jobs],
            partition=self._partition[jobs],
            qos=self._qos[jobs],
        )
        return priority(self._rules.weights, factors, site=self._site[jobs], nice=self._nice[jobs])

    def _count(self, until_s: float) -> None:
        """Let the usage decay, and add what ran since it was counted last."""
        half_life_s, since_s = self._rules.half_life_s, self._counted_s
        self._usage *= decay(until_s - since_s, half_life_s)
        ended = np.array(self._ended, dtype=np.float64).reshape(-1, 4).T
        self._ended = [run for run in self._ended if run[3] > until_s]
        self._counted_s = until_s
        jobs = np.fromiter(self._running, dtype=np.int64, count=len(self._running))
        association = np.concatenate([ended[0].astype(np.int64), self._association[jobs]])
        if len(association):
            rate = np.concatenate([ended[1], self._rate[jobs]])
            start_s = np.concatenate([ended[2], self._start_s[jobs]])
            end_s = np.concatenate([ended[3], np.full(len(jobs), math.inf)])
            used = usage_of_runs(start_s, end_s, rate, until_s, half_life_s, since_s=since_s)
            self._usage += np.bincount(association, used, minlength=len(self._usage))

    def _factors(self) -> Floats:
        tree = self._tree.with_charged(self._usage)
        if self._rules.fair_share == "classic":
            return classic_fair_share(tree, dampening=self._rules.dampening).factor
        return np.nan_to_num(fair_tree(tree).factor)


def _check_columns(queue: Queue, rules: PriorityRules) -> None:
    """Refuse weights of factors for which the jobs table has no column."""
    columns = queue.jobs.columns
    needed = {
        "weight_fair_share": (rules.weights.fair_share, ("user", "account")),
        "weight_qos": (rules.weights.qos, ("qos",)),
        "weight_partition": (rules.weights.partition, ("partition", "vc")),
    }
    problems = [
        f"option {option}: needs a column {' or '.join(names)} in the table of jobs"
        for option, (weight, names) in needed.items()
        if weight and not any(name in columns for name in names)
    ]
    if problems:
        raise InputError("policy multifactor", problems)
    for name, weight, given in (
        ("qos", rules.weights.qos, rules.qos_priority),
        ("partition", rules.weights.partition, rules.partition_priority),
    ):
        if weight and not any(given.values()):
            note(
                f"option weight_{name} of multifactor has no effect: {name}_priority gives no "
                f"{name} a priority above 0"
            )


def _factors_of(
    texts: npt.NDArray[np.object_] | None, given: Mapping[str, float], column: str, n: int
) -> Floats:
    """Return the factor of each job: the priority of its text, divided by the largest one."""
    check_names(f"{column}_priority", given, texts, column)
    largest = max(given.values(), default=0.0)
    return values_of(texts, given, n) / (largest if largest > 0 else 1.0)


def _numbers(queue: Queue, name: str | None, n: int) -> Floats:
    """Return a column of numbers, 0 where it is missing."""
    if name is None or name not in queue.jobs.columns:
        return np.zeros(n)
    return np.nan_to_num(np.asarray(queue.jobs.columns[name], dtype=np.float64))


def _sizes(queue: Queue, rules: PriorityRules) -> Floats:
    """Return the job size factor of each job, in parts of the whole cluster."""
    jobs, partitions = queue.jobs, queue.partitions
    first = np.array([partitions[choice[0]].index for choice in jobs.choices])
    at = first[np.asarray(jobs.choice_of, dtype=np.int64)]
    per_node = np.array([part.placement.chips_per_node for part in partitions])
    n = np.asarray(jobs.n_accelerators, dtype=np.int64)
    pools = np.array([part.pool for part in partitions])[at]
    estimate_s = np.array([jobs.estimate_s[pool][job] for job, pool in enumerate(pools)])
    return job_size_factor(
        -(-n // per_node[at]),
        n,
        sum(part.placement.n_nodes for part in partitions),
        sum(part.placement.capacity for part in partitions),
        favor_small=rules.favor_small,
        time_limit_s=estimate_s if rules.relative_to_time else None,
    )


def _associations(queue: Queue, rules: PriorityRules) -> tuple[Associations, Ints]:
    """Return the tree of accounts and their users, and the association of each job."""
    jobs = queue.jobs
    nobody = np.full(len(jobs.n_accelerators), "", dtype=object)
    users, accounts = texts_of_jobs(jobs, ["user"]), texts_of_jobs(jobs, ["account"])
    check_names("user_shares", rules.user_shares, users, "user")
    check_names("account_shares", rules.account_shares, accounts, "account")
    user_of = nobody if users is None else users
    account_of = nobody if accounts is None else accounts
    pairs = list(zip(account_of, user_of, strict=True))
    known = dict.fromkeys(pairs)
    parent: dict[Hashable, Hashable] = {("of", account): "root" for account, _ in known}
    parent |= {(account, user, "user"): ("of", account) for account, user in known}
    shares: dict[Hashable, float | None] = {
        ("of", account): rules.account_shares.get(account, 1.0) for account, _ in known
    }
    shares |= {(account, user, "user"): rules.user_shares.get(user, 1.0) for account, user in known}
    index = {name: 1 + at for at, name in enumerate(parent)}
    tree = Associations.of_parents(parent, shares, {})
    return tree, np.array([index[(*pair, "user")] for pair in pairs], dtype=np.int64)
