"""When a run without a horizon ends, and why its jobs did not finish."""

from __future__ import annotations

import math
from itertools import islice
from typing import Any

import numpy as np
import pytest
from fleets import cluster, jobs, pool
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim import Policy
from clustersim.availability.events import what_happens
from clustersim.availability.failure_spec import Failures
from clustersim.availability.supply import Supply
from clustersim.catalogue import load_catalogue
from clustersim.engine.node_events import NodeEvent, NodeEventKind
from clustersim.engine.recovery import Recovery
from clustersim.files import validate
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario
from clustersim.seeds import Streams
from clustersim.simulation.result import Result
from clustersim.simulation.simulate import Scheduling, simulate
from clustersim.simulation.unfinished import can_never_run
from tests.examples import examples

HOUR, DAY = 3600.0, 86400.0
POLICIES = ("fcfs", "sjf", "easy", "easy_sjbf", "conservative")
TWO_POOLS = cluster(pool("a", 2, 8), pool("b", 1, 8))


def placed(policy: str | type[Policy] = "fcfs") -> Scheduling:
    return Scheduling(policy=policy, placement="consolidate")


def ran(tree: dict[str, Any]) -> Result:
    return run_scenario(define_scenario(tree))


# --- By hand ------------------------------------------------------------------------


def two_jobs(tmp_path_factory: pytest.TempPathFactory, retired_at: str, **fields: Any) -> Result:
    """Two jobs on one H200 that fails every two hours; beside it an H20 that is retired."""
    log = tmp_path_factory.mktemp("log") / "jobs.csv"
    log.write_text("job_id,submit_s,n_accelerators,duration_s\n0,0,8,3600\n1,0,8,36000\n")
    source = {
        "name": "f",
        "pools": ["a"],
        "time_to_failure": {"kind": "constant", "value": "2 h"},
        "repair": {"kind": "constant", "value": "10 min"},
    }
    return ran(
        {
            "cluster": {
                "name": "c",
                "pools": {
                    "a": {"accelerator": "H200", "nodes": 1},
                    "b": {"accelerator": "H20", "nodes": 1},
                },
            },
            "workload": {"trace": str(log), "reference_accelerator": "H200"},
            "scheduler": {"policy": "fcfs", "choose": "listed"},
            "failures": {
                "sources": [source],
                "checkpoints": {"interval": "1 h", "cost": "1 s", "restart": "1 s"},
            },
            "supply": {"retirements": [{"pool": "b", "nodes": 1, "at": retired_at}]},
            **fields,
        }
    )


@pytest.mark.parametrize("retired_at", ["59 min", "1 h", "61 min"])
def test_outages_go_on_when_one_begins_as_the_last_job_that_runs_ends(
    tmp_path_factory: pytest.TempPathFactory, retired_at: str
) -> None:
    """The second job needs the H200 for longer than it ever runs without a failure."""
    free = two_jobs(tmp_path_factory, retired_at)
    held = two_jobs(tmp_path_factory, retired_at, horizon="100 h")
    columns = ["start_s", "finish_s", "done"]
    assert free.jobs[columns].equals(held.jobs[columns])
    assert free.outages is not None
    assert (free.outages["cause"] == "f").sum() > 0


def test_a_delivery_that_finds_no_power_waits_for_it() -> None:
    """The node arrives on day 1, when the site has no room, which comes on day 10."""
    supply = {
        "deliveries": [{"pool": "a", "nodes": 2, "at": "1 d"}],
        "site": {"limits": [{"nodes": 1}, {"at": "10 d", "nodes": 3}]},
    }
    outages = what_happens(
        None,
        validate(Supply, supply, "supply"),
        TWO_POOLS_OF_H200,
        Streams(1),
        catalogue=load_catalogue(),
    )
    result = simulate(jobs([(0, 16, HOUR)]), TWO_POOLS_OF_H200, placed(), node_events=outages)
    assert result.jobs["start_s"].tolist() == [10 * DAY]


TWO_POOLS_OF_H200 = cluster(pool("a", 2, 8, accelerator="H200"), pool("b", 1, 8, accelerator="H20"))


@pytest.mark.parametrize("policy", POLICIES)
def test_a_job_that_can_never_start_again_ends_the_run_with_a_reason(policy: str) -> None:
    """Of the two nodes that the first job needs, one leaves before it starts; failures go on."""
    log = jobs([(0, 16, 100), (5, 16, 100), (6, 8, 20)])
    leaves = NodeEvent(50, math.inf, 0, 1, "retired", kind=NodeEventKind.RETIREMENT)
    fails = [NodeEvent(1000.0 * k, 1000.0 * k + 10, 0, 0, "f") for k in range(1, 10_000)]
    result = simulate(
        log, cluster(pool("gpu", 2, 8)), placed(policy), node_events=[leaves, *fails], check=True
    )
    assert result.jobs["outcome"].tolist()[:2] == ["unfinished", "unfinished"]
    assert result.jobs["done"].tolist()[:2] == [0.5, 0.0], "what was saved when it had to leave"
    assert result.provenance["simulated_s"] < 1000
    assert result.jobs["reason"][1] == (
        "still waiting when the simulation ended: it needs 16 accelerators on gpu, where at "
        "most 8 will ever be in service again"
    )
    behind = result.jobs.loc[2]
    if policy == "fcfs":
        assert behind["reason"] == (
            "still waiting when the simulation ended: the policy did not start it, although it "
            "would fit; it may wait behind a job that can never start"
        )
    else:
        assert behind["outcome"] == "finished", "only first come, first served holds it up"
    # The first job ran for a while; the others never did where nothing came before them.
    assert can_never_run(result.jobs).tolist() == [False, True, policy == "fcfs"]


def test_a_job_that_waits_for_a_node_that_comes_back_keeps_the_run_alive() -> None:
    """Nothing runs for ten days, and the other pool, of no use to the job, fails meanwhile."""
    outages = [
        NodeEvent(0, 10 * DAY, 0, 0, "repair"),
        *(NodeEvent(DAY * k, DAY * k + 60, 1, 0, "f") for k in range(1, 30)),
    ]
    log = jobs([(0, 16, 100)])
    result = simulate(log, TWO_POOLS, placed(), node_events=outages)
    assert result.jobs["start_s"].tolist() == [10 * DAY]
    assert result.provenance["simulated_s"] == 10 * DAY + 100


class Never(Policy):
    """Starts nothing."""

    def schedule(self, now: float) -> None:
        pass


def test_a_policy_that_starts_nothing_ends_the_run() -> None:
    outages = [NodeEvent(1000.0 * k, 1000.0 * k + 10, 0, 0, "f") for k in range(1, 10_000)]
    result = simulate(jobs([(0, 8, 100)]), TWO_POOLS, placed(Never), node_events=outages)
    assert result.provenance["simulated_s"] == 0
    assert "the policy did not start it" in result.jobs["reason"][0]


def test_reasons_at_a_horizon_name_the_pools_and_what_is_in_service() -> None:
    log = jobs([(0, 16, 10), (0, 8, 1000), (900, 8, 1)])
    outages = [NodeEvent(0, 500, 0, 0, "f")]
    result = simulate(log, TWO_POOLS, placed("easy"), node_events=outages, horizon_s=100)
    assert result.jobs["reason"].tolist() == [
        "still waiting when the simulation ended: it needs 16 accelerators on a, where only 8 "
        "are in service",
        "still running when the simulation ended",
        "not submitted before the simulation ended",
    ]


# --- Nothing is drawn that nobody needs --------------------------------------------------


def often(nodes: int, supply: dict[str, Any], **source: Any) -> list[NodeEvent]:
    """All outages of a pool whose nodes fail twice a day each."""
    failing = {
        "name": "f",
        "time_to_failure": {"kind": "exponential", "average": "12 h"},
        "repair": {"kind": "constant", "value": "1 min"},
        **source,
    }
    fleet = cluster(pool("a", nodes, 8, accelerator="H200"))
    found = what_happens(
        validate(Failures, {"sources": [failing]}, "failures"),
        validate(Supply, supply, "supply"),
        fleet,
        Streams(1),
        catalogue=load_catalogue(),
    )
    assert found is not None
    return list(found)


@pytest.mark.parametrize("life", ["exponential", "weibull"])
def test_failures_end_when_every_node_has_left(life: str) -> None:
    """A hundred years would be 7.3 million failures of these nodes, and minutes."""
    shape = {"kind": "weibull", "scale": "12 h", "shape": 1.5} if life == "weibull" else None
    source = {} if shape is None else {"time_to_failure": shape}
    found = often(100, {"retirements": [{"pool": "a", "nodes": 100, "at": "1 d"}]}, **source)
    failed = [outage for outage in found if outage.cause == "f"]
    assert 100 < len(failed) < 400
    assert max(outage.begin_s for outage in failed) <= DAY


def test_failures_end_when_no_node_is_repaired_any_more() -> None:
    embargo = {"embargoes": [{"pools": ["a"], "at": "1 d"}]}
    found = often(100, embargo)
    lost = [outage.node for outage in found if outage.end_s == math.inf]
    assert sorted(lost) == list(range(100))
    assert max(outage.begin_s for outage in found) < 30 * DAY


def test_a_horizon_ends_the_failures_of_the_node_that_is_left() -> None:
    fleet = cluster(pool("a", 1000, 8, accelerator="H200"))
    source = {
        "name": "f",
        "time_to_failure": {"kind": "exponential", "average": "1 d"},
        "repair": {"kind": "constant", "value": "1 min"},
    }
    retired = {"retirements": [{"pool": "a", "nodes": 999, "at": "1 d"}]}
    spec, supply = validate(Failures, {"sources": [source]}, "f"), validate(Supply, retired, "s")
    catalogue = load_catalogue()

    def until(horizon_s: float | None) -> Any:
        found = what_happens(
            spec, supply, fleet, Streams(1), catalogue=catalogue, horizon_s=horizon_s
        )
        assert found is not None
        return iter(found)

    short = [outage for outage in until(40 * DAY) if outage.cause == "f"]
    free = until(None)
    longer = list(islice(free, len(short) + 999))
    assert short == [outage for outage in longer if outage.cause == "f"][: len(short)], (
        "the horizon changes nothing of what comes before it"
    )
    assert {outage.node for outage in short if outage.begin_s > DAY} == {999}


class InLine(Policy):
    """Nobody passes the first of the line; it does not say which jobs hold others up."""

    def schedule(self, now: float) -> None:
        for job in list(self.waiting):
            if not self.start(job):
                break


def test_a_run_ends_though_some_node_is_always_out_when_the_policy_lets_jobs_with_room_wait() -> (
    None
):
    """Four nodes, one gone at 1 s; two others take turns to be out, so all are never back."""
    turns = [NodeEvent(10.0 * turn, 10.0 * turn + 15, 0, turn % 2, "f") for turn in range(1, 1000)]
    gone = NodeEvent(1.0, math.inf, 0, 3, "gone", kind=NodeEventKind.MAINTENANCE)
    log = jobs([(2.0, 32, 5.0), (3.0, 8, 5.0)])
    ran = simulate(log, cluster(pool("a", 4, 8)), placed(InLine), node_events=[gone, *turns])
    assert ran.provenance["simulated_s"] == 3.0
    assert ran.jobs["outcome"].tolist() == ["unfinished"] * 2
    assert "behind a job that can never start" in ran.jobs["reason"].iloc[1]


def test_a_job_that_needs_a_node_that_is_out_is_waited_for_behind_one_that_has_room() -> None:
    """The first job has no room until 40 s, and the second, which has, comes after it."""
    out = NodeEvent(1.0, 40.0, 0, 0, "f")
    log = jobs([(2.0, 16, 5.0), (3.0, 8, 5.0)])
    ran = simulate(log, cluster(pool("a", 2, 8)), placed(InLine), node_events=[out])
    assert ran.jobs["start_s"].tolist() == [40.0, 45.0]


# --- Always -----------------------------------------------------------------------------


@st.composite
def happenings(draw: st.DrawFn) -> list[NodeEvent]:
    """Outages of three nodes, many at one instant, some for good."""
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, 30),
                st.sampled_from([1, 2, 5, 10, math.inf]),
                st.sampled_from([(0, 0), (0, 1), (1, 0)]),
                st.sampled_from([NodeEventKind.FAILURE, NodeEventKind.MAINTENANCE]),
            ),
            max_size=25,
        )
    )
    found = [
        NodeEvent(10.0 * begin, 10.0 * (begin + span), *place, "f", kind)
        for begin, span, place, kind in rows
    ]
    return sorted(found)


@given(
    happens=happenings(),
    rows=st.lists(
        st.tuples(
            st.integers(0, 12), st.sampled_from([4, 8, 16]), st.sampled_from([0, 10, 20, 60])
        ),
        min_size=1,
        max_size=12,
    ),
    policy=st.sampled_from(POLICIES),
    interval_s=st.sampled_from([5.0, math.inf]),
)
@settings(max_examples=examples(100), deadline=None)
def test_a_run_without_a_horizon_is_the_same_as_with_one_after_its_end(
    happens: list[NodeEvent], rows: list[tuple[int, int, int]], policy: str, interval_s: float
) -> None:
    log = jobs([(10.0 * at, n, float(run)) for at, n, run in sorted(rows)])
    recovery = Recovery([[interval_s] * len(log)] * 2, [0.0] * len(log), [1.0] * len(log))

    def result(horizon_s: float | None) -> Result:
        return simulate(
            log,
            TWO_POOLS,
            placed(policy),
            node_events=happens,
            recovery=recovery,
            horizon_s=horizon_s,
            check=True,
        )

    free = result(None)
    end_s = float(free.provenance["simulated_s"])
    for later_s in (1.0, 1e6):
        held = result(end_s + later_s)
        columns = ["outcome", "start_s", "finish_s", "done"]
        assert free.jobs[columns].equals(held.jobs[columns])
        assert free.attempts is not None
        assert held.attempts is not None
        assert np.array_equal(
            free.attempts.select_dtypes("number"), held.attempts.select_dtypes("number")
        )
    last = max(free.jobs["finish_s"].max(), 0.0)
    begun = [outage.begin_s for outage in happens]
    returned = [outage.end_s for outage in happens if outage.end_s < math.inf]
    assert end_s in {last, 0.0, *log["submit_s"], *begun, *returned}
    if (free.jobs["outcome"] == "finished").all():
        assert end_s == last, "it does not outlast its last job"
