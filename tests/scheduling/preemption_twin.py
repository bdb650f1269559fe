"""A plain twin of preemption with checkpoints: it counts seconds, on one pool without nodes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class TwinJob:
    """A job whose times are whole seconds."""

    submit_s: int
    size: int
    run_s: int
    kept_s: int = 0
    runs: bool = False
    stopped: int = 0
    restart_left_s: int = 0
    stand_left_s: int = 0
    done_s: int = 0
    since_s: int = 0
    end_s: int | None = None

    @property
    def left_s(self) -> int:
        """Estimated time that is left: the rest of a restart and the work."""
        return self.restart_left_s + self.run_s - self.kept_s - self.done_s

    def start(self, restart_s: int) -> None:
        self.runs = True
        self.restart_left_s = restart_s if self.stopped else 0
        self.done_s = self.since_s = self.stand_left_s = 0

    def second(self, every_s: int, cost_s: int) -> None:
        """Run for a second: restart, stand for a checkpoint, or work."""
        if self.restart_left_s:
            self.restart_left_s -= 1
        elif self.stand_left_s:
            self.stand_left_s -= 1
            if not self.stand_left_s:
                self.kept_s += self.since_s
                self.done_s -= self.since_s
                self.since_s = 0
        else:
            self.done_s += 1
            self.since_s += 1
            if self.since_s == every_s and self.kept_s + self.done_s < self.run_s:
                self.stand_left_s = cost_s
                if not cost_s:
                    self.kept_s += self.since_s
                    self.done_s -= self.since_s
                    self.since_s = 0

    def stop(self) -> None:
        """Stop now; the work since the last checkpoint is lost."""
        self.runs, self.done_s = False, 0
        self.stopped += 1


def latest_first(
    jobs: list[TwinJob], free: int, *, every_s: int, cost_s: int, restart_s: int
) -> list[int]:
    """Return when each job ends if later ones take the place of earlier ones, as few as needed.

    A waiting job, the latest first, that does not fit stops earlier running jobs, those that began
    first in front, until it fits or none is left; then it starts if it fits.
    """
    began: list[TwinJob] = []
    now = 0
    while any(job.end_s is None for job in jobs):
        changed = False
        for job in [job for job in began if job.runs]:
            if job.kept_s + job.done_s >= job.run_s and not job.restart_left_s:
                job.end_s, job.runs, changed = now, False, True
                began.remove(job)
                free += job.size
        changed |= any(job.submit_s == now for job in jobs)
        if changed:
            waiting = [j for j in jobs if j.submit_s <= now and not j.runs and j.end_s is None]
            for job in reversed(waiting):
                for other in [each for each in began if each.runs]:
                    if job.size > free and jobs.index(other) < jobs.index(job):
                        other.stop()
                        began.remove(other)
                        free += other.size
                if job.size <= free:
                    job.start(restart_s)
                    began.append(job)
                    free -= job.size
        for job in jobs:
            if job.runs:
                job.second(every_s, cost_s)
        now += 1
    return [job.end_s or 0 for job in jobs]
