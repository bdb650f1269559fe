"""Nodes that fail, are maintained or reserved while a job saves its state to start on them."""

from collections.abc import Iterator
from typing import ClassVar

import pandas as pd
import pytest

import clustersim as cs
from clustersim import Scheduling
from clustersim.engine.node_events import NodeEvent, NodeEventKind
from clustersim.engine.recovery import Recovery
from clustersim.engine.window_driver import PlannedWindow
from clustersim.scheduling import Migrate, Policy, Resize, Start, View, Wake
from clustersim.scheduling.decisions import Decision
from clustersim.simulation.simulate import NodeEvents
from clustersim.simulation.windows import Planned
from tests.simulation.fleets import cluster, jobs, pool

FAILURE, MAINTENANCE = NodeEventKind.FAILURE, NodeEventKind.MAINTENANCE
LAB = cluster(pool("a", 2), pool("b", 2))


class Moves(Policy):
    """Starts jobs where they fit, and moves job 0 at 5 s."""

    tracks_running: ClassVar[bool] = True
    whole_cluster: ClassVar[bool] = True
    move: ClassVar[Decision]

    def decide(self, view: View) -> Iterator[Decision]:
        yield from (Start(job) for job in view.waiting.tolist() if view.fits(job))
        if view.now == 5.0:
            yield self.move
        elif view.now < 5.0:
            yield Wake(5.0)


def run(
    move: Decision, events: list[NodeEvent], *windows: PlannedWindow, n: int = 8, span: bool = False
) -> cs.Result:
    """Run job 0 of n accelerators and 100 s, which takes 10 s to save its state."""
    table = jobs([(0.0, n, 100.0)], user=["x"], min_accelerators=[8], max_accelerators=[24])
    scheduling = Scheduling(
        type("Moves", (Moves,), {"move": move}),
        placement="consolidate",
        choose="listed",
        span_pools="equal" if span else None,
    )
    saves = Recovery([[50.0]] * 2, [10.0], [0.0])
    planned = NodeEvents(events, planned=Planned(windows))
    return cs.simulate(table, LAB, scheduling, recovery=saves, node_events=planned, check=True)


def attempts(result: cs.Result) -> list[tuple[str, float, float]]:
    assert isinstance(result.attempts, pd.DataFrame)
    columns = result.attempts[["pool", "start_s", "end_s"]]
    return [tuple(row) for row in columns.itertuples(index=False)]


@pytest.mark.parametrize("kind", [FAILURE, MAINTENANCE])
def test_a_target_that_is_lost_while_the_job_saves_is_given_back(kind):
    """The job leaves at 15 s as asked; with both nodes of b away until 30 s, it stays on a."""
    lost = [NodeEvent(10.0, 30.0, 1, node, "x", kind) for node in (0, 1)]
    assert attempts(run(Migrate(0, "b"), lost)) == [("a", 0.0, 15.0), ("a", 15.0, 120.0)]
    # Another node than the one that is held does not matter.
    other = attempts(run(Migrate(0, "b"), [NodeEvent(10.0, 30.0, 1, 1, "x", kind)]))
    assert other == [("a", 0.0, 15.0), ("b", 15.0, 120.0)]


@pytest.mark.parametrize("kind", [FAILURE, MAINTENANCE])
def test_accelerators_to_grow_by_are_given_back(kind):
    result = run(Resize(0, 16), [NodeEvent(10.0, 30.0, 0, 1, "x", kind)])
    assert attempts(result) == [("a", 0.0, 15.0), ("a", 15.0, 120.0)]
    assert result.allocations["n_accelerators"].tolist() == [8, 8]


@pytest.mark.parametrize("kind", [FAILURE, MAINTENANCE])
def test_a_job_on_several_pools_gives_up_its_move_too(kind):
    """It has 16 accelerators of a and node 0 of b; node 1 is held for it, and lost until 14 s."""
    lost = [NodeEvent(10.0, 14.0, 1, 1, "x", kind)]
    result = run(Migrate(0, "b", size=8), lost, n=24, span=True)
    assert attempts(result) == [("a", 0.0, 15.0), ("a", 15.0, 120.0)]


def test_a_job_does_not_arrive_on_nodes_that_a_window_has_closed_meanwhile():
    both = PlannedWindow("r", "reservation", 1, (0, 1), 10.0, 30.0, 7.0, users=("u",))
    assert attempts(run(Migrate(0, "b"), [], both))[1][:2] == ("a", 15.0)
    later = PlannedWindow("r", "reservation", 1, (0, 1), 50.0, 60.0, 7.0, users=("u",))
    assert attempts(run(Migrate(0, "b"), [], later))[1][:2] == ("a", 15.0)
    own = PlannedWindow("r", "reservation", 1, (0, 1), 10.0, 30.0, 7.0, users=("x",))
    assert attempts(run(Migrate(0, "b"), [], own))[1][:2] == ("b", 15.0)


def spanning(kind: str, of_pool: int) -> cs.Result:
    table = jobs([(0.0, 24, 100.0)], user=["x"])
    window = PlannedWindow("w", kind, of_pool, (0, 1), 20.0, 60.0, 20.0, users=("u",))
    planned = NodeEvents((), planned=Planned((window,)))
    scheduling = Scheduling("first_fit", placement="consolidate", span_pools="equal")
    return cs.simulate(table, LAB, scheduling, node_events=planned, check=True)


@pytest.mark.parametrize("of_pool", [0, 1])
def test_a_reservation_clears_all_pools_of_a_job(of_pool):
    """16 + 8 accelerators from 0 s; stopped at 20 s, it has room again at 60 s."""
    result = spanning("reservation", of_pool)
    assert result.jobs["finish_s"].tolist() == [140.0]
    assert result.windows["stopped"].tolist() == [1]


def test_jobs_that_a_maintenance_of_several_pools_stops_are_counted_once():
    table = jobs([(0.0, 16, 100.0), (0.0, 16, 100.0)])
    scheduling = Scheduling("easy", placement="consolidate")
    both = [
        PlannedWindow("m", "maintenance", index, (0, 1), 50.0, 60.0, 49.0) for index in range(2)
    ]
    planned = NodeEvents((), planned=Planned(both))
    result = cs.simulate(table, LAB, scheduling, node_events=planned, check=True)
    assert result.windows["stopped"].tolist() == [1, 1]
