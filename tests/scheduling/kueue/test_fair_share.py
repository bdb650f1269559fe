"""Dominant resource shares and the order of queues, worked by hand and against a plain twin."""

from __future__ import annotations

import math
from random import Random

from hypothesis import given, settings

from clustersim.scheduling.kueue import (
    Cohort,
    FlavorQuotas,
    Queue,
    Quota,
    QuotaTree,
    Share,
    Shares,
    Snapshot,
    VictimQueues,
    victim_order,
)
from tests.examples import examples
from tests.scheduling.kueue.clusters import GPUS, group, queue, random_snapshot, running, seeds


def test_the_dominant_resource_is_that_of_the_largest_part() -> None:
    """The cohort lends 100 CPUs and 10 GPUs; a borrows 10 CPUs and 2 GPUs (a fifth)."""

    def both(name: str, cpus: int, gpus: int, weight: float) -> Queue:
        quotas = FlavorQuotas("h200", {"cpu": Quota(cpus), "gpu": Quota(gpus)})
        return Queue(name, ((quotas,),), "lab", weight)

    tree = QuotaTree([both("a", 0, 0, 2), both("b", 100, 10, 1)])
    tree.add("a", {("h200", "cpu"): 10, GPUS: 2})
    assert Shares(tree).queue("a") == Share(100.0, "gpu")
    assert Shares(tree).queue("a", {("h200", "cpu"): 40}) == Share(250.0, "cpu")
    assert Shares(tree).queue("b") == Share(0.0, None)
    assert Shares(tree).cohort("lab") == Share(0.0, None)
    tree.remove("a", {GPUS: 1})
    assert Shares(tree).queue("a") == Share(50.0, "cpu")  # both a tenth: the first by name


def test_usage_of_several_flavors_is_added() -> None:
    flavors = tuple(FlavorQuotas(pool, {"gpu": Quota(0)}) for pool in ("h20", "h200"))
    owned = tuple(FlavorQuotas(pool, {"gpu": Quota(10)}) for pool in ("h20", "h200"))
    tree = QuotaTree([Queue("a", (flavors,), "lab"), Queue("b", (owned,), "lab")])
    tree.add("a", {("h20", "gpu"): 3, ("h200", "gpu"): 2})
    assert Shares(tree).queue("a") == Share(250.0, "gpu")


def test_a_weight_of_zero_makes_the_share_of_a_borrower_infinite() -> None:
    queues = [queue("a", 0, weight=0), queue("b", 0, weight=0), queue("c", 4, weight=0.1)]
    tree = QuotaTree(queues)
    shares = Shares(tree)
    tree.add("a", {GPUS: 2})
    tree.add("b", {GPUS: 1})
    assert shares.queue("a").value == math.inf
    assert shares.queue("c").value == 0
    assert shares.key(0) > shares.key(1) > shares.key(2)  # unweighted among themselves


def test_cohorts_have_shares_in_their_parent() -> None:
    """The root lends 8 in all; left borrows 3 of them, at weight 3."""
    cohorts = [Cohort("root", groups=group(8)), Cohort("left", "root", 3)]
    tree = QuotaTree([queue("a", 1, "left"), queue("b", 1, "left", lend_limit=0)], cohorts)
    tree.add("a", {GPUS: 4})
    shares = Shares(tree)
    assert shares.cohort("left").value == 1000 * 3 / 9 / 3
    # left can use 9 of the root: b's own accelerator is not lent.
    assert shares.queue("a").value == 1000 * 3 / 9


def order(snapshot: Snapshot, preemptor: str) -> list[str]:
    tree = snapshot.tree
    candidates = {node: snapshot.candidates(node) for node in tree.queue_node.values()}
    turns = VictimQueues(tree, Shares(tree), tree.node_of(preemptor), candidates)
    found = []
    while (node := turns.next()) is not None:
        candidate = turns.pop(node)
        found.append(candidate.job.id)
        tree.remove(candidate.job.queue, candidate.job.usage)
    return found


def test_shares_are_compared_again_after_each_job() -> None:
    queues = [queue("a", 2), queue("b", 1), queue("c", 1), queue("d", 4)]
    jobs = [running(f"b{i}", "b", 1, start_t=float(i)) for i in range(4)]
    jobs += [running(f"c{i}", "c", 1, start_t=float(i)) for i in range(3)]
    # b borrows 3, c 2. At equal shares the later start decides; both end at their quota.
    assert order(Snapshot(queues, running=jobs), "a") == ["b3", "b2", "c2", "b1", "c1"]


def test_cohorts_go_before_queues_of_equal_share() -> None:
    cohorts = [Cohort("root", groups=group(4)), Cohort("sub", "root")]
    queues = [queue("own", 0, "root"), queue("x", 0, "root"), queue("y", 0, "sub")]
    jobs = [running("x1", "x", 2), running("y1", "y", 2), running("own1", "own", 0)]
    assert order(Snapshot(queues, cohorts, jobs), "own") == ["y1", "x1", "own1"]


def test_of_cohorts_with_equal_shares_the_last_goes_first() -> None:
    cohorts = [Cohort("root", groups=group(4)), Cohort("one", "root"), Cohort("two", "root")]
    queues = [queue("own", 0, "root"), queue("x", 0, "one"), queue("y", 0, "two")]
    jobs = [running("x1", "x", 2), running("y1", "y", 2)]
    assert order(Snapshot(queues, cohorts, jobs), "own") == ["y1", "x1"]


def test_victims_of_other_queues_go_first() -> None:
    jobs = [
        running("own", "a", 1, priority=-5),
        running("other", "b", 1, priority=5),
        running("unknown start", "b", 1, priority=5, start_t=None),
        running("decided", "a", 1, priority=9, evicted=True),
    ]
    found = [job.id for job in victim_order(jobs, "a")]
    assert found == ["decided", "unknown start", "other", "own"]


class Recomputing(VictimQueues):
    """A plain twin that keeps no shares between turns."""

    def next(self) -> int | None:
        self._states.clear()
        return super().next()


@given(seeds)
@settings(max_examples=examples(400))
def test_kept_shares_do_not_change_the_order(rng: Random) -> None:
    snapshot = random_snapshot(rng)
    tree = snapshot.tree
    preemptor = rng.randrange(len(snapshot.queues))
    candidates = {node: snapshot.candidates(node) for node in tree.queue_node.values()}
    orders = []
    for kind in (VictimQueues, Recomputing):
        turns, found = kind(tree, Shares(tree), preemptor, candidates), []
        with tree.trial():
            while (node := turns.next()) is not None:
                candidate = turns.pop(node)
                found.append(candidate.job.id)
                tree.remove(candidate.job.queue, candidate.job.usage)
        orders.append(found)
    assert orders[0] == orders[1]
