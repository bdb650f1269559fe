"""Decisions of Kueue's own tests against `clustersim.scheduling.kueue`.

Not compared: which jobs are retried soon and which wait for an event (``requeued`` and
``parked``), since a simulator has no queue controller. Nothing is skipped.
"""

from __future__ import annotations

import math
from typing import Any

import pytest

from clustersim.scheduling.kueue import (
    Assignment,
    Mode,
    Shares,
    VictimQueues,
    WaitingJob,
    assign_flavors,
    find_victims,
    run_cycle,
    search_counts,
    victim_order,
)
from tests.peers import kueue_cases as read
from tests.peers.peer_cases import parametrised

pytestmark = pytest.mark.peers


def of_kind(kind: str) -> pytest.MarkDecorator:
    return parametrised("kueue*.json", lambda case: case["kind"] == kind)


@of_kind("quota")
def test_quota(case: dict[str, Any]) -> None:
    tree, expected = read.snapshot(case).tree, case["expected"]
    for what in ("available", "potentially_available"):
        for queue, wanted in expected[what].items():
            found = {key: getattr(tree, what)(queue, key) for key in read.amounts(wanted)}
            assert found == read.amounts(wanted), (what, queue)


@of_kind("share")
def test_share(case: dict[str, Any]) -> None:
    tree = read.snapshot(case).tree
    shares, extra = Shares(tree), read.amounts(case["extra_request"])
    for name, wanted in case["expected"].items():
        kind, _, node = name.partition(":")
        share = shares.queue(node, extra) if kind == "queue" else shares.cohort(node)
        infinite = share.value == math.inf
        assert ("inf" if infinite else math.ceil(share.value)) == wanted["share_ceil"], name
        assert share.resource == wanted["resource"], name
        assert share.borrowing == wanted["borrowing"], name


@of_kind("victim_order")
def test_victim_order(case: dict[str, Any]) -> None:
    jobs = [read.running(job) for job in case["candidates"]]
    found = [job.id for job in victim_order(jobs, case["preemptor_queue"])]
    assert found == case["expected"]["order"]


@of_kind("victim_queue_order")
def test_victim_queue_order(case: dict[str, Any]) -> None:
    snapshot = read.snapshot(case)
    tree = snapshot.tree
    candidates = {
        tree.node_of(queue): snapshot.candidates(tree.node_of(queue))
        for queue in case["candidate_queues"]
    }
    preemptor = tree.node_of(case["preemptor_queue"])
    turns, order = VictimQueues(tree, Shares(tree), preemptor, candidates), []
    while (node := turns.next()) is not None:
        turn = len(order)
        order.append(tree.names[node])
        if turn < len(case["actions"]) and case["actions"][turn] == "drop":
            turns.drop(node)
        else:
            turns.pop(node)
    assert order == case["expected"]["order"]


@of_kind("partial_search")
def test_partial_search(case: dict[str, Any]) -> None:
    limit = case["fits_if_total_pods_at_most"]
    found = search_counts(
        read.podsets(case["podsets"]), lambda counts: counts if sum(counts) <= limit else None
    )
    assert (found is not None) == case["expected"]["found"]
    assert sum(found or ()) == case["expected"]["total_pods"]


@of_kind("preempt")
def test_preempt(case: dict[str, Any]) -> None:
    snapshot, job = read.snapshot(case), case["incoming"]
    request: dict[tuple[str, str], int] = {}
    for chosen in case["assignment"]:
        key = chosen["flavor"], chosen["resource"]
        request[key] = request.get(key, 0) + read.units(chosen["amount"])
    preemptor = snapshot.preemptor(
        job["queue"],
        request,
        [(a["flavor"], a["resource"]) for a in case["assignment"] if a["mode"] == "preempt"],
        priority=job["priority"],
        created_t=job["created_t"],
    )
    victims = find_victims(snapshot, preemptor, read.switches(case))
    found = {victim.job.id: victim.reason for victim in victims if not victim.job.evicted}
    assert found == case["expected"]["preempted"]
    if "target_count" in case["expected"]:
        assert len(victims) == case["expected"]["target_count"]


def oracle_of(case: dict[str, Any]) -> Any:
    """What the test of a flavor case answers for preemption."""
    given = case["preemption_oracle"]
    given = given if isinstance(given, dict) else {}
    modes = {"none": Mode.NO_CANDIDATES, "preempt": Mode.PREEMPT, "reclaim": Mode.RECLAIM}

    def oracle(key: tuple[str, str], amount: float) -> tuple[Mode, int]:
        answer = (given.get(key[0]) or {}).get(key[1]) or {}
        return modes[answer.get("outcome") or "preempt"], answer.get("borrow_level") or 0

    return oracle


@of_kind("flavor")
def test_flavor(case: dict[str, Any]) -> None:
    expected = case["expected"]
    job = WaitingJob("job", case["queues"][0]["name"], read.podsets(case["podsets"]))
    found = assign_flavors(
        read.snapshot(case),
        job,
        oracle_of(case),
        fair_sharing=read.switches(case).fair_sharing,
    )
    assert found.mode.word == expected["mode"]
    if "borrow_level" in expected:
        assert found.level == expected["borrow_level"]
    for resource, flavor in expected.get("flavors", {}).items():
        assert {p.flavors[resource] for p in found.podsets} == {flavor}
    for podset, wanted in zip(found.podsets, expected.get("podsets", ()), strict=False):
        assert (podset.name, podset.count) == (wanted["name"], wanted["count"])
        described = {
            resource: {"flavor": flavor, "mode": podset.modes[resource].word}
            for resource, flavor in podset.flavors.items()
        }
        assert described == wanted["flavors"]


@of_kind("cycle")
def test_cycle(case: dict[str, Any]) -> None:
    outcome = run_cycle(
        read.snapshot(case), [read.waiting(job) for job in case["incoming"]], read.switches(case)
    )
    queues = {job["id"]: job["queue"] for job in case["incoming"]}
    found = {job: admission(a, queues[job]) for job, a in outcome.admitted.items()}
    wanted = {
        job: {**a, "podsets": [counted(p) for p in a["podsets"]]}
        for job, a in case["expected"]["admitted"].items()
    }
    assert found == wanted
    assert outcome.preempted == case["expected"]["preempted"]


def counted(podset: dict[str, Any]) -> dict[str, Any]:
    return {**podset, "usage": {r: read.units(q) for r, q in podset["usage"].items()}}


def admission(assignment: Assignment, queue: str) -> dict[str, Any]:
    """Return an assignment as the cases describe it."""
    podsets = [
        {"name": p.name, "count": p.count, "flavors": dict(p.flavors), "usage": dict(p.usage)}
        for p in assignment.podsets
    ]
    return {"queue": queue, "podsets": podsets}
