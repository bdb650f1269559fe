"""Jobs that a policy stops: cases worked out by hand, one for each way to stop a job."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import nodes as one_pool
from preemption_cases import Later, a_pool, two_jobs
from preemption_twin import TwinJob, latest_first

from clustersim.engine.recovery import Recovery
from clustersim.errors import ClusterSimError, InputError
from clustersim.notes import forget_notes
from clustersim.scheduling import POLICIES, Migrate, Policy, Preempt, Start, View, Wake
from clustersim.scheduling.decisions import Decision
from clustersim.simulation.result import Result
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.simulate import simulate
from clustersim.topology import Cluster, Pool
from tests.examples import examples

NEED_OPTIONS = {"max_throughput_per_cost", "kueue", "kai"}
INF = float("inf")


def run(
    policy: str | type[Policy],
    jobs: pd.DataFrame,
    recovery: Recovery | None = None,
    pools: Iterable[Pool] | None = None,
    placement: str = "consolidate",
    **options: object,
) -> Result:
    cluster = Cluster("small", tuple(pools or [a_pool("gpu")]))
    scheduling = Scheduling(policy=policy, placement=placement, options=options)
    return simulate(jobs, cluster, scheduling, recovery=recovery, check=True)


def with_checkpoints(
    *, every_s: float = INF, cost_s: float = 0.0, write_s: float = 0.0
) -> Recovery:
    return Recovery([[every_s] * 2], [cost_s] * 2, restart_s=[5.0] * 2, write_s=[write_s] * 2)


def spans(result: Result) -> dict[int, list[tuple[float, float]]]:
    assert result.attempts is not None
    return {
        int(job): list(zip(own["start_s"], own["end_s"], strict=True))
        for job, own in result.attempts.groupby("job_id")
    }


def test_a_free_preemption_loses_nothing():
    result = run(Later, two_jobs())
    assert spans(result) == {1: [(0, 50), (70, 120)], 2: [(50, 70)]}
    assert result.jobs["preemptions"].tolist() == [1, 0]
    assert result.attempts is not None
    assert result.attempts["stopped"].tolist() == ["preempted (saved)", "", ""]
    assert result.attempts["lost_s"].sum() == 0
    assert result.attempts["done"].tolist() == [0.5, 0.5, 1]


def test_a_cost_is_paid_at_the_next_start():
    result = run(Later, two_jobs(), cost=7)
    assert spans(result) == {1: [(0, 50), (70, 127)], 2: [(50, 70)]}
    assert result.attempts is not None
    assert result.attempts["restart_s"].tolist() == [0, 7, 0]


def test_a_requeued_job_has_the_work_of_its_last_checkpoint():
    result = run(Later, two_jobs(), with_checkpoints(every_s=30), how="requeue")
    # It keeps 30 of 50 s, and needs 5 s to restart.
    assert spans(result) == {1: [(0, 50), (70, 70 + 5 + 70)], 2: [(50, 70)]}
    assert result.attempts is not None
    assert result.attempts[["kept_s", "lost_s"]].iloc[0].tolist() == [30, 20]


def test_a_job_that_saves_holds_its_accelerators_until_it_is_saved():
    result = run(Later, two_jobs(), with_checkpoints(cost_s=4, write_s=6))
    # It stands still from 50 to 60 s, so the other job runs from 60 to 80 s.
    assert spans(result) == {1: [(0, 60), (80, 80 + 5 + 50)], 2: [(60, 80)]}
    assert result.attempts is not None
    first = result.attempts.iloc[0]
    assert first[["kept_s", "lost_s", "checkpoint_s"]].tolist() == [50, 0, 10]


def test_a_job_that_ends_before_it_is_saved_just_ends():
    jobs = two_jobs(submit_s=[0.0, 95.0])
    result = run(Later, jobs, with_checkpoints(cost_s=4, write_s=6))
    assert result.jobs["finish_s"].tolist() == [100, 120]
    assert "preemptions" not in result.jobs


def test_a_suspended_job_goes_on_where_it_was():
    jobs = pd.DataFrame(
        {
            "job_id": [1, 2, 3],
            "submit_s": [0.0, 50.0, 60.0],
            "n_accelerators": [8, 16, 8],
            "duration_s": [100.0, 20.0, 1000.0],
        }
    )
    result = run(Later, jobs, pools=[a_pool("gpu", 2)], how="suspend")
    assert result.attempts is not None
    ranges = result.allocation_ranges
    own = ranges[ranges["job_id"] == 1]
    assert own["nodes"].nunique() == 1
    assert result.attempts.loc[result.attempts["job_id"] == 1, "lost_s"].sum() == 0


def test_rounds_refuse_to_suspend_jobs() -> None:
    with pytest.raises(InputError, match="suspend is not possible, because jobs change pools"):
        run("isolated", two_jobs(), preempt_by="suspend")


class Elsewhere(Policy):
    """Suspends the first job, and starts it on the other pool."""

    tracks_running: ClassVar[bool] = True

    def decide(self, view: View) -> Iterable[Decision]:
        if 0 in view.running:
            yield Preempt(0, "suspend")
            assert not view.fits(0, "b")
            yield Start(0, pool="b")
        elif 0 in view.waiting:
            yield Start(0, pool="a")


def test_a_suspended_job_cannot_start_on_another_pool() -> None:
    with pytest.raises(ClusterSimError, match="can only start on its own accelerators"):
        run(Elsewhere, two_jobs(), None, [a_pool("a"), a_pool("b")])


def test_no_further_job_is_preempted_while_one_saves() -> None:
    # Job 2 saves from 50 to 60 s for job 3; job 4, which comes at 52 s, must not stop job 1.
    jobs = pd.DataFrame(
        {
            "job_id": [1, 2, 3, 4],
            "submit_s": [0.0, 0.0, 50.0, 52.0],
            "n_accelerators": [8, 8, 8, 1],
            "duration_s": [300.0, 400.0, 20.0, 5000.0],
        }
    )
    recovery = Recovery([[INF] * 4], [10.0] * 4, restart_s=[0.0] * 4)
    result = run("srtf", jobs, recovery, [a_pool("gpu", 2)])
    assert result.jobs["preemptions"].tolist() == [0, 1, 0, 0]
    assert result.jobs["start_s"].tolist()[:3] == [0, 0, 60]


def test_a_cancelled_job_never_runs_again():
    result = run(Later, two_jobs(), how="cancel")
    assert result.jobs["outcome"].tolist() == ["unfinished", "finished"]
    assert result.jobs["reason"].iloc[0] == "cancelled by the policy"
    assert result.jobs["finish_s"].iloc[1] == 70
    assert result.jobs["done"].iloc[0] == 0


class ToTheFast(Policy):
    """A job moves to the pool that gets free."""

    tracks_running: ClassVar[bool] = True

    def decide(self, view: View) -> Iterable[Decision]:
        for job in view.waiting.tolist():
            if view.fits(job):
                yield Start(job)
        for job in view.running.tolist():
            if view.job(job).pool == "slow" and view.fits(job, "fast"):
                yield Migrate(job, "fast", cost_s=3)


def test_a_job_migrates_with_the_share_of_its_work_that_is_left():
    rates = {"steps": [100, 100], "steps_per_s.fast": [2.0, 2.0], "steps_per_s.slow": [1.0, 1.0]}
    jobs = pd.DataFrame(
        {"job_id": [1, 2], "submit_s": [0.0, 0.0], "n_accelerators": [8, 8], **rates}
    )
    result = run(ToTheFast, jobs, pools=[a_pool("fast"), a_pool("slow")])
    # At 50 s, half of job 2 is done; the other half takes 25 s on the fast pool, after 3 s.
    assert spans(result) == {1: [(0, 50)], 2: [(0, 50), (50, 78)]}


class Every(Policy):
    """Starts jobs at multiples of 60 s only."""

    def decide(self, view: View) -> Iterable[Decision]:
        if view.now % 60 == 0:
            yield from (Start(job) for job in view.those_that_fit(view.waiting.tolist()))
        if len(view.waiting):
            yield Wake(view.now - view.now % 60 + 60)


def test_a_policy_is_called_when_it_asked_to_be():
    jobs = two_jobs(submit_s=[10.0, 15.0], n_accelerators=[4, 4])
    assert run(Every, jobs).jobs["start_s"].tolist() == [60, 60]


class Wrong(Policy):
    tracks_running: ClassVar[bool] = True
    decision: str = ""

    def decide(self, view: View) -> Iterable[Decision]:
        if self.decision in ("twice", "room"):
            yield Start(0)
        yield {
            "twice": Start(0),
            "room": Start(1),
            "pool": Start(0, pool="gup"),
            "nodes": Start(0, nodes=[(0, 4)]),
            "node twice": Start(0, nodes=[(0, 4), (0, 4), (0, 0)]),
            "no node": Start(0, nodes=[(5, 8)]),
            "waits": Preempt(1),
            "past": Wake(view.now),
            "none": "start",
        }[self.decision]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        ("twice", r"policy Wrong: job 0 .* cannot be started: it is already running"),
        ("room", r"policy Wrong: job 1 .* needs 16 accelerators at once and does not fit: gpu"),
        ("pool", r"job 0 .* cannot run on pool 'gup'; did you mean 'gpu'"),
        ("nodes", r"job 0 .* is a gang of 8 accelerators, and is started on 4"),
        ("node twice", r"job 0 .* is started on accelerators of gpu that are not free"),
        ("no node", r"job 0 .* is started on accelerators of gpu that are not free"),
        ("waits", r"job 1 .* cannot be preempted: it is not running"),
        ("past", r"a pass was asked for at 0.0 s, which is not after now"),
        ("none", r"decides 'start'; decisions are Start, Preempt, Resize, Migrate and Wake"),
    ],
)
def test_a_decision_that_breaks_a_rule_is_refused(decision: str, message: str):
    sizes = [8, 16] if decision == "room" else [8, 8]
    jobs = two_jobs(submit_s=[0.0, 0.0], n_accelerators=sizes)
    pools = [a_pool("gpu", 2 if decision == "room" else 1)]
    with pytest.raises(ClusterSimError, match=message):
        run(Wrong, jobs, pools=pools, decision=decision)


def test_the_jobs_of_a_result_can_be_run_again() -> None:
    first = run(Later, two_jobs())
    again = run(Later, first.jobs.drop(columns="finish_s"))
    assert again.jobs["preemptions"].tolist() == [1, 0]
    assert again.jobs["recorded_preemptions"].tolist() == [1, 0]


def test_a_policy_that_decides_knows_the_running_jobs() -> None:
    class Quiet(Later):
        tracks_running: ClassVar[bool] = False

    assert run(Quiet, two_jobs()).jobs["preemptions"].tolist() == [1, 0]


def test_a_preempted_job_lines_up_in_front_of_a_job_that_starts() -> None:
    """At 100 s, H takes the place of A, and B starts where C ended; A waits for H."""
    jobs = pd.DataFrame(
        {
            "job_id": ["A", "C", "B", "H"],
            "submit_s": [0.0, 0.0, 10.0, 100.0],
            "n_accelerators": 8,
            "duration_s": [1000.0, 100.0, 500.0, 300.0],
            "priority": [0, 1, 0, 5],
            "accelerators": ["h200,h20", "h20", "h200,h20", "h200"],
        }
    )
    pools = [replace(a_pool(name), accelerator=name) for name in ("h200", "h20")]
    result = run("priority", jobs, pools=pools)
    assert result.attempts is not None
    ran = result.attempts.sort_values(["start_s", "job_id"])
    rows = list(zip(ran["job_id"], ran["pool"], ran["start_s"], ran["end_s"], strict=True))
    assert rows == [
        ("A", "h200", 0, 100), ("C", "h20", 0, 100), ("B", "h20", 100, 600),
        ("H", "h200", 100, 400), ("A", "h200", 400, 1300),
    ]  # fmt: skip


def test_priorities_are_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    jobs = two_jobs(priority=["low", "high"])
    with pytest.raises(InputError, match="priority: must be numbers, found 'low'"):
        run("priority", jobs)
    preempts = run("priority", two_jobs(priority=[None, 1.0])).jobs["preemptions"]
    assert preempts.tolist() == [1, 0]
    forget_notes()
    run("priority", two_jobs())
    assert "no column priority" in capsys.readouterr().err


@pytest.mark.parametrize("policy", ["drf", "qssf"])
def test_a_user_may_be_missing(policy: str) -> None:
    jobs = two_jobs(user=pd.Series(["ann", pd.NA], dtype="string"))
    assert run(policy, jobs).jobs["start_s"].tolist() == [0, 100]


@st.composite
def small_logs(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    """Jobs (submitted, accelerators, run time) in whole seconds, in order of submission."""
    row = st.tuples(st.integers(0, 60), st.integers(1, 16), st.integers(1, 40))
    return sorted(draw(st.lists(row, min_size=1, max_size=8)), key=lambda each: each[0])


@settings(max_examples=examples(60), deadline=None)
@given(
    log=small_logs(),
    every_s=st.integers(1, 15),
    cost_s=st.integers(0, 3),
    restart_s=st.integers(0, 5),
)
def test_preemption_with_checkpoints_is_that_of_a_twin_that_counts_seconds(
    log: list[tuple[int, int, int]], every_s: int, cost_s: int, restart_s: int
) -> None:
    submit, sizes, run_s = (list(column) for column in zip(*log, strict=True))
    n = len(log)
    jobs = pd.DataFrame(
        {"job_id": range(n), "submit_s": submit, "n_accelerators": sizes, "duration_s": run_s}
    )
    recovery = Recovery([[float(every_s)] * n], [float(cost_s)] * n, [float(restart_s)] * n)
    result = run(Later, jobs, recovery, [a_pool("gpu", 2)], "pooled", how="requeue")
    rows = [TwinJob(*row) for row in log]
    ends = latest_first(rows, 16, every_s=every_s, cost_s=cost_s, restart_s=restart_s)
    np.testing.assert_allclose(result.jobs["finish_s"], ends, atol=1e-6)
    if result.attempts is not None:
        parts = ["kept_s", "lost_s", "checkpoint_s", "restart_s", "slow_s"]
        spans_s = result.attempts["end_s"] - result.attempts["start_s"]
        np.testing.assert_allclose(result.attempts[parts].sum(axis=1), spans_s, atol=1e-6)
        done = result.attempts.groupby("job_id")["done"].sum()
        np.testing.assert_allclose(done, 1.0, atol=1e-9)


@pytest.mark.parametrize("policy", sorted(set(POLICIES) - NEED_OPTIONS))
@settings(max_examples=examples(4), deadline=None)
@given(log=small_logs(), seed=st.integers(0, 10))
def test_every_policy_keeps_the_rules(policy: str, log: list[tuple[int, int, int]], seed: int):
    submit, sizes, run_s = (list(column) for column in zip(*log, strict=True))
    table = {"submit_s": submit, "n_accelerators": sizes, "duration_s": run_s}
    jobs = pd.DataFrame({"job_id": range(len(log)), **table})
    jobs["priority"] = np.random.default_rng(seed).integers(0, 3, len(log))
    for placement in ("pooled", "consolidate"):
        result = run(policy, jobs, None, [a_pool("a", 1), a_pool("b", 2)], placement)
        assert (result.jobs["outcome"] == "finished").all()
        assert (result.jobs["start_s"] >= result.jobs["submit_s"]).all()
        held = result.jobs["finish_s"] - result.jobs["submit_s"] - result.jobs["total_wait_s"]
        np.testing.assert_allclose(held, run_s, atol=1e-6)


def leaving(costs_s: list[float], **columns: object) -> tuple[pd.DataFrame, Recovery]:
    """Return two jobs of 8 that run, and urgent ones that come after 20 s."""
    n = len(costs_s)
    table = {"job_id": range(1, n + 1), "submit_s": [0.0, 0.0, *[20.0] * (n - 2)]}
    return pd.DataFrame({**table, **columns}), Recovery([[INF] * n], costs_s, restart_s=[0.0] * n)


def test_accelerators_of_a_job_that_leaves_are_kept_for_the_job_it_leaves_for() -> None:
    """The first victim has saved after 5 s, the second after 50 s; the urgent job needs both."""
    jobs, recovery = leaving(
        [5.0, 50.0, 0.0],
        n_accelerators=[8, 8, 16], duration_s=[300.0, 300.0, 30.0], priority=[0, 0, 9],
    )  # fmt: skip
    result = run("priority", jobs, recovery, pools=[a_pool("gpu", 2)])
    assert spans(result) == {
        1: [(0, 25), (100, 380)],
        2: [(0, 70), (100, 380)],
        3: [(70, 100)],
    }


def test_each_urgent_job_gets_the_accelerators_of_a_job_of_its_own() -> None:
    """Two urgent jobs of 8 come at once, and both running jobs save for 10 s."""
    jobs, recovery = leaving(
        [10.0, 10.0, 0.0, 0.0],
        n_accelerators=8, duration_s=[300.0, 300.0, 30.0, 40.0], priority=[0, 0, 9, 9],
    )  # fmt: skip
    result = run("priority", jobs, recovery, pools=[a_pool("gpu", 2)])
    assert spans(result) == {
        1: [(0, 30), (60, 340)],
        2: [(0, 30), (70, 350)],
        3: [(30, 60)],
        4: [(30, 70)],
    }


class Decides(Policy):
    """Starts what fits, and then decides one more thing."""

    tracks_running: ClassVar[bool] = True
    decision: ClassVar[Decision]

    def decide(self, view: View) -> Iterable[Decision]:
        yield from (Start(job) for job in view.waiting.tolist() if view.fits(job))
        yield self.decision


@pytest.mark.parametrize("decision", [Start(99), Preempt(-1), Migrate(2, "gpu")])
def test_there_are_jobs_for_all_decisions(decision: Decision) -> None:
    policy = type("Decides", (Decides,), {"decision": decision})
    with pytest.raises(ClusterSimError, match=r"policy Decides: there is no job -?\d+; jobs are 0"):
        run(policy, two_jobs())


@pytest.mark.parametrize("job", ["1", 1.5, True, None])
def test_a_job_of_a_decision_is_a_whole_number(job: object) -> None:
    policy = type("Decides", (Decides,), {"decision": Start(job)})  # type: ignore[arg-type]
    with pytest.raises(ClusterSimError, match=r"policy Decides: decides about job .*whole number"):
        run(policy, two_jobs())


def test_a_decide_without_decisions_is_refused() -> None:
    policy = type("Silent", (Policy,), {"decide": lambda self, view: None})
    with pytest.raises(ClusterSimError, match="policy Silent: decide returned None; it must"):
        run(policy, two_jobs())


class Asks(Policy):
    """Asks for a pool that is not there."""

    def decide(self, view: View) -> Iterable[Decision]:
        return [Start(job) for job in view.waiting.tolist() if view.fits(job, "gqu")]


def test_there_is_a_pool_for_all_questions() -> None:
    with pytest.raises(ClusterSimError, match="there is no pool 'gqu'; did you mean 'gpu'"):
        run(Asks, two_jobs())


def test_a_suspended_job_leaves_room_that_it_cannot_use() -> None:
    """Job 0 can only continue on pool a, where job 1 is, so job 2 gets the other pool."""
    two = [a_pool("a"), a_pool("b")]
    jobs = pd.DataFrame(
        {"job_id": [0, 1, 2], "submit_s": [0.0, 10.0, 20.0], "n_accelerators": 8,
         "duration_s": [100.0, 100.0, 30.0]}
    )  # fmt: skip
    seen: list[list[int]] = []

    class Watched(Policy):
        tracks_running: ClassVar[bool] = True

        def decide(self, view: View) -> Iterable[Decision]:
            if view.now == 10.0:
                yield Preempt(0, "suspend")
                yield Start(1, pool="a")
            elif view.now == 20.0:
                seen.append(view.those_that_fit([1, 0, 2]))
                yield Start(2, pool="b")
            else:
                yield from (Start(job) for job in view.waiting.tolist() if view.fits(job))

    assert spans(run(Watched, jobs, pools=two))[0] == [(0, 10), (110, 200)]
    assert seen == [[1, 2]]


def on_two_nodes(policy: str, *rows: tuple[float, int, float]) -> pd.DataFrame:
    names = ["submit_s", "n_accelerators", "duration_s"]
    table = pd.DataFrame(list(rows), columns=names).assign(job_id=range(len(rows)))
    scheduling = Scheduling(policy, "consolidate")
    return simulate(table, one_pool(2, 8), scheduling, check=True).jobs


@pytest.mark.parametrize("policy", ["srtf", "srsf"])
def test_no_job_leaves_for_one_that_would_not_fit_on_nodes_then(policy: str) -> None:
    # Without the third job, two accelerators are free on each node, too few for the fourth job.
    table = on_two_nodes(policy, (0, 6, 50), (0, 6, 50), (0, 2, 1000), (1, 4, 100))
    assert table["start_s"].tolist() == [0, 0, 0, 50]
    assert "preemptions" not in table or table["preemptions"].sum() == 0


@pytest.mark.parametrize("policy", ["srtf", "srsf"])
def test_the_last_job_leaves_the_nodes_of_one_that_would_otherwise_be_apart(policy: str) -> None:
    # At 200 s a job of 4 runs on each node. The one with most left goes to the other node.
    table = on_two_nodes(policy, (0, 4, 100), (0, 4, 1000), (0, 4, 2000), (200, 8, 50))
    assert table["start_s"].tolist() == [0, 0, 0, 200]
    assert table["preemptions"].tolist() == [0, 0, 1, 0]
    assert table["finish_s"].tolist() == [100, 1000, 2000, 250]
