"""Small clusters for tests, and random ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, TypeAlias

from hypothesis import strategies as st

from clustersim.scheduling.kueue import (
    BorrowWithinCohort,
    Cohort,
    FlavorQuotas,
    FlavorResource,
    PodSet,
    Queue,
    Quota,
    ResourceGroup,
    RunningJob,
    Snapshot,
    VictimPolicy,
    WaitingJob,
)

__all__ = [
    "GPUS",
    "POOLS",
    "gpus",
    "group",
    "job",
    "queue",
    "random_jobs",
    "random_snapshot",
    "running",
    "seeds",
]

POOLS = ("h200", "h20")
GPUS: FlavorResource = (POOLS[0], "gpu")


def gpus(pool: str) -> FlavorResource:
    return pool, "gpu"


def group(nominal: float, pool: str = POOLS[0], **limits: float | None) -> tuple[ResourceGroup]:
    """One flavor with a quota of accelerators."""
    return ((FlavorQuotas(pool, {"gpu": Quota(nominal, **limits)}),),)


def queue(name: str, nominal: float, cohort: str | None = "lab", **options: Any) -> Queue:
    """A queue with a quota of accelerators of one pool."""
    limits = {key: options.pop(key) for key in ("borrow_limit", "lend_limit") if key in options}
    return Queue(name, group(nominal, **limits), cohort, **options)


def running(name: str, of: str, n: int, **options: Any) -> RunningJob:
    """A job that holds accelerators of the first pool."""
    return RunningJob(name, of, {GPUS: n}, **options)


def job(name: str, of: str, n: int, *, least: int | None = None, **options: Any) -> WaitingJob:
    """A job with a pod for each accelerator."""
    return WaitingJob(name, of, (PodSet("main", n, {"gpu": 1}, least),), **options)


seeds = st.integers(0, 2**32 - 1).map(Random)
"""Generators of random numbers: a cluster is drawn from one much faster than by hypothesis."""

VictimOrder: TypeAlias = Callable[[RunningJob], tuple[Any, ...]] | None

POLICIES: tuple[VictimPolicy, ...] = ("never", "lower", "lower_or_newer_equal", "any")


def random_groups(rng: Random) -> tuple[ResourceGroup, ...]:
    def limit() -> int | None:
        return rng.choice([None, None, rng.randint(0, 6)])

    pools = rng.sample(POOLS, rng.choice([0, 1, 2, 2]))
    quotas = [FlavorQuotas(p, {"gpu": Quota(rng.randint(0, 8), limit(), limit())}) for p in pools]
    return (tuple(quotas),)


def random_queue(rng: Random, name: str, cohorts: Sequence[str]) -> Queue:
    borrow = BorrowWithinCohort(rng.choice(["never", "lower"]), rng.choice([None, -1, 1]))
    return Queue(
        name,
        random_groups(rng),
        rng.choice([*cohorts, *cohorts, None]),
        rng.choice([0, 0.5, 1, 2]),
        rng.choice(POLICIES),
        rng.choice(POLICIES),
        rng.choice([None, borrow]),
        rng.choice(["stop", "next"]),
        rng.choice(["stop", "next"]),
        rng.random() < 0.3,
    )


def random_snapshot(rng: Random, *, most_jobs: int = 12, order: VictimOrder = None) -> Snapshot:
    """Queues in up to four cohorts, in up to four levels, and running jobs.

    Usage may exceed the quota, as after a quota has been reduced.
    """
    cohorts = [Cohort("c0", None, 1, random_groups(rng))]
    for i in range(1, rng.randint(1, 4)):
        parent, weight = f"c{rng.randrange(i)}", rng.choice([0, 0.5, 1, 2])
        cohorts.append(Cohort(f"c{i}", parent, weight, random_groups(rng)))
    names = [cohort.name for cohort in cohorts]
    queues = [random_queue(rng, f"q{i}", names) for i in range(rng.randint(1, 6))]
    jobs = [
        RunningJob(
            f"r{i}",
            rng.choice(queues).name,
            {gpus(rng.choice(POOLS)): rng.randint(0, 5)},
            rng.randint(-1, 2),
            rng.choice([None, *range(9)]),
            rng.randint(0, 9),
            rng.random() < 0.1,
        )
        for i in range(rng.randint(0, most_jobs))
    ]
    return Snapshot(queues, cohorts, jobs, order=order)


def random_jobs(rng: Random, snapshot: Snapshot) -> list[WaitingJob]:
    """Waiting jobs, some of which may shrink."""
    return [
        job(
            f"w{i}",
            rng.choice(sorted(snapshot.queues)),
            rng.randint(1, 6),
            least=rng.choice([None, 1]),
            priority=rng.randint(-1, 3),
            created_t=rng.randint(0, 9),
        )
        for i in range(rng.randint(1, 8))
    ]
