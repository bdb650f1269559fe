"""A plain twin of limits and budgets below first come, first served, on one pool.

It counts seconds. A job enters the queue when its user has room in the limit and its team can pay
its whole time; every held job is looked at whenever a job ends or a period begins.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class TwinJob:
    """A job whose times are whole seconds."""

    number: int
    user: str
    team: str
    submit_s: int
    size: int
    run_s: int
    state: str = "comes"
    start_s: int | None = None
    since_s: int = 0
    reserved: int = 0


@dataclass
class LimitsTwin:
    """A pool, the most accelerators of each user, and the accelerator-seconds of each team."""

    capacity: int
    most: dict[str, int]
    budget: dict[str, int]
    period_s: int | None
    jobs: list[TwinJob]
    spent: dict[str, int] = field(default_factory=dict)
    now: int = 0

    def starts(self, until_s: int) -> list[int | None]:
        """Run until a time; return when each job starts."""
        running: list[TwinJob] = []
        queue: list[TwinJob] = []
        while self.now <= until_s:
            for job in list(running):
                assert job.start_s is not None
                if self.now == job.start_s + job.run_s:
                    running.remove(job)
                    self.charge(job)
                    job.state, job.reserved = "ended", 0
                    queue += self.let_in()
            if self.period_s and self.now and self.now % self.period_s == 0:
                self.begin_period(running)
                queue += self.let_in()
            for job in self.jobs:
                if job.submit_s == self.now:
                    job.state = "held"
                    queue += self.let_in([job])
            queue.sort(key=lambda job: job.number)
            while queue and queue[0].size <= self.capacity - sum(job.size for job in running):
                job = queue.pop(0)
                job.state, job.start_s, job.since_s = "runs", self.now, self.now
                running.append(job)
            self.now += 1
        return [job.start_s for job in self.jobs]

    def charge(self, job: TwinJob) -> None:
        used = job.size * (self.now - job.since_s)
        if self.period_s and self.now % self.period_s == 0 and self.now > job.since_s:
            used = 0  # all of it was in the period that ends now
            self.spent[job.team] = 0
        self.spent[job.team] = self.spent.get(job.team, 0) + used

    def begin_period(self, running: list[TwinJob]) -> None:
        self.spent = {}
        for job in running:
            assert job.start_s is not None
            left_s = job.start_s + job.run_s - self.now
            job.reserved, job.since_s = self.need(job, left_s), self.now

    def need(self, job: TwinJob, time_s: int) -> int:
        return job.size * (min(time_s, self.period_s) if self.period_s else time_s)

    def let_in(self, jobs: list[TwinJob] | None = None) -> list[TwinJob]:
        entered = []
        for job in self.jobs if jobs is None else jobs:
            if job.state == "held" and self.fits(job):
                job.state, job.reserved = "waits", self.need(job, job.run_s)
                entered.append(job)
        return entered

    def fits(self, job: TwinJob) -> bool:
        inside = [each for each in self.jobs if each.state in ("waits", "runs")]
        held = sum(each.size for each in inside if each.user == job.user)
        if held + job.size > self.most.get(job.user, 10**9):
            return False
        if job.team not in self.budget:
            return True
        reserved = sum(each.reserved for each in inside if each.team == job.team)
        committed = self.spent.get(job.team, 0) + reserved
        return committed + self.need(job, job.run_s) <= self.budget[job.team]
