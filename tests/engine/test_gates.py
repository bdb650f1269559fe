"""Limits that hold jobs outside their queues, against a search over all held jobs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clustersim.engine.budgets import Budget
from clustersim.engine.gates import Gates
from clustersim.engine.limits import Count, Limits, Way
from clustersim.scheduling import JobColumns

JOBS = 12


class PlainGates:
    """At each end, all held jobs are tried in order of submission."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.taken = [0.0] * len(limits.groups)
        self.spent: dict[str, float] = {}
        self.ended: set[int] = set()
        self.held: set[int] = set()

    def fits(self, job: int) -> bool:
        line = self.limits.line.get(job)
        ahead = (o for o in self.held if line and self.limits.line.get(o) == line)
        return (
            self.limits.after.get(job, frozenset()) <= self.ended
            and not any(self.place(other) < self.place(job) for other in ahead)
            and all(
                self.taken[group] + part <= self.limits.groups[group][1]
                for group, part in self.limits.of_job.get(job, ())
            )
            and all(
                self.spent.get(b.name, 0.0) + self.need(job) <= b.most
                for b in self.limits.budgets.get(job, ())
            )
        )

    def place(self, job: int) -> tuple[float, int]:
        return (self.limits.order[job] if self.limits.order else 0.0), job

    def need(self, job: int) -> float:
        return float((1 + job % 3) * self.limits.time_s[job])

    def take(self, job: int, sign: float) -> None:
        for group, part in self.limits.of_job.get(job, ()):
            self.taken[group] += sign * part

    def admits(self, job: int) -> bool:
        if not self.fits(job):
            self.held.add(job)
            return False
        self.enter(job)
        return True

    def enter(self, job: int) -> None:
        self.take(job, 1.0)
        for b in self.limits.budgets.get(job, ()):
            self.spent[b.name] = self.spent.get(b.name, 0.0) + self.need(job)

    def end(self, job: int, used: float = 0.0) -> list[int]:
        self.take(job, -1.0)
        for b in self.limits.budgets.get(job, ()):
            self.spent[b.name] += used - self.need(job)
        self.ended.add(job)
        free = []
        for other in sorted(self.held, key=self.place):
            if self.fits(other):
                self.held.remove(other)
                self.enter(other)
                free.append(other)
        return free


@st.composite
def limits(draw: st.DrawFn) -> Limits:
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    part = st.dictionaries(st.integers(0, len(sizes) - 1), st.integers(1, 2), max_size=3)
    before = {job: draw(st.frozensets(st.integers(0, job - 1), max_size=2)) for job in (5, 7, 9)}
    return Limits(
        [(str(at), float(size)) for at, size in enumerate(sizes)],
        {job: [(g, float(n)) for g, n in draw(part).items()] for job in range(JOBS)},
        {job: others for job, others in before.items() if others},
    )


@given(limits(), st.lists(st.integers(0, JOBS), max_size=40))
def test_an_end_lets_in_the_jobs_that_a_search_over_all_would(
    limits: Limits, choices: list[int]
) -> None:
    gates, plain = Gates(limits), PlainGates(limits)
    inside = []
    for job in range(JOBS):
        admitted = gates.admits(job, 0.0)
        assert admitted == plain.admits(job)
        inside += [job] * admitted
    for choice in choices:
        if not inside:
            break
        job = inside.pop(choice % len(inside))
        free = gates.end(job, 1.0, done=True)
        assert free == plain.end(job)
        inside += free


def test_a_full_limit_does_not_hide_the_jobs_of_another() -> None:
    """Job 0 has two of limit a and one of b; job 2 then fills b, and jobs 3 and 4 fill a."""
    groups = [("a", 2.0), ("b", 2.0)]
    of_a, of_b = [(0, 1.0)], [(1, 1.0)]
    gates = Gates(Limits(groups, {0: [(0, 2.0), (1, 1.0)], 1: of_b, 2: of_b, 3: of_a, 4: of_a}))
    assert [gates.admits(job, 0.0) for job in range(5)] == [True, True, False, False, False]
    assert gates.end(0, 1.0, done=True) == [2, 3, 4]


@st.composite
def quotas(draw: st.DrawFn) -> Limits:
    """Limits of three groups, two budgets, a line of jobs, and an order of their own."""
    found = draw(limits())
    budgets = [Budget(name, float(draw(st.integers(3, 30)))) for name in ("x", "y")]
    own = st.lists(st.sampled_from(budgets), unique=True, max_size=2).map(tuple)
    return Limits(
        found.groups,
        found.of_job,
        budgets={job: draw(own) for job in range(JOBS)},
        time_s={job: float(draw(st.integers(1, 5))) for job in range(JOBS)},
        line={job: "strict" for job in range(JOBS) if draw(st.booleans())},
        order=[float(draw(st.integers(0, 3))) for _ in range(JOBS)],
    )


@given(quotas(), st.lists(st.tuples(st.integers(0, JOBS), st.integers(0, 6)), max_size=40))
def test_quotas_let_in_the_jobs_that_a_search_over_all_would(
    limits: Limits, choices: list[tuple[int, int]]
) -> None:
    sizes = [1 + job % 3 for job in range(JOBS)]
    columns = JobColumns(sizes, [[1.0] * JOBS], [(0,)], [0] * JOBS)
    gates, plain = Gates(limits, columns), PlainGates(limits)
    inside = []
    for job in range(JOBS):
        admitted = gates.admits(job, 0.0)
        assert admitted == plain.admits(job)
        inside += [job] * admitted
    now = 0.0
    for choice, runs_s in choices:
        if not inside:
            break
        job = inside.pop(choice % len(inside))
        gates.start(job, now, sizes[job], limits.time_s[job])
        now += runs_s
        gates.stop(job, now)
        free = gates.end(job, now, done=True)
        assert free == plain.end(job, float(sizes[job] * runs_s))
        inside += free
    assert set(gates.held()) == plain.held


def test_a_job_enters_in_the_first_way_with_room_and_stays_there() -> None:
    fast, slow = Count("fast", 8), Count("slow", 8)
    both = (Way(((fast, 0, 8),), 1), Way(((slow, 0, 8),), 2))
    jobs = JobColumns([8] * 3, [[1.0] * 3] * 2, [(0, 1), (0,), (1,)], [0, 0, 0])
    gates = Gates(Limits(ways=dict.fromkeys(range(3), both)), jobs)
    assert [gates.admits(job, 0.0) for job in range(3)] == [True, True, False]
    assert gates.end(1, 5.0, done=True) == [2]
    assert jobs.choice_of == [1, 2, 2]
