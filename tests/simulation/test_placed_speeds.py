"""Responses of jobs to the network by model, size, pool and chips inside a domain."""

from __future__ import annotations

import numpy as np
import pytest

import clustersim as cs
from clustersim.network import NetworkResponse
from clustersim.performance.traffic import placed_responses
from clustersim.simulation import speeds as speeds_module
from clustersim.simulation.speeds import PlacedJob, Speeds

CATALOGUE = cs.load_catalogue()
CLUSTER = cs.compile_cluster(cs.load_cluster("mixed-small", CATALOGUE))
SHARE = 0.25


def test_response_is_that_of_the_pool_at_its_ports():
    jobs = [PlacedJob("llama3-8b", 64, pool, 2) for pool in (0, 1)]
    found = Speeds(CLUSTER, CATALOGUE).responses(jobs, communication_share=SHARE)
    for job, placed in zip(jobs, found, strict=True):
        pool = CLUSTER.pools[job.pool]
        alone = placed_responses(
            CATALOGUE.model("llama3-8b"),
            CATALOGUE.accelerator(pool.accelerator),
            64,
            2,
            port_Bps=pool.port_Bps,
            scaleup_size=pool.scaleup_size,
        ).of(0)
        assert placed.response.slowdown == pytest.approx(alone.response.slowdown, rel=1e-12)
        assert placed.response.duty == pytest.approx(alone.response.duty, rel=1e-12)
    assert found[0].response.slowdown[0] > 1.0


def test_each_distinct_job_is_evaluated_once(monkeypatch):
    counted = []

    def counting(models, *rest, **options):
        counted.append(len(models))
        return placed_responses(models, *rest, **options)

    monkeypatch.setattr(speeds_module, "placed_responses", counting)
    speeds = Speeds(CLUSTER, CATALOGUE)
    jobs = [PlacedJob("llama3-8b", 16, 0, inside) for inside in (1, 2, 1)]
    first = speeds.responses(jobs, communication_share=SHARE)
    again = speeds.responses([*jobs, PlacedJob("llama3-8b", 16, 0, 4)], communication_share=SHARE)
    assert counted == [2, 1]
    assert first[0] is first[2] is again[0]


def test_jobs_without_a_model_have_the_given_share():
    jobs = [PlacedJob(None, 64, 0, 1), PlacedJob(None, 8, 0, 8)]
    apart, together = Speeds(CLUSTER).responses(jobs, communication_share=SHARE)
    expected = NetworkResponse.of_share(SHARE)
    assert apart.response.slowdown.tolist() == expected.slowdown.tolist()
    assert apart.response.duty.tolist() == expected.duty.tolist()
    assert apart.nic_Bps == CLUSTER.pools[0].port_Bps
    # Within a node, nothing crosses the network.
    assert np.all(together.response.slowdown == 1.0)
    assert np.all(together.response.duty == 0.0)


def test_a_model_that_does_not_fit_stands_in_at_a_size_where_it_does():
    """Llama 3 70B needs 8 H200 for training; a job of 2 chips on 2 nodes responds as one of 8."""
    speeds = Speeds(CLUSTER, CATALOGUE)
    jobs = [PlacedJob("llama3-70b", size, 0, 1) for size in (2, 8)]
    few, enough = speeds.responses(jobs, communication_share=SHARE)
    assert few.response.slowdown.tolist() == enough.response.slowdown.tolist()
