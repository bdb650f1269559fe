"""Nodes that are delivered and retired, and rules that stop deliveries and spare parts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.availability.supply import Supply, supplied, without_spare_parts
from clustersim.engine.node_events import NodeEvent
from clustersim.errors import InputError
from clustersim.files import validate
from clustersim.report.marks import outage_marks
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario
from clustersim.seeds import Streams
from clustersim.simulation.metrics import accelerator_seconds
from clustersim.simulation.simulate import Scheduling, simulate
from tests.simulation.fleets import cluster, jobs, pool, scenario

PLACED = Scheduling(policy="easy", placement="consolidate")
FLEET = cluster(pool("h200", 4, 8), pool("910b", 2, 8))


def supply(**fields: Any) -> Supply:
    return validate(Supply, fields, "supply")


def spans(found: list[NodeEvent]) -> list[tuple[float, float, int, int, str]]:
    return [(o.begin_s, o.end_s, o.pool, o.node, o.cause) for o in found]


def test_a_ramp_by_hand() -> None:
    """Three of four nodes come over 30 s from 100 s on; the first is there."""
    spec = supply(deliveries=[{"pool": "h200", "nodes": 3, "at": "100 s", "ramp": "30 s"}])
    assert spans(supplied(spec, FLEET, Streams(1))) == [
        (0, 100, 0, 1, "not delivered"),
        (0, 110, 0, 2, "not delivered"),
        (0, 120, 0, 3, "not delivered"),
    ]


def test_lots_by_hand() -> None:
    """Three nodes in two lots, the first of one node."""
    delivery = {"pool": "h200", "nodes": 3, "at": "100 s", "lots": 2, "every": "50 s"}
    assert spans(supplied(supply(deliveries=[delivery]), FLEET, Streams(1))) == [
        (0, 100, 0, 1, "not delivered"),
        (0, 150, 0, 2, "not delivered"),
        (0, 150, 0, 3, "not delivered"),
    ]


def test_a_delivery_takes_place_as_a_whole_or_not_at_all() -> None:
    """In a quarter of 64 stratified replications."""
    delivery = {"pool": "h200", "nodes": 3, "at": "100 s", "lots": 3, "every": "50 s"}
    spec = supply(deliveries=[{**delivery, "probability": 0.25}])
    never = [
        sum(math.isinf(end) for _, end, *_ in spans(supplied(spec, FLEET, streams)))
        for streams in (Streams(1, replication=each) for each in range(64))
    ]
    assert set(never) == {0, 3}
    assert never.count(0) == 16


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lots": 2}, "`lots` and `every` must be given together"),
        ({"every": "1 d"}, "`lots` and `every` must be given together"),
        ({"lots": 4, "every": "1 d"}, "4 lots need as many nodes, found 3"),
    ],
)
def test_mistakes_in_lots(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        supply(deliveries=[{"pool": "h200", "nodes": 3, "at": "100 s", **fields}])


def test_an_embargo_stops_what_comes_later_and_the_yield_what_is_bad() -> None:
    deliveries = [
        {"pool": "h200", "nodes": 2, "at": "100 s"},
        {"pool": "h200", "nodes": 1, "at": "200 s"},
        {"pool": "910b", "nodes": 2, "at": "200 s", "usable": 0.5},
    ]
    spec = supply(deliveries=deliveries, embargoes=[{"pools": ["h200"], "at": "150 s"}])
    assert spans(supplied(spec, FLEET, Streams(1))) == [
        (0, 100, 0, 1, "not delivered"),
        (0, 100, 0, 2, "not delivered"),
        (0, 200, 1, 0, "not delivered"),
        (0, math.inf, 0, 3, "not delivered"),
        (0, math.inf, 1, 1, "not delivered"),
    ]


def test_an_embargo_takes_the_spare_parts() -> None:
    failures = [NodeEvent(10, 20, 0, 0), NodeEvent(150, 160, 0, 1), NodeEvent(151, 152, 1, 0)]
    spec = supply(embargoes=[{"pools": ["h200"], "at": "100 s"}])
    assert [o.end_s for o in without_spare_parts(failures, spec, FLEET)] == [20, math.inf, 152]
    spec = supply(embargoes=[{"pools": ["h200"], "at": "100 s", "spare_parts": True}])
    assert list(without_spare_parts(failures, spec, FLEET)) == failures


def test_a_cluster_that_grows_and_shrinks() -> None:
    """A gang of 32 waits for the fourth node; when the first retires it saves its state and waits
    for ever, while a job of 8 goes on elsewhere.
    """
    spec = supply(
        deliveries=[{"pool": "h200", "nodes": 3, "at": "100 s", "ramp": "30 s"}],
        retirements=[{"pool": "h200", "nodes": 1, "at": "300 s"}],
    )
    absent = supplied(spec, FLEET, Streams(1))
    log = jobs([(0, 32, 500), (0, 8, 50), (130, 8, 400)])
    only = cluster(FLEET.pools[0])
    result = simulate(log, only, PLACED, node_events=absent, check=True)
    assert result.jobs["start_s"].tolist() == [120, 0, 300]
    assert result.jobs["outcome"].tolist() == ["unfinished", "finished", "finished"]
    first = result.attempts[result.attempts["job_id"] == 1]
    assert first[["start_s", "end_s", "kept_s"]].to_numpy().tolist() == [[120, 300, 180]]
    steps = result.utilisation[["time_s", "installed", "out"]]
    changes = steps[steps["installed"].diff() != 0]
    assert changes.to_numpy().tolist()[:5] == [
        [0, 8, 0], [100, 16, 0], [110, 24, 0], [120, 32, 0], [300, 24, 0],
    ]  # fmt: skip
    marks = {(mark.time_s, mark.kind) for mark in outage_marks(result.outages)}
    assert marks == {
        (100, "delivered: 1 node"),
        (110, "delivered: 1 node"),
        (120, "delivered: 1 node"),
        (300, "retired: 1 node"),
    }


def test_slips_are_those_of_the_seed() -> None:
    slip = {"kind": "exponential", "average": "30 d"}
    delivery = {"pool": "h200", "nodes": 4, "at": "10 d", "slip": slip}
    spec = supply(deliveries=[delivery, {**delivery, "pool": "910b", "nodes": 2}])

    def arrivals(replication: int) -> list[float]:
        found = supplied(spec, FLEET, Streams(1, replication=replication))
        return sorted({o.end_s for o in found})

    assert arrivals(0) == arrivals(0) != arrivals(1)
    assert len(arrivals(0)) == 2, "a delivery slips as a whole"
    slips = np.array([arrivals(k)[0] / 86400 for k in range(300)]) - 10
    # The earlier of two that are exponential with a mean of 30 d.
    assert slips.mean() == pytest.approx(15, abs=4 * 15 / np.sqrt(300))


BAD = {
    "no such pool": (
        {"deliveries": [{"pool": "h20", "nodes": 1, "at": "1 d"}]},
        r"supply: deliveries: unknown pool 'h20'; did you mean 'h200'",
    ),
    "more than there ever are": (
        {"deliveries": [{"pool": "910b", "nodes": 3, "at": "1 d"}]},
        r"supply: deliveries: 3 nodes of pool 910b, which has only 2 ",
    ),
    "an embargo on nothing": ({"embargoes": [{"pools": ["910"], "at": "1 d"}]}, "'910b'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_supply(case: str) -> None:
    fields, words = BAD[case]
    with pytest.raises(InputError, match=words):
        supplied(supply(**fields), FLEET, Streams(1))


@given(
    deliveries=st.lists(
        st.tuples(st.integers(1, 2), st.sampled_from([0, 1, 3.5, 8]), st.sampled_from([0, 2])),
        max_size=2,
    ),
    retirements=st.lists(st.tuples(st.integers(1, 2), st.sampled_from([0.5, 2, 6])), max_size=2),
    seed=st.integers(0, 99),
    policy=st.sampled_from(["fcfs", "sjf", "easy", "easy_sjbf", "conservative"]),
)
def test_chips_are_conserved_through_deliveries_failures_and_retirements(
    deliveries: list[tuple[int, float, float]],
    retirements: list[tuple[int, float]],
    seed: int,
    policy: str,
) -> None:
    """Free + allocated + out = installed at every pass (the engine checks), and in the tables."""
    spec = supply(
        deliveries=[
            {"pool": "h200", "nodes": n, "at": f"{at} s", "ramp": f"{ramp} s"}
            for n, at, ramp in deliveries
        ],
        retirements=[{"pool": "h200", "nodes": n, "at": f"{at} s"} for n, at in retirements],
    )
    draw = np.random.default_rng(seed)
    failed = [
        NodeEvent(float(t), float(t) + 1.5, int(draw.integers(2)), int(draw.integers(2)))
        for t in np.sort(draw.uniform(0, 10, 6))
    ]
    log = jobs([(float(t), int(draw.choice([1, 4, 8, 16])), 2.0) for t in range(8)])
    outages = sorted([*supplied(spec, FLEET, Streams(1)), *failed])
    scheduling = Scheduling(policy=policy, placement="consolidate")
    result = simulate(log, FLEET, scheduling, node_events=outages, check=True)
    use = result.utilisation
    assert (use["allocated"] + use["out"] <= use["installed"]).all()
    assert (use["installed"] >= 0).all()
    for index, there in enumerate(FLEET.pools):
        rows = use[use["pool"] == there.name]
        absent = result.outages[result.outages["absent"] & (result.outages["pool"] == there.name)]
        for time, installed in zip(rows["time_s"][:-1], rows["installed"][:-1], strict=True):
            gone = ((absent["begin_s"] <= time) & (time < absent["end_s"])).sum()
            assert installed == there.n_chips - 8 * gone, (index, time)
    assert (accelerator_seconds(use)["allocated"] <= accelerator_seconds(use)["available"]).all()


SCENARIO = scenario(jobs=60, load=0.5, sizes={8: 2, 16: 1}, average="1 h")


@pytest.fixture
def late() -> dict[str, Any]:
    """The scenario, half of whose nodes come later."""
    return {**SCENARIO, "supply": {"deliveries": [{"pool": "gpu", "nodes": 4, "at": "10 h"}]}}


def test_a_later_delivery_makes_jobs_wait(late: dict[str, Any]) -> None:
    waits = [
        (result.jobs["start_s"] - result.jobs["submit_s"]).mean()
        for result in (
            run_scenario(define_scenario(SCENARIO)),
            run_scenario(define_scenario(late)),
            run_scenario(
                define_scenario(late, {"supply.embargoes": [{"pools": ["gpu"], "at": "1 h"}]})
            ),
        )
    ]
    assert waits == sorted(waits)
    assert waits[0] < waits[1] < waits[2]
