"""Victims: worked by hand, and what holds for all searches."""

from __future__ import annotations

from itertools import chain
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.scheduling.kueue import (
    BorrowWithinCohort,
    Cohort,
    FlavorQuotas,
    Mode,
    Preemptor,
    Queue,
    Quota,
    RunningJob,
    Snapshot,
    Switches,
    Victim,
    VictimPolicy,
    VictimSearch,
    find_victims,
)
from clustersim.scheduling.kueue.classical import classes
from clustersim.scheduling.kueue.quota_tree import charge, fits, refund
from tests.examples import examples
from tests.scheduling.kueue.clusters import (
    GPUS,
    POOLS,
    gpus,
    group,
    job,
    queue,
    random_snapshot,
    running,
    seeds,
)


def found(
    snapshot: Snapshot, name: str, n: int, *, fair: bool = False, priority: int = 0
) -> dict[str, str]:
    preemptor = snapshot.preemptor(name, {GPUS: n}, [GPUS], priority=priority, created_t=5.0)
    victims = find_victims(snapshot, preemptor, Switches(fair_sharing=fair))
    return {victim.job.id: victim.reason for victim in victims}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("never", {}),
        ("lower", {"low": "in_queue"}),
        ("lower_or_newer_equal", {"low": "in_queue", "newer": "in_queue"}),
        ("any", {"low": "in_queue", "newer": "in_queue", "older": "in_queue"}),
    ],
)
def test_policies_within_a_queue(policy: VictimPolicy, expected: dict[str, str]) -> None:
    """All are needed that the policy allows: the request is what they hold in all."""
    jobs = [
        running("low", "a", 2, priority=-1),
        running("newer", "a", 2, created_t=6.0),
        running("older", "a", 2, created_t=4.0),
    ]
    snapshot = Snapshot([queue("a", 6, None, within_queue=policy)], running=jobs)
    assert found(snapshot, "a", max(1, 2 * len(expected))) == expected


def test_the_lowest_and_latest_job_goes_first() -> None:
    jobs = [
        running("early", "a", 2, priority=-1, start_t=1.0),
        running("late", "a", 2, priority=-1, start_t=2.0),
        running("mid", "a", 2),
    ]
    snapshot = Snapshot([queue("a", 6, None, within_queue="lower")], running=jobs)
    assert found(snapshot, "a", 2, priority=1) == {"late": "in_queue"}
    # A job whose preemption has been decided goes before all, but by itself it is not enough.
    snapshot.start(running("decided", "a", 1, evicted=True))
    assert list(found(snapshot, "a", 2, priority=1)) == ["decided", "late"]


def test_small_victims_are_put_back_if_a_large_one_suffices() -> None:
    jobs = [running("small", "a", 1, priority=-2), running("large", "a", 5, priority=-1)]
    snapshot = Snapshot([queue("a", 6, None, within_queue="lower")], running=jobs)
    assert found(snapshot, "a", 5) == {"large": "in_queue"}


def borrowing_queues(borrow: BorrowWithinCohort | None) -> Snapshot:
    """a owns 2 and b 2, c nothing. c's jobs use 4, so a and b are empty."""
    queues = [
        queue("a", 2, reclaim_within_cohort="any", borrow_within_cohort=borrow),
        queue("b", 2),
        queue("c", 0),
    ]
    jobs = [running("c1", "c", 2, priority=-5), running("c2", "c", 2, priority=0, start_t=1.0)]
    return Snapshot(queues, running=jobs)


def test_lent_quota_is_reclaimed_whatever_the_priority() -> None:
    assert found(borrowing_queues(None), "a", 2, priority=-9) == {"c1": "reclaim"}


def test_preempting_while_borrowing_needs_permission_and_a_higher_priority() -> None:
    """With 3 accelerators, a would borrow 1."""
    assert found(borrowing_queues(None), "a", 3) == {}
    allowed = BorrowWithinCohort("lower")
    # Both would have to go, and c2 is not of lower priority.
    assert found(borrowing_queues(allowed), "a", 3, priority=0) == {}
    both = {"c1": "reclaim_while_borrowing", "c2": "reclaim_while_borrowing"}
    assert found(borrowing_queues(allowed), "a", 3, priority=1) == both
    assert found(borrowing_queues(BorrowWithinCohort("lower", -1)), "a", 3, priority=1) == {}
    assert found(borrowing_queues(BorrowWithinCohort("never")), "a", 3, priority=1) == {}


def test_a_queue_is_left_alone_once_it_is_within_its_quota() -> None:
    """b owns 2 and uses 3; the two of d are lent by nobody else."""
    queues = [queue("a", 3, reclaim_within_cohort="any"), queue("b", 2), queue("d", 0)]
    jobs = [
        running("b1", "b", 1, priority=-3),
        running("b2", "b", 2, priority=-2),
        running("d1", "d", 2),
    ]
    assert found(Snapshot(queues, running=jobs), "a", 3) == {"b1": "reclaim", "d1": "reclaim"}


def test_classes_follow_the_subtree_that_holds_the_request() -> None:
    """left owns 4 (p); x borrows inside left, y outside of it."""
    cohorts = [Cohort("root"), Cohort("left", "root"), Cohort("right", "root")]
    queues = [
        queue("p", 4, "left", reclaim_within_cohort="any", within_queue="lower"),
        queue("x", 0, "left"),
        queue("y", 0, "right"),
        queue("z", 1, "right"),
    ]
    jobs = [
        running("own", "p", 1, priority=-1),
        running("inside", "x", 2),
        running("outside", "y", 2),
        running("within", "z", 1),
    ]
    snapshot = Snapshot(queues, cohorts, jobs)

    def by_class(n: int) -> list[list[str]]:
        of = classes(snapshot, snapshot.preemptor("p", {GPUS: n}, [GPUS]))
        hierarchical, priority = chain(*of.hierarchical), chain(*of.priority)
        return [[c.job.id for c in each] for each in (hierarchical, priority, of.own)]

    assert by_class(3) == [["inside", "outside"], [], ["own"]]
    # 4 are above p's quota, and left (3 used of 4) does not hold them either.
    assert by_class(4) == [[], ["inside", "outside"], ["own"]]


def test_fair_sharing_takes_from_the_queue_that_borrows_most() -> None:
    """Each owns 2; a wants 2 more than its quota."""
    queues = [queue(name, 2, reclaim_within_cohort="any") for name in "abc"]
    jobs = [running(f"b{i}", "b", 1, start_t=float(i)) for i in range(6)]
    snapshot = Snapshot(queues, running=jobs)
    # Of b's 4 borrowed, a may take until both borrow the same: a 3 (1 borrowed), b 3.
    assert found(snapshot, "a", 3, fair=True) == dict.fromkeys(("b5", "b4", "b3"), "fair")
    # With 4 (2 borrowed), b would keep 2 (0 borrowed): the third victim passes, the fourth fails.
    assert found(snapshot, "a", 4, fair=True) == {}


def test_fair_sharing_reclaims_without_comparing_shares() -> None:
    queues = [queue("a", 2, reclaim_within_cohort="any"), queue("b", 2, weight=100)]
    jobs = [running("b1", "b", 4, priority=9)]
    assert found(Snapshot(queues, running=jobs), "a", 2, fair=True) == {"b1": "reclaim"}


def test_initial_share_lets_a_large_job_go() -> None:
    """b's only job has all: after its removal b's share is 0, below a's, but it was above."""
    queues = [queue(name, 2, reclaim_within_cohort="any") for name in "abc"]
    snapshot = Snapshot(queues, running=[running("b1", "b", 6)])
    preemptor = snapshot.preemptor("a", {GPUS: 3}, [GPUS])

    def victims(*strategies: str) -> list[str]:
        switches = Switches(fair_sharing=True, strategies=strategies)  # type: ignore[arg-type]
        return [victim.job.id for victim in find_victims(snapshot, preemptor, switches)]

    assert victims("final_share") == []
    assert victims("initial_share") == ["b1"]
    assert victims("final_share", "initial_share") == ["b1"]


@pytest.mark.parametrize(
    ("strategy", "quota", "expected"),
    [
        # The third victim leaves b as much as a then borrows: 1.
        ("final_share", 2, ["b5", "b4", "b3"]),
        # b must end with 2, but a and b both borrow 1 before the last victim.
        ("initial_share", 1, []),
    ],
)
def test_equal_shares(strategy: str, quota: int, expected: list[str]) -> None:
    queues = [queue(name, 2, reclaim_within_cohort="any") for name in "ab"]
    jobs = [running(f"b{i}", "b", 1, start_t=float(i)) for i in range(4 + quota)]
    snapshot = Snapshot([*queues, queue("c", quota)], running=jobs)
    switches = Switches(fair_sharing=True, strategies=(strategy,))  # type: ignore[arg-type]
    victims = find_victims(snapshot, snapshot.preemptor("a", {GPUS: 3}, [GPUS]), switches)
    assert [victim.job.id for victim in victims] == expected


def test_fair_sharing_spares_queues_that_own_what_is_needed() -> None:
    """b borrows slow accelerators, but owns the two fast ones that it uses."""
    slow = "slow", "gpu"
    owner = FlavorQuotas("slow", {"gpu": Quota(3)})
    queues = [
        queue("a", 2, reclaim_within_cohort="any"),
        queue("b", 2),
        queue("c", 0),
        Queue("owner", ((owner,),), "lab"),
    ]
    jobs = [running("b1", "b", 2, priority=-1), RunningJob("b2", "b", {slow: 3})]
    snapshot = Snapshot(queues, running=[*jobs, running("c1", "c", 2)])
    assert found(snapshot, "a", 2, fair=True) == {"c1": "reclaim"}


def test_decided_victims_go_first_of_all_classes() -> None:
    queues = [queue("a", 4, within_queue="lower", reclaim_within_cohort="any"), queue("b", 0)]
    jobs = [running("own", "a", 2, priority=-1, evicted=True), running("b1", "b", 2, priority=-9)]
    assert found(Snapshot(queues, running=jobs), "a", 2) == {"own": "in_queue"}


def test_borrowing_is_tried_first_where_it_is_allowed() -> None:
    """a owns 2 and uses 1; it wants 2. Without borrowing, its own job would have to go."""
    borrow = BorrowWithinCohort("lower")
    options = {"within_queue": "lower", "reclaim_within_cohort": "any"}
    queues = [queue("a", 2, borrow_within_cohort=borrow, **options), queue("b", 3), queue("x", 0)]
    jobs = [running("own", "a", 1, priority=-1), running("high", "x", 2, priority=5)]
    jobs += [running(name, "x", 1, priority=-1) for name in ("low 1", "low 2")]
    reason = "reclaim_while_borrowing"
    assert found(Snapshot(queues, running=jobs), "a", 2) == {"low 1": reason, "low 2": reason}


def test_a_cohort_is_left_alone_once_it_is_within_its_quota() -> None:
    """right owns 2 and uses 3; after y1 it no longer borrows, although its queue y does."""
    cohorts = [
        Cohort("root"),
        Cohort("left", "root"),
        Cohort("right", "root", groups=group(2)),
    ]
    queues = [
        queue("p", 4, "left", reclaim_within_cohort="any"),
        queue("x", 0, "left"),
        queue("y", 0, "right"),
    ]
    jobs = [
        running("y1", "y", 1, priority=-2),
        running("y2", "y", 2, priority=-1),
        running("x1", "x", 1),
    ]
    snapshot = Snapshot(queues, cohorts, jobs)
    assert found(snapshot, "p", 4) == {"y1": "reclaim", "x1": "reclaim"}


def test_the_borrow_level_is_that_after_preemption() -> None:
    snapshot = Snapshot(
        [queue("a", 2, within_queue="lower"), queue("b", 2)],
        running=[running("own", "a", 2, priority=-1), running("b1", "b", 2)],
    )
    search = VictimSearch(snapshot, Switches())
    assert search.outcome(job("j", "a", 2), GPUS, 2) == (Mode.PREEMPT, 0)
    assert search.outcome(job("k", "a", 3), GPUS, 3) == (Mode.NO_CANDIDATES, 1)


@pytest.mark.parametrize("strategies", [(), ("final",)])
def test_unknown_strategies_are_named(strategies: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"strategies: .*final_share"):
        Switches(strategies=strategies)  # type: ignore[arg-type]


def minimal(
    snapshot: Snapshot, preemptor: Preemptor, victims: list[Victim], borrowing: bool
) -> bool:
    """Whether the request fits without the victims, and no longer with any one of them."""
    removed = [snapshot.running(victim.job.id) for victim in victims]
    node, request = preemptor.node, preemptor.request
    with snapshot.tree.trial():
        for candidate in removed:
            refund(candidate.node, candidate.usage)
        if not fits(node, request, borrowing=borrowing):
            return False
        for candidate in removed:
            charge(candidate.node, candidate.usage)
            if fits(node, request, borrowing=borrowing):
                return False
            refund(candidate.node, candidate.usage)
    return True


@given(seeds)
@settings(max_examples=examples(200))
def test_eligible_jobs_are_those_that_the_policy_allows_and_that_use_what_is_needed(
    rng: Random,
) -> None:
    snapshot = random_snapshot(rng)
    needing = [gpus(pool) for pool in rng.sample(POOLS, rng.randint(1, 2))]
    name = rng.choice(list(snapshot.queues))
    preemptor = snapshot.preemptor(
        name, {}, needing, priority=rng.randint(-1, 2), created_t=4.0, without=frozenset({"r0"})
    )
    node, queue = preemptor.node, preemptor.queue
    expected = [
        candidate.job.id
        for candidate in snapshot.candidates(node)
        if candidate.job.id != "r0"
        and any(candidate.job.usage.get(key, 0) > 0 for key in needing)
        and allowed_by(preemptor, Victim(candidate.job, "in_queue"))
    ]
    found = [c.job.id for c in snapshot.eligible(node, preemptor, queue.within_queue)]
    assert found == expected


def allowed_by(preemptor: Preemptor, victim: Victim) -> bool:
    queue: Queue = preemptor.queue
    own = victim.job.queue == queue.name
    policy = queue.within_queue if own else queue.reclaim_within_cohort
    newer = preemptor.created_t < victim.job.created_t
    return {
        "never": False,
        "lower": victim.job.priority < preemptor.priority,
        "lower_or_newer_equal": victim.job.priority < preemptor.priority
        or (victim.job.priority == preemptor.priority and newer),
        "any": True,
    }[policy]


@given(seeds, st.booleans())
@settings(max_examples=examples(1000))
def test_the_job_fits_and_no_victim_could_be_kept(rng: Random, fair: bool) -> None:
    snapshot = random_snapshot(rng)
    before = [ledger.usage.copy() for ledger in snapshot.tree.ledgers.values()]
    request = {gpus(pool): rng.randint(1, 6) for pool in rng.sample(POOLS, rng.randint(1, 2))}
    preemptor = snapshot.preemptor(
        rng.choice(list(snapshot.queues)),
        request,
        request,
        priority=rng.randint(-1, 3),
        created_t=4.0,
    )
    if fits(preemptor.node, preemptor.request):
        return
    victims = find_victims(snapshot, preemptor, Switches(fair_sharing=fair))
    after = [ledger.usage for ledger in snapshot.tree.ledgers.values()]
    assert after[: len(before)] == before
    assert len({victim.job.id for victim in victims}) == len(victims)
    assert all(allowed_by(preemptor, victim) for victim in victims)
    if victims:
        modes = (True,) if fair else (True, False)
        assert any(minimal(snapshot, preemptor, victims, borrowing) for borrowing in modes)
