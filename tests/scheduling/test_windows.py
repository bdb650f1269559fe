"""Windows that are known in advance: cases worked out by hand, a plain twin, and invariants."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import nodes as one_pool
from windows_twin import TwinJob, TwinWindow, WindowsTwin

from clustersim.engine.window_driver import PlannedWindow
from clustersim.errors import InputError
from clustersim.simulation.result import Result
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.simulate import simulate
from tests.examples import examples

POLICIES = (
    *("fcfs", "first_fit", "easy", "easy_sjbf", "conservative", "priority", "multifactor"),
    *("sjf", "largest_first", "srtf", "las", "qssf", "drf"),
)
Row = tuple[float, int, float]


def run(
    policy: str, rows: list[Row], windows: list[PlannedWindow], n_nodes: int = 2, **columns: Any
) -> Result:
    """Simulate jobs, given as submission, size and duration, on nodes of eight accelerators."""
    jobs = pd.DataFrame(rows, columns=["submit_s", "n_accelerators", "duration_s"], dtype=float)
    jobs = jobs.astype({"n_accelerators": int}).assign(job_id=range(len(rows)), **columns)
    options = {"bf_interval": 0} if policy == "multifactor" else {}
    scheduling = Scheduling(policy=policy, placement="consolidate", options=options)
    return simulate(jobs, one_pool(n_nodes, 8), scheduling, windows=windows, check=True)


def maintenance(begin: float, end: float, *nodes: int, **fields: Any) -> PlannedWindow:
    return PlannedWindow("update", "maintenance", 0, nodes, begin, end, **fields)


def reservation(begin: float, end: float, *nodes: int, **fields: Any) -> PlannedWindow:
    return PlannedWindow("demo", "reservation", 0, nodes, begin, end, **fields)


def starts(result: Result) -> list[float]:
    return result.jobs["start_s"].tolist()


def spans(result: Result) -> dict[int, list[tuple[float, float]]]:
    assert result.attempts is not None, "a run with windows has attempts"
    groups = result.attempts.groupby("job_id")
    return {int(job): list(zip(own["start_s"], own["end_s"], strict=True)) for job, own in groups}


ROWS = [(0.0, 8, 50.0), (0.0, 16, 100.0), (1.0, 8, 40.0), (1.0, 8, 30.0)]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        # The second job would run into the window, so it and all behind it wait.
        ("fcfs", [0, 200, 300, 300]),
        # The third and the fourth job end before the window.
        ("first_fit", [0, 200, 1, 41]),
        ("easy", [0, 200, 1, 41]),
        ("conservative", [0, 200, 1, 41]),
        ("priority", [0, 200, 1, 41]),
        ("multifactor", [0, 200, 1, 41]),
        # The shorter of the two first.
        ("easy_sjbf", [0, 200, 31, 1]),
        ("sjf", [0, 200, 31, 1]),
    ],
)
def test_the_time_before_a_window_is_used_by_jobs_that_end_before_it(
    policy: str, expected: list[float]
):
    result = run(policy, ROWS, [maintenance(80, 200, 0, 1)])
    assert starts(result) == expected
    assert result.outages is not None
    assert result.outages["cause"].tolist() == ["update", "update"]
    assert result.outages["begin_s"].tolist() == [80, 80]


@pytest.mark.parametrize("policy", ["first_fit", "easy", "conservative", "priority"])
def test_reserved_accelerators_are_for_their_users(policy: str):
    demo = reservation(20, 100, 0, users=("c",))
    result = run(policy, ROWS, [demo], user=["a", "b", "a", "c"])
    # The first job takes the other node, and the fourth one the reserved one; the third job has to
    # wait for the first, as it would be on the reserved node at 20 s.
    assert starts(result) == [0, 100, 50, 1]


def test_what_still_runs_is_stopped_or_let_finish():
    rows = [(0.0, 16, 100.0), (0.0, 8, 10.0)]
    # It is announced when the first job runs already.
    stopped = run("easy", rows, [maintenance(50, 80, 0, announced_s=20)])
    assert spans(stopped) == {0: [(0, 50), (80, 130)], 1: [(50, 60)]}
    finished = run("easy", rows, [maintenance(50, 80, 0, announced_s=20, lets_finish=True)])
    assert spans(finished) == {0: [(0, 100)], 1: [(100, 110)]}
    assert finished.outages is not None and finished.outages.empty
    rows.append((150.0, 16, 10.0))
    late = run("easy", rows, [maintenance(50, 180, 0, announced_s=20, lets_finish=True)])
    assert late.outages is not None
    assert late.outages[["begin_s", "end_s"]].to_numpy().tolist() == [[100, 180]]
    assert spans(late)[2] == [(180, 190)]
    cleared = run("easy", rows[:2], [reservation(50, 80, 0, announced_s=20, jobs=("1",))])
    assert spans(cleared) == {0: [(0, 50), (80, 130)], 1: [(50, 60)]}


def test_a_job_that_runs_past_its_estimate_is_stopped():
    result = run("easy", [(0.0, 8, 100.0)], [maintenance(50, 80, 0, 1)], estimate_s=[40.0])
    assert spans(result) == {0: [(0, 50), (80, 130)]}


def test_a_window_that_is_not_announced_yet_stops_no_start():
    result = run("fcfs", [(10.0, 16, 100.0)], [maintenance(50, 80, 0, 1, announced_s=11)])
    assert spans(result) == {0: [(10, 50), (80, 140)]}


def test_rolling_maintenance_keeps_a_gang_of_three_of_four_nodes_going():
    rolling = [maintenance(100 + 50 * k, 150 + 50 * k, k) for k in range(4)]
    rows = [(0.0, 24, 60.0), (90.0, 24, 40.0), (90.0, 24, 60.0)]
    # The second job runs on nodes 1 to 3 until 130 s.  From then on, one of the three nodes that are
    # open closes within 60 s, until the last window begins at 250 s and leaves nodes 0 to 2.
    assert starts(run("easy", rows, rolling, n_nodes=4)) == [0, 90, 250]


def test_windows_that_cannot_be_are_refused():
    update = maintenance(50, 80, 0)
    for windows, words in [
        ([maintenance(50, 80, 5)], "pool gpu has no node 5; nodes are 0 to 1"),
        ([update, reservation(70, 90, 0, 1)], "update and demo overlap on node 0"),
        ([maintenance(50, 40, 0)], "must begin at 0 s or later, and end after that"),
        ([maintenance(50, 60)], "has no nodes"),
    ]:
        with pytest.raises(InputError, match=words):
            run("easy", ROWS, windows)
    jobs = run("easy", ROWS, []).jobs[["job_id", "submit_s", "n_accelerators", "duration_s"]]
    with pytest.raises(InputError, match="needs? a placement that tracks nodes"):
        simulate(jobs, one_pool(2, 8), Scheduling(placement="pooled"), windows=[update])
    with pytest.raises(InputError, match="no job has the user 'an'; did you mean 'ann'"):
        run("easy", ROWS, [reservation(5, 9, 0, users=("an",))], user="ann")
    with pytest.raises(InputError, match="have no column user"):
        run("easy", ROWS, [reservation(5, 9, 0, users=("an",))])


# --- Twin -------------------------------------------------------------------------------------

CHIPS = 2


@st.composite
def cases(draw: st.DrawFn, most_jobs: int = 10) -> tuple[int, list[TwinJob], list[TwinWindow]]:
    """Nodes, jobs and windows that crowd them.  Run times are exact in parts of one another."""
    n_nodes = draw(st.integers(1, 4))
    jobs, now = [], 0
    for _ in range(draw(st.integers(1, most_jobs))):
        now += draw(st.sampled_from([0, 0, 1, 3, 8]))
        n, run_s = draw(st.integers(1, n_nodes * CHIPS)), draw(st.sampled_from([1, 2, 4, 8, 16]))
        jobs.append(TwinJob(now, n, run_s, draw(st.sampled_from([1, 1, 2]))))
    windows, free_from = [], [0] * n_nodes
    for _ in range(draw(st.integers(0, 3))):
        chosen = draw(st.sets(st.integers(0, n_nodes - 1), min_size=1))
        begin = max(free_from[node] for node in chosen) + draw(st.integers(1, 12))
        end = begin + draw(st.integers(1, 12))
        kind = draw(st.sampled_from(["maintenance", "reservation"]))
        may_use = draw(st.sets(st.integers(0, len(jobs) - 1))) if kind == "reservation" else set()
        announced = max(0, begin - draw(st.sampled_from([0, 3, 99])))
        windows.append(TwinWindow(kind, chosen, begin, end, announced, draw(st.booleans()), may_use))
        for node in chosen:
            free_from[node] = end
    return n_nodes, jobs, windows


def simulated(
    policy: str, n_nodes: int, jobs: list[TwinJob], windows: list[TwinWindow], **options: Any
) -> Result:
    table = pd.DataFrame(
        {
            "job_id": range(len(jobs)),
            "submit_s": [float(job.submit) for job in jobs],
            "n_accelerators": [job.n for job in jobs],
            "duration_s": [float(job.run) for job in jobs],
            "estimate_s": [float(job.run * job.factor) for job in jobs],
        }
    )
    planned = [
        PlannedWindow(
            f"w{number}",
            "maintenance" if each.kind == "maintenance" else "reservation",
            0,
            tuple(sorted(each.nodes)),
            each.begin,
            each.end,
            each.announced,
            each.lets_finish,
            jobs=tuple(map(str, sorted(each.may_use))),
        )
        for number, each in enumerate(windows)
    ]
    scheduling = Scheduling(policy=policy, placement="consolidate", options=options)
    return simulate(table, one_pool(n_nodes, CHIPS), scheduling, windows=planned, check=True)


@pytest.mark.parametrize("policy", ["fcfs", "first_fit", "easy"])
@settings(max_examples=examples(100))
@given(case=cases())
def test_twin(policy: str, case: tuple[int, list[TwinJob], list[TwinWindow]]):
    n_nodes, jobs, windows = case
    result = simulated(policy, n_nodes, jobs, windows)
    twin = WindowsTwin(jobs, windows, n_nodes, CHIPS, policy).run()
    expected = {
        number: [(float(begin), float(end)) for begin, end in job.spans]
        for number, job in enumerate(twin)
    }
    found = spans(result) if result.attempts is not None else {
        number: [span]
        for number, span in enumerate(
            zip(result.jobs["start_s"], result.jobs["finish_s"], strict=True)
        )
    }
    assert found == expected
