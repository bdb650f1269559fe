"""Scheduling cycles: worked by hand, and what holds for all."""

from __future__ import annotations

from random import Random
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.scheduling.kueue import (
    BorrowWithinCohort,
    CycleOutcome,
    FlavorQuotas,
    Queue,
    Quota,
    RunningJob,
    Snapshot,
    Switches,
    WaitingJob,
    run_cycle,
)
from clustersim.scheduling.kueue import cycle as module
from tests.examples import examples
from tests.scheduling.kueue.clusters import (
    GPUS,
    job,
    queue,
    random_jobs,
    random_snapshot,
    running,
    seeds,
)


def statuses(outcome: CycleOutcome) -> dict[str, str]:
    return {head.job.id: head.status for head in outcome.heads}


def test_one_job_of_each_queue_is_considered() -> None:
    snapshot = Snapshot([queue("a", 8, None)])
    jobs = [
        job("late", "a", 1, created_t=2.0),
        job("early", "a", 1, created_t=1.0),
        job("low", "a", 1, priority=-1),
    ]
    assert statuses(run_cycle(snapshot, jobs)) == {"early": "admitted"}
    assert snapshot.tree.available("a", GPUS) == 8  # nothing was started in the snapshot


def test_jobs_that_do_not_borrow_go_first() -> None:
    """Of the cohort's 4, a wants 3 (borrows 1) and b its own 2."""
    snapshot = Snapshot([queue("a", 2), queue("b", 2)])
    jobs = [job("borrows", "a", 3, priority=9), job("owns", "b", 2)]
    assert statuses(run_cycle(snapshot, jobs)) == {"owns": "admitted", "borrows": "taken"}


def test_partial_admission() -> None:
    snapshot = Snapshot([queue("a", 5, None)])
    jobs = [job("shrinks", "a", 8, least=2)]
    assert run_cycle(snapshot, jobs).admitted["shrinks"].podsets[0].count == 5
    assert statuses(run_cycle(snapshot, jobs, Switches(partial_admission=False))) == {
        "shrinks": "nofit"
    }


def overlapping() -> tuple[Snapshot, list[WaitingJob]]:
    """c borrowed the 2 + 2 of a and b by two jobs; a and b want 2 each, the youngest goes."""
    queues = [queue(name, 2, reclaim_within_cohort="any") for name in ("a", "b")]
    jobs = [running("old", "c", 2, start_t=1.0), running("young", "c", 2, start_t=2.0)]
    waiting = [job("first", "a", 2, priority=1), job("second", "b", 2)]
    return Snapshot([*queues, queue("c", 0)], running=jobs), waiting


def test_other_victims_are_searched_if_the_first_are_taken() -> None:
    snapshot, waiting = overlapping()
    outcome = run_cycle(snapshot, waiting)
    assert outcome.preempted == {"young": "reclaim", "old": "reclaim"}
    assert [len(head.victims) for head in outcome.heads] == [1, 1]
    without = run_cycle(snapshot, waiting, Switches(recompute_on_overlap=False))
    assert statuses(without) == {"first": "preempting", "second": "overlap"}


def test_a_large_victim_makes_room_for_two() -> None:
    queues = [queue(name, 2, reclaim_within_cohort="any") for name in ("a", "b")]
    snapshot = Snapshot([*queues, queue("c", 0)], running=[running("large", "c", 4)])
    outcome = run_cycle(snapshot, [job("first", "a", 2, priority=1), job("second", "b", 2)])
    assert statuses(outcome) == {"first": "preempting", "second": "preempting"}
    assert [len(head.victims) for head in outcome.heads] == [1, 0]
    snapshot.stop("large")
    jobs = [head.job for head in outcome.heads]
    assert set(statuses(run_cycle(snapshot, jobs)).values()) == {"admitted"}


@pytest.mark.parametrize(("policy", "other"), [("never", "taken"), ("any", "admitted")])
def test_a_job_without_victims_reserves_its_quota(policy: Any, other: str) -> None:
    """a's job wants its quota back; b would borrow what is left of it."""
    queues = [queue("a", 4, reclaim_within_cohort=policy), queue("b", 0)]
    snapshot = Snapshot(queues, running=[running("own", "a", 2, priority=9)])
    jobs = [job("waits", "a", 3), job("borrows", "b", 2, priority=-1)]
    expected = {"waits": "no_victims", "borrows": other}
    assert statuses(run_cycle(snapshot, jobs)) == expected


def test_fair_sharing_orders_by_share() -> None:
    """Of 4 to borrow, a already has 1. With fair sharing, b's job comes before a's older one."""
    queues = [queue("a", 0), queue("b", 0), queue("lender", 4)]
    snapshot = Snapshot(queues, running=[running("a1", "a", 1)])
    jobs = [job("from a", "a", 2, created_t=1.0), job("from b", "b", 2, created_t=2.0)]
    assert set(run_cycle(snapshot, jobs).admitted) == {"from a"}
    assert set(run_cycle(snapshot, jobs, Switches(fair_sharing=True)).admitted) == {"from b"}


def test_fair_sharing_prefers_jobs_within_their_quota() -> None:
    """a borrows 4 slow accelerators, so that its share is large; its job wants 2 fast ones."""
    slow = "slow", "gpu"
    lender = Queue("lender", ((FlavorQuotas("slow", {"gpu": Quota(8)}),),), "lab")
    queues = [queue("a", 2), queue("b", 0), lender]
    snapshot = Snapshot(queues, running=[RunningJob("a1", "a", {slow: 4})])
    jobs = [job("borrows", "b", 1, priority=9), job("owns", "a", 2)]
    assert set(run_cycle(snapshot, jobs, Switches(fair_sharing=True)).admitted) == {"owns"}


def test_borrowing_preemptor() -> None:
    lower = BorrowWithinCohort("lower")
    queues = [queue("a", 0, reclaim_within_cohort="lower", borrow_within_cohort=lower)]
    queues += [queue("b", 2), queue("c", 2)]
    snapshot = Snapshot(queues, running=[running("b1", "b", 3, priority=-1), running("c1", "c", 1)])
    outcome = run_cycle(snapshot, [job("high", "a", 2)])
    assert outcome.preempted == {"b1": "reclaim_while_borrowing"}


def test_an_unknown_queue_is_named() -> None:
    with pytest.raises(InputError, match="waiting: job 'j': unknown queue 'b'"):
        run_cycle(Snapshot([queue("a", 1)]), [job("j", "b", 1)])


@given(seeds, st.booleans())
@settings(max_examples=examples(400))
def test_decisions_can_be_carried_out(rng: Random, fair: bool) -> None:
    """After victims have stopped, no more is used than before beyond the quotas of a tree."""
    snapshot = random_snapshot(rng)
    before = {key: ledger.usage.copy() for key, ledger in snapshot.tree.ledgers.items()}
    waiting = random_jobs(rng, snapshot)
    outcome = run_cycle(snapshot, waiting, Switches(fair_sharing=fair))
    for key, usage in before.items():
        assert snapshot.tree.ledgers[key].usage == usage
    victims = [victim.job.id for head in outcome.heads for victim in head.victims]
    assert len(victims) == len(set(victims))
    assert len({head.job.queue for head in outcome.heads}) == len(outcome.heads)
    for victim in victims:
        snapshot.stop(victim)
    for head in outcome.heads:
        if head.status in ("admitted", "preempting"):
            for key, amount in head.assignment.usage.items():
                if amount:
                    assert amount <= snapshot.tree.available(head.job.queue, key)
            snapshot.tree.add(head.job.queue, head.assignment.usage)


@given(seeds)
@settings(max_examples=examples(400))
def test_kept_scores_do_not_change_the_order(rng: Random) -> None:
    snapshot = random_snapshot(rng)
    waiting, switches = random_jobs(rng, snapshot), Switches(fair_sharing=True)
    kept = run_cycle(snapshot, waiting, switches)
    with pytest.MonkeyPatch.context() as patch:
        scores_of = module._Cycle._scores_of

        def recomputed(self: module._Cycle, entry: module._Entry) -> dict[int, module._Score]:
            self._scores.clear()
            return scores_of(self, entry)

        patch.setattr(module._Cycle, "_scores_of", recomputed)
        assert run_cycle(snapshot, waiting, switches) == kept


def cluster(n_waiting: int, n_running: int) -> tuple[Snapshot, list[WaitingJob]]:
    """50 queues in 10 cohorts whose quota is used up, and waiting jobs of all priorities."""
    rng = Random(0)
    jobs = [
        running(f"r{i}", f"q{rng.randrange(50)}", 8, priority=rng.randrange(4), start_t=float(i))
        for i in range(n_running)
    ]
    queues = [
        queue(
            f"q{i}",
            8 * n_running / 50,
            f"c{i % 10}",
            within_queue="lower",
            reclaim_within_cohort="any",
        )
        for i in range(50)
    ]
    waiting = [
        job(
            f"w{i}",
            f"q{rng.randrange(50)}",
            rng.choice([8, 16, 64]),
            priority=rng.randrange(5),
            created_t=float(i),
        )
        for i in range(n_waiting)
    ]
    return Snapshot(queues, running=jobs), waiting


@pytest.mark.slow
@pytest.mark.parametrize("fair", [False, True])
def test_a_cycle_over_thousands_of_jobs_is_fast(fair: bool) -> None:
    """2,000 waiting and 1,000 running jobs in at most 50 ms of processor time."""
    snapshot, waiting = cluster(2000, 1000)
    spent = []
    for _ in range(3):
        began = process_time()
        outcome = run_cycle(snapshot, waiting, Switches(fair_sharing=fair))
        spent.append(process_time() - began)
    assert len(outcome.heads) == 50
    assert outcome.preempted
    assert min(spent) < 0.05
