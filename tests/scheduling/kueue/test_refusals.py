"""If a job is refused, so are those of its queue that are no easier to admit."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings

from clustersim.scheduling.kueue import PodSet, Snapshot, Switches, WaitingJob, run_cycle
from tests.examples import examples
from tests.scheduling.kueue.clusters import POOLS, random_snapshot, seeds

REFUSED = ("nofit", "no_victims")


def refused(
    snapshot: Snapshot,
    queue: str,
    fair: bool,
    n: int,
    priority: int,
    t: float,
    pools: tuple[str, ...],
) -> bool:
    pods = PodSet("main", 1, {"gpu": n}, flavors=pools)
    job = WaitingJob("new", queue, (pods,), priority, t)
    (head,) = run_cycle(snapshot, [job], Switches(fair_sharing=fair)).heads
    return head.status in REFUSED


@settings(max_examples=examples(100), deadline=None)
@given(rng=seeds)
def test_larger_jobs_of_no_higher_priority_are_refused_as_well(rng: Random) -> None:
    snapshot, fair = random_snapshot(rng), rng.random() < 0.5
    queue = rng.choice(list(snapshot.queues))
    n, priority, t = rng.randint(1, 8), rng.randint(-2, 2), rng.randint(0, 9)
    if not refused(snapshot, queue, fair, n, priority, t, POOLS):
        return
    for _ in range(3):
        lower = rng.randint(0, 2)
        later = rng.randint(0, 5) if lower == 0 else rng.randint(-5, 5)
        pools = tuple(rng.sample(POOLS, rng.randint(1, len(POOLS))))
        assert refused(
            snapshot, queue, fair, n + rng.randint(0, 4), priority - lower, t + later, pools
        )
