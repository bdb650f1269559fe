"""One case worked out by hand for each cause of waiting."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import ClassVar

import pandas as pd
import pytest
from small_clusters import causes, jobs, pool, ran

import clustersim as cs
from clustersim.engine.node_events import NodeEvent, NodeEventKind
from clustersim.scheduling import Policy, Preempt, Start, View
from clustersim.scheduling.decisions import Decision, How
from clustersim.topology import Cluster

INF = math.inf


class Later(Policy):
    """A job that is submitted later takes the place of one that runs."""

    tracks_running: ClassVar[bool] = True
    how: How = "save"

    def decide(self, view: View) -> Iterable[Decision]:
        for job in view.waiting.tolist()[::-1]:
            for other in view.running.tolist():
                if not view.fits(job) and other < job:
                    yield Preempt(other, self.how)
            if view.fits(job):
                yield Start(job)


def test_accelerators_that_another_job_holds() -> None:
    result, known = ran(jobs((0, 16, 100), (30, 4, 10)))
    found = cs.explain(result, job=2, **known)
    assert causes(result, known, 2) == [(30, 100, "accelerators")]
    assert found.intervals["holders"][0] == [{"job": 1, "accelerators": 16.0}]
    assert found.intervals["detail"][0] == "needs 4 on gpu, 0 free; held by job 1 (16)"
    # With enough accelerators it would have started when it was submitted.
    assert found.without[["start_s", "saved_s", "share"]].to_numpy().tolist() == [[30, 70, 1]]
    assert "waited 70 s, 100 % of it because too few accelerators were free." in found.sentence


def test_a_job_behind_the_first_one_of_the_queue() -> None:
    # Job 2 needs both nodes; job 3 would fit on the free one, but may not overtake job 2.
    result, known = ran(jobs((0, 8, 100), (1, 16, 10), (2, 8, 10)))
    found = cs.explain(result, job=3, **known)
    assert causes(result, known, 3) == [(2, 100, "order"), (100, 110, "accelerators")]
    assert found.intervals["behind"].tolist()[0] == "2"
    assert (found.jobs_ahead, found.accelerators_ahead, found.behind) == (1, 16, "2")
    assert "job 2 (16 accelerators) came first under policy fcfs" in found.intervals["detail"][0]
    # Alone, it could have started at once, and so it could with more accelerators.
    assert found.without["start_s"].tolist() == [2, 2]
    assert causes(result, known, 2) == [(1, 100, "accelerators")]


def test_jobs_submitted_later_that_overtake() -> None:
    """Both nodes go from job 1 to 3 and to 4 without a pause: nothing is ever free for job 2."""
    table = jobs((0, 16, 100), (1, 16, 100), (2, 16, 100), (3, 16, 100), (310, 16, 100))
    shares = {"weight_qos": 10, "qos_priority": {"high": 2, "normal": 1}, "bf_interval": 0}
    qos = ["normal", "low", "high", "normal", "high"]
    result, known = ran(table.assign(qos=qos), "multifactor", calc_period=0, **shares)
    assert result.jobs["start_s"].tolist() == [0, 300, 100, 200, 400]
    found = cs.explain(result, job=2, **known)
    assert found.overtaken_by == (3, 4)
    assert found.sentence.endswith("It was overtaken by 2 jobs submitted later (3 and 4).")
    assert cs.explain(result, job=4, **known).overtaken_by == ()
    assert "overtaken" not in cs.explain(result, job=3, **known).sentence


def test_a_job_that_was_held_or_stopped_is_overtaken_only_while_it_waits() -> None:
    """Job 2 waits for job 1 until 100 s; job 3 starts before that, and job 4 after."""
    table = jobs((0, 8, 100), (1, 16, 10), (2, 4, 20), (105, 4, 5), after_any=["", "1", "", ""])
    table.loc[2, "duration_s"] = 120
    result, known = ran(table, "first_fit")
    assert result.jobs["start_s"].tolist() == [0, 122, 2, 105]
    assert cs.explain(result, job=2, **known).overtaken_by == (4,)


def test_easy_reserves_for_the_first_job() -> None:
    # Job 3 would run beyond the reservation of job 2 at 100 s; job 4 does not, and starts.
    result, known = ran(jobs((0, 8, 100), (1, 16, 10), (2, 8, 200), (3, 8, 20)), "easy")
    found = cs.explain(result, job=3, **known).intervals
    assert found[["begin_s", "end_s", "cause"]].to_numpy().tolist() == [
        [2, 3, "order"],
        [3, 23, "accelerators"],
        [23, 100, "order"],
        [100, 110, "accelerators"],
    ]
    assert found["detail"][0] == (
        "needs 8 on gpu, 8 free, so it fitted, but policy easy reserved accelerators for job 2 "
        "(16 accelerators); meanwhile job 4 started"
    )
    assert result.jobs["start_s"][3] == 3


def test_the_first_job_of_the_queue_changes_within_an_interval() -> None:
    # Shortest first: job 4 comes later than job 3 and is ahead of it.
    result, known = ran(jobs((0, 8, 100), (1, 16, 10), (2, 8, 300), (50, 12, 20)), "sjf")
    found = cs.explain(result, job=3, **known)
    assert found.intervals["behind"].tolist()[:1] == ["2"]
    later = cs.explain(result, job=4, **known)
    assert later.behind == "2"
    assert found.intervals["jobs_ahead"].tolist()[0] == 1


def test_free_accelerators_on_the_wrong_nodes() -> None:
    # 2 of 8 are free on each node; a gang of 4 needs 4 on one of them.
    result, known = ran(jobs((0, 6, 100), (0, 6, 200), (10, 4, 10)))
    found = cs.explain(result, job=3, **known)
    assert causes(result, known, 3) == [(10, 100, "placement")]
    assert found.intervals["free_least"].tolist() == [4]
    # Where only accelerators count, it does not wait.
    counted, its = ran(jobs((0, 6, 100), (0, 6, 200), (10, 4, 10)), placement="pooled")
    assert causes(counted, its, 3) == []


EVENTS = {
    "out_of_service": NodeEventKind.FAILURE,
    "not_delivered": NodeEventKind.LATE_DELIVERY,
    "service": NodeEventKind.SERVICE,
}


@pytest.mark.parametrize("cause", EVENTS)
def test_nodes_that_are_away(cause: str) -> None:
    events = [NodeEvent(10, 100, 0, 1, "it", EVENTS[cause])]
    result, known = ran(jobs((20, 16, 10), (105, 16, 10)), events=events)
    assert causes(result, known, 1) == [(20, 100, cause)]
    assert causes(result, known, 2) == [(105, 110, "accelerators")]


def test_a_retired_node_is_no_constraint_of_its_own() -> None:
    events = [NodeEvent(10, INF, 0, 1, "", NodeEventKind.RETIREMENT)]
    result, known = ran(jobs((0, 8, 100), (20, 8, 10)), events=events)
    assert causes(result, known, 2) == [(20, 100, "accelerators")]


def test_a_failure_is_followed_by_a_wait() -> None:
    events = [NodeEvent(10, 50, 0, 0)]
    result, known = ran(jobs((0, 16, 100)), events=events)
    found = cs.explain(result, job=1, **known)
    assert causes(result, known, 1) == [(10, 50, "out_of_service")]
    assert found.intervals["after"].tolist() == ["node_event"]
    phases = cs.explain(result, **known).phases.set_index("phase")["accelerator_hours"]
    assert phases["node_event"] == pytest.approx(16 * 40 / 3600)


def test_a_full_virtual_cluster_beside_an_empty_one() -> None:
    cluster = Cluster("shared", (pool(virtual_clusters={"a": 1, "b": 1}),))
    table = jobs((0, 8, 100), (10, 8, 10), (20, 8, 50), vc=["a", "a", "b"])
    result, known = ran(table, cluster=cluster)
    assert causes(result, known, 2) == [
        (10, 20, "partition"),
        (20, 70, "accelerators"),
        (70, 100, "partition"),
    ]
    found = cs.explain(result, job=2, **known)
    assert "would have fitted on gpu/b, which it may not use" in found.intervals["detail"][0]
    assert cs.explain(result, **known).groups["group"].tolist()[1:3] == ["gpu/a", "gpu/b"]


def test_a_preempted_job() -> None:
    result, known = ran(jobs((0, 16, 100), (50, 16, 20)), Later)
    found = cs.explain(result, job=1, **known)
    assert causes(result, known, 1) == [(50, 70, "preempted")]
    assert found.intervals["after"].tolist() == ["preemption"]
    assert "held by job 2 (16); meanwhile job 2 started" in found.intervals["detail"][0]
    assert not found.order_known


def test_a_suspended_job_waits_for_its_own_node() -> None:
    # Job 3 takes the node of job 2; the node of job 1 is free from 60 s on.
    table = jobs((0, 8, 60), (0, 8, 100), (50, 8, 30))
    result, known = ran(table, Later, how="suspend")
    assert causes(result, known, 2) == [(50, 80, "suspended")]
    pooled, its = ran(table, Later, placement="pooled", how="suspend")
    assert causes(pooled, its, 2) == [(50, 60, "suspended")]


def test_jobs_that_do_not_wait_or_never_run() -> None:
    result, known = ran(jobs((0, 8, 100), (0, 99, 10)))
    assert cs.explain(result, job=1, **known).sentence.endswith("started at once.")
    never = cs.explain(result, job=2, **known)
    assert "can never run: needs 99 accelerators" in never.sentence
    assert never.intervals.empty
    assert cs.explain(result, **known).sentence == "No job waited."


def test_a_wait_that_ends_with_the_run() -> None:
    result, known = ran(jobs((0, 16, 100), (10, 8, 10)), horizon_s=50.0)
    found = cs.explain(result, job=2, **known)
    assert causes(result, known, 2) == [(10, 50, "accelerators")]
    assert "and never started" in found.sentence


def test_the_summary_adds_up_accelerator_hours() -> None:
    result, known = ran(jobs((0, 8, 100), (1, 16, 10), (2, 8, 10)))
    found = cs.explain(result, **known)
    # Job 2 waits 99 s for accelerators; job 3 98 s for the order and 10 s for accelerators.
    assert found.hours["order"] == pytest.approx(8 * 98 / 3600)
    assert found.hours["accelerators"] == pytest.approx((16 * 99 + 8 * 10) / 3600)
    assert found.jobs["waited_for"].tolist() == ["", "accelerators", "order"]
    sizes = found.groups[found.groups["kind"] == "size"].set_index("group")
    assert sizes.loc["5-8", ["jobs", "waited"]].tolist() == [2, 1]


@pytest.mark.parametrize("how", ["save", "suspend"])
def test_an_attempt_in_several_rows_counts_once(how: str) -> None:
    # Preempted jobs on two nodes, once in one row and once with a row for each node.
    table = jobs((0, 16, 100), (50, 16, 20), (55, 8, 10))
    result, known = ran(table, Later, how=how)
    ranges = result.allocation_ranges
    rows = []
    for row in ranges.to_dict("records"):
        nodes = ["0:8", "1:8"] if row["nodes"] == "0-1:8" else [row["nodes"]]
        rows += [{**row, "nodes": each, "n_accelerators": 8} for each in nodes]
    assert len(rows) > len(ranges)
    two = dataclasses.replace(result, allocation_ranges=pd.DataFrame(rows))
    expected, found = cs.explain(result, **known), cs.explain(two, **known)
    pd.testing.assert_frame_equal(found.jobs, expected.jobs)
    for job in (1, 2, 3):
        assert causes(two, known, job) == causes(result, known, job)


@pytest.mark.parametrize("aware", [True, False])
def test_a_job_waits_for_a_round_whose_program_knows_it(aware: bool) -> None:
    known_as = "heterogeneity-aware" if aware else "heterogeneity-agnostic"
    table = jobs((0, 8, 1000), (10, 8, 100))
    options = {"heterogeneity_aware": aware, "reset": 100.0}
    result, known = ran(table, "max_min_fairness", placement="pooled", **options)
    assert causes(result, known, 2) == [(10, 360, "order")]
    detail = cs.explain(result, job=2, **known).intervals["detail"][0]
    assert f"jobs start with a round if its {known_as} program, solved at most every" in detail
