"""Searches for victims that are left out or cut short would have found the same."""

from __future__ import annotations

from random import Random
from unittest.mock import patch

from hypothesis import given, settings

from clustersim.scheduling.kueue import Snapshot, Switches, WaitingJob, preemption, run_cycle
from clustersim.scheduling.kueue import classical as search
from clustersim.scheduling.kueue.prospects import cannot_preempt, largest_with_prospects
from clustersim.scheduling.kueue.victims import order_key
from tests.examples import examples
from tests.scheduling.kueue.clusters import job, queue, random_jobs, random_snapshot, running, seeds

Decisions = list[tuple[str, str, list[tuple[str, str]]]]


def decisions(snapshot: Snapshot, jobs: list[WaitingJob]) -> Decisions:
    found = run_cycle(snapshot, jobs, Switches()).heads
    return [(h.job.id, h.status, [(v.job.id, v.reason) for v in h.victims]) for h in found]


def plain_decisions(seed: int, jobs: list[WaitingJob]) -> Decisions:
    """Try every attempt with all candidates, which are picked one by one."""
    with (
        patch.object(preemption, "cannot_preempt", lambda *_: False),
        patch.object(search, "may_stay_within_quota", lambda *_: True),
    ):
        return decisions(random_snapshot(Random(seed), most_jobs=20, order=order_key), jobs)


@settings(max_examples=examples(200), deadline=None)
@given(rng=seeds)
def test_the_same_jobs_are_preempted_as_in_a_full_search(rng: Random) -> None:
    seed = rng.getrandbits(32)
    snapshot = random_snapshot(Random(seed), most_jobs=20)
    jobs = random_jobs(rng, snapshot)
    assert decisions(snapshot, jobs) == plain_decisions(seed, jobs)


@settings(max_examples=examples(50), deadline=None)
@given(rng=seeds)
def test_what_jobs_hold_is_counted_while_they_come_and_go(rng: Random) -> None:
    snapshot = random_snapshot(rng)
    queues = snapshot.tree.queue_node.values()
    for name in [c.job.id for node in queues for c in snapshot.candidates(node)]:
        if rng.random() < 0.5:
            stopped = snapshot.stop(name)
            if rng.random() < 0.3:
                snapshot.start(stopped)
    for name, node in snapshot.tree.queue_node.items():
        policy = snapshot.queues[name].within_queue
        for ledger in snapshot.tree.ledgers.values():
            expected = dict.fromkeys(range(-2, 4), 0.0)
            for candidate in snapshot.candidates(node):
                expected[candidate.priority] += sum(n for of, n in candidate.usage if of is ledger)
            for priority in range(-2, 4):
                most = {
                    "never": 0,
                    "lower": sum(n for p, n in expected.items() if p < priority),
                    "lower_or_newer_equal": sum(n for p, n in expected.items() if p <= priority),
                    "any": sum(expected.values()),
                }[policy]
                assert snapshot.most_freed(node, priority, ledger) == most


@settings(max_examples=examples(100), deadline=None)
@given(rng=seeds)
def test_a_job_has_prospects_up_to_the_largest_size(rng: Random) -> None:
    snapshot = random_snapshot(rng, most_jobs=20)
    for node in snapshot.tree.queue_node.values():
        for ledger in snapshot.tree.ledgers.values():
            for priority in range(-1, 3):
                largest = largest_with_prospects(snapshot, node, priority, ledger)
                for amount in range(1, 40):
                    refused = amount > ledger.available(node) and cannot_preempt(
                        snapshot, node, priority, ((ledger, amount),)
                    )
                    assert (amount > largest) == (amount > ledger.potential[node] or refused)


def test_no_search_where_nobody_of_the_own_queue_can_make_room() -> None:
    """A queue above its quota that may not borrow at others' cost gets nothing from them."""
    queues = [
        queue(name, 4, within_queue="lower", reclaim_within_cohort="any") for name in ("a", "b")
    ]
    held = [running("own", "a", 5, priority=1), running("guest", "b", 3)]
    snapshot = Snapshot(queues, running=held)
    searches: list[str] = []

    def noting(_: Snapshot, preemptor: preemption.Preemptor) -> list[preemption.Victim]:
        searches.append(preemptor.queue.name)
        return search.classical_victims(snapshot, preemptor)

    with patch.object(preemption, "classical_victims", noting):
        (head,) = run_cycle(snapshot, [job("new", "a", 2, priority=1)]).heads
        assert (head.status, searches) == ("no_victims", [])
        (head,) = run_cycle(snapshot, [job("new", "a", 2, priority=2)]).heads
        assert (head.status, searches) == ("preempting", ["a"])
        assert [victim.job.id for victim in head.victims] == ["own"]
