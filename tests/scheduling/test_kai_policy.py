"""KAI's queues in a simulation: cases worked out by hand, and invariants."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quota_runs import Row, moments, run_jobs, spans

from clustersim.engine.recovery import Recovery
from clustersim.errors import InputError
from clustersim.simulation.check_policy import check_policy
from tests.examples import examples


def queue(h200: object = 8, cohort: str | None = "lab", **fields: Any) -> dict[str, Any]:
    return {"quotas": {"h200": h200}, **({"cohort": cohort} if cohort else {}), **fields}


def run(queues: dict[str, Any], rows: list[Row], **options: Any) -> Any:
    return run_jobs("kai", {"queues": queues}, rows, **options)


def test_a_queue_takes_back_what_it_deserves_from_the_job_that_came_last():
    rows: list[Row] = [("a", 0, 8, 10), ("a", 1, 4, 10), ("a", 2, 4, 10), ("b", 5, 4, 10)]
    expected = {0: [(0, 10)], 1: [(1, 11)], 2: [(2, 5), (10, 17)], 3: [(5, 15)]}
    assert spans(run({"a": queue(), "b": queue()}, rows)) == expected
    kept = run({"a": queue(), "b": queue()}, rows, actions="consolidation,preempt")
    assert spans(kept)[3] == [(10, 20)]


def test_what_nobody_deserves_is_divided_by_weight():
    rows: list[Row] = [("a", 0, 2, 10)] * 8 + [("b", 0, 2, 10)] * 8
    queues = {"a": queue(0, weight=3), "b": queue(0, weight=1)}
    first = run(queues, rows).jobs.query("start_s == 0")
    # Sixteen accelerators: twelve for a and four for b.
    assert first["queue"].value_counts().to_dict() == {"a": 6, "b": 2}


def test_a_limit_holds_although_there_is_room():
    rows: list[Row] = [("a", 0, 8, 10), ("a", 0, 4, 10), ("a", 0, 4, 10)]
    limited = {"a": queue({"nominal": 8, "borrow_limit": 4}), "b": queue(4)}
    assert spans(run(limited, rows)) == {0: [(0, 10)], 1: [(0, 10)], 2: [(10, 20)]}
    jobs = run(limited, [("a", 0, 16, 10)]).jobs
    assert "can use at most 12 accelerators" in jobs["reason"].iloc[0]
    fixed = run(limited, [("a", 0, 12, 10), ("a", 0, 8, 5)], columns={"priority": [100, 100]}).jobs
    assert "can use at most 8 accelerators" in fixed["reason"].iloc[0]
    assert fixed["outcome"].tolist() == ["never runnable", "finished"]


def test_a_job_moves_so_that_another_one_finds_a_node():
    apart = {"a": queue(16, None)}
    rows: list[Row] = [("a", 0, 6, 10), ("a", 0, 6, 10), ("a", 1, 2, 100), ("a", 2, 2, 100)]
    rows.append(("a", 20, 8, 10))
    moved = run(apart, rows, cost=1)
    # At 20 s, each of the jobs of 2 is on its own node; the younger one moves to the other.
    assert spans(moved)[3] == [(2, 20), (20, 103)]
    assert spans(moved)[4] == [(20, 30)]
    stays = run(apart, rows, actions="reclaim,preempt")
    assert spans(stays)[4] == [(101, 111)]


def test_priority_in_a_queue_and_jobs_that_cannot_be_preempted():
    rows: list[Row] = [("a", 0, 8, 10), ("a", 0, 8, 10), ("a", 2, 8, 10), ("a", 3, 8, 10)]
    priority = {"priority": [50, 60, 75, 50]}
    result = run({"a": queue(16, None)}, rows, columns=priority)
    assert spans(result) == {0: [(0, 2), (10, 18)], 1: [(0, 10)], 2: [(2, 12)], 3: [(12, 22)]}
    fixed = run({"a": queue(16, None)}, rows, columns={"priority": [100, 100, 125, 50]})
    assert spans(fixed) == {0: [(0, 10)], 1: [(0, 10)], 2: [(10, 20)], 3: [(10, 20)]}


def test_a_minimum_run_time_protects_a_job_until_it_is_over():
    rows: list[Row] = [("a", 0, 16, 20), ("b", 5, 8, 10)]
    queues = {"a": queue(minimum_run={"reclaim": "12 s"}), "b": queue()}
    assert spans(run(queues, rows)) == {0: [(0, 12), (22, 30)], 1: [(12, 22)]}
    everywhere = run({"a": queue(), "b": queue()}, rows, reclaim_minimum=12)
    assert spans(everywhere) == {0: [(0, 12), (22, 30)], 1: [(12, 22)]}


def test_options_that_protect_running_jobs_hold_until_they_end():
    rows: list[Row] = [("a", 0, 16, 20), ("b", 5, 8, 10)]
    queues = {"a": queue(), "b": queue()}
    assert spans(run(queues, rows, min_run=12)) == {0: [(0, 12), (22, 30)], 1: [(12, 22)]}
    assert spans(run(queues, rows, most_preemptions=0)) == {0: [(0, 20)], 1: [(20, 30)]}
    # A job of b that cannot be preempted stays within what b deserves, which is not used up by one
    # that is protected for a while.
    rows = [("b", 0, 8, 20), ("b", 1, 8, 10)]
    columns = {"priority": [50, 100]}
    assert spans(run(queues, rows, min_run=12, columns=columns))[1] == [(1, 11)]


def test_a_job_that_saves_its_state_holds_its_nodes_until_it_leaves():
    rows: list[Row] = [("a", 0, 16, 20), ("b", 5, 8, 10), ("b", 6, 8, 10)]
    saving = Recovery([[float("inf")] * 3], [0.0] * 3, restart_s=[1.0] * 3, write_s=[4.0] * 3)
    result = run({"a": queue(), "b": queue(16)}, rows, recovery=saving)
    assert spans(result) == {0: [(0, 9), (19, 35)], 1: [(9, 19)], 2: [(9, 19)]}


def test_each_pool_is_divided_on_its_own():
    rows: list[Row] = [("a", 0, 8, 10), ("a", 0, 8, 10), ("a", 0, 8, 10)]
    queues = {"a": {"quotas": {"h20": 8, "h200": 8}}}
    result = run(queues, rows, h20=2)
    assert result.jobs["pool"].tolist() == ["h200", "h20", "h200"]
    assert result.jobs["start_s"].tolist() == [0, 0, 10]


def test_mistakes_are_named():
    with pytest.raises(InputError, match="suspend is not possible"):
        run({"a": queue()}, [("a", 0, 1, 1)], preempt_by="suspend")
    with pytest.raises(InputError, match="needs the option quotas"):
        run_jobs("kai", {"limits": {"queue": {"a": 8}}}, [("a", 0, 1, 1)])


@pytest.mark.slow
def test_the_rules_of_scheduling_hold():
    options = {"quotas": {"default": "all", "queues": {"all": {"quotas": {"all": 80}}}}}
    assert {f.problem for f in check_policy("kai", options=options)} == {""}


logs = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.integers(0, 40), st.sampled_from([1, 2, 4, 8]),
        st.integers(1, 30), st.sampled_from([0, 50, 75]),
    ),
    min_size=1,
    max_size=25,
)  # fmt: skip
PLACEMENTS = st.sampled_from(["pooled", "consolidate"])


@settings(max_examples=examples(25), deadline=None)
@given(
    own=st.lists(st.sampled_from([0, 2, 4, 8]), min_size=3, max_size=3),
    borrow=st.lists(st.none() | st.integers(8, 16), min_size=3, max_size=3),
    log=logs,
    placement=PLACEMENTS,
    policy=st.sampled_from(["kai", "kueue"]),
)
def test_limits_hold_and_no_queue_waits_for_what_it_deserves(
    own: list[int],
    borrow: list[int | None],
    log: list[tuple[Any, ...]],
    placement: str,
    policy: str,
):
    """Quotas sum up to at most what there is; a queue that asks for its quota has it at once."""
    log = sorted(log, key=lambda row: row[1])
    queues = {
        name: queue(
            {"nominal": own[i], **({} if borrow[i] is None else {"borrow_limit": borrow[i]})}
        )
        for i, name in enumerate("abc")
    }
    columns = {"priority": [row[4] for row in log]}
    rows = [row[:4] for row in log]
    options = {"trials": 1000, "jobs_per_queue": 1000} if policy == "kai" else {}
    for each in queues.values() if policy == "kueue" else ():
        each["preemption"] = {"reclaim_within_cohort": "any"}
    result = run_jobs(
        policy, {"queues": queues}, rows, nodes=3, placement=placement, columns=columns, **options
    )
    assert set(result.jobs["outcome"]) <= {"finished", "never runnable"}
    never = result.jobs.query("outcome == 'never runnable'")["job_id"]
    deserved = dict(zip("abc", own, strict=True))
    most = {name: own[i] + (borrow[i] or 24) for i, name in enumerate("abc")}
    for time, now, waits in moments(result):
        held = now.groupby("queue")["n_accelerators"].sum().to_dict()
        assert all(n <= most[name] for name, n in held.items())
        if placement == "pooled":  # on nodes, a gang may find no room
            for row in waits[~waits["job_id"].isin(never)].itertuples():
                wanted = held.get(row.queue, 0) + row.n_accelerators
                assert wanted > deserved[row.queue], (time, row.job_id)
