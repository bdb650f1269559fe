"""A plain event loop with the semantics of Gavel's simulator, around the programs and the rounds.

No placement, no network, no restart cost, free migration. A round runs micro-tasks: at most the
steps that a job can do in the length of a round. The clock jumps to the end of the last
micro-task, or to the next arrival if none runs. A micro-task with fewer steps than accelerators
counts as failed; the fifth in a row drops the job.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from clustersim.scheduling.programs.problem import Allocation, AllocationProblem
from clustersim.scheduling.programs.rounds import RoundState

MOST_FAILURES = 5
SHUFFLE_SEED = 5
FILL_ORDER = ("v100", "p100", "k80")
PRICES = {"v100": 0.74, "p100": 0.43, "k80": 0.135}

Program = Callable[[AllocationProblem], Allocation]


@dataclass
class Job:
    """A job of a trace; rates in steps per second by pool."""

    job: int
    arrival_s: float
    gang: int
    rates: list[float]
    left: int
    failures: int = 0
    isolated_s: float = 0.0
    end_s: float | None = None
    seen_left: int | None = field(default=None, repr=False)
    isolated_rate: float = 0.0


@dataclass(frozen=True)
class Trace:
    """A folder ``gavel_*``: jobs, accelerators by pool, and the lengths of the rounds."""

    jobs: list[Job]
    pools: list[str]
    accelerators: list[int]
    round_s: float
    reset_interval_s: float


def read_trace(folder: Path) -> Trace:
    """Read the jobs and the cluster of a folder."""
    cluster = json.loads((folder / "cluster.json").read_text(encoding="utf-8"))
    pools = sorted(name for name, n in cluster["gpus"].items() if n)
    with (folder / "jobs.csv").open(encoding="utf-8", newline="") as file:
        jobs = [
            Job(
                job=int(row["job_id"]),
                arrival_s=float(row["arrival_s"]),
                gang=int(row["gpus"]),
                rates=[float(row[f"{pool}_steps_per_s"]) for pool in pools],
                left=int(row["total_steps"]),
            )
            for row in csv.DictReader(file)
        ]
    return Trace(
        jobs,
        pools,
        [cluster["gpus"][pool] for pool in pools],
        cluster["round_s"],
        cluster["min_reset_interval_s"],
    )


def expected_jct(path: Path) -> dict[int, float | None]:
    """Read an ``expected_*.csv``: job to job completion time, None where it was dropped."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {int(row["job_id"]): float(row["jct_s"]) if row["jct_s"] else None for row in rows}


class Replay:
    """One run of a policy over a trace.

    Parameters
    ----------
    trace : Trace
        The jobs; they are used up.
    program : callable
        From a problem with the true rates to fractions.
    shuffled : bool
        Whether the pools are filled in a new random order each round.
    zero_runs : bool
        Whether jobs with a fraction of 0 run where there is room.
    """

    def __init__(
        self, trace: Trace, program: Program, *, shuffled: bool, zero_runs: bool = True
    ) -> None:
        self.trace = trace
        self.program = program
        self.shuffled = shuffled
        self.random = random.Random(SHUFFLE_SEED)
        self.state = RoundState(
            trace.accelerators,
            round_s=trace.round_s,
            reset_interval_s=trace.reset_interval_s,
            zero_runs=zero_runs,
        )
        self.active: dict[int, Job] = {}
        self.programs = 0
        self.resets = 0
        self.started = 0.0

    def run(self) -> dict[int, float | None]:
        """Return the job completion times; None for a dropped job."""
        to_come = sorted(self.trace.jobs, key=lambda job: (job.arrival_s, job.job))[::-1]
        running: list[tuple[Job, int, int, float]] = []
        now = 0.0
        while to_come or self.active:
            if running:
                now = max(end for *_, end in running)
            elif to_come:
                now = max(now, to_come[-1].arrival_s)
            else:
                self.state.last_reset_s = None
            for task in running:
                self.end_task(*task, now)
            while to_come and to_come[-1].arrival_s <= now:
                job = to_come.pop()
                self.active[job.job] = job
                self.state.add(job.job, job.gang, [rate > 0 for rate in job.rates])
            running = self.start_round(now)
            if not running and not to_come and not self.state.changed:
                break
        return {
            job.job: None if job.end_s is None else job.end_s - job.arrival_s
            for job in self.trace.jobs
        }

    def start_round(self, now: float) -> list[tuple[Job, int, int, float]]:
        """Return the micro-tasks that start: job, pool, steps, end."""
        if self.active and self.state.due(now):
            found = self.program(self.problem(now))
            self.programs += found.programs
            self.resets += 1
            self.state.reset(now, found.fractions, found.losses)
            if now == 0:  # there, a last reset at 0 means that there was none
                self.state.last_reset_s = None
        order = [name for name in FILL_ORDER if name in self.trace.pools]
        if self.shuffled:
            self.random.shuffle(order)
        tasks = []
        for turn in self.state.decide([self.trace.pools.index(name) for name in order]):
            job = self.active[turn.job]
            rate = job.rates[turn.pool]
            steps = min(int(rate * self.trace.round_s), job.left)
            tasks.append((job, turn.pool, steps, now + steps / rate))
        self.started = now
        return tasks

    def end_task(self, job: Job, pool: int, steps: int, end: float, now: float) -> None:
        """Book a micro-task."""
        self.state.record(job.job, pool, end - self.started)
        if steps // job.gang == 0:
            job.failures += 1
            self.state.changed = True
            if job.failures >= MOST_FAILURES:
                self.leave(job)
            return
        job.failures = 0
        job.left -= steps
        if job.left <= 0:
            job.end_s = end
            self.leave(job)

    def leave(self, job: Job) -> None:
        """Take a job out."""
        del self.active[job.job]
        self.state.remove(job.job)

    def problem(self, now: float) -> AllocationProblem:
        """Return the program's input; each job's isolated time is brought up to date."""
        jobs = [self.active[job] for job in self.state.jobs]
        for job in jobs:
            if job.seen_left is not None:
                job.isolated_s += (job.seen_left - job.left) / job.isolated_rate
        problem = AllocationProblem(
            rates=np.array([job.rates for job in jobs]),
            gangs=np.array([job.gang for job in jobs]),
            accelerators=np.array(self.trace.accelerators),
            remaining_steps=np.array([job.left for job in jobs]),
            since_arrival_s=np.array([now - job.arrival_s for job in jobs]),
            isolated_so_far_s=np.array([job.isolated_s for job in jobs]),
            prices=np.array([PRICES[pool] for pool in self.trace.pools]),
        )
        for job, rate in zip(jobs, problem.isolated_rates.tolist(), strict=True):
            job.seen_left, job.isolated_rate = job.left, rate
        return problem
