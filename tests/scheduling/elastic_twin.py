"""A plain twin of elastic jobs: it counts seconds, on one pool, and divides it among the jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass
class TwinJob:
    """A job whose times are whole seconds; it runs `run_s` on `asked` accelerators."""

    submit_s: int
    least: int
    asked: int
    most: int
    run_s: int
    serial: Fraction
    size: int = 0
    started: bool = False
    restart_left_s: int = 0
    done: Fraction = Fraction(0)
    end_s: Fraction | None = None

    def pace(self) -> Fraction:
        """Return the share of the job that a second does."""

        def speed(n: int) -> Fraction:
            return 1 / (self.serial + (1 - self.serial) / n)

        return speed(self.size) / speed(self.asked) / self.run_s


def shared_out(ranges: Sequence[tuple[int, int]], accelerators: int) -> list[int]:
    """Return the size of each job: an equal share within its range, in order, what is left."""
    sizes, left = [], accelerators
    for place, (least, most) in enumerate(ranges):
        size = max(least, min(most, left // (len(ranges) - place)))
        size = size if size <= left else 0
        sizes.append(size)
        left -= size
    return sizes


def equal_shares(
    jobs: list[TwinJob], accelerators: int, *, round_s: int, restart_s: int
) -> list[Fraction]:
    """Return when each job ends if the accelerators are divided again in every round.

    Accelerators that become free within a round are used from the next one on.
    """
    now = 0
    while any(job.end_s is None for job in jobs):
        if now % round_s == 0:
            here = [job for job in jobs if job.submit_s <= now and job.end_s is None]
            sizes = shared_out([(job.least, job.most) for job in here], accelerators)
            for job, size in zip(here, sizes, strict=True):
                if size != job.size:
                    if size:
                        job.restart_left_s = restart_s if job.started else 0
                        job.started = True
                    job.size = size
        for job in jobs:
            if job.end_s is not None or not job.size:
                continue
            if job.restart_left_s:
                job.restart_left_s -= 1
                continue
            if job.done + job.pace() >= 1:
                job.end_s = now + (1 - job.done) / job.pace()
            job.done += job.pace()
        now += 1
    return [job.end_s or Fraction(0) for job in jobs]
