"""Nodes of gangs: as ranges and one by one, as arrays and as pairs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.engine.allocation_log import AllocationLog
from clustersim.engine.node_events import NodeEvent, NodeEventKind
from clustersim.engine.node_state import JobsOnNodes, SlowNodes
from clustersim.errors import ClusterSimError, InputError
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario
from clustersim.scheduling.placements import Consolidate, ManyNodes, whole_nodes
from clustersim.simulation.node_ranges import by_node, in_ranges
from clustersim.simulation.result import Result
from clustersim.simulation.simulate import Scheduling, simulate
from tests.examples import examples
from tests.simulation.fleets import cluster, crowd, pool

repeatable = settings(derandomize=True, deadline=None, max_examples=examples(100))
CHIPS = 4
pairs_of_a_gang = st.lists(
    st.tuples(st.integers(0, 11), st.integers(1, CHIPS)), min_size=1, unique_by=lambda pair: pair[0]
)


def many(pairs: list[tuple[int, int]]) -> ManyNodes:
    nodes, chips = zip(*pairs, strict=True)
    return ManyNodes(np.array(nodes), np.array(chips))


# --- Texts --------------------------------------------------------------------------


def test_ranges_by_hand() -> None:
    table = pd.DataFrame(
        {
            "job_id": [1, 2, 3],
            "nodes": ["0-2:8,7:4", "", "5:1"],
            "n_accelerators": [28, 16, 1],
            "start_s": [0.0, 1.0, 2.0],
        }
    )
    rows = by_node(table)
    assert list(rows.columns) == ["job_id", "node", "n_accelerators", "start_s"]
    assert rows.to_numpy().tolist() == [
        [1, 0, 8, 0],
        [1, 1, 8, 0],
        [1, 2, 8, 0],
        [1, 7, 4, 0],
        [2, -1, 16, 1],
        [3, 5, 1, 2],
    ]
    again = in_ranges(rows)
    assert again["nodes"].tolist() == table["nodes"].tolist()
    assert again["n_accelerators"].tolist() == [28, 16, 1]


@repeatable
@given(gangs=st.lists(pairs_of_a_gang, max_size=6))
def test_every_gang_is_noted_as_it_is(gangs: list[list[tuple[int, int]]]) -> None:
    """The log of pairs and of arrays, its ranges as text, and the rows made from them."""
    logs = AllocationLog(), AllocationLog()
    for number, pairs in enumerate(gangs):
        logs[0].note(number, pairs)
        logs[1].note(number, many(pairs))
    plain, quick = (log.columns() for log in logs)
    for name in ("attempt", "n_ranges", "first_node", "n_nodes", "chips"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(quick, name))
    row = np.repeat(plain.attempt, plain.n_ranges)
    found: list[list[tuple[int, int]]] = [[] for _ in gangs]
    for number, first, count, chips in zip(
        row, plain.first_node, plain.n_nodes, plain.chips, strict=True
    ):
        found[number] += [(node, chips) for node in range(first, first + count)]
    assert found == gangs


@repeatable
@given(gangs=st.lists(pairs_of_a_gang, min_size=1, max_size=6))
def test_rows_of_nodes_become_ranges_and_rows_again(gangs: list[list[tuple[int, int]]]) -> None:
    rows = pd.DataFrame(
        [(number, node, chips) for number, pairs in enumerate(gangs) for node, chips in pairs],
        columns=["job_id", "node", "n_accelerators"],
    ).astype({"node": np.int32})
    ranges = in_ranges(rows)
    assert len(ranges) == len(gangs)
    pd.testing.assert_frame_equal(by_node(ranges), rows)


@pytest.mark.parametrize("text", ["x", "1-2", "1:2,", "5-3:1", "-1:8", "1:8 "])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ClusterSimError, match="is not a range of nodes"):
        by_node(pd.DataFrame({"nodes": ["0:8", text], "n_accelerators": [8, 8]}))


# --- Who is where, against a plain twin -----------------------------------------------


@repeatable
@given(data=st.data())
def test_jobs_on_nodes_are_those_of_a_plain_dict(data: st.DataObject) -> None:
    n_nodes = 12
    on_nodes, free = JobsOnNodes(n_nodes, CHIPS), [CHIPS] * n_nodes
    plain: list[dict[int, None]] = [{} for _ in range(n_nodes)]
    running: dict[int, list[tuple[int, int]]] = {}
    for job in range(data.draw(st.integers(1, 15))):
        if running and data.draw(st.booleans()):
            ended = data.draw(st.sampled_from(sorted(running)))
            pairs = running.pop(ended)
            on_nodes.remove(ended, many(pairs) if data.draw(st.booleans()) else pairs)
            for node, chips in pairs:
                del plain[node][ended]
                free[node] += chips
        asked = data.draw(pairs_of_a_gang)
        pairs = [(node, min(chips, free[node])) for node, chips in asked if free[node]]
        if pairs:
            on_nodes.add(job, many(pairs) if data.draw(st.booleans()) else pairs)
            running[job] = pairs
            for node, chips in pairs:
                plain[node][job] = None
                free[node] -= chips
        assert [on_nodes.on(node) for node in range(n_nodes)] == [list(each) for each in plain]


def test_a_gang_waits_for_its_slowest_node() -> None:
    slow = SlowNodes(4)
    gang = [(0, 8), (2, 8)]
    assert slow.slowdown(gang) == slow.slowdown(many(gang)) == 1.0
    slow.add(2, 1.5)
    slow.add(2, 3.0)
    slow.add(1, 9.0)
    assert slow.slowdown(gang) == slow.slowdown(many(gang)) == 3.0
    slow.remove(2, 3.0)
    assert slow.slowdown(gang) == slow.slowdown(many(gang)) == 1.5
    slow.remove(2, 1.5)
    assert slow.slowdown(gang) == slow.slowdown(many(gang)) == 1.0


# --- Gangs as arrays and as pairs give one schedule -----------------------------------


@pytest.mark.parametrize("policy", ["fcfs", "easy", "easy_sjbf", "conservative"])
@pytest.mark.parametrize("placement", ["consolidate", "spread"])
def test_arrays_and_pairs_are_the_same(
    policy: str, placement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With failures and slow nodes, gangs of partly used nodes, and the invariants checked."""
    log = crowd(7, 150)
    log["n_accelerators"] = log["n_accelerators"].replace({16: 20, 24: 44})
    fleet = cluster(pool("a", 7, virtual_clusters={"x": 2}), pool("b", 3))
    draw = np.random.default_rng(3)
    outages = sorted(
        NodeEvent(
            float(begin),
            float(begin + draw.integers(1, 40)),
            which := int(draw.integers(0, 2)),
            int(draw.integers(0, (7, 3)[which])),
            kind=NodeEventKind.SLOWDOWN if slowdown < np.inf else NodeEventKind.FAILURE,
            slowdown=slowdown,
        )
        for begin in draw.integers(0, 400, 40)
        for slowdown in [float(draw.choice([np.inf, np.inf, 1.5]))]
    )
    results = []
    for least in (1, 10**6):
        monkeypatch.setattr(whole_nodes, "MANY", least)
        scheduling = Scheduling(policy=policy, placement=placement)
        results.append(simulate(log, fleet, scheduling, node_events=outages, check=True))
    arrays, pairs = results
    assert arrays.attempts is not None
    assert (arrays.attempts["attempt"] > 0).sum() > 10
    for name in ("jobs", "attempts", "allocations", "utilisation", "summary"):
        pd.testing.assert_frame_equal(getattr(arrays, name), getattr(pairs, name), check_exact=True)


@repeatable
@given(data=st.data())
def test_large_gangs_take_what_the_plain_choice_takes(data: st.DataObject) -> None:
    """As the test of small clusters, on enough nodes for arrays."""
    n_nodes = 90
    placement, free = Consolidate(n_nodes, CHIPS), np.full(n_nodes, CHIPS)
    held = []
    for _ in range(data.draw(st.integers(1, 12))):
        if held and data.draw(st.booleans()):
            nodes, n = held.pop(data.draw(st.integers(0, len(held) - 1)))
            placement.give(nodes, n)
            for node, chips in nodes:
                free[node] += chips
        n = data.draw(st.one_of(st.integers(1, 9), st.integers(120, 300)))
        choice = placement.choose(n, free) if n <= free.sum() else None
        taken = placement.take(n)
        assert (taken is None) == (choice is None)
        if taken is not None and choice is not None:
            assert sorted(taken) == sorted(choice)
            held.append((taken, n))
            for node, chips in taken:
                free[node] -= chips
        assert placement.free_by_node().tolist() == free.tolist()
        assert placement.free == free.sum()


def test_a_gang_as_arrays_reads_as_pairs() -> None:
    gang = ManyNodes(np.array([3, 4, 9]), np.array([8, 8, 2]))
    assert (len(gang), gang[2], list(gang[:2])) == (3, (9, 2), [(3, 8), (4, 8)])
    assert all(type(part) is int for part in gang[0])
    whole, others = gang.whole(8)
    assert (whole.tolist(), list(others)) == ([3, 4], [(9, 2)])


# --- The tables of a run ----------------------------------------------------------------

SCENARIO = {
    "cluster": "mixed-small",
    "workload": {"generate": "large-model-lab", "jobs": 150, "load": 0.9},
    "scheduler": {"policy": "easy", "placement": "consolidate"},
    "failures": {"sources": "meta-llama3", "rate": 2000},
    "horizon": "20 d",
    "seed": 4,
}


@pytest.fixture(scope="module")
def result() -> Result:
    return run_scenario(define_scenario(SCENARIO))


def test_one_row_an_attempt_and_the_rows_of_its_nodes(result: Result) -> None:
    ranges, rows, attempts = result.allocation_ranges, result.allocations, result.attempts
    assert attempts is not None
    same = ["job_id", "n_accelerators", "start_s", "end_s"]
    pd.testing.assert_frame_equal(ranges[same], attempts[same])
    held = rows.groupby(["job_id", "start_s"], sort=False)["n_accelerators"].sum()
    assert held.tolist() == ranges["n_accelerators"].tolist()
    assert (rows["node"] >= 0).all()
    assert len(rows) > len(ranges)


def test_a_saved_table_with_a_row_for_each_node_is_read(result: Result, tmp_path: Path) -> None:
    """Earlier versions wrote one, and no hashes of the tables."""
    folder = result.save(tmp_path / "old")
    assert "nodes" in pd.read_parquet(folder / "allocations.parquet")
    result.allocations.to_parquet(folder / "allocations.parquet", index=False)
    (folder / "provenance.json").write_text(json.dumps(dict(result.provenance)))
    loaded = Result.load(folder)
    pd.testing.assert_frame_equal(loaded.allocation_ranges, result.allocation_ranges)
    pd.testing.assert_frame_equal(loaded.allocations, result.allocations)
    result.allocations.drop(columns="node").to_parquet(folder / "allocations.parquet")
    with pytest.raises(InputError, match="has neither a column nodes"):
        Result.load(folder)


def test_the_rows_of_the_first_jobs_alone(result: Result) -> None:
    first = result.first_jobs(10)
    rows = result.allocations
    expected = rows[rows["job_id"].isin(result.jobs["job_id"][:10])].reset_index(drop=True)
    pd.testing.assert_frame_equal(first.allocations, expected)


def test_memory_follows_attempts_and_not_their_nodes() -> None:
    """A gang of 4,000 nodes that fails a hundred times: one row each, few ranges in all."""
    log = pd.DataFrame(
        {"job_id": [1], "submit_s": [0.0], "n_accelerators": [32_000], "duration_s": [1e4]}
    )
    outages = [NodeEvent(10.0 * k, 10.0 * k + 1, 0, 37 * k) for k in range(1, 101)]
    scheduling = Scheduling(placement="consolidate")
    ran = simulate(log, cluster(pool("gpu", 4001)), scheduling, node_events=outages)
    assert len(ran.allocation_ranges) == 101
    assert ran.allocation_ranges["nodes"].str.len().max() < 40
    assert len(ran.allocations) == 101 * 4000
