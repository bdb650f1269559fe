"""Free accelerators that windows and hero jobs keep from jobs that wait."""

from __future__ import annotations

from pathlib import Path

from small_clusters import causes, jobs, pool, ran

import clustersim as cs
from clustersim.engine.window_driver import PlannedWindow
from clustersim.simulation.result import Result
from clustersim.simulation.simulate import NodeEvents
from clustersim.simulation.windows import Planned
from clustersim.topology import Cluster

TWO = Cluster("two", (pool("a", nodes=1), pool("b", nodes=1)))


def planned(*windows: PlannedWindow, heroes: float | None = None) -> NodeEvents:
    return NodeEvents((), planned=Planned(windows, heroes))


def test_maintenance_ahead_keeps_a_job_from_starting(tmp_path: Path) -> None:
    # From 1 s on, job 2 would run into the maintenance of both nodes at 30 s.
    update = PlannedWindow("update", "maintenance", 0, (0, 1), 30.0, 100.0)
    table = jobs((0, 8, 20), (1, 8, 50))
    result, known = ran(table, "easy", events=planned(update))
    expected = [(1, 30, "window"), (30, 100, "out_of_service")]
    assert causes(result, known, 2) == expected
    found = cs.explain(result, job=2, **known)
    assert found.intervals["detail"][0] == (
        "needs 8 on gpu, 8 to 16 free, so it fitted, but not on nodes that stay open to it for its "
        "estimate of 50 s: maintenance 'update' begins 29 s after its submission"
    )
    whole = cs.explain(result, **known).jobs.iloc[1]
    assert whole[["window_s", "out_of_service_s", "order_s"]].tolist() == [29, 70, 0]
    # Without the window, it would have started at once.
    assert found.without["start_s"].tolist()[0] == 1
    result.save(tmp_path / "run")
    loaded = Result.load(tmp_path / "run")
    assert loaded.provenance == result.provenance
    assert causes(loaded, known, 2) == expected


def test_a_window_closes_only_its_own_nodes_and_only_to_jobs_that_reach_it() -> None:
    # Node 1 is closed to job 3 from 50 s before; node 0 is free from 40 s on.
    update = PlannedWindow("update", "maintenance", 0, (1,), 60.0, 200.0, announced_s=10.0)
    table = jobs((0, 8, 40), (0, 8, 5), (12, 8, 50), (41, 8, 5))
    result, known = ran(table, "fcfs", events=planned(update))
    assert causes(result, known, 3) == [(12, 40, "window")]
    assert result.jobs["start_s"].tolist() == [0, 0, 40, 41]


def test_a_reservation_of_others() -> None:
    demo = PlannedWindow("demo", "reservation", 0, (0, 1), 50.0, 90.0, users=("ann",))
    table = jobs((0, 8, 10), (20, 8, 40), (60, 8, 5), user=["bob", "bob", "ann"])
    result, known = ran(table, "first_fit", events=planned(demo))
    assert causes(result, known, 2) == [(20, 90, "window")]
    assert result.jobs["start_s"].tolist() == [0, 90, 60]
    detail = cs.explain(result, job=2, **known).intervals["detail"][0]
    assert detail.endswith("of 40 s: reservation 'demo' begins 30 s after its submission")


def test_nodes_drained_for_a_hero_job() -> None:
    # Job 2 needs all 16 and is a hero: the free node waits for it until 100 s.
    table = jobs((0, 8, 100), (1, 16, 50), (2, 8, 200))
    result, known = ran(table, "first_fit", events=planned(heroes=0.9))
    assert causes(result, known, 3) == [(2, 100, "window"), (100, 150, "accelerators")]
    found = cs.explain(result, job=3, **known)
    assert "reserved for hero job 2 which starts 98 s after" in found.intervals["detail"][0]
    assert "hero jobs" in cs.explain(result, **known).sentence
    assert causes(result, known, 2) == [(1, 100, "accelerators")]


def test_windows_on_one_of_two_pools() -> None:
    update = PlannedWindow("update", "maintenance", 1, (0,), 30.0, 60.0)
    table = jobs((0, 8, 20), (1, 8, 50), (1, 8, 2))
    result, known = ran(table, "easy", cluster=TWO, events=planned(update))
    # Job 3 ends before the window, and overtakes job 2 on pool b; job 2 gets pool a.
    assert causes(result, known, 2) == [(1, 3, "accelerators"), (3, 20, "window")]
    table = jobs((0, 8, 20), (1, 16, 50))
    result, known = ran(table, "easy", cluster=TWO, events=planned(update), span_pools="equal")
    expected = [(1, 20, "accelerators"), (20, 30, "window"), (30, 60, "out_of_service")]
    assert causes(result, known, 2) == expected


def test_a_replay_of_accelerators_without_a_topology() -> None:
    update = {"pools": ["pool"], "at": "30 s", "duration": "60 s"}
    given = {"accelerators": 8, "policy": "easy"}
    run = cs.replay(
        jobs((0, 4, 20), (1, 2, 50)),
        policy="easy",
        accelerators=8,
        windows={"maintenance": [update]},
        provenance={"replay": given},
    )
    assert causes(run, {}, 2) == [(1, 30, "window"), (30, 90, "out_of_service")]
