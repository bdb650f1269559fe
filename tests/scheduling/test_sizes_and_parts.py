"""Jobs at other sizes than they ask for, on several partitions, and moves; worked by hand."""

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clustersim as cs
from clustersim import Scheduling
from clustersim.analysis.policy.fairness import finish_time_fairness
from clustersim.engine.engine import Simulation
from clustersim.engine.invariants import check_accelerators
from clustersim.engine.recovery import Recovery
from clustersim.errors import ClusterSimError, InputError
from clustersim.scheduling import (
    PLACEMENTS,
    Consolidate,
    JobColumns,
    Migrate,
    Partition,
    Placement,
    Policy,
    Pooled,
    Preempt,
    Queue,
    Resize,
    Start,
    View,
    Wake,
)
from clustersim.scheduling.carry_out import carry_out
from clustersim.scheduling.decisions import Decision
from clustersim.scheduling.together_on_nodes import chosen_on_nodes
from clustersim.simulation.queue_length import queue_length
from tests.examples import examples
from tests.simulation.fleets import cluster
from tests.simulation.fleets import pool as a_pool


class Linear:
    """Jobs of 2 to 32 accelerators, whose speed grows with their number up to 16."""

    def range(self, job: int) -> tuple[int, int]:
        return 2, 32

    def pace(self, job: int, pool: int, size: int) -> float:
        return min(size, 16) / 8 if size != 3 else 0.0


class Planned(Policy):
    """Carries out decisions at given times."""

    tracks_running: ClassVar[bool] = True
    whole_cluster: ClassVar[bool] = True
    plan: ClassVar[dict[float, list[Decision]]] = {}

    def decide(self, view: View) -> Iterator[Decision]:
        yield from self.plan.get(view.now, ())
        later = [time for time in self.plan if time > view.now]
        if later:
            yield Wake(min(later))


def simulate(
    plan: dict[float, list[Decision]],
    sizes: list[int],
    run_s: list[list[float]],
    *,
    split: str | None = None,
    placement: type[Placement] = Pooled,
    save_s: float = 0.0,
    nodes: int = 3,
) -> list[tuple[int, str, float, float, int]]:
    """Return the job, the pool, the start, the end and the size of each attempt."""
    policy = type("Plan", (Planned,), {"plan": plan})
    partitions = [
        Partition(index, index, name, "", 0, placement(n_nodes=nodes, chips_per_node=8))
        for index, name in enumerate(["a", "b"][: len(run_s)])
    ]
    choice = tuple(range(len(run_s)))
    estimate_s = [list(row) for row in run_s]
    columns = JobColumns(
        sizes, estimate_s, [choice], [0] * len(sizes), elastic=Linear(), split=split
    )
    recovery = None
    if save_s:
        hour = [[3600.0] * len(sizes)] * len(run_s)
        recovery = Recovery(hour, [save_s] * len(sizes), [0.0] * len(sizes))
    simulation = Simulation(
        [0.0] * len(sizes),
        run_s,
        columns,
        partitions,
        policy,
        recovery=recovery,
        check=check_accelerators,
    )
    attempts = simulation.run().attempts
    return [
        (int(job), partitions[at].name, float(start), float(end), int(n))
        for job, at, start, end, n in zip(
            attempts.job,
            attempts.partition,
            attempts.start_s,
            attempts.end_s,
            attempts.n_accelerators,
            strict=True,
        )
    ]


def test_a_job_starts_at_another_size():
    # Half of 8 accelerators: half the pace.
    assert simulate({0.0: [Start(0, size=4)]}, [8], [[100.0]]) == [(0, "a", 0, 200, 4)]


@pytest.mark.parametrize("placement", [Pooled, Consolidate])
def test_a_job_grows_and_shrinks_with_the_work_that_is_left(placement: type[Placement]):
    plan: dict[float, list[Decision]] = {
        0.0: [Start(0)],
        40.0: [Resize(0, 16, cost_s=0)],
        60.0: [Resize(0, 4, cost_s=10)],
    }
    # 40 s at pace 1 and 20 s at pace 2 are 80 of 100 s; the rest takes 40 s at half the pace.
    assert simulate(plan, [8], [[100.0]], placement=placement) == [
        (0, "a", 0, 40, 8),
        (0, "a", 40, 60, 16),
        (0, "a", 60, 110, 4),
    ]


def test_a_job_holds_the_accelerators_that_it_grows_by_while_it_saves():
    plan: dict[float, list[Decision]] = {0.0: [Start(0)], 40.0: [Resize(0, 16)]}

    # It stands still for 5 s and continues at twice the pace: 60 s of work take 30 s.
    found = simulate(plan | {42.0: [Start(1)]}, [8, 8], [[100.0, 10.0]], save_s=5.0)
    assert found == [(0, "a", 0, 45, 8), (1, "a", 42, 52, 8), (0, "a", 45, 75, 16)]
    with pytest.raises(ClusterSimError, match="a has 8 free"):
        simulate(plan | {42.0: [Start(1)]}, [8, 16], [[100.0, 10.0]], save_s=5.0)


def test_a_job_moves_to_another_pool_at_another_size():
    plan: dict[float, list[Decision]] = {
        0.0: [Start(0, pool="b")],
        50.0: [Migrate(0, "a", size=16)],
    }
    # A quarter of 200 s is done after 50 s on b; the rest of 100 s on a takes 37.5 s there.
    assert simulate(plan, [8], [[100.0], [200.0]], save_s=2.0) == [
        (0, "b", 0, 52, 8),
        (0, "a", 52, 89.5, 16),
    ]


def test_a_job_that_ends_before_it_is_saved_frees_what_was_held_for_it():
    plan: dict[float, list[Decision]] = {
        0.0: [Start(0)],
        98.0: [Resize(0, 16)],
        100.0: [Start(1, size=24)],
    }
    assert simulate(plan, [8, 8], [[100.0, 20.0]], save_s=5.0) == [
        (0, "a", 0, 100, 8),
        (1, "a", 100, 110, 24),
    ]


@pytest.mark.parametrize(("split", "end"), [("equal", 200.0), ("proportional", 120.0)])
@pytest.mark.parametrize("placement", [Pooled, Consolidate])
def test_a_job_over_two_pools(split: str, end: float, placement: type[Placement]):
    # 24 accelerators: 100 s on a, 200 s on b. Equal shares: the pace of b. Proportional: a third
    # of the accelerators on b, so 16/24/100 + 8/24/200 = 1/120 of the work a second.
    plan: dict[float, list[Decision]] = {0.0: [Start(0, parts={"a": 16, "b": 8})]}
    found = simulate(plan, [24], [[100.0], [200.0]], split=split, placement=placement)
    assert [(start, n) for _, _, start, _, n in found] == [(0, 24)]
    assert found[0][3] == pytest.approx(end, rel=1e-12)


def test_a_job_that_fits_no_pool_now_is_started_over_several():
    plan: dict[float, list[Decision]] = {0.0: [Start(0), Start(1)]}
    found = simulate(plan, [16, 32], [[100.0, 50.0], [200.0, 60.0]], split="equal")
    # Job 1 has 8 accelerators of a and 24 of b.
    assert found == [(0, "a", 0, 100, 16), (1, "a", 0, 60, 32)]


def test_a_job_over_two_pools_is_preempted_and_continues_on_one():
    plan: dict[float, list[Decision]] = {
        0.0: [Start(0, parts={"a": 8, "b": 8})],
        50.0: [Preempt(0, cost_s=0), Start(0, pool="a")],
    }
    found = simulate(plan, [16], [[100.0], [200.0]], split="equal")
    assert found == [(0, "a", 0, 50, 16), (0, "a", 50, 125, 16)]


@pytest.mark.parametrize(
    ("decisions", "message"),
    [
        ([Start(0, size=1)], "cannot have 1 accelerators; it can have 2 to 32"),
        ([Start(0, size=3)], "cannot run on 3 accelerators of a"),
        ([Start(0, size=32)], "does not fit: a has 24 free"),
        ([Start(0, parts={"a": 4, "b": 4})], "set scheduler.span_pools to equal or proportional"),
        ([Start(0), Resize(0, 8)], "has 8 accelerators already"),
        ([Start(0), Resize(0, 64)], "cannot have 64 accelerators"),
        ([Start(0), Resize(0, 32)], "does not fit: a has 16 free"),
        ([Start(0), Migrate(0, "a")], "is on pool a already"),
        ([Resize(0, 16)], "cannot be resized: it is not running"),
        ([Migrate(0, "b")], "cannot be moved: it is not running"),
    ],
)
def test_a_decision_about_sizes_that_breaks_a_rule_is_refused(
    decisions: list[Decision], message: str
):
    with pytest.raises(ClusterSimError, match=message):
        simulate({0.0: decisions}, [8], [[100.0], [100.0]])


class Moves(Policy):
    """Starts jobs at once, then resizes and moves random ones whenever there is room."""

    tracks_running: ClassVar[bool] = True
    seed: int = 0

    def decide(self, view: View) -> Iterator[Decision]:
        rng = np.random.default_rng([self.seed, int(view.now)])
        yield from (Start(job) for job in view.waiting.tolist() if view.fits(job))
        for job in view.running.tolist():
            pool, size = str(rng.choice(["a", "b"])), int(rng.integers(1, 17))
            own = view.job(job).pool
            decision = Resize(job, size, 1.0) if pool == own else Migrate(job, pool, 1.0, size)
            if view.can_move(job, size=size, pool=pool):
                self.moved.append(job)
                yield decision
            else:
                with pytest.raises(ClusterSimError):
                    carry_out(decision, self.queue, {}, "Moves")
                self.refused.append(job)
        if len(view.active) or len(view.leaving):
            yield Wake(view.now + 7)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("placement", ["pooled", "consolidate", "spread"])
def test_a_view_tells_whether_a_job_can_be_moved(placement: str, seed: int):
    """Each move for which there is room is carried out, and every other one is refused."""
    table = log(seed, n_jobs=30, most=8).assign(min_accelerators=1, max_accelerators=16)
    policy = type("Own", (Moves,), {"seed": seed, "moved": [], "refused": []})
    two = cluster(a_pool("a", 3, 4), a_pool("b", 2, 8))
    cs.simulate(table, two, Scheduling(policy=policy, placement=placement), check=True)
    assert len(policy.moved) > 5
    assert len(policy.refused) > 5


def test_a_view_tells_that_a_job_on_several_pools_can_move_to_one_but_not_be_resized():
    class Spans(Policy):
        tracks_running: ClassVar[bool] = True

        def decide(self, view: View) -> Iterator[Decision]:
            yield from (Start(job) for job in view.waiting.tolist())
            if view.now == 3:  # job 0 has left 8 accelerators of a; job 1 has the rest, and b
                assert view.can_move(1, size=8, pool="a")
                assert not view.can_move(1, size=8)
                with pytest.raises(ClusterSimError, match="several pools"):
                    carry_out(Resize(1, 8), self.queue, {}, "Spans")

    table = pd.DataFrame({"job_id": [1, 2], "submit_s": 0, "n_accelerators": [8, 16]})
    table = table.assign(duration_s=[3, 9], min_accelerators=8, max_accelerators=16)
    fleet = cluster(a_pool("a", 2, 8), a_pool("b", 1, 8))
    how = Scheduling(Spans, placement="consolidate", span_pools="equal")
    assert cs.simulate(table, fleet, how).jobs["finish_s"].tolist() == [3, 9]


def test_scattered_accelerators_are_named():
    """One accelerator is free on each of two nodes; a gang of two needs both on one."""

    class Grows(Policy):
        tracks_running: ClassVar[bool] = True

        def decide(self, view: View) -> Iterator[Decision]:
            yield from (Start(job) for job in view.waiting.tolist())
            assert view.free == {"a": 2}
            assert not view.can_move(2, size=6)
            assert view.can_move(2, size=5)
            yield Resize(2, 6)

    table = pd.DataFrame({"job_id": [1, 2, 3], "submit_s": 0, "n_accelerators": [3, 3, 4]})
    table = table.assign(duration_s=100, max_accelerators=[3, 3, 8])
    message = (
        "needs 2 more accelerators at once and does not fit: a has 2 free, but scattered over 2 "
        "nodes with at most 1 each"
    )
    scheduling = Scheduling(policy=Grows, placement="consolidate")
    with pytest.raises(ClusterSimError, match=message):
        cs.simulate(table, cluster(a_pool("a", 3, 4)), scheduling)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"a": 8, "b": 4}, "is a gang of 16 accelerators, and is started on"),
        ({"a": 8, "c": 8}, "cannot run on pool 'c'"),
        ({"a": 16, "b": 0}, "is a gang of 16 accelerators, and is started on"),
    ],
)
def test_parts_that_break_a_rule_are_refused(parts: dict[str, int], message: str):
    with pytest.raises(ClusterSimError, match=message):
        simulate({0.0: [Start(0, parts=parts)]}, [16], [[100.0], [100.0]], split="equal")


def log(seed: int, *, n_jobs: int = 60, most: int = 40) -> pd.DataFrame:
    """Jobs of random sizes on 40 accelerators, some larger than 24."""
    rng = np.random.default_rng(seed)
    size = rng.integers(1, most + 1, n_jobs)
    duration_s = rng.integers(1, 100, n_jobs)
    return pd.DataFrame(
        {
            "job_id": np.arange(n_jobs),
            "submit_s": np.sort(rng.integers(0, 60 * n_jobs, n_jobs)),
            "n_accelerators": size,
            "duration_s": duration_s,
            "estimate_s": duration_s * rng.integers(1, 4, n_jobs),
        }
    )


def starts(jobs: pd.DataFrame, policy: str, nodes: list[int], **scheduling: Any) -> list[float]:
    pools = [a_pool(f"pool{index}", count, 8) for index, count in enumerate(nodes)]
    settings = Scheduling(policy=policy, placement="pooled", **scheduling)
    return cs.simulate(jobs, cluster(*pools), settings, check=True).jobs["start_s"].tolist()


SPANNING = ["fcfs", "sjf", "first_fit", "largest_first", "smallest_first", "qssf"]


@pytest.mark.parametrize("policy", SPANNING)
@given(seed=st.integers(0, 2**31))
@settings(max_examples=examples(16))
def test_pools_that_jobs_span_are_like_one_pool(policy: str, seed: int):
    jobs = log(seed)
    spanning = starts(jobs, policy, [3, 2], span_pools="equal")
    assert spanning == starts(jobs, policy, [5])


@pytest.mark.parametrize("policy", ["easy", "easy_sjbf"])
@given(seed=st.integers(0, 2**31))
@settings(max_examples=examples(16))
def test_backfilling_over_pools_delays_no_first_job(policy: str, seed: int):
    # With exact estimates, a job that is alone in the queue starts as soon as all accelerators
    # together are enough, whatever is submitted later.
    jobs = log(seed).drop(columns="estimate_s")
    found = np.array(starts(jobs, policy, [3, 2], span_pools="proportional"))
    size, end = jobs["n_accelerators"], found + jobs["duration_s"]
    for job in range(len(jobs)):
        submitted = jobs["submit_s"][job]
        before = np.arange(len(jobs)) < job
        if (found[before] > submitted).any():
            continue  # it is not first
        held = before & (end > submitted)
        at = [submitted, *np.sort(end[held])]
        soonest = next(t for t in at if 40 - size[held & (end > t)].sum() >= size[job])
        assert found[job] <= soonest


def test_a_job_that_is_larger_than_each_pool_is_reserved_over_them():
    jobs = pd.DataFrame(
        {
            "job_id": [1, 2, 3, 4],
            "submit_s": [0.0, 1.0, 2.0, 3.0],
            "n_accelerators": [16, 40, 8, 8],
            "duration_s": [100.0, 50.0, 90.0, 120.0],
        }
    )
    # Job 2 needs all accelerators from 100 s on; job 3 ends before, job 4 does not.
    assert starts(jobs, "easy", [3, 2], span_pools="equal") == [0, 100, 2, 150]


def test_allocations_list_each_pool_of_a_job_and_metrics_count_both():
    jobs = pd.DataFrame(
        {"job_id": [7], "submit_s": [0.0], "n_accelerators": [32], "duration_s": [50.0]}
    )
    fleet = cluster(a_pool("a", 3, 8), a_pool("b", 2, 8))
    settings = Scheduling("fcfs", placement="consolidate", span_pools="equal")
    result = cs.simulate(jobs, fleet, settings)
    held = result.allocations[["pool", "node", "n_accelerators"]]
    assert held.to_numpy().tolist() == [["a", 0, 8], ["a", 1, 8], ["a", 2, 8], ["b", 0, 8]]
    second = cs.simulate(pd.concat([jobs, jobs.assign(job_id=8)]), fleet, settings)
    queue = queue_length(second.jobs, second.allocation_ranges, 100.0)
    assert queue.to_numpy().tolist() == [[0, 1, 32], [50, 0, 0], [100, 0, 0]]
    # Of 40 accelerators, job 1 has a share of 1/2, with which its 50 s take 32 / 20 times as long;
    # job 2 is one of 1.5 jobs on average.
    assert finish_time_fairness(second).tolist() == pytest.approx([50 / 80, 100 / 60])
    steps = result.utilisation
    assert steps.groupby("pool", observed=True)["allocated"].max().to_dict() == {"a": 24, "b": 8}


@pytest.mark.parametrize("policy", ["conservative", "priority", "multifactor", "max_min_fairness"])
def test_a_policy_that_spans_no_pools_says_so(policy: str):
    with pytest.raises(InputError, match=rf"policy {policy} starts no job over several pools"):
        starts(log(1), policy, [3, 2], span_pools="equal")


@pytest.mark.parametrize("policy", ["srtf", "srsf", "las"])
@given(seed=st.integers(0, 2**31))
@settings(max_examples=examples(8))
def test_preempted_jobs_over_pools_do_all_their_work(policy: str, seed: int):
    fleet = cluster(a_pool("a", 3, 8), a_pool("b", 2, 8))
    settings = Scheduling(policy, placement="consolidate", span_pools="equal")
    result = cs.simulate(log(seed), fleet, settings, check=True)
    ran = result.allocations.drop_duplicates(["job_id", "start_s"])
    whole_s = (ran["end_s"] - ran["start_s"]).groupby(ran["job_id"]).sum().to_numpy()
    np.testing.assert_allclose(whole_s, result.jobs["duration_s"], rtol=1e-9)


def test_no_job_is_preempted_for_a_gang_over_pools_that_finds_no_nodes():
    # Jobs 1 and 2 leave 3 on each node of a, and job 3 has the node of b.  Job 4 would have its 14
    # of 3 + 3 + 8, but a gang has whole nodes of a pool and the rest on one: 3 + 8 at most.
    jobs = pd.DataFrame(
        {
            "job_id": [1, 2, 3, 4],
            "submit_s": [0.0, 0.0, 0.0, 1.0],
            "n_accelerators": [5, 5, 8, 14],
            "duration_s": [10.0, 10.0, 100.0, 30.0],
        }
    )
    fleet = cluster(a_pool("a", 2, 8), a_pool("b", 1, 8))
    how = Scheduling("srtf", placement="consolidate", span_pools="equal", options={"cost": 0})
    result = cs.simulate(jobs, fleet, how, check=True)
    assert result.jobs["finish_s"].tolist() == [10, 10, 100, 40]


def test_a_gang_over_pools_takes_the_nodes_of_the_last_jobs():
    # Jobs 0 and 1 have 5 of a node of a each, job 2 the node of b.  With job 0 on its node, 3 + 8
    # of a and 6 of b are 17; with job 1 too, there would be 3 + 8.
    a, b = (
        Partition(k, k, "ab"[k], "", 0, Consolidate(n_nodes=2 - k, chips_per_node=8))
        for k in range(2)
    )
    columns = JobColumns([5, 5, 8, 17], [[60.0] * 4] * 2, [(0, 1)], [0] * 4, split="equal")
    queue = Queue([a, b], [0, 1], columns, lambda *_: None, looks_ahead=False, tracks_running=True)
    for job, partition, nodes in ((0, a, [(0, 5)]), (1, a, [(1, 5)]), (2, b, [(0, 8)])):
        partition.placement.take_these(nodes, nodes[0][1])
        partition.nodes_of[job] = nodes
        queue.start_taken(job, partition, nodes)
    assert chosen_on_nodes(queue, [3, 0, 1, 2]) == {3: None, 0: None}
    assert chosen_on_nodes(queue, [0, 1, 3, 2]) == {0: None, 1: None, 2: None}


@pytest.mark.parametrize("placement", sorted({*PLACEMENTS} - {"pooled"}))
@pytest.mark.parametrize("policy", ["srtf", "easy", "first_fit"])
@given(seed=st.integers(0, 2**31))
@settings(max_examples=examples(4))
def test_gangs_over_pools_find_nodes_under_every_placement(placement: str, policy: str, seed: int):
    fleet = cluster(a_pool("a", 3, 8), a_pool("b", 2, 8))
    how = Scheduling(policy, placement=placement, span_pools="proportional")
    result = cs.simulate(log(seed), fleet, how, check=True)
    assert set(result.jobs["outcome"]) <= {"finished", "never runnable"}
