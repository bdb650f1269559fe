"""Least attained service first, in discrete levels (Tiresias)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

from clustersim.scheduling.decisions import Decision, Wake
from clustersim.scheduling.policies.preemptive import Preemptive
from clustersim.scheduling.queue import Queue
from clustersim.scheduling.view import View

__all__ = ["Las"]

_ROUNDING = 1e-12
"""Tolerance as a share of a threshold, because a sum of run times is inexact."""


class Las(Preemptive):
    """Discretised least attained service: jobs that have run little preempt those that ran much.

    A job begins at the first level and falls to the next one when what it has attained reaches the
    level's threshold, one level in a pass. In every pass, the levels are walked in order, each in
    order of arrival there; a job runs if enough accelerators are left, and is skipped if not. Jobs
    of a level that wait are then put behind those of the level that run. A pass takes place when a
    running job reaches a threshold.

    Gu et al., "Tiresias: A GPU cluster manager for distributed deep learning", NSDI 2019.

    Attributes
    ----------
    attained : {"accelerator_time", "time"}
        What a job attains: run time x accelerators, or run time.
    exact_crossings : bool
        Whether a pass takes place exactly when a running job reaches a threshold of accelerator
        time. By default it is placed as in the authors' simulator, whole seconds after the pass
        before: (threshold - run time of the job) / accelerators, rounded down. This is later than
        the crossing for a job that has run before, which then falls at the next event.
    thresholds : tuple of float
        Thresholds of the levels, ascending, in (accelerator-)seconds; there is one level more. The
        default is that of the authors' simulator.
    """

    attained: Literal["accelerator_time", "time"] = "accelerator_time"
    thresholds: tuple[float, ...] = (3250.0, 7200.0)
    exact_crossings: bool = False

    @classmethod
    def check_options(cls) -> str:
        limits = cls.thresholds
        rising = all(low < high for low, high in pairwise(limits))
        if not rising or not all(0 < limit < math.inf for limit in limits):
            return f"option thresholds: must be ascending numbers above 0, found {list(limits)}"
        return super().check_options()

    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self._levels: list[list[int]] = [[] for _ in range(len(self.thresholds) + 1)]

    def arrive(self, job: int) -> None:
        self._levels[0].append(job)

    def decide(self, view: View) -> Iterator[Decision]:
        running = self.queue.running
        levels = [
            [job for job in level if job in self.waiting or job in running]
            for level in self._levels
        ]
        levels = self._fallen(levels, view)
        leaving = self.queue.leaving
        order = [job for level in levels for job in level if job not in leaving]
        yield from self.run_in_order(order, view)
        self._levels = [sorted(level, key=lambda job: job not in running) for level in levels]
        soonest_s = min(self._times_to_fall(view), default=math.inf)
        if soonest_s < math.inf:
            yield Wake(max(view.now + soonest_s, math.nextafter(view.now, math.inf)))

    def _fallen(self, levels: list[list[int]], view: View) -> list[list[int]]:
        """Return the levels after jobs that reached their threshold have fallen by one."""
        level_of = {job: at for at, level in enumerate(levels[:-1]) for job in level}
        falling = [
            job
            for job in sorted(self.queue.running)
            if job in level_of
            and self._attained(job, view.now) >= self.thresholds[level_of[job]] * (1 - _ROUNDING)
        ]
        gone = set(falling)
        after = [[job for job in level if job not in gone] for level in levels]
        for job in falling:
            after[level_of[job] + 1].append(job)
        return after

    def _times_to_fall(self, view: View) -> Iterator[float]:
        """Yield the time until the pass for the next threshold of each running job, seconds."""
        running = self.queue.running
        for level, limit in zip(self._levels, self.thresholds, strict=False):
            for job in level:
                if job not in running:
                    continue
                attained = self._attained(job, view.now)
                if self.attained == "time":
                    yield limit - attained
                    continue
                n = self.queue.jobs.n_accelerators[job]
                if self.exact_crossings:
                    yield (limit - attained) / n
                else:
                    yield max(1.0, (limit - attained / n) // n)

    def _attained(self, job: int, now: float) -> float:
        """Return what a job has attained up to now."""
        at = self.queue.running.get(job)
        time_s = self.queue.attained_s.get(job, 0.0) + (0.0 if at is None else now - at.start_s)
        if self.attained == "accelerator_time":
            return time_s * self.queue.jobs.n_accelerators[job]
        return time_s
