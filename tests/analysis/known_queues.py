"""Queues with several servers, simulated side by side, and what is known of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import special

from clustersim.analysis.samples import Sample
from clustersim.analysis.stationary_work import Offer, stationary_work
from clustersim.analysis.unfinished_work import (
    SPEEDS,
    SQUARE,
    stationary_name,
    unfinished_work,
    work_name,
)
from clustersim.workload.arrival_gaps import Poisson

__all__ = ["Queue", "exponential", "hyperexponential", "lognormal"]

Draw = Callable[[np.ndarray, np.ndarray], np.ndarray]
PARTS = (np.arange(4096) + 0.5) / 4096
UPPER = 1 - (1 - PARTS) ** 4
WEIGHT = (1 - PARTS) ** 3 / ((1 - PARTS) ** 3).sum()


@dataclass(frozen=True, eq=False)
class Service:
    """A service time with mean 1: quantile function of two uniform numbers, and values.

    A run needs `enough` jobs for the mean square of the service times to be near its expectation.
    """

    name: str
    square: float
    draw: Draw
    values: np.ndarray
    share: np.ndarray
    enough: int = 2000


def exponential() -> Service:
    values = -np.log1p(-UPPER)
    return Service("M", 1.0, lambda u, _v: -np.log1p(-u), values / (WEIGHT @ values), WEIGHT)


def lognormal(square: float) -> Service:
    sigma = math.sqrt(math.log1p(square))

    def draw(u: np.ndarray, _v: np.ndarray) -> np.ndarray:
        return np.exp(sigma * special.ndtri(u) - sigma**2 / 2)

    values = draw(UPPER, UPPER) / (WEIGHT @ draw(UPPER, UPPER))
    return Service(f"lognormal {square:g}", square, draw, values, WEIGHT, int(500 * square**2))


def hyperexponential(square: float) -> Service:
    """Two exponential phases with balanced means."""
    short = (1 + math.sqrt((square - 1) / (square + 1))) / 2

    def draw(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return -np.log1p(-u) * np.where(v < short, 1 / (2 * short), 1 / (2 * (1 - short)))

    values = np.concatenate([draw(UPPER, np.zeros(4096)), draw(UPPER, np.ones(4096))])
    share = np.concatenate([short * WEIGHT, (1 - short) * WEIGHT])
    return Service(f"H2 {square:g}", square, draw, values / (share @ values), share)


@dataclass(frozen=True)
class Queue:
    """M/G/c with mean service 1."""

    service: Service
    servers: int
    load: float

    @property
    def relaxation_jobs(self) -> float:
        """Jobs after which the queue has about forgotten its past."""
        return (1 + self.service.square) / (1 - self.load) ** 2

    def drawn(self, streams: int, jobs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Service times and gaps (streams, jobs); the gaps are those of load 1."""
        random = np.random.Generator(np.random.PCG64(seed))
        service = self.service.draw(random.random((streams, jobs)), random.random((streams, jobs)))
        return service, random.exponential(1 / self.servers, (streams, jobs))

    def waits(self, service: np.ndarray, gaps: np.ndarray) -> np.ndarray:
        """Waits by the recursion of Kiefer and Wolfowitz (1955), streams side by side."""
        streams, jobs = service.shape
        free = np.zeros((streams, self.servers))
        waits = np.empty((streams, jobs))
        for job in range(jobs):
            if job:
                free = np.maximum(free - gaps[:, job, None] / self.load, 0.0)
            waits[:, job] = free[:, 0]
            free[:, 0] += service[:, job]
            free.sort(axis=1)
        return waits

    def unfinished(self, service: np.ndarray, gaps: np.ndarray, speed: float = 1.0) -> np.ndarray:
        """Unfinished work before each job, in seconds of all servers together at a speed."""
        submit = np.cumsum(gaps / self.load, axis=1)
        work = service / (self.servers * speed)
        return np.array([unfinished_work(*each) for each in zip(submit, work, strict=True)])

    @lru_cache(maxsize=64)  # noqa: B019 - queues are few and small
    def stationary(self, speed: float = 1.0) -> Sample | None:
        """Stationary distribution of the unfinished work; None if it is not known."""
        if self.load >= speed:
            return None
        values = self.service.values / (self.servers * speed)
        offer = Offer(1.0, values, self.service.share)
        found = stationary_work([offer], Poisson().mixture(), self.load * self.servers)
        return None if found is None else found.sample

    def samples(
        self, service: np.ndarray, gaps: np.ndarray, warm_up: int
    ) -> list[dict[str, Sample]]:
        """Samples of each stream, as of a run of a study."""
        waits = self.waits(service, gaps)[:, warm_up:]
        runs = [{"wait_s": Sample.of(each)} for each in waits]
        for speed in SPEEDS:
            stationary = self.stationary(speed)
            if stationary is None:
                continue
            work = self.unfinished(service, gaps, speed)[:, warm_up:]
            for run, each in zip(runs, work, strict=True):
                run |= {work_name(speed): Sample.of(each), stationary_name(speed): stationary}
        squares = (service[:, warm_up:] / self.servers) ** 2
        expected = Sample(0, np.empty(0), (1 + self.service.square) / self.servers**2)
        for run, each in zip(runs, squares, strict=True):
            run |= {SQUARE: Sample.of(each), f"expected_{SQUARE}": expected}
        return runs

    def truth(self, jobs: int, seed: int = 1) -> tuple[float, float]:
        """Mean and 95th percentile of the wait: exact for M/M/c, else from so many jobs.

        The noise of these jobs is reduced by regression on their unfinished work, stream by stream.
        """
        if self.service.name == "M":
            waiting = erlang_c(self.servers, self.load)
            rate = self.servers * (1 - self.load)
            return waiting / rate, max(0.0, math.log(waiting / 0.05) / rate)
        warm, streams = int(20 * self.relaxation_jobs), 400
        each = max(25_000, 2 * warm)
        stationary = self.stationary()
        assert stationary is not None
        waits, work = [], []
        for block in range(math.ceil(jobs / (streams * each))):
            drawn = self.drawn(streams, warm + each, seed + block)
            waits.append(self.waits(*drawn)[:, warm::4].astype(np.float32))
            work.append(self.unfinished(*drawn)[:, warm::4].astype(np.float32))
        y, x = np.concatenate(waits), np.concatenate(work)
        mean = regressed(y.mean(axis=1), x.mean(axis=1), stationary.mean)
        limit = float(np.quantile(y, 0.95))
        amount = float(np.quantile(x, 0.95))
        above = regressed(
            (y > limit).mean(axis=1), (x > amount).mean(axis=1), 1 - stationary.at_most(amount)
        )
        return mean, float(np.quantile(y, 1 - (0.05 + 0.05 - above)))


def regressed(values: np.ndarray, by: np.ndarray, expected: float) -> float:
    slope = float(np.cov(values, by)[0, 1] / by.var(ddof=1))
    return float(values.mean() - slope * (by.mean() - expected))


def erlang_c(servers: int, load: float) -> float:
    """Probability to wait, from Erlang B by recursion."""
    offered, blocked = servers * load, 1.0
    for c in range(1, servers + 1):
        blocked = offered * blocked / (c + offered * blocked)
    return blocked / (1 - load * (1 - blocked))
