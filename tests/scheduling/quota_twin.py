"""A plain twin of quotas with reclaim: two queues share one pool, and each takes its own part back.

It counts seconds. Every job that can be looked at is looked at, one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class TwinJob:
    """A job whose times are whole seconds."""

    number: int
    queue: int
    submit_s: int
    size: int
    left_s: int
    priority: int
    runs: bool = False
    aside: bool = False
    began_s: int = 0
    end_s: int | None = None


class QuotaTwin:
    """Two queues with what they own, and the most that each may borrow."""

    def __init__(
        self, own: tuple[int, int], borrow: tuple[int, int], strict: bool, jobs: list[TwinJob]
    ) -> None:
        self.own, self.borrow, self.strict, self.jobs, self.now = own, borrow, strict, jobs, 0

    def ends(self) -> list[int | None]:
        """Run all jobs; return when each ends."""
        while any(job.end_s is None for job in self.jobs):
            changed = any(job.submit_s == self.now for job in self.jobs)
            for job in self.jobs:
                if job.runs and not job.left_s:
                    job.runs, job.end_s, changed = False, self.now, True
                    self.look_again()
            while changed and self.settle():
                self.look_again()
            for job in self.jobs:
                job.left_s -= job.runs
            self.now += 1
        return [job.end_s for job in self.jobs]

    def look_again(self) -> None:
        for job in self.jobs:
            job.aside = False

    def settle(self) -> bool:
        """Repeat cycles until nothing changes; return whether a job was stopped."""
        stopped = False
        while True:
            heads = [head for queue in (0, 1) if (head := self.head(queue)) is not None]
            heads.sort(key=lambda j: (self.borrows(j), -j.priority, j.submit_s, j.queue))
            plans = [(job, self.victims(job)) for job in heads]
            changed, used = False, [self.used(0), self.used(1)]
            for job, victims in plans:
                if victims is None:
                    job.aside = not self.strict
                    changed |= job.aside
                    continue
                after = list(used)
                for victim in victims:
                    after[victim.queue] -= victim.size
                if not self.fits(job, after):
                    continue  # the other job of this cycle took the room
                used, changed = after, True
                used[job.queue] += job.size
                if victims:
                    stopped = True
                    for victim in victims:
                        victim.runs = False
                else:
                    job.runs, job.began_s = True, self.now
            if not changed:
                return stopped

    def head(self, queue: int) -> TwinJob | None:
        waiting = [
            job
            for job in self.jobs
            if job.queue == queue and job.submit_s <= self.now and job.end_s is None
            if not job.runs and not job.aside
        ]
        return min(waiting, key=lambda job: (-job.priority, job.number), default=None)

    def used(self, queue: int) -> int:
        return sum(job.size for job in self.jobs if job.runs and job.queue == queue)

    def borrows(self, job: TwinJob) -> bool:
        return self.used(job.queue) + job.size > self.own[job.queue]

    def fits(self, job: TwinJob, used: list[int]) -> bool:
        most = self.own[job.queue] + self.borrow[job.queue]
        return used[job.queue] + job.size <= most and sum(used) + job.size <= sum(self.own)

    def victims(self, job: TwinJob) -> list[TwinJob] | None:
        """Return the jobs to stop for a job; None if it has to wait."""
        used, other = [self.used(0), self.used(1)], 1 - job.queue
        if self.fits(job, used):
            return []
        if self.borrows(job):
            return None
        running = [each for each in self.jobs if each.runs and each.queue == other]
        running.sort(key=lambda each: (each.priority, -each.began_s, -each.number))
        taken: list[TwinJob] = []
        while not self.fits(job, used):
            taken.append(running.pop(0))
            used[other] -= taken[-1].size
        for each in taken[-2::-1]:
            used[other] += each.size
            if self.fits(job, used):
                taken.remove(each)
            else:
                used[other] -= each.size
        return taken
