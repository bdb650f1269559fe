"""What quotas mean for the jobs of a run: their queues, pools and limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from clustersim.errors import InputError, nearest_hint, nearest_name
from clustersim.notes import note
from clustersim.scheduling.kueue import QuotaTree
from clustersim.scheduling.policies.base import Policy
from clustersim.scheduling.queue import JobColumns, Partition
from clustersim.scheduling.quotas import ALL_POOLS, RESOURCE, Quotas, read_quotas
from clustersim.units import counted, listed

__all__ = ["QUEUE_COLUMNS", "QuotaJobs", "pool_of", "quotas_of"]

QUEUE_COLUMNS = ("queue", "vc", "partition", "user")
"""Columns that name the queue of a job; the first one that the jobs have counts."""
_FEW = 3


def pool_of(partition: Partition) -> str:
    """Return the name of a partition's pool.

    Examples
    --------
    >>> from clustersim.scheduling import Pooled
    >>> pool_of(Partition(0, 0, "h200/vision", "vision", 0, Pooled(n_nodes=2, chips_per_node=8)))
    'h200'
    """
    own = partition.virtual_cluster
    return partition.name.removesuffix(f"/{own}") if own else partition.name


def quotas_of(policy: type[Policy], name: str) -> Quotas:
    """Return the queues of a policy's quotas.

    Raises
    ------
    InputError
        If it has no quotas, or they have no queues.

    Examples
    --------
    >>> from clustersim.scheduling import find_policy
    >>> kueue = find_policy("kueue", options={"quotas": {"queues": {"a": {"quotas": {"h200": 8}}}}})
    >>> quotas_of(kueue, "kueue").pools
    ['h200']
    """
    read = policy.__dict__.get("_read_quotas")
    if read is None and policy.quotas is not None:
        read = read_quotas(policy.quotas)
        policy._read_quotas = read  # type: ignore[attr-defined]
    if read is None or not read.queues:
        raise InputError(
            f"policy {name}", "needs the option quotas: a file with the quotas of the queues"
        )
    quotas: Quotas = read
    return quotas


class QuotaJobs:
    """The jobs of a run in the terms of a file of quotas.

    Parameters
    ----------
    jobs : JobColumns
    partitions : sequence of Partition
    quotas : Quotas
    by : str, optional
        Column that names the queue of a job; by default the first of `QUEUE_COLUMNS` that there is.
    smaller : bool
        Whether the policy starts jobs with fewer accelerators than they ask for, if they may.

    Attributes
    ----------
    queue_of : list of int
        Index of each job's queue in the file.
    priority : list of int
    submit_s : list of float

    Raises
    ------
    InputError
        If a pool of the file is not in the cluster, a job is in no queue of the file, or the column
        `by`, or a priority cannot be used.

    Examples
    --------
    >>> from clustersim.scheduling import Pooled
    >>> from clustersim.scheduling.quotas import read_quotas
    >>> quotas = read_quotas({"queues": {"a": {"quotas": {"h200": 8}}}})
    >>> h200 = Partition(0, 0, "h200", "", 0, Pooled(n_nodes=2, chips_per_node=8))
    >>> columns = {"user": np.array(["a", "a"])}
    >>> jobs = JobColumns([8, 16], [[60.0] * 2], [(0,)], [0, 0], columns)
    >>> QuotaJobs(jobs, [h200], quotas).never_start()
    {1: "queue 'a' can use at most 8 accelerators of h200 at once, by its quota and what it may \
borrow"}
    """

    def __init__(
        self,
        jobs: JobColumns,
        partitions: Sequence[Partition],
        quotas: Quotas,
        by: str | None = None,
        *,
        smaller: bool = False,
    ) -> None:
        self._jobs, self._partitions, self._quotas = jobs, partitions, quotas
        self._pools = [pool_of(partition) for partition in partitions]
        unknown = [pool for pool in quotas.pools if pool not in {*self._pools, ALL_POOLS}]
        if unknown:
            found = [f"quotas: the cluster has no pool {p!r}; {self._near(p)}" for p in unknown]
            raise InputError(quotas.source, found)
        self._together = quotas.pools == [ALL_POOLS]
        self.queue_of = self._queues(by)
        n_jobs, columns = len(jobs.n_accelerators), jobs.columns
        self.priority = _whole_numbers(columns, "priority", n_jobs)
        times = np.asarray(columns.get("submit_s", np.zeros(n_jobs)), dtype=np.float64)
        self.submit_s: list[float] = times.tolist()
        if not smaller:
            self._note_ranges()
        self._flavors: dict[tuple[int, int], tuple[str, ...]] = {}
        self._members: dict[tuple[int, int], tuple[int, ...]] = {}
        self._closed: dict[str, int] = {}

    def _near(self, pool: str) -> str:
        return nearest_hint(pool, list(dict.fromkeys(self._pools)))

    def _queues(self, by: str | None) -> list[int]:
        columns, quotas = self._jobs.columns, self._quotas
        n_jobs = len(self._jobs.n_accelerators)
        named = "option by" if by is not None else f"by of {quotas.source}"
        by = by or quotas.file.by
        if by is not None and by not in columns:
            hint = nearest_hint(by, [*columns])
            raise InputError("jobs", f"have no column {by!r}, which {named} names; {hint}")
        column = by or next((name for name in QUEUE_COLUMNS if name in columns), None)
        names = [""] * n_jobs if column is None else [_text(v) for v in columns[column].tolist()]
        number = {queue.name: index for index, queue in enumerate(quotas.queues)}
        if quotas.default is None and (lost := Counter(n for n in names if n not in number)):
            raise InputError(quotas.source, _lost(lost, column, list(number)))
        default = -1 if quotas.default is None else number[quotas.default]
        return [number.get(name, default) for name in names]

    def _note_ranges(self) -> None:
        """Say that jobs do not run with fewer or more accelerators although they may."""
        asked, columns = np.asarray(self._jobs.n_accelerators), self._jobs.columns
        for name, word, without in (
            ("min_accelerators", "fewer", "partial admission"),
            ("max_accelerators", "more", "growth"),
        ):
            if name not in columns:
                continue
            bound = np.asarray(columns[name], dtype=np.float64)
            n = int(((bound < asked) if word == "fewer" else (bound > asked)).sum())
            if n:
                note(
                    f"{counted(n, 'job')} could run with {word} accelerators than n_accelerators "
                    f"({name}); policies with queues' quotas start jobs at n_accelerators only, "
                    f"without {without}"
                )

    def flavors(self, job: int) -> tuple[str, ...]:
        """Return the pools with quota that a job can use, in the job's order of preference."""
        queue, choice = self.queue_of[job], self._jobs.choice_of[job]
        if (queue, choice) not in self._flavors:
            groups = self._quotas.queues[queue].groups
            own = {flavor.flavor for group in groups for flavor in group}
            pools = [self._pools[index] for index in self._jobs.choices[choice]]
            wanted = [ALL_POOLS] if self._together else pools
            self._flavors[queue, choice] = tuple(p for p in dict.fromkeys(wanted) if p in own)
        return self._flavors[queue, choice]

    def closed(self, job: int, flavor: str) -> int:
        """Return the bit mask of the partitions that are not of a flavor."""
        if self._together:
            return 0
        if flavor not in self._closed:
            others = (index for index, pool in enumerate(self._pools) if pool != flavor)
            self._closed[flavor] = sum(1 << index for index in others)
        return self._closed[flavor]

    def name_of(self, job: int) -> str:
        """Return the name of a job's queue."""
        return self._quotas.queues[self.queue_of[job]].name

    def partitions_of(self, job: int) -> tuple[int, ...]:
        """Return the partitions on which a job can run and its queue has quota."""
        kind = self.queue_of[job], self._jobs.choice_of[job]
        if kind not in self._members:
            flavors, choice = self.flavors(job), self._jobs.choices[kind[1]]
            self._members[kind] = tuple(
                index for index in choice if self._together or self._pools[index] in flavors
            )
            if not flavors:
                self._members[kind] = ()
        return self._members[kind]

    def never_start(self) -> dict[int, str]:
        """Return the jobs that are larger than all that their queue can ever use, with reasons."""
        tree = QuotaTree(self._quotas.queues, self._quotas.cohorts)
        most: dict[tuple[int, int], float] = {}
        found = {}
        for job, n in enumerate(self._jobs.n_accelerators):
            kind = self.queue_of[job], self._jobs.choice_of[job]
            if kind not in most:
                name = self._quotas.queues[kind[0]].name
                usable = [
                    tree.potentially_available(name, (f, RESOURCE)) for f in self.flavors(job)
                ]
                most[kind] = max(usable, default=0)
            if n > most[kind]:
                found[job] = self._too_large(job, most[kind])
        return found

    def _too_large(self, job: int, most: float) -> str:
        queue = self._quotas.queues[self.queue_of[job]].name
        choice = self._jobs.choices[self._jobs.choice_of[job]]
        flavors = self.flavors(job)
        pools = listed(list(dict.fromkeys(self._pools[index] for index in choice)))
        if not flavors:
            return f"queue {queue!r} has no quota of the pools that the job can use ({pools})"
        of_pools = "" if self._together else f" of {listed(list(flavors))}"
        return (
            f"queue {queue!r} can use at most {counted(int(most), 'accelerator')}{of_pools} at "
            "once, by its quota and what it may borrow"
        )


def _text(value: Any) -> str:
    """Return a name as text; empty if it is missing."""
    return "" if pd.isna(value) else str(value)


def _lost(lost: Mapping[str, int], column: str | None, queues: list[str]) -> str:
    """Describe jobs that are in none of the queues."""
    n = counted(sum(lost.values()), "job is", "jobs are")
    add = "list the queue, or name a `default` queue"
    if column is None:
        return (
            f"queues: {n} in no queue, because the jobs have none of the columns "
            f"{', '.join(QUEUE_COLUMNS)}; name the column with option by, or a `default` queue"
        )
    names = [name for name in lost if name]
    if not names:
        return f"queues: {n} in no queue, because the column {column} is empty; {add}"
    shown = [repr(name) for name in names[:_FEW]]
    near = nearest_name(names[0], queues)
    hint = f"did you mean {near!r}? " if near else ""
    return (
        f"queues: {n} in queues that are not listed, such as {listed(shown)} (column {column}); "
        f"{hint}{add}"
    )


def _whole_numbers(columns: Mapping[str, object], name: str, n_jobs: int) -> list[int]:
    """Return a column of whole numbers, 0 where it is missing."""
    given = np.asarray(columns.get(name, np.zeros(n_jobs)), dtype=np.float64)
    values = np.nan_to_num(given)
    broken = np.flatnonzero(values != np.round(values))
    if len(broken):
        raise InputError("jobs", f"{name}: must be whole numbers, found {values[broken[0]]}")
    whole: list[int] = values.astype(np.int64).tolist()
    return whole
