"""The yardstick: first come, first served in bare SimPy, one process per job, no simulator."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from typing import Any

import simpy

__all__ = ["bare_fcfs"]


def bare_fcfs(
    submit_s: Sequence[float], n: Sequence[int], run_s: Sequence[float], accelerators: int
) -> list[float]:
    """Return the start time of each job on a pool of accelerators."""
    env = simpy.Environment()
    waiting: deque[tuple[int, simpy.Event]] = deque()
    start_s = [0.0] * len(submit_s)
    free = accelerators

    def start_who_fits() -> None:
        nonlocal free
        while waiting and n[waiting[0][0]] <= free:
            job, may_start = waiting.popleft()
            free -= n[job]
            may_start.succeed()

    def job_process(job: int) -> Generator[simpy.Event, Any, None]:
        nonlocal free
        may_start = env.event()
        waiting.append((job, may_start))
        start_who_fits()
        yield may_start
        start_s[job] = env.now
        yield env.timeout(run_s[job])
        free += n[job]
        start_who_fits()

    def arrivals() -> Generator[simpy.Event, Any, None]:
        for job, submit in enumerate(submit_s):
            if submit > env.now:
                yield env.timeout(submit - env.now)
            env.process(job_process(job))

    env.process(arrivals())
    env.run()
    return start_s
