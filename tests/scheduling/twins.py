"""Plain twins of the scheduling policies: lists, loops and the definitions, nothing else.

Written from the definitions alone, independently of the package, which they do not
import.  A job is (submit, n, run, estimate).  Every twin gives the start of each job.
At one instant: all completions, all submissions, one pass; a job of no duration ends
in a second round of the same instant.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import NamedTuple

INFINITY = float("inf")


class Job(NamedTuple):
    """What a twin knows of a job; times in seconds."""

    submit: float
    n: int
    run: float
    estimate: float


# --- The loop over instants ---------------------------------------------------------


def run_batches(jobs: list[Job], scheduler: Scheduler) -> list[float | None]:
    """Drive a scheduler through the events of a log, in batch order."""
    start: list[float | None] = [None] * len(jobs)
    running: list[int] = []
    to_come = list(range(len(jobs)))
    while to_come or running:
        ends = {j: start[j] + jobs[j].run for j in running}
        now = min([*ends.values(), *(jobs[j].submit for j in to_come[:1])])
        ended = [j for j in running if ends[j] == now]
        running = [j for j in running if ends[j] != now]
        submitted = []
        while to_come and jobs[to_come[0]].submit == now:
            submitted.append(to_come.pop(0))
        for job in scheduler.one_pass(now, ended, submitted):
            start[job] = now
            running.append(job)
    return start


class Scheduler:
    """Has ``one_pass(now, ended, submitted)``, which returns the jobs that start."""


# --- Counting accelerators ----------------------------------------------------------


class Counting(Scheduler):
    """Head of the queue first, on a pool that counts accelerators."""

    def __init__(self, jobs: list[Job], size: int, policy: str) -> None:
        self.jobs, self.free, self.policy = jobs, size, policy
        self.queue: list[int] = []
        self.expected: dict[int, float] = {}  # running job -> estimated end

    def one_pass(self, now: float, ended: list[int], submitted: list[int]) -> list[int]:
        jobs = self.jobs
        for j in ended:
            self.free += jobs[j].n
            del self.expected[j]
        self.queue += submitted
        if self.policy == "sjf":
            self.queue.sort(key=lambda j: jobs[j].estimate)
        started: list[int] = []
        while self.queue and jobs[self.queue[0]].n <= self.free:
            self.begin(self.queue[0], now, started)
        if self.queue and self.policy.startswith("easy"):
            self.backfill(now, started)
        return started

    def begin(self, j: int, now: float, started: list[int]) -> None:
        self.queue.remove(j)
        self.free -= self.jobs[j].n
        self.expected[j] = now + self.jobs[j].estimate
        started.append(j)

    def backfill(self, now: float, started: list[int]) -> None:
        jobs, head = self.jobs, self.queue[0]

        def free_at(time: float) -> int:
            return self.free + sum(jobs[j].n for j, end in self.expected.items() if end <= time)

        shadow = min(end for end in self.expected.values() if free_at(end) >= jobs[head].n)
        extra = free_at(shadow) - jobs[head].n
        candidates = self.queue[1:]
        if self.policy == "easy_sjbf":
            candidates = sorted(candidates, key=lambda j: jobs[j].estimate)
        for j in candidates:
            if jobs[j].n > self.free:
                continue
            if now + jobs[j].estimate <= shadow:
                self.begin(j, now, started)
            elif jobs[j].n <= extra:
                extra -= jobs[j].n
                self.begin(j, now, started)


# --- Conservative backfilling -------------------------------------------------------


class Plan:
    """Free accelerators from each of some times on, as far as is reserved."""

    def __init__(self, size: int) -> None:
        self.times: list[float] = [-INFINITY]
        self.free: list[int] = [size]

    def cut(self, time: float) -> int:
        """Have a step begin at `time`; return its index."""
        index = bisect_left(self.times, time)
        if index < len(self.times) and self.times[index] == time:
            return index
        self.times.insert(index, time)
        self.free.insert(index, self.free[index - 1])
        return index

    def add(self, begin: float, end: float, n: int) -> None:
        """Have `n` more (or fewer) accelerators free from `begin` to `end`."""
        if begin >= end:
            return
        first, last = self.cut(begin), self.cut(end)
        for index in range(first, last):
            self.free[index] += n

    def earliest(self, now: float, n: int, length: float) -> float:
        """Find the first time from `now` on at which `n` stay free for `length`."""
        times, free = self.times, self.free
        start = now
        for index in range(len(times)):
            next_time = times[index + 1] if index + 1 < len(times) else INFINITY
            if next_time <= start:
                continue
            if times[index] > start and times[index] >= start + length:
                return start
            if free[index] < n:
                start = next_time
        return start

    def forget_before(self, now: float) -> None:
        """Drop what is past."""
        while len(self.times) > 1 and self.times[1] <= now:
            del self.times[0], self.free[0]


class Conservative(Scheduler):
    """Every job has a reservation; a completion lets each waiting job improve its own."""

    def __init__(self, jobs: list[Job], size: int) -> None:
        self.jobs, self.plan, self.free = jobs, Plan(size), size
        self.waiting: list[int] = []
        self.reserved: dict[int, float] = {}

    def one_pass(self, now: float, ended: list[int], submitted: list[int]) -> list[int]:
        jobs, plan = self.jobs, self.plan
        plan.forget_before(now)
        for j in ended:
            self.free += jobs[j].n
            plan.add(now, self.reserved[j] + jobs[j].estimate, jobs[j].n)
        if ended:
            for j in self.waiting:
                self.give_back(j)
                self.reserve(j, now)
        for j in submitted:
            self.waiting.append(j)
            self.reserve(j, now)
        started = []
        for j in list(self.waiting):
            if self.reserved[j] <= now and jobs[j].n <= self.free:
                self.waiting.remove(j)
                self.free -= jobs[j].n
                started.append(j)
        return started

    def reserve(self, j: int, now: float) -> None:
        job = self.jobs[j]
        self.reserved[j] = begin = self.plan.earliest(now, job.n, job.estimate)
        self.plan.add(begin, begin + job.estimate, -job.n)

    def give_back(self, j: int) -> None:
        job = self.jobs[j]
        self.plan.add(self.reserved[j], self.reserved[j] + job.estimate, job.n)


def pool_starts(jobs: list[Job], size: int, policy: str) -> list[float | None]:
    """Start of each job on `size` accelerators that are only counted."""
    if policy == "conservative":
        return run_batches(jobs, Conservative(jobs, size))
    return run_batches(jobs, Counting(jobs, size, policy))


# --- Nodes --------------------------------------------------------------------------

Rule = Callable[[int, list[int], int], "list[tuple[int, int]] | None"]


def consolidate(n: int, free: list[int], chips: int) -> list[tuple[int, int]] | None:
    """On one node, the fullest that fits; else whole nodes, the rest on the next freest."""
    if n <= chips:
        fitting = [(free[node], node) for node in range(len(free)) if free[node] >= n]
        return [(min(fitting)[1], n)] if fitting else None
    by_free = sorted(range(len(free)), key=lambda node: (-free[node], node))
    chosen = []
    for node in by_free:
        part = min(n, chips)
        if part == 0 or free[node] < part:
            break
        chosen.append((node, part))
        n -= part
    return chosen if n == 0 else None


def spread(n: int, free: list[int], chips: int) -> list[tuple[int, int]] | None:
    """Chip after chip on the node that has most left."""
    left = list(free)
    for _ in range(n):
        node = left.index(max(left))
        if left[node] == 0:
            return None
        left[node] -= 1
    return [(k, free[k] - left[k]) for k in range(len(free)) if left[k] < free[k]]


class OnNodes(Scheduler):
    """Head of the queue first, on nodes; `easy` reserves nodes for the head."""

    def __init__(self, jobs: list[Job], n_nodes: int, chips: int, policy: str, rule: Rule) -> None:
        self.jobs, self.chips, self.policy, self.rule = jobs, chips, policy, rule
        self.free = [chips] * n_nodes
        self.queue: list[int] = []
        self.nodes_of: dict[int, list[tuple[int, int]]] = {}  # every job that ever started
        self.expected: dict[int, float] = {}

    def one_pass(self, now: float, ended: list[int], submitted: list[int]) -> list[int]:
        for j in ended:
            del self.expected[j]
            for node, part in self.nodes_of[j]:
                self.free[node] += part
        self.queue += submitted
        if self.policy == "sjf":
            self.queue.sort(key=lambda j: self.jobs[j].estimate)
        started: list[int] = []
        while self.queue:
            nodes = self.rule(self.jobs[self.queue[0]].n, self.free, self.chips)
            if nodes is None:
                break
            self.begin(self.queue[0], nodes, now, started)
        if self.queue and self.policy.startswith("easy"):
            self.backfill(now, started)
        return started

    def begin(self, j: int, nodes: list[tuple[int, int]], now: float, started: list[int]) -> None:
        self.queue.remove(j)
        for node, part in nodes:
            self.free[node] -= part
        self.nodes_of[j] = nodes
        self.expected[j] = now + self.jobs[j].estimate
        started.append(j)

    def free_at(self, time: float) -> list[int]:
        free = list(self.free)
        for j, end in self.expected.items():
            if end <= time:
                for node, part in self.nodes_of[j]:
                    free[node] += part
        return free

    def backfill(self, now: float, started: list[int]) -> None:
        jobs, rule, chips = self.jobs, self.rule, self.chips
        n = jobs[self.queue[0]].n
        ends = sorted(set(self.expected.values()))
        shadow = next(end for end in ends if rule(n, self.free_at(end), chips) is not None)
        beside = self.free_at(shadow)
        for node, part in rule(n, beside, chips) or ():
            beside[node] -= part
        candidates = self.queue[1:]
        if self.policy == "easy_sjbf":
            candidates = sorted(candidates, key=lambda j: jobs[j].estimate)
        for j in candidates:
            if now + jobs[j].estimate <= shadow:
                nodes = rule(jobs[j].n, self.free, chips)
                if nodes is not None:
                    self.begin(j, nodes, now, started)
                continue
            both = [min(a, b) for a, b in zip(self.free, beside, strict=True)]
            nodes = rule(jobs[j].n, both, chips)
            if nodes is not None:
                for node, part in nodes:
                    beside[node] -= part
                self.begin(j, nodes, now, started)


def node_starts(
    jobs: list[Job], n_nodes: int, chips: int, policy: str, rule: Rule = consolidate
) -> tuple[list[float | None], dict[int, list[tuple[int, int]]]]:
    """Start and nodes of each job on nodes of `chips` accelerators."""
    scheduler = OnNodes(jobs, n_nodes, chips, policy, rule)
    return run_batches(jobs, scheduler), scheduler.nodes_of


def virtual_cluster_starts(
    jobs: list[Job],
    names: list[str],
    shares: dict[str, int],
    n_nodes: int,
    chips: int,
    policy: str,
    rule: Rule = consolidate,
) -> tuple[list[float | None], dict[int, list[tuple[int, int]]]]:
    """As :func:`node_starts`, each virtual cluster a queue and a range of nodes of its own.

    The shares own consecutive nodes in their order; the nodes left over serve the jobs
    whose virtual cluster is "".
    """
    start: list[float | None] = [None] * len(jobs)
    nodes_of = {}
    first = 0
    for name, share in [*shares.items(), ("", n_nodes - sum(shares.values()))]:
        mine = [j for j in range(len(jobs)) if names[j] == name]
        starts, nodes = node_starts([jobs[j] for j in mine], share, chips, policy, rule)
        for k, j in enumerate(mine):
            start[j] = starts[k]
            if k in nodes:
                nodes_of[j] = [(first + node, part) for node, part in nodes[k]]
        first += share
    return start, nodes_of


# --- The order of events of pyss ----------------------------------------------------


def pyss_conservative(jobs: list[Job], size: int) -> list[float]:
    """Conservative backfilling in pyss' order of events.

    At one instant submissions come one at a time, then completions, the waiting jobs
    placed again after each but those whose reservation has come; then these start.
    """
    scheduler = Conservative(jobs, size)
    reserved, plan = scheduler.reserved, scheduler.plan
    running: list[int] = []
    to_come = list(range(len(jobs)))[::-1]
    while to_come or running or scheduler.waiting:
        times = [reserved[j] + jobs[j].run for j in running]
        times += [reserved[j] for j in scheduler.waiting]
        times += [jobs[j].submit for j in to_come[-1:]]
        now = min(times)
        plan.forget_before(now)
        while to_come and jobs[to_come[-1]].submit == now:
            j = to_come.pop()
            scheduler.reserve(j, now)
            scheduler.waiting.append(j)
        for ended in [j for j in running if reserved[j] + jobs[j].run == now]:
            running.remove(ended)
            plan.add(now, reserved[ended] + jobs[ended].estimate, jobs[ended].n)
            for j in scheduler.waiting:
                if reserved[j] > now:
                    scheduler.give_back(j)
                    scheduler.reserve(j, now)
        running += [j for j in scheduler.waiting if reserved[j] <= now]
        scheduler.waiting = [j for j in scheduler.waiting if reserved[j] > now]
    return [reserved[j] for j in range(len(jobs))]


def pyss_easy(jobs: list[Job], size: int, policy: str) -> list[float | None]:
    """EASY in pyss' order: submissions, then completions, a pass after each single one.

    A processor counts as free from its job's estimated end on, even where the
    completion at that instant has not been handled yet.
    """
    scheduler = Counting(jobs, size, policy)
    start: list[float | None] = [None] * len(jobs)
    running: list[int] = []
    to_come = list(range(len(jobs)))[::-1]

    def one_pass(now: float, ended: list[int], submitted: list[int]) -> None:
        for j, end in list(scheduler.expected.items()):
            if j in ended or end <= now:
                scheduler.free += jobs[j].n
                del scheduler.expected[j]
        for j in scheduler.one_pass(now, [], submitted):
            start[j] = now
            running.append(j)

    while to_come or running:
        times = [start[j] + jobs[j].run for j in running]
        now = min([*times, *(jobs[j].submit for j in to_come[-1:])])
        while to_come and jobs[to_come[-1]].submit == now:
            one_pass(now, [], [to_come.pop()])
        for j in [j for j in running if start[j] + jobs[j].run == now]:
            running.remove(j)
            one_pass(now, [j], [])
    return start
