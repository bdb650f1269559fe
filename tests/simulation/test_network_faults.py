"""Runs in a network whose parts fail: by hand, invariants, and a plain twin of the capacities."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clustersim as cs
from clustersim.analysis.policy.preemption import lost_share
from clustersim.analysis.restarts import restart_causes
from clustersim.engine.fault_driver import FaultDriver
from clustersim.engine.node_events import NodeEvent
from clustersim.engine.recovery import Recovery
from clustersim.network import CableState, SharedTrunks
from clustersim.simulation import run_jobs
from clustersim.topology import Cluster, NetworkParts, PartKind
from tests.examples import examples
from tests.simulation.fleets import crowd, jobs
from tests.topology.fabric_clusters import fabric_cluster

HALF = {"communication_share": 0.5, "tolerance": 1e-9}
RAILS = fabric_cluster("rails")
"""8 nodes of 8 chips; a unit of 2 nodes has 8 leaves with an uplink each, so 8 for 16 ports."""
ONE_RAIL = fabric_cluster("one rail")
"""The same uplinks of a unit (of 8 cables), but a single leaf for all ports of both nodes."""
BOTH = pytest.mark.parametrize("contention", [True, False])
Event = dict[str, Any]


def every(table: pd.DataFrame, interval_s: float) -> Recovery:
    n = len(table)
    return Recovery([[interval_s] * n], [0.0] * n, [5.0] * n)


def simulated(
    table: pd.DataFrame,
    events: list[Event] | None,
    cluster: Cluster = RAILS,
    *,
    placement: Any = "consolidate",
    policy: str = "fcfs",
    network: dict[str, Any] = HALF,
    **options: Any,
) -> cs.Result:
    faults = {} if events is None else {"faults": {"events": events}}
    scheduling = cs.Scheduling(policy=policy, placement=placement)
    return cs.simulate(table, cluster, scheduling, network=network | faults, check=True, **options)


def times(result: cs.Result) -> list[float]:
    return result.jobs[["start_s", "finish_s"]].to_numpy().ravel().tolist()


def fault(of: str | list[str], at: float, until: float | None = None, **fields: Any) -> Event:
    end = {} if until is None else {"until": f"{until} s"}
    return {"of": of, "at": f"{at} s", **end, **fields}


# --- By hand ------------------------------------------------------------------------


@BOTH
def test_half_of_the_cables_of_a_trunk_that_a_job_fills(contention: bool) -> None:
    """A ring over two units leaves each with 8 ports over 8 cables, which it fills.

    With half of the cables it has half of the rate and a slowdown of 0.5 + 0.5 / 0.5 from 20 s on:
    30 s are worth 20. The repair restores its pace.
    """
    table = jobs([(0, 32, 100)])
    network = HALF | {"contention": contention}
    assert times(simulated(table, [], network=network)) == [0, 100]
    halves: list[list[Event]] = [
        [fault([f"a/leaf/{leaf}-spine/0" for leaf in range(4)], 20, 50)],
        [fault("a/unit/0/uplinks", 20, 50, capacity=0.5)],
        [fault("a/spine/0", 20, 50, capacity=0.5)],
    ]
    for events in halves:
        result = simulated(table, events, network=network)
        assert times(result) == pytest.approx([0, 110])
        assert result.attempts is not None
        assert result.attempts["network_s"].tolist() == pytest.approx([10])
        assert result.outages is not None
        assert result.outages.empty
    for_ever = simulated(table, [fault("a/unit/1/uplinks", 20, capacity=0.5)], network=network)
    assert times(for_ever) == pytest.approx([0, 20 + 80 * 1.5])
    elsewhere = simulated(table, [fault("a/unit/2/uplinks", 20)], network=network)
    assert times(elsewhere) == [0, 100]


@BOTH
def test_one_of_eight_ports_of_a_node(contention: bool) -> None:
    """A ring under one leaf has the rate of its slowest node: 0.5 + 0.5 / (7 / 8)."""
    network = HALF | {"contention": contention}
    slow = 0.5 + 0.5 * 8 / 7
    for part in ("a/node/1/nic/3", "a/node/1-leaf/3", "a/leaf/3-node/1"):
        result = simulated(jobs([(0, 16, 100)]), [fault(part, 0)], network=network)
        assert times(result) == pytest.approx([0, 100 * slow])
    nodes = [f"a/node/{node}/nic/0" for node in (0, 1)]
    result = simulated(jobs([(0, 16, 100)]), [fault(nodes, 30, 60)], network=network)
    assert times(result) == pytest.approx([0, 60 + 100 - 30 - 30 / slow])
    both = [fault("a/node/0/nic/0", 0, 60), fault("a/node/0/nic/1", 30, 90)]
    found = simulated(jobs([(0, 16, 100)]), both, network=network)
    done = 30 / slow + 30 / (0.5 + 0.5 * 8 / 6) + 30 / slow
    assert times(found) == pytest.approx([0, 90 + 100 - done])
    # A job on one node sends nothing, and one that starts on such a node begins slowly.
    small = simulated(jobs([(0, 8, 100)]), [fault("a/node/0/nic/3", 0)], network=network)
    assert times(small) == [0, 100]
    late = simulated(
        jobs([(0, 64, 10), (1, 16, 100)]), [fault("a/node/0/nic/3", 5)], network=network
    )
    # The first job leaves 8 ports of each unit over 8 cables, and has 7 of 8 ports from 5 s on.
    first_s = 5 + 5 * slow
    assert times(late) == pytest.approx([0, first_s, first_s, first_s + 100 * slow])


@BOTH
def test_a_leaf_with_redundancy_slows_jobs_down(contention: bool) -> None:
    """One of 8 leaves takes an eighth of the ports and of the uplinks of its unit."""
    network = HALF | {"contention": contention}
    slow = 0.5 + 0.5 * 8 / 7
    for size in (16, 32):
        result = simulated(jobs([(0, size, 100)]), [fault("a/leaf/5", 0)], network=network)
        assert times(result) == pytest.approx([0, 100 * slow])
        assert result.attempts is not None
        assert result.attempts["stopped"].tolist() == [""]


@BOTH
def test_a_single_leaf_stops_the_jobs_of_its_nodes(contention: bool) -> None:
    """The first job loses what it did since its checkpoint at 30 s, and its second unit is down.

    It finds only 3 free nodes and waits for the repair, takes 5 s to restart and has 70 s left. The
    jobs behind other leaves go on.
    """
    table = jobs([(0, 32, 100), (0, 8, 100), (0, 8, 100), (0, 8, 60)])
    events = [fault("a/leaf/1", 40, 60, name="firmware")]
    network = HALF | {"contention": contention}
    result = simulated(table, events, ONE_RAIL, network=network, recovery=every(table, 30.0))
    assert times(result) == pytest.approx([0, 60 + 5 + 70, 0, 100, 0, 100, 0, 60])
    attempts, outages = result.attempts, result.outages
    assert attempts is not None
    assert outages is not None
    assert attempts["stopped"].tolist() == ["network", "", "", "", ""]
    assert attempts["lost_s"].tolist() == [10, 0, 0, 0, 0]
    assert attempts["restart_s"].tolist() == [0, 5, 0, 0, 0]
    rows = outages[["node", "begin_s", "end_s", "cause", "kind", "planned"]]
    assert rows.to_numpy().tolist() == [
        [2, 40, 60, "firmware", "cut off", False],
        [3, 40, 60, "firmware", "cut off", False],
    ]
    steps = result.utilisation[["time_s", "out"]].to_numpy().tolist()
    assert [40, 16] in steps
    assert [60, 0] in steps
    assert restart_causes(attempts, outages) == {"on nodes that faults cut off from the network": 1}
    held = 32 * (40 + 75) + 8 * 260
    assert lost_share(attempts, "network") == pytest.approx(32 * 10 / held)
    assert lost_share(attempts, "node") == 0


def test_a_job_that_is_stopped_starts_elsewhere_at_once() -> None:
    """Also a job on one node: its node is out of service for all jobs."""
    table = jobs([(0, 16, 100), (0, 8, 100)])
    events = [fault("a/leaf/1", 30, 60), fault("a/leaf/0", 40, 60)]
    result = simulated(table, events, ONE_RAIL)
    attempts = result.attempts
    assert attempts is not None
    assert attempts[["job_id", "start_s", "end_s", "stopped"]].to_numpy().tolist() == [
        [1, 0, 40, "network"],
        [1, 40, 140, ""],
        [2, 0, 30, "network"],
        [2, 30, 130, ""],
    ]
    nodes = result.allocations
    assert nodes[nodes["start_s"] == 0]["node"].tolist() == [0, 1, 2]
    assert (nodes[nodes["start_s"] > 0]["node"] >= 4).all()


def test_uplinks_that_are_all_down_cut_off_their_unit() -> None:
    table = jobs([(0, 32, 100)])
    result = simulated(table, [fault("a/unit/0/uplinks", 40, 60)])
    attempts = result.attempts
    assert attempts is not None
    assert attempts["start_s"].tolist() == [0, 40], "on the units 1 and 2"
    assert attempts["stopped"].tolist() == ["network", ""]


def test_faults_before_the_first_job_and_without_end() -> None:
    table = jobs([(5, 64, 100), (6, 8, 10)])
    result = simulated(table, [fault("a/leaf/0", 0)], ONE_RAIL, policy="easy")
    assert result.jobs["outcome"].tolist() == ["unfinished", "finished"]
    assert "at most 48 will ever be in service again" in result.jobs["reason"][0]
    faults = result.network_faults
    assert faults is not None
    assert faults.to_dict("records") == [
        {
            "pool": "a", "part": "a/leaf/0", "begin_s": 0.0, "end_s": math.inf, "capacity": 0.0,
            "cause": "a/leaf/0",
        }
    ]  # fmt: skip


def test_two_jobs_share_what_a_fault_leaves() -> None:
    """Full bisection: the trunk binds only while 12 of its 16 cables are down."""
    cluster = fabric_cluster("planes")  # units of 4 nodes: 32 ports and 32 cables
    table = jobs([(0, 64, 100), (0, 8, 100)])
    whole = simulated(jobs([(0, 64, 100)]), [], cluster)
    assert times(whole) == [0, 100]
    quarter = [fault("a/unit/0/uplinks", 20, 60, capacity=1 / 8)]
    # The ring leaves the unit with 8 ports over what is worth 4 cables: half of its rate.
    found = simulated(jobs([(0, 64, 100)]), quarter, cluster)
    assert times(found) == pytest.approx([0, 60 + 100 - 20 - 40 / 1.5])
    assert times(simulated(table, quarter, cluster))[:2] == times(found)
    load = found.network_load
    assert load is not None
    own = load[(load["group"] == 0)].drop_duplicates("time_s", keep="last")
    assert own["level"].unique().tolist() == ["leaf"]
    assert own["utilisation"].max() == pytest.approx(2 / 3), "it sends two thirds of the time"


def test_a_gang_over_two_pools_when_its_connection_is_degraded() -> None:
    """8 ports over a connection with the rate of 1 port, and of half a port from 100 s on."""
    cluster = fabric_cluster("none", "none", nodes=1, joined=True)
    table = jobs([(0, 16, 100)])
    both = cs.Scheduling(placement="consolidate", span_pools="equal")
    faults = {"events": [fault("b/uplinks", 90, capacity=0.5)]}
    plain = cs.simulate(table, cluster, both, network=HALF)
    assert times(plain) == pytest.approx([0, 100 * 4.5])
    found = cs.simulate(table, cluster, both, network=HALF | {"faults": faults})
    assert times(found) == pytest.approx([0, 90 + 80 * 8.5])


def test_tables_are_saved_and_read_back(tmp_path: Path) -> None:
    table = jobs([(0, 32, 100), (0, 8, 100)])
    result = simulated(table, [fault("a/leaf/1", 40, 60)], ONE_RAIL)
    again = cs.Result.load(result.save(tmp_path / "out"))
    for name in ("attempts", "outages", "network_faults"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(result, name))


def test_a_node_in_maintenance_that_waits_for_its_job() -> None:
    """The job goes on to its end at first; then the fault stops it, and the node leaves."""
    windows = {
        "maintenance": [
            {"pools": ["a"], "nodes": 0, "at": "30 s", "duration": "100 s", "running": "finish"}
        ]
    }
    faults = {"faults": {"events": [fault("a/leaf/0", 40, 60)]}}
    result = cs.replay(
        jobs([(0, 16, 100)], estimate_s=[10.0]),
        policy="fcfs",
        cluster=ONE_RAIL,
        windows=windows,
        network=HALF | faults,
        check=True,
    )
    attempts = result.attempts
    assert attempts is not None
    assert attempts[["start_s", "end_s", "stopped"]].to_numpy().tolist() == [
        [0, 40, "network"],
        [40, 140, ""],
    ]


# --- Without faults, nothing changes ---------------------------------------------------


@pytest.mark.parametrize("name", ["rails", "one rail", "two pods", "planes", "fat tree", "torus"])
@BOTH
def test_a_section_without_faults_changes_no_time(name: str, contention: bool) -> None:
    """Also one whose only fault comes when all jobs have ended, though trunks are kept for it."""
    cluster = fabric_cluster(name)
    table = crowd(5, 60, whole=False)
    network = {"contention": contention}
    options: dict[str, Any] = {"network": network, "placement": "spread", "policy": "easy"}
    plain = simulated(table, None, cluster, **options)
    parts = NetworkParts(cluster)
    kind: PartKind = "switch" if parts.count(0, "switch") else "link"
    every_part = [parts.part(0, kind, k)[0] for k in range(parts.count(0, kind))]
    for events in ([], [fault(every_part, 1e6)]):
        found = simulated(table, events, cluster, **options)
        assert times(found) == times(plain)
        assert found.attempts is not None
        pd.testing.assert_frame_equal(found.attempts, plain.attempts)
        assert found.network_faults is not None
        assert found.network_faults.empty


def test_the_files_of_a_run_without_the_section_are_as_ever(tmp_path: Path) -> None:
    """No table is written, and no label of a column is added, for what cannot happen."""
    table = crowd(5, 40)
    events = [NodeEvent(10.0, 30.0, 0, 0, "gpu")]
    result = simulated(table, None, node_events=events)
    folder = result.save(tmp_path / "out")
    assert not (folder / "network_faults.parquet").exists()
    assert result.attempts is not None
    assert result.attempts["stopped"].cat.categories.tolist()[-1] == "cancelled"


# --- Invariants -----------------------------------------------------------------------


def random_events(rng: np.random.Generator, cluster: Cluster, until_s: float) -> list[Event]:
    parts = NetworkParts(cluster)
    kinds: tuple[PartKind, ...] = ("nic", "link", "leaf", "spine", "switch")
    events = []
    for _ in range(int(rng.integers(1, 12))):
        kind = kinds[int(rng.integers(len(kinds)))]
        if n := parts.count(0, kind):
            name, _ = parts.part(0, kind, int(rng.integers(n)))
            at = float(rng.uniform(0, until_s))
            left = float(rng.choice([0.0, 0.0, 0.3, 0.7]))
            end = None if rng.random() < 0.1 else at + float(rng.uniform(1, until_s))
            events.append(fault(name, at, end, capacity=left))
    return events


@given(
    seed=st.integers(0, 2**32 - 1),
    name=st.sampled_from(["rails", "one rail", "two pods", "fat tree", "dragonfly", "torus"]),
    policy=st.sampled_from(["fcfs", "easy", "srtf"]),
)
@settings(max_examples=examples(60))
def test_work_and_time_are_accounted_for(seed: int, name: str, policy: str) -> None:
    """With random faults and failures of nodes; the engine checks itself after every pass."""
    rng = np.random.default_rng(seed)
    cluster, table = fabric_cluster(name), crowd(seed, 25)
    events = random_events(rng, cluster, 60.0)
    failures = [
        NodeEvent(begin, begin + float(rng.uniform(1, 20)), 0, int(rng.integers(8)), "gpu")
        for begin in np.sort(rng.uniform(0, 80, 4)).tolist()
    ]
    options: dict[str, Any] = {
        "placement": str(rng.choice(["spread", "consolidate"])),
        "policy": policy,
        "network": {"contention": bool(rng.integers(2)), "communication_share": 0.4},
        "node_events": failures,
        "recovery": every(table, 7.0),
        "horizon_s": 5000.0,
    }
    result = simulated(table, events, cluster, **options)
    again = simulated(table, events, cluster, **options)
    pd.testing.assert_frame_equal(result.jobs, again.jobs)
    attempts = result.attempts
    assert attempts is not None
    pd.testing.assert_frame_equal(attempts, again.attempts)
    parts = ["kept_s", "lost_s", "checkpoint_s", "restart_s", "slow_s", "network_s"]
    used_s = attempts[parts].to_numpy()
    assert (used_s >= -1e-9).all()
    length_s = (attempts["end_s"] - attempts["start_s"]).to_numpy()
    np.testing.assert_allclose(used_s.sum(axis=1), length_s, atol=1e-8)
    ended = result.jobs["outcome"] == "finished"
    kept_s = attempts.groupby("job_id")["kept_s"].sum().reindex(table["job_id"]).to_numpy()
    np.testing.assert_allclose(kept_s[ended], table["duration_s"][ended], atol=1e-8)
    stopped = attempts[attempts["stopped"] == "network"]
    begins = set() if result.network_faults is None else set(result.network_faults["begin_s"])
    assert set(stopped["end_s"]) <= begins, "a job is stopped when a fault begins"


@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(["rails", "one rail", "planes"]))
@settings(max_examples=examples(60))
def test_a_fault_never_makes_a_lone_job_faster(seed: int, name: str) -> None:
    """And more faults than others do not, either.

    A job that is stopped may find a better place, so only those that go on are compared.
    """
    rng = np.random.default_rng(seed)
    cluster = fabric_cluster(name)
    table = jobs([(0, int(rng.choice([12, 16, 24, 40, 64])), 50.0)])
    events = random_events(rng, cluster, 60.0)
    some = [each for each in events if rng.random() < 0.5]
    options: dict[str, Any] = {
        "placement": str(rng.choice(["spread", "consolidate"])),
        "network": HALF | {"contention": bool(rng.integers(2))},
        "recovery": every(table, 1e-3),
        "horizon_s": 1e5,
    }
    ends = []
    for own in ([], some, events):
        result = simulated(table, own, cluster, **options)
        at = result.jobs["finish_s"].fillna(1e6).iloc[0]
        attempts = result.attempts
        assert attempts is not None
        ends.append((at, bool((attempts["stopped"] == "network").any())))
    (none_s, _), (some_s, some_stop), (all_s, all_stop) = ends
    assert some_stop or none_s <= some_s * (1 + 1e-9)
    assert all_stop or none_s <= all_s * (1 + 1e-9)
    assert some_stop or all_stop or some_s <= all_s * (1 + 1e-9)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=examples(40))
def test_after_all_repairs_jobs_have_the_paces_of_before(seed: int) -> None:
    """Two long jobs over all units share the trunks before, during and after random faults."""
    rng = np.random.default_rng(seed)
    table = jobs([(0, 32, 1e5), (0, 32, 1e5)])
    events = [
        {**each, "until": "900 s", "capacity": float(rng.uniform(0.1, 0.9))}
        for each in random_events(rng, RAILS, 800.0)
    ]
    options: dict[str, Any] = {"placement": "spread", "network": HALF}
    late_s = 1000.0
    done = []
    for own, horizon_s in [([], 500.0), ([], 1500.0), (events, late_s), (events, 2 * late_s)]:
        attempts = simulated(table, own, horizon_s=horizon_s, **options).attempts
        assert attempts is not None
        done.append(attempts["kept_s"].to_numpy())
    pace = (done[1] - done[0]) / 1000.0
    np.testing.assert_allclose((done[3] - done[2]) / late_s, pace, rtol=1e-6)
    assert (done[2] <= pace * late_s * (1 + 1e-6)).all()


# --- A plain twin -----------------------------------------------------------------------


class Checked(FaultDriver):
    """Compares capacities and slowdowns after each change with those worked out from scratch."""

    errors: ClassVar[list[float]] = []
    part_names: ClassVar[list[str]] = []
    parts: ClassVar[NetworkParts]

    def _settle(self, event: Any) -> None:
        super()._settle(event)
        graph = self._links.graph
        state = CableState(self.parts, graph)
        for each in self.log:
            if each.end_s == math.inf:
                state.begin(each)
                self.part_names.append(each.part)
        capacity = self._links.capacity_Bps.copy()
        for position, trunk in enumerate(self._links.trunk.tolist()):
            part = state.trunk_part[trunk]
            if position >= self._links.n_shared:
                part = state.node_part[np.flatnonzero(graph.up_of_node[1] == trunk)[0]]
            if part > 0:
                capacity[position] *= part
                found = self.trunks.capacity_Bps[position]
                assert found == pytest.approx(capacity[position], rel=1e-12)
        fresh = SharedTrunks(capacity, tolerance=1e-9)
        impaired = set(np.flatnonzero(state.node_part < 1).tolist())
        for job, own in self._senders.items():
            trunks, demand = self._links.demand(own.gang, own.inside, own.communication, impaired)
            fresh.add(job, trunks, demand, own.communication.response)
        fresh.settle()
        for job in self._senders:
            now = self._simulation.running[job].slowed_by("network")
            self.errors.append(abs(now / fresh.slowdown(job) - 1))


def test_capacities_and_shares_are_those_of_a_solution_from_scratch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_jobs, "FaultDriver", Checked)
    monkeypatch.setattr(Checked, "errors", [])
    monkeypatch.setattr(Checked, "part_names", [])
    for seed, name in enumerate(["rails", "one rail", "two pods", "fat tree", "planes"] * 2):
        cluster = fabric_cluster(name)
        monkeypatch.setattr(Checked, "parts", NetworkParts(cluster), raising=False)
        rng = np.random.default_rng(seed)
        table = crowd(seed, 50)
        events = [each for _ in range(4) for each in random_events(rng, cluster, 60.0)]
        network = {"tolerance": 1e-8, "communication_share": 0.6}
        simulated(table, events, cluster, placement="spread", network=network, horizon_s=2000.0)
    assert len(Checked.errors) > 1000
    assert len(set(Checked.part_names)) > 50
    assert max(Checked.errors) < 1e-5


def test_random_faults_by_seed_and_replication() -> None:
    """The same seed gives the same bytes; the rates of all purposes are drawn apart."""

    def run(seed: int, **faults: Any) -> cs.Result:
        life = {"kind": "exponential", "average": "2 d"}
        source = {
            "name": "port",
            "of": "nic",
            "time_to_failure": life,
            "repair": {"kind": "constant", "value": "2 h"},
        }
        tree: dict[str, Any] = {
            "cluster": "mixed-small",
            "workload": {"generate": "philly-2017", "jobs": 150, "load": 0.6},
            "scheduler": {"policy": "easy"},
            "network": {"faults": {"sources": [source], **faults}},
            "seed": seed,
        }
        return cs.run(tree)

    def digest(result: cs.Result) -> str:
        assert result.network_faults is not None
        tables = (result.jobs, result.attempts, result.network_faults)
        texts = [table.to_csv() for table in tables if table is not None]
        return hashlib.sha256("".join(texts).encode()).hexdigest()

    first, again, other = run(3), run(3), run(4)
    assert digest(first) == digest(again) != digest(other)
    assert first.network_faults is not None
    assert len(first.network_faults) > 20
    none = run(3, rate=0)
    assert none.network_faults is not None
    assert none.network_faults.empty
    assert none.jobs["submit_s"].tolist() == first.jobs["submit_s"].tolist()
