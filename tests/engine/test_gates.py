"""Limits that hold jobs outside their queues, against a search over all held jobs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clustersim.engine.gates import Gates, Limits

JOBS = 12


class PlainGates:
    """At each end, all held jobs are tried in order of submission."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.taken = [0.0] * len(limits.groups)
        self.ended: set[int] = set()
        self.held: set[int] = set()

    def fits(self, job: int) -> bool:
        return self.limits.after.get(job, frozenset()) <= self.ended and all(
            self.taken[group] + part <= self.limits.groups[group][1]
            for group, part in self.limits.of_job.get(job, ())
        )

    def take(self, job: int, sign: float) -> None:
        for group, part in self.limits.of_job.get(job, ()):
            self.taken[group] += sign * part

    def admits(self, job: int) -> bool:
        if not self.fits(job):
            self.held.add(job)
            return False
        self.take(job, 1.0)
        return True

    def end(self, job: int) -> list[int]:
        self.take(job, -1.0)
        self.ended.add(job)
        free = []
        for other in sorted(self.held):
            if self.fits(other):
                self.take(other, 1.0)
                self.held.remove(other)
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
