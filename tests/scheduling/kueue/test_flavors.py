"""The choice of flavors, worked by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.scheduling.kueue import (
    Assignment,
    Cohort,
    FlavorQuotas,
    FlavorResource,
    FlavorTraits,
    Mode,
    PodSet,
    Queue,
    Quota,
    Requirement,
    Snapshot,
    Taint,
    Toleration,
    WaitingJob,
    assign_flavors,
    search_counts,
)
from tests.scheduling.kueue.clusters import gpus, queue

LAST = Queue("last", ((FlavorQuotas("slow", {"gpu": Quota(4)}),),), "lab")


def chosen(
    snapshot: Snapshot, *podsets: PodSet, preemption: tuple[Mode, int] = (Mode.PREEMPT, 0)
) -> Assignment:
    return assign_flavors(snapshot, WaitingJob("job", "a", podsets), lambda key, n: preemption)


def two_pools(*, used: dict[str, float] | None = None, **options: Any) -> Snapshot:
    """a owns 4 fast accelerators and 8 slow ones; the cohort has 4 more slow ones."""
    flavors = FlavorQuotas("fast", {"gpu": Quota(4)}), FlavorQuotas("slow", {"gpu": Quota(8)})
    amounts = {gpus(pool): n for pool, n in (used or {}).items()}
    return Snapshot([Queue("a", (flavors,), "lab", **options), LAST], used={"a": amounts})


def pods(n: int, **options: Any) -> PodSet:
    return PodSet("main", n, {"gpu": 1}, **options)


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (4, (Mode.FIT, {"gpu": "fast"}, 0)),
        (5, (Mode.FIT, {"gpu": "slow"}, 0)),
        (12, (Mode.FIT, {"gpu": "slow"}, 1)),
        (13, (Mode.NOFIT, {}, 0)),
    ],
)
def test_the_first_flavor_that_fits(n: int, expected: tuple[Mode, dict[str, str], int]) -> None:
    found = chosen(two_pools(), pods(n))
    assert (found.mode, dict(found.podsets[0].flavors), found.level) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("slow", Mode.FIT)),
        ({"when_can_preempt": "stop"}, ("fast", Mode.PREEMPT)),
        ({"when_can_borrow": "next"}, ("slow", Mode.FIT)),
        ({"when_can_borrow": "next", "preempt_first": True}, ("fast", Mode.PREEMPT)),
    ],
)
def test_preempting_or_borrowing(options: dict[str, Any], expected: tuple[str, Mode]) -> None:
    """fast needs preemption, slow needs borrowing."""
    found = chosen(two_pools(used={"fast": 2, "slow": 8}, **options), pods(3))
    assert (found.podsets[0].flavors["gpu"], found.mode) == expected


def test_a_flavor_without_candidates_is_the_last_resort() -> None:
    snapshot = two_pools(used={"fast": 4, "slow": 8}, when_can_preempt="stop", preempt_first=True)
    answers = {"fast": (Mode.NO_CANDIDATES, 0), "slow": (Mode.RECLAIM, 1)}

    def oracle(key: FlavorResource, n: float) -> tuple[Mode, int]:
        return answers[key[0]]

    job = WaitingJob("job", "a", (pods(5),))
    assert assign_flavors(snapshot, job, oracle).podsets[0].flavors == {"gpu": "slow"}
    answers["slow"] = (Mode.NO_CANDIDATES, 1)
    job = WaitingJob("job", "a", (pods(4),))
    snapshot.tree.add("last", {gpus("slow"): 4})
    found = assign_flavors(snapshot, job, oracle)
    assert (found.podsets[0].flavors, found.mode.word) == ({"gpu": "fast"}, "preempt")


def test_earlier_pod_sets_count() -> None:
    first, second = PodSet("driver", 1, {"gpu": 3}), PodSet("workers", 2, {"gpu": 1})
    found = chosen(two_pools(), first, second)
    assert [p.flavors for p in found.podsets] == [{"gpu": "fast"}, {"gpu": "slow"}]
    assert found.usage == {gpus("fast"): 3, gpus("slow"): 2}


def test_resources_of_a_group_get_the_same_flavor() -> None:
    """fast has too few CPUs; pods are counted; 0 of a resource without quota may be requested."""
    quotas = {"gpu": Quota(4), "cpu": Quota(8), "pods": Quota(2)}
    flavors = (
        FlavorQuotas("fast", quotas),
        FlavorQuotas("slow", {**quotas, "cpu": Quota(64)}),
    )
    memory = (FlavorQuotas("any", {"memory": Quota(100)}),)
    snapshot = Snapshot([Queue("a", (flavors, memory))])
    podset = PodSet("main", 2, {"gpu": 1, "cpu": 16, "memory": 10, "disk": 0})
    found = chosen(snapshot, podset)
    slow = dict.fromkeys(("gpu", "cpu", "pods"), "slow")
    assert found.podsets[0].flavors == {**slow, "memory": "any"}
    assert found.usage[("slow", "pods")] == 2
    assert chosen(snapshot, PodSet("main", 3, {"gpu": 1})).mode is Mode.NOFIT
    assert chosen(snapshot, PodSet("main", 1, {"disk": 1})).mode is Mode.NOFIT


LABELS = {
    "fast": FlavorTraits({"type": "fast"}, (Taint("spot", "yes"), Taint("soft", "", "Prefer"))),
    "slow": FlavorTraits({"type": "slow"}),
}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "slow"),
        ({"tolerations": (Toleration("spot", "Equal", "yes"),)}, "fast"),
        ({"tolerations": (Toleration("spot", "Equal", "no"),)}, "slow"),
        ({"tolerations": (Toleration("spot", "Exists", effect="NoExecute"),)}, "slow"),
        ({"tolerations": (Toleration(operator="Exists"),)}, "fast"),
        (
            {"tolerations": (Toleration(operator="Exists"),), "node_selector": {"type": "slow"}},
            "slow",
        ),
        ({"node_selector": {"unrelated": "x"}}, "slow"),
        ({"node_selector": {"type": "other"}}, None),
        ({"affinity": ((Requirement("type", "NotIn", ("slow",)),),)}, None),
        (
            {
                "affinity": (
                    (Requirement("type", "In", ("other",)),),
                    (Requirement("type", "Exists"), Requirement("unrelated", "In", ("x",))),
                )
            },
            "slow",
        ),
        ({"affinity": ((Requirement("type", "DoesNotExist"),),)}, None),
    ],
)
def test_taints_and_labels(options: dict[str, Any], expected: str | None) -> None:
    flavors = tuple(FlavorQuotas(pool, {"gpu": Quota(4)}) for pool in LABELS)
    snapshot = Snapshot([Queue("a", (flavors,))], flavors=LABELS)
    found = chosen(snapshot, pods(1, **options))
    assert found.podsets[0].flavors.get("gpu") == expected


def test_preemption_is_tried_where_it_may_help() -> None:
    """a owns 2, b 6 and uses all; the cohort's 8 hold a request of 4, but a would borrow."""
    asked: list[float] = []

    def mode(n: int, **options: Any) -> Mode:
        queues = [queue("a", 2, **options), queue("b", 6)]
        snapshot = Snapshot(queues, used={"b": {gpus("h200"): 8}})

        def oracle(key: FlavorResource, amount: float) -> tuple[Mode, int]:
            asked.append(amount)
            return Mode.RECLAIM, 0

        return assign_flavors(snapshot, WaitingJob("j", "a", (pods(n),)), oracle).mode

    assert mode(2) is Mode.RECLAIM
    assert mode(3) is Mode.NOFIT  # no subtree below the whole tree holds it
    assert mode(9) is Mode.NOFIT  # never available
    assert asked == [2]


def test_preemption_is_tried_where_a_lower_cohort_holds_the_request() -> None:
    """left owns 4, of which a owns 2; c uses 2 of them. a may want 3, but not 5."""
    cohorts = [Cohort("root"), Cohort("left", "root")]
    queues = [queue("a", 2, "left"), queue("b", 2, "left"), queue("c", 4, "root")]
    snapshot = Snapshot(queues, cohorts, used={"c": {gpus("h200"): 6}})

    def mode(n: int) -> Mode:
        job = WaitingJob("j", "a", (pods(n),))
        return assign_flavors(snapshot, job, lambda key, amount: (Mode.RECLAIM, 1)).mode

    assert [mode(n) for n in (2, 3, 4, 5)] == [Mode.FIT, Mode.RECLAIM, Mode.RECLAIM, Mode.NOFIT]


@given(
    st.lists(st.tuples(st.integers(0, 20), st.none() | st.integers(0, 20)), max_size=5),
    st.integers(0, 100),
)
def test_partial_admission_takes_the_most_pods_that_fit(
    sizes: list[tuple[int, int | None]], limit: int
) -> None:
    podsets = [PodSet(str(i), n, {}, least) for i, (n, least) in enumerate(sizes)]
    found = search_counts(podsets, lambda counts: counts if sum(counts) <= limit else None)
    spare = [0 if least is None else max(0, n - least) for n, least in sizes]
    total = sum(spare)
    tried = [
        tuple(n - s * step // total for (n, _), s in zip(sizes, spare, strict=True))
        for step in range(total + 1 if total else 0)
    ]
    assert found == next((counts for counts in tried if sum(counts) <= limit), None)
