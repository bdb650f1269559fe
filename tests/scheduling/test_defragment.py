"""Jobs that move together so that a large gang fits: by hand, and in general."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.engine.node_events import NodeEvent, NodeEventKind
from clustersim.engine.recovery import Recovery
from clustersim.engine.window_driver import PlannedWindow
from clustersim.errors import InputError
from clustersim.scheduling import Consolidate, find_policy
from clustersim.scheduling.moves import Small, moves_that_free_nodes
from clustersim.simulation.result import Result
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.simulate import NodeEvents, simulate
from clustersim.simulation.windows import Planned
from tests.examples import examples
from tests.full_counts import first_of
from tests.simulation.fleets import cluster, crowd, jobs, pool

repeatable = settings(derandomize=True, deadline=None, max_examples=examples(40))
INF = float("inf")


def run(
    log: pd.DataFrame,
    recovery: Recovery | None = None,
    events: NodeEvents | None = None,
    **options: Any,
) -> Result:
    options = {"min_run": 0, "policy": "fcfs", **options}
    scheduling = Scheduling(policy="defragment", placement="consolidate", options=options)
    fleet = cluster(pool("gpu", 2, 8))
    return simulate(log, fleet, scheduling, recovery=recovery, node_events=events, check=True)


def two_halves() -> pd.DataFrame:
    """Jobs of 4 and 4 on one node, 4 on another; the first ends, and then a gang of 8 comes."""
    return jobs([(0, 4, 100), (0, 4, 1000), (0, 4, 1000), (200, 8, 50)])


def nodes_of(result: Result, job: int) -> list[str]:
    ranges = result.allocation_ranges
    return ranges.loc[ranges["job_id"] == job, "nodes"].astype(str).tolist()


def test_a_gang_gets_a_whole_node_on_demand() -> None:
    result = run(two_halves())
    assert result.jobs["start_s"].tolist() == [0, 0, 0, 200]
    assert result.jobs["preemptions"].tolist() == [0, 0, 1, 0]
    assert nodes_of(result, 3) == ["1:4", "0:4"]
    assert nodes_of(result, 4) == ["1:8"]
    assert result.jobs["finish_s"].tolist() == [100, 1000, 1000, 250]


def test_without_it_the_gang_waits() -> None:
    result = run(two_halves(), on_demand=False)
    assert result.jobs["start_s"].tolist() == [0, 0, 0, 1000]


def test_a_move_costs_what_is_asked() -> None:
    result = run(two_halves(), cost=30)
    assert result.jobs["start_s"].tolist() == [0, 0, 0, 200]
    assert sorted(result.jobs["finish_s"].tolist()) == [100, 250, 1000, 1030]


def test_the_gang_starts_when_the_job_that_moves_has_saved() -> None:
    late = pd.concat([two_halves(), jobs([(203, 4, 60)]).assign(job_id=5)], ignore_index=True)
    result = run(late, Recovery([[INF] * 5], [4.0] * 5, restart_s=[5.0] * 5, write_s=[6.0] * 5))
    # One job stands still from 200 to 210 s and needs 5 s to restart; the last job, which comes in
    # that time, does not take the accelerators to which it moves.
    assert result.jobs["start_s"].tolist() == [0, 0, 0, 210, 260]
    assert sorted(result.jobs["finish_s"].tolist()) == [100, 260, 320, 1000, 1015]


def closed(begin: float, announced: float, *nodes: int) -> NodeEvents:
    window = PlannedWindow("update", "maintenance", 0, nodes, begin, begin + 100, announced)
    return NodeEvents((), planned=Planned((window,)))


def test_no_job_moves_to_a_node_that_closes_before_its_end() -> None:
    # Either job of 4 would move to the other node and run there for 1,000 s.
    events = closed(500, 150, 0, 1)
    assert run(two_halves(), events=events).jobs["start_s"].tolist() == [0, 0, 0, 600]
    # The window is announced while a job saves its state; then it waits like any other.
    saving = Recovery([[INF] * 4], [0.0] * 4, restart_s=[0.0] * 4, write_s=[10.0] * 4)
    late = run(two_halves(), saving, closed(500, 205, 0, 1), policy="first_fit")
    assert late.jobs["start_s"].tolist() == [0, 0, 0, 210]
    assert late.attempts is not None
    assert late.attempts.query("attempt == 1")["start_s"].min() == 600


def test_moves_stay_within_the_limit_of_an_hour_on_all_pools_together() -> None:
    halves = [(0, 4, 2000), (0, 4, 10)] * 4
    log = jobs([*halves, (40, 1, 100)])
    options = {"min_run": 0, "policy": "fcfs", "every": 30, "most_preemptions_per_hour": 1}
    scheduling = Scheduling("defragment", "consolidate", choose="listed", options=options)
    result = simulate(log, cluster(pool("a", 2, 8), pool("b", 2, 8)), scheduling, check=True)
    assert result.jobs["preemptions"].sum() == 1
    assert result.jobs["start_s"].tolist() == [0] * 8 + [40]


def test_a_job_that_runs_for_a_short_time_does_not_move() -> None:
    result = run(two_halves(), min_run=300)
    # At 300 s the jobs may move.
    assert result.jobs["start_s"].tolist() == [0, 0, 0, 300]
    log = pd.concat([two_halves(), jobs([(320, 8, 10)]).assign(job_id=5)], ignore_index=True)
    assert run(log, min_run=300).jobs["start_s"].tolist() == [0, 0, 0, 300, 350]


def test_regular_consolidation_frees_nodes_before_they_are_needed() -> None:
    result = run(two_halves(), on_demand=False, every=150)
    assert result.jobs["start_s"].tolist() == [0, 0, 0, 200]
    assert result.attempts is not None
    moved = result.attempts[result.attempts["stopped"] != ""]
    assert moved["end_s"].tolist() == [150]


def test_a_gang_smaller_than_a_node_needs_only_a_part() -> None:
    # Nodes hold 5 + 3 and 5 + 2; the two of 5 end. For a job of 6, the 2 move: 3 + 2 on one node.
    log = jobs([(0, 5, 100), (0, 3, 1000), (0, 5, 100), (0, 2, 1000), (0, 1, 1000), (200, 8, 9)])
    result = run(log)
    assert result.jobs["start_s"].tolist() == [0, 0, 0, 0, 0, 200]


@pytest.mark.parametrize("placement", ["spread", "pooled", "buddy_cells"])
def test_other_placements_move_nothing(placement: str) -> None:
    scheduling = Scheduling(policy="defragment", placement=placement, options={"every": 10})
    result = simulate(crowd(3, 60), cluster(pool("gpu", 4, 8)), scheduling, check=True)
    assert (result.jobs["outcome"] == "finished").all()
    assert "preemptions" not in result.jobs


def test_options_are_checked() -> None:
    for name, value in {"every": 0, "cost": -1, "min_run": -1, "most_moves": 0}.items():
        with pytest.raises(InputError, match=f"option {name}: must be"):
            find_policy("defragment", options={name: value})
    with pytest.raises(InputError, match="option policy"):
        find_policy("defragment", options={"policy": "las"})


# --- In general ---------------------------------------------------------------------


@repeatable
@given(data=st.data())
def test_moves_are_possible_and_make_room(data: st.DataObject) -> None:
    n_nodes, chips = data.draw(st.integers(2, 6)), data.draw(st.integers(2, 8))
    placement = Consolidate(n_nodes, chips)
    small, held = [], [0] * n_nodes
    for job in range(data.draw(st.integers(0, 12))):
        node, n = data.draw(st.integers(0, n_nodes - 1)), data.draw(st.integers(1, chips - 1))
        if held[node] + n <= chips:
            held[node] += n
            small.append(Small(job, node, n))
            placement.take_these([(node, n)], n)
    gang = data.draw(st.integers(1, placement.free + 1))
    if placement.fits_each(np.array([gang]))[0]:
        return
    moves = moves_that_free_nodes(
        placement.free_by_node(),
        chips,
        small,
        min(gang, chips),
        most_moves=99,
        enough=lambda free: placement.fits_in(gang, free),
    )
    if moves is None:
        return
    assert len({move.job for move in moves}) == len(moves)
    for move in moves:  # all targets are free before any of the jobs has left
        assert placement.has_free([(move.node, move.chips)], move.chips)
        placement.take_these([(move.node, move.chips)], move.chips)
    where = {each.job: each for each in small}
    for move in moves:
        before = where[move.job]
        assert before.node != move.node
        placement.give([(before.node, before.chips)], before.chips)
    assert placement.fits_each(np.array([gang]))[0]


@pytest.mark.parametrize(
    ("policy", "placement"),
    first_of(
        product(
            ["fcfs", "first_fit", "easy", "sjf"],
            ["consolidate", "topology_aware", "fragmentation_aware"],
        ),
        4,
    ),
)
def test_all_jobs_end_and_no_work_is_lost(policy: str, placement: str) -> None:
    log = crowd(7, 100)
    options = {"policy": policy, "every": 40, "min_run": 5, "cost": 1}
    scheduling = Scheduling(policy="defragment", placement=placement, options=options)
    result = simulate(log, cluster(pool("gpu", 4, 8)), scheduling, check=True)
    assert (result.jobs["outcome"] == "finished").all()
    assert result.jobs["preemptions"].sum() > 0
    assert result.attempts is not None
    assert result.attempts["lost_s"].sum() == 0
    kept = result.attempts.groupby("job_id")["kept_s"].sum().sort_index()
    assert kept.tolist() == pytest.approx(log["duration_s"].tolist())


def test_a_node_that_fails_while_jobs_move() -> None:
    log = crowd(9, 100, largest=12).assign(duration_s=lambda own: own["duration_s"] * 5)
    log = log.drop(columns="estimate_s")
    recovery = Recovery([[30.0] * 100], [2.0] * 100, restart_s=[1.0] * 100, write_s=[3.0] * 100)
    draw = np.random.default_rng(1)
    nodes = draw.integers(0, 6, 60).tolist()
    outages = [
        NodeEvent(begin, begin + 25.0, 0, node, kind=NodeEventKind.FAILURE)
        for begin, node in zip(np.arange(5.0, 3000.0, 50.0), nodes, strict=True)
    ]
    options = {"policy": "fcfs", "every": 20, "min_run": 0}
    scheduling = Scheduling(policy="defragment", placement="consolidate", options=options)
    fleet = cluster(pool("gpu", 6, 8))
    result = simulate(log, fleet, scheduling, node_events=outages, recovery=recovery, check=True)
    assert (result.jobs["outcome"] == "finished").all()
    assert result.attempts is not None
    stopped = result.attempts["stopped"].value_counts()
    assert stopped["node"] > 10
    assert stopped["preempted (saved)"] > 10
