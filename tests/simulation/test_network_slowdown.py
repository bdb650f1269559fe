"""Jobs in a network with shared trunks: by hand, exact limits, invariants, and a plain twin."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clustersim as cs
from clustersim.engine.network_driver import NetworkDriver
from clustersim.engine.node_events import NodeEvent, NodeEventKind
from clustersim.engine.recovery import Recovery
from clustersim.errors import InputError
from clustersim.network import SharedTrunks
from clustersim.simulation import run_jobs
from clustersim.topology import Cluster
from tests.examples import examples
from tests.network.leaf_clusters import FarApart, leaf_cluster, leaf_pool
from tests.simulation.fleets import crowd, jobs

TWO_PER_LEAF = leaf_cluster(leaf_pool(nodes=4, leaf_nodes=2))
"""Two nodes in each leaf; at 4:1, the trunk of a leaf has the rate of 4 of the 16 ports."""
HALF = {"communication_share": 0.5, "tolerance": 1e-9}


def simulated(
    table: pd.DataFrame,
    cluster: Cluster = TWO_PER_LEAF,
    *,
    placement: Any = FarApart,
    policy: str = "fcfs",
    network: dict[str, Any] | None = None,
    **options: Any,
) -> cs.Result:
    scheduling = cs.Scheduling(policy=policy, placement=placement)
    return cs.simulate(table, cluster, scheduling, network=network, check=True, **options)


def times(result: cs.Result) -> list[float]:
    return result.jobs[["start_s", "finish_s"]].to_numpy().ravel().tolist()


# --- By hand ------------------------------------------------------------------------


def test_two_jobs_over_one_pair_of_leaves() -> None:
    """Each job sends with 8 NICs over trunks with the rate of 4.

    Alone it has half of its rate, and a slowdown of 0.5 + 0.5 / 0.5. Together each meets the other
    with probability p: 8 x + p 8 x = 4 and p = (0.5 / x) / (0.5 + 0.5 / x) give x^2 + 1.5 x = 0.5.
    The job that is left alone goes on at its own pace.
    """
    share = (math.sqrt(4.25) - 1.5) / 2
    together = 0.5 + 0.5 / share
    table = jobs([(0, 16, 100), (0, 16, 50)])
    result = simulated(table, network=HALF)
    first_s = 50 * together
    assert times(result) == pytest.approx([0, first_s + 50 * 1.5, 0, first_s], rel=1e-9)
    attempts = result.attempts
    assert attempts is not None
    lost_s = [first_s + 75 - 100, first_s - 50]
    assert attempts["network_s"].tolist() == pytest.approx(lost_s, rel=1e-9)
    assert attempts["slow_s"].tolist() == [0, 0]
    assert attempts["kept_s"].tolist() == pytest.approx([100, 50])


def test_without_contention_each_job_has_the_trunks_for_itself() -> None:
    table = jobs([(0, 16, 100), (0, 16, 50)])
    result = simulated(table, network=HALF | {"contention": False})
    assert times(result) == [0, 150, 0, 75]


def test_a_job_that_starts_later_slows_the_first_one_down() -> None:
    together = 0.5 + 0.5 / ((math.sqrt(4.25) - 1.5) / 2)
    result = simulated(jobs([(0, 16, 100), (30, 16, 100)]), network=HALF)
    first_s = 30 + (100 - 30 / 1.5) * together  # 20 s of work done by then
    second_s = first_s + (100 - (first_s - 30) / together) * 1.5
    assert times(result) == pytest.approx([0, first_s, 30, second_s], rel=1e-9)


def test_with_fewer_nics_a_ring_is_slower_under_one_leaf() -> None:
    """Eight chips on eight nodes of one leaf send with a NIC each, instead of 450 GB/s links."""
    whole = leaf_cluster(leaf_pool(nodes=8, leaf_nodes=8))
    small = jobs([(0, 8, 100)])
    assert times(simulated(small, whole, placement="consolidate", network=HALF)) == [0, 100]
    spread = simulated(small, whole, placement="spread", network=HALF)
    assert times(spread) == pytest.approx([0, 50 + 50 * 9])
    large = jobs([(0, 32, 100)])  # 4 chips on each node instead of 8
    spread = simulated(large, whole, placement="spread", network=HALF)
    assert times(spread) == pytest.approx([0, 150])


def test_policies_expect_the_typical_placement() -> None:
    """Alone on three nodes of two leaves, the first job has half of its rate.

    EASY knows that it ends at 150 s, so a job of 150 s may start before the waiting one.
    """
    cluster = leaf_cluster(leaf_pool(nodes=4, leaf_nodes=2))
    table = jobs([(0, 24, 100), (1, 32, 10), (2, 8, 140)])
    easy = simulated(table, cluster, policy="easy", network=HALF, placement="consolidate")
    assert times(easy) == [0, 150, 150, 165, 2, 142]
    users = table.assign(estimate_s=[120.0, 10.0, 140.0])  # a user's own estimate stays
    easy = simulated(users, cluster, policy="easy", network=HALF, placement="consolidate")
    assert times(easy) == [0, 150, 150, 165, 165, 305]
    scheduling = cs.Scheduling(policy="easy", placement="consolidate", exact_estimates=True)
    exact = cs.simulate(users, cluster, scheduling, network=HALF)
    assert times(exact) == [0, 150, 150, 165, 2, 142]


def test_a_gang_over_two_pools_crosses_the_datacenter_network() -> None:
    """Eight NICs over a link with the rate of 4."""
    pools = [leaf_pool(name, nodes=1, datacenter_Bps=200e9, ratio=1.0) for name in "ab"]
    table = jobs([(0, 16, 100)])
    both = cs.Scheduling(placement="consolidate", span_pools="equal")
    cluster = leaf_cluster(*pools, latency_s=1e-3)
    assert times(cs.simulate(table, cluster, both, network=HALF)) == pytest.approx([0, 150])
    apart = leaf_cluster(*(leaf_pool(name, nodes=1) for name in "ab"))
    with pytest.raises(InputError, match="datacenter_network"):
        cs.simulate(table, apart, both, network=HALF)


# --- Exact limits -------------------------------------------------------------------


@given(seed=st.integers(0, 2**32 - 1), policy=st.sampled_from(["fcfs", "easy", "sjf"]))
@settings(max_examples=examples(40))
def test_full_bisection_changes_nothing(seed: int, policy: str) -> None:
    rng = np.random.default_rng(seed)
    table = crowd(seed, 30, whole=False)
    cluster = leaf_cluster(leaf_pool(nodes=6, leaf_nodes=int(rng.integers(1, 7)), ratio=1.0))
    plain = simulated(table, cluster, policy=policy, placement="consolidate")
    network = {"contention": bool(rng.integers(2))}
    found = simulated(table, cluster, policy=policy, placement="consolidate", network=network)
    np.testing.assert_allclose(times(found), times(plain), rtol=1e-12)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=examples(40))
def test_packed_under_one_leaf_changes_nothing(seed: int) -> None:
    """Whatever the ratio, as long as no job needs a second leaf."""
    table = crowd(seed, 30)
    cluster = leaf_cluster(leaf_pool(nodes=3, leaf_nodes=3, ratio=7.0))
    plain = simulated(table, cluster, placement="consolidate")
    found = simulated(table, cluster, placement="consolidate", network={})
    assert times(found) == times(plain)


@given(seed=st.integers(0, 2**32 - 1), placement=st.sampled_from(["spread", FarApart]))
@settings(max_examples=examples(40))
def test_contention_with_one_job_at_a_time_is_none(seed: int, placement: Any) -> None:
    rng = np.random.default_rng(seed)
    cluster = leaf_cluster(leaf_pool(nodes=8, leaf_nodes=2, ratio=float(rng.uniform(1, 8))))
    sizes = rng.integers(1, 64, 5) if placement == "spread" else rng.choice([16, 32, 64], 5)
    table = jobs([(1e6 * k, int(n), 100.0) for k, n in enumerate(sizes)])
    with_others = simulated(table, cluster, placement=placement, network={})
    alone = simulated(table, cluster, placement=placement, network={"contention": False})
    np.testing.assert_allclose(times(with_others), times(alone), rtol=1e-12)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=examples(60))
def test_wider_trunks_and_fewer_nodes_never_make_a_lone_job_slower(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size, leaf_nodes = int(rng.integers(2, 65)), int(rng.integers(1, 5))
    table = jobs([(0, size, 100.0)])

    def finish_s(ratio: float, placement: str) -> float:
        cluster = leaf_cluster(leaf_pool(nodes=8, leaf_nodes=leaf_nodes, ratio=ratio))
        return times(simulated(table, cluster, placement=placement, network={}))[1]

    narrow, wide = sorted(rng.uniform(1, 10, 2).tolist(), reverse=True)
    for placement in ("consolidate", "spread"):
        assert finish_s(wide, placement) <= finish_s(narrow, placement) * (1 + 1e-12)
    assert finish_s(narrow, "consolidate") <= finish_s(narrow, "spread") * (1 + 1e-12)


# --- A plain twin, and the rest of the engine ----------------------------------------


class Checked(NetworkDriver):
    """Compares the slowdowns after each change with those of a solution from scratch."""

    errors: ClassVar[list[float]] = []

    def _settle(self, event: Any) -> None:
        super()._settle(event)
        fresh = SharedTrunks(self._links.capacity_Bps, tolerance=1e-9)
        for job, (trunks, demand, communication) in self.sharing.items():
            fresh.add(job, trunks, demand, communication.response)
        fresh.settle()
        running = self._simulation.running
        for job in self.sharing:
            found = running[job].slowed_by("network")
            self.errors.append(abs(found / fresh.slowdown(job) - 1))


@pytest.mark.parametrize(("tolerance", "mean", "most"), [(1e-7, 1e-6, 1e-5), (0.01, 0.01, 0.06)])
def test_shares_are_those_of_a_solution_from_scratch(
    tolerance: float, mean: float, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_jobs, "NetworkDriver", Checked)
    monkeypatch.setattr(Checked, "errors", [])
    cluster = leaf_cluster(leaf_pool(nodes=12, leaf_nodes=2, ratio=4.0))
    for seed in range(6):
        table = crowd(seed, 60, largest=24)
        simulated(table, cluster, placement="spread", network={"tolerance": tolerance})
        simulated(table, cluster, network={"tolerance": tolerance, "communication_share": 0.7})
    assert len(Checked.errors) > 1000
    assert np.mean(Checked.errors) < mean
    assert max(Checked.errors) < most


def every(jobs: pd.DataFrame, interval_s: float) -> Recovery:
    n = len(jobs)
    return Recovery([[interval_s] * n], [0.5] * n, [1.0] * n)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=examples(30))
def test_time_is_accounted_for_with_failures_and_slow_nodes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = crowd(seed, 25)
    cluster = leaf_cluster(leaf_pool(nodes=6, leaf_nodes=2, ratio=3.0))
    events = []
    for begin_s in np.sort(rng.uniform(0, 80, 8)).tolist():
        slows = bool(rng.integers(2))
        kind = NodeEventKind.SLOWDOWN if slows else NodeEventKind.FAILURE
        events.append(
            NodeEvent(
                begin_s=begin_s,
                end_s=begin_s + float(rng.uniform(1, 20)),
                pool=0,
                node=int(rng.integers(6)),
                cause="test",
                kind=kind,
                slowdown=2.0 if slows else math.inf,
            )
        )
    options: dict[str, Any] = {"node_events": events, "recovery": every(table, 7.0)}
    result = simulated(table, cluster, network={}, **options)
    again = simulated(table, cluster, network={}, **options)
    pd.testing.assert_frame_equal(result.jobs, again.jobs)
    attempts = result.attempts
    assert attempts is not None
    parts = ["kept_s", "lost_s", "checkpoint_s", "restart_s", "slow_s", "network_s"]
    used_s = attempts[parts].to_numpy()
    assert (used_s >= -1e-9).all()
    length_s = (attempts["end_s"] - attempts["start_s"]).to_numpy()
    np.testing.assert_allclose(used_s.sum(axis=1), length_s, atol=1e-9)
    assert attempts["network_s"].sum() > 0
    kept_s = attempts.groupby("job_id")["kept_s"].sum().reindex(table["job_id"]).to_numpy()
    np.testing.assert_allclose(kept_s, table["duration_s"], atol=1e-9)


@pytest.mark.parametrize("policy", ["srtf", "las", "defragment"])
def test_policies_that_preempt_and_migrate(policy: str) -> None:
    cluster = leaf_cluster(leaf_pool(nodes=6, leaf_nodes=2))
    result = simulated(crowd(3, 60), cluster, policy=policy, placement="spread", network={})
    assert (result.jobs["outcome"] == "finished").all()


# --- The switch ---------------------------------------------------------------------


def test_settings_are_checked() -> None:
    table = jobs([(0, 16, 100)])
    with pytest.raises(InputError, match=r"network: contenion: .*did you mean.*contention"):
        simulated(table, network={"contenion": True})
    with pytest.raises(InputError, match="communication_share"):
        simulated(table, network={"communication_share": 2})
    with pytest.raises(InputError, match="network: needs a placement that tracks nodes"):
        simulated(table, placement="pooled", network={})
    with pytest.raises(InputError, match="network: pool pool has no topology"):
        cs.simulate(table, cs.single_pool(16), network={})


def test_what_is_assumed_is_noted_once() -> None:
    notes = simulated(jobs([(0, 16, 100)]), network=HALF).provenance["notes"]
    assert [note for note in notes if "50.0 % of its run time" in note] == notes
    assert "notes" not in simulated(jobs([(0, 16, 100)])).provenance
