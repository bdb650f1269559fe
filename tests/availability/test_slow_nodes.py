"""Nodes that serve, only slower: small cases by hand, stragglers, and what finds them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from clustersim.availability.failure_spec import Failures, FailureSource, failure_sources
from clustersim.availability.failures import failures, gang_mttf_s
from clustersim.engine.node_events import NodeEvent, NodeEventKind
from clustersim.engine.recovery import Recovery
from clustersim.files import validate
from clustersim.report.marks import outage_marks
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario
from clustersim.seeds import Streams
from clustersim.simulation.metrics import accelerator_seconds
from clustersim.simulation.result import Result
from clustersim.simulation.simulate import Scheduling, simulate
from tests.simulation.fleets import cluster, jobs, pool, scenario

DAY = 86400.0
TWO = cluster(pool("gpu", 2, 8))


def ran(
    rows: list[tuple[float, int, float]], outages: list[NodeEvent], **options: object
) -> Result:
    placed = Scheduling(policy="fcfs", placement="consolidate")
    return simulate(jobs(rows), TWO, placed, node_events=outages, check=True, **options)


def slow(begin_s: float, end_s: float, node: int, slowdown: float) -> NodeEvent:
    return NodeEvent(
        begin_s, end_s, 0, node, "slow", kind=NodeEventKind.SLOWDOWN, slowdown=slowdown
    )


def straggler(**fields: object) -> FailureSource:
    source = {
        "name": "straggler",
        "time_to_failure": {"kind": "exponential", "average": "100 d"},
        "repair": {"kind": "constant", "value": "1 d"},
        "slowdown": 2,
        **fields,
    }
    return validate(FailureSource, source, "failures")


# --- By hand ------------------------------------------------------------------------


def test_a_gang_goes_on_at_the_speed_of_its_slowest_node() -> None:
    """20 s at full speed, 20 s at half, 10 s at a quarter, 20 s at half, then the last 57.5 s."""
    result = ran([(0, 16, 100)], [slow(20, 70, 0, 2), slow(40, 50, 1, 4)])
    assert result.jobs["finish_s"].tolist() == [20 + 50 + (100 - 20 - 10 - 2.5 - 10)]
    (attempt,) = result.attempts.to_dict("records")
    assert (attempt["kept_s"], attempt["slow_s"], attempt["done"]) == (100, 27.5, 1)
    assert result.utilisation["out"].tolist() == [0, 0], "they serve"
    assert result.outages["slowdown"].tolist() == [2, 4]
    assert result.summary["ettr"][0] == 100 / 127.5


def test_who_starts_on_a_slow_node_and_who_is_beside_it() -> None:
    result = ran([(5, 8, 10), (5, 8, 10)], [slow(0, 100, 0, 3)])
    assert result.jobs["finish_s"].tolist() == [35, 15]


def test_a_slow_node_that_fails_and_one_that_is_slow_twice() -> None:
    """10 s at full speed, 10 s at half: 15 s are done and lost; back at 30, half, then full."""
    result = ran([(0, 16, 40)], [slow(10, 50, 0, 2), slow(12, 14, 0, 1.5), NodeEvent(20, 30, 0, 1)])
    table = result.attempts[["start_s", "end_s", "lost_s", "slow_s", "kept_s"]].to_numpy().tolist()
    assert table == [[0, 20, 15, 5, 0], [30, 80, 0, 10, 40]]


def test_checkpoints_and_restarts_are_slower_too() -> None:
    """At half speed a cycle of 10 s and 2 s takes 24 s: at 50 s two are whole."""
    recovery = Recovery([[10.0]], [2.0], [6.0])
    outages = [slow(0, 500, 0, 2), NodeEvent(50, 60, 0, 1)]
    result = ran([(0, 16, 30)], outages, recovery=recovery)
    columns = ["end_s", "kept_s", "lost_s", "checkpoint_s", "restart_s", "slow_s"]
    expected = [[50, 20, 1, 4, 0, 25], [60 + 2 * (6 + 10), 10, 0, 0, 6, 16]]
    np.testing.assert_allclose(result.attempts[columns], expected, atol=1e-9)


# --- As a source -----------------------------------------------------------------------


def test_what_slows_until_it_is_found_and_then_is_out() -> None:
    found = {"kind": "constant", "value": "2 d"}
    drawn = failures(TWO, [straggler(found=found)], Streams(1))
    first = list(itertools.islice(drawn, 400))
    assert first == sorted(first)
    slowed = [outage for outage in first if outage.slows]
    out = [outage for outage in first if not outage.slows]
    assert all(outage.end_s - outage.begin_s == pytest.approx(2 * DAY) for outage in slowed)
    assert [o.begin_s for o in out] == [o.end_s for o in slowed][: len(out)]
    assert all(o.kind.planned and o.end_s - o.begin_s == pytest.approx(DAY) for o in out)


def test_without_finding_it_is_mended_while_it_serves() -> None:
    first = list(itertools.islice(failures(TWO, [straggler()], Streams(1)), 100))
    assert all(o.slowdown == 2 and o.end_s - o.begin_s == pytest.approx(DAY) for o in first)


def test_what_slows_does_not_shorten_a_gangs_time_to_failure() -> None:
    sizes = np.array([8, 16])
    assert np.isinf(gang_mttf_s([straggler()], TWO.pools[0], sizes)).all()


def test_megascales_stragglers() -> None:
    """0.5 % of the machines are slow at any time: of 1,536, nearly always one is in a gang of
    12,288 chips, which then is 1.3 % slower (0.7 points of an MFU of 55).
    """
    sources = failure_sources(Failures(sources=["megascale-stragglers"]))
    fleet = cluster(pool("gpu", 1536, 8))
    drawn = failures(fleet, sources, Streams(5))
    until_s = 200 * DAY
    known = list(itertools.takewhile(lambda outage: outage.begin_s < until_s, drawn))
    slow_s = sum(min(o.end_s, until_s) - o.begin_s for o in known if o.slows)
    assert slow_s / (1536 * until_s) == pytest.approx(0.005, rel=0.1)
    result = simulate(
        jobs([(0, 12288, 150 * DAY)]),
        fleet,
        Scheduling(placement="consolidate"),
        node_events=[o for o in known if o.slows],
    )
    # Nobody is slow at first: from the first until the end nearly always someone is.
    assert result.jobs["finish_s"][0] / (150 * DAY) == pytest.approx(1.013, abs=0.001)


def test_in_a_scenario_it_costs_time_and_no_availability() -> None:
    often = {
        "name": "link",
        "of": "leaf",
        "time_to_failure": {"kind": "exponential", "average": "1 d"},
        "repair": {"kind": "constant", "value": "12 h"},
        "slowdown": 1.5,
    }
    base = scenario(jobs=60, load=0.5, sizes={8: 1}, average="5 h")
    plain = run_scenario(define_scenario(base))
    slowed = run_scenario(
        define_scenario(base | {"failures": {"sources": [often, "megascale-stragglers"]}})
    )
    assert slowed.summary["mean_run_s"][0] > 1.05 * plain.summary["mean_run_s"][0]
    assert slowed.attempts["slow_s"].sum() > 0
    out = slowed.outages[np.isinf(slowed.outages["slowdown"])]
    use = accelerator_seconds(slowed.utilisation)["available"].sum()
    whole = 64 * float(slowed.utilisation["time_s"].max())
    lost = (out["n_accelerators"] * (out["end_s"].clip(upper=whole / 64) - out["begin_s"])).sum()
    assert use == pytest.approx(whole - lost)
    kinds = {mark.kind for mark in outage_marks(slowed.outages)}
    assert "slow by 50.0 %: link" in kinds
    assert math.isfinite(slowed.summary["ettr"][0])
