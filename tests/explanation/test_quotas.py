"""Waits for quota: by hand, and against the ledgers of the policy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from small_clusters import causes, jobs, pool, ran

import clustersim as cs
from clustersim.explanation.quotas import quota_rooms
from clustersim.explanation.state import open_state
from clustersim.scheduling.kueue import QuotaTree
from clustersim.scheduling.quotas import RESOURCE, read_quotas
from clustersim.topology import Cluster
from tests.examples import examples

CLUSTER = Cluster("lab", (pool(nodes=8),))
LAB = {
    "queues": {
        "vision": {"cohort": "lab", "quotas": {"gpu": {"nominal": 32, "borrow_limit": 16}}},
        "speech": {"cohort": "lab", "quotas": {"gpu": {"nominal": 16, "lend_limit": 8}}},
        "students": {"cohort": "lab", "quotas": {"gpu": 16}},
    }
}


def kueue(table: pd.DataFrame, quotas: dict[str, Any] = LAB) -> tuple[Any, dict[str, Any]]:
    return ran(table, "kueue", cluster=CLUSTER, quotas=quotas, by="team")


def test_a_team_at_its_own_limit_waits_for_quota() -> None:
    # Vision may use 48 of 64.
    table = jobs((0, 32, 100), (0, 16, 50), (10, 8, 10), team=["vision"] * 3)
    result, known = kueue(table)
    assert causes(result, known, 3) == [(10, 50, "quota")]
    found = cs.explain(result, job=3, **known)
    assert found.intervals["detail"][0] == (
        "needs 8; quota of queue vision: it used 48 of gpu (owns 32) and could use at most 48"
    )
    assert found.without["start_s"].tolist() == [10]
    assert "because its gang fitted, but its queue had no quota left" in found.sentence


def test_on_a_full_cluster_no_limit_of_a_team_binds() -> None:
    # Vision is at its limit of 48; the other 16 are in use until 50 s, and are free from then on.
    teams = ["vision", "speech", "vision"]
    result, known = kueue(jobs((0, 48, 100), (0, 16, 50), (10, 8, 10), team=teams))
    assert causes(result, known, 3) == [(10, 50, "accelerators"), (50, 100, "quota")]
    whole = cs.explain(result, **known).jobs.iloc[2]
    assert whole[["accelerators_s", "quota_s"]].tolist() == [40, 50]
    without = cs.explain(result, job=3, **known).without.set_index("cause")["start_s"]
    assert without["quota"] == 50


def test_a_job_that_needs_its_whole_cohort_waits_for_busy_accelerators() -> None:
    # Both teams may use all 64. Team a itself holds 8 until 100 s, and team b 8 until 150 s.
    own = {"cohort": "lab", "quotas": {"gpu": 32}}
    table = jobs((0, 8, 100), (0, 8, 150), (10, 64, 10), team=["a", "b", "a"])
    result, known = kueue(table, {"queues": {"a": own, "b": own}})
    assert causes(result, known, 3) == [(10, 150, "accelerators")]
    found = cs.explain(result, **known)
    assert found.jobs["accelerators_s"].tolist() == [0, 0, 140]
    assert found.hours["quota"] == 0
    assert found.sentence.endswith("100 % for accelerators that other jobs held.")


def test_quota_that_others_keep_for_themselves() -> None:
    # Speech lends 8 of its 16: of 64, the students can use 56 at most.
    teams = ["vision", "students", "students"]
    result, known = kueue(jobs((0, 32, 100), (0, 16, 100), (10, 16, 10), team=teams))
    assert causes(result, known, 3) == [(10, 100, "quota")]
    detail = cs.explain(result, job=3, **known).intervals["detail"][0]
    assert detail == (
        "needs 16; quota of queue students: it used 16 of gpu (owns 16) and could use 8 more"
    )


def test_accelerators_that_others_hold_are_not_a_matter_of_quota() -> None:
    # The students' own 16 are borrowed by vision, and all other accelerators are in use.
    teams = ["vision", "speech", "students"]
    result, known = kueue(jobs((0, 48, 100), (0, 16, 100), (10, 8, 10), team=teams))
    assert causes(result, known, 3) == [(10, 100, "accelerators")]
    assert cs.explain(result, job=3, **known).intervals["detail"][0] == (
        "needs 8 on gpu, 0 free; held by job 1 (48) and job 2 (16); quota of queue students: it "
        "used 0 of gpu (owns 16) and could use 0 more"
    )


def test_jobs_ahead_are_those_of_the_same_queue() -> None:
    table = jobs((0, 48, 9), (0, 8, 9), (0, 16, 5), (1, 8, 5), (2, 8, 5), priority=[0, 0, 0, 0, 1])
    result, known = kueue(table.assign(team=["vision", "speech", "vision", "vision", "vision"]))
    found = cs.explain(result, job=4, **known)
    assert (found.behind, found.jobs_ahead, found.order_known) == ("3", 1, True)
    found = cs.explain(result, job=5, **known)
    assert found.jobs_ahead == 0


def test_quotas_that_cannot_be_read_are_a_note(tmp_path: Any) -> None:
    table = jobs((0, 8, 100), (0, 8, 50), team=["a", "a"])
    table.to_csv(tmp_path / "jobs.csv", index=False)
    result, _ = ran(table, "kueue", quotas={"queues": {"a": {"quotas": {"gpu": 8}}}}, by="team")
    scheduling = cs.Scheduling(policy="kueue", options={"quotas": str(tmp_path / "gone.yaml")})
    found = cs.explain(result, cluster=Cluster("small", (pool(),)), scheduling=scheduling)
    assert found.hours["quota"] == 0
    assert "gone.yaml" in found.notes[0]
    assert "waits for quota, are not known" in found.notes[0]


AMOUNT = st.sampled_from([0, 4, 8, 16])
QUOTA = st.builds(
    lambda nominal, borrow, lend: {
        "nominal": nominal,
        **({} if borrow is None else {"borrow_limit": borrow}),
        **({} if lend is None else {"lend_limit": lend}),
    },
    AMOUNT,
    st.none() | AMOUNT,
    st.none() | AMOUNT,
)
JOB = st.tuples(
    st.integers(0, 30), st.integers(1, 12), st.integers(1, 30), st.sampled_from(["a", "b", "c"])
)


@given(
    quotas=st.lists(QUOTA, min_size=3, max_size=3),
    above=st.tuples(AMOUNT, AMOUNT),
    rows=st.lists(JOB, min_size=1, max_size=10),
)
@settings(max_examples=examples(25))
def test_what_is_left_is_what_the_ledger_says(
    quotas: list[dict[str, int]], above: tuple[int, int], rows: list[tuple[int, int, int, str]]
) -> None:
    document: dict[str, Any] = {
        "queues": {
            name: {"cohort": cohort, "quotas": {"gpu": quota}}
            for name, cohort, quota in zip("abc", ("x", "x", "y"), quotas, strict=True)
        },
        "cohorts": {
            "x": {"parent": "top", "quotas": {"gpu": above[0]}},
            "y": {"parent": "top", "quotas": {"gpu": above[1]}},
            "top": {},
        },
    }
    table = pd.DataFrame(sorted(rows), columns=["submit_s", "n_accelerators", "duration_s", "team"])
    table = table.assign(job_id=range(len(table)))
    result, known = kueue(table, document)
    state = open_state(result, known["cluster"], (), known["scheduling"])
    rooms = quota_rooms(state)
    assert rooms is not None
    read = read_quotas(document)
    team = dict(zip(table["job_id"], table["team"], strict=True))
    for index, queue in enumerate(read.queues):
        room = rooms.room(index)
        for at, time_s in enumerate(room.time_s.tolist()):
            tree = QuotaTree(read.queues, read.cohorts)
            for each in result.allocation_ranges.to_dict("records"):
                if each["start_s"] <= time_s < each["end_s"]:
                    held = {("gpu", RESOURCE): int(each["n_accelerators"])}
                    tree.add(team[each["job_id"]], held)
            key = ("gpu", RESOURCE)
            assert room.left[0, at] == tree.available(queue.name, key)
            assert room.used[0, at] == tree.ledger(key).usage[tree.node_of(queue.name)]
            assert room.most[0] == tree.potentially_available(queue.name, key)
    # The causes add up to the wait.
    found = cs.explain(result, **known)
    names = [f"{name}_s" for name in found.hours]
    np.testing.assert_allclose(found.jobs[names].sum(axis=1), found.jobs["waited_s"])


def test_a_limit_of_a_user_under_any_policy() -> None:
    table = jobs((0, 8, 100), (5, 8, 50), (6, 8, 10), user=["ann", "ann", "bo"])
    result, known = ran(table, "easy", quotas={"limits": {"user": {"ann": 8}}})
    assert causes(result, known, 2) == [(5, 100, "limit")]
    found = cs.explain(result, job=2, **known)
    assert found.intervals["detail"][0] == (
        "limit of user ann is in use; the end of job 1 let it in"
    )
    assert found.intervals["behind"][0] == "1"
    assert found.without["start_s"].tolist() == [5]
    whole = cs.explain(result, **known)
    assert whole.jobs["waited_for"].tolist() == ["", "limit", ""]


def test_a_run_that_does_not_say_its_policy_has_a_note_that_limits_are_not_known() -> None:
    # Job 2 waits for ann's limit of 8 until job 1 ends at 100 s, while 8 are free.
    options = {"quotas": {"limits": {"user": {"ann": 8}}}}
    table = jobs((0, 8, 100), (5, 8, 50), user=["ann", "ann"])
    result = cs.replay(table, policy="easy", accelerators=16, options=options)
    found = cs.explain(result)
    assert found.jobs["waited_for"].tolist() == ["", "order"]
    assert any("limits and budgets count as order" in text for text in found.notes)
    assert cs.explain(result, job=2).notes == found.notes
    known = cs.explain(result, scheduling=cs.Scheduling(policy="easy", options=options))
    assert known.jobs["waited_for"].tolist() == ["", "limit"]
    assert known.notes == ()


def test_the_quota_of_a_queue_under_a_policy_that_does_not_divide() -> None:
    table = jobs((0, 8, 100), (5, 8, 50), team=["a", "a"])
    quotas = {"by": "team", "queues": {"a": {"quotas": {"gpu": 8}}}}
    result, known = ran(table, "fcfs", quotas=quotas)
    assert causes(result, known, 2) == [(5, 100, "limit")]
    detail = cs.explain(result, job=2, **known).intervals["detail"][0]
    assert detail == "quota of queue a is in use; the end of job 1 let it in"


def test_a_queue_of_kai_at_its_limit_is_named() -> None:
    # Queue a owns 4 and borrows none: job 2 waits although 12 are free.
    own = {"quotas": {"all": {"nominal": 4, "borrow_limit": 0}}, "cohort": "c"}
    queues = {"a": own, "b": {"quotas": {"all": 12}, "cohort": "c"}}
    table = jobs((0, 4, 100), (2, 4, 10), user=["a", "a"])
    result, known = ran(table, "kai", quotas={"queues": queues, "by": "user"})
    assert causes(result, known, 2) == [(2, 100, "order")]
    found = cs.explain(result, job=2, **known)
    assert "policy kai did not start it: its queue is at its limit" in found.intervals["detail"][0]
    assert found.notes == ("waits for the quotas of queues of policy kai count as order",)
