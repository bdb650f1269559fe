"""Quota arithmetic: worked by hand, against plain formulas, and invariants."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings

from clustersim.errors import InputError
from clustersim.scheduling.kueue import (
    BorrowWithinCohort,
    Cohort,
    FlavorQuotas,
    Queue,
    Quota,
    QuotaTree,
    RunningJob,
    Snapshot,
)
from clustersim.scheduling.kueue.quota_tree import Ledger
from tests.examples import examples
from tests.scheduling.kueue.clusters import GPUS, group, queue, random_snapshot, running, seeds


def test_lending_limit_keeps_quota_local() -> None:
    """a: 10 of which 4 are lent (6 local); b: 5, may borrow 3. The cohort has 4 + 5 = 9."""
    tree = QuotaTree([queue("a", 10, lend_limit=4), queue("b", 5, borrow_limit=3)])
    assert tree.potentially_available("a", GPUS) == 15
    assert tree.potentially_available("b", GPUS) == 8
    tree.add("b", {GPUS: 7})
    assert tree.available("b", GPUS) == 1  # the borrowing limit
    assert tree.available("a", GPUS) == 8  # 6 local + 9 - 7
    tree.add("a", {GPUS: 7})  # 6 local, 1 of the cohort
    assert tree.available("a", GPUS) == 1
    assert tree.ledgers[GPUS].usage == [7, 7, 8]
    tree.remove("a", {GPUS: 3})  # the 1 of the cohort first
    assert tree.ledgers[GPUS].usage == [4, 7, 7]


def test_cohorts_in_levels() -> None:
    """The root owns 4. left: a (6, lends 2) and b (0); right: c (3). left borrows at most 3."""
    cohorts = [
        Cohort("root", groups=group(4)),
        Cohort("left", "root", groups=group(0, borrow_limit=3)),
        Cohort("right", "root"),
    ]
    queues = [queue("a", 6, "left", lend_limit=2), queue("b", 0, "left"), queue("c", 3, "right")]
    tree = QuotaTree(queues, cohorts)
    found = {name: tree.potentially_available(name, GPUS) for name in "abc"}
    assert found == {"a": 9, "b": 5, "c": 9}  # left: 2 lent by a, and 3 borrowed
    tree.add("c", {GPUS: 7})
    assert tree.available("b", GPUS) == 2  # root: 9 - 7
    assert tree.available("a", GPUS) == 6
    ledger = tree.ledgers[GPUS]
    # b's quota is 0, left's is 2, the root's 9: with 7 used there, 2 are left.
    node = tree.node_of("b")
    assert [ledger.level(node, n) for n in (0, 2, 3)] == [(0, True), (1, True), (2, False)]


def plain(tree: QuotaTree, ledger: Ledger) -> tuple[list[float], list[float], list[float]]:
    """Usage, available and potential of each node by recursion from the usage of queues."""
    queues = list(tree.queue_node.values())

    def children(node: int) -> list[int]:
        return [n for n, parent in enumerate(tree.parents) if parent == node]

    def subtree(node: int) -> float:
        return ledger.quotas[node].nominal + sum(subtree(c) - local(c) for c in children(node))

    def local(node: int) -> float:
        limit = ledger.quotas[node].lend_limit
        return 0 if limit is None else max(0, subtree(node) - limit)

    def used(node: int) -> float:
        if node in queues:
            return ledger.usage[node]
        return sum(max(0, used(c) - local(c)) for c in children(node))

    def available(node: int) -> float:
        if tree.parents[node] < 0:
            return subtree(node) - used(node)
        above, limit = available(tree.parents[node]), ledger.quotas[node].borrow_limit
        if limit is not None:
            stored = max(0, used(node) - local(node))
            above = min(above, subtree(node) - local(node) - stored + limit)
        return max(0, local(node) - used(node)) + above

    def potential(node: int) -> float:
        if tree.parents[node] < 0:
            return subtree(node)
        most, limit = local(node) + potential(tree.parents[node]), ledger.quotas[node].borrow_limit
        return most if limit is None else min(most, subtree(node) + limit)

    nodes = range(len(tree.names))
    of: Callable[[Callable[[int], float]], list[float]] = lambda f: [f(n) for n in nodes]  # noqa: E731
    return of(used), of(available), of(potential)


@given(seeds)
@settings(max_examples=examples(400))
def test_equals_the_plain_formulas(rng: Random) -> None:
    tree = random_snapshot(rng).tree
    for ledger in tree.ledgers.values():
        usage, available, potential = plain(tree, ledger)
        assert ledger.usage == usage
        assert [ledger.available(node) for node in range(len(tree.names))] == available
        assert ledger.potential == potential


@given(seeds)
@settings(max_examples=examples(400))
def test_usage_added_and_removed_leaves_the_tree_as_it_was(rng: Random) -> None:
    tree = random_snapshot(rng, most_jobs=6).tree
    before = {key: ledger.usage.copy() for key, ledger in tree.ledgers.items()}
    added = [(rng.choice(list(tree.queue_node)), rng.randint(0, 9)) for _ in range(6)]
    for name, n in added:
        tree.add(name, {GPUS: n})
    rng.shuffle(added)
    for name, n in added:
        tree.remove(name, {GPUS: n})
    for key, ledger in tree.ledgers.items():
        assert ledger.usage == before.get(key, [0] * len(ledger.usage))


@given(seeds)
@settings(max_examples=examples(400))
def test_no_more_is_available_than_the_tree_has(rng: Random) -> None:
    tree = random_snapshot(rng).tree
    for ledger in tree.ledgers.values():
        for node, path in enumerate(tree.paths):
            assert ledger.available(node) <= ledger.potential[node]
            if len(path) == 1:
                assert ledger.available(node) <= ledger.subtree[node]


@given(seeds)
@settings(max_examples=examples(400))
def test_what_is_available_can_be_used_and_no_more(rng: Random) -> None:
    tree = random_snapshot(rng, most_jobs=4).tree
    name = rng.choice(list(tree.queue_node))
    tree.add(name, {GPUS: tree.available(name, GPUS)})
    assert tree.available(name, GPUS) == 0


def test_jobs_start_and_stop() -> None:
    snapshot = Snapshot([queue("a", 8)], running=[running("j", "a", 3)])
    snapshot.start(running("k", "a", 4, priority=-1))
    assert [c.job.id for c in snapshot.candidates(0)] == ["k", "j"]
    assert snapshot.tree.available("a", GPUS) == 1
    assert snapshot.stop("j").id == "j"
    assert [c.job.id for c in snapshot.candidates(0)] == ["k"]
    assert snapshot.tree.available("a", GPUS) == 4


def test_a_trial_is_undone() -> None:
    tree = QuotaTree([queue("a", 8)])
    with tree.trial():
        tree.add("a", {GPUS: 3, ("tpu", "chips"): 2})
    assert [ledger.usage for ledger in tree.ledgers.values()] == [[0, 0], [0, 0]]


twice = ((FlavorQuotas("h200", {"gpu": Quota(1)}),), (FlavorQuotas("h20", {"gpu": Quota(1)}),))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: QuotaTree([queue("a", 1), queue("a", 2)]),
            "quotas: queues: the name 'a' is used twice; it must be unique",
        ),
        (
            lambda: QuotaTree([], [Cohort("x", "y"), Cohort("y", "x")]),
            "cohorts: parent: these form a circle: x > y > x",
        ),
        (
            lambda: QuotaTree([Queue("a", twice)]),
            "quotas: queues.a.groups: the resource 'gpu' is in several groups; it must be in one",
        ),
        (
            lambda: Snapshot([queue("train", 1)], running=[running("j", "trian", 1)]),
            "running: job 'j': unknown queue 'trian'; did you mean 'train'?",
        ),
        (
            lambda: Snapshot([queue("a", 1)], running=[RunningJob("j", "a", {})] * 2),
            "running: the id 'j' is used twice; it must be unique",
        ),
        (
            lambda: QuotaTree([queue("a", 1, lend_limit=-1)]),
            "quotas: queues.a.groups.h200.gpu.lend_limit: is -1; it must be at least 0",
        ),
        (
            lambda: QuotaTree([queue("a", 1)], [Cohort("lab", weight=-2)]),
            "quotas: cohorts.lab.weight: is -2; it must be at least 0",
        ),
        (
            lambda: QuotaTree([queue("a", 1, when_can_borrow="wait")]),
            "quotas: queues.a.when_can_borrow: 'wait' is not allowed; allowed are stop, next",
        ),
        (
            lambda: QuotaTree([queue("a", 1, borrow_within_cohort=BorrowWithinCohort("any"))]),  # type: ignore[arg-type]
            "quotas: queues.a.borrow_within_cohort.policy: 'any' is not allowed; allowed are never",
        ),
        (lambda: Snapshot([queue("a", 1)]).stop("j"), "running: unknown job 'j'"),
        (lambda: QuotaTree([queue("a", 1)]).node_of("b"), "queues: unknown queue 'b'"),
    ],
)
def test_errors_name_what_is_wrong(build: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        build()
    assert str(caught.value).startswith(message)
