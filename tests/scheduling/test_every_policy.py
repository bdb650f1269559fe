"""What always holds, for random jobs, policies, failures and deliveries."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import clustersim as cs
from clustersim import Scheduling
from clustersim.engine.node_events import NodeEvent, NodeEventKind
from clustersim.engine.recovery import Progress, Recovery
from clustersim.scheduling import POLICIES
from clustersim.scheduling.placements import PLACEMENTS
from clustersim.simulation.result import Result
from tests.examples import FULL
from tests.simulation.fleets import cluster
from tests.simulation.fleets import pool as a_pool

FLEET = cluster(a_pool("a", 2, 4), a_pool("b", 3, 4))
QUOTAS = {"queues": {name: {"cohort": "all", "quotas": {"a": 4, "b": 6}} for name in ("u", "v")}}
OPTIONS: dict[str, dict[str, Any]] = {
    "max_throughput_per_cost": {"prices": {"a": 2.0, "b": 1.0}},
    "kueue": {"quotas": QUOTAS, "by": "user"},
    "kai": {"quotas": QUOTAS, "by": "user"},
}
"""Options without which a policy does not run."""
EXAMPLES = 10_000 if settings().max_examples >= settings.get_profile(FULL).max_examples else 200


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Up to twelve jobs in batches, with users, priorities, deadlines and dependencies."""
    n = draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    run_s = rng.choice([0.0, 1.0, 20.0, 60.0, 150.5], n)
    submit_s = np.cumsum(rng.choice([0.0, 0.0, 3.0, 40.0], n))
    jobs = pd.DataFrame(
        {
            "job_id": [str(job) for job in range(n)],
            "submit_s": submit_s,
            "n_accelerators": rng.integers(1, 13, n),
            "duration_s": run_s,
            "estimate_s": np.maximum(run_s + rng.choice([0.0, 0.0, 30.0, -10.0], n), 0.0),
            "priority": rng.integers(0, 4, n),
            "user": rng.choice(["u", "v"], n),
            "deadline_s": submit_s + 3 * run_s + 60,
        }
    )
    if draw(st.booleans()):
        before = [
            str(rng.integers(0, job)) if job and rng.random() < 0.3 else "" for job in range(n)
        ]
        jobs["after_ok"] = before
    return jobs


@st.composite
def events(draw: st.DrawFn) -> list[NodeEvent]:
    """Failures, maintenance and late deliveries, after which each node is there again."""
    found = []
    for pool, n_nodes in ((0, 2), (1, 3)):
        for node in range(n_nodes):
            kind = draw(st.sampled_from([None, None, *_KINDS]))
            if kind is not None:
                late = kind is NodeEventKind.LATE_DELIVERY
                begin_s = 0.0 if late else float(draw(st.integers(0, 200)))
                end_s = begin_s + draw(st.sampled_from([0.5, 30.0, 100.0]))
                found.append(NodeEvent(begin_s, end_s, pool, node, kind.label, kind))
    return sorted(found, key=lambda event: event.begin_s)


_KINDS = (NodeEventKind.FAILURE, NodeEventKind.MAINTENANCE, NodeEventKind.LATE_DELIVERY)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    policy=st.sampled_from(sorted(POLICIES)),
    jobs=tables(),
    outages=events(),
    save_s=st.sampled_from([None, 0.0, 2.0]),
    spans=st.booleans(),
)
def test_every_policy_keeps_the_rules(
    policy: str,
    jobs: pd.DataFrame,
    outages: list[NodeEvent],
    save_s: float | None,
    spans: bool,
) -> None:
    n = len(jobs)
    recovery = None
    if save_s is not None:
        recovery = Recovery([[15.0] * n] * 2, [save_s] * n, [save_s * 2] * n)
    scheduling = Scheduling(
        policy,
        placement="consolidate",
        options=OPTIONS.get(policy, {}),
        span_pools="equal" if spans and POLICIES[policy].spans_pools else None,
    )
    result = cs.simulate(
        jobs, FLEET, scheduling, node_events=outages, recovery=recovery, check=True
    )
    check_jobs(result)
    check_attempts(result)
    check_outages(result)


@settings(max_examples=EXAMPLES // 4, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    policy=st.sampled_from(["pollux", "sia"]),
    jobs=tables(),
    seed=st.integers(0, 2**32),
    outages=events(),
    save_s=st.sampled_from([None, 0.0, 2.0, 70.0]),
    placement=st.sampled_from(sorted(PLACEMENTS)),
    options=st.fixed_dictionaries(
        {},
        optional={
            "growth": st.just(0),
            "learns": st.just(False),
            "min_run": st.sampled_from([50.0, 100.0]),
            "most_preemptions": st.integers(1, 2),
            "round": st.sampled_from([30.0, 100.0]),
        },
    ),
)
def test_jobs_that_change_their_sizes_keep_the_rules(
    policy: str,
    jobs: pd.DataFrame,
    seed: int,
    outages: list[NodeEvent],
    save_s: float | None,
    placement: str,
    options: dict[str, Any],
) -> None:
    """Accelerators are checked after every pass, and each attempt is within the job's range."""
    draw, n = np.random.default_rng(seed), len(jobs)
    asked = jobs["n_accelerators"]
    jobs["min_accelerators"] = np.maximum(1, asked - draw.integers(0, 12, n))
    jobs["max_accelerators"] = asked + draw.integers(0, 8, n)
    recovery = None
    if save_s is not None:
        recovery = Recovery([[15.0] * n] * 2, [save_s] * n, [save_s / 2] * n)
    events_if_nodes = None if placement == "pooled" else outages
    result = cs.simulate(
        jobs,
        FLEET,
        Scheduling(policy, placement=placement, options=options),
        node_events=events_if_nodes,
        recovery=recovery,
        check=True,
    )
    assert set(result.jobs["outcome"]) <= {"finished", "never runnable"}
    ran = result.jobs[result.jobs["outcome"] == "finished"]
    np.testing.assert_allclose(ran["done"], 1.0, atol=1e-9)
    sizes = result.allocation_ranges.groupby("job_id")["n_accelerators"].agg(["min", "max"])
    limits = jobs.set_index("job_id").loc[sizes.index.astype(str)]
    assert (sizes["min"].to_numpy() >= limits["min_accelerators"].to_numpy()).all()
    assert (sizes["max"].to_numpy() <= limits["max_accelerators"].to_numpy()).all()


def check_jobs(result: Result) -> None:
    """Check that all jobs that can run do all their work, each after its predecessors."""
    jobs = result.jobs.set_index("job_id")
    assert set(jobs["outcome"]) <= {"finished", "never runnable"}
    ran = jobs[jobs["outcome"] == "finished"]
    assert (ran["start_s"] >= ran["submit_s"]).all()
    np.testing.assert_allclose(ran["done"], 1.0, atol=1e-9)
    for job, before in ran.get("after_ok", pd.Series(dtype=str)).items():
        if before:
            assert jobs["finish_s"][before] <= ran["start_s"][job]
    never = jobs[jobs["outcome"] == "never runnable"]
    assert never["reason"].notna().all()
    for job, before in never.get("after_ok", pd.Series(dtype=str)).items():
        alone = not before or jobs["outcome"][before] == "finished"
        assert not alone or jobs["n_accelerators"][job] > 8  # more than the smaller pool


def check_attempts(result: Result) -> None:
    """Check that attempts of a job follow each other and account for their time."""
    table = result.attempts
    assert table is not None
    spans_s = table["end_s"] - table["start_s"]
    parts = list(Progress._fields[:-2])  # neither the network nor shared storage is simulated
    np.testing.assert_allclose(table[parts].sum(axis=1), spans_s, atol=1e-6)
    jobs = result.jobs.set_index("job_id")
    kept_s = table.groupby("job_id")["kept_s"].sum()
    np.testing.assert_allclose(kept_s, jobs["duration_s"][kept_s.index], atol=1e-6)
    for job, own in table.groupby("job_id", sort=False):
        assert (own["start_s"].to_numpy()[1:] >= own["end_s"].to_numpy()[:-1] - 1e-9).all()
        assert (own["n_accelerators"] == jobs["n_accelerators"][job]).all()
        assert math.isclose(own["end_s"].max(), jobs["finish_s"][job])


def check_outages(result: Result) -> None:
    """Check that no job is on a node while it is out of service."""
    assert result.outages is not None
    held = result.allocations
    for outage in result.outages.itertuples():
        here = held[(held["pool"] == outage.pool) & (held["node"] == outage.node)]
        assert not ((here["start_s"] < outage.end_s) & (here["end_s"] > outage.begin_s)).any()
