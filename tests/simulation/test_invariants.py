"""What always holds, for every policy and placement."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from fleets import cluster, crowd, jobs, pool
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.errors import ClusterSimError
from clustersim.scheduling import NodePlacement, Policy, Preempt, Resize, Start, View
from clustersim.scheduling.decisions import Decision
from clustersim.simulation.check_policy import _wrong_size, check_policy
from clustersim.simulation.metrics import accelerator_seconds
from clustersim.simulation.result import Result
from clustersim.simulation.simulate import Scheduling, simulate
from clustersim.topology import Cluster
from tests.examples import examples

POLICIES = ["fcfs", "sjf", "easy", "easy_sjbf", "conservative"]
PLACEMENTS = ["pooled", "consolidate", "spread"]
SHARES = {"a": 2, "b": 1}
FLEETS = {
    "one pool": cluster(pool("gpu", 3, 4)),
    "two pools": cluster(pool("one", 2, 4), pool("two", 3, 2)),
    "virtual clusters": cluster(pool("gpu", 5, 4, virtual_clusters=SHARES)),
}


@st.composite
def logs(draw: st.DrawFn) -> pd.DataFrame:
    """Few jobs in batches, some too large, some past their estimates, some in no cluster."""
    rows, vcs, slack, now = [], [], [], 0.0
    for _ in range(draw(st.integers(1, 20))):
        now += draw(st.sampled_from([0, 0, 0, 1, 2.5, 6]))
        run = draw(st.sampled_from([0, 1, 2, 2.5, 4, 7.1]))
        rows.append((now, draw(st.integers(1, 14)), run))
        slack.append(max(run + draw(st.sampled_from([-3, 0, 0, 1, 5])), 0.0))
        vcs.append(draw(st.sampled_from(["a", "b", "", "c"])))
    return jobs(rows, estimate_s=np.array(slack), vc=vcs)


def check_result(result: Result, log: pd.DataFrame, fleet: Cluster) -> None:
    """Check the tables of a run that was checked at every pass."""
    table = result.jobs
    assert table["job_id"].tolist() == log["job_id"].tolist()
    assert set(table["outcome"]) <= {"finished", "never runnable"}
    never = table["outcome"] == "never runnable"
    assert table["reason"].notna().tolist() == never.tolist()
    ran = table[~never]
    # Time never goes backward, and the work of every finished job is done.
    assert (ran["start_s"] >= ran["submit_s"]).all()
    np.testing.assert_array_equal(ran["finish_s"], ran["start_s"] + ran["duration_s"])
    # Each job has just its gang, all of it in one pool, while it runs.
    rows = result.allocations
    given_to = rows.groupby("job_id")["n_accelerators"].sum()
    assert given_to.to_dict() == ran.set_index("job_id")["n_accelerators"].to_dict()
    assert (rows.groupby("job_id")["pool"].nunique() == 1).all()
    spans = rows.merge(ran[["job_id", "start_s", "finish_s"]], on="job_id")
    assert (spans["start_s_x"] == spans["start_s_y"]).all()
    assert (spans["end_s"] == spans["finish_s"]).all()
    check_nodes(rows, fleet)
    check_accelerator_seconds(result)


def check_nodes(rows: pd.DataFrame, fleet: Cluster) -> None:
    """No chip of a node is in two allocations, and virtual clusters keep to their nodes."""
    of_pool = {each.name: each for each in fleet.pools}
    for (name, node), held in rows[rows["node"] >= 0].groupby(["pool", "node"], observed=True):
        assert 0 <= node < of_pool[name].n_nodes
        owner = {0: "a", 1: "a", 2: "b"}.get(node, "") if of_pool[name].virtual_clusters else ""
        assert set(held["virtual_cluster"]) == {owner}
        for time in held["start_s"]:
            there = held[(held["start_s"] <= time) & (time < held["end_s"])]
            assert there["n_accelerators"].sum() <= of_pool[name].chips_per_node


def check_accelerator_seconds(result: Result) -> None:
    """The utilisation table and the allocation table agree, pool by pool."""
    use = accelerator_seconds(result.utilisation)
    rows = result.allocations
    held = (rows["n_accelerators"] * (rows["end_s"] - rows["start_s"])).groupby(
        rows["pool"], observed=False
    )
    np.testing.assert_allclose(use["allocated"], held.sum()[use.index], rtol=1e-12, atol=1e-9)
    steps = result.utilisation
    assert ((steps["allocated"] >= 0) & (steps["allocated"] <= steps["installed"])).all()


@pytest.mark.parametrize("fleet", FLEETS)
@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("policy", POLICIES)
@settings(derandomize=True, deadline=None, max_examples=examples(8))
@given(log=logs())
def test_every_policy_with_every_placement(
    policy: str, placement: str, fleet: str, log: pd.DataFrame
) -> None:
    scheduling = Scheduling(policy=policy, placement=placement)
    result = simulate(log, FLEETS[fleet], scheduling, check=True)
    check_result(result, log, FLEETS[fleet])


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("policy", POLICIES)
def test_a_crowd_of_jobs(policy: str, placement: str) -> None:
    log, fleet = crowd(8, 250), cluster(pool("one", 2), pool("two", 3))
    result = simulate(log, fleet, Scheduling(policy=policy, placement=placement), check=True)
    check_result(result, log, fleet)
    # Of whole seconds even the sums are exact.
    rows = result.allocations
    held = (rows["n_accelerators"] * (rows["end_s"] - rows["start_s"])).sum()
    assert accelerator_seconds(result.utilisation)["allocated"].sum() == held
    assert held == (log["n_accelerators"] * log["duration_s"]).sum()


@pytest.mark.parametrize("policy", ["fcfs", "easy"])
def test_utilisation_is_the_sum_over_allocations_at_every_second(policy: str) -> None:
    log, fleet = crowd(9, 200), cluster(pool("one", 2), pool("two", 1))
    result = simulate(log, fleet, Scheduling(policy=policy, placement="consolidate"))
    rows = result.allocations
    for name, steps in result.utilisation.groupby("pool", observed=True):
        mine = rows[rows["pool"] == name]
        times = steps["time_s"].to_numpy()
        assert times[0] == 0
        assert times[-1] == result.provenance["simulated_s"]
        assert (np.diff(times) > 0).all()
        assert (np.diff(steps["allocated"].to_numpy()[:-1]) != 0).all(), "only changes have rows"
        for second in range(int(times[-1])):
            at = np.searchsorted(times, second, side="right") - 1
            here = mine[(mine["start_s"] <= second) & (second < mine["end_s"])]
            assert steps["allocated"].iloc[at] == here["n_accelerators"].sum()


# --- The checks find what they are for ----------------------------------------------


class Oversold(NodePlacement):
    """Hands out every gang on the first node, whatever is free there."""

    def choose(self, n: int, node_free: np.ndarray) -> list[tuple[int, int]]:
        return [(0, n)]


class Forgetful(NodePlacement):
    """Does not take back the last chip of a gang."""

    def choose(self, n: int, node_free: np.ndarray) -> list[tuple[int, int]] | None:
        node = int(np.argmax(node_free))
        return [(node, n)] if node_free[node] >= n else None

    def give(self, nodes: list[tuple[int, int]], n: int) -> None:
        super().give(nodes, n)
        self.free -= 1


class Idle(Policy):
    """Starts nobody who came at an odd second."""

    def schedule(self, now: float) -> None:
        for job in list(self.waiting):
            if int(now) % 2 == 0:
                self.start(job)


@pytest.mark.parametrize("placement", [Oversold, Forgetful])
def test_an_unlawful_placement_is_found(placement: type[NodePlacement]) -> None:
    with pytest.raises(ClusterSimError, match="free"):
        simulate(
            crowd(1, 50, largest=4), FLEETS["one pool"], Scheduling(placement=placement), check=True
        )
    assert any(finding.problem for finding in check_policy("fcfs", placement))


class StartsSmall(Policy):
    """Starts jobs at their smallest size, and resizes them at the same instant."""

    tracks_running: ClassVar[bool] = True

    def decide(self, view: View) -> Iterable[Decision]:
        ranges = {name: view.columns.get(f"{name}_accelerators") for name in ("min", "max")}
        for job in view.waiting.tolist():
            small, large = (own is not None and int(own[job]) for own in ranges.values())
            if not small or not view.fits(job):
                yield from (Start(job) for _ in range(view.fits(job)))
                continue
            yield Start(job, size=small)
            if large - small <= view.free["gpu"] and large > small:
                yield Resize(job, large, cost_s=0.0)


def test_a_job_may_start_and_be_resized_at_the_same_instant() -> None:
    """An attempt that ends when it begins does not count with the one that follows."""
    found = check_policy(StartsSmall, "pooled")
    assert [each.problem for each in found] == [""] * 7


def test_an_attempt_of_a_wrong_size_is_found() -> None:
    log = jobs([(0, 8, 10), (0, 4, 10)])
    result = simulate(log, FLEETS["one pool"], Scheduling(placement="consolidate"))
    assert _wrong_size(result, log) == ""
    wrong = _wrong_size(result, log.assign(n_accelerators=[8, 3]))
    assert wrong == "job 2 requested 3 accelerators but got 4"


def test_a_policy_that_leaves_jobs_behind_is_found() -> None:
    assert any("never started" in finding.problem for finding in check_policy(Idle))


@pytest.mark.parametrize(
    "placement", ["pooled", "consolidate", pytest.param("spread", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("policy", POLICIES)
def test_the_built_in_ones_keep_the_rules(policy: str, placement: str) -> None:
    found = check_policy(policy, placement, seed=3)
    assert [finding.problem for finding in found] == [""] * (7 if placement == "pooled" else 8)


class StartsAtOnce(Policy):
    """Takes it that a preempted job has left; jobs that save a checkpoint have not."""

    tracks_running: ClassVar[bool] = True

    def decide(self, view: View) -> Iterable[Decision]:
        jobs = view.active
        chosen = view.those_that_fit(jobs[np.argsort(view.remaining_s(jobs), kind="stable")])
        yield from (Preempt(job) for job in view.running.tolist() if job not in chosen)
        yield from (Start(job) for job in chosen if job in view.waiting)


@pytest.mark.slow
def test_a_policy_that_overlooks_jobs_that_save_is_found() -> None:
    found = {each.trial: each.problem for each in check_policy(StartsAtOnce, "pooled")}
    assert found["one pool of 8 nodes"] == ""
    assert "does not fit" in found["one pool, with checkpoints"]


class ForgetsStopped(Policy):
    """Overlooks that jobs come back after a failure, and that held jobs come late."""

    in_order: bool = False

    def submit(self, job: int) -> None:
        if self.in_order and self.waiting and job < max(self.waiting):
            raise ValueError("jobs come in the order of their submission")
        super().submit(job)

    def resubmit(self, job: int) -> None:
        if self.in_order:
            self.submit(job)

    def decide(self, view: View) -> Iterable[Decision]:
        yield from (Start(job) for job in view.waiting.tolist() if view.fits(job))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("in_order", "trial", "problem"),
    [
        (False, "two pools, with checkpoints, failures and dependencies", "never started"),
        (True, "two pools, with dependencies and arrays", "ValueError: jobs come in the order"),
    ],
)
def test_a_policy_that_overlooks_jobs_that_come_back_or_late_is_found(
    in_order: bool, trial: str, problem: str
) -> None:
    findings = check_policy(ForgetsStopped, options={"in_order": in_order})
    problems = {each.trial: each.problem for each in findings}
    assert problems["one pool of 8 nodes"] == ""
    assert problem in problems[trial]
