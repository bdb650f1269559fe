"""Failures, supply and services together: what one means for the other."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from clustersim.availability.events import what_happens, while_there
from clustersim.availability.failure_spec import Failures, FailureSource
from clustersim.availability.failures import failures
from clustersim.availability.supply import Supply
from clustersim.catalogue import load_catalogue
from clustersim.engine.node_events import NodeEvent, NodeEventKind, without_overlaps
from clustersim.engine.recovery import Recovery
from clustersim.errors import InputError
from clustersim.files import validate
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario
from clustersim.seeds import Streams
from clustersim.simulation.simulate import Scheduling, simulate
from tests.simulation.fleets import cluster, jobs, pool, scenario

HOUR, DAY = 3600.0, 86400.0
FOUR = cluster(pool("gpu", 4, 8))
OFTEN = {
    "name": "gpu",
    "time_to_failure": {"kind": "exponential", "average": "20 d"},
    "repair": {"kind": "constant", "value": "1 d"},
}
PLACED = Scheduling(placement="consolidate")


def happening(
    sources: list[dict[str, Any]], supply: dict[str, Any] | None = None, **fields: Any
) -> list[NodeEvent]:
    """What happens to four nodes in a year."""
    spec = validate(Failures, {"sources": sources, **fields}, "failures")
    given = None if supply is None else validate(Supply, supply, "supply")
    found = what_happens(spec, given, FOUR, Streams(3), catalogue=load_catalogue())
    assert found is not None
    soon = itertools.takewhile(lambda outage: outage.begin_s < 365 * DAY, without_overlaps(found))
    return list(soon)


def test_a_spare_that_serves_at_once_stops_the_jobs_all_the_same() -> None:
    spared = happening([OFTEN], spares={"nodes": {"gpu": 50}, "swap": "0 s"})
    assert len(spared) > 30
    assert all(outage.begin_s == outage.end_s for outage in spared)
    result = simulate(jobs([(0, 32, 100)]), FOUR, PLACED, node_events=[NodeEvent(30, 30, 0, 1)])
    assert result.attempts["lost_s"].tolist() == [30, 0]
    assert result.jobs["finish_s"].tolist() == [130]


def test_sources_of_one_name_fail_apart() -> None:
    both = [(o.begin_s, o.node) for o in happening([OFTEN, OFTEN])]
    one = {(o.begin_s, o.node) for o in happening([OFTEN])}
    assert len(both) > 1.5 * len(one)
    rows = failures(FOUR, [validate(FailureSource, OFTEN, "f")] * 2, Streams(1))
    begins = [outage.begin_s for outage in itertools.islice(rows, 50)]
    assert len(set(begins)) == 50


@pytest.mark.parametrize(("share", "dead"), [(0.0, 0), (1.0, 4)])
def test_an_embargo_stops_the_repairs_that_need_a_part(share: float, dead: int) -> None:
    embargo = {"embargoes": [{"pools": ["gpu"], "at": "0 d"}]}
    found = happening([OFTEN | {"spare_parts": share}], embargo)
    assert sum(math.isinf(outage.end_s) for outage in found) == dead


def test_half_the_repairs_need_a_part() -> None:
    rows = failures(FOUR, [validate(FailureSource, OFTEN | {"spare_parts": 0.5}, "f")], Streams(2))
    assert np.mean([o.needs_part for o in itertools.islice(rows, 2000)]) == pytest.approx(
        0.5, abs=0.04
    )


def test_a_node_under_repair_leaves_on_its_date() -> None:
    """Also one that is never repaired; and one that is not there does not fail."""
    broken = [
        NodeEvent(5, 50, 0, 0),
        NodeEvent(6, math.inf, 0, 1),
        NodeEvent(12, 20, 0, 2, kind=NodeEventKind.SLOWDOWN, slowdown=2.0),
    ]
    absent = [NodeEvent(10, math.inf, 0, node, kind=NodeEventKind.RETIREMENT) for node in range(3)]
    found = list(while_there(broken, absent))
    assert [(o.begin_s, o.end_s, o.node) for o in found] == [(5, 10, 0), (6, 10, 1)]
    merged = sorted([*absent, *found])
    result = simulate(jobs([(0, 8, 40)]), FOUR, PLACED, node_events=merged, horizon_s=60)
    assert result.utilisation.set_index("time_s").loc[10, ["installed", "out"]].tolist() == [8, 0]


def test_what_is_slow_is_there_and_is_mended_there() -> None:
    slow = OFTEN | {"slowdown": 1.5, "found": {"kind": "constant", "value": "2 d"}}
    late = {"deliveries": [{"pool": "gpu", "nodes": 4, "at": "100 d"}]}
    found = [outage for outage in happening([slow], late) if not outage.kind.absent]
    assert len(found) > 10
    assert min(outage.begin_s for outage in found) > 100 * DAY


def test_a_spare_takes_over_from_a_slow_node_that_is_found() -> None:
    slow = OFTEN | {"slowdown": 1.5, "found": {"kind": "constant", "value": "2 d"}}
    without = [o for o in happening([slow]) if o.kind is NodeEventKind.REPAIR]
    spared = [
        o for o in happening([slow], spares={"nodes": {"gpu": 9}}) if o.kind is NodeEventKind.REPAIR
    ]
    assert len(without) > 10
    assert {round(o.end_s - o.begin_s) for o in without} == {round(DAY)}
    assert {round(o.end_s - o.begin_s) for o in spared} == {300}


# --- Pools without nodes, virtual clusters ------------------------------------------

BASE = scenario(jobs=20, load=0.5, sizes={8: 1}, average="2 h")
BASE["cluster"]["pools"]["gone"] = {"accelerator": "H20", "nodes": 0}


def test_a_pool_without_nodes_may_be_named() -> None:
    changes = {
        "failures": {"sources": [OFTEN | {"pools": ["gone"]}], "spares": {"nodes": {"gone": 3}}},
        "supply": {"embargoes": [{"pools": ["gone"], "at": "1 d"}]},
        "money": {"pools": {"gone": {"price": "1000 CNY"}}},
    }
    result = run_scenario(define_scenario(BASE | changes))
    assert result.outages is not None
    assert result.outages.empty
    again = run_scenario(define_scenario(result.provenance["scenario"]))
    assert again.jobs.equals(result.jobs)


@pytest.mark.parametrize("event", ["deliveries", "retirements"])
def test_nothing_comes_to_a_pool_without_nodes(event: str) -> None:
    changes = {"supply": {event: [{"pool": "gone", "nodes": 1, "at": "1 d"}]}}
    with pytest.raises(InputError, match=f"{event}: pool gone has 0 nodes"):
        run_scenario(define_scenario(BASE | changes))


def test_a_virtual_cluster_is_used_as_far_as_it_is_there() -> None:
    fleet = cluster(pool("gpu", 4, 8, virtual_clusters={"a": 2}))
    log = jobs([(0, 8, 100)], vc=["a"])
    outages = [NodeEvent(0, 50, 0, 1), NodeEvent(0, 90, 0, 3)]
    result = simulate(log, fleet, PLACED, node_events=outages)
    own = result.summary.set_index("scope").loc["vc a", "utilisation"]
    assert own == pytest.approx(800 / (1600 - 8 * 50))


def test_services_do_not_take_the_nodes_of_virtual_clusters() -> None:
    chat = {"name": "chat", "pool": "gpu", "peak_requests_per_s": 1, "input_tokens": 1,
            "output_tokens": 1, "tokens_per_s_per_chip": 1}  # fmt: skip
    tree = {**BASE, "horizon": "2 d", "serving": {"services": [chat]}}
    changes = {"cluster.pools.gpu.virtual_clusters": {"a": {"nodes": 1}}}
    with pytest.raises(InputError, match="pool gpu has virtual clusters"):
        run_scenario(define_scenario(tree, changes))


# --- Runs that cannot go on ------------------------------------------------------------


def test_a_run_ends_when_nothing_can_go_on() -> None:
    """One node of four has gone for ever: a gang of four waits, and nobody else is there."""
    coming = [NodeEvent(10.0, math.inf, 0, 3, "gone")]
    coming += [NodeEvent(1000.0 * k, 1000.0 * k + 1, 0, 0) for k in range(1, 10**4)]
    result = simulate(jobs([(0, 8, 50), (20, 32, 5)]), FOUR, PLACED, node_events=iter(coming))
    assert result.provenance["simulated_s"] < 3000
    assert result.jobs["reason"].fillna("").tolist() == [
        "",
        "still waiting when the simulation ended: it needs 32 accelerators on gpu, where at most "
        "24 will ever be in service again",
    ]


def test_a_run_of_jobs_that_never_can_run_does_not_wait_for_the_end_of_time() -> None:
    rows = failures(FOUR, [validate(FailureSource, OFTEN, "failures")], Streams(1))
    result = simulate(jobs([(0, 999, 50)]), FOUR, PLACED, node_events=rows)
    assert result.jobs["outcome"].tolist() == ["never runnable"]
    assert len(result.outages) <= 4


def test_exact_estimates_know_of_checkpoints() -> None:
    """Of 16 chips two jobs of 8 hold half each: behind a gang of 16 one of 8 that takes 110 s
    with its checkpoints may not pass, though its work of 100 s would be done in time.
    """
    fleet = cluster(pool("gpu", 2, 8))
    log = jobs([(0, 8, 105), (1, 16, 10), (2, 8, 100)])
    recovery = Recovery([[math.inf, math.inf, 10.0]], [1.0] * 3, [0.0] * 3)
    easy = Scheduling(policy="easy", placement="consolidate")
    result = simulate(log, fleet, easy, node_events=[], recovery=recovery)
    assert result.jobs["start_s"].tolist() == [0, 105, 115]
    fewer = Recovery([[math.inf, math.inf, 60.0]], [1.0] * 3, [0.0] * 3)
    assert simulate(log, fleet, easy, node_events=[], recovery=fewer).jobs["start_s"].tolist() == [
        0, 105, 2,
    ]  # fmt: skip
