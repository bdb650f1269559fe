"""Quotas in a simulation: cases worked out by hand, a plain twin, and invariants."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quota_twin import QuotaTwin, TwinJob

from clustersim.engine.recovery import Recovery
from clustersim.errors import InputError
from clustersim.files import yaml_text
from clustersim.notes import forget_notes
from clustersim.scheduling import find_policy
from clustersim.scheduling.kueue import QuotaTree
from clustersim.scheduling.quotas import RESOURCE, quotas_document, read_quotas
from clustersim.simulation.check_policy import check_policy
from clustersim.simulation.result import Result
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.simulate import simulate
from clustersim.topology import Cluster, Pool
from tests.examples import examples

Row = tuple[str, float, int, float]
RECLAIM = {"reclaim_within_cohort": "any"}


def a_pool(name: str, nodes: int) -> Pool:
    return Pool(
        name=name,
        accelerator=name,
        n_nodes=nodes,
        chips_per_node=8,
        nic_Bps=float("inf"),
        scaleup_size=8,
        leaf_of_node=np.zeros(nodes, dtype=np.int32),
        unit_of_node=np.zeros(nodes, dtype=np.int32),
        virtual_clusters={},
    )


def queue(h200: object = 8, cohort: str | None = "lab", **fields: Any) -> dict[str, Any]:
    return {"quotas": {"h200": h200}, **({"cohort": cohort} if cohort else {}), **fields}


def run(
    queues: Mapping[str, Any],
    rows: list[Row],
    *,
    nodes: int = 2,
    priority: list[int] | None = None,
    cohorts: Mapping[str, Any] | None = None,
    h20: int = 0,
    placement: str = "consolidate",
    columns: Mapping[str, Any] | None = None,
    recovery: Recovery | None = None,
    **options: Any,
) -> Result:
    """Simulate jobs, given as queue, submission, size and duration."""
    names, submit_s, sizes, run_s = (list(column) for column in zip(*rows, strict=True))
    table = {"submit_s": submit_s, "n_accelerators": sizes, "duration_s": run_s, "queue": names}
    jobs = pd.DataFrame({"job_id": range(len(rows)), **table, **(columns or {})})
    if priority is not None:
        jobs["priority"] = priority
    quotas = {"queues": queues, **({"cohorts": cohorts} if cohorts else {})}
    pools = (a_pool("h200", nodes), *([a_pool("h20", h20)] if h20 else []))
    options = {"quotas": quotas, **options}
    scheduling = Scheduling(policy="kueue", placement=placement, options=options, choose="listed")
    return simulate(jobs, Cluster("lab", pools), scheduling, recovery=recovery, check=True)


def spans(result: Result) -> dict[int, list[tuple[float, float]]]:
    """Start and end of each attempt by job."""
    if result.attempts is None:
        rows = zip(result.jobs["start_s"], result.jobs["finish_s"], strict=True)
        return {job: [span] for job, span in enumerate(rows)}
    groups = result.attempts.groupby("job_id")
    return {int(job): list(zip(own["start_s"], own["end_s"], strict=True)) for job, own in groups}


def test_a_queue_borrows_what_others_do_not_use():
    rows = [("a", 0, 8, 10), ("a", 0, 8, 10), ("b", 5, 8, 10)]
    # Without reclaiming, the quota of b comes back when the borrower ends.
    assert spans(run({"a": queue(), "b": queue()}, rows)) == {
        0: [(0, 10)],
        1: [(0, 10)],
        2: [(10, 20)],
    }
    apart = {"a": queue(cohort=None), "b": queue(cohort=None)}
    assert spans(run(apart, rows)) == {0: [(0, 10)], 1: [(10, 20)], 2: [(5, 15)]}


def test_limits_of_borrowing_and_lending():
    rows = [("a", 0, 8, 10), ("a", 0, 4, 10), ("a", 0, 4, 10)]
    half = {"a": queue({"nominal": 8, "borrow_limit": 4}), "b": queue()}
    assert spans(run(half, rows)) == {0: [(0, 10)], 1: [(0, 10)], 2: [(10, 20)]}
    kept = {"a": queue(), "b": queue({"nominal": 8, "lend_limit": 4})}
    assert spans(run(kept, rows)) == {0: [(0, 10)], 1: [(0, 10)], 2: [(10, 20)]}


def test_quota_that_was_lent_is_reclaimed_from_the_latest_borrower():
    rows = [("a", 0, 8, 10), ("a", 1, 4, 10), ("a", 2, 4, 10), ("b", 5, 4, 10)]
    queues = {"a": queue(), "b": queue(preemption=RECLAIM)}
    # The last job of a stops at 5 s, after 3 of 10 s, and goes on when the first one ends.
    expected = {0: [(0, 10)], 1: [(1, 11)], 2: [(2, 5), (10, 17)], 3: [(5, 15)]}
    assert spans(run(queues, rows)) == expected
    assert spans(run(queues, rows, cost=2)) == {**expected, 2: [(2, 5), (10, 19)]}
    again = run(queues, rows, preempt_by="requeue")  # from its beginning
    assert spans(again) == {**expected, 2: [(2, 5), (10, 20)]}


def test_the_order_of_victims_is_an_option():
    # At 10 s, the jobs have run 2 x 10, 8 x 4 and 6 x 1 accelerator-seconds.
    rows = [("a", 0, 2, 50), ("a", 6, 8, 50), ("a", 9, 6, 50), ("b", 10, 2, 10)]
    queues = {"a": queue(), "b": queue(preemption=RECLAIM)}

    def stopped(priority: list[int], **options: Any) -> list[int]:
        result = run(queues, rows, priority=priority, **options)
        return [job for job, own in spans(result).items() if len(own) > 1]

    assert stopped([0, 0, 0, 0]) == [2]
    assert stopped([0, 0, 1, 0]) == [1]
    assert stopped([0, 0, 1, 0], victims="latest_start") == [2]
    assert stopped([0, 0, 1, 0], victims="least_lost_work") == [2]
    rows[2] = ("a", 5, 6, 50)  # has run 6 x 5, more than job 0
    rows.sort(key=lambda row: row[1])
    assert stopped([0, 0, 0, 0], victims="least_lost_work") == [0]
    assert stopped([1, 0, 0, 0], victims="least_lost_work", fair_sharing=True) == [0]


def test_a_job_that_saves_its_state_holds_its_quota_until_it_leaves():
    rows = [("a", 0, 16, 20), ("b", 5, 8, 10), ("b", 6, 8, 10)]
    saving = Recovery([[float("inf")] * 3], [0.0] * 3, restart_s=[1.0] * 3, write_s=[4.0] * 3)
    result = run({"a": queue(), "b": queue(preemption=RECLAIM)}, rows, recovery=saving)
    assert spans(result) == {0: [(0, 9), (19, 35)], 1: [(9, 19)], 2: [(9, 19)]}


def test_priorities_within_a_queue():
    rows = [("a", 0, 8, 10), ("a", 0, 8, 10), ("a", 2, 8, 10), ("a", 3, 8, 10)]
    queues = {"a": queue(16, None, preemption={"within_queue": "lower"})}
    result = run(queues, rows, priority=[0, 1, 2, 0])
    # The third job stops the only one of lower priority that is needed: the first.
    assert spans(result) == {0: [(0, 2), (10, 18)], 1: [(0, 10)], 2: [(2, 12)], 3: [(12, 22)]}


def test_a_strict_queue_waits_for_its_first_job():
    rows = [("a", 0, 4, 10), ("a", 1, 8, 10), ("a", 2, 4, 5)]
    strict = run({"a": queue(8, None, strategy="strict")}, rows)
    assert spans(strict) == {0: [(0, 10)], 1: [(10, 20)], 2: [(20, 25)]}
    best_effort = run({"a": queue(8, None)}, rows)
    assert spans(best_effort) == {0: [(0, 10)], 1: [(10, 20)], 2: [(2, 7)]}


def test_fair_sharing_divides_what_is_lent():
    rows = [("a", 0, 4, 100)] * 4 + [("b", 10, 4, 100)] * 4
    queues = {"a": queue(0, preemption=RECLAIM), "b": queue(0, preemption=RECLAIM)}
    queues["owner"] = queue(16)
    result = run(queues, rows, fair_sharing=True)
    at_20 = result.attempts
    assert at_20 is not None
    runs = at_20[(at_20["start_s"] <= 20) & (at_20["end_s"] > 20)]
    assert sorted(runs["job_id"] // 4) == [0, 0, 1, 1]
    # Without fair sharing, b waits for the end of a job.
    assert run(queues, rows).jobs["start_s"].tolist() == [0] * 4 + [100] * 4


def test_each_pool_has_its_own_quota():
    rows = [("a", 0, 8, 10), ("a", 0, 8, 10), ("a", 0, 8, 10)]
    queues = {"a": {"quotas": {"h20": 8, "h200": 8}}}
    # Two nodes of each pool; the queue owns one of each. The preferred pool comes first.
    result = run(queues, rows, h20=2)
    assert result.jobs["pool"].tolist() == ["h200", "h20", "h200"]
    assert result.jobs["start_s"].tolist() == [0, 0, 10]
    together = run({"a": {"quotas": {"all": 24}}}, rows, h20=2)
    assert together.jobs["pool"].tolist() == ["h200", "h200", "h20"]


def test_cohorts_of_cohorts_lend_within_their_limits():
    cohorts = {
        "company": {},
        "vision": {"parent": "company", "quotas": {"h200": {"nominal": 0, "borrow_limit": 4}}},
        "speech": {"parent": "company"},
    }
    queues = {"v": queue(8, "vision"), "s": queue(8, "speech")}
    rows = [("v", 0, 8, 10), ("v", 0, 4, 10), ("v", 0, 4, 10)]
    result = run(queues, rows, cohorts=cohorts)
    assert spans(result) == {0: [(0, 10)], 1: [(0, 10)], 2: [(10, 20)]}


def test_a_gang_with_quota_waits_for_room_on_nodes():
    # 2 accelerators of each node are free, but not 4 of one. The gang of 4 holds its quota until it
    # starts, so that the last job waits although it would fit.
    rows = [("a", 0, 6, 5), ("a", 0, 6, 20), ("a", 1, 4, 10), ("a", 2, 2, 1)]
    assert run({"a": queue(16, None)}, rows).jobs["start_s"].tolist() == [0, 0, 5, 5]
    pooled = run({"a": queue(16, None)}, rows, placement="pooled")
    assert pooled.jobs["start_s"].tolist() == [0, 0, 1, 5]


def test_jobs_beyond_all_quotas_never_run():
    rows = [("a", 0, 16, 10), ("a", 0, 8, 10), ("b", 0, 1, 10)]
    queues = {"a": queue({"nominal": 8, "borrow_limit": 4}), "b": {"quotas": {}, "cohort": "lab"}}
    jobs = run({**queues, "c": queue()}, rows).jobs
    assert jobs["outcome"].tolist() == ["never runnable", "finished", "never runnable"]
    assert "at most 12 accelerators of h200" in jobs["reason"].iloc[0]
    assert "has no quota of the pools that the job can use (h200)" in jobs["reason"].iloc[2]


SOME_JOB: list[Row] = [("a", 0, 1, 1)]


@pytest.mark.parametrize(
    ("queues", "arguments", "message"),
    [
        ({"b": queue()}, {}, "1 job is in queues that are not listed, such as 'a'"),
        ({"a": {"quotas": {"h2000": 8}}}, {}, "no pool 'h2000'; did you mean 'h200'"),
        ({"a": queue(cohrt="x")}, {}, "queues.a.cohrt: unknown key; did you mean 'cohort'"),
        ({"a": queue({"nominal": 8, "lend_limit": 1}, None)}, {}, "lend_limit: needs a cohort"),
        ({"a": queue()}, {"cohorts": {"labs": {}}}, "'lab' is not listed under cohorts; did you"),
        ({"a": queue()}, {"cohorts": {"lab": {"parent": "lab"}}}, "circle: lab > lab"),
        ({"a": queue()}, {"by": "team"}, "have no column 'team', which option by names"),
        ({"a": queue()}, {"priority": [0.5]}, "priority: must be whole numbers"),
        ({"a": {"quotas": {"all": 8, "h200": 8}}}, {}, "only one of the two is possible"),
        ({"a": queue()}, {"strategies": []}, "option strategies: is empty"),
    ],
)
def test_mistakes_are_named(queues: dict[str, Any], arguments: dict[str, Any], message: str):
    with pytest.raises(InputError) as error:
        run(queues, SOME_JOB, **arguments)
    assert message in str(error.value)


def test_the_file_is_relative_to_the_folder(tmp_path: Path):
    (tmp_path / "quotas.yaml").write_text(yaml_text({"queues": {"a": queue()}}))
    policy = find_policy("kueue", options={"quotas": "quotas.yaml"}, folder=tmp_path)
    assert policy.__dict__["quotas"] == tmp_path / "quotas.yaml"
    with pytest.raises(InputError, match=r"missing\.yaml"):
        find_policy("kueue", options={"quotas": "missing.yaml"}, folder=tmp_path)
    with pytest.raises(InputError, match="needs the option quotas"):
        simulate(
            pd.DataFrame({"job_id": [1], "submit_s": 0, "n_accelerators": 1, "duration_s": 1}),
            Cluster("lab", (a_pool("h200", 1),)),
            Scheduling(policy="kueue"),
        )


def test_ranges_of_sizes_are_said_to_be_ignored(capsys: pytest.CaptureFixture[str]):
    forget_notes()
    columns = {"n_accelerators": [2], "min_accelerators": [1], "max_accelerators": [4]}
    result = run({"a": queue()}, SOME_JOB, columns=columns)
    assert result.jobs["outcome"].tolist() == ["finished"]
    said = capsys.readouterr().err
    assert said.count("without partial admission") == 1
    assert said.count("1 job could run with more accelerators") == 1
    forget_notes()
    run({"a": queue()}, SOME_JOB, columns={**columns, "min_accelerators": 2, "max_accelerators": 2})
    assert "without" not in capsys.readouterr().err


def test_the_rules_of_scheduling_hold():
    everyone = {"quotas": {"all": 80}, "preemption": {"within_queue": "lower"}}
    options = {"quotas": {"default": "all", "queues": {"all": everyone}}}
    assert {f.problem for f in check_policy("kueue", options=options)} == {""}


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Files of quotas with three queues and two levels of cohorts."""
    limit = st.none() | st.integers(0, 12)
    victims = st.sampled_from(["never", "lower", "lower_or_newer_equal", "any"])

    def quotas(*, limits: bool = True) -> dict[str, Any]:
        found = {"nominal": draw(st.integers(0, 16))}
        if limits:
            given = {"borrow_limit": draw(limit), "lend_limit": draw(limit)}
            found |= {name: value for name, value in given.items() if value is not None}
        return {"h200": found, "h20": draw(st.integers(0, 16))}

    queues = {
        name: {
            "quotas": quotas(),
            "cohort": draw(st.sampled_from(["top", "low"])),
            "weight": draw(st.sampled_from([0.5, 1, 2])),
            "strategy": draw(st.sampled_from(["best_effort", "strict"])),
            "preemption": {
                "within_queue": draw(victims),
                "reclaim_within_cohort": draw(victims),
                **({"borrow_within_cohort": {"policy": "lower"}} if draw(st.booleans()) else {}),
            },
        }
        for name in "abc"
    }
    cohorts = {
        "top": {"quotas": quotas(limits=False)},
        "low": {"parent": "top", "quotas": quotas()},
    }
    return {"queues": queues, "cohorts": cohorts}


logs = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.integers(0, 40), st.sampled_from([1, 2, 4, 8, 16]),
        st.integers(1, 30), st.integers(0, 2),
    ),
    min_size=1,
    max_size=25,
)  # fmt: skip


def limits_broken(result: Result, document: dict[str, Any]) -> list[str]:
    """Where the accelerators in use exceed a queue's own and borrowed quota, or that of all."""
    read = read_quotas(document)
    tree = QuotaTree(read.queues, read.cohorts)
    jobs = result.jobs.set_index("job_id")
    spans = result.attempts if result.attempts is not None else result.jobs
    ends = "end_s" if result.attempts is not None else "finish_s"
    found = []
    for time in spans["start_s"].dropna().unique():
        now = spans[(spans["start_s"] <= time) & (spans[ends] > time)]
        rows = jobs.loc[now["job_id"]]
        for pool in ("h200", "h20"):
            there = rows[now["pool"].to_numpy() == pool]
            used = there.groupby("queue")["n_accelerators"].sum()
            for name, n in used.items():
                if n > tree.potentially_available(str(name), (pool, RESOURCE)):
                    found.append(f"{name} uses {n} of {pool} at {time}")
            root = tree.ledger((pool, RESOURCE)).subtree[tree.cohort_node["top"]]
            kept = sum(tree.ledger((pool, RESOURCE)).local)
            if used.sum() > root + kept:
                found.append(f"all use {used.sum()} of {pool} at {time}")
    return found


@settings(max_examples=examples(25), deadline=None)
@given(document=documents(), log=logs, fair=st.booleans())
def test_no_queue_uses_more_than_it_may_and_every_job_ends(
    document: dict[str, Any], log: list[tuple[str, int, int, int, int]], fair: bool
):
    log = sorted(log, key=lambda row: row[1])
    result = run(
        document["queues"],
        [row[:4] for row in log],
        nodes=8,
        h20=8,
        cohorts=document["cohorts"],
        priority=[row[4] for row in log],
        fair_sharing=fair,
    )
    assert set(result.jobs["outcome"]) <= {"finished", "never runnable"}
    assert limits_broken(result, document) == []


@settings(max_examples=examples(25), deadline=None)
@given(document=documents())
def test_a_written_file_reads_back(document: dict[str, Any]):
    read = read_quotas(document)
    written = quotas_document(read.queues, read.cohorts, strict=read.strict)
    again = read_quotas(written)
    assert again == read


@settings(max_examples=examples(40), deadline=None)
@given(
    own=st.tuples(st.integers(4, 12), st.integers(4, 12)),
    borrow=st.tuples(st.integers(0, 12), st.integers(0, 12)),
    log=logs,
    strict=st.booleans(),
)
def test_a_plain_twin_agrees(
    own: tuple[int, int],
    borrow: tuple[int, int],
    log: list[tuple[str, int, int, int, int]],
    strict: bool,
):
    rows = [
        (*row[:2], min(row[2], 4 + row[4]), *row[3:]) for row in sorted(log, key=lambda r: r[1])
    ]
    rows = [("ab"[row[0] != "a"], *row[1:]) for row in rows]
    rows = [(q, t, min(n, own["ab".index(q)]), s, p) for q, t, n, s, p in rows]
    strategy = "strict" if strict else "best_effort"
    queues = {
        name: queue(
            {"nominal": own[i], "borrow_limit": borrow[i]}, preemption=RECLAIM, strategy=strategy
        )
        for i, name in enumerate("ab")
    }
    priority = [row[4] for row in rows]
    result = run(queues, [r[:4] for r in rows], priority=priority, nodes=3, placement="pooled")
    jobs = [TwinJob(i, "ab".index(q), t, n, s, p) for i, (q, t, n, s, p) in enumerate(rows)]
    assert result.jobs["finish_s"].tolist() == QuotaTwin(own, borrow, strict, jobs).ends()
