"""Expected node-time of a supply and expected failures, against many drawn runs."""

from __future__ import annotations

import numpy as np
import pytest

import clustersim as cs
from clustersim.array_types import Floats
from clustersim.availability.delivered import delivered_node_s, has_slips
from clustersim.availability.failure_counts import failure_counts
from clustersim.availability.failure_spec import FailureSource
from clustersim.availability.supply import Supply, arrivals_s

DAY_S = 86400.0
EDGES_S = np.array([20.0, 45.0, 90.0]) * DAY_S
CATALOGUE = cs.load_catalogue()
CLUSTER = cs.compile_cluster(cs.load_cluster("mixed-small", CATALOGUE))
SLIP = {"kind": "exponential", "average": "10 d"}
SUPPLIES = {
    "at once": {"deliveries": [{"pool": "h200", "nodes": 12, "at": "10 d", "slip": SLIP}]},
    "ramp, yield and embargo": {
        "deliveries": [
            {
                "pool": "h200",
                "nodes": 20,
                "at": "5 d",
                "ramp": "40 d",
                "slip": {"kind": "lognormal", "median": "10 d", "sigma": 0.8, "at_most": "60 d"},
                "usable": 0.8,
            },
            {"pool": "h20", "nodes": 4, "at": "30 d"},
        ],
        "embargoes": [{"pools": ["h200"], "at": "35 d"}],
    },
    "lots that may not come": {
        "deliveries": [
            {
                "pool": "h200",
                "nodes": 13,
                "at": "5 d",
                "lots": 3,
                "every": "15 d",
                "slip": SLIP,
                "probability": 0.4,
            },
            {"pool": "h20", "nodes": 4, "at": "30 d", "probability": 0.8},
        ],
        "embargoes": [{"pools": ["h200"], "at": "60 d"}],
    },
    "production": {
        "deliveries": [{"pool": "h20", "nodes": 5, "at": "30 d", "slip": SLIP}],
        "production": [
            {
                "pool": "seedchip",
                "foundry": "Samsung",
                "at": "10 d",
                "ramp": "20 d",
                "slip": SLIP,
                "chips_per_month": 60,
            }
        ],
        "memory": {"stacks_per_month": 200},
    },
}


def node_s(arrivals: list[Floats]) -> Floats:
    """Node-seconds by pool and time, node by node."""
    return np.array(
        [[sum(max(at - node, 0.0) for node in pool) for at in EDGES_S] for pool in arrivals]
    )


@pytest.mark.parametrize("name", SUPPLIES)
def test_node_time_is_that_of_the_nodes_and_its_expectation_that_of_many_runs(name: str) -> None:
    supply = Supply.model_validate(SUPPLIES[name])
    assert has_slips(supply)
    runs = []
    for replication in range(300):
        streams = cs.Streams(5, replication=replication)
        runs.append(node_s(arrivals_s(supply, CLUSTER, CATALOGUE, streams)))
        if replication < 3:
            realised, expected = delivered_node_s(supply, CLUSTER, CATALOGUE, streams, EDGES_S)
            assert realised == pytest.approx(runs[-1], rel=1e-9)
    drawn = np.array(runs)
    error = drawn.std(axis=0, ddof=1) / np.sqrt(len(drawn))
    # three standard errors, and a node-minute for dates that are not random
    assert (np.abs(drawn.mean(axis=0) - expected) <= 3 * error + 60).all()
    assert (error > 0).any()


def test_two_productions_that_share_memory_have_a_control_with_a_known_mean() -> None:
    made = {"foundry": "any", "at": "5 d", "chips_per_month": 80, "slip": SLIP}
    supply = Supply.model_validate(
        {
            "production": [{"pool": "seedchip", **made}, {"pool": "h20", **made}],
            "memory": {"stacks_per_month": 300},
        }
    )
    pairs = [
        delivered_node_s(supply, CLUSTER, CATALOGUE, cs.Streams(2, replication=k), EDGES_S)
        for k in range(8)
    ]
    realised, expected = np.array(pairs).swapaxes(0, 1)
    assert np.ptp(expected, axis=0).max() == 0.0
    error = realised.std(axis=0, ddof=1) / np.sqrt(len(pairs))
    assert (np.abs(realised.mean(axis=0) - expected[0]) <= 3.5 * error + 60).all()


def test_expected_failures_are_those_of_many_runs() -> None:
    fields = {
        "time_to_failure": {"kind": "exponential", "average": "80 d"},
        "repair": {"kind": "constant", "value": "2 d"},
    }
    sources = [
        FailureSource.model_validate({"name": "node", **fields}),
        FailureSource.model_validate(
            {
                "name": "leaf",
                "of": "leaf",
                "slowdown": 2,
                "found": {"kind": "constant", "value": "1 h"},
                "pools": ["h200"],
                **fields,
            }
        ),
        FailureSource.model_validate(
            {
                **fields,
                "name": "aging",
                "time_to_failure": {"kind": "weibull", "scale": "10 d", "shape": 2},
            }
        ),
    ]
    supply = Supply.model_validate(SUPPLIES["at once"])
    found = []
    for replication in range(100):
        streams = cs.Streams(3, replication=replication)
        arrivals = arrivals_s(supply, CLUSTER, CATALOGUE, streams)
        realised, expected = failure_counts(CLUSTER, sources, streams, arrivals, EDGES_S)
        found.append(realised - expected)
    off = np.array(found)
    assert (np.abs(off.mean(axis=0)) <= 3 * off.std(axis=0, ddof=1) / np.sqrt(len(off))).all()
    assert (off.std(axis=0) > 1).all()
