"""Windows that are known in advance: cases worked out by hand, a plain twin, and invariants."""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import nodes as one_pool
from windows_twin import TwinJob, TwinWindow, WindowsTwin

from clustersim.engine.window_driver import PlannedWindow
from clustersim.errors import InputError
from clustersim.scheduling import POLICIES as POLICIES_BY_NAME
from clustersim.simulation.result import Result
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.simulate import NodeEvents, simulate
from clustersim.simulation.windows import Planned
from tests.examples import examples
from tests.full_counts import first_of

POLICIES = (
    *("fcfs", "first_fit", "easy", "easy_sjbf", "conservative", "priority", "multifactor"),
    *("sjf", "largest_first", "srtf", "las", "qssf", "drf"),
)
Row = tuple[float, int, float]


def run(
    policy: str,
    rows: list[Row],
    windows: Planned | list[PlannedWindow],
    n_nodes: int = 2,
    options: dict[str, Any] | None = None,
    **columns: Any,
) -> Result:
    """Simulate jobs, given as submission, size and duration, on nodes of eight accelerators."""
    jobs = pd.DataFrame(rows, columns=["submit_s", "n_accelerators", "duration_s"], dtype=float)
    jobs = jobs.astype({"n_accelerators": int}).assign(job_id=range(len(rows)), **columns)
    options = {"bf_interval": 0} if policy == "multifactor" else options or {}
    scheduling = Scheduling(policy=policy, placement="consolidate", options=options)
    planned = windows if isinstance(windows, Planned) else Planned(windows)
    events = NodeEvents((), planned=planned) if planned.windows or planned.hero_share else None
    return simulate(jobs, one_pool(n_nodes, 8), scheduling, node_events=events, check=True)


def maintenance(begin: float, end: float, *nodes: int, **fields: Any) -> PlannedWindow:
    return PlannedWindow("update", "maintenance", 0, nodes, begin, end, **fields)


def reservation(begin: float, end: float, *nodes: int, **fields: Any) -> PlannedWindow:
    return PlannedWindow("demo", "reservation", 0, nodes, begin, end, **fields)


def starts(result: Result) -> list[float]:
    return result.jobs["start_s"].tolist()


def spans(result: Result) -> dict[int, list[tuple[float, float]]]:
    if result.attempts is None:
        rows = zip(result.jobs["start_s"], result.jobs["finish_s"], strict=True)
        return {job: [span] for job, span in enumerate(rows)}
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


def test_kai_starts_and_moves_jobs_on_open_nodes_only():
    alone = {"quotas": {"default": "all", "queues": {"all": {"quotas": {"all": 99}}}}}
    kai = partial(run, "kai", options=alone)
    both = [maintenance(50, 60, 0, 1)]
    assert starts(kai([(0.0, 8, 100.0), (0.0, 8, 100.0), (1.0, 8, 20.0)], both)) == [60, 60, 1]
    assert starts(kai([(0.0, 8, 100.0), (0.0, 8, 10.0)], [maintenance(50, 60, 0)])) == [0, 0]
    # One of the two jobs that run at 20 s moves to the node of the other one, so that the last job
    # has a node, unless neither would end there before the window.
    rows = [(0.0, 6, 80.0), (0.0, 6, 10.0), (1.0, 2, 10.0), (2.0, 2, 200.0), (20.0, 8, 30.0)]
    assert starts(kai(rows, [])) == [0, 0, 1, 2, 20]
    assert starts(kai(rows, [maintenance(90, 95, 0, 1, announced_s=15)])) == [0, 0, 1, 2, 95]


def test_what_still_runs_is_stopped_or_let_finish():
    rows = [(0.0, 16, 100.0), (0.0, 8, 10.0)]
    # It is announced when the first job runs already.
    stopped = run("easy", rows, [maintenance(50, 80, 0, announced_s=20)])
    assert spans(stopped) == {0: [(0, 50), (80, 130)], 1: [(50, 60)]}
    finished = run("easy", rows, [maintenance(50, 80, 0, announced_s=20, lets_finish=True)])
    assert spans(finished) == {0: [(0, 100)], 1: [(100, 110)]}
    assert finished.outages is not None
    assert finished.outages.empty
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
    # The second job runs on nodes 1 to 3 until 130 s.  From then on, one of the three open nodes
    # closes within 60 s, until the last window begins at 250 s and leaves nodes 0 to 2.
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
    update_only = NodeEvents((), planned=Planned([update]))
    with pytest.raises(InputError, match="need a placement that tracks nodes"):
        simulate(jobs, one_pool(2, 8), Scheduling(placement="pooled"), node_events=update_only)
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
        windows.append(
            TwinWindow(kind, chosen, begin, end, announced, draw(st.booleans()), may_use)
        )
        for node in chosen:
            free_from[node] = end
    return n_nodes, jobs, windows


def simulated(
    policy: str,
    n_nodes: int,
    jobs: list[TwinJob],
    windows: list[TwinWindow],
    share: float | None = None,
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
    scheduling = Scheduling(policy=policy, placement="consolidate")
    events = NodeEvents((), planned=Planned(planned, share))
    return simulate(table, one_pool(n_nodes, CHIPS), scheduling, node_events=events, check=True)


@pytest.mark.parametrize("policy", ["fcfs", "first_fit", "easy"])
@pytest.mark.slow
@settings(max_examples=examples(40))
@given(case=cases(), share=st.sampled_from([None, 0.5, 1.0]))
def test_twin(policy: str, case: tuple[int, list[TwinJob], list[TwinWindow]], share: float | None):
    n_nodes, jobs, windows = case
    result = simulated(policy, n_nodes, jobs, windows, share=share)
    heroes = 1e9 if share is None else share * n_nodes * CHIPS
    twin = WindowsTwin(jobs, windows, n_nodes, CHIPS, policy, heroes).run()
    expected = {
        number: [(float(begin), float(end)) for begin, end in job.spans]
        for number, job in enumerate(twin)
    }
    found = spans(result)
    assert found == expected
    places = result.allocations.groupby(["job_id", "start_s"])
    for number, job in enumerate(twin):
        for (begin, _), nodes in zip(job.spans, job.places, strict=True):
            own = places.get_group((number, begin))
            assert sorted(zip(own["node"], own["n_accelerators"], strict=True)) == sorted(nodes)


# --- Invariants -------------------------------------------------------------------------------


def check_windows_hold(result: Result, jobs: list[TwinJob], windows: list[TwinWindow]) -> None:
    """No job is where it may not be, and none starts that would not leave in time."""
    assert (result.jobs["outcome"] == "finished").all()
    rows = result.allocations[["job_id", "node", "start_s", "end_s"]].to_numpy().tolist()
    for job, node, begin, end in rows:
        for window in windows:
            if node not in window.nodes or job in window.may_use:
                continue
            if not window.lets_finish:
                assert end <= window.begin or begin >= window.end or begin == end
            if begin >= window.announced:
                first = begin == result.jobs["start_s"].iloc[int(job)]
                left = jobs[int(job)].run * (jobs[int(job)].factor if first else 0)
                assert begin + left <= window.begin or begin >= window.end


@pytest.mark.parametrize("policy", first_of(POLICIES, 6))
@pytest.mark.slow
@settings(max_examples=examples(16))
@given(case=cases(8), hero=st.booleans())
def test_no_job_runs_where_a_window_closes(
    policy: str, case: tuple[int, list[TwinJob], list[TwinWindow]], hero: bool
):
    n_nodes, jobs, windows = case
    share = 0.75 if hero and POLICIES_BY_NAME[policy].starts_first else None
    result = simulated(policy, n_nodes, jobs, windows, share=share)
    check_windows_hold(result, jobs, windows)
    if result.windows is not None:
        drained = result.windows["drained_accelerator_s"]
        wait_s = (result.jobs["total_wait_s"] * result.jobs["n_accelerators"]).sum()
        assert drained.between(0, wait_s + 1e-9).all()


@pytest.mark.parametrize("policy", first_of(["easy", "conservative", "srtf"], 2))
@pytest.mark.slow
@settings(max_examples=examples(12))
@given(case=cases(8))
def test_windows_without_length_and_empty_plans_change_nothing(
    policy: str, case: tuple[int, list[TwinJob], list[TwinWindow]]
):
    n_nodes, jobs, windows = case
    for window in windows:
        window.end = window.begin
    with_them = simulated(policy, n_nodes, jobs, windows)
    without = simulated(policy, n_nodes, jobs, [])
    assert starts(with_them) == starts(without)


# --- Hero jobs --------------------------------------------------------------------------------

HERO_ROWS = [(0.0, 8, 60.0), (5.0, 16, 100.0), (6.0, 8, 90.0), (7.0, 8, 40.0)]


def test_no_node_is_drained_for_a_job_that_runs_only_below_its_size():
    rows = [(0.0, 8, 100.0), (1.0, 24, 50.0), (2.0, 8, 50.0)]
    planned, sizes = Planned(hero_share=0.75), [8, 4, 8]
    result = run("fcfs", rows, planned, options={"partial": True}, min_accelerators=sizes)
    # The second job starts at once on the node that is free, and takes three times as long.
    assert starts(result) == [0, 1, 100]


@pytest.mark.parametrize("policy", [name for name in POLICIES if name not in "srtf las qssf drf"])
def test_nodes_are_drained_for_a_hero_job(policy: str):
    result = run(policy, HERO_ROWS, Planned(hero_share=0.75))
    # The last job ends before the first one, and may use the other node until then.
    last = 160 if policy == "fcfs" else 7
    assert starts(result) == [0, 60, 160, last]
    assert result.windows is not None
    (hero,) = result.windows.to_dict("records")
    assert (hero["name"], hero["kind"], hero["pool"]) == ("1", "hero", "gpu")
    assert [hero[name] for name in ("announced_s", "begin_s", "end_s")] == [5, 60, 160]
    # The other node is free from 5 s to 7 s and from 47 s on; from 6 s on, another job wants it.
    assert hero["drained_accelerator_s"] == 8 * (54 if policy == "fcfs" else 1 + 13)


def test_the_column_hero_and_several_hero_jobs():
    rows = [(0.0, 8, 60.0), (5.0, 8, 100.0), (5.0, 16, 10.0), (6.0, 16, 10.0)]
    result = run("first_fit", rows, Planned(hero_share=1.0), hero=[False, False, True, None])
    # In order of submission, both before a job that was submitted before them and would cross.
    assert starts(result) == [0, 80, 60, 70]
    third = [(0.0, 24, 60.0), (5.0, 16, 100.0), (6.0, 16, 90.0)]
    result = run("first_fit", third, Planned(hero_share=1.0), 3, hero=[None, None, True])
    assert starts(result) == [0, 150, 60]
    with pytest.raises(InputError, match="hero: must be true or false, found 'yes'"):
        run("first_fit", rows, Planned(hero_share=1.0), hero="yes")


def test_policies_that_cannot_start_a_job_first_are_refused():
    with pytest.raises(InputError, match="Srtf cannot start a job ahead of all others; these can"):
        run("srtf", HERO_ROWS, Planned(hero_share=0.75))
    with pytest.raises(InputError, match="share must be above 0 and at most 1, found 2"):
        run("easy", HERO_ROWS, Planned(hero_share=2))


def test_accelerators_that_nobody_wants_cost_nothing():
    rows = [(0.0, 8, 50.0), (1.0, 8, 40.0), (10.0, 8, 80.0)]
    result = run("easy", rows, [maintenance(100, 200, 0, 1)])
    assert starts(result) == [0, 1, 200]
    assert result.windows is not None
    # From 20 s on, the third job would not end before the window: both nodes are taken until 41 s,
    # one of them until 50 s; it wants 8 of the free accelerators.
    assert result.windows["drained_accelerator_s"].tolist() == [8 * (100 - 41)]
    assert result.windows["stopped"].tolist() == [0]
    alone = run("easy", rows[:2], [maintenance(100, 200, 0, 1)])
    assert alone.windows is not None
    assert alone.windows["drained_accelerator_s"].tolist() == [0.0]


def test_the_earliest_deadline_first():
    rows = [(0.0, 16, 10.0), (1.0, 16, 10.0), (2.0, 16, 10.0), (3.0, 16, 10.0), (4.0, 8, 5.0)]
    due = {"slo_s": [None, None, 20.0, 50.0, None], "deadline_s": [None, None, None, 15.0, 99.0]}
    # Deadlines are 22 s, 15 s and 99 s.
    result = run("earliest_deadline", rows, [], **due)
    assert starts(result) == [0, 35, 20, 10, 30]
    late = {"late_last": True}  # the fourth job cannot end by 15 s when the first one has ended
    assert starts(run("earliest_deadline", rows, [], options=late, **due)) == [0, 25, 10, 35, 20]


def test_what_is_planned_without_effect_is_said() -> None:
    log = pd.DataFrame(
        {"job_id": [1], "submit_s": 0.0, "n_accelerators": 8, "duration_s": 60.0, "hero": True}
    )
    planned = Planned([PlannedWindow("update", "maintenance", 0, (0,), 1e6, 1.1e6)])
    result = simulate(
        log,
        one_pool(2, 8),
        Scheduling(placement="consolidate"),
        node_events=NodeEvents((), planned=planned),
    )
    assert result.provenance["notes"] == [
        "update had no effect: it begins after 11.6 d, and the run ends after 60 s",
        "column hero has no effect without hero jobs: windows: {heroes: {}} in a scenario",
    ]


def test_no_policy_preempts_a_hero_job():
    """The hero starts when both nodes are free at 500 s, and the job of priority 5 after it."""
    rows: list[Row] = [(0, 8, 500), (1, 16, 50), (2, 8, 500)]
    urgent = run("priority", rows, Planned([], 0.9), priority=[0, 0, 5])
    assert starts(urgent) == [0, 500, 550]
    assert "preemptions" not in urgent.jobs
    again = run("priority", rows, Planned([], 0.9), options={"min_run": 10}, priority=[0, 0, 5])
    assert starts(again) == [0, 500, 550]
