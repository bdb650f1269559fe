"""Nodes that fail and come back: small cases by hand, and what always holds."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.engine.node_events import NodeEvent, NodeEventKind, without_overlaps
from clustersim.engine.recovery import Recovery
from clustersim.errors import InputError
from clustersim.simulation.metrics import accelerator_seconds
from clustersim.simulation.result import Result
from clustersim.simulation.simulate import Scheduling, simulate
from clustersim.topology import Cluster
from tests.examples import examples
from tests.full_counts import first_of
from tests.simulation.fleets import cluster, jobs, pool

POLICIES = ("fcfs", "sjf", "easy", "easy_sjbf", "conservative")
ONE, TWO = cluster(pool("gpu", 1, 8)), cluster(pool("gpu", 2, 8))


def every(
    interval_s: float, *, cost_s: float = 0.0, restart_s: float = 0.0, n: int = 99
) -> Recovery:
    """A checkpoint every so much work, on up to three pools."""
    return Recovery([[interval_s] * n] * 3, [cost_s] * n, [restart_s] * n)


def ran(
    log: pd.DataFrame,
    fleet: Cluster,
    outages: list[NodeEvent],
    recovery: Recovery | None = None,
    policy: str = "fcfs",
    placement: str = "consolidate",
    **options: object,
) -> Result:
    scheduling = Scheduling(policy=policy, placement=placement)
    return simulate(
        log, fleet, scheduling, node_events=outages, recovery=recovery, check=True, **options
    )


def attempts(result: Result) -> list[tuple[float, ...]]:
    """Start, end, kept, lost, checkpoints, restart of each attempt."""
    table = result.attempts
    assert table is not None
    columns = ["start_s", "end_s", "kept_s", "lost_s", "checkpoint_s", "restart_s"]
    return [tuple(row) for row in table[columns].to_numpy().tolist()]


# --- By hand ------------------------------------------------------------------------


def test_a_job_without_checkpoints_begins_anew_when_its_node_is_back() -> None:
    result = ran(jobs([(0, 8, 100)]), ONE, [NodeEvent(30, 50, 0, 0, "gpu")])
    assert attempts(result) == [(0, 30, 0, 30, 0, 0), (50, 150, 100, 0, 0, 0)]
    assert result.jobs[["start_s", "finish_s"]].to_numpy().tolist() == [[0, 150]]
    assert result.outages is not None
    assert result.outages.to_dict("records") == [
        {
            "pool": "gpu", "node": 0, "n_accelerators": 8, "begin_s": 30.0, "end_s": 50.0,
            "cause": "gpu", "planned": False, "absent": False, "slowdown": math.inf,
            "kind": "failure",
        }
    ]  # fmt: skip
    steps = result.utilisation[["time_s", "allocated", "out"]].to_numpy().tolist()
    assert steps == [[0, 8, 0], [30, 0, 8], [50, 8, 0], [150, 0, 0]]
    (row,) = result.summary[result.summary["scope"] == "all"].to_dict("records")
    assert row["ettr"] == 100 / 130
    assert row["utilisation"] == 1.0, "it ran whenever the node was there"


def test_a_checkpoint_keeps_work_and_costs_time() -> None:
    """Cycles of 10 s of work and 1 s of saving: at 30 s two are whole, and 8 s are lost."""
    result = ran(
        jobs([(0, 8, 100)]), ONE, [NodeEvent(30, 50, 0, 0)], every(10, cost_s=1, restart_s=5)
    )
    # Then 80 s are left: 5 s to come back, and 7 checkpoints, none at the end.
    assert attempts(result) == [(0, 30, 20, 8, 2, 0), (50, 142, 80, 0, 7, 5)]


def test_a_failure_in_the_middle_of_a_checkpoint_or_of_a_restart() -> None:
    recovery = every(10, cost_s=4, restart_s=6)
    result = ran(
        jobs([(0, 8, 20)]), ONE, [NodeEvent(12, 13, 0, 0), NodeEvent(17, 18, 0, 0)], recovery
    )
    assert attempts(result) == [
        (0, 12, 0, 10, 2, 0),
        (13, 17, 0, 0, 0, 4),
        (18, 48, 20, 0, 4, 6),
    ]


def test_a_job_that_is_warned_loses_nothing() -> None:
    planned = NodeEvent(30, 50, 0, 0, "maintenance", kind=NodeEventKind.MAINTENANCE)
    result = ran(jobs([(0, 8, 100)]), ONE, [planned])
    assert attempts(result) == [(0, 30, 30, 0, 0, 0), (50, 120, 70, 0, 0, 0)]


def test_a_spare_node_takes_over_at_once() -> None:
    result = ran(jobs([(0, 8, 100), (1, 4, 10)]), TWO, [NodeEvent(30, 500, 0, 0)], every(10))
    assert attempts(result)[:2] == [(0, 30, 30, 0, 0, 0), (30, 100, 70, 0, 0, 0)]
    nodes = result.allocations[["job_id", "node", "start_s"]].to_numpy().tolist()
    assert nodes == [[1, 0, 0], [1, 1, 30], [2, 1, 1]]


def test_only_who_is_on_the_node_is_stopped_and_all_of_the_gang() -> None:
    log = jobs([(0, 16, 100), (0, 8, 100)])
    result = ran(log, cluster(pool("gpu", 3, 8)), [NodeEvent(40, 60, 0, 1)])
    assert attempts(result) == [
        (0, 40, 0, 40, 0, 0),
        (60, 160, 100, 0, 0, 0),
        (0, 100, 100, 0, 0, 0),
    ]


@pytest.mark.parametrize("policy", ["fcfs", "easy", "conservative"])
def test_a_stopped_job_has_its_old_place_in_the_line(policy: str) -> None:
    log = jobs([(0, 8, 100), (5, 8, 100), (6, 8, 100)])
    result = ran(log, ONE, [NodeEvent(30, 50, 0, 0)], policy=policy)
    assert result.jobs["finish_s"].tolist() == [150, 250, 350]


@pytest.mark.parametrize("policy", ["easy", "conservative"])
def test_who_looks_ahead_knows_when_a_node_is_back(policy: str) -> None:
    """The gang of 16 waits for node 1 until 100; on node 0 a short job may run before, a long one
    not.
    """
    log = jobs([(0, 16, 50), (1, 8, 60), (2, 8, 150)])
    result = ran(log, TWO, [NodeEvent(0, 100, 0, 1)], policy=policy)
    assert result.jobs["start_s"].tolist() == [100, 1, 150]


def test_a_node_that_never_comes_back() -> None:
    result = ran(
        jobs([(0, 16, 50), (1, 8, 20)]), TWO, [NodeEvent(10, math.inf, 0, 1, "gone")], policy="easy"
    )
    assert result.jobs["outcome"].tolist() == ["unfinished", "finished"]
    reason = (
        "still waiting when the simulation ended: it needs 16 accelerators on gpu, where at "
        "most 8 will ever be in service again"
    )
    assert result.jobs["reason"][0] == reason
    assert result.outages is not None
    assert result.outages["end_s"].tolist() == [math.inf]
    assert result.utilisation["out"].tolist() == [0, 8, 8], "it ends with the job on the other node"


def test_virtual_clusters_lose_their_own_nodes() -> None:
    fleet = cluster(pool("gpu", 2, 8, virtual_clusters={"a": 1}))
    log = jobs([(0, 8, 100), (0, 8, 100)], vc=["a", ""])
    result = ran(log, fleet, [NodeEvent(30, 50, 0, 1)])
    assert result.jobs["finish_s"].tolist() == [100, 150]


def test_the_horizon_ends_what_still_runs() -> None:
    result = ran(jobs([(0, 8, 100)]), ONE, [NodeEvent(30, 50, 0, 0)], every(10), horizon_s=60)
    assert result.jobs["outcome"].tolist() == ["unfinished"]
    found = attempts(result)
    assert found[0] == (0, 30, 30, 0, 0, 0)
    assert found[1] == (50, 60, 10, 0, 0, 0), "nothing is lost yet"
    assert result.summary["ettr"][0] == 1.0
    assert result.attempts["done"].tolist() == [0.3, 0.1]
    assert result.jobs["done"].tolist() == [0.4]


def test_a_run_goes_on_to_its_horizon_when_all_jobs_have_ended() -> None:
    for outages in (None, [], [NodeEvent(30, 50, 0, 0), NodeEvent(300, 350, 0, 0)]):
        log = jobs([(0, 8, 100)])
        placed = Scheduling(placement="consolidate")
        result = simulate(log, ONE, placed, node_events=outages, horizon_s=400)
        assert result.provenance["simulated_s"] == 400
        assert result.utilisation["time_s"].max() == 400
        if outages:
            assert result.outages["end_s"].tolist() == [50, 350]
            assert accelerator_seconds(result.utilisation)["available"].sum() == 8 * (400 - 20 - 50)


def test_what_is_done_without_outages() -> None:
    log = jobs([(0, 8, 100), (0, 8, 40), (0, 8, 10)])
    result = simulate(log, ONE, horizon_s=120)
    assert result.jobs["done"].tolist() == [1, 0.5, 0]


def test_what_comes_at_one_instant() -> None:
    """A job that ends just as its node fails has ended; a node is back for who comes then."""
    log = jobs([(0, 8, 30), (50, 8, 10)])
    result = ran(log, ONE, [NodeEvent(30, 50, 0, 0)])
    assert result.jobs["finish_s"].tolist() == [30, 60]
    assert len(attempts(result)) == 2


def test_a_placement_that_counts_cannot_lose_a_node() -> None:
    with pytest.raises(
        InputError,
        match="placement: failures, supply and services need a placement that tracks nodes",
    ):
        ran(jobs([(0, 8, 30)]), ONE, [NodeEvent(1, 2, 0, 0)], placement="pooled")


def test_tables_are_saved_and_read_back(tmp_path: Path) -> None:
    result = ran(jobs([(0, 8, 100)]), ONE, [NodeEvent(30, 50, 0, 0, "gpu")])
    again = Result.load(result.save(tmp_path / "out"))
    for name in ("attempts", "outages"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(result, name))
    plain = simulate(jobs([(0, 8, 100)]), ONE)
    assert Result.load(plain.save(tmp_path / "plain")).attempts is None


def test_without_outages_nothing_changes() -> None:
    log = jobs([(0, 8, 100), (5, 4, 10), (6, 8, 20)])
    plain = simulate(log, TWO, Scheduling(placement="consolidate"))
    result = ran(log, TWO, [])
    pd.testing.assert_frame_equal(result.jobs, plain.jobs)
    pd.testing.assert_frame_equal(result.allocations, plain.allocations)
    pd.testing.assert_frame_equal(result.utilisation.drop(columns="out"), plain.utilisation)


# --- What always holds ---------------------------------------------------------------

FLEETS = {
    "one pool": cluster(pool("gpu", 3, 4)),
    "two pools": cluster(pool("one", 2, 4), pool("two", 3, 2)),
    "virtual clusters": cluster(pool("gpu", 5, 4, virtual_clusters={"a": 2, "b": 1})),
}
MOMENTS = st.sampled_from([0, 0.5, 1, 2, 2.5, 3, 4, 5.5, 7, 9, 12])


@st.composite
def troubles(draw: st.DrawFn) -> list[NodeEvent]:
    """Outages of any node and slow ones, some at one instant, some one within the other."""
    found = []
    for _ in range(draw(st.integers(0, 12))):
        begin = draw(MOMENTS)
        place = draw(st.integers(0, 1)), draw(st.integers(0, 4))
        slowdown = draw(st.sampled_from([math.inf, math.inf, 1.5, 4.0]))
        stops = draw(st.sampled_from([NodeEventKind.FAILURE, NodeEventKind.MAINTENANCE]))
        kind = NodeEventKind.SLOWDOWN if slowdown < math.inf else stops
        end = begin + draw(MOMENTS)
        found.append(NodeEvent(begin, end, *place, "x", kind, slowdown))
    return sorted(found)


@st.composite
def logs(draw: st.DrawFn) -> pd.DataFrame:
    """Few jobs, some at one instant, some with wrong estimates."""
    rows, slack, now = [], [], 0.0
    for _ in range(draw(st.integers(1, 14))):
        now += draw(st.sampled_from([0, 0, 1, 2.5]))
        run = draw(st.sampled_from([0, 1, 2.5, 4, 7.1]))
        rows.append((now, draw(st.integers(1, 12)), run))
        slack.append(max(run + draw(st.sampled_from([-3, 0, 1, 5])), 0.0))
    vcs = draw(st.lists(st.sampled_from(["a", "b", ""]), min_size=len(rows), max_size=len(rows)))
    return jobs(rows, estimate_s=np.array(slack), vc=vcs)


RECOVERIES = st.sampled_from(
    [
        None,
        every(1),
        every(2, cost_s=0.5),
        every(0.7, cost_s=0.1, restart_s=0.3),
        replace(every(1, cost_s=0.25), write_s=[0.9] * 99),
    ]
)


@settings(max_examples=examples(60))
@given(log=logs(), outages=troubles(), recovery=RECOVERIES, fleet=st.sampled_from(sorted(FLEETS)))
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("placement", first_of(["consolidate", "spread"]))
def test_work_is_conserved_and_no_node_is_used_while_it_is_out(
    log: pd.DataFrame,
    outages: list[NodeEvent],
    recovery: Recovery | None,
    fleet: str,
    policy: str,
    placement: str,
) -> None:
    there = FLEETS[fleet]
    known = [
        o for o in outages if o.pool < len(there.pools) and o.node < there.pools[o.pool].n_nodes
    ]
    result = ran(log, there, known, recovery, policy, placement)
    assert set(result.jobs["outcome"]) <= {"finished", "never runnable"}
    check_work(result)
    check_nodes_in_service(result)
    use = accelerator_seconds(result.utilisation)
    held = result.allocations.assign(
        s=result.allocations["n_accelerators"]
        * (result.allocations["end_s"] - result.allocations["start_s"])
    )
    by_pool = held.groupby("pool", observed=False)["s"].sum()
    np.testing.assert_allclose(use["allocated"].to_numpy(), by_pool.to_numpy(), atol=1e-9)
    assert (use["allocated"] <= use["available"] + 1e-9).all()


def check_work(result: Result) -> None:
    """Kept work of all attempts is the job's work; the parts of an attempt are its time."""
    table = result.attempts
    assert table is not None
    parts = table[["kept_s", "lost_s", "checkpoint_s", "restart_s", "slow_s"]]
    assert (parts >= -1e-12).all(axis=None)
    np.testing.assert_allclose(parts.sum(axis=1), table["end_s"] - table["start_s"], atol=1e-9)
    kept = table.groupby("job_id")["kept_s"].sum()
    ran_to_the_end = result.jobs[result.jobs["outcome"] == "finished"].set_index("job_id")
    np.testing.assert_allclose(kept, ran_to_the_end["duration_s"], atol=1e-9)
    done = table.groupby("job_id")["done"].sum()
    np.testing.assert_allclose(done, ran_to_the_end["done"], atol=1e-9)
    for _, own in table.groupby("job_id"):
        assert (own["start_s"].to_numpy()[1:] >= own["end_s"].to_numpy()[:-1]).all()


def check_nodes_in_service(result: Result) -> None:
    assert result.outages is not None
    out = result.outages[result.outages["slowdown"] == math.inf]
    for outage in out.to_dict("records"):
        here = result.allocations[
            (result.allocations["pool"] == outage["pool"])
            & (result.allocations["node"] == outage["node"])
        ]
        apart = (here["end_s"] <= outage["begin_s"]) | (here["start_s"] >= outage["end_s"])
        assert apart.all()


@given(troubles())
def test_outages_of_a_node_do_not_overlap(outages: list[NodeEvent]) -> None:
    found = list(without_overlaps(outages))
    slow = [outage for outage in outages if outage.slows]
    assert [outage for outage in found if outage.slows] == slow, "all of them"
    found = [outage for outage in found if not outage.slows]
    assert found == sorted(found)
    for one, two in itertools.combinations(found, 2):
        assert (one.pool, one.node) != (two.pool, two.node) or one.end_s <= two.begin_s
    for outage in outages:  # a planned one is served to its end
        if outage.kind.planned and outage.end_s > outage.begin_s:
            own = [o for o in found if (o.pool, o.node) == (outage.pool, outage.node)]
            assert any(o.begin_s <= outage.end_s <= o.end_s for o in own)


def test_what_has_no_overlaps_is_not_looked_at_again() -> None:
    """A scenario's outages pass once: twice gives the same, and the same iterator."""
    outages = [NodeEvent(0, 5, 0, 0), NodeEvent(3, 4, 0, 0), NodeEvent(6, 7, 0, 0)]
    found = without_overlaps(outages)
    assert without_overlaps(found) is found
    assert next(found) == outages[0]
    assert list(found) == [outages[2]]
